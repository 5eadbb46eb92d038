//! What is wrong with what the agent is given, and what it says to that.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::credential::as_user;
use crate::support::agent::{self, Setup};
use crate::support::deed::{self, Deed, command, link, program};
use crate::support::{PATIENCE, live, live_once, wait_for};

/// Has a command run where nothing is mounted at a place, or below it.
fn without(mut command: Command, hidden: &str) -> Command {
    use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
    let hidden = std::ffi::CString::new(hidden).unwrap();
    // SAFETY: system calls alone, which may be made between fork and exec.
    unsafe {
        command.pre_exec(move || {
            rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)?;
            mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            unmount(&hidden, UnmountFlags::DETACH)?;
            // Below lies another machine's folder, where this one is a guest.
            Ok(mount(c"tmpfs", &hidden, c"tmpfs", MountFlags::empty(), None)?)
        });
    }
    command
}

/// Has a command run where one command of `bpf()` is forbidden, as some kernels and containers do.
fn forbidding(mut command: Command, forbidden: u32) -> Command {
    let statement = |code: u32, value: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: value };
    let unless = |value: u32, skip: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k: value,
    };
    const NUMBER: u32 = 0;
    const FIRST_ARGUMENT: u32 = 16;
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let filter = [
        statement(load, NUMBER),
        unless(libc::SYS_bpf as u32, 3),
        statement(load, FIRST_ARGUMENT),
        unless(forbidden, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    // SAFETY: system calls alone; the filter lives as long as the closure.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
            match libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command
}

#[test]
fn a_kernel_without_type_information_is_told_with_what_is_needed() {
    live!();
    for arguments in [&["run"][..], &["doctor"]] {
        let setup = Setup::new();
        drop(setup.command());
        let errors = refused(without(setup.openclaw(arguments), "/sys"));
        assert!(
            errors.contains("CONFIG_DEBUG_INFO_BTF") && errors.contains("/sys/kernel/btf/vmlinux"),
            "{errors}"
        );
    }
}

#[test]
fn without_cgroup_v2_the_agent_watches_and_says_that_it_cannot_answer() {
    live!();
    let agent = Setup::new().start_as(|command| without(command, "/sys/fs/cgroup"));
    agent.settle();
    assert!(agent.log().contains("cgroup v2 is not mounted"), "{}", agent.log());
}

/// Has a command run where /proc shows a process nothing of others that it may not trace, and with or without
/// the right to trace all.
fn hiding_processes(mut command: Command, may_trace: bool) -> Command {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    const CAP_SYS_PTRACE: libc::c_ulong = 19;
    // SAFETY: system calls alone, which may be made between fork and exec.
    unsafe {
        command.pre_exec(move || {
            rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS)?;
            mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            mount(c"proc", c"/proc", c"proc", MountFlags::empty(), c"hidepid=2")?;
            if !may_trace && libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_PTRACE) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    command
}

/// Has a deed begun before the agent, and the agent see its end; returns the event of that, and the log.
fn end_of_older_process(change: impl FnOnce(Command) -> Command) -> (Value, String) {
    let older = Deed::new("wait", &["7"]);
    let agent = Setup::new().start_as(change);
    let pid = older.pid();
    let mut younger = command(program(), "exit").spawn().unwrap();
    younger.wait().unwrap();
    agent.wait_for_event("process_create", |event| {
        event["process"]["pid"] == younger.id()
            && event["process"]["executable"] == program().to_str().unwrap()
    });
    older.end();
    (agent.wait_for_event("process_exit", |event| event["process"]["pid"] == pid), agent.log())
}

#[test]
fn where_proc_hides_processes_from_others_the_agent_sees_them_all_the_same() {
    live!();
    let (end, log) = end_of_older_process(|command| hiding_processes(command, true));
    assert_eq!(end["process"]["executable"], program().to_str().unwrap());
    assert!(!log.contains("are not known"), "{log}");
}

#[test]
fn where_proc_hides_processes_from_the_agent_it_says_what_it_lacks_and_sees_what_happens() {
    live!();
    let (end, log) = end_of_older_process(|command| hiding_processes(command, false));
    assert_eq!(end["process"]["exit_code"], 7);
    assert_eq!(end["process"]["executable"], Value::Null);
    assert!(log.contains("older than the agent") && log.contains("CAP_SYS_PTRACE"), "{log}");
}

#[test]
fn without_proc_the_agent_says_what_it_lacks_and_sees_what_happens() {
    live!();
    let (end, log) = end_of_older_process(|command| without(command, "/proc"));
    assert_eq!(end["process"]["exit_code"], 7);
    assert!(log.contains("older than the agent") && log.contains("/proc is not mounted"), "{log}");
}

/// `BPF_LINK_CREATE`, by which iterators are attached.
const LINK_CREATE: u32 = 28;

/// `BPF_RAW_TRACEPOINT_OPEN`, by which the hooks themselves are.
const RAW_TRACEPOINT_OPEN: u32 = 17;

#[test]
fn where_a_hook_is_forbidden_the_rest_works_and_status_and_doctor_say_so() {
    live!();
    let agent = Setup::new().start_as(|command| forbidding(command, LINK_CREATE));
    agent.settle();
    let status = agent.json(&["status", "--output", "json"]);
    let hooks = status["hooks"].as_array().unwrap();
    let before = hooks.iter().find(|hook| hook["capability"] == "processes from before").unwrap();
    assert_eq!(before["state"], "missing", "{before}");
    assert!(before["reason"].as_str().unwrap().contains("ermi"), "{before}");
    let output = forbidding(agent.command(&["doctor"]), LINK_CREATE).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("missing"));
}

#[test]
fn where_every_hook_is_forbidden_the_agent_ends_with_the_reason() {
    live!();
    let setup = Setup::new();
    let errors = refused(forbidding(setup.command(), RAW_TRACEPOINT_OPEN));
    assert!(errors.contains("ermi"), "{errors}");
}

/// Runs a command that must fail with exit code 1; returns what it says.
#[track_caller]
fn refused(mut command: Command) -> String {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            panic!("it was not refused: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.matches("(os error").count() < 2, "the cause is told twice: {errors}");
    errors + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn who_is_not_root_is_told_to_become_it() {
    live_once!();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("openclaw");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    deed::copy(&agent::program(), &program);
    for arguments in [&["run"][..], &["doctor"]] {
        let mut command = Command::new(&program);
        command.args(arguments).env("HOME", folder.path()).current_dir("/");
        let errors = refused(as_user(command));
        assert!(errors.contains("root") && errors.contains("sudo openclaw"), "{errors}");
    }
}

#[test]
fn a_mistake_in_a_rule_is_shown_with_file_line_column_and_a_caret() {
    live_once!();
    let rules =
        "rules:\n  - name: x\n    condition: process.nmae == \"x\"\n    severity: high\n    action: alert\n";
    let setup = Setup::new().rules(rules);
    let errors = refused(setup.command());
    let file = setup.folder().join("rules-1.yml");
    assert!(errors.contains(&format!("{}:3:16", file.display())), "{errors}");
    assert!(errors.contains('^') && errors.contains("process.name"), "{errors}");
}

#[test]
fn a_rule_file_that_is_no_yaml_is_refused_with_its_place() {
    live_once!();
    let setup = Setup::new().rules("rules:\n  - name: [\n");
    let errors = refused(setup.command());
    assert!(errors.contains("rules-1.yml:"), "{errors}");
}

#[test]
fn rules_and_configuration_that_others_can_write_are_refused() {
    live_once!();
    let setup = Setup::new().rules("rules: []\n");
    let rules = setup.folder().join("rules-1.yml");
    fs::set_permissions(&rules, Permissions::from_mode(0o666)).unwrap();
    let errors = refused(setup.command());
    assert!(errors.contains("everybody can write") && errors.contains("chmod o-w"), "{errors}");
    fs::set_permissions(&rules, Permissions::from_mode(0o600)).unwrap();

    let command = setup.command();
    let config = setup.folder().join("openclaw.yml");
    fs::set_permissions(&config, Permissions::from_mode(0o666)).unwrap();
    let errors = refused(command);
    assert!(errors.contains(config.to_str().unwrap()) && errors.contains("chmod o-w"), "{errors}");
}

#[test]
fn an_unknown_key_of_the_configuration_is_refused_with_the_nearest_name() {
    live_once!();
    let setup = Setup::new();
    let command = setup.command();
    fs::write(setup.folder().join("openclaw.yml"), "security:\n  respnse:\n    mode: observe\n").unwrap();
    let errors = refused(command);
    assert!(errors.contains("openclaw.yml:2:3") && errors.contains("`response`"), "{errors}");
}

#[test]
fn a_webhook_that_is_down_is_counted_and_stops_nothing() {
    live_once!();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let agent =
        Setup::new().webhook(&format!("http://{nobody}/")).watch("process.name == \"undelivered\"").start();
    let folder = tempfile::tempdir().unwrap();
    let program = link(folder.path(), "undelivered");
    command(&program, "exit").status().unwrap();
    agent.wait_for_finding("watch", |_| true);
    wait_for("the failed attempt is counted", || {
        let alerts = &agent.json(&["status", "--output", "json"])["alerts"];
        alerts["retries"].as_u64() > Some(0) || alerts["failed"].as_u64() > Some(0)
    });
    command(&program, "exit").status().unwrap();
    wait_for("the next one is found all the same", || agent.findings("watch", |_| true).len() == 2);
    assert!(agent.log().contains("webhook"), "{}", agent.log());
}

#[test]
fn a_socket_in_a_place_that_cannot_be_is_refused_with_its_path() {
    live_once!();
    let setup = Setup::new();
    let command = setup.command();
    fs::write(setup.folder().join("openclaw.yml"), "api:\n  socket: /proc/nowhere/openclaw.sock\n").unwrap();
    let errors = refused(command);
    assert!(errors.contains("/proc/nowhere/openclaw.sock") && errors.contains("api.socket"), "{errors}");
}
