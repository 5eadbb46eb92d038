//! Rule files on disk and those that ship, and what rules remember.

pub mod memory;

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
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

/// Adds the file at `path`, or those of the folder.
fn read(path: &Path, writers: Writers, sources: &mut Vec<Source>) -> Result<(), RulesError> {
    let found = find(path)?;
    if writers == Writers::Trusted {
        found.folders.iter().try_for_each(|folder| trust::check_folder(folder))?;
    }
    if found.files.is_empty() {
        return Err(RulesError::Empty(path.to_owned()));
    }
    for file in found.files {
        sources.push(read_file(&file, writers)?);
    }
    Ok(())
}

/// What makes up the rules at a path.
#[derive(Debug, Default)]
struct Found {
    /// Rule files, each folder's by name, those of its folders after its own.
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

/// Folders in folders that are looked into.
const MAX_DEPTH: usize = 8;

/// The file at `path`, or the `*.yml` and `*.yaml` files of the folder and of those in it. What begins with a dot is
/// passed over.
fn find(path: &Path) -> Result<Found, RulesError> {
    let mut found = Found::default();
    let metadata = fs::metadata(path).map_err(|source| unreadable(path, source))?;
    if metadata.is_dir() {
        look_into(path, MAX_DEPTH, &mut found)?;
    } else {
        found.files.push(path.to_owned());
    }
    Ok(found)
}

fn look_into(folder: &Path, depth: usize, found: &mut Found) -> Result<(), RulesError> {
    found.folders.push(folder.to_owned());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| unreadable(folder, source))? {
        entries.push(entry.map_err(|source| unreadable(folder, source))?.path());
    }
    entries.retain(|entry| !entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    entries.sort();
    let (folders, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_dir());
    let is_rules = |file: &PathBuf| file.extension().is_some_and(|end| end == "yml" || end == "yaml");
    found.files.extend(files.into_iter().filter(is_rules));
    if depth > 0 {
        folders.iter().try_for_each(|folder| look_into(folder, depth - 1, found))?;
    }
    Ok(())
}

fn unreadable(path: &Path, source: std::io::Error) -> RulesError {
    TrustError::Unreadable { path: path.to_owned(), source }.into()
}

/// By what it is noticed that rule files have changed: where and what they are, how large, and since when.
///
/// What cannot be read is left out: reading the rules says so.
pub fn stamps(config: &config::Rules, instead: &[PathBuf]) -> Vec<Stamp> {
    let paths = if instead.is_empty() { &config.folders } else { instead };
    let found = paths.iter().filter_map(|path| find(path).ok());
    let files = found.flat_map(|found| found.files.into_iter().chain(found.folders));
    files.filter_map(|file| fs::metadata(&file).ok().map(|metadata| Stamp::new(file, &metadata))).collect()
}

/// What tells a file from the same file as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    inode: (u64, u64),
    size: u64,
    /// Modified and changed, seconds and nanoseconds since the epoch.
    times: [i64; 4],
}

impl Stamp {
    fn new(path: PathBuf, metadata: &Metadata) -> Self {
        Stamp {
            path,
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            times: [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()],
        }
    }
}

fn read_file(path: &Path, writers: Writers) -> Result<Source, TrustError> {
    let text = match writers {
        Writers::Trusted => trust::read_trusted(path)?,
        Writers::Any => fs::read(path)
            .and_then(trust::text_of)
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
        assert!(matches!(load(&config::Rules::default(), &paths, Writers::Any), Err(RulesError::Empty(_))));
        fs::write(folder.path().join("a.yml"), RULE.replace("process.name", "process.nmae")).unwrap();
        let error = load(&config::Rules::default(), &paths, Writers::Any).unwrap_err().to_string();
        assert!(error.contains("a.yml:3:") && error.contains("process.name"), "{error}");
        assert!(load(&config::Rules::default(), &["/nonexistent".into()], Writers::Any).is_err());
        fs::write(folder.path().join("a.yml"), b"rules:\n# \xc3\xa9 \xff").unwrap();
        let error = load(&config::Rules::default(), &paths, Writers::Any).unwrap_err().to_string();
        assert!(error.contains("line 2, column 5 is no UTF-8"), "{error}");
    }
}
