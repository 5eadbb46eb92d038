//! What a process is at exec: where its program lies, who reads it, what it is handed, and what it may do.

use std::ffi::{CString, OsString};
use std::fs::{File, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::{exec_of, run};
use crate::support::agent::{Agent, Setup};
use crate::support::deed::{self, Deed, Deeds, command, hear, link, program, say};
use crate::support::skip::{needs, skip};
use crate::support::{live, live_once, overlay, wait_for};

pub(crate) const DEEDS: Deeds = &[
    ("exec from memory", |args| {
        let memory = rustix::fs::memfd_create("hidden", rustix::fs::MemfdFlags::empty()).unwrap();
        let mut copy = File::from(memory);
        std::io::copy(&mut File::open(&args[0]).unwrap(), &mut copy).unwrap();
        exec_descriptor(&copy)
    }),
    ("exec what is deleted", |args| {
        let file = File::open(&args[0]).unwrap();
        std::fs::remove_file(&args[0]).unwrap();
        exec_descriptor(&file)
    }),
    ("run in overlay", run_in_overlay),
    ("capset", |_| {
        say("ready");
        hear();
        set_capabilities(&[CAP_KILL, CAP_NET_RAW], &[CAP_KILL]);
        say("done");
        hear();
        0
    }),
];

/// Numbers of `linux/capability.h`.
const CAP_KILL: u32 = 5;
const CAP_NET_RAW: u32 = 13;

/// Runs the program behind a descriptor, which has no name that could be passed.
fn exec_descriptor(file: &File) -> i32 {
    // SAFETY: there is one thread.
    unsafe { std::env::set_var("OPENCLAW_TEST_DEED", "nothing") };
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    let arguments = [c"harmless".as_ptr(), std::ptr::null()];
    // SAFETY: the path and the argument are ended by NUL, and their array by a null pointer.
    unsafe { libc::execv(path.as_ptr(), arguments.as_ptr()) };
    1
}

/// Runs `cat` from an overlay's lower layer, then the same once it was copied up. The arguments are a folder with
/// that program, and where there is room for the overlay.
fn run_in_overlay(args: &[OsString]) -> i32 {
    let program = overlay::over(Path::new(&args[0]), Path::new(&args[1])).join("program");
    let run = |name: &str| {
        let mut child = Command::new(&program).args(["-", name]).stdin(Stdio::piped()).spawn().unwrap();
        say("running");
        hear();
        drop(child.stdin.take());
        // It fails, since there is no file of that name.
        child.wait().unwrap();
    };
    run("lower");
    // Changing it copies it up.
    std::fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
    run("upper");
    0
}

/// Gives the process these permitted and effective capabilities, and no inheritable ones.
fn set_capabilities(permitted: &[u32], effective: &[u32]) {
    let mask = |numbers: &[u32]| numbers.iter().fold(0_u64, |mask, number| mask | 1 << number);
    let (permitted, effective) = (mask(permitted), mask(effective));
    // `_LINUX_CAPABILITY_VERSION_3`, and the pid of the caller.
    let header: [u32; 2] = [0x2008_0522, 0];
    let half = |shift: u32| [(effective >> shift) as u32, (permitted >> shift) as u32, 0];
    let data = [half(0), half(32)];
    // SAFETY: the header and both halves are laid out as version 3 demands.
    assert_eq!(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }, 0);
}

fn exec_with(agent: &Agent, right: impl Fn(&Value) -> bool) -> Value {
    agent.wait_for_event("process_create", |event| right(&event["process"]))["process"].take()
}

#[test]
fn a_program_that_lies_in_memory_alone_is_told_as_that() {
    live!();
    let agent = Agent::start();
    let pid = run(command(program(), "exec from memory").arg(program()));
    let process = exec_with(&agent, |process| process["pid"] == pid && process["args"][0] == "harmless");
    assert_eq!(process["memfd"], true);
    assert_eq!(process["executable"], "memfd:hidden");
    assert_eq!(process["executable_deleted"], false, "it never had a place");
    let before = exec_with(&agent, |process| process["pid"] == pid && process["args"][0] != "harmless");
    assert_eq!((&before["memfd"], &before["executable_deleted"]), (&json!(false), &json!(false)));
}

