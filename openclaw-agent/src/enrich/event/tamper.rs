//! What was done to the sensor itself.

use std::borrow::Cow;

use openclaw_detect::{Field, Value};

use super::value::text;

/// What was done to the sensor itself.
#[derive(Debug)]
pub struct TamperBody {
    /// The value of `event.action`.
    pub action: &'static str,
    /// The signal that was sent.
    pub signal: Option<Cow<'static, str>>,
    /// The program that was detached.
    pub program: Option<&'static str>,
}

impl TamperBody {
    /// The signal of that number was sent.
    pub fn signal(number: u64) -> Self {
        TamperBody { action: "signal", signal: Some(signal_name(number)), program: None }
    }

    /// That program was detached.
    pub fn detached(program: &'static str) -> Self {
        TamperBody { action: "detach", signal: None, program: Some(program) }
    }

    /// The agent was acted upon as another process may be.
    pub fn traced(action: &'static str) -> Self {
        TamperBody { action, signal: None, program: None }
    }

    /// The value of one of its fields.
    pub(super) fn field(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::SensorSignal => text(self.signal.as_deref()?),
            Field::SensorProgram => text(self.program?),
            _ => None,
        }
    }
}

/// Its name in `signal(7)`, as Linux numbers it on x86-64 and arm64; of a real-time signal, its number.
fn signal_name(number: u64) -> Cow<'static, str> {
    const NAMES: [&str; 31] = [
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    match index.and_then(|index| NAMES.get(index)) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(number.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_its_name_and_a_real_time_one_its_number() {
        assert_eq!([9, 15, 31].map(signal_name), ["SIGKILL", "SIGTERM", "SIGSYS"]);
        assert_eq!([0, 34].map(signal_name), ["0", "34"]);
    }
}
