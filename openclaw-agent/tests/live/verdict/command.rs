//! What a person asks for by commands, and verdicts whose agent has ended.

use openclaw_common::verdict::VERSION;
use serde_json::Value;

use super::detach;
use super::session::Session;
use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::helper::Helper;
use crate::support::network::Cable;
use crate::support::skip::needs;
use crate::support::socket::Socket;
use crate::support::{live, live_once, wait_for};

/// What a command that does one thing prints.
#[track_caller]
fn act(agent: &Agent, words: &str) -> Value {
    let args: Vec<&str> = words.split(' ').chain(["--output", "json"]).collect();
    agent.json(&args)
}

/// The ids and outcomes that a command lists.
#[track_caller]
fn list(agent: &Agent, words: &str) -> Vec<(String, String)> {
    let args: Vec<&str> = words.split(' ').chain(["--output", "json"]).collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    agent.json_lines(&args).iter().map(|action| (text(&action["id"]), text(&action["outcome"]))).collect()
}

fn done(action: &Value) -> (String, String) {
    (action["id"].as_str().unwrap().to_owned(), "done".to_owned())
}

/// An agent in observe mode: what a person asks for is done all the same.
fn observing(cgroup: &Cgroup) -> Agent {
    Setup::new().observe(cgroup).without_events().start()
}

#[test]
fn a_block_that_does_not_hold_is_attached_anew_or_has_failed_whatever_the_kernels_tables_say() {
    live!();
    let cgroup = Cgroup::new();
    // It is judged itself, and so can try.
    let agent = Setup::new().observe(&cgroup).without_events().start_as(|command| cgroup.inside(command));
    let add = |address: &str| act(&agent, &format!("blocklist add {address}"));
    let remove_links = || {
        for program in ["verdict_connect4", "verdict_connect6"] {
            std::fs::remove_file(agent.pins().join(format!("link_{program}"))).unwrap();
        }
    };
    let first = add("203.0.113.1");
    assert!(first["outcome"] == "done" && first["verified"].is_string(), "{first}");
    remove_links();
    for address in ["203.0.113.2", "2001:db8:77::/48"] {
        let block = add(address);
        assert!(block["outcome"] == "done" && block["verified"].is_string(), "{block}");
    }
    assert!(agent.pins().join("link_verdict_connect6").exists());

    // Where the programs cannot be attached anew.
    let stuck = agent.pins().with_file_name(format!("{VERSION}-new")).join("stuck");
    std::fs::create_dir_all(stuck.join("full")).unwrap();
    remove_links();
    // One that is new, and one that was done before.
    for address in ["203.0.113.3", "203.0.113.1"] {
        let output = agent.openclaw(&["blocklist", "add", address]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("could not be attached anew"), "{said}");
    }
    let of_first =
        |agent: &Agent| agent.json(&["response", "show", first["id"].as_str().unwrap(), "--output", "json"]);
    wait_for("the first is known to hold no more", || of_first(&agent)["outcome"] == "failed");
    // As far as it holds it is in force, until it is undone.
    assert_eq!(list(&agent, "response list").len(), 4);
    std::fs::remove_dir(stuck.join("full")).unwrap();
    std::fs::remove_dir(&stuck).unwrap();
    let again = add("203.0.113.1");
    assert!(again["outcome"] == "done" && again["verified"].is_string(), "{again}");
    assert_eq!(again["verdict"], first["id"]);
    wait_for("the first holds again", || of_first(&agent)["outcome"] == "done");
    agent.json_lines(&["response", "undo", "--all", "--output", "json"]);
    assert!(!agent.has_pins());
}

#[test]
fn a_program_that_somebody_detaches_is_attached_anew_while_the_isolated_stay_cut_off() {
    live!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let agent = observing(&cgroup);
    let mut helper = Helper::new(&cgroup, &cable.near);
    let session = Session::new(&cable, &mut helper);
    let listener = cable.far.inside(|| Socket::listen(cable.far.v4(0)).unwrap());
    let idle = helper.tcp(listener.address()).unwrap();
    let isolation = act(&agent, &format!("isolate {}", helper.pid));
    assert!(isolation["outcome"] == "done" && isolation["verified"].is_string(), "{isolation}");
    // One after the other: what is detached while the agent attaches all anew for another is attached anew with it, untold.
    for program in ["verdict_egress", "verdict_connect4"] {
        detach(&agent.pins(), program);
        agent.wait_for_finding("verdicts_detached", |event| {
            let reason = event["openclaw"]["verdicts_detached"]["reason"].as_str().unwrap_or_default();
            reason.contains(program) && reason.contains("were attached anew")
        });
    }
    assert_eq!(helper.connect(idle, listener.address()).unwrap_err().raw_os_error(), Some(libc::EPERM));
    session.assert_cut(&mut helper);
    act(&agent, &format!("release {}", isolation["id"].as_str().unwrap()));
    session.assert_restored(&mut helper);
    assert!(!agent.has_pins());
}

