//! How the reading of logs goes, for the status.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// How the reading of one source goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogStatus {
    /// The source's name in the configuration.
    pub source: String,
    /// Its paths; empty of the journal.
    pub path: String,
    /// Lines that were read since the agent started.
    pub lines: u64,
    /// Events that they told.
    pub events: u64,
    /// Lines that are none of such a log.
    pub malformed: u64,
    /// Lines that were longer than is taken of one.
    pub cut: u64,
    /// Bytes that are there and not read yet.
    pub behind_bytes: u64,
    /// Whether there is any such log.
    pub is_there: bool,
    /// What is wrong with it at present.
    pub problem: Option<String>,
    /// Why lines are missing, of those that were written while no agent ran.
    pub missing: Option<String>,
}

impl LogStatus {
    /// Whether there is anything to tell of it: most logs that a host may have are not there.
    pub fn is_of_interest(&self) -> bool {
        self.is_there || self.problem.is_some() || self.missing.is_some()
    }
}

/// The same of all logs, shared between who reads them and who tells of it.
#[derive(Debug, Clone, Default)]
pub struct LogCounts(Arc<Mutex<Vec<LogStatus>>>);

impl LogCounts {
    /// How it goes by now.
    pub fn get(&self) -> Vec<LogStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells that no log is read any more. Whether that is news.
    pub(super) fn fail(&self, problem: &str) -> bool {
        let mut statuses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = statuses.iter().any(|status| status.problem.as_deref() != Some(problem));
        statuses.iter_mut().for_each(|status| status.problem = Some(problem.to_owned()));
        is_news
    }

    /// Tells how it goes.
    pub(super) fn set(&self, statuses: Vec<LogStatus>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = statuses;
    }
}
