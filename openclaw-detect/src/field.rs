//! The one table of fields: names, types, the kinds that carry them, and their help.
//!
//! The evaluator, the checker, the JSON writer, `openclaw rules fields` and the handbook are made from it.

use crate::{EventKind, KindSet};

/// What type of value a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// [`crate::Value::Str`]
    Str,
    /// [`crate::Value::Int`]
    Int,
    /// [`crate::Value::Bool`]
    Bool,
    /// [`crate::Value::Ip`]
    Ip,
    /// [`crate::Value::List`]
    List,
}

macro_rules! fields {
    ($($variant:ident = $name:literal $(| $alias:literal)*, $type:ident, on $kinds:expr, changes $changes:expr, $help:literal;)*) => {
        /// A field of an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Field { $(#[doc = $help] $variant,)* }

        impl Field {
            /// Every field, in the order in which JSON and help show them.
            pub const ALL: &'static [Field] = &[$(Field::$variant,)*];

            /// The name, that of the Elastic Common Schema where it has one.
            pub const fn name(self) -> &'static str {
                match self { $(Field::$variant => $name,)* }
            }

            /// Other names that rules may use.
            pub const fn aliases(self) -> &'static [&'static str] {
                match self { $(Field::$variant => &[$($alias,)*],)* }
            }

            /// The type of its values.
            pub const fn value_type(self) -> Type {
                match self { $(Field::$variant => Type::$type,)* }
            }

            /// The kinds of event that carry it.
            pub const fn kinds(self) -> KindSet {
                match self { $(Field::$variant => $kinds,)* }
            }

            /// The kinds of event at which its value can be another than at the event before: a rule that
            /// names no kinds runs on these.
            pub const fn changes(self) -> KindSet {
                match self { $(Field::$variant => $changes,)* }
            }

            /// Whether its value is put together when somebody asks for it, which takes memory.
            pub(crate) const fn is_put_together(self) -> bool {
                matches!(
                    self,
                    Field::ProcessAncestors
                        | Field::ProcessParentEntityId
                        | Field::ProcessCapabilitiesEffective
                        | Field::ProcessCapabilitiesPermitted
                        | Field::ProcessPreviousCapabilities
                )
            }

            /// One line of help.
            pub const fn help(self) -> &'static str {
                match self { $(Field::$variant => $help,)* }
            }

            /// The field of that name or alias.
            pub fn from_name(name: &str) -> Option<Field> {
                match name { $($name $(| $alias)* => Some(Field::$variant),)* _ => None }
            }
        }
    };
}

const ALL: KindSet = KindSet::ALL;
const NONE: KindSet = KindSet::NONE;
const START: KindSet = KindSet::of(&[EventKind::ProcessCreate, EventKind::ProcessFork]);
const EXEC: KindSet = KindSet::of(&[EventKind::ProcessCreate]);
const EXEC_OR_HASH: KindSet = EXEC.union(KindSet::of(&[EventKind::ProcessHash]));
const EXIT: KindSet = KindSet::of(&[EventKind::ProcessExit]);
const FILE_OR_ATTEMPT: KindSet = FILE.union(KindSet::of(&[EventKind::FileAttempt]));
const NET_OR_ATTEMPT: KindSet = NET.union(KindSet::of(&[EventKind::FileAttempt]));
const FILE: KindSet = KindSet::of(&[EventKind::FileAccess]);
const NET: KindSet = KindSet::of(&[EventKind::NetworkConnection]);
const DNS: KindSet = KindSet::of(&[EventKind::DnsQuery]);
const NET_OR_DNS: KindSet = NET.union(DNS);
const CRED: KindSet = KindSet::of(&[EventKind::PrivilegeChange]);
const MOUNT: KindSet = KindSet::of(&[EventKind::MountChange]);
const MODULE: KindSet = KindSet::of(&[EventKind::ModuleLoad]);
const BPF: KindSet = KindSet::of(&[EventKind::BpfLoad]);
const TRACE: KindSet = KindSet::of(&[EventKind::ProcessTrace]);
const TAMPER: KindSet = KindSet::of(&[EventKind::SensorTamper]);
const IO_URING: KindSet = KindSet::of(&[EventKind::IoUring]);
const NAMESPACE: KindSet = KindSet::of(&[EventKind::NamespaceChange]);
const START_OR_CRED: KindSet = START.union(CRED);
const AUTH: KindSet = KindSet::of(&[EventKind::AuthAttempt]);
const HTTP: KindSet = KindSet::of(&[EventKind::HttpRequest]);
const LOG: KindSet = KindSet::LOGS;
const SOURCE: KindSet = NET_OR_DNS.union(LOG);
const CONTAINER: KindSet = EXEC.union(KindSet::of(&[EventKind::ContainerStart]));

