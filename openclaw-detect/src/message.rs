//! What happened, in a sentence: who, what and where.

use std::fmt::Write as _;

use crate::{Event, EventKind, Field, Value};

/// How long a command line is told.
const COMMAND_LENGTH: usize = 200;

/// The event in a sentence, such as `nc (pid 4242, user 1000, parent bash) ran: nc -lvp 4444`.
pub(crate) fn describe(event: &(impl Event + ?Sized)) -> String {
    match event.kind() {
        EventKind::AuthAttempt => return login(event),
        EventKind::HttpRequest => return request(event),
        _ if event.get(Field::EventAction) == Some(Value::Str("connection_refused")) => {
            return refused(event);
        }
        _ => {}
    }
    let text = |field| text(event, field);
    let number = |field| number(event, field);
    let mut out = text(Field::ProcessName).unwrap_or_else(|| "an unknown process".to_owned());
    let mut about = Vec::new();
    about.extend(number(Field::ProcessPid).map(|pid| format!("pid {pid}")));
    about.extend(user(event));
    about.extend(text(Field::ProcessParentName).map(|parent| format!("parent {parent}")));
    about.extend(container_name(event).map(|name| format!("container {name}")));
    if !about.is_empty() {
        let _ = write!(out, " ({})", about.join(", "));
    }
    out.push(' ');
    match event.kind() {
        EventKind::ProcessCreate => {
            let command = text(Field::ProcessCommandLine).or_else(|| text(Field::ProcessExecutable));
            let _ = write!(out, "ran: {}", command.as_deref().unwrap_or("a program"));
        }
        EventKind::ProcessFork => {
            let command = text(Field::ProcessCommandLine).map(|c| format!(", which runs: {c}"));
            let _ = write!(out, "was forked{}", command.unwrap_or_default());
        }
        EventKind::ProcessHash => {
            let sha256 = text(Field::ProcessSha256).unwrap_or_else(|| "unknown".to_owned());
            let _ = write!(out, "runs a program whose SHA-256 is {sha256}");
        }
        EventKind::ProcessExit => {
            out.push_str("ended");
            if let Some(signal) = number(Field::ProcessExitSignal) {
                let _ = write!(out, " by signal {signal}");
            } else if let Some(code) = number(Field::ProcessExitCode) {
                let _ = write!(out, " with code {code}");
            }
        }
        EventKind::FileAccess => file(event, &mut out),
        EventKind::FileAttempt => {
            out.push_str("would have ");
            file(event, &mut out);
            let error = text(Field::ErrorCode).map(|error| format!(" ({error})"));
            let _ = write!(out, ", but it failed{}", error.unwrap_or_default());
        }
        EventKind::NetworkConnection => connection(event, &mut out),
        EventKind::DnsQuery => dns(event, &mut out),
        EventKind::PrivilegeChange => credentials(event, &mut out),
        EventKind::MountChange
        | EventKind::ModuleLoad
        | EventKind::BpfLoad
        | EventKind::ProcessTrace
        | EventKind::NamespaceChange
        | EventKind::IoUring => kernel(event, &mut out),
        EventKind::SensorTamper => tampering(event, &mut out),
        EventKind::ContainerStart | EventKind::ContainerStop => container(event, &mut out),
        // They have no process, and sentences of their own.
        EventKind::AuthAttempt | EventKind::HttpRequest => {}
    }
    // What runs says most of what it is about, where the event itself does not say it.
    if !matches!(event.kind(), EventKind::ProcessCreate | EventKind::ProcessFork)
        && let Some(command) = text(Field::ProcessCommandLine)
    {
        let _ = write!(out, "; it runs: {command}");
    }
    out
}

/// `192.0.2.7 failed to log in to sshd as root by password`
fn login(event: &(impl Event + ?Sized)) -> String {
    let mut out = client(event);
    out.push_str(match event.get(Field::EventOutcome) {
        Some(Value::Str("success")) => " logged in",
        _ => " failed to log in",
    });
    for (word, field) in
        [("to", Field::ServiceName), ("as", Field::UserName), ("by", Field::AuthenticationMethod)]
    {
        if let Some(text) = text(event, field) {
            let _ = write!(out, " {word} {text}");
        }
    }
    out
}

