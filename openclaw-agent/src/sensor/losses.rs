//! What did not get through, by stage and reason.

use openclaw_common::record::loss;
use serde::{Deserialize, Serialize};

/// Counts since the agent started. Kernel counters are those of `openclaw_common::record::loss`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// By the kernel's reasons.
    pub kernel: [u64; loss::COUNT as usize],
    /// Runs of our programs that the kernel skipped, and in whose place no other told.
    pub missed_runs: u64,
    /// The same of the program at the exit of system calls: most calls would have told nothing.
    #[serde(default)]
    pub missed_call_runs: u64,
    /// The same of programs that see nothing but files and mounts.
    #[serde(default)]
    pub missed_file_runs: u64,
}

impl Losses {
    /// The stage at which nothing is lost: what no rule asked for is left out, repeats are told once, and what
    /// had to be cut is told with a mark.
    pub const FILTER: &str = "filter";

    /// Events that were lost: what was left out on purpose does not count.
    pub fn lost(&self) -> u64 {
        self.kernel[..loss::FIRST_FILTER as usize].iter().sum::<u64>()
            + self.missed_runs
            + self.missed_call_runs
            + self.missed_file_runs
    }

    /// Those of them after which what is known of processes and connections may be wrong: all but files.
    pub fn unsettling(&self) -> u64 {
        self.lost() - self.kernel[loss::FILE_RING as usize] - self.missed_file_runs
    }

    /// Stage, reason, count, of each counter that is not zero.
    pub fn named(&self) -> Vec<(&'static str, &'static str, u64)> {
        let kernel = loss::NAMES.into_iter().zip(self.kernel).enumerate().map(|(index, (name, count))| {
            let stage = if index < loss::FIRST_FILTER as usize { "kernel" } else { Losses::FILTER };
            (stage, name, count)
        });
        kernel
            .chain([
                ("kernel", "program_run_skipped", self.missed_runs),
                ("kernel", "call_program_run_skipped", self.missed_call_runs),
                ("kernel", "file_program_run_skipped", self.missed_file_runs),
            ])
            .filter(|(_, _, count)| *count != 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handbook's table of losses.
    fn table() -> &'static str {
        const PAGE: &str = include_str!("../../../docs/architecture.md");
        PAGE.split_once("\n## Losses\n").unwrap().1.split("\n## ").next().unwrap()
    }

    /// The reasons that the table has at a stage, in its order, of those that the kernel's side counts.
    fn reasons(stage: &str) -> Vec<&'static str> {
        let in_kernel = |row: &&str| row.contains("| `LOSSES`") || row.contains("the kernel's");
        let rows = table().lines().filter_map(|line| line.strip_prefix(&format!("| `{stage}` | ")));
        let rows = rows.filter(in_kernel);
        rows.flat_map(|row| row.split(" | ").next().unwrap().split(", "))
            .map(|reason| reason.trim_matches('`'))
            .collect()
    }

    #[test]
    fn the_handbooks_table_has_each_reason_of_the_kernel_once_and_at_its_stage() {
        let kernel = [1; loss::COUNT as usize];
        let each = Losses { kernel, missed_runs: 1, missed_call_runs: 1, missed_file_runs: 1 };
        for stage in ["kernel", Losses::FILTER] {
            let counted: Vec<_> = each
                .named()
                .into_iter()
                .filter(|(at, ..)| *at == stage)
                .map(|(_, reason, _)| reason)
                .collect();
            assert_eq!(reasons(stage), counted, "docs/architecture.md, {stage}");
        }
    }

    #[test]
    fn files_that_were_lost_leave_what_is_known_of_processes_as_it_is() {
        let mut losses = Losses { missed_file_runs: 2, ..Losses::default() };
        losses.kernel[loss::FILE_RING as usize] = 3;
        assert_eq!((losses.lost(), losses.unsettling()), (5, 0));
        losses.missed_runs = 1;
        assert_eq!((losses.lost(), losses.unsettling()), (6, 1));
        // A call may have changed who a process is.
        losses.missed_call_runs = 1;
        assert_eq!((losses.lost(), losses.unsettling()), (7, 2));
    }

    #[test]
    fn an_end_that_was_missed_is_a_loss_and_a_path_that_was_cut_is_none() {
        let of = |reason: u32| {
            let mut losses = Losses::default();
            losses.kernel[reason as usize] = 1;
            losses.lost()
        };
        assert_eq!((of(loss::STALE), of(loss::WALK)), (1, 0));
    }
}
