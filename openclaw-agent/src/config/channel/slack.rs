//! Settings of an incoming webhook of Slack's.

use std::path::Path;

use serde::Serialize;

use crate::config::http::Http;
use crate::config::node::Node;
use crate::config::reader::{Reader, Section};

/// A channel of Slack's, by the address that an app was given for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slack {
    /// The address, of which the path is a secret.
    #[serde(flatten)]
    pub http: Http,
}

impl Slack {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
    ) -> Option<Slack> {
        Some(Slack { http: Http::read(reader, keys, at, folder, None)? })
    }
}
