//! Alerts on disk: until each of their channels has accepted them, and for a list of what was told.
//!
//! While an alert is told, those like it are held back and counted; how many they were is told when the time is over.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_detect::Timestamp;
use rusqlite::params;

use super::{Store, StoreError, nanoseconds, severity_of};
use crate::alert::{Alert, Outgoing, Trigger};
use crate::output::time::after;

/// What became of an alert that was to be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It waits for its channels.
    Waits,
    /// One like it was told a short time ago: it is counted.
    Held,
    /// Its rule is muted.
    Muted,
    /// It was posted before.
    Known,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub(super) enum State {
    Waiting = 0,
    Delivered = 1,
    Failed = 2,
}

/// An alert that waits for a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// Its place in the order of alerts.
    pub seq: i64,
    /// Since when it waits.
    pub since: Timestamp,
    /// What is to be delivered.
    pub alert: Alert,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The alert's place in the order of alerts.
    pub seq: i64,
    /// The channel.
    pub channel: String,
    /// When.
    pub at: Timestamp,
    /// Why it was given up; none where the endpoint has accepted it.
    pub failure: Option<String>,
}

impl Store {
    /// Takes an alert in: it waits for its channels, or is held back, as one like it was told less than its time before.
    ///
    /// # Errors
    /// [`StoreError::Database`], when the disk is full for example.
    pub fn post(&self, outgoing: &Outgoing, now: Timestamp) -> Result<Posted, StoreError> {
        let alert = &outgoing.alert;
        let known = self.first::<i64>("SELECT seq FROM alerts WHERE id = ?1", [&alert.id])?;
        if known.is_some() {
            return Ok(Posted::Known);
        }
        if let Some(rule) = alert.rule()
            && self.muted_until(rule, now)?.is_some()
        {
            self.list(alert, now, None, true)?;
            return Ok(Posted::Muted);
        }
        if let Some(window) = self.open_window(&alert.like, outgoing.throttle, now)? {
            self.list(alert, now, Some(window), false)?;
            self.execute(
                "UPDATE throttles SET held = held + 1, last = ?2 WHERE likeness = ?1",
                params![alert.like, nanoseconds(now)],
            )?;
            return Ok(Posted::Held);
        }
        let seq = self.send(alert, &outgoing.channels, now)?;
        if !outgoing.throttle.is_zero() {
            let until = after(now, outgoing.throttle);
            self.execute(
                "INSERT INTO throttles (likeness, first, told, since, until, held, last) VALUES (?1, ?2, ?2, ?3, ?4, 0, ?3)
                 ON CONFLICT (likeness) DO UPDATE SET first = ?2, told = ?2, since = ?3, until = ?4, last = ?3",
                params![alert.like, seq, nanoseconds(now), nanoseconds(until)],
            )?;
        }
        Ok(Posted::Waits)
    }

    /// Puts an alert into the list, and has it wait for channels. Returns its place.
    fn send(&self, alert: &Alert, channels: &[String], now: Timestamp) -> Result<i64, StoreError> {
        let seq = self.list(alert, now, None, false)?;
        if channels.is_empty() {
            return Ok(seq);
        }
        let body = self.to_json(alert)?;
        self.execute("UPDATE alerts SET body = ?2 WHERE seq = ?1", params![seq, body])?;
        for channel in channels {
            self.execute(
                "INSERT INTO deliveries (channel, alert, state, since) VALUES (?1, ?2, 0, ?3)",
                params![channel, seq, nanoseconds(now)],
            )?;
        }
        Ok(seq)
    }

    /// The alert that was told in the place of those like it, while its time is not over, or how many they were is still to
    /// be told. A clock that was set back leaves no window open for longer than it may be.
    fn open_window(&self, like: &str, throttle: Duration, now: Timestamp) -> Result<Option<i64>, StoreError> {
        if throttle.is_zero() {
            return Ok(None);
        }
        let latest = after(now, throttle);
        self.first(
            "SELECT told FROM throttles WHERE likeness = ?1 AND (held > 0 OR (until > ?2 AND until <= ?3))",
            params![like, nanoseconds(now), nanoseconds(latest)],
        )
    }

