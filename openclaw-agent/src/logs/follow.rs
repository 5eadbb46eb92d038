//! The files of a source, followed through rotation: those at its paths, and those that were there before and may still be
//! written.
//!
//! A file is known by its number and by how it begins. So what was renamed, copied, or written anew with the same contents is
//! never read twice, whatever it is called; and what came while nobody looked is told by when it was made.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use openclaw_detect::Timestamp;

use super::packed::{self, Packed};
use super::position::{Beginning, FileId, Position, Progress};
use super::rotation::{beside_uncompressed, expanded, is_rotated, rotated_from, siblings, target};
use super::tail::{Line, Look, Tail};
use crate::output::time;

/// Longer than any clock is wrong.
const FOREVER: Duration = Duration::from_secs(1 << 32);

/// How long a file that was rotated away is read on: who writes it opens the new one when told to, not at once.
const GRACE: Duration = Duration::from_secs(60);

/// How often it is looked for files that match a pattern.
const AGAIN: Duration = Duration::from_secs(1);

/// Files that have been read to their end and are remembered.
const MAX_CLOSED: usize = 1024;

/// Files that are open at once. More wait until one of these has been read.
const MAX_OPEN: usize = 128;

/// How long before now a file was made that may not have been looked at yet.
const UNSEEN: Duration = Duration::from_secs(60);

/// How coarse the times of files are, and how much earlier than it was a file may so say that it was made.
const TICK: Duration = Duration::from_millis(20);

/// The files of a source.
#[derive(Debug)]
pub(super) struct Followed {
    /// As they are configured: of their names parts may be `*`.
    paths: Vec<PathBuf>,
    /// The paths of which a file may be there, and when these were looked for last, by both clocks.
    expanded: Vec<PathBuf>,
    looked: (Instant, Timestamp),
    /// The oldest first.
    open: Vec<Open>,
    /// Those that have been read to their end, the oldest first.
    closed: VecDeque<Position>,
    /// Files that were emptied and whose copies are read.
    continued: VecDeque<FileId>,
    /// Copies of files that are read, and when they were made.
    copies: VecDeque<(FileId, SystemTime)>,
    /// Files that are empty and may be copies in the making: what is written to them while nobody reads is news.
    empty: BTreeSet<FileId>,
    /// What is not known and was made before is of no concern.
    since: SystemTime,
    grace: Duration,
}

/// A file that is read.
#[derive(Debug)]
struct Open {
    tail: Tail,
    /// The path at which it is, or was.
    path: PathBuf,
    /// Whether it is there.
    is_there: bool,
}

/// What is to be known of a round over the files.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Whether there is more to read at once.
    pub(super) more: bool,
    /// What cannot be read, and why.
    pub(super) problem: Option<String>,
    /// Why lines are missing.
    pub(super) missing: Option<String>,
}

impl Followed {
    /// Follows paths: from where they were left, or from now on.
    pub(super) fn begin(paths: Vec<PathBuf>, left: Option<&Progress>) -> (Followed, Round) {
        let now = SystemTime::now();
        let since = left.map(|left| SystemTime::UNIX_EPOCH + Duration::from_nanos(left.at.0));
        let (awaited, closed) =
            left.map(|left| (left.files.clone(), left.closed.clone())).unwrap_or_default();
        // What was open is known like what was not, until it is found.
        let known: Vec<_> = closed.into_iter().chain(awaited.iter().copied()).collect();
        let mut followed = Followed {
            expanded: expanded(&paths),
            paths,
            looked: (Instant::now(), time::now()),
            open: Vec::new(),
            closed: known.iter().copied().collect(),
            continued: VecDeque::new(),
            copies: VecDeque::new(),
            empty: BTreeSet::new(),
            // At the first start nothing that is there is news.
            since: since.map_or(now + FOREVER, |since| since.checked_sub(TICK).unwrap_or(since)),
            grace: GRACE,
        };
        let mut round = Round::default();
        // Those of the others are found with the file at the path.
        let before = rotated_from(&followed.paths);
        for path in followed.expanded.iter().chain(&before).cloned().collect::<BTreeSet<_>>() {
            if !path.exists() {
                followed.find_rotated(&path);
            }
        }
        followed.look(&mut round);
        if since.is_none() {
            followed.since = now.checked_sub(TICK).unwrap_or(now);
            return (followed, round);
        }
        let packed = followed.find_packed(&before, &known, &mut round);
        let has_found =
            |left: &Position| followed.has_found(left) || packed.iter().any(|packed| packed.begins_as(left));
        if !awaited.iter().all(has_found) {
            round.missing =
                Some("what was written last to a file of it may be missing: the file is gone, or compressed otherwise than by gzip".to_owned());
        }
        (followed, round)
    }

