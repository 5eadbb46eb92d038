//! An incoming webhook of Slack's (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Attempt, Endpoint};
use crate::alert::Alert;
use crate::alert::text::{Markup, Text, cut, utf16};
use crate::config;

/// A message a second (<https://docs.slack.dev/apis/web-api/rate-limits>).
pub(super) const PACE: Duration = Duration::from_secs(1);

/// The longest texts of a header and of a section (<https://docs.slack.dev/reference/block-kit/blocks>).
const LONGEST_HEADER: usize = 150;
const LONGEST_SECTION: usize = 3000;

/// A channel of Slack's.
#[derive(Debug)]
pub(crate) struct Slack {
    endpoint: Endpoint,
    zone: TimeZone,
}

impl Slack {
    pub(super) fn new(config: &config::Slack, zone: TimeZone) -> Result<Slack, String> {
        Ok(Slack { endpoint: Endpoint::new(config.http.clone())?.with_words(&["services"]), zone })
    }

    pub(super) async fn send(&self, alert: &Alert) -> Attempt {
        let body = message(alert, &self.zone).to_string().into_bytes();
        match self.endpoint.exchange(self.endpoint.request("application/json", body)).await {
            Ok(answer) => {
                // A word such as `invalid_blocks`.
                let detail = self.endpoint.quote(&String::from_utf8_lossy(answer.body()));
                answer.attempt(Some(detail), None)
            }
            Err(attempt) => attempt,
        }
    }
}

/// The message: blocks, and the text that notifications show.
fn message(alert: &Alert, zone: &TimeZone) -> Value {
    let text = Text::of(alert, zone);
    // In plain texts nothing is marked up, whatever the characters.
    let plain = |text: String| json!({"type": "plain_text", "text": text, "emoji": false});
    let header = shortened(&text.head, LONGEST_HEADER);
    let mut blocks = vec![json!({"type": "header", "text": plain(header)})];
    if !text.message.is_empty() {
        let message = shortened(&text.message, LONGEST_SECTION);
        blocks.push(json!({"type": "section", "text": plain(message)}));
    }
    let measure = |text: &Text| utf16(&text.body(&Mrkdwn));
    let body = text.clone().fit(LONGEST_SECTION, measure).body(&Mrkdwn);
    if !body.is_empty() {
        let body = json!({"type": "mrkdwn", "text": body, "verbatim": true});
        blocks.push(json!({"type": "section", "text": body}));
    }
    blocks.push(json!({"type": "context", "elements": [plain(escape(&text.time))]}));
    json!({
        "text": escape(&format!("{}: {}", text.head, text.message)),
        "blocks": blocks,
        // What an attacker wrote is not to be fetched.
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// <https://docs.slack.dev/messaging/formatting-message-text>: three characters are controls, in every text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text of which what is sent is no longer than that.
fn shortened(text: &str, limit: usize) -> String {
    let mut characters = limit;
    loop {
        let shown = escape(&cut(text, characters));
        let Some(over) = utf16(&shown).checked_sub(limit + 1) else { return shown };
        // No character is sent as more than five.
        characters -= over / 5 + 1;
    }
}

struct Mrkdwn;

impl Markup for Mrkdwn {
    /// What else marks text up has no escape: an attacker can make a word bold, and nothing more.
    fn text(&self, text: &str) -> String {
        without_fence(text)
    }

    fn strong(&self, text: &str) -> String {
        format!("*{}*", without_fence(text))
    }

    fn code(&self, text: &str) -> String {
        format!("`{}`", without_fence(text))
    }

    fn block(&self, lines: &[String]) -> String {
        format!("```\n{}\n```", without_fence(&lines.join("\n")))
    }
}

/// What begins and ends code has no escape: another character, which looks the same, stands in its place.
fn without_fence(text: &str) -> String {
    escape(text).replace('`', "ˋ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::channel::tests::{alert, alert_of};

    #[test]
    fn a_message_has_a_header_what_happened_the_details_and_the_time() {
        let body = message(&alert(), &TimeZone::UTC);
        let texts: Vec<_> =
            body["blocks"].as_array().unwrap().iter().map(|block| &block["text"]["text"]).collect();
        assert_eq!(texts[0], "🚨 CRITICAL: Intrusion Detected");
        assert_eq!(texts[1], "Brute force attack detected from IP 192.168.1.100");
        assert!(
            texts[2].as_str().unwrap().starts_with("*Details:*\n• pattern: `brute_force`\n• ip:"),
            "{body}"
        );
        assert_eq!(body["blocks"][3]["elements"][0]["text"], "2026-01-30 10:30:45 PM");
        assert!(body["text"].as_str().unwrap().starts_with("🚨 CRITICAL: Intrusion Detected: Brute"));
        assert_eq!((&body["unfurl_links"], &body["unfurl_media"]), (&json!(false), &json!(false)));
    }

    #[test]
    fn nobody_is_called_by_what_an_attacker_wrote() {
        let body = message(&alert_of("<!channel> <@U1> & <https://x|y> `a`"), &TimeZone::UTC).to_string();
        assert!(
            body.contains("&lt;!channel&gt; &lt;@U1&gt; &amp; &lt;https") && !body.contains("<!"),
            "{body}"
        );
        assert!(
            body.contains("• pattern: `&lt;!channel&gt; &lt;@U1&gt; &amp; &lt;https://x|y&gt; ˋaˋ`"),
            "{body}"
        );
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place_and_none_is_too_long(text in "(\\PC|[<>&`*\n]){0,60}", times in 1usize..100) {
            let body = message(&alert_of(&text.repeat(times)), &TimeZone::UTC);
            prop_assert!(!body.to_string().contains(['<', '>']));
            for block in body["blocks"].as_array().unwrap() {
                let limit = if block["type"] == "header" { LONGEST_HEADER } else { LONGEST_SECTION };
                if let Some(text) = block["text"]["text"].as_str() {
                    prop_assert!(!text.is_empty() && utf16(text) <= limit, "{}", text);
                    let spans = text.replace("```", "`").matches('`').count();
                    prop_assert!(block["text"]["type"] == "plain_text" || spans % 2 == 0, "{}", text);
                }
            }
        }
    }
}
