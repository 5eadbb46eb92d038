//! The machine that a guest believes to be.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::guest::{Init, Task};
use super::kernels::Kernel;
use super::{initramfs, tool};
use crate::console;
use crate::{process, workspace};

/// The memory of a guest in MiB.
pub(crate) const MEMORY: u32 = 2048;

/// Seconds that a guest may take: the whole suite takes some twenty minutes where the processor has others to serve.
pub(crate) const LIMIT: u32 = 2400;

/// The status of a guest that died without a result.
pub(crate) const NO_RESULT: u32 = 125;

/// The status of a guest that was stopped at its time limit, as timeout(1) has it.
const TIMED_OUT: i32 = 124;

/// Lines of the guest's console that are shown where it died.
const CONSOLE_LINES: usize = 60;

/// How often a guest's output is looked for.
const POLL: Duration = Duration::from_millis(100);

/// A machine to run a guest on.
#[derive(Debug)]
pub(crate) struct Machine<'a> {
    /// What it boots.
    pub(crate) kernel: &'a Kernel,
    /// Its memory in MiB.
    pub(crate) memory: u32,
    /// Seconds that it may run.
    pub(crate) limit: u32,
    /// Whether the BPF LSM is among the active ones.
    pub(crate) bpf_lsm: bool,
    /// Its first process.
    pub(crate) init: Init,
    /// Whether the kernel's console is shown when it has ended.
    pub(crate) console: bool,
    /// Whether an instruction takes a nanosecond of the guest's time, so that its clocks count instructions.
    pub(crate) counting: bool,
}

impl Machine<'_> {
    /// Runs a task, hands each line of its output on as it comes, and returns its status: the task's own, or
    /// [`NO_RESULT`].
    ///
    /// # Errors
    /// Where the machine cannot be started.
    pub(crate) fn run(&self, task: &Task, line: &mut dyn FnMut(&str)) -> Result<u32> {
        let folder = Folder::new()?;
        let file = |name: &str| folder.path.join(name);
        let write = |name: &str, content: &[u8]| {
            std::fs::write(file(name), content)
                .with_context(|| format!("cannot write {}", file(name).display()))
        };
        write("initrd", &initramfs::make(self.kernel, task, self.init)?)?;
        // Made by this user, so that they can be read where the machine runs as root through sudo.
        for name in ["output", "status", "console", "errors"] {
            write(name, b"")?;
        }
        let files = Files::share(&folder.path)?;
        let mut machine = self
            .command(&files.socket)?
            .current_dir(&folder.path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(file("errors")).context("cannot write the machine's errors")?)
            .spawn()
            .context("cannot start the virtual machine")?;

        let mut output = Lines::open(&file("output"))?;
        let ended = loop {
            let ended = machine.try_wait().context("cannot wait for the virtual machine")?;
            output.read(line)?;
            if let Some(ended) = ended {
                break ended;
            }
            std::thread::sleep(POLL);
        };
        output.finish(line);
        drop(files);

        let read = |name: &str| std::fs::read(file(name)).unwrap_or_default();
        let console = String::from_utf8_lossy(&read("console")).into_owned();
        if self.console {
            eprint!("{console}");
        }
        if let Ok(status) = String::from_utf8_lossy(&read("status")).trim().parse() {
            return Ok(status);
        }
        if !self.console {
            let release = &self.kernel.release;
            console::note(&format!("{release}: the guest gave no result; its console from where it died:"));
            for line in death(&console) {
                console::note(&format!("{release} | {line}"));
            }
        }
        eprint!("{}", String::from_utf8_lossy(&read("errors")));
        if ended.code() == Some(TIMED_OUT) {
            console::note(&format!(
                "{}: the guest was stopped at its limit of {} s",
                self.kernel.release, self.limit
            ));
            return Ok(TIMED_OUT.unsigned_abs());
        }
        Ok(NO_RESULT)
    }

    fn command(&self, socket: &str) -> Result<Command> {
        let qemu = tool("qemu-system-x86_64", "qemu-system-x86")?;
        let lsm = if self.bpf_lsm { ",bpf" } else { "" };
        // The kernel would else take the clock of such a processor for a bad one, and use a coarser.
        let clock = if self.counting { " tsc=reliable" } else { "" };
        let parameters = format!(
            "console=ttyS0 quiet panic=-1 oops=panic lsm=landlock,lockdown,yama,integrity,apparmor{lsm}{clock}"
        );
        // Where strings are said to be fast, the kernel copies and clears a byte at a time, which the emulation does one by
        // one: an agent took nearly twice as long to start. What is counted is what a real processor would execute.
        let processor = if self.counting { "max" } else { "max,-erms,-fsrm" };
        let memory = self.memory.to_string();
        let mut command = process::as_root("timeout", &[])?;
        command
            .args(["--foreground", "--kill-after=5", &self.limit.to_string()])
            .arg(qemu)
            // Emulation: a usable /dev/kvm is not enough where this machine is itself a guest. Both of the
            // guest's processors run on one thread in turn: on a thread each, one of them can still be about to
            // run the breakpoint that a kernel puts where it patches its code, when the other has taken it away
            // again, and the kernel dies of it ("Oops: int3"). Attaching programs patches code all the time.
            .args(["-accel", "tcg,thread=single", "-smp", "2", "-cpu", processor, "-m", &memory])
            // The machine `pc`, since `microvm` lacks what the ports need.
            .args(["-machine", "pc,memory-backend=memory"])
            .args(["-object", &format!("memory-backend-memfd,id=memory,size={memory}M,share=on")])
            .args(["-nodefaults", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(self.kernel.image())
            .args(["-initrd", "initrd", "-append", &parameters])
            .args(["-chardev", "file,id=console,path=console", "-serial", "chardev:console"])
            .args(["-device", "virtio-serial-pci"]);
        if self.counting {
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        for port in ["output", "status"] {
            command
                .args(["-chardev", &format!("file,id={port},path={port}")])
                .args(["-device", &format!("virtserialport,chardev={port},name={port}")]);
        }
        command
            .args(["-chardev", &format!("socket,id=files,path={socket}")])
            .args(["-device", "vhost-user-fs-pci,chardev=files,tag=root"]);
        Ok(command)
    }
}

/// The part of a console that tells why the kernel died: from its first complaint on, or else its end.
fn death(console: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = console.lines().collect();
    let complaint = lines
        .iter()
        .position(|line| ["Oops", "BUG: ", "Kernel panic"].iter().any(|word| line.contains(word)));
    let begin = complaint.unwrap_or_else(|| lines.len().saturating_sub(CONSOLE_LINES));
    lines.into_iter().skip(begin).take(CONSOLE_LINES)
}

/// The folder of one run, removed with it.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Result<Self> {
        let path = workspace::target().join("vm").join(format!("run-{}", unique()));
        std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in target/ does no harm.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A name that no other run on this machine has.
fn unique() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed))
}

