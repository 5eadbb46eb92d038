//! The searches of a Sigma rule and its condition, as a condition of ours.

use std::collections::BTreeSet;

use super::audit;
use super::condition::{self, Condition};
use super::expression::{Meaning, action, among, comparison, exists, not_true, written};
use super::modifier::{Base64, Modifiers};
use super::source::{LogSource, Subject, View};
use super::value::{Asked, Encoding, Pattern, Way, base64, base64_at_any_offset};
use crate::ast::{Expr, Literal, Operand, Operator};
use crate::check::check;
use crate::definitions::Definitions;
use crate::diagnostic::{Problem, Span};
use crate::field::Type;
use crate::interest::{ReadInterest, reads};
use crate::network::Network;
use crate::suggest::did_you_mean;
use crate::text::mistake_in;
use crate::yaml::{Key, Node, Tree};
use crate::{EventKind, Field, KindSet, literal};

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

struct Reader<'a> {
    /// The text of the whole file.
    file: &'a str,
    source: LogSource,
    problems: Vec<Problem>,
    lacks: Vec<String>,
    /// The kinds of the searches so far.
    kinds: KindSet,
    /// Whether each search says of which kind it is, since there are several.
    guards: bool,
    /// Whether it is under a `not` that what is read keeps the rule from firing.
    unwanted: bool,
    /// Values so far, those of a search counted each time that the condition names it.
    taken: usize,
}

/// Values that a rule may have, those of a search counted each time that the condition names it.
const MAX_VALUES: usize = 200_000;

/// What a rule lacks that is told one by one.
const MAX_LACKS: usize = 20;

/// A search: its name, and what it looks for.
type Search<'n> = (&'n Key, &'n Node);

