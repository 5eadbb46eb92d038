//! The rules that ship: the folder `rules/`, inside of the program.

use crate::Source;

include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The file with lists and macros, which comes before all rules, so that later files can override them.
const DEFINITIONS: &str = "rules/definitions.yml";

impl Source {
    /// The lists and macros that ship, `rules/definitions.yml`: what comes first, so that later files override it.
    pub fn shipped_definitions() -> Source {
        let found = RULES.iter().find(|(name, _)| *name == DEFINITIONS);
        source(found.unwrap_or(&(DEFINITIONS, "")))
    }

    /// The rules that ship, without the lists and macros.
    pub fn shipped_rules() -> Vec<Source> {
        RULES.iter().filter(|(name, _)| *name != DEFINITIONS).map(source).collect()
    }

    /// All that ships, lists and macros first.
    pub fn shipped() -> Vec<Source> {
        let mut sources = vec![Source::shipped_definitions()];
        sources.extend(Source::shipped_rules());
        sources
    }

    /// The events that a test of a rule that ships names, one in JSON on each line, by the file's path
    /// (`rules/recordings/…`).
    pub fn shipped_recording(path: &str) -> Option<&'static str> {
        RECORDINGS.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
    }
}

fn source((name, text): &(&str, &str)) -> Source {
    Source { name: (*name).to_owned(), text: (*text).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RuleSet, TestEvents};

    #[test]
    fn what_other_files_stand_on_comes_first_and_once() {
        let sources = Source::shipped();
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names[0], DEFINITIONS);
        assert!(!names[1..].contains(&DEFINITIONS) && names.contains(&"rules/execution.yml"), "{names:?}");
    }

    #[test]
    fn each_recording_is_named_by_a_test() {
        let rules = RuleSet::load(&Source::shipped()).unwrap();
        for (recording, _) in RECORDINGS {
            let names = |test: &TestEvents| matches!(test, TestEvents::File(name) if format!("rules/{name}") == *recording);
            assert!(rules.tests().any(|(_, test)| names(&test.events)), "{recording} is named by no test");
        }
    }
}
