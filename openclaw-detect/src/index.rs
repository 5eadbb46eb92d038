//! Which rules can be true of an event, found by the event's values instead of by asking each rule.
//!
//! Of each condition the index keeps one guard: facts of which at least one holds wherever the condition is true.
//! An event's fields are then looked up once each, and only the rules whose guard holds are asked. So what an
//! event costs follows from the fields that rules name, hardly from how many rules there are.

mod affixes;
mod guard;

use std::collections::HashMap;
use std::net::IpAddr;

use aho_corasick::AhoCorasick;

use self::affixes::Affixes;
use self::guard::{Fact, guard};
use crate::compile::Node;
use crate::text::with_small_letters;
use crate::{Event, EventKind, Field, KindSet, Value};

/// Numbers of rules.
type Numbers = Box<[u32]>;

/// The rules by the facts that they wait for.
#[derive(Debug)]
pub(crate) struct Index {
    kinds: Box<[OfKind]>,
}

/// The kinds of which a condition is asked at each event that has one of its fields, or at each event at all.
pub(crate) fn asked_often(condition: &Node, kinds: KindSet) -> Vec<EventKind> {
    let is_often = |kind: &EventKind| {
        guard(condition, *kind).is_none_or(|guard| guard.facts.iter().any(|(_, fact)| *fact == Fact::Present))
    };
    kinds.iter().filter(is_often).collect()
}

/// The rules that are to be asked of one event, each once.
#[derive(Debug)]
pub(crate) struct Candidates {
    numbers: Vec<u32>,
    /// One bit for each rule.
    seen: Box<[u64]>,
}

/// The rules that run on one kind of event.
#[derive(Debug, Default)]
struct OfKind {
    fields: Box<[OfField]>,
    /// Those that can be true of events that have nothing in particular.
    always: Numbers,
}

/// The rules that wait for a value of one field.
#[derive(Debug)]
struct OfField {
    field: Field,
    texts: Texts,
    /// Those that wait for a text with its letters from A to Z made small; none where there are none.
    small: Option<Texts>,
    numbers: HashMap<i64, Numbers>,
    addresses: HashMap<IpAddr, Numbers>,
    present: Numbers,
}

/// The rules that wait for something in a text.
#[derive(Debug)]
struct Texts {
    whole: HashMap<Box<str>, Numbers>,
    beginnings: Affixes,
    ends: Affixes,
    parts: Option<Parts>,
}

/// Parts of texts, all looked for at once.
#[derive(Debug)]
struct Parts {
    search: AhoCorasick,
    rules: Box<[Numbers]>,
}

impl Index {
    /// An index over conditions, each with the kinds of event on which it runs; their numbers are their places.
    pub(crate) fn new<'a>(conditions: impl Iterator<Item = (&'a Node, KindSet)> + Clone) -> Self {
        let of_kind = |kind: &EventKind| {
            let running = (0u32..).zip(conditions.clone()).filter(|(_, (_, kinds))| kinds.contains(*kind));
            OfKind::new(*kind, running.map(|(number, (condition, _))| (number, condition)))
        };
        Index { kinds: EventKind::ALL.iter().map(of_kind).collect() }
    }

    /// Adds the conditions that can be true of the event.
    pub(crate) fn find<E: Event + ?Sized>(&self, event: &E, candidates: &mut Candidates) {
        let of_kind = &self.kinds[event.kind() as usize];
        candidates.add_all(&of_kind.always);
        for of_field in &of_kind.fields {
            if let Some(value) = event.get(of_field.field) {
                of_field.find(value, candidates);
            }
        }
    }
}

impl Candidates {
    /// Room for that many rules.
    pub(crate) fn new(rules: usize) -> Self {
        Candidates { numbers: Vec::with_capacity(rules), seen: vec![0; rules.div_ceil(64)].into() }
    }

    /// Adds a rule, if it is not there yet.
    pub(crate) fn add(&mut self, number: u32) {
        let (word, bit) = (number as usize / 64, 1u64 << (number % 64));
        if self.seen[word] & bit == 0 {
            self.seen[word] |= bit;
            self.numbers.push(number);
        }
    }

    fn add_all(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.add(*number);
        }
    }

    /// The rules in their order.
    pub(crate) fn sorted(&mut self) -> &[u32] {
        self.numbers.sort_unstable();
        &self.numbers
    }

    /// Makes room for those of the next event.
    pub(crate) fn clear(&mut self) {
        for number in self.numbers.drain(..) {
            self.seen[number as usize / 64] = 0;
        }
    }
}

impl OfKind {
    fn new<'a>(kind: EventKind, running: impl Iterator<Item = (u32, &'a Node)>) -> Self {
        let mut always = Vec::new();
        let mut fields: HashMap<Field, Vec<(Fact, u32)>> = HashMap::new();
        for (number, condition) in running {
            match guard(condition, kind) {
                None => always.push(number),
                Some(guard) => {
                    for (field, fact) in guard.facts {
                        fields.entry(field).or_default().push((fact, number));
                    }
                }
            }
        }
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_unstable_by_key(|(field, _)| *field);
        let fields = fields.into_iter().map(|(field, facts)| OfField::new(field, facts)).collect();
        OfKind { fields, always: always.into() }
    }
}

