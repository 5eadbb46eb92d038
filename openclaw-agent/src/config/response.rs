//! `security.response`: whether and how findings are answered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_detect::Mode;
use serde::{Serialize, Serializer};

use super::node::Node;
use super::reader::Reader;
use super::settings::path;
use super::{Http, duration_text, units};
use crate::respond::{BreakerLimits, Exceptions, Network, Protected};

/// `security.response`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Response {
    /// Whether answers are carried out.
    pub mode: Mode,
    /// The same by rule, of which the end may be `*`: before what the rule itself says.
    #[serde(serialize_with = "by_name")]
    pub rules: Vec<(String, Mode)>,
    /// The same by container label, `KEY` or `KEY=VALUE`: before what is said of the rule.
    #[serde(serialize_with = "by_name")]
    pub labels: Vec<(String, Mode)>,
    /// For so long after the start nothing that a finding asks for is carried out.
    #[serde(serialize_with = "duration_text")]
    pub warm_up: Duration,
    /// An automatic answer needs a confidence strictly above this, 0 to 1.
    pub min_confidence: f64,
    /// The cgroup v2 folder below which the verdict programs attach; none means the root of cgroup v2.
    pub cgroup: Option<PathBuf>,
    /// How long an answer that can end lasts where the rule says nothing.
    #[serde(serialize_with = "duration_text")]
    pub default_duration: Duration,
    /// How long a command may take that an answer runs, and a webhook that it calls.
    #[serde(serialize_with = "duration_text")]
    pub run_limit: Duration,
    /// How many answers are not too many.
    pub breaker: BreakerLimits,
    /// Whether a critical finding isolates its process, whatever its rule says.
    pub isolate_on_critical: bool,
    /// What isolation leaves open.
    pub isolation: Exceptions,
    /// The endpoints that rules may call, by their names.
    #[serde(serialize_with = "by_name")]
    pub webhooks: Vec<(String, Http)>,
    /// What is never acted upon, besides what never is.
    pub protected: Vec<Protected>,
    /// Networks that are never blocked.
    pub never_block: Vec<Network>,
    /// Whether a stopping agent takes its answers back instead of letting them run out.
    pub release_on_exit: bool,
}

impl Default for Response {
    fn default() -> Response {
        Response {
            mode: Mode::Observe,
            rules: Vec::new(),
            labels: Vec::new(),
            warm_up: Duration::from_secs(10),
            min_confidence: 0.8,
            cgroup: None,
            default_duration: Duration::from_secs(3600),
            run_limit: Duration::from_secs(30),
            breaker: BreakerLimits::default(),
            isolate_on_critical: false,
            isolation: Exceptions::default(),
            webhooks: Vec::new(),
            protected: Vec::new(),
            never_block: Vec::new(),
            release_on_exit: false,
        }
    }
}