impl Reader<'_> {
    fn error(&mut self, span: Span, message: impl Into<String>) {
        self.problems.push(Problem::error(span, message));
    }

    /// What it asks for is not told. A rule then finds less; where it would keep the rule from firing, more.
    fn lack(&mut self, what: String) -> Meaning {
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

    /// Reads what is under a `not`.
    fn under_not<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
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
        let reads_all = node.is_some_and(|node| reads(&node, true) == ReadInterest::All);
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
                Meaning::all(parts)
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
        let mut any = Vec::new();
        for record in &records {
            any.push(match audit::record(record) {
                // Of several types those are meant that have such fields.
                Some(view) if records.len() > 1 && !audit::has_all(view, &fields) => Meaning::Never,
                Some(view) => self.record(node, view),
                None => self.lack(format!("records of type {record} are not told by the sensor")),
            });
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
                Meaning::all(all)
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

    /// One field and what its value must be.
    fn entry(&mut self, key: &Key, value: &Node, view: &'static View) -> Meaning {
        let mut names = key.name.split('|');
        let name = names.next().unwrap_or_default();
        let modifiers = match Modifiers::read(names, key.span) {
            Ok(modifiers) => modifiers,
            Err(problem) => {
                self.problems.push(problem);
                return Meaning::Never;
            }
        };
        let Some(values) = self.values(value) else { return Meaning::Never };
        if modifiers.negated {
            return self.under_not(|reader| reader.compared(key, name, &values, &modifiers, view)).not();
        }
        self.compared(key, name, &values, &modifiers, view)
    }

    /// What is asked of a field's values, but for `neq`.
    fn compared(
        &mut self,
        key: &Key,
        name: &str,
        values: &[(Option<&str>, Span)],
        modifiers: &Modifiers,
        view: &'static View,
    ) -> Meaning {
        let subject = view.fields.iter().find(|(field, _)| *field == name).map(|(_, subject)| *subject);
        match subject {
            // Words without a field are looked for anywhere.
            None if name.is_empty() => {
                if let Some(modifier) = modifiers.of_number().or(modifiers.exists.then_some("exists")) {
                    return self.refuse(modifier, "words without a field", key.span);
                }
                let any = modifiers.expression.is_none();
                let modifiers = Modifiers { any_before: any, any_after: any, ..modifiers.clone() };
                self.texts(view.keywords.name(), values, &modifiers, Compared::Text)
            }
            None if matches!(self.source, LogSource::Audit) && audit::OTHER_FIELDS.contains(&name) => {
                self.lack(format!("`{name}` of auditd's records is not told by the sensor"))
            }
            None => {
                let known = view.fields.iter().map(|(field, _)| *field);
                let problem = Problem::error(key.span, format!("{} has no field `{name}`", view.name))
                    .help(format!("its fields are {}", known.clone().collect::<Vec<_>>().join(", ")))
                    .maybe_help(did_you_mean(name, known));
                self.problems.push(problem);
                Meaning::Never
            }
            Some(Subject::Lacking(why)) => self.lack(format!("`{name}` of {}: {why}", view.name)),
            Some(Subject::Either(one, other)) => {
                let any = [one, other]
                    .map(|field| self.subject(name, Subject::Field(field), values, modifiers, key.span));
                Meaning::any(any)
            }
            Some(subject) => self.subject(name, subject, values, modifiers, key.span),
        }
    }

    /// Complains of a modifier that a field cannot have.
    fn refuse(&mut self, modifier: &str, what: &str, span: Span) -> Meaning {
        self.error(span, format!("`{modifier}` cannot be used on {what}"));
        Meaning::Never
    }

    /// The values of a field, each with its place; nothing is one too.
    fn values<'n>(&mut self, node: &'n Node) -> Option<Vec<(Option<&'n str>, Span)>> {
        let items = match &node.value {
            Tree::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut values = Vec::new();
        for item in items {
            match &item.value {
                Tree::Scalar(text) => values.push((Some(text.as_str()), item.span)),
                Tree::Null => values.push((None, item.span)),
                Tree::Sequence(_) | Tree::Mapping(_) => {
                    self.error(item.span, format!("expected a value, found {}", item.describe()));
                    return None;
                }
            }
        }
        if values.is_empty() {
            self.error(node.span, "this list has no values");
            return None;
        }
        self.taken += values.len();
        if self.taken > MAX_VALUES {
            let message = format!(
                "this rule has more than {MAX_VALUES} values, counted each time that they are asked for"
            );
            self.error(node.span, message);
            return None;
        }
        Some(values)
    }

    fn subject(
        &mut self,
        name: &str,
        subject: Subject,
        values: &[(Option<&str>, Span)],
        modifiers: &Modifiers,
        span: Span,
    ) -> Meaning {
        let Ok(field_name) = subject.name() else { return Meaning::Never };
        let is_text = match subject {
            Subject::Field(field) => matches!(field.value_type(), Type::Str | Type::List),
            Subject::Argument(_) => true,
            _ => false,
        };
        let of_another_type = if is_text { modifiers.of_number() } else { modifiers.of_text() };
        let is_allowed = match subject {
            // A beginning of an address is a network, and hashes stand behind the name of their kind.
            Subject::Field(field) if field.value_type() == Type::Ip => of_another_type == Some("startswith"),
            Subject::Hash(_) => of_another_type == Some("contains"),
            _ => false,
        };
        let is_number = matches!(subject, Subject::User(_))
            || matches!(subject, Subject::Field(field) if field.value_type() == Type::Int);
        let of_number = modifiers.compares.map(|_| "gt, gte, lt or lte").filter(|_| !is_number && !is_text);
        if let Some(modifier) = of_another_type.filter(|_| !is_allowed).or(of_number) {
            let what = if is_text { "this field, which is a text" } else { "this field, which is no text" };
            return self.refuse(modifier, what, span);
        }
        let is_made_up = matches!(
            subject,
            Subject::SystemCall | Subject::AuditKey | Subject::Action(_) | Subject::Initiated
        );
        if is_made_up && (modifiers.exists || values.iter().any(|(value, _)| value.is_none())) {
            return self.lack(format!("whether `{name}` is there is not told by the sensor"));
        }
        if modifiers.exists {
            return self.exists(&field_name, values);
        }
        let parts = values.iter().map(|(value, span)| match value {
            // What is null is not there.
            None => Ok(Meaning::Asks(exists(&field_name, true)).not()),
            Some(text) => Err((*text, *span)),
        });
        let (absent, texts): (Vec<_>, Vec<_>) = parts.partition(Result::is_ok);
        let mut any: Vec<Meaning> = absent.into_iter().flatten().collect();
        let texts: Vec<(Option<&str>, Span)> =
            texts.into_iter().filter_map(Result::err).map(|(text, span)| (Some(text), span)).collect();
        if !texts.is_empty() {
            any.push(match subject {
                Subject::Field(field) => self.field(field, &texts, modifiers, span),
                Subject::Argument(_) => self.texts(&field_name, &texts, modifiers, Compared::Text),
                Subject::User(field) => self.users(field, &texts, modifiers),
                Subject::Hash(field) => self.hashes(field, &texts),
                Subject::Initiated => self.initiated(&texts),
                Subject::Action(actions) => self.actions(name, actions, &texts),
                Subject::SystemCall => self.system_calls(&texts),
                Subject::AuditKey => self.keys(&texts),
                Subject::Either(..) | Subject::Lacking(_) => Meaning::Never,
            });
        }
        if modifiers.all { Meaning::all(any) } else { Meaning::any(any) }
    }

    fn exists(&mut self, field: &str, values: &[(Option<&str>, Span)]) -> Meaning {
        match values {
            [(Some(value), _)] if value.eq_ignore_ascii_case("true") => Meaning::Asks(exists(field, true)),
            [(Some(value), _)] if value.eq_ignore_ascii_case("false") => Meaning::Asks(exists(field, false)),
            [(_, span), ..] => {
                self.error(*span, "`exists` is true or false");
                Meaning::Never
            }
            [] => Meaning::Never,
        }
    }

    fn field(
        &mut self,
        field: Field,
        values: &[(Option<&str>, Span)],
        modifiers: &Modifiers,
        span: Span,
    ) -> Meaning {
        match field.value_type() {
            Type::Int => self.numbers(field, values, modifiers),
            Type::Ip => self.addresses(field, values, modifiers),
            Type::Str | Type::List if modifiers.compares.is_none() && !modifiers.cidr => {
                self.texts(field.name(), values, modifiers, Compared::of(field))
            }
            Type::Str | Type::List | Type::Bool => {
                let what = if modifiers.cidr { "no address" } else { "no number" };
                self.error(span, format!("this field is {what}"));
                Meaning::Never
            }
        }
    }

    fn numbers(&mut self, field: Field, values: &[(Option<&str>, Span)], modifiers: &Modifiers) -> Meaning {
        let mut numbers = Vec::new();
        for (value, span) in values {
            match literal::number(value.unwrap_or_default()) {
                Ok(number) => numbers.push(number.to_string()),
                Err(_) => {
                    self.error(
                        *span,
                        format!("`{}` is no number, and this field is one", value.unwrap_or_default()),
                    );
                    return Meaning::Never;
                }
            }
        }
        numbers_are(field, numbers, modifiers)
    }

    fn addresses(&mut self, field: Field, values: &[(Option<&str>, Span)], modifiers: &Modifiers) -> Meaning {
        let mut networks = Vec::new();
        for (value, span) in values {
            let text = value.unwrap_or_default();
            let begins = modifiers.any_after && !modifiers.any_before || text.ends_with('*');
            let network = if begins { begins_as(text.trim_end_matches('*')) } else { Some(text.to_owned()) };
            match network.filter(|network| Network::parse(network).is_some()) {
                Some(network) => networks.push(network),
                None => {
                    let problem = Problem::error(*span, format!("`{text}` is no address and no network"));
                    self.problems
                        .push(problem.help("write an address, or `|cidr` and a network such as 10.0.0.0/8"));
                    return Meaning::Never;
                }
            }
        }
        Meaning::Asks(among(field.name(), Operator::In, Operator::In, networks, true))
    }

    /// Users are told by their numbers.
    fn users(&mut self, field: Field, values: &[(Option<&str>, Span)], modifiers: &Modifiers) -> Meaning {
        let (mut numbers, mut is_unset) = (Vec::new(), false);
        for (value, _) in values {
            let text = value.unwrap_or_default();
            match literal::number(text) {
                // Audit's number for nobody.
                Ok(-1 | 4_294_967_295) if field == Field::UserAuditId => is_unset = true,
                Ok(number) => numbers.push(number.to_string()),
                Err(_) if text == "root" => numbers.push("0".to_owned()),
                Err(_) => {
                    self.lack(format!(
                        "users are told by number, and `{text}` has not the same one on each host"
                    ));
                }
            }
        }
        let unset = is_unset.then(|| Meaning::Asks(exists(field.name(), false)));
        let known = (!numbers.is_empty()).then(|| numbers_are(field, numbers, modifiers));
        match Meaning::any(unset.into_iter().chain(known)) {
            Meaning::Never if self.unwanted => Meaning::Untold,
            meaning => meaning,
        }
    }

    fn hashes(&mut self, field: Field, values: &[(Option<&str>, Span)]) -> Meaning {
        let mut hashes = Vec::new();
        for (value, _) in values {
            let text = value.unwrap_or_default().trim_matches('*');
            let (kind, hash) = text.split_once('=').unwrap_or(("SHA256", text));
            if kind.eq_ignore_ascii_case("sha256") {
                hashes.push(hash.to_ascii_lowercase());
            } else {
                self.lack(format!("only SHA-256 of programs is known, not {kind}"));
            }
        }
        if hashes.is_empty() {
            return if self.unwanted { Meaning::Untold } else { Meaning::Never };
        }
        if self.unwanted {
            self.lack(
                "the hash of a program that runs for the first time is known a little later".to_owned(),
            );
        } else {
            // It is known when the program begins, or a little later.
            self.kinds = self.kinds.union(KindSet::of(&[EventKind::ProcessHash]));
        }
        Meaning::Asks(among(field.name(), Operator::Equal, Operator::In, hashes, true))
    }

    fn initiated(&mut self, values: &[(Option<&str>, Span)]) -> Meaning {
        let direction = |meant: &str| {
            Meaning::Asks(among(
                Field::NetworkDirection.name(),
                Operator::Equal,
                Operator::In,
                vec![meant.to_owned()],
                true,
            ))
        };
        let mut any = Vec::new();
        for (value, span) in values {
            any.push(match value.unwrap_or_default().to_ascii_lowercase().as_str() {
                "true" => direction("outbound"),
                "false" => direction("inbound"),
                _ => {
                    self.error(*span, "this field is true or false");
                    Meaning::Never
                }
            });
        }
        Meaning::any(any)
    }

    fn actions(
        &mut self,
        name: &str,
        known: &[(&str, &'static [&'static str])],
        values: &[(Option<&str>, Span)],
    ) -> Meaning {
        let mut any = Vec::new();
        for (value, span) in values {
            let text = value.unwrap_or_default();
            any.push(match known.iter().find(|(value, _)| value.eq_ignore_ascii_case(text)) {
                Some((_, [])) => self.lack(format!("`{name}: {text}` is not told by the sensor")),
                Some((_, actions)) => Meaning::Asks(action(actions)),
                None => {
                    let names: Vec<_> = known.iter().map(|(value, _)| *value).collect();
                    let problem = Problem::error(*span, format!("there is no `{name}` of `{text}`"));
                    self.problems.push(problem.help(format!("it is one of {}", names.join(", "))));
                    Meaning::Never
                }
            });
        }
        Meaning::any(any)
    }

    fn system_calls(&mut self, values: &[(Option<&str>, Span)]) -> Meaning {
        let mut any = Vec::new();
        for (value, _) in values {
            let name = value.unwrap_or_default();
            any.push(match audit::system_call(name) {
                Some((kind, actions)) => {
                    self.kinds = self.kinds.union(KindSet::of(&[kind]));
                    Meaning::Asks(action(actions))
                }
                None => self.lack(format!("the system call {name} is not told by the sensor")),
            });
        }
        Meaning::any(any)
    }

    fn keys(&mut self, values: &[(Option<&str>, Span)]) -> Meaning {
        let mut any = Vec::new();
        for (value, _) in values {
            let name = value.unwrap_or_default();
            any.push(match audit::key(name) {
                Some((kind, condition)) => {
                    self.kinds = self.kinds.union(KindSet::of(&[kind]));
                    written(condition)
                }
                None => self.lack(format!("what the key `{name}` stands for, the host's audit rules say")),
            });
        }
        Meaning::any(any)
    }

    /// What is asked of a text.
    fn texts(
        &mut self,
        field: &str,
        values: &[(Option<&str>, Span)],
        modifiers: &Modifiers,
        compared: Compared,
    ) -> Meaning {
        let mut parts = Vec::new();
        for (value, span) in values {
            let Some(patterns) = self.patterns(value.unwrap_or_default(), *span, modifiers) else {
                return Meaning::Never;
            };
            parts.push(patterns);
        }
        if modifiers.expression.is_some() {
            let each = parts.into_iter().flatten().map(|expression| match expression.text() {
                Some(text) => Meaning::Asks(among(
                    field,
                    Operator::Matches,
                    Operator::Matches,
                    vec![text.to_owned()],
                    true,
                )),
                None => Meaning::Never,
            });
            return if modifiers.all { Meaning::all(each) } else { Meaning::any(each) };
        }
        let cased = modifiers.cased || modifiers.base64.is_some();
        if modifiers.expand {
            let lists = parts.iter().flatten().filter_map(Pattern::text);
            return Meaning::any(lists.map(|list| Meaning::Asks(of_list(field, list, modifiers))));
        }
        if modifiers.all {
            let each: Vec<_> = parts.iter().map(|patterns| asked(field, patterns, cased, compared)).collect();
            Meaning::all(each)
        } else {
            asked(field, &parts.concat(), cased, compared)
        }
    }

    /// The patterns that one value stands for.
    fn patterns(&mut self, text: &str, span: Span, modifiers: &Modifiers) -> Option<Vec<Pattern>> {
        if let Some(flags) = &modifiers.expression {
            let expression = if flags.is_empty() { text.to_owned() } else { format!("(?{flags}){text}") };
            // How large it is when compiled is seen where it is loaded.
            if let Some(message) = mistake_in(&expression) {
                self.error(span, message);
                return None;
            }
            return Some(vec![Pattern::literal(expression)]);
        }
        if modifiers.expand {
            let is_name = |name: &&str| {
                !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
            };
            let name = text.strip_prefix('%').and_then(|text| text.strip_suffix('%'));
            let Some(name) = name.filter(is_name) else {
                let problem = Problem::error(span, "`expand` needs a placeholder for the whole value");
                self.problems.push(problem.help("write `%name%`, and define the list `name` under `lists:`"));
                return None;
            };
            return Some(vec![Pattern::literal(name.to_owned())]);
        }
        let pattern = Pattern::parse(text);
        let dashed = if modifiers.windash { pattern.with_dashes() } else { vec![pattern] };
        let mut patterns = Vec::new();
        for pattern in dashed {
            let Some(kind) = modifiers.base64 else {
                patterns.push(pattern);
                continue;
            };
            let Some(text) = pattern.text() else {
                self.error(span, "a text that is looked for in Base64 has no wildcards");
                return None;
            };
            let bytes = modifiers.encoding.unwrap_or(Encoding::Utf8).bytes(text);
            patterns.extend(match kind {
                Base64::Whole => vec![Pattern::literal(base64(&bytes))],
                Base64::AtAnyOffset if bytes.len() < 2 => {
                    self.error(span, "this text is too short to be looked for in Base64");
                    return None;
                }
                Base64::AtAnyOffset => {
                    base64_at_any_offset(&bytes).into_iter().map(Pattern::literal).collect()
                }
            });
        }
        let with_any = |pattern: Pattern| pattern.with_any(modifiers.any_before, modifiers.any_after);
        Some(patterns.into_iter().map(with_any).collect())
    }
}

