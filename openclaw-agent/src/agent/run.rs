//! `openclaw run`: starts the parts in the order in which they need one another, and stops them in the
//! opposite one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::answers::{Answers, Message};
use super::audience::Audience;
use super::blind::{self, Alive};
use super::control::Control;
use super::counts::ActionCounts;
use super::loss_watch::LossWatch;
use super::losses::LossCounters;
use super::notices::Notices;
use super::notify::ServiceManager;
use super::options::RunOptions;
use super::outlet::Outlet;
use super::own;
use super::reload::Reload;
use super::rules::Rules;
use super::settings;
use super::stdout::Stdout;
use crate::alert::{self, Alerts, Deliveries, Usable};
use crate::api::socket::BoundSocket;
use crate::api::{HttpServer, Server, Subscribers};
use crate::capability::State;
use crate::enrich::HostFacts;
use crate::kernel::layout;
use crate::logs::LogCounts;
use crate::output::time;
use crate::pulse::{Pulse, Pulses};
use crate::respond::{Endings, Responder};
use crate::rules::memory;
use crate::sensor::Witness;
use crate::store::{Limits, Store, Writer};
use crate::{enrich, pipeline, respond};

/// How often it is looked whether the threads are alive: an agent that sees or answers nothing must not go on.
const HEALTH: Duration = Duration::from_secs(1);

/// How often it is looked whether memory is to be given back to the system.
const GIVE_BACK: Duration = Duration::from_secs(60);

/// How long a stopping agent tries to deliver alerts.
const LAST_ALERTS: Duration = Duration::from_secs(5);

/// Runs the agent until SIGINT or SIGTERM.
///
/// # Errors
/// When it cannot work at all: no root, no BTF, rules with mistakes, another agent running, no hook.
pub fn run(options: RunOptions) -> Result<()> {
    require_root("run")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("openclaw-io")
        .enable_all()
        .build()
        .context("cannot start the agent's threads")?;
    runtime.block_on(run_until_stopped(options))
}

/// The kernel lets root alone load the programs.
pub(super) fn require_root(command: &str) -> Result<()> {
    // SAFETY: the call has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        bail!("the kernel lets only root load the sensor's programs: run `sudo openclaw {command}`");
    }
    Ok(())
}

