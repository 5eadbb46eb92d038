//! The process table: who runs, what, made by whom. Kept by fork, exec and exit, filled and mended from the
//! kernel's own list.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use openclaw_common::record::{ExecRecord, NO_ID, ProcessRecord, Task};
use openclaw_common::verdict::TICK;
use openclaw_detect::ProcessId;

use super::clock::Clock;
use super::container::{Cache, Container};
use super::environment::Environment;
use super::image::Image;
use super::listing::{Listed, Listing};
use super::process::{Credentials, Process, id_of};
use super::procfs;

/// How long a process that ended is kept: events of it may still be in another ring, and its children name
/// it as their parent. Nanoseconds.
const KEEP_ENDED: u64 = 30_000_000_000;

/// Most processes that are kept after their end, the oldest going first.
const MAX_ENDED: usize = 32_768;

/// Ancestors that are followed: deeper than any real tree, and the end of one that is bent into a ring.
const MAX_ANCESTORS: usize = 64;

/// All processes, and those that ended lately.
#[derive(Debug)]
pub struct ProcessTable {
    processes: HashMap<ProcessId, Process>,
    ended: VecDeque<(u64, ProcessId)>,
    containers: Cache,
    /// Containers that the last of their processes has left, and which one that was.
    emptied: Vec<(ProcessId, Arc<Container>)>,
    clock: Clock,
    environment: Environment,
}

impl ProcessTable {
    /// An empty table, that keeps the usual variables of environments.
    pub fn new(clock: Clock) -> Self {
        ProcessTable {
            processes: HashMap::with_capacity(4096),
            ended: VecDeque::new(),
            containers: Cache::default(),
            emptied: Vec::new(),
            clock,
            environment: Environment::default(),
        }
    }

    /// Keeps these variables of environments from now on.
    pub fn keep_environment(&mut self, environment: Environment) {
        self.environment = environment;
    }

    /// How many processes it holds, ended ones included.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// Looks at the clocks again.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Looks in these folders for containers that runc alone knows to be some.
    pub fn ask_runc(&mut self, roots: Vec<PathBuf>) {
        self.containers.ask_runc(roots);
    }

    /// The containers that were first seen since this was last called.
    pub fn take_fresh_containers(&mut self) -> Vec<Arc<Container>> {
        self.containers.take_fresh()
    }

    /// The containers that have had no process since some time after this was last called, with the last one.
    pub fn take_emptied_containers(&mut self) -> Vec<(ProcessId, Arc<Container>)> {
        std::mem::take(&mut self.emptied)
    }

    /// The processes that are in a container, or were when they ended, in the order of their start.
    pub fn members(&self, container: &Arc<Container>) -> Vec<&Process> {
        let is_in =
            |process: &&Process| process.container.as_ref().is_some_and(|of| Arc::ptr_eq(of, container));
        let mut members: Vec<&Process> = self.processes.values().filter(is_in).collect();
        members.sort_unstable_by_key(|process| process.id.start);
        members
    }

    /// Forgets a container that its last process has left.
    fn empty(&mut self, id: ProcessId, container: Option<Arc<Container>>) {
        if let Some(container) = container {
            self.containers.forget(&container);
            self.emptied.push((id, container));
        }
    }

    /// The process of that id.
    pub fn get(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get(&id)
    }

    /// The process that has this pid now.
    pub fn running(&self, pid: u32) -> Option<&Process> {
        self.processes.values().find(|process| process.id.pid == pid && !process.ended)
    }

    /// The process of that id, to be changed.
    pub fn get_mut(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.processes.get_mut(&id)
    }

    /// The process that a record speaks of. One that was missed is taken from /proc, if it is still there; if
    /// not, it is kept for a while with what little is known.
    pub fn ensure(&mut self, task: &Task) -> &mut Process {
        let id = id_of(task);
        let clock = self.clock;
        self.processes.entry(id).or_insert_with(|| {
            let alive = procfs::is_alive(id);
            let image = if alive { procfs::image_of(id.pid) } else { Image::default() };
            let mut process = Process::unknown(task, clock.time_of(id.start), Arc::new(image));
            if alive {
                process.enter(self.containers.of(&process.image.cgroup));
            } else {
                process.ended = true;
                self.ended.push_back((Clock::since_boot(), id));
            }
            process
        })
    }

