//! A mail by SMTP (RFC 5321), as text and as HTML.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::tz::TimeZone;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;

use tokio::time::timeout;

use super::{Attempt, cause, quote};
use crate::alert::Alert;
use crate::alert::text::{Markup, Plain, Text};
use crate::config;
use crate::config::EmailTls;

/// How long a server may take to accept a mail that it has: it may look into it first, and to hand it in a second time
/// is worse than to wait (RFC 5321 4.5.3.2.6 asks for ten minutes, which alerts behind it do not have).
const ACCEPTING: Duration = Duration::from_secs(120);

pub(crate) struct Email {
    server: (String, u16),
    mode: EmailTls,
    tls: Option<TlsParameters>,
    hello: ClientId,
    credentials: Option<Credentials>,
    /// What no answer of the server may be quoted with.
    secrets: Vec<String>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
    zone: TimeZone,
}

impl Email {
    pub(super) fn new(config: &config::Email, zone: TimeZone) -> Result<Email, String> {
        let login = config.username.as_ref().zip(config.password.as_ref());
        let secrets = login.map(|(username, password)| {
            let password = password.expose();
            let encoded = |text: &str| BASE64.encode(text);
            vec![password.to_owned(), encoded(password), encoded(&format!("\0{username}\0{password}"))]
        });
        Ok(Email {
            server: (config.server.clone(), config.port),
            mode: config.tls,
            tls: if config.tls == EmailTls::None { None } else { Some(tls(config)?) },
            hello: own_name().map(ClientId::Domain).unwrap_or_default(),
            credentials: login
                .map(|(username, password)| Credentials::new(username.clone(), password.expose().to_owned())),
            secrets: secrets.unwrap_or_default(),
            from: config.from.clone(),
            to: config.to.clone(),
            timeout: config.timeout,
            zone,
        })
    }

    pub(super) async fn send(&self, alert: &Alert) -> Attempt {
        let mail = match mail(alert, &self.from, &self.to, &self.zone) {
            Ok(mail) => mail,
            Err(error) => {
                return Attempt::Never { reason: format!("the alert cannot be written as mail: {error}") };
            }
        };
        let in_vain =
            || Attempt::Later { reason: "the server did not answer in time".to_owned(), after: None };
        let mut connection = match timeout(self.timeout, self.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return self.failed(&error),
            Err(_) => return in_vain(),
        };
        let patience = self.timeout.max(ACCEPTING);
        let sent = timeout(patience, connection.send(mail.envelope(), &mail.formatted())).await;
        // What it says to that changes nothing.
        tokio::spawn(timeout(self.timeout, async move { connection.abort().await }));
        match sent {
            Ok(Ok(reply)) => Attempt::Delivered { said: self.quote(&whole(&reply)) },
            Ok(Err(error)) => self.failed(&error),
            Err(_) => in_vain(),
        }
    }

    /// A connection that is encrypted and logged in, as far as it is to be.
    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let from_the_start = self.tls.clone().filter(|_| self.mode == EmailTls::Tls);
        let (server, port) = &self.server;
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (server.as_str(), *port),
            Some(self.timeout),
            &self.hello,
            from_the_start,
            None,
        )
        .await?;
        if let (EmailTls::Starttls, Some(tls)) = (self.mode, &self.tls) {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// RFC 5321 4.2.1: 4xx may be tried again, 5xx not. Whatever else keeps a mail back may be mended.
    fn failed(&self, error: &smtp::Error) -> Attempt {
        let cause = self.quote(&cause(error));
        let reason = match error.status() {
            Some(code) => format!("the server answered {code}: {cause}"),
            None => format!("cannot hand the mail in: {cause}"),
        };
        match error.is_permanent() {
            true => Attempt::Never { reason },
            false => Attempt::Later { reason, after: None },
        }
    }

    /// What the server said, without what it was told in secret.
    fn quote(&self, said: &str) -> String {
        let hidden = self.secrets.iter().fold(said.to_owned(), |said, secret| said.replace(secret, "***"));
        quote(&hidden)
    }
}

fn whole(reply: &Response) -> String {
    format!("{} {}", reply.code(), reply.message().collect::<Vec<_>>().join(" "))
}

fn tls(config: &config::Email) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.server.clone());
    if let Some(authority) = &config.ca_file {
        builder = builder.certificate_store(CertificateStore::None);
        for certificate in &authority.certificates {
            let certificate = Certificate::from_der(certificate.to_vec()).map_err(|error| cause(&error))?;
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(|error| {
        format!("{}. Install the system's certificates (package ca-certificates)", cause(&error))
    })
}

/// By what name the agent greets: this host's, where it may be one on the network (RFC 5321 4.1.4).
fn own_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    (!name.is_empty() && name.chars().all(is_right)).then_some(name)
}

