//! From the kernel to records: loads and attaches the programs, reads their rings, and counts what was lost.

mod calls;
mod cgroup;
mod hooks;
mod iterator;
mod load;
mod losses;
mod objects;
mod programs;
mod refusals;
mod second;
mod sys;
mod tracepoint;
mod witness;

pub use load::{LoadError, RingSizes, Rings, Sensor};
pub use losses::Losses;
pub use programs::ProgramCost;
pub(crate) use programs::cost_of;
pub(crate) use sys::cgroup_of_link;
pub use witness::Witness;
