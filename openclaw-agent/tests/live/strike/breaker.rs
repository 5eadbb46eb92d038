//! The breaker: a rule that answers too much is cut off, and a person lets it answer again.

use std::time::Duration;

use serde_json::Value;

use super::{answer, rule, victim};
use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::deed::{Deed, link};
use crate::support::webhook::Webhook;
use crate::support::{PATIENCE, is_emulated, live, wait_for};

const BREAKER: &str = "breaker: {within: 10m, actions: 4, targets: 4}";

/// What the breaker has cut off, by what `response mode` says.
fn cut_off(agent: &Agent) -> Vec<String> {
    let modes = agent.json(&["response", "mode", "--output", "json"]);
    let tripped = modes["tripped"].as_array().unwrap().iter();
    tripped.map(|trip| trip["rule"].as_str().unwrap_or("all").to_owned()).collect()
}

#[test]
fn a_storm_of_kills_is_stopped_said_loudly_and_goes_on_when_a_person_says_so() {
    live!();
    let (cgroup, folder, webhook) = (Cgroup::new(), tempfile::tempdir().unwrap(), Webhook::new());
    let setup = Setup::new().rules(&rule("kill_and_alert", "{kill: process}")).webhook(&webhook.url);
    let mut agent = setup.enforce_with(&cgroup, BREAKER).without_events().start();
    for _ in 0..4 {
        let mut killed = victim(&cgroup, folder.path());
        assert!(killed.ended_within(PATIENCE).is_some());
    }
    let mut spared = victim(&cgroup, folder.path());
    spared.hear();
    let record = answer(&agent, spared.pid(), "would");
    assert!(record["reason"].as_str().unwrap().contains("openclaw response rearm victims"), "{record}");
    let alert = webhook.wait_for("the alert", |body| body["details"]["rule"] == "response_breaker");
    assert_eq!(alert.body["severity"], "critical");
    assert_eq!(cut_off(&agent), ["victims"]);
    let status = agent.json(&["status", "--output", "json"]);
    assert!(status["warnings"].to_string().contains("breaker"), "{status}");

    // It stays so when the agent is started again.
    agent.end(libc::SIGKILL);
    agent.start_again();
    assert_eq!(cut_off(&agent), ["victims"]);
    let mut spared_again = victim(&cgroup, folder.path());
    spared_again.hear();
    answer(&agent, spared_again.pid(), "would");

    let wrong = agent.openclaw(&["response", "rearm", "other"]);
    assert_eq!(wrong.status.code(), Some(1));
    agent.json(&["response", "rearm", "victims", "--output", "json"]);
    assert!(cut_off(&agent).is_empty());
    let mut killed = victim(&cgroup, folder.path());
    assert!(killed.ended_within(PATIENCE).is_some());
    assert!(
        spared.ended_within(Duration::ZERO).is_none() && spared_again.ended_within(Duration::ZERO).is_none()
    );
}

#[test]
fn what_a_storm_does_is_told_of_each_though_the_breaker_refuses_to_answer() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let setup = Setup::new().rules(&rule("kill_and_alert", "{kill: process}"));
    let agent = setup.enforce_with(&cgroup, BREAKER).without_events().start();
    let usual = if is_emulated() { 50 } else { 1000 };
    let count = if std::env::var_os("OPENCLAW_FULL").is_some() { 10 * usual } else { usual };
    let mut shell = std::process::Command::new("sh");
    let script = format!("read go; i=0; while [ $i -lt {count} ]; do \"$0\"; i=$((i+1)); done; echo done");
    shell.arg("-c").arg(script).arg(link(folder.path(), "victim")).env("OPENCLAW_TEST_DEED", "nothing");
    let mut storm = Deed::of(cgroup.inside(shell));
    storm.tell("go");
    assert_eq!(storm.hear(), "done");
    let of_storm = |event: &Value| event["process"]["parent"]["pid"] == storm.pid();
    wait_for("each is told", || agent.findings("victims", of_storm).len() == count);
    let findings = agent.findings("victims", of_storm);
    let of =
        |outcome: &str| findings.iter().filter(|finding| finding["answers"][0]["outcome"] == outcome).count();
    // Who has ended before it was its turn is refused, and so is not counted.
    let answered = of("done") + of("begun") + of("failed");
    assert!((1..=4).contains(&answered), "{answered} were answered");
    assert!(of("would") > 0 && cut_off(&agent) == ["victims"], "{} would have been", of("would"));
    let losses = &agent.json(&["status", "--output", "json"])["losses"];
    let is_event = |loss: &&Value| loss["stage"] != "filter" && loss["stage"] != "hash";
    assert_eq!(losses.as_array().unwrap().iter().filter(is_event).count(), 0, "{losses}");
}
