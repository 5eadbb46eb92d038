//! Isolated process trees.

use std::io::ErrorKind;
use std::net::IpAddr;

use openclaw_agent::respond::{
    ActionKind, ActionRecord, NoLookup, Outcome, ProcessLookup, Responder, ResponseSettings, Target,
};
use openclaw_common::verdict::VERSION;
use openclaw_detect::{Action, ProcessId, Scope};

use super::{MINUTE, Stage, detach};
use crate::support::helper::{Helper, Remote};
use crate::support::socket::{MOMENT, Socket};
use crate::support::{PATIENCE, live, start_of, wait_for};

fn isolate(responder: &mut Responder, helper: &Helper) -> ActionRecord {
    let record = responder.isolate(helper.pid, Scope::Tree, None, Some(MINUTE), &NoLookup);
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    record
}

/// A TCP session between a helper and the far side.
fn session(stage: &Stage, helper: &mut Helper) -> (Remote, Socket) {
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let near = helper.connect_tcp(listener.address()).unwrap();
    let far = listener.accept(PATIENCE).unwrap();
    helper.send(near, "before").unwrap();
    assert_eq!(far.receive(PATIENCE).unwrap(), "before");
    (near, far)
}

/// Nothing gets through a session, and the kernel says that it dropped packets of each direction.
#[track_caller]
fn assert_cut(responder: &Responder, helper: &mut Helper, near: Remote, far: &Socket) {
    let dropped = responder.enforced().0;
    let _ = helper.send(near, "out");
    wait_for("an outbound packet is dropped", || responder.enforced().0 > dropped);
    assert_eq!(far.receive(MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
    let dropped = responder.enforced().0;
    far.send("in").unwrap();
    wait_for("an inbound packet is dropped", || responder.enforced().0 > dropped);
    assert_eq!(helper.receive(near, MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// What was held back arrives, both ways.
#[track_caller]
fn assert_restored(helper: &mut Helper, near: Remote, far: &Socket) {
    assert_eq!(far.receive(PATIENCE).unwrap(), "out");
    assert_eq!(helper.receive(near, PATIENCE).unwrap(), "in");
}

#[test]
fn an_open_tcp_session_is_cut_both_ways_and_goes_on_after_release() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let (near, far) = session(&stage, &mut helper);
    let mut responder = stage.responder();
    let record = isolate(&mut responder, &helper);
    assert_cut(&responder, &mut helper, near, &far);
    assert_eq!(responder.release(&record.id).unwrap().outcome, Outcome::Undone);
    assert!(!stage.bpffs.has_pins(), "the last verdict takes its programs along");
    assert_restored(&mut helper, near, &far);
}

#[test]
fn a_session_that_the_other_side_has_opened_is_cut_both_ways_and_goes_on_after_release() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let at = stage.cable.near.v4(7011);
    let listener = helper.listen(at);
    let far = stage.cable.far.inside(|| Socket::connect_tcp(at).unwrap());
    let near = helper.accept(listener, PATIENCE).unwrap();
    let mut responder = stage.responder();
    let record = isolate(&mut responder, &helper);
    assert_cut(&responder, &mut helper, near, &far);
    responder.release(&record.id).unwrap();
    assert_restored(&mut helper, near, &far);
}

#[test]
fn a_process_of_a_tree_that_is_isolated_gets_a_record_that_names_the_isolation() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let child = helper.child();
    let mut responder = stage.responder();
    let around = isolate(&mut responder, &helper);
    let record = responder.isolate(child.pid, Scope::Tree, None, Some(MINUTE / 2), &NoLookup);
    assert_eq!((record.outcome, &record.verdict), (Outcome::Done, &Some(around.id.clone())));
    assert_ne!(record.id, around.id);
    assert!(matches!(record.target, Target::Process { id, .. } if id.pid == child.pid));
    assert_eq!(record.expires, around.expires);
    assert_eq!(responder.live(), [around]);
}

#[test]
fn an_open_ipv6_session_is_cut_too() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v6(0)).unwrap());
    let near = helper.connect_tcp(listener.address()).unwrap();
    let far = listener.accept(PATIENCE).unwrap();
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);
    assert_cut(&responder, &mut helper, near, &far);
}

