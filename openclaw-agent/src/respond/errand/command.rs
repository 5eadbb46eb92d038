//! A command that a rule names, or one that restarts a service. No shell reads it: its words are the rule's, and what
//! happened it is told on its standard input.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use openclaw_detect::Finding;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, kill_process_group};

/// How often it is looked whether one has ended.
const LOOK: Duration = Duration::from_millis(20);

/// How much of what one says on its standard error is kept.
const SAID: u64 = 512;

/// The command that these words are, ready to be told of a finding.
///
/// # Errors
/// Why it cannot be told.
pub(super) fn prepare(words: &[String], finding: &Finding) -> Result<Command, String> {
    let [program, arguments @ ..] = words else { return Err("there is no command".to_owned()) };
    let input = told(finding).map_err(|error| format!("it cannot be told what happened: {error}"))?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().process_group(0);
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(facts(finding));
    command.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

/// Why a program is not run as root: somebody else could have put it there.
pub(in crate::respond) fn untrusted(program: &str) -> Option<String> {
    let file = match std::fs::metadata(program) {
        Ok(file) => file,
        Err(error) => return Some(format!("{program}: {error}")),
    };
    if !file.is_file() || file.uid() != 0 || file.mode() & 0o022 != 0 {
        return Some(format!(
            "{program} is not a program that only root can write: mend that with chown and chmod"
        ));
    }
    let folder = Path::new(program).parent().unwrap_or(Path::new("/"));
    crate::config::trust::check_folder(folder).err().map(|error| error.to_string())
}

/// A file of memory that says what was found: a pipe would be full where the command does not read it.
fn told(finding: &Finding) -> io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("finding", MemfdFlags::CLOEXEC)?);
    serde_json::to_writer(&file, finding)?;
    file.write_all(b"\n")?;
    file.rewind()?;
    Ok(file)
}

/// What a script asks for first, as environment variables.
fn facts(finding: &Finding) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("OPENCLAW_FINDING", finding.id.clone()),
        ("OPENCLAW_RULE", finding.rule.clone()),
        ("OPENCLAW_SEVERITY", finding.severity.name().to_owned()),
        // A variable's value ends at a NUL, which no name of a file holds but a line of a log may.
        ("OPENCLAW_MESSAGE", finding.message.replace('\0', " ")),
    ];
    facts.extend(finding.process.map(|id| ("OPENCLAW_PID", id.pid.to_string())));
    facts.extend(finding.remote.map(|remote| ("OPENCLAW_REMOTE", remote.to_string())));
    facts
}

/// Runs a command to its end, or ends it and all that it began when its time is over.
///
/// # Errors
/// What became of it instead, as the end of a sentence that begins with its name.
pub(super) fn run(mut command: Command, limit: Duration) -> Result<(), String> {
    let mut child = command.spawn().map_err(|error| format!("cannot be run: {error}"))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let end = Instant::now() + limit;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if Instant::now() < end => std::thread::sleep(LOOK),
            Ok(None) => {
                // It has not been waited for: the number is still its own.
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.wait();
                let limit = crate::config::units::format_duration(limit);
                break Err(format!(
                    "was ended, since it took longer than {limit} (security.response.run_limit)"
                ));
            }
            Err(error) => break Err(format!("cannot be waited for: {error}")),
        }
    }?;
    if status.success() {
        return Ok(());
    }
    let mut said = Vec::new();
    // What it began may still hold the other end: no more than there is by now.
    if let Some(errors) = child.stderr.take() {
        let _ = rustix::io::ioctl_fionbio(&errors, true);
        let _ = errors.take(SAID).read_to_end(&mut said);
    }
    let said = String::from_utf8_lossy(&said);
    let line = said.lines().next().map(|line| format!(": {line}")).unwrap_or_default();
    Err(format!("ended with {status}{line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<(), String> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).process_group(0).stdin(Stdio::null()).stderr(Stdio::piped());
        run(command, limit)
    }

    #[test]
    fn a_command_that_fails_says_why_and_one_that_takes_too_long_is_ended_with_what_it_began() {
        let long = Duration::from_secs(60);
        assert_eq!(sh("true", long), Ok(()));
        let failed = sh("echo no such thing >&2; echo more >&2; exit 3", long).unwrap_err();
        assert_eq!(failed, "ended with exit status: 3: no such thing");
        let begun = Instant::now();
        let late = sh("sleep 60 & sleep 60", Duration::from_millis(100)).unwrap_err();
        assert!(late.contains("took longer") && begun.elapsed() < Duration::from_secs(30), "{late}");
        assert!(run(Command::new("/nonexistent"), long).unwrap_err().contains("cannot be run"));
    }

    #[test]
    fn only_what_root_alone_can_write_is_run() {
        assert!(untrusted("/nonexistent/program").is_some() && untrusted("/usr").is_some());
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert!(untrusted(program.to_str().unwrap()).unwrap().contains("only root"));
    }
}
