//! Rule files: from YAML to rules that were checked, or to all the mistakes in them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::compiled::Compiled;
use crate::definitions::Definitions;
use crate::diagnostic::Diagnostics;
use crate::loader::{Loaded, Loader};
use crate::{Rule, RuleTest};

/// A rule file's name and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file, as mistakes name it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// Rules that were checked, in the order of their files. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct RuleSet(Arc<Loaded>);

impl RuleSet {
    /// Reads the rules, lists, macros and overrides of all `sources`. A list or a macro replaces the one of the
    /// same name of an earlier source, and holds for the rules of all: so what ships comes first, then what the
    /// user has.
    ///
    /// # Errors
    ///
    /// All mistakes of all sources, warnings included, when at least one of them is an error. One in a Sigma rule is none:
    /// that rule is left out, and [`RuleSet::warnings`] has the mistake.
    pub fn load(sources: &[Source]) -> Result<RuleSet, Diagnostics> {
        let loaded = Loader::load(sources);
        if loaded.is_refused {
            return Err(loaded.diagnostics);
        }
        Ok(RuleSet(Arc::new(loaded)))
    }

    /// How many rules there are, those that are disabled left out.
    pub fn len(&self) -> usize {
        self.0.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.rules.is_empty()
    }

    /// The rules, those that are disabled left out.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.rules.iter().map(|compiled| &compiled.rule)
    }

    /// The rule of that name.
    pub fn get(&self, name: &str) -> Option<&Rule> {
        self.iter().find(|rule| rule.name == name)
    }

    /// The tests that rules carry.
    pub fn tests(&self) -> impl Iterator<Item = (&Rule, &RuleTest)> {
        self.0.rules.iter().flat_map(|compiled| compiled.tests.iter().map(|test| (&compiled.rule, test)))
    }

    /// The rule of that name alone.
    #[must_use]
    pub fn only(&self, name: &str) -> RuleSet {
        let rules = self.0.rules.iter().filter(|compiled| compiled.rule.name == name).cloned().collect();
        let definitions = Arc::clone(&self.0.definitions);
        RuleSet(Arc::new(Loaded { rules, definitions, ..Loaded::default() }))
    }

    /// How many lists there are.
    pub fn lists(&self) -> usize {
        self.0.definitions.lists.len()
    }

    /// How many rules say `enabled: false`.
    pub fn disabled(&self) -> usize {
        self.0.disabled
    }

    /// What may not be as it was meant, and mistakes in Sigma rules, which are left out.
    pub fn warnings(&self) -> &Diagnostics {
        &self.0.diagnostics
    }

    /// What is other than in `before`.
    pub fn changes_since(&self, before: &RuleSet) -> Changes {
        let by_name = |rules: &RuleSet| -> BTreeMap<String, Rule> {
            rules.iter().map(|rule| (rule.name.clone(), rule.clone())).collect()
        };
        let (before_rules, rules) = (by_name(before), by_name(self));
        let missing = |of: &BTreeMap<String, Rule>, from: &BTreeMap<String, Rule>| {
            of.keys().filter(|name| !from.contains_key(*name)).cloned().collect()
        };
        let changed = rules.iter().filter(|(name, rule)| {
            before_rules.get(*name).is_some_and(|before| !before.says_the_same_as(rule))
        });
        Changes {
            added: missing(&rules, &before_rules),
            removed: missing(&before_rules, &rules),
            changed: changed.map(|(name, _)| name.clone()).collect(),
            definitions: self.0.definitions.other_than(&before.0.definitions),
        }
    }

    pub(crate) fn definitions(&self) -> &Definitions {
        &self.0.definitions
    }

    pub(crate) fn compiled(&self) -> &[Compiled] {
        &self.0.rules
    }
}

/// What is other in some rules than in those before, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Rules that are new.
    pub added: Vec<String>,
    /// Rules that are gone, or disabled.
    pub removed: Vec<String>,
    /// Rules that say something else.
    pub changed: Vec<String>,
    /// Lists and macros that are new, gone, or other.
    pub definitions: Vec<String>,
}

