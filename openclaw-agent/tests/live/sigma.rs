//! Rules in Sigma's format, from what somebody does to the finding.

use std::fs;
use std::process::Stdio;

use crate::support::agent::Setup;
use crate::support::deed::{self, command, program};
use crate::support::live_once;

/// Of each log source whose events a program alone makes; `FOLDER` stands for the folder of the test. The last is mistaken.
const RULES: &str = "title: A Copied Program
logsource: {product: linux, category: process_creation}
detection:
  selection: {Image|endswith: '/copied', CommandLine|contains|all: ['COPIED ', '--flag']}
  filter: {ParentImage|endswith: '/nobody'}
  condition: selection and not filter
level: high
---
title: A Record Of Auditd
logsource: {product: linux, service: auditd}
detection:
  begun: {type: EXECVE, a1: '--flag'}
  tool: {type: SYSCALL, SYSCALL: execve, exe|endswith: /copied}
  condition: begun and tool
---
title: A File Is Made
logsource: {product: linux, category: file_event}
detection:
  selection: {TargetFilename|endswith: '/made.by.test'}
  condition: selection
---
title: A File Is Read
logsource: {product: linux, service: auditd}
detection:
  selection: {type: PATH, name: 'FOLDER/made.by.test'}
  condition: selection
---
title: Twice
correlation: {type: event_count, rules: [copied], group-by: [Image], timespan: 1h, condition: {gte: 2}}
---
title: Part Of Twice
name: copied
logsource: {product: linux, category: process_creation}
detection: {selection: {Image|endswith: '/copied'}, condition: selection}
---
title: Mistaken
logsource: {product: linux, category: process_creation}
detection: {selection: {Imgae: x}, condition: selection}
";

#[test]
fn rules_in_sigmas_format_find_what_they_ask_for_and_a_mistaken_one_keeps_none_from_it() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("copied");
    deed::copy(&program(), &copied);
    let agent = Setup::new().rules(&RULES.replace("FOLDER", folder.path().to_str().unwrap())).start();
    let run = || {
        let mut child = command(&copied, "nothing").arg("--flag").stderr(Stdio::null()).spawn().unwrap();
        child.wait().unwrap();
        child.id()
    };
    let first = run();
    for rule in ["a_copied_program", "a_record_of_auditd"] {
        let finding = agent.wait_for_finding(rule, |event| event["process"]["pid"] == first);
        assert_eq!(finding["event"]["process"]["executable"], copied.to_str().unwrap());
    }
    let made = folder.path().join("made.by.test");
    let is_of_file = |action: &str| {
        let (action, path) = (action.to_owned(), made.to_str().unwrap().to_owned());
        move |event: &serde_json::Value| event["event"]["action"] == action && event["file"]["path"] == path
    };
    fs::write(&made, "x").unwrap();
    agent.wait_for_finding("a_file_is_made", is_of_file("create"));
    fs::read(&made).unwrap();
    agent.wait_for_finding("a_file_is_read", is_of_file("read"));
    let second = run();
    let twice = agent.wait_for_finding("twice", |event| event["process"]["pid"] == second);
    assert_eq!(twice["evidence"]["count"], 2);
    assert!(agent.findings("part_of_twice", |_| true).is_empty(), "the correlation keeps it to itself");
    let status = agent.json(&["status", "--output", "json"]);
    assert!(status["warnings"].to_string().contains("Sigma rules with a mistake are left out"), "{status}");
}
