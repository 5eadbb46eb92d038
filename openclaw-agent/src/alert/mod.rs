//! From findings and actions to messages delivered.
//!
//! A finding or an action becomes an [`Alert`], which is led to channels or to none ([`route`]), written down with the
//! finding itself (`crate::store`), and carried from there by each channel's own task: one that is down delays no other,
//! and what waits survives the agent. Nothing here ever makes the sensor wait.

mod age;
mod arrangement;
pub(crate) mod backoff;
mod carrier;
pub(crate) mod channel;
mod deliveries;
mod delivery;
mod details;
mod heartbeat;
mod message;
mod route;
mod state;
mod template;
mod text;
mod trigger;

pub use deliveries::{ChannelError, Deliveries, Usable};
pub use delivery::{Alerts, try_channel};
pub use heartbeat::beat;
pub use message::Alert;
pub use route::Outgoing;
pub use template::Template;
pub use trigger::Trigger;
