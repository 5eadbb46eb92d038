//! Rules that add nothing to another: whenever they fire, it does too.

use std::collections::HashMap;

use crate::compile::{Comparison, Matcher, Node};
use crate::compiled::{Compiled, Part};
use crate::rule::When;
use crate::shared::Shared;
use crate::text::TextMatcher;
use crate::{Field, Rule};

/// Values of one comparison by which a rule is looked up.
const MAX_VALUES: usize = 64;

/// Steps that comparing two comparisons counts for: a warning is not worth much of the time of loading.
const EFFORT: usize = 16;

/// For each rule that another makes needless, that other one: it fires whenever the rule does, is as severe, and
/// answers as much. Of rules without `event` and of those with it, each among themselves; rules that remember are left
/// out. Where there are very many rules, not all are looked at.
pub(crate) fn find(rules: &[Compiled], shared: &Shared) -> Vec<(usize, usize)> {
    let mut by_value: HashMap<(Field, &str), Vec<usize>> = HashMap::new();
    let mut by_field: HashMap<Field, Vec<usize>> = HashMap::new();
    for (number, condition) in conditions(rules) {
        match key(condition) {
            Some((field, Some(texts))) => {
                texts.iter().for_each(|text| by_value.entry((field, text)).or_default().push(number));
            }
            Some((field, None)) => by_field.entry(field).or_default().push(number),
            None => {}
        }
    }
    let mut found = Vec::new();
    for (number, condition) in conditions(rules) {
        // What implies a comparison of a field has a comparison of it, and of the same value.
        let mut others = Vec::new();
        let mut add = |of: Option<&Vec<usize>>| {
            let of = of.filter(|of| shared.take_effort(EFFORT * of.len()));
            others.extend(of.into_iter().flatten().copied());
        };
        tests(condition, &mut |field, matcher| {
            add(by_field.get(&field));
            let text = equals(matcher).and_then(<[_]>::first);
            add(text.and_then(|text| by_value.get(&(field, &**text))));
        });
        others.sort_unstable();
        others.dedup();
        let (rule, steps) = (&rules[number], condition.comparisons());
        let makes_needless = |other: usize| {
            let by = &rules[other];
            other != number
                && rule.rule.when == by.rule.when
                && fires_with(by, rule)
                && says_as_much(&by.rule, &rule.rule)
                && shared.take_effort(EFFORT * steps * by.clauses[0].condition.comparisons())
                && implies(condition, &by.clauses[0].condition)
                // Of two that ask the same, one is told, and where they are written alike, by another warning.
                && by.identity != rule.identity
                && (other < number || !implies(&by.clauses[0].condition, condition))
        };
        found.extend(others.into_iter().find(|other| makes_needless(*other)).map(|other| (number, other)));
    }
    found
}

/// The rules that fire on what their condition is true of, with their conditions.
fn conditions(rules: &[Compiled]) -> impl Iterator<Item = (usize, &Node)> {
    rules.iter().enumerate().filter_map(|(number, compiled)| match &compiled.clauses[..] {
        [clause] if clause.part == Part::Condition => {
            let fires_by_itself = matches!(compiled.rule.when, When::Turns | When::Each);
            (fires_by_itself && compiled.rule.suppress.is_none()).then_some((number, &clause.condition))
        }
        _ => None,
    })
}

/// Whether a rule is asked wherever the other is. What turns true of a process, or of a connection, does so at the same
/// event only where both are asked of the same things.
fn fires_with(rule: &Compiled, other: &Compiled) -> bool {
    if rule.turns() {
        return rule.rule.kinds == other.rule.kinds
            && rule.by_remote == other.by_remote
            && rule.by_connection == other.by_connection;
    }
    rule.rule.kinds.union(other.rule.kinds) == rule.rule.kinds
}

fn says_as_much(rule: &Rule, as_other: &Rule) -> bool {
    rule.response == as_other.response
        && rule.severity >= as_other.severity
        && rule.confidence >= as_other.confidence
        && as_other.actions.iter().all(|action| rule.actions.contains(action))
}

/// A comparison without which the condition is not true, by which it is looked up: of a few texts, if there is one.
fn key(condition: &Node) -> Option<(Field, Option<&[Box<str>]>)> {
    let mut key: Option<(Field, Option<&[Box<str>]>)> = None;
    tests(condition, &mut |field, matcher| {
        let texts = equals(matcher).filter(|texts| texts.len() <= MAX_VALUES);
        if key.is_none() || (texts.is_some() && matches!(key, Some((_, None)))) {
            key = Some((field, texts));
        }
    });
    key
}

