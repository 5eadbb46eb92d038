#![no_std]
//! What crosses the kernel boundary: the layout table, the records that the kernel programs write, and the
//! keys and values of the maps that both sides use.
//!
//! Everything that is shared is `repr(C)` without padding, so that it is the same bytes on both sides.

pub mod layout;
pub mod network;
pub mod record;
pub mod syscall;
pub mod verdict;

pub use layout::Layout;
