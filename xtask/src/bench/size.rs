//! How large the kernel programs are, beside what was written down of them: a rise is seen when it is made.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::watcher::Watcher;
use crate::console;
use crate::setup::toolchain::Toolchain;
use crate::{process, workspace};

/// What stands around the table in its page.
const BEGIN: &str = "<!-- table: begin -->\n";
const END: &str = "<!-- table: end -->\n";

/// What `bench size` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Write down what is found, instead of comparing it
    #[arg(long)]
    pub(super) write: bool,
}

/// Instructions of a program, and how many of them the verifier looked at on all its ways.
type Sizes = BTreeMap<String, (u64, u64)>;

/// What a size depends on beside the program: the kernel and the compiler.
type Place = String;

/// Compares the sizes on this kernel with those written down, or writes them down, and shows what differs.
///
/// # Errors
/// Where the agent does not work, or a program has grown.
pub(super) fn measure(folder: &Path, toolchain: &Toolchain, arguments: &Arguments) -> Result<()> {
    if arguments.write {
        let (place, sizes) = found(folder, toolchain)?;
        return write(&place, &sizes);
    }
    let grown = compare(folder, toolchain)?;
    if !grown.is_empty() {
        bail!(
            "kernel programs have grown:\n    {}\nmake them smaller, or write it down by `cargo xtask bench size \
             --write` and say why in the commit",
            grown.join("\n    ")
        );
    }
    Ok(())
}

/// The programs that have grown, as lines; none where what is written down is of another kernel or compiler.
///
/// # Errors
/// Where the agent does not work, or nothing is written down.
pub(super) fn compare(folder: &Path, toolchain: &Toolchain) -> Result<Vec<String>> {
    let (place, now) = found(folder, toolchain)?;
    let (written_at, before) = written()?;
    if place != written_at {
        console::note(&format!(
            "the sizes of kernel programs are not compared: this is {place}, those written down are of {written_at}"
        ));
        return Ok(Vec::new());
    }
    let (grown, other) = differences(&before, &now);
    for line in other {
        console::note(&format!("{line}: write it down by `cargo xtask bench size --write`"));
    }
    console::note(&format!(
        "{} kernel programs are no larger than what is written down",
        now.len() - grown.len()
    ));
    Ok(grown)
}

/// What has grown, and what differs otherwise.
fn differences(before: &Sizes, now: &Sizes) -> (Vec<String>, Vec<String>) {
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

/// The programs that the agent has loaded on this kernel.
fn found(folder: &Path, toolchain: &Toolchain) -> Result<(Place, Sizes)> {
    let agent = Watcher::OpenClaw.start(folder)?;
    let status = agent.status()?;
    agent.stop()?;
    let programs = status["agent"]["programs"].as_array().context("the status tells of no programs")?;
    let number = |program: &Value, key: &str| program[key].as_u64().unwrap_or(0);
    let sizes: Sizes = programs
        .iter()
        .filter_map(|program| {
            let size = (number(program, "instructions"), number(program, "verified"));
            Some((program["name"].as_str()?.to_owned(), size))
        })
        .collect();
    if sizes.values().any(|(instructions, _)| *instructions == 0) {
        bail!("the kernel does not tell how large programs are: {sizes:?}");
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read osrelease")?;
    let mut compiler = Command::new(&toolchain.rustc);
    process::forget_outer_cargo(&mut compiler);
    let compiler = process::capture(compiler.arg("--version"))?;
    Ok((format!("kernel {}, {}", release.trim(), compiler.trim()), sizes))
}

fn page() -> PathBuf {
    workspace::root().join("docs/programs.md")
}

/// What is written down.
fn written() -> Result<(Place, Sizes)> {
    let page = page();
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    parse(&text).with_context(|| format!("{} has no table: `cargo xtask bench size --write`", page.display()))
}

fn parse(text: &str) -> Option<(Place, Sizes)> {
    let table = text.split_once(BEGIN)?.1.split_once(END)?.0;
    let (place, rows) = table.split_once("\n\n")?;
    let sizes = rows.lines().skip(2).map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let name = cells.next()?.trim_matches('`').to_owned();
        Some((name, (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?)))
    });
    Some((place.trim_end_matches(':').to_owned(), sizes.collect::<Option<_>>()?))
}

/// The table's head.
const HEAD: &str = "| program | instructions | looked at by the verifier |\n| --- | --- | --- |\n";

fn render(place: &Place, sizes: &Sizes) -> String {
    let mut out = format!("{place}:\n\n{HEAD}");
    for (name, (instructions, verified)) in sizes {
        // Writing to a String does not fail.
        let _ = writeln!(out, "| `{name}` | {instructions} | {verified} |");
    }
    out
}

fn write(place: &Place, sizes: &Sizes) -> Result<()> {
    let page = page();
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let (Some((head, _)), Some((_, tail))) = (text.split_once(BEGIN), text.split_once(END)) else {
        bail!("{} has no place for the table: {BEGIN}{END}", page.display());
    };
    let text = format!("{head}{BEGIN}{}{END}{tail}", render(place, sizes));
    std::fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))?;
    console::note(&format!("wrote {}", page.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again_and_each_rise_is_told() {
        let before = Sizes::from([("exit".to_owned(), (10, 12)), ("fork".to_owned(), (20, 40))]);
        let text = format!("# Page\n{BEGIN}{}{END}", render(&"kernel 6.18, rustc 1.97".to_owned(), &before));
        assert_eq!(parse(&text), Some(("kernel 6.18, rustc 1.97".to_owned(), before.clone())));
        let (grown, other) = differences(&before, &before);
        assert!(grown.is_empty() && other.is_empty());
        let now = Sizes::from([("exit".to_owned(), (9, 12)), ("fork".to_owned(), (20, 41))]);
        let (grown, other) = differences(&before, &now);
        assert_eq!(grown, ["fork: 20 to 20 instructions, 40 to 41 verified"]);
        assert_eq!(other, ["exit: 10 to 9 instructions, 12 to 12 verified"]);
        let (grown, other) = differences(&Sizes::from([("gone".to_owned(), (1, 1))]), &now);
        assert_eq!((grown.len(), other), (2, vec!["gone is gone".to_owned()]));
    }
}
