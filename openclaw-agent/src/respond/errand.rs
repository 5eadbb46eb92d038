//! What is done by others on an answer's behalf: a command that a rule names, the restart of a service, the call of an
//! endpoint.
//!
//! Each runs on a thread of its own and for a time only.

mod call;
mod command;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use openclaw_detect::Finding;

use super::{ActionRecord, Outcome, clock};
use crate::config::Http;
pub(super) use command::untrusted;

/// How many run at once: more are refused.
const AT_ONCE: usize = 8;

/// How often it is asked whether one has ended.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) enum Errand {
    /// A program, by its path, and its arguments.
    Command(Vec<String>),
    /// An endpoint to be told what was found.
    Call(Http),
}

impl Errand {
    /// Does it.
    fn run(self, finding: &Finding, limit: Duration) -> Result<(), String> {
        match self {
            Errand::Command(words) => {
                let program = words.first().cloned().unwrap_or_default();
                let done = command::prepare(&words, finding).and_then(|command| command::run(command, limit));
                done.map_err(|reason| format!("{program} {reason}"))
            }
            Errand::Call(webhook) => {
                // Not by its address, which may be a secret.
                call::call(webhook, finding, limit).map_err(|reason| format!("the endpoint {reason}"))
            }
        }
    }
}

/// The errands that run.
#[derive(Debug)]
pub(super) struct Errands {
    limit: Duration,
    running: usize,
    ended: Receiver<ActionRecord>,
    end: Sender<ActionRecord>,
}

impl Errands {
    /// None yet. Each may take `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        let (end, ended) = channel();
        Errands { limit, running: 0, ended, end }
    }

    /// Begins one for a finding. The record comes back when it has ended; see [`Errands::take_ended`].
    ///
    /// # Errors
    /// Why it is not begun.
    pub(super) fn begin(
        &mut self,
        record: ActionRecord,
        errand: Errand,
        finding: &Finding,
    ) -> Result<(), String> {
        if self.running >= AT_ONCE {
            return Err(format!("{AT_ONCE} commands and calls run already"));
        }
        let (end, limit, finding) = (self.end.clone(), self.limit, finding.clone());
        let begun = std::thread::Builder::new().name("openclaw-errand".to_owned()).spawn(move || {
            let record = match errand.run(&finding, limit) {
                Ok(()) => {
                    let now = Some(clock::wall());
                    ActionRecord { outcome: Outcome::Done, done: now, verified: now, ..record }
                }
                Err(reason) => record.failed(reason),
            };
            // Nobody waits for it any more where the agent ends.
            let _ = end.send(record);
        });
        begun.map_err(|error| format!("it cannot be begun: {error}"))?;
        self.running += 1;
        Ok(())
    }

    /// Those that have ended since this was asked before.
    pub(super) fn take_ended(&mut self) -> Vec<ActionRecord> {
        let ended: Vec<ActionRecord> = self.ended.try_iter().collect();
        self.running -= ended.len();
        ended
    }

    /// When it is next to be asked whether one has ended.
    pub(super) fn due(&self) -> Option<Duration> {
        (self.running > 0).then_some(LOOK)
    }
}
