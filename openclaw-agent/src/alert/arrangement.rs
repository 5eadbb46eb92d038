//! What is sent, and by which channels: kept together, so that a changed configuration holds for all of it at once.

use std::sync::Arc;
use std::time::Duration;

use super::route::Routes;
use super::state::ChannelState;
use crate::config::{Alerting, Channel};

/// One configuration at work.
#[derive(Debug)]
pub(super) struct Arrangement {
    pub(super) routes: Routes,
    /// In the order in which they are configured; none where nothing is delivered.
    pub(super) channels: Vec<Arc<ChannelState>>,
    /// How often a sign of life is sent, where one is.
    pub(super) heartbeat: Option<Duration>,
    /// Bytes of alerts that wait at most.
    pub(super) max_size: u64,
}

impl Arrangement {
    /// As it is configured. `state` is how a channel does.
    pub(super) fn new(config: &Alerting, state: impl FnMut(&Channel) -> Arc<ChannelState>) -> Arrangement {
        Arrangement {
            routes: Routes::new(config),
            channels: config.channels_in_use().map(state).collect(),
            heartbeat: config.heartbeat.as_ref().map(|heartbeat| heartbeat.every),
            max_size: config.max_size,
        }
    }

    /// Those of these names.
    pub(super) fn named(&self, names: &[String]) -> impl Iterator<Item = &Arc<ChannelState>> {
        self.channels.iter().filter(move |channel| names.contains(&channel.name))
    }

    /// The names of the channels.
    pub(super) fn names(&self) -> Vec<String> {
        self.channels.iter().map(|channel| channel.name.clone()).collect()
    }
}
