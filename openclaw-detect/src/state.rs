//! Which rules are true at present, of which process and which remote address: so that each fires once.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::{ProcessId, Timestamp};

/// How long after its end a process is remembered, in nanoseconds. The kernel sends what a process left behind
/// in its sockets, and closes them, after the process is gone: minutes, where the other side is slow.
pub(crate) const REMEMBERED: u64 = 600_000_000_000;

/// For whom a rule is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The number of the rule's condition.
    pub(crate) condition: u32,
    /// The remote address, for rules that are about connections.
    pub(crate) remote: Option<IpAddr>,
}

/// The ports of a connection: what tells it from others of the same process to the same address.
pub(crate) type Ports = (i64, i64);

/// What is remembered of a rule that is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    sequence: u64,
    /// The connection that made it true: only that one makes it false again, else two that differ would make
    /// the rule fire with each sample of theirs.
    connection: Option<Ports>,
}

/// What is true of one process.
#[derive(Debug, Default)]
struct OfProcess {
    entries: HashMap<Key, Entry>,
    /// How many entries each condition has; one without any is not there.
    conditions: Vec<(u32, u32)>,
}

impl OfProcess {
    /// An entry more of that condition.
    fn count_in(&mut self, condition: u32) {
        match self.conditions.iter_mut().find(|(number, _)| *number == condition) {
            Some((_, entries)) => *entries += 1,
            None => self.conditions.push((condition, 1)),
        }
    }

    /// An entry less of that condition.
    fn count_out(&mut self, condition: u32) {
        if let Some(at) = self.conditions.iter().position(|(number, _)| *number == condition) {
            self.conditions[at].1 -= 1;
            if self.conditions[at].1 == 0 {
                self.conditions.swap_remove(at);
            }
        }
    }
}

/// The rules that are true at present, at most `capacity` of them; the oldest makes room.
#[derive(Debug)]
pub(crate) struct State {
    processes: HashMap<ProcessId, OfProcess>,
    /// What was entered, oldest first; entries that are gone since are passed over.
    order: VecDeque<(u64, ProcessId, Key)>,
    /// The processes that ended, and when.
    ended: VecDeque<(Timestamp, ProcessId)>,
    entries: usize,
    sequence: u64,
    capacity: usize,
    evicted: u64,
}

