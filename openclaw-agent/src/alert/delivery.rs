//! Queues, retries, and the end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, error, warn};

use super::Alert;
use super::counters::Counters;
use super::webhook::{Attempt, Endpoint};
use crate::api::status::AlertCounts;
use crate::config::{Alerting, ChannelKind};

/// How many alerts a channel holds while its endpoint is slow or down.
const QUEUE: usize = 1024;
/// The pause after the first failed attempt; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An alert that is older than this is given up, so that those behind it get their turn.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Why alerts cannot be delivered.
#[derive(Debug, thiserror::Error)]
#[error(
    "the channel {channel} cannot be used: {source}. Install the system's certificates (package ca-certificates)"
)]
pub struct StartError {
    /// The channel's name.
    pub channel: String,
    /// What the HTTP client says.
    pub source: reqwest::Error,
}

/// The channels, at work. Cheap to clone: each clone feeds the same queues.
#[derive(Debug, Clone)]
pub struct Alerts {
    channels: Arc<[Channel]>,
    counters: Arc<Counters>,
    // Becomes true when the agent stops: then pauses between attempts are cut short.
    closing: Arc<watch::Sender<bool>>,
}

#[derive(Debug)]
struct Channel {
    name: String,
    queue: mpsc::Sender<Alert>,
    // Taken when the channel is closed.
    task: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Alerts {
    /// Starts a task for each channel. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A channel's HTTP client cannot be made.
    pub fn start(config: &Alerting) -> Result<Alerts, StartError> {
        let counters = Arc::new(Counters::default());
        let closing = watch::Sender::new(false);
        let mut channels = Vec::new();
        for channel in config.channels.iter().filter(|_| config.enabled) {
            let name = channel.name.clone();
            let ChannelKind::Webhook(webhook) = &channel.kind;
            let endpoint = Endpoint::new(webhook.clone())
                .map_err(|source| StartError { channel: name.clone(), source: source.without_url() })?;
            let (queue, alerts) = mpsc::channel(QUEUE);
            let task =
                tokio::spawn(deliver_all(endpoint, alerts, Arc::clone(&counters), closing.subscribe()));
            channels.push(Channel { name, queue, task: Some(task).into() });
        }
        Ok(Alerts { channels: channels.into(), counters, closing: Arc::new(closing) })
    }

    /// Queues an alert on every channel. Never waits, so any thread may call it; what a full queue cannot take is
    /// counted as lost.
    pub fn send(&self, alert: &Alert) {
        debug!(alert = %alert.id, severity = %alert.severity, "{}: {}", alert.title, alert.message);
        for channel in self.channels.iter() {
            // Counted before, so that the task never takes away what was not added.
            self.counters.queued.fetch_add(1, Relaxed);
            match channel.queue.try_send(alert.clone()) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                    self.counters.queued.fetch_sub(1, Relaxed);
                    self.counters.lost.fetch_add(1, Relaxed);
                    error!(alert = %alert.id, channel = channel.name, "alert lost: the channel's queue is full, since its endpoint is slow or down");
                }
            }
        }
    }

    /// What became of the alerts so far.
    pub fn counts(&self) -> AlertCounts {
        self.counters.read()
    }

    /// Takes no more alerts, and waits for at most `patience` until those that are queued are delivered. What is
    /// left then is counted as lost. Other clones may live on: what they send is lost, and counted.
    pub async fn close(self, patience: Duration) -> AlertCounts {
        let deadline = Instant::now() + patience;
        self.closing.send_replace(true);
        let tasks: Vec<_> = self
            .channels
            .iter()
            .filter_map(|channel| channel.task.lock().ok().and_then(|mut task| task.take()))
            .collect();
        while self.counters.queued.load(Relaxed) > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        for mut task in tasks {
            task.abort();
            // Cancelled is what was asked for.
            let _ = timeout_at(deadline + Duration::from_secs(1), &mut task).await;
        }
        let left = self.counters.queued.swap(0, Relaxed);
        if left > 0 {
            self.counters.lost.fetch_add(left, Relaxed);
            error!(count = left, "alerts lost: they could not be delivered before the agent stopped");
        }
        self.counts()
    }
}

/// Delivers a channel's alerts one after the other, so that they arrive in order.
async fn deliver_all(
    endpoint: Endpoint,
    mut alerts: mpsc::Receiver<Alert>,
    counters: Arc<Counters>,
    mut closing: watch::Receiver<bool>,
) {
    while let Some(alert) = alerts.recv().await {
        let delivered = deliver(&endpoint, &alert, &counters, &mut closing).await;
        let counter = if delivered { &counters.delivered } else { &counters.failed };
        counter.fetch_add(1, Relaxed);
        counters.queued.fetch_sub(1, Relaxed);
    }
}

/// Tries until the endpoint accepts the alert, refuses it, or it is too old. Returns whether it was accepted.
async fn deliver(
    endpoint: &Endpoint,
    alert: &Alert,
    counters: &Counters,
    closing: &mut watch::Receiver<bool>,
) -> bool {
    let channel = endpoint.webhook().name.as_str();
    let body = match serde_json::to_vec(alert) {
        Ok(body) => body,
        Err(error) => {
            error!(alert = %alert.id, channel, %error, "alert lost: it cannot be written as JSON");
            return false;
        }
    };
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let (reason, after) = match endpoint.post(body.clone()).await {
            Attempt::Delivered => {
                debug!(alert = %alert.id, channel, "alert delivered");
                return true;
            }
            Attempt::Never { reason } => {
                error!(alert = %alert.id, channel, reason, "alert lost: the endpoint does not accept it; check the channel's url and headers");
                return false;
            }
            Attempt::Later { reason, after } => (reason, after),
        };
        let is_closing = *closing.borrow();
        let wait = if is_closing { FIRST_PAUSE } else { after.unwrap_or_else(|| jittered(pause)) };
        if begun.elapsed() + wait > MAX_AGE {
            error!(alert = %alert.id, channel, reason, "alert lost: the endpoint was down for too long");
            return false;
        }
        warn!(alert = %alert.id, channel, endpoint = endpoint.webhook().endpoint(), reason, retry_in = ?wait, "alert not delivered yet");
        counters.retries.fetch_add(1, Relaxed);
        tokio::select! {
            () = sleep(wait) => {}
            // The agent stops: one more attempt at once. The sender lives as long as the channel does.
            _ = closing.wait_for(|closing| *closing), if !is_closing => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Three quarters of the pause to the whole, so that many agents do not return at the same moment.
fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let random = (RandomState::new().hash_one(0u8) % 1000) as u32;
    pause * 3 / 4 + pause / 4 * random / 1000
}

#[cfg(test)]
mod tests;
