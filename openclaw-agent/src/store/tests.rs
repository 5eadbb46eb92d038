use std::fs;
use std::sync::Arc;
use std::time::Duration;

use openclaw_detect::{Action, Severity};

use super::*;
use crate::respond::action::{ActionKind, Target};

fn finding(id: &str, at: u64, severity: Severity) -> Finding {
    Finding {
        id: id.to_owned(),
        rule: format!("rule_{severity}"),
        severity,
        confidence: 0.9,
        title: "title".to_owned(),
        message: "message".to_owned(),
        timestamp: Timestamp(at),
        actions: vec![Action::Alert],
        response: openclaw_detect::Response::default(),
        tags: vec!["attack.t1046".to_owned()],
        process: None,
        remote: None,
        quiet: false,
        evidence: None,
        event: serde_json::json!({"process": {"name": "nc"}}),
    }
}

fn action(id: &str, at: u64, expires: Option<u64>) -> ActionRecord {
    let target = Target::Network("192.0.2.7".to_owned());
    ActionRecord {
        finding: Some("f1".to_owned()),
        outcome: Outcome::Done,
        expires: expires.map(Timestamp),
        ..ActionRecord::asked(id.to_owned(), ActionKind::Block, target, Timestamp(at))
    }
}

fn store() -> (tempfile::TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/openclaw.db");
    let opened = Store::open(&path).unwrap();
    assert_eq!(opened.moved_aside, None);
    (folder, path, opened.store)
}

fn ids(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.id.as_str()).collect()
}

#[test]
fn findings_come_back_whole_the_newest_first_and_filtered() {
    let (_folder, _, store) = store();
    let kept = finding("f2", 2, Severity::High);
    for finding in [finding("f1", 1, Severity::Info), kept.clone(), finding("f3", 3, Severity::Critical)] {
        store.insert_finding(&finding).unwrap();
        store.insert_finding(&finding).unwrap();
    }
    assert_eq!(ids(&store.findings(&Filter::default(), 10).unwrap()), ["f3", "f2", "f1"]);
    assert_eq!(ids(&store.findings(&Filter::default(), 1).unwrap()), ["f3"]);
    let severe = Filter { severity: Some(Severity::High), ..Filter::default() };
    assert_eq!(ids(&store.findings(&severe, 10).unwrap()), ["f3", "f2"]);
    let by_rule = Filter { rule: Some("rule_high".to_owned()), ..Filter::default() };
    assert_eq!(store.findings(&by_rule, 10).unwrap(), [kept]);
    let late = Filter { since: Some(Timestamp(3)), ..Filter::default() };
    assert_eq!(ids(&store.findings(&late, 10).unwrap()), ["f3"]);
}

#[test]
fn a_finding_is_found_by_the_beginning_of_its_id_when_no_other_shares_it() {
    let (_folder, _, store) = store();
    for id in ["abc1", "abc2", "abc", "x%y"] {
        store.insert_finding(&finding(id, 1, Severity::Low)).unwrap();
    }
    assert_eq!(store.finding("abc1").unwrap().id, "abc1");
    assert_eq!(store.finding("abc").unwrap().id, "abc", "the whole id wins over longer ones");
    assert_eq!(store.finding("x").unwrap().id, "x%y");
    assert!(store.finding("ab").unwrap_err().to_string().contains("more than one"));
    assert!(store.finding("%").is_err());
}

#[test]
fn an_action_is_replaced_by_its_next_state() {
    let (_folder, _, store) = store();
    store.upsert_action(&action("a1", 1, Some(100))).unwrap();
    store.upsert_action(&action("a2", 2, None)).unwrap();
    let undone = ActionRecord { outcome: Outcome::Undone, ..action("a2", 2, None) };
    store.upsert_action(&undone).unwrap();
    assert_eq!(store.actions(10).unwrap(), [undone, action("a1", 1, Some(100))]);
    assert_eq!(store.actions_of("f1").unwrap().len(), 2);
    let same = ActionRecord { verdict: Some("a1".to_owned()), ..action("a3", 0, Some(200)) };
    store.upsert_action(&same).unwrap();
    assert_eq!(store.actions_in_force(Timestamp(99)).unwrap().len(), 1, "the verdict, not who asked again");
    assert_eq!(store.actions_in_force(Timestamp(100)).unwrap().len(), 0);
}

