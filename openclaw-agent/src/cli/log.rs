//! The log on stderr.
//!
//! ERROR: data is lost, or something asked for was not done. WARN: it works, but less than it should. INFO: findings,
//! actions, start and stop. DEBUG and TRACE: for those who work on OpenClaw.

use std::sync::Arc;

use anstream::{AutoStream, ColorChoice};
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::own_log::{Ring, RingLayer};

/// The log, for as long as it is written.
pub(super) struct Log {
    /// Its last lines, where they are kept.
    pub(super) last: Arc<Ring>,
    /// What is queued is written when this is dropped.
    _guard: WorkerGuard,
}

/// Starts the log: from INFO for the agent, from WARN for a command, or from what `OPENCLAW_LOG` says.
///
/// It is written by a thread of its own, as a terminal that does not scroll must hold up neither sensor nor
/// answers: what does not fit its queue is left out. The last lines of an agent are kept beside it.
pub(super) fn start(agent: bool) -> Log {
    let default = if agent { LevelFilter::INFO } else { LevelFilter::WARN };
    let filter = EnvFilter::builder()
        .with_default_directive(default.into())
        .with_env_var("OPENCLAW_LOG")
        .from_env_lossy();
    let colours = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let stderr = fmt::layer().with_writer(writer).with_ansi(colours).with_target(false);
    let last = Arc::<Ring>::default();
    let kept = agent.then(|| RingLayer::new(Arc::clone(&last)));
    // Fails only where a log was started already, which then stays.
    let _ = tracing_subscriber::registry().with(filter).with(stderr).with(kept).try_init();
    Log { last, _guard: guard }
}
