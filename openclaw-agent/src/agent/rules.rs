//! The rules of the running agent: read again when their files change or somebody asks, and what they remember
//! kept on disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openclaw_detect::{Action, Changes, Engine, RuleSet};
use serde_json::json;
use tracing::{error, info, warn};

use super::notices::Notices;
use crate::config;
use crate::lock::lock;
use crate::logs::Positions;
use crate::pipeline::{Engines, Remembered};
use crate::rules::memory::{self, Memory};
use crate::rules::{self, RulesError, Stamp, Writers};

/// How often it is looked whether rule files have changed.
const LOOK: Duration = Duration::from_secs(2);

/// How often what rules remember is kept on disk: that much is forgotten when the agent is killed.
const KEEP: Duration = Duration::from_secs(60);

/// What stands in the place of a rule's name when rules are not run.
const REFUSED: &str = "rules_refused";

/// The rules that run, and the way to others.
#[derive(Debug)]
pub(super) struct Rules {
    config: Mutex<config::Rules>,
    /// `--rules`
    instead: Vec<PathBuf>,
    /// The endpoints that rules may call.
    webhooks: Vec<String>,
    engines: Engines,
    memory: Memory,
    notices: Notices,
    /// Held by who reads the files and hands them on, one at a time.
    reloading: Mutex<()>,
    state: Mutex<State>,
}

/// Rules that were read, and wait to be run.
pub(super) struct Prepared<'a> {
    rules: RuleSet,
    /// What names their files.
    config: config::Rules,
    /// What these were then.
    stamps: Vec<Stamp>,
    _one_at_a_time: MutexGuard<'a, ()>,
}

#[derive(Debug)]
struct State {
    running: RuleSet,
    /// The files when they were read last.
    stamps: Vec<Stamp>,
    /// The files when they were looked at last.
    seen: Vec<Stamp>,
    /// Why the files could not be loaded, where the running rules are not what is written.
    problem: Option<String>,
}

impl State {
    /// The files were read when they were so.
    fn looked_at(&mut self, stamps: &[Stamp]) {
        self.seen = stamps.to_vec();
        self.stamps = stamps.to_vec();
    }
}

impl Rules {
    /// Reads the rules that are to run, and what their files were before that, so that what changes meanwhile is
    /// noticed.
    pub(super) fn read(
        config: &config::Rules,
        instead: &[PathBuf],
        webhooks: &[String],
    ) -> (Result<RuleSet, RulesError>, Vec<Stamp>) {
        let stamps = rules::stamps(config, instead);
        let rules = rules::load(config, instead, Writers::Trusted);
        for warning in rules.iter().flat_map(|rules| rules.warnings().iter()) {
            warn!("{warning}");
        }
        for rule in rules.iter().flat_map(RuleSet::iter) {
            let called = rule.response.webhook.as_ref().filter(|_| rule.actions.contains(&Action::Webhook));
            if let Some(name) = called.filter(|name| !webhooks.contains(name)) {
                let (place, rule) = (&rule.origin, &rule.name);
                warn!(
                    "{place}: the rule {rule} calls `{name}`, which security.response.webhooks does not have (what is \
                       new there holds from the agent's next start on): its calls will be refused"
                );
            }
        }
        (rules, stamps)
    }

    /// The rules run already; with them comes what [`Rules::read`] says of their files.
    pub(super) fn new(
        config: config::Rules,
        instead: Vec<PathBuf>,
        webhooks: Vec<String>,
        engines: Engines,
        memory: PathBuf,
        notices: Notices,
        (running, stamps): (RuleSet, Vec<Stamp>),
    ) -> Self {
        let problem = rules::left_out(&running);
        if let Some(problem) = &problem {
            notices.tell(REFUSED, problem, &json!({ "reason": problem }));
        }
        let state = State { running, seen: stamps.clone(), stamps, problem };
        let (config, memory) = (Mutex::new(config), Memory::new(memory));
        Rules {
            config,
            instead,
            webhooks,
            engines,
            memory,
            notices,
            reloading: Mutex::new(()),
            state: Mutex::new(state),
        }
    }

