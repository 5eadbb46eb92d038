//! The agent's end of the control socket.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::control::{Control, Refusal, Subscription};
use super::protocol::{Request, Response};
use super::socket::BoundSocket;
use crate::own_log::Following;

/// The longest line that a client may send, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;
/// How many clients are served at a time; further ones wait.
const MAX_CLIENTS: usize = 64;
/// How long a client may take to read an answer before it is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves the control socket until it is dropped or stopped.
#[derive(Debug)]
pub struct Server {
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Begins to serve. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The runtime does not take the socket.
    pub fn start(socket: BoundSocket, control: Arc<dyn Control>) -> io::Result<Server> {
        let listener = UnixListener::from_std(socket.listener.try_clone()?)?;
        let task = tokio::spawn(async move {
            serve(&listener, &control).await;
            drop(socket);
        });
        Ok(Server { task })
    }

    /// Hangs up on every client and removes the socket.
    pub async fn stop(mut self) {
        self.task.abort();
        // Cancelled is what was asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: &UnixListener, control: &Arc<dyn Control>) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    // Dropped with this future, and every client's task with it.
    let mut clients = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "the control socket did not accept a client");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while clients.try_join_next().is_some() {}
        let control = Arc::clone(control);
        clients.spawn(async move {
            if let Err(error) = client(stream, control).await {
                debug!(%error, "a client of the control socket hung up");
            }
            drop(place);
        });
    }
}

/// Serves one client until it hangs up.
async fn client(stream: UnixStream, control: Arc<dyn Control>) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    // SAFETY: geteuid has no preconditions and cannot fail.
    let own = unsafe { libc::geteuid() };
    let (read, mut write) = stream.into_split();
    if peer != 0 && peer != own {
        warn!(uid = peer, "refused a client of the control socket");
        let message = "only root may control the agent: use sudo".to_owned();
        return answer(&mut write, &Response::Error { message }).await;
    }
    let mut lines = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let length = (&mut lines).take(MAX_REQUEST).read_until(b'\n', &mut line).await?;
        if length == 0 {
            return Ok(());
        }
        let request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                let message = format!(
                    "the agent (version {}) does not understand the request: {error}. Use the `openclaw` command of the same version",
                    env!("CARGO_PKG_VERSION")
                );
                // What follows on this connection may be the rest of it.
                return answer(&mut write, &Response::Error { message }).await;
            }
        };
        if let Request::Events { condition, format } = request {
            let control = Arc::clone(&control);
            let subscription = blocking(move || control.subscribe(condition.as_deref(), format)).await?;
            match subscription {
                Ok(Subscription { lines: events, lost }) => {
                    answer(&mut write, &Response::Following).await?;
                    return hand_on(&mut write, lines, events, &lost, |line| Response::Event { line }).await;
                }
                Err(Refusal(message)) => answer(&mut write, &Response::Error { message }).await?,
            }
            continue;
        }
        if let Request::Log { level, lines: count, follow: true } = request {
            let Following { before, lines: later, lost } = control.own_log().follow(count, level);
            answer(&mut write, &Response::Following).await?;
            let line = |line| Response::LogLine { line: Arc::unwrap_or_clone(line) };
            for before in before {
                answer(&mut write, &line(before)).await?;
            }
            return hand_on(&mut write, lines, later, &lost, line).await;
        }
        let control = Arc::clone(&control);
        let response = blocking(move || carry_out(control.as_ref(), request)).await?;
        answer(&mut write, &response).await?;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn carry_out(control: &dyn Control, request: Request) -> Response {
    let one = |action| Response::Action { action: Box::new(action) };
    let many = |actions| Response::Actions { actions };
    let response = match request {
        Request::Status => Ok(Response::Status { status: Box::new(control.status()) }),
        Request::Block(block) => control.block(block).map(one),
        Request::Unblock { network } => control.unblock(network).map(one),
        Request::Isolate(isolate) => control.isolate(isolate).map(one),
        Request::Release { id } => control.release(&id).map(one),
        Request::Actions { all } => control.actions(all).map(many),
        Request::Undo { id } => control.undo(&id).map(one),
        Request::UndoAll => control.undo_all().map(many),
        Request::Modes => Ok(Response::Modes { modes: control.modes() }),
        Request::SwitchMode { rule, mode } => {
            control.switch_mode(rule.as_deref(), mode).map(|modes| Response::Modes { modes })
        }
        Request::SwitchBack => Ok(Response::Modes { modes: control.switch_back() }),
        Request::Rearm { rule } => control.rearm(rule.as_deref()).map(|modes| Response::Modes { modes }),
        Request::ReloadRules => {
            control.reload_rules().map(|(rules, changes)| Response::Rules { rules, changes })
        }
        Request::Reload => {
            control.reload().map(|reloaded| Response::Reloaded { reloaded: Box::new(reloaded) })
        }
        Request::RetryAlerts { id } => {
            control.retry_alerts(id.as_deref()).map(|deliveries| Response::Retried { deliveries })
        }
        Request::Mute { rule, duration } => {
            control.mute(&rule, duration).map(|mutes| Response::Mutes { mutes })
        }
        Request::Mutes => control.mutes().map(|mutes| Response::Mutes { mutes }),
        Request::Log { level, lines, follow: false } => {
            let lines = control.own_log().last(lines, level);
            Ok(Response::Log { lines: lines.into_iter().map(Arc::unwrap_or_clone).collect() })
        }
        Request::Events { .. } | Request::Log { follow: true, .. } => {
            Err(Refusal("what is followed has a connection of its own".to_owned()))
        }
    };
    response.unwrap_or_else(|Refusal(message)| Response::Error { message })
}

/// Hands on what comes until the client hangs up or nothing can come any more.
async fn hand_on<T>(
    write: &mut OwnedWriteHalf,
    mut read: BufReader<OwnedReadHalf>,
    mut lines: mpsc::Receiver<T>,
    lost: &AtomicU64,
    response: impl Fn(T) -> Response,
) -> io::Result<()> {
    let mut hung_up = [0; 1];
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            // A follower has nothing more to say: whatever arrives is its end.
            _ = read.read(&mut hung_up) => return Ok(()),
        };
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            answer(write, &Response::Lost { count }).await?;
        }
        match line {
            Some(line) => answer(write, &response(line)).await?,
            None => return Ok(()),
        }
    }
}

async fn answer(write: &mut OwnedWriteHalf, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    timeout(WRITE_TIMEOUT, write.write_all(&line))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
