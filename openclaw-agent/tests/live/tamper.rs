//! What is aimed at the sensor itself.

use std::os::fd::{FromRawFd, OwnedFd};

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::deed::{Deed, Deeds, hear, program, say};
use crate::support::{PATIENCE, live, wait_for};

pub(crate) const DEEDS: Deeds = &[
    ("send a signal", |args| {
        let [pid, signal] = [0, 1].map(|index| args[index].to_str().unwrap().parse::<i32>().unwrap());
        // SAFETY: the process is the test's agent.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        0
    }),
    ("seize", |args| {
        let pid: i32 = args[0].to_str().unwrap().parse().unwrap();
        // SAFETY: the process is the test's agent. To seize it changes nothing, and ends with this process.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) }, 0);
        say("done");
        hear();
        0
    }),
    ("detach", |args| {
        let id: u32 = args[0].to_str().unwrap().parse().unwrap();
        let link = bpf(LINK_GET_FD_BY_ID, [id, 0, 0]).unwrap();
        // SAFETY: the kernel has just made the descriptor.
        let _link = unsafe { OwnedFd::from_raw_fd(link) };
        bpf(LINK_DETACH, [link as u32, 0, 0]).unwrap();
        0
    }),
];

/// Commands of `bpf(2)`.
const LINK_GET_FD_BY_ID: i64 = 30;
const LINK_DETACH: i64 = 34;

fn bpf(command: i64, attr: [u32; 3]) -> std::io::Result<i32> {
    // SAFETY: the numbers are the head of `union bpf_attr` for these commands.
    let returned = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), size_of_val(&attr)) };
    if returned < 0 { Err(std::io::Error::last_os_error()) } else { Ok(returned as i32) }
}

/// Does it in a process of its own, to its end. Returns the process's id.
#[track_caller]
fn deed(name: &str, args: &[&str]) -> u32 {
    let mut deed = Deed::new(name, args);
    assert!(deed.ended_within(PATIENCE).unwrap().success());
    deed.pid()
}

fn signal_from(agent: &Agent, signal: &str, pid: u32) -> Value {
    agent.wait_for_event("sensor_tamper", |event| {
        event["sensor"]["signal"] == signal && event["process"]["pid"] == pid
    })
}

#[test]
fn who_stops_the_agent_by_a_signal_is_told_and_found_by_the_shipped_rule() {
    live!();
    let mut agent = Setup::new().shipped().start();
    let pid = agent.pid().to_string();
    let stopper = deed("send a signal", &[&pid, &libc::SIGSTOP.to_string()]);
    agent.signal(libc::SIGCONT);
    let event = signal_from(&agent, "SIGSTOP", stopper);
    assert_eq!(event["event"]["action"], "signal");
    agent.wait_for_finding("sensor_tamper", |event| event["process"]["pid"] == stopper);
    // Told before the end, too.
    let ender = deed("send a signal", &[&pid, &libc::SIGTERM.to_string()]);
    assert!(agent.end(libc::SIGURG).success());
    signal_from(&agent, "SIGTERM", ender);
}

#[test]
fn the_next_agent_tells_who_killed_this_one() {
    live!();
    let mut agent = Agent::start();
    let bpf = agent.folder().join("bpf");
    let killer = deed("send a signal", &[&agent.pid().to_string(), &libc::SIGKILL.to_string()]);
    assert!(!agent.end(libc::SIGURG).success());
    agent.start_again();
    let event = signal_from(&agent, "SIGKILL", killer);
    // The kernel keeps 15 bytes of it.
    let name: String = program().file_name().unwrap().to_str().unwrap().chars().take(15).collect();
    assert_eq!(event["process"]["name"], name);
    let is_pin = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().to_str().unwrap().starts_with("openclaw-ended-by")
    };
    let pins = || std::fs::read_dir(&bpf).unwrap().filter_map(|entry| is_pin(entry).then_some(())).count();
    assert_eq!(pins(), 1);
    assert!(agent.end(libc::SIGTERM).success());
    assert_eq!(pins(), 0, "who ends in order leaves nothing");
    agent.start_again();
    agent.settle();
    assert_eq!(agent.events("sensor_tamper", |_| true).len(), 0);
}

#[test]
fn who_takes_hold_of_the_agent_is_told_though_no_rule_asks_for_ptrace() {
    live!();
    let agent = Setup::new()
        .rules("rules:\n  - name: touched\n    event: sensor_tamper\n    condition: event.action == 'ptrace_seize'\n    severity: high\n    action: alert\n")
        .without_events()
        .start();
    let mut deed = Deed::new("seize", &[&agent.pid().to_string()]);
    deed.hear();
    agent.wait_for_finding("touched", |event| event["process"]["pid"] == deed.pid());
}

/// Ids of the links to control groups that a process has open.
fn cgroup_links(pid: u32) -> Vec<u32> {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap();
    let infos = descriptors.filter_map(|entry| std::fs::read_to_string(entry.unwrap().path()).ok());
    infos
        .filter(|info| info.contains("link_type:\tcgroup"))
        .map(|info| {
            let line = info.lines().find_map(|line| line.strip_prefix("link_id:")).unwrap();
            line.trim().parse().unwrap()
        })
        .collect()
}

#[test]
fn a_program_that_somebody_detaches_is_told_with_who_did_it_and_attached_again() {
    live!();
    let agent = Agent::start();
    let before = cgroup_links(agent.pid());
    assert_eq!(before.len(), 8);
    let detacher = deed("detach", &[&before[0].to_string()]);
    let event = agent.wait_for_event("sensor_tamper", |event| event["event"]["action"] == "detach");
    assert_eq!(event["process"]["pid"], detacher);
    let program = event["sensor"]["program"].as_str().unwrap().to_owned();
    agent.wait_for_event("bpf_load", |event| {
        event["event"]["action"] == "detach" && event["process"]["pid"] == detacher
    });
    wait_for("it is attached again", || {
        let now = cgroup_links(agent.pid());
        now.len() == before.len() && !now.contains(&before[0])
    });
    agent.wait_for_log(&program);
    let status = agent.json(&["status", "--output", "json"]);
    let hooks = status["hooks"].as_array().unwrap();
    let of_cgroups: Vec<_> =
        hooks.iter().filter(|hook| hook["hook"].as_str().unwrap().starts_with("cgroup")).collect();
    assert_eq!(of_cgroups.len(), 2);
    assert!(of_cgroups.iter().all(|hook| hook["state"] == "attached"), "{of_cgroups:?}");
}
