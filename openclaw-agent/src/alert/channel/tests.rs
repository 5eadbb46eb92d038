use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use openclaw_detect::Severity;
use serde_json::{Value, json};

use super::*;
use crate::alert::Trigger;
use crate::config::{
    Email, EmailTls, Http, Secret, Slack, Syslog, SyslogAddress, SyslogFormat, SyslogTransport, Telegram,
};

/// The example of what a person reads.
pub(crate) fn alert() -> Alert {
    Alert {
        id: "a1".to_owned(),
        severity: Severity::Critical,
        title: "Intrusion Detected".to_owned(),
        message: "Brute force attack detected from IP 192.168.1.100".to_owned(),
        timestamp: "2026-01-30T22:30:45.123Z".to_owned(),
        details: json!({
            "pattern": "brute_force", "ip": "192.168.1.100", "attempts": 10, "threshold": 10, "rule": "brute_force",
            "tags": ["intrusion"], "host": "web-1", "more": "openclaw findings show a1",
        }),
        trigger: Trigger::IntrusionDetected,
        like: String::new(),
    }
}

/// One in which every text that somebody else chose is `text`.
pub(crate) fn alert_of(text: &str) -> Alert {
    let process = json!({"pid": 7, "name": text, "executable": text, "command_line": text});
    Alert {
        title: text.to_owned(),
        message: text.to_owned(),
        details: json!({
            "pattern": text, "ip": text, "reason": text, "rule": text, "user": {"name": text}, "container": text,
            "host": text, "process": {"pid": 8, "name": text, "command_line": text, "ancestry": [process, process]},
            "actions": [{"summary": text, "undo": text}], "more": "openclaw findings show a1",
        }),
        ..alert()
    }
}

/// A real HTTP server that gives one answer, and tells what it was asked.
pub(crate) fn answer_once(answer: &'static str) -> (SocketAddr, JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let served = thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
        (head, serde_json::from_slice(&body).unwrap_or_default())
    });
    (address, served)
}

fn telegram(address: SocketAddr) -> Sender {
    let http = Http::new(format!("http://{address}/proxy/").parse().unwrap());
    let kind = ChannelKind::Telegram(Telegram {
        bot_token: Secret::new("123456:s3cr3t-t0ken"),
        chat_id: "-1001".parse().unwrap(),
        http,
    });
    Sender::new(&Channel { name: "telegram".to_owned(), kind }, &TimeZone::UTC).unwrap()
}

fn slack(address: SocketAddr) -> Sender {
    let http = Http::new(format!("http://{address}/services/T0/B0/s3cr3tt0ken").parse().unwrap());
    let kind = ChannelKind::Slack(Slack { http });
    Sender::new(&Channel { name: "slack".to_owned(), kind }, &TimeZone::UTC).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_waits_for_as_long_as_the_body_says_and_its_token_is_in_the_path_alone() {
    let body = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: 123456:s3cr3t-t0ken","parameters":{"retry_after":7}}"#;
    let answer = format!("HTTP/1.1 429 Too Many Requests\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (address, served) = answer_once(answer.leak());
    let mut sender = telegram(address);
    let attempt = sender.send(&alert()).await;
    let reason = "the endpoint answered 429 Too Many Requests: Too Many Requests: ***".to_owned();
    assert_eq!(attempt, Attempt::Later { reason, after: Some(Duration::from_secs(7)) });
    let (head, body) = served.join().unwrap();
    assert!(head.starts_with("POST /proxy/bot123456:s3cr3t-t0ken/sendMessage HTTP/1.1\r\n"), "{head}");
    assert_eq!((&body["chat_id"], &body["parse_mode"]), (&json!(-1001), &json!("MarkdownV2")));
    assert_eq!(sender.pace(), Duration::from_secs(3), "a group");
    assert!(!format!("{sender:?}").contains("s3cr3t"), "{sender:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_not_tried_again_and_the_reason_is_the_endpoints() {
    let (address, _served) =
        answer_once("HTTP/1.1 400 Bad Request\r\ncontent-length: 14\r\n\r\ninvalid_blocks");
    let attempt = slack(address).send(&alert()).await;
    let reason = "the endpoint answered 400 Bad Request: invalid_blocks".to_owned();
    assert_eq!(attempt, Attempt::Never { reason });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_or_never_ends_is_judged_by_its_status() {
    let (address, _served) = answer_once("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nok");
    assert_eq!(slack(address).send(&alert()).await, Attempt::Delivered { said: "200 OK".to_owned() });
    let (address, _served) =
        answer_once("HTTP/1.1 503 Service Unavailable\r\nretry-after: 99999\r\ncontent-length: 9\r\n\r\n");
    let Attempt::Later { after, .. } = slack(address).send(&alert()).await else { panic!() };
    assert_eq!(after, Some(http::LONGEST_WAIT), "however long it asks for");
    let (address, _served) =
        answer_once("HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n");
    let Attempt::Later { after, .. } = slack(address).send(&alert()).await else { panic!() };
    assert_eq!(after, None, "the usual pause, and no hail of requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let (address, _served) = answer_once(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
    );
    let attempt = slack(address).send(&alert()).await;
    assert!(matches!(&attempt, Attempt::Never { reason } if reason.contains("redirects")), "{attempt:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_to_a_server_without_a_trusted_certificate_is_not_delivered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let endpoint = Endpoint::new(Http::new(url.parse().unwrap())).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut hello = [0; 1];
        stream.read_exact(&mut hello).unwrap();
        hello[0]
    });
    assert!(matches!(endpoint.post(Vec::new()).await, Attempt::Later { .. }));
    assert_eq!(server.join().unwrap(), 0x16, "what goes out is a TLS handshake, not the alert");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_is_left_after_its_timeout_whatever_its_kind() {
    // Connections are made, and nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, timeout) = (listener.local_addr().unwrap(), Duration::from_millis(200));
    let mut http = Http::new(format!("http://{address}/").parse().unwrap());
    http.timeout = timeout;
    let email = Email {
        server: "127.0.0.1".to_owned(),
        port: address.port(),
        tls: EmailTls::Starttls,
        username: None,
        password: None,
        from: "a@example.com".parse().unwrap(),
        to: vec!["b@example.com".parse().unwrap()],
        allow_insecure: false,
        timeout,
        ca_file: None,
    };
    let syslog = Syslog {
        address: SyslogAddress::Host { host: "127.0.0.1".to_owned(), port: address.port() },
        transport: SyslogTransport::Tls,
        facility: 4,
        format: SyslogFormat::Text,
        timeout,
        ca_file: None,
    };
    for kind in
        [ChannelKind::Slack(Slack { http }), ChannelKind::Email(email.into()), ChannelKind::Syslog(syslog)]
    {
        let mut sender = Sender::new(&Channel { name: "a".to_owned(), kind }, &TimeZone::UTC).unwrap();
        let begun = std::time::Instant::now();
        let attempt = sender.send(&alert()).await;
        assert!(
            matches!(&attempt, Attempt::Later { reason, .. } if reason.contains("in time")),
            "{attempt:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
