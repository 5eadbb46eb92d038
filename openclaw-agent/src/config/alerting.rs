//! `security.alerting`: whether and where findings and answers are told.

use serde::Serialize;

use super::channel::{self, Channel};
use super::node::Node;
use super::reader::Reader;

/// `security.alerting`. Channels that are switched off are not in it.
#[derive(Debug, Clone, Serialize)]
pub struct Alerting {
    /// Whether alerts are delivered at all. Findings are printed, logged and stored either way.
    pub enabled: bool,
    /// Where they go, by name, in the order in which they are written.
    #[serde(serialize_with = "channel::by_name")]
    pub channels: Vec<Channel>,
}

impl Default for Alerting {
    fn default() -> Alerting {
        Alerting { enabled: true, channels: Vec::new() }
    }
}

/// Reads `security.alerting`.
pub(super) fn read(reader: &mut Reader<'_>, node: Option<&Node>) -> Alerting {
    let mut alerting = Alerting::default();
    let mut keys = reader.section("security.alerting", node);
    if let Some(node) = keys.take("enabled") {
        alerting.enabled = reader.flag(&keys.name("enabled"), node).unwrap_or(true);
    }
    alerting.channels = channel::read_all(reader, keys.take("channels"), alerting.enabled);
    keys.not_built(reader, &["triggers", "throttle", "routes", "timezone"]);
    keys.finish(reader);
    alerting
}
