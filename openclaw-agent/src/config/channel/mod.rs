//! `security.alerting.channels`: where alerts go.

mod alertmanager;
mod email;
mod file;
mod slack;
mod syslog;
mod telegram;
mod webhook;

use std::path::Path;

use serde::{Serialize, Serializer};

use super::node::{Key, Node};
use super::reader::{Reader, Section, snake_case};

pub use alertmanager::Alertmanager;
pub use email::{Email, EmailTls};
pub use file::File;
pub use slack::Slack;
pub use syslog::{Syslog, SyslogAddress, SyslogFormat, SyslogTransport};
pub use telegram::{Chat, Telegram};
pub use webhook::{Webhook, WebhookFormat};

/// The kinds of channel, as `type` names them.
const KINDS: [&str; 7] = ["webhook", "telegram", "slack", "email", "alertmanager", "syslog", "file"];

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Channel {
    /// Its key under `channels`.
    #[serde(skip)]
    pub name: String,
    /// How it is reached.
    #[serde(flatten)]
    pub kind: ChannelKind,
}

/// How a channel is reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChannelKind {
    /// A POST of JSON, or of what a template makes.
    Webhook(Webhook),
    /// A message of a bot's.
    Telegram(Telegram),
    /// An incoming webhook of Slack's.
    Slack(Slack),
    /// A mail by SMTP.
    Email(Box<Email>),
    /// An alert of Prometheus's.
    Alertmanager(Alertmanager),
    /// A line of the system's log, here or elsewhere.
    Syslog(Syslog),
    /// A line in a file.
    File(File),
}

impl ChannelKind {
    /// The name of the type, as it is written.
    pub const fn name(&self) -> &'static str {
        match self {
            ChannelKind::Webhook(_) => "webhook",
            ChannelKind::Telegram(_) => "telegram",
            ChannelKind::Slack(_) => "slack",
            ChannelKind::Email(_) => "email",
            ChannelKind::Alertmanager(_) => "alertmanager",
            ChannelKind::Syslog(_) => "syslog",
            ChannelKind::File(_) => "file",
        }
    }
}

impl Channel {
    /// The endpoint without what may be secret in it.
    pub fn endpoint(&self) -> String {
        match &self.kind {
            ChannelKind::Webhook(webhook) => webhook.http.endpoint(),
            ChannelKind::Telegram(telegram) => telegram.http.endpoint(),
            ChannelKind::Slack(slack) => slack.http.endpoint(),
            ChannelKind::Email(email) => format!("smtp://{}", email.host_and_port()),
            ChannelKind::Alertmanager(alertmanager) => alertmanager.http.endpoint(),
            ChannelKind::Syslog(syslog) => syslog.endpoint(),
            ChannelKind::File(file) => file.path.display().to_string(),
        }
    }

    /// The file that it writes, where it is one.
    fn file(&self) -> Option<&Path> {
        match &self.kind {
            ChannelKind::File(file) => Some(&file.path),
            _ => None,
        }
    }

    /// The endpoint's `host:port`, which must never be blocked; none for what is on this host by nature.
    pub fn host_and_port(&self) -> Option<String> {
        match &self.kind {
            ChannelKind::Webhook(webhook) => Some(webhook.http.host_and_port()),
            ChannelKind::Telegram(telegram) => Some(telegram.http.host_and_port()),
            ChannelKind::Slack(slack) => Some(slack.http.host_and_port()),
            ChannelKind::Email(email) => Some(email.host_and_port()),
            ChannelKind::Alertmanager(alertmanager) => Some(alertmanager.http.host_and_port()),
            ChannelKind::Syslog(syslog) => syslog.host_and_port(),
            ChannelKind::File(_) => None,
        }
    }
}

/// Reads `security.alerting.channels`. Of those that are switched off, which all are where alerting is, only the names of
/// the keys are checked: their variables may be missing.
pub(super) fn read_all(
    reader: &mut Reader<'_>,
    node: Option<&Node>,
    folder: &Path,
    alerting: bool,
) -> Vec<Channel> {
    let mut names = reader.section("security.alerting.channels", node);
    let mut channels: Vec<Channel> = Vec::new();
    for (key, node) in names.take_rest() {
        let Some(channel) = read(reader, key, node, folder, alerting) else { continue };
        if let Some(path) = channel.file()
            && let Some(other) = channels.iter().find(|other| other.file() == Some(path))
        {
            let message = format!(
                "the channels `{}` and `{}` write the same file, {}, and each would put it aside for the other: give \
                 one of them another `path`",
                other.name,
                channel.name,
                path.display()
            );
            reader.problem(key.at, message);
        }
        channels.push(channel);
    }
    channels
}

/// One channel, where it is switched on. Its type is its key, unless `type` says another.
fn read(reader: &mut Reader<'_>, key: &Key, node: &Node, folder: &Path, alerting: bool) -> Option<Channel> {
    let name = &key.name;
    let mut keys = reader.section(&format!("security.alerting.channels.{name}"), Some(node));
    let kind = match keys.take("type") {
        Some(node) => reader.text(&keys.name("type"), node)?,
        None => snake_case(name),
    };
    if !KINDS.contains(&kind.as_str()) {
        let right = super::nearest(&kind, KINDS).map_or_else(
            || format!("give its `type`: {}", KINDS.join(", ")),
            |right| format!("did you mean `{right}`?"),
        );
        reader.problem(key.at, format!("`{kind}` is no kind of channel: {right}"));
        return None;
    }
    let enabled = match keys.take("enabled") {
        Some(node) => reader.flag(&keys.name("enabled"), node).unwrap_or(false),
        None => true,
    };
    let kind = if alerting && enabled {
        read_kind(&kind, reader, &mut keys, node, folder)
    } else {
        // A channel of that kind in which nothing is written knows its keys.
        let mut unread = reader.section("", None);
        read_kind(&kind, &mut Reader::new(&|_| None), &mut unread, node, folder);
        keys.take_as(&unread);
        None
    };
    keys.finish(reader);
    Some(Channel { name: name.clone(), kind: kind? })
}

/// Reads the keys of a channel of that kind. Each is asked for, whatever is wrong with the others.
fn read_kind(
    kind: &str,
    reader: &mut Reader<'_>,
    keys: &mut Section<'_>,
    at: &Node,
    folder: &Path,
) -> Option<ChannelKind> {
    match kind {
        "telegram" => Telegram::read(reader, keys, at, folder).map(ChannelKind::Telegram),
        "slack" => Slack::read(reader, keys, at, folder).map(ChannelKind::Slack),
        "email" => Email::read(reader, keys, at, folder).map(|email| ChannelKind::Email(Box::new(email))),
        "alertmanager" => Alertmanager::read(reader, keys, at, folder).map(ChannelKind::Alertmanager),
        "syslog" => Syslog::read(reader, keys, at, folder).map(ChannelKind::Syslog),
        "file" => File::read(reader, keys, at, folder).map(ChannelKind::File),
        _ => Webhook::read(reader, keys, at, folder).map(ChannelKind::Webhook),
    }
}

/// A value that is one of several words; `what` it is, with its article, for the error.
fn read_word<T: Copy>(
    reader: &mut Reader<'_>,
    name: &str,
    node: &Node,
    what: &str,
    words: &[(&str, T)],
) -> Option<T> {
    reader.parsed(name, node, |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("`{text}` is no {what}: write one of {}", words.join(", "))
        })
    })
}

/// Channels by their names, as they are written in the file.
pub(super) fn by_name<S: Serializer>(channels: &[Channel], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(channels.iter().map(|channel| (&channel.name, channel)))
}

#[cfg(test)]
mod tests;
