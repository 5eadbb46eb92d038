//! A POST of an alert, signed where a secret is configured.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use ring::hmac;

use super::{Attempt, Endpoint, ecs, json};
use crate::alert::Alert;
use crate::config::{self, WebhookFormat};

/// When a request was signed, in seconds since 1970: a receiver refuses what is too old, since it may be sent again by
/// somebody who saw it.
const TIMESTAMP: &str = "x-openclaw-timestamp";
/// `v1=` and, in hexadecimal, the HMAC-SHA256 of the timestamp, a full stop and the body (RFC 2104).
const SIGNATURE: &str = "x-openclaw-signature";

#[derive(Debug)]
pub(crate) struct Webhook {
    endpoint: Endpoint,
    key: Option<hmac::Key>,
    format: WebhookFormat,
    zone: TimeZone,
}

impl Webhook {
    pub(super) fn new(config: &config::Webhook, zone: TimeZone) -> Result<Webhook, String> {
        let key = config.secret.as_ref();
        let key = key.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()));
        let (endpoint, format) = (Endpoint::new(config.http.clone())?, config.format.clone());
        Ok(Webhook { endpoint, key, format, zone })
    }

    pub(super) async fn send(&self, alert: &Alert) -> Attempt {
        let (content_type, body) = match self.body(alert) {
            Ok(body) => body,
            Err(attempt) => return attempt,
        };
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = self.key.as_ref().map(|key| sign(key, seconds, &body));
        let mut request = self.endpoint.request(content_type, body);
        if let Some(signature) = signature {
            request = request.header(TIMESTAMP, seconds).header(SIGNATURE, signature);
        }
        match self.endpoint.exchange(request).await {
            // What an endpoint of anybody's says may be anything: its status is enough.
            Ok(answer) => answer.attempt(None, None),
            Err(attempt) => attempt,
        }
    }

    fn body(&self, alert: &Alert) -> Result<(&'static str, Vec<u8>), Attempt> {
        match &self.format {
            WebhookFormat::Native => Ok(("application/json", json(alert)?)),
            WebhookFormat::Ecs => Ok(("application/json", ecs::document(alert).to_string().into_bytes())),
            WebhookFormat::Template { template } => match template.render(alert, &self.zone) {
                Ok(body) => Ok((body.content_type, body.text.into_bytes())),
                Err(reason) => Err(Attempt::Never { reason: format!("the template fails: {reason}") }),
            },
        }
    }
}

/// The signature of a body that is sent at this second.
fn sign(key: &hmac::Key, seconds: u64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(key);
    context.update(seconds.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf '1769812245.{"id":"a1"}' | openssl dgst -sha256 -hmac 'a secret of 16 bytes or more'`.
    #[test]
    fn the_signature_is_that_of_openssl() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a secret of 16 bytes or more");
        assert_eq!(
            sign(&key, 1_769_812_245, br#"{"id":"a1"}"#),
            "v1=5b47ebd4177d31d4d79938c79c4c9fe276f1dcdcddfe838b5807ed3de6186301"
        );
    }
}
