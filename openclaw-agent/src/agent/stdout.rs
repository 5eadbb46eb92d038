//! What the agent prints, on a thread of its own: a terminal that does not scroll holds nobody up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::TrySendError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openclaw_detect::{Event, Finding};

use crate::output::{Format, Printer, write_event};
use crate::queue::{Receiver, Sender, bounded};
use crate::respond::ActionRecord;

/// How long a stopping agent waits for the reader.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many lines wait for the reader at most.
const QUEUE: usize = 65_536;

enum Line {
    Text(String),
    Finding(Box<(Finding, Vec<ActionRecord>)>),
    Action(Box<ActionRecord>),
    Finish,
}

/// The way to stdout. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Stdout {
    format: Format,
    lines: Sender<Line>,
    lost: Arc<AtomicU64>,
}

/// The thread behind it.
#[derive(Debug)]
pub(super) struct StdoutThread {
    thread: JoinHandle<()>,
    lines: Sender<Line>,
}

impl Stdout {
    /// Starts the thread.
    pub(super) fn start(format: Format) -> io::Result<(Stdout, StdoutThread)> {
        let (lines, queue) = bounded(QUEUE);
        let thread = std::thread::Builder::new()
            .name("openclaw-stdout".into())
            .spawn(move || print_all(Printer::stdout(format), &queue))?;
        let stdout = Stdout { format, lines: lines.clone(), lost: Arc::default() };
        Ok((stdout, StdoutThread { thread, lines }))
    }

    pub(super) fn event(&self, event: &dyn Event) {
        let mut line = String::new();
        write_event(event, self.format, &mut line);
        self.send(Line::Text(line));
    }

    pub(super) fn finding(&self, finding: Finding, actions: Vec<ActionRecord>) {
        self.send(Line::Finding(Box::new((finding, actions))));
    }

    pub(super) fn action(&self, action: ActionRecord) {
        self.send(Line::Action(Box::new(action)));
    }

    /// How many lines wait for the reader.
    pub(super) fn waiting(&self) -> u64 {
        self.lines.waiting()
    }

    /// Lines that were not printed since the reader was too slow.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    fn send(&self, line: Line) {
        match self.lines.try_send(line) {
            Ok(()) => {}
            // Full: the reader is slow. Disconnected: it has gone, and nobody misses the line.
            Err(TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

impl StdoutThread {
    /// Prints what is queued, and ends. A reader that takes nothing for some seconds is not waited for.
    pub(super) fn finish(self) {
        let deadline = Instant::now() + PATIENCE;
        let mut asked = false;
        while !self.thread.is_finished() && Instant::now() < deadline {
            // Disconnected: the thread has ended already, since stdout was closed.
            asked = asked || !matches!(self.lines.try_send(Line::Finish), Err(TrySendError::Full(_)));
            std::thread::sleep(Duration::from_millis(5));
        }
        if !self.thread.is_finished() {
            tracing::error!("lines were not printed: nobody reads the standard output");
        }
    }
}

fn print_all(mut printer: Printer, queue: &Receiver<Line>) {
    while let Ok(line) = queue.recv() {
        let mut next = Some(line);
        while let Some(line) = next {
            let printed = match line {
                Line::Text(line) => printer.line(&line),
                Line::Finding(finding) => printer.finding(&finding.0, &finding.1),
                Line::Action(action) => printer.action(&action),
                Line::Finish => {
                    let _ = printer.flush();
                    return;
                }
            };
            if printed.is_err() {
                // Stdout is closed: the agent goes on without it.
                return;
            }
            next = queue.try_recv().ok();
        }
        if printer.flush().is_err() {
            return;
        }
    }
}
