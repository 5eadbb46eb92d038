//! The agent as a service of systemd: the unit as it ships, in a guest whose first process is systemd.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use openclaw_common::verdict::VERSION;
use serde_json::Value;

use crate::support::agent::{Setup, program};
use crate::support::cgroup::Cgroup;
use crate::support::deed::{Deed, command, link};
use crate::support::skip::skip;
use crate::support::{is_guest, live, wait_for};

const UNIT: &str = "openclaw.service";

/// The unit as it ships.
const SHIPPED: &str = include_str!("../../../deploy/openclaw.service");

/// Where the unit expects the program.
const PROGRAM: &str = "/usr/local/bin/openclaw";

/// Where systemd looks for units that are gone with the next boot.
const UNITS: &str = "/run/systemd/system";

/// A service of the tests' own, which a rule restarts.
const OTHER: &str = "openclaw-test.service";

/// The rule that finds this test's victims, answered to so.
fn rule(action: &str, response: &str) -> String {
    format!(
        "rules:\n  - name: victims\n    event: process_create\n    condition: process.name == \"victim\"\n    \
         severity: high\n    action: {action}\n    response: {response}\n"
    )
}

/// Leaves the test where the machine is not the test's own, or has another first process.
macro_rules! service {
    () => {
        live!();
        if !is_guest() || fs::read_to_string("/proc/1/comm").is_ok_and(|name| name != "systemd\n") {
            skip!("it takes a guest whose first process is systemd: `cargo xtask vm 6.12 -- service::`");
        }
    };
}

/// The unit, installed and started. Stopped and removed when it is dropped.
struct Service {
    cgroup: Cgroup,
    folder: tempfile::TempDir,
}

impl Service {
    /// Started with these rules, which are carried out, and these settings of the unit beside its own.
    #[track_caller]
    fn start(rules: &str, settings: &str) -> Self {
        let service = Service { cgroup: Cgroup::new(), folder: tempfile::tempdir().unwrap() };
        let drop_ins = format!("{UNITS}/{UNIT}.d");
        for folder in [&drop_ins, "/etc/openclaw/rules", "/usr/local/bin"] {
            fs::create_dir_all(folder).unwrap();
        }
        symlink(program(), PROGRAM).unwrap();
        fs::write(Path::new(UNITS).join(UNIT), SHIPPED).unwrap();
        let log = service.log().display().to_string();
        fs::write(
            format!("{drop_ins}/test.conf"),
            format!("[Service]\nStandardError=append:{log}\n{settings}\n"),
        )
        .unwrap();
        let config = format!(
            "security:\n  rules: {{folders: [/etc/openclaw/rules], shipped: false}}\n  sources: {{}}\n  response:\n    \
             mode: enforce\n    warm_up: 0s\n    cgroup: {}\n",
            service.cgroup.path().display()
        );
        fs::write("/etc/openclaw/openclaw.yml", config).unwrap();
        service.write_rules(rules);
        systemctl("daemon-reload");
        service.systemctl("start");
        service
    }

