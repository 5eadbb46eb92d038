//! The thread that reads files.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::file::sha256_of;
use super::{Answer, Request};

/// Starts the thread, which calls `ring` after each answer. It ends when nobody can ask any more.
pub(super) fn start(
    queue: usize,
    ring: impl Fn() + Send + 'static,
) -> io::Result<(SyncSender<Request>, Receiver<Answer>)> {
    let (requests, asked) = sync_channel(queue);
    // No more than are asked for.
    let (answer, answers) = channel();
    std::thread::Builder::new().name("openclaw-hash".into()).spawn(move || work(&asked, &answer, ring))?;
    Ok((requests, answers))
}

fn work(asked: &Receiver<Request>, answer: &Sender<Answer>, ring: impl Fn()) {
    yield_to_others();
    while let Ok(request) = asked.recv() {
        let sha256 = sha256_of(&request).map(Arc::from);
        let Request { id, version, settled, .. } = request;
        if answer.send(Answer { id, version, settled, sha256 }).is_err() {
            return;
        }
        ring();
    }
}

/// Has the thread run only when nothing else wants to.
fn yield_to_others() {
    let idle = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter is one `sched_param`; 0 is the thread itself.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const idle) } != 0 {
        let error = io::Error::last_os_error();
        tracing::warn!(%error, "programs are hashed at the priority of everything else");
    }
}
