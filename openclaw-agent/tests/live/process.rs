//! Processes: how they begin, what they run, how they end.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::deed::{self, Deed, Deeds, command, link, program, say};
use crate::support::deep::Deep;
use crate::support::live;

pub(crate) const DEEDS: Deeds = &[
    ("signal", |args| {
        let signal = args[0].to_str().unwrap().parse().unwrap();
        // SAFETY: the calls have no preconditions.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal)
        }
    }),
    ("make a file here", |_| {
        std::fs::write("file", "").unwrap();
        0
    }),
    ("exec without arguments", |args| {
        let program = CString::new(args[0].as_bytes()).unwrap();
        // SAFETY: there is one thread. The path is ended by NUL, and the array by a null pointer.
        unsafe {
            std::env::set_var("OPENCLAW_TEST_DEED", "nothing");
            libc::execv(program.as_ptr(), [std::ptr::null()].as_ptr());
        }
        1
    }),
    ("exec in a thread", |args| {
        let program = CString::new(args[0].as_bytes()).unwrap();
        // SAFETY: there is one thread yet.
        unsafe { std::env::set_var("OPENCLAW_TEST_DEED", "exit") };
        std::thread::spawn(move || {
            let arguments = [program.as_ptr(), c"5".as_ptr(), std::ptr::null()];
            // SAFETY: the path and the arguments are ended by NUL, and their array by a null pointer.
            unsafe { libc::execv(program.as_ptr(), arguments.as_ptr()) };
        })
        .join()
        .unwrap();
        1
    }),
    ("take terminal", |args| {
        let terminal = CString::new(args[0].as_bytes()).unwrap();
        // SAFETY: the path is ended by NUL; the first terminal that a session's leader opens becomes its own.
        unsafe {
            assert_ne!(libc::setsid(), -1);
            assert_ne!(libc::open(terminal.as_ptr(), libc::O_RDWR), -1);
        }
        command(program(), "nothing").arg("in terminal").status().unwrap();
        0
    }),
    ("fork", |_| {
        // SAFETY: there is one thread, and the child ends at once.
        unsafe {
            match libc::fork() {
                0 => libc::_exit(9),
                child => {
                    say(&child.to_string());
                    libc::waitpid(child, std::ptr::null_mut(), 0);
                }
            }
        }
        0
    }),
];

/// Starts a command and waits for its end; returns its pid.
pub(crate) fn run(command: &mut Command) -> u32 {
    let mut child = command.spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

pub(crate) fn exec_of(agent: &Agent, pid: u32) -> Value {
    agent.wait_for_event("process_create", |event| event["process"]["pid"] == pid)
}

fn exit_of(agent: &Agent, pid: u32) -> Value {
    agent.wait_for_event("process_exit", |event| event["process"]["pid"] == pid)
}

/// The number in `kind:[number]` of a namespace of this process.
fn namespace(kind: &str) -> u64 {
    let link = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    let link = link.to_str().unwrap();
    link[link.find('[').unwrap() + 1..link.len() - 1].parse().unwrap()
}

#[test]
fn a_program_that_is_begun_is_seen_with_all_that_is_known_of_it() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let pid = run(command(program(), "exit").args(["0", "two words", ""]).current_dir(folder.path()));
    let event = exec_of(&agent, pid);
    let process = &event["process"];
    let own = program();
    assert_eq!(event["event"]["action"], "exec");
    assert_eq!(process["name"], own.file_name().unwrap().to_str().unwrap());
    assert_eq!(process["executable"], own.to_str().unwrap());
    assert_eq!(process["args"], json!([own.to_str().unwrap(), "0", "two words", ""]));
    assert_eq!(process["args_count"], 4);
    assert_eq!(process["args_truncated"], false);
    assert_eq!(process["working_directory"], folder.path().to_str().unwrap());
    assert_eq!(process["parent"]["pid"], std::process::id());
    assert_eq!(process["parent"]["executable"], own.to_str().unwrap());
    for id in [&process["user"], &process["real_user"], &process["group"], &process["real_group"]] {
        assert_eq!(id["id"], 0, "the tests run as root");
    }
    // SAFETY: the call has no preconditions.
    match unsafe { libc::getsid(0) } {
        // What the first process began before it had a session.
        0 => assert_eq!(process["session_id"], Value::Null),
        leader => assert_eq!(process["session_id"], leader),
    }
    for (name, kind) in [("pid", "pid"), ("mount", "mnt"), ("network", "net")] {
        assert_eq!(process["namespace"][name], namespace(kind), "{kind}");
    }
    let cgroups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let cgroup = process["cgroup"].as_str().unwrap();
    assert!(cgroups.lines().any(|line| line.rsplit(':').next() == Some(cgroup)), "{cgroup} of {cgroups}");
    let login = std::fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    match login.trim().parse::<u32>() {
        Ok(u32::MAX) | Err(_) => assert_eq!(event["user"]["audit"], Value::Null),
        Ok(uid) => assert_eq!(event["user"]["audit"]["id"], uid),
    }
}

