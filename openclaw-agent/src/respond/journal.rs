//! What is being done to processes, on disk before it is begun: an agent that is killed in between leaves nothing half
//! done, and a process that stands still resumes on time whatever becomes of the agent.
//!
//! One file for each answer, in a folder of memory (`/run`): what a reboot ends is not to be kept beyond it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use openclaw_detect::Timestamp;
use serde::{Deserialize, Serialize};

use super::group::{Group, Member};
use super::stilled::Stilled;
use super::{ActionKind, ActionRecord, Target};

/// What the names of entries end with.
const NOTED: &str = "json";

/// The same of those that ended while there was no agent.
const ENDED: &str = "ended";

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    folder: PathBuf,
}

/// What is kept of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) record: ActionRecord,
    /// The container, where all of it is meant: the path of its control group.
    pub(super) container: Option<String>,
    /// Whether that was frozen before, where it is by this answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    was_frozen: Option<bool>,
    /// The processes that were found by then.
    pub(super) members: Vec<Member>,
    /// When it ends, in nanoseconds since boot; of what ends processes, when that is to be done by somebody else.
    pub(super) expiry: u64,
    /// The boot that this is of: in another one the numbers are those of others.
    boot: String,
}

impl Entry {
    pub(super) fn new(record: &ActionRecord, group: &Group, expiry: u64) -> Self {
        Entry {
            record: record.clone(),
            container: group.container().map(str::to_owned),
            was_frozen: group.was_frozen(),
            members: group.members(),
            expiry,
            boot: boot(),
        }
    }

    /// Its processes that still live.
    pub(super) fn group(&self, stilled: &Stilled) -> Option<Group> {
        let Target::Process { id, .. } = self.record.target else { return None };
        let scope = self.record.scope.unwrap_or_default();
        let container = self.container.clone();
        Some(Group::of(scope, id, container, self.was_frozen, &self.members, stilled.clone()))
    }
}

/// The id of this boot.
fn boot() -> String {
    static BOOT: OnceLock<String> = OnceLock::new();
    let read = || fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    BOOT.get_or_init(read).clone()
}

impl Journal {
    pub(super) fn new(folder: &Path) -> Self {
        Journal { folder: folder.to_owned() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes an entry, or writes it anew.
    ///
    /// # Errors
    /// The folder is not to be trusted, or takes nothing more.
    pub(super) fn write(&self, entry: &Entry) -> io::Result<()> {
        replace(&self.path(&entry.record.id), &serde_json::to_vec(entry)?)
    }

    /// Whether an entry is there.
    pub(super) fn has(&self, id: &str) -> bool {
        // What cannot be looked at is not gone.
        self.path(id).try_exists().unwrap_or(true)
    }

    /// Forgets an entry, also one that is kept as ended. Whether it was there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn remove(&self, id: &str) -> io::Result<bool> {
        let was_there = is_there(fs::remove_file(self.path(id)))?;
        // In this order: what a keeper ends meanwhile is not missed.
        is_there(fs::remove_file(self.ended_path(id)))?;
        Ok(was_there)
    }

    /// Forgets that an entry ended while there was no agent.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn forget_end(&self, id: &str) -> io::Result<()> {
        is_there(fs::remove_file(self.ended_path(id))).map(drop)
    }

    /// Keeps of an entry that it has ended just now, for the next agent to tell of; nothing of one that is forgotten.
    ///
    /// # Errors
    /// It cannot be kept so.
    pub(super) fn end(&self, id: &str) -> io::Result<()> {
        is_there(fs::rename(self.path(id), self.ended_path(id))).map(drop)
    }

    /// Every entry, the oldest first. What cannot be read is left where it is, and said.
    ///
    /// # Errors
    /// The folder is not to be trusted, or cannot be read.
    pub(super) fn read(&self) -> io::Result<Vec<Entry>> {
        Ok(self.read_all(NOTED)?.into_iter().map(|(_, entry)| entry).collect())
    }

    /// The records of entries that ended while there was no agent, and when.
    ///
    /// # Errors
    /// As those of [`Journal::read`].
    pub(super) fn ended(&self) -> io::Result<Vec<(ActionRecord, Timestamp)>> {
        let entries = self.read_all(ENDED)?.into_iter();
        // Its name was changed then, and nothing since. Files have the time of the kernel's last tick, which can be
        // before what ended it.
        let when = |path: &Path, record: &ActionRecord| {
            let changed = changed(&fs::metadata(path).ok()?);
            Some(record.expires.map_or(changed, |expires| changed.max(expires)))
        };
        let ended = entries.filter_map(|(path, entry)| Some((when(&path, &entry.record)?, entry.record)));
        Ok(ended.map(|(when, record)| (record, when)).collect())
    }

