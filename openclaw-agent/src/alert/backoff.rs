//! How long it is waited before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The pause after the first failed attempt; it doubles from there.
const FIRST: Duration = Duration::from_millis(500);

/// The longest pause that an endpoint does not ask for.
const LONGEST: Duration = Duration::from_secs(60);

/// The pauses between attempts at one thing.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// Nothing has failed yet.
    pub(crate) fn new() -> Backoff {
        Backoff { next: FIRST }
    }

    /// How long to wait after one more attempt has failed: as long as the endpoint asks for, or else three quarters of a
    /// pause to the whole of it, so that many agents do not return at the same moment.
    pub(crate) fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        // At once is never: an endpoint whose clock is behind asks for it.
        asked.filter(|asked| !asked.is_zero()).unwrap_or_else(|| {
            let random = (RandomState::new().hash_one(0u8) % 1000) as u32;
            pause * 3 / 4 + pause / 4 * random / 1000
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_unless_the_endpoint_asks_for_another() {
        let mut backoff = Backoff::new();
        for whole in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let pause = backoff.pause(None).as_secs_f64();
            assert!(pause >= whole * 3.0 / 4.0 && pause <= whole, "{pause} of {whole}");
        }
        let mut backoff = Backoff::new();
        assert_eq!(backoff.pause(Some(Duration::from_secs(700))), Duration::from_secs(700));
        assert!(backoff.pause(None) > FIRST, "that was an attempt too");
        assert!(backoff.pause(Some(Duration::ZERO)) > FIRST, "not at once");
    }

    #[test]
    fn agents_that_fail_at_the_same_moment_do_not_return_at_the_same_moment() {
        let pauses: Vec<_> = (0..9).map(|_| Backoff::new().pause(None)).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{pauses:?}");
    }
}
