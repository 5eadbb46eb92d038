//! The records that the sensor's programs write into the rings.
//!
//! A record is a fixed struct that begins with [`Header`], followed by its sections: byte strings whose
//! lengths the struct names, one after the other without gaps.
//!
//! A *path section* holds the components of a path from its last to its first, each ended by NUL: the order
//! in which the kernel's dentries lead. The root has no component.

#[cfg(feature = "user")]
use bytemuck::{Pod, Zeroable};

/// [`Header::kind`]: a process made a child.
pub const FORK: u32 = 1;
/// [`Header::kind`]: a process runs another program; see [`ExecRecord`].
pub const EXEC: u32 = 2;
/// [`Header::kind`]: the last thread of a process ended.
pub const EXIT: u32 = 3;
/// [`Header::kind`]: a process that was there before the sensor.
pub const EXISTING: u32 = 4;
/// [`Header::kind`]: credentials may have changed; see [`CredentialRecord`].
pub const CREDENTIALS: u32 = 5;
/// [`Header::kind`]: a file was opened; see [`FileRecord`].
pub const FILE_OPEN: u32 = 6;
/// [`Header::kind`]: something was done to a path; see [`FileRecord`].
pub const FILE_PATH: u32 = 7;
/// [`Header::kind`]: a TCP connection; see [`NetworkRecord`].
pub const NETWORK: u32 = 8;

/// [`Header::kind`]: a flow of UDP; see [`NetworkRecord`].
pub const UDP: u32 = 35;
/// [`Header::kind`]: a DNS message; see [`DnsRecord`].
pub const DNS: u32 = 36;

/// [`Header::kind`]: a call acted upon the kernel or upon another process; see [`KernelRecord`].
pub const KERNEL: u32 = 9;

/// No such id: what the kernel calls `INVALID_UID`, and an unset loginuid.
pub const NO_ID: u32 = u32::MAX;

/// Who did it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Task {
    /// Start of the thread group leader, nanoseconds since boot (`start_boottime`).
    pub start: u64,
    /// Thread group id (what users call the pid), initial pid namespace.
    pub tgid: u32,
    /// Thread id, initial pid namespace.
    pub tid: u32,
    /// Real user id, initial user namespace.
    pub uid: u32,
    /// Effective user id, initial user namespace.
    pub euid: u32,
    /// Real group id, initial user namespace.
    pub gid: u32,
    /// Effective group id, initial user namespace.
    pub egid: u32,
}

impl Task {
    /// Nobody that is known.
    pub const UNKNOWN: Task =
        Task { start: 0, tgid: 0, tid: 0, uid: NO_ID, euid: NO_ID, gid: NO_ID, egid: NO_ID };

    /// Whether it is a process. What idles is none, and has the number of [`Task::UNKNOWN`].
    pub const fn is_known(&self) -> bool {
        self.tgid != 0
    }
}

/// What every record begins with.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Header {
    /// One of the constants of this module.
    pub kind: u32,
    /// Bits, meanings by kind: see the `FLAG_` constants.
    pub flags: u32,
    /// When, nanoseconds since boot.
    pub time: u64,
    /// Who.
    pub task: Task,
}

impl Header {
    /// Whether what the record is about lies in the upper layer of an overlay; none where it lies in no overlay, or
    /// the kernel does not tell.
    pub const fn upper_layer(&self) -> Option<bool> {
        if self.flags & FLAG_LAYER_KNOWN == 0 { None } else { Some(self.flags & FLAG_UPPER_LAYER != 0) }
    }
}

/// [`Header::flags`]: the arguments were longer than what was taken.
pub const FLAG_ARGS_CUT: u32 = 1;
/// [`Header::flags`]: the arguments could not be read.
pub const FLAG_ARGS_UNREADABLE: u32 = 1 << 1;
/// [`Header::flags`]: the (first) path was too deep and lacks its beginning.
pub const FLAG_PATH_CUT: u32 = 1 << 2;
/// [`Header::flags`]: the second path was too deep and lacks its beginning.
pub const FLAG_PATH2_CUT: u32 = 1 << 3;
/// [`Header::flags`]: the program is run by an interpreter; the caller's path is that of the script.
pub const FLAG_SCRIPT: u32 = 1 << 4;
/// [`Header::flags`]: the environment was longer than what was taken, or could not be read.
pub const FLAG_ENVIRONMENT_CUT: u32 = 1 << 5;
/// [`Header::flags`]: the executable has been deleted.
pub const FLAG_DELETED: u32 = 1 << 6;
/// [`Header::flags`]: the executable is in no tree of directories and never was, as a memfd.
pub const FLAG_TREELESS: u32 = 1 << 7;
/// [`Header::flags`]: the kernel tells in which layer of an overlay the executable, or the file, lies.
pub const FLAG_LAYER_KNOWN: u32 = 1 << 8;
/// [`Header::flags`]: it lies in the upper layer of an overlay.
pub const FLAG_UPPER_LAYER: u32 = 1 << 9;

