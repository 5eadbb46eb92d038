//! Events for the tests of rules, cut from the recording of a deed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::deed::{Deed, Purpose};
use super::recording::text;
use crate::{process, workspace};

/// How many events the recording of what is harmless has at most.
const MOST: usize = 12;

/// What is left out of events: the machine on which they were recorded, and where on it the deed was done.
const LEFT_OUT: [&str; 5] = ["/host", "/process/cgroup", "/process/session_id", "/log/file", "/event/id"];

/// The program below which a deed is done: who began that is nobody's business.
const STAGE: &str = "unshare";

/// Cuts and writes the recording of a deed, and returns its path below `rules/`.
///
/// # Errors
/// The deed was not as its rule says, or nothing of it is left to be kept.
pub(super) fn write(
    deed: &Deed,
    lines: &[(usize, String)],
    rules: &[PathBuf],
    work: &Path,
) -> Result<PathBuf> {
    let event = |(_, line): &(usize, String)| serde_json::from_str(line).map(cleaned);
    let events: Vec<Value> = lines.iter().map(event).collect::<Result<_, _>>().context("it is no event")?;
    let cutter = Cutter { deed, rules, work };
    let kept = match deed.purpose {
        Purpose::Attack => cutter.least(&events)?,
        Purpose::Harmless => cutter.kept(&events)?,
        Purpose::Work | Purpose::Sigma => bail!("this is for no rule's test"),
    };
    let name = PathBuf::from("recordings").join(deed.title()).with_extension("jsonl");
    let file = workspace::root().join("rules").join(&name);
    let folder = file.parent().context("a recording has a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(&file, written(&kept)).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(name)
}

/// An event without what is nobody's business.
fn cleaned(mut event: Value) -> Value {
    for pointer in LEFT_OUT {
        let (outer, key) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(outer) = event.pointer_mut(outer).and_then(Value::as_object_mut) {
            outer.remove(key);
        }
    }
    if let Some(ancestors) = event.pointer_mut("/process/ancestors").and_then(Value::as_array_mut)
        && let Some(stage) = ancestors.iter().rposition(|name| name == STAGE)
    {
        ancestors.truncate(stage + 1);
    }
    if text(&event, "/process/parent/name") == Some(STAGE)
        && text(&event, "/process/parent/command_line").is_some_and(|line| line.contains("/stage "))
        && let Some(parent) = event.pointer_mut("/process/parent").and_then(Value::as_object_mut)
    {
        parent.remove("command_line");
    }
    event
}

fn without_capabilities(mut event: Value) -> Value {
    if let Some(process) = event.pointer_mut("/process").and_then(Value::as_object_mut) {
        process.remove("thread");
    }
    event
}

/// Whether the process may do what root may.
fn has_all_capabilities(event: &Value) -> bool {
    let effective = event.pointer("/process/thread/capabilities/effective").and_then(Value::as_array);
    effective.is_none_or(|names| names.iter().any(|name| name == "CAP_SYS_MODULE"))
}

struct Cutter<'a> {
    deed: &'a Deed,
    rules: &'a [PathBuf],
    work: &'a Path,
}

