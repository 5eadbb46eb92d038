//! What acted upon the kernel, upon another process, or upon the sensor.

use openclaw_common::record::KernelRecord;
use openclaw_common::syscall::SIGNAL;
use openclaw_detect::{EventKind, ProcessId};

use super::{Occasion, Outlet, Stage};
use crate::enrich::{Body, Clock, KernelBody, TamperBody, Traced};

impl Stage {
    /// Something has acted upon the kernel, or upon another process.
    pub(super) fn kernel(&mut self, record: &KernelRecord, outlet: &mut impl Outlet) {
        if record.operation == SIGNAL {
            return self.signalled(record, outlet);
        }
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
        let aimed_at_agent = match &body {
            KernelBody::Trace { action, target: Some(target) } if target.pid == std::process::id() => {
                Some(*action)
            }
            KernelBody::Bpf { action: "detach", .. } => {
                self.detacher = Some(id);
                None
            }
            _ => None,
        };
        let occasion = |kind| Occasion::new(id, record.header.time, kind).by(&record.header.task);
        self.emit(occasion(body.kind()), outlet, |_, _| Body::Kernel(body));
        if let Some(action) = aimed_at_agent {
            self.emit(occasion(EventKind::SensorTamper), outlet, |_, _| {
                Body::Tamper(TamperBody::traced(action))
            });
        }
    }

    /// A signal was sent to the agent, or to the one before it, which the signal has ended.
    pub fn signalled(&mut self, record: &KernelRecord, outlet: &mut impl Outlet) {
        let [signal, by_kernel, ..] = record.arguments;
        let id = (by_kernel == 0).then(|| {
            let process = self.table.ensure(&record.header.task);
            process.call_if_nameless(&KernelBody::name_of(record));
            process.id
        });
        let occasion = Occasion::new(id, record.header.time, EventKind::SensorTamper);
        let occasion = if by_kernel == 0 { occasion.by(&record.header.task) } else { occasion };
        self.emit(occasion, outlet, |_, _| Body::Tamper(TamperBody::signal(signal)));
    }

    /// Tells that somebody has detached programs of the sensor: who detached any last, where that was seen.
    pub fn detached(&mut self, programs: impl IntoIterator<Item = &'static str>, outlet: &mut impl Outlet) {
        let who: Option<ProcessId> = self.detacher.take();
        for program in programs {
            let occasion = Occasion::new(who, Clock::since_boot(), EventKind::SensorTamper);
            self.emit(occasion, outlet, |_, _| Body::Tamper(TamperBody::detached(program)));
        }
    }
}

/// `PROC_PID_INIT_INO` of the kernel: the inode number of the first pid namespace.
const FIRST_PID_NAMESPACE: u32 = 0xeffffffc;