#[test]
fn what_was_begun_and_has_no_end_is_found_again() {
    let (_folder, _, store) = store();
    let begun = |id, at| ActionRecord { outcome: Outcome::Begun, ..action(id, at, None) };
    let ended = ActionRecord { ended: Some(Timestamp(50)), ..action("a5", 5, Some(50)) };
    let again = ActionRecord { verdict: Some("a7".to_owned()), ..action("a6", 6, Some(50)) };
    let failed = ActionRecord { outcome: Outcome::Failed, ..action("a8", 8, Some(60)) };
    let refused = ActionRecord { outcome: Outcome::Refused, ..action("a9", 9, Some(50)) };
    for action in
        [begun("a2", 2), begun("a1", 1), begun("a3", 3), action("a4", 4, None), ended, again, refused]
    {
        store.upsert_action(&action).unwrap();
    }
    for action in
        [action("a3", 3, None), action("a7", 7, Some(50)), failed.clone(), action("b1", 10, Some(61))]
    {
        store.upsert_action(&action).unwrap();
    }
    let unended = store.actions_unended(Timestamp(60)).unwrap();
    assert_eq!(unended, [begun("a1", 1), begun("a2", 2), action("a7", 7, Some(50)), failed]);
}

#[test]
fn readers_see_what_the_agent_writes_and_what_it_left() {
    let (_folder, path, store) = store();
    store.insert_finding(&finding("f1", 1, Severity::Low)).unwrap();
    assert_eq!(Store::open_read_only(&path).unwrap().findings(&Filter::default(), 10).unwrap().len(), 1);
    drop(store);
    let reader = Store::open_read_only(&path).unwrap();
    assert_eq!(reader.findings(&Filter::default(), 10).unwrap().len(), 1);
    assert!(reader.insert_finding(&finding("f2", 2, Severity::Low)).is_err());
}

#[test]
fn a_reader_is_told_when_there_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open_read_only(&folder.path().join("none.db")).unwrap_err().to_string();
    assert!(error.contains("no agent has run here"), "{error}");
}

#[test]
fn a_damaged_database_is_moved_aside_and_the_agent_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.db");
    fs::write(&path, "this is no database, however long one reads in it").unwrap();
    let opened = Store::open(&path).unwrap();
    let aside = opened.moved_aside.unwrap();
    assert!(fs::read_to_string(aside).unwrap().starts_with("this is no database"));
    opened.store.insert_finding(&finding("f1", 1, Severity::Low)).unwrap();
}

