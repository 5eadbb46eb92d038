//! `openclaw response mode` and `rearm`

use std::time::Duration;

use anstream::print;
use anyhow::{Result, bail};
use openclaw_detect::Mode;

use super::super::context::Context;
use super::super::table::Table;
use crate::api::{ClientError, Request, Response};
use crate::config::units;
use crate::output::style::{BAD, BOLD, DIM, GOOD, WARN};
use crate::output::text::Clean;
use crate::output::{Format, Printer, time};
use crate::respond::Modes;

/// Asks for a change of the modes, or for none, and prints how they are then.
pub(super) fn ask(context: &Context, request: &Request, output: Format) -> Result<()> {
    let Response::Modes { modes } = context.connect()?.ask(request)? else {
        bail!(ClientError::Unexpected);
    };
    match output {
        Format::Json => {
            let mut printer = Printer::stdout(Format::Json);
            printer.line(&serde_json::to_string(&modes)?)?;
            printer.flush()?;
        }
        Format::Text => print!("{}", text(&modes)),
    }
    Ok(())
}

fn coloured(mode: Mode) -> String {
    match mode {
        Mode::Observe => format!("{WARN}observe{WARN:#}"),
        Mode::Enforce => format!("{GOOD}enforce{GOOD:#}"),
    }
}

/// The modes for people.
fn text(modes: &Modes) -> String {
    let mut table = Table::default();
    let mut line = |name: String, value: String| table.row([name, value]);
    let note = match (modes.mode, modes.held) {
        (Mode::Observe, true) => " (switched by hand: holds for every rule)",
        (Mode::Observe, false) => " (where nothing else is said of a rule)",
        (Mode::Enforce, _) => "",
    };
    line(format!("{BOLD}mode{BOLD:#}"), format!("{}{note}", coloured(modes.mode)));
    if modes.warm_up_ms > 0 {
        let left = units::format_duration(Duration::from_secs(modes.warm_up_ms.div_ceil(1000)));
        line(format!("{BOLD}warm-up{BOLD:#}"), format!("nothing is carried out for {left} more"));
    }
    for (rule, mode) in &modes.switched {
        line(format!("rule {}", Clean(rule)), format!("{} (switched by hand)", coloured(*mode)));
    }
    for trip in &modes.tripped {
        let what = trip.rule.as_ref().map_or("every rule".to_owned(), |rule| format!("rule {}", Clean(rule)));
        let since = time::date_and_clock(trip.at);
        line(
            what,
            format!(
                "{BAD}cut off{BAD:#} since {since}: {} {DIM}{}{DIM:#}",
                Clean(&trip.reason),
                Clean(&trip.rearm())
            ),
        );
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openclaw_detect::Timestamp;

    use super::*;
    use crate::respond::Trip;

    #[test]
    fn what_is_not_carried_out_is_said_with_the_reason_and_the_way_back() {
        let modes = Modes {
            mode: Mode::Enforce,
            held: false,
            warm_up_ms: 1500,
            switched: BTreeMap::from([("loud".to_owned(), Mode::Observe)]),
            tripped: vec![Trip { rule: None, at: Timestamp(0), reason: "too much".to_owned() }],
        };
        let text = anstream::adapter::strip_str(&text(&modes)).to_string();
        assert!(text.contains("nothing is carried out for 2s more"), "{text}");
        assert!(text.contains("rule loud") && text.contains("observe (switched by hand)"), "{text}");
        assert!(text.contains("every rule") && text.contains("openclaw response rearm --all"), "{text}");
    }
}