async fn run_until_stopped(options: RunOptions) -> Result<()> {
    let config = &options.config;
    let mut manager = ServiceManager::of_environment();
    let webhooks: Vec<String> =
        config.security.response.webhooks.iter().map(|(name, _)| name.clone()).collect();
    let (rules, stamps) = Rules::read(&config.security.rules, &options.rules, &webhooks);
    let rules = rules?;
    // Before anything is attached: a second agent ends here.
    let socket = BoundSocket::bind(&options.socket)?;
    let resolved = layout::of_running_kernel()?;
    let mut signals = Signals::listen()?;
    own::raise_descriptor_limit();

    let host = HostFacts::of_this_host();
    let limits = Limits::from(&config.store);
    let (stdout, stdout_thread) = Stdout::start(options.output)?;
    let alerts = Alerts::new(&config.security.alerting, &host.name);
    let response = config.response_settings(&options.socket);
    let endings = Endings::new(&response.state);
    let audience = Audience { stdout: stdout.clone(), alerts: alerts.clone(), endings };
    let (store, store_thread) = Writer::start(&options.store, limits, host.name.clone(), Arc::new(audience))?;
    let notices = Notices { alerts: alerts.clone(), store: store.clone() };
    if let Some(aside) = &store_thread.moved_aside {
        let message =
            format!("the database was damaged: it is at {} now, and a new one was begun", aside.display());
        warn!("{message}");
        notices.tell("database_replaced", &message, &json!({ "moved_to": aside }));
    }
    let (mut alive, gap) = Alive::begin(&options.store);
    let deliveries = Arc::new(Deliveries::new(alerts.clone(), store.clone()));
    deliveries.arrange(Usable::new(&config.security.alerting)?).await;
    let mut responder = Responder::new(response, resolved.layout);
    let kept = Store::open_read_only(&options.store);
    match kept.and_then(|store| Ok((store.actions_unended(time::now())?, store))) {
        Ok((unended, store)) => {
            let has_ended = |id: &str| store.action(id).is_ok_and(|action| action.ended.is_some());
            responder.conclude(unended, has_ended);
        }
        Err(error) => warn!("what became of answers that an earlier agent had begun is not said: {error}"),
    }
    let (policy, striker) = (responder.policy(), responder.striker());
    let names: Vec<&str> = rules.iter().map(|rule| rule.name.as_str()).collect();
    for stranger in policy.strangers(&names) {
        warn!(
            "security.response.rules: there is no rule {stranger}: `openclaw rules list` shows those that are"
        );
    }
    for notice in responder.notices() {
        warn!("{notice}");
    }
    if let Some(impediment) = responder.impediment() {
        warn!("nothing can be blocked or isolated: {impediment}");
    }
    if let Some(impediment) = enrich::impediment() {
        warn!(
            "of processes that are older than the agent, name, arguments and paths are not known: {impediment}"
        );
    }
    let (processes, engines, questions) =
        pipeline::questions().context("cannot make a way to ask the sensor")?;
    let in_force = Arc::new(AtomicU64::new(0));
    let counts = Arc::new(ActionCounts::default());
    let answering = Pulse::default();
    let answers = Answers {
        responder,
        store: store.clone(),
        alerts: alerts.clone(),
        processes,
        in_force: Arc::clone(&in_force),
        counts: Arc::clone(&counts),
        pulse: answering.clone(),
        look_again: None,
    };
    let (messages, answers_thread) = answers.start()?;

    let subscribers = Arc::new(Subscribers::default());
    let findings_lost = Arc::new(AtomicU64::new(0));
    let outlet = Outlet {
        striker,
        answers: messages.clone(),
        lost: Arc::clone(&findings_lost),
        subscribers: Arc::clone(&subscribers),
        stdout: options.events.then(|| stdout.clone()),
    };
    let memory = memory::path(&options.store);
    let (engine, positions) = Rules::engine(rules.clone(), &memory);
    let rules = Arc::new(Rules::new(
        config.security.rules.clone(),
        options.rules.clone(),
        webhooks,
        engines,
        memory,
        notices.clone(),
        (rules, stamps),
    ));
    let reload = Arc::new(Reload::new(
        options.config_path.clone(),
        config.clone(),
        Arc::clone(&rules),
        Arc::clone(&deliveries),
        messages.clone(),
        notices.clone(),
    ));
    let witness = Witness::path(&respond::default_bpffs(), &options.socket);
    let settings = settings::of(config, resolved, engine, host.clone())?;
    let log_counts = LogCounts::default();
    let logs = pipeline::LogSettings { positions, counts: log_counts.clone(), ..settings.logs };
    let settings = pipeline::Settings { witness: Some(witness), logs, ..settings };
    let sensor = pipeline::start(settings, questions, outlet)?;
    if let Some(gap) = gap {
        let finding = gap.finding(time::now(), blind::boot());
        warn!("{}", finding.message);
        notices.tell_finding(finding);
    }
    let mut pulses = Pulses::new([sensor.pulse(), answering]);
    let status = {
        let (rules, policy, in_force) = (Arc::clone(&rules), Arc::clone(&policy), Arc::clone(&in_force));
        move || {
            let (rules, mode, in_force) = (rules.count(), policy.modes().mode, in_force.load(Relaxed));
            format!("watching: {rules} rules, mode {}, {in_force} answers in force", mode.name())
        }
    };
    let heartbeat = tokio::spawn(alert::beat(alerts.clone(), store.clone(), status.clone()));
    let under_way = messages.clone();
    let losses = Arc::new(LossCounters {
        snapshot: sensor.snapshots(),
        findings: findings_lost,
        store: store.clone(),
        stdout: stdout.clone(),
        alerts: alerts.clone(),
    });
    let control = Control {
        started: Instant::now(),
        host: host.name,
        policy,
        rules: Arc::clone(&rules),
        reload: Arc::clone(&reload),
        snapshot: sensor.snapshots(),
        answers: messages,
        losses: Arc::clone(&losses),
        logs: log_counts,
        own_log: Arc::clone(&options.log),
        in_force,
        counts,
        alerts: alerts.clone(),
        store,
        store_path: options.store.clone(),
        stdout,
        subscribers,
    };
    let control: Arc<dyn crate::api::Control> = Arc::new(control);
    let server = Server::start(socket, Arc::clone(&control))?;
    let http = match config.api.metrics {
        Some(at) => Some(HttpServer::start(at, control).await?),
        None => None,
    };
    for hook in sensor.snapshot().hooks.iter().filter(|hook| hook.reason.is_some()) {
        let state = match hook.state {
            State::Missing => "not available",
            State::Degraded => "available in part",
            // What lies in a module that is not loaded is missed by nobody.
            State::Full => continue,
            State::Attached => "available, though not by the best hook or not of all",
        };
        warn!(capability = hook.capability, hook = hook.hook, reason = hook.reason, "{state}");
    }
    let file = options.config_path.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
    info!(rules = rules.count(), mode = config.security.response.mode.name(), config = file, "watching");
    manager.ready(status());

    let hung_up = Arc::new(Notify::new());
    let reloading = tokio::spawn(super::reload::whenever(Arc::clone(&hung_up), Arc::clone(&reload)));
    let watching = tokio::spawn(super::rules::watch(Arc::clone(&rules)));
    let mut health = tokio::time::interval(HEALTH);
    let (mut tidy, mut memory) = (tokio::time::interval(GIVE_BACK), own::Memory::default());
    let mut loss_watch = LossWatch::new(config.security.sensor.loss_limit, Instant::now());
    let asked = loop {
        tokio::select! {
            asked = signals.next() => match asked {
                Asked::Stop => break true,
                Asked::Reload => hung_up.notify_one(),
            },
            _ = health.tick() => {
                if sensor.has_ended() || answers_thread.has_ended() {
                    break false;
                }
                loss_watch.look(Instant::now(), &losses.all(), &notices);
                alive.beat(|arrive| {
                    let follow = |answers: &mut Answers| answers.store.when_written(arrive);
                    // Where there is no room, the next one follows.
                    let _ = under_way.try_send(Message::Request(Box::new(follow)));
                });
                manager.go_on(status(), &mut pulses, Instant::now());
            }
            // The first time at once, since the start leaves most.
            _ = tidy.tick() => memory.tidy(),
        }
    };
    let last = SystemTime::now();
    info!("stopping");
    manager.stopping();
    watching.abort();
    reloading.abort();
    tokio::task::spawn_blocking(move || reload.finish()).await?;
    heartbeat.abort();
    let stopped = tokio::task::spawn_blocking(move || sensor.stop()).await?;
    loss_watch.look(Instant::now(), &losses.all(), &notices);
    let release_on_exit = options.release_on_exit || config.security.response.release_on_exit;
    let answered = answers_thread.finish(release_on_exit);
    server.stop().await;
    if let Some(http) = http {
        http.stop().await;
    }
    deliveries.close(LAST_ALERTS).await;
    store_thread.finish();
    if asked {
        alive.stopped(last);
    }
    stdout_thread.finish();
    rules.keep_last(&stopped?);
    answered
}

/// What a signal asks for.
enum Asked {
    Stop,
    Reload,
}

/// The signals to a running agent.
struct Signals {
    stop: Stop,
    hang_up: Signal,
    /// Whether the end of a terminal is its own.
    ends_with_terminal: bool,
}

impl Signals {
    fn listen() -> Result<Signals> {
        let ends_with_terminal = own::is_in_foreground() && !own::ignores(libc::SIGHUP);
        let hang_up = signal(SignalKind::hangup())?;
        Ok(Signals { stop: Stop::listen()?, hang_up, ends_with_terminal })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            () = self.stop.wait() => Asked::Stop,
            _ = self.hang_up.recv() => if self.ends_with_terminal { Asked::Stop } else { Asked::Reload },
        }
    }
}

/// The signals that ask the agent to stop.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(super) fn listen() -> Result<Stop> {
        Ok(Stop { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
