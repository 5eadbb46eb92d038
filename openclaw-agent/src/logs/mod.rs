//! Logs, followed line by line: logins of sshd and PAM, requests to web servers, and what else the configuration maps.
//!
//! One thread reads them. What its lines tell goes to the sensor's thread in batches, each with the positions after it; these
//! are kept in one file with what the rules remember, as of one moment. So a line that the rules have counted is
//! not read again after a crash, and one that they have not is.

mod access;
mod counts;
mod entry;
mod follow;
mod format;
mod journal;
mod login;
mod mapped;
mod packed;
mod position;
mod proxies;
mod rotation;
mod source;
mod syslog;
mod tail;
mod text;
mod thread;
mod time;

pub use counts::{LogCounts, LogStatus};
pub use entry::{Entry, Login, Origin, Request, What};
pub use format::{Format, Read};
pub use mapped::{Mapping, Told};
pub use position::Positions;
pub use thread::Logs;
