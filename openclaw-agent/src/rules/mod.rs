//! Rule files on disk and those that ship, and what rules remember.

mod files;
pub mod memory;

use std::path::{Path, PathBuf};

use openclaw_detect::{Diagnostic, Diagnostics, Level, RuleSet, Source};

use self::files::find;
pub use self::files::{Stamp, stamps};
use crate::config;
use crate::config::trust::{self, TrustError};

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file or folder is not to be believed.
    #[error(transparent)]
    Refused(TrustError),
    /// Files have mistakes, or cannot be read.
    #[error("{count} in the rules:\n\n{0}", count = mistakes(.0))]
    Mistakes(Diagnostics),
}

impl RulesError {
    /// The same in one line, for a status: the first mistake stands for all.
    pub fn in_a_line(&self) -> String {
        let RulesError::Mistakes(diagnostics) = self else { return self.to_string() };
        let count = mistakes(diagnostics);
        match diagnostics.iter().find(|mistake| mistake.level == Level::Error) {
            Some(first) => {
                let Diagnostic { file, line, column, message, .. } = first;
                format!(
                    "{count} in the rules, such as {file}:{line}:{column}: {message}; see `openclaw rules check`"
                )
            }
            None => format!("{count} in the rules: see `openclaw rules check`"),
        }
    }
}

/// Whether others may be able to write what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Only root and the invoking user: the rules are to be run.
    Trusted,
    /// Anybody: the rules are only looked at.
    Any,
}

/// Reads the rules that are to run: `instead`, where it names any, takes the place of those that ship and those
/// that are configured. The lists that ship always come first, so that the others may replace them.
///
/// # Errors
/// [`RulesError`]
pub fn load(config: &config::Rules, instead: &[PathBuf], writers: Writers) -> Result<RuleSet, RulesError> {
    let mut sources = vec![Source::shipped_definitions()];
    let paths = if instead.is_empty() {
        if config.shipped {
            sources.extend(Source::shipped_rules());
        }
        &config.folders
    } else {
        instead
    };
    let unread = read_all(paths, writers, &mut sources)?;
    if instead.is_empty()
        && config.shipped
        && let Some(text) = config.auth_spike.as_override()
    {
        let name = "security.alerting.triggers.failed_auth_spike".to_owned();
        sources.push(Source { name, text });
    }
    let loaded = RuleSet::load(&sources);
    if unread.is_empty() {
        return loaded.map_err(RulesError::Mistakes);
    }
    let others = match &loaded {
        Ok(rules) => rules.warnings(),
        Err(mistakes) => mistakes,
    };
    let all = unread.into_iter().chain(others.iter().cloned());
    Err(RulesError::Mistakes(Diagnostics(all.collect())))
}

/// What is in the files at some paths, and in those of the folders there.
///
/// # Errors
/// [`RulesError`], where any cannot be read.
pub fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, RulesError> {
    let mut sources = Vec::new();
    let unread = read_all(paths, Writers::Any, &mut sources)?;
    if unread.is_empty() { Ok(sources) } else { Err(RulesError::Mistakes(Diagnostics(unread))) }
}

/// Adds what is at all paths; what of it cannot be read is returned.
fn read_all(
    paths: &[PathBuf],
    writers: Writers,
    sources: &mut Vec<Source>,
) -> Result<Vec<Diagnostic>, RulesError> {
    let mut unread = Vec::new();
    for path in paths {
        read(path, writers, sources, &mut unread)?;
    }
    Ok(unread)
}

/// Why rules do not run that are written: Sigma rules with mistakes, which are left out.
pub fn left_out(rules: &RuleSet) -> Option<String> {
    let errors = rules.warnings().errors();
    let first = rules.warnings().iter().find(|mistake| mistake.level == Level::Error)?;
    let what = if errors == 1 { "a mistake" } else { "mistakes" };
    Some(format!(
        "Sigma rules with {what} are left out, such as {}:{}: see `openclaw rules check`",
        first.file, first.line
    ))
}

