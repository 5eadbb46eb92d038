//! How each channel does.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use openclaw_detect::Timestamp;
use tokio::sync::Notify;

use super::{Alert, Outgoing};
use crate::api::status::ChannelStatus;
use crate::config::Channel;
use crate::lock::lock;
use crate::output::time;

/// How many alerts are kept in memory for a channel at most, while they cannot be written to the disk.
const UNSAVED: usize = 1024;

/// So long after an error the next one is another.
const LONG_AGO: Duration = Duration::from_secs(300);

/// How many likenesses are remembered of what is on no disk.
const LIKENESSES: usize = 4096;

/// What was told lately of what is on no disk, so that a full disk makes no flood.
#[derive(Debug, Default)]
pub(super) struct Lately(Mutex<HashMap<String, Instant>>);

impl Lately {
    /// Whether none like it was told within its time.
    pub(super) fn admits(&self, outgoing: &Outgoing) -> bool {
        if outgoing.throttle.is_zero() {
            return true;
        }
        let now = Instant::now();
        let mut told = lock(&self.0);
        if told.get(&outgoing.alert.like).is_some_and(|until| *until > now) {
            return false;
        }
        if told.len() >= LIKENESSES {
            told.retain(|_, until| *until > now);
        }
        if told.len() < LIKENESSES {
            told.insert(outgoing.alert.like.clone(), now + outgoing.throttle);
        }
        true
    }
}

/// What a channel's task and those who feed it share.
#[derive(Debug)]
pub(super) struct ChannelState {
    pub(super) name: String,
    /// Its kind, and its endpoint without what may be secret in it.
    described: Mutex<(&'static str, String)>,
    /// Something waits.
    pub(super) news: Notify,
    pub(super) delivered: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) retries: AtomicU64,
    /// How many wait on disk.
    waiting: AtomicI64,
    /// Alerts that are on no disk.
    unsaved: Mutex<VecDeque<Alert>>,
    last: Mutex<Last>,
}

/// What happened last.
#[derive(Debug, Clone, Default)]
struct Last {
    success: Option<Timestamp>,
    error: Option<(Timestamp, String)>,
    failing_since: Option<Timestamp>,
}

impl ChannelState {
    pub(super) fn new(channel: &Channel) -> ChannelState {
        ChannelState {
            name: channel.name.clone(),
            described: Mutex::new(described(channel)),
            news: Notify::new(),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            waiting: AtomicI64::new(0),
            unsaved: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// The channel is configured otherwise from now on.
    pub(super) fn change(&self, channel: &Channel) {
        *lock(&self.described) = described(channel);
        // It is not known of the endpoint of now that it fails.
        lock(&self.last).failing_since = None;
    }

    /// One more waits on disk.
    pub(super) fn add(&self) {
        self.waiting.fetch_add(1, Relaxed);
        self.news.notify_one();
    }

    /// One less waits.
    pub(super) fn take_away(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        // Who delivers one may be faster than who counts it in, so that the number can be below nought for a moment.
        self.waiting.load(Relaxed).max(0).cast_unsigned() + self.unsaved()
    }

    /// So many wait on disk at the start.
    pub(super) fn set_waiting(&self, waiting: u64) {
        self.waiting.store(waiting.cast_signed(), Relaxed);
    }

    /// Keeps an alert in memory. Whether there was room.
    pub(super) fn keep_unsaved(&self, alert: Alert) -> bool {
        let mut unsaved = lock(&self.unsaved);
        let has_room = unsaved.len() < UNSAVED;
        if has_room {
            unsaved.push_back(alert);
        }
        self.news.notify_one();
        has_room
    }

    /// The oldest that is on no disk.
    pub(super) fn first_unsaved(&self) -> Option<Alert> {
        lock(&self.unsaved).front().cloned()
    }

    /// What became of the oldest is known.
    pub(super) fn end_unsaved(&self) {
        lock(&self.unsaved).pop_front();
    }

    /// How many are on no disk.
    pub(super) fn unsaved(&self) -> u64 {
        lock(&self.unsaved).len() as u64
    }

    /// The endpoint has accepted one.
    pub(super) fn succeeded(&self) {
        let mut last = lock(&self.last);
        last.success = Some(time::now());
        last.failing_since = None;
    }

    /// The endpoint has not. Returns since when it does not.
    pub(super) fn has_failed(&self, reason: &str) -> Timestamp {
        let mut last = lock(&self.last);
        let now = time::now();
        // An error of long ago, after which nothing was tried, is no beginning of this one.
        let idle =
            last.error.as_ref().is_none_or(|(at, _)| now.0.saturating_sub(at.0) > LONG_AGO.as_nanos() as u64);
        if idle {
            last.failing_since = None;
        }
        last.error = Some((now, reason.to_owned()));
        *last.failing_since.get_or_insert(now)
    }

    /// The endpoint without what may be secret in it.
    pub(super) fn endpoint(&self) -> String {
        lock(&self.described).1.clone()
    }

    pub(super) fn read(&self) -> ChannelStatus {
        let Last { success, error, failing_since } = lock(&self.last).clone();
        let (kind, endpoint) = lock(&self.described).clone();
        ChannelStatus {
            name: self.name.clone(),
            kind: kind.to_owned(),
            endpoint,
            waiting: self.waiting(),
            delivered: self.delivered.load(Relaxed),
            failed: self.failed.load(Relaxed),
            failing_since: failing_since.map(time::rfc3339),
            last_success: success.map(time::rfc3339),
            last_failure: error.as_ref().map(|(at, _)| time::rfc3339(*at)),
            last_error: error.map(|(_, reason)| reason),
        }
    }
}

fn described(channel: &Channel) -> (&'static str, String) {
    (channel.kind.name(), channel.endpoint())
}
