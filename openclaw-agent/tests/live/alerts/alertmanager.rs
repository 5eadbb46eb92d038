//! Prometheus's Alertmanager, as Debian packages it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};

use super::{Server, TITLE, agent, fire, free};
use crate::support::skip::needs;
use crate::support::{live_once, wait_for};

/// The alerts that it has.
fn alerts(at: SocketAddr) -> Vec<Value> {
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET /api/v2/alerts HTTP/1.0\r\nHost: {at}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn alertmanager_has_the_alert_as_active_with_labels_of_what_it_is_about() {
    live_once!();
    let program = needs!("prometheus-alertmanager");
    let (folder, at) = (tempfile::tempdir().unwrap(), free());
    let config = folder.path().join("alertmanager.yml");
    std::fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").unwrap();
    let mut command = Command::new(program);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.path().display()))
        .arg(format!("--web.listen-address={at}"))
        .arg("--cluster.listen-address=");
    let _server = Server::start(&mut command, &[at]);

    let agent =
        agent(&[&format!("alertmanager: {{url: 'http://{at}', labels: {{team: soc}}, resolve_after: 10m}}")]);
    let finding = fire(&agent);
    wait_for("the alert is there", || !alerts(at).is_empty());
    let alerts = alerts(at);
    assert_eq!(alerts.len(), 1);
    let (alert, labels) = (&alerts[0], &alerts[0]["labels"]);
    assert_eq!(alert["status"]["state"], "active");
    assert_eq!((&labels["alertname"], &labels["team"]), (&json!("test_alert"), &json!("soc")));
    assert_eq!((&labels["severity"], &labels["trigger"]), (&json!("critical"), &json!("intrusion_detected")));
    assert!(labels["instance"].as_str().is_some_and(|host| !host.is_empty()));
    let annotations = &alert["annotations"];
    assert_eq!((&annotations["id"], &annotations["summary"]), (&finding["id"], &json!(TITLE)));
    assert_eq!(annotations["description"], finding["message"]);
}
