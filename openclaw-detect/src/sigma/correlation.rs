//! Correlations of Sigma rules: so many of them, so many different values of a field, or several of them, within a time.

use std::collections::HashMap;
use std::sync::Arc;

use super::audit;
use super::detection::Detection;
use super::document::{Content, Document, by_name, no_such_rule, text, texts};
use super::source::{LogSource, Subject};
use crate::ast::Expr;
use crate::diagnostic::{Problem, Span};
use crate::field::Type;
use crate::rule_file::stateful::{MAX_DISTINCT, MAX_STEPS};
use crate::suggest::did_you_mean;
use crate::yaml::{Key, Node, Tree};
use crate::{Field, KindSet, literal};

/// A correlation as it was read.
#[derive(Debug, Clone)]
pub(super) struct Correlation {
    pub(super) kind: Kind,
    rules: Vec<(String, Span)>,
    group_by: Vec<(String, Span)>,
    /// As it is written, such as `5m`.
    pub(super) timespan: String,
    /// How many there must be.
    pub(super) at_least: u64,
    /// The field of which different values, or a sum, are counted.
    field: Option<(String, Span)>,
    /// Names of fields that are called otherwise in some rules: the alias, the rule and the field.
    aliases: Vec<(String, String, String)>,
    /// Whether its rules fire by themselves too.
    generates: bool,
    span: Span,
    /// Its rules, once they are known.
    pub(super) parts: Vec<Part>,
}

/// A rule of a correlation.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) condition: Arc<Expr>,
    pub(super) kinds: KindSet,
    /// The fields by which it belongs together with the others.
    pub(super) by: Vec<Field>,
    /// What is counted of it.
    measured: Option<Field>,
    lacks: Vec<String>,
}

/// Rules that a correlation may have.
const MAX_RULES: usize = 100;

/// What is asked of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// So many events.
    Events,
    /// So many different values.
    Values,
    /// So much in sum.
    Sum,
    /// All of them.
    All,
    /// All of them in this order.
    Ordered,
}

const KINDS: &[(&str, Kind)] = &[
    ("event_count", Kind::Events),
    ("value_count", Kind::Values),
    ("value_sum", Kind::Sum),
    ("temporal", Kind::All),
    ("temporal_ordered", Kind::Ordered),
];

const KEYS: &[&str] = &["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];

impl Correlation {
    /// What its rules ask for that the sensor does not tell.
    pub(super) fn lacks(&self) -> Vec<String> {
        let mut lacks: Vec<_> = self.parts.iter().flat_map(|part| part.lacks.iter().cloned()).collect();
        lacks.dedup();
        lacks
    }
}

/// Reads a correlation.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn read(key: &Key, node: &Node) -> Result<Correlation, Vec<Problem>> {
    let Tree::Mapping(entries) = &node.value else {
        let message = format!("expected a correlation, found {}", node.describe());
        return Err(vec![Problem::error(node.span, message)]);
    };
    let mut problems = Vec::new();
    let mut correlation = Correlation {
        kind: Kind::Events,
        rules: Vec::new(),
        group_by: Vec::new(),
        timespan: String::new(),
        at_least: 0,
        field: None,
        aliases: Vec::new(),
        generates: false,
        span: key.span,
        parts: Vec::new(),
    };
    for needed in ["type", "rules", "timespan"] {
        if !entries.iter().any(|(key, _)| key.name == needed) {
            problems.push(Problem::error(key.span, format!("this correlation has no `{needed}`")));
        }
    }
    for (key, value) in entries {
        match key.name.as_str() {
            "type" => correlation.read_kind(value, &mut problems),
            "rules" => correlation.rules = named(value),
            "group-by" => correlation.group_by = named(value),
            "timespan" => correlation.read_timespan(value, &mut problems),
            "condition" => correlation.read_condition(value, &mut problems),
            "aliases" => correlation.read_aliases(value, &mut problems),
            "generate" => correlation.generates = text(value).is_some_and(|text| text == "true"),
            name => problems.push(
                Problem::error(key.span, format!("a correlation has no key `{name}`"))
                    .help(format!("its keys are {}", KEYS.join(", ")))
                    .maybe_help(did_you_mean(name, KEYS.iter().copied())),
            ),
        }
    }
    correlation.go_together(entries, &mut problems);
    if problems.is_empty() { Ok(correlation) } else { Err(problems) }
}

