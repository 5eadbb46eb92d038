//! What must be so for a condition to be true: one cheap fact, by which the condition is found.

use std::collections::BTreeSet;

use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};

use crate::compile::{Comparison, Matcher, Node};
use crate::text::{TextMatcher, Wildcard};
use crate::{EventKind, Field};

/// A fact about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// The text, or an item of the list, is this one.
    Text(Box<str>),
    /// It begins so.
    Begins(Box<str>),
    /// It ends so.
    Ends(Box<str>),
    /// These bytes are in it.
    Holds(Box<[u8]>),
    /// The number is this one; of a boolean, 1 for true and 0 for false.
    Number(i64),
    /// The address is this one.
    Address(std::net::IpAddr),
    /// The event has the field.
    Present,
    /// The text, or an item of the list, is so with its letters from A to Z made small.
    Small(Box<Fact>),
}

impl Fact {
    /// The bytes of its text.
    fn bytes(&self) -> usize {
        match self {
            Fact::Text(text) | Fact::Begins(text) | Fact::Ends(text) => text.len(),
            Fact::Holds(bytes) => bytes.len(),
            Fact::Small(fact) => fact.bytes(),
            Fact::Number(_) | Fact::Address(_) | Fact::Present => 0,
        }
    }
}

/// Facts of which at least one holds wherever a condition is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) facts: Vec<(Field, Fact)>,
    /// How often one of them is thought to hold: the rarest guard of a condition is the best.
    weight: u32,
}

impl Guard {
    /// That one of its facts holds, or one of `other`.
    fn or(mut self, other: Guard) -> Guard {
        self.facts.extend(other.facts);
        Guard { weight: self.weight.saturating_add(other.weight), ..self }
    }
}

/// Facts of one condition. What needs more is asked where the field is there: a long list is dearer in the index
/// than in the rule.
const MAX_FACTS: usize = 256;

/// Bytes of the texts of one comparison's facts, likewise.
const MAX_FACT_BYTES: usize = 16 << 10;

/// Literals that are taken out of one regular expression.
const MAX_LITERALS: usize = 64;

/// The best guard of a condition on events of that kind; none where it can be true of an event that has nothing
/// in particular. A guard without facts says that it can never be true.
pub(super) fn guard(node: &Node, kind: EventKind) -> Option<Guard> {
    wanted(node, kind, true)
}

/// What must be so for the condition to be `truth`.
fn wanted(node: &Node, kind: EventKind, truth: bool) -> Option<Guard> {
    match node {
        Node::Not(inner) => wanted(inner, kind, !truth),
        Node::Unless(inner) => {
            if truth {
                None
            } else {
                wanted(inner, kind, true)
            }
        }
        // For an `AND` to be false, or an `OR` to be true, one part is enough.
        Node::And(parts) if truth => rarest(parts, kind, truth),
        Node::Or(parts) if !truth => rarest(parts, kind, truth),
        Node::And(parts) | Node::Or(parts) => any(parts, kind, truth),
        Node::Exists(field) => truth.then(|| present(*field, kind)),
        Node::Test(field, _) if !field.kinds().contains(kind) => Some(Guard::default()),
        Node::Test(field, matcher) if truth => Some(of_matcher(*field, kind, matcher)),
        Node::Test(field, _) => Some(present(*field, kind)),
    }
}

fn rarest(parts: &[Node], kind: EventKind, truth: bool) -> Option<Guard> {
    parts.iter().filter_map(|part| wanted(part, kind, truth)).min_by_key(|guard| guard.weight)
}

fn any(parts: &[Node], kind: EventKind, truth: bool) -> Option<Guard> {
    let mut all = Guard::default();
    for part in parts {
        all = all.or(wanted(part, kind, truth)?);
    }
    if all.facts.len() <= MAX_FACTS {
        return Some(all);
    }
    // One of the fields is there wherever one of the facts holds.
    let fields: BTreeSet<Field> = all.facts.iter().map(|(field, _)| *field).collect();
    Some(fields.into_iter().fold(Guard::default(), |all, field| all.or(present(field, kind))))
}

fn present(field: Field, kind: EventKind) -> Guard {
    if !field.kinds().contains(kind) {
        return Guard::default();
    }
    // What every event has says nothing.
    let weight = if field.kinds() == crate::KindSet::ALL { 900 } else { weight(field, &Fact::Present) };
    Guard { facts: vec![(field, Fact::Present)], weight }
}

