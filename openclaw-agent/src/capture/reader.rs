//! Reads captures, and plain files of events.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flate2::bufread::MultiGzDecoder;
use openclaw_detect::{EventKind, ProcessId, RecordedEvent};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{END, End, HEADER, Header, MARK, MAX_LINE, Mark, VERSION};

/// Why a capture cannot be read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// It cannot be opened or read.
    #[error("cannot read {0}: {1}")]
    Read(String, #[source] io::Error),
    /// A newer version wrote it.
    #[error(
        "{file} was written in version {found} of the format, by openclaw {by}; this one reads up to version {VERSION}: use \
         openclaw {by} or newer"
    )]
    Newer {
        /// The file.
        file: String,
        /// The version of its format.
        found: u32,
        /// Who wrote it.
        by: String,
    },
    /// A line is no event.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The line's number, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

/// An event of a capture.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The event.
    pub event: RecordedEvent,
    /// Whether it did not happen then, but was so when the recording began: no rule fires for it.
    pub known: bool,
}

/// Reads the events of a capture, one at a time; compressed or not, and also a file of events as
/// `openclaw events --output json` prints them, which has neither beginning nor end.
pub struct Reader {
    name: String,
    lines: BufReader<Box<dyn Read>>,
    buffer: Vec<u8>,
    number: u64,
    /// Bytes of the file that were read.
    read: Arc<AtomicU64>,
    header: Option<Header>,
    end: Option<End>,
    cut: bool,
    unknown: u64,
}

/// Counts what is read through it.
struct Counted<R> {
    source: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

/// The first bytes of a member of gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];

impl Reader {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Reader, CaptureError> {
        let name = path.display().to_string();
        if path == Path::new("-") {
            return Reader::new("standard input".to_owned(), io::stdin());
        }
        match File::open(path) {
            Ok(file) => Reader::new(name, file),
            Err(error) => Err(CaptureError::Read(name, error)),
        }
    }

    /// Reads what another source gives.
    ///
    /// # Errors
    /// It gives nothing.
    pub fn new(name: String, source: impl Read + 'static) -> Result<Reader, CaptureError> {
        let read = Arc::new(AtomicU64::new(0));
        let mut source = BufReader::new(Counted { source, read: Arc::clone(&read) });
        let compressed = match source.fill_buf() {
            Ok(begin) => begin.starts_with(GZIP),
            Err(error) => return Err(CaptureError::Read(name, error)),
        };
        let lines: Box<dyn Read> =
            if compressed { Box::new(MultiGzDecoder::new(source)) } else { Box::new(source) };
        Ok(Reader {
            name,
            lines: BufReader::with_capacity(1 << 16, lines),
            buffer: Vec::new(),
            number: 0,
            read,
            header: None,
            end: None,
            cut: false,
            unknown: 0,
        })
    }

    /// Bytes of the file that were read so far, which somebody else may look at.
    pub fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// How it began, when its first line was read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// How it ended, when its last line was read.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether it is a capture that was cut short.
    pub fn is_cut(&self) -> bool {
        self.cut || (self.header.is_some() && self.end.is_none())
    }

    /// Events of kinds that this version does not know: they were passed over.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    fn refuse(&self, reason: impl Into<String>) -> CaptureError {
        CaptureError::Line { file: self.name.clone(), line: self.number, reason: reason.into() }
    }

    /// The next event; none at the end.
    fn next_entry(&mut self) -> Result<Option<Entry>, CaptureError> {
        while self.read_line()? {
            let text = self.buffer.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let line: Value = match serde_json::from_slice(text) {
                Ok(line) => line,
                Err(error) => return Err(self.refuse(format!("not JSON: {error}"))),
            };
            if let Some(header) = line.get(HEADER) {
                self.begin(header)?;
            } else if let Some(end) = line.get(END) {
                self.end = Some(End::deserialize(end).map_err(|error| self.refuse(error.to_string()))?);
            } else if is_of_unknown_kind(&line) {
                self.unknown += 1;
            } else {
                return self.entry(&line).map(Some);
            }
        }
        Ok(None)
    }

    fn begin(&mut self, header: &Value) -> Result<(), CaptureError> {
        // Of a newer version nothing is sure but these two.
        let found = header.get("version").and_then(Value::as_u64).unwrap_or(0);
        if found > u64::from(VERSION) {
            let by = header.get("openclaw").and_then(Value::as_str).unwrap_or("of a newer version");
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            return Err(CaptureError::Newer { file: self.name.clone(), found, by: by.to_owned() });
        }
        self.header = Some(Header::deserialize(header).map_err(|error| self.refuse(error.to_string()))?);
        Ok(())
    }

    fn entry(&self, line: &Value) -> Result<Entry, CaptureError> {
        let mut event = RecordedEvent::from_value(line).map_err(|error| self.refuse(error.to_string()))?;
        let mark = match line.get(MARK) {
            None => Mark::default(),
            Some(mark) => Mark::deserialize(mark).map_err(|error| self.refuse(error.to_string()))?,
        };
        if let Some(forker) = mark.forker {
            let forker: ProcessId =
                forker.parse().map_err(|error| self.refuse(format!("`forker`: {error}")))?;
            event = event.with_forker(forker);
        }
        Ok(Entry { event, known: mark.known })
    }

    /// Reads a line into the buffer. Returns whether there was one.
    fn read_line(&mut self) -> Result<bool, CaptureError> {
        self.buffer.clear();
        self.number += 1;
        match (&mut self.lines).take(MAX_LINE).read_until(b'\n', &mut self.buffer) {
            Ok(0) => Ok(false),
            Ok(_) if self.buffer.ends_with(b"\n") => Ok(true),
            Ok(len) if len as u64 == MAX_LINE => Err(self.refuse("longer than any event is")),
            // The last line of a file that somebody wrote by hand.
            Ok(_) => Ok(true),
            // Of a member that is not whole, the lines before are.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut = true;
                Ok(false)
            }
            Err(error) => Err(CaptureError::Read(self.name.clone(), error)),
        }
    }
}

fn is_of_unknown_kind(line: &Value) -> bool {
    let kind = line.get("event").and_then(|event| event.get("dataset")).and_then(Value::as_str);
    kind.is_some_and(|kind| EventKind::from_name(kind).is_none())
}

impl Iterator for Reader {
    type Item = Result<Entry, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_entry().transpose()
    }
}
