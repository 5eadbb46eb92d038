//! Floods: what is more than can be carried is counted, and pushes out nothing else.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::credential::USER;
use crate::support::agent::{Agent, Setup};
use crate::support::deed::{self, Deed, Deeds, say};
use crate::support::{live, live_once, wait_for};

pub(crate) const DEEDS: Deeds = &[("flood", flood), ("act beside a flood", act)];

/// How long a flood goes on.
fn duration() -> Duration {
    Duration::from_secs(if std::env::var_os("OPENCLAW_FULL").is_some() { 30 } else { 3 })
}

/// Makes files in a folder as fast as it can, for a time in seconds, and says how many.
fn flood(args: &[OsString]) -> i32 {
    let end = Instant::now() + Duration::from_secs(args[1].to_str().unwrap().parse().unwrap());
    let mut count = 0;
    while Instant::now() < end {
        File::create(Path::new(&args[0]).join(count.to_string())).unwrap();
        count += 1;
    }
    say(&count.to_string());
    0
}

/// Becomes another user, and connects to an address.
fn act(args: &[OsString]) -> i32 {
    // SAFETY: the call has no preconditions.
    assert_eq!(unsafe { libc::setresuid(USER, USER, USER) }, 0);
    TcpStream::connect(args[0].to_str().unwrap()).unwrap();
    0
}

/// Two processes that each flood a folder of their own below `folder`.
fn floods(folder: &Path) -> [Deed; 2] {
    let seconds = duration().as_secs().to_string();
    ["1", "2"].map(|name| {
        let own = folder.join(name);
        fs::create_dir(&own).unwrap();
        Deed::new("flood", &[own.to_str().unwrap(), &seconds])
    })
}

/// Whether a line is of a file that was made in one of the flooded folders.
fn is_of_flood(event: &Value, folder: &Path) -> bool {
    let below = format!("{}/", folder.display());
    event["event"]["action"] == "create"
        && event["file"]["directory"].as_str().is_some_and(|path| path.starts_with(&below))
}

/// Has processes that are named `openclaw-beside` act until the floods have ended. Returns their pids, and how
/// many files were made.
fn act_beside(mut floods: [Deed; 2], folder: &Path) -> (HashSet<u64>, u64) {
    let program = deed::link(folder, "openclaw-beside");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut pids = HashSet::new();
    let mut made = 0;
    std::thread::scope(|scope| {
        let counters: Vec<_> =
            floods.iter_mut().map(|flood| scope.spawn(|| flood.hear().parse::<u64>().unwrap())).collect();
        // At least one, however short of processors the machine is.
        while pids.is_empty() || counters.iter().any(|counter| !counter.is_finished()) {
            let mut child = deed::command(&program, "act beside a flood").arg(&address).spawn().unwrap();
            drop(server.accept().unwrap());
            pids.insert(u64::from(child.id()));
            assert!(child.wait().unwrap().success());
        }
        made = counters.into_iter().map(|counter| counter.join().unwrap()).sum();
    });
    (pids, made)
}

/// A rule that finds each event of that kind of the processes beside a flood.
fn rule(kind: &str, action: &str) -> String {
    format!(
        "rules:\n  - name: {action}\n    event: {kind}\n    condition: |\n      process.name == \"openclaw-beside\" and \
         event.action == \"{action}\"\n    severity: info\n    action: alert\n"
    )
}

/// How files are counted that were not told.
const FILES_LOST: [&str; 3] = ["file_ring_full", "file_program_run_skipped", "scratches_taken"];

/// What happens beside a flood, by kind of event and action.
const BESIDE: [(&str, &str); 4] = [
    ("process_create", "exec"),
    ("privilege_change", "setuid"),
    ("network_connection", "connection_established"),
    ("process_exit", "exit"),
];

