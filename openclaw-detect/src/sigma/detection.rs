//! The searches of a Sigma rule and its condition, as a condition of ours.

use super::audit;
use super::condition::{self, Condition};
use super::expression::{Meaning, action, exists, not_true};
use super::source::{LogSource, View};
use crate::ast::Expr;
use crate::check::check;
use crate::definitions::Definitions;
use crate::diagnostic::{Problem, Span};
use crate::interest::{ReadInterest, reads};
use crate::yaml::{Key, Node, Tree};
use crate::{EventKind, Field, KindSet};

/// What the detection of a rule comes to.
#[derive(Debug, Clone)]
pub(super) struct Detection {
    /// What must be so; none where that can never be.
    pub(super) condition: Option<Expr>,
    /// Where it does not fire although that is so, by the names of searches.
    pub(super) exceptions: Vec<(String, Expr)>,
    /// The kinds of event that it is about.
    pub(super) kinds: KindSet,
    /// What it asks for that the sensor does not tell.
    pub(super) lacks: Vec<String>,
}

impl Detection {
    /// All of it in one condition, which is true of its own kinds alone.
    pub(super) fn whole(&self) -> Option<Expr> {
        let kinds = guard(self.kinds).into_iter().map(Meaning::Asks);
        let exceptions = self.exceptions.iter().map(|(_, expr)| Meaning::Asks(not_true(expr.clone())));
        let condition = Meaning::Asks(self.condition.clone()?);
        match Meaning::all(kinds.chain([condition]).chain(exceptions)) {
            Meaning::Asks(expr) => Some(expr),
            Meaning::Always | Meaning::Never | Meaning::Untold => None,
        }
    }
}

/// A condition that is true of events of these kinds, where that is seen by what they carry.
fn guard(kinds: KindSet) -> Option<Expr> {
    let of = |kind: EventKind| match kind {
        EventKind::FileAccess => exists(Field::FilePath.name(), true),
        EventKind::HttpRequest => exists(Field::UrlOriginal.name(), true),
        kind => action(kind.actions()),
    };
    match Meaning::any(kinds.iter().map(|kind| Meaning::Asks(of(kind)))) {
        Meaning::Asks(expr) => Some(expr),
        Meaning::Always | Meaning::Never | Meaning::Untold => None,
    }
}

/// Reads the detection of a rule that looks there. Problems come with what was made of the rest.
pub(super) fn read(node: &Node, file: &str, source: LogSource) -> (Option<Detection>, Vec<Problem>) {
    let mut reader = Reader {
        file,
        source,
        problems: Vec::new(),
        lacks: Vec::new(),
        kinds: KindSet::NONE,
        guards: false,
        unwanted: false,
        taken: 0,
    };
    let detection = reader.detection(node);
    let failed = reader.problems.iter().any(Problem::is_error);
    (detection.filter(|_| !failed), reader.problems)
}

pub(super) struct Reader<'a> {
    /// The text of the whole file.
    pub(super) file: &'a str,
    pub(super) source: LogSource,
    pub(super) problems: Vec<Problem>,
    pub(super) lacks: Vec<String>,
    /// The kinds of the searches so far.
    pub(super) kinds: KindSet,
    /// Whether each search says of which kind it is, since there are several.
    pub(super) guards: bool,
    /// Whether it is under a `not` that what is read keeps the rule from firing.
    pub(super) unwanted: bool,
    /// Values so far, those of a search counted each time that the condition names it.
    pub(super) taken: usize,
}

/// Values that a rule may have, those of a search counted each time that the condition names it.
pub(super) const MAX_VALUES: usize = 200_000;

/// What a rule lacks that is told one by one.
const MAX_LACKS: usize = 20;

/// A search: its name, and what it looks for.
type Search<'n> = (&'n Key, &'n Node);

