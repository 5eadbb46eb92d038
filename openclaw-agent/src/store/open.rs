//! Opening the database: made where there is none, moved aside where it is broken.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tracing::error;

use super::{Store, StoreError, schema};

/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many statements are kept ready: all that the agent makes.
const STATEMENTS: usize = 64;

/// The store, and what it cost to open it.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where a database went that could not be read. Its findings are not in the new one.
    pub moved_aside: Option<PathBuf>,
}

impl Store {
    /// Opens the database to write, and makes it where there is none. One that is damaged is moved aside, which is
    /// an error in the log, and a new one begun, so that the agent can do its work.
    ///
    /// # Errors
    /// The folder cannot be written, or a newer version of OpenClaw wrote the database.
    pub fn open(path: &Path) -> Result<Opened, StoreError> {
        let io = |source| StoreError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        }
        match open_sound(path) {
            Err(StoreError::Database { source, .. }) if is_damage(&source) => {
                let aside = move_aside(path).map_err(io)?;
                error!(
                    database = %path.display(), moved_to = %aside.display(), reason = %source,
                    "the database is damaged: it was moved aside and a new one begun; findings so far are only in the old file"
                );
                Ok(Opened { store: open_sound(path)?, moved_aside: Some(aside) })
            }
            store => Ok(Opened { store: store?, moved_aside: None }),
        }
    }

    /// Opens the database to read, as `openclaw findings` does.
    ///
    /// # Errors
    /// There is none, it belongs to somebody else, or it cannot be read.
    pub fn open_read_only(path: &Path) -> Result<Store, StoreError> {
        match fs::File::open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Absent(path.to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(StoreError::NotAllowed(path.to_owned()));
            }
            Err(source) => return Err(StoreError::Io { path: path.to_owned(), source }),
        }
        let failed = |source| StoreError::Database { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).map_err(failed)?;
        db.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        check_version(&db, path)?;
        Ok(Store { db, path: path.to_owned() })
    }
}

fn open_sound(path: &Path) -> Result<Store, StoreError> {
    let failed = |source| StoreError::Database { path: path.to_owned(), source };
    // Made here and not by SQLite, so that nobody else can read it at any moment.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    check_version(&db, path)?;
    let sound: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if sound != "ok" {
        let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(failed(rusqlite::Error::SqliteFailure(damage, Some(sound))));
    }
    // Before the first table, or it has no effect. It lets the file shrink when old findings go.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    db.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    // An alert counts as kept when it is on the disk itself: a power cut loses none.
    db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    schema::migrate(&mut db).map_err(failed)?;
    Ok(Store { db, path: path.to_owned() })
}

fn check_version(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let found =
        schema::version(db).map_err(|source| StoreError::Database { path: path.to_owned(), source })?;
    if found > schema::VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found });
    }
    Ok(())
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Renames the database and what SQLite keeps beside it. Returns the database's new name.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut aside = with(&format!(".damaged-{now}"));
    let mut number = 1;
    while aside.exists() {
        number += 1;
        aside = with(&format!(".damaged-{now}-{number}"));
    }
    fs::rename(path, &aside)?;
    for suffix in ["-wal", "-shm"] {
        let mut to = aside.as_os_str().to_owned();
        to.push(suffix);
        match fs::rename(with(suffix), to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}
