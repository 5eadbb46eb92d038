//! What a Sigma rule asks of a text.

use std::collections::BTreeSet;

use super::detection::Reader;
use super::expression::{Meaning, among, comparison, exists};
use super::field::Value;
use super::modifier::{Base64, Modifiers};
use super::value::{Asked, Encoding, Pattern, Way, base64, base64_at_any_offset};
use crate::Field;
use crate::ast::{Expr, Literal, Operand, Operator};
use crate::diagnostic::{Problem, Span};
use crate::text::mistake_in;

impl Reader<'_> {
    /// What is asked of a text.
    pub(super) fn texts(
        &mut self,
        field: &str,
        values: &[Value<'_>],
        modifiers: &Modifiers,
        compared: Compared,
    ) -> Meaning {
        let mut parts = Vec::new();
        for (value, span) in values {
            let Some(patterns) = self.patterns(value, *span, modifiers) else {
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

/// What a text is that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    Text,
    /// The path of a program.
    Program,
    /// The path of a file that something was done to. What begins as one is compared as it is: on Linux one in other letters
    /// is another, and the sensor is told which files to watch.
    Path,
}

impl Compared {
    pub(super) fn of(field: Field) -> Compared {
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
