//! Patterns with wildcards, over whole texts: those of the shell, and those in which `*` stands for anything.
//!
//! A pattern is what a text begins with, what it ends with, and what stands between its first wildcard and its last. Most
//! are done with the two ends. What is between is gone through once, with the set of places in the pattern that the text
//! may have come to: so no text makes it slow.

use std::ops::RangeInclusive;

/// Places in a pattern, between its first wildcard and its last.
const MAX_ELEMENTS: usize = 255;

/// Patterns that the braces of one may stand for, and places in all of them.
const MAX_CHOICES: usize = 256;
const MAX_CHOSEN: usize = 1 << 16;

/// Characters and ranges of one class.
const MAX_RANGES: usize = 64;

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcard {
    /// Before its first wildcard; all of it where it has none.
    begins: Box<str>,
    /// From the first wildcard to the last.
    between: Box<[Element]>,
    /// After its last.
    ends: Box<str>,
}

/// A place in a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Element {
    /// This character.
    Char(char),
    /// Any one but `/`.
    One,
    /// Any one.
    OneOrSlash,
    /// One of these, or none of these, and no `/`.
    Class { negated: bool, ranges: Box<[RangeInclusive<char>]> },
    /// Any number but of `/`.
    Any,
    /// Any number.
    AnyOrSlash,
}

impl Element {
    fn is_of_any_number(&self) -> bool {
        matches!(self, Element::Any | Element::AnyOrSlash)
    }

    /// Whether the character may stand there.
    fn takes(&self, c: char) -> bool {
        match self {
            Element::Char(own) => *own == c,
            Element::One | Element::Any => c != '/',
            Element::OneOrSlash | Element::AnyOrSlash => true,
            Element::Class { negated, ranges } => {
                c != '/' && ranges.iter().any(|range| range.contains(&c)) != *negated
            }
        }
    }
}

/// What a part of a pattern is: an element, or one of the choices in braces.
enum Piece {
    Element(Element),
    Choices(Vec<Vec<Element>>),
}

impl Wildcard {
    /// A pattern of the shell's kind, as one for each of its choices.
    ///
    /// `*` stands for any characters but `/`, `**` for any at all, `?` for one but `/`, `[a-z]` and `[!a-z]` for one of a
    /// class but `/`, `{a,b}` for one of several; a backslash takes the meaning from what follows it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn glob(pattern: &str) -> Result<Vec<Wildcard>, String> {
        let mut pieces = Vec::new();
        let mut chars = pattern.chars().peekable();
        // The choices of the braces that are open.
        let mut braces: Option<Vec<Vec<Element>>> = None;
        while let Some(c) = chars.next() {
            let element = match c {
                '*' if chars.next_if_eq(&'*').is_some() => Element::AnyOrSlash,
                '*' => Element::Any,
                '?' => Element::One,
                '[' => class(&mut chars)?,
                '{' if braces.is_some() => {
                    return Err("`{` inside of `{` is not possible in a pattern".to_owned());
                }
                '{' => {
                    braces = Some(vec![Vec::new()]);
                    continue;
                }
                '}' if braces.is_some() => {
                    pieces.extend(braces.take().map(Piece::Choices));
                    continue;
                }
                ',' if braces.is_some() => {
                    braces.iter_mut().for_each(|choices| choices.push(Vec::new()));
                    continue;
                }
                '\\' => Element::Char(chars.next().ok_or("this pattern ends with a backslash")?),
                c => Element::Char(c),
            };
            match braces.as_mut().and_then(|choices| choices.last_mut()) {
                Some(choice) => choice.push(element),
                None => pieces.push(Piece::Element(element)),
            }
        }
        if braces.is_some() {
            return Err("this pattern's `{` is never closed".to_owned());
        }
        chosen(pieces)?.into_iter().map(Wildcard::new).collect()
    }

    /// A pattern in which `*` stands for any characters and `?` for one; a backslash before one of these, or before
    /// another backslash, takes the meaning from it.
    ///
    /// # Errors
    /// It is too long.
    pub(crate) fn like(pattern: &str) -> Result<Wildcard, String> {
        let mut elements = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            elements.push(match c {
                '*' => Element::AnyOrSlash,
                '?' => Element::OneOrSlash,
                '\\' => Element::Char(chars.next_if(|c| matches!(c, '*' | '?' | '\\')).unwrap_or('\\')),
                c => Element::Char(c),
            });
        }
        Wildcard::new(elements)
    }

    fn new(mut elements: Vec<Element>) -> Result<Wildcard, String> {
        // Any number twice is any number.
        elements.dedup_by(|next, before| {
            let both = next.is_of_any_number() && before.is_of_any_number();
            if both && *next == Element::AnyOrSlash {
                *before = Element::AnyOrSlash;
            }
            both
        });
        let is_wild = |element: &Element| !matches!(element, Element::Char(_));
        let first = elements.iter().position(is_wild).unwrap_or(elements.len());
        let after = elements.iter().rposition(is_wild).map_or(first, |last| last + 1);
        let text = |elements: &[Element]| -> Box<str> {
            let chars = elements.iter().filter_map(|element| match element {
                Element::Char(c) => Some(*c),
                _ => None,
            });
            chars.collect::<String>().into()
        };
        let (begins, ends) = (text(&elements[..first]), text(&elements[after..]));
        let between = &elements[first..after];
        if between.len() > MAX_ELEMENTS {
            return Err(format!(
                "this pattern has more than {MAX_ELEMENTS} characters between its first wildcard and its last"
            ));
        }
        Ok(Wildcard { begins, between: between.into(), ends })
    }

    /// Whether it fits the whole text.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&*self.begins) else { return false };
        if self.between.is_empty() {
            return rest.is_empty();
        }
        let Some(rest) = rest.strip_suffix(&*self.ends) else { return false };
        match &*self.between {
            [Element::AnyOrSlash] => true,
            [Element::Any] => !rest.contains('/'),
            between => goes_through(between, rest),
        }
    }

    /// What the texts begin with that it fits.
    pub(crate) fn begins(&self) -> &str {
        &self.begins
    }

    /// What they end with.
    pub(crate) fn ends(&self) -> &str {
        &self.ends
    }

    /// The longest text that stands between two of its wildcards.
    pub(crate) fn longest_within(&self) -> String {
        let runs = self.between.split(|element| !matches!(element, Element::Char(_)));
        let text = |run: &[Element]| {
            run.iter()
                .filter_map(|element| if let Element::Char(c) = element { Some(*c) } else { None })
                .collect::<String>()
        };
        runs.map(text).max_by_key(String::len).unwrap_or_default()
    }
}

