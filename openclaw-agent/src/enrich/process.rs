//! One process: who it is, and as whom it acts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use openclaw_common::record::{FileVersion, NO_CAPABILITIES, NO_ID, ProcessRecord, Task};
use openclaw_detect::{ProcessId, Timestamp};

use super::container::Container;
use super::image::Image;

/// Addresses of one process whose bytes are kept apart.
const MAX_ADDRESSES: usize = 16_384;

/// A process in the table.
#[derive(Debug, Clone)]
pub struct Process {
    /// Which one.
    pub id: ProcessId,
    /// Its id as text.
    pub entity_id: String,
    /// When it started.
    pub started: Timestamp,
    /// Its parent when it was made. The kernel gives a child whose parent ends another one; who made it stays
    /// who made it, so that nothing hides behind init.
    pub parent: Option<ProcessId>,
    /// What its parent ran when it made this process; none where that is not known.
    pub parent_image: Option<Arc<Image>>,
    /// Entity id of the process that its tree begins with; none where that is itself.
    pub tree: Option<Arc<str>>,
    /// The process that it was forked from: the parent, but for `CLONE_PARENT`.
    pub forked_from: Option<ProcessId>,
    /// What it runs.
    pub image: Arc<Image>,
    /// When it began to run that, nanoseconds since boot.
    pub image_since: u64,
    /// What it ran before, for events that are older than the exec.
    pub image_before: Option<Arc<Image>>,
    /// The container that it is in, since fork or exec.
    pub container: Option<Arc<Container>>,
    /// Whether its end was seen.
    pub ended: bool,
    /// Its credentials, as last seen.
    pub credentials: Credentials,
    /// When they were last seen, nanoseconds since boot.
    pub credentials_seen: u64,
    /// The thread whose credentials they are: threads can have others than their process's first one.
    pub credentials_of: u32,
    /// Its capabilities at its last exec, or last call that changes credentials; none where unknown.
    pub capabilities: Option<Capabilities>,
    /// The thread that has changed its capabilities since exec; none where all have those of the process.
    pub capabilities_of: Option<u32>,
    /// Whether exec gave it no new privileges, as of its last fork or exec; none where unknown.
    pub no_new_privileges: Option<bool>,
    /// The last real user id that was not root, 0 if there never was one. Inherited at fork.
    pub last_user: u32,
    /// The login user, or [`NO_ID`].
    pub login_user: u32,
    /// Pid of the session leader; 0 where unknown.
    pub session: u32,
    /// Controlling terminal; empty where there is none.
    pub tty: String,
    /// Inode numbers of its pid, mount and network namespaces; 0 where unknown.
    pub namespaces: [u32; 3],
    /// Payload bytes sent over connections that it initiated, by remote address.
    pub outbound: HashMap<IpAddr, u64>,
}

/// The end of a process was seen before: several threads can be the last to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlreadyEnded;

/// Real and effective ids in the initial user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Real user id.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Real group id.
    pub gid: u32,
    /// Effective group id.
    pub egid: u32,
}

impl Credentials {
    /// Those that a record carries.
    pub const fn of(task: &Task) -> Self {
        Credentials { uid: task.uid, euid: task.euid, gid: task.gid, egid: task.egid }
    }
}

/// Sets of capabilities, by their numbers as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Those that count when the process does something.
    pub effective: u64,
    /// Those that it can make effective.
    pub permitted: u64,
}

impl Capabilities {
    /// Those that a record carries, where it does.
    pub fn known(effective: u64, permitted: u64) -> Option<Self> {
        let known = effective != NO_CAPABILITIES && permitted != NO_CAPABILITIES;
        known.then_some(Capabilities { effective, permitted })
    }
}

/// The id of the process that a record speaks of.
pub const fn id_of(task: &Task) -> ProcessId {
    ProcessId { pid: task.tgid, start: task.start }
}

impl Process {
    /// A process that runs `image`, as a record describes it.
    pub fn new(record: &ProcessRecord, started: Timestamp, image: Arc<Image>) -> Self {
        let mut process = Self::unknown(&record.header.task, started, image);
        process.describe(record);
        process.forked_from = if record.forker == 0 {
            process.parent
        } else {
            Some(ProcessId { pid: record.forker, start: record.forker_start })
        };
        process
    }

