//! The keys by which a rule counts, follows steps, knows what is new, and keeps quiet.

use std::time::Duration;

use crate::diagnostic::{Problem, Span};
use crate::field::Type;
use crate::literal;
use crate::reader::{Condition, Reader};
use crate::rule::Measure;
use crate::yaml::{Key, Node, Tree};
use crate::{Field, KindSet};

/// Different values that a threshold may ask for: that many are kept for each key.
pub(crate) const MAX_DISTINCT: u64 = 1000;

/// Steps of a sequence.
pub(crate) const MAX_STEPS: usize = 16;

/// Fields by which events belong together, each with its place.
pub(super) type By = Vec<(Field, Span)>;

/// What a rule does with the events that its condition is true of.
pub(super) enum Stateful {
    Threshold(Threshold),
    Sequence(Sequence),
    New(New),
}

pub(super) struct Threshold {
    pub(super) measure: Measure,
    /// Where the field of the measure stands.
    pub(super) measured: Option<(Field, Span)>,
    pub(super) at_least: u64,
    pub(super) within: Duration,
    pub(super) by: By,
}

pub(super) struct Sequence {
    pub(super) steps: Vec<Step>,
    pub(super) ordered: bool,
    pub(super) within: Duration,
    pub(super) until: Option<Step>,
}

pub(super) struct Step {
    pub(super) condition: Condition,
    pub(super) span: Span,
    pub(super) event: Option<(KindSet, Span)>,
    pub(super) by: By,
}

pub(super) struct New {
    pub(super) field: (Field, Span),
    pub(super) by: By,
    pub(super) learn: Duration,
}

pub(crate) const THRESHOLD_KEYS: &[&str] = &["distinct", "sum", "at_least", "within", "by"];
/// The keys of `threshold` in an override.
pub(crate) const OTHER_THRESHOLD_KEYS: &[&str] = &["at_least", "within"];
pub(crate) const SEQUENCE_KEYS: &[&str] = &["steps", "ordered", "within", "by", "until"];
pub(crate) const STEP_KEYS: &[&str] = &["condition", "event", "by"];
pub(crate) const NEW_KEYS: &[&str] = &["field", "by", "learn"];
pub(crate) const SUPPRESS_KEYS: &[&str] = &["for", "by"];

const MILLISECOND: Duration = Duration::from_millis(1);