/// A number is one of these, or compares so with one of them.
fn numbers_are(field: Field, numbers: Vec<String>, modifiers: &Modifiers) -> Meaning {
    let one = modifiers.compares.unwrap_or(Operator::Equal);
    if one == Operator::Equal && !modifiers.all {
        return Meaning::Asks(among(field.name(), one, Operator::In, numbers, false));
    }
    let each =
        numbers.into_iter().map(|number| Meaning::Asks(among(field.name(), one, one, vec![number], false)));
    if modifiers.all { Meaning::all(each) } else { Meaning::any(each) }
}

/// What a text is that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Text,
    /// The path of a program.
    Program,
    /// The path of a file that something was done to. What begins as one is compared as it is: on Linux one in other letters
    /// is another, and the sensor is told which files to watch.
    Path,
}

impl Compared {
    fn of(field: Field) -> Compared {
        match field {
            Field::FilePath | Field::FileOriginalPath => Compared::Path,
            Field::ProcessExecutable | Field::ProcessParentExecutable => Compared::Program,
            _ => Compared::Text,
        }
    }
}

/// Folders that are links on the distributions of today, with where they lead: the sensor tells paths as the kernel has them.
const LINKS: [(&str, &str); 6] = [
    ("/var/run/", "/run/"),
    ("/var/lock/", "/run/lock/"),
    ("/bin/", "/usr/bin/"),
    ("/sbin/", "/usr/sbin/"),
    ("/lib/", "/usr/lib/"),
    ("/lib64/", "/usr/lib64/"),
];

