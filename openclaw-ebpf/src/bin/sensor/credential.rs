//! Credentials, by the system calls that change them. Changes without any call are found by the agent, which
//! compares the credentials that each record carries with the last ones seen.

use aya_ebpf::{
    bindings::BPF_ANY,
    macros::{btf_tracepoint, map},
    maps::LruHashMap,
    programs::BtfTracePointContext,
};
use openclaw_common::record::{CREDENTIALS, CredentialRecord, Header, Task};
use openclaw_ebpf::kernel::current_task;

use crate::{emit, task};

/// Credentials as each thread has last reported them. Calls that change nothing would else let anybody fill
/// the process ring.
#[map]
static REPORTED: LruHashMap<u64, Reported> = LruHashMap::with_max_entries(8192, 0);

#[repr(C)]
#[derive(Clone, Copy, PartialEq)]
struct Reported {
    who: Task,
    effective: u64,
    permitted: u64,
}

/// `setuid` and its kin, or `capset`, have returned without an error. Run by `syscall_exit`.
#[btf_tracepoint(function = "sys_exit")]
pub fn credentials_changed(_ctx: BtfTracePointContext) -> i32 {
    let current = current_task();
    let who = task::identify(current);
    let (effective, permitted) = task::capabilities(current);
    let now = Reported { who, effective, permitted };
    let key = u64::from(who.tgid) << 32 | u64::from(who.tid);
    // SAFETY: the value is copied at once, and is this thread's own.
    if unsafe { REPORTED.get(key) }.copied() == Some(now) {
        return 0;
    }
    // A map that cannot take it costs a record that says nothing new, no more.
    let _ = REPORTED.insert(key, now, u64::from(BPF_ANY));
    let header = Header { kind: CREDENTIALS, flags: 0, time: emit::now(), task: who };
    let mut record = CredentialRecord { header, effective, permitted };
    emit::to_process_ring((&raw mut record).cast(), size_of::<CredentialRecord>() as u64);
    0
}
