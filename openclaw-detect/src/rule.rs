//! A rule's metadata: what security staff write beside the condition.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::KindSet;

/// How bad it is, from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing, nothing to do.
    Info,
    /// Unusual.
    Low,
    /// Suspicious. `warning` is read as this.
    Medium,
    /// An attack, most likely.
    High,
    /// An attack with damage done or near.
    Critical,
}

impl Severity {
    /// Every severity, from least to worst.
    pub const ALL: &'static [Severity] =
        &[Severity::Info, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

    /// The severity of that name; `warning` is medium.
    pub fn from_name(name: &str) -> Option<Severity> {
        if name == "warning" {
            return Some(Severity::Medium);
        }
        Severity::ALL.iter().copied().find(|severity| severity.name() == name)
    }

    /// The name that rules and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a rule asks for when it fires; joined with `_and_` as in `block_and_alert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Tell the SOC.
    Alert,
    /// Cut the remote address off, both ways.
    Block,
    /// Cut the process tree off from the network.
    Isolate,
}

impl Action {
    /// Every action.
    pub const ALL: &'static [Action] = &[Action::Alert, Action::Block, Action::Isolate];

    /// The name that rules and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Alert => "alert",
            Action::Block => "block",
            Action::Isolate => "isolate",
        }
    }

    /// The action of that name.
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|action| action.name() == name)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A rule that was checked and can be evaluated.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The name, unique among the rules.
    pub name: String,
    /// What it finds and why that matters.
    pub description: Option<String>,
    /// How bad a match is.
    pub severity: Severity,
    /// How sure a match is, 0 to 1. Automatic answers need more than `security.response.min_confidence`.
    pub confidence: f64,
    /// What to do on a match.
    pub actions: Vec<Action>,
    /// How long a block or an isolation lasts; the agent's default (1 h) where the rule says nothing.
    pub response_for: Option<Duration>,
    /// Tags such as `attack.t1046`.
    pub tags: Vec<String>,
    /// The condition as it is written.
    pub condition: String,
    /// Where it does not fire although the condition is true, its own first, then those of overrides.
    pub exceptions: Vec<Exception>,
    /// The kinds on which it runs.
    pub kinds: KindSet,
    /// Where it is written, `file:line`.
    pub origin: String,
}

/// Where a rule does not fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// What it is for.
    pub name: String,
    /// The condition as it is written.
    pub condition: String,
}
