//! Paths and addresses that change in the caller's memory while the kernel copies them: what is told is what the
//! kernel did.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::net::{AddressFamily, SocketType};
use serde_json::Value;

use crate::network::ends;
use crate::object::needs_hook;
use crate::support::agent::Agent;
use crate::support::deed::{self, Deed, Deeds, say};
use crate::support::skip::skip;
use crate::support::torn::Torn;
use crate::support::{is_emulated, live};

pub(crate) const DEEDS: Deeds = &[
    ("exec while the path changes", exec_torn),
    ("mount while the path changes", mount_torn),
    ("say what was run", |args| {
        // SAFETY: the kernel gives each program the address of the path that it was run by, which is ended by NUL.
        let path = unsafe { CStr::from_ptr(libc::getauxval(libc::AT_EXECFN) as *const c_char) };
        say(path.to_str().unwrap());
        say(args[0].to_str().unwrap());
        0
    }),
];

const NO_FAULTS: &str = "this kernel has no userfaultfd, so nothing can change at the right moment";

/// The two files of a folder whose paths are confused: what the kernel gets, and what the memory holds afterwards.
fn files(folder: &Path) -> [PathBuf; 2] {
    // The kernel reads eight bytes at a time, so the two agree right before the page's end.
    ["aaaa-is-not-yet-there", "bbbb-is-not-yet-there"].map(|name| folder.join(name))
}

/// A text that ends with NUL, and is another one by the time the kernel has its last five letters.
fn torn([first, then]: &[PathBuf; 2]) -> Option<Torn> {
    let bytes = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap().into_bytes_with_nul();
    let (first, then) = (bytes(first), bytes(then));
    let at = first.len() - c"there".count_bytes() - 1;
    Torn::new(&first[..at], &then[..at], &first[at..])
}

/// Bytes of a `sockaddr_in`, which ends with eight bytes of nothing.
const ADDRESS: libc::socklen_t = 16;

/// The bytes that say something.
fn address_bytes(address: SocketAddrV4) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..].copy_from_slice(&address.ip().octets());
    bytes
}

/// An address that is another one by the time the kernel has its end.
fn torn_address([first, then]: [SocketAddrV4; 2]) -> Option<Torn> {
    Torn::new(&address_bytes(first), &address_bytes(then), &[0; 8])
}

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => panic!("{address} is no IPv4 address"),
    }
}

/// The file events of this process upon one of two files, as action and path.
fn told(agent: &Agent, files: &[PathBuf; 2]) -> Vec<(String, String)> {
    agent.settle();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let path = |event: &Value| {
        let file = &event["file"];
        let places = [&file["original"]["path"], &file["target_path"], &file["path"]];
        let of_ours = |place: &&&Value| files.iter().any(|path| **place == path.to_str().unwrap());
        places.iter().find(of_ours).map(|place| text(place))
    };
    agent
        .events("file_access", |event| event["process"]["pid"] == std::process::id() && path(event).is_some())
        .iter()
        .map(|event| (text(&event["event"]["action"]), path(event).unwrap()))
        .collect()
}

#[test]
fn a_file_that_was_opened_is_told_whatever_the_memory_holds_by_then() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    files.iter().for_each(|path| fs::write(path, "x").unwrap());
    let before = told(&agent, &files).len();
    let Some(path) = torn(&files) else { skip!("{NO_FAULTS}") };
    // SAFETY: the path is ended by NUL, and the descriptor is new.
    let opened = unsafe {
        let descriptor = libc::open(path.as_ptr(), libc::O_RDWR);
        assert!(descriptor >= 0, "{}", std::io::Error::last_os_error());
        File::from_raw_fd(descriptor)
    };
    assert!(path.first().windows(4).any(|part| part == b"bbbb"));
    assert_eq!(opened.metadata().unwrap().ino(), files[0].metadata().unwrap().ino());
    let path = files[0].to_str().unwrap().to_owned();
    assert_eq!(told(&agent, &files)[before..], [("write".to_owned(), path)]);
}

