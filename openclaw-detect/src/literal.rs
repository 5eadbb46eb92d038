//! What the values of the language mean: numbers, sizes, durations.

use std::fmt;
use std::time::Duration;

/// Units of size in bytes: MB is 10^6, MiB 2^20.
const SIZES: &[(&str, i64)] = &[
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
];

/// Units of time in milliseconds.
const UNITS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A whole number: decimal, `0x` or `0o`, or a size such as `100MB` or `1.5GiB`, letters in either case.
pub(crate) fn number(text: &str) -> Result<i64, String> {
    let no_number = || format!("`{text}` is no number");
    let too_great = || format!("{text} is too great: the greatest number is {}", i64::MAX);
    let lower = text.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return digits(hex, 16, &no_number, &too_great);
    }
    if let Some(octal) = lower.strip_prefix("0o") {
        return digits(octal, 8, &no_number, &too_great);
    }
    let (amount, unit) = SIZES
        .iter()
        .find_map(|(suffix, unit)| lower.strip_suffix(suffix).map(|amount| (amount, *unit)))
        .unwrap_or((&lower, 1));
    if let Some((whole, fraction)) = amount.split_once('.') {
        if unit == 1 {
            return Err(format!("`{text}` is no whole number"));
        }
        let whole = digits(whole, 10, &no_number, &too_great)?;
        let parts = digits(fraction, 10, &no_number, &too_great)?;
        let scale = 10i64.checked_pow(fraction.len() as u32).ok_or_else(no_number)?;
        let parts = i128::from(parts) * i128::from(unit);
        if parts % i128::from(scale) != 0 {
            return Err(format!("{text} is no whole number of bytes"));
        }
        let total = i128::from(whole) * i128::from(unit) + parts / i128::from(scale);
        return i64::try_from(total).map_err(|_| too_great());
    }
    let (sign, unsigned) = match amount.strip_prefix('-') {
        Some(unsigned) => (-1, unsigned),
        None => (1, amount),
    };
    if unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "`{text}` has a leading zero: write 0o{} for octal",
            unsigned.trim_start_matches('0')
        ));
    }
    let amount = digits(unsigned, 10, &no_number, &too_great)?;
    amount.checked_mul(unit).and_then(|n| n.checked_mul(sign)).ok_or_else(too_great)
}

fn digits(
    text: &str,
    radix: u32,
    no_number: &dyn Fn() -> String,
    too_great: &dyn Fn() -> String,
) -> Result<i64, String> {
    if text.is_empty() || !text.chars().all(|c| c.is_digit(radix)) {
        return Err(no_number());
    }
    i64::from_str_radix(text, radix).map_err(|_| too_great())
}

/// A length of time: `500ms`, `10s`, `10m`, `1h`, `7d`, or several such as `1h30m`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == &rest[..unit])?;
        total = total.checked_add(Duration::from_millis(amount.checked_mul(*milliseconds)?))?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

/// A length of time as rules write it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS {
            if rest >= *length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mb_is_ten_to_the_sixth_and_mib_two_to_the_twentieth() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("100MB", Some(100_000_000)),
            ("100mb", Some(100_000_000)),
            ("1MiB", Some(1_048_576)),
            ("1.5GB", Some(1_500_000_000)),
            ("0.5KiB", Some(512)),
            ("7B", Some(7)),
            ("0x10", Some(16)),
            ("0o4755", Some(0o4755)),
            ("0755", None),
            ("1.5", None),
            ("0.0001KB", None),
            ("10m", None),
            ("MB", None),
            ("1e3", None),
            ("--1", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("99999999999TB", None),
            ("9999999999999.5TB", None),
        ] {
            assert_eq!(number(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for text in ["1h30m", "500ms", "7d", "1m1ms", "0s"] {
            assert_eq!(Time(duration(text).unwrap()).to_string(), text);
        }
    }

    #[test]
    fn a_duration_is_amounts_with_units() {
        for (text, expected) in [
            ("1h", Some(3_600_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("7d", Some(604_800_000)),
            ("10s", Some(10_000)),
            ("10", None),
            ("m", None),
            ("", None),
            ("1w", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
