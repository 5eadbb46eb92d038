use std::io::Read as _;
use std::net::TcpListener;

use super::*;
use crate::alert::channel::tests::alert;
use crate::config::SyslogFormat;

fn config(address: SyslogAddress, transport: SyslogTransport) -> config::Syslog {
    let (facility, format) = (4, SyslogFormat::Text);
    config::Syslog { address, transport, facility, format, timeout: Duration::from_secs(5), ca_file: None }
}

fn loopback(port: u16, transport: SyslogTransport) -> Syslog {
    let address = SyslogAddress::Host { host: "127.0.0.1".to_owned(), port };
    Syslog::new(&config(address, transport)).unwrap()
}

fn is_delivered(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Delivered { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_has_its_length_before_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut syslog = loopback(listener.local_addr().unwrap().port(), SyslogTransport::Tcp);
    for _ in 0..2 {
        assert!(is_delivered(&syslog.send(&alert()).await));
    }
    drop(syslog);
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    for _ in 0..2 {
        let (length, rest) = text.split_once(' ').unwrap();
        let (message, rest) = rest.split_at(length.parse().unwrap());
        assert!(message.starts_with("<34>1 ") && message.ends_with("192.168.1.100"), "{message}");
        text = rest.to_owned();
    }
    assert_eq!(text, "", "one connection carries both");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_a_connection_that_was_closed_meanwhile_goes_over_another() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut syslog = loopback(listener.local_addr().unwrap().port(), SyslogTransport::Tcp);
    assert!(is_delivered(&syslog.send(&alert()).await));
    // Closed with the message unread, and so reset.
    drop(listener.accept().unwrap());
    assert!(is_delivered(&syslog.send(&alert()).await));
    drop(syslog);
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("192.168.1.100"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_up_without_reading_has_not_taken_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut syslog = loopback(listener.local_addr().unwrap().port(), SyslogTransport::Tcp);
    let hangs_up = std::thread::spawn(move || {
        let stream = listener.accept().unwrap().0;
        // The bytes are there, and unread: to close resets the connection.
        stream.peek(&mut [0; 1]).unwrap();
        drop(stream);
    });
    // Its system may have acknowledged everything a glance before the reset, so that this one may have been taken.
    syslog.send(&alert()).await;
    hangs_up.join().unwrap();
    assert!(matches!(syslog.send(&alert()).await, Attempt::Later { .. }), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_to_a_port_where_nobody_listens_is_not_delivered() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut syslog = loopback(socket.local_addr().unwrap().port(), SyslogTransport::Udp);
    assert!(is_delivered(&syslog.send(&alert()).await));
    let mut bytes = [0; 2000];
    let length = socket.recv(&mut bytes).unwrap();
    assert!(bytes[..length].starts_with(b"<34>1 ") && bytes[..length].ends_with(b"192.168.1.100"));
    drop(socket);
    assert!(matches!(syslog.send(&alert()).await, Attempt::Later { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_this_host_takes_datagrams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let mut syslog = Syslog::new(&config(SyslogAddress::Socket(path), SyslogTransport::Udp)).unwrap();
    assert!(is_delivered(&syslog.send(&alert()).await));
    let mut bytes = [0; 2000];
    let length = socket.recv(&mut bytes).unwrap();
    assert!(bytes[..length].ends_with(b"192.168.1.100"));
    drop(socket);
    let attempt = syslog.send(&alert()).await;
    assert!(matches!(&attempt, Attempt::Later { reason, .. } if reason.contains("refused")), "{attempt:?}");
}
