//! The status as metrics, in the text format of Prometheus.
//!
//! Names and units follow Prometheus' conventions: base units, `_total` for what only grows.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Encoder as _, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::Status;
use crate::config::Mode;

/// What the text is.
pub(super) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The status as metrics.
///
/// # Errors
/// Two metrics have one name, or a name is none, which the tests rule out.
pub(super) fn text(status: &Status) -> prometheus::Result<String> {
    let metrics = Metrics(Registry::new());
    metrics.of_sensor(status)?;
    metrics.of_rules(status)?;
    metrics.of_answers(status)?;
    metrics.of_agent(status)?;
    let mut text = Vec::new();
    TextEncoder::new().encode(&metrics.0.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

struct Metrics(Registry);

impl Metrics {
    fn add<C: Collector + Clone + 'static>(&self, metric: C) -> prometheus::Result<C> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(format!("openclaw_{name}_total"), help), labels)?)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<CounterVec> {
        self.add(CounterVec::new(Opts::new(format!("openclaw_{name}_seconds_total"), help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(format!("openclaw_{name}"), help), labels)?)
    }

    fn of_sensor(&self, status: &Status) -> prometheus::Result<()> {
        let events = self.counter("events", "Events by kind.", &["kind"])?;
        for (kind, count) in &status.events {
            events.with_label_values(&[kind]).inc_by(count.total);
        }
        let losses = self.counter(
            "lost_events",
            "What could not be carried, by the stage that lost it; the stage `filter` left it out on purpose.",
            &["stage", "reason"],
        )?;
        for loss in &status.losses {
            losses.with_label_values(&[&loss.stage, &loss.reason]).inc_by(loss.count);
        }
        self.of_logs(status)?;
        let hooks = self.gauge(
            "hook_state",
            "Whether each capability has its hook: 1 for the state that it is in.",
            &["capability", "hook", "state"],
        )?;
        for hook in &status.hooks {
            hooks.with_label_values(&[&hook.capability, &hook.hook, hook.state.name()]).set(1);
        }
        let runs = self.counter("kernel_program_runs", "Runs of each kernel program.", &["program"])?;
        let time = self.seconds("kernel_program", "Time in each kernel program.", &["program"])?;
        for program in status.agent.programs.iter().filter(|program| program.runs > 0) {
            runs.with_label_values(&[&program.name]).inc_by(program.runs);
            time.with_label_values(&[&program.name]).inc_by(program.time.as_secs_f64());
        }
        self.gauge("processes", "Processes that are known.", &[])?
            .with_label_values::<&str>(&[])
            .set(signed(status.agent.processes));
        Ok(())
    }

    fn of_logs(&self, status: &Status) -> prometheus::Result<()> {
        let labels = ["source", "path"];
        let lines = self.counter("log_lines", "Lines of logs that were read.", &labels)?;
        let malformed = self.counter("log_malformed_lines", "Lines that are none of such a log.", &labels)?;
        let cut = self.counter("log_cut_lines", "Lines that were longer than is taken of one.", &labels)?;
        let behind = self.gauge("log_unread_bytes", "Bytes of logs that are not read yet.", &labels)?;
        let problem = self.gauge("log_problem", "Whether something is wrong with the log.", &labels)?;
        let missing = self.gauge(
            "log_lines_missing",
            "Whether lines may be missing that were written while no agent ran.",
            &labels,
        )?;
        for log in status.logs.iter().filter(|log| log.is_of_interest()) {
            let labels = [log.source.as_str(), log.path.as_str()];
            lines.with_label_values(&labels).inc_by(log.lines);
            malformed.with_label_values(&labels).inc_by(log.malformed);
            cut.with_label_values(&labels).inc_by(log.cut);
            behind.with_label_values(&labels).set(signed(log.behind_bytes));
            problem.with_label_values(&labels).set(i64::from(log.problem.is_some()));
            missing.with_label_values(&labels).set(i64::from(log.missing.is_some()));
        }
        Ok(())
    }

    fn of_rules(&self, status: &Status) -> prometheus::Result<()> {
        let one = |name, help, value| {
            self.gauge(name, help, &[])?.with_label_values::<&str>(&[]).set(signed(value));
            Ok::<(), prometheus::Error>(())
        };
        let memory = status.agent.memory;
        one("rules", "Rules that run.", status.rules)?;
        one(
            "rules_problems",
            "Why the rules that run are not those that are written.",
            status.warnings.len() as u64,
        )?;
        one("rules_true", "Rules that are true of a process or an address at present.", memory.active)?;
        one("rules_remembered_keys", "Keys and values that rules remember.", memory.remembered)?;
        let time = status.agent.rule_time;
        self.counter(
            "rules_sampled_events",
            "Events of which it was measured how long the rules took.",
            &[],
        )?
        .with_label_values::<&str>(&[])
        .inc_by(time.samples);
        self.seconds("rules_sampled", "How long the rules took of the sampled events.", &[])?
            .with_label_values::<&str>(&[])
            .inc_by(time.seconds);
        self.counter("suppressed_firings", "Firings of rules that `suppress` kept from being told.", &[])?
            .with_label_values::<&str>(&[])
            .inc_by(memory.suppressed);
        self.counter("findings", "Findings.", &[])?.with_label_values::<&str>(&[]).inc_by(status.findings);
        Ok(())
    }

    fn of_answers(&self, status: &Status) -> prometheus::Result<()> {
        let actions = self.counter("actions", "Answers by what became of them.", &["kind", "outcome"])?;
        for action in &status.actions {
            actions.with_label_values(&[action.kind.name(), action.outcome.name()]).inc_by(action.count);
        }
        let alerts = self.counter("alerts", "Alerts by what became of them.", &["outcome"])?;
        let counts = status.alerts;
        for (outcome, count) in
            [("delivered", counts.delivered), ("failed", counts.failed), ("lost", counts.lost)]
        {
            alerts.with_label_values(&[outcome]).inc_by(count);
        }
        self.counter("alert_retries", "Attempts to deliver an alert that failed and were repeated.", &[])?
            .with_label_values::<&str>(&[])
            .inc_by(counts.retries);
        self.gauge("verdicts_in_force", "Blocks and isolations in force.", &[])?
            .with_label_values::<&str>(&[])
            .set(signed(status.active_verdicts));
        self.gauge(
            "enforcing",
            "Whether answers are carried out: 1 in enforce mode, 0 in observe mode.",
            &[],
        )?
        .with_label_values::<&str>(&[])
        .set(i64::from(status.mode == Mode::Enforce));
        Ok(())
    }

    fn of_agent(&self, status: &Status) -> prometheus::Result<()> {
        let queues = self.gauge("queue_length", "What waits in each queue.", &["queue"])?;
        for (queue, waiting) in &status.agent.queues {
            queues.with_label_values(&[queue]).set(signed(*waiting));
        }
        let info = self.gauge("agent_info", "The running agent.", &["version", "host"])?;
        info.with_label_values(&[&status.version, &status.host]).set(1);
        self.gauge("uptime_seconds", "How long the agent has watched.", &[])?
            .with_label_values::<&str>(&[])
            .set(signed(status.uptime_seconds));
        // Those that every exporter has for its own process.
        let cpu = "Time on processors, of all threads of the agent.";
        self.add(CounterVec::new(Opts::new("process_cpu_seconds_total", cpu), &[])?)?
            .with_label_values::<&str>(&[])
            .inc_by(status.agent.cpu_seconds);
        let memory = "Memory of the agent that is resident.";
        self.add(GaugeVec::new(Opts::new("process_resident_memory_bytes", memory), &[])?)?
            .with_label_values::<&str>(&[])
            .set(status.agent.memory_bytes as f64);
        Ok(())
    }
}

/// A number of things that there are: never more than there is room for.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
