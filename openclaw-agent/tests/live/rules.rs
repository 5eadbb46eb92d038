//! The three rules, from what somebody does to the alert that the SOC receives.

use std::ffi::OsString;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use openclaw_agent::output::time::parse_rfc3339;
use serde_json::Value;

use crate::credential::{Public, USER, as_user};
use crate::network::{Server, deed as network_deed};
use crate::support::agent::{Agent, Setup};
use crate::support::deed::{self, Deed, Deeds, command, link, program};
use crate::support::network::Cable;
use crate::support::skip::{needs, skip};
use crate::support::webhook::Webhook;
use crate::support::{is_guest, live, live_once, wait_for};

pub(crate) const DEEDS: Deeds = &[("spawn", spawn)];

/// Runs a program with one argument.
fn spawn(args: &[OsString]) -> i32 {
    command(&args[0], "nothing").args(&args[1..]).stderr(Stdio::null()).status().unwrap();
    0
}

/// As the handbook has them.
pub(crate) const RULES: &str = r#"rules:
  - name: suspicious_process
    condition: |
      process.name in ["nc", "netcat", "ncat"]
      AND process.parent not in ["authorized_processes"]
    severity: high
    action: alert_and_isolate
  - name: data_exfiltration
    condition: |
      network.outbound.bytes > 100MB
      AND destination not in ["trusted_ips"]
    severity: critical
    action: block_and_alert
  - name: privilege_escalation
    condition: |
      process.uid == 0
      AND user.normal_uid != 0
    severity: high
    action: alert
"#;

const LISTS: &str = r#"lists:
  authorized_processes: [systemd]
  trusted_ips: ["10.0.0.0/8"]
"#;

/// Agents with the three rules: with lists of their own, and with those that ship.
fn agents() -> [(Agent, Webhook); 2] {
    [LISTS, ""].map(|lists| {
        let webhook = Webhook::new();
        let agent =
            Setup::new().rules(&format!("{lists}{RULES}")).webhook(&webhook.url).without_events().start();
        (agent, webhook)
    })
}

/// The finding of a rule on a process, printed, posted and kept; and nothing that was not done is claimed.
#[track_caller]
fn found(agent: &Agent, webhook: &Webhook, rule: &str, pid: u32) -> Value {
    let finding = agent.wait_for_finding(rule, |event| event["process"]["pid"] == pid);
    let post = webhook.wait_for(rule, |body| body["id"] == finding["id"]);
    let keys: Vec<_> = post.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["details", "id", "message", "severity", "timestamp", "title", "trigger"]);
    assert!(
        post.head.starts_with("POST /alerts HTTP/1.1") && post.head.contains("x-test: live"),
        "{}",
        post.head
    );
    for key in ["severity", "message", "timestamp"] {
        assert_eq!(post.body[key], finding[key], "{key}");
    }
    match post.body["trigger"].as_str() {
        Some("critical_event") => assert_eq!(post.body["title"], "Critical Security Event"),
        _ => assert_eq!(post.body["title"], finding["title"]),
    }
    assert_eq!(post.body["details"]["rule"], rule);
    assert_eq!(post.body["details"]["event"], finding["event"]);
    for answer in finding["answers"].as_array().unwrap() {
        assert!(
            ["would", "refused"].contains(&answer["outcome"].as_str().unwrap()),
            "observe mode: {answer}"
        );
    }

    let id = finding["id"].as_str().unwrap();
    wait_for("the finding is kept", || agent.openclaw(&["findings", "show", id]).status.success());
    let shown = agent.json(&["findings", "show", id, "--output", "json"]);
    assert_eq!(shown["rule"], rule);
    assert_eq!(shown["event"], finding["event"]);
    let listed = agent.openclaw(&["findings", "--rule", rule, "--output", "json"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(listed.iter().any(|other| other["id"] == id), "{listed:?}");
    finding
}

/// Runs a netcat that ends at once, and expects its finding of every agent.
fn netcat_is_found(netcat: &Path, argument: &str, executable: &Path) {
    for (agent, webhook) in agents() {
        let mut child = command(netcat, "nothing").arg(argument).stderr(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let finding = found(&agent, &webhook, "suspicious_process", pid);
        assert_eq!(finding["severity"], "high");
        assert_eq!(finding["event"]["process"]["name"], netcat.file_name().unwrap().to_str().unwrap());
        assert_eq!(finding["event"]["process"]["executable"], executable.to_str().unwrap());
        assert_eq!(finding["event"]["process"]["parent"]["pid"], std::process::id());
        assert!(finding["message"].as_str().unwrap().contains("suspicious_process"));
        agent.settle();
        let findings = agent.findings("suspicious_process", |event| event["process"]["pid"] == pid);
        assert_eq!(findings.len(), 1, "once for each process");
    }
}

#[test]
fn debians_netcat_is_found_by_the_name_of_its_link() {
    live_once!();
    let netcat = needs!("nc");
    let executable = std::fs::canonicalize(&netcat).unwrap();
    if executable.file_name() == Some("nc".as_ref()) {
        skip!("{} is no link to another name, as Debian's is", netcat.display());
    }
    netcat_is_found(&netcat, "-h", &executable);
}

#[test]
fn busybox_that_is_called_by_the_name_of_netcat_is_found() {
    live!();
    let busybox = std::fs::canonicalize(needs!("busybox")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let netcat = folder.path().join("nc");
    symlink(&busybox, &netcat).unwrap();
    netcat_is_found(&netcat, "--help", &busybox);
}

#[test]
fn a_copy_under_the_name_of_netcat_is_found() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let netcat = folder.path().join("ncat");
    deed::copy(&program(), &netcat);
    netcat_is_found(&netcat, "", &netcat);
}

#[test]
fn netcat_that_an_authorized_process_begins_is_not_found() {
    live_once!();
    for (agent, _webhook) in agents() {
        let folder = tempfile::tempdir().unwrap();
        let (systemd, other) = (link(folder.path(), "systemd"), link(folder.path(), "other"));
        let netcat = link(folder.path(), "nc");
        for parent in [&systemd, &other] {
            command(parent, "spawn").arg(&netcat).status().unwrap();
        }
        agent.settle();
        let findings = agent
            .findings("suspicious_process", |event| event["process"]["args"][0] == netcat.to_str().unwrap());
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0]["event"]["process"]["parent"]["name"], "other");
    }
}

