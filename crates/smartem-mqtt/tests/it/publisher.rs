//! Messages of the program itself, at Mosquitto's clients.

use std::process::Child;
use std::time::Duration;

use smartem_mqtt::{Broker, BrokerSettings, Publisher, QoS, Topic};
use smartem_simulate::mosquitto;
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, arguments, broker, broker_with, run, settings};

fn topic(name: &str) -> Topic {
    Topic::new(name).unwrap()
}

/// Starts `mosquitto_sub` and waits until it has subscribed.
async fn subscriber(broker: &Broker, number: &str, filter: &str, more: &[&str]) -> Child {
    let mut all = vec!["-v", "-C", number, "-W", "30", "-t", filter];
    all.extend(more);
    let address = broker.address().unwrap();
    let before = broker.subscriptions();
    let child = mosquitto::spawn("mosquitto_sub", arguments(address, &all));
    let child = child.unwrap_or_else(|problem| panic!("{problem}"));
    let subscribed = async {
        while broker.subscriptions() == before {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, subscribed)
        .await
        .expect("no subscription");
    child
}

/// The lines that a client wrote, each a topic and a payload.
async fn lines(child: Child) -> Vec<String> {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = timeout(PATIENCE, output).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn publish(publisher: &Publisher, name: &str, payload: &'static str) -> usize {
    publisher.publish(&topic(name), payload.into(), QoS::AtLeastOnce, false)
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_get_what_the_program_publishes_and_the_receiver_does_not() {
    let (broker, mut inbox) = broker().await;
    let publisher = broker.publisher();
    assert_eq!(publish(&publisher, "a/b", "nobody"), 0);
    for (version, qos) in [("mqttv311", "0"), ("mqttv5", "1")] {
        let more = ["-V", version, "-q", qos];
        let child = subscriber(&broker, "2", "a/+", &more).await;
        assert_eq!(publish(&publisher, "a/b", "1"), 1);
        assert_eq!(publish(&publisher, "b/b", "not for it"), 0);
        assert_eq!(publish(&publisher, "a/c", "2"), 1);
        assert_eq!(lines(child).await, ["a/b 1", "a/c 2"]);
    }
    assert!(inbox.try_recv().is_err());
    broker.stop().await;
    assert_eq!(publish(&publisher, "a/b", "after the end"), 0);
    let taken = timeout(PATIENCE, inbox.recv()).await;
    assert!(taken.unwrap().is_none(), "the publisher holds no channel");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_with_options_of_queries_are_filters_as_they_stand() {
    let (broker, _inbox) = broker().await;
    let publisher = broker.publisher();
    let topics = [
        "v1.1/Datastreams(1)/Observations?$select=result",
        "v1.1/Observations?$select=result,phenomenonTime",
        "v1.1/Things('a b')/name",
        "v1.1/Things?$filter=name eq 'it''s \"x\"'&$expand=Datastreams/Sensor($top=1)",
        "sta/v1.0/Observations?$filter=result%20gt%205",
    ];
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for name in topics {
            let child = subscriber(&broker, "1", name, &["-V", version]).await;
            assert!(publisher.is_wanted(name), "{name}");
            assert_eq!(&*publisher.filters().current()[0], name);
            let (path, _) = name.rsplit_once('?').unwrap_or((name, ""));
            assert!(path == name || !publisher.is_wanted(path));
            assert_eq!(publish(&publisher, name, "it"), 1);
            assert_eq!(lines(child).await, [format!("{name} it")]);
            nobody(&broker).await;
        }
    }
}

async fn nobody(broker: &Broker) {
    let gone = async {
        while broker.subscriptions() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("subscriptions end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_one_filter_goes_to_nobody_with_another() {
    let (broker, _inbox) = broker().await;
    let publisher = broker.publisher();
    let all = subscriber(&broker, "1", "v1.1/#", &[]).await;
    let one = subscriber(&broker, "2", "v1.1/Things?$top=1", &[]).await;
    let filter = topic("v1.1/Things?$top=1");
    assert_eq!(
        publisher.publish_to(&filter, "a".into(), QoS::AtLeastOnce),
        1
    );
    assert_eq!(publish(&publisher, "v1.1/Things?$top=1", "b"), 2);
    assert_eq!(lines(all).await, ["v1.1/Things?$top=1 b"]);
    assert_eq!(
        lines(one).await,
        ["v1.1/Things?$top=1 a", "v1.1/Things?$top=1 b"]
    );
    let other = topic("v1.1/Sensors");
    assert_eq!(
        publisher.publish_to(&other, "c".into(), QoS::AtLeastOnce),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_filters_is_told() {
    let (broker, _inbox) = broker().await;
    let mut filters = broker.publisher().filters();
    assert!(filters.current().is_empty());
    let mut child = subscriber(&broker, "9", "a/#", &[]).await;
    assert!(timeout(PATIENCE, filters.changed()).await.unwrap());
    assert_eq!(&*filters.current()[0], "a/#");

    // The same filter of another changes nothing.
    let mut other = subscriber(&broker, "9", "a/#", &[]).await;
    let quiet = timeout(Duration::from_millis(100), filters.changed());
    assert!(quiet.await.is_err());
    assert!(broker.publisher().is_wanted("a/b") && !broker.publisher().is_wanted("b"));

    for child in [&mut child, &mut other] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(timeout(PATIENCE, filters.changed()).await.unwrap());
    assert!(filters.current().is_empty());
    broker.stop().await;
    assert!(!timeout(PATIENCE, filters.changed()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_subscriber_holds_up_nobody_and_misses_what_its_queue_cannot_hold() {
    let (broker, _inbox) = broker_with(BrokerSettings {
        max_queued: 10,
        ..settings()
    })
    .await;
    let more = ["-q", "1", "-c", "-i", "slow", "-E"];
    // It subscribes and goes: its session stays.
    let child = subscriber(&broker, "1", "a/#", &more).await;
    lines(child).await;
    let away = async {
        while broker.connected() > 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, away).await.unwrap();
    let publisher = broker.publisher();
    let taken: usize = (0..100).map(|_| publish(&publisher, "a/b", "x")).sum();
    assert_eq!(taken, 10);
    assert_eq!(broker.counts().undelivered, 90);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_program_retains_is_there_for_later_subscribers() {
    let (broker, _inbox) = broker().await;
    let publisher = broker.publisher();
    publisher.publish(&topic("a/b"), "kept".into(), QoS::AtLeastOnce, true);
    let all = ["-v", "-C", "1", "-W", "30", "-t", "a/#"];
    let output = run("mosquitto_sub", arguments(broker.address().unwrap(), &all)).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a/b kept\n");
}
