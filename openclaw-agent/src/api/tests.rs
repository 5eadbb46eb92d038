//! The client against the server, over a real socket.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openclaw_detect::{Changes, Scope, Timestamp};
use tokio::sync::mpsc;

use super::protocol::{Block, Isolate, Reloaded};
use super::socket::BoundSocket;
use super::*;
use crate::config::Mode;
use crate::output::Format;
use crate::own_log::{Level, Line, Ring};
use crate::respond::Modes;
use crate::respond::Network;
use crate::respond::action::{ActionKind, ActionRecord, Outcome, Target};

/// An agent that remembers what it blocked, and hands its subscribers' ends to the test.
#[derive(Default)]
struct Agent {
    blocked: Mutex<Vec<ActionRecord>>,
    subscribers: Mutex<Vec<(mpsc::Sender<String>, Arc<AtomicU64>)>>,
    log: Ring,
}

impl Control for Agent {
    fn status(&self) -> Status {
        Status {
            version: "1".to_owned(),
            host: "h".to_owned(),
            pid: 1,
            uptime_seconds: 5,
            mode: Mode::Enforce,
            hooks: Vec::new(),
            events: BTreeMap::new(),
            losses: Vec::new(),
            logs: Vec::new(),
            rules: 3,
            warnings: Vec::new(),
            findings: 0,
            alerts: status::AlertCounts::default(),
            channels: Vec::new(),
            muted: BTreeMap::new(),
            active_verdicts: 0,
            actions: Vec::new(),
            agent: status::Figures::default(),
        }
    }

    fn health(&self) -> Result<(), Refusal> {
        match self.blocked.lock().unwrap().len() {
            0 => Ok(()),
            _ => Err(Refusal("it stands still".to_owned())),
        }
    }

    fn block(&self, request: Block) -> Result<ActionRecord, Refusal> {
        let target = Target::Network(request.network.to_string());
        let record = ActionRecord {
            outcome: Outcome::Done,
            reason: request.reason,
            expires: request.duration.map(|duration| Timestamp(1 + duration.as_nanos() as u64)),
            ..ActionRecord::asked("a1".to_owned(), ActionKind::Block, target, Timestamp(1))
        };
        self.blocked.lock().unwrap().push(record.clone());
        Ok(record)
    }

    fn unblock(&self, network: Network) -> Result<ActionRecord, Refusal> {
        Err(Refusal(format!("{network} is not blocked")))
    }

    fn isolate(&self, request: Isolate) -> Result<ActionRecord, Refusal> {
        Err(Refusal(format!("there is no process {}", request.pid.unwrap_or_default())))
    }

    fn modes(&self) -> Modes {
        Modes {
            mode: Mode::Observe,
            held: false,
            warm_up_ms: 0,
            switched: BTreeMap::new(),
            tripped: Vec::new(),
        }
    }

    fn switch_mode(&self, rule: Option<&str>, mode: Mode) -> Result<Modes, Refusal> {
        let switched = rule.map(|rule| (rule.to_owned(), mode)).into_iter().collect();
        Ok(Modes { switched, ..self.modes() })
    }

    fn switch_back(&self) -> Modes {
        self.modes()
    }

    fn rearm(&self, _rule: Option<&str>) -> Result<Modes, Refusal> {
        Err(Refusal("nothing is cut off".to_owned()))
    }

    fn retry_alerts(&self, _id: Option<&str>) -> Result<u64, Refusal> {
        unreachable!("nobody asks")
    }

    fn mute(&self, _rule: &str, _duration: Option<Duration>) -> Result<BTreeMap<String, Timestamp>, Refusal> {
        unreachable!("nobody asks")
    }

    fn mutes(&self) -> Result<BTreeMap<String, Timestamp>, Refusal> {
        unreachable!("nobody asks")
    }

    fn reload_rules(&self) -> Result<(u64, Changes), Refusal> {
        Ok((7, Changes { added: vec!["new".to_owned()], ..Changes::default() }))
    }

    fn reload(&self) -> Result<Reloaded, Refusal> {
        unreachable!("nobody asks")
    }

    fn release(&self, id: &str) -> Result<ActionRecord, Refusal> {
        Err(Refusal(format!("no {id}")))
    }

    fn actions(&self, _all: bool) -> Result<Vec<ActionRecord>, Refusal> {
        Ok(self.blocked.lock().unwrap().clone())
    }

    fn undo(&self, id: &str) -> Result<ActionRecord, Refusal> {
        Err(Refusal(format!("no {id}")))
    }

    fn undo_all(&self) -> Result<Vec<ActionRecord>, Refusal> {
        Ok(std::mem::take(&mut self.blocked.lock().unwrap()))
    }

    fn subscribe(&self, condition: Option<&str>, _format: Format) -> Result<Subscription, Refusal> {
        if condition == Some("bad") {
            return Err(Refusal("unknown field `bad`".to_owned()));
        }
        let (sender, lines) = mpsc::channel(16);
        let lost = Arc::new(AtomicU64::new(0));
        self.subscribers.lock().unwrap().push((sender, Arc::clone(&lost)));
        Ok(Subscription { lines, lost })
    }

    fn own_log(&self) -> &Ring {
        &self.log
    }
}

struct Running {
    agent: Arc<Agent>,
    path: PathBuf,
    server: Server,
    _folder: tempfile::TempDir,
}

fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.sock");
    let agent = Arc::new(Agent::default());
    let server = Server::start(BoundSocket::bind(&path).unwrap(), agent.clone()).unwrap();
    Running { agent, path, server, _folder: folder }
}

