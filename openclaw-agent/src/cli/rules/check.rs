//! `openclaw rules check`

use std::path::{Path, PathBuf};

use anstream::println;
use anyhow::{Result, bail};
use openclaw_detect::{Diagnostic, Diagnostics, Level};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::config;
use crate::output::{Format, Printer};
use crate::rules::{self, RulesError, Writers};

/// How mistakes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(super) enum CheckFormat {
    /// Each with its line and a caret.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
    /// One SARIF 2.1.0 log, as code hosts show it beside the code.
    Sarif,
}

pub(super) fn check(config: &config::Rules, paths: &[PathBuf], format: CheckFormat) -> Result<()> {
    match rules::load(config, paths, Writers::Any) {
        Ok(rules) => {
            print_diagnostics(rules.warnings(), format)?;
            if format == CheckFormat::Text {
                let disabled = if rules.disabled() > 0 {
                    format!(" ({} disabled)", rules.disabled())
                } else {
                    String::new()
                };
                println!("{} rules{disabled} and {} lists: good", rules.len(), rules.lists());
            }
            match rules.warnings().errors() {
                0 => Ok(()),
                errors => bail!("{errors} mistakes in Sigma rules, which are left out: the other rules run"),
            }
        }
        Err(RulesError::Mistakes(diagnostics)) => {
            print_diagnostics(&diagnostics, format)?;
            bail!("the rules have {} errors and {} warnings", diagnostics.errors(), diagnostics.warnings());
        }
        Err(error) => bail!(error),
    }
}

fn print_diagnostics(diagnostics: &Diagnostics, format: CheckFormat) -> Result<()> {
    let mut printer = Printer::stdout(if format == CheckFormat::Text { Format::Text } else { Format::Json });
    match format {
        CheckFormat::Text => {
            for diagnostic in diagnostics.iter() {
                printer.line(&format!("{diagnostic}\n"))?;
            }
        }
        CheckFormat::Json => {
            for diagnostic in diagnostics.iter() {
                printer.line(&json(diagnostic).to_string())?;
            }
        }
        CheckFormat::Sarif => printer.line(&sarif(diagnostics).to_string())?,
    }
    Ok(printer.flush()?)
}

fn json(diagnostic: &Diagnostic) -> Value {
    json!({
        "level": diagnostic.level.to_string(),
        "file": diagnostic.file,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "length": diagnostic.length,
        "message": diagnostic.message,
        "help": diagnostic.help,
    })
}

/// What stands in a URI's path as it is (RFC 3986, section 3.3); everything else is escaped.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Where a file is, for a log: a path below the folder in which this was run, as code hosts want it, or a whole URI.
fn location(file: &str) -> Value {
    let path = Path::new(file);
    let here = std::env::current_dir().ok();
    let below = here.as_ref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    let escaped = utf8_percent_encode(below.to_str().unwrap_or(file), PATH).to_string();
    match below.is_absolute() {
        true => json!({ "uri": format!("file://{escaped}") }),
        false => {
            json!({ "uri": escaped.strip_prefix("./").unwrap_or(&escaped), "uriBaseId": "%SRCROOT%" })
        }
    }
}

/// A log as OASIS has it: Static Analysis Results Interchange Format 2.1.0.
fn sarif(diagnostics: &Diagnostics) -> Value {
    let result = |diagnostic: &Diagnostic| {
        let message = match &diagnostic.help {
            Some(help) => format!("{} ({help})", diagnostic.message),
            None => diagnostic.message.clone(),
        };
        json!({
            "ruleId": if diagnostic.level == Level::Error { "error" } else { "warning" },
            "level": diagnostic.level.to_string(),
            "message": { "text": message },
            "locations": [{ "physicalLocation": {
                "artifactLocation": location(&diagnostic.file),
                "region": {
                    "startLine": diagnostic.line,
                    "startColumn": diagnostic.column,
                    "endColumn": diagnostic.column + diagnostic.length,
                },
            } }],
        })
    };
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "openclaw rules check",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": [{ "id": "error" }, { "id": "warning" }],
            } },
            "columnKind": "unicodeCodePoints",
            "results": diagnostics.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

#[cfg(test)]
mod tests {
    use openclaw_detect::{RuleSet, Source};

    use super::*;

    #[test]
    fn a_sarif_log_has_each_mistake_with_its_place() {
        let text = "rules:\n- name: a\n  condition: process.nmae == 'x'\n".to_owned();
        let mistakes = RuleSet::load(&[Source { name: "r/x.yml".to_owned(), text }]).unwrap_err();
        let log = sarif(&mistakes);
        let result = &log["runs"][0]["results"][0];
        assert_eq!(result["level"], "error");
        assert_eq!(result["message"]["text"], "unknown field `process.nmae` (did you mean `process.name`?)");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"], json!({"uri": "r/x.yml", "uriBaseId": "%SRCROOT%"}));
        assert_eq!(place["region"], json!({"startLine": 3, "startColumn": 14, "endColumn": 26}));
    }

    #[test]
    fn a_file_is_named_by_a_uri_below_the_folder_where_it_can_be() {
        let here = std::env::current_dir().unwrap().join("my rules/50%.yml");
        let below = json!({"uri": "my%20rules/50%25.yml", "uriBaseId": "%SRCROOT%"});
        assert_eq!(location(here.to_str().unwrap()), below);
        assert_eq!(location("./my rules/50%.yml"), below);
        assert_eq!(location("/else where/x.yml"), json!({"uri": "file:///else%20where/x.yml"}));
    }
}
