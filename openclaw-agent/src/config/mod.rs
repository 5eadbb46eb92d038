//! The configuration file: found, trusted, read, checked.
//!
//! Everything has a default: with no file at all the agent runs and watches. The file is YAML or JSON; keys are
//! taken in `snake_case` and `camelCase`. An unknown key is an error with its place and the nearest right name,
//! a key of a part that this version does not have is a warning.

pub(crate) mod address;
mod alerting;
mod authority;
mod channel;
mod file;
mod http;
pub(crate) mod node;
mod reader;
mod response;
mod secret;
mod settings;
mod sources;
mod triggers;
pub mod trust;
pub mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::enrich::{DEFAULT_ENVIRONMENT, Roots};
use crate::respond::{Network, ResponseSettings, any_enforces, state_folder};
use crate::sensor::RingSizes;

pub use alerting::{Alerting, Heartbeat};
pub use authority::Authority;
pub use channel::{
    Alertmanager, Channel, ChannelKind, Chat, Email, EmailTls, File, Slack, Syslog, SyslogAddress,
    SyslogFormat, SyslogTransport, Telegram, Webhook, WebhookFormat,
};
pub use file::{ConfigError, Loaded, candidates, find, load, parse, socket};
pub use http::Http;
pub use node::Place;
pub use openclaw_detect::Mode;
pub use reader::{Problem, nearest};
pub use response::Response;
pub use secret::Secret;
pub use sources::{LogKind, LogSource, is_pattern};
pub use triggers::{AuthSpike, TriggerSettings, Triggers};

/// Everything that can be set, with its defaults filled in.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Config {
    /// What is watched, decided and told.
    pub security: Security,
    /// Findings and actions on disk.
    pub store: Store,
    /// The control socket.
    pub api: Api,
}

impl Config {
    /// How long the kernel does not wake the agent again for records for which answers wait: where answers are carried
    /// out, it always does.
    pub fn wake_interval(&self) -> Duration {
        let response = &self.security.response;
        let answers = any_enforces(response.mode, &response.rules, &response.labels);
        self.security.sensor.wake_interval.unwrap_or(match answers {
            true => Duration::ZERO,
            false => Duration::from_millis(3),
        })
    }

    /// What is never blocked: what is configured so, and the proxies behind which clients are.
    fn never_block(&self) -> Vec<Network> {
        let proxies = self.security.sources.iter().flat_map(|source| &source.trusted_proxies);
        self.security.response.never_block.iter().chain(proxies).copied().collect()
    }

    /// The sections that are otherwise in `other`, and hold from the agent's next start on alone.
    pub fn differs_for_later(&self, other: &Config) -> Vec<&'static str> {
        let (security, others) = (&self.security, &other.security);
        let differs = [
            ("security.sensor", security.sensor != others.sensor),
            ("security.containers", security.containers != others.containers),
            ("security.sources", security.sources != others.sources),
            ("security.response", security.response != others.response),
            ("store", self.store != other.store),
            ("api", self.api != other.api),
        ];
        differs.into_iter().filter_map(|(section, differs)| differs.then_some(section)).collect()
    }

    /// Where alerts and answers go, as `host:port`.
    pub(crate) fn endpoints(&self) -> Vec<String> {
        let answers = &self.security.response.webhooks;
        let alerts = self.security.alerting.channels.iter().filter_map(Channel::host_and_port);
        alerts.chain(answers.iter().map(|(_, http)| http.host_and_port())).collect()
    }

    /// What the responder is told; `socket` is the agent's control socket.
    pub fn response_settings(&self, socket: &Path) -> ResponseSettings {
        let response = &self.security.response;
        ResponseSettings {
            mode: response.mode,
            rule_modes: response.rules.clone(),
            label_modes: response.labels.clone(),
            warm_up: response.warm_up,
            run_limit: response.run_limit,
            breaker: response.breaker,
            isolate_on_critical: response.isolate_on_critical,
            isolation: response.isolation.clone(),
            state: state_folder(socket),
            min_confidence: response.min_confidence,
            cgroup: response.cgroup.clone(),
            default_duration: response.default_duration,
            protected: response.protected.clone(),
            never_block: self.never_block(),
            webhooks: response.webhooks.clone(),
            alert_endpoints: self.endpoints(),
            ..ResponseSettings::default()
        }
    }
}

