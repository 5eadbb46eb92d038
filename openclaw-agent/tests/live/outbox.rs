//! Alerts arrive, once, whatever happens to the agent, to the endpoint and to the disk.

mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openclaw_agent::output::time;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::cgroup::Cgroup;
use crate::support::webhook::{Down, Webhook};
use crate::support::{live, live_once, unique, wait_for};

/// What a test has told by numbers: programs that are begun with such an argument, which other tests do not use.
struct Numbered(String);

impl Numbered {
    fn new() -> Self {
        Numbered(format!("openclaw-{}-{}-", std::process::id(), unique()))
    }

    /// The rule that fires for each.
    fn rule(&self) -> String {
        format!(
            "rules: [{{name: numbered, event: process_create, severity: high, condition: process.args startswith '{}'}}]",
            self.0
        )
    }

    /// Begins a program that is told by its number. Returns when that was: not before the one and not after the other.
    fn trigger(&self, number: u32) -> (u64, u64) {
        let before = time::now().0;
        let mut command = Command::new("/bin/true");
        command.arg(format!("{}{number}", self.0)).stdin(Stdio::null());
        assert!(command.status().unwrap().success());
        (before, time::now().0)
    }

    /// The number of what an event tells.
    fn of_event(&self, event: &Value) -> Option<u32> {
        let args = event["process"]["args"].as_array()?;
        args.iter().find_map(|arg| arg.as_str()?.strip_prefix(&self.0)?.parse().ok())
    }

    /// The number of what an alert tells.
    fn of(&self, alert: &Value) -> Option<u32> {
        self.of_event(&alert["details"]["event"])
    }
}

/// Fires at each line of a log.
const LINES: &str =
    "rules: [{name: lines, event: http_request, severity: low, condition: url.path startswith '/line'}]";

/// So many times as much is done where the whole is asked for.
fn scale() -> u32 {
    if std::env::var_os("OPENCLAW_FULL").is_some() { 10 } else { 1 }
}

/// From how long before it was killed an agent may be said to have seen nothing: it says once a second until when what came
/// in is on disk, and this machine is busy.
const BEFORE: Duration = Duration::from_secs(6);

fn to(url: &str, others: &[&str]) -> Setup {
    let channel = format!("channels: {{webhook: {{url: '{url}'}}}}");
    let keys: Vec<&str> = [channel.as_str()].into_iter().chain(others.iter().copied()).collect();
    Setup::new().alerting(&keys).without_events()
}

fn moment(value: &Value) -> u64 {
    time::parse_rfc3339(value.as_str().unwrap()).unwrap().0
}

#[test]
fn every_alert_arrives_though_the_agent_is_killed_again_and_again() {
    live_once!();
    let numbered = Numbered::new();
    let (kills, triggers) = (10 * scale(), 1000 * scale());
    let endpoint = Webhook::new();
    let setup = to(&endpoint.url, &["triggers: {finding: {throttle: 0s}, sensor_degraded: {throttle: 0s}}"]);
    let mut agent = setup.rules(&numbered.rule()).start();
    let done = AtomicBool::new(false);
    let mut killed = Vec::new();
    let moments: BTreeMap<u32, (u64, u64)> = std::thread::scope(|scope| {
        let triggering = scope.spawn(|| {
            let mut moments = BTreeMap::new();
            // Until the agent has been killed as often as is asked for, and as many as are asked for.
            for number in 0.. {
                if number >= triggers && done.load(Ordering::Relaxed) {
                    break;
                }
                moments.insert(number, numbered.trigger(number));
                std::thread::sleep(Duration::from_millis(5));
            }
            moments
        });
        let seed = u64::from(std::process::id());
        for kill in 0..u64::from(kills) {
            // Anywhere within four seconds, other in each run.
            let wait = (seed + kill).wrapping_mul(6_364_136_223_846_793_005) >> 33;
            std::thread::sleep(Duration::from_millis(wait % 4000));
            agent.end(libc::SIGKILL);
            killed.push((time::now().0, wait % 4000));
            agent.start_again();
        }
        done.store(true, Ordering::Relaxed);
        triggering.join().unwrap()
    });
    let mut ids: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    let mut blind = Vec::new();
    let mut take = |alerts: Vec<Value>| {
        for alert in alerts {
            if let Some(number) = numbered.of(&alert) {
                ids.entry(number).or_default().insert(alert["id"].as_str().unwrap().to_owned());
            } else if alert["details"]["rule"] == "sensor_blind" {
                let told = &alert["details"]["event"]["openclaw"]["sensor_blind"];
                blind.push((moment(&told["since"]), moment(&told["until"])));
            }
        }
        ids.len()
    };
    let last = *moments.keys().next_back().unwrap();
    agent.wait_for_finding("numbered", |event| numbered.of_event(event) == Some(last));
    wait_for("nothing waits in the outbox", || {
        agent.json(&["status", "--output", "json"])["alerts"]["queued"] == 0
    });
    let arrived = take(endpoint.taken());
    let covered =
        |(before, after): (u64, u64)| blind.iter().any(|(from, to)| before <= *to && after >= *from);
    let missing: Vec<_> =
        moments.iter().filter(|(number, moment)| !ids.contains_key(number) && !covered(**moment)).collect();
    assert!(missing.is_empty(), "{missing:?} of {}; blind {blind:?}", moments.len());
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "duplicates carry the same id: {twice:?}");
    // What is in the store was told: none is kept without its alert.
    let kept = agent.json_lines(&["findings", "--rule", "numbered", "--limit", "100000", "--output", "json"]);
    assert!(kept.len() <= arrived, "{} were kept, and {arrived} told", kept.len());
    eprintln!("{} triggers, {arrived} told, {kills} times blind", moments.len());
    for (killed, lived) in killed {
        let tell = blind.iter().filter(|(from, to)| *from <= killed && killed <= *to);
        let from = tell.map(|(from, _)| *from).max();
        let from = from.unwrap_or_else(|| panic!("a time was not told: {killed} of {blind:?}"));
        // One that lived for a moment has not said that it does. Else not from much before: what came in and was not
        // under way counts as seen.
        let before = Duration::from_nanos(killed - from);
        assert!(lived < 3000 || before < BEFORE, "told from {before:?} before");
    }
}

