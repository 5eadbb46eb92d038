//! Containers: which one a process is in, and what its runtime says of it.

use std::io::Write as _;
use std::os::unix::process::CommandExt;

use serde_json::{Value, json};

use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::container::{Podman, Runc};
use crate::support::deed::{Deed, command, program};
use crate::support::skip::{needs, skip};
use crate::support::{live, live_once};

/// What an agent is to be configured with to find the state of these containers.
fn runc_in(runc: &Runc) -> String {
    format!("runc: [{}]", runc.root().display())
}

/// The beginning of a program in a container. Before its own, runc's runs in it.
#[track_caller]
fn program_in(agent: &Agent, id: &str, name: &str) -> Value {
    agent.wait_for_event("process_create", |event| {
        event["process"]["name"] == name && event["container"]["id"] == id
    })
}

#[test]
fn a_container_of_runc_is_told_with_its_name_and_labels_from_its_first_program_to_its_last() {
    live!();
    let (program, busybox) = (needs!("runc"), needs!("busybox"));
    let runc = Runc::new(program, &busybox, &["/bin/sleep", "60"]);
    let agent = Setup::new().containers(&runc_in(&runc)).start();
    if let Err(reason) = runc.start() {
        skip!("runc runs no containers here: {reason}");
    }
    let exec = program_in(&agent, &runc.id, "sleep");
    assert_eq!(exec["container"]["runtime"], "runc");
    let start = agent.wait_for_event("container_start", |event| event["container"]["id"] == *runc.id);
    assert_eq!(start["event"]["action"], "start");
    assert_eq!(start["container"]["runtime"], "runc");
    assert_eq!(start["container"]["name"], *runc.id);
    assert_eq!(start["container"]["labels"], json!(["org.example.team=web"]));

    runc.exec("/bin/true");
    let second = program_in(&agent, &runc.id, "true");
    assert_eq!(second["container"]["name"], *runc.id, "it was known by then");

    runc.kill();
    let stop = agent.wait_for_event("container_stop", |event| event["container"]["id"] == *runc.id);
    assert_eq!(stop["process"]["pid"], exec["process"]["pid"]);
    let started = |event: &Value| event["event"]["action"] == "start" && event["container"]["id"] == *runc.id;
    assert_eq!(agent.count("container_start", started), 1);
}

#[test]
fn a_rule_over_a_containers_name_fires_once_for_its_first_program_though_the_name_comes_later() {
    live_once!();
    let (program, busybox) = (needs!("runc"), needs!("busybox"));
    let runc = Runc::new(program, &busybox, &["/bin/sleep", "60"]);
    let condition = format!("process.name == \"sleep\" and container.name == \"{}\"", runc.id);
    let agent = Setup::new().containers(&runc_in(&runc)).watch(&condition).start();
    if let Err(reason) = runc.start() {
        skip!("runc runs no containers here: {reason}");
    }
    agent.wait_for_finding("watch", |event| event["container"]["id"] == *runc.id);
    agent.settle();
    assert_eq!(agent.findings("watch", |_| true).len(), 1);
}

#[test]
fn a_container_that_is_older_than_the_agent_is_known_and_no_news() {
    live_once!();
    let (program, busybox) = (needs!("runc"), needs!("busybox"));
    let runc = Runc::new(program, &busybox, &["/bin/sleep", "60"]);
    if let Err(reason) = runc.start() {
        skip!("runc runs no containers here: {reason}");
    }
    let condition = format!("container.name == \"{}\"", runc.id);
    let agent = Setup::new().containers(&runc_in(&runc)).watch(&condition).start();
    runc.exec("/bin/true");
    let event = program_in(&agent, &runc.id, "true");
    assert_eq!(event["container"]["name"], *runc.id);
    assert_eq!(agent.count("container_start", |_| true), 0);
    let of_sleep = agent.findings("watch", |event| event["process"]["name"] == "sleep");
    assert!(of_sleep.is_empty(), "it was true before the agent began: {of_sleep:?}");
}

#[test]
fn a_container_of_podman_is_told_with_name_image_and_labels() {
    live_once!();
    let (program, busybox) = (needs!("podman"), needs!("busybox"));
    needs!("runc");
    let podman = match Podman::new(program, &busybox, "localhost/openclaw-test:1") {
        Ok(podman) => podman,
        Err(reason) => skip!("podman has no images here: {reason}"),
    };
    let rules = "rules:\n  - name: image\n    condition: container.image == \"localhost/openclaw-test:1\"\n    \
                 severity: info\n    action: alert\n";
    let agent =
        Setup::new().containers(&format!("storage: [{}]", podman.storage().display())).rules(rules).start();
    let started = podman.start(&[
        "--name",
        "openclaw-web",
        "--label",
        "team=web",
        "localhost/openclaw-test:1",
        "/bin/sleep",
        "60",
    ]);
    let id = match started {
        Ok(id) => id,
        Err(reason) => skip!("podman runs no containers here: {reason}"),
    };
    let exec = program_in(&agent, &id, "sleep");
    assert_eq!(exec["container"]["runtime"], "podman");
    let start = agent.wait_for_event("container_start", |event| event["container"]["id"] == *id);
    let expected = json!({
        "id": id, "runtime": "podman", "name": "openclaw-web", "labels": ["team=web"],
        "image": {"name": "localhost/openclaw-test:1"},
    });
    assert_eq!(start["container"], expected);
    agent.wait_for_finding("image", |event| event["container"]["id"] == *id);
    let conmon = agent.events("process_create", |event| event["process"]["name"] == "conmon");
    assert!(!conmon.is_empty() && conmon.iter().all(|event| event["container"] == Value::Null), "{conmon:?}");
}

#[test]
fn a_container_of_a_runtime_that_nobody_knows_has_its_id_and_no_more() {
    live!();
    const ID: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let outer = Cgroup::new();
    let inner = outer.path().join(ID);
    std::fs::create_dir(&inner).unwrap();
    let agent = Setup::new().start();
    let procs = std::fs::OpenOptions::new().write(true).open(inner.join("cgroup.procs")).unwrap();
    let mut inside = command(program(), "wait");
    // SAFETY: a system call alone, on a descriptor that was opened before.
    unsafe {
        inside.pre_exec(move || (&procs).write_all(b"0"));
    }
    let inside = Deed::of(inside);
    let pid = inside.pid();
    let exec = agent.wait_for_event("process_create", |event| event["process"]["pid"] == pid);
    assert_eq!(exec["container"], json!({ "id": ID }));
    let start = agent.wait_for_event("container_start", |event| event["process"]["pid"] == pid);
    assert_eq!(start["container"], json!({ "id": ID }));
    inside.end();
    agent.wait_for_event("container_stop", |event| event["process"]["pid"] == pid);
    std::fs::remove_dir(&inner).unwrap();
}
