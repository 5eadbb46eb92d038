//! What rules remember, and how far logs have been read with it, kept in a file beside the database while no agent runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::pipeline::Remembered;

/// Bytes that the file may have: several times what an engine remembers, which takes 64 MiB in memory, and as much of
/// rules that do not run.
const MAX_BYTES: u64 = 1 << 30;

/// The file that belongs to a database.
pub fn path(store: &Path) -> PathBuf {
    store.with_extension("rules.json")
}

/// Reads what was kept; none where there is no file.
///
/// # Errors
/// The file is not the agent's own, or not what the agent wrote.
pub fn read(path: &Path) -> io::Result<Option<Remembered>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let metadata = file.metadata()?;
    // SAFETY: geteuid has no preconditions and cannot fail.
    let own = unsafe { libc::geteuid() };
    if metadata.uid() != own || metadata.mode() & 0o022 != 0 || metadata.len() > MAX_BYTES {
        return Err(io::Error::other("others can write it, or it is too large"));
    }
    Ok(Some(serde_json::from_reader(io::BufReader::new(file))?))
}

/// The file, which one thread at a time writes.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    /// Whether what was remembered at the end has been written.
    is_closed: Mutex<bool>,
}

impl Memory {
    /// The file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Memory { path, is_closed: Mutex::new(false) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps what rules remember: the file is whole at any time, the old one or the new one. After
    /// [`keep_last`](Self::keep_last) it does nothing, for that was later.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn keep(&self, remembered: &Remembered) -> io::Result<()> {
        let is_closed = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_closed { Ok(()) } else { write(&self.path, remembered) }
    }

    /// Keeps what rules remembered at their end.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn keep_last(&self, remembered: &Remembered) -> io::Result<()> {
        let mut is_closed = self.is_closed.lock().unwrap_or_else(PoisonError::into_inner);
        *is_closed = true;
        write(&self.path, remembered)
    }
}

fn write(path: &Path, remembered: &Remembered) -> io::Result<()> {
    if remembered.rules.is_empty() && remembered.logs.is_empty() && !path.exists() {
        return Ok(());
    }
    let new = path.with_extension("json.new");
    write_new(&new, remembered).inspect_err(|_| {
        // It may be what has filled the disk.
        let _ = fs::remove_file(&new);
    })?;
    fs::rename(&new, path)?;
    // So that the name is kept too.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn write_new(new: &Path, remembered: &Remembered) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
    let mut file = io::BufWriter::new(file);
    serde_json::to_writer(&mut file, remembered)?;
    file.flush()?;
    let file = file.into_inner()?;
    file.sync_all()?;
    match file.metadata()?.len() {
        ..=MAX_BYTES => Ok(()),
        _ => Err(io::Error::other(format!("it takes more than {MAX_BYTES} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use openclaw_detect::{Engine, EventKind, Field, RecordedEvent, RuleSet, Source, Timestamp};

    use super::*;

    fn engine() -> Engine {
        let text = "rules: [{name: a, event: process_create, condition: process.name == 'x', threshold: {at_least: 2, within: 1h}}]";
        Engine::new(RuleSet::load(&[Source { name: "a.yml".to_owned(), text: text.to_owned() }]).unwrap())
    }

    fn remembered(engine: &Engine) -> Remembered {
        Remembered { rules: engine.snapshot(), ..Remembered::default() }
    }

    #[test]
    fn what_was_kept_is_read_again_and_what_others_can_write_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder.path().join("store.db"));
        assert_eq!(path.file_name().unwrap(), "store.rules.json");
        assert!(read(&path).unwrap().is_none());
        write(&path, &remembered(&engine())).unwrap();
        assert!(!path.exists(), "there is nothing to keep");

        let mut engine = engine();
        let event = RecordedEvent::new(EventKind::ProcessCreate, Timestamp(1)).with(Field::ProcessName, "x");
        engine.evaluate(&event, |_| {});
        write(&path, &remembered(&engine)).unwrap();
        assert_eq!(read(&path).unwrap(), Some(remembered(&engine)));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read(&path).is_err());
        fs::remove_file(&path).unwrap();
        let memory = Memory::new(path.clone());
        memory.keep_last(&remembered(&engine)).unwrap();
        memory.keep(&remembered(&self::engine())).unwrap();
        assert_eq!(read(&path).unwrap(), Some(remembered(&engine)), "what comes after the end was before it");
        fs::write(&path, "{").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read(&path).is_err());
    }
}
