//! What live tests stand on. Each piece is removed when it is dropped, so also when a test panics.

pub(crate) mod agent;
pub(crate) mod cgroup;
pub(crate) mod container;
pub(crate) mod deed;
pub(crate) mod deep;
pub(crate) mod helper;
pub(crate) mod network;
pub(crate) mod overlay;
pub(crate) mod pins;
pub(crate) mod skip;
pub(crate) mod socket;
pub(crate) mod torn;
pub(crate) mod turn;
pub(crate) mod webhook;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Leaves the test unless live tests are asked for. It runs beside others.
macro_rules! live {
    () => {
        $crate::support::live_if_asked!();
        let _turn = $crate::support::turn::share();
    };
}
pub(crate) use live;

/// The same, but with the machine for itself: it does something to all of it, and so only in a guest.
macro_rules! live_alone {
    () => {
        $crate::support::live_if_asked!();
        if !$crate::support::is_guest() {
            $crate::support::skip::skip!("it is done to the whole machine: `cargo xtask vm` runs it");
        }
        let _turn = $crate::support::turn::alone();
    };
}
pub(crate) use live_alone;

macro_rules! live_if_asked {
    () => {
        if std::env::var_os("OPENCLAW_LIVE").is_none_or(|value| value != "1") {
            eprintln!("skipped: live tests need root, and OPENCLAW_LIVE=1");
            return;
        }
        if $crate::support::is_spared(module_path!()) {
            $crate::support::skip::skip!("another kernel does it; `cargo xtask vm` runs it on this one too");
        }
    };
}
pub(crate) use live_if_asked;

/// Whether a module's tests are left out in this guest, since another one of the same run does them. Each module is done where
/// its hooks are others than this machine's, which docs/kernels.md tells: how files are seen, where trampolines work, and
/// with that what a kernel has and lacks. Of the rest, what stands upon hooks and verdicts is for the oldest kernel, and what
/// the agent does about what it saw for the newer one; a full run does all on each.
pub(crate) fn is_spared(module: &str) -> bool {
    const EVERYWHERE: [&str; 10] =
        ["agent", "credential", "file", "filter", "input", "kernel", "object", "race", "service", "tamper"];
    const NEWER: [&str; 6] = ["alerts", "container", "outbox", "reload", "rules", "strike"];
    let module = module.split("::").nth(1).unwrap_or_default();
    if EVERYWHERE.contains(&module) {
        return false;
    }
    match std::env::var("OPENCLAW_SHARE").as_deref() {
        Ok("oldest") => NEWER.contains(&module),
        Ok("newer") => !NEWER.contains(&module),
        Ok(other) => panic!("OPENCLAW_SHARE is `{other}`: `oldest` and `newer` are known"),
        Err(_) => false,
    }
}

/// The same, for a test that asks nothing of the kernel which others do not ask too: guests, where each takes many times
/// as long, leave it out but in a full run.
macro_rules! live_once {
    () => {
        $crate::support::live!();
        if $crate::support::is_guest() && std::env::var_os("OPENCLAW_FULL").is_none() {
            $crate::support::skip::skip!("one kernel is enough: it asks nothing of it that others do not");
        }
    };
}
pub(crate) use live_once;

/// How long a thing may take that must come. Long, since machines under emulation are slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Whether this machine is a guest of `cargo xtask vm`, whose processors may be emulated.
pub(crate) fn is_guest() -> bool {
    std::env::var_os("OPENCLAW_GUEST").is_some()
}

/// Waits until `done` says so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// When a process began, in nanoseconds since boot: the middle of the clock tick that `/proc` tells.
pub(crate) fn start_of(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks: u64 = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().parse().unwrap();
    ticks * 10_000_000 + 5_000_000
}

/// A number that no other test of this run has.
pub(crate) fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Runs a command that must succeed.
#[track_caller]
pub(crate) fn run(command: &str) {
    let mut words = command.split(' ');
    let program = words.next().unwrap();
    let output = std::process::Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether the processor is one that QEMU emulates by software.
pub(crate) fn is_emulated() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("TCG"))
}
