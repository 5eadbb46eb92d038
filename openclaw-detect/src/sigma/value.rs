//! Values of Sigma rules and what modifiers make of them: patterns of a text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `*`
    Any,
    /// `?`
    One,
}

/// A text in which `*` stands for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

/// What a pattern asks of a text, as simply as it can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing: any text does.
    Any,
    /// That it compares so with this one.
    That(Way, String),
}

/// How a text compares with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Equals,
    StartsWith,
    EndsWith,
    Contains,
    /// It fits this pattern, as the operator `like` has it.
    Like,
}

impl Way {
    pub(super) const ALL: [Way; 5] = [Way::Equals, Way::StartsWith, Way::EndsWith, Way::Contains, Way::Like];
}

impl Pattern {
    /// A value as it is written: a backslash before a wildcard or before another backslash takes the meaning from it, and
    /// stands for itself elsewhere.
    pub(super) fn parse(text: &str) -> Pattern {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' | '?' => {
                    if !literal.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut literal)));
                    }
                    parts.push(if c == '*' { Part::Any } else { Part::One });
                }
                '\\' => literal.push(chars.next_if(|c| matches!(c, '*' | '?' | '\\')).unwrap_or('\\')),
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Pattern(parts)
    }

    /// A text in which nothing stands for anything else.
    pub(super) fn literal(text: String) -> Pattern {
        Pattern(if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] })
    }

    /// The text of one without wildcards.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.0[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// With anything before it, or after it.
    pub(super) fn with_any(mut self, before: bool, after: bool) -> Pattern {
        if before && self.0.first() != Some(&Part::Any) {
            self.0.insert(0, Part::Any);
        }
        if after && self.0.last() != Some(&Part::Any) {
            self.0.push(Part::Any);
        }
        self
    }

    /// What it asks for.
    pub(super) fn asked(&self) -> Asked {
        let (way, text) = match &self.0[..] {
            [] => (Way::Equals, String::new()),
            [Part::Text(text)] => (Way::Equals, text.clone()),
            [Part::Any, Part::Text(text), Part::Any] => (Way::Contains, text.clone()),
            [Part::Text(text), Part::Any] => (Way::StartsWith, text.clone()),
            [Part::Any, Part::Text(text)] => (Way::EndsWith, text.clone()),
            parts if parts.iter().all(|part| *part == Part::Any) => return Asked::Any,
            parts => (Way::Like, parts.iter().map(Part::written).collect()),
        };
        Asked::That(way, text)
    }

    /// The same with each dash that begins an option written in each way that programs of Windows take for one: as it is
    /// first, and of many dashes all in the same way.
    pub(super) fn with_dashes(&self) -> Vec<Pattern> {
        let dashes = |pattern: &Pattern| -> usize {
            let of = |part: &Part| if let Part::Text(text) = part { places_of_dashes(text).len() } else { 0 };
            pattern.0.iter().map(of).sum()
        };
        let with = |choice: &dyn Fn(usize) -> char| {
            let mut number = 0;
            let part = |part: &Part| match part {
                Part::Text(text) => {
                    let places = places_of_dashes(text);
                    let char = |(at, c): (usize, char)| {
                        if places.contains(&at) {
                            number += 1;
                            choice(number - 1)
                        } else {
                            c
                        }
                    };
                    Part::Text(text.char_indices().map(char).collect())
                }
                other => other.clone(),
            };
            Pattern(self.0.iter().map(part).collect())
        };
        let mut all = vec![self.clone()];
        let count = dashes(self);
        if count <= MAX_DASHES {
            let ways = DASHES.len().pow(u32::try_from(count).unwrap_or_default());
            all.extend((0..ways).map(|way| {
                with(&|number| {
                    DASHES[way / DASHES.len().pow(u32::try_from(number).unwrap_or_default()) % DASHES.len()]
                })
            }));
        } else {
            all.extend(DASHES.into_iter().map(|dash| with(&|_| dash)));
        }
        let mut different: Vec<Pattern> = Vec::new();
        for pattern in all {
            if !different.contains(&pattern) {
                different.push(pattern);
            }
        }
        different
    }
}

impl Part {
    /// As the operator `like` has it.
    fn written(&self) -> String {
        match self {
            Part::Any => "*".to_owned(),
            Part::One => "?".to_owned(),
            Part::Text(text) => {
                let escaped = |c: char| {
                    let escape = if matches!(c, '*' | '?' | '\\') { "\\" } else { "" };
                    format!("{escape}{c}")
                };
                text.chars().map(escaped).collect()
            }
        }
    }
}

/// What programs of Windows take for the beginning of an option.
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Dashes of one text that are written in each way by themselves.
const MAX_DASHES: usize = 2;

