//! What goes over the socket.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_detect::{Changes, Mode, Scope, Timestamp};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::output::Format;
use crate::own_log::{Level, Line};
use crate::respond::{ActionRecord, Modes, Network};

/// What a client asks for. One JSON object on one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// How the agent does. Answer: [`Response::Status`].
    Status,
    /// Every event from now on. Answers: [`Response::Following`], then [`Response::Event`] and
    /// [`Response::Lost`] until the client hangs up.
    Events {
        /// Only those for which this condition of the rule language is true.
        condition: Option<String>,
        /// How the events are to be written.
        format: Format,
    },
    /// Cut an address or a network off. Answer: [`Response::Action`].
    Block(Block),
    /// Take the block of an address or a network back. Answer: [`Response::Action`].
    Unblock {
        /// As it was blocked.
        network: Network,
    },
    /// Cut a process and its descendants, or the host, off from the network. Answer: [`Response::Action`].
    Isolate(Isolate),
    /// Take an isolation back. Answer: [`Response::Action`].
    Release {
        /// The action's id, or the beginning of it that no other has.
        id: String,
    },
    /// The answers that are in force, and with `all` those that are over. Answer: [`Response::Actions`].
    Actions {
        /// Whether those that are over, refused or failed are wanted too.
        all: bool,
    },
    /// Take one answer back, whatever its kind. Answer: [`Response::Action`].
    Undo {
        /// The action's id, or the beginning of it that no other has.
        id: String,
    },
    /// In which modes answers are carried out. Answer: [`Response::Modes`].
    Modes,
    /// Switch the mode of a rule, or of all. Answer: [`Response::Modes`].
    SwitchMode {
        /// The rule; none for all.
        rule: Option<String>,
        /// The mode.
        mode: Mode,
    },
    /// Go back to the modes that are configured. Answer: [`Response::Modes`].
    SwitchBack,
    /// Let a rule answer again that the breaker has cut off, or all that it has. Answer: [`Response::Modes`].
    Rearm {
        /// The rule; none for all.
        rule: Option<String>,
    },
    /// Read the rule files again. Answer: [`Response::Rules`].
    ReloadRules,
    /// Read the configuration and the rule files again. Answer: [`Response::Reloaded`].
    Reload,
    /// The last lines of the agent's own log, the oldest first. Answer: [`Response::Log`]; where they are to be followed
    /// [`Response::Following`], then [`Response::LogLine`] and [`Response::Lost`] until the client hangs up.
    Log {
        /// Only those that matter at least so much.
        level: Level,
        /// How many at most.
        lines: usize,
        /// Whether those that come are wanted too.
        follow: bool,
    },
    /// Take everything back. Answer: [`Response::Actions`], those that were taken back.
    UndoAll,
    /// Deliver alerts again that were given up. Answer: [`Response::Retried`].
    RetryAlerts {
        /// The alert's id, or the beginning of it; none for all.
        id: Option<String>,
    },
    /// Keep the alerts of a rule back. Answer: [`Response::Mutes`].
    Mute {
        /// The rule.
        rule: String,
        /// For how long; none to let them through again.
        duration: Option<Duration>,
    },
    /// The rules whose alerts are kept back. Answer: [`Response::Mutes`].
    Mutes,
}

/// A person's request to block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// What to cut off.
    pub network: Network,
    /// Why.
    pub reason: Option<String>,
    /// For how long; the agent's default where none is given.
    pub duration: Option<Duration>,
    /// Whether it is one of many that are asked for together: each is on record, but no alert of its own.
    #[serde(default)]
    pub among_many: bool,
}

/// A person's request to isolate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolate {
    /// The root of the process tree; none where the host is meant.
    pub pid: Option<u32>,
    /// Whether its tree is meant, all of its container, or the host.
    #[serde(default)]
    pub scope: Scope,
    /// Why.
    pub reason: Option<String>,
    /// For how long; the agent's default where none is given.
    pub duration: Option<Duration>,
}

/// What became of a configuration that was read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The file; empty where there is none.
    pub file: String,
    /// How many rules run now.
    pub rules: u64,
    /// What is other than before of them.
    pub changes: Changes,
    /// The channels by which alerts go now.
    pub channels: Vec<String>,
    /// The sections that have changed, and hold from the next start on.
    pub later: Vec<String>,
    /// What has no effect, with its place.
    pub warnings: Vec<String>,
}

/// What the agent answers. One JSON object on one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Status`].
    Status {
        /// How the agent does.
        status: Box<Status>,
    },
    /// What became of an action.
    Action {
        /// The record, as it is stored.
        action: Box<ActionRecord>,
    },
    /// A list of actions.
    Actions {
        /// The records, the newest first.
        actions: Vec<ActionRecord>,
    },
    /// The modes by now.
    Modes {
        /// As they are.
        modes: Modes,
    },
    /// The rules that run now.
    Rules {
        /// How many there are.
        rules: u64,
        /// What is other than before.
        changes: Changes,
    },
    /// To [`Request::Reload`].
    Reloaded {
        /// What holds now.
        reloaded: Box<Reloaded>,
    },
    /// To [`Request::RetryAlerts`].
    Retried {
        /// How many deliveries wait again.
        deliveries: u64,
    },
    /// The rules whose alerts are kept back by now.
    Mutes {
        /// Until when, by the rule.
        mutes: BTreeMap<String, Timestamp>,
    },
    /// The condition is good: from here on events follow.
    Following,
    /// One event.
    Event {
        /// As [`crate::output`] writes it, without the line's end.
        line: String,
    },
    /// Lines of the log.
    Log {
        /// The oldest first.
        lines: Vec<Line>,
    },
    /// One line of the log.
    LogLine {
        /// As it was written.
        line: Line,
    },
    /// Events that matched, or lines, were left out, because the client did not read fast enough.
    Lost {
        /// How many, since the last time that this was said.
        count: u64,
    },
    /// It was not done.
    Error {
        /// What happened, to what, and what to do next.
        message: String,
    },
}
