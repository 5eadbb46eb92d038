//! Credentials, by the system calls that change them. Changes without any call are found by the agent, which
//! compares the credentials that each record carries with the last ones seen.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::{map, raw_tracepoint},
    maps::LruHashMap,
    programs::RawTracePointContext,
};
use openclaw_common::record::{CREDENTIALS, Header, Task};
use openclaw_ebpf::kernel::current_task;

use crate::{emit, task};

/// Credentials as each thread has last reported them. Calls that change nothing would else let anybody fill
/// the process ring.
#[map]
static REPORTED: LruHashMap<u64, Task> = LruHashMap::with_max_entries(8192, 0);

/// `setuid` and its kin have returned without an error. Run by `syscall_exit`.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn credentials_changed(_ctx: RawTracePointContext) -> i32 {
    let who = task::identify(current_task());
    let key = u64::from(who.tgid) << 32 | u64::from(who.tid);
    // SAFETY: the value is copied at once, and is this thread's own.
    if unsafe { REPORTED.get(key) }.copied() == Some(who) {
        return 0;
    }
    // A map that cannot take it costs a record that says nothing new, no more.
    let _ = REPORTED.insert(key, who, u64::from(BPF_ANY));
    let mut record = Header { kind: CREDENTIALS, flags: 0, time: emit::now(), task: who };
    emit::to_process_ring((&raw mut record).cast(), size_of::<Header>() as u64);
    0
}
