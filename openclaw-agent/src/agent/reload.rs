//! The configuration, read again while the agent runs: what it says of alerts and of rules holds at once, the rest from the
//! next start on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use serde_json::json;
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use super::answers::Message;
use super::notices::Notices;
use super::rules::Rules;
use crate::alert::Deliveries;
use crate::api::protocol::Reloaded;
use crate::config::{self, Config};
use crate::queue::Sender;
use crate::rules::RulesError;

/// What stands in the place of a rule's name when the configuration is not taken.
const REFUSED: &str = "configuration_refused";

/// The configuration at work, and those who work by it.
#[derive(Debug)]
pub(super) struct Reload {
    path: Option<PathBuf>,
    /// As it is carried out.
    config: Mutex<Config>,
    rules: Arc<Rules>,
    deliveries: Arc<Deliveries>,
    answers: Sender<Message>,
    notices: Notices,
    /// Why what is written is not what is carried out.
    problem: Mutex<Option<String>>,
    runtime: Handle,
}

impl Reload {
    /// Of the configuration at this path; must be called within the runtime on which alerts are delivered.
    pub(super) fn new(
        path: Option<PathBuf>,
        config: Config,
        rules: Arc<Rules>,
        deliveries: Arc<Deliveries>,
        answers: Sender<Message>,
        notices: Notices,
    ) -> Reload {
        let (config, problem) = (Mutex::new(config), Mutex::default());
        Reload { path, config, rules, deliveries, answers, notices, problem, runtime: Handle::current() }
    }

    /// Why the configuration that is written is not the one that is carried out.
    pub(super) fn problem(&self) -> Option<String> {
        lock(&self.problem).clone()
    }

    /// Reads the configuration again, and works by it: by all of it, or, where there is a mistake, by nothing of it. Waits
    /// for channels that end, so it is not for a thread of the runtime.
    ///
    /// # Errors
    /// The mistakes, of the configuration or of rules that it names.
    pub(super) fn run(&self) -> Result<Reloaded> {
        // One at a time.
        let mut running = lock(&self.config);
        match self.carry_out(&mut running) {
            Ok(reloaded) => {
                *lock(&self.problem) = None;
                info!(
                    file = reloaded.file,
                    rules = reloaded.rules,
                    changes = %reloaded.changes,
                    channels = ?reloaded.channels,
                    "the configuration was read again"
                );
                for section in &reloaded.later {
                    warn!("{section} has changed: that holds from the next start on");
                }
                Ok(reloaded)
            }
            Err(error) => {
                let text = format!("{error:#}");
                error!("the configuration on disk is not taken, the one before goes on: {text}");
                let first = match error.downcast_ref::<RulesError>() {
                    Some(rules) => rules.in_a_line(),
                    None => text.lines().next().unwrap_or_default().to_owned(),
                };
                let message = format!("the configuration on disk is not taken: {first}");
                self.notices.tell(REFUSED, &message, &json!({ "reason": text }));
                *lock(&self.problem) = Some(message);
                Err(error)
            }
        }
    }

    fn carry_out(&self, running: &mut Config) -> Result<Reloaded> {
        let loaded = config::load(self.path.as_deref())?;
        let file = loaded.path.as_deref().unwrap_or(Path::new("")).display().to_string();
        let warnings: Vec<String> =
            loaded.warnings.iter().map(|warning| format!("{file}:{warning}")).collect();
        let security = loaded.config.security.clone();
        // Nothing is changed before all of it is known to be good.
        let rules = self.rules.prepare(&security.rules)?;
        self.runtime.block_on(self.deliveries.arrange(&security.alerting))?;
        let (count, changes) = self.rules.run(rules)?;
        let endpoints = loaded.config.endpoints();
        let tell = Box::new(move |answers: &mut super::answers::Answers| {
            answers.responder.spare_endpoints(&endpoints);
        });
        if self.answers.try_send(Message::Request(tell)).is_err() {
            bail!("there is too much to answer: what is never blocked is as before; try again in a moment");
        }
        let later = running.differs_for_later(&loaded.config);
        running.security.alerting = security.alerting;
        running.security.rules = security.rules;
        let channels =
            running.security.alerting.channels.iter().filter(|_| running.security.alerting.enabled);
        Ok(Reloaded {
            file,
            rules: count,
            changes,
            channels: channels.map(|channel| channel.name.clone()).collect(),
            later: later.into_iter().map(str::to_owned).collect(),
            warnings,
        })
    }
}

/// What a panic has left is whole all the same: each change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
