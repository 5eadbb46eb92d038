//! A rule with its condition made ready to be asked.

use crate::compile::Node as Condition;
use crate::diagnostic::{Problem, Span};
use crate::{EventKind, Field, KindSet, Rule};

/// A rule with its condition made ready.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    pub(crate) condition: Condition,
    /// Whether it fires on each event that matches (a rule with `event:`), or when it turns true.
    pub(crate) every_event: bool,
    /// Whether it is true of a process and a remote address, or of a process alone.
    pub(crate) by_remote: bool,
    /// Whether what it asks can differ among connections of one process to one address.
    pub(crate) by_connection: bool,
}

impl Compiled {
    /// Puts a rule and its condition together. `event` are the kinds that it names, with their place.
    pub(crate) fn new(
        mut rule: Rule,
        condition: Condition,
        event: Option<(KindSet, Span)>,
        condition_span: Span,
        problems: &mut Vec<Problem>,
    ) -> Option<Compiled> {
        let possible = crate::kinds::can_be_true(&condition);
        let names = |kinds: KindSet| kinds.iter().map(EventKind::name).collect::<Vec<_>>().join(", ");
        let message = "this condition can never be true: no kind of event has its fields and actions";
        match event {
            _ if possible.is_empty() => {
                problems.push(Problem::error(condition_span, message));
                return None;
            }
            Some((named, span)) => {
                rule.kinds = named.intersection(possible);
                for kind in named.iter().filter(|kind| !possible.contains(*kind)) {
                    let message = format!("the condition can never be true of {kind}");
                    let help = format!("it can be of {}", names(possible));
                    let problem = if rule.kinds.is_empty() {
                        Problem::error(span, message)
                    } else {
                        Problem::warning(span, message)
                    };
                    problems.push(problem.help(help));
                }
            }
            None => {
                rule.kinds = crate::kinds::without_event(&condition);
                if rule.kinds.is_empty() {
                    let message =
                        "none of the condition's fields changes at an event of which it can be true";
                    let help = format!("say when to ask: `event:` with one or more of {}", names(possible));
                    problems.push(Problem::error(condition_span, message).help(help));
                }
            }
        }
        let mut by_remote = false;
        let mut by_connection = false;
        condition.fields(&mut |field: Field| {
            by_remote |= is_of_connection(field);
            by_connection |= is_of_connection(field) && !is_of_remote(field);
        });
        Some(Compiled { every_event: event.is_some(), by_remote, by_connection, rule, condition })
    }
}

/// Whether the field is the same for all connections of a process to one address.
const fn is_of_remote(field: Field) -> bool {
    matches!(field, Field::DestinationIp | Field::NetworkOutboundBytes)
}

/// Whether the field is about a connection or its address, and not about the process alone.
fn is_of_connection(field: Field) -> bool {
    field.kinds() == KindSet::of(&[EventKind::NetworkConnection])
}
