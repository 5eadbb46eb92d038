//! Processes as `/proc` shows them, and descriptors taken out of them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::AddressFamily;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal};

/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// `PIDFD_THREAD`, since 6.9: the descriptor is of a thread, not of a process.
const OF_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0x80);

/// `KCMP_FILES` of the kernel's `kcmp.h`.
const KCMP_FILES: libc::c_int = 2;

/// `PID_MAX_LIMIT` of the kernel's `threads.h`, on 64 bits.
const PID_MAX_LIMIT: u32 = 1 << 22;

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stat {
    /// The name that the kernel keeps, 15 bytes at most.
    pub(super) name: String,
    /// The parent's id.
    pub(super) parent: u32,
    /// When the process began, in clock ticks since boot.
    pub(super) start: u64,
    /// Whether it is a thread of the kernel.
    pub(super) is_kernel: bool,
}

/// Reads `/proc/PID/stat`. `None` when there is no such process.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse(&String::from_utf8_lossy(&read(&format!("/proc/{pid}/stat")).ok()?))
}

/// When this process began, in clock ticks since boot; the latest time that there is where that is not known.
pub(super) fn own_start() -> u64 {
    static START: OnceLock<u64> = OnceLock::new();
    *START.get_or_init(|| stat(std::process::id()).map_or(u64::MAX, |stat| stat.start))
}

/// Reads a file of `/proc` that is one record, as those of a process's state are, by one call where it is small: `fs::read` asks
/// for a little first, and takes seven calls, while a signal waits.
pub(super) fn read(path: &str) -> io::Result<Vec<u8>> {
    const SMALL: usize = 4096;
    let mut file = File::open(path)?;
    let mut text = vec![0; SMALL];
    let length = file.read(&mut text)?;
    text.truncate(length);
    // A file that is one record is given as a whole where there is room for it.
    if length == SMALL {
        file.read_to_end(&mut text)?;
    }
    Ok(text)
}

/// The name is in parentheses and may hold any byte, parentheses too.
fn parse(text: &str) -> Option<Stat> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    let start = fields.nth(12)?.parse().ok()?;
    Some(Stat { name: name.to_owned(), parent, start, is_kernel: flags & KERNEL_THREAD != 0 })
}

/// Whether every thread of a process stands still, since it got a signal that stops it or is traced. Threads that have
/// ended do: the first one stays listed as long as others live.
pub(super) fn stands_still(pid: u32) -> bool {
    let threads = threads(pid);
    !threads.is_empty()
        && threads
            .into_iter()
            .all(|thread| matches!(thread_state(pid, thread), None | Some('T' | 't' | 'Z' | 'X')))
}

/// Whether a process was stopped by a signal: one of its threads is, since the first one may have ended. One that is
/// traced stops and goes on as its tracer wants.
pub(super) fn was_stopped(pid: u32) -> bool {
    threads(pid).into_iter().any(|thread| thread_state(pid, thread) == Some('T'))
}

/// The letter of `/proc/PID/task/TID/stat`.
fn thread_state(pid: u32, thread: u32) -> Option<char> {
    let stat = read(&format!("/proc/{pid}/task/{thread}/stat")).ok()?;
    // The name before it may hold parentheses.
    String::from_utf8_lossy(&stat).rsplit_once(") ")?.1.chars().next()
}

/// The ids of all processes.
pub(super) fn all() -> Vec<u32> {
    numbers("/proc")
}

/// The processes that descend from these by what `/proc` shows, without these.
pub(super) fn below(roots: &[(u32, Stat)]) -> Vec<(u32, Stat)> {
    let mut rest: Vec<(u32, Stat)> = all().into_iter().filter_map(|pid| Some((pid, stat(pid)?))).collect();
    let mut known: HashSet<u32> = roots.iter().map(|(pid, _)| *pid).collect();
    rest.retain(|(pid, _)| !known.contains(pid));
    let mut found = Vec::new();
    loop {
        let (new, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|(_, stat)| known.contains(&stat.parent));
        if new.is_empty() {
            return found;
        }
        known.extend(new.iter().map(|(pid, _)| *pid));
        found.extend(new);
        rest = others;
    }
}

