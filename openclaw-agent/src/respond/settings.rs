//! What the responder is told, and whom it asks.

use std::path::PathBuf;
use std::time::Duration;

use openclaw_detect::ProcessId;

use super::Network;

/// How to answer.
#[derive(Debug, Clone)]
pub struct ResponseSettings {
    /// Whether findings are answered. If not, what would be done is recorded. What a person asks for is
    /// done either way.
    pub enforce: bool,
    /// An answer to a finding needs a confidence strictly above this, 0 to 1.
    pub min_confidence: f64,
    /// The cgroup v2 folder that bounds where verdicts hold; none means the root of cgroup v2.
    pub cgroup: Option<PathBuf>,
    /// How long a verdict lasts where nothing says so.
    pub default_duration: Duration,
    /// Processes that are never acted upon, besides those that never are: names of executables, of which
    /// the end may be `*`, or full paths.
    pub protected: Vec<String>,
    /// Networks that are never blocked.
    pub never_block: Vec<Network>,
    /// Where alerts go, as `host:port`: never blocked either.
    pub alert_endpoints: Vec<String>,
    /// How many isolated processes there is room for; none means as many as the machine can have.
    pub max_isolated_processes: Option<u32>,
    /// Where the BPF file system is, or is to be mounted; see [`default_bpffs`].
    pub bpffs: PathBuf,
}

impl Default for ResponseSettings {
    fn default() -> Self {
        ResponseSettings {
            enforce: false,
            min_confidence: 0.8,
            cgroup: None,
            default_duration: Duration::from_secs(3600),
            protected: Vec::new(),
            never_block: Vec::new(),
            alert_endpoints: Vec::new(),
            max_isolated_processes: None,
            bpffs: default_bpffs(),
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
