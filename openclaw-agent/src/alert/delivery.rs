//! Which alerts are sent, and how those do that carry them: what findings and answers are handed to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use openclaw_detect::Finding;
use tokio::sync::watch;
use tracing::{error, warn};

use super::arrangement::Arrangement;
use super::channel::{Attempt, Sender};
use super::state::{ChannelState, Lately};
use super::{Alert, Outgoing, Trigger};
use crate::api::status::{AlertCounts, ChannelStatus};
use crate::config::{Alerting, Channel};
use crate::lock::lock;
use crate::respond::ActionRecord;
use crate::store::Posted;

/// Which alerts are sent, and how their channels do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    arrangement: watch::Sender<Arc<Arrangement>>,
    /// What was counted of channels that are not there any more.
    left: Mutex<AlertCounts>,
    held: AtomicU64,
    lost: AtomicU64,
    /// What was told last of what is on no disk.
    unsaved: Lately,
    /// Why the disk takes nothing, while it does not.
    problem: Mutex<Option<String>>,
}

impl Alerts {
    /// As it is configured, on the host of this name. What carries them is begun by `Deliveries`.
    pub fn new(config: &Alerting, host: &str) -> Alerts {
        let arrangement = Arrangement::new(config, |channel| Arc::new(ChannelState::new(channel)));
        let shared = Shared {
            host: host.to_owned(),
            arrangement: watch::Sender::new(Arc::new(arrangement)),
            left: Mutex::default(),
            held: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            unsaved: Lately::default(),
            problem: Mutex::default(),
        };
        Alerts { shared: Arc::new(shared) }
    }

    /// What is at work now.
    pub(super) fn arrangement(&self) -> Arc<Arrangement> {
        Arc::clone(&self.shared.arrangement.borrow())
    }

    /// What is at work, and each that comes after it.
    pub(super) fn arrangements(&self) -> watch::Receiver<Arc<Arrangement>> {
        self.shared.arrangement.subscribe()
    }

    /// From now on it is done so.
    pub(super) fn arrange(&self, arrangement: Arrangement) {
        self.shared.arrangement.send_replace(Arc::new(arrangement));
    }

    /// A channel is not there any more: what was counted of it stays counted.
    pub(super) fn leave(&self, channel: &ChannelState) {
        let unsaved = channel.unsaved();
        if unsaved > 0 {
            self.lose(unsaved);
            error!(
                channel = channel.name,
                count = unsaved,
                "alerts lost: the disk takes nothing, and their channel is not configured any more"
            );
        }
        let mut left = lock(&self.shared.left);
        left.delivered += channel.delivered.load(Relaxed);
        left.failed += channel.failed.load(Relaxed);
        left.retries += channel.retries.load(Relaxed);
    }

    /// So many deliveries are given up, since their channels are not there any more.
    pub fn give_up(&self, count: u64) {
        if count > 0 {
            warn!(count, "alerts are given up: their channels are not configured any more, or switched off");
            lock(&self.shared.left).failed += count;
        }
    }

    /// So many are lost.
    pub(super) fn lose(&self, count: u64) {
        self.shared.lost.fetch_add(count, Relaxed);
    }

    /// The alert of a finding with what was answered so far, where one is to be sent.
    pub fn of_finding(&self, finding: &Finding, actions: &[ActionRecord]) -> Option<Outgoing> {
        self.route(Alert::of_finding(finding, actions, &self.shared.host)?)
    }

    /// The channels by which alerts of a trigger go.
    pub fn channels_of(&self, trigger: Trigger) -> Vec<String> {
        self.arrangement().routes.channels(trigger).to_vec()
    }

    /// The names of the channels.
    pub fn names(&self) -> Vec<String> {
        self.arrangement().names()
    }

    /// The alert of an action, where one is to be sent.
    pub fn of_action(&self, action: &ActionRecord) -> Option<Outgoing> {
        self.route(Alert::of_action(action, &self.shared.host)?)
    }

    /// A sign of life, for the channels for which nothing waits: those that are down would get many at once.
    pub(super) fn heartbeat(&self, status: &str) -> Option<Outgoing> {
        let mut outgoing = self.route(Alert::of_heartbeat(status, &self.shared.host))?;
        let arrangement = self.arrangement();
        let is_idle = |name: &String| {
            arrangement.named(std::slice::from_ref(name)).all(|channel| channel.waiting() == 0)
        };
        outgoing.channels.retain(is_idle);
        Some(outgoing).filter(|outgoing| !outgoing.channels.is_empty())
    }

    /// Where an alert goes; none where it is not to be sent.
    pub fn route(&self, alert: Alert) -> Option<Outgoing> {
        self.arrangement().routes.of(alert)
    }

    /// What became of the alerts since the start.
    pub fn counts(&self) -> AlertCounts {
        let (channels, left) = (&self.arrangement().channels, *lock(&self.shared.left));
        let sum = |of: fn(&ChannelState) -> &AtomicU64| {
            channels.iter().map(|channel| of(channel).load(Relaxed)).sum::<u64>()
        };
        AlertCounts {
            delivered: left.delivered + sum(|channel| &channel.delivered),
            failed: left.failed + sum(|channel| &channel.failed),
            retries: left.retries + sum(|channel| &channel.retries),
            queued: channels.iter().map(|channel| channel.waiting()).sum(),
            held: self.shared.held.load(Relaxed),
            lost: self.shared.lost.load(Relaxed),
        }
    }

    /// How each channel does.
    pub fn channels(&self) -> Vec<ChannelStatus> {
        self.arrangement().channels.iter().map(|channel| channel.read()).collect()
    }

    /// Why the disk takes nothing, while it does not.
    pub fn problem(&self) -> Option<String> {
        lock(&self.shared.problem).clone()
    }

    /// What was posted waits for its channels.
    pub fn posted(&self, outgoing: &Outgoing, posted: Posted) {
        match posted {
            Posted::Waits => self.arrangement().named(&outgoing.channels).for_each(|channel| channel.add()),
            Posted::Held | Posted::Muted => drop(self.shared.held.fetch_add(1, Relaxed)),
            Posted::Known => {}
        }
    }

    /// A delivery that waited has ended, and that is on disk.
    pub fn ended(&self, channel: &str) {
        self.arrangement().named(&[channel.to_owned()]).for_each(|channel| channel.take_away());
    }

    /// Delivers from memory what cannot be written to the disk, those that are alike once in their time; what does not fit
    /// there is lost, and counted.
    pub fn unsaved(&self, outgoing: &Outgoing) {
        if !self.shared.unsaved.admits(outgoing) {
            self.shared.held.fetch_add(1, Relaxed);
            return;
        }
        for channel in self.arrangement().named(&outgoing.channels) {
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
        self.lose(channels.len() as u64);
        for name in channels {
            self.ended(name);
        }
    }

    /// Lets channels look for what waits again, one more for each name.
    pub fn look_again(&self, channels: &[String]) {
        let arrangement = self.arrangement();
        for name in channels {
            arrangement.named(std::slice::from_ref(name)).for_each(|channel| channel.add());
        }
    }

    /// Whether the disk takes what is written.
    pub fn set_problem(&self, problem: Option<&str>) {
        *lock(&self.shared.problem) = problem.map(str::to_owned);
    }

    /// Bytes of alerts that may wait at most.
    pub fn outbox_limit(&self) -> u64 {
        self.arrangement().max_size
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
pub(super) fn zone(config: &Alerting) -> TimeZone {
    config.timezone.clone().unwrap_or_else(TimeZone::system)
}

#[cfg(test)]
mod tests;
