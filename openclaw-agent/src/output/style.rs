//! Colours. They are written always; the stream takes them out where nobody can see them.

use anstyle::{AnsiColor, Color, Style};
use openclaw_detect::Severity;

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// What matters less: times, ids.
pub const DIM: Style = Style::new().dimmed();
/// What matters more: names, headings.
pub const BOLD: Style = Style::new().bold();
/// Good.
pub const GOOD: Style = colour(AnsiColor::Green);
/// Worth a look.
pub const WARN: Style = colour(AnsiColor::Yellow);
/// Bad.
pub const BAD: Style = colour(AnsiColor::Red);
/// Kinds of event.
pub const KIND: Style = colour(AnsiColor::Cyan);

/// The colour of a severity.
pub const fn severity(severity: Severity) -> Style {
    match severity {
        Severity::Info => DIM,
        Severity::Low => colour(AnsiColor::Blue),
        Severity::Medium => WARN,
        Severity::High => BAD,
        Severity::Critical => BAD.bold(),
    }
}
