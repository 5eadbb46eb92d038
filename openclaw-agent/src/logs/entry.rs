//! What a line of a log tells.

use std::net::IpAddr;
use std::sync::Arc;

use openclaw_detect::{EventKind, Timestamp};

use super::text::text_of;

/// What one line tells, which owns all of it: it goes from the thread that reads logs to the sensor's.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When it happened, by the line; never later than it was read.
    pub time: Timestamp,
    /// Where it is written.
    pub origin: Arc<Origin>,
    /// Tells the event from every other, and is the same when the line is read again.
    pub id: String,
    /// The line, of which [`MAX_ORIGINAL`] is told.
    pub original: Arc<str>,
    /// What it tells.
    pub what: What,
    /// How often that happened.
    pub times: u32,
}

impl Entry {
    /// The same, as the event that happened once more: the `number`th after the first.
    pub(super) fn again(&self, number: u32) -> Entry {
        Entry { id: format!("{}-{number:x}", self.id), ..self.clone() }
    }
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name in the configuration.
    pub source: String,
    /// The file; none of the journal.
    pub path: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Somebody logged in, or tried to.
    Login(Login),
    /// A web server was asked for something.
    Request(Box<Request>),
}

impl What {
    /// The kind of its event.
    pub fn kind(&self) -> EventKind {
        match self {
            What::Login(_) => EventKind::AuthAttempt,
            What::Request(_) => EventKind::HttpRequest,
        }
    }
}

/// Somebody logged in, or tried to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// Whether it was let in.
    pub success: bool,
    /// Where: `sshd`, `su`.
    pub service: Option<String>,
    /// The name that was given.
    pub user: Option<String>,
    /// How it was tried: `password`, `publickey`.
    pub method: Option<String>,
    /// From where.
    pub client: Option<IpAddr>,
    /// From which port.
    pub port: Option<u16>,
}

/// A web server was asked for something. What the client wrote is as it wrote it, with the log's own escapes undone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Which server.
    pub service: Option<String>,
    /// Who asked, behind the proxies that are trusted; none where the log does not tell.
    pub client: Option<IpAddr>,
    /// From which port, where no proxy is in between.
    pub port: Option<u16>,
    /// As whom the client logged in by HTTP's own means.
    pub user: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The version of the protocol.
    pub version: Option<String>,
    /// What was asked for.
    pub target: String,
    /// The same with its percent escapes resolved, but for bytes that are no text.
    pub decoded: String,
    /// The status that was answered.
    pub status: Option<u16>,
    /// Bytes that were answered.
    pub bytes: Option<u64>,
    /// The page that it came from.
    pub referrer: Option<String>,
    /// What the client says it is.
    pub agent: Option<String>,
    /// The host that it was for.
    pub domain: Option<String>,
}

/// Bytes that are told of a line, at most.
pub(super) const MAX_ORIGINAL: usize = 32 << 10;

/// Rounds in which escapes are resolved.
const DEPTH: usize = 4;

impl Request {
    /// A request for this, and nothing else yet.
    pub fn new(target: String) -> Request {
        let mut decoded = target.clone();
        for _ in 0..DEPTH {
            let bytes: Vec<u8> = percent_encoding::percent_decode_str(&decoded).collect();
            let next = text_of(&bytes);
            if next == decoded {
                break;
            }
            decoded = next;
        }
        Request { target, decoded, ..Request::default() }
    }

    /// The path of the target: of an absolute one, what follows the host.
    pub fn path(&self) -> &str {
        let target = match self.target.split_once("://") {
            Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
            _ => &self.target,
        };
        target.split(['?', '#']).next().unwrap_or_default()
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&str> {
        Some(self.target.split_once('?')?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_within_escapes_are_resolved_and_no_deeper_than_is_said() {
        for (target, decoded) in [
            ("/a/../b", "/a/../b"),
            ("/%2e%2E/b", "/../b"),
            ("/%252e%252e%252fb", "/../b"),
            ("/%25252525252e", "/%252e"),
            ("/100%", "/100%"),
            ("/%FF%2e", "/%ff."),
            ("/%25c0%25ae", "/%c0%ae"),
        ] {
            assert_eq!(Request::new(target.to_owned()).decoded, decoded, "{target}");
        }
    }

    #[test]
    fn a_target_falls_into_path_and_query() {
        for (target, path, query) in [
            ("/a/b?c=d?e", "/a/b", Some("c=d?e")),
            ("http://example.com/a?b", "/a", Some("b")),
            ("http://example.com", "/", None),
            ("/to/http://x/y", "/to/http://x/y", None),
            ("*", "*", None),
        ] {
            let request = Request::new(target.to_owned());
            assert_eq!((request.path(), request.query()), (path, query), "{target}");
        }
    }
}
