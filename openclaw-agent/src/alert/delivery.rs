//! The channels at work: fed from the outbox, one task each, and brought to their ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use openclaw_detect::Finding;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use super::age::Ages;
use super::carrier::Carrier;
use super::channel::{Attempt, Sender};
use super::route::Routes;
use super::state::{ChannelState, Lately};
use super::{Alert, Outgoing, Trigger};
use crate::api::status::{AlertCounts, ChannelStatus};
use crate::config::{Alerting, Channel};
use crate::output::time;
use crate::respond::ActionRecord;
use crate::store::{Posted, Store, StoreError, Writer};

/// Why alerts cannot be delivered.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A channel's client cannot be made.
    #[error("the channel {channel} cannot be used: {reason}")]
    Channel {
        /// The channel's name.
        channel: String,
        /// What stands in its way.
        reason: String,
    },
    /// The outbox cannot be read.
    #[error(transparent)]
    Outbox(#[from] StoreError),
}

/// Which alerts are sent, and how their channels do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    routes: Routes,
    channels: Vec<Arc<ChannelState>>,
    held: AtomicU64,
    lost: AtomicU64,
    /// What was told last of what is on no disk.
    unsaved: Lately,
    /// Why the disk takes nothing, while it does not.
    problem: Mutex<Option<String>>,
}

/// The channels' tasks.
#[derive(Debug)]
pub struct Deliveries {
    alerts: Alerts,
    store: Writer,
    tasks: Vec<JoinHandle<()>>,
    closing: watch::Sender<bool>,
}

impl Alerts {
    /// As it is configured, on the host of this name. Nothing is delivered before [`Alerts::deliver`].
    pub fn new(config: &Alerting, host: &str) -> Alerts {
        let channels = config.channels.iter().filter(|_| config.enabled);
        let channels = channels.map(|channel| Arc::new(ChannelState::new(channel))).collect();
        let shared = Shared {
            host: host.to_owned(),
            routes: Routes::new(config),
            channels,
            held: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            unsaved: Lately::default(),
            problem: Mutex::default(),
        };
        Alerts { shared: Arc::new(shared) }
    }

    /// Starts a task for each channel. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A channel's client cannot be made, or the outbox cannot be read.
    pub async fn deliver(&self, config: &Alerting, store: &Writer) -> Result<Deliveries, StartError> {
        let alerts = self.clone();
        // On the store's thread, so that nothing is posted meanwhile.
        let begun = store.ask(move |store| alerts.begin_with(store)).await;
        begun.transpose()?;
        let closing = watch::Sender::new(false);
        let mut tasks = Vec::new();
        for state in &self.shared.channels {
            let Some(channel) = config.channels.iter().find(|channel| channel.name == state.name) else {
                continue;
            };
            let sender = Sender::new(channel, &zone(config))
                .map_err(|reason| StartError::Channel { channel: channel.name.clone(), reason })?;
            let carrier = Carrier {
                state: Arc::clone(state),
                sender,
                store: store.clone(),
                max_age: config.max_age,
                ages: Ages::new(),
                closing: closing.subscribe(),
                alerts: self.clone(),
                unconfirmed: BTreeMap::new(),
                next: Instant::now(),
                told: false,
            };
            tasks.push(tokio::spawn(carrier.run()));
        }
        Ok(Deliveries { alerts: self.clone(), store: store.clone(), tasks, closing })
    }

    /// Counts what waits of before.
    fn begin_with(&self, store: &Store) -> Result<(), StoreError> {
        let given_up = store.leave_channels(&self.names(), time::now())?;
        if given_up > 0 {
            warn!(
                count = given_up,
                "alerts are given up: their channels are not configured any more, or switched off"
            );
        }
        let waiting = store.all_waiting()?;
        for state in &self.shared.channels {
            let left = waiting.get(&state.name).copied().unwrap_or_default();
            if left > 0 {
                info!(channel = state.name, count = left, "alerts of before wait for delivery");
            }
            state.begin_with(left);
        }
        Ok(())
    }

    /// The alert of a finding with what was answered so far, where one is to be sent.
    pub fn of_finding(&self, finding: &Finding, actions: &[ActionRecord]) -> Option<Outgoing> {
        self.route(Alert::of_finding(finding, actions, &self.shared.host)?)
    }

    /// The channels by which alerts of a trigger go.
    pub fn channels_of(&self, trigger: Trigger) -> Vec<String> {
        self.shared.routes.channels(trigger).to_vec()
    }

    /// The names of the channels.
    pub fn names(&self) -> Vec<String> {
        self.shared.channels.iter().map(|channel| channel.name.clone()).collect()
    }

    /// The alert of an action, where one is to be sent.
    pub fn of_action(&self, action: &ActionRecord) -> Option<Outgoing> {
        self.route(Alert::of_action(action, &self.shared.host)?)
    }

    /// A sign of life, for the channels for which nothing waits: those that are down would get many at once.
    pub(super) fn heartbeat(&self, status: &str) -> Option<Outgoing> {
        let mut outgoing = self.route(Alert::of_heartbeat(status, &self.shared.host))?;
        let is_idle =
            |name: &String| self.named(std::slice::from_ref(name)).all(|channel| channel.waiting() == 0);
        outgoing.channels.retain(is_idle);
        Some(outgoing).filter(|outgoing| !outgoing.channels.is_empty())
    }

