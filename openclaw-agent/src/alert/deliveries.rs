//! The channels' tasks: one each, begun and ended as the configuration says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{error, info, warn};

use super::Alerts;
use super::arrangement::Arrangement;
use super::carrier::{Carrier, Known, Until};
use super::channel::Sender;
use super::delivery::zone;
use super::state::ChannelState;
use crate::api::status::AlertCounts;
use crate::config::{Alerting, Channel};
use crate::output::time;
use crate::store::{StoreError, Writer};

/// How long a channel that is configured otherwise, or not any more, may take to bring what it has begun to an end.
const LEAVE: Duration = Duration::from_secs(6);

/// How long the store may take to count what waits.
const COUNT: Duration = Duration::from_secs(5);

/// Why a channel cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the channel {channel} cannot be used: {reason}; see its keys below security.alerting.channels")]
pub struct ChannelError {
    /// The channel's name.
    pub channel: String,
    /// What stands in its way.
    pub reason: String,
}

/// The channels' tasks.
#[derive(Debug)]
pub struct Deliveries {
    alerts: Alerts,
    store: Writer,
    /// Held by who arranges them anew, one at a time. None when they have been closed.
    tasks: Mutex<Option<Vec<Task>>>,
}

/// One channel at work.
#[derive(Debug)]
struct Task {
    terms: Terms,
    until: watch::Sender<Until>,
    handle: JoinHandle<Known>,
}

/// All that a channel is told: while it stays the same, the task goes on.
#[derive(Debug, Clone, PartialEq)]
struct Terms {
    channel: Channel,
    timezone: Option<TimeZone>,
    max_age: Duration,
}

/// A configuration of which all channels can be used.
#[derive(Debug)]
pub struct Usable {
    config: Alerting,
    channels: Vec<(Terms, Sender)>,
}

impl Usable {
    /// Makes what each channel sends by.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn new(config: &Alerting) -> Result<Usable, ChannelError> {
        let make = |channel: &Channel| {
            let sender = Sender::new(channel, &zone(config))
                .map_err(|reason| ChannelError { channel: channel.name.clone(), reason })?;
            let (timezone, max_age) = (config.timezone.clone(), config.max_age);
            Ok((Terms { channel: channel.clone(), timezone, max_age }, sender))
        };
        let channels = config.channels_in_use().map(make).collect::<Result<_, _>>()?;
        Ok(Usable { config: config.clone(), channels })
    }
}

impl Deliveries {
    /// Of these alerts, out of this outbox. Nothing is delivered before [`Deliveries::arrange`].
    pub fn new(alerts: Alerts, store: Writer) -> Deliveries {
        Deliveries { alerts, store, tasks: Mutex::new(Some(Vec::new())) }
    }

    /// Delivers as it is configured: at the start, and again where that has changed. A channel that stays the same goes on
    /// undisturbed; what waits for a changed one waits for it as it is now, and what waits for one that is gone is given up.
    /// Must be called within a tokio runtime.
    pub async fn arrange(&self, usable: Usable) {
        let mut tasks = self.tasks.lock().await;
        let Some(tasks) = tasks.as_mut() else { return };
        let Usable { config, channels } = usable;
        // Nothing was counted yet where nobody was at work.
        let begins = tasks.is_empty();
        let is_wanted = |task: &Task| channels.iter().any(|(terms, _)| *terms == task.terms);
        let (kept, left): (Vec<Task>, Vec<Task>) = std::mem::take(tasks).into_iter().partition(is_wanted);
        *tasks = kept;
        let mut known = end(left, Until::Done, LEAVE).await;

        let before = self.alerts.arrangement();
        let state_of = |channel: &Channel| match before.channels.iter().find(|it| it.name == channel.name) {
            Some(state) => Arc::clone(state),
            None => Arc::new(ChannelState::new(channel)),
        };
        let arrangement = Arrangement::new(&config, state_of);
        let (names, states) = (arrangement.names(), arrangement.channels.clone());
        let is_new = |state: &&Arc<ChannelState>| begins || !before.names().contains(&state.name);
        let new = states.iter().filter(is_new).cloned().collect();
        self.alerts.arrange(arrangement);
        before.channels.iter().filter(|it| !names.contains(&it.name)).for_each(|it| self.alerts.leave(it));
        self.count(new).await;
        for (terms, sender) in channels {
            let is_at_work = tasks.iter().any(|task| task.terms == terms);
            let Some(state) = states.iter().find(|state| state.name == terms.channel.name) else { continue };
            if !is_at_work {
                let known = known.remove(&terms.channel.name).unwrap_or_else(Known::new);
                tasks.push(self.begin(terms, sender, Arc::clone(state), known));
            }
        }
    }