/// [`Header::flags`]: the act names two paths.
pub const FLAG_TWO_PATHS: u32 = 1 << 10;

/// [`Header::flags`]: the paths are those of the kernel's own objects, and sections 0 and 1 hold none.
pub const FLAG_RESOLVED: u32 = 1 << 11;

/// Most bytes of arguments that are taken.
pub const ARGS_MAX: usize = 4096;

/// Most bytes of the environment that are taken.
pub const ENVIRONMENT_MAX: usize = 8192;

/// A set of capabilities that could not be read: no kernel has that many.
pub const NO_CAPABILITIES: u64 = u64::MAX;

/// A fork, an exit, or a process that was there before. The latter has one section, the path of the control
/// group (a path section); the others have none.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct ProcessRecord {
    /// Common to all.
    pub header: Header,
    /// Start of the parent, nanoseconds since boot.
    pub parent_start: u64,
    /// Of a fork: start of the process that forked, which `CLONE_PARENT` makes another than the parent.
    pub forker_start: u64,
    /// Thread group id of the parent.
    pub parent: u32,
    /// Of a fork: thread group id of the process that forked.
    pub forker: u32,
    /// The login user, or [`NO_ID`].
    pub loginuid: u32,
    /// Pid of the session leader, initial pid namespace; 0 where unknown.
    pub session: u32,
    /// Inode number of the pid namespace; 0 where unknown.
    pub pid_ns: u32,
    /// Inode number of the mount namespace; 0 where unknown.
    pub mnt_ns: u32,
    /// Inode number of the network namespace; 0 where unknown.
    pub net_ns: u32,
    /// Of an exit: the status as `wait` has it (`code << 8 | signal`).
    pub exit_status: u32,
    /// Name of the controlling terminal, ended by NUL; empty where there is none.
    pub tty: [u8; 32],
    /// Effective capabilities, by their numbers as bits; [`NO_CAPABILITIES`] where unknown.
    pub effective: u64,
    /// Permitted capabilities, likewise.
    pub permitted: u64,
    /// Whether exec gives it no new privileges: 0 or 1; [`NO_ID`] where unknown.
    pub no_new_privileges: u32,
    /// Length of the section in bytes.
    pub cgroup: u32,
}

/// A file, told from every other and from what it was before it was changed.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct FileVersion {
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// When it was last changed, its inode included: seconds since the Unix epoch.
    pub changed: i64,
    /// The nanoseconds of that time.
    pub changed_nanoseconds: u32,
    /// Device number as the kernel has it: `major << 20 | minor`.
    pub device: u32,
    /// Magic number of the file system (`linux/magic.h`).
    pub file_system: u64,
}

/// What a descriptor stands for.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Descriptor {
    /// Type and permission bits of the inode, or [`CLOSED`].
    pub mode: u32,
    /// Of a socket its address family; of a device its number, `major << 20 | minor`.
    pub detail: u32,
}

/// [`Descriptor::mode`]: the descriptor is not open.
pub const CLOSED: u32 = u32::MAX;

/// A process that runs another program. Sections: control group (path section), the path as the caller passed
/// it to exec (ended by NUL), arguments (each ended by NUL), the interpreter's path as the script names it
/// (ended by NUL; empty where there is none), environment (each ended by NUL), executable (path section), working
/// directory (path section).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct ExecRecord {
    /// What is told of every process.
    pub process: ProcessRecord,
    /// The executable.
    pub executable: FileVersion,
    /// Standard input, output and error.
    pub stdio: [Descriptor; 3],
    /// Lengths of the sections in bytes.
    pub sections: [u32; 7],
    /// How many arguments exec was given.
    pub argc: u32,
}

/// A system call that may change credentials returned without an error.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct CredentialRecord {
    /// Common to all.
    pub header: Header,
    /// Effective capabilities, by their numbers as bits; [`NO_CAPABILITIES`] where unknown.
    pub effective: u64,
    /// Permitted capabilities, likewise.
    pub permitted: u64,
}

