//! What is measured with and without a sensor: one activity each, repeated in a process of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cgroup;
use crate::process;

/// How long one run of a loop takes, roughly, without a sensor.
const SECONDS: f64 = 1.0;

/// Bytes that the bulk transfer writes at once; so many are one operation.
const CHUNK: usize = 1 << 20;

/// Files that the loops over files take in turn.
const FILES: u32 = 512;

/// One activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Activity {
    /// a system call that nobody looks at: what is asked of each call of the machine
    Call,
    /// posix_spawn of a static program, and its end
    Exec,
    /// open to read, and close
    OpenRead,
    /// open to write, and close
    OpenWrite,
    /// a file made, renamed, deleted
    Rename,
    /// a connection made and closed
    Connect,
    /// a MiB over one connection
    Bulk,
    /// a small crate compiled
    Compile,
    /// a datagram sent and received
    Datagram,
}

impl Activity {
    /// Those that are run beside sensors, in the order in which they are shown.
    pub(super) const ALL: [Activity; 8] = [
        Activity::Call,
        Activity::Exec,
        Activity::OpenRead,
        Activity::OpenWrite,
        Activity::Rename,
        Activity::Connect,
        Activity::Bulk,
        Activity::Compile,
    ];

    /// What one operation is.
    pub(super) fn name(self) -> &'static str {
        match self {
            Activity::Call => "a system call that tells nothing (getppid)",
            Activity::Exec => "exec and exit of a static program",
            Activity::OpenRead => "open and close, to read",
            Activity::OpenWrite => "open and close, to write",
            Activity::Rename => "create, rename and delete a file",
            Activity::Connect => "TCP connect and close, loopback",
            Activity::Bulk => "1 MiB over TCP, loopback",
            Activity::Compile => "compile of a small crate",
            Activity::Datagram => "datagram over UDP, loopback",
        }
    }

    /// What the command line calls it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Activity::Call => "call",
            Activity::Exec => "exec",
            Activity::OpenRead => "open-read",
            Activity::OpenWrite => "open-write",
            Activity::Rename => "rename",
            Activity::Connect => "connect",
            Activity::Bulk => "bulk",
            Activity::Compile => "compile",
            Activity::Datagram => "datagram",
        }
    }

    fn run(self, folder: &Path, count: u32) -> Result<()> {
        match self {
            Activity::Call => {
                calls(count);
                Ok(())
            }
            Activity::Exec => executions(folder, count),
            Activity::OpenRead => opens(folder, count, false),
            Activity::OpenWrite => opens(folder, count, true),
            Activity::Rename => renames(folder, count),
            Activity::Connect => connections(count),
            Activity::Bulk => bulk(count),
            Activity::Compile => compiles(folder, count),
            Activity::Datagram => datagrams(Ipv4Addr::LOCALHOST, count),
        }
    }
}

/// What a run of a loop took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// From its beginning to its end.
    pub(super) time: Duration,
    /// On processors, by its own process and those that it started.
    pub(super) processors: Duration,
}

/// What `bench loop` takes: the process that [`start`] starts.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(value_enum)]
    activity: Activity,
    count: u32,
    folder: PathBuf,
    group: PathBuf,
    /// Where datagrams go
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    at: Ipv4Addr,
}

/// Runs a loop in this process, and prints the microseconds that it took, and those on processors.
///
/// # Errors
/// Where the activity fails.
pub(super) fn command(arguments: &Arguments) -> Result<()> {
    let before = cgroup::usage(&arguments.group)?;
    let started = Instant::now();
    match arguments.activity {
        Activity::Datagram => datagrams(arguments.at, arguments.count),
        activity => activity.run(&arguments.folder, arguments.count),
    }?;
    let time = started.elapsed();
    let processors = cgroup::usage(&arguments.group)?.saturating_sub(before);
    println!("{} {}", time.as_micros(), processors.as_micros());
    Ok(())
}