impl Changes {
    /// Whether all is as it was.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// `added a, b; changed c`, or `nothing changed`.
impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (what, names) in [
            ("added", &self.added),
            ("removed", &self.removed),
            ("changed", &self.changed),
            ("changed lists and macros", &self.definitions),
        ] {
            if !names.is_empty() {
                write!(f, "{separator}{what} {}", names.join(", "))?;
                separator = "; ";
            }
        }
        if self.is_empty() { f.write_str("nothing changed") } else { Ok(()) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rule::When;
    use crate::{Action, Diagnostic, EventKind, Field, Mode, Response, Scope, Severity};

    /// The rules of the issue that asked for them, as written there.
    pub(crate) const THREE: &str = r#"lists:
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
        let diagnostics = match RuleSet::load(&[Source::shipped_definitions(), source("x.yml", text)]) {
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
            vec![Source::shipped_definitions(), source("three.yml", THREE)],
            vec![Source::shipped_definitions(), source("three.yml", without)],
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
    fn what_ships_loads_without_a_warning_and_says_what_each_rule_is_for_and_what_to_do() {
        let rules = RuleSet::load(&Source::shipped()).unwrap();
        assert_eq!(rules.warnings(), &Diagnostics::default());
        assert!(rules.len() >= 80, "{}", rules.len());
        for rule in rules.iter() {
            for text in [&rule.description, &rule.false_positives, &rule.triage] {
                assert!(
                    text.is_some(),
                    "{} says not what it finds, what else that is or what to do",
                    rule.name
                );
            }
            assert!(rule.tags.iter().any(|tag| tag.starts_with("attack.t1")), "{}", rule.name);
        }
    }

    #[test]
    fn a_later_list_takes_the_place_of_an_earlier_one() {
        let rule = "rules: [{name: a, condition: destination in trusted_ips, severity: low}]";
        let broken = source("b.yml", "lists: {trusted_ips: [nowhere]}");
        let errors = RuleSet::load(&[Source::shipped_definitions(), source("a.yml", rule), broken.clone()])
            .unwrap_err();
        assert!(errors.0[0].message.contains("in the list `trusted_ips`: `nowhere`"), "{errors}");
        assert!(RuleSet::load(&[broken, Source::shipped_definitions(), source("a.yml", rule)]).is_ok());
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
                rule("    action: alert_and_deny"),
                "4:13 the action `deny` is not supported by this version [use alert, run, restart, webhook, block, isolate, suspend, kill or quarantine]",
            ),
            (rule("    action: alrt"), "4:13 there is no action `alrt` [did you mean `alert`?]"),
            (
                rule("    action: block"),
                "4:13 `block` has no address to block: this rule runs on nothing of network_connection, auth_attempt, http_request [`isolate` cuts a process off from the network]",
            ),
            (
                rule("- name: b\n  condition: process.pid   ==  1").replace("  - name: a\n    cond", "- name: a\n  cond"),
                "4:9 this rule asks the same as `a` [that is at x.yml:2: leave one of them out]",
            ),
            (
                "rules:\n- name: a\n  condition: process.name matches '^[a-z]+$'".to_owned(),
                "3:14 this costs much: its patterns are looked for at each process_create [add what is seldom true, such as `==`, `in` or `startswith`, or letters that the pattern must hold]",
            ),
            (rule("    action: []"), "4:13 `action` names no action [leave it out to alert]"),
            (
                rule("    exceptions: [{name: e, condition: process.uid == 1}, {name: e, condition: process.uid == 2}]"),
                "4:65 the rule has an exception `e` already, which holds too [give this one another name]",
            ),
            (
                rule("    tests: [{events: [], expect: 0}]"),
                "4:22 a test without events shows nothing [write [{event: KIND, FIELD: VALUE}], or FILE.jsonl]",
            ),
            (
                rule("    tests: [{events: [{event: [process_create, process_exit]}], expect: 0}]"),
                "4:31 an event is of one kind [write one event for each kind]",
            ),
            (rule("    tests: 5"), "4:5 expected a list of tests, found a value [begin each test with `- events:`]"),
            (rule("    tests: [{events: x.jsonl}]"), "4:13 this test has no `expect` []"),
            (rule("    tests: [{events: [{event: process_exit}], expect: many}]"), "4:55 `many` is no count [write 0, 1, 2 …]"),
            (rule("    tests: [{events: x.jsonl, expect: 1, on: [1, 2]}]"), "4:13 `on` names 2 events, and `expect` is 1 []"),
            (rule("    tests: [{events: [{process.pid: 1}], expect: 1}]"), "4:23 this event has no `event` [write event: KIND]"),
            (rule("    tests: [{events: [{event: process_create, file.path: x}], expect: 1}]"), "4:47 process_create has no `file.path` []"),
            (rule("    tests: [{events: [{event: process_create, process.pdi: 1}], expect: 1}]"), "4:47 unknown field `process.pdi` [did you mean `process.pid`?]"),
            (rule("    tests: [{events: [{event: process_create, process.pid: x}], expect: 1}]"), "4:60 `process.pid` is a number: `x` is no number []"),
            (rule("    tests: [{events: [{event: dns_query, repeat: 300, source.ip: '192.0.2.{n}'}], expect: 1}]"), "4:66 `source.ip` is an address, which `192.0.2.300` is not []"),
            (rule("    tests: [{events: [{event: dns_query, repeat: 0}], expect: 1}]"), "4:50 `repeat` is a number from 1 to 100000 []"),
            (rule("    playbook: x"), "4:5 `playbook` is not supported by this version []"),
            (rule("    threshold: {}"), "4:5 `threshold` has no `at_least` []"),
            (rule("    threshold: 5"), "4:5 expected keys under `threshold`, found a value [write threshold: {at_least: 5, within: 1m, by: [source.ip]}]"),
            (rule("    threshold: {at_least: 1, within: 1m}"), "4:27 a threshold is 2 or more [leave `threshold` out to fire at the first event]"),
            (rule("    threshold: {at_least: -2, within: 1m}"), "4:27 `-2` is negative [write a number or a size, such as 20 or 100MB]"),
            (rule("    threshold: {at_least: 2, within: soon}"), "4:38 `soon` is no length of time of a millisecond or more [write 10s, 5m or 1h]"),
            (rule("    threshold: {distinct: process.nmae, at_least: 2, within: 1m}"), "4:27 unknown field `process.nmae` [did you mean `process.name`?]"),
            (rule("    threshold: {distinct: process.args, at_least: 2, within: 1m}"), "4:27 `process.args` is a list, which is not one value []"),
            (rule("    threshold: {distinct: process.pid, at_least: 1001, within: 1m}"), "4:50 so many different values are not kept: 1000 at most []"),
            (rule("    threshold: {sum: process.name, at_least: 2, within: 1m}"), "4:22 `process.name` is no number, and has no sum []"),
            (rule("    threshold: {sum: process.pid, distinct: process.pid, at_least: 2, within: 1m}"), "4:35 a threshold counts one thing [write `distinct` or `sum`, or neither to count events]"),
            (rule("    threshold: {at_least: 2, within: 1m, by: [source.ip]}"), "4:47 `source.ip` is not carried by process_create, process_fork, on which this rule runs [it is by network_connection, dns_query, auth_attempt, http_request]"),
            (rule("    event: [process_create, process_exit]\n    new: {field: process.exit_code, learn: 0s}"), "5:18 process_create has no `process.exit_code`, and does not count []"),
            (rule("    new: {field: process.name, lern: 1d}"), "4:5 `new` has no `learn` []"),
            (rule("    new: {field: process.name, learn: 1d}\n    threshold: {at_least: 2, within: 1m}"), "4:5 a rule has `threshold` or `new`, not both [make two rules of it]"),
            (rule("    suppress: 5"), "4:15 `5` is no length of time of a second or more [write 10m, 1h or 1d]"),
            (rule("    suppress: {by: [process]}"), "4:5 `suppress` has no `for` []"),
            (rule("    sequence: {}"), "3:5 a rule with `sequence` has no `condition` of its own [write it at the steps; what is common to them may be a macro]"),
            ("rules:\n- name: a\n  sequence: {within: 1m, steps: [process.pid == 1]}".to_owned(), "3:33 `steps` is a list of 2 to 16 steps [begin each step with `- condition:`]"),
            ("rules:\n- name: a\n  sequence:\n    within: 1m\n    steps:\n    - process.pid == 1\n    - {condition: proces.pid == 1}".to_owned(), "7:19 unknown field `proces.pid` [did you mean `process.pid`?]"),
            ("rules:\n- name: a\n  sequence:\n    within: 1m\n    by: [process]\n    steps:\n    - process.pid == 1\n    - {condition: process.pid == 1, by: [process.pid]}".to_owned(), "8:42 this step's `by` cannot be that of the first step [name as many fields, each of the type of the first step's]"),
            (
                rule("    response: {for: 1w}"),
                "4:21 `1w` is no length of time of a second or more [write 30m, 1h or 7d]",
            ),
            (rule("    response: {kill: host}"), "4:22 `kill` is done on no `host` [write process, tree or container]"),
            (rule("    response: {isolate: process}"), "4:25 `isolate` is done on no `process` [write tree, container or host]"),
            (rule("    response: {mode: watch}"), "4:22 `watch` is no mode [write observe (only say what would be done) or enforce]"),
            (rule("    response: {escalate: [kill, suspend]}"), "4:33 `suspend` is not stronger than what comes before it [write them in the order isolate, suspend, kill]"),
            (rule("    response: {escalate: kil}"), "4:26 nothing escalates to `kil` [did you mean `kill`?]"),
            (rule("    action: run"), "4:13 `run` has no command to run [write response: {run: [/usr/local/bin/collect]}]"),
            (rule("    action: restart"), "4:13 `restart` has no service to restart [write response: {restart: nginx.service}]"),
            (rule("    response: {run: [collect]}"), "4:21 a command begins with the whole path of its program [write run: [/usr/local/bin/collect, --short]: no shell reads it]"),
            (rule("    response: {restart: 'a b'}"), "4:25 `a b` is no service [write the name of its unit, such as nginx.service]"),
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
                "3:14 none of the condition's fields changes at an event of which it can be true [say when to ask: `event:` with one or more of process_create, process_fork, process_hash, process_exit, file_access, file_attempt, network_connection, dns_query, privilege_change, mount_change, module_load, bpf_load, process_trace, namespace_change, io_uring, sensor_tamper, container_start, container_stop, auth_attempt, http_request]",
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
                "4:11 there are two rules `a` [the first is at x.yml:2: give this one another name, or change it under `overrides:`]",
            ),
            (
                "rules: {}".to_owned(),
                "1:8 expected a list of rules, found keys with values [begin each with `- name:`]",
            ),
            (
                "lists: {a: [x, b], b: [a]}".to_owned(),
                "1:24 the list `b` has the member `a`, which has `b` as one []",
            ),
            ("pack: {name: a}".to_owned(), "1:1 `pack` has no `version` []"),
            ("pack: {name: a, version: one}".to_owned(), "1:26 `one` is no version [write three numbers, such as 1.0.0]"),
            ("pack: {name: a, version: 1, requires: {b: '>=1'}}".to_owned(), "1:43 the pack `b` is not there []"),
            ("pack: {name: a, version: 1, requires: {openclaw: '>=99'}}".to_owned(), concat!("1:50 openclaw ", env!("CARGO_PKG_VERSION"), " is there, which does not do []")),
            ("pack: {name: a, version: 1, requires: {a: 99}}".to_owned(), "1:43 `99` says nothing of a version [write requires: {openclaw: \">=0.1\", PACK: \">=1.2, <2\"}]"),
            ("lists: {a: [x, a]}".to_owned(), "1:16 the list `a` has itself as a member []"),
            (
                "lists: {trusted_ip: {append: [::1]}}".to_owned(),
                "1:9 there is no list `trusted_ip` to append to [did you mean `trusted_ips`?]",
            ),
            (
                "lists: {trusted_ips: {add: [::1]}}".to_owned(),
                "1:23 unknown key `add` [write trusted_ips: {append: [VALUE, VALUE]}]",
            ),
            (
                "macros: {not: process.pid == 1}".to_owned(),
                "1:10 `not` cannot be a macro's name [a name is made of letters, digits and _, begins with a letter, and is no word of the language]",
            ),
            (
                "macros:\n  a: |\n    b and\n    c".to_owned(),
                "3:5 there is no macro `b` [a comparison is a field, an operator and a value, such as process.name == \"nc\"]",
            ),
            (
                "macros: {a: b, b: not a}".to_owned(),
                "1:23 the macro `b` is made of `a`, which is made of `b` []",
            ),
            ("macros: {a: (process.pid == 1 or a)}".to_owned(), "1:34 the macro `a` is made of itself []"),
            (
                rule("    exceptions: x"),
                "4:5 expected a list of exceptions, found a value [begin each exception with `- name:`]",
            ),
            (rule("    exceptions: [{condition: process.pid == 2}]"), "4:18 this exception has no `name` []"),
            (
                rule("    exceptions: [{name: b, condition: proces.pid == 2}]"),
                "4:39 unknown field `proces.pid` [did you mean `process.pid`?]",
            ),
            (
                "overrides: [{rule: suspicous_process}]".to_owned(),
                "1:20 there is no rule `suspicous_process` to override [`openclaw rules list` shows the rules]",
            ),
            (
                rule("overrides: [{rule: a, name: b}]"),
                "4:23 unknown key `name` [an override has the keys rule, severity, confidence, action, response, threshold, suppress, exceptions, enabled]",
            ),
            (
                rule("overrides: [{rule: a, threshold: {at_least: 5}}]"),
                "4:23 the rule counts nothing, so it has no threshold [write a rule of your own, and disable this one with `enabled: false`]",
            ),
            ("overrides: [{severity: low}]".to_owned(), "1:13 this override names no `rule` []"),
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
        assert_eq!(rule.response.duration(), Some(std::time::Duration::from_secs(1800)));
        assert_eq!((rule.tags.len(), rule.origin.as_str()), (2, "x.yml:2"));
    }

