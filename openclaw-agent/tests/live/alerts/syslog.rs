//! rsyslog, as Debian packages it: it takes the messages apart, and writes what it found.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Server, TITLE, agent, certify, fire, free};
use crate::support::skip::{needs, skip};
use crate::support::{live_once, wait_for};

/// Starts a receiver with these inputs, which writes the parts of each message as JSON.
fn rsyslog(program: &Path, folder: &Path, inputs: &str, listens: &[SocketAddr]) -> Server {
    let property = |name: &str| format!("property(outname=\"{name}\" name=\"{name}\" format=\"jsonf\")");
    let comma = " constant(value=\",\") ";
    let parts = [
        "pri",
        "timereported",
        "hostname",
        "app-name",
        "procid",
        "msgid",
        "structured-data",
        "msg",
        "inputname",
        "protocol-version",
    ];
    let parts = parts.map(property).join(comma);
    let config = format!(
        "global(workDirectory=\"{0}\")\n\
         template(name=\"parts\" type=\"list\") {{ constant(value=\"{{\") {parts} constant(value=\"}}\\n\") }}\n\
         {inputs}\n\
         action(type=\"omfile\" file=\"{0}/log\" template=\"parts\")\n",
        folder.display()
    );
    let path = folder.join("rsyslog.conf");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(program);
    command.arg("-n").arg("-f").arg(path).arg("-i").arg(folder.join("pid"));
    Server::start(&mut command, listens)
}

/// What it received, once there is so much of it.
#[track_caller]
fn received(folder: &Path, count: usize) -> Vec<Value> {
    let lines = || {
        let text = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    wait_for("the messages are there", || lines().len() >= count);
    lines()
}

/// That a message says what the finding says.
#[track_caller]
fn check(message: &Value, finding: &Value) {
    let text = |key: &str| message[key].as_str().unwrap_or_default();
    // auth, critical: 4 * 8 + 2.
    assert_eq!((text("pri"), text("protocol-version")), ("34", "1"), "{message}");
    assert_eq!((text("app-name"), text("msgid")), ("openclaw", "intrusion_detected"));
    let data = text("structured-data");
    let id = format!("id=\"{}\"", finding["id"].as_str().unwrap());
    assert!(data.starts_with("[openclaw@32473 id=") && data.contains(&id), "{message}");
    let said = format!("{TITLE}: {}", finding["message"].as_str().unwrap());
    assert_eq!(text("msg").trim_start_matches([' ', '\u{feff}']), said);
}

#[test]
fn rsyslog_takes_messages_apart_that_come_by_udp_and_by_tcp() {
    live_once!();
    let program = needs!("rsyslogd");
    let (folder, udp, tcp) = (tempfile::tempdir().unwrap(), free(), free());
    let inputs = format!(
        "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{}\")\n\
         module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{}\")",
        udp.port(),
        tcp.port()
    );
    let _server = rsyslog(&program, folder.path(), &inputs, &[tcp]);
    let agent = agent(&[
        &format!("udp: {{type: syslog, address: '{udp}'}}"),
        &format!("tcp: {{type: syslog, address: '{tcp}', transport: tcp}}"),
    ]);
    for round in 1..=2 {
        let finding = fire(&agent);
        let messages = received(folder.path(), 2 * round);
        let last = &messages[2 * round - 2..];
        let mut inputs: Vec<_> = last.iter().map(|message| message["inputname"].as_str().unwrap()).collect();
        inputs.sort_unstable();
        assert_eq!(inputs, ["imtcp", "imudp"]);
        last.iter().for_each(|message| check(message, &finding));
    }
}

/// A driver of rsyslog's for TLS, where one is installed.
fn driver() -> Option<&'static str> {
    let has = |name: &str| {
        let folders =
            ["/usr/lib/x86_64-linux-gnu/rsyslog", "/usr/lib/aarch64-linux-gnu/rsyslog", "/usr/lib64/rsyslog"];
        folders.iter().any(|folder| PathBuf::from(folder).join(format!("lmnsd_{name}.so")).exists())
    };
    ["ossl", "gtls"].into_iter().find(|name| has(name))
}

#[test]
fn rsyslog_is_sent_messages_by_tls_where_its_certificate_is_right_and_nothing_else() {
    live_once!();
    let (program, _) = (needs!("rsyslogd"), needs!("openssl"));
    let Some(driver) = driver() else { skip!("rsyslog has no driver for TLS (rsyslog-openssl)") };
    let (folder, at) = (tempfile::tempdir().unwrap(), free());
    certify(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let inputs = format!(
        "global(defaultNetstreamDriverCAFile=\"{}\" defaultNetstreamDriverCertFile=\"{}\" \
         defaultNetstreamDriverKeyFile=\"{}\")\n\
         module(load=\"imtcp\" streamDriver.name=\"{driver}\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n\
         input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{}\")",
        path("ca.pem"),
        path("server.pem"),
        path("server.key"),
        at.port()
    );
    let _server = rsyslog(&program, folder.path(), &inputs, &[at]);
    let agent = agent(&[
        &format!(
            "tls: {{type: syslog, address: 'localhost:{}', transport: tls, ca_file: {}}}",
            at.port(),
            path("ca.pem")
        ),
        &format!("stranger: {{type: syslog, address: 'localhost:{}', transport: tls}}", at.port()),
    ]);
    let first = fire(&agent);
    check(&received(folder.path(), 1)[0], &first);
    let second = fire(&agent);
    check(&received(folder.path(), 2)[1], &second);
    agent.wait_for_log("invalid peer certificate");
    assert_eq!(received(folder.path(), 2).len(), 2, "an unknown authority's receiver is told nothing");
}
