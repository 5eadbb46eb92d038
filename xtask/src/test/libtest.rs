//! What a test program of Rust's own harness prints, read back.

/// How many tests ran, and how they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// Tests that were not run, each with the reason.
    pub(crate) skipped: Vec<Skip>,
    /// Tests that the filter left out.
    pub(crate) filtered: usize,
    /// `test result:` lines seen: a program that died prints none.
    pub(crate) results: usize,
}

/// A test that was not run, or several of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    /// Which.
    pub(crate) name: String,
    /// Why.
    pub(crate) reason: String,
    /// How many tests that is.
    pub(crate) tests: usize,
}

impl Tally {
    /// Takes in one line of output.
    pub(crate) fn read_line(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ") {
            if let Some((name, reason)) = name.split_once(" ... ignored") {
                self.skip(
                    name,
                    reason.strip_prefix(", ").unwrap_or("marked #[ignore], with no reason given"),
                );
            } else if let Some(counts) = name.strip_prefix("result: ") {
                self.results += 1;
                self.passed += count(counts, " passed");
                self.failed += count(counts, " failed");
                self.filtered += count(counts, " filtered out");
            }
        }
    }

    /// Takes in a whole output.
    pub(crate) fn read(text: &str) -> Self {
        let mut tally = Self::default();
        text.lines().for_each(|line| tally.read_line(line));
        tally
    }

    /// Notes that a test was not run.
    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        self.skipped.push(Skip { name: name.to_owned(), reason: reason.to_owned(), tests: 1 });
    }

    /// Takes out of the passed tests those that said of themselves, in lines `NAME: REASON`, that this
    /// machine cannot run them. The harness knows only passed and failed.
    pub(crate) fn move_skips(&mut self, log: &str) {
        for line in log.lines().filter(|line| !line.trim().is_empty()) {
            let (name, reason) = line.split_once(": ").unwrap_or((line, "no reason given"));
            self.passed = self.passed.saturating_sub(1);
            self.skip(name, reason);
        }
    }

    /// Adds another program's tally.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
        self.filtered += other.filtered;
        self.results += other.results;
    }

    /// Tests that were not run.
    pub(crate) fn skips(&self) -> usize {
        self.skipped.iter().map(|skip| skip.tests).sum()
    }

    /// Tests that were begun.
    pub(crate) fn ran(&self) -> usize {
        self.passed + self.failed
    }

    /// The closing line.
    pub(crate) fn summary(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skips())
    }
}

/// The number before `word` in `5 passed; 0 failed; …`.
fn count(text: &str, word: &str) -> usize {
    text.find(word)
        .and_then(|end| text[..end].rsplit([' ', ';']).next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// How many tests `--list` names: its lines end in `: test`.
pub(crate) fn listed(list: &str) -> usize {
    list.lines().filter(|line| line.ends_with(": test")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 4 tests\ntest a::b ... ok\ntest c ... FAILED\ntest d ... ignored, too long\n\
                          test e ... ignored\n\nfailures:\n    c\n\ntest result: FAILED. 1 passed; 1 failed; \
                          2 ignored; 0 measured; 3 filtered out; finished in 0.00s\n";

    #[test]
    fn numbers_and_reasons_are_read_from_the_output() {
        let tally = Tally::read(OUTPUT);
        assert_eq!((tally.passed, tally.failed, tally.filtered, tally.results), (1, 1, 3, 1));
        let skipped: Vec<_> = tally.skipped.iter().map(|skip| (&*skip.name, &*skip.reason)).collect();
        assert_eq!(skipped, [("d", "too long"), ("e", "marked #[ignore], with no reason given")]);
        assert_eq!(tally.summary(), "1 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn several_programs_add_up() {
        let mut tally = Tally::read(OUTPUT);
        tally.add(Tally::read(
            "test result: ok. 120 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n",
        ));
        assert_eq!(tally.summary(), "121 passed, 1 failed, 2 skipped");
        assert_eq!(tally.ran(), 122);
    }

    #[test]
    fn a_program_that_died_has_no_result() {
        let tally = Tally::read("running 3 tests\ntest a ... ok\n");
        assert_eq!((tally.results, tally.passed), (0, 0));
    }

    #[test]
    fn a_test_that_says_it_cannot_run_here_is_skipped_and_not_passed() {
        let mut tally = Tally { passed: 3, results: 1, ..Tally::default() };
        tally.move_skips("deny::exec: no BPF LSM: lsm= lacks bpf\n\n");
        assert_eq!(tally.summary(), "2 passed, 0 failed, 1 skipped");
        assert_eq!(tally.skipped[0].reason, "no BPF LSM: lsm= lacks bpf");
    }

    #[test]
    fn only_tests_are_counted_in_a_list() {
        assert_eq!(listed("a::b: test\nc: test\nd: benchmark\n\n2 tests, 1 benchmark\n"), 2);
    }
}
