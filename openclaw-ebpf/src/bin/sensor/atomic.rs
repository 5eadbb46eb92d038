//! The one atomic operation that all kernels have.

use core::arch::asm;

/// An atomic addition. In assembly, since the compiler knows of this target that it cannot exchange and
/// compare, and gives it no atomic arithmetic at all.
///
/// # Safety
/// `counter` is valid and aligned, and nobody holds a reference to it.
#[inline(always)]
pub unsafe fn add(counter: *mut u64, by: u64) {
    // SAFETY: the caller's promise; the instruction touches nothing else.
    unsafe {
        asm!("lock *(u64 *)({counter} + 0) += {by}", counter = in(reg) counter, by = in(reg) by, options(nostack));
    }
}

/// An atomic subtraction.
///
/// # Safety
/// As of [`add`].
#[inline(always)]
pub unsafe fn subtract(counter: *mut u64, by: u64) {
    // SAFETY: the caller's promise.
    unsafe { add(counter, by.wrapping_neg()) }
}
