//! What this machine allows: each verdict program is loaded, attached and triggered, on a cgroup and in a
//! network namespace of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use openclaw_common::Layout;
use openclaw_common::verdict::{Counter, ProcessMark};
use openclaw_detect::ProcessId;
use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto};

use super::enforcer::{self, Enforcer, Hook, PROGRAMS};
use super::kept::{Subject, encode, id};
use super::{ActionKind, ActionRecord, Network, Outcome, Target, cgroup, clock, process};
use crate::capability::{Capability, State};

/// The address that the trial blocks: loopback, but of a namespace that nobody else is in.
const BLOCKED4: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const BLOCKED6: Ipv6Addr = Ipv6Addr::LOCALHOST;

/// The number of the trial's isolation.
const TRIAL: u64 = 1;

/// What the child says before it waits; no [`Step`].
const READY: u8 = 0;

/// What it says after that where this machine has no IPv6; no [`Step`] either.
const NO_IPV6: u8 = u8::MAX;

/// How long the trial may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tries every verdict program on a cgroup of its own. No process of the machine is touched.
pub fn probe(layout: &Layout) -> Vec<Capability> {
    match try_probe(layout) {
        Ok(capabilities) => capabilities,
        Err(error) => {
            let reason = format!("{error:#}");
            PROGRAMS.iter().map(|(program, hook)| missing(program, *hook, reason.clone())).collect()
        }
    }
}

fn try_probe(layout: &Layout) -> Result<Vec<Capability>> {
    let folder = Folder::make()?;
    let cgroup = enforcer::open_cgroup(&folder.0)?;
    let mut programs = enforcer::load(layout, 16)?;
    let attached: Vec<Result<_>> = PROGRAMS
        .iter()
        .map(|(program, hook)| enforcer::attach(&mut programs, program, *hook, &cgroup))
        .collect();
    let maps = Enforcer::from_maps(|name| {
        programs.take_map(name).with_context(|| format!("the verdict programs have no map {name}"))
    })?;
    let acted = trial(maps, &folder.0);
    let judge = |((program, hook), link): (&(&'static str, Hook), &Result<_>)| {
        let (state, reason) = match (link, &acted) {
            (Err(error), _) => return missing(program, *hook, format!("{error:#}")),
            (Ok(_), Ok(acted)) if acted.programs.contains(program) => (State::Full, None),
            (Ok(_), Ok(acted)) if !acted.ipv6 && program.ends_with('6') => {
                (State::Attached, Some("it could not be tried: this machine has no IPv6".to_owned()))
            }
            (Ok(_), Ok(_)) => {
                let reason = "the kernel attached it, but it did not act when it was triggered";
                (State::Missing, Some(reason.to_owned()))
            }
            (Ok(_), Err(error)) => (State::Attached, Some(format!("it could not be tried: {error:#}"))),
        };
        Capability { capability: name(*hook).into(), hook: describe(program, *hook), state, reason }
    };
    Ok(PROGRAMS.iter().zip(&attached).map(judge).collect())
}

/// What came of a trial.
struct Acted {
    /// The programs that were seen to act.
    programs: Vec<&'static str>,
    /// Whether there is IPv6 to be denied.
    ipv6: bool,
}

/// Has a child process do what each program forbids.
fn trial(mut maps: Enforcer, folder: &Path) -> Result<Acted> {
    let until = clock::since_boot() + clock::nanoseconds(PATIENCE);
    let blocked = [Network::from(IpAddr::V4(BLOCKED4)), Network::from(IpAddr::V6(BLOCKED6))];
    maps.block_only(&blocked.map(|network| (network, until)))?;
    let root = ProcessId { pid: 0, start: 0 };
    maps.set_verdict(TRIAL, encode(&trial_record(root), Subject::Process(root), until))?;

    let procs_path = folder.join("cgroup.procs");
    let procs = OpenOptions::new().write(true).open(&procs_path).context("cannot use the trial's cgroup")?;
    let (go_read, go_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
    let (seen_read, seen_write) = rustix::pipe::pipe_with(flags)?;
    let mut command = Command::new("/proc/self/exe");
    // SAFETY: between fork and exec only system calls are made, on what was opened before.
    unsafe {
        command.pre_exec(move || Err(Child { procs: &procs, go: &go_read, seen: &seen_write }.run()));
    }

    // The child never comes to exec, so `spawn` returns when it has ended; another thread marks it meanwhile.
    let (spawned, marked) = std::thread::scope(|scope| {
        let marker = scope.spawn(|| mark_child(&mut maps, &procs_path, &seen_read, &go_write));
        let spawned = command.spawn();
        (spawned, marker.join())
    });
    drop(command);
    drop(go_write);
    let marked = marked.unwrap_or_else(|_| Err(anyhow::anyhow!("the trial's thread ended early")));

    let mut seen = Vec::new();
    File::from(seen_read).read_to_end(&mut seen).context("cannot read what the trial saw")?;
    if seen.iter().all(|step| *step == NO_IPV6) {
        let error = spawned.err().map_or_else(|| "it saw nothing".to_owned(), |error| error.to_string());
        anyhow::bail!("the trial's process failed: {error}");
    }
    let mut programs: Vec<&'static str> =
        Step::ALL.iter().filter(|step| seen.contains(&(**step as u8))).map(|step| step.program()).collect();
    // One packet was stopped on its way out; another one, let out, on its way in.
    if maps.count(Counter::BlockedPackets) >= 2 && programs.contains(&"verdict_egress") {
        programs.push("verdict_ingress");
    }
    // The child and its child have ended, and so should their marks.
    if marked.is_ok() && programs.contains(&"verdict_fork") && maps.marked_processes().is_empty() {
        programs.push("verdict_exit");
    }
    Ok(Acted { programs, ipv6: !seen.contains(&NO_IPV6) })
}

/// Waits until the child is ready in the cgroup, marks it and lets it go on.
fn mark_child(maps: &mut Enforcer, procs: &Path, seen: &OwnedFd, go: &OwnedFd) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut ready = [0_u8];
    while rustix::io::read(seen, &mut ready) != Ok(1) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    let pid =
        std::fs::read_to_string(procs).unwrap_or_default().lines().next().and_then(|pid| pid.parse().ok());
    let marked = match pid.and_then(|pid: u32| Some((pid, process::stat(pid)?))) {
        Some((pid, stat)) => maps.mark_process(pid, ProcessMark { verdict: TRIAL, start: stat.start }),
        None => Err(anyhow::anyhow!("the trial's process did not come into its cgroup")),
    };
    rustix::io::write(go, b".").context("the trial's process is gone")?;
    marked
}

/// What the child tries, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    Connect4 = 1,
    Send4,
    Connect6,
    Send6,
    Egress,
    Socket,
    Fork,
}

