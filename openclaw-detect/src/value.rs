//! The values that fields have.

use std::net::IpAddr;

/// A field's value, borrowed from the event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text: paths, names, command lines. Bytes that are no UTF-8 have been replaced.
    Str(&'a str),
    /// A number: ids, ports, bytes, modes, exit codes.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// Several texts in order, such as a process's arguments.
    List(StrList<'a>),
}

/// Texts one after the other in one string, each ended by NUL: the way in which the kernel keeps arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrList<'a>(&'a str);

impl<'a> StrList<'a> {
    /// A list over `text`, in which every item ends with NUL (the last one's may be missing).
    pub const fn new(text: &'a str) -> Self {
        StrList(text)
    }

    /// The items in order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        let text = self.0.strip_suffix('\0').unwrap_or(self.0);
        let mut items = text.split('\0');
        if self.0.is_empty() {
            items.next();
        }
        items
    }

    /// How many items there are.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Str(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<IpAddr> for Value<'_> {
    fn from(address: IpAddr) -> Self {
        Value::Ip(address)
    }
}

impl<'a> From<StrList<'a>> for Value<'a> {
    fn from(list: StrList<'a>) -> Self {
        Value::List(list)
    }
}
