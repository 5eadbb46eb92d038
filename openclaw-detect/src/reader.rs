//! Values of keys in rule files, and what is wrong with them.

use std::time::Duration;

use crate::check::check;
use crate::definitions::Definitions;
use crate::diagnostic::{Problem, Span};
use crate::fingerprint::Identity;
use crate::suggest::did_you_mean;
use crate::yaml::{Key, Node, Tree};
use crate::{Action, EventKind, KindSet, Severity, compile, literal, parser};

/// Actions that the language has and this version lacks.
const LATER_ACTIONS: &[&str] = &["deny"];

/// The actions, as help names them.
const KNOWN_ACTIONS: &str = "use alert, run, restart, webhook, block, isolate, suspend, kill or quarantine";

/// Reads values of one file, and gathers the mistakes in them.
pub(crate) struct Reader<'a> {
    /// The text of the whole file.
    pub(crate) file: &'a str,
    pub(crate) definitions: &'a Definitions,
    pub(crate) problems: Vec<Problem>,
}

/// A condition as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// As it is written.
    pub(crate) text: String,
    /// Made ready.
    pub(crate) node: compile::Node,
    pub(crate) identity: Identity,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str, definitions: &'a Definitions) -> Self {
        Reader { file, definitions, problems: Vec::new() }
    }

    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::error(span, message));
    }

    pub(crate) fn error_with_help(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem::error(span, message).help(help));
    }

    /// The entries of a value that has keys of its own; `help` shows one that is right.
    pub(crate) fn mapping<'n>(
        &mut self,
        key: &Key,
        value: &'n Node,
        help: &str,
    ) -> Option<&'n [(Key, Node)]> {
        if let Tree::Mapping(entries) = &value.value {
            return Some(entries);
        }
        let message = format!("expected keys under `{}`, found {}", key.name, value.describe());
        self.error_with_help(key.span, message, help);
        None
    }

    /// The entries of an item of the list under `key`.
    pub(crate) fn item<'n>(&mut self, key: &Key, item: &'n Node, help: &str) -> Option<&'n [(Key, Node)]> {
        self.mapping(&Key { name: key.name.clone(), span: item.span }, item, help)
    }

    /// Complains of keys that are missing.
    pub(crate) fn need(&mut self, span: Span, of: &str, entries: &[(Key, Node)], needed: &[&str]) {
        for name in needed {
            if !entries.iter().any(|(key, _)| key.name == *name) {
                self.error(span, format!("{of} has no `{name}`"));
            }
        }
    }

    /// A key that `of` does not have.
    pub(crate) fn unknown_key(&mut self, key: &Key, of: &str, keys: &[&str]) {
        let problem = Problem::error(key.span, format!("unknown key `{}`", key.name))
            .help(format!(
                "{of} has the {} {}",
                if keys.len() == 1 { "key" } else { "keys" },
                keys.join(", ")
            ))
            .maybe_help(did_you_mean(&key.name, keys.iter().copied()));
        self.problems.push(problem);
    }

    /// The text of a value; anything else is a mistake.
    pub(crate) fn scalar<'n>(&mut self, key: &Key, value: &'n Node) -> Option<&'n str> {
        if let Tree::Scalar(text) = &value.value {
            return Some(text);
        }
        let span = if matches!(value.value, Tree::Null) { key.span } else { value.span };
        self.error(span, format!("expected a value for `{}`, found {}", key.name, value.describe()));
        None
    }

    pub(crate) fn text(&mut self, key: &Key, value: &Node) -> Option<String> {
        self.scalar(key, value).map(|text| text.trim().to_owned())
    }

    /// A name: one line, and not empty.
    pub(crate) fn name(&mut self, key: &Key, value: &Node, of: &str) -> Option<(String, Span)> {
        let name = self.text(key, value)?;
        if name.is_empty() || name.chars().any(char::is_control) {
            self.error(value.span, format!("{of}'s name is one line, and not empty"));
            return None;
        }
        Some((name, value.span))
    }

    /// A condition. Its mistakes are placed in the file.
    pub(crate) fn condition(&mut self, key: &Key, value: &Node) -> Option<Condition> {
        let text = self.scalar(key, value)?;
        let (checked, problems) = match parser::parse(text) {
            Ok(expr) => {
                let (node, problems) = check(&expr, self.definitions);
                (node.map(|node| (node, self.definitions.identity(&expr))), problems)
            }
            Err(problem) => (None, vec![problem]),
        };
        if !problems.is_empty() {
            let places = value.places(self.file);
            self.problems.extend(problems.into_iter().map(|problem| places.of(problem)));
        }
        let (node, identity) = checked?;
        Some(Condition { text: text.trim().to_owned(), node, identity })
    }

    /// A value, or a list of values, each with its place.
    pub(crate) fn one_or_more<'n>(&mut self, key: &Key, value: &'n Node) -> Vec<(&'n str, Span)> {
        let items = match &value.value {
            Tree::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        items.iter().filter_map(|item| self.scalar(key, item).map(|text| (text, item.span))).collect()
    }

    pub(crate) fn texts(&mut self, key: &Key, value: &Node) -> Vec<String> {
        self.one_or_more(key, value).into_iter().map(|(text, _)| text.to_owned()).collect()
    }

    pub(crate) fn event(&mut self, key: &Key, value: &Node) -> Option<KindSet> {
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
            self.error_with_help(key.span, "`event` names no kind of event", "leave it out");
        }
        (!kinds.is_empty() && !wrong).then_some(kinds)
    }

    pub(crate) fn severity(&mut self, key: &Key, value: &Node) -> Option<Severity> {
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

    pub(crate) fn confidence(&mut self, key: &Key, value: &Node) -> Option<f64> {
        let text = self.scalar(key, value)?;
        let confidence = text.parse().ok().filter(|confidence| (0.0..=1.0).contains(confidence));
        if confidence.is_none() {
            let message = format!("`{text}` is no confidence");
            self.error_with_help(value.span, message, "write a number from 0 to 1, such as 0.9");
        }
        confidence
    }

    pub(crate) fn bool(&mut self, key: &Key, value: &Node) -> Option<bool> {
        let text = self.scalar(key, value)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => {
                self.error(value.span, format!("`{}` is true or false, not `{text}`", key.name));
                None
            }
        }
    }

    /// A length of time of `least` or more; `help` shows one that is right.
    pub(crate) fn duration(
        &mut self,
        key: &Key,
        value: &Node,
        least: Duration,
        help: &str,
    ) -> Option<Duration> {
        let text = self.scalar(key, value)?;
        let time = literal::duration(text).filter(|time| *time >= least);
        if time.is_none() {
            let least = if least < Duration::from_secs(1) { "a millisecond" } else { "a second" };
            self.error_with_help(
                value.span,
                format!("`{text}` is no length of time of {least} or more"),
                help,
            );
        }
        time
    }

    /// The actions, and whether `quarantine` is among them, which is to isolate and to suspend all of a container.
    pub(crate) fn actions(&mut self, key: &Key, value: &Node) -> (Vec<Action>, bool) {
        let mut actions = Vec::new();
        let mut quarantines = false;
        if matches!(&value.value, Tree::Sequence(items) if items.is_empty()) {
            self.error_with_help(value.span, "`action` names no action", "leave it out to alert");
        }
        for (joined, span) in self.one_or_more(key, value) {
            for name in joined.split("_and_") {
                if name == "quarantine" {
                    quarantines = true;
                    for action in [Action::Isolate, Action::Suspend] {
                        if !actions.contains(&action) {
                            actions.push(action);
                        }
                    }
                    continue;
                }
                match Action::from_name(name) {
                    Some(action) if actions.contains(&action) => {
                        self.problems.push(Problem::warning(span, format!("`{name}` is named twice")));
                    }
                    Some(action) => actions.push(action),
                    None if LATER_ACTIONS.contains(&name) => {
                        let message = format!("the action `{name}` is not supported by this version");
                        self.error_with_help(span, message, KNOWN_ACTIONS);
                    }
                    None => self.problems.push(
                        Problem::error(span, format!("there is no action `{name}`"))
                            .help(format!("{KNOWN_ACTIONS}, joined as in block_and_alert"))
                            .maybe_help(did_you_mean(name, Action::ALL.iter().map(|action| action.name()))),
                    ),
                }
            }
        }
        (actions, quarantines)
    }
}
