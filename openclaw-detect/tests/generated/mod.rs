//! Rules like those that people write, in any number, and events as a quiet host has them.

use std::net::IpAddr;

use openclaw_detect::{EventKind, Field, ProcessId, RecordedEvent, RuleSet, Source, StrList, Timestamp};

/// One event of each kind, as a quiet host has them: nobody lays hands on the sensor.
pub(crate) fn events() -> Vec<RecordedEvent> {
    EventKind::ALL.iter().filter(|kind| **kind != EventKind::SensorTamper).map(|kind| event(*kind)).collect()
}

fn event(kind: EventKind) -> RecordedEvent {
    let event = RecordedEvent::new(kind, Timestamp(1_790_000_000_000_000_000))
        .with_process(ProcessId { pid: 4242, start: 123_456_789 })
        .with_parent(ProcessId { pid: 4000, start: 123_000_000 })
        .with(Field::EventAction, kind.actions().first().copied().unwrap_or_default())
        .with(Field::ProcessName, "cargo")
        .with(Field::ProcessExecutable, "/usr/bin/cargo")
        .with(Field::ProcessCommandLine, "cargo build --release --workspace")
        .with(Field::ProcessArgs, StrList::new("cargo\0build\0--release\0--workspace\0"))
        .with(Field::ProcessUid, 1000)
        .with(Field::UserNormalUid, 1000)
        .with(Field::ProcessParentName, "bash");
    match kind {
        EventKind::FileAccess => {
            event.with(Field::FilePath, "/home/user/project/target/release/deps/libproject.rlib")
        }
        EventKind::NetworkConnection => event
            .with(Field::NetworkDirection, "outbound")
            .with(Field::SourceIp, IpAddr::from([10, 0, 0, 5]))
            .with(Field::DestinationIp, IpAddr::from([192, 0, 2, 7]))
            .with(Field::DestinationPort, 443)
            .with(Field::NetworkOutboundBytes, 12_345),
        _ => event,
    }
}

/// So many rules, in equal parts of each sort: by names, paths, ports, parts of texts, regular expressions, and three
/// that remember.
pub(crate) fn rules(count: usize) -> Vec<Source> {
    let mut text = String::from("rules:\n");
    for n in 0..count {
        text.push_str(&format!("  - name: rule{n}\n"));
        text.push_str(&match n % 8 {
            0 => format!(
                "    condition: 'process.name in [\"tool{n}\", \"other{n}\"] and process.parent not in [\"authorized_processes\"]'\n"
            ),
            1 => format!(
                "    condition: 'file.path startswith \"/etc/service{n}/\" and event.action == \"write\"'\n"
            ),
            2 => format!(
                "    condition: 'destination.port == {} and destination not in [\"trusted_ips\"]'\n",
                1024 + n
            ),
            3 => format!(
                "    condition: 'process.command_line contains \"--secret{n}\" or process.executable glob \"/tmp/{n}/**\"'\n"
            ),
            4 => format!(
                "    condition: 'process.uid == 0 and process.args matches \"^payload{n}[0-9a-f]+$\"'\n"
            ),
            5 => format!(
                "    event: network_connection\n    condition: 'destination.port == {} and network.direction == \"inbound\"'\n    threshold: {{at_least: 20, within: 10s, by: [source.ip]}}\n",
                1024 + n
            ),
            6 => format!(
                "    sequence:\n      within: 5m\n      by: [process.tree]\n      steps:\n      - 'process.name == \"first{n}\"'\n      - 'process.name == \"second{n}\"'\n"
            ),
            _ => format!(
                "    event: process_create\n    condition: 'process.executable startswith \"/opt/service{n}/\"'\n    new: {{field: process.executable, by: [user], learn: 7d}}\n"
            ),
        });
    }
    vec![Source::shipped_definitions(), Source { name: "generated.yml".to_owned(), text }]
}

/// The rules of these sources, which have no mistake.
pub(crate) fn load(sources: &[Source]) -> RuleSet {
    RuleSet::load(sources).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}
