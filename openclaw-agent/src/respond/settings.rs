//! What the responder is told, and whom it asks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_detect::{Mode, ProcessId};

use super::{BreakerLimits, Exceptions, Network, Protected, state_folder};
use crate::api::socket::SYSTEM_SOCKET;
use crate::config::Http;

/// How to answer.
#[derive(Debug, Clone)]
pub struct ResponseSettings {
    /// Whether findings are answered, or it is recorded what would be done. What a person asks for is done either way.
    pub mode: Mode,
    /// The same for rules by their names, of which the end may be `*`.
    pub rule_modes: Vec<(String, Mode)>,
    /// The same for what is found in containers with a label, `KEY` or `KEY=VALUE`.
    pub label_modes: Vec<(String, Mode)>,
    /// For so long after the start nothing that a finding asks for is done.
    pub warm_up: Duration,
    /// How long a command may take that an answer runs, and a webhook that it calls.
    pub run_limit: Duration,
    /// How many answers are not too many.
    pub breaker: BreakerLimits,
    /// Whether a critical finding isolates its process, whatever its rule says.
    pub isolate_on_critical: bool,
    /// What isolation leaves open.
    pub isolation: Exceptions,
    /// An answer to a finding needs a confidence strictly above this, 0 to 1.
    pub min_confidence: f64,
    /// The cgroup v2 folder that bounds where verdicts hold; none means the root of cgroup v2.
    pub cgroup: Option<PathBuf>,
    /// How long a verdict lasts where nothing says so.
    pub default_duration: Duration,
    /// What is never acted upon, besides what never is.
    pub protected: Vec<Protected>,
    /// Networks that are never blocked.
    pub never_block: Vec<Network>,
    /// The endpoints that rules may call, by their names.
    pub webhooks: Vec<(String, Http)>,
    /// Where alerts and webhooks go, as `host:port`: never blocked either.
    pub alert_endpoints: Vec<String>,
    /// How many isolated processes there is room for; none means as many as the machine can have.
    pub max_isolated_processes: Option<u32>,
    /// Where the BPF file system is, or is to be mounted; see [`default_bpffs`].
    pub bpffs: PathBuf,
    /// The folder for what must be known of answers when an agent has ended; see [`super::state_folder`].
    pub state: PathBuf,
}

impl Default for ResponseSettings {
    fn default() -> Self {
        ResponseSettings {
            mode: Mode::Observe,
            rule_modes: Vec::new(),
            label_modes: Vec::new(),
            warm_up: Duration::ZERO,
            run_limit: Duration::from_secs(30),
            breaker: BreakerLimits::default(),
            isolate_on_critical: false,
            isolation: Exceptions::default(),
            min_confidence: 0.8,
            cgroup: None,
            default_duration: Duration::from_secs(3600),
            protected: Vec::new(),
            never_block: Vec::new(),
            webhooks: Vec::new(),
            alert_endpoints: Vec::new(),
            max_isolated_processes: None,
            bpffs: default_bpffs(),
            state: state_folder(Path::new(SYSTEM_SOCKET)),
        }
    }
}

/// Where verdicts are pinned: `OPENCLAW_BPFFS` from the environment, else `/sys/fs/bpf`.
pub fn default_bpffs() -> PathBuf {
    std::env::var_os("OPENCLAW_BPFFS").map_or_else(|| PathBuf::from("/sys/fs/bpf"), PathBuf::from)
}

/// The process table, as far as answers need it.
pub trait ProcessLookup {
    /// The living descendants of a process, those included whose parents have ended: `/proc` shows these
    /// below init.
    fn descendants(&self, of: ProcessId) -> Vec<ProcessId>;

    /// The name of a process, also of one that has ended.
    fn name(&self, of: ProcessId) -> Option<String>;
}

/// No process table: `/proc` alone is asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLookup;

impl ProcessLookup for NoLookup {
    fn descendants(&self, _of: ProcessId) -> Vec<ProcessId> {
        Vec::new()
    }

    fn name(&self, _of: ProcessId) -> Option<String> {
        None
    }
}
