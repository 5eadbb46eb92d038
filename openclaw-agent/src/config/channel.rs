//! `security.alerting.channels`: where alerts go.

use serde::{Serialize, Serializer};

use super::node::{Key, Node};
use super::reader::{Problem, Reader, snake_case};
use super::webhook::{self, Webhook};

/// Kinds of channel that are known by name but that this version cannot deliver to.
const NOT_BUILT: [&str; 6] = ["telegram", "slack", "email", "alertmanager", "syslog", "file"];

/// Where alerts go.
#[derive(Debug, Clone, Serialize)]
pub struct Channel {
    /// Its key under `channels`.
    #[serde(skip)]
    pub name: String,
    /// How it is reached.
    #[serde(flatten)]
    pub kind: ChannelKind,
}

/// How a channel is reached.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChannelKind {
    /// A POST of JSON.
    Webhook(Webhook),
}

impl ChannelKind {
    /// The name of the type, as it is written.
    pub const fn name(&self) -> &'static str {
        match self {
            ChannelKind::Webhook(_) => "webhook",
        }
    }
}

impl Channel {
    /// The endpoint without what may be secret in it.
    pub fn endpoint(&self) -> String {
        match &self.kind {
            ChannelKind::Webhook(webhook) => webhook.endpoint(),
        }
    }

    /// The endpoint's `host:port`, which must never be blocked; none for what is on this host by nature.
    pub fn host_and_port(&self) -> Option<String> {
        match &self.kind {
            ChannelKind::Webhook(webhook) => Some(webhook.host_and_port()),
        }
    }
}

/// Reads `security.alerting.channels`. Of those that are switched off, which all are where alerting is, only the names of
/// the keys are checked: their variables may be missing.
pub(super) fn read_all(reader: &mut Reader<'_>, node: Option<&Node>, alerting: bool) -> Vec<Channel> {
    let mut names = reader.section("security.alerting.channels", node);
    let named = names.take_rest().into_iter();
    named.filter_map(|(key, node)| read(reader, key, node, alerting)).collect()
}

/// One channel, where it is switched on. Its type is its key, unless `type` says another.
fn read(reader: &mut Reader<'_>, key: &Key, node: &Node, alerting: bool) -> Option<Channel> {
    let name = &key.name;
    let mut keys = reader.section(&format!("security.alerting.channels.{name}"), Some(node));
    let kind = match keys.take("type") {
        Some(node) => reader.text(&keys.name("type"), node)?,
        None => snake_case(name),
    };
    if NOT_BUILT.contains(&kind.as_str()) {
        let message = format!(
            "`security.alerting.channels.{name}` has no effect: this version of OpenClaw does not have {kind} channels"
        );
        reader.warnings.push(Problem { at: key.at, message });
        return None;
    }
    if kind != "webhook" {
        let known = NOT_BUILT.into_iter().chain(["webhook"]);
        let hint = super::nearest(&kind, known).map(|right| format!(": did you mean `{right}`?"));
        let message = format!(
            "`{kind}` is no kind of channel{}",
            hint.unwrap_or(": write `webhook`, or give its `type`".to_owned())
        );
        reader.problem(key.at, message);
        return None;
    }
    let enabled = match keys.take("enabled") {
        Some(node) => reader.flag(&keys.name("enabled"), node).unwrap_or(false),
        None => true,
    };
    let kind = if alerting && enabled {
        Webhook::read(reader, name, &mut keys, node).map(ChannelKind::Webhook)
    } else {
        for key in webhook::KEYS {
            keys.take(key);
        }
        None
    };
    keys.finish(reader);
    Some(Channel { name: name.clone(), kind: kind? })
}

/// Channels by their names, as they are written in the file.
pub(super) fn by_name<S: Serializer>(channels: &[Channel], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(channels.iter().map(|channel| (&channel.name, channel)))
}