    #[test]
    fn a_rule_says_how_it_is_answered_and_an_override_changes_what_it_names_alone() {
        let text = "rules:\n- name: a\n  condition: process.pid == 1\n  action: run_and_restart_and_webhook\n  response: {run: \
                    [/bin/collect, -s], restart: nginx, webhook: contain, mode: enforce, escalate: kill}\n- name: b\n  condition: \
                    process.pid == 1\n  action: quarantine_and_alert\n  response: {for: 5m}\n";
        let site = "overrides:\n- rule: a\n  response: {mode: observe, kill: process}\n";
        let rules = RuleSet::load(&[source("a.yml", text), source("b.yml", site)]).unwrap();
        let rule = rules.get("a").unwrap();
        assert_eq!(rule.actions, [Action::Run, Action::Restart, Action::Webhook]);
        assert_eq!(rule.response.webhook.as_deref(), Some("contain"));
        let Response { run, restart, mode, escalate, kill, .. } = &rule.response;
        assert_eq!(
            (run.join(" "), restart.as_deref()),
            ("/bin/collect -s".to_owned(), Some("nginx.service"))
        );
        assert_eq!((*mode, &escalate[..], *kill), (Some(Mode::Observe), &[Action::Kill][..], Scope::Process));
        let rule = rules.get("b").unwrap();
        assert_eq!(rule.actions, [Action::Isolate, Action::Suspend, Action::Alert]);
        assert_eq!((rule.response.isolate, rule.response.suspend), (Scope::Container, Scope::Container));
        assert_eq!(rule.response.seconds, Some(300));
    }

