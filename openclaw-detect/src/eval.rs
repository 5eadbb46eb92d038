//! Whether a condition is true of an event, in three values.

use crate::compile::{Matcher, Node};
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
            for part in parts.iter() {
                least = least.min(evaluate(part, event));
                if least == Truth::False {
                    break;
                }
            }
            least
        }
        Node::Or(parts) => {
            let mut greatest = Truth::False;
            for part in parts.iter() {
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
        (Matcher::Item(number, matcher), Value::List(list)) => match list.iter().nth(usize::from(*number)) {
            Some(item) => matcher.matches(item),
            None => return Truth::Unknown,
        },
        (Matcher::Number(comparison, right), Value::Int(left)) => comparison.holds(left, *right),
        (Matcher::NumberIn(numbers), Value::Int(number)) => numbers.binary_search(&number).is_ok(),
        (Matcher::Bool(expected), Value::Bool(value)) => *expected == value,
        (Matcher::Address(addresses), Value::Ip(address)) => addresses.contains(address),
        // The checker gives a field's matcher the field's type; an event that has another type lacks the field.
        _ => return Truth::Unknown,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::ast::{Expr, Operand, Operator, Test};
    use crate::definitions::Definitions;
    use crate::text::Wildcard;
    use crate::{RecordedEvent, check::check, generate, parser::parse};

    /// What a condition is of an event, read off the tree as it is written: plain, slow, and without anything that
    /// the compiled form has.
    fn interpret(expr: &Expr, event: &RecordedEvent) -> Option<bool> {
        let all = |parts: &[Expr]| parts.iter().map(|part| interpret(part, event)).collect::<Vec<_>>();
        match expr {
            Expr::And(parts) => {
                let parts = all(parts);
                if parts.contains(&Some(false)) {
                    Some(false)
                } else {
                    parts.into_iter().find(Option::is_none).unwrap_or(Some(true))
                }
            }
            Expr::Or(parts) => {
                let parts = all(parts);
                if parts.contains(&Some(true)) {
                    Some(true)
                } else {
                    parts.into_iter().find(Option::is_none).unwrap_or(Some(false))
                }
            }
            Expr::Not(inner) => interpret(inner, event).map(|truth| !truth),
            Expr::Test(test) => compare(test, event),
            Expr::Macro(name) => panic!("{} is a macro", name.text),
        }
    }

    fn compare(test: &Test, event: &RecordedEvent) -> Option<bool> {
        let (name, number) = test.subject();
        let mut value = event.get(Field::from_name(name).unwrap());
        if let (Some(Value::List(list)), Some(number)) = (value, number) {
            value = list.iter().nth(number.parse().unwrap()).map(Value::Str);
        }
        if test.operator == Operator::Exists {
            return Some(value.is_some() != test.negated);
        }
        let operands: Vec<&str> = match &test.operand {
            Operand::None => Vec::new(),
            Operand::One(one) => vec![&one.text],
            Operand::Many(many, _) => many.iter().map(|one| one.text.as_str()).collect(),
        };
        let one = |value: Value<'_>| operands.iter().any(|operand| holds(value, test.operator, operand));
        let holds = match value? {
            Value::List(items) => items.iter().any(|item| one(Value::Str(item))),
            value => one(value),
        };
        Some(holds != (test.negated != (test.operator == Operator::NotEqual)))
    }

    /// Whether the comparison holds; of `!=` that of `==`.
    fn holds(value: Value<'_>, operator: Operator, operand: &str) -> bool {
        if let (Value::Str(text), Some(operator)) = (value, operator.with_case()) {
            return holds(Value::Str(&text.to_ascii_lowercase()), operator, &operand.to_ascii_lowercase());
        }
        match value {
            Value::Str(text) => match operator {
                Operator::Contains => text.contains(operand),
                Operator::Like => Wildcard::like(operand).unwrap().fits(text),
                Operator::StartsWith => text.starts_with(operand),
                Operator::EndsWith => text.ends_with(operand),
                Operator::Matches => regex::Regex::new(operand).unwrap().is_match(text),
                Operator::Glob => fits(operand, text),
                _ => text == operand,
            },
            Value::Int(number) => {
                let other: i64 = operand.parse().unwrap();
                match operator {
                    Operator::Less => number < other,
                    Operator::LessOrEqual => number <= other,
                    Operator::Greater => number > other,
                    Operator::GreaterOrEqual => number >= other,
                    _ => number == other,
                }
            }
            Value::Bool(value) => value.to_string() == operand,
            Value::Ip(address) => match operand.split_once('/') {
                Some(("10.0.0.0", "8")) => {
                    matches!(address.to_canonical(), IpAddr::V4(address) if address.octets()[0] == 10)
                }
                _ => operand.parse() == Ok(address.to_canonical()),
            },
            Value::List(_) => panic!("a list in a list"),
        }
    }

    /// Whether a pattern of the shell's kind fits the whole text.
    fn fits(pattern: &str, text: &str) -> bool {
        if let Some(open) = pattern.find('{') {
            let close = pattern.find('}').unwrap();
            let choices = pattern[open + 1..close].split(',');
            return choices
                .map(|choice| format!("{}{choice}{}", &pattern[..open], &pattern[close + 1..]))
                .any(|pattern| fits(&pattern, text));
        }
        if let Some(rest) = pattern.strip_prefix("**") {
            return text.char_indices().any(|(at, _)| fits(rest, &text[at..])) || fits(rest, "");
        }
        let first = text.chars().next();
        let after = &text[first.map_or(0, char::len_utf8)..];
        match pattern.chars().next() {
            None => text.is_empty(),
            Some('*') => fits(&pattern[1..], text) || first.is_some_and(|c| c != '/') && fits(pattern, after),
            Some('?') => first.is_some_and(|c| c != '/') && fits(&pattern[1..], after),
            Some(c) => first == Some(c) && fits(&pattern[c.len_utf8()..], after),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        #[test]
        fn the_compiled_condition_is_what_its_tree_says(text in generate::condition(), event in generate::event()) {
            let expr = parse(&text).unwrap();
            let compiled = match evaluate(&check(&expr, &Definitions::default()).0.unwrap(), &event) {
                Truth::True => Some(true),
                Truth::False => Some(false),
                Truth::Unknown => None,
            };
            prop_assert_eq!(compiled, interpret(&expr, &event), "{}", text);
        }
    }
}
