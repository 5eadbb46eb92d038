//! Who resumes what is suspended, on time, where the agent does not live to do it: the kernel ends a block by its clock,
//! but lets nobody go on who was stopped. It also ends what the agent had stopped to end it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::group::Group;
use super::journal::{Entry, Journal};
use super::stilled::Stilled;
use super::{ActionKind, ActionRecord, Outcome, clock};

/// The command of the program that is a keeper.
pub const COMMAND: &str = "keep-suspended";

/// The file that a keeper holds locked. Its number is that of the notes' format: an earlier version's keeper does not know how
/// to end what these say.
const LOCK: &str = "keeper-2.lock";

/// How long a keeper sleeps at most: another suspension may end earlier than those that it knows.
const NAP: Duration = Duration::from_secs(1);

/// The keeper that an agent has begun.
#[derive(Debug, Default)]
pub(super) struct Keeper(Option<Child>);

impl Keeper {
    /// Begins a keeper for what is noted in this folder, unless there is one.
    ///
    /// # Errors
    /// It cannot be begun.
    pub(super) fn ensure(&mut self, folder: &Path) -> io::Result<()> {
        if let Some(child) = &mut self.0
            && child.try_wait()?.is_none()
        {
            return Ok(());
        }
        // A keeper that ends looks once more after it has let go of its lock, so what was noted before this is seen.
        if lock(folder)?.is_none() {
            return Ok(());
        }
        let mut command = Command::new("/proc/self/exe");
        command.arg0("openclaw").arg(COMMAND).arg(std::path::absolute(folder)?);
        command.current_dir("/").env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: between fork and exec one system call is made: what is sent to the agent's session is not for it.
        unsafe {
            command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
        }
        self.0 = Some(command.spawn()?);
        Ok(())
    }
}

/// Brings to its end what is noted in a folder, each when its time is over, until nothing is.
///
/// # Errors
/// The folder cannot be used.
pub fn keep_suspended(folder: &Path) -> io::Result<()> {
    let journal = Journal::new(folder);
    loop {
        let Some(lock) = lock_with_patience(folder)? else { return Ok(()) };
        while let Some(nap) = end_what_is_over(&journal)? {
            std::thread::sleep(nap.min(NAP));
        }
        drop(lock);
        // Noted since, by somebody who saw that there is a keeper.
        if journal.read()?.is_empty() {
            return Ok(());
        }
    }
}

/// Takes back everything that is noted in a folder, without an agent: what was stopped goes on, also where it was to end.
///
/// # Errors
/// The folder cannot be read, or something not be taken back; the rest is.
pub(super) fn resume_all(folder: &Path) -> io::Result<Vec<ActionRecord>> {
    let journal = Journal::new(folder);
    let mut failed = None;
    let mut resumed = Vec::new();
    let stilled = Stilled::default();
    let entries = journal.read()?;
    let groups: Vec<Option<Group>> = entries.iter().map(|entry| entry.group(&stilled)).collect();
    for (entry, group) in entries.into_iter().zip(groups) {
        let resumed_it = group.map_or(Ok(()), Group::resume);
        match resumed_it.and_then(|()| journal.remove(&entry.record.id)) {
            Ok(_) => resumed.push(ActionRecord {
                outcome: Outcome::Undone,
                ended: Some(clock::wall()),
                ..entry.record
            }),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(resumed), Err)
}

/// How long until the next is over; none where nothing is noted.
fn end_what_is_over(journal: &Journal) -> io::Result<Option<Duration>> {
    let now = clock::since_boot();
    let (over, others): (Vec<Entry>, Vec<Entry>) =
        journal.read()?.into_iter().partition(|entry| entry.expiry <= now);
    // Who is in another suspension goes on standing still.
    let held = Stilled::default();
    let _others: Vec<Option<Group>> = others.iter().map(|entry| entry.group(&held)).collect();
    let end = |entry: &&Entry| {
        let Some(group) = entry.group(&held) else { return true };
        match entry.record.kind {
            // The agent would have, and did not live to do it.
            ActionKind::Kill => group.signal(Signal::KILL),
            _ => return group.resume().is_ok(),
        }
        true
    };
    let ended: Vec<&Entry> = over.iter().filter(end).collect();
    // In this order: what ends in between is done once more, rather than never. So is what cannot be removed.
    let removed = ended.iter().filter(|entry| journal.end(&entry.record.id).is_ok()).count();
    let next = others.iter().map(|entry| Duration::from_nanos(entry.expiry - now)).min();
    Ok(if removed < over.len() { Some(NAP) } else { next })
}

/// The lock, though an agent that looks for a keeper has it for a moment.
fn lock_with_patience(folder: &Path) -> io::Result<Option<File>> {
    for _ in 0..10 {
        if let Some(lock) = lock(folder)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(None)
}

/// The lock of keepers, where no other one has it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(folder.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
