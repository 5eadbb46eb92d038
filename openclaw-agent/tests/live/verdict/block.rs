//! Blocked addresses and networks.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use openclaw_agent::respond::{ActionRecord, Network, Outcome, Responder};

use super::{MINUTE, Stage};
use crate::support::helper::Helper;
use crate::support::socket::{MOMENT, Socket};
use crate::support::{PATIENCE, live, wait_for};

fn block(responder: &mut Responder, network: &str, duration: Duration) {
    let record = responder.block(network.parse().unwrap(), Some("test".to_owned()), Some(duration));
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
}

fn address(ip: IpAddr) -> Network {
    ip.into()
}

/// Blocks `far`, by which an open session is cut both ways, and no new one can be made in either direction.
fn cuts(stage: &Stage, far_ip: IpAddr, near_ip: IpAddr) {
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let far_listener = stage.cable.far.inside(|| Socket::listen(SocketAddr::new(far_ip, 0)).unwrap());
    let near_address = SocketAddr::new(near_ip, 7020);
    let near_listener = helper.listen(near_address);
    let near = helper.connect_tcp(far_listener.address()).unwrap();
    let far = far_listener.accept(PATIENCE).unwrap();
    // One that the other side has opened.
    let far_opened = stage.cable.far.inside(|| Socket::connect_tcp(near_address).unwrap());
    let accepted = helper.accept(near_listener, PATIENCE).unwrap();
    let udp = helper.udp(SocketAddr::new(near_ip, 7021)).unwrap();
    let far_udp = stage.cable.far.inside(|| Socket::udp(SocketAddr::new(far_ip, 7022)).unwrap());

    let mut responder = stage.responder();
    block(&mut responder, &address(far_ip).to_string(), MINUTE);
    for (near, far) in [(near, &far), (accepted, &far_opened)] {
        let dropped = responder.enforced().0;
        helper.send(near, "out").unwrap();
        wait_for("an outbound packet is dropped", || responder.enforced().0 > dropped);
        let dropped = responder.enforced().0;
        far.send("in").unwrap();
        wait_for("an inbound packet is dropped", || responder.enforced().0 > dropped);
        assert_eq!(far.receive(MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(helper.receive(near, MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    let denied =
        |result: std::io::Result<()>| assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
    denied(helper.connect_tcp(far_listener.address()).map(drop));
    denied(helper.send_to(udp, far_udp.address(), "out"));
    let late = stage.cable.far.inside(|| Socket::connect_tcp(near_address).unwrap_err());
    assert_eq!(late.raw_os_error(), Some(libc::EINPROGRESS));
    assert_eq!(helper.accept(near_listener, MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
    let dropped = responder.enforced().0;
    far_udp.send_to(SocketAddr::new(near_ip, 7021), "in").unwrap();
    wait_for("a datagram is dropped", || responder.enforced().0 > dropped);

    let record = responder.unblock(address(far_ip)).unwrap();
    assert_eq!(record.outcome, Outcome::Undone);
    assert!(!stage.bpffs.has_pins());
    for (near, far) in [(near, &far), (accepted, &far_opened)] {
        assert_eq!(far.receive(PATIENCE).unwrap(), "out");
        assert_eq!(helper.receive(near, PATIENCE).unwrap(), "in");
    }
    helper.connect_tcp(far_listener.address()).unwrap();
}

#[test]
fn a_blocked_ipv4_address_is_cut_both_ways_until_it_is_unblocked() {
    live!();
    let stage = Stage::new();
    cuts(&stage, IpAddr::V4(stage.cable.far.ipv4), IpAddr::V4(stage.cable.near.ipv4));
}

#[test]
fn a_blocked_ipv6_address_is_cut_both_ways_until_it_is_unblocked() {
    live!();
    let stage = Stage::new();
    cuts(&stage, IpAddr::V6(stage.cable.far.ipv6), IpAddr::V6(stage.cable.near.ipv6));
}

#[test]
fn raw_icmp_to_a_blocked_address_is_cut() {
    live!();
    let stage = Stage::new();
    let far = IpAddr::V4(stage.cable.far.ipv4);
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let raw = helper.icmp().unwrap();
    helper.ping(raw, far, PATIENCE).unwrap();
    let mut responder = stage.responder();
    block(&mut responder, &far.to_string(), MINUTE);
    assert_eq!(helper.ping(raw, far, MOMENT).unwrap_err().raw_os_error(), Some(libc::EPERM));
}

#[test]
fn an_ipv4_address_written_as_ipv6_does_not_get_around_its_block() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let mapped: Ipv6Addr = stage.cable.far.ipv4.to_ipv6_mapped();
    let to = SocketAddr::new(IpAddr::V6(mapped), listener.address().port());
    let open = helper.connect_tcp(to).unwrap();
    let far = listener.accept(PATIENCE).unwrap();
    let udp = helper.udp(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)).unwrap();
    let mut responder = stage.responder();
    block(&mut responder, &stage.cable.far.ipv4.to_string(), MINUTE);
    assert_eq!(helper.connect_tcp(to).unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(helper.send_to(udp, to, "out").unwrap_err().raw_os_error(), Some(libc::EPERM));
    let dropped = responder.enforced().0;
    helper.send(open, "out").unwrap();
    wait_for("a packet of the open session is dropped", || responder.enforced().0 > dropped);
    assert_eq!(far.receive(MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn an_address_that_is_over_does_not_hide_the_network_around_it() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let mut responder = stage.responder();
    block(&mut responder, "10.211.77.0/24", MINUTE);
    block(&mut responder, "10.211.77.2", Duration::from_secs(1));
    assert_eq!(responder.live().len(), 2);
    wait_for("the address is over", || {
        responder.tick().iter().any(|record| record.outcome == Outcome::Expired)
    });
    assert_eq!(helper.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    responder.unblock("10.211.77.0/24".parse().unwrap()).unwrap();
    helper.connect_tcp(listener.address()).unwrap();
}

#[test]
fn an_address_outlives_the_network_around_it() {
    live!();
    let stage = Stage::new();
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let listener = stage.cable.far.inside(|| Socket::listen(stage.cable.far.v4(0)).unwrap());
    let mut responder = stage.responder();
    block(&mut responder, "10.211.77.2", MINUTE);
    block(&mut responder, "10.211.77.0/24", MINUTE);
    responder.unblock("10.211.77.0/24".parse().unwrap()).unwrap();
    assert_eq!(helper.connect_tcp(listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
}

#[test]
fn a_second_block_of_the_same_network_extends_the_first() {
    live!();
    let stage = Stage::new();
    let mut responder = stage.responder();
    let network: Network = "10.211.77.2".parse().unwrap();
    let first = responder.block(network, None, Some(MINUTE / 2));
    let second = responder.block(network, None, Some(MINUTE));
    assert_eq!((second.outcome, &second.verdict), (Outcome::Done, &Some(first.id.clone())));
    assert_ne!(second.id, first.id);
    assert_eq!(second.reason, Some(format!("in force already as {}", first.id)));
    assert!(second.expires > first.expires);
    let extended = ActionRecord { expires: second.expires, ..first };
    assert_eq!(responder.take_extended(), std::slice::from_ref(&extended));
    let third = responder.block(network, None, Some(MINUTE / 4));
    assert_eq!(third.expires, second.expires);
    assert_eq!(responder.take_extended(), []);
    assert_eq!(responder.live(), [extended]);
}
