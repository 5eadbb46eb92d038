//! Changes of credentials: those that a call announced, and those that nothing explains.

use openclaw_common::record::Header;
use openclaw_detect::{EventKind, ProcessId};

use super::{MAX_SUSPECTS, Occasion, Outlet, Stage};
use crate::enrich::{Body, Credentials};

impl Stage {
    /// A call has changed credentials, or not.
    pub(super) fn credentials(&mut self, header: &Header, outlet: &mut impl Outlet) {
        let process = self.table.ensure(&header.task);
        let id = process.id;
        if let Some(before) = process.see_credentials(&header.task, header.time) {
            let now = Credentials::of(&header.task);
            let same_user = (before.uid, before.euid) == (now.uid, now.euid);
            let how = if same_user { "setgid" } else { "setuid" };
            let occasion = Occasion::new(id, header.time, EventKind::PrivilegeChange);
            self.emit(occasion, outlet, |_, _| Body::Privilege(before, how));
        }
    }

    /// Remembers a record that carries other credentials than the last ones seen, though no call has announced
    /// them: either the kernel was made to change them, or the call's record is still on its way.
    pub(super) fn compare_credentials(&mut self, header: &Header) -> ProcessId {
        let process = self.table.ensure(&header.task);
        if process.has_unexplained(&header.task, header.time) && self.suspects.len() < MAX_SUSPECTS {
            self.suspects.push(*header);
        }
        process.id
    }

    /// Reports the changes of credentials that no call has explained by now; to be called when the process ring
    /// has been read for a while since. Where events were `lost`, an explanation may have been among them.
    pub fn settle_suspects(&mut self, lost: bool, outlet: &mut impl Outlet) {
        for header in std::mem::take(&mut self.suspects) {
            let process = self.table.ensure(&header.task);
            let id = process.id;
            if !process.has_unexplained(&header.task, header.time) {
                continue;
            }
            if let Some(before) = process.see_credentials(&header.task, header.time)
                && !lost
            {
                let occasion = Occasion::new(id, header.time, EventKind::PrivilegeChange);
                self.emit(occasion, outlet, |_, _| Body::Privilege(before, "unexplained"));
            }
        }
    }
}