    /// Has the store say what waits of before for channels that begin, and give up what waits for those that are not there.
    async fn count(&self, new: Vec<Arc<ChannelState>>) {
        let (alerts, names) = (self.alerts.clone(), self.alerts.names());
        // On the store's thread, so that nothing is posted meanwhile.
        let counted = self.store.ask(move |store| {
            alerts.give_up(store.leave_channels(&names, time::now())?);
            let waiting = store.all_waiting()?;
            for state in new {
                let left = waiting.get(&state.name).copied().unwrap_or_default();
                if left > 0 {
                    info!(channel = state.name, count = left, "alerts of before wait for delivery");
                }
                state.set_waiting(left);
            }
            Ok::<_, StoreError>(())
        });
        let reason = match timeout(COUNT, counted).await {
            Ok(Some(Ok(()))) => return,
            Ok(Some(Err(error))) => error.to_string(),
            Ok(None) | Err(_) => "the store has too much to write".to_owned(),
        };
        // They are delivered all the same: each task reads what waits for it.
        warn!(reason, "how many alerts of before wait for delivery is not known");
    }

    fn begin(&self, terms: Terms, sender: Sender, state: Arc<ChannelState>, known: Known) -> Task {
        state.change(&terms.channel);
        let until = watch::Sender::new(Until::Told);
        let carrier = Carrier {
            state,
            sender,
            store: self.store.clone(),
            max_age: terms.max_age,
            until: until.subscribe(),
            alerts: self.alerts.clone(),
            known,
            next: Instant::now(),
            told: false,
        };
        Task { terms, until, handle: tokio::spawn(carrier.run()) }
    }

    /// Waits for at most `patience` until what waits is delivered, for good. What an endpoint does not take at once stays in
    /// the outbox, for the next agent; what is on no disk is lost, and counted.
    pub async fn close(&self, patience: Duration) -> AlertCounts {
        let deadline = Instant::now() + patience;
        if let Ok(mut tasks) = timeout(patience, self.tasks.lock()).await {
            let tasks = tasks.take().unwrap_or_default();
            end(tasks, Until::Tried, deadline.saturating_duration_since(Instant::now())).await;
        }
        // What they said of their ends is counted when it is written.
        self.store.ask(|_| ()).await;
        let unsaved: u64 = self.alerts.arrangement().channels.iter().map(|channel| channel.unsaved()).sum();
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

/// Lets tasks end, all within `patience`. Returns what they know by then, by channel.
async fn end(tasks: Vec<Task>, until: Until, patience: Duration) -> BTreeMap<String, Known> {
    let deadline = Instant::now() + patience;
    for task in &tasks {
        task.until.send_replace(until);
    }
    let mut known = BTreeMap::new();
    for mut task in tasks {
        let ended = timeout_at(deadline, &mut task.handle).await;
        if ended.is_err() {
            task.handle.abort();
        }
        // Cancelled is what was asked for then.
        let ended = match ended {
            Ok(ended) => ended,
            Err(_) => task.handle.await,
        };
        known.insert(task.terms.channel.name, ended.unwrap_or_else(|_| Known::new()));
    }
    known
}
