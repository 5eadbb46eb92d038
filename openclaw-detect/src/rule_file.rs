//! One rule of a rule file: its keys, their values, and what is wrong with them.

use std::time::Duration;

use crate::check::check;
use crate::diagnostic::{Problem, Span};
use crate::lists::Lists;
use crate::ruleset::Compiled;
use crate::suggest::did_you_mean;
use crate::yaml::{Key, Node, Tree};
use crate::{Action, EventKind, KindSet, Rule, Severity, literal, parser};

/// The keys of a rule.
const KEYS: &[&str] = &[
    "name",
    "description",
    "condition",
    "event",
    "severity",
    "confidence",
    "action",
    "response",
    "tags",
    "enabled",
];

/// Keys that the language has and this version lacks.
const LATER_KEYS: &[&str] = &[
    "threshold",
    "sequence",
    "window",
    "exceptions",
    "suppress",
    "playbook",
    "tests",
    "detection",
    "logsource",
];

/// Actions that the language has and this version lacks.
const LATER_ACTIONS: &[&str] = &["kill", "suspend", "quarantine", "deny", "restart", "run", "webhook"];

/// How sure a rule is that does not say.
const DEFAULT_CONFIDENCE: f64 = 0.9;

/// What was read of a rule.
pub(crate) struct Read {
    /// Its name and where that stands.
    pub(crate) name: Option<(String, Span)>,
    /// Whether it is to run.
    pub(crate) enabled: bool,
    /// The rule; none where an error stands in the way.
    pub(crate) rule: Option<Compiled>,
}

/// Reads a rule; `file` is the text of the whole file.
pub(crate) fn read(node: &Node, file: &str, lists: &Lists) -> (Read, Vec<Problem>) {
    let mut reader = Reader { file, lists, problems: Vec::new() };
    let read = reader.rule(node);
    (read, reader.problems)
}

