//! The agent itself: the built program as a child, with a folder, a socket, a store and a BPF file system of
//! its own, so that several can run at once.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openclaw_common::verdict::VERSION;
use serde_json::Value;
use tempfile::TempDir;

use super::cgroup::Cgroup;
use super::{PATIENCE, deed, unique, wait_for};

/// A rule that fires on nothing but [`Agent::settle`].
const FENCE: &str = "rules:
  - name: fence
    event: process_create
    condition: process.name == \"openclaw-fence\"
    severity: info
    action: alert
";

/// The built program: the one that is named, or that which was built with these tests.
pub(crate) fn program() -> PathBuf {
    let path =
        std::env::var_os("OPENCLAW_BIN").map_or_else(|| env!("CARGO_BIN_EXE_openclaw").into(), PathBuf::from);
    std::path::absolute(path).unwrap()
}

/// How an agent is to be run.
pub(crate) struct Setup {
    folder: TempDir,
    rules: Vec<PathBuf>,
    /// Keys below `security`, as YAML.
    security: String,
    /// The logs that are followed, as YAML: none of this machine's.
    sources: String,
    api: String,
    store: PathBuf,
    store_size: &'static str,
    events: bool,
}

impl Setup {
    /// In observe mode, with no rule but the one that the test's own support needs, and every event printed.
    pub(crate) fn new() -> Self {
        // Mode 700, as `tempfile` makes them.
        let folder = tempfile::Builder::new().prefix("openclaw-live-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bpf")).unwrap();
        let store = folder.path().join("store.db");
        let mut setup = Setup {
            folder,
            rules: Vec::new(),
            security: String::new(),
            sources: String::new(),
            api: String::new(),
            store,
            store_size: "256MB",
            events: true,
        };
        setup.add_rules(FENCE);
        setup
    }

    /// Where the agent's files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn add_rules(&mut self, text: &str) {
        let path = self.folder().join(format!("rules-{}.yml", self.rules.len()));
        std::fs::write(&path, text).unwrap();
        self.rules.push(path);
    }

    /// Adds a file of rules.
    pub(crate) fn rules(mut self, text: &str) -> Self {
        self.add_rules(text);
        self
    }

    /// Runs the rules that ship, and no others.
    pub(crate) fn shipped(mut self) -> Self {
        self.rules.clear();
        self
    }

    /// Adds a rule that makes the agent look at something, and whose findings do not matter.
    pub(crate) fn watch(self, condition: &str) -> Self {
        let condition = condition.replace('\n', " ");
        self.rules(&format!(
            "rules:\n  - name: watch\n    condition: |\n      {condition}\n    severity: info\n    action: alert\n"
        ))
    }

    /// Has alerts posted to an address, each for itself: what other tests do is seen too, and may be like it.
    pub(crate) fn webhook(self, url: &str) -> Self {
        // Plain HTTP, which some tests have go to another network namespace.
        let channel = format!("{{url: '{url}', allow_insecure: true, headers: {{X-Test: live}}}}");
        self.alerting(&[
            &format!("channels: {{webhook: {channel}}}"),
            "triggers: {critical_event: {throttle: 0s}, intrusion_detected: {throttle: 0s}, finding: {throttle: 0s}, \
             ip_blocked: {throttle: 0s}, sensor_degraded: {throttle: 0s}}",
        ])
    }

    /// Keeps the database elsewhere than in the folder of the test.
    pub(crate) fn store(mut self, path: &Path) -> Self {
        self.store = path.to_owned();
        self
    }

    /// Lets the database grow so large.
    pub(crate) fn store_size(mut self, size: &'static str) -> Self {
        self.store_size = size;
        self
    }

    /// Sets keys below `security.alerting`, each as one line of YAML.
    pub(crate) fn alerting(mut self, keys: &[&str]) -> Self {
        let _ = writeln!(self.security, "  alerting:\n    {}", keys.join("\n    "));
        self
    }

    /// Carries answers out, on what is in a cgroup of the test's own, for a minute at most.
    pub(crate) fn enforce(self, cgroup: &Cgroup) -> Self {
        self.response("enforce", cgroup, "")
    }

    /// The same, with further keys below `security.response`, as YAML.
    pub(crate) fn enforce_with(self, cgroup: &Cgroup, keys: &str) -> Self {
        self.response("enforce", cgroup, keys)
    }

    /// Carries out what a person asks for alone, as far and as long as [`Setup::enforce`] does.
    pub(crate) fn observe(self, cgroup: &Cgroup) -> Self {
        self.response("observe", cgroup, "")
    }

    fn response(mut self, mode: &str, cgroup: &Cgroup, keys: &str) -> Self {
        let cgroup = cgroup.path().display();
        let warm_up = if keys.contains("warm_up") { "" } else { "warm_up: 0s" };
        let _ = writeln!(
            self.security,
            "  response:\n    mode: {mode}\n    cgroup: {cgroup}\n    default_duration: 60s\n    {warm_up}\n    {keys}"
        );
        self
    }

    /// Sets keys below `security.sensor`, as YAML.
    pub(crate) fn sensor(mut self, key: &str) -> Self {
        let _ = writeln!(self.security, "  sensor:\n    {key}");
        self
    }

    /// Follows a log, such as `web: {type: nginx, path: /x}`.
    pub(crate) fn source(mut self, source: &str) -> Self {
        let _ = writeln!(self.sources, "    {source}");
        self
    }

    /// Serves metrics at an address.
    pub(crate) fn metrics(mut self, at: SocketAddr) -> Self {
        let _ = writeln!(self.api, "  metrics: {at}");
        self
    }

    /// Names where runtimes keep their state, such as `runc: [/run/runc]`.
    pub(crate) fn containers(mut self, folders: &str) -> Self {
        let _ = writeln!(self.security, "  containers:\n    {folders}");
        self
    }

    /// Prints findings and actions alone.
    pub(crate) fn without_events(mut self) -> Self {
        self.events = false;
        self
    }

    fn config(&self) -> PathBuf {
        self.folder().join("openclaw.yml")
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self) {
        let folder = self.folder().display();
        let sources = if self.sources.is_empty() { "    {}\n" } else { &self.sources };
        let Setup { security, api, store_size, .. } = self;
        let store = self.store.display();
        let config = format!(
            "api:\n  socket: {folder}/control/openclaw.sock\n{api}store:\n  path: {store}\n  \
             max_size: {store_size}\n\
             security:\n  sources:\n{sources}{security}"
        );
        std::fs::write(self.config(), config).unwrap();
    }

    /// `openclaw run` as it will be started.
    pub(crate) fn command(&self) -> Command {
        self.configure();
        let mut command = self.openclaw(&["run", "--output", "json"]);
        for rules in &self.rules {
            command.arg("--rules").arg(rules);
        }
        if self.events {
            command.arg("--events");
        }
        command
    }

    /// Another command to the same agent.
    pub(crate) fn openclaw(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .arg("--config")
            .arg(self.config())
            .args(args)
            .env("OPENCLAW_BPFFS", self.folder().join("bpf"))
            .env_remove("OPENCLAW_LOG")
            .current_dir(self.folder())
            .stdin(Stdio::null());
        command
    }

    /// Starts the agent, and waits until it watches.
    #[track_caller]
    pub(crate) fn start(self) -> Agent {
        self.start_as(|command| command)
    }

    /// Starts the agent by a command that was changed.
    #[track_caller]
    pub(crate) fn start_as(self, change: impl FnOnce(Command) -> Command) -> Agent {
        let (child, seen, readers) = launch(change(self.command()));
        let agent = Agent { setup: self, child, seen, readers };
        agent.wait_for_log("watching");
        agent
    }
}

