//! Lines of JSON, of which the configuration says what stands where.

use std::net::IpAddr;

use jiff::Timestamp as Time;
use openclaw_detect::{Field, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::entry::{Login, Request, What};
use super::format::Read;
use super::proxies::{self, Peer, Proxies};
use super::text::told;
use super::time::from_jiff;

/// Where the fields of an event stand in a line. A place is a name, or the names of objects within one another joined by
/// dots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// What the lines tell of.
    pub event: Told,
    /// Where the time stands: RFC 3339, or seconds, or milliseconds since 1970. None means when the line is read.
    pub time: Option<String>,
    /// Where the addresses stand that proxies name.
    pub forwarded_for: Option<String>,
    /// Where the other fields stand.
    #[serde(serialize_with = "by_name")]
    pub fields: Vec<(Field, String)>,
}

fn by_name<S: serde::Serializer>(fields: &[(Field, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(field, place)| (field.name(), place)))
}

/// What lines tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Logins.
    AuthAttempt,
    /// Requests to a web server.
    HttpRequest,
}

impl Told {
    /// The fields that a line may tell.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Told::AuthAttempt => &[
                Field::EventOutcome,
                Field::SourceIp,
                Field::SourcePort,
                Field::UserName,
                Field::ServiceName,
                Field::AuthenticationMethod,
            ],
            Told::HttpRequest => &[
                Field::UrlOriginal,
                Field::SourceIp,
                Field::SourcePort,
                Field::UserName,
                Field::ServiceName,
                Field::HttpMethod,
                Field::HttpVersion,
                Field::HttpStatus,
                Field::HttpBytes,
                Field::HttpReferrer,
                Field::UserAgent,
                Field::UrlDomain,
            ],
        }
    }

    /// The field without which a line tells nothing.
    pub fn needed(self) -> Field {
        match self {
            Told::AuthAttempt => Field::EventOutcome,
            Told::HttpRequest => Field::UrlOriginal,
        }
    }
}

impl Mapping {
    /// Reads a line of what is called `service` where it does not say otherwise.
    pub(super) fn parse(&self, line: &str, service: &str, proxies: &Proxies) -> Read {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return Read::Malformed };
        let needed = self.fields.iter().find(|(field, _)| *field == self.event.needed());
        if needed.is_none_or(|(_, place)| at(&line, place).is_none()) {
            return Read::Nothing;
        }
        match self.told(&line, service, proxies) {
            Some(what) => {
                let time = self.time.as_ref().and_then(|place| at(&line, place)).and_then(time);
                Read::Told { time, what, times: 1 }
            }
            None => Read::Malformed,
        }
    }

    /// What a line tells; none where what is needed cannot be understood.
    fn told(&self, line: &Value, service: &str, proxies: &Proxies) -> Option<What> {
        let place = |field: Field| self.fields.iter().find(|(mapped, _)| *mapped == field);
        let value = |field| at(line, &place(field)?.1);
        let text = |field| value(field).and_then(text).filter(|text| told(text).is_some());
        let peer = text(Field::SourceIp).as_deref().and_then(proxies::address);
        let header = self.forwarded_for.as_ref().and_then(|place| at(line, place)).map(all);
        let client: Option<IpAddr> =
            peer.and_then(|peer| proxies.client(Peer::Address(peer), header.as_deref().unwrap_or_default()));
        let port = text(Field::SourcePort).filter(|_| client == peer).and_then(|port| port.parse().ok());
        let service = Some(text(Field::ServiceName).unwrap_or_else(|| service.to_owned()));
        let what = match self.event {
            Told::AuthAttempt => What::Login(Login {
                success: outcome(value(Field::EventOutcome)?)?,
                service,
                user: text(Field::UserName),
                method: text(Field::AuthenticationMethod),
                client,
                port,
            }),
            Told::HttpRequest => What::Request(Box::new(Request {
                service,
                client,
                port,
                user: text(Field::UserName),
                method: text(Field::HttpMethod),
                version: text(Field::HttpVersion).map(|version| version.replacen("HTTP/", "", 1)),
                status: text(Field::HttpStatus).and_then(|status| status.parse().ok()),
                bytes: text(Field::HttpBytes).and_then(|bytes| bytes.parse().ok()),
                referrer: text(Field::HttpReferrer),
                agent: text(Field::UserAgent),
                domain: text(Field::UrlDomain),
                ..Request::new(text(Field::UrlOriginal)?)
            })),
        };
        Some(what)
    }
}

/// What stands at a place: names may have dots in them.
fn at<'a>(line: &'a Value, place: &str) -> Option<&'a Value> {
    if let Some(value) = line.get(place) {
        return Some(value);
    }
    place.match_indices('.').find_map(|(dot, _)| at(line.get(&place[..dot])?, &place[dot + 1..]))
}

