//! From records to events in context: who did it, run by whom, as which user, to which path or address.

mod capability;
mod clock;
mod connections;
mod container;
mod dns;
mod environment;
mod event;
mod image;
mod listing;
mod names;
mod path;
mod process;
mod procfs;
mod record;
mod stdio;
mod table;

pub use clock::Clock;
pub use connections::{Outbound, addresses};
pub use container::{Container, Details, Resolver, Roots, Runtime};
pub use dns::{DnsMessage, in_segment};
pub use environment::{DEFAULT as DEFAULT_ENVIRONMENT, Environment};
pub use event::{
    Body, DnsBody, FileBody, HostFacts, KernelBody, Moment, NetworkBody, Observed, Other, Privilege,
    TamperBody, Traced,
};
pub use image::{Exec, Image};
pub use listing::Listing;
pub use names::Names;
pub use path::{PathBuffer, join};
pub use process::{Capabilities, Credentials, Process, id_of};
pub use procfs::impediment;
pub(crate) use procfs::{container_of, is_alive};
pub use record::Record;
pub use stdio::Stdio;
pub use table::ProcessTable;
