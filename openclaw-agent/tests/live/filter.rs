//! What the kernel leaves out because no rule wants it: counted, and never something that a rule wants.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::support::agent::{Agent, Setup};
use crate::support::deed::{self, Deeds};
use crate::support::{live, wait_for};

pub(crate) const DEEDS: Deeds = &[("use files", use_files)];

/// Files that no rule names.
const OTHERS: usize = 200;

/// Reads, writes, renames and deletes below a folder, by several ways to each file.
fn use_files(args: &[OsString]) -> i32 {
    let folder = Path::new(&args[0]);
    let secrets = folder.join("secrets");
    for number in 0..OTHERS {
        fs::read(folder.join(format!("other-{number}"))).unwrap();
    }
    fs::read(secrets.join("key")).unwrap();
    fs::read(secrets.join("../secrets/deep/er/key")).unwrap();
    fs::read(folder.join("link")).unwrap();
    std::env::set_current_dir(&secrets).unwrap();
    fs::read("deep/key").unwrap();
    fs::read(folder.join("single")).unwrap();
    fs::read(folder.join("single-not")).unwrap();
    fs::write(folder.join("made.conf"), "x").unwrap();
    fs::rename(folder.join("made.conf"), folder.join("moved.conf")).unwrap();
    fs::remove_file(folder.join("moved.conf")).unwrap();
    0
}

/// Rules by each of the ways in which the kernel can be told what to look for.
fn rules(folder: &Path) -> String {
    let folder = folder.display();
    let rule = |name: &str, condition: &str| {
        format!(
            "  - name: {name}\n    event: file_access\n    condition: |\n      {condition}\n    severity: info\n    \
             action: alert\n"
        )
    };
    [
        "rules:\n".to_owned(),
        rule("below", &format!("event.action == \"read\" and file.path startswith \"{folder}/secrets/\"")),
        rule("one", &format!("event.action == \"read\" and file.path == \"{folder}/single\"")),
        rule("folder", &format!("event.action == \"read\" and file.directory == \"{folder}/secrets/deep\"")),
        rule("glob", &format!("event.action == \"read\" and file.path glob \"{folder}/secrets/*/er/*\"")),
        rule("made", &format!("event.action == \"create\" and file.path == \"{folder}/made.conf\"")),
        rule("moved", "event.action == \"rename\" and file.name == \"moved.conf\""),
        rule("deleted", &format!("event.action == \"delete\" and file.directory == \"{folder}\"")),
    ]
    .concat()
}

/// What the agent found the process do: rule and path.
fn found(agent: &Agent, pid: u32) -> BTreeSet<(String, String)> {
    let findings = agent.lines(|line| line["type"] == "finding" && line["event"]["process"]["pid"] == pid);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    findings.iter().map(|line| (text(&line["rule"]), text(&line["event"]["file"]["path"]))).collect()
}

#[test]
fn what_the_kernel_leaves_out_is_counted_and_no_rule_loses_a_match_by_it() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    fs::create_dir_all(secrets.join("deep/er")).unwrap();
    for file in ["key", "deep/key", "deep/er/key"] {
        fs::write(secrets.join(file), "x").unwrap();
    }
    for file in ["single", "single-not"] {
        fs::write(folder.path().join(file), "x").unwrap();
    }
    std::os::unix::fs::symlink(secrets.join("deep/er/key"), folder.path().join("link")).unwrap();
    for number in 0..OTHERS {
        fs::write(folder.path().join(format!("other-{number}")), "x").unwrap();
    }

    let filtering = Setup::new().rules(&rules(folder.path())).without_events().start();
    // One that is asked for every event leaves out nothing.
    let seeing = Setup::new().rules(&rules(folder.path())).start();
    let mut child = deed::command(deed::program(), "use files").arg(folder.path()).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    seeing.settle();
    filtering.settle();

    let all = found(&seeing, pid);
    let of = |rule: &str| all.iter().filter(|(name, _)| name == rule).count();
    assert_eq!(
        ["below", "one", "folder", "glob", "made", "moved", "deleted"].map(of),
        [3, 1, 1, 1, 1, 1, 1],
        "{all:#?}"
    );
    wait_for("the agent that filters finds the same", || found(&filtering, pid) == all);
    wait_for("what was left out is counted", || filtering.lost("unwatched_read") >= OTHERS as u64);
    let reads = seeing.count("file_access", |event| {
        event["process"]["pid"] == pid
            && event["file"]["name"].as_str().is_some_and(|name| name.starts_with("other-"))
    });
    assert_eq!(reads, OTHERS);
}
