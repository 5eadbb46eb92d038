//! Settings of a Telegram bot.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::config::http::Http;
use crate::config::node::Node;
use crate::config::reader::{Reader, Section};
use crate::config::secret::Secret;

/// A bot, and the chat to which it writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Telegram {
    /// What the bot's maker was given for it: `NUMBER:TEXT`.
    pub bot_token: Secret,
    /// To whom it writes.
    pub chat_id: Chat,
    /// The Bot API's server: Telegram's, or one of one's own.
    #[serde(flatten)]
    pub http: Http,
}

/// A chat of the Bot API (<https://core.telegram.org/bots/api#sendmessage>, `chat_id`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Chat {
    /// By its number: that of a person, or a negative one of a group or channel.
    Number(i64),
    /// By its public name, with its `@`: that of a group or channel.
    Name(String),
}

impl Chat {
    /// Whether a person reads it alone.
    pub fn is_private(&self) -> bool {
        matches!(self, Chat::Number(number) if *number > 0)
    }
}

impl std::str::FromStr for Chat {
    type Err = String;

    fn from_str(text: &str) -> Result<Chat, String> {
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match (text.parse(), text.strip_prefix('@')) {
            (Ok(number), _) if number != 0 => Ok(Chat::Number(number)),
            (_, Some(name)) if is_name(name) => Ok(Chat::Name(text.to_owned())),
            // Not repeated: it may be the token, in the wrong place.
            _ => Err("this is no chat: write its number, such as -1001234567890, or @name".to_owned()),
        }
    }
}

impl fmt::Display for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Chat::Number(number) => number.fmt(f),
            Chat::Name(name) => f.write_str(name),
        }
    }
}

impl Telegram {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        keys: &mut Section<'_>,
        at: &Node,
        folder: &Path,
    ) -> Option<Telegram> {
        let bot_token = keys
            .need(reader, "bot_token", at.at, "the token that BotFather gave for the bot")
            .and_then(|node| reader.parsed(&keys.name("bot_token"), node, check_token));
        let chat_id = keys
            .need(reader, "chat_id", at.at, "the number of the chat to which the bot writes, or its @name")
            .and_then(|node| reader.parsed(&keys.name("chat_id"), node, str::parse));
        let http = Http::read(reader, keys, at, folder, Some("https://api.telegram.org"));
        Some(Telegram { bot_token: bot_token?, chat_id: chat_id?, http: http? })
    }
}

/// The token becomes a part of the address. Errors do not repeat it.
fn check_token(text: &str) -> Result<Secret, String> {
    let right = text.split_once(':').is_some_and(|(number, rest)| {
        let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && !rest.is_empty()
            && rest.bytes().all(is_right)
    });
    if right {
        Ok(Secret::new(text))
    } else {
        Err("this is no token of a bot: one is like 123456:ABC-DEF1234".to_owned())
    }
}
