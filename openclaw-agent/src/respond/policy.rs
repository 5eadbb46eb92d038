//! Whether what a finding asks for is carried out: how sure it is, in which mode its rule runs, and whether there is not
//! too much of it.
//!
//! Asked by the thread that reads events and by the one that answers; never for an event that no rule matches.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use openclaw_detect::{Finding, Mode, Rule, Severity};
use serde::{Deserialize, Serialize};

use super::breaker::{Breaker, Trip, Verdict};
use super::{Rail, ResponseSettings, Target, clock};

/// Where it is kept what the breaker has cut off: an agent that is started again does not forget it.
const KEPT: &str = "breaker.json";

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permit {
    /// It may be done.
    Act,
    /// It is only said that it would have been done; why, where that is not the mode alone.
    Watch(Option<String>),
    /// It must not be done.
    Refuse(Rail, String),
}

/// The modes, as they are by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modes {
    /// What holds for a rule of which nothing else is said.
    pub mode: Mode,
    /// Whether a person has switched to observe, which then holds for every rule.
    pub held: bool,
    /// For so many milliseconds more nothing is carried out, since the agent has only just started.
    pub warm_up_ms: u64,
    /// What a person has switched by hand, by rule.
    pub switched: BTreeMap<String, Mode>,
    /// What the breaker has cut off.
    pub tripped: Vec<Trip>,
}

impl Modes {
    /// What somebody should look at.
    pub fn warnings(&self) -> Vec<String> {
        let tripped = self
            .tripped
            .iter()
            .map(|trip| format!("the breaker has cut answers off: {}; `{}`", trip.reason, trip.rearm()));
        tripped.collect()
    }
}

/// Decides. Shared between threads.
#[derive(Debug)]
pub struct Policy {
    min_confidence: f64,
    configured: Mode,
    isolate_on_critical: bool,
    warm_up: Duration,
    started: Instant,
    /// By rule, of which the end may be `*`.
    rules: Vec<(String, Mode)>,
    /// By container label, `KEY` or `KEY=VALUE`.
    labels: Vec<(String, Mode)>,
    kept: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    held: bool,
    switched: BTreeMap<String, Mode>,
    breaker: Breaker,
    /// What the breaker has cut off and nobody was told of.
    untold: Vec<Trip>,
}

impl State {
    /// What a person has switched for a rule, or for all.
    fn by_hand(&self, rule: &str) -> Option<Mode> {
        if self.held { Some(Mode::Observe) } else { self.switched.get(rule).copied() }
    }
}

