//! Blocks and isolations on the real kernel: what is cut, what is not, and that it ends.

mod block;
mod command;
mod container;
mod enforce;
mod guard;
mod host;
mod isolate;
mod life;
mod session;

use std::path::Path;
use std::time::Duration;

use aya::programs::links::{FdLink, PinnedLink};
use openclaw_agent::kernel::layout::of_running_kernel;
use openclaw_agent::respond::{Responder, ResponseSettings};
use openclaw_common::Layout;
use openclaw_detect::{Action, Finding, Mode, ProcessId, Response, Severity, Timestamp};

use crate::support::cgroup::Cgroup;
use crate::support::deed::Deed;
use crate::support::network::Cable;
use crate::support::pins::Bpffs;
use crate::support::{PATIENCE, live};

/// No verdict of a test lasts for longer.
const MINUTE: Duration = Duration::from_secs(60);

/// What a test of verdicts needs. The parts are dropped in this order.
struct Stage {
    bpffs: Bpffs,
    cgroup: Cgroup,
    cable: Cable,
    state: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        Stage { bpffs: Bpffs::new(), cgroup: Cgroup::new(), cable: Cable::new(), state }
    }

    /// One whose kernel's own sockets are within the reach of verdicts, as they are on a host.
    fn with_kernel() -> Self {
        let (cgroup, state) = (Cgroup::new(), tempfile::tempdir().unwrap());
        Stage { bpffs: Bpffs::new(), cable: Cable::of(&cgroup), cgroup, state }
    }

    fn settings(&self) -> ResponseSettings {
        ResponseSettings {
            mode: Mode::Enforce,
            state: self.state.path().to_owned(),
            cgroup: Some(self.cgroup.path().to_owned()),
            default_duration: MINUTE,
            bpffs: self.bpffs.path().to_owned(),
            ..ResponseSettings::default()
        }
    }

    fn responder(&self) -> Responder {
        let responder = Responder::new(self.settings(), layout());
        assert_eq!(responder.notices(), [""; 0]);
        responder
    }
}

/// A finding whose rule asks for the isolation of a process.
pub(crate) fn finding(process: ProcessId) -> Finding {
    Finding {
        id: "f-1".to_owned(),
        rule: "test".to_owned(),
        severity: Severity::High,
        confidence: 0.9,
        title: String::new(),
        message: String::new(),
        timestamp: Timestamp(0),
        actions: vec![Action::Isolate],
        response: Response { seconds: Some(30), ..Response::default() },
        tags: Vec::new(),
        process: Some(process),
        remote: Some("10.211.77.2".parse().unwrap()),
        quiet: false,
        evidence: None,
        event: serde_json::Value::Null,
    }
}

/// Detaches a verdict program, whose pin stays.
fn detach(pins: &Path, program: &str) {
    let link = FdLink::from(PinnedLink::from_pin(pins.join(format!("link_{program}"))).unwrap());
    let mut deed = Deed::new("detach", &[&link.info().unwrap().id().to_string()]);
    assert!(deed.ended_within(PATIENCE).unwrap().success());
}

fn layout() -> Layout {
    of_running_kernel().unwrap().layout
}

#[test]
fn every_verdict_program_acts_here() {
    live!();
    for capability in openclaw_agent::respond::probe(&layout()) {
        assert_eq!(capability.state, openclaw_agent::capability::State::Full, "{capability:?}");
    }
}