impl OfField {
    fn new(field: Field, facts: Vec<(Fact, u32)>) -> Self {
        let (mut exact, mut small) = (Vec::new(), Vec::new());
        let mut numbers = Waiting::default();
        let mut addresses = Waiting::default();
        let mut present = Vec::new();
        for (fact, rule) in facts {
            match fact {
                Fact::Small(fact) => small.push((*fact, rule)),
                Fact::Number(number) => numbers.add(number, rule),
                Fact::Address(address) => addresses.add(address, rule),
                Fact::Present => present.push(rule),
                Fact::Text(_) | Fact::Begins(_) | Fact::Ends(_) | Fact::Holds(_) => exact.push((fact, rule)),
            }
        }
        let small = (!small.is_empty()).then(|| Texts::new(small, &mut present));
        OfField {
            field,
            texts: Texts::new(exact, &mut present),
            small,
            numbers: numbers.done().collect(),
            addresses: addresses.done().collect(),
            present: present.into(),
        }
    }

    fn find(&self, value: Value<'_>, candidates: &mut Candidates) {
        candidates.add_all(&self.present);
        match value {
            Value::Str(text) => self.find_text(text, candidates),
            Value::List(list) => list.iter().for_each(|item| self.find_text(item, candidates)),
            Value::Int(number) => self.find_number(number, candidates),
            Value::Bool(value) => self.find_number(value.into(), candidates),
            Value::Ip(address) => {
                if let Some(rules) = self.addresses.get(&address.to_canonical()) {
                    candidates.add_all(rules);
                }
            }
        }
    }

    fn find_text(&self, text: &str, candidates: &mut Candidates) {
        self.texts.find(text, candidates);
        if let Some(small) = &self.small {
            with_small_letters(text, |text| small.find(text, candidates));
        }
    }

    fn find_number(&self, number: i64, candidates: &mut Candidates) {
        if let Some(rules) = self.numbers.get(&number) {
            candidates.add_all(rules);
        }
    }
}

impl Texts {
    /// What waits for a text. `present` takes those that are to be asked wherever there is one.
    fn new(facts: Vec<(Fact, u32)>, present: &mut Vec<u32>) -> Texts {
        let mut whole = Waiting::default();
        let mut beginnings = Waiting::default();
        let mut ends = Waiting::default();
        let mut parts = Waiting::default();
        for (fact, rule) in facts {
            match fact {
                Fact::Text(text) => whole.add(text, rule),
                Fact::Begins(text) => beginnings.add(text.as_bytes().to_vec(), rule),
                Fact::Ends(text) => ends.add(text.bytes().rev().collect(), rule),
                Fact::Holds(bytes) => parts.add(bytes, rule),
                Fact::Number(_) | Fact::Address(_) | Fact::Present | Fact::Small(_) => present.push(rule),
            }
        }
        // More than can be looked for at once: the rules are asked wherever the field is there.
        let parts = Parts::new(parts).unwrap_or_else(|rules| {
            present.extend(rules);
            None
        });
        Texts {
            whole: whole.done().collect(),
            beginnings: Affixes::new(beginnings.done()),
            ends: Affixes::new(ends.done()),
            parts,
        }
    }

    fn find(&self, text: &str, candidates: &mut Candidates) {
        if !self.whole.is_empty()
            && let Some(rules) = self.whole.get(text)
        {
            candidates.add_all(rules);
        }
        self.beginnings.find(text.bytes(), |rules| candidates.add_all(rules));
        self.ends.find(text.bytes().rev(), |rules| candidates.add_all(rules));
        if let Some(parts) = &self.parts {
            for found in parts.search.find_overlapping_iter(text) {
                candidates.add_all(&parts.rules[found.pattern().as_usize()]);
            }
        }
    }
}

impl Parts {
    /// Looks for these; an error, with all rules that wait for any, where they are too many.
    fn new(parts: Waiting<Box<[u8]>>) -> Result<Option<Self>, Vec<u32>> {
        let (bytes, rules): (Vec<_>, Vec<_>) = parts.done().unzip();
        if bytes.is_empty() {
            return Ok(None);
        }
        match AhoCorasick::new(bytes) {
            Ok(search) => Ok(Some(Parts { search, rules: rules.into() })),
            Err(_) => Err(rules.iter().flatten().copied().collect()),
        }
    }
}

/// Who waits for what, while the index is made.
struct Waiting<K>(HashMap<K, Vec<u32>>);

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Waiting(HashMap::new())
    }
}

impl<K: std::hash::Hash + Eq> Waiting<K> {
    fn add(&mut self, what: K, rule: u32) {
        self.0.entry(what).or_default().push(rule);
    }

    fn done(self) -> impl Iterator<Item = (K, Numbers)> {
        self.0.into_iter().map(|(what, mut rules)| {
            rules.dedup();
            (what, rules.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eval::{Truth, evaluate};
    use crate::{check::check, definitions::Definitions, generate, parser::parse};

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn each_condition_that_is_true_of_an_event_is_found(
            texts in prop::collection::vec(generate::condition(), 1..8),
            events in prop::collection::vec(generate::event(), 1..8),
        ) {
            let nodes: Vec<Node> =
                texts.iter().map(|text| check(&parse(text).unwrap(), &Definitions::default()).0.unwrap()).collect();
            let index = Index::new(nodes.iter().map(|node| (node, KindSet::ALL)));
            let mut candidates = Candidates::new(nodes.len());
            for event in events {
                index.find(&event, &mut candidates);
                let found = candidates.sorted().to_vec();
                candidates.clear();
                for (number, node) in (0u32..).zip(&nodes) {
                    let is_true = evaluate(node, &event) == Truth::True;
                    prop_assert!(!is_true || found.contains(&number), "{} {:?}", texts[number as usize], event);
                }
            }
        }
    }
}
