//! `run` and `webhook`

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::{answer, answer_of, rule, victim};
use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::deed::{Deed, command, link};
use crate::support::webhook::Webhook;
use crate::support::{live, live_once, wait_for};

/// An agent whose rule runs a command, given as a list of YAML.
fn running(cgroup: &Cgroup, command: &str, keys: &str) -> Agent {
    let rules = rule("run_and_alert", &format!("{{run: {command}}}"));
    Setup::new().rules(&rules).enforce_with(cgroup, keys).without_events().start()
}

#[test]
fn a_command_is_run_and_told_what_was_found_on_its_input_and_in_its_environment() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    // By process, since another test's may be found too.
    let here = folder.path().display();
    let script =
        format!("cat > {here}/new; env > {here}/env-$OPENCLAW_PID; mv {here}/new {here}/told-$OPENCLAW_PID");
    let agent = running(&cgroup, &format!("[/bin/sh, -c, '{script}', \"a b; $(c)\"]"), "");
    let victim = victim(&cgroup, folder.path());
    let file = |name: &str| folder.path().join(format!("{name}-{}", victim.pid()));
    let record = answer(&agent, victim.pid(), "done");
    assert_eq!((&record["kind"], &record["mode"]), (&"run".into(), &"enforce".into()));
    assert_eq!(record["passed"], serde_json::json!(["target", "trust", "confidence", "breaker"]));
    let told: Value = serde_json::from_slice(&std::fs::read(file("told")).unwrap()).unwrap();
    assert_eq!((&told["id"], &told["event"]["process"]["pid"]), (&record["finding"], &victim.pid().into()));
    let environment = std::fs::read_to_string(file("env")).unwrap();
    let has = |line: &str| environment.lines().any(|found| found == line);
    assert!(has("OPENCLAW_RULE=victims") && has(&format!("OPENCLAW_PID={}", victim.pid())), "{environment}");
    assert!(!environment.contains("OPENCLAW_BPFFS"), "nothing of the agent's own: {environment}");
}

#[test]
fn a_command_that_fails_or_takes_too_long_is_recorded_with_the_reason() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    for (script, reason) in
        [("echo broken >&2; exit 3", "exit status: 3: broken"), ("sleep 60", "took longer than 1s")]
    {
        let agent = running(&cgroup, &format!("[/bin/sh, -c, '{script}']"), "run_limit: 1s");
        let victim = victim(&cgroup, folder.path());
        let record = answer(&agent, victim.pid(), "failed");
        assert!(record["reason"].as_str().unwrap().contains(reason), "{record}");
    }
}

#[test]
fn a_command_that_runs_when_its_agent_is_killed_is_on_record_as_failed_by_the_next_one() {
    live!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let pid = folder.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 300", pid.display());
    let mut agent = running(&cgroup, &format!("[/bin/sh, -c, '{script}']"), "run_limit: 300s");
    let victim = victim(&cgroup, folder.path());
    let begun = answer(&agent, victim.pid(), "begun");
    wait_for("it runs", || std::fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')));
    agent.end(libc::SIGKILL);
    agent.start_again();
    let failed = answer_of(&agent, &begun["id"], "failed");
    let reason = "the agent ended while it ran; whether it was done is not known";
    assert_eq!((&failed["reason"], &failed["passed"]), (&reason.into(), &begun["passed"]));
    assert!(failed["ended"].is_string(), "{failed}");
    let listed = agent.json_lines(&["response", "list", "--all", "--output", "json"]);
    assert!(listed.contains(&failed), "{listed:?}");
    let told =
        |agent: &Agent| agent.lines(|line| line["type"] == "action" && line["id"] == begun["id"]).len();
    assert_eq!(told(&agent), 1);
    assert!(agent.log().contains(reason));
    // Once.
    agent.end(libc::SIGTERM);
    agent.start_again();
    agent.settle();
    assert_eq!(told(&agent), 0);
    let pid = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    // SAFETY: a process that the test had begun, and that lasts for longer.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

#[test]
fn what_others_can_write_is_not_run() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let (program, trace) = (folder.path().join("program"), folder.path().join("trace"));
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", trace.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
    let agent = running(&cgroup, &format!("[{}]", program.display()), "");
    let victim = victim(&cgroup, folder.path());
    let record = answer(&agent, victim.pid(), "refused");
    assert_eq!(record["refused_by"], "trust");
    assert!(!trace.exists());
}

#[test]
fn in_observe_mode_a_command_is_not_run() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    let trace = folder.path().join("trace");
    let rules = rule("run", &format!("{{run: [/usr/bin/touch, {}]}}", trace.display()));
    let agent = Setup::new().rules(&rules).observe(&cgroup).without_events().start();
    let victim = victim(&cgroup, folder.path());
    answer(&agent, victim.pid(), "would");
    agent.json(&["response", "mode", "enforce", "--output", "json"]);
    let _second = super::victim(&cgroup, folder.path());
    wait_for("it is run then", || trace.exists());
}

