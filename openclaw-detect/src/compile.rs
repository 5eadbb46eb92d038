//! A condition made ready to be asked often.

use std::sync::Arc;

use crate::Field;
use crate::network::AddressSet;
use crate::text::TextMatcher;

/// A condition or a part of one, with every text, number and pattern prepared. Cheap to clone: rules share what they
/// have in common.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// All are true.
    And(Arc<[Node]>),
    /// At least one is true.
    Or(Arc<[Node]>),
    /// It is false.
    Not(Arc<Node>),
    /// It is not true: an exception that is neither true nor false is none.
    Unless(Arc<Node>),
    /// The event has the field.
    Exists(Field),
    /// The field's value passes.
    Test(Field, Matcher),
}

/// What a value must be.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// A text, or an item of a list of texts.
    Text(Arc<TextMatcher>),
    /// The item of that number of a list of texts, counted from 0.
    Item(u16, Arc<TextMatcher>),
    /// A number that compares so with this one.
    Number(Comparison, i64),
    /// One of these numbers, which are in order.
    NumberIn(Arc<[i64]>),
    /// Yes, or no.
    Bool(bool),
    /// One of these addresses.
    Address(Arc<AddressSet>),
}

impl Matcher {
    /// Whether a number passes; a boolean is 1 or 0.
    pub(crate) fn passes(&self, value: i64) -> bool {
        match self {
            Matcher::Number(comparison, number) => comparison.holds(value, *number),
            Matcher::NumberIn(numbers) => numbers.binary_search(&value).is_ok(),
            Matcher::Bool(expected) => i64::from(*expected) == value,
            Matcher::Text(_) | Matcher::Item(..) | Matcher::Address(_) => false,
        }
    }
}

/// How two numbers compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether `left` compares so with `right`.
    pub(crate) const fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Comparison::Equal => left == right,
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
        }
    }
}

impl Node {
    /// All of `parts`, the cheapest asked first: the order changes no answer.
    pub(crate) fn and(mut parts: Vec<Node>) -> Node {
        parts.sort_by_key(Node::cost);
        Node::And(parts.into())
    }

    /// One of `parts`, the cheapest asked first.
    pub(crate) fn or(mut parts: Vec<Node>) -> Node {
        parts.sort_by_key(Node::cost);
        Node::Or(parts.into())
    }

    /// The opposite, where `negated`.
    #[must_use]
    pub(crate) fn negate_if(self, negated: bool) -> Node {
        if negated { Node::Not(Arc::new(self)) } else { self }
    }

    /// The condition but where one of `exceptions` is true.
    #[must_use]
    pub(crate) fn unless(self, exceptions: impl IntoIterator<Item = Node>) -> Node {
        let mut parts = vec![self];
        parts.extend(exceptions.into_iter().map(|exception| Node::Unless(Arc::new(exception))));
        // What it is about is asked first: exceptions are for the few events that remain.
        if parts.len() == 1 { parts.remove(0) } else { Node::And(parts.into()) }
    }

    /// How many comparisons it has.
    pub(crate) fn comparisons(&self) -> usize {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().map(Node::comparisons).sum(),
            Node::Not(inner) | Node::Unless(inner) => inner.comparisons(),
            Node::Exists(_) | Node::Test(..) => 1,
        }
    }

    /// How many patterns are looked for one by one in an event's fields.
    pub(crate) fn scanned(&self) -> usize {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().map(Node::scanned).sum(),
            Node::Not(inner) | Node::Unless(inner) => inner.scanned(),
            Node::Test(_, Matcher::Text(text) | Matcher::Item(_, text)) => text.scanned(),
            Node::Exists(_) | Node::Test(..) => 0,
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().map(Node::cost).sum(),
            Node::Not(inner) | Node::Unless(inner) => inner.cost(),
            Node::Exists(_) => 1,
            Node::Test(_, Matcher::Text(text) | Matcher::Item(_, text)) => 1 + text.cost(),
            Node::Test(_, _) => 1,
        }
    }

    /// Calls `visit` with each field that the condition names.
    pub(crate) fn fields(&self, visit: &mut impl FnMut(Field)) {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| part.fields(visit)),
            Node::Not(inner) | Node::Unless(inner) => inner.fields(visit),
            Node::Exists(field) | Node::Test(field, _) => visit(*field),
        }
    }
}
