//! The same rules in Sigma's format over the same events, by this crate and by `sigma-rust`: which must find the same.
//!
//! The rules are some of our own of the usual shapes and, where the Sigma project's rules for Linux are beside the project,
//! those of process_creation.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openclaw_detect::{Engine, EventKind, Field, RecordedEvent, RuleSet, Source, Timestamp};

/// Where the Sigma project's rules may be.
const PROJECT: &str = "../../shared/data/sigma/rules/linux/process_creation";

/// A process as both see it: executable, command line, parent's executable, working directory.
type Process = [&'static str; 4];

/// What hosts do all day, and a little of what they should not.
const PROCESSES: [Process; 12] = [
    ["/usr/bin/ls", "ls --color=auto -l /home/alice/projects", "/usr/bin/bash", "/home/alice"],
    ["/usr/bin/git", "git status --porcelain=v1", "/usr/bin/bash", "/home/alice/projects"],
    [
        "/usr/bin/cc",
        "cc -O2 -c -o build/main.o src/main.c -Iinclude -Wall",
        "/usr/bin/make",
        "/home/alice/projects",
    ],
    ["/usr/bin/python3.11", "python3 manage.py runserver 0.0.0.0:8000", "/usr/bin/bash", "/srv/web"],
    ["/usr/bin/dash", "sh -c run-parts --report /etc/cron.daily", "/usr/sbin/cron", "/"],
    ["/usr/bin/grep", "grep -rn TODO src", "/usr/bin/bash", "/home/alice/projects"],
    ["/usr/lib/systemd/systemd", "/lib/systemd/systemd --user", "/usr/lib/systemd/systemd", "/"],
    ["/usr/sbin/sshd", "sshd: alice [priv]", "/usr/sbin/sshd", "/"],
    ["/usr/bin/dpkg", "dpkg --status-fd 10 --unpack --auto-deconfigure a.deb", "/usr/bin/apt-get", "/root"],
    ["/usr/bin/base64", "base64 -d /tmp/x", "/usr/bin/bash", "/tmp"],
    ["/tmp/tool7", "/tmp/tool7 --server=198.51.100.7 word7 --quiet", "/usr/bin/dash", "/tmp"],
    ["/usr/bin/curl", "curl -fsSL https://example.org/install.sh", "/usr/bin/bash", "/home/alice"],
];

const NAMES: [&str; 4] = ["Image", "CommandLine", "ParentImage", "CurrentDirectory"];
const FIELDS: [Field; 4] = [
    Field::ProcessExecutable,
    Field::ProcessCommandLine,
    Field::ProcessParentExecutable,
    Field::ProcessWorkingDirectory,
];

/// So many rules of four shapes that are common among those of the Sigma project.
fn generated(count: usize) -> Vec<String> {
    let detection = |n: usize| match n % 4 {
        0 => format!(
            "selection: {{'Image|endswith': ['/tool{n}', '/other{n}'], 'CommandLine|contains': ' word{n}'}}\n    condition: selection"
        ),
        1 => format!(
            "selection: {{'CommandLine|contains|all': [' --first{n}', ' --second']}}\n    filter: {{'ParentImage|endswith': '/parent{n}'}}\n    condition: selection and not filter"
        ),
        2 => format!(
            "selection_img: {{'Image|startswith': '/opt/{n}/'}}\n    selection_cli: {{'CommandLine|re': 'x{n}[a-z]+=\\d+'}}\n    condition: all of selection_*"
        ),
        _ => format!(
            "selection: {{'Image|endswith': '/tool{n}'}}\n    words: {{'CommandLine|contains': ['word{n}', 'WORDS{n}', 'other{n}']}}\n    condition: selection and words"
        ),
    };
    (0..count)
        .map(|n| {
            format!(
                "title: Rule {n}\nlogsource:\n    product: linux\n    category: process_creation\ndetection:\n    {}\n",
                detection(n)
            )
        })
        .collect()
}

/// The Sigma project's rules, where they are there.
fn project() -> Vec<String> {
    let Ok(entries) = Path::new(env!("CARGO_MANIFEST_DIR")).join(PROJECT).read_dir() else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

fn compare(criterion: &mut Criterion) {
    let ours: Vec<RecordedEvent> = PROCESSES
        .iter()
        .map(|process| {
            let event =
                RecordedEvent::new(EventKind::ProcessCreate, Timestamp(1)).with(Field::EventAction, "exec");
            FIELDS.into_iter().zip(process).fold(event, |event, (field, text)| event.with(field, *text))
        })
        .collect();
    let theirs: Vec<sigma_rust::Event> =
        PROCESSES.iter().map(|process| [0, 1, 2, 3].map(|at| (NAMES[at], process[at])).into()).collect();
    let sets = [
        ("100 rules", generated(100)),
        ("1000 rules", generated(1000)),
        ("the Sigma project's rules of process_creation", project()),
    ];
    for (name, texts) in sets {
        if texts.is_empty() {
            eprintln!("{name}: they are not at {PROJECT}");
            continue;
        }
        let sources: Vec<_> = (0..)
            .zip(&texts)
            .map(|(n, text)| Source { name: format!("{n}.yml"), text: text.clone() })
            .collect();
        let mut engine = Engine::new(RuleSet::load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}")));
        let rules: Vec<_> = texts
            .iter()
            .map(|text| sigma_rust::rule_from_yaml(text).unwrap_or_else(|error| panic!("{error}")))
            .collect();
        let find = |engine: &mut Engine| {
            let mut found = 0;
            ours.iter().for_each(|event| engine.evaluate(black_box(event), |_| found += 1));
            found
        };
        let find_theirs = || {
            let of = |event: &sigma_rust::Event| {
                rules.iter().filter(|rule| rule.is_match(black_box(event))).count()
            };
            theirs.iter().map(of).sum::<usize>()
        };
        assert_eq!(find(&mut engine), find_theirs(), "{name}: both find the same");
        let mut group =
            criterion.benchmark_group(format!("{} rules in Sigma's format, of {name}", texts.len()));
        group.throughput(Throughput::Elements(ours.len() as u64));
        group.sample_size(20);
        group.bench_function("openclaw", |bencher| bencher.iter(|| find(&mut engine)));
        group.bench_function("sigma-rust", |bencher| bencher.iter(find_theirs));
        group.finish();
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