#[test]
fn udp_is_cut_both_ways_whether_connected_or_not() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let far = stage.cable.far.inside(|| Socket::udp(stage.cable.far.v4(7001)).unwrap());
    let near = helper.udp(stage.cable.near.v4(7002)).unwrap();
    let connected = helper.udp(stage.cable.near.v4(7003)).unwrap();
    helper.connect(connected, far.address()).unwrap();
    helper.send_to(near, far.address(), "before").unwrap();
    assert_eq!(far.receive(PATIENCE).unwrap(), "before");

    let mut responder = stage.responder();
    let record = isolate(&mut responder, &helper);
    let denied = |result: std::io::Result<()>| result.unwrap_err().raw_os_error() == Some(libc::EPERM);
    assert!(denied(helper.send_to(near, far.address(), "out")));
    assert!(denied(helper.send(connected, "out")));
    assert_eq!(far.receive(MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
    for port in [7002, 7003] {
        let dropped = responder.enforced().0;
        far.send_to(stage.cable.near.v4(port), "in").unwrap();
        wait_for("a datagram is dropped", || responder.enforced().0 > dropped);
    }
    assert_eq!(helper.receive(near, MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);

    responder.release(&record.id).unwrap();
    helper.send(connected, "after").unwrap();
    assert_eq!(far.receive(PATIENCE).unwrap(), "after");
}

#[test]
fn raw_icmp_is_cut() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let far = IpAddr::V4(stage.cable.far.ipv4);
    let raw = helper.icmp().unwrap();
    helper.ping(raw, far, PATIENCE).unwrap();
    let mut responder = stage.responder();
    let record = isolate(&mut responder, &helper);
    assert_eq!(helper.ping(raw, far, MOMENT).unwrap_err().raw_os_error(), Some(libc::EPERM));
    responder.release(&record.id).unwrap();
    helper.ping(raw, far, PATIENCE).unwrap();
}

#[test]
fn new_sockets_and_connects_are_denied_also_to_children_made_later() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut bystander = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let v6 = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v6(0)).unwrap());
    let (idle, idle6) = (helper.tcp(listener.address()).unwrap(), helper.tcp(v6.address()).unwrap());
    let mut responder = stage.responder();
    let record = isolate(&mut responder, &helper);
    let mut child = helper.child();
    let mut orphan = child.orphan();
    for isolated in [&mut helper, &mut child, &mut orphan] {
        let denied = [
            isolated.connect(idle, listener.address()).err(),
            isolated.connect(idle6, v6.address()).err(),
            isolated.connect_tcp(listener.address()).err(),
            isolated.udp(stage.cable.near.v6(0)).err(),
            isolated.icmp().err(),
        ];
        for error in denied {
            assert_eq!(error.unwrap().raw_os_error(), Some(libc::EPERM));
        }
    }
    bystander.connect_tcp(listener.address()).unwrap();
    responder.release(&record.id).unwrap();
    orphan.connect_tcp(listener.address()).unwrap();
}

#[test]
fn a_socket_that_a_child_inherited_before_is_cut() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let (near, far) = session(&stage, &mut helper);
    let mut child = helper.child();
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);
    assert_cut(&responder, &mut child, near, &far);
    assert_eq!(child.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
}

/// The process table's knowledge of one orphan.
struct Orphan(u32);

impl ProcessLookup for Orphan {
    fn descendants(&self, _of: ProcessId) -> Vec<ProcessId> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let ticks: u64 = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().parse().unwrap();
        vec![ProcessId { pid: self.0, start: ticks * 10_000_000 + 1234 }]
    }

    fn name(&self, _of: ProcessId) -> Option<String> {
        Some("orphan".to_owned())
    }
}

#[test]
fn an_orphan_that_was_forked_twice_before_is_cut_with_its_own_sockets() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut orphan = helper.orphan();
    let (near, far) = session(&stage, &mut orphan);
    let mut responder = stage.responder();
    let record = responder.isolate(helper.pid, Scope::Tree, None, Some(MINUTE), &Orphan(orphan.pid));
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    assert_cut(&responder, &mut orphan, near, &far);
}

#[test]
fn an_orphan_that_the_process_table_learns_of_later_is_cut_then() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut orphan = helper.orphan();
    let (near, far) = session(&stage, &mut orphan);
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);
    responder.look_again(&Orphan(orphan.pid));
    assert_cut(&responder, &mut orphan, near, &far);
}

#[test]
fn a_session_that_a_marked_listener_would_accept_does_not_come_about() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let near = stage.cable.near.v4(7010);
    let listener = helper.listen(near);
    // The handshake is done by the kernel before the isolation; the socket is accepted after it.
    let far = stage.cable.far.inside(|| Socket::connect_tcp(near).unwrap());
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);
    let late = stage.cable.far.inside(|| Socket::connect_tcp(near).unwrap_err());
    assert_eq!(late.raw_os_error(), Some(libc::EINPROGRESS));
    let accepted = helper.accept(listener, PATIENCE).unwrap();
    // Waited in the queue unmarked: the next look at the tree's descriptors finds it.
    responder.tick();
    assert_cut(&responder, &mut helper, accepted, &far);
}

