//! `openclaw rules check`

use std::path::PathBuf;

use anstream::println;
use anyhow::{Result, bail};
use openclaw_detect::{Diagnostic, Diagnostics, Level};
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
            Ok(())
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
                "artifactLocation": { "uri": diagnostic.file },
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
        assert_eq!(place["artifactLocation"]["uri"], "r/x.yml");
        assert_eq!(place["region"], json!({"startLine": 3, "startColumn": 14, "endColumn": 26}));
    }
}
