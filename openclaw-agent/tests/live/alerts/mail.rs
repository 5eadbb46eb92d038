//! A real mail server, which demands STARTTLS and a login: aiosmtpd, as Debian packages it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Server, TITLE, agent, certify, fire, free};
use crate::support::skip::{needs, skip};
use crate::support::{live_once, wait_for};

/// Debian's own, for which the package is.
const PYTHON: &str = "/usr/bin/python3";

/// The server: it writes what it was told as a line of JSON. The first mail it takes later (451), as those do that want to
/// see a sender again; one to `nobody` never (550).
const SERVER: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
host, port, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(folder + '/server.pem', folder + '/server.key')

class Handler:
    seen = set()
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('nobody@'):
            return '550 5.1.1 no such user here'
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 OK'
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        first = mail['Message-ID'] not in self.seen
        self.seen.add(mail['Message-ID'])
        with open(folder + '/mails', 'a') as out:
            out.write(json.dumps({
                'tls': session.ssl is not None, 'authenticated': session.authenticated, 'to': envelope.rcpt_tos,
                'from': envelope.mail_from, 'headers': {k: str(v) for k, v in mail.items()}, 'taken': not first,
                'text': mail.get_body(('plain',)).get_content(), 'html': mail.get_body(('html',)).get_content(),
            }) + '\n')
        return '451 4.7.1 come again' if first else '250 2.0.0 taken as 4711'

def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b'openclaw', b's3cr3t-passw0rd'), handled=False)

async def main():
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(Handler(), tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate)
    await (await loop.create_server(make, host, port)).serve_forever()
asyncio.run(main())
"#;

fn server(folder: &Path, at: SocketAddr) -> Server {
    let script = folder.join("server.py");
    std::fs::write(&script, SERVER).unwrap();
    let mut command = Command::new(PYTHON);
    command.arg(script).arg(at.ip().to_string()).arg(at.port().to_string()).arg(folder);
    Server::start(&mut command, &[at])
}

fn has_aiosmtpd() -> bool {
    let output = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).output();
    output.is_ok_and(|output| output.status.success())
}

fn mails(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("mails")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_mail_is_handed_in_over_tls_with_a_login_again_where_asked_for_and_not_to_a_stranger() {
    live_once!();
    let _openssl = needs!("openssl");
    if !has_aiosmtpd() {
        skip!("python3-aiosmtpd is not installed");
    }
    let (folder, at) = (tempfile::tempdir().unwrap(), free());
    certify(folder.path());
    let _server = server(folder.path(), at);
    let channel = |name: &str, to: &str, more: &str| {
        format!(
            "{name}: {{type: email, server: localhost, port: {}, username: openclaw, from: OpenClaw \
             <openclaw@example.com>, to: {to}{more}}}",
            at.port()
        )
    };
    let ca = format!(", ca_file: {}", folder.path().join("ca.pem").display());
    let right = format!(", password: s3cr3t-passw0rd{ca}");
    let agent = agent(&[
        &channel("email", "[soc@example.com, On Call <oncall@example.com>]", &right),
        &channel("nobody", "nobody@example.com", &right),
        &channel("stranger", "soc@example.com", ", password: s3cr3t-passw0rd"),
        &channel("intruder", "soc@example.com", &format!(", password: wr0ng-passw0rd{ca}")),
    ]);
    let finding = fire(&agent);
    wait_for("the mail is taken at the second time", || {
        mails(folder.path()).iter().any(|mail| mail["taken"] == true)
    });
    let mails = mails(folder.path());
    assert_eq!(mails.len(), 2, "{mails:#?}");
    let mail = &mails[1];
    assert_eq!((&mail["tls"], &mail["authenticated"]), (&json!(true), &json!(true)));
    assert_eq!(mail["to"], json!(["soc@example.com", "oncall@example.com"]));
    let headers = &mail["headers"];
    let id = finding["id"].as_str().unwrap();
    assert_eq!(headers["Message-ID"], format!("<{id}.openclaw@example.com>"));
    assert_eq!(mails[0]["headers"]["Message-ID"], headers["Message-ID"]);
    assert_eq!(headers["Subject"], format!("🚨 CRITICAL: {TITLE}"));
    assert_eq!(headers["Auto-Submitted"], "auto-generated");
    let text = mail["text"].as_str().unwrap();
    assert!(
        text.contains(&format!("openclaw findings show {id}")) && text.contains("• rule: test_alert"),
        "{text}"
    );
    let html = mail["html"].as_str().unwrap();
    assert!(html.contains("<code>test_alert</code>") && html.contains("a-&lt;&amp;&gt;_*"), "{html}");

    // Each says why, and none what its password is.
    agent.wait_for_log("550");
    agent.wait_for_log("invalid peer certificate");
    agent.wait_for_log("535");
    assert!(!agent.log().contains("passw0rd"));
}
