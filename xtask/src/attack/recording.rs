//! What happened while deeds were done, read from the sensor's capture.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The events of all deeds of a run, by the control group of each.
pub(super) struct Recording {
    deeds: BTreeMap<String, Events>,
    /// Events of no process, and the networks that they came to.
    came: Vec<(u64, (usize, String))>,
    /// Whether the events themselves are kept: there may be millions.
    whole: bool,
}

/// What happened in a control group, to no process in its networks, and by its logs.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// How many events there are of each kind.
    pub(super) kinds: BTreeMap<String, usize>,
    /// The networks that its processes were in.
    pub(super) networks: BTreeSet<u64>,
    /// Where in the capture its first event is, and its last: the kernel gives the number of a network that is gone to
    /// another.
    places: Option<(usize, usize)>,
    /// The events as they were written, each with its place in the capture, where they are kept.
    pub(super) lines: Vec<(usize, String)>,
}

impl Recording {
    /// Reads of a capture what happened in the control groups inside of one, or to no process; and keeps the events where
    /// `whole`. The rest of the machine, which may be at work, is passed over.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(capture: &Path, outer: &str, whole: bool) -> Result<Self> {
        let mut unpacking = Command::new("zcat")
            .arg(capture)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start `zcat` (Debian's package gzip)")?;
        let output = unpacking.stdout.take().context("zcat has no stdout")?;
        let mut recording = Self { deeds: BTreeMap::new(), came: Vec::new(), whole };
        for (place, line) in BufReader::new(output).lines().enumerate() {
            let line = line.with_context(|| format!("cannot read {}", capture.display()))?;
            recording
                .take((place, line), outer)
                .with_context(|| format!("{} is no capture", capture.display()))?;
        }
        let status = unpacking.wait().context("cannot wait for zcat")?;
        if !status.success() {
            bail!("`zcat {}` ended with {status}", capture.display());
        }
        Ok(recording)
    }

    /// Takes in a line of the capture.
    fn take(&mut self, (place, line): (usize, String), outer: &str) -> Result<()> {
        if line.contains("capture_mark") || (line.contains("\"process\":") && !line.contains(outer)) {
            return Ok(());
        }
        let event: Value = serde_json::from_str(&line)?;
        let Some(kind) = text(&event, "/event/dataset") else { return Ok(()) };
        let network = |pointer| event.pointer(pointer).and_then(Value::as_u64);
        let group = match text(&event, "/log/file/path") {
            // Of `logs/DEED/auth.log`, wherever that is.
            Some(path) => path.rsplit('/').nth(1).map(str::to_owned),
            None => text(&event, "/process/cgroup")
                .and_then(|path| path.split('/').skip_while(|part| *part != outer).nth(1).map(str::to_owned)),
        };
        if event.get("process").is_none() && group.is_none() {
            self.came.extend(network("/network/namespace").map(|network| (network, (place, line))));
            return Ok(());
        }
        if let Some(group) = group {
            let events = self.deeds.entry(group).or_default();
            *events.kinds.entry(kind.to_owned()).or_default() += 1;
            events.networks.extend(network("/process/namespace/network"));
            // A line of a log may come late.
            if event.get("process").is_some() {
                events.places = Some((events.places.map_or(place, |(first, _)| first), place));
            }
            if self.whole {
                events.lines.push((place, line));
            }
        }
        Ok(())
    }

    /// What happened in the control group of a deed; for which it is asked once.
    pub(super) fn of(&mut self, group: &str) -> Events {
        let mut events = self.deeds.remove(group).unwrap_or_default();
        let (first, last) = events.places.unwrap_or_default();
        let came = self.came.iter().filter(|(network, (place, _))| {
            events.networks.contains(network) && (first..=last).contains(place)
        });
        let came: Vec<&(usize, String)> = came.map(|(_, line)| line).collect();
        if !came.is_empty() {
            *events.kinds.entry("network_connection".to_owned()).or_default() += came.len();
        }
        if self.whole {
            events.lines.extend(came.into_iter().cloned());
            events.lines.sort_unstable_by_key(|(place, _)| *place);
        }
        events
    }
}

/// A text of an event.
pub(super) fn text<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_to_a_deed_is_what_its_processes_did_and_what_came_to_its_network() {
        let of = |group: &str, network: u64| {
            let process = json!({ "cgroup": format!("/x/{group}"), "namespace": { "network": network } });
            json!({ "event": { "dataset": "process_create" }, "process": process }).to_string()
        };
        let came = |network: u64| {
            json!({ "event": { "dataset": "network_connection" }, "network": { "namespace": network } })
                .to_string()
        };
        for whole in [true, false] {
            let mut recording = Recording { deeds: BTreeMap::new(), came: Vec::new(), whole };
            let lines = [
                of("deeds/deed-1/docker-1.scope", 7),
                of("deeds/deed-11", 8),
                of("deed-1", 7),
                came(7),
                came(9),
                of("deeds/deed-1", 7),
                came(7),
            ];
            for line in lines.clone().into_iter().enumerate() {
                recording.take(line, "deeds").expect("it is an event");
            }
            let events = recording.of("deed-1");
            assert_eq!(events.kinds.values().sum::<usize>(), 3);
            let expected = if whole {
                [0, 3, 5].map(|place| (place, lines[place].clone())).to_vec()
            } else {
                Vec::new()
            };
            assert_eq!(events.lines, expected);
            assert!(recording.of("deed-2").kinds.is_empty());
        }
    }
}
