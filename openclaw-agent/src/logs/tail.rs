//! One file of a log, read line by line from where it was left.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Instant, SystemTime};

use super::position::{Beginning, FileId, Position};

/// Bytes of a line that are taken; what follows is passed over. Servers escape a byte as four, so that the largest head of a
/// request that nginx takes as it comes (four times 8 KiB) fits.
pub(super) const MAX_LINE: usize = 256 << 10;

/// Bytes that are read at once, where no line is longer.
const CHUNK: usize = 128 << 10;

/// A line, without its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    /// Where in its file it begins.
    pub(super) offset: u64,
    /// Whether it was longer.
    pub(super) is_cut: bool,
}

/// What became of the file since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Same,
    /// There is more of it.
    Grown,
    /// It was emptied, and may have been filled again.
    Emptied,
    /// It lacks some of what was read of it.
    Cut,
}

/// A file, and how far it has been read.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
    position: Position,
    /// Its size, and when it was changed, at the last look.
    seen: Option<(u64, SystemTime)>,
    /// Whether there is more to read of what was seen.
    has_more: bool,
    /// When it last grew.
    pub(super) grown: Instant,
}

impl Tail {
    /// Opens the file to be read from its beginning.
    ///
    /// # Errors
    /// It cannot be read, or is no regular file.
    pub(super) fn open(path: &Path) -> io::Result<Tail> {
        Tail::of(open_regular(path)?)
    }

