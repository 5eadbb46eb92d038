//! The built command, as a user without a running agent meets it. Needs no privilege.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use openclaw_agent::output::time;
use openclaw_agent::store::{Limits, Writer};
use openclaw_detect::{
    EventKind, Evidence, Field, Finding, Match, ProcessId, RecordedEvent, RuleSet, Source,
};

/// Runs `openclaw` in a folder of its own, with a configuration that keeps everything there.
struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    fn new() -> Host {
        let host = Host { folder: tempfile::tempdir().unwrap() };
        host.write(
            "openclaw-config.yml",
            "store: { path: state/openclaw.db }\napi: { socket: run/openclaw.sock }\n",
        );
        host
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_openclaw"))
            .args(line.split(' '))
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("TZ", "UTC")
            .env_remove("OPENCLAW_LOG")
            .output()
            .unwrap()
    }

    /// What a command that works prints.
    fn stdout(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(0), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command that fails with this code says.
    fn stderr(&self, line: &str, code: i32) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Two findings of shipped rules, written as the agent writes them.
    fn with_findings(self) -> Host {
        let rules = RuleSet::load(&Source::shipped()).unwrap();
        let limits = Limits { max_age: std::time::Duration::MAX, max_size: u64::MAX };
        let host = "web-1".to_owned();
        let (writer, thread) =
            Writer::start(&self.path().join("state/openclaw.db"), limits, host, Arc::new(())).unwrap();
        for (id, rule) in [("aa01", "suspicious_process"), ("ab02", "data_exfiltration")] {
            let event = RecordedEvent::new(EventKind::ProcessCreate, time::now())
                .with_process(ProcessId { pid: 4711, start: 1 })
                .with(Field::ProcessName, "nc")
                .with(Field::ProcessCommandLine, "nc \x1b[31m -l 4444");
            let found = Match { rule: rules.get(rule).unwrap(), evidence: Evidence::default(), told: true };
            writer.finding(Finding::new(id.to_owned(), found, &event), Vec::new(), Vec::new());
        }
        thread.finish();
        self
    }
}

#[test]
fn commands_that_need_an_agent_say_how_to_start_one() {
    let host = Host::new();
    for line in [
        "status",
        "security status",
        "security logs",
        "security logs --follow",
        "gateway status",
        "blocklist list",
        "blocklist add 192.0.2.1",
        "isolate 4711",
        "release x",
        "response undo x",
        "events --follow",
    ] {
        let said = host.stderr(line, 1);
        assert!(said.contains("no agent is running") && said.contains("openclaw run"), "{line}: {said}");
    }
}

