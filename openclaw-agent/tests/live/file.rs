//! Files: what is done to them, under which path, by whom.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::deed::{self, Deed, Deeds, hear, say};
use crate::support::deep::Deep;
use crate::support::skip::skip;
use crate::support::{live, overlay, wait_for};

pub(crate) const DEEDS: Deeds = &[
    ("write in folder", |args| {
        // Its own process, since a working directory is that of all threads.
        std::env::set_current_dir(&args[0]).unwrap();
        fs::write("relative", "x").unwrap();
        fs::create_dir("below").unwrap();
        fs::rename("relative", "below/../renamed").unwrap();
        fs::remove_file("./renamed").unwrap();
        say("done");
        hear();
        0
    }),
    ("write below mount", |args| {
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
        // SAFETY: there is one thread, and the descriptor table stays shared with nobody.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS).unwrap() };
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        mount("tmpfs", &args[0], "tmpfs", MountFlags::empty(), None).unwrap();
        fs::create_dir(Path::new(&args[0]).join("folder")).unwrap();
        fs::write(Path::new(&args[0]).join("folder/file"), "x").unwrap();
        0
    }),
    ("write in overlay", |args| {
        let merged = overlay::over(Path::new(&args[0]), Path::new(&args[1]));
        // An open for writing copies up.
        drop(File::open(merged.join("lower")).unwrap());
        drop(OpenOptions::new().append(true).open(merged.join("lower")).unwrap());
        drop(File::create_new(merged.join("new")).unwrap());
        fs::rename(merged.join("new"), merged.join("moved")).unwrap();
        0
    }),
];

/// The event of that action at that path.
#[track_caller]
fn event(agent: &Agent, action: &str, path: &Path) -> Value {
    agent.wait_for_event("file_access", |event| {
        event["event"]["action"] == action && event["file"]["path"] == path.to_str().unwrap()
    })
}

#[test]
fn a_file_that_is_created_written_renamed_and_deleted_is_told_each_time() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old.txt"), folder.path().join("new.txt"));
    fs::write(&old, "x").unwrap();
    let metadata = fs::metadata(&old).unwrap();
    OpenOptions::new().append(true).open(&old).unwrap().write_all(b"y").unwrap();
    fs::rename(&old, &new).unwrap();
    fs::remove_file(&new).unwrap();

    let created = event(&agent, "create", &old);
    let file = &created["file"];
    assert_eq!(file["name"], "old.txt");
    assert_eq!(file["extension"], "txt");
    assert_eq!(file["directory"], folder.path().to_str().unwrap());
    assert_eq!(file["inode"], metadata.ino());
    assert_eq!(file["mode"], format!("{:04o}", metadata.mode() & 0o7777));
    assert_eq!(file["path_resolved"], true);
    assert_eq!(file["path_truncated"], false);
    assert_eq!(created["process"]["pid"], std::process::id());
    assert_eq!(event(&agent, "write", &old)["file"]["inode"], metadata.ino());
    assert_eq!(event(&agent, "rename", &new)["file"]["original"]["path"], old.to_str().unwrap());
    event(&agent, "delete", &new);
}

#[test]
fn permission_bits_are_told_where_they_are_changed_by_path_and_by_descriptor() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let (by_path, by_descriptor) = (folder.path().join("path"), folder.path().join("descriptor"));
    let file = File::create(&by_descriptor).unwrap();
    fs::write(&by_path, "").unwrap();
    fs::set_permissions(&by_path, Permissions::from_mode(0o4755)).unwrap();
    file.set_permissions(Permissions::from_mode(0o2711)).unwrap();
    assert_eq!(event(&agent, "chmod", &by_path)["file"]["mode"], "4755");
    let changed = event(&agent, "chmod", &by_descriptor);
    assert_eq!(changed["file"]["mode"], "2711");
    assert_eq!((&changed["file"]["setuid"], &changed["file"]["setgid"]), (&false.into(), &true.into()));
    assert_eq!(changed["file"]["path_resolved"], true);
}

#[test]
fn folders_and_links_are_told_as_they_are_made_and_removed() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder")).unwrap();
    std::os::unix::fs::symlink("/nowhere", at("soft")).unwrap();
    fs::write(at("file"), "").unwrap();
    fs::hard_link(at("file"), at("hard")).unwrap();
    fs::remove_dir(at("folder")).unwrap();
    event(&agent, "create", &at("folder"));
    assert_eq!(event(&agent, "symlink", &at("soft"))["file"]["target_path"], "/nowhere");
    assert_eq!(event(&agent, "link", &at("hard"))["file"]["target_path"], at("file").to_str().unwrap());
    event(&agent, "delete", &at("folder"));
}

