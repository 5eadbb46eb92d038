//! What becomes of alerts while their endpoint is down, hangs, puts them off or breaks off.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::{Numbered, scale};
use crate::support::agent::{Agent, Setup};
use crate::support::webhook::{Answer, Down, Webhook};
use crate::support::{PATIENCE, live_once, wait_for};

/// How long an endpoint gets for one attempt.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// An agent that tells by these channels what is told by numbers, and nothing else.
#[track_caller]
fn agent(numbered: &Numbered, channels: &[(&str, &str)]) -> Agent {
    let channels = channels.iter().map(|(name, url)| format!("{name}: {{type: webhook, url: '{url}'}}"));
    let channels = format!("channels: {{{}}}", channels.collect::<Vec<_>>().join(", "));
    let triggers = "triggers: {finding: {throttle: 0s}, sensor_degraded: {enabled: false}}";
    Setup::new().rules(&numbered.rule()).alerting(&[&channels, triggers]).without_events().start()
}

fn answering(answers: Vec<Answer>) -> Webhook {
    Webhook::answering(TcpListener::bind(("127.0.0.1", 0)).unwrap(), answers)
}

#[test]
fn an_endpoint_that_was_down_gets_each_alert_once_in_order_and_has_delayed_no_other() {
    live_once!();
    let numbered = Numbered::new();
    let outage = Duration::from_secs(if scale() > 1 { 60 } else { 10 });
    let (down, other) = (Down::new(), Webhook::new());
    let agent = agent(&numbered, &[("down", &down.url()), ("other", &other.url)]);
    let begun = Instant::now();
    let (mut count, mut slowest) = (0, Duration::ZERO);
    while begun.elapsed() < outage {
        let triggered = Instant::now();
        numbered.trigger(count);
        let post = other.wait_for("each by the other channel", |alert| numbered.of(alert) == Some(count));
        slowest = slowest.max(post.at - triggered);
        count += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(slowest < TIMEOUT, "one was delayed for {slowest:?}");
    let (up, end) = (down.up(), Instant::now() + LONGEST_PAUSE + PATIENCE);
    let mut numbers = Vec::new();
    while numbers.last() != Some(&(count - 1)) {
        let post = up.wait_until(end, "all that waited", |alert| numbered.of(alert).is_some());
        numbers.extend(numbered.of(&post.body));
    }
    wait_for("nothing waits", || agent.json(&["status", "--output", "json"])["alerts"]["queued"] == 0);
    numbers.extend(up.taken().iter().filter_map(|alert| numbered.of(alert)));
    assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "each once, in order");
    assert_eq!(other.taken().iter().find_map(|alert| numbered.of(alert)), None, "told twice");
    let alerts = agent.json(&["status", "--output", "json"])["alerts"].take();
    assert_eq!((&alerts["failed"], &alerts["lost"]), (&0.into(), &0.into()), "{alerts}");
    eprintln!(
        "{count} alerts in {outage:?} of outage: the slowest took {slowest:?} by the other channel; {} attempts in vain",
        alerts["retries"]
    );
}

#[test]
fn an_endpoint_that_hangs_is_left_when_its_time_is_over_and_sent_the_same_again() {
    live_once!();
    let numbered = Numbered::new();
    let (hanging, other) = (answering(vec![Answer::Hangs]), Webhook::new());
    let agent = agent(&numbered, &[("hanging", &hanging.url), ("other", &other.url)]);
    numbered.trigger(1);
    let first = hanging.wait_for("the first attempt", |alert| numbered.of(alert) == Some(1));
    numbered.trigger(2);
    let meanwhile = other.wait_for("what came behind it", |alert| numbered.of(alert) == Some(2));
    let again = hanging.wait_for("the second attempt", |alert| numbered.of(alert).is_some());
    assert_eq!(first.body, again.body);
    let after = again.at - first.at;
    assert!(after >= TIMEOUT && after < 2 * TIMEOUT, "{after:?}");
    assert!(meanwhile.at < again.at, "the other channel has waited for this one");
    agent.wait_for_log("the endpoint did not answer in time");
    hanging.wait_for("what came behind it", |alert| numbered.of(alert) == Some(2));
}

#[test]
fn an_endpoint_that_asks_for_time_gets_it_and_then_the_same_alert_before_the_next() {
    live_once!();
    const WAIT: Duration = Duration::from_secs(3);
    let numbered = Numbered::new();
    let busy = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n";
    let endpoint = answering(vec![Answer::Says(busy.to_owned())]);
    let _agent = agent(&numbered, &[("busy", &endpoint.url)]);
    numbered.trigger(1);
    let first = endpoint.wait_for("the first attempt", |alert| numbered.of(alert) == Some(1));
    numbered.trigger(2);
    let again = endpoint.wait_for("the second attempt", |alert| numbered.of(alert).is_some());
    assert_eq!(first.body, again.body);
    let after = again.at - first.at;
    assert!(after >= WAIT, "{after:?}, where the usual pause would be over sooner");
    endpoint.wait_for("the next", |alert| numbered.of(alert) == Some(2));
}

#[test]
fn an_alert_is_sent_again_unless_the_head_of_an_answer_has_accepted_it() {
    live_once!();
    let says = |text: &str| Answer::Says(text.to_owned());
    let faults = [
        says("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"),
        says("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5000\r\n\r\nhalf of"),
        says(""),
        says("HTTP/1.1 20"),
        says("HTTP/1.1 200 OK\r\ncontent-le"),
        Answer::Breaks(300),
    ];
    let mut answers = Vec::new();
    for fault in faults {
        // By a connection of its own, so that the next alert meets the next fault.
        let taken = says("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        answers.extend([fault, taken]);
    }
    // Its head has said all.
    answers.push(says("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nhalf of"));
    // What is not read whole is not seen.
    let expected = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7];
    let numbered = Numbered::new();
    let endpoint = answering(answers);
    let agent = agent(&numbered, &[("faulty", &endpoint.url)]);
    for number in 0..=7 {
        numbered.trigger(number);
    }
    let (mut seen, mut ids) = (Vec::new(), BTreeSet::new());
    while seen.last() != Some(&7) {
        let post = endpoint.wait_for("the last", |alert| numbered.of(alert).is_some());
        seen.extend(numbered.of(&post.body));
        ids.insert(post.body["id"].to_string());
    }
    assert_eq!(seen, expected);
    assert_eq!(ids.len(), 8, "what is sent again has the same id: {ids:?}");
    wait_for("nothing waits", || agent.json(&["status", "--output", "json"])["alerts"]["queued"] == 0);
    let alerts = agent.json(&["status", "--output", "json"])["alerts"].take();
    assert_eq!((&alerts["delivered"], &alerts["retries"]), (&8.into(), &6.into()), "{alerts}");
    assert_eq!((&alerts["failed"], &alerts["lost"]), (&0.into(), &0.into()), "{alerts}");
}
