use openclaw_detect::{RuleSet, Source};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What is masked, and how it is shown.
const SECRETS: &[(&str, &str)] = &[
    // Flags and variables, by name.
    ("x --password=hunter2 --host db", "x --password=*** --host db"),
    ("x --password hunter2 --host db", "x --password *** --host db"),
    ("x --db-password 'hunter 2' -v", "x --db-password '***' -v"),
    ("x --api-key=\"a b\" -v", "x --api-key=\"***\" -v"),
    ("java -Dspring.datasource.password=x -jar a.jar", "java -Dspring.datasource.password=*** -jar a.jar"),
    ("keytool -storepass changeit -list", "keytool -storepass *** -list"),
    ("PGPASSWORD=hunter2 psql -h db", "PGPASSWORD=*** psql -h db"),
    ("env AWS_SECRET_ACCESS_KEY=/bcd+ef aws s3 ls", "env AWS_SECRET_ACCESS_KEY=*** aws s3 ls"),
    ("export MYSQL_PWD=x; mysql", "export MYSQL_PWD=*** mysql"),
    ("password = hunter2", "password = ***"),
    ("kubectl --token=abc get pods", "kubectl --token=*** get pods"),
    (
        "npm config set //registry.example.com/:_authToken=abc",
        "npm config set //registry.example.com/:_authToken=***",
    ),
    (
        "mount -t cifs -o username=u,password=p,vers=3 //h/s /m",
        "mount -t cifs -o username=u,password=***,vers=3 //h/s /m",
    ),
    ("Server=db;Uid=u;Pwd=hunter2;Database=x", "Server=db;Uid=u;Pwd=***;Database=x"),
    ("AccountName=n;AccountKey=abc==;EndpointSuffix=s", "AccountName=n;AccountKey=***;EndpointSuffix=s"),
    // Addresses.
    ("https://user:hunter2@host/", "https://user:***@host/"),
    ("git clone https://user:p@ss@host/x.git", "git clone https://user:***@host/x.git"),
    ("postgres://u:pa/ss@h:5432/db?sslmode=on", "postgres://u:***@h:5432/db?sslmode=on"),
    ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
    ("mongodb://u:p@h1:27017,h2:27017/db", "mongodb://u:***@h1:27017,h2:27017/db"),
    ("https://h/?u=http://a:b@c/", "https://h/?u=http://a:***@c/"),
    ("git clone https://0123456789abcdefABCD@host/x", "git clone https://***@host/x"),
    ("http_proxy=bob:hunter2@proxy.example.com:3128", "http_proxy=bob:***@proxy.example.com:3128"),
    ("psexec.py corp/admin:hunter2@10.0.0.5", "psexec.py corp/admin:***@10.0.0.5"),
    ("GET /x?token=abc&x=1 HTTP/1.1", "GET /x?token=***&x=1 HTTP/1.1"),
    ("https://h/?x=1&key=abc#top", "https://h/?x=1&key=***#top"),
    ("https://h/?X-Amz-Signature=0af&x=1", "https://h/?X-Amz-Signature=***&x=1"),
    ("https://h/cb#access_token=abc&state=1", "https://h/cb#access_token=***"),
    ("curl -d 'user=bob&password=hunter2&x=1' h", "curl -d 'user=bob&password=***&x=1' h"),
    ("user[password]=hunter2", "user[password]=***"),
    // Headers.
    ("curl -H 'Authorization: Bearer abc def' h", "curl -H 'Authorization: Bearer ***' h"),
    ("curl -H Authorization: Bearer abc https://h/", "curl -H Authorization: Bearer *** https://h/"),
    ("Authorization: hunter2", "Authorization: ***"),
    ("Authorization: Basic dTpw\nHost: h", "Authorization: Basic ***\nHost: h"),
    ("sent Bearer abcdefghij0123456789 to h", "sent Bearer *** to h"),
    ("sent Basic dXNlcjpodW50ZXIy to h", "sent Basic *** to h"),
    ("Cookie: a=b; c=d", "Cookie: ***"),
    ("curl -H Cookie: a=b; c=d https://h/", "curl -H Cookie: *** https://h/"),
    ("curl -H \"X-Api-Key: abc\" h", "curl -H \"X-Api-Key: ***\" h"),
    ("curl -H PRIVATE-TOKEN: abc h", "curl -H PRIVATE-TOKEN: *** h"),
    // JSON and YAML.
    (r#"{"user":"bob","password":"hun\"ter2","x":1}"#, r#"{"user":"bob","password":"***","x":1}"#),
    (r#"curl -d "{\"password\": \"hunter2\"}" h"#, r#"curl -d "{\"password\": \"***\"}" h"#),
    (r#"{"pin": 1, "otp": 123456}"#, r#"{"pin": 1, "otp": ***}"#),
    ("{'client_secret': 'abc'}", "{'client_secret': '***'}"),
    ("password: hunter2", "password: ***"),
    // By their place.
    ("mysql -u root -phunter2 db", "mysql -u root -p*** db"),
    ("/usr/bin/mysqldump -phunter2 --all-databases", "/usr/bin/mysqldump -p*** --all-databases"),
    ("docker exec -it db mysql -phunter2", "docker exec -it db mysql -p***"),
    ("sh -c mysql -phunter2", "sh -c mysql -p***"),
    ("sh -c \"mysql -phunter2 db\"", "sh -c \"mysql -p*** db\""),
    ("sshpass -p hunter2 ssh -p 2222 root@h", "sshpass -p *** ssh -p 2222 root@h"),
    ("sshpass -phunter2 ssh root@h", "sshpass -p*** ssh root@h"),
    ("redis-cli -h h -a hunter2 ping", "redis-cli -h h -a *** ping"),
    ("curl -u admin:hunter2 https://h/", "curl -u admin:*** https://h/"),
    ("curl -sku admin:hunter2 https://h/", "curl -sku admin:*** https://h/"),
    ("curl -uadmin:hunter2 h", "curl -uadmin:*** h"),
    ("curl --user=admin:hunter2 h", "curl --user=admin:*** h"),
    ("curl -b 'session=abc' h", "curl -b '***' h"),
    (
        "openssl pkcs12 -in a.p12 -passin pass:hunter2 -nodes",
        "openssl pkcs12 -in a.p12 -passin pass:*** -nodes",
    ),
    ("openssl enc -pass pass:hunter2 -aes256", "openssl enc -pass pass:*** -aes256"),
    ("smbclient //h/s -U bob%hunter2", "smbclient //h/s -U bob%***"),
    ("lftp -u bob,hunter2 h", "lftp -u bob,*** h"),
    ("ldapsearch -x -D cn=a -w hunter2 -s sub", "ldapsearch -x -D cn=a -w *** -s sub"),
    (
        "docker login -u bob -p hunter2 registry.example.com",
        "docker login -u bob -p *** registry.example.com",
    ),
    ("vault login hvs.abc", "vault login ***"),
    ("useradd -m -p $6$salt$hash bob", "useradd -m -p *** bob"),
    ("7z a -phunter2 a.7z x", "7z a -p*** a.7z x"),
    ("xfreerdp /u:bob /p:hunter2 /v:h", "xfreerdp /u:bob /p:*** /v:h"),
    ("aws configure set aws_secret_access_key abc", "aws configure set aws_secret_access_key ***"),
    ("sh -c echo root:hunter2 | chpasswd", "sh -c echo root:*** | chpasswd"),
    ("echo hunter2 | sudo -S id", "echo *** | sudo -S id"),
    (
        "echo hunter2 | docker login -u bob --password-stdin",
        "echo *** | docker login -u bob --password-stdin",
    ),
    // Private keys.
    (
        "x -----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY----- y",
        "x -----BEGIN OPENSSH PRIVATE KEY-----***-----END OPENSSH PRIVATE KEY----- y",
    ),
    ("-----BEGIN PRIVATE KEY-----\nabc", "-----BEGIN PRIVATE KEY-----***"),
    // Webhooks.
    ("https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/services/***"),
    ("https://discord.com/api/webhooks/12/abc-d", "https://discord.com/api/webhooks/12/***"),
    // Beside one another.
    ("x --token a --token=b TOKEN=c", "x --token *** --token=*** TOKEN=***"),
];

/// What is no secret, though something about it looks so.
const HARMLESS: &[&str] = &[
    "",
    "nc -l 127.0.0.1 4444",
    "cat /etc/ssh/keys /etc/passwd /etc/shadow /root/.ssh/authorized_keys",
    "x --key-file=/etc/x.key --key /etc/x.pem --password-file /run/secrets/x --token-path=/x",
    "curl --key client.key --cert client.pem https://h/",
    "kubectl --client-key=/etc/x --private-key=/etc/y --private-key ./z",
    "GOOGLE_APPLICATION_CREDENTIALS=/etc/x.json mount -o credentials=/root/.smb",
    "ssh -p 8080 -i /root/.ssh/id_rsa root@h mysql -u root -p",
    "nc -p 8080 h",
    "docker run -p 8080:80 --name mysql -p 3306:3306 -v /x/password:/run/secrets/password:ro mysql",
    "docker run --user 1000:1000 nginx",
    "x --tokens 5 --max-tokens=5 --token-ttl 1h",
    "systemctl --no-ask-password restart x",
    "find / -name mysql -print -perm 600",
    "tar -C /var/lib/mysql -pxzf a.tgz",
    "git checkout da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "docker inspect e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "docker pull ghcr.io/org/name:1.2@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "docker pull library/nginx:1.2@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "curl http://localhost:8080/@vite/client https://[::1]:80/a@b https://h/x:y@z",
    "git clone ssh://git@github.com/x/y git@github.com:x/y.git https://bob@host/x",
    "mysql -u root -p --host h",
    "mysql --password= -h h",
    "mysql --password --host h",
    "openssl rsa -passin file:/x -passout env:PASS -check -text",
    "curl -b cookies.txt -c jar h",
    "curl -u bob h",
    "ssh -o PasswordAuthentication=no -o PubkeyAuthentication=yes h",
    "PWD=/root OLDPWD=/tmp SSH_AUTH_SOCK=/tmp/x XAUTHORITY=/root/.Xauthority sh",
    "echo 'alice ALL=(ALL) NOPASSWD: ALL' SSH_ASKPASS=/tmp/answer",
    "read -p \"Password: \" x",
    "sed -i s/key=value/key=other/ --sort-key=2 sort --key=2,2",
    "Failed password for root from 192.0.2.1 port 22 ssh2",
    "Basic authentication failed, the bearer authentication too",
    "arn:aws:secretsmanager:eu:1:secret:name",
    "steals_token: cat (pid 4, user 0) read /x",
    "sk-learn disk-usage-of-a-machine task-1234567890",
    "npm_config_registry npm_package_version npm_lifecycle_event_with_a_long_name_in_it",
    "pip install pypi-simple-index-server",
    "1700000000:da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "EUROASIA AKIA ASIA",
    "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
    "snmpwalk -v2c h",
    "tokio::token::new() Token: passes",
    "https://example.com/page?q=1&page=2#key",
    "ls --color=auto | grep -c x",
];

#[test]
fn secrets_are_masked_and_what_they_were_can_still_be_seen() {
    let wrong: Vec<_> = SECRETS.iter().filter(|(from, to)| text(from) != *to).collect();
    for (from, to) in &wrong {
        eprintln!("{from}\n  is    {}\n  ought {to}", text(from));
    }
    assert!(wrong.is_empty(), "{} of {}", wrong.len(), SECRETS.len());
}

#[test]
fn what_is_no_secret_stays_and_is_not_copied() {
    let wrong: Vec<_> = HARMLESS.iter().filter(|text| matches!(super::text(text), Cow::Owned(_))).collect();
    for from in &wrong {
        eprintln!("{from}\n  is {}", text(from));
    }
    assert!(wrong.is_empty(), "{} of {}", wrong.len(), HARMLESS.len());
}

#[test]
fn what_is_masked_stays_as_it_is() {
    for (_, masked) in SECRETS {
        assert_eq!(text(masked), *masked);
    }
}

#[test]
fn what_rules_that_ship_say_is_no_secret() {
    let rules = RuleSet::load(&Source::shipped()).unwrap();
    for rule in rules.iter() {
        for said in [format!("{}: cat (pid 4, user 0)", rule.name), format!("x — rule {}", rule.name)] {
            assert_eq!(text(&said), said);
        }
    }
}

#[test]
fn arguments_are_masked_as_wholes_and_their_command_line_with_them() {
    let args =
        ["sh", "x", "--password=my own secret", "--token", "another one", "-v", "NAME=a b", "API_TOKEN=a b"];
    let line = args.join(" ");
    let mut finding = json!({
        "message": format!("sh (pid 1) ran: {line} — rule x"),
        "event": {"process": {"args": args, "command_line": line, "args_count": 8, "hash": {"sha256": "e3b0c4"}}},
    });
    json(&mut finding);
    let masked = ["sh", "x", "--password=***", "--token", "***", "-v", "NAME=a b", "API_TOKEN=***"];
    assert_eq!(finding["event"]["process"]["args"], json!(masked));
    assert_eq!(finding["event"]["process"]["command_line"], masked.join(" "));
    assert_eq!(finding["message"], format!("sh (pid 1) ran: {} — rule x", masked.join(" ")));
    assert_eq!(finding["event"]["process"]["hash"]["sha256"], "e3b0c4");
}

#[test]
fn what_a_message_cuts_or_escapes_is_masked_before() {
    for (secret, args) in [
        ("all mine", json!(["deploy", "--password=it is all mine", "x".repeat(300)])),
        ("all mine", json!(["deploy", "--password=it is\nall mine"])),
        // The cut takes away by what it is known.
        ("hunter", json!(["git", "clone", format!("https://bob:{}@example.com/", "hunter".repeat(50))])),
        ("A3T", json!(["x".repeat(184), format!("AKIA{}", "IOSFODA3TABCDEFG")])),
    ] {
        let words: Vec<&str> = args.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let line = words.join(" ");
        let said = format!("deploy (pid 7) ran: {}", one_line(&line));
        assert!(said.contains(secret), "{said}");
        let event = json!({"process": {"args": args, "command_line": line}});
        let masked = message(&said, &event).into_owned();
        assert!(masked.contains("***") && !masked.contains(secret), "{masked}");
        let mut whole = json!({"message": said, "event": event});
        json(&mut whole);
        assert_eq!(whole["message"], masked);
    }
    assert!(matches!(
        message("nc ran: nc -l", &json!({"process": {"command_line": "nc -l"}})),
        Cow::Borrowed(_)
    ));
}

#[test]
fn a_script_in_an_argument_is_a_command_of_its_own() {
    let mut value = json!({"args": ["bash", "-lc", "PGPASSWORD='a b' psql -h h; mysql -px"]});
    json(&mut value);
    assert_eq!(value, json!({"args": ["bash", "-lc", "PGPASSWORD='***' psql -h h; mysql -p***"]}));
}

#[test]
fn keys_that_name_secrets_have_their_texts_masked() {
    let mut value = json!({
        "botToken": "x", "password": "", "tokens": 5, "token": 5, "sha256": "x", "key": "x",
        "headers": {"Authorization": "Bearer x", "Accept": "y"}, "secret": ["a", "b", null, {"c": "d"}],
        "env_vars": ["API_KEY=a b", "LD_PRELOAD=/x", "HTTPS_PROXY=http://u:p@h:1"],
        "credentials": "/etc/x",
    });
    json(&mut value);
    assert_eq!(
        value,
        json!({
            "botToken": "***", "password": "", "tokens": 5, "token": 5, "sha256": "x", "key": "x",
            "headers": {"Authorization": "***", "Accept": "y"}, "secret": ["***", "***", null, {"c": "d"}],
            "env_vars": ["API_KEY=***", "LD_PRELOAD=/x", "HTTPS_PROXY=http://u:***@h:1"],
            "credentials": "/etc/x",
        })
    );
}

/// Forms with `{}` in a secret's place, and what it is made of.
fn forms() -> impl Strategy<Value = String> {
    let token = |form: &'static str, chars: &'static str| {
        chars.prop_map(move |secret: String| form.replace("{}", &format!("\u{1}{secret}\u{1}"))).boxed()
    };
    const WORD: &str = "[A-Za-z0-9]{40}";
    // All but what a shell would not leave in it, and stars, of which a mask is made.
    const WIDE: &str = "[!-~&&[^\"'\\\\*]]{12,20}";
    const ANY: &str = "[!-~&&[^\"'\\\\&#;,|*@/]]{12,20}";
    prop::sample::select(vec![
        token("aws configure AKIA{}", "[A-Z0-9]{16}"),
        token("ASIA{}", "[A-Z0-9]{16}"),
        token("ghp_{}", WORD),
        token("x=gho_{}", WORD),
        token("https://x/ghs_{}", WORD),
        token("github_pat_{}", "[A-Za-z0-9_]{82}"),
        token("glpat-{}", "[A-Za-z0-9_-]{20}"),
        token("xoxb-{}", "[0-9]{12}-[0-9]{12}-[A-Za-z0-9]{24}"),
        token("https://hooks.slack.com/services/{}", "T[A-Z0-9]{9}/B[A-Z0-9]{9}/[A-Za-z0-9]{24}"),
        token("12345678:{}", "AA[A-Za-z0-9_-]{33}"),
        token("https://api.telegram.org/bot12345678:{}/sendMessage", "AA[A-Za-z0-9_-]{33}"),
        token("sk_live_{}", "[A-Za-z0-9]{24}"),
        token("AIza{}", "[A-Za-z0-9_-]{35}"),
        token("npm_{}", "[A-Za-z0-9]{36}"),
        token("pypi-{}", "AgEI[A-Za-z0-9_-]{100}"),
        token("eyJ{}", "[A-Za-z0-9_-]{20}\\.eyJ[A-Za-z0-9_-]{20}\\.[A-Za-z0-9_-]{20}"),
        token("-----BEGIN RSA PRIVATE KEY-----{}-----END RSA PRIVATE KEY-----", "\n[A-Za-z0-9+/=]{64}\n"),
        token("--password={}", WIDE),
        token("--password {} x", WIDE),
        token("DB_PASSWORD={}", WIDE),
        token("https://u:{}@h/", ANY),
        token("https://h/?token={}&x=1", "[A-Za-z0-9%._~-]{12,20}"),
        token("Authorization: Bearer {}", WIDE),
        token("-H Authorization: Basic {} x", "[A-Za-z0-9+/]{20}"),
        token("PGPASSWORD={} psql", WIDE),
        token("mysql -u root -p{} x", WIDE),
        token("curl -u admin:{} h", WIDE),
        token("sshpass -p {} ssh h", ANY),
        token("redis-cli -a {} x", WIDE),
        token("openssl enc -passin pass:{} x", WIDE),
        token("Cookie: a={}", WIDE),
        token("aws_secret_access_key = {}", "[A-Za-z0-9/+]{40}"),
    ])
    .prop_flat_map(|form| form)
}

/// A text around secrets: words as they stand in command lines.
fn around() -> impl Strategy<Value = String> {
    "( |x |-v |--host h |\"a b\" |é |= |: |\\* ){0,4}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_secret_in_a_known_form_never_survives(before in around(), form in forms(), after in around()) {
        let secret = form.split('\u{1}').nth(1).unwrap();
        let text = format!("{before}{} {after}", form.replace('\u{1}', ""));
        // No part of it, but for what it may share with its surroundings.
        let masked = super::text(&text);
        for part in 0..=secret.len().saturating_sub(6) {
            prop_assert!(!masked.contains(&secret[part..part + 6]), "{text}\n{masked}");
        }
        prop_assert!(masked.contains(MASK));
    }

    #[test]
    fn masking_twice_is_masking_once(text in prop_oneof!["\\PC{0,60}", any::<String>(), pieces()]) {
        let once = super::text(&text).into_owned();
        prop_assert_eq!(super::text(&once), once.as_str(), "{}", text);
    }

    #[test]
    fn json_keeps_its_shape_and_is_masked_once(value in values()) {
        let mut once = value.clone();
        json(&mut once);
        prop_assert!(same_shape(&value, &once), "{value}\n{once}");
        let mut twice = once.clone();
        json(&mut twice);
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn an_argument_that_is_a_secret_never_survives(secret in "[A-Za-z0-9 '\"=;&@]{12,20}", at in 0_usize..4) {
        let secret = format!("k{secret}");
        let args = match at {
            0 => vec!["x".to_owned(), "--password".to_owned(), secret.clone(), "y".to_owned()],
            1 => vec!["x".to_owned(), format!("--token={secret}")],
            2 => vec!["env".to_owned(), format!("API_KEY={secret}"), "y".to_owned()],
            _ => vec!["mysql".to_owned(), format!("-p{secret}")],
        };
        let line = args.join(" ");
        let mut value = json!({"message": format!("ran: {line}"), "process": {"args": args, "command_line": line}});
        json(&mut value);
        prop_assert!(!value.to_string().contains(&secret[1..8]), "{value}");
    }
}

/// Texts of what the forms are made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "password",
        "token",
        "=",
        ":",
        " ",
        "\"",
        "'",
        "\\",
        "***",
        "*",
        "x",
        "-p",
        "--",
        "mysql ",
        "curl -u ",
        "://",
        "@",
        "/",
        "?",
        "&",
        ";",
        ",",
        "Authorization: ",
        "Cookie: ",
        "Bearer ",
        "Basic ",
        "\n",
        "é",
        "eyJ",
        "AKIA",
        "-----BEGIN PRIVATE KEY-----",
        "-----END",
        "key",
        "_",
        "|",
        "echo ",
        "| chpasswd",
        "pass:",
        "openssl -passin ",
    ]);
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        pieces().prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "args",
        "command_line",
        "env_vars",
        "password",
        "x",
        "token",
        "event",
        "key",
    ]);
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn same_shape(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(_), Value::String(_)) => true,
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same_shape(a, b))
        }
        (a, b) => a == b,
    }
}