/// What can be done to a path, as it is told.
const ACTIONS: [&str; 7] = ["chmod", "chown", "truncate", "link", "rename", "delete", "create"];

/// Does it.
///
/// # Safety
///
/// The paths are ended by NUL.
unsafe fn act(action: &str, path: *const c_char, other: *const c_char) -> c_int {
    // SAFETY: the caller's.
    unsafe {
        match action {
            "chmod" => libc::chmod(path, 0o600),
            "chown" => libc::chown(path, 1, 1),
            "truncate" => libc::truncate(path, 0),
            "link" => libc::link(path, other),
            "rename" => libc::rename(path, other),
            "delete" => libc::unlink(path),
            _ => libc::mkdir(path, 0o700),
        }
    }
}

#[test]
fn what_was_done_to_a_path_is_told_whatever_the_memory_holds_by_then() {
    live!();
    let agent = Agent::start();
    needs_hook!(&agent, "paths changed");
    for action in ACTIONS {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        if action != "create" {
            files.iter().for_each(|path| fs::write(path, "x").unwrap());
        }
        let before = told(&agent, &files).len();
        let Some(path) = torn(&files) else { skip!("{NO_FAULTS}") };
        let other = CString::new(folder.path().join("other").as_os_str().as_bytes()).unwrap();
        // SAFETY: both are ended by NUL, whatever the first holds meanwhile.
        let result = unsafe { act(action, path.as_ptr(), other.as_ptr()) };
        assert_eq!(result, 0, "{action}: {}", std::io::Error::last_os_error());
        assert!(path.first().windows(4).any(|part| part == b"bbbb"));
        let path = files[0].to_str().unwrap().to_owned();
        assert_eq!(told(&agent, &files)[before..], [(action.to_owned(), path)]);
        // What really happened, where it leaves the name itself other than before.
        let there = files.each_ref().map(|path| path.exists());
        match action {
            "delete" | "rename" => assert_eq!(there, [false, true]),
            "create" => assert_eq!(there, [true, false]),
            _ => assert_eq!(there, [true, true]),
        }
    }
}

