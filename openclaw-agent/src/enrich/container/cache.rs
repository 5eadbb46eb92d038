//! The containers whose processes are in the table, by control group.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Container, runc};

/// Paths that are remembered as no container's, at most. They are forgotten each second in any case, since what
/// was a plain folder can become a container's.
const MAX_PLAIN: usize = 4096;

/// From the path of a control group to its container, so that a path is looked at once and not at each exec.
#[derive(Debug, Default)]
pub(in crate::enrich) struct Cache {
    /// By the path up to the part that names the container: it may make control groups of its own below.
    containers: HashMap<String, Arc<Container>>,
    /// By whole path. Also what is no container's.
    paths: HashMap<String, Option<Arc<Container>>>,
    /// Those that nobody has asked the runtimes about yet.
    fresh: Vec<Arc<Container>>,
    /// The folders of runc's state.
    runc: Vec<PathBuf>,
}

impl Cache {
    /// Takes the names of runc's containers from these folders, too.
    pub(in crate::enrich) fn ask_runc(&mut self, roots: Vec<PathBuf>) {
        self.runc = roots;
    }

    /// The container of the processes in a control group.
    pub(in crate::enrich) fn of(&mut self, path: &str) -> Option<Arc<Container>> {
        if let Some(known) = self.paths.get(path) {
            return known.clone();
        }
        let container =
            Container::of_cgroup(path).or_else(|| runc::by_name(&self.runc, path)).map(|container| {
                Arc::clone(self.containers.entry(container.cgroup.clone()).or_insert_with(|| {
                    let container = Arc::new(container);
                    self.fresh.push(Arc::clone(&container));
                    container
                }))
            });
        if self.paths.len() >= MAX_PLAIN {
            self.forget_plain();
        }
        self.paths.insert(path.to_owned(), container.clone());
        container
    }

    /// The containers that were found since this was last called.
    pub(in crate::enrich) fn take_fresh(&mut self) -> Vec<Arc<Container>> {
        std::mem::take(&mut self.fresh)
    }

    /// Forgets a container that has no process left: another one may come to have its control group.
    pub(in crate::enrich) fn forget(&mut self, container: &Arc<Container>) {
        self.containers.remove(&container.cgroup);
        self.paths.retain(|_, of| of.as_ref().is_none_or(|of| !Arc::ptr_eq(of, container)));
    }

    /// Forgets which paths are no container's.
    pub(in crate::enrich) fn forget_plain(&mut self) {
        self.paths.retain(|_, container| container.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str = "/docker/0559aa0f6c7102abf3f3e7f6eb22b5a61eebec6a97d220ef7cf06772e88bbda5";

    #[test]
    fn control_groups_below_a_containers_own_are_that_containers() {
        let mut cache = Cache::default();
        let container = cache.of(DOCKER).unwrap();
        assert!(Arc::ptr_eq(&container, &cache.of(&format!("{DOCKER}/init")).unwrap()));
        assert!(Arc::ptr_eq(&container, &cache.of(DOCKER).unwrap()));
        assert_eq!(cache.take_fresh().len(), 1);
        assert!(cache.take_fresh().is_empty());
    }

    #[test]
    fn a_container_of_which_nothing_is_left_is_another_one_when_it_comes_again() {
        let mut cache = Cache::default();
        let container = cache.of(DOCKER).unwrap();
        cache.of(&format!("{DOCKER}/init"));
        cache.forget(&container);
        assert!(cache.paths.is_empty() && cache.containers.is_empty());
        assert!(!Arc::ptr_eq(&container, &cache.of(DOCKER).unwrap()));
    }

    #[test]
    fn a_path_that_was_no_containers_can_become_one_of_runc() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::default();
        cache.ask_runc(vec![folder.path().to_owned()]);
        assert!(cache.of("/box").is_none());
        std::fs::create_dir(folder.path().join("box")).unwrap();
        std::fs::write(folder.path().join("box/state.json"), "{}").unwrap();
        cache.forget_plain();
        assert_eq!(cache.of("/box/below/it").unwrap().id, "box");
    }

    #[test]
    fn paths_of_services_do_not_fill_the_memory() {
        let mut cache = Cache::default();
        for number in 0..3 * MAX_PLAIN {
            cache.of(&format!("/system.slice/run-{number}.scope"));
        }
        assert!(cache.paths.len() <= MAX_PLAIN);
    }
}