/// The comparisons that are all true where the condition is.
fn tests<'a>(condition: &'a Node, visit: &mut impl FnMut(Field, &'a Matcher)) {
    match condition {
        Node::And(parts) => parts.iter().for_each(|part| tests(part, visit)),
        Node::Test(field, matcher) => visit(*field, matcher),
        Node::Or(_) | Node::Not(_) | Node::Unless(_) | Node::Exists(_) => {}
    }
}

/// The texts of which the value is one.
fn equals(matcher: &Matcher) -> Option<&[Box<str>]> {
    let Matcher::Text(text) = matcher else { return None };
    match &**text {
        TextMatcher::Equals(text) => Some(std::slice::from_ref(text)),
        TextMatcher::OneOf(texts) => Some(texts),
        _ => None,
    }
}

/// Whether `b` is true wherever `a` is. Where that is not known it is not.
fn implies(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (_, Node::And(parts)) => parts.iter().all(|part| implies(a, part)),
        (Node::Or(parts), _) => parts.iter().all(|part| implies(part, b)),
        (Node::And(parts), Node::Or(others)) => {
            parts.iter().any(|part| implies(part, b)) || others.iter().any(|other| implies(a, other))
        }
        (Node::And(parts), _) => parts.iter().any(|part| implies(part, b)),
        (_, Node::Or(others)) => others.iter().any(|other| implies(a, other)),
        (Node::Test(field, _), Node::Exists(other)) | (Node::Exists(field), Node::Exists(other)) => {
            field == other
        }
        (Node::Test(field, matcher), Node::Test(other, by)) => field == other && is_within(matcher, by),
        (Node::Not(a), Node::Not(b)) => is_false_where(a, b),
        // What an exception takes away must be taken away from the other too.
        (Node::Unless(a), Node::Unless(b)) => implies(b, a),
        _ => false,
    }
}

/// Whether `b` is false wherever `a` is: known of comparisons of one field, which lack it together.
fn is_false_where(a: &Node, b: &Node) -> bool {
    match (a, b) {
        (Node::Test(field, by), Node::Test(other, matcher)) => field == other && is_within(matcher, by),
        (Node::Exists(field), Node::Exists(other)) => field == other,
        _ => false,
    }
}

/// Whether each value that passes `matcher` passes `by`.
fn is_within(matcher: &Matcher, by: &Matcher) -> bool {
    match (matcher, by) {
        (Matcher::Text(text), Matcher::Text(by)) => is_text_within(text, by),
        (Matcher::Item(number, text), Matcher::Item(other, by)) => {
            number == other && is_text_within(text, by)
        }
        (Matcher::Number(Comparison::Equal, number), by) => by.passes(*number),
        (Matcher::NumberIn(numbers), by) => numbers.iter().all(|number| by.passes(*number)),
        (Matcher::Number(comparison, number), Matcher::Number(other, by)) => {
            use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
            match (comparison, other) {
                (Greater, Greater) | (GreaterOrEqual, GreaterOrEqual) | (Greater, GreaterOrEqual) => {
                    number >= by
                }
                (GreaterOrEqual, Greater) => number > by,
                (Less, Less) | (LessOrEqual, LessOrEqual) | (Less, LessOrEqual) => number <= by,
                (LessOrEqual, Less) => number < by,
                (Equal | Less | LessOrEqual | Greater | GreaterOrEqual, _) => false,
            }
        }
        (Matcher::Bool(value), Matcher::Bool(by)) => value == by,
        (Matcher::Address(addresses), Matcher::Address(by)) => addresses.is_within(by),
        _ => false,
    }
}