/// `security`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Security {
    /// Capture.
    pub sensor: Sensor,
    /// Where container runtimes keep their state.
    pub containers: Roots,
    /// The logs that are followed.
    #[serde(serialize_with = "sources::by_name")]
    pub sources: Vec<LogSource>,
    /// Which rules run.
    pub rules: Rules,
    /// Answers.
    pub response: Response,
    /// Alerts.
    pub alerting: Alerting,
}

impl Default for Security {
    fn default() -> Security {
        Security {
            sensor: Sensor::default(),
            containers: Roots::default(),
            sources: LogSource::defaults(),
            rules: Rules::default(),
            response: Response::default(),
            alerting: Alerting::default(),
        }
    }
}

/// `security.sensor`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensor {
    /// Bytes of the ring for process life and credentials: a power of two, 4 KiB at least.
    #[serde(serialize_with = "size_text")]
    pub process_ring: u32,
    /// Bytes of the ring for the network: a power of two, 4 KiB at least.
    #[serde(serialize_with = "size_text")]
    pub network_ring: u32,
    /// Bytes of the ring for files: a power of two, 4 KiB at least.
    #[serde(serialize_with = "size_text")]
    pub file_ring: u32,
    /// Names of the environment variables that are told of a program.
    pub environment: Vec<String>,
    /// Bytes of the largest executable whose SHA-256 is taken; 0 for none at all.
    #[serde(serialize_with = "size_text")]
    pub hash_limit: u64,
    /// So much lost within ten seconds, of events or of what is to be told, is a finding; 0 for none ever.
    pub loss_limit: u64,
    /// How long after a record for which answers wait the kernel does not wake the agent for another: 100 ms at most; none
    /// where the mode decides.
    #[serde(serialize_with = "optional_duration_text")]
    pub wake_interval: Option<Duration>,
}

impl Default for Sensor {
    fn default() -> Sensor {
        let rings = RingSizes::default();
        Sensor {
            process_ring: rings.process,
            network_ring: rings.network,
            file_ring: rings.file,
            environment: DEFAULT_ENVIRONMENT.map(str::to_owned).into(),
            hash_limit: 64 << 20,
            loss_limit: 1000,
            wake_interval: None,
        }
    }
}

/// `security.rules`: a list of folders and files, or a mapping of both keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rules {
    /// Whether the rules that ship with OpenClaw run too.
    pub shipped: bool,
    /// Folders and files with rules, read in this order.
    pub folders: Vec<PathBuf>,
    /// What `security.alerting.triggers.failed_auth_spike` changes of the shipped rule of that name.
    #[serde(skip)]
    pub auth_spike: AuthSpike,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { shipped: true, folders: Vec::new(), auth_spike: AuthSpike::default() }
    }
}

/// `store`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Store {
    /// The database file; none means the default of the user who runs the agent.
    pub path: Option<PathBuf>,
    /// Findings and actions that are older are deleted.
    #[serde(serialize_with = "duration_text")]
    pub max_age: Duration,
    /// The oldest are deleted when the database is larger, in bytes.
    #[serde(serialize_with = "size_text")]
    pub max_size: u64,
}

impl Default for Store {
    fn default() -> Store {
        Store { path: None, max_age: Duration::from_secs(30 * 86400), max_size: 256_000_000 }
    }
}

/// `api`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Api {
    /// The control socket; none means the default of the user who runs the agent.
    pub socket: Option<PathBuf>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served over HTTP; none means nowhere.
    pub metrics: Option<SocketAddr>,
}

fn optional_duration_text<S: serde::Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => duration_text(duration, serializer),
        None => serializer.serialize_none(),
    }
}

pub(crate) fn duration_text<S: serde::Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&units::format_duration(*duration))
}

pub(crate) fn size_text<S: serde::Serializer, N: Copy + Into<u64>>(
    bytes: &N,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&units::format_size((*bytes).into()))
}
