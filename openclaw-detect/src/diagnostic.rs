//! What is wrong in a rule file, and where: shown as `rustc` shows it.

use std::fmt;

/// How bad a mistake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// It may not be what was meant; the rules can run.
    Warning,
    /// The rules cannot run.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Warning => "warning",
            Level::Error => "error",
        })
    }
}

/// Bytes of a line that are shown before a place; behind it, twice as many.
const SHOWN: usize = 120;

/// A mistake at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// The file, or what else the text came from.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected, or the nearest right name.
    pub help: Option<String>,
    /// The line as it is written, of a long one the part around the place; empty where it cannot be shown.
    pub source: String,
    /// The characters of `source` before the place.
    pub indent: usize,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.to_string();
        let margin = " ".repeat(line.len());
        writeln!(f, "{}: {}", self.level, self.message)?;
        write!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        if !self.source.is_empty() {
            write!(f, "\n{margin} |\n{line} | {}\n", self.source)?;
            // A tab before the caret keeps its width.
            let before = self.source.chars().take(self.indent);
            let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            write!(f, "{margin} | {indent}{}", "^".repeat(self.length))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{margin} = help: {help}")?;
        }
        Ok(())
    }
}

/// All the mistakes of a set of rule files, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// The mistakes.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|d| d.level == Level::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.0.len() - self.errors()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A range of bytes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// The first byte.
    pub(crate) start: usize,
    /// The byte after the last.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// The same range of a text before which there are so many bytes more.
    pub(crate) const fn behind(self, bytes: usize) -> Span {
        Span { start: self.start + bytes, end: self.end + bytes }
    }

    /// From the beginning of this to the end of `other`.
    pub(crate) const fn to(self, other: Span) -> Span {
        Span { start: self.start, end: other.end }
    }
}

/// A mistake in a condition, before it is known where the condition stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) level: Level,
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Self {
        Problem { level: Level::Error, span, message: message.into(), help: None }
    }

    pub(crate) fn warning(span: Span, message: impl Into<String>) -> Self {
        Problem { level: Level::Warning, ..Problem::error(span, message) }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.level == Level::Error
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// The mistake at its place in `text`, which is the whole of `file`.
    pub(crate) fn in_file(self, file: &str, text: &str) -> Diagnostic {
        self.at(file, text, &Lines::of(text))
    }

    /// The mistake at its place in `text`, which is the whole of `file` and has these lines.
    pub(crate) fn at(self, file: &str, text: &str, lines: &Lines) -> Diagnostic {
        let start = floor(text, self.span.start);
        let end = floor(text, self.span.end).max(start);
        let line = lines.line(Span::new(start, start));
        let (line_start, line_end) = lines.range(line, text);
        let shown_start = floor(text, start.saturating_sub(SHOWN)).max(line_start);
        let shown_end = floor(text, start + 2 * SHOWN).min(line_end);
        let source = text[shown_start..shown_end].trim_end_matches('\r');
        Diagnostic {
            level: self.level,
            file: file.to_owned(),
            line,
            column: text[line_start..start].chars().count() + 1,
            length: text[start..end.min(shown_end).max(start)].chars().count().max(1),
            message: self.message,
            help: self.help,
            source: source.to_owned(),
            indent: text[shown_start..start].chars().count(),
        }
    }
}

/// Where the lines of a text begin, to find the line of many places.
#[derive(Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Lines(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Where a line, from 1, begins and ends in its text.
    fn range(&self, line: usize, text: &str) -> (usize, usize) {
        let end = self.0.get(line).map_or(text.len(), |next| next - 1);
        (self.0[line - 1], end)
    }

    /// The line, from 1, in which a place begins.
    pub(crate) fn line(&self, place: Span) -> usize {
        self.0.partition_point(|begin| *begin <= place.start)
    }
}

/// The greatest character boundary of `text` that is not behind `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_behind_each_end_of_one() {
        let text = "one\n\ntwo\nthree";
        let lines = Lines::of(text);
        for at in 0..=text.len() {
            assert_eq!(lines.line(Span::new(at, at)), text[..at].matches('\n').count() + 1, "{at}");
        }
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_and_a_caret_below_it() {
        let text = "a\n\té process.nmae == 1\n";
        let at = text.find("process").unwrap();
        let shown = Problem::error(Span::new(at, at + 12), "unknown field `process.nmae`")
            .help("did you mean `process.name`?")
            .in_file("rules/x.yml", text)
            .to_string();
        assert_eq!(
            shown,
            "error: unknown field `process.nmae`\n --> rules/x.yml:2:4\n  |\n2 | \té process.nmae == 1\n  | \t  ^^^^^^^^^^^^\n  = help: did you mean `process.name`?"
        );
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{}é here {}", "a".repeat(1000), "b".repeat(100_000));
        let at = text.find("here").unwrap();
        let shown = Problem::error(Span::new(at, at + 4), "x").in_file("f", &text);
        assert_eq!((shown.line, shown.column, shown.length), (1, 1003, 4));
        assert!(shown.source.len() < 400 && shown.source.contains(" here b"), "{}", shown.source);
        let caret = shown.to_string().lines().last().unwrap().find('^').unwrap() - "  | ".len();
        assert_eq!(shown.source.chars().skip(caret).take(4).collect::<String>(), "here");
    }

    #[test]
    fn a_place_beyond_the_text_is_shown_at_its_end() {
        let shown = Problem::error(Span::new(99, 120), "x").in_file("f", "ab");
        assert_eq!((shown.line, shown.column, shown.length), (1, 3, 1));
    }
}