/// A `systemctl` of the test's own, before any other.
fn with_systemctl(host: &Host, script: &str) -> Command {
    host.write("systemctl", &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(host.path().join("systemctl"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw"));
    let path = format!("{}:{}", host.path().display(), std::env::var("PATH").unwrap());
    command.args(["gateway", "restart"]).current_dir(host.path()).env("HOME", host.path()).env("PATH", path);
    command.env_remove("OPENCLAW_LOG").env_remove("KUBERNETES_SERVICE_HOST");
    command
}

#[test]
fn a_service_that_cannot_be_restarted_says_why_and_what_to_do_instead() {
    let host = Host::new();
    let said = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let mut no_systemd = with_systemctl(&host, "echo 'System has not been booted with systemd.' >&2; exit 1");
    let text = said(&mut no_systemd);
    assert!(text.contains("not been booted with systemd") && text.contains("sudo openclaw run"), "{text}");
    let text = said(no_systemd.env("KUBERNETES_SERVICE_HOST", "192.0.2.1"));
    assert!(text.contains("`kubectl rollout restart daemonset/openclaw`"), "{text}");
    let text = said(&mut with_systemctl(&host, "echo LoadState=not-found"));
    assert!(text.contains("it is not installed"), "{text}");
    let fails = "[ $2 = show ] && echo LoadState=loaded && exit; echo 'Job for x failed.' >&2; exit 1";
    let text = said(&mut with_systemctl(&host, fails));
    assert!(text.contains("was not restarted") && text.contains("Job for x failed"), "{text}");
    // What the agent would not start with ends none that runs.
    host.write("openclaw-config.yml", "nothing: x\n");
    let text = said(&mut with_systemctl(&host, "touch asked; echo LoadState=loaded"));
    assert!(text.contains("not restarted") && !host.path().join("asked").exists(), "{text}");
}

#[test]
fn a_wrong_command_line_exits_with_2_and_help_with_0() {
    let host = Host::new();
    host.stderr("no-such-command", 2);
    host.stderr("blocklist add example.com", 2);
    assert!(host.stdout("--help").contains("Exit codes"));
    assert!(host.stdout("--version").starts_with("openclaw "));
}

#[test]
fn mistakes_in_the_configuration_are_told_by_place_by_every_command() {
    let host = Host::new();
    assert!(host.stdout("config check").contains("openclaw-config.yml: good"));
    host.write("bad.yml", "security:\n  response:\n    mode: enforced\n");
    for line in ["config check --config bad.yml", "status --config bad.yml", "run --config bad.yml"] {
        let said = host.stderr(line, 1);
        assert!(said.contains("bad.yml:3:11: ") && said.contains("`enforce`"), "{line}: {said}");
    }
    host.write("later.yml", "services: []\n");
    let output = host.run("config check --config later.yml");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("`services` has no effect"), "{output:?}");
}

#[test]
fn a_configuration_that_others_can_write_is_refused() {
    let host = Host::new();
    let path = host.path().join("openclaw-config.yml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(host.stderr("run", 1).contains("chmod o-w"));
}

#[test]
fn config_show_hides_secrets() {
    let host = Host::new();
    host.write(
        "c.yml",
        "security: { alerting: { channels: { webhook: { url: 'https://h.example/T0KEN', headers: { A: 's3cr3t' } } } } }\n",
    );
    for line in ["config show --config c.yml", "config show --config c.yml --output json"] {
        let shown = host.stdout(line);
        assert!(
            shown.contains("https://h.example/") && !shown.contains("T0KEN") && !shown.contains("s3cr3t")
        );
    }
}

#[test]
fn rules_are_checked_by_file_line_and_column() {
    let host = Host::new();
    assert!(host.stdout("rules check").contains("good"));
    assert!(host.stdout("rules list").contains("data_exfiltration"));
    assert!(host.stdout("rules fields").contains("process.command_line"));
    host.write(
        "r.yml",
        "rules:\n- name: x\n  condition: process.nmae == 'a'\n  severity: low\n  action: alert\n",
    );
    let output = host.run("rules check r.yml");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("r.yml:3:14") && said.contains("did you mean `process.name`"), "{said}");
}

#[test]
fn mistakes_are_printed_for_code_hosts_too() {
    let host = Host::new();
    host.write("r.yml", "rules:\n- name: x\n  condition: process.nmae == 'a'\n");
    let output = host.run("rules check r.yml --format sarif");
    assert_eq!(output.status.code(), Some(1));
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["runs"][0]["results"].as_array().unwrap().len(), 1);
    let schema: serde_json::Value = serde_json::from_str(&host.stdout("rules schema")).unwrap();
    assert_eq!(schema["type"], "object");
}

const SIGMA: &str = "title: Netcat
logsource: {product: linux, category: process_creation}
detection: {selection: {Image|endswith: /a}, condition: selection}
---
title: Other
logsource: {product: linux, category: process_creation}
detection: {selection: {Image|endswith: /nowhere}, condition: selection}
---
title: In Part
logsource: {product: linux, service: auditd}
detection: {a: {type: EXECVE, a0: x}, b: {type: TTY}, condition: 1 of them}
---
title: Never
logsource: {product: windows, category: process_creation}
detection: {selection: {Image: x}, condition: selection}
";

#[test]
fn rules_in_sigmas_format_are_reported_written_and_run() {
    let host = Host::new();
    host.write("sigma.yml", SIGMA);
    host.write(
        "events.jsonl",
        "{\"@timestamp\":\"2026-01-01T00:00:00Z\",\"event\":{\"dataset\":\"process_create\",\"action\":\"exec\"},\"process\":{\"executable\":\"/bin/a\"}}\n",
    );
    let report = host.stdout("rules import sigma.yml --report --events events.jsonl");
    assert!(report.contains("4 rules: 1 fired; 1 mapped, not shown; 1 in part; 1 never"), "{report}");
    assert!(report.contains("records of type TTY") && report.contains("it is for windows"), "{report}");
    let lines = host.stdout("rules import sigma.yml --report --events events.jsonl --output json");
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["status"], &first["fired"]), (&"fired".into(), &1.into()));
    host.write("old.yml", &SIGMA.replace("title: Netcat\n", "title: Netcat\nstatus: deprecated\n"));
    let report = host.stdout("rules import old.yml --report --events events.jsonl");
    assert!(report.contains("4 rules: 1 mapped, not shown; 1 in part; 1 not run; 1 never"), "{report}");
    // What is written is what runs.
    host.stdout("rules import sigma.yml --to ours");
    assert!(host.stderr("rules import sigma.yml --to ours", 1).contains("`--force` replaces it"));
    host.stdout("rules import sigma.yml --to ours --force");
    let found = |rules: &str| host.stdout(&format!("replay events.jsonl --rules {rules} --output json"));
    assert!(found("ours").contains("\"rule\":\"netcat\""));
    assert_eq!(found("ours"), found("sigma.yml"));
    let said = host.stdout("rules check sigma.yml");
    assert!(said.contains("this Sigma rule can never fire") && said.contains("3 rules"), "{said}");
    host.write("broken.yml", &SIGMA.replace("Image|endswith: /a", "Imgae: /a"));
    let output = host.run("rules check broken.yml");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("broken.yml:3:25") && said.contains("did you mean `Image`"), "{said}");
    assert!(host.stderr("rules import events.jsonl", 1).contains("there is no Sigma rule"));
    // Events of which none is a rule's are no findings, and mistakes keep no other rule from running.
    assert!(found("broken.yml").is_empty());
}

