//! Rule files: from YAML to rules that were checked, and all the mistakes in them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::ast::Expr;
use crate::compiled::{Compiled, Question};
use crate::definitions::Definitions;
use crate::diagnostic::{Diagnostic, Diagnostics, Level, Lines, Problem, Span};
use crate::lists::MAX_MEMBER;
use crate::pack::{self, Pack};
use crate::parser;
use crate::reader::Reader;
use crate::rule_file::{self, Draft};
use crate::ruleset::Source;
use crate::shadow;
use crate::sigma::{self, Made, Outcome};
use crate::suggest::did_you_mean;
use crate::yaml::{self, Key, Node, Tree};

/// The keys of a rule file.
pub(crate) const FILE_KEYS: &[&str] = &["pack", "lists", "macros", "rules", "overrides"];

/// Bytes that a rule file may have.
const MAX_BYTES: usize = 16 << 20;

/// Errors, and warnings, of one file that are told: in a file with more of them something else is wrong.
const MAX_MISTAKES: usize = 1000;

/// What was made of all sources.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) rules: Vec<Compiled>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) disabled: usize,
    pub(crate) diagnostics: Diagnostics,
    /// Whether a mistake keeps all rules from running: one in a file of Sigma's keeps its own rule alone.
    pub(crate) is_refused: bool,
}

/// A place: the source's number, and where in it.
type Place = (usize, Span);

/// Gathers what the sources say, subject by subject: each is for the rules of all sources.
pub(crate) struct Loader<'a> {
    sources: &'a [Source],
    /// Where the lines of each source begin.
    lines: Vec<Lines>,
    definitions: Definitions,
    /// Where the members of lists stand.
    members: HashMap<String, Vec<(String, Place)>>,
    /// What macros are made of, and where.
    macros: BTreeMap<String, (Expr, usize, Node)>,
    /// Packs, with the numbers of the sources that say so.
    packs: Vec<(usize, Pack)>,
    drafts: Vec<(usize, Draft)>,
    /// The draft of each name.
    names: HashMap<String, usize>,
    /// Mistakes with the number of their source.
    diagnostics: Vec<(usize, Diagnostic)>,
    /// How many each source has.
    mistakes: Vec<Mistakes>,
    /// The documents of Sigma files, each with the number of its source.
    sigma: Vec<(usize, Node)>,
    /// What their rules are called, also those that do not run.
    sigma_names: HashSet<String>,
    /// Whether there are more of them than could be read.
    sigma_unread: bool,
    /// Which sources are Sigma files.
    is_sigma: Vec<bool>,
    is_refused: bool,
}

/// How many mistakes a source has.
#[derive(Debug, Clone, Copy, Default)]
struct Mistakes {
    errors: usize,
    warnings: usize,
}

impl<'a> Loader<'a> {
    /// Reads all sources.
    pub(crate) fn load(sources: &'a [Source]) -> Loaded {
        let mut loader = Loader {
            sources,
            lines: sources.iter().map(|source| Lines::of(&source.text)).collect(),
            definitions: Definitions::default(),
            members: HashMap::new(),
            macros: BTreeMap::new(),
            packs: Vec::new(),
            drafts: Vec::new(),
            names: HashMap::new(),
            diagnostics: Vec::new(),
            mistakes: vec![Mistakes::default(); sources.len()],
            sigma: Vec::new(),
            sigma_names: HashSet::new(),
            sigma_unread: false,
            is_sigma: sources.iter().map(|source| sigma::looks_like(&source.text)).collect(),
            is_refused: false,
        };
        let documents: Vec<_> = (0..sources.len()).map(|source| loader.document(source)).collect();
        let each = |of: fn(&mut Self, usize, &Key, &Node), loader: &mut Self| {
            for (source, document) in documents.iter().enumerate() {
                if let Some(Node { value: Tree::Mapping(entries), .. }) = document {
                    entries.iter().for_each(|(key, value)| of(loader, source, key, value));
                }
            }
        };
        each(Loader::definition, &mut loader);
        loader.check_packs();
        loader.make_definitions_ready();
        each(Loader::rules, &mut loader);
        loader.sigma_rules();
        each(Loader::overrides, &mut loader);
        loader.finish()
    }

