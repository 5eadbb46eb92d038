use std::io::{self, Cursor, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use openclaw_detect::{Event as _, EventKind, Field, ProcessId, RecordedEvent, StrList, Timestamp};
use proptest::prelude::*;

use super::*;

fn header() -> Header {
    Header {
        version: VERSION,
        openclaw: "0.1.0".to_owned(),
        kernel: "6.12.0".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
    }
}

fn event(kind: EventKind, time: u64) -> RecordedEvent {
    RecordedEvent::new(kind, Timestamp(time))
        .with_process(ProcessId { pid: 7, start: 8 })
        .with_parent(ProcessId { pid: 1, start: 2 })
        .with(Field::EventAction, kind.actions()[0])
        .with(Field::ProcessName, "a \"name\"\n")
        .with(Field::ProcessArgs, StrList::new("one\0\0three\0"))
}

/// A place in memory that two can see.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a capture of these events.
fn capture(entries: &[Entry]) -> Vec<u8> {
    let shared = Shared::default();
    let (mut recorder, thread, totals) = Recorder::start(Destination::of(shared.clone()), &header()).unwrap();
    for Entry { event, known } in entries {
        recorder.take(event, *known);
    }
    drop(recorder);
    thread.finish().unwrap();
    let bytes = shared.0.lock().unwrap().clone();
    assert_eq!(totals.bytes.load(std::sync::atomic::Ordering::Relaxed), bytes.len() as u64);
    bytes
}

fn reader(bytes: Vec<u8>) -> Reader {
    Reader::new("x.capture".to_owned(), Cursor::new(bytes)).unwrap()
}

fn refusal(bytes: Vec<u8>) -> String {
    reader(bytes).find_map(Result::err).map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_was_recorded_is_read_again_and_so_are_beginning_and_end() {
    let fork = event(EventKind::ProcessFork, 3).with_forker(ProcessId { pid: 5, start: 6 });
    let entries = [
        Entry { event: event(EventKind::ProcessCreate, 1), known: true },
        Entry { event: event(EventKind::FileAccess, 2), known: false },
        Entry { event: fork, known: false },
    ];
    let mut reader = reader(capture(&entries));
    let read: Vec<Entry> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(read, entries);
    assert_eq!(read[2].event.parent(), Some(ProcessId { pid: 5, start: 6 }));
    assert_eq!(reader.header(), Some(&header()));
    assert_eq!(reader.end(), Some(End { events: 2, lost: 0 }));
    assert!(!reader.is_cut());
}

#[test]
fn of_a_capture_that_was_cut_short_everything_before_is_read() {
    let whole = capture(&[Entry { event: event(EventKind::ProcessCreate, 1), known: false }]);
    let mut two = whole.clone();
    two.extend_from_slice(&whole[..whole.len() - 3]);
    let mut cut = reader(two);
    assert_eq!(cut.by_ref().filter_map(Result::ok).count(), 2);
    assert!(cut.is_cut());
    // Cut between two members.
    let header = format!("{{\"capture\":{}}}\n", serde_json::to_string(&header()).unwrap());
    let mut begun = reader(header.into_bytes());
    assert_eq!(begun.by_ref().count(), 0);
    assert!(begun.is_cut());
}

#[test]
fn what_a_newer_version_wrote_is_refused_by_name_and_kinds_it_added_are_passed_over() {
    let newer = r#"{"capture":{"version":2,"openclaw":"9.0.0","what":"ever"}}"#;
    let said = refusal(newer.as_bytes().to_vec());
    assert!(said.contains("version 2") && said.contains("use openclaw 9.0.0 or newer"), "{said}");
    let text = concat!(
        r#"{"@timestamp":"2026-01-01T00:00:00Z","event":{"dataset":"mind_read"}}"#,
        "\n\n",
        r#"{"@timestamp":"2026-01-01T00:00:00Z","event":{"dataset":"process_exit"},"new":{"field":1}}"#,
    );
    let mut reader = reader(text.as_bytes().to_vec());
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 1);
    assert_eq!((reader.unknown(), reader.is_cut()), (1, false));
}

#[test]
fn a_line_that_is_no_event_is_an_error_with_its_place() {
    for (line, reason) in [
        ("{", "not JSON"),
        ("{}", "`event.dataset` is missing"),
        (r#"{"event":{"dataset":"process_exit"}}"#, "`@timestamp` is missing"),
        (r#"{"capture":{"version":1}}"#, "missing field"),
    ] {
        let said = refusal(format!("\n{line}\n").into_bytes());
        assert!(said.starts_with("x.capture:2: ") && said.contains(reason), "{said}");
    }
    let long = vec![b' '; MAX_LINE as usize + 1];
    assert!(refusal(long).contains("longer than any event"));
}

#[test]
fn a_file_that_is_there_is_replaced_only_where_that_is_asked_for_and_a_link_never() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(Destination::open(&at("a"), false).is_ok());
    assert_eq!(std::fs::metadata(at("a")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Destination::open(&at("a"), false).is_err());
    assert!(Destination::open(&at("a"), true).is_ok());
    std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
    assert!(Destination::open(&at("link"), true).is_err());
    assert!(Destination::open(Path::new("/no/such/folder/x"), true).is_err());
}

/// Bytes of a capture, some of them other ones.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let whole = capture(&[
        Entry { event: event(EventKind::ProcessCreate, 1), known: true },
        Entry { event: event(EventKind::NetworkConnection, 2), known: false },
    ]);
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6).prop_map(move |changes| {
        let mut bytes = whole.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn whatever_the_bytes_are_they_are_events_or_an_error(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..600), damaged()]
    ) {
        let mut reader = reader(bytes);
        // After an error there is nothing more to be had.
        while let Some(Ok(_)) = reader.next() {}
    }
}
