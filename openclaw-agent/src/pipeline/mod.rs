//! The hot thread: reads the rings, puts records into context, asks the rules.
//!
//! On the path of an event that matches nothing there is no lock and no channel, and nothing is allocated but
//! what the process table keeps of a new process. Only findings leave the thread, and events where somebody
//! watches them.

mod find;
mod priority;
mod questions;
mod stage;
mod thread;
mod wait;
mod watch;

pub use find::find;
pub use questions::{Engines, Processes, Questions, questions};
pub use stage::{Counts, Outlet, SAMPLED, Stage};
pub use thread::{Handle, LogSettings, Remembered, Settings, Snapshot, start};
