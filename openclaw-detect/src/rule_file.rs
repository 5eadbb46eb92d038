//! One rule of a rule file, and what override files change of it.

mod response;
pub(crate) mod stateful;

use std::time::Duration;

use self::stateful::{By, Stateful, Step};
use crate::compile;
use crate::compiled::{self, Clause, Compiled, Part};
use crate::definitions::Definitions;
use crate::diagnostic::{Lines, Problem, Span};
use crate::fingerprint::Identity;
use crate::index::asked_often;
use crate::reader::{Condition, Reader};
use crate::rule::{self, Exception, New, Sequence, Suppress, Threshold, When};
use crate::yaml::{Key, Node, Tree};
use crate::{Action, EventKind, Field, KindSet, Response, Rule, RuleTest, Scope, Severity, rule_test};

/// The keys of a rule.
pub(crate) const KEYS: &[&str] = &[
    "name",
    "description",
    "false_positives",
    "triage",
    "condition",
    "event",
    "threshold",
    "sequence",
    "new",
    "suppress",
    "exceptions",
    "severity",
    "confidence",
    "action",
    "response",
    "tags",
    "tests",
    "enabled",
];

/// The keys of an override.
pub(crate) const OVERRIDE_KEYS: &[&str] = &[
    "rule",
    "severity",
    "confidence",
    "action",
    "response",
    "threshold",
    "suppress",
    "exceptions",
    "enabled",
];

/// Keys that the language has and this version lacks.
const LATER_KEYS: &[&str] = &["playbook"];

/// How sure a rule is that does not say.
const DEFAULT_CONFIDENCE: f64 = 0.9;

/// A rule as it was read, before overrides.
pub(crate) struct Draft {
    /// Its name and where that stands; none where it has none.
    pub(crate) name: Option<(String, Span)>,
    /// Whether it is to run.
    pub(crate) enabled: bool,
    rule: Rule,
    condition: Option<(Condition, Span)>,
    event: Option<(KindSet, Span)>,
    stateful: Option<Stateful>,
    suppress: Option<(Duration, Option<Vec<Field>>)>,
    exceptions: Vec<Condition>,
    tests: Vec<RuleTest>,
    action_span: Span,
    /// Whether a mistake stands in the way.
    failed: bool,
}

/// Reads a rule; `file` is the text of the whole file.
pub(crate) fn read(node: &Node, file: &str, definitions: &Definitions) -> (Draft, Vec<Problem>) {
    let mut reader = Reader::new(file, definitions);
    let mut draft = Draft::new(node.span);
    match &node.value {
        Tree::Mapping(entries) => draft.read(node, entries, &mut reader),
        _ => reader.error_with_help(
            node.span,
            format!("expected a rule, found {}", node.describe()),
            "begin each rule with `- name:`",
        ),
    }
    draft.failed = reader.problems.iter().any(Problem::is_error);
    (draft, reader.problems)
}

/// The rule that an override is for, with the place where it says so. Its other mistakes are told by
/// [`Draft::change`].
pub(crate) fn overridden(
    node: &Node,
    file: &str,
    definitions: &Definitions,
) -> Result<(String, Span), Vec<Problem>> {
    let mut reader = Reader::new(file, definitions);
    let Tree::Mapping(entries) = &node.value else {
        let message = format!("expected an override, found {}", node.describe());
        return Err(vec![Problem::error(node.span, message).help("begin each override with `- rule:`")]);
    };
    match entries.iter().find(|(key, _)| key.name == "rule") {
        Some((key, value)) => reader.name(key, value, "a rule").ok_or(reader.problems),
        None => Err(vec![Problem::error(node.span, "this override names no `rule`")]),
    }
}

impl Draft {
    fn new(span: Span) -> Self {
        let rule = Rule {
            name: String::new(),
            description: None,
            false_positives: None,
            triage: None,
            severity: Severity::Medium,
            confidence: DEFAULT_CONFIDENCE,
            actions: vec![Action::Alert],
            response: Response::default(),
            tags: Vec::new(),
            condition: String::new(),
            exceptions: Vec::new(),
            kinds: KindSet::NONE,
            when: When::Turns,
            suppress: None,
            pack: None,
            origin: String::new(),
        };
        Draft {
            name: None,
            enabled: true,
            rule,
            condition: None,
            event: None,
            stateful: None,
            suppress: None,
            exceptions: Vec::new(),
            tests: Vec::new(),
            action_span: span,
            failed: false,
        }
    }

    /// The same, of which all that it says of its places is that.
    pub(crate) fn standing_at(mut self, span: Span) -> Draft {
        if let Some((_, place)) = &mut self.name {
            *place = span;
        }
        self
    }

