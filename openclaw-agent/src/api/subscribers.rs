//! From the thread that reads events to the clients that follow them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openclaw_detect::{Condition, Event};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::control::{Refusal, Subscription};
use crate::output::{self, Format};

/// How many events wait for a client at most.
const QUEUE: usize = 4096;

/// The clients that follow events. Share it between the thread that has the events and [`super::Control`].
#[derive(Debug, Default)]
pub struct Subscribers {
    // So that an event costs one load where nobody follows.
    any: AtomicBool,
    list: Mutex<Vec<Subscriber>>,
}

#[derive(Debug)]
struct Subscriber {
    condition: Option<Condition>,
    format: Format,
    lines: mpsc::Sender<String>,
    lost: Arc<AtomicU64>,
}

impl Subscribers {
    /// Adds a client: what [`super::Control::subscribe`] is to return.
    ///
    /// # Errors
    /// The condition has mistakes, which the text shows with their places.
    pub fn subscribe(&self, condition: Option<&str>, format: Format) -> Result<Subscription, Refusal> {
        let condition =
            condition.map(Condition::parse).transpose().map_err(|mistakes| Refusal(mistakes.to_string()))?;
        let (sender, lines) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        self.list().push(Subscriber { condition, format, lines: sender, lost: Arc::clone(&lost) });
        self.any.store(true, Relaxed);
        Ok(Subscription { lines, lost })
    }

    /// Whether anybody follows. Costs one load.
    pub fn any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// Hands an event to those who asked for such. Never waits for a client: what it cannot take is counted for it.
    pub fn publish(&self, event: &dyn Event) {
        if !self.any() {
            return;
        }
        let mut list = self.list();
        list.retain(|subscriber| subscriber.offer(event));
        // Under the lock, so that a client that comes at this moment is not overlooked.
        self.any.store(!list.is_empty(), Relaxed);
    }

    fn list(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber {
    /// Returns whether the client is still there.
    fn offer(&self, event: &dyn Event) -> bool {
        if self.lines.is_closed() {
            return false;
        }
        if self.condition.as_ref().is_some_and(|condition| !condition.matches(event)) {
            return true;
        }
        match self.lines.try_reserve() {
            Ok(place) => {
                let mut line = String::new();
                output::write_event(event, self.format, &mut line);
                place.send(line);
                true
            }
            Err(TrySendError::Full(())) => {
                self.lost.fetch_add(1, Relaxed);
                true
            }
            Err(TrySendError::Closed(())) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_detect::{EventKind, Field, RecordedEvent, Timestamp};

    use super::*;

    fn event(name: &str) -> RecordedEvent {
        RecordedEvent::new(EventKind::ProcessCreate, Timestamp(0)).with(Field::ProcessName, name)
    }

    #[test]
    fn a_client_gets_only_what_it_asked_for() {
        let subscribers = Subscribers::default();
        subscribers.publish(&event("nc"));
        let mut nc = subscribers.subscribe(Some("process.name == 'nc'"), Format::Json).unwrap();
        let mut all = subscribers.subscribe(None, Format::Text).unwrap();
        subscribers.publish(&event("bash"));
        subscribers.publish(&event("nc"));
        let line: serde_json::Value = serde_json::from_str(&nc.lines.try_recv().unwrap()).unwrap();
        assert_eq!(line["process"]["name"], "nc");
        assert!(nc.lines.try_recv().is_err());
        assert!(
            all.lines.try_recv().unwrap().contains("bash") && all.lines.try_recv().unwrap().contains("nc")
        );
    }

    #[test]
    fn what_a_slow_client_misses_is_counted_and_one_that_left_is_forgotten() {
        let subscribers = Subscribers::default();
        let subscription = subscribers.subscribe(None, Format::Text).unwrap();
        for _ in 0..QUEUE + 5 {
            subscribers.publish(&event("x"));
        }
        assert_eq!(subscription.lost.load(Relaxed), 5);
        drop(subscription);
        subscribers.publish(&event("x"));
        assert!(subscribers.list().is_empty() && !subscribers.any.load(Relaxed));
    }

    #[test]
    fn a_mistake_in_a_condition_is_shown() {
        let error = Subscribers::default().subscribe(Some("process.nmae == 'x'"), Format::Text).unwrap_err();
        assert!(error.0.contains("process.name"), "{error}");
    }
}
