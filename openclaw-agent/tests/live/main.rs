//! Tests on the real kernel, as root. They run where `OPENCLAW_LIVE=1` says so.
//!
//! Everything that is enforced here is enforced on a cgroup of the test's own, with addresses of network
//! namespaces of its own, for a minute at most.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail like the test itself")]

mod agent;
mod alerts;
mod capture;
mod container;
mod credential;
mod dns;
mod exec;
mod file;
mod filter;
mod flood;
mod identity;
mod input;
mod kernel;
mod logs;
mod metrics;
mod network;
mod object;
mod outbox;
mod probe;
mod process;
mod race;
mod reload;
mod remember;
mod rules;
mod service;
mod sigma;
mod socket;
mod strike;
mod support;
mod tamper;
mod udp;
mod verdict;
