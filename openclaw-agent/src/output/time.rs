//! Moments, as programs and as people read them.

use std::time::Duration;

use jiff::tz::TimeZone;
use openclaw_detect::Timestamp;

/// RFC 3339 in UTC with milliseconds, for programs: `2026-01-30T22:30:45.123Z`.
pub fn rfc3339(time: Timestamp) -> String {
    format!("{:.3}", moment(time))
}

/// The time of day in this host's zone, for a stream: `22:30:45.123`.
pub fn clock(time: Timestamp) -> String {
    moment(time).to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
}

/// Date and time in this host's zone, for a list: `2026-01-30 22:30:45`.
pub fn date_and_clock(time: Timestamp) -> String {
    moment(time).to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Now, by the host's clock.
pub fn now() -> Timestamp {
    Timestamp(u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0))
}

/// So much later.
pub fn after(moment: Timestamp, time: Duration) -> Timestamp {
    Timestamp(moment.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
}

/// Reads a moment that is given as RFC 3339.
///
/// # Errors
/// The text is none, or from before 1970.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, String> {
    let moment: jiff::Timestamp = text.parse().map_err(|_| {
        format!("`{text}` is no moment: write it like 2026-01-30T22:30:45Z, or how long ago it was, like 1h")
    })?;
    u64::try_from(moment.as_nanosecond()).map(Timestamp).map_err(|_| format!("`{text}` is before 1970"))
}

fn moment(time: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or(jiff::Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_read_utc_with_milliseconds() {
        assert_eq!(rfc3339(Timestamp(1_769_812_245_123_456_789)), "2026-01-30T22:30:45.123Z");
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(parse_rfc3339("2026-01-30T22:30:45.123Z").unwrap(), Timestamp(1_769_812_245_123_000_000));
        assert!(parse_rfc3339("yesterday").is_err() && parse_rfc3339("1969-12-31T23:00:00Z").is_err());
    }
}
