//! How texts are compared: exactly, by part, by pattern, by regular expression.

mod wildcard;

use std::cell::RefCell;
use std::cmp::Ordering;

use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};

pub(crate) use self::wildcard::Wildcard;

/// How large a compiled regular expression may grow, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// What most of them take at most, in bytes.
const SMALL_REGEX: usize = 1 << 16;

/// More parts than this are looked for all at once.
const FEW_PARTS: usize = 8;

/// A test of a text, prepared once.
#[derive(Debug, Clone)]
pub(crate) enum TextMatcher {
    /// It is this text.
    Equals(Box<str>),
    /// It is one of these, which are in order.
    OneOf(Box<[Box<str>]>),
    /// One of these is in it.
    Contains(Parts),
    /// It begins with one of these, which are in order, and none begins with another.
    StartsWith(Box<[Box<str>]>),
    /// It ends with one of these, which are in the order of what they are backwards, and none ends with another.
    EndsWith(Box<[Box<str>]>),
    /// One of these regular expressions finds something in it.
    Matches(Box<[Regex]>),
    /// One of these patterns fits it.
    Fits(Box<[Wildcard]>),
    /// With its letters from A to Z made small, it passes this test, which has none of them.
    IgnoringCase(Box<TextMatcher>),
}

/// Parts of texts.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    texts: Box<[Box<str>]>,
    /// Finds them all at once, where they are many.
    search: Option<AhoCorasick>,
}

impl Parts {
    fn new(texts: Vec<Box<str>>) -> Result<Parts, String> {
        let search = (texts.len() > FEW_PARTS).then(|| AhoCorasick::new(texts.iter().map(|text| &**text)));
        let search = search.transpose().map_err(|error| format!("these are too many parts: {error}"))?;
        Ok(Parts { texts: texts.into(), search })
    }

    /// The parts.
    pub(crate) fn texts(&self) -> &[Box<str>] {
        &self.texts
    }

    fn are_in(&self, text: &str) -> bool {
        match &self.search {
            Some(search) => search.is_match(text),
            None => self.texts.iter().any(|part| text.contains(&**part)),
        }
    }
}

/// How two texts compare from their ends.
fn backwards(a: &str, b: &str) -> Ordering {
    a.bytes().rev().cmp(b.bytes().rev())
}

impl TextMatcher {
    /// Whether `text` passes.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            TextMatcher::Equals(value) => **value == *text,
            TextMatcher::OneOf(values) => values.binary_search_by(|value| (**value).cmp(text)).is_ok(),
            TextMatcher::Contains(parts) => parts.are_in(text),
            // What a text begins with is not behind it, and of what stands between the two all begins so too.
            TextMatcher::StartsWith(begins) => {
                let after = begins.partition_point(|begin| **begin <= *text);
                after.checked_sub(1).is_some_and(|at| text.starts_with(&*begins[at]))
            }
            TextMatcher::EndsWith(ends) => {
                let after = ends.partition_point(|end| backwards(end, text) != Ordering::Greater);
                after.checked_sub(1).is_some_and(|at| text.ends_with(&*ends[at]))
            }
            TextMatcher::Matches(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
            TextMatcher::Fits(patterns) => patterns.iter().any(|pattern| pattern.fits(text)),
            TextMatcher::IgnoringCase(matcher) => with_small_letters(text, |text| matcher.matches(text)),
        }
    }

    /// The same, whatever the case of letters from A to Z; the test must have none but small ones.
    pub(crate) fn ignoring_case(self) -> TextMatcher {
        TextMatcher::IgnoringCase(Box::new(self))
    }

    /// Equality with one of `values`.
    pub(crate) fn one_of(mut values: Vec<Box<str>>) -> TextMatcher {
        values.sort_unstable();
        values.dedup();
        match <[Box<str>; 1]>::try_from(values) {
            Ok([value]) => TextMatcher::Equals(value),
            Err(values) => TextMatcher::OneOf(values.into()),
        }
    }

    /// A part that is one of `values`.
    ///
    /// # Errors
    /// They are more than can be looked for at once.
    pub(crate) fn contains(values: Vec<Box<str>>) -> Result<TextMatcher, String> {
        Parts::new(values).map(TextMatcher::Contains)
    }

    /// A beginning that is one of `values`.
    pub(crate) fn starts_with(mut values: Vec<Box<str>>) -> TextMatcher {
        values.sort_unstable();
        // In this order a beginning stands right before what begins with it.
        values.dedup_by(|longer, shorter| longer.starts_with(&**shorter));
        TextMatcher::StartsWith(values.into())
    }

    /// An end that is one of `values`.
    pub(crate) fn ends_with(mut values: Vec<Box<str>>) -> TextMatcher {
        values.sort_unstable_by(|a, b| backwards(a, b));
        values.dedup_by(|longer, shorter| longer.ends_with(&**shorter));
        TextMatcher::EndsWith(values.into())
    }

    /// How many patterns are looked for one by one.
    pub(crate) fn scanned(&self) -> usize {
        match self {
            TextMatcher::Matches(patterns) => patterns.len(),
            TextMatcher::Fits(patterns) => patterns.len(),
            TextMatcher::IgnoringCase(matcher) => matcher.scanned(),
            _ => 0,
        }
    }

    /// How dear it is, to ask the cheap tests first.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            TextMatcher::Equals(_) | TextMatcher::StartsWith(_) | TextMatcher::EndsWith(_) => 1,
            TextMatcher::OneOf(_) => 2,
            TextMatcher::Contains(_) => 3,
            TextMatcher::Fits(_) => 4,
            TextMatcher::Matches(_) => 5,
            TextMatcher::IgnoringCase(matcher) => 1 + matcher.cost(),
        }
    }
}

