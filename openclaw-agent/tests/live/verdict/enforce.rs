//! The built program in enforce mode: from what somebody does to the packets that no longer pass.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::session::Session;
use crate::rules::RULES;
use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::deed::{self, Deed, link, program};
use crate::support::helper::Helper;
use crate::support::network::{Cable, inside};
use crate::support::skip::needs;
use crate::support::socket::Socket;
use crate::support::webhook::Webhook;
use crate::support::{PATIENCE, live, wait_for};

fn enforcing(cgroup: &Cgroup, webhook: &Webhook) -> Agent {
    Setup::new().rules(RULES).webhook(&webhook.url).enforce(cgroup).without_events().start()
}

/// The finding of a rule on a process, of which finding and alert say that its one answer was carried out.
#[track_caller]
fn answered(agent: &Agent, webhook: &Webhook, rule: &str, pid: u32, kind: &str) -> Value {
    let finding = agent.wait_for_finding(rule, |event| event["process"]["pid"] == pid);
    let post = webhook.wait_for(rule, |body| body["id"] == finding["id"]);
    for answers in [&finding["answers"], &post.body["details"]["actions"]] {
        let answers = answers.as_array().unwrap();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!((&answers[0]["kind"], &answers[0]["outcome"]), (&kind.into(), &"done".into()));
        assert_eq!(answers[0]["finding"], finding["id"]);
    }
    finding
}

#[test]
fn netcat_is_isolated_with_the_session_that_it_has_open() {
    live!();
    needs!("ip");
    let (cgroup, cable, webhook) = (Cgroup::new(), Cable::new(), Webhook::new());
    let agent = enforcing(&cgroup, &webhook);
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Helper::new(&cgroup, &cable.near);
    let session = Session::new(&cable, &mut shell);
    let mut netcat = shell.child_as(&link(folder.path(), "nc"));
    let finding = answered(&agent, &webhook, "suspicious_process", netcat.pid, "isolate");

    session.assert_cut(&mut netcat);
    let listener = cable.far.inside(|| Socket::listen(cable.far.v4(0)).unwrap());
    assert_eq!(netcat.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    shell.connect_tcp(listener.address()).unwrap();

    let id = finding["answers"][0]["id"].as_str().unwrap();
    let released = agent.json(&["release", id, "--output", "json"]);
    assert_eq!(released["outcome"], "undone");
    session.assert_restored(&mut netcat);
    netcat.connect_tcp(listener.address()).unwrap();
}

/// Reads until nothing comes for a second. Returns how much came.
fn read_until_it_stalls(stream: &mut TcpStream) -> usize {
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut buffer = vec![0; 1 << 18];
    let mut sum = 0;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("the sender has ended after {sum} bytes"),
            Ok(len) => sum += len,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sum,
            Err(error) => panic!("{error} after {sum} bytes"),
        }
        assert!(sum < 1_000_000_000, "the transfer is not cut");
    }
}

#[test]
fn an_exfiltration_is_blocked_while_it_runs() {
    live!();
    needs!("ip");
    let (cgroup, cable, webhook) = (Cgroup::new(), Cable::new(), Webhook::new());
    let agent = enforcing(&cgroup, &webhook);
    // Not in 10.0.0.0/8, which might be trusted.
    let listener = cable.far.inside(|| Socket::listen(cable.far.v6(0)).unwrap());
    let mut command = deed::command(program(), "exfiltrate");
    command.arg(listener.address().to_string());
    let mut sender = Deed::of(inside(&cable.near, cgroup.inside(command)));
    let mut stream = TcpStream::from(listener.accept(PATIENCE).unwrap().0);

    let received = read_until_it_stalls(&mut stream);
    let finding = answered(&agent, &webhook, "data_exfiltration", sender.pid(), "block");
    assert!(received > 100_000_000, "{received} bytes");
    assert!(sender.ended_within(Duration::ZERO).is_none(), "the sender waits");
    let far = cable.far.ipv6.to_string();
    assert_eq!(finding["answers"][0]["target"]["network"], far);
    let mut helper = Helper::new(&cgroup, &cable.near);
    assert_eq!(helper.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));

    let removed = agent.json(&["blocklist", "remove", &far, "--output", "json"]);
    assert_eq!(removed["outcome"], "undone");
    // What was held back arrives.
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
}

