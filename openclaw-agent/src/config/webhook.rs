//! Settings of a webhook channel.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Serialize;

use super::node::{Node, Tree};
use super::reader::{Reader, Section};
use super::units;

/// Where alerts are posted.
#[derive(Clone, Serialize)]
pub struct Webhook {
    /// The channel's name: its key under `channels`.
    #[serde(skip)]
    pub name: String,
    /// The endpoint: HTTPS, or loopback, or `allow_insecure`.
    #[serde(serialize_with = "masked_url")]
    pub url: Url,
    /// Headers that are sent with each alert. Their values are secrets.
    #[serde(serialize_with = "masked_headers")]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether plain HTTP to another host is accepted.
    pub allow_insecure: bool,
    /// How long one attempt may take.
    #[serde(serialize_with = "super::duration_text")]
    pub timeout: Duration,
}

impl Webhook {
    /// A webhook with the defaults for everything but its endpoint.
    pub fn new(name: impl Into<String>, url: Url) -> Webhook {
        Webhook {
            name: name.into(),
            url,
            headers: Vec::new(),
            allow_insecure: false,
            timeout: Duration::from_secs(5),
        }
    }

    /// The endpoint without what may be secret in it: scheme, host and port alone.
    pub fn endpoint(&self) -> String {
        mask(&self.url)
    }

    /// The endpoint's `host:port`, which must never be blocked.
    pub fn host_and_port(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or(443);
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }

    /// Reads the keys of the channel called `name`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        name: &str,
        keys: &mut Section<'_>,
        at: &Node,
    ) -> Option<Webhook> {
        let allow_insecure = keys
            .take("allow_insecure")
            .and_then(|node| reader.flag(&keys.name("allow_insecure"), node))
            .unwrap_or(false);
        let timeout = keys.take("timeout").and_then(|node| {
            reader.parsed(&keys.name("timeout"), node, |text| match units::parse_duration(text)? {
                Duration::ZERO => Err("a timeout of nothing lets no alert through: write 5s".to_owned()),
                timeout => Ok(timeout),
            })
        });
        let headers = keys.take("headers").map(|node| read_headers(reader, &keys.name("headers"), node));
        let url_name = keys.name("url");
        let Some(url) = keys.take("url") else {
            reader.problem(
                at.at,
                format!("`{url_name}` is missing: give the address to which alerts are posted"),
            );
            return None;
        };
        let url = reader.parsed(&url_name, url, |text| check_url(text, allow_insecure))?;
        let mut webhook = Webhook::new(name, url);
        webhook.allow_insecure = allow_insecure;
        webhook.headers = headers.unwrap_or_default();
        webhook.timeout = timeout.unwrap_or(webhook.timeout);
        Some(webhook)
    }
}

/// The keys that a webhook takes, for a channel that is switched off and so is not read.
pub(super) const KEYS: [&str; 4] = ["url", "headers", "allow_insecure", "timeout"];

fn read_headers(reader: &mut Reader<'_>, path: &str, node: &Node) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (key, value) in reader.section(path, Some(node)).take_rest() {
        if value.value == Tree::Null {
            continue;
        }
        let path = format!("{path}.{}", key.name);
        let Ok(name) = key.name.parse::<HeaderName>() else {
            reader.problem(key.at, format!("`{}` is no name of an HTTP header", key.name));
            continue;
        };
        let value = reader.parsed(&path, value, |text| {
            HeaderValue::from_str(text)
                .map_err(|_| "the value has characters that no HTTP header may have".to_owned())
        });
        if let Some(mut value) = value {
            value.set_sensitive(true);
            headers.push((name, value));
        }
    }
    headers
}

/// The address, if alerts may be sent to it. Errors do not repeat it: its path may be a secret.
fn check_url(text: &str, allow_insecure: bool) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("this is no web address ({error}): write https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` addresses cannot be posted to: write https://host/path", url.scheme()));
    }
    if url.scheme() == "http" && !is_loopback(&url) && !allow_insecure {
        return Err("plain http would show alerts and secrets to the network: use https, or set `allow_insecure: true`"
            .to_owned());
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn mask(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if url.path() == "/" && url.query().is_none() { "/" } else { "/***" };
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}

fn masked_url<S: serde::Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&mask(url))
}

fn masked_headers<S: serde::Serializer>(
    headers: &[(HeaderName, HeaderValue)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, _)| (name.as_str(), "***")))
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("name", &self.name)
            .field("url", &self.endpoint())
            .finish_non_exhaustive()
    }
}
