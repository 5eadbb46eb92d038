//! `suspend`

use std::time::Duration;

use serde_json::Value;

use super::{answer, answer_of, enforcing, has_ended, herd, stands_still, victim};
use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::deed::Deed;
use crate::support::socket::MOMENT;
use crate::support::{PATIENCE, live, live_once, wait_for};

/// A tree that is suspended: the agent, the parent and its children, and what is said of it.
fn suspended(cgroup: &Cgroup, folder: &std::path::Path, time: &str) -> (Agent, Deed, [u32; 2], Value) {
    let agent = enforcing(cgroup, "suspend", &format!("{{for: {time}}}"));
    let (mut parent, children) = herd(cgroup, folder);
    parent.tell("go");
    let pid = parent.pid();
    wait_for("the tree stands still", || stands_still(pid) && stands_still(children[0]));
    let record = answer(&agent, pid, "done");
    (agent, parent, children, record)
}

fn list(agent: &Agent) -> Vec<Value> {
    agent.json_lines(&["response", "list", "--output", "json"])
}

#[track_caller]
fn assert_as_before(parent: &mut Deed, children: [u32; 2]) {
    assert_eq!(parent.hear(), "ready", "it goes on");
    wait_for("the first child goes on", || !stands_still(children[0]));
    assert!(stands_still(children[1]), "who stood still before goes on standing still");
}

fn end(parent: Deed, children: [u32; 2]) {
    for child in children {
        // SAFETY: a process that the test began.
        unsafe { libc::kill(child as i32, libc::SIGKILL) };
    }
    drop(parent);
    wait_for("the children have ended", || children.iter().all(|child| has_ended(*child)));
}

#[test]
fn a_tree_is_suspended_and_resumes_as_it_was() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let (agent, mut parent, children, record) = suspended(&cgroup, folder.path(), "50s");
    assert_eq!((&record["kind"], &record["processes"]), (&"suspend".into(), &3.into()));
    assert!(record["expires"].is_string() && record["verified"].is_string(), "{record}");
    assert_eq!(list(&agent)[0]["id"], record["id"]);
    let undone = agent.json(&["response", "undo", record["id"].as_str().unwrap(), "--output", "json"]);
    assert_eq!((&undone["outcome"], &undone["id"]), (&"undone".into(), &record["id"]));
    assert_as_before(&mut parent, children);
    assert!(list(&agent).is_empty());
    end(parent, children);
}

#[test]
fn who_resumes_what_is_suspended_finds_it_suspended_again() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let (agent, parent, children, _) = suspended(&cgroup, folder.path(), "50s");
    // SAFETY: a process that the test began.
    unsafe { libc::kill(parent.pid() as i32, libc::SIGCONT) };
    wait_for("it runs", || !stands_still(parent.pid()));
    wait_for("it stands still again", || stands_still(parent.pid()));
    agent.openclaw(&["response", "undo", "--all"]);
    end(parent, children);
}

#[test]
fn a_suspension_ends_on_time_though_its_agent_was_killed_and_the_next_one_records_it() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let (mut agent, mut parent, children, record) = suspended(&cgroup, folder.path(), "12s");
    agent.end(libc::SIGKILL);
    assert!(stands_still(parent.pid()), "it outlives the agent");
    assert_as_before(&mut parent, children);
    let notes = agent.folder().join("control/answers");
    wait_for("nothing is noted of it any more", || {
        let names = std::fs::read_dir(&notes).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".json")).count() == 0
    });
    let told =
        |agent: &Agent| agent.lines(|line| line["type"] == "action" && line["id"] == record["id"]).len();
    agent.start_again();
    let ended = answer_of(&agent, &record["id"], "expired");
    let at = ended["ended"].as_str().unwrap();
    assert!(at >= record["expires"].as_str().unwrap(), "when it was over, not when that was seen: {ended}");
    assert_eq!((told(&agent), &ended["passed"]), (1, &record["passed"]));
    agent.end(libc::SIGTERM);
    agent.start_again();
    agent.settle();
    assert_eq!(told(&agent), 0, "once");
    end(parent, children);
}

#[test]
fn the_next_agent_takes_a_suspension_over() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let (mut agent, mut parent, children, record) = suspended(&cgroup, folder.path(), "50s");
    agent.end(libc::SIGKILL);
    agent.start_again();
    assert_eq!(list(&agent)[0]["id"], record["id"]);
    assert!(stands_still(parent.pid()));
    agent.json(&["response", "undo", record["id"].as_str().unwrap(), "--output", "json"]);
    assert_as_before(&mut parent, children);
    // The store knows more than was taken over.
    let shown = agent.json(&["response", "show", record["id"].as_str().unwrap(), "--output", "json"]);
    assert_eq!((&shown["mode"], &shown["passed"]), (&record["mode"], &record["passed"]));
    end(parent, children);
}

#[test]
fn what_is_suspended_is_resumed_by_command_where_no_agent_runs() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let (mut agent, mut parent, children, record) = suspended(&cgroup, folder.path(), "50s");
    agent.end(libc::SIGKILL);
    let undone = agent.json(&["response", "undo", "--all", "--output", "json"]);
    assert_eq!((&undone["id"], &undone["outcome"]), (&record["id"], &"undone".into()));
    assert_as_before(&mut parent, children);
    end(parent, children);
}

