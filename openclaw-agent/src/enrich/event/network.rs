//! What became of which connection, which sockets were made and bound, and what was refused.

use std::net::IpAddr;
use std::sync::Arc;

use openclaw_common::network::{Endpoints, INBOUND, IPV4, IPV6, OUTBOUND, TCP, UDP};
use openclaw_common::record::{
    NET_BIND, NET_CLOSED, NET_ESTABLISHED, NET_FAILED, NET_LISTEN, NET_PACKET_SOCKET, NET_PROGRESS,
    NET_RAW_SOCKET, NET_REFUSED, NetworkRecord,
};
use openclaw_detect::{Field, Value};

use super::error::error_name;
use super::value::{known, number};
use crate::enrich::connections;

/// What became of which connection or socket.
#[derive(Debug, Clone)]
pub struct NetworkBody {
    /// The kernel's record.
    pub record: NetworkRecord,
    /// Bytes that the process has sent to this address over connections that it initiated; none of inbound
    /// connections.
    pub outbound: Option<u64>,
    /// The name that was asked for when DNS answered with the address that this side connected to.
    pub domain: Option<Arc<str>>,
}

impl NetworkBody {
    /// The value of `event.action`.
    pub(super) fn action(&self) -> &'static str {
        match self.record.action {
            NET_ESTABLISHED => "connection_established",
            NET_PROGRESS => "connection_progress",
            NET_CLOSED => "connection_closed",
            NET_FAILED => "connection_failed",
            NET_LISTEN => "listen",
            NET_BIND => "bind",
            NET_RAW_SOCKET => "socket_raw",
            NET_PACKET_SOCKET => "socket_packet",
            NET_REFUSED => "connection_refused",
            _ => "connection",
        }
    }

    /// The value of one of its fields.
    pub(super) fn field(&self, field: Field) -> Option<Value<'_>> {
        let record = &self.record;
        match field {
            Field::SourceIp => Some(Value::Ip(self.ends().source?.0)),
            Field::SourcePort => Some(number(self.ends().source?.1)),
            Field::DestinationIp => Some(Value::Ip(self.ends().destination?.0)),
            Field::DestinationPort => Some(number(self.ends().destination?.1)),
            Field::DestinationDomain => self.domain.as_deref().map(Value::Str),
            Field::NetworkType => self.ends().network_type(record.endpoints.family).map(Value::Str),
            Field::NetworkTransport => self.transport().map(Value::Str),
            Field::NetworkIanaNumber => (record.action != NET_PACKET_SOCKET).then(|| number(record.protocol)),
            Field::NetworkDirection => direction_name(record.endpoints.direction).map(Value::Str),
            Field::NetworkNamespace => known(record.endpoints.namespace),
            Field::NetworkState => Some(Value::Str(state_name(record.state)?)),
            Field::ErrorCode => error_name(record.error).map(Value::Str),
            Field::NetworkBytesSent => self.count(record.sent),
            Field::NetworkBytesReceived => self.count(record.received),
            Field::NetworkPacketsSent => self.count(record.packets_sent),
            Field::NetworkPacketsReceived => self.count(record.packets_received),
            Field::NetworkOutboundBytes => self.outbound.map(|bytes| Value::Int(bytes.cast_signed())),
            _ => None,
        }
    }

    /// What a connection has carried; nothing else carries anything.
    fn count(&self, count: u64) -> Option<Value<'static>> {
        let is_connection =
            matches!(self.record.action, NET_ESTABLISHED | NET_PROGRESS | NET_CLOSED | NET_FAILED);
        is_connection.then(|| Value::Int(count.cast_signed()))
    }

    fn transport(&self) -> Option<&'static str> {
        match self.record.action {
            NET_RAW_SOCKET => Some("raw"),
            NET_PACKET_SOCKET => Some("packet"),
            _ => transport_name(self.record.protocol),
        }
    }

    /// Source and destination: who connected, and to whom. Of a socket that listens or was bound there is only
    /// where it can be reached; raw and packet sockets have neither.
    fn ends(&self) -> Ends {
        let ends = &self.record.endpoints;
        match self.record.action {
            NET_RAW_SOCKET | NET_PACKET_SOCKET => Ends { source: None, destination: None },
            NET_LISTEN | NET_BIND => {
                Ends { source: None, destination: Some((connections::addresses(ends).0, ends.local_port)) }
            }
            _ => Ends::of(ends),
        }
    }
}

/// Source and destination: who connected, and to whom.
pub(super) struct Ends {
    pub(super) source: Option<(IpAddr, u16)>,
    pub(super) destination: Option<(IpAddr, u16)>,
}

impl Ends {
    /// Both ends of a connection.
    pub(super) fn of(ends: &Endpoints) -> Self {
        let (local, remote) = connections::addresses(ends);
        let (local, remote) = (Some((local, ends.local_port)), Some((remote, ends.remote_port)));
        if ends.direction == OUTBOUND {
            Ends { source: local, destination: remote }
        } else {
            Ends { source: remote, destination: local }
        }
    }

    /// `ipv4` or `ipv6`; an IPv4 address that is written as IPv6 is one of IPv4.
    pub(super) fn network_type(&self, family: u16) -> Option<&'static str> {
        let v4_in_v6 = || self.destination.is_some_and(|(address, _)| address.is_ipv4());
        match family {
            IPV4 => Some("ipv4"),
            IPV6 if v4_in_v6() => Some("ipv4"),
            IPV6 => Some("ipv6"),
            _ => None,
        }
    }
}

/// The name of an IP protocol that connects ports.
pub(super) fn transport_name(protocol: u32) -> Option<&'static str> {
    match u16::try_from(protocol) {
        Ok(TCP) => Some("tcp"),
        Ok(UDP) => Some("udp"),
        _ => None,
    }
}

/// Which side asked.
pub(super) fn direction_name(direction: u16) -> Option<&'static str> {
    match direction {
        OUTBOUND => Some("outbound"),
        INBOUND => Some("inbound"),
        _ => None,
    }
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

    #[test]
    fn what_only_stands_at_an_address_has_no_source_and_no_bytes() {
        for action in [NET_LISTEN, NET_BIND] {
            let endpoints =
                Endpoints { local: [127; 16], local_port: 80, family: IPV4, ..Endpoints::default() };
            let record = NetworkRecord { action, endpoints, protocol: 6, ..NetworkRecord::default() };
            let body = NetworkBody { record, outbound: None, domain: None };
            assert_eq!(body.field(Field::DestinationPort), Some(Value::Int(80)));
            for field in [Field::SourceIp, Field::NetworkBytesSent, Field::NetworkPacketsSent] {
                assert_eq!(body.field(field), None, "{field:?}");
            }
        }
    }

    #[test]
    fn errors_have_the_names_of_their_numbers() {
        assert_eq!(error_name(111), Some("ECONNREFUSED"));
        assert_eq!(error_name(0), None);
        assert_eq!(error_name(u32::MAX), None);
    }
}
