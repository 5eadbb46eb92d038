//! What gives what a rule remembers its meaning, so that a rule which was changed takes over what still has one.

use serde::{Deserialize, Serialize};

use crate::compiled::Compiled;
use crate::fingerprint::Fingerprint;
use crate::rule::{Measure, When};
use crate::{Field, Rule};

/// The meaning of what a rule remembers. It is kept on disk, so that it names fields as rules do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// How it counts, follows or learns, and by which keys.
    way: String,
    /// Of what: its conditions as they are written, without their exceptions.
    question: Fingerprint,
    /// Its conditions, with their exceptions and what their lists hold.
    whole: Fingerprint,
    /// By which keys `suppress` tells one firing from another.
    told_by: Option<String>,
}

impl Shape {
    pub(super) fn of(compiled: &Compiled) -> Self {
        let Compiled { rule, identity, .. } = compiled;
        Shape {
            way: way(rule),
            question: identity.question,
            whole: identity.whole,
            told_by: rule.suppress.as_ref().map(|suppress| names(&suppress.by)),
        }
    }

    /// Whether windows, sequences and values of that shape are of this one. Of what is known it does not matter what
    /// is asked: it is known of the host.
    pub(super) fn continues(&self, before: &Shape, learns: bool) -> bool {
        self.way == before.way && (learns || self.question == before.question)
    }

    /// Whether all that is asked is as it was, to the last member of a list.
    pub(super) fn asks_as(&self, before: &Shape) -> bool {
        self.whole == before.whole
    }

    /// Whether what was told there is not told again here.
    pub(super) fn tells_as(&self, before: &Shape) -> bool {
        self.told_by == before.told_by && self.question == before.question
    }
}

/// How a rule comes to fire.
fn way(rule: &Rule) -> String {
    match &rule.when {
        When::Turns => "turns".to_owned(),
        When::Each => "each".to_owned(),
        When::Threshold(threshold) => {
            let measure = match threshold.measure {
                Measure::Count => "count".to_owned(),
                Measure::Distinct(field) => format!("distinct {}", field.name()),
                Measure::Sum(field) => format!("sum {}", field.name()),
            };
            let (at_least, within) = (threshold.at_least, threshold.within.as_nanos());
            format!("{measure} of {at_least} within {within} by {}", names(&threshold.by))
        }
        When::Sequence(sequence) => {
            let order = if sequence.ordered { "in order" } else { "in any order" };
            let by: Vec<_> = sequence.steps.iter().map(|step| names(&step.by)).collect();
            format!("{order} by {}", by.join("; by "))
        }
        When::New(new) => format!("new {} by {}", new.field.name(), names(&new.by)),
    }
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ")
}
