//! Answers on a container as a whole, and by severity alone.

use super::{answer, answer_of, rule, stands_still, victim};
use crate::support::agent::Setup;
use crate::support::cgroup::Cgroup;
use crate::support::{live, live_once, wait_for};

#[test]
fn a_container_in_quarantine_is_isolated_and_stands_still_until_it_is_let_go() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let container = cgroup.container();
    let setup = Setup::new().rules(&rule("quarantine", "{for: 50s}")).enforce(&cgroup);
    let agent = setup.without_events().start();
    let victim = victim(&container, folder.path());
    wait_for("it stands still", || stands_still(victim.pid()));
    let finding = agent.wait_for_finding("victims", |event| event["process"]["pid"] == victim.pid());
    let answers = finding["answers"].as_array().unwrap();
    let mut kinds = Vec::new();
    for begun in answers {
        let answer = answer_of(&agent, &begun["id"], "done");
        assert!(answer["scope"] == "container" && answer["verified"].is_string(), "{answer}");
        kinds.push(answer["kind"].as_str().unwrap().to_owned());
    }
    kinds.sort();
    assert_eq!(kinds, ["isolate", "suspend"]);
    let undone = agent.json_lines(&["response", "undo", "--all", "--output", "json"]);
    assert_eq!(undone.len(), 2, "{undone:?}");
    wait_for("it goes on", || !stands_still(victim.pid()));
    assert!(!agent.has_pins(), "nothing is enforced any more");
}

#[test]
fn a_critical_finding_isolates_its_process_where_that_is_configured_whatever_its_rule_says() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let critical = rule("alert", "{for: 50s}").replace("severity: high", "severity: critical");
    let setup = Setup::new().rules(&critical).enforce_with(&cgroup, "isolate_on_critical: true");
    let agent = setup.without_events().start();
    let victim = victim(&cgroup, folder.path());
    let isolation = answer(&agent, victim.pid(), "done");
    assert!(isolation["kind"] == "isolate" && isolation["verified"].is_string(), "{isolation}");
    agent.json(&["response", "undo", isolation["id"].as_str().unwrap(), "--output", "json"]);
}
