//! The event model and the rule language of OpenClaw.
//!
//! Pure by design: this crate does no I/O, reads no clock and knows nothing of eBPF, of tokio or of the
//! agent. Time comes from the events. So it is tested, fuzzed and measured without privilege.

mod ast;
mod check;
mod compile;
mod compiled;
pub mod condition;
mod contradiction;
mod definitions;
pub mod diagnostic;
pub mod engine;
mod eval;
pub mod event;
pub mod explain;
pub mod field;
pub mod finding;
mod fingerprint;
#[cfg(test)]
mod generate;
mod graph;
mod index;
pub mod interest;
pub mod json;
mod kinds;
mod lexer;
mod lists;
mod literal;
mod loader;
mod memory;
mod message;
mod network;
mod pack;
mod parser;
mod reader;
pub mod recorded;
pub mod response;
pub mod rule;
mod rule_file;
pub mod rule_test;
pub mod ruleset;
pub mod schema;
mod shadow;
mod shared;
mod shipped;
pub mod sigma;
mod state;
mod suggest;
mod text;
pub mod value;
mod version;
mod yaml;

pub use condition::Condition;
pub use diagnostic::{Diagnostic, Diagnostics, Level};
pub use engine::{Engine, EngineStats};
pub use event::{Event, EventKind, KindSet, ParseProcessIdError, ProcessId, Timestamp};
pub use field::Field;
pub use finding::Finding;
pub use interest::{Interest, ReadInterest};
pub use memory::{Limits, Snapshot};
pub use message::one_line;
pub use recorded::{RecordError, RecordedEvent};
pub use response::{Action, Mode, Response, Scope};
pub use rule::{Evidence, Exception, Match, Rule, Severity};
pub use rule_test::{RuleTest, TestEvents, TestResult};
pub use ruleset::{Changes, RuleSet, Source};
pub use value::{StrList, Value};