#[test]
fn a_program_that_was_deleted_before_it_runs_is_told_with_the_place_that_it_had() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    deed::copy(&program(), &copy);
    let pid = run(command(program(), "exec what is deleted").arg(&copy));
    let process = exec_with(&agent, |process| process["pid"] == pid && process["args"][0] == "harmless");
    assert_eq!(process["executable_deleted"], true);
    assert_eq!(process["memfd"], false);
    assert_eq!(process["executable"], copy.to_str().unwrap());
}

#[test]
fn a_name_that_is_deleted_is_told_though_the_file_has_another() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let (copy, kept) = (folder.path().join("copy"), folder.path().join("kept"));
    deed::copy(&program(), &copy);
    std::fs::hard_link(&copy, &kept).unwrap();
    let pid = run(command(program(), "exec what is deleted").arg(&copy));
    let process = exec_with(&agent, |process| process["pid"] == pid && process["args"][0] == "harmless");
    assert_eq!(process["executable_deleted"], true);
}

#[test]
fn a_program_of_a_containers_image_and_one_that_was_changed_there_are_told_apart() {
    live!();
    if let Some(impediment) = overlay::impediment() {
        skip!("{impediment}");
    }
    let cat = needs!("cat");
    let agent = Agent::start();
    let (lower, room) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    deed::copy(&cat, &lower.path().join("program"));
    let mut overlay =
        Deed::new("run in overlay", &[lower.path().to_str().unwrap(), room.path().to_str().unwrap()]);
    for (name, upper) in [("lower", false), ("upper", true)] {
        assert_eq!(overlay.hear(), "running");
        let process = exec_with(&agent, |process| process["args"][2] == name);
        assert_eq!(process["executable_upper_layer"], upper, "{name}");
        let hash = agent.wait_for_event("process_hash", |event| event["process"]["args"][2] == name);
        assert_eq!(hash["process"]["hash"]["sha256"], *sha256_of(&cat), "{name}");
        overlay.tell("go on");
    }
    assert!(overlay.end().success());
    let outside = run(&mut command(program(), "exit"));
    if !is_on_overlay(&program()) {
        assert_eq!(exec_of(&agent, outside)["process"]["executable_upper_layer"], Value::Null);
    }
}

fn is_on_overlay(path: &Path) -> bool {
    /// `OVERLAYFS_SUPER_MAGIC`
    const MAGIC: u64 = 0x794c_7630;
    rustix::fs::statfs(path).unwrap().f_type as u64 == MAGIC
}

#[test]
fn a_script_is_told_with_the_interpreter_that_runs_it() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let interpreter = link(folder.path(), "interpreter");
    let script = folder.path().join("script");
    std::fs::write(&script, format!("#!{}\n", interpreter.display())).unwrap();
    std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let relative = Path::new("./../").join(folder.path().file_name().unwrap()).join("script");
    for passed in [&*script, &*relative] {
        let pid = run(command(passed, "nothing").current_dir(folder.path()));
        let process = &exec_of(&agent, pid)["process"];
        assert_eq!(process["script"], script.to_str().unwrap());
        assert_eq!(process["interpreter"], interpreter.to_str().unwrap());
        assert_eq!(process["executable"], program().to_str().unwrap());
        assert_eq!(process["name"], "script");
    }
    let plain = run(&mut command(program(), "nothing"));
    let process = &exec_of(&agent, plain)["process"];
    assert_eq!((&process["script"], &process["interpreter"]), (&Value::Null, &Value::Null));
}

#[test]
fn wanted_variables_are_told_and_nothing_of_the_others_is() {
    live!();
    let agent = Setup::new().sensor("environment: [LD_PRELOAD, OPENCLAW_WANTED]").start();
    let mut deed = command(program(), "nothing");
    deed.env("LD_PRELOAD", "").env("OPENCLAW_WANTED", "a b=c").env("OPENCLAW_UNWANTED", "hunter2-secret");
    let pid = run(&mut deed);
    let event = exec_of(&agent, pid);
    let process = &event["process"];
    let mut told: Vec<&str> =
        process["env_vars"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, ["LD_PRELOAD=", "OPENCLAW_WANTED=a b=c"]);
    assert_eq!(process["env_vars_truncated"], false);
    agent.settle();
    assert!(agent.lines(|line| line.to_string().contains("hunter2")).is_empty());
}

