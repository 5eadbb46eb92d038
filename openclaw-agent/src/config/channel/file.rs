//! Settings of a file of alerts.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::node::Node;
use crate::config::reader::{Reader, Section};
use crate::config::{settings, units};

/// A file to which each alert is appended, as JSON on one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Before it is larger, in bytes, another is begun.
    #[serde(serialize_with = "crate::config::size_text")]
    pub max_size: u64,
    /// How many full ones are kept.
    pub keep: u32,
}

/// The most full files that are kept: each is renamed whenever one is full.
const MOST: u32 = 1000;

impl File {
    /// One with the defaults for everything but its place.
    pub fn new(path: PathBuf) -> File {
        File { path, max_size: 100_000_000, keep: 5 }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
    ) -> Option<File> {
        let path = keys
            .need(reader, "path", at.at, "the file to which alerts are appended")
            .and_then(|node| reader.parsed(&keys.name("path"), node, settings::path(folder)));
        let max_size = keys.take("max_size").and_then(|node| {
            reader.parsed(&keys.name("max_size"), node, |text| match units::parse_size(text)? {
                size if size < 4096 => Err(format!("{text} holds too little: write 4KiB at least")),
                size => Ok(size),
            })
        });
        let keep = keys.take("keep").and_then(|node| {
            reader.parsed(&keys.name("keep"), node, |text| {
                let number = text.parse().ok().filter(|number| *number <= MOST);
                number.ok_or_else(|| {
                    format!("`{text}` is no number of files: write one from 0 to {MOST}, such as 5")
                })
            })
        });
        let file = File::new(path?);
        Some(File { max_size: max_size.unwrap_or(file.max_size), keep: keep.unwrap_or(file.keep), ..file })
    }
}
