//! What became of the alerts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::api::status::AlertCounts;

/// Counted by every channel, read by status.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) queued: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> AlertCounts {
        AlertCounts {
            delivered: self.delivered.load(Relaxed),
            failed: self.failed.load(Relaxed),
            retries: self.retries.load(Relaxed),
            queued: self.queued.load(Relaxed),
            lost: self.lost.load(Relaxed),
        }
    }
}
