//! Files by the kernel's own objects: what io_uring does to them, and what was tried in vain.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};
use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::deed::{Deeds, command, program};
use crate::support::skip::skip;
use crate::support::{is_guest, live};

pub(crate) const DEEDS: Deeds = &[
    ("act by io_uring", act_by_uring),
    ("try in vain", |args| {
        let dir = Path::new(&args[0]);
        assert!(std::fs::remove_dir(dir.join("full")).is_err());
        // SAFETY: there is one thread.
        unsafe {
            assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
            assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
        }
        assert!(std::fs::remove_file(dir.join("full/file")).is_err());
        assert!(std::fs::read(dir.join("secret")).is_err());
        assert!(std::fs::write(dir.join("full/file"), "").is_err());
        // That there is no such file is nobody's refusal.
        assert!(std::fs::read(dir.join("missing")).is_err());
        0
    }),
];

/// Does one thing after another by io_uring. Exits with how many could be done: older kernels know fewer.
fn act_by_uring(args: &[OsString]) -> i32 {
    let dir = Path::new(&args[0]);
    let path = |name: &str| CString::new(dir.join(name).as_os_str().as_bytes()).unwrap();
    let (made, moved, linked, pointing, folder) =
        (path("made"), path("moved"), path("linked"), path("pointing"), path("folder"));
    let target = CString::new("moved").unwrap();
    let cwd = types::Fd(libc::AT_FDCWD);
    let operations: [Entry; 7] = [
        opcode::OpenAt::new(cwd, made.as_ptr()).flags(libc::O_CREAT | libc::O_WRONLY).mode(0o600).build(),
        opcode::RenameAt::new(cwd, made.as_ptr(), cwd, moved.as_ptr()).build(),
        opcode::LinkAt::new(cwd, moved.as_ptr(), cwd, linked.as_ptr()).build(),
        opcode::SymlinkAt::new(cwd, target.as_ptr(), pointing.as_ptr()).build(),
        opcode::MkDirAt::new(cwd, folder.as_ptr()).mode(0o700).build(),
        opcode::UnlinkAt::new(cwd, folder.as_ptr()).flags(libc::AT_REMOVEDIR).build(),
        opcode::UnlinkAt::new(cwd, moved.as_ptr()).build(),
    ];
    let Ok(mut uring) = IoUring::new(1) else { return 0 };
    let mut done = 0;
    for operation in operations {
        // SAFETY: the paths live until the operation is done, which is waited for.
        unsafe { uring.submission().push(&operation).unwrap() };
        uring.submit_and_wait(1).unwrap();
        let result = uring.completion().next().unwrap().result();
        if result < 0 {
            break;
        }
        done += 1;
    }
    done
}

/// The hook by which the agent has a capability; `None` where only system calls tell of it.
///
/// The kernels of guests are known to have these hooks: there a program that is refused is a fault of ours.
#[track_caller]
pub(crate) fn better_hook(agent: &Agent, capability: &str) -> Option<String> {
    let status = agent.json(&["status", "--output", "json"]);
    let hooks = status["hooks"].as_array().unwrap();
    let found = hooks.iter().find(|hook| hook["capability"] == capability && hook["state"] == "attached");
    assert!(found.is_some() || !is_guest(), "{capability}: {hooks:#?}\n{}", agent.log());
    Some(found?["hook"].as_str().unwrap().to_owned())
}

/// Leaves the test where only system calls tell of a capability.
macro_rules! needs_hook {
    ($agent:expr, $capability:literal) => {
        if $crate::object::better_hook($agent, $capability).is_none() {
            $crate::support::skip::skip!(
                "{}: it needs programs of the LSM, fentry or fexit (5.10 on), which this kernel refuses",
                $capability
            );
        }
    };
}
pub(crate) use needs_hook;

/// Action and path of a file event.
fn act(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["event"]["action"]), text(&event["file"]["path"]))
}

#[test]
fn what_io_uring_does_to_files_is_told_as_what_calls_do() {
    live!();
    let agent = Agent::start();
    needs_hook!(&agent, "files opened");
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(program(), "act by io_uring").arg(dir.path()).spawn().unwrap();
    let pid = child.id();
    let done = child.wait().unwrap().code().unwrap() as usize;
    if done == 0 {
        skip!("it needs io_uring (5.1 on), which this kernel lacks or forbids");
    }
    agent.settle();
    let events = agent.events("file_access", |event| {
        event["process"]["pid"] == pid
            && event["file"]["path"].as_str().unwrap().starts_with(dir.path().to_str().unwrap())
    });
    assert!(events.iter().all(|event| event["file"]["path_resolved"] == true), "{events:?}");
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let expected = [
        ("create", "made"),
        ("rename", "moved"),
        ("link", "linked"),
        ("symlink", "pointing"),
        ("create", "folder"),
        ("delete", "folder"),
        ("delete", "moved"),
    ]
    .map(|(action, name)| (action.to_owned(), path(name)));
    let told: Vec<_> = events.iter().map(act).collect();
    assert_eq!(told, expected[..done]);
    if done == expected.len() {
        assert_eq!(events[1]["file"]["original"]["path"], path("made"));
        assert_eq!(events[2]["file"]["target_path"], path("moved"));
        assert_eq!(events[3]["file"]["target_path"], "moved");
    }
}

#[test]
fn what_is_tried_in_vain_is_an_attempt_and_no_access() {
    live!();
    let agent = Agent::start();
    needs_hook!(&agent, "paths changed");
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("file"), "").unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "").unwrap();
    for (path, mode) in [(dir.path(), 0o755), (&secret, 0o600)] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut child = command(program(), "try in vain").arg(dir.path()).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    agent.settle();
    let attempts = agent.events("file_attempt", |event| event["process"]["pid"] == pid);
    let told: Vec<_> = attempts.iter().map(|event| (act(event), event["error"]["code"].clone())).collect();
    let tried = |action: &str, path: &Path, error: &str| {
        ((format!("{action}_failed"), path.to_str().unwrap().to_owned()), error.into())
    };
    let mut expected =
        vec![tried("delete", &full, "ENOTEMPTY"), tried("delete", &full.join("file"), "EACCES")];
    if better_hook(&agent, "files opened").is_some() {
        expected.push(tried("read", &secret, "EACCES"));
        expected.push(tried("write", &full.join("file"), "EACCES"));
    }
    assert_eq!(told, expected);
    let done = |event: &Value| {
        event["process"]["pid"] == pid
            && matches!(event["event"]["action"].as_str(), Some("delete" | "write"))
    };
    assert_eq!(agent.events("file_access", done).len(), 0);
}
