//! Containers: which one a process is in, and what its runtime says of it.
//!
//! Id and runtime are read off the path of the control group, at once. What the runtime keeps on disk (name,
//! image, labels, pod) a thread of its own reads ([`Resolver`]), once for each container; the sensor's thread
//! takes the answer when it is there.

mod bolt;
mod cache;
mod cgroup;
mod containerd;
mod docker;
mod podman;
mod resolver;
mod runc;
mod state;
mod storage;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

pub(super) use cache::Cache;
pub(super) use cgroup::own as container_path;
pub use resolver::Resolver;
pub use state::Roots;

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Docker's engine (which has containerd run them).
    Docker,
    /// containerd, for Kubernetes, nerdctl or ctr.
    Containerd,
    /// CRI-O.
    CriO,
    /// Podman and what else is made with libpod.
    Podman,
    /// runc by itself.
    Runc,
    /// LXC, LXD, Incus.
    Lxc,
    /// systemd-nspawn.
    Nspawn,
}

impl Runtime {
    /// The value of `container.runtime`.
    pub const fn name(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Containerd => "containerd",
            Runtime::CriO => "cri-o",
            Runtime::Podman => "podman",
            Runtime::Runc => "runc",
            Runtime::Lxc => "lxc",
            Runtime::Nspawn => "systemd-nspawn",
        }
    }
}

/// One container, shared by the processes in it.
#[derive(Debug)]
pub struct Container {
    /// Its id, or where its runtime has none its name as the path spells it.
    pub id: String,
    /// The path of its control group.
    cgroup: String,
    /// The runtime, where the path tells it.
    runtime: Option<Runtime>,
    /// The uid of the pod that it belongs to, where the path tells it.
    pub pod_uid: Option<String>,
    /// What its runtime says of it, since that is known.
    details: OnceLock<Details>,
    /// Processes that are known to be in it and not to have ended.
    members: AtomicU32,
}

impl Container {
    /// The container that a control group's path leads to.
    fn of_cgroup(path: &str) -> Option<Container> {
        let found = cgroup::parse(path)?;
        Some(Self::new(found.id, found.own, found.runtime, found.pod_uid()))
    }

    fn new(id: &str, cgroup: &str, runtime: Option<Runtime>, pod_uid: Option<String>) -> Container {
        Container {
            id: id.to_owned(),
            cgroup: cgroup.to_owned(),
            runtime,
            pod_uid,
            details: OnceLock::new(),
            members: AtomicU32::new(0),
        }
    }

    /// The runtime, by the path or by whose state it was found in.
    pub fn runtime(&self) -> Option<Runtime> {
        self.runtime.or_else(|| self.details.get()?.runtime)
    }

    /// What its runtime says of it. `None` until that was asked.
    pub fn details(&self) -> Option<&Details> {
        self.details.get()
    }

    /// Takes in what the runtime says. Returns whether that is news.
    pub(crate) fn describe(&self, details: Details) -> bool {
        self.details.set(details).is_ok()
    }

    /// A process is in it from now on.
    pub(super) fn enter(&self) {
        self.members.fetch_add(1, Relaxed);
    }

    /// A process of it has ended, or left. Returns whether it was the last one.
    pub(super) fn leave(&self) -> bool {
        self.members.fetch_sub(1, Relaxed) == 1
    }

    /// Whether none of its processes is left.
    pub fn is_empty(&self) -> bool {
        self.members.load(Relaxed) == 0
    }
}

/// What a runtime says of a container. What it does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Whose state it was found in; none where it was found in nobody's.
    pub runtime: Option<Runtime>,
    /// The name; under Kubernetes that in the pod.
    pub name: String,
    /// The image as the runtime names it.
    pub image: String,
    /// `KEY=VALUE`, each ended by NUL.
    pub labels: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
}

impl Details {
    /// Most bytes of labels that are kept: strangers write them.
    const LABELS_MAX: usize = 8192;

    /// Adds labels, as long as there is room.
    fn add_labels<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (key, value) in labels {
            if self.labels.len() + key.len() + value.len() + 2 > Self::LABELS_MAX {
                return;
            }
            let from = self.labels.len();
            self.labels.extend([key, "=", value]);
            if self.labels[from..].contains('\0') {
                // It would end the label.
                let clean = self.labels[from..].replace('\0', "\u{fffd}");
                self.labels.replace_range(from.., &clean);
            }
            self.labels.push('\0');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_a_list_whatever_strangers_write_into_them_and_of_bounded_length() {
        let mut details = Details::default();
        details.add_labels([("a", "b"), ("c\0d", "é")]);
        assert_eq!(details.labels, "a=b\0c\u{fffd}d=é\0");
        details.add_labels([("long", &*"x".repeat(10_000)), ("e", "f")]);
        assert_eq!(details.labels, "a=b\0c\u{fffd}d=é\0");
    }

    #[test]
    fn the_last_process_that_leaves_is_told_from_the_others() {
        let container = Container::new("x", "/x", None, None);
        container.enter();
        container.enter();
        assert!(!container.leave());
        assert!(container.leave());
        assert!(container.is_empty());
    }
}
