//! The kernel layout table: every kernel field that the programs read, declared once.
//!
//! rustc emits no CO-RE relocations. So the agent resolves each entry from the running kernel's BTF and
//! hands the result to the programs as one read-only global; the verifier sees constants there, and removes
//! what depends on a field that is missing.

/// The value of an entry that the running kernel does not have. Nothing may be read there.
pub const MISSING: u32 = u32::MAX;

/// How an entry is found in BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spec {
    /// The offset in bytes of a member: struct name, and member paths (`ns.inum`) of which the first that
    /// exists is taken. Anonymous structs and unions are descended into.
    Offset(&'static str, &'static [&'static str]),
    /// The same of a struct that a module may define: module, struct name, member paths.
    ModuleOffset(&'static str, &'static str, &'static [&'static str]),
    /// The size in bytes of a struct.
    Size(&'static str),
    /// The value of an enumerator: enum name, enumerator.
    Enumerator(&'static str, &'static str),
    /// Which argument of a tracepoint, the first of those that the kernel has, points to a struct of that name;
    /// where none does, [`BYTE_ARGUMENT`] and which is an unsigned byte.
    Argument(&'static [&'static str], &'static str),
    /// 1 where the kernel has types or variables of all these names, else 0: something that has no place, but came
    /// with them. It is never [`MISSING`].
    Has(&'static [&'static str]),
}

/// Added to the index of an argument that is the value itself, a byte: see [`Spec::Argument`].
pub const BYTE_ARGUMENT: u32 = 16;

macro_rules! layout {
    ($($name:ident: $spec:expr,)*) => {
        /// One number for each entry of the table; [`MISSING`] where the kernel has no such thing.
        #[repr(C)]
        #[derive(Debug, Clone, Copy)]
        #[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
        #[allow(missing_docs, reason = "each entry's name and specification say what it is")]
        pub struct Layout { $(pub $name: u32,)* }

        impl Layout {
            /// A layout of which nothing is known.
            pub const UNKNOWN: Layout = Layout { $($name: MISSING,)* };

            /// The entries by name, in the order of the struct's fields.
            pub const ENTRIES: &'static [(&'static str, Spec)] = &[$((stringify!($name), $spec),)*];
        }
    };
}

use Spec::{Argument, Enumerator, Has, ModuleOffset, Offset, Size};

