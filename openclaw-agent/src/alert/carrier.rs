//! One channel's task: takes what waits out of the outbox, in order, and tries until its endpoint has accepted it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use openclaw_detect::{Finding, Timestamp};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};

use super::age::Ages;
use super::backoff::Backoff;
use super::channel::{Attempt, Sender};
use super::state::ChannelState;
use super::{Alert, Alerts};
use crate::output::time;
use crate::store::{Ended, Waiting, Writer};

/// How many alerts are taken out of the outbox at a time.
const BATCH: u32 = 16;
/// How long the store is left alone after it had no answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// A channel that takes nothing for so long is told of on the others.
const DOWN_AFTER: Duration = Duration::from_secs(60);
/// What stands in the place of a rule's name when a channel is down.
const CHANNEL_DOWN: &str = "channel_down";

/// The task's own.
pub(super) struct Carrier {
    pub(super) state: Arc<ChannelState>,
    pub(super) sender: Sender,
    pub(super) store: Writer,
    /// An alert that has waited for so long is given up.
    pub(super) max_age: Duration,
    /// Whether it is to go on.
    pub(super) until: watch::Receiver<Until>,
    /// To tell the other channels that this one is down.
    pub(super) alerts: Alerts,
    pub(super) known: Known,
    /// When the next may be sent.
    pub(super) next: Instant,
    /// Whether the others were told that this one is down.
    pub(super) told: bool,
}

/// What the next task of the same channel goes on with, when the channel is configured otherwise.
#[derive(Debug)]
pub(super) struct Known {
    /// Delivered or given up (and why), but the disk has not taken that yet: by the place of the alert, and since when it
    /// waits, which changes where somebody asks for it again.
    unconfirmed: BTreeMap<(i64, Timestamp), Option<String>>,
    ages: Ages,
}

impl Known {
    /// Nothing yet.
    pub(super) fn new() -> Known {
        Known { unconfirmed: BTreeMap::new(), ages: Ages::new() }
    }
}

/// For how long a task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Until {
    /// For as long as it is not told otherwise.
    Told,
    /// The agent stops: until what waits has been tried once, as far as the channel's pace allows; the rest stays in the
    /// outbox.
    Tried,
    /// The channel is configured otherwise, or not any more: until what has begun is done.
    Done,
}

/// What became of an alert.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Delivered,
    GivenUp(String),
    /// It waits on: the task ends.
    Left,
}

impl Carrier {
    /// Delivers until it is told to end. Returns what is known by then.
    pub(super) async fn run(mut self) -> Known {
        self.deliver_all().await;
        self.known
    }

    async fn deliver_all(&mut self) {
        loop {
            if let Some(alert) = self.state.first_unsaved() {
                match self.deliver(&alert, time::now()).await {
                    Fate::Left => return,
                    fate => {
                        self.count(&fate);
                        self.state.end_unsaved();
                    }
                }
                continue;
            }
            let channel = self.state.name.clone();
            // Those that the disk does not let go are passed over.
            let limit = BATCH + u32::try_from(self.known.unconfirmed.len()).unwrap_or(u32::MAX - BATCH);
            match self.store.ask(move |store| store.waiting(&channel, limit)).await {
                Some(Ok(batch)) if batch.is_empty() => {
                    self.known.unconfirmed.clear();
                    // What waits in memory came in meanwhile.
                    if self.state.unsaved() > 0 {
                        continue;
                    }
                    if self.ends() {
                        return;
                    }
                    let mut until = self.until.clone();
                    tokio::select! {
                        () = self.state.news.notified() => {}
                        _ = until.wait_for(|until| *until > Until::Told) => {}
                    }
                }
                Some(Ok(batch)) => {
                    self.known
                        .unconfirmed
                        .retain(|key, _| batch.iter().any(|waiting| *key == (waiting.seq, waiting.since)));
                    if self.carry(batch).await == Fate::Left {
                        return;
                    }
                }
                Some(Err(error)) => {
                    warn!(channel = self.state.name, %error, "alerts that wait cannot be read");
                    if !self.pause(STORE_PAUSE).await {
                        return;
                    }
                }
                None => {
                    if !self.pause(STORE_PAUSE).await {
                        return;
                    }
                }
            }
        }
    }

