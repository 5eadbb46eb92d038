//! Captures: events as they happened, kept in a file so that rules can be run over them again, on any machine.
//!
//! A capture is JSON, one object on each line, in members of gzip (RFC 1952) one after another: `zcat` reads it, and
//! of one that was cut short everything up to its last whole member. The first line is a [`Header`], the last one an
//! [`End`]. Between them are events as `openclaw events --output json` prints them, some with a [`Mark`] before the
//! rest. What a reader does not know, be it a field or a kind of event, it passes over; a change that a reader would
//! misunderstand raises [`VERSION`].

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use serde::{Deserialize, Serialize};

pub use reader::{CaptureError, Entry, Reader};
pub use writer::{Destination, Recorder, Totals, WriterThread};

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;

/// Bytes of the longest line that is read: more than any event has.
pub const MAX_LINE: u64 = 4 << 20;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// See [`VERSION`].
    pub version: u32,
    /// The version of the program that wrote it.
    pub openclaw: String,
    /// Release of the kernel.
    pub kernel: String,
    /// When it was begun, RFC 3339.
    pub started: String,
}

/// The last line. A capture without it was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Events between, without those that were so before.
    pub events: u64,
    /// Events that were left out, since the disk was too slow.
    pub lost: u64,
}

/// What is said of an event beside its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Whether it did not happen then, but was so when the recording began: no rule fires for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    known: bool,
    /// Of a fork, the process that forked, where that is not the parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forker: Option<String>,
}

/// The keys by which lines are told apart. No field's name begins so.
const HEADER: &str = "capture";
const END: &str = "capture_end";
const MARK: &str = "capture_mark";
