//! Logs that are written, rotated, copied, emptied and compressed, while they are read and while nobody reads.

use std::fs::{File, OpenOptions};
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The lines that there are by now, of files that have no problem.
fn lines(followed: &mut Followed) -> Vec<String> {
    let mut lines = Vec::new();
    followed.expanded = expanded(&followed.paths);
    loop {
        let round = followed.poll(&mut Vec::new(), &mut |_, line| {
            lines.push(String::from_utf8_lossy(line.bytes).into_owned());
        });
        assert_eq!((round.problem, round.missing), (None, None));
        if !round.more {
            return lines;
        }
    }
}

struct Log {
    folder: tempfile::TempDir,
    pattern: &'static str,
}

impl Log {
    fn new(pattern: &'static str) -> Log {
        Log { folder: tempfile::tempdir().unwrap(), pattern }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn begin(&self, left: Option<&Progress>) -> (Followed, Option<String>) {
        // Of what was written just before it is told that it was.
        std::thread::sleep(2 * TICK);
        let (followed, round) = Followed::begin(vec![self.path(self.pattern)], left);
        assert_eq!(round.problem, None);
        (followed, round.missing)
    }

    fn follow(&self) -> Followed {
        self.begin(None).0
    }
}

fn left(followed: &Followed) -> Progress {
    let (files, closed) = followed.positions();
    let left = Progress { at: time::now(), files, closed, ..Progress::default() };
    std::thread::sleep(2 * TICK);
    left
}

#[test]
fn a_file_that_was_rotated_away_is_read_on_until_nobody_writes_it() {
    let log = Log::new("log");
    append(&log.path("log"), "before\n");
    let mut followed = log.follow();
    append(&log.path("log"), "one\n");
    assert_eq!(lines(&mut followed), ["one"]);
    append(&log.path("log"), "two\n");
    fs::rename(log.path("log"), log.path("log.1")).unwrap();
    assert_eq!(lines(&mut followed), ["two"], "no new file yet");
    append(&log.path("log.1"), "three\n");
    append(&log.path("log"), "five\n");
    append(&log.path("log.1"), "four\n");
    assert_eq!(lines(&mut followed), ["three", "four", "five"]);
    append(&log.path("log.1"), "late\nhalf");
    assert_eq!(lines(&mut followed), ["late"]);
    assert_eq!(followed.open.len(), 2);
    followed.grace = Duration::ZERO;
    assert_eq!(lines(&mut followed), ["half"], "nobody ends it any more");
    assert_eq!(followed.open.len(), 1);
    // Twice between two looks.
    fs::rename(log.path("log"), log.path("log.2")).unwrap();
    append(&log.path("log"), "six\n");
    fs::rename(log.path("log"), log.path("log.3")).unwrap();
    append(&log.path("log"), "seven\n");
    assert_eq!(lines(&mut followed), ["six", "seven"]);
}

#[test]
fn a_file_that_is_copied_and_emptied_loses_no_line_that_was_not_read_yet() {
    let log = Log::new("log");
    let mut followed = log.follow();
    append(&log.path("log"), "one\n");
    assert_eq!(lines(&mut followed), ["one"]);
    append(&log.path("log"), "two\n");
    fs::copy(log.path("log"), log.path("log-20261127")).unwrap();
    fs::write(log.path("log"), "").unwrap();
    append(&log.path("log"), "three\n");
    assert_eq!(lines(&mut followed), ["two", "three"]);
    // Filled beyond what it was before it is looked at.
    fs::copy(log.path("log"), log.path("log-20261128")).unwrap();
    fs::write(log.path("log"), "four, which is long\nfive\n").unwrap();
    assert_eq!(lines(&mut followed), ["four, which is long", "five"]);
    // Emptied without any copy.
    fs::write(log.path("log"), "six\n").unwrap();
    assert_eq!(lines(&mut followed), ["six"]);
}

#[test]
fn a_reader_that_begins_anew_goes_on_where_it_was_left_through_rotations() {
    for rotations in 0..=3 {
        for pattern in ["log", "log*"] {
            let log = Log::new(pattern);
            let mut followed = log.follow();
            append(&log.path("log"), "read\n");
            assert_eq!(lines(&mut followed), ["read"]);
            let left = left(&followed);
            drop(followed);
            let mut expected = vec!["0".to_owned()];
            append(&log.path("log"), "0\n");
            for rotation in 1..=rotations {
                for number in (1..rotation).rev() {
                    let name = |number: i32| log.path(&format!("log.{number}"));
                    fs::rename(name(number), name(number + 1)).unwrap();
                }
                fs::rename(log.path("log"), log.path("log.1")).unwrap();
                std::thread::sleep(TICK);
                append(&log.path("log"), &format!("{rotation}\n"));
                expected.push(rotation.to_string());
            }
            let (mut followed, missing) = log.begin(Some(&left));
            let mut told = lines(&mut followed);
            // Which of several paths is the older, nobody can say.
            told.sort();
            assert_eq!((told, missing), (expected, None), "{pattern}");
            append(&log.path("log"), "more\n");
            assert_eq!(lines(&mut followed), ["more"]);
        }
    }
}

#[test]
fn a_reader_that_begins_anew_finds_the_copy_of_a_file_that_was_emptied() {
    let log = Log::new("log");
    let mut followed = log.follow();
    append(&log.path("log"), "read\n");
    assert_eq!(lines(&mut followed), ["read"]);
    // The file is older than what is known of it.
    std::thread::sleep(2 * TICK);
    let left = left(&followed);
    append(&log.path("log"), "one\n");
    fs::copy(log.path("log"), log.path("log.1")).unwrap();
    fs::write(log.path("log"), "two\n").unwrap();
    let (mut followed, missing) = log.begin(Some(&left));
    let mut told = lines(&mut followed);
    told.sort();
    assert_eq!((told, missing), (vec!["one".to_owned(), "two".to_owned()], None));
}

#[test]
fn what_was_rotated_away_where_a_link_leads_is_read_on() {
    let log = Log::new("*.log");
    fs::create_dir(log.path("pod")).unwrap();
    append(&log.path("pod/0"), "before\n");
    std::os::unix::fs::symlink(log.path("pod/0"), log.path("web.log")).unwrap();
    let mut followed = log.follow();
    append(&log.path("pod/0"), "read\n");
    assert_eq!(lines(&mut followed), ["read"]);
    let stopped = left(&followed);
    append(&log.path("pod/0"), "one\n");
    compress(&log, "pod/0", "pod/0.20261127-100000.gz");
    append(&log.path("pod/0"), "two\n");
    fs::rename(log.path("pod/0"), log.path("pod/0.20261127-110000")).unwrap();
    append(&log.path("pod/0"), "three\n");
    let (mut followed, missing) = log.begin(Some(&stopped));
    assert_eq!((lines(&mut followed), missing), (vec!["one".into(), "two".into(), "three".into()], None));
}

/// Compresses a log as rotation does, which keeps the time of the last line.
fn compress(log: &Log, from: &str, to: &str) {
    let mut encoder = GzEncoder::new(File::create(log.path(to)).unwrap(), Compression::default());
    encoder.write_all(&fs::read(log.path(from)).unwrap()).unwrap();
    let written = fs::metadata(log.path(from)).unwrap().modified().unwrap();
    encoder.finish().unwrap().set_modified(written).unwrap();
    fs::remove_file(log.path(from)).unwrap();
}

#[test]
fn a_reader_that_begins_anew_reads_on_what_was_compressed() {
    for pattern in ["log", "log*"] {
        let log = Log::new(pattern);
        append(&log.path("log.9"), "long before\n");
        let mut followed = log.follow();
        append(&log.path("log"), "read\n");
        assert_eq!(lines(&mut followed), ["read"]);
        let stopped = left(&followed);
        append(&log.path("log"), "one\ntwo\nhalf");
        compress(&log, "log", "log.1.gz");
        compress(&log, "log.9", "log.9.gz");
        fs::copy(log.path("log.1.gz"), log.path("log.2.gz")).unwrap();
        append(&log.path("log"), "three\n");
        let (mut followed, missing) = log.begin(Some(&stopped));
        // What has been read in part when it is stopped again.
        let within = left(&followed);
        let all = vec!["one".to_owned(), "two".to_owned(), "three".to_owned()];
        assert_eq!((lines(&mut followed), missing), (all, None));
        let (mut followed, _) = log.begin(Some(&within));
        assert_eq!(lines(&mut followed).len(), 3);
        followed.grace = Duration::ZERO;
        assert_eq!(lines(&mut followed), ["half"], "nobody ends it");
        let stopped = left(&followed);
        let (mut followed, missing) = log.begin(Some(&stopped));
        assert_eq!((lines(&mut followed), missing), (Vec::new(), None), "{pattern}: all has been read");
    }
}

#[test]
fn what_is_copied_emptied_and_compressed_is_read_on_and_what_had_been_read_is_not_read_again() {
    for pattern in ["log", "log*"] {
        for (more, expected) in [("", vec!["new"]), ("more\n", vec!["more", "new"])] {
            let log = Log::new(pattern);
            let mut followed = log.follow();
            append(&log.path("log"), "read\n");
            assert_eq!(lines(&mut followed), ["read"]);
            let stopped = left(&followed);
            append(&log.path("log"), more);
            fs::copy(log.path("log"), log.path("log.1")).unwrap();
            compress(&log, "log.1", "log.1.gz");
            // The same file, by its number.
            fs::write(log.path("log"), "new\n").unwrap();
            let (mut followed, missing) = log.begin(Some(&stopped));
            assert_eq!(
                (lines(&mut followed), missing),
                (expected.iter().map(|l| (*l).to_owned()).collect(), None),
                "{pattern}"
            );
        }
    }
}

#[test]
fn what_had_been_read_and_is_copied_and_emptied_while_nobody_reads_is_not_read_again() {
    for pattern in ["log", "log*"] {
        let log = Log::new(pattern);
        let mut followed = log.follow();
        append(&log.path("log"), "read\n");
        assert_eq!(lines(&mut followed), ["read"]);
        let stopped = left(&followed);
        fs::copy(log.path("log"), log.path("log.1")).unwrap();
        fs::write(log.path("log"), "new\n").unwrap();
        let (mut followed, missing) = log.begin(Some(&stopped));
        assert_eq!((lines(&mut followed), missing), (vec!["new".to_owned()], None), "{pattern}");
    }
}

#[test]
fn a_device_is_not_opened_whatever_leads_to_it() {
    let log = Log::new("log*");
    std::os::unix::fs::symlink("/dev/zero", log.path("log")).unwrap();
    let (mut followed, round) = Followed::begin(vec![log.path("log*")], None);
    assert!(round.problem.unwrap().contains("it is no regular file"));
    let round = followed.poll(&mut Vec::new(), &mut |_, _| panic!("a line of a device"));
    assert!(round.problem.unwrap().contains("it is no regular file"));
}

#[test]
fn what_is_compressed_and_still_there_is_read_once() {
    let log = Log::new("log");
    let mut followed = log.follow();
    append(&log.path("log"), "read\n");
    assert_eq!(lines(&mut followed), ["read"]);
    let left = left(&followed);
    append(&log.path("log"), "one\n");
    fs::copy(log.path("log"), log.path("log.1")).unwrap();
    fs::rename(log.path("log"), log.path("packed")).unwrap();
    compress(&log, "packed", "log.1.gz");
    let (mut followed, missing) = log.begin(Some(&left));
    assert_eq!((lines(&mut followed), missing), (vec!["one".to_owned()], None));
}

#[test]
fn what_has_been_read_is_not_read_again_under_another_name() {
    let log = Log::new("log*");
    append(&log.path("log"), "before\n");
    let mut followed = log.follow();
    append(&log.path("log"), "one\n");
    assert_eq!(lines(&mut followed), ["one"]);
    fs::copy(log.path("log"), log.path("log.bak")).unwrap();
    fs::copy(log.path("log"), log.path("log.1")).unwrap();
    assert!(lines(&mut followed).is_empty(), "copies");
    fs::hard_link(log.path("log"), log.path("log-linked")).unwrap();
    std::os::unix::fs::symlink(log.path("log"), log.path("log-also")).unwrap();
    append(&log.path("log"), "two\n");
    assert_eq!(lines(&mut followed), ["two"], "other names of the same");
    fs::rename(log.path("log"), log.path("log.2")).unwrap();
    append(&log.path("log"), "three\n");
    assert_eq!(lines(&mut followed), ["three"]);
    followed.grace = Duration::ZERO;
    assert!(lines(&mut followed).is_empty() && lines(&mut followed).is_empty());
    // Written anew with the same contents, as who copies logs from elsewhere does.
    fs::copy(log.path("log"), log.path("new")).unwrap();
    append(&log.path("new"), "four\n");
    fs::rename(log.path("new"), log.path("log")).unwrap();
    assert_eq!(lines(&mut followed), ["four"]);
    // The copies are older than what is known.
    std::thread::sleep(2 * TICK);
    let left = left(&followed);
    let (mut followed, missing) = log.begin(Some(&left));
    assert_eq!((lines(&mut followed), missing), (Vec::new(), None), "after a restart");
    assert!(followed.is_there(), "what has been read is watched");
}

#[test]
fn a_copy_in_the_making_is_no_log() {
    let log = Log::new("log*");
    let mut followed = log.follow();
    let whole: String = (0..100).map(|number| format!("line {number}\n")).collect();
    append(&log.path("log"), &whole);
    assert_eq!(lines(&mut followed).len(), 100);
    for len in [0, 10, 300, whole.len()] {
        fs::write(log.path("log.1"), &whole[..len]).unwrap();
        assert!(lines(&mut followed).is_empty(), "{len} bytes of the copy");
    }
    append(&log.path("log"), "last\n");
    append(&log.path("log.1"), "last\n");
    fs::write(log.path("log"), "new\n").unwrap();
    assert_eq!(lines(&mut followed), ["last", "new"]);
    assert!(lines(&mut followed).is_empty());
    // Copied and emptied between two looks.
    append(&log.path("log"), &whole);
    assert_eq!(lines(&mut followed).len(), 100);
    fs::copy(log.path("log"), log.path("log.2")).unwrap();
    fs::write(log.path("log"), "").unwrap();
    assert!(lines(&mut followed).is_empty());
    append(&log.path("log"), "new\n");
    assert_eq!(lines(&mut followed), ["new"]);
    // A number that is used again.
    fs::remove_file(log.path("log.1")).unwrap();
    fs::copy(log.path("log"), log.path("log.1")).unwrap();
    append(&log.path("log"), "newer\n");
    assert_eq!(lines(&mut followed), ["newer"]);
    // Another log whose first line is the same.
    append(&log.path("log-other"), "new\n");
    assert!(lines(&mut followed).is_empty(), "it may be a copy");
    append(&log.path("log-other"), "other\n");
    assert_eq!(lines(&mut followed), ["new", "other"]);
}

#[test]
fn what_is_older_than_the_source_is_no_news_whatever_it_is_called() {
    let log = Log::new("log");
    append(&log.path("log"), "before\n");
    append(&log.path("log.1"), "long before\n");
    append(&log.path("other"), "elsewhere\n");
    let mut followed = log.follow();
    assert!(lines(&mut followed).is_empty());
    let left = left(&followed);
    // Another path by now, or one that matches more.
    let (mut followed, _) = Followed::begin(vec![log.path("o*"), log.path("log")], Some(&left));
    assert!(lines(&mut followed).is_empty());
    append(&log.path("other"), "new\n");
    assert_eq!(lines(&mut followed), ["new"]);
}

#[test]
fn what_cannot_be_found_again_is_told() {
    let log = Log::new("log");
    append(&log.path("log"), "before\n");
    let left = left(&log.follow());
    fs::remove_file(log.path("log")).unwrap();
    append(&log.path("log"), "new\n");
    append(&log.path("log.1.gz"), "compressed\n");
    let (mut followed, missing) = log.begin(Some(&left));
    assert!(missing.unwrap().contains("may be missing"));
    assert_eq!(lines(&mut followed), ["new"]);
}

#[test]
fn a_file_that_comes_later_is_read_whole_and_one_that_goes_is_let_go() {
    let log = Log::new("log");
    let mut followed = log.follow();
    assert!(lines(&mut followed).is_empty() && !followed.is_there());
    append(&log.path("log"), "one\n");
    assert_eq!(lines(&mut followed), ["one"]);
    assert!(followed.is_there());
    fs::remove_file(log.path("log")).unwrap();
    followed.grace = Duration::ZERO;
    assert!(lines(&mut followed).is_empty() && !followed.is_there());
}

#[test]
fn what_is_written_to_an_empty_file_while_nobody_reads_is_told() {
    let log = Log::new("log");
    let mut followed = log.follow();
    append(&log.path("log"), "");
    assert!(lines(&mut followed).is_empty());
    std::thread::sleep(2 * TICK);
    // Later than the file was made.
    followed.looked.1 = time::now();
    let stopped = left(&followed);
    let stopped = Progress { at: time::now(), ..stopped };
    append(&log.path("log"), "one\n");
    let (mut followed, missing) = log.begin(Some(&stopped));
    assert_eq!((lines(&mut followed), missing), (vec!["one".to_owned()], None));
}

#[test]
fn a_log_of_a_pattern_that_was_rotated_and_did_not_come_again_is_read_on() {
    for compressed in [false, true] {
        let log = Log::new("*.log");
        let mut followed = log.follow();
        append(&log.path("a.log"), "read\n");
        assert_eq!(lines(&mut followed), ["read"]);
        let stopped = left(&followed);
        append(&log.path("a.log"), "one\n");
        fs::rename(log.path("a.log"), log.path("a.log.1")).unwrap();
        if compressed {
            compress(&log, "a.log.1", "a.log.1.gz");
        }
        let (mut followed, missing) = log.begin(Some(&stopped));
        assert_eq!((lines(&mut followed), missing), (vec!["one".to_owned()], None), "{compressed}");
    }
}

#[test]
fn a_copy_that_is_being_made_while_the_agent_starts_is_waited_for() {
    for pattern in ["log", "log*"] {
        let log = Log::new(pattern);
        let mut followed = log.follow();
        append(&log.path("log"), &"a line\n".repeat(100));
        assert_eq!(lines(&mut followed).len(), 100);
        let stopped = left(&followed);
        append(&log.path("log"), "one\n");
        let whole = fs::read(log.path("log")).unwrap();
        fs::write(log.path("log.1"), &whole[..400]).unwrap();
        let (mut followed, missing) = log.begin(Some(&stopped));
        assert_eq!((lines(&mut followed), missing), (vec!["one".to_owned()], None), "{pattern}");
        append(&log.path("log"), "two\n");
        fs::write(log.path("log.1"), fs::read(log.path("log")).unwrap()).unwrap();
        fs::write(log.path("log"), "three\n").unwrap();
        assert_eq!(lines(&mut followed), ["two", "three"], "{pattern}");
    }
}
