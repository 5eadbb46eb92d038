//! The configuration, read again while the agent runs: what it says of alerts and of rules holds at once, the rest from the
//! next start on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::answers::{Answers, Message};
use super::notices::Notices;
use super::rules::Rules;
use crate::alert::{Deliveries, Usable};
use crate::api::protocol::Reloaded;
use crate::config::{self, Config};
use crate::lock::lock;
use crate::queue::Sender;
use crate::rules::RulesError;

/// What stands in the place of a rule's name when the configuration is not taken.
const REFUSED: &str = "configuration_refused";

/// How that is said.
const NOT_TAKEN: &str = "the configuration on disk is not taken";

/// How long the thread that answers may take to hear of it.
const PATIENCE: Duration = Duration::from_secs(10);

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
    has_ended: AtomicBool,
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
        let (runtime, has_ended) = (Handle::current(), AtomicBool::new(false));
        Reload { path, config, rules, deliveries, answers, notices, problem, runtime, has_ended }
    }

    /// Why the configuration that is written is not the one that is carried out.
    pub(super) fn problem(&self) -> Option<String> {
        lock(&self.problem).clone()
    }

    /// Nothing is read again from now on: the agent stops. Waits for what is being read.
    pub(super) fn finish(&self) {
        self.has_ended.store(true, Relaxed);
        drop(lock(&self.config));
    }

    /// Reads the configuration again, and works by it: by all of it, or, where there is a mistake, by nothing of it. Waits
    /// for channels that end, so it is not for a thread of the runtime.
    ///
    /// # Errors
    /// The mistakes, of the configuration or of rules that it names; or the agent stops.
    pub(super) fn run(&self) -> Result<Reloaded> {
        // One at a time.
        let mut running = lock(&self.config);
        if self.has_ended.load(Relaxed) {
            bail!("the agent stops");
        }
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
                let message = format!("{NOT_TAKEN}: {first}; then `openclaw gateway reload` tries again");
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
        let security = &loaded.config.security;
        // Nothing is changed before all of it is known to be good.
        let rules = self.rules.prepare(&security.rules)?;
        let usable = Usable::new(&security.alerting)?;
        let mut next = running.clone();
        (next.security.alerting, next.security.rules) = (security.alerting.clone(), security.rules.clone());
        // Those before too, for as long as they are sent to.
        self.spare(running.endpoints().into_iter().chain(next.endpoints()).collect())?;
        let (count, changes) = self.rules.run(rules)?;
        self.runtime.block_on(self.deliveries.arrange(usable));
        if let Err(error) = self.spare(next.endpoints()) {
            warn!("endpoints that are not configured any more are spared all the same: {error:#}");
        }
        *running = next;
        let later = running.differs_for_later(&loaded.config);
        Ok(Reloaded {
            file,
            rules: count,
            changes,
            channels: security.alerting.channels_in_use().map(|channel| channel.name.clone()).collect(),
            later: later.into_iter().map(str::to_owned).collect(),
            warnings,
        })
    }

    /// Lets nobody block these endpoints.
    fn spare(&self, endpoints: Vec<String>) -> Result<()> {
        let (reply, done) = sync_channel(1);
        let spare = move |answers: &mut Answers| {
            answers.responder.spare_endpoints(&endpoints);
            // Nobody waits any more: they are spared all the same.
            let _ = reply.send(());
        };
        let is_told = self.answers.try_send(Message::Request(Box::new(spare))).is_ok();
        if !is_told || done.recv_timeout(PATIENCE).is_err() {
            bail!("the agent has too much to answer: try again in a moment");
        }
        Ok(())
    }
}

/// Reads it again each time that somebody asks for it; once, where many ask meanwhile.
pub(super) async fn whenever(asked: Arc<Notify>, reload: Arc<Reload>) {
    loop {
        asked.notified().await;
        let reload = Arc::clone(&reload);
        // What is wrong with it is logged, and told.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(reload.run())).await {
            error!(%error, "the configuration could not be read again");
        }
    }
}