async fn with_client<T: Send + 'static>(
    path: &std::path::Path,
    work: impl FnOnce(Client) -> T + Send + 'static,
) -> T {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(Client::connect(&path).unwrap())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_gets_its_answer_on_one_connection() {
    let running = start();
    let action = with_client(&running.path, |mut client| {
        let Response::Status { status } = client.ask(&Request::Status).unwrap() else { panic!() };
        assert_eq!((status.rules, status.mode), (3, Mode::Enforce));
        let block = Block {
            network: "192.0.2.0/24".parse().unwrap(),
            reason: Some("line\nbreak".to_owned()),
            duration: Some(Duration::from_secs(1)),
            among_many: false,
        };
        let Response::Action { action } = client.ask(&Request::Block(block)).unwrap() else { panic!() };
        assert_eq!(action.expires, Some(Timestamp(1_000_000_001)));
        let refused = client.ask(&Request::Isolate(Isolate {
            pid: Some(4711),
            scope: Scope::Tree,
            reason: None,
            duration: None,
        }));
        assert_eq!(refused.unwrap_err().to_string(), "there is no process 4711");
        let Response::Rules { rules, changes } = client.ask(&Request::ReloadRules).unwrap() else { panic!() };
        assert_eq!((rules, changes.to_string()), (7, "added new".to_owned()));
        let Response::Actions { actions } = client.ask(&Request::UndoAll).unwrap() else { panic!() };
        assert_eq!(actions, [*action.clone()]);
        action
    })
    .await;
    assert_eq!(action.reason.as_deref(), Some("line\nbreak"));
    assert!(running.agent.blocked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_gets_events_and_hears_of_those_that_were_left_out() {
    let running = start();
    let request = Request::Events { condition: None, format: Format::Json };
    let path = running.path.clone();
    let follower = tokio::task::spawn_blocking(move || {
        let mut got = Vec::new();
        let mut client = Client::connect(&path).unwrap();
        client
            .follow(&request, |response| {
                got.push(response);
                got.len() < 3
            })
            .unwrap();
        got
    });
    let (sender, lost) = loop {
        if let Some(subscriber) = running.agent.subscribers.lock().unwrap().pop() {
            break subscriber;
        }
        tokio::task::yield_now().await;
    };
    sender.send("one".to_owned()).await.unwrap();
    lost.store(7, Ordering::Relaxed);
    sender.send("two".to_owned()).await.unwrap();
    let got = follower.await.unwrap();
    assert!(got.contains(&Response::Lost { count: 7 }), "{got:?}");
    assert!(got.contains(&Response::Event { line: "two".to_owned() }), "{got:?}");
    sender.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agents_log_is_shown_and_followed_without_a_gap() {
    let running = start();
    let say = |level, message: &str| {
        let fields = vec![("path".to_owned(), "/x".into())];
        running.agent.log.push(Line { time: Timestamp(1), level, message: message.to_owned(), fields });
    };
    for (level, message) in [(Level::Warn, "one"), (Level::Debug, "left out"), (Level::Info, "two")] {
        say(level, message);
    }
    let request = |lines, follow| Request::Log { level: Level::Info, lines, follow };
    let last = request(1, false);
    let response = with_client(&running.path, move |mut client| client.ask(&last).unwrap()).await;
    let Response::Log { lines } = response else { panic!("{response:?}") };
    assert_eq!((lines.len(), lines[0].message.as_str()), (1, "two"));
    assert_eq!(lines[0].fields, [("path".to_owned(), "/x".into())]);

    let (heard, hear) = std::sync::mpsc::channel();
    let (path, follow) = (running.path.clone(), request(9, true));
    let follower = tokio::task::spawn_blocking(move || {
        Client::connect(&path).unwrap().follow(&follow, |response| {
            let Response::LogLine { line } = response else { panic!("{response:?}") };
            heard.send(line.message).unwrap();
            true
        })
    });
    let next = || hear.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!([next(), next()], ["one", "two"]);
    say(Level::Trace, "left out");
    say(Level::Error, "three");
    assert_eq!(next(), "three");
    running.server.stop().await;
    follower.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_with_a_mistake_is_told_to_the_follower() {
    let running = start();
    let request = Request::Events { condition: Some("bad".to_owned()), format: Format::Text };
    let error =
        with_client(&running.path, move |mut client| client.follow(&request, |_| true).unwrap_err()).await;
    assert_eq!(error.to_string(), "unknown field `bad`");
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_end_when_the_agent_stops() {
    let running = start();
    let request = Request::Events { condition: None, format: Format::Text };
    let path = running.path.clone();
    let follower =
        tokio::task::spawn_blocking(move || Client::connect(&path).unwrap().follow(&request, |_| true));
    while running.agent.subscribers.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    running.server.stop().await;
    assert!(!running.path.exists());
    // The answer to the request may have been cut off as well: then the agent is gone just the same.
    let _ = follower.await.unwrap();
    let error = Client::connect(&running.path).unwrap_err().to_string();
    assert!(error.contains("no agent is running"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_with_an_error_and_does_not_stop_the_server() {
    let running = start();
    for line in ["", "{}", "{\"request\":\"no_such\"}", "\u{0}", &"x".repeat(1 << 20)] {
        let line = format!("{line}\n");
        let path = running.path.clone();
        tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(&path).unwrap();
            // The server may hang up before it has read all of it.
            let _ = stream.write_all(line.as_bytes());
            let mut answer = String::new();
            let _ = BufReader::new(stream).read_line(&mut answer);
            assert!(answer.is_empty() || answer.contains("does not understand"), "{answer}");
        })
        .await
        .unwrap();
    }
    with_client(&running.path, |mut client| client.ask(&Request::Status).unwrap()).await;
}
