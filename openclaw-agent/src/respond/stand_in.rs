//! Whether an isolation holds, tried by a process of the agent's own that stands in for who is isolated: for a moment it bears
//! the same mark, and so does a socket of its. It asks for what isolation forbids, by the ways that the isolated have.
//!
//! Nobody hears of it. It connects UDP sockets to addresses that belong to nobody, which sends nothing, and sends from one of
//! loopback to itself. Before it is marked it is let, or nothing was tried.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use openclaw_common::verdict::{EXCEPTIONS, OWN_LOOPBACK, ProcessMark};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};

use super::enforcer::Enforcer;
use super::process::{self, Held};
use super::{Exceptions, Network, attempt};

/// How long each of its steps may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// The discard service (RFC 863). No packet goes there.
const PORT: u16 = 9;

/// What the names of its control groups begin with; an agent's number follows.
const FOLDER: &str = "openclaw-stand-in-";

/// Addresses that are nobody's: of documentation (RFC 5737, RFC 3849), and reserved ones (RFC 1112, RFC 6666).
const NOBODYS: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
    IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)),
];

/// Ways out of an isolation, each a bit of what the process says.
const WAYS: [(u8, &str); 4] = [
    (MAKE, "a socket is made"),
    (CONNECT4, "connections over IPv4 are let through"),
    (CONNECT6, "connections over IPv6 are let through"),
    (SEND, "packets are let through"),
];
const MAKE: u8 = 1;
const CONNECT4: u8 = 2;
const CONNECT6: u8 = 4;
const SEND: u8 = 8;

/// What a process that bears the mark of this verdict is let do though it is isolated; none where that is nothing.
///
/// # Errors
/// It cannot be tried.
pub(super) fn way_out(
    enforcer: &mut Enforcer,
    verdict: u64,
    scope: &Path,
    exceptions: &Exceptions,
) -> Result<Option<&'static str>> {
    let folder = if attempt::is_judged(scope) { None } else { Some(Folder::make(scope)?) };
    let to = |is_v4: bool| {
        // An address that is blocked is denied for another reason.
        let is_fit = |address: &&IpAddr| {
            let network = Network::from(**address);
            address.is_ipv4() == is_v4 && !exceptions.allows(network) && enforcer.blocked_until(network) == 0
        };
        NOBODYS.iter().find(is_fit).map(|address| SocketAddr::new(*address, PORT))
    };
    let attempts = Attempts { v4: to(true), v6: to(false) };
    let process = Process::begin(folder.as_ref().map(|folder| &folder.procs), attempts)?;
    let tried = process.try_as(enforcer, verdict);
    drop(process);
    let open = exceptions.open();
    let may_send =
        open & OWN_LOOPBACK != 0 || exceptions.allows(Network::from(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let is_left_open = |way: u8| way == MAKE && open & EXCEPTIONS != 0 || way == SEND && may_send;
    let let_through = tried?;
    let found = WAYS.iter().find(|(way, _)| let_through & way != 0 && !is_left_open(*way));
    Ok(found.map(|(_, what)| *what))
}

/// The process, seen from the agent. It is gone when this is dropped.
struct Process {
    pid: libc::pid_t,
    go: OwnedFd,
    said: OwnedFd,
}

impl Process {
    /// Begins it, in a control group where one is named.
    fn begin(procs: Option<&File>, attempts: Attempts) -> Result<Self> {
        let (wait, go) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
        let (said, say) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
        // SAFETY: the child makes system calls alone, on what was opened before, and ends without returning.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()).context("cannot begin a process"),
            0 => {
                // SAFETY: its own copies, of which it uses neither: it is to see when the agent closes these pipes.
                unsafe {
                    libc::close(go.as_raw_fd());
                    libc::close(said.as_raw_fd());
                }
                let _ = Child { procs, wait: &wait, say: &say, attempts }.run();
                // SAFETY: ends this process at once.
                unsafe { libc::_exit(0) }
            }
            pid => Ok(Process { pid, go, said }),
        }
    }

    /// Marks it and its socket, has it try, and returns what it was let do.
    fn try_as(&self, enforcer: &mut Enforcer, verdict: u64) -> Result<u8> {
        let mut socket = [0; 4];
        self.read(&mut socket)?;
        let pid = self.pid.cast_unsigned();
        let start = process::stat(pid).context("it has ended early")?.start;
        let held = Held::process(pid, start).context("it has ended early")?;
        let socket = held.descriptor(i32::from_ne_bytes(socket)).context("its socket cannot be taken")?;
        let mark = ProcessMark { verdict, start };
        enforcer.mark_process(pid, mark)?;
        let tried = enforcer.mark_socket(socket.as_fd(), verdict).and_then(|()| {
            rustix::io::write(&self.go, b".").context("it has ended early")?;
            let mut let_through = [0];
            self.read(&mut let_through)?;
            Ok(let_through[0])
        });
        enforcer.unmark_process(pid, mark);
        tried
    }

    fn read(&self, into: &mut [u8]) -> Result<()> {
        let time = Timespec::try_from(PATIENCE).ok();
        let mut waited = [PollFd::new(&self.said, PollFlags::IN)];
        let answers = retry_on_intr(|| poll(&mut waited, time.as_ref()));
        if answers.context("cannot wait for it")? == 0 {
            bail!("it does not answer");
        }
        let length = rustix::io::read(&self.said, &mut *into).context("cannot hear it")?;
        if length < into.len() {
            bail!("it is not let, isolated or not");
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: a child of this process, for which nobody has waited yet; a null status is allowed.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, std::ptr::null_mut(), 0);
        }
    }
}

