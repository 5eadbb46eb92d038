//! A mail by SMTP (RFC 5321), as text and as HTML.

use std::time::Duration;

use jiff::tz::TimeZone;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{Attempt, cause, quote};
use crate::alert::Alert;
use crate::alert::text::{Markup, Plain, Text};
use crate::config;
use crate::config::EmailTls;

pub(crate) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    timeout: Duration,
    zone: TimeZone,
}

impl Email {
    pub(super) fn new(config: &config::Email, zone: TimeZone) -> Result<Email, String> {
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.server)
            .port(config.port)
            .timeout(Some(config.timeout))
            .tls(match config.tls {
                EmailTls::Starttls => Tls::Required(tls(config)?),
                EmailTls::Tls => Tls::Wrapper(tls(config)?),
                EmailTls::None => Tls::None,
            });
        if let (Some(username), Some(password)) = (&config.username, &config.password) {
            builder = builder.credentials(Credentials::new(username.clone(), password.expose().to_owned()));
        }
        if let Some(name) = own_name() {
            builder = builder.hello_name(ClientId::Domain(name));
        }
        let (from, to, timeout) = (config.from.clone(), config.to.clone(), config.timeout);
        Ok(Email { transport: builder.build(), from, to, timeout, zone })
    }

    pub(super) async fn send(&self, alert: &Alert) -> Attempt {
        let mail = match mail(alert, &self.from, &self.to, &self.zone) {
            Ok(mail) => mail,
            Err(error) => {
                return Attempt::Never { reason: format!("the alert cannot be written as mail: {error}") };
            }
        };
        match tokio::time::timeout(self.timeout, self.transport.send(mail)).await {
            Ok(Ok(reply)) => {
                let text = reply.message().collect::<Vec<_>>().join(" ");
                Attempt::Delivered { said: quote(&format!("{} {text}", reply.code())) }
            }
            Ok(Err(error)) => failed(&error),
            Err(_) => Attempt::Later { reason: "the server did not answer in time".to_owned(), after: None },
        }
    }
}

/// RFC 5321 4.2.1: 4xx may be tried again, 5xx not. Whatever else keeps a mail back may be mended.
fn failed(error: &smtp::Error) -> Attempt {
    let reason = match error.status() {
        Some(code) => format!("the server answered {code}: {}", cause(error)),
        None => format!("cannot hand the mail in: {}", cause(error)),
    };
    match error.is_permanent() {
        true => Attempt::Never { reason },
        false => Attempt::Later { reason, after: None },
    }
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
