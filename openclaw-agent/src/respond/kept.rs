//! A verdict as the kernel keeps it, so that the next agent knows what it takes over.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use openclaw_common::verdict::{BLOCK, ISOLATE, ISOLATE_CONTAINER, ISOLATE_HOST, Verdict};
use openclaw_detect::{ProcessId, Scope, Timestamp};

use super::{ActionKind, ActionRecord, Network, Outcome, Target, clock};

/// On what a verdict is, without what is known of it now.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject {
    Network(Network),
    Process(ProcessId),
    Host,
}

/// The numbers of answers: the time in milliseconds, each used once. Shared by the threads that answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers(Arc<AtomicU64>);

impl Numbers {
    pub(super) fn next(&self) -> u64 {
        let now = clock::wall().0 / 1_000_000;
        let after = |last: u64| now.max(last + 1);
        // It never fails, since there always is a next one.
        let last = self.0.fetch_update(Relaxed, Relaxed, |last| Some(after(last))).unwrap_or_default();
        after(last)
    }

    /// Uses none of these again.
    pub(super) fn skip(&self, used: u64) {
        self.0.fetch_max(used, Relaxed);
    }
}

/// What the ids of a kind of answer begin with.
pub(super) const fn prefix(kind: ActionKind) -> char {
    match kind {
        ActionKind::Block => 'b',
        ActionKind::Isolate => 'i',
        ActionKind::Suspend => 's',
        ActionKind::Kill => 'k',
        ActionKind::Run => 'r',
        // Of a unit.
        ActionKind::Restart => 'u',
        ActionKind::Webhook => 'w',
    }
}

/// The kind's letter, `-`, and the number to the base of 32 (Crockford's digits, none of which look alike).
pub(super) fn id(kind: ActionKind, number: u64) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let prefix = prefix(kind);
    // 45 bits: milliseconds until the year 3084.
    let digits = (0..9).rev().map(|place| char::from(DIGITS[(number >> (5 * place)) as usize % 32]));
    format!("{prefix}-{}", digits.collect::<String>())
}

/// The verdict as the kernel keeps it for the next agent. Texts that are too long are cut.
pub(super) fn encode(record: &ActionRecord, subject: Subject, expiry: u64) -> Verdict {
    let mut verdict = Verdict {
        expiry,
        at: record.at.0,
        start: 0,
        kind: BLOCK,
        pid: 0,
        network: [0; 16],
        prefix: 0,
        family: 0,
        name: [0; 32],
        finding: text(record.finding.as_deref()),
        rule: text(record.rule.as_deref()),
        reason: text(record.reason.as_deref()),
    };
    match subject {
        Subject::Network(network) => {
            verdict.prefix = u32::from(network.prefix());
            match network.address() {
                IpAddr::V4(v4) => {
                    verdict.family = 4;
                    verdict.network[..4].copy_from_slice(&v4.octets());
                }
                IpAddr::V6(v6) => {
                    verdict.family = 6;
                    verdict.network = v6.octets();
                }
            }
        }
        Subject::Host => verdict.kind = ISOLATE_HOST,
        Subject::Process(root) => {
            verdict.kind = if record.scope == Some(Scope::Container) { ISOLATE_CONTAINER } else { ISOLATE };
            verdict.pid = root.pid;
            verdict.start = root.start;
            if let Target::Process { name, .. } = &record.target {
                verdict.name = text(Some(name));
            }
        }
    }
    verdict
}

/// What [`encode`] kept. `None` for a verdict of a kind that is not known here.
pub(super) fn decode(number: u64, verdict: &Verdict) -> Option<(ActionRecord, Subject)> {
    let optional = |bytes: &[u8]| Some(read(bytes)).filter(|text| !text.is_empty());
    let (kind, target, subject) = match verdict.kind {
        BLOCK => {
            let [a, b, c, d, ..] = verdict.network;
            let address = match verdict.family {
                4 => IpAddr::from([a, b, c, d]),
                _ => IpAddr::from(verdict.network),
            };
            let network = Network::new(address, u8::try_from(verdict.prefix).ok()?)?;
            (ActionKind::Block, Target::Network(network.to_string()), Subject::Network(network))
        }
        ISOLATE | ISOLATE_CONTAINER => {
            let root = ProcessId { pid: verdict.pid, start: verdict.start };
            (
                ActionKind::Isolate,
                Target::Process { id: root, name: read(&verdict.name) },
                Subject::Process(root),
            )
        }
        ISOLATE_HOST => (ActionKind::Isolate, Target::Host, Subject::Host),
        _ => return None,
    };
    let scope = match verdict.kind {
        BLOCK => None,
        ISOLATE_CONTAINER => Some(Scope::Container),
        ISOLATE_HOST => Some(Scope::Host),
        _ => Some(Scope::Tree),
    };
    let record = ActionRecord {
        scope,
        finding: optional(&verdict.finding),
        rule: optional(&verdict.rule),
        outcome: Outcome::Done,
        reason: optional(&verdict.reason),
        expires: Some(clock::wall_at(verdict.expiry)),
        ..ActionRecord::asked(id(kind, number), kind, target, Timestamp(verdict.at))
    };
    Some((record, subject))
}

fn text<const N: usize>(text: Option<&str>) -> [u8; N] {
    let mut bytes = [0; N];
    let text = text.unwrap_or_default();
    let len = text.floor_char_boundary(N - 1);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    bytes
}

fn read(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: ActionKind, target: Target) -> ActionRecord {
        ActionRecord {
            finding: Some("f-1".to_owned()),
            outcome: Outcome::Done,
            reason: Some("ä".repeat(100)),
            ..ActionRecord::asked(id(kind, 1_795_416_860_859), kind, target, Timestamp(7))
        }
    }

    #[test]
    fn what_is_kept_is_read_as_it_was_but_for_the_end_of_long_texts() {
        for network in ["192.0.2.0/24", "2001:db8::7"] {
            let network: Network = network.parse().unwrap();
            let kept = record(ActionKind::Block, Target::Network(network.to_string()));
            let verdict = encode(&kept, Subject::Network(network), 99);
            let (read, subject) = decode(1_795_416_860_859, &verdict).unwrap();
            assert!(matches!(subject, Subject::Network(found) if found == network));
            assert_eq!(read.reason, Some("ä".repeat(63)));
            assert_eq!(read, ActionRecord { reason: read.reason.clone(), expires: read.expires, ..kept });
        }
        let root = ProcessId { pid: 42, start: 123_456_789 };
        for scope in [Scope::Tree, Scope::Container] {
            let target = Target::Process { id: root, name: "nc".to_owned() };
            let kept = ActionRecord { scope: Some(scope), ..record(ActionKind::Isolate, target) };
            let verdict = encode(&kept, Subject::Process(root), 99);
            let (read, subject) = decode(1_795_416_860_859, &verdict).unwrap();
            assert!(matches!(subject, Subject::Process(found) if found == root));
            assert_eq!((read.target, read.scope), (kept.target, kept.scope));
        }
        let kept = record(ActionKind::Isolate, Target::Host);
        let (read, subject) = decode(1_795_416_860_859, &encode(&kept, Subject::Host, 99)).unwrap();
        assert!(matches!(subject, Subject::Host));
        assert_eq!((read.target, read.scope), (Target::Host, Some(Scope::Host)));
    }

    #[test]
    fn ids_differ_and_tell_the_kind() {
        assert_eq!(id(ActionKind::Block, 0), "b-000000000");
        assert_ne!(id(ActionKind::Isolate, 1), id(ActionKind::Isolate, 2));
        assert!(id(ActionKind::Isolate, 1).starts_with("i-"));
    }
}