impl State {
    pub(crate) fn new(capacity: usize) -> Self {
        State {
            processes: HashMap::new(),
            order: VecDeque::new(),
            ended: VecDeque::new(),
            entries: 0,
            sequence: 0,
            capacity: capacity.max(1),
            evicted: 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries
    }

    /// How many entries had to make room for others since the start.
    pub(crate) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The conditions that are true of the process, or of one of its connections.
    pub(crate) fn conditions_of(&self, process: ProcessId) -> impl Iterator<Item = u32> {
        self.processes
            .get(&process)
            .into_iter()
            .flat_map(|of_process| of_process.conditions.iter().map(|(condition, _)| *condition))
    }

    /// The rule became true, or still is. Whether it became true.
    pub(crate) fn set(&mut self, process: ProcessId, key: Key, connection: Option<Ports>) -> bool {
        let of_process = self.processes.entry(process).or_default();
        if of_process.entries.contains_key(&key) {
            return false;
        }
        self.sequence += 1;
        of_process.entries.insert(key, Entry { sequence: self.sequence, connection });
        of_process.count_in(key.condition);
        self.entries += 1;
        self.order.push_back((self.sequence, process, key));
        while self.entries > self.capacity {
            self.evict();
        }
        // Entries that are gone leave their place in the order: it is tidied before it doubles.
        if self.order.len() > 2 * self.capacity.max(self.entries) {
            let processes = &self.processes;
            self.order.retain(|(sequence, process, key)| is_live(processes, *sequence, *process, key));
        }
        true
    }

    /// The rule is false of this connection.
    pub(crate) fn clear(&mut self, process: ProcessId, key: Key, connection: Option<Ports>) {
        if let Some(of_process) = self.processes.get_mut(&process)
            && of_process.entries.get(&key).is_some_and(|entry| entry.connection == connection)
        {
            of_process.entries.remove(&key);
            of_process.count_out(key.condition);
            self.entries -= 1;
            if of_process.entries.is_empty() {
                self.processes.remove(&process);
            }
        }
    }

    /// The child takes over what is true of its parent, connections apart.
    pub(crate) fn inherit(&mut self, parent: ProcessId, child: ProcessId) {
        if self.is_empty() || parent == child {
            return;
        }
        let Some(of_parent) = self.processes.get(&parent) else { return };
        let keys: Vec<Key> = of_parent.entries.keys().filter(|key| key.remote.is_none()).copied().collect();
        for key in keys {
            self.set(child, key, None);
        }
    }

    /// The process ended at that time. It is forgotten when its last events must have come, and so are now
    /// those that ended long before.
    pub(crate) fn end(&mut self, process: ProcessId, time: Timestamp) {
        if self.is_empty() {
            self.ended.clear();
            return;
        }
        if self.processes.contains_key(&process) {
            self.ended.push_back((time, process));
        }
        while let Some((ended, process)) = self.ended.front().copied()
            && (time.0.saturating_sub(ended.0) > REMEMBERED || self.ended.len() > self.capacity)
        {
            self.ended.pop_front();
            self.forget(process);
        }
    }

    /// Gives the conditions other numbers; what has none is forgotten.
    pub(crate) fn renumber(&mut self, number: impl Fn(&Key) -> Option<u32>) {
        let rename = |key: &Key| number(key).map(|condition| Key { condition, ..*key });
        let mut processes = HashMap::with_capacity(self.processes.len());
        self.entries = 0;
        for (process, before) in self.processes.drain() {
            let mut of_process = OfProcess::default();
            for (key, entry) in before.entries {
                if let Some(key) = rename(&key) {
                    of_process.count_in(key.condition);
                    of_process.entries.insert(key, entry);
                }
            }
            self.entries += of_process.entries.len();
            if !of_process.entries.is_empty() {
                processes.insert(process, of_process);
            }
        }
        self.processes = processes;
        let order = std::mem::take(&mut self.order).into_iter();
        self.order =
            order.filter_map(|(sequence, process, key)| Some((sequence, process, rename(&key)?))).collect();
    }

    fn forget(&mut self, process: ProcessId) {
        if let Some(of_process) = self.processes.remove(&process) {
            self.entries -= of_process.entries.len();
        }
    }

    fn evict(&mut self) {
        while let Some((sequence, process, key)) = self.order.pop_front() {
            if is_live(&self.processes, sequence, process, &key) {
                let connection = self.processes[&process].entries[&key].connection;
                self.clear(process, key, connection);
                self.evicted += 1;
                return;
            }
        }
    }
}

fn is_live(processes: &HashMap<ProcessId, OfProcess>, sequence: u64, process: ProcessId, key: &Key) -> bool {
    processes
        .get(&process)
        .and_then(|of_process| of_process.entries.get(key))
        .is_some_and(|entry| entry.sequence == sequence)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const fn process(pid: u32) -> ProcessId {
        ProcessId { pid, start: 1 }
    }

    #[test]
    fn the_oldest_makes_room_when_there_are_too_many() {
        let mut state = State::new(2);
        let key = Key { condition: 0, remote: None };
        for pid in 1..=3 {
            assert!(state.set(process(pid), key, None));
        }
        assert_eq!((state.len(), state.evicted()), (2, 1));
        assert!(!state.set(process(2), key, None) && !state.set(process(3), key, None));
        assert!(state.set(process(1), key, None), "the oldest was forgotten");
    }

    #[test]
    fn a_process_is_remembered_for_a_while_after_its_end() {
        let key = Key { condition: 0, remote: None };
        let mut state = State::new(2);
        state.set(process(1), key, None);
        state.end(process(1), Timestamp(5));
        state.end(process(2), Timestamp(5 + REMEMBERED));
        assert!(!state.set(process(1), key, None));
        state.end(process(2), Timestamp(6 + REMEMBERED));
        assert!(state.is_empty());
        state.set(process(1), key, None);
        for _ in 0..10 {
            state.end(process(1), Timestamp(5));
        }
        assert!(state.ended.len() <= 2);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Set(u32, u32, bool),
        Clear(u32, u32, bool),
        Fork(u32, u32),
        Exit(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4u32, 0..3u32, any::<bool>()).prop_map(|(p, r, a)| Step::Set(p, r, a)),
            (0..4u32, 0..3u32, any::<bool>()).prop_map(|(p, r, a)| Step::Clear(p, r, a)),
            (0..4u32, 0..4u32).prop_map(|(a, b)| Step::Fork(a, b)),
            (0..4u32).prop_map(Step::Exit),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_set_that_forks_and_exits(steps in prop::collection::vec(step(), 0..200)) {
            let key = |condition, address: bool| Key { condition, remote: address.then(|| IpAddr::from([192, 0, 2, 7])) };
            let mut state = State::new(100);
            let mut model: BTreeSet<(u32, u32, bool)> = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Set(p, r, a) => {
                        prop_assert_eq!(state.set(process(p), key(r, a), None), model.insert((p, r, a)));
                    }
                    Step::Clear(p, r, a) => {
                        state.clear(process(p), key(r, a), None);
                        model.remove(&(p, r, a));
                    }
                    Step::Fork(parent, child) => {
                        state.inherit(process(parent), process(child));
                        let inherited: Vec<_> = model.iter().filter(|(p, _, a)| *p == parent && !a).copied().collect();
                        model.extend(inherited.into_iter().map(|(_, r, a)| (child, r, a)));
                    }
                    Step::Exit(p) => {
                        state.forget(process(p));
                        model.retain(|(q, _, _)| *q != p);
                    }
                }
                prop_assert_eq!(state.len(), model.len());
                prop_assert_eq!(state.is_empty(), model.is_empty());
                for pid in 0..4 {
                    let rules: BTreeSet<u32> = state.conditions_of(process(pid)).collect();
                    let expected = model.iter().filter(|(p, _, _)| *p == pid).map(|(_, rule, _)| *rule).collect();
                    prop_assert_eq!(rules, expected);
                }
            }
        }

        #[test]
        fn it_never_grows_beyond_its_capacity(steps in prop::collection::vec((0..50u32, 0..3u32, any::<bool>()), 0..300)) {
            let mut state = State::new(8);
            for (p, r, set) in steps {
                let key = Key { condition: r, remote: None };
                if set {
                    state.set(process(p), key, None);
                } else {
                    state.clear(process(p), key, None);
                }
                prop_assert!(state.len() <= 8 && state.order.len() <= 16 && state.processes.len() <= state.len());
            }
        }
    }
}