    /// The entries whose files' names end so.
    fn read_all(&self, extension: &str) -> io::Result<Vec<(PathBuf, Entry)>> {
        match trusted(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            trusted => trusted?,
        }
        let mut names: Vec<PathBuf> =
            fs::read_dir(&self.folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.retain(|path| is_entry(path, extension));
        names.sort();
        let read = |path: &PathBuf| match fs::read(path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(entry)) => Some((path.clone(), entry)),
            // It was removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("what {} says of an answer cannot be read: it is left alone", path.display());
                None
            }
        };
        let boot = boot();
        let mut entries: Vec<(PathBuf, Entry)> = names.iter().filter_map(read).collect();
        entries.retain(|(_, entry)| entry.boot == boot);
        Ok(entries)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.{NOTED}"))
    }

    fn ended_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.{ENDED}"))
    }
}

/// Whether there was such a file.
fn is_there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// When a file, or its name, was last changed.
fn changed(file: &fs::Metadata) -> Timestamp {
    let nanoseconds = file.ctime().saturating_mul(1_000_000_000).saturating_add(file.ctime_nsec());
    Timestamp(u64::try_from(nanoseconds).unwrap_or_default())
}

/// `s-….json` or `k-….json`, where that is the extension: no other answers are kept here.
fn is_entry(path: &Path, extension: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let prefixes = [ActionKind::Suspend, ActionKind::Kill].map(super::kept::prefix);
    path.extension().is_some_and(|found| found == extension)
        && prefixes.iter().any(|prefix| name.starts_with(&format!("{prefix}-")))
}

/// Reads a file of a folder that is the user's alone.
///
/// # Errors
/// The folder is not to be trusted, or the file cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    trusted(path.parent().unwrap_or(Path::new(".")))?;
    fs::read(path)
}

/// Writes a file as a whole or not at all, in a folder that is the user's alone and is made where it is missing.
///
/// # Errors
/// The folder is not to be trusted, or the file cannot be written.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    match trusted(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            trusted(folder)?;
        }
        trusted => trusted?,
    }
    let next = path.with_extension("new");
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?.write_all(bytes)?;
    fs::rename(&next, path)
}

/// Whether nobody else can write into a folder.
fn trusted(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    // SAFETY: the call has no preconditions.
    let own = unsafe { libc::geteuid() };
    if !found.is_dir() || found.uid() != own || found.mode() & 0o022 != 0 {
        let message = format!("{} is not a folder that only user {own} can write", folder.display());
        return Err(io::Error::new(ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use openclaw_detect::ProcessId;

    use super::super::{Outcome, Target};
    use super::*;

    fn entry(id: &str) -> Entry {
        let target = Target::Process { id: ProcessId { pid: 7, start: 8 }, name: "nc".to_owned() };
        let record = ActionRecord::asked(id.to_owned(), ActionKind::Suspend, target, Timestamp(1));
        let record = ActionRecord { outcome: Outcome::Begun, ..record };
        let members = vec![Member { pid: 7, start: 8, was_stopped: true }];
        Entry { record, container: None, was_frozen: None, members, expiry: 9, boot: boot() }
    }

    #[test]
    fn entries_are_read_as_they_were_written_until_they_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("answers"));
        assert!(journal.read().unwrap().is_empty());
        let (first, second) = (entry("s-1"), entry("s-2"));
        journal.write(&second).unwrap();
        journal.write(&first).unwrap();
        // No entries.
        fs::write(journal.folder().join("breaker.json"), "[]").unwrap();
        fs::write(journal.folder().join("s-3.json"), "{half of").unwrap();
        assert_eq!(journal.read().unwrap(), [first, second]);
        assert!(journal.remove("s-1").unwrap() && !journal.remove("s-1").unwrap());
        assert_eq!(journal.read().unwrap().len(), 1);
        journal.write(&Entry { boot: "another".to_owned(), ..entry("s-4") }).unwrap();
        assert_eq!(journal.read().unwrap().len(), 1, "of another boot");
    }

    #[test]
    fn what_ended_while_there_was_no_agent_is_kept_with_its_time_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("answers"));
        journal.write(&entry("s-1")).unwrap();
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(1);
        journal.end("s-1").unwrap();
        journal.end("s-2").unwrap();
        assert!(journal.read().unwrap().is_empty() && !journal.has("s-1"));
        let ended = journal.ended().unwrap();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].0, entry("s-1").record);
        assert!(u128::from(ended[0].1.0) > before.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos());
        assert!(!journal.remove("s-1").unwrap() && journal.ended().unwrap().is_empty());
    }

    #[test]
    fn nothing_has_ended_before_its_time_though_files_are_dated_by_the_last_tick() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("answers"));
        let mut entry = entry("s-1");
        let expires = Timestamp(super::super::clock::wall().0 + 3_000_000_000);
        entry.record.expires = Some(expires);
        journal.write(&entry).unwrap();
        journal.end("s-1").unwrap();
        assert_eq!(journal.ended().unwrap()[0].1, expires);
    }

    #[test]
    fn a_folder_that_others_can_write_is_neither_believed_nor_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let journal = Journal::new(folder.path());
        assert!(journal.read().is_err());
        assert!(journal.write(&entry("s-1")).unwrap_err().to_string().contains("only user"));
    }
}
