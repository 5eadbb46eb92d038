//! Versions, and what is required of them.

use std::fmt;
use std::str::FromStr;

/// `1.2.3`, of which the later parts may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version([u32; 3]);

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = [0; 3];
        let mut written = text.split('.');
        for (i, part) in parts.iter_mut().enumerate() {
            match written.next() {
                Some(number) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
                    *part = number.parse().map_err(|_| ())?;
                }
                None if i > 0 => {}
                _ => return Err(()),
            }
        }
        if written.next().is_some() { Err(()) } else { Ok(Version(parts)) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Bounds that a version is to keep, such as `>=1.2, <2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Required(Vec<(&'static str, Version)>);

impl FromStr for Required {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let bound = |text: &str| {
            let text = text.trim();
            let sign =
                [">=", "<=", ">", "<", "="].into_iter().find(|sign| text.starts_with(sign)).ok_or(())?;
            Ok((sign, text[sign.len()..].trim().parse()?))
        };
        text.split(',').map(bound).collect::<Result<_, ()>>().map(Required)
    }
}

impl Required {
    /// Whether the version keeps all bounds.
    pub(crate) fn allows(&self, version: Version) -> bool {
        self.0.iter().all(|(sign, bound)| match *sign {
            ">=" => version >= *bound,
            "<=" => version <= *bound,
            ">" => version > *bound,
            "<" => version < *bound,
            _ => version == *bound,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_keeps_its_bounds_or_does_not() {
        for (required, version, allowed) in [
            (">=1.2", "1.2.0", true),
            (">=1.2", "1.10", true),
            (">=1.2, <2", "2", false),
            ("> 1", "1.0.0", false),
            ("=1.2.3", "1.2.3", true),
            ("<=1", "1.0.1", false),
        ] {
            let version = version.parse().unwrap();
            assert_eq!(
                required.parse::<Required>().unwrap().allows(version),
                allowed,
                "{required} {version}"
            );
        }
        for wrong in ["1.2", ">=", ">=a", ">=1.2.3.4", "", ">=1,"] {
            assert!(wrong.parse::<Required>().is_err(), "{wrong}");
        }
        for wrong in ["", "1.", "1.x", "v1", "1.2.3.4", "99999999999"] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong}");
        }
    }
}
