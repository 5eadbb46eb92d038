//! What watches while a loop runs: OpenClaw, or what people use today for the same.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::agent::CONFIGURATION;
use super::loops::Activity;
use crate::cgroup::{self, Cgroup};
use crate::program::Program;
use crate::{process, workspace};

/// How long a watcher may take until it reports, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long after a loop what it did is waited for: OpenClaw tells its counts once a second.
pub(super) const SETTLED: Duration = Duration::from_millis(1300);

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watcher {
    /// Nobody.
    Nobody,
    /// OpenClaw with the rules that ship.
    OpenClaw,
    /// OpenClaw with a rule over files besides, so that it reports what the others report.
    OpenClawFiles,
    /// auditd, with rules for programs, changes of files, connections.
    Auditd,
    /// bpftrace, with a program for each of the same.
    Bpftrace,
    /// execsnoop of libbpf-tools.
    Execsnoop,
}

/// The programs of bpftrace: exec, open to write, connection.
const BPFTRACE: &str = r#"
tracepoint:sched:sched_process_exec { printf("exec %d %s %s\n", pid, comm, str(args->filename)); }
tracepoint:syscalls:sys_enter_openat /args->flags & 3/ { printf("file %d %s %s\n", pid, comm, str(args->filename)); }
tracepoint:sock:inet_sock_set_state /args->newstate == 1/ {
    printf("connection %d %s %d %d\n", pid, comm, args->sport, args->dport);
}
"#;

/// The rule over files of [`Watcher::OpenClawFiles`].
const FILE_RULE: &str = "\
rules:
  - name: bench_files
    event: file_access
    condition: file.path == \"/nowhere/at/all\"
    severity: low
    action: alert
";

impl Watcher {
    /// OpenClaw in both its ways.
    pub(super) const OWN: [Watcher; 2] = [Watcher::OpenClaw, Watcher::OpenClawFiles];

    /// What others there are.
    pub(super) const PEERS: [Watcher; 3] = [Watcher::Auditd, Watcher::Bpftrace, Watcher::Execsnoop];

    /// What it is called in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Watcher::Nobody => "nobody",
            Watcher::OpenClaw => "OpenClaw",
            Watcher::OpenClawFiles => "OpenClaw + files",
            Watcher::Auditd => "auditd",
            Watcher::Bpftrace => "bpftrace",
            Watcher::Execsnoop => "execsnoop",
        }
    }

    /// Whether it is worth a run: who looks at programs alone is not compared over files.
    pub(super) fn is_for(self, activity: Activity) -> bool {
        self != Watcher::Execsnoop || activity == Activity::Exec
    }

    /// Starts it in a control group of its own and waits until it reports.
    ///
    /// # Errors
    /// Where it cannot be started, ends, or does not report.
    pub(super) fn start(self, folder: &Path) -> Result<Running> {
        let group = Cgroup::new("bench", "watcher")?;
        let output = folder.join("watcher.out");
        let mut command = match self {
            Watcher::Nobody => group.command(Path::new("/bin/sleep")),
            _ => group.command(&self.program()?),
        };
        let mut read = output.clone();
        match self {
            Watcher::Nobody => {
                command.arg("infinity");
            }
            Watcher::OpenClaw | Watcher::OpenClawFiles => {
                let rules = own_rules(folder, self == Watcher::OpenClawFiles)?;
                command.arg("run").arg("--config").arg(folder.join("openclaw.yml"));
                command.arg("--rules").arg(rules).args(["--output", "json"]);
            }
            Watcher::Auditd => {
                read = audit_settings(folder)?;
                command.arg("-n").arg("-c").arg(folder.join("audit"));
            }
            Watcher::Bpftrace => {
                command.args(["-B", "line", "-e", BPFTRACE]);
            }
            Watcher::Execsnoop => {}
        }
        let started = Instant::now();
        command.stdout(File::create(&output).with_context(|| format!("cannot write {}", output.display()))?);
        let program = Program::start(self.name(), &mut command, folder.join("watcher.log"), PATIENCE)?;
        let mut running = Running {
            watcher: self,
            program,
            group,
            folder: folder.to_owned(),
            output: Tail { path: read, position: 0 },
            thread: if self == Watcher::Auditd { kernel_thread("kauditd") } else { None },
            ready: Duration::ZERO,
        };
        if self == Watcher::Auditd {
            running.audit(folder)?;
        }
        running.wait_until_it_reports(started)?;
        Ok(running)
    }

    fn program(self) -> Result<PathBuf> {
        let name = match self {
            Watcher::Nobody => "sleep",
            Watcher::OpenClaw | Watcher::OpenClawFiles => return Ok(workspace::agent()),
            Watcher::Auditd => "auditd",
            Watcher::Bpftrace => "bpftrace",
            Watcher::Execsnoop => "execsnoop",
        };
        process::find(name).with_context(|| format!("there is no program `{name}`"))
    }
}

