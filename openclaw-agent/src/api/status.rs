//! What the running agent says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::config::Mode;
use crate::logs::LogStatus;
use crate::respond::action::{ActionKind, Outcome};
use crate::sensor::ProgramCost;

/// The state of the running agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The host's name.
    pub host: String,
    /// The agent's process id.
    pub pid: u32,
    /// Seconds since the agent began to watch.
    pub uptime_seconds: u64,
    /// Whether answers are carried out.
    pub mode: Mode,
    /// The hook that each capability uses.
    pub hooks: Vec<Capability>,
    /// Events, by the names of their kinds.
    pub events: BTreeMap<String, EventCount>,
    /// What could not be carried, by the stage that lost it, and what was left out on purpose
    /// ([`crate::sensor::Losses::FILTER`]). A stage that lost nothing is not in it.
    pub losses: Vec<Loss>,
    /// How the reading of logs goes.
    #[serde(default)]
    pub logs: Vec<LogStatus>,
    /// How many rules run.
    pub rules: u64,
    /// What is not as it should be, though the agent works.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How many findings there were since the agent started.
    pub findings: u64,
    /// What became of the alerts.
    pub alerts: AlertCounts,
    /// How each alert channel does.
    #[serde(default)]
    pub channels: Vec<ChannelStatus>,
    /// The rules whose alerts are muted, and until when (RFC 3339).
    #[serde(default)]
    pub muted: BTreeMap<String, String>,
    /// How many blocks and isolations are in force.
    pub active_verdicts: u64,
    /// What became of answers since the agent started.
    #[serde(default)]
    pub actions: Vec<ActionCount>,
    /// What the agent itself takes.
    #[serde(default)]
    pub agent: Figures,
}

/// How many answers of one kind ended in one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCount {
    /// What was to be done.
    pub kind: ActionKind,
    /// What became of it.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
}

/// What the agent itself takes, and how it keeps up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Memory that is resident, in bytes.
    pub memory_bytes: u64,
    /// Time on processors since the start, of all its threads, in seconds.
    pub cpu_seconds: f64,
    /// Processes in the table.
    pub processes: u64,
    /// What waits in each queue.
    pub queues: BTreeMap<String, u64>,
    /// What the rules remember.
    pub memory: RuleMemory,
    /// How long the rules took of the events of which that was measured.
    pub rule_time: Sampled,
    /// How large the kernel programs are, and what they have cost where the kernel counts it.
    pub programs: Vec<ProgramCost>,
}

/// What the rules remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuleMemory {
    /// Rules that are true at present, counted once for each process and address.
    pub active: u64,
    /// Keys and values.
    pub remembered: u64,
    /// Firings that `suppress` kept from being told.
    pub suppressed: u64,
}

/// A time of which only samples were measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Sampled {
    /// How many were measured.
    pub samples: u64,
    /// How long they took in all, in seconds.
    pub seconds: f64,
}

/// How many events of one kind there were.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct EventCount {
    /// Since the agent started.
    pub total: u64,
    /// A second, over the last ten seconds.
    pub per_second: f64,
}

/// What a stage could not carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The stage, such as `kernel` or `alert`.
    pub stage: String,
    /// Why, such as `ring full`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// What became of the alerts since the agent started, each counted once per channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertCounts {
    /// Accepted by the endpoint.
    pub delivered: u64,
    /// Given up: the endpoint refused them, or was down for too long.
    pub failed: u64,
    /// Attempts that failed and are repeated.
    pub retries: u64,
    /// Waiting for delivery.
    pub queued: u64,
    /// Held back, since one like them was told, or muted: each counted once.
    #[serde(default)]
    pub held: u64,
    /// Thrown away, because the outbox was full, or neither the disk nor an endpoint took them.
    pub lost: u64,
}

/// How one alert channel does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Its name.
    pub name: String,
    /// Its type, such as `webhook`.
    pub kind: String,
    /// The endpoint without what may be secret in it.
    pub endpoint: String,
    /// How many alerts wait for it.
    pub waiting: u64,
    /// How many it has accepted since the agent started.
    pub delivered: u64,
    /// How many were given up since the agent started.
    pub failed: u64,
    /// Since when it takes nothing, RFC 3339; none while it does.
    pub failing_since: Option<String>,
    /// When it accepted one last.
    pub last_success: Option<String>,
    /// When it did not, last.
    pub last_failure: Option<String>,
    /// Why it did not.
    pub last_error: Option<String>,
}