    fn read(&mut self, node: &Node, entries: &[(Key, Node)], reader: &mut Reader<'_>) {
        for (key, value) in entries {
            match key.name.as_str() {
                "name" => self.name = reader.name(key, value, "a rule"),
                "description" => self.rule.description = reader.text(key, value),
                "false_positives" => self.rule.false_positives = reader.text(key, value),
                "triage" => self.rule.triage = reader.text(key, value),
                "condition" => {
                    if let Some(condition) = reader.condition(key, value) {
                        self.rule.condition.clone_from(&condition.text);
                        self.condition = Some((condition, Span::new(value.span.start, value.span.start)));
                    }
                }
                "event" => self.event = reader.event(key, value).map(|kinds| (kinds, value.span)),
                "threshold" => self.stateful = reader.threshold(key, value),
                "sequence" => self.stateful = reader.sequence(key, value),
                "new" => self.stateful = reader.novelty(key, value),
                "tags" => self.rule.tags = reader.texts(key, value),
                "tests" => self.tests = rule_test::read(reader, key, value),
                later if LATER_KEYS.contains(&later) => {
                    reader.error(key.span, format!("`{later}` is not supported by this version"));
                }
                _ if self.change_key(key, value, reader) => {}
                _ => reader.unknown_key(key, "a rule", KEYS),
            }
        }
        self.fits_together(node.span, entries, reader);
        if let Some((name, _)) = &self.name {
            self.rule.name.clone_from(name);
        }
    }

    /// Complains of keys that are missing, and of those that do not go with one another.
    fn fits_together(&self, span: Span, entries: &[(Key, Node)], reader: &mut Reader<'_>) {
        let find = |name: &str| entries.iter().map(|(key, _)| key).find(|key| key.name == name);
        let sequence = find("sequence");
        for needed in ["name", "condition"] {
            if find(needed).is_none() && (needed == "name" || sequence.is_none()) {
                reader.error(span, format!("this rule has no `{needed}`"));
            }
        }
        for other in ["condition", "event"] {
            if let (Some(key), Some(_)) = (find(other), sequence) {
                let help = "write it at the steps; what is common to them may be a macro";
                reader.error_with_help(
                    key.span,
                    format!("a rule with `sequence` has no `{other}` of its own"),
                    help,
                );
            }
        }
        if let [first, second, ..] =
            ["threshold", "sequence", "new"].map(find).into_iter().flatten().collect::<Vec<_>>()[..]
        {
            let message = format!("a rule has `{}` or `{}`, not both", first.name, second.name);
            reader.error_with_help(second.span, message, "make two rules of it");
        }
    }

    /// Takes over what an override says; `file` is the text of the override's file.
    pub(crate) fn change(&mut self, node: &Node, file: &str, definitions: &Definitions) -> Vec<Problem> {
        let Tree::Mapping(entries) = &node.value else { return Vec::new() };
        let mut reader = Reader::new(file, definitions);
        for (key, value) in entries {
            if key.name == "threshold" {
                self.change_threshold(key, value, &mut reader);
            } else if key.name != "rule" && !self.change_key(key, value, &mut reader) {
                reader.unknown_key(key, "an override", OVERRIDE_KEYS);
            }
        }
        reader.problems
    }

    /// How much is enough, within which time: what is counted stays as the rule has it.
    fn change_threshold(&mut self, key: &Key, value: &Node, reader: &mut Reader<'_>) {
        match &mut self.stateful {
            Some(Stateful::Threshold(threshold)) => reader.other_threshold(key, value, threshold),
            _ => reader.error_with_help(
                key.span,
                "the rule counts nothing, so it has no threshold",
                "write a rule of your own, and disable this one with `enabled: false`",
            ),
        }
    }

    /// A key that overrides have too. Whether it is one.
    fn change_key(&mut self, key: &Key, value: &Node, reader: &mut Reader<'_>) -> bool {
        let rule = &mut self.rule;
        match key.name.as_str() {
            "severity" => rule.severity = reader.severity(key, value).unwrap_or(rule.severity),
            "confidence" => rule.confidence = reader.confidence(key, value).unwrap_or(rule.confidence),
            "action" => {
                self.action_span = value.span;
                let whole_container;
                (rule.actions, whole_container) = reader.actions(key, value);
                if whole_container {
                    rule.response.isolate = Scope::Container;
                    rule.response.suspend = Scope::Container;
                }
            }
            "response" => response::read(reader, key, value, &mut rule.response),
            "suppress" => self.suppress = reader.suppress(key, value).or(self.suppress.take()),
            "exceptions" => self.add_exceptions(key, value, reader),
            "enabled" => self.enabled = reader.bool(key, value).unwrap_or(true),
            _ => return false,
        }
        true
    }

