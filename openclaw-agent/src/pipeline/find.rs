//! Events to findings, as the sensor's thread and a replay do it.

use openclaw_detect::{Engine, Event, Field, Finding, Rule, Value};

/// Asks the rules of an event, and calls `told` with each finding. `count` is how many there were: with the time it
/// makes the finding's id, unless the event has an id of its own, as a line of a log has: one that is read again after a
/// crash finds what it has found before. Those that are not to be told are findings only where their rule is `answered`.
pub fn find<E: Event + ?Sized>(
    engine: &mut Engine,
    count: &mut u64,
    event: &E,
    answered: impl Fn(&Rule) -> bool,
    mut told: impl FnMut(&Rule, Finding),
) {
    let mut of_event = 0;
    engine.evaluate(event, |found| {
        if !found.told && !answered(found.rule) {
            return;
        }
        *count += 1;
        of_event += 1;
        let (rule, time) = (found.rule, event.time().0);
        let id = match event.get(Field::EventId) {
            Some(Value::Str(event)) => format!("{time:x}-{event}-{of_event:x}"),
            _ => format!("{time:x}-{count:x}"),
        };
        told(rule, Finding::new(id, found, event));
    });
}
