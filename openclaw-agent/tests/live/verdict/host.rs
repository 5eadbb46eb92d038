//! The isolated host, which in these tests is a control group and a network namespace, and what isolation leaves open.

use std::fmt::Debug;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use openclaw_agent::respond::{
    ActionRecord, Exceptions, Network, NoLookup, Outcome, Rail, Responder, ResponseSettings, Target,
};
use openclaw_detect::{Response, Scope, Severity};
use serde_json::json;

use super::session::Session;
use super::{MINUTE, Stage, finding, layout};
use crate::rules::RULES;
use crate::support::agent::Setup;
use crate::support::cgroup::Cgroup;
use crate::support::deed::link;
use crate::support::helper::Helper;
use crate::support::network::{Cable, inside};
use crate::support::skip::{needs, skip};
use crate::support::socket::{MOMENT, Socket};
use crate::support::webhook::Webhook;
use crate::support::{PATIENCE, live, live_alone, wait_for};

/// A second address of the far side, which is allowed in these tests.
const SOC: Ipv4Addr = Ipv4Addr::new(10, 211, 77, 9);
const SOC_NETWORK: &str = "10.211.77.8/29";

/// The exception of these networks, and of loopback where something is said of it.
fn but_for(allow: &[&str], loopback: Option<bool>) -> Exceptions {
    let allow = allow.iter().map(|network| network.parse().unwrap()).collect();
    Exceptions { allow, loopback, ..Exceptions::default() }
}

/// A responder whose isolations leave this open.
fn leaving_open(stage: &Stage, isolation: Exceptions) -> Responder {
    Responder::new(ResponseSettings { isolation, ..stage.settings() }, layout())
}

fn responder(stage: &Stage, allow: &[&str], loopback: Option<bool>) -> Responder {
    leaving_open(stage, but_for(allow, loopback))
}

fn stage() -> Stage {
    let stage = Stage::with_kernel();
    stage.cable.far.add(SOC);
    stage
}

/// The stage, and who is isolated on it.
fn scene() -> (Stage, Helper) {
    let stage = stage();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    (stage, helper)
}

/// Isolates the helper's tree.
fn isolate(responder: &mut Responder, helper: &Helper) -> ActionRecord {
    responder.isolate(helper.pid, Scope::Tree, None, Some(MINUTE), &NoLookup)
}

#[track_caller]
fn assert_denied<T: Debug>(result: std::io::Result<T>) {
    assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
}

fn listen(stage: &Stage, at: IpAddr) -> Socket {
    stage.cable.far.inside(|| Socket::listen(SocketAddr::new(at, 0)).unwrap())
}