    #[test]
    fn a_later_file_adds_to_lists_and_changes_rules_of_earlier_ones() {
        let site = "lists: {authorized_processes: {append: [cron]}}\noverrides:\n- rule: suspicious_process\n  severity: low\n  \
                    action: alert\n  exceptions: [{name: ours, condition: process.uid == 7}]\n- {rule: data_exfiltration, enabled: false}\n\
                    - {rule: failed_auth_spike, threshold: {at_least: 7, within: 30s}}\n";
        let mut sources = Source::shipped();
        sources.push(source("site.yml", site));
        let rules = RuleSet::load(&sources).unwrap();
        let rule = rules.get("suspicious_process").unwrap();
        assert_eq!((rule.severity, &rule.actions[..]), (Severity::Low, &[Action::Alert][..]));
        assert_eq!(rule.exceptions.last().map(|exception| exception.name.as_str()), Some("ours"));
        assert!(rules.get("data_exfiltration").is_none() && rules.disabled() == 1);
        let When::Threshold(spike) = &rules.get("failed_auth_spike").unwrap().when else { panic!() };
        assert_eq!(spike.to_string(), "7 events within 30s");
        assert_eq!(spike.by, [Field::ServiceName], "what is counted stays");
    }

    #[test]
    fn what_changed_is_told_by_name() {
        let load = |text: &str| RuleSet::load(&[source("x.yml", text)]).unwrap();
        let before = load(
            "lists: {l: [x]}\nmacros: {m: process.pid == 1}\nrules:\n- {name: a, condition: m}\n- {name: b, condition: m}\n- {name: c, condition: m}",
        );
        let after = load(
            "# Moved down.\nlists: {l: [y], k: []}\nmacros: {m: process.pid == 2}\nrules:\n- {name: a, condition: m}\n- {name: b, condition: m, severity: low}\n- {name: d, condition: m}",
        );
        let changes = after.changes_since(&before);
        assert_eq!(changes.to_string(), "added d; removed c; changed b; changed lists and macros k, l, m");
        assert!(after.changes_since(&after.clone()).is_empty());
        assert_eq!(Changes::default().to_string(), "nothing changed");
    }