/// An open file, or an act upon a path.
///
/// Sections: the path as the caller passed it, a second such text (the new name of a rename, a link's name, the
/// name of an extended attribute), each ended by NUL; then, as path sections, the directories at which they begin (empty for an absolute
/// path). Of an open file only the third is there, the file's own path, and an attribute's name.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct FileRecord {
    /// Common to all.
    pub header: Header,
    /// Inode number, of an open file.
    pub inode: u64,
    /// Device number as the kernel has it: `major << 20 | minor`.
    pub device: u32,
    /// Type and permission bits; of chmod, the permission bits asked for.
    pub mode: u32,
    /// Owner; of a chown by path the new one, [`NO_ID`] where it stays.
    pub uid: u32,
    /// Owner's group, likewise.
    pub gid: u32,
    /// One of [`crate::syscall`]'s operations; of an open file, what the open did.
    pub operation: u32,
    /// Lengths of the sections in bytes.
    pub sections: [u32; 4],
    /// File mode of the open (`FMODE_`), of an open file.
    pub open_mode: u32,
    /// Why it was not done, an `errno`; 0 where it was.
    pub error: u32,
    /// No meaning; keeps the size a multiple of eight.
    pub reserved: u32,
}

/// [`NetworkRecord::action`]: the connection is established (inbound: accepted).
pub const NET_ESTABLISHED: u32 = 1;
/// [`NetworkRecord::action`]: it carried data since the record before.
pub const NET_PROGRESS: u32 = 2;
/// [`NetworkRecord::action`]: it ended; the bytes are final.
pub const NET_CLOSED: u32 = 3;
/// [`NetworkRecord::action`]: it was never established.
pub const NET_FAILED: u32 = 4;
/// [`NetworkRecord::action`]: a socket listens.
pub const NET_LISTEN: u32 = 5;
/// [`NetworkRecord::action`]: a socket was bound to an address and a port.
pub const NET_BIND: u32 = 6;
/// [`NetworkRecord::action`]: a raw socket of IPv4 or IPv6 was made.
pub const NET_RAW_SOCKET: u32 = 7;
/// [`NetworkRecord::action`]: a packet socket was made.
pub const NET_PACKET_SOCKET: u32 = 8;
/// [`NetworkRecord::action`]: a packet came in for a port at which nobody listens. There is no process.
pub const NET_REFUSED: u32 = 9;

/// A TCP connection, a flow of UDP (what one socket and one remote address and port exchange), a socket, or a
/// packet that was refused. [`Header::task`] is the process that owns it, not the one that ran at that time.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct NetworkRecord {
    /// Common to all.
    pub header: Header,
    /// Tells the connection from every other that is open: the kernel address of its socket (of UDP, of its
    /// entry in the table of flows), scrambled by nothing since it goes to root only.
    pub socket: u64,
    /// Payload bytes sent, retransmissions left out.
    pub sent: u64,
    /// Payload bytes received.
    pub received: u64,
    /// Packets sent; of TCP its own count of segments, which begins anew after 2³².
    pub packets_sent: u64,
    /// Packets received, likewise.
    pub packets_received: u64,
    /// This side and the other.
    pub endpoints: crate::network::Endpoints,
    /// One of the `NET_` constants.
    pub action: u32,
    /// State of the TCP connection, as `include/net/tcp_states.h` numbers them; 0 of UDP.
    pub state: u32,
    /// The IP protocol.
    pub protocol: u32,
    /// The error by which the connection ended (an `errno`); 0 where there was none.
    pub error: u32,
}

/// Most bytes of a DNS message that are taken: what resolvers offer to receive in one datagram, so that it is
/// not fragmented.
pub const DNS_MAX: usize = 1232;

/// What is told of a DNS message beside the message.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct DnsHead {
    /// Common to all. The task is who owns the socket.
    pub header: Header,
    /// This side and the other; outbound where the other side is the one at port 53.
    pub endpoints: crate::network::Endpoints,
    /// `IPPROTO_UDP` or `IPPROTO_TCP`.
    pub protocol: u32,
    /// Not 0: this side has sent it.
    pub sent: u32,
    /// Bytes of payload that the packet has.
    pub len: u32,
    /// Bytes of the record's payload that are the packet's, [`DNS_MAX`] at most.
    pub taken: u32,
}

/// A DNS message that was sent or received, as the packet has it. Over TCP it is the beginning of a segment,
/// the two bytes of length included.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct DnsRecord {
    /// What is told beside it.
    pub head: DnsHead,
    /// The beginning of the packet's payload.
    pub payload: [u8; DNS_MAX],
}

/// A call that acted upon the kernel, or upon another process.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct KernelRecord {
    /// Common to all.
    pub header: Header,
    /// The call's first four arguments, as they were in its registers; of a signal, see
    /// [`crate::syscall::SIGNAL`].
    pub arguments: [u64; 4],
    /// One of [`crate::syscall`]'s operations of [`crate::syscall::SHAPE_KERNEL`].
    pub operation: u32,
    /// Of a namespace that was entered: its type, a `CLONE_NEW` flag; 0 where unknown. Of a BPF program: its
    /// type (`enum bpf_prog_type`).
    pub of_type: u32,
    /// Name of a BPF program, of a module, or of the process that sent a signal, ended by NUL; empty where
    /// unknown.
    pub name: [u8; 64],
}

