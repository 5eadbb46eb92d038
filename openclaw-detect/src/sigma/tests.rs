//! Rules of our own in Sigma's format, as rules of ours.

use proptest::prelude::*;

use super::*;
use crate::{Engine, EventKind, Field, Level, ProcessId, RecordedEvent, RuleSet, StrList, Timestamp};

/// A file with a rule of this log source and detection.
fn sigma(log_source: &str, detection: &str) -> Source {
    let text = format!("title: A rule\nlogsource: {{{log_source}}}\ndetection:\n{detection}\nlevel: high\n");
    Source { name: "a.yml".to_owned(), text }
}

const PROCESSES: &str = "product: linux, category: process_creation";
const AUDIT: &str = "product: linux, service: auditd";

/// What became of the only rule of a file, and the mistakes.
fn imported(source: Source) -> (Outcome, Vec<String>) {
    let (mut rules, mistakes) = import(&[source]);
    let told = mistakes.iter().map(|d| {
        let help = d.help.as_deref().unwrap_or_default();
        format!("{}:{} {} [{help}]", d.line, d.column, d.message)
    });
    (rules.remove(0).outcome, told.collect())
}

/// The rule that was made, its exceptions included, and what it lacks.
fn made(log_source: &str, detection: &str) -> (String, Vec<String>) {
    let (outcome, mistakes) = imported(sigma(log_source, detection));
    let Outcome::Rule { text, lacks, .. } = outcome else { panic!("{outcome:?} {mistakes:?}") };
    let rules = RuleSet::load(&[Source { name: "ours.yml".to_owned(), text }]).unwrap();
    let rule = rules.get("a_rule").unwrap();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let exceptions =
        rule.exceptions.iter().map(|e| format!(" UNLESS {}: {}", e.name, one_line(&e.condition)));
    let kinds: Vec<_> = rule.kinds.iter().map(EventKind::name).collect();
    let condition =
        format!("{}: {}{}", kinds.join(", "), one_line(&rule.condition), exceptions.collect::<String>());
    (condition, lacks)
}

