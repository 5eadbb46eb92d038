//! Guard rails: what is never acted upon, whoever asks.

mod network;
mod process;

pub(super) use network::{NetworkGuard, name_servers};
pub(super) use process::ProcessGuard;
pub use process::Protected;
