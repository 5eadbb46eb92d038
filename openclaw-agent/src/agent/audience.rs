//! Who hears of what is on disk: who reads stdout, and the SOC.

use openclaw_detect::Finding;

use super::stdout::Stdout;
use crate::alert::{Alerts, Outgoing, Trigger};
use crate::respond::{ActionRecord, Endings};
use crate::store::{self, Posted};

/// What is printed is on disk, and so is its alert: whoever saw a finding can rely on it.
pub(super) struct Audience {
    pub(super) stdout: Stdout,
    pub(super) alerts: Alerts,
    pub(super) endings: Endings,
}

impl store::Audience for Audience {
    fn finding(&self, finding: Finding, actions: Vec<ActionRecord>) {
        self.stdout.finding(finding, actions);
    }

    fn action(&self, action: ActionRecord) {
        self.stdout.action(action);
    }

    fn written(&self, action: &ActionRecord) {
        self.endings.on_record(action);
    }

    fn posted(&self, alert: &Outgoing, posted: Posted) {
        self.alerts.posted(alert, posted);
    }

    fn channels(&self, trigger: Trigger) -> Vec<String> {
        self.alerts.channels_of(trigger)
    }

    fn ended(&self, channel: &str) {
        self.alerts.ended(channel);
    }

    fn unsaved(&self, alert: Outgoing) {
        self.alerts.unsaved(&alert);
    }

    fn thrown_away(&self, channels: &[String]) {
        self.alerts.thrown_away(channels);
    }

    fn all_channels(&self) -> Option<Vec<String>> {
        Some(self.alerts.names())
    }

    fn given_up(&self, count: u64) {
        self.alerts.give_up(count);
    }

    fn outbox_limit(&self) -> u64 {
        self.alerts.outbox_limit()
    }

    fn writable(&self, problem: Option<&str>) {
        self.alerts.set_problem(problem);
    }
}