/// Mounts and unmounts a file system, in a mount namespace of its own, at a path that changes meanwhile. Says where that
/// really was.
fn mount_torn(args: &[OsString]) -> i32 {
    let folders = files(Path::new(&args[0]));
    // SAFETY: there is one thread, which goes on alone in the namespace.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
    let change = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", change).unwrap();
    let mounted = || {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let is_in = |folder: &&PathBuf| table.contains(folder.to_str().unwrap());
        folders.iter().filter(is_in).map(|folder| folder.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    let path = torn(&folders).unwrap();
    let tmpfs = c"tmpfs".as_ptr();
    // SAFETY: all are ended by NUL.
    let result = unsafe { libc::mount(tmpfs, path.as_ptr(), tmpfs, 0, std::ptr::null()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    path.first();
    say(&mounted());
    let path = torn(&folders).unwrap();
    // SAFETY: the path is ended by NUL.
    let result = unsafe { libc::umount2(path.as_ptr(), 0) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    path.first();
    say(&format!("then {}", mounted()));
    0
}

#[test]
fn a_file_system_is_told_where_it_was_mounted_whatever_the_memory_holds_by_then() {
    live!();
    let agent = Agent::start();
    needs_hook!(&agent, "paths changed");
    if Torn::new(b"", b"", b"").is_none() {
        skip!("{NO_FAULTS}");
    }
    let folder = tempfile::tempdir().unwrap();
    let folders = files(folder.path());
    folders.iter().for_each(|path| fs::create_dir(path).unwrap());
    let first = folders[0].to_str().unwrap();
    let mut deed = Deed::new("mount while the path changes", &[folder.path().to_str().unwrap()]);
    assert_eq!([deed.hear(), deed.hear()], [first, "then"]);
    agent.settle();
    let told: Vec<_> = agent
        .events("mount_change", |event| {
            event["process"]["pid"] == deed.pid() && event["mount"]["target"] != "/"
        })
        .iter()
        .map(|event| (event["event"]["action"].clone(), event["mount"].clone()))
        .collect();
    let at = |source: Option<&str>| match source {
        Some(source) => serde_json::json!({"source": source, "target": first}),
        None => serde_json::json!({"target": first}),
    };
    assert_eq!(told, [("mount".into(), at(Some("tmpfs"))), ("unmount".into(), at(None))]);
}

/// Runs, with a path and an argument that change meanwhile, a program of one of two names.
fn exec_torn(args: &[OsString]) -> i32 {
    let names = files(Path::new(&args[0]));
    let (Some(path), Some(argument)) = (torn(&names), torn(&names)) else { return 1 };
    // SAFETY: there is no thread that reads the environment. The path and the arguments are ended by NUL, and their
    // array by a null pointer.
    unsafe {
        std::env::set_var("OPENCLAW_TEST_DEED", "say what was run");
        libc::execv(path.as_ptr(), [c"program".as_ptr(), argument.as_ptr(), std::ptr::null()].as_ptr());
    }
    panic!("{}", std::io::Error::last_os_error());
}

#[test]
fn a_program_is_told_as_it_was_run_whatever_the_memory_held_when_it_was() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let names = files(folder.path());
    names.iter().for_each(|path| std::os::unix::fs::symlink(deed::program(), path).unwrap());
    if Torn::new(b"", b"", b"").is_none() {
        skip!("{NO_FAULTS}");
    }
    let mut deed = Deed::new("exec while the path changes", &[folder.path().to_str().unwrap()]);
    let (path, argument) = (deed.hear(), deed.hear());
    assert_eq!(path, names[0].to_str().unwrap());
    let event = agent.wait_for_event("process_create", |event| {
        event["process"]["pid"] == deed.pid() && event["process"]["args"][0] == "program"
    });
    assert_eq!(event["process"]["name"], names[0].file_name().unwrap().to_str().unwrap());
    assert_eq!(event["process"]["args"][1], argument);
}

/// The network events of that action by this process to one of two addresses.
fn reached(agent: &Agent, action: &str, addresses: [SocketAddrV4; 2]) -> Vec<SocketAddrV4> {
    agent.settle();
    agent
        .events("network_connection", |event| {
            event["event"]["action"] == action
                && event["network"]["direction"] != "inbound"
                && event["process"]["pid"] == std::process::id()
        })
        .iter()
        .filter_map(|event| ends(event).1.map(v4))
        .filter(|address| addresses.contains(address))
        .collect()
}

fn socket(kind: SocketType) -> OwnedFd {
    rustix::net::socket(AddressFamily::INET, kind, None).unwrap()
}

#[test]
fn a_connection_is_told_to_where_it_went_whatever_the_memory_holds_by_then() {
    live!();
    let agent = Agent::start();
    let servers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = servers.each_ref().map(|server| v4(server.local_addr().unwrap()));
    let Some(address) = torn_address(addresses) else { skip!("{NO_FAULTS}") };
    let socket = socket(SocketType::STREAM);
    // SAFETY: the memory is a whole `sockaddr_in`, which the kernel copies.
    let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr(), ADDRESS) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    assert_eq!(address.first()[2..4], addresses[1].port().to_be_bytes());
    assert_eq!(TcpStream::from(socket).peer_addr().unwrap(), addresses[0].into());
    assert_eq!(reached(&agent, "connection_established", addresses), [addresses[0]]);
}

#[test]
fn a_datagram_is_told_to_where_it_went_whatever_the_memory_holds_by_then() {
    live!();
    let agent = Agent::start();
    let receivers = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let addresses = receivers.each_ref().map(|receiver| v4(receiver.local_addr().unwrap()));
    let Some(address) = torn_address(addresses) else { skip!("{NO_FAULTS}") };
    let socket = socket(SocketType::DGRAM);
    // SAFETY: one byte is sent; the other memory is a whole `sockaddr_in`, which the kernel copies.
    let sent =
        unsafe { libc::sendto(socket.as_raw_fd(), c"x".as_ptr().cast(), 1, 0, address.as_ptr(), ADDRESS) };
    assert_eq!(sent, 1, "{}", std::io::Error::last_os_error());
    assert_eq!(address.first()[2..4], addresses[1].port().to_be_bytes());
    assert_eq!(receivers[0].recv(&mut [0; 2]).unwrap(), 1);
    assert_eq!(reached(&agent, "connection_established", addresses), [addresses[0]]);
}

#[test]
fn a_socket_is_told_where_it_was_bound_whatever_the_memory_holds_by_then() {
    live!();
    let agent = Agent::start();
    // A port that is free at both addresses, as of this moment.
    let port = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let addresses = [1, 2].map(|last| SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), port));
    let Some(address) = torn_address(addresses) else { skip!("{NO_FAULTS}") };
    let socket = socket(SocketType::DGRAM);
    // SAFETY: the memory is a whole `sockaddr_in`, which the kernel copies.
    let result = unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr(), ADDRESS) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    assert_eq!(address.first()[4..8], [127, 0, 0, 2]);
    assert_eq!(UdpSocket::from(socket).local_addr().unwrap(), addresses[0].into());
    assert_eq!(reached(&agent, "bind", addresses), [addresses[0]]);
}

