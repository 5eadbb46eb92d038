//! `cargo xtask pages`: the handbook's page of each rule that ships, made from the rule files and the deeds that prove them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::attack::{Shown, shown};
use crate::{agent, console, process, workspace};

/// Where the pages are, below the workspace's root.
const FOLDER: &str = "docs/detections";

/// How each of them begins.
const MADE: &str = "<!-- Made by `cargo xtask pages`";

/// Rules that no deed makes fire, and why.
const NOT_DONE: [(&str, &str); 2] = [
    ("privilege_escalation_unexplained", "it takes an exploit of the kernel"),
    ("sensor_tamper", "a deed cannot reach the sensor; the live tests do it"),
];

/// What `pages` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing, and fail where a page is not as it would be written
    #[arg(long)]
    check: bool,
}

/// Builds, and writes the pages.
///
/// # Errors
/// The rules have mistakes, or a page cannot be written; with `check`, a page is out of date.
pub(crate) fn command(arguments: &Arguments) -> Result<()> {
    let agent = agent::build()?;
    if arguments.check {
        return check(&agent);
    }
    let folder = workspace::root().join(FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let pages = pages(&agent)?;
    for (name, text) in &pages {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    for old in made_before(&folder)?.into_iter().filter(|name| !pages.contains_key(name)) {
        std::fs::remove_file(folder.join(&old)).with_context(|| format!("cannot remove {old}"))?;
    }
    console::note(&format!("wrote {} pages into {FOLDER}", pages.len()));
    Ok(())
}

/// Compares the pages with the rules.
///
/// # Errors
/// The rules have mistakes, or a page is out of date.
pub(crate) fn check(agent: &Path) -> Result<()> {
    let folder = workspace::root().join(FOLDER);
    let pages = pages(agent)?;
    let mut old: Vec<String> = made_before(&folder)?;
    old.retain(|name| !pages.contains_key(name));
    let stale = |(name, text): (&String, &String)| {
        let is = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        (is != *text).then(|| name.clone())
    };
    old.extend(pages.iter().filter_map(stale));
    if old.is_empty() {
        return Ok(());
    }
    bail!("{FOLDER} is not as the rules are ({}): run `cargo xtask pages`", old.join(", "))
}

/// The pages that were made before; others are left alone.
fn made_before(folder: &Path) -> Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if std::fs::read_to_string(&path).is_ok_and(|text| text.starts_with(MADE)) {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    Ok(names)
}

/// All pages by file name, `README.md` being the list of them.
fn pages(agent: &Path) -> Result<BTreeMap<String, String>> {
    let rules = process::capture(
        Command::new(agent)
            .args(["rules", "list", "--output", "json", "--rules", "rules"])
            .current_dir(workspace::root()),
    )?;
    let rules: Vec<Value> = rules
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("the list of rules is no JSON")?;
    let shown = shown()?;
    prove(&rules, &shown)?;
    let mut pages = BTreeMap::new();
    let mut groups: BTreeMap<PathBuf, Vec<&Value>> = BTreeMap::new();
    for rule in &rules {
        let name = text(rule, "name");
        let deeds: Vec<&Shown> = shown.iter().filter(|shown| shown.rule == name).collect();
        pages.insert(format!("{name}.md"), page(rule, &deeds));
        groups.entry(file(rule).into()).or_default().push(rule);
    }
    pages.insert("README.md".to_owned(), list(&groups));
    Ok(pages)
}

/// Sees to it that each deed is for a rule that there is, and each rule has an attack.
fn prove(rules: &[Value], shown: &[Shown]) -> Result<()> {
    let names: BTreeSet<&str> = rules.iter().map(|rule| text(rule, "name")).collect();
    if let Some(stray) = shown.iter().find(|shown| !names.contains(shown.rule.as_str())) {
        bail!("{}: there is no rule {}", stray.file, stray.rule);
    }
    for name in names {
        let is_done = shown.iter().any(|shown| shown.rule == name && shown.attack);
        if is_done == NOT_DONE.iter().any(|(rule, _)| *rule == name) {
            bail!(
                "the rule {name} has no attack in attacks/, or has one and stands among those that have none"
            );
        }
    }
    Ok(())
}

/// The file that a rule is in.
fn file(rule: &Value) -> &str {
    text(rule, "origin").rsplit_once(':').map_or("", |(file, _)| file)
}

fn page(rule: &Value, deeds: &[&Shown]) -> String {
    let name = text(rule, "name");
    let mut page = format!("{MADE} from {}. -->\n\n# {name}\n\n", file(rule));
    let confidence = &rule["confidence"];
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "Severity **{}**, confidence {confidence}. {}\n",
        text(rule, "severity"),
        techniques(rule)
    );
    for (heading, key) in [
        ("", "description"),
        ("## What else it may be", "false_positives"),
        ("## What to do first", "triage"),
    ] {
        if let Some(text) = rule[key].as_str() {
            let heading = if heading.is_empty() { String::new() } else { format!("{heading}\n\n") };
            let _ = writeln!(page, "{heading}{}\n", text.trim());
        }
    }
    let kinds = quoted(&rule["events"]);
    let _ = writeln!(page, "## When it fires\n\nOn {kinds}: {}.\n", text(rule, "fires"));
    let condition = text(rule, "condition").trim();
    if !condition.is_empty() {
        let _ = writeln!(page, "```text\n{condition}\n```\n");
    }
    let exceptions = rule["exceptions"].as_array().map_or(&[][..], Vec::as_slice);
    if !exceptions.is_empty() {
        page.push_str("| it does not fire | where |\n| --- | --- |\n");
        for exception in exceptions {
            let condition = text(exception, "condition").split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(page, "| {} | `{}` |", text(exception, "name"), condition.replace('|', "\\|"));
        }
        page.push('\n');
    }
    for (attack, heading) in [(true, "Done by"), (false, "Not to be found in")] {
        let names: Vec<&str> =
            deeds.iter().filter(|deed| deed.attack == attack).map(|deed| deed.name.as_str()).collect();
        if !names.is_empty() {
            let _ = writeln!(page, "{heading}: {}.\n", names.join("; "));
        }
    }
    if let Some((_, reason)) = NOT_DONE.iter().find(|(rule, _)| *rule == name) {
        let _ = writeln!(page, "No attack shows it: {reason}.\n");
    }
    let done = deeds.first().map_or_else(String::new, |deed| format!(", the deeds in `{}`", deed.file));
    let _ = writeln!(page, "The rule is in `{}`{done}.", file(rule));
    page
}

fn list(groups: &BTreeMap<PathBuf, Vec<&Value>>) -> String {
    let count: usize = groups.values().map(Vec::len).sum();
    let mut page = format!(
        "{MADE} from the rule files. -->\n\n# Detections\n\nThe {count} rules that ship, by tactic. \
         `openclaw rules explain RULE` shows the same of one.\n"
    );
    for (file, rules) in groups {
        let tactic = file.file_stem().unwrap_or_default().to_string_lossy().replace('_', " ");
        let _ = writeln!(
            page,
            "\n## {tactic}\n\n| rule | severity | technique | finds |\n| --- | --- | --- | --- |"
        );
        for rule in rules {
            let name = text(rule, "name");
            let about = text(rule, "description").split_whitespace().collect::<Vec<_>>().join(" ");
            let first = about.split_inclusive(". ").next().unwrap_or_default().trim_end().replace('|', "\\|");
            let _ = writeln!(
                page,
                "| [{name}]({name}.md) | {} | {} | {first} |",
                text(rule, "severity"),
                techniques(rule).trim_end_matches('.')
            );
        }
    }
    page
}

/// Links to the techniques of MITRE ATT&CK that the rule's tags name.
fn techniques(rule: &Value) -> String {
    let tags = rule["tags"].as_array().map_or(&[][..], Vec::as_slice);
    let ids = tags.iter().filter_map(|tag| tag.as_str()?.strip_prefix("attack.t"));
    let links: Vec<String> = ids
        .filter(|id| id.starts_with(|first: char| first.is_ascii_digit()))
        .map(|id| format!("[T{id}](https://attack.mitre.org/techniques/T{}/)", id.replace('.', "/")))
        .collect();
    format!("{}.", links.join(", "))
}

fn quoted(names: &Value) -> String {
    let names = names.as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str);
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn text<'a>(rule: &'a Value, key: &str) -> &'a str {
    rule[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(name: &str) -> Value {
        json!({
            "name": name,
            "origin": "rules/execution.yml:7",
            "severity": "high",
            "confidence": 0.9,
            "description": "It runs. Then it ends.",
            "triage": "Look.",
            "tags": ["attack.execution", "attack.t1059.004"],
            "events": ["process_create"],
            "fires": "on each event that its condition is true of",
            "condition": "process.name == \"x\"",
            "exceptions": [{ "name": "a | b", "condition": "process.pid\n  == 1 | 2" }],
        })
    }

    fn deed(rule: &str, attack: bool) -> Shown {
        Shown {
            rule: rule.to_owned(),
            attack,
            name: "bash".to_owned(),
            file: "attacks/execution.sh".to_owned(),
        }
    }

    #[test]
    fn a_page_says_what_the_rule_says() {
        let page = page(&rule("a"), &[&deed("a", true)]);
        for part in [
            "# a\n",
            "Severity **high**, confidence 0.9. [T1059.004](https://attack.mitre.org/techniques/T1059/004/).",
            "## What to do first\n\nLook.",
            "| `process.pid == 1 \\| 2` |",
            "Done by: bash.",
            "The rule is in `rules/execution.yml`, the deeds in `attacks/execution.sh`.",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn a_rule_without_an_attack_and_a_deed_without_a_rule_are_told() {
        let (rules, attack) = ([rule("a")], [deed("a", true)]);
        assert!(prove(&rules, &attack).is_ok());
        for (shown, expected) in [
            (vec![deed("a", false)], "the rule a has no attack"),
            (vec![deed("a", true), deed("b", false)], "attacks/execution.sh: there is no rule b"),
        ] {
            let error = prove(&rules, &shown).expect_err("something is wrong");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
