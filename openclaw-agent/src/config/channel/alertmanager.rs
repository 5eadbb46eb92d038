//! Settings of Prometheus's Alertmanager.

use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::config::http::Http;
use crate::config::node::{Node, Tree};
use crate::config::reader::{Reader, Section};
use crate::config::units;

/// An Alertmanager.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alertmanager {
    /// Its address, without the path of its API.
    #[serde(flatten)]
    pub http: Http,
    /// Labels that each alert bears besides its own, and before them where both have a name.
    #[serde(serialize_with = "by_name")]
    pub labels: Vec<(String, String)>,
    /// For so long an alert is active after it was sent.
    #[serde(serialize_with = "crate::config::duration_text")]
    pub resolve_after: Duration,
}

impl Alertmanager {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
    ) -> Option<Alertmanager> {
        let labels = keys.take("labels").map(|node| read_labels(reader, &keys.name("labels"), node));
        let resolve_after = keys.take("resolve_after").and_then(|node| {
            reader.parsed(&keys.name("resolve_after"), node, |text| match units::parse_duration(text)? {
                time if time < Duration::from_secs(60) => {
                    Err("Alertmanager would take it for over before it told anyone: write 1m at least"
                        .to_owned())
                }
                time => Ok(time),
            })
        });
        let http = Http::read(reader, keys, at, folder, None)?;
        let resolve_after = resolve_after.unwrap_or(Duration::from_secs(3600));
        Some(Alertmanager { http, labels: labels.unwrap_or_default(), resolve_after })
    }
}

fn read_labels(reader: &mut Reader<'_>, path: &str, node: &Node) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    for (key, value) in reader.section(path, Some(node)).take_rest() {
        if value.value == Tree::Null {
            continue;
        }
        let right = key.name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !right {
            let message = format!("`{}` is no name of a label: write one of letters, digits and _", key.name);
            reader.problem(key.at, message);
            continue;
        }
        if let Some(value) = reader.text(&format!("{path}.{}", key.name), value) {
            labels.push((key.name.clone(), value));
        }
    }
    labels
}

fn by_name<S: Serializer>(labels: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name, value)))
}
