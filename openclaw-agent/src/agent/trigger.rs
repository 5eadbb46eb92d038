//! What the doctor has done to see whether it is seen: each thing that a hook is for, once.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Bytes that are sent over a connection at a time.
pub(super) const PAYLOAD: usize = 1000;

/// The process that does what should be seen.
pub(super) struct Trigger {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Trigger {
    pub(super) fn start() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find the openclaw program itself")?;
        let mut child = Command::new(program)
            .args(["doctor", "--trigger"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the process that triggers the hooks")?;
        let output = child.stdout.take().context("the trigger has no output")?;
        let mut trigger = Trigger { child, output: BufReader::new(output) };
        trigger.wait_for("ready")?;
        Ok(trigger)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn go(&mut self) -> Result<()> {
        self.child.stdin.as_mut().context("the trigger has no input")?.write_all(b"go\n")?;
        self.wait_for("done")
    }

    fn wait_for(&mut self, word: &str) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim() != word {
            bail!("the process that triggers the hooks ended early: see the message above");
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        // It ends by itself when its input is closed; killed where it hangs. Both may have happened already.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does what each hook should see, as the doctor's child.
///
/// # Errors
/// When something cannot be done.
pub fn trigger() -> Result<()> {
    let mut input = std::io::stdin().lock();
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let (mut old, mut old_peer) = pair(&listener)?;
    send(&mut old, &mut old_peer)?;
    say("ready")?;
    let mut line = String::new();
    input.read_line(&mut line)?;

    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let (mut new, mut new_peer) = pair(&listener)?;
    send(&mut new, &mut new_peer)?;
    send(&mut old, &mut old_peer)?;
    // What is refused is seen to be missing.
    drop(socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP));
    drop(socket(libc::AF_PACKET, libc::SOCK_RAW, 0));
    let nobody = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    drop(TcpStream::connect(nobody));
    speak_udp()?;
    let path = std::env::temp_dir().join(format!("openclaw-doctor-{}", std::process::id()));
    fs::write(&path, "x")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    fs::remove_file(&path)?;
    Command::new(std::env::current_exe()?).arg("--version").stdout(Stdio::null()).status()?;
    // SAFETY: the calls have no preconditions. The process is root, and gives it up for a moment.
    let changed = unsafe { libc::seteuid(65534) == 0 && libc::seteuid(0) == 0 };
    if !changed {
        bail!("cannot change the effective user for a moment: {}", std::io::Error::last_os_error());
    }
    // SAFETY: the call has no preconditions. The process has no System V semaphores to lose.
    if unsafe { libc::unshare(libc::CLONE_NEWIPC) } != 0 {
        bail!("cannot leave the IPC namespace: {}", std::io::Error::last_os_error());
    }
    // Where io_uring is forbidden, its operations are seen to be missing.
    let _ = use_uring();
    // SAFETY: the calls have no preconditions. The doctor, which waits for this process, ignores it.
    unsafe { libc::kill(libc::getppid(), libc::SIGUSR1) };
    say("done")?;
    // The connections stay open until the doctor has sampled them.
    input.read_line(&mut line)?;
    Ok(())
}

fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd> {
    // SAFETY: the call has no preconditions.
    let descriptor = unsafe { libc::socket(family, kind, protocol) };
    if descriptor < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn pair(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, listener.accept()?.0))
}

fn send(from: &mut TcpStream, to: &mut TcpStream) -> Result<()> {
    from.write_all(&[b'x'; PAYLOAD])?;
    to.read_exact(&mut [0; PAYLOAD])?;
    Ok(())
}

/// Sends a datagram to a socket of its own, then a question of DNS to where nobody answers, and closes all.
fn speak_udp() -> Result<()> {
    /// Number 1, one question: the root's name servers.
    const QUESTION: [u8; 17] = [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    /// An address of the loopback network that no resolver is expected at.
    const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 53, 53, 53), 53);
    let receiver = UdpSocket::bind(("127.0.0.1", 0))?;
    let sender = UdpSocket::bind(("127.0.0.1", 0))?;
    sender.send_to(&[b'x'; PAYLOAD], receiver.local_addr()?)?;
    receiver.recv(&mut [0; PAYLOAD])?;
    sender.send_to(&QUESTION, NOBODY)?;
    Ok(())
}

/// Gives an io_uring nothing to do, and waits until that is done.
fn use_uring() -> std::io::Result<()> {
    let mut uring = io_uring::IoUring::new(1)?;
    let nothing = io_uring::opcode::Nop::new().build();
    // SAFETY: the operation points to nothing, and the queue has room for one.
    let queued = unsafe { uring.submission().push(&nothing) };
    queued.map_err(std::io::Error::other)?;
    uring.submit_and_wait(1).map(drop)
}

fn say(word: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{word}")?;
    Ok(out.flush()?)
}
