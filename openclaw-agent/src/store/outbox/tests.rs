use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::store::{Filter, Which};

const MINUTE: u64 = 60_000_000_000;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("s.db")).unwrap().store;
    (folder, store)
}

fn outgoing(id: &str, like: &str, throttle: Duration) -> Outgoing {
    let alert = Alert {
        id: id.to_owned(),
        severity: openclaw_detect::Severity::High,
        title: "Title".to_owned(),
        message: format!("message {id}"),
        timestamp: "2026-01-30T22:30:45.123Z".to_owned(),
        details: json!({"rule": like}),
        trigger: Trigger::Finding,
        like: like.to_owned(),
    };
    Outgoing { alert, channels: vec!["a".to_owned(), "b".to_owned()], throttle }
}

fn ended(seq: i64, channel: &str, failure: Option<&str>) -> Ended {
    Ended { seq, channel: channel.to_owned(), at: Timestamp(9), failure: failure.map(str::to_owned) }
}

fn all() -> Vec<String> {
    vec!["a".to_owned(), "b".to_owned()]
}

fn end(store: &Store, now: u64) -> Vec<Outgoing> {
    store.end_windows(Timestamp(now), "web-1", |_| all()).unwrap()
}

fn waiting(store: &Store, channel: &str) -> Vec<String> {
    store.waiting(channel, 100).unwrap().into_iter().map(|waiting| waiting.alert.id).collect()
}

#[test]
fn an_alert_waits_for_each_channel_until_that_has_it() {
    let (_folder, store) = store();
    for id in ["1", "2"] {
        assert_eq!(store.post(&outgoing(id, id, Duration::ZERO), Timestamp(1)).unwrap(), Posted::Waits);
    }
    let again = store.post(&outgoing("1", "1", Duration::ZERO), Timestamp(2)).unwrap();
    assert_eq!(again, Posted::Known, "found again after a crash");
    assert_eq!(
        (waiting(&store, "a"), waiting(&store, "b")),
        (vec!["1".into(), "2".into()], vec!["1".into(), "2".into()])
    );
    let seq = store.waiting("a", 1).unwrap()[0].seq;
    store.end_delivery(&ended(seq, "a", None)).unwrap();
    assert_eq!((waiting(&store, "a"), waiting(&store, "b").len()), (vec!["2".to_owned()], 2));
    let size = store.outbox_size().unwrap();
    store.end_delivery(&ended(seq, "b", None)).unwrap();
    assert!(store.outbox_size().unwrap() < size, "what nobody needs is not kept");
    assert_eq!(store.all_waiting().unwrap(), [("a".to_owned(), 1), ("b".to_owned(), 1)].into());
}

#[test]
fn what_was_given_up_stays_and_waits_again_when_it_is_asked_for() {
    let (_folder, store) = store();
    store.post(&outgoing("1", "1", Duration::ZERO), Timestamp(1)).unwrap();
    let seq = store.waiting("a", 1).unwrap()[0].seq;
    store.end_delivery(&ended(seq, "a", Some("403"))).unwrap();
    store.end_delivery(&ended(seq, "b", None)).unwrap();
    let failed = store.alerts(Which::Failed, &Filter::default(), 9).unwrap();
    assert_eq!(failed[0].deliveries[0].error.as_deref(), Some("403"));
    assert_eq!(store.retry(Some("2"), &all(), Timestamp(3)).unwrap(), Vec::<String>::new());
    assert_eq!(store.retry(None, &all(), Timestamp(3)).unwrap(), ["a"]);
    assert_eq!(store.waiting("a", 1).unwrap()[0].since, Timestamp(3), "its age begins anew");
    assert_eq!(store.alerts(Which::Failed, &Filter::default(), 9).unwrap(), []);
}

#[test]
fn those_like_one_that_was_told_are_held_back_and_their_number_is_told() {
    let (_folder, store) = store();
    let minute = Duration::from_secs(60);
    let post = |id: &str, like: &str, at| store.post(&outgoing(id, like, minute), Timestamp(at)).unwrap();
    assert_eq!(post("1", "x", 1), Posted::Waits);
    assert_eq!(post("2", "x", 2), Posted::Held);
    assert_eq!(post("3", "y", 3), Posted::Waits, "another is told beside it");
    assert_eq!(post("4", "x", MINUTE), Posted::Held);
    assert_eq!(store.next_window_end(Timestamp(5)).unwrap(), Some(Timestamp(1 + MINUTE)));
    assert_eq!(post("5", "x", 2 + MINUTE), Posted::Held, "their number is still to be told");
    let summaries = end(&store, 3 + MINUTE);
    assert_eq!(summaries.len(), 1);
    let summary = &summaries[0];
    assert_eq!(summary.alert.details["held_back"], 3);
    assert!(
        summary.alert.message.starts_with("3 more like this were held back since "),
        "{:?}",
        summary.alert
    );
    assert_eq!((summary.channels.len(), summary.throttle), (2, minute));
    assert_eq!(waiting(&store, "a").last(), Some(&summary.alert.id));
    assert_eq!(post("6", "x", 4 + MINUTE), Posted::Held, "a storm is told once in each window");
    let listed = store.alerts(Which::Held, &Filter::default(), 9).unwrap();
    let ids: Vec<_> = listed.iter().map(|alert| alert.id.as_str()).collect();
    assert_eq!(ids, ["6", "5", "4", "2"]);
    assert_eq!(listed[0].held_by.as_ref(), Some(&summary.alert.id));
    assert_eq!(listed[3].held_by.as_deref(), Some("1"));
    let again = &end(&store, 3 + 2 * MINUTE)[0].alert;
    assert!(again.message.ends_with(": message 1") && again.message.starts_with("1 more"), "{again:?}");
    assert_eq!((&again.details["first"], again.id.starts_with("1-held-")), (&"1".into(), true));
    // A window in which none was held back ends without a word.
    assert_eq!(end(&store, 4 + 3 * MINUTE), []);
    assert_eq!(post("7", "y", 5 + 3 * MINUTE), Posted::Waits);
    assert_eq!(store.next_window_end(Timestamp(6 + 3 * MINUTE)).unwrap(), Some(Timestamp(5 + 4 * MINUTE)));
}

