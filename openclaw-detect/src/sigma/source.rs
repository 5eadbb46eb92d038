//! The log sources of Sigma rules, and what their fields are among this sensor's.
//!
//! Names and meanings of fields are those of Sigma's taxonomy: of processes, files and connections those of Sysmon, of
//! `auditd` those of its records (see `audit.rs`), of web servers those of the W3C's extended log format.

use crate::{EventKind, Field};

/// A kind of event as Sigma rules see it.
#[derive(Debug)]
pub(super) struct View {
    /// As messages name it.
    pub(super) name: &'static str,
    pub(super) kind: EventKind,
    /// What was done, where not all that such events tell is meant.
    pub(super) actions: &'static [&'static str],
    pub(super) fields: &'static [(&'static str, Subject)],
    /// Where words are looked for that no field is named for.
    pub(super) keywords: Field,
}

/// What a field of a Sigma rule is here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Subject {
    /// This field.
    Field(Field),
    /// An argument of the command line, counted from 0.
    Argument(u16),
    /// One of these fields.
    Either(Field, Field),
    /// A user, by number, or `root` by name.
    User(Field),
    /// A hash, which is its own text or stands behind the name of its kind: `SHA256=…`.
    Hash(Field),
    /// Whether this host connected.
    Initiated,
    /// What was done: values, with the actions that they are.
    Action(&'static [(&'static str, &'static [&'static str])]),
    /// A system call, by its name: its kind of event and actions say what it did.
    SystemCall,
    /// What the host's audit rules call what they watch.
    AuditKey,
    /// Nothing that this sensor tells; why.
    Lacking(&'static str),
}

impl Subject {
    /// The field, or the item of one, that it is, where it is one.
    pub(super) fn field(self) -> Option<String> {
        match self {
            Subject::Field(field) | Subject::User(field) | Subject::Hash(field) => {
                Some(field.name().to_owned())
            }
            Subject::Argument(number) => Some(format!("{}[{number}]", Field::ProcessArgs.name())),
            _ => None,
        }
    }

    /// What it is here, for people; else why it is nothing.
    pub(super) fn name(self) -> Result<String, &'static str> {
        Ok(match self {
            Subject::Field(_) | Subject::User(_) | Subject::Hash(_) | Subject::Argument(_) => {
                self.field().unwrap_or_default()
            }
            Subject::Either(one, other) => format!("{} or {}", one.name(), other.name()),
            Subject::Initiated => Field::NetworkDirection.name().to_owned(),
            Subject::Action(_) | Subject::SystemCall => Field::EventAction.name().to_owned(),
            Subject::AuditKey => "a condition for each key that is known".to_owned(),
            Subject::Lacking(why) => return Err(why),
        })
    }
}

