//! The sensor thread's way out: findings to who answers, events to who watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::TrySendError;

use openclaw_detect::{Finding, ProcessId, Rule};

use super::answers::{Found, Message};
use super::stdout::Stdout;
use crate::api::Subscribers;
use crate::enrich::Observed;
use crate::pipeline;
use crate::queue::Sender;
use crate::respond::{Strike, Striker};

/// What does not fit is counted. It waits for nothing, but where processes were stopped to be ended: that is brought to its
/// end.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) answers: Sender<Message>,
    pub(super) lost: Arc<AtomicU64>,
    pub(super) subscribers: Arc<Subscribers>,
    /// Begins what ends or stops processes.
    pub(super) striker: Striker,
    /// Where every event is printed.
    pub(super) stdout: Option<Stdout>,
}

impl pipeline::Outlet for Outlet {
    fn answers(&self, rule: &Rule) -> bool {
        self.striker.policy().may_answer(rule)
    }

    fn finding(&mut self, finding: Finding, descendants: Vec<ProcessId>) {
        let strike = self.striker.on_finding(&finding, &descendants);
        let has_begun = strike.as_ref().is_some_and(Strike::has_begun);
        let message = Message::Finding(Box::new(Found { finding, descendants, strike }));
        if has_begun {
            // What was begun must be brought to its end: this waits for room, as often as the breaker lets it at most.
            let _ = self.answers.send(message);
        } else if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.answers.try_send(message)
        {
            self.lost.fetch_add(1, Relaxed);
            tracing::error!("a finding was lost: the agent answers more slowly than rules fire");
        }
    }

    fn wants_events(&self) -> bool {
        self.stdout.is_some() || self.subscribers.any()
    }

    fn event(&mut self, event: &Observed<'_>) {
        if let Some(stdout) = &self.stdout {
            stdout.event(event);
        }
        self.subscribers.publish(event);
    }
}
