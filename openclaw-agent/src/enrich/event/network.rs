//! What became of which connection, which sockets were made and bound, and what was refused.

use std::net::IpAddr;

use openclaw_common::network::{INBOUND, IPV4, IPV6, OUTBOUND, TCP, UDP};
use openclaw_common::record::{
    NET_BIND, NET_CLOSED, NET_ESTABLISHED, NET_FAILED, NET_LISTEN, NET_PACKET_SOCKET, NET_PROGRESS,
    NET_RAW_SOCKET, NET_REFUSED, NetworkRecord,
};
use openclaw_detect::{Field, Value};

use super::value::{known, number};
use crate::enrich::connections;

/// What became of which connection or socket.
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
            Field::NetworkType => self.network_type().map(Value::Str),
            Field::NetworkTransport => self.transport().map(Value::Str),
            Field::NetworkIanaNumber => (record.action != NET_PACKET_SOCKET).then(|| number(record.protocol)),
            Field::NetworkDirection => match record.endpoints.direction {
                OUTBOUND => Some(Value::Str("outbound")),
                INBOUND => Some(Value::Str("inbound")),
                _ => None,
            },
            Field::NetworkNamespace => known(record.endpoints.namespace),
            Field::NetworkState => Some(Value::Str(state_name(record.state)?)),
            Field::ErrorCode => error_name(record.error).map(Value::Str),
            Field::NetworkBytesSent => self.is_connection().then(|| Value::Int(record.sent.cast_signed())),
            Field::NetworkBytesReceived => {
                self.is_connection().then(|| Value::Int(record.received.cast_signed()))
            }
            Field::NetworkPacketsSent => self.is_connection().then(|| number(record.packets_sent)),
            Field::NetworkPacketsReceived => self.is_connection().then(|| number(record.packets_received)),
            Field::NetworkOutboundBytes => self.outbound.map(|bytes| Value::Int(bytes.cast_signed())),
            _ => None,
        }
    }

    /// Whether it is about a connection, which carries something.
    fn is_connection(&self) -> bool {
        matches!(self.record.action, NET_ESTABLISHED | NET_PROGRESS | NET_CLOSED | NET_FAILED)
    }

    fn network_type(&self) -> Option<&'static str> {
        let v4_in_v6 = || self.ends().destination.is_some_and(|(address, _)| address.is_ipv4());
        match self.record.endpoints.family {
            IPV4 => Some("ipv4"),
            IPV6 if v4_in_v6() => Some("ipv4"),
            IPV6 => Some("ipv6"),
            _ => None,
        }
    }

    fn transport(&self) -> Option<&'static str> {
        match (self.record.action, u16::try_from(self.record.protocol)) {
            (NET_RAW_SOCKET, _) => Some("raw"),
            (NET_PACKET_SOCKET, _) => Some("packet"),
            (_, Ok(TCP)) => Some("tcp"),
            (_, Ok(UDP)) => Some("udp"),
            _ => None,
        }
    }

    /// Source and destination: who connected, and to whom. Of a socket that listens or was bound there is only
    /// where it can be reached; raw and packet sockets have neither.
    fn ends(&self) -> Ends {
        let ends = self.record.endpoints;
        let (local, remote) = connections::addresses(&ends);
        let (local, remote) = (Some((local, ends.local_port)), Some((remote, ends.remote_port)));
        match (self.record.action, ends.direction) {
            (NET_RAW_SOCKET | NET_PACKET_SOCKET, _) => Ends { source: None, destination: None },
            (NET_LISTEN | NET_BIND, _) => Ends { source: None, destination: local },
            (_, OUTBOUND) => Ends { source: local, destination: remote },
            _ => Ends { source: remote, destination: local },
        }
    }
}

struct Ends {
    source: Option<(IpAddr, u16)>,
    destination: Option<(IpAddr, u16)>,
}

/// Names of the errors by which connections end.
fn error_name(error: u32) -> Option<&'static str> {
    Some(match i32::try_from(error).ok()? {
        libc::EPERM => "EPERM",
        libc::EACCES => "EACCES",
        libc::EPIPE => "EPIPE",
        libc::EPROTO => "EPROTO",
        libc::EMSGSIZE => "EMSGSIZE",
        libc::ENOPROTOOPT => "ENOPROTOOPT",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::ENONET => "ENONET",
        libc::ENETDOWN => "ENETDOWN",
        libc::ENETUNREACH => "ENETUNREACH",
        libc::ECONNABORTED => "ECONNABORTED",
        libc::ECONNRESET => "ECONNRESET",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ECONNREFUSED => "ECONNREFUSED",
        libc::EHOSTDOWN => "EHOSTDOWN",
        libc::EHOSTUNREACH => "EHOSTUNREACH",
        _ => return None,
    })
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
    use openclaw_common::network::Endpoints;

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
            let body = NetworkBody { record, outbound: None };
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
