//! A rule's metadata: what security staff write beside the condition.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::literal::Time;
use crate::{Action, Field, KindSet, Response, Timestamp};

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

/// A rule that was checked and can be evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The name, unique among the rules.
    pub name: String,
    /// What it finds and why that matters.
    pub description: Option<String>,
    /// What else makes it fire, that is no attack.
    pub false_positives: Option<String>,
    /// What a person does first when it has fired.
    pub triage: Option<String>,
    /// How bad a match is.
    pub severity: Severity,
    /// How sure a match is, 0 to 1. Automatic answers need more than `security.response.min_confidence`.
    pub confidence: f64,
    /// What to do on a match.
    pub actions: Vec<Action>,
    /// How it is done.
    pub response: Response,
    /// Tags such as `attack.t1046`.
    pub tags: Vec<String>,
    /// The condition as it is written.
    pub condition: String,
    /// Where it does not fire although the condition is true, its own first, then those of overrides.
    pub exceptions: Vec<Exception>,
    /// The kinds on which it runs.
    pub kinds: KindSet,
    /// What makes it fire.
    pub when: When,
    /// How often it tells of the same. Its answers do not wait for that.
    pub suppress: Option<Suppress>,
    /// The pack that it belongs to, with its version.
    pub pack: Option<String>,
    /// Where it is written, `file:line`.
    pub origin: String,
}

impl Rule {
    /// Whether it asks for more than to be told.
    pub fn answers(&self) -> bool {
        self.actions.iter().any(|action| *action != Action::Alert)
    }

    /// Whether the rules are the same, wherever they are written.
    pub(crate) fn says_the_same_as(&self, other: &Rule) -> bool {
        Rule { origin: other.origin.clone(), ..self.clone() } == *other
    }
}

/// What makes a rule fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Its condition turns true of a process.
    Turns,
    /// Its condition is true of an event.
    Each,
    /// Its condition is true of so many events.
    Threshold(Threshold),
    /// Its steps come to pass. It has no condition of its own.
    Sequence(Sequence),
    /// Its condition is true of an event with a value that was not seen before.
    New(New),
}

/// `when its condition turns true`
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |by: &[Field]| by.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
        match self {
            When::Turns => f.write_str("when its condition turns true of a process")?,
            When::Each => f.write_str("on each event that its condition is true of")?,
            When::Threshold(threshold) => write!(f, "on {threshold}")?,
            When::Sequence(sequence) => {
                let order = if sequence.ordered { "in order" } else { "in any order" };
                write!(f, "on {} steps {order} within {}", sequence.steps.len(), Time(sequence.within))?;
            }
            When::New(new) => {
                write!(f, "on a new {}, after {} of learning", new.field.name(), Time(new.learn))?;
            }
        }
        if self.by().is_empty() { Ok(()) } else { write!(f, ", by {}", names(self.by())) }
    }
}

impl When {
    /// The fields by whose values events belong together; of a sequence, those of its last step.
    pub fn by(&self) -> &[Field] {
        match self {
            When::Turns | When::Each => &[],
            When::Threshold(threshold) => &threshold.by,
            When::Sequence(sequence) => sequence.steps.last().map_or(&[], |step| &step.by),
            When::New(new) => &new.by,
        }
    }
}

/// So much within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threshold {
    /// What is counted.
    pub measure: Measure,
    /// How much is enough.
    pub at_least: u64,
    /// Within which time.
    pub within: Duration,
    /// The fields whose values have counts of their own.
    pub by: Vec<Field>,
}

/// `20 different destination.port within 10s`
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at_least, within) = (self.at_least, Time(self.within));
        match self.measure {
            Measure::Count => write!(f, "{at_least} events within {within}"),
            Measure::Distinct(field) => write!(f, "{at_least} different {} within {within}", field.name()),
            Measure::Sum(field) => write!(f, "{at_least} {} in all within {within}", field.name()),
        }
    }
}

/// What a threshold counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Events.
    Count,
    /// Different values of a field.
    Distinct(Field),
    /// The sum of a field; what is below 0 counts as 0.
    Sum(Field),
}

/// Steps within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The steps, two at least.
    pub steps: Vec<Step>,
    /// Whether they must come in this order.
    pub ordered: bool,
    /// The time from the first step to the last.
    pub within: Duration,
    /// What ends a sequence before it is complete.
    pub until: Option<Step>,
}

/// A step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The condition as it is written.
    pub condition: String,
    /// The kinds of event that it can be.
    pub kinds: KindSet,
    /// The fields by whose values the steps of one sequence belong together.
    pub by: Vec<Field>,
}

/// A value that was not seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// The field.
    pub field: Field,
    /// The fields whose values have known values of their own.
    pub by: Vec<Field>,
    /// How long a key's values are only learnt, from its first one on.
    pub learn: Duration,
}

/// How often a rule tells of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppress {
    /// For how long nothing more is told.
    pub time: Duration,
    /// The fields by whose values it is the same.
    pub by: Vec<Field>,
}

/// What a firing rests on, beside the event that it came with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The values by which events were counted together, or a value that is new. None where each stands for itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyValue>,
    /// When the first of the events happened; of different values, when the oldest of them was seen last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How much a threshold counted: events, different values, or a sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How much the threshold demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u64>,
    /// How many firings of the same were not told since the last one that was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub suppressed: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A field's value, as a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyValue {
    /// The field's name.
    pub field: String,
    /// Its value.
    pub value: String,
}

/// A rule that fires.
#[derive(Debug, Clone)]
pub struct Match<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// What it rests on.
    pub evidence: Evidence,
    /// Whether it is to be told. What `suppress` keeps from being told is answered nonetheless.
    pub told: bool,
}

/// Where a rule does not fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// What it is for.
    pub name: String,
    /// The condition as it is written.
    pub condition: String,
}
