//! `kill`

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use openclaw_agent::respond::{NoLookup, Outcome, Rail, Responder};
use openclaw_common::Layout;
use openclaw_detect::{Action, Finding, Mode, ProcessId, Response, Scope};

use super::{answer, enforcing, has_ended, herd, rule, victim};
use crate::support::agent::Setup;
use crate::support::cgroup::Cgroup;
use crate::support::deed::{Deed, command, program};
use crate::support::skip::skip;
use crate::support::webhook::Webhook;
use crate::support::{PATIENCE, live, live_once, start_of, wait_for};

#[test]
fn a_process_is_killed_and_the_record_says_how_that_came_about() {
    live!();
    let (cgroup, folder, webhook) = (Cgroup::new(), tempfile::tempdir().unwrap(), Webhook::new());
    let setup = Setup::new().rules(&rule("kill_and_alert", "{kill: process}")).webhook(&webhook.url);
    let agent = setup.enforce(&cgroup).without_events().start();
    let mut victim = victim(&cgroup, folder.path());
    let status = victim.ended_within(PATIENCE).expect("it is killed");
    assert_eq!(status.signal(), Some(libc::SIGKILL));

    let record = answer(&agent, victim.pid(), "done");
    assert_eq!(
        (&record["kind"], &record["scope"], &record["mode"]),
        (&"kill".into(), &"process".into(), &"enforce".into())
    );
    let rails = ["target", "identity", "protected", "reach", "confidence", "breaker"];
    assert_eq!(record["passed"], serde_json::json!(rails));
    assert_eq!((&record["processes"], &record["expires"]), (&1.into(), &serde_json::Value::Null));
    let moment = |name: &str| record[name].as_str().unwrap_or_else(|| panic!("{name}: {record}")).to_owned();
    assert!(moment("at") <= moment("done") && moment("done") <= moment("verified"));
    let post = webhook.wait_for("the finding", |body| body["id"] == record["finding"]);
    assert_eq!(post.body["details"]["actions"][0]["kind"], "kill");

    let undo = agent.openclaw(&["response", "undo", record["id"].as_str().unwrap()]);
    assert_eq!(undo.status.code(), Some(1), "what was killed is not brought back");
}

#[test]
fn a_tree_is_killed_as_a_whole_and_nobody_beside_it() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let agent = enforcing(&cgroup, "kill", "{}");
    let mut bystander = Deed::of(cgroup.inside(command(program(), "wait")));
    bystander.hear();
    let (mut parent, children) = herd(&cgroup, folder.path());
    let pid = parent.pid();
    parent.tell("go");
    assert_eq!(parent.ended_within(PATIENCE).expect("it is killed").signal(), Some(libc::SIGKILL));
    wait_for("its children have ended", || children.iter().all(|child| has_ended(*child)));
    let record = answer(&agent, pid, "done");
    assert_eq!((&record["scope"], &record["processes"]), (&"tree".into(), &3.into()));
    assert!(bystander.ended_within(Duration::ZERO).is_none());
}

#[test]
fn children_whose_parents_have_ended_are_killed_with_the_tree() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let agent = enforcing(&cgroup, "kill", "{}");
    let program = crate::support::deed::link(folder.path(), "victim");
    let mut shell = std::process::Command::new("sh");
    // The shell between is gone when the victim begins: its child lives below init.
    shell.arg("-c").arg("sh -c 'sleep 300 >&2 & echo $!'; read go; exec \"$0\"").arg(program);
    let mut parent = Deed::of(cgroup.inside({
        shell.env("OPENCLAW_TEST_DEED", "wait");
        shell
    }));
    let orphan: u32 = parent.hear().parse().unwrap();
    parent.tell("go");
    assert!(parent.ended_within(PATIENCE).is_some());
    wait_for("the orphan has ended", || has_ended(orphan));
    assert_eq!(answer(&agent, parent.pid(), "done")["processes"], 2);
}

