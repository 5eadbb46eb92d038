//! The tables. `user_version` says which steps a database has taken.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// How many steps this version knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Each step makes of the schema before it the schema with its number. Steps are added, never changed.
const STEPS: [&str; 1] = ["
    CREATE TABLE findings (
        id       TEXT PRIMARY KEY,
        at       INTEGER NOT NULL,  -- nanoseconds since the epoch
        severity INTEGER NOT NULL,  -- 0 info to 4 critical
        rule     TEXT NOT NULL,
        record   TEXT NOT NULL      -- the whole finding, JSON
    ) WITHOUT ROWID;
    CREATE INDEX findings_at ON findings (at);
    CREATE TABLE actions (
        id      TEXT PRIMARY KEY,
        at      INTEGER NOT NULL,
        finding TEXT,
        record  TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX actions_at ON actions (at);
    CREATE INDEX actions_finding ON actions (finding);
"];

/// The schema's version; 0 for a new database.
pub(super) fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Takes the steps that the database has not taken yet.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    let transaction = Transaction::new(db, TransactionBehavior::Immediate)?;
    let done = usize::try_from(version(&transaction)?).unwrap_or(0);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
