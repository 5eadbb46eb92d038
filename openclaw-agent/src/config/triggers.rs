//! `security.alerting.triggers`: which alerts are sent, how often, and where.

use std::collections::BTreeMap;
use std::time::Duration;

use openclaw_detect::{Condition, Severity};
use serde::{Serialize, Serializer};

use super::node::{Key, Node};
use super::reader::{Problem, Reader, Section, nearest, snake_case};
use super::units;
use crate::alert::Trigger;

/// Triggers that are known by name but that no part of this version pulls.
const NOT_BUILT: [&str; 4] =
    ["incident_opened", "service_unhealthy", "service_recovered", "vulnerability_found"];

/// Triggers of which nothing can be set: a person pulls one, and the other has a section of its own.
const NOT_SET: [Trigger; 2] = [Trigger::Test, Trigger::Heartbeat];

/// Whether, how often and where alerts of one trigger are sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TriggerSettings {
    /// Whether they are sent at all.
    pub enabled: bool,
    /// While one is told, those like it are held back and counted for so long; nothing for never.
    #[serde(serialize_with = "super::duration_text")]
    pub throttle: Duration,
    /// To which channels; none for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
    /// Only those of this severity or worse.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "severity_name")]
    pub severity: Option<Severity>,
    /// Only those of whose event this condition of the rule language is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// What the trigger of failed logins changes of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AuthSpike {
    /// So many failed logins are a spike; the rule's own number where none is given.
    pub threshold: Option<u64>,
    /// Within this time; the rule's own where none is given.
    #[serde(serialize_with = "super::optional_duration_text")]
    pub window: Option<Duration>,
}

impl AuthSpike {
    /// The same as an override in a file of rules; none where nothing is changed.
    pub fn as_override(&self) -> Option<String> {
        let at_least = self.threshold.map(|threshold| format!("at_least: {threshold}"));
        let within = self.window.map(|window| format!("within: {}", units::format_duration(window)));
        let changed: Vec<String> = at_least.into_iter().chain(within).collect();
        let rule = Trigger::FailedAuthSpike.name();
        (!changed.is_empty())
            .then(|| format!("overrides: [{{rule: {rule}, threshold: {{{}}}}}]", changed.join(", ")))
    }
}

/// `security.alerting.triggers`
#[derive(Debug, Clone, PartialEq)]
pub struct Triggers {
    /// Each trigger's settings.
    pub of: BTreeMap<Trigger, TriggerSettings>,
    /// What the shipped rule `failed_auth_spike` waits for.
    pub auth_spike: AuthSpike,
}

impl Default for Triggers {
    fn default() -> Triggers {
        let settings = |trigger| {
            let throttle = Duration::from_secs(match trigger {
                Trigger::IpBlocked => 3600,
                Trigger::FailedAuthSpike => 600,
                // Each tells what was done to somebody.
                Trigger::ActionTaken | Trigger::ActionFailed | Trigger::Heartbeat | Trigger::Test => 0,
                _ => 300,
            });
            TriggerSettings { enabled: true, throttle, channels: None, severity: None, condition: None }
        };
        let of = Trigger::ALL.iter().map(|trigger| (*trigger, settings(*trigger))).collect();
        Triggers { of, auth_spike: AuthSpike::default() }
    }
}

impl Serialize for Triggers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            #[serde(flatten)]
            settings: &'a TriggerSettings,
            #[serde(flatten)]
            spike: Option<AuthSpike>,
        }
        let can_be_set = self.of.iter().filter(|(trigger, _)| !NOT_SET.contains(trigger));
        serializer.collect_map(can_be_set.map(|(trigger, settings)| {
            let spike = (*trigger == Trigger::FailedAuthSpike).then_some(self.auth_spike);
            (trigger.name(), Shown { settings, spike })
        }))
    }
}

