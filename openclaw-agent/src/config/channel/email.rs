//! Settings of mail by SMTP.

use std::path::Path;
use std::time::Duration;

use lettre::message::Mailbox;
use serde::{Serialize, Serializer};

use super::read_word;
use crate::config::authority::Authority;
use crate::config::node::Node;
use crate::config::reader::{Reader, Section};
use crate::config::secret::Secret;
use crate::config::{address, http};

/// A mail server, and who writes to whom.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Email {
    /// The server's name or address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub tls: EmailTls,
    /// As whom mail is handed in; none for no login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of that login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Who writes.
    #[serde(serialize_with = "mailbox")]
    pub from: Mailbox,
    /// To whom, one at least.
    #[serde(serialize_with = "mailboxes")]
    pub to: Vec<Mailbox>,
    /// Whether a connection to another host may be read by others.
    pub allow_insecure: bool,
    /// How long one attempt may take.
    #[serde(serialize_with = "crate::config::duration_text")]
    pub timeout: Duration,
    /// Whose certificates are believed in place of the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<Authority>,
}

/// How a connection to a mail server is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EmailTls {
    /// It begins in the clear, and nothing is told before it is encrypted (RFC 3207).
    Starttls,
    /// It is encrypted from the start (RFC 8314 3.3).
    Tls,
    /// Not at all.
    None,
}

impl EmailTls {
    /// The port that is usual for it: submission, submissions, SMTP.
    fn port(self) -> u16 {
        match self {
            EmailTls::Starttls => 587,
            EmailTls::Tls => 465,
            EmailTls::None => 25,
        }
    }
}

impl Email {
    /// The server's `host:port`.
    pub fn host_and_port(&self) -> String {
        match self.server.contains(':') {
            true => format!("[{}]:{}", self.server, self.port),
            false => format!("{}:{}", self.server, self.port),
        }
    }

    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
    ) -> Option<Email> {
        let server = keys
            .need(reader, "server", at.at, "the mail server's name")
            .and_then(|node| reader.parsed(&keys.name("server"), node, check_server));
        let port = keys.take("port").map(|node| {
            reader.parsed(&keys.name("port"), node, |text| {
                let port = text.parse().ok().filter(|port| *port > 0);
                port.ok_or_else(|| format!("`{text}` is no port: write one from 1 to 65535, such as 587"))
            })
        });
        let allow_insecure = keys.take("allow_insecure");
        let allow_insecure =
            allow_insecure.and_then(|node| reader.flag(&keys.name("allow_insecure"), node)).unwrap_or(false);
        let tls = read_tls(reader, keys);
        let username = keys.take("username").and_then(|node| reader.text(&keys.name("username"), node));
        let password = keys.take("password").and_then(|node| reader.text(&keys.name("password"), node));
        let from = keys
            .need(reader, "from", at.at, "who writes, such as OpenClaw <openclaw@example.com>")
            .and_then(|node| reader.parsed(&keys.name("from"), node, check_mailbox));
        let to = keys
            .need(reader, "to", at.at, "to whom alerts are written")
            .map(|node| reader.list(&keys.name("to"), node, check_mailbox));
        let timeout = http::read_timeout(reader, keys);
        let ca_file = keys
            .take("ca_file")
            .and_then(|node| Authority::read(reader, &keys.name("ca_file"), node, folder));

        let (server, tls, to) = (server?, tls?, to?);
        if username.is_some() != password.is_some() {
            let (missing, given) =
                if username.is_some() { ("password", "username") } else { ("username", "password") };
            let message = format!("`{}` is missing: `{given}` alone is no login", keys.name(missing));
            reader.problem(at.at, message);
        }
        if tls == EmailTls::None && !allow_insecure && !address::is_loopback(&server) {
            let message = format!(
                "`{}`: without TLS the network would see alerts and passwords: write `starttls`, or set \
                 `allow_insecure: true`",
                keys.name("tls")
            );
            reader.problem(at.at, message);
        }
        if to.is_empty() {
            let message =
                format!("`{}` names nobody: write an address such as soc@example.com", keys.name("to"));
            reader.problem(at.at, message);
        }
        Some(Email {
            server,
            port: port.unwrap_or(Some(tls.port()))?,
            tls,
            username,
            password: password.map(Secret::new),
            from: from?,
            to,
            allow_insecure,
            timeout,
            ca_file,
        })
    }
}

fn read_tls(reader: &mut Reader<'_>, keys: &mut Section<'_>) -> Option<EmailTls> {
    let words = [("starttls", EmailTls::Starttls), ("tls", EmailTls::Tls), ("none", EmailTls::None)];
    match keys.take("tls") {
        Some(node) => read_word(reader, &keys.name("tls"), node, "way to encrypt", &words),
        None => Some(EmailTls::Starttls),
    }
}

fn check_server(text: &str) -> Result<String, String> {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.parse::<std::net::IpAddr>().is_ok() || (!text.is_empty() && text.chars().all(is_right)) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no host: write its name, such as smtp.example.com, and the port as `port`"))
}

fn check_mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is no mail address: write it like soc@example.com, or SOC <soc@example.com>")
    })
}

fn mailbox<S: Serializer>(mailbox: &Mailbox, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mailbox)
}

fn mailboxes<S: Serializer>(mailboxes: &[Mailbox], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(mailboxes.iter().map(ToString::to_string))
}
