//! Lines of JSON in a file.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::{agent, fire};
use crate::support::{live_once, wait_for};

#[test]
fn an_alert_is_a_line_of_a_file_that_is_the_agents_alone() {
    live_once!();
    let agent = agent(&["file: {path: alerts.json}"]);
    let path = agent.folder().join("alerts.json");
    let findings = [fire(&agent), fire(&agent)];
    let lines = || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    wait_for("both lines are there", || lines().len() >= 2);
    let ids: Vec<_> = lines().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, findings.map(|finding| finding["id"].clone()));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