/// A path, and where it leads through links.
fn with_links(path: String) -> Vec<String> {
    let led = |(link, target): &(&str, &str)| path.strip_prefix(link).map(|rest| format!("{target}{rest}"));
    let target = LINKS.iter().find_map(led);
    [path].into_iter().chain(target).collect()
}

/// What patterns ask of a field, in as few comparisons as there are ways to compare.
fn asked(field: &str, patterns: &[Pattern], cased: bool, compared: Compared) -> Meaning {
    let all: Vec<Asked> = patterns.iter().map(Pattern::asked).collect();
    let mut any = Vec::new();
    if all.contains(&Asked::Any) {
        any.push(Meaning::Asks(exists(field, true)));
    }
    for way in Way::ALL {
        // With one value, with several, and with letters in either case.
        let (one, many, ignoring) = match way {
            Way::Equals => (Operator::Equal, Operator::In, Operator::IEquals),
            Way::StartsWith => (Operator::StartsWith, Operator::StartsWith, Operator::IStartsWith),
            Way::EndsWith => (Operator::EndsWith, Operator::EndsWith, Operator::IEndsWith),
            Way::Contains => (Operator::Contains, Operator::Contains, Operator::IContains),
            Way::Like => (Operator::Like, Operator::Like, Operator::ILike),
        };
        let texts = all.iter().filter_map(|asked| match asked {
            Asked::That(own, text) if *own == way => Some(text.clone()),
            _ => None,
        });
        let mut texts: Vec<String> = texts.collect();
        // What is known by its beginning is known by where that leads.
        let is_from_beginning = !matches!(way, Way::EndsWith | Way::Contains);
        if compared != Compared::Text && is_from_beginning {
            texts = texts.into_iter().flat_map(with_links).collect();
        }
        let mut seen = BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        let has_letters = texts.iter().any(|text| text.bytes().any(|byte| byte.is_ascii_alphabetic()));
        let are_paths =
            compared == Compared::Path && is_from_beginning && texts.iter().all(|text| text.starts_with('/'));
        if !texts.is_empty() {
            let (one, many) =
                if cased || are_paths || !has_letters { (one, many) } else { (ignoring, ignoring) };
            // A word may be the name of a list of ours, which it would stand for among others.
            let (words, others): (Vec<_>, Vec<_>) = texts.into_iter().partition(|text| may_be_a_list(text));
            if !others.is_empty() {
                any.push(Meaning::Asks(among(field, one, many, others, true)));
            }
            any.extend(
                words.into_iter().map(|word| Meaning::Asks(among(field, one, many, vec![word], true))),
            );
        }
    }
    Meaning::any(any)
}

