use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::alert::channel::tests::{alert, alert_of};

fn plain(alert: &Alert) -> String {
    Text::of(alert, &TimeZone::UTC).render(&Plain)
}

#[test]
fn a_message_is_that_of_the_example() {
    let mut alert = alert();
    alert.details = json!({"pattern": "brute_force", "ip": "192.168.1.100", "attempts": 10, "threshold": 10});
    let expected = "\
🚨 CRITICAL: Intrusion Detected

Brute force attack detected from IP 192.168.1.100

Details:
• pattern: brute_force
• ip: 192.168.1.100
• attempts: 10
• threshold: 10

2026-01-30 10:30:45 PM";
    assert_eq!(plain(&alert), expected);
}

#[test]
fn everything_that_is_known_has_its_place() {
    let mut alert = alert();
    alert.severity = Severity::Medium;
    alert.details = json!({
        "rule": "reverse_shell", "host": "web-1", "user": {"id": "0", "name": "root"}, "container": {"id": "c0ffee"},
        "reason": "a\nb", "expires_at": "2026-01-30T23:30:45Z", "held_back": 3, "other": "is not shown",
        "process": {"pid": 7, "name": "nc", "executable": "/bin/nc", "command_line": "nc -l",
                    "ancestry": [{"pid": 6, "name": "sh"}, {"name": "sshd", "executable": "/usr/sbin/sshd"}, {"pid": 1}]},
        "actions": [{"summary": "blocked 192.0.2.7", "undo": "openclaw response undo a1"}, {"summary": "would kill nc (7)"}],
        "more": "openclaw findings show a1",
    });
    let expected = "\
⚠️ WARN: Intrusion Detected

Brute force attack detected from IP 192.168.1.100

Details:
• reason: a\\nb
• expiresAt: 2026-01-30 11:30:45 PM
• rule: reverse_shell
• user: root
• container: c0ffee
• host: web-1
• 3 more like it were held back

Process tree:
(1)
└ sshd: /usr/sbin/sshd
  └ sh (6)
    └ nc (7): nc -l

Answers:
• blocked 192.0.2.7
• undo: openclaw response undo a1
• would kill nc (7)

More: openclaw findings show a1

2026-01-30 10:30:45 PM";
    assert_eq!(plain(&alert), expected);
}

#[test]
fn details_of_any_other_shape_are_no_mistake() {
    let mut alert = alert();
    for details in [
        json!(null),
        json!("text"),
        json!({"process": 5, "actions": {}, "held_back": "x", "user": [], "more": 7, "undo": "", "ip": {"a": 1}}),
        json!({"process": {"ancestry": [null, 7, {}]}, "actions": [null, 7, {"undo": null}]}),
    ] {
        alert.details = details;
        assert_eq!(
            plain(&alert).matches("\n\n").count(),
            2,
            "head, message and time alone: {}",
            plain(&alert)
        );
    }
}

#[test]
fn the_time_is_that_of_the_zone() {
    let zone = TimeZone::fixed(jiff::tz::offset(-8));
    assert_eq!(Text::of(&alert(), &zone).time, "2026-01-30 02:30:45 PM");
}

#[test]
fn of_many_ancestors_the_nearest_are_shown() {
    let mut alert = alert();
    let ancestors: Vec<_> = (1..=50).rev().map(|pid| json!({"pid": pid, "name": "sh"})).collect();
    alert.details = json!({"process": {"pid": 51, "name": "nc", "ancestry": ancestors}});
    let text = plain(&alert);
    assert!(text.contains("tree:\n…\n└ sh (39)") && text.contains("└ nc (51)"), "{text}");
}

proptest! {
    #[test]
    fn the_longest_texts_give_way_first_and_the_command_and_the_time_never(
        text in "\\PC{0,40}", times in 1usize..300, limit in 1000usize..6000,
    ) {
        let alert = alert_of(&text.repeat(times));
        let fitted = Text::of(&alert, &TimeZone::UTC).fit(limit, |text| utf16(&text.render(&Plain))).render(&Plain);
        prop_assert!(utf16(&fitted) <= limit);
        prop_assert!(fitted.ends_with("More: openclaw findings show a1\n\n2026-01-30 10:30:45 PM"));
        let whole = plain(&alert);
        prop_assert!(utf16(&whole) > limit || fitted == whole, "what fits is not cut");
    }
}