/// To whom it connects.
#[derive(Clone, Copy)]
struct Attempts {
    v4: Option<SocketAddr>,
    v6: Option<SocketAddr>,
}

/// The process itself. It must not allocate: it is a copy of one thread of many.
struct Child<'a> {
    procs: Option<&'a File>,
    wait: &'a OwnedFd,
    say: &'a OwnedFd,
    attempts: Attempts,
}

impl Child<'_> {
    fn run(&self) -> rustix::io::Result<()> {
        use rustix::net::{bind, connect, getsockname, send};
        // Should the agent be killed meanwhile.
        // SAFETY: the call takes numbers alone.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if let Some(procs) = self.procs {
            rustix::io::write(procs, b"0")?;
        }
        let looped = udp(AddressFamily::INET)?;
        bind(&looped, &SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0))?;
        connect(&looped, &getsockname(&looped)?)?;
        send(&looped, b".", SendFlags::empty())?;
        let v4 = self.connectable(AddressFamily::INET, self.attempts.v4)?;
        let v6 = self.connectable(AddressFamily::INET6, self.attempts.v6)?;
        rustix::io::write(self.say, &looped.as_raw_fd().to_ne_bytes())?;
        rustix::io::read(self.wait, &mut [0_u8])?;

        let mut let_through = 0;
        // What fails for want of memory or descriptors says nothing.
        let mut note = |way: u8, tried: rustix::io::Result<()>| {
            let is_let = match tried {
                Ok(()) => true,
                // After the programs were asked.
                Err(Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::ADDRNOTAVAIL) => {
                    way != MAKE && way != SEND
                }
                Err(_) => false,
            };
            if is_let {
                let_through |= way;
            }
        };
        note(MAKE, udp(AddressFamily::INET).map(drop));
        for (way, attempt) in [(CONNECT4, &v4), (CONNECT6, &v6)] {
            if let Some((socket, to)) = attempt {
                note(way, connect(socket, to));
            }
        }
        note(SEND, send(&looped, b".", SendFlags::empty()).map(drop));
        rustix::io::write(self.say, &[let_through]).map(drop)
    }

    /// A socket that may be connected there, as long as this process is not isolated; none where the machine has no such.
    fn connectable(
        &self,
        family: AddressFamily,
        to: Option<SocketAddr>,
    ) -> rustix::io::Result<Option<(OwnedFd, SocketAddr)>> {
        let Some(to) = to else { return Ok(None) };
        let socket = match udp(family) {
            Err(Errno::AFNOSUPPORT) => return Ok(None),
            made => made?,
        };
        match rustix::net::connect(&socket, &to) {
            // The programs', of another verdict, or a security module's.
            Err(error @ (Errno::PERM | Errno::ACCESS)) => Err(error),
            // What else may go wrong does so after the programs were asked: there may be no route.
            _ => Ok(Some((socket, to))),
        }
    }
}

fn udp(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

/// A control group within the reach of verdicts, for an agent that is not itself. Removed again.
struct Folder {
    path: PathBuf,
    procs: File,
}

impl Folder {
    fn make(scope: &Path) -> Result<Self> {
        let path = scope.join(format!("{FOLDER}{}", std::process::id()));
        // What an agent of this number left that was killed.
        let _ = std::fs::remove_dir(&path);
        std::fs::create_dir(&path).with_context(|| format!("cannot make the cgroup {}", path.display()))?;
        let procs = File::options().write(true).open(path.join("cgroup.procs"));
        match procs {
            Ok(procs) => Ok(Folder { path, procs }),
            Err(error) => {
                let _ = std::fs::remove_dir(&path);
                Err(error).with_context(|| format!("cannot use the cgroup {}", path.display()))
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Who was in it may be on its way out.
        for _ in 0..20 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        tracing::warn!("the cgroup {} is left to the next agent", self.path.display());
    }
}

/// Removes the control groups that agents left within a scope who were killed amid a trial.
pub(super) fn clear_away(scope: &Path) {
    for entry in std::fs::read_dir(scope).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(FOLDER) {
            // Another agent's, in which somebody is.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}
