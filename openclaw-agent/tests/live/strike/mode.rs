//! Whether answers are carried out: by configuration, by rule, by hand, and soon after the start.

use std::time::Duration;

use super::{answer, rule, victim};
use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::deed::Deed;
use crate::support::{PATIENCE, live, live_once};

/// Begins a victim, and sees that it lives, and why.
#[track_caller]
fn assert_spared(agent: &Agent, cgroup: &Cgroup, folder: &std::path::Path, why: &str) -> Deed {
    let mut victim = victim(cgroup, folder);
    victim.hear();
    let record = answer(agent, victim.pid(), "would");
    assert!(record["reason"].as_str().unwrap_or_default().contains(why), "{record}");
    assert!(victim.ended_within(Duration::ZERO).is_none());
    victim
}

#[track_caller]
fn assert_killed(cgroup: &Cgroup, folder: &std::path::Path) {
    assert!(victim(cgroup, folder).ended_within(PATIENCE).is_some(), "it is killed");
}

#[test]
fn the_mode_is_switched_while_the_agent_runs() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let setup = Setup::new().rules(&rule("kill", "{kill: process}"));
    let agent = setup.observe(&cgroup).without_events().start();
    let switch = |words: &str| {
        let words: Vec<&str> = ["response", "mode"].into_iter().chain(words.split(' ')).collect();
        agent.json(&[&words[..], &["--output", "json"]].concat())
    };
    let _first = assert_spared(&agent, &cgroup, folder.path(), "");
    assert_eq!(switch("enforce")["mode"], "enforce");
    assert_killed(&cgroup, folder.path());
    assert_eq!(switch("observe --rule victims")["switched"]["victims"], "observe");
    let _second = assert_spared(&agent, &cgroup, folder.path(), "");
    switch("enforce --rule victims");
    assert_killed(&cgroup, folder.path());
    // Observe holds for every rule, whatever is said of it.
    assert_eq!(switch("observe")["held"], true);
    let _third = assert_spared(&agent, &cgroup, folder.path(), "");
    let wrong = agent.openclaw(&["response", "mode", "enforce", "--rule", "nothing-of-that-name"]);
    assert_eq!(wrong.status.code(), Some(1));
}

#[test]
fn a_rule_may_be_carried_out_where_others_are_not_and_the_other_way_round() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let enforced = Setup::new().rules(&rule("kill", "{kill: process, mode: enforce}"));
    let agent = enforced.observe(&cgroup).without_events().start();
    assert_killed(&cgroup, folder.path());
    drop(agent);
    let watched = Setup::new().rules(&rule("kill", "{kill: process, mode: enforce}"));
    let agent = watched.enforce_with(&cgroup, "rules: {'vict*': observe}").without_events().start();
    let _victim = assert_spared(&agent, &cgroup, folder.path(), "");
}

#[test]
fn nothing_is_carried_out_soon_after_the_start() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let setup = Setup::new().rules(&rule("kill", "{kill: process}"));
    let agent = setup.enforce_with(&cgroup, "warm_up: 1h").without_events().start();
    let _victim = assert_spared(&agent, &cgroup, folder.path(), "warm_up");
    let modes = agent.json(&["response", "mode", "--output", "json"]);
    assert!(modes["warm_up_ms"].as_u64().unwrap() > 3_500_000, "{modes}");
}