#[test]
fn an_endpoint_is_called_with_what_was_found_and_headers_that_the_rule_does_not_know() {
    live!();
    let (cgroup, folder, endpoint) = (Cgroup::new(), tempfile::tempdir().unwrap(), Webhook::new());
    let keys = format!(
        "webhooks: {{contain: {{url: '{}', headers: {{Authorization: Bearer s3cr3t}}}}}}",
        endpoint.url
    );
    let rules = rule("webhook_and_alert", "{webhook: contain}");
    let agent = Setup::new().rules(&rules).enforce_with(&cgroup, &keys).without_events().start();
    let mut with_secret = command(link(folder.path(), "victim"), "wait");
    with_secret.args(["--password", "hunter 2", "x"]);
    let victim = Deed::of(cgroup.inside(with_secret));
    let record = answer(&agent, victim.pid(), "done");
    assert_eq!((&record["kind"], &record["target"]["webhook"]), (&"webhook".into(), &"contain".into()));
    assert_eq!(record["passed"], serde_json::json!(["target", "confidence", "breaker"]));
    let post = endpoint.wait_for("the finding", |body| body["id"] == record["finding"]);
    let process = &post.body["event"]["process"];
    assert_eq!(process["pid"], victim.pid());
    // Secrets of others do not leave the host; here they stay as they were seen.
    assert_eq!(process["args"].as_array().unwrap()[1..], ["--password", "***", "x"]);
    assert!(!post.body.to_string().contains("hunter"), "{}", post.body);
    let event =
        agent.wait_for_finding("victims", |event| event["process"]["pid"] == victim.pid())["event"].take();
    assert_eq!(event["process"]["args"][2], "hunter 2");
    assert!(post.head.to_lowercase().contains("authorization: bearer s3cr3t"), "{}", post.head);
    assert!(!agent.log().contains("s3cr3t"));
}

#[test]
fn a_call_that_nobody_answers_or_that_has_no_endpoint_is_recorded_with_the_reason() {
    live_once!();
    let (cgroup, folder) = (Cgroup::new(), tempfile::tempdir().unwrap());
    // Port 9 of loopback, where nobody listens.
    let keys = "run_limit: 1s\n    webhooks: {contain: {url: 'http://127.0.0.1:9/'}}";
    for (name, outcome, reason) in
        [("contain", "failed", "cannot connect"), ("other", "refused", "no endpoint `other`")]
    {
        let rules = rule("webhook", &format!("{{webhook: {name}}}"));
        let agent = Setup::new().rules(&rules).enforce_with(&cgroup, keys).without_events().start();
        assert_eq!(agent.log().contains("its calls will be refused"), name == "other");
        let victim = victim(&cgroup, folder.path());
        let record = answer(&agent, victim.pid(), outcome);
        assert!(record["reason"].as_str().unwrap().contains(reason), "{record}");
    }
}
