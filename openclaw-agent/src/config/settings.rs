//! From the tree to [`Config`]: each key by name, each mistake with its place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::node::{Node, Tree};
use super::reader::{Environment, Problem, Reader, Section};
use super::{Api, Config, Rules, Security, Sensor, Store, alerting, response, sources, units};
use crate::enrich::Roots;

/// Reads the text of a configuration file. Relative paths in it start at `folder`.
///
/// # Errors
/// Every problem that was found, in the order of the file.
pub(super) fn read(
    text: &str,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let root = Node::parse(text).map_err(|(at, message)| vec![Problem { at, message }])?;
    let mut reader = Reader::new(environment);
    let mut keys = reader.section("", Some(&root));
    let config = Config {
        security: security(&mut reader, keys.take("security"), folder),
        store: store(&mut reader, keys.take("store"), folder),
        api: api(&mut reader, keys.take("api"), folder),
    };
    keys.not_built(&mut reader, &["services", "alarms", "labels", "schedule"]);
    keys.finish(&mut reader);
    if reader.problems.is_empty() {
        Ok((config, reader.warnings))
    } else {
        reader.problems.sort_by_key(|problem| (problem.at.line, problem.at.column));
        Err(reader.problems)
    }
}

/// `api.socket` of a text that may have mistakes elsewhere.
pub(super) fn socket(text: &str, folder: &Path, environment: Environment<'_>) -> Option<PathBuf> {
    let root = Node::parse(text).ok()?;
    let mut reader = Reader::new(environment);
    let node = reader.section("", Some(&root)).take("api");
    api(&mut reader, node, folder).socket
}

pub(super) fn path(folder: &Path) -> impl Fn(&str) -> Result<PathBuf, String> {
    let folder = folder.to_owned();
    move |text| match text {
        "" => Err("the path is empty".to_owned()),
        text => Ok(folder.join(text)),
    }
}

fn security(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Security {
    let mut keys = reader.section("security", node);
    let mut security = Security {
        sensor: sensor(reader, keys.take("sensor")),
        containers: containers(reader, keys.take("containers"), folder),
        sources: sources::read(reader, keys.take("sources"), folder),
        rules: rules(reader, keys.take("rules"), folder),
        response: response::read(reader, keys.take("response"), folder),
        alerting: alerting::read(reader, keys.take("alerting"), folder),
    };
    security.rules.auth_spike = security.alerting.triggers.auth_spike;
    keys.not_built(reader, &["dependency_scanner", "image_scanner"]);
    keys.finish(reader);
    security
}

fn sensor(reader: &mut Reader<'_>, node: Option<&Node>) -> Sensor {
    let mut sensor = Sensor::default();
    let mut keys = reader.section("security.sensor", node);
    let mut ring = |keys: &mut Section<'_>, key, default| {
        let Some(node) = keys.take(key) else { return default };
        let size = reader.parsed(&keys.name(key), node, |text| {
            let size = units::parse_size(text)?;
            match u32::try_from(size) {
                Ok(size) if size.is_power_of_two() && (4096..=1 << 30).contains(&size) => Ok(size),
                _ => Err(format!(
                    "a ring of {text} cannot be made: write a power of two from 4KiB to 1GiB, such as 16MiB"
                )),
            }
        });
        size.unwrap_or(default)
    };
    sensor.process_ring = ring(&mut keys, "process_ring", sensor.process_ring);
    sensor.network_ring = ring(&mut keys, "network_ring", sensor.network_ring);
    sensor.file_ring = ring(&mut keys, "file_ring", sensor.file_ring);
    if let Some(node) = keys.take("environment") {
        sensor.environment = reader.list(&keys.name("environment"), node, |text| match text {
            "" => Err("an empty name is that of no variable: write one such as `LD_PRELOAD`".to_owned()),
            text if text.contains(['=', '\0']) => {
                Err(format!("`{text}` is no variable's name: write what stands before its `=`"))
            }
            text => Ok(text.to_owned()),
        });
    }
    if let Some(node) = keys.take("hash_limit") {
        let limit = reader.parsed(&keys.name("hash_limit"), node, units::parse_size);
        sensor.hash_limit = limit.unwrap_or(sensor.hash_limit);
    }
    if let Some(node) = keys.take("loss_limit") {
        let limit = reader.parsed(&keys.name("loss_limit"), node, |text| {
            text.parse().map_err(|_| format!("`{text}` is no number of events: write one such as 1000"))
        });
        sensor.loss_limit = limit.unwrap_or(sensor.loss_limit);
    }
    if let Some(node) = keys.take("wake_interval") {
        sensor.wake_interval =
            reader.parsed(&keys.name("wake_interval"), node, |text| match units::parse_duration(text)? {
                interval if interval <= Duration::from_millis(100) => Ok(interval),
                _ => Err(format!("{text} is too long for answers to wait: write 100ms or less")),
            });
    }
    keys.finish(reader);
    sensor
}

