//! One attempt to post an alert, or what an answer tells an endpoint.

use std::sync::Once;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode, redirect};

use crate::config::Webhook;

/// An endpoint, with the connections to it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    client: Client,
    webhook: Webhook,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The endpoint accepted it.
    Delivered,
    /// It may work later, not before this time where the endpoint named one.
    Later { reason: String, after: Option<Duration> },
    /// It will never work: the endpoint does not want it.
    Never { reason: String },
}

impl Endpoint {
    /// An endpoint. Nothing is connected yet.
    ///
    /// # Errors
    /// The system's certificates cannot be used.
    pub(crate) fn new(webhook: Webhook) -> Result<Endpoint, reqwest::Error> {
        static PROVIDER: Once = Once::new();
        // An error says that there is one already, which is as good.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let mut builder = Client::builder()
            .user_agent(concat!("openclaw/", env!("CARGO_PKG_VERSION")))
            .timeout(webhook.timeout)
            // Headers may be credentials: they go to nobody but the configured host.
            .redirect(redirect::Policy::none())
            .no_proxy();
        if webhook.url.scheme() == "http" {
            // Needs no certificates, so it works where none are installed.
            builder = builder.tls_certs_only([]);
        }
        Ok(Endpoint { client: builder.build()?, webhook })
    }

    /// Posts a body. Reasons never hold the address or a header, which may be secret.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Attempt {
        let mut request =
            self.client.post(self.webhook.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        for (name, value) in &self.webhook.headers {
            request = request.header(name, value);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Attempt::Later { reason: reason(&error), after: None },
        };
        let status = response.status();
        if status.is_success() {
            return Attempt::Delivered;
        }
        let reason = format!("the endpoint answered {status}");
        let retry = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if !retry {
            return Attempt::Never { reason };
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Attempt::Later {
            reason,
            // Bounded, since the endpoint may say anything: longer than this no alert waits.
            after: after
                .and_then(|seconds| seconds.parse::<u64>().ok())
                .map(|seconds| Duration::from_secs(seconds.min(3600))),
        }
    }
}

/// The innermost cause, such as `Connection refused`.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the endpoint did not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let what = if error.is_connect() { "cannot connect" } else { "the connection broke" };
    format!("{what}: {cause}")
}