#[test]
fn a_process_is_isolated_listed_and_released_by_command_in_both_modes() {
    live!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    for setup in [Setup::new().observe(&cgroup), Setup::new().enforce(&cgroup)] {
        let agent = setup.without_events().start();
        let mut helper = Helper::new(&cgroup, &cable.near);
        let session = Session::new(&cable, &mut helper);
        let isolation = act(&agent, &format!("isolate {} --reason odd", helper.pid));
        assert_eq!((&isolation["outcome"], &isolation["reason"]), (&"done".into(), &"odd".into()));
        assert_eq!(isolation["target"]["process"]["id"]["pid"], helper.pid);
        session.assert_cut(&mut helper);
        assert_eq!(list(&agent, "response list"), [done(&isolation)]);
        let released = act(&agent, &format!("release {}", isolation["id"].as_str().unwrap()));
        assert_eq!((&released["id"], &released["outcome"]), (&isolation["id"], &"undone".into()));
        session.assert_restored(&mut helper);
        assert!(list(&agent, "response list").is_empty());
        let all = list(&agent, "response list --all");
        assert!(all.iter().any(|(id, outcome)| isolation["id"] == **id && outcome == "undone"), "{all:?}");
        assert!(!agent.has_pins());
    }
}

#[test]
fn an_address_is_blocked_listed_and_unblocked_by_command() {
    live_once!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let agent = observing(&cgroup);
    let mut helper = Helper::new(&cgroup, &cable.near);
    let session = Session::new(&cable, &mut helper);
    let far = cable.far.ipv4;
    let block = act(&agent, &format!("blocklist add {far} --for 30s"));
    assert_eq!((&block["outcome"], &block["target"]["network"]), (&"done".into(), &far.to_string().into()));
    session.assert_cut(&mut helper);
    assert_eq!(list(&agent, "blocklist list"), [done(&block)]);
    assert_eq!(list(&agent, "response list"), [done(&block)]);
    let removed = act(&agent, &format!("blocklist remove {far}"));
    assert_eq!((&removed["id"], &removed["outcome"]), (&block["id"], &"undone".into()));
    session.assert_restored(&mut helper);
    assert!(list(&agent, "blocklist list").is_empty());
    let again = agent.openclaw(&["blocklist", "remove", &far.to_string()]);
    assert_eq!(again.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&again.stderr);
    assert!(errors.contains(&format!("{far} is not blocked")), "{errors}");
}

#[test]
fn ten_thousand_networks_are_blocked_from_a_file_and_outlive_their_agent() {
    live_once!();
    needs!("ip");
    let (cgroup, cable, folder) = (Cgroup::new(), Cable::new(), tempfile::tempdir().unwrap());
    let mut agent = observing(&cgroup);
    let mut helper = Helper::new(&cgroup, &cable.near);
    let session = Session::new(&cable, &mut helper);
    let file = folder.path().join("networks.txt");
    let path = file.to_str().unwrap();
    // A mistake in the last line: nothing of it is done.
    std::fs::write(&file, "192.0.2.1\nexample.com\n").unwrap();
    let refused = agent.openclaw(&["blocklist", "add", "--from", path]);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && errors.contains("networks.txt:2: `example.com`"), "{errors}");
    assert!(list(&agent, "blocklist list").is_empty());

    let mut text = format!("{} # the far side\n", cable.far.ipv4);
    (0..9_999).for_each(|n| text.push_str(&format!("198.18.{}.{}\n", n / 256, n % 256)));
    std::fs::write(&file, text).unwrap();
    let added = agent.json_lines(&["blocklist", "add", "--from", path, "--output", "json"]);
    assert_eq!(added.iter().filter(|action| action["outcome"] == "done").count(), 10_000);
    session.assert_cut(&mut helper);
    agent.end(libc::SIGKILL);
    let is_denied = |error: std::io::Error| error.raw_os_error() == Some(libc::EPERM);
    assert!(helper.connect_tcp(cable.far.v4(1)).is_err_and(is_denied));
    agent.start_again();
    assert_eq!(list(&agent, "blocklist list").len(), 10_000);
    assert!(helper.connect_tcp(cable.far.v4(1)).is_err_and(is_denied));
    act(&agent, &format!("blocklist remove {}", cable.far.ipv4));
    session.assert_restored(&mut helper);
    assert_eq!(agent.openclaw(&["response", "undo", "--all"]).status.code(), Some(0));
    assert!(!agent.has_pins());
}