#[test]
fn fork_exec_and_exit_of_a_process_carry_the_same_entity() {
    live!();
    let agent = Agent::start();
    let pid = run(command(program(), "exit").arg("7"));
    let exit = exit_of(&agent, pid);
    let entity = &exec_of(&agent, pid)["process"]["entity_id"];
    let fork = agent.wait_for_event("process_fork", |event| event["process"]["pid"] == pid);
    assert!(entity.as_str().unwrap().starts_with(&format!("{pid}-")));
    assert_eq!(&fork["process"]["entity_id"], entity);
    assert_eq!(&exit["process"]["entity_id"], entity);
    assert_eq!(exit["process"]["exit_code"], 7);
    assert_eq!(exit["process"]["start"], fork["process"]["start"]);
}

#[test]
fn the_signal_that_ended_a_process_is_told_in_place_of_an_exit_code() {
    live!();
    let agent = Agent::start();
    for signal in [libc::SIGKILL, libc::SIGTERM] {
        let pid = run(command(program(), "signal").arg(signal.to_string()));
        let process = &exit_of(&agent, pid)["process"];
        assert_eq!(process["exit_signal"], signal);
        assert_eq!(process["exit_code"], Value::Null);
    }
}

#[test]
fn a_program_begun_through_a_link_has_the_links_name_and_its_own_path() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let pid = run(&mut command(link(folder.path(), "innocent"), "exit"));
    let process = &exec_of(&agent, pid)["process"];
    assert_eq!(process["name"], "innocent");
    assert_eq!(process["executable"], program().to_str().unwrap());
}

#[test]
fn a_child_that_ends_at_once_without_a_program_of_its_own_is_seen() {
    live!();
    let agent = Agent::start();
    let mut deed = Deed::new("fork", &[]);
    let child: u32 = deed.hear().parse().unwrap();
    let exit = exit_of(&agent, child);
    assert_eq!(exit["process"]["exit_code"], 9);
    assert_eq!(exit["process"]["parent"]["pid"], deed.pid());
    assert_eq!(
        exit["process"]["executable"],
        program().to_str().unwrap(),
        "its parent's, until it calls exec"
    );
    let fork = agent.wait_for_event("process_fork", |event| event["process"]["pid"] == child);
    assert_eq!(fork["process"]["entity_id"], exit["process"]["entity_id"]);
}

#[test]
fn arguments_beyond_four_kibibytes_are_cut_and_marked() {
    live!();
    let agent = Agent::start();
    let long = "x".repeat(1000);
    let pid = run(command(program(), "exit").arg("0").args([&long; 10]));
    let process = &exec_of(&agent, pid)["process"];
    assert_eq!(process["args_truncated"], true);
    assert_eq!(process["args_count"], 12);
    let kept = process["command_line"].as_str().unwrap();
    assert!((4000..=4096).contains(&kept.len()), "{} bytes are kept", kept.len());
    assert_eq!(process["args"][2], *long);
}

#[test]
fn arguments_of_two_mebibytes_are_counted_though_most_are_cut() {
    live!();
    let agent = Agent::start();
    // One argument may have 128 KiB, and all of them a quarter of the stack's limit.
    let long = "x".repeat(127 << 10);
    let mut heavy = command(program(), "exit");
    heavy.arg("0").args([&long; 16]);
    // SAFETY: the call may be made between fork and exec.
    unsafe {
        heavy.pre_exec(|| {
            let room = libc::rlimit { rlim_cur: 16 << 20, rlim_max: 16 << 20 };
            assert_eq!(libc::setrlimit(libc::RLIMIT_STACK, &raw const room), 0);
            Ok(())
        });
    }
    let process = &exec_of(&agent, run(&mut heavy))["process"];
    assert_eq!((&process["args_count"], &process["args_truncated"]), (&json!(18), &json!(true)));
    assert_eq!(process["args"][1], "0");
}

#[test]
fn a_program_without_any_argument_is_told() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let bare = link(folder.path(), "bare");
    let pid = run(command(program(), "exec without arguments").arg(&bare));
    let event = agent.wait_for_event("process_create", |event| event["process"]["name"] == "bare");
    assert_eq!(event["process"]["pid"], pid);
    assert_eq!(event["process"]["executable"], program().to_str().unwrap());
    // Since 5.18 the kernel gives such a program one argument, which is empty.
    let count = event["process"]["args_count"].as_u64().unwrap();
    assert!(count <= 1, "{count}");
    assert_eq!(event["process"]["args"], if count == 0 { Value::Null } else { json!([""]) });
}