#[test]
fn owners_are_told_where_they_are_changed_by_path_and_by_descriptor() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let (by_path, by_descriptor) = (folder.path().join("path"), folder.path().join("descriptor"));
    fs::write(&by_path, "").unwrap();
    let file = File::create(&by_descriptor).unwrap();
    std::os::unix::fs::chown(&by_path, Some(4242), None).unwrap();
    std::os::unix::fs::fchown(&file, None, Some(4343)).unwrap();
    let changed = event(&agent, "chown", &by_path);
    // Where the kernel's object is seen, so is what stays.
    let group = if changed["file"]["path_resolved"] == true { 0.into() } else { Value::Null };
    assert_eq!((&changed["file"]["uid"], &changed["file"]["gid"]), (&4242.into(), &group));
    let changed = event(&agent, "chown", &by_descriptor);
    assert_eq!((&changed["file"]["uid"], &changed["file"]["gid"]), (&0.into(), &4343.into()));
}

#[test]
fn a_file_that_is_cut_by_path_or_by_descriptor_is_told() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let (by_path, by_descriptor) = (folder.path().join("path"), folder.path().join("descriptor"));
    fs::write(&by_path, "long").unwrap();
    File::create(&by_descriptor).unwrap().set_len(1).unwrap();
    let name = std::ffi::CString::new(by_path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is ended by NUL.
    assert_eq!(unsafe { libc::truncate(name.as_ptr(), 0) }, 0);
    event(&agent, "truncate", &by_path);
    event(&agent, "truncate", &by_descriptor);
}

#[test]
fn extended_attributes_that_are_set_and_taken_away_are_named() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = File::create(&path).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    // `struct vfs_cap_data` of version 2, with CAP_NET_RAW permitted and effective.
    let capability: Vec<u8> =
        [0x0200_0001_u32, 1 << 13, 0, 0, 0].iter().flat_map(|w| w.to_le_bytes()).collect();
    rustix::fs::setxattr(&path, "security.capability", &capability, flags).unwrap();
    rustix::fs::removexattr(&path, "security.capability").unwrap();
    rustix::fs::fsetxattr(&file, "trusted.openclaw", b"x", flags).unwrap();
    let told = |action: &str, resolved: bool| {
        agent.wait_for_event("file_access", |event| {
            event["event"]["action"] == action
                && event["file"]["path"] == path.to_str().unwrap()
                && event["file"]["path_resolved"] == resolved
        })["file"]["extended_attribute"]
            .clone()
    };
    assert_eq!(told("set_attribute", false), "security.capability");
    assert_eq!(told("remove_attribute", false), "security.capability");
    assert_eq!(told("set_attribute", true), "trusted.openclaw");
}

#[test]
fn a_relative_path_is_told_from_the_working_directory_on() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let mut deed = Deed::new("write in folder", &[folder.path().to_str().unwrap()]);
    deed.hear();
    let at = |name: &str| folder.path().join(name);
    event(&agent, "create", &at("relative"));
    event(&agent, "create", &at("below"));
    let renamed = event(&agent, "rename", &at("renamed"));
    assert_eq!(renamed["file"]["original"]["path"], at("relative").to_str().unwrap());
    assert_eq!(renamed["process"]["pid"], deed.pid());
    event(&agent, "delete", &at("renamed"));
}

#[test]
fn a_path_that_begins_at_a_descriptor_is_told_from_its_folder_on() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    let (from, to) = (File::open(&one).unwrap(), File::open(&two).unwrap());
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    rustix::fs::openat(&from, "file", flags, 0o600.into()).unwrap();
    rustix::fs::renameat(&from, "file", &to, "other").unwrap();
    rustix::fs::unlinkat(&to, "other", rustix::fs::AtFlags::empty()).unwrap();
    event(&agent, "create", &one.join("file"));
    let renamed = event(&agent, "rename", &two.join("other"));
    assert_eq!(renamed["file"]["original"]["path"], one.join("file").to_str().unwrap());
    event(&agent, "delete", &two.join("other"));
}

#[test]
fn a_path_is_whole_however_deep_it_lies() {
    live!();
    let agent = Agent::start();
    let deep = Deep::new(400);
    let (old, new) = (deep.path().join("old"), deep.path().join("new"));
    fs::write(&old, "").unwrap();
    fs::rename(&old, &new).unwrap();
    assert_eq!(event(&agent, "create", &old)["file"]["path_truncated"], false);
    assert_eq!(event(&agent, "rename", &new)["file"]["original"]["path"], old.to_str().unwrap());
}

#[test]
fn a_path_deeper_than_the_kernel_walks_is_marked_and_not_left_out() {
    live!();
    let agent = Agent::start();
    let deep = Deep::new(1500);
    fs::write(deep.path().join("bottomless"), "").unwrap();
    let event = agent.wait_for_event("file_access", |event| event["file"]["name"] == "bottomless");
    assert_eq!(event["file"]["path_truncated"], true);
    let told = event["file"]["path"].as_str().unwrap();
    assert!(!told.starts_with('/') && told.ends_with("/d/bottomless"), "{told}");
}

