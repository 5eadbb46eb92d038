//! An agent that is killed in the midst of an answer, at each step of it: what it leaves behind is made here by hand, and
//! the next one brings it to its end.

use std::path::Path;
use std::process::Child;

use openclaw_agent::respond::{
    ActionKind, ActionRecord, Outcome, Responder, ResponseSettings, keep_suspended,
};
use openclaw_common::Layout;
use openclaw_detect::Mode;
use serde_json::{Value, json};

use super::{has_ended, stands_still};
use crate::support::{live_once, start_of, wait_for};

/// A program that waits, and is killed when it is dropped.
struct Waiting(Child);

impl Waiting {
    fn new() -> Self {
        Waiting(std::process::Command::new("sleep").arg("60").spawn().unwrap())
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a child of this process, which is not waited for before it is dropped.
        unsafe { libc::kill(self.0.id() as i32, signal) };
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Notes an answer to these processes as an agent does before it begins it; `over` in so many nanoseconds since boot.
fn note(folder: &Path, kind: &str, members: &[&Waiting], over: u64) {
    let id = format!("{}-0123456789", &kind[..1]);
    let root = members[0].0.id();
    let of = |waiting: &&Waiting| json!({ "pid": waiting.0.id(), "start": start_of(waiting.0.id()) / 10_000_000, "was_stopped": false });
    let target = json!({ "process": { "id": { "pid": root, "start": start_of(root) }, "name": "sleep" } });
    let record = json!({
        "id": id, "finding": "f-1", "rule": "test", "kind": kind, "target": target, "scope": "tree",
        "outcome": "begun", "reason": Value::Null, "at": 1, "expires": Value::Null, "verdict": Value::Null,
    });
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let members: Vec<Value> = members.iter().map(of).collect();
    let entry = json!({ "record": record, "container": Value::Null, "members": members, "expiry": over, "boot": boot.trim() });
    std::fs::write(folder.join(format!("{id}.json")), entry.to_string()).unwrap();
}

/// What the next agent tells of what it found, and the agent.
fn next_agent(folder: &Path, mode: Mode) -> (Responder, Vec<ActionRecord>) {
    let settings = ResponseSettings {
        mode,
        state: folder.to_owned(),
        bpffs: "/nonexistent".into(),
        ..Default::default()
    };
    let mut responder = Responder::new(settings, Layout::UNKNOWN);
    let told = responder.tick();
    (responder, told)
}

const LATER: u64 = u64::MAX / 2;

#[test]
fn a_tree_that_was_stopped_to_be_killed_is_killed_by_the_next_agent() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Waiting::new(), Waiting::new());
    // It was killed before it had stopped the second one.
    first.signal(libc::SIGSTOP);
    wait_for("it stands still", || stands_still(first.0.id()));
    note(folder.path(), "kill", &[&first, &second], LATER);
    let (_responder, told) = next_agent(folder.path(), Mode::Enforce);
    wait_for("both have ended", || has_ended(first.0.id()) && has_ended(second.0.id()));
    assert_eq!((told[0].kind, told[0].processes), (ActionKind::Kill, Some(2)));
}

#[test]
fn a_tree_that_was_stopped_to_be_killed_goes_on_where_the_next_agent_only_watches() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let first = Waiting::new();
    first.signal(libc::SIGSTOP);
    note(folder.path(), "kill", &[&first], LATER);
    let (_responder, told) = next_agent(folder.path(), Mode::Observe);
    wait_for("it goes on", || !stands_still(first.0.id()));
    assert_eq!(told[0].outcome, Outcome::Undone);
    assert!(!has_ended(first.0.id()));
}

#[test]
fn a_suspension_that_was_noted_and_not_begun_is_begun_by_the_next_agent_and_taken_back() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let first = Waiting::new();
    note(folder.path(), "suspend", &[&first], LATER);
    let (mut responder, told) = next_agent(folder.path(), Mode::Enforce);
    wait_for("it stands still", || stands_still(first.0.id()));
    assert!(matches!(told[0].outcome, Outcome::Begun | Outcome::Done), "{told:?}");
    assert_eq!(responder.live().len(), 1);
    responder.undo(&told[0].id).unwrap();
    wait_for("it goes on", || !stands_still(first.0.id()));
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().ends_with(".json")));
}

#[test]
fn a_suspension_that_is_over_is_ended_by_the_next_agent() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let first = Waiting::new();
    first.signal(libc::SIGSTOP);
    note(folder.path(), "suspend", &[&first], 1);
    let (_responder, told) = next_agent(folder.path(), Mode::Enforce);
    wait_for("it goes on", || !stands_still(first.0.id()));
    assert_eq!(told[0].outcome, Outcome::Expired);
}

#[test]
fn where_no_agent_comes_the_keeper_ends_what_was_begun() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let (suspended, doomed) = (Waiting::new(), Waiting::new());
    for waiting in [&suspended, &doomed] {
        waiting.signal(libc::SIGSTOP);
        wait_for("it stands still", || stands_still(waiting.0.id()));
    }
    note(folder.path(), "suspend", &[&suspended], 1);
    note(folder.path(), "kill", &[&doomed], 1);
    // It ends when nothing is noted any more.
    keep_suspended(folder.path()).unwrap();
    wait_for("it goes on", || !stands_still(suspended.0.id()));
    wait_for("it has ended", || has_ended(doomed.0.id()));
    assert!(!has_ended(suspended.0.id()));
    // The next agent says so, once.
    let told = next_agent(folder.path(), Mode::Enforce).1;
    let outcomes: Vec<_> = told.iter().map(|record| (record.kind, record.outcome)).collect();
    assert_eq!(outcomes, [(ActionKind::Kill, Outcome::Done), (ActionKind::Suspend, Outcome::Expired)]);
    assert!(told.iter().all(|record| record.ended.is_some()), "{told:?}");
    assert!(next_agent(folder.path(), Mode::Enforce).1.is_empty());
}
