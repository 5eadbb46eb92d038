//! What the running agent says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::capability::Capability;
use crate::config::Mode;

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
    /// How many rules run.
    pub rules: u64,
    /// What is not as it should be, though the agent works.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How many findings there were since the agent started.
    pub findings: u64,
    /// What became of the alerts.
    pub alerts: AlertCounts,
    /// How many blocks and isolations are in force.
    pub active_verdicts: u64,
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
    /// Not even queued, because the queue was full, or still queued when the agent stopped.
    pub lost: u64,
}
