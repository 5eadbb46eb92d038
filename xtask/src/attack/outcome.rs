//! What came of deeds, and the tables of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::deed::{Deed, Purpose};
use super::watch::Found;
use crate::console::{Look, paint};

/// Severities that work must not be found with.
const SEVERE: [&str; 2] = ["high", "critical"];

/// What came of a deed.
pub(super) struct Outcome {
    /// The deed.
    pub(super) deed: Deed,
    /// What was found of it.
    pub(super) found: Vec<Found>,
    /// What it wrote.
    pub(super) said: String,
    /// Whether it ended well.
    pub(super) well: bool,
    /// Whether it wrote logs that the sensor follows.
    pub(super) logged: bool,
    /// How many events there were, by kind.
    pub(super) events: BTreeMap<String, usize>,
}

impl Outcome {
    /// When the deed's rule fired on it.
    pub(super) fn fired(&self) -> Option<Duration> {
        self.found.iter().find(|found| found.rule == self.deed.rule).map(|found| found.after)
    }

    /// Whether its logs were read, where it wrote any.
    fn is_read(&self) -> bool {
        let of_logs = |kind: &String| ["auth_attempt", "http_request"].contains(&kind.as_str());
        !self.logged || self.events.keys().any(of_logs)
    }

    /// Whether it is as the deed says. That nothing was found says nothing where nothing happened.
    pub(super) fn is_right(&self) -> bool {
        match self.deed.purpose {
            Purpose::Attack => self.fired().is_some(),
            Purpose::Harmless => self.fired().is_none() && !self.events.is_empty() && self.is_read(),
            Purpose::Work => self.well && !self.is_severe() && !self.events.is_empty(),
            // What fired is told by a report of the rules.
            Purpose::Sigma => !self.events.is_empty(),
        }
    }

    /// Whether anything severe was found.
    fn is_severe(&self) -> bool {
        self.found.iter().any(|found| SEVERE.contains(&found.severity.as_str()))
    }

    /// The rules that fired beside that of the deed, each once, and how severe they are.
    pub(super) fn others(&self) -> BTreeSet<(&str, &str)> {
        let others = self.found.iter().filter(|found| found.rule != self.deed.rule);
        others.map(|found| (found.rule.as_str(), found.severity.as_str())).collect()
    }
}

/// A line for each deed of a rule, and one for all work.
pub(super) fn tables(outcomes: &[Outcome]) -> String {
    let (work, deeds): (Vec<_>, Vec<_>) =
        outcomes.iter().partition(|outcome| outcome.deed.purpose == Purpose::Work);
    let mut tables = Vec::new();
    if !deeds.is_empty() {
        let rows = deeds.into_iter().map(row_of_deed).collect();
        tables.push(table(["deed", "found", "after", "events", "others that fired"], rows));
    }
    if !work.is_empty() {
        let rows = work.into_iter().map(row_of_work).collect();
        tables.push(table(["work", "severe", "findings", "events", "of which"], rows));
    }
    tables.join("\n")
}

fn row_of_deed(outcome: &Outcome) -> [String; 5] {
    let found = match (outcome.fired(), outcome.deed.purpose) {
        (Some(_), Purpose::Attack) => "yes",
        (None, Purpose::Attack) => "MISSED",
        (Some(_), _) => "FALSELY",
        (None, _) if outcome.events.is_empty() => "NOT DONE",
        (None, Purpose::Sigma) => "done",
        (None, _) => "no",
    };
    let after = outcome.fired().map(|after| format!("{:.1} ms", after.as_secs_f64() * 1e3));
    let others: Vec<&str> = outcome.others().into_iter().map(|(rule, _)| rule).collect();
    [
        outcome.deed.title(),
        found.to_owned(),
        after.unwrap_or_default(),
        outcome.events.values().sum::<usize>().to_string(),
        others.join(", "),
    ]
}

fn row_of_work(outcome: &Outcome) -> [String; 5] {
    let severe = match (outcome.well, outcome.is_severe()) {
        (_, true) => "SOME",
        (false, false) => "FAILED",
        (true, false) if outcome.events.is_empty() => "NOT DONE",
        (true, false) => "none",
    };
    let rules: Vec<String> =
        outcome.others().into_iter().map(|(rule, severity)| format!("{rule} ({severity})")).collect();
    let findings = match outcome.found.len() {
        0 => "none".to_owned(),
        count => format!("{count}: {}", rules.join(", ")),
    };
    let kinds: Vec<String> = outcome.events.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    [
        outcome.deed.name.clone(),
        severe.to_owned(),
        findings,
        outcome.events.values().sum::<usize>().to_string(),
        kinds.join(", "),
    ]
}

/// Columns as wide as their widest cell; rows whose second cell is in capitals stand out.
fn table(head: [&str; 5], rows: Vec<[String; 5]>) -> String {
    let rows: Vec<[String; 5]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let text = cells.join("  ").trim_end().to_owned();
        let wrong = row[1].starts_with(char::is_uppercase);
        if wrong { paint(Look::Bad, &text) } else { text }
    };
    rows.iter().map(|row| line(row) + "\n").collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::deed::parse;
    use super::*;

    pub(in super::super) fn outcome(begin: &str, found: &[(&str, &str)]) -> Outcome {
        let text = format!("#: {begin}: x\n#: keep process.pid == 1\ntrue\n");
        let mut deeds = parse("a.sh".as_ref(), &text).expect("it is a deed");
        let found = found.iter().map(|(rule, severity)| Found {
            rule: (*rule).to_owned(),
            severity: (*severity).to_owned(),
            group: None,
            network: None,
            after: Duration::from_millis(2),
            arguments: Vec::new(),
        });
        Outcome {
            deed: deeds.remove(0),
            found: found.collect(),
            said: String::new(),
            well: true,
            logged: false,
            events: BTreeMap::from([("process_create".to_owned(), 3), ("file_access".to_owned(), 4)]),
        }
    }

    #[test]
    fn an_attack_is_to_be_found_by_its_own_rule_and_what_is_harmless_is_not() {
        let (own, other) = (("a", "low"), ("b", "critical"));
        for (begin, found, right) in [
            ("a attack", &[own, other][..], true),
            ("a attack", &[other], false),
            ("a harmless", &[other], true),
            ("a harmless", &[own], false),
            ("work", &[own, ("c", "medium")], true),
            ("work", &[own, other], false),
        ] {
            assert_eq!(outcome(begin, found).is_right(), right, "{begin} {found:?}");
        }
        let failed = Outcome { well: false, ..outcome("work", &[]) };
        assert!(!failed.is_right(), "work that fails shows nothing");
        for begin in ["a harmless", "work"] {
            let unseen = Outcome { events: BTreeMap::new(), ..outcome(begin, &[]) };
            assert!(!unseen.is_right(), "silence about nothing shows nothing");
        }
    }

    #[test]
    fn the_tables_say_what_was_missed_and_what_was_severe() {
        let outcomes = [
            outcome("a attack", &[("a", "low"), ("b", "high"), ("b", "high")]),
            outcome("a attack", &[]),
            outcome("work", &[("b", "high")]),
        ];
        let tables = tables(&outcomes);
        let lines: Vec<Vec<&str>> = tables.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["a/x", "yes", "2.0", "ms", "7", "b"]);
        assert_eq!(lines[2], ["a/x", "MISSED", "7"]);
        assert_eq!(lines[5][..5], ["x", "SOME", "1:", "b", "(high)"]);
    }
}
