//! The head of a line as syslog daemons write them: when, which program, and what it said.
//!
//! Read are the traditional format (`Nov 27 04:19:09 host sshd[7]: …`, RFC 3164 as daemons write it), the one with whole
//! times (`2026-11-27T04:19:09.123456+00:00 host sshd[7]: …`, which rsyslog writes since Debian 12), and busybox' own,
//! which names facility and level after the host.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use openclaw_detect::Timestamp;

use super::time::{from_jiff, to_jiff};

/// A line of syslog.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Syslog<'a> {
    /// When it was written; none where no day of any year is so.
    pub(super) time: Option<Timestamp>,
    /// The program that wrote it, by its own word.
    pub(super) program: &'a str,
    /// What it wrote.
    pub(super) message: &'a str,
}

/// Months as the traditional format has them, whatever the locale.
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Words between the time and the program: the host, and busybox' facility and level.
const MAX_WORDS: usize = 2;

/// Levels as busybox names them.
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];

/// Reads a line. `now` tells the year, which the traditional format leaves out; its times are of the zone `zone`. None
/// where it is no line of syslog.
pub(super) fn parse<'a>(line: &'a str, now: Timestamp, zone: &TimeZone) -> Option<Syslog<'a>> {
    let (time, rest) = whole_time(line).or_else(|| traditional_time(line, now, zone))?;
    let mut rest = rest.trim_start_matches(' ');
    for number in 0..=MAX_WORDS {
        let (word, after) = rest.split_once(' ')?;
        let is_level =
            number == MAX_WORDS - 1 && word.split_once('.').is_some_and(|(_, level)| LEVELS.contains(&level));
        if let Some(tag) = word.strip_suffix(':') {
            let program = tag.split_once('[').map_or(tag, |(program, _)| program);
            return Some(Syslog { time, program, message: after });
        }
        // The host may have any name; what follows it that is no program is no line of a daemon's.
        if number > 0 && !is_level {
            return None;
        }
        rest = after.trim_start_matches(' ');
    }
    None
}

fn whole_time(line: &str) -> Option<(Option<Timestamp>, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let time: jiff::Timestamp = time.parse().ok()?;
    Some((from_jiff(time), rest))
}

fn traditional_time<'a>(
    line: &'a str,
    now: Timestamp,
    zone: &TimeZone,
) -> Option<(Option<Timestamp>, &'a str)> {
    let (month, rest) = line.split_once(' ')?;
    let month = MONTHS.iter().position(|name| *name == month)? as i8 + 1;
    let (day, rest) = rest.trim_start_matches(' ').split_once(' ')?;
    let (clock, rest) = rest.split_once(' ')?;
    let mut parts = clock.split(':');
    let mut part = || parts.next()?.parse::<i8>().ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    let day: i8 = day.parse().ok()?;
    let now = to_jiff(now)?.to_zoned(zone.clone());
    // Of the year in which it is nearest: a line of December is read in January.
    let in_year = |year: i16| {
        let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        from_jiff(time.to_zoned(zone.clone()).ok()?.timestamp())
    };
    let near = |time: &Timestamp| from_jiff(now.timestamp()).map(|now| now.0.abs_diff(time.0));
    let time = (now.year() - 1..=now.year() + 1).filter_map(in_year).min_by_key(near);
    Some((time, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        from_jiff(text.parse().unwrap()).unwrap()
    }

    fn read(line: &str) -> Option<(Option<Timestamp>, &str, &str)> {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let line = parse(line, at("2026-01-02T00:00:00Z"), &zone)?;
        Some((line.time, line.program, line.message))
    }

    #[test]
    fn lines_of_every_daemon_are_read() {
        let sshd = (Some(at("2026-01-01T04:19:09Z")), "sshd", "hello: there");
        for line in [
            "2026-01-01T04:19:09+00:00 host sshd[7]: hello: there",
            "2026-01-01T05:19:09+01:00 host sshd: hello: there",
            "Jan  1 05:19:09 host sshd[7]: hello: there",
            "Jan 1 05:19:09 host auth.info sshd[7]: hello: there",
            "Jan  1 05:19:09 sshd[7]: hello: there",
        ] {
            assert_eq!(read(line), Some(sshd), "{line}");
        }
        let micro = read("2026-01-01T04:19:09.123456+00:00 host su: x").unwrap();
        assert_eq!(micro.0, Some(at("2026-01-01T04:19:09.123456Z")));
        let session = read("Jan  1 05:19:09 host sshd-session[7]: x").unwrap();
        assert_eq!(session.1, "sshd-session");
    }

    #[test]
    fn a_time_without_a_year_is_of_the_nearest() {
        let time = |line| read(line).unwrap().0;
        assert_eq!(time("Dec 31 05:00:00 h a: b"), Some(at("2025-12-31T04:00:00Z")));
        assert_eq!(time("Jan  3 05:00:00 h a: b"), Some(at("2026-01-03T04:00:00Z")));
        assert_eq!(time("Feb 29 05:00:00 h a: b"), None, "no year near has that day");
    }

    #[test]
    fn what_is_no_line_of_syslog_is_none() {
        for line in [
            "",
            "hello",
            "Foo  1 05:19:09 h a: b",
            "Jan  1 05:19 h a: b",
            "Jan  1 05:19:09 host foo sshd[1]: x",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_reading_panic(line in "(Jan |Feb |2026-01-01T00:00:00Z |[0-9: ]|.){0,40}") {
            let _ = read(&line);
        }
    }
}