    fn write_rules(&self, rules: &str) {
        fs::write("/etc/openclaw/rules/test.yml", rules).unwrap();
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// Has systemd do something with the service, which must succeed.
    #[track_caller]
    fn systemctl(&self, verb: &str) {
        let output = command_of("systemctl", &[verb, UNIT]);
        assert!(output.status.success(), "systemctl {verb}: {output:?}\n{}", self.picture());
    }

    fn picture(&self) -> String {
        let said = command_of("systemctl", &["show", UNIT]);
        format!(
            "--- the unit\n{}--- its log\n{}",
            String::from_utf8_lossy(&said.stdout),
            fs::read_to_string(self.log()).unwrap_or_default()
        )
    }

    /// A property of the service.
    fn show(&self, property: &str) -> String {
        show(UNIT, property)
    }

    fn pid(&self) -> i32 {
        self.show("MainPID").parse().unwrap()
    }

    /// Sends its main process a signal.
    fn signal(&self, signal: i32) {
        // SAFETY: a process of this guest, which has no other service of that name.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    /// Waits until another process than that one runs, and is ready.
    #[track_caller]
    fn wait_for_another_than(&self, before: i32) {
        wait_for("it has ended", || self.pid() != before);
        wait_for("systemd has started it again", || self.show("ActiveState") == "active" && self.pid() != 0);
    }

    /// What a command prints as JSON; it must succeed.
    #[track_caller]
    fn json(&self, line: &str) -> Vec<Value> {
        let words: Vec<&str> = line.split(' ').chain(["--output", "json"]).collect();
        let output = command_of(PROGRAM, &words);
        assert!(output.status.success(), "openclaw {line}: {output:?}\n{}", self.picture());
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A program that the rule finds, and that waits.
    fn victim(&self) -> Deed {
        self.victim_in(&self.cgroup)
    }

    fn victim_in(&self, cgroup: &Cgroup) -> Deed {
        let program = self.folder.path().join("victim");
        if !program.exists() {
            link(self.folder.path(), "victim");
        }
        Deed::of(cgroup.inside(command(program, "wait")))
    }

    /// The last answer of that kind, once it has come to that.
    #[track_caller]
    fn answer(&self, kind: &str, outcome: &str) -> Value {
        let mut found = None;
        wait_for(&format!("{kind} is {outcome}"), || {
            let answers = self.json("response list --all");
            found = answers.into_iter().find(|one| one["kind"] == kind && one["outcome"] == outcome);
            found.is_some()
        });
        found.unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.picture());
        }
        command_of("systemctl", &["stop", UNIT]);
        command_of(PROGRAM, &["response", "undo", "--all"]);
        let _ = fs::remove_dir_all(format!("{UNITS}/{UNIT}.d"));
        for folder in ["/etc/openclaw", "/var/lib/openclaw", "/run/openclaw"] {
            let _ = fs::remove_dir_all(folder);
        }
        let _ = fs::remove_file(Path::new(UNITS).join(UNIT));
        let _ = fs::remove_file(PROGRAM);
        command_of("systemctl", &["daemon-reload"]);
        command_of("systemctl", &["reset-failed"]);
    }
}

fn command_of(program: &str, words: &[&str]) -> Output {
    Command::new(program).args(words).current_dir("/").output().unwrap()
}

#[track_caller]
fn systemctl(line: &str) {
    let output = command_of("systemctl", &line.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "systemctl {line}: {output:?}");
}

fn show(unit: &str, property: &str) -> String {
    let output = command_of("systemctl", &["show", "--value", "--property", property, unit]);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The hooks of a status, and their states.
fn hooks(status: &Value) -> Vec<[&str; 3]> {
    let of = |hook| {
        let [capability, hook, state] = ["capability", "hook", "state"].map(|key| text(hook, key));
        // Each agent has a folder of its own for pins.
        [capability, if hook.starts_with("pin:") { "pin" } else { hook }, state]
    };
    status["hooks"].as_array().unwrap().iter().map(of).collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn the_unit_starts_as_it_ships_and_its_sandbox_hides_nothing_from_the_sensor() {
    service!();
    let others = tempfile::tempdir().unwrap();
    let watched = others.path().join("watched");
    for file in ["watched/secret", "other"] {
        let file = others.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "x").unwrap();
    }
    let reads = format!(
        "  - name: reads\n    event: file_access\n    condition: event.action == \"read\" and file.path startswith \
         \"{}/\"\n    severity: low\n    action: alert\n",
        watched.display()
    );
    let service = Service::start(&(rule("alert", "{}") + &reads), "");
    assert_eq!(service.show("ActiveState"), "active");
    let status = service.show("StatusText");
    assert_eq!(status, "watching: 2 rules, mode enforce, 0 answers in force");

    let _victim = service.victim();
    let found = |rule: &str| !service.json(&format!("findings --rule {rule}")).is_empty();
    wait_for("the victim is found", || found("victims"));
    // Of what is not watched the kernel tells nothing, where it knows that the process sees the files that the agent sees.
    for file in ["watched/secret", "other"] {
        let mut cat = Command::new("cat");
        assert!(cat.arg(others.path().join(file)).output().unwrap().status.success());
    }
    wait_for("what is watched is found", || found("reads"));
    let unwatched = || {
        let status = service.json("status").remove(0);
        status["losses"].as_array().unwrap().iter().any(|loss| loss["reason"] == "unwatched_read")
    };
    wait_for("what is not watched is left out", unwatched);

    let in_service = service.json("status").remove(0);
    let free = Setup::new().without_events().start();
    let outside = free.json(&["status", "--output", "json"]);
    assert_eq!(hooks(&in_service), hooks(&outside), "the same hooks as without a sandbox");
}

#[test]
fn a_service_that_was_killed_comes_back_and_takes_up_its_verdicts() {
    service!();
    let service = Service::start(&rule("alert", "{}"), "");
    let victim = service.victim();
    let block = service.json("blocklist add 192.0.2.7 --for 50s").remove(0);
    let isolation = service.json(&format!("isolate {} --for 50s", victim.pid())).remove(0);
    assert_eq!((&block["outcome"], &isolation["outcome"]), (&"done".into(), &"done".into()));
    let before = service.pid();
    service.signal(libc::SIGKILL);
    service.wait_for_another_than(before);
    let ids: Vec<Value> = service.json("response list").iter().map(|record| record["id"].clone()).collect();
    assert_eq!(ids, [&isolation["id"], &block["id"]].map(Clone::clone));
    assert_eq!(service.show("NRestarts"), "1");
}

#[test]
fn a_service_that_hangs_is_ended_by_the_watchdog_and_comes_back() {
    service!();
    let service = Service::start(&rule("alert", "{}"), "WatchdogSec=12");
    let before = service.pid();
    service.signal(libc::SIGSTOP);
    wait_for("systemd finds that it hangs", || {
        service.pid() != before || service.show("Result") == "watchdog"
    });
    service.wait_for_another_than(before);
    // It lives for longer than the watchdog waits.
    let before = service.pid();
    std::thread::sleep(std::time::Duration::from_secs(15));
    assert_eq!((service.pid(), service.show("NRestarts")), (before, "1".to_owned()), "{}", service.picture());
}

#[test]
fn a_suspension_ends_on_time_though_its_service_was_killed_and_does_not_come_back() {
    service!();
    let service = Service::start(&rule("suspend", "{suspend: container, for: 25s}"), "Restart=no");
    let container = service.cgroup.container();
    let is_frozen =
        || fs::read_to_string(container.path().join("cgroup.events")).unwrap().contains("frozen 1");
    let mut victim = service.victim_in(&container);
    service.answer("suspend", "done");
    wait_for("its container is frozen, from within the sandbox", is_frozen);
    service.signal(libc::SIGKILL);
    wait_for("the service has failed", || service.show("ActiveState") == "failed");
    assert!(is_frozen(), "it outlives the agent");
    assert_eq!(victim.hear(), "ready", "the keeper lets it go on");
    assert!(!is_frozen());
    assert_eq!(service.show("ActiveState"), "failed");
    drop(victim);
}

#[test]
fn a_rule_restarts_a_service_and_says_why_one_cannot_be_restarted() {
    service!();
    let unit = Path::new(UNITS).join(OTHER);
    fs::write(&unit, "[Service]\nExecStart=/bin/sleep 1000\n").unwrap();
    systemctl("daemon-reload");
    systemctl(&format!("start {OTHER}"));
    let before = show(OTHER, "MainPID");
    let service = Service::start(&rule("restart", &format!("{{restart: {OTHER}}}")), "");
    let _victim = service.victim();
    let record = service.answer("restart", "done");
    assert_ne!(show(OTHER, "MainPID"), before, "{record}");
    assert_eq!(show(OTHER, "ActiveState"), "active");

    service.write_rules(&rule("restart", "{restart: openclaw-nowhere.service}"));
    service.systemctl("reload");
    let _victim = service.victim();
    let record = service.answer("restart", "failed");
    let reason = record["reason"].as_str().unwrap();
    assert!(reason.contains("openclaw-nowhere.service not found"), "{record}");
    systemctl(&format!("stop {OTHER}"));
    fs::remove_file(unit).unwrap();
}

#[test]
fn a_command_is_run_within_the_sandbox_and_one_that_systemd_runs_outside_of_it() {
    service!();
    let trace = |name: &str| format!("/etc/openclaw/{name}");
    let inside = rule("run", &format!("{{run: [/usr/bin/touch, {}]}}", trace("inside")));
    let service = Service::start(&inside, "");
    let _victim = service.victim();
    let record = service.answer("run", "failed");
    assert!(record["reason"].as_str().unwrap().contains("Read-only file system"), "{record}");

    let words = format!("[/usr/bin/systemd-run, --collect, --quiet, /usr/bin/touch, {}]", trace("outside"));
    service.write_rules(&rule("run", &format!("{{run: {words}}}")));
    service.systemctl("reload");
    let _victim = service.victim();
    service.answer("run", "done");
    wait_for("it has run", || Path::new(&trace("outside")).exists());
}

#[test]
fn a_reload_runs_the_rules_that_are_written_and_fails_where_there_is_a_mistake() {
    service!();
    let service = Service::start(&rule("alert", "{}"), "");
    let before = service.pid();
    let runs = |name: &str| {
        let status = service.show("StatusText");
        assert!(status.starts_with("watching: "), "{status}");
        status.contains(&format!(" {name} rules"))
    };
    let two = rule("alert", "{}") + &rule("alert", "{}").replace("rules:\n", "").replace("victims", "others");
    service.write_rules(&two);
    service.systemctl("reload");
    wait_for("both rules run", || runs("2"));
    service.write_rules("rules: [{name: broken, condition: nothing ==}]\n");
    let failed = command_of("systemctl", &["reload", UNIT]);
    assert!(!failed.status.success());
    assert_eq!((service.show("ActiveState"), service.pid()), ("active".to_owned(), before));
    assert!(runs("2"));
}

#[test]
fn a_restart_by_hand_waits_until_another_agent_answers() {
    service!();
    let service = Service::start(&rule("alert", "{}"), "");
    let before = service.pid();
    let output = command_of(PROGRAM, &["gateway", "restart"]);
    assert!(output.status.success(), "{output:?}\n{}", service.picture());
    let after = service.pid();
    assert_ne!(after, before);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("restarted openclaw.service") && said.contains(&format!("process {after},")),
        "{said}"
    );
    let status = service.json("gateway status").remove(0);
    assert_eq!((&status["service"]["active"], &status["agent"]["pid"]), (&"active".into(), &after.into()));
    let log = service.json("security logs");
    assert!(log.iter().any(|line| line["message"] == "watching"), "{log:?}");
}

#[test]
fn a_service_that_is_stopped_ends_cleanly_and_leaves_its_verdicts_in_force() {
    service!();
    let service = Service::start(&rule("alert", "{}"), "");
    let block = service.json("blocklist add 192.0.2.7 --for 50s").remove(0);
    service.systemctl("stop");
    let ended = ["ActiveState", "Result", "ExecMainStatus"].map(|property| service.show(property));
    assert_eq!(ended, ["inactive", "success", "0"], "{}", service.picture());
    assert!(Path::new("/sys/fs/bpf/openclaw").join(VERSION).is_dir(), "what is in force is pinned");
    service.systemctl("start");
    assert_eq!(service.json("response list")[0]["id"], block["id"]);
}
