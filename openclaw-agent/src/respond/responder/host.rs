//! Isolation of the host, and what every isolation leaves open.

use openclaw_common::verdict::{Allowed, Isolation};

use super::*;

impl Responder {
    pub(super) fn answer_isolate_host(&mut self, origin: &Origin<'_>) -> ActionRecord {
        self.notice_removal();
        let number = self.numbers.next();
        let record = self.record(origin, number, ActionKind::Isolate, Target::Host);
        let record = ActionRecord { scope: Some(Scope::Host), ..record }.past(Rail::Target);
        let record = self.isolate_host_known(number, record, origin);
        self.keep(record)
    }

    fn isolate_host_known(&mut self, number: u64, record: ActionRecord, origin: &Origin<'_>) -> ActionRecord {
        if let Some(reason) = self.no_scope() {
            return record.refused(Rail::Reach, reason);
        }
        let mut record = record.past(Rail::Reach);
        if origin.finding.is_some() {
            if let Some(reason) = self.networks.lockout() {
                return record.refused(Rail::Operator, reason);
            }
            record = record.past(Rail::Operator);
        }
        let existing = self
            .live
            .iter()
            .find(|(_, live)| matches!(live.what, What::IsolateHost))
            .map(|(number, _)| *number);
        match self.permit(origin, record, existing.is_none()) {
            Break(record) => record,
            Continue(record) => match existing {
                Some(existing) => self.extend(existing, record, origin),
                None => self.carry_out(number, record, origin, |responder, record, expiry| {
                    responder.do_isolate_host(number, record, expiry)
                }),
            },
        }
    }

    fn do_isolate_host(&mut self, number: u64, record: ActionRecord, expiry: u64) -> Result<ActionRecord> {
        self.enforcer()?.set_verdict(number, encode(&record, Subject::Host, expiry))?;
        self.live.insert(number, Live { record: record.clone(), expiry, what: What::IsolateHost });
        self.tell_of_isolation()?;
        let done = clock::wall();
        if self.enforcer()?.isolation().host_until < expiry {
            bail!("the kernel did not keep that this host is isolated");
        }
        self.done(number, done)
    }

    /// Tells the kernel whether the host is isolated, and what isolation leaves open.
    pub(super) fn tell_of_isolation(&mut self) -> Result<()> {
        let (isolation, allowed) = self.isolation();
        self.enforcer.as_mut().map_or(Ok(()), |enforcer| enforcer.isolate(isolation, &allowed))
    }

    /// What the kernel is to know of it.
    pub(super) fn isolation(&self) -> (Isolation, BTreeMap<Network, Allowed>) {
        let hosts = self.live.values().filter(|live| matches!(live.what, What::IsolateHost));
        let agent = std::process::id();
        let isolation = Isolation {
            host_until: hosts.map(|live| live.expiry).max().unwrap_or(0),
            agent_start: process::stat(agent).map_or(0, |stat| stat.start),
            agent,
            open: self.settings.isolation.open(),
        };
        (isolation, self.settings.isolation.networks())
    }

    /// Follows a host whose DNS servers have become others, while somebody is isolated.
    pub(super) fn renew_exceptions(&mut self, now: u64) {
        let isolates = || self.live.values().any(|live| !matches!(live.what, What::Block(_)));
        if !self.settings.isolation.dns || now < self.exceptions_due || !isolates() {
            return;
        }
        self.exceptions_due = now + clock::nanoseconds(WATCH);
        let allowed = self.settings.isolation.networks();
        if let Some(enforcer) = &mut self.enforcer
            && let Err(error) = enforcer.allow_only(&allowed)
        {
            tracing::error!("isolation does not leave open what it is to: {error:#}");
        }
    }
}
