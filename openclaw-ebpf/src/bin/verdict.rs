#![no_std]
#![no_main]
//! The programs that enforce verdicts, on a folder of cgroup v2.
//!
//! Each fails open: an error of its own lets the packet or the call pass.

use openclaw_ebpf as _;

#[path = "../verdict/maps.rs"]
mod maps;
#[path = "../verdict/packet.rs"]
mod packet;
#[path = "../verdict/process.rs"]
mod process;
#[path = "../verdict/socket.rs"]
mod socket;

/// The kernel lends its helpers to programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
