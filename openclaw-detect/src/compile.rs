//! A condition made ready to be asked often.

use crate::Field;
use crate::network::AddressSet;
use crate::text::TextMatcher;

/// A condition or a part of one, with every text, number and pattern prepared.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// All are true.
    And(Box<[Node]>),
    /// At least one is true.
    Or(Box<[Node]>),
    /// It is false.
    Not(Box<Node>),
    /// It is not true: an exception that is neither true nor false is none.
    Unless(Box<Node>),
    /// The event has the field.
    Exists(Field),
    /// The field's value passes.
    Test(Field, Matcher),
}

/// What a value must be.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// A text, or an item of a list of texts.
    Text(TextMatcher),
    /// A number that compares so with this one.
    Number(Comparison, i64),
    /// One of these numbers, which are in order.
    NumberIn(Box<[i64]>),
    /// Yes, or no.
    Bool(bool),
    /// One of these addresses.
    Address(AddressSet),
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
        if negated { Node::Not(Box::new(self)) } else { self }
    }

    /// The condition but where one of `exceptions` is true.
    #[must_use]
    pub(crate) fn unless(self, exceptions: impl IntoIterator<Item = Node>) -> Node {
        let mut parts = vec![self];
        parts.extend(exceptions.into_iter().map(|exception| Node::Unless(Box::new(exception))));
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

    /// Whether a regular expression or a pattern is among its comparisons.
    pub(crate) fn has_pattern(&self) -> bool {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().any(Node::has_pattern),
            Node::Not(inner) | Node::Unless(inner) => inner.has_pattern(),
            Node::Test(_, Matcher::Text(text)) => {
                matches!(text, TextMatcher::Matches(_) | TextMatcher::Glob { .. })
            }
            Node::Exists(_) | Node::Test(..) => false,
        }
    }

    fn cost(&self) -> u32 {
        match self {
            Node::And(parts) | Node::Or(parts) => parts.iter().map(Node::cost).sum(),
            Node::Not(inner) | Node::Unless(inner) => inner.cost(),
            Node::Exists(_) => 1,
            Node::Test(_, Matcher::Text(text)) => 1 + text.cost(),
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