/// `192.0.2.7 asked nginx for GET /../etc/passwd, which answered 400`
fn request(event: &(impl Event + ?Sized)) -> String {
    let or = |field, else_: &str| text(event, field).unwrap_or_else(|| else_.to_owned());
    let mut out = format!("{} asked {} for", client(event), or(Field::ServiceName, "a web server"));
    if let Some(method) = text(event, Field::HttpMethod) {
        let _ = write!(out, " {method}");
    }
    let _ = write!(out, " {}", or(Field::UrlOriginal, "what cannot be read"));
    if let Some(domain) = text(event, Field::UrlDomain) {
        let _ = write!(out, " of {domain}");
    }
    if let Some(status) = number(event, Field::HttpStatus) {
        let _ = write!(out, ", which answered {status}");
    }
    out
}

/// Who is at the other end, as a log tells it.
fn client(event: &(impl Event + ?Sized)) -> String {
    match event.get(Field::SourceIp) {
        Some(Value::Ip(address)) => address.to_string(),
        _ => "somebody".to_owned(),
    }
}

/// `user 1000`, and who that was before where it is another.
fn user(event: &(impl Event + ?Sized)) -> Option<String> {
    let user = number(event, Field::ProcessUid)?;
    Some(match number(event, Field::UserNormalUid) {
        Some(normal) if normal != user => format!("user {user}, normally {normal}"),
        _ => format!("user {user}"),
    })
}

fn credentials(event: &(impl Event + ?Sized), out: &mut String) {
    let action = event.get(Field::EventAction);
    if action == Some(Value::Str("setgid")) {
        out.push_str("changed its group");
        if let Some(group) = number(event, Field::ProcessGid) {
            let _ = write!(out, " to {group}");
        }
        return;
    }
    if action == Some(Value::Str("capset")) {
        return capabilities(event, out);
    }
    out.push_str("changed its user");
    if let Some(before) = number(event, Field::ProcessPreviousUid) {
        let _ = write!(out, " from {before}");
    }
    if let Some(after) = number(event, Field::ProcessUid) {
        let _ = write!(out, " to {after}");
    }
    if action == Some(Value::Str("unexplained")) {
        out.push_str(" without a system call that does so");
    }
}

/// What was taken on and given up, by name.
fn capabilities(event: &(impl Event + ?Sized), out: &mut String) {
    out.push_str("changed its capabilities");
    let (Some(Value::List(before)), Some(Value::List(now))) =
        (event.get(Field::ProcessPreviousCapabilities), event.get(Field::ProcessCapabilitiesEffective))
    else {
        return;
    };
    for (what, of, without) in [("gained", now, before), ("lost", before, now)] {
        let changed: Vec<_> = of.iter().filter(|name| !without.iter().any(|other| other == *name)).collect();
        if !changed.is_empty() {
            let _ = write!(out, ", {what} {}", changed.join(" "));
        }
    }
}

/// What was done to the kernel or to another process.
fn kernel(event: &(impl Event + ?Sized), out: &mut String) {
    let action = match event.get(Field::EventAction) {
        Some(Value::Str(action)) => action,
        _ => "",
    };
    let (done, object) = match (event.kind(), action) {
        (EventKind::MountChange, "mount") => ("mounted a file system at", Field::MountTarget),
        (EventKind::MountChange, _) => ("unmounted the file system at", Field::MountTarget),
        (EventKind::ModuleLoad, "load") => ("loaded the kernel module", Field::ModuleName),
        (EventKind::ModuleLoad, _) => ("unloaded the kernel module", Field::ModuleName),
        (EventKind::BpfLoad, "load") => ("loaded the BPF program", Field::BpfName),
        (EventKind::BpfLoad, "detach") => ("detached a BPF program", Field::BpfName),
        (EventKind::BpfLoad, _) => ("attached the BPF program", Field::BpfName),
        (EventKind::NamespaceChange, "setns") => ("entered a namespace:", Field::NamespaceTypes),
        (EventKind::NamespaceChange, _) => ("made namespaces of its own:", Field::NamespaceTypes),
        (EventKind::IoUring, "submit") => ("gave io_uring something to do:", Field::IoUringOperation),
        (EventKind::IoUring, _) => return out.push_str("set up an io_uring"),
        (_, "memory_read") => ("read the memory of", Field::TargetName),
        (_, "memory_write" | "ptrace_write") => ("changed the memory or registers of", Field::TargetName),
        _ => ("took hold (ptrace) of", Field::TargetName),
    };
    let object = match event.get(object) {
        Some(Value::List(list)) => list.iter().collect::<Vec<_>>().join(" "),
        _ => text(event, object).unwrap_or_else(|| "?".to_owned()),
    };
    let _ = write!(out, "{done} {object}");
    if let Some(pid) = number(event, Field::TargetPid) {
        let _ = write!(out, " (pid {pid})");
    }
    if let Some(source) = text(event, Field::MountSource) {
        let _ = write!(out, " from {source}");
    }
}

