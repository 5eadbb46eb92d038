//! What the agent finds amiss with itself, told to the SOC.

use openclaw_detect::Finding;
use serde::Serialize;

use crate::alert::Alerts;
use crate::output::time;
use crate::store::Writer;

/// The way from what is amiss to the alert `sensor_degraded`. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Notices {
    pub(super) alerts: Alerts,
    pub(super) store: Writer,
}

impl Notices {
    /// Tells it as a finding of no rule; `name` stands in the place of the rule's.
    pub(super) fn tell(&self, name: &str, message: &str, facts: &impl Serialize) {
        let now = time::now();
        self.tell_finding(Finding::of_sensor(format!("{:x}-{name}", now.0), name, now, message, facts));
    }

    /// Tells a finding that is about the sensor.
    pub(super) fn tell_finding(&self, finding: Finding) {
        let alert = self.alerts.of_finding(&finding, &[]);
        self.store.finding(finding, Vec::new(), alert.into_iter().collect());
    }
}