    fn add_exceptions(&mut self, key: &Key, value: &Node, reader: &mut Reader<'_>) {
        let Tree::Sequence(items) = &value.value else {
            let message = format!("expected a list of exceptions, found {}", value.describe());
            return reader.error_with_help(key.span, message, "begin each exception with `- name:`");
        };
        for item in items {
            let Some(entries) = reader.item(key, item, "an exception has a name and a condition") else {
                continue;
            };
            let (mut name, mut condition) = (None, None);
            for (key, value) in entries {
                match key.name.as_str() {
                    "name" => name = reader.name(key, value, "an exception"),
                    "condition" => condition = reader.condition(key, value),
                    _ => reader.unknown_key(key, "an exception", &["name", "condition"]),
                }
            }
            reader.need(item.span, "this exception", entries, &["name", "condition"]);
            if let (Some((name, span)), Some(condition)) = (name, condition) {
                if self.rule.exceptions.iter().any(|other| other.name == name) {
                    let message = format!("the rule has an exception `{name}` already, which holds too");
                    reader.problems.push(Problem::warning(span, message).help("give this one another name"));
                }
                self.rule.exceptions.push(Exception { name, condition: condition.text.clone() });
                self.exceptions.push(condition);
            }
        }
    }

    /// The rule, ready to run; none where a mistake stands in the way.
    pub(crate) fn finish(
        mut self,
        (file, lines): (&str, &Lines),
        pack: Option<String>,
        problems: &mut Vec<Problem>,
    ) -> Option<Compiled> {
        if self.failed {
            return None;
        }
        self.rule.origin = format!("{file}:{}", self.name.as_ref().map_or(1, |(_, span)| lines.line(*span)));
        self.rule.pack = pack;
        for test in &mut self.tests {
            test.place = (file.to_owned(), lines.line(test.span));
        }
        let clauses = match (self.stateful.take(), self.condition.take()) {
            (Some(Stateful::Sequence(sequence)), _) => self.sequence(sequence, problems),
            (stateful, Some((condition, span))) => {
                let (condition, identity) = but_for(condition, &self.exceptions);
                let kinds = compiled::kinds(&condition, self.event, span, problems);
                let kinds = self.when(stateful, kinds, problems);
                problems.extend(costs_much(&condition, kinds, span));
                vec![Clause::new(Part::Condition, condition, kinds, identity)]
            }
            (_, None) => return None,
        };
        if clauses.iter().any(|clause| clause.kinds.is_empty()) {
            return None;
        }
        self.rule.suppress = self
            .suppress
            .take()
            .map(|(time, by)| Suppress { time, by: by.unwrap_or_else(|| same(&self.rule.when)) });
        let compiled = Compiled::new(self.rule, clauses, self.tests);
        let Rule { response, actions, .. } = &compiled.rule;
        if let Some(lacking) = response::lacking(response, actions, self.action_span) {
            problems.push(lacking);
            return None;
        }
        problems.extend(response::in_vain(response, actions, self.action_span));
        problems.extend(without_target(&compiled.rule, self.action_span));
        Some(compiled)
    }

    /// What makes the rule fire, and the kinds on which it can.
    fn when(&mut self, stateful: Option<Stateful>, kinds: KindSet, problems: &mut Vec<Problem>) -> KindSet {
        let named = self.event;
        let carried = |by: &By, measured: Option<(Field, Span)>, problems: &mut Vec<Problem>| {
            let fields = by.iter().copied().chain(measured);
            fields.fold(kinds, |kinds, field| carrying(kinds, field, named, problems))
        };
        match stateful {
            Some(Stateful::Threshold(threshold)) => {
                let kinds = carried(&threshold.by, threshold.measured, problems);
                self.rule.when = When::Threshold(Threshold {
                    measure: threshold.measure,
                    at_least: threshold.at_least,
                    within: threshold.within,
                    by: fields(&threshold.by),
                });
                kinds
            }
            Some(Stateful::New(new)) => {
                let kinds = carried(&new.by, Some(new.field), problems);
                self.rule.when = When::New(New { field: new.field.0, by: fields(&new.by), learn: new.learn });
                kinds
            }
            _ => {
                self.rule.when = if named.is_some() { When::Each } else { When::Turns };
                kinds
            }
        }
    }

    /// The steps of a sequence as the rule's conditions: what ends it first, then the last step.
    fn sequence(&mut self, sequence: stateful::Sequence, problems: &mut Vec<Problem>) -> Vec<Clause> {
        let exceptions = std::mem::take(&mut self.exceptions);
        let mut clauses = Vec::new();
        let mut ready = |part: Part, step: Step, exceptions: &[Condition]| {
            let text = step.condition.text.clone();
            let (condition, identity) = but_for(step.condition, exceptions);
            let kinds = compiled::kinds(&condition, step.event, step.span, problems);
            let kinds =
                step.by.iter().fold(kinds, |kinds, field| carrying(kinds, *field, step.event, problems));
            problems.extend(costs_much(&condition, kinds, step.span));
            clauses.push(Clause::new(part, condition, kinds, identity));
            rule::Step { condition: text, kinds, by: fields(&step.by) }
        };
        let until = sequence.until.map(|step| ready(Part::Until, step, &[]));
        let numbered = (0u16..).zip(sequence.steps).collect::<Vec<_>>();
        let mut steps: Vec<_> = numbered
            .into_iter()
            .rev()
            .map(|(number, step)| ready(Part::Step(number), step, &exceptions))
            .collect();
        steps.reverse();
        let then = if sequence.ordered { "; then " } else { "; and " };
        self.rule.condition = steps.iter().map(|step| step.condition.as_str()).collect::<Vec<_>>().join(then);
        self.rule.when =
            When::Sequence(Sequence { steps, ordered: sequence.ordered, within: sequence.within, until });
        clauses
    }
}