/// The program that serves this machine's files to a guest.
pub(crate) fn virtiofsd() -> Option<PathBuf> {
    process::find("virtiofsd").or_else(|| {
        ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd", "/usr/lib/virtiofsd"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| process::is_executable(path))
    })
}

/// This machine's files, served to one guest.
struct Files {
    /// The socket's name in the run's folder: a whole path may be longer than a socket's address.
    socket: String,
    server: Child,
}

impl Files {
    fn share(folder: &Path) -> Result<Self> {
        let program =
            virtiofsd().context("virtiofsd is missing (Debian's package virtiofsd or qemu-system-common)")?;
        // The older server locks a file by this name, so it has to differ between runs.
        let socket = format!("files-{}.sock", unique());
        let help = process::output(Command::new(&program).arg("--help"))?;
        let help = [help.stdout, help.stderr].concat();
        let mut command = process::as_root(&program, &[])?;
        command.arg(format!("--socket-path={socket}"));
        if String::from_utf8_lossy(&help).contains("--shared-dir") {
            command.args(["--shared-dir=/", "--sandbox=none", "--cache=auto"]);
        } else {
            // The server of QEMU before 8.
            command.args(["-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=auto", "-f"]);
        }
        let log = folder.join("files.log");
        let errors = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let server = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start `{}`", process::shown(&command)))?;
        let mut files = Self { socket, server };
        let started = Instant::now();
        while !folder.join(&files.socket).exists() {
            if let Some(status) = files.server.try_wait().context("cannot wait for virtiofsd")? {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("virtiofsd ended with {status}: {}", log.trim());
            }
            if started.elapsed() > Duration::from_secs(30) {
                bail!("virtiofsd did not open its socket within 30 s");
            }
            std::thread::sleep(POLL);
        }
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // It ends by itself with its guest; where there was none, it is stopped. Through sudo that is not
        // allowed, and an idle server is left.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The lines of a file that grows.
struct Lines {
    file: File,
    partial: Vec<u8>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { file, partial: Vec::new() })
    }

    /// Hands on the lines that were completed since the last time.
    fn read(&mut self, line: &mut dyn FnMut(&str)) -> Result<()> {
        self.file.read_to_end(&mut self.partial).context("cannot read the guest's output")?;
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let rest = self.partial.split_off(end + 1);
            let text = String::from_utf8_lossy(&self.partial);
            line(text.trim_end_matches(['\n', '\r']));
            self.partial = rest;
        }
        Ok(())
    }

    /// Hands on a last line that was not ended.
    fn finish(&mut self, line: &mut dyn FnMut(&str)) {
        if !self.partial.is_empty() {
            line(&String::from_utf8_lossy(&self.partial));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn of_a_console_the_part_is_shown_that_tells_why_the_kernel_died() {
        let mut console = "booting\n".repeat(200);
        assert_eq!(death(&console).count(), CONSOLE_LINES);
        console.push_str("Oops: int3: 0000\n");
        console.push_str(&"registers\n".repeat(100));
        assert_eq!(death(&console).next(), Some("Oops: int3: 0000"));
        assert_eq!(death(&console).count(), CONSOLE_LINES);
    }

    #[test]
    fn lines_are_handed_on_once_and_only_when_they_are_whole() {
        let path = std::env::temp_dir().join(format!("xtask-lines-{}", unique()));
        let mut writer = File::create(&path).expect("a temporary file");
        let mut lines = Lines::open(&path).expect("it is there");
        let mut seen = Vec::new();
        writer.write_all(b"one\ntw").expect("written");
        lines.read(&mut |line| seen.push(line.to_owned())).expect("read");
        writer.write_all(b"o\r\nthree").expect("written");
        lines.read(&mut |line| seen.push(line.to_owned())).expect("read");
        lines.finish(&mut |line| seen.push(line.to_owned()));
        assert_eq!(seen, ["one", "two", "three"]);
        std::fs::remove_file(&path).expect("removed");
    }
}
