//! DNS messages: what was asked, what was answered.
//!
//! The bytes come from anybody. What cannot be read makes no message, and a message that was cut is read as
//! far as it goes.

use std::net::IpAddr;

use domain::base::iana::Opcode;
use domain::base::name::ParsedName;
use domain::base::{Message, Rtype, Ttl};
use domain::rdata::{A, Aaaa, Cname};

/// Most records of an answer that are looked at.
const MAX_RECORDS: usize = 128;

/// A question or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsMessage {
    /// By which an answer names its question.
    pub id: u16,
    /// Of an answer: its outcome, such as `NOERROR`.
    pub response_code: Option<String>,
    /// The name that is asked for, in lower case, without its last dot; empty for the root.
    pub name: String,
    /// The type of records that are asked for.
    pub record_type: String,
    /// Of an answer: the addresses of that name, through the aliases that the answer tells.
    pub addresses: Vec<IpAddr>,
    /// For how many seconds the addresses are good: the shortest of the records that lead to them.
    pub ttl: u32,
}

type Name<'a> = ParsedName<&'a [u8]>;

impl DnsMessage {
    /// Reads one. `None` where the header, or the first question, is none that DNS knows.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let message = Message::from_slice(bytes).ok()?;
        let header = message.header();
        if header.opcode() != Opcode::QUERY || header.z() {
            return None;
        }
        let question = message.question().next()?.ok()?;
        let is_answer = header.qr();
        let records = if is_answer { Records::of(message) } else { Records::default() };
        let (addresses, ttl) = records.resolve(*question.qname());
        Some(DnsMessage {
            id: header.id(),
            response_code: is_answer.then(|| header.rcode().to_string()),
            name: question.qname().to_string().to_ascii_lowercase(),
            record_type: question.qtype().to_string(),
            addresses,
            ttl: ttl.as_secs(),
        })
    }
}

/// The messages of a TCP segment, each of which begins with its length, as far as the segment goes. The first
/// of a pair is what was to be read, the second whether all of it is there.
pub fn in_segment(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    std::iter::from_fn(move || {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        let message = rest.get(..len).unwrap_or(rest);
        bytes = rest.get(len..).unwrap_or_default();
        Some((message, message.len() == len))
    })
}

/// The records of an answer that lead from a name to addresses.
#[derive(Default)]
struct Records<'a> {
    aliases: Vec<(Name<'a>, Name<'a>, Ttl)>,
    addresses: Vec<(Name<'a>, IpAddr, Ttl)>,
}

