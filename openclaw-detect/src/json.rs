//! Events as JSON in the Elastic Common Schema, written without a tree in between.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::{Event, EventKind, Field, Value};

/// Appends the event to `out` as one JSON object, without a line end.
///
/// Dotted field names become objects in objects; fields that the event lacks are left out. Times are RFC 3339
/// in UTC with nanoseconds, `file.mode` is octal in a text.
pub fn write(event: &(impl Event + ?Sized), out: &mut Vec<u8>) {
    let mut out = Writer(out);
    out.raw("{\"@timestamp\":");
    out.time(i128::from(event.time().0));
    let action = match event.get(Field::EventAction) {
        Some(Value::Str(action)) => Some(action),
        _ => None,
    };
    out.raw(",\"event\":{\"kind\":\"event\",\"module\":\"openclaw\",\"dataset\":");
    out.text(event.kind().name());
    out.raw(",\"category\":[");
    out.text(category(event.kind()));
    out.raw("],\"type\":[");
    for (i, name) in types(event.kind(), action.unwrap_or_default()).iter().enumerate() {
        out.comma(i);
        out.text(name);
    }
    out.raw("]");
    for field in OF_EVENT {
        if let Some(value) = event.get(field) {
            out.raw(",");
            out.text(&field.name()["event.".len()..]);
            out.raw(":");
            out.value(field, value);
        }
    }
    out.raw("}");
    let mut open: &[&str] = &[];
    for (field, path) in PATHS.iter() {
        let Some(value) = event.get(*field) else { continue };
        let Some((leaf, objects)) = path.split_last() else { continue };
        let common = open.iter().zip(objects).take_while(|(a, b)| a == b).count();
        for _ in common..open.len() {
            out.raw("}");
        }
        out.raw(",");
        for object in &objects[common..] {
            out.text(object);
            out.raw(":{");
        }
        open = objects;
        out.text(leaf);
        out.raw(":");
        out.value(*field, value);
    }
    for _ in open {
        out.raw("}");
    }
    out.raw("}");
}

/// The same as a tree, for what keeps the event in another object.
pub fn to_json(event: &(impl Event + ?Sized)) -> serde_json::Value {
    let mut text = Vec::with_capacity(2048);
    write(event, &mut text);
    // What `write` makes is JSON: the tests show it for all values.
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The fields of the object `event`, which holds more than fields.
const OF_EVENT: [Field; 4] = [Field::EventAction, Field::EventOutcome, Field::EventId, Field::EventOriginal];

/// The other fields with the parts of their names, those of one object together, in the order in which the table first
/// names the objects.
static PATHS: LazyLock<Vec<(Field, Vec<&'static str>)>> = LazyLock::new(|| {
    let paths: Vec<(Field, Vec<&str>)> = Field::ALL
        .iter()
        .filter(|field| !OF_EVENT.contains(field))
        .map(|field| (*field, field.name().split('.').collect()))
        .collect();
    let first = |prefix: &[&str]| paths.iter().position(|(_, path)| path.starts_with(prefix));
    let mut ordered = paths.clone();
    ordered.sort_by_cached_key(|(_, path)| (1..=path.len()).map(|n| first(&path[..n])).collect::<Vec<_>>());
    ordered
});

/// `event.category` of ECS.
const fn category(kind: EventKind) -> &'static str {
    match kind {
        EventKind::ProcessCreate
        | EventKind::ProcessFork
        | EventKind::ProcessHash
        | EventKind::ProcessExit
        | EventKind::PrivilegeChange
        | EventKind::ProcessTrace
        | EventKind::NamespaceChange
        | EventKind::IoUring
        | EventKind::SensorTamper => "process",
        EventKind::FileAccess | EventKind::FileAttempt | EventKind::MountChange => "file",
        EventKind::ModuleLoad | EventKind::BpfLoad => "driver",
        EventKind::NetworkConnection | EventKind::DnsQuery => "network",
        EventKind::ContainerStart | EventKind::ContainerStop => "container",
        EventKind::AuthAttempt => "authentication",
        EventKind::HttpRequest => "web",
    }
}