/// Starts an agent, and reads what it prints.
fn launch(mut command: Command) -> (Child, Arc<Seen>, Vec<JoinHandle<()>>) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let seen = Arc::new(Seen::default());
    let readers = vec![
        Seen::read(&seen, child.stdout.take().unwrap(), |state, line| {
            state.lines.push(serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned())));
        }),
        Seen::read(&seen, child.stderr.take().unwrap(), |state, line| {
            state.log.push_str(line);
            state.log.push('\n');
        }),
    ];
    (child, seen, readers)
}

/// What the agent has printed.
#[derive(Default)]
struct Seen {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    /// From stdout: events, findings and actions, in their order.
    lines: Vec<Value>,
    /// From stderr.
    log: String,
    /// Of stdout and stderr, how many are closed.
    closed: usize,
}

impl Seen {
    fn read(
        seen: &Arc<Seen>,
        from: impl Read + Send + 'static,
        take: fn(&mut State, &str),
    ) -> JoinHandle<()> {
        let seen = Arc::clone(seen);
        std::thread::spawn(move || {
            let mut from = BufReader::with_capacity(1 << 18, from);
            let mut line = Vec::new();
            while from.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
                take(&mut seen.lock(), String::from_utf8_lossy(&line).trim_end());
                seen.more.notify_all();
                line.clear();
            }
            seen.lock().closed += 1;
            seen.more.notify_all();
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a reader had seen when the test failed is worth printing.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A running agent. Stopped when it is dropped.
pub(crate) struct Agent {
    setup: Setup,
    child: Child,
    seen: Arc<Seen>,
    readers: Vec<JoinHandle<()>>,
}

impl Agent {
    /// One that reports every event, and has no rules.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.setup.folder()
    }

    /// The first line of which `right` is true, once it has come.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, right: impl Fn(&Value) -> bool) -> Value {
        self.wait_until(what, |state, from| {
            let found = state.lines[*from..].iter().find(|line| right(line)).cloned();
            *from = state.lines.len();
            found
        })
    }

    /// The first event of that kind of which `right` is true, once it has come.
    #[track_caller]
    pub(crate) fn wait_for_event(&self, kind: &str, right: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(&format!("an event of kind {kind}"), |line| {
            line["event"]["dataset"] == kind && right(line)
        })
    }

    /// The first finding of that rule on an event of which `right` is true, once it has come.
    #[track_caller]
    pub(crate) fn wait_for_finding(&self, rule: &str, right: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(&format!("a finding of rule {rule}"), |line| {
            line["type"] == "finding" && line["rule"] == rule && right(&line["event"])
        })
    }

    /// Waits until the log says something.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_until(&format!("{text:?} in the log"), |state, _| state.log.contains(text).then_some(()));
    }