impl Step {
    const ALL: [Step; 7] =
        [Step::Connect4, Step::Send4, Step::Connect6, Step::Send6, Step::Egress, Step::Socket, Step::Fork];

    fn program(self) -> &'static str {
        match self {
            Step::Connect4 => "verdict_connect4",
            Step::Connect6 => "verdict_connect6",
            Step::Send4 => "verdict_send4",
            Step::Send6 => "verdict_send6",
            Step::Egress => "verdict_egress",
            Step::Socket => "verdict_socket",
            Step::Fork => "verdict_fork",
        }
    }
}

/// The process that tries. It must not allocate: it runs between fork and exec.
struct Child<'a> {
    procs: &'a File,
    go: &'a OwnedFd,
    seen: &'a OwnedFd,
}

impl Child<'_> {
    /// Tries everything. What it returns makes the exec not happen.
    fn run(&self) -> io::Error {
        match self.try_run() {
            Ok(()) => io::Error::from_raw_os_error(libc::ECANCELED),
            Err(error) => error.into(),
        }
    }

    fn try_run(&self) -> rustix::io::Result<()> {
        use rustix::net::{bind, connect, sendto, socket};
        // A namespace first: nothing that the trial sends may leave it.
        // SAFETY: this process has one thread, which changes its own namespace alone.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }?;
        raise_loopback(&socket(AddressFamily::INET, SocketType::DGRAM, None)?)?;
        // What a socket does is judged by the cgroup in which it was made.
        rustix::io::write(self.procs, b"0")?;
        let v4 = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let v6 = match socket(AddressFamily::INET6, SocketType::DGRAM, None) {
            Err(rustix::io::Errno::AFNOSUPPORT) => None,
            made => Some(made?),
        };
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?;
        let spoof = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))?;
        bind(&spoof, &SocketAddr::new(IpAddr::V4(BLOCKED4), 0))?;
        let (to4, to6) = (SocketAddr::new(IpAddr::V4(BLOCKED4), 9), SocketAddr::new(IpAddr::V6(BLOCKED6), 9));
        let flags = SendFlags::empty();
        // An echo reply, which nobody answers.
        let packet = [0_u8, 0, 0xff, 0xff, 0, 0, 0, 0];

        rustix::io::write(self.seen, &[READY])?;
        self.wait()?;
        // Isolated by now. The raw sockets are not marked, so the block is what stops its packets.
        self.note(Step::Socket, socket(AddressFamily::INET, SocketType::DGRAM, None).map(drop));
        self.note(Step::Connect4, connect(&v4, &to4));
        self.note(Step::Send4, sendto(&v4, b".", flags, &to4).map(drop));
        if let Some(v6) = v6 {
            self.note(Step::Connect6, connect(&v6, &to6));
            self.note(Step::Send6, sendto(&v6, b".", flags, &to6).map(drop));
        } else {
            rustix::io::write(self.seen, &[NO_IPV6])?;
        }
        self.note(Step::Egress, sendto(&raw, &packet, flags, &to4).map(drop));
        // From the blocked address to one that is not: stopped where the first raw socket would receive it.
        let _ = sendto(&spoof, &packet, flags, &SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
        self.note_fork();
        Ok(())
    }

    /// Notes a step that was forbidden.
    fn note(&self, step: Step, result: rustix::io::Result<()>) {
        if result == Err(rustix::io::Errno::PERM) {
            let _ = rustix::io::write(self.seen, &[step as u8]);
        }
    }

    /// A child of an isolated process is isolated.
    fn note_fork(&self) {
        // SAFETY: this process has one thread, and its child makes two system calls.
        match unsafe { libc::fork() } {
            -1 => {}
            0 => {
                let made = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).map(drop);
                self.note(Step::Fork, made);
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(0) }
            }
            child => {
                // SAFETY: waits for the child just made; a null status is allowed.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            }
        }
    }

    fn wait(&self) -> rustix::io::Result<()> {
        let mut byte = [0_u8];
        rustix::io::read(self.go, &mut byte)?;
        Ok(())
    }
}