#[test]
fn an_environment_is_looked_through_for_eight_kibibytes_and_marked_where_it_is_longer() {
    live!();
    let agent = Setup::new().sensor("environment: [WANTED]").start();
    let environment = |padding: usize| {
        let mut deed = command(program(), "nothing");
        // `Command` sorts variables by name.
        deed.env_clear().env("OPENCLAW_TEST_DEED", "nothing").env("PADDING", "x".repeat(padding));
        deed.env("WANTED", "1");
        exec_of(&agent, run(&mut deed))["process"].take()
    };
    let second_step = environment(6000);
    assert_eq!(second_step["env_vars"], json!(["WANTED=1"]));
    assert_eq!(second_step["env_vars_truncated"], false);
    let beyond = environment(9000);
    assert_eq!(beyond["env_vars"], Value::Null);
    assert_eq!(beyond["env_vars_truncated"], true);
}

#[test]
fn standard_input_and_output_are_told_by_what_they_are() {
    live!();
    let agent = Agent::start();
    let told = |input: Stdio, output: Stdio, errors: Stdio| {
        let mut deed = command(program(), "nothing");
        let event = exec_of(&agent, run(deed.stdin(input).stdout(output).stderr(errors)));
        ["stdin", "stdout", "stderr"].map(|name| event["process"][name]["type"].as_str().unwrap().to_owned())
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (local, _other) = UnixStream::pair().unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    let (remote, local) = (OwnedFd::from(remote), OwnedFd::from(local));
    let file = tempfile::tempfile().unwrap();
    let terminal = File::options().read(true).write(true).open("/dev/ptmx").unwrap();
    assert_eq!(
        told(remote.try_clone().unwrap().into(), remote.into(), writer.into()),
        ["internet_socket", "internet_socket", "pipe"]
    );
    assert_eq!(told(local.into(), Stdio::null(), file.into()), ["unix_socket", "null", "file"]);
    assert_eq!(told(Stdio::null(), terminal.into(), Stdio::inherit())[..2], ["null", "terminal"]);

    let mut closed = command(program(), "nothing");
    // SAFETY: the call may be made between fork and exec.
    unsafe {
        closed.pre_exec(|| {
            libc::close(0);
            Ok(())
        });
    }
    assert_eq!(exec_of(&agent, run(&mut closed))["process"]["stdin"]["type"], "closed");
}

#[test]
fn what_a_program_may_do_is_told_by_its_capabilities_and_whether_it_can_gain_more() {
    live!();
    let agent = Agent::start();
    let free = exec_of(&agent, run(&mut command(program(), "nothing")))["process"].take();
    assert_eq!(free["no_new_privs"], status("NoNewPrivs") == 1);
    // Names are compared below; of all that there are, how many.
    for (set, key) in [("effective", "CapEff"), ("permitted", "CapPrm")] {
        let names = free["thread"]["capabilities"][set].as_array().unwrap();
        assert_eq!(names.len(), status(key).count_ones() as usize, "{names:?}");
    }

    let mut bound = command(program(), "nothing");
    // SAFETY: system calls alone, which may be made between fork and exec.
    unsafe {
        bound.pre_exec(|| {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            // Without it root has all capabilities again after exec.
            for number in 0..64 {
                if number != CAP_KILL {
                    libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0);
                }
            }
            Ok(())
        });
    }
    let bound = exec_of(&agent, run(&mut bound))["process"].take();
    assert_eq!(bound["no_new_privs"], true);
    assert_eq!(bound["thread"]["capabilities"]["effective"], json!(["CAP_KILL"]));
    assert_eq!(bound["thread"]["capabilities"]["permitted"], json!(["CAP_KILL"]));
}

/// A hexadecimal number of this process's status in /proc.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t")).unwrap();
    u64::from_str_radix(value, 16).unwrap()
}