#[test]
fn a_socket_passed_out_of_the_tree_stays_cut_and_one_passed_in_gets_cut() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut bystander = Helper::new(&stage.cgroup, &stage.cable.near);
    let (near, far) = session(&stage, &mut helper);
    let (other_near, other_far) = session(&stage, &mut bystander);
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);

    let passed_out = helper.give(near);
    let near = bystander.take(&passed_out);
    drop(passed_out);
    assert_cut(&responder, &mut bystander, near, &far);

    let passed_in = bystander.give(other_near);
    let near = helper.take(&passed_in);
    drop(passed_in);
    responder.tick();
    assert_cut(&responder, &mut helper, near, &other_far);
}

#[test]
fn the_longest_of_two_isolations_holds_a_process_that_is_in_both() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut child = helper.child();
    let (near, far) = session(&stage, &mut child);
    let mut responder = stage.responder();
    let inner = responder.isolate(child.pid, Scope::Tree, None, Some(MINUTE / 2), &NoLookup);
    let outer = isolate(&mut responder, &helper);
    assert_eq!(responder.live().len(), 2);
    responder.release(&outer.id).unwrap();
    assert_cut(&responder, &mut child, near, &far);
    responder.release(&inner.id).unwrap();
    assert_restored(&mut child, near, &far);
}

#[test]
fn what_is_forked_under_one_of_two_isolations_stays_in_the_other() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut child = helper.child();
    let mut responder = stage.responder();
    let inner = responder.isolate(child.pid, Scope::Tree, None, Some(MINUTE), &NoLookup);
    let outer = responder.isolate(helper.pid, Scope::Tree, None, Some(MINUTE / 2), &NoLookup);
    assert_eq!(responder.live().len(), 2);
    let mut grandchild = child.child();
    responder.release(&inner.id).unwrap();
    assert_eq!(grandchild.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
    responder.release(&outer.id).unwrap();
    grandchild.icmp().unwrap();
}

#[test]
fn a_mark_goes_when_its_process_does() {
    live!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);
    let marks = || {
        let pin = stage.bpffs.pins().join("ISOLATED");
        let map = aya::maps::Map::from_map_data(aya::maps::MapData::from_pin(pin).unwrap()).unwrap();
        let map: aya::maps::HashMap<_, u32, [u64; 2]> = map.try_into().unwrap();
        map.keys().count()
    };
    assert!(marks() > 0);
    helper.end();
    wait_for("the mark is gone", || marks() == 0);
}

#[test]
fn an_orphan_is_cut_though_the_process_that_is_meant_has_ended() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut orphan = helper.orphan();
    let (near, far) = session(&stage, &mut orphan);
    let gone = ProcessId { pid: helper.pid, start: 1 };
    helper.end();
    let mut responder = stage.responder();
    let finding = super::finding(gone);
    let record = &responder.on_finding(&finding, None, &Orphan(orphan.pid))[0];
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    assert_cut(&responder, &mut orphan, near, &far);
    drop(responder);
    assert_eq!(stage.responder().on_finding(&finding, None, &NoLookup)[0].outcome, Outcome::Refused);
}

#[test]
fn a_process_stays_isolated_when_the_thread_that_it_is_named_after_ends() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let (near, far) = session(&stage, &mut helper);
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);
    helper.end_first_thread();
    assert_eq!(helper.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_cut(&responder, &mut helper, near, &far);
    let mut child = helper.child();
    assert_eq!(child.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
}

#[test]
fn a_thread_with_descriptors_of_its_own_is_cut_or_the_record_says_that_it_is_not() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    helper.connect_apart(listener.address());
    let far = listener.accept(PATIENCE).unwrap();
    far.receive(PATIENCE).unwrap();
    let mut responder = stage.responder();
    let record = responder.isolate(helper.pid, Scope::Tree, None, Some(MINUTE), &NoLookup);
    if record.outcome == Outcome::Failed {
        assert!(record.reason.unwrap().contains("kernels before 6.9"));
    } else {
        assert_eq!(record.outcome, Outcome::Done, "{record:?}");
        wait_for("nothing comes any more", || far.receive(MOMENT).is_err());
    }
}

#[test]
fn there_is_room_for_every_process_that_the_machine_can_have() {
    live!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut responder = stage.responder();
    isolate(&mut responder, &helper);
    let pin = stage.bpffs.pins().join("ISOLATED");
    let room = aya::maps::MapInfo::from_pin(pin).unwrap().max_entries();
    let limit = |name: &str| -> u32 {
        std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap().trim().parse().unwrap()
    };
    assert!(room >= limit("pid_max").min(limit("threads-max")), "{room}");
}

