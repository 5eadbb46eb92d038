//! A message to a receiver of syslog.

mod json;
mod message;
mod stream;

use std::io;
use std::time::Duration;

use tokio::net::{UdpSocket, UnixDatagram};

use super::{Attempt, cause};
use crate::alert::Alert;
use crate::config;
use crate::config::{SyslogAddress, SyslogTransport};
use message::message;
use stream::{Connector, Stream};

/// The longest message in a datagram on the network, in bytes: with the headers of UDP and IP it fits the smallest packet
/// that IPv6 carries whole, and every receiver must take it (RFC 5426 3.2).
const LONGEST_DATAGRAM: usize = 1180;
/// The longest in others: what receivers take that are not configured for more.
const LONGEST: usize = 8192;
/// For so long it is waited whether a host says that nobody listens. Most are silent.
const REFUSAL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Syslog {
    config: config::Syslog,
    connector: Connector,
    stream: Option<Stream>,
}

impl Syslog {
    pub(super) fn new(config: &config::Syslog) -> Result<Syslog, String> {
        let connector = match config.transport {
            SyslogTransport::Tls => Connector::tls(config.ca_file.as_ref()).map_err(|error| {
                format!("{}. Install the system's certificates (package ca-certificates)", cause(&error))
            })?,
            SyslogTransport::Udp | SyslogTransport::Tcp => Connector::Plain,
        };
        Ok(Syslog { config: config.clone(), connector, stream: None })
    }

    pub(super) async fn send(&mut self, alert: &Alert) -> Attempt {
        let limit = match (&self.config.address, self.config.transport) {
            (SyslogAddress::Host { .. }, SyslogTransport::Udp) => LONGEST_DATAGRAM,
            _ => LONGEST,
        };
        let message = message(alert, self.config.facility, self.config.format, Some(limit));
        let later = |reason| Attempt::Later { reason, after: None };
        match tokio::time::timeout(self.config.timeout, self.deliver(&message)).await {
            Ok(Ok(said)) => Attempt::Delivered { said: said.to_owned() },
            // It will never be shorter.
            Ok(Err(error)) if error.raw_os_error() == Some(libc::EMSGSIZE) => Attempt::Never {
                reason: format!("a message of {} bytes is too long for a datagram", message.len()),
            },
            Ok(Err(error)) => later(format!("cannot send: {}", cause(&error))),
            Err(_) => {
                // What it holds may be a part of a message.
                self.stream = None;
                later("the receiver did not take it in time".to_owned())
            }
        }
    }

    async fn deliver(&mut self, message: &[u8]) -> io::Result<&'static str> {
        match (&self.config.address, self.config.transport) {
            (SyslogAddress::Socket(path), _) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.send(message).await?;
                Ok("the socket took it")
            }
            (SyslogAddress::Host { host, port }, SyslogTransport::Udp) => {
                send_datagram(host, *port, message).await?;
                Ok("sent, which is all that UDP tells")
            }
            (SyslogAddress::Host { host, port }, _) => {
                let old = self.stream.take();
                if let Some(mut stream) = old
                    && let Ok(stands) = stream.send(message).await
                {
                    self.stream = stands.then_some(stream);
                } else {
                    // A receiver that was started again has closed the old connection: that is no failure of this one.
                    let mut stream = self.connector.connect(host, *port).await?;
                    self.stream = stream.send(message).await?.then_some(stream);
                }
                Ok("the receiver's system has it")
            }
        }
    }
}

/// Sends a datagram, and hears whether the other host refuses it at once.
async fn send_datagram(host: &str, port: u16, message: &[u8]) -> io::Result<()> {
    let address = tokio::net::lookup_host((host, port)).await?.next();
    let address = address.ok_or_else(|| io::Error::other("the receiver's name has no address"))?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    socket.send(message).await?;
    match tokio::time::timeout(REFUSAL, socket.recv(&mut [0])).await {
        Ok(Err(error)) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
