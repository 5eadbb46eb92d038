//! A condition on its own, without a rule around it: `openclaw events --where`.

use crate::check::check;
use crate::compile::Node;
use crate::definitions::Definitions;
use crate::diagnostic::{Diagnostics, Level, Problem};
use crate::eval::{Truth, evaluate};
use crate::{Event, parser};

/// A condition that was checked. It knows no lists and no macros by name.
#[derive(Debug, Clone)]
pub struct Condition(Node);

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    ///
    /// All mistakes in it, with their places in the text.
    pub fn parse(text: &str) -> Result<Condition, Diagnostics> {
        let (node, problems) = match parser::parse(text) {
            Ok(expr) => check(&expr, &Definitions::default()),
            Err(problem) => (None, vec![problem]),
        };
        let in_text = |problem: Problem| problem.in_file("condition", text);
        node.map(Condition).ok_or_else(|| {
            Diagnostics(problems.into_iter().filter(|p| p.level == Level::Error).map(in_text).collect())
        })
    }

    /// Whether the condition is true of the event. What is unknown is not true.
    pub fn matches(&self, event: &(impl Event + ?Sized)) -> bool {
        evaluate(&self.0, event) == Truth::True
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::{EventKind, Field, RecordedEvent, StrList, Timestamp};

    fn event() -> RecordedEvent {
        RecordedEvent::new(EventKind::NetworkConnection, Timestamp(1))
            .with(Field::ProcessName, "nc")
            .with(Field::ProcessUid, 1000)
            .with(Field::ProcessArgs, StrList::new("nc\0-e\0/bin/SH\0"))
            .with(Field::ProcessArgsTruncated, false)
            .with(Field::DestinationIp, "::ffff:10.1.2.3".parse::<IpAddr>().unwrap())
            .with(Field::ProcessExecutable, "/usr/bin/nc.openbsd")
    }

    #[test]
    fn a_condition_is_true_of_an_event_or_it_is_not() {
        for (text, expected) in [
            ("process.name == 'nc'", true),
            ("process.name != 'nc'", false),
            ("process.name in ['ncat', 'nc']", true),
            ("process.name in []", false),
            ("process.name not in []", true),
            ("process.name not in ['ncat', 'nc']", false),
            ("process.executable startswith '/usr/' and process.executable endswith '.openbsd'", true),
            ("process.executable contains ['zzz', 'bin']", true),
            ("process.executable contains 'BIN'", false),
            ("process.executable icontains 'BIN/NC'", true),
            ("process.executable matches '^/usr/s?bin/nc\\.'", true),
            ("process.executable glob '/usr/*/nc*'", true),
            ("process.executable not glob '/usr/*'", true),
            ("process.uid == 1000 and process.uid < 1001 and process.uid >= 1000 and process.uid != 1", true),
            ("process.uid > 1000 or process.uid <= 999", false),
            ("process.uid in [0, 1000]", true),
            ("process.args == '-e'", true),
            ("process.args in ['x', '-e']", true),
            ("process.args icontains '/bin/sh'", true),
            ("process.args != '-e'", false),
            ("process.args != '-l'", true),
            ("process.args_truncated == false", true),
            ("process.args_truncated != false", false),
            ("destination in [10.0.0.0/8]", true),
            ("destination == 10.1.2.3", true),
            ("destination not in ['192.0.2.0/24', \"::/0\"]", true),
            ("not process.name == 'nc' or process.uid == 1000", true),
        ] {
            assert_eq!(Condition::parse(text).unwrap().matches(&event()), expected, "{text}");
        }
    }

    #[test]
    fn a_comparison_with_an_absent_field_is_neither_true_nor_false() {
        for (text, expected) in [
            ("process.tty == 'x'", false),
            ("process.tty != 'x'", false),
            ("process.tty not in ['x']", false),
            ("not process.tty == 'x'", false),
            ("process.tty not contains 'x'", false),
            ("process.exit_code != 0", false),
            ("source not in [10.0.0.0/8]", false),
            ("process.tty exists", false),
            ("process.tty not exists", true),
            ("not process.tty exists", true),
            ("process.tty == 'x' or process.name == 'nc'", true),
            ("process.tty == 'x' and process.name == 'nc'", false),
            ("not (process.tty == 'x' and process.name == 'nc')", false),
            ("not (process.tty == 'x' and process.name == 'zz')", true),
            ("not (process.tty == 'x' or process.name == 'zz')", false),
        ] {
            assert_eq!(Condition::parse(text).unwrap().matches(&event()), expected, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_shown_in_the_text() {
        let shown = Condition::parse("process.nmae == 'x'").unwrap_err().to_string();
        assert!(shown.contains("condition:1:1") && shown.contains("did you mean `process.name`?"), "{shown}");
    }
}