fn mail(
    alert: &Alert,
    from: &Mailbox,
    to: &[Mailbox],
    zone: &TimeZone,
) -> Result<Message, lettre::error::Error> {
    let text = Text::of(alert, zone);
    // What answers by itself, such as an absence note, is not to answer this (RFC 3834 5).
    let automatic =
        HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let builder = Message::builder()
        .from(from.clone())
        .subject(&text.head)
        .message_id(Some(message_id(alert, from)))
        .raw_header(automatic);
    let builder = to.iter().fold(builder, |builder, to| builder.to(to.clone()));
    builder.multipart(MultiPart::alternative_plain_html(text.render(&Plain), page(&text)))
}

/// The same for the same alert, so that readers and their programs know it again (RFC 5322 3.6.4).
fn message_id(alert: &Alert, from: &Mailbox) -> String {
    let is_right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id: String = alert.id.chars().map(|c| if is_right(c) { c } else { '_' }).collect();
    format!("<{id}.openclaw@{}>", from.email.domain())
}

fn page(text: &Text) -> String {
    let body = text.render(&Html).replace('\n', "<br>\n");
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head>\n<body style=\"font-family: sans-serif\">\n{body}\n\
         </body></html>\n"
    )
}

struct Html;

impl Markup for Html {
    fn text(&self, text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                c => escaped.push(c),
            }
        }
        escaped
    }

    fn strong(&self, text: &str) -> String {
        format!("<strong>{}</strong>", self.text(text))
    }

    fn code(&self, text: &str) -> String {
        format!("<code>{}</code>", self.text(text))
    }

    /// Spaces that stand for the depth, since not every reader keeps others.
    fn block(&self, lines: &[String]) -> String {
        let line = |line: &String| {
            let text = line.trim_start_matches(' ');
            format!("{}{}", "&nbsp;".repeat(line.len() - text.len()), self.text(text))
        };
        format!("<code>{}</code>", lines.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Email").field("to", &self.to).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::channel::tests::{alert, alert_of};

    fn write(alert: &Alert) -> String {
        let to = ["soc@example.com".parse().unwrap(), "On Call <oncall@example.com>".parse().unwrap()];
        let mail = mail(alert, &"OpenClaw <openclaw@example.com>".parse().unwrap(), &to, &TimeZone::UTC);
        String::from_utf8(mail.unwrap().formatted()).unwrap()
    }

    #[test]
    fn what_a_server_says_of_the_password_is_not_repeated() {
        let email = Email {
            server: ("127.0.0.1".to_owned(), 1),
            mode: EmailTls::None,
            tls: None,
            hello: ClientId::default(),
            credentials: None,
            secrets: vec!["hunter2".to_owned(), BASE64.encode("hunter2")],
            from: "a@example.com".parse().unwrap(),
            to: Vec::new(),
            timeout: Duration::from_secs(1),
            zone: TimeZone::UTC,
        };
        assert_eq!(email.quote("535 a/hunter2 aHVudGVyMg== is wrong"), "535 a/*** *** is wrong");
    }

    #[test]
    fn a_mail_is_known_by_the_id_of_its_alert_and_goes_to_all() {
        let mail = write(&alert());
        assert!(mail.contains("\r\nMessage-ID: <a1.openclaw@example.com>\r\n"), "{mail}");
        assert!(mail.contains("soc@example.com") && mail.contains("oncall@example.com"), "{mail}");
        assert!(mail.contains("Auto-Submitted: auto-generated\r\n") && mail.contains("\r\nDate: "), "{mail}");
        assert!(mail.contains("text/plain") && mail.contains("text/html"), "{mail}");
    }

    #[test]
    fn an_id_or_title_cannot_add_a_header() {
        let mut alert = alert_of("a\r\nBcc: eve@example.com");
        alert.id = "a>\r\nBcc: eve@example.com".to_owned();
        assert!(!write(&alert).to_lowercase().contains("\nbcc:"));
    }

    proptest! {
        #[test]
        fn no_text_becomes_a_tag(text in "(\\PC|[<>&\"'\n]){0,60}") {
            let tags = |page: String| {
                let tags = page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap().to_owned());
                tags.collect::<std::collections::BTreeSet<_>>()
            };
            let of = |alert: &Alert| page(&Text::of(alert, &TimeZone::UTC));
            let plain = tags(of(&alert_of("a")));
            prop_assert!(tags(of(&alert_of(&text))).is_subset(&plain));
        }
    }
}
