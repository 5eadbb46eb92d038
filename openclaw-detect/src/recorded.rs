//! An event that owns its fields: read back from JSON, or made by hand.

use std::fmt;
use std::net::IpAddr;

use crate::field::Type;
use crate::{Event, EventKind, Field, ProcessId, StrList, Timestamp, Value};

/// An event that owns its fields: for replay, for tests, and for conditions over what was recorded.
#[derive(Clone)]
pub struct RecordedEvent {
    kind: EventKind,
    time: Timestamp,
    /// Where in `values` the value of each field is, from 1; 0 where there is none.
    places: [u8; Field::ALL.len()],
    values: Vec<Owned>,
    /// Of a fork, the process that forked, where that is not the parent.
    forker: Option<ProcessId>,
}

/// A value of its own. A list holds its items one after the other, each ended by NUL.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Str(String),
    Int(i64),
    Bool(bool),
    Ip(IpAddr),
    List(String),
}

impl From<Value<'_>> for Owned {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Str(text) => Owned::Str(text.to_owned()),
            Value::Int(number) => Owned::Int(number),
            Value::Bool(value) => Owned::Bool(value),
            Value::Ip(address) => Owned::Ip(address),
            Value::List(list) => Owned::List(list.iter().flat_map(|item| [item, "\0"]).collect()),
        }
    }
}

impl RecordedEvent {
    /// An event without any field.
    pub fn new(kind: EventKind, time: Timestamp) -> Self {
        RecordedEvent { kind, time, places: [0; Field::ALL.len()], values: Vec::new(), forker: None }
    }

    /// A copy of any event.
    pub fn copy(event: &(impl Event + ?Sized)) -> Self {
        let mut copy = RecordedEvent::new(event.kind(), event.time());
        for field in Field::ALL {
            if let Some(value) = event.get(*field) {
                copy.set(*field, value.into());
            }
        }
        if let (None, Some(process)) = (event.get(Field::ProcessEntityId), event.process()) {
            copy = copy.with_process(process);
        }
        copy
    }

    /// The same event with a field set.
    #[must_use]
    pub fn with<'a>(mut self, field: Field, value: impl Into<Value<'a>>) -> Self {
        self.set(field, value.into().into());
        self
    }

    fn set(&mut self, field: Field, value: Owned) {
        let place = &mut self.places[field as usize];
        match self.values.get_mut(usize::from(*place).wrapping_sub(1)) {
            Some(before) => *before = value,
            None => {
                self.values.push(value);
                *place = self.values.len() as u8;
            }
        }
    }

    /// The same event with a process: its pid and entity id.
    #[must_use]
    pub fn with_process(self, process: ProcessId) -> Self {
        self.with(Field::ProcessPid, i64::from(process.pid))
            .with(Field::ProcessEntityId, process.to_string().as_str())
    }

    /// The same event with a parent: its pid and entity id.
    #[must_use]
    pub fn with_parent(self, parent: ProcessId) -> Self {
        self.with(Field::ProcessParentPid, i64::from(parent.pid))
            .with(Field::ProcessParentEntityId, parent.to_string().as_str())
    }

    /// The same fork by a process that is not the parent, as with `CLONE_PARENT`.
    #[must_use]
    pub fn with_forker(self, forker: ProcessId) -> Self {
        RecordedEvent { forker: Some(forker), ..self }
    }

    /// Reads an event from the JSON that [`crate::json::write`] makes. What is not in the table of fields is
    /// passed over.
    ///
    /// # Errors
    ///
    /// When the text is no JSON, has no known kind or no time, or a field's value is of another type.
    pub fn from_json(text: &[u8]) -> Result<Self, RecordError> {
        let json = serde_json::from_slice(text).map_err(|error| RecordError(format!("not JSON: {error}")))?;
        RecordedEvent::from_value(&json)
    }

    /// The same from JSON that is already parsed, such as [`crate::Finding::event`].
    ///
    /// # Errors
    ///
    /// As [`RecordedEvent::from_json`].
    pub fn from_value(json: &serde_json::Value) -> Result<Self, RecordError> {
        let text = |name: &str| {
            at(json, name)
                .and_then(serde_json::Value::as_str)
                .ok_or_else(|| RecordError(format!("`{name}` is missing, or no text")))
        };
        let kind = text("event.dataset")?;
        let kind = EventKind::from_name(kind)
            .ok_or_else(|| RecordError(format!("`event.dataset` is `{kind}`, which is no kind of event")))?;
        let time = json.get("@timestamp").and_then(serde_json::Value::as_str).and_then(nanoseconds);
        let time = time
            .and_then(|time| u64::try_from(time).ok())
            .ok_or_else(|| RecordError("`@timestamp` is missing, or no time".to_owned()))?;
        let mut event = RecordedEvent::new(kind, Timestamp(time));
        for field in Field::ALL {
            let Some(value) = at(json, field.name()) else { continue };
            let value = read(*field, value).ok_or_else(|| {
                RecordError(format!("`{}` has a value that does not fit it: {value}", field.name()))
            })?;
            event.set(*field, value);
        }
        Ok(event)
    }

    fn process_id(&self, entity_id: Field, pid: Field) -> Option<ProcessId> {
        if let Some(Value::Str(text)) = self.get(entity_id)
            && let Ok(process) = text.parse()
        {
            return Some(process);
        }
        match self.get(pid) {
            Some(Value::Int(pid)) => Some(ProcessId { pid: u32::try_from(pid).ok()?, start: 0 }),
            _ => None,
        }
    }
}