#[test]
fn reads_are_told_of_watched_paths_and_of_no_others() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("secret")).unwrap();
    fs::create_dir(at("secret/deeper")).unwrap();
    for name in ["secret/deeper/key", "other"] {
        fs::write(at(name), "x").unwrap();
    }
    let watched = at("secret/").to_str().unwrap().to_owned();
    let agent = Setup::new()
        .watch(&format!("event.action == \"read\" and file.path startswith \"{watched}\""))
        .start();
    fs::read(at("other")).unwrap();
    fs::read(at("secret/deeper/key")).unwrap();
    assert_eq!(event(&agent, "read", &at("secret/deeper/key"))["process"]["pid"], std::process::id());
    agent.wait_for_finding("watch", |event| event["file"]["name"] == "key");
    let others = agent.events("file_access", |event| event["file"]["path"] == at("other").to_str().unwrap());
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn a_watched_file_that_was_replaced_is_still_watched() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let (watched, other) = (folder.path().join("shadow"), folder.path().join("shadow.new"));
    fs::write(&watched, "old").unwrap();
    let agent = Setup::new()
        .watch(&format!("event.action == \"read\" and file.path == \"{}\"", watched.display()))
        .start();
    fs::write(&other, "new").unwrap();
    fs::rename(&other, &watched).unwrap();
    let inode = fs::metadata(&watched).unwrap().ino();
    fs::read(&watched).unwrap();
    assert_eq!(event(&agent, "read", &watched)["file"]["inode"], inode);
}

#[test]
fn a_name_that_is_no_text_is_told_with_what_can_be_read_of_it() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"a\xffb")), "").unwrap();
    event(&agent, "create", &folder.path().join("a\u{fffd}b"));
}

#[test]
fn a_call_that_fails_is_not_told_as_done() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    fs::remove_file(&absent).unwrap_err();
    fs::rename(&absent, folder.path().join("moved")).unwrap_err();
    fs::set_permissions(&absent, Permissions::from_mode(0o4755)).unwrap_err();
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::fchmod(File::open("/proc/self/stat").unwrap().as_raw_fd(), 0o777) }, -1);
    agent.settle();
    let told = agent.events("file_access", |event| {
        event["process"]["pid"] == std::process::id()
            && (event["file"]["path"] == absent.to_str().unwrap() || event["event"]["action"] == "chmod")
    });
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_path_that_leads_over_a_mount_is_whole() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let status = deed::command(deed::program(), "write below mount").arg(folder.path()).status().unwrap();
    assert!(status.success());
    event(&agent, "create", &folder.path().join("folder/file"));
}

#[test]
fn a_watched_file_that_is_read_through_a_link_is_told_under_its_own_path() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let (watched, elsewhere) = (folder.path().join("watched"), tempfile::tempdir().unwrap());
    fs::write(&watched, "x").unwrap();
    let link = elsewhere.path().join("innocent");
    std::os::unix::fs::symlink(&watched, &link).unwrap();
    let agent = Setup::new()
        .watch(&format!("event.action == \"read\" and file.path == \"{}\"", watched.display()))
        .start();
    fs::read(&link).unwrap();
    event(&agent, "read", &watched);
}

#[test]
fn reads_below_a_watched_folder_that_is_made_later_are_told_from_soon_after() {
    live!();
    let folder = tempfile::tempdir().unwrap();
    let later = folder.path().join("later/deep");
    let agent = Setup::new()
        .watch(&format!("event.action == \"read\" and file.path startswith \"{}/\"", later.display()))
        .start();
    fs::create_dir_all(&later).unwrap();
    let file = later.join("file");
    fs::write(&file, "x").unwrap();
    wait_for("a read of it is told", || {
        fs::read(&file).unwrap();
        let reads = agent.events("file_access", |event| {
            event["event"]["action"] == "read" && event["file"]["path"] == file.to_str().unwrap()
        });
        !reads.is_empty()
    });
}

#[test]
fn files_of_a_containers_image_and_those_that_were_made_or_changed_there_are_told_apart() {
    live!();
    if let Some(impediment) = overlay::impediment() {
        skip!("{impediment}");
    }
    let (lower, room) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let merged = room.path().join("merged");
    let agent = Setup::new()
        .watch(&format!("event.action == \"read\" and file.path startswith \"{}/\"", merged.display()))
        .start();
    fs::write(lower.path().join("lower"), "x").unwrap();
    let mut child =
        deed::command(deed::program(), "write in overlay").args([lower.path(), room.path()]).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    for (action, name, upper) in [
        ("read", "lower", false),
        ("write", "lower", true),
        ("create", "new", true),
        ("rename", "moved", true),
    ] {
        let event = event(&agent, action, &merged.join(name));
        assert_eq!(event["process"]["pid"], pid);
        // Where files are seen by system calls, what happens to a path has no inode.
        if event["file"]["inode"].is_u64() {
            assert_eq!(event["file"]["upper_layer"], upper, "{action} {name}");
        }
    }
    agent.settle();
    let told = agent.count("file_access", |event| event["file"]["upper_layer"].is_boolean());
    assert!(told >= 3, "{told} events tell of the layer");
}