    /// A process of which nothing is known but who it is.
    pub fn unknown(task: &Task, started: Timestamp, image: Arc<Image>) -> Self {
        let id = id_of(task);
        Process {
            id,
            entity_id: id.to_string(),
            started,
            parent: None,
            parent_image: None,
            tree: None,
            forked_from: None,
            image,
            image_since: 0,
            image_before: None,
            container: None,
            ended: false,
            credentials: Credentials::of(task),
            credentials_seen: 0,
            credentials_of: task.tid,
            capabilities: None,
            capabilities_of: None,
            no_new_privileges: None,
            last_user: if is_user(task.uid) { task.uid } else { 0 },
            login_user: NO_ID,
            session: 0,
            tty: String::new(),
            namespaces: [0; 3],
            outbound: HashMap::new(),
        }
    }

    /// Takes over what a record says of session, terminal, namespaces, credentials and privileges, and of the parent where
    /// that is not known.
    pub fn describe(&mut self, record: &ProcessRecord) {
        if self.parent.is_none() && record.parent != 0 {
            self.parent = Some(ProcessId { pid: record.parent, start: record.parent_start });
        }
        self.login_user = record.loginuid;
        self.session = record.session;
        self.namespaces = [record.pid_ns, record.mnt_ns, record.net_ns];
        let tty = record.tty.split(|byte| *byte == 0).next().unwrap_or_default();
        self.tty.clear();
        self.tty.push_str(&String::from_utf8_lossy(tty));
        self.capabilities = Capabilities::known(record.effective, record.permitted);
        self.capabilities_of = None;
        self.no_new_privileges = (record.no_new_privileges != NO_ID).then_some(record.no_new_privileges != 0);
        self.see_credentials(&record.header.task, record.header.time);
        self.credentials_of = record.header.task.tid;
    }

    /// Entity id of the process that its tree begins with.
    pub fn tree_id(&self) -> &str {
        self.tree.as_deref().unwrap_or(&self.entity_id)
    }

    /// Belongs to the tree of the process that made it, unless a tree begins with it.
    pub fn join_tree_of(&mut self, maker: &Process) {
        if !self.begins_tree_below(maker) {
            self.tree = Some(maker.tree.clone().unwrap_or_else(|| maker.entity_id.as_str().into()));
        }
    }

    /// Whether a tree begins with it: below init, in another container than who made it, or with a login of its own.
    pub fn begins_tree_below(&self, maker: &Process) -> bool {
        let own_login = self.login_user != NO_ID && self.login_user != maker.login_user;
        is_init(maker.id.pid) || own_login || self.is_in_another_container_than(maker.container.as_ref())
    }

    /// Whether it is in a container, and that is another one.
    pub fn is_in_another_container_than(&self, other: Option<&Arc<Container>>) -> bool {
        self.container.as_ref().is_some_and(|own| other.is_none_or(|other| !Arc::ptr_eq(own, other)))
    }

    /// Runs another program from `time` on, nanoseconds since boot.
    pub fn run(&mut self, image: Arc<Image>, time: u64) {
        self.image_before = Some(std::mem::replace(&mut self.image, image));
        self.image_since = time;
    }

    /// Gives it the name that its thread has, where no better is known.
    pub fn call_if_nameless(&mut self, name: &str) {
        if self.image.name.is_empty() && !name.is_empty() {
            Arc::make_mut(&mut self.image).name.push_str(name);
        }
    }