#[test]
fn an_isolated_host_reaches_what_is_allowed_and_itself_and_nothing_else() {
    live!();
    needs!("ip");
    let (stage, mut helper) = scene();
    let (near, far) = (&stage.cable.near, &stage.cable.far);
    let session = Session::new(&stage.cable, &mut helper);
    let mut responder = responder(&stage, &[SOC_NETWORK, &far.ipv6.to_string()], None);
    let record = responder.isolate_host(Some("drill".to_owned()), Some(MINUTE));
    assert_eq!((record.outcome, &record.target), (Outcome::Done, &Target::Host), "{record:?}");
    assert!(record.verified.is_some() && record.expires.is_some());

    // What was open is silenced, both ways.
    session.assert_cut(&mut helper);
    // Nothing new goes out or comes in.
    let datagrams = helper.udp(near.v4(0)).unwrap();
    assert_denied(helper.send_to(datagrams, far.v4(9), "out"));
    let icmp = helper.icmp().unwrap();
    assert!(helper.ping(icmp, far.ipv4.into(), MOMENT).is_err());
    let listener = helper.listen(near.v4(7012));
    let dropped = responder.enforced().0;
    assert!(far.inside(|| Socket::connect_tcp(near.v4(7012))).is_err());
    assert!(responder.enforced().0 > dropped, "a packet from outside is dropped");
    assert_eq!(helper.accept(listener, MOMENT).unwrap_err().kind(), ErrorKind::WouldBlock);
    // What is allowed goes, both ways, over IPv6 too, where the link has to tell who is who.
    near.forget_neighbours();
    for allowed in [listen(&stage, SOC.into()), listen(&stage, far.ipv6.into())] {
        helper.connect_tcp(allowed.address()).unwrap();
    }
    far.inside(|| Socket::connect_tcp_from((SOC, 0).into(), near.v4(7012))).unwrap();
    helper.accept(listener, PATIENCE).unwrap();
    // A lease is renewed by asking everybody on the link, and nobody else.
    let lease = helper.udp(near.v4(68)).unwrap();
    let server = far.inside(|| Socket::udp((Ipv4Addr::UNSPECIFIED, 67).into()).unwrap());
    helper.send_to(lease, (Ipv4Addr::BROADCAST, 67).into(), "renew").unwrap();
    assert_eq!(server.receive(PATIENCE).unwrap(), "renew");
    server.send_to(near.v4(68), "lease").unwrap();
    assert_eq!(helper.receive(lease, PATIENCE).unwrap(), "lease");
    assert_denied(helper.send_to(lease, far.v4(67), "out"));
    let serving = helper.udp(near.v4(67)).unwrap();
    assert_denied(helper.send_to(serving, far.v4(68), "out"));
    // Itself.
    let own = helper.listen((Ipv4Addr::LOCALHOST, 7013).into());
    helper.connect_tcp((Ipv4Addr::LOCALHOST, 7013).into()).unwrap();
    helper.accept(own, PATIENCE).unwrap();
    helper.connect_tcp(near.v4(7012)).unwrap();

    assert_eq!(responder.undo(&record.id).unwrap().outcome, Outcome::Undone);
    assert!(!stage.bpffs.has_pins(), "the last verdict takes its programs along");
    session.assert_restored(&mut helper);
    helper.ping(icmp, far.ipv4.into(), PATIENCE).unwrap();
}

#[test]
fn an_isolated_host_is_denied_connections_at_once_unless_they_may_be_to_itself() {
    live!();
    needs!("ip");
    let (stage, mut helper) = scene();
    let (near, far) = (&stage.cable.near, &stage.cable.far);
    let [v4, v6, same] =
        [far.v4(0), far.v6(0), far.v4(7018)].map(|at| far.inside(|| Socket::listen(at).unwrap()));
    let here = helper.listen((Ipv6Addr::UNSPECIFIED, 7018).into());
    let mut responder = responder(&stage, &[SOC_NETWORK], None);
    let record = responder.isolate_host(None, Some(MINUTE));
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    let mapped = SocketAddr::new(far.ipv4.to_ipv6_mapped().into(), v4.address().port());
    let denied = responder.enforced().1;
    for address in [v4.address(), v6.address(), mapped] {
        assert_denied(helper.connect_tcp(address));
    }
    assert_eq!(responder.enforced().1, denied + 3);
    // Somebody listens here at that port: the packets decide, of which those elsewhere are dropped.
    let silent = helper.connect_tcp(same.address()).unwrap_err();
    assert_eq!(silent.raw_os_error(), Some(libc::EINPROGRESS));
    for own in [near.v4(7018), near.v6(7018), (Ipv4Addr::LOCALHOST, 7018).into()] {
        helper.connect_tcp(own).unwrap();
        helper.accept(here, PATIENCE).unwrap();
    }
    responder.undo(&record.id).unwrap();
    for socket in [&v4, &v6, &same] {
        helper.connect_tcp(socket.address()).unwrap();
    }
}

