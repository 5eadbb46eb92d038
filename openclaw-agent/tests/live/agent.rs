//! The agent as a whole: its commands, and how it begins and ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};

use openclaw_agent::kernel::layout::of_running_kernel;
use serde_json::Value;

use crate::credential::{Public, as_user};
use crate::probe::probes_are_seen;
use crate::support::agent::{Agent, Setup};
use crate::support::deed::{command, copy, program};
use crate::support::skip::skip;
use crate::support::{is_guest, live, live_once, wait_for};

/// A child that is killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_doctor_finds_every_capability_full_on_this_kernel() {
    live!();
    let setup = Setup::new();
    drop(setup.command());
    let output = setup.openclaw(&["doctor", "--output", "json"]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let whole = probes_are_seen();
    assert_eq!(output.status.code(), Some(i32::from(!whole)), "{errors}\n{told}");
    let capabilities: Vec<Value> = serde_json::from_str(&told).unwrap();
    assert!(capabilities.len() > 10, "{told}");
    // What a kernel lacks that does not tell the types of its modules.
    let lacks = !of_running_kernel().unwrap().missing.is_empty();
    for capability in &capabilities {
        match capability["capability"].as_str().unwrap() {
            "connections refused" if !whole => assert_eq!(capability["state"], "missing"),
            "kernel fields" if lacks => assert_eq!(capability["state"], "degraded"),
            // The doctor loads no module to see.
            "names of modules" => assert_eq!(capability["state"], "attached"),
            _ => assert_eq!(capability["state"], "full", "{capability}"),
        }
    }
}

#[test]
fn status_tells_hooks_counts_rules_and_mode() {
    live!();
    let agent = Agent::start();
    let before = agent.json(&["status", "--output", "json"]);
    assert_eq!(before["pid"], agent.pid());
    assert_eq!(before["mode"], "observe");
    assert_eq!(before["rules"], 1);
    let [fields, hooks @ ..] = &before["hooks"].as_array().unwrap()[..] else { panic!("{before}") };
    assert_eq!(fields["capability"], "kernel fields");
    // A kernel that lacks some says which, there and in the log.
    let lacks = fields["state"] != "full";
    assert_eq!(agent.log().contains("this kernel lacks "), lacks, "{fields}\n{}", agent.log());
    assert_eq!(
        fields["reason"].as_str().is_some_and(|why| why.starts_with("this kernel lacks ")),
        lacks,
        "{fields}"
    );
    let works = |hook: &Value| {
        hook["state"] == "attached"
            || (hook["capability"] == "connections refused"
                && !probes_are_seen()
                && hook["state"] == "missing")
    };
    assert!(hooks.iter().all(works), "{hooks:?}");
    let execs = |status: &Value| status["events"]["process_create"]["total"].as_u64().unwrap();
    for _ in 0..3 {
        command(program(), "exit").status().unwrap();
    }
    wait_for("status counts three programs more", || {
        execs(&agent.json(&["status", "--output", "json"])) >= execs(&before) + 3
    });
    let text = agent.openclaw(&["status"]);
    let text = String::from_utf8(text.stdout).unwrap();
    for part in ["observe", "process_create", "losses", "hooks"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    if let Some(why) = why_not_the_best(hooks) {
        let begin = why.split(',').next().unwrap();
        assert!(text.contains(begin) && agent.log().contains(begin), "{why}: {text}\n{}", agent.log());
    }
}

/// Looks whether what is done to files is seen by the best hook that the kernel has. Returns why not where it has not the best.
#[track_caller]
fn why_not_the_best(hooks: &[Value]) -> Option<String> {
    let of = |capability: &str| hooks.iter().find(|hook| hook["capability"] == capability);
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    let has_lsm = modules.trim().split(',').any(|module| module == "bpf");
    let used = of("paths changed").or_else(|| of("files, sockets, credentials")).unwrap();
    let hook = used["hook"].as_str().unwrap();
    if is_guest() {
        assert!(hook.starts_with(if has_lsm { "lsm:" } else { "fentry:" }), "{used}");
    }
    (!hook.starts_with("lsm:")).then(|| used["reason"].as_str().unwrap().to_owned())
}

#[test]
fn who_follows_events_is_shown_those_that_the_condition_names() {
    live_once!();
    let agent = Setup::new().without_events().start();
    let follow = ["events", "--follow", "--output", "json", "--where", "process.name == \"followed\""];
    let mut child = agent.command(&follow).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _follower = Killed(child);
    let folder = tempfile::tempdir().unwrap();
    let followed = crate::support::deed::link(folder.path(), "followed");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let line = std::thread::scope(|scope| {
        // Again and again, since nothing tells when the follower is listened to.
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                command(program(), "exit").status().unwrap();
                command(&followed, "exit").status().unwrap();
            }
        });
        let line = lines.map_while(Result::ok).next();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        line
    });
    let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
    assert_eq!(event["process"]["name"], "followed");
    assert_eq!(event["process"]["executable"], program().to_str().unwrap());
}