impl Reader<'_> {
    /// `threshold`
    pub(super) fn threshold(&mut self, key: &Key, value: &Node) -> Option<Stateful> {
        let entries =
            self.mapping(key, value, "write threshold: {at_least: 5, within: 1m, by: [source.ip]}")?;
        let mut measures = Vec::new();
        let (mut at_least, mut within, mut by) = (None, None, Some(Vec::new()));
        for (key, value) in entries {
            match key.name.as_str() {
                name @ ("distinct" | "sum") => {
                    measures.push((name, key.span, self.one_field(key, value, name)))
                }
                "at_least" => at_least = self.amount(key, value).map(|amount| (amount, value.span)),
                "within" => within = self.duration(key, value, MILLISECOND, "write 10s, 5m or 1h"),
                "by" => by = self.fields(key, value),
                _ => self.unknown_key(key, "`threshold`", THRESHOLD_KEYS),
            }
        }
        self.need(key.span, "`threshold`", entries, &["at_least", "within"]);
        let (measure, measured) = match measures[..] {
            [] => (Measure::Count, None),
            [("sum", _, field)] => (Measure::Sum(field?.0), field),
            [(_, _, field)] => (Measure::Distinct(field?.0), field),
            [.., (_, span, _)] => {
                self.error_with_help(
                    span,
                    "a threshold counts one thing",
                    "write `distinct` or `sum`, or neither to count events",
                );
                return None;
            }
        };
        let (at_least, span) = at_least?;
        let at_least = self.enough(at_least, span, measure)?;
        Some(Stateful::Threshold(Threshold { measure, measured, at_least, within: within?, by: by? }))
    }

    /// What an override says of a rule's threshold.
    pub(super) fn other_threshold(&mut self, key: &Key, value: &Node, threshold: &mut Threshold) {
        let Some(entries) = self.mapping(key, value, "write threshold: {at_least: 5, within: 1m}") else {
            return;
        };
        for (key, value) in entries {
            match key.name.as_str() {
                "at_least" => {
                    let amount = self.amount(key, value);
                    let enough = amount.and_then(|amount| self.enough(amount, value.span, threshold.measure));
                    threshold.at_least = enough.unwrap_or(threshold.at_least);
                }
                "within" => {
                    let within = self.duration(key, value, MILLISECOND, "write 10s, 5m or 1h");
                    threshold.within = within.unwrap_or(threshold.within);
                }
                _ => self.unknown_key(key, "the `threshold` of an override", OTHER_THRESHOLD_KEYS),
            }
        }
    }

    /// An amount that a rule may wait for.
    fn enough(&mut self, at_least: u64, span: Span, measure: Measure) -> Option<u64> {
        let least = if matches!(measure, Measure::Sum(_)) { 1 } else { 2 };
        if at_least < least {
            let help = "leave `threshold` out to fire at the first event";
            self.error_with_help(span, format!("a threshold is {least} or more"), help);
            return None;
        }
        if at_least > MAX_DISTINCT && matches!(measure, Measure::Distinct(_)) {
            let message = format!("so many different values are not kept: {MAX_DISTINCT} at most");
            self.error(span, message);
            return None;
        }
        Some(at_least)
    }

    /// `sequence`
    pub(super) fn sequence(&mut self, key: &Key, value: &Node) -> Option<Stateful> {
        let help = "write sequence: {within: 5m, by: [process.tree], steps: [CONDITION, CONDITION]}";
        let entries = self.mapping(key, value, help)?;
        let (mut within, mut ordered, mut by) = (None, Some(true), Some(Vec::new()));
        let (mut steps, mut until) = (None, None);
        for (key, value) in entries {
            match key.name.as_str() {
                "within" => within = self.duration(key, value, MILLISECOND, "write 10s, 5m or 1h"),
                "ordered" => ordered = self.bool(key, value),
                "by" => by = self.fields(key, value),
                "steps" => steps = self.steps(key, value),
                "until" => until = Some(self.step(key, value)),
                _ => self.unknown_key(key, "`sequence`", SEQUENCE_KEYS),
            }
        }
        self.need(key.span, "`sequence`", entries, &["steps", "within"]);
        let (by, mut steps) = (by?, steps?);
        let mut until = match until {
            Some(until) => Some(until?),
            None => None,
        };
        for step in steps.iter_mut().chain(&mut until) {
            if step.by.is_empty() {
                step.by.clone_from(&by);
            }
        }
        self.belong_together(&steps, until.as_ref());
        Some(Stateful::Sequence(Sequence { steps, ordered: ordered?, within: within?, until }))
    }

    /// Complains of steps whose fields cannot have the same values.
    fn belong_together(&mut self, steps: &[Step], until: Option<&Step>) {
        let Some((first, others)) = steps.split_first() else { return };
        let types = |step: &Step| step.by.iter().map(|(field, _)| field.value_type()).collect::<Vec<_>>();
        for step in others.iter().chain(until) {
            if types(step) != types(first) {
                let span = step.by.first().or(first.by.first()).map_or(step.span, |(_, span)| *span);
                let message = "this step's `by` cannot be that of the first step";
                let help = "name as many fields, each of the type of the first step's";
                self.error_with_help(span, message, help);
            }
        }
    }

    fn steps(&mut self, key: &Key, value: &Node) -> Option<Vec<Step>> {
        let items = match &value.value {
            Tree::Sequence(items) if (2..=MAX_STEPS).contains(&items.len()) => items,
            _ => {
                let message = format!("`steps` is a list of 2 to {MAX_STEPS} steps");
                self.error_with_help(value.span, message, "begin each step with `- condition:`");
                return None;
            }
        };
        let steps: Vec<_> = items.iter().map(|item| self.step(key, item)).collect();
        steps.into_iter().collect()
    }

    /// A condition, or a mapping with one.
    fn step(&mut self, key: &Key, value: &Node) -> Option<Step> {
        let (mut condition, mut event, mut by) = (None, Some(None), Some(Vec::new()));
        match &value.value {
            Tree::Mapping(entries) => {
                for (key, value) in entries {
                    match key.name.as_str() {
                        "condition" => {
                            condition = self.condition(key, value).map(|found| (found, value.span))
                        }
                        "event" => event = self.event(key, value).map(|kinds| Some((kinds, value.span))),
                        "by" => by = self.fields(key, value),
                        _ => self.unknown_key(key, "a step", STEP_KEYS),
                    }
                }
                self.need(value.span, "this step", entries, &["condition"]);
            }
            _ => condition = self.condition(key, value).map(|found| (found, value.span)),
        }
        let (condition, span) = condition?;
        Some(Step { condition, span: Span::new(span.start, span.start), event: event?, by: by? })
    }

    /// `new`
    pub(super) fn novelty(&mut self, key: &Key, value: &Node) -> Option<Stateful> {
        let entries =
            self.mapping(key, value, "write new: {field: process.executable, by: [host.id], learn: 7d}")?;
        let (mut field, mut learn, mut by) = (None, None, Some(Vec::new()));
        for (key, value) in entries {
            match key.name.as_str() {
                "field" => field = self.one_field(key, value, "new"),
                "learn" => learn = self.duration(key, value, Duration::ZERO, "write 1h, 7d, or 0s"),
                "by" => by = self.fields(key, value),
                _ => self.unknown_key(key, "`new`", NEW_KEYS),
            }
        }
        self.need(key.span, "`new`", entries, &["field", "learn"]);
        Some(Stateful::New(New { field: field?, by: by?, learn: learn? }))
    }

    /// `suppress`: a length of time, or a mapping with one. Its fields are none where it names none.
    pub(super) fn suppress(&mut self, key: &Key, value: &Node) -> Option<(Duration, Option<Vec<Field>>)> {
        let help = "write 10m, 1h or 1d";
        if let Tree::Scalar(_) = &value.value {
            return self.duration(key, value, Duration::from_secs(1), help).map(|time| (time, None));
        }
        let entries = self.mapping(key, value, "write suppress: {for: 1h, by: [process.executable]}")?;
        let (mut time, mut by) = (None, Some(None));
        for (key, value) in entries {
            match key.name.as_str() {
                "for" => time = self.duration(key, value, Duration::from_secs(1), help),
                "by" => {
                    by = self
                        .fields(key, value)
                        .map(|by| Some(by.into_iter().map(|(field, _)| field).collect()));
                }
                _ => self.unknown_key(key, "`suppress`", SUPPRESS_KEYS),
            }
        }
        self.need(key.span, "`suppress`", entries, &["for"]);
        Some((time?, by?))
    }

    /// A number or a size that is not negative.
    fn amount(&mut self, key: &Key, value: &Node) -> Option<u64> {
        let text = self.scalar(key, value)?;
        match literal::number(text)
            .and_then(|n| u64::try_from(n).map_err(|_| format!("`{text}` is negative")))
        {
            Ok(amount) => Some(amount),
            Err(message) => {
                self.error_with_help(value.span, message, "write a number or a size, such as 20 or 100MB");
                None
            }
        }
    }

    /// Fields by which events belong together.
    fn fields(&mut self, key: &Key, value: &Node) -> Option<By> {
        let named = self.one_or_more(key, value);
        let count = named.len();
        let fields: By = named
            .into_iter()
            .filter_map(|(name, span)| self.field(name, span, "by").map(|field| (field, span)))
            .collect();
        (fields.len() == count).then_some(fields)
    }

    fn one_field(&mut self, key: &Key, value: &Node, what: &str) -> Option<(Field, Span)> {
        let name = self.scalar(key, value)?;
        self.field(name, value.span, what).map(|field| (field, value.span))
    }

    /// The field of that name, which must have a value of the type that is needed.
    fn field(&mut self, name: &str, span: Span, what: &str) -> Option<Field> {
        let Some(field) = Field::from_name(name) else {
            self.problems.push(crate::check::unknown_field(name, span));
            return None;
        };
        let problem = match (what, field.value_type()) {
            (_, Type::List) => "is a list, which is not one value",
            ("sum", Type::Str | Type::Bool | Type::Ip) => "is no number, and has no sum",
            _ => return Some(field),
        };
        self.problems.push(Problem::error(span, format!("`{name}` {problem}")));
        None
    }
}
