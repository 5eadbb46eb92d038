//! How a rule wants to be answered: by which actions, on what, for how long, and whether at all.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a rule asks for when it fires; joined with `_and_` as in `block_and_alert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Tell the SOC.
    Alert,
    /// Run a command, which is told the finding.
    Run,
    /// Restart a service.
    Restart,
    /// Call an endpoint of the agent's configuration, which is told the finding.
    Webhook,
    /// Cut the remote address off, both ways.
    Block,
    /// Cut the process tree, the container or the host off from the network.
    Isolate,
    /// Stop it, so that it can be looked at, and resumed as it was.
    Suspend,
    /// End it.
    Kill,
}

impl Action {
    /// Every action.
    pub const ALL: &'static [Action] = &[
        Action::Alert,
        Action::Run,
        Action::Restart,
        Action::Webhook,
        Action::Block,
        Action::Isolate,
        Action::Suspend,
        Action::Kill,
    ];

    /// The name that rules and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Alert => "alert",
            Action::Run => "run",
            Action::Restart => "restart",
            Action::Webhook => "webhook",
            Action::Block => "block",
            Action::Isolate => "isolate",
            Action::Suspend => "suspend",
            Action::Kill => "kill",
        }
    }

    /// The action of that name.
    pub fn from_name(name: &str) -> Option<Action> {
        Action::ALL.iter().copied().find(|action| action.name() == name)
    }

    /// On what it may be done; nothing where it is done on no process.
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Action::Alert | Action::Run | Action::Restart | Action::Webhook | Action::Block => &[],
            Action::Isolate => &[Scope::Tree, Scope::Container, Scope::Host],
            Action::Suspend | Action::Kill => &[Scope::Process, Scope::Tree, Scope::Container],
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// On how much of what a process belongs to something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The process that the rule matched, alone.
    Process,
    /// That process and all that descend from it.
    #[default]
    Tree,
    /// Every process of its container; of what runs in none, the tree.
    Container,
    /// All of this host.
    Host,
}

impl Scope {
    /// Every scope, from least to most.
    pub const ALL: &'static [Scope] = &[Scope::Process, Scope::Tree, Scope::Container, Scope::Host];

    /// The name that rules and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Process => "process",
            Scope::Tree => "tree",
            Scope::Container => "container",
            Scope::Host => "host",
        }
    }

    /// The scope of that name.
    pub fn from_name(name: &str) -> Option<Scope> {
        Scope::ALL.iter().copied().find(|scope| scope.name() == name)
    }
}

/// Whether answers are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Answers are checked and recorded, not carried out.
    #[default]
    Observe,
    /// Answers are carried out.
    Enforce,
}

impl Mode {
    /// Both modes.
    pub const ALL: &'static [Mode] = &[Mode::Observe, Mode::Enforce];

    /// The name that rules, configuration and JSON use.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Observe => "observe",
            Mode::Enforce => "enforce",
        }
    }

    /// The mode of that name.
    pub fn from_name(name: &str) -> Option<Mode> {
        Mode::ALL.iter().copied().find(|mode| mode.name() == name)
    }
}

/// What a rule says of its answers, under `response`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Response {
    /// How long an answer lasts that can end, in seconds; the agent's default (1 h) where the rule says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// On what `isolate` is done.
    pub isolate: Scope,
    /// On what `suspend` is done.
    pub suspend: Scope,
    /// On what `kill` is done.
    pub kill: Scope,
    /// The command of `run`, by its whole path, and its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// The service of `restart`, by the name of its unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// The endpoint of `webhook`, by its name in the agent's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// Whether its answers are carried out; as it is for every rule where this one says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// What may be done, in this order, where an answer has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Action>,
}

impl Response {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Response::default()
    }

    /// How long an answer lasts, where the rule says so.
    pub fn duration(&self) -> Option<Duration> {
        self.seconds.map(Duration::from_secs)
    }

    /// On what an action is done.
    pub fn scope(&self, action: Action) -> Scope {
        match action {
            Action::Kill => self.kill,
            Action::Suspend => self.suspend,
            _ => self.isolate,
        }
    }

    /// What comes after this action where it has no effect: the first that is stronger.
    pub fn after(&self, action: Action) -> Option<Action> {
        self.escalate.iter().copied().find(|next| *next > action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        assert!(Action::ALL.iter().all(|action| Action::from_name(action.name()) == Some(*action)));
        assert!(Scope::ALL.iter().all(|scope| Scope::from_name(scope.name()) == Some(*scope)));
        assert!(Mode::ALL.iter().all(|mode| Mode::from_name(mode.name()) == Some(*mode)));
    }

    #[test]
    fn what_escalates_never_falls_back_to_what_is_weaker() {
        let response = Response { escalate: vec![Action::Suspend, Action::Kill], ..Response::default() };
        assert_eq!(response.after(Action::Isolate), Some(Action::Suspend));
        assert_eq!(response.after(Action::Suspend), Some(Action::Kill));
        assert_eq!(response.after(Action::Kill), None);
    }
}
