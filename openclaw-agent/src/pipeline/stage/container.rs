//! Containers: asked about when they are first seen, told when it is known what they are, and when they end.

use std::sync::Arc;

use openclaw_detect::{EventKind, ProcessId};

use super::{Occasion, Outlet, Stage};
use crate::enrich::{Body, Clock, Container, Resolver};

impl Stage {
    /// Asks the runtimes about containers from now on.
    #[must_use]
    pub fn with_containers(mut self, resolver: Resolver) -> Self {
        self.table.ask_runc(resolver.roots().runc.clone());
        self.resolver = Some(resolver);
        self
    }

    /// Who asks the runtimes about containers.
    pub fn containers(&self) -> Option<&Resolver> {
        self.resolver.as_ref()
    }

    /// Has the containers that are older than the agent looked up, and waits for that, so that they are known
    /// when the rules first see their processes.
    pub fn know_containers(&mut self) {
        let fresh = self.table.take_fresh_containers();
        if let Some(resolver) = &mut self.resolver
            && !fresh.is_empty()
        {
            resolver.ask_and_wait(fresh);
        }
    }

    /// Asks about the containers that were seen for the first time, and tells of those that have ended.
    pub(super) fn containers_changed(&mut self, outlet: &mut impl Outlet) {
        let fresh = self.table.take_fresh_containers();
        if let Some(resolver) = &mut self.resolver
            && !fresh.is_empty()
        {
            fresh.into_iter().for_each(|container| resolver.ask(container));
            self.counts.containers_unasked = resolver.lost();
        }
        self.containers_emptied(outlet);
    }

    /// Takes in what has become known of containers; to be called now and then, and not at each event.
    pub fn follow_containers(&mut self, outlet: &mut impl Outlet) {
        self.containers_changed(outlet);
        while let Some(answer) = self.resolver.as_ref().and_then(Resolver::answer) {
            if answer.container.describe(answer.details) {
                self.container_known(&answer.container, outlet);
            }
        }
    }

    /// It has become known what a container is: tells the rules of each program that runs in it already.
    fn container_known(&mut self, container: &Arc<Container>, outlet: &mut impl Outlet) {
        let now = Clock::since_boot();
        let members = self.table.members(container);
        let last = members.last().map(|process| process.id);
        // What a child runs that has not called exec is known by its parent.
        let is_own = |id: &ProcessId| {
            let process = self.table.get(*id);
            process.is_some_and(|process| {
                !process.ended
                    && process.parent_image.as_ref().is_none_or(|parent| !Arc::ptr_eq(parent, &process.image))
            })
        };
        let first = members.first().map(|process| process.id);
        let others: Vec<ProcessId> =
            members.iter().skip(1).map(|process| process.id).filter(is_own).collect();
        for (id, action) in
            first.into_iter().map(|id| (id, "start")).chain(others.into_iter().map(|id| (id, "join")))
        {
            let occasion = Occasion::new(id, now, EventKind::ContainerStart);
            self.emit(occasion, outlet, |_, _| Body::ContainerStart(action));
        }
        if let Some(last) = last.filter(|_| container.is_empty()) {
            self.emit(Occasion::new(last, now, EventKind::ContainerStop), outlet, |_, _| Body::ContainerStop);
        }
    }

    /// Tells of containers that their last process has left. One of which it is not known yet what it was is told
    /// of when it is.
    fn containers_emptied(&mut self, outlet: &mut impl Outlet) {
        for (id, container) in self.table.take_emptied_containers() {
            if container.details().is_some() {
                let occasion = Occasion::new(id, Clock::since_boot(), EventKind::ContainerStop);
                self.emit(occasion, outlet, |_, _| Body::ContainerStop);
            }
        }
    }
}
