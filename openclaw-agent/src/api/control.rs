//! What the rest of the agent does for the control socket.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use openclaw_detect::{Changes, Mode, Timestamp};
use tokio::sync::mpsc;

use super::Status;
use super::protocol::{Block, Isolate, Reloaded};
use crate::output::Format;
use crate::own_log::Ring;
use crate::respond::{ActionRecord, Modes, Network};

/// Why a request was not carried out: a sentence for the person who made it, with what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// The agent, as the control socket sees it.
///
/// The methods may block for as long as the kernel takes: the server calls them on threads where they may.
pub trait Control: Send + Sync + 'static {
    /// How the agent does.
    fn status(&self) -> Status;

    /// Whether the agent goes on.
    ///
    /// # Errors
    /// What stands still.
    fn health(&self) -> Result<(), Refusal>;

    /// Cuts an address or a network off, in both modes, under the guard rails.
    ///
    /// # Errors
    /// It could not be asked for at all; a refusal by a guard rail is a record.
    fn block(&self, request: Block) -> Result<ActionRecord, Refusal>;

    /// Takes a block back.
    ///
    /// # Errors
    /// Nothing of that name is blocked, or the kernel did not let go.
    fn unblock(&self, network: Network) -> Result<ActionRecord, Refusal>;

    /// Cuts a process tree off from the network, in both modes, under the guard rails.
    ///
    /// # Errors
    /// There is no such process; a refusal by a guard rail is a record.
    fn isolate(&self, request: Isolate) -> Result<ActionRecord, Refusal>;

    /// Takes an isolation back. `id` may be the beginning of an id.
    ///
    /// # Errors
    /// No isolation, or more than one, has that id, or the kernel did not let go.
    fn release(&self, id: &str) -> Result<ActionRecord, Refusal>;

    /// The actions that are in force, or with `all` every one that is known, the newest first.
    ///
    /// # Errors
    /// They could not be read.
    fn actions(&self, all: bool) -> Result<Vec<ActionRecord>, Refusal>;

    /// Takes one action back. `id` may be the beginning of an id.
    ///
    /// # Errors
    /// No action, or more than one, has that id, or the kernel did not let go.
    fn undo(&self, id: &str) -> Result<ActionRecord, Refusal>;

    /// Takes every action back, and returns them.
    ///
    /// # Errors
    /// The kernel did not let go.
    fn undo_all(&self) -> Result<Vec<ActionRecord>, Refusal>;

    /// In which modes answers are carried out.
    fn modes(&self) -> Modes;

    /// Switches the mode of a rule, or of all, until the agent ends.
    ///
    /// # Errors
    /// No such rule runs.
    fn switch_mode(&self, rule: Option<&str>, mode: Mode) -> Result<Modes, Refusal>;

    /// Goes back to the modes that are configured.
    fn switch_back(&self) -> Modes;

    /// Lets a rule answer again that the breaker has cut off, or all that it has.
    ///
    /// # Errors
    /// It has not cut that off.
    fn rearm(&self, rule: Option<&str>) -> Result<Modes, Refusal>;

    /// Reads the rule files again, and runs what they say. Returns how many rules run, and what changed.
    ///
    /// # Errors
    /// The files have mistakes, which the text shows: the rules that ran go on.
    fn reload_rules(&self) -> Result<(u64, Changes), Refusal>;

    /// Reads the configuration again, and works by it. Returns what holds now.
    ///
    /// # Errors
    /// It has mistakes, which the text shows: the one before goes on.
    fn reload(&self) -> Result<Reloaded, Refusal>;

    /// Delivers alerts again that were given up: the one whose id begins so, or all. Returns how many deliveries wait again.
    ///
    /// # Errors
    /// There is none, or the store does not answer.
    fn retry_alerts(&self, id: Option<&str>) -> Result<u64, Refusal>;

    /// Keeps the alerts of a rule back for so long, or lets them through again. Returns which are kept back then.
    ///
    /// # Errors
    /// No such rule runs or is muted, or the store does not answer.
    fn mute(&self, rule: &str, duration: Option<Duration>) -> Result<BTreeMap<String, Timestamp>, Refusal>;

    /// The rules whose alerts are kept back, and until when.
    ///
    /// # Errors
    /// The store does not answer.
    fn mutes(&self) -> Result<BTreeMap<String, Timestamp>, Refusal>;

    /// From now on, each event for which `condition` is true, written in `format`.
    ///
    /// # Errors
    /// The condition has a mistake, which the text shows.
    fn subscribe(&self, condition: Option<&str>, format: Format) -> Result<Subscription, Refusal>;

    /// The agent's own log.
    fn own_log(&self) -> &Ring;
}

/// Events on their way to one client. The agent never waits for it: what does not fit is counted in `lost`.
#[derive(Debug)]
pub struct Subscription {
    /// Lines without their ends. Dropping the receiver ends the subscription.
    pub lines: mpsc::Receiver<String>,
    /// How many events were left out since the client was last told; the server takes them out.
    pub lost: Arc<AtomicU64>,
}