    #[test]
    fn a_rule_belongs_to_the_pack_of_the_folder_that_it_is_in() {
        let rule = |name: &str| format!("rules: [{{name: {name}, condition: process.pid == 1}}]");
        let pack = |name: &str, requires: &str| {
            format!("pack: {{name: {name}, version: 1.2, requires: {{{requires}}}}}")
        };
        let sources = [
            source("site.yml", &rule("own")),
            source("packs/a/pack.yml", &pack("a", "openclaw: '>=0.1', b: '<2'")),
            source("packs/a/x.yml", &rule("of_a")),
            source("packs/a/b/pack.yml", &pack("b", "")),
            source("packs/a/b/x.yml", &rule("of_b")),
        ];
        let rules = RuleSet::load(&sources).unwrap();
        let pack = |name: &str| rules.get(name).unwrap().pack.as_deref();
        assert_eq!((pack("own"), pack("of_a"), pack("of_b")), (None, Some("a 1.2.0"), Some("b 1.2.0")));
        let twice = [sources[3].clone(), source("other/pack.yml", &sources[3].text)];
        let mistakes = RuleSet::load(&twice).unwrap_err().to_string();
        assert!(
            mistakes.contains("there are two packs `b`") && mistakes.contains("packs/a/b/pack.yml"),
            "{mistakes}"
        );
    }

