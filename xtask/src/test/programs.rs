//! The test programs, as cargo builds them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;

/// One built test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    /// `lib`, `bin` or `test`.
    pub(crate) kind: String,
    /// The crate or the file that it tests.
    pub(crate) name: String,
    /// The executable.
    pub(crate) path: PathBuf,
    /// Where it is run: its package's folder, as cargo does.
    pub(crate) folder: PathBuf,
}

impl Program {
    /// The program in which the tests that need root are gathered.
    pub(crate) fn is_live(&self) -> bool {
        self.kind == "test" && self.name == "live"
    }

    /// Reads one line of cargo's `--message-format=json`. Other messages, and programs that are no tests,
    /// give none.
    fn from_message(line: &str) -> Option<Self> {
        if !line.starts_with(r#"{"reason":"compiler-artifact""#) {
            return None;
        }
        let profile = &line[line.find(r#""profile":{"#)?..];
        if !profile[..profile.find('}')?].contains(r#""test":true"#) {
            return None;
        }
        let target = &line[line.find(r#""target":{"#)?..];
        let manifest = PathBuf::from(string(line, r#""manifest_path":""#)?);
        Some(Self {
            kind: string(target, r#""kind":[""#)?,
            name: string(target, r#""name":""#)?,
            path: PathBuf::from(string(line, r#""executable":""#)?),
            folder: manifest.parent()?.to_owned(),
        })
    }
}

/// The JSON string that follows `key`, of which the escapes of paths are undone.
fn string(text: &str, key: &str) -> Option<String> {
    let rest = &text[text.find(key)? + key.len()..];
    let mut value = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => value.push(characters.next()?),
            other => value.push(other),
        }
    }
}

/// What is tested, as cargo is told: the release profile, and without benchmarks and fuzzing, so that one build of the
/// dependencies serves the agent and its tests.
pub(crate) const TESTED: [&str; 4] =
    ["--release", "--workspace", "--exclude=openclaw-bench", "--exclude=openclaw-fuzz"];

/// Builds every test program of the workspace.
///
/// # Errors
/// Where one of them does not build.
pub(crate) fn build() -> Result<Vec<Program>> {
    let mut command: Command = process::cargo();
    command.arg("test").args(TESTED).args(["--no-run", "--message-format=json-render-diagnostics"]);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", process::shown(&command)))?;
    if !output.status.success() {
        bail!("the tests do not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    Ok(messages.lines().filter_map(Program::from_message).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///w/openclaw-agent#0.1.0","manifest_path":"/w a/openclaw-agent/Cargo.toml","target":{"kind":["test"],"crate_types":["bin"],"name":"live","src_path":"/w/openclaw-agent/tests/live/main.rs","edition":"2024","doc":false,"doctest":false,"test":true},"profile":{"opt_level":"3","debuginfo":"line-tables-only","debug_assertions":false,"overflow_checks":false,"test":true},"features":[],"filenames":["/w/target/release/deps/live-1"],"executable":"/w/target/release/deps/live-1","fresh":false}"#;

    #[test]
    fn a_test_program_is_read_from_cargos_message() {
        let program = Program::from_message(LIVE).expect("a test program");
        assert!(program.is_live());
        assert_eq!(program.path, PathBuf::from("/w/target/release/deps/live-1"));
        assert_eq!(program.folder, PathBuf::from("/w a/openclaw-agent"));
    }

    #[test]
    fn what_is_no_test_program_is_passed_over() {
        let library =
            LIVE.replace(r#""overflow_checks":false,"test":true"#, r#""overflow_checks":false,"test":false"#);
        assert_eq!(Program::from_message(&library), None);
        let without = LIVE.replace(r#""executable":"/w/target/release/deps/live-1""#, r#""executable":null"#);
        assert_eq!(Program::from_message(&without), None);
        assert_eq!(Program::from_message(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn escapes_in_strings_are_undone() {
        assert_eq!(string(r#"{"a":"b\"c\\d"}"#, r#""a":""#).as_deref(), Some(r#"b"c\d"#));
    }
}
