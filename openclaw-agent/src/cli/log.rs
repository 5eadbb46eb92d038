//! The log on stderr.
//!
//! ERROR: data is lost, or something asked for was not done. WARN: it works, but less than it should. INFO: findings,
//! actions, start and stop. DEBUG and TRACE: for those who work on OpenClaw.

use anstream::{AutoStream, ColorChoice};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts the log: from INFO for the agent, from WARN for a command, or from what `OPENCLAW_LOG` says.
///
/// It is written by a thread of its own, as a terminal that does not scroll must hold up neither sensor nor
/// answers: what does not fit its queue is left out. What is queued is written when the guard is dropped.
pub(super) fn start(agent: bool) -> WorkerGuard {
    let default = if agent { LevelFilter::INFO } else { LevelFilter::WARN };
    let filter = EnvFilter::builder()
        .with_default_directive(default.into())
        .with_env_var("OPENCLAW_LOG")
        .from_env_lossy();
    let colours = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    // Fails only where a log was started already, which then stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
    guard
}
