//! The sensor thread's way out: findings to who answers, events to who watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::TrySendError;

use openclaw_detect::{Finding, ProcessId};

use super::answers::Message;
use super::stdout::Stdout;
use crate::api::Subscribers;
use crate::enrich::Observed;
use crate::pipeline;
use crate::queue::Sender;

/// Never waits: what does not fit is counted.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) answers: Sender<Message>,
    pub(super) lost: Arc<AtomicU64>,
    pub(super) subscribers: Arc<Subscribers>,
    /// Whether findings are answered, rather than only told.
    pub(super) enforce: bool,
    /// Where every event is printed.
    pub(super) stdout: Option<Stdout>,
}

impl pipeline::Outlet for Outlet {
    fn isolates(&self) -> bool {
        self.enforce
    }

    fn finding(&mut self, finding: Finding, descendants: Vec<ProcessId>) {
        let message = Message::Finding(Box::new((finding, descendants)));
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.answers.try_send(message) {
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
