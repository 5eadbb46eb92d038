//! One record to its event, findings included: everything between the rings and the outlet.

mod container;
mod credential;
mod dns;
mod file;
mod hash;
mod kernel;
mod log;

use std::time::Instant;

use openclaw_common::network::OUTBOUND;
use openclaw_common::record::{
    Header, NET_BIND, NET_LISTEN, NET_PACKET_SOCKET, NET_RAW_SOCKET, NET_REFUSED, NetworkRecord,
    ProcessRecord, Task,
};
use openclaw_detect::{Engine, EventKind, Finding, KindSet, ProcessId, Rule, Timestamp};
use serde::Serialize;

use super::find::find;
use crate::enrich::{
    Body, Clock, Credentials, HostFacts, Moment, Names, NetworkBody, Observed, Outbound, PathBuffer, Process,
    ProcessTable, Record, Resolver, addresses,
};
use crate::hash::Hashes;
use crate::logs::Entry;

/// Records with unexplained credentials that are kept until they are settled, a second at most.
const MAX_SUSPECTS: usize = 256;

/// Where findings and events go.
pub trait Outlet {
    /// Whether answers of a rule are carried out.
    fn answers(&self, rule: &Rule) -> bool;

    /// A rule fired. Where it asks for answers that are carried out, with the processes that descend from the one that
    /// is meant.
    fn finding(&mut self, finding: Finding, descendants: Vec<ProcessId>);

    /// Whether somebody watches the events.
    fn wants_events(&self) -> bool;

    /// An event that somebody watches.
    fn event(&mut self, event: &Observed<'_>);

    /// What the rules took as known by then, where somebody watches.
    fn known(&mut self, _event: &Observed<'_>) {}
}

/// How much went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events by kind, in the order of [`EventKind::ALL`].
    pub events: [u64; EventKind::ALL.len()],
    /// Findings.
    pub findings: u64,
    /// Records that are none: of another version of the programs, or cut short.
    pub malformed: u64,
    /// Containers that came too many at once to ask their runtimes about them.
    pub containers_unasked: u64,
    /// Packets of port 53 that hold no DNS message that can be read.
    pub malformed_dns: u64,
    /// Events of which it was measured how long the rules took: one of [`SAMPLED`].
    pub sampled: u64,
    /// How long that was in all, nanoseconds.
    pub sampled_nanoseconds: u64,
}

/// One of so many events has the time measured that the rules take: often enough to tell, and seldom enough to cost
/// nothing.
pub const SAMPLED: u64 = 256;

/// The state between the rings and the rules.
#[derive(Debug)]
pub struct Stage {
    table: ProcessTable,
    outbound: Outbound,
    names: Names,
    engine: Engine,
    /// The kinds on which a rule runs.
    kinds: KindSet,
    host: HostFacts,
    clock: Clock,
    counts: Counts,
    path: PathBuffer,
    other: PathBuffer,
    /// Records with credentials that nothing has explained yet.
    suspects: Vec<Header>,
    /// Who detached BPF programs last, whosever they were.
    detacher: Option<ProcessId>,
    /// What executables hash to; none where nobody is to know.
    hashes: Option<Hashes>,
    /// Who asks the runtimes about containers.
    resolver: Option<Resolver>,
}

impl Stage {
    /// A stage for these rules, with an empty process table.
    pub fn new(engine: Engine, host: HostFacts) -> Self {
        let clock = Clock::now();
        Stage {
            table: ProcessTable::new(clock),
            outbound: Outbound::default(),
            names: Names::default(),
            kinds: engine.interest().kinds,
            engine,
            host,
            clock,
            counts: Counts::default(),
            path: PathBuffer::default(),
            other: PathBuffer::default(),
            suspects: Vec::with_capacity(MAX_SUSPECTS),
            detacher: None,
            hashes: None,
            resolver: None,
        }
    }

    /// How much went through.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The rules and their state.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Goes on with other rules, which take over what those before know. Returns the engine before.
    pub fn replace_engine(&mut self, mut engine: Engine) -> Engine {
        engine.take_over(&mut self.engine);
        self.kinds = engine.interest().kinds;
        std::mem::replace(&mut self.engine, engine)
    }

    /// The processes.
    pub fn table(&self) -> &ProcessTable {
        &self.table
    }

