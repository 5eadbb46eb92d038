//! What did not get through, wherever in the agent that was.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use super::stdout::Stdout;
use crate::alert::Alerts;
use crate::api::status::Loss;
use crate::lock::lock;
use crate::pipeline::Snapshot;
use crate::sensor::Losses;
use crate::store::Writer;

/// Stages whose failures leave an event that is told all the same, with less that is known of it.
const LEAVE_AN_EVENT: [&str; 2] = ["hash", "containers"];

/// What anybody can send: whatever goes to or from port 53 and is no DNS.
const MALFORMED_DNS: &str = "malformed_dns";

/// Where losses are counted.
pub(super) struct LossCounters {
    pub(super) snapshot: Arc<Mutex<Snapshot>>,
    pub(super) findings: Arc<AtomicU64>,
    pub(super) store: Writer,
    pub(super) stdout: Stdout,
    pub(super) alerts: Alerts,
}

impl LossCounters {
    /// By stage and reason, each that is not zero; what was left out on purpose is of the stage [`Losses::FILTER`].
    pub(super) fn all(&self) -> Vec<Loss> {
        let Snapshot { losses, counts, hash_misses, rules, .. } = &*lock(&self.snapshot);
        let of_agent = [
            ("decode", "malformed_record", counts.malformed),
            ("hash", "queue_full", hash_misses.queue_full),
            ("hash", "program_gone", hash_misses.gone),
            (Losses::FILTER, "program_not_hashed", hash_misses.left_out),
            ("containers", "queue_full", counts.containers_unasked),
            ("decode", MALFORMED_DNS, counts.malformed_dns),
            ("rules", "memory_full", rules.evicted),
            ("findings", "queue_full", self.findings.load(Relaxed)),
            ("store", "queue_full", self.store.lost()),
            ("stdout", "reader_too_slow", self.stdout.lost()),
            ("alert", "outbox_full", self.alerts.counts().lost),
        ];
        let all = losses.named().into_iter().chain(of_agent).filter(|(.., count)| *count > 0);
        all.map(|(stage, reason, count)| Loss { stage: stage.into(), reason: reason.into(), count }).collect()
    }
}

/// Whether something is missing with it, which the rules, the store or the SOC should have had.
pub(super) fn is_missing(loss: &Loss) -> bool {
    loss.stage != Losses::FILTER && !LEAVE_AN_EVENT.contains(&&*loss.stage) && loss.reason != MALFORMED_DNS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_on_purpose_or_told_with_less_is_not_missing() {
        let of = |(stage, reason): (&str, &str)| {
            is_missing(&Loss { stage: stage.into(), reason: reason.into(), count: 1 })
        };
        let missing =
            [("kernel", "file_ring_full"), ("alert", "outbox_full"), ("decode", "malformed_record")];
        assert_eq!(missing.map(of), [true; 3]);
        let told = [("filter", "path_cut"), ("hash", "queue_full"), ("decode", MALFORMED_DNS)];
        assert_eq!(told.map(of), [false; 3]);
    }
}
