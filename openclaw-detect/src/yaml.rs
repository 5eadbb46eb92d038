//! A YAML document as a tree in which every part knows its place in the file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Problem, Span};

/// A part of a document and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Tree,
    pub(crate) span: Span,
}

/// What a part of a document is.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    Null,
    /// Numbers and booleans are kept as they are written.
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

/// The key of an entry and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) span: Span,
}

/// How deep lists and mappings may lie in one another. The language needs half of it, and reading each level takes some
/// 40 KiB of the stack in an unoptimised build.
const MAX_DEPTH: usize = 16;

/// The tree of the document in `text`; none where it is empty.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Problem> {
    let has_content = text.lines().any(|line| {
        !matches!(line.trim_start_matches('\u{feff}').trim().as_bytes(), [] | [b'#', ..] | b"---")
    });
    if !has_content {
        return Ok(None);
    }
    let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH };
    let options = serde_saphyr::options! { budget: budget };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(Some(node(raw, text))),
        Err(error) => {
            let span = error.location().map_or(Span::default(), |location| place(location, text));
            let whole = error.without_snippet().to_string();
            Err(explain(span, whole.lines().next().unwrap_or_default()))
        }
    }
}

/// The library's message for those who write rules: without the place, which is shown beside it, and without
/// advice for programmers.
fn explain(span: Span, message: &str) -> Problem {
    let message = message.rfind(" at line ").map_or(message, |at| &message[..at]);
    let message = message.split(", set ").next().unwrap_or(message);
    let (message, help) = if message.contains("mapping values are not allowed") {
        (message, "a text with `: ` in it needs a block: write it below `condition: |`, indented")
    } else if message.contains("did not find expected ',' or '}'") {
        (message, "a text with `[`, `{` or `,` in it stands in quotes between { and }")
    } else if message.contains("tabs disallowed") {
        (message, "indent with spaces")
    } else if message.contains("duplicate mapping key") {
        (message, "name each key once")
    } else if message.contains("multiple YAML documents") {
        ("there is more than one document in the file", "take `---` out, or make a file of each")
    } else if message.contains("budget breached: Depth") || message.contains("recursion limit exceeded") {
        let message = format!("lists and keys lie more than {MAX_DEPTH} deep in one another");
        return Problem::error(span, message).help("no key of a rule file lies so deep");
    } else if message.contains("budget breached") {
        return Problem::error(span, "this file has more values than are read").help("split it");
    } else {
        (message, "")
    };
    let problem = Problem::error(span, format!("not valid YAML: {message}"));
    if help.is_empty() { problem } else { problem.help(help) }
}

impl Node {
    /// What it is, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self.value {
            Tree::Null => "nothing",
            Tree::Scalar(_) => "a value",
            Tree::Sequence(_) => "a list",
            Tree::Mapping(_) => "keys with values",
        }
    }

    /// The same in a file in which so many bytes stand before it.
    pub(crate) fn behind(self, bytes: usize) -> Node {
        let value = match self.value {
            Tree::Sequence(items) => {
                Tree::Sequence(items.into_iter().map(|item| item.behind(bytes)).collect())
            }
            Tree::Mapping(entries) => {
                let entry = |(key, value): (Key, Node)| {
                    (Key { span: key.span.behind(bytes), ..key }, value.behind(bytes))
                };
                Tree::Mapping(entries.into_iter().map(entry).collect())
            }
            other => other,
        };
        Node { value, span: self.span.behind(bytes) }
    }

    /// Where in the file the bytes of this scalar's text are written: inside of block, folded and quoted scalars too.
    pub(crate) fn places(&self, file: &str) -> Places {
        let (Tree::Scalar(text), Some(raw)) = (&self.value, file.get(self.span.start..self.span.end)) else {
            return Places { scalar: self.span, bytes: None };
        };
        let bytes = aligned(text, raw, false).or_else(|| aligned(text, raw, true));
        let bytes = bytes.map(|places| (places, raw.len()));
        // What cannot be found is the scalar's beginning.
        Places { scalar: Span::new(self.span.start, self.span.start), bytes }
    }
}

/// Where the bytes of a scalar's text are written.
pub(crate) struct Places {
    /// Where all of it is.
    scalar: Span,
    /// For each byte of the text the one of the file, from the scalar's beginning on; and how many those are.
    bytes: Option<(Vec<usize>, usize)>,
}

impl Places {
    /// The mistake at its place in the file instead of that in the text.
    pub(crate) fn of(&self, problem: Problem) -> Problem {
        Problem { span: self.span(problem.span), ..problem }
    }

