//! What lines of logs tell.

use super::{Occasion, Outlet, Stage};
use crate::enrich::Body;
use crate::logs::Entry;

impl Stage {
    /// Takes in what a line tells.
    pub fn logged(&mut self, entry: &Entry, outlet: &mut impl Outlet) {
        self.emit(Occasion::logged(entry), outlet, |_, _| Body::Log(entry));
    }
}
