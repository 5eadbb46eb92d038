//! Filters of Sigma: documents that add to what other rules ask for, as those do who except what is theirs.

use super::detection::{self, Detection};
use super::document::{Content, Document, by_name, no_such_rule, text};
use super::expression::Meaning;
use super::source::LogSource;
use crate::diagnostic::{Problem, Span};
use crate::yaml::{Key, Node, Tree};

/// Filters of all files, each of which may be for all rules.
const MAX_FILTERS: usize = 1000;

/// A filter as it was read.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// The names or ids of the rules that it is for; none where it is for all of its log source.
    rules: Option<Vec<(String, Span)>>,
    source: LogSource,
    /// What must be so as well.
    detection: Detection,
}

/// Reads a filter of rules that look there.
pub(super) fn read(key: &Key, node: &Node, file: &str, source: LogSource) -> (Option<Filter>, Vec<Problem>) {
    let Tree::Mapping(entries) = &node.value else {
        let message = format!("expected `rules`, searches and a `condition`, found {}", node.describe());
        return (None, vec![Problem::error(node.span, message)]);
    };
    let (own, searches): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(|(key, _)| key.name == "rules");
    let Some((_, named)) = own.first() else {
        let problem = Problem::error(key.span, "this filter does not say of which `rules` it is");
        return (None, vec![problem.help("write their ids or names, or `rules: any`")]);
    };
    let items = match &named.value {
        Tree::Sequence(items) => items.as_slice(),
        _ => std::slice::from_ref(named),
    };
    let names: Vec<_> = items.iter().filter_map(|item| text(item).map(|name| (name, item.span))).collect();
    let is_any = matches!(&names[..], [(name, _)] if name == "any");
    let detection = Node { value: Tree::Mapping(searches), span: node.span };
    let (detection, problems) = detection::read(&detection, file, source);
    let rules = if is_any { None } else { Some(names) };
    (detection.map(|detection| Filter { rules, source, detection }), problems)
}

/// Adds to rules what filters say of them, and complains of those that say it of none.
pub(super) fn apply(documents: &mut [(usize, Document)]) {
    let names = by_name(documents);
    let mut filters = 0;
    for number in 0..documents.len() {
        let Content::Filter(filter) = &documents[number].1.content else { continue };
        let filter = filter.clone();
        let mut problems = Vec::new();
        filters += 1;
        if filters > MAX_FILTERS {
            let span = documents[number].1.span;
            let message = format!("there are more than {MAX_FILTERS} filters");
            documents[number].1.problems.push(Problem::error(span, message));
            continue;
        }
        let targets: Vec<usize> = match &filter.rules {
            None => (0..documents.len()).filter(|of| filter.is_of(&documents[*of].1)).collect(),
            Some(rules) => {
                let mut found = Vec::new();
                for (name, span) in rules {
                    let problem = match names.get(name) {
                        Some(of) if filter.is_of(&documents[*of].1) => {
                            found.push(*of);
                            continue;
                        }
                        Some(_) => {
                            let message = format!("the rule `{name}` does not look where this filter does");
                            Problem::error(*span, message)
                        }
                        None => no_such_rule(name, *span, &names, problems.len() < 20),
                    };
                    problems.push(problem);
                }
                found
            }
        };
        let title = documents[number].1.title.clone();
        for of in targets {
            if let Content::Detection(_, detection) = &mut documents[of].1.content {
                filter.add_to(detection, &title);
            }
        }
        documents[number].1.problems.extend(problems);
    }
}

impl Filter {
    /// Whether a rule looks where the filter does.
    fn is_of(&self, rule: &Document) -> bool {
        match (&rule.content, self.source) {
            (Content::Detection(LogSource::View(own), _), LogSource::View(view)) => own.name == view.name,
            (Content::Detection(LogSource::Audit, _), LogSource::Audit) => true,
            _ => false,
        }
    }

    fn add_to(&self, rule: &mut Detection, title: &str) {
        let Some(condition) = &self.detection.condition else {
            // What cannot be seen keeps no rule from firing.
            let why = self.detection.lacks.join("; ");
            rule.lacks.push(format!("the filter `{title}`, of which nothing is told: {why}"));
            return;
        };
        let Some(own) = &rule.condition else { return };
        if let Meaning::Asks(both) = Meaning::all([own.clone(), condition.clone()].map(Meaning::Asks)) {
            rule.condition = Some(both);
        }
        rule.exceptions.extend(self.detection.exceptions.iter().cloned());
        rule.kinds = rule.kinds.union(self.detection.kinds);
        rule.lacks.extend(self.detection.lacks.iter().cloned());
    }
}