    fn document(&mut self, source: usize) -> Option<Node> {
        let text = &self.sources[source].text;
        if text.len() > MAX_BYTES {
            let message = format!("this file has {} bytes, more than {MAX_BYTES}", text.len());
            self.report(source, Problem::error(Span::default(), message).help("split it"));
            self.sigma_unread |= self.is_sigma[source];
            return None;
        }
        if self.is_sigma[source] {
            let (nodes, problems) = sigma::documents(text);
            self.sigma.extend(nodes.into_iter().map(|node| (source, node)));
            self.sigma_unread |= !problems.is_empty();
            self.report_all(source, problems);
            return None;
        }
        match yaml::parse(text) {
            Ok(document) => {
                let mapping = |node: &Node| matches!(node.value, Tree::Mapping(_));
                if let Some(node) = document.as_ref().filter(|node| !mapping(node)) {
                    let message = format!("expected `lists:` and `rules:`, found {}", node.describe());
                    self.report(source, Problem::error(node.span, message));
                }
                document
            }
            Err(problem) => {
                self.report(source, problem);
                None
            }
        }
    }

    fn report(&mut self, source: usize, problem: Problem) {
        let Source { name, text } = &self.sources[source];
        let told = match problem.level {
            Level::Error => &mut self.mistakes[source].errors,
            Level::Warning => &mut self.mistakes[source].warnings,
        };
        *told += 1;
        self.is_refused |= problem.is_error() && !self.is_sigma[source];
        let problem = match *told {
            ..MAX_MISTAKES => problem,
            MAX_MISTAKES => {
                let message = format!("this file has {}s after this one, which are not told", problem.level);
                Problem { message, help: None, ..problem }
            }
            _ => return,
        };
        self.diagnostics.push((source, problem.at(name, text, &self.lines[source])));
    }

    /// Whether the source has so many errors that no more are looked for.
    fn is_given_up(&self, source: usize) -> bool {
        self.mistakes[source].errors >= MAX_MISTAKES
    }

    fn report_all(&mut self, source: usize, problems: Vec<Problem>) {
        problems.into_iter().for_each(|problem| self.report(source, problem));
    }

    /// `file:line`.
    fn place(&self, (source, span): Place) -> String {
        format!("{}:{}", self.sources[source].name, self.lines[source].line(span))
    }

    /// The lists and macros of a file, and what is wrong with its keys.
    fn definition(&mut self, source: usize, key: &Key, value: &Node) {
        match key.name.as_str() {
            "lists" => self.lists(source, value),
            "macros" => self.read_macros(source, value),
            "pack" => {
                let mut reader = Reader::new(&self.sources[source].text, &self.definitions);
                let pack = pack::read(&mut reader, key, value);
                let problems = reader.problems;
                self.report_all(source, problems);
                self.packs.extend(pack.map(|pack| (source, pack)));
            }
            "rules" | "overrides" => {}
            name => {
                let problem = Problem::error(key.span, format!("unknown key `{name}`"))
                    .help(format!("a rule file has the keys {}", FILE_KEYS.join(", ")))
                    .maybe_help(did_you_mean(name, FILE_KEYS.iter().copied()));
                self.report(source, problem);
            }
        }
    }

    /// Complains of packs that are there twice, or lack what they need.
    fn check_packs(&mut self) {
        let mut problems = Vec::new();
        for (number, (source, pack)) in self.packs.iter().enumerate() {
            let all = self.packs.iter().map(|(_, pack)| pack);
            problems.extend(pack.missing(all).into_iter().map(|problem| (*source, problem)));
            if let Some((first, _)) = self.packs[..number].iter().find(|(_, other)| other.name == pack.name) {
                let first = &self.sources[*first].name;
                let problem = Problem::error(pack.name_span, format!("there are two packs `{}`", pack.name))
                    .help(format!("the first is that of {first}"));
                problems.push((*source, problem));
            }
        }
        problems.into_iter().for_each(|(source, problem)| self.report(source, problem));
    }

    /// The pack that a source belongs to: that of the innermost folder which has one.
    fn pack_of(&self, source: usize) -> Option<&Pack> {
        let name = &self.sources[source].name;
        let folder = |of: usize| self.sources[of].name.rfind('/').map(|at| &self.sources[of].name[..=at]);
        let holds = |of: usize| of == source || folder(of).is_some_and(|folder| name.starts_with(folder));
        let packs = self.packs.iter().filter(|(of, _)| holds(*of));
        packs.max_by_key(|(of, _)| folder(*of).map(str::len)).map(|(_, pack)| pack)
    }

