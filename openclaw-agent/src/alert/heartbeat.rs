//! A sign of life to the SOC, so that silence means that nothing happened.

use std::sync::Arc;
use std::time::Duration;

use super::arrangement::Arrangement;
use super::{Alert, Alerts, Trigger};
use crate::output::time;
use crate::store::Writer;

/// Sends one at once, and then each time that is configured, until the task is dropped. `status` is what it says.
pub async fn beat(alerts: Alerts, store: Writer, status: impl Fn() -> String) {
    let mut arrangements = alerts.arrangements();
    loop {
        let configured = arrangements.borrow_and_update().heartbeat;
        match configured {
            Some(every) => {
                let is_other = |now: &Arc<Arrangement>| now.heartbeat != configured;
                tokio::select! {
                    () = beat_every(every, &alerts, &store, &status) => {}
                    // The alerts live as long as this does.
                    _ = arrangements.wait_for(is_other) => {}
                }
            }
            None => drop(arrangements.changed().await),
        }
    }
}

async fn beat_every(every: Duration, alerts: &Alerts, store: &Writer, status: &impl Fn() -> String) {
    let mut due = tokio::time::interval(every);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        due.tick().await;
        if let Some(outgoing) = alerts.heartbeat(&status()) {
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
