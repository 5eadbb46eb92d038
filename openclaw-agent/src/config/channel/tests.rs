use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;
use crate::config::reader::Problem;
use crate::config::{Config, settings};

fn environment(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "s3cr3t-of-16-bytes".to_owned())
}

/// A configuration with these channels, as lines of YAML in braces.
fn config(channels: &str, folder: &Path) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let text = format!("security: {{alerting: {{channels: {{{channels}}}}}}}");
    settings::read(&text, folder, &environment)
}

fn good(channels: &str) -> Vec<Channel> {
    let (config, warnings) = config(channels, Path::new("/etc/openclaw")).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    config.security.alerting.channels
}

fn bad(channels: &str) -> String {
    let problems = config(channels, Path::new("/")).unwrap_err();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// A channel of each kind, with every key but those that name files.
const ALL: &str = "
  webhook: {url: 'https://u:${TOKEN}@hooks.example.com/${TOKEN}?k=${TOKEN}', headers: {A: '${TOKEN}'}, timeout: 2s,
    secret: '${TOKEN}', format: ecs, allow_link_local: true},
  chat: {type: webhook, url: 'https://chat.example.com/', template: '{\"key\": \"${TOKEN}\", \"text\": {{ text|tojson }}}'},
  telegram: {botToken: '1234:${TOKEN}', chatId: '@soc', url: 'http://127.0.0.1:8081'},
  slack: {url: 'https://hooks.slack.com/services/T0/B0/${TOKEN}'},
  email: {server: smtp.example.com, port: 2525, tls: tls, username: openclaw, password: '${TOKEN}',
    from: OpenClaw <openclaw@example.com>, to: [soc@example.com, On Call <oncall@example.com>]},
  alertmanager: {url: 'https://am.example.com/base', labels: {team: soc}, resolveAfter: 2h},
  syslog: {address: 'logs.example.com:6514', transport: tls, facility: local3, format: json},
  dev: {type: syslog, address: /dev/log},
  file: {path: alerts.json, maxSize: 1MB, keep: 2}
";

#[test]
fn every_kind_and_key_is_read() {
    let channels = good(ALL);
    let endpoints: Vec<_> = channels.iter().map(Channel::endpoint).collect();
    assert_eq!(
        endpoints,
        [
            "https://hooks.example.com/***",
            "https://chat.example.com/",
            "http://127.0.0.1:8081/",
            "https://hooks.slack.com/***",
            "smtp://smtp.example.com:2525",
            "https://am.example.com/***",
            "tls://logs.example.com:6514",
            "/dev/log",
            "/etc/openclaw/alerts.json",
        ]
    );
    let hosts: Vec<_> = channels.iter().filter_map(Channel::host_and_port).collect();
    assert_eq!(hosts.len(), 7);
    assert_eq!((hosts[2].as_str(), hosts[5].as_str()), ("127.0.0.1:8081", "am.example.com:443"));
    let ChannelKind::Email(email) = &channels[4].kind else { panic!() };
    assert_eq!((email.tls, email.to.len(), email.timeout.as_secs()), (EmailTls::Tls, 2, 5));
    let ChannelKind::Syslog(syslog) = &channels[6].kind else { panic!() };
    assert_eq!((syslog.facility, syslog.format), (19, SyslogFormat::Json));
    let ChannelKind::File(file) = &channels[8].kind else { panic!() };
    assert_eq!((file.max_size, file.keep), (1_000_000, 2));
}

#[test]
fn what_is_shown_has_no_secret() {
    let (config, _) = config(ALL, Path::new("/etc/openclaw")).unwrap();
    for shown in [serde_json::to_string(&config).unwrap(), format!("{config:?}")] {
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn what_is_shown_reads_back() {
    let channels = "a: {type: webhook, url: 'https://h/x', headers: {A: b}, allow_insecure: true},
        email: {server: '::1', tls: none, from: a@example.com, to: b@example.com},
        alertmanager: {url: 'https://h/', labels: {a: b}}, syslog: {address: '[::1]:514', transport: tcp},
        file: {path: /a, max_size: 4KiB}";
    let shown = |text: &str| {
        let (config, _) = settings::read(text, Path::new("/"), &environment).unwrap();
        serde_saphyr::to_string(&config).unwrap()
    };
    let once =
        shown(&format!("security: {{alerting: {{timezone: Europe/Berlin, channels: {{{channels}}}}}}}"));
    assert_eq!(shown(&once), once);
    assert!(once.contains("Europe/Berlin"), "{once}");
}

#[test]
fn a_missing_variable_matters_only_in_enabled_channels_and_a_wrong_key_in_all() {
    for channel in [
        "webhook: {url: 'https://h/${NO}'",
        "telegram: {bot_token: '${NO}', chat_id: '${NO}'",
        "email: {server: '${NO}', port: 1, tls: none, username: a, password: b, from: a, to: a, ca_file: /nonexistent",
        "syslog: {address: '${NO}', transport: x, facility: x, format: x, timeout: 0s",
        "file: {path: '${NO}', keep: x",
        "alertmanager: {url: '${NO}', labels: 5",
    ] {
        let off = format!("{channel}, enabled: false");
        assert!(good(&format!("{off}}}")).is_empty());
        assert!(bad(&format!("{channel}}}")).contains("NO is not set"));
        assert!(bad(&format!("{off}, colour: red}}")).contains("unknown key"), "{off}");
    }
    let text = "security: {alerting: {enabled: false, channels: {webhook: {url: '${NO}'}}}}";
    settings::read(text, Path::new("/"), &environment).unwrap();
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_would_be_right() {
    for (channel, reason) in [
        ("webhok: {url: 'https://h/'}", "did you mean `webhook`?"),
        ("on-call: {url: 'https://h/'}", "give its `type`: webhook, telegram"),
        ("webhook: {}", "url` is missing"),
        ("webhook: {url: 'http://hooks.example.com/T0KEN'}", "allow_insecure"),
        ("webhook: {url: 'ftp://127.0.0.1/'}", "https"),
        ("webhook: {url: 'http://169.254.169.254/', allow_insecure: true}", "allow_link_local"),
        ("webhook: {url: 'https://2852039166/'}", "allow_link_local"),
        ("webhook: {url: 'https://[fe80::1]/'}", "allow_link_local"),
        ("webhook: {url: 'https://h/', secret: T0KEN}", "longer"),
        ("webhook: {url: 'https://h/', format: xml}", "native, ecs, template"),
        ("webhook: {url: 'https://h/', format: template}", "template` is missing"),
        ("webhook: {url: 'https://h/', format: ecs, template: x}", "no effect"),
        ("webhook: {url: 'https://h/', template: x, template_file: y}", "keep one"),
        ("webhook: {url: 'https://h/', template: '{{ T0KEN '}", "line 1"),
        ("webhook: {url: 'https://h/', template_file: nosuch}", "cannot read /nosuch"),
        ("webhook: {url: 'https://h/', timeout: 0s}", "5s"),
        ("webhook: {url: 'https://h/', ca_file: nosuch}", "cannot read /nosuch"),
        ("telegram: {chat_id: 1}", "bot_token` is missing"),
        ("telegram: {bot_token: 'T0KEN/../x', chat_id: 1}", "123456:ABC"),
        ("telegram: {bot_token: '1:T0KEN', chat_id: soc}", "@name"),
        ("email: {server: 'smtp.example.com:25', from: a@b.c, to: a@b.c}", "`port`"),
        ("email: {server: h, tls: none, from: a@b.c, to: a@b.c}", "allow_insecure"),
        ("email: {server: h, from: nobody, to: a@b.c}", "soc@example.com"),
        ("email: {server: h, from: a@b.c, to: []}", "names nobody"),
        ("email: {server: h, from: a@b.c, to: a@b.c, username: u}", "password` is missing"),
        ("email: {server: h, from: a@b.c, to: a@b.c, port: 0}", "587"),
        ("alertmanager: {url: 'https://h/', labels: {a-b: c}}", "name of a label"),
        ("alertmanager: {url: 'https://h/', resolve_after: 1s}", "1m"),
        ("syslog: {address: logs}", "logs.example.com:514"),
        ("syslog: {address: logs, transport: tls}", "logs.example.com:6514"),
        ("syslog: {address: 'h:514', facility: local8}", "local7"),
        ("syslog: {address: 'h:514', format: json}", "tcp"),
        ("file: {}", "path` is missing"),
        ("file: {path: a, max_size: 1B}", "4KiB"),
        ("file: {path: a, keep: -1}", "0 to 1000"),
        ("a: {type: file, path: a}, b: {type: file, path: ./a}", "`a` and `b` write the same file"),
    ] {
        let problems = bad(channel);
        assert!(problems.contains(reason), "{channel}: {problems}");
        assert!(problems.starts_with("1:"), "{problems}");
        assert!(!problems.contains("T0KEN"), "no error repeats a secret: {problems}");
    }
}

#[test]
fn addresses_that_alerts_may_go_to_are_taken() {
    for url in ["https://hooks.example.com/x", "http://localhost:1/", "http://[::1]/", "http://127.0.0.2/"] {
        assert_eq!(good(&format!("webhook: {{url: '{url}'}}")).len(), 1);
    }
    good("webhook: {url: 'http://169.254.169.254/', allow_insecure: true, allow_link_local: true}");
    good("a: {type: file, path: a}, b: {type: file, path: b}, c: {type: file, path: a, enabled: false}");
    good("email: {server: 127.0.0.1, tls: none, from: a@b.c, to: a@b.c}");
}

#[test]
fn a_file_of_authorities_is_read_and_one_that_others_can_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let channel = "webhook: {url: 'https://h/', ca_file: ca.pem}";
    let write = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        config(channel, folder.path()).map_err(|problems| problems[0].message.clone())
    };
    assert!(write("no certificate", 0o600).unwrap_err().contains("PEM"));
    let pem = include_str!("../../../tests/data/authority.pem");
    let (config, _) = write(pem, 0o600).unwrap();
    let ChannelKind::Webhook(webhook) = &config.security.alerting.channels[0].kind else { panic!() };
    assert_eq!(webhook.http.ca_file.as_ref().unwrap().certificates.len(), 1);
    assert!(write(pem, 0o666).unwrap_err().contains("is refused"));
}

proptest! {
    #[test]
    fn no_value_makes_the_reader_panic(
        kind in "(webhook|telegram|slack|email|alertmanager|syslog|file)",
        key in "(url|headers|secret|template|bot_token|chat_id|server|port|tls|from|to|address|transport|facility|path|keep)",
        value in "([0-9a-z.:/@{}$\\[\\]~-]| ){0,20}",
    ) {
        let _ = config(&format!("{kind}: {{{key}: {value}}}"), Path::new("/"));
    }
}