/// Where a rule looks.
#[derive(Debug, Clone, Copy)]
pub(super) enum LogSource {
    /// At events of one kind.
    View(&'static View),
    /// At the records of the kernel's audit.
    Audit,
}

const NOT_OF_LINUX: Subject = Subject::Lacking("files of Linux have no such description");

static PROCESS_CREATION: View = View {
    name: "process_creation",
    kind: EventKind::ProcessCreate,
    actions: &[],
    fields: &[
        ("Image", Subject::Field(Field::ProcessExecutable)),
        ("CommandLine", Subject::Field(Field::ProcessCommandLine)),
        ("CurrentDirectory", Subject::Field(Field::ProcessWorkingDirectory)),
        ("ProcessId", Subject::Field(Field::ProcessPid)),
        ("User", Subject::User(Field::ProcessUid)),
        ("LogonId", Subject::User(Field::UserNormalUid)),
        ("ParentImage", Subject::Field(Field::ProcessParentExecutable)),
        ("ParentCommandLine", Subject::Field(Field::ProcessParentCommandLine)),
        ("ParentProcessId", Subject::Field(Field::ProcessParentPid)),
        ("Hashes", Subject::Hash(Field::ProcessSha256)),
        ("sha256", Subject::Hash(Field::ProcessSha256)),
        ("md5", Subject::Lacking("only SHA-256 of programs is known")),
        ("sha1", Subject::Lacking("only SHA-256 of programs is known")),
        ("Imphash", NOT_OF_LINUX),
        ("OriginalFileName", NOT_OF_LINUX),
        ("Company", NOT_OF_LINUX),
        ("Product", NOT_OF_LINUX),
        ("Description", NOT_OF_LINUX),
        ("FileVersion", NOT_OF_LINUX),
        ("IntegrityLevel", Subject::Lacking("processes of Linux have no integrity level")),
        ("ParentUser", Subject::Lacking("the parent's user is not told")),
        ("LogonGuid", Subject::Lacking("logins have no such id")),
        ("ProcessGuid", Subject::Lacking("Sysmon's ids of processes are known to Sysmon alone")),
        ("ParentProcessGuid", Subject::Lacking("Sysmon's ids of processes are known to Sysmon alone")),
        ("TerminalSessionId", Subject::Field(Field::ProcessSessionId)),
    ],
    keywords: Field::ProcessCommandLine,
};

/// What a file event has, whatever was done to the file.
const FILE_FIELDS: &[(&str, Subject)] = &[
    ("TargetFilename", Subject::Field(Field::FilePath)),
    ("SourceFilename", Subject::Field(Field::FileOriginalPath)),
    ("Image", Subject::Field(Field::ProcessExecutable)),
    ("CommandLine", Subject::Field(Field::ProcessCommandLine)),
    ("ParentImage", Subject::Field(Field::ProcessParentExecutable)),
    ("ParentCommandLine", Subject::Field(Field::ProcessParentCommandLine)),
    ("ProcessId", Subject::Field(Field::ProcessPid)),
    ("User", Subject::User(Field::ProcessUid)),
    ("CreationUtcTime", Subject::Lacking("when a file was made is not told")),
    ("ProcessGuid", Subject::Lacking("Sysmon's ids of processes are known to Sysmon alone")),
];

/// A view of what was done to files.
macro_rules! of_files {
    ($name:literal, $actions:expr) => {
        View {
            name: $name,
            kind: EventKind::FileAccess,
            actions: $actions,
            fields: FILE_FIELDS,
            keywords: Field::FilePath,
        }
    };
}

/// What puts new contents at a path.
const MADE: &[&str] = &["create", "write", "truncate", "rename", "link", "symlink"];

static FILE_EVENT: View = of_files!("file_event", MADE);
static FILE_CHANGE: View =
    of_files!("file_change", &["write", "truncate", "chmod", "chown", "set_attribute"]);
static FILE_DELETE: View = of_files!("file_delete", &["delete"]);
static FILE_RENAME: View = of_files!("file_rename", &["rename"]);
static FILE_ACCESS: View = of_files!("file_access", &["read", "write", "create"]);

static NETWORK_CONNECTION: View = View {
    name: "network_connection",
    kind: EventKind::NetworkConnection,
    actions: &["connection_established", "connection_failed"],
    fields: &[
        ("Image", Subject::Field(Field::ProcessExecutable)),
        ("CommandLine", Subject::Field(Field::ProcessCommandLine)),
        ("ParentImage", Subject::Field(Field::ProcessParentExecutable)),
        ("ProcessId", Subject::Field(Field::ProcessPid)),
        ("User", Subject::User(Field::ProcessUid)),
        ("Initiated", Subject::Initiated),
        ("Protocol", Subject::Field(Field::NetworkTransport)),
        ("SourceIp", Subject::Field(Field::SourceIp)),
        ("SourcePort", Subject::Field(Field::SourcePort)),
        ("SourceHostname", Subject::Lacking("names are known of destinations alone")),
        ("DestinationIp", Subject::Field(Field::DestinationIp)),
        ("DestinationPort", Subject::Field(Field::DestinationPort)),
        ("DestinationHostname", Subject::Field(Field::DestinationDomain)),
        ("DestinationIsIpv6", Subject::Lacking("ask for DestinationIp|cidr: '::/0'")),
        ("ProcessGuid", Subject::Lacking("Sysmon's ids of processes are known to Sysmon alone")),
    ],
    keywords: Field::DestinationDomain,
};

static DNS_QUERY: View = View {
    name: "dns_query",
    kind: EventKind::DnsQuery,
    actions: &["dns_question"],
    fields: &[
        ("QueryName", Subject::Field(Field::DnsQuestionName)),
        ("query", Subject::Field(Field::DnsQuestionName)),
        ("record_type", Subject::Field(Field::DnsQuestionType)),
        ("QueryStatus", Subject::Lacking("the answer's code is told by name, in dns.response_code")),
        ("QueryResults", Subject::Lacking("answers are told as dns.answers, which Sigma does not name")),
        ("Image", Subject::Field(Field::ProcessExecutable)),
        ("ProcessId", Subject::Field(Field::ProcessPid)),
        ("User", Subject::User(Field::ProcessUid)),
    ],
    keywords: Field::DnsQuestionName,
};

static WEBSERVER: View = View {
    name: "webserver",
    kind: EventKind::HttpRequest,
    actions: &[],
    fields: &[
        ("cs-method", Subject::Field(Field::HttpMethod)),
        ("cs-uri", Subject::Field(Field::UrlOriginal)),
        ("c-uri", Subject::Field(Field::UrlOriginal)),
        ("cs-uri-stem", Subject::Field(Field::UrlPath)),
        ("cs-uri-query", Subject::Either(Field::UrlOriginal, Field::UrlQuery)),
        ("cs-host", Subject::Field(Field::UrlDomain)),
        ("cs-user-agent", Subject::Field(Field::UserAgent)),
        ("cs-referer", Subject::Field(Field::HttpReferrer)),
        ("cs-version", Subject::Lacking("the version is told without `HTTP/`")),
        ("sc-status", Subject::Field(Field::HttpStatus)),
        ("sc-bytes", Subject::Field(Field::HttpBytes)),
        ("c-ip", Subject::Field(Field::SourceIp)),
        ("src_ip", Subject::Field(Field::SourceIp)),
        ("cs-username", Subject::Field(Field::UserName)),
        ("cs-cookie", Subject::Lacking("access logs have no cookies")),
        ("cs-body", Subject::Lacking("access logs have no bodies")),
        ("s-ip", Subject::Lacking("access logs do not tell the server's address")),
        ("s-port", Subject::Lacking("access logs do not tell the server's port")),
        ("time-taken", Subject::Lacking("access logs do not tell how long it took")),
    ],
    keywords: Field::EventOriginal,
};

/// The views, by the categories of Sigma's log sources.
static CATEGORIES: &[&View] = &[
    &PROCESS_CREATION,
    &FILE_EVENT,
    &FILE_CHANGE,
    &FILE_DELETE,
    &FILE_RENAME,
    &FILE_ACCESS,
    &NETWORK_CONNECTION,
    &DNS_QUERY,
    &WEBSERVER,
];

/// Categories and services that Sigma has for Linux, and that are not looked at; why.
const OTHERS: &[(&str, &str)] = &[
    ("auth", "its words are told as fields of auth_attempt, not as lines: write a rule of ours"),
    ("sshd", "its words are told as fields of auth_attempt, not as lines: write a rule of ours"),
    ("sudo", "the log of sudo is not read: what it runs is told as process_creation"),
    ("syslog", "the lines of syslog are not read"),
    ("cron", "the log of cron is not read: what it runs is told as process_creation"),
    ("clamav", "the log of ClamAV is not read"),
    ("vsftpd", "the log of vsftpd is not read"),
    ("guacamole", "the log of Guacamole is not read"),
    ("modsecurity", "the log of ModSecurity is not read"),
    ("antivirus", "the log of virus scanners is not read"),
    ("firewall", "the logs of firewalls are not read"),
    ("proxy", "the logs of proxies are not read"),
    ("application", "the logs of applications are not read"),
    ("error", "the error logs of servers are not read"),
    ("image_load", "which libraries a program loads is not told"),
];

/// Why nothing is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoSource {
    /// Sigma has it, and this sensor does not look there.
    NotLookedAt(String),
    /// Sigma does not have it.
    Unknown(String),
}

