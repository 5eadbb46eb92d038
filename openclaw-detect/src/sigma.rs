//! Rules in Sigma's format (specification 2.1), as rules of ours.
//!
//! A Sigma rule becomes the text of one of ours, by `openclaw rules import` to be read and kept, or when it is loaded from a
//! folder of rules: so what is written is what runs. What it asks for that the sensor does not tell is left out of it where it
//! then finds less, and what would keep it from firing is left out and told; where nothing is left it can never fire.

mod audit;
mod condition;
mod correlation;
mod detection;
mod document;
mod expression;
mod field;
mod filter;
mod modifier;
mod source;
mod text;
mod value;
mod write;

use std::collections::{HashMap, HashSet};

use self::document::{Content, Document};
pub(crate) use self::document::{documents, looks_like};
use crate::diagnostic::{Diagnostic, Level, Lines, Problem, Span};
use crate::loader::Loader;
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

/// The Sigma rules of all sources, and the mistakes in them. Of other sources their lists are used.
pub fn import(sources: &[Source]) -> (Vec<Imported>, Diagnostics) {
    let mut all = Vec::new();
    for (number, source) in sources.iter().enumerate().filter(|(_, source)| looks_like(&source.text)) {
        all.extend(documents(&source.text).0.into_iter().map(|node| (number, node)));
    }
    // Whether they run is seen by loading them.
    let with_lists: Vec<_> =
        [Source::shipped_definitions()].into_iter().chain(sources.iter().cloned()).collect();
    let loaded = Loader::load(&with_lists);
    let runs: HashSet<&str> = loaded.rules.iter().map(|compiled| compiled.rule.name.as_str()).collect();
    let lines: Vec<_> = sources.iter().map(|source| Lines::of(&source.text)).collect();
    // An override may keep a rule from running as well.
    let mistaken: HashSet<String> = (loaded.diagnostics.iter())
        .filter(|mistake| mistake.level == Level::Error)
        .map(|mistake| format!("{}:{}", mistake.file, mistake.line))
        .collect();
    let is_mistaken = |origin: &str| mistaken.contains(origin);
    let made = translate(&all, &|number| sources.get(number).map_or("", |source| &source.text));
    let imported = made.into_iter().map(|made| {
        let place = sources.get(made.source).zip(lines.get(made.source));
        let origin = place
            .map_or_else(String::new, |(source, lines)| format!("{}:{}", source.name, lines.line(made.span)));
        let outcome = match made.outcome {
            Outcome::Rule { enabled: true, .. }
                if !runs.contains(made.name.as_str()) && is_mistaken(&origin) =>
            {
                Outcome::Mistaken
            }
            outcome => outcome,
        };
        let (title, id, name) = (made.title, made.id, made.name);
        Imported { title, id, name, origin, outcome }
    });
    let imported = imported.collect();
    // Those of other files are told where these are loaded.
    let of_sigma = sources.iter().filter(|source| looks_like(&source.text));
    let files: HashSet<&str> = of_sigma.map(|source| source.name.as_str()).collect();
    let is_told =
        |mistake: &Diagnostic| mistake.level == Level::Error && files.contains(mistake.file.as_str());
    let mistakes = loaded.diagnostics.0.into_iter().filter(is_told);
    (imported, Diagnostics(mistakes.collect()))
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
    filter::apply(&mut documents);
    correlation::resolve(&mut documents);
    // Filters are in the rules by now.
    let is_filter = |document: &Document| matches!(document.content, Content::Filter(_));
    documents.retain(|(_, document)| !is_filter(document) || document.problems.iter().any(Problem::is_error));
    // Titles are no names: where two are the same, the second has its id behind it.
    let mut names: HashSet<String> = HashSet::new();
    let mut last: HashMap<String, usize> = HashMap::new();
    documents
        .into_iter()
        .map(|(source, document)| {
            let name = document.name();
            let id: String =
                document.id.iter().flat_map(|id| id.chars()).take_while(|c| c.is_alphanumeric()).collect();
            let with_id = Some(format!("{name}_{id}")).filter(|_| !id.is_empty());
            let number = last.entry(name.clone()).or_insert(1);
            let numbered = std::iter::repeat_with(|| {
                *number += 1;
                format!("{name}_{number}")
            });
            let mut names_of_it = [name.clone()].into_iter().chain(with_id).chain(numbered);
            let name = names_of_it.find(|name| !names.contains(name)).unwrap_or_default();
            names.insert(name.clone());
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