/// Where each `-` or `/` is that stands before a word and behind none.
fn places_of_dashes(text: &str) -> Vec<usize> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut before = None;
    let mut places = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if matches!(c, '-' | '/') && !is_word(before) && is_word(chars.peek().map(|(_, next)| *next)) {
            places.push(at);
        }
        before = Some(c);
    }
    places
}

/// How the bytes of a text are laid out before they are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// With a byte order mark before it.
    Utf16,
}

impl Encoding {
    /// The bytes of a text.
    pub(super) fn bytes(self, text: &str) -> Vec<u8> {
        match self {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Encoding::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Encoding::Utf16 => [vec![0xff, 0xfe], Encoding::Utf16Le.bytes(text)].concat(),
        }
    }
}

/// The bytes in Base64 (RFC 4648), with what fills it up.
pub(super) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What of the bytes is in the Base64 of any text that holds them, for each place at which they may begin: of the
/// characters at the ends those are left out that other bytes have a part in.
pub(super) fn base64_at_any_offset(bytes: &[u8]) -> Vec<String> {
    let at = |offset: usize| {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; offset][..], bytes].concat());
        // Each character has six bits: those of the bytes before are in the first ones, and the last one has a part of
        // what comes after unless the bits come out even.
        let first = (offset * 8).div_ceil(6);
        let whole = (offset + bytes.len()) * 8 / 6;
        encoded.get(first..whole).unwrap_or_default().to_owned()
    };
    (0..3).map(at).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_asks_as_simply_as_it_can_be_said() {
        for (text, expected) in [
            ("nc", Asked::That(Way::Equals, "nc".into())),
            ("", Asked::That(Way::Equals, String::new())),
            ("*nc*", Asked::That(Way::Contains, "nc".into())),
            ("nc*", Asked::That(Way::StartsWith, "nc".into())),
            ("*nc", Asked::That(Way::EndsWith, "nc".into())),
            ("**", Asked::Any),
            ("/home/*/x", Asked::That(Way::Like, "/home/*/x".into())),
            (r"a\*b", Asked::That(Way::Equals, "a*b".into())),
            (r"a\\*", Asked::That(Way::StartsWith, r"a\".into())),
            (r"C:\x", Asked::That(Way::Equals, r"C:\x".into())),
            (r"a\?b*c", Asked::That(Way::Like, r"a\?b*c".into())),
            ("n?", Asked::That(Way::Like, "n?".into())),
        ] {
            assert_eq!(Pattern::parse(text).asked(), expected, "{text}");
        }
        let within = |text: &str| Pattern::parse(text).with_any(true, true).asked();
        assert_eq!(within("nc"), Asked::That(Way::Contains, "nc".into()));
        assert_eq!(within("nc*"), Asked::That(Way::Contains, "nc".into()));
        assert_eq!(within("a*b"), Asked::That(Way::Like, "*a*b*".into()));
    }

    #[test]
    fn dashes_that_begin_options_are_written_in_each_way() {
        let shown = |text: &str| -> Vec<String> {
            Pattern::parse(text)
                .with_dashes()
                .iter()
                .filter_map(|one| one.text().map(str::to_owned))
                .collect()
        };
        assert_eq!(shown("-a b-c"), ["-a b-c", "/a b-c", "\u{2013}a b-c", "\u{2014}a b-c", "\u{2015}a b-c"]);
        let two = shown("-o /tmp/x");
        assert_eq!((two.len(), two[0].as_str()), (25, "-o /tmp/x"));
        assert!(two.contains(&"/o -tmp/x".to_owned()));
        let many = shown("-a /b -c");
        assert_eq!((many.len(), many[0].as_str()), (6, "-a /b -c"));
        assert_eq!(shown("abc"), ["abc"]);
    }

    #[test]
    fn texts_are_encoded_as_they_are_in_the_specification() {
        assert_eq!(base64(&Encoding::Utf8.bytes("foobar")), "Zm9vYmFy");
        assert_eq!(base64(&Encoding::Utf16Le.bytes("ping")), "cABpAG4AZwA=");
        assert_eq!(Encoding::Utf16.bytes("a"), [0xff, 0xfe, b'a', 0]);
        assert_eq!(base64_at_any_offset(b"http://"), ["aHR0cDovL", "h0dHA6Ly", "odHRwOi8v"]);
    }

    proptest! {
        #[test]
        fn the_base64_of_a_text_holds_what_is_looked_for(before in ".{0,5}", text in ".{1,9}", after in ".{0,5}") {
            let whole = base64(format!("{before}{text}{after}").as_bytes());
            let parts = base64_at_any_offset(text.as_bytes());
            prop_assert!(whole.contains(&parts[before.len() % 3]), "{whole} {parts:?}");
        }
    }
}
