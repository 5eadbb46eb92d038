//! The line of an event.

use std::fmt::{self, Write as _};

use openclaw_detect::{Event, EventKind, Field, Value};

use super::style::{BOLD, DIM, KIND, WARN};
use super::text::Clean;
use super::{Format, time};

/// Appends the line of an event, without its end.
pub fn write_event(event: &dyn Event, format: Format, out: &mut String) {
    match format {
        Format::Json => {
            let mut json = Vec::with_capacity(1024);
            openclaw_detect::json::write(event, &mut json);
            out.push_str(&String::from_utf8_lossy(&json));
        }
        Format::Text => {
            // Writing to a String cannot fail.
            let _ = write_text(event, out);
        }
    }
}

/// `22:30:45.123 process_create     nc[4711] uid 0 ← bash  /usr/bin/nc.openbsd  nc -l 4444`
fn write_text(event: &dyn Event, out: &mut String) -> fmt::Result {
    let kind = event.kind().name();
    write!(out, "{DIM}{}{DIM:#} {KIND}{kind:<18}{KIND:#}", time::clock(event.time()))?;
    match (text(event, Field::ProcessName), event.process()) {
        (Some(name), _) => write!(out, " {BOLD}{}{BOLD:#}", Clean(name))?,
        (None, Some(_)) => out.push_str(" ?"),
        // No process of this host did it.
        (None, None) => out.push_str(" -"),
    }
    if let Some(id) = event.process() {
        write!(out, "{DIM}[{}]{DIM:#}", id.pid)?;
    }
    if let Some(container) = container(event) {
        write!(out, " in {}", Clean(container))?;
    }
    match event.kind() {
        EventKind::ProcessCreate | EventKind::ProcessFork => write_start(event, out),
        EventKind::ProcessHash => write_hash(event, out),
        EventKind::ProcessExit => write_exit(event, out),
        EventKind::FileAccess | EventKind::FileAttempt => write_file(event, out),
        EventKind::NetworkConnection => write_connection(event, out),
        EventKind::DnsQuery => write_dns(event, out),
        EventKind::PrivilegeChange => write_privilege(event, out),
        EventKind::MountChange
        | EventKind::ModuleLoad
        | EventKind::BpfLoad
        | EventKind::ProcessTrace
        | EventKind::NamespaceChange
        | EventKind::IoUring
        | EventKind::SensorTamper => write_kernel(event, out),
        EventKind::ContainerStart | EventKind::ContainerStop => write_container(event, out),
        EventKind::AuthAttempt => write_login(event, out),
        EventKind::HttpRequest => write_request(event, out),
    }
}

fn write_login(event: &dyn Event, out: &mut String) -> fmt::Result {
    write!(out, " {}", text(event, Field::EventAction).unwrap_or("login"))?;
    for field in [Field::ServiceName, Field::UserName, Field::AuthenticationMethod] {
        if let Some(text) = text(event, field) {
            write!(out, " {}", Clean(text))?;
        }
    }
    write_client(event, out)
}

fn write_request(event: &dyn Event, out: &mut String) -> fmt::Result {
    for field in [Field::ServiceName, Field::UrlDomain, Field::HttpMethod, Field::UrlOriginal] {
        if let Some(text) = text(event, field) {
            write!(out, " {}", Clean(text))?;
        }
    }
    if let Some(status) = number(event, Field::HttpStatus) {
        write!(out, " {status}")?;
    }
    write_client(event, out)
}

/// From where, where the log tells it.
fn write_client(event: &dyn Event, out: &mut String) -> fmt::Result {
    if event.get(Field::SourceIp).is_none() {
        return Ok(());
    }
    out.push_str(" ← ");
    write_endpoint(event, Field::SourceIp, Field::SourcePort, out)
}

/// The name of the container, or what is told of ids.
fn container(event: &dyn Event) -> Option<&str> {
    const SHORT: usize = 12;
    let short = |id| text(event, id).map(|id| id.get(..SHORT).unwrap_or(id));
    text(event, Field::ContainerName).or_else(|| short(Field::ContainerId))
}

fn write_container(event: &dyn Event, out: &mut String) -> fmt::Result {
    write!(out, " {}", text(event, Field::EventAction).unwrap_or("container"))?;
    for field in [Field::ContainerRuntime, Field::ContainerImage] {
        if let Some(text) = text(event, field) {
            write!(out, " {}", Clean(text))?;
        }
    }
    if let (Some(namespace), Some(pod)) =
        (text(event, Field::OrchestratorNamespace), text(event, Field::OrchestratorResourceName))
    {
        write!(out, " {DIM}pod {}/{}{DIM:#}", Clean(namespace), Clean(pod))?;
    }
    Ok(())
}