impl Event for RecordedEvent {
    fn kind(&self) -> EventKind {
        self.kind
    }

    fn time(&self) -> Timestamp {
        self.time
    }

    fn process(&self) -> Option<ProcessId> {
        self.process_id(Field::ProcessEntityId, Field::ProcessPid)
    }

    fn parent(&self) -> Option<ProcessId> {
        self.forker.or_else(|| self.process_id(Field::ProcessParentEntityId, Field::ProcessParentPid))
    }

    fn get(&self, field: Field) -> Option<Value<'_>> {
        let value = self.values.get(usize::from(self.places[field as usize]).checked_sub(1)?)?;
        Some(match value {
            Owned::Str(text) => Value::Str(text),
            Owned::Int(number) => Value::Int(*number),
            Owned::Bool(value) => Value::Bool(*value),
            Owned::Ip(address) => Value::Ip(*address),
            Owned::List(items) => Value::List(StrList::new(items)),
        })
    }
}

/// Whatever the order in which the fields were set.
impl PartialEq for RecordedEvent {
    fn eq(&self, other: &Self) -> bool {
        let same = |field: &Field| self.get(*field) == other.get(*field);
        (self.kind, self.time, self.forker) == (other.kind, other.time, other.forker)
            && Field::ALL.iter().all(same)
    }
}

impl fmt::Debug for RecordedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(self.kind.name());
        shown.field("time", &self.time.0);
        for field in Field::ALL {
            if let Some(value) = self.get(*field) {
                shown.field(field.name(), &value);
            }
        }
        shown.finish()
    }
}

/// Places are bytes.
const _: () = assert!(Field::ALL.len() < u8::MAX as usize);

/// Why a text is no recorded event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError(String);

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a recorded event: {}", self.0)
    }
}

impl std::error::Error for RecordError {}

/// What is at a dotted name.
fn at<'a>(json: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
    name.split('.').try_fold(json, |json, part| json.get(part))
}

fn read(field: Field, json: &serde_json::Value) -> Option<Owned> {
    match (field, field.value_type()) {
        (Field::ProcessStart, _) => nanoseconds(json.as_str()?).map(Owned::Int),
        (Field::FileMode, _) => i64::from_str_radix(json.as_str()?, 8).ok().map(Owned::Int),
        (_, Type::Str) => json.as_str().map(|text| Owned::Str(text.to_owned())),
        (_, Type::Int) => json.as_i64().map(Owned::Int),
        (_, Type::Bool) => json.as_bool().map(Owned::Bool),
        (_, Type::Ip) => json.as_str()?.parse().ok().map(Owned::Ip),
        (_, Type::List) => {
            let mut items = String::new();
            for item in json.as_array()? {
                items.push_str(item.as_str()?);
                items.push('\0');
            }
            Some(Owned::List(items))
        }
    }
}

/// Nanoseconds since the Unix epoch.
fn nanoseconds(rfc3339: &str) -> Option<i64> {
    let time: jiff::Timestamp = rfc3339.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}
