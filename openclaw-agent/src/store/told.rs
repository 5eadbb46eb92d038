//! The list of alerts: what was told, held back, given up.

use openclaw_detect::{Severity, Timestamp};
use serde::Serialize;

use super::outbox::State;
use super::{Filter, Store, StoreError, nanoseconds, severity_of};

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToldAlert {
    /// The alert's id.
    pub id: String,
    /// When it came into the outbox.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// Why it is sent.
    pub trigger: String,
    /// How bad it is.
    pub severity: Severity,
    /// The rule that it is of, where it is of one.
    pub rule: Option<String>,
    /// One line.
    pub title: String,
    /// One sentence.
    pub message: String,
    /// The id of the alert that was told in its place.
    pub held_by: Option<String>,
    /// Whether its rule was muted.
    pub muted: bool,
    /// How many like it were held back while it was told.
    pub held_back: u64,
    /// What became of it at each channel.
    pub deliveries: Vec<Delivery>,
}

/// What became of an alert at a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The channel.
    pub channel: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: &'static str,
    /// When it was delivered or given up.
    #[serde(serialize_with = "optional_rfc3339")]
    pub ended: Option<Timestamp>,
    /// Why it was given up.
    pub error: Option<String>,
}

/// Which alerts are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// All of them.
    #[default]
    All,
    /// Those that a channel has not accepted in time, or refused.
    Failed,
    /// Those that wait for a channel.
    Waiting,
    /// Those that were held back or muted.
    Held,
}

impl Which {
    /// Of which rows it is true.
    const fn condition(self) -> &'static str {
        match self {
            Which::All => "1",
            Which::Failed => "EXISTS (SELECT 1 FROM deliveries WHERE alert = seq AND state = 2)",
            Which::Waiting => "EXISTS (SELECT 1 FROM deliveries WHERE alert = seq AND state = 0)",
            Which::Held => "(held_by IS NOT NULL OR muted)",
        }
    }
}

impl Store {
    /// The alerts that pass, the newest first, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub fn alerts(&self, which: Which, filter: &Filter, limit: u32) -> Result<Vec<ToldAlert>, StoreError> {
        let listed = format!(
            "SELECT seq, id, at, trigger, severity, rule, title, message, muted,
               (SELECT id FROM alerts AS told WHERE told.seq = alerts.held_by),
               (SELECT count(*) FROM alerts AS held WHERE held.held_by = alerts.seq)
             FROM alerts WHERE severity >= ?1 AND (?2 IS NULL OR rule = ?2) AND at >= ?3 AND {}
             ORDER BY seq DESC LIMIT ?4",
            which.condition()
        );
        let severity = filter.severity.map_or(0, |severity| severity as i64);
        let since = filter.since.map_or(0, nanoseconds);
        let rows = self.rows(&listed, rusqlite::params![severity, filter.rule, since, limit], |row| {
            let severity: i64 = row.get(4)?;
            let alert = ToldAlert {
                id: row.get(1)?,
                at: Timestamp(row.get::<_, i64>(2)?.unsigned_abs()),
                trigger: row.get(3)?,
                severity: severity_of(severity),
                rule: row.get(5)?,
                title: row.get(6)?,
                message: row.get(7)?,
                held_by: row.get(9)?,
                muted: row.get(8)?,
                held_back: row.get::<_, i64>(10)?.unsigned_abs(),
                deliveries: Vec::new(),
            };
            Ok((row.get::<_, i64>(0)?, alert))
        })?;
        rows.into_iter()
            .map(|(seq, alert)| Ok(ToldAlert { deliveries: self.deliveries(seq)?, ..alert }))
            .collect()
    }

    fn deliveries(&self, seq: i64) -> Result<Vec<Delivery>, StoreError> {
        self.rows(
            "SELECT channel, state, ended, error FROM deliveries WHERE alert = ?1 ORDER BY channel",
            [seq],
            |row| {
                let state: i64 = row.get(1)?;
                let ended: Option<i64> = row.get(2)?;
                Ok(Delivery {
                    channel: row.get(0)?,
                    state: match state {
                        state if state == State::Waiting as i64 => "waiting",
                        state if state == State::Delivered as i64 => "delivered",
                        _ => "failed",
                    },
                    ended: ended.map(|ended| Timestamp(ended.unsigned_abs())),
                    error: row.get(3)?,
                })
            },
        )
    }
}

fn rfc3339<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::output::time::rfc3339(*time))
}

fn optional_rfc3339<S: serde::Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}
