//! Which process an event is of: among many that live a moment, where pids are used again, of which thread it comes, and
//! after the beginning was lost.

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use serde_json::Value;

use crate::support::agent::{Agent, Setup};
use crate::support::deed::{Deed, Deeds, command, hear, program, say};
use crate::support::skip::skip;
use crate::support::{is_emulated, live, wait_for};

pub(crate) const DEEDS: Deeds = &[
    ("storm", storm),
    ("use a pid again", use_pid_again),
    ("act in threads", act_in_threads),
    ("make folders on one processor", make_folders),
];

/// Runs so many programs that end at once, eight at a time, when it is told to.
fn storm(args: &[OsString]) -> i32 {
    say("ready");
    hear();
    let count: usize = args[0].to_str().unwrap().parse().unwrap();
    let mut running: Vec<Child> = Vec::new();
    for number in 0..count {
        running.push(command(program(), "exit").arg((number % 100).to_string()).spawn().unwrap());
        if running.len() == 8 || number + 1 == count {
            running.drain(..).for_each(|mut child| assert!(child.wait().is_ok()));
        }
    }
    0
}

#[test]
fn no_process_of_a_storm_is_missed() {
    live!();
    let agent = Agent::start();
    // On an emulated processor a process takes a hundred times as long.
    let usual = if is_emulated() { 300 } else { 10_000 };
    let count = if std::env::var_os("OPENCLAW_FULL").is_some() { 10 * usual } else { usual };
    let mut deed = Deed::new("storm", &[&count.to_string()]);
    deed.hear();
    let storm = deed.pid();
    deed.tell("go on");
    let status = end_of_storm(deed, &agent);
    assert!(status.success(), "{status}");
    agent.settle();

    let of_storm = |event: &Value| event["process"]["parent"]["pid"] == storm;
    let forks = agent.events("process_fork", of_storm);
    let execs = agent.events("process_create", of_storm);
    let exits = agent.events("process_exit", of_storm);
    assert_eq!((forks.len(), execs.len(), exits.len()), (count, count, count));
    let mut codes = HashMap::new();
    for exit in &exits {
        *codes.entry(exit["process"]["exit_code"].as_u64().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(codes.len(), 100);
    assert!(codes.values().all(|times| *times == count / 100), "{codes:?}");
    let losses = &agent.json(&["status", "--output", "json"])["losses"];
    // Who has ended before its program could be read for its hash was told all the same.
    // A file that it opened is no process, nor is a call.
    let is_event = |loss: &&Value| {
        let of_others = ["file_program_run_skipped", "call_program_run_skipped"];
        loss["stage"] != "filter"
            && loss["stage"] != "hash"
            && !of_others.contains(&loss["reason"].as_str().unwrap())
    };
    let lost: Vec<_> = losses.as_array().unwrap().iter().filter(is_event).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// Waits for the storm's end as long as it makes progress: on an emulated machine it takes minutes.
fn end_of_storm(mut deed: Deed, agent: &Agent) -> std::process::ExitStatus {
    /// Looks without any progress after which the storm hangs: half a minute.
    const PATIENCE: u32 = 6;
    let storm = deed.pid();
    let (mut seen, mut still) = (0, 0);
    loop {
        if let Some(status) = deed.ended_within(Duration::from_secs(5)) {
            return status;
        }
        let ended = agent.events("process_exit", |event| event["process"]["parent"]["pid"] == storm).len();
        still = if ended > seen { 0 } else { still + 1 };
        seen = ended;
        assert!(still < PATIENCE, "the storm does not go on: {seen} of its processes have ended");
    }
}

/// `struct clone_args` of `linux/sched.h` as of 5.5, and the child's pid: see clone(2).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Forks a child of that pid. Returns 0 in the child; negative where the kernel refuses.
pub(crate) fn fork_as(pid: i32) -> libc::c_long {
    let mut arguments = CloneArgs {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: &raw const pid as u64,
        set_tid_size: 1,
        ..CloneArgs::default()
    };
    // SAFETY: there is one thread. The arguments have the size that is passed; nothing but the pid is shared.
    unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArgs>()) }
}

/// Runs so many programs one after another, each with the pid of the one before, which act below a folder and at an
/// address in two threads, and end with their number.
fn use_pid_again(args: &[OsString]) -> i32 {
    // SAFETY: there is one thread, and the child ends at once.
    let pid = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        libc::waitpid(child, std::ptr::null_mut(), 0);
        std::env::set_var("OPENCLAW_TEST_DEED", "act in threads");
        child
    };
    let count: usize = args[0].to_str().unwrap().parse().unwrap();
    let own = CString::new(program().as_os_str().as_bytes()).unwrap();
    let text = |text: &OsString| CString::new(text.as_bytes()).unwrap();
    let (folder, address) = (text(&args[1]), text(&args[2]));
    for number in 0..count {
        let number = CString::new(number.to_string()).unwrap();
        match fork_as(pid) {
            0 => {
                let arguments = [&own, &number, &folder, &address].map(|argument| argument.as_ptr());
                let [program, number, folder, address] = arguments;
                let arguments = [program, number, folder, address, std::ptr::null()];
                // SAFETY: each argument is ended by NUL, and their array by a null pointer.
                unsafe { libc::execv(program, arguments.as_ptr()) };
                return 1;
            }
            child if child == libc::c_long::from(pid) => {
                // SAFETY: the call may be given no place for the status.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            }
            _ => {
                say(&std::io::Error::last_os_error().to_string());
                return 0;
            }
        }
    }
    say("done");
    0
}

/// Makes a file that is named by its number in one thread, connects to an address in another, and ends with the number.
fn act_in_threads(args: &[OsString]) -> i32 {
    let number: i32 = args[0].to_str().unwrap().parse().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(Path::new(&args[1]).join(&args[0]), "").unwrap());
        scope.spawn(|| TcpStream::connect(args[2].to_str().unwrap()).unwrap());
    });
    number
}