#[test]
fn a_verdict_of_either_kind_is_undone_by_its_id() {
    live_once!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let agent = observing(&cgroup);
    let mut helper = Helper::new(&cgroup, &cable.near);
    let session = Session::new(&cable, &mut helper);
    let isolation = act(&agent, &format!("isolate {}", helper.pid));
    let block = act(&agent, &format!("blocklist add {}", cable.far.ipv4));
    assert_eq!(list(&agent, "response list"), [done(&block), done(&isolation)], "the newest first");
    let undone = act(&agent, &format!("response undo {}", isolation["id"].as_str().unwrap()));
    assert_eq!(undone["outcome"], "undone");
    session.assert_cut(&mut helper);
    assert_eq!(list(&agent, "response list"), [done(&block)]);
    act(&agent, &format!("response undo {}", block["id"].as_str().unwrap()));
    session.assert_restored(&mut helper);
    assert!(!agent.has_pins());
}

/// An agent that has blocked the far side, with a session that is cut by it.
fn blocked(agent: Agent, cgroup: &Cgroup, cable: &Cable) -> (Agent, Helper, Session) {
    let mut helper = Helper::new(cgroup, &cable.near);
    let session = Session::new(cable, &mut helper);
    assert_eq!(act(&agent, &format!("blocklist add {}", cable.far.ipv4))["outcome"], "done");
    (agent, helper, session)
}

/// Undoes what an agent that has ended left in force.
#[track_caller]
fn undo_without_agent(agent: &Agent, helper: &mut Helper, session: &Session) {
    assert!(agent.has_pins());
    session.assert_cut(helper);
    let undone = agent.json(&["response", "undo", "--all", "--output", "json"]);
    assert_eq!(undone["outcome"], "undone");
    assert!(!agent.has_pins());
    session.assert_restored(helper);
    assert!(list(agent, "response list").is_empty(), "the store knows of it");
}

#[test]
fn what_a_killed_agent_left_in_force_is_undone_by_command() {
    live!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let (mut agent, mut helper, session) = blocked(observing(&cgroup), &cgroup, &cable);
    agent.end(libc::SIGKILL);
    undo_without_agent(&agent, &mut helper, &session);
}

#[test]
fn verdicts_outlive_an_agent_that_is_stopped() {
    live_once!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let (mut agent, mut helper, session) = blocked(observing(&cgroup), &cgroup, &cable);
    assert_eq!(agent.end(libc::SIGTERM).code(), Some(0), "{}", agent.log());
    undo_without_agent(&agent, &mut helper, &session);
}

#[test]
fn verdicts_end_with_an_agent_that_is_to_release_on_exit() {
    live_once!();
    needs!("ip");
    let (cgroup, cable) = (Cgroup::new(), Cable::new());
    let release = Setup::new().observe(&cgroup).without_events().start_as(|mut command| {
        command.arg("--release-on-exit");
        command
    });
    let (mut agent, mut helper, session) = blocked(release, &cgroup, &cable);
    session.assert_cut(&mut helper);
    assert_eq!(agent.end(libc::SIGTERM).code(), Some(0), "{}", agent.log());
    assert!(!agent.has_pins());
    session.assert_restored(&mut helper);
    let listener = cable.far.inside(|| Socket::listen(cable.far.v4(0)).unwrap());
    wait_for("connections come about", || helper.connect_tcp(listener.address()).is_ok());
}

#[test]
fn verdicts_outlive_an_agent_that_is_killed_while_it_puts_other_programs_in_force() {
    live_once!();
    let cgroup = Cgroup::new();
    let mut agent = observing(&cgroup);
    let block = act(&agent, "blocklist add 203.0.113.5");
    let isolated = |agent: &Agent| list(agent, "response list");
    assert_eq!(isolated(&agent), [done(&block)]);
    agent.end(libc::SIGKILL);
    // The old pins have made room, and the new ones are not yet there.
    let pins = agent.pins();
    let former = pins.with_file_name(format!("{VERSION}-old"));
    std::fs::rename(&pins, &former).unwrap();
    agent.start_again();
    assert_eq!(isolated(&agent), [done(&block)]);
    assert!(pins.exists() && !former.exists());
    agent.end(libc::SIGKILL);
    // The same, and no agent comes back.
    std::fs::rename(&pins, &former).unwrap();
    let undone = agent.json(&["response", "undo", "--all", "--output", "json"]);
    assert_eq!((&undone["id"], &undone["outcome"]), (&block["id"], &"undone".into()));
    assert!(!agent.has_pins());
}