#[test]
fn every_process_of_a_container_is_killed_and_none_beside_it() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let container = cgroup.container();
    let agent = enforcing(&cgroup, "kill", "{kill: container}");
    let waiting = |cgroup: &Cgroup| {
        let mut deed = Deed::of(cgroup.inside(command(program(), "wait")));
        deed.hear();
        deed
    };
    // None descends from another.
    let (mut first, mut second) = (waiting(&container), waiting(&container));
    let mut bystander = waiting(&cgroup);
    let mut victim = victim(&container, folder.path());
    for deed in [&mut victim, &mut first, &mut second] {
        assert_eq!(deed.ended_within(PATIENCE).expect("it is killed").signal(), Some(libc::SIGKILL));
    }
    let record = answer(&agent, victim.pid(), "done");
    assert_eq!((&record["scope"], &record["processes"]), (&"container".into(), &3.into()));
    assert!(bystander.ended_within(Duration::ZERO).is_none());
}

#[test]
fn a_protected_process_is_not_killed_and_the_rail_is_named() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let own = program();
    let keys = format!("protected: [{}]", own.display());
    let agent = Setup::new().rules(&rule("kill", "{}")).enforce_with(&cgroup, &keys).without_events().start();
    let mut victim = victim(&cgroup, folder.path());
    victim.hear();
    let record = answer(&agent, victim.pid(), "refused");
    assert_eq!(
        (&record["refused_by"], &record["passed"]),
        (&"protected".into(), &serde_json::json!(["target", "identity"]))
    );
    assert!(victim.ended_within(Duration::ZERO).is_none());
}

/// A finding that asks for the end of a process.
fn finding(process: ProcessId) -> Finding {
    let response = Response { kill: Scope::Process, ..Response::default() };
    Finding { actions: vec![Action::Kill], response, ..crate::verdict::finding(process) }
}

#[test]
fn a_pid_that_was_used_again_is_not_killed() {
    live_once!();
    let mut first = Deed::of(command(program(), "wait"));
    first.hear();
    let process = ProcessId { pid: first.pid(), start: start_of(first.pid()) };
    drop(first);
    // In another tick of the clock by which processes are told apart.
    std::thread::sleep(Duration::from_millis(30));
    let arguments = [c"sleep".as_ptr(), c"60".as_ptr(), std::ptr::null()];
    let second = match crate::identity::fork_as(process.pid as i32) {
        // SAFETY: the child makes two system calls, on what was made before.
        0 => unsafe {
            libc::execv(c"/bin/sleep".as_ptr(), arguments.as_ptr());
            libc::_exit(1)
        },
        pid => pid,
    };
    if second < 0 {
        skip!("the kernel does not let this process choose a pid");
    }
    assert_eq!(second as u32, process.pid);
    // Until then it is what the agent of this test runs, which the agent protects.
    let runs = || std::fs::read_link(format!("/proc/{}/exe", process.pid)).unwrap();
    wait_for("it runs a program of its own", || runs() != program());
    let state = tempfile::tempdir().unwrap();
    let settings = openclaw_agent::respond::ResponseSettings {
        mode: Mode::Enforce,
        state: state.path().to_owned(),
        bpffs: "/nonexistent".into(),
        ..Default::default()
    };
    let mut responder = Responder::new(settings, Layout::UNKNOWN);
    let records = responder.on_finding(&finding(process), None, &NoLookup);
    let lives = !has_ended(process.pid);
    // The one that has the pid now is the one that is meant here.
    let now = ProcessId { start: start_of(process.pid), ..process };
    let killed = responder.on_finding(&finding(now), None, &NoLookup);
    // SAFETY: a child of this process, which is waited for; it gets no place for the status.
    unsafe {
        libc::kill(process.pid as i32, libc::SIGKILL);
        libc::waitpid(process.pid as i32, std::ptr::null_mut(), 0);
    }
    assert_eq!((records[0].outcome, records[0].refused_by), (Outcome::Refused, Some(Rail::Identity)));
    assert!(lives, "another process of that number was killed");
    assert!(matches!(killed[0].outcome, Outcome::Done | Outcome::Begun), "{killed:?}");
}