    fn lists(&mut self, source: usize, lists: &Node) {
        let Tree::Mapping(entries) = &lists.value else {
            let message = format!("expected lists by name, found {}", lists.describe());
            return self
                .report(source, Problem::error(lists.span, message).help("write NAME: [VALUE, VALUE]"));
        };
        for (key, value) in entries {
            match &value.value {
                Tree::Sequence(items) => {
                    let members = self.list_members(source, key, items);
                    self.definitions.lists.define(key.name.clone(), texts(&members));
                    self.members.insert(key.name.clone(), members);
                }
                Tree::Mapping(entries) => entries.iter().for_each(|(how, items)| {
                    self.append(source, key, how, items);
                }),
                _ => {
                    let message = format!("the list `{}` is {}, not a list", key.name, value.describe());
                    let help = "write NAME: [VALUE, VALUE]; an empty list is []";
                    self.report(source, Problem::error(key.span, message).help(help));
                }
            }
        }
    }

    /// `NAME: {append: [VALUE]}`
    fn append(&mut self, source: usize, list: &Key, how: &Key, items: &Node) {
        let help = format!("write {}: {{append: [VALUE, VALUE]}}", list.name);
        match &items.value {
            _ if how.name != "append" => {
                let problem = Problem::error(how.span, format!("unknown key `{}`", how.name)).help(help);
                self.report(source, problem);
            }
            Tree::Sequence(items) => {
                let members = self.list_members(source, list, items);
                if self.definitions.lists.append(&list.name, texts(&members)) {
                    self.members.entry(list.name.clone()).or_default().extend(members);
                } else {
                    let near =
                        self.definitions.shared.did_you_mean(&list.name, self.definitions.lists.names());
                    let message = format!("there is no list `{}` to append to", list.name);
                    let help = "define it in this file, or in one before";
                    self.report(source, Problem::error(list.span, message).help(help).maybe_help(near));
                }
            }
            _ => {
                let message = format!("`append` is {}, not a list", items.describe());
                self.report(source, Problem::error(how.span, message).help(help));
            }
        }
    }