#[test]
fn an_argument_that_is_no_text_is_told_with_what_can_be_read_of_it() {
    live!();
    let agent = Agent::start();
    let pid = run(command(program(), "exit").arg("0").arg(OsStr::from_bytes(b"a\xffb")).arg("after"));
    let process = &exec_of(&agent, pid)["process"];
    assert_eq!(process["args"][2], "a\u{fffd}b");
    assert_eq!(process["args"][3], "after");
}

#[test]
fn a_thread_that_calls_exec_is_told_as_its_process() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let next = link(folder.path(), "next");
    let pid = run(command(program(), "exec in a thread").arg(&next));
    let event = agent.wait_for_event("process_create", |event| event["process"]["name"] == "next");
    assert_eq!(event["process"]["pid"], pid);
    assert_eq!(event["process"]["entity_id"], exec_of(&agent, pid)["process"]["entity_id"]);
    let exit = exit_of(&agent, pid);
    assert_eq!((&exit["process"]["name"], &exit["process"]["exit_code"]), (&json!("next"), &json!(5)));
}

#[test]
fn the_terminal_of_a_process_is_told() {
    live!();
    let agent = Agent::start();
    // SAFETY: the calls have no preconditions but an open descriptor; the name is copied at once.
    let (_controller, name) = unsafe {
        let controller = OwnedFd::from_raw_fd(libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY));
        assert_eq!(libc::grantpt(controller.as_raw_fd()), 0);
        assert_eq!(libc::unlockpt(controller.as_raw_fd()), 0);
        let name = CStr::from_ptr(libc::ptsname(controller.as_raw_fd()));
        (controller, name.to_str().unwrap().to_owned())
    };
    let leader = run(command(program(), "take terminal").arg(&name));
    let event = agent.wait_for_event("process_create", |event| {
        event["process"]["parent"]["pid"] == leader && event["process"]["args"][1] == "in terminal"
    });
    let number = name.rsplit('/').next().unwrap();
    let told = event["process"]["tty"].as_str().unwrap();
    assert!(told.starts_with("pts") && told.ends_with(number), "{told} is {name}");
    assert_eq!(event["process"]["session_id"], leader);
}

#[test]
fn a_process_that_is_older_than_the_agent_is_known_when_it_ends() {
    live!();
    let mut deed = Deed::new("wait", &["3"]);
    deed.hear();
    let agent = Agent::start();
    let pid = deed.pid();
    deed.tell("go on");
    deed.end();
    let process = &exit_of(&agent, pid)["process"];
    assert_eq!(process["exit_code"], 3);
    assert_eq!(process["executable"], program().to_str().unwrap());
    assert_eq!(process["name"], program().file_name().unwrap().to_str().unwrap());
    assert_eq!(process["args"][1], "3");
    assert_eq!(process["parent"]["pid"], std::process::id());
    assert_eq!(process["parent"]["executable"], program().to_str().unwrap());
    assert_eq!(process["user"]["id"], 0);
}

#[test]
fn working_directory_and_executable_are_whole_however_deep_they_lie() {
    live!();
    let agent = Agent::start();
    let deep = Deep::new(300);
    let copy = deep.path().join("copy");
    deed::copy(&program(), &copy);
    let pid = run(command(&copy, "exit").current_dir(deep.path()));
    std::fs::remove_file(&copy).unwrap();
    let process = &exec_of(&agent, pid)["process"];
    assert_eq!(process["executable"], copy.to_str().unwrap());
    assert_eq!(process["working_directory"], deep.path().to_str().unwrap());
}

#[test]
fn paths_deeper_than_the_kernel_walks_lack_their_beginning_and_show_it() {
    live!();
    let agent = Agent::start();
    let deep = Deep::new(4000);
    let pid = run(deep.begin_here(&mut command(program(), "make a file here")));
    let event = exec_of(&agent, pid);
    let told = event["process"]["working_directory"].as_str().unwrap();
    assert!(!told.starts_with('/') && told.len() > 1000, "{told}");
    assert!(deep.path().to_str().unwrap().ends_with(told), "{told}");
    let event = agent.wait_for_event("file_access", |event| {
        event["process"]["pid"] == pid && event["file"]["name"] == "file"
    });
    assert_eq!(event["file"]["path_truncated"], true);
    let told = event["file"]["path"].as_str().unwrap();
    assert!(deep.path().join("file").to_str().unwrap().ends_with(told) && told.len() > 1000, "{told}");
}

#[test]
fn a_name_with_control_characters_does_not_break_the_line_it_is_told_in() {
    live!();
    let agent = Agent::start();
    let folder = tempfile::tempdir().unwrap();
    let name = OsString::from_vec(b"evil\n{\"a\":\x1b[31m".to_vec());
    let path = Path::new(folder.path()).join(&name);
    std::os::unix::fs::symlink(program(), &path).unwrap();
    let pid = run(&mut command(&path, "exit"));
    assert_eq!(exec_of(&agent, pid)["process"]["name"], name.to_str().unwrap());
}
