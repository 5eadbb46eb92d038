//! An alert of Prometheus's, by the API of Alertmanager
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>, `postAlerts`).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{Attempt, Endpoint};
use crate::alert::Alert;
use crate::config;

#[derive(Debug)]
pub(crate) struct Alertmanager {
    endpoint: Endpoint,
    config: config::Alertmanager,
}

impl Alertmanager {
    pub(super) fn new(config: &config::Alertmanager) -> Result<Alertmanager, String> {
        let mut http = config.http.clone();
        let base = http.url.path().trim_end_matches('/').to_owned();
        http.url.set_path(&format!("{base}/api/v2/alerts"));
        Ok(Alertmanager { endpoint: Endpoint::new(http)?, config: config.clone() })
    }

    pub(super) async fn send(&self, alert: &Alert) -> Attempt {
        let body = json!([posted(alert, &self.config, Timestamp::now())]).to_string().into_bytes();
        match self.endpoint.exchange(self.endpoint.request("application/json", body)).await {
            Ok(answer) => {
                let detail = self.endpoint.quote(&String::from_utf8_lossy(answer.body()));
                answer.attempt(Some(detail), None)
            }
            Err(attempt) => attempt,
        }
    }
}

/// A `postableAlert`. Labels tell alerts apart: those with the same are one. So what an alert is about is among them, and
/// its id is not, by which each would be one of its own.
fn posted(alert: &Alert, config: &config::Alertmanager, now: Timestamp) -> Value {
    let details = &alert.details;
    let trigger = json!(alert.trigger);
    let named = |value: &Value| match value {
        Value::Object(map) => map.get("name").or(map.get("id")).and_then(Value::as_str).map(str::to_owned),
        value => value.as_str().map(str::to_owned),
    };
    let own = [
        ("alertname", named(&details["rule"]).or_else(|| named(&trigger))),
        ("severity", named(&json!(alert.severity))),
        ("instance", named(&details["host"])),
        ("trigger", named(&trigger)),
        ("ip", named(&details["ip"])),
        ("user", named(&details["user"])),
        ("container", named(&details["container"])),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    // Later ones take the place of earlier ones; an empty one is none.
    let labels: Map<String, Value> = own
        .chain(config.labels.iter().cloned())
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, value.into()))
        .collect();
    let mut annotations = json!({"summary": alert.title, "description": alert.message, "id": alert.id});
    if let Some(more) = details["more"].as_str() {
        annotations["more"] = more.into();
    }
    // It has not ended when it is sent, however long that took, or nobody would be told.
    let lasts = SignedDuration::try_from(config.resolve_after).unwrap_or(SignedDuration::from_hours(1));
    let ends = now.checked_add(lasts).unwrap_or(now);
    let starts = alert.timestamp.parse::<Timestamp>().unwrap_or(now).min(now);
    json!({
        "labels": labels,
        "annotations": annotations,
        "startsAt": format!("{starts:.3}"),
        "endsAt": format!("{ends:.3}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::channel::tests::alert;
    use crate::config::Http;

    fn config(labels: &[(&str, &str)]) -> config::Alertmanager {
        config::Alertmanager {
            http: Http::new("http://127.0.0.1:9093".parse().unwrap()),
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            resolve_after: std::time::Duration::from_secs(3600),
        }
    }

    #[test]
    fn labels_say_what_it_is_about_and_configured_ones_come_before() {
        let now = "2026-01-31T00:00:00Z".parse().unwrap();
        let posted =
            posted(&alert(), &config(&[("team", "soc"), ("instance", "edge"), ("trigger", "")]), now);
        let labels = json!({"alertname": "brute_force", "severity": "critical", "instance": "edge", "team": "soc",
                            "ip": "192.168.1.100", "trigger": "intrusion_detected"});
        assert_eq!(posted["labels"], labels);
        assert_eq!(posted["annotations"]["id"], "a1");
        assert_eq!(posted["annotations"]["more"], "openclaw findings show a1");
        assert_eq!(posted["startsAt"], "2026-01-30T22:30:45.123Z");
        assert_eq!(posted["endsAt"], "2026-01-31T01:00:00.000Z", "an hour after it was sent");
    }

    #[test]
    fn an_alert_that_the_clock_puts_into_the_future_has_begun() {
        let now = "2026-01-30T00:00:00Z".parse().unwrap();
        assert_eq!(posted(&alert(), &config(&[]), now)["startsAt"], "2026-01-30T00:00:00.000Z");
    }
}
