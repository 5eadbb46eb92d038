//! Which of what is in the store is wanted.

use std::time::Duration;

use openclaw_detect::{Severity, Timestamp};

use crate::config::units;
use crate::output::{Format, time};
use crate::store;

/// What lists of findings and of alerts have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Only those of this severity or worse: info, low, medium, high, critical
    #[arg(long, value_parser = parse_severity)]
    severity: Option<Severity>,
    /// Only those of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only those since then: how long ago (1h, 7d), or a moment (2026-01-30T22:30:45Z)
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    /// How many at most, the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) limit: u32,
    /// How they are printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Format,
}

impl Filter {
    /// What the store is asked for.
    pub(super) fn of_store(&self) -> store::Filter {
        store::Filter { severity: self.severity, rule: self.rule.clone(), since: self.since }
    }
}

fn parse_severity(text: &str) -> Result<Severity, String> {
    Severity::from_name(text).ok_or_else(|| "write info, low, medium, high or critical".to_owned())
}

fn parse_since(text: &str) -> Result<Timestamp, String> {
    match units::parse_duration(text) {
        Ok(ago) => Ok(before(time::now(), ago)),
        Err(_) => time::parse_rfc3339(text),
    }
}

fn before(now: Timestamp, ago: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX)))
}
