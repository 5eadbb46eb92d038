//! What is told while a task runs: steps with their time, notes, errors. All of it on stderr.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Without a terminal a step that takes long says so this often.
const REMINDER: Duration = Duration::from_secs(30);

/// The looks that are used.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Look {
    /// Something failed.
    Bad,
    /// A heading.
    Head,
    /// Of less weight.
    Dim,
}

/// Whether stderr shows colours.
fn coloured() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// `text` in a look, or as it is where colours are not shown.
pub(crate) fn paint(look: Look, text: &str) -> String {
    if !coloured() {
        return text.to_owned();
    }
    let code = match look {
        Look::Bad => "1;31",
        Look::Head => "1;36",
        Look::Dim => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// One line of information.
pub(crate) fn note(text: &str) {
    eprintln!("    {text}");
}

/// An error with its causes, a line each.
pub(crate) fn error(error: &anyhow::Error) {
    eprintln!("{} {error}", paint(Look::Bad, "error:"));
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// A duration as people read it: `0.4 s`, `12 s`, `2 min 05 s`.
pub(crate) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else if seconds >= 10 {
        format!("{seconds} s")
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// One step of a task, from its heading to the time that it took.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    started: Instant,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Step {
    /// Begins a step whose commands write to the terminal themselves.
    pub(crate) fn begin(name: &str) -> Self {
        eprintln!("{} {name}", paint(Look::Head, "==>"));
        Self { name: name.to_owned(), started: Instant::now(), ticker: None }
    }

    /// Begins a step that is silent while it runs: its time is shown as it passes.
    pub(crate) fn begin_silent(name: &str) -> Self {
        let mut step = Self::begin(name);
        let (stop, stopped) = channel::<()>();
        let terminal = std::io::stderr().is_terminal();
        let (name, started) = (step.name.clone(), step.started);
        let ticker = std::thread::spawn(move || {
            let interval = if terminal { Duration::from_secs(1) } else { REMINDER };
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let time = elapsed(started.elapsed());
                if terminal {
                    eprint!("\r    {} ", paint(Look::Dim, &time));
                    // A terminal that is gone is no reason to stop the work.
                    let _ = std::io::stderr().flush();
                } else {
                    eprintln!("    still at it after {time}: {name}");
                }
            }
            if terminal {
                eprint!("\r\x1b[K");
            }
        });
        step.ticker = Some((stop, ticker));
        step
    }

    fn stop_ticker(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            drop(stop);
            // A ticker that panicked has nothing to tell but its own panic, which it has printed.
            let _ = ticker.join();
        }
    }

    /// Ends the step and says how long it took, and `outcome` where there is one.
    pub(crate) fn done(mut self, outcome: &str) {
        self.stop_ticker();
        let time = elapsed(self.started.elapsed());
        let separator = if outcome.is_empty() { "" } else { ": " };
        eprintln!("    {}{separator}{outcome}", paint(Look::Dim, &format!("done in {time}")));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.stop_ticker();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_a_unit_that_fits_their_size() {
        assert_eq!(elapsed(Duration::from_millis(420)), "0.4 s");
        assert_eq!(elapsed(Duration::from_secs(12)), "12 s");
        assert_eq!(elapsed(Duration::from_secs(125)), "2 min 05 s");
    }
}