    /// Unpacks what rotation has compressed since it was left and has not been read to its end; `known` is how far files had
    /// been read then, and `before` where there were such. All that is compressed.
    fn find_packed(&mut self, before: &[PathBuf], known: &[Position], round: &mut Round) -> Vec<Packed> {
        let is_packed = |rest: &str| rest.strip_suffix(packed::END).is_some_and(is_rotated);
        let (mut all, mut unpacked, mut seen) = (Vec::<Packed>::new(), Vec::new(), BTreeSet::new());
        let mut at_most = packed::MAX_UNPACKED;
        for path in self.expanded.iter().chain(before) {
            let mut siblings = siblings(path, is_packed);
            siblings.retain(|(_, metadata)| seen.insert(FileId::of(metadata)));
            let plain: Vec<_> =
                if siblings.is_empty() { Vec::new() } else { beside_uncompressed(path).collect() };
            for (sibling, _) in siblings {
                let missing = |error: &dyn Display| {
                    Some(format!("what was written last to {} may be missing: {error}", sibling.display()))
                };
                // It is being compressed.
                if sibling.with_extension("").exists() {
                    continue;
                }
                let packed = match Packed::open(&sibling) {
                    Ok(packed) if packed.is_empty() => continue,
                    Ok(packed) => packed,
                    // What is none whatever its name says is no log.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => continue,
                    Err(error) => {
                        round.missing = missing(&error);
                        continue;
                    }
                };
                // Read as it was, or there twice.
                let is_read = self.open.iter().any(|open| packed.is_copy_of(&open.tail))
                    || all.iter().any(|other| packed.is_same_as(other))
                    || plain.iter().any(|tail| packed.is_copy_of(tail));
                match known.iter().rev().find(|left| packed.begins_as(left)) {
                    _ if is_read => {}
                    Some(left) if packed.has_more_than(left) => match packed.unpack(left, &mut at_most) {
                        Ok(tail) => {
                            self.closed.retain(|closed| closed != left);
                            unpacked.push(Open { tail, path: path.clone(), is_there: false });
                        }
                        Err(error) => round.missing = missing(&error),
                    },
                    Some(_) => {}
                    // Not every compressor keeps the time of the last line: whether it is news is not known.
                    None if packed.written >= self.since => {
                        round.missing = missing(&"it was compressed since, and was not known before");
                    }
                    None => {}
                }
                all.push(packed);
            }
        }
        // They are older than what is not compressed yet.
        self.open.splice(0..0, unpacked);
        all
    }

    /// Whether a file that was read is still there, to be read on or not, under whatever name.
    fn has_found(&self, left: &Position) -> bool {
        let is_in = |folder: &&Path| {
            let files = fs::read_dir(folder).into_iter().flatten().flatten();
            files.take(MAX_CLOSED).any(|file| Tail::open(&file.path()).is_ok_and(|tail| tail.begins_as(left)))
        };
        let targets: Vec<_> = self.expanded.iter().filter_map(|path| target(path)).collect();
        let paths = self.paths.iter().chain(&targets);
        let folders: BTreeSet<&Path> = paths.filter_map(|path| path.parent()).collect();
        left.beginning.len == 0
            || self.open.iter().any(|open| open.tail.begins_as(left))
            || folders.iter().any(is_in)
    }

    /// When it was looked for files the last time: what was made since may not have been seen.
    pub(super) fn looked_at(&self) -> Timestamp {
        self.looked.1
    }

    /// How far the files have been read: those that are open, and those that are not any more.
    pub(super) fn positions(&self) -> (Vec<Position>, Vec<Position>) {
        let empty = self.empty.iter().map(|file| Position {
            file: *file,
            offset: 0,
            within_line: false,
            beginning: Beginning::default(),
        });
        let closed = self.closed.iter().copied().chain(empty);
        (self.open.iter().map(|open| open.tail.position()).collect(), closed.collect())
    }

    /// Bytes that are there and not read yet.
    pub(super) fn behind(&self) -> u64 {
        self.open.iter().map(|open| open.tail.behind()).sum()
    }

    /// Whether there is any file.
    pub(super) fn is_there(&self) -> bool {
        !self.open.is_empty()
    }

