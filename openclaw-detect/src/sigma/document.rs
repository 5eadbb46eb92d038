//! A document of a Sigma file: a rule, or a correlation of rules.

use std::collections::HashMap;

use super::correlation::{self, Correlation};
use super::detection::{self, Detection};
use super::filter::{self, Filter};
use super::source::{self, LogSource, NoSource};
use crate::Severity;
use crate::diagnostic::{Problem, Span};
use crate::suggest::did_you_mean;
use crate::yaml::{self, Key, Node, Tree};

/// The keys of a rule: those of the specification. Others are the writer's own, as it allows.
const KEYS: &[&str] = &["title", "logsource", "detection", "correlation", "filter", "level", "status"];

/// Bytes of the name of a rule that are taken of its title.
const MAX_NAME: usize = 120;

/// A rule as it was read.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) title: String,
    /// Where the title stands.
    pub(super) span: Span,
    pub(super) id: Option<String>,
    /// What other rules may call it.
    pub(super) own_name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) description: Option<String>,
    pub(super) author: Option<String>,
    pub(super) references: Vec<String>,
    pub(super) false_positives: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) severity: Severity,
    pub(super) content: Content,
    /// Whether a correlation asks for it, and it is not to fire by itself.
    pub(super) is_part: bool,
    pub(super) problems: Vec<Problem>,
}

/// What a rule finds.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Events, of a log source.
    Detection(LogSource, Detection),
    /// What other rules find, together.
    Correlation(Correlation),
    /// What other rules are to ask for as well.
    Filter(Filter),
    /// Nothing; why.
    Nothing(Vec<String>),
}

impl Content {
    /// What it asks for that the sensor does not tell.
    pub(super) fn lacks(&self) -> Vec<String> {
        match self {
            Content::Detection(_, detection) => detection.lacks.clone(),
            Content::Correlation(correlation) => correlation.lacks(),
            Content::Filter(_) => Vec::new(),
            Content::Nothing(why) => why.clone(),
        }
    }
}

/// The documents' numbers, by the names and ids by which others may name them.
pub(super) fn by_name(documents: &[(usize, Document)]) -> HashMap<String, usize> {
    let mut by_name = HashMap::new();
    for (number, (_, document)) in documents.iter().enumerate() {
        for name in document.own_name.iter().chain(&document.id) {
            by_name.entry(name.clone()).or_insert(number);
        }
    }
    by_name
}

/// Names that are gone through for the one that was most likely meant: that takes long where there are many.
const MAX_NEAR: usize = 1000;

/// No document has that name or id. What was meant is `guessed` at.
pub(super) fn no_such_rule(name: &str, span: Span, known: &HashMap<String, usize>, guessed: bool) -> Problem {
    let problem = Problem::error(span, format!("there is no Sigma rule of the name or id `{name}`"));
    let near = known.keys().map(String::as_str).take(MAX_NEAR);
    problem.maybe_help(if guessed { did_you_mean(name, near) } else { None })
}

/// The documents of a file, each with its places in the whole, and why others are none.
pub(crate) fn documents(text: &str) -> (Vec<Node>, Vec<Problem>) {
    let mut starts = vec![0];
    let mut at = 0;
    // A document ends at a line that begins with three dashes, which no text within one can have at its beginning.
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]).collect::<Vec<_>>();
    let (mut nodes, mut problems) = (Vec::new(), Vec::new());
    for (start, end) in starts.into_iter().zip(ends) {
        match yaml::parse(&text[start..end]) {
            Ok(node) => nodes.extend(node.map(|node| node.behind(start))),
            Err(problem) => problems.push(Problem { span: problem.span.behind(start), ..problem }),
        }
    }
    (nodes, problems)
}

/// Whether a file is most likely one of Sigma's: it has a key that files of ours have not, also where it is no YAML.
pub(crate) fn looks_like(text: &str) -> bool {
    const KEYS: [&str; 3] = ["detection", "logsource", "correlation"];
    let is_key = |line: &str, key: &str| {
        let line = line.trim_start_matches('\u{feff}');
        let line = line.strip_prefix(['"', '\'']).unwrap_or(line);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'))
    };
    // As JSON, all in one.
    let is_json = text.trim_start().starts_with('{')
        && KEYS[..2].iter().all(|key| text.contains(&format!("\"{key}\"")));
    is_json || text.lines().any(|line| KEYS.iter().any(|key| is_key(line, key)))
}

/// Reads a document; `file` is the text of the whole file.
pub(super) fn read(node: &Node, file: &str) -> Document {
    let mut document = Document {
        title: String::new(),
        span: Span::new(node.span.start, node.span.start),
        id: None,
        own_name: None,
        status: None,
        description: None,
        author: None,
        references: Vec::new(),
        false_positives: Vec::new(),
        tags: Vec::new(),
        severity: Severity::Medium,
        content: Content::Nothing(Vec::new()),
        is_part: false,
        problems: Vec::new(),
    };
    match &node.value {
        Tree::Mapping(entries) => document.read(node, entries, file),
        _ => document
            .problems
            .push(Problem::error(node.span, format!("expected a Sigma rule, found {}", node.describe()))),
    }
    document
}

