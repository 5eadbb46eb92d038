//! One rule of a rule file, and what override files change of it.

use crate::compile;
use crate::compiled::Compiled;
use crate::definitions::Definitions;
use crate::diagnostic::{Problem, Span};
use crate::reader::Reader;
use crate::rule::Exception;
use crate::yaml::{Key, Node, Tree};
use crate::{Action, EventKind, KindSet, Rule, Severity};

/// The keys of a rule.
const KEYS: &[&str] = &[
    "name",
    "description",
    "condition",
    "event",
    "exceptions",
    "severity",
    "confidence",
    "action",
    "response",
    "tags",
    "enabled",
];

/// The keys of an override.
const OVERRIDE_KEYS: &[&str] =
    &["rule", "severity", "confidence", "action", "response", "exceptions", "enabled"];

/// Keys that the language has and this version lacks.
const LATER_KEYS: &[&str] =
    &["threshold", "sequence", "new", "suppress", "playbook", "tests", "detection", "logsource"];

/// How sure a rule is that does not say.
const DEFAULT_CONFIDENCE: f64 = 0.9;

/// A rule as it was read, before overrides.
pub(crate) struct Draft {
    /// Its name and where that stands; none where it has none.
    pub(crate) name: Option<(String, Span)>,
    /// Whether it is to run.
    pub(crate) enabled: bool,
    rule: Rule,
    condition: Option<(compile::Node, Span)>,
    event: Option<(KindSet, Span)>,
    exceptions: Vec<compile::Node>,
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
            severity: Severity::Medium,
            confidence: DEFAULT_CONFIDENCE,
            actions: vec![Action::Alert],
            response_for: None,
            tags: Vec::new(),
            condition: String::new(),
            exceptions: Vec::new(),
            kinds: KindSet::NONE,
            origin: String::new(),
        };
        Draft {
            name: None,
            enabled: true,
            rule,
            condition: None,
            event: None,
            exceptions: Vec::new(),
            action_span: span,
            failed: false,
        }
    }

    fn read(&mut self, node: &Node, entries: &[(Key, Node)], reader: &mut Reader<'_>) {
        for (key, value) in entries {
            match key.name.as_str() {
                "name" => self.name = reader.name(key, value, "a rule"),
                "description" => self.rule.description = reader.text(key, value),
                "condition" => {
                    if let Some((text, condition)) = reader.condition(key, value) {
                        self.rule.condition = text;
                        self.condition = Some((condition, Span::new(value.span.start, value.span.start)));
                    }
                }
                "event" => self.event = reader.event(key, value).map(|kinds| (kinds, value.span)),
                "tags" => self.rule.tags = reader.texts(key, value),
                later if LATER_KEYS.contains(&later) => {
                    reader.error(key.span, format!("`{later}` is not supported by this version"));
                }
                _ if self.change_key(key, value, reader) => {}
                _ => reader.unknown_key(key, "a rule", KEYS),
            }
        }
        for needed in ["name", "condition"] {
            if !entries.iter().any(|(key, _)| key.name == needed) {
                reader.error(node.span, format!("this rule has no `{needed}`"));
            }
        }
        if let Some((name, _)) = &self.name {
            self.rule.name.clone_from(name);
        }
    }

    /// Takes over what an override says; `file` is the text of the override's file.
    pub(crate) fn change(&mut self, node: &Node, file: &str, definitions: &Definitions) -> Vec<Problem> {
        let Tree::Mapping(entries) = &node.value else { return Vec::new() };
        let mut reader = Reader::new(file, definitions);
        for (key, value) in entries {
            if key.name != "rule" && !self.change_key(key, value, &mut reader) {
                reader.unknown_key(key, "an override", OVERRIDE_KEYS);
            }
        }
        reader.problems
    }

    /// A key that overrides have too. Whether it is one.
    fn change_key(&mut self, key: &Key, value: &Node, reader: &mut Reader<'_>) -> bool {
        let rule = &mut self.rule;
        match key.name.as_str() {
            "severity" => rule.severity = reader.severity(key, value).unwrap_or(rule.severity),
            "confidence" => rule.confidence = reader.confidence(key, value).unwrap_or(rule.confidence),
            "action" => {
                self.action_span = value.span;
                rule.actions = reader.actions(key, value);
            }
            "response" => rule.response_for = reader.response(key, value).or(rule.response_for),
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
            let help = "an exception has a name and a condition";
            let Some(entries) = reader.mapping(&Key { name: key.name.clone(), span: item.span }, item, help)
            else {
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
            for needed in ["name", "condition"] {
                if !entries.iter().any(|(key, _)| key.name == needed) {
                    reader.error(item.span, format!("this exception has no `{needed}`"));
                }
            }
            if let (Some((name, _)), Some((text, condition))) = (name, condition) {
                self.rule.exceptions.push(Exception { name, condition: text });
                self.exceptions.push(condition);
            }
        }
    }

    /// The rule, ready to run; none where a mistake stands in the way.
    pub(crate) fn finish(mut self, origin: String, problems: &mut Vec<Problem>) -> Option<Compiled> {
        let (condition, span) = self.condition.filter(|_| !self.failed)?;
        self.rule.origin = origin;
        let condition = condition.unless(self.exceptions);
        let compiled = Compiled::new(self.rule, condition, self.event, span, problems)?;
        if compiled.rule.actions.contains(&Action::Block)
            && !compiled.rule.kinds.contains(EventKind::NetworkConnection)
            && !compiled.rule.kinds.is_empty()
        {
            let message = "`block` has no address to block: this rule runs on no network_connection";
            problems.push(
                Problem::warning(self.action_span, message)
                    .help("`isolate` cuts a process off from the network"),
            );
        }
        Some(compiled)
    }
}
