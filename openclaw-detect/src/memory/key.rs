//! The values of an event by which it belongs together with others, as bytes.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::rule::KeyValue;
use crate::{Event, Evidence, Field, Timestamp, Value};

/// A buffer for one key at a time, kept so that reading a key takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Key {
    bytes: Vec<u8>,
}

/// Marks the type of a value, and one that is absent.
const ABSENT: u8 = 0;
const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const BOOLEAN: u8 = 3;
const IPV4: u8 = 4;
const IPV6: u8 = 5;

impl Key {
    /// The key of the event by these fields; none where it lacks one.
    pub(super) fn read<E: Event + ?Sized>(&mut self, event: &E, by: &[Field]) -> Option<()> {
        self.bytes.clear();
        by.iter().try_for_each(|field| self.push(event.get(*field)?))
    }

    /// The key of the event by these fields, those that it lacks being values of their own.
    pub(super) fn read_all<E: Event + ?Sized>(&mut self, event: &E, by: &[Field]) {
        self.bytes.clear();
        for field in by {
            if event.get(*field).and_then(|value| self.push(value)).is_none() {
                self.bytes.push(ABSENT);
            }
        }
    }

    /// Adds a value; none where it is a list, which is not one value.
    pub(super) fn push(&mut self, value: Value<'_>) -> Option<()> {
        match value {
            Value::Str(text) => {
                self.bytes.push(TEXT);
                // So that no text runs into the next value.
                self.bytes.extend(u32::try_from(text.len()).ok()?.to_le_bytes());
                self.bytes.extend_from_slice(text.as_bytes());
            }
            Value::Int(number) => {
                self.bytes.push(NUMBER);
                self.bytes.extend(number.to_le_bytes());
            }
            Value::Bool(value) => self.bytes.extend([BOOLEAN, value.into()]),
            Value::Ip(address) => match address.to_canonical() {
                IpAddr::V4(address) => {
                    self.bytes.push(IPV4);
                    self.bytes.extend(address.octets());
                }
                IpAddr::V6(address) => {
                    self.bytes.push(IPV6);
                    self.bytes.extend(address.octets());
                }
            },
            Value::List(_) => return None,
        }
        Some(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// `, by source.ip 192.0.2.1`
    pub(super) fn described(&self, by: &[Field]) -> String {
        let values = by.iter().zip(shown(&self.bytes));
        let each: Vec<_> = values.map(|(field, value)| format!("{} {value}", field.name())).collect();
        if each.is_empty() { String::new() } else { format!(", by {}", each.join(" and ")) }
    }

    /// What a firing rests on: the values of these fields, which the key begins with, and since when.
    pub(super) fn evidence(&self, by: impl IntoIterator<Item = Field>, since: u64) -> Evidence {
        let named = by.into_iter().zip(shown(&self.bytes));
        let key = named.map(|(field, value)| KeyValue { field: field.name().to_owned(), value }).collect();
        Evidence { key, since: Some(Timestamp(since)), ..Evidence::default() }
    }
}

/// The values of a key as texts.
pub(super) fn shown(mut bytes: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    while let Some((&mark, rest)) = bytes.split_first() {
        let mut shown = String::new();
        let fixed = match mark {
            NUMBER => 8,
            BOOLEAN => 1,
            IPV4 => 4,
            IPV6 => 16,
            TEXT => 4,
            _ => 0,
        };
        let Some((value, mut rest)) = rest.split_at_checked(fixed) else { break };
        let _ = match (mark, value) {
            (NUMBER, value) => write!(shown, "{}", value.try_into().map_or(0, i64::from_le_bytes)),
            (BOOLEAN, [value]) => write!(shown, "{}", *value != 0),
            (IPV4, &[a, b, c, d]) => write!(shown, "{}", std::net::Ipv4Addr::new(a, b, c, d)),
            (IPV6, value) => {
                let address = <[u8; 16]>::try_from(value).unwrap_or_default();
                write!(shown, "{}", std::net::Ipv6Addr::from(address))
            }
            (TEXT, value) => {
                let len = value.try_into().map_or(0, u32::from_le_bytes) as usize;
                let Some((text, after)) = rest.split_at_checked(len) else { break };
                rest = after;
                write!(shown, "{}", String::from_utf8_lossy(text))
            }
            _ => Ok(()),
        };
        values.push(shown);
        bytes = rest;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventKind, RecordedEvent};

    #[test]
    fn a_key_is_what_its_values_are_and_nothing_runs_into_another() {
        let event = |a: &str, b: &str| {
            RecordedEvent::new(EventKind::NetworkConnection, Timestamp(1))
                .with(Field::ProcessName, a)
                .with(Field::ContainerId, b)
                .with(Field::ProcessUid, -7)
                .with(Field::ProcessMemfd, true)
                .with(Field::SourceIp, "::ffff:192.0.2.1".parse::<IpAddr>().unwrap())
                .with(Field::DestinationIp, "::1".parse::<IpAddr>().unwrap())
        };
        let by = [
            Field::ProcessName,
            Field::ContainerId,
            Field::ProcessUid,
            Field::ProcessMemfd,
            Field::SourceIp,
            Field::DestinationIp,
        ];
        let (mut one, mut other) = (Key::default(), Key::default());
        one.read(&event("ab", "c"), &by).unwrap();
        other.read(&event("a", "bc"), &by).unwrap();
        assert_ne!(one.bytes(), other.bytes());
        assert_eq!(shown(one.bytes()), ["ab", "c", "-7", "true", "192.0.2.1", "::1"]);
        assert_eq!(one.read(&event("a", "b"), &[Field::ProcessTty]), None);
        one.read_all(&event("a", "b"), &[Field::ProcessTty, Field::ProcessName]);
        assert_eq!(shown(one.bytes()), ["", "a"]);
    }
}