    #[test]
    fn mistakes_in_a_macro_are_told_once_and_where_it_is_defined() {
        let text = "macros:\n  a: proces.pid == 1\n  b: a or process.pid == 2\nrules:\n- {name: x, condition: a}\n- {name: y, condition: b}\n";
        assert_eq!(mistakes(text), ["2:6 unknown field `proces.pid` [did you mean `process.pid`?]"]);
    }

    #[test]
    fn macros_that_grow_without_measure_are_refused() {
        let mut text = "macros:\n  m0: process.pid == 1\n".to_owned();
        for n in 1..30 {
            text.push_str(&format!("  m{n}: m{0} and m{0}\n", n - 1));
        }
        let found = mistakes(&text);
        assert!(
            found[0].contains("with its macros this condition has more than 4096 comparisons"),
            "{found:?}"
        );
        let mut text = "macros:\n  m0: process.pid == 1\n".to_owned();
        for n in 1..1000 {
            text.push_str(&format!("  m{n}: m{}\n", n - 1));
        }
        let found = mistakes(&text);
        assert!(found.len() == 1 && found[0].contains("lie more than 256 deep in one another"), "{found:?}");
    }

    proptest! {
        #[test]
        fn no_text_makes_loading_panic(text in ".*") {
            let _ = RuleSet::load(&[source("x.yml", &text)]);
        }

        #[test]
        fn no_shape_of_a_rule_makes_loading_panic(
            key in prop::sample::select(vec!["name", "condition", "event", "severity", "confidence", "action", "response", "tags", "enabled", "exceptions", "threshold", "sequence", "new", "suppress", "tests", "zzz"]),
            value in prop::sample::select(vec!["", "[]", "{}", "[[]]", "{for: []}", "{for: }", "~", "1", "x y", "|\n      a\n", "[1, {a: b}]", "&a [*a]"]),
        ) {
            let _ = RuleSet::load(&[source("x.yml", &format!("rules:\n  - {key}: {value}\n    tags: []\nlists:\n  a: {value}\n"))]);
        }
    }
}
