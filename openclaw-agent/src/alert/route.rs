//! Which alerts are sent, and where.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_detect::{Condition, RecordedEvent, Severity};
use serde_json::{Value, json};

use super::{Alert, Trigger};
use crate::config::Alerting;
use crate::mask;

/// An alert on its way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// What is sent.
    pub alert: Alert,
    /// The channels that are to deliver it.
    pub channels: Vec<String>,
    /// How long those like it are held back then; nothing for not at all.
    pub throttle: Duration,
}

/// The way of each trigger's alerts.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: BTreeMap<Trigger, Route>,
}

#[derive(Debug)]
struct Route {
    channels: Vec<String>,
    throttle: Duration,
    severity: Severity,
    condition: Option<Condition>,
}

impl Routes {
    /// As it is configured. Where nothing is delivered at all, no trigger has a route.
    pub(super) fn new(config: &Alerting) -> Routes {
        let all: Vec<String> = config.channels.iter().map(|channel| channel.name.clone()).collect();
        let only = |names: &Option<Vec<String>>| match names {
            // A channel that is named and switched off is not among them.
            Some(names) => all.iter().filter(|channel| names.contains(channel)).cloned().collect(),
            None => all.clone(),
        };
        let mut routes = BTreeMap::new();
        for (trigger, settings) in &config.triggers.of {
            let channels = match (*trigger, &config.heartbeat) {
                (Trigger::Heartbeat, Some(heartbeat)) => only(&heartbeat.channels),
                _ => only(&settings.channels),
            };
            if !config.enabled || !settings.enabled || channels.is_empty() {
                continue;
            }
            routes.insert(
                *trigger,
                Route {
                    channels,
                    throttle: settings.throttle,
                    severity: settings.severity.unwrap_or(Severity::Info),
                    // The configuration was refused where it has a mistake.
                    condition: settings.condition.as_deref().and_then(|text| Condition::parse(text).ok()),
                },
            );
        }
        Routes { routes }
    }

    /// The channels of a trigger; none where its alerts are not sent.
    pub(super) fn channels(&self, trigger: Trigger) -> &[String] {
        self.routes.get(&trigger).map_or(&[], |route| &route.channels)
    }

    /// Where an alert goes, without the secrets that command lines hold; none where it is not to be sent.
    pub(super) fn of(&self, alert: Alert) -> Option<Outgoing> {
        let route = self.routes.get(&alert.trigger)?;
        if alert.severity < route.severity || !route.condition.as_ref().is_none_or(|it| holds(it, &alert)) {
            return None;
        }
        // Conditions are asked of the event as it was.
        let alert = masked(alert);
        Some(Outgoing { alert, channels: route.channels.clone(), throttle: route.throttle })
    }
}

/// What may leave the host of an alert. Its parts are masked together: what is a secret in the one is known in the others.
fn masked(mut alert: Alert) -> Alert {
    let mut whole = json!([alert.title, alert.message, alert.details.take()]);
    mask::json(&mut whole);
    if let Value::Array(parts) = whole
        && let Ok([Value::String(title), Value::String(message), details]) = <[Value; 3]>::try_from(parts)
    {
        return Alert { title, message, details, ..alert };
    }
    // Masking leaves the shape as it is, so this is never reached; and nothing leaves the host if it is.
    Alert { title: "***".to_owned(), message: "***".to_owned(), ..alert }
}

/// Whether a condition is true of the event that an alert is of. What is of no event passes no condition.
fn holds(condition: &Condition, alert: &Alert) -> bool {
    RecordedEvent::from_value(&alert.details["event"]).is_ok_and(|event| condition.matches(&event))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn routes(alerting: &str) -> Routes {
        let text = format!(
            "security: {{alerting: {{channels: {{a: {{type: webhook, url: 'http://127.0.0.1/'}}, b: {{type: webhook, url: 'http://127.0.0.1/'}}}}, {alerting}}}}}"
        );
        Routes::new(&config::parse(&text, Path::new("/")).unwrap().0.security.alerting)
    }

    fn alert(trigger: Trigger, severity: Severity) -> Alert {
        let event = json!({
            "@timestamp": "2026-11-27T10:00:00Z",
            "event": {"dataset": "process_create"},
            "process": {"name": "nc", "pid": 7}
        });
        Alert {
            id: "1".to_owned(),
            severity,
            title: "t".to_owned(),
            message: "m".to_owned(),
            timestamp: "2026-11-27T10:00:00.000Z".to_owned(),
            details: json!({"rule": "r", "event": event}),
            trigger,
            like: "r".to_owned(),
        }
    }

    #[test]
    fn an_alert_goes_where_its_trigger_is_led() {
        let routes = routes(
            "triggers: {criticalEvents: {channels: [b], throttleMs: 1000}, finding: {severity: high, condition: 'process.name == \"nc\"'}, \
             intrusionDetected: {enabled: false}, ipBlocked: {condition: 'process.pid == 7'}}",
        );
        let critical = routes.of(alert(Trigger::CriticalEvent, Severity::Critical)).unwrap();
        assert_eq!((critical.channels, critical.throttle), (vec!["b".to_owned()], Duration::from_secs(1)));
        let finding = routes.of(alert(Trigger::Finding, Severity::High)).unwrap();
        assert_eq!((finding.channels.len(), finding.throttle), (2, Duration::from_secs(300)));
        assert_eq!(routes.of(alert(Trigger::Finding, Severity::Medium)), None);
        let mut other = alert(Trigger::Finding, Severity::High);
        other.details["event"]["process"]["name"] = "ssh".into();
        assert_eq!(routes.of(other), None);
        assert_eq!(routes.of(alert(Trigger::IntrusionDetected, Severity::Critical)), None);
        let mut no_event = alert(Trigger::IpBlocked, Severity::Medium);
        no_event.details = json!({});
        assert_eq!(routes.of(no_event), None);
    }

    #[test]
    fn secrets_stay_on_the_host() {
        let mut alert = alert(Trigger::Finding, Severity::High);
        alert.message = "curl ran: curl -u admin:hunter2hunter2 https://example.com/".to_owned();
        alert.details["event"]["process"]["args"] = json!(["curl", "-u", "admin:hunter2hunter2"]);
        let sent = routes("enabled: true").of(alert).unwrap().alert;
        assert!(!serde_json::to_string(&sent).unwrap().contains("hunter2"), "{sent:?}");
    }

    #[test]
    fn nothing_goes_anywhere_where_alerting_is_off() {
        assert_eq!(routes("enabled: false").of(alert(Trigger::Finding, Severity::High)), None);
    }
}
