//! How large the kernel programs are, beside what was written down of them: a rise is seen when it is made.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::blocks::Blocked;
use super::watcher::Watcher;
use super::written::{Rows, Written};
use crate::console;
use crate::setup::toolchain::Toolchain;

/// The table's name, and its columns.
pub(super) const TABLE: (&str, [&str; 2]) = ("sizes", ["instructions", "looked at by the verifier"]);

/// What `bench size` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Write down what is found, instead of comparing it
    #[arg(long)]
    pub(super) write: bool,
}

/// Compares the sizes on this kernel with those written down, or writes them down, and shows what differs.
///
/// # Errors
/// Where the agent does not work, or a program has grown.
pub(super) fn measure(folder: &Path, toolchain: &Toolchain, arguments: &Arguments) -> Result<()> {
    if arguments.write {
        return found(folder, toolchain)?.write(TABLE.0, TABLE.1);
    }
    let (now, before) = (found(folder, toolchain)?, Written::read(TABLE.0)?);
    let Some(grown) = compare(&now, &before) else { return Ok(()) };
    if !grown.is_empty() {
        bail!(
            "kernel programs have grown:\n    {}\nmake them smaller, or write it down by `cargo xtask bench size \
             --write` and say why in the commit",
            grown.join("\n    ")
        );
    }
    // What has shrunk is not to grow again unseen.
    if now == before { Ok(()) } else { now.write(TABLE.0, TABLE.1) }
}

/// The programs that have grown, as lines.
///
/// # Errors
/// Where the agent does not work, or nothing is written down.
pub(super) fn grown(folder: &Path, toolchain: &Toolchain) -> Result<Vec<String>> {
    Ok(compare(&found(folder, toolchain)?, &Written::read(TABLE.0)?).unwrap_or_default())
}

/// The same; none where what is written down is of another kernel or compiler.
fn compare(now: &Written, before: &Written) -> Option<Vec<String>> {
    if !now.is_like(before) {
        console::note(&format!(
            "the sizes of kernel programs are not compared: this is {}, those written down are of {}. `cargo xtask \
             bench size --write` writes these down instead",
            now.place(),
            before.place()
        ));
        return None;
    }
    let (grown, other) = differences(&before.rows, &now.rows);
    for line in other {
        console::note(&format!("{line}: `cargo xtask bench size` writes it down"));
    }
    let same = now.rows.len() - grown.len();
    console::note(&format!("{same} kernel programs are no larger than what is written down"));
    Some(grown)
}

/// What has grown, and what differs otherwise.
fn differences(before: &Rows, now: &Rows) -> (Vec<String>, Vec<String>) {
    let (mut grown, mut other) = (Vec::new(), Vec::new());
    for (name, (instructions, verified)) in now {
        match before.get(name) {
            None => grown.push(format!("{name} is new: {instructions} instructions, {verified} verified")),
            Some(old) if old == &(*instructions, *verified) => {}
            Some((old, old_verified)) => {
                let line = format!(
                    "{name}: {old} to {instructions} instructions, {old_verified} to {verified} verified"
                );
                if instructions > old || verified > old_verified {
                    grown.push(line)
                } else {
                    other.push(line)
                }
            }
        }
    }
    other.extend(before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone")));
    (grown, other)
}

/// The programs that the agent has loaded on this kernel: those that watch, and those that enforce a verdict.
fn found(folder: &Path, toolchain: &Toolchain) -> Result<Written> {
    let agent = Watcher::OpenClaw.start(folder)?;
    let watching = agent.status()?;
    agent.stop()?;
    let agent = Blocked::begin(&folder.join("size"), "size", 1)?;
    let enforcing = agent.status()?;
    agent.end()?;
    let programs = [&watching, &enforcing].map(|status| status["agent"]["programs"].as_array());
    if programs.iter().any(|programs| programs.is_none_or(Vec::is_empty)) {
        bail!("the status tells of no programs");
    }
    let number = |program: &Value, key: &str| program[key].as_u64().unwrap_or(0);
    let sizes: Rows = programs
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|program| {
            let size = (number(program, "instructions"), number(program, "verified"));
            Some((program["name"].as_str()?.to_owned(), size))
        })
        .collect();
    if sizes.values().any(|(instructions, _)| *instructions == 0) {
        bail!("the kernel does not tell how large programs are: {sizes:?}");
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read osrelease")?;
    Written::found(release.trim(), toolchain, sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rise_is_told_and_apart_from_what_else_differs() {
        let before = Rows::from([("exit".to_owned(), (10, 12)), ("fork".to_owned(), (20, 40))]);
        let (grown, other) = differences(&before, &before);
        assert!(grown.is_empty() && other.is_empty());
        let now = Rows::from([("exit".to_owned(), (9, 12)), ("fork".to_owned(), (20, 41))]);
        let (grown, other) = differences(&before, &now);
        assert_eq!(grown, ["fork: 20 to 20 instructions, 40 to 41 verified"]);
        assert_eq!(other, ["exit: 10 to 9 instructions, 12 to 12 verified"]);
        let (grown, other) = differences(&Rows::from([("gone".to_owned(), (1, 1))]), &now);
        assert_eq!((grown.len(), other), (2, vec!["gone is gone".to_owned()]));
    }
}
