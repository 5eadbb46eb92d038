//! Isolated containers.

use openclaw_agent::respond::{NoLookup, Outcome};
use openclaw_detect::Scope;

use super::{MINUTE, Stage};
use crate::support::helper::Helper;
use crate::support::{live, wait_for};

#[track_caller]
fn assert_isolated(helper: &mut Helper) {
    assert_eq!(helper.icmp().unwrap_err().raw_os_error(), Some(libc::EPERM));
}

#[test]
fn a_container_is_isolated_with_what_comes_into_it_later_and_when_it_is_started_again() {
    live!();
    let stage = Stage::new();
    let container = stage.cgroup.container();
    let near = &stage.cable.near;
    // None descends from another.
    let mut first = Helper::new(&container, near);
    let mut second = Helper::new(&container, near);
    let mut bystander = Helper::new(&stage.cgroup, near);
    let mut responder = stage.responder();
    let record = responder.isolate(first.pid, Scope::Container, None, Some(MINUTE), &NoLookup);
    assert_eq!((record.outcome, record.scope), (Outcome::Done, Some(Scope::Container)), "{record:?}");
    assert_isolated(&mut first);
    assert_isolated(&mut second);
    bystander.icmp().unwrap();

    let mut late = Helper::new(&container, near);
    wait_for("who came later is isolated", || {
        responder.tick();
        late.icmp().is_err()
    });
    // Nobody is left in it, as when its runtime starts it again.
    for helper in [first, second, late] {
        helper.end();
    }
    wait_for("it is empty", || container.processes() == 0);
    responder.tick();
    let mut again = Helper::new(&container, near);
    wait_for("the container is isolated as it is started again", || {
        responder.tick();
        again.icmp().is_err()
    });

    // The next agent knows that the container is meant.
    drop(responder);
    let mut responder = stage.responder();
    let mut later = Helper::new(&container, near);
    wait_for("who came to the next agent is isolated", || {
        responder.tick();
        later.icmp().is_err()
    });
    bystander.icmp().unwrap();
    responder.release(&record.id).unwrap();
    later.icmp().unwrap();
    for helper in [again, later] {
        helper.end();
    }
}