    /// Takes in the kernel's list. Returns who was not known, or not as running what they run: they are older than the
    /// agent, or their fork or exec was lost. Who is not listed any more has ended.
    pub fn take_in(&mut self, listing: Listing) -> Vec<ProcessId> {
        let Listing { begun, processes, .. } = listing;
        let listed: HashSet<ProcessId> = processes.iter().map(|one| id_of(&one.record.header.task)).collect();
        let found: Vec<ProcessId> = processes.into_iter().filter_map(|one| self.existing(one)).collect();
        self.hand_down(&found);
        self.keep_listed(&listed, begun);
        found
    }

    /// A process that is listed. Returns its id where it was not known, or not as running what it runs.
    fn existing(&mut self, Listed { record, image }: Listed) -> Option<ProcessId> {
        let id = id_of(&record.header.task);
        if let Some(known) = self.processes.get_mut(&id) {
            // It has begun another program since.
            if known.image_since > record.header.time {
                return None;
            }
            if known.credentials_seen <= record.header.time {
                known.describe(&record);
            }
            // One that has ended since ran what it ran all the same, but is in no container any more.
            let left = if known.ended { None } else { known.enter(self.containers.of(&image.cgroup)) };
            let same = image.executable.is_empty() || known.image.executable == image.executable;
            if !same {
                known.run(Arc::new(image), record.header.time);
            }
            self.empty(id, left);
            return (!same).then_some(id);
        }
        let started = self.clock.time_of(id.start);
        let container = self.containers.of(&image.cgroup);
        let mut process = Process::new(&record, started, Arc::new(image));
        process.enter(container);
        self.processes.insert(id, process);
        Some(id)
    }

    /// Marks as ended those of them that are there no more, and of whose end nothing was told.
    pub fn end_gone(&mut self, ids: &[ProcessId]) {
        let now = Clock::since_boot();
        for id in ids.iter().filter(|id| !procfs::is_alive(**id)) {
            self.end(*id, now);
        }
    }

    /// A process has ended at that time. Returns whether that was not known.
    fn end(&mut self, id: ProcessId, time: u64) -> bool {
        let Some(Ok(emptied)) = self.processes.get_mut(&id).map(Process::end) else { return false };
        self.ended.push_back((time, id));
        self.empty(id, emptied);
        true
    }

    /// Gives processes that were listed what fork would have handed down: the normal user of their ancestors,
    /// where they have none of their own, and what their parent runs.
    fn hand_down(&mut self, listed: &[ProcessId]) {
        for &id in listed {
            let user = self.ancestors(id).map(|ancestor| ancestor.last_user).find(|user| *user != 0);
            let parent_image = self.ancestors(id).next().map(|parent| Arc::clone(&parent.image));
            let tree = self.tree_of_listed(id);
            if let Some(process) = self.processes.get_mut(&id) {
                if process.last_user == 0 {
                    process.last_user = user.unwrap_or(0);
                }
                process.parent_image = process.parent_image.take().or(parent_image);
                process.tree = process.tree.take().or(tree);
            }
        }
    }

    /// The tree of a process whose fork was not seen, by its ancestors as they are now; none where it begins with
    /// the process itself.
    fn tree_of_listed(&self, id: ProcessId) -> Option<Arc<str>> {
        let mut root = self.get(id)?;
        for ancestor in self.ancestors(id) {
            if root.begins_tree_below(ancestor) {
                break;
            }
            root = ancestor;
        }
        (root.id != id).then(|| root.entity_id.as_str().into())
    }

