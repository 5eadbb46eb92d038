//! The configuration is read again while the agent runs: all of it, or nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::webhook::{Down, Webhook};
use crate::support::{live, live_once, unique, wait_for};

/// A program that other tests do not begin, and the rule that fires for it.
struct Marked(String);

impl Marked {
    fn new() -> Self {
        Marked(format!("openclaw-reload-{}-{}", std::process::id(), unique()))
    }

    fn rule(&self) -> String {
        format!(
            "rules: [{{name: marked, event: process_create, severity: high, condition: process.args startswith '{}'}}]",
            self.0
        )
    }

    /// Begins one, and names it.
    fn begin(&self, name: &str) -> String {
        let mark = format!("{}-{name}", self.0);
        let mut command = Command::new("/bin/true");
        assert!(command.arg(&mark).stdin(Stdio::null()).status().unwrap().success());
        mark
    }
}

/// Whether an alert is of the program with this mark.
fn is_of(alert: &Value, mark: &str) -> bool {
    alert["details"]["event"]["process"]["args"][1] == mark
}

/// Writes the configuration anew, `alerting` being what is below `security.alerting`.
fn configure(agent: &Agent, alerting: &str, more: &str) {
    let folder = agent.folder().display();
    let text = format!(
        "api: {{socket: {folder}/control/openclaw.sock}}\nstore: {{path: {folder}/store.db}}\n\
         security:\n  sources: {{}}\n  alerting: {alerting}\n{more}"
    );
    std::fs::write(agent.folder().join("openclaw.yml"), text).unwrap();
}

/// `security.alerting` with such channels, and nothing held back.
fn alerting(channels: &str) -> String {
    format!(
        "{{channels: {{{channels}}}, triggers: {{finding: {{throttle: 0s}}, sensor_degraded: {{throttle: 0s}}}}}}"
    )
}

fn hang_up(agent: &Agent) {
    // SAFETY: a process that the test began.
    assert_eq!(unsafe { libc::kill(agent.pid().cast_signed(), libc::SIGHUP) }, 0);
}