    /// Is in this container from now on. Returns the one that it has left as the last process.
    pub fn enter(&mut self, container: Option<Arc<Container>>) -> Option<Arc<Container>> {
        let same = match (&self.container, &container) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        };
        if same || self.ended {
            return None;
        }
        container.iter().for_each(|container| container.enter());
        std::mem::replace(&mut self.container, container).filter(|before| before.leave())
    }

    /// Has ended. Returns its container where it was the last process of it; `Err` where its end was seen before.
    pub fn end(&mut self) -> Result<Option<Arc<Container>>, AlreadyEnded> {
        if std::mem::replace(&mut self.ended, true) {
            return Err(AlreadyEnded);
        }
        Ok(self.container.clone().filter(|container| container.leave()))
    }

    /// What it ran at that time, nanoseconds since boot, as far as it is known: its present program, or the one
    /// before.
    pub fn image_at(&self, time: u64) -> &Image {
        match &self.image_before {
            Some(before) if time < self.image_since => before,
            _ => &self.image,
        }
    }

    /// Learns the SHA-256 of a file. Returns a time, nanoseconds since boot, at which the process ran it; none where it
    /// ran another.
    pub fn learn_hash(&self, file: &FileVersion, sha256: &Arc<str>) -> Option<u64> {
        let runs = |image: &Image| {
            let exec = image.exec.as_ref().filter(|exec| exec.file == *file)?;
            // It may share what it runs with another process that has learnt it.
            let _ = exec.sha256.set(Arc::clone(sha256));
            Some(())
        };
        let before =
            || self.image_before.as_deref().and_then(runs).map(|()| self.image_since.saturating_sub(1));
        runs(&self.image).map(|()| self.image_since).or_else(before)
    }

    /// Takes over the credentials that a record carries. Returns those before, where they are others.
    pub fn see_credentials(&mut self, task: &Task, time: u64) -> Option<Credentials> {
        let seen = Credentials::of(task);
        if time < self.credentials_seen || seen.uid == NO_ID {
            return None;
        }
        self.credentials_seen = time;
        if is_user(seen.uid) {
            self.last_user = seen.uid;
        }
        let before = std::mem::replace(&mut self.credentials, seen);
        if before == seen {
            return None;
        }
        self.credentials_of = task.tid;
        Some(before)
    }

    /// Takes over the capabilities that a thread has at that time. Returns those before, where they are known and
    /// others. Once one thread has changed its own, those of another say nothing of a change.
    pub fn see_capabilities(
        &mut self,
        seen: Option<Capabilities>,
        thread: u32,
        time: u64,
    ) -> Option<Capabilities> {
        let of_another = self.capabilities_of.is_some_and(|changed| changed != thread);
        if time < self.credentials_seen || seen.is_none() || seen == self.capabilities || of_another {
            return None;
        }
        self.capabilities_of = Some(thread);
        std::mem::replace(&mut self.capabilities, seen)
    }

    /// Whether a record that no call has announced carries other credentials than the last ones seen. Those of
    /// another thread than the one that changed them last say nothing: that call may have been for that thread
    /// alone.
    pub fn has_unexplained(&self, task: &Task, time: u64) -> bool {
        let seen = Credentials::of(task);
        task.tid == self.credentials_of
            && seen.uid != NO_ID
            && time >= self.credentials_seen
            && seen != self.credentials
    }

    /// The user that the process normally acts for: see `user.normal_uid`.
    pub fn normal_user(&self) -> u32 {
        if self.login_user == NO_ID { self.last_user } else { self.login_user }
    }

    /// Adds bytes sent to an address over connections that the process initiated; returns the sum.
    pub fn add_outbound(&mut self, to: IpAddr, bytes: u64) -> u64 {
        if bytes == 0 {
            return self.outbound.get(&to).copied().unwrap_or(0);
        }
        if self.outbound.len() >= MAX_ADDRESSES && !self.outbound.contains_key(&to) {
            // A scanner: the half of the addresses to which least was sent makes room.
            let mut sums: Vec<u64> = self.outbound.values().copied().collect();
            let (_, middle, _) = sums.select_nth_unstable(MAX_ADDRESSES / 2);
            let middle = *middle;
            self.outbound.retain(|_, sum| *sum > middle);
        }
        let sum = self.outbound.entry(to).or_default();
        *sum = sum.saturating_add(bytes);
        *sum
    }
}

/// Whether it is the first process, or the kernel's that makes its threads: no tree begins there.
const fn is_init(pid: u32) -> bool {
    pid <= 2
}

