//! The record of one answer: what was asked, what was done, until when.

use openclaw_detect::{ProcessId, Timestamp};
use serde::{Deserialize, Serialize};

/// One answer, as it is stored, listed and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// What `release`, `blocklist remove` and `response undo` take.
    pub id: String,
    /// The finding that asked for it; none where a person did.
    pub finding: Option<String>,
    /// The rule that asked for it; none where a person did.
    pub rule: Option<String>,
    /// What was asked for.
    pub kind: ActionKind,
    /// On whom.
    pub target: Target,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused or failed, or what the person gave as the reason.
    pub reason: Option<String>,
    /// When it was asked for.
    pub at: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// The id of the verdict that does it, where another answer had made that before.
    #[serde(default)]
    pub verdict: Option<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// No packets to or from an address or network.
    Block,
    /// No network for a process and all its descendants.
    Isolate,
}

impl ActionKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [ActionKind; 2] = [ActionKind::Block, ActionKind::Isolate];

    /// The name that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            ActionKind::Block => "block",
            ActionKind::Isolate => "isolate",
        }
    }
}

/// On whom it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// An address or a network, `192.0.2.7` or `192.0.2.0/24`.
    Network(String),
    /// A process, the root of the tree that is meant.
    Process {
        /// Which one.
        id: ProcessId,
        /// Its name when the action was asked for.
        name: String,
    },
    /// Nothing that can be acted on: the event names no such target.
    None,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, and verified.
    Done,
    /// Observe mode: it would have been done.
    Would,
    /// A guard rail forbade it.
    Refused,
    /// It was tried and did not work.
    Failed,
    /// Its time is over.
    Expired,
    /// A person took it back.
    Undone,
}

impl Outcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: [Outcome; 6] =
        [Outcome::Done, Outcome::Would, Outcome::Refused, Outcome::Failed, Outcome::Expired, Outcome::Undone];

    /// The name that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Would => "would",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Expired => "expired",
            Outcome::Undone => "undone",
        }
    }
}
