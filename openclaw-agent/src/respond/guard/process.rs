//! Processes that are never acted upon.

use std::cell::OnceCell;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use openclaw_detect::Finding;
use serde::{Serialize, Serializer};

use super::super::policy::{has_label, labels_are_to_come, names};
use super::super::process::{self, Stat};
use super::super::{KEEPER_COMMAND, ResponseSettings};

/// Executables without which the machine, or the way into it, is lost. The end may be `*`.
const PROTECTED: &[&str] = &[
    "init",
    "systemd",
    "systemd-*",
    "(sd-pam)",
    "dbus-daemon",
    "dbus-broker",
    "dbus-broker-launch",
    "udevd",
    "sshd",
    "sshd-session",
    "sshd-auth",
    "dropbear",
    "getty",
    "agetty",
    "login",
    "NetworkManager",
    "dhclient",
    "dhcpcd",
    "networkd-dispatcher",
    "dockerd",
    "docker-init",
    "docker-proxy",
    "containerd",
    "containerd-shim*",
    "runc",
    "crun",
    "crio",
    "conmon",
    "podman",
    "kubelet",
    "k3s*",
];

/// Where executables live that only root installs. A file called `sshd` elsewhere is not sshd.
const SYSTEM: &[&str] = &["/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/nix/store/", "/snap/"];

/// What an operator protects besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protected {
    /// Executables of this name, of which the end may be `*`, where programs are installed.
    Name(String),
    /// This executable.
    Path(String),
    /// What this user runs, by the real user id; with the name as it is written.
    User(u32, String),
    /// What belongs to this unit of systemd, of which the end may be `*`.
    Unit(String),
    /// What runs in a container with this label, `KEY` or `KEY=VALUE`.
    Label(String),
}

impl FromStr for Protected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |name: &str| match name {
            "" => Err(format!("`{text}` names nothing: write a name behind the colon")),
            name => Ok(name.to_owned()),
        };
        match text.split_once(':') {
            Some(("user", name)) => Ok(Protected::User(user_id(&named(name)?)?, name.to_owned())),
            Some(("unit", name)) => Ok(Protected::Unit(named(name)?)),
            Some(("label", name)) => Ok(Protected::Label(named(name)?)),
            _ if text.is_empty() => {
                Err("an empty name protects nothing: write a process's name or the path of its executable"
                    .to_owned())
            }
            _ if text.starts_with('/') => Ok(Protected::Path(text.to_owned())),
            _ if text.contains('/') => {
                Err(format!("`{text}` is neither a name nor a full path: write `sshd` or `/usr/sbin/sshd`"))
            }
            _ => Ok(Protected::Name(text.to_owned())),
        }
    }
}

impl fmt::Display for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protected::Name(text) | Protected::Path(text) => f.write_str(text),
            Protected::User(_, name) => write!(f, "user:{name}"),
            Protected::Unit(name) => write!(f, "unit:{name}"),
            Protected::Label(label) => write!(f, "label:{label}"),
        }
    }
}

impl Serialize for Protected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The id of a user of this host's own list; who comes from elsewhere is named by number.
fn user_id(name: &str) -> Result<u32, String> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = list.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    id.ok_or_else(|| {
        format!("there is no user `{name}` in /etc/passwd: write the user's number, as in `user:1000`")
    })
}

/// The guard rails of what is done to processes, as they are configured.
#[derive(Debug, Clone)]
pub(in crate::respond) struct ProcessGuard {
    protected: Vec<Protected>,
}

impl ProcessGuard {
    pub(in crate::respond) fn new(settings: &ResponseSettings) -> Self {
        ProcessGuard { protected: settings.protected.clone() }
    }

    /// Why nothing must be done to the container of a finding's process.
    pub(in crate::respond) fn container(&self, finding: &Finding) -> Option<String> {
        self.protected.iter().find_map(|entry| match entry {
            Protected::Label(label) if labels_are_to_come(finding) => {
                Some(format!("it is not known yet whether its container has the protected label {label}"))
            }
            Protected::Label(label) if has_label(finding, label) => Some(format!(
                "its container has the label {label}, which is on the protected list (security.response.protected)"
            )),
            _ => None,
        })
    }

    /// Why nothing must be done to a process.
    pub(in crate::respond) fn process(&self, pid: u32, stat: &Stat) -> Option<String> {
        vital(pid, stat).or_else(|| self.protected(pid, stat, true))
    }

