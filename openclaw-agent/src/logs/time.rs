//! Times of the two libraries that tell them.

use openclaw_detect::Timestamp;

/// The same time; none before 1970.
pub(super) fn from_jiff(time: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}

/// The same time.
pub(super) fn to_jiff(time: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok()
}