/// In lower-case hexadecimal.
fn sha256_of(path: &Path) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, &std::fs::read(path).unwrap());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_hash_of_a_program_is_told_and_matched_when_it_is_known_and_at_once_the_next_time() {
    live!();
    let cat = needs!("cat");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    deed::copy(&cat, &copy);
    let expected = sha256_of(&copy);
    let rule = |name: &str, event: &str| {
        format!(
            "  - name: {name}\n    {event}\n    condition: process.hash.sha256 == \"{expected}\" AND process.executable == \"{}\"\n    severity: info\n    action: alert\n",
            copy.display()
        )
    };
    let rules =
        format!("rules:\n{}{}", rule("known", "enabled: true"), rule("exec", "event: process_create"));
    let agent = Setup::new().rules(&rules).start();
    // Until it has been left alone for long enough to be told by its time of change.
    let changed = std::fs::metadata(&copy).unwrap().modified().unwrap();
    wait_for("the file is settled", || changed.elapsed().is_ok_and(|age| age.as_millis() > 200));

    // Without arguments it waits for its input.
    let first = Deed::of(Command::new(&copy));
    let hash = agent.wait_for_event("process_hash", |event| event["process"]["pid"] == first.pid());
    assert_eq!(hash["event"]["action"], "hash");
    assert_eq!(hash["process"]["hash"]["sha256"], *expected);
    assert_eq!(hash["process"]["executable"], copy.to_str().unwrap());
    assert_eq!(exec_of(&agent, first.pid())["process"]["hash"], Value::Null, "not known yet");
    agent.wait_for_finding("known", |event| event["process"]["pid"] == first.pid());
    assert!(agent.findings("exec", |_| true).is_empty());

    let second = run(Command::new(&copy).stdin(Stdio::null()));
    assert_eq!(exec_of(&agent, second)["process"]["hash"]["sha256"], *expected);
    agent.wait_for_finding("exec", |event| event["process"]["pid"] == second);
    agent.settle();
    assert_eq!(agent.count("process_hash", |event| event["process"]["pid"] == second), 0);
}

#[test]
fn a_program_that_was_replaced_has_the_hash_of_what_it_is_now() {
    live_once!();
    let cat = needs!("cat");
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    deed::copy(&cat, &copy);
    for tail in ["", "changed", "again"] {
        let mut file = File::options().append(true).open(&copy).unwrap();
        std::io::Write::write_all(&mut file, tail.as_bytes()).unwrap();
        drop(file);
        let deed = Deed::of(Command::new(&copy));
        let hash = agent.wait_for_event("process_hash", |event| event["process"]["pid"] == deed.pid());
        assert_eq!(hash["process"]["hash"]["sha256"], *sha256_of(&copy), "{tail}");
        assert!(deed.end().success());
    }
}

#[test]
fn a_program_in_memory_is_hashed_like_one_on_disk() {
    live_once!();
    let cat = needs!("cat");
    let agent = Agent::start();
    let deed = Deed::new("exec from memory", &[cat.to_str().unwrap()]);
    let hash = agent.wait_for_event("process_hash", |event| {
        event["process"]["pid"] == deed.pid() && event["process"]["memfd"] == true
    });
    assert_eq!(hash["process"]["hash"]["sha256"], *sha256_of(&cat));
}

#[test]
fn a_program_that_is_larger_than_the_limit_is_not_hashed_and_counted() {
    live_once!();
    let agent = Setup::new().sensor("hash_limit: 64KiB").start();
    let pid = run(&mut command(program(), "nothing"));
    agent.settle();
    assert_eq!(agent.count("process_hash", |event| event["process"]["pid"] == pid), 0);
    wait_for("it is counted", || agent.lost("program_not_hashed") > 0);
    let off = Setup::new().sensor("hash_limit: 0").start();
    run(&mut command(program(), "nothing"));
    off.settle();
    assert_eq!(off.count("process_hash", |_| true), 0);
}

#[test]
fn a_call_that_changes_capabilities_is_told_with_those_before_and_after() {
    live!();
    let agent = Agent::start();
    let mut deed = Deed::new("capset", &[]);
    deed.hear();
    deed.tell("go on");
    deed.hear();
    let change = agent.wait_for_event("privilege_change", |event| event["process"]["pid"] == deed.pid());
    assert_eq!(change["event"]["action"], "capset");
    let process = &change["process"];
    assert_eq!(process["thread"]["capabilities"]["effective"], json!(["CAP_KILL"]));
    assert_eq!(process["thread"]["capabilities"]["permitted"], json!(["CAP_KILL", "CAP_NET_RAW"]));
    let before = process["previous_capabilities"].as_array().unwrap();
    assert!(before.contains(&json!("CAP_KILL")) && before.len() > 2, "{before:?}");
    assert_eq!(process["user"]["id"], 0);
    deed.end();
    agent.settle();
    let changes = agent.events("privilege_change", |event| event["process"]["pid"] == process["pid"]);
    assert_eq!(changes.len(), 1);
}
