//! What the kernel's iterators do not give of a process: what lies in its own memory, and its paths.

use std::path::PathBuf;

use openclaw_detect::ProcessId;

use super::container::container_path;
use super::image::Image;

/// What the process with that pid runs, as /proc tells it now. Empty where it is gone.
pub(super) fn image_of(pid: u32) -> Image {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let link = |name: &str| {
        std::fs::read_link(folder.join(name)).map(|to| to.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
    let executable = link("exe").trim_end_matches(" (deleted)").to_owned();
    let args = bytes("cmdline");
    let cut = args.len() > openclaw_common::record::ARGS_MAX;
    let kept = &args[..args.len().min(openclaw_common::record::ARGS_MAX)];
    let comm = String::from_utf8_lossy(&bytes("comm")).trim_end().to_owned();
    let args = String::from_utf8_lossy(kept).into_owned();
    Image {
        name: whole_name(&comm, &executable, &args),
        command_line: command_line(&args),
        args_count: args.split_terminator('\0').count() as u32,
        args,
        args_truncated: cut,
        working_directory: link("cwd"),
        cgroup: cgroup(&String::from_utf8_lossy(&bytes("cgroup"))).to_owned(),
        executable,
        ..Image::default()
    }
}

/// The path in `/proc/PID/cgroup` (`cgroups(7)`) that the kernel programs would read: that of version 2, or
/// where that is the root the memory controller's.
fn cgroup(text: &str) -> &str {
    let paths = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let of = |controller: &str| paths().find(|(names, _)| names.split(',').any(|name| name == controller));
    let unified = of("").map_or("", |(_, path)| path);
    if matches!(unified, "" | "/") { of("memory").map_or(unified, |(_, path)| path) } else { unified }
}

/// The control group's path of the container that a process is in, by what `/proc` says of it now.
pub(crate) fn container_of(pid: u32) -> Option<String> {
    let cgroups = std::fs::read(format!("/proc/{pid}/cgroup")).ok()?;
    container_path(cgroup(&String::from_utf8_lossy(&cgroups))).map(str::to_owned)
}

/// Why /proc does not show what other processes run, and what to do about it; `None` where it does. The sensor
/// works without, but knows less of processes that it did not see begin.
pub fn impediment() -> Option<&'static str> {
    /// `PROC_PID_INIT_INO` of the kernel: the inode number of the first pid namespace.
    const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
    let Ok(namespace) = std::fs::read_link("/proc/self/ns/pid") else {
        return Some("/proc is not mounted: mount it where the agent runs");
    };
    if namespace.as_os_str() != FIRST_PID_NAMESPACE {
        return Some(
            "the agent has a pid namespace of its own, where processes have other numbers: run it in the host's \
             (in Kubernetes `hostPID: true`)",
        );
    }
    let may_trace = rustix::thread::capabilities(None)
        .is_ok_and(|of| of.effective.contains(rustix::thread::CapabilitySet::SYS_PTRACE));
    (!may_trace || std::fs::read("/proc/1/stat").is_err()).then_some(
        "/proc hides them from the agent: give it CAP_SYS_PTRACE, or mount /proc without `hidepid`",
    )
}

/// Whether the process with that id is there now, and not another that has got its pid.
pub(crate) fn is_alive(id: ProcessId) -> bool {
    /// Nanoseconds of a tick of `USER_HZ`, which is 100 on every architecture that OpenClaw runs on.
    const TICK: u64 = 10_000_000;
    /// Field 22 of `/proc/PID/stat`, counted from the one behind the name.
    const START_TIME: usize = 19;
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", id.pid)) else { return false };
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let start = behind_name.split_whitespace().nth(START_TIME).and_then(|ticks| ticks.parse::<u64>().ok());
    start == Some(id.start / TICK)
}

/// `comm` is the last part of the path passed to exec, cut to 15 bytes. It is made whole from a path that
/// begins with it.
fn whole_name(comm: &str, executable: &str, args: &str) -> String {
    const COMM_MAX: usize = 15;
    if comm.len() < COMM_MAX {
        return comm.to_owned();
    }
    let called = args.split('\0').next().unwrap_or_default();
    [called, executable]
        .into_iter()
        .map(last_part)
        .find(|name| name.starts_with(comm))
        .unwrap_or(comm)
        .to_owned()
}

/// The last part of a path.
pub(super) fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Arguments ended by NUL, joined by spaces.
pub(super) fn command_line(args: &str) -> String {
    args.strip_suffix('\0').unwrap_or(args).replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_told_as_it_is() {
        let image = image_of(std::process::id());
        assert_eq!(image.executable, std::env::current_exe().unwrap().to_string_lossy());
        assert_eq!(image.args_count as usize, std::env::args().count());
    }

    #[test]
    fn a_process_is_alive_under_its_own_start_time_only() {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let ticks: u64 =
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        let id = ProcessId { pid: std::process::id(), start: ticks * 10_000_000 + 5 };
        assert!(is_alive(id));
        assert!(!is_alive(ProcessId { start: id.start + 10_000_000, ..id }));
        assert!(!is_alive(ProcessId { pid: u32::MAX, ..id }));
    }

    #[test]
    fn a_name_that_comm_cuts_is_made_whole() {
        assert_eq!(
            whole_name("systemd-journal", "/usr/lib/systemd/systemd-journald", ""),
            "systemd-journald"
        );
        assert_eq!(whole_name("nc", "/usr/bin/nc.openbsd", "nc\0"), "nc");
        assert_eq!(whole_name("fifteen-bytes-x", "/bin/other", "sh\0"), "fifteen-bytes-x");
    }

    #[test]
    fn the_control_group_is_version_2s_or_the_memory_controllers() {
        assert_eq!(cgroup("0::/system.slice/x.service\n"), "/system.slice/x.service");
        assert_eq!(cgroup("9:name=systemd:/s\n4:cpu,memory:/m:x\n0::/\n"), "/m:x");
        assert_eq!(cgroup("4:memory:/m\n0::/u\n"), "/u");
        assert_eq!(cgroup("0::/\n"), "/");
        assert_eq!(cgroup("nonsense"), "");
    }

    #[test]
    fn a_process_that_is_gone_is_empty_rather_than_an_error() {
        assert_eq!(image_of(u32::MAX), Image::default());
    }
}
