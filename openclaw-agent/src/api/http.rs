//! What is served over HTTP: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tracing::{debug, warn};

use super::{Control, Refusal, metrics};

/// How many clients are served at a time; further ones wait.
const MAX_CLIENTS: usize = 16;

/// How long a client may take to ask, and how long it is served in all: nobody scrapes over one connection for longer.
const ASKING: Duration = Duration::from_secs(10);
const SERVED: Duration = Duration::from_secs(300);

/// The server, until it is dropped or stopped.
#[derive(Debug)]
pub struct HttpServer {
    task: JoinHandle<()>,
    address: SocketAddr,
}

impl HttpServer {
    /// Begins to serve. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Nobody can listen there.
    pub async fn start(at: SocketAddr, control: Arc<dyn Control>) -> Result<HttpServer> {
        let listener = TcpListener::bind(at).await;
        let listener = listener.with_context(|| format!("cannot listen at {at} for `api.metrics`"))?;
        if !at.ip().is_loopback() {
            warn!(%at, "metrics are served to whoever can reach this address");
        }
        let address = listener.local_addr()?;
        Ok(HttpServer { task: tokio::spawn(serve(listener, router(control))), address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hangs up on every client.
    pub async fn stop(mut self) {
        self.task.abort();
        // Cancelled is what was asked for.
        let _ = (&mut self.task).await;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(control: Arc<dyn Control>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        // Whoever is served is watched: the sensor begins before the server does.
        .route("/readyz", get(health))
        .with_state(control)
}

async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    // Dropped with this future, and every client's task with it.
    let mut clients = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a client of `api.metrics` was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while clients.try_join_next().is_some() {}
        let service = TowerToHyperService::new(router.clone());
        clients.spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(ASKING);
            let served = server.serve_connection(TokioIo::new(stream), service);
            match tokio::time::timeout(SERVED, served).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => debug!(%error, "a client of `api.metrics` hung up"),
            }
            drop(place);
        });
    }
}

async fn metrics(State(control): State<Arc<dyn Control>>) -> Response {
    let text = spawn_blocking(move || metrics::text(&control.status())).await;
    match text.map_err(anyhow::Error::from).and_then(|text| Ok(text?)) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

async fn health(State(control): State<Arc<dyn Control>>) -> Response {
    match control.health() {
        Ok(()) => "ok\n".into_response(),
        Err(Refusal(reason)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openclaw_detect::Timestamp;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::api::Subscription;
    use crate::api::protocol::{Block, Isolate};
    use crate::api::status::{AlertCounts, EventCount, Figures, Loss, Status};
    use crate::capability::{Capability, State as HookState};
    use crate::config::Mode;
    use crate::output::Format;
    use crate::own_log::Ring;
    use crate::respond::{ActionRecord, Modes, Network};

    /// An agent that only says how it does.
    struct Agent {
        goes_on: bool,
    }

    impl Control for Agent {
        fn status(&self) -> Status {
            Status {
                version: "1".to_owned(),
                host: "a \"host\"".to_owned(),
                pid: 1,
                uptime_seconds: 5,
                mode: Mode::Observe,
                hooks: vec![Capability::new("process exec", "tp_btf", HookState::Attached)],
                events: BTreeMap::from([(
                    "process_create".to_owned(),
                    EventCount { total: 7, per_second: 1.0 },
                )]),
                losses: vec![Loss { stage: "kernel".to_owned(), reason: "ring_full".to_owned(), count: 2 }],
                logs: Vec::new(),
                rules: 3,
                warnings: Vec::new(),
                findings: 1,
                alerts: AlertCounts::default(),
                channels: Vec::new(),
                muted: BTreeMap::new(),
                active_verdicts: 0,
                actions: Vec::new(),
                agent: Figures::default(),
            }
        }

        fn health(&self) -> Result<(), Refusal> {
            if self.goes_on { Ok(()) } else { Err(Refusal("it stands still".to_owned())) }
        }

        fn block(&self, _: Block) -> Result<ActionRecord, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn unblock(&self, _: Network) -> Result<ActionRecord, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn isolate(&self, _: Isolate) -> Result<ActionRecord, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn release(&self, _: &str) -> Result<ActionRecord, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn actions(&self, _: bool) -> Result<Vec<ActionRecord>, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn undo(&self, _: &str) -> Result<ActionRecord, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn modes(&self) -> Modes {
            unreachable!("nobody asks for it")
        }

        fn switch_mode(&self, _: Option<&str>, _: Mode) -> Result<Modes, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn switch_back(&self) -> Modes {
            unreachable!("nobody asks for it")
        }

        fn rearm(&self, _: Option<&str>) -> Result<Modes, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn undo_all(&self) -> Result<Vec<ActionRecord>, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn retry_alerts(&self, _id: Option<&str>) -> Result<u64, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn mute(
            &self,
            _rule: &str,
            _duration: Option<Duration>,
        ) -> Result<BTreeMap<String, Timestamp>, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn mutes(&self) -> Result<BTreeMap<String, Timestamp>, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn reload_rules(&self) -> Result<(u64, openclaw_detect::Changes), Refusal> {
            unreachable!("nobody asks for it")
        }

        fn reload(&self) -> Result<crate::api::protocol::Reloaded, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn subscribe(&self, _: Option<&str>, _: Format) -> Result<Subscription, Refusal> {
            unreachable!("nobody asks for it")
        }

        fn own_log(&self) -> &Ring {
            unreachable!("nobody asks for it")
        }
    }

    async fn get(server: &HttpServer, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn serve(goes_on: bool) -> HttpServer {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        HttpServer::start(nowhere, Arc::new(Agent { goes_on })).await.unwrap()
    }

    #[tokio::test]
    async fn the_status_is_served_as_metrics_and_the_health_as_a_status_code() {
        let server = serve(true).await;
        let (status, text) = get(&server, "/metrics").await;
        assert_eq!(status, 200);
        for line in [
            "openclaw_events_total{kind=\"process_create\"} 7",
            "openclaw_lost_events_total{reason=\"ring_full\",stage=\"kernel\"} 2",
            "openclaw_hook_state{capability=\"process exec\",hook=\"tp_btf\",state=\"attached\"} 1",
            "openclaw_agent_info{host=\"a \\\"host\\\"\",version=\"1\"} 1",
            "# TYPE openclaw_findings_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(get(&server, "/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get(&server, "/readyz").await.0, 200);
        assert_eq!(get(&server, "/other").await.0, 404);
        let stalled = serve(false).await;
        assert_eq!(get(&stalled, "/healthz").await, (503, "it stands still\n".to_owned()));
    }

    #[tokio::test]
    async fn who_says_nothing_does_not_keep_others_from_being_served() {
        let server = serve(true).await;
        let silent: Vec<_> =
            (1..MAX_CLIENTS).map(|_| std::net::TcpStream::connect(server.address()).unwrap()).collect();
        assert_eq!(get(&server, "/healthz").await.0, 200);
        drop(silent);
        server.stop().await;
    }
}
