//! Two numbers for each kernel program, as docs/programs.md has them, with the kernel, the compiler and the code that they are
//! of.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::toolchain::Toolchain;
use crate::{console, kernel, page, process};

/// The page.
const PAGE: &str = "programs.md";

/// The numbers, by program.
pub(super) type Rows = BTreeMap<String, (u64, u64)>;

/// What was found, or is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The kernel's release.
    kernel: String,
    /// The compiler.
    compiler: String,
    /// The checksum of the programs' code.
    code: String,
    /// The numbers.
    pub(super) rows: Rows,
}

impl Written {
    /// Numbers that were found on a kernel of that release.
    ///
    /// # Errors
    /// Where the compiler does not say what it is, or the programs are not built.
    pub(super) fn found(release: &str, toolchain: &Toolchain, rows: Rows) -> Result<Self> {
        Ok(Self { kernel: release.to_owned(), compiler: compiler(toolchain)?, code: kernel::code()?, rows })
    }

    /// Whether they may be compared with others: only on one kernel, and of one compiler.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.kernel, &self.compiler) == (&other.kernel, &other.compiler)
    }

    /// What they are of.
    pub(super) fn place(&self) -> String {
        format!("kernel {}, {}", self.kernel, self.compiler)
    }

    /// Whether they are of the code that is built; none where another compiler has built it.
    ///
    /// # Errors
    /// Where the compiler does not say what it is, or the programs are not built.
    pub(super) fn is_of_what_is_built(&self, toolchain: &Toolchain) -> Result<Option<bool>> {
        Ok(if compiler(toolchain)? == self.compiler { Some(kernel::code()? == self.code) } else { None })
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

    /// Writes down that they hold of the code of `now` too, where that is another.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn confirm(self, now: Self, table: &str, columns: [&str; 2]) -> Result<()> {
        if now.code == self.code {
            return Ok(());
        }
        console::note("none is higher, though the code is another: that is written down");
        Self { rows: self.rows, ..now }.write(table, columns)
    }

    /// The table in Markdown.
    pub(super) fn render(&self, [first, second]: [&str; 2]) -> String {
        let (place, code) = (self.place(), &self.code);
        let mut out =
            format!("{place}, code {code}:\n\n| program | {first} | {second} |\n| --- | --- | --- |\n");
        for (name, (first, second)) in &self.rows {
            // Writing to a String does not fail.
            let _ = writeln!(out, "| `{name}` | {first} | {second} |");
        }
        out
    }

    fn parse(table: &str) -> Option<Self> {
        let (place, rows) = table.split_once("\n\n")?;
        let (place, code) = place.strip_prefix("kernel ")?.strip_suffix(':')?.split_once(", code ")?;
        let (kernel, compiler) = place.split_once(", ")?;
        let rows = rows.lines().skip(2).map(|row| {
            let mut cells = row.trim_matches('|').split('|').map(str::trim);
            let name = cells.next()?.trim_matches('`').to_owned();
            Some((name, (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?)))
        });
        Some(Self {
            kernel: kernel.to_owned(),
            compiler: compiler.to_owned(),
            code: code.to_owned(),
            rows: rows.collect::<Option<_>>()?,
        })
    }
}

/// What the compiler of the kernel programs calls itself.
fn compiler(toolchain: &Toolchain) -> Result<String> {
    let mut compiler = Command::new(&toolchain.rustc);
    process::forget_outer_cargo(&mut compiler);
    Ok(process::capture(compiler.arg("--version"))?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again() {
        let rows = Rows::from([("exit".to_owned(), (10, 12)), ("fork".to_owned(), (20, 40))]);
        let [kernel, compiler, code] = ["6.18", "rustc 1.97 (a, b)", "01234567"].map(str::to_owned);
        let written = Written { kernel, compiler, code, rows };
        assert_eq!(Written::parse(&written.render(["a", "b"])), Some(written));
        assert_eq!(Written::parse(""), None);
    }
}
