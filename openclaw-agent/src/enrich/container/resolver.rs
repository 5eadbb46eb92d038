//! The thread that reads what runtimes say of containers, so that the sensor's thread does not wait for disks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::state::{self, Roots};
use super::{Container, Details};

/// Containers that wait to be looked up, at most.
const QUEUE: usize = 1024;

/// After how long it is looked again for a container that is not in the state yet, each time. Then it is given
/// up: what is known is what its control group says.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1500),
];

/// How long containers that are older than the agent are waited for at its start.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is known of a container.
#[derive(Debug)]
pub struct Answer {
    /// Which one.
    pub container: Arc<Container>,
    /// What its runtime says; nothing where it says nothing.
    pub details: Details,
}

/// A container to look up.
struct Question {
    container: Arc<Container>,
    /// Whether it is looked for again, since its state may be on the way.
    again: bool,
}

/// Asks the thread, and takes its answers. The thread ends when this is dropped.
#[derive(Debug)]
pub struct Resolver {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
    /// Readable since an answer has come.
    bell: Arc<OwnedFd>,
    roots: Roots,
    lost: u64,
}

impl Resolver {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no room for a thread or a descriptor.
    pub fn start(roots: Roots) -> io::Result<Resolver> {
        let (questions, asked) = sync_channel(QUEUE);
        let (answer, answers) = channel();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let worker =
            Worker { roots: roots.clone(), asked, answer, bell: Arc::clone(&bell), waiting: Vec::new() };
        std::thread::Builder::new().name("openclaw-containers".into()).spawn(move || worker.run())?;
        Ok(Resolver { questions, answers, bell, roots, lost: 0 })
    }

    /// What to poll: it is readable from an answer on until [`Resolver::hush`].
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Makes the bell silent, before the answers are taken.
    pub fn hush(&self) {
        // An error says that it is silent.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    /// The folders in which it looks.
    pub fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Asks about a container that has just been seen.
    pub fn ask(&mut self, container: Arc<Container>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.questions.try_send(Question { container, again: true })
        {
            self.lost += 1;
        }
    }

    /// Asks about containers that are older than the agent, whose state is there. Waits for the answers, but not
    /// for ever.
    pub fn ask_and_wait(&mut self, containers: Vec<Arc<Container>>) {
        let end = Instant::now() + PATIENCE;
        let mut left = containers.len();
        for container in containers {
            if self.questions.send(Question { container, again: false }).is_err() {
                return;
            }
        }
        while left > 0 {
            match self.answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Answer { container, details }) => container.describe(details),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            };
            left -= 1;
        }
    }

    /// An answer that has come.
    pub fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    /// How many containers could not be asked about, as too many came at once.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

/// The thread's side.
struct Worker {
    roots: Roots,
    asked: Receiver<Question>,
    answer: Sender<Answer>,
    bell: Arc<OwnedFd>,
    /// Those that were not there when it looked: when to look again, for which time.
    waiting: Vec<(Instant, usize, Arc<Container>)>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            let next = self.waiting.iter().map(|(due, ..)| due.saturating_duration_since(now)).min();
            match self.asked.recv_timeout(next.unwrap_or(Duration::MAX)) {
                Ok(Question { container, again }) => {
                    // Where a storm of containers has no state, the later ones get one look.
                    let again = again && self.waiting.len() < QUEUE;
                    self.look(container, if again { 0 } else { AGAIN.len() });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_again();
        }
    }

    fn look_again(&mut self) {
        let now = Instant::now();
        let due = self.waiting.extract_if(.., |(due, ..)| *due <= now).collect::<Vec<_>>();
        due.into_iter().for_each(|(_, time, container)| self.look(container, time));
    }

    /// Looks for the `time`th time.
    fn look(&mut self, container: Arc<Container>, time: usize) {
        match (state::read(&self.roots, &container), AGAIN.get(time)) {
            (None, Some(&later)) => self.waiting.push((Instant::now() + later, time + 1, container)),
            (details, _) => {
                // An error says that the agent is stopping.
                let _ = self.answer.send(Answer { container, details: details.unwrap_or_default() });
                // One that cannot be rung any louder is ringing.
                let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(folder: &std::path::Path) -> Roots {
        let none = Vec::new;
        Roots { docker: none(), containerd: none(), storage: none(), runc: vec![folder.to_owned()] }
    }

    fn answer(resolver: &Resolver) -> Answer {
        resolver.answers.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn a_container_whose_state_is_written_after_its_process_was_seen_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut resolver = Resolver::start(roots(folder.path())).unwrap();
        let container = Arc::new(Container::of_cgroup("/system.slice/runc-box.scope").unwrap());
        resolver.ask(Arc::clone(&container));
        std::thread::sleep(Duration::from_millis(5));
        std::fs::create_dir(folder.path().join("box")).unwrap();
        std::fs::write(folder.path().join("box/state.json"), r#"{"id":"box","config":{}}"#).unwrap();
        assert_eq!(answer(&resolver).details.name, "box");
    }

    #[test]
    fn a_container_without_any_state_is_given_up_with_what_its_path_says() {
        let folder = tempfile::tempdir().unwrap();
        let mut resolver = Resolver::start(roots(folder.path())).unwrap();
        let container = Arc::new(Container::of_cgroup("/system.slice/runc-box.scope").unwrap());
        resolver.ask(Arc::clone(&container));
        let answer = answer(&resolver);
        assert!(Arc::ptr_eq(&answer.container, &container));
        assert_eq!(answer.details, Details::default());
    }

    #[test]
    fn containers_that_are_older_than_the_agent_are_known_when_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let mut resolver = Resolver::start(roots(folder.path())).unwrap();
        let container = Arc::new(Container::of_cgroup("/lxc/web").unwrap());
        resolver.ask_and_wait(vec![Arc::clone(&container)]);
        assert_eq!(container.details().unwrap().name, "web");
        assert!(resolver.answer().is_none());
    }
}
