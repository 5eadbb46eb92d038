//! An alert as JSON that is no longer than a receiver takes.

use serde_json::{Map, Value, json};

use crate::alert::Alert;
use crate::alert::text::{cut, largest};

/// To how many characters, and lists to how many members, they are cut at most.
const LEAST: usize = 16;

/// The alert as JSON in ASCII, of at most so many bytes.
///
/// Where it would be longer, texts and lists are cut, the longest first; where that does not do, the details go without the
/// event, and at last without all but the command that shows more. `shortened` in the details says so then.
pub(super) fn json(alert: &Alert, limit: usize) -> String {
    let whole = ascii(alert);
    if whole.len() <= limit {
        return whole;
    }
    let all = alert.details.as_object().cloned().unwrap_or_default();
    let only = |right: fn(&str) -> bool| -> Map<String, Value> {
        all.clone().into_iter().filter(|(key, _)| right(key)).collect()
    };
    let mut told = String::new();
    for mut details in [only(|_| true), only(|key| key != "event"), only(|key| key == "more")] {
        details.insert("shortened".to_owned(), true.into());
        let alert = Alert { details: details.into(), ..alert.clone() };
        let length = largest(LEAST, limit, |length| ascii(&shortened(&alert, length)).len() <= limit);
        told = ascii(&shortened(&alert, length));
        if told.len() <= limit {
            break;
        }
    }
    told
}

/// The alert with no text but those by which it is found longer than so many characters, and no list than so many members.
fn shortened(alert: &Alert, length: usize) -> Alert {
    let details = alert.details.as_object().into_iter().flatten();
    let details = details.map(|(key, value)| match key.as_str() {
        "more" => (key.clone(), value.clone()),
        _ => (key.clone(), cut_all(value, length)),
    });
    let details = details.collect();
    Alert { title: cut(&alert.title, length), message: cut(&alert.message, length), details, ..alert.clone() }
}

fn cut_all(value: &Value, length: usize) -> Value {
    match value {
        Value::String(text) => cut(text, length).into(),
        Value::Array(values) => values.iter().take(length).map(|value| cut_all(value, length)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), cut_all(value, length))).collect(),
        value => value.clone(),
    }
}

/// JSON in ASCII, which needs no mark of its encoding before it: readers of JSON would stumble over that.
fn ascii(alert: &Alert) -> String {
    let json = json!(alert).to_string();
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_ascii() {
            true => text.push(c),
            // Beyond ASCII there are none but within texts.
            false => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")))
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::channel::tests::{alert, alert_of};

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_short_enough_is_whole_and_in_ascii() {
        let alert = alert_of("é😀 \"x\"\n");
        let json = json(&alert, 8192);
        assert!(json.is_ascii(), "{json}");
        assert_eq!(read(&json), json!(alert));
    }

    #[test]
    fn the_longest_texts_and_lists_give_way_first_and_then_the_event() {
        let mut alert = alert();
        alert.details["event"] = json!({
            "process": {"name": "nc", "command_line": "x".repeat(20_000), "args": vec!["a"; 20_000], "pid": 7},
        });
        let told = read(&json(&alert, 4000));
        let process = &told["details"]["event"]["process"];
        assert!(process["command_line"].as_str().unwrap().ends_with("x…"), "{told}");
        assert!(process["args"].as_array().unwrap().len() > 100, "{told}");
        assert_eq!((&process["name"], &process["pid"]), (&json!("nc"), &json!(7)));
        assert_eq!((&told["title"], &told["message"]), (&json!(alert.title), &json!(alert.message)));
        assert_eq!(told["details"]["shortened"], true);

        alert.details["event"] = (0..1000).map(|n| (format!("label{n}"), json!("a"))).collect();
        let told = read(&json(&alert, 4000));
        assert!(told["details"].get("event").is_none(), "{told}");
        assert_eq!(
            (&told["details"]["ip"], &told["message"]),
            (&json!("192.168.1.100"), &json!(alert.message))
        );

        alert.details["more labels"] = (0..1000).map(|n| (format!("label{n}"), json!("a"))).collect();
        let told = read(&json(&alert, 4000));
        assert_eq!(told["details"], json!({"more": "openclaw findings show a1", "shortened": true}));
        assert_eq!(told["message"], json!(alert.message));
    }

    proptest! {
        #[test]
        fn none_is_too_long_and_each_is_json(text in "(\\PC|[\"\\\\\n]){0,60}", times in 1usize..400, event in any::<bool>()) {
            let mut alert = alert_of(&text.repeat(times));
            if event {
                alert.details["event"] = alert.details.clone();
            }
            let told = json(&alert, 4000);
            prop_assert!(told.len() <= 4000, "{}", told.len());
            let told = read(&told);
            for key in ["id", "timestamp", "trigger", "severity"] {
                prop_assert_eq!(&told[key], &json!(alert)[key]);
            }
            prop_assert_eq!(&told["details"]["more"], &alert.details["more"]);
        }
    }
}