impl Correlation {
    fn read_kind(&mut self, value: &Node, problems: &mut Vec<Problem>) {
        let name = text(value).unwrap_or_default();
        match KINDS.iter().find(|(known, _)| *known == name) {
            Some((_, kind)) => self.kind = *kind,
            None => {
                let known: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
                let message = match name.as_str() {
                    "value_avg" | "value_percentile" | "value_median" => format!("`{name}` is not supported"),
                    _ => format!("there is no correlation of type `{name}`"),
                };
                problems.push(
                    Problem::error(value.span, message)
                        .help(format!("the types are {}", known.join(", ")))
                        .maybe_help(did_you_mean(&name, known.iter().copied())),
                );
            }
        }
    }

    fn read_timespan(&mut self, value: &Node, problems: &mut Vec<Problem>) {
        self.timespan = text(value).unwrap_or_default();
        if literal::duration(&self.timespan).is_none() {
            let problem = Problem::error(value.span, format!("`{}` is no length of time", self.timespan));
            problems.push(problem.help("write 30s, 5m, 1h or 1d"));
        }
    }

    /// `gte: 10`, with the field where different values are counted.
    fn read_condition(&mut self, value: &Node, problems: &mut Vec<Problem>) {
        let Tree::Mapping(entries) = &value.value else {
            let problem =
                Problem::error(value.span, format!("expected `gte: 10`, found {}", value.describe()));
            problems.push(problem);
            return;
        };
        for (key, value) in entries {
            let number = text(value).and_then(|text| text.parse::<u64>().ok());
            match (key.name.as_str(), number) {
                ("field", _) => self.field = text(value).map(|field| (field, value.span)),
                ("gte", Some(number)) => self.at_least = number,
                ("gt", Some(number)) => self.at_least = number.saturating_add(1),
                ("gte" | "gt", None) => problems.push(Problem::error(value.span, "this is no number")),
                ("lt" | "lte" | "eq" | "neq", _) => {
                    let message =
                        format!("`{}` is not supported: what did not come makes no rule fire", key.name);
                    problems.push(Problem::error(key.span, message).help("write `gte` or `gt`"));
                }
                (name, _) => {
                    let problem =
                        Problem::error(key.span, format!("a correlation's condition has no key `{name}`"));
                    problems.push(problem.help("write `gte`, `gt` and `field`"));
                }
            }
        }
    }

    fn read_aliases(&mut self, value: &Node, problems: &mut Vec<Problem>) {
        let Tree::Mapping(aliases) = &value.value else {
            problems.push(Problem::error(value.span, "expected aliases: NAME: {RULE: FIELD}"));
            return;
        };
        for (alias, fields) in aliases {
            let Tree::Mapping(fields) = &fields.value else {
                problems.push(Problem::error(fields.span, "expected fields by their rules: {RULE: FIELD}"));
                continue;
            };
            for (rule, field) in fields {
                self.aliases.push((alias.name.clone(), rule.name.clone(), text(field).unwrap_or_default()));
            }
        }
    }