fn channels(agent: &Agent) -> Vec<String> {
    let status = agent.json(&["status", "--output", "json"]);
    let channels = status["channels"].as_array().unwrap().iter();
    channels.map(|channel| channel["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn other_channels_are_taken_while_the_agent_runs_and_what_waits_stays() {
    live!();
    let (marked, first, second) = (Marked::new(), Webhook::new(), Webhook::new());
    let nobody = Down::new();
    let down = format!("down: {{type: webhook, url: '{}'}}", nobody.url());
    let one = format!("one: {{type: webhook, url: '{}'}}", first.url);
    let agent = Setup::new().rules(&marked.rule()).without_events().start();
    configure(&agent, &alerting(&format!("{one}, {down}")), "");
    let reloaded = agent.json(&["gateway", "reload", "--output", "json"]);
    assert_eq!(reloaded["channels"], serde_json::json!(["one", "down"]), "{reloaded}");
    assert_eq!(reloaded["later"], serde_json::json!([]), "{reloaded}");
    let before = marked.begin("before");
    first.wait_for("the one before", |alert| is_of(alert, &before));

    // The endpoint that was down is elsewhere now: what waited for it goes there.
    let moved = format!("down: {{type: webhook, url: '{}'}}", second.url);
    configure(&agent, &alerting(&moved), "  sensor: {hash_limit: 0}\n");
    let reloaded = agent.json(&["gateway", "reload", "--output", "json"]);
    assert_eq!(reloaded["later"], serde_json::json!(["security.sensor"]), "{reloaded}");
    second.wait_for("what waited", |alert| is_of(alert, &before));
    let after = marked.begin("after");
    second.wait_for("the one after", |alert| is_of(alert, &after));
    assert_eq!(channels(&agent), ["down"]);
    agent.settle();
    assert!(!first.taken().iter().any(|alert| is_of(alert, &after)), "it is no channel any more");
    wait_for("each is counted, whatever became of its channel", || {
        let counts = &agent.json(&["status", "--output", "json"])["alerts"];
        counts["delivered"].as_u64() >= Some(3) && counts["queued"] == 0
    });
}

#[test]
fn a_configuration_with_a_mistake_is_not_taken_and_that_is_an_alert() {
    live!();
    let (marked, endpoint) = (Marked::new(), Webhook::new());
    let one = format!("one: {{type: webhook, url: '{}'}}", endpoint.url);
    let agent = Setup::new().rules(&marked.rule()).without_events().start();
    configure(&agent, &alerting(&one), "");
    hang_up(&agent);
    agent.wait_for_log("the configuration was read again");

    for mistake in ["one: {type: webhook, url: '${OPENCLAW_NOT_SET}'}", "two: {type: fax}"] {
        configure(&agent, &alerting(mistake), "");
        hang_up(&agent);
        let refused = |alert: &Value| alert["details"]["rule"] == "configuration_refused";
        let post = endpoint.wait_for("that it is refused", refused);
        assert_eq!(post.body["trigger"], "sensor_degraded");
        let message = post.body["message"].as_str().unwrap();
        assert!(message.contains("openclaw.yml:5:"), "its place: {message}");
        let warnings = agent.json(&["status", "--output", "json"])["warnings"].to_string();
        assert!(warnings.contains("the configuration on disk is not taken"), "{warnings}");
        let output = agent.openclaw(&["gateway", "reload"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("openclaw.yml:5:"), "{said}");
    }
    configure(&agent, &alerting(&one), "");
    let mark = marked.begin("still");
    endpoint.wait_for("as before", |alert| is_of(alert, &mark));
    agent.json(&["gateway", "reload", "--output", "json"]);
    let warnings = agent.json(&["status", "--output", "json"])["warnings"].to_string();
    assert!(!warnings.contains("not taken"), "{warnings}");
}

#[test]
fn rules_are_those_of_the_configuration_that_was_read_last_and_refused_ones_are_an_alert() {
    live_once!();
    let (marked, endpoint) = (Marked::new(), Webhook::new());
    let one = format!("one: {{type: webhook, url: '{}'}}", endpoint.url);
    let agent = Setup::new().shipped().without_events().start();
    let rules = agent.folder().join("own.yml");
    std::fs::write(&rules, marked.rule()).unwrap();
    let of = |rules: &Path| format!("  rules: {{shipped: false, folders: ['{}']}}\n", rules.display());
    configure(&agent, &alerting(&one), &of(&rules));
    let reloaded = agent.json(&["gateway", "reload", "--output", "json"]);
    assert_eq!(reloaded["rules"], 1, "{reloaded}");
    let mark = marked.begin("own");
    endpoint.wait_for("by the rule of now", |alert| is_of(alert, &mark));

    std::fs::write(&rules, "rules: [{name: broken, condition: process.nam == 1}]").unwrap();
    let refused = |alert: &Value| alert["details"]["rule"] == "rules_refused";
    let post = endpoint.wait_for("that they are not run", refused);
    assert!(post.body["message"].as_str().unwrap().contains("own.yml:1:"), "{}", post.body);
    // Nor is a configuration taken that names them, whatever else it says.
    configure(&agent, &alerting("two: {type: webhook, url: 'http://127.0.0.1:9/'}"), &of(&rules));
    let output = agent.openclaw(&["gateway", "reload"]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(channels(&agent), ["one"]);
    let mark = marked.begin("again");
    endpoint.wait_for("by the rule before", |alert| is_of(alert, &mark));
}

#[test]
fn where_alerts_go_since_then_is_not_blocked() {
    live_once!();
    let cgroup = Cgroup::new();
    let agent = Setup::new().observe(&cgroup).without_events().start();
    // Of those for documentation: nobody is there.
    configure(&agent, &alerting("one: {type: webhook, url: 'https://203.0.113.77/'}"), "");
    agent.json(&["gateway", "reload", "--output", "json"]);
    let output = agent.openclaw(&["blocklist", "add", "203.0.113.77"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("where alerts or webhooks go"), "{said}");
    configure(&agent, "{}", "");
    agent.json(&["gateway", "reload", "--output", "json"]);
    let output = agent.openclaw(&["blocklist", "add", "203.0.113.77"]);
    assert!(output.status.success(), "{output:?}");
}