/// Reads `security.response`; `folder` is where relative paths begin.
pub(super) fn read(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Response {
    let mut response = Response::default();
    let mut keys = reader.section("security.response", node);
    if let Some(node) = keys.take("mode") {
        response.mode = mode(reader, &keys.name("mode"), node).unwrap_or(response.mode);
    }
    if let Some(node) = keys.take("rules") {
        response.rules = modes(reader, &keys.name("rules"), node);
    }
    if let Some(node) = keys.take("labels") {
        response.labels = modes(reader, &keys.name("labels"), node);
    }
    if let Some(node) = keys.take("warm_up") {
        response.warm_up = reader.duration(&keys.name("warm_up"), node).unwrap_or(response.warm_up);
    }
    if let Some(node) = keys.take("min_confidence") {
        let confidence = reader.parsed(&keys.name("min_confidence"), node, |text| {
            text.parse::<f64>()
                .ok()
                .filter(|value| (0.0..=1.0).contains(value))
                .ok_or_else(|| format!("`{text}` is no confidence: write a number from 0 to 1, such as 0.8"))
        });
        response.min_confidence = confidence.unwrap_or(response.min_confidence);
    }
    if let Some(node) = keys.take("cgroup") {
        response.cgroup = reader.parsed(&keys.name("cgroup"), node, path(folder));
    }
    if let Some(node) = keys.take("default_duration") {
        let duration = reader.parsed(&keys.name("default_duration"), node, a_second_at_least);
        response.default_duration = duration.unwrap_or(response.default_duration);
    }
    if let Some(node) = keys.take("run_limit") {
        let limit = reader.parsed(&keys.name("run_limit"), node, a_second_at_least);
        response.run_limit = limit.unwrap_or(response.run_limit);
    }
    response.breaker = breaker(reader, keys.take("breaker"));
    if let Some(node) = keys.take("isolate_on_critical") {
        response.isolate_on_critical = reader.flag(&keys.name("isolate_on_critical"), node).unwrap_or(false);
    }
    response.isolation = isolation(reader, keys.take("isolation"));
    response.webhooks = webhooks(reader, keys.take("webhooks"), folder);
    if let Some(node) = keys.take("protected") {
        response.protected = reader.list(&keys.name("protected"), node, str::parse);
    }
    if let Some(node) = keys.take("never_block") {
        response.never_block = reader.list(&keys.name("never_block"), node, str::parse);
    }
    if let Some(node) = keys.take("release_on_exit") {
        response.release_on_exit = reader.flag(&keys.name("release_on_exit"), node).unwrap_or(false);
    }
    keys.finish(reader);
    response
}

fn mode(reader: &mut Reader<'_>, name: &str, node: &Node) -> Option<Mode> {
    reader.parsed(name, node, |text| {
        Mode::from_name(text).ok_or_else(|| {
            format!("`{text}` is no mode: write `observe` (only says what it would do) or `enforce`")
        })
    })
}

/// Modes by names of the user's, in the order in which they are written.
fn modes(reader: &mut Reader<'_>, name: &str, node: &Node) -> Vec<(String, Mode)> {
    let mut names = reader.section(name, Some(node));
    let named = names.take_rest().into_iter();
    named
        .filter_map(|(key, node)| {
            Some((key.name.clone(), mode(reader, &format!("{name}.{}", key.name), node)?))
        })
        .collect()
}

fn breaker(reader: &mut Reader<'_>, node: Option<&Node>) -> BreakerLimits {
    let mut limits = BreakerLimits::default();
    let mut keys = reader.section("security.response.breaker", node);
    if let Some(node) = keys.take("within") {
        let within = reader.parsed(&keys.name("within"), node, a_second_at_least);
        limits.within = within.unwrap_or(limits.within);
    }
    for (key, limit) in [
        ("actions", &mut limits.actions),
        ("targets", &mut limits.targets),
        ("actions_in_all", &mut limits.actions_in_all),
        ("targets_in_all", &mut limits.targets_in_all),
    ] {
        if let Some(node) = keys.take(key) {
            let number = reader.parsed(&keys.name(key), node, |text| {
                text.parse().ok().filter(|number| (1..=MOST).contains(number)).ok_or_else(|| {
                    format!("`{text}` is no number of answers: write one from 1 to {MOST}, such as 30")
                })
            });
            *limit = number.unwrap_or(*limit);
        }
    }
    keys.finish(reader);
    limits
}

fn isolation(reader: &mut Reader<'_>, node: Option<&Node>) -> Exceptions {
    let mut exceptions = Exceptions::default();
    let mut keys = reader.section("security.response.isolation", node);
    if let Some(node) = keys.take("allow") {
        exceptions.allow = reader.list(&keys.name("allow"), node, |text| match text.parse::<Network>()? {
            network if network.prefix() == 0 => {
                Err(format!("`{text}` is every address: what is isolated would not be"))
            }
            network => Ok(network),
        });
        if exceptions.allow.len() > MOST_ALLOWED {
            let (name, count) = (keys.name("allow"), exceptions.allow.len());
            let message = format!("`{name}` has {count} networks: write {MOST_ALLOWED} at most, wider ones");
            reader.problem(node.at, message);
        }
    }
    if let Some(node) = keys.take("dns") {
        exceptions.dns = reader.flag(&keys.name("dns"), node).unwrap_or(false);
    }
    if let Some(node) = keys.take("loopback") {
        exceptions.loopback = reader.flag(&keys.name("loopback"), node);
    }
    keys.finish(reader);
    exceptions
}

fn webhooks(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Vec<(String, Http)> {
    let mut names = reader.section("security.response.webhooks", node);
    let named = names.take_rest().into_iter();
    named
        .filter_map(|(key, node)| {
            let mut keys = reader.section(&format!("security.response.webhooks.{}", key.name), Some(node));
            let http = Http::read(reader, &mut keys, node, folder, None);
            keys.finish(reader);
            Some((key.name.clone(), http?))
        })
        .collect()
}

/// The most networks that isolation leaves open: the kernel's table has room for some more, such as DNS servers.
const MOST_ALLOWED: usize = 2000;

/// The most answers that a breaker counts: each is remembered for as long as they are counted.
const MOST: u32 = 100_000;

fn a_second_at_least(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text)? {
        duration if duration.as_secs() == 0 => Err("write a second at least, such as 1m".to_owned()),
        duration => Ok(duration),
    }
}

fn by_name<T: Serialize, S: Serializer>(entries: &[(String, T)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, value)| (name, value)))
}