    /// The place of some bytes of the text.
    pub(crate) fn span(&self, inner: Span) -> Span {
        let Some((places, length)) = &self.bytes else { return self.scalar };
        // The text's end is behind its last character.
        let place = |at: usize| places.get(at).copied();
        let after = |at: usize| (at + 1).min(*length);
        let end = places.last().copied().map_or(0, after);
        let start = place(inner.start).unwrap_or(end);
        let last = inner.end.checked_sub(1).filter(|last| *last >= inner.start).and_then(place);
        let begin = self.scalar.start;
        Span::new(begin + start, begin + last.map_or(start, after).max(start))
    }
}

type Chars<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// For each byte of a scalar's `text` the byte of `raw` that it comes from.
///
/// YAML changes white space (indentation, folding), so that only the rest is compared; in quotes it also
/// changes escapes. `None` where the two do not fit.
fn aligned(text: &str, raw: &str, quoted: bool) -> Option<Vec<usize>> {
    let mut raw_chars = raw.char_indices().peekable();
    let quote =
        if quoted { raw_chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\''))? } else { '\0' };
    let mut places = Vec::with_capacity(text.len());
    let escapes = quote == '"';
    for c in text.chars() {
        if !c.is_whitespace() {
            while raw_chars.next_if(|(_, r)| r.is_whitespace()).is_some()
                || (escapes && skip_escaped_line_end(&mut raw_chars))
            {}
        }
        let length = c.len_utf8();
        let Some((at, from)) = raw_chars.peek().copied() else {
            // White space that the file does not have, such as the end of its last line.
            if c.is_whitespace() {
                places.extend(std::iter::repeat_n(raw.len(), length));
                continue;
            }
            return None;
        };
        if from == c {
            raw_chars.next();
            places.extend(at..at + length);
            if quoted && c == quote && raw_chars.next().map(|(_, c)| c) != Some('\'') {
                return None;
            }
            continue;
        }
        places.extend(std::iter::repeat_n(at, length));
        if escapes && from == '\\' {
            if escape(&mut raw_chars)? != c {
                return None;
            }
        } else if !c.is_whitespace() {
            return None;
        } else if from.is_whitespace() {
            raw_chars.next();
        }
    }
    let rest: String = raw_chars.map(|(_, c)| c).collect();
    let rest = if quoted { rest.strip_suffix(quote)? } else { &rest };
    rest.trim().is_empty().then_some(places)
}

/// Takes a backslash that stands before the end of a line.
fn skip_escaped_line_end(raw: &mut Chars<'_>) -> bool {
    let mut ahead = raw.clone();
    let found = matches!((ahead.next(), ahead.next()), (Some((_, '\\')), Some((_, '\n' | '\r'))));
    if found {
        *raw = ahead;
    }
    found
}

/// Takes an escape in double quotes: the character that it stands for, `None` for what is no escape.
fn escape(raw: &mut Chars<'_>) -> Option<char> {
    raw.next();
    let (_, c) = raw.next()?;
    let digits = match c {
        'n' => return Some('\n'),
        't' | '\t' => return Some('\t'),
        'r' => return Some('\r'),
        '0' => return Some('\0'),
        '"' | '\\' | '/' | ' ' => return Some(c),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let mut code: u32 = 0;
    for _ in 0..digits {
        code = code.checked_mul(16)? + raw.next()?.1.to_digit(16)?;
    }
    char::from_u32(code)
}

/// What the deserializer gives, before places are bytes of the file.
#[derive(Debug)]
enum Raw {
    Null,
    /// A number or a boolean: its text is taken from the file.
    Typed,
    Text(String),
    Sequence(Vec<Spanned<Raw>>),
    Mapping(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, file: &str) -> Node {
    let span = place(raw.defined, file);
    let value = match raw.value {
        Raw::Null => Tree::Null,
        Raw::Typed => Tree::Scalar(file.get(span.start..span.end).unwrap_or_default().trim().to_owned()),
        Raw::Text(text) => Tree::Scalar(text),
        Raw::Sequence(items) => Tree::Sequence(items.into_iter().map(|item| node(item, file)).collect()),
        Raw::Mapping(entries) => Tree::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| {
                    (Key { span: place(key.defined, file), name: key.value }, node(value, file))
                })
                .collect(),
        ),
    };
    Node { value, span }
}