/// Reads `security.alerting.triggers`; `channels` are the names of all that are written.
pub(super) fn read(reader: &mut Reader<'_>, node: Option<&Node>, channels: &[&str]) -> Triggers {
    let mut triggers = Triggers::default();
    let mut seen = Vec::new();
    let mut names = reader.section("security.alerting.triggers", node);
    for (key, node) in names.take_rest() {
        let name = snake_case(&key.name);
        if NOT_BUILT.contains(&name.as_str()) {
            let message = format!(
                "`security.alerting.triggers.{}` has no effect: this version of OpenClaw does not have that part",
                key.name
            );
            reader.warnings.push(Problem { at: key.at, message });
            continue;
        }
        let trigger = Trigger::from_name(&name).filter(|trigger| !NOT_SET.contains(trigger));
        let Some((trigger, settings)) =
            trigger.and_then(|trigger| Some((trigger, triggers.of.get_mut(&trigger)?)))
        else {
            reader.problem(key.at, unknown(&key.name));
            continue;
        };
        if seen.contains(&trigger) {
            let message = format!("`{}` is given twice, in two spellings: keep one", key.name);
            reader.problem(key.at, message);
            continue;
        }
        seen.push(trigger);
        let mut keys = reader.section(&format!("security.alerting.triggers.{}", key.name), Some(node));
        read_one(reader, &mut keys, settings, channels);
        if trigger == Trigger::FailedAuthSpike {
            triggers.auth_spike = read_spike(reader, &mut keys);
        }
        keys.finish(reader);
    }
    triggers
}

fn unknown(name: &str) -> String {
    let known =
        || Trigger::ALL.iter().filter(|trigger| !NOT_SET.contains(trigger)).map(|trigger| trigger.name());
    match nearest(name, known()) {
        Some(right) => format!("`{name}` is no trigger: did you mean `{right}`?"),
        None => format!("`{name}` is no trigger: those are {}", known().collect::<Vec<_>>().join(", ")),
    }
}

fn read_one(reader: &mut Reader<'_>, keys: &mut Section<'_>, settings: &mut TriggerSettings, known: &[&str]) {
    if let Some(node) = keys.take("enabled") {
        settings.enabled = reader.flag(&keys.name("enabled"), node).unwrap_or(true);
    }
    settings.throttle = time(reader, keys, "throttle", "throttle_ms").unwrap_or(settings.throttle);
    if let Some(node) = keys.take("channels") {
        settings.channels = Some(channels(reader, &keys.name("channels"), node, known));
    }
    if let Some(node) = keys.take("severity") {
        settings.severity = reader.parsed(&keys.name("severity"), node, |text| {
            Severity::from_name(text)
                .ok_or_else(|| format!("`{text}` is no severity: write info, low, medium, high or critical"))
        });
    }
    if let Some(node) = keys.take("condition") {
        settings.condition = reader.parsed(&keys.name("condition"), node, |text| {
            let mistakes = |mistakes: openclaw_detect::Diagnostics| {
                mistakes.iter().map(|mistake| mistake.message.clone()).collect::<Vec<_>>().join("; ")
            };
            Condition::parse(text).map(|_| text.to_owned()).map_err(mistakes)
        });
    }
}

/// The channels that are named in a list, each of which must be one.
pub(super) fn channels(reader: &mut Reader<'_>, path: &str, node: &Node, known: &[&str]) -> Vec<String> {
    reader.list(path, node, |name| {
        if known.contains(&name) {
            return Ok(name.to_owned());
        }
        Err(match nearest(name, known.iter().copied()) {
            Some(right) => format!("there is no channel `{name}`: did you mean `{right}`?"),
            None if known.is_empty() => format!("there is no channel `{name}`: write it under `channels`"),
            None => format!("there is no channel `{name}`: those are {}", known.join(", ")),
        })
    })
}

/// A time under one of two keys: in words, or a number of milliseconds.
fn time(
    reader: &mut Reader<'_>,
    keys: &mut Section<'_>,
    words: &'static str,
    milliseconds: &'static str,
) -> Option<Duration> {
    let in_words = keys.take(words).and_then(|node| reader.duration(&keys.name(words), node));
    let Some(node) = keys.take(milliseconds) else { return in_words };
    if in_words.is_some() {
        let message = format!("`{}` and `{milliseconds}` say the same: keep one", keys.name(words));
        reader.problem(node.at, message);
    }
    reader.parsed(&keys.name(milliseconds), node, |text| {
        let number = text.parse().map(Duration::from_millis);
        number.map_err(|_| format!("`{text}` is no number of milliseconds: write one such as 300000"))
    })
}

fn read_spike(reader: &mut Reader<'_>, keys: &mut Section<'_>) -> AuthSpike {
    let threshold = keys.take("threshold").and_then(|node| {
        reader.parsed(&keys.name("threshold"), node, |text| match text.parse::<u64>() {
            Ok(number) if (2..=1_000_000).contains(&number) => Ok(number),
            _ => Err(format!("a spike of `{text}` failed logins is none: write a number from 2 to 1000000")),
        })
    });
    let at = keys.take("window").or_else(|| keys.take("window_ms")).map(|node| node.at);
    let window = time(reader, keys, "window", "window_ms");
    if let (Some(at), Some(window)) = (at, window)
        && !(Duration::from_secs(1)..=Duration::from_secs(7 * 86400)).contains(&window)
    {
        let window = units::format_duration(window);
        reader.problem(at, format!("{window} is no time to count failed logins in: write 1s to 7d"));
    }
    AuthSpike { threshold, window }
}