    /// Puts an alert into the list of what was told, and returns its place there.
    fn list(
        &self,
        alert: &Alert,
        now: Timestamp,
        held_by: Option<i64>,
        muted: bool,
    ) -> Result<i64, StoreError> {
        self.execute(
            "INSERT INTO alerts (id, at, trigger, severity, rule, title, message, held_by, muted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                alert.id,
                nanoseconds(now),
                alert.trigger.name(),
                alert.severity as i64,
                alert.rule(),
                alert.title,
                alert.message,
                held_by,
                muted
            ],
        )?;
        Ok(self.db.last_insert_rowid())
    }

    /// The alerts that wait for a channel, the first first, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn waiting(&self, channel: &str, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let rows = self.rows(
            "SELECT deliveries.alert, deliveries.since, alerts.body FROM deliveries
             JOIN alerts ON alerts.seq = deliveries.alert
             WHERE deliveries.channel = ?1 AND deliveries.state = 0 AND alerts.body IS NOT NULL
             ORDER BY deliveries.alert LIMIT ?2",
            params![channel, limit],
            |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)),
        )?;
        let mut waiting = Vec::new();
        for (seq, since, body) in rows {
            match self.parse(&body) {
                Ok(alert) => waiting.push(Waiting { seq, since: timestamp(since), alert }),
                // One that cannot be read must not keep those behind it.
                Err(error) => drop(self.end_delivery(&Ended {
                    seq,
                    channel: channel.to_owned(),
                    at: timestamp(since),
                    failure: Some(error.to_string()),
                })?),
            }
        }
        Ok(waiting)
    }

    /// How many alerts wait for each channel.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn all_waiting(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let rows = self.rows(
            "SELECT channel, count(*) FROM deliveries WHERE state = 0 GROUP BY channel",
            [],
            |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())),
        )?;
        Ok(rows.into_iter().collect())
    }

    /// Notes how a delivery ended, and returns whether it waited until then. What no channel needs any more of an alert is
    /// deleted, but for its line in the list.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn end_delivery(&self, ended: &Ended) -> Result<bool, StoreError> {
        let state = if ended.failure.is_some() { State::Failed } else { State::Delivered };
        let changes = self.changes(
            "UPDATE deliveries SET state = ?3, ended = ?4, error = ?5 WHERE channel = ?1 AND alert = ?2 AND state = 0",
            params![ended.channel, ended.seq, state as i64, nanoseconds(ended.at), ended.failure],
        )?;
        self.execute(
            "UPDATE alerts SET body = NULL WHERE seq = ?1
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE alert = ?1 AND state != 1)",
            [ended.seq],
        )?;
        Ok(changes > 0)
    }

    /// Lets what was given up by one of the channels wait again: the alert whose id is or begins with `id`, or all. Returns
    /// the channels, one for each delivery.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn retry(
        &self,
        id: Option<&str>,
        channels: &[String],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        self.rows(
            "UPDATE deliveries SET state = 0, since = ?2, ended = NULL, error = NULL
             WHERE state = 2 AND channel IN (SELECT value FROM json_each(?3)) AND alert IN
               (SELECT seq FROM alerts WHERE body IS NOT NULL AND (?1 IS NULL OR substr(id, 1, length(?1)) = ?1))
             RETURNING channel",
            params![id, nanoseconds(now), self.to_json(&channels)?],
            |row| row.get(0),
        )
    }

    /// Gives up what waits for channels that are not there any more.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn leave_channels(&self, known: &[String], now: Timestamp) -> Result<u64, StoreError> {
        let mut given_up = 0;
        for channel in self.all_waiting()?.into_keys().filter(|channel| !known.contains(channel)) {
            given_up += self.changes(
                "UPDATE deliveries SET state = 2, ended = ?2, error = 'the channel is not configured any more'
                 WHERE channel = ?1 AND state = 0",
                params![channel, nanoseconds(now)],
            )?;
        }
        Ok(given_up)
    }

    /// When the soonest of the windows ends in which alerts are held back. One that would begin later than now was opened
    /// before the clock was set back, and ends at once.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn next_window_end(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let now = nanoseconds(now);
        let ahead = self.first::<i64>("SELECT 1 FROM throttles WHERE since > ?1 LIMIT 1", [now])?;
        if ahead.is_some() {
            return Ok(Some(timestamp(now)));
        }
        let end = self.first::<Option<i64>>("SELECT min(until) FROM throttles", [])?;
        Ok(end.flatten().map(timestamp))
    }

    /// Ends the windows whose time is over. For each in which alerts were held back, one more alert says how many they were,
    /// on the channels of its trigger, and its window begins anew, so that a storm is told once in each. Returns these.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn end_windows(
        &self,
        now: Timestamp,
        host: &str,
        channels: impl Fn(Trigger) -> Vec<String>,
    ) -> Result<Vec<Outgoing>, StoreError> {
        let over = nanoseconds(now);
        self.execute("DELETE FROM throttles WHERE (until <= ?1 OR since > ?1) AND held = 0", [over])?;
        let ended = self.rows(
            "SELECT likeness, throttles.since, until, held, last, alerts.id, trigger, severity, rule, title, message
             FROM throttles JOIN alerts ON alerts.seq = throttles.first WHERE until <= ?1 OR throttles.since > ?1",
            [over],
            |row| {
                let trigger: String = row.get(6)?;
                Ok(Window {
                    like: row.get(0)?,
                    since: timestamp(row.get(1)?),
                    until: timestamp(row.get(2)?),
                    held: row.get::<_, i64>(3)?.unsigned_abs(),
                    last: timestamp(row.get(4)?),
                    id: row.get(5)?,
                    trigger: Trigger::from_name(&trigger).unwrap_or(Trigger::Finding),
                    severity: row.get(7)?,
                    rule: row.get(8)?,
                    title: row.get(9)?,
                    message: row.get(10)?,
                })
            },
        )?;
        let mut told = Vec::new();
        for window in ended {
            let channels = channels(window.trigger);
            let outgoing = window.summary(channels, host);
            if outgoing.channels.is_empty() {
                self.execute("DELETE FROM throttles WHERE likeness = ?1", [&outgoing.alert.like])?;
                continue;
            }
            let seq = self.send(&outgoing.alert, &outgoing.channels, now)?;
            self.execute(
                "UPDATE throttles SET told = ?2, since = ?3, until = ?4, held = 0, last = ?3 WHERE likeness = ?1",
                params![outgoing.alert.like, seq, over, nanoseconds(after(now, outgoing.throttle))],
            )?;
            told.push(outgoing);
        }
        Ok(told)
    }

    /// Keeps a rule's alerts back until a moment.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn mute(&self, rule: &str, until: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO mutes (rule, until) VALUES (?1, ?2) ON CONFLICT (rule) DO UPDATE SET until = ?2",
            params![rule, nanoseconds(until)],
        )
    }

    /// Lets a rule's alerts through again. Whether they were kept back.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn unmute(&self, rule: &str) -> Result<bool, StoreError> {
        Ok(self.changes("DELETE FROM mutes WHERE rule = ?1", [rule])? > 0)
    }

    /// The rules whose alerts are kept back, and until when.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn mutes(&self, now: Timestamp) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.execute("DELETE FROM mutes WHERE until <= ?1", [nanoseconds(now)])?;
        let rows =
            self.rows("SELECT rule, until FROM mutes", [], |row| Ok((row.get(0)?, timestamp(row.get(1)?))))?;
        Ok(rows.into_iter().collect())
    }

    fn muted_until(&self, rule: &str, now: Timestamp) -> Result<Option<i64>, StoreError> {
        self.first("SELECT until FROM mutes WHERE rule = ?1 AND until > ?2", params![rule, nanoseconds(now)])
    }

    /// Bytes of alerts that are kept to be delivered.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn outbox_size(&self) -> Result<u64, StoreError> {
        let size = "SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM alerts WHERE body IS NOT NULL";
        Ok(self.first::<i64>(size, [])?.unwrap_or_default().unsigned_abs())
    }

    /// Throws alerts away until the others take no more than `limit` bytes: those that were given up first, then the oldest.
    /// Returns the channels for which they waited, one for each delivery.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn bound_outbox(&self, limit: u64, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let mut size = self.outbox_size()?;
        if size <= limit {
            return Ok(Vec::new());
        }
        let kept = self.rows(
            "SELECT seq, length(CAST(body AS BLOB)), EXISTS (SELECT 1 FROM deliveries WHERE alert = seq AND state = 0) AS waits
             FROM alerts WHERE body IS NOT NULL ORDER BY waits, seq",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.unsigned_abs())),
        )?;
        let mut left = Vec::new();
        for (seq, length) in kept {
            if size <= limit {
                break;
            }
            left.extend(self.rows(
                "UPDATE deliveries SET state = 2, ended = ?2, error = 'thrown away: the outbox was full'
                 WHERE alert = ?1 AND state = 0 RETURNING channel",
                params![seq, nanoseconds(now)],
                |row| row.get::<_, String>(0),
            )?);
            self.execute("UPDATE alerts SET body = NULL WHERE seq = ?1", [seq])?;
            size = size.saturating_sub(length);
        }
        Ok(left)
    }
}

