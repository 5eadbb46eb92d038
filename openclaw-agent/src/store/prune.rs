//! Keeping the database within its bounds: the oldest goes first, and is counted.

use std::ops::AddAssign;
use std::time::Duration;

use openclaw_detect::Timestamp;
use rusqlite::params;

use super::{Store, StoreError, nanoseconds};
use crate::config;

/// How many records of each kind are deleted at a time.
const STEP: i64 = 256;

/// How many times one after another: what is to be written waits meanwhile.
const STEPS: usize = 4;

/// The bounds of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What is older is deleted.
    pub max_age: Duration,
    /// The oldest are deleted when the database holds more, in bytes.
    pub max_size: u64,
}

impl From<&config::Store> for Limits {
    fn from(store: &config::Store) -> Limits {
        Limits { max_age: store.max_age, max_size: store.max_size }
    }
}

/// How much was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Findings, actions and lines of the list of alerts that were too old.
    pub by_age: u64,
    /// Findings, actions and lines of the list of alerts that had to make room.
    pub by_size: u64,
    /// Whether there is more to delete, for which this is to be asked again.
    pub more: bool,
}

impl AddAssign for Pruned {
    fn add_assign(&mut self, next: Pruned) {
        *self = Pruned {
            by_age: self.by_age + next.by_age,
            by_size: self.by_size + next.by_size,
            more: next.more,
        };
    }
}

impl Store {
    /// Deletes some of what is older at `now` than the limits allow, or else of the oldest while all of it does not fit.
    /// Actions whose time is not over stay, whatever their age.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn prune(&self, now: Timestamp, limits: Limits) -> Result<Pruned, StoreError> {
        let age = u64::try_from(limits.max_age.as_nanos()).unwrap_or(u64::MAX);
        let oldest = nanoseconds(Timestamp(now.0.saturating_sub(age)));
        let mut pruned = Pruned { more: true, ..Pruned::default() };
        for _ in 0..STEPS {
            let by_age = self.delete_before(oldest, now)?;
            let by_size = if by_age > 0 { 0 } else { self.make_room(now, limits.max_size)? };
            pruned.by_age += by_age;
            pruned.by_size += by_size;
            pruned.more = by_age + by_size > 0;
            if !pruned.more {
                break;
            }
        }
        if pruned.by_age + pruned.by_size > 0 {
            self.shrink().map_err(|source| self.failed(source))?;
        }
        Ok(pruned)
    }

    /// Deletes some of the oldest where the database is larger than that. Returns how many.
    fn make_room(&self, now: Timestamp, max_size: u64) -> Result<u64, StoreError> {
        if self.size()? <= max_size {
            return Ok(0);
        }
        let end = self.oldest(STEP)?;
        end.map_or(Ok(0), |end| self.delete_before(end.saturating_add(1), now))
    }

    /// Gives the free pages back to the file system.
    fn shrink(&self) -> rusqlite::Result<()> {
        // Each step frees one page.
        let mut vacuum = self.db.prepare("PRAGMA incremental_vacuum")?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
        Ok(())
    }

    /// Bytes that records and indexes take; free pages do not count.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        let pragma = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages = || {
            Ok::<_, rusqlite::Error>(
                (pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?,
            )
        };
        pages().map(|bytes| u64::try_from(bytes).unwrap_or(0)).map_err(|source| self.failed(source))
    }

    /// The time of the `n`th oldest record, or of the newest where there are fewer.
    fn oldest(&self, n: i64) -> Result<Option<i64>, StoreError> {
        self.db
            .query_row(
                "SELECT max(at) FROM (SELECT at FROM (SELECT at FROM findings UNION ALL SELECT at FROM actions
                   UNION ALL SELECT at FROM alerts WHERE body IS NULL AND seq NOT IN (SELECT first FROM throttles)) ORDER BY at LIMIT ?1)",
                [n],
                |row| row.get(0),
            )
            .map_err(|source| self.failed(source))
    }

    /// Deletes what is older than that, the oldest first: [`STEP`] of each kind at most, as many may be of the same moment.
    fn delete_before(&self, time: i64, now: Timestamp) -> Result<u64, StoreError> {
        let findings = self.changes(
            "DELETE FROM findings WHERE id IN (SELECT id FROM findings WHERE at < ?1 ORDER BY at LIMIT ?2)",
            [time, STEP],
        )?;
        let actions = self.changes(
            "DELETE FROM actions WHERE id IN
               (SELECT id FROM actions WHERE at < ?1 AND coalesce(json_extract(record, '$.expires'), 0) <= ?3
                ORDER BY at LIMIT ?2)",
            params![time, STEP, nanoseconds(now)],
        )?;
        // What a channel needs has bounds of its own, and of what was told first it is told how many followed.
        let goes = "SELECT seq FROM alerts
                    WHERE at < ?1 AND body IS NULL AND seq NOT IN (SELECT first FROM throttles) ORDER BY at LIMIT ?2";
        self.execute(&format!("DELETE FROM deliveries WHERE alert IN ({goes})"), [time, STEP])?;
        let alerts = self.changes(&format!("DELETE FROM alerts WHERE seq IN ({goes})"), [time, STEP])?;
        Ok(findings + actions + alerts)
    }
}
