//! How many answers there were, by what was to be done and what became of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::api::status::ActionCount;
use crate::respond::{ActionKind, ActionRecord, Outcome};

/// Counted by the thread that answers, read by status.
#[derive(Debug, Default)]
pub(super) struct ActionCounts([[AtomicU64; Outcome::ALL.len()]; ActionKind::ALL.len()]);

impl ActionCounts {
    pub(super) fn count(&self, record: &ActionRecord) {
        self.0[record.kind as usize][record.outcome as usize].fetch_add(1, Relaxed);
    }

    /// Every kind with every outcome, those that never were included.
    pub(super) fn read(&self) -> Vec<ActionCount> {
        let outcomes = |kind: ActionKind| {
            Outcome::ALL.into_iter().map(move |outcome| {
                let count = self.0[kind as usize][outcome as usize].load(Relaxed);
                ActionCount { kind, outcome, count }
            })
        };
        ActionKind::ALL.into_iter().flat_map(outcomes).collect()
    }
}
