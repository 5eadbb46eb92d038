//! What rules remember, to be kept while no engine runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::shape::Shape;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The version of what is kept. What another version has kept is not taken back.
const VERSION: u32 = 2;

/// What the rules of an engine remember: windows, sequences, known values, and what was told. Taken by
/// [`crate::Engine::snapshot`] and given back by [`crate::Engine::restore`]; how it is written is no promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// First, so that another version is known before anything of it is read.
    version: Version,
    /// By the rule's name.
    pub(crate) rules: BTreeMap<String, Remembered>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Snapshot { version: Version(VERSION), rules: BTreeMap::new() }
    }
}

impl Snapshot {
    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The error of reading what another version has kept.
    pub const OTHER_VERSION: &str = "it was kept by another version";
}

/// The version of what is kept; another is an error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Version(u32);

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Version(VERSION)),
            _ => Err(de::Error::custom(Snapshot::OTHER_VERSION)),
        }
    }
}

/// What one rule remembers, each the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// What gives keys and times their meaning: a rule of another shape cannot take it over.
    pub(super) shape: Shape,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) windows: Vec<(Bytes, Window)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sequences: Vec<(Bytes, Progress)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) learners: Vec<Learner>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Times,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) told: Vec<(Bytes, (u64, u64))>,
}

impl Remembered {
    /// What it takes, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        /// A key's place, its times and what holds them.
        const EACH: usize = 64;
        let times = |times: &Times| times.iter().map(|(key, _)| key.0.len() + EACH).sum::<usize>();
        let amounts =
            |window: &Window| window.amounts.len() * size_of::<(u64, u64)>() + times(&window.values);
        let windows = self.windows.iter().map(|(key, window)| key.0.len() + EACH + amounts(window));
        let sequences = self.sequences.iter().map(|(key, of)| key.0.len() + EACH + 16 * of.times.len());
        let learners = self.learners.iter().map(|(key, _)| key.0.len() + EACH);
        let told = self.told.iter().map(|(key, _)| key.0.len() + EACH);
        windows.sum::<usize>()
            + sequences.sum::<usize>()
            + learners.sum::<usize>()
            + told.sum::<usize>()
            + times(&self.values)
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Remembered { shape: self.shape.clone(), ..Remembered::default() }
    }
}

/// A key that learns: for how long it has, and when it was seen last, nanoseconds.
pub(super) type Learner = (Bytes, (u64, u64));

/// A threshold's window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) newest: u64,
    pub(super) is_reached: bool,
    /// Amounts by slice, each with the time of the first event in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) amounts: Vec<(u64, u64)>,
    /// Values by the time at which each was seen last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Times,
}

/// How far a sequence has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) newest: u64,
    pub(super) times: Vec<Option<u64>>,
}

/// Keys or values, each with a time.
pub(super) type Times = Vec<(Bytes, u64)>;

/// Bytes, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Box<[u8]>);

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Bytes(bytes.into())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * self.0.len());
        for byte in &self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |pair: &[u8]| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        };
        let bytes: Option<Box<[u8]>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.map(Bytes).ok_or_else(|| de::Error::custom("not hexadecimal"))
    }
}
