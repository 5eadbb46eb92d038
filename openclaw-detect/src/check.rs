//! Does the condition make sense? Fields exist, operators and values fit their types, lists are known; what
//! does is made ready for evaluation.

use std::sync::Arc;

use crate::ast::{Expr, Literal, Operand, Operator, Test, Word};
use crate::compile::{Comparison, Matcher, Node};
use crate::contradiction;
use crate::definitions::{Definitions, MAX_COMPARISONS, MAX_DEPTH};
use crate::diagnostic::{Level, Problem, Span};
use crate::field::Type;
use crate::lists::{Lists, MAX_MEMBERS};
use crate::literal;
use crate::network::{AddressSet, Network};
use crate::shared::Comparison as Shape;
use crate::suggest::did_you_mean;
use crate::text::{Pattern, TextMatcher, Wildcard, regular_expression};
use crate::{EventKind, Field};

/// The condition made ready, or every mistake in it. Warnings come with either.
pub(crate) fn check(expr: &Expr, definitions: &Definitions) -> (Option<Node>, Vec<Problem>) {
    let mut checker =
        Checker { definitions, lists: &definitions.lists, comparisons: 0, problems: Vec::new() };
    let node = checker.expr(expr);
    if checker.comparisons > MAX_COMPARISONS {
        let message = format!("with its macros this condition has more than {MAX_COMPARISONS} comparisons");
        checker.problems.push(Problem::error(Span::default(), message).help("put long lists under `lists:`"));
    }
    if let Some(node) = &node
        && let Err(message) = definitions.shared.take_comparisons(node.comparisons())
    {
        checker.problems.push(Problem::error(Span::default(), message).help("put long lists under `lists:`"));
    }
    if node.is_some() && definitions.depth(expr) > MAX_DEPTH {
        let message = format!(
            "the parts of this condition, with its macros, lie more than {MAX_DEPTH} deep in one another"
        );
        checker.problems.push(Problem::error(Span::default(), message).help("make it of fewer macros"));
    }
    let (mut problems, warnings): (Vec<_>, Vec<_>) =
        checker.problems.into_iter().partition(|problem| problem.level == Level::Error);
    let failed = !problems.is_empty();
    problems.extend(warnings);
    problems.truncate(MAX_PROBLEMS);
    (node.filter(|_| !failed), problems)
}

/// Regular expressions and patterns of one comparison: each is looked for by itself.
const MAX_PATTERNS: usize = 1000;

/// Mistakes of one condition that are told.
const MAX_PROBLEMS: usize = 100;

/// Wrong values of one comparison that are told one by one.
const MAX_WRONG: usize = 20;

struct Checker<'a> {
    definitions: &'a Definitions,
    /// Those that macros have brought so far.
    comparisons: usize,
    lists: &'a Lists,
    problems: Vec<Problem>,
}

/// A value on the right side, and the list that it comes from, where it does.
#[derive(Clone, Copy)]
struct Item<'a> {
    text: &'a str,
    quoted: bool,
    span: Span,
    list: Option<&'a str>,
}

impl Item<'_> {
    /// A mistake in this value, said of the list where it comes from one.
    fn problem(&self, message: String) -> Problem {
        match self.list {
            Some(list) => Problem::error(self.span, format!("in the list `{list}`: {message}")),
            None => Problem::error(self.span, message),
        }
    }
}

/// There is no field of that name.
pub(crate) fn unknown_field(name: &str, span: Span) -> Problem {
    let names = Field::ALL.iter().flat_map(|f| std::iter::once(f.name()).chain(f.aliases().iter().copied()));
    Problem::error(span, format!("unknown field `{name}`"))
        .help("`openclaw rules fields` lists the fields")
        .maybe_help(did_you_mean(name, names))
}

const fn article(value_type: Type) -> &'static str {
    match value_type {
        Type::Str => "a text",
        Type::Int => "a number",
        Type::Bool => "true or false",
        Type::Ip => "an address",
        Type::List => "a list of texts",
    }
}

impl<'a> Checker<'a> {
    fn expr(&mut self, expr: &'a Expr) -> Option<Node> {
        match expr {
            Expr::And(parts) => {
                let nodes = self.parts(parts)?;
                self.problems.extend(contradiction::find(parts, &nodes, &self.definitions.shared));
                Some(Node::and(nodes))
            }
            Expr::Or(parts) => self.parts(parts).map(Node::or),
            Expr::Not(inner) => self.expr(inner).map(|inner| inner.negate_if(true)),
            Expr::Test(test) => self.test(test),
            Expr::Macro(name) => self.named(name),
        }
    }