/// Brings the loopback interface of this namespace up, which gives it its addresses.
fn raise_loopback(socket: &OwnedFd) -> rustix::io::Result<()> {
    // SAFETY: a request of zeros is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is what this call takes.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => {
            Err(rustix::io::Errno::from_io_error(&io::Error::last_os_error())
                .unwrap_or(rustix::io::Errno::IO))
        }
    }
}

fn trial_record(root: ProcessId) -> ActionRecord {
    let target = Target::Process { id: root, name: String::new() };
    let id = id(ActionKind::Isolate, TRIAL);
    ActionRecord {
        outcome: Outcome::Done,
        ..ActionRecord::asked(id, ActionKind::Isolate, target, clock::wall())
    }
}

/// A cgroup that is removed again.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let path = cgroup::root()?.join(format!("openclaw-probe-{}", std::process::id()));
        let _ = std::fs::remove_dir(&path);
        std::fs::create_dir(&path).with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn missing(program: &str, hook: Hook, reason: String) -> Capability {
    Capability::new(name(hook), describe(program, hook), State::Missing).because(reason)
}

fn name(hook: Hook) -> &'static str {
    match hook {
        Hook::Packet(_) => "dropping packets",
        Hook::Socket => "denying sockets",
        Hook::Address => "denying connections",
        Hook::Tracepoint(_) => "isolation of children",
    }
}

fn describe(program: &str, hook: Hook) -> String {
    match hook {
        Hook::Tracepoint(tracepoint) => format!("raw tracepoint {tracepoint}"),
        _ => format!("cgroup {}", program.trim_start_matches("verdict_")),
    }
}
