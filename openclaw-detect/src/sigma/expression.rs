//! Parts of conditions of ours, put together from what a Sigma rule says.

use crate::ast::{Expr, Literal, Operand, Operator, Test, Word};
use crate::diagnostic::Span;
use crate::{Field, parser};

/// What a part of a Sigma rule comes to here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Asks(Expr),
    /// It is true of every event.
    Always,
    /// It is true of none, since the sensor does not tell what it asks for.
    Never,
    /// Where it keeps a rule from firing it is not known, since the sensor does not tell what it asks for: it is left out.
    Untold,
}

impl Meaning {
    /// All of them are true, of a filter: one that asks for less would keep the rule from firing more often.
    pub(super) fn all_of_filter(parts: Vec<Meaning>) -> Meaning {
        if parts.contains(&Meaning::Untold) && !parts.contains(&Meaning::Never) {
            return Meaning::Untold;
        }
        Meaning::all(parts)
    }

    /// All of them are true.
    pub(super) fn all(parts: impl IntoIterator<Item = Meaning>) -> Meaning {
        let (mut asked, mut untold) = (Vec::new(), false);
        for part in parts {
            match part {
                Meaning::Never => return Meaning::Never,
                Meaning::Always => {}
                Meaning::Untold => untold = true,
                Meaning::Asks(Expr::And(parts)) => add_each(&mut asked, parts),
                Meaning::Asks(expr) => add_each(&mut asked, vec![expr]),
            }
        }
        let nothing = if untold { Meaning::Untold } else { Meaning::Always };
        one(asked, Expr::And).map_or(nothing, Meaning::Asks)
    }

    /// At least one of them is true.
    pub(super) fn any(parts: impl IntoIterator<Item = Meaning>) -> Meaning {
        let (mut asked, mut untold) = (Vec::new(), false);
        for part in parts {
            match part {
                Meaning::Always => return Meaning::Always,
                Meaning::Never => {}
                Meaning::Untold => untold = true,
                Meaning::Asks(Expr::Or(parts)) => add_each(&mut asked, parts),
                Meaning::Asks(expr) => add_each(&mut asked, vec![expr]),
            }
        }
        let nothing = if untold { Meaning::Untold } else { Meaning::Never };
        one(asked, Expr::Or).map_or(nothing, Meaning::Asks)
    }

    /// It is not true. Of what an event lacks nothing is true in Sigma, so that its opposite is.
    pub(super) fn not(self) -> Meaning {
        match self {
            Meaning::Always => Meaning::Never,
            Meaning::Never => Meaning::Always,
            Meaning::Untold => Meaning::Untold,
            Meaning::Asks(expr) => Meaning::Asks(not_true(expr)),
        }
    }
}

/// Adds what is not there yet; of very many it is not looked.
fn add_each(asked: &mut Vec<Expr>, parts: Vec<Expr>) {
    for part in parts {
        if asked.len() > 64 || !asked.contains(&part) {
            asked.push(part);
        }
    }
}

/// The parts joined; one alone is itself, none is none.
fn one(mut parts: Vec<Expr>, join: fn(Vec<Expr>) -> Expr) -> Option<Expr> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(join(parts)),
    }
}

/// What is true wherever the condition is not.
pub(super) fn not_true(expr: Expr) -> Expr {
    match expr {
        Expr::And(parts) => Expr::Or(parts.into_iter().map(not_true).collect()),
        Expr::Or(parts) => Expr::And(parts.into_iter().map(not_true).collect()),
        Expr::Test(test) => {
            let opposite = Expr::Test(match test.operator {
                Operator::Equal => Test { operator: Operator::NotEqual, ..test.clone() },
                Operator::NotEqual => Test { operator: Operator::Equal, ..test.clone() },
                Operator::Less => Test { operator: Operator::GreaterOrEqual, ..test.clone() },
                Operator::LessOrEqual => Test { operator: Operator::Greater, ..test.clone() },
                Operator::Greater => Test { operator: Operator::LessOrEqual, ..test.clone() },
                Operator::GreaterOrEqual => Test { operator: Operator::Less, ..test.clone() },
                _ => Test { negated: !test.negated, ..test.clone() },
            });
            let (field, number) = test.subject();
            // What is always there needs no other way to be false.
            if test.operator == Operator::Exists || Field::from_name(field) == Some(Field::EventAction) {
                return opposite;
            }
            let absent = match number {
                // Items are counted from 0.
                Some(number) => number.parse::<i64>().ok().map(|number| {
                    let count = Literal { text: number.to_string(), quoted: false, span: Span::default() };
                    comparison("process.args_count", Operator::LessOrEqual, Operand::One(count))
                }),
                None => Some(exists(field, false)),
            };
            Expr::Or(absent.into_iter().chain([opposite]).collect())
        }
        // Neither is made here.
        other @ (Expr::Not(_) | Expr::Macro(_)) => Expr::Not(Box::new(other)),
    }
}

/// A comparison.
pub(super) fn comparison(field: &str, operator: Operator, operand: Operand) -> Expr {
    let span = Span::default();
    let field = Word { text: field.to_owned(), span };
    Expr::Test(Test { field, operator, operator_span: span, negated: false, operand })
}

/// Whether the event has the field.
pub(super) fn exists(field: &str, wanted: bool) -> Expr {
    match comparison(field, Operator::Exists, Operand::None) {
        Expr::Test(test) => Expr::Test(Test { negated: !wanted, ..test }),
        other => other,
    }
}

/// A comparison with one value or several.
pub(super) fn among(field: &str, one: Operator, many: Operator, values: Vec<String>, quoted: bool) -> Expr {
    let literal = |text: String| Literal { text, quoted, span: Span::default() };
    match <[String; 1]>::try_from(values) {
        Ok([value]) if one != Operator::In => comparison(field, one, Operand::One(literal(value))),
        Ok([value]) => comparison(field, many, Operand::Many(vec![literal(value)], Span::default())),
        Err(values) => {
            let values = values.into_iter().map(literal).collect();
            comparison(field, many, Operand::Many(values, Span::default()))
        }
    }
}

/// What was done is one of these.
pub(super) fn action(actions: &[&str]) -> Expr {
    let actions = actions.iter().map(|action| (*action).to_owned()).collect();
    among(Field::EventAction.name(), Operator::Equal, Operator::In, actions, true)
}

/// A condition as it is written in the code.
pub(super) fn written(condition: &str) -> Meaning {
    parser::parse(condition).map_or(Meaning::Never, Meaning::Asks)
}