#[test]
fn fields_and_modifiers_are_comparisons() {
    for (detection, expected) in [
        ("Image: '/bin/nc'", r#"process.executable iequals ["/bin/nc", "/usr/bin/nc"]"#),
        ("Image|endswith: '/nc'", r#"process.executable iendswith "/nc""#),
        (
            "CommandLine|contains: [a, '-1']",
            r#"process.command_line icontains "-1" OR process.command_line icontains "a""#,
        ),
        (
            "CommandLine|contains|all: [a, b]",
            r#"process.command_line icontains "a" AND process.command_line icontains "b""#,
        ),
        ("CommandLine|contains|cased: Xy", r#"process.command_line contains "Xy""#),
        ("CommandLine|startswith: '-1'", r#"process.command_line startswith "-1""#),
        (r"CommandLine: 'a*b\*'", r#"process.command_line ilike "a*b\\*""#),
        ("CommandLine: ''", r#"process.command_line == """#),
        ("CommandLine: '*'", "process.command_line exists"),
        ("ParentImage: null", "process.parent.executable not exists"),
        ("ParentImage|exists: true", "process.parent.executable exists"),
        ("CommandLine|re: '^x+$'", r#"process.command_line matches "^x+$""#),
        ("CommandLine|re|i|s: 'x.'", r#"process.command_line matches "(?is)x.""#),
        ("CommandLine|neq: x", r#"process.command_line not exists OR process.command_line not iequals "x""#),
        ("ProcessId|gt: 5", "process.pid > 5"),
        ("ProcessId: [1, 2]", "process.pid in [1, 2]"),
        ("User: root", "process.user.id == 0"),
        ("CommandLine|base64|contains: foobar", r#"process.command_line contains "Zm9vYmFy""#),
        (
            "CommandLine|base64offset|contains: 'http://'",
            r#"process.command_line contains "aHR0cDovL" OR process.command_line contains "h0dHA6Ly" OR process.command_line contains "odHRwOi8v""#,
        ),
        ("CommandLine|wide|base64|contains: ping", r#"process.command_line contains "cABpAG4AZwA=""#),
        (
            "CommandLine|windash|contains: ' -x'",
            "process.command_line icontains [\" -x\", \" /x\", \" \u{2013}x\", \" \u{2014}x\", \" \u{2015}x\"]",
        ),
        ("Hashes: 'SHA256=AB'", r#"process.hash.sha256 == "ab""#),
    ] {
        let (rule, lacks) =
            made(PROCESSES, &format!("  selection:\n    {detection}\n  condition: selection"));
        let (_, condition) = rule.split_once(": ").unwrap();
        assert_eq!((condition, lacks), (expected, Vec::new()), "{detection}");
    }
}

#[test]
fn searches_are_joined_as_the_condition_says_and_filters_are_exceptions() {
    let searches = "  selection_a:\n    Image: /a\n  selection_b:\n    - Image: /b\n    - Image: /c\n  words: [' x', ' y']\n  \
                    filter_one:\n    User: 1\n  filter_two:\n    User: 2\n  condition: ";
    let [a, b, c] = ["a", "b", "c"].map(|name| format!(r#"process.executable iequals "/{name}""#));
    for (condition, expected) in [
        ("selection_a and selection_b", format!("{a} AND ({b} OR {c})")),
        ("1 of selection_*", format!("{a} OR {b} OR {c}")),
        ("words", r#"process.command_line icontains [" x", " y"]"#.to_owned()),
        (
            "selection_a and not 1 of filter_*",
            format!("{a} UNLESS filter_one: process.user.id == 1 UNLESS filter_two: process.user.id == 2"),
        ),
        (
            "selection_a or (selection_b and not filter_one)",
            format!("{a} OR (({b} OR {c}) AND (process.user.id not exists OR process.user.id != 1))"),
        ),
        (
            "not selection_a",
            r#"process.executable not exists OR process.executable not iequals "/a""#.to_owned(),
        ),
    ] {
        let (rule, _) = made(PROCESSES, &format!("{searches}{condition}"));
        assert_eq!(rule, format!("process_create: {expected}"), "{condition}");
    }
}

#[test]
fn other_log_sources_are_other_kinds_of_event() {
    for (source, detection, expected) in [
        (
            "category: file_event, product: linux",
            "TargetFilename|startswith: '/etc/cron.d/'",
            r#"file_access: event.action in ["create", "write", "truncate", "rename", "link", "symlink"] AND file.path startswith "/etc/cron.d/""#,
        ),
        (
            "category: network_connection, product: linux",
            "{Initiated: 'true', DestinationIp|cidr: 10.0.0.0/8, DestinationPort: 4444}",
            r#"network_connection: event.action in ["connection_established", "connection_failed"] AND network.direction == "outbound" AND destination.ip in ["10.0.0.0/8"] AND destination.port == 4444"#,
        ),
        (
            "category: network_connection, product: linux",
            "DestinationIp|startswith: ['192.168.', 'fe80:']",
            r#"network_connection: event.action in ["connection_established", "connection_failed"] AND destination.ip in ["192.168.0.0/16", "fe80::/16"]"#,
        ),
        (
            "category: dns_query, product: linux",
            "QueryName|endswith: .onion",
            r#"dns_query: event.action == "dns_question" AND dns.question.name iendswith ".onion""#,
        ),
        (
            "category: webserver",
            "{cs-method: POST, cs-uri-query|contains: '../', sc-status: 200}",
            r#"http_request: http.request.method iequals "POST" AND (url.original contains "../" OR url.query contains "../") AND http.response.status_code == 200"#,
        ),
    ] {
        let (rule, lacks) = made(source, &format!("  s: \n    {detection}\n  condition: s"));
        assert_eq!((rule.as_str(), lacks), (expected, Vec::new()), "{detection}");
    }
}

#[test]
fn records_of_auditd_are_the_events_that_tell_the_same() {
    for (detection, expected, lacks) in [
        (
            "  s: {type: EXECVE, a0: touch, a1|startswith: '-'}\n  condition: s",
            r#"process_create: process.args[0] iequals "touch" AND process.args[1] startswith "-""#,
            0,
        ),
        (
            "  e: {type: execve}\n  words: {'|all': [dd, if=]}\n  no: [of=]\n  condition: e and (words and not no)",
            r#"process_create: process.command_line icontains "dd" AND process.command_line icontains "if=" AND (process.command_line not exists OR process.command_line not icontains "of=")"#,
            0,
        ),
        (
            "  s: {type: PATH, name: [/etc/shadow, /var/run/x]}\n  condition: s",
            r#"file_access: file.path in ["/etc/shadow", "/var/run/x", "/run/x"]"#,
            0,
        ),
        (
            "  s: {type: PATH, name|endswith: /x}\n  condition: s",
            r#"file_access: file.path iendswith "/x" AND event.action != "read""#,
            1,
        ),
        (
            "  p: {type: PATH, nametype: CREATE}\n  n: {name|startswith: /etc/}\n  condition: p and n",
            r#"file_access: event.action in ["create", "rename", "link", "symlink"] AND file.path startswith "/etc/""#,
            0,
        ),
        (
            "  s: {type: SYSCALL, SYSCALL: [ptrace, memfd_create], exe|endswith: /gdb}\n  condition: s",
            r#"process_trace: event.action in ["ptrace_attach", "ptrace_seize", "ptrace_write"] AND process.executable iendswith "/gdb""#,
            1,
        ),
        (
            "  a: {type: EXECVE, a0: x}\n  b: {type: PATH, name: /x}\n  c: {type: TTY}\n  condition: 1 of them",
            r#"process_create, file_access: (event.action == "exec" AND process.args[0] iequals "x") OR (file.path exists AND file.path == "/x")"#,
            1,
        ),
        (
            "  s: {key: network_connect_4}\n  condition: s",
            r#"network_connection: event.action == "connection_established" AND network.direction == "outbound" AND network.type == "ipv4""#,
            0,
        ),
    ] {
        let (rule, lacking) = made(AUDIT, detection);
        assert_eq!((rule.as_str(), lacking.len()), (expected, lacks), "{detection} {lacking:?}");
    }
}

#[test]
fn what_the_sensor_does_not_tell_can_never_fire_and_says_why() {
    for (source, detection, why) in [
        (AUDIT, "  s: {type: SERVICE_STOP, unit: ufw}\n  condition: s", "records of type SERVICE_STOP"),
        (AUDIT, "  s: {type: SYSCALL, SYSCALL: sysinfo}\n  condition: s", "the system call sysinfo"),
        (AUDIT, "  s: {type: SYSCALL, SYSCALL: ptrace, a0: 4}\n  condition: s", "arguments of system calls"),
        (AUDIT, "  s: {key: mine}\n  condition: s", "the host's audit rules say"),
        (PROCESSES, "  s: {User: www-data}\n  condition: s", "users are told by number"),
        (PROCESSES, "  s: {OriginalFileName: x}\n  condition: s", "files of Linux have no such description"),
        (
            "product: windows, category: process_creation",
            "  s: {Image: x}\n  condition: s",
            "it is for windows",
        ),
        ("product: linux, service: cron", "  s: [x]\n  condition: s", "the log of cron is not read"),
    ] {
        let (outcome, mistakes) = imported(sigma(source, detection));
        let Outcome::Never(reasons) = outcome else { panic!("{outcome:?} {mistakes:?}") };
        assert!(reasons.join("; ").contains(why) && mistakes.is_empty(), "{reasons:?}");
    }
}

#[test]
fn a_filter_that_is_not_told_is_left_out_and_said_and_is_never_all_that_is_asked() {
    let with_filter = "  s: {Image: /a}\n  f: {ParentUser: root}\n  condition: s and not f";
    let (rule, lacks) = made(PROCESSES, with_filter);
    assert_eq!(rule, r#"process_create: process.executable iequals "/a""#);
    assert!(lacks[0].ends_with("so that nothing is left out by it"), "{lacks:?}");
    let in_part = "  s: {Image: /a}\n  f: {User: [root, www-data]}\n  condition: s and not f";
    let (rule, lacks) = made(PROCESSES, in_part);
    assert_eq!(
        (rule.as_str(), lacks.len()),
        (r#"process_create: process.executable iequals "/a" UNLESS f: process.user.id == 0"#, 1)
    );
    let either = "  s: {Image: /a}\n  f: {ParentUser: root}\n  condition: s or not f";
    assert_eq!(made(PROCESSES, either).0, r#"process_create: process.executable iequals "/a""#);
    let both = "  s: {Image: /a}\n  f: {ParentImage: /b, ParentUser: root}\n  condition: s and not f";
    assert_eq!(
        made(PROCESSES, both).0,
        r#"process_create: process.executable iequals "/a""#,
        "no wider filter"
    );
    let numbers = "  s: {Image: /a}\n  f: {ProcessId|gt: 5}\n  condition: s or not f";
    let expected =
        r#"process_create: process.executable iequals "/a" OR process.pid not exists OR process.pid <= 5"#;
    assert_eq!(made(PROCESSES, numbers).0, expected);
    for detection in [
        "  s: {OriginalFileName: x}\n  condition: not s",
        "  s: {OriginalFileName|neq: x}\n  condition: s",
        "  s: {User|neq: www-data}\n  condition: s",
    ] {
        let (outcome, _) = imported(sigma(PROCESSES, detection));
        assert!(matches!(outcome, Outcome::Never(_)), "{detection}: {outcome:?}");
    }
}

#[test]
fn a_modifier_that_a_field_cannot_have_is_refused() {
    for (source, entry) in [
        (PROCESSES, "ProcessId|startswith: 1"),
        (PROCESSES, "User|startswith: 10"),
        (PROCESSES, "Hashes|re: x"),
        (PROCESSES, "Image|gt: 5"),
        (PROCESSES, "CommandLine|cidr: 10.0.0.0/8"),
        (PROCESSES, "'|gt': 5"),
        (PROCESSES, "CommandLine|windash|expand: '%x%'"),
        ("category: network_connection", "DestinationIp|endswith: '.1'"),
        ("category: network_connection", "Initiated|contains: 't'"),
        (AUDIT, "SYSCALL|startswith: rename"),
    ] {
        let record = if source == AUDIT { "type: SYSCALL, " } else { "" };
        let (outcome, mistakes) =
            imported(sigma(source, &format!("  s: {{{record}{entry}}}\n  condition: s")));
        assert_eq!((&outcome, mistakes.len()), (&Outcome::Mistaken, 1), "{entry}: {mistakes:?}");
        assert!(mistakes[0].contains("cannot be used on") || mistakes[0].contains("do"), "{mistakes:?}");
    }
}

#[test]
fn values_that_are_names_of_lists_are_words() {
    let source = sigma(PROCESSES, "  s:\n    CommandLine|contains: [databases, ' x ']\n  condition: s");
    let lists = Source { name: "lists.yml".to_owned(), text: "lists: {databases: [mysqld]}".to_owned() };
    let mut engine = Engine::new(RuleSet::load(&[lists, source]).unwrap());
    assert_eq!(fired(&mut engine, &exec(1, "/bin/x", "show databases")), ["a_rule"]);
    assert!(fired(&mut engine, &exec(2, "/bin/x", "mysqld")).is_empty());
}

#[test]
fn what_does_not_load_is_mistaken_and_does_not_keep_others_from_being_made() {
    let rule = |title: &str, entry: &str| {
        format!("title: '{title}'\nlogsource: {{{PROCESSES}}}\ndetection: {{s: {{{entry}}}, condition: s}}\n")
    };
    let text = [
        rule("Good", "Image: /a"),
        rule("Large", "CommandLine|re: '(\\w{1000}){1000}'"),
        rule("No List", "Image|expand: '%nowhere%'"),
        rule("!!!", "Image: /b"),
        "title: x\ndetection: {\n".to_owned(),
        rule("Good Too", "Image: /c"),
    ]
    .join("--- # next\n");
    let (all, mistakes) = import(&[Source { name: "a.yml".to_owned(), text }]);
    let is_made = |rule: &Imported| matches!(rule.outcome, Outcome::Rule { .. });
    assert_eq!(all.iter().map(is_made).collect::<Vec<_>>(), [true, false, false, false, true], "{mistakes}");
    assert_eq!(mistakes.errors(), 4, "{mistakes}");
}

#[test]
fn an_override_of_a_rule_that_is_left_out_keeps_none_from_running() {
    let ours = "rules: [{name: own, event: process_create, condition: process.pid == 99}]\noverrides: [{rule: a_rule, enabled: false}]";
    let ours = Source { name: "ours.yml".to_owned(), text: ours.to_owned() };
    for detection in ["  s: {Imgae: x}\n  condition: s", "  s: {OriginalFileName: x}\n  condition: s"] {
        let rules = RuleSet::load(&[sigma(PROCESSES, detection), ours.clone()]).unwrap();
        assert_eq!(rules.len(), 1);
        assert!(rules.warnings().to_string().contains("the Sigma rule `a_rule` does not run"));
    }
}

#[test]
fn mistakes_have_their_place_and_say_what_would_be_right() {
    for (source, detection, expected) in [
        (
            PROCESSES,
            "  s:\n    Imgae: x\n  condition: s",
            "5:5 process_creation has no field `Imgae` [did you mean `Image`?]",
        ),
        (
            PROCESSES,
            "  s:\n    Image|contians: x\n  condition: s",
            "5:5 there is no modifier `contians` [did you mean `contains`?]",
        ),
        (
            PROCESSES,
            "  s:\n    Image: x\n  condition: s and sel",
            "6:20 there is no search `sel` [those of this rule are s]",
        ),
        (PROCESSES, "  s:\n    Image: x", "4:3 this detection has no `condition` []"),
        (
            PROCESSES,
            "  s:\n    CommandLine|re: '(?=x)'\n  condition: s",
            "5:21 not a regular expression: look-around, including look-ahead and look-behind, is not supported []",
        ),
        (
            PROCESSES,
            "  s:\n    ProcessId: x\n  condition: s",
            "5:16 `x` is no number, and this field is one []",
        ),
        (
            PROCESSES,
            "  s:\n    Image: {a: b}\n  condition: s",
            "5:12 expected a value, found keys with values []",
        ),
        (PROCESSES, "  s:\n    Image: []\n  condition: s", "5:12 this list has no values []"),
        (
            "category: process_creations",
            "  s: {Image: x}\n  condition: s",
            "2:1 there is no log source `process_creations` for Linux [the categories are process_creation, \
             file_event, file_change, file_delete, file_rename, file_access, network_connection, dns_query, webserver; \
             the service is auditd]",
        ),
        (
            AUDIT,
            "  s: [word]\n  condition: s",
            "4:3 it is not said which record of auditd this is about [write `type: EXECVE`, `PATH` or `SYSCALL` in it]",
        ),
        (
            PROCESSES,
            "  s: {Image: x}\n  timeframe: 5m\n  condition: s",
            "5:3 `timeframe` is no longer part of Sigma's rules [write a correlation rule, which has a `timespan`]",
        ),
    ] {
        let (outcome, mistakes) = imported(sigma(source, detection));
        assert_eq!((outcome, mistakes), (Outcome::Mistaken, vec![expected.to_owned()]), "{detection}");
    }
    // Where a search of several types has a field of none of them.
    let (outcome, mistakes) =
        imported(sigma(AUDIT, "  s: {type: [SYSCALL, EXECVE], exee: /a}\n  condition: s"));
    assert_eq!((outcome, mistakes.len()), (Outcome::Mistaken, 1));
    // Also where there are several kinds of event.
    let two = "  a: {type: EXECVE, a0: x}\n  b: {type: PATH, name: /x}\n  timeframe: 5m\n  condition: [a or b, a | count() > 5]";
    let (outcome, mistakes) = imported(sigma(AUDIT, two));
    assert_eq!((outcome, mistakes.len()), (Outcome::Mistaken, 2));
}

/// Without its bounds one of these would take hours, or more memory than there is.
#[test]
fn a_file_that_asks_for_very_much_is_refused_or_read() {
    let searches: String = (0..5000).map(|n| format!("  s{n}: {{Image: /{n}}}\n")).collect();
    let values: String = (0..50_000).map(|n| format!("x{n}, ")).collect();
    for (text, expected) in [
        ("title: x\n---\ndetection: {}\n---\n".repeat(20_000), "has errors after this one"),
        (
            sigma(PROCESSES, &format!("{searches}  condition: {}s1", "1 of them or ".repeat(5000))).text,
            "searches are named more than 4096 times",
        ),
        (
            sigma(PROCESSES, &format!("  s: {{'CommandLine|contains|all': [{values}]}}\n  condition: s"))
                .text,
            "bytes, more than 65536",
        ),
        (
            sigma(
                PROCESSES,
                &format!("  s: {{'CommandLine|windash|base64offset': [{values}]}}\n  condition: s"),
            )
            .text,
            "bytes, more than 65536",
        ),
        (
            format!("title: x\ncorrelation: {{type: temporal, timespan: 1m, rules: [{values}]}}\n"),
            "this correlation has more than 100 rules",
        ),
    ] {
        let rules = RuleSet::load(&[Source { name: "x.yml".to_owned(), text }]).unwrap();
        assert_eq!(rules.len(), 0);
        let mistakes: Vec<_> = rules.warnings().iter().map(|mistake| mistake.message.as_str()).collect();
        assert!(
            mistakes.iter().any(|message| message.contains(expected)),
            "{expected}: {:?}",
            mistakes.first()
        );
    }
}

/// What fires on an event, of rules that are loaded as they are.
fn fired(engine: &mut Engine, event: &RecordedEvent) -> Vec<String> {
    let mut names = Vec::new();
    engine.evaluate(event, |found| names.push(found.rule.name.clone()));
    names
}

fn exec(at: u64, executable: &str, command_line: &str) -> RecordedEvent {
    let args: String = command_line.split(' ').flat_map(|arg| [arg, "\0"]).collect();
    RecordedEvent::new(EventKind::ProcessCreate, Timestamp(at))
        .with_process(ProcessId { pid: 1, start: at })
        .with(Field::EventAction, "exec")
        .with(Field::ProcessExecutable, executable)
        .with(Field::ProcessCommandLine, command_line)
        .with(Field::ProcessArgs, StrList::new(&args))
        .with(Field::ProcessUid, 0)
}

#[test]
fn a_file_of_sigma_among_others_runs_as_it_is_and_its_mistakes_keep_it_alone_from_running() {
    let rule = |title: &str, image: &str| {
        let text = format!(
            "# A comment.\ntitle: {title}\nid: 0123-4567\nauthor: Someone\nstatus: test\nlogsource:\n  product: linux\n  \
             category: process_creation\ndetection:\n  selection:\n    {image}\n  filter:\n    CommandLine|contains: \
             safe\n  condition: selection and not filter\nfalsepositives: [Admins]\nlevel: critical\ntags: \
             [attack.t1059]\n"
        );
        Source { name: format!("{title}.yml"), text }
    };
    let ours = Source {
        name: "ours.yml".to_owned(),
        text:
            "rules: [{name: own, event: process_create, condition: process.pid == 99}]\noverrides:\n- rule: \
               of_netcat\n  exceptions: [{name: mine, condition: process.user.id == 7}]"
                .to_owned(),
    };
    let sources = [rule("Of  Netcat!", "Image|endswith: /nc"), rule("broken", "Imgae: x"), ours];
    let rules = RuleSet::load(&sources).unwrap();
    let mistakes: Vec<_> = rules.warnings().iter().filter(|d| d.level == Level::Error).collect();
    assert_eq!((mistakes.len(), mistakes[0].file.as_str(), mistakes[0].line), (1, "broken.yml", 11));
    let netcat = rules.get("of_netcat").unwrap();
    assert_eq!(netcat.origin, "Of  Netcat!.yml:2");
    assert!(netcat.description.as_ref().unwrap().contains("Sigma rule 0123-4567 by Someone"));
    assert_eq!((netcat.severity.name(), netcat.tags.join(" ")), ("critical", "attack.t1059".to_owned()));
    let mut engine = Engine::new(rules);
    assert_eq!(fired(&mut engine, &exec(1, "/usr/bin/NC", "nc -l")), ["of_netcat"]);
    assert!(fired(&mut engine, &exec(2, "/usr/bin/nc", "nc SAFE")).is_empty());
    let excepted = exec(3, "/usr/bin/nc", "nc").with(Field::ProcessUid, 7);
    assert!(fired(&mut engine, &excepted).is_empty());
    // A file that is no YAML at all is none of the others' concern either.
    let broken = Source { name: "x.yml".to_owned(), text: "title: x\ndetection: {".to_owned() };
    let rules = RuleSet::load(&[broken, rule("Of  Netcat!", "Image|endswith: /nc")]).unwrap();
    assert_eq!((rules.len(), rules.warnings().errors()), (1, 1));
}

#[test]
fn a_placeholder_is_a_list_of_ours() {
    let source = sigma(PROCESSES, "  s:\n    Image|expand|endswith: '%shells%'\n  condition: s");
    let lists = Source { name: "lists.yml".to_owned(), text: "lists: {shells: [/bash, /zsh]}".to_owned() };
    let mut engine = Engine::new(RuleSet::load(&[source.clone(), lists]).unwrap());
    assert_eq!(fired(&mut engine, &exec(1, "/bin/zsh", "zsh")), ["a_rule"]);
    assert!(fired(&mut engine, &exec(2, "/bin/sh", "sh")).is_empty());
    let rules = RuleSet::load(&[source]).unwrap();
    assert_eq!(rules.len(), 0);
    assert!(rules.warnings().to_string().contains("there is no list `shells`"));
}

#[test]
fn rules_of_the_same_title_have_names_of_their_own_and_deprecated_ones_do_not_run() {
    let rule = |id: &str, status: &str| {
        format!(
            "title: Same\nid: {id}\nstatus: {status}\nlogsource: {{{PROCESSES}}}\ndetection: {{s: {{Image: '/{id}'}}, \
             condition: s}}\n"
        )
    };
    let text = [rule("aa-1", "test"), rule("bb-2", "test"), rule("cc-3", "deprecated")].join("---\n");
    let source = Source { name: "a.yml".to_owned(), text };
    let (all, _) = import(std::slice::from_ref(&source));
    assert_eq!(all.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>(), ["same", "same_bb", "same_cc"]);
    let rules = RuleSet::load(&[source]).unwrap();
    assert_eq!((rules.len(), rules.disabled(), rules.warnings().errors()), (2, 1, 0));
}

/// Two rules, `login` and `reading`, and a correlation of them.
fn correlated(correlation: &str) -> Source {
    let rule = |name: &str, image: &str| {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{{PROCESSES}}}\ndetection:\n  s: {{Image|endswith: \
             '/{image}'}}\n  not_me: {{CommandLine|contains: ' me'}}\n  condition: s and not not_me\n"
        )
    };
    let text =
        format!("{}---\n{}---\ntitle: Both\n{correlation}\n", rule("login", "login"), rule("reading", "cat"));
    Source { name: "a.yml".to_owned(), text }
}

#[test]
fn correlations_count_events_and_values_and_follow_several_rules() {
    let second = 1_000_000_000;
    let exec = |at: u64, program: &str, args: &str| {
        exec(at * second, &format!("/bin/{program}"), &format!("{program} {args}"))
    };
    let times = |correlation: &str, events: &[(u64, &str, &str)]| {
        let mut engine = Engine::new(RuleSet::load(&[correlated(correlation)]).unwrap());
        let events = events.iter().map(|(at, program, args)| exec(*at, program, args));
        events.map(|event| fired(&mut engine, &event).join(" ")).collect::<Vec<_>>()
    };
    let count = "correlation: {type: event_count, rules: [login], group-by: [User], timespan: 10s, condition: {gte: 2}}";
    assert_eq!(
        times(count, &[(1, "login", "a"), (2, "login", "me"), (20, "login", "b"), (25, "login", "c")]),
        ["", "", "", "both"]
    );
    let values = "correlation: {type: value_count, rules: [login], group-by: [User], timespan: 1m, condition: {field: CommandLine, gt: 1}}";
    assert_eq!(times(values, &[(1, "login", "a"), (2, "login", "a"), (3, "login", "b")]), ["", "", "both"]);
    let any = "correlation: {type: temporal, rules: [login, reading], group-by: [User], timespan: 1m}";
    assert_eq!(times(any, &[(1, "cat", "x"), (2, "login", "a")]), ["", "both"]);
    let ordered =
        "correlation: {type: temporal_ordered, rules: [login, reading], group-by: [User], timespan: 1m}";
    assert_eq!(times(ordered, &[(1, "cat", "x"), (2, "login", "a"), (3, "cat", "y")]), ["", "", "both"]);
    let alone = "correlation: {type: event_count, generate: true, rules: [login], timespan: 10s, condition: {gte: 2}}";
    assert_eq!(times(alone, &[(1, "login", "a"), (2, "login", "b")]), ["login", "login both"]);
}

#[test]
fn correlations_that_cannot_be_say_why() {
    for (correlation, expected) in [
        (
            "correlation: {type: event_counts, rules: [login], timespan: 1m, condition: {gte: 2}}",
            "did you mean `event_count`?",
        ),
        (
            "correlation: {type: event_count, rules: [logins], timespan: 1m, condition: {gte: 2}}",
            "did you mean `login`?",
        ),
        (
            "correlation: {type: event_count, rules: [login], timespan: soon, condition: {gte: 2}}",
            "write 30s, 5m, 1h or 1d",
        ),
        (
            "correlation: {type: event_count, rules: [login], timespan: 1m}",
            "this correlation has no `condition`",
        ),
        (
            "correlation: {type: event_count, rules: [login], timespan: 1m, condition: {lt: 2}}",
            "`lt` is not supported",
        ),
        (
            "correlation: {type: value_avg, rules: [login], timespan: 1m, condition: {gte: 2}}",
            "`value_avg` is not supported",
        ),
        (
            "correlation: {type: value_count, rules: [login], timespan: 1m, condition: {gte: 2}}",
            "names no `field`",
        ),
        (
            "correlation: {type: event_count, rules: [login], group-by: [Nothing], timespan: 1m, condition: {gte: 2}}",
            "`Nothing` is no field of the rule `login`",
        ),
        ("correlation: {type: temporal, rules: [login], timespan: 1m}", "needs two rules at least"),
        (
            "correlation: {type: event_count, timespan: 1m, condition: {gte: 2}}",
            "this correlation has no `rules`",
        ),
    ] {
        let (_, mistakes) = import(&[correlated(correlation)]);
        assert!(
            mistakes.errors() > 0 && mistakes.to_string().contains(expected),
            "{correlation}: {mistakes}"
        );
    }
}

#[test]
fn counts_go_over_rules_whose_fields_are_the_same() {
    let text = |correlation: &str| {
        format!(
            "title: One\nname: one\nlogsource: {{{PROCESSES}}}\ndetection: {{s: {{Image: /a}}, condition: s}}\n---\ntitle: \
             Two\nname: two\nlogsource: {{product: linux, category: file_event}}\ndetection: {{s: {{TargetFilename: \
             /b}}, condition: s}}\n---\ntitle: Both\ncorrelation: {{type: event_count, rules: [one, two], timespan: 1m, \
             condition: {{gte: 2}}, {correlation}}}\n"
        )
    };
    let load = |correlation: &str| {
        RuleSet::load(&[Source { name: "a.yml".to_owned(), text: text(correlation) }]).unwrap()
    };
    let rules = load("aliases: {what: {one: CommandLine, two: TargetFilename}}, group-by: [what]");
    assert!(
        rules.warnings().to_string().contains("are not the same in all its rules"),
        "{}",
        rules.warnings()
    );
    // A correlation that does not run keeps no rule from firing.
    assert_eq!(rules.len(), 2);
    assert_eq!(load("group-by: [Image]").len(), 1);
}

#[test]
fn filters_add_to_what_rules_of_their_log_source_ask_for() {
    let text = |filter: &str| {
        let rule = |name: &str, image: &str| {
            format!(
                "title: {name}\nname: {name}\nlogsource: {{{PROCESSES}}}\ndetection: {{s: {{Image|endswith: '/{image}'}}, \
                 condition: s}}\n---\n"
            )
        };
        format!(
            "{}{}title: Ours\nlogsource: {{{PROCESSES}}}\nfilter: {{{filter}}}\n",
            rule("one", "a"),
            rule("two", "b")
        )
    };
    let load =
        |filter: &str| RuleSet::load(&[Source { name: "a.yml".to_owned(), text: text(filter) }]).unwrap();
    let ours = "us: {User: 7}, condition: not us";
    let by_us = |image: &str| exec(1, image, "x").with(Field::ProcessUid, 7);
    for (rules, expected) in [("[one]", ["", "two"]), ("one", ["", "two"]), ("any", ["", ""])] {
        let mut engine = Engine::new(load(&format!("rules: {rules}, {ours}")));
        assert_eq!(engine.rules().len(), 2);
        let found = ["/bin/a", "/bin/b"].map(|image| fired(&mut engine, &by_us(image)).join(" "));
        assert_eq!(found, expected, "{rules}");
        assert_eq!(fired(&mut engine, &exec(2, "/bin/a", "x")), ["one"]);
    }
    // What the sensor does not tell keeps no rule from firing.
    let rules = load("rules: any, us: {ParentUser: me}, condition: not us");
    assert_eq!((rules.len(), rules.warnings().errors()), (2, 0));
    assert!(rules.warnings().to_string().contains("the filter `Ours`, of which nothing is told"));
    for (filter, expected) in [
        ("rules: [onee], us: {User: 7}, condition: not us", "did you mean `one`?"),
        ("us: {User: 7}, condition: not us", "does not say of which `rules`"),
        ("rules: any, us: {Usre: 7}, condition: not us", "did you mean `User`?"),
    ] {
        let rules = load(filter);
        assert_eq!((rules.len(), rules.warnings().errors()), (2, 1), "{filter}");
        assert!(rules.warnings().to_string().contains(expected), "{}", rules.warnings());
    }
}

#[test]
fn fields_of_rules_that_are_called_otherwise_are_named_by_an_alias() {
    let text = format!(
        "title: One\nname: one\nlogsource: {{{PROCESSES}}}\ndetection: {{s: {{Image: /a}}, condition: s}}\n---\ntitle: \
         Two\nname: two\nlogsource: {{product: linux, category: file_event}}\ndetection: {{s: {{TargetFilename: /b}}, \
         condition: s}}\n---\ntitle: Both\ncorrelation:\n  type: temporal_ordered\n  rules: [one, two]\n  timespan: 1m\n  \
         aliases:\n    what: {{one: CommandLine, two: TargetFilename}}\n  group-by: [what]\n"
    );
    let (all, mistakes) = import(&[Source { name: "a.yml".to_owned(), text }]);
    let Outcome::Rule { text, .. } = &all[2].outcome else { panic!("{mistakes}") };
    assert!(text.contains("by: [process.command_line]") && text.contains("by: [file.path]"), "{text}");
    RuleSet::load(&[Source { name: "b.yml".to_owned(), text: text.clone() }]).unwrap();
}

/// What a search of one field is of a text, as the specification has it: plain and slow.
fn holds(modifiers: &[&str], value: &str, text: Option<&str>) -> bool {
    let Some(text) = text else { return false };
    let fold =
        |text: &str| if modifiers.contains(&"cased") { text.to_owned() } else { text.to_ascii_lowercase() };
    let mut pattern: Vec<char> = fold(value).chars().collect();
    if modifiers.iter().any(|modifier| matches!(*modifier, "contains" | "endswith")) {
        pattern.insert(0, '*');
    }
    if modifiers.iter().any(|modifier| matches!(*modifier, "contains" | "startswith")) {
        pattern.push('*');
    }
    fits(&pattern, &fold(text).chars().collect::<Vec<_>>())
}

fn fits(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|at| fits(rest, &text[at..])),
        Some(('?', rest)) => text.split_first().is_some_and(|(_, text)| fits(rest, text)),
        Some((c, rest)) => text.split_first().is_some_and(|(first, text)| first == c && fits(rest, text)),
    }
}

const VALUES: &[&str] = &["nc", "/bin/nc", "/tmp/*", "*c", "N?", "-e x", "é", "*"];
const FIELDS: [&str; 3] = ["Image", "CommandLine", "ParentImage"];

/// A search: a field, modifiers and values.
fn search() -> impl Strategy<Value = (usize, Vec<&'static str>, Vec<&'static str>)> {
    let modifiers = prop::sample::select(vec![
        vec![],
        vec!["contains"],
        vec!["startswith"],
        vec!["endswith"],
        vec!["contains", "cased"],
        vec!["contains", "all"],
        vec!["cased"],
    ]);
    (0..FIELDS.len(), modifiers, prop::collection::vec(prop::sample::select(VALUES), 1..3))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_fires_where_its_detection_is_so(
        searches in prop::collection::vec(search(), 3),
        condition in prop::sample::select(vec![
            "a and b", "a or b", "a and not b", "not a", "a and not (b and c)", "a and not (b or not c)",
            "1 of them", "all of them", "not 1 of them", "a or (b and not c)", "not a and not b",
        ]),
        texts in prop::collection::vec(
            prop::option::of(prop::sample::select(vec!["/bin/nc", "/tmp/NC", "nc -e x", "NC", "É", "é", ""])), 3
        ),
    ) {
        let mut detection = String::new();
        for ((field, modifiers, values), name) in searches.iter().zip(["a", "b", "c"]) {
            let key = [&[FIELDS[*field]][..], modifiers].concat().join("|");
            detection += &format!("  {name}:\n    {key}: {values:?}\n");
        }
        let source = sigma(PROCESSES, &format!("{detection}  condition: {condition}"));
        let mut engine = Engine::new(RuleSet::load(&[source]).unwrap());
        let mut event = RecordedEvent::new(EventKind::ProcessCreate, Timestamp(1)).with(Field::EventAction, "exec");
        let fields = [Field::ProcessExecutable, Field::ProcessCommandLine, Field::ProcessParentExecutable];
        for (field, text) in fields.into_iter().zip(&texts) {
            event = text.iter().fold(event, |event, text| event.with(field, *text));
        }
        let found: Vec<bool> = searches.iter().map(|(field, modifiers, values)| {
            let is = |value: &&str| {
                // Where links lead is looked for too.
                let linked = value.strip_prefix("/bin/").filter(|_| *field != 1).map(|rest| format!("/usr/bin/{rest}"));
                let also = linked.is_some_and(|linked| {
                    !modifiers.contains(&"contains") && !modifiers.contains(&"endswith")
                        && holds(modifiers, &linked, texts[*field])
                });
                also || holds(modifiers, value, texts[*field])
            };
            if modifiers.contains(&"all") { values.iter().all(&is) } else { values.iter().any(is) }
        }).collect();
        let (a, b, c) = (found[0], found[1], found[2]);
        let expected = match condition {
            "a and b" => a && b,
            "a or b" => a || b,
            "a and not b" => a && !b,
            "not a" => !a,
            "a and not (b and c)" => a && !(b && c),
            "a and not (b or not c)" => a && !b && c,
            "1 of them" => a || b || c,
            "all of them" => a && b && c,
            "not 1 of them" => !(a || b || c),
            "a or (b and not c)" => a || (b && !c),
            _ => !a && !b,
        };
        prop_assert_eq!(!fired(&mut engine, &event).is_empty(), expected);
    }

    #[test]
    fn no_text_makes_reading_panic(text in "(title|detection|logsource|correlation): .{0,20}\n.{0,40}") {
        import(&[Source { name: "x.yml".to_owned(), text }]);
    }
}
