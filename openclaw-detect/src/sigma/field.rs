//! One field of a search of a Sigma rule, and what its value must be.

use super::audit;
use super::detection::{MAX_VALUES, Reader};
use super::expression::{Meaning, action, among, exists, written};
use super::modifier::Modifiers;
use super::source::{LogSource, Subject, View};
use super::text::Compared;
use crate::ast::Operator;
use crate::diagnostic::{Problem, Span};
use crate::field::Type;
use crate::network::Network;
use crate::suggest::did_you_mean;
use crate::yaml::{Key, Node, Tree};
use crate::{EventKind, Field, KindSet, literal};

/// A value, and its place.
pub(super) type Value<'n> = (&'n str, Span);

/// The values of a field.
struct Values<'n> {
    texts: Vec<Value<'n>>,
    /// Whether nothing is among them.
    has_null: bool,
}

impl Reader<'_> {
    /// One field and what its value must be.
    pub(super) fn entry(&mut self, key: &Key, value: &Node, view: &'static View) -> Meaning {
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
        values: &Values<'_>,
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
                self.texts(view.keywords.name(), &values.texts, &modifiers, Compared::Text)
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
            Some(Subject::Either(_, own)) if modifiers.exists => {
                self.subject(name, Subject::Field(own), values, modifiers, key.span)
            }
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

    fn values<'n>(&mut self, node: &'n Node) -> Option<Values<'n>> {
        let items = match &node.value {
            Tree::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut values = Values { texts: Vec::new(), has_null: false };
        for item in items {
            match &item.value {
                Tree::Scalar(text) => values.texts.push((text, item.span)),
                Tree::Null => values.has_null = true,
                Tree::Sequence(_) | Tree::Mapping(_) => {
                    self.error(item.span, format!("expected a value, found {}", item.describe()));
                    return None;
                }
            }
        }
        if items.is_empty() {
            self.error(node.span, "this list has no values");
            return None;
        }
        self.taken += items.len();
        if self.taken > MAX_VALUES {
            let message = format!(
                "this rule has more than {MAX_VALUES} values, counted each time that they are asked for"
            );
            self.error(node.span, message);
            return None;
        }
        Some(values)
    }

    /// What is asked of what a field is here.
    fn subject(
        &mut self,
        name: &str,
        subject: Subject,
        values: &Values<'_>,
        modifiers: &Modifiers,
        span: Span,
    ) -> Meaning {
        if let Some((modifier, what)) = unfit(subject, modifiers) {
            return self.refuse(modifier, what, span);
        }
        let Some(field) = subject.field() else {
            if modifiers.exists || values.has_null {
                return self.lack(format!("whether `{name}` is there is not told by the sensor"));
            }
            return self.made_up(name, subject, &values.texts);
        };
        if modifiers.exists {
            return self.exists(&field, &values.texts, span);
        }
        // What is null is not there.
        let absent = values.has_null.then(|| Meaning::Asks(exists(&field, false)));
        let texts = (!values.texts.is_empty()).then(|| match subject {
            Subject::Field(field) => self.field(field, &values.texts, modifiers, span),
            Subject::User(field) => self.users(field, &values.texts, modifiers),
            Subject::Hash(field) => self.hashes(field, &values.texts),
            _ => self.texts(&field, &values.texts, modifiers, Compared::Text),
        });
        let parts = absent.into_iter().chain(texts);
        if modifiers.all { Meaning::all(parts) } else { Meaning::any(parts) }
    }

    /// What is asked of what is no field here, but is told by others.
    fn made_up(&mut self, name: &str, subject: Subject, values: &[Value<'_>]) -> Meaning {
        match subject {
            Subject::Initiated => self.initiated(values),
            Subject::Action(actions) => self.actions(name, actions, values),
            Subject::SystemCall => self.system_calls(values),
            Subject::AuditKey => self.keys(values),
            _ => Meaning::Never,
        }
    }

    fn exists(&mut self, field: &str, values: &[Value<'_>], span: Span) -> Meaning {
        match values {
            [(value, _)] if value.eq_ignore_ascii_case("true") => Meaning::Asks(exists(field, true)),
            [(value, _)] if value.eq_ignore_ascii_case("false") => Meaning::Asks(exists(field, false)),
            _ => {
                self.error(values.first().map_or(span, |(_, span)| *span), "`exists` is true or false");
                Meaning::Never
            }
        }
    }

    fn field(&mut self, field: Field, values: &[Value<'_>], modifiers: &Modifiers, span: Span) -> Meaning {
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

    fn numbers(&mut self, field: Field, values: &[Value<'_>], modifiers: &Modifiers) -> Meaning {
        let mut numbers = Vec::new();
        for (value, span) in values {
            match literal::number(value) {
                Ok(number) => numbers.push(number.to_string()),
                Err(_) => {
                    self.error(*span, format!("`{}` is no number, and this field is one", value));
                    return Meaning::Never;
                }
            }
        }
        numbers_are(field, numbers, modifiers)
    }

    fn addresses(&mut self, field: Field, values: &[Value<'_>], modifiers: &Modifiers) -> Meaning {
        let mut networks = Vec::new();
        for (text, span) in values {
            let begins = modifiers.any_after && !modifiers.any_before || text.ends_with('*');
            let network =
                if begins { begins_as(text.trim_end_matches('*')) } else { Some((*text).to_owned()) };
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
    fn users(&mut self, field: Field, values: &[Value<'_>], modifiers: &Modifiers) -> Meaning {
        let (mut numbers, mut is_unset) = (Vec::new(), false);
        for (value, _) in values {
            match literal::number(value) {
                // Audit's number for nobody.
                Ok(-1 | 4_294_967_295) if field == Field::UserAuditId && modifiers.compares.is_none() => {
                    is_unset = true;
                }
                Ok(number) => numbers.push(number.to_string()),
                Err(_) if *value == "root" => numbers.push("0".to_owned()),
                Err(_) => {
                    self.lack(format!(
                        "users are told by number, and `{value}` has not the same one on each host"
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

    fn hashes(&mut self, field: Field, values: &[Value<'_>]) -> Meaning {
        let mut hashes = Vec::new();
        for (value, _) in values {
            let text = value.trim_matches('*');
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

    fn initiated(&mut self, values: &[Value<'_>]) -> Meaning {
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
            any.push(match value.to_ascii_lowercase().as_str() {
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
        values: &[Value<'_>],
    ) -> Meaning {
        let mut any = Vec::new();
        for (text, span) in values {
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

    fn system_calls(&mut self, values: &[Value<'_>]) -> Meaning {
        let mut any = Vec::new();
        for (name, _) in values {
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

    fn keys(&mut self, values: &[Value<'_>]) -> Meaning {
        let mut any = Vec::new();
        for (name, _) in values {
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

/// The modifier that a field cannot have, and what the field is.
fn unfit(subject: Subject, modifiers: &Modifiers) -> Option<(&'static str, &'static str)> {
    let value_type = match subject {
        Subject::Field(field) => Some(field.value_type()),
        Subject::Argument(_) => Some(Type::Str),
        Subject::User(_) => Some(Type::Int),
        _ => None,
    };
    if matches!(value_type, Some(Type::Str | Type::List)) {
        return modifiers.of_number().map(|modifier| (modifier, "this field, which is a text"));
    }
    let of_text = modifiers.of_text().filter(|modifier| match (subject, value_type) {
        // Hashes stand behind the name of their kind, and the beginning of an address is a network.
        (Subject::Hash(_), _) => *modifier != "contains",
        (_, Some(Type::Ip)) => *modifier != "startswith",
        _ => true,
    });
    let of_number = modifiers.of_number().filter(|_| match value_type {
        Some(Type::Int) => modifiers.cidr,
        Some(Type::Ip) => modifiers.compares.is_some(),
        _ => true,
    });
    of_text.or(of_number).map(|modifier| (modifier, "this field, which is no text"))
}
