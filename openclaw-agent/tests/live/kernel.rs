//! What acts upon the kernel, or upon other processes.

use std::ffi::{CString, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use io_uring::{IoUring, opcode, types};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::thread::UnshareFlags;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Setup};
use crate::support::deed::{Deed, Deeds, command, hear, program, say};
use crate::support::live;
use crate::support::skip::{needs, skip};

pub(crate) const DEEDS: Deeds = &[
    ("mount and unmount", |args| {
        unshare(UnshareFlags::NEWNS);
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        mount("what", &args[0], "tmpfs", MountFlags::empty(), None).unwrap();
        unmount(&args[0], UnmountFlags::empty()).unwrap();
        0
    }),
    ("take hold", take_hold),
    ("change namespaces", |_| {
        let before = std::fs::File::open("/proc/self/ns/uts").unwrap();
        unshare(UnshareFlags::NEWUTS | UnshareFlags::NEWIPC);
        // Files and directories apart are no namespace.
        unshare(UnshareFlags::FILES);
        rustix::thread::move_into_link_name_space(before.as_fd(), None).unwrap();
        0
    }),
    ("use io_uring", |args| {
        let Ok(mut uring) = IoUring::new(4) else { return 1 };
        let path = CString::new(args[0].as_bytes()).unwrap();
        let open =
            opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).flags(libc::O_RDONLY).build();
        for operation in [&open, &open, &opcode::Nop::new().build()] {
            // SAFETY: the path lives until the operation is done; the queue has room for four.
            unsafe { uring.submission().push(operation).unwrap() };
        }
        uring.submit_and_wait(3).unwrap();
        0
    }),
];

fn unshare(flags: UnshareFlags) {
    // SAFETY: there is one thread.
    unsafe { rustix::thread::unshare_unsafe(flags).unwrap() };
}

/// Attaches to a process, and lets it go; then writes and reads the memory of a child.
fn take_hold(args: &[OsString]) -> i32 {
    let pid: i32 = args[0].to_str().unwrap().parse().unwrap();
    // SAFETY: the process is the test's; it is waited for and let go. The child does nothing but wait, and both
    // have the same memory at the same place.
    unsafe {
        assert_eq!(libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0), 0);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
        assert_eq!(libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0), 0);
        let mut byte = 7_u8;
        let place = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let child = libc::fork();
        if child == 0 {
            libc::pause();
        }
        assert_eq!(libc::process_vm_writev(child, &raw const place, 1, &raw const place, 1, 0), 1);
        assert_eq!(libc::process_vm_readv(child, &raw const place, 1, &raw const place, 1, 0), 1);
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        say(&child.to_string());
    }
    hear();
    0
}

/// The event of that kind and action that a process has made.
#[track_caller]
fn event(agent: &Agent, kind: &str, action: &str, pid: u32) -> Value {
    agent.wait_for_event(kind, |event| event["event"]["action"] == action && event["process"]["pid"] == pid)
}

#[test]
fn file_systems_are_told_as_they_are_mounted_and_unmounted() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(program(), "mount and unmount").arg(folder.path()).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    let mounted = agent.wait_for_event("mount_change", |event| {
        event["event"]["action"] == "mount"
            && event["process"]["pid"] == pid
            && event["mount"]["source"] == "what"
    });
    assert_eq!(mounted["mount"]["target"], folder.path().to_str().unwrap());
    let unmounted = event(&agent, "mount_change", "unmount", pid);
    assert_eq!(unmounted["mount"]["target"], folder.path().to_str().unwrap());
}

#[test]
fn a_process_that_takes_hold_of_another_is_told_with_whom_and_found_by_a_rule() {
    live!();
    let agent = Setup::new()
        .rules("rules:\n  - name: traced\n    condition: target.process.pid exists AND event.action == 'ptrace_attach'\n    severity: high\n    action: alert\n")
        .start();
    let mut victim = Deed::new("wait", &[]);
    victim.hear();
    let mut deed = Deed::new("take hold", &[&victim.pid().to_string()]);
    let child: u32 = deed.hear().parse().unwrap();
    let attached = event(&agent, "process_trace", "ptrace_attach", deed.pid());
    assert_eq!(attached["target"]["process"]["pid"], victim.pid());
    assert_eq!(attached["target"]["process"]["executable"], program().to_str().unwrap());
    for action in ["memory_write", "memory_read"] {
        assert_eq!(event(&agent, "process_trace", action, deed.pid())["target"]["process"]["pid"], child);
    }
    agent.wait_for_finding("traced", |event| event["process"]["pid"] == deed.pid());
}

#[test]
fn namespaces_are_told_as_they_are_made_and_entered() {
    live!();
    let agent = Agent::start();
    let mut child = command(program(), "change namespaces").spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    let made = event(&agent, "namespace_change", "unshare", pid);
    assert_eq!(made["namespace"]["types"], json!(["uts", "ipc"]));
    let entered = event(&agent, "namespace_change", "setns", pid);
    assert_eq!(entered["namespace"]["types"], json!(["uts"]));
    agent.settle();
    let all = agent.events("namespace_change", |event| event["process"]["pid"] == pid);
    assert_eq!(all.len(), 2, "{all:?}");
}

#[test]
fn bpf_programs_are_told_by_name_and_type_as_they_are_loaded_and_attached() {
    live!();
    let agent = Agent::start();
    // The other agent's own.
    let other = Agent::start();
    for action in ["load", "attach"] {
        let told = agent.wait_for_event("bpf_load", |event| {
            event["event"]["action"] == action
                && event["process"]["pid"] == other.pid()
                && event["bpf"]["program"]["name"] == "process_fork"
        });
        assert_eq!(told["bpf"]["program"]["type"], "raw_tracepoint");
    }
}

#[test]
fn an_io_uring_is_told_with_what_it_is_given_to_do() {
    live!();
    let agent = Agent::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut child = command(program(), "use io_uring").arg(file.path()).spawn().unwrap();
    let pid = child.id();
    if !child.wait().unwrap().success() {
        skip!("it needs io_uring (5.1 on), which this kernel lacks or forbids");
    }
    event(&agent, "io_uring", "setup", pid);
    agent.settle();
    let submitted = agent
        .events("io_uring", |event| event["event"]["action"] == "submit" && event["process"]["pid"] == pid);
    let operations: Vec<&Value> = submitted.iter().map(|event| &event["io_uring"]["operation"]).collect();
    assert_eq!(operations, ["openat", "nop"], "the second of the same within a second is counted");
}

#[test]
fn a_module_is_told_as_it_is_loaded_and_unloaded() {
    live!();
    let modprobe = needs!("modprobe");
    let run = |args: &[&str]| Command::new(&modprobe).args(args).output().unwrap().status.success();
    if std::path::Path::new("/sys/module/dummy").exists() && !run(&["-r", "dummy"]) {
        skip!("the module `dummy` is in use, or a part of the kernel");
    }
    if !run(&["-n", "dummy"]) {
        skip!("this machine has no module `dummy` to load");
    }
    let agent = Agent::start();
    assert!(run(&["dummy"]));
    let loaded = agent.wait_for_event("module_load", |event| event["event"]["action"] == "load");
    assert_eq!(loaded["module"]["name"], "dummy");
    // What is compressed may be unpacked by `modprobe`, and loaded from its memory.
    if let Some(path) = loaded["module"]["path"].as_str() {
        assert!(path.contains("/dummy.ko"), "{loaded}");
    }
    assert!(run(&["-r", "dummy"]));
    let unloaded = agent.wait_for_event("module_load", |event| event["event"]["action"] == "unload");
    assert_eq!(unloaded["module"]["name"], "dummy");
}