    /// An engine for the rules, which knows what the last agent's knew, and how far that one had read the logs.
    pub(super) fn engine(rules: RuleSet, memory: &Path) -> (Engine, Positions) {
        let mut engine = Engine::new(rules);
        match memory::read(memory) {
            Ok(Some(Remembered { rules, logs })) => {
                engine.restore(&rules);
                return (engine, logs);
            }
            Ok(None) => {}
            Err(error) => {
                warn!(
                    file = %memory.display(),
                    %error,
                    "what rules remembered is not taken back, nor how far logs were read: they begin anew"
                );
            }
        }
        (engine, Positions::new())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// How many rules run.
    pub(super) fn count(&self) -> u64 {
        self.state().running.len() as u64
    }

    /// Whether a rule of this name runs.
    pub(super) fn has(&self, rule: &str) -> bool {
        self.state().running.get(rule).is_some()
    }

    /// Why the rules that run are not those that are written.
    pub(super) fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// Reads the files, and runs what they say: all of it, or, where there is a mistake in any, nothing of it.
    /// Returns how many rules run, and what changed.
    ///
    /// # Errors
    /// The files' mistakes, or that the sensor's thread does not answer.
    pub(super) fn reload(&self) -> anyhow::Result<(u64, Changes)> {
        let one_at_a_time = lock(&self.reloading);
        let config = lock(&self.config).clone();
        let (rules, stamps) = Self::read(&config, &self.instead, &self.webhooks);
        // What cannot be loaded is not tried again until it changes.
        self.state().looked_at(&stamps);
        match rules {
            Ok(rules) => self.run(Prepared { rules, config, stamps, _one_at_a_time: one_at_a_time }),
            Err(error) => {
                error!("the rules on disk are not run, those before go on: {error}");
                let problem = format!("the rules on disk are not run: {}", error.in_a_line());
                self.notices.tell(REFUSED, &problem, &json!({ "reason": error.to_string() }));
                self.state().problem = Some(problem);
                Err(error.into())
            }
        }
    }

    /// Reads the files that another configuration names, to be run.
    ///
    /// # Errors
    /// Their mistakes.
    pub(super) fn prepare(&self, config: &config::Rules) -> Result<Prepared<'_>, RulesError> {
        let one_at_a_time = lock(&self.reloading);
        let (rules, stamps) = Self::read(config, &self.instead, &self.webhooks);
        Ok(Prepared { rules: rules?, config: config.clone(), stamps, _one_at_a_time: one_at_a_time })
    }

    /// Runs what was read. Returns how many rules run, and what changed.
    ///
    /// # Errors
    /// The sensor's thread does not answer: those before go on.
    pub(super) fn run(&self, prepared: Prepared<'_>) -> anyhow::Result<(u64, Changes)> {
        let Prepared { rules, config, stamps, _one_at_a_time } = prepared;
        let changes = rules.changes_since(&self.state().running);
        let count = rules.len() as u64;
        if !self.engines.replace(Engine::new(rules.clone())) {
            let message = "the sensor's thread does not take the new rules";
            let mut state = self.state();
            state.problem = Some(message.to_owned());
            // It is tried again, though the files do not change.
            state.stamps.clear();
            anyhow::bail!("{message}: see `openclaw status`");
        }
        *lock(&self.config) = config;
        let mut state = self.state();
        state.looked_at(&stamps);
        state.problem = rules::left_out(&rules);
        state.running = rules;
        info!(rules = count, %changes, "the rules were read again");
        Ok((count, changes))
    }

    /// Reads the files again where they have changed, and changed no more since the last look.
    fn look(&self) {
        let stamps = rules::stamps(&lock(&self.config).clone(), &self.instead);
        let is_due = {
            let mut state = self.state();
            let settled = stamps == state.seen && stamps != state.stamps;
            state.seen = stamps;
            settled
        };
        if is_due {
            // Its errors are logged, and told in the status.
            let _ = self.reload();
        }
    }

    /// Keeps what the rules remember by now, if the sensor's thread has the time to say it.
    fn keep(&self) {
        match self.engines.remembered() {
            Some(remembered) => self.memory.keep(&remembered).unwrap_or_else(|error| self.complain(&error)),
            None => {
                warn!("what rules remember is not kept this time: the sensor's thread has no time to say it")
            }
        }
    }

    /// Keeps what the rules remembered at their end: nothing is kept after that.
    pub(super) fn keep_last(&self, remembered: &Remembered) {
        self.memory.keep_last(remembered).unwrap_or_else(|error| self.complain(&error));
    }

    fn complain(&self, error: &io::Error) {
        error!(file = %self.memory.path().display(), %error, "what rules remember could not be kept");
    }
}

/// Looks after the rules until the task is dropped.
pub(super) async fn watch(rules: Arc<Rules>) {
    let (mut look, mut keep) = (tokio::time::interval(LOOK), tokio::time::interval(KEEP));
    loop {
        let rules = Arc::clone(&rules);
        let work = tokio::select! {
            _ = look.tick() => tokio::task::spawn_blocking(move || rules.look()),
            _ = keep.tick() => tokio::task::spawn_blocking(move || rules.keep()),
        };
        if let Err(error) = work.await {
            error!(%error, "the rules could not be looked after");
        }
    }
}
