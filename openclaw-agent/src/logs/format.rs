//! How the lines of a log are read, by its kind.

use std::net::SocketAddr;

use jiff::tz::TimeZone;
use openclaw_detect::Timestamp;

use super::entry::What;
use super::login::Logins;
use super::mapped::Mapping;
use super::proxies::Proxies;
use super::{access, syslog};
use crate::config::{LogKind, LogSource};

/// Reads lines of one log.
#[derive(Debug)]
pub struct Format(Kind);

#[derive(Debug)]
enum Kind {
    /// Lines of syslog, with logins among them.
    Syslog(Logins, TimeZone),
    /// Lines of an access log, of this server.
    Access(&'static str, Proxies),
    /// Lines of JSON, of a source of this name.
    Json(Mapping, String, Proxies),
}

/// What a line came to.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// It tells of something that happened so many times.
    Told {
        /// When, where the line says it.
        time: Option<Timestamp>,
        /// What.
        what: What,
        /// How often.
        times: u32,
    },
    /// It tells of nothing that is looked for.
    Nothing,
    /// It is no line of such a log.
    Malformed,
}

impl Format {
    /// For the lines of a source, with the connections of which a login has been told; none where it has no lines.
    pub fn of(source: &LogSource, connections: Vec<SocketAddr>) -> Option<Format> {
        let proxies = || Proxies::new(source.trusted_proxies.clone());
        Some(Format(match &source.kind {
            LogKind::Auth => Kind::Syslog(Logins::resumed(connections), TimeZone::system()),
            LogKind::Nginx => Kind::Access("nginx", proxies()),
            LogKind::Apache => Kind::Access("apache", proxies()),
            LogKind::Json(mapping) => Kind::Json(mapping.clone(), source.name.clone(), proxies()),
            LogKind::Journal => return None,
        }))
    }

    /// What is known of connections by now.
    pub(super) fn connections(&self) -> Vec<SocketAddr> {
        match &self.0 {
            Kind::Syslog(logins, _) => logins.connections(),
            Kind::Access(..) | Kind::Json(..) => Vec::new(),
        }
    }

    /// Reads a line.
    pub fn read(&mut self, line: &str, now: Timestamp) -> Read {
        match &mut self.0 {
            Kind::Syslog(logins, zone) => {
                let Some(line) = syslog::parse(line, now, zone) else { return Read::Malformed };
                match logins.parse_repeated(line.program, line.message) {
                    Some((login, times)) => Read::Told { time: line.time, what: What::Login(login), times },
                    None => Read::Nothing,
                }
            }
            Kind::Access(server, proxies) => match access::parse(line, server, proxies) {
                Some(access::Line::Request(time, request)) => {
                    Read::Told { time, what: What::Request(request), times: 1 }
                }
                Some(access::Line::Nothing) => Read::Nothing,
                None => Read::Malformed,
            },
            Kind::Json(mapping, name, proxies) => mapping.parse(line, name, proxies),
        }
    }
}
