//! Requests, as nginx and Apache write them into their access logs: the combined format, the common one, and both with
//! the virtual host before them or the forwarded addresses behind them.
//!
//! ```text
//! [HOST:PORT ]CLIENT IDENT USER [TIME] "METHOD TARGET HTTP/VERSION" STATUS BYTES[ "REFERRER" "AGENT"[ "FORWARDED"]]
//! ```

use std::net::IpAddr;

use openclaw_detect::Timestamp;

use super::entry::Request;
use super::proxies::{Peer, Proxies};
use super::text::{text_of, told};
use super::time::from_jiff;

/// What a line of an access log tells.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// A request, and when it was answered.
    Request(Option<Timestamp>, Box<Request>),
    /// A connection on which nothing was asked.
    Nothing,
}

/// Reads a line. None where it is no line of an access log.
pub(super) fn parse(line: &str, service: &str, proxies: &Proxies) -> Option<Line> {
    // The servers escape quotation marks in what clients choose, so that this is the end of the time.
    let (head, rest) = line.split_once("] \"")?;
    let (who, time) = head.rsplit_once(" [")?;
    let time = jiff::fmt::strtime::parse("%d/%b/%Y:%H:%M:%S %z", time).ok()?.to_timestamp().ok()?;
    let Who { domain, peer, user } = who_asked(who)?;
    let (asked, rest) = quoted(rest)?;
    let mut words = rest.trim_start().splitn(3, ' ');
    let status = words.next()?.parse().ok()?;
    // `-` where there were none.
    let bytes = words.next()?.parse().ok();
    let mut rest = words.next().unwrap_or_default();
    if told(&asked).is_none() {
        return Some(Line::Nothing);
    }
    let mut texts = Vec::new();
    while let Some((_, begun)) = rest.split_once('"') {
        let Some((text, after)) = quoted(begun) else { break };
        texts.push(text);
        rest = after;
    }
    let (method, target, version) = request_line(&asked);
    // Behind a proxy, its own address is nobody's.
    let header = texts.get(2).map(String::as_str).unwrap_or_default();
    let client = peer.and_then(|peer| proxies.client(peer, header));
    let text = |at: usize| texts.get(at).and_then(|text| told(text)).map(str::to_owned);
    let request = Request {
        service: Some(service.to_owned()),
        client,
        user,
        method,
        version,
        status: Some(status),
        bytes,
        referrer: text(0),
        agent: text(1),
        domain,
        ..Request::new(target)
    };
    Some(Line::Request(from_jiff(time), Box::new(request)))
}

/// Who is told before the time.
struct Who {
    domain: Option<String>,
    peer: Option<Peer>,
    user: Option<String>,
}

fn who_asked(text: &str) -> Option<Who> {
    let (first, rest) = text.split_once(' ')?;
    let second = rest.split(' ').next()?;
    // Apache's `vhost_combined` begins with the host, which may be an address too.
    let (domain, client, rest) = if second.parse::<IpAddr>().is_ok() {
        let domain = first.rsplit_once(':').map_or(first, |(domain, _)| domain);
        (Some(domain.to_owned()), second, rest.split_once(' ')?.1)
    } else {
        (None, first, rest)
    };
    // A user's name may have spaces, what identd says has none.
    let (_, user) = rest.split_once(' ')?;
    let user = told(user).map(unescape);
    let peer = match client {
        "unix:" => Some(Peer::Local),
        client => client.parse::<IpAddr>().ok().map(|client| Peer::Address(client.to_canonical())),
    };
    Some(Who { domain, peer, user })
}

/// `GET /path HTTP/1.1`, or whatever a client has sent in its place.
fn request_line(line: &str) -> (Option<String>, String, Option<String>) {
    let Some((method, rest)) = line.split_once(' ') else { return (None, line.to_owned(), None) };
    let method = Some(method.to_owned());
    match rest.rsplit_once(' ') {
        Some((target, version)) if version.starts_with("HTTP/") => {
            (method, target.to_owned(), Some(version["HTTP/".len()..].to_owned()))
        }
        _ => (method, rest.to_owned(), None),
    }
}

/// The text up to the closing quotation mark, unescaped, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((unescape(&text[..end]), &text[end + 1..]))
}