impl Policy {
    /// The policy that is configured. What the breaker of an earlier agent has cut off stays cut off.
    pub fn new(settings: &ResponseSettings) -> Self {
        let kept = settings.state.join(KEPT);
        let tripped = match super::journal::read(&kept).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(tripped)) => tripped,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            unreadable => {
                let error =
                    unreadable.map_or_else(|error| error.to_string(), |_| "it is no list of them".to_owned());
                tracing::error!("what the breaker had cut off is forgotten: {}: {error}", kept.display());
                Vec::new()
            }
        };
        Policy {
            min_confidence: settings.min_confidence,
            configured: settings.mode,
            isolate_on_critical: settings.isolate_on_critical,
            warm_up: settings.warm_up,
            started: Instant::now(),
            rules: settings.rule_modes.clone(),
            labels: settings.label_modes.clone(),
            kept,
            state: Mutex::new(State {
                mode: settings.mode,
                held: false,
                switched: BTreeMap::new(),
                breaker: Breaker::new(settings.breaker, tripped),
                untold: Vec::new(),
            }),
        }
    }

    /// Whether a finding of this rule may have an answer that is carried out by now.
    pub fn may_answer(&self, rule: &Rule) -> bool {
        let by_severity = self.isolate_on_critical && rule.severity == Severity::Critical;
        if !rule.answers() && !by_severity {
            return false;
        }
        let state = self.state();
        // A label can but turn it either way: that is known when there is a finding.
        let by_label = || self.labels.iter().any(|(_, mode)| *mode == Mode::Enforce);
        match state.by_hand(&rule.name) {
            Some(mode) => mode == Mode::Enforce,
            None => by_label() || self.mode_of(&state, &rule.name, rule.response.mode) == Mode::Enforce,
        }
    }

    /// Whether what a finding asks for is carried out by now, as far as its target has no say.
    pub(super) fn would_act(&self, finding: &Finding) -> bool {
        let state = self.state();
        self.too_unsure(finding.confidence).is_none()
            && self.warm_up_left().is_none()
            && self.mode_for(&state, finding) == Mode::Enforce
            && !state.breaker.is_open(&finding.rule)
    }

    /// Whether anything that is configured or switched has answers carried out, so that it is worth being ready for it.
    pub fn expects_answers(&self) -> bool {
        let state = self.state();
        let switched = state.switched.values().any(|mode| *mode == Mode::Enforce);
        switched || any_enforces(state.mode, &self.rules, &self.labels)
    }

    /// What may be done about a finding. An answer that may be carried out is counted, unless it is on no target: what it
    /// asks for is done already.
    pub(super) fn judge(&self, finding: &Finding, target: Option<&Target>) -> Permit {
        if let Some(reason) = self.too_unsure(finding.confidence) {
            return Permit::Refuse(Rail::Confidence, reason);
        }
        let mut state = self.state();
        if self.mode_for(&state, finding) == Mode::Observe {
            return Permit::Watch(None);
        }
        if self.warm_up_left().is_some() {
            let warm_up = crate::config::units::format_duration(self.warm_up);
            return Permit::Watch(Some(format!(
                "the agent started less than {warm_up} ago, security.response.warm_up"
            )));
        }
        let Some(target) = target else { return Permit::Act };
        let (trip, is_new) = match state.breaker.charge(&finding.rule, target, Instant::now(), clock::wall())
        {
            Verdict::Closed => return Permit::Act,
            Verdict::Open(trip) => (trip.clone(), false),
            Verdict::Tripped(trip) => (trip.clone(), true),
        };
        let reason = format!("{}: `{}` lets it answer again", trip.reason, trip.rearm());
        if is_new {
            state.untold.push(trip);
            self.keep(&state);
        }
        Permit::Watch(Some(reason))
    }

    /// What is configured of rules that are none of these: a misspelt one holds for nobody.
    pub fn strangers(&self, rules: &[&str]) -> Vec<&str> {
        let is_stranger = |pattern: &&str| !rules.iter().any(|rule| names(pattern, rule));
        self.rules.iter().map(|(pattern, _)| pattern.as_str()).filter(is_stranger).collect()
    }

    /// The mode that holds for a finding by now.
    pub(super) fn mode(&self, finding: &Finding) -> Mode {
        self.mode_for(&self.state(), finding)
    }

    fn mode_for(&self, state: &State, finding: &Finding) -> Mode {
        if let Some(mode) = state.by_hand(&finding.rule) {
            return mode;
        }
        // Of a container that has only just begun its runtime has not told yet: what it would say may be observe.
        if labels_are_to_come(finding) && self.labels.iter().any(|(_, mode)| *mode == Mode::Observe) {
            return Mode::Observe;
        }
        let by_label = self.labels.iter().find(|(label, _)| has_label(finding, label));
        by_label.map_or_else(|| self.mode_of(state, &finding.rule, finding.response.mode), |(_, mode)| *mode)
    }

    /// The mode of a rule of which nothing is switched by hand, whatever container it finds something in.
    fn mode_of(&self, state: &State, rule: &str, its_own: Option<Mode>) -> Mode {
        let configured = self.rules.iter().find(|(pattern, _)| names(pattern, rule)).map(|(_, mode)| *mode);
        configured.or(its_own).unwrap_or(state.mode)
    }

    fn too_unsure(&self, confidence: f64) -> Option<String> {
        // A confidence that is no number is not above anything.
        let sure = confidence.partial_cmp(&self.min_confidence) == Some(std::cmp::Ordering::Greater);
        let least = self.min_confidence;
        (!sure).then(|| {
            format!(
                "the rule's confidence {confidence} is not above security.response.min_confidence {least}"
            )
        })
    }

    fn warm_up_left(&self) -> Option<Duration> {
        self.warm_up.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero())
    }

    /// The modes by now.
    pub fn modes(&self) -> Modes {
        let state = self.state();
        Modes {
            mode: state.mode,
            held: state.held,
            warm_up_ms: self.warm_up_left().map_or(0, |left| left.as_millis() as u64),
            switched: state.switched.clone(),
            tripped: state.breaker.tripped().cloned().collect(),
        }
    }

    /// Goes back to the modes that are configured.
    pub fn switch_back(&self) {
        let mut state = self.state();
        state.mode = self.configured;
        state.held = false;
        state.switched.clear();
    }

    /// Switches the mode of one rule, or of all: observe then holds for every rule, whatever is said of it, and enforce
    /// for those of which nothing else is said.
    pub fn switch(&self, rule: Option<&str>, mode: Mode) {
        let mut state = self.state();
        match rule {
            Some(rule) => {
                state.switched.insert(rule.to_owned(), mode);
            }
            None => {
                state.mode = mode;
                state.held = mode == Mode::Observe;
            }
        }
    }

    /// Lets a rule answer again that the breaker has cut off, or with none all that it has. How much that was.
    pub fn rearm(&self, rule: Option<&str>) -> usize {
        let mut state = self.state();
        let rearmed = match rule {
            Some(rule) => usize::from(state.breaker.rearm(Some(rule))),
            None => state.breaker.rearm_all(),
        };
        if rearmed > 0 {
            self.keep(&state);
        }
        rearmed
    }

    /// What the breaker has cut off since this was asked before.
    pub fn take_trips(&self) -> Vec<Trip> {
        std::mem::take(&mut self.state().untold)
    }

    fn keep(&self, state: &State) {
        let tripped: Vec<&Trip> = state.breaker.tripped().collect();
        let kept = serde_json::to_vec(&tripped)
            .map_err(std::io::Error::from)
            .and_then(|bytes| super::journal::replace(&self.kept, &bytes));
        if let Err(error) = kept {
            let path = self.kept.display();
            tracing::error!("what the breaker has cut off is forgotten when the agent ends: {path}: {error}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a mode, or one that is configured of rules or labels, has answers carried out.
pub(crate) fn any_enforces(mode: Mode, rules: &[(String, Mode)], labels: &[(String, Mode)]) -> bool {
    mode == Mode::Enforce || rules.iter().chain(labels).any(|(_, mode)| *mode == Mode::Enforce)
}

/// Whether the container of a finding's process has a label, `KEY` or `KEY=VALUE`.
pub(super) fn has_label(finding: &Finding, wanted: &str) -> bool {
    let labels = finding.event["container"]["labels"].as_array();
    let mut labels = labels.into_iter().flatten().filter_map(serde_json::Value::as_str);
    labels.any(|label| {
        label == wanted
            || (!wanted.contains('=') && label.split_once('=').is_some_and(|(key, _)| key == wanted))
    })
}

/// Whether nothing is known yet of the container of a finding's process but its id.
pub(super) fn labels_are_to_come(finding: &Finding) -> bool {
    let container = &finding.event["container"];
    container["id"].is_string() && container["name"].is_null()
}

/// Whether a pattern, of which the end may be `*`, names this.
pub(super) fn names(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// The folder that answers keep their state in: beside the control socket, so that each agent has its own.
pub fn state_folder(socket: &Path) -> PathBuf {
    socket.parent().unwrap_or(Path::new(".")).join("answers")
}

#[cfg(test)]
mod tests {
    use openclaw_detect::{Action, Response, Severity, Timestamp};
    use serde_json::json;

    use super::*;

    fn finding(rule: &str, its_own: Option<Mode>, container: serde_json::Value) -> Finding {
        Finding {
            id: "f-1".to_owned(),
            rule: rule.to_owned(),
            severity: Severity::High,
            confidence: 0.9,
            title: String::new(),
            message: String::new(),
            timestamp: Timestamp(0),
            actions: vec![Action::Kill],
            response: Response { mode: its_own, ..Response::default() },
            tags: Vec::new(),
            process: None,
            remote: None,
            quiet: false,
            evidence: None,
            event: json!({ "container": container }),
        }
    }

    fn policy(mode: Mode) -> Policy {
        Policy::new(&ResponseSettings {
            mode,
            rule_modes: vec![("net_*".to_owned(), Mode::Observe), ("miner".to_owned(), Mode::Enforce)],
            label_modes: vec![("env=prod".to_owned(), Mode::Observe), ("canary".to_owned(), Mode::Enforce)],
            state: "/nonexistent".into(),
            ..ResponseSettings::default()
        })
    }

    fn labelled(label: &str) -> serde_json::Value {
        json!({ "id": "c", "name": "web", "labels": [label] })
    }

    #[test]
    fn what_is_said_most_closely_of_a_finding_holds() {
        let (enforce, observe) = (Some(Mode::Enforce), Some(Mode::Observe));
        let none = || json!({});
        for (general, rule, its_own, container, holds) in [
            (Mode::Enforce, "other", None, none(), Mode::Enforce),
            (Mode::Enforce, "other", observe, none(), Mode::Observe),
            (Mode::Observe, "other", enforce, none(), Mode::Enforce),
            (Mode::Enforce, "net_scan", enforce, none(), Mode::Observe),
            (Mode::Observe, "miner", observe, none(), Mode::Enforce),
            (Mode::Observe, "miner", None, labelled("env=prod"), Mode::Observe),
            (Mode::Enforce, "net_scan", None, labelled("canary=1"), Mode::Enforce),
            (Mode::Enforce, "other", None, labelled("env=test"), Mode::Enforce),
            // Its labels are not known yet.
            (Mode::Enforce, "other", None, json!({ "id": "c" }), Mode::Observe),
        ] {
            let finding = finding(rule, its_own, container);
            assert_eq!(
                policy(general).mode(&finding),
                holds,
                "{general:?} {rule} {its_own:?} {}",
                finding.event
            );
        }
    }

    #[test]
    fn what_a_person_switches_holds_before_all_else_until_it_is_switched_back() {
        let policy = policy(Mode::Observe);
        let finding = finding("net_scan", None, labelled("env=prod"));
        policy.switch(Some("net_scan"), Mode::Enforce);
        assert!(policy.would_act(&finding) && policy.expects_answers());
        policy.switch(None, Mode::Observe);
        assert!(!policy.would_act(&finding), "observe holds for every rule");
        policy.switch(None, Mode::Enforce);
        assert!(policy.would_act(&finding));
        policy.switch_back();
        assert_eq!((policy.modes().mode, policy.mode(&finding)), (Mode::Observe, Mode::Observe));
    }

    #[test]
    fn a_finding_that_is_not_sure_enough_is_refused_and_an_early_one_only_watched() {
        let settings = ResponseSettings {
            mode: Mode::Enforce,
            warm_up: Duration::from_secs(3600),
            state: "/nonexistent".into(),
            ..ResponseSettings::default()
        };
        let policy = Policy::new(&settings);
        let unsure = Finding { confidence: 0.8, ..finding("other", None, json!({})) };
        assert!(matches!(policy.judge(&unsure, None), Permit::Refuse(Rail::Confidence, _)));
        let early = policy.judge(&finding("other", None, json!({})), Some(&Target::None));
        assert!(matches!(early, Permit::Watch(Some(reason)) if reason.contains("warm_up")));
    }
}