    /// Where an alert goes; none where it is not to be sent.
    pub fn route(&self, alert: Alert) -> Option<Outgoing> {
        self.shared.routes.of(alert)
    }

    /// What became of the alerts since the start.
    pub fn counts(&self) -> AlertCounts {
        let sum = |of: fn(&ChannelState) -> &AtomicU64| {
            self.shared.channels.iter().map(|channel| of(channel).load(Relaxed)).sum()
        };
        AlertCounts {
            delivered: sum(|channel| &channel.delivered),
            failed: sum(|channel| &channel.failed),
            retries: sum(|channel| &channel.retries),
            queued: self.shared.channels.iter().map(|channel| channel.waiting()).sum(),
            held: self.shared.held.load(Relaxed),
            lost: self.shared.lost.load(Relaxed),
        }
    }

    /// How each channel does.
    pub fn channels(&self) -> Vec<ChannelStatus> {
        self.shared.channels.iter().map(|channel| channel.read()).collect()
    }

    /// Why the disk takes nothing, while it does not.
    pub fn problem(&self) -> Option<String> {
        self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was posted waits for its channels.
    pub fn posted(&self, outgoing: &Outgoing, posted: Posted) {
        match posted {
            Posted::Waits => self.named(&outgoing.channels).for_each(|channel| channel.add()),
            Posted::Held | Posted::Muted => drop(self.shared.held.fetch_add(1, Relaxed)),
            Posted::Known => {}
        }
    }

    /// A delivery that waited has ended, and that is on disk.
    pub fn ended(&self, channel: &str) {
        self.shared.channels.iter().filter(|it| it.name == channel).for_each(|channel| channel.take_away());
    }

    /// Delivers from memory what cannot be written to the disk, those that are alike once in their time; what does not fit
    /// there is lost, and counted.
    pub fn unsaved(&self, outgoing: &Outgoing) {
        if !self.shared.unsaved.admits(outgoing) {
            self.shared.held.fetch_add(1, Relaxed);
            return;
        }
        for channel in self.named(&outgoing.channels) {
            if !channel.keep_unsaved(outgoing.alert.clone()) {
                let lost = self.shared.lost.fetch_add(1, Relaxed);
                // Not one line for each: the disk is full.
                if lost.is_multiple_of(1000) {
                    error!(alert = %outgoing.alert.id, channel = channel.name, lost, "alerts lost: the disk takes nothing, and too many wait in memory");
                }
            }
        }
    }

    /// Counts what was thrown away, one for each name of a channel.
    pub fn thrown_away(&self, channels: &[String]) {
        self.shared.lost.fetch_add(channels.len() as u64, Relaxed);
        for name in channels {
            self.ended(name);
        }
    }

    /// Lets channels look for what waits again, one more for each name.
    pub fn look_again(&self, channels: &[String]) {
        for name in channels {
            self.named(std::slice::from_ref(name)).for_each(|channel| channel.add());
        }
    }

    /// Whether the disk takes what is written.
    pub fn set_problem(&self, problem: Option<&str>) {
        *self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem.map(str::to_owned);
    }

    fn named(&self, names: &[String]) -> impl Iterator<Item = &Arc<ChannelState>> {
        self.shared.channels.iter().filter(move |channel| names.contains(&channel.name))
    }
}

/// Tries a channel once, and returns what the endpoint said.
///
/// # Errors
/// Why the endpoint has not accepted it.
pub async fn try_channel(config: &Alerting, channel: &Channel, alert: &Alert) -> Result<String, String> {
    match Sender::new(channel, &zone(config))?.send(alert).await {
        Attempt::Delivered { said } => Ok(said),
        Attempt::Never { reason } | Attempt::Later { reason, .. } => Err(reason),
    }
}

/// The zone of the moments in messages to people.
fn zone(config: &Alerting) -> TimeZone {
    config.timezone.clone().unwrap_or_else(TimeZone::system)
}

impl Deliveries {
    /// Waits for at most `patience` until what waits is delivered. What an endpoint does not take at once stays in the
    /// outbox, for the next agent; what is on no disk is lost, and counted.
    pub async fn close(self, patience: Duration) -> AlertCounts {
        let deadline = Instant::now() + patience;
        self.closing.send_replace(true);
        for mut task in self.tasks {
            if timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
                // Cancelled is what was asked for.
                let _ = task.await;
            }
        }
        // What they said of their ends is counted when it is written.
        self.store.ask(|_| ()).await;
        let unsaved: u64 = self.alerts.shared.channels.iter().map(|channel| channel.unsaved()).sum();
        if unsaved > 0 {
            self.alerts.shared.lost.fetch_add(unsaved, Relaxed);
            error!(count = unsaved, "alerts lost: they could neither be delivered nor written to the disk");
        }
        let counts = self.alerts.counts();
        let left = counts.queued.saturating_sub(unsaved);
        if left > 0 {
            info!(count = left, "alerts wait for the next start");
        }
        counts
    }
}

#[cfg(test)]
mod tests;