fn of_matcher(field: Field, kind: EventKind, matcher: &Matcher) -> Guard {
    let facts = match matcher {
        // What is so of one item is so of any.
        Matcher::Text(text) | Matcher::Item(_, text) => of_text(field, text),
        Matcher::Number(Comparison::Equal, number) => Some(vec![Fact::Number(*number)]),
        Matcher::Number(..) => None,
        Matcher::NumberIn(numbers) => Some(numbers.iter().map(|number| Fact::Number(*number)).collect()),
        Matcher::Bool(value) => Some(vec![Fact::Number((*value).into())]),
        Matcher::Address(addresses) => {
            addresses.singles(MAX_FACTS).map(|singles| singles.map(Fact::Address).collect())
        }
    };
    let Some(facts) = facts.filter(|facts| facts.len() <= MAX_FACTS) else { return present(field, kind) };
    let weight = facts.iter().map(|fact| weight(field, fact)).fold(0, u32::saturating_add);
    let guard = Guard { facts: facts.into_iter().map(|fact| (field, fact)).collect(), weight };
    let present = present(field, kind);
    if guard.weight > present.weight { present } else { guard }
}

fn of_text(field: Field, text: &TextMatcher) -> Option<Vec<Fact>> {
    let each = |texts: &[Box<str>], fact: fn(Box<str>) -> Fact| {
        let is_little =
            texts.len() <= MAX_FACTS && texts.iter().map(|text| text.len()).sum::<usize>() <= MAX_FACT_BYTES;
        is_little.then(|| texts.iter().cloned().map(fact).collect())
    };
    match text {
        TextMatcher::Equals(text) => Some(vec![Fact::Text(text.clone())]),
        TextMatcher::OneOf(texts) => each(texts, Fact::Text),
        TextMatcher::StartsWith(texts) => each(texts, Fact::Begins),
        TextMatcher::EndsWith(texts) => each(texts, Fact::Ends),
        TextMatcher::Contains(parts) => each(parts.texts(), |text| Fact::Holds(text.as_bytes().into())),
        TextMatcher::Matches(patterns) => {
            let mut facts = Vec::new();
            for pattern in patterns {
                facts.extend(literals(pattern.as_str())?.into_iter().map(Fact::Holds));
            }
            Some(facts)
        }
        TextMatcher::Fits(patterns) => {
            let facts: Vec<_> =
                patterns.iter().map(|pattern| of_wildcard(field, pattern)).collect::<Option<_>>()?;
            let bytes: usize = facts.iter().map(Fact::bytes).sum();
            (bytes <= MAX_FACT_BYTES).then_some(facts)
        }
        TextMatcher::IgnoringCase(matcher) => {
            Some(of_text(field, matcher)?.into_iter().map(|fact| Fact::Small(Box::new(fact))).collect())
        }
    }
}

/// The rarest of what each text has that fits a pattern: how it begins, how it ends, or what is in it; none where it has
/// nothing in particular.
fn of_wildcard(field: Field, pattern: &Wildcard) -> Option<Fact> {
    let within = pattern.longest_within();
    let facts = [
        Fact::Begins(pattern.begins().into()),
        Fact::Ends(pattern.ends().into()),
        Fact::Holds(within.as_bytes().into()),
    ];
    let says_something = |fact: &Fact| match fact {
        Fact::Begins(text) | Fact::Ends(text) => !text.is_empty(),
        Fact::Holds(bytes) => !bytes.is_empty(),
        _ => false,
    };
    facts.into_iter().filter(says_something).min_by_key(|fact| weight(field, fact))
}

/// Bytes of which some are in each text in which the regular expression finds something.
fn literals(pattern: &str) -> Option<Vec<Box<[u8]>>> {
    let tree = regex_syntax::parse(pattern).ok()?;
    let extract = |kind: ExtractKind| {
        let mut extractor = Extractor::new();
        let literals: Seq = extractor.kind(kind).limit_total(MAX_LITERALS).extract(&tree);
        let literals = literals.literals()?;
        let shortest = literals.iter().map(|literal| literal.len()).min()?;
        (shortest > 0).then(|| (shortest, literals.iter().map(|literal| literal.as_bytes().into()).collect()))
    };
    let best = [ExtractKind::Prefix, ExtractKind::Suffix].into_iter().filter_map(extract);
    best.max_by_key(|(shortest, _)| *shortest).map(|(_, literals)| literals)
}