struct Reader<'a> {
    file: &'a str,
    lists: &'a Lists,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn rule(&mut self, node: &Node) -> Read {
        let mut read = Read { name: None, enabled: true, rule: None };
        let Tree::Mapping(entries) = &node.value else {
            let message = format!("expected a rule, found {}", node.describe());
            self.problems.push(Problem::error(node.span, message).help("begin each rule with `- name:`"));
            return read;
        };
        let mut rule = Rule {
            name: String::new(),
            description: None,
            severity: Severity::Medium,
            confidence: DEFAULT_CONFIDENCE,
            actions: vec![Action::Alert],
            response_for: None,
            tags: Vec::new(),
            condition: String::new(),
            kinds: KindSet::NONE,
            origin: String::new(),
        };
        let mut condition = None;
        let mut event = None;
        let mut action_span = node.span;
        for (key, value) in entries {
            match key.name.as_str() {
                "name" => read.name = self.name(key, value),
                "description" => rule.description = self.text(key, value),
                "condition" => condition = Some((self.condition(key, value), value.span)),
                "event" => event = self.event(key, value).map(|kinds| (kinds, value.span)),
                "severity" => rule.severity = self.severity(key, value).unwrap_or(rule.severity),
                "confidence" => rule.confidence = self.confidence(key, value).unwrap_or(rule.confidence),
                "action" => {
                    action_span = value.span;
                    rule.actions = self.actions(key, value);
                }
                "response" => rule.response_for = self.response(key, value),
                "tags" => rule.tags = self.texts(key, value),
                "enabled" => read.enabled = self.bool(key, value).unwrap_or(true),
                later if LATER_KEYS.contains(&later) => {
                    self.problems.push(Problem::error(
                        key.span,
                        format!("`{later}` is not supported by this version"),
                    ));
                }
                unknown => self.problems.push(
                    Problem::error(key.span, format!("unknown key `{unknown}`"))
                        .help(format!("a rule has the keys {}", KEYS.join(", ")))
                        .maybe_help(did_you_mean(unknown, KEYS.iter().copied())),
                ),
            }
        }
        let has = |name: &str| entries.iter().any(|(key, _)| key.name == name);
        for needed in ["name", "condition"] {
            if !has(needed) {
                self.problems.push(Problem::error(node.span, format!("this rule has no `{needed}`")));
            }
        }
        if let Some((name, _)) = &read.name {
            rule.name.clone_from(name);
        }
        let Some((Some((text, condition)), span)) = condition else { return read };
        // With kinds that cannot be read, it is not known where the rule was meant to run.
        if has("event") && event.is_none() {
            return read;
        }
        rule.condition = text.trim().to_owned();
        read.rule =
            Compiled::new(rule, condition, event, Span::new(span.start, span.start), &mut self.problems);
        if let Some(compiled) = &read.rule
            && compiled.rule.actions.contains(&Action::Block)
            && !compiled.rule.kinds.contains(EventKind::NetworkConnection)
            && !compiled.rule.kinds.is_empty()
        {
            let message = "`block` has no address to block: this rule runs on no network_connection";
            self.problems.push(
                Problem::warning(action_span, message).help("`isolate` cuts a process off from the network"),
            );
        }
        read
    }

    /// The text of a value; anything else is a mistake.
    fn scalar<'n>(&mut self, key: &Key, value: &'n Node) -> Option<&'n str> {
        if let Tree::Scalar(text) = &value.value {
            return Some(text);
        }
        let span = if matches!(value.value, Tree::Null) { key.span } else { value.span };
        self.problems.push(Problem::error(
            span,
            format!("expected a value for `{}`, found {}", key.name, value.describe()),
        ));
        None
    }

    fn text(&mut self, key: &Key, value: &Node) -> Option<String> {
        self.scalar(key, value).map(|text| text.trim().to_owned())
    }

    fn name(&mut self, key: &Key, value: &Node) -> Option<(String, Span)> {
        let name = self.text(key, value)?;
        if name.is_empty() || name.chars().any(char::is_control) {
            self.problems.push(Problem::error(value.span, "a rule's name is one line, and not empty"));
            return None;
        }
        Some((name, value.span))
    }

    /// The condition's text and what it is made into. Its mistakes are placed in the file.
    fn condition(&mut self, key: &Key, value: &Node) -> Option<(String, crate::compile::Node)> {
        let text = self.scalar(key, value)?;
        let (node, problems) = match parser::parse(text) {
            Ok(expr) => check(&expr, self.lists),
            Err(problem) => (None, vec![problem]),
        };
        self.problems
            .extend(problems.into_iter().map(|p| Problem { span: value.span_of(p.span, self.file), ..p }));
        Some((text.to_owned(), node?))
    }

    /// A value, or a list of values, each with its place.
    fn one_or_more<'n>(&mut self, key: &Key, value: &'n Node) -> Vec<(&'n str, Span)> {
        let items = match &value.value {
            Tree::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        items.iter().filter_map(|item| self.scalar(key, item).map(|text| (text, item.span))).collect()
    }

    fn texts(&mut self, key: &Key, value: &Node) -> Vec<String> {
        self.one_or_more(key, value).into_iter().map(|(text, _)| text.to_owned()).collect()
    }

    fn event(&mut self, key: &Key, value: &Node) -> Option<KindSet> {
        let mut kinds = KindSet::NONE;
        let mut wrong = false;
        for (name, span) in self.one_or_more(key, value) {
            match EventKind::from_name(name) {
                Some(kind) => kinds = kinds.union(KindSet::of(&[kind])),
                None => {
                    wrong = true;
                    let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
                    self.problems.push(
                        Problem::error(span, format!("there is no kind of event `{name}`"))
                            .help(format!("the kinds are {}", names.join(", ")))
                            .maybe_help(did_you_mean(name, names.iter().copied())),
                    );
                }
            }
        }
        if kinds.is_empty() && !wrong {
            self.problems
                .push(Problem::error(key.span, "`event` names no kind of event").help("leave it out"));
        }
        (!kinds.is_empty() && !wrong).then_some(kinds)
    }

    fn severity(&mut self, key: &Key, value: &Node) -> Option<Severity> {
        let name = self.scalar(key, value)?;
        let severity = Severity::from_name(name);
        if severity.is_none() {
            let names = Severity::ALL.iter().map(|severity| severity.name());
            self.problems.push(
                Problem::error(value.span, format!("there is no severity `{name}`"))
                    .help("the severities are info, low, medium, high, critical")
                    .maybe_help(did_you_mean(name, names)),
            );
        }
        severity
    }

    fn confidence(&mut self, key: &Key, value: &Node) -> Option<f64> {
        let text = self.scalar(key, value)?;
        let confidence = text.parse().ok().filter(|confidence| (0.0..=1.0).contains(confidence));
        if confidence.is_none() {
            let message = format!("`{text}` is no confidence");
            self.problems
                .push(Problem::error(value.span, message).help("write a number from 0 to 1, such as 0.9"));
        }
        confidence
    }

    fn bool(&mut self, key: &Key, value: &Node) -> Option<bool> {
        let text = self.scalar(key, value)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => {
                let message = format!("`{}` is true or false, not `{text}`", key.name);
                self.problems.push(Problem::error(value.span, message));
                None
            }
        }
    }

    fn actions(&mut self, key: &Key, value: &Node) -> Vec<Action> {
        let mut actions = Vec::new();
        for (joined, span) in self.one_or_more(key, value) {
            for name in joined.split("_and_") {
                match Action::from_name(name) {
                    Some(action) if actions.contains(&action) => {
                        self.problems.push(Problem::warning(span, format!("`{name}` is named twice")));
                    }
                    Some(action) => actions.push(action),
                    None if LATER_ACTIONS.contains(&name) => {
                        let message = format!("the action `{name}` is not supported by this version");
                        self.problems.push(Problem::error(span, message).help("use alert, block or isolate"));
                    }
                    None => self.problems.push(
                        Problem::error(span, format!("there is no action `{name}`"))
                            .help("use alert, block or isolate, joined as in block_and_alert")
                            .maybe_help(did_you_mean(name, Action::ALL.iter().map(|action| action.name()))),
                    ),
                }
            }
        }
        actions
    }

    fn response(&mut self, key: &Key, value: &Node) -> Option<Duration> {
        let Tree::Mapping(entries) = &value.value else {
            let message = format!("expected keys under `{}`, found {}", key.name, value.describe());
            self.problems.push(Problem::error(key.span, message).help("write response: {for: 1h}"));
            return None;
        };
        let mut time = None;
        for (key, value) in entries {
            match key.name.as_str() {
                "for" => {
                    let text = self.scalar(key, value)?;
                    time = literal::duration(text).filter(|time| *time >= Duration::from_secs(1));
                    if time.is_none() {
                        let message = format!("`{text}` is no length of time of a second or more");
                        self.problems.push(Problem::error(value.span, message).help("write 30m, 1h or 7d"));
                    }
                }
                name @ ("isolate" | "kill" | "suspend" | "mode") => {
                    let message = format!("`response.{name}` is not supported by this version");
                    self.problems.push(Problem::error(key.span, message));
                }
                name => self.problems.push(
                    Problem::error(key.span, format!("unknown key `{name}`"))
                        .help("`response` has the key for"),
                ),
            }
        }
        time
    }
}
