//! Runs the rules over events: which rules see an event, and when they fire.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::compiled::{Clause, Compiled};
use crate::eval::{Truth, evaluate};
use crate::index::{Candidates, Index};
use crate::interest::{Interest, ReadInterest, reads};
use crate::memory::{Kept, Key as KeyBuffer, Limits, Memory, Remembered, Snapshot};
use crate::ruleset::RuleSet;
use crate::state::{Key, Ports, State};
use crate::{Event, EventKind, Evidence, Field, KindSet, Match, ProcessId, Value};

/// Rules that do not run of which it is kept what they remembered.
const MAX_PARKED: usize = 64;

/// The rules at work. One engine serves one thread; its memory is bounded.
#[derive(Debug)]
pub struct Engine {
    rules: RuleSet,
    /// Where each condition is: the number of its rule, and its own in the rule.
    clauses: Box<[(u32, u32)]>,
    index: Index,
    /// Kept for its memory.
    candidates: Candidates,
    state: State,
    /// What each rule remembers.
    memories: Vec<Memory>,
    /// What all of them take, in bytes, about.
    bytes: usize,
    max_bytes: usize,
    /// What rules remembered that do not run any more, those last that were gone last.
    parked: VecDeque<(String, Remembered)>,
    /// Kept for its memory.
    key: KeyBuffer,
    suppressed: u64,
    /// What the memories of rules that run no more had to forget.
    evicted_before: u64,
}

/// What the engine holds and what it had to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EngineStats {
    /// Rules.
    pub rules: usize,
    /// Rules that are true at present, counted once for each process and address.
    pub active: usize,
    /// Keys and values that rules remember.
    pub remembered: usize,
    /// How many of all those were forgotten to make room. A rule may fire once more than it should, or count anew.
    pub evicted: u64,
    /// Firings that were not told, as `suppress` has it; some of them were answered.
    pub suppressed: u64,
}

impl Engine {
    /// An engine for these rules, with the usual bounds on memory.
    pub fn new(rules: RuleSet) -> Self {
        Engine::with_limits(rules, Limits::default())
    }

    /// An engine that remembers at most so much.
    pub fn with_limits(rules: RuleSet, limits: Limits) -> Self {
        let clauses: Box<[(u32, u32)]> = (0u32..)
            .zip(rules.compiled())
            .flat_map(|(rule, compiled)| {
                (0u32..).zip(&compiled.clauses).map(move |(clause, _)| (rule, clause))
            })
            .collect();
        let all = rules.compiled().iter().flat_map(|compiled| &compiled.clauses);
        let index = Index::new(all.map(|clause| (&clause.condition, clause.kinds)));
        let memories = rules.compiled().iter().map(|compiled| Memory::new(compiled, &limits)).collect();
        Engine {
            candidates: Candidates::new(clauses.len()),
            state: State::new(limits.truths),
            key: KeyBuffer::default(),
            suppressed: 0,
            evicted_before: 0,
            bytes: 0,
            max_bytes: limits.all_bytes,
            parked: VecDeque::new(),
            rules,
            clauses,
            index,
            memories,
        }
    }

    /// The rules.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// What it holds and what it had to forget.
    pub fn stats(&self) -> EngineStats {
        EngineStats {
            rules: self.rules.len(),
            active: self.state.len(),
            remembered: self.memories.iter().map(Memory::len).sum(),
            evicted: self.evicted_before
                + self.state.evicted()
                + self.memories.iter().map(Memory::evicted).sum::<u64>(),
            suppressed: self.suppressed,
        }
    }

