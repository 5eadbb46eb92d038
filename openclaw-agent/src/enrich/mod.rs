//! From records to events in context: who did it, run by whom, as which user, to which path or address.

mod clock;
mod connections;
mod container;
mod event;
mod path;
mod process;
mod procfs;
mod record;
mod table;

pub use clock::Clock;
pub use connections::{Outbound, addresses};
pub use container::{Container, Details, Resolver, Roots, Runtime};
pub use event::{Body, FileBody, HostFacts, Moment, NetworkBody, Observed};
pub use path::{PathBuffer, join};
pub use process::{Credentials, Image, Process, id_of};
pub use procfs::impediment;
pub use record::Record;
pub use table::ProcessTable;
