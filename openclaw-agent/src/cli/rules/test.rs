//! `openclaw rules test`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::{Context as _, Result, bail};
use openclaw_detect::{RuleSet, RuleTest, Source, TestEvents, TestResult};

use crate::capture::Reader;
use crate::cli::replay::{happened, read_events};
use crate::config;
use crate::output::style::{BAD, BOLD, DIM, GOOD, WARN};
use crate::output::{Format, Printer};
use crate::rules::{self, Writers};

/// Runs the tests of the rules; fails where one does, and with `strict` where a rule lacks one that fires or one that
/// does not.
pub(super) fn test(config: &config::Rules, paths: &[PathBuf], strict: bool, format: Format) -> Result<()> {
    let rules = rules::load(config, paths, Writers::Any)?;
    let mut printer = Printer::stdout(format);
    let (mut passed, mut failed) = (0, 0);
    // Which rules have a test that fires, and one that does not.
    let mut covered: BTreeMap<&str, [bool; 2]> =
        rules.iter().map(|rule| (rule.name.as_str(), [false; 2])).collect();
    for (rule, test) in rules.tests() {
        let result = run(&rules, &rule.name, test, paths.is_empty())
            .with_context(|| format!("{}:{}: rule {}", test.place.0, test.place.1, rule.name))?;
        if let Some(covered) = covered.get_mut(rule.name.as_str()) {
            covered[usize::from(test.expect == 0)] = true;
        }
        *if result.passed { &mut passed } else { &mut failed } += 1;
        printer.line(&match format {
            Format::Text => line(&rule.name, test, &result),
            Format::Json => json(&rule.name, test, &result),
        })?;
    }
    printer.flush()?;
    let lacking: Vec<_> = covered.iter().filter(|(_, covered)| **covered != [true; 2]).collect();
    if format == Format::Text {
        for (rule, [fires, stays_silent]) in &lacking {
            let lacks = match (fires, stays_silent) {
                (false, false) => "no test",
                (false, true) => "no test that fires",
                _ => "no test that does not fire",
            };
            println!("{WARN}untested{WARN:#} {BOLD}{rule}{BOLD:#} has {lacks}");
        }
        println!("{passed} passed, {failed} failed, {} rules without both", lacking.len());
    }
    if failed > 0 {
        bail!("{failed} tests of rules failed");
    }
    if strict && !lacking.is_empty() {
        bail!("{} rules lack a test that fires, or one that does not", lacking.len());
    }
    Ok(())
}

/// Runs a test; of a rule that may be one that `ships`.
fn run(rules: &RuleSet, rule: &str, test: &RuleTest, ships: bool) -> Result<TestResult> {
    match &test.events {
        TestEvents::Inline(events) => Ok(test.run(rules, rule, events.events())),
        TestEvents::File(name) => {
            let file = Path::new(&test.place.0).with_file_name(name);
            // Rules that ship lie in no folder: their events are inside of the program too.
            let shipped = file.to_str().filter(|_| ships).and_then(Source::shipped_recording);
            let events = match shipped {
                Some(text) => happened(Reader::new(file.display().to_string(), text.as_bytes())?)?,
                None => read_events(&file)?,
            };
            Ok(test.run(rules, rule, events))
        }
    }
}

fn line(rule: &str, test: &RuleTest, result: &TestResult) -> String {
    let name = test.name.as_deref().unwrap_or("a test");
    if result.passed {
        return format!("{GOOD}passed{GOOD:#} {BOLD}{rule}{BOLD:#}: {name}");
    }
    let on = |events: &[usize]| events.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let expected = match &test.on {
        Some(events) => format!("on events {}", on(events)),
        None => format!("{} times", test.expect),
    };
    let fired = match &result.fired[..] {
        [] => "it did not fire".to_owned(),
        events => format!("it fired on events {}", on(events)),
    };
    let place = format!("{}:{}", test.place.0, test.place.1);
    format!(
        "{BAD}failed{BAD:#} {BOLD}{rule}{BOLD:#}: {name}: expected to fire {expected}, {fired} {DIM}{place}{DIM:#}"
    )
}

fn json(rule: &str, test: &RuleTest, result: &TestResult) -> String {
    serde_json::json!({
        "rule": rule,
        "test": test.name,
        "file": test.place.0,
        "line": test.place.1,
        "passed": result.passed,
        "expected": test.expect,
        "expected_on": test.on,
        "fired_on": result.fired,
    })
    .to_string()
}