impl<'a> Records<'a> {
    fn of(message: &'a Message<[u8]>) -> Self {
        let mut records = Records::default();
        let Ok(section) = message.answer() else { return records };
        for record in section.take(MAX_RECORDS) {
            // What was cut ends in the middle of a record.
            let Ok(record) = record else { break };
            let (owner, ttl) = (record.owner(), record.ttl());
            match record.rtype() {
                Rtype::A => {
                    if let Ok(Some(record)) = record.to_record::<A>() {
                        records.addresses.push((owner, record.data().addr().into(), ttl));
                    }
                }
                Rtype::AAAA => {
                    if let Ok(Some(record)) = record.to_record::<Aaaa>() {
                        records.addresses.push((owner, record.data().addr().into(), ttl));
                    }
                }
                Rtype::CNAME => {
                    if let Ok(Some(record)) = record.to_record::<Cname<Name<'a>>>() {
                        records.aliases.push((owner, *record.data().cname(), ttl));
                    }
                }
                _ => {}
            }
        }
        records
    }

    /// The addresses of a name, and the shortest time that something on the way to them is good for.
    fn resolve(mut self, name: Name<'a>) -> (Vec<IpAddr>, Ttl) {
        let mut names = vec![name];
        let mut ttl = Ttl::MAX;
        let mut at = 0;
        // Each alias is taken once, so that a circle ends.
        while let Some(name) = names.get(at).copied() {
            self.aliases.retain(|(owner, target, good)| {
                let leads_on = *owner == name;
                if leads_on {
                    names.push(*target);
                    ttl = ttl.min(*good);
                }
                !leads_on
            });
            at += 1;
        }
        let mut addresses = Vec::new();
        for (owner, address, good) in self.addresses {
            if names.contains(&owner) {
                addresses.push(address);
                ttl = ttl.min(good);
            }
        }
        (addresses, ttl)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        bytes.push(0);
        bytes
    }

    fn message(flags: u16, question: &str, answers: &[(&str, u16, u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [0x1234, flags, 1, answers.len() as u16, 0, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(name(question));
        bytes.extend([0, 1, 0, 1]);
        for (owner, kind, ttl, data) in answers {
            bytes.extend(name(owner));
            bytes.extend(kind.to_be_bytes());
            bytes.extend([0, 1]);
            bytes.extend(ttl.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        bytes
    }

    #[test]
    fn a_question_is_told_in_lower_case_and_escaped() {
        let read = DnsMessage::parse(&message(0x0100, "WWW.Example.COM", &[])).unwrap();
        assert_eq!(
            (read.name.as_str(), read.record_type.as_str(), read.id),
            ("www.example.com", "A", 0x1234)
        );
        assert_eq!(read.response_code, None);
        let read = DnsMessage::parse(&message(0, "a\u{1b}[2J.x", &[])).unwrap();
        assert_eq!(read.name, "a\\027[2j.x");
    }

    #[test]
    fn addresses_are_found_through_aliases_and_others_are_not_taken() {
        let answers = [
            ("edge.cdn.test", 1, 30, vec![192, 0, 2, 7]),
            ("www.test", 5, 300, name("x.test")),
            ("x.test", 5, 20, name("Edge.CDN.test")),
            ("stranger.test", 1, 1, vec![192, 0, 2, 66]),
        ];
        let read = DnsMessage::parse(&message(0x8180, "www.test", &answers)).unwrap();
        assert_eq!(read.addresses, [IpAddr::from([192, 0, 2, 7])]);
        assert_eq!(read.ttl, 20);
        assert_eq!(read.response_code.as_deref(), Some("NOERROR"));
    }

    #[test]
    fn aliases_in_a_circle_end() {
        let answers = [("a.test", 5, 9, name("b.test")), ("b.test", 5, 9, name("a.test"))];
        let read = DnsMessage::parse(&message(0x8183, "a.test", &answers)).unwrap();
        assert!(read.addresses.is_empty());
        assert_eq!(read.response_code.as_deref(), Some("NXDOMAIN"));
    }

    #[test]
    fn an_answer_that_was_cut_is_read_as_far_as_it_goes() {
        let answers = [("a.test", 1, 9, vec![192, 0, 2, 1]), ("a.test", 1, 9, vec![192, 0, 2, 2])];
        let whole = message(0x8180, "a.test", &answers);
        let read = DnsMessage::parse(&whole[..whole.len() - 1]).unwrap();
        assert_eq!(read.addresses, [IpAddr::from([192, 0, 2, 1])]);
    }

    #[test]
    fn a_segment_may_hold_several_messages_of_which_the_last_is_cut() {
        let bytes = [0, 2, b'a', b'b', 0, 0, 0, 3, b'c'];
        let found: Vec<_> = in_segment(&bytes).collect();
        assert_eq!(found, [(&b"ab"[..], true), (b"", true), (b"c", false)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = DnsMessage::parse(&bytes);
            prop_assert!(in_segment(&bytes).count() <= bytes.len());
        }

        #[test]
        fn no_damage_to_an_answer_makes_reading_panic(at in 0usize..120, byte: u8, len in 0usize..120) {
            let answers =
                [("w.test", 5, 3, name("e.test")), ("e.test", 1, 3, vec![1; 4]), ("e.test", 28, 3, vec![1; 16])];
            let mut bytes = message(0x8180, "w.test", &answers);
            if let Some(damaged) = bytes.get_mut(at) {
                *damaged = byte;
            }
            bytes.truncate(len.max(12));
            let _ = DnsMessage::parse(&bytes);
        }
    }
}
