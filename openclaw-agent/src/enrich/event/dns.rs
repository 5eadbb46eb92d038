//! What was asked of DNS, or answered by it.

use std::fmt::Write as _;

use openclaw_common::record::DnsHead;
use openclaw_detect::{Field, StrList, Value};

use super::network::{Ends, direction_name, transport_name};
use super::value::{number, text};
use crate::enrich::dns::DnsMessage;

/// What was asked of DNS, or answered by it.
#[derive(Debug)]
pub struct DnsBody {
    head: DnsHead,
    message: DnsMessage,
    /// The addresses, each ended by NUL.
    resolved: String,
    truncated: bool,
}

impl DnsBody {
    /// A message that a process has sent or received, of which not all may be there.
    pub fn new(head: DnsHead, message: DnsMessage, truncated: bool) -> Self {
        let mut resolved = String::new();
        for address in &message.addresses {
            // Writing to a String cannot fail.
            let _ = write!(resolved, "{address}\0");
        }
        DnsBody { head, message, resolved, truncated }
    }

    fn is_answer(&self) -> bool {
        self.message.response_code.is_some()
    }

    /// The value of `event.action`.
    pub(super) fn action(&self) -> &'static str {
        if self.is_answer() { "dns_answer" } else { "dns_question" }
    }

    /// The value of one of its fields. Source is who asks, of an answer too.
    pub(super) fn field(&self, field: Field) -> Option<Value<'_>> {
        let ends = || Ends::of(&self.head.endpoints);
        match field {
            Field::SourceIp => Some(Value::Ip(ends().source?.0)),
            Field::SourcePort => Some(number(ends().source?.1)),
            Field::DestinationIp => Some(Value::Ip(ends().destination?.0)),
            Field::DestinationPort => Some(number(ends().destination?.1)),
            Field::NetworkType => ends().network_type(self.head.endpoints.family).map(Value::Str),
            Field::NetworkTransport => transport_name(self.head.protocol).map(Value::Str),
            Field::NetworkDirection => direction_name(self.head.endpoints.direction).map(Value::Str),
            Field::DnsType => Some(Value::Str(if self.is_answer() { "answer" } else { "query" })),
            Field::DnsId => Some(number(self.message.id)),
            Field::DnsQuestionName => Some(Value::Str(&self.message.name)),
            Field::DnsQuestionType => Some(Value::Str(&self.message.record_type)),
            Field::DnsResponseCode => text(self.message.response_code.as_deref()?),
            Field::DnsResolvedIp => {
                (!self.resolved.is_empty()).then(|| Value::List(StrList::new(&self.resolved)))
            }
            Field::DnsTruncated => Some(Value::Bool(self.truncated)),
            _ => None,
        }
    }
}