#[test]
fn what_comes_into_a_suspended_container_stands_still_too() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let container = cgroup.container();
    let agent = enforcing(&cgroup, "suspend", "{suspend: container, for: 50s}");
    let victim = victim(&container, folder.path());
    wait_for("it stands still", || stands_still(victim.pid()));
    answer(&agent, victim.pid(), "done");
    let frozen =
        || std::fs::read_to_string(container.path().join("cgroup.events")).unwrap().contains("frozen 1");
    wait_for("it is frozen", frozen);
    let (ticks, mut late) = ticker(&container, folder.path());
    let procs = || std::fs::read_to_string(container.path().join("cgroup.procs")).unwrap();
    wait_for("it has come", || procs().lines().any(|pid| pid == late.id().to_string()));
    wait_for("it is frozen with who came later", frozen);
    std::thread::sleep(MOMENT);
    assert!(!ticks.exists(), "who came later stands still");
    agent.json(&["response", "undo", "--all", "--output", "json"]);
    wait_for("it goes on", || ticks.exists());
    wait_for("the container is as it was", || !frozen());
    late.kill().unwrap();
    late.wait().unwrap();
    drop(victim);
}

/// A process that writes again and again how far it has counted, and where.
fn ticker(cgroup: &Cgroup, folder: &std::path::Path) -> (std::path::PathBuf, std::process::Child) {
    let file = folder.join("ticks");
    // It enters by itself: who is frozen before it runs would never be known to have been started.
    let script = r#"echo $$ > "$1/cgroup.procs"; n=0; while :; do n=$((n+1)); echo $n > "$0.new"; mv "$0.new" "$0"; done"#;
    let mut command = std::process::Command::new("sh");
    let child = command.args(["-c", script]).arg(&file).arg(cgroup.path()).spawn().unwrap();
    (file, child)
}

#[test]
fn nobody_in_a_suspended_container_is_resumed_by_a_signal_and_the_agent_need_not_live_to_end_it() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let container = cgroup.container();
    let mut agent = enforcing(&cgroup, "suspend", "{suspend: container, for: 20s}");
    let (ticks, mut ticker) = ticker(&container, folder.path());
    wait_for("it counts", || ticks.exists());
    let victim = victim(&container, folder.path());
    answer(&agent, victim.pid(), "done");
    let count = || std::fs::read_to_string(&ticks).unwrap();
    let before = count();
    for _ in 0..5 {
        // SAFETY: a process that the test began.
        unsafe { libc::kill(ticker.id() as i32, libc::SIGCONT) };
        std::thread::sleep(MOMENT / 5);
    }
    assert_eq!(count(), before, "it does not move");
    agent.end(libc::SIGKILL);
    wait_for("it goes on when its time is over", || count() != before);
    ticker.kill().unwrap();
    ticker.wait().unwrap();
    drop(victim);
}

#[test]
fn of_two_suspensions_of_the_same_process_the_last_one_lets_it_go_on() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let second = super::rule("suspend", "{suspend: process, for: 55s}").replace("victims", "second");
    let rules = super::rule("suspend", "{suspend: tree, for: 3s}");
    let agent = Setup::new().rules(&rules).rules(&second).enforce(&cgroup).without_events().start();
    let mut victim = victim(&cgroup, folder.path());
    wait_for("it stands still", || stands_still(victim.pid()));
    answer(&agent, victim.pid(), "expired");
    assert!(stands_still(victim.pid()), "the longer one holds it");
    agent.json(&["response", "undo", "--all", "--output", "json"]);
    assert_eq!(victim.hear(), "ready", "it goes on when that is taken back");
}

#[test]
fn a_suspension_is_over_when_its_processes_have_ended() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let agent = enforcing(&cgroup, "suspend", "{suspend: process, for: 50s}");
    let mut victim = victim(&cgroup, folder.path());
    let pid = victim.pid();
    wait_for("it stands still", || stands_still(pid));
    answer(&agent, pid, "done");
    // SAFETY: a process that the test began.
    unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    assert!(victim.ended_within(PATIENCE).is_some());
    wait_for("nothing is in force", || list(&agent).is_empty());
    assert!(victim.ended_within(Duration::ZERO).is_some());
}

#[test]
fn a_frozen_container_is_taken_over_and_goes_on_by_command_where_no_agent_runs() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let container = cgroup.container();
    let mut agent = enforcing(&cgroup, "suspend", "{suspend: container, for: 55s}");
    let victim = victim(&container, folder.path());
    let record = answer(&agent, victim.pid(), "done");
    agent.end(libc::SIGKILL);
    let (ticks, mut late) = ticker(&container, folder.path());
    agent.start_again();
    let now = agent.json(&["response", "show", record["id"].as_str().unwrap(), "--output", "json"]);
    assert_eq!(now["outcome"], "done", "who was frozen by another agent stands still: {now}");
    assert!(!ticks.exists());
    agent.end(libc::SIGKILL);
    agent.json(&["response", "undo", "--all", "--output", "json"]);
    wait_for("it goes on", || ticks.exists());
    late.kill().unwrap();
    late.wait().unwrap();
    drop(victim);
}