#[test]
fn what_waits_for_an_endpoint_is_delivered_by_the_next_agent() {
    live_once!();
    let numbered = Numbered::new();
    let endpoint = Down::new();
    let mut agent = to(&endpoint.url(), &[]).rules(&numbered.rule()).start();
    numbered.trigger(1);
    agent.wait_for_log("alert not delivered yet");
    let waiting = agent.json_lines(&["alerts", "list", "--waiting", "--output", "json"]);
    assert_eq!(waiting[0]["deliveries"][0]["state"], "waiting", "{waiting:?}");
    let status = agent.json(&["security", "status", "--output", "json"]);
    assert_eq!(status["channels"][0]["waiting"], 1, "{status}");
    assert!(status["channels"][0]["last_error"].as_str().unwrap().contains("cannot connect"), "{status}");
    assert!(agent.end(libc::SIGTERM).success());
    let endpoint = endpoint.up();
    agent.start_again();
    endpoint.wait_for("what waited", |alert| numbered.of(alert) == Some(1));
    let blind = endpoint.wait_for("nobody watched", |alert| alert["details"]["rule"] == "sensor_blind").body;
    assert_eq!(blind["trigger"], "sensor_degraded");
    assert!(blind["message"].as_str().unwrap().ends_with("the agent had been stopped"), "{blind}");
    wait_for("the channel works", || {
        agent.json(&["status", "--output", "json"])["channels"][0]["last_success"].is_string()
    });
    agent.wait_for_log("alert delivered");
}