    /// What a macro stands for.
    fn named(&mut self, name: &Word) -> Option<Node> {
        let Some(found) = self.definitions.get_macro(&name.text) else {
            let message = match Field::from_name(&name.text) {
                Some(_) => format!("expected an operator after `{}`", name.text),
                None => format!("there is no macro `{}`", name.text),
            };
            let help = self.definitions.shared.did_you_mean(&name.text, self.definitions.macro_names());
            self.problems.push(
                Problem::error(name.span, message)
                    .help("a comparison is a field, an operator and a value, such as process.name == \"nc\"")
                    .maybe_help(help),
            );
            return None;
        };
        // A mistake in the macro is told where it is defined.
        self.comparisons += found.comparisons;
        if self.comparisons > MAX_COMPARISONS {
            return None;
        }
        found.node.clone()
    }

    /// All parts are checked, also after a mistake, so that all mistakes are told at once.
    fn parts(&mut self, parts: &'a [Expr]) -> Option<Vec<Node>> {
        let nodes: Vec<Option<Node>> = parts.iter().map(|part| self.expr(part)).collect();
        nodes.into_iter().collect()
    }

    fn test(&mut self, test: &'a Test) -> Option<Node> {
        self.comparisons += 1;
        let (name, number) = test.subject();
        let Some(field) = Field::from_name(name) else {
            self.problems.push(unknown_field(name, test.field.span));
            return None;
        };
        let number = match number {
            Some(number) => Some(self.item_number(test, field, number)?),
            None => None,
        };
        if test.operator == Operator::Exists {
            return Some(Node::Exists(field).negate_if(test.negated));
        }
        let value_type = if number.is_some() { Type::Str } else { field.value_type() };
        if !fits(test.operator, value_type) {
            let allowed: Vec<_> = Operator::NAMES
                .iter()
                .copied()
                .filter(|name| Operator::from_name(name).is_some_and(|o| fits(o, value_type)))
                .collect();
            self.problems.push(
                Problem::error(
                    test.operator_span,
                    format!(
                        "`{}` cannot be used on `{}`, which is {}",
                        test.operator.name(),
                        test.field.text,
                        article(value_type)
                    ),
                )
                .help(format!("use one of {}", allowed.join(" "))),
            );
            return None;
        }
        let matcher = match (self.matcher(test, field)?, number) {
            (Matcher::Text(text), Some(number)) => Matcher::Item(number, text),
            (matcher, _) => matcher,
        };
        let negated = test.negated != (test.operator == Operator::NotEqual);
        Some(Node::Test(field, matcher).negate_if(negated))
    }

    /// The number of an item of a list.
    fn item_number(&mut self, test: &Test, field: Field, number: &str) -> Option<u16> {
        let problem = |message: String| Problem::error(test.field.span, message);
        let problem = match number.parse() {
            _ if field.value_type() != Type::List => {
                let message =
                    format!("`{}` is {}, which has no items", field.name(), article(field.value_type()));
                problem(message).help(format!("write `{}`", field.name()))
            }
            _ if test.operator == Operator::Exists => problem("`exists` asks for whole fields".to_owned())
                .help("compare how many there are, such as `process.args_count > 2`"),
            Ok(number) => return Some(number),
            Err(_) => problem(format!(
                "there is no item of number {number}: they are counted from 0 to {}",
                u16::MAX
            )),
        };
        self.problems.push(problem);
        None
    }

    /// What the field's value must be. With lists it is what other comparisons with the same lists were made into.
    fn matcher(&mut self, test: &'a Test, field: Field) -> Option<Matcher> {
        let shape = self.names_a_list(test).then(|| Shape {
            operator: test.operator,
            value_type: field.value_type(),
            operand: test.operand.to_string(),
        });
        if let Some(known) = shape.as_ref().and_then(|shape| self.definitions.shared.matcher(shape)) {
            return Some(known);
        }
        let (items, lists) = self.items(test, field)?;
        let bytes = items.iter().map(|item| item.text.len()).sum();
        if shape.is_some()
            && let Err(message) = self.definitions.shared.take_members(items.len() + lists, bytes)
        {
            self.problems.push(Problem::error(test.field.span, message));
            return None;
        }
        if field == Field::EventAction {
            self.known_actions(&items);
        }
        let matcher = match field.value_type() {
            Type::Str | Type::List => Matcher::Text(Arc::new(self.text(test, &items)?)),
            Type::Int => self.number(test, &items)?,
            Type::Bool => self.bool(&items)?,
            Type::Ip => self.addresses(test, &items)?,
        };
        if let Some(shape) = shape {
            self.definitions.shared.keep(shape, matcher.clone());
        }
        Some(matcher)
    }

