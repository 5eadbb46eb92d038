//! The Sigma project's rules for Linux, where they lie beside the project: which of them can fire.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use openclaw_detect::sigma::{Outcome, import};
use openclaw_detect::{RuleSet, Source};

/// Seen from the folder of the crate.
const PROJECT: &str = "../../shared/data/sigma/rules/linux";

/// The files below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn all_rules_of_processes_files_and_connections_can_fire_and_most_of_auditd() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(PROJECT);
    if !folder.is_dir() {
        eprintln!("the Sigma project's rules are not there: this shows nothing");
        return;
    }
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    let source = |path: &PathBuf| Source {
        name: path.strip_prefix(&folder).unwrap().display().to_string(),
        text: std::fs::read_to_string(path).unwrap(),
    };
    let sources: Vec<_> = paths.iter().filter(|path| path.extension().is_some()).map(source).collect();
    let (rules, mistakes) = import(&sources);
    assert_eq!(mistakes.to_string(), "");
    // By category: whole, in part, never.
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for rule in &rules {
        let category = rule.origin.split('/').next().unwrap();
        let at = match &rule.outcome {
            Outcome::Rule { lacks, .. } if lacks.is_empty() => 0,
            Outcome::Rule { .. } => 1,
            Outcome::Never(_) | Outcome::Mistaken => 2,
        };
        counts.entry(category).or_default()[at] += 1;
    }
    eprintln!("the Sigma project's rules, whole, in part and never: {counts:?}");
    for category in ["process_creation", "file_event", "network_connection"] {
        let [whole, part, never] = counts[category];
        assert!(whole > 0 && (part, never) == (0, 0), "{category}: {counts:?}");
    }
    let [whole, part, never] = counts["auditd"];
    assert!(whole > 8 * (part + never) / 2, "{counts:?}");
    // They run as they are, beside those that ship.
    let loaded = RuleSet::load(&[Source::shipped(), sources].concat()).unwrap();
    assert_eq!(loaded.warnings().errors(), 0);
    assert_eq!(loaded.len(), RuleSet::load(&Source::shipped()).unwrap().len() + rules.len() - never);
}
