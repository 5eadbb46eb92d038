//! Aligned columns.

use std::fmt::Write as _;

/// Rows of cells that are shown in columns as wide as their widest cell.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The rows, each behind two spaces. Cells may hold colours.
    pub(super) fn text(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                match widths.get_mut(column) {
                    Some(width) => *width = (*width).max(visible(cell)),
                    None => widths.push(visible(cell)),
                }
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                // Writing to a String cannot fail.
                let _ = write!(line, "  {cell}{}", " ".repeat(width - visible(cell)));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// How many characters are seen.
fn visible(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_do_not_count_for_the_width() {
        let mut table = Table::default();
        table.row(["\x1b[31mab\x1b[0m".to_owned(), "x".to_owned()]);
        table.row(["abcd".to_owned(), "é".to_owned()]);
        assert_eq!(table.text(), "  \x1b[31mab\x1b[0m    x\n  abcd  é\n");
    }
}
