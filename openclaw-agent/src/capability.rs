//! What this machine allows, capability by capability: the words of `status` and of `doctor`.

use serde::{Deserialize, Serialize};

/// A capability and the hook that gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// What it is for, such as `process exec`.
    pub capability: String,
    /// The kernel's hook, such as `raw_tracepoint:sched_process_exec`.
    pub hook: String,
    /// Whether it works.
    pub state: State,
    /// Why it does not, or what it lacks.
    pub reason: Option<String>,
}

/// How well a capability works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The hook was triggered, and seen to work.
    Full,
    /// The hook is attached; nobody has looked whether it fires.
    Attached,
    /// It works in part.
    Degraded,
    /// It does not work.
    Missing,
}

impl State {
    /// The name that people and JSON read.
    pub const fn name(self) -> &'static str {
        match self {
            State::Full => "full",
            State::Attached => "attached",
            State::Degraded => "degraded",
            State::Missing => "missing",
        }
    }
}

impl Capability {
    /// One that works as far as `state` says.
    pub fn new(capability: impl Into<String>, hook: impl Into<String>, state: State) -> Self {
        Capability { capability: capability.into(), hook: hook.into(), state, reason: None }
    }

    /// The same with the reason why it is not full.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}
