//! Messages over a connection, each with its length before it (RFC 6587 3.4.1; RFC 5425 4.3 with TLS).

use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::Authority;

/// How often it is looked whether the receiver's system has what was sent.
const GLANCE: Duration = Duration::from_millis(2);

/// How connections are made.
pub(super) enum Connector {
    /// In the clear.
    Plain,
    /// Encrypted, to a receiver whose certificate is right.
    Tls(TlsConnector),
}

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// One that believes an authority, or those of the system.
    pub(super) fn tls(authority: Option<&Authority>) -> Result<Connector, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = match authority {
            None => builder.with_platform_verifier()?,
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for certificate in &authority.certificates {
                    roots.add(certificate.clone())?;
                }
                builder.with_root_certificates(roots)
            }
        };
        Ok(Connector::Tls(Arc::new(builder.with_no_client_auth()).into()))
    }

    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<Stream> {
        let stream = TcpStream::connect((host, port)).await?;
        Ok(match self {
            Connector::Plain => Stream::Plain(stream),
            Connector::Tls(connector) => {
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                Stream::Tls(Box::new(connector.connect(name, stream).await?))
            }
        })
    }
}

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

impl Stream {
    fn io(&mut self) -> &mut dyn Both {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream,
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Sends a message, and waits until the receiver's system has all of it. More no connection tells: what the receiver
    /// itself has not read when it ends may be lost. Returns whether the connection still stands.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<bool> {
        if self.is_closed().await? {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let frame = [format!("{} ", message.len()).as_bytes(), message].concat();
        self.io().write_all(&frame).await?;
        self.io().flush().await?;
        loop {
            tokio::time::sleep(GLANCE).await;
            // A receiver that closes before it has read everything resets the connection, which is an error of both.
            let (unacknowledged, closed) = (self.unacknowledged()?, self.is_closed().await?);
            if let Some(error) = self.tcp().take_error()? {
                return Err(error);
            }
            match (unacknowledged, closed) {
                (0, closed) => return Ok(!closed),
                (_, true) => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
    }

    /// Whether the receiver has closed the connection in order. It has nothing to say, so what it says is passed over.
    async fn is_closed(&mut self) -> io::Result<bool> {
        let stream = self.io();
        let mut bytes = [0; 512];
        poll_fn(|context| {
            loop {
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                    Poll::Pending => return Poll::Ready(Ok(false)),
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    Poll::Ready(read) => return Poll::Ready(read.map(|()| true)),
                }
            }
        })
        .await
    }

    /// How many bytes the receiver's system has not acknowledged (`SIOCOUTQ` of tcp(7)).
    fn unacknowledged(&self) -> io::Result<libc::c_int> {
        let mut count: libc::c_int = 0;
        // SAFETY: the descriptor is open for as long as the stream is borrowed, and the request writes one `c_int`.
        let result = unsafe { libc::ioctl(self.tcp().as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
        if result == 0 { Ok(count) } else { Err(io::Error::last_os_error()) }
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Connector::Plain => "Plain",
            Connector::Tls(_) => "Tls",
        })
    }
}
