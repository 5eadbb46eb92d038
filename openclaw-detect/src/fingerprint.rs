//! By what it is known whether something asks the same as before: also after a restart, and by a later version.

use std::fmt;
use std::hash::Hasher as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// A short sum of texts: two that differ have others, but for a chance of one in 2^128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    /// That of several texts in this order.
    pub(crate) fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().fold(Builder::default(), Builder::text).done()
    }
}

/// Puts a fingerprint together. SipHash-2-4-128 with a key of zeros, as Aumasson and Bernstein describe it: the same on
/// every machine.
#[derive(Default)]
pub(crate) struct Builder(SipHasher24);

impl Builder {
    /// Adds a text, apart from the next.
    #[must_use]
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.write(&(text.len() as u64).to_le_bytes());
        self.0.write(text.as_bytes());
        self
    }

    /// Adds what has a fingerprint of its own.
    #[must_use]
    pub(crate) fn part(mut self, part: Fingerprint) -> Self {
        self.0.write(&part.0.to_le_bytes());
        self
    }

    pub(crate) fn done(self) -> Fingerprint {
        Fingerprint(self.0.finish128().as_u128())
    }
}

/// What tells a condition from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Identity {
    /// What it asks, as it is written: that of its macros included, and where its lists stand for their names.
    pub(crate) question: Fingerprint,
    /// What it asks to the last value: what its lists hold included.
    pub(crate) whole: Fingerprint,
}

impl Identity {
    /// That of several conditions together.
    pub(crate) fn join(parts: impl IntoIterator<Item = Identity>) -> Identity {
        let (mut question, mut whole) = (Builder::default(), Builder::default());
        for part in parts {
            (question, whole) = (question.part(part.question), whole.part(part.whole));
        }
        Identity { question: question.done(), whole: whole.done() }
    }

    /// That of the condition where something else belongs to its question.
    #[must_use]
    pub(crate) fn with(self, text: &str) -> Identity {
        let and = |part| Builder::default().part(part).text(text).done();
        Identity { question: and(self.question), whole: and(self.whole) }
    }

    /// That of the condition but for exceptions, which make no other question of it.
    #[must_use]
    pub(crate) fn unless(self, exceptions: &[Identity]) -> Identity {
        let whole =
            exceptions.iter().fold(Builder::default().part(self.whole), |all, one| all.part(one.whole));
        if exceptions.is_empty() { self } else { Identity { whole: whole.done(), ..self } }
    }
}

/// In hexadecimal.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Fingerprint).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_same_fingerprint_when_they_are_the_same_and_on_every_machine() {
        let of = |texts: &[&str]| Fingerprint::of(texts.iter().copied());
        assert_eq!(of(&["a", "b"]), of(&["a", "b"]));
        assert!(of(&["a", "b"]) != of(&["ab"]) && of(&["a", "b"]) != of(&["b", "a"]) && of(&[]) != of(&[""]));
        // What a host has kept must be known again after an update.
        assert_eq!(of(&["nc"]).to_string(), "07144f20a6561b941443c4d311ce8fac");
        let json = serde_json::to_string(&of(&["x"])).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), of(&["x"]));
    }

    #[test]
    fn an_exception_makes_another_whole_but_no_other_question() {
        let of = |text| Identity { question: Fingerprint::of([text]), whole: Fingerprint::of([text]) };
        let excepted = of("a").unless(&[of("b")]);
        assert_eq!(excepted.question, of("a").question);
        assert!(excepted.whole != of("a").whole && of("a").unless(&[]) == of("a"));
        assert!(of("a").with("x").question != of("a").question);
    }
}
