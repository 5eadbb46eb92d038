//! On which kinds of event a condition can be true, and on which it can change.

use crate::compile::{Matcher, Node};
use crate::{EventKind, Field, KindSet};

/// What a condition can be on the events of a kind, whatever the values of the fields that these carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Possible {
    truth: bool,
    falsehood: bool,
}

/// The kinds on which the condition can be true.
pub(crate) fn can_be_true(node: &Node) -> KindSet {
    set(|kind| possible(node, kind).truth)
}

/// The kinds on which a rule runs that names none: those at which one of its fields can change and on which
/// it can be true. Exceptions are about the events that a rule runs on, and add none.
pub(crate) fn without_event(node: &Node) -> KindSet {
    if let Node::And(parts) = node
        && let [condition, exceptions @ ..] = &**parts
        && exceptions.iter().any(|part| matches!(part, Node::Unless(_)))
    {
        return without_event(condition).intersection(can_be_true(node));
    }
    let mut changes = KindSet::NONE;
    node.fields(&mut |field| {
        if field != Field::EventAction {
            changes = changes.union(field.changes());
        }
    });
    changes.union(named_by_action(node)).intersection(can_be_true(node))
}

/// The kinds that the condition's comparisons of `event.action` speak of. The action is another at almost
/// every event, so that counting it as a field that changes would make every rule run everywhere.
fn named_by_action(node: &Node) -> KindSet {
    match node {
        Node::And(parts) | Node::Or(parts) => {
            parts.iter().fold(KindSet::NONE, |kinds, part| kinds.union(named_by_action(part)))
        }
        Node::Not(inner) | Node::Unless(inner) => named_by_action(inner),
        Node::Test(Field::EventAction, Matcher::Text(text)) => {
            set(|kind| kind.actions().iter().any(|action| text.matches(action)))
        }
        Node::Exists(_) | Node::Test(_, _) => KindSet::NONE,
    }
}

fn possible(node: &Node, kind: EventKind) -> Possible {
    match node {
        Node::And(parts) => parts.iter().fold(Possible { truth: true, falsehood: false }, |all, part| {
            let part = possible(part, kind);
            Possible { truth: all.truth && part.truth, falsehood: all.falsehood || part.falsehood }
        }),
        Node::Or(parts) => parts.iter().fold(Possible { truth: false, falsehood: true }, |all, part| {
            let part = possible(part, kind);
            Possible { truth: all.truth || part.truth, falsehood: all.falsehood && part.falsehood }
        }),
        Node::Not(inner) => {
            let inner = possible(inner, kind);
            Possible { truth: inner.falsehood, falsehood: inner.truth }
        }
        Node::Unless(inner) => Possible { truth: true, falsehood: possible(inner, kind).truth },
        Node::Exists(field) => Possible { truth: field.kinds().contains(kind), falsehood: true },
        Node::Test(Field::EventAction, Matcher::Text(text)) => {
            let mut actions = kind.actions().iter();
            Possible {
                truth: actions.clone().any(|action| text.matches(action)),
                falsehood: actions.any(|action| !text.matches(action)),
            }
        }
        // The comparison with a field that the kind does not carry is neither.
        Node::Test(field, _) => {
            let carried = field.kinds().contains(kind);
            Possible { truth: carried, falsehood: carried }
        }
    }
}

fn set(mut belongs: impl FnMut(EventKind) -> bool) -> KindSet {
    EventKind::ALL.iter().fold(KindSet::NONE, |kinds, kind| {
        if belongs(*kind) { kinds.union(KindSet::of(&[*kind])) } else { kinds }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::check, definitions::Definitions, parser::parse};

    fn kinds(text: &str) -> Vec<&'static str> {
        let node = check(&parse(text).unwrap(), &Definitions::default()).0.unwrap();
        without_event(&node).iter().map(EventKind::name).collect()
    }

    #[test]
    fn a_rule_without_event_runs_where_its_fields_change_and_it_can_be_true() {
        for (text, expected) in [
            ("process.name == 'nc' and process.parent not in ['x']", &["process_create", "process_fork"][..]),
            ("process.name == 'nc'", &["process_create"]),
            ("network.outbound.bytes > 100MB and destination not in [10.0.0.0/8]", &["network_connection"]),
            (
                "process.uid == 0 and user.normal_uid != 0",
                &["process_create", "process_fork", "privilege_change"],
            ),
            ("process.name == 'x' and destination.port == 4444", &["network_connection"]),
            ("process.name == 'x' or destination.port == 4444", &["process_create", "network_connection"]),
            ("process.exit_signal == 11", &["process_exit"]),
            ("event.action == 'read' and process.name == 'x'", &["file_access"]),
            ("event.action == 'delete' and file.path startswith '/etc'", &["file_access"]),
            ("event.action == 'exec' and process.name == 'x'", &["process_create"]),
            ("event.action != 'read' and file.path == '/x'", &["file_access"]),
            ("file.path exists and process.name == 'x'", &["file_access"]),
            ("destination not exists and process.name == 'x'", &["process_create", "network_connection"]),
            ("host.name == 'x'", &[]),
            ("event.action == 'exec' and file.path == '/x'", &[]),
            ("event.action == 'nonsense'", &[]),
        ] {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }
}
