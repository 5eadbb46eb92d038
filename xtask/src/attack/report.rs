//! How much is found and how quietly, over all deeds of a run: for who asks, and for the handbook.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;
use jiff::Zoned;

use super::deed::Purpose;
use super::outcome::Outcome;
use crate::statistics::Sample;
use crate::{page, process};

/// Severities, the worst first.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

/// What all deeds of a run came to.
pub(super) struct Report<'a> {
    outcomes: &'a [Outcome],
}

impl<'a> Report<'a> {
    /// The report of these.
    pub(super) fn of(outcomes: &'a [Outcome]) -> Self {
        Self { outcomes }
    }

    fn with(&self, purpose: Purpose) -> impl Iterator<Item = &'a Outcome> {
        self.outcomes.iter().filter(move |outcome| outcome.deed.purpose == purpose)
    }

    /// A line for each of recall, precision and quiet, of which there was anything.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let attacks = self.with(Purpose::Attack).count();
        if attacks > 0 {
            let found = self.with(Purpose::Attack).filter(|outcome| outcome.fired().is_some()).count();
            let rules: BTreeSet<_> =
                self.with(Purpose::Attack).map(|outcome| outcome.deed.rule.as_str()).collect();
            let mut line = format!("{found} of {attacks} attacks were found, of {} rules", rules.len());
            if let Some(times) = self.times() {
                // Writing to a String does not fail.
                let _ = write!(line, "; {times}");
            }
            lines.push(line);
        }
        let near = self.with(Purpose::Harmless).count();
        if near > 0 {
            let quiet = self.with(Purpose::Harmless).filter(|outcome| outcome.fired().is_none()).count();
            lines.push(format!(
                "{quiet} of {near} harmless deeds that come near an attack were not found by its rule"
            ));
        }
        let work = self.with(Purpose::Work).count();
        if work > 0 {
            let events: usize = self.with(Purpose::Work).flat_map(|outcome| outcome.events.values()).sum();
            lines.push(format!("{work} kinds of work, {events} events: {}", self.noise()));
        }
        lines
    }

    /// How long after the deeds the findings were told. Those of logs, which are looked at four times a second, stand for
    /// themselves.
    fn times(&self) -> Option<String> {
        let of = |logged: bool| {
            let attacks = self.with(Purpose::Attack).filter(move |outcome| outcome.logged == logged);
            let sample =
                Sample::new(attacks.filter_map(Outcome::fired).map(|time| time.as_secs_f64()).collect())?;
            let told = |percent: u8| {
                format!("p{percent} {:.1} ms", sample.quantile(f64::from(percent) / 100.0) * 1e3)
            };
            Some([50, 90, 99].map(told).join(", "))
        };
        let (kernel, logs) = (of(false), of(true).map(|times| format!("by logs {times}")));
        let parts: Vec<String> = kernel.into_iter().chain(logs).collect();
        (!parts.is_empty()).then(|| format!("from the event to the finding {}", parts.join("; ")))
    }

    /// Findings on work, by severity.
    fn noise(&self) -> String {
        let mut counts = BTreeMap::new();
        for found in self.with(Purpose::Work).flat_map(|outcome| &outcome.found) {
            *counts.entry(found.severity.as_str()).or_insert(0_usize) += 1;
        }
        let count =
            |severity: &&str| format!("{} {severity}", counts.get(severity).copied().unwrap_or_default());
        format!("findings {}", SEVERITIES.iter().map(count).collect::<Vec<_>>().join(", "))
    }

    /// Writes it into the handbook, with the day and the kernel.
    ///
    /// # Errors
    /// The page cannot be written.
    pub(super) fn write(&self) -> Result<()> {
        let release = process::capture(Command::new("uname").arg("-r"))?;
        page::write("quality.md", "report", &self.markdown(&Zoned::now().date().to_string(), release.trim()))
    }

    fn markdown(&self, day: &str, release: &str) -> String {
        let mut out = format!("On {day}, under Linux {release}:\n\n");
        for line in self.lines() {
            // Writing to a String does not fail.
            let _ = writeln!(out, "- {line}");
        }
        out.push_str("\n| work | events | findings |\n| --- | --- | --- |\n");
        for outcome in self.with(Purpose::Work) {
            let events: usize = outcome.events.values().sum();
            let found: Vec<String> = outcome
                .others()
                .into_iter()
                .map(|(rule, severity)| format!("`{rule}` ({severity})"))
                .collect();
            let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
            let _ = writeln!(out, "| {} | {events} | {found} |", outcome.deed.name);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::outcome;
    use super::*;

    #[test]
    fn a_report_says_how_much_was_found_and_how_quietly() {
        let outcomes = [
            outcome("a attack", &[("a", "high")]),
            outcome("a attack", &[("b", "low")]),
            outcome("b harmless", &[("a", "high")]),
            outcome("work", &[("a", "low"), ("b", "medium"), ("a", "low")]),
        ];
        let report = Report::of(&outcomes);
        assert_eq!(
            report.lines(),
            [
                "1 of 2 attacks were found, of 1 rules; from the event to the finding p50 2.0 ms, p90 2.0 ms, p99 2.0 ms",
                "1 of 1 harmless deeds that come near an attack were not found by its rule",
                "1 kinds of work, 7 events: findings 0 critical, 0 high, 1 medium, 2 low, 0 info",
            ]
        );
        let page = report.markdown("2026-11-27", "6.18");
        assert!(page.starts_with("On 2026-11-27, under Linux 6.18:\n\n- 1 of 2 attacks"), "{page}");
        assert!(page.ends_with("| x | 7 | `a` (low), `b` (medium) |\n"), "{page}");
        assert!(Report::of(&[]).lines().is_empty());
    }
}