#[test]
fn the_agents_log_is_shown_and_followed_by_level() {
    live_once!();
    let agent = Setup::new().without_events().start();
    let messages = |args: &[&str]| {
        let lines = agent.json_lines(&[&["security", "logs", "--output", "json"], args].concat());
        lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(messages(&["--level", "info"]).contains(&"watching".to_owned()));
    assert_eq!(messages(&["--lines", "0"]), [""; 0]);
    let text = agent.openclaw(&["security", "logs"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("  INFO watching rules=1 mode=observe") && !text.contains('\x1b'), "{text}");

    let follow = ["security", "logs", "--follow", "--level", "warn", "--output", "json"];
    let mut child = agent.command(&follow).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _follower = Killed(child);
    let switch = |mode| assert!(agent.openclaw(&["response", "mode", mode]).status.success());
    let switched = |line: Option<std::io::Result<String>>| {
        let line: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
        assert_eq!(line["message"], "the mode of answers was switched by hand");
        assert_eq!((&line["level"], &line["fields"]["mode"]), (&"warn".into(), &"observe".into()));
    };
    // The first may have been there before, or come while it is followed; the second comes after the first.
    switch("observe");
    let warned = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("switched by hand")));
    switched(warned);
    switch("observe");
    switched(lines.next());
    assert!(messages(&["--level", "warn"]).iter().filter(|message| message.contains("by hand")).count() == 2);
}

#[test]
fn an_agent_without_a_service_is_named_to_be_ended_instead_of_restarted() {
    live_once!();
    let agent = Setup::new().without_events().start();
    // Of the test's own: a guest may have the service.
    let systemctl = agent.folder().join("systemctl");
    fs::write(&systemctl, "#!/bin/sh\necho LoadState=not-found\n").unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", agent.folder().display(), std::env::var("PATH").unwrap());
    let gateway = |verb| agent.command(&["gateway", verb]).env("PATH", &path).output().unwrap();
    let refused = gateway("restart");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains(&format!("`kill {}`", agent.pid())), "{said}");
    let status = gateway("status");
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(status.status.success() && said.contains(&format!("process {},", agent.pid())), "{said}");
}

#[test]
fn a_user_who_is_not_root_is_refused_what_the_agent_would_tell() {
    live_once!();
    let agent = Agent::start();
    // All is in this user's sight but the socket: configuration, program, and the folders down to it.
    let public = Public::new(0o755);
    let (config, openclaw) = (public.path().join("openclaw.yml"), public.path().join("openclaw"));
    fs::copy(agent.folder().join("openclaw.yml"), &config).unwrap();
    copy(&crate::support::agent::program(), &openclaw);
    fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(agent.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let status = |change: fn(Command) -> Command| {
        let mut command = Command::new(&openclaw);
        command.arg("--config").arg(&config).arg("status").current_dir("/");
        change(command).output().unwrap()
    };
    assert!(status(|command| command).status.success());
    let refused = status(as_user);
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{errors}");
    assert!(errors.contains("only root may control the agent"), "{errors}");
    assert!(refused.stdout.is_empty());
}

#[test]
fn a_condition_with_a_mistake_is_refused_with_its_place() {
    live_once!();
    let agent = Setup::new().without_events().start();
    let output = agent.openclaw(&["events", "--follow", "--where", "process.nmae == \"x\""]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("process.name") && errors.contains('^'), "{errors}");
}

#[test]
fn a_second_agent_is_refused_and_the_first_one_named() {
    live_once!();
    let agent = Agent::start();
    let output = agent.setup().command().output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("an agent is running already"), "{errors}");
    assert!(errors.contains(&format!("process {}", agent.pid())), "{errors}");
    assert_eq!(agent.json(&["status", "--output", "json"])["pid"], agent.pid(), "the first one works on");
}