/// The processes of a container, which is named by the path of its control group.
pub(super) fn of_container(container: &str) -> Vec<(u32, Stat)> {
    let is_member = |pid: &u32| crate::enrich::container_of(*pid).as_deref() == Some(container);
    all().into_iter().filter(is_member).filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

/// Who runs a process: the real user id, which no setuid program changes by being begun.
pub(super) fn real_user(pid: u32) -> Option<u32> {
    let status = read(&format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().next()?.parse().ok()
}

/// The units of systemd that a process belongs to, the innermost last. Below a service or a scope its owner makes what
/// folders he likes, also such as are called like another unit.
pub(super) fn units(pid: u32) -> Vec<String> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    // `0::/system.slice/ssh.service`, and the like for each hierarchy of version 1.
    let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let mut units: Vec<String> = paths.flat_map(units_of).map(str::to_owned).collect();
    units.dedup();
    units
}

fn units_of(path: &str) -> Vec<&str> {
    let mut units = Vec::new();
    for name in path.split('/').skip(1) {
        let is_leaf = name.ends_with(".service") || name.ends_with(".scope");
        if !is_leaf && !name.ends_with(".slice") {
            break;
        }
        units.push(name);
        if is_leaf {
            break;
        }
    }
    units
}

/// The ids of a process's threads.
pub(super) fn threads(pid: u32) -> Vec<u32> {
    numbers(&format!("/proc/{pid}/task"))
}

/// This process and its ancestors, with their starts in clock ticks.
pub(super) fn lineage() -> Vec<(u32, u64)> {
    let mut found = Vec::new();
    let mut pid = std::process::id();
    while let Some(stat) = stat(pid) {
        found.push((pid, stat.start));
        pid = stat.parent;
    }
    found
}

/// Room for every process that this machine can have: the kernel makes no process beyond either limit. Some
/// more, for marks of processes that ended just when they were marked.
pub(super) fn most() -> u32 {
    const TO_SPARE: u32 = 1024;
    let limits = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    limits.iter().filter_map(|text| text.trim().parse().ok()).fold(PID_MAX_LIMIT, u32::min) + TO_SPARE
}

fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Whether two threads share their table of descriptors. Where the kernel cannot tell, they do not.
pub(super) fn share_descriptors(a: u32, b: u32) -> bool {
    // SAFETY: the call takes numbers only.
    unsafe { libc::syscall(libc::SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0 }
}

/// The sockets among a thread's descriptors: number and inode number.
pub(super) fn sockets(pid: u32, thread: u32) -> Vec<(i32, u64)> {
    let entries = fs::read_dir(format!("/proc/{pid}/task/{thread}/fd")).into_iter().flatten();
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            let target = fs::read_link(entry.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
            Some((number, inode))
        })
        .collect()
}

/// A process or thread that is held by a descriptor: its number cannot come to mean another one unnoticed.
#[derive(Debug)]
pub(super) struct Held(OwnedFd);

impl Held {
    /// Holds a process, if it is still the one that began at `start` (clock ticks).
    pub(super) fn process(pid: u32, start: u64) -> Option<Held> {
        Some(Held::with_stat(pid, start)?.0)
    }

    /// The same, with what `/proc` says of it.
    pub(super) fn with_stat(pid: u32, start: u64) -> Option<(Held, Stat)> {
        let held = Held(pidfd_open(number(pid)?, PidfdFlags::empty()).ok()?);
        // The descriptor is of whoever had the number when it was opened. If the number still belongs to
        // the process that is meant, it did then.
        let stat = stat(pid).filter(|stat| stat.start == start)?;
        Some((held, stat))
    }

    /// Sends it a signal. Nothing, where it has ended.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.0.as_fd(), signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Whether it has ended by then, its threads included.
    pub(super) fn has_ended_within(&self, time: Duration) -> bool {
        let time = Timespec::try_from(time).ok();
        let mut waited = [PollFd::new(&self.0, PollFlags::IN)];
        matches!(poll(&mut waited, time.as_ref()), Ok(1))
    }

    /// Holds a thread that has a table of descriptors of its own. Since 6.9.
    pub(super) fn thread(thread: u32) -> io::Result<Held> {
        let thread = number(thread).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Held(pidfd_open(thread, OF_THREAD)?))
    }

    /// A copy of one of its descriptors.
    pub(super) fn descriptor(&self, number: i32) -> io::Result<OwnedFd> {
        Ok(pidfd_getfd(self.0.as_fd(), number, PidfdGetfdFlags::empty())?)
    }
}

fn number(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Whether a socket is of IPv4 or IPv6.
pub(super) fn is_internet(socket: BorrowedFd<'_>) -> bool {
    rustix::net::sockopt::socket_domain(socket)
        .is_ok_and(|domain| domain == AddressFamily::INET || domain == AddressFamily::INET6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) R 1 (b) S 7 42 42 0 -1 2097216 1 2 3 4 5 6 7 8 20 0 1 0 12345 0 0\n";
        let stat = parse(line).unwrap();
        assert_eq!(stat, Stat { name: "a) R 1 (b".to_owned(), parent: 7, start: 12345, is_kernel: true });
    }

    #[test]
    fn this_process_is_held_under_its_own_start_and_no_other() {
        let pid = std::process::id();
        let start = stat(pid).unwrap().start;
        assert!(Held::process(pid, start).is_some());
        assert!(Held::process(pid, start + 1).is_none());
        assert_eq!((own_start(), Held::with_stat(pid, start).unwrap().1.start), (start, start));
    }

    #[test]
    fn a_file_is_read_whole_however_long_it_is() {
        let long = tempfile::NamedTempFile::new().unwrap();
        fs::write(long.path(), "x".repeat(10_000)).unwrap();
        for path in ["/proc/self/cgroup", "/proc/self/cmdline", long.path().to_str().unwrap()] {
            assert_eq!(read(path).unwrap(), fs::read(path).unwrap(), "{path}");
        }
        assert!(read("/proc/self/nothing").is_err());
    }

    #[test]
    fn the_sockets_of_this_process_are_listed() {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
        let pid = std::process::id();
        assert!(sockets(pid, pid).iter().any(|(listed, _)| *listed == number));
        assert!(is_internet(socket.as_fd()));
    }

    #[test]
    fn nobody_makes_himself_a_unit_by_a_folder_below_his_own() {
        assert_eq!(units_of("/system.slice/ssh.service"), ["system.slice", "ssh.service"]);
        assert_eq!(
            units_of("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service"),
            ["user.slice", "user-1000.slice", "user@1000.service"]
        );
        assert!(units_of("/docker/web.service").is_empty() && units_of("/").is_empty());
    }
}
