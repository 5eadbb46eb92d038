//! The kernel programs while a verdict lives: loaded, attached, told, and let go.

use super::*;

impl Responder {
    pub(super) fn enforcer(&mut self) -> Result<&mut Enforcer> {
        self.enforcer.as_mut().context("the verdict programs are not attached")
    }

    /// Loads, attaches and pins the programs, unless they are there.
    pub(super) fn attach(&mut self) -> Result<()> {
        self.notice_removal();
        let told = self.notices.len();
        self.take_hold()?;
        for notice in &self.notices[told..] {
            tracing::warn!("{notice}");
        }
        if self.enforcer.is_some() {
            return Ok(());
        }
        let scope = cgroup::scope(self.settings.cgroup.as_deref())?;
        let programs = self.programs()?;
        let installed = Enforcer::install(programs, &scope, &self.pins)
            .and_then(|enforcer| self.pins.commit().map(|()| enforcer));
        match installed {
            Ok(enforcer) => {
                self.enforcer = Some(enforcer);
                self.uninherited = 0;
                self.is_detached = false;
                self.tell_of_isolation()
            }
            Err(error) => {
                let _ = self.pins.remove_staging();
                Err(error)
            }
        }
    }

    /// The programs that were loaded ahead, or others.
    pub(super) fn programs(&mut self) -> Result<Ebpf> {
        match self.spare.take() {
            Some(programs) => Ok(programs),
            None => enforcer::load(&self.layout, self.room()),
        }
    }

    /// Loads the programs where findings may need them at any time. Nothing runs them yet.
    pub(super) fn load_ahead(&mut self) -> Result<()> {
        if self.policy.expects_answers() && self.enforcer.is_none() && self.spare.is_none() {
            self.spare = Some(enforcer::load_ahead(&self.layout, self.room())?);
        }
        Ok(())
    }

    /// A table of isolated processes that can fill would let children out.
    pub(super) fn room(&self) -> u32 {
        self.settings.max_isolated_processes.unwrap_or_else(process::most)
    }

    pub(super) fn detach_if_idle(&mut self) -> Result<()> {
        if self.live.is_empty() {
            self.enforcer = None;
            if self.has_hold() {
                self.pins.remove()?;
            }
            if let Err(error) = self.load_ahead() {
                tracing::warn!("the next verdict will take longer to make: {error:#}");
            }
        }
        Ok(())
    }

    /// Tells programs that others were told of all that does not stand in marks.
    pub(super) fn tell_anew(&self, enforcer: &mut Enforcer) -> Result<()> {
        let blocks: Vec<(Network, u64)> = self
            .live
            .values()
            .filter_map(|live| match live.what {
                What::Block(network) => Some((network, live.expiry)),
                What::Isolate { .. } | What::IsolateHost => None,
            })
            .collect();
        enforcer.block_only(&blocks)?;
        let (isolation, allowed) = self.isolation();
        enforcer.isolate(isolation, &allowed)
    }

    /// Gives each mark to the isolation that lasts longest, after one has ended or been extended.
    pub(super) fn mark_anew(&mut self) {
        let Some(enforcer) = &mut self.enforcer else { return };
        for live in self.live.values_mut() {
            if let What::Isolate { tree, .. } = &mut live.what {
                tree.mark_anew(enforcer);
            }
        }
    }

    /// Marks what has come into isolated trees since the last time.
    pub(super) fn sweep(&mut self) -> Vec<ActionRecord> {
        let Some(enforcer) = &mut self.enforcer else { return Vec::new() };
        let uninherited = enforcer.count(Counter::Uninherited);
        let children_are_missing = uninherited > self.uninherited;
        self.uninherited = uninherited;
        let mut records = Vec::new();
        for live in self.live.values_mut() {
            let What::Isolate { tree, reported, .. } = &mut live.what else { continue };
            let shortfall =
                if children_are_missing { tree.mark_all(enforcer) } else { tree.refresh(enforcer) };
            if shortfall != *reported {
                *reported = shortfall;
                if let Some(sentence) = reported.sentence() {
                    let record = ActionRecord {
                        outcome: Outcome::Failed,
                        reason: Some(format!("{sentence}; the rest stays cut off")),
                        ..live.record.clone()
                    };
                    records.push(record);
                }
            }
        }
        records.into_iter().map(|record| self.keep(record)).collect()
    }

    pub(super) fn has_hold(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| self.pins.are_held_by(hold))
    }
}
