//! Comparisons that cannot be true together.

use std::collections::BTreeMap;

use crate::Field;
use crate::ast::Expr;
use crate::compile::{Matcher, Node};
use crate::diagnostic::{Problem, Span};
use crate::field::Type;
use crate::shared::Shared;
use crate::text::TextMatcher;

/// A comparison of a field: what its value must be, or must not be, and where it is written.
struct Asked<'a> {
    matcher: &'a Matcher,
    negated: bool,
    span: Span,
}

/// Warns where the parts of an `AND` ask of one field what no value is.
pub(crate) fn find(parts: &[Expr], nodes: &[Node], shared: &Shared) -> Vec<Problem> {
    let mut by_field: BTreeMap<Field, Vec<Asked<'_>>> = BTreeMap::new();
    for (part, node) in parts.iter().zip(nodes) {
        let Expr::Test(test) = part else { continue };
        let (node, negated) = match node {
            Node::Not(inner) => (&**inner, true),
            node => (node, false),
        };
        if let Node::Test(field, matcher) = node
            // One item of a list may be what another is not.
            && field.value_type() != Type::List
        {
            let span = test.field.span.to(test.operator_span);
            by_field.entry(*field).or_default().push(Asked { matcher, negated, span });
        }
    }
    let never = by_field.into_iter().filter(|(_, asked)| asked.len() > 1 && is_empty(asked, shared));
    never
        .filter_map(|(field, asked)| {
            let message =
                format!("this can never be true: no `{}` is all that is asked of it here", field.name());
            asked.last().map(|last| Problem::warning(last.span, message))
        })
        .collect()
}

/// Whether no value is all that is asked. Where that is not known it is not.
fn is_empty(asked: &[Asked<'_>], shared: &Shared) -> bool {
    let texts = asked.iter().filter(|asked| !asked.negated).find_map(|asked| match asked.matcher {
        Matcher::Text(text) => match &**text {
            TextMatcher::Equals(text) => Some(std::slice::from_ref(text)),
            TextMatcher::OneOf(texts) => Some(&**texts),
            _ => None,
        },
        _ => None,
    });
    let steps = asked.iter().map(|asked| match asked.matcher {
        Matcher::Text(text) => 1 + text.scanned(),
        _ => 1,
    });
    let steps: usize = steps.sum();
    if let Some(texts) = texts {
        let passes = |text: &str, asked: &Asked<'_>| match asked.matcher {
            Matcher::Text(matcher) => matcher.matches(text) != asked.negated,
            _ => true,
        };
        return shared.take_effort(texts.len() * steps)
            && !texts.iter().any(|text| asked.iter().all(|asked| passes(text, asked)));
    }
    // All numbers at which an answer changes, and their neighbours.
    let mut numbers = Vec::new();
    for Asked { matcher, .. } in asked {
        match matcher {
            Matcher::Number(_, number) => numbers.push(*number),
            Matcher::NumberIn(all) => numbers.extend(all.iter().copied()),
            Matcher::Bool(_) => {}
            _ => return false,
        }
    }
    let is_bool = asked.iter().all(|asked| matches!(asked.matcher, Matcher::Bool(_)));
    let around = numbers.iter().flat_map(|n| [n.saturating_sub(1), *n, n.saturating_add(1)]);
    let candidates: Vec<i64> = if is_bool { vec![0, 1] } else { around.collect() };
    shared.take_effort(candidates.len() * steps)
        && !candidates
            .into_iter()
            .any(|number| asked.iter().all(|asked| asked.matcher.passes(number) != asked.negated))
}
