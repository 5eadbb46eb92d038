//! DNS messages: told as events, and remembered as names of addresses.

use openclaw_common::network::OUTBOUND;
use openclaw_common::record::DnsHead;
use openclaw_detect::EventKind;

use super::{Occasion, Outlet, Stage};
use crate::enrich::{Body, DnsBody, DnsMessage, in_segment};

impl Stage {
    pub(super) fn dns(&mut self, head: &DnsHead, payload: &[u8], outlet: &mut impl Outlet) {
        if head.protocol == libc::IPPROTO_TCP as u32 {
            for (bytes, whole) in in_segment(payload) {
                self.dns_message(head, bytes, whole, outlet);
            }
        } else {
            self.dns_message(head, payload, head.taken == head.len, outlet);
        }
    }

    fn dns_message(&mut self, head: &DnsHead, bytes: &[u8], whole: bool, outlet: &mut impl Outlet) {
        let Some(message) = DnsMessage::parse(bytes) else {
            self.counts.malformed_dns += 1;
            return;
        };
        // Only what this side was answered: who serves names can say what it likes.
        if head.endpoints.direction == OUTBOUND && head.sent == 0 {
            let namespace = head.endpoints.namespace;
            self.names.learn(namespace, &message.name, &message.addresses, message.ttl, head.header.time);
        }
        let id = self.owner(&head.header.task).map(|process| process.id);
        let body = DnsBody::new(*head, message, !whole);
        let occasion = Occasion::new(id, head.header.time, EventKind::DnsQuery);
        self.emit(occasion, outlet, |_, _| Body::Dns(body));
    }
}
