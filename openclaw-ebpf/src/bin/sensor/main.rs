#![no_std]
#![no_main]
// For the one instruction of this target that Rust has no words for, and for what only the verifier needs to
// see: see `atomic.rs` and `dns.rs`.
#![feature(asm_experimental_arch)]
//! The programs that observe. None of them changes what the kernel does.
//!
//! Each subject has a file: an attribute function per hook over one function that reads as what happens.

mod atomic;
mod attempt;
mod credential;
mod dns;
mod emit;
mod executable;
mod file;
mod module;
mod network;
mod overlay;
mod packet;
mod probe;
mod process;
mod scratch;
mod second;
mod signal;
mod socket;
mod syscall;
mod tamper;
mod task;
mod udp;
mod uring;
mod walk;

/// The kernel lends its helpers to programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
