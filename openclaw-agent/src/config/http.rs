//! Endpoints that are reached by HTTP, and how.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Serialize, Serializer};

use super::address;
use super::authority::Authority;
use super::node::{Node, Tree};
use super::reader::{Reader, Section};
use super::secret::MASK;

/// How long an endpoint gets where nothing is configured.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);

/// An endpoint that is reached by HTTP.
#[derive(Clone, PartialEq, Serialize)]
pub struct Http {
    /// Its address: HTTPS, or loopback, or `allow_insecure`. What follows host and port may be a secret.
    #[serde(serialize_with = "masked_url")]
    pub url: Url,
    /// Headers that are sent with each request. Their values are secrets.
    #[serde(serialize_with = "masked_headers")]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether plain HTTP to another host is accepted.
    pub allow_insecure: bool,
    /// Whether link-local addresses and those at which clouds tell of a machine are accepted.
    pub allow_link_local: bool,
    /// How long one attempt may take.
    #[serde(serialize_with = "super::duration_text")]
    pub timeout: Duration,
    /// Whose certificates are believed in place of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<Authority>,
}

impl Http {
    /// An endpoint with the defaults for everything but its address.
    pub fn new(url: Url) -> Http {
        Http {
            url,
            headers: Vec::new(),
            allow_insecure: false,
            allow_link_local: false,
            timeout: TIMEOUT,
            ca_file: None,
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

    /// Reads the keys of an endpoint at `at`, of which `default` is the address where none is written.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
        default: Option<&str>,
    ) -> Option<Http> {
        let mut flag =
            |key| keys.take(key).and_then(|node| reader.flag(&keys.name(key), node)).unwrap_or(false);
        let (allow_insecure, allow_link_local) = (flag("allow_insecure"), flag("allow_link_local"));
        let timeout = read_timeout(reader, keys);
        let headers = keys.take("headers").map(|node| read_headers(reader, &keys.name("headers"), node));
        let ca_file = keys
            .take("ca_file")
            .and_then(|node| Authority::read(reader, &keys.name("ca_file"), node, folder));
        let url = match (keys.take("url"), default) {
            (Some(node), _) => reader
                .parsed(&keys.name("url"), node, |text| check_url(text, allow_insecure, allow_link_local))?,
            (None, Some(default)) => Url::parse(default).ok()?,
            (None, None) => {
                keys.need(reader, "url", at.at, "the address to which alerts are posted");
                return None;
            }
        };
        let headers = headers.unwrap_or_default();
        Some(Http { url, headers, allow_insecure, allow_link_local, timeout, ca_file })
    }
}

/// How long one attempt may take, of whatever protocol.
pub(super) fn read_timeout(reader: &mut Reader<'_>, keys: &mut Section<'_>) -> Duration {
    let timeout = keys.take("timeout").and_then(|node| {
        reader.parsed(&keys.name("timeout"), node, |text| match super::units::parse_duration(text)? {
            Duration::ZERO => Err("a timeout of nothing lets no alert through: write 5s".to_owned()),
            timeout => Ok(timeout),
        })
    });
    timeout.unwrap_or(TIMEOUT)
}

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
fn check_url(text: &str, allow_insecure: bool, allow_link_local: bool) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("this is no web address ({error}): write https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` addresses cannot be posted to: write https://host/path", url.scheme()));
    }
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if url.scheme() == "http" && !address::is_loopback(host) && !allow_insecure {
        return Err("plain http would show alerts and secrets to the network: use https, or set `allow_insecure: true`"
            .to_owned());
    }
    if !allow_link_local && host.parse::<IpAddr>().is_ok_and(address::is_link_local) {
        return Err(
            "this is a link-local address, or one at which clouds tell a machine its secrets: name another, or set \
             `allow_link_local: true`"
                .to_owned(),
        );
    }
    Ok(url)
}

fn mask(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = if url.path() == "/" && url.query().is_none() { "/".to_owned() } else { format!("/{MASK}") };
    format!("{}://{}{port}{path}", url.scheme(), url.host_str().unwrap_or_default())
}

fn masked_url<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&mask(url))
}

fn masked_headers<S: Serializer>(
    headers: &[(HeaderName, HeaderValue)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().map(|(name, _)| (name.as_str(), MASK)))
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("url", &self.endpoint()).finish_non_exhaustive()
    }
}
