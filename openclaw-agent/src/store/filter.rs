//! Which findings are wanted.

use openclaw_detect::{Severity, Timestamp};

/// Which findings are wanted; what is `None` does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this severity or worse.
    pub severity: Option<Severity>,
    /// Of the rule with this name.
    pub rule: Option<String>,
    /// Of this time or later.
    pub since: Option<Timestamp>,
}
