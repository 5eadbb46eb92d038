//! The maps of the verdicts. All of them are pinned while a verdict lives.

use aya_ebpf::bindings::{
    BPF_F_CLONE, BPF_F_NO_PREALLOC, BPF_SK_STORAGE_GET_F_CREATE, bpf_map_type::BPF_MAP_TYPE_SK_STORAGE,
    bpf_sock,
};
use aya_ebpf::helpers::{bpf_ktime_get_boot_ns, generated::bpf_sk_storage_get};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, lpm_trie::Key};
use openclaw_common::verdict::{
    Allowed, Blocked, Counter, Fork, Isolation, NEAR_WORDS, ProcessMark, SocketMark, Verdict, near4, near6,
};

/// How many verdicts there can be, and how many blocked networks of a family.
const VERDICTS_AT_MOST: u32 = 65_536;

/// The verdicts by number, for the agent.
#[map]
static VERDICTS: HashMap<u64, Verdict> = HashMap::with_max_entries(VERDICTS_AT_MOST, BPF_F_NO_PREALLOC);

/// When each of them ends, in nanoseconds since boot.
#[map]
static EXPIRIES: HashMap<u64, u64> = HashMap::with_max_entries(VERDICTS_AT_MOST, 0);

/// Blocked IPv4 networks, in network order.
#[map]
static BLOCKED4: LpmTrie<[u8; 4], Blocked> = LpmTrie::with_max_entries(VERDICTS_AT_MOST, 0);

/// Blocked IPv6 networks, in network order.
#[map]
static BLOCKED6: LpmTrie<[u8; 16], Blocked> = LpmTrie::with_max_entries(VERDICTS_AT_MOST, 0);

/// Near which addresses something is blocked, a bit for each class of them: most packets are near nothing, and need not ask for
/// the longest prefix.
#[map]
static NEAR: Array<u64> = Array::with_max_entries(NEAR_WORDS, 0);

/// What isolation leaves open, and whether the host is isolated.
#[map]
static ISOLATION: Array<Isolation> = Array::with_max_entries(1, 0);

/// What the isolated may reach of IPv4, in network order.
#[map]
static ALLOWED4: LpmTrie<[u8; 4], Allowed> = LpmTrie::with_max_entries(4096, 0);

/// What the isolated may reach of IPv6, in network order.
#[map]
static ALLOWED6: LpmTrie<[u8; 16], Allowed> = LpmTrie::with_max_entries(4096, 0);

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

/// Sockets that isolated processes hold, and connections of the agent's.
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
    match unsafe { EXPIRIES.get(verdict) } {
        Some(expiry) => *expiry > now(),
        None => false,
    }
}

/// A remote address, in network order. Of bytes that are always there: the verifier does not let an `Option` of it be passed
/// on, in whose place of nothing there is nothing.
#[derive(Clone, Copy)]
pub(crate) struct Address {
    /// 4, 6, or 0 for none.
    family: u8,
    /// IPv4 in the first four.
    bytes: [u8; 16],
}

impl Address {
    /// Of what has no address, or none that can be read.
    pub(crate) const NONE: Address = Address { family: 0, bytes: [0; 16] };

    #[inline(always)]
    pub(crate) fn v4([a, b, c, d]: [u8; 4]) -> Address {
        Address { family: 4, bytes: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }
    }