layout! {
    task_pid: Offset("task_struct", &["pid"]),
    task_tgid: Offset("task_struct", &["tgid"]),
    task_real_parent: Offset("task_struct", &["real_parent"]),
    task_group_leader: Offset("task_struct", &["group_leader"]),
    // How many programs its process has run, those of its forebears counted.
    task_self_exec_id: Offset("task_struct", &["self_exec_id"]),
    task_start_boottime: Offset("task_struct", &["start_boottime", "real_start_time"]),
    task_signal: Offset("task_struct", &["signal"]),
    task_real_cred: Offset("task_struct", &["real_cred"]),
    task_loginuid: Offset("task_struct", &["loginuid"]),
    task_nsproxy: Offset("task_struct", &["nsproxy"]),
    task_thread_pid: Offset("task_struct", &["thread_pid"]),
    task_cgroups: Offset("task_struct", &["cgroups"]),
    task_fs: Offset("task_struct", &["fs"]),
    task_files: Offset("task_struct", &["files"]),
    task_mm: Offset("task_struct", &["mm"]),
    task_flags: Offset("task_struct", &["flags"]),
    task_exit_code: Offset("task_struct", &["exit_code"]),
    // Bit 0 (PFA_NO_NEW_PRIVS) says that exec gives no new privileges.
    task_atomic_flags: Offset("task_struct", &["atomic_flags"]),
    // x86 only: bit 1 (TS_COMPAT) says that the system call is a 32-bit one.
    task_thread_status: Offset("task_struct", &["thread_info.status"]),

    signal_live: Offset("signal_struct", &["live"]),
    signal_tty: Offset("signal_struct", &["tty"]),
    signal_pids: Offset("signal_struct", &["pids"]),
    signal_group_exit_code: Offset("signal_struct", &["group_exit_code"]),
    tty_name: Offset("tty_struct", &["name"]),
    pidtype_sid: Enumerator("pid_type", "PIDTYPE_SID"),

    pid_level: Offset("pid", &["level"]),
    pid_numbers: Offset("pid", &["numbers"]),
    upid_nr: Offset("upid", &["nr"]),
    upid_ns: Offset("upid", &["ns"]),
    upid_size: Size("upid"),
    pid_namespace_inum: Offset("pid_namespace", &["ns.inum"]),

    cred_uid: Offset("cred", &["uid"]),
    cred_gid: Offset("cred", &["gid"]),
    cred_euid: Offset("cred", &["euid"]),
    cred_egid: Offset("cred", &["egid"]),
    // Eight bytes on every kernel: two halves until 6.2, one number since.
    cred_cap_effective: Offset("cred", &["cap_effective"]),
    cred_cap_permitted: Offset("cred", &["cap_permitted"]),

    nsproxy_mnt_ns: Offset("nsproxy", &["mnt_ns"]),
    nsproxy_net_ns: Offset("nsproxy", &["net_ns"]),
    mnt_namespace_inum: Offset("mnt_namespace", &["ns.inum"]),
    net_inum: Offset("net", &["ns.inum"]),

    css_set_dfl_cgrp: Offset("css_set", &["dfl_cgrp"]),
    css_set_subsys: Offset("css_set", &["subsys"]),
    css_cgroup: Offset("cgroup_subsys_state", &["cgroup"]),
    memory_cgrp_id: Enumerator("cgroup_subsys_id", "memory_cgrp_id"),
    cgroup_kn: Offset("cgroup", &["kn"]),
    kernfs_node_name: Offset("kernfs_node", &["name"]),
    kernfs_node_parent: Offset("kernfs_node", &["__parent", "parent"]),

    fs_pwd: Offset("fs_struct", &["pwd"]),
    path_mnt: Offset("path", &["mnt"]),
    path_dentry: Offset("path", &["dentry"]),
    mm_arg_start: Offset("mm_struct", &["arg_start"]),
    mm_arg_end: Offset("mm_struct", &["arg_end"]),
    mm_env_start: Offset("mm_struct", &["env_start"]),
    mm_env_end: Offset("mm_struct", &["env_end"]),

    binprm_file: Offset("linux_binprm", &["file"]),
    binprm_filename: Offset("linux_binprm", &["filename"]),
    binprm_interp: Offset("linux_binprm", &["interp"]),
    binprm_argc: Offset("linux_binprm", &["argc"]),

    file_path: Offset("file", &["f_path"]),
    file_inode: Offset("file", &["f_inode"]),
    file_private_data: Offset("file", &["private_data"]),
    file_mode: Offset("file", &["f_mode"]),
    file_flags: Offset("file", &["f_flags"]),
    filename_name: Offset("filename", &["name"]),
    open_flags_flags: Offset("open_flags", &["open_flag"]),
    dentry_name: Offset("dentry", &["d_name.name"]),
    dentry_name_len: Offset("dentry", &["d_name.len"]),
    dentry_parent: Offset("dentry", &["d_parent"]),
    dentry_inode: Offset("dentry", &["d_inode"]),
    dentry_hash: Offset("dentry", &["d_hash.pprev"]),
    vfsmount_root: Offset("vfsmount", &["mnt_root"]),
    mount_vfsmount: Offset("mount", &["mnt"]),
    mount_parent: Offset("mount", &["mnt_parent"]),
    mount_mountpoint: Offset("mount", &["mnt_mountpoint"]),
    inode_ino: Offset("inode", &["i_ino"]),
    inode_sb: Offset("inode", &["i_sb"]),
    inode_mode: Offset("inode", &["i_mode"]),
    inode_rdev: Offset("inode", &["i_rdev"]),
    inode_uid: Offset("inode", &["i_uid"]),
    inode_gid: Offset("inode", &["i_gid"]),
    inode_nlink: Offset("inode", &["i_nlink"]),
    inode_size: Offset("inode", &["i_size"]),
    inode_ctime: Offset("inode", &["i_ctime_sec", "__i_ctime.tv_sec", "i_ctime.tv_sec"]),
    inode_ctime_nsec: Offset("inode", &["i_ctime_nsec", "__i_ctime.tv_nsec", "i_ctime.tv_nsec"]),
    super_block_dev: Offset("super_block", &["s_dev"]),
    super_block_magic: Offset("super_block", &["s_magic"]),
    // Overlay file systems are often a module: its types are beside those of the kernel.
    ovl_inode_vfs_inode: ModuleOffset("overlay", "ovl_inode", &["vfs_inode"]),
    ovl_inode_upper: ModuleOffset("overlay", "ovl_inode", &["__upperdentry"]),
    files_fdt: Offset("files_struct", &["fdt"]),
    fdtable_fd: Offset("fdtable", &["fd"]),
    fdtable_max_fds: Offset("fdtable", &["max_fds"]),

    // x86: the system call's arguments, and those of a 32-bit call.
    regs_di: Offset("pt_regs", &["di"]),
    regs_si: Offset("pt_regs", &["si"]),
    regs_dx: Offset("pt_regs", &["dx"]),
    regs_r10: Offset("pt_regs", &["r10"]),
    regs_r8: Offset("pt_regs", &["r8"]),
    regs_bx: Offset("pt_regs", &["bx"]),
    regs_cx: Offset("pt_regs", &["cx"]),
    regs_orig_ax: Offset("pt_regs", &["orig_ax"]),

    inode_private: Offset("inode", &["i_private"]),
    ns_type: Offset("ns_common", &["ns_type"]),
    ns_ops: Offset("ns_common", &["ops"]),
    ns_ops_type: Offset("proc_ns_operations", &["type"]),
    module_name: Offset("module", &["name"]),
    // Until 5.19 the tracepoint is given the operation, since then the request.
    io_uring_argument: Argument(&["io_uring_submit_req", "io_uring_submit_sqe"], "io_kiocb"),
    io_kiocb_opcode: Offset("io_kiocb", &["opcode"]),
    bpf_prog_type: Offset("bpf_prog", &["type"]),
    bpf_prog_aux: Offset("bpf_prog", &["aux"]),
    bpf_prog_aux_name: Offset("bpf_prog_aux", &["name"]),
    bpf_link_prog: Offset("bpf_link", &["prog"]),

    socket_sk: Offset("socket", &["sk"]),
    sock_family: Offset("sock", &["__sk_common.skc_family"]),
    sock_state: Offset("sock", &["__sk_common.skc_state"]),
    sock_num: Offset("sock", &["__sk_common.skc_num"]),
    sock_dport: Offset("sock", &["__sk_common.skc_dport"]),
    sock_daddr: Offset("sock", &["__sk_common.skc_daddr"]),
    sock_saddr: Offset("sock", &["__sk_common.skc_rcv_saddr"]),
    sock_v6_daddr: Offset("sock", &["__sk_common.skc_v6_daddr"]),
    sock_v6_saddr: Offset("sock", &["__sk_common.skc_v6_rcv_saddr"]),
    sock_net: Offset("sock", &["__sk_common.skc_net.net"]),
    sock_protocol: Offset("sock", &["sk_protocol"]),
    inet_sport: Offset("inet_sock", &["inet_sport"]),
    sock_type: Offset("sock", &["sk_type"]),
    sock_err: Offset("sock", &["sk_err"]),
    sock_flags: Offset("sock", &["__sk_common.skc_flags"]),
    tcp_bytes_sent: Offset("tcp_sock", &["bytes_sent"]),
    tcp_bytes_retrans: Offset("tcp_sock", &["bytes_retrans"]),
    tcp_bytes_received: Offset("tcp_sock", &["bytes_received"]),
    tcp_segs_out: Offset("tcp_sock", &["segs_out"]),
    tcp_segs_in: Offset("tcp_sock", &["segs_in"]),

    skb_head: Offset("sk_buff", &["head"]),
    skb_network_header: Offset("sk_buff", &["network_header"]),
    skb_transport_header: Offset("sk_buff", &["transport_header"]),
    skb_dev: Offset("sk_buff", &["dev"]),
    net_device_net: Offset("net_device", &["nd_net.net"]),
    // Tracepoints are guarded by SRCU alone (on 7.2), so that their programs can be preempted. Kernels until 6.12 have that
    // variable for another use, and no such type, which came with SRCU-fast.
    preemptible_tracepoints: Has(&["tracepoint_srcu_srcu_data", "srcu_ctr"]),

    // Since 5.17: the kernel says why it drops a packet.
    drop_no_socket: Enumerator("skb_drop_reason", "SKB_DROP_REASON_NO_SOCKET"),
}

/// Entries of which a kernel has one or the other: only where it has neither, both are missing.
pub const ALTERNATIVES: &[(&str, &str)] = &[
    // Since 6.18 a namespace says itself what it is; before that, its operations do.
    ("ns_type", "ns_ops_type"),
];