/// How often a fact is thought to hold, in events out of a thousand.
fn weight(field: Field, fact: &Fact) -> u32 {
    let by_length = |length: usize| match length {
        0..=1 => 400,
        2..=3 => 100,
        4..=5 => 20,
        _ => 5,
    };
    // To look such a field up takes memory, at every event of the kind.
    let asking = if field.is_put_together() { 300 } else { 0 };
    let holding = match fact {
        // Each kind has few actions.
        Fact::Text(_) if field == Field::EventAction => 300,
        Fact::Text(_) | Fact::Address(_) => 2,
        // Much is in the great folders, such as /usr/ and /home/, and in those right in them.
        Fact::Begins(text) => match text.bytes().filter(|byte| *byte == b'/').count() {
            1..=2 if text.starts_with('/') => by_length(text.len()).max(30),
            3 if text.starts_with('/') => by_length(text.len()).max(15),
            _ => by_length(text.len()),
        },
        Fact::Ends(text) => by_length(text.len()).max(10),
        Fact::Holds(bytes) => by_length(bytes.len()).max(10),
        // Root, standard input, true and false.
        Fact::Number(0 | 1) => 200,
        Fact::Number(_) => 4,
        Fact::Present => 500,
        Fact::Small(fact) => return weight(field, fact),
    };
    asking + holding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::check, definitions::Definitions, parser::parse};

    /// The guard of a condition on that kind, as `field fact`.
    fn facts(text: &str, kind: EventKind) -> Option<Vec<String>> {
        let node = check(&parse(text).unwrap(), &Definitions::default()).0.unwrap();
        let show = |(field, fact): (Field, Fact)| match fact {
            Fact::Holds(bytes) => format!("{} holds {}", field.name(), String::from_utf8_lossy(&bytes)),
            fact => format!("{} {fact:?}", field.name()),
        };
        guard(&node, kind).map(|guard| guard.facts.into_iter().map(show).collect())
    }

    #[test]
    fn the_rarest_fact_without_which_a_condition_is_not_true_is_its_guard() {
        use EventKind::{FileAccess, NetworkConnection, ProcessCreate};
        for (text, kind, expected) in [
            (
                "process.name in ['nc', 'ncat'] and process.uid == 0",
                ProcessCreate,
                &["process.name Text(\"nc\")", "process.name Text(\"ncat\")"][..],
            ),
            ("process.uid == 0 and not process.name == 'x'", ProcessCreate, &["process.user.id Number(0)"]),
            (
                "event.action == 'read' and file.path startswith '/etc/x'",
                FileAccess,
                &["file.path Begins(\"/etc/x\")"],
            ),
            ("process.name == 'x' or destination.port == 4444", ProcessCreate, &["process.name Text(\"x\")"]),
            (
                "process.name == 'x' or destination.port == 4444",
                NetworkConnection,
                &["destination.port Number(4444)", "process.name Text(\"x\")"],
            ),
            ("destination.port == 4444", ProcessCreate, &[]),
            (
                "process.executable matches '/(ba|z)?sh$'",
                ProcessCreate,
                &[
                    "process.executable holds /bash",
                    "process.executable holds /zsh",
                    "process.executable holds /sh",
                ],
            ),
            ("process.executable matches '.*evil'", ProcessCreate, &["process.executable holds evil"]),
            ("process.executable glob '/tmp/**'", ProcessCreate, &["process.executable Begins(\"/tmp/\")"]),
            ("file.path glob '/home/*/.bashrc'", FileAccess, &["file.path Ends(\"/.bashrc\")"]),
            ("file.path glob '/home/*/.ssh/**'", FileAccess, &["file.path holds /.ssh/"]),
            ("file.path glob '/etc/cron.d/*'", FileAccess, &["file.path Begins(\"/etc/cron.d/\")"]),
            ("process.memfd == true", ProcessCreate, &["process.memfd Number(1)"]),
            ("destination in [192.0.2.7]", NetworkConnection, &["destination.ip Address(192.0.2.7)"]),
            ("destination in [10.0.0.0/8]", NetworkConnection, &["destination.ip Present"]),
            ("network.bytes_sent > 5", NetworkConnection, &["network.bytes_sent Present"]),
            (
                "process.ancestors == 'nginx' and process.name in ['sh', 'bash']",
                ProcessCreate,
                &["process.name Text(\"bash\")", "process.name Text(\"sh\")"],
            ),
        ] {
            let expected: Vec<String> = expected.iter().map(|fact| (*fact).to_owned()).collect();
            assert_eq!(facts(text, kind), Some(expected), "{text}");
        }
        let many = |field: &str, count| {
            (0..count).map(|n| format!("{field} == 'x{n}'")).collect::<Vec<_>>().join(" or ")
        };
        let many = format!("{} or {}", many("process.name", 200), many("file.path", 100));
        let present = ["process.name Present", "file.path Present"].map(str::to_owned);
        assert_eq!(facts(&many, FileAccess), Some(present.to_vec()), "it has too many facts");
        assert_eq!(facts("process.tty not exists", ProcessCreate), None);
        assert_eq!(facts("process.tty not exists or process.name == 'x'", ProcessCreate), None);
    }
}