    fn list_members(&mut self, source: usize, list: &Key, items: &[Node]) -> Vec<(String, Place)> {
        let mut members = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                Tree::Scalar(text) if text.len() > MAX_MEMBER => {
                    let bytes = text.len();
                    let message = format!(
                        "a value of the list `{}` has {bytes} bytes, more than {MAX_MEMBER}",
                        list.name
                    );
                    self.report(source, Problem::error(item.span, message));
                }
                Tree::Scalar(text) => members.push((text.clone(), (source, item.span))),
                _ => {
                    let message =
                        format!("the list `{}` has {} among its values", list.name, item.describe());
                    self.report(source, Problem::error(item.span, message));
                }
            }
        }
        members
    }

    fn read_macros(&mut self, source: usize, macros: &Node) {
        let Tree::Mapping(entries) = &macros.value else {
            let message = format!("expected macros by name, found {}", macros.describe());
            return self.report(source, Problem::error(macros.span, message).help("write NAME: CONDITION"));
        };
        for (key, value) in entries {
            let Tree::Scalar(text) = &value.value else {
                let message = format!("the macro `{}` is {}, not a condition", key.name, value.describe());
                self.report(source, Problem::error(key.span, message).help("write NAME: CONDITION"));
                continue;
            };
            if !is_macro_name(&key.name) {
                let message = format!("`{}` cannot be a macro's name", key.name);
                let help = "a name is made of letters, digits and _, begins with a letter, and is no word of the language";
                self.report(source, Problem::error(key.span, message).help(help));
                continue;
            }
            match parser::parse(text) {
                Ok(expr) => {
                    self.macros.insert(key.name.clone(), (expr, source, value.clone()));
                }
                Err(problem) => {
                    let problem = value.places(&self.sources[source].text).of(problem);
                    self.report(source, problem);
                }
            }
        }
    }

    /// When all lists and macros are known: those that go in circles are mistakes, the others are made ready.
    fn make_definitions_ready(&mut self) {
        let circles: Vec<(String, String)> = self
            .definitions
            .lists
            .circles()
            .into_iter()
            .map(|(list, member)| (list.to_owned(), member.to_owned()))
            .collect();
        for (list, member) in circles {
            let members = self.members.get(&list).into_iter().flatten();
            let Some((source, span)) =
                members.filter(|(text, _)| *text == member).map(|(_, place)| *place).next()
            else {
                continue;
            };
            let message = if list == member {
                format!("the list `{list}` has itself as a member")
            } else {
                format!("the list `{list}` has the member `{member}`, which has `{list}` as one")
            };
            self.report(source, Problem::error(span, message));
        }
        let exprs: BTreeMap<String, Expr> =
            self.macros.iter().map(|(name, (expr, ..))| (name.clone(), expr.clone())).collect();
        let mut problems = Vec::new();
        self.definitions.define_macros(&exprs, |name, found| problems.push((name.to_owned(), found)));
        for (name, found) in problems {
            let (_, source, node) = &self.macros[&name];
            let source = *source;
            if !self.is_given_up(source) {
                let place = node.places(&self.sources[source].text);
                self.report_all(source, found.into_iter().map(|problem| place.of(problem)).collect());
            }
        }
    }

    /// The items under a key of the file, which are to be a list.
    fn items<'n>(&mut self, source: usize, key: &Key, value: &'n Node, begin: &str) -> &'n [Node] {
        match &value.value {
            Tree::Sequence(items) => items,
            Tree::Null => &[],
            _ => {
                let message = format!("expected a list of {}, found {}", key.name, value.describe());
                let help = format!("begin each with `- {begin}:`");
                self.report(source, Problem::error(value.span, message).help(help));
                &[]
            }
        }
    }

    fn rules(&mut self, source: usize, key: &Key, value: &Node) {
        if key.name != "rules" {
            return;
        }
        for item in self.items(source, key, value, "name") {
            if self.is_given_up(source) {
                return;
            }
            let (draft, problems) = rule_file::read(item, &self.sources[source].text, &self.definitions);
            self.report_all(source, problems);
            self.take(source, draft);
        }
    }

    /// Takes a rule, unless there is one of its name.
    fn take(&mut self, source: usize, draft: Draft) {
        let Some((name, span)) = &draft.name else { return };
        if let Some(first) = self.names.get(name) {
            let (first_source, first) = &self.drafts[*first];
            let first =
                self.place((*first_source, first.name.as_ref().map_or(Span::default(), |(_, span)| *span)));
            let problem = Problem::error(*span, format!("there are two rules `{name}`")).help(format!(
                "the first is at {first}: give this one another name, or change it under `overrides:`"
            ));
            self.report(source, problem);
        } else {
            self.names.insert(name.clone(), self.drafts.len());
            self.drafts.push((source, draft));
        }
    }

    /// The rules of Sigma files, as the rules of ours that they become. What is wrong with one keeps it alone from running.
    fn sigma_rules(&mut self) {
        let sources = self.sources;
        let made = sigma::translate(&self.sigma, &|source| &sources[source].text);
        for Made { source, span, problems, outcome, name, .. } in made {
            self.report_all(source, problems);
            self.sigma_names.insert(name);
            let (text, lacks, enabled) = match outcome {
                Outcome::Rule { text, lacks, enabled } => (text, lacks, enabled),
                Outcome::Never(why) => {
                    let message = "this Sigma rule can never fire, and is left out";
                    self.report(source, Problem::warning(span, message).help(why.join("; ")));
                    continue;
                }
                Outcome::Mistaken => continue,
            };
            if enabled && !lacks.is_empty() {
                let problem = Problem::warning(span, "this Sigma rule can fire in part");
                self.report(source, problem.help(format!("what is missing: {}", lacks.join("; "))));
            }
            let items = match yaml::parse(&text).map(|node| node.map(|node| node.value)) {
                Ok(Some(Tree::Mapping(entries))) => entries,
                _ => {
                    let message = "what this Sigma rule became cannot be read, and it is left out";
                    self.report(source, Problem::error(span, message).help("this is a fault of OpenClaw's"));
                    continue;
                }
            };
            let rules = items.into_iter().filter_map(|(_, value)| match value.value {
                Tree::Sequence(items) => Some(items),
                _ => None,
            });
            for item in rules.flatten() {
                let (draft, problems) = rule_file::read(&item, &text, &self.definitions);
                self.report_all(source, all_at(span, problems));
                self.take(source, draft.standing_at(span));
            }
        }
    }

    fn overrides(&mut self, source: usize, key: &Key, value: &Node) {
        if key.name != "overrides" {
            return;
        }
        for item in self.items(source, key, value, "rule") {
            if self.is_given_up(source) {
                return;
            }
            let text = &self.sources[source].text;
            let (name, span) = match rule_file::overridden(item, text, &self.definitions) {
                Ok(found) => found,
                Err(problems) => {
                    self.report_all(source, problems);
                    continue;
                }
            };
            let Some(draft) = self.names.get(&name).copied() else {
                if self.sigma_names.contains(&name) {
                    let message =
                        format!("the Sigma rule `{name}` does not run, and nothing of it is changed");
                    self.report(source, Problem::warning(span, message));
                    continue;
                }
                let names = self.names.keys().map(String::as_str);
                let near = self.definitions.shared.did_you_mean(&name, names);
                let problem = Problem::error(span, format!("there is no rule `{name}` to override"))
                    .help("`openclaw rules list` shows the rules");
                self.report(source, problem.maybe_help(near));
                continue;
            };
            let problems = self.drafts[draft].1.change(item, text, &self.definitions);
            self.report_all(source, problems);
        }
    }

    fn finish(mut self) -> Loaded {
        let mut rules: Vec<Compiled> = Vec::new();
        let mut places = Vec::new();
        let mut disabled = 0;
        // What each rule asks, and which was the first to ask it.
        let mut questions: HashMap<Question, usize> = HashMap::new();
        for (source, draft) in std::mem::take(&mut self.drafts) {
            let enabled = draft.enabled;
            let named = draft.name.as_ref().map_or(Span::default(), |(_, span)| *span);
            if self.is_given_up(source) {
                continue;
            }
            let mut problems = Vec::new();
            let file = (self.sources[source].name.as_str(), &self.lines[source]);
            let pack = self.pack_of(source).map(Pack::title);
            let compiled = draft.finish(file, pack, &mut problems);
            if self.is_sigma[source] {
                problems = all_at(named, problems);
            }
            match compiled {
                Some(compiled) if enabled => {
                    let first = *questions.entry(compiled.question()).or_insert(rules.len());
                    if let Some(Compiled { rule, .. }) = rules.get(first) {
                        let message = format!("this rule asks the same as `{}`", rule.name);
                        let help = format!("that is at {}: leave one of them out", rule.origin);
                        problems.push(Problem::warning(named, message).help(help));
                    }
                    places.push((source, named));
                    rules.push(compiled);
                }
                Some(_) => disabled += 1,
                None => {}
            }
            self.report_all(source, problems);
        }
        for (needless, by) in shadow::find(&rules, &self.definitions.shared) {
            let ((source, span), by) = (places[needless], &rules[by].rule);
            let message = format!("this rule adds nothing to `{}`, which fires whenever it does", by.name);
            let help = format!("that is at {}, is as severe, and answers as much", by.origin);
            self.report(source, Problem::warning(span, message).help(help));
        }
        self.diagnostics.sort_by_key(|(source, d)| (*source, d.line, d.column));
        let diagnostics = self.diagnostics.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        self.definitions.shared.give_back();
        let definitions = Arc::new(self.definitions);
        let (diagnostics, is_refused) = (Diagnostics(diagnostics), self.is_refused);
        Loaded { rules, definitions, disabled, diagnostics, is_refused }
    }
}

/// Problems of what was made of something else, at the place of that.
fn all_at(span: Span, problems: Vec<Problem>) -> Vec<Problem> {
    problems.into_iter().map(|problem| Problem { span, ..problem }).collect()
}

fn texts(members: &[(String, Place)]) -> Vec<String> {
    members.iter().map(|(text, _)| text.clone()).collect()
}

/// Whether a condition can name it: it is a word, and neither a keyword nor a field.
fn is_macro_name(name: &str) -> bool {
    let keyword = ["and", "or", "not"].iter().any(|keyword| name.eq_ignore_ascii_case(keyword));
    let operator = crate::ast::Operator::from_name(name).is_some();
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !keyword
        && !operator
        && crate::Field::from_name(name).is_none()
}