    /// Why nothing must be done to these processes, the first of them and those that descend from it, and what
    /// is below them.
    pub(in crate::respond) fn descendants(&self, members: &[(u32, Stat)]) -> Option<String> {
        let below = process::below(members);
        members.iter().skip(1).chain(&below).find_map(|(pid, stat)| self.descendant(*pid, stat))
    }

    /// Why nothing must be done to a process that goes with another one.
    pub(in crate::respond) fn descendant(&self, pid: u32, stat: &Stat) -> Option<String> {
        // Else whoever is to be isolated would begin one of these, and be safe.
        let by_default = process::real_user(pid) == Some(0);
        let reason = vital(pid, stat).or_else(|| self.protected(pid, stat, by_default))?;
        Some(format!("its descendant, {reason}"))
    }

    fn protected(&self, pid: u32, stat: &Stat, by_default: bool) -> Option<String> {
        let runs = executable(pid).filter(|executable| self.is_protected(executable, by_default));
        let why = match runs {
            Some(executable) => format!("runs {}", executable.path),
            None => self.protected.iter().find_map(|entry| entry.of_process(pid))?,
        };
        Some(format!(
            "process {pid} ({}) {why}, which is on the protected list (security.response.protected adds to it)",
            stat.name
        ))
    }

    /// Whether an executable is on the list: on the configured part, or `by_default` on what is always there.
    fn is_protected(&self, executable: &Executable, by_default: bool) -> bool {
        let by_name = |pattern: &str| names(pattern, executable.name()) && executable.is_installed();
        by_default && PROTECTED.iter().any(|pattern| by_name(pattern))
            || self.protected.iter().any(|entry| match entry {
                Protected::Path(path) => *path == executable.path && executable.is_of_host(),
                Protected::Name(name) => by_name(name),
                Protected::User(..) | Protected::Unit(_) | Protected::Label(_) => false,
            })
    }
}

impl Protected {
    /// What a process has to do with it, where that does not lie in its executable.
    fn of_process(&self, pid: u32) -> Option<String> {
        match self {
            Protected::User(user, name) => {
                (process::real_user(pid) == Some(*user)).then(|| format!("is run by the user {name}"))
            }
            Protected::Unit(pattern) => {
                let unit = process::units(pid).into_iter().find(|unit| names(pattern, unit))?;
                Some(format!("belongs to the unit {unit}"))
            }
            Protected::Name(_) | Protected::Path(_) | Protected::Label(_) => None,
        }
    }
}

/// Why nothing must be done to a process, whatever the list says.
fn vital(pid: u32, stat: &Stat) -> Option<String> {
    let name = &stat.name;
    if pid == 1 {
        return Some(format!("process 1 ({name}) is init"));
    }
    if stat.is_kernel {
        return Some(format!("process {pid} ({name}) is a thread of the kernel"));
    }
    relation_to_agent(pid, stat).map(|relation| format!("process {pid} ({name}) is {relation}"))
}

/// `this agent`, `an ancestor of this agent` or `a helper of this agent`, where the process is that.
fn relation_to_agent(pid: u32, stat: &Stat) -> Option<&'static str> {
    let own = std::process::id();
    if pid == own {
        return Some("this agent");
    }
    // Who began later is no ancestor, whoever takes over the children of others.
    let mut ancestor = (stat.start <= process::own_start()).then(|| process::stat(own)).flatten();
    while let Some(above) = ancestor.filter(|above| above.parent != 0 && stat.start <= above.start) {
        if above.parent == pid {
            return Some("an ancestor of this agent");
        }
        ancestor = process::stat(above.parent);
    }
    is_keeper(pid, stat).then_some("a helper of this agent")
}

/// Whether a process is the one that resumes what is suspended where the agent does not live to do it. Who is not root can
/// run the agent's program so too, and is not protected by that.
fn is_keeper(pid: u32, stat: &Stat) -> bool {
    // As the kernel calls what is begun by /proc/self/exe.
    if stat.name != "exe" {
        return false;
    }
    let file = |process: &str| {
        fs::metadata(format!("/proc/{process}/exe")).ok().map(|file| (file.dev(), file.ino()))
    };
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.split(|byte| *byte == 0).nth(1) == Some(KEEPER_COMMAND.as_bytes())
        && file(&pid.to_string()).is_some_and(|its| Some(its) == file("self"))
        && process::real_user(pid) == Some(0)
}

/// What a process runs. The file is looked at where its name is one that matters: few are.
#[derive(Debug)]
pub(super) struct Executable {
    pid: u32,
    path: String,
    is_deleted: bool,
    file: OnceCell<ExecutableFile>,
}