    /// An IPv6 address as four words. One that stands for an IPv4 address is that.
    #[inline(always)]
    pub(crate) fn of_words(words: [u32; 4]) -> Address {
        if words[0] == 0 && words[1] == 0 && words[2] == 0xffff_u32.to_be() {
            return Address::v4(words[3].to_ne_bytes());
        }
        // SAFETY: both are sixteen bytes without padding, and every pattern of bits is valid.
        Address { family: 6, bytes: unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) } }
    }

    #[inline(always)]
    pub(crate) fn is_v4(self) -> bool {
        self.family == 4
    }

    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.family == 0
    }

    /// In network order; IPv4 in the first four.
    #[inline(always)]
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.bytes
    }

    #[inline(always)]
    fn first_four(self) -> [u8; 4] {
        [self.bytes[0], self.bytes[1], self.bytes[2], self.bytes[3]]
    }

    /// Whether it is blocked.
    #[inline(always)]
    pub(crate) fn is_blocked(self) -> bool {
        if !self.is_near() {
            return false;
        }
        let blocked = match self.family {
            4 => BLOCKED4.get(Key::new(32, self.first_four())),
            6 => BLOCKED6.get(Key::new(128, self.bytes)),
            _ => None,
        };
        match blocked {
            Some(blocked) => blocked.expiry > now(),
            None => false,
        }
    }

    /// Whether something is blocked near it, itself perhaps.
    #[inline(always)]
    fn is_near(self) -> bool {
        let bit = match self.family {
            4 => near4(self.first_four()),
            6 => near6(u32::from_be_bytes(self.first_four())),
            _ => return false,
        };
        // A word that is not there cannot say that nothing is.
        NEAR.get(bit / u64::BITS).is_none_or(|word| *word >> (bit % u64::BITS) & 1 == 1)
    }

    /// What the isolated may reach of it.
    #[inline(always)]
    pub(crate) fn allowed(self) -> Option<Allowed> {
        match self.family {
            4 => ALLOWED4.get(Key::new(32, self.first_four())).copied(),
            6 => ALLOWED6.get(Key::new(128, self.bytes)).copied(),
            _ => None,
        }
    }

    /// Whether it is 127.0.0.0/8 or ::1, or the unspecified address, by which a connection is one to these.
    #[inline(always)]
    pub(crate) fn is_loopback(self) -> bool {
        match self.family {
            4 => self.bytes[0] == 127 || self.first_four() == [0; 4],
            6 => u128::from_be_bytes(self.bytes) <= 1,
            _ => false,
        }
    }

    /// Whether it is that of everybody on an IPv4 link.
    #[inline(always)]
    pub(crate) fn is_broadcast(self) -> bool {
        self.family == 4 && self.first_four() == [255; 4]
    }

    /// Whether it is of one IPv6 link alone: fe80::/10, or one of its groups (RFC 4291).
    #[inline(always)]
    pub(crate) fn is_of_link(self) -> bool {
        let [first, second, ..] = self.bytes;
        self.family == 6
            && ((first == 0xfe && second & 0xc0 == 0x80) || (first == 0xff && second & 0x0f == 2))
    }
}

/// What isolation leaves open, and whether the host is isolated. There always is such a value.
#[inline(always)]
pub(crate) fn isolation() -> Option<Isolation> {
    ISOLATION.get(0).copied()
}

/// The number that a socket is marked with.
#[inline(always)]
pub(crate) fn mark_of(socket: *mut bpf_sock) -> Option<u64> {
    // SAFETY: the verifier checks that the socket is one; without a flag nothing is created.
    let mark: *const SocketMark = unsafe {
        bpf_sk_storage_get((&raw const MARKS).cast_mut().cast(), socket.cast(), core::ptr::null_mut(), 0)
    }
    .cast_const()
    .cast();
    if mark.is_null() {
        return None;
    }
    // SAFETY: not null, so it points at the socket's value, which lives as long as this program runs.
    Some(unsafe { (*mark).verdict })
}

/// Marks a socket. Returns whether it bears the mark.
#[inline(always)]
pub(crate) fn mark(socket: *mut bpf_sock, verdict: u64) -> bool {
    let mut mark = SocketMark { verdict };
    // SAFETY: the verifier checks that the socket is one; what is created begins as `mark`.
    let kept: *mut SocketMark = unsafe {
        bpf_sk_storage_get(
            (&raw const MARKS).cast_mut().cast(),
            socket.cast(),
            (&raw mut mark).cast(),
            u64::from(BPF_SK_STORAGE_GET_F_CREATE),
        )
    }
    .cast();
    if kept.is_null() {
        return false;
    }
    // SAFETY: not null, so it points at the socket's value, which lives as long as this program runs.
    unsafe { (*kept).verdict = verdict };
    true
}

/// Counts one.
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: the slot is this processor's own.
        unsafe { *value += 1 };
    }
}
