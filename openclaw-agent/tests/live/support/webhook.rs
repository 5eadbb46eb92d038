//! An endpoint on loopback that takes alerts, as the SOC's would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;

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

    /// One that gives these answers first, a connection each, before it takes everything.
    pub(crate) fn answering(listener: TcpListener, answers: Vec<String>) -> Self {
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let mut answers = answers.into_iter();
        let (sender, posts) = channel();
        // Ends with the test's process: nothing else would wake it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, answer) = (sender.clone(), answers.next());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(post) = read(&mut reader) {
                        let said = reader.get_mut().write_all(answer.as_deref().unwrap_or(OK).as_bytes());
                        if sender.send(post).is_err() || said.is_err() || answer.is_some() {
                            return;
                        }
                    }
                });
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
        let end = Instant::now() + PATIENCE;
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
