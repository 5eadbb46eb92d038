//! An agent that is killed in the midst of an answer, at each step of it: what it leaves behind is made here by hand, and
//! the next one brings it to its end.

use std::path::Path;
use std::process::Child;
use std::time::{SystemTime, UNIX_EPOCH};

use openclaw_agent::respond::{
    ActionKind, ActionRecord, Endings, Outcome, Responder, ResponseSettings, keep_suspended, undo_all,
};
use openclaw_common::Layout;
use openclaw_detect::Mode;
use serde_json::{Value, json};

use super::{has_ended, stands_still};
use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
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
/// Returns its id.
fn note(folder: &Path, kind: &str, members: &[&Waiting], over: u64) -> String {
    let id = format!("{}-0123456789", &kind[..1]);
    let root = members[0].0.id();
    let of = |waiting: &&Waiting| json!({ "pid": waiting.0.id(), "start": start_of(waiting.0.id()) / 10_000_000, "was_stopped": false });
    let target = json!({ "process": { "id": { "pid": root, "start": start_of(root) }, "name": "sleep" } });
    // Not long ago: the store keeps nothing that is too old.
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let record = json!({
        "id": id, "finding": "f-1", "rule": "test", "kind": kind, "target": target, "scope": "tree",
        "outcome": "begun", "reason": Value::Null, "at": at, "expires": Value::Null, "verdict": Value::Null,
    });
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let members: Vec<Value> = members.iter().map(of).collect();
    let entry = json!({ "record": record, "container": Value::Null, "members": members, "expiry": over, "boot": boot.trim() });
    std::fs::write(folder.join(format!("{id}.json")), entry.to_string()).unwrap();
    id
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
    // The next agent says so, and where that is killed before it is on record, the one after it.
    let told = next_agent(folder.path(), Mode::Enforce).1;
    let outcomes: Vec<_> = told.iter().map(|record| (record.kind, record.outcome)).collect();
    assert_eq!(outcomes, [(ActionKind::Kill, Outcome::Done), (ActionKind::Suspend, Outcome::Expired)]);
    assert!(told.iter().all(|record| record.ended.is_some()), "{told:?}");
    assert_eq!(next_agent(folder.path(), Mode::Enforce).1, told);
    let endings = Endings::new(folder.path());
    told.iter().for_each(|record| endings.on_record(record));
    assert!(next_agent(folder.path(), Mode::Enforce).1.is_empty());
}

#[test]
fn what_a_keeper_ended_is_on_record_once_wherever_the_next_agents_are_killed() {
    live_once!();
    let mut agent = Setup::new().without_events().start();
    agent.end(libc::SIGKILL);
    let notes = agent.folder().join("control/answers");
    std::fs::create_dir_all(&notes).unwrap();
    let first = Waiting::new();
    let id = note(&notes, "suspend", &[&first], LATER);
    let (begun, ended) = (notes.join(format!("{id}.json")), notes.join(format!("{id}.ended")));
    let entry = std::fs::read(&begun).unwrap();
    // As the keeper does.
    std::fs::rename(begun, &ended).unwrap();
    let is_told = |line: &Value| line["id"] == id;

    // An agent that is killed while its store takes nothing.
    let database = rusqlite::Connection::open(agent.folder().join("store.db")).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON actions BEGIN SELECT RAISE(FAIL, 'full'); END";
    database.execute_batch(full).unwrap();
    agent.start_again();
    agent.wait_for("it is told all the same", is_told);
    agent.end(libc::SIGKILL);
    database.execute_batch("DROP TRIGGER full").unwrap();
    assert!(ended.exists());

    agent.start_again();
    assert_eq!(agent.wait_for("it is told", is_told)["outcome"], "expired");
    wait_for("its note is gone", || !ended.exists());
    let shown = |agent: &Agent| agent.json(&["response", "show", &id, "--output", "json"]);
    let on_record = shown(&agent);
    assert_eq!((&on_record["outcome"], &on_record["rule"]), (&"expired".into(), &"test".into()));

    // One that is killed when it is on record, and the note still there.
    agent.end(libc::SIGKILL);
    std::fs::write(&ended, entry).unwrap();
    agent.start_again();
    agent.settle();
    assert!(agent.lines(is_told).is_empty(), "{:?}", agent.lines(is_told));
    assert!(!ended.exists(), "{}", agent.log());
    assert_eq!(shown(&agent), on_record);
}

#[test]
fn a_block_that_is_over_and_whose_end_nobody_wrote_down_is_recorded_as_expired_by_the_next_agent() {
    live_once!();
    let cgroup = Cgroup::new();
    let mut agent = Setup::new().observe(&cgroup).without_events().start();
    let add = ["blocklist", "add", "203.0.113.77", "--for", "1s", "--output", "json"];
    let block = agent.json(&add);
    let id = block["id"].as_str().unwrap();
    let shown = |agent: &Agent| agent.json(&["response", "show", id, "--output", "json"]);
    wait_for("it is on record", || {
        agent.openclaw(&["response", "show", id, "--output", "json"]).status.success()
    });
    agent.end(libc::SIGKILL);
    std::thread::sleep(std::time::Duration::from_secs(1));
    // As one does that is killed before it has written down what it found to be over.
    undo_all(&agent.folder().join("bpf"), &agent.folder().join("control/answers")).unwrap();
    agent.start_again();
    agent.wait_for("it is told", |line| line["id"] == id && line["outcome"] == "expired");
    let record = shown(&agent);
    assert_eq!((&record["outcome"], &record["ended"]), (&"expired".into(), &block["expires"]));
}
