//! Reads of kernel memory, at offsets that the agent resolved from BTF.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::{bpf_get_current_task, generated::bpf_probe_read_kernel};
use openclaw_common::layout::{Layout, MISSING};

/// Where the fields lie. The agent replaces the value before the object is loaded; the map that holds it is
/// then frozen, and the verifier takes each entry for a constant.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout::UNKNOWN;

/// The layout table.
#[inline(always)]
pub fn layout() -> *const Layout {
    // Not the value: a read through the pointer, by `offset!`, is a load from the frozen map.
    &raw const LAYOUT
}

/// The offset that the running kernel has for an entry of the layout table.
#[macro_export]
macro_rules! offset {
    ($entry:ident) => {
        // SAFETY: `layout()` points at a static. The read is volatile since the compiler would otherwise
        // take the value that the object was built with.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::kernel::layout()).$entry) }
    };
}

/// The address of a kernel object, or null.
///
/// Every read through it is checked by the kernel: it gives zeroes rather than faults when the address is not
/// mapped, and so null leads to null and to zeroes. Nothing is asked in between: each question would be one
/// more branch, and older verifiers walk every combination of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ptr(pub u64);

impl Ptr {
    /// No object.
    pub const NULL: Ptr = Ptr(0);

    /// Whether there is no object.
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The value of a member; zeroes where the kernel has no such member or it cannot be read.
    #[inline(always)]
    pub fn get<T: Copy>(self, offset: u32) -> T {
        let mut value = MaybeUninit::<T>::zeroed();
        if offset != MISSING {
            // SAFETY: the destination has the size that is passed; the helper checks the source, and writes
            // zeroes when it fails.
            unsafe {
                bpf_probe_read_kernel(
                    value.as_mut_ptr().cast(),
                    size_of::<T>() as u32,
                    (self.0 + u64::from(offset)) as *const _,
                );
            }
        }
        // SAFETY: every byte is written. `T` is a number or an array of numbers here.
        unsafe { value.assume_init() }
    }

    /// The value of a member, or `absent` where the kernel has no such member.
    #[inline(always)]
    pub fn get_or<T: Copy>(self, offset: u32, absent: T) -> T {
        if offset == MISSING { absent } else { self.get(offset) }
    }

    /// The object that a member points to.
    #[inline(always)]
    pub fn follow(self, offset: u32) -> Ptr {
        Ptr(self.get(offset))
    }

    /// The address of an embedded member; null where the kernel has no such member.
    #[inline(always)]
    pub fn member(self, offset: u32) -> Ptr {
        if offset == MISSING { Ptr::NULL } else { Ptr(self.0 + u64::from(offset)) }
    }

    /// The element whose index is an entry of the layout table; null where the kernel has no such thing.
    #[inline(always)]
    pub fn entry(self, index: u32) -> Ptr {
        if index == MISSING { Ptr::NULL } else { self.element(u64::from(index)) }
    }

    /// The element of that index of an array of pointers that begins here.
    #[inline(always)]
    pub fn element(self, index: u64) -> Ptr {
        Ptr(self.0 + 8 * index).follow(0)
    }
}

/// The thread that runs now.
#[inline(always)]
pub fn current_task() -> Ptr {
    // SAFETY: the helper has no preconditions. Its BTF-typed sibling is absent on 5.10.
    Ptr(unsafe { bpf_get_current_task() })
}