#[test]
fn what_happened_right_before_sigterm_is_told_before_the_agent_ends() {
    live!();
    let mut agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join("last");
    let mut child = command(program(), "exit").spawn().unwrap();
    child.wait().unwrap();
    fs::write(&last, "").unwrap();
    let status = agent.end(libc::SIGTERM);
    assert_eq!(status.code(), Some(0), "{}", agent.log());
    let exits = agent.events("process_exit", |event| event["process"]["pid"] == child.id());
    assert_eq!(exits.len(), 1);
    let writes = agent.events("file_access", |event| event["file"]["path"] == last.to_str().unwrap());
    assert_eq!(writes.len(), 1);
}

#[test]
fn a_finding_right_before_sigint_is_kept() {
    live_once!();
    let mut agent = Setup::new().watch("process.name == \"last-finding\"").without_events().start();
    let folder = tempfile::tempdir().unwrap();
    let program = crate::support::deed::link(folder.path(), "last-finding");
    command(&program, "exit").status().unwrap();
    assert_eq!(agent.end(libc::SIGINT).code(), Some(0), "{}", agent.log());
    assert_eq!(agent.findings("watch", |_| true).len(), 1);
    // The store answers without an agent.
    let listed = agent.json(&["findings", "--rule", "watch", "--output", "json"]);
    assert_eq!(listed["event"]["process"]["name"], "last-finding");
}

/// The BPF programs, links and maps that a process holds, by their ids.
fn held(pid: u32) -> BTreeSet<u32> {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return BTreeSet::new() };
    let texts = folder.flatten().filter_map(|file| fs::read_to_string(file.path()).ok());
    let ids = texts.flat_map(|text| {
        let ids = text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
        ids.collect::<Vec<_>>()
    });
    ids.collect()
}

/// Those of the programs that the kernel still has.
fn loaded(ids: &BTreeSet<u32>) -> BTreeSet<u32> {
    let all: BTreeSet<u32> = aya::programs::loaded_programs().flatten().map(|program| program.id()).collect();
    all.intersection(ids).copied().collect()
}

fn nothing_is_left_after(signal: i32) {
    let mut agent = Agent::start();
    let programs = held(agent.pid());
    assert!(!loaded(&programs).is_empty(), "{programs:?}");
    agent.end(signal);
    wait_for("the kernel has let go of the agent's programs", || loaded(&programs).is_empty());
    let again = agent.setup().command().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut again = Killed(again);
    let mut line = String::new();
    let stdout = again.0.stdout.take().unwrap();
    // It prints events, so it is at work.
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || BufReader::new(stdout).read_line(&mut line).unwrap());
        wait_for("another agent in its place prints events", || {
            command(program(), "exit").status().unwrap();
            reader.is_finished()
        });
        assert!(reader.join().unwrap() > 0, "another agent cannot be started in its place");
    });
}

#[test]
fn an_agent_that_is_stopped_leaves_no_program_in_the_kernel() {
    live!();
    nothing_is_left_after(libc::SIGTERM);
}

#[test]
fn an_agent_that_is_killed_leaves_no_program_in_the_kernel() {
    live!();
    nothing_is_left_after(libc::SIGKILL);
}

#[test]
fn the_agents_own_activity_is_not_told() {
    live!();
    let agent = Agent::start();
    // Each makes the agent accept a connection, and the finding makes it write its store.
    agent.json(&["status", "--output", "json"]);
    agent.settle();
    agent.settle();
    let own = agent.lines(|line| line["process"]["pid"] == agent.pid());
    assert!(own.is_empty(), "{own:?}");
}

/// A command whose core dump may be as large as it takes.
fn with_core_dump(mut command: Command) -> Command {
    // SAFETY: between fork and exec one system call is made.
    unsafe {
        command.pre_exec(|| {
            let all = rustix::process::Rlimit { current: None, maximum: None };
            Ok(rustix::process::setrlimit(rustix::process::Resource::Core, all)?)
        });
    }
    command
}

#[test]
fn an_agent_that_crashes_leaves_no_core_dump() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let mut other = with_core_dump(Command::new("sleep"));
    let mut other = Killed(other.arg("1000").current_dir(folder.path()).spawn().unwrap());
    // SAFETY: the child has not been waited for, so the pid is still its own.
    unsafe { libc::kill(other.0.id().cast_signed(), libc::SIGABRT) };
    if !other.0.wait().unwrap().core_dumped() {
        skip!("this machine writes no core dumps at all");
    }
    let mut agent = Setup::new().without_events().start_as(with_core_dump);
    let ended = agent.end(libc::SIGABRT);
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(libc::SIGABRT), false));
}