fn append(log: &Path, text: &str) {
    OpenOptions::new().append(true).open(log).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A log that is followed, and what a storm of its lines does to the agent.
struct Storm {
    agent: Agent,
    log: PathBuf,
    seconds: u32,
    endpoint: Webhook,
}

impl Storm {
    /// How many lines are written at once.
    const EACH_TIME: u32 = 50;

    /// Nothing is told twice of it before it is over.
    fn prepare(store_size: &'static str) -> Storm {
        let seconds = if scale() > 1 { 60 } else { 10 };
        let endpoint = Webhook::new();
        let throttle = format!("triggers: {{finding: {{throttle: {}s}}}}", seconds + 10);
        let setup = to(&endpoint.url, &[&throttle]).rules(LINES).store_size(store_size);
        let log = setup.folder().join("access.log");
        File::create(&log).unwrap();
        let agent = setup.source(&format!("web: {{type: nginx, path: {}}}", log.display())).start();
        Storm { agent, log, seconds, endpoint }
    }

    fn status(&self) -> Value {
        self.agent.json(&["status", "--output", "json"])
    }

    fn memory(&self) -> u64 {
        self.status()["agent"]["memory_bytes"].as_u64().unwrap()
    }

    /// Writes a thousand lines a second, and waits until all are counted. Returns how many there were.
    fn rage(&self) -> u64 {
        let before = self.memory();
        let times = self.seconds * 1000 / Self::EACH_TIME;
        let begun = Instant::now();
        for time in 0..times {
            let now = jiff::Zoned::now().strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
            let lines: String = (0..Self::EACH_TIME)
                .map(|line| {
                    format!(
                        "192.0.2.7 - - [{now}] \"GET /line{time}-{line} HTTP/1.1\" 200 5 \"-\" \"test\"\n"
                    )
                })
                .collect();
            append(&self.log, &lines);
            let due = begun + Duration::from_millis(u64::from((time + 1) * Self::EACH_TIME));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let total = u64::from(times * Self::EACH_TIME);
        wait_for("all but the first are counted", || self.status()["alerts"]["held"] == total - 1);
        let more = self.memory().saturating_sub(before);
        assert!(more < 32 << 20, "{more} bytes more");
        assert_eq!(self.status()["alerts"]["lost"], 0);
        eprintln!("{total} findings in {} s: {} kB more memory", self.seconds, more >> 10);
        total
    }
}

#[test]
fn a_storm_is_told_once_and_then_by_its_number() {
    live_once!();
    let storm = Storm::prepare("1GB");
    let total = storm.rage();
    let of_storm = |alert: &Value| alert["details"]["rule"] == "lines";
    let first = storm.endpoint.wait_for("the first of the storm", of_storm).body;
    let summary = storm.endpoint.wait_for("their number", of_storm).body;
    assert_eq!(summary["details"]["held_back"], total - 1, "{summary}");
    assert_eq!(summary["details"]["first"], first["id"]);
    assert_eq!(storm.endpoint.taken().iter().filter(|alert| of_storm(alert)).count(), 0);
    let listed = storm.agent.json_lines(&[
        "alerts", "list", "--held", "--rule", "lines", "--limit", "100000", "--output", "json",
    ]);
    assert_eq!(listed.len() as u64, total - 1);
}

#[test]
fn a_storm_that_is_larger_than_the_database_has_the_oldest_deleted_by_and_by() {
    live_once!();
    let storm = Storm::prepare("10MB");
    let total = storm.rage();
    storm.agent.wait_for_log("deleted to keep within `store.max_size`");
    let kept = storm.agent.json_lines(&["findings", "--limit", "100000", "--output", "json"]).len();
    assert!((1000..total).contains(&(kept as u64)), "{kept} of {total} are kept");
    let size = |file: &str| storm.agent.folder().join(file).metadata().unwrap().len();
    let size = size("store.db") + size("store.db-wal");
    // What comes in between two looks at its size comes on top.
    assert!(size < 50 << 20, "{size} bytes");
    eprintln!("{kept} of {total} are kept, in {} kB", size >> 10);
}

/// A file system that is full soon. Unmounted when it is dropped.
struct Small(PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[test]
fn a_full_disk_is_said_and_alerts_go_out_nonetheless() {
    live_once!();
    let numbered = Numbered::new();
    let endpoint = Webhook::new();
    let setup = to(&endpoint.url, &["triggers: {finding: {throttle: 0s}}"]).rules(&numbered.rule());
    let small = Small(setup.folder().join("small"));
    std::fs::create_dir(&small.0).unwrap();
    mount("tmpfs", &small.0, "tmpfs", MountFlags::empty(), c"size=2m").unwrap();
    let agent = setup.store(&small.0.join("store.db")).start();
    numbered.trigger(1);
    endpoint.wait_for("one that was kept", |alert| numbered.of(alert) == Some(1));
    let filler = small.0.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    // What SQLite has at hand is used up by and by.
    for number in 2..200 {
        numbered.trigger(number);
        endpoint.wait_for("each, kept or not", |alert| numbered.of(alert) == Some(number));
        if agent.log().contains("records are lost") {
            break;
        }
    }
    agent.wait_for_log("records are lost");
    let status = agent.json(&["status", "--output", "json"]);
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("disk is full") || warnings.contains("full"), "{warnings}");
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    numbered.trigger(1000);
    endpoint.wait_for("one that is kept again", |alert| numbered.of(alert) == Some(1000));
    agent.wait_for_log("takes what is written again");
    let kept = agent.json_lines(&["findings", "--rule", "numbered", "--limit", "1", "--output", "json"]);
    assert_eq!(numbered.of_event(&kept[0]["event"]), Some(1000));
    drop(agent);
}

#[test]
fn a_rule_that_is_muted_is_listed_and_not_told() {
    live_once!();
    let numbered = Numbered::new();
    let endpoint = Webhook::new();
    let mut agent =
        to(&endpoint.url, &["triggers: {finding: {throttle: 0s}}"]).rules(&numbered.rule()).start();
    let said = agent.openclaw(&["alerts", "mute", "no_such_rule", "--for", "1h"]);
    assert!(!said.status.success());
    assert!(agent.openclaw(&["alerts", "mute", "numbered", "--for", "1h"]).status.success());
    numbered.trigger(1);
    wait_for("the one that is muted is listed", || {
        let listed = agent.json_lines(&["alerts", "list", "--held", "--output", "json"]);
        listed.iter().any(|alert| alert["muted"] == true)
    });
    agent.end(libc::SIGKILL);
    agent.start_again();
    let mutes = agent.json(&["alerts", "mutes", "--output", "json"]);
    assert!(mutes["numbered"].is_string(), "{mutes}");
    assert!(agent.openclaw(&["alerts", "unmute", "numbered"]).status.success());
    numbered.trigger(2);
    let told = endpoint.wait_for("one that is not muted", |alert| numbered.of(alert).is_some());
    assert_eq!(numbered.of(&told.body), Some(2), "the muted one is not told later");
}

#[test]
fn a_block_by_hand_is_told_with_its_reason_and_its_end() {
    live!();
    let endpoint = Webhook::new();
    let cgroup = Cgroup::new();
    let agent = to(&endpoint.url, &[]).observe(&cgroup).start();
    let block = agent.openclaw(&["blocklist", "add", "203.0.113.77", "--reason", "test alert"]);
    assert!(block.status.success(), "{block:?}");
    let alert = endpoint.wait_for("the block", |alert| alert["trigger"] == "ip_blocked").body;
    let details = &alert["details"];
    assert_eq!((&alert["title"], &details["ip"]), (&"IP Address Blocked".into(), &"203.0.113.77".into()));
    assert_eq!((&details["reason"], &details["source"]), (&"test alert".into(), &"manual".into()));
    assert!(moment(&details["expiresAt"]) > time::now().0, "{details}");
    assert!(details["undo"].as_str().unwrap().starts_with("openclaw response undo "), "{details}");
}

#[test]
fn a_block_by_a_rule_is_told_beside_its_finding() {
    live!();
    const EVIL: &str = "rules: [{name: evil, event: http_request, condition: url.path == '/evil', severity: high, action: block}]";
    let endpoint = Webhook::new();
    let cgroup = Cgroup::new();
    let setup = to(&endpoint.url, &[]).rules(EVIL).enforce(&cgroup);
    let log = setup.folder().join("access.log");
    File::create(&log).unwrap();
    let _agent = setup.source(&format!("web: {{type: nginx, path: {}}}", log.display())).start();
    let now = jiff::Zoned::now().strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
    append(&log, &format!("203.0.113.78 - - [{now}] \"GET /evil HTTP/1.1\" 200 5 \"-\" \"test\"\n"));
    let details =
        endpoint.wait_for("the block", |alert| alert["trigger"] == "ip_blocked").body["details"].take();
    assert_eq!((&details["ip"], &details["source"]), (&"203.0.113.78".into(), &"auto".into()));
    assert_eq!(details["rule"], "evil");
}

#[test]
fn a_channel_is_tried_without_an_agent() {
    live_once!();
    let endpoint = Webhook::new();
    let closed = Down::new();
    let (url, dead) = (&endpoint.url, closed.url());
    let channels = format!(
        "channels: {{good: {{type: webhook, url: '{url}'}}, dead: {{type: webhook, url: '{dead}'}}}}"
    );
    let setup = Setup::new().alerting(&[&channels]);
    setup.configure();
    let run = |args: &[&str]| {
        let output = setup.openclaw(args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.success(), text)
    };
    let (good, said) = run(&["alerts", "test", "good"]);
    assert!(good && said.contains("ok"), "{said}");
    let test = endpoint.wait_for("the test", |alert| alert["trigger"] == "test").body;
    assert_eq!(test["details"]["test"], true);
    let (good, said) = run(&["alerts", "test"]);
    assert!(!good && said.contains("dead") && said.contains("cannot connect"), "{said}");
    let (good, said) = run(&["alerts", "test", "goood"]);
    assert!(!good && said.contains("did you mean good"), "{said}");
}

#[test]
fn a_heartbeat_is_sent_where_it_is_asked_for() {
    live_once!();
    let endpoint = Webhook::new();
    let agent = to(&endpoint.url, &["heartbeat: {every: 1s}"]).start();
    for _ in 0..2 {
        let beat = endpoint.wait_for("a heartbeat", |alert| alert["trigger"] == "heartbeat").body;
        assert!(beat["message"].as_str().unwrap().contains("watching: "), "{beat}");
    }
    drop::<Agent>(agent);
}
