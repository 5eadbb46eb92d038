//! Rules that count, follow and know: on what the kernel tells, and over a reload and a restart of the agent.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::deed::{command, link};
use crate::support::{live_once, wait_for};

/// Runs a program that does nothing and ends.
fn run(program: &Path) -> u32 {
    let mut child = command(program, "nothing").stdout(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    pid
}

/// Links to a program that does nothing, in a folder that is gone with the test.
fn programs<const N: usize>(folder: &Path, names: [&str; N]) -> [PathBuf; N] {
    names.map(|name| link(folder, name))
}

fn rules(name: &str, what: &str) -> String {
    format!("rules:\n  - name: {name}\n    {what}\n")
}

/// A rule that counts programs of this name by who began them, which is this process in each test: none shares its name.
fn counting(program: &str) -> String {
    let condition = format!("event: process_create\n    condition: process.name == \"{program}\"");
    rules(
        "counted",
        &format!("{condition}\n    threshold: {{at_least: 3, within: 10m, by: [process.parent.pid]}}"),
    )
}

fn by_us(event: &Value) -> bool {
    event["process"]["parent"]["pid"] == std::process::id()
}

#[test]
fn the_third_program_in_time_is_found_with_what_it_was_counted_by() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let [counted] = programs(folder.path(), ["oc-counted"]);
    let agent = Setup::new().rules(&counting("oc-counted")).without_events().start();
    let pids: Vec<u32> = (0..5).map(|_| run(&counted)).collect();
    let finding = agent.wait_for_finding("counted", by_us);
    assert_eq!(finding["event"]["process"]["pid"], pids[2]);
    let key = &finding["evidence"]["key"][0];
    assert_eq!(key["field"], "process.parent.pid");
    assert_eq!(key["value"], std::process::id().to_string());
    assert!(finding["message"].as_str().unwrap().contains("3 events within 10m"), "{finding}");
    agent.settle();
    assert_eq!(agent.findings("counted", by_us).len(), 1, "told once");
}

#[test]
fn what_was_counted_and_learnt_survives_a_reload_and_a_restart() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let [counted, known, unknown] = programs(folder.path(), ["kept-counted", "kept-known", "kept-new"]);
    let new = "event: process_create\n    condition: process.name startswith \"kept-\"\n    \
               new: {field: process.name, learn: 1s}";
    let setup = Setup::new().rules(&counting("kept-counted")).rules(&rules("new", new));
    let mut agent = setup.start();
    run(&counted);
    run(&known);
    agent.settle();

    let other = agent.folder().join("rules-1.yml");
    let changed = std::fs::read_to_string(&other).unwrap() + "    severity: low\n";
    std::fs::write(&other, changed).unwrap();
    agent.wait_for_log("changed counted");
    run(&counted);
    agent.settle();
    assert!(agent.findings("counted", by_us).is_empty(), "there are two");

    agent.end(libc::SIGTERM);
    agent.start_again();
    let third = run(&counted);
    let finding = agent.wait_for_finding("counted", by_us);
    assert_eq!(finding["event"]["process"]["pid"], third);
    assert_eq!(finding["severity"], "low");
    run(&known);
    let pid = run(&unknown);
    let finding = agent.wait_for_finding("new", by_us);
    assert_eq!(finding["event"]["process"]["pid"], pid, "the others were known");
}

#[test]
fn steps_of_one_tree_of_processes_are_a_sequence() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let [outer, first, second] = programs(folder.path(), ["oc-outer", "oc-first", "oc-second"]);
    let sequence = "sequence:\n      within: 1m\n      by: [process.tree]\n      steps:\n      \
                    - process.name == \"oc-first\"\n      - process.name == \"oc-second\"";
    let agent = Setup::new().rules(&rules("steps", sequence)).start();
    command(&outer, "spawn").arg(&first).status().unwrap();
    let mut child = command(&outer, "spawn").arg(&second).spawn().unwrap();
    child.wait().unwrap();
    let finding = agent.wait_for_finding("steps", |event| event["process"]["name"] == "oc-second");
    let tree = &finding["event"]["process"]["entry_leader"]["entity_id"];
    assert_eq!(&finding["evidence"]["key"][0]["value"], tree);
    let first = agent.wait_for_event("process_create", |event| event["process"]["name"] == "oc-first");
    assert_eq!(&first["process"]["entry_leader"]["entity_id"], tree, "a sibling's child");
}

/// The names of the rules that run.
fn running(agent: &Agent) -> u64 {
    agent.json(&["status", "--output", "json"])["rules"].as_u64().unwrap()
}

#[test]
fn rules_are_read_again_when_asked_all_of_them_or_none() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let [late] = programs(folder.path(), ["oc-late"]);
    let agent = Setup::new().rules(&rules("a", "condition: process.name == \"oc-early\"")).start();
    let before = running(&agent);
    let file = agent.folder().join("rules-1.yml");
    let added = rules("a", "condition: process.name == \"oc-late\"")
        + "  - name: b\n    condition: process.name == \"oc-late\"\n";
    std::fs::write(&file, &added).unwrap();
    let reloaded = agent.openclaw(&["rules", "reload"]);
    let said = String::from_utf8(reloaded.stdout).unwrap();
    assert_eq!(said, format!("{} rules run: added b; changed a\n", before + 1));
    run(&late);
    for rule in ["a", "b"] {
        agent.wait_for_finding(rule, |event| event["process"]["name"] == "oc-late");
    }

    std::fs::write(&file, added.replace("process.name", "process.nmae")).unwrap();
    let refused = agent.openclaw(&["rules", "reload"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("did you mean `process.name`?"), "{said}");
    let warnings = agent.json(&["status", "--output", "json"])["warnings"].clone();
    assert!(warnings[0].as_str().unwrap().contains("2 mistakes"), "{warnings}");
    assert_eq!(running(&agent), before + 1, "those before go on");

    std::fs::write(&file, &added).unwrap();
    wait_for("the files are right again, and it is noticed", || {
        agent.json(&["status", "--output", "json"])["warnings"] == Value::Array(Vec::new())
    });
}
