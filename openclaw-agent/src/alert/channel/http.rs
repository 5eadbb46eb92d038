//! Endpoints by HTTP: one attempt to post something, and what came of it.

use std::net::SocketAddr;
use std::sync::Once;
use std::time::{Duration, SystemTime};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode, redirect};

use super::{Attempt, cause, quote};
use crate::config::address::is_link_local;
use crate::config::{Authority, Http};

/// Longer than this no alert waits, whatever an endpoint asks for.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// What is read of an answer, in bytes: enough for a reason.
const LONGEST_ANSWER: usize = 64 << 10;
/// What is shorter is no secret, but a word that any answer may have.
const SHORTEST_SECRET: usize = 8;

/// An endpoint, with the connections to it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    client: Client,
    http: Http,
    /// Words of its address that everybody knows.
    words: &'static [&'static str],
}

/// What an endpoint answered.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    after: Option<Duration>,
    body: Vec<u8>,
}

impl Endpoint {
    /// An endpoint. Nothing is connected yet.
    ///
    /// # Errors
    /// Why not, as a sentence: the certificates of the system, or those that are configured, cannot be used.
    pub(crate) fn new(http: Http) -> Result<Endpoint, String> {
        static PROVIDER: Once = Once::new();
        // An error says that there is one already, which is as good.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let mut builder = Client::builder()
            .user_agent(concat!("openclaw/", env!("CARGO_PKG_VERSION")))
            .timeout(http.timeout)
            // Headers may be credentials: they go to nobody but the configured host.
            .redirect(redirect::Policy::none())
            .no_proxy();
        if !http.allow_link_local {
            builder = builder.dns_resolver(NoLinkLocal);
        }
        if let Some(Authority { certificates, .. }) = &http.ca_file {
            let certificates: Result<Vec<_>, _> =
                certificates.iter().map(|certificate| Certificate::from_der(certificate)).collect();
            builder = builder.tls_certs_only(certificates.map_err(|error| cause(&error))?);
        } else if http.url.scheme() == "http" {
            // Needs no certificates, so it works where none are installed.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            format!("{}. Install the system's certificates (package ca-certificates)", cause(&error))
        })?;
        Ok(Endpoint { client, http, words: &[] })
    }

    /// The same, of whose path these words are no secrets: the service's own documentation names them.
    pub(crate) fn with_words(self, words: &'static [&'static str]) -> Endpoint {
        Endpoint { words, ..self }
    }

    /// A POST with the configured headers, which come before what the caller adds.
    pub(crate) fn request(&self, content_type: &'static str, body: Vec<u8>) -> RequestBuilder {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, reqwest::header::HeaderValue::from_static(content_type));
        let configured = self.http.headers.iter().cloned().collect::<HeaderMap>();
        self.client.post(self.http.url.clone()).headers(headers).headers(configured).body(body)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer: what came of it instead.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Answer, Attempt> {
        match request.send().await {
            Ok(response) => Ok(Answer::read(response).await),
            Err(error) => Err(Attempt::Later { reason: reason(&error), after: None }),
        }
    }

    /// Posts JSON, and takes the status of the answer for all that it says.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Attempt {
        match self.exchange(self.request("application/json", body)).await {
            Ok(answer) => answer.attempt(None, None),
            Err(attempt) => attempt,
        }
    }

    /// What an endpoint says of an error, without the secrets that were sent to it, which it may repeat.
    pub(crate) fn quote(&self, text: &str) -> String {
        let url = &self.http.url;
        let headers = self.http.headers.iter().filter_map(|(_, value)| value.to_str().ok());
        let secrets = url
            .path_segments()
            .into_iter()
            .flatten()
            .filter(|segment| !self.words.contains(segment))
            // A token of Telegram's stands behind `bot`.
            .map(|segment| segment.strip_prefix("bot").unwrap_or(segment))
            .chain(url.password())
            .chain(url.query())
            // Also the token of `Bearer TOKEN` alone.
            .chain(headers.flat_map(|value| value.split(' ').chain([value])))
            .filter(|secret| secret.len() >= SHORTEST_SECRET);
        quote(&secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***")))
    }
}

