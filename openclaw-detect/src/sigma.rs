//! Rules in Sigma's format (specification 2.1), as rules of ours.
//!
//! A Sigma rule becomes the text of one of ours, by `openclaw rules import` to be read and kept, or when it is loaded from a
//! folder of rules: so what is written is what runs. What it asks for that the sensor does not tell is left out of it, as far
//! as it then still means less and never something else; where nothing is left it can never fire.

mod audit;
mod condition;
mod correlation;
mod detection;
mod document;
mod expression;
mod modifier;
mod source;
mod value;
mod write;

use std::collections::HashMap;

use self::document::{Content, Document};
pub(crate) use self::document::{documents, looks_like};
use crate::diagnostic::{Diagnostic, Lines, Problem, Span};
use crate::{Diagnostics, Source};

/// A Sigma rule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its title.
    pub title: String,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// The name of the rule that it became, or would have become.
    pub name: String,
    /// Where it is written, `file:line`.
    pub origin: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a Sigma rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A rule of ours.
    Rule {
        /// As a rule file with this one rule.
        text: String,
        /// What it asks for that the sensor does not tell: it can fire in part where there is anything.
        lacks: Vec<String>,
        /// Whether it runs: those that are deprecated, and those that only correlations ask for, do not.
        enabled: bool,
    },
    /// It can never fire, for these reasons.
    Never(Vec<String>),
    /// It was not understood: the mistakes say why.
    Mistaken,
}

/// A field of Sigma's, and what it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The category, or the record of auditd.
    pub log_source: &'static str,
    /// Its name in Sigma rules.
    pub name: &'static str,
    /// The field of ours; else why there is none.
    pub field: Result<String, &'static str>,
}

/// All fields that Sigma rules may name, by their log sources.
pub fn fields() -> Vec<Mapped> {
    let views = source::views().chain(audit::views());
    let of_view = |view: &'static source::View| {
        view.fields.iter().map(|(name, subject)| Mapped {
            log_source: view.name,
            name,
            field: subject.name(),
        })
    };
    views.flat_map(of_view).collect()
}

/// The Sigma rules of all sources, and the mistakes in them. Other sources are passed over.
pub fn import(sources: &[Source]) -> (Vec<Imported>, Diagnostics) {
    let mut all = Vec::new();
    let mut diagnostics = Vec::new();
    let mut report = |source: &Source, problem: Problem| {
        diagnostics.push(problem.at(&source.name, &source.text, &Lines::of(&source.text)));
    };
    for (number, source) in sources.iter().enumerate() {
        if !looks_like(&source.text) {
            continue;
        }
        match documents(&source.text) {
            Ok(nodes) => all.extend(nodes.into_iter().map(|node| (number, node))),
            Err(problem) => report(source, problem),
        }
    }
    let mut imported = Vec::new();
    for made in translate(&all, &|number| sources.get(number).map_or("", |source| &source.text)) {
        let Some(source) = sources.get(made.source) else { continue };
        let line = Lines::of(&source.text).line(made.span);
        made.problems.into_iter().for_each(|problem| report(source, problem));
        imported.push(Imported {
            title: made.title,
            id: made.id,
            name: made.name,
            origin: format!("{}:{line}", source.name),
            outcome: made.outcome,
        });
    }
    diagnostics.sort_by_key(|d: &Diagnostic| (d.file.clone(), d.line, d.column));
    (imported, Diagnostics(diagnostics))
}

/// A document of a source, made into a rule of ours.
#[derive(Debug)]
pub(crate) struct Made {
    /// The number of its source.
    pub(crate) source: usize,
    pub(crate) title: String,
    /// Where its title stands.
    pub(crate) span: Span,
    id: Option<String>,
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) problems: Vec<Problem>,
}

/// Makes rules of all documents, each with the number of its source, whose text `text` gives.
pub(crate) fn translate<'t>(
    nodes: &[(usize, crate::yaml::Node)],
    text: &dyn Fn(usize) -> &'t str,
) -> Vec<Made> {
    let read = |(source, node): &(usize, _)| (*source, document::read(node, text(*source)));
    let mut documents: Vec<(usize, Document)> = nodes.iter().map(read).collect();
    correlation::resolve(&mut documents);
    // Titles are no names: where two are the same, the second has its id behind it.
    let mut names: HashMap<String, usize> = HashMap::new();
    documents
        .into_iter()
        .map(|(source, document)| {
            let mut name = document.name();
            let times = names.entry(name.clone()).or_default();
            *times += 1;
            if *times > 1 {
                let id = document.id.as_deref().unwrap_or_default();
                let id = id.split('-').next().filter(|id| !id.is_empty());
                name = format!("{name}_{}", id.map_or_else(|| times.to_string(), str::to_owned));
            }
            made(source, document, name)
        })
        .collect()
}

fn made(source: usize, document: Document, name: String) -> Made {
    let failed = document.problems.iter().any(Problem::is_error);
    let outcome = match &document.content {
        _ if failed => Outcome::Mistaken,
        Content::Nothing(why) => Outcome::Never(why.clone()),
        Content::Detection(_, detection) if detection.condition.is_none() => {
            Outcome::Never(detection.lacks.clone())
        }
        content => Outcome::Rule {
            text: write::rule(&document, &name),
            lacks: content.lacks(),
            enabled: document.is_enabled(),
        },
    };
    let Document { title, span, id, problems, .. } = document;
    Made { source, title, span, id, name, outcome, problems }
}

#[cfg(test)]
mod tests;