/// A watcher at work.
#[derive(Debug)]
pub(super) struct Running {
    watcher: Watcher,
    program: Program,
    group: Cgroup,
    folder: PathBuf,
    output: Tail,
    /// The kernel's thread that works for it, if there is one.
    thread: Option<u32>,
    /// From its start until it reported.
    ready: Duration,
}

/// What a watcher says that it saw.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Events of the activity's kind.
    pub(super) events: u64,
    /// Events that it told once for many, on purpose.
    pub(super) merged: u64,
    /// Events that it lost, of whatever kind.
    pub(super) lost: u64,
}

impl Seen {
    /// What came since then.
    pub(super) fn since(self, before: Seen) -> Seen {
        Seen {
            events: self.events.saturating_sub(before.events),
            merged: self.merged.saturating_sub(before.merged),
            lost: self.lost.saturating_sub(before.lost),
        }
    }
}

impl Running {
    /// From its start until it reported.
    pub(super) fn ready(&self) -> Duration {
        self.ready
    }

    /// Whether [`Running::seen`] counts from its start on, and not since it was asked last.
    pub(super) fn counts(&self) -> bool {
        Watcher::OWN.contains(&self.watcher)
    }

    /// Processors' time that it has taken, that of the kernel's thread which works for it included.
    ///
    /// # Errors
    /// Where that cannot be read.
    pub(super) fn processors(&self) -> Result<Duration> {
        let thread = self.thread.map_or(Ok(Duration::ZERO), thread_usage)?;
        Ok(cgroup::usage(self.group.folder())? + thread)
    }

