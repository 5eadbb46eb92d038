//! What other threads ask of the sensor's thread, and how they wake it for that.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use openclaw_detect::{Engine, ProcessId};
use rustix::event::{EventfdFlags, eventfd};

use super::thread::Remembered;

/// A question to the thread.
#[derive(Debug)]
pub(super) enum Question {
    /// Which processes descend from this one, whose start need be right but for the clock tick?
    Descendants { of: ProcessId, answer: SyncSender<Vec<ProcessId>> },
    /// Run these rules from now on, if that is still wanted. The answer is the engine before, so that it ends elsewhere.
    Replace { engine: Box<Engine>, wanted: Wanted, answer: SyncSender<Box<Engine>> },
    /// What do the rules remember, and how far have logs been read?
    Remembered { answer: SyncSender<Remembered> },
}

/// Whether something is still wanted: who asked and who is asked decide it once, and agree on it.
#[derive(Debug, Clone)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    fn new() -> Self {
        Wanted(Arc::new(AtomicBool::new(true)))
    }

    /// Decides it. Whether nobody had: the thread carries it out then, and who asked gives it up.
    pub(super) fn decide(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// Asks the thread about the process table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Processes(Asker);

impl Processes {
    /// The processes that descend from this one, which may have ended a moment ago, through ancestors that have ended too.
    /// Its start need be right but for the clock tick. None where the thread does not answer in time.
    pub fn descendants(&self, of: ProcessId) -> Vec<ProcessId> {
        /// The thread looks for questions between its batches.
        const PATIENCE: Duration = Duration::from_secs(1);
        let (answer, answered) = sync_channel(1);
        if !self.0.ask(Question::Descendants { of, answer }) {
            return Vec::new();
        }
        answered.recv_timeout(PATIENCE).unwrap_or_default()
    }
}

/// Changes the thread's rules, and asks what they remember. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engines {
    asker: Asker,
    /// How long the thread may take, which looks for questions between its batches.
    patience: Duration,
}

impl Engines {
    /// Has the thread go on with another engine, which takes over what the one before knows. Whether it does: what it
    /// has not begun in time it does not do later.
    pub fn replace(&self, engine: Engine) -> bool {
        let (answer, answered) = sync_channel(1);
        let wanted = Wanted::new();
        let question = Question::Replace { engine: Box::new(engine), wanted: wanted.clone(), answer };
        if !self.asker.ask(question) {
            return false;
        }
        match answered.recv_timeout(self.patience) {
            Ok(_before) => true,
            // It may have begun meanwhile, and ends then, unless the thread does.
            Err(_) => !wanted.decide() && answered.recv().is_ok(),
        }
    }

    /// What the rules remember and how far logs have been read; none where the thread does not answer in time.
    pub fn remembered(&self) -> Option<Remembered> {
        let (answer, answered) = sync_channel(1);
        let asked = self.asker.ask(Question::Remembered { answer });
        asked.then(|| answered.recv_timeout(self.patience).ok())?
    }
}

/// Puts a question to the thread, and wakes it.
#[derive(Debug, Clone)]
struct Asker {
    questions: Sender<Question>,
    bell: Bell,
}

impl Asker {
    /// Whether the thread is there to take it.
    fn ask(&self, question: Question) -> bool {
        let asked = self.questions.send(question).is_ok();
        self.bell.ring();
        asked
    }
}

/// Wakes the thread. Each ring does; it need not be made silent.
#[derive(Debug, Clone)]
pub(super) struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Rings.
    pub(super) fn ring(&self) {
        // It is refused after 2^64 rings.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Questions on their way to the thread.
#[derive(Debug)]
pub struct Questions {
    asked: Receiver<Question>,
    pub(super) bell: Bell,
}

impl Questions {
    /// The next that was asked.
    pub(super) fn next(&self) -> Option<Question> {
        self.asked.try_recv().ok()
    }
}

/// The ways to ask, and what [`start`](super::start) is to be given for it.
///
/// # Errors
/// When the system has no room for a descriptor.
pub fn questions() -> io::Result<(Processes, Engines, Questions)> {
    let (questions, asked) = channel();
    let bell = Bell(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
    let asker = Asker { questions, bell: bell.clone() };
    let engines = Engines { asker: asker.clone(), patience: Duration::from_secs(10) };
    Ok((Processes(asker), engines, Questions { asked, bell }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_were_given_up_do_not_run_later_and_those_that_were_begun_are_waited_for() {
        let (_, mut engines, Questions { asked, .. }) = questions().unwrap();
        engines.patience = Duration::from_millis(10);
        let engine = || Engine::new(openclaw_detect::RuleSet::default());
        assert!(!engines.replace(engine()), "nobody takes the question");
        let Ok(Question::Replace { wanted, .. }) = asked.try_recv() else { panic!() };
        assert!(!wanted.decide(), "it was given up");
        let thread = std::thread::spawn(move || {
            let Ok(Question::Replace { engine, wanted, answer }) = asked.recv() else { panic!() };
            assert!(wanted.decide());
            // Longer than anybody has patience for.
            std::thread::sleep(Duration::from_millis(200));
            answer.try_send(engine).unwrap();
        });
        engines.patience = Duration::from_millis(100);
        assert!(engines.replace(engine()), "it was begun in time");
        thread.join().unwrap();
    }
}