    /// Whether a list is among the values on the right side.
    fn names_a_list(&self, test: &Test) -> bool {
        expands_lists(test) && test.operand.literals().iter().any(|one| self.lists.contains(&one.text))
    }

    /// The values on the right side, lists replaced by their members; and how many lists these are of.
    fn items(&mut self, test: &'a Test, field: Field) -> Option<(Vec<Item<'a>>, usize)> {
        let expands = expands_lists(test);
        if let Operand::Many(_, span) = &test.operand
            && is_comparison(test.operator)
        {
            let message = format!("`{}` compares with one value", test.operator.name());
            let help = "write `in` or `not in` for a list of values";
            self.problems.push(Problem::error(*span, message).help(help));
            return None;
        }
        let (mut items, mut lists) = (Vec::new(), 0);
        for literal in test.operand.literals() {
            if expands && self.lists.contains(&literal.text) {
                let (members, count) = self.lists.members_and_lists(&literal.text);
                lists += count;
                items.extend(members.into_iter().map(|text| Item {
                    text,
                    quoted: true,
                    span: literal.span,
                    list: Some(&literal.text),
                }));
                continue;
            }
            if expands && !self.is_value(literal, field) {
                return None;
            }
            items.push(Item { text: &literal.text, quoted: literal.quoted, span: literal.span, list: None });
        }
        if items.len() > MAX_MEMBERS {
            let message = format!("{} values, more than {MAX_MEMBERS}", items.len());
            self.problems.push(Problem::error(test.field.span, message));
            return None;
        }
        Some((items, lists))
    }

    /// Whether a word that names no list is a value; says so where it most likely is a list's name.
    fn is_value(&mut self, literal: &Literal, field: Field) -> bool {
        let text = &literal.text;
        let name_like = text.chars().all(|c| c.is_alphanumeric() || c == '_')
            && text.chars().next().is_some_and(char::is_alphabetic);
        let near = || self.definitions.shared.did_you_mean(text, self.lists.names());
        let problem = match field.value_type() {
            Type::Ip if Network::parse(text).is_none() => {
                Problem::error(literal.span, format!("`{text}` is no address, no network and no list"))
                    .help("define it under `lists:`, or write an address such as 192.0.2.7 or 10.0.0.0/8")
            }
            Type::Int | Type::Bool if name_like => {
                Problem::error(literal.span, format!("there is no list `{text}`"))
                    .help("define it under `lists:`")
            }
            Type::Str | Type::List if !literal.quoted => {
                Problem::error(literal.span, format!("there is no list `{text}`"))
                    .help(format!("define it under `lists:`, or write \"{text}\" where the text is meant"))
            }
            // A list's name is a plural, or nearly that of a list: `unix_chkpwd` is neither.
            Type::Str | Type::List if name_like && text.contains('_') && field != Field::EventAction => {
                let near = near();
                if near.is_some() || text.ends_with('s') {
                    let message = format!("there is no list `{text}`: taken as a text");
                    self.problems.push(Problem::warning(literal.span, message).maybe_help(near));
                }
                return true;
            }
            _ => return true,
        };
        self.problems.push(problem.maybe_help(near()));
        false
    }