    /// Reads what has come, at each path the oldest file first. `line` is told the path.
    pub(super) fn poll(&mut self, buffer: &mut Vec<u8>, line: &mut dyn FnMut(&Path, Line<'_>)) -> Round {
        let mut round = Round::default();
        self.look(&mut round);
        let mut unread = BTreeSet::new();
        let mut at = 0;
        while at < self.open.len() {
            // What was in a file that was emptied and is in its copy now comes before what is in it by now.
            if let Some(copy) = self.look_for_copy(at, &mut round) {
                self.open.insert(at, copy);
                continue;
            }
            let Open { tail, path, .. } = &mut self.open[at];
            at += 1;
            // The lines of a newer file come after all of an older one's.
            if tail.is_read() || unread.contains(path.as_path()) {
                continue;
            }
            match tail.read(buffer, |one| line(path, one)) {
                Ok(true) => {
                    unread.insert(path.clone());
                }
                Ok(false) => {}
                Err(error) => round.complain(path, &error),
            }
        }
        round.more = !unread.is_empty();
        self.close(buffer, line);
        round
    }

    /// Looks which files are at the paths by now, and for what rotation has made of those before.
    fn look(&mut self, round: &mut Round) {
        let mut there = BTreeSet::new();
        if self.looked.0.elapsed() >= AGAIN {
            self.looked = (Instant::now(), time::now());
            self.expanded = expanded(&self.paths);
        }
        for path in self.expanded.clone() {
            let Some(metadata) = round.unless_missing(&path, fs::metadata(&path)) else { continue };
            if !metadata.is_file() {
                round.complain(&path, &io::Error::other("it is no regular file"));
                continue;
            }
            let id = FileId::of(&metadata);
            if self.open.iter().any(|open| open.tail.id() == id) {
                there.insert(id);
                continue;
            }
            // What has been read to its end is opened for as long as there is room, to be watched and told of.
            let is_read = |closed: &Position| closed.file == id && closed.offset == metadata.len();
            let is_crowded = self.open.len() >= MAX_OPEN / 2;
            if is_crowded && metadata.len() > 0 && self.closed.iter().any(is_read) {
                continue;
            }
            let Some(tail) = round.unless_missing(&path, Tail::open(&path)) else { continue };
            self.find_rotated(&path);
            if self.open.len() >= MAX_OPEN {
                round.problem =
                    Some(format!("more than {MAX_OPEN} files are to be read at once: the rest waits"));
                continue;
            }
            let id = tail.id();
            if let Some(tail) = round.unless_missing(&path, self.take(tail, Some(&path))).flatten() {
                there.insert(id);
                self.open.push(Open { tail, path, is_there: true });
            }
        }
        for open in &mut self.open {
            open.is_there = there.contains(&open.tail.id());
        }
    }

    /// Opens the files beside a path that rotation has moved there and that have not been read to their end.
    fn find_rotated(&mut self, path: &Path) {
        for (rotated, metadata) in siblings(path, is_rotated) {
            let id = FileId::of(&metadata);
            if self.open.len() + 1 >= MAX_OPEN {
                return;
            }
            if self.open.iter().any(|open| open.tail.id() == id) {
                continue;
            }
            // What cannot be opened any more is gone.
            let Ok(Some(tail)) = Tail::open(&rotated).and_then(|tail| self.take(tail, None)) else {
                continue;
            };
            self.open.push(Open { tail, path: path.to_owned(), is_there: false });
        }
    }

    /// Where a file is to be read from; none where it is not to be, or not yet. `at` is the path that it is at, if at any:
    /// there it is read on though it is older than the source.
    fn take(&mut self, tail: Tail, at: Option<&Path>) -> io::Result<Option<Tail>> {
        let (id, size) = (tail.id(), tail.size()?);
        self.empty.remove(&id);
        let same = self.closed.iter().rev().find(|closed| closed.file == id).copied();
        if let Some(known) = self.known(&tail, same, size) {
            if known.file != id {
                remember(&mut self.continued, known.file);
            }
            let tail = tail.at(&known)?;
            if at.is_none() && tail.position().offset >= size {
                // It is known by its own number from now on.
                if known.file != id {
                    remember(&mut self.closed, Position { file: id, ..known });
                }
                return Ok(None);
            }
            self.closed.retain(|closed| *closed != known && closed.file != id);
            return Ok(Some(tail));
        }
        // Another file has the number by now, or it was emptied: what it holds has not been read.
        self.closed.retain(|closed| closed.file != id);
        let (is_anew, born) = (same.is_some(), tail.born()?);
        // As the other is by now, or, where that was emptied, as it was when it was read.
        let is_copy_of = |open: &&Open| tail.begins_like(&open.tail) || tail.begins_as(&open.tail.position());
        if let Some(original) = self.open.iter().find(is_copy_of) {
            let left = original.tail.position();
            let is_in_its_place = at.is_some_and(|path| original.path == path);
            // It is read on in the other's stead.
            if is_in_its_place && size >= left.offset && tail.begins_as(&left) {
                self.open.retain(|open| open.tail.id() != left.file);
                return tail.at(&left).map(Some);
            }
            // The lines behind are told by the file itself, or are looked for in its copies once it was emptied.
            if !is_in_its_place {
                if tail.begins_as(&left) && left.beginning.len == Beginning::ENOUGH {
                    remember(&mut self.copies, (id, born));
                }
                return Ok(None);
            }
        }
        // A copy of what was read that is being made while the agent starts.
        if self.closed.iter().any(|left| left.offset > size && tail.begins_as(left)) {
            return Ok(None);
        }
        let is_news = born >= self.since || self.continued.contains(&id);
        match at {
            _ if self.copies.contains(&(id, born)) => Ok(None),
            // A copy begins as an empty file.
            Some(_) if is_news && size == 0 => {
                if self.empty.len() < MAX_CLOSED {
                    self.empty.insert(id);
                }
                Ok(None)
            }
            Some(_) if is_news || is_anew => Ok(Some(tail)),
            None if is_news => Ok(Some(tail)),
            Some(_) => tail.at_end().map(Some),
            None => Ok(None),
        }
    }

    /// How far a file has been read that is not open: by its own number, of which `same` is known, or else by its contents.
    fn known(&self, tail: &Tail, same: Option<Position>, size: u64) -> Option<Position> {
        let is_same = |same: &Position| match same.beginning.len {
            0 => same.offset == 0,
            _ => tail.begins_as(same),
        };
        let fits = |closed: &&Position| closed.offset <= size && tail.begins_as(closed);
        same.filter(is_same).or_else(|| self.closed.iter().rev().find(fits).copied())
    }

    /// Looks whether a file was emptied. It is read from its beginning then, and where it was copied before, as log rotation
    /// does with `copytruncate`, the copy has the lines that were not read yet.
    fn look_for_copy(&mut self, at: usize, round: &mut Round) -> Option<Open> {
        let Open { tail, path, .. } = &mut self.open[at];
        let looked = match tail.look() {
            Ok(Look::Cut) => tail.go_to_end().map(|()| Look::Cut),
            looked => looked,
        };
        match looked {
            Ok(Look::Emptied) => {
                let (left, is_behind) = (tail.position(), tail.behind() > 0);
                tail.begin_anew();
                // What it holds by now is read in this round.
                tail.look().inspect_err(|error| round.complain(path, error)).ok();
                let path = path.clone();
                let copies = siblings(&path, |_| true).into_iter().rev();
                let is_copy = |(_, metadata): &(PathBuf, Metadata)| {
                    FileId::of(metadata) != left.file && metadata.len() >= left.offset
                };
                let opened = copies.filter(is_copy).filter_map(|(copy, _)| Tail::open(&copy).ok());
                let copy = opened.into_iter().find(|copy| copy.begins_as(&left));
                let Some(tail) = copy.and_then(|copy| copy.at(&left).ok()) else {
                    if is_behind {
                        let path = path.display();
                        round.missing =
                            Some(format!("{path} was emptied before it had been read to its end"));
                    }
                    return None;
                };
                self.copies.retain(|(copy, _)| *copy != tail.id());
                Some(Open { tail, path, is_there: false })
            }
            Ok(Look::Grown | Look::Same | Look::Cut) => None,
            Err(error) => {
                round.complain(path, &error);
                None
            }
        }
    }

    /// Closes files that are at no path any more and have not been written for long.
    fn close(&mut self, buffer: &mut Vec<u8>, line: &mut dyn FnMut(&Path, Line<'_>)) {
        let grace = self.grace;
        let is_crowded = self.open.len() > MAX_OPEN / 2;
        let is_over = |open: &mut Open| {
            let is_idle = open.tail.is_read() && open.tail.grown.elapsed() >= grace;
            // One that is at a path is opened again when it grows.
            is_idle && (!open.is_there || (is_crowded && open.tail.behind() == 0))
        };
        for mut open in self.open.extract_if(.., is_over) {
            if !open.is_there {
                // What cannot be read any more is gone.
                let _ = open.tail.finish(buffer, |one| line(&open.path, one));
            }
            let position = open.tail.position();
            self.closed.retain(|closed| closed.file != position.file);
            while self.closed.len() >= MAX_CLOSED {
                self.closed.pop_front();
                // What is forgotten is not to be taken for new.
                let unseen = SystemTime::now().checked_sub(UNSEEN).unwrap_or(self.since);
                self.since = self.since.max(unseen);
            }
            self.closed.push_back(position);
        }
    }
}

/// Adds one to what is remembered, of which the oldest make room.
fn remember<T: PartialEq>(all: &mut VecDeque<T>, one: T) {
    if all.contains(&one) {
        return;
    }
    if all.len() == MAX_CLOSED {
        all.pop_front();
    }
    all.push_back(one);
}

impl Round {
    /// What there is; nothing where the file is not there, which is none to complain of.
    fn unless_missing<T>(&mut self, path: &Path, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.complain(path, &error);
                None
            }
        }
    }

    fn complain(&mut self, path: &Path, error: &io::Error) {
        self.problem = Some(format!("{} cannot be read: {error}", path.display()));
    }
}

#[cfg(test)]
mod tests;
