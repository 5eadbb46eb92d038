//! Rule files: from YAML to rules that were checked, or to all the mistakes in them.

use std::collections::HashMap;

use crate::compile::Node as Condition;
use crate::diagnostic::{Diagnostic, Diagnostics, Level, Problem, Span};
use crate::lists::Lists;
use crate::suggest::did_you_mean;
use crate::yaml::{self, Node, Tree};
use crate::{EventKind, Field, KindSet, Rule, rule_file};

/// A rule file's name and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, as mistakes name it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// The lists that ship, `rules/lists.yml`: what comes first, so that later files override it.
    pub fn shipped_lists() -> Source {
        Source { name: "rules/lists.yml".to_owned(), text: include_str!("../../rules/lists.yml").to_owned() }
    }

    /// The rules that ship, without the lists.
    pub fn shipped_rules() -> Vec<Source> {
        vec![Source {
            name: "rules/core.yml".to_owned(),
            text: include_str!("../../rules/core.yml").to_owned(),
        }]
    }

    /// All that ships, lists first.
    pub fn shipped() -> Vec<Source> {
        let mut sources = vec![Source::shipped_lists()];
        sources.extend(Source::shipped_rules());
        sources
    }
}

/// A rule with its condition made ready.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    pub(crate) condition: Condition,
    /// Whether it fires on each event that matches (a rule with `event:`), or when it turns true.
    pub(crate) every_event: bool,
    /// Whether it is true of a process and a remote address, or of a process alone.
    pub(crate) by_remote: bool,
    /// Whether what it asks can differ among connections of one process to one address.
    pub(crate) by_connection: bool,
}

/// Rules that were checked, in the order of their files.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: Vec<Compiled>,
    lists: usize,
    disabled: usize,
    warnings: Diagnostics,
}

impl RuleSet {
    /// Reads the rules and lists of all `sources`. A list replaces the one of the same name of an earlier
    /// source, and holds for the rules of all: so the lists that ship come first, then those of the user.
    ///
    /// # Errors
    ///
    /// All mistakes of all sources, warnings included, when at least one of them is an error.
    pub fn load(sources: &[Source]) -> Result<RuleSet, Diagnostics> {
        let mut loader = Loader::default();
        let documents: Vec<_> = sources.iter().map(|source| (source, loader.document(source))).collect();
        for (source, document) in &documents {
            loader.lists(source, document.as_ref());
        }
        for (source, document) in &documents {
            loader.rules(source, document.as_ref());
        }
        let order = |name: &str| sources.iter().position(|source| source.name == name);
        loader.diagnostics.sort_by_key(|d| (order(&d.file), d.line, d.column));
        let diagnostics = Diagnostics(loader.diagnostics);
        if diagnostics.errors() > 0 {
            return Err(diagnostics);
        }
        Ok(RuleSet {
            rules: loader.rules,
            lists: loader.lists.len(),
            disabled: loader.disabled,
            warnings: diagnostics,
        })
    }

    /// How many rules there are, those that are disabled left out.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rules, those that are disabled left out.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|compiled| &compiled.rule)
    }

    /// The rule of that name.
    pub fn get(&self, name: &str) -> Option<&Rule> {
        self.iter().find(|rule| rule.name == name)
    }

    /// How many lists there are.
    pub fn lists(&self) -> usize {
        self.lists
    }

    /// How many rules say `enabled: false`.
    pub fn disabled(&self) -> usize {
        self.disabled
    }

    /// What may not be as it was meant.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    pub(crate) fn compiled(&self) -> &[Compiled] {
        &self.rules
    }
}

#[derive(Default)]
struct Loader {
    lists: Lists,
    rules: Vec<Compiled>,
    /// Where each rule's name stands, `file:line`.
    names: HashMap<String, String>,
    disabled: usize,
    diagnostics: Vec<Diagnostic>,
}

/// The keys of a rule file.
const FILE_KEYS: &[&str] = &["lists", "rules"];

impl Loader {
    fn document(&mut self, source: &Source) -> Option<Node> {
        match yaml::parse(&source.text) {
            Ok(document) => document,
            Err(problem) => {
                self.report(source, problem);
                None
            }
        }
    }