/// Adds the file at `path`, or those of the folder; and what of it cannot be read.
fn read(
    path: &Path,
    writers: Writers,
    sources: &mut Vec<Source>,
    unread: &mut Vec<Diagnostic>,
) -> Result<(), RulesError> {
    let found = find(path);
    if writers == Writers::Trusted {
        let check = |folder: &PathBuf| trust::check_folder(folder);
        found.folders.iter().try_for_each(check).map_err(RulesError::Refused)?;
    }
    if found.files.is_empty() && found.passed_over.is_empty() {
        let help = "put *.yml or *.yaml files there, or name another folder";
        unread.push(mistake(path, (1, 1), "there are no rules in this folder".to_owned(), Some(help)));
    }
    for (path, why) in &found.passed_over {
        unread.push(mistake(path, (1, 1), format!("it cannot be read: {why}"), None));
    }
    for file in found.files {
        let text = match writers {
            Writers::Trusted => trust::read_trusted(&file),
            Writers::Any => trust::read_any(&file),
        };
        match text {
            Ok(text) => sources.push(Source { name: file.display().to_string(), text }),
            Err(error @ TrustError::Untrusted { .. }) => return Err(RulesError::Refused(error)),
            Err(TrustError::NotText { line, column, .. }) => {
                let help = "save the file as UTF-8";
                unread.push(mistake(&file, (line, column), "this is no UTF-8".to_owned(), Some(help)));
            }
            Err(TrustError::NotAFile { what, .. }) => {
                let help = "give a regular file of at most 16 MiB";
                unread.push(mistake(&file, (1, 1), format!("it is {what}"), Some(help)));
            }
            Err(TrustError::Unreadable { source, .. }) => {
                unread.push(mistake(&file, (1, 1), format!("it cannot be read: {source}"), None));
            }
        }
    }
    Ok(())
}

/// A mistake of a file of which no line can be shown.
fn mistake(file: &Path, (line, column): (usize, usize), message: String, help: Option<&str>) -> Diagnostic {
    Diagnostic {
        level: Level::Error,
        file: file.display().to_string(),
        line,
        column,
        length: 1,
        message,
        help: help.map(str::to_owned),
        source: String::new(),
        indent: 0,
    }
}

