//! Where a deed is done: in namespaces of its own, on a root file system that is gone with it.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::deed::{Actor, Deed, Purpose};
use crate::cgroup::Cgroup;

/// How long a deed may take, and how long work.
const LIMIT: Duration = Duration::from_secs(60);
const LIMIT_OF_WORK: Duration = Duration::from_secs(600);

/// The id of the container that deeds are done in: what a runtime would call its control group.
const CONTAINER: &str = "docker-0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a0c1a.scope";

/// The file of the script that sets the stage.
const STAGE: &str = "stage";

/// The folder of the logs that deeds write, in one for each.
pub(super) const LOGS: &str = "logs";

/// A place for deeds, one after another.
pub(super) struct Stage {
    root: PathBuf,
    /// The root file system with what builds programs, where that is wanted.
    packages: Option<PathBuf>,
    folder: PathBuf,
    group: Cgroup,
}

/// How a deed ended.
pub(super) struct Done {
    /// The last part of the path of its control group, and of the folder of its logs, which no other deed has.
    pub(super) group: String,
    /// What it wrote, and how it ended where that was not well.
    pub(super) said: String,
    /// Whether it ended well.
    pub(super) well: bool,
    /// Whether it wrote logs that the sensor follows.
    pub(super) logged: bool,
}

impl Stage {
    /// One upon this root file system; `folder` is where the file systems of the deeds are mounted.
    ///
    /// # Errors
    /// The control group cannot be made.
    pub(super) fn new(root: PathBuf, packages: Option<PathBuf>, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(folder.join("mount"))
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let stage = Self { root, packages, folder, group: Cgroup::new("attack", "deeds")? };
        stage.write(STAGE, include_str!("stage.sh"))?;
        Ok(stage)
    }

    /// The last part of the path of the control group that all deeds are in.
    pub(super) fn group(&self) -> String {
        self.group.folder().file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Does it, and waits for its end.
    ///
    /// # Errors
    /// It cannot be begun.
    pub(super) fn perform(&self, number: usize, deed: &Deed) -> Result<Done> {
        // Silence about work that failed would mean nothing.
        let begin = if deed.purpose == Purpose::Work { "set -e\n" } else { "" };
        let script = self.write("session", &format!("{begin}{}", deed.script))?;
        let packages = self.packages.as_ref().filter(|_| deed.with_packages);
        let root = packages.unwrap_or(&self.root);
        let is_long = matches!(deed.purpose, Purpose::Work | Purpose::Sigma);
        let limit = if is_long { LIMIT_OF_WORK } else { LIMIT };
        // Of this process: another may do deeds beside this one.
        let name = format!("deed-{}-{number}", std::process::id());
        let outer = self.group.inner(&name)?;
        let inner = if deed.by == Actor::Container { Some(outer.inner(CONTAINER)?) } else { None };
        let logs = self.folder.join(LOGS).join(&name);
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let log = self.folder.join("log");
        let file = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // With this process ends the deed.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "unshare"])
            .args(["--mount", "--propagation=private", "--pid", "--fork", "--kill-child"])
            .args(["--ipc", "--uts"])
            .args((!deed.with_network).then_some("--net"))
            .args(["--", "/bin/sh"])
            .arg(self.folder.join(STAGE))
            .arg(root)
            .arg(self.folder.join("mount"))
            .arg(inner.as_ref().unwrap_or(&outer).folder())
            .arg(script)
            .arg(match deed.by {
                Actor::Root => "0",
                Actor::Alice => "1000",
                Actor::Container => "",
            })
            .arg(if deed.with_network { "host" } else { "own" })
            .arg(&logs)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // Signals to a deed's group reach nothing of ours.
            .process_group(0);
        let mut child = command.spawn().context("cannot start `setpriv` (Debian's package util-linux)")?;
        let begun = Instant::now();
        let ended = loop {
            if let Some(status) = child.try_wait().context("cannot wait for a deed")? {
                break (!status.success()).then(|| format!("it ended with {status}\n"));
            }
            if begun.elapsed() > limit {
                let _ = child.kill();
                let _ = child.wait();
                break Some(format!("it was ended after {} s\n", limit.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let well = ended.is_none();
        // What is left of it, such as a session whose first process `unshare` no longer ends since it took on another
        // user.
        outer.end_all()?;
        let logged = std::fs::read_dir(&logs).is_ok_and(|mut files| files.next().is_some());
        Ok(Done { group: name, said: read_lossy(&log) + &ended.unwrap_or_default(), well, logged })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

/// What a file holds, at most 64 KiB of it.
fn read_lossy(file: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(file) {
        // What cannot be read of a log is not worth more than its absence.
        let _ = file.take(64 << 10).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
