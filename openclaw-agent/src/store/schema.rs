//! The tables. `user_version` says which steps a database has taken.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// How many steps this version knows.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// Each step makes of the schema before it the schema with its number. Steps are added, never changed.
const STEPS: [&str; 2] = [
    "
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
",
    "
    CREATE TABLE alerts (
        seq      INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they are told
        id       TEXT NOT NULL UNIQUE,
        at       INTEGER NOT NULL,
        trigger  TEXT NOT NULL,
        severity INTEGER NOT NULL,
        rule     TEXT,
        title    TEXT NOT NULL,
        message  TEXT NOT NULL,
        held_by  INTEGER,                            -- the alert that was told in its place
        muted    INTEGER NOT NULL,
        body     TEXT                                -- the whole alert, JSON, while a channel needs it
    );
    CREATE INDEX alerts_at ON alerts (at);
    CREATE INDEX alerts_held ON alerts (held_by) WHERE held_by IS NOT NULL;
    CREATE INDEX alerts_kept ON alerts (seq) WHERE body IS NOT NULL;
    CREATE TABLE deliveries (
        channel TEXT NOT NULL,
        alert   INTEGER NOT NULL,
        state   INTEGER NOT NULL,                    -- 0 waiting, 1 delivered, 2 failed
        since   INTEGER NOT NULL,
        ended   INTEGER,
        error   TEXT,
        PRIMARY KEY (channel, alert)
    ) WITHOUT ROWID;
    CREATE INDEX deliveries_waiting ON deliveries (channel, alert) WHERE state = 0;
    CREATE INDEX deliveries_alert ON deliveries (alert);
    CREATE TABLE throttles (
        likeness TEXT PRIMARY KEY,
        first    INTEGER NOT NULL,                   -- the alert that was told first
        told     INTEGER NOT NULL,                   -- the one that was told last: that, or how many were held back
        since    INTEGER NOT NULL,
        until    INTEGER NOT NULL,
        held     INTEGER NOT NULL,
        last     INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX throttles_until ON throttles (until);
    CREATE INDEX throttles_since ON throttles (since);
    CREATE TABLE mutes (
        rule  TEXT PRIMARY KEY,
        until INTEGER NOT NULL
    ) WITHOUT ROWID;
",
];

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
