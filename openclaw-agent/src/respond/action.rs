//! The record of one answer: what was asked, what stood in its way or did not, what was done, until when.

use openclaw_detect::{Action, Mode, ProcessId, Scope, Timestamp};
use serde::{Deserialize, Serialize};

/// One answer, as it is stored, listed and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// What `release`, `blocklist remove` and `response undo` take.
    pub id: String,
    /// The finding that asked for it; none where a person did.
    pub finding: Option<String>,
    /// The rule that asked for it; none where a person did.
    pub rule: Option<String>,
    /// What was asked for.
    pub kind: ActionKind,
    /// On whom.
    pub target: Target,
    /// On how much of what belongs to the target, where that is a process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// How many processes it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// The mode that held for it; none where a person asked, which is done in both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The guard rails that were asked, in this order, and let it pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Rail>,
    /// The guard rail that did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Rail>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused or failed, or what the person gave as the reason.
    pub reason: Option<String>,
    /// When it was asked for.
    pub at: Timestamp,
    /// How long after the event the first signal was sent, in microseconds; of what is done to processes alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_us: Option<u64>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Timestamp>,
    /// When its effect was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Timestamp>,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The id of the verdict that does it, where another answer had made that before.
    #[serde(default)]
    pub verdict: Option<String>,
    /// The id of the answer without effect in whose place this one was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalates: Option<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// No packets to or from an address or network.
    Block,
    /// No network for a process and all its descendants, for a container or for the host.
    Isolate,
    /// Processes stand still.
    Suspend,
    /// Processes end.
    Kill,
    /// A command is run.
    Run,
    /// A service is restarted.
    Restart,
    /// An endpoint is called.
    Webhook,
}

impl ActionKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [ActionKind; 7] = [
        ActionKind::Block,
        ActionKind::Isolate,
        ActionKind::Suspend,
        ActionKind::Kill,
        ActionKind::Run,
        ActionKind::Restart,
        ActionKind::Webhook,
    ];

    /// The action of rules that asks for it.
    pub const fn action(self) -> Action {
        match self {
            ActionKind::Block => Action::Block,
            ActionKind::Isolate => Action::Isolate,
            ActionKind::Suspend => Action::Suspend,
            ActionKind::Kill => Action::Kill,
            ActionKind::Run => Action::Run,
            ActionKind::Restart => Action::Restart,
            ActionKind::Webhook => Action::Webhook,
        }
    }

    /// Whether it lasts, and can be taken back.
    pub const fn can_be_undone(self) -> bool {
        matches!(self, ActionKind::Block | ActionKind::Isolate | ActionKind::Suspend)
    }

    /// The name that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            ActionKind::Block => "block",
            ActionKind::Isolate => "isolate",
            ActionKind::Suspend => "suspend",
            ActionKind::Kill => "kill",
            ActionKind::Run => "run",
            ActionKind::Restart => "restart",
            ActionKind::Webhook => "webhook",
        }
    }
}

/// On whom it is done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// An address or a network, `192.0.2.7` or `192.0.2.0/24`.
    Network(String),
    /// A process, the root of the tree that is meant.
    Process {
        /// Which one.
        id: ProcessId,
        /// Its name when the action was asked for.
        name: String,
    },
    /// This host.
    Host,
    /// A command, its words joined by spaces.
    Command(String),
    /// A service, by its unit.
    Service(String),
    /// An endpoint, by its name in the configuration.
    Webhook(String),
    /// Nothing that can be acted on: the event names no such target.
    None,
}

/// What stands between an answer and its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rail {
    /// There is something to act on.
    Target,
    /// The process is the one that is meant, not another one of its number.
    Identity,
    /// Neither the process nor what goes with it is on the protected list.
    Protected,
    /// The network holds nothing that must stay reachable.
    NeverBlock,
    /// Nobody works on this host from there.
    Operator,
    /// The finding is sure enough.
    Confidence,
    /// The machine lets it be done there.
    Reach,
    /// Nobody but root can have written what is to be run.
    Trust,
    /// Answers are not too many.
    Breaker,
}

impl Rail {
    /// The name that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            Rail::Target => "target",
            Rail::Identity => "identity",
            Rail::Protected => "protected",
            Rail::NeverBlock => "never_block",
            Rail::Operator => "operator",
            Rail::Confidence => "confidence",
            Rail::Reach => "reach",
            Rail::Trust => "trust",
            Rail::Breaker => "breaker",
        }
    }
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Begun: its effect was not seen yet.
    Begun,
    /// Done, and verified.
    Done,
    /// Observe mode: it would have been done.
    Would,
    /// A guard rail forbade it.
    Refused,
    /// It was tried and did not work.
    Failed,
    /// Its time is over.
    Expired,
    /// A person took it back.
    Undone,
}

impl Outcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: [Outcome; 7] = [
        Outcome::Begun,
        Outcome::Done,
        Outcome::Would,
        Outcome::Refused,
        Outcome::Failed,
        Outcome::Expired,
        Outcome::Undone,
    ];

    /// The name that JSON uses.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Begun => "begun",
            Outcome::Done => "done",
            Outcome::Would => "would",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Expired => "expired",
            Outcome::Undone => "undone",
        }
    }
}

impl ActionRecord {
    /// What was asked for and has not come to anything yet.
    pub fn asked(id: String, kind: ActionKind, target: Target, at: Timestamp) -> Self {
        ActionRecord {
            id,
            finding: None,
            rule: None,
            kind,
            target,
            scope: None,
            processes: None,
            mode: None,
            passed: Vec::new(),
            refused_by: None,
            outcome: Outcome::Failed,
            reason: None,
            at,
            delay_us: None,
            done: None,
            verified: None,
            expires: None,
            ended: None,
            verdict: None,
            escalates: None,
        }
    }

    /// Fills in what an earlier record of the same answer says and this one does not: an agent that takes a verdict over
    /// knows of it what the kernel keeps alone.
    pub fn fill_in(&mut self, earlier: &ActionRecord) {
        self.finding = earlier.finding.clone().or_else(|| self.finding.take());
        self.rule = earlier.rule.clone().or_else(|| self.rule.take());
        self.scope = self.scope.or(earlier.scope);
        self.processes = self.processes.or(earlier.processes);
        self.mode = self.mode.or(earlier.mode);
        self.delay_us = self.delay_us.or(earlier.delay_us);
        self.done = self.done.or(earlier.done);
        self.verified = self.verified.or(earlier.verified);
        // The kernel keeps the beginning of a long one.
        if let (Some(cut), Some(whole)) = (&self.reason, &earlier.reason)
            && whole.starts_with(cut.as_str())
        {
            self.reason = Some(whole.clone());
        }
        self.escalates = self.escalates.take().or_else(|| earlier.escalates.clone());
        if self.passed.is_empty() {
            self.passed.clone_from(&earlier.passed);
        }
    }

    /// The same, let pass by a guard rail.
    #[must_use]
    pub(super) fn past(mut self, rail: Rail) -> Self {
        self.passed.push(rail);
        self
    }

    /// The same, refused by a guard rail.
    #[must_use]
    pub(super) fn refused(self, rail: Rail, reason: impl Into<String>) -> Self {
        ActionRecord {
            outcome: Outcome::Refused,
            refused_by: Some(rail),
            reason: Some(reason.into()),
            ..self
        }
    }

    /// The same, tried in vain.
    #[must_use]
    pub(super) fn failed(self, reason: impl Into<String>) -> Self {
        ActionRecord { outcome: Outcome::Failed, reason: Some(reason.into()), ..self }
    }
}
