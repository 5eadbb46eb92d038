//! Lines to stdout.

use std::io::{self, BufWriter, Write as _};

use anstream::AutoStream;
use openclaw_detect::{Event, Finding};

use super::{Format, write_action, write_event, write_finding};
use crate::respond::action::ActionRecord;

/// Writes lines to stdout in one format; colours only where somebody sees them, and not where `NO_COLOR` is set.
///
/// Lines are collected: [`Printer::flush`] when there is nothing more to write at the moment.
#[derive(Debug)]
pub struct Printer {
    format: Format,
    out: BufWriter<AutoStream<io::Stdout>>,
    line: String,
}

impl Printer {
    /// A printer to stdout.
    pub fn stdout(format: Format) -> Printer {
        Printer { format, out: BufWriter::new(AutoStream::auto(io::stdout())), line: String::new() }
    }

    /// Writes an event.
    ///
    /// # Errors
    /// Stdout is closed or full.
    pub fn event(&mut self, event: &dyn Event) -> io::Result<()> {
        self.line.clear();
        write_event(event, self.format, &mut self.line);
        self.end_line()
    }

    /// Writes a finding with what was answered so far.
    ///
    /// # Errors
    /// Stdout is closed or full.
    pub fn finding(&mut self, finding: &Finding, actions: &[ActionRecord]) -> io::Result<()> {
        self.line.clear();
        write_finding(finding, actions, self.format, &mut self.line);
        self.end_line()
    }

    /// Writes an action.
    ///
    /// # Errors
    /// Stdout is closed or full.
    pub fn action(&mut self, action: &ActionRecord) -> io::Result<()> {
        self.line.clear();
        write_action(action, self.format, &mut self.line);
        self.end_line()
    }

    /// Writes a line that is already made.
    ///
    /// # Errors
    /// Stdout is closed or full.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.line.clear();
        self.line.push_str(line);
        self.end_line()
    }

    /// Hands on what was collected.
    ///
    /// # Errors
    /// Stdout is closed or full.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.line.push('\n');
        self.out.write_all(self.line.as_bytes())
    }
}