/// A text, or what is one once it is written; of a list its first.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Array(items) => text(items.first()?),
        Value::Null | Value::Object(_) => None,
    }
}

/// All texts of a list, joined as the lines of a header are, each of which may have been added by another proxy.
fn all(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect::<Vec<_>>().join(","),
        value => text(value).unwrap_or_default(),
    }
}

/// Whether a login was let in, in the words in which logs say so.
fn outcome(value: &Value) -> Option<bool> {
    match text(value)?.to_ascii_lowercase().as_str() {
        "success" | "succeeded" | "successful" | "accepted" | "ok" | "pass" | "passed" | "allow"
        | "allowed" | "granted" | "true" => Some(true),
        "failure" | "failed" | "fail" | "deny" | "denied" | "rejected" | "refused" | "unauthorized"
        | "invalid" | "error" | "false" => Some(false),
        _ => None,
    }
}

/// Seconds up to here; what is more is milliseconds, and was in 1973.
const MOST_SECONDS: f64 = 1e11;

fn time(value: &Value) -> Option<Timestamp> {
    let number = match value {
        Value::String(text) => match text.parse::<Time>() {
            Ok(time) => return from_jiff(time),
            Err(_) => text.parse().ok()?,
        },
        value => value.as_f64()?,
    };
    let seconds = if number >= MOST_SECONDS { number / 1000.0 } else { number };
    // What is before 1970, or after 2554, is none.
    let nanoseconds = seconds * 1e9;
    (0.0..u64::MAX as f64).contains(&nanoseconds).then_some(Timestamp(nanoseconds as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn login() -> Mapping {
        Mapping {
            event: Told::AuthAttempt,
            time: Some("time".to_owned()),
            forwarded_for: Some("headers.x-forwarded-for".to_owned()),
            fields: [
                (Field::EventOutcome, "result"),
                (Field::SourceIp, "client.addr"),
                (Field::SourcePort, "client.port"),
                (Field::UserName, "user.name"),
            ]
            .map(|(field, place)| (field, place.to_owned()))
            .into(),
        }
    }

    fn parse(line: &str) -> Read {
        login().parse(line, "app", &Proxies::new(vec!["10.0.0.0/8".parse().unwrap()]))
    }

    fn read(line: &str) -> Option<(Option<Timestamp>, What)> {
        match parse(line) {
            Read::Told { time, what, times: 1 } => Some((time, what)),
            _ => None,
        }
    }

    #[test]
    fn fields_are_found_where_the_mapping_says() {
        let line = r#"{"time":"2026-11-27T04:19:09Z","result":"denied","client":{"addr":"192.0.2.7","port":4711},"user.name":"bob"}"#;
        let expected = Login {
            service: Some("app".to_owned()),
            user: Some("bob".to_owned()),
            client: Some([192, 0, 2, 7].into()),
            port: Some(4711),
            ..Login::default()
        };
        let (time, what) = read(line).unwrap();
        assert_eq!((time.unwrap().0, what), (1_795_753_149_000_000_000, What::Login(expected)));
        let Some((None, What::Login(login))) = read(r#"{"result":true}"#) else { panic!() };
        assert!(login.success && login.client.is_none());
        for line in ["[]", r#"{"user.name":"bob"}"#] {
            assert_eq!(parse(line), Read::Nothing, "{line}");
        }
        for line in ["", "{", r#"{"result":"maybe"}"#] {
            assert_eq!(parse(line), Read::Malformed, "{line}");
        }
    }

    #[test]
    fn behind_a_proxy_the_client_is_whom_it_names_and_has_no_port() {
        let line = r#"{"result":false,"client":{"addr":"10.0.0.1","port":9},"headers":{"x-forwarded-for":["6.6.6.6","192.0.2.7"]}}"#;
        let Some((_, What::Login(login))) = read(line) else { panic!() };
        assert_eq!((login.client, login.port), (Some([192, 0, 2, 7].into()), None));
    }

    #[test]
    fn times_are_read_in_every_spelling() {
        let time = |text: &str| time(&serde_json::from_str(text).unwrap()).map(|time| time.0 / 1_000_000);
        for text in ["1795753149.5", "\"1795753149.5\"", "1795753149500", "\"2026-11-27T05:19:09.5+01:00\""] {
            assert_eq!(time(text), Some(1_795_753_149_500), "{text}");
        }
        for text in ["-1", "1e300", "\"soon\"", "null"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_reading_panic(line in r#"(\{|\}|"result"|"client"|:|,|"[^"]*"|[0-9.e+-]|.){0,24}"#) {
            let _ = read(&line);
        }
    }
}