    /// Resident memory, in bytes, as it is counted (RSS), and with each page in proportion to how often it is mapped
    /// (PSS).
    ///
    /// # Errors
    /// Where it is gone.
    pub(super) fn memory(&self) -> Result<(u64, u64)> {
        let file = format!("/proc/{}/smaps_rollup", self.program.id());
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kib.map(|kib| kib << 10).with_context(|| format!("{file} tells no {name}"))
        };
        Ok((of("Rss:")?, of("Pss:")?))
    }

    /// What it has seen of an activity; for those that write lines, since it was asked last.
    ///
    /// # Errors
    /// Where it does not answer.
    pub(super) fn seen(&mut self, activity: Activity) -> Result<Seen> {
        match self.watcher {
            // Nobody tells of these.
            Watcher::Execsnoop | Watcher::Bpftrace | Watcher::Auditd if activity == Activity::Call => {
                Ok(Seen::default())
            }
            Watcher::Nobody => Ok(Seen::default()),
            Watcher::OpenClaw | Watcher::OpenClawFiles => self.ask(activity),
            Watcher::Execsnoop => self.count("program"),
            Watcher::Bpftrace => self.count(match activity {
                Activity::Exec => "exec ",
                Activity::Connect | Activity::Bulk => "connection ",
                _ => "file ",
            }),
            Watcher::Auditd => {
                let mut seen = self.count(match activity {
                    Activity::Exec => "key=\"exec\"",
                    Activity::Connect | Activity::Bulk => "key=\"connection\"",
                    _ => "key=\"file\"",
                })?;
                let status = process::capture(auditctl()?.arg("-s"))?;
                let lost = status.lines().find_map(|line| line.strip_prefix("lost "));
                seen.lost = lost.and_then(|lost| lost.trim().parse().ok()).unwrap_or_default();
                Ok(seen)
            }
        }
    }

    fn count(&mut self, needle: &str) -> Result<Seen> {
        let text = self.output.read()?;
        let events = text.lines().filter(|line| line.contains(needle)).count() as u64;
        // bpftrace and execsnoop tell of losses on stderr or stdout: "Lost 12 events".
        let log = std::fs::read_to_string(self.program.log()).unwrap_or_default();
        let lost = log.lines().chain(text.lines()).filter_map(|line| {
            line.to_lowercase().split_once("lost ")?.1.split(' ').next()?.parse::<u64>().ok()
        });
        Ok(Seen { events, merged: 0, lost: lost.sum() })
    }

    /// What OpenClaw says of itself.
    ///
    /// # Errors
    /// Where it does not answer.
    pub(super) fn status(&self) -> Result<Value> {
        let mut command = Command::new(workspace::agent());
        command.arg("--config").arg(self.folder.join("openclaw.yml")).args(["status", "--output", "json"]);
        serde_json::from_str(&process::capture(&mut command)?).context("the status is no JSON")
    }

    fn ask(&self, activity: Activity) -> Result<Seen> {
        let status = self.status()?;
        let kind = match activity {
            // None of these is made.
            Activity::Call => "process_trace",
            Activity::Exec | Activity::Compile => "process_create",
            Activity::Connect | Activity::Bulk | Activity::Datagram => "network_connection",
            Activity::OpenRead | Activity::OpenWrite | Activity::Rename => "file_access",
        };
        let mut seen =
            Seen { events: status["events"][kind]["total"].as_u64().unwrap_or(0), ..Seen::default() };
        for loss in status["losses"].as_array().into_iter().flatten() {
            let count = loss["count"].as_u64().unwrap_or(0);
            if loss["stage"] != "filter" {
                seen.lost += count;
            } else if loss["reason"] == "repeated_access" {
                seen.merged += count;
            }
        }
        Ok(seen)
    }

    /// Gives the kernel the rules of auditd.
    fn audit(&self, folder: &Path) -> Result<()> {
        let begun = Instant::now();
        // What it takes in of a burst is what its manual recommends for busy systems.
        let rules = format!(
            "-D\n-b 8192\n-a always,exit -F arch=b64 -S execve,execveat -k exec\n\
             -a always,exit -F arch=b64 -S connect,accept,accept4 -k connection\n\
             -a always,exit -F dir={} -F perm=wa -k file\n-e 1\n",
            folder.display()
        );
        let file = folder.join("audit.rules");
        std::fs::write(&file, rules).with_context(|| format!("cannot write {}", file.display()))?;
        // It takes rules once auditd has told the kernel who it is.
        loop {
            let done = process::capture(auditctl()?.arg("-R").arg(&file));
            if done.is_ok() || begun.elapsed() > PATIENCE {
                return done.map(drop);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn wait_until_it_reports(&mut self, started: Instant) -> Result<()> {
        if self.watcher == Watcher::Nobody {
            return Ok(());
        }
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.program.ended()? {
                bail!(
                    "{} ended with {status} before it reported\n{}",
                    self.watcher.name(),
                    self.program.log_tail()
                );
            }
            let reports = match self.watcher {
                Watcher::OpenClaw | Watcher::OpenClawFiles => self.ask(Activity::Exec).is_ok(),
                _ => {
                    process::capture(&mut Command::new(self.folder.join("program")))?;
                    self.seen(Activity::Exec)?.events > 0
                }
            };
            if reports {
                self.ready = started.elapsed();
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!(
            "{} did not report within {} s\n{}",
            self.watcher.name(),
            PATIENCE.as_secs(),
            self.program.log_tail()
        );
    }

    /// Stops it as Ctrl-C would, and waits for its end.
    ///
    /// # Errors
    /// Where it does not stop.
    pub(super) fn stop(mut self) -> Result<()> {
        let signal = if matches!(self.watcher, Watcher::Auditd | Watcher::Nobody) { "-TERM" } else { "-INT" };
        self.program.stop(signal)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.watcher == Watcher::Auditd {
            self.program.kill();
            // What cannot be undone here is said by the next run.
            let _ = audit_nobody();
        }
    }
}

/// The rule that is left behind, as it is listed.
const NOBODY: &str = "-a never,task";

/// Has the kernel audit no process that is yet to start. Once anybody has asked for an audit, it prepares each new
/// process for one, whose system calls are slower then until the machine restarts: so all would be measured that ran
/// after auditd.
fn audit_nobody() -> Result<()> {
    for arguments in [&["-D"][..], &["-a", "never,task"], &["-e", "0"]] {
        process::capture(auditctl()?.args(arguments))?;
    }
    Ok(())
}

/// A file to which somebody appends.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    position: u64,
}

impl Tail {
    /// What was appended since the last time; nothing where the file is not there yet.
    fn read(&mut self) -> Result<String> {
        let Ok(mut file) = File::open(&self.path) else { return Ok(String::new()) };
        let context = || format!("cannot read {}", self.path.display());
        file.seek(SeekFrom::Start(self.position)).with_context(context)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(context)?;
        // A line that is not finished yet is read the next time.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.position += end as u64;
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

fn auditctl() -> Result<Command> {
    Ok(Command::new(process::find("auditctl").context("there is no program `auditctl`")?))
}

/// Writes OpenClaw's configuration and rules. Returns the folder of the rules.
fn own_rules(folder: &Path, files: bool) -> Result<PathBuf> {
    let config = folder.join("openclaw.yml");
    std::fs::write(&config, CONFIGURATION).with_context(|| format!("cannot write {}", config.display()))?;
    let rules = folder.join(if files { "rules-files" } else { "rules" });
    std::fs::create_dir_all(&rules).with_context(|| format!("cannot make {}", rules.display()))?;
    let shipped = workspace::root().join("rules");
    for entry in shipped.read_dir().with_context(|| format!("cannot read {}", shipped.display()))? {
        let file = entry?.path();
        if let Some(name) = file.file_name().filter(|_| file.extension().is_some_and(|end| end == "yml")) {
            std::fs::copy(&file, rules.join(name))
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
    }
    if files {
        let file = rules.join("bench.yml");
        std::fs::write(&file, FILE_RULE).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(rules)
}

/// Writes auditd's configuration. Returns the file to which it logs.
fn audit_settings(folder: &Path) -> Result<PathBuf> {
    let settings = folder.join("audit");
    std::fs::create_dir_all(settings.join("plugins.d"))
        .with_context(|| format!("cannot make {}", settings.display()))?;
    let log = settings.join("audit.log");
    // One of the runs before would be counted.
    let _ = std::fs::remove_file(&log);
    let file = settings.join("auditd.conf");
    // As Debian's, but for where it logs, and that it neither rotates nor stops for want of space.
    let text = format!(
        "log_file = {}\nlog_format = ENRICHED\nlog_group = root\nflush = INCREMENTAL_ASYNC\nfreq = 50\n\
         priority_boost = 4\nmax_log_file = 4000\nmax_log_file_action = IGNORE\nspace_left = 2\n\
         space_left_action = IGNORE\nadmin_space_left = 1\nadmin_space_left_action = IGNORE\n\
         disk_full_action = IGNORE\ndisk_error_action = IGNORE\nplugin_dir = {}\n",
        log.display(),
        settings.join("plugins.d").display()
    );
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640))?;
    Ok(log)
}

/// The kernel's thread of this name.
fn kernel_thread(name: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        (comm.trim_end() == name).then_some(pid)
    })
}

/// Processors' time of a thread: the first number of its schedstat, in nanoseconds (sched-stats.rst of the kernel).
fn thread_usage(pid: u32) -> Result<Duration> {
    let file = format!("/proc/{pid}/schedstat");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    nanos.map(Duration::from_nanos).with_context(|| format!("{file} tells no time"))
}

/// Sees to it that the others can be measured, that nobody's own audit is spoilt, and that none is left from before.
///
/// # Errors
/// Where tracefs is not mounted, in which bpftrace looks tracepoints up, or an audit daemon runs already.
pub(super) fn ensure_peers_can_run() -> Result<()> {
    ensure!(
        ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"]
            .iter()
            .any(|path| Path::new(path).is_dir()),
        "bpftrace needs tracefs: mount -t tracefs none /sys/kernel/tracing"
    );
    let rules = process::capture(auditctl()?.arg("-l"))?;
    ensure!(
        rules.lines().all(|rule| rule == "No rules" || rule == NOBODY),
        "the kernel has rules of an audit, which would be taken away: {}; leave --peers out, or `auditctl -D`",
        rules.trim()
    );
    let status = process::capture(auditctl()?.arg("-s"))?;
    let daemon = status.lines().find_map(|line| line.strip_prefix("pid ")).map_or("0", str::trim);
    ensure!(
        daemon == "0",
        "an audit daemon runs (process {daemon}), whose rules would be taken away: stop it first, such as by \
         `systemctl stop auditd`, or leave --peers out"
    );
    audit_nobody()
}