impl Default for KernelRecord {
    fn default() -> Self {
        KernelRecord { header: Header::default(), arguments: [0; 4], operation: 0, of_type: 0, name: [0; 64] }
    }
}

/// Why something was not carried: the indices of the kernel's loss counters.
pub mod loss {
    /// The process ring was full.
    pub const PROCESS_RING: u32 = 0;
    /// The network ring was full.
    pub const NETWORK_RING: u32 = 1;
    /// The file ring was full.
    pub const FILE_RING: u32 = 2;
    /// The table of open connections was full.
    pub const CONNECTIONS: u32 = 3;
    /// The table of UDP flows was full: a packet that belongs to no flow in it.
    pub const FLOWS: u32 = 4;
    /// Entries of the connection table whose connection had ended unseen: of its end only what was last sampled
    /// is told.
    pub const STALE: u32 = 5;
    /// All scratches of the processor were taken, by tasks that were preempted while a record of theirs was built: a
    /// record that was not built. What was to be told of a path may have been told by the call instead.
    pub const SCRATCHES: u32 = 6;
    /// A path was too deep to be walked whole: not lost, but sent without its beginning, and marked.
    pub const WALK: u32 = 7;
    /// What belongs to the agent itself: not lost, left out.
    pub const OWN: u32 = 8;
    /// The same access by the same process within a second: not lost, counted here instead.
    pub const REPEATED: u32 = 9;
    /// Reads of paths that no rule watches: not lost, left out.
    pub const UNWATCHED: u32 = 10;
    /// Packets of the same sender to the same closed port within a second: not lost, counted here instead.
    pub const REPEATED_PROBES: u32 = 11;
    /// How many counters there are.
    pub const COUNT: u32 = 12;
    /// Names, by index.
    pub const NAMES: [&str; COUNT as usize] = [
        "process_ring_full",
        "network_ring_full",
        "file_ring_full",
        "connection_table_full",
        "udp_flow_table_full",
        "stale_connection",
        "scratches_taken",
        "path_cut",
        "own_activity",
        "repeated_access",
        "unwatched_read",
        "repeated_probe",
    ];
    /// From this index on the counters are of what was not lost.
    pub const FIRST_FILTER: u32 = WALK;
}

/// What the agent tells the sensor's programs, in the one entry of the control map.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Control {
    /// Thread group whose activity is counted and left out: the agent.
    pub own: u32,
    /// One of the `READS_` constants.
    pub reads: u32,
    /// Not 0: the files of tasks are listed for their connections rather than their listening sockets.
    pub connections: u32,
    /// Inode number of the mount namespace in which the watched paths were looked up.
    pub mnt_ns: u32,
    /// Which packets are looked at: the `PACKETS_` bits.
    pub packets: u32,
    /// Not 0: what io_uring is asked to do is of interest.
    pub uring: u32,
    /// What is of interest that is done to files: the `FILES_` bits.
    pub files: u32,
    /// For so long after it woke the agent, in nanoseconds, a record for which answers wait does not wake it again.
    pub wake_interval: u32,
}

/// For so long after such a record woke the agent, in nanoseconds, forks and exits and what goes on in the network and
/// with files do not wake it again: it looks again by itself, and later than this, as long as it finds something.
pub const ATTENTIVE: u64 = 10_000_000;

/// [`Control::files`]: what was done.
pub const FILES_DONE: u32 = 1;
/// [`Control::files`]: what was tried.
pub const FILES_TRIED: u32 = 2;
/// [`Control::files`]: what calls do to paths is noted before it is done, so that failed calls matter too.
pub const FILES_NOTED: u32 = 4;

/// [`Control::files`]: file systems that were mounted and unmounted.
pub const FILES_MOUNTED: u32 = 8;

/// [`Control::packets`]: flows of UDP are counted.
pub const PACKETS_UDP: u32 = 1;
/// [`Control::packets`]: DNS messages are taken.
pub const PACKETS_DNS: u32 = 2;

/// [`Control::reads`]: no read is of interest.
pub const READS_NONE: u32 = 0;
/// [`Control::reads`]: reads of what the watch map holds.
pub const READS_WATCHED: u32 = 1;
/// [`Control::reads`]: every read.
pub const READS_ALL: u32 = 2;

/// Key of the map of watched directories and files.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct WatchKey {
    /// Inode number.
    pub inode: u64,
    /// Device number as the kernel has it.
    pub device: u32,
    /// No meaning; keeps the size a multiple of eight.
    pub reserved: u32,
}

/// What is watched at an inode.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(Pod, Zeroable))]
pub struct Watch {
    /// Not 0: everything below it.
    pub subtree: u64,
    /// Direct children whose names have one of these lengths: bit n for n bytes, bit 63 for more. A name is
    /// told by its length here and by its letters in the agent.
    pub name_lengths: u64,
}