fn write_start(event: &dyn Event, out: &mut String) -> fmt::Result {
    if let Some(uid) = number(event, Field::ProcessUid) {
        write!(out, " uid {uid}")?;
    }
    if let Some(parent) = text(event, Field::ProcessParentName) {
        write!(out, " ← {}", Clean(parent))?;
    }
    if event.kind() == EventKind::ProcessFork {
        return Ok(());
    }
    if let Some(executable) = text(event, Field::ProcessExecutable) {
        write!(out, "  {DIM}{}{DIM:#}", Clean(executable))?;
    }
    if let Some(command_line) = text(event, Field::ProcessCommandLine) {
        write!(out, "  {}", Clean(command_line))?;
    }
    if event.get(Field::ProcessArgsTruncated) == Some(Value::Bool(true)) {
        write!(out, " {WARN}…{WARN:#}")?;
    }
    write_oddities(event, out)
}

/// What is worth a second look in how a program is run.
fn write_oddities(event: &dyn Event, out: &mut String) -> fmt::Result {
    for (field, word) in [
        (Field::ProcessMemfd, "in memory"),
        (Field::ProcessExecutableDeleted, "deleted"),
        (Field::ProcessUpperLayer, "not of the image"),
    ] {
        if event.get(field) == Some(Value::Bool(true)) {
            write!(out, " {WARN}{word}{WARN:#}")?;
        }
    }
    for (field, stream) in [(Field::ProcessStdin, "stdin"), (Field::ProcessStdout, "stdout")] {
        if text(event, field) == Some("internet_socket") {
            write!(out, " {WARN}{stream} is a socket{WARN:#}")?;
        }
    }
    Ok(())
}

fn write_hash(event: &dyn Event, out: &mut String) -> fmt::Result {
    if let Some(executable) = text(event, Field::ProcessExecutable) {
        write!(out, " {DIM}{}{DIM:#}", Clean(executable))?;
    }
    match text(event, Field::ProcessSha256) {
        Some(sha256) => write!(out, " sha256 {sha256}"),
        None => Ok(()),
    }
}

fn write_exit(event: &dyn Event, out: &mut String) -> fmt::Result {
    if let Some(signal) = number(event, Field::ProcessExitSignal) {
        return write!(out, " killed by signal {signal}");
    }
    match number(event, Field::ProcessExitCode) {
        Some(code) => write!(out, " exit code {code}"),
        None => Ok(()),
    }
}

fn write_file(event: &dyn Event, out: &mut String) -> fmt::Result {
    write!(out, " {}", text(event, Field::EventAction).unwrap_or("access"))?;
    if let Some(original) = text(event, Field::FileOriginalPath) {
        write!(out, " {} →", Clean(original))?;
    }
    let cut = if event.get(Field::FileTruncated) == Some(Value::Bool(true)) { "…" } else { "" };
    write!(out, " {cut}{}", Clean(text(event, Field::FilePath).unwrap_or("?")))?;
    if let Some(target) = text(event, Field::FileTargetPath) {
        write!(out, " → {}", Clean(target))?;
    }
    if let Some(attribute) = text(event, Field::FileAttribute) {
        write!(out, " {}", Clean(attribute))?;
    }
    if let Some(error) = text(event, Field::ErrorCode) {
        write!(out, " {WARN}{error}{WARN:#}")?;
    }
    Ok(())
}

fn write_connection(event: &dyn Event, out: &mut String) -> fmt::Result {
    write!(out, " {}", text(event, Field::EventAction).unwrap_or("connection"))?;
    if let Some(transport) = text(event, Field::NetworkTransport) {
        write!(out, " {transport}")?;
    }
    if event.get(Field::SourceIp).is_some() {
        out.push(' ');
        write_endpoint(event, Field::SourceIp, Field::SourcePort, out)?;
        out.push_str(" →");
    }
    if event.get(Field::DestinationIp).is_some() {
        out.push(' ');
        write_endpoint(event, Field::DestinationIp, Field::DestinationPort, out)?;
        if let Some(domain) = text(event, Field::DestinationDomain) {
            write!(out, " ({})", Clean(domain))?;
        }
    }
    if let Some(direction) = text(event, Field::NetworkDirection) {
        write!(out, " {DIM}{direction}{DIM:#}")?;
    }
    if let Some(sent) = number(event, Field::NetworkBytesSent) {
        write!(out, " sent {sent} B")?;
    }
    if let Some(received) = number(event, Field::NetworkBytesReceived) {
        write!(out, " received {received} B")?;
    }
    if let Some(error) = text(event, Field::ErrorCode) {
        write!(out, " {WARN}{error}{WARN:#}")?;
    }
    Ok(())
}

