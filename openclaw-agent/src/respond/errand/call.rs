//! A call of an endpoint, such as a function in a cloud, which is told what was found, but for the secrets in it.

use std::time::{Duration, Instant};

use openclaw_detect::Finding;
use tokio::runtime;

use crate::alert::backoff::Backoff;
use crate::alert::channel::{Attempt, Endpoint};
use crate::config::Http;
use crate::mask;

/// What an endpoint had to be in.
const IN_TIME: &str = "in time (security.response.run_limit)";

/// Posts a finding, and again while that may help and the time is not over.
///
/// # Errors
/// Why the endpoint has not taken it, as the end of a sentence.
pub(super) fn call(webhook: Http, finding: &Finding, limit: Duration) -> Result<(), String> {
    let cannot_be_told = |error| format!("cannot be told what happened: {error}");
    let mut told = serde_json::to_value(finding).map_err(cannot_be_told)?;
    mask::json(&mut told);
    let body = serde_json::to_vec(&told).map_err(cannot_be_told)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot be called: {error}"))?;
    let posted = runtime.block_on(async {
        let end = Instant::now() + limit;
        tokio::time::timeout_at(end.into(), post(webhook, body, end)).await
    });
    // Not waited for: a name that is being looked up cannot be called off.
    runtime.shutdown_background();
    posted.unwrap_or_else(|_| Err(format!("has not taken it {IN_TIME}: it did not answer")))
}

async fn post(webhook: Http, body: Vec<u8>, end: Instant) -> Result<(), String> {
    let endpoint = Endpoint::new(webhook).map_err(|error| format!("cannot be called: {error}"))?;
    let mut backoff = Backoff::new();
    loop {
        let (reason, after) = match endpoint.post(body.clone()).await {
            Attempt::Delivered { .. } => return Ok(()),
            Attempt::Never { reason } => return Err(format!("has not taken it: {reason}")),
            Attempt::Later { reason, after } => (reason, after),
        };
        let wait = backoff.pause(after);
        if Instant::now() + wait >= end {
            return Err(format!("has not taken it {IN_TIME}: {reason}"));
        }
        tokio::time::sleep(wait).await;
    }
}
