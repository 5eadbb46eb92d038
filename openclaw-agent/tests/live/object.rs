//! Files by the kernel's own objects: what io_uring does to them, what a call did while its arguments changed, and
//! what was tried in vain.

use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};
use serde_json::Value;

use crate::support::agent::Agent;
use crate::support::deed::{Deed, Deeds, command, program, say};
use crate::support::skip::skip;
use crate::support::{is_emulated, live};

pub(crate) const DEEDS: Deeds = &[
    ("act by io_uring", act_by_uring),
    ("delete while the path changes", delete_in_race),
    ("delete in vain", |args| {
        let dir = Path::new(&args[0]);
        assert!(std::fs::remove_dir(dir.join("full")).is_err());
        // SAFETY: there is one thread.
        unsafe {
            assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
            assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
        }
        assert!(std::fs::remove_file(dir.join("full/file")).is_err());
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

/// How often a path is deleted that another thread changes meanwhile.
const RACES: usize = 400;

/// Deletes by a path that changes between two names while the call runs, and says which file was really deleted
/// each time.
fn delete_in_race(args: &[OsString]) -> i32 {
    let names = ["aaaa", "bbbb"].map(|name| Path::new(&args[0]).join(name));
    let mut path = CString::new(names[0].as_os_str().as_bytes()).unwrap().into_bytes_with_nul();
    let at = path.len() - 5;
    let (address, stop) = (path.as_mut_ptr() as usize, &AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for letter in [b'a', b'b'] {
                    // SAFETY: the bytes outlive the scope. That the kernel reads them meanwhile is the point.
                    unsafe { ((address + at) as *mut [u8; 4]).write_volatile([letter; 4]) };
                }
            }
        });
        for _ in 0..RACES {
            names.iter().for_each(|name| std::fs::write(name, "").unwrap());
            // SAFETY: the path is ended by NUL whatever the other thread does.
            let failed = unsafe { libc::unlink(address as *const libc::c_char) };
            let gone: Vec<usize> = (0..2).filter(|index| !names[*index].exists()).collect();
            // Half of one name and half of the other is neither.
            assert_eq!(gone.len(), usize::from(failed == 0));
            for index in gone {
                say(["aaaa", "bbbb"][index]);
            }
        }
        say("end");
        stop.store(true, Ordering::Relaxed);
    });
    0
}

/// The hook by which the agent has a capability; `None` where only system calls tell of it.
fn better_hook(agent: &Agent, capability: &str) -> Option<String> {
    let status = agent.json(&["status", "--output", "json"]);
    let hooks = status["hooks"].as_array().unwrap();
    let found = hooks.iter().find(|hook| hook["capability"] == capability && hook["state"] == "attached");
    Some(found?["hook"].as_str().unwrap().to_owned())
}

/// Action and path of a file event.
fn act(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&event["event"]["action"]), text(&event["file"]["path"]))
}

#[test]
fn what_io_uring_does_to_files_is_told_as_what_calls_do() {
    live!();
    let agent = Agent::start();
    if better_hook(&agent, "files opened").is_none() {
        skip!("this kernel refuses fexit, so files are seen by system calls alone");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(program(), "act by io_uring").arg(dir.path()).spawn().unwrap();
    let pid = child.id();
    let done = child.wait().unwrap().code().unwrap() as usize;
    if done == 0 {
        skip!("this kernel has no io_uring, or forbids it");
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
fn a_deletion_is_told_of_the_file_that_is_gone_whatever_the_path_says_by_then() {
    live!();
    let agent = Agent::start();
    if better_hook(&agent, "paths changed").is_none() {
        skip!("this kernel refuses programs of the LSM and fentry, so paths are what the caller passed");
    }
    let dir = tempfile::tempdir().unwrap();
    let mut deed = Deed::new("delete while the path changes", &[dir.path().to_str().unwrap()]);
    let gone: Vec<String> = std::iter::from_fn(|| Some(deed.hear()).filter(|name| name != "end")).collect();
    agent.settle();
    let told: Vec<String> = agent
        .events("file_access", |event| {
            event["event"]["action"] == "delete" && event["process"]["pid"] == deed.pid()
        })
        .iter()
        .map(|event| event["file"]["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, gone);
    // On emulated processors threads take turns, and long ones: the path may never change within a call.
    let both: BTreeSet<_> = gone.iter().collect();
    assert!(is_emulated() || both.len() == 2, "the path never changed");
}

#[test]
fn what_is_tried_in_vain_is_an_attempt_and_no_access() {
    live!();
    let agent = Agent::start();
    if better_hook(&agent, "paths changed").is_none() {
        skip!("this kernel refuses programs of the LSM and fentry, so what fails is not seen");
    }
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("file"), "").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = command(program(), "delete in vain").arg(dir.path()).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    agent.settle();
    let attempts = agent.events("file_attempt", |event| event["process"]["pid"] == pid);
    let told: Vec<_> = attempts.iter().map(|event| (act(event), event["error"]["code"].clone())).collect();
    let tried = |path: &Path| ("delete_failed".to_owned(), path.to_str().unwrap().to_owned());
    assert_eq!(told, [(tried(&full), "ENOTEMPTY".into()), (tried(&full.join("file")), "EACCES".into())]);
    let done = |event: &Value| event["process"]["pid"] == pid && event["event"]["action"] == "delete";
    assert_eq!(agent.events("file_access", done).len(), 0);
}