    /// A process made a child.
    pub fn fork(&mut self, record: &ProcessRecord) -> ProcessId {
        let id = id_of(&record.header.task);
        let forker = ProcessId { pid: record.forker, start: record.forker_start };
        let started = self.clock.time_of(id.start);
        let mut child = match self.processes.get(&forker) {
            Some(forker) => {
                let mut child = Process::new(record, started, Arc::clone(&forker.image));
                if child.last_user == 0 {
                    child.last_user = forker.last_user;
                }
                child.enter(forker.container.clone());
                child.join_tree_of(forker);
                child
            }
            None => {
                let image = procfs::image_of(id.pid);
                let container = self.containers.of(&image.cgroup);
                let mut child = Process::new(record, started, Arc::new(image));
                child.enter(container);
                child
            }
        };
        child.credentials_seen = record.header.time;
        child.parent_image = child
            .parent
            .and_then(|parent| self.processes.get(&parent))
            .map(|parent| Arc::clone(&parent.image));
        self.processes.insert(id, child);
        id
    }

    /// A process runs another program. Returns its credentials before, where exec has changed them.
    pub fn exec(&mut self, record: &ExecRecord, sections: [&[u8]; 7]) -> (ProcessId, Option<Credentials>) {
        let image = Arc::new(Image::of_exec(record, sections, &self.environment));
        let container = self.containers.of(&image.cgroup);
        let header = &record.process.header;
        let process = self.ensure(&header.task);
        let (before, login, outside) = (process.credentials, process.login_user, process.container.clone());
        process.run(image, header.time);
        process.describe(&record.process);
        let (id, changed) = (process.id, before != process.credentials);
        let left = process.enter(container);
        let logged_in = process.login_user != login && process.login_user != NO_ID;
        if logged_in || process.is_in_another_container_than(outside.as_ref()) {
            process.tree = None;
        }
        self.empty(id, left);
        (id, changed.then_some(before))
    }

    /// A process ended: it is kept for a while. `None` where that was seen already: several threads can be the
    /// last to leave.
    pub fn exit(&mut self, record: &ProcessRecord) -> Option<ProcessId> {
        let id = self.ensure(&record.header.task).id;
        self.end(id, record.header.time).then_some(id)
    }

    /// Forgets what ended long ago, but for the owners of connections that are still open; and which control
    /// groups are no container's.
    pub fn forget_ended(&mut self, now: u64, owners: &HashSet<ProcessId>) {
        self.containers.forget_plain();
        for _ in 0..self.ended.len() {
            let Some((time, id)) = self.ended.front().copied() else { return };
            if self.ended.len() <= MAX_ENDED && now.saturating_sub(time) < KEEP_ENDED {
                return;
            }
            self.ended.pop_front();
            if owners.contains(&id) {
                self.ended.push_back((now, id));
            } else {
                self.processes.remove(&id);
            }
        }
    }

    /// Marks as ended what the kernel no longer lists, after exits were lost.
    fn keep_listed(&mut self, listed: &HashSet<ProcessId>, listed_at: u64) {
        // One that was about to be made when the list passed its place is there all the same.
        let is_gone = |process: &&Process| {
            let missing = !process.ended && process.id.start < listed_at && !listed.contains(&process.id);
            missing && !procfs::is_alive(process.id)
        };
        let gone: Vec<ProcessId> =
            self.processes.values().filter(is_gone).map(|process| process.id).collect();
        for id in gone {
            self.end(id, listed_at);
        }
    }

    /// The parent of a process, its parent, and so on, as far as they are known.
    pub fn ancestors(&self, id: ProcessId) -> impl Iterator<Item = &Process> {
        let parent = |id: ProcessId| self.get(id).and_then(|process| process.parent);
        std::iter::successors(parent(id).and_then(|id| self.get(id)), move |process| {
            process.parent.and_then(|id| self.get(id))
        })
        .take(MAX_ANCESTORS)
    }

    /// The processes that were not seen to end.
    pub fn running_processes(&self) -> Vec<ProcessId> {
        self.processes.values().filter(|process| !process.ended).map(|process| process.id).collect()
    }

    /// The process that has this pid and was not seen to end.
    pub fn alive(&self, pid: u32) -> Option<ProcessId> {
        self.processes
            .values()
            .find(|process| process.id.pid == pid && !process.ended)
            .map(|process| process.id)
    }