    /// What its rules remember, but for which are true at present: those are found anew from the processes.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for part in 0..self.snapshot_parts() {
            self.add_to_snapshot(&mut snapshot, part);
        }
        snapshot
    }

    /// How many parts a snapshot has: one for each rule, and for each that runs no more and of which something is kept.
    pub fn snapshot_parts(&self) -> usize {
        self.memories.len() + self.parked.len()
    }

    /// Adds the part of that number. A thread that must not stand still for long makes its snapshot so, part by part.
    pub fn add_to_snapshot(&self, snapshot: &mut Snapshot, part: usize) {
        if let (Some(compiled), Some(memory)) = (self.rules.compiled().get(part), self.memories.get(part)) {
            if let Some(remembered) = memory.remembered() {
                snapshot.rules.insert(compiled.rule.name.clone(), remembered);
            }
        } else if let Some((name, remembered)) = self.parked.get(part - self.memories.len()) {
            snapshot.rules.insert(name.clone(), remembered.clone());
        }
    }

    /// Takes back what was kept, for rules of the same name as far as it means the same. What was kept of rules that do
    /// not run stays, for when they run again.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        let own = self.numbers();
        for (name, kept) in &snapshot.rules {
            match own.get(name) {
                Some(&number) => self.memories[number].take_back(&self.rules.compiled()[number].rule, kept),
                None => self.park(name.clone(), kept.clone()),
            }
        }
        self.keep_within_bounds();
    }

    /// The rules' numbers by their names.
    fn numbers(&self) -> HashMap<String, usize> {
        self.rules.iter().enumerate().map(|(number, rule)| (rule.name.clone(), number)).collect()
    }

    /// Goes on where another engine is now: what its rules remember is this one's, for rules of the same name as far as
    /// it means the same, and so is what is true at present, for rules that ask the same.
    pub fn take_over(&mut self, before: &mut Engine) {
        let evicted = before.stats().evicted;
        let own = self.numbers();
        let mut conditions = HashMap::new();
        for (name, kept) in std::mem::take(&mut before.parked) {
            match own.get(&name) {
                Some(&number) => self.memories[number].take_back(&self.rules.compiled()[number].rule, &kept),
                None => self.park(name, kept),
            }
        }
        let memories = std::mem::take(&mut before.memories);
        for (old, (compiled, memory)) in before.rules.compiled().iter().zip(memories).enumerate() {
            let Some(&new) = own.get(&compiled.rule.name) else {
                if let Some(remembered) = memory.remembered() {
                    self.park(compiled.rule.name.clone(), remembered);
                }
                continue;
            };
            let kept = self.memories[new].keeps_truths_of(&memory);
            if self.rules.compiled()[new].turns() && compiled.turns() && kept != Kept::Nothing {
                conditions.insert(before.first_condition(old), (self.first_condition(new), kept));
            }
            self.memories[new].take_over(memory);
        }
        std::mem::swap(&mut self.state, &mut before.state);
        self.state.renumber(|key| {
            let (new, kept) = conditions.get(&key.condition).copied()?;
            (kept == Kept::All || key.remote.is_some()).then_some(new)
        });
        self.suppressed = before.suppressed;
        self.keep_within_bounds();
        self.evicted_before = 0;
        self.evicted_before = evicted.saturating_sub(self.stats().evicted);
    }

    /// Keeps what a rule remembered that does not run.
    fn park(&mut self, name: String, remembered: Remembered) {
        self.parked.retain(|(parked, _)| *parked != name);
        self.parked.push_back((name, remembered));
        let bytes = |parked: &VecDeque<(String, Remembered)>| {
            parked.iter().map(|(_, remembered)| remembered.bytes()).sum::<usize>()
        };
        while self.parked.len() > MAX_PARKED || bytes(&self.parked) > self.max_bytes / 4 {
            self.parked.pop_front();
        }
    }

    /// Counts anew what all rules take, and has those that take most make room.
    fn keep_within_bounds(&mut self) {
        self.bytes = self.memories.iter().map(Memory::bytes).sum();
        while self.bytes > self.max_bytes {
            self.make_room();
        }
    }

    /// The rule that takes most makes room for the others: for so many keys at once that looking for it is seldom.
    fn make_room(&mut self) {
        let Some(largest) = self.memories.iter_mut().max_by_key(|memory| memory.bytes()) else { return };
        let before = largest.bytes();
        largest.make_room((self.max_bytes / 64).max(1));
        self.bytes = self.bytes + largest.bytes() - before;
    }

    /// The number of the first condition of a rule.
    fn first_condition(&self, rule: usize) -> u32 {
        self.clauses.partition_point(|(of, _)| (*of as usize) < rule) as u32
    }

    /// What the sensor must watch for these rules.
    pub fn interest(&self) -> Interest {
        let mut kinds = KindSet::NONE;
        let mut read = Vec::new();
        for compiled in self.rules.compiled() {
            kinds = kinds.union(compiled.rule.kinds);
            if compiled.turns() {
                kinds = kinds.union(LIFE);
            }
            for clause in &compiled.clauses {
                clause.condition.fields(&mut |field| {
                    if field == Field::DestinationDomain {
                        // Names come from DNS.
                        kinds = kinds.union(KindSet::of(&[EventKind::DnsQuery]));
                    }
                });
                if clause.kinds.contains(EventKind::FileAccess) {
                    read.push(reads(&clause.condition, true));
                }
            }
        }
        Interest { kinds, reads: ReadInterest::any(read) }
    }

    /// Asks the rules of this event's kind, and calls `on_match` with each that fires, in their order.
    ///
    /// Events of one process must come in the order of time.
    pub fn evaluate<E, F>(&mut self, event: &E, on_match: F)
    where
        E: Event + ?Sized,
        F: FnMut(Match<'_>),
    {
        self.ask(event, false, on_match);
    }

    /// Takes as known what is so by now: rules that are true of it do not fire again, and its values are not new.
    /// It counts for nothing.
    pub fn learn(&mut self, event: &(impl Event + ?Sized)) {
        self.ask(event, true, |_| {});
    }

    fn ask<E, F>(&mut self, event: &E, learning: bool, mut on_match: F)
    where
        E: Event + ?Sized,
        F: FnMut(Match<'_>),
    {
        let kind = event.kind();
        if kind == EventKind::ProcessFork
            && !self.state.is_empty()
            && let (Some(parent), Some(child)) = (event.parent(), event.process())
        {
            self.state.inherit(parent, child);
        }
        self.find_candidates(event);
        for &number in self.candidates.sorted() {
            let (rule, clause) = self.clauses[number as usize];
            let compiled = &self.rules.compiled()[rule as usize];
            let memory = &mut self.memories[rule as usize];
            let Clause { part, condition, .. } = &compiled.clauses[clause as usize];
            let truth = evaluate(condition, event);
            let before = memory.bytes();
            let fired = if compiled.turns() {
                turns(&mut self.state, number, compiled, truth, event).then(Evidence::default)
            } else if truth != Truth::True {
                continue;
            } else if learning {
                memory.learn(&compiled.rule, event, &mut self.key);
                None
            } else {
                memory.see(&compiled.rule, *part, event, &mut self.key)
            };
            if let Some(evidence) = fired.filter(|_| !learning) {
                let before = memory.tell(&compiled.rule, event, &mut self.key);
                self.suppressed += u64::from(before.is_none());
                if before.is_some() || compiled.rule.answers() {
                    let evidence = Evidence { suppressed: before.unwrap_or_default(), ..evidence };
                    on_match(Match { rule: &compiled.rule, evidence, told: before.is_some() });
                }
            }
            self.bytes = self.bytes + memory.bytes() - before;
        }
        self.candidates.clear();
        while self.bytes > self.max_bytes {
            self.make_room();
        }
        if kind == EventKind::ProcessExit
            && !self.state.is_empty()
            && let Some(process) = event.process()
        {
            self.state.end(process, event.time());
        }
    }

    /// Where the rules stand that remember, after this event, in sentences.
    pub(crate) fn standing<E: Event + ?Sized>(&mut self, event: &E) -> Vec<String> {
        let rules = self.rules.iter().zip(&self.memories);
        rules.flat_map(|(rule, memory)| memory.standing(rule, event, &mut self.key)).collect()
    }

    /// The conditions that can be true of the event, and those that are true of its process and may be no longer.
    fn find_candidates<E: Event + ?Sized>(&mut self, event: &E) {
        self.index.find(event, &mut self.candidates);
        if self.state.is_empty() {
            return;
        }
        for number in self.state.conditions_of(event.process().unwrap_or(NOBODY)) {
            let (rule, clause) = self.clauses[number as usize];
            if self.rules.compiled()[rule as usize].clauses[clause as usize].kinds.contains(event.kind()) {
                self.candidates.add(number);
            }
        }
    }
}

/// Whether a rule turns true of the process that did this.
fn turns<E: Event + ?Sized>(
    state: &mut State,
    number: u32,
    rule: &Compiled,
    truth: Truth,
    event: &E,
) -> bool {
    // What a log tells has happened, and lasts no longer.
    if KindSet::LOGS.contains(event.kind()) {
        return truth == Truth::True;
    }
    // What is unknown changes nothing.
    if truth == Truth::Unknown {
        return false;
    }
    let remote = if rule.by_remote { remote(event) } else { None };
    let connection = if rule.by_connection { ports(event) } else { None };
    let process = event.process().unwrap_or(NOBODY);
    let key = Key { condition: number, remote };
    if truth == Truth::True {
        return state.set(process, key, connection);
    }
    state.clear(process, key, connection);
    false
}

/// The kinds that tell which processes there are.
const LIFE: KindSet = KindSet::of(&[EventKind::ProcessFork, EventKind::ProcessExit]);

/// Stands for the process of events that have none. Pid 0 is the kernel's idle task, which does nothing.
const NOBODY: ProcessId = ProcessId { pid: 0, start: 0 };

/// The ports of a connection, source and destination.
fn ports(event: &(impl Event + ?Sized)) -> Option<Ports> {
    match (event.get(Field::SourcePort), event.get(Field::DestinationPort)) {
        (Some(Value::Int(source)), Some(Value::Int(destination))) => Some((source, destination)),
        _ => None,
    }
}

/// The address of the other side of a connection: the destination of one that this host made, the source of
/// one that it took, and of what a log tells of.
pub(crate) fn remote(event: &(impl Event + ?Sized)) -> Option<IpAddr> {
    let side = match event.get(Field::NetworkDirection) {
        _ if KindSet::LOGS.contains(event.kind()) => Field::SourceIp,
        Some(Value::Str("inbound")) => Field::SourceIp,
        Some(Value::Str("outbound")) => Field::DestinationIp,
        // What has no direction, as the binding of a socket, has no other side.
        _ => return None,
    };
    match event.get(side) {
        Some(Value::Ip(address)) => Some(address.to_canonical()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::ruleset::tests::THREE;
    use crate::{RecordedEvent, Source, Timestamp};

    const fn process(pid: u32) -> ProcessId {
        ProcessId { pid, start: 1 }
    }

    fn engine(rules: &str) -> Engine {
        let source = Source { name: "x.yml".to_owned(), text: rules.to_owned() };
        Engine::new(RuleSet::load(&[Source::shipped_definitions(), source]).unwrap())
    }

    fn three() -> Engine {
        engine(THREE)
    }

    fn event(kind: EventKind, pid: u32) -> RecordedEvent {
        RecordedEvent::new(kind, Timestamp(1)).with_process(process(pid))
    }

    fn fired(engine: &mut Engine, event: &RecordedEvent) -> Vec<String> {
        let mut names = Vec::new();
        engine.evaluate(event, |found| names.push(found.rule.name.clone()));
        names
    }

    fn exec(pid: u32, name: &str, parent: &str) -> RecordedEvent {
        event(EventKind::ProcessCreate, pid)
            .with(Field::ProcessName, name)
            .with(Field::ProcessParentName, parent)
            .with(Field::ProcessUid, 1000)
            .with(Field::UserNormalUid, 1000)
    }

    fn sent(pid: u32, to: [u8; 4], bytes: i64) -> RecordedEvent {
        event(EventKind::NetworkConnection, pid)
            .with(Field::NetworkDirection, "outbound")
            .with(Field::DestinationIp, IpAddr::from(to))
            .with(Field::NetworkOutboundBytes, bytes)
    }

    #[test]
    fn netcat_fires_unless_an_authorized_process_started_it() {
        let mut engine = three();
        assert_eq!(fired(&mut engine, &exec(1, "nc", "bash")), ["suspicious_process"]);
        assert!(fired(&mut engine, &exec(2, "nc", "systemd")).is_empty());
        assert!(fired(&mut engine, &exec(3, "nc.openbsd", "bash")).is_empty());
        let orphan = event(EventKind::ProcessCreate, 4).with(Field::ProcessName, "nc");
        assert!(fired(&mut engine, &orphan).is_empty(), "the parent is not known");
    }

    #[test]
    fn a_rule_without_event_fires_once_for_each_process_until_it_is_false_again() {
        let mut engine = three();
        assert_eq!(fired(&mut engine, &exec(1, "nc", "bash")).len(), 1);
        assert!(fired(&mut engine, &exec(1, "ncat", "bash")).is_empty(), "it was true already");
        assert_eq!(fired(&mut engine, &exec(2, "nc", "bash")).len(), 1, "another process");
        let unknown = event(EventKind::ProcessCreate, 1).with(Field::ProcessName, "nc");
        assert!(fired(&mut engine, &unknown).is_empty());
        assert!(fired(&mut engine, &exec(1, "nc", "bash")).is_empty(), "unknown ended nothing");
        assert!(fired(&mut engine, &exec(1, "ls", "bash")).is_empty());
        assert_eq!(fired(&mut engine, &exec(1, "nc", "bash")).len(), 1, "false ended it");
    }

    #[test]
    fn a_rule_without_event_fires_at_each_line_of_a_log() {
        let mut engine =
            engine("rules: [{name: a, condition: url.path contains '..' or process.name == 'x'}]");
        let request =
            |path: &str| RecordedEvent::new(EventKind::HttpRequest, Timestamp(1)).with(Field::UrlPath, path);
        assert_eq!(fired(&mut engine, &request("/../a")), ["a"]);
        assert_eq!(fired(&mut engine, &request("/../b")), ["a"]);
        assert!(fired(&mut engine, &request("/")).is_empty());
        assert_eq!(engine.stats().active, 0);
    }

    #[test]
    fn exfiltration_fires_once_for_each_address() {
        let mut engine = three();
        assert!(fired(&mut engine, &sent(1, [192, 0, 2, 7], 100_000_000)).is_empty(), "not more than 100 MB");
        assert_eq!(fired(&mut engine, &sent(1, [192, 0, 2, 7], 100_000_001)), ["data_exfiltration"]);
        assert!(fired(&mut engine, &sent(1, [198, 51, 100, 1], 5)).is_empty());
        assert!(fired(&mut engine, &sent(1, [192, 0, 2, 7], 200_000_000)).is_empty(), "it was told");
        assert_eq!(fired(&mut engine, &sent(1, [198, 51, 100, 1], 200_000_000)).len(), 1, "another address");
        assert_eq!(fired(&mut engine, &sent(2, [192, 0, 2, 7], 200_000_000)).len(), 1, "another process");
        assert!(fired(&mut engine, &sent(3, [10, 0, 0, 1], 200_000_000)).is_empty(), "trusted");
    }

    #[test]
    fn the_child_of_a_privileged_process_does_not_fire_again() {
        let mut engine = three();
        let root = |kind, pid, parent| {
            event(kind, pid)
                .with_parent(process(parent))
                .with(Field::ProcessUid, 0)
                .with(Field::UserNormalUid, 1000)
        };
        assert_eq!(fired(&mut engine, &root(EventKind::ProcessCreate, 1, 9)), ["privilege_escalation"]);
        assert!(fired(&mut engine, &root(EventKind::ProcessFork, 2, 1)).is_empty());
        assert!(fired(&mut engine, &root(EventKind::ProcessCreate, 2, 1)).is_empty());
        assert!(fired(&mut engine, &root(EventKind::PrivilegeChange, 2, 1)).is_empty());
        assert_eq!(fired(&mut engine, &root(EventKind::ProcessFork, 3, 8)).len(), 1, "of another parent");
    }

    #[test]
    fn what_is_true_of_a_connection_is_not_inherited() {
        let mut engine = three();
        assert_eq!(fired(&mut engine, &sent(1, [192, 0, 2, 7], 200_000_000)).len(), 1);
        fired(&mut engine, &event(EventKind::ProcessFork, 2).with_parent(process(1)));
        assert_eq!(fired(&mut engine, &sent(2, [192, 0, 2, 7], 200_000_000)).len(), 1);
    }

    /// The end of a process that no rule knows, long after all that was before.
    fn much_later(engine: &mut Engine) {
        let exit = RecordedEvent::new(EventKind::ProcessExit, Timestamp(crate::state::REMEMBERED + 2));
        fired(engine, &exit.with_process(process(99)));
    }

    #[test]
    fn a_process_that_ended_is_forgotten_when_its_last_events_have_come() {
        let mut engine = three();
        assert_eq!(fired(&mut engine, &sent(1, [192, 0, 2, 7], 200_000_000)).len(), 1);
        fired(&mut engine, &event(EventKind::ProcessExit, 1));
        let closed = sent(1, [192, 0, 2, 7], 210_000_000);
        assert!(fired(&mut engine, &closed).is_empty(), "the kernel closes connections after the process");
        assert_eq!(engine.stats().active, 1);
        much_later(&mut engine);
        assert_eq!(engine.stats().active, 0);
    }

    #[test]
    fn a_rule_sees_the_end_of_a_process_with_what_is_true_of_it() {
        let mut engine =
            engine("rules: [{name: a, condition: process.name == 'x' or process.exit_code == 1}]");
        assert_eq!(fired(&mut engine, &exec(1, "x", "bash")), ["a"]);
        let exit = |pid| event(EventKind::ProcessExit, pid).with(Field::ProcessExitCode, 1);
        assert!(fired(&mut engine, &exit(1)).is_empty());
        assert_eq!(fired(&mut engine, &exit(2)), ["a"]);
    }

    #[test]
    fn a_rule_with_event_fires_on_each_event_that_matches() {
        let mut engine = engine("rules: [{name: a, event: process_create, condition: process.name == 'x'}]");
        assert_eq!(fired(&mut engine, &exec(1, "x", "bash")), ["a"]);
        assert_eq!(fired(&mut engine, &exec(1, "x", "bash")), ["a"]);
        assert!(
            fired(&mut engine, &event(EventKind::ProcessFork, 2).with(Field::ProcessName, "x")).is_empty()
        );
        assert_eq!(engine.stats().active, 0);
    }

    #[test]
    fn an_exception_keeps_a_rule_from_firing_where_it_is_true_and_not_where_it_is_unknown() {
        let rule = "macros: {tool: process.name == 'x' or process.name == 'y'}\n\
                    rules: [{name: a, condition: tool, exceptions: [\
                    {name: b, condition: process.parent == 'cron'}, {name: c, condition: process.uid == 7}]}]";
        let mut engine = engine(rule);
        assert!(fired(&mut engine, &exec(1, "x", "cron")).is_empty());
        assert_eq!(fired(&mut engine, &exec(2, "y", "bash")), ["a"]);
        let orphan = event(EventKind::ProcessCreate, 3).with(Field::ProcessName, "x");
        assert_eq!(fired(&mut engine, &orphan), ["a"], "who the parent is is not known");
    }

    #[test]
    fn memory_is_bounded_and_what_was_forgotten_is_counted() {
        let mut engine =
            Engine::with_limits(three().rules().clone(), Limits { truths: 10, ..Limits::default() });
        for pid in 1..=25 {
            assert_eq!(fired(&mut engine, &exec(pid, "nc", "bash")).len(), 1);
        }
        assert_eq!(
            engine.stats(),
            EngineStats { rules: 3, active: 10, evicted: 15, ..EngineStats::default() }
        );
    }

    #[test]
    fn the_sensor_is_told_what_the_rules_need() {
        let interest = three().interest();
        assert_eq!(interest.reads, ReadInterest::None);
        assert!(!interest.kinds.contains(EventKind::FileAccess));
        let two = "rules: [{name: a, condition: file.path == '/etc/shadow' and event.action == 'read'}, \
                   {name: b, event: file_access, condition: file.path startswith '/root/'}]";
        let interest = engine(two).interest();
        assert_eq!(interest.reads, ReadInterest::Prefixes(vec!["/etc/shadow".into(), "/root/".into()]));
        assert_eq!(interest.kinds, LIFE.union(KindSet::of(&[EventKind::FileAccess])));
        let each = engine("rules: [{name: b, event: file_access, condition: file.path startswith '/root/'}]");
        assert_eq!(each.interest().kinds, KindSet::of(&[EventKind::FileAccess]));
    }

    #[test]
    fn an_engine_that_takes_over_knows_what_is_true_and_what_was_counted() {
        let counted = "{name: b, event: process_create, condition: process.name == 'y', threshold: {at_least: 3, within: 1h}}";
        let mut before = engine(&format!("rules: [{{name: a, condition: process.name == 'x'}}, {counted}]"));
        assert_eq!(fired(&mut before, &exec(1, "x", "bash")), ["a"]);
        for _ in 0..2 {
            assert!(fired(&mut before, &exec(2, "y", "bash")).is_empty());
        }
        // Another rule stands first now.
        let rules = format!(
            "rules: [{{name: c, condition: process.pid == 7}}, {counted}, {{name: a, condition: process.name == 'x'}}]"
        );
        let mut after = engine(&rules);
        after.take_over(&mut before);
        assert_eq!((after.stats().active, after.stats().remembered), (1, 1));
        assert!(fired(&mut after, &exec(1, "x", "bash")).is_empty(), "it was true already");
        assert_eq!(fired(&mut after, &exec(2, "y", "bash")), ["b"]);
        let mut changed = engine("rules: [{name: a, condition: process.name startswith 'x'}]");
        changed.take_over(&mut after);
        assert_eq!(
            fired(&mut changed, &exec(1, "x", "bash")),
            ["a"],
            "a rule that asks otherwise begins anew"
        );
    }

    #[test]
    fn what_is_true_by_lists_and_macros_is_asked_anew_when_these_are_others() {
        let rules = |list: &str, name: &str| {
            format!(
                "lists: {{bad: [{list}]}}\nmacros: {{evil: process.name == '{name}'}}\nrules: [{{name: a, condition: process.name in bad or evil}}]"
            )
        };
        for (list, name, fires) in
            [("x", "e", false), ("x, y", "e", true), ("y", "e", true), ("x", "y", true), ("x, x", "e", false)]
        {
            let mut before = engine(&rules("x", "e"));
            assert_eq!(fired(&mut before, &exec(1, "x", "bash")), ["a"]);
            let mut after = engine(&rules(list, name));
            after.take_over(&mut before);
            let now = if fires { "y" } else { "x" };
            assert_eq!(fired(&mut after, &exec(1, now, "bash")).len(), usize::from(fires), "[{list}] {name}");
        }
    }

    #[test]
    fn what_is_true_of_connections_stays_so_when_only_a_list_is_another() {
        let rules = |list: &str, bytes: u64| {
            format!(
                "lists: {{trusted: [{list}]}}\nrules: [{{name: a, condition: network.outbound.bytes > {bytes} and destination not in trusted}}]"
            )
        };
        for (after, fires) in [
            (rules("10.0.0.0/8, 198.51.100.1", 10), 0),
            (rules("10.0.0.0/8", 20), 1),
            (rules("192.0.2.0/24", 10), 0),
        ] {
            let mut before = engine(&rules("10.0.0.0/8", 10));
            assert_eq!(fired(&mut before, &sent(1, [192, 0, 2, 7], 100)).len(), 1);
            let mut engine = engine(&after);
            engine.take_over(&mut before);
            assert_eq!(fired(&mut engine, &sent(1, [192, 0, 2, 7], 200)).len(), fires, "{after}");
            assert_eq!(fired(&mut engine, &sent(1, [203, 0, 113, 7], 200)).len(), 1, "{after}");
        }
    }

    #[test]
    fn two_connections_of_which_one_is_true_do_not_fire_by_turns() {
        let mut engine = engine("rules: [{name: x, condition: 'network.bytes_sent > 10'}]");
        let sample = |port: i64, sent: i64| {
            event(EventKind::NetworkConnection, 1)
                .with(Field::NetworkDirection, "outbound")
                .with(Field::SourcePort, port)
                .with(Field::DestinationPort, 443)
                .with(Field::DestinationIp, IpAddr::from([192, 0, 2, 7]))
                .with(Field::NetworkBytesSent, sent)
        };
        let samples = [sample(1, 20), sample(2, 5), sample(1, 21), sample(2, 6), sample(1, 22)];
        assert_eq!(samples.iter().map(|sample| fired(&mut engine, sample).len()).sum::<usize>(), 1);
        // The one that made it true makes it false again.
        assert!(fired(&mut engine, &sample(1, 0)).is_empty());
        assert_eq!(fired(&mut engine, &sample(1, 20)).len(), 1);
    }

    #[test]
    fn the_remote_side_is_the_one_that_is_not_this_host() {
        let both = event(EventKind::NetworkConnection, 1)
            .with(Field::SourceIp, "::ffff:192.0.2.1".parse::<IpAddr>().unwrap())
            .with(Field::DestinationIp, IpAddr::from([198, 51, 100, 1]));
        let to = |direction| remote(&both.clone().with(Field::NetworkDirection, direction));
        assert_eq!(to("outbound"), Some(IpAddr::from([198, 51, 100, 1])));
        assert_eq!(to("inbound"), Some(IpAddr::from([192, 0, 2, 1])));
        assert_eq!(remote(&event(EventKind::ProcessCreate, 1)), None);
    }

    /// What may happen to one of a few processes.
    #[derive(Debug, Clone)]
    enum Step {
        /// It runs a program of which the condition is true, false or neither.
        Exec(u32, Option<bool>),
        Fork(u32, u32),
        Exit(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..5u32, any::<Option<bool>>()).prop_map(|(pid, truth)| Step::Exec(pid, truth)),
            (1..5u32, 1..5u32).prop_map(|(parent, child)| Step::Fork(parent, child)),
            (1..5u32).prop_map(Step::Exit),
        ]
    }

    proptest! {
        #[test]
        fn a_rule_fires_exactly_when_it_turns_true(steps in prop::collection::vec(step(), 0..60)) {
            let mut engine = engine("rules: [{name: a, condition: process.name == 'x'}]");
            let mut is_true = HashSet::new();
            for step in steps {
                let (event, fires) = match step {
                    Step::Exec(pid, truth) => {
                        let event = event(EventKind::ProcessCreate, pid);
                        match truth {
                            Some(true) => (event.with(Field::ProcessName, "x"), is_true.insert(pid)),
                            Some(false) => {
                                is_true.remove(&pid);
                                (event.with(Field::ProcessName, "y"), false)
                            }
                            None => (event, false),
                        }
                    }
                    Step::Fork(parent, child) => {
                        if is_true.contains(&parent) {
                            is_true.insert(child);
                        }
                        (event(EventKind::ProcessFork, child).with_parent(process(parent)), false)
                    }
                    Step::Exit(pid) => {
                        is_true.remove(&pid);
                        fired(&mut engine, &event(EventKind::ProcessExit, pid));
                        much_later(&mut engine);
                        continue;
                    }
                };
                prop_assert_eq!(fired(&mut engine, &event).len(), usize::from(fires));
                prop_assert_eq!(engine.stats().active, is_true.len());
            }
        }
    }
}