fn is_text_within(text: &TextMatcher, by: &TextMatcher) -> bool {
    let each = |texts: &[Box<str>]| texts.iter().all(|text| by.matches(text));
    match (text, by) {
        (TextMatcher::Equals(text), _) => by.matches(text),
        (TextMatcher::OneOf(texts), _) => each(texts),
        // What begins with a text of which a part, or the beginning, is asked for has it too.
        (TextMatcher::StartsWith(texts), TextMatcher::StartsWith(_) | TextMatcher::Contains(_))
        | (TextMatcher::EndsWith(texts), TextMatcher::EndsWith(_) | TextMatcher::Contains(_)) => each(texts),
        (TextMatcher::Contains(parts), TextMatcher::Contains(_)) => each(parts.texts()),
        (TextMatcher::Matches(patterns), TextMatcher::Matches(others)) => {
            patterns.iter().all(|pattern| others.iter().any(|other| other.as_str() == pattern.as_str()))
        }
        (TextMatcher::Fits(patterns), TextMatcher::Fits(others)) => {
            patterns.iter().all(|pattern| others.contains(pattern))
        }
        (TextMatcher::IgnoringCase(text), TextMatcher::IgnoringCase(by)) => is_text_within(text, by),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eval::{Truth, evaluate};
    use crate::{RuleSet, Source, check::check, definitions::Definitions, generate, parser::parse};

    fn node(text: &str) -> Node {
        check(&parse(text).unwrap(), &Definitions::default()).0.unwrap()
    }

    #[test]
    fn a_condition_that_asks_for_more_implies_the_one_that_asks_for_less() {
        for (a, b) in [
            ("process.name == 'nc' and process.uid == 0", "process.name in ['nc', 'ncat']"),
            ("process.name == 'nc' and process.uid == 0", "process.uid == 0"),
            ("process.name in ['nc', 'ncat']", "process.name startswith 'nc' or process.uid == 0"),
            ("file.path startswith '/etc/ssh/'", "file.path startswith '/etc/'"),
            ("file.path endswith '.key.pem'", "file.path endswith ['.pem', '.crt']"),
            ("file.path glob '/a/*'", "file.path glob ['/b/*', '/a/*']"),
            ("network.bytes_sent > 10", "network.bytes_sent >= 10"),
            ("network.bytes_sent in [3, 5]", "network.bytes_sent < 6"),
            ("destination in [10.1.0.0/16]", "destination in [10.0.0.0/8, 192.0.2.0/24]"),
            ("process.name not in ['a', 'b']", "process.name != 'a'"),
            ("process.tty == 'x'", "process.tty exists"),
            ("process.name == 'a' or process.name == 'b'", "process.name in ['a', 'b', 'c']"),
        ] {
            assert!(implies(&node(a), &node(b)), "{a} => {b}");
            assert!(!implies(&node(b), &node(a)), "{b} => {a}");
        }
    }

    #[test]
    fn a_rule_that_adds_nothing_to_another_is_warned_of() {
        let warnings = |rules: &str| {
            let source = Source { name: "x.yml".to_owned(), text: format!("rules:\n{rules}") };
            let rules = RuleSet::load(&[source]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            rules.warnings().iter().map(|warning| warning.message.clone()).collect::<Vec<_>>()
        };
        let wide = "- {name: wide, event: process_create, severity: high, condition: \"process.name in ['nc', 'ncat']\"}\n";
        let narrow = "- {name: narrow, event: process_create, severity: low, condition: process.name == 'nc' and process.uid == 0}\n";
        let expected = "this rule adds nothing to `wide`, which fires whenever it does";
        assert_eq!(warnings(&format!("{wide}{narrow}")), [expected]);
        assert_eq!(warnings(&format!("{narrow}{wide}")), [expected]);
        for adds in [
            narrow.replace("low", "critical"),
            narrow.replace("severity: low", "severity: low, action: isolate"),
            narrow.replace("event: process_create, ", ""),
            narrow.replace("process_create", "[process_create, process_fork]"),
            narrow.replace("severity: low", "severity: low, response: {for: 1d}"),
            narrow.replace("== 'nc'", "startswith 'nc'"),
        ] {
            assert!(warnings(&format!("{wide}{adds}")).is_empty(), "{adds}");
        }
        let excepted =
            wide.replace("severity", "exceptions: [{name: e, condition: process.uid == 0}], severity");
        assert!(warnings(&format!("{excepted}{narrow}")).is_empty(), "it is excepted there");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_implied_is_true_where_what_implies_it_is(
            a in generate::condition(), b in generate::condition(), events in prop::collection::vec(generate::event(), 1..8)
        ) {
            let (both, either) = (node(&format!("({a}) and ({b})")), node(&format!("({a}) or ({b})")));
            let (a, b) = (node(&a), node(&b));
            for (from, to) in [(&a, &b), (&b, &a), (&both, &a), (&both, &b), (&a, &either), (&both, &either)] {
                if implies(from, to) {
                    for event in &events {
                        let is_true = |node| evaluate(node, event) == Truth::True;
                        prop_assert!(!is_true(from) || is_true(to), "{:?} => {:?} {:?}", from, to, event);
                    }
                }
            }
        }
    }
}
