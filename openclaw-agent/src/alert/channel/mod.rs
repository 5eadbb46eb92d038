//! How an alert goes to each kind of channel: one attempt, and what came of it.

mod alertmanager;
mod ecs;
mod email;
mod file;
mod http;
mod slack;
mod syslog;
mod telegram;
mod webhook;

use std::time::Duration;

use jiff::tz::TimeZone;

use super::Alert;
use super::text::cut;
use crate::config::{Channel, ChannelKind};
use crate::output::text::Clean;

pub(crate) use http::Endpoint;

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The endpoint has it, and `said` so. Without secrets, on one line, and short.
    Delivered { said: String },
    /// It may work later, not before this time where the endpoint named one.
    Later { reason: String, after: Option<Duration> },
    /// It will never work: the endpoint does not want it.
    Never { reason: String },
}

/// A channel, with the connections that it keeps.
#[derive(Debug)]
pub(crate) enum Sender {
    Webhook(webhook::Webhook),
    Telegram(telegram::Telegram),
    Slack(slack::Slack),
    Email(Box<email::Email>),
    Alertmanager(alertmanager::Alertmanager),
    Syslog(syslog::Syslog),
    File(file::File),
}

impl Sender {
    /// The means to send to a channel; people are told the time in `zone`. Nothing is connected yet.
    ///
    /// # Errors
    /// Why there are none, as a sentence.
    pub(crate) fn new(channel: &Channel, zone: &TimeZone) -> Result<Sender, String> {
        let zone = zone.clone();
        Ok(match &channel.kind {
            ChannelKind::Webhook(webhook) => Sender::Webhook(webhook::Webhook::new(webhook, zone)?),
            ChannelKind::Telegram(telegram) => Sender::Telegram(telegram::Telegram::new(telegram, zone)?),
            ChannelKind::Slack(slack) => Sender::Slack(slack::Slack::new(slack, zone)?),
            ChannelKind::Email(email) => Sender::Email(Box::new(email::Email::new(email, zone)?)),
            ChannelKind::Alertmanager(alertmanager) => {
                Sender::Alertmanager(alertmanager::Alertmanager::new(alertmanager)?)
            }
            ChannelKind::Syslog(syslog) => Sender::Syslog(syslog::Syslog::new(syslog)?),
            ChannelKind::File(file) => Sender::File(file::File::new(file)),
        })
    }

    /// One attempt, which takes no longer than the channel's timeout (a file: than the disk).
    pub(crate) async fn send(&mut self, alert: &Alert) -> Attempt {
        match self {
            Sender::Webhook(webhook) => webhook.send(alert).await,
            Sender::Telegram(telegram) => telegram.send(alert).await,
            Sender::Slack(slack) => slack.send(alert).await,
            Sender::Email(email) => email.send(alert).await,
            Sender::Alertmanager(alertmanager) => alertmanager.send(alert).await,
            Sender::Syslog(syslog) => syslog.send(alert).await,
            Sender::File(file) => file.send(alert).await,
        }
    }

    /// The least time between two messages, as the endpoint's operator asks for.
    pub(crate) fn pace(&self) -> Duration {
        match self {
            Sender::Telegram(telegram) => telegram.pace(),
            Sender::Slack(_) => slack::PACE,
            _ => Duration::ZERO,
        }
    }
}

/// What is quoted of an endpoint, in characters.
const LONGEST_QUOTE: usize = 200;

/// What an endpoint said, on one short line.
fn quote(text: &str) -> String {
    cut(&Clean(text.trim()).to_string(), LONGEST_QUOTE)
}

/// The innermost cause of an error, such as `Connection refused`.
fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    quote(&cause.to_string())
}

/// An alert as JSON, exactly with the documented keys.
///
/// # Errors
/// It never works.
fn json(alert: &Alert) -> Result<Vec<u8>, Attempt> {
    serde_json::to_vec(alert)
        .map_err(|error| Attempt::Never { reason: format!("the alert cannot be written as JSON: {error}") })
}

#[cfg(test)]
pub(super) mod tests;