fn is_user(uid: u32) -> bool {
    uid != 0 && uid != NO_ID
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(uid: u32, euid: u32) -> Task {
        Task { tgid: 7, tid: 7, start: 1, uid, euid, gid: uid, egid: euid }
    }

    fn process(uid: u32) -> Process {
        Process::unknown(&task(uid, uid), Timestamp(0), Arc::default())
    }

    #[test]
    fn a_setuid_program_leaves_its_caller_the_normal_user() {
        let mut process = process(1000);
        process.see_credentials(&task(1000, 0), 1);
        assert_eq!((process.normal_user(), process.credentials.euid), (1000, 0));
        process.see_credentials(&task(0, 0), 2);
        assert_eq!(process.normal_user(), 1000);
    }

    #[test]
    fn a_root_daemon_that_never_was_anybody_else_is_normally_root() {
        let mut process = process(0);
        assert_eq!(process.normal_user(), 0);
        process.see_credentials(&task(33, 33), 1);
        assert_eq!(process.normal_user(), 33);
    }

    #[test]
    fn the_login_user_is_the_normal_user_whatever_came_after() {
        let mut process = process(33);
        process.login_user = 1000;
        assert_eq!(process.normal_user(), 1000);
        process.login_user = 0;
        assert_eq!(process.normal_user(), 0);
    }

    #[test]
    fn a_thread_that_changes_its_own_credentials_makes_no_other_thread_suspicious() {
        let mut process = process(0);
        let own_thread = Task { tid: 8, ..task(1000, 1000) };
        assert!(process.see_credentials(&own_thread, 1).is_some());
        assert!(!process.has_unexplained(&task(0, 0), 2));
        assert!(process.has_unexplained(&Task { tid: 8, ..task(0, 0) }, 3));
    }

    #[test]
    fn a_thread_that_gives_capabilities_up_makes_no_other_one_gain_them() {
        let mut process = process(0);
        let sets = |effective| Capabilities::known(effective, 3);
        assert_eq!(process.see_capabilities(sets(3), 7, 1), None, "those before are not known");
        process.capabilities_of = None;
        assert_eq!(process.see_capabilities(sets(3), 8, 2), None);
        assert_eq!(process.see_capabilities(sets(1), 8, 3), sets(3));
        assert_eq!(process.see_capabilities(sets(3), 9, 4), None);
        assert_eq!(process.see_capabilities(sets(0), 8, 5), sets(1));
    }

    #[test]
    fn a_tree_begins_below_init_and_with_a_login_and_goes_down_to_all_others() {
        let with_pid = |pid, login_user| {
            let task = Task { tgid: pid, ..task(0, 0) };
            Process { login_user, ..Process::unknown(&task, Timestamp(0), Arc::default()) }
        };
        let init = with_pid(1, NO_ID);
        let [mut sshd, mut session, mut shell, mut cron] =
            [(10, NO_ID), (11, 1000), (12, 1000), (13, NO_ID)].map(|(pid, login)| with_pid(pid, login));
        sshd.join_tree_of(&init);
        session.join_tree_of(&sshd);
        shell.join_tree_of(&session);
        cron.join_tree_of(&init);
        assert_eq!([&sshd, &session, &shell, &cron].map(Process::tree_id), ["10-1", "11-1", "11-1", "13-1"]);
    }

    #[test]
    fn a_sum_of_bytes_that_is_too_large_stays_at_its_end() {
        let mut process = process(0);
        let to = std::net::Ipv4Addr::LOCALHOST.into();
        process.add_outbound(to, u64::MAX);
        assert_eq!(process.add_outbound(to, 5), u64::MAX);
    }

    #[test]
    fn a_scanner_of_many_addresses_does_not_fill_the_memory() {
        let mut process = process(0);
        let kept: IpAddr = [10, 0, 0, 1].into();
        process.add_outbound(kept, 1_000_000);
        for address in 0..2 * MAX_ADDRESSES as u32 {
            process.add_outbound(std::net::Ipv4Addr::from_bits(0xc000_0000 + address).into(), 1);
        }
        assert!(process.outbound.len() <= MAX_ADDRESSES);
        assert_eq!(process.add_outbound(kept, 1), 1_000_001);
    }

    #[test]
    fn older_news_of_credentials_do_not_undo_newer_ones() {
        let mut process = process(1000);
        assert!(process.see_credentials(&task(1000, 0), 10).is_some());
        assert!(process.see_credentials(&task(1000, 1000), 9).is_none());
        assert_eq!(process.credentials.euid, 0);
    }
}
