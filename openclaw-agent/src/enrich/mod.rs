//! From records to events in context: who did it, run by whom, as which user, to which path or address.

mod clock;
mod connections;
mod dns;
mod event;
mod names;
mod path;
mod process;
mod procfs;
mod record;
mod table;

pub use clock::Clock;
pub use connections::{Outbound, addresses};
pub use dns::{DnsMessage, in_segment};
pub use event::{Body, DnsBody, FileBody, HostFacts, Moment, NetworkBody, Observed};
pub use names::Names;
pub use path::{PathBuffer, join};
pub use process::{Credentials, Image, Process, id_of};
pub use record::Record;
pub use table::ProcessTable;