const TESTED: &str = "rules:
- name: x
  event: process_create
  condition: process.name == 'a'
  tests:
  - name: a is found
    events: [{event: process_create, process.name: a}]
    expect: 1
  - name: from a file
    events: events.jsonl
    expect: 1
    on: 2
";

const EVENTS: &str = r#"{"@timestamp":"2026-01-01T00:00:00Z","event":{"dataset":"process_create"},"process":{"name":"b"}}
{"@timestamp":"2026-01-01T00:00:01Z","event":{"dataset":"process_create"},"process":{"name":"a"}}
"#;

#[test]
fn tests_of_rules_pass_or_fail_and_say_what_is_missing() {
    let host = Host::new();
    assert!(host.stdout("rules test --strict").contains(" 0 failed, 0 rules without both"));
    fs::create_dir(host.path().join("rules")).unwrap();
    host.write("rules/r.yml", TESTED);
    host.write("rules/events.jsonl", EVENTS);
    let said = host.stdout("rules test rules");
    assert!(said.contains("passed x: a is found") && said.contains("passed x: from a file"), "{said}");
    assert!(said.contains("untested x has no test that does not fire"), "{said}");
    assert!(host.stderr("rules test rules --strict", 1).contains("1 rules lack a test"));
    host.write("rules/r.yml", &TESTED.replace("on: 2", "on: 1"));
    let output = host.run("rules test rules");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("failed x: from a file: expected to fire on events 1, it fired on events 2"),
        "{said}"
    );
    assert!(said.contains("rules/r.yml:9"), "{said}");
}

#[test]
fn a_rule_is_explained_on_events_and_on_findings() {
    let host = Host::new().with_findings();
    host.write("r.yml", TESTED);
    host.write("events.jsonl", EVENTS);
    let said = host.stdout("rules explain x --rules r.yml --event events.jsonl");
    assert!(said.contains("x fired on events 2 of 2"), "{said}");
    assert!(said.contains("true    process.name == \"a\"  it is \"a\""), "{said}");
    let said = host.stdout("rules explain suspicious_process");
    assert!(said.contains("fires    when its condition turns true of a process"), "{said}");
    let said = host.stdout("rules explain data_exfiltration --finding aa");
    assert!(said.contains("did not fire") && said.contains("it does not run on process_create"), "{said}");
    assert!(host.stderr("rules explain nothing", 1).contains("there is no rule nothing"));
}

/// A capture of a virtual machine, in version 1 of the format; rules for it, and what they found.
const CAPTURE: &[u8] = include_bytes!("data/guest-v1.capture");
const CAPTURE_RULES: &str = include_str!("data/guest-v1.yml");
const CAPTURE_FINDINGS: &str = include_str!("data/guest-v1.findings");

impl Host {
    /// A host with the capture and its rules.
    fn with_capture() -> Host {
        let host = Host::new();
        fs::write(host.path().join("a.capture"), CAPTURE).unwrap();
        host.write("r.yml", CAPTURE_RULES);
        host
    }
}