    /// The file, to be read from its beginning.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn of(file: File) -> io::Result<Tail> {
        let metadata = file.metadata()?;
        let position = Position {
            file: FileId::of(&metadata),
            offset: 0,
            within_line: false,
            beginning: Beginning::default(),
        };
        Ok(Tail { file, position, seen: None, has_more: false, grown: Instant::now() })
    }

    /// The same, passing over what is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn at_end(mut self) -> io::Result<Tail> {
        let size = self.file.metadata()?.len();
        // What has no end yet is a line that is still being written: its end alone would be no line.
        let from = size.saturating_sub(MAX_LINE as u64);
        let mut last = vec![0; (size - from) as usize];
        self.file.read_exact_at(&mut last, from)?;
        (self.position.offset, self.position.within_line) = match last.iter().rposition(|byte| *byte == b'\n')
        {
            Some(end) => (from + end as u64 + 1, false),
            None if from == 0 => (0, false),
            None => (size, true),
        };
        self.keep_beginning()?;
        Ok(self)
    }

    /// The same, from where a file that began so was left; from its end, where it is shorter by now, as after a loss of power.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn at(mut self, left: &Position) -> io::Result<Tail> {
        if self.file.metadata()?.len() < left.offset {
            return self.at_end();
        }
        self.position = Position { file: self.position.file, ..*left };
        Ok(self)
    }

    /// Whether the file begins as one that was read.
    pub(super) fn begins_as(&self, left: &Position) -> bool {
        left.beginning.is_of(&self.file)
    }

    /// How far it has been read.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// How large it is by now.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// When it was made; where the file system does not tell, when it was changed.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn born(&self) -> io::Result<SystemTime> {
        let metadata = self.file.metadata()?;
        metadata.created().or_else(|_| metadata.modified())
    }

    /// Whether it begins as another, as far as both go: it may be a copy of it, in the making too.
    pub(super) fn begins_like(&self, other: &Tail) -> bool {
        let common = || Some(self.size().ok()?.min(other.size().ok()?).min(Beginning::ENOUGH));
        common().is_some_and(|common| {
            let of = |tail: &Tail| Beginning::of(&tail.file, common).ok();
            common > 0 && of(self).is_some() && of(self) == of(other)
        })
    }

    /// Whether these are its first bytes.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        Beginning::of(&self.file, bytes.len() as u64).is_ok_and(|beginning| beginning.is_of_bytes(bytes))
    }

    /// Which file it is.
    pub(super) fn id(&self) -> FileId {
        self.position.file
    }

    /// Whether all that was seen of it has been read, but for a line that has no end.
    pub(super) fn is_read(&self) -> bool {
        !self.has_more
    }

    /// Bytes that were there at the last look and have not been read.
    pub(super) fn behind(&self) -> u64 {
        self.seen.map_or(0, |(size, _)| size.saturating_sub(self.position.offset))
    }

    /// Looks what became of the file.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub(super) fn look(&mut self) -> io::Result<Look> {
        let metadata = self.file.metadata()?;
        let now = Some((metadata.len(), metadata.modified()?));
        if now == self.seen {
            return Ok(if self.has_more { Look::Grown } else { Look::Same });
        }
        let read = self.position.beginning.len > 0;
        if read && !self.position.beginning.is_of(&self.file) {
            return Ok(Look::Emptied);
        }
        if metadata.len() < self.position.offset {
            return Ok(Look::Cut);
        }
        (self.seen, self.grown) = (now, Instant::now());
        self.has_more = metadata.len() > self.position.offset;
        Ok(if self.has_more { Look::Grown } else { Look::Same })
    }

    /// Goes on at the end of the file that was cut.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn go_to_end(&mut self) -> io::Result<()> {
        let file = self.file.try_clone()?;
        let position = Position { offset: 0, within_line: false, ..self.position };
        *self = Tail { file, position, seen: None, has_more: false, grown: Instant::now() }.at_end()?;
        Ok(())
    }

    /// Begins anew, in the file that was emptied.
    pub(super) fn begin_anew(&mut self) {
        let Position { file, .. } = self.position;
        self.position = Position { file, offset: 0, within_line: false, beginning: Beginning::default() };
        (self.seen, self.has_more, self.grown) = (None, false, Instant::now());
    }

    /// Reads the lines of one chunk. Whether there may be more.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, mut line: impl FnMut(Line<'_>)) -> io::Result<bool> {
        buffer.resize(CHUNK, 0);
        let mut len = self.file.read_at(buffer, self.position.offset)?;
        if len == CHUNK && !self.position.within_line && !buffer.contains(&b'\n') {
            buffer.resize(MAX_LINE + CHUNK, 0);
            len = self.file.read_at(buffer, self.position.offset)?;
        }
        let mut rest = &buffer[..len];
        let mut taken = 0;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            if !std::mem::take(&mut self.position.within_line) {
                line(self.line(&rest[..end], taken));
            }
            taken += end as u64 + 1;
            rest = &rest[end + 1..];
        }
        if self.position.within_line || rest.len() > MAX_LINE {
            if !self.position.within_line {
                line(self.line(rest, taken));
            }
            self.position.within_line = true;
            taken += rest.len() as u64;
        }
        self.position.offset += taken;
        self.keep_beginning()?;
        // A whole chunk was there: there may be more behind it, unless all of it is a line without its end.
        self.has_more = taken > 0 && len >= CHUNK;
        Ok(self.has_more)
    }

    /// Reads what is left at the end of a file that is not written any more and has been read: a line without an end.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>, line: impl FnOnce(Line<'_>)) -> io::Result<()> {
        buffer.resize(MAX_LINE, 0);
        let len = self.file.read_at(buffer, self.position.offset)?;
        if len > 0 && !self.position.within_line {
            line(self.line(&buffer[..len], 0));
        }
        self.position.offset += len as u64;
        self.keep_beginning()
    }

    fn line<'a>(&self, bytes: &'a [u8], after: u64) -> Line<'a> {
        Line {
            bytes: bytes.get(..MAX_LINE).unwrap_or(bytes),
            offset: self.position.offset + after,
            is_cut: bytes.len() > MAX_LINE,
        }
    }

    /// Knows by how much of its beginning the file is told from another.
    fn keep_beginning(&mut self) -> io::Result<()> {
        let known = self.position.beginning.len;
        if known < Beginning::ENOUGH && self.position.offset > known {
            self.position.beginning = Beginning::of(&self.file, self.position.offset)?;
        }
        Ok(())
    }
}

