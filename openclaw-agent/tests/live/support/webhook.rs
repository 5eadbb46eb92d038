//! An endpoint on loopback that takes alerts, as the SOC's would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;
use super::socket::Socket;

/// What was posted: the head of the request, its body, and when it came.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) head: String,
    /// As JSON; a text where it is none.
    pub(crate) body: Value,
    pub(crate) raw: Vec<u8>,
    pub(crate) at: Instant,
}

impl Post {
    /// A header, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
    }
}

/// That it was taken.
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What an endpoint does with a request instead of taking it.
pub(crate) enum Answer {
    /// It says this, which may be nothing, and closes the connection.
    Says(String),
    /// It says nothing for as long as somebody waits for it.
    Hangs,
    /// It closes the connection when it has read so many bytes of the request, which is not among those that came.
    Breaks(usize),
}

/// The place of an endpoint that is down: nobody else gets it, and who connects is refused.
pub(crate) struct Down {
    socket: Socket,
}

impl Down {
    pub(crate) fn new() -> Self {
        let socket = Socket::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        Down { socket }
    }

    /// Where alerts are to be posted.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/alerts", self.socket.address())
    }

    /// The endpoint is up.
    pub(crate) fn up(self) -> Webhook {
        rustix::net::listen(&self.socket.0, 128).unwrap();
        Webhook::on(self.socket.0.into())
    }
}

/// The endpoint.
pub(crate) struct Webhook {
    pub(crate) url: String,
    posts: Receiver<Post>,
}

impl Webhook {
    pub(crate) fn new() -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).unwrap())
    }

    /// One that listens elsewhere, such as in another network namespace.
    pub(crate) fn on(listener: TcpListener) -> Self {
        Self::answering(listener, Vec::new())
    }

    /// One that does this first, a connection each, before it takes everything.
    pub(crate) fn answering(listener: TcpListener, answers: Vec<Answer>) -> Self {
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let mut answers = answers.into_iter();
        let (sender, posts) = channel();
        // Ends with the test's process: nothing else would wake it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, answer) = (sender.clone(), answers.next());
                std::thread::spawn(move || serve(stream, answer.as_ref(), &sender));
            }
        });
        Webhook { url, posts }
    }

    /// All that came so far and was not asked for.
    pub(crate) fn taken(&self) -> Vec<Value> {
        self.posts.try_iter().map(|post| post.body).collect()
    }

    /// The next alert of which `right` is true; others are passed over.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, right: impl Fn(&Value) -> bool) -> Post {
        self.wait_until(Instant::now() + PATIENCE, what, right)
    }

    /// The same, but it may take until then.
    #[track_caller]
    pub(crate) fn wait_until(&self, end: Instant, what: &str, right: impl Fn(&Value) -> bool) -> Post {
        let mut others = Vec::new();
        loop {
            match self.posts.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(post) if right(&post.body) => return post,
                Ok(post) => others.push(post.body),
                Err(_) => panic!("no alert came: {what}. These did: {others:#?}"),
            }
        }
    }
}

/// Takes what comes by a connection, until it is closed.
fn serve(mut stream: TcpStream, answer: Option<&Answer>, taken: &Sender<Post>) {
    if let Some(Answer::Breaks(length)) = answer {
        // The rest is unread when the connection is closed.
        let _ = stream.read_exact(&mut vec![0; *length]);
        return;
    }
    let mut reader = BufReader::new(stream);
    while let Some(post) = read(&mut reader) {
        let (says, goes_on) = match answer {
            Some(Answer::Says(says)) => (says.as_str(), false),
            Some(Answer::Hangs) => ("", true),
            _ => (OK, true),
        };
        // Before it is answered: what comes then may come by another connection.
        if taken.send(post).is_err() || reader.get_mut().write_all(says.as_bytes()).is_err() || !goes_on {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Post> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        if line.trim_end().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    Some(Post {
        head,
        body: serde_json::from_slice(&body).unwrap_or_else(|_| text()),
        at: Instant::now(),
        raw: body,
    })
}
