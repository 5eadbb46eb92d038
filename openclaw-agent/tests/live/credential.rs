//! Credentials: who a process acts as, and when that changes.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::deed::{self, Deed, Deeds, command, hear, say};
use crate::support::live;

pub(crate) const DEEDS: Deeds = &[
    ("become", r#become),
    ("become root and spawn", become_root_and_spawn),
    ("drop and return", drop_and_return),
    ("change group", change_group),
];

/// `nobody`, as which tests do what an ordinary user does.
pub(crate) const USER: u32 = 65534;

/// Sets all user ids, then makes a file.
fn r#become(args: &[OsString]) -> i32 {
    let uid: u32 = args[0].to_str().unwrap().parse().unwrap();
    // SAFETY: the call has no preconditions.
    assert_eq!(unsafe { libc::setresuid(uid, uid, uid) }, 0);
    std::fs::write(&args[1], "x").unwrap();
    say("done");
    hear();
    0
}

/// Sets all user ids to root's, as `sudo` does, and runs two programs.
fn become_root_and_spawn(args: &[OsString]) -> i32 {
    // SAFETY: the call has no preconditions.
    assert_eq!(unsafe { libc::setresuid(0, 0, 0) }, 0);
    for code in ["1", "2"] {
        command(&args[0], "exit").arg(code).status().unwrap();
    }
    say("done");
    hear();
    0
}

/// Gives root up, as a daemon does, but so that there is a way back, and takes it.
fn drop_and_return(_: &[OsString]) -> i32 {
    // SAFETY: the calls have no preconditions.
    unsafe {
        assert_eq!(libc::setresuid(USER, USER, 0), 0);
        say("dropped");
        hear();
        assert_eq!(libc::seteuid(0), 0);
    }
    say("done");
    hear();
    0
}

/// Changes all group ids.
fn change_group(_: &[OsString]) -> i32 {
    // SAFETY: the call has no preconditions.
    assert_eq!(unsafe { libc::setresgid(USER, USER, USER) }, 0);
    say("done");
    hear();
    0
}

/// A folder that everybody can look into, with a copy of the program that does deeds.
pub(crate) struct Public {
    folder: tempfile::TempDir,
}

impl Public {
    /// One whose program is to have these permission bits.
    pub(crate) fn new(mode: u32) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("openclaw-public-")
            .permissions(std::fs::Permissions::from_mode(0o777))
            .tempdir()
            .unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let public = Public { folder };
        deed::copy(&deed::program(), &public.program());
        std::fs::set_permissions(public.program(), std::fs::Permissions::from_mode(mode)).unwrap();
        public
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// Whether setuid bits mean nothing here, as some systems mount the folder for temporary files.
    pub(crate) fn ignores_setuid(&self) -> bool {
        rustix::fs::statvfs(self.path()).unwrap().f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID)
    }
}

/// Has a command begin as the ordinary user.
pub(crate) fn as_user(mut command: Command) -> Command {
    // SAFETY: system calls alone, which may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            if libc::setgroups(0, std::ptr::null()) != 0
                || libc::setresgid(USER, USER, USER) != 0
                || libc::setresuid(USER, USER, USER) != 0
            {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    command
}

fn change_of(agent: &Agent, pid: u32) -> Value {
    agent.wait_for_event("privilege_change", |event| event["process"]["pid"] == pid)
}

#[test]
fn a_root_process_that_becomes_a_user_is_told_and_acts_as_that_user_from_then_on() {
    live!();
    let agent = Agent::start();
    let public = Public::new(0o755);
    let file = public.path().join("file");
    let deed = Deed::new("become", &[&USER.to_string(), file.to_str().unwrap()]);
    let change = change_of(&agent, deed.pid());
    assert_eq!(change["event"]["action"], "setuid");
    assert_eq!(change["process"]["previous_user"]["id"], 0);
    assert_eq!(change["process"]["user"]["id"], USER);
    assert_eq!(change["process"]["real_user"]["id"], USER);
    let created =
        agent.wait_for_event("file_access", |event| event["file"]["path"] == file.to_str().unwrap());
    assert_eq!(created["process"]["user"]["id"], USER);
    assert_eq!(created["file"]["uid"], USER);
}

#[test]
fn a_setuid_program_runs_as_root_and_its_way_to_become_root_for_good_is_told() {
    live!();
    let agent = Agent::start();
    let public = Public::new(0o4755);
    if public.ignores_setuid() {
        crate::support::skip::skip!("the folder for temporary files is mounted nosuid");
    }
    let file = public.path().join("file");
    let mut command = as_user(command(public.program(), "become"));
    command.args(["0", file.to_str().unwrap()]);
    let deed = Deed::of(command);
    let exec = agent.wait_for_event("process_create", |event| event["process"]["pid"] == deed.pid());
    assert_eq!(exec["process"]["user"]["id"], 0);
    assert_eq!(exec["process"]["real_user"]["id"], USER);
    let change = agent.wait_for_event("privilege_change", |event| {
        event["process"]["pid"] == deed.pid() && event["process"]["real_user"]["id"] == 0
    });
    assert_eq!(change["process"]["previous_user"]["id"], 0, "the effective user was root's already");
    let created =
        agent.wait_for_event("file_access", |event| event["file"]["path"] == file.to_str().unwrap());
    assert_eq!((&created["process"]["real_user"]["id"], &created["file"]["uid"]), (&json!(0), &json!(0)));
}

#[test]
fn a_change_of_the_group_is_told_as_that() {
    live!();
    let agent = Agent::start();
    let deed = Deed::new("change group", &[]);
    let change = change_of(&agent, deed.pid());
    assert_eq!(change["event"]["action"], "setgid");
    assert_eq!(change["process"]["group"]["id"], USER);
    assert_eq!(change["process"]["user"]["id"], 0);
}

#[test]
fn a_call_that_changes_nothing_is_no_change() {
    live!();
    let agent = Agent::start();
    let public = Public::new(0o755);
    let file = public.path().join("file");
    let deed = Deed::new("become", &["0", file.to_str().unwrap()]);
    agent.wait_for_event("file_access", |event| event["file"]["path"] == file.to_str().unwrap());
    agent.settle();
    let changes = agent.events("privilege_change", |event| event["process"]["pid"] == deed.pid());
    assert!(changes.is_empty(), "{changes:?}");
}