impl Document {
    fn read(&mut self, node: &Node, entries: &[(Key, Node)], file: &str) {
        let find = |name: &str| entries.iter().find(|(key, _)| key.name == name);
        for (key, value) in entries {
            match key.name.as_str() {
                "title" => {
                    self.title = text(value).unwrap_or_default();
                    self.span = value.span;
                }
                "id" => self.id = text(value),
                "name" => self.own_name = text(value),
                "status" => self.status = text(value),
                "description" => self.description = text(value),
                "author" => self.author = text(value),
                "references" => self.references = texts(value),
                "falsepositives" => self.false_positives = texts(value),
                "tags" => self.tags = texts(value),
                "level" => self.level(value),
                _ => self.problems.extend(misspelt(key)),
            }
        }
        if self.name().is_empty() {
            let message = "this Sigma rule has no `title`, or one without a letter";
            self.problems.push(Problem::error(self.span, message));
        }
        if let Some((key, value)) = find("filter") {
            return self.filter(key, value, find("logsource"), file);
        }
        match (find("correlation"), find("detection")) {
            (Some((key, value)), None) => match correlation::read(key, value) {
                Ok(correlation) => self.content = Content::Correlation(correlation),
                Err(problems) => self.problems.extend(problems),
            },
            (Some((key, _)), Some(_)) => {
                let message = "a rule has a `detection` or a `correlation`, not both";
                self.problems.push(Problem::error(key.span, message));
            }
            (None, Some((_, value))) => match find("logsource") {
                Some((key, source)) => self.detection(value, key, source, file),
                None => {
                    self.problems.push(Problem::error(node.span, "this Sigma rule has no `logsource`"));
                }
            },
            (None, None) => {
                self.problems.push(Problem::error(node.span, "this Sigma rule has no `detection`"))
            }
        }
    }

    fn filter(&mut self, key: &Key, value: &Node, source: Option<&(Key, Node)>, file: &str) {
        let Some((at, source)) = source else {
            return self.problems.push(Problem::error(key.span, "this filter has no `logsource`"));
        };
        let Some(found) = self.log_source(at, source) else { return };
        let (filter, problems) = filter::read(key, value, file, found);
        self.problems.extend(problems);
        if let Some(filter) = filter {
            self.content = Content::Filter(filter);
        }
    }

    fn detection(&mut self, value: &Node, key: &Key, source: &Node, file: &str) {
        let Some(found) = self.log_source(key, source) else { return };
        let (detection, problems) = detection::read(value, file, found);
        self.problems.extend(problems);
        if let Some(detection) = detection {
            self.content = Content::Detection(found, detection);
        }
    }

    /// Where it looks; where that is nowhere, it is said why.
    fn log_source(&mut self, key: &Key, source: &Node) -> Option<LogSource> {
        match log_source(source) {
            Ok(found) => Some(found),
            Err(NoSource::NotLookedAt(why)) => {
                self.content = Content::Nothing(vec![why]);
                None
            }
            Err(NoSource::Unknown(message)) => {
                let categories = source::views().map(|view| view.name).collect::<Vec<_>>().join(", ");
                let problem = Problem::error(key.span, message)
                    .help(format!("the categories are {categories}; the service is auditd"));
                self.problems.push(problem);
                None
            }
        }
    }

    fn level(&mut self, value: &Node) {
        let name = text(value).unwrap_or_default();
        self.severity = match name.as_str() {
            "informational" => Severity::Info,
            "low" => Severity::Low,
            "medium" => Severity::Medium,
            "high" => Severity::High,
            "critical" => Severity::Critical,
            _ => {
                let levels = "informational, low, medium, high, critical";
                let problem = Problem::error(value.span, format!("there is no level `{name}`"));
                self.problems.push(problem.help(format!("the levels are {levels}")));
                return;
            }
        };
    }

    /// What the rule of ours is called: its title in small letters, with a line for what is no letter and no digit.
    pub(super) fn name(&self) -> String {
        let mut name = String::new();
        for c in self.title.chars().flat_map(char::to_lowercase) {
            if c.is_alphanumeric() {
                name.push(c);
            } else if !name.ends_with('_') && !name.is_empty() {
                name.push('_');
            }
        }
        // It is to be the name of a file too.
        let end = name.floor_char_boundary(MAX_NAME);
        name[..end].trim_end_matches('_').to_owned()
    }

    /// Whether the rule is to run: it is not deprecated, and no correlation keeps it to itself.
    pub(super) fn is_enabled(&self) -> bool {
        !self.is_part && !matches!(self.status.as_deref(), Some("deprecated" | "unsupported"))
    }

    /// How sure it is. Its status says how well it was tried.
    pub(super) fn confidence(&self) -> f64 {
        match self.status.as_deref() {
            Some("stable") => 0.8,
            Some("test") => 0.7,
            _ => 0.5,
        }
    }
}

/// Where a rule looks.
fn log_source(node: &Node) -> Result<LogSource, NoSource> {
    let Tree::Mapping(entries) = &node.value else {
        return Err(NoSource::Unknown(format!("expected a log source, found {}", node.describe())));
    };
    let find =
        |name: &str| entries.iter().find(|(key, _)| key.name == name).and_then(|(_, value)| text(value));
    source::log_source(find("product").as_deref(), find("category").as_deref(), find("service").as_deref())
}

/// Complains of a key that is nearly one without which a rule means something else.
fn misspelt(key: &Key) -> Option<Problem> {
    if KEYS.contains(&key.name.as_str()) {
        return None;
    }
    let meant = did_you_mean(&key.name, KEYS.iter().copied())?;
    // Writers have keys of their own.
    let is_near = KEYS.iter().any(|known| known.len().abs_diff(key.name.len()) <= 2);
    is_near.then(|| Problem::warning(key.span, format!("a Sigma rule has no key `{}`", key.name)).help(meant))
}

/// The text of a value.
pub(super) fn text(node: &Node) -> Option<String> {
    match &node.value {
        Tree::Scalar(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// The texts of a value, or of a list of values.
pub(super) fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        Tree::Sequence(items) => items.iter().filter_map(text).collect(),
        _ => text(node).into_iter().collect(),
    }
}