/// Runs a loop in a process and a control group of its own.
///
/// # Errors
/// Where the activity fails.
pub(super) fn run(activity: Activity, folder: &Path, count: u32) -> Result<Taken> {
    run_in(cgroup::Cgroup::new("bench", "loop")?, activity, folder, count)
}

/// The same in a control group that is given.
///
/// # Errors
/// Where the activity fails.
pub(super) fn run_in(group: cgroup::Cgroup, activity: Activity, folder: &Path, count: u32) -> Result<Taken> {
    let this = std::env::current_exe().context("cannot find the own program")?;
    taken(
        group
            .command(&this)
            .args(["bench", "loop", activity.word(), &count.to_string()])
            .arg(folder)
            .arg(group.folder()),
    )
}

/// Sends datagrams to an address of this machine in a control group that is given; `through` are the words of a command that
/// runs another.
///
/// # Errors
/// Where they do not arrive.
pub(super) fn run_at(group: &cgroup::Cgroup, through: &[String], at: Ipv4Addr, count: u32) -> Result<Taken> {
    let this = std::env::current_exe().context("cannot find the own program")?;
    let program =
        process::find(&through[0]).with_context(|| format!("there is no program {}", through[0]))?;
    let word = Activity::Datagram.word();
    let mut command = group.command(&program);
    command.args(&through[1..]).arg(this).args(["bench", "loop", word, &count.to_string()]);
    taken(command.arg(group.folder()).arg(group.folder()).args(["--at", &at.to_string()]))
}

fn taken(command: &mut Command) -> Result<Taken> {
    let text = process::capture(command)?;
    let mut micros = text.split_whitespace().map(|word| word.parse().map(Duration::from_micros));
    match (micros.next(), micros.next()) {
        (Some(Ok(time)), Some(Ok(processors))) => Ok(Taken { time, processors }),
        _ => bail!("a loop said what is no measurement: {text}"),
    }
}

/// How often an activity fits into [`SECONDS`].
///
/// # Errors
/// Where it fails.
pub(super) fn calibrate(activity: Activity, folder: &Path) -> Result<u32> {
    let (mut count, least) = if activity == Activity::Compile { (1, 1.0) } else { (50, 50.0) };
    loop {
        let seconds = run(activity, folder, count)?.time.as_secs_f64();
        if seconds > SECONDS / 10.0 {
            let fitting = (f64::from(count) * SECONDS / seconds).clamp(least, 1e7);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
            return Ok(fitting as u32);
        }
        count *= 4;
    }
}

/// Makes what the loops work on: a static program, files, a crate.
///
/// # Errors
/// Where something cannot be made.
pub(super) fn prepare(folder: &Path) -> Result<()> {
    let write = |name: &Path, text: &str| {
        let file = folder.join(name);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        }
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    };
    write(Path::new("program.rs"), "fn main() {}\n")?;
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["-O", "-C", "target-feature=+crt-static", "-C", "relocation-model=static", "-o", "program"]);
    process::forget_outer_cargo(&mut rustc);
    process::capture(rustc.arg("program.rs").current_dir(folder))?;
    for file in 0..FILES {
        write(&Path::new("files").join(file.to_string()), "content")?;
    }
    write(
        Path::new("crate/Cargo.toml"),
        "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n",
    )?;
    let module = |number: u32| {
        format!(
            "use std::collections::BTreeMap;\n\n#[derive(Debug, Clone, Default, PartialEq)]\npub struct Table{number} \
             {{\n    rows: BTreeMap<u64, Vec<String>>,\n}}\n\nimpl Table{number} {{\n    pub fn add(&mut self, key: u64, \
             value: &str) -> usize {{\n        let row = self.rows.entry(key).or_default();\n        \
             row.push(value.to_owned());\n        row.sort();\n        row.len()\n    }}\n}}\n"
        )
    };
    let mut main = String::new();
    for number in 0..12 {
        write(Path::new(&format!("crate/src/table{number}.rs")), &module(number))?;
        main += &format!("mod table{number};\n");
    }
    main += "\nfn main() {\n";
    for number in 0..12 {
        main += &format!(
            "    let mut table = table{number}::Table{number}::default();\n    table.add({number}, \"value\");\n    \
             println!(\"{{table:?}}\");\n"
        );
    }
    main += "}\n";
    write(Path::new("crate/src/main.rs"), &main)
}