#[test]
fn a_capture_of_an_older_version_gives_the_findings_that_it_always_gave() {
    let host = Host::with_capture();
    assert_eq!(host.stdout("replay a.capture --rules r.yml --output json"), CAPTURE_FINDINGS);
    let output = host.run("replay a.capture --rules r.yml");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "4 findings in 70 events\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 4);
}

#[test]
fn what_other_rules_would_have_found_is_shown_with_signs() {
    let host = Host::with_capture();
    let changed =
        CAPTURE_RULES.replace("severity: high", "severity: critical").replace("name: moved", "name: renamed");
    host.write("new.yml", &changed);
    let shown = host.stdout("replay a.capture --rules new.yml --against r.yml");
    let signs: Vec<(&str, bool)> =
        shown.lines().map(|line| (&line[..1], line.contains("rule moved"))).collect();
    assert_eq!(signs, [("~", false), ("-", true), ("+", false)], "{shown}");
    let json = host.stdout("replay a.capture --rules new.yml --against r.yml --output json");
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((&first["change"], &first["finding"]["rule"]), (&"changed".into(), &"netcat".into()));
    assert_eq!(host.stdout("replay a.capture --rules r.yml --against r.yml"), "");
}

#[test]
fn a_capture_that_is_damaged_cut_short_or_no_capture_is_told_as_that() {
    let host = Host::with_capture();
    fs::write(host.path().join("cut.capture"), &CAPTURE[..CAPTURE.len() / 2]).unwrap();
    let output = host.run("replay cut.capture --rules r.yml");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("the capture was cut short"));
    host.write("text", "hello\n");
    assert!(host.stderr("replay text --rules r.yml", 1).contains("text:1: not JSON"));
    assert!(host.stderr("replay missing --rules r.yml", 1).contains("cannot read missing"));
    host.write("newer", "{\"capture\":{\"version\":7,\"openclaw\":\"3.0.0\"}}\n");
    assert!(host.stderr("replay newer", 1).contains("use openclaw 3.0.0 or newer"));
}

#[test]
fn rules_are_explained_and_tested_on_captures() {
    let host = Host::with_capture();
    let said = host.stdout("rules explain netcat --rules r.yml --event a.capture");
    assert!(said.contains("netcat fired on events") && said.contains("of 70"), "{said}");
    host.write(
        "tested.yml",
        "rules: [{name: a, condition: process.name == 'nc', tests: [{events: a.capture, expect: 1}]}]\n",
    );
    assert!(host.stdout("rules test tested.yml").contains("1 passed, 0 failed"));
}

#[test]
fn findings_are_listed_filtered_and_shown_without_an_agent() {
    let host = Host::new();
    assert!(host.stderr("findings", 1).contains("no agent has run here yet"));
    let host = host.with_findings();
    let all = host.stdout("findings");
    assert!(all.contains("suspicious_process") && all.contains("data_exfiltration"), "{all}");
    assert!(
        !all.contains('\x1b'),
        "plain where there is no terminal, and what strangers wrote cannot colour it"
    );
    let critical = host.stdout("findings --severity critical --since 1h --output json");
    let finding: serde_json::Value = serde_json::from_str(critical.trim_end()).unwrap();
    assert_eq!((&finding["id"], &finding["severity"]), (&"ab02".into(), &"critical".into()));
    assert!(finding["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!(host.stdout("findings --rule nothing"), "no findings\n");
    let shown = host.stdout("findings show aa");
    assert!(shown.starts_with("HIGH ") && shown.contains("\"pid\": 4711"), "{shown}");
    assert!(host.stderr("findings show a", 1).contains("more than one"));
    assert!(host.stderr("findings show zz", 1).contains("no finding"));
}

#[test]
fn a_shell_is_told_the_fields_that_a_condition_can_go_on_with() {
    let host = Host::new();
    assert!(host.stdout("completion bash").contains("COMPLETE=\"bash\""));
    let mut command = Command::new(env!("CARGO_BIN_EXE_openclaw"));
    command.args(["--", "openclaw", "events", "--where", "process.pid == 1 and destination.po"]);
    let output = command
        .env("HOME", host.path())
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "3")
        .output()
        .unwrap();
    let offered = String::from_utf8(output.stdout).unwrap();
    assert_eq!(offered, "process.pid == 1 and destination.port");
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let host = Host::new();
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" rules fields --output json | head -n 1", env!("CARGO_BIN_EXE_openclaw")]);
    let output = command.current_dir(host.path()).env("HOME", host.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