    /// The processes, to be filled and mended.
    pub fn table_mut(&mut self) -> &mut ProcessTable {
        &mut self.table
    }

    /// Tells that somebody has detached a program, which cannot be attached again: what it saw is seen no more.
    pub fn tell_of_blindness(&mut self, program: &str, reason: &str, outlet: &mut impl Outlet) {
        let message = format!(
            "somebody has detached the program {program}, and it cannot be attached again: {reason}. What it saw is \
             seen no more: see `openclaw status`, and restart the agent"
        );
        let facts = serde_json::json!({ "program": program, "reason": reason });
        self.tell_of_sensor("hook_gone", &message, &facts, outlet);
    }

    fn tell_of_sensor(
        &mut self,
        name: &str,
        message: &str,
        facts: &impl Serialize,
        outlet: &mut impl Outlet,
    ) {
        self.counts.findings += 1;
        let now = Clock::now().time_of(Clock::since_boot());
        let id = format!("{:x}-{:x}", now.0, self.counts.findings);
        outlet.finding(Finding::of_sensor(id, name, now, message, facts), Vec::new());
    }

    /// Looks at the clocks again, and forgets processes that ended long ago.
    pub fn tidy(&mut self) {
        self.clock = Clock::now();
        self.table.set_clock(self.clock);
        let now = Clock::since_boot();
        self.outbound.forget_ended(now);
        self.table.forget_ended(now, &self.outbound.owners());
    }

    /// When the record that begins these bytes was made, nanoseconds since boot.
    pub fn time_of(bytes: &[u8]) -> Option<u64> {
        Some(bytemuck::pod_read_unaligned::<Header>(bytes.get(..size_of::<Header>())?).time)
    }

    /// Takes in one record.
    pub fn handle(&mut self, bytes: &[u8], outlet: &mut impl Outlet) {
        let Some((record, _)) = Record::parse(bytes) else {
            self.counts.malformed += 1;
            return;
        };
        match record {
            Record::Fork(record) => {
                let id = self.table.fork(&record);
                self.emit(Occasion::new(id, record.header.time, EventKind::ProcessFork), outlet, |_, _| {
                    Body::Fork
                });
            }
            Record::Exec(record, sections) => {
                let (id, _) = self.table.exec(&record, sections);
                self.ask_for_hash(id, record.process.header.time);
                self.emit(
                    Occasion::new(id, record.process.header.time, EventKind::ProcessCreate),
                    outlet,
                    |_, _| Body::Exec,
                );
                self.containers_changed(outlet);
            }
            Record::Exit(record) => self.exit(&record, outlet),
            // The kernel's list comes by no ring.
            Record::Existing(..) => self.counts.malformed += 1,
            Record::Credentials(record) => self.credentials(&record, outlet),
            Record::File(record, sections) => self.file(&record, sections, outlet),
            Record::Network(record) => self.network(record, outlet),
            Record::Dns(head, payload) => self.dns(&head, payload, outlet),
            Record::Kernel(record) => self.kernel(&record, outlet),
        }
    }

    fn exit(&mut self, record: &ProcessRecord, outlet: &mut impl Outlet) {
        let Some(id) = self.table.exit(record) else { return };
        let status = record.exit_status;
        self.emit(Occasion::new(id, record.header.time, EventKind::ProcessExit), outlet, |_, _| {
            Body::Exit(status)
        });
        self.containers_changed(outlet);
    }

    /// Tells the rules what a process runs that was not seen to begin it. Where it is older than the agent
    /// (`report` is false), what is true of it by then is taken as known, and not reported.
    pub fn discover(&mut self, id: ProcessId, report: bool, outlet: &mut impl Outlet) {
        let now = Clock::since_boot();
        if report {
            return self.emit(Occasion::new(id, now, EventKind::ProcessCreate), outlet, |_, _| Body::Exec);
        }
        let at = Moment { time: self.clock.time_of(now), since_boot: now };
        if let Some(event) = Observed::new(&self.table, &self.host, id, at, None, Body::Exec) {
            self.engine.learn(&event);
            if outlet.wants_events() {
                outlet.known(&event);
            }
        }
    }

