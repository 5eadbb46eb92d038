//! Findings, actions and alerts on disk, in SQLite, bounded in age and size.
//!
//! One process writes, the agent. Others (`openclaw findings`) open the same file to read, with or without an
//! agent running.

mod filter;
mod open;
mod outbox;
mod prune;
mod schema;
mod told;
mod writer;

use std::path::{Path, PathBuf};
use std::{env, io};

use openclaw_detect::{Finding, Severity, Timestamp};
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use filter::Filter;
pub use open::Opened;
pub use outbox::{Ended, Posted, Waiting};
pub use prune::{Limits, Pruned};
pub use told::{Delivery, ToldAlert, Which};
pub use writer::{Audience, Writer, WriterThread};

use crate::respond::action::{ActionRecord, Outcome};

/// The folder of root's database.
pub const SYSTEM_FOLDER: &str = "/var/lib/openclaw";
const FILE_NAME: &str = "openclaw.db";

/// The database that is used when none is configured: root's, or one in the user's state folder.
pub fn default_path() -> PathBuf {
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        return Path::new(SYSTEM_FOLDER).join(FILE_NAME);
    }
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(|| PathBuf::from("."));
    state.join("openclaw").join(FILE_NAME)
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no database.
    #[error("there is no database at {}: no agent has run here yet, or `store.path` is another. Start one with `sudo openclaw run`", .0.display())]
    Absent(PathBuf),
    /// The file belongs to somebody else.
    #[error("the database {} may only be read by root: run the command with sudo", .0.display())]
    NotAllowed(PathBuf),
    /// A later version has changed the tables.
    #[error("the database {path} was written by a newer version of OpenClaw (schema {found}, this one knows {known}): use that version, or set `store.path` to another file", path = path.display(), known = schema::VERSION)]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
    },
    /// The folder or the file cannot be made, or a broken one not moved aside.
    #[error("cannot keep the database at {path}: {source}. Set `store.path` to a file in a folder that you can write", path = path.display())]
    Io {
        /// The database.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// SQLite did not do it.
    #[error("the database {path} failed: {source}. If the disk is full, free space or lower `store.max_size`", path = path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A record cannot be written as JSON or read back from it.
    #[error("a record in the database {path} cannot be read: {source}", path = path.display())]
    Record {
        /// The database.
        path: PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// No record, or more than one, has that id.
    #[error("{0}")]
    NoSuchId(String),
}

/// The database, open.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
}

impl Store {
    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a finding. One that is there already (the same id) is left as it is.
    ///
    /// # Errors
    /// [`StoreError::Database`], when the disk is full for example.
    pub fn insert_finding(&self, finding: &Finding) -> Result<(), StoreError> {
        let record = self.to_json(finding)?;
        let severity = finding.severity as i64;
        self.execute(
            "INSERT INTO findings (id, at, severity, rule, record) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO NOTHING",
            params![finding.id, nanoseconds(finding.timestamp), severity, finding.rule, record],
        )
    }

    /// Adds an action, or replaces the one with its id, but for what only the one before says.
    ///
    /// # Errors
    /// [`StoreError::Database`], when the disk is full for example.
    pub fn upsert_action(&self, action: &ActionRecord) -> Result<(), StoreError> {
        let mut action = action.clone();
        let mut earlier: Vec<ActionRecord> =
            self.read("SELECT record FROM actions WHERE id = ?1", [&action.id])?;
        if let Some(earlier) = earlier.pop() {
            action.fill_in(&earlier);
        }
        let record = self.to_json(&action)?;
        self.execute(
            "INSERT INTO actions (id, at, finding, record) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET at = ?2, finding = ?3, record = ?4",
            params![action.id, nanoseconds(action.at), action.finding, record],
        )
    }

