//! Two numbers for each kernel program, as docs/programs.md has them, with the kernel and the compiler that they are of.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::toolchain::Toolchain;
use crate::{page, process};

/// The page.
const PAGE: &str = "programs.md";

/// The numbers, by program.
pub(super) type Rows = BTreeMap<String, (u64, u64)>;

/// What was found, or is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The kernel and the compiler.
    pub(super) place: String,
    /// The numbers.
    pub(super) rows: Rows,
}

impl Written {
    /// Numbers that were found on a kernel of that release.
    ///
    /// # Errors
    /// Where the compiler does not say what it is.
    pub(super) fn found(release: &str, toolchain: &Toolchain, rows: Rows) -> Result<Self> {
        let mut compiler = Command::new(&toolchain.rustc);
        process::forget_outer_cargo(&mut compiler);
        let compiler = process::capture(compiler.arg("--version"))?;
        Ok(Self { place: format!("kernel {release}, {}", compiler.trim()), rows })
    }

    /// The page's table of that name.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn read(table: &str) -> Result<Self> {
        Self::parse(&page::read(PAGE, table)?)
            .with_context(|| format!("docs/{PAGE} has no numbers yet: write them by --write"))
    }

    /// Puts them into the page, under the names of the two columns.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(&self, table: &str, columns: [&str; 2]) -> Result<()> {
        page::write(PAGE, table, &self.render(columns))
    }

    /// The table in Markdown.
    pub(super) fn render(&self, [first, second]: [&str; 2]) -> String {
        let mut out = format!("{}:\n\n| program | {first} | {second} |\n| --- | --- | --- |\n", self.place);
        for (name, (first, second)) in &self.rows {
            // Writing to a String does not fail.
            let _ = writeln!(out, "| `{name}` | {first} | {second} |");
        }
        out
    }

    fn parse(table: &str) -> Option<Self> {
        let (place, rows) = table.split_once("\n\n")?;
        let rows = rows.lines().skip(2).map(|row| {
            let mut cells = row.trim_matches('|').split('|').map(str::trim);
            let name = cells.next()?.trim_matches('`').to_owned();
            Some((name, (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?)))
        });
        Some(Self { place: place.trim_end_matches(':').to_owned(), rows: rows.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let rows = Rows::from([("exit".to_owned(), (10, 12)), ("fork".to_owned(), (20, 40))]);
        let written = Written { place: "kernel 6.18, rustc 1.97".to_owned(), rows };
        assert_eq!(Written::parse(&written.render(["a", "b"])), Some(written));
        assert_eq!(Written::parse(""), None);
    }
}
