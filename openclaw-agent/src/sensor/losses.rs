//! What did not get through, by stage and reason.

use openclaw_common::record::loss;
use serde::{Deserialize, Serialize};

/// Counts since the agent started. Kernel counters are those of `openclaw_common::record::loss`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// By the kernel's reasons.
    pub kernel: [u64; loss::COUNT as usize],
    /// Runs of our programs that the kernel skipped.
    pub missed_runs: u64,
}

impl Losses {
    /// The stage at which nothing is lost: what no rule asked for is left out, repeats are told once, and what
    /// had to be cut is told with a mark.
    pub const FILTER: &str = "filter";

    /// Events that were lost: what was left out on purpose does not count.
    pub fn lost(&self) -> u64 {
        self.kernel[..loss::FIRST_FILTER as usize].iter().sum::<u64>() + self.missed_runs
    }

    /// Stage, reason, count, of each counter that is not zero.
    pub fn named(&self) -> Vec<(&'static str, &'static str, u64)> {
        let kernel = loss::NAMES.into_iter().zip(self.kernel).enumerate().map(|(index, (name, count))| {
            let stage = if index < loss::FIRST_FILTER as usize { "kernel" } else { Losses::FILTER };
            (stage, name, count)
        });
        kernel
            .chain([("kernel", "program_run_skipped", self.missed_runs)])
            .filter(|(_, _, count)| *count != 0)
            .collect()
    }
}
