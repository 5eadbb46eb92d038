//! Stopping and ending processes on the real kernel: which are reached, which are not, what is said of it, and the way back.

mod breaker;
mod container;
mod crash;
mod kill;
mod mode;
mod run;
mod suspend;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::deed::{Deed, command, link};
use crate::support::wait_for;

/// A rule that answers to programs of the name `victim`.
fn rule(action: &str, response: &str) -> String {
    format!(
        "rules:\n  - name: victims\n    event: process_create\n    condition: process.name == \"victim\"\n    \
         severity: high\n    action: {action}\n    response: {response}\n"
    )
}

/// An agent that answers so in a cgroup of the test's own.
fn enforcing(cgroup: &Cgroup, action: &str, response: &str) -> Agent {
    Setup::new().rules(&rule(action, response)).enforce(cgroup).without_events().start()
}

/// A victim that waits.
fn victim(cgroup: &Cgroup, folder: &Path) -> Deed {
    let program = folder.join("victim");
    if !program.exists() {
        link(folder, "victim");
    }
    Deed::of(cgroup.inside(command(program, "wait")))
}

/// A tree: two children that wait, one of which was stopped by somebody else, and a parent that becomes a victim when it
/// is told to. Returns the parent and the children.
fn herd(cgroup: &Cgroup, folder: &Path) -> (Deed, [u32; 2]) {
    let program = link(folder, "victim");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("sleep 300 & echo $!; sleep 300 & kill -STOP $!; echo $!; read go; exec \"$0\"");
    shell.arg(program).env("OPENCLAW_TEST_DEED", "wait");
    let mut parent = Deed::of(cgroup.inside(shell));
    let children = [parent.hear(), parent.hear()].map(|pid| pid.parse().unwrap());
    wait_for("a child stands still", || stands_still(children[1]));
    (parent, children)
}

/// What the agent last said of the answer to a finding of a victim, once that is `outcome`.
#[track_caller]
fn answer(agent: &Agent, pid: u32, outcome: &str) -> Value {
    let finding = agent.wait_for_finding("victims", |event| event["process"]["pid"] == pid);
    answer_of(agent, &finding["answers"][0]["id"], outcome)
}

/// What is on record of an answer, once that is `outcome`.
#[track_caller]
fn answer_of(agent: &Agent, id: &Value, outcome: &str) -> Value {
    let id = id.as_str().unwrap();
    let shown = || agent.json(&["response", "show", id, "--output", "json"]);
    wait_for("the answer is on record", || {
        let known = agent.openclaw(&["response", "show", id, "--output", "json"]);
        known.status.success() && shown()["outcome"] == outcome
    });
    shown()
}

/// The state of a process, as `/proc` has it; none where there is no such process.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

pub(crate) fn stands_still(pid: u32) -> bool {
    state(pid) == Some('T')
}

/// Whether it has ended: it may be there until its parent asks for it.
fn has_ended(pid: u32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}