impl Cutter<'_> {
    /// As few events as make the rule fire: first those up to the one on which it fires, then without whatever is not
    /// missed.
    fn least(&self, events: &[Value]) -> Result<Vec<Value>> {
        let rule = &self.deed.rule;
        let fired = self.fired(events, self.rules, rule)?;
        let Some(first) = fired.first() else {
            bail!("{} does not fire on the recording of {}", rule, self.deed.title());
        };
        let last = position(events, first).context("the finding's event is not in the recording")?;
        let alone = vec![events[last].clone()];
        if !self.fired(&alone, self.rules, rule)?.is_empty() {
            return self.without_capabilities(alone);
        }
        let mut kept = events[..=last].to_vec();
        if self.fired(&kept, self.rules, rule)?.is_empty() {
            bail!("{rule} does not fire on the first {} events of {}", last + 1, self.deed.title());
        }
        // What a threshold counts is mostly alike: that leaves little to be tried.
        for pointer in ["/event/dataset", "/event/action", "/process/name"] {
            let wanted = events[last].pointer(pointer);
            let alike: Vec<Value> =
                kept.iter().filter(|event| event.pointer(pointer) == wanted).cloned().collect();
            if !self.fired(&alike, self.rules, rule)?.is_empty() {
                kept = alike;
            }
        }
        let mut size = kept.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < kept.len() {
                let mut without = kept.clone();
                without.drain(at..(at + size).min(kept.len()));
                if self.fired(&without, self.rules, rule)?.is_empty() {
                    at += size;
                } else {
                    kept = without;
                }
            }
            size /= 2;
        }
        self.without_capabilities(kept)
    }

    /// The events without the long lists of capabilities, where the rule fires without them.
    fn without_capabilities(&self, events: Vec<Value>) -> Result<Vec<Value>> {
        let without: Vec<Value> = events.iter().cloned().map(without_capabilities).collect();
        let fires = !self.fired(&without, self.rules, &self.deed.rule)?.is_empty();
        Ok(if fires { without } else { events })
    }

    /// The events that the deed says are to be kept.
    fn kept(&self, events: &[Value]) -> Result<Vec<Value>> {
        let rule = &self.deed.rule;
        if !self.fired(events, self.rules, rule)?.is_empty() {
            bail!("{rule} fires on the recording of {}", self.deed.title());
        }
        let condition = self.deed.keep.as_deref().unwrap_or_default();
        let kinds: BTreeSet<&str> = events.iter().filter_map(|event| text(event, "/event/dataset")).collect();
        let kinds = kinds.into_iter().collect::<Vec<_>>();
        let rule = serde_json::json!({
            "rules": [{ "name": "keep", "event": kinds, "condition": condition, "severity": "info" }]
        });
        // YAML holds JSON.
        let file = self.work.join("keep.yml");
        std::fs::write(&file, rule.to_string())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let wanted = self.fired(events, &[file], "keep")?;
        let mut kept: Vec<Value> = wanted
            .iter()
            .filter_map(|event| position(events, event))
            .map(|index| events[index].clone())
            .map(|event| if has_all_capabilities(&event) { without_capabilities(event) } else { event })
            .collect();
        if kept.is_empty() {
            bail!("{}: no event of it is as `#: keep {condition}` says", self.deed.place);
        }
        kept.truncate(MOST);
        Ok(kept)
    }

    /// The events on which a rule fires.
    fn fired(&self, events: &[Value], rules: &[PathBuf], rule: &str) -> Result<Vec<Value>> {
        let file = self.work.join("cut.jsonl");
        std::fs::write(&file, written(events)).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = Command::new(workspace::agent());
        command.arg("--config").arg(self.work.join("openclaw.yml")).arg("replay").arg(&file);
        command.args(["--output", "json"]);
        rules.iter().for_each(|path| {
            command.arg("--rules").arg(path);
        });
        let output = process::capture(&mut command)?;
        let findings = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_rule = findings.filter(|finding| finding.get("rule").and_then(Value::as_str) == Some(rule));
        Ok(of_rule.filter_map(|mut finding| finding.get_mut("event").map(Value::take)).collect())
    }
}

/// Where an event is among others, by its time and its process, or the line that tells of it.
fn position(events: &[Value], event: &Value) -> Option<usize> {
    let same = |other: &Value| {
        ["/@timestamp", "/process/entity_id", "/event/dataset", "/event/action", "/event/original"]
            .iter()
            .all(|pointer| other.pointer(pointer) == event.pointer(pointer))
    };
    events.iter().position(same)
}

fn written(events: &[Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_keeps_nothing_of_the_machine_and_of_who_began_the_deed() {
        let event = json!({
            "host": { "name": "somewhere" },
            "process": {
                "name": "nc",
                "cgroup": "/a/b",
                "session_id": 7,
                "ancestors": ["bash", "unshare", "sh", "unshare", "xtask", "secret"],
                "parent": { "name": "unshare", "command_line": "unshare --mount -- /bin/sh /secret/stage /secret" },
            },
        });
        let expected = json!({
            "process": {
                "name": "nc",
                "ancestors": ["bash", "unshare", "sh", "unshare"],
                "parent": { "name": "unshare" },
            },
        });
        assert_eq!(cleaned(event), expected);
    }
}
