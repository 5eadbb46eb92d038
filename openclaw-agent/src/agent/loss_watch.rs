//! When so much is lost that somebody should hear of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::losses::is_missing;
use super::notices::Notices;
use crate::api::status::Loss;

/// What stands in the place of a rule's name.
const SENSOR_LOSSES: &str = "sensor_losses";

/// The time in which losses are summed up.
const WITHIN: Duration = Duration::from_secs(10);

/// How long nothing more is told after it was.
const QUIET: Duration = Duration::from_secs(600);

/// Sums up losses, and says when they are above a limit.
#[derive(Debug)]
pub(super) struct LossWatch {
    /// So many within [`WITHIN`] are told; 0 for none ever.
    limit: u64,
    /// How much there was in all, when that was looked at: from the last look before the time on.
    seen: VecDeque<(Instant, u64)>,
    told: Option<Instant>,
}

impl LossWatch {
    /// Nothing was lost before `now`.
    pub(super) fn new(limit: u64, now: Instant) -> Self {
        LossWatch { limit, seen: VecDeque::from([(now, 0)]), told: None }
    }

    /// Takes in what was lost in all by now, and tells of it where it was too much of late.
    pub(super) fn look(&mut self, now: Instant, losses: &[Loss], notices: &Notices) {
        let missing: Vec<&Loss> = losses.iter().filter(|loss| is_missing(loss)).collect();
        let Some(lost) = self.see(now, missing.iter().map(|loss| loss.count).sum()) else { return };
        let reasons: BTreeMap<String, u64> =
            missing.iter().map(|loss| (format!("{}.{}", loss.stage, loss.reason), loss.count)).collect();
        let message = format!(
            "{lost} events, or what rules remembered or found, were lost within ten seconds: something may have been \
             missed. `openclaw status` says where they were lost"
        );
        notices.tell(SENSOR_LOSSES, &message, &reasons);
    }

    /// Takes in how much was lost in all by now. Returns how much was within the time, where that is to be told.
    fn see(&mut self, now: Instant, lost: u64) -> Option<u64> {
        while self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WITHIN) {
            self.seen.pop_front();
        }
        let before = self.seen.front().map_or(lost, |(_, lost)| *lost);
        self.seen.push_back((now, lost));
        let within = lost.saturating_sub(before);
        let is_quiet = self.told.is_some_and(|told| now.duration_since(told) < QUIET);
        let is_told = self.limit > 0 && within >= self.limit && !is_quiet;
        if is_told {
            self.told = Some(now);
        }
        is_told.then_some(within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_above_the_limit_in_time_are_told_once_in_a_while() {
        let begin = Instant::now();
        let mut watch = LossWatch::new(100, begin);
        let mut see = |seconds, lost| watch.see(begin + Duration::from_secs(seconds), lost);
        assert_eq!(see(5, 99), None);
        assert_eq!(see(9, 100), Some(100));
        assert_eq!(see(10, 5000), None, "it was told");
        assert_eq!(see(600, 5000), None);
        assert_eq!(see(608, 5050), None);
        assert_eq!(see(619, 5100), None, "slowly");
        assert_eq!(see(625, 5149), None, "slowly");
        assert_eq!(see(626, 5150), Some(100));
        // The thread stood still.
        assert_eq!(see(1300, 5250), Some(100));
        let mut never = LossWatch::new(0, begin);
        assert_eq!(never.see(begin, u64::MAX), None);
    }
}