#[test]
fn what_has_no_channel_any_more_is_not_summed_up() {
    let (_folder, store) = store();
    let minute = Duration::from_secs(60);
    for id in ["1", "2"] {
        store.post(&outgoing(id, "x", minute), Timestamp(1)).unwrap();
    }
    assert_eq!(store.end_windows(Timestamp(1 + MINUTE), "web-1", |_| Vec::new()).unwrap(), []);
    assert_eq!(store.post(&outgoing("3", "x", minute), Timestamp(2 + MINUTE)).unwrap(), Posted::Waits);
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_back_for_longer() {
    let (_folder, store) = store();
    let minute = Duration::from_secs(60);
    store.post(&outgoing("1", "x", minute), Timestamp(100 * MINUTE)).unwrap();
    assert_eq!(store.post(&outgoing("2", "x", minute), Timestamp(5)).unwrap(), Posted::Waits);
    for id in ["3", "4"] {
        store.post(&outgoing(id, "y", minute), Timestamp(100 * MINUTE)).unwrap();
    }
    assert_eq!(store.next_window_end(Timestamp(6)).unwrap(), Some(Timestamp(6)));
    assert_eq!(end(&store, 6)[0].alert.details["held_back"], 1);
}

#[test]
fn a_muted_rule_is_listed_and_not_told() {
    let (_folder, store) = store();
    store.mute("x", Timestamp(100)).unwrap();
    let post = |id: &str, at| store.post(&outgoing(id, "x", Duration::ZERO), Timestamp(at)).unwrap();
    assert_eq!(post("1", 5), Posted::Muted);
    assert!(store.alerts(Which::Held, &Filter::default(), 9).unwrap()[0].muted);
    assert_eq!(post("2", 100), Posted::Waits, "its time is over");
    store.mute("x", Timestamp(200)).unwrap();
    assert_eq!(store.mutes(Timestamp(100)).unwrap(), [("x".to_owned(), Timestamp(200))].into());
    assert!(store.unmute("x").unwrap() && !store.unmute("x").unwrap());
    assert_eq!(post("3", 101), Posted::Waits);
}

#[test]
fn the_outbox_is_bounded_and_says_what_it_threw_away() {
    let (_folder, store) = store();
    for id in ["1", "2", "3", "4"] {
        store.post(&outgoing(id, id, Duration::ZERO), Timestamp(1)).unwrap();
    }
    let seq = store.waiting("a", 9).unwrap()[2].seq;
    for channel in ["a", "b"] {
        store.end_delivery(&ended(seq, channel, Some("no"))).unwrap();
    }
    let half = store.outbox_size().unwrap() / 2;
    let thrown_away = store.bound_outbox(half, Timestamp(2)).unwrap();
    assert_eq!(thrown_away, ["a", "b"], "first what was given up, then the oldest");
    assert_eq!(waiting(&store, "a"), ["2", "4"]);
    assert!(store.outbox_size().unwrap() <= half);
    let listed = store.alerts(Which::Failed, &Filter::default(), 9).unwrap();
    assert!(listed[1].deliveries[0].error.as_deref().unwrap().contains("the outbox was full"));
}

#[test]
fn what_waits_for_a_channel_that_is_gone_is_given_up() {
    let (_folder, store) = store();
    store.post(&outgoing("1", "1", Duration::ZERO), Timestamp(1)).unwrap();
    assert_eq!(store.leave_channels(&["b".to_owned()], Timestamp(2)).unwrap(), 1);
    assert_eq!(store.all_waiting().unwrap(), [("b".to_owned(), 1)].into());
}

fn held_back(summary: &Outgoing) -> u64 {
    summary.alert.details["held_back"].as_u64().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever comes when: each is told, held back or known, and what was held back is told by number.
    #[test]
    fn none_is_lost_by_throttling(posts in prop::collection::vec((0u8..3, 0u64..40), 1..60)) {
        let (_folder, store) = store();
        let throttle = Duration::from_secs(60);
        let (mut now, mut told, mut by_number) = (1, 0, 0);
        for (n, (like, later)) in posts.iter().enumerate() {
            now += later * 1_000_000_000;
            // The thread may come to the end of a window before or after what is posted then.
            if n % 3 == 0 {
                by_number += end(&store, now).iter().map(held_back).sum::<u64>();
            }
            let posted = store.post(&outgoing(&n.to_string(), &like.to_string(), throttle), Timestamp(now));
            told += u64::from(posted.unwrap() == Posted::Waits);
        }
        by_number += end(&store, now + MINUTE).iter().map(held_back).sum::<u64>();
        prop_assert_eq!(told + by_number, posts.len() as u64);
    }
}