/// Undoes the escapes of nginx (`\x22`) and of Apache (`\"`, `\\`, `\n`, `\xff`).
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let hexadecimal = |digit: u8| (digit as char).to_digit(16).map(|digit| digit as u8);
        (rest, _) = match after {
            [b'x', high, low, after @ ..] => match (hexadecimal(*high), hexadecimal(*low)) {
                (Some(high), Some(low)) => (after, out.push(high << 4 | low)),
                _ => (rest, out.push(b'\\')),
            },
            [b'n', after @ ..] => (after, out.push(b'\n')),
            [b'r', after @ ..] => (after, out.push(b'\r')),
            [b't', after @ ..] => (after, out.push(b'\t')),
            [b'b', after @ ..] => (after, out.push(8)),
            [b'v', after @ ..] => (after, out.push(11)),
            [other @ (b'"' | b'\\'), after @ ..] => (after, out.push(*other)),
            _ => (rest, out.push(b'\\')),
        };
    }
    text_of(&out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(line: &str) -> Option<Request> {
        read_behind(line, "")
    }

    fn read_behind(line: &str, proxy: &str) -> Option<Request> {
        let networks = proxy.split(' ').filter(|proxy| !proxy.is_empty()).map(|proxy| proxy.parse().unwrap());
        match parse(line, "nginx", &Proxies::new(networks.collect()))? {
            Line::Request(time, request) => {
                assert_eq!(time, from_jiff("2026-11-27T04:19:09Z".parse().unwrap()), "{line}");
                Some(*request)
            }
            Line::Nothing => Some(Request::default()),
        }
    }

    #[test]
    fn lines_of_every_format_are_read() {
        let time = "[27/Nov/2026:05:19:09 +0100]";
        let whole = Request {
            service: Some("nginx".to_owned()),
            client: Some([192, 0, 2, 7].into()),
            method: Some("GET".to_owned()),
            version: Some("1.1".to_owned()),
            status: Some(404),
            bytes: Some(153),
            referrer: Some("http://x/".to_owned()),
            agent: Some("curl/7.88.1".to_owned()),
            ..Request::new("/a?b".to_owned())
        };
        let bare = Request { referrer: None, agent: None, ..whole.clone() };
        let host =
            |request: &Request| Request { domain: Some("www.example.com".to_owned()), ..request.clone() };
        for (line, expected) in [
            (
                format!(r#"192.0.2.7 - - {time} "GET /a?b HTTP/1.1" 404 153 "http://x/" "curl/7.88.1""#),
                whole.clone(),
            ),
            (format!(r#"192.0.2.7 - - {time} "GET /a?b HTTP/1.1" 404 153"#), bare.clone()),
            (format!(r#"192.0.2.7 - - {time} "GET /a?b HTTP/1.1" 404 153 "-" "-" "-""#), bare.clone()),
            (
                format!(r#"192.0.2.7 - - {time} "GET /a?b HTTP/1.1" 404 - "-" "-" rt=0.1"#),
                Request { bytes: None, ..bare.clone() },
            ),
            (
                format!(r#"www.example.com:80 192.0.2.7 - - {time} "GET /a?b HTTP/1.1" 404 153 "-" "-""#),
                host(&bare),
            ),
            (
                format!(r#"192.0.2.7 - john doe {time} "GET /a?b HTTP/1.1" 404 153"#),
                Request { user: Some("john doe".to_owned()), ..bare.clone() },
            ),
            (
                format!(r#"192.0.2.1 192.0.2.7 - - {time} "GET /a?b HTTP/1.1" 404 153"#),
                Request { domain: Some("192.0.2.1".to_owned()), ..bare.clone() },
            ),
            (
                format!(r#"client.example.com - - {time} "GET /a?b HTTP/1.1" 404 153"#),
                Request { client: None, ..bare.clone() },
            ),
            (format!(r#"192.0.2.7 - - {time} "-" 408 0 "-" "-""#), Request::default()),
            (
                format!(r#"192.0.2.7 - - {time} "\x16\x03\x01" 404 153"#),
                Request {
                    method: None,
                    version: None,
                    decoded: "\u{16}\u{3}\u{1}".into(),
                    target: "\u{16}\u{3}\u{1}".into(),
                    ..bare.clone()
                },
            ),
        ] {
            assert_eq!(read(&line), Some(expected), "{line}");
        }
        for line in [
            "",
            "hello",
            r#"192.0.2.7 - - [now] "GET / HTTP/1.1" 200 0"#,
            r#"192.0.2.7 - - [27/Nov/2026:05:19:09 +0100] "GET / "#,
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn what_a_client_writes_changes_nothing_but_itself() {
        let time = "[27/Nov/2026:04:19:09 +0000]";
        // A user's name that looks like the rest of a line.
        let forged = r#"x [27/Nov/2020:04:19:09 +0000] \x22GET /forged HTTP/1.1\x22 200 0"#;
        let request =
            read(&format!(r#"192.0.2.7 - {forged} {time} "GET /true HTTP/1.1" 401 0 "-" "-""#)).unwrap();
        assert_eq!((request.target.as_str(), request.status), ("/true", Some(401)));
        let request =
            read(&format!(r#"192.0.2.7 - - {time} "GET /a\" 200 0 \"b HTTP/1.1" 404 1 "\\" "\"""#)).unwrap();
        assert_eq!(request.target, r#"/a" 200 0 "b"#);
        assert_eq!(
            (request.status, request.referrer.as_deref(), request.agent.as_deref()),
            (Some(404), Some("\\"), Some("\""))
        );
    }

    #[test]
    fn behind_a_proxy_the_client_is_whom_it_names() {
        let line = |client: &str, forwarded: &str| {
            format!(
                r#"{client} - - [27/Nov/2026:04:19:09 +0000] "GET / HTTP/1.1" 200 0 "-" "x" "{forwarded}""#
            )
        };
        let client = |line: &str| {
            read_behind(line, "10.0.0.0/8 192.0.2.1").unwrap().client.map(|client| client.to_string())
        };
        assert_eq!(client(&line("10.0.0.1", "203.0.113.5")).as_deref(), Some("203.0.113.5"));
        assert_eq!(
            client(&line("10.0.0.1", "6.6.6.6, 203.0.113.5, 192.0.2.1")).as_deref(),
            Some("203.0.113.5")
        );
        assert_eq!(
            client(&line("203.0.113.9", "6.6.6.6")).as_deref(),
            Some("203.0.113.9"),
            "it is no proxy that is trusted"
        );
        assert_eq!(client(&line("10.0.0.1", "-")), None, "a proxy's address is nobody's");
    }

    proptest! {
        #[test]
        fn no_line_makes_reading_panic(
            line in "(192.0.2.7 | - |\\[27/Nov/2026:04:19:09 \\+0000\\] |\"|\\\\|\\\\x|GET |HTTP/1.1| 200 | - |.){0,24}",
        ) {
            let _ = parse(&line, "nginx", &Proxies::default());
        }

        #[test]
        fn what_servers_escape_is_the_same_when_it_is_unescaped(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02X}")).collect();
            prop_assert_eq!(unescape(&escaped), text_of(&bytes));
        }
    }
}