    fn go_together(&self, entries: &[(Key, Node)], problems: &mut Vec<Problem>) {
        let has = |name: &str| entries.iter().any(|(key, _)| key.name == name);
        let counts = matches!(self.kind, Kind::Events | Kind::Values | Kind::Sum);
        let measures = matches!(self.kind, Kind::Values | Kind::Sum);
        let problem = if counts && !has("condition") {
            "this correlation has no `condition`: say how many, such as `gte: 10`"
        } else if counts && self.at_least == 0 {
            "the condition of this correlation does not say how many: write `gte` or `gt`"
        } else if measures && self.field.is_none() {
            "the condition of this correlation names no `field`"
        } else if self.kind == Kind::Values && self.at_least < 2 {
            "one value is there with each event: ask for two or more"
        } else if self.kind == Kind::Events && self.field.is_some() {
            "event_count counts events, and no `field`: write `value_count` to count different values"
        } else if !counts && has("condition") {
            "all rules of this correlation must fire: leave `condition` out"
        } else if !counts && self.rules.len() < 2 {
            "this correlation needs two rules at least"
        } else if self.rules.len() > MAX_RULES {
            "this correlation has more than 100 rules"
        } else {
            return;
        };
        problems.push(Problem::error(self.span, problem));
    }

    /// The field of which different values, or a sum, are counted: it is the same in all its rules.
    pub(super) fn measured(&self) -> Option<Field> {
        self.parts.first().and_then(|part| part.measured)
    }

    /// Counts go over all rules by the same fields of ours: complains where these differ.
    fn same_fields(&self) -> Option<Problem> {
        let counts = matches!(self.kind, Kind::Events | Kind::Values | Kind::Sum);
        let first = self.parts.first().filter(|_| counts)?;
        let differs = |part: &&Part| part.by != first.by || part.measured != first.measured;
        self.parts.iter().find(differs).map(|_| {
            let message = "the fields of this correlation are not the same in all its rules";
            Problem::error(self.span, message).help("write a correlation for each kind of rule")
        })
    }

    /// Complains of what no rule of ours can have: then its rules are to fire by themselves.
    fn bounds(&self) -> Option<Problem> {
        let types = |part: &Part| part.by.iter().map(|field| field.value_type()).collect::<Vec<_>>();
        let differ = |first: &Part| self.parts.iter().any(|part| types(part) != types(first));
        let message = match self.kind {
            Kind::Values if self.at_least > MAX_DISTINCT => {
                format!("so many different values are not kept: {MAX_DISTINCT} at most")
            }
            Kind::Sum if self.measured().is_some_and(|field| field.value_type() != Type::Int) => {
                "what `value_sum` sums up is to be a number".to_owned()
            }
            Kind::All | Kind::Ordered if self.parts.len() > MAX_STEPS => {
                format!("a correlation follows {MAX_STEPS} rules at most")
            }
            Kind::All | Kind::Ordered if self.parts.first().is_some_and(differ) => {
                "the fields of `group-by` are not of the same type in all rules".to_owned()
            }
            _ => return None,
        };
        Some(Problem::error(self.span, message))
    }

    /// The field of ours that a rule's field, or an alias, is.
    fn field_of(&self, name: &str, rule: &Document) -> Option<Field> {
        let is_of_rule = |of: &str| Some(of) == rule.own_name.as_deref() || Some(of) == rule.id.as_deref();
        let alias = self.aliases.iter().find(|(alias, of, _)| alias == name && is_of_rule(of));
        let name = alias.map_or(name, |(_, _, field)| field.as_str());
        let Content::Detection(source, _) = &rule.content else { return None };
        let views = match source {
            LogSource::View(view) => vec![*view],
            LogSource::Audit => audit::views().collect(),
        };
        let mut fields = views.into_iter().flat_map(|view| view.fields);
        let subject = fields.find(|(field, _)| *field == name).map(|(_, subject)| *subject);
        match subject {
            Some(Subject::Field(field) | Subject::User(field)) => Some(field),
            _ if matches!(name, "Computer" | "ComputerName" | "host" | "hostname") => Some(Field::HostName),
            // Those who write for this sensor may use its own names.
            _ => Field::from_name(name),
        }
    }
}

/// Texts with their places.
fn named(node: &Node) -> Vec<(String, Span)> {
    match &node.value {
        Tree::Sequence(items) => {
            items.iter().filter_map(|item| text(item).map(|text| (text, item.span))).collect()
        }
        _ => texts(node).into_iter().map(|text| (text, node.span)).collect(),
    }
}