/// Waits until each of the processes was found to do everything, and looks that nothing was lost but files.
#[track_caller]
fn expect_beside(agent: &Agent, pids: &HashSet<u64>) {
    for (_, action) in BESIDE {
        let found = || {
            let findings = agent.findings(action, |_| true);
            let pids: HashSet<u64> =
                findings.iter().filter_map(|finding| finding["event"]["process"]["pid"].as_u64()).collect();
            pids
        };
        wait_for(&format!("{action} of {} processes is found", pids.len()), || found().is_superset(pids));
    }
    assert_eq!(agent.lost("process_ring_full"), 0);
    assert_eq!(agent.lost("network_ring_full"), 0);
}

fn rules_beside(setup: Setup) -> Setup {
    BESIDE.iter().fold(setup, |setup, (kind, action)| setup.rules(&rule(kind, action)))
}

#[test]
fn no_exec_exit_credential_or_connection_is_lost_in_a_flood_of_files() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let agent = rules_beside(Setup::new())
        .watch(&format!(
            "event.action == \"create\" and file.directory startswith \"{}\" and process.name == \"nobody\"",
            folder.path().display()
        ))
        .without_events()
        .start();
    let (pids, _) = act_beside(floods(folder.path()), folder.path());
    expect_beside(&agent, &pids);
}

#[test]
fn of_a_flood_of_files_each_is_told_or_counted_as_lost() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::start();
    let made: u64 = floods(folder.path()).map(|mut flood| flood.hear().parse::<u64>().unwrap()).iter().sum();
    agent.settle();
    let told = agent.count("file_access", |event| is_of_flood(event, folder.path())) as u64;
    assert!(told <= made, "{told} files of {made} were told");
    let reasons = [&FILES_LOST[..], &["reader_too_slow"]].concat();
    // Counters are renewed once a second.
    wait_for(&format!("what is missing besides {told} of {made} is counted as lost"), || {
        told + reasons.iter().map(|reason| agent.lost(reason)).sum::<u64>() >= made
    });
}

#[test]
fn while_the_agent_stands_still_files_alone_are_lost_and_counted() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let below = format!("{}/", folder.path().display());
    let agent = rules_beside(Setup::new())
        .rules(&format!(
            "rules:\n  - name: made\n    event: file_access\n    condition: |\n      event.action == \"create\" and \
             file.directory startswith \"{below}\"\n    severity: info\n    action: alert\n"
        ))
        .sensor("file_ring: 64KiB\n    loss_limit: 500")
        .without_events()
        .start();
    agent.signal(libc::SIGSTOP);
    let (pids, made) = act_beside(floods(folder.path()), folder.path());
    agent.signal(libc::SIGCONT);
    expect_beside(&agent, &pids);
    let told = || agent.findings("made", |_| true).len() as u64;
    wait_for("what the ring still held is told, and the rest is counted", || {
        told() > 0 && told() + FILES_LOST.iter().map(|reason| agent.lost(reason)).sum::<u64>() >= made
    });
    assert!(told() < made, "{made} files fit into a ring of 64 KiB");
    let finding = agent.wait_for_finding("sensor_losses", |_| true);
    assert!(finding["event"]["openclaw"]["sensor_losses"]["kernel.file_ring_full"].as_u64().unwrap() > 0);
}

#[test]
fn what_rules_forget_to_make_room_is_told_as_a_loss() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let agent = Setup::new()
        .rules(&format!(
            "rules:\n  - name: twice\n    event: file_access\n    condition: file.directory == \"{}\"\n    \
             threshold: {{at_least: 100, within: 10m, by: [file.path]}}\n    severity: info\n    action: alert\n",
            folder.path().display()
        ))
        .sensor("file_ring: 32MiB\n    loss_limit: 100")
        .start();
    // More than a rule keeps keys.
    for number in 0..20_000 {
        File::create(folder.path().join(number.to_string())).unwrap();
    }
    let finding = agent.wait_for_finding("sensor_losses", |_| true);
    let forgotten = &finding["event"]["openclaw"]["sensor_losses"]["rules.memory_full"];
    assert!(forgotten.as_u64().unwrap() >= 100, "{finding}");
}
