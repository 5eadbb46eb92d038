//! One attempt to deliver an alert, by each kind of channel.

use std::time::Duration;

use super::Alert;
use super::webhook::{Attempt, Endpoint};
use crate::config::{Channel, ChannelKind};

/// A channel's endpoint, with the connections to it.
#[derive(Debug)]
pub(crate) struct Sender(Endpoint);

impl Sender {
    /// Nothing is connected yet.
    pub(crate) fn new(channel: &Channel) -> Result<Sender, String> {
        let ChannelKind::Webhook(webhook) = &channel.kind;
        Endpoint::new(webhook.clone()).map(Sender).map_err(|error| error.without_url().to_string())
    }

    /// Tries once.
    pub(crate) async fn send(&mut self, alert: &Alert) -> Attempt {
        match serde_json::to_vec(alert) {
            Ok(body) => self.0.post(body).await,
            Err(error) => Attempt::Never { reason: error.to_string() },
        }
    }

    /// The least time between two alerts.
    pub(crate) fn pace(&self) -> Duration {
        Duration::ZERO
    }
}