/// When a finding that was waited for has come, in nanoseconds since the Unix epoch.
fn moment_of_arrival(finding: &Value) -> u64 {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let noticed = parse_rfc3339(finding["timestamp"].as_str().unwrap()).unwrap().0;
    // On an emulated processor the way here takes longer than the second: there the kernel has to be in time.
    if is_guest() { noticed } else { now }
}

#[test]
fn an_exfiltration_is_found_while_it_runs_within_a_second_of_its_hundredth_megabyte() {
    live!();
    needs!("ip");
    let cable = Cable::new();
    for (agent, webhook) in agents() {
        // Not in 10.0.0.0/8, which the rules' own lists trust.
        let mut server = Server::new(Some(&cable.far), cable.far.v6(0), "itself");
        let mut sender = network_deed(Some(&cable.near), "exfiltrate", &[&server.at.to_string()]);
        server.deed.hear();
        let hundredth: u64 = sender.hear().parse().unwrap();
        let finding =
            agent.wait_for_finding("data_exfiltration", |event| event["process"]["pid"] == sender.pid());
        let late = Duration::from_nanos(moment_of_arrival(&finding)).as_secs_f64()
            - Duration::from_nanos(hundredth).as_secs_f64();
        found(&agent, &webhook, "data_exfiltration", sender.pid());
        assert!(sender.ended_within(Duration::ZERO).is_none(), "the transfer runs on");
        // Not before it, but for what two clocks may differ by.
        assert!((-0.05..1.0).contains(&late), "{late} s after the hundredth megabyte");
        assert_eq!(finding["severity"], "critical");
        assert_eq!(finding["event"]["destination"]["ip"], cable.far.ipv6.to_string());
        assert_eq!(finding["event"]["event"]["action"], "connection_progress");
        assert!(finding["event"]["network"]["outbound"]["bytes"].as_u64() > Some(100_000_000));
        let pid = sender.pid();
        sender.tell("end");
        sender.end();
        server.deed.hear();
        agent.settle();
        let findings = agent.findings("data_exfiltration", |event| event["process"]["pid"] == pid);
        assert_eq!(findings.len(), 1, "once for each process and destination");
    }
}

