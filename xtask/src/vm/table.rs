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

/// Where the table is.
const TABLE: (&str, &str) = ("kernels.md", "table");

/// The last two rows.
const TESTS: [&str; 2] = ["live tests that passed", "live tests left out"];

/// Writes the columns into the handbook's page, in place of those of the same kernels; `keep`: the others stay.
///
/// # Errors
/// A doctor said nothing that can be read, or the page cannot be written.
pub(crate) fn write(columns: &[Column], filter: &[String], keep: bool) -> Result<()> {
    let (page, name) = TABLE;
    let table = Table::of(columns, filter)?;
    let before = if keep { Table::parse(&page::read(page, name)?) } else { Table::default() };
    page::write(page, name, &table.with_others_of(&before).render())
}

/// A row for each capability, a column for each kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Table {
    kernels: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    fn of(columns: &[Column], filter: &[String]) -> Result<Self> {
        let doctors = columns
            .iter()
            .map(|column| {
                serde_json::from_str::<Vec<Value>>(&column.doctor)
                    .with_context(|| format!("the doctor on {} said: {}", column.release, column.doctor))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        for name in doctors.iter().flatten().filter_map(|told| told["capability"].as_str()) {
            if rows.iter().any(|(row, _)| row == name) {
                continue;
            }
            let cell = |told: &Vec<Value>| {
                told.iter().find(|told| told["capability"] == name).map_or_else(|| NONE.to_owned(), cell)
            };
            rows.push((name.to_owned(), doctors.iter().map(cell).collect()));
        }
        let of_those = match filter {
            [] => String::new(),
            filter => format!(", of those named {}", filter.join(" or ")),
        };
        let passed = columns.iter().map(|column| format!("{}{of_those}", column.passed));
        let skipped = columns.iter().map(|column| column.skipped.to_string());
        for (name, cells) in TESTS.into_iter().zip([passed.collect(), skipped.collect()]) {
            rows.push((name.to_owned(), cells));
        }
        Ok(Self { kernels: columns.iter().map(|column| column.release.clone()).collect(), rows })
    }

    /// Reads what [`Table::render`] has written.
    fn parse(text: &str) -> Self {
        let mut rows = text.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").map(str::to_owned);
            Some((cells.next()?, cells.collect::<Vec<_>>()))
        });
        let kernels = rows.next().map_or_else(Vec::new, |(_, kernels)| kernels);
        // Behind the line that parts the head from the rest.
        Self { kernels, rows: rows.skip(1).collect() }
    }

    /// The same with the columns that the other one has of other kernels, the oldest first.
    fn with_others_of(&self, other: &Table) -> Self {
        let own = self.kernels.iter().enumerate().map(|(at, release)| (release, self, at));
        let is_other =
            |release: &String| !self.kernels.iter().any(|kernel| series(kernel) == series(release));
        let others = other.kernels.iter().enumerate().filter(|(_, release)| is_other(release));
        let mut columns: Vec<_> = own.chain(others.map(|(at, release)| (release, other, at))).collect();
        columns.sort_by_key(|(release, ..)| series(release));
        let names = |table: &Table, are_tests: bool| -> Vec<String> {
            let rows = table.rows.iter().map(|(name, _)| name);
            rows.filter(|name| TESTS.contains(&name.as_str()) == are_tests).cloned().collect()
        };
        let mut rows = names(self, false);
        rows.extend(
            names(other, false).into_iter().filter(|name| !self.rows.iter().any(|(row, _)| row == name)),
        );
        rows.extend(names(self, true));
        let cell = |table: &Table, name: &str, at: usize| {
            let row = table.rows.iter().find(|(row, _)| row == name);
            row.and_then(|(_, cells)| cells.get(at)).map_or_else(|| NONE.to_owned(), Clone::clone)
        };
        let rows = rows.into_iter().map(|name| {
            let cells: Vec<_> = columns.iter().map(|(_, table, at)| cell(table, &name, *at)).collect();
            (name, cells)
        });
        // What a kernel had that is not run any more.
        let rows = rows.filter(|(_, cells)| cells.iter().any(|cell| cell != NONE)).collect();
        Table { kernels: columns.into_iter().map(|(release, ..)| release.clone()).collect(), rows }
    }

    /// The table in Markdown.
    fn render(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, cells: &[String]| {
            // Writing to a String does not fail.
            let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
        };
        row("", &self.kernels);
        row("---", &vec!["---".to_owned(); self.kernels.len()]);
        self.rows.iter().for_each(|(name, cells)| row(name, cells));
        out
    }
}

/// What a cell holds where there is nothing to say.
const NONE: &str = "–";

/// What a column's name says beside the release of a kernel that could have the BPF LSM active, and has not.
pub(crate) const WITHOUT_LSM: &str = " without the BPF LSM";

/// Likewise of the kernel of the machine around the guests.
pub(crate) const THIS_MACHINE: &str = " (this machine)";

/// Major and minor version of a release, and what else its column's name says.
fn series(release: &str) -> (u32, u32, bool, bool) {
    let mut numbers = release.split(['.', '-', ' ']).map(|number| number.parse().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major, minor, release.ends_with(WITHOUT_LSM), release.ends_with(THIS_MACHINE))
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

    fn column(release: &str, doctor: &str) -> Column {
        Column { release: release.to_owned(), passed: 7, skipped: 2, doctor: doctor.to_owned() }
    }

    #[test]
    fn each_capability_has_a_row_with_the_hook_of_each_kernel() {
        let old = r#"[{"capability":"exec","hook":"tp","state":"full","reason":null}]"#;
        let new = r#"[{"capability":"exec","hook":"lsm","state":"degraded","reason":"a|b"},
            {"capability":"mounts","hook":"none","state":"missing","reason":"no hook"}]"#;
        let expected = "|  | 5.10 | 6.12 |\n| --- | --- | --- |\n\
            | exec | `tp` | `lsm`, in part: a\\|b |\n| mounts | – | none: no hook |\n\
            | live tests that passed | 7 | 7 |\n| live tests left out | 2 | 2 |\n";
        let table = Table::of(&[column("5.10", old), column("6.12", new)], &[]).expect("good");
        assert_eq!(table.render(), expected);
        assert_eq!(Table::parse(expected), table);
        assert!(Table::of(&[column("5.10", "no json")], &[]).is_err());
        let filtered = Table::of(&[column("5.10", old)], &["exec".to_owned()]).expect("good");
        assert!(filtered.render().contains("| 7, of those named exec |"), "{filtered:?}");
    }

    #[test]
    fn columns_of_kernels_that_were_not_run_stay() {
        let doctor = |name: &str, hook: &str| {
            format!(r#"[{{"capability":"{name}","hook":"{hook}","state":"full","reason":null}}]"#)
        };
        let before = [column("5.10.1", &doctor("exec", "a")), column("6.12.1", &doctor("fork", "b"))];
        let before = Table::of(&before, &[]).expect("good");
        let now = [column("6.12.2", &doctor("exec", "c")), column("6.1.9", &doctor("exec", "d"))];
        let merged = Table::of(&now, &[]).expect("good").with_others_of(&before);
        assert_eq!(merged.kernels, ["5.10.1", "6.1.9", "6.12.2"]);
        let rows: Vec<_> = merged.rows.iter().map(|(name, cells)| (&**name, cells.join(" "))).collect();
        assert_eq!(
            rows,
            [
                ("exec", "`a` `d` `c`".to_owned()),
                (TESTS[0], "7 7 7".to_owned()),
                (TESTS[1], "2 2 2".to_owned()),
            ]
        );
    }
}