/// How often something is done at least, and at most, while another thread changes what it is done to.
const ROUNDS: [usize; 2] = [400, 20_000];

/// Does something, with the memory of `text`, while another thread turns the letters at `at` into those of one name
/// and of the other: until what it did was now this and now that, for the threads may share a processor. Returns what was
/// done, one after another; `act` says it of each round.
#[track_caller]
fn race<T: Ord + Clone>(
    text: &mut [u8],
    at: usize,
    letters: [[u8; 4]; 2],
    mut act: impl FnMut(*const u8) -> Option<T>,
) -> Vec<T> {
    let (begin, stop) = (text.as_mut_ptr() as usize, &AtomicBool::new(false));
    let changes = &AtomicUsize::new(0);
    let (mut done, mut different) = (Vec::new(), BTreeSet::new());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for letters in letters.into_iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                // SAFETY: the text outlives the scope. That the kernel reads it meanwhile is the point.
                unsafe { ((begin + at) as *mut [u8; 4]).write_volatile(letters) };
                changes.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Also when a round fails.
        let _stopped = OnDrop(|| stop.store(true, Ordering::Relaxed));
        while changes.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        // So many that some fall between two rounds rather than into one.
        let enough = changes.load(Ordering::Relaxed) + ROUNDS[0];
        for round in 0..ROUNDS[1] {
            let has_raced =
                different.len() > 1 || (is_emulated() && changes.load(Ordering::Relaxed) > enough);
            if round >= ROUNDS[0] && has_raced {
                break;
            }
            if let Some(one) = act(begin as *const u8) {
                different.insert(one.clone());
                done.push(one);
            }
        }
    });
    // On emulated processors threads take turns, and long ones: there nothing may ever change within a call.
    assert!(is_emulated() || different.len() > 1, "nothing ever changed in {} rounds", ROUNDS[1]);
    done
}

/// Does something when it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// Does something to a path that is now that of one file and now that of the other.
#[track_caller]
fn race_of_paths(
    names: &[PathBuf; 2],
    mut act: impl FnMut(*const c_char) -> Option<PathBuf>,
) -> Vec<PathBuf> {
    let mut path = CString::new(names[0].as_os_str().as_bytes()).unwrap().into_bytes_with_nul();
    let at = path.len() - 1 - names[0].file_name().unwrap().len();
    race(&mut path, at, [*b"aaaa", *b"bbbb"], |path| act(path.cast()))
}