    fn text(&mut self, test: &Test, items: &[Item<'_>]) -> Option<TextMatcher> {
        let operator = test.operator.with_case().unwrap_or(test.operator);
        for item in items {
            if !item.quoted {
                let message = format!("`{}` is {}: texts stand in quotes", test.field.text, "a text");
                let help = match self.lists.contains(item.text) {
                    true => format!("write [{0}] for the members of the list, or \"{0}\"", item.text),
                    false => format!("write \"{}\"", item.text),
                };
                self.problems.push(Problem::error(item.span, message).help(help));
                return None;
            }
            let partial = matches!(
                operator,
                Operator::Contains | Operator::StartsWith | Operator::EndsWith | Operator::Matches
            );
            if partial && item.text.is_empty() {
                let message = format!("`{}` with an empty text is always true", test.operator.name());
                self.problems
                    .push(item.problem(message).help("write `exists` to ask whether the field is there"));
                return None;
            }
        }
        let is_pattern = matches!(operator, Operator::Matches | Operator::Glob | Operator::Like);
        if is_pattern && items.len() > MAX_PATTERNS {
            let message = format!("{} patterns in one comparison, more than {MAX_PATTERNS}", items.len());
            let help = "`contains`, `startswith` and `endswith` take long lists";
            self.problems.push(Problem::error(test.operator_span, message).help(help));
            return None;
        }
        let ignores_case = test.operator.with_case().is_some();
        let small: Vec<String>;
        let items = if ignores_case {
            small = items.iter().map(|item| item.text.to_ascii_lowercase()).collect();
            &items.iter().zip(&small).map(|(item, text)| Item { text, ..*item }).collect::<Vec<_>>()
        } else {
            items
        };
        let shared = &self.definitions.shared;
        let bounded = |pattern: Pattern| shared.take_patterns(pattern.cost).map(|()| pattern.regex);
        let texts = || items.iter().map(|item| Box::from(item.text));
        let matcher = match operator {
            Operator::Contains => match TextMatcher::contains(texts().collect()) {
                Ok(matcher) => matcher,
                Err(message) => {
                    self.problems.push(Problem::error(test.operator_span, message));
                    return None;
                }
            },
            Operator::StartsWith => TextMatcher::starts_with(texts().collect()),
            Operator::EndsWith => TextMatcher::ends_with(texts().collect()),
            Operator::Matches => TextMatcher::Matches(
                self.each(items, |text| regular_expression(text).and_then(bounded))?.into(),
            ),
            Operator::Glob | Operator::Like => {
                let read = |text: &str| {
                    let patterns = match operator {
                        Operator::Glob => Wildcard::glob(text)?,
                        _ => vec![Wildcard::like(text)?],
                    };
                    shared.take_patterns(patterns.len()).map(|()| patterns)
                };
                TextMatcher::Fits(self.each(items, read)?.into_iter().flatten().collect())
            }
            _ => TextMatcher::one_of(texts().collect()),
        };
        Some(if ignores_case { matcher.ignoring_case() } else { matcher })
    }

    fn number(&mut self, test: &Test, items: &[Item<'_>]) -> Option<Matcher> {
        for item in items {
            if item.quoted && item.list.is_none() {
                let message = format!("`{}` is a number: numbers stand without quotes", test.field.text);
                self.problems.push(Problem::error(item.span, message).help(format!("write {}", item.text)));
                return None;
            }
            if literal::duration(item.text).is_some() {
                let message = format!("`{}` is a plain number, not a length of time", test.field.text);
                self.problems.push(item.problem(message).help("write a number or a size, such as 100MB"));
                return None;
            }
            if let Some(other) = Field::from_name(item.text) {
                let message = format!("two fields cannot be compared: `{}` is a field", other.name());
                self.problems.push(item.problem(message).help("write a number"));
                return None;
            }
        }
        let mut numbers = self.each(items, literal::number)?;
        let comparison = match test.operator {
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            Operator::In => {
                numbers.sort_unstable();
                numbers.dedup();
                return Some(Matcher::NumberIn(numbers.into()));
            }
            _ => Comparison::Equal,
        };
        Some(Matcher::Number(comparison, *numbers.first()?))
    }

    fn bool(&mut self, items: &[Item<'_>]) -> Option<Matcher> {
        let item = items.first()?;
        if item.text.eq_ignore_ascii_case("true") {
            return Some(Matcher::Bool(true));
        }
        if item.text.eq_ignore_ascii_case("false") {
            return Some(Matcher::Bool(false));
        }
        self.problems.push(item.problem(format!("expected true or false, found `{}`", item.text)));
        None
    }

    fn addresses(&mut self, test: &Test, items: &[Item<'_>]) -> Option<Matcher> {
        let networks = self.each(items, |text| {
            Network::parse(text).ok_or_else(|| format!("`{text}` is no address and no network"))
        })?;
        for (item, network) in items.iter().zip(&networks) {
            if is_comparison(test.operator) && !network.is_address() {
                let message = format!("`{}` is a network, which holds many addresses", item.text);
                let operator = if test.operator == Operator::Equal { "in" } else { "not in" };
                self.problems
                    .push(item.problem(message).help(format!("write `{operator} [\"{}\"]`", item.text)));
                return None;
            }
            if network.host_bits {
                let message = format!("`{}` has bits set behind its prefix, which are ignored", item.text);
                self.problems.push(Problem { level: Level::Warning, ..item.problem(message) });
            }
        }
        Some(Matcher::Address(Arc::new(AddressSet::new(&networks))))
    }

    /// Every value read by `read`, or all the mistakes in them.
    fn each<T>(&mut self, items: &[Item<'_>], read: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let mut values = Vec::with_capacity(items.len());
        let mut wrong = 0;
        for item in items {
            match read(item.text) {
                Ok(value) => values.push(value),
                Err(message) => {
                    wrong += 1;
                    if wrong <= MAX_WRONG {
                        self.problems.push(item.problem(message));
                    }
                }
            }
        }
        if wrong > MAX_WRONG
            && let Some(first) = items.first()
        {
            let message = format!("{} more values of this comparison are wrong", wrong - MAX_WRONG);
            self.problems.push(Problem::error(first.span, message));
        }
        (wrong == 0).then_some(values)
    }

    /// Warns of an action that no event has.
    fn known_actions(&mut self, items: &[Item<'_>]) {
        let known = || EventKind::ALL.iter().flat_map(|kind| kind.actions()).copied();
        for item in items {
            // A part or a pattern is in order when it could be part of a name.
            if known().all(|action| action != item.text)
                && item.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && known().all(|action| !action.contains(item.text))
            {
                let problem = Problem::warning(item.span, format!("no event has the action `{}`", item.text));
                self.problems.push(problem.maybe_help(did_you_mean(item.text, known())));
            }
        }
    }
}

/// Whether what names a list on the right side stands for its members.
fn expands_lists(test: &Test) -> bool {
    matches!(test.operand, Operand::Many(..)) || test.operator == Operator::In
}

/// Whether the operator compares with exactly one value.
const fn is_comparison(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual
    )
}

/// Whether a field of this type can be compared so.
pub(crate) const fn fits(operator: Operator, value_type: Type) -> bool {
    match operator {
        Operator::Exists | Operator::Equal | Operator::NotEqual => true,
        Operator::In => !matches!(value_type, Type::Bool),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            matches!(value_type, Type::Int)
        }
        Operator::IEquals
        | Operator::Contains
        | Operator::IContains
        | Operator::StartsWith
        | Operator::IStartsWith
        | Operator::EndsWith
        | Operator::IEndsWith
        | Operator::Glob
        | Operator::Like
        | Operator::ILike
        | Operator::Matches => matches!(value_type, Type::Str | Type::List),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::parser::parse;

    fn definitions() -> Definitions {
        let mut definitions = Definitions::default();
        let lists = &mut definitions.lists;
        lists.define("authorized_processes".into(), vec!["systemd".into(), "sshd".into()]);
        lists.define("trusted_ips".into(), vec!["10.0.0.0/8".into()]);
        lists.define("ports".into(), vec!["80".into(), "443".into()]);
        let shell = parse("process.name in ['sh', 'bash']").unwrap();
        definitions.define_macros(&BTreeMap::from([("shell".to_owned(), shell)]), |name, problem| {
            panic!("{name}: {problem:?}")
        });
        definitions
    }

    /// The mistakes in a condition, as `level: message [help]`.
    fn mistakes(text: &str) -> Vec<String> {
        let (node, problems) = check(&parse(text).unwrap(), &definitions());
        assert_eq!(node.is_none(), problems.iter().any(|p| p.level == Level::Error), "{text}");
        problems
            .into_iter()
            .map(|p| format!("{}: {} [{}]", p.level, p.message, p.help.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn conditions_that_make_sense_have_no_mistakes() {
        for text in [
            "process.name in [\"nc\"] AND process.parent not in [\"authorized_processes\"]",
            "process.parent in authorized_processes",
            "process.parent in \"authorized_processes\"",
            "destination not in [\"trusted_ips\", 192.0.2.7, '::1']",
            "destination in 10.0.0.0/8",
            "destination == 192.0.2.7",
            "destination.port in [\"ports\", 8080]",
            "network.outbound.bytes > 100MB",
            "file.path_resolved == false",
            "file.mode >= 0o4000",
            "process.args == '-e' or process.args not contains ['x', 'y']",
            "process.tty not exists",
            "process.name in ['unix_chkpwd']",
            "event.action in ['connection_closed', 'read']",
            "event.action startswith 'connection'",
            "file.path glob ['/etc/**', '/root/{a,b}']",
            "shell and not (process.uid == 0 or shell)",
            "process.uid > 5 and process.uid < 7 and process.uid != 5",
            "process.args == 'a' and process.args == 'b'",
            "process.name in ['a', 'b'] and process.name != 'a'",
        ] {
            assert_eq!(mistakes(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn each_mistake_says_what_is_wrong_and_what_is_right() {
        for (text, expected) in [
            ("shel and process.uid == 0", "error: there is no macro `shel` [did you mean `shell`?]"),
            (
                "process.name",
                "error: expected an operator after `process.name` [a comparison is a field, an operator and a value, such as process.name == \"nc\"]",
            ),
            ("proces.name == 'x'", "error: unknown field `proces.name` [did you mean `process.name`?]"),
            ("zzzzzzzz == 'x'", "error: unknown field `zzzzzzzz` [`openclaw rules fields` lists the fields]"),
            (
                "process.pid contains 'x'",
                "error: `contains` cannot be used on `process.pid`, which is a number [use one of == != < <= > >= in exists]",
            ),
            (
                "destination.ip > 3",
                "error: `>` cannot be used on `destination.ip`, which is an address [use one of == != in exists]",
            ),
            (
                "process.uid == '0'",
                "error: `process.uid` is a number: numbers stand without quotes [write 0]",
            ),
            (
                "process.uid == 10m",
                "error: `process.uid` is a plain number, not a length of time [write a number or a size, such as 100MB]",
            ),
            (
                "process.uid == process.gid",
                "error: two fields cannot be compared: `process.group.id` is a field [write a number]",
            ),
            ("process.uid == abc", "error: `abc` is no number []"),
            ("process.name == nc", "error: `process.name` is a text: texts stand in quotes [write \"nc\"]"),
            (
                "process.name == ['nc']",
                "error: `==` compares with one value [write `in` or `not in` for a list of values]",
            ),
            (
                "process.name in authorised_processes",
                "error: there is no list `authorised_processes` [did you mean `authorized_processes`?]",
            ),
            (
                "process.name in ['authorised_processes']",
                "warning: there is no list `authorised_processes`: taken as a text [did you mean `authorized_processes`?]",
            ),
            (
                "process.name in ['known_shells']",
                "warning: there is no list `known_shells`: taken as a text []",
            ),
            (
                "destination in ['trusted_ip']",
                "error: `trusted_ip` is no address, no network and no list [did you mean `trusted_ips`?]",
            ),
            (
                "destination == 10.0.0.0/8",
                "error: `10.0.0.0/8` is a network, which holds many addresses [write `in [\"10.0.0.0/8\"]`]",
            ),
            (
                "destination in [10.0.0.1/8]",
                "warning: `10.0.0.1/8` has bits set behind its prefix, which are ignored []",
            ),
            (
                "destination in ['authorized_processes']",
                "error: in the list `authorized_processes`: `systemd` is no address and no network []",
            ),
            ("destination.port in [prots]", "error: there is no list `prots` [did you mean `ports`?]"),
            ("file.path_resolved == 1", "error: expected true or false, found `1` []"),
            ("file.path matches '('", "error: not a regular expression: unclosed group []"),
            (
                "process.name == 'a' and process.uid == 0 and process.name in ['b', 'c']",
                "warning: this can never be true: no `process.name` is all that is asked of it here []",
            ),
            (
                "process.name == 'a' and process.name not startswith 'a'",
                "warning: this can never be true: no `process.name` is all that is asked of it here []",
            ),
            (
                "process.uid > 5 and process.uid <= 5",
                "warning: this can never be true: no `process.user.id` is all that is asked of it here []",
            ),
            (
                "process.memfd == true and process.memfd == false",
                "warning: this can never be true: no `process.memfd` is all that is asked of it here []",
            ),
            ("event.action == 'raed'", "warning: no event has the action `raed` [did you mean `read`?]"),
            (
                "file.path startswith ''",
                "error: `startswith` with an empty text is always true [write `exists` to ask whether the field is there]",
            ),
        ] {
            assert_eq!(mistakes(text).first().map(String::as_str), Some(expected), "{text}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        assert_eq!(mistakes("a == 1 and (b == 2 or not c exists)").len(), 3);
    }
}
