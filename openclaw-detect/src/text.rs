//! How texts are compared: exactly, by part, by pattern, by regular expression.

use std::cmp::Ordering;

use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};

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
    /// One of these patterns fits it; `prefixes` are the texts before their first special character.
    Glob {
        /// The patterns.
        patterns: Box<[Regex]>,
        /// With what the texts that fit begin, pattern by pattern.
        prefixes: Box<[Box<str>]>,
    },
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
            TextMatcher::Matches(patterns) | TextMatcher::Glob { patterns, .. } => {
                patterns.iter().any(|pattern| pattern.is_match(text))
            }
        }
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
            TextMatcher::Matches(patterns) | TextMatcher::Glob { patterns, .. } => patterns.len(),
            _ => 0,
        }
    }

    /// How dear it is, to ask the cheap tests first.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            TextMatcher::Equals(_) | TextMatcher::StartsWith(_) | TextMatcher::EndsWith(_) => 1,
            TextMatcher::OneOf(_) => 2,
            TextMatcher::Contains(_) => 3,
            TextMatcher::Matches(_) | TextMatcher::Glob { .. } => 4,
        }
    }
}

/// A regular expression that was compiled, and how much of what all rules may have it takes.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    pub(crate) cost: usize,
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
        // The last line of the error says what is wrong; the ones before draw the pattern.
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("not a regular expression: {}", last.trim_start_matches("error: "))
        }
    })
}

/// A regular expression that finds `text`, whatever the case of its letters.
pub(crate) fn ignoring_case(text: &str) -> Result<Pattern, String> {
    regular_expression(&format!("(?i){}", regex::escape(text)))
        .map_err(|_| "this text is too long".to_owned())
}

/// A pattern of the shell's kind, with the text before its first special character.
///
/// `*` stands for any characters but `/`, `**` for any at all, `?` for one but `/`, `[a-z]` and `[!a-z]` for
/// one of a class, `{a,b}` for one of several; a backslash takes the meaning from what follows it.
pub(crate) fn glob(pattern: &str) -> Result<(Pattern, Box<str>), String> {
    let mut out = String::from("(?s)^");
    let mut prefix = String::new();
    let mut literal = true;
    let mut in_braces = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        literal &= !matches!(c, '*' | '?' | '[' | '{');
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                out.push('[');
                if chars.next_if(|c| matches!(c, '!' | '^')).is_some() {
                    out.push_str("^/");
                }
                let mut empty = true;
                loop {
                    match chars.next() {
                        Some(']') if !empty => break,
                        Some('-') if !empty && chars.peek().is_some_and(|c| *c != ']') => out.push('-'),
                        Some(c) => out.push_str(&escape_in_class(c)),
                        None => return Err("this pattern's `[` is never closed".to_owned()),
                    }
                    empty = false;
                }
                out.push(']');
            }
            '{' if in_braces => return Err("`{` inside of `{` is not possible in a pattern".to_owned()),
            '{' => {
                in_braces = true;
                out.push_str("(?:");
            }
            '}' if in_braces => {
                in_braces = false;
                out.push(')');
            }
            ',' if in_braces => out.push('|'),
            c => {
                let c =
                    if c == '\\' { chars.next().ok_or("this pattern ends with a backslash")? } else { c };
                out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                if literal {
                    prefix.push(c);
                }
            }
        }
    }
    if in_braces {
        return Err("this pattern's `{` is never closed".to_owned());
    }
    out.push('$');
    Ok((regular_expression(&out).map_err(|_| "this pattern is not possible".to_owned())?, prefix.into()))
}

fn escape_in_class(c: char) -> String {
    if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stays_within_a_folder_and_two_do_not() {
        for (pattern, text, fits) in [
            ("/etc/*", "/etc/passwd", true),
            ("/etc/*", "/etc/ssh/key", false),
            ("/etc/**", "/etc/ssh/key", true),
            ("/etc/**/key", "/etc/ssh/x/key", true),
            ("/home/?/x", "/home/a/x", true),
            ("/home/?/x", "/home///x", false),
            ("*.[ch]", "a.c", true),
            ("*.[!ch]", "a.c", false),
            ("*.[!ch]", "a.o", true),
            ("[a-c]x", "bx", true),
            ("[]-]", "-", true),
            ("{nc,ncat}", "ncat", true),
            ("{nc,ncat}", "netcat", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a.c", "abc", false),
            ("**", "a\nb", true),
        ] {
            assert_eq!(glob(pattern).unwrap().0.regex.is_match(text), fits, "{pattern} {text}");
        }
        for wrong in ["[a", "{a", "{{a}}", "a\\", "[z-a]"] {
            assert!(glob(wrong).is_err(), "{wrong}");
        }
    }

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
        fn a_text_that_fits_a_pattern_begins_with_the_patterns_prefix(
            pattern in "[a-c/*?\\[\\]{},!\\\\-]{0,8}", text in "[a-c/*?]{0,6}"
        ) {
            if let Ok((pattern, prefix)) = glob(&pattern)
                && pattern.regex.is_match(&text)
            {
                prop_assert!(text.starts_with(&*prefix));
            }
        }
    }
}
