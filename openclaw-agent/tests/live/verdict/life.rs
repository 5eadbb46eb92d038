//! How long verdicts live: they end on time, with or without an agent, and can be taken over and undone.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use openclaw_agent::respond::{ActionKind, NoLookup, Outcome, Responder, undo_all};
use openclaw_detect::Scope;

use super::{MINUTE, Stage};
use crate::support::helper::Helper;
use crate::support::socket::Socket;
use crate::support::{live, live_once, wait_for};

const AGENT: &str = "OPENCLAW_TEST_AGENT";

/// The test that is an [`Agent`] where that is set.
const TOLD: &str = "verdict::life::an_agent_makes_the_verdicts_that_it_is_told_of";

/// A process that makes the verdicts it is told of, then waits to be killed.
struct Agent(Child);

impl Agent {
    /// `verdicts`: `block NETWORK SECONDS` or `isolate PID SECONDS`, joined by commas.
    fn new(stage: &Stage, verdicts: &str) -> Self {
        let told = format!("{}|{verdicts}", stage.told());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TOLD, "--nocapture"])
            .env(AGENT, told)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut agent = Agent(child);
        let done = stage.bpffs.path().join("openclaw/done");
        wait_for("the agent has made its verdicts", || {
            assert_eq!(agent.0.try_wait().unwrap(), None, "the agent has failed");
            done.exists()
        });
        agent
    }

    /// SIGKILL: it gets no chance to do anything.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    /// What an [`Agent`] is told of the stage.
    fn told(&self) -> String {
        let folders = [self.cgroup.path(), self.bpffs.path(), self.state.path()];
        folders.map(|folder| folder.display().to_string()).join("|")
    }
}

#[test]
fn an_agent_makes_the_verdicts_that_it_is_told_of() {
    let Ok(told) = std::env::var(AGENT) else { return };
    let parts: Vec<&str> = told.split('|').collect();
    let settings = openclaw_agent::respond::ResponseSettings {
        cgroup: Some(parts[0].into()),
        bpffs: parts[1].into(),
        state: parts[2].into(),
        ..Default::default()
    };
    let mut responder = Responder::new(settings, super::layout());
    for verdict in parts[3].split(',').filter(|verdict| !verdict.is_empty()) {
        let words: Vec<&str> = verdict.split(' ').collect();
        let duration = Some(Duration::from_secs(words[2].parse().unwrap()));
        let record = match words[0] {
            "block" => responder.block(words[1].parse().unwrap(), None, duration),
            _ => responder.isolate(words[1].parse().unwrap(), Scope::Tree, None, duration, &NoLookup),
        };
        assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    }
    std::fs::create_dir(responder_done(parts[1])).unwrap();
    loop {
        std::thread::park();
    }
}

fn responder_done(bpffs: &str) -> std::path::PathBuf {
    std::path::Path::new(bpffs).join("openclaw/done")
}

#[test]
fn verdicts_end_by_themselves_without_anyone_looking() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let mut responder = stage.responder();
    let network = stage.cable.far.v4(0).ip().into();
    let short = Some(Duration::from_secs(5));
    assert_eq!(responder.block(network, None, short).outcome, Outcome::Done);
    assert_eq!(responder.isolate(helper.pid, Scope::Tree, None, short, &NoLookup).outcome, Outcome::Done);
    assert_eq!(helper.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    // No tick: it is the kernel that ends them.
    wait_for("the verdicts are over", || helper.connect_tcp(listener.address()).is_ok());
    assert!(stage.bpffs.has_pins());
    let ended = responder.tick();
    assert_eq!(ended.iter().map(|record| record.outcome).collect::<Vec<_>>(), [Outcome::Expired; 2]);
    assert!(!stage.bpffs.has_pins());
    assert_eq!(responder.next_tick(), None);
}

