//! Settings of syslog.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::read_word;
use crate::config::authority::Authority;
use crate::config::http;
use crate::config::node::Node;
use crate::config::reader::{Reader, Section};

/// A receiver of syslog messages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Syslog {
    /// Where it is.
    pub address: SyslogAddress,
    /// How it is reached; of no meaning for a socket of this host.
    pub transport: SyslogTransport,
    /// Which part of a system speaks: a number from 0 to 23 (RFC 5424 6.2.1).
    #[serde(serialize_with = "facility_name")]
    pub facility: u8,
    /// What a message says.
    pub format: SyslogFormat,
    /// How long one attempt may take.
    #[serde(serialize_with = "crate::config::duration_text")]
    pub timeout: Duration,
    /// Whose certificates are believed in place of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<Authority>,
}

/// Where a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// On the network.
    Host {
        /// Its name or address, without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A datagram socket of this host, such as `/dev/log`.
    Socket(PathBuf),
}

/// How a receiver on the network is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogTransport {
    /// A datagram a message, which may get lost (RFC 5426).
    Udp,
    /// A connection, with each message's length before it (RFC 6587 3.4.1).
    Tcp,
    /// The same, encrypted (RFC 5425).
    Tls,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogFormat {
    /// The alert's title and message.
    Text,
    /// The alert as JSON.
    Json,
}

/// RFC 5424, table 1, by the names that syslog.conf(5) has for them.
const FACILITIES: [(&str, u8); 20] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("cron", 9),
    ("authpriv", 10),
    ("ftp", 11),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Syslog {
    /// Where it is, as an address.
    pub fn endpoint(&self) -> String {
        match (&self.address, self.transport) {
            (SyslogAddress::Socket(_), _) => self.address.to_string(),
            (_, SyslogTransport::Udp) => format!("udp://{}", self.address),
            (_, SyslogTransport::Tcp) => format!("tcp://{}", self.address),
            (_, SyslogTransport::Tls) => format!("tls://{}", self.address),
        }
    }

    /// Its `host:port`, where it is on the network.
    pub fn host_and_port(&self) -> Option<String> {
        matches!(self.address, SyslogAddress::Host { .. }).then(|| self.address.to_string())
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
    ) -> Option<Syslog> {
        let words =
            [("udp", SyslogTransport::Udp), ("tcp", SyslogTransport::Tcp), ("tls", SyslogTransport::Tls)];
        let transport = keys
            .take("transport")
            .map(|node| read_word(reader, &keys.name("transport"), node, "transport", &words));
        let transport = transport.unwrap_or(Some(SyslogTransport::Udp));
        let port = if transport == Some(SyslogTransport::Tls) { 6514 } else { 514 };
        let address = keys
            .need(reader, "address", at.at, "where it listens, such as logs.example.com:514 or /dev/log")
            .and_then(|node| reader.parsed(&keys.name("address"), node, |text| check_address(text, port)));
        let facility = keys
            .take("facility")
            .and_then(|node| read_word(reader, &keys.name("facility"), node, "facility", &FACILITIES));
        let words = [("text", SyslogFormat::Text), ("json", SyslogFormat::Json)];
        let format = keys.take("format").map(|node| {
            (node.at, read_word(reader, &keys.name("format"), node, "format of a syslog message", &words))
        });
        let timeout = http::read_timeout(reader, keys);
        let ca_file = keys
            .take("ca_file")
            .and_then(|node| Authority::read(reader, &keys.name("ca_file"), node, folder));

        let (address, transport) = (address?, transport?);
        let on_network = matches!(address, SyslogAddress::Host { .. });
        if let Some((at, Some(SyslogFormat::Json))) = format
            && on_network
            && transport == SyslogTransport::Udp
        {
            let message = format!(
                "`{}`: a datagram may hold too little for an alert as JSON: set `transport: tcp` or `tls`",
                keys.name("format")
            );
            reader.problem(at, message);
        }
        Some(Syslog {
            address,
            transport,
            facility: facility.unwrap_or(4),
            format: format.map_or(Some(SyslogFormat::Text), |(_, format)| format)?,
            timeout,
            ca_file,
        })
    }
}

fn check_address(text: &str, usual_port: u16) -> Result<SyslogAddress, String> {
    if text.starts_with('/') {
        return Ok(SyslogAddress::Socket(text.into()));
    }
    let wrong = || {
        format!(
            "`{text}` is no place to send to: write host:port, such as logs.example.com:{usual_port}, or the path of a socket"
        )
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let right = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(is_right),
    };
    if right { Ok(SyslogAddress::Host { host: bare.unwrap_or(host).to_owned(), port }) } else { Err(wrong()) }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyslogAddress::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            SyslogAddress::Host { host, port } => write!(f, "{host}:{port}"),
            SyslogAddress::Socket(path) => path.display().fmt(f),
        }
    }
}

impl Serialize for SyslogAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn facility_name<S: Serializer>(facility: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    let name = FACILITIES.iter().find(|(_, number)| number == facility).map(|(name, _)| *name);
    serializer.serialize_str(name.unwrap_or_default())
}