    async fn carry(&mut self, batch: Vec<Waiting>) -> Fate {
        let mut refused = false;
        for Waiting { seq, since, alert } in batch {
            if let Some(failure) = self.known.unconfirmed.get(&(seq, since)) {
                // The disk did not take it: it is asked again.
                self.end(seq, failure.clone());
                refused = true;
                continue;
            }
            match self.deliver(&alert, since).await {
                Fate::Left => return Fate::Left,
                fate => {
                    self.count(&fate);
                    let failure = if let Fate::GivenUp(reason) = fate { Some(reason) } else { None };
                    self.known.unconfirmed.insert((seq, since), failure.clone());
                    self.end(seq, failure);
                }
            }
        }
        if refused && !self.pause(STORE_PAUSE).await {
            return Fate::Left;
        }
        Fate::Delivered
    }

    fn end(&self, seq: i64, failure: Option<String>) {
        self.store.delivery(Ended { seq, channel: self.state.name.clone(), at: time::now(), failure });
    }

    fn count(&self, fate: &Fate) {
        let counter = if *fate == Fate::Delivered { &self.state.delivered } else { &self.state.failed };
        counter.fetch_add(1, Relaxed);
    }

    /// Tries until the endpoint accepts the alert, refuses it, or it has waited for too long.
    async fn deliver(&mut self, alert: &Alert, since: Timestamp) -> Fate {
        let mut backoff = Backoff::new();
        loop {
            if *self.until.borrow() == Until::Done
                || self.next > Instant::now() && !self.pause_until(self.next).await
            {
                return Fate::Left;
            }
            let attempt = self.sender.send(alert).await;
            self.next = Instant::now() + self.sender.pace();
            let channel = self.state.name.as_str();
            let (reason, after) = match attempt {
                Attempt::Delivered { said } => {
                    info!(alert = %alert.id, channel, said, "alert delivered");
                    self.state.succeeded();
                    self.told = false;
                    return Fate::Delivered;
                }
                Attempt::Never { reason } => {
                    error!(alert = %alert.id, channel, reason, "alert not delivered: the endpoint does not accept it; check the channel's settings, then `openclaw alerts retry`");
                    let failing_since = self.state.has_failed(&reason);
                    self.tell_others(failing_since, &reason, true);
                    return Fate::GivenUp(reason);
                }
                Attempt::Later { reason, after } => (reason, after),
            };
            let failing_since = self.state.has_failed(&reason);
            if self.known.ages.of(since) > self.max_age {
                error!(alert = %alert.id, channel, reason, "alert not delivered: the endpoint was down for too long; `openclaw alerts retry` tries again");
                return Fate::GivenUp(format!("not within security.alerting.max_age: {reason}"));
            }
            if self.ends() {
                return Fate::Left;
            }
            let wait = backoff.pause(after);
            warn!(alert = %alert.id, channel, endpoint = self.state.endpoint(), reason, retry_in = ?wait, "alert not delivered yet");
            self.state.retries.fetch_add(1, Relaxed);
            self.tell_others(failing_since, &reason, false);
            // Where the agent stops meanwhile, one more attempt is made at once.
            let _ = self.pause(wait).await;
        }
    }

    /// Says once on the other channels that this one is down, or refuses what it is given.
    fn tell_others(&mut self, failing_since: Timestamp, reason: &str, refuses: bool) {
        let (now, down) = (time::now(), self.known.ages.of(failing_since));
        if self.told || (down < DOWN_AFTER && !refuses) {
            return;
        }
        self.told = true;
        let name = &self.state.name;
        let what = match refuses {
            true => "refuses alerts".to_owned(),
            false => format!("has taken nothing for {} s", down.as_secs()),
        };
        let message = format!("the alert channel {name} {what}: {reason}; see `openclaw security status`");
        let facts = json!({ "channel": name, "since": time::rfc3339(failing_since), "reason": reason });
        let id = format!("{:x}-channel-{name}", failing_since.0);
        let finding = Finding::of_sensor(id, CHANNEL_DOWN, now, &message, &facts);
        let alert = self.alerts.of_finding(&finding, &[]).map(|mut outgoing| {
            outgoing.channels.retain(|channel| channel != name);
            outgoing
        });
        self.store.finding(finding, Vec::new(), alert.into_iter().collect());
    }

    /// Whether it is told to end.
    fn ends(&self) -> bool {
        *self.until.borrow() > Until::Told
    }

    /// Whether it goes on after so long.
    async fn pause(&self, time: Duration) -> bool {
        self.pause_until(Instant::now() + time).await
    }

    async fn pause_until(&self, end: Instant) -> bool {
        let mut until = self.until.clone();
        tokio::select! {
            () = sleep_until(end) => true,
            // The sender lives as long as the channel does.
            _ = until.wait_for(|until| *until > Until::Told) => false,
        }
    }
}
