//! A process that is acted upon: this test binary, run again, which does what it is told with sockets.
//!
//! It listens to one line and answers one, over a Unix socket, and ends when that closes.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use super::cgroup::Cgroup;
use super::network::{Namespace, inside};
use super::socket::Socket;

const CONTROL: &str = "OPENCLAW_HELPER_CONTROL";
const INHERITED: &str = "OPENCLAW_HELPER_INHERITED";

/// A handle on a socket in a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Remote(usize);

/// A helper, seen from the test.
pub(crate) struct Helper {
    control: BufReader<UnixStream>,
    child: Option<Child>,
    pub(crate) pid: u32,
}

impl Helper {
    /// Starts one in a cgroup and a network namespace.
    pub(crate) fn new(cgroup: &Cgroup, namespace: &Namespace) -> Self {
        Self::start(namespace, |command| cgroup.inside(command))
    }

    /// Starts one in a network namespace, and the cgroup of the test.
    pub(crate) fn at(namespace: &Namespace) -> Self {
        Self::start(namespace, |command| command)
    }

    fn start(namespace: &Namespace, change: impl FnOnce(Command) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        let mut command = inside(namespace, change(command(executable(), &path)));
        let child = command.spawn().unwrap();
        Self::meet(&listener, Some(child))
    }

    fn meet(listener: &UnixListener, child: Option<Child>) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let mut helper = Helper { control: BufReader::new(stream), child, pid: 0 };
        helper.pid = helper.ask("pid").unwrap().parse().unwrap();
        helper
    }

    /// A child of the helper, which inherits its sockets under the same handles.
    pub(crate) fn child(&mut self) -> Self {
        self.another(&format!("child {}", executable().display()))
    }

    /// A child that runs this binary by another name, such as that of a link to it.
    pub(crate) fn child_as(&mut self, program: &Path) -> Self {
        self.another(&format!("child {}", program.display()))
    }

    /// A grandchild whose parent has ended.
    pub(crate) fn orphan(&mut self) -> Self {
        self.another(&format!("orphan {}", executable().display()))
    }

    fn another(&mut self, kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        self.ask(&format!("{kind} {}", path.display())).unwrap();
        Self::meet(&listener, None)
    }

    fn ask(&mut self, line: &str) -> io::Result<String> {
        writeln!(self.control.get_mut(), "{line}")?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.control.read_line(&mut line)?;
        match line.trim_end().split_once(' ') {
            Some(("ok", text)) => Ok(text.to_owned()),
            Some(("err", number)) => Err(io::Error::from_raw_os_error(number.parse().unwrap())),
            _ => panic!("the helper has ended, or said {line:?}"),
        }
    }

    fn socket(&mut self, line: &str) -> io::Result<Remote> {
        Ok(Remote(self.ask(line)?.parse().unwrap()))
    }

    pub(crate) fn connect_tcp(&mut self, to: SocketAddr) -> io::Result<Remote> {
        self.socket(&format!("connect_tcp {to}"))
    }

    pub(crate) fn tcp(&mut self, of: SocketAddr) -> io::Result<Remote> {
        self.socket(&format!("tcp {of}"))
    }

    pub(crate) fn connect(&mut self, socket: Remote, to: SocketAddr) -> io::Result<()> {
        self.ask(&format!("connect {} {to}", socket.0)).map(drop)
    }

    pub(crate) fn listen(&mut self, at: SocketAddr) -> Remote {
        self.socket(&format!("listen {at}")).unwrap()
    }

    pub(crate) fn accept(&mut self, listener: Remote, patience: Duration) -> io::Result<Remote> {
        self.socket(&format!("accept {} {}", listener.0, patience.as_millis()))
    }

    pub(crate) fn udp(&mut self, at: SocketAddr) -> io::Result<Remote> {
        self.socket(&format!("udp {at}"))
    }

    pub(crate) fn icmp(&mut self) -> io::Result<Remote> {
        self.socket("icmp")
    }

    pub(crate) fn ping(
        &mut self,
        socket: Remote,
        to: std::net::IpAddr,
        patience: Duration,
    ) -> io::Result<()> {
        self.ask(&format!("ping {} {to} {}", socket.0, patience.as_millis())).map(drop)
    }

    pub(crate) fn send(&mut self, socket: Remote, text: &str) -> io::Result<()> {
        self.ask(&format!("send {} {text}", socket.0)).map(drop)
    }

    pub(crate) fn send_to(&mut self, socket: Remote, to: SocketAddr, text: &str) -> io::Result<()> {
        self.ask(&format!("send_to {} {to} {text}", socket.0)).map(drop)
    }

    pub(crate) fn receive(&mut self, socket: Remote, patience: Duration) -> io::Result<String> {
        self.ask(&format!("receive {} {}", socket.0, patience.as_millis()))
    }

    /// Has a thread with descriptors of its own connect, and send without an end.
    pub(crate) fn connect_apart(&mut self, to: SocketAddr) {
        self.ask(&format!("apart {to}")).unwrap();
    }

    /// Ends the thread that the process is named after, and it alone.
    pub(crate) fn end_first_thread(&mut self) {
        self.ask("leaderless").unwrap();
    }

    /// Forks twice, again and again, until it is isolated. Each orphan ends when it is denied a socket.
    pub(crate) fn storm(&mut self) {
        self.ask("storm").unwrap();
    }

    /// Takes a socket out of the helper by SCM_RIGHTS; the helper closes its own copy.
    pub(crate) fn give(&mut self, socket: Remote) -> OwnedFd {
        writeln!(self.control.get_mut(), "give {}", socket.0).unwrap();
        receive_descriptor(self.control.get_ref()).unwrap()
    }

    /// Passes a socket to the helper by SCM_RIGHTS.
    pub(crate) fn take(&mut self, socket: &impl AsFd) -> Remote {
        self.ask("take").unwrap();
        send_descriptor(self.control.get_ref(), socket).unwrap();
        Remote(self.answer().unwrap().parse().unwrap())
    }

    /// Ends the helper and waits until it has.
    pub(crate) fn end(self) {
        drop(self);
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The helper ends when its control closes; killing it makes sure.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn send_descriptor(control: &UnixStream, socket: &impl AsFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    let sockets = [socket.as_fd()];
    assert!(buffer.push(SendAncillaryMessage::ScmRights(&sockets)));
    rustix::net::sendmsg(control, &[IoSlice::new(b".")], &mut buffer, SendFlags::empty())?;
    Ok(())
}

fn receive_descriptor(control: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(control, &mut [IoSliceMut::new(&mut byte)], &mut buffer, RecvFlags::CMSG_CLOEXEC)?;
    let socket = buffer.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    socket.ok_or_else(|| io::Error::other("no descriptor came"))
}

/// This binary. Found out early: a process whose first thread has ended cannot.
fn executable() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| std::env::current_exe().unwrap())
}

