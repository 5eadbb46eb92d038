//! Where the time of live tests goes. The harness tells none; but tests that run one at a time end one after another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::console::elapsed;

/// How many of the slowest are named.
const NAMED: usize = 8;

/// When each test ended.
#[derive(Debug)]
pub(crate) struct Pace {
    last: Instant,
    taken: Vec<(String, Duration)>,
}

impl Pace {
    /// Of tests that begin now.
    pub(crate) fn begin() -> Self {
        Self { last: Instant::now(), taken: Vec::new() }
    }

    /// Takes in a line of the harness as it comes.
    pub(crate) fn read_line(&mut self, line: &str) {
        self.read_line_at(line, Instant::now());
    }

    fn read_line_at(&mut self, line: &str, now: Instant) {
        let Some(rest) = line.strip_prefix("test ") else {
            // What comes before the first test is none's.
            if line.starts_with("running ") {
                self.last = now;
            }
            return;
        };
        if let Some((name, _)) = rest.split_once(" ... ") {
            self.taken.push((name.to_owned(), now.saturating_duration_since(self.last)));
            self.last = now;
        }
    }

    /// The modules with what their tests took together, and the slowest tests, the longest first; none where no test
    /// ended.
    pub(crate) fn told(&self) -> Vec<String> {
        if self.taken.is_empty() {
            return Vec::new();
        }
        let mut modules = BTreeMap::<&str, Duration>::new();
        for (name, taken) in &self.taken {
            *modules.entry(name.split("::").next().unwrap_or(name)).or_default() += *taken;
        }
        let line = |times: &mut dyn Iterator<Item = (&str, Duration)>| {
            let mut times: Vec<_> = times.collect();
            times.sort_by_key(|(_, taken)| std::cmp::Reverse(*taken));
            let named = times.iter().take(NAMED).map(|(name, taken)| format!("{name} {}", elapsed(*taken)));
            named.collect::<Vec<_>>().join(", ")
        };
        vec![
            format!("most time: {}", line(&mut modules.into_iter())),
            format!("slowest: {}", line(&mut self.taken.iter().map(|(name, taken)| (&**name, *taken)))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_takes_from_the_end_of_the_one_before_to_its_own() {
        let mut pace = Pace::begin();
        let begun = pace.last;
        let lines =
            ["", "running 3 tests", "test a::b ... ok", "test a::c ... FAILED", "test d ... ignored, why"];
        for (second, line) in (0..).zip(lines) {
            pace.read_line_at(line, begun + Duration::from_secs(second * second));
        }
        pace.read_line_at("test result: FAILED. 1 passed; 1 failed", begun + Duration::from_secs(100));
        assert_eq!(
            pace.told(),
            ["most time: a 8.0 s, d 7.0 s".to_owned(), "slowest: d 7.0 s, a::c 5.0 s, a::b 3.0 s".to_owned(),]
        );
    }

    #[test]
    fn of_no_test_nothing_is_told() {
        assert!(Pace::begin().told().is_empty());
    }
}
