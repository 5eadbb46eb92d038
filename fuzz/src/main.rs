//! Whatever bytes: what strangers write is read to an error or to what it says, never to a panic, and in bounded time
//! and memory. libFuzzer makes the bytes, from those that took a new way through the code before.
//!
//! One program for all targets, so that what they share is built and linked once; `OPENCLAW_FUZZ` names the target.
#![no_main]

use std::cell::RefCell;
use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use openclaw_agent::capture::Reader;
use openclaw_agent::config::{self, LogSource};
use openclaw_agent::enrich::{HostFacts, Observed};
use openclaw_agent::logs::Format;
use openclaw_agent::pipeline::{Outlet, Stage};
use openclaw_common::record;
use openclaw_detect::{Condition, Engine, Finding, ProcessId, Rule, RuleSet, Source, Timestamp};

fuzz_target!(|bytes: &[u8]| TARGET(bytes));

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("OPENCLAW_FUZZ").unwrap_or_default();
    match name.as_str() {
        "rules" => rules,
        "condition" => condition,
        "configuration" => configuration,
        "capture" => capture,
        "log" => log,
        "record" => record,
        "mask" => mask,
        _ => panic!("OPENCLAW_FUZZ is `{name}`: it names no target"),
    }
});

/// A rule file, and what its rules make of nothing in particular.
fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = Source { name: "fuzz.yml".to_owned(), text: text.to_owned() };
    match RuleSet::load(&[Source::shipped_definitions(), file]) {
        Ok(rules) => {
            // Those of Sigma rules, which keep none of the others from running.
            drop(rules.warnings().to_string());
            drop(Engine::new(rules));
        }
        // Showing a mistake cuts the text at its place.
        Err(mistakes) => drop(mistakes.to_string()),
    }
}

/// A condition as `events --where` takes it.
fn condition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(mistakes) = Condition::parse(text) {
        drop(mistakes.to_string());
    }
}

/// A configuration file.
fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(problems) = config::parse(text, Path::new("/etc/openclaw")) {
        problems.iter().for_each(|problem| drop(problem.to_string()));
    }
}

/// Logs of every kind.
static LOGS: LazyLock<Vec<LogSource>> = LazyLock::new(|| {
    const TEXT: &str = "security:
  sources:
    auth: {}
    nginx: {trusted_proxies: [10.0.0.0/8]}
    json: {path: /x, event: auth_attempt, time: t, forwarded_for: f, fields: {event.outcome: o, source.ip: c.a}}
    http: {type: json, path: /x, event: http_request, fields: {url.original: u, http.response.status_code: s}}
";
    match config::parse(TEXT, Path::new("/etc/openclaw")) {
        Ok((config, _)) => config.security.sources,
        Err(problems) => panic!("{problems:?}"),
    }
});

/// Lines of a log. Which kind of log it is stands first.
fn log(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let source = &LOGS[usize::from(*kind) % LOGS.len()];
    let Some(mut format) = Format::of(source, Vec::new()) else { return };
    for line in String::from_utf8_lossy(rest).lines() {
        drop(format.read(line, Timestamp(1_800_000_000_000_000_000)));
    }
}

/// A capture, compressed or not.
fn capture(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new("fuzz".to_owned(), Cursor::new(bytes.to_vec())) else { return };
    while let Some(Ok(_)) = reader.next() {}
}

thread_local! {
    static STAGE: RefCell<(Stage, u32)> = RefCell::new((stage(), 0));
}

fn stage() -> Stage {
    let rules = RuleSet::load(&Source::shipped()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    Stage::new(Engine::new(rules), HostFacts::of_this_host())
}

/// A text in which secrets are masked, which a second look must leave as it is; and the same as arguments.
fn mask(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let masked = openclaw_agent::mask::text(&text);
    assert_eq!(openclaw_agent::mask::text(&masked), masked);
    let args: Vec<&str> = text.split_whitespace().collect();
    let mut value = serde_json::json!({"args": args, "command_line": args.join(" "), "message": text});
    openclaw_agent::mask::json(&mut value);
    assert_eq!(value["args"].as_array().map(Vec::len), Some(args.len()));
}

/// Kinds of record. Which one it is stands first, so that most are worth reading.
const KINDS: [u32; 10] = [
    record::FORK,
    record::EXEC,
    record::EXIT,
    record::CREDENTIALS,
    record::FILE_OPEN,
    record::FILE_PATH,
    record::DNS,
    record::KERNEL,
    record::NETWORK,
    record::UDP,
];

/// A record of the kernel's programs, on its whole way to the rules.
fn record(bytes: &[u8]) {
    /// Records after which everything is forgotten, so that a failure depends on no more than these.
    const FORGET: u32 = 1_000;
    let mut bytes = bytes.to_vec();
    if let [kind @ 0..=249, _, _, _, ..] = bytes[..] {
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        bytes[..4].copy_from_slice(&kind.to_ne_bytes());
    }
    STAGE.with_borrow_mut(|(stage, count)| {
        stage.handle(&bytes, &mut Everything);
        *count += 1;
        if *count == FORGET {
            (*stage, *count) = (self::stage(), 0);
        }
    });
}

/// Looks at every event.
struct Everything;

impl Outlet for Everything {
    fn answers(&self, _rule: &Rule) -> bool {
        true
    }

    fn finding(&mut self, _finding: Finding, _descendants: Vec<ProcessId>) {}

    fn wants_events(&self) -> bool {
        true
    }

    fn event(&mut self, event: &Observed<'_>) {
        let mut line = String::new();
        for format in [openclaw_agent::output::Format::Json, openclaw_agent::output::Format::Text] {
            openclaw_agent::output::write_event(event, format, &mut line);
        }
    }
}
