//! Changes of credentials: those that a call announced, and those that nothing explains.

use openclaw_common::record::{CredentialRecord, Header};
use openclaw_detect::{EventKind, ProcessId};

use super::{MAX_SUSPECTS, Occasion, Outlet, Stage};
use crate::enrich::{Body, Capabilities, Credentials, Privilege};

impl Stage {
    /// A call has changed credentials, or not.
    pub(super) fn credentials(&mut self, record: &CredentialRecord, outlet: &mut impl Outlet) {
        let header = &record.header;
        let process = self.table.ensure(&header.task);
        let id = process.id;
        let seen = Capabilities::known(record.effective, record.permitted);
        let capabilities_before = process.see_capabilities(seen, header.task.tid, header.time);
        let same = process.credentials;
        let (before, how) = match process.see_credentials(&header.task, header.time) {
            Some(before) => (before, call_of(before, Credentials::of(&header.task))),
            // No call but capset changes capabilities and leaves the ids what they are.
            None if capabilities_before.is_some() => (same, "capset"),
            None => return,
        };
        let occasion = Occasion::new(id, header.time, EventKind::PrivilegeChange);
        let change = Privilege { before, capabilities_before, how };
        self.emit(occasion, outlet, |_, _| Body::Privilege(change));
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
                let change = Privilege { before, capabilities_before: None, how: "unexplained" };
                self.emit(occasion, outlet, |_, _| Body::Privilege(change));
            }
        }
    }
}

/// The family of calls that changed the ids so.
fn call_of(before: Credentials, now: Credentials) -> &'static str {
    let same_user = (before.uid, before.euid) == (now.uid, now.euid);
    if same_user { "setgid" } else { "setuid" }
}
