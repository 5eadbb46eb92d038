//! Webhooks with signatures and formats, and services that are reached by one.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{agent, fire};
use crate::support::skip::needs;
use crate::support::webhook::{Answer, Post, Webhook};
use crate::support::{live, live_once};

const SECRET: &str = "a s3cr3t of 16 bytes or more";

/// The verification that the documentation shows.
fn documented() -> String {
    let page = include_str!("../../../../docs/alerts.md");
    let code = page.split_once("```python\n").unwrap().1;
    code.split_once("```").unwrap().0.to_owned()
}

/// Whether the documented verification takes a request at so many seconds after it was signed.
fn verifies(post: &Post, body: &[u8], later: i64) -> bool {
    let timestamp = post.header("x-openclaw-timestamp").unwrap();
    let signature = post.header("x-openclaw-signature").unwrap();
    let call = format!(
        "{}\nimport sys\nnow = int({timestamp:?}) + {later}\n\
         sys.exit(0 if verify({SECRET:?}.encode(), {timestamp:?}, {signature:?}, sys.stdin.buffer.read(), now) else 3)\n",
        documented()
    );
    let mut python = Command::new("python3").args(["-I", "-c", &call]).stdin(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(body).unwrap();
    match python.wait().unwrap().code() {
        Some(0) => true,
        Some(3) => false,
        other => panic!("the documented code ends with {other:?}"),
    }
}

#[test]
fn the_documented_code_verifies_what_is_posted_and_refuses_what_was_changed_or_is_old() {
    live!();
    let _python = needs!("python3");
    let webhook = Webhook::new();
    let agent = agent(&[&format!("webhook: {{url: '{}', secret: '{SECRET}'}}", webhook.url)]);
    let finding = fire(&agent);
    let post = webhook.wait_for("the finding", |body| body["id"] == finding["id"]);
    let keys: Vec<_> = post.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["details", "id", "message", "severity", "timestamp", "title", "trigger"]);
    assert!(verifies(&post, &post.raw, 0));
    assert!(!verifies(&post, &[&post.raw[..], b" "].concat(), 0), "another body");
    assert!(!verifies(&post, &post.raw, 3600), "an old request, sent again");
    assert!(!agent.log().contains("s3cr3t"));
}

#[test]
fn an_alert_is_a_document_of_the_schema_or_what_a_template_makes() {
    live_once!();
    let (ecs, chat) = (Webhook::new(), Webhook::new());
    let agent = agent(&[
        &format!("ecs: {{type: webhook, url: '{}', format: ecs}}", ecs.url),
        &format!(
            "chat: {{type: webhook, url: '{}', template: '{{\"content\": {{{{ text|tojson }}}}}}'}}",
            chat.url
        ),
    ]);
    let finding = fire(&agent);
    let document = ecs.wait_for("the document", |body| body["event"]["id"] == finding["id"]).body;
    assert_eq!((&document["event"]["kind"], &document["event"]["severity"]), (&json!("alert"), &json!(99)));
    assert_eq!(
        (&document["rule"]["name"], &document["message"]),
        (&json!("test_alert"), &finding["message"])
    );
    assert_eq!(document["process"]["pid"], finding["event"]["process"]["pid"]);
    assert_eq!(document["tags"], json!(["intrusion"]));
    let post = chat.wait_for("the template", |body| body["content"].is_string());
    assert!(post.body["content"].as_str().unwrap().starts_with("🚨 CRITICAL: "), "{}", post.body);
    assert_eq!(post.header("content-type"), Some("application/json"));
}