    /// The findings that pass, the newest first, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn findings(&self, filter: &Filter, limit: u32) -> Result<Vec<Finding>, StoreError> {
        self.read(
            "SELECT record FROM findings
             WHERE severity >= ?1 AND (?2 IS NULL OR rule = ?2) AND at >= ?3
             ORDER BY at DESC, id DESC LIMIT ?4",
            params![
                filter.severity.map_or(0, |severity| severity as i64),
                filter.rule,
                filter.since.map_or(0, nanoseconds),
                limit
            ],
        )
    }

    /// The one finding whose id is or begins with `id`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchId`], when there is none or more than one.
    pub fn finding(&self, id: &str) -> Result<Finding, StoreError> {
        self.one("findings", id, "finding", "openclaw findings")
    }

    /// The actions, the newest first, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn actions(&self, limit: u32) -> Result<Vec<ActionRecord>, StoreError> {
        self.read("SELECT record FROM actions ORDER BY at DESC, id DESC LIMIT ?1", [limit])
    }

    /// The one action whose id is or begins with `id`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchId`], when there is none or more than one.
    pub fn action(&self, id: &str) -> Result<ActionRecord, StoreError> {
        self.one("actions", id, "answer", "openclaw response list --all")
    }

    /// The actions that answered a finding, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn actions_of(&self, finding: &str) -> Result<Vec<ActionRecord>, StoreError> {
        self.read("SELECT record FROM actions WHERE finding = ?1 ORDER BY at, id", [finding])
    }

    /// Whether the disk takes what is written: the number of the tables' version is, as it is.
    ///
    /// # Errors
    /// It does not.
    fn try_write(&self) -> Result<(), StoreError> {
        self.db.pragma_update(None, "user_version", schema::VERSION).map_err(|source| self.failed(source))
    }

    /// The actions of which it is not on record what came of them, and the verdicts whose time is over at `now` and of which no
    /// end is, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn actions_unended(&self, now: Timestamp) -> Result<Vec<ActionRecord>, StoreError> {
        self.read(
            "SELECT record FROM actions
             WHERE record ->> '$.outcome' = ?1
                OR record ->> '$.outcome' IN (?2, ?3) AND record ->> '$.expires' <= ?4
                   AND record ->> '$.ended' IS NULL AND record ->> '$.verdict' IS NULL
             ORDER BY at, id",
            params![Outcome::Begun.name(), Outcome::Done.name(), Outcome::Failed.name(), nanoseconds(now)],
        )
    }

    /// The verdicts that were made and whose time is not over at `now`, the newest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn actions_in_force(&self, now: Timestamp) -> Result<Vec<ActionRecord>, StoreError> {
        let mut actions = self.actions(u32::MAX)?;
        actions.retain(|action| {
            matches!(action.outcome, Outcome::Begun | Outcome::Done)
                && action.kind.can_be_undone()
                && action.verdict.is_none()
                && action.expires.is_none_or(|end| end > now)
        });
        Ok(actions)
    }

    /// The one record of a table whose id is or begins with `id`. `what` it is, and the command that `lists` them, are for
    /// who reads why there is none.
    fn one<T: DeserializeOwned>(
        &self,
        table: &str,
        id: &str,
        what: &str,
        lists: &str,
    ) -> Result<T, StoreError> {
        let mut exact: Vec<T> = self.read(&format!("SELECT record FROM {table} WHERE id = ?1"), [id])?;
        if let Some(one) = exact.pop() {
            return Ok(one);
        }
        let beginning = format!(
            "SELECT record FROM {table} WHERE substr(id, 1, length(?1)) = ?1 ORDER BY at DESC LIMIT 2"
        );
        let mut found: Vec<T> = self.read(&beginning, [id])?;
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (Some(_), false) => Err(StoreError::NoSuchId(format!(
                "more than one {what} has an id that begins with `{id}`: give more of it"
            ))),
            (None, _) => {
                Err(StoreError::NoSuchId(format!("no {what} has the id `{id}`: `{lists}` lists them")))
            }
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<T>, StoreError> {
        let records = self.rows(sql, values, |row| row.get::<_, String>(0))?;
        records.iter().map(|record| self.parse(record)).collect()
    }

    /// What each row that a query finds is.
    fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map(values, read)?.collect())
            .map_err(|source| self.failed(source))
    }

    /// The one value of the first row, where there is a row.
    fn first<T: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, values, |row| row.get(0))?.into_iter().next())
    }

    /// Carries a statement out, and returns how many rows it has changed.
    fn changes(&self, sql: &str, values: impl rusqlite::Params) -> Result<u64, StoreError> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values))
            .map(|rows| rows as u64)
            .map_err(|source| self.failed(source))
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
        self.changes(sql, values).map(drop)
    }

    fn to_json<T: Serialize>(&self, value: &T) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|source| StoreError::Record { path: self.path.clone(), source })
    }

    fn parse<T: DeserializeOwned>(&self, record: &str) -> Result<T, StoreError> {
        serde_json::from_str(record).map_err(|source| StoreError::Record { path: self.path.clone(), source })
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        StoreError::Database { path: self.path.clone(), source }
    }
}

/// SQLite's integers are signed; this is good until the year 2262.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// The severity that is kept as this number.
fn severity_of(number: i64) -> Severity {
    let known = usize::try_from(number).ok().and_then(|number| Severity::ALL.get(number));
    known.copied().unwrap_or(Severity::High)
}

#[cfg(test)]
mod tests;