/// A condition but for exceptions.
fn but_for(condition: Condition, exceptions: &[Condition]) -> (compile::Node, Identity) {
    let identities: Vec<_> = exceptions.iter().map(|exception| exception.identity).collect();
    let node = condition.node.unless(exceptions.iter().map(|exception| exception.node.clone()));
    (node, condition.identity.unless(&identities))
}

/// What makes two firings of a rule the same, where its `suppress` does not say: the key of what it remembers; else the
/// process that did it, and the two sides of its connection.
fn same(when: &When) -> Vec<Field> {
    match when {
        When::Turns | When::Each => vec![Field::ProcessEntityId, Field::SourceIp, Field::DestinationIp],
        when => when.by().to_vec(),
    }
}

/// The kinds of event with an address that can be blocked.
const WITH_ADDRESS: KindSet = KindSet::of(&[EventKind::NetworkConnection]).union(KindSet::LOGS);

/// Warns of an action that has nothing to act on, whatever the rule finds.
fn without_target(rule: &Rule, span: Span) -> Option<Problem> {
    let with_process = Field::ProcessPid.kinds();
    let (message, help) = if rule.actions.contains(&Action::Block)
        && rule.kinds.intersection(WITH_ADDRESS).is_empty()
    {
        let message = format!("`block` has no address to block: this rule runs on nothing of {WITH_ADDRESS}");
        (message, "`isolate` cuts a process off from the network")
    } else if rule.kinds.intersection(with_process).is_empty()
        && let Some(action) = rule.actions.iter().find(|action| !action.scopes().is_empty())
    {
        let message = format!("`{action}` has no process to act on: this rule runs on {}", rule.kinds);
        (message, "`block` cuts an address off")
    } else {
        return None;
    };
    Some(Problem::warning(span, message).help(help))
}

/// The kinds of which there are so many that each comparison counts: of the kernel's, and not of what a log tells, each of
/// whose lines costs more to be read than any rule.
const MANY: KindSet = KindSet::ALL.without(KindSet::LOGS);

/// Comparisons of a rule that cost no more than a pattern.
const CHEAP_COMPARISONS: usize = 64;

/// Warns of patterns that are looked for, or of many comparisons that are made, in each event, since nothing rarer must
/// be there first.
fn costs_much(condition: &compile::Node, kinds: KindSet, span: Span) -> Option<Problem> {
    let comparisons = condition.comparisons();
    let (what, help) = if condition.scanned() > 0 {
        let help = "add what is seldom true, such as `==`, `in` or `startswith`, or letters that the pattern must hold";
        ("its patterns are looked for".to_owned(), help)
    } else if comparisons > CHEAP_COMPARISONS {
        let help = "put the values of one field in one `in [..]`, or add what is seldom true";
        (format!("its {comparisons} comparisons are made"), help)
    } else {
        return None;
    };
    let often = KindSet::of(&asked_often(condition, kinds.intersection(MANY)));
    let message = format!("this costs much: {what} at each {often}");
    (!often.is_empty()).then(|| Problem::warning(span, message).help(help))
}

fn fields(by: &By) -> Vec<Field> {
    by.iter().map(|(field, _)| *field).collect()
}

/// Those of the kinds that carry a field without which an event does not count.
fn carrying(
    kinds: KindSet,
    (field, span): (Field, Span),
    named: Option<(KindSet, Span)>,
    problems: &mut Vec<Problem>,
) -> KindSet {
    let carrying = kinds.intersection(field.kinds());
    if carrying.is_empty() && !kinds.is_empty() {
        let message = format!("`{}` is not carried by {kinds}, on which this rule runs", field.name());
        problems.push(Problem::error(span, message).help(format!("it is by {}", field.kinds())));
    } else if carrying != kinds && named.is_some() {
        let lacking: Vec<_> = kinds.iter().filter(|kind| !carrying.contains(*kind)).collect();
        let message = format!("{} has no `{}`, and does not count", KindSet::of(&lacking), field.name());
        problems.push(Problem::warning(span, message));
    }
    carrying
}
