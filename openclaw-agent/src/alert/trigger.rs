//! Why an alert is sent.

use serde::{Deserialize, Serialize};

macro_rules! triggers {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $plural:literal, $title:literal;)*) => {
        /// Why an alert is sent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Trigger { $($(#[$doc])* $variant,)* }

        impl Trigger {
            /// Every trigger, in the order of declaration: a finding takes the first of the first four that fits.
            pub const ALL: &'static [Trigger] = &[$(Trigger::$variant,)*];

            /// The name that JSON and the configuration use.
            pub const fn name(self) -> &'static str {
                match self { $(Trigger::$variant => $name,)* }
            }

            /// The trigger of that name, in the singular or the plural.
            pub fn from_name(name: &str) -> Option<Trigger> {
                match name { $($name | $plural => Some(Trigger::$variant),)* _ => None }
            }

            /// What it is called in a message to a person.
            pub const fn title(self) -> &'static str {
                match self { $(Trigger::$variant => $title,)* }
            }
        }
    };
}

triggers! {
    /// Many logins failed: a finding of the rule of that name.
    FailedAuthSpike = "failed_auth_spike", "failed_auth_spikes", "Failed Authentication Spike";
    /// A finding of a rule that recognises an intrusion over the network.
    IntrusionDetected = "intrusion_detected", "intrusions_detected", "Intrusion Detected";
    /// A finding of severity critical.
    CriticalEvent = "critical_event", "critical_events", "Critical Security Event";
    /// Any other finding whose rule asks for an alert.
    Finding = "finding", "findings", "Finding";
    /// An address was blocked.
    IpBlocked = "ip_blocked", "ips_blocked", "IP Address Blocked";
    /// Another answer was carried out.
    ActionTaken = "action_taken", "actions_taken", "Action Taken";
    /// An answer was refused or failed.
    ActionFailed = "action_failed", "actions_failed", "Action Failed";
    /// The sensor sees or tells less than it should.
    SensorDegraded = "sensor_degraded", "sensors_degraded", "Sensor Degraded";
    /// A sign of life.
    Heartbeat = "heartbeat", "heartbeats", "Heartbeat";
    /// A person tries a channel.
    Test = "test", "tests", "Test Alert";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trigger_is_found_by_its_names() {
        for trigger in Trigger::ALL {
            assert_eq!(Trigger::from_name(trigger.name()), Some(*trigger));
            assert_eq!(serde_json::to_value(trigger).unwrap(), trigger.name());
        }
        assert_eq!(Trigger::from_name("critical_events"), Some(Trigger::CriticalEvent));
        assert_eq!(Trigger::from_name("critical"), None);
    }
}
