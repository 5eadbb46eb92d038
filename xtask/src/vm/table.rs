//! The table of kernels in the handbook: what each run of the live tests found on its kernel.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::page;

/// A run of the live tests on one kernel.
#[derive(Debug)]
pub(crate) struct Column {
    /// What `uname -r` says.
    pub(crate) release: String,
    /// How many tests passed, and how many were left out.
    pub(crate) passed: usize,
    pub(crate) skipped: usize,
    /// What `openclaw doctor --output json` printed in the same run.
    pub(crate) doctor: String,
}

/// Writes the columns into the handbook's page.
///
/// # Errors
/// A doctor said nothing that can be read, or the page cannot be written.
pub(crate) fn write(columns: &[Column], filter: &[String]) -> Result<()> {
    page::write("kernels.md", "table", &table(columns, filter)?)
}

/// The table in Markdown: a row for each capability, a column for each kernel.
fn table(columns: &[Column], filter: &[String]) -> Result<String> {
    let doctors = columns
        .iter()
        .map(|column| {
            serde_json::from_str::<Vec<Value>>(&column.doctor)
                .with_context(|| format!("the doctor on {} said: {}", column.release, column.doctor))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut capabilities: Vec<&str> = Vec::new();
    for capability in doctors.iter().flatten().filter_map(|told| told["capability"].as_str()) {
        if !capabilities.contains(&capability) {
            capabilities.push(capability);
        }
    }
    let mut out = String::new();
    let mut row = |name: &str, cells: Vec<String>| {
        // Writing to a String does not fail.
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    };
    row("", columns.iter().map(|column| column.release.clone()).collect());
    row("---", columns.iter().map(|_| "---".to_owned()).collect());
    for name in capabilities {
        let cell = |told: &Vec<Value>| {
            told.iter().find(|told| told["capability"] == name).map_or_else(|| "–".to_owned(), cell)
        };
        row(name, doctors.iter().map(cell).collect());
    }
    let passed = match filter {
        [] => "live tests that passed".to_owned(),
        filter => format!("live tests that passed, of those named {}", filter.join(" or ")),
    };
    row(&passed, columns.iter().map(|column| column.passed.to_string()).collect());
    row("live tests left out", columns.iter().map(|column| column.skipped.to_string()).collect());
    Ok(out)
}

/// The hook of a capability, and its state where it is not all that it can be.
fn cell(told: &Value) -> String {
    let text = |key: &str| told[key].as_str().unwrap_or_default().replace('|', "\\|");
    match told["state"].as_str() {
        Some("full") => format!("`{}`", text("hook")),
        Some("attached") => format!("`{}` (attached)", text("hook")),
        Some("degraded") => format!("`{}`, in part: {}", text("hook"), text("reason")),
        _ => format!("none: {}", text("reason")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_capability_has_a_row_with_the_hook_of_each_kernel() {
        let column = |release: &str, doctor: &str| Column {
            release: release.to_owned(),
            passed: 7,
            skipped: 2,
            doctor: doctor.to_owned(),
        };
        let old = r#"[{"capability":"exec","hook":"tp","state":"full","reason":null}]"#;
        let new = r#"[{"capability":"exec","hook":"lsm","state":"degraded","reason":"a|b"},
            {"capability":"mounts","hook":"none","state":"missing","reason":"no hook"}]"#;
        let expected = "|  | 5.10 | 6.12 |\n| --- | --- | --- |\n\
            | exec | `tp` | `lsm`, in part: a\\|b |\n| mounts | – | none: no hook |\n\
            | live tests that passed | 7 | 7 |\n| live tests left out | 2 | 2 |\n";
        assert_eq!(table(&[column("5.10", old), column("6.12", new)], &[]).expect("good"), expected);
        assert!(table(&[column("5.10", "no json")], &[]).is_err());
        let filtered = table(&[column("5.10", old)], &["exec".to_owned()]).expect("good");
        assert!(filtered.contains("of those named exec | 7 |"), "{filtered}");
    }
}
