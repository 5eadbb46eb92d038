//! How texts are compared: exactly, by part, by pattern, by regular expression.

use regex::{Regex, RegexBuilder};

/// How large a compiled regular expression may grow, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// A test of a text, prepared once.
#[derive(Debug, Clone)]
pub(crate) enum TextMatcher {
    /// It is this text.
    Equals(Box<str>),
    /// It is one of these, which are in order.
    OneOf(Box<[Box<str>]>),
    /// One of these is in it.
    Contains(Box<[Box<str>]>),
    /// It begins with one of these.
    StartsWith(Box<[Box<str>]>),
    /// It ends with one of these.
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

impl TextMatcher {
    /// Whether `text` passes.
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            TextMatcher::Equals(value) => **value == *text,
            TextMatcher::OneOf(values) => values.binary_search_by(|value| (**value).cmp(text)).is_ok(),
            TextMatcher::Contains(parts) => parts.iter().any(|part| text.contains(&**part)),
            TextMatcher::StartsWith(parts) => parts.iter().any(|part| text.starts_with(&**part)),
            TextMatcher::EndsWith(parts) => parts.iter().any(|part| text.ends_with(&**part)),
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

/// A regular expression; the error says what is wrong with it.
pub(crate) fn regular_expression(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(REGEX_LIMIT).dfa_size_limit(REGEX_LIMIT).build().map_err(|error| {
        match error {
            regex::Error::CompiledTooBig(_) => {
                format!("this regular expression is too large (more than {REGEX_LIMIT} bytes when compiled)")
            }
            // The last line of the error says what is wrong; the ones before draw the pattern.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                format!("not a regular expression: {}", last.trim_start_matches("error: "))
            }
        }
    })
}

/// A regular expression that finds `text`, whatever the case of its letters.
pub(crate) fn ignoring_case(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("(?i){}", regex::escape(text)))
        .size_limit(REGEX_LIMIT)
        .dfa_size_limit(REGEX_LIMIT)
        .build()
        .map_err(|_| "this text is too long".to_owned())
}

/// A pattern of the shell's kind, with the text before its first special character.
///
/// `*` stands for any characters but `/`, `**` for any at all, `?` for one but `/`, `[a-z]` and `[!a-z]` for
/// one of a class, `{a,b}` for one of several; a backslash takes the meaning from what follows it.
pub(crate) fn glob(pattern: &str) -> Result<(Regex, Box<str>), String> {
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
            assert_eq!(glob(pattern).unwrap().0.is_match(text), fits, "{pattern} {text}");
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
        fn a_text_that_fits_a_pattern_begins_with_the_patterns_prefix(
            pattern in "[a-c/*?\\[\\]{},!\\\\-]{0,8}", text in "[a-c/*?]{0,6}"
        ) {
            if let Ok((regex, prefix)) = glob(&pattern)
                && regex.is_match(&text)
            {
                prop_assert!(text.starts_with(&*prefix));
            }
        }
    }
}