#[test]
fn what_processes_do_that_have_one_pid_after_another_is_told_of_each_whichever_thread_does_it() {
    live!();
    let agent = Agent::start();
    let count = if is_emulated() { 10 } else { 100 };
    let folder = tempfile::tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let mut deed =
        Deed::new("use a pid again", &[&count.to_string(), folder.path().to_str().unwrap(), &address]);
    std::thread::spawn(move || server.incoming().for_each(drop));
    let said = deed.hear();
    if said != "done" {
        skip!("this kernel gives no child a pid of choice: {said}");
    }
    let parent = deed.pid();
    agent.settle();

    let of_deed = |event: &Value| event["process"]["parent"]["pid"] == parent;
    let execs = agent.events("process_create", of_deed);
    assert_eq!(execs.len(), count);
    let mut numbers = HashMap::new();
    for exec in &execs {
        assert_eq!(exec["process"]["pid"], execs[0]["process"]["pid"], "the pid was used again");
        let number: usize = exec["process"]["args"][1].as_str().unwrap().parse().unwrap();
        numbers.insert(exec["process"]["entity_id"].as_str().unwrap().to_owned(), number);
    }
    assert_eq!(numbers.len(), count, "each has an id of its own");
    let number_of = |event: &Value| numbers[event["process"]["entity_id"].as_str().unwrap()];

    let files = agent.events("file_access", |event| event["event"]["action"] == "create" && of_deed(event));
    assert_eq!(files.len(), count);
    for file in &files {
        assert_eq!(file["file"]["name"], number_of(file).to_string(), "{file}");
    }
    let connections = agent.events("network_connection", |event| {
        event["event"]["action"] == "connection_established" && of_deed(event)
    });
    let mut owners: Vec<usize> = connections.iter().map(number_of).collect();
    owners.sort_unstable();
    assert!(owners.into_iter().eq(0..count));
    // The first one had the pid before any of them, and ran no program.
    let exits = agent.events("process_exit", |event| {
        of_deed(event) && numbers.contains_key(event["process"]["entity_id"].as_str().unwrap())
    });
    assert_eq!(exits.len(), count);
    for exit in &exits {
        assert_eq!(exit["process"]["exit_code"], number_of(exit), "{exit}");
    }
}