#[test]
fn verdicts_of_an_agent_that_was_killed_hold_and_end_on_time() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let v6 = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v6(0)).unwrap());
    let mut brief = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut bystander = Helper::new(&stage.cgroup, &stage.cable.near);
    let verdicts = format!(
        "block 10.211.77.0/24 60,isolate {} 60,block {} 1,isolate {} 1",
        helper.pid, stage.cable.far.ipv6, brief.pid
    );
    Agent::new(&stage, &verdicts).kill();
    // The long ones hold, also for children that are made while no agent runs.
    let mut child = helper.child();
    assert_eq!(child.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(bystander.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    // The short ones end.
    wait_for("the short block is over", || bystander.connect_tcp(v6.address()).is_ok());
    wait_for("the short isolation is over", || brief.connect_tcp(v6.address()).is_ok());
}

#[test]
fn the_next_agent_clears_away_what_is_over() {
    live!();
    let stage = Stage::new();
    Agent::new(&stage, "block 10.211.77.0/24 1").kill();
    assert!(stage.bpffs.has_pins());
    wait_for("the verdict is over", || stage.responder().live().is_empty());
    assert!(!stage.bpffs.has_pins());
}

#[test]
fn what_another_version_left_is_removed_and_said() {
    live!();
    let stage = Stage::new();
    Agent::new(&stage, "block 10.211.77.0/24 60").kill();
    // As an agent of another version would have left it.
    let other = stage.bpffs.path().join("openclaw/v0");
    std::fs::rename(stage.bpffs.pins(), &other).unwrap();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    assert!(helper.connect_tcp(listener.address()).is_err());
    let responder = Responder::new(stage.settings(), super::layout());
    let notices = responder.notices();
    assert!(notices.len() == 1 && notices[0].ends_with("cannot read them: v0"), "{notices:?}");
    assert!(!other.exists() && responder.live().is_empty());
    wait_for("nothing is blocked any more", || helper.connect_tcp(listener.address()).is_ok());
}

#[test]
fn the_next_agent_takes_over_what_is_in_force() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let agent = Agent::new(&stage, &format!("block 10.211.77.2 60,isolate {} 60", helper.pid));
    agent.kill();
    let mut responder = stage.responder();
    let live = responder.live();
    assert_eq!(
        live.iter().map(|record| record.kind).collect::<Vec<_>>(),
        [ActionKind::Block, ActionKind::Isolate]
    );
    responder.unblock("10.211.77.2".parse().unwrap()).unwrap();
    assert_eq!(helper.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
    // The tree is still looked after: a socket that is passed in gets cut.
    let mut bystander = Helper::new(&stage.cgroup, &stage.cable.near);
    let near = bystander.connect_tcp(listener.address()).unwrap();
    let passed = bystander.give(near);
    let near = helper.take(&passed);
    responder.tick();
    let dropped = responder.enforced().0;
    let _ = helper.send(near, "out");
    wait_for("a packet is dropped", || responder.enforced().0 > dropped);
    responder.release(&live[1].id).unwrap();
    helper.icmp().unwrap();
    assert!(!stage.bpffs.has_pins());
}

#[test]
fn an_agent_that_was_started_in_an_isolated_tree_ends_that_isolation() {
    live!();
    let stage = Stage::new();
    let program = std::env::current_exe().unwrap();
    let told = format!("{}|", stage.told());
    let mut shell = Agent(
        Command::new("/bin/sh")
            .args(["-c", "read go; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(program)
            .arg(TOLD)
            .env(AGENT, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    std::fs::write(stage.cgroup.path().join("cgroup.procs"), shell.0.id().to_string()).unwrap();
    Agent::new(&stage, &format!("block 10.211.77.2 60,isolate {} 60", shell.0.id())).kill();
    std::fs::remove_dir(responder_done(stage.bpffs.path().to_str().unwrap())).unwrap();
    shell.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    wait_for("the agent has started", || {
        assert_eq!(shell.0.try_wait().unwrap(), None, "the agent has failed");
        stage.bpffs.path().join("openclaw/done").exists()
    });
    shell.kill();
    let live = stage.responder().live();
    assert_eq!(live.iter().map(|record| record.kind).collect::<Vec<_>>(), [ActionKind::Block]);
}

#[test]
fn undo_all_needs_no_agent() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    Agent::new(&stage, &format!("block 10.211.77.2 60,isolate {} 60", helper.pid)).kill();
    assert_eq!(helper.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
    let undone = undo_all(stage.bpffs.path(), stage.state.path()).unwrap();
    assert_eq!(undone.iter().map(|record| record.outcome).collect::<Vec<_>>(), [Outcome::Undone; 2]);
    assert!(!stage.bpffs.has_pins());
    helper.connect_tcp(listener.address()).unwrap();
    assert!(undo_all(stage.bpffs.path(), stage.state.path()).unwrap().is_empty());
}

#[test]
fn an_agent_notices_that_its_verdicts_were_undone_from_outside() {
    live!();
    let stage = Stage::new();
    let mut responder = stage.responder();
    responder.block("10.211.77.2".parse().unwrap(), None, Some(MINUTE));
    undo_all(stage.bpffs.path(), stage.state.path()).unwrap();
    let told = responder.tick();
    assert_eq!(told[0].outcome, Outcome::Undone);
    assert!(responder.live().is_empty());
    assert_eq!(responder.block("10.211.77.2".parse().unwrap(), None, Some(MINUTE)).outcome, Outcome::Done);
    assert!(stage.bpffs.has_pins());
}

#[test]
fn what_was_undone_from_outside_does_not_come_back_with_the_next_verdict() {
    live_once!();
    let stage = Stage::new();
    let mut responder = stage.responder();
    let first = responder.block("10.211.77.2".parse().unwrap(), None, Some(MINUTE));
    undo_all(stage.bpffs.path(), stage.state.path()).unwrap();
    let second = responder.block("10.211.77.3".parse().unwrap(), None, Some(MINUTE));
    assert_eq!(second.outcome, Outcome::Done, "{second:?}");
    assert_eq!(responder.live().iter().map(|record| &record.id).collect::<Vec<_>>(), [&second.id]);
    let told = responder.tick();
    assert_eq!((&told[0].id, told[0].outcome), (&first.id, Outcome::Undone));
}

#[test]
fn a_second_agent_leaves_the_verdicts_of_the_first_alone_until_that_has_ended() {
    live!();
    let stage = Stage::new();
    let mut first = stage.responder();
    first.block("10.211.77.2".parse().unwrap(), None, Some(MINUTE));
    let mut second = Responder::new(stage.settings(), super::layout());
    assert!(second.notices()[0].contains("another agent"), "{:?}", second.notices());
    assert!(second.impediment().unwrap().contains("another agent"));
    assert!(second.live().is_empty());
    let record = second.block("10.211.77.3".parse().unwrap(), None, Some(MINUTE));
    assert_eq!(record.outcome, Outcome::Failed);
    assert!(record.reason.unwrap().contains("another agent"));
    second.undo_all().unwrap();
    assert!(first.tick().is_empty());
    assert_eq!(first.live().len(), 1);
    drop(first);
    let record = second.block("10.211.77.3".parse().unwrap(), None, Some(MINUTE));
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    assert_eq!(second.live().len(), 2);
    assert_eq!(second.impediment(), None);
}

#[test]
fn pins_that_another_agent_made_after_all_were_removed_are_not_taken_for_ones_own() {
    live_once!();
    let stage = Stage::new();
    let mut first = stage.responder();
    first.block("10.211.77.2".parse().unwrap(), None, Some(MINUTE));
    undo_all(stage.bpffs.path(), stage.state.path()).unwrap();
    let mut second = stage.responder();
    assert_eq!(second.block("10.211.77.3".parse().unwrap(), None, Some(MINUTE)).outcome, Outcome::Done);
    assert_eq!(first.tick()[0].outcome, Outcome::Undone);
    first.undo_all().unwrap();
    assert!(second.tick().is_empty());
    assert_eq!(second.live().len(), 1);
}

#[test]
fn one_folder_that_cannot_be_removed_does_not_keep_the_verdicts() {
    live_once!();
    let stage = Stage::new();
    let mut responder = stage.responder();
    responder.block("10.211.77.2".parse().unwrap(), None, Some(MINUTE));
    for stuck in ["a", "z"] {
        std::fs::create_dir_all(stage.bpffs.path().join("openclaw").join(stuck).join("full")).unwrap();
    }
    undo_all(stage.bpffs.path(), stage.state.path()).unwrap_err();
    assert!(!stage.bpffs.has_pins());
}

#[test]
fn a_cgroup_that_is_misspelt_leaves_earlier_verdicts_where_they_are() {
    live_once!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    Agent::new(&stage, "block 10.211.77.2 60").kill();
    let mut settings = stage.settings();
    settings.cgroup = Some(stage.cgroup.path().join("misspelt"));
    let mut responder = Responder::new(settings, super::layout());
    assert!(responder.notices()[0].contains("misspelt"), "{:?}", responder.notices());
    assert_eq!(helper.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    responder.unblock("10.211.77.2".parse().unwrap()).unwrap();
    helper.connect_tcp(listener.address()).unwrap();
}

#[test]
fn verdicts_follow_when_another_cgroup_is_configured() {
    live_once!();
    let stage = Stage::new();
    let elsewhere = crate::support::cgroup::Cgroup::new();
    let mut helper = Helper::new(&elsewhere, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    Agent::new(&stage, "block 10.211.77.2 60").kill();
    helper.connect_tcp(listener.address()).unwrap();
    let mut settings = stage.settings();
    settings.cgroup = Some(elsewhere.path().to_owned());
    let mut responder = Responder::new(settings, super::layout());
    assert_eq!(helper.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    responder.undo_all().unwrap();
    helper.connect_tcp(listener.address()).unwrap();
    helper.end();
}

#[test]
fn a_stopping_agent_leaves_its_verdicts_unless_it_is_told_to_release_them() {
    live_once!();
    let stage = Stage::new();
    let mut responder = stage.responder();
    responder.block("10.211.77.2".parse().unwrap(), None, Some(MINUTE));
    responder.shutdown(false).unwrap();
    drop(responder);
    assert!(stage.bpffs.has_pins());
    let mut responder = stage.responder();
    assert_eq!(responder.live().len(), 1);
    assert_eq!(responder.shutdown(true).unwrap().len(), 1);
    assert!(!stage.bpffs.has_pins());
}