/// What was done to the sensor.
fn tampering(event: &(impl Event + ?Sized), out: &mut String) {
    let _ = match (text(event, Field::SensorSignal), text(event, Field::SensorProgram)) {
        (Some(signal), _) => write!(out, "sent {signal} to the sensor"),
        (_, Some(program)) => write!(out, "detached the sensor's program {program}"),
        _ => write!(out, "laid hands on the sensor: {}", text(event, Field::EventAction).unwrap_or_default()),
    };
}

fn container_name(event: &(impl Event + ?Sized)) -> Option<String> {
    text(event, Field::ContainerName).or_else(|| text(event, Field::ContainerId))
}

fn container(event: &(impl Event + ?Sized), out: &mut String) {
    out.push_str(match event.get(Field::EventAction) {
        Some(Value::Str("start")) => "is the first process of",
        Some(Value::Str("stop")) => "was the last process of",
        _ => "runs in",
    });
    let _ = write!(out, " container {}", container_name(event).as_deref().unwrap_or("?"));
    if let Some(image) = text(event, Field::ContainerImage) {
        let _ = write!(out, " of image {image}");
    }
}

fn file(event: &(impl Event + ?Sized), out: &mut String) {
    let action = match event.get(Field::EventAction) {
        Some(Value::Str(action)) => action.strip_suffix("_failed").unwrap_or(action),
        _ => "",
    };
    let done = match action {
        "read" => "opened for reading",
        "write" => "opened for writing",
        "create" => "created",
        "delete" => "deleted",
        "rename" => "renamed",
        "link" | "symlink" => "made the link",
        "truncate" => "changed the length of",
        "chmod" => "changed the permissions of",
        "chown" => "changed the owner of",
        "set_attribute" => "set an attribute of",
        "remove_attribute" => "removed an attribute of",
        _ => "accessed",
    };
    let path = text(event, Field::FilePath).unwrap_or_else(|| "a file".to_owned());
    let _ = match text(event, Field::FileOriginalPath) {
        Some(original) => write!(out, "{done} {original} to {path}"),
        None => write!(out, "{done} {path}"),
    };
    if let Some(target) = text(event, Field::FileTargetPath) {
        let _ = write!(out, " to {target}");
    }
    if let Some(attribute) = text(event, Field::FileAttribute) {
        let _ = write!(out, ": {attribute}");
    }
    let to = |field| number(event, field);
    let _ = match action {
        "chmod" => to(Field::FileMode).map(|mode| write!(out, " to {mode:04o}")),
        "chown" => to(Field::FileUid).map(|uid| write!(out, " to user {uid}")),
        _ => None,
    };
}

/// What a sender wanted of a port at which nobody listens: no process of this host has to do with it.
fn refused(event: &(impl Event + ?Sized)) -> String {
    let destination = endpoint(event, Field::DestinationIp, Field::DestinationPort);
    let source = endpoint(event, Field::SourceIp, Field::SourcePort);
    let transport = text(event, Field::NetworkTransport).map(|name| format!(" over {name}"));
    format!("{source} tried to reach {destination}{}, where nobody listens", transport.unwrap_or_default())
}

fn connection(event: &(impl Event + ?Sized), out: &mut String) {
    let inbound = event.get(Field::NetworkDirection) == Some(Value::Str("inbound"));
    let destination = endpoint(event, Field::DestinationIp, Field::DestinationPort);
    let source = endpoint(event, Field::SourceIp, Field::SourcePort);
    let action = match event.get(Field::EventAction) {
        Some(Value::Str(action)) => action,
        _ => "",
    };
    let _ = match (action, inbound) {
        ("connection_failed", _) => write!(out, "failed to connect to {destination}"),
        ("listen", _) => write!(out, "listens at {destination}"),
        ("bind", _) => write!(out, "bound a socket to {destination}"),
        ("socket_raw", _) => write!(out, "made a raw socket"),
        ("socket_packet", _) => write!(out, "made a packet socket"),
        ("connection_closed", false) => write!(out, "closed a connection to {destination}"),
        ("connection_closed", true) => write!(out, "closed a connection from {source} to {destination}"),
        ("connection_progress", false) => write!(out, "has a connection to {destination}"),
        ("connection_progress", true) => write!(out, "has a connection from {source} to {destination}"),
        (_, false) => write!(out, "connected to {destination}"),
        (_, true) => write!(out, "accepted a connection from {source} to {destination}"),
    };
    if let Some(total) = number(event, Field::NetworkOutboundBytes).filter(|total| *total > 0) {
        let _ = write!(out, ", {} sent to that address in all", bytes(total));
    } else if let (Some(sent), Some(received)) =
        (number(event, Field::NetworkBytesSent), number(event, Field::NetworkBytesReceived))
        && sent.saturating_add(received) > 0
    {
        let _ = write!(out, ", {} sent, {} received", bytes(sent), bytes(received));
    }
}

