//! `security.alerting`: whether and where findings and answers are told.

use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::channel::{self, Channel};
use super::node::Node;
use super::reader::Reader;
use super::triggers::{self, Triggers};
use super::units;

/// `security.alerting`. Channels that are switched off are not in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alerting {
    /// Whether alerts are delivered at all. Findings are printed, logged and stored either way.
    pub enabled: bool,
    /// Where they go, by name, in the order in which they are written.
    #[serde(serialize_with = "channel::by_name")]
    pub channels: Vec<Channel>,
    /// Which are sent, how often, and where.
    pub triggers: Triggers,
    /// The zone of the moments in messages to people; the host's where none is given.
    #[serde(serialize_with = "zone_name")]
    pub timezone: Option<TimeZone>,
    /// An alert that a channel has not accepted after so long is given up.
    #[serde(serialize_with = "super::duration_text")]
    pub max_age: Duration,
    /// Bytes of alerts that wait at most; the oldest are thrown away when there are more.
    #[serde(serialize_with = "super::size_text")]
    pub max_size: u64,
    /// A sign of life, if any is asked for.
    pub heartbeat: Option<Heartbeat>,
}

/// `security.alerting.heartbeat`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heartbeat {
    /// How often it is sent.
    #[serde(serialize_with = "super::duration_text")]
    pub every: Duration,
    /// To which channels; none for all.
    pub channels: Option<Vec<String>>,
}

impl Default for Alerting {
    fn default() -> Alerting {
        Alerting {
            enabled: true,
            channels: Vec::new(),
            triggers: Triggers::default(),
            timezone: None,
            max_age: Duration::from_secs(86400),
            max_size: 64_000_000,
            heartbeat: None,
        }
    }
}

impl Alerting {
    /// The channels by which alerts go: none where nothing is delivered.
    pub fn channels_in_use(&self) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(|_| self.enabled)
    }
}

/// Reads `security.alerting`; `folder` is where relative paths begin.
pub(super) fn read(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Alerting {
    let mut alerting = Alerting::default();
    let mut keys = reader.section("security.alerting", node);
    if let Some(node) = keys.take("enabled") {
        alerting.enabled = reader.flag(&keys.name("enabled"), node).unwrap_or(true);
    }
    let channels = keys.take("channels");
    let names = triggers::names(channels);
    alerting.channels = channel::read_all(reader, channels, folder, alerting.enabled);
    alerting.triggers = triggers::read(reader, keys.take("triggers"), &names);
    if let Some(node) = keys.take("timezone") {
        alerting.timezone = reader.parsed(&keys.name("timezone"), node, |text| {
            TimeZone::get(text).map_err(|_| {
                format!(
                    "`{text}` is no time zone that this host knows: write one such as Europe/Berlin, or UTC"
                )
            })
        });
    }
    if let Some(node) = keys.take("max_age") {
        let age = reader.parsed(&keys.name("max_age"), node, |text| match units::parse_duration(text)? {
            age if age < Duration::from_secs(60) => {
                Err(format!("{text} is over before an endpoint is up again: write 1m or more"))
            }
            age => Ok(age),
        });
        alerting.max_age = age.unwrap_or(alerting.max_age);
    }
    if let Some(node) = keys.take("max_size") {
        let size = reader.parsed(&keys.name("max_size"), node, |text| match units::parse_size(text)? {
            size if size < 1 << 20 => Err(format!("{text} holds too little: write 1MiB at least")),
            size => Ok(size),
        });
        alerting.max_size = size.unwrap_or(alerting.max_size);
    }
    alerting.heartbeat = keys.take("heartbeat").and_then(|node| heartbeat(reader, node, &names));
    keys.finish(reader);
    alerting
}

fn heartbeat(reader: &mut Reader<'_>, node: &Node, names: &[&str]) -> Option<Heartbeat> {
    let mut keys = reader.section("security.alerting.heartbeat", Some(node));
    let channels =
        keys.take("channels").map(|node| triggers::channels(reader, &keys.name("channels"), node, names));
    let Some(every) = keys.take("every") else {
        reader.problem(node.at, "`security.alerting.heartbeat.every` is missing: write one such as 1h");
        keys.finish(reader);
        return None;
    };
    let every = reader.parsed(&keys.name("every"), every, |text| match units::parse_duration(text)? {
        every if every < Duration::from_secs(1) => Err(format!("{text} is too often: write 1s or more")),
        every => Ok(every),
    });
    keys.finish(reader);
    Some(Heartbeat { every: every?, channels })
}

fn zone_name<S: Serializer>(zone: &Option<TimeZone>, serializer: S) -> Result<S::Ok, S::Error> {
    match zone {
        Some(zone) => serializer.collect_str(zone.iana_name().unwrap_or("UTC")),
        None => serializer.serialize_none(),
    }
}
