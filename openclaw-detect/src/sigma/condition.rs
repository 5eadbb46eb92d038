//! The conditions of Sigma rules: which searches must have found something.
//!
//! The grammar is that of the specification's appendix on conditions: `and`, `or`, `not`, parentheses, names of searches, and
//! `1 of`, `any of` and `all of` a pattern of names or `them`.

use crate::diagnostic::{Problem, Span};
use crate::suggest::did_you_mean;
use crate::text::Wildcard;

/// How often searches may be named in a condition, patterns of names counted for each that they stand for.
const MAX_SEARCHES: usize = 4096;

/// Names that are told where one is wrong.
const SHOWN: usize = 20;

/// How deep parentheses and `not` may lie in one another.
const MAX_DEPTH: usize = 32;

/// A condition. Searches are known by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// All are true.
    And(Vec<Condition>),
    /// At least one is true.
    Or(Vec<Condition>),
    /// It is false.
    Not(Box<Condition>),
    /// The search of that number has found something.
    Search(usize),
}

/// Reads a condition over searches of these names; `named` is how often searches were named so far.
///
/// # Errors
/// What is wrong with it, with its place in the text.
pub(super) fn parse(text: &str, searches: &[&str], named: &mut usize) -> Result<Condition, Problem> {
    let mut parser = Parser { words: words(text), end: text.len(), at: 0, depth: 0, named, searches };
    let condition = parser.or()?;
    match parser.peek() {
        None => Ok(condition),
        Some((word, span)) => Err(unexpected(word, span, "`and`, `or` or the end")),
    }
}

/// The words of a condition, each with its place; parentheses and bars are words.
fn words(text: &str) -> Vec<(&str, Span)> {
    let is_sign = |c: char| matches!(c, '(' | ')' | '|');
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let len = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            c if is_sign(c) => 1,
            _ => text[at..].find(|c: char| c.is_whitespace() || is_sign(c)).unwrap_or(text.len() - at),
        };
        words.push((&text[at..at + len], Span::new(at, at + len)));
        at += len;
    }
    words
}

struct Parser<'a> {
    words: Vec<(&'a str, Span)>,
    /// The length of the text.
    end: usize,
    at: usize,
    depth: usize,
    /// How often searches were named.
    named: &'a mut usize,
    searches: &'a [&'a str],
}