fn write_dns(event: &dyn Event, out: &mut String) -> fmt::Result {
    write!(out, " {}", text(event, Field::EventAction).unwrap_or("dns"))?;
    if let Some(name) = text(event, Field::DnsQuestionName) {
        write!(out, " {}", Clean(name))?;
    }
    if let Some(kind) = text(event, Field::DnsQuestionType) {
        write!(out, " {}", Clean(kind))?;
    }
    if let Some(code) = text(event, Field::DnsResponseCode) {
        write!(out, " {}", Clean(code))?;
    }
    if let Some(Value::List(addresses)) = event.get(Field::DnsResolvedIp) {
        for address in addresses.iter() {
            write!(out, " {}", Clean(address))?;
        }
    }
    if let Some(direction) = text(event, Field::NetworkDirection) {
        write!(out, " {DIM}{direction}{DIM:#}")?;
    }
    Ok(())
}

fn write_endpoint(event: &dyn Event, address: Field, port: Field, out: &mut String) -> fmt::Result {
    match event.get(address) {
        Some(Value::Ip(std::net::IpAddr::V6(address))) => write!(out, "[{address}]")?,
        Some(Value::Ip(address)) => write!(out, "{address}")?,
        _ => out.push('?'),
    }
    match number(event, port) {
        Some(port) => write!(out, ":{port}"),
        None => Ok(()),
    }
}

/// What was done to the kernel or to another process: the action, and what it names.
fn write_kernel(event: &dyn Event, out: &mut String) -> fmt::Result {
    write!(out, " {}", text(event, Field::EventAction).unwrap_or("change"))?;
    for field in [
        Field::MountSource,
        Field::MountTarget,
        Field::ModuleName,
        Field::ModulePath,
        Field::BpfType,
        Field::BpfName,
        Field::TargetName,
        Field::IoUringOperation,
        Field::SensorSignal,
        Field::SensorProgram,
    ] {
        if let Some(named) = text(event, field) {
            write!(out, " {}", Clean(named))?;
        }
    }
    if let Some(pid) = number(event, Field::TargetPid) {
        write!(out, "[{pid}]")?;
    }
    if let Some(Value::List(types)) = event.get(Field::NamespaceTypes) {
        for name in types.iter() {
            write!(out, " {name}")?;
        }
    }
    Ok(())
}

fn write_privilege(event: &dyn Event, out: &mut String) -> fmt::Result {
    write!(out, " {}", text(event, Field::EventAction).unwrap_or("credentials"))?;
    if let Some(uid) = number(event, Field::ProcessUid) {
        match number(event, Field::ProcessPreviousUid) {
            Some(before) => write!(out, " uid {before} → {uid}")?,
            None => write!(out, " uid {uid}")?,
        }
    }
    if let Some(login) = number(event, Field::UserNormalUid) {
        write!(out, " {DIM}normally {login}{DIM:#}")?;
    }
    Ok(())
}

fn text(event: &dyn Event, field: Field) -> Option<&str> {
    match event.get(field) {
        Some(Value::Str(text)) => Some(text),
        _ => None,
    }
}