fields! {
    EventAction = "event.action", Str, on ALL, changes ALL, "what was done, such as exec, read or connection_established; each kind of event has actions of its own";
    HostId = "host.id", Str, on ALL, changes NONE, "the machine id";
    HostName = "host.name", Str, on ALL, changes NONE, "the host's name";

    ProcessPid = "process.pid", Int, on ALL, changes START, "process id in the initial pid namespace";
    ProcessEntityId = "process.entity_id" | "process", Str, on ALL, changes START, "pid and start time: one process, even when its pid is used again";
    ProcessStart = "process.start", Int, on ALL, changes START, "start time, nanoseconds since the Unix epoch";
    ProcessName = "process.name", Str, on ALL, changes EXEC, "last part of the path passed to exec, uncut";
    ProcessExecutable = "process.executable", Str, on ALL, changes EXEC, "path of the executable as the kernel resolved it";
    ProcessScript = "process.script", Str, on ALL, changes EXEC, "path of the script, where an interpreter runs one; a relative one begins at the working directory, links are not followed";
    ProcessInterpreter = "process.interpreter", Str, on ALL, changes EXEC, "path of the interpreter as the script names it";
    ProcessExecObserved = "process.exec_observed", Bool, on ALL, changes EXEC, "whether it was seen how its program began; false of what is older than the agent, or was lost, and is known from `/proc`";
    ProcessExecutableDeleted = "process.executable_deleted", Bool, on ALL, changes EXEC, "whether the executable had been deleted when it was run";
    ProcessMemfd = "process.memfd", Bool, on ALL, changes EXEC, "whether the executable lies in memory alone (memfd)";
    ProcessUpperLayer = "process.executable_upper_layer", Bool, on ALL, changes EXEC, "whether the executable was made or changed in the container, and is not its image's; absent outside of overlay file systems";
    ProcessSha256 = "process.hash.sha256", Str, on ALL, changes EXEC_OR_HASH, "SHA-256 of the executable in lower-case hexadecimal, once it is known: at exec where the file was run before, else from process_hash on";
    ProcessCommandLine = "process.command_line", Str, on ALL, changes EXEC, "arguments joined by spaces, 4 KiB at most";
    ProcessArgs = "process.args", List, on ALL, changes EXEC, "arguments, 4 KiB at most";
    ProcessArgsCount = "process.args_count", Int, on ALL, changes EXEC, "number of arguments";
    ProcessArgsTruncated = "process.args_truncated", Bool, on ALL, changes EXEC, "whether the arguments were longer than 4 KiB";
    ProcessWorkingDirectory = "process.working_directory", Str, on ALL, changes EXEC, "working directory at exec";
    ProcessEnvironment = "process.env_vars", List, on ALL, changes EXEC, "those variables of the environment at exec that security.sensor.environment names, as NAME=value";
    ProcessEnvironmentTruncated = "process.env_vars_truncated", Bool, on ALL, changes EXEC, "whether the environment was longer than the 8 KiB that are looked through";
    ProcessStdin = "process.stdin.type", Str, on ALL, changes EXEC, "standard input at exec: internet_socket, unix_socket, other_socket, pipe, terminal, null, file, device, closed or other";
    ProcessStdout = "process.stdout.type", Str, on ALL, changes EXEC, "standard output at exec, likewise";
    ProcessStderr = "process.stderr.type", Str, on ALL, changes EXEC, "standard error at exec, likewise";
    ProcessUid = "process.user.id" | "process.uid" | "user", Int, on ALL, changes START_OR_CRED, "effective user id in the initial user namespace";
    ProcessRealUid = "process.real_user.id", Int, on ALL, changes START_OR_CRED, "real user id in the initial user namespace";
    ProcessGid = "process.group.id" | "process.gid", Int, on ALL, changes START_OR_CRED, "effective group id in the initial user namespace";
    ProcessRealGid = "process.real_group.id", Int, on ALL, changes START_OR_CRED, "real group id in the initial user namespace";
    ProcessPreviousUid = "process.previous_user.id", Int, on CRED, changes CRED, "effective user id before the change";
    ProcessCapabilitiesEffective = "process.thread.capabilities.effective", List, on ALL, changes START_OR_CRED, "effective capabilities, such as CAP_SYS_ADMIN, at fork, exec or the last call that changed credentials";
    ProcessCapabilitiesPermitted = "process.thread.capabilities.permitted", List, on ALL, changes START_OR_CRED, "permitted capabilities, likewise";
    ProcessPreviousCapabilities = "process.previous_capabilities", List, on CRED, changes CRED, "effective capabilities before the change";
    ProcessNoNewPrivileges = "process.no_new_privs", Bool, on ALL, changes START, "whether exec gives the process no new privileges, at fork or exec";
    UserNormalUid = "user.normal_uid", Int, on ALL, changes START_OR_CRED, "the login user; where there is none, the last non-root real user id of the process or the ancestor that it was forked from; 0 if never one";
    UserAuditId = "user.audit.id", Int, on ALL, changes START, "the kernel's loginuid; absent where no login set it";
    ProcessSessionId = "process.session_id", Int, on ALL, changes START, "pid of the session leader";
    ProcessTty = "process.tty", Str, on ALL, changes START, "controlling terminal";
    ProcessCgroup = "process.cgroup", Str, on ALL, changes START, "control group path";
    ProcessPidNamespace = "process.namespace.pid", Int, on ALL, changes START, "inode number of the pid namespace";
    ProcessMountNamespace = "process.namespace.mount", Int, on ALL, changes START, "inode number of the mount namespace";
    ProcessNetworkNamespace = "process.namespace.network", Int, on ALL, changes START, "inode number of the network namespace";
    ProcessParentPid = "process.parent.pid", Int, on ALL, changes START, "process id of the parent";
    ProcessParentEntityId = "process.parent.entity_id", Str, on ALL, changes START, "entity id of the parent";
    ProcessParentName = "process.parent.name" | "process.parent", Str, on ALL, changes START, "name of the parent";
    ProcessParentExecutable = "process.parent.executable", Str, on ALL, changes START, "executable of the parent";
    ProcessParentCommandLine = "process.parent.command_line", Str, on ALL, changes START, "command line of the parent";
    ProcessAncestors = "process.ancestors", List, on ALL, changes START, "names of the ancestors, the parent first";
    ProcessTree = "process.entry_leader.entity_id" | "process.tree", Str, on ALL, changes START, "entity id of the process that its tree begins with: below init, in its container, or at its login";
    ProcessExitCode = "process.exit_code", Int, on EXIT, changes EXIT, "exit code, where the process ended by itself";
    ProcessExitSignal = "process.exit_signal", Int, on EXIT, changes EXIT, "number of the signal that ended the process";

    ContainerId = "container.id" | "container", Str, on ALL, changes EXEC, "id of the innermost container that the process is in, from its control group";
    ContainerRuntime = "container.runtime", Str, on ALL, changes CONTAINER, "docker, containerd, cri-o, podman, runc, lxc or systemd-nspawn; absent until it is known";
    ContainerName = "container.name", Str, on ALL, changes CONTAINER, "the container's name; under Kubernetes that in its pod; absent until it is known";
    ContainerImage = "container.image.name" | "container.image", Str, on ALL, changes CONTAINER, "image as the runtime names it, tag included; absent until it is known";
    ContainerLabels = "container.labels", List, on ALL, changes CONTAINER, "labels as KEY=VALUE, 8 KiB at most; absent until they are known";
    OrchestratorType = "orchestrator.type", Str, on ALL, changes CONTAINER, "kubernetes, where the container belongs to a pod";
    OrchestratorNamespace = "orchestrator.namespace", Str, on ALL, changes CONTAINER, "namespace of the pod; absent until it is known";
    OrchestratorResourceName = "orchestrator.resource.name", Str, on ALL, changes CONTAINER, "name of the pod; absent until it is known";
    OrchestratorResourceId = "orchestrator.resource.id", Str, on ALL, changes CONTAINER, "uid of the pod";
    KubernetesNode = "kubernetes.node.name", Str, on ALL, changes CONTAINER, "node of the pod: the agent's variable NODE_NAME, else the host's name";

    FilePath = "file.path", Str, on FILE_OR_ATTEMPT, changes FILE, "path; of a rename or link, the new one";
    FileName = "file.name", Str, on FILE_OR_ATTEMPT, changes FILE, "last part of the path";
    FileDirectory = "file.directory", Str, on FILE_OR_ATTEMPT, changes FILE, "the path without its last part";
    FileExtension = "file.extension", Str, on FILE_OR_ATTEMPT, changes FILE, "what follows the last dot of the name";
    FileOriginalPath = "file.original.path", Str, on FILE_OR_ATTEMPT, changes FILE, "path before a rename";
    FileTargetPath = "file.target_path", Str, on FILE_OR_ATTEMPT, changes FILE, "of a link, what it leads to; of a symbolic link, as it was written";
    FileAttribute = "file.extended_attribute", Str, on FILE_OR_ATTEMPT, changes FILE, "name of the extended attribute that was set or taken away";
    FileResolved = "file.path_resolved", Bool, on FILE_OR_ATTEMPT, changes FILE, "whether the path is the kernel's (true) or joined from what the caller passed (false)";
    FileTruncated = "file.path_truncated", Bool, on FILE_OR_ATTEMPT, changes FILE, "whether the path was too deep and lacks its beginning";
    FileInode = "file.inode", Int, on FILE_OR_ATTEMPT, changes FILE, "inode number";
    FileDevice = "file.device", Int, on FILE_OR_ATTEMPT, changes FILE, "device number as the kernel has it (major << 20 | minor)";
    FileUpperLayer = "file.upper_layer", Bool, on FILE_OR_ATTEMPT, changes FILE, "whether the file was made or changed in the container, and is not its image's; absent outside of overlay file systems, and of what is about to be made";
    FileMode = "file.mode", Int, on FILE_OR_ATTEMPT, changes FILE, "permission bits, setuid (0o4000) and setgid (0o2000) included";
    FileSetuid = "file.setuid", Bool, on FILE_OR_ATTEMPT, changes FILE, "whether the setuid bit is among the permission bits";
    FileSetgid = "file.setgid", Bool, on FILE_OR_ATTEMPT, changes FILE, "whether the setgid bit is among the permission bits";
    FileUid = "file.uid", Int, on FILE_OR_ATTEMPT, changes FILE, "owner's user id; of a chown, the new one";
    FileGid = "file.gid", Int, on FILE_OR_ATTEMPT, changes FILE, "owner's group id; of a chown, the new one";

    MountTarget = "mount.target", Str, on MOUNT, changes MOUNT, "path at which a file system was mounted or unmounted";
    MountSource = "mount.source", Str, on MOUNT, changes MOUNT, "what was mounted, as the caller named it; of a mount that was moved, where it was";
    ModuleName = "module.name", Str, on MODULE, changes MODULE, "own name of the kernel module, whatever its file is called";
    ModulePath = "module.path", Str, on MODULE, changes MODULE, "file that the kernel module was loaded from; absent where it was loaded from memory";
    BpfName = "bpf.program.name", Str, on BPF, changes BPF, "name of the BPF program; absent where the kernel does not tell it";
    BpfType = "bpf.program.type", Str, on BPF, changes BPF, "type of the BPF program, such as kprobe, xdp or lsm";
    TargetPid = "target.process.pid", Int, on TRACE, changes TRACE, "process id of the process that is acted upon; absent where the caller is in a pid namespace of its own";
    TargetName = "target.process.name", Str, on TRACE, changes TRACE, "name of the process that is acted upon";
    TargetExecutable = "target.process.executable", Str, on TRACE, changes TRACE, "executable of the process that is acted upon";
    NamespaceTypes = "namespace.types", List, on NAMESPACE, changes NAMESPACE, "types of the namespaces: mount, pid, network, user, uts, ipc, cgroup, time";
    IoUringOperation = "io_uring.operation", Str, on IO_URING, changes IO_URING, "what io_uring was given to do, such as openat or connect";
    SensorSignal = "sensor.signal", Str, on TAMPER, changes TAMPER, "signal that was sent to the agent, such as SIGKILL";
    SensorProgram = "sensor.program", Str, on TAMPER, changes TAMPER, "program of the sensor that was detached";

    SourceIp = "source.ip" | "source", Ip, on SOURCE, changes NET, "address of the side that connected; in what logs tell, the client's, also behind a trusted proxy";
    SourcePort = "source.port", Int, on SOURCE, changes NET, "port of the side that connected; absent behind a proxy";
    DestinationIp = "destination.ip" | "destination", Ip, on NET_OR_DNS, changes NET, "address that was connected to; of bind and listen, the socket's own";
    DestinationPort = "destination.port", Int, on NET_OR_DNS, changes NET, "port that was connected to; of bind and listen, the socket's own";
    DestinationDomain = "destination.domain", Str, on NET, changes NET, "name that was asked for when DNS answered with the destination's address";
    NetworkType = "network.type", Str, on NET_OR_DNS, changes NET, "ipv4 or ipv6";
    NetworkTransport = "network.transport", Str, on NET_OR_DNS, changes NET, "transport protocol: tcp or udp; of raw and packet sockets, raw or packet";
    NetworkIanaNumber = "network.iana_number", Int, on NET, changes NET, "number of the IP protocol; 255 is a raw socket that sends whole IP packets";
    NetworkDirection = "network.direction", Str, on NET_OR_DNS, changes NET, "outbound (this host connected) or inbound";
    NetworkNamespace = "network.namespace", Int, on NET, changes NET, "inode number of the network namespace of the socket, or at which the packet came in";
    NetworkState = "network.state", Str, on NET, changes NET, "state of the TCP connection";
    NetworkBytesSent = "network.bytes_sent", Int, on NET, changes NET, "payload bytes that this side has sent on the connection";
    NetworkBytesReceived = "network.bytes_received", Int, on NET, changes NET, "payload bytes that this side has received on the connection";
    NetworkPacketsSent = "network.packets_sent", Int, on NET, changes NET, "packets that this side has sent on the connection; of TCP its segments, bare acknowledgements and retransmissions included, counted anew after 2^32";
    NetworkPacketsReceived = "network.packets_received", Int, on NET, changes NET, "packets that this side has received on the connection, counted likewise";
    NetworkOutboundBytes = "network.outbound.bytes", Int, on NET, changes NET, "payload bytes that the process has sent to this address over connections that it initiated, since it started";
    ErrorCode = "error.code", Str, on NET_OR_ATTEMPT, changes NET, "why it failed or broke, such as ECONNREFUSED, ETIMEDOUT, ECONNRESET, EROFS or EPERM; absent where no error did";

    DnsType = "dns.type", Str, on DNS, changes DNS, "query or answer";
    DnsId = "dns.id", Int, on DNS, changes DNS, "number by which an answer names its question";
    DnsQuestionName = "dns.question.name", Str, on DNS, changes DNS, "name that is asked for, in lower case, without the dot at its end; what is not plain text in it is escaped";
    DnsQuestionType = "dns.question.type", Str, on DNS, changes DNS, "type of the records that are asked for, such as A, AAAA or TXT";
    DnsResponseCode = "dns.response_code", Str, on DNS, changes DNS, "outcome that an answer tells, such as NOERROR or NXDOMAIN";
    DnsResolvedIp = "dns.resolved_ip", List, on DNS, changes DNS, "addresses that an answer gives for the name";
    DnsTruncated = "dns.truncated", Bool, on DNS, changes DNS, "whether the message was longer than what was taken of it";

    EventOutcome = "event.outcome", Str, on AUTH, changes AUTH, "success or failure";
    EventId = "event.id", Str, on LOG, changes LOG, "tells this event from every other, also when its line is read again after a crash";
    EventOriginal = "event.original", Str, on LOG, changes LOG, "line of the log, 32 KiB at most";
    LogSource = "log.source", Str, on LOG, changes NONE, "name that security.sources gives to the log";
    LogPath = "log.file.path", Str, on LOG, changes NONE, "file of the log; absent where it is the journal's";
    ServiceName = "service.name", Str, on LOG, changes LOG, "service that wrote the log, such as sshd, su or nginx";
    UserName = "user.name", Str, on LOG, changes LOG, "name that the client gave: of whom it wants to be, not of whom it is";
    AuthenticationMethod = "authentication.method", Str, on AUTH, changes AUTH, "how it was tried, such as password or publickey";
    HttpMethod = "http.request.method", Str, on HTTP, changes HTTP, "method of the request, such as GET, as the client wrote it";
    HttpReferrer = "http.request.referrer", Str, on HTTP, changes HTTP, "page that the client says it comes from";
    HttpStatus = "http.response.status_code", Int, on HTTP, changes HTTP, "status that was answered";
    HttpBytes = "http.response.body.bytes", Int, on HTTP, changes HTTP, "bytes that were answered, without the head where the log tells them so";
    HttpVersion = "http.version", Str, on HTTP, changes HTTP, "version of the protocol, such as 1.1";
    UrlOriginal = "url.original", Str, on HTTP, changes HTTP, "target of the request as the client wrote it";
    UrlPath = "url.path", Str, on HTTP, changes HTTP, "its path, as the client wrote it";
    UrlQuery = "url.query", Str, on HTTP, changes HTTP, "what follows the question mark in it";
    UrlDecoded = "url.decoded", Str, on HTTP, changes HTTP, "target with its percent escapes resolved, those within escapes too, four deep; bytes that are no text stay escaped";
    UrlDomain = "url.domain", Str, on HTTP, changes HTTP, "host that the request was for, where the log tells it";
    UserAgent = "user_agent.original", Str, on HTTP, changes HTTP, "what the client says it is";
}