/// A time in which alerts like one that was told were held back.
struct Window {
    like: String,
    since: Timestamp,
    until: Timestamp,
    held: u64,
    last: Timestamp,
    id: String,
    trigger: Trigger,
    severity: i64,
    rule: Option<String>,
    title: String,
    message: String,
}

impl Window {
    /// What is told when it ends.
    fn summary(self, channels: Vec<String>, host: &str) -> Outgoing {
        use crate::output::time::{clock, rfc3339};
        let were = if self.held == 1 { "was" } else { "were" };
        let list = self.rule.as_ref().map(|rule| format!(" --rule {rule}")).unwrap_or_default();
        let alert = Alert {
            // One for each window: the same, when it is made anew after a crash.
            id: format!("{}-held-{:x}", self.id, self.until.0),
            severity: severity_of(self.severity),
            message: format!(
                "{} more like this {were} held back since {}: {}",
                self.held,
                clock(self.since),
                self.message
            ),
            title: self.title,
            timestamp: rfc3339(self.last),
            details: serde_json::json!({
                "rule": self.rule,
                "host": host,
                "held_back": self.held,
                "since": rfc3339(self.since),
                "first": self.id,
                "more": format!("openclaw alerts list{list}"),
            }),
            trigger: self.trigger,
            like: self.like,
        };
        let throttle = Duration::from_nanos(self.until.0.saturating_sub(self.since.0));
        Outgoing { alert, channels, throttle }
    }
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp(nanoseconds.max(0).cast_unsigned())
}

#[cfg(test)]
mod tests;