fn number(event: &dyn Event, field: Field) -> Option<i64> {
    match event.get(field) {
        Some(Value::Int(number)) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use openclaw_detect::{ProcessId, RecordedEvent, Timestamp};

    use super::*;

    fn event(kind: EventKind, action: &str) -> RecordedEvent {
        RecordedEvent::new(kind, Timestamp(1_769_812_245_123_456_789))
            .with(Field::EventAction, action)
            .with_process(ProcessId { pid: 4711, start: 1 })
            .with(Field::ProcessName, "nc")
            .with(Field::ProcessUid, 0)
    }

    /// The line without colours and without the time, which depends on the zone.
    fn line(event: &RecordedEvent) -> String {
        let mut out = String::new();
        write_event(event, Format::Text, &mut out);
        assert!(!out.contains('\n'), "one event is one line");
        let plain = anstream::adapter::strip_str(&out).to_string();
        plain.split_once(' ').unwrap().1.to_owned()
    }

    #[test]
    fn each_kind_of_event_says_what_matters_in_it() {
        let exec = event(EventKind::ProcessCreate, "exec")
            .with(Field::ProcessParentName, "bash")
            .with(Field::ProcessExecutable, "/usr/bin/nc.openbsd")
            .with(Field::ProcessCommandLine, "nc -l 4444\n\x1b[2J");
        assert_eq!(
            line(&exec),
            "process_create     nc[4711] uid 0 ← bash  /usr/bin/nc.openbsd  nc -l 4444\\n\\u{1b}[2J"
        );
        let shell = event(EventKind::ProcessCreate, "exec")
            .with(Field::ProcessMemfd, true)
            .with(Field::ProcessExecutableDeleted, false)
            .with(Field::ProcessStdin, "internet_socket");
        assert_eq!(line(&shell), "process_create     nc[4711] uid 0 in memory stdin is a socket");
        let hash = event(EventKind::ProcessHash, "hash").with(Field::ProcessSha256, "ba7816bf");
        assert_eq!(line(&hash), "process_hash       nc[4711] sha256 ba7816bf");
        let exit = event(EventKind::ProcessExit, "exit").with(Field::ProcessExitCode, 3);
        assert_eq!(line(&exit), "process_exit       nc[4711] exit code 3");
        let rename = event(EventKind::FileAccess, "rename")
            .with(Field::FileOriginalPath, "/tmp/a")
            .with(Field::FilePath, "/tmp/b");
        assert_eq!(line(&rename), "file_access        nc[4711] rename /tmp/a → /tmp/b");
        let connection = event(EventKind::NetworkConnection, "connection_progress")
            .with(Field::SourceIp, "2001:db8::1".parse::<IpAddr>().unwrap())
            .with(Field::SourcePort, 5000)
            .with(Field::DestinationIp, "2001:db8::2".parse::<IpAddr>().unwrap())
            .with(Field::DestinationPort, 443)
            .with(Field::NetworkBytesSent, 7);
        assert_eq!(
            line(&connection),
            "network_connection nc[4711] connection_progress [2001:db8::1]:5000 → [2001:db8::2]:443 sent 7 B"
        );
        let refused = RecordedEvent::new(EventKind::NetworkConnection, Timestamp(0))
            .with(Field::EventAction, "connection_refused")
            .with(Field::NetworkTransport, "udp")
            .with(Field::SourceIp, "192.0.2.1".parse::<IpAddr>().unwrap())
            .with(Field::DestinationIp, "192.0.2.2".parse::<IpAddr>().unwrap());
        assert_eq!(
            line(&refused),
            "network_connection - connection_refused udp 192.0.2.1 → 192.0.2.2",
            "no process did it"
        );
        let mount = event(EventKind::MountChange, "mount")
            .with(Field::MountSource, "tmpfs")
            .with(Field::MountTarget, "/mnt\n");
        assert_eq!(line(&mount), "mount_change       nc[4711] mount tmpfs /mnt\\n");
        let attach = event(EventKind::ProcessTrace, "ptrace_attach")
            .with(Field::TargetName, "sshd")
            .with(Field::TargetPid, 7);
        assert_eq!(line(&attach), "process_trace      nc[4711] ptrace_attach sshd[7]");
        let setuid = event(EventKind::PrivilegeChange, "setuid").with(Field::ProcessPreviousUid, 1000);
        assert_eq!(line(&setuid), "privilege_change   nc[4711] setuid uid 1000 → 0");
        let start = event(EventKind::ContainerStart, "start")
            .with(Field::ContainerId, "0123456789abcdef")
            .with(Field::ContainerRuntime, "cri-o")
            .with(Field::ContainerImage, "web:1")
            .with(Field::OrchestratorNamespace, "shop")
            .with(Field::OrchestratorResourceName, "web-0");
        assert_eq!(
            line(&start),
            "container_start    nc[4711] in 0123456789ab start cri-o web:1 pod shop/web-0"
        );
        let stop = event(EventKind::ContainerStop, "stop").with(Field::ContainerName, "web\n");
        assert_eq!(line(&stop), "container_stop     nc[4711] in web\\n stop");
    }

    #[test]
    fn an_event_without_any_field_is_still_a_line() {
        for kind in EventKind::ALL {
            let bare = RecordedEvent::new(*kind, Timestamp(0));
            assert!(line(&bare).starts_with(kind.name()));
        }
    }
}