#[test]
fn all_of_a_machine_is_isolated_and_keeps_its_link() {
    live_alone!();
    needs!("ip");
    let stage = stage();
    let (near, far) = (&stage.cable.near, &stage.cable.far);
    // The far side is of the same machine, and is let answer the near one.
    let ends: [IpAddr; 3] = [far.ipv6.into(), near.ipv4.into(), near.ipv6.into()];
    let allow = ends.into_iter().map(Network::from).chain([SOC_NETWORK.parse().unwrap()]).collect();
    let isolation = Exceptions { allow, ..Exceptions::default() };
    let settings = ResponseSettings { isolation, cgroup: None, ..stage.settings() };
    let mut responder = Responder::new(settings, layout());
    // Where this test is itself.
    let mut helper = Helper::at(near);
    let (soc, v6) = (listen(&stage, SOC.into()), listen(&stage, far.ipv6.into()));
    let record = responder.isolate_host(None, Some(MINUTE));
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    near.forget_neighbours();
    far.forget_neighbours();
    helper.connect_tcp(soc.address()).unwrap();
    helper.connect_tcp(v6.address()).unwrap();
    let socket = helper.udp(near.v4(0)).unwrap();
    assert_denied(helper.send_to(socket, far.v4(9), "out"));
    assert_denied(helper.connect_tcp(far.v4(9)));
    responder.undo(&record.id).unwrap();
    helper.send_to(socket, far.v4(9), "out").unwrap();
}

#[test]
fn what_is_left_open_is_what_the_next_agent_is_configured_to() {
    live!();
    needs!("ip");
    let (stage, mut helper) = scene();
    let soc = listen(&stage, SOC.into());
    // Wider, narrower, elsewhere: each with the same beginning as the one before, or none.
    for (allow, is_open) in
        [("10.211.77.9", true), ("10.211.77.8/29", true), ("10.211.77.8", false), ("10.211.77.8/29", true)]
    {
        let mut responder = responder(&stage, &[allow], None);
        if responder.live().is_empty() {
            responder.isolate_host(None, Some(MINUTE));
        }
        assert_eq!(helper.connect_tcp(soc.address()).is_ok(), is_open, "{allow}");
    }
}

#[test]
fn the_isolated_may_ask_the_dns_servers_where_that_is_wanted_and_nobody_else() {
    live!();
    needs!("ip");
    let servers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server =
        servers.lines().find_map(|line| line.strip_prefix("nameserver")?.trim().parse::<Ipv4Addr>().ok());
    let Some(server) = server.filter(|server| !server.is_loopback()) else {
        skip!("resolv.conf names no DNS server of IPv4 that is elsewhere");
    };
    let (stage, mut helper) = scene();
    // It is at the far end of the cable here.
    stage.cable.far.add(server);
    stage.cable.near.route_over_cable(server);
    let mut responder = leaving_open(&stage, Exceptions { dns: true, ..Exceptions::default() });
    let far = stage.cable.far.inside(|| Socket::udp((server, 53).into()).unwrap());
    isolate(&mut responder, &helper);
    let socket = helper.udp(stage.cable.near.v4(7016)).unwrap();
    helper.send_to(socket, (server, 53).into(), "query").unwrap();
    assert_eq!(far.receive(PATIENCE).unwrap(), "query");
    far.send_to(stage.cable.near.v4(7016), "answer").unwrap();
    assert_eq!(helper.receive(socket, PATIENCE).unwrap(), "answer");
    assert_denied(helper.send_to(socket, (server, 54).into(), "other"));
    let dropped = responder.enforced().0;
    let other = stage.cable.far.inside(|| Socket::udp((server, 54).into()).unwrap());
    other.send_to(stage.cable.near.v4(7016), "other").unwrap();
    wait_for("what another port sends is dropped", || responder.enforced().0 > dropped);
    responder.undo_all().unwrap();
}