/// `event.type` of ECS.
fn types(kind: EventKind, action: &str) -> &'static [&'static str] {
    match (kind, action) {
        (EventKind::ProcessCreate | EventKind::ProcessFork, _) => &["start"],
        (EventKind::ProcessHash, _) => &["info"],
        (EventKind::ProcessExit | EventKind::ContainerStop, _) => &["end"],
        (EventKind::ContainerStart, "start") => &["start"],
        (EventKind::ContainerStart, _) => &["info"],
        (EventKind::ModuleLoad, "unload") => &["end"],
        (EventKind::ModuleLoad | EventKind::BpfLoad, _) => &["start"],
        (EventKind::ProcessTrace, "memory_read") | (EventKind::IoUring, _) => &["info"],
        (EventKind::MountChange | EventKind::NamespaceChange | EventKind::ProcessTrace, _) => &["change"],
        (EventKind::SensorTamper, _) => &["change"],
        (EventKind::PrivilegeChange, _) => &["change"],
        (EventKind::FileAttempt, _) => &["denied"],
        (EventKind::FileAccess, "read") => &["access"],
        (EventKind::FileAccess, "create" | "link" | "symlink") => &["creation"],
        (EventKind::FileAccess, "delete") => &["deletion"],
        (EventKind::FileAccess, _) => &["change"],
        (EventKind::NetworkConnection, "connection_established") => &["connection", "start"],
        (EventKind::NetworkConnection, "connection_closed") => &["connection", "end"],
        (EventKind::NetworkConnection, "connection_failed" | "connection_refused") => {
            &["connection", "denied"]
        }
        (EventKind::NetworkConnection, "listen" | "bind" | "socket_raw" | "socket_packet") => &["info"],
        (EventKind::NetworkConnection, _) => &["connection", "info"],
        (EventKind::DnsQuery, _) => &["protocol", "info"],
        (EventKind::AuthAttempt, "login_succeeded") => &["start"],
        (EventKind::AuthAttempt, _) => &["info"],
        (EventKind::HttpRequest, _) => &["access"],
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn comma(&mut self, index: usize) {
        if index > 0 {
            self.raw(",");
        }
    }

    /// A text in quotes, escaped as JSON demands.
    fn text(&mut self, text: &str) {
        self.raw("\"");
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escaped = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0..0x20 => "",
                _ => continue,
            };
            self.raw(&text[from..at]);
            if escaped.is_empty() {
                let _ = write!(self, "\\u{byte:04x}");
            } else {
                self.raw(escaped);
            }
            from = at + 1;
        }
        self.raw(&text[from..]);
        self.raw("\"");
    }

    /// Nanoseconds since the Unix epoch as RFC 3339.
    fn time(&mut self, nanoseconds: i128) {
        match jiff::Timestamp::from_nanosecond(nanoseconds) {
            Ok(time) => {
                let _ = write!(self, "\"{time:.9}\"");
            }
            Err(_) => self.raw("null"),
        }
    }

    fn value(&mut self, field: Field, value: Value<'_>) {
        match (field, value) {
            (Field::ProcessStart, Value::Int(nanoseconds)) => self.time(nanoseconds.into()),
            (Field::FileMode, Value::Int(mode)) => {
                let _ = write!(self, "\"{mode:04o}\"");
            }
            (_, Value::Str(text)) => self.text(text),
            (_, Value::Int(number)) => {
                let _ = write!(self, "{number}");
            }
            (_, Value::Bool(value)) => self.raw(if value { "true" } else { "false" }),
            (_, Value::Ip(address)) => {
                let _ = write!(self, "\"{address}\"");
            }
            (_, Value::List(list)) => {
                self.raw("[");
                for (i, item) in list.iter().enumerate() {
                    self.comma(i);
                    self.text(item);
                }
                self.raw("]");
            }
        }
    }
}

