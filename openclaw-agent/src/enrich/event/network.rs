//! What became of which connection.

use std::net::IpAddr;

use openclaw_common::network::{IPV6, OUTBOUND};
use openclaw_common::record::{NET_CLOSED, NET_ESTABLISHED, NET_FAILED, NET_PROGRESS, NetworkRecord};
use openclaw_detect::{Field, Value};

use super::value::number;
use crate::enrich::connections;

/// What became of which connection.
#[derive(Debug, Clone, Copy)]
pub struct NetworkBody {
    /// The kernel's record.
    pub record: NetworkRecord,
    /// Bytes that the process has sent to this address over connections that it initiated; none of inbound
    /// connections.
    pub outbound: Option<u64>,
}

impl NetworkBody {
    /// The value of `event.action`.
    pub(super) fn action(&self) -> &'static str {
        match self.record.action {
            NET_ESTABLISHED => "connection_established",
            NET_PROGRESS => "connection_progress",
            NET_CLOSED => "connection_closed",
            NET_FAILED => "connection_failed",
            _ => "connection",
        }
    }

    /// The value of one of its fields.
    pub(super) fn field(&self, field: Field) -> Option<Value<'_>> {
        let record = &self.record;
        match field {
            Field::SourceIp => Some(Value::Ip(self.ends().source.0)),
            Field::SourcePort => Some(number(self.ends().source.1)),
            Field::DestinationIp => Some(Value::Ip(self.ends().destination.0)),
            Field::DestinationPort => Some(number(self.ends().destination.1)),
            Field::NetworkType => {
                let ipv6 = record.endpoints.family == IPV6 && self.ends().destination.0.is_ipv6();
                Some(Value::Str(if ipv6 { "ipv6" } else { "ipv4" }))
            }
            Field::NetworkTransport => Some(Value::Str("tcp")),
            Field::NetworkDirection => {
                Some(Value::Str(if record.endpoints.direction == OUTBOUND { "outbound" } else { "inbound" }))
            }
            Field::NetworkState => Some(Value::Str(state_name(record.state)?)),
            Field::NetworkBytesSent => Some(Value::Int(record.sent.cast_signed())),
            Field::NetworkBytesReceived => Some(Value::Int(record.received.cast_signed())),
            Field::NetworkOutboundBytes => self.outbound.map(|bytes| Value::Int(bytes.cast_signed())),
            _ => None,
        }
    }

    /// Source and destination: who connected, and to whom.
    fn ends(&self) -> Ends {
        let ends = self.record.endpoints;
        let (local, remote) = connections::addresses(&ends);
        let (local, remote) = ((local, ends.local_port), (remote, ends.remote_port));
        if ends.direction == OUTBOUND {
            Ends { source: local, destination: remote }
        } else {
            Ends { source: remote, destination: local }
        }
    }
}

struct Ends {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
}

/// Names of the states that `include/net/tcp_states.h` numbers.
fn state_name(state: u32) -> Option<&'static str> {
    const NAMES: [&str; 12] = [
        "established",
        "syn_sent",
        "syn_recv",
        "fin_wait1",
        "fin_wait2",
        "time_wait",
        "close",
        "close_wait",
        "last_ack",
        "listen",
        "closing",
        "new_syn_recv",
    ];
    NAMES.get(usize::try_from(state).ok()?.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_names_of_their_numbers() {
        assert_eq!(state_name(1), Some("established"));
        assert_eq!(state_name(7), Some("close"));
        assert_eq!(state_name(0), None);
        assert_eq!(state_name(13), None);
    }
}
