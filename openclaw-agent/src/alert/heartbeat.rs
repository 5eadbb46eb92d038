//! A sign of life to the SOC, so that silence means that nothing happened.

use std::time::Duration;

use super::{Alert, Alerts, Trigger};
use crate::output::time;
use crate::store::Writer;

/// Sends one at once, and then each time that `every` is over, until the task is dropped. `status` is what it says.
pub async fn beat(alerts: Alerts, store: Writer, every: Duration, status: impl Fn() -> String) {
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        due.tick().await;
        let heartbeat = alerts.heartbeat(&status());
        if let Some(outgoing) = heartbeat {
            store.alert(outgoing);
        }
    }
}

impl Alert {
    /// A sign of life of this host.
    pub(super) fn of_heartbeat(status: &str, host: &str) -> Alert {
        let now = time::now();
        Alert {
            id: format!("{:x}-heartbeat", now.0),
            severity: openclaw_detect::Severity::Info,
            title: Trigger::Heartbeat.title().to_owned(),
            message: format!("OpenClaw is on its post on {host}, {status}"),
            timestamp: time::rfc3339(now),
            details: serde_json::json!({ "host": host, "status": status }),
            trigger: Trigger::Heartbeat,
            like: String::new(),
        }
    }
}