    fn report(&mut self, source: &Source, problem: Problem) {
        self.diagnostics.push(problem.in_file(&source.name, &source.text));
    }

    /// The lists of a file, and what is wrong with its keys.
    fn lists(&mut self, source: &Source, document: Option<&Node>) {
        let Some(document) = document else { return };
        let Tree::Mapping(entries) = &document.value else {
            let found = document.describe();
            let problem =
                Problem::error(document.span, format!("expected `lists:` and `rules:`, found {found}"));
            return self.report(source, problem);
        };
        for (key, value) in entries {
            match key.name.as_str() {
                "lists" => self.list_entries(source, value),
                "rules" => {}
                "detection" | "logsource" => {
                    let message = "this is a Sigma rule, which is not supported by this version";
                    return self.report(source, Problem::error(key.span, message));
                }
                "overrides" | "exceptions" => {
                    let message = format!("`{}` is not supported by this version", key.name);
                    self.report(source, Problem::error(key.span, message));
                }
                name => {
                    let problem = Problem::error(key.span, format!("unknown key `{name}`"))
                        .help("a rule file has the keys lists and rules")
                        .maybe_help(did_you_mean(name, FILE_KEYS.iter().copied()));
                    self.report(source, problem);
                }
            }
        }
    }

    fn list_entries(&mut self, source: &Source, lists: &Node) {
        let Tree::Mapping(entries) = &lists.value else {
            let message = format!("expected lists by name, found {}", lists.describe());
            return self
                .report(source, Problem::error(lists.span, message).help("write NAME: [VALUE, VALUE]"));
        };
        for (key, value) in entries {
            let Tree::Sequence(items) = &value.value else {
                let message = format!("the list `{}` is {}, not a list", key.name, value.describe());
                self.report(
                    source,
                    Problem::error(key.span, message).help("write NAME: [VALUE, VALUE]; an empty list is []"),
                );
                continue;
            };
            let mut members = Vec::with_capacity(items.len());
            for item in items {
                match &item.value {
                    Tree::Scalar(text) => members.push(text.clone()),
                    _ => {
                        let message =
                            format!("the list `{}` has {} among its values", key.name, item.describe());
                        self.report(source, Problem::error(item.span, message));
                    }
                }
            }
            self.lists.define(key.name.clone(), members);
        }
    }

    fn rules(&mut self, source: &Source, document: Option<&Node>) {
        let Some(Node { value: Tree::Mapping(entries), .. }) = document else { return };
        let Some((_, rules)) = entries.iter().find(|(key, _)| key.name == "rules") else { return };
        match &rules.value {
            Tree::Sequence(items) => items.iter().for_each(|item| self.rule(source, item)),
            Tree::Null => {}
            _ => {
                let message = format!("expected a list of rules, found {}", rules.describe());
                self.report(
                    source,
                    Problem::error(rules.span, message).help("begin each rule with `- name:`"),
                );
            }
        }
    }

    fn rule(&mut self, source: &Source, node: &Node) {
        let (read, mut problems) = rule_file::read(node, &source.text, &self.lists);
        if let Some((name, span)) = &read.name {
            let place = Problem::error(*span, "").in_file(&source.name, &source.text);
            let place = format!("{}:{}", place.file, place.line);
            if let Some(first) = self.names.get(name) {
                problems.push(
                    Problem::error(*span, format!("there are two rules `{name}`"))
                        .help(format!("the first is at {first}: give this one another name")),
                );
            } else {
                self.names.insert(name.clone(), place.clone());
            }
            if let (Some(mut compiled), true) =
                (read.rule, problems.iter().all(|p| p.level == Level::Warning))
            {
                if read.enabled {
                    compiled.rule.origin = place;
                    self.rules.push(compiled);
                } else {
                    self.disabled += 1;
                }
            }
        }
        for problem in problems {
            self.report(source, problem);
        }
    }
}

