//! Rule files on disk, and those that ship.

use std::fs;
use std::path::{Path, PathBuf};

use openclaw_detect::{Diagnostics, RuleSet, Source};

use crate::config;
use crate::config::trust::{self, TrustError};

/// Why there are no rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file cannot be read, or is not to be believed.
    #[error(transparent)]
    Refused(#[from] TrustError),
    /// A folder has no rule files.
    #[error("there are no rules in {}: put *.yml or *.yaml files there, or name another folder", .0.display())]
    Empty(PathBuf),
    /// Files have mistakes.
    #[error("{count} in the rules:\n\n{0}", count = mistakes(.0))]
    Mistakes(Diagnostics),
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
    RuleSet::load(&sources(config, instead, writers)?).map_err(RulesError::Mistakes)
}

/// The texts of the rule files, in the order in which they count.
///
/// # Errors
/// [`RulesError::Refused`], [`RulesError::Empty`]
pub fn sources(
    config: &config::Rules,
    instead: &[PathBuf],
    writers: Writers,
) -> Result<Vec<Source>, RulesError> {
    let mut sources = vec![Source::shipped_lists()];
    let paths = if instead.is_empty() {
        if config.shipped {
            sources.extend(Source::shipped_rules());
        }
        &config.folders
    } else {
        instead
    };
    for path in paths {
        read(path, writers, &mut sources)?;
    }
    Ok(sources)
}

/// Adds the file at `path`, or the `*.yml` and `*.yaml` files of the folder, by name.
fn read(path: &Path, writers: Writers, sources: &mut Vec<Source>) -> Result<(), RulesError> {
    let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        sources.push(read_file(path, writers)?);
        return Ok(());
    }
    if writers == Writers::Trusted {
        trust::check_folder(path)?;
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(RulesError::Empty(path.to_owned()));
    }
    files.sort();
    for file in files {
        sources.push(read_file(&file, writers)?);
    }
    Ok(())
}

fn read_file(path: &Path, writers: Writers) -> Result<Source, TrustError> {
    let text = match writers {
        Writers::Trusted => trust::read_trusted(path)?,
        Writers::Any => fs::read_to_string(path)
            .map_err(|source| TrustError::Unreadable { path: path.to_owned(), source })?,
    };
    Ok(Source { name: path.display().to_string(), text })
}

fn mistakes(diagnostics: &Diagnostics) -> String {
    match diagnostics.errors() {
        1 => "there is a mistake".to_owned(),
        errors => format!("there are {errors} mistakes"),
    }
}

#[cfg(test)]
mod tests {
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
    fn configured_folders_add_to_what_ships_and_named_ones_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "b.yml", "second");
        write(folder.path(), "a.yaml", "first");
        write(folder.path(), "c.txt", "no_rule_file");
        let path = folder.path().to_owned();
        let configured = config::Rules { shipped: true, folders: vec![path.clone()] };
        let rules = load(&configured, &[], Writers::Trusted).unwrap();
        assert!(names(&rules).ends_with(&["first", "second"]) && rules.len() > 2);
        let rules = load(&configured, &[path.join("b.yml"), path.join("a.yaml")], Writers::Trusted).unwrap();
        assert_eq!(names(&rules), ["second", "first"]);
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
        assert!(matches!(load(&config::Rules::default(), &paths, Writers::Any), Err(RulesError::Empty(_))));
        fs::write(folder.path().join("a.yml"), RULE.replace("process.name", "process.nmae")).unwrap();
        let error = load(&config::Rules::default(), &paths, Writers::Any).unwrap_err().to_string();
        assert!(error.contains("a.yml:3:") && error.contains("process.name"), "{error}");
        assert!(load(&config::Rules::default(), &["/nonexistent".into()], Writers::Any).is_err());
    }
}
