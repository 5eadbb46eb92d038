//! Tables in the handbook's pages that a task writes, between marks of a name.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::console;
use crate::workspace;

/// Puts a table into a page of `docs/`.
///
/// # Errors
/// The page has no such marks, or cannot be written.
pub(crate) fn write(page: &str, name: &str, table: &str) -> Result<()> {
    let (path, text) = load(page)?;
    let text = replaced(&text, name, table)
        .with_context(|| format!("{} has no place for the table: {:?}", path.display(), marks(name)))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    console::note(&format!("wrote {}", path.display()));
    Ok(())
}

/// The table of that name in a page of `docs/`.
///
/// # Errors
/// The page has no such marks, or cannot be read.
pub(crate) fn read(page: &str, name: &str) -> Result<String> {
    let (path, text) = load(page)?;
    let (begin, end) = marks(name);
    let table = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(table, _)| table);
    table.map(str::to_owned).with_context(|| format!("{} has no table {begin}", path.display()))
}

fn load(page: &str) -> Result<(PathBuf, String)> {
    let path = workspace::root().join("docs").join(page);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((path, text))
}

fn marks(name: &str) -> (String, String) {
    (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->\n"))
}

fn replaced(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = marks(name);
    let (head, rest) = text.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}{table}{end}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_of_the_name_is_replaced() {
        let page =
            "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\nkept\n<!-- y: end -->\n";
        let new = replaced(page, "x", "new\n").expect("it is there");
        assert_eq!(new, page.replace("old\n", "new\n"));
        assert_eq!(replaced(&new, "y", "").expect("it is there"), new.replace("kept\n", ""));
        assert_eq!(replaced(page, "z", "new\n"), None);
    }
}
