//! Random conditions and events over few fields and values, so that many conditions are true of many events.

use std::net::IpAddr;

use proptest::prelude::*;

use crate::{EventKind, Field, ProcessId, RecordedEvent, StrList, Timestamp};

const TEXTS: &[&str] = &["nc", "ncat", "/tmp/nc", "/tmp/NC", "/etc/x", "a b", "K", "\u{212a}", "é"];

/// A condition, as people write it.
pub(crate) fn condition() -> impl Strategy<Value = String> {
    test().prop_recursive(4, 24, 4, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            inner.prop_map(|part| format!("not ({part})")),
            parts.clone().prop_map(|parts| format!("({})", parts.join(" and "))),
            parts.prop_map(|parts| format!("({})", parts.join(" or "))),
        ]
    })
}

/// One comparison.
fn test() -> impl Strategy<Value = String> {
    let text_field = prop::sample::select(vec![
        "process.name",
        "process.args",
        "process.args[0]",
        "process.args[1]",
        "file.path",
        "container.id",
    ]);
    let text = prop::sample::select(TEXTS);
    let partial = prop::sample::select(vec![
        "contains",
        "icontains",
        "startswith",
        "istartswith",
        "endswith",
        "iendswith",
        "iequals",
    ]);
    let not = prop::sample::select(vec!["", "not "]);
    let pattern = prop::sample::select(vec!["^nc", "c(at)?$", "/(tmp|etc)/", ".", "x|nc", "(?i)k", "[ab] b"]);
    let glob = prop::sample::select(vec!["/tmp/*", "*c", "{nc,ncat}", "/**/x", "n?"]);
    let like = prop::sample::select(vec!["*/nc", "*N*", "n?", "*c", "k"]);
    let number_field = prop::sample::select(vec!["process.uid", "destination.port"]);
    let comparison = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let address = prop::sample::select(vec!["192.0.2.7", "192.0.2.8", "10.0.0.0/8", "::1"]);
    prop_oneof![
        (text_field.clone(), prop::sample::select(vec!["==", "!="]), text.clone())
            .prop_map(|(field, operator, text)| format!("{field} {operator} '{text}'")),
        (text_field.clone(), not.clone(), prop::collection::vec(text.clone(), 0..3))
            .prop_map(|(field, not, texts)| format!("{field} {not}in [{}]", quoted(&texts))),
        (text_field.clone(), not.clone(), partial, prop::collection::vec(text, 1..3))
            .prop_map(|(field, not, how, texts)| format!("{field} {not}{how} [{}]", quoted(&texts))),
        (text_field.clone(), not.clone(), pattern)
            .prop_map(|(field, not, pattern)| format!("{field} {not}matches '{pattern}'")),
        (text_field.clone(), not.clone(), glob)
            .prop_map(|(field, not, glob)| format!("{field} {not}glob '{glob}'")),
        (text_field.clone(), not.clone(), prop::sample::select(vec!["like", "ilike"]), like)
            .prop_map(|(field, not, how, like)| format!("{field} {not}{how} '{like}'")),
        (number_field.clone(), comparison, 0..4i64)
            .prop_map(|(field, comparison, number)| format!("{field} {comparison} {number}")),
        (number_field, not.clone(), prop::collection::vec(0..4i64, 0..3))
            .prop_map(|(field, not, numbers)| format!("{field} {not}in {numbers:?}")),
        (not.clone(), prop::collection::vec(address, 0..3))
            .prop_map(|(not, addresses)| format!("destination {not}in [{}]", addresses.join(", "))),
        (not.clone(), any::<bool>()).prop_map(|(not, value)| {
            format!("process.memfd {} {value}", if not.is_empty() { "==" } else { "!=" })
        }),
        (text_field, not).prop_map(|(field, not)| {
            let field = field.split('[').next().unwrap_or_default();
            format!("{field} {not}exists")
        }),
        prop::sample::select(vec![
            "event.action == 'exec'",
            "event.action != 'read'",
            "event.action in ['write', 'bind']"
        ])
        .prop_map(str::to_owned),
    ]
}

fn quoted(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", ")
}

/// An event of some kind, with an action of that kind and fields that the kind carries.
pub(crate) fn event() -> impl Strategy<Value = RecordedEvent> {
    let kinds = [EventKind::ProcessCreate, EventKind::FileAccess, EventKind::NetworkConnection];
    let text = || prop::option::of(prop::sample::select(TEXTS));
    let texts = (text(), text(), text(), prop::collection::vec(prop::sample::select(TEXTS), 0..3));
    let address = prop::option::of(prop::sample::select(vec![
        "192.0.2.7",
        "192.0.2.9",
        "10.1.1.1",
        "::ffff:192.0.2.8",
    ]));
    let number = || prop::option::of(0..4i64);
    let rest = (number(), number(), prop::option::of(any::<bool>()), address);
    (prop::sample::select(kinds.to_vec()), any::<prop::sample::Index>(), 1..4u32, texts, rest).prop_map(
        |(kind, action, pid, (name, path, container, args), (uid, port, memfd, address))| {
            let args: String = args.iter().flat_map(|arg| [*arg, "\0"]).collect();
            let mut event = RecordedEvent::new(kind, Timestamp(1))
                .with_process(ProcessId { pid, start: 1 })
                .with(Field::EventAction, *action.get(kind.actions()))
                .with(Field::ProcessArgs, StrList::new(&args));
            for (field, text) in
                [(Field::ProcessName, name), (Field::ContainerId, container), (Field::FilePath, path)]
            {
                if let Some(text) = text.filter(|_| field.kinds().contains(kind)) {
                    event = event.with(field, text);
                }
            }
            for (field, number) in [(Field::ProcessUid, uid), (Field::DestinationPort, port)] {
                if let Some(number) = number.filter(|_| field.kinds().contains(kind)) {
                    event = event.with(field, number);
                }
            }
            if let Some(address) = address.filter(|_| kind == EventKind::NetworkConnection)
                && let Ok(address) = address.parse::<IpAddr>()
            {
                event = event.with(Field::DestinationIp, address);
            }
            memfd.into_iter().fold(event, |event, memfd| event.with(Field::ProcessMemfd, memfd))
        },
    )
}
