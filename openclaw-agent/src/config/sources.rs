//! `security.sources`: the logs that are followed.

use std::path::{Path, PathBuf};

use openclaw_detect::Field;
use serde::Serialize;
use serde::ser::SerializeMap as _;

use super::node::Node;
use super::reader::{Problem, Reader, Section};
use super::settings::path;
use crate::logs::{Mapping, Told};
use crate::respond::Network;

/// A log that is followed.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSource {
    /// Its name: its key under `sources`.
    pub name: String,
    /// What its lines are.
    pub kind: LogKind,
    /// Its files, of whose names parts may be `*`; of a journal, its folder. None means where the host has them.
    pub paths: Vec<PathBuf>,
    /// The proxies that stand before the server, and are trusted to say for whom they ask.
    pub trusted_proxies: Vec<Network>,
}

/// What the lines of a log are.
#[derive(Debug, Clone, PartialEq)]
pub enum LogKind {
    /// Syslog, with logins of sshd and PAM among its lines.
    Auth,
    /// The same in the journal of systemd.
    Journal,
    /// nginx' access log.
    Nginx,
    /// Apache's access log.
    Apache,
    /// JSON, of which the mapping says what stands where.
    Json(Mapping),
}

/// The names of the kinds.
const KINDS: [&str; 5] = ["auth", "journal", "nginx", "apache", "json"];

impl LogKind {
    /// The name that configuration uses.
    pub const fn name(&self) -> &'static str {
        match self {
            LogKind::Auth => "auth",
            LogKind::Journal => "journal",
            LogKind::Nginx => "nginx",
            LogKind::Apache => "apache",
            LogKind::Json(_) => "json",
        }
    }
}

impl LogSource {
    /// The logs that are followed where the configuration says nothing: those that the host has, of these.
    pub fn defaults() -> Vec<LogSource> {
        [LogKind::Auth, LogKind::Nginx, LogKind::Apache].into_iter().map(LogSource::default_of).collect()
    }

    fn default_of(kind: LogKind) -> LogSource {
        LogSource { name: kind.name().to_owned(), kind, paths: Vec::new(), trusted_proxies: Vec::new() }
    }
}

/// Reads `security.sources`.
pub(super) fn read(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Vec<LogSource> {
    let Some(node) = node else { return LogSource::defaults() };
    let mut keys = reader.section("security.sources", Some(node));
    let sources = keys.take_rest().into_iter();
    let sources: Vec<_> = sources.filter_map(|(key, node)| source(reader, &key.name, node, folder)).collect();
    let has = |kind: LogKind| sources.iter().any(|source| source.kind == kind);
    if has(LogKind::Auth) && has(LogKind::Journal) {
        let message = "`security.sources` has logins of both the journal and a file: where both tell of one, it counts twice";
        reader.warnings.push(Problem { at: node.at, message: message.to_owned() });
    }
    sources
}

fn source(reader: &mut Reader<'_>, name: &str, node: &Node, folder: &Path) -> Option<LogSource> {
    let mut keys = reader.section(&format!("security.sources.{name}"), Some(node));
    let enabled =
        keys.take("enabled").and_then(|node| reader.flag(&keys.name("enabled"), node)).unwrap_or(true);
    let kind = match keys.take("type") {
        Some(node) => reader.parsed(&keys.name("type"), node, kind),
        // The name says it, where it is that of a kind.
        None => kind(name)
            .map_err(|_| {
                let known = KINDS.join(", ");
                reader.problem(node.at, format!("`{}` is missing: write one of {known}", keys.name("type")));
            })
            .ok(),
    };
    let mut source = LogSource { name: name.to_owned(), ..LogSource::default_of(LogKind::Auth) };
    if let Some(node) = keys.take("path") {
        source.paths = reader.list(&keys.name("path"), node, pattern(folder));
    }
    if let Some(node) = keys.take("trusted_proxies") {
        source.trusted_proxies =
            reader.list(&keys.name("trusted_proxies"), node, |text| match text.parse::<Network>()? {
                network if network.prefix() == 0 => Err(format!(
                    "`{text}` is everybody: no client would be known, and nobody could be blocked"
                )),
                network => Ok(network),
            });
    }
    let mapping = match kind {
        Some("json") => mapping(reader, &mut keys, node),
        _ => None,
    };
    keys.finish(reader);
    source.kind = match kind? {
        "auth" => LogKind::Auth,
        "journal" => LogKind::Journal,
        "nginx" => LogKind::Nginx,
        "apache" => LogKind::Apache,
        _ => LogKind::Json(mapping?),
    };
    let without_client = matches!(source.kind, LogKind::Auth | LogKind::Journal);
    if without_client && !source.trusted_proxies.is_empty() {
        reader.problem(
            node.at,
            format!(
                "`security.sources.{name}.trusted_proxies`: no proxy names a client in lines of {}",
                source.kind.name()
            ),
        );
    }
    let has_pattern = source.paths.iter().any(|path| is_pattern(path));
    if source.kind == LogKind::Journal && (source.paths.len() > 1 || has_pattern) {
        reader.problem(node.at, format!("`security.sources.{name}.path`: of a journal one folder is named"));
    }
    if source.paths.is_empty() && matches!(source.kind, LogKind::Json(_)) {
        reader.problem(node.at, format!("`security.sources.{name}.path` is missing: name the file"));
    }
    enabled.then_some(source)
}

fn kind(text: &str) -> Result<&'static str, String> {
    KINDS.into_iter().find(|kind| *kind == text).ok_or_else(|| {
        let hint = super::nearest(text, KINDS).map(|right| format!(": did you mean `{right}`?"));
        format!(
            "`{text}` is no kind of log{}",
            hint.unwrap_or(format!(": write one of {}", KINDS.join(", ")))
        )
    })
}