/// Finds the rules of all correlations, by name or id, and keeps those from firing by themselves that are part of one.
pub(super) fn resolve(documents: &mut [(usize, Document)]) {
    let by_name = by_name(documents);
    // What each rule asks for in a correlation, made once.
    let mut wholes: HashMap<usize, Option<Arc<Expr>>> = HashMap::new();
    for number in 0..documents.len() {
        let Content::Correlation(correlation) = &documents[number].1.content else { continue };
        let mut correlation = correlation.clone();
        let mut problems = Vec::new();
        let (mut lacking, mut asked_for) = (Vec::new(), Vec::new());
        for (name, span) in correlation.rules.clone() {
            let Some(of) = by_name.get(&name).copied() else {
                problems.push(no_such_rule(&name, span, &by_name, problems.len() < 20));
                continue;
            };
            let rule = &documents[of].1;
            let whole = wholes.entry(of).or_insert_with(|| match &rule.content {
                Content::Detection(_, detection) => detection.whole().map(Arc::new),
                Content::Correlation(_) | Content::Filter(_) | Content::Nothing(_) => None,
            });
            match part(&correlation, rule, whole.clone(), span) {
                Ok(Some(part)) => correlation.parts.push(part),
                Ok(None) => lacking.push(format!("the rule `{name}` of this correlation can never fire")),
                Err(found) => problems.extend(found),
            }
            asked_for.push(of);
        }
        problems.extend(correlation.same_fields());
        problems.extend(correlation.bounds());
        let needs_all = matches!(correlation.kind, Kind::All | Kind::Ordered);
        // Its rules fire by themselves where it does not run.
        let runs = problems.is_empty() && documents[number].1.is_enabled() && lacking.len() < asked_for.len();
        if runs && !correlation.generates {
            asked_for.into_iter().for_each(|of| documents[of].1.is_part = true);
        }
        let document = &mut documents[number].1;
        document.problems.extend(problems);
        document.content = if !lacking.is_empty() && (needs_all || correlation.parts.is_empty()) {
            Content::Nothing(lacking)
        } else {
            if let Some(part) = correlation.parts.first_mut() {
                part.lacks.extend(lacking);
            }
            Content::Correlation(correlation)
        };
    }
}

/// A rule as part of a correlation; none where it can never fire.
fn part(
    correlation: &Correlation,
    rule: &Document,
    whole: Option<Arc<Expr>>,
    span: Span,
) -> Result<Option<Part>, Vec<Problem>> {
    let detection: &Detection = match &rule.content {
        _ if rule.problems.iter().any(Problem::is_error) => {
            return Err(vec![Problem::error(span, format!("the rule `{}` has mistakes", rule.title))]);
        }
        Content::Nothing(_) => return Ok(None),
        Content::Correlation(_) | Content::Filter(_) => {
            let message = format!("`{}` is no rule of its own, which is not supported", rule.title);
            return Err(vec![Problem::error(span, message)]);
        }
        Content::Detection(_, detection) => detection,
    };
    let Some(condition) = whole else { return Ok(None) };
    let mut by = Vec::new();
    let mut problems = Vec::new();
    for (name, span) in &correlation.group_by {
        match correlation.field_of(name, rule) {
            Some(field) => by.push(field),
            None => problems.push(
                Problem::error(*span, format!("`{name}` is no field of the rule `{}`", rule.title))
                    .help("name a field of its log source, or give it an alias"),
            ),
        }
    }
    let measured = correlation.field.as_ref().and_then(|(name, span)| {
        let field = correlation.field_of(name, rule);
        if field.is_none() {
            let message = format!("`{name}` is no field of the rule `{}`", rule.title);
            problems.push(Problem::error(*span, message));
        }
        field
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Some(Part { condition, kinds: detection.kinds, by, measured, lacks: detection.lacks.clone() }))
}
