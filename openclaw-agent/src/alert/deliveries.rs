//! The channels' tasks: one each, begun and ended as the configuration says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use super::Alerts;
use super::age::Ages;
use super::arrangement::Arrangement;
use super::carrier::Carrier;
use super::channel::Sender;
use super::delivery::zone;
use super::state::ChannelState;
use crate::api::status::AlertCounts;
use crate::config::{Alerting, Channel};
use crate::output::time;
use crate::store::{Store, StoreError, Writer};

/// How long a channel that is left, or changed, may take to bring what it has begun to an end.
const LEAVE: Duration = Duration::from_secs(6);

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

/// The channels' tasks.
#[derive(Debug)]
pub struct Deliveries {
    alerts: Alerts,
    store: Writer,
    /// Held by who arranges them anew, one at a time.
    tasks: Mutex<Vec<Task>>,
}

/// One channel at work.
#[derive(Debug)]
struct Task {
    terms: Terms,
    state: Arc<ChannelState>,
    closing: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

/// All that a channel is told: while it stays the same, the task goes on.
#[derive(Debug, Clone, PartialEq)]
struct Terms {
    channel: Channel,
    timezone: Option<TimeZone>,
    max_age: Duration,
}

impl Deliveries {
    /// Of these alerts, out of this outbox. Nothing is delivered before [`Deliveries::arrange`].
    pub fn new(alerts: Alerts, store: Writer) -> Deliveries {
        Deliveries { alerts, store, tasks: Mutex::default() }
    }

    /// Delivers as it is configured: at the start, and again where that has changed. A channel that stays the same goes on
    /// undisturbed; what waits for a changed one waits for it as it is now, and what waits for one that is gone is given up.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A channel's client cannot be made: all is as it was. Or the outbox cannot be read.
    pub async fn arrange(&self, config: &Alerting) -> Result<(), StartError> {
        let mut tasks = self.tasks.lock().await;
        let wanted = config.channels.iter().filter(|_| config.enabled).map(|channel| Terms {
            channel: channel.clone(),
            timezone: config.timezone.clone(),
            max_age: config.max_age,
        });
        let wanted: Vec<Terms> = wanted.collect();
        let mut begun = Vec::new();
        for terms in wanted.iter().filter(|terms| !tasks.iter().any(|task| task.terms == **terms)) {
            let sender = Sender::new(&terms.channel, &zone(config))
                .map_err(|reason| StartError::Channel { channel: terms.channel.name.clone(), reason })?;
            begun.push((terms.clone(), sender));
        }
        let (kept, left): (Vec<Task>, Vec<Task>) =
            std::mem::take(&mut *tasks).into_iter().partition(|task| wanted.contains(&task.terms));
        *tasks = kept;
        let left = close(left, LEAVE).await;

        let before = self.alerts.arrangement();
        let arrangement = Arrangement::new(config, |channel| {
            match before.channels.iter().find(|state| state.name == channel.name) {
                Some(state) if left.iter().any(|left| Arc::ptr_eq(left, state)) => {
                    Arc::new(ChannelState::in_place_of(state, channel))
                }
                Some(state) => Arc::clone(state),
                None => Arc::new(ChannelState::new(channel)),
            }
        });
        let names = arrangement.names();
        self.alerts.arrange(arrangement);
        left.iter().filter(|state| !names.contains(&state.name)).for_each(|state| self.alerts.leave(state));
        let (alerts, new) =
            (self.alerts.clone(), begun.iter().map(|(terms, _)| terms.channel.name.clone()).collect());
        // On the store's thread, so that nothing is posted meanwhile.
        let counted = self.store.ask(move |store| alerts.begin_with(new, store)).await;
        counted.transpose()?;
        for (terms, sender) in begun {
            if let Some(task) = self.begin(terms, sender) {
                tasks.push(task);
            }
        }
        Ok(())
    }

    fn begin(&self, terms: Terms, sender: Sender) -> Option<Task> {
        let closing = watch::Sender::new(false);
        let arrangement = self.alerts.arrangement();
        let state = Arc::clone(arrangement.channels.iter().find(|state| state.name == terms.channel.name)?);
        let carrier = Carrier {
            state: Arc::clone(&state),
            sender,
            store: self.store.clone(),
            max_age: terms.max_age,
            ages: Ages::new(),
            closing: closing.subscribe(),
            alerts: self.alerts.clone(),
            unconfirmed: BTreeMap::new(),
            next: Instant::now(),
            told: false,
        };
        Some(Task { terms, state, closing, handle: tokio::spawn(carrier.run()) })
    }

    /// Waits for at most `patience` until what waits is delivered. What an endpoint does not take at once stays in the
    /// outbox, for the next agent; what is on no disk is lost, and counted.
    pub async fn close(&self, patience: Duration) -> AlertCounts {
        let tasks = std::mem::take(&mut *self.tasks.lock().await);
        let states = close(tasks, patience).await;
        // What they said of their ends is counted when it is written.
        self.store.ask(|_| ()).await;
        let unsaved: u64 = states.iter().map(|channel| channel.unsaved()).sum();
        if unsaved > 0 {
            self.alerts.lose(unsaved);
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

/// Lets tasks end, all within `patience`, and returns how their channels did.
async fn close(tasks: Vec<Task>, patience: Duration) -> Vec<Arc<ChannelState>> {
    let deadline = Instant::now() + patience;
    for task in &tasks {
        task.closing.send_replace(true);
    }
    let mut states = Vec::new();
    for mut task in tasks {
        if timeout_at(deadline, &mut task.handle).await.is_err() {
            task.handle.abort();
            // Cancelled is what was asked for.
            let _ = task.handle.await;
        }
        states.push(task.state);
    }
    states
}

impl Alerts {
    /// Counts what waits of before for channels that begin, and gives up what waits for those that are not there any more.
    fn begin_with(&self, new: Vec<String>, store: &Store) -> Result<(), StoreError> {
        let arrangement = self.arrangement();
        let given_up = store.leave_channels(&arrangement.names(), time::now())?;
        if given_up > 0 {
            warn!(
                count = given_up,
                "alerts are given up: their channels are not configured any more, or switched off"
            );
        }
        let waiting = store.all_waiting()?;
        for state in arrangement.named(&new) {
            let left = waiting.get(&state.name).copied().unwrap_or_default();
            if left > 0 {
                info!(channel = state.name, count = left, "alerts of before wait for delivery");
            }
            state.begin_with(left);
        }
        Ok(())
    }
}
