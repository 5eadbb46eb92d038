//! Answers that others carry out: commands, services that are restarted, endpoints that are called.

use super::*;

impl Responder {
    /// Has the rule's command run.
    pub(super) fn answer_run(&mut self, finding: &Finding, origin: &Origin<'_>) -> ActionRecord {
        let words = &finding.response.run;
        let record = self.errand_record(ActionKind::Run, Target::Command(words.join(" ")), origin);
        let record = match words.first() {
            None => record.refused(Rail::Target, "there is no command"),
            Some(program) => {
                let record = record.past(Rail::Target);
                match errand::untrusted(program) {
                    Some(reason) => record.refused(Rail::Trust, reason),
                    None => {
                        self.send(record.past(Rail::Trust), Errand::Command(words.clone()), finding, origin)
                    }
                }
            }
        };
        self.keep(record)
    }

    /// Has the rule's service restarted.
    pub(super) fn answer_restart(&mut self, finding: &Finding, origin: &Origin<'_>) -> ActionRecord {
        const SYSTEMCTL: &str = "/usr/bin/systemctl";
        let unit = finding.response.restart.clone().unwrap_or_default();
        let record = self.errand_record(ActionKind::Restart, Target::Service(unit.clone()), origin);
        let record = record.past(Rail::Target);
        let record = match errand::untrusted(SYSTEMCTL) {
            Some(reason) => record.refused(Rail::Trust, reason),
            None => {
                let words = [SYSTEMCTL, "restart", "--", &unit].map(str::to_owned).to_vec();
                self.send(record.past(Rail::Trust), Errand::Command(words), finding, origin)
            }
        };
        self.keep(record)
    }

    /// Has the rule's endpoint called.
    pub(super) fn answer_webhook(&mut self, finding: &Finding, origin: &Origin<'_>) -> ActionRecord {
        let name = finding.response.webhook.clone().unwrap_or_default();
        let record = self.errand_record(ActionKind::Webhook, Target::Webhook(name.clone()), origin);
        let endpoint =
            self.settings.webhooks.iter().find(|(known, _)| *known == name).map(|(_, http)| http.clone());
        let record = match endpoint {
            None => {
                record.refused(Rail::Target, format!("security.response.webhooks has no endpoint `{name}`"))
            }
            Some(webhook) => self.send(record.past(Rail::Target), Errand::Call(webhook), finding, origin),
        };
        self.keep(record)
    }

    fn errand_record(&self, kind: ActionKind, target: Target, origin: &Origin<'_>) -> ActionRecord {
        self.record(origin, self.numbers.next(), kind, target)
    }

    /// Begins an errand, where the policy allows.
    fn send(
        &mut self,
        record: ActionRecord,
        errand: Errand,
        finding: &Finding,
        origin: &Origin<'_>,
    ) -> ActionRecord {
        match self.permit(origin, record, true) {
            Break(record) => record,
            Continue(record) => {
                let begun = ActionRecord { outcome: Outcome::Begun, ..record };
                match self.errands.begin(begun.clone(), errand, finding) {
                    Ok(()) => begun,
                    Err(reason) => begun.failed(reason),
                }
            }
        }
    }
}
