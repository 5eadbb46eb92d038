//! A message of a bot's (<https://core.telegram.org/bots/api#sendmessage>).

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{Attempt, Endpoint};
use crate::alert::Alert;
use crate::alert::text::{Markup, Plain, Text, utf16};
use crate::config;
use crate::config::Chat;

/// The longest message, without its markup.
const LONGEST: usize = 4096;

/// A bot, and the chat to which it writes.
#[derive(Debug)]
pub(crate) struct Telegram {
    endpoint: Endpoint,
    chat: Chat,
    zone: TimeZone,
}

impl Telegram {
    pub(super) fn new(config: &config::Telegram, zone: TimeZone) -> Result<Telegram, String> {
        let mut http = config.http.clone();
        // The token is the method's address, so nothing that shows an address may show a path.
        let base = http.url.path().trim_end_matches('/').to_owned();
        http.url.set_path(&format!("{base}/bot{}/sendMessage", config.bot_token.expose()));
        let endpoint = Endpoint::new(http)?.with_words(&["sendMessage"]);
        Ok(Telegram { endpoint, chat: config.chat_id.clone(), zone })
    }

    /// What <https://core.telegram.org/bots/faq#broadcasting-to-users> asks for: a message a second in a chat, and twenty a
    /// minute in a group.
    pub(super) fn pace(&self) -> Duration {
        Duration::from_secs(if self.chat.is_private() { 1 } else { 3 })
    }

    pub(super) async fn send(&self, alert: &Alert) -> Attempt {
        let body = message(alert, &self.chat, &self.zone).to_string().into_bytes();
        let answer = match self.endpoint.exchange(self.endpoint.request("application/json", body)).await {
            Ok(answer) => answer,
            Err(attempt) => return attempt,
        };
        // {"ok": false, "description": "…", "parameters": {"retry_after": 5}}
        let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let detail = said["description"].as_str().map(|text| self.endpoint.quote(text));
        let after = said["parameters"]["retry_after"].as_u64().map(Duration::from_secs);
        answer.attempt(detail, after)
    }
}

/// The parameters of `sendMessage`.
fn message(alert: &Alert, chat: &Chat, zone: &TimeZone) -> Value {
    let text = Text::of(alert, zone).fit(LONGEST, |text| utf16(&text.render(&Plain)));
    json!({
        "chat_id": chat,
        "text": text.render(&MarkdownV2),
        "parse_mode": "MarkdownV2",
        // What an attacker wrote is not to be fetched.
        "link_preview_options": {"is_disabled": true},
    })
}

/// <https://core.telegram.org/bots/api#markdownv2-style>
struct MarkdownV2;

/// What must have a backslash before it outside of code.
const RESERVED: &str = r"_*[]()~`>#+-=|{}.!\";
/// The same within code.
const RESERVED_IN_CODE: &str = r"`\";

fn escape(text: &str, reserved: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if reserved.contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl Markup for MarkdownV2 {
    fn text(&self, text: &str) -> String {
        escape(text, RESERVED)
    }

    fn strong(&self, text: &str) -> String {
        format!("*{}*", self.text(text))
    }

    fn code(&self, text: &str) -> String {
        format!("`{}`", escape(text, RESERVED_IN_CODE))
    }

    fn block(&self, lines: &[String]) -> String {
        format!("```\n{}\n```", escape(&lines.join("\n"), RESERVED_IN_CODE))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::channel::tests::{alert, alert_of};

    /// What Telegram makes of a message: the text alone. An error where it would refuse it.
    fn parse(markdown: &str) -> Result<String, String> {
        let (mut text, mut rest, mut bold) = (String::new(), markdown, false);
        while let Some(c) = rest.chars().next() {
            let fence = ["```\n", "`"].into_iter().find(|fence| rest.starts_with(fence));
            if let Some(fence) = fence {
                rest = &rest[fence.len()..];
                loop {
                    match rest.chars().next().ok_or("code that does not end")? {
                        '`' => break,
                        '\\' => rest = &rest[1..],
                        _ => {}
                    }
                    let c = rest.chars().next().ok_or("a backslash at the end")?;
                    text.push(c);
                    rest = &rest[c.len_utf8()..];
                }
                rest = rest.strip_prefix(fence.trim_end()).ok_or("code that ends otherwise")?;
                if fence.len() > 1 {
                    text.pop();
                }
                continue;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '\\' => {
                    let c = rest.chars().next().ok_or("a backslash at the end")?;
                    text.push(c);
                    rest = &rest[c.len_utf8()..];
                }
                '*' => bold = !bold,
                c if RESERVED.contains(c) => return Err(format!("{c} is reserved and must be escaped")),
                c => text.push(c),
            }
        }
        if bold { Err("bold that does not end".to_owned()) } else { Ok(text) }
    }

    #[test]
    fn every_reserved_character_is_escaped() {
        assert_eq!(
            MarkdownV2.text("a_b*[c](d)~`>#+-=|{}.!\\"),
            r"a\_b\*\[c\]\(d\)\~\`\>\#\+\-\=\|\{\}\.\!\\"
        );
        assert_eq!(MarkdownV2.code("a`b\\c.d"), r"`a\`b\\c.d`");
    }

    #[test]
    fn a_message_says_what_the_plain_one_says() {
        let body = message(&alert(), &Chat::Number(-100), &TimeZone::UTC);
        let markdown = body["text"].as_str().unwrap();
        assert!(markdown.starts_with("*🚨 CRITICAL: Intrusion Detected*\n\nBrute force"), "{markdown}");
        assert!(markdown.contains("• ip: `192.168.1.100`"), "{markdown}");
        assert_eq!(parse(markdown).unwrap(), Text::of(&alert(), &TimeZone::UTC).render(&Plain));
        assert_eq!((&body["chat_id"], &body["parse_mode"]), (&json!(-100), &json!("MarkdownV2")));
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place_and_no_message_is_too_long(text in "(\\PC|[_*`\\\\.!\n]){0,60}", times in 1usize..400) {
            let alert = alert_of(&text.repeat(times));
            let body = message(&alert, &Chat::Name("@a".to_owned()), &TimeZone::UTC);
            let read = parse(body["text"].as_str().unwrap()).map_err(TestCaseError::fail)?;
            prop_assert!(utf16(&read) <= LONGEST);
            let shown = Text::of(&alert, &TimeZone::UTC).fit(LONGEST, |text| utf16(&text.render(&Plain)));
            prop_assert_eq!(read, shown.render(&Plain));
            prop_assert!(body["text"].as_str().unwrap().ends_with("PM"), "the time is there");
        }
    }
}
