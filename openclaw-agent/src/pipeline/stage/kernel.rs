//! What acted upon the kernel, or upon another process.

use openclaw_common::record::KernelRecord;

use super::{Occasion, Outlet, Stage};
use crate::enrich::{Body, KernelBody, Traced};

impl Stage {
    /// A call has acted upon the kernel, or upon another process.
    pub(super) fn kernel(&mut self, record: &KernelRecord, outlet: &mut impl Outlet) {
        let id = self.compare_credentials(&record.header);
        let table = &self.table;
        // The caller's numbers are those of its own pid namespace; in any but the first they are other processes'.
        let in_first = table.get(id).is_some_and(|caller| caller.namespaces[0] == FIRST_PID_NAMESPACE);
        let traced = |pid: u32| {
            let process = table.running(pid).filter(|_| in_first)?;
            let image = &process.image;
            Some(Traced { pid, name: image.name.clone(), executable: image.executable.clone() })
        };
        let Some(body) = KernelBody::of(record, traced) else {
            self.counts.malformed += 1;
            return;
        };
        let occasion = Occasion::new(id, record.header.time, body.kind()).by(&record.header.task);
        self.emit(occasion, outlet, |_, _| Body::Kernel(body));
    }
}

/// `PROC_PID_INIT_INO` of the kernel: the inode number of the first pid namespace.
const FIRST_PID_NAMESPACE: u32 = 0xeffffffc;
