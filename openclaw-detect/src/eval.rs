//! Whether a condition is true of an event, in three values.

use crate::compile::{Comparison, Matcher, Node};
use crate::{Event, Field, Value};

/// The answer to a condition. A comparison with a field that the event lacks is neither true nor false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    False,
    Unknown,
    True,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Truth::True } else { Truth::False }
    }
}

impl Truth {
    pub(crate) const fn not(self) -> Truth {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}

/// Asks the condition of the event: `AND` is the least of its parts, `OR` the greatest (Kleene's logic).
pub(crate) fn evaluate<E: Event + ?Sized>(node: &Node, event: &E) -> Truth {
    match node {
        Node::And(parts) => {
            let mut least = Truth::True;
            for part in parts {
                least = least.min(evaluate(part, event));
                if least == Truth::False {
                    break;
                }
            }
            least
        }
        Node::Or(parts) => {
            let mut greatest = Truth::False;
            for part in parts {
                greatest = greatest.max(evaluate(part, event));
                if greatest == Truth::True {
                    break;
                }
            }
            greatest
        }
        Node::Not(inner) => evaluate(inner, event).not(),
        Node::Unless(inner) => (evaluate(inner, event) != Truth::True).into(),
        Node::Exists(field) => event.get(*field).is_some().into(),
        Node::Test(field, matcher) => test(event, *field, matcher),
    }
}

fn test<E: Event + ?Sized>(event: &E, field: Field, matcher: &Matcher) -> Truth {
    let Some(value) = event.get(field) else { return Truth::Unknown };
    match (matcher, value) {
        (Matcher::Text(matcher), Value::Str(text)) => matcher.matches(text),
        (Matcher::Text(matcher), Value::List(list)) => list.iter().any(|item| matcher.matches(item)),
        (Matcher::Number(comparison, right), Value::Int(left)) => match comparison {
            Comparison::Equal => left == *right,
            Comparison::Less => left < *right,
            Comparison::LessOrEqual => left <= *right,
            Comparison::Greater => left > *right,
            Comparison::GreaterOrEqual => left >= *right,
        },
        (Matcher::NumberIn(numbers), Value::Int(number)) => numbers.binary_search(&number).is_ok(),
        (Matcher::Bool(expected), Value::Bool(value)) => *expected == value,
        (Matcher::Address(addresses), Value::Ip(address)) => addresses.contains(address),
        // The checker gives a field's matcher the field's type; an event that has another type lacks the field.
        _ => return Truth::Unknown,
    }
    .into()
}