fn calls(count: u32) {
    for _ in 0..count {
        std::hint::black_box(std::os::unix::process::parent_id());
    }
}

fn executions(folder: &Path, count: u32) -> Result<()> {
    let program = folder.join("program");
    for _ in 0..count {
        // Without anything that std would need fork for, it takes posix_spawn.
        let mut command = Command::new(&program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
        ensure!(status.success(), "{} ended with {status}", program.display());
    }
    Ok(())
}

fn opens(folder: &Path, count: u32, to_write: bool) -> Result<()> {
    let files: Vec<_> = (0..FILES).map(|file| folder.join("files").join(file.to_string())).collect();
    for file in files.iter().cycle().take(count as usize) {
        let opened = File::options().read(!to_write).write(to_write).open(file);
        opened.with_context(|| format!("cannot open {}", file.display()))?;
    }
    Ok(())
}

fn renames(folder: &Path, count: u32) -> Result<()> {
    for number in 0..count {
        let (first, second) =
            (folder.join(format!("made-{number}")), folder.join(format!("renamed-{number}")));
        File::create(&first).with_context(|| format!("cannot make {}", first.display()))?;
        std::fs::rename(&first, &second).with_context(|| format!("cannot rename {}", first.display()))?;
        std::fs::remove_file(&second).with_context(|| format!("cannot delete {}", second.display()))?;
    }
    Ok(())
}

/// To a listener of its own at each call: a closed connection keeps its pair of ports busy for a minute.
fn connections(count: u32) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let address = listener.local_addr().context("the listener has no address")?;
    let server = std::thread::spawn(move || {
        for _ in 0..count {
            // A connection that fails here fails at its other end too, where it is reported.
            drop(listener.accept());
        }
    });
    for _ in 0..count {
        let mut stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        // Until the other end has closed it: a listener that falls behind would drop the next one, and the
        // wait for the second try would be all that is measured.
        stream.read_to_end(&mut Vec::new()).with_context(|| format!("cannot read from {address}"))?;
    }
    ensure!(server.join().is_ok(), "the listener on {address} ended with a panic");
    Ok(())
}

fn bulk(count: u32) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let address = listener.local_addr().context("the listener has no address")?;
    let server = std::thread::spawn(move || -> std::io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let (mut buffer, mut total) = (vec![0; CHUNK], 0);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(total),
                read => total += read as u64,
            }
        }
    });
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    let chunk = vec![0x5a; CHUNK];
    for _ in 0..count {
        stream.write_all(&chunk).with_context(|| format!("cannot write to {address}"))?;
    }
    drop(stream);
    match server.join() {
        Ok(Ok(total)) if total == u64::from(count) * CHUNK as u64 => Ok(()),
        other => bail!("the reader of {address} read what was not sent: {other:?}"),
    }
}

/// One at a time, so that none finds its socket full.
fn datagrams(at: Ipv4Addr, count: u32) -> Result<()> {
    let socket = || UdpSocket::bind((at, 0)).with_context(|| format!("cannot have a socket at {at}"));
    let (from, to) = (socket()?, socket()?);
    let address = to.local_addr().context("the socket has no address")?;
    let mut buffer = [0; 16];
    for _ in 0..count {
        from.send_to(b"datagram", address).with_context(|| format!("cannot send to {address}"))?;
        to.recv_from(&mut buffer).with_context(|| format!("cannot receive at {address}"))?;
    }
    Ok(())
}

fn compiles(folder: &Path, count: u32) -> Result<()> {
    let crate_folder = folder.join("crate");
    for _ in 0..count {
        // There is none at the first time.
        let _ = std::fs::remove_dir_all(crate_folder.join("target"));
        process::capture(
            process::cargo()
                .args(["build", "--quiet", "--offline", "--target-dir", "target"])
                .current_dir(&crate_folder),
        )?;
    }
    Ok(())
}
