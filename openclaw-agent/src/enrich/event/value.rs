//! Values of fields, from numbers and texts of which some stand for "unknown".

use openclaw_common::record::NO_ID;
use openclaw_detect::Value;

pub(super) fn number(value: impl Into<i64>) -> Value<'static> {
    Value::Int(value.into())
}

/// An id, absent where the kernel has none.
pub(super) fn id(value: u32) -> Option<Value<'static>> {
    (value != NO_ID).then(|| number(value))
}

/// A number of which 0 says that it is unknown.
pub(super) fn known(value: u32) -> Option<Value<'static>> {
    (value != 0).then(|| number(value))
}

pub(super) fn text(value: &str) -> Option<Value<'_>> {
    (!value.is_empty()).then_some(Value::Str(value))
}
