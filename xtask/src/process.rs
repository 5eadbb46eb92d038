//! Running other programs: what they were, what became of them, and as whom they run.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Lines of a failed command's output that are shown.
const TAIL: usize = 30;

/// The first executable file of this name on the search path, `/sbin` and `/usr/sbin` included: a user's
/// path often lacks them.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| is_executable(file))
}

/// Whether `file` is a file that someone may execute.
pub(crate) fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

/// `program` as root: as it is where this process is root, else through sudo.
///
/// `environment` is passed on by name and value, because sudo keeps none of it.
///
/// # Errors
/// Where this process is not root and there is no sudo.
pub(crate) fn as_root(program: impl AsRef<OsStr>, environment: &[(&str, &OsStr)]) -> Result<Command> {
    let program = program.as_ref();
    if is_root() {
        let mut command = Command::new(program);
        command.envs(environment.iter().copied());
        return Ok(command);
    }
    let Some(sudo) = find("sudo") else {
        bail!(
            "{} needs root, this user is not root and there is no sudo: run the same command as root",
            program.display()
        );
    };
    let mut command = Command::new(sudo);
    if !environment.is_empty() {
        command.arg("env");
        for (name, value) in environment {
            let mut assignment = OsStr::new(name).to_owned();
            assignment.push("=");
            assignment.push(value);
            command.arg(assignment);
        }
    }
    command.arg(program);
    Ok(command)
}

/// The workspace's own cargo, without what the cargo that started this process left in the environment:
/// some build scripts watch those variables and would build anew at each change of them.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    forget_outer_cargo(&mut command);
    command.current_dir(crate::workspace::root());
    command
}

/// Takes from a command's environment what the outer `cargo run` set for this process alone.
pub(crate) fn forget_outer_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let set_by_cargo_run = text == "LD_LIBRARY_PATH"
            || text == "CARGO"
            || text == "CARGO_TARGET_DIR"
            || text == "CARGO_BIN_NAME"
            || text == "CARGO_CRATE_NAME"
            || text == "CARGO_PRIMARY_PACKAGE"
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_");
        if set_by_cargo_run {
            command.env_remove(&name);
        }
    }
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A word as a POSIX shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a command that writes to the terminal itself.
///
/// # Errors
/// Where it cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a command and returns what it wrote, whatever its exit status.
///
/// # Errors
/// Where it cannot be started.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", shown(command)))
}

/// Runs a command that is shown only where it fails, and returns what it wrote on stdout.
///
/// # Errors
/// Where it cannot be started or does not succeed: the error holds the end of its output.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let all = format!("{text}{errors}");
        let lines: Vec<&str> = all.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n    ");
        bail!("`{}` failed ({})\n    {tail}", shown(command), output.status);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_only_where_the_shell_needs_it() {
        assert_eq!(quoted("--test-threads=1"), "--test-threads=1");
        assert_eq!(quoted("two words"), "'two words'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_failed_command_is_reported_with_its_words_and_its_output() {
        let error = capture(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .map_err(|error| error.to_string());
        let text = error.expect_err("the command exits with 3");
        assert!(text.contains("sh -c 'echo broken >&2; exit 3'"), "{text}");
        assert!(text.contains("exit status: 3") && text.contains("broken"), "{text}");
    }
}
