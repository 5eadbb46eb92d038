//! From findings and actions to messages delivered.
//!
//! Each channel has a bounded queue and a task of its own: one that is down delays no other, and nothing here ever
//! makes the sensor wait. What a full queue cannot take is counted.

mod counters;
mod delivery;
mod message;
pub(crate) mod webhook;

pub use delivery::{Alerts, StartError};
pub use message::{Alert, Trigger};