/// Makes and removes a folder below one so many times, on the first processor. Where it `cuts in`, that is each time in
/// the midst of what another process does there.
fn make_folders(args: &[OsString]) -> i32 {
    let [folder, count, cuts_in] = args else { panic!("{args:?}") };
    let count: usize = count.to_str().unwrap().parse().unwrap();
    // SAFETY: both structures are all zeroes where nothing is set, and have the sizes that are passed.
    unsafe {
        let mut first: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut first);
        assert_eq!(libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const first), 0);
        if cuts_in == "cuts in" {
            let priority = libc::sched_param { sched_priority: 1 };
            // Where that is not allowed, the scheduler alone has processes cut in.
            libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority);
        }
    }
    say("ready");
    hear();
    let made = Path::new(folder).join("made");
    for number in 0..count {
        if cuts_in == "cuts in" {
            // Of different lengths, so that it comes at all moments.
            std::thread::sleep(Duration::from_micros(50 + 7 * (number as u64 % 32)));
        }
        std::fs::create_dir(&made).unwrap();
        std::fs::remove_dir(&made).unwrap();
    }
    0
}

#[test]
fn what_processes_do_that_interrupt_one_another_is_told_of_each_alone() {
    live!();
    let agent = Agent::start();
    let count = if is_emulated() { 1000 } else { 5000 };
    let root = tempfile::tempdir().unwrap();
    let mut deeds = ["a", "b", "c"].map(|name| {
        // Long, so that it takes a while to be walked.
        let folder = (0..20).fold(root.path().join(name), |folder, _| folder.join(name.repeat(30)));
        std::fs::create_dir_all(&folder).unwrap();
        let cuts_in = if name == "a" { "cuts in" } else { "" };
        let deed = Deed::new(
            "make folders on one processor",
            &[folder.to_str().unwrap(), &count.to_string(), cuts_in],
        );
        (deed, folder.join("made"))
    });
    deeds.iter_mut().for_each(|(deed, _)| assert_eq!(deed.hear(), "ready"));
    let folders: HashMap<u32, String> =
        deeds.iter().map(|(deed, folder)| (deed.pid(), folder.to_str().unwrap().to_owned())).collect();
    deeds.iter_mut().for_each(|(deed, _)| deed.tell("go on"));
    deeds.into_iter().for_each(|(deed, _)| assert!(deed.end().success()));
    agent.settle();

    let mut told: HashMap<(u32, String), usize> = HashMap::new();
    for event in agent.events("file_access", |_| true) {
        let pid = event["process"]["pid"].as_u64().unwrap() as u32;
        let path = event["file"]["path"].as_str().unwrap();
        if let Some(own) = folders.get(&pid).filter(|_| path.ends_with("/made")) {
            assert_eq!(path, own, "another process's path: {event}");
            *told.entry((pid, event["event"]["action"].as_str().unwrap().to_owned())).or_insert(0) += 1;
        }
    }
    let skipped = agent.lost("file_program_run_skipped") + agent.lost("scratches_taken");
    for pid in folders.keys() {
        for action in ["create", "delete"] {
            let times = told[&(*pid, action.to_owned())];
            assert!(times <= count && times as u64 + skipped >= count as u64, "{action} of {pid}: {times}");
        }
    }
}

#[test]
fn a_process_whose_beginning_was_lost_is_known_from_proc_and_marked() {
    live!();
    let agent = Setup::new().sensor("process_ring: 64KiB").start();
    agent.signal(libc::SIGSTOP);
    // More than the ring holds.
    let mut storm = Deed::new("storm", &["100"]);
    storm.hear();
    storm.tell("go on");
    assert!(storm.end().success());
    let mut lost = Deed::new("wait", &["3"]);
    lost.hear();
    agent.signal(libc::SIGCONT);
    wait_for("the loss is counted", || agent.lost("process_ring_full") > 0);
    agent.wait_for_log("the process table was mended");
    let pid = lost.pid();
    lost.tell("go on");
    assert!(lost.end().code() == Some(3));
    let process = &agent.wait_for_event("process_exit", |event| event["process"]["pid"] == pid)["process"];
    assert_eq!(process["exec_observed"], false);
    assert_eq!(process["executable"], program().to_str().unwrap());
    assert_eq!(process["args"][1], "3");
    assert_eq!(process["parent"]["pid"], std::process::id());
    let seen = crate::process::run(&mut command(program(), "exit"));
    assert_eq!(crate::process::exec_of(&agent, seen)["process"]["exec_observed"], true);
}