    #[track_caller]
    fn wait_until<T>(&self, what: &str, found: impl FnMut(&State, &mut usize) -> Option<T>) -> T {
        self.search(Instant::now() + PATIENCE, found)
            .unwrap_or_else(|| panic!("waited in vain for {what}\n{}", Self::picture(&self.seen.lock())))
    }

    /// Looks for something each time that the agent has printed more, until there is no more.
    fn search<T>(&self, end: Instant, mut found: impl FnMut(&State, &mut usize) -> Option<T>) -> Option<T> {
        let mut state = self.seen.lock();
        let mut from = 0;
        loop {
            let result = found(&state, &mut from);
            let left = end.saturating_duration_since(Instant::now());
            if result.is_some() || left.is_zero() || state.closed == 2 {
                return result;
            }
            state = self.seen.more.wait_timeout(state, left.min(Duration::from_secs(1))).unwrap().0;
        }
    }

    /// The log and the last lines, for a test that failed.
    fn picture(state: &State) -> String {
        let last = state.lines.len().saturating_sub(40);
        let mut text =
            format!("--- the agent's log\n{}--- its last lines of {}\n", state.log, state.lines.len());
        for line in &state.lines[last..] {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// All lines so far of which `right` is true.
    pub(crate) fn lines(&self, right: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.seen.lock().lines.iter().filter(|line| right(line)).cloned().collect()
    }

    /// All events of that kind so far of which `right` is true.
    pub(crate) fn events(&self, kind: &str, right: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.lines(|line| line["event"]["dataset"] == kind && right(line))
    }

    /// How many events of that kind there are so far of which `right` is true.
    pub(crate) fn count(&self, kind: &str, right: impl Fn(&Value) -> bool) -> usize {
        let state = self.seen.lock();
        state.lines.iter().filter(|line| line["event"]["dataset"] == kind && right(line)).count()
    }

    /// All findings of that rule so far on events of which `right` is true.
    pub(crate) fn findings(&self, rule: &str, right: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.lines(|line| line["type"] == "finding" && line["rule"] == rule && right(&line["event"]))
    }

    /// How much was lost for a reason, of the kernel's or the agent's.
    pub(crate) fn lost(&self, reason: &str) -> u64 {
        let status = self.json(&["status", "--output", "json"]);
        let losses = status["losses"].as_array().unwrap();
        let of_reason = losses.iter().filter(|loss| loss["reason"] == reason);
        of_reason.map(|loss| loss["count"].as_u64().unwrap()).sum()
    }

    /// What the log says so far.
    pub(crate) fn log(&self) -> String {
        self.seen.lock().log.clone()
    }

    /// Waits until everything that happened before has been reported: does something of each kind after it,
    /// and waits for that. Again where that itself was lost, after more than the agent can carry.
    #[track_caller]
    pub(crate) fn settle(&self) {
        const ATTEMPTS: u32 = 6;
        for attempt in 1..=ATTEMPTS {
            let fence = self.folder().join(format!("fence-{}", unique()));
            std::fs::create_dir(&fence).unwrap();
            let program = fence.join("openclaw-fence");
            symlink(deed::program(), &program).unwrap();
            let mut child = deed::command(&program, "exit").spawn().unwrap();
            let pid = child.id();
            child.wait().unwrap();
            let file = fence.join("file");
            std::fs::write(&file, "").unwrap();

            let end = Instant::now() + PATIENCE * attempt / ATTEMPTS;
            let found = self
                .seen_before(end, |line| line["rule"] == "fence" && line["event"]["process"]["pid"] == pid)
                && (!self.setup.events
                    || self.seen_before(end, |line| {
                        line["event"]["dataset"] == "process_exit" && line["process"]["pid"] == pid
                    }) && self.seen_before(end, |line| line["file"]["path"] == *file.to_str().unwrap()));
            if found {
                return;
            }
        }
        panic!("the agent does not come to rest\n{}", Self::picture(&self.seen.lock()));
    }

    fn seen_before(&self, end: Instant, right: impl Fn(&Value) -> bool) -> bool {
        self.search(end, |state, from| {
            let found = state.lines[*from..].iter().any(&right).then_some(());
            *from = state.lines.len();
            found
        })
        .is_some()
    }

    /// Where verdict programs and their maps are pinned.
    pub(crate) fn pins(&self) -> PathBuf {
        self.folder().join("bpf/openclaw").join(VERSION)
    }

    /// Whether verdict programs are pinned.
    pub(crate) fn has_pins(&self) -> bool {
        self.pins().exists()
    }

    /// Runs another command against the agent.
    pub(crate) fn openclaw(&self, args: &[&str]) -> Output {
        self.setup.openclaw(args).output().unwrap()
    }

    /// A command against the agent, to be run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.setup.openclaw(args)
    }

    /// What a command prints as JSON; it must succeed.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut values = self.json_lines(args);
        assert_eq!(values.len(), 1, "openclaw {args:?}: {values:?}");
        values.remove(0)
    }