fn dns(event: &(impl Event + ?Sized), out: &mut String) {
    let name = text(event, Field::DnsQuestionName).unwrap_or_else(|| ".".to_owned());
    let kind = text(event, Field::DnsQuestionType).unwrap_or_default();
    let server = endpoint(event, Field::DestinationIp, Field::DestinationPort);
    let serves = matches!(event.get(Field::NetworkDirection), Some(Value::Str("inbound")));
    let _ = match (text(event, Field::DnsResponseCode), serves) {
        (None, false) => write!(out, "asked {server} for {kind} of {name}"),
        (None, true) => write!(out, "was asked for {kind} of {name}"),
        (Some(code), false) => write!(out, "was answered {code} by {server} for {kind} of {name}"),
        (Some(code), true) => write!(out, "answered {code} for {kind} of {name}"),
    };
}

/// `192.0.2.7:443`, `[2001:db8::1]:443`.
fn endpoint(event: &(impl Event + ?Sized), address: Field, port: Field) -> String {
    let Some(Value::Ip(address)) = event.get(address) else { return "an unknown address".to_owned() };
    match number(event, port) {
        Some(port) if address.is_ipv6() => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
        None => address.to_string(),
    }
}

/// `104.9 MB`, in units of 1000.
fn bytes(count: i64) -> String {
    let mut amount = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if amount < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1000.0;
    }
    format!("{amount:.1} TB")
}

fn number(event: &(impl Event + ?Sized), field: Field) -> Option<i64> {
    match event.get(field) {
        Some(Value::Int(number)) => Some(number),
        _ => None,
    }
}

fn text(event: &(impl Event + ?Sized), field: Field) -> Option<String> {
    match event.get(field) {
        Some(Value::Str(text)) if !text.is_empty() => Some(one_line(text)),
        _ => None,
    }
}

