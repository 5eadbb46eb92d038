//! What is read of a task.

use openclaw_common::layout::MISSING;
use openclaw_common::record::{NO_CAPABILITIES, NO_ID, ProcessRecord, Task};
use openclaw_ebpf::{kernel::Ptr, offset};

use crate::scratch::Scratch;

/// Levels of control groups that are read.
const CGROUP_DEPTH: usize = 12;

/// Who a task is.
#[inline(always)]
pub fn identify(task: Ptr) -> Task {
    let cred = task.follow(offset!(task_real_cred));
    Task {
        start: task.follow(offset!(task_group_leader)).get(offset!(task_start_boottime)),
        tgid: task.get(offset!(task_tgid)),
        tid: task.get(offset!(task_pid)),
        uid: cred.get_or(offset!(cred_uid), NO_ID),
        euid: cred.get_or(offset!(cred_euid), NO_ID),
        gid: cred.get_or(offset!(cred_gid), NO_ID),
        egid: cred.get_or(offset!(cred_egid), NO_ID),
    }
}

/// Thread group id and start time of a task.
#[inline(always)]
pub fn key(task: Ptr) -> (u32, u64) {
    let leader = task.follow(offset!(task_group_leader));
    (task.get(offset!(task_tgid)), leader.get(offset!(task_start_boottime)))
}

/// Effective and permitted capabilities of a task.
#[inline(always)]
pub fn capabilities(task: Ptr) -> (u64, u64) {
    let cred = task.follow(offset!(task_real_cred));
    (
        cred.get_or(offset!(cred_cap_effective), NO_CAPABILITIES),
        cred.get_or(offset!(cred_cap_permitted), NO_CAPABILITIES),
    )
}

/// Whether exec gives a task no new privileges: 0, 1, or [`NO_ID`].
#[inline(always)]
fn no_new_privileges(task: Ptr) -> u32 {
    /// `PFA_NO_NEW_PRIVS` of the kernel.
    const BIT: u64 = 1;
    match task.get_or(offset!(task_atomic_flags), u64::MAX) {
        u64::MAX => NO_ID,
        flags => (flags & BIT) as u32,
    }
}

/// Fills in parent, session, terminal, namespaces and privileges.
#[inline(always)]
pub fn describe(task: Ptr, record: &mut ProcessRecord) {
    (record.parent, record.parent_start) = key(task.follow(offset!(task_real_parent)));
    record.loginuid = task.get_or(offset!(task_loginuid), NO_ID);
    record.pid_ns = pid_namespace(task);
    let nsproxy = task.follow(offset!(task_nsproxy));
    record.mnt_ns = nsproxy.follow(offset!(nsproxy_mnt_ns)).get(offset!(mnt_namespace_inum));
    record.net_ns = nsproxy.follow(offset!(nsproxy_net_ns)).get(offset!(net_inum));
    let signal = task.follow(offset!(task_signal));
    record.session = session(signal);
    (record.effective, record.permitted) = capabilities(task);
    record.no_new_privileges = no_new_privileges(task);
    record.tty = signal.follow(offset!(signal_tty)).get(offset!(tty_name));
}

/// The pid namespace that the task itself is in: that of its pid's innermost number, not
/// `pid_ns_for_children`.
#[inline(always)]
fn pid_namespace(task: Ptr) -> u32 {
    let pid = task.follow(offset!(task_thread_pid));
    let level: u32 = pid.get(offset!(pid_level));
    let numbers = pid.member(offset!(pid_numbers));
    let size = offset!(upid_size);
    if size == MISSING {
        return 0;
    }
    let innermost = Ptr(numbers.0 + u64::from(level & 0x1f) * u64::from(size));
    innermost.follow(offset!(upid_ns)).get(offset!(pid_namespace_inum))
}

#[inline(always)]
fn session(signal: Ptr) -> u32 {
    let leader = signal.member(offset!(signal_pids)).entry(offset!(pidtype_sid));
    leader.member(offset!(pid_numbers)).get(offset!(upid_nr))
}

/// Appends the path of the control group, from its last component to its first. That of version 2, or where
/// the task is at version 2's root (as on hosts that still use version 1) that of the memory controller.
#[inline(always)]
pub fn append_cgroup(task: Ptr, scratch: &mut Scratch) -> u32 {
    let set = task.follow(offset!(task_cgroups));
    let mut node = set.follow(offset!(css_set_dfl_cgrp)).follow(offset!(cgroup_kn));
    if node.follow(offset!(kernfs_node_parent)).is_null() {
        node = memory_group(set);
    }
    let mut len = 0;
    for _ in 0..CGROUP_DEPTH {
        let parent = node.follow(offset!(kernfs_node_parent));
        if parent.is_null() {
            break;
        }
        len += scratch.append_kernel_string::<256>(node.follow(offset!(kernfs_node_name)).0);
        node = parent;
    }
    len
}

#[inline(always)]
fn memory_group(set: Ptr) -> Ptr {
    let state = set.member(offset!(css_set_subsys)).entry(offset!(memory_cgrp_id));
    state.follow(offset!(css_cgroup)).follow(offset!(cgroup_kn))
}