#[test]
fn data_that_goes_to_a_trusted_address_is_no_exfiltration() {
    live_once!();
    needs!("ip");
    let cable = Cable::new();
    let [(trusting, _), (other, webhook)] = agents();
    let mut server = Server::new(Some(&cable.far), cable.far.v4(0), "itself");
    let mut sender = network_deed(Some(&cable.near), "exfiltrate", &[&server.at.to_string()]);
    server.deed.hear();
    sender.hear();
    let pid = sender.pid();
    found(&other, &webhook, "data_exfiltration", pid);
    sender.tell("end");
    sender.end();
    server.deed.hear();
    trusting.settle();
    let findings = trusting.findings("data_exfiltration", |event| event["process"]["pid"] == pid);
    assert!(findings.is_empty(), "10.0.0.0/8 is on its list: {findings:?}");
}

/// Runs a setuid copy of the program as the ordinary user, which begins two others as root.
fn escalation(public: &Public) -> Deed {
    let mut command = as_user(command(public.program(), "become root and spawn"));
    command.arg(program());
    let mut deed = Deed::of(command);
    deed.hear();
    deed
}

#[test]
fn a_user_who_runs_a_setuid_program_is_found_once_with_all_that_it_begins() {
    live!();
    let public = Public::new(0o4755);
    if public.ignores_setuid() {
        skip!("the folder for temporary files is mounted nosuid");
    }
    for (agent, webhook) in agents() {
        let deed = escalation(&public);
        let finding = found(&agent, &webhook, "privilege_escalation", deed.pid());
        let event = &finding["event"];
        assert_eq!(event["process"]["user"]["id"], 0);
        assert_eq!(event["process"]["executable"], public.program().to_str().unwrap());
        let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
        if login.trim().parse().is_ok_and(|uid: u32| uid == u32::MAX) {
            assert_eq!(event["user"]["normal_uid"], USER);
        }
        let pid = deed.pid();
        deed.end();
        agent.settle();
        let of_tree = agent.findings("privilege_escalation", |event| {
            event["process"]["pid"] == pid || event["process"]["parent"]["pid"] == pid
        });
        assert_eq!(of_tree.len(), 1, "{of_tree:?}");
    }
}

#[test]
fn a_daemon_that_gave_root_up_and_takes_it_back_is_found() {
    live_once!();
    let [(agent, webhook), _] = agents();
    let mut deed = Deed::new("drop and return", &[]);
    deed.hear();
    agent.settle();
    let pid = deed.pid();
    assert!(agent.findings("privilege_escalation", |event| event["process"]["pid"] == pid).is_empty());
    deed.tell("return");
    deed.hear();
    let finding = found(&agent, &webhook, "privilege_escalation", pid);
    assert_eq!(finding["event"]["event"]["dataset"], "privilege_change");
}

#[test]
fn roots_own_processes_are_no_escalation() {
    live_once!();
    let agent = Setup::new().rules(RULES).start();
    let mut child = command(program(), "exit").spawn().unwrap();
    child.wait().unwrap();
    let exec = agent.wait_for_event("process_create", |event| event["process"]["pid"] == child.id());
    if exec["user"]["normal_uid"] != 0 {
        skip!(
            "the tests themselves are run by user {}, by way of sudo or the like",
            exec["user"]["normal_uid"]
        );
    }
    // Root that becomes somebody and begins a program is none either.
    let public = Public::new(0o755);
    as_user(command(public.program(), "exit")).status().unwrap();
    agent.settle();
    let of_ours = |event: &Value| event["process"]["parent"]["pid"] == std::process::id();
    let findings = agent.findings("privilege_escalation", of_ours);
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn the_rules_that_ship_find_the_same_without_being_named() {
    live_once!();
    let webhook = Webhook::new();
    let agent = Setup::new().shipped().webhook(&webhook.url).without_events().start();
    let folder = tempfile::tempdir().unwrap();
    let netcat: PathBuf = link(folder.path(), "nc");
    let mut child = Command::new(&netcat).arg("--list").stdout(Stdio::null()).spawn().unwrap();
    child.wait().unwrap();
    found(&agent, &webhook, "suspicious_process", child.id());
}