/// A text that others wrote as findings tell it: safe for a line of a log and a terminal, and of 200 characters at most, with
/// `…` where it was cut.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(COMMAND_LENGTH));
    for (count, c) in text.chars().enumerate() {
        if count == COMMAND_LENGTH {
            line.push('…');
            break;
        }
        if is_unsafe(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Control characters, and those that turn the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::{ProcessId, RecordedEvent, StrList, Timestamp};

    fn nc(kind: EventKind) -> RecordedEvent {
        RecordedEvent::new(kind, Timestamp(1))
            .with_process(ProcessId { pid: 4242, start: 1 })
            .with(Field::ProcessName, "nc")
            .with(Field::ProcessUid, 1000)
            .with(Field::UserNormalUid, 1000)
            .with(Field::ProcessParentName, "bash")
            .with(Field::ProcessCommandLine, "nc -lvp 4444")
    }

    #[test]
    fn what_a_log_tells_has_no_process_and_a_sentence_of_its_own() {
        let login = RecordedEvent::new(EventKind::AuthAttempt, Timestamp(1))
            .with(Field::EventOutcome, "failure")
            .with(Field::ServiceName, "sshd")
            .with(Field::UserName, "ro\not")
            .with(Field::AuthenticationMethod, "password");
        assert_eq!(describe(&login), "somebody failed to log in to sshd as ro\\not by password");
        let request = RecordedEvent::new(EventKind::HttpRequest, Timestamp(1))
            .with(Field::SourceIp, IpAddr::from([192, 0, 2, 7]))
            .with(Field::ServiceName, "nginx")
            .with(Field::HttpMethod, "GET")
            .with(Field::UrlOriginal, "/../etc/passwd")
            .with(Field::HttpStatus, 400);
        assert_eq!(describe(&request), "192.0.2.7 asked nginx for GET /../etc/passwd, which answered 400");
    }

    #[test]
    fn a_sentence_says_who_did_what_to_what() {
        let who = "nc (pid 4242, user 1000, parent bash)";
        let net = |direction, action| {
            nc(EventKind::NetworkConnection)
                .with(Field::EventAction, action)
                .with(Field::NetworkDirection, direction)
                .with(Field::SourceIp, IpAddr::from([192, 0, 2, 1]))
                .with(Field::SourcePort, 5000)
                .with(Field::DestinationIp, "2001:db8::1".parse::<IpAddr>().unwrap())
                .with(Field::DestinationPort, 443)
        };
        let file = |action| {
            nc(EventKind::FileAccess)
                .with(Field::EventAction, action)
                .with(Field::FilePath, "/etc/x\u{1b}[2J")
                .with(Field::FileMode, 0o4755)
        };
        for (event, expected) in [
            (nc(EventKind::ProcessCreate), "ran: nc -lvp 4444".to_owned()),
            (nc(EventKind::ProcessFork), "was forked, which runs: nc -lvp 4444".to_owned()),
            (
                nc(EventKind::ProcessHash).with(Field::ProcessSha256, "ba7816bf"),
                "runs a program whose SHA-256 is ba7816bf; it runs: nc -lvp 4444".to_owned(),
            ),
            (nc(EventKind::ProcessExit).with(Field::ProcessExitSignal, 9), "ended by signal 9; it runs: nc -lvp 4444".to_owned()),
            (
                file("symlink").with(Field::FileTargetPath, "/root"),
                r"made the link /etc/x\u{1b}[2J to /root; it runs: nc -lvp 4444".to_owned(),
            ),
            (
                file("set_attribute").with(Field::FileAttribute, "security.capability"),
                r"set an attribute of /etc/x\u{1b}[2J: security.capability; it runs: nc -lvp 4444".to_owned(),
            ),
            (file("chmod"), r"changed the permissions of /etc/x\u{1b}[2J to 4755; it runs: nc -lvp 4444".to_owned()),
            (
                file("rename").with(Field::FileOriginalPath, "/tmp/a"),
                r"renamed /tmp/a to /etc/x\u{1b}[2J; it runs: nc -lvp 4444".to_owned(),
            ),
            (
                net("outbound", "connection_progress").with(Field::NetworkOutboundBytes, 104_857_600),
                "has a connection to [2001:db8::1]:443, 104.9 MB sent to that address in all; it runs: nc -lvp 4444"
                    .to_owned(),
            ),
            (
                net("inbound", "connection_established"),
                "accepted a connection from 192.0.2.1:5000 to [2001:db8::1]:443; it runs: nc -lvp 4444".to_owned(),
            ),
        ] {
            assert_eq!(describe(&event), format!("{who} {expected}"));
        }
        let root =
            nc(EventKind::PrivilegeChange).with(Field::ProcessPreviousUid, 1000).with(Field::ProcessUid, 0);
        assert_eq!(
            describe(&root),
            "nc (pid 4242, user 0, normally 1000, parent bash) changed its user from 1000 to 0; it runs: nc -lvp 4444"
        );
    }

    #[test]
    fn a_change_of_group_and_one_without_a_system_call_are_told_apart() {
        let told = |action| {
            let event = nc(EventKind::PrivilegeChange).with(Field::EventAction, action);
            describe(&event.with(Field::ProcessGid, 7))
        };
        assert!(told("setuid").contains(" changed its user to 1000;"));
        assert!(told("setgid").contains(" changed its group to 7;"));
        assert!(told("capset").contains(" changed its capabilities;"));
        let capset = nc(EventKind::PrivilegeChange)
            .with(Field::EventAction, "capset")
            .with(Field::ProcessPreviousCapabilities, StrList::new("CAP_KILL\0CAP_CHOWN\0"))
            .with(Field::ProcessCapabilitiesEffective, StrList::new("CAP_KILL\0CAP_BPF\0"));
        assert!(describe(&capset).contains(" changed its capabilities, gained CAP_BPF, lost CAP_CHOWN;"));
        assert!(told("unexplained").contains(" to 1000 without a system call that does so;"));
    }

    #[test]
    fn an_event_of_which_nothing_is_known_is_still_a_sentence() {
        for kind in EventKind::ALL {
            let sentence = describe(&RecordedEvent::new(*kind, Timestamp(1)));
            let who = match kind {
                EventKind::AuthAttempt | EventKind::HttpRequest => "somebody ",
                _ => "an unknown process ",
            };
            assert!(sentence.starts_with(who), "{sentence}");
        }
    }

    #[test]
    fn what_others_wrote_is_one_line_of_bounded_length() {
        assert_eq!(one_line("a\n\u{202e}b"), r"a\n\u{202e}b");
        assert_eq!(one_line(&"x".repeat(500)).chars().count(), COMMAND_LENGTH + 1);
    }
}