#[test]
fn damage_in_the_middle_is_noticed_when_the_database_is_opened() {
    let (_folder, path, store) = store();
    for n in 0..2000 {
        store.insert_finding(&finding(&format!("f{n:05}"), n, Severity::Low)).unwrap();
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    assert!(Store::open(&path).unwrap().moved_aside.is_some());
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let (_folder, path, store) = store();
    store.db.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    assert!(matches!(Store::open(&path), Err(StoreError::Newer { found: 99, .. })));
    assert!(matches!(Store::open_read_only(&path), Err(StoreError::Newer { found: 99, .. })));
}

#[test]
fn what_is_too_old_goes_and_an_action_in_force_stays() {
    let (_folder, _, store) = store();
    let second = 1_000_000_000;
    store.insert_finding(&finding("old", second, Severity::Low)).unwrap();
    store.insert_finding(&finding("new", 100 * second, Severity::Low)).unwrap();
    store.upsert_action(&action("over", second, Some(2 * second))).unwrap();
    store.upsert_action(&action("in_force", second, Some(1000 * second))).unwrap();
    let limits = Limits { max_age: Duration::from_secs(50), max_size: u64::MAX };
    let pruned = store.prune(Timestamp(110 * second), limits).unwrap();
    assert_eq!(pruned, Pruned { by_age: 2, by_size: 0, more: false });
    assert_eq!(ids(&store.findings(&Filter::default(), 10).unwrap()), ["new"]);
    assert_eq!(store.actions(10).unwrap()[0].id, "in_force");
}

#[test]
fn what_does_not_fit_goes_the_oldest_first_and_the_file_shrinks() {
    let (_folder, path, store) = store();
    for n in 0..3000 {
        store.insert_finding(&finding(&format!("f{n:05}"), n, Severity::Low)).unwrap();
    }
    let limits = Limits { max_age: Duration::MAX, max_size: 200_000 };
    let pruned = prune_all(&store, limits);
    let left = store.findings(&Filter::default(), u32::MAX).unwrap();
    assert_eq!(pruned.by_size + left.len() as u64, 3000);
    assert!(store.size().unwrap() <= 200_000);
    assert!(!left.is_empty() && left[0].id == "f02999", "the newest stay");
    drop(store);
    assert!(fs::metadata(&path).unwrap().len() < 400_000);
}

#[test]
fn of_many_of_the_same_moment_no_more_go_than_must_and_few_at_a_time() {
    let (_folder, _, store) = store();
    for n in 0..6000 {
        store.insert_finding(&finding(&format!("f{n:05}"), 7, Severity::Low)).unwrap();
    }
    let limits = Limits { max_age: Duration::MAX, max_size: store.size().unwrap() / 2 };
    let once = store.prune(Timestamp(u64::MAX), limits).unwrap();
    assert!(once.more && once.by_size <= 1024, "{once:?}");
    prune_all(&store, limits);
    let left = store.findings(&Filter::default(), u32::MAX).unwrap().len();
    assert!((2500..3500).contains(&left), "{left} are left");
}

/// Deletes until there is no more to delete. Returns how much that was.
fn prune_all(store: &Store, limits: Limits) -> Pruned {
    let mut all = Pruned { more: true, ..Pruned::default() };
    while all.more {
        all += store.prune(Timestamp(u64::MAX), limits).unwrap();
    }
    all
}

#[test]
fn the_writer_writes_everything_before_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.db");
    let limits = Limits { max_age: Duration::MAX, max_size: u64::MAX };
    let (writer, thread) = Writer::start(&path, limits, "web-1".to_owned(), Arc::new(())).unwrap();
    for n in 0..1000 {
        writer.clone().finding(finding(&format!("f{n:05}"), n, Severity::Low), Vec::new(), Vec::new());
    }
    writer.action(action("a1", 1, None), None);
    assert_eq!(writer.lost(), 0);
    thread.finish();
    let store = Store::open_read_only(&path).unwrap();
    assert_eq!(store.findings(&Filter::default(), u32::MAX).unwrap().len(), 1000);
    assert_eq!(store.actions(10).unwrap().len(), 1);
}

#[test]
fn the_writer_counts_what_the_database_does_not_take() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.db");
    let limits = Limits { max_age: Duration::MAX, max_size: u64::MAX };
    let (writer, thread) = Writer::start(&path, limits, "web-1".to_owned(), Arc::new(())).unwrap();
    let sabotage = Connection::open(&path).unwrap();
    sabotage.execute_batch("DROP TABLE findings").unwrap();
    writer.finding(finding("f1", 1, Severity::Low), Vec::new(), Vec::new());
    writer.action(action("a1", 1, None), None);
    thread.finish();
    assert_eq!(writer.lost(), 1);
    writer.action(action("a2", 1, None), None);
    assert_eq!(writer.lost(), 2, "nothing is written any more");
    assert_eq!(Store::open_read_only(&path).unwrap().actions(10).unwrap().len(), 1, "the action is kept");
}