impl Answer {
    async fn read(mut response: Response) -> Answer {
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| retry_after(text, SystemTime::now()));
        let mut body = Vec::new();
        // The status is what counts: an answer that breaks off has said it.
        while body.len() < LONGEST_ANSWER
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk[..chunk.len().min(LONGEST_ANSWER - body.len())]);
        }
        Answer { status: response.status(), after, body }
    }

    /// The beginning of the body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// What it means. `detail` is a reason that the body gave, `after` how long it asks to wait where no header does.
    pub(crate) fn attempt(&self, detail: Option<String>, after: Option<Duration>) -> Attempt {
        let status = self.status;
        if status.is_success() {
            return Attempt::Delivered { said: status.to_string() };
        }
        let mut reason = format!("the endpoint answered {status}");
        if status.is_redirection() {
            reason.push_str(", and redirects are not followed: configure the address to which it leads");
        }
        if let Some(detail) = detail.filter(|detail| !detail.is_empty()) {
            reason = format!("{reason}: {detail}");
        }
        let retry = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        match retry {
            true => {
                // Who asks for no wait at all is not to be asked again at once for ever.
                let after = self.after.or(after).filter(|after| !after.is_zero());
                Attempt::Later { reason, after: after.map(|after| after.min(LONGEST_WAIT)) }
            }
            false => Attempt::Never { reason },
        }
    }
}

/// How long an endpoint asks to wait (RFC 9110 10.2.3): seconds, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let until = || Some(httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default());
    text.parse().ok().map(Duration::from_secs).or_else(until)
}

/// Looks names up as the system does, and leaves out addresses to which no alert should go.
struct NoLinkLocal;

impl Resolve for NoLinkLocal {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let right: Vec<_> = found.into_iter().filter(|address| !is_link_local(address.ip())).collect();
            if right.is_empty() {
                return Err("its name leads to a link-local address alone: set `allow_link_local: true` where that is \
                            right"
                    .into());
            }
            let addresses: Addrs = Box::new(right.into_iter());
            Ok(addresses)
        })
    }
}

/// Why there is no answer. Never holds the address or a header, which may be secret.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the endpoint did not answer in time".to_owned();
    }
    let what = if error.is_connect() { "cannot connect" } else { "the connection broke" };
    format!("{what}: {}", cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 30 Jan 2026 22:30:45 GMT").unwrap();
        let read = |text| retry_after(text, now).map(|after| after.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" Fri, 30 Jan 2026 22:31:45 GMT"), Some(60));
        assert_eq!(
            read("Friday, 30-Jan-26 22:31:45 GMT"),
            Some(60),
            "the obsolete form, which is to be read too"
        );
        assert_eq!(read("Fri, 30 Jan 2026 22:00:00 GMT"), Some(0));
        assert_eq!((read("soon"), read("-1"), read("")), (None, None, None));
    }

    #[test]
    fn what_an_endpoint_repeats_of_secrets_is_not_quoted() {
        let mut http = Http::new("https://u:passw0rd1@h/hooks/T0KENT0KEN?key=s3cr3t".parse().unwrap());
        http.headers.push(("authorization".parse().unwrap(), "Bearer t0kent0ken".parse().unwrap()));
        let endpoint = Endpoint::new(http).unwrap();
        let said = "no /T0KENT0KEN?key=s3cr3t for Bearer t0kent0ken, or t0kent0ken of passw0rd1\x1b[2J";
        assert_eq!(endpoint.quote(said), "no /***?*** for Bearer ***, or *** of ***\\u{1b}[2J");
    }

    #[test]
    fn a_word_of_the_services_own_is_quoted_as_it_stands() {
        let http = Http::new("https://h/secretpath/bot123:T0KENT0KEN/sendMessage".parse().unwrap());
        let endpoint = Endpoint::new(http).unwrap().with_words(&["sendMessage"]);
        let said = "sendMessage of bot123:T0KENT0KEN is not at secretpath";
        assert_eq!(endpoint.quote(said), "sendMessage of bot*** is not at ***");
    }

    #[test]
    fn a_name_that_leads_to_the_link_alone_is_not_resolved_and_loopback_is() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let resolve = |name: &str| runtime.block_on(NoLinkLocal.resolve(name.parse().unwrap()));
        assert!(resolve("localhost").unwrap().next().is_some());
        // getaddrinfo takes an address for the name of itself.
        let error = resolve("169.254.169.254").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("allow_link_local"), "{error}");
    }
}
