//! What a process runs: all that exec told of it.

use std::sync::{Arc, OnceLock};

use openclaw_common::record::{
    ExecRecord, FLAG_ARGS_CUT, FLAG_ARGS_UNREADABLE, FLAG_DELETED, FLAG_ENVIRONMENT_CUT, FLAG_PATH_CUT,
    FLAG_PATH2_CUT, FLAG_SCRIPT, FLAG_TREELESS, FileVersion,
};

use super::environment::Environment;
use super::path::{PathBuffer, join};
use super::procfs::{command_line, last_part};
use super::stdio::Stdio;

/// What a process runs: replaced by exec, shared with its children until then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Last part of the path passed to exec.
    pub name: String,
    /// Path of the executable as the kernel resolved it; empty where unknown.
    pub executable: String,
    /// Path of the script, where an interpreter runs one.
    pub script: Option<String>,
    /// Path of the interpreter as the script names it; empty where there is none.
    pub interpreter: String,
    /// Arguments, each ended by NUL.
    pub args: String,
    /// Arguments joined by spaces.
    pub command_line: String,
    /// How many arguments exec was given.
    pub args_count: u32,
    /// Whether `args` lacks some of them.
    pub args_truncated: bool,
    /// Working directory at exec; empty where unknown.
    pub working_directory: String,
    /// Control group path at exec; empty where unknown.
    pub cgroup: String,
    /// What only the record of an exec tells; none of a process that is older than the agent.
    pub exec: Option<Exec>,
}

/// What only the record of an exec tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Variables of the environment that are wanted, as `NAME=value`, each ended by NUL.
    pub environment: String,
    /// Whether the environment was longer than what was looked through.
    pub environment_truncated: bool,
    /// Standard input, output and error.
    pub stdio: [Stdio; 3],
    /// The executable, as it was then.
    pub file: FileVersion,
    /// Whether the executable was deleted before.
    pub deleted: bool,
    /// Whether the executable lies in memory alone.
    pub memfd: bool,
    /// Whether the executable lies in the upper layer of an overlay; none where it lies in no overlay, or the
    /// kernel does not tell.
    pub upper_layer: Option<bool>,
    /// SHA-256 of the executable in lower-case hexadecimal, once it is known.
    pub sha256: OnceLock<Arc<str>>,
}

impl Image {
    /// What the record of an exec tells, with the variables of the environment that are wanted.
    pub(super) fn of_exec(record: &ExecRecord, sections: [&[u8]; 7], wanted: &Environment) -> Self {
        let [cgroup, passed, args, interpreter, environment, executable, cwd] = sections;
        let flags = record.process.header.flags;
        let passed = text(passed);
        let args = String::from_utf8_lossy(args).into_owned();
        let executable = match executable {
            [] => String::new(),
            walked => join(walked, flags & FLAG_PATH_CUT != 0),
        };
        Image {
            name: last_part(&passed).to_owned(),
            script: (flags & FLAG_SCRIPT != 0).then(|| script(passed, cwd, flags & FLAG_PATH2_CUT != 0)),
            interpreter: text(interpreter),
            command_line: command_line(&args),
            args_count: record.argc.max(args.split_terminator('\0').count() as u32),
            args,
            args_truncated: flags & (FLAG_ARGS_CUT | FLAG_ARGS_UNREADABLE) != 0,
            working_directory: join(cwd, flags & FLAG_PATH2_CUT != 0),
            cgroup: join(cgroup, false),
            exec: Some(Exec {
                environment: wanted.of(environment),
                environment_truncated: flags & FLAG_ENVIRONMENT_CUT != 0,
                stdio: record.stdio.map(Stdio::of),
                file: record.executable,
                deleted: flags & FLAG_DELETED != 0,
                memfd: flags & FLAG_TREELESS != 0 && executable.starts_with("memfd:"),
                sha256: OnceLock::new(),
                upper_layer: record.process.header.upper_layer(),
            }),
            executable,
        }
    }
}

fn text(ended_by_nul: &[u8]) -> String {
    String::from_utf8_lossy(ended_by_nul.strip_suffix(&[0]).unwrap_or(ended_by_nul)).into_owned()
}

/// A script's path as the caller passed it, begun at the working directory where it is relative.
fn script(passed: String, cwd: &[u8], cut: bool) -> String {
    if passed.starts_with('/') {
        return passed;
    }
    let mut path = PathBuffer::default();
    path.set_joined(cwd, passed.as_bytes(), cut);
    path.as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use openclaw_common::record::{FLAG_LAYER_KNOWN, FLAG_UPPER_LAYER};

    use super::*;

    fn image(flags: u32, sections: [&[u8]; 7]) -> Image {
        let mut record = ExecRecord::default();
        record.process.header.flags = flags;
        Image::of_exec(&record, sections, &Environment::default())
    }

    #[test]
    fn a_script_that_is_passed_relatively_lies_below_the_working_directory() {
        let told = |passed: &[u8]| {
            image(FLAG_SCRIPT, [b"", passed, b"", b"/bin/sh\0", b"", b"dash\0bin\0", b"user\0home\0"])
        };
        let script = told(b"./../run.sh\0");
        assert_eq!(script.script.as_deref(), Some("/home/run.sh"));
        assert_eq!((&*script.name, &*script.interpreter), ("run.sh", "/bin/sh"));
        assert_eq!(told(b"/opt/./x\0").script.as_deref(), Some("/opt/./x"), "as it was passed");
        assert_eq!(told(b"/dev/fd/3\0").script.as_deref(), Some("/dev/fd/3"), "it has no other name");
    }

    #[test]
    fn a_file_that_is_merely_called_like_a_memfd_is_none() {
        let exec = |flags, name| image(flags, [b"", b"x\0", b"", b"", b"", name, b""]).exec.unwrap();
        assert!(exec(FLAG_TREELESS | FLAG_PATH_CUT, b"memfd:x\0").memfd);
        assert!(!exec(FLAG_PATH_CUT, b"memfd:x\0").memfd);
        assert!(!exec(FLAG_TREELESS | FLAG_PATH_CUT, b"other\0").memfd);
    }

    #[test]
    fn the_layer_is_told_only_where_the_kernel_tells_it() {
        let layer = |flags| image(flags, [b""; 7]).exec.unwrap().upper_layer;
        assert_eq!(layer(0), None);
        assert_eq!(layer(FLAG_LAYER_KNOWN), Some(false));
        assert_eq!(layer(FLAG_LAYER_KNOWN | FLAG_UPPER_LAYER), Some(true));
    }
}