/// The bytes of the file at a location.
fn place(location: Location, file: &str) -> Span {
    let span = location.span();
    if let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) {
        let start = usize::try_from(start).unwrap_or(usize::MAX).min(file.len());
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(file.len() - start);
        return Span::new(start, start + length);
    }
    let start = usize::try_from(span.offset()).unwrap_or(usize::MAX);
    let start = file.char_indices().nth(start).map_or(file.len(), |(at, _)| at);
    Span::new(start, start)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Typed)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Line, column and the file's own text of the word `here` in the value of the only key.
    fn here(file: &str) -> (usize, usize, String) {
        let node = parse(file).unwrap().unwrap();
        let Tree::Mapping(entries) = node.value else { panic!("{file}") };
        let value = &entries[0].1;
        let Tree::Scalar(text) = &value.value else { panic!("{file}") };
        let at = text.find("here").unwrap();
        let span = value.places(file).span(Span::new(at, at + 4));
        let shown = Problem::error(span, "").in_file("f", file);
        (shown.line, shown.column, file[span.start..span.end].to_owned())
    }

    #[test]
    fn a_place_inside_of_a_scalar_is_found_in_the_file() {
        for (file, line, column) in [
            ("c: a here b", 1, 6),
            ("c: |\n  é\n  a here\n", 3, 5),
            ("c: |\n    \"q\"\n\n      a here\n", 4, 9),
            ("c: |2\n    a here\n", 2, 7),
            ("# é\nc: >\n  a\n  b here c\n\n  d\n", 4, 5),
            ("c: >-\n  a\n  here", 3, 3),
            ("c: 'it''s\n  not here'", 2, 7),
            ("c: '''here'''", 1, 7),
            ("c: \"\\\"a\\\" \\\n  \\u00e9 here\"", 2, 10),
            ("c: \"a\\nhere\"", 1, 8),
            ("c: a\n  b\n  here", 3, 3),
            ("c: !!str here", 1, 10),
            ("c: |\r\n  a\r\n  here\r\n", 3, 3),
            ("c: &x |\n  a here\n", 2, 5),
        ] {
            assert_eq!(here(file), (line, column, "here".to_owned()), "{file:?}");
        }
    }

    #[test]
    fn numbers_and_booleans_keep_their_spelling() {
        let node = parse("[007, yes, 0x10, 1.50, ~, 10.0.0.0/8, 0o17]").unwrap().unwrap();
        let Tree::Sequence(items) = node.value else { panic!() };
        let texts: Vec<_> = items
            .iter()
            .map(|item| match &item.value {
                Tree::Scalar(text) => text.as_str(),
                _ => "null",
            })
            .collect();
        assert_eq!(texts, ["007", "yes", "0x10", "1.50", "null", "10.0.0.0/8", "0o17"]);
    }

    #[test]
    fn an_empty_document_is_nothing_and_a_broken_one_says_where() {
        for empty in ["", "\n", "# only\n  # comments\n", "---\n"] {
            assert!(parse(empty).unwrap().is_none(), "{empty:?}");
        }
        let broken = "a: 1\nb: [1, 2\nc: 3\n";
        let broken = parse(broken).unwrap_err().in_file("f.yml", broken);
        assert!(broken.line >= 2 && broken.message.starts_with("not valid YAML: "), "{broken}");
        let twice = "a: 1\na: 2\n";
        let twice = parse(twice).unwrap_err().in_file("f.yml", twice);
        assert_eq!((twice.line, twice.column), (2, 1), "{twice}");
    }

    #[test]
    fn what_is_no_yaml_is_explained_to_those_who_write_rules() {
        for (text, message, help) in [
            ("c: x == \"a: b\"", "mapping values are not allowed in this context", "a text with `: ` in it"),
            (
                "{c: x in [1, 2]}",
                "while parsing a flow mapping, did not find expected ',' or '}'",
                "a text with `[`, `{` or `,` in it stands in quotes",
            ),
            ("r:\n\t- a", "tabs disallowed within this context (block indentation)", "indent with spaces"),
            ("a: 1\na: 2", "duplicate mapping key: a", "name each key once"),
            ("a: 1\n---\nb: 1", "there is more than one document in the file", "take `---` out"),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.message, format!("not valid YAML: {message}"));
            assert!(problem.help.unwrap().starts_with(help), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_loader_panic(text in ".*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_document_makes_a_place_fall_outside_of_the_file(
            text in "[a: |>'\"\\\\\\n\\té\\[\\]{}&*#!-]{0,40}", start in 0usize..20, end in 0usize..20
        ) {
            if let Ok(Some(node)) = parse(&text) {
                let mut nodes = vec![&node];
                while let Some(node) = nodes.pop() {
                    let span = node.places(&text).span(Span::new(start, end));
                    prop_assert!(span.start <= text.len() && span.start <= span.end);
                    Problem::error(span, "").in_file("f", &text);
                    match &node.value {
                        Tree::Sequence(items) => nodes.extend(items),
                        Tree::Mapping(entries) => nodes.extend(entries.iter().map(|(_, value)| value)),
                        _ => {}
                    }
                }
            }
        }
    }
}