#[test]
fn an_isolated_host_has_no_loopback_where_that_is_not_wanted() {
    live!();
    needs!("ip");
    let (stage, mut helper) = scene();
    let mut responder = responder(&stage, &[], Some(false));
    let record = responder.isolate_host(None, Some(MINUTE));
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    let here = helper.udp((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    assert_denied(helper.send_to(here, (Ipv4Addr::LOCALHOST, 9).into(), "out"));
    responder.undo_all().unwrap();
    helper.send_to(here, (Ipv4Addr::LOCALHOST, 9).into(), "out").unwrap();
}

#[test]
fn an_isolated_process_reaches_what_is_allowed_and_nothing_else() {
    live!();
    needs!("ip");
    let (stage, mut helper) = scene();
    let (near, far) = (&stage.cable.near, &stage.cable.far);
    let (soc, other) = (listen(&stage, SOC.into()), listen(&stage, far.ipv4.into()));
    let before = helper.connect_tcp(soc.address()).unwrap();
    let session = Session::new(&stage.cable, &mut helper);
    let mut responder = responder(&stage, &[SOC_NETWORK], Some(true));
    let record = isolate(&mut responder, &helper);
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");

    session.assert_cut(&mut helper);
    helper.send(before, "still").unwrap();
    assert_eq!(soc.accept(PATIENCE).unwrap().receive(PATIENCE).unwrap(), "still");
    assert_denied(helper.connect_tcp(other.address()));
    // A socket that could send what nobody is asked about.
    assert_denied(helper.icmp());
    helper.connect_tcp(soc.address()).unwrap();
    soc.accept(PATIENCE).unwrap();
    let mut child = helper.child();
    assert_denied(child.connect_tcp(other.address()));
    child.connect_tcp(soc.address()).unwrap();
    // A socket made since is cut from whoever else speaks to it.
    let late = helper.udp(near.v4(7014)).unwrap();
    let dropped = responder.enforced().0;
    far.inside(|| Socket::udp(far.v4(0)).unwrap().send_to(near.v4(7014), "in")).unwrap();
    wait_for("a packet from elsewhere is dropped", || responder.enforced().0 > dropped);
    far.inside(|| Socket::udp((SOC, 0).into()).unwrap().send_to(near.v4(7014), "soc")).unwrap();
    assert_eq!(helper.receive(late, PATIENCE).unwrap(), "soc");
    // This host over loopback, where it is wanted.
    let own = helper.listen((Ipv4Addr::LOCALHOST, 7015).into());
    helper.connect_tcp((Ipv4Addr::LOCALHOST, 7015).into()).unwrap();
    helper.accept(own, PATIENCE).unwrap();

    responder.undo(&record.id).unwrap();
    helper.connect_tcp(other.address()).unwrap();
    session.assert_restored(&mut helper);
    child.end();
}

#[test]
fn loopback_that_is_allowed_by_its_network_is_no_way_out_of_an_isolation() {
    live!();
    needs!("ip");
    let (stage, mut helper) = scene();
    let mut responder = responder(&stage, &["127.0.0.0/8"], None);
    let record = isolate(&mut responder, &helper);
    assert_eq!(record.outcome, Outcome::Done, "{record:?}");
    assert!(record.verified.is_some(), "{record:?}");
    let own = helper.listen((Ipv4Addr::LOCALHOST, 7017).into());
    helper.connect_tcp((Ipv4Addr::LOCALHOST, 7017).into()).unwrap();
    helper.accept(own, PATIENCE).unwrap();
    assert_denied(helper.connect_tcp(stage.cable.far.v4(9)));
    responder.undo_all().unwrap();
}

#[test]
fn the_isolation_of_a_host_outlives_its_agent_and_ends_on_time_without_one() {
    live!();
    needs!("ip");
    let (stage, mut helper) = scene();
    let mut first = responder(&stage, &[], None);
    let seconds = std::time::Duration::from_secs(3);
    let record = first.isolate_host(None, Some(MINUTE));
    let socket = helper.udp(stage.cable.near.v4(0)).unwrap();
    let to = stage.cable.far.v4(9);
    drop(first);
    assert!(helper.send_to(socket, to, "out").is_err());
    // The next agent takes it over, and knows what it is.
    let mut second = responder(&stage, &[], None);
    let live = second.live();
    assert_eq!((&live[0].id, &live[0].target, live[0].scope), (&record.id, &Target::Host, Some(Scope::Host)));
    assert!(helper.send_to(socket, to, "out").is_err());
    second.undo(&record.id).unwrap();
    helper.send_to(socket, to, "out").unwrap();

    second.isolate_host(None, Some(seconds));
    drop(second);
    assert!(helper.send_to(socket, to, "out").is_err());
    wait_for("it is over with no agent", || helper.send_to(socket, to, "out").is_ok());
    let told = responder(&stage, &[], None).tick();
    assert_eq!((told.len(), told[0].outcome, told[0].ended), (1, Outcome::Expired, told[0].expires));
}

#[test]
fn no_rule_isolates_a_host_that_nobody_could_reach_then_but_a_person_does() {
    live!();
    needs!("ip");
    let (stage, helper) = scene();
    let process = openclaw_detect::ProcessId { pid: helper.pid, start: 0 };
    let response = Response { isolate: Scope::Host, ..Response::default() };
    let found = openclaw_detect::Finding { severity: Severity::Critical, response, ..finding(process) };
    let mut closed = responder(&stage, &[], None);
    let records = closed.on_finding(&found, None, &NoLookup);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!((records[0].outcome, records[0].refused_by), (Outcome::Refused, Some(Rail::Operator)));
    assert!(records[0].reason.as_deref().unwrap().contains("security.response.isolation.allow"));
    assert!(!stage.bpffs.has_pins());
    drop(closed);

    let mut open = responder(&stage, &["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"], None);
    let records = open.on_finding(&found, None, &NoLookup);
    assert_eq!((records[0].outcome, &records[0].target), (Outcome::Done, &Target::Host), "{records:?}");
    // Asked for again, it is one verdict that lasts longer.
    let again = open.isolate_host(None, Some(MINUTE));
    assert_eq!((again.outcome, again.verdict.as_ref()), (Outcome::Done, Some(&records[0].id)));
    assert_eq!(open.live().len(), 1);
    open.undo_all().unwrap();
    assert!(!stage.bpffs.has_pins());
}

#[test]
fn the_agent_of_an_isolated_host_still_sends_its_alerts() {
    live!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let webhook = Webhook::on(cable.far.inside(|| TcpListener::bind(cable.far.v4(0)).unwrap()));
    let setup = Setup::new().rules(RULES).webhook(&webhook.url).observe(&cgroup).without_events();
    // All of it is on the host that is isolated.
    let agent = setup.start_as(|command| inside(&cable.near, cgroup.inside(command)));
    let mut helper = Helper::new(&cgroup, &cable.near);
    let isolated = agent.json(&["isolate", "--host", "--reason", "drill", "--output", "json"]);
    assert_eq!((&isolated["outcome"], &isolated["target"]), (&json!("done"), &json!("host")), "{isolated}");
    let socket = helper.udp(cable.near.v4(0)).unwrap();
    assert!(helper.send_to(socket, cable.far.v4(9), "out").is_err());
    let folder = tempfile::tempdir().unwrap();
    let netcat = helper.child_as(&link(folder.path(), "nc"));
    let finding = agent.wait_for_finding("suspicious_process", |event| event["process"]["pid"] == netcat.pid);
    webhook.wait_for("netcat", |body| body["id"] == finding["id"]);
    assert!(helper.send_to(socket, cable.far.v4(9), "out").is_err());
    netcat.end();
    let id = isolated["id"].as_str().unwrap();
    let undone = agent.json(&["response", "undo", id, "--output", "json"]);
    assert_eq!(undone["outcome"], "undone");
    helper.send_to(socket, cable.far.v4(9), "out").unwrap();
}
