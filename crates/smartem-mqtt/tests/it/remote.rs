//! Our publisher at a real Mosquitto.

use std::collections::BTreeSet;
use std::time::Duration;

use smartem_mqtt::{
    ConnectError, PublishError, Remote, RemoteSettings, RemoteTls, Subscription,
    SubscriptionSettings, Topic,
};
use smartem_simulate::mosquitto::{Mosquitto, MosquittoSettings};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::support::{Inbox, PATIENCE, certificate, receive, receive_texts};

const SOON: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

fn settings(mosquitto: &Mosquitto) -> RemoteSettings {
    RemoteSettings {
        backoff: SOON,
        ..RemoteSettings::new("127.0.0.1", mosquitto.address().port(), "publisher")
    }
}

fn start() -> Mosquitto {
    Mosquitto::start().unwrap_or_else(|problem| panic!("{problem}"))
}

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it does not come");
}

/// Somebody at the broker with a session that stays.
async fn subscriber(mosquitto: &Mosquitto) -> (Subscription, Inbox) {
    let (sink, inbox) = mpsc::channel(64);
    let settings = SubscriptionSettings {
        topics: vec!["v1.1/#".to_owned()],
        backoff: SOON,
        ..SubscriptionSettings::new("127.0.0.1", mosquitto.address().port(), "subscriber")
    };
    let subscription = Subscription::start(settings, sink).unwrap();
    until(|| subscription.is_connected()).await;
    (subscription, inbox)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_arrive_in_their_order_and_are_acknowledged() {
    let mosquitto = start();
    let (subscription, mut inbox) = subscriber(&mosquitto).await;
    let remote = Remote::start(settings(&mosquitto)).unwrap();
    let publisher = remote.publisher();
    let name = "v1.1/Datastreams(1)/Observations?$select=result";
    for number in 1..=250 {
        let payload = number.to_string().into();
        assert_eq!(publisher.publish(topic(name), payload, false), Ok(number));
    }
    let expected: Vec<_> = (1..=250)
        .map(|number| (name.to_owned(), number.to_string()))
        .collect();
    assert_eq!(receive_texts(&mut inbox, 250).await, expected);
    timeout(PATIENCE, publisher.acknowledged_up_to(250))
        .await
        .unwrap();
    assert_eq!(
        (publisher.acknowledged(), publisher.unacknowledged()),
        (250, 0)
    );

    publisher
        .publish(topic("v1.1/kept"), "k".into(), true)
        .unwrap();
    assert_eq!(remote.stop(PATIENCE).await, 0);
    let ended = publisher.publish(topic("v1.1/a"), "1".into(), false);
    assert_eq!(ended, Err(PublishError::Ended));
    assert_eq!(receive_texts(&mut inbox, 1).await[0].1, "k");
    subscription.stop().await;
    let (sink, mut inbox) = mpsc::channel(64);
    let settings = SubscriptionSettings {
        topics: vec!["v1.1/kept".to_owned()],
        ..SubscriptionSettings::new("127.0.0.1", mosquitto.address().port(), "later")
    };
    let later = Subscription::start(settings, sink).unwrap();
    assert!(receive(&mut inbox).await[0].kept);
    later.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_the_broker_is_away_waits_up_to_a_limit() {
    let mut mosquitto = start();
    let (subscription, mut inbox) = subscriber(&mosquitto).await;
    let remote = Remote::start(RemoteSettings {
        max_queued: 3,
        ..settings(&mosquitto)
    })
    .unwrap();
    until(|| remote.is_connected()).await;
    mosquitto.stop().unwrap();
    until(|| !remote.is_connected()).await;
    let publisher = remote.publisher();
    let publish = |payload: &'static str| publisher.publish(topic("v1.1/a"), payload.into(), false);
    for (payload, number) in [("1", 1), ("2", 2), ("3", 3)] {
        assert_eq!(publish(payload), Ok(number));
    }
    assert_eq!(publish("4"), Err(PublishError::Full));
    assert_eq!(publisher.unacknowledged(), 3);
    let waiting = {
        let publisher = publisher.clone();
        tokio::spawn(async move { publisher.send(topic("v1.1/a"), "4".into(), false).await })
    };
    sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    mosquitto.start_again().unwrap();
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), Ok(4));
    let values = receive_texts(&mut inbox, 4).await;
    let values: Vec<&str> = values.iter().map(|(_, value)| &**value).collect();
    assert_eq!(values, ["1", "2", "3", "4"]);
    assert_eq!(remote.stop(PATIENCE).await, 0);
    subscription.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_while_the_broker_restarts_again_and_again() {
    const MESSAGES: u64 = 3_000;
    let mut mosquitto = start();
    let (subscription, mut inbox) = subscriber(&mosquitto).await;
    let remote = Remote::start(RemoteSettings {
        max_queued: 50,
        max_inflight: 20,
        ..settings(&mosquitto)
    })
    .unwrap();
    let publisher = remote.publisher();
    let sending = {
        let publisher = publisher.clone();
        tokio::spawn(async move {
            for number in 1..=MESSAGES {
                let payload = number.to_string().into();
                let sent = publisher.send(topic("v1.1/a"), payload, false).await;
                assert_eq!(sent, Ok(number));
                sleep(Duration::from_micros(200)).await;
            }
        })
    };
    let restarting = tokio::task::spawn_blocking(move || {
        for _ in 0..4 {
            std::thread::sleep(Duration::from_millis(150));
            mosquitto.stop().unwrap();
            mosquitto.start_again().unwrap();
        }
        mosquitto
    });
    let mut arrived = BTreeSet::new();
    while arrived.len() < usize::try_from(MESSAGES).unwrap() {
        for (_, value) in receive_texts(&mut inbox, 1).await {
            arrived.insert(value.parse::<u64>().unwrap());
        }
    }
    sending.await.unwrap();
    let mosquitto = restarting.await.unwrap();
    timeout(PATIENCE, publisher.acknowledged_up_to(MESSAGES))
        .await
        .unwrap();
    assert_eq!(remote.stop(PATIENCE).await, 0);
    subscription.stop().await;
    drop(mosquitto);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_what_was_not_acknowledged() {
    let mut mosquitto = start();
    let remote = Remote::start(RemoteSettings {
        max_queued: 2,
        ..settings(&mosquitto)
    })
    .unwrap();
    mosquitto.stop().unwrap();
    until(|| !remote.is_connected()).await;
    let publisher = remote.publisher();
    for number in 1..=2 {
        let sent = publisher.publish(topic("v1.1/a"), "1".into(), false);
        assert_eq!(sent, Ok(number));
    }
    let waiting = {
        let publisher = publisher.clone();
        tokio::spawn(async move { publisher.send(topic("v1.1/a"), "1".into(), false).await })
    };
    sleep(Duration::from_millis(50)).await;
    assert_eq!(remote.stop(Duration::from_millis(50)).await, 2);
    let sent = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(sent, Err(PublishError::Ended));
    timeout(PATIENCE, publisher.acknowledged_up_to(2))
        .await
        .unwrap();
    assert_eq!(publisher.acknowledged(), 0);
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
    let remote = Remote::start(RemoteSettings {
        host: "localhost".to_owned(),
        tls: RemoteTls::Roots(files.certificate.clone()),
        user: Some("writer".to_owned()),
        password_file: Some(password_file.clone()),
        ..settings(&mosquitto)
    })
    .unwrap();
    let publisher = remote.publisher();
    publisher
        .publish(topic("v1.1/a"), "1".into(), false)
        .unwrap();
    sleep(Duration::from_millis(100)).await;
    assert!(!remote.is_connected() && publisher.unacknowledged() == 1);
    // The file is read again for each attempt.
    std::fs::write(&password_file, "secret\n").unwrap();
    timeout(PATIENCE, publisher.acknowledged_up_to(1))
        .await
        .unwrap();
    assert_eq!(remote.stop(PATIENCE).await, 0);
}

#[tokio::test]
async fn what_cannot_work_is_refused() {
    let nameless = RemoteSettings::new("localhost", 1883, "");
    let refused = Remote::start(nameless).err().unwrap();
    assert!(matches!(refused, ConnectError::NoClientId));
    let remote = Remote::start(RemoteSettings {
        max_packet_bytes: 1_000,
        ..RemoteSettings::new("localhost", 1, "id")
    })
    .unwrap();
    let large = vec![0; 1_000].into();
    let refused = remote.publisher().publish(topic("a"), large, false);
    assert_eq!(refused, Err(PublishError::TooLarge));
}