    fn network(&mut self, record: NetworkRecord, outlet: &mut impl Outlet) {
        let (time, kind) = (record.header.time, EventKind::NetworkConnection);
        let occasion = match record.action {
            NET_REFUSED => Occasion::new(None, time, kind),
            NET_LISTEN | NET_BIND | NET_RAW_SOCKET | NET_PACKET_SOCKET => {
                Occasion::new(self.table.ensure(&record.header.task).id, time, kind).by(&record.header.task)
            }
            _ => return self.connection(record, outlet),
        };
        self.emit(occasion, outlet, |_, _| {
            Body::Network(NetworkBody { record, outbound: None, domain: None })
        });
    }

    fn connection(&mut self, record: NetworkRecord, outlet: &mut impl Outlet) {
        let since = self.outbound.sent_since(&record);
        let remote = addresses(&record.endpoints).1;
        let initiated = record.endpoints.direction == OUTBOUND;
        let owner = self.owner(&record.header.task);
        let id = owner.as_ref().map(|process| process.id);
        let outbound = owner.filter(|_| initiated).map(|process| process.add_outbound(remote, since));
        let domain = initiated
            .then(|| self.names.of(record.endpoints.namespace, remote, record.header.time))
            .flatten();
        let occasion = Occasion::new(id, record.header.time, EventKind::NetworkConnection);
        self.emit(occasion, outlet, |_, _| Body::Network(NetworkBody { record, outbound, domain }));
    }

    /// Who owns a socket; `None` where the kernel's programs know of nobody.
    fn owner(&mut self, task: &Task) -> Option<&mut Process> {
        task.is_known().then(|| self.table.ensure(task))
    }

    /// Asks the rules, and shows the event to who watches.
    fn emit<'a>(
        &'a mut self,
        Occasion { id, time, kind, credentials, logged }: Occasion,
        outlet: &mut impl Outlet,
        body: impl FnOnce(&'a str, &'a str) -> Body<'a>,
    ) {
        self.counts.events[kind as usize] += 1;
        let watched = outlet.wants_events();
        if !watched && !self.kinds.contains(kind) {
            return;
        }
        let body = body(self.path.as_str(), self.other.as_str());
        let at = Moment { time: logged.unwrap_or_else(|| self.clock.time_of(time)), since_boot: time };
        let event = match id {
            None => Observed::without_process(&self.table, &self.host, at, body),
            Some(id) => match Observed::new(&self.table, &self.host, id, at, credentials, body) {
                Some(event) => event,
                None => return,
            },
        };
        let begun = self.counts.events[kind as usize].is_multiple_of(SAMPLED).then(Instant::now);
        // No allocation where nothing was found.
        let mut found = Vec::new();
        let answered = |rule: &Rule| outlet.answers(rule);
        find(&mut self.engine, &mut self.counts.findings, &event, answered, |rule, finding| {
            found.push((finding, answered(rule)));
        });
        for (finding, answered) in found {
            let tree = id.filter(|_| answered).map(|id| self.table.descendants(id)).unwrap_or_default();
            outlet.finding(finding, tree);
        }
        if let Some(begun) = begun {
            self.counts.sampled += 1;
            self.counts.sampled_nanoseconds += begun.elapsed().as_nanos() as u64;
        }
        if watched {
            outlet.event(&event);
        }
    }
}

/// Who does something of which kind, and when.
struct Occasion {
    /// `None` where no process of this host did it, or none that is known.
    id: Option<ProcessId>,
    /// Nanoseconds since boot.
    time: u64,
    kind: EventKind,
    /// The credentials that it was done with, where the record tells them.
    credentials: Option<Credentials>,
    /// When it happened by the line of a log that tells of it, where one does.
    logged: Option<Timestamp>,
}

impl Occasion {
    fn new(id: impl Into<Option<ProcessId>>, time: u64, kind: EventKind) -> Self {
        Occasion { id: id.into(), time, kind, credentials: None, logged: None }
    }

    /// What nobody saw but who wrote the line.
    fn logged(entry: &Entry) -> Self {
        Occasion { logged: Some(entry.time), ..Occasion::new(None, Clock::since_boot(), entry.what.kind()) }
    }

    fn by(self, task: &Task) -> Self {
        Occasion { credentials: Some(Credentials::of(task)), ..self }
    }
}
