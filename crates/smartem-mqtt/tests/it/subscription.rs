//! Our client at a real Mosquitto.

use std::time::Duration;

use smartem_mqtt::{
    BrokerSettings, ConnectError, Incoming, QoS, RemoteTls, Subscription, SubscriptionSettings,
    Topic,
};
use smartem_simulate::mosquitto::{Mosquitto, MosquittoSettings};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::support::{
    Inbox, PATIENCE, broker, broker_with, certificate, publish, receive, receive_texts,
};

fn settings(mosquitto: &Mosquitto) -> SubscriptionSettings {
    SubscriptionSettings {
        topics: vec!["stations/#".to_owned()],
        backoff: (Duration::from_millis(20), Duration::from_millis(200)),
        ..SubscriptionSettings::new("127.0.0.1", mosquitto.address().port(), "smartem-test")
    }
}

fn start() -> Mosquitto {
    Mosquitto::start().unwrap_or_else(|problem| panic!("{problem}"))
}

async fn subscribe(settings: SubscriptionSettings) -> (Subscription, Inbox) {
    let (sink, inbox) = mpsc::channel::<Vec<Incoming>>(64);
    let subscription = Subscription::start(settings, sink).unwrap();
    connected(&subscription).await;
    (subscription, inbox)
}

async fn connected(subscription: &Subscription) {
    let wait = async {
        while !subscription.is_connected() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("no connection");
}

async fn send(mosquitto: &Mosquitto, values: &[&str]) {
    for value in values {
        let more = ["-q", "1", "-t", "stations/1", "-m", value];
        let sent = publish(mosquitto.address(), &more).await;
        assert!(sent.status.success());
    }
}

fn values(texts: Vec<(String, String)>) -> Vec<String> {
    texts.into_iter().map(|(_, value)| value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_sent_while_we_are_away_arrive_after_the_reconnection() {
    let mosquitto = start();
    let (subscription, mut inbox) = subscribe(settings(&mosquitto)).await;
    send(&mosquitto, &["a"]).await;
    assert_eq!(values(receive_texts(&mut inbox, 1).await), ["a"]);
    subscription.stop().await;

    send(&mosquitto, &["b", "c"]).await;
    let (subscription, mut inbox) = subscribe(settings(&mosquitto)).await;
    // What was acknowledged does not come again, the rest does, in its order.
    assert_eq!(values(receive_texts(&mut inbox, 2).await), ["b", "c"]);
    send(&mosquitto, &["d"]).await;
    assert_eq!(values(receive_texts(&mut inbox, 1).await), ["d"]);
    assert_eq!(subscription.received(), 3);
    subscription.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_did_not_become_durable_comes_again() {
    let mosquitto = start();
    let (subscription, mut inbox) = subscribe(settings(&mosquitto)).await;
    send(&mosquitto, &["lost", "kept"]).await;
    let mut messages = receive(&mut inbox).await;
    while messages.len() < 2 {
        messages.extend(receive(&mut inbox).await);
    }
    // Dropped without an answer, as by a receiver that was killed.
    drop(messages);
    let again = values(receive_texts(&mut inbox, 2).await);
    assert_eq!(again, ["lost", "kept"]);
    subscription.stop().await;

    let (subscription, mut inbox) = subscribe(settings(&mosquitto)).await;
    send(&mosquitto, &["next"]).await;
    // Each of the two unanswered messages may have ended a connection of its own, so that the broker sent
    // both once more: QoS 1 is "at least once" (MQTT 3.1.1, 4.3.2).
    loop {
        let value = values(receive_texts(&mut inbox, 1).await).remove(0);
        if value == "next" {
            break;
        }
        assert!(["lost", "kept"].contains(&&*value), "{value}");
    }
    subscription.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_is_found_again() {
    let mut mosquitto = start();
    let (subscription, mut inbox) = subscribe(settings(&mosquitto)).await;
    send(&mosquitto, &["before"]).await;
    assert_eq!(values(receive_texts(&mut inbox, 1).await), ["before"]);
    mosquitto.stop().unwrap();
    let gone = async {
        while subscription.is_connected() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the end is noticed");
    mosquitto.start_again().unwrap();
    connected(&subscription).await;
    send(&mosquitto, &["after"]).await;
    assert_eq!(values(receive_texts(&mut inbox, 1).await), ["after"]);
    subscription.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_has_forgotten_everything_is_subscribed_to_again() {
    let folder = tempfile::tempdir().unwrap();
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, "secret").unwrap();
    let (broker, _inbox) = broker().await;
    let address = broker.address().unwrap();
    let (subscription, mut inbox) = subscribe(SubscriptionSettings {
        topics: vec!["stations/#".to_owned(), "v1.1/+".to_owned()],
        user: Some("writer".to_owned()),
        password_file: Some(password_file),
        backoff: (Duration::from_millis(20), Duration::from_millis(200)),
        ..SubscriptionSettings::new("127.0.0.1", address.port(), "smartem-test")
    })
    .await;
    let mut broker = Some(broker);
    for round in ["1", "2", "3"] {
        for name in ["stations/1", "v1.1/Things"] {
            let publisher = broker.as_ref().unwrap().publisher();
            let topic = Topic::new(name).unwrap();
            assert_eq!(
                publisher.publish(&topic, round.into(), QoS::AtLeastOnce, false),
                1
            );
            let expected = [(name.to_owned(), round.to_owned())];
            assert_eq!(receive_texts(&mut inbox, 1).await, expected);
        }
        broker.take().unwrap().stop().await;
        let again = BrokerSettings {
            listen: Some(address),
            ..BrokerSettings::default()
        };
        let (restarted, _) = broker_with(again).await;
        let subscribed = async {
            while restarted.subscriptions() < 2 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, subscribed).await.expect("it comes back");
        broker = Some(restarted);
    }
    subscription.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_may_want_tls_and_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path());
    let mosquitto = Mosquitto::start_with(MosquittoSettings {
        user: Some(("writer", "secret")),
        tls: Some((&files.certificate, &files.key)),
    })
    .unwrap_or_else(|problem| panic!("{problem}"));
    let password_file = folder.path().join("password");
    std::fs::write(&password_file, "wrong\n").unwrap();
    let settings = SubscriptionSettings {
        host: "localhost".to_owned(),
        tls: RemoteTls::Roots(files.certificate.clone()),
        user: Some("writer".to_owned()),
        password_file: Some(password_file.clone()),
        ..settings(&mosquitto)
    };
    let (sink, mut inbox) = mpsc::channel(64);
    let subscription = Subscription::start(settings, sink).unwrap();
    assert!(!subscription.is_connected());
    // The file is read again for each attempt.
    std::fs::write(&password_file, "secret\n").unwrap();
    connected(&subscription).await;
    let roots = files.certificate.display().to_string();
    let more = [
        "-h",
        "localhost",
        "--cafile",
        &roots,
        "-r",
        "-t",
        "stations/1",
        "-m",
        "1",
    ];
    let sent = publish(mosquitto.address(), &more).await;
    assert!(sent.status.success());
    let messages = receive(&mut inbox).await;
    assert_eq!(
        (messages[0].qos, messages[0].kept),
        (QoS::AtMostOnce, false)
    );
    subscription.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_has_kept_is_marked() {
    let mosquitto = start();
    publish(mosquitto.address(), &["-r", "-t", "stations/1", "-m", "1"]).await;
    let (subscription, mut inbox) = subscribe(settings(&mosquitto)).await;
    assert!(receive(&mut inbox).await[0].kept);
    subscription.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let good = SubscriptionSettings {
        topics: vec!["a/#".to_owned()],
        ..SubscriptionSettings::new("localhost", 1883, "id")
    };
    let told = |settings: SubscriptionSettings| {
        let (sink, _inbox) = mpsc::channel(1);
        let refused: ConnectError = Subscription::start(settings, sink).err().unwrap();
        refused.to_string()
    };
    let bad_filter = SubscriptionSettings {
        topics: vec!["a/#/b".to_owned()],
        ..good.clone()
    };
    assert!(told(bad_filter).contains("`a/#/b` is no topic filter"));
    let no_topics = SubscriptionSettings {
        topics: Vec::new(),
        ..good.clone()
    };
    assert!(told(no_topics).contains("no topics"));
    let no_id = SubscriptionSettings {
        client_id: String::new(),
        ..good.clone()
    };
    assert!(told(no_id).contains("client id"));
    let no_file = SubscriptionSettings {
        user: Some("u".to_owned()),
        password_file: Some("nowhere/password".into()),
        ..good
    };
    assert!(told(no_file).starts_with("nowhere/password: "));
}