#[test]
fn two_findings_on_one_process_have_an_answer_each_and_one_verdict() {
    live!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let rule = |name: &str| {
        let condition = "process.name == \"twofold\"";
        format!("  - {{name: {name}, condition: '{condition}', severity: high, action: isolate}}\n")
    };
    let rules = format!("rules:\n{}{}", rule("one"), rule("two"));
    let agent = Setup::new().rules(&rules).enforce(&cgroup).without_events().start();
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Helper::new(&cgroup, &cable.near);
    let mut odd = shell.child_as(&link(folder.path(), "twofold"));
    let answers = ["one", "two"].map(|rule| {
        let finding = agent.wait_for_finding(rule, |event| event["process"]["pid"] == odd.pid);
        let id = finding["id"].as_str().unwrap();
        let kept = || agent.json(&["findings", "show", id, "--output", "json"])["answers"].clone();
        let answer = finding["answers"][0].clone();
        // All but its end, which the answer that asks again puts off.
        let mut expected = finding["answers"].clone();
        wait_for("the answer is kept", || {
            let kept = kept();
            expected[0]["expires"] = kept[0]["expires"].clone();
            kept == expected
        });
        assert_eq!((&answer["finding"], &answer["rule"]), (&finding["id"], &rule.into()));
        assert_eq!(answer["outcome"], "done");
        answer
    });
    let (first, second) =
        if answers[0]["verdict"].is_null() { (&answers[0], &answers[1]) } else { (&answers[1], &answers[0]) };
    assert_ne!(first["id"], second["id"]);
    assert_eq!((&first["verdict"], &second["verdict"]), (&Value::Null, &first["id"]));
    let live = agent.json(&["response", "list", "--output", "json"]);
    assert_eq!((&live["id"], &live["finding"]), (&first["id"], &first["finding"]));
    assert_eq!(live["expires"], second["expires"], "it lasts as long as who asked last wanted");
    assert!(odd.icmp().is_err());
    let undo = ["response", "undo", second["id"].as_str().unwrap(), "--output", "json"];
    assert_eq!(agent.json(&undo)["id"], first["id"]);
    odd.icmp().unwrap();
}

#[test]
fn what_a_rule_keeps_from_being_told_it_answers_nonetheless() {
    live!();
    needs!("ip");
    let (cgroup, cable, webhook) = (Cgroup::new(), Cable::new(), Webhook::new());
    let rules = "rules:\n  - name: odd\n    condition: process.name == \"hushed\"\n    severity: high\n    \
                 action: alert_and_isolate\n    suppress: {for: 1h, by: [process.name]}\n";
    let agent = Setup::new().rules(rules).webhook(&webhook.url).enforce(&cgroup).without_events().start();
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Helper::new(&cgroup, &cable.near);
    let odd = link(folder.path(), "hushed");
    let mut told = shell.child_as(&odd);
    agent.wait_for_finding("odd", |event| event["process"]["pid"] == told.pid);
    let mut kept_back = shell.child_as(&odd);
    let of_the_second = |action: &Value| {
        action["type"] == "action"
            && action["kind"] == "isolate"
            && action["target"]["process"]["id"]["pid"] == kept_back.pid
    };
    let action = agent.wait_for("the second is isolated", of_the_second);
    assert_eq!(action["outcome"], "done");
    assert!(told.icmp().is_err() && kept_back.icmp().is_err(), "both are cut off");
    let finding = agent.json(&["findings", "show", action["finding"].as_str().unwrap(), "--output", "json"]);
    assert_eq!(
        (&finding["quiet"], &finding["event"]["process"]["pid"]),
        (&true.into(), &kept_back.pid.into())
    );
    assert_eq!(agent.findings("odd", |_| true).len(), 1, "one was told");
}