/// Writing to memory does not fail.
impl std::fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.raw(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;
    use crate::field::Type;
    use crate::{ProcessId, StrList, Timestamp, recorded::RecordedEvent};

    #[test]
    fn an_event_is_ecs_with_objects_in_objects() {
        let event = RecordedEvent::new(EventKind::FileAccess, Timestamp(1_790_000_000_123_456_789))
            .with(Field::EventAction, "chmod")
            .with_process(ProcessId { pid: 42, start: 7 })
            .with(Field::ProcessStart, 1_790_000_000_000_000_001)
            .with(Field::ProcessParentName, "ba\"sh\u{1}")
            .with(Field::ProcessUid, 0)
            .with(Field::ProcessArgs, StrList::new("chmod\0+s\0"))
            .with(Field::UserNormalUid, 1000)
            .with(Field::FileMode, 0o644)
            .with(Field::FileResolved, true);
        let mut out = Vec::new();
        write(&event, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"@timestamp":"2026-09-21T14:13:20.123456789Z","event":{"kind":"event","module":"openclaw","#,
                r#""dataset":"file_access","category":["file"],"type":["change"],"action":"chmod"},"#,
                r#""process":{"pid":42,"entity_id":"42-7","start":"2026-09-21T14:13:20.000000001Z","#,
                r#""args":["chmod","+s"],"user":{"id":0},"parent":{"name":"ba\"sh\u0001"}},"#,
                r#""user":{"normal_uid":1000},"file":{"path_resolved":true,"mode":"0644"}}"#
            )
        );
    }

    #[test]
    fn no_name_of_a_field_is_also_the_name_of_an_object() {
        for a in Field::ALL {
            for b in Field::ALL {
                assert!(!b.name().starts_with(&format!("{}.", a.name())), "{} {}", a.name(), b.name());
            }
        }
    }

    /// A value of any field's type.
    #[derive(Debug, Clone)]
    struct Any {
        text: String,
        number: i64,
        yes: bool,
        address: IpAddr,
    }

    fn any_value() -> impl Strategy<Value = Any> {
        (".*", any::<i64>(), any::<bool>(), any::<IpAddr>()).prop_map(|(text, number, yes, address)| Any {
            text,
            number,
            yes,
            address,
        })
    }

    fn any_event() -> impl Strategy<Value = RecordedEvent> {
        let fields = prop::collection::vec(prop::option::of(any_value()), Field::ALL.len());
        (prop::sample::select(EventKind::ALL), any::<u64>(), fields).prop_map(|(kind, time, values)| {
            let mut event = RecordedEvent::new(kind, Timestamp(time / 2));
            for (field, value) in Field::ALL.iter().zip(&values) {
                let Some(value) = value else { continue };
                event = match field.value_type() {
                    Type::Str => event.with(*field, value.text.as_str()),
                    // A mode is no negative number.
                    Type::Int if *field == Field::FileMode => event.with(*field, value.number & 0o7777),
                    Type::Int => event.with(*field, value.number),
                    Type::Bool => event.with(*field, value.yes),
                    Type::Ip => event.with(*field, value.address),
                    Type::List => event.with(*field, StrList::new(&value.text)),
                };
            }
            event
        })
    }

    proptest! {
        #[test]
        fn an_event_read_back_from_its_json_is_the_same(event in any_event()) {
            let mut out = Vec::new();
            write(&event, &mut out);
            prop_assert_eq!(RecordedEvent::from_json(&out).unwrap(), event.clone());
            prop_assert_eq!(RecordedEvent::from_value(&to_json(&event)).unwrap(), event.clone());
            prop_assert_eq!(RecordedEvent::copy(&event).kind(), event.kind());
        }

        #[test]
        fn no_text_makes_reading_an_event_panic(text in ".*") {
            let _ = RecordedEvent::from_json(text.as_bytes());
        }
    }
}
