//! What a keeper ended while there was no agent: noted until that is on record, so that an agent that is killed before
//! leaves it to the next one.

use std::path::Path;

use super::ActionRecord;
use super::journal::Journal;

/// The notes on what a keeper ended.
#[derive(Debug)]
pub struct Endings(Journal);

impl Endings {
    /// Those in the folder in which an agent notes what it does.
    pub fn new(state: &Path) -> Self {
        Endings(Journal::new(state))
    }

    /// An answer is on record, as far as it has come: of one that has ended no note is needed.
    pub fn on_record(&self, action: &ActionRecord) {
        if action.ended.is_some()
            && let Err(error) = self.0.forget_end(&action.id)
        {
            tracing::error!("the note on {}, which has ended, cannot be removed: {error}", action.id);
        }
    }
}