/// Whether a path stands for all that match it.
pub fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// A path of which parts may be `*`.
fn pattern(folder: &Path) -> impl Fn(&str) -> Result<PathBuf, String> {
    let path = path(folder);
    move |text| {
        let whole = path(text)?;
        glob::Pattern::new(&whole.to_string_lossy())
            .map(|_| whole)
            .map_err(|error| format!("`{text}` is no pattern: {}", error.msg))
    }
}

/// The keys of a log of JSON.
fn mapping(reader: &mut Reader<'_>, keys: &mut Section<'_>, node: &Node) -> Option<Mapping> {
    let event_name = keys.name("event");
    let event = match keys.take("event") {
        Some(node) => reader.parsed(&event_name, node, |text| match text {
            "auth_attempt" => Ok(Told::AuthAttempt),
            "http_request" => Ok(Told::HttpRequest),
            _ => Err(format!("`{text}` is nothing that a log tells: write `auth_attempt` or `http_request`")),
        }),
        None => {
            reader.problem(
                node.at,
                format!("`{event_name}` is missing: write `auth_attempt` or `http_request`"),
            );
            None
        }
    };
    let place = |reader: &mut Reader<'_>, name: String, node: &Node| {
        reader.parsed(&name, node, |text| match text {
            "" => Err("the name is empty".to_owned()),
            text => Ok(text.to_owned()),
        })
    };
    let time = keys.take("time").and_then(|node| place(reader, keys.name("time"), node));
    let forwarded_for =
        keys.take("forwarded_for").and_then(|node| place(reader, keys.name("forwarded_for"), node));
    let fields_name = keys.name("fields");
    let written = keys.take("fields");
    let event = event?;
    let mut fields = Vec::new();
    for (key, node) in reader.section(&fields_name, written).take_rest() {
        let known = event.fields();
        match Field::from_name(&key.name).filter(|field| known.contains(field)) {
            Some(field) => {
                fields
                    .extend(place(reader, format!("{fields_name}.{}", key.name), node).map(|at| (field, at)));
            }
            None => {
                let names = || known.iter().map(|field| field.name());
                let hint = super::nearest(&key.name, names()).map(|right| format!("did you mean `{right}`?"));
                let hint =
                    hint.unwrap_or(format!("known here are {}", names().collect::<Vec<_>>().join(", ")));
                reader.problem(key.at, format!("`{}` is no field that such a line tells: {hint}", key.name));
            }
        }
    }
    let needed = event.needed();
    if !fields.iter().any(|(field, _)| *field == needed) {
        let at = written.map_or(node.at, |node| node.at);
        reader.problem(
            at,
            format!(
                "`{fields_name}` says nothing of `{}`, without which a line tells nothing",
                needed.name()
            ),
        );
        return None;
    }
    Some(Mapping { event, time, forwarded_for, fields })
}

