//! Which alerts go where, and what becomes of those that an endpoint refuses.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::agent::Setup;
use crate::support::webhook::{Answer, Webhook};
use crate::support::{live, live_once, unique, wait_for};

/// Programs that are told by an argument, which other tests do not use.
struct Marked(String);

impl Marked {
    fn new() -> Self {
        Marked(format!("openclaw-route-{}-{}", std::process::id(), unique()))
    }

    /// A rule that fires for those whose mark goes on so.
    fn rule(&self, kind: &str, severity: &str) -> String {
        format!(
            "rules: [{{name: routed_{kind}, event: process_create, severity: {severity}, \
             condition: process.args startswith '{}-{kind}'}}]",
            self.0
        )
    }

    fn begin(&self, kind: &str, others: &[&str]) -> String {
        let mark = format!("{}-{kind}", self.0);
        let mut command = Command::new("/bin/true");
        assert!(command.arg(&mark).args(others).stdin(Stdio::null()).status().unwrap().success());
        mark
    }
}

fn mark(alert: &Value) -> &Value {
    &alert["details"]["event"]["process"]["args"][1]
}

#[test]
fn a_trigger_leads_its_alerts_to_named_channels_by_severity_and_condition() {
    live!();
    let (marked, first, second) = (Marked::new(), Webhook::new(), Webhook::new());
    let channels = format!(
        "channels: {{first: {{type: webhook, url: '{}'}}, second: {{type: webhook, url: '{}'}}}}",
        first.url, second.url
    );
    let condition = format!("process.args startswith \"{}-high-wanted\"", marked.0);
    let triggers = format!(
        "triggers: {{finding: {{throttle: 0s, channels: [second], severity: medium, condition: '{condition}'}}, \
         sensor_degraded: {{enabled: false}}}}"
    );
    let agent = Setup::new()
        .rules(&marked.rule("low", "low"))
        .rules(&marked.rule("high", "high"))
        .alerting(&[&channels, &triggers])
        .without_events()
        .start();
    marked.begin("low", &[]);
    marked.begin("high-other", &[]);
    let wanted = marked.begin("high-wanted", &[]);
    // Alerts come in order, so that the others would have come before.
    let post = second.wait_for("the first alert", |_| true);
    assert_eq!((mark(&post.body), &post.body["trigger"]), (&wanted.into(), &"finding".into()));
    agent.settle();
    assert!(first.taken().is_empty() && second.taken().is_empty());
}

#[test]
fn secrets_in_arguments_leave_the_host_by_no_channel() {
    live_once!();
    let (marked, endpoint) = (Marked::new(), Webhook::new());
    let agent = Setup::new().rules(&marked.rule("login", "high")).webhook(&endpoint.url).start();
    let wanted = marked.begin("login", &["--password=c0rrecth0rse", "https://me:b4tterystaple@example.com/"]);
    let post = endpoint.wait_for("the alert", |alert| *mark(alert) == wanted.as_str());
    let sent = String::from_utf8(post.raw).unwrap();
    assert!(!sent.contains("c0rrecth0rse") && !sent.contains("b4tterystaple"), "{sent}");
    assert!(!agent.log().contains("c0rrecth0rse"));
}

#[test]
fn a_spike_of_failed_logins_is_told_by_the_threshold_that_is_configured() {
    live_once!();
    let endpoint = Webhook::new();
    let channels = format!("channels: {{webhook: {{url: '{}'}}}}", endpoint.url);
    let triggers =
        "triggers: {failedAuthSpike: {enabled: true, threshold: 5, windowMs: 600000, throttleMs: 600000}}";
    let setup = Setup::new().shipped().alerting(&[&channels, triggers]).without_events();
    let log = setup.folder().join("auth.log");
    std::fs::File::create(&log).unwrap();
    let _agent = setup.source(&format!("sshd: {{type: auth, path: {}}}", log.display())).start();
    let mut file = OpenOptions::new().append(true).open(&log).unwrap();
    let time = jiff::Timestamp::now();
    for n in 1..=5 {
        let login = format!("Failed password for root from 192.0.2.{n} port 4000{n} ssh2");
        writeln!(file, "{time} host sshd[7]: {login}").unwrap();
    }
    let post = endpoint.wait_for("the spike", |alert| alert["trigger"] == "failed_auth_spike");
    let details = &post.body["details"];
    assert_eq!(details["pattern"], "failed_auth_spike");
    assert_eq!((&details["attempts"], &details["threshold"]), (&5.into(), &5.into()));
    assert_eq!(details["ip"], "192.0.2.5");
}

#[test]
fn what_an_endpoint_refused_is_listed_and_delivered_when_somebody_asks_for_it() {
    live_once!();
    let marked = Marked::new();
    let refuses = Answer::Says("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned());
    let endpoint = Webhook::answering(TcpListener::bind(("127.0.0.1", 0)).unwrap(), vec![refuses]);
    let channels = format!("channels: {{webhook: {{url: '{}'}}}}", endpoint.url);
    let triggers = "triggers: {finding: {throttle: 0s}, sensor_degraded: {enabled: false}}";
    let agent = Setup::new().rules(&marked.rule("one", "high")).alerting(&[&channels, triggers]).start();
    marked.begin("one", &[]);
    let refused = endpoint.wait_for("the one that is refused", |_| true);
    let failed = || agent.json_lines(&["alerts", "list", "--failed", "--output", "json"]);
    wait_for("it is listed as failed", || !failed().is_empty());
    assert_eq!(failed()[0]["id"], refused.body["id"]);
    assert!(agent.openclaw(&["alerts", "retry"]).status.success());
    let again = endpoint.wait_for("the same again", |_| true);
    assert_eq!(again.body["id"], refused.body["id"]);
    wait_for("it is listed as failed no more", || failed().is_empty());
    let said = agent.openclaw(&["alerts", "retry"]);
    assert!(!said.status.success(), "there is nothing to deliver again: {said:?}");
}
