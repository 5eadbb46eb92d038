//! From findings, or a person's command, to answers: guarded, done, recorded, bounded in time, undone.
//!
//! [`Responder`] is the whole of it. Verdicts are enforced by kernel programs that are attached with the first
//! verdict and removed with the last; in between they and their maps stay pinned, so that a verdict holds,
//! and ends on time, whatever becomes of the agent.

pub mod action;
mod attempt;
mod breaker;
mod cgroup;
mod clock;
mod endings;
mod endpoints;
mod enforcer;
mod errand;
pub mod exceptions;
mod freezer;
mod group;
mod guard;
mod journal;
mod keeper;
mod kept;
mod near;
pub mod network;
mod operator;
mod pins;
mod plan;
mod policy;
mod probe;
mod process;
mod responder;
mod settings;
mod stand_in;
mod stilled;
mod strike;
mod tree;

pub use action::{ActionKind, ActionRecord, Outcome, Rail, Target};
pub use breaker::{BreakerLimits, Trip};
pub use cgroup::root as cgroup_root;
pub use endings::Endings;
pub(crate) use enforcer::program_costs;
pub use exceptions::Exceptions;
pub use guard::Protected;
pub use keeper::{COMMAND as KEEPER_COMMAND, keep_suspended};
pub use network::Network;
pub use pins::mount as mount_bpffs;
pub(crate) use policy::any_enforces;
pub use policy::{Modes, Policy, state_folder};
pub use probe::probe;
pub use responder::{Responder, undo_all};
pub use settings::{NoLookup, ProcessLookup, ResponseSettings, default_bpffs};
pub use strike::{Strike, Striker};