/// The paths in a folder to which this process did something, one after another.
fn paths(agent: &Agent, action: &str, folder: &Path) -> Vec<PathBuf> {
    agent.settle();
    agent
        .events("file_access", |event| {
            event["event"]["action"] == action
                && event["process"]["pid"] == std::process::id()
                && event["file"]["directory"] == folder.to_str().unwrap()
        })
        .iter()
        .map(|event| PathBuf::from(event["file"]["path"].as_str().unwrap()))
        .collect()
}

#[test]
fn each_file_that_is_made_is_told_by_its_name_while_the_callers_path_changes() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let made = race_of_paths(&files(folder.path()), |path| {
        // SAFETY: the path is ended by NUL whatever the other thread does.
        let descriptor = unsafe { libc::open(path, libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY, 0o600) };
        // SAFETY: the descriptor is new.
        let file = (descriptor >= 0).then(|| unsafe { File::from_raw_fd(descriptor) }).unwrap();
        let name = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        fs::remove_file(&name).unwrap();
        Some(name)
    });
    assert_eq!(paths(&agent, "create", folder.path()), made);
}

#[test]
fn each_file_that_is_deleted_is_told_by_its_name_while_the_callers_path_changes() {
    live!();
    let agent = Agent::start();
    needs_hook!(&agent, "paths changed");
    let folder = tempfile::tempdir().unwrap();
    let names = files(folder.path());
    let gone = race_of_paths(&names, |path| {
        names.iter().for_each(|name| fs::write(name, "").unwrap());
        // SAFETY: the path is ended by NUL whatever the other thread does.
        let deleted = unsafe { libc::unlink(path) } == 0;
        let missing = names.iter().find(|name| !name.exists());
        // Half of one name and half of the other is neither.
        assert_eq!(deleted, missing.is_some());
        missing.cloned()
    });
    assert_eq!(paths(&agent, "delete", folder.path()), gone);
}

/// Does something at a port of 127.0.0.1 that is now this and now that.
#[track_caller]
fn race_of_ports(
    addresses: [SocketAddrV4; 2],
    mut act: impl FnMut(*const libc::sockaddr) -> SocketAddrV4,
) -> Vec<SocketAddrV4> {
    let mut bytes = [0; ADDRESS as usize];
    bytes[..8].copy_from_slice(&address_bytes(addresses[0]));
    let changing = addresses.map(|address| {
        let [high, low] = address.port().to_be_bytes();
        [high, low, 127, 0]
    });
    race(&mut bytes, 2, changing, |address| Some(act(address.cast())))
}

#[test]
fn each_connection_is_told_to_where_it_went_while_the_callers_address_changes() {
    live!();
    let agent = Agent::start();
    let servers = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = servers.each_ref().map(|server| v4(server.local_addr().unwrap()));
    let went = race_of_ports(addresses, |address| {
        let socket = socket(SocketType::STREAM);
        // SAFETY: the memory is a whole `sockaddr_in`, which the kernel copies.
        assert_eq!(unsafe { libc::connect(socket.as_raw_fd(), address, ADDRESS) }, 0);
        let to = v4(TcpStream::from(socket).peer_addr().unwrap());
        servers[usize::from(to == addresses[1])].accept().unwrap();
        to
    });
    assert_eq!(reached(&agent, "connection_established", addresses), went);
}

#[test]
fn each_socket_is_told_where_it_was_bound_while_the_callers_address_changes() {
    live!();
    let agent = Agent::start();
    // Ports that are free, as of this moment.
    let free = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let addresses = free.map(|socket| v4(socket.local_addr().unwrap()));
    let bound = race_of_ports(addresses, |address| {
        let socket = socket(SocketType::DGRAM);
        // SAFETY: the memory is a whole `sockaddr_in`, which the kernel copies.
        assert_eq!(unsafe { libc::bind(socket.as_raw_fd(), address, ADDRESS) }, 0);
        v4(UdpSocket::from(socket).local_addr().unwrap())
    });
    assert_eq!(reached(&agent, "bind", addresses)[2..], bound);
}
