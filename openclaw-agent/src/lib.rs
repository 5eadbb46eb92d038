//! The OpenClaw agent: kernel records become events, events findings, findings answers and alerts.
//!
//! A folder is a stage, and data walks through the stages in order: `sensor` → `enrich` → rules
//! (`openclaw-detect`) → `respond` → `alert`, with `logs`, `hash`, `store`, `capture` and `api` beside them.

pub mod agent;
pub mod alert;
pub mod api;
pub mod capability;
pub mod capture;
pub mod cli;
pub mod config;
pub mod enrich;
pub mod hash;
pub mod kernel;
mod lock;
pub mod logs;
pub mod mask;
pub mod mounts;
pub mod output;
pub mod own_log;
pub mod pipeline;
pub mod pulse;
pub mod queue;
pub mod respond;
pub mod rules;
pub mod sensor;
pub mod store;
