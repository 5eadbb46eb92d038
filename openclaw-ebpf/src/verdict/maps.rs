//! The maps of the verdicts. All of them are pinned while a verdict lives.

use aya_ebpf::bindings::{BPF_F_CLONE, BPF_F_NO_PREALLOC, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE, bpf_sock};
use aya_ebpf::helpers::{bpf_ktime_get_boot_ns, generated::bpf_sk_storage_get};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{HashMap, LpmTrie, LruHashMap, PerCpuArray, lpm_trie::Key};
use openclaw_common::verdict::{Blocked, Counter, Fork, ProcessMark, SocketMark, Verdict};

/// The verdicts by number.
#[map]
static VERDICTS: HashMap<u64, Verdict> = HashMap::with_max_entries(4096, 0);

/// Blocked IPv4 networks, in network order.
#[map]
static BLOCKED4: LpmTrie<[u8; 4], Blocked> = LpmTrie::with_max_entries(16384, 0);

/// Blocked IPv6 networks, in network order.
#[map]
static BLOCKED6: LpmTrie<[u8; 16], Blocked> = LpmTrie::with_max_entries(16384, 0);

/// Isolated processes by thread group id. The agent makes it large enough for all that the machine can have.
#[map]
pub(crate) static ISOLATED: HashMap<u32, ProcessMark> = HashMap::with_max_entries(16384, 0);

/// Forks by the child's thread group id. The oldest give way.
#[map]
pub(crate) static FORKS: LruHashMap<u32, Fork> = LruHashMap::with_max_entries(8192, 0);

/// Counted per processor; see [`Counter`].
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT, 0);

/// Inode number of the cgroup folder that the programs are attached to, written and read by the agent.
#[map]
static ATTACHED: HashMap<u32, u64> = HashMap::with_max_entries(1, 0);

/// A map in sockets. With `BPF_F_CLONE`, which aya's own type lacks, sockets that a marked listener accepts
/// are born with its mark.
#[repr(C)]
struct SocketStorage {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const SocketMark,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: the pointers only describe the map to the loader; nothing reads through them.
unsafe impl Sync for SocketStorage {}

/// Sockets that isolated processes hold.
#[btf_map]
static MARKS: SocketStorage = SocketStorage {
    r#type: core::ptr::null(),
    key: core::ptr::null(),
    value: core::ptr::null(),
    max_entries: core::ptr::null(),
    map_flags: core::ptr::null(),
};

/// Nanoseconds since boot, time asleep included.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Whether the verdict is in force.
#[inline(always)]
pub(crate) fn in_force(verdict: u64) -> bool {
    // SAFETY: the value is read at once; an entry that is replaced meanwhile is as good as the new one.
    match unsafe { VERDICTS.get(verdict) } {
        Some(verdict) => verdict.expiry > now(),
        None => false,
    }
}

/// Whether an IPv4 address, in network order, is blocked.
#[inline(always)]
pub(crate) fn is_blocked4(address: [u8; 4]) -> bool {
    match BLOCKED4.get(Key::new(32, address)) {
        Some(blocked) => blocked.expiry > now(),
        None => false,
    }
}

/// Whether an IPv6 address, as four words in network order, is blocked. One that stands for an IPv4 address
/// is looked up as that.
#[inline(always)]
pub(crate) fn is_blocked6(words: [u32; 4]) -> bool {
    if words[0] == 0 && words[1] == 0 && words[2] == 0xffff_u32.to_be() {
        return is_blocked4(words[3].to_ne_bytes());
    }
    // SAFETY: both are sixteen bytes without padding, and every pattern of bits is valid.
    let address: [u8; 16] = unsafe { core::mem::transmute(words) };
    match BLOCKED6.get(Key::new(128, address)) {
        Some(blocked) => blocked.expiry > now(),
        None => false,
    }
}

/// Whether a full socket bears the mark of an isolation that is in force.
#[inline(always)]
pub(crate) fn is_marked(socket: *mut bpf_sock) -> bool {
    // SAFETY: the verifier checks that the socket is one; without a flag nothing is created.
    let mark: *const SocketMark = unsafe {
        bpf_sk_storage_get((&raw const MARKS).cast_mut().cast(), socket.cast(), core::ptr::null_mut(), 0)
    }
    .cast_const()
    .cast();
    if mark.is_null() {
        return false;
    }
    // SAFETY: not null, so it points at the socket's value, which lives as long as this program runs.
    in_force(unsafe { (*mark).verdict })
}

/// Counts one.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot is this processor's own.
        unsafe { *value += 1 };
    }
}
