use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use openclaw_detect::Severity;
use serde_json::{Value, json};

use super::super::{Deliveries, Trigger, Usable};
use super::*;
use crate::config::{ChannelKind, Http, Webhook};
use crate::output::time;
use crate::store::{Audience, Filter, Limits, Store, Which, Writer, WriterThread};

/// What a real HTTP server received.
struct Received {
    headers: Vec<String>,
    body: Value,
}

/// Serves requests on `listener`, answering with each of `answers` in turn, then hangs up for good.
fn serve(listener: TcpListener, answers: Vec<&'static str>) -> std_mpsc::Receiver<Received> {
    let (sender, receiver) = std_mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut headers = Vec::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                headers.push(line.trim().to_owned());
            }
            let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            let close = "connection: close\r\ncontent-length: 0\r\n\r\n";
            write!(stream.get_mut(), "HTTP/1.1 {answer}\r\n{close}").unwrap();
            let received = Received { headers, body: serde_json::from_slice(&body).unwrap() };
            if sender.send(received).is_err() {
                return;
            }
        }
    });
    receiver
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn webhook(address: SocketAddr) -> Channel {
    webhook_named("webhook", address)
}

fn webhook_named(name: &str, address: SocketAddr) -> Channel {
    let http = Http::new(format!("http://{address}/hook").parse().unwrap());
    Channel { name: name.to_owned(), kind: ChannelKind::Webhook(Webhook::new(http)) }
}

/// Channels that are fed by a store of their own.
struct Running {
    alerts: Alerts,
    deliveries: Deliveries,
    store: Writer,
    thread: WriterThread,
    _folder: tempfile::TempDir,
}

/// Tells the channels alone.
struct Ears(Alerts);

impl Audience for Ears {
    fn posted(&self, alert: &Outgoing, posted: Posted) {
        self.0.posted(alert, posted);
    }

    fn ended(&self, channel: &str) {
        self.0.ended(channel);
    }

    fn unsaved(&self, alert: Outgoing) {
        self.0.unsaved(&alert);
    }
}

async fn start(channels: Vec<Channel>) -> Running {
    start_in(tempfile::tempdir().unwrap(), channels).await
}

async fn start_in(folder: tempfile::TempDir, channels: Vec<Channel>) -> Running {
    start_with(folder, Alerting { channels, ..Alerting::default() }).await
}

/// Nothing is held back.
fn unthrottled(mut config: Alerting) -> Alerting {
    for settings in config.triggers.of.values_mut() {
        settings.throttle = Duration::ZERO;
    }
    config
}

async fn start_with(folder: tempfile::TempDir, config: Alerting) -> Running {
    let config = unthrottled(config);
    let alerts = Alerts::new(&config, "web-1");
    let limits = Limits { max_age: Duration::from_secs(3600), max_size: 1 << 30 };
    let ears = Arc::new(Ears(alerts.clone()));
    let (store, thread) =
        Writer::start(&folder.path().join("s.db"), limits, "web-1".to_owned(), ears).unwrap();
    let deliveries = Deliveries::new(alerts.clone(), store.clone());
    deliveries.arrange(Usable::new(&config).unwrap()).await;
    Running { alerts, deliveries, store, thread, _folder: folder }
}

impl Running {
    fn send(&self, alert: Alert) {
        if let Some(outgoing) = self.alerts.route(alert) {
            self.store.alert(outgoing);
        }
    }

    async fn arrange(&self, channels: Vec<Channel>) {
        let config = unthrottled(Alerting { channels, ..Alerting::default() });
        self.deliveries.arrange(Usable::new(&config).unwrap()).await;
    }

    fn counts(&self) -> AlertCounts {
        self.alerts.counts()
    }

    async fn close(self, patience: Duration) -> AlertCounts {
        self.stop(patience).await.0
    }

    /// Returns the folder too, for who goes on with it.
    async fn stop(self, patience: Duration) -> (AlertCounts, tempfile::TempDir) {
        // After what was queued.
        self.store.ask(|_| ()).await;
        let counts = self.deliveries.close(patience).await;
        self.thread.finish();
        (counts, self._folder)
    }
}