    /// What a command prints as one JSON value a line; it must succeed.
    #[track_caller]
    pub(crate) fn json_lines(&self, args: &[&str]) -> Vec<Value> {
        let output = self.openclaw(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "openclaw {args:?}: {err}\n{}", self.log());
        let parse = |line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("openclaw {args:?}: {error}: {out:?} {err}"))
        };
        out.lines().map(parse).collect()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the child has not been waited for, so the pid is still its own.
        unsafe { libc::kill(self.pid().cast_signed(), signal) };
    }

    /// Sends a signal, and waits until the agent has ended and all that it printed has been read.
    #[track_caller]
    pub(crate) fn end(&mut self, signal: i32) -> ExitStatus {
        self.signal(signal);
        wait_for("the agent has ended", || self.child.try_wait().unwrap().is_some());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        self.child.wait().unwrap()
    }

    /// Starts another one in its place. The agent must have ended.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        (self.child, self.seen, self.readers) = launch(self.setup.command());
        self.wait_for_log("watching");
    }

    /// The setup, to start another agent in its place. The agent must have ended.
    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(libc::SIGTERM);
            let end = Instant::now() + Duration::from_secs(10);
            while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let bpf = self.folder().join("bpf");
        let _ = openclaw_agent::respond::undo_all(&bpf, &self.folder().join("control/answers"));
        let _ = rustix::mount::unmount(&bpf, rustix::mount::UnmountFlags::DETACH);
    }
}
