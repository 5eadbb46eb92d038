//! Texts that nobody is shown.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands in the place of a secret.
pub(crate) const MASK: &str = "***";

/// A password, a token or a key: neither logs nor `config show` tell it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text to itself.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for those alone whom it is for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_neither_by_debug_nor_by_serialization() {
        let secret = Secret::new("s3cr3t");
        let shown = format!("{secret:?} {}", serde_json::to_string(&secret).unwrap());
        assert_eq!((shown.as_str(), secret.expose()), ("*** \"***\"", "s3cr3t"));
    }
}