/// By their names, as they are written in the file.
pub(super) fn by_name<S: serde::Serializer>(sources: &[LogSource], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Source<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        path: &'a [PathBuf],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        trusted_proxies: &'a [Network],
        #[serde(flatten)]
        mapping: Option<&'a Mapping>,
    }
    let mut map = serializer.serialize_map(Some(sources.len()))?;
    for LogSource { name, kind, paths, trusted_proxies } in sources {
        let mapping = match kind {
            LogKind::Json(mapping) => Some(mapping),
            _ => None,
        };
        map.serialize_entry(name, &Source { r#type: kind.name(), path: paths, trusted_proxies, mapping })?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<LogSource>, String> {
        let config = super::super::settings::read(text, Path::new("/etc/openclaw"), &|_| None);
        match config {
            Ok((config, _)) => Ok(config.security.sources),
            Err(problems) => Err(problems.iter().map(|problem| format!("{problem}\n")).collect()),
        }
    }

    #[test]
    fn every_kind_is_read() {
        let sources = read(
            "security:
  sources:
    auth: {}
    journal: {path: /host/journal}
    web: {type: nginx, path: [/var/log/nginx/*.log, own.log], trusted_proxies: [10.0.0.0/8, 192.0.2.1]}
    off: {type: apache, enabled: false}
    app:
      type: json
      path: /var/log/app.json
      event: auth_attempt
      time: at
      forwarded_for: headers.forwarded
      fields: {source.ip: client, event.outcome: result, user.name: who}
",
        )
        .unwrap();
        let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
        assert_eq!(names, ["auth", "journal", "web", "app"]);
        assert_eq!(sources[2].paths, [Path::new("/var/log/nginx/*.log"), Path::new("/etc/openclaw/own.log")]);
        assert!(sources[2].trusted_proxies[0].contains([10, 1, 2, 3].into()));
        let LogKind::Json(mapping) = &sources[3].kind else { panic!() };
        assert_eq!((mapping.event, mapping.fields.len()), (Told::AuthAttempt, 3));
        let text = serde_json::to_string(&serde_json::json!({ "a": Shown(&sources) })).unwrap();
        assert!(text.contains(r#""fields":{"event.outcome":"result","source.ip":"client""#), "{text}");
    }

    struct Shown<'a>(&'a [LogSource]);

    impl Serialize for Shown<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            by_name(self.0, serializer)
        }
    }

    #[test]
    fn without_the_key_the_host_s_logs_are_followed_and_with_an_empty_one_none() {
        assert_eq!(read("").unwrap(), LogSource::defaults());
        assert_eq!(read("security: {sources: {}}").unwrap(), []);
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        let bad = |text: &str| read(&format!("security:\n  sources:\n    a: {text}\n")).unwrap_err();
        for (text, expected) in [
            ("{}", "3:8: `security.sources.a.type` is missing: write one of auth, journal"),
            ("{type: ngnix}", "did you mean `nginx`?"),
            ("{type: nginx, paths: /x}", "unknown key `security.sources.a.paths`: did you mean `path`?"),
            ("{type: nginx, path: '/x/[a'}", "is no pattern"),
            ("{type: nginx, trusted_proxies: [x]}", "`x` is no address or network"),
            ("{type: nginx, trusted_proxies: ['::/0']}", "`::/0` is everybody"),
            ("{type: journal, path: [/a, /b]}", "of a journal one folder is named"),
            ("{type: auth, trusted_proxies: [10.0.0.1]}", "no proxy names a client"),
            ("{type: json, path: /x}", "`security.sources.a.event` is missing"),
            ("{type: json, path: /x, event: process_create}", "write `auth_attempt` or `http_request`"),
            ("{type: json, path: /x, event: auth_attempt}", "says nothing of `event.outcome`"),
            (
                "{type: json, path: /x, event: auth_attempt, fields: {source.ipp: a, event.outcome: b}}",
                "did you mean `source.ip`?",
            ),
            (
                "{type: json, event: http_request, fields: {url.original: a}}",
                "`security.sources.a.path` is missing",
            ),
        ] {
            let told = bad(text);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