/// Opens a file to be read that is a regular one: a device is not opened, of which some act upon it, nor a pipe, which would
/// keep the thread.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    // What is looked at is what is opened, whatever is at the path by then.
    let place = File::options().read(true).custom_flags(libc::O_PATH).open(path)?;
    if !place.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    File::open(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn lines(tail: &mut Tail) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = Vec::new();
        while tail
            .read(&mut buffer, |line| lines.push(String::from_utf8_lossy(line.bytes).into_owned()))
            .unwrap()
        {}
        lines
    }

    #[test]
    fn a_line_is_told_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = File::create(&path).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        assert_eq!(tail.look().unwrap(), Look::Same);
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.look().unwrap(), Look::Grown);
        assert_eq!(lines(&mut tail), ["one"]);
        assert!(lines(&mut tail).is_empty());
        file.write_all(b"o\n\xff\0\n").unwrap();
        assert_eq!(lines(&mut tail), ["two", "\u{fffd}\0"]);
        file.write_all(b"end").unwrap();
        let mut last = Vec::new();
        tail.finish(&mut Vec::new(), |line| last.push(line.bytes.to_vec())).unwrap();
        assert_eq!(last, [b"end"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_its_rest_is_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let long = "x".repeat(3 * MAX_LINE + 7);
        fs::write(&path, format!("a\n{long}\nb\n{}\n", "y".repeat(MAX_LINE))).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        let told = lines(&mut tail);
        assert_eq!(told.iter().map(String::len).collect::<Vec<_>>(), [1, MAX_LINE, 1, MAX_LINE]);
        // The same where it is still being written, and where the reader begins anew in its middle.
        fs::write(&path, &long).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        assert_eq!(lines(&mut tail).len(), 1);
        let mut tail = Tail::open(&path).unwrap().at(&tail.position()).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"rest\nnext\n").unwrap();
        assert_eq!(lines(&mut tail), ["next"]);
    }

    #[test]
    fn a_line_without_its_end_is_waited_for_and_not_read_over_and_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "x".repeat(CHUNK + 7)).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        assert_eq!(tail.look().unwrap(), Look::Grown);
        assert!(!tail.read(&mut Vec::new(), |_| panic!()).unwrap() && tail.is_read());
        assert_eq!(tail.look().unwrap(), Look::Same);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"\n").unwrap();
        assert_eq!(tail.look().unwrap(), Look::Grown);
        assert_eq!(lines(&mut tail)[0].len(), CHUNK + 7);
    }

    #[test]
    fn what_was_there_before_is_passed_over_but_for_a_line_that_is_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (before, told) in
            [("", vec!["x"]), ("one\n", vec!["x"]), ("one\ntw", vec!["twx"]), ("tw", vec!["twx"])]
        {
            fs::write(&path, before).unwrap();
            let mut tail = Tail::open(&path).unwrap().at_end().unwrap();
            OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x\n").unwrap();
            assert_eq!(lines(&mut tail), told, "{before:?}");
        }
        fs::write(&path, format!("a\n{}", "x".repeat(2 * MAX_LINE))).unwrap();
        let mut tail = Tail::open(&path).unwrap().at_end().unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"rest\nnext\n").unwrap();
        assert_eq!(lines(&mut tail), ["next"]);
    }

    #[test]
    fn a_file_that_was_emptied_and_filled_again_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "one\ntwo\n").unwrap();
        let mut tail = Tail::open(&path).unwrap();
        lines(&mut tail);
        let left = tail.position();
        fs::write(&path, "a longer one\nthan before\n").unwrap();
        assert_eq!(tail.look().unwrap(), Look::Emptied);
        assert!(!Tail::open(&path).unwrap().begins_as(&left));
        tail.begin_anew();
        assert_eq!(lines(&mut tail), ["a longer one", "than before"]);
        fs::write(&path, "").unwrap();
        assert_eq!(tail.look().unwrap(), Look::Emptied);
    }

    #[test]
    fn a_file_that_lost_its_end_is_read_from_there_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let first = "x".repeat(300);
        fs::write(&path, format!("{first}\ntwo\nthree\n")).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        lines(&mut tail);
        let left = tail.position();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(303).unwrap();
        assert_eq!(tail.look().unwrap(), Look::Cut);
        tail.go_to_end().unwrap();
        let mut again = Tail::open(&path).unwrap().at(&left).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"-\nnext\n").unwrap();
        for tail in [&mut tail, &mut again] {
            assert_eq!(lines(tail), ["tw-", "next"]);
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_waited_for_by_nobody() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Tail::open(folder.path()).is_err());
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(Tail::open(&pipe).is_err());
    }

    proptest! {
        /// However the file grows, and wherever the reader begins anew, each line is told once.
        #[test]
        fn each_line_is_told_once(
            texts in prop::collection::vec("[a-z]{0,40}", 0..20),
            cuts in prop::collection::vec(0_usize..900, 0..10),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            let whole: String = texts.iter().flat_map(|text| [text.as_str(), "\n"]).collect();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.push(whole.len());
            cuts.sort_unstable();
            let mut told = Vec::new();
            let mut left = None;
            for cut in cuts {
                fs::write(&path, &whole[..cut]).unwrap();
                let tail = Tail::open(&path).unwrap();
                let mut tail = match &left {
                    Some(left) => tail.at(left).unwrap(),
                    None => tail,
                };
                told.extend(lines(&mut tail));
                left = Some(tail.position());
            }
            prop_assert_eq!(told, texts);
        }
    }
}