#[derive(Debug, Clone, Copy, Default)]
struct ExecutableFile {
    /// Whether it is the host's file, not one of a container that has the same path.
    is_of_host: bool,
    /// Whether only root can have put it there.
    is_of_root: bool,
}

impl Executable {
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    pub(super) fn is_installed(&self) -> bool {
        SYSTEM.iter().any(|folder| self.path.starts_with(folder))
            && self.is_of_host()
            && self.file().is_of_root
    }

    fn is_of_host(&self) -> bool {
        self.file().is_of_host
    }

    fn file(&self) -> ExecutableFile {
        // A process that has ended meanwhile runs nothing.
        *self.file.get_or_init(|| self.look().unwrap_or_default())
    }

    fn look(&self) -> Option<ExecutableFile> {
        // Through the link: the file itself, also after an upgrade has put another in its place.
        let file = fs::metadata(format!("/proc/{}/exe", self.pid)).ok()?;
        let is_same = |host: fs::Metadata| (host.dev(), host.ino()) == (file.dev(), file.ino());
        let is_of_host = match self.is_deleted {
            true => crate::mounts::are_those_of(self.pid),
            false => fs::metadata(&self.path).is_ok_and(is_same),
        };
        Some(ExecutableFile { is_of_host, is_of_root: file.uid() == 0 && file.mode() & 0o022 == 0 })
    }
}

pub(super) fn executable(pid: u32) -> Option<Executable> {
    let path = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let text = path.to_string_lossy();
    let (path, is_deleted) = match text.strip_suffix(" (deleted)") {
        Some(path) => (path.to_owned(), true),
        None => (text.into_owned(), false),
    };
    Some(Executable { pid, path, is_deleted, file: OnceCell::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> ProcessGuard {
        let protected = ["postgres", "/srv/bin/backup", "user:0", "unit:web*"];
        let protected = protected.iter().map(|entry| entry.parse().unwrap()).collect();
        ProcessGuard::new(&ResponseSettings { protected, ..ResponseSettings::default() })
    }

    #[test]
    fn init_the_agent_and_its_ancestors_are_never_isolated() {
        let guard = guard();
        let own = std::process::id();
        let stat = process::stat(own).unwrap();
        assert!(guard.process(own, &stat).unwrap().contains("this agent"));
        let parent = process::stat(stat.parent).unwrap();
        assert!(guard.process(stat.parent, &parent).is_some());
        assert!(guard.process(1, &process::stat(1).unwrap()).unwrap().contains("init"));
    }

    fn runs(path: &str) -> Executable {
        runs_file(path, true, true)
    }

    fn runs_file(path: &str, is_of_host: bool, is_of_root: bool) -> Executable {
        let file = OnceCell::from(ExecutableFile { is_of_host, is_of_root });
        Executable { pid: 0, path: path.to_owned(), is_deleted: false, file }
    }

    #[test]
    fn protection_goes_by_the_executable_and_where_it_lies() {
        let guard = guard();
        assert!(guard.is_protected(&runs("/usr/sbin/sshd"), true));
        assert!(guard.is_protected(&runs("/usr/bin/containerd-shim-runc-v2"), true));
        assert!(guard.is_protected(&runs("/usr/lib/postgresql/15/bin/postgres"), true));
        assert!(guard.is_protected(&runs("/srv/bin/backup"), true));
        assert!(guard.is_protected(&runs("/srv/bin/backup"), false));
        assert!(!guard.is_protected(&runs("/usr/sbin/sshd"), false));
        assert!(!guard.is_protected(&runs("/tmp/sshd"), true));
        assert!(!guard.is_protected(&runs("/usr/bin/nc"), true));
        assert!(!guard.is_protected(&runs_file("/usr/sbin/sshd", false, true), true));
        assert!(!guard.is_protected(&runs_file("/usr/sbin/sshd", true, false), true));
    }

    #[test]
    fn processes_are_protected_by_their_user_and_unit_too() {
        let pid = std::process::id();
        let user = process::real_user(pid).unwrap();
        let entry = Protected::User(user, "me".to_owned());
        assert_eq!(entry.of_process(pid).unwrap(), "is run by the user me");
        assert_eq!(Protected::User(user + 1, "other".to_owned()).of_process(pid), None);
        assert_eq!("user:root".parse(), Ok(Protected::User(0, "root".to_owned())));
        assert!("user:nobody-of-that-name".parse::<Protected>().unwrap_err().contains("user:1000"));
        assert!("unit:".parse::<Protected>().is_err() && "a/b".parse::<Protected>().is_err());
    }
}
