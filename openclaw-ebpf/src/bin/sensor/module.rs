//! What a kernel module that is being loaded is called: its own name, whatever its file is called.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_probe_read_kernel_str},
    macros::{map, raw_tracepoint},
    maps::LruHashMap,
    programs::RawTracePointContext,
};
use openclaw_ebpf::{kernel::Ptr, offset};

/// By thread: the name of the module that it loads, from then until its call returns. The call tells of it only
/// where it succeeded.
#[map]
static LOADING: LruHashMap<u64, Name> = LruHashMap::with_max_entries(64, 0);

/// A name, ended by NUL. `MODULE_NAME_LEN` of the kernel is 56.
pub type Name = [u8; 64];

/// `module_load(struct module *mod)`, since 2.6.31: the module is about to be initialized.
#[raw_tracepoint(tracepoint = "module_load")]
pub fn module_loading(ctx: RawTracePointContext) -> i32 {
    let from = Ptr(ctx.arg(0)).member(offset!(module_name));
    let mut name: Name = [0; 64];
    // SAFETY: the destination has the size that is passed; the helper checks the source.
    let read = unsafe {
        bpf_probe_read_kernel_str(name.as_mut_ptr().cast(), size_of::<Name>() as u32, from.0 as *const _)
    };
    if read > 0 {
        // A map that cannot take it costs the name, no more.
        let _ = LOADING.insert(bpf_get_current_pid_tgid(), name, u64::from(BPF_ANY));
    }
    0
}

/// Gives `take` the name of the module that the current thread has loaded, where that is known, and forgets it.
#[inline(always)]
pub fn take_name(take: impl FnOnce(&Name)) {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: only this thread writes the entry, and it is in another call now.
    if let Some(name) = unsafe { LOADING.get(thread) } {
        take(name);
        let _ = LOADING.remove(thread);
    }
}