/// Calls `ask` with the text, its letters from A to Z made small.
pub(crate) fn with_small_letters<T>(text: &str, ask: impl FnOnce(&str) -> T) -> T {
    thread_local! {
        /// Kept for its memory.
        static SMALL: RefCell<String> = const { RefCell::new(String::new()) };
    }
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return ask(text);
    }
    // Taken out, so that `ask` may come here too.
    let mut small = SMALL.take();
    small.clear();
    small.push_str(text);
    small.make_ascii_lowercase();
    let answer = ask(&small);
    SMALL.set(small);
    answer
}

/// A regular expression that was compiled, and how much of what all rules may have it takes.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    pub(crate) cost: usize,
}

/// What is wrong with a regular expression, of what is seen without compiling it.
pub(crate) fn mistake_in(pattern: &str) -> Option<String> {
    regex_syntax::parse(pattern).err().map(|error| no_expression(&error.to_string()))
}

/// The library's message for those who write rules: its last line says what is wrong, the ones before draw the pattern.
fn no_expression(error: &str) -> String {
    let last = error.lines().last().unwrap_or_default();
    format!("not a regular expression: {}", last.trim_start_matches("error: "))
}

/// A regular expression; the error says what is wrong with it.
pub(crate) fn regular_expression(pattern: &str) -> Result<Pattern, String> {
    let build = |limit| RegexBuilder::new(pattern).size_limit(limit).dfa_size_limit(REGEX_LIMIT).build();
    let small = build(SMALL_REGEX).map(|regex| Pattern { regex, cost: 1 });
    let built = match small {
        Err(regex::Error::CompiledTooBig(_)) => {
            build(REGEX_LIMIT).map(|regex| Pattern { regex, cost: REGEX_LIMIT / SMALL_REGEX })
        }
        built => built,
    };
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("this regular expression is too large (more than {REGEX_LIMIT} bytes when compiled)")
        }
        error => no_expression(&error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_expression_that_would_grow_too_large_is_refused() {
        assert!(regular_expression("(?:a{1000}){1000}").unwrap_err().contains("too large"));
        assert!(regular_expression("(a").unwrap_err().contains("unclosed group"));
    }

    proptest! {
        #[test]
        fn of_many_texts_one_is_in_a_text_begins_it_or_ends_it_as_each_alone_would(
            values in prop::collection::vec("[ab]{1,4}", 0..20), text in "[ab]{0,6}"
        ) {
            let boxed = || values.iter().map(|value| value.as_str().into()).collect::<Vec<Box<str>>>();
            let any = |is: fn(&str, &str) -> bool| values.iter().any(|value| is(&text, value));
            let contains = TextMatcher::contains(boxed()).unwrap();
            prop_assert_eq!(contains.matches(&text), any(|text, part| text.contains(part)));
            let starts_with = TextMatcher::starts_with(boxed());
            prop_assert_eq!(starts_with.matches(&text), any(|text, begin| text.starts_with(begin)));
            let ends_with = TextMatcher::ends_with(boxed());
            prop_assert_eq!(ends_with.matches(&text), any(|text, end| text.ends_with(end)));
        }

        #[test]
        fn a_test_that_ignores_case_is_that_of_small_letters(values in prop::collection::vec("[abÄ]{1,3}", 1..12), text in "[abABäÄ]{0,6}") {
            let boxed = || values.iter().map(|value| value.as_str().into()).collect::<Vec<Box<str>>>();
            let small = text.to_ascii_lowercase();
            for matcher in [TextMatcher::one_of(boxed()), TextMatcher::contains(boxed()).unwrap(), TextMatcher::ends_with(boxed())] {
                prop_assert_eq!(matcher.clone().ignoring_case().matches(&text), matcher.matches(&small));
            }
        }
    }
}