#[test]
fn what_does_not_fit_is_reported_and_the_rest_is_cut() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let (near, far) = session(&stage, &mut helper);
    let settings = ResponseSettings { max_isolated_processes: Some(1), ..stage.settings() };
    let mut responder = Responder::new(settings, super::layout());
    isolate(&mut responder, &helper);
    let mut child = helper.child();
    child.icmp().unwrap();
    let told = responder.tick();
    assert_eq!(told.iter().map(|record| record.outcome).collect::<Vec<_>>(), [Outcome::Failed]);
    assert!(told[0].reason.as_ref().unwrap().contains("1 processes and 0 sockets"), "{told:?}");
    assert_cut(&responder, &mut helper, near, &far);
    assert!(responder.tick().is_empty(), "it is told once");
}

#[test]
fn no_orphan_slips_out_while_its_tree_is_isolated() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut responder = stage.responder();
    // With any verdict the kernel takes note of forks; before, the agent's process table does.
    responder.block("10.211.99.0/24".parse().unwrap(), None, Some(MINUTE));
    helper.storm();
    wait_for("there are orphans", || stage.cgroup.processes() > 20);
    isolate(&mut responder, &helper);
    wait_for("every orphan has been denied a socket", || stage.cgroup.processes() == 1);
}

#[test]
fn an_isolation_is_tried_by_a_process_that_stands_in_for_the_isolated_and_is_gone_then() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut responder = stage.responder();
    let record = isolate(&mut responder, &helper);
    assert!(record.verified >= record.done && record.done.is_some(), "{record:?}");
    assert_eq!(stage.cgroup.processes(), 1);
    let below = std::fs::read_dir(stage.cgroup.path()).unwrap();
    assert_eq!(below.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 0);

    // What the kernel is told is there, but for when the verdict ends: it is in force no more.
    let pin = stage.bpffs.pins().join("EXPIRIES");
    let map = aya::maps::Map::from_map_data(aya::maps::MapData::from_pin(pin).unwrap()).unwrap();
    let mut expiries: aya::maps::HashMap<_, u64, u64> = map.try_into().unwrap();
    let number = expiries.keys().next().unwrap().unwrap();
    expiries.remove(&number).unwrap();
    helper.icmp().unwrap();
    // For so long it is known to hold, and not tried.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let again = responder.isolate(helper.pid, Scope::Tree, None, Some(MINUTE / 2), &NoLookup);
    assert_eq!((again.outcome, &again.verdict), (Outcome::Done, &Some(record.id)), "{again:?}");
    assert!(again.verified.is_some());
    assert_eq!(helper.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(stage.cgroup.processes(), 1);
}

#[test]
fn an_isolation_that_does_not_hold_has_failed_and_the_rules_next_answer_is_tried() {
    live!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut responder = stage.responder();
    let block = responder.block("203.0.113.7".parse().unwrap(), None, Some(MINUTE));
    assert_eq!(block.outcome, Outcome::Done, "{block:?}");
    detach(&stage.bpffs.pins(), "verdict_connect4");
    // Nor can it be attached anew.
    let stuck = stage.bpffs.pins().with_file_name(format!("{VERSION}-new")).join("stuck");
    std::fs::create_dir_all(stuck.join("full")).unwrap();
    let mut finding = super::finding(ProcessId { pid: helper.pid, start: start_of(helper.pid) });
    finding.response.escalate = vec![Action::Suspend];
    let records = responder.on_finding(&finding, None, &NoLookup);
    let outcomes: Vec<_> = records.iter().map(|record| (record.kind, record.outcome)).collect();
    assert_eq!(outcomes[0], (ActionKind::Isolate, Outcome::Failed), "{records:?}");
    assert!(records[0].reason.as_ref().unwrap().contains("detached verdict_connect4"), "{records:?}");
    assert_eq!((records.len(), outcomes[1].0), (2, ActionKind::Suspend));
    assert_eq!(records[1].escalates.as_ref(), Some(&records[0].id));
    wait_for("it stands still", || crate::strike::stands_still(helper.pid));

    // It is said of all that it does not hold, once, and that it does again.
    let outcomes = |records: Vec<ActionRecord>| -> Vec<_> {
        records
            .iter()
            .filter(|record| record.kind != ActionKind::Suspend)
            .map(|record| record.outcome)
            .collect()
    };
    assert_eq!(outcomes(responder.tick()), [Outcome::Failed; 2]);
    wait_for("it is attached anew", || {
        let _ = std::fs::remove_dir(stuck.join("full"));
        let _ = std::fs::remove_dir(&stuck);
        let told = outcomes(responder.tick());
        assert!(told.is_empty() || told == [Outcome::Done; 2], "{told:?}");
        !told.is_empty()
    });
    responder.undo_all().unwrap();
}