fn alert(id: &str) -> Alert {
    Alert {
        id: id.to_owned(),
        severity: Severity::High,
        title: "Title".to_owned(),
        message: "Message".to_owned(),
        timestamp: "2026-01-30T22:30:45.123Z".to_owned(),
        details: json!({"rule": "suspicious_process"}),
        trigger: Trigger::Finding,
        like: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_pause_is_cut_short_when_the_agent_stops() {
    let (listener, address) = listener();
    let received = serve(listener, vec!["429 Too Many Requests\r\nretry-after: 500", "200 OK"]);
    let alerts = start(vec![webhook(address)]).await;
    alerts.send(alert("a1"));
    while alerts.counts().retries == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(alerts.close(PATIENCE).await.delivered, 1);
    assert_eq!(received.iter().count(), 2);
}

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_arrives_as_json_with_the_configured_headers() {
    let (listener, address) = listener();
    let received = serve(listener, vec!["204 No Content"]);
    let mut webhook = webhook(address);
    let ChannelKind::Webhook(posted) = &mut webhook.kind else { unreachable!() };
    posted.http.headers.push(("x-custom-header".parse().unwrap(), "value".parse().unwrap()));
    let alerts = start(vec![webhook]).await;
    alerts.send(alert("a1"));
    let counts = alerts.close(PATIENCE).await;
    assert_eq!(counts, AlertCounts { delivered: 1, ..AlertCounts::default() });
    let request = received.recv().unwrap();
    assert_eq!(request.body, serde_json::to_value(alert("a1")).unwrap());
    assert_eq!(request.headers[0], "POST /hook HTTP/1.1");
    for header in ["content-type: application/json", "x-custom-header: value"] {
        assert!(request.headers.iter().any(|line| line == header), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_down_first_gets_the_alerts_when_it_is_up_in_order() {
    let (closed, address) = listener();
    drop(closed);
    let alerts = start(vec![webhook(address)]).await;
    alerts.send(alert("a1"));
    alerts.send(alert("a2"));
    while alerts.counts().retries == 0 {
        tokio::task::yield_now().await;
    }
    let received = serve(TcpListener::bind(address).unwrap(), vec!["200 OK", "200 OK"]);
    let counts = alerts.close(PATIENCE).await;
    assert_eq!((counts.delivered, counts.failed, counts.lost), (2, 0, 0));
    let ids: Vec<_> = received.iter().take(2).map(|request| request.body["id"].clone()).collect();
    assert_eq!(ids, ["a1", "a2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_was_answered_with_500_is_sent_again() {
    let (listener, address) = listener();
    let received = serve(listener, vec!["500 Internal Server Error", "503 Service Unavailable", "200 OK"]);
    let alerts = start(vec![webhook(address)]).await;
    alerts.send(alert("a1"));
    while alerts.counts().delivered == 0 {
        tokio::task::yield_now().await;
    }
    let counts = alerts.close(PATIENCE).await;
    assert_eq!((counts.delivered, counts.failed, counts.lost), (1, 0, 0));
    let ids: Vec<_> = received.iter().map(|request| request.body["id"].clone()).collect();
    assert_eq!(ids, ["a1", "a1", "a1"], "a duplicate carries the same id");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_the_endpoint_refuses_is_failed_and_the_next_one_goes_out() {
    let (listener, address) = listener();
    let received =
        serve(listener, vec!["401 Unauthorized", "302 Found\r\nlocation: http://127.0.0.1:1/", "200 OK"]);
    let alerts = start(vec![webhook(address)]).await;
    for id in ["a1", "a2", "a3"] {
        alerts.send(alert(id));
    }
    let counts = alerts.close(PATIENCE).await;
    assert_eq!((counts.delivered, counts.failed, counts.lost), (1, 2, 0), "redirects are not followed");
    assert_eq!(received.iter().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_down_delays_no_other_and_gets_from_the_next_agent_what_is_left() {
    let (closed, dead) = listener();
    drop(closed);
    let (listener, address) = listener();
    let received = serve(listener, vec!["200 OK"]);
    let alerts = start(vec![webhook_named("dead", dead), webhook(address)]).await;
    alerts.send(alert("a1"));
    assert_eq!(received.recv().unwrap().body["id"], "a1");
    let (counts, folder) = alerts.stop(PATIENCE).await;
    assert_eq!((counts.delivered, counts.lost, counts.queued), (1, 0, 1));

    let received = serve(TcpListener::bind(dead).unwrap(), vec!["200 OK"]);
    let alerts = start_in(folder, vec![webhook_named("dead", dead)]).await;
    assert_eq!(received.recv().unwrap().body["id"], "a1", "it was on disk");
    let (counts, folder) = alerts.stop(PATIENCE).await;
    assert_eq!((counts.delivered, counts.queued), (1, 0));
    let listed = Store::open_read_only(&folder.path().join("s.db")).unwrap();
    let listed = listed.alerts(Which::All, &Filter::default(), 9).unwrap();
    let states: Vec<_> = listed[0].deliveries.iter().map(|it| (it.channel.as_str(), it.state)).collect();
    assert_eq!(states, [("dead", "delivered"), ("webhook", "delivered")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_changes_takes_what_waits_with_it_in_order() {
    let (closed, dead) = listener();
    drop(closed);
    let alerts = start(vec![webhook(dead)]).await;
    alerts.alerts.unsaved(&alerts.alerts.route(alert("in memory")).unwrap());
    for id in ["a1", "a2"] {
        alerts.send(alert(id));
    }
    while alerts.counts().retries == 0 {
        tokio::task::yield_now().await;
    }
    let (listener, address) = listener();
    let received = serve(listener, vec!["200 OK"; 3]);
    alerts.arrange(vec![webhook(address)]).await;
    let ids: Vec<_> = received.iter().take(3).map(|request| request.body["id"].clone()).collect();
    assert_eq!(ids, ["in memory", "a1", "a2"]);
    assert!(alerts.alerts.channels()[0].endpoint.contains(&address.to_string()));
    let counts = alerts.close(PATIENCE).await;
    assert_eq!((counts.delivered, counts.failed, counts.lost, counts.queued), (3, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_channel_that_is_gone_is_given_up_and_the_others_go_on() {
    let (closed, dead) = listener();
    drop(closed);
    let (listener, address) = listener();
    let received = serve(listener, vec!["200 OK"; 2]);
    let alerts = start(vec![webhook_named("gone", dead), webhook(address)]).await;
    alerts.send(alert("a1"));
    assert_eq!(received.recv().unwrap().body["id"], "a1");
    while alerts.counts().retries == 0 {
        tokio::task::yield_now().await;
    }
    alerts.arrange(vec![webhook(address)]).await;
    let counts = alerts.counts();
    assert_eq!((counts.failed, counts.lost), (1, 0), "counted");
    alerts.send(alert("a2"));
    assert_eq!(received.recv().unwrap().body["id"], "a2");
    let (counts, folder) = alerts.stop(PATIENCE).await;
    assert_eq!((counts.delivered, counts.failed, counts.queued), (2, 1, 0));
    let listed = Store::open_read_only(&folder.path().join("s.db")).unwrap();
    let listed = listed.alerts(Which::Failed, &Filter::default(), 9).unwrap();
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["a1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_waits_for_too_long_is_given_up_and_listed_and_the_next_one_goes_out() {
    let (closed, address) = listener();
    drop(closed);
    let max_age = Duration::from_millis(100);
    let config = Alerting { channels: vec![webhook(address)], max_age, ..Alerting::default() };
    let alerts = start_with(tempfile::tempdir().unwrap(), config).await;
    alerts.send(alert("a1"));
    while alerts.counts().failed == 0 {
        tokio::task::yield_now().await;
    }
    let received = serve(TcpListener::bind(address).unwrap(), vec!["200 OK"]);
    alerts.send(alert("a2"));
    assert_eq!(received.recv().unwrap().body["id"], "a2");
    let (counts, folder) = alerts.stop(PATIENCE).await;
    assert_eq!((counts.delivered, counts.failed, counts.lost, counts.queued), (1, 1, 0, 0));
    let listed = Store::open_read_only(&folder.path().join("s.db")).unwrap();
    let listed = listed.alerts(Which::Failed, &Filter::default(), 9).unwrap();
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["a1"]);
    let reason = listed[0].deliveries[0].error.as_deref().unwrap_or_default();
    assert!(reason.contains("max_age") && reason.contains("cannot connect"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_delivered_when_somebody_asks_for_it() {
    let (listener, address) = listener();
    let received = serve(listener, vec!["403 Forbidden", "200 OK"]);
    let alerts = start(vec![webhook(address)]).await;
    alerts.send(alert("a1"));
    received.recv().unwrap();
    while alerts.counts().failed == 0 {
        tokio::task::yield_now().await;
    }
    let channels = alerts
        .store
        .ask(|store| store.retry(Some("a"), &["webhook".to_owned()], time::now()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(channels, ["webhook"]);
    alerts.alerts.look_again(&channels);
    assert_eq!(received.recv().unwrap().body["id"], "a1");
    let counts = alerts.close(PATIENCE).await;
    assert_eq!((counts.delivered, counts.failed, counts.queued), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_disk_takes_is_delivered_from_memory_and_what_does_not_fit_there_is_counted() {
    // It accepts connections (in the kernel) and never answers.
    let (_listener, address) = listener();
    let alerts = start(vec![webhook(address)]).await;
    let sent = 3000;
    for n in 0..sent {
        alerts.alerts.unsaved(&alerts.alerts.route(alert(&format!("a{n}"))).unwrap());
    }
    let counts = alerts.counts();
    assert_eq!(counts.lost + counts.queued, sent);
    assert!(counts.lost >= sent - 1025, "{counts:?}");
    assert_eq!(alerts.close(Duration::from_millis(50)).await.lost, sent, "also the one that was on its way");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_where_alerting_is_switched_off() {
    let (_listener, address) = listener();
    let config = Alerting { enabled: false, channels: vec![webhook(address)], ..Alerting::default() };
    let alerts = Alerts::new(&config, "web-1");
    assert_eq!(alerts.route(alert("a1")), None);
    assert!(alerts.channels().is_empty());
}