/// Whether a list may be called so.
fn may_be_a_list(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic())
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// A comparison with the members of a list of ours.
fn of_list(field: &str, list: &str, modifiers: &Modifiers) -> Expr {
    let operator = match (modifiers.any_before, modifiers.any_after, modifiers.cased) {
        (true, true, true) => Operator::Contains,
        (true, true, false) => Operator::IContains,
        (true, false, true) => Operator::EndsWith,
        (true, false, false) => Operator::IEndsWith,
        (false, true, true) => Operator::StartsWith,
        (false, true, false) => Operator::IStartsWith,
        (false, false, true) => Operator::In,
        (false, false, false) => Operator::IEquals,
    };
    // A word without quotes is a list, or a mistake.
    let list = Literal { text: list.to_owned(), quoted: false, span: Span::default() };
    comparison(field, operator, Operand::Many(vec![list], Span::default()))
}

/// The network of all addresses that begin so: with whole parts, such as `10.` or `fe80:`.
fn begins_as(text: &str) -> Option<String> {
    if let Some(parts) = text.strip_suffix('.') {
        let count = parts.split('.').count();
        return (count < 4).then(|| format!("{parts}{}/{}", ".0".repeat(4 - count), count * 8));
    }
    let parts = text.strip_suffix(':')?;
    let count = parts.split(':').count();
    (count < 8 && !parts.contains("::")).then(|| format!("{parts}::/{}", count * 16))
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