    /// The processes that descend from one, through ancestors that have ended too.
    pub fn descendants(&self, of: ProcessId) -> Vec<ProcessId> {
        let forker = |id: &ProcessId| self.get(*id).and_then(|process| process.forked_from);
        let descends = |id: ProcessId| {
            std::iter::successors(forker(&id), forker).take(MAX_ANCESTORS).any(|ancestor| ancestor == of)
        };
        // Who began before it does not, and is most of the table where it has only just begun. Some starts are known to the
        // clock tick alone.
        let is_younger = |id: ProcessId| id.start / TICK >= of.start / TICK;
        self.processes.keys().copied().filter(|id| is_younger(*id) && *id != of && descends(*id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use openclaw_common::record::{EXEC, FORK, Header};

    use super::*;

    fn record(kind: u32, pid: u32, uid: u32, parent: u32) -> ProcessRecord {
        let task = Task { tgid: pid, tid: pid, start: u64::from(pid), uid, euid: uid, gid: uid, egid: uid };
        ProcessRecord {
            header: Header { kind, flags: 0, time: u64::from(pid), task },
            parent,
            parent_start: u64::from(parent),
            forker: parent,
            forker_start: u64::from(parent),
            loginuid: NO_ID,
            ..ProcessRecord::default()
        }
    }

    fn exec(pid: u32, uid: u32, parent: u32) -> ExecRecord {
        ExecRecord { process: record(EXEC, pid, uid, parent), ..ExecRecord::default() }
    }

    /// Passed path, arguments, executable and working directory as the sections of an exec.
    fn strings([passed, args, executable, cwd]: [&[u8]; 4]) -> [&[u8]; 7] {
        [b"", passed, args, b"", b"", executable, cwd]
    }

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start: u64::from(pid) }
    }

    fn table_with_shell_and_child() -> ProcessTable {
        let mut table = ProcessTable::new(Clock::now());
        table.fork(&record(FORK, 4_000_001, 1000, 1));
        table.exec(
            &exec(4_000_001, 1000, 1),
            strings([b"/bin/sh\0", b"sh\0-i\0", b"dash\0bin\0usr\0", b"tmp\0"]),
        );
        table.fork(&record(FORK, 4_000_002, 1000, 4_000_001));
        table
    }

    #[test]
    fn a_child_runs_what_its_parent_runs_until_it_calls_exec() {
        let mut table = table_with_shell_and_child();
        assert_eq!(table.get(id(4_000_002)).unwrap().image.name, "sh");
        table.exec(&exec(4_000_002, 1000, 4_000_001), strings([b"nc\0", b"nc\0", b"nc.openbsd\0bin\0", b""]));
        let child = table.get(id(4_000_002)).unwrap();
        assert_eq!((&*child.image.name, &*child.image.executable), ("nc", "/bin/nc.openbsd"));
        assert_eq!(table.ancestors(id(4_000_002)).map(|p| &*p.image.name).collect::<Vec<_>>(), ["sh"]);
    }

    #[test]
    fn the_normal_user_is_handed_down_at_fork_and_kept_over_exec() {
        let mut table = table_with_shell_and_child();
        let (root, before) = table.exec(&exec(4_000_002, 0, 4_000_001), [&[]; 7]);
        assert_eq!(before.map(|credentials| credentials.euid), Some(1000));
        assert_eq!(table.get(root).unwrap().normal_user(), 1000);
        table.fork(&record(FORK, 4_000_003, 0, 4_000_002));
        assert_eq!(table.get(id(4_000_003)).unwrap().normal_user(), 1000);
    }

    #[test]
    fn a_process_that_ended_is_there_for_a_while_and_then_is_not() {
        let mut table = table_with_shell_and_child();
        table.exit(&record(openclaw_common::record::EXIT, 4_000_001, 1000, 1));
        table.forget_ended(4_000_001 + KEEP_ENDED - 1, &HashSet::new());
        assert!(table.get(id(4_000_001)).is_some());
        table.forget_ended(4_000_001 + KEEP_ENDED, &HashSet::from([id(4_000_001)]));
        assert!(table.get(id(4_000_001)).is_some());
        table.forget_ended(4_000_001 + 2 * KEEP_ENDED, &HashSet::new());
        assert!(table.get(id(4_000_001)).is_none());
    }

    #[test]
    fn a_grandchild_is_a_descendant_also_when_its_parent_has_ended_and_init_has_taken_its_place() {
        let mut table = table_with_shell_and_child();
        table.fork(&record(FORK, 4_000_003, 1000, 4_000_002));
        table.exit(&record(openclaw_common::record::EXIT, 4_000_002, 1000, 4_000_001));
        table.exec(&exec(4_000_003, 1000, 1), [&[]; 7]);
        let mut found = table.descendants(id(4_000_001));
        found.sort_unstable();
        assert_eq!(found, [id(4_000_002), id(4_000_003)]);
    }

    #[test]
    fn who_made_a_process_stays_its_parent_when_that_one_ends_or_runs_another_program() {
        let mut table = table_with_shell_and_child();
        table.exec(&exec(4_000_001, 1000, 1), strings([b"other\0", b"other\0", b"other\0", b""]));
        table.exec(&exec(4_000_002, 1000, 1), strings([b"nc\0", b"nc\0", b"nc\0", b""]));
        let child = table.get(id(4_000_002)).unwrap();
        assert_eq!(child.parent, Some(id(4_000_001)));
        assert_eq!(child.parent_image.as_ref().unwrap().name, "sh");
    }

    #[test]
    fn an_event_from_before_an_exec_is_of_what_ran_then() {
        let mut table = table_with_shell_and_child();
        let mut exec = exec(4_000_002, 1000, 4_000_001);
        exec.process.header.time = 5_000_000;
        table.exec(&exec, strings([b"cat\0", b"cat\0", b"cat\0", b""]));
        let child = table.get(id(4_000_002)).unwrap();
        assert_eq!((&*child.image_at(4_999_999).name, &*child.image_at(5_000_000).name), ("sh", "cat"));
    }

    /// The sections of a shell's exec in that control group.
    fn shell_in(cgroup: &[u8]) -> [&[u8]; 7] {
        let mut sections = strings([b"sh\0", b"sh\0", b"sh\0", b""]);
        sections[0] = cgroup;
        sections
    }

    const CONTAINER: &[u8] = b"0559aa0f6c7102abf3f3e7f6eb22b5a61eebec6a97d220ef7cf06772e88bbda5\0docker\0";

    #[test]
    fn a_container_is_entered_by_exec_and_fork_and_empty_when_the_last_process_has_ended() {
        let mut table = table_with_shell_and_child();
        table.exec(&exec(4_000_002, 0, 4_000_001), shell_in(CONTAINER));
        table.fork(&record(FORK, 4_000_003, 0, 4_000_002));
        let [container] = &table.take_fresh_containers()[..] else { panic!("there is one container") };
        let members: Vec<ProcessId> = table.members(container).iter().map(|process| process.id).collect();
        assert_eq!(members, [id(4_000_002), id(4_000_003)]);
        table.exit(&record(openclaw_common::record::EXIT, 4_000_002, 0, 4_000_001));
        assert!(table.take_emptied_containers().is_empty());
        table.keep_listed(&HashSet::from([id(4_000_001)]), 5_000_000);
        let [(last, emptied)] = &table.take_emptied_containers()[..] else { panic!("it is empty") };
        assert_eq!((*last, Arc::ptr_eq(emptied, container)), (id(4_000_003), true));
    }

    #[test]
    fn a_tree_goes_down_by_fork_and_begins_anew_in_a_container() {
        let mut table = table_with_shell_and_child();
        let tree = |table: &ProcessTable, pid| table.get(id(pid)).unwrap().tree_id().to_owned();
        assert_eq!(tree(&table, 4_000_002), "4000001-4000001");
        table.exec(&exec(4_000_002, 0, 4_000_001), shell_in(CONTAINER));
        table.fork(&record(FORK, 4_000_003, 0, 4_000_002));
        assert_eq!([4_000_002, 4_000_003].map(|pid| tree(&table, pid)), ["4000002-4000002"; 2]);
        table.exit(&record(openclaw_common::record::EXIT, 4_000_002, 0, 4_000_001));
        assert_eq!(tree(&table, 4_000_003), "4000002-4000002", "whoever is its parent now");
    }

    #[test]
    fn a_program_that_is_begun_outside_leaves_the_container() {
        let mut table = table_with_shell_and_child();
        table.exec(&exec(4_000_002, 0, 4_000_001), shell_in(CONTAINER));
        table.exec(&exec(4_000_002, 0, 4_000_001), shell_in(b"init.scope\0"));
        assert!(table.get(id(4_000_002)).unwrap().container.is_none());
        assert_eq!(table.take_emptied_containers().len(), 1);
    }

    /// A list in which the child of the shell runs this.
    fn child_listed_with(executable: &str) -> Listing {
        let runs = |pid, parent, executable: &str| Listed {
            record: record(openclaw_common::record::EXISTING, pid, 1000, parent),
            image: Image { executable: executable.to_owned(), ..Image::default() },
        };
        let processes = vec![runs(4_000_001, 1, "/usr/bin/dash"), runs(4_000_002, 4_000_001, executable)];
        Listing { begun: 4_500_000, done: 4_500_000, processes }
    }

    #[test]
    fn a_list_tells_of_a_program_whose_exec_was_lost_and_who_is_not_in_it_has_ended() {
        let mut table = table_with_shell_and_child();
        table.fork(&record(FORK, 4_000_003, 1000, 4_000_001));
        assert_eq!(table.take_in(child_listed_with("/usr/bin/nc")), [id(4_000_002)]);
        assert_eq!(table.get(id(4_000_002)).unwrap().image.executable, "/usr/bin/nc");
        assert_eq!(table.take_in(child_listed_with("/usr/bin/nc")), []);
        assert!(table.get(id(4_000_003)).unwrap().ended);
    }

    #[test]
    fn a_list_changes_nothing_that_was_told_after_it() {
        let mut table = table_with_shell_and_child();
        let mut later = exec(4_000_002, 1000, 4_000_001);
        later.process.header.time = 4_600_000;
        table.exec(&later, strings([b"nc\0", b"nc\0", b"nc\0bin\0", b""]));
        assert_eq!(table.take_in(child_listed_with("/usr/bin/before")), []);
        assert_eq!(table.get(id(4_000_002)).unwrap().image.executable, "/bin/nc");
        table.exit(&record(openclaw_common::record::EXIT, 4_000_002, 1000, 4_000_001));
        assert_eq!(table.take_in(child_listed_with("/usr/bin/before")), []);
        assert!(table.get(id(4_000_002)).unwrap().ended);
    }

    #[test]
    fn a_program_whose_exec_was_lost_is_told_though_it_has_ended_since() {
        let mut table = table_with_shell_and_child();
        table.exit(&record(openclaw_common::record::EXIT, 4_000_002, 1000, 4_000_001));
        let mut listing = child_listed_with("/usr/bin/nc");
        listing.processes[1].image.cgroup = crate::enrich::join(CONTAINER, false);
        assert_eq!(table.take_in(listing), [id(4_000_002)]);
        let child = table.get(id(4_000_002)).unwrap();
        assert_eq!((&*child.image.executable, child.ended), ("/usr/bin/nc", true));
        assert!(table.take_fresh_containers().is_empty(), "nobody is in it");
    }

    #[test]
    fn a_process_ends_once() {
        let mut table = table_with_shell_and_child();
        let exit = record(openclaw_common::record::EXIT, 4_000_001, 1000, 1);
        assert_eq!(table.exit(&exit), Some(id(4_000_001)));
        assert_eq!(table.exit(&exit), None);
    }

    #[test]
    fn a_pid_that_is_used_again_is_another_process() {
        let mut table = table_with_shell_and_child();
        let mut again = record(FORK, 4_000_002, 0, 1);
        again.header.task.start = 5_000_000;
        table.fork(&again);
        assert_eq!(table.get(id(4_000_002)).unwrap().image.name, "sh");
        assert_eq!(table.get(ProcessId { pid: 4_000_002, start: 5_000_000 }).unwrap().credentials.uid, 0);
    }
}
