//! The control socket: what `openclaw status`, `events`, `blocklist`, `isolate` and `release` speak to.
//!
//! Requests and answers are JSON, one a line. Only root, and the user who runs the agent, may connect.

pub mod client;
pub mod control;
mod http;
mod metrics;
pub mod protocol;
pub mod server;
pub mod socket;
pub mod status;
mod subscribers;

pub use client::{Client, ClientError};
pub use control::{Control, Refusal, Subscription};
pub use http::HttpServer;
pub use protocol::{Request, Response};
pub use server::Server;
pub use status::Status;
pub use subscribers::Subscribers;

#[cfg(test)]
mod tests;
