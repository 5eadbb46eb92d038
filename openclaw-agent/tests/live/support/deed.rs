//! A process that does one thing which is to be seen: this test binary, run again.
//!
//! It does so before its `main`, so that no test harness reads its arguments or makes threads: the process
//! is what the test says it is, whatever its name and arguments.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::wait_for;

/// Names the deed to the process.
const DEED: &str = "OPENCLAW_TEST_DEED";

/// What a process may be told to do, by name. It gets its arguments, without the program's name, and exits
/// with what is returned.
pub(crate) type Deeds = &'static [(&'static str, fn(&[OsString]) -> i32)];

/// What the test that knows no better needs.
const COMMON: Deeds = &[
    ("exit", |args| args.first().map_or(0, |code| code.to_str().unwrap().parse().unwrap())),
    ("nothing", |_| 0),
    ("copy", |args| {
        std::fs::copy(&args[0], &args[1]).unwrap();
        0
    }),
    ("wait", |args| {
        say("ready");
        hear();
        args.first().map_or(0, |code| code.to_str().unwrap().parse().unwrap())
    }),
];

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = before_main;

/// A panic in here ends the process by SIGABRT, after its message.
extern "C" fn before_main() {
    let Ok(name) = std::env::var(DEED) else { return };
    // Not `std::env::args`, which C libraries other than glibc have not filled in yet.
    let line = std::fs::read("/proc/self/cmdline").unwrap();
    let line = line.strip_suffix(&[0]).unwrap_or(&line);
    let args: Vec<OsString> =
        line.split(|byte| *byte == 0).map(|arg| OsString::from_vec(arg.to_vec())).collect();
    let all = [
        COMMON,
        crate::process::DEEDS,
        crate::exec::DEEDS,
        crate::file::DEEDS,
        crate::filter::DEEDS,
        crate::flood::DEEDS,
        crate::identity::DEEDS,
        crate::kernel::DEEDS,
        crate::tamper::DEEDS,
        crate::network::DEEDS,
        crate::object::DEEDS,
        crate::race::DEEDS,
        crate::udp::DEEDS,
        crate::dns::DEEDS,
        crate::credential::DEEDS,
        crate::rules::DEEDS,
    ];
    let deed = all.into_iter().flatten().find(|(known, _)| *known == name);
    let (_, deed) = deed.unwrap_or_else(|| panic!("there is no deed {name}"));
    let code = deed(args.get(1..).unwrap_or_default());
    // SAFETY: ends the process at once; a deed has nothing to clean up.
    unsafe { libc::_exit(code) };
}

/// In a deed: tells the test something.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

/// In a deed: waits for a line of the test; empty when there is none any more.
pub(crate) fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// The program that does deeds.
pub(crate) fn program() -> PathBuf {
    std::fs::canonicalize("/proc/self/exe").unwrap()
}

/// Copies a program that is to be run then.
///
/// In a process of its own: else a child that another test begins at this moment would have the copy open for
/// writing until it has called exec, and until then the kernel does not run it.
#[track_caller]
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(command(program(), "copy").arg(from).arg(to).status().unwrap().success());
}

/// A link to the program, under another name.
pub(crate) fn link(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::os::unix::fs::symlink(program(), &path).unwrap();
    path
}

/// A command that does a deed.
pub(crate) fn command(program: impl AsRef<OsStr>, deed: &str) -> Command {
    let mut command = Command::new(program);
    command.env(DEED, deed).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A deed that runs while the test talks with it. Killed when it is dropped.
pub(crate) struct Deed {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Deed {
    /// Starts one.
    pub(crate) fn new(deed: &str, args: &[&str]) -> Self {
        let mut command = command(program(), deed);
        command.args(args);
        Self::of(command)
    }

    /// Starts that of a command.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // SAFETY: the call may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Deed { child, input, output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the deed has ended: {:?}", self.child.wait());
        line.trim_end().to_owned()
    }

    /// Tells it to go on.
    #[track_caller]
    pub(crate) fn tell(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{text}").unwrap();
    }

    /// Its status, if it ends in that time.
    pub(crate) fn ended_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + time;
        loop {
            let status = self.child.try_wait().unwrap();
            if status.is_some() || Instant::now() >= end {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        wait_for("the deed has ended", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Deed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
