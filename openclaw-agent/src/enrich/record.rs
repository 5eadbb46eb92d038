//! Records of the rings, checked and cut into their parts.

use bytemuck::{AnyBitPattern, NoUninit};
use openclaw_common::record::{
    CREDENTIALS, CredentialRecord, DNS, DnsHead, DnsRecord, EXEC, EXISTING, EXIT, ExecRecord, FILE_OPEN,
    FILE_PATH, FORK, FileRecord, Header, KERNEL, KernelRecord, NETWORK, NetworkRecord, ProcessRecord, UDP,
};

/// A record with its sections.
#[derive(Debug)]
pub enum Record<'a> {
    /// A process made a child.
    Fork(ProcessRecord),
    /// A process runs another program; its sections.
    Exec(ExecRecord, [&'a [u8]; 7]),
    /// A process ended.
    Exit(ProcessRecord),
    /// A process was there before; the path of its control group.
    Existing(ProcessRecord, &'a [u8]),
    /// Credentials may have changed.
    Credentials(CredentialRecord),
    /// Something was done to a file; its sections.
    File(FileRecord, [&'a [u8]; 4]),
    /// Something became of a connection, or of a flow of UDP.
    Network(NetworkRecord),
    /// A DNS message; the payload that holds it.
    Dns(DnsHead, &'a [u8]),
    /// Something acted upon the kernel, or upon another process.
    Kernel(KernelRecord),
}

impl<'a> Record<'a> {
    /// The record that begins these bytes, and its length. `None` where they are no record: of another
    /// version of the programs, or cut short.
    pub fn parse(bytes: &'a [u8]) -> Option<(Record<'a>, usize)> {
        let header: Header = head(bytes)?;
        match header.kind {
            FORK => Some((Record::Fork(head(bytes)?), size_of::<ProcessRecord>())),
            EXIT => Some((Record::Exit(head(bytes)?), size_of::<ProcessRecord>())),
            EXEC => {
                let record: ExecRecord = head(bytes)?;
                let (sections, len) = sections(bytes, size_of::<ExecRecord>(), record.sections)?;
                Some((Record::Exec(record, sections), len))
            }
            EXISTING => {
                let record: ProcessRecord = head(bytes)?;
                let ([cgroup], len) = sections(bytes, size_of::<ProcessRecord>(), [record.cgroup])?;
                Some((Record::Existing(record, cgroup), len))
            }
            CREDENTIALS => Some((Record::Credentials(head(bytes)?), size_of::<CredentialRecord>())),
            FILE_OPEN | FILE_PATH => {
                let record: FileRecord = head(bytes)?;
                let (sections, len) = sections(bytes, size_of::<FileRecord>(), record.sections)?;
                Some((Record::File(record, sections), len))
            }
            DNS => {
                let head: DnsHead = head(bytes)?;
                let payload = bytes.get(size_of::<DnsHead>()..size_of::<DnsRecord>())?;
                Some((Record::Dns(head, payload.get(..head.taken as usize)?), size_of::<DnsRecord>()))
            }
            KERNEL => Some((Record::Kernel(head(bytes)?), size_of::<KernelRecord>())),
            NETWORK | UDP => Some((Record::Network(head(bytes)?), size_of::<NetworkRecord>())),
            _ => None,
        }
    }
}

fn head<T: AnyBitPattern + NoUninit>(bytes: &[u8]) -> Option<T> {
    Some(bytemuck::pod_read_unaligned(bytes.get(..size_of::<T>())?))
}

fn sections<const N: usize>(bytes: &[u8], mut at: usize, lengths: [u32; N]) -> Option<([&[u8]; N], usize)> {
    let mut sections = [&[][..]; N];
    for (section, len) in sections.iter_mut().zip(lengths) {
        let end = at.checked_add(len as usize)?;
        *section = bytes.get(at..end)?;
        at = end;
    }
    Some((sections, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::enrich::{Environment, Image};

    fn exec(sections: [u32; 7], tail: &[u8]) -> Vec<u8> {
        let mut record = ExecRecord { sections, ..ExecRecord::default() };
        record.process.header.kind = EXEC;
        let mut bytes = bytemuck::bytes_of(&record).to_vec();
        bytes.extend_from_slice(tail);
        bytes
    }

    #[test]
    fn sections_follow_one_another_without_gaps() {
        let bytes = exec([0, 3, 2, 0, 0, 0, 1], b"nc\0a\0/");
        let Some((Record::Exec(_, sections), len)) = Record::parse(&bytes) else { panic!("no exec") };
        assert_eq!(sections, [&b""[..], b"nc\0", b"a\0", b"", b"", b"", b"/"]);
        assert_eq!(len, bytes.len());
    }

    #[test]
    fn a_section_that_runs_past_the_end_makes_it_no_record() {
        assert!(Record::parse(&exec([0, 9, 0, 0, 0, 0, 0], b"nc\0")).is_none());
        assert!(Record::parse(&exec([u32::MAX; 7], b"nc\0")).is_none());
    }

    #[test]
    fn a_dns_message_is_no_longer_than_its_record() {
        let mut head = DnsHead { taken: 3, ..DnsHead::default() };
        head.header.kind = DNS;
        let record = |head: &DnsHead| {
            let mut bytes = bytemuck::bytes_of(head).to_vec();
            bytes.resize(size_of::<DnsRecord>(), 7);
            bytes
        };
        let bytes = record(&head);
        assert!(matches!(Record::parse(&bytes), Some((Record::Dns(_, [7, 7, 7]), _))));
        assert!(Record::parse(&bytes[..bytes.len() - 1]).is_none());
        head.taken = u32::MAX;
        assert!(Record::parse(&record(&head)).is_none());
    }

    #[test]
    fn no_prefix_of_a_record_is_read_past_its_end() {
        let bytes = exec([1, 3, 2, 0, 0, 0, 0], b"x\0nc\0a");
        for len in 0..bytes.len() {
            assert!(Record::parse(&bytes[..len]).is_none(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_exec_holds_is_no_record_or_an_image(
            head in prop::collection::vec(any::<u8>(), size_of::<ExecRecord>()),
            lengths in prop::array::uniform7(0_u32..24),
            tail in prop::collection::vec(any::<u8>(), 0..160),
        ) {
            let mut record: ExecRecord = bytemuck::pod_read_unaligned(&head);
            record.process.header.kind = EXEC;
            record.sections = lengths;
            let bytes = [bytemuck::bytes_of(&record), &tail].concat();
            let fits = lengths.iter().sum::<u32>() as usize <= tail.len();
            match Record::parse(&bytes) {
                Some((Record::Exec(record, sections), len)) => {
                    prop_assert!(fits && len <= bytes.len());
                    Image::of_exec(&record, sections, &Environment::default());
                }
                other => prop_assert!(!fits, "{other:?}"),
            }
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0_u32..48) {
            let mut bytes = bytes;
            if let Some(first) = bytes.get_mut(..4) {
                first.copy_from_slice(&kind.to_ne_bytes());
            }
            if let Some((_, len)) = Record::parse(&bytes) {
                prop_assert!(len <= bytes.len());
            }
        }
    }
}