fn command(program: &Path, control: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", "support::helper::a_helper_does_what_it_is_told", "--nocapture"])
        .env(CONTROL, control)
        .env_remove(INHERITED)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

// The helper's side.

#[test]
fn a_helper_does_what_it_is_told() {
    let Some(path) = std::env::var_os(CONTROL) else { return };
    executable();
    let mut control = BufReader::new(UnixStream::connect(path).unwrap());
    let mut process = Process { sockets: inherited() };
    loop {
        let mut line = String::new();
        if control.read_line(&mut line).unwrap_or(0) == 0 {
            std::process::exit(0);
        }
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let answer = match process.obey(&words, control.get_ref()) {
            Ok(None) => continue,
            Ok(Some(text)) => format!("ok {text}"),
            Err(error) => format!("err {}", error.raw_os_error().unwrap_or(libc::EAGAIN)),
        };
        writeln!(control.get_mut(), "{answer}").unwrap();
    }
}

struct Process {
    sockets: HashMap<usize, Socket>,
}

/// Sockets that the parent left open, as `handle=descriptor`.
fn inherited() -> HashMap<usize, Socket> {
    let text = std::env::var(INHERITED).unwrap_or_default();
    text.split_terminator(',')
        .map(|pair| {
            let (handle, descriptor) = pair.split_once('=').unwrap();
            // SAFETY: the parent left this descriptor open for us alone.
            let socket = unsafe { OwnedFd::from_raw_fd(descriptor.parse().unwrap()) };
            (handle.parse().unwrap(), Socket(socket))
        })
        .collect()
}

impl Process {
    fn obey(&mut self, words: &[&str], control: &UnixStream) -> io::Result<Option<String>> {
        let done = || Ok(Some("done".to_owned()));
        match *words {
            ["pid"] => Ok(Some(std::process::id().to_string())),
            ["connect_tcp", to] => self.keep(Socket::connect_tcp(to.parse().unwrap())?),
            ["tcp", of] => self.keep(Socket::tcp(of.parse().unwrap())?),
            ["listen", at] => self.keep(Socket::listen(at.parse().unwrap())?),
            ["udp", at] => self.keep(Socket::udp(at.parse().unwrap())?),
            ["icmp"] => self.keep(Socket::icmp()?),
            ["accept", socket, patience] => {
                let accepted = self.at(socket).accept(milliseconds(patience))?;
                self.keep(accepted)
            }
            ["connect", socket, to] => self.at(socket).connect(to.parse().unwrap()).and_then(|()| done()),
            ["send", socket, text] => self.at(socket).send(text).and_then(|()| done()),
            ["send_to", socket, to, text] => {
                self.at(socket).send_to(to.parse().unwrap(), text).and_then(|()| done())
            }
            ["receive", socket, patience] => self.at(socket).receive(milliseconds(patience)).map(Some),
            ["ping", socket, to, patience] => {
                let number = super::unique() as u16;
                self.at(socket)
                    .ping(to.parse().unwrap(), number, milliseconds(patience))
                    .and_then(|()| done())
            }
            ["give", socket] => {
                let socket = self.sockets.remove(&socket.parse().unwrap()).unwrap();
                send_descriptor(control, &socket)?;
                Ok(None)
            }
            ["take"] => {
                writeln!(&*control, "ok ready")?;
                let socket = receive_descriptor(control)?;
                self.keep(Socket(socket))
            }
            ["apart", to] => {
                let to = to.parse().unwrap();
                std::thread::spawn(move || babble(to));
                done()
            }
            ["storm"] => {
                std::thread::spawn(storm);
                done()
            }
            ["leaderless"] => end_first_thread().and_then(|()| done()),
            ["child", program, path] => self.spawn(program, path, false).and_then(|()| done()),
            ["orphan", program, path] => self.spawn(program, path, true).and_then(|()| done()),
            _ => panic!("the helper does not know {words:?}"),
        }
    }

    fn keep(&mut self, socket: Socket) -> io::Result<Option<String>> {
        let handle = super::unique() as usize;
        self.sockets.insert(handle, socket);
        Ok(Some(handle.to_string()))
    }

    fn at(&self, handle: &str) -> &Socket {
        &self.sockets[&handle.parse().unwrap()]
    }

    fn spawn(&self, program: &str, control: &str, orphaned: bool) -> io::Result<()> {
        let mut list = String::new();
        let mut copies = Vec::new();
        for (handle, socket) in &self.sockets {
            let copy = rustix::io::dup(socket)?;
            list.push_str(&format!("{handle}={},", copy.as_raw_fd()));
            copies.push(copy);
        }
        let mut command = command(Path::new(program), Path::new(control));
        command.env(INHERITED, list);
        if orphaned {
            // SAFETY: both calls may be made between fork and exec.
            unsafe {
                command.pre_exec(|| match libc::fork() {
                    -1 => Err(io::Error::last_os_error()),
                    0 => Ok(()),
                    _ => libc::_exit(0),
                });
            }
        }
        let mut child = command.spawn()?;
        if orphaned {
            child.wait()?;
        }
        Ok(())
    }
}

fn babble(to: SocketAddr) {
    // SAFETY: this thread uses no descriptor that it had before.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
    let socket = Socket::connect_tcp(to).unwrap();
    loop {
        let _ = socket.send("apart");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether this process is denied sockets.
fn is_denied() -> bool {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None);
    socket.is_err_and(|error| error == rustix::io::Errno::PERM)
}

fn storm() {
    while !is_denied() {
        // SAFETY: the children make system calls only.
        unsafe {
            match libc::fork() {
                0 => {
                    if libc::fork() == 0 {
                        // Half a minute, should the test fail.
                        let mut left = 6000;
                        while !is_denied() && left > 0 {
                            libc::usleep(5000);
                            left -= 1;
                        }
                    }
                    libc::_exit(0);
                }
                child => libc::waitpid(child, std::ptr::null_mut(), 0),
            };
        }
    }
}

extern "C" fn end_this_thread(_signal: libc::c_int) {
    // SAFETY: ends the thread that runs this; `exit` of libc would end the process.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

fn end_first_thread() -> io::Result<()> {
    let pid = std::process::id() as libc::c_int;
    // SAFETY: the handler makes one system call; the signal goes to the first thread alone.
    unsafe {
        libc::signal(libc::SIGUSR1, end_this_thread as *const () as libc::sighandler_t);
        libc::syscall(libc::SYS_tgkill, pid, pid, libc::SIGUSR1);
    }
    super::wait_for("the first thread has ended", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|tail| tail.starts_with(" Z"))
    });
    Ok(())
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().unwrap())
}