/// What <https://core.telegram.org/bots/api#sendmessage> demands of the parameters that are used.
#[track_caller]
fn check_telegram(post: &Post) {
    assert!(
        post.head.starts_with("POST /alerts/bot123456:s3cr3t-t0ken/sendMessage HTTP/1.1\r\n"),
        "{}",
        post.head
    );
    let keys: Vec<_> = post.body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["chat_id", "link_preview_options", "parse_mode", "text"]);
    assert_eq!((&post.body["chat_id"], &post.body["parse_mode"]), (&json!(-1001234), &json!("MarkdownV2")));
    assert_eq!(post.body["link_preview_options"], json!({"is_disabled": true}));
    let text = post.body["text"].as_str().unwrap();
    assert!((1..=4096).contains(&text.chars().count()));
    // Outside of code each reserved character but those of the markup itself has a backslash before it.
    let mut outside = text.split('`').step_by(2).collect::<String>().replace("\\\\", "");
    for reserved in "_[]()~>#+-=|{}.!".chars() {
        outside = outside.replace(&format!("\\{reserved}"), "");
        assert!(!outside.contains(reserved), "{reserved} in {text}");
    }
}

#[test]
fn a_bot_sends_what_the_api_asks_for_and_again_when_it_says() {
    live!();
    let body = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 2","parameters":{"retry_after":2}}"#;
    let wait = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let server = Webhook::answering(TcpListener::bind("127.0.0.1:0").unwrap(), vec![Answer::Says(wait)]);
    let agent = agent(&[&format!(
        "telegram: {{botToken: '123456:s3cr3t-t0ken', chatId: -1001234, url: '{}'}}",
        server.url
    )]);
    let finding = fire(&agent);
    let id = finding["id"].as_str().unwrap();
    let of_finding = |body: &Value| body["text"].as_str().is_some_and(|text| text.contains(id));
    let (first, second) =
        (server.wait_for("a message", of_finding), server.wait_for("the same again", of_finding));
    check_telegram(&second);
    assert_eq!(first.body, second.body);
    assert!(second.at - first.at >= Duration::from_secs(2), "not before it may");
    let text = second.body["text"].as_str().unwrap();
    assert!(text.starts_with("*🚨 CRITICAL: ") && text.contains(r"a\-<&\>\_\*"), "{text}");
    agent.wait_for_log("retry after 2");
    assert!(!agent.log().contains("s3cr3t"));
}

/// What <https://docs.slack.dev/reference/block-kit/blocks> demands of the blocks that are used.
#[track_caller]
fn check_slack(body: &Value) {
    assert!(body["text"].as_str().is_some_and(|text| !text.is_empty()));
    // <https://docs.slack.dev/messaging/unfurling-links-in-messages>
    assert_eq!((&body["unfurl_links"], &body["unfurl_media"]), (&json!(false), &json!(false)));
    let blocks = body["blocks"].as_array().unwrap();
    assert!((1..=50).contains(&blocks.len()));
    let check_text = |text: &Value, limit: usize| {
        let length = text["text"].as_str().unwrap().chars().count();
        assert!((1..=limit).contains(&length), "{text}");
        match text["type"].as_str().unwrap() {
            "plain_text" => assert!(text["emoji"].is_boolean() && text.get("verbatim").is_none()),
            "mrkdwn" => assert!(text["verbatim"].is_boolean() && text.get("emoji").is_none()),
            other => panic!("{other}"),
        }
    };
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => {
                check_text(&block["text"], 150);
                assert_eq!(block["text"]["type"], "plain_text");
            }
            "section" => check_text(&block["text"], 3000),
            "context" => block["elements"].as_array().unwrap().iter().for_each(|text| check_text(text, 3000)),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn slack_is_sent_blocks_in_which_nothing_but_the_markup_is_marked_up() {
    live_once!();
    let server = Webhook::new();
    let agent = agent(&[&format!("slack: {{url: '{}/T0/B0/s3cr3tt0ken'}}", server.url)]);
    let finding = fire(&agent);
    let id = finding["id"].as_str().unwrap();
    let post = server.wait_for("the message", |body| body["blocks"].to_string().contains(id));
    assert!(post.head.starts_with("POST /alerts/T0/B0/s3cr3tt0ken HTTP/1.1\r\n"), "{}", post.head);
    check_slack(&post.body);
    assert!(post.body["blocks"].to_string().contains("a-&lt;&amp;&gt;_*"));
    assert!(!agent.log().contains("s3cr3t"));
}