/// The rest of a class, of which `[` has been read.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Element, String> {
    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges: Vec<RangeInclusive<char>> = Vec::new();
    loop {
        let first = match chars.next() {
            Some(']') if !ranges.is_empty() => break,
            Some(c) => c,
            None => return Err("this pattern's `[` is never closed".to_owned()),
        };
        if ranges.len() == MAX_RANGES {
            return Err(format!("a class of this pattern has more than {MAX_RANGES} characters and ranges"));
        }
        // A `-` stands for itself at the end.
        let mut ahead = chars.clone();
        match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) if last != ']' => {
                if last < first {
                    return Err(format!("`{first}-{last}` in this pattern is no range: it goes backwards"));
                }
                *chars = ahead;
                ranges.push(first..=last);
            }
            _ => ranges.push(first..=first),
        }
    }
    Ok(Element::Class { negated, ranges: ranges.into() })
}

/// The patterns that are meant by one with choices.
fn chosen(pieces: Vec<Piece>) -> Result<Vec<Vec<Element>>, String> {
    let mut all = vec![Vec::new()];
    for piece in pieces {
        match piece {
            Piece::Element(element) => all.iter_mut().for_each(|elements| elements.push(element.clone())),
            Piece::Choices(choices) => {
                if all.len() * choices.len() > MAX_CHOICES {
                    return Err(format!(
                        "the braces of this pattern stand for more than {MAX_CHOICES} patterns"
                    ));
                }
                let with = |elements: &Vec<Element>| {
                    let elements = elements.clone();
                    choices.iter().map(move |choice| [&elements[..], choice].concat()).collect::<Vec<_>>()
                };
                let one = all.iter().map(Vec::len).max().unwrap_or_default();
                let longest = one + choices.iter().map(Vec::len).max().unwrap_or_default();
                if longest * all.len() * choices.len() > MAX_CHOSEN {
                    let message =
                        "what the braces of this pattern stand for is too long: name fewer, or shorter ones";
                    return Err(message.to_owned());
                }
                all = all.iter().flat_map(with).collect();
            }
        }
    }
    Ok(all)
}

