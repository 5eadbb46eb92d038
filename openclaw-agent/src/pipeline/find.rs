//! Events to findings, as the sensor's thread and a replay do it.

use openclaw_detect::{Engine, Event, Finding, Rule};

/// Asks the rules of an event, and calls `told` with each finding. `count` is how many there were: with the time it
/// makes the finding's id. Those that are not to be told are findings only where they are `answered`.
pub fn find<E: Event + ?Sized>(
    engine: &mut Engine,
    count: &mut u64,
    event: &E,
    answered: bool,
    mut told: impl FnMut(&Rule, Finding),
) {
    engine.evaluate(event, |found| {
        if !found.told && !answered {
            return;
        }
        *count += 1;
        let rule = found.rule;
        told(rule, Finding::new(format!("{:x}-{count:x}", event.time().0), found, event));
    });
}