fn unexpected(word: &str, span: Span, expected: &str) -> Problem {
    if word == "|" {
        return Problem::error(span, "aggregations are no longer part of Sigma's conditions").help(
            "write a correlation rule: `type: event_count` counts, `value_count` counts different values",
        );
    }
    Problem::error(span, format!("expected {expected}, found `{word}`"))
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<(&'a str, Span)> {
        self.words.get(self.at).copied()
    }

    /// Whether the next word is this one, which is taken then.
    fn takes(&mut self, word: &str) -> bool {
        let is_it = self.peek().is_some_and(|(next, _)| next.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn or(&mut self) -> Result<Condition, Problem> {
        let mut parts = vec![self.and()?];
        while self.takes("or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::Or(parts) })
    }

    fn and(&mut self) -> Result<Condition, Problem> {
        let mut parts = vec![self.not()?];
        while self.takes("and") {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn not(&mut self) -> Result<Condition, Problem> {
        let missing = || Problem::error(Span::new(self.end, self.end), "the condition ends too early");
        let (word, span) = self.peek().ok_or_else(missing)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::error(span, format!("nested more than {MAX_DEPTH} deep")));
        }
        let condition = if self.takes("not") {
            Condition::Not(Box::new(self.not()?))
        } else if self.takes("(") {
            let inner = self.or()?;
            match self.peek() {
                Some((")", _)) => self.at += 1,
                Some((word, span)) => return Err(unexpected(word, span, "`and`, `or` or `)`")),
                None => return Err(Problem::error(span, "this `(` is never closed")),
            }
            inner
        } else if matches!(word, ")" | "|") {
            return Err(unexpected(word, span, "the name of a search"));
        } else {
            self.at += 1;
            match self.peek() {
                Some((of, _)) if of.eq_ignore_ascii_case("of") => self.several(word, span)?,
                _ => Condition::Search(self.search(word, span)?),
            }
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn search(&mut self, name: &str, span: Span) -> Result<usize, Problem> {
        self.count(1, span)?;
        self.searches.iter().position(|search| *search == name).ok_or_else(|| {
            Problem::error(span, format!("there is no search `{name}`"))
                .help(self.known())
                .maybe_help(did_you_mean(name, self.searches.iter().copied()))
        })
    }

    /// Counts searches that are named.
    fn count(&mut self, searches: usize, span: Span) -> Result<(), Problem> {
        *self.named += searches;
        if *self.named > MAX_SEARCHES {
            let message = format!("searches are named more than {MAX_SEARCHES} times in this condition");
            return Err(Problem::error(span, message));
        }
        Ok(())
    }

    /// The names that there are.
    fn known(&self) -> String {
        let shown = self.searches.len().min(SHOWN);
        let more = if self.searches.len() > shown { ", …" } else { "" };
        format!("those of this rule are {}{more}", self.searches[..shown].join(", "))
    }

    /// `1 of selection_*`, of which the first word has been read.
    fn several(&mut self, how_many: &str, span: Span) -> Result<Condition, Problem> {
        let of = self.peek().map_or(span, |(_, of)| of);
        self.at += 1;
        let (pattern, pattern_span) =
            self.peek().ok_or_else(|| Problem::error(of, "`of` needs a pattern of names, or `them`"))?;
        self.at += 1;
        let wildcard = Wildcard::like(pattern).ok();
        let named: Vec<_> = (0..self.searches.len())
            .filter(|number| match pattern {
                // Names that begin with an underscore are left out of `them`.
                _ if pattern.eq_ignore_ascii_case("them") => !self.searches[*number].starts_with('_'),
                _ => wildcard.as_ref().is_some_and(|pattern| pattern.fits(self.searches[*number])),
            })
            .map(Condition::Search)
            .collect();
        if named.is_empty() {
            return Err(Problem::error(
                pattern_span,
                format!("no search of this rule is called `{pattern}`"),
            )
            .help(self.known()));
        }
        self.count(named.len(), pattern_span)?;
        match how_many.to_ascii_lowercase().as_str() {
            "1" | "any" => Ok(Condition::Or(named)),
            "all" => Ok(Condition::And(named)),
            _ => Err(Problem::error(span, format!("`{how_many} of` is not possible"))
                .help("write `1 of`, `any of` or `all of`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEARCHES: &[&str] = &["selection_a", "selection_b", "filter", "_hidden"];

    /// A condition with everything that has parts in parentheses.
    fn shown(condition: &Condition) -> String {
        let joined = |parts: &[Condition], with: &str| {
            format!("({})", parts.iter().map(shown).collect::<Vec<_>>().join(with))
        };
        match condition {
            Condition::And(parts) => joined(parts, " and "),
            Condition::Or(parts) => joined(parts, " or "),
            Condition::Not(inner) => format!("not {}", shown(inner)),
            Condition::Search(number) => SEARCHES[*number].to_owned(),
        }
    }

    #[test]
    fn not_binds_tighter_than_and_and_that_than_or() {
        for (text, expected) in [
            ("selection_a", "selection_a"),
            ("selection_a or selection_b and not filter", "(selection_a or (selection_b and not filter))"),
            ("(selection_a OR selection_b)and not(filter)", "((selection_a or selection_b) and not filter)"),
            ("1 of selection_*", "(selection_a or selection_b)"),
            ("all of selection*", "(selection_a and selection_b)"),
            ("any of them", "(selection_a or selection_b or filter)"),
            ("not 1 of *_b", "not (selection_b)"),
        ] {
            assert_eq!(
                parse(text, SEARCHES, &mut 0).map(|condition| shown(&condition)).unwrap(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_condition_says_where_and_what_would_be_right() {
        for (text, at, message) in [
            ("", 0, "the condition ends too early"),
            ("selection_a and", 15, "the condition ends too early"),
            ("selektion_a", 0, "there is no search `selektion_a`"),
            ("selection_a selection_b", 12, "expected `and`, `or` or the end, found `selection_b`"),
            ("(selection_a", 0, "this `(` is never closed"),
            ("2 of selection_*", 0, "`2 of` is not possible"),
            ("1 of", 2, "`of` needs a pattern of names, or `them`"),
            ("1 of other_*", 5, "no search of this rule is called `other_*`"),
            ("selection_a | count() > 5", 12, "aggregations are no longer part of Sigma's conditions"),
            (&"not ".repeat(40), 128, "nested more than 32 deep"),
        ] {
            let problem = parse(text, SEARCHES, &mut 0).unwrap_err();
            assert_eq!((problem.span.start, problem.message.as_str()), (at, message), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "[()|]|(1 |all )?of|them|selection_[ab*] |not |.{0,3}") {
            let _ = parse(&text.repeat(3), SEARCHES, &mut 0);
        }
    }
}