fn containers(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Roots {
    let mut roots = Roots::default();
    let mut keys = reader.section("security.containers", node);
    for (key, folders) in [
        ("docker", &mut roots.docker),
        ("containerd", &mut roots.containerd),
        ("storage", &mut roots.storage),
        ("runc", &mut roots.runc),
    ] {
        if let Some(node) = keys.take(key) {
            *folders = reader.list(&keys.name(key), node, path(folder));
        }
    }
    keys.finish(reader);
    roots
}

fn rules(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Rules {
    let mut rules = Rules::default();
    let Some(node) = node else { return rules };
    if !matches!(node.value, Tree::Map(_)) {
        rules.folders = reader.list("security.rules", node, path(folder));
        return rules;
    }
    let mut keys = reader.section("security.rules", Some(node));
    if let Some(node) = keys.take("folders") {
        rules.folders = reader.list(&keys.name("folders"), node, path(folder));
    }
    if let Some(node) = keys.take("shipped") {
        rules.shipped = reader.flag(&keys.name("shipped"), node).unwrap_or(rules.shipped);
    }
    keys.finish(reader);
    rules
}

fn store(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Store {
    let mut store = Store::default();
    let mut keys = reader.section("store", node);
    if let Some(node) = keys.take("path") {
        store.path = reader.parsed(&keys.name("path"), node, path(folder));
    }
    if let Some(node) = keys.take("max_age") {
        store.max_age = reader.duration(&keys.name("max_age"), node).unwrap_or(store.max_age);
    }
    if let Some(node) = keys.take("max_size") {
        let size = reader.parsed(&keys.name("max_size"), node, |text| match units::parse_size(text)? {
            size if size < 1 << 20 => Err(format!("{text} holds too little: write 1MiB at least")),
            size => Ok(size),
        });
        store.max_size = size.unwrap_or(store.max_size);
    }
    keys.finish(reader);
    store
}

fn api(reader: &mut Reader<'_>, node: Option<&Node>, folder: &Path) -> Api {
    let mut keys = reader.section("api", node);
    let socket = keys.take("socket").and_then(|node| reader.parsed(&keys.name("socket"), node, path(folder)));
    let metrics = keys.take("metrics").and_then(|node| {
        reader.parsed(&keys.name("metrics"), node, |text| {
            let message = "write an address and a port, such as 127.0.0.1:9464";
            text.parse::<SocketAddr>().map_err(|_| format!("`{text}` is no place to listen at: {message}"))
        })
    });
    keys.finish(reader);
    Api { socket, metrics }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::Trigger;
    use crate::config::{ChannelKind, Mode};

    fn environment(name: &str) -> Option<String> {
        (name == "WEBHOOK_TOKEN").then(|| "s3cr3t".to_owned())
    }

    #[test]
    fn isolation_leaves_open_what_is_named_and_endpoints_keep_their_secrets() {
        let text = "security:\n  response:\n    isolation: {allow: [192.0.2.0/28, '2001:db8::/64'], dns: true}\n    \
                    webhooks:\n      contain: {url: 'https://example.com/s3cr3t', headers: {Authorization: 'Bearer \
                    ${WEBHOOK_TOKEN}'}}\n";
        let (config, warnings) = good(text);
        assert!(warnings.is_empty(), "{warnings:?}");
        let told = config.response_settings(Path::new("/run/x.sock"));
        assert_eq!(
            (told.isolation.allow.len(), told.isolation.dns, told.isolation.loopback),
            (2, true, None)
        );
        assert_eq!((told.webhooks[0].0.as_str(), told.webhooks.len()), ("contain", 1));
        assert_eq!(told.alert_endpoints, ["example.com:443"]);
        let shown = serde_json::to_string(&config).unwrap();
        assert!(shown.contains("contain") && !shown.contains("s3cr3t"), "{shown}");

        for (keys, message) in [
            ("isolation: {allow: [0.0.0.0/0]}", "is every address"),
            ("isolation: {allow: [example.com]}", "is no address or network"),
            ("isolation: {alow: []}", "allow"),
            ("webhooks: {contain: {url: 'http://example.com/'}}", "allow_insecure"),
            ("webhooks: {contain: {}}", "url"),
        ] {
            let text = format!("security:\n  response:\n    {keys}\n");
            let problems = read(&text, Path::new("/etc/openclaw"), &environment).unwrap_err();
            assert!(problems.iter().any(|problem| problem.message.contains(message)), "{keys}: {problems:?}");
        }
    }

    fn good(text: &str) -> (Config, Vec<Problem>) {
        read(text, Path::new("/etc/openclaw"), &environment).unwrap()
    }

    fn bad(text: &str) -> String {
        let problems = read(text, Path::new("/"), &environment).unwrap_err();
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn nothing_at_all_is_the_default() {
        for text in ["", "# a comment\n", "{}", "security:\n"] {
            let (config, warnings) = good(text);
            assert_eq!(config.security.response.mode, Mode::Observe);
            assert_eq!(config.store.max_size, 256_000_000);
            assert!(warnings.is_empty());
        }
    }

    #[test]
    fn every_key_is_read() {
        let (config, warnings) = good(
            "security:
  sensor: { process_ring: 1MiB, environment: [LD_PRELOAD], hash_limit: 0, loss_limit: 5, wake_interval: 2ms }
  containers: { docker: [/data/docker, own], runc: [] }
  rules: [rules, /opt/rules]
  response:
    mode: enforce
    rules: { port_scan: observe, 'crypto_*': enforce }
    labels: { env=prod: observe }
    warm_up: 2m
    run_limit: 5s
    breaker: { within: 5m, actions: 7, targets: 6, actions_in_all: 9, targets_in_all: 8 }
    isolate_on_critical: true
    min_confidence: 0.5
    cgroup: /sys/fs/cgroup/apps
    default_duration: 10m
    protected: [postgres, /usr/bin/backup, 'user:root', 'unit:web-*.service', 'label:tier=db']
    release_on_exit: true
    never_block: [10.0.0.0/8, 192.0.2.7]
  alerting:
    channels:
      webhook:
        url: https://hooks.example.com/security
        timeout: 2s
        headers: { Authorization: 'Bearer ${WEBHOOK_TOKEN}' }
      on-call: { type: webhook, url: 'http://127.0.0.1:8080/' }
store: { path: findings.db, max_age: 7d, max_size: 10MB }
api: { socket: /run/x.sock }
",
        );
        assert!(warnings.is_empty());
        let response = &config.security.response;
        assert_eq!(
            (response.mode, response.min_confidence, response.release_on_exit),
            (Mode::Enforce, 0.5, true)
        );
        assert_eq!(response.never_block.len(), 2);
        let sensor = &config.security.sensor;
        assert_eq!((sensor.process_ring, &*sensor.environment), (1 << 20, &["LD_PRELOAD".to_owned()][..]));
        assert_eq!((sensor.hash_limit, sensor.loss_limit), (0, 5));
        assert_eq!(config.wake_interval(), Duration::from_millis(2));
        let containers = &config.security.containers;
        assert_eq!(containers.docker, [Path::new("/data/docker"), Path::new("/etc/openclaw/own")]);
        assert!(containers.runc.is_empty() && containers.storage == Roots::default().storage);
        assert_eq!(
            config.security.rules.folders,
            [PathBuf::from("/etc/openclaw/rules"), "/opt/rules".into()]
        );
        assert_eq!(config.store.path.as_deref(), Some(Path::new("/etc/openclaw/findings.db")));
        let channels = &config.security.alerting.channels;
        let ChannelKind::Webhook(webhook) = &channels[0].kind else { panic!("{channels:?}") };
        assert_eq!(webhook.http.headers[0].1.to_str().unwrap(), "Bearer s3cr3t");
        assert_eq!(channels[1].name, "on-call");
        let told = config.response_settings(Path::new("/run/x.sock"));
        assert_eq!((told.mode, told.never_block.len(), told.protected.len()), (Mode::Enforce, 2, 5));
        assert_eq!(told.rule_modes[1], ("crypto_*".to_owned(), Mode::Enforce));
        assert_eq!(told.label_modes, [("env=prod".to_owned(), Mode::Observe)]);
        assert_eq!((told.warm_up, told.isolate_on_critical), (Duration::from_secs(120), true));
        assert_eq!(told.run_limit, Duration::from_secs(5));
        let breaker = told.breaker;
        assert_eq!(
            (
                breaker.within,
                breaker.actions,
                breaker.targets,
                breaker.actions_in_all,
                breaker.targets_in_all
            ),
            (Duration::from_secs(300), 7, 6, 9, 8)
        );
        assert_eq!(told.alert_endpoints, ["hooks.example.com:443", "127.0.0.1:8080"]);
    }

    #[test]
    fn json_in_camel_case_reads_like_yaml_in_snake_case() {
        let (config, warnings) = good(
            r#"{ "security": { "response": { "minConfidence": 0.9, "releaseOnExit": true },
                 "alerting": { "channels": {
                    "telegram": { "enabled": true, "botToken": "1:${WEBHOOK_TOKEN}", "chatId": -100 },
                    "webhook": { "enabled": true, "allowInsecure": true, "url": "http://hooks.example.com/" } },
                    "triggers": { "criticalEvents": { "enabled": true, "throttleMs": 300000 } } } } }"#,
        );
        assert_eq!(config.security.response.min_confidence, 0.9);
        assert!(config.security.response.release_on_exit);
        let alerting = &config.security.alerting;
        assert_eq!(alerting.channels.len(), 2);
        assert_eq!(alerting.triggers.of[&Trigger::CriticalEvent].throttle, Duration::from_secs(300));
        assert_eq!(warnings, []);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_place_and_the_nearest_name() {
        assert_eq!(
            bad("security:\n  response:\n    minConfidance: 1\n"),
            "3:5: unknown key `security.response.minConfidance`: did you mean `min_confidence`?\n"
        );
        assert!(bad("colour: red\n").contains("known here are security"));
        assert!(
            bad("security: {response: {mode: enforce, min_confidence: 0.1, minConfidence: 0.2}}")
                .contains("twice")
        );
    }

    #[test]
    fn every_mistake_is_told_at_once_and_says_what_would_be_right() {
        let text = bad(
            "security:\n  response:\n    mode: kill\n    min_confidence: 2\n    never_block: [example.com]\nstore:\n  max_age: soon\n",
        );
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[0].starts_with("3:11: ") && lines[0].contains("`observe`"));
        assert!(
            lines[1].contains("0 to 1") && lines[2].contains("192.0.2.0/24") && lines[3].contains("1h30m")
        );
    }

    #[test]
    fn what_is_shown_reads_back() {
        let (config, _) = good(
            "security: {response: {protected: [a, 'user:root', 'label:a=b'], rules: {'a*': enforce}, breaker: {actions: 3}, never_block: [192.0.2.0/24]}}",
        );
        let shown = serde_saphyr::to_string(&config).unwrap();
        let (again, warnings) = good(&shown);
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(serde_saphyr::to_string(&again).unwrap(), shown);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(\\PC|\n|\t){0,80}") {
            let _ = read(&text, Path::new("/"), &environment);
        }

        #[test]
        fn no_value_makes_the_reader_panic(
            key in "(mode|rules|labels|breaker|warm_up|min_confidence|cgroup|default_duration|protected|never_block)",
            value in "([0-9a-z.:/{}$\\[\\]~-]| ){0,20}",
        ) {
            let _ = read(&format!("security:\n  response:\n    {key}: {value}\n"), Path::new("/"), &environment);
            let _ = read(&format!("security:\n  alerting:\n    channels:\n      webhook: {{url: {value}}}"), Path::new("/"), &environment);
        }
    }
}