fn severity_name<S: Serializer>(severity: &Option<Severity>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.map_or("info", Severity::name))
}

/// The keys of a mapping as they are written.
pub(super) fn names(node: Option<&Node>) -> Vec<&str> {
    match node.map(|node| &node.value) {
        Some(super::node::Tree::Map(entries)) => {
            entries.iter().map(|(Key { name, .. }, _)| name.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    fn text(alerting: &str) -> String {
        let channel = "{type: webhook, url: 'http://127.0.0.1/'}";
        format!("security: {{alerting: {{channels: {{soc: {channel}, on-call: {channel}}}, {alerting}}}}}")
    }

    fn read(alerting: &str) -> Triggers {
        parse(&text(alerting), Path::new("/")).unwrap().0.security.alerting.triggers
    }

    #[test]
    fn each_trigger_can_be_set_in_both_spellings() {
        let triggers = read(
            "triggers: {criticalEvents: {throttleMs: 1500, channels: [on-call]}, ip_blocked: {enabled: false}, \
             finding: {throttle: 1h, severity: high, condition: 'process.name == \"nc\"'}, \
             failedAuthSpike: {threshold: 50, windowMs: 60000}}",
        );
        let critical = &triggers.of[&Trigger::CriticalEvent];
        assert_eq!(critical.throttle, Duration::from_millis(1500));
        assert_eq!(critical.channels.as_deref(), Some(&["on-call".to_owned()][..]));
        assert!(!triggers.of[&Trigger::IpBlocked].enabled);
        let finding = &triggers.of[&Trigger::Finding];
        assert_eq!((finding.throttle, finding.severity), (Duration::from_secs(3600), Some(Severity::High)));
        let spike = "overrides: [{rule: failed_auth_spike, threshold: {at_least: 50, within: 1m}}]";
        assert_eq!(triggers.auth_spike.as_override().as_deref(), Some(spike));
        assert_eq!(read("enabled: true"), Triggers::default());
        assert_eq!(AuthSpike::default().as_override(), None);
    }

    #[test]
    fn mistakes_say_what_would_be_right() {
        for (wrong, told) in [
            ("triggers: {criticalEvent: {}, critical_events: {}}", "is given twice"),
            ("triggers: {criticl_event: {}}", "did you mean `critical_event`?"),
            ("triggers: {test: {}}", "`test` is no trigger"),
            ("triggers: {finding: {channels: [oncall]}}", "did you mean `on-call`?"),
            ("triggers: {finding: {severity: bad}}", "write info, low, medium, high or critical"),
            ("triggers: {finding: {throttle: 5}}", "is no duration"),
            ("triggers: {finding: {throttleMs: 5s}}", "is no number of milliseconds"),
            ("triggers: {finding: {throttle: 5s, throttleMs: 5}}", "say the same: keep one"),
            ("triggers: {finding: {condition: 'proces.name == 1'}}", "unknown field `proces.name`"),
            ("triggers: {finding: {threshold: 5}}", "unknown key"),
            ("triggers: {failedAuthSpike: {threshold: 1}}", "write a number from 2"),
            ("triggers: {failedAuthSpike: {window: 10ms}}", "write 1s to 7d"),
            ("timezone: Mars/Base", "is no time zone"),
            ("max_age: 1s", "write 1m or more"),
            ("max_size: 5B", "write 1MiB at least"),
            ("heartbeat: {channels: [soc]}", "heartbeat.every` is missing"),
            ("heartbeat: {every: 1ms}", "write 1s or more"),
        ] {
            let problems = parse(&text(wrong), Path::new("/")).unwrap_err();
            let all: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
            assert!(all.iter().any(|message| message.contains(told)), "{wrong}: {all:?}");
            assert!(problems.iter().all(|problem| problem.at.line == 1), "{problems:?}");
        }
        let warnings = parse(&text("triggers: {serviceUnhealthy: {}}"), Path::new("/")).unwrap().1;
        assert!(warnings[0].message.contains("does not have that part"));
    }
}