impl Reader<'_> {
    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::error(span, message));
    }

    /// What it asks for is not told. A rule then finds less; where it would keep the rule from firing, more.
    pub(super) fn lack(&mut self, what: String) -> Meaning {
        let (what, meaning) = if self.unwanted {
            (format!("{what}, so that nothing is left out by it"), Meaning::Untold)
        } else {
            (what, Meaning::Never)
        };
        if self.lacks.len() < MAX_LACKS && !self.lacks.contains(&what) {
            self.lacks.push(what);
        }
        meaning
    }

    /// What it comes to that all parts are true.
    fn all(&self, parts: Vec<Meaning>) -> Meaning {
        if self.unwanted { Meaning::all_of_filter(parts) } else { Meaning::all(parts) }
    }

    /// Reads what is under a `not`.
    pub(super) fn under_not<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        self.unwanted = !self.unwanted;
        let result = read(self);
        self.unwanted = !self.unwanted;
        result
    }

    fn detection(&mut self, node: &Node) -> Option<Detection> {
        let Tree::Mapping(entries) = &node.value else {
            self.error(node.span, format!("expected searches and a `condition`, found {}", node.describe()));
            return None;
        };
        let mut searches: Vec<Search<'_>> = Vec::new();
        let mut conditions = Vec::new();
        for (key, value) in entries {
            match key.name.as_str() {
                "condition" => conditions.extend(match &value.value {
                    Tree::Sequence(items) => items.as_slice(),
                    _ => std::slice::from_ref(value),
                }),
                "timeframe" => {
                    let problem = Problem::error(key.span, "`timeframe` is no longer part of Sigma's rules");
                    self.problems.push(problem.help("write a correlation rule, which has a `timespan`"));
                }
                _ => searches.push((key, value)),
            }
        }
        if conditions.is_empty() {
            self.error(node.span, "this detection has no `condition`");
            return None;
        }
        let mut named = 0;
        let conditions: Vec<Condition> = conditions
            .into_iter()
            .filter_map(|condition| self.condition(condition, &searches, &mut named))
            .collect();
        let condition = match <[Condition; 1]>::try_from(conditions) {
            Ok([condition]) => condition,
            Err(conditions) => Condition::Or(conditions),
        };
        // Once to know the kinds, and once more where each search must say of which it is.
        let before = self.problems.len();
        let mut detection = self.meaning(&condition, &searches);
        if self.kinds.iter().count() > 1 {
            self.guards = true;
            self.taken = 0;
            self.problems.truncate(before);
            self.lacks.clear();
            detection = self.meaning(&condition, &searches);
        }
        Some(detection)
    }

    fn condition(&mut self, node: &Node, searches: &[Search<'_>], named: &mut usize) -> Option<Condition> {
        let Tree::Scalar(text) = &node.value else {
            self.error(node.span, format!("expected a condition, found {}", node.describe()));
            return None;
        };
        let names: Vec<_> = searches.iter().map(|(key, _)| key.name.as_str()).collect();
        match condition::parse(text, &names, named) {
            Ok(condition) => Some(condition),
            Err(problem) => {
                self.problems.push(node.places(self.file).of(problem));
                None
            }
        }
    }

    /// The condition, what it does not want being exceptions where it is joined by `and`.
    fn meaning(&mut self, condition: &Condition, searches: &[Search<'_>]) -> Detection {
        let parts = match condition {
            Condition::And(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let context = self.context(parts, searches, None);
        let is_unwanted = |part: &&Condition| matches!(part, Condition::Not(_));
        let (unwanted, wanted): (Vec<_>, Vec<_>) = parts.iter().partition(is_unwanted);
        let mut asked: Vec<_> = wanted.into_iter().map(|part| self.part(part, searches, context)).collect();
        let has_wanted = !asked.is_empty();
        let mut exceptions = Vec::new();
        for part in unwanted {
            let Condition::Not(inner) = part else { continue };
            let each = match &**inner {
                Condition::Or(each) => each.as_slice(),
                one => std::slice::from_ref(one),
            };
            for one in each {
                match self.under_not(|reader| reader.part(one, searches, context)) {
                    // What is about nothing but exceptions is a condition of its own.
                    Meaning::Asks(expr) if has_wanted => exceptions.push((named(one, searches), expr)),
                    Meaning::Asks(expr) => asked.push(Meaning::Asks(not_true(expr))),
                    Meaning::Always => asked.push(Meaning::Never),
                    Meaning::Untold => asked.push(Meaning::Untold),
                    Meaning::Never => {}
                }
            }
        }
        let view = match self.source {
            LogSource::View(view) if !view.actions.is_empty() => vec![Meaning::Asks(action(view.actions))],
            _ => Vec::new(),
        };
        let asked = match Meaning::all(asked) {
            // What the events are of is not all that was asked for.
            Meaning::Untold => Meaning::Never,
            asked => asked,
        };
        let condition = match Meaning::all(view.into_iter().chain([asked])) {
            Meaning::Asks(expr) => Some(expr),
            Meaning::Always => guard(self.kinds),
            Meaning::Never | Meaning::Untold => None,
        };
        let condition = condition.map(|condition| self.without_all_reads(condition));
        Detection { condition, exceptions, kinds: self.kinds, lacks: self.lacks.clone() }
    }

    /// The condition but for reads of files, where it does not say how the paths begin that are read: the sensor would have to
    /// tell of every file that anybody reads.
    fn without_all_reads(&mut self, condition: Expr) -> Expr {
        let (node, _) = check(&condition, &Definitions::default());
        // What names a list that is not known here may ask for any.
        let reads_all = node.is_none_or(|node| reads(&node, true) == ReadInterest::All);
        if !self.kinds.contains(EventKind::FileAccess) || !reads_all {
            return condition;
        }
        self.lack("reads of files, since it does not say how their paths begin: all else that is done to them is told".to_owned());
        let not_read = not_true(action(&["read"]));
        match Meaning::all([condition, not_read].map(Meaning::Asks)) {
            Meaning::Asks(condition) => condition,
            Meaning::Always | Meaning::Never | Meaning::Untold => not_true(action(&["read"])),
        }
    }

    fn part(
        &mut self,
        condition: &Condition,
        searches: &[Search<'_>],
        context: Option<&'static View>,
    ) -> Meaning {
        match condition {
            Condition::And(parts) => {
                let context = self.context(parts, searches, context);
                let parts: Vec<_> = parts.iter().map(|part| self.part(part, searches, context)).collect();
                self.all(parts)
            }
            Condition::Or(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| self.part(part, searches, context)).collect();
                Meaning::any(parts)
            }
            Condition::Not(inner) => self.under_not(|reader| reader.part(inner, searches, context)).not(),
            Condition::Search(number) => self.search(searches[*number], context),
        }
    }

    /// The type of record that one of several searches, all of which must find something, says it is about: then the others
    /// are about it too.
    fn context(
        &self,
        parts: &[Condition],
        searches: &[Search<'_>],
        outer: Option<&'static View>,
    ) -> Option<&'static View> {
        if let LogSource::View(view) = self.source {
            return Some(view);
        }
        parts.iter().find_map(|part| own_record(part, searches)).or(outer)
    }

    fn search(&mut self, (key, node): Search<'_>, context: Option<&'static View>) -> Meaning {
        let LogSource::Audit = self.source else {
            return match context {
                Some(view) => {
                    self.kinds = self.kinds.union(KindSet::of(&[view.kind]));
                    self.items(node, view)
                }
                None => Meaning::Never,
            };
        };
        match &node.value {
            // Each item is a search of its own.
            Tree::Sequence(items) if items.iter().any(|item| matches!(item.value, Tree::Mapping(_))) => {
                let any: Vec<_> = items.iter().map(|item| self.of_audit(key, item, context)).collect();
                Meaning::any(any)
            }
            _ => self.of_audit(key, node, context),
        }
    }

    /// A search among the records of auditd, or one item of it.
    fn of_audit(&mut self, key: &Key, node: &Node, context: Option<&'static View>) -> Meaning {
        let records = record_types(node);
        let fields = fields(node);
        if records.is_empty() {
            let Some(view) = context.or_else(|| audit::record_of(&fields)) else {
                let help = "write `type: EXECVE`, `PATH` or `SYSCALL` in it";
                let problem = Problem::error(key.span, "it is not said which record of auditd this is about");
                self.problems.push(problem.help(help));
                return Meaning::Never;
            };
            return self.record(node, view);
        }
        let known: Vec<_> = records.iter().filter_map(|record| audit::record(record)).collect();
        // Of several types those are meant that have such fields; where none has, one of them says what is wrong.
        let fitting: Vec<_> = known.iter().copied().filter(|view| audit::has_all(view, &fields)).collect();
        let views = if fitting.is_empty() { known.into_iter().take(1).collect() } else { fitting };
        let mut any: Vec<_> = views.into_iter().map(|view| self.record(node, view)).collect();
        for record in records.iter().filter(|record| audit::record(record).is_none()) {
            any.push(self.lack(format!("records of type {record} are not told by the sensor")));
        }
        Meaning::any(any)
    }

    /// What a search asks of a record of auditd.
    fn record(&mut self, node: &Node, view: &'static View) -> Meaning {
        let before = std::mem::replace(&mut self.kinds, KindSet::NONE);
        let mut meaning = self.items(node, view);
        // A system call, or a key, says of which kind it is.
        if self.kinds.is_empty() {
            self.kinds = KindSet::of(&[view.kind]);
        }
        let is_nothing = matches!(meaning, Meaning::Never | Meaning::Untold);
        if is_nothing {
            self.kinds = KindSet::NONE;
        }
        if self.guards && !is_nothing {
            let guard = guard(self.kinds).map(Meaning::Asks);
            meaning = Meaning::all(guard.into_iter().chain([meaning]));
        }
        self.kinds = before.union(self.kinds);
        meaning
    }

    /// What a search asks: fields with values, all of which must be so; several of these, one of which must; or words.
    fn items(&mut self, node: &Node, view: &'static View) -> Meaning {
        match &node.value {
            Tree::Mapping(entries) if entries.is_empty() => {
                self.error(node.span, "this search looks for nothing");
                Meaning::Never
            }
            Tree::Mapping(entries) => {
                let entries = entries.iter().filter(|(key, _)| !self.is_record_type(key));
                let entries: Vec<_> = entries.collect();
                let all: Vec<_> =
                    entries.into_iter().map(|(key, value)| self.entry(key, value, view)).collect();
                self.all(all)
            }
            Tree::Sequence(items) if items.iter().any(|item| matches!(item.value, Tree::Mapping(_))) => {
                let any: Vec<_> = items.iter().map(|item| self.items(item, view)).collect();
                Meaning::any(any)
            }
            Tree::Sequence(_) | Tree::Scalar(_) => {
                let key = Key { name: String::new(), span: node.span };
                self.entry(&key, node, view)
            }
            Tree::Null => {
                self.error(node.span, "this search looks for nothing");
                Meaning::Never
            }
        }
    }

    fn is_record_type(&self, key: &Key) -> bool {
        matches!(self.source, LogSource::Audit) && key.name == "type"
    }
}

/// How a record is seen that a search, or one of several that must all find something, says it is about.
fn own_record(part: &Condition, searches: &[Search<'_>]) -> Option<&'static View> {
    match part {
        Condition::Search(number) => match &record_types(searches[*number].1)[..] {
            [record] => audit::record(record),
            _ => None,
        },
        Condition::And(parts) => parts.iter().find_map(|part| own_record(part, searches)),
        Condition::Or(_) | Condition::Not(_) => None,
    }
}

/// The types of record that a search says it is about.
fn record_types(node: &Node) -> Vec<&str> {
    let entries = match &node.value {
        Tree::Mapping(entries) => entries.as_slice(),
        Tree::Sequence(items) => match items.first().map(|item| &item.value) {
            Some(Tree::Mapping(entries)) => entries.as_slice(),
            _ => &[],
        },
        _ => &[],
    };
    let types =
        entries.iter().filter(|(key, _)| key.name == "type").flat_map(|(_, value)| match &value.value {
            Tree::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        });
    types
        .filter_map(|node| match &node.value {
            Tree::Scalar(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// The fields that a search names.
fn fields(node: &Node) -> Vec<&str> {
    match &node.value {
        Tree::Mapping(entries) => entries.iter().filter_map(|(key, _)| key.name.split('|').next()).collect(),
        Tree::Sequence(items) => items.iter().flat_map(fields).collect(),
        _ => Vec::new(),
    }
}

/// What an exception is called that comes from a part of a condition.
fn named(condition: &Condition, searches: &[Search<'_>]) -> String {
    match condition {
        Condition::Search(number) => searches[*number].0.name.clone(),
        Condition::Not(inner) => format!("not {}", named(inner, searches)),
        Condition::And(parts) | Condition::Or(parts) => {
            parts.iter().map(|part| named(part, searches)).collect::<Vec<_>>().join(", ")
        }
    }
}