/// Whether the elements fit the whole text.
fn goes_through(elements: &[Element], text: &str) -> bool {
    let mut places = Places::default();
    places.add(elements, 0);
    for c in text.chars() {
        let mut next = Places::default();
        for at in places.each() {
            if elements.get(at).is_some_and(|element| element.takes(c)) {
                next.add(elements, if elements[at].is_of_any_number() { at } else { at + 1 });
            }
        }
        if next.is_empty() {
            return false;
        }
        places = next;
    }
    places.has(elements.len())
}

/// Places in a pattern, its end included.
#[derive(Debug, Clone, Copy, Default)]
struct Places([u64; MAX_ELEMENTS.div_ceil(64)]);

impl Places {
    /// Adds a place, and those that can be come to from there without any character.
    fn add(&mut self, elements: &[Element], mut at: usize) {
        loop {
            self.0[at / 64] |= 1 << (at % 64);
            if !elements.get(at).is_some_and(Element::is_of_any_number) {
                return;
            }
            at += 1;
        }
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] & (1 << (at % 64)) != 0
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn each(self) -> impl Iterator<Item = usize> {
        (0..).zip(self.0).flat_map(|(number, mut word): (usize, u64)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(number * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Wildcard::glob(pattern).unwrap().iter().any(|wildcard| wildcard.fits(text))
    }

    #[test]
    fn a_star_stays_within_a_folder_and_two_do_not() {
        for (pattern, text, expected) in [
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
            ("[+-9]", "/", false),
            ("[!a]", "/", false),
            ("{nc,ncat}", "ncat", true),
            ("{nc,ncat}", "netcat", false),
            ("/{a,b*}/{c,}x", "/bb/x", true),
            ("/{a,b*}/{c,}x", "/bb/dx", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a.c", "abc", false),
            ("**", "a\nb", true),
            ("aba*aba", "aba", false),
            ("aba*aba", "abaaba", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        for wrong in ["[a", "{a", "{{a}}", "a\\", "[z-a]", "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"] {
            assert!(Wildcard::glob(wrong).is_err(), "{wrong}");
        }
        assert!(
            Wildcard::glob(&format!("{{a,b}}{{a,b}}{}{{a,b}}", "x".repeat(20_000)))
                .unwrap_err()
                .contains("too long")
        );
        assert!(Wildcard::glob(&format!("[{}]", "ab".repeat(40))).unwrap_err().contains("more than 64"));
        assert!(Wildcard::like(&format!("*{}*", "a".repeat(300))).unwrap_err().contains("more than 255"));
        assert!(Wildcard::like(&format!("{}*", "a".repeat(300))).is_ok());
    }

    #[test]
    fn in_a_pattern_of_anything_a_star_goes_over_folders_and_a_backslash_is_one() {
        for (pattern, text, expected) in [
            ("*/bin/*", "/usr/bin/nc", true),
            ("/bin/?c", "/bin/nc", true),
            ("a?", "a/", true),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            (r"a\\*", r"a\b", true),
            (r"C:\x", r"C:\x", true),
            ("{a,b}[c]", "{a,b}[c]", true),
        ] {
            assert_eq!(Wildcard::like(pattern).unwrap().fits(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn no_text_makes_it_slow() {
        let pattern = Wildcard::glob("**a*a**a*a*/**a*b").unwrap();
        assert!(!pattern[0].fits(&"a".repeat(1 << 20)));
    }

    /// The same pattern as a regular expression, of those without braces and classes.
    fn expression(pattern: &str) -> Regex {
        let mut expression = String::from("(?s)^");
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.next_if_eq(&'*').is_some() => expression.push_str(".*"),
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                c => expression.push_str(&regex::escape(&c.to_string())),
            }
        }
        Regex::new(&format!("{expression}$")).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn a_pattern_fits_what_the_same_expression_finds(pattern in "[aé/*?]{0,8}", text in "[aé/]{0,8}") {
            prop_assert_eq!(fits(&pattern, &text), expression(&pattern).is_match(&text));
        }

        #[test]
        fn what_a_pattern_says_of_its_texts_is_so(
            pattern in "[a-c/*?\\[\\]{},!\\\\-]{0,8}", text in "[a-c/*?]{0,6}"
        ) {
            for wildcard in Wildcard::glob(&pattern).unwrap_or_default() {
                if wildcard.fits(&text) {
                    prop_assert!(text.starts_with(wildcard.begins()) && text.ends_with(wildcard.ends()));
                    prop_assert!(text.contains(&wildcard.longest_within()));
                }
            }
        }
    }
}
