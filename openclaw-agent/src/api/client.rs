//! The command's end of the control socket.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Request, Response};
use super::socket::SYSTEM_SOCKET;

/// How long an answer may take. Isolating a large process tree is the longest.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the agent did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no agent is running: nothing listens on {}. Start one with `sudo openclaw run`", .0.display())]
    NotRunning(PathBuf),
    /// The socket is somebody else's.
    #[error("only root may control the agent: run the command with sudo ({} cannot be opened)", .0.display())]
    NotAllowed(PathBuf),
    /// The connection broke.
    #[error("the agent did not answer on {path}: {source}. See its log, or `openclaw status`", path = path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The agent answered that it did not do it.
    #[error("{0}")]
    Refused(String),
    /// The agent answered something that does not fit the question.
    #[error(
        "the agent's answer makes no sense to this version of `openclaw`: use the version that the agent has"
    )]
    Unexpected,
}

/// A connection to the running agent.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Client {
    /// Connects to the agent that listens at `path`.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`], [`ClientError::NotAllowed`], or the connection broke.
    pub fn connect(path: &Path) -> Result<Client, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => not_running(path),
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed(path.to_owned()),
            _ => ClientError::Broken { path: path.to_owned(), source },
        })?;
        let timeouts = stream
            .set_read_timeout(Some(ANSWER_TIMEOUT))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_TIMEOUT)));
        timeouts.map_err(|source| ClientError::Broken { path: path.to_owned(), source })?;
        Ok(Client { stream: BufReader::new(stream), path: path.to_owned() })
    }

    /// Asks, and waits for the answer. An answer of [`Response::Error`] is an error.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn ask(&mut self, request: &Request) -> Result<Response, ClientError> {
        let mut line = serde_json::to_vec(request).map_err(|error| self.broken(error.into()))?;
        line.push(b'\n');
        let sent = self.stream.get_mut().write_all(&line);
        // An agent that refuses the peer answers without reading: its answer says more than the broken pipe.
        match self.read() {
            Ok(response) => Ok(response),
            Err(ClientError::Broken { source, .. }) => Err(self.broken(sent.err().unwrap_or(source))),
            Err(error) => Err(error),
        }
    }

    /// Asks for events and hands each answer to `each`, until it returns false or the agent ends.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn follow(
        &mut self,
        request: &Request,
        mut each: impl FnMut(Response) -> bool,
    ) -> Result<(), ClientError> {
        if self.ask(request)? != Response::Following {
            return Err(ClientError::Unexpected);
        }
        let no_timeout = self.stream.get_ref().set_read_timeout(None);
        no_timeout.map_err(|source| self.broken(source))?;
        loop {
            match self.read() {
                Ok(response) => {
                    if !each(response) {
                        return Ok(());
                    }
                }
                // The agent stopped.
                Err(ClientError::Broken { source, .. }) if source.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn read(&mut self) -> Result<Response, ClientError> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => return Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return Err(self.broken(error)),
        }
        match serde_json::from_slice(&line) {
            Ok(Response::Error { message }) => Err(ClientError::Refused(message)),
            Ok(response) => Ok(response),
            Err(_) => Err(ClientError::Unexpected),
        }
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken { path: self.path.clone(), source }
    }
}

/// Nobody listens; but where root's agent does, the user only lacks sudo.
fn not_running(path: &Path) -> ClientError {
    let system = Path::new(SYSTEM_SOCKET);
    let hidden = system.parent().is_some_and(|folder| {
        std::fs::read_dir(folder).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    });
    if path != system && hidden {
        return ClientError::NotAllowed(system.to_owned());
    }
    ClientError::NotRunning(path.to_owned())
}
