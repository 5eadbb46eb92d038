//! The memory of this process is nobody else's.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Has the kernel write no core dump of this process, whatever ends it, and let nobody look into its memory and
/// environment but who may look into everything (`CAP_SYS_PTRACE`).
///
/// The configuration's tokens are in both. A core dump is a file that outlives them, is collected and sent to others.
/// Programs that this one begins are as any other again: exec takes it from them.
pub fn keep_memory_private() {
    // Refused by no kernel, for this value.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "a core dump of the agent would hold its secrets: the kernel refuses to leave it out");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    #[test]
    fn a_process_that_was_asked_to_cannot_be_dumped() {
        let mut child = Command::new("true");
        // SAFETY: between fork and exec system calls are made, and nothing else.
        unsafe {
            child.pre_exec(|| {
                super::keep_memory_private();
                match libc::prctl(libc::PR_GET_DUMPABLE) {
                    0 => Ok(()),
                    _ => Err(std::io::ErrorKind::Other.into()),
                }
            });
        }
        assert!(child.status().unwrap().success());
    }
}
