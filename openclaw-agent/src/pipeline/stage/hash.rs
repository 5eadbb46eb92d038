//! What the executables of processes hash to.

use openclaw_detect::{EventKind, ProcessId};

use super::{Occasion, Outlet, Stage};
use crate::enrich::Body;
use crate::hash::{Hashed, Hashes, Misses};

impl Stage {
    /// Tells from now on what executables hash to.
    pub fn hash_with(&mut self, hashes: Hashes) {
        self.hashes = Some(hashes);
    }

    /// Why programs have no hash, so far.
    pub fn hash_misses(&self) -> Misses {
        self.hashes.as_ref().map(Hashes::misses).unwrap_or_default()
    }

    /// Looks up what a process has begun to run at that time, nanoseconds since boot.
    pub(super) fn ask_for_hash(&mut self, id: ProcessId, time: u64) {
        let Some(hashes) = &mut self.hashes else { return };
        let Some(process) = self.table.get(id) else { return };
        let Some(exec) = &process.image.exec else { return };
        let begun = self.clock.time_of(time);
        if let Some(sha256) = hashes.look_up(id, exec.file, begun, &process.image.executable) {
            process.learn_hash(&exec.file, &sha256);
        }
    }

    /// Takes in what has been read since, and asks the rules once more.
    pub fn take_hashes(&mut self, outlet: &mut impl Outlet) {
        while let Some(read) = self.hashes.as_mut().and_then(Hashes::next_read) {
            let Hashed { processes, version, sha256 } = read;
            for id in processes {
                let ran = self.table.get(id).and_then(|process| process.learn_hash(&version, &sha256));
                if let Some(time) = ran {
                    self.emit(Occasion::new(id, time, EventKind::ProcessHash), outlet, |_, _| Body::Hash);
                }
            }
        }
    }
}