fn mistakes(diagnostics: &Diagnostics) -> String {
    match diagnostics.errors() {
        1 => "there is a mistake".to_owned(),
        errors => format!("there are {errors} mistakes"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const RULE: &str =
        "rules:\n  - name: NAME\n    condition: process.name == 'x'\n    severity: low\n    action: alert\n";

    fn write(folder: &Path, name: &str, rule: &str) {
        fs::write(folder.join(name), RULE.replace("NAME", rule)).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn names(rules: &RuleSet) -> Vec<&str> {
        rules.iter().map(|rule| rule.name.as_str()).collect()
    }

    #[test]
    fn what_ships_runs_when_nothing_is_configured() {
        let rules = load(&config::Rules::default(), &[], Writers::Trusted).unwrap();
        assert!(names(&rules).contains(&"suspicious_process"));
    }

    #[test]
    fn the_trigger_of_failed_logins_sets_what_its_rule_waits_for() {
        let auth_spike =
            config::AuthSpike { threshold: Some(33), window: Some(std::time::Duration::from_secs(90)) };
        let rules = load(&config::Rules { auth_spike, ..config::Rules::default() }, &[], Writers::Trusted);
        let rules = rules.unwrap();
        let when = &rules.get("failed_auth_spike").unwrap().when;
        assert!(
            matches!(when, openclaw_detect::rule::When::Threshold(it) if it.to_string() == "33 events within 1m30s")
        );
    }

    #[test]
    fn configured_folders_add_to_what_ships_and_named_ones_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "b.yml", "second");
        write(folder.path(), "a.yaml", "first");
        write(folder.path(), "c.txt", "no_rule_file");
        let path = folder.path().to_owned();
        let configured = config::Rules { folders: vec![path.clone()], ..config::Rules::default() };
        let rules = load(&configured, &[], Writers::Trusted).unwrap();
        assert!(names(&rules).ends_with(&["first", "second"]) && rules.len() > 2);
        let rules = load(&configured, &[path.join("b.yml"), path.join("a.yaml")], Writers::Trusted).unwrap();
        assert_eq!(names(&rules), ["second", "first"]);
    }

    #[test]
    fn folders_in_a_folder_are_read_and_what_is_hidden_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["pack", "pack/deeper", ".git"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for (name, rule) in [("z.yml", "own"), ("pack/a.yml", "of_pack"), ("pack/deeper/a.yml", "deep")] {
            write(folder.path(), name, rule);
        }
        write(folder.path(), ".git/a.yml", "hidden");
        let rules = load(&config::Rules::default(), &[folder.path().to_owned()], Writers::Trusted).unwrap();
        assert_eq!(names(&rules), ["own", "of_pack", "deep"]);
    }

    #[test]
    fn a_file_that_is_changed_or_added_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a.yml", "first");
        let stamps = || stamps(&config::Rules::default(), &[folder.path().to_owned()]);
        let before = stamps();
        assert_eq!(before, stamps());
        write(folder.path(), "a.yml", "other");
        let changed = stamps();
        assert_ne!(before, changed);
        write(folder.path(), "b.yml", "second");
        assert_ne!(changed, stamps());
    }

    #[test]
    fn rules_that_others_can_write_do_not_run_but_can_be_checked() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a.yml", "first");
        fs::set_permissions(folder.path().join("a.yml"), fs::Permissions::from_mode(0o666)).unwrap();
        let paths = [folder.path().to_owned()];
        let error = load(&config::Rules::default(), &paths, Writers::Trusted).unwrap_err();
        assert!(error.to_string().contains("chmod o-w"), "{error}");
        assert_eq!(load(&config::Rules::default(), &paths, Writers::Any).unwrap().len(), 1);
    }

    #[test]
    fn a_folder_without_rules_and_a_file_with_mistakes_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().to_owned()];
        let error = load(&config::Rules::default(), &paths, Writers::Any).unwrap_err().to_string();
        assert!(error.contains("there are no rules in this folder"), "{error}");
        fs::write(folder.path().join("a.yml"), RULE.replace("process.name", "process.nmae")).unwrap();
        let error = load(&config::Rules::default(), &paths, Writers::Any).unwrap_err().to_string();
        assert!(error.contains("a.yml:3:") && error.contains("process.name"), "{error}");
    }

    #[test]
    fn all_that_cannot_be_read_is_told_with_the_mistakes_of_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.yml"), RULE.replace("process.name", "process.nmae")).unwrap();
        fs::write(at("b.yml"), b"rules:\n# \xc3\xa9 \xff").unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("c.yml")).status().unwrap().success());
        let deep = at("1/2/3/4/5/6/7/8/9");
        fs::create_dir_all(&deep).unwrap();
        let paths = [folder.path().to_owned(), "/nonexistent".into(), "/dev/zero".into()];
        let error = load(&config::Rules::default(), &paths, Writers::Any).unwrap_err();
        let RulesError::Mistakes(mistakes) = error else { panic!("{error}") };
        let found: Vec<_> = mistakes
            .iter()
            .map(|one| (one.file.rsplit('/').next().unwrap().to_owned(), one.line, one.message.as_str()))
            .collect();
        let expected = [
            ("9", 1, "it cannot be read: folders more than 8 deep are not looked into"),
            ("b.yml", 2, "this is no UTF-8"),
            ("c.yml", 1, "it is no regular file, or too large"),
            ("nonexistent", 1, "it cannot be read: No such file or directory (os error 2)"),
            ("zero", 1, "it is no regular file, or too large"),
            ("a.yml", 3, "unknown field `process.nmae`"),
        ];
        assert_eq!(found, expected.map(|(file, line, message)| (file.to_owned(), line, message)));
    }
}