impl Compiled {
    /// Puts a rule and its condition together. `event` are the kinds that it names, with their place.
    pub(crate) fn new(
        mut rule: Rule,
        condition: Condition,
        event: Option<(KindSet, Span)>,
        condition_span: Span,
        problems: &mut Vec<Problem>,
    ) -> Option<Compiled> {
        let possible = crate::kinds::can_be_true(&condition);
        let names = |kinds: KindSet| kinds.iter().map(EventKind::name).collect::<Vec<_>>().join(", ");
        let message = "this condition can never be true: no kind of event has its fields and actions";
        match event {
            _ if possible.is_empty() => {
                problems.push(Problem::error(condition_span, message));
                return None;
            }
            Some((named, span)) => {
                rule.kinds = named.intersection(possible);
                for kind in named.iter().filter(|kind| !possible.contains(*kind)) {
                    let message = format!("the condition can never be true of {kind}");
                    let help = format!("it can be of {}", names(possible));
                    let problem = if rule.kinds.is_empty() {
                        Problem::error(span, message)
                    } else {
                        Problem::warning(span, message)
                    };
                    problems.push(problem.help(help));
                }
            }
            None => {
                rule.kinds = crate::kinds::without_event(&condition);
                if rule.kinds.is_empty() {
                    let message =
                        "none of the condition's fields changes at an event of which it can be true";
                    let help = format!("say when to ask: `event:` with one or more of {}", names(possible));
                    problems.push(Problem::error(condition_span, message).help(help));
                }
            }
        }
        let mut by_remote = false;
        let mut by_connection = false;
        condition.fields(&mut |field: Field| {
            by_remote |= is_of_connection(field);
            by_connection |= is_of_connection(field) && !is_of_remote(field);
        });
        Some(Compiled { every_event: event.is_some(), by_remote, by_connection, rule, condition })
    }
}

/// Whether the field is the same for all connections of a process to one address.
const fn is_of_remote(field: Field) -> bool {
    matches!(field, Field::DestinationIp | Field::NetworkOutboundBytes)
}

/// Whether the field is about a connection or its address, and not about the process alone.
fn is_of_connection(field: Field) -> bool {
    field.kinds() == KindSet::of(&[EventKind::NetworkConnection])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Action, Severity};

    /// The rules of the issue that asked for them, as written there.
    const THREE: &str = r#"lists:
  authorized_processes: [systemd]
  trusted_ips: ["10.0.0.0/8"]
rules:
  - name: suspicious_process
    condition: |
      process.name in ["nc", "netcat", "ncat"]
      AND process.parent not in ["authorized_processes"]
    severity: high
    action: alert_and_isolate
  - name: data_exfiltration
    condition: |
      network.outbound.bytes > 100MB
      AND destination not in ["trusted_ips"]
    severity: critical
    action: block_and_alert
  - name: privilege_escalation
    condition: |
      process.uid == 0
      AND user.normal_uid != 0
    severity: high
    action: alert