/// Where a rule looks whose log source says so.
pub(super) fn log_source(
    product: Option<&str>,
    category: Option<&str>,
    service: Option<&str>,
) -> Result<LogSource, NoSource> {
    if let Some(product) = product
        && !matches!(product, "linux" | "nginx" | "apache")
    {
        return Err(NoSource::NotLookedAt(format!("it is for {product}, and this is a sensor for Linux")));
    }
    match (category, service) {
        (None, Some("auditd")) => return Ok(LogSource::Audit),
        (None, None | Some("access")) if matches!(product, Some("nginx" | "apache")) => {
            return Ok(LogSource::View(&WEBSERVER));
        }
        (None, None) if product.is_some() => {
            return Err(NoSource::NotLookedAt("it names neither a category nor a service".to_owned()));
        }
        (None, None) => {
            return Err(NoSource::Unknown("the log source has neither a category nor a service".to_owned()));
        }
        _ => {}
    }
    let name = category.or(service).unwrap_or_default();
    if let Some(view) = CATEGORIES.iter().find(|view| category == Some(view.name)) {
        return Ok(LogSource::View(view));
    }
    match OTHERS.iter().find(|(other, _)| *other == name) {
        Some((_, why)) => Err(NoSource::NotLookedAt((*why).to_owned())),
        None => Err(NoSource::Unknown(format!("there is no log source `{name}` for Linux"))),
    }
}

/// The views of the categories that are looked at.
pub(super) fn views() -> impl Iterator<Item = &'static View> + Clone {
    CATEGORIES.iter().copied()
}