"#;

    fn source(name: &str, text: &str) -> Source {
        Source { name: name.to_owned(), text: text.to_owned() }
    }

    /// The mistakes in a file, as `line:column message [help]`.
    fn mistakes(text: &str) -> Vec<String> {
        let diagnostics = match RuleSet::load(&[Source::shipped_lists(), source("x.yml", text)]) {
            Ok(rules) => rules.warnings().clone(),
            Err(diagnostics) => diagnostics,
        };
        let help = |d: &Diagnostic| d.help.clone().unwrap_or_default();
        diagnostics.iter().map(|d| format!("{}:{} {} [{}]", d.line, d.column, d.message, help(d))).collect()
    }

    #[test]
    fn the_three_rules_load_as_written_with_and_without_their_lists() {
        let without = &THREE[THREE.find("rules:").unwrap()..];
        for sources in [
            vec![source("three.yml", THREE)],
            vec![Source::shipped_lists(), source("three.yml", THREE)],
            vec![Source::shipped_lists(), source("three.yml", without)],
        ] {
            let rules = RuleSet::load(&sources).unwrap();
            assert_eq!(rules.warnings(), &Diagnostics::default());
            let kinds = |name| rules.get(name).unwrap().kinds.iter().map(EventKind::name).collect::<Vec<_>>();
            assert_eq!(kinds("suspicious_process"), ["process_create", "process_fork"]);
            assert_eq!(kinds("data_exfiltration"), ["network_connection"]);
            assert_eq!(kinds("privilege_escalation"), ["process_create", "process_fork", "privilege_change"]);
            let rule = rules.get("data_exfiltration").unwrap();
            assert_eq!((rule.severity, rule.confidence), (Severity::Critical, 0.9));
            assert_eq!(rule.actions, [Action::Block, Action::Alert]);
            assert!(rule.origin.starts_with("three.yml:"), "{}", rule.origin);
        }
        let errors = RuleSet::load(&[source("three.yml", without)]).unwrap_err();
        assert!(
            errors.to_string().contains("`trusted_ips` is no address, no network and no list"),
            "{errors}"
        );
    }

    #[test]
    fn what_ships_loads_without_a_warning_and_says_what_each_rule_is_for() {
        let rules = RuleSet::load(&Source::shipped()).unwrap();
        assert_eq!((rules.len(), rules.lists(), rules.warnings().0.len()), (4, 2, 0));
        for rule in rules.iter() {
            assert!(rule.description.is_some(), "{}", rule.name);
            assert!(rule.tags.iter().any(|tag| tag.starts_with("attack.t1")), "{}", rule.name);
        }
    }

    #[test]
    fn a_later_list_takes_the_place_of_an_earlier_one() {
        let rule = "rules: [{name: a, condition: destination in trusted_ips, severity: low}]";
        let broken = source("b.yml", "lists: {trusted_ips: [nowhere]}");
        let errors =
            RuleSet::load(&[Source::shipped_lists(), source("a.yml", rule), broken.clone()]).unwrap_err();
        assert!(errors.0[0].message.contains("in the list `trusted_ips`: `nowhere`"), "{errors}");
        assert!(RuleSet::load(&[broken, Source::shipped_lists(), source("a.yml", rule)]).is_ok());
    }

    #[test]
    fn each_mistake_in_a_file_is_told_with_its_place() {
        let rule = |body: &str| format!("rules:\n  - name: a\n    condition: process.pid == 1\n{body}");
        for (text, expected) in [
            ("rule: []".to_owned(), "1:1 unknown key `rule` [did you mean `rules`?]"),
            ("[]".to_owned(), "1:1 expected `lists:` and `rules:`, found a list []"),
            (
                "lists: [a]".to_owned(),
                "1:8 expected lists by name, found a list [write NAME: [VALUE, VALUE]]",
            ),
            (
                "lists:\n  a: b".to_owned(),
                "2:3 the list `a` is a value, not a list [write NAME: [VALUE, VALUE]; an empty list is []]",
            ),
            ("rules:\n  - condition: process.pid == 1".to_owned(), "2:5 this rule has no `name` []"),
            ("rules:\n  - name: a".to_owned(), "2:5 this rule has no `condition` []"),
            (rule("    sevrity: high"), "4:5 unknown key `sevrity` [did you mean `severity`?]"),
            (rule("    severity: hihg"), "4:15 there is no severity `hihg` [did you mean `high`?]"),
            (
                rule("    confidence: 2"),
                "4:17 `2` is no confidence [write a number from 0 to 1, such as 0.9]",
            ),
            (
                rule("    action: alert_and_kill"),
                "4:13 the action `kill` is not supported by this version [use alert, block or isolate]",
            ),
            (rule("    action: alrt"), "4:13 there is no action `alrt` [did you mean `alert`?]"),
            (
                rule("    action: block"),
                "4:13 `block` has no address to block: this rule runs on no network_connection [`isolate` cuts a process off from the network]",
            ),
            (rule("    threshold: {}"), "4:5 `threshold` is not supported by this version []"),
            (
                rule("    response: {for: 1w}"),
                "4:21 `1w` is no length of time of a second or more [write 30m, 1h or 7d]",
            ),
            (rule("    response: {kill: tree}"), "4:16 `response.kill` is not supported by this version []"),
            (rule("    enabled: maybe"), "4:14 `enabled` is true or false, not `maybe` []"),
            (
                rule("    event: proces_create"),
                "4:12 there is no kind of event `proces_create` [did you mean `process_create`?]",
            ),
            (
                "rules:\n- name: a\n  event: [process_create, file_access]\n  condition: file.path == '/x'"
                    .to_owned(),
                "3:10 the condition can never be true of process_create [it can be of file_access, file_attempt]",
            ),
            (
                "rules:\n- name: a\n  condition: host.name == 'x'".to_owned(),
                "3:14 none of the condition's fields changes at an event of which it can be true [say when to ask: `event:` with one or more of process_create, process_fork, process_hash, process_exit, file_access, file_attempt, network_connection, dns_query, privilege_change, mount_change, module_load, bpf_load, process_trace, namespace_change, io_uring, sensor_tamper, container_start, container_stop]",
            ),
            (
                "rules:\n- name: a\n  condition: file.path == '/x' and destination.port == 1".to_owned(),
                "3:14 this condition can never be true: no kind of event has its fields and actions []",
            ),
            (
                "rules:\n- name: a\n  condition: |\n    process.name == 'nc'\n      AND proces.pid == 1"
                    .to_owned(),
                "5:11 unknown field `proces.pid` [did you mean `process.pid`?]",
            ),
            (
                rule("  - name: a\n    condition: process.pid == 2"),
                "4:11 there are two rules `a` [the first is at x.yml:2: give this one another name]",
            ),
            (
                "title: x\ndetection: {}".to_owned(),
                "1:1 unknown key `title` [a rule file has the keys lists and rules]",
            ),
        ] {
            assert_eq!(mistakes(&text).first().map(String::as_str), Some(expected), "{text}");
        }
    }

    #[test]
    fn all_mistakes_of_all_files_are_told_in_the_order_of_the_files() {
        let errors = RuleSet::load(&[
            source("a.yml", "rules:\n- name: a\n  condition: x == 1\n  severity: bad\n- nonsense\n"),
            source("b.yml", "rules: {"),
            source("c.yml", "oops: 1"),
        ])
        .unwrap_err();
        let places: Vec<_> = errors.iter().map(|d| format!("{}:{}", d.file, d.line)).collect();
        assert_eq!(places, ["a.yml:3", "a.yml:4", "a.yml:5", "b.yml:1", "c.yml:1"]);
    }

    #[test]
    fn a_rule_says_what_it_says() {
        let text = "rules:\n- name: a\n  event: process_create\n  condition: process.pid == 1\n  severity: warning\n  \
                    confidence: 0.5\n  action: isolate_and_alert\n  response: {for: 30m}\n  tags: [x, y]\n- name: b\n  \
                    condition: process.pid == 1\n  enabled: false\n";
        let rules = RuleSet::load(&[source("x.yml", text)]).unwrap();
        assert_eq!((rules.len(), rules.disabled()), (1, 1));
        let rule = rules.get("a").unwrap();
        assert_eq!((rule.severity, rule.confidence), (Severity::Medium, 0.5));
        assert_eq!(rule.actions, [Action::Isolate, Action::Alert]);
        assert_eq!(rule.response_for, Some(std::time::Duration::from_secs(1800)));
        assert_eq!((rule.tags.len(), rule.origin.as_str()), (2, "x.yml:2"));
    }

    proptest! {
        #[test]
        fn no_text_makes_loading_panic(text in ".*") {
            let _ = RuleSet::load(&[source("x.yml", &text)]);
        }

        #[test]
        fn no_shape_of_a_rule_makes_loading_panic(
            key in prop::sample::select(vec!["name", "condition", "event", "severity", "confidence", "action", "response", "tags", "enabled", "zzz"]),
            value in prop::sample::select(vec!["", "[]", "{}", "[[]]", "{for: []}", "{for: }", "~", "1", "x y", "|\n      a\n", "[1, {a: b}]", "&a [*a]"]),
        ) {
            let _ = RuleSet::load(&[source("x.yml", &format!("rules:\n  - {key}: {value}\n    tags: []\nlists:\n  a: {value}\n"))]);
        }
    }
}
