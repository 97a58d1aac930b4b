//! Clients whom nobody knows, at Mosquitto's clients.

use std::net::SocketAddr;
use std::process::{Child, Output};
use std::time::Duration;

use smartem_mqtt::{Broker, BrokerSettings, QoS, Topic};
use smartem_simulate::mosquitto;
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, broker, broker_with, publish, receive, run, settings};

fn arguments(address: SocketAddr, more: &[&str]) -> Vec<String> {
    let port = address.port().to_string();
    let all = ["-h", "127.0.0.1", "-p", &port];
    let all = all.iter().chain(more);
    all.map(|argument| (*argument).to_owned()).collect()
}

async fn subscribe(broker: &Broker, more: &[&str]) -> Child {
    let before = broker.subscriptions();
    let arguments = arguments(broker.address().unwrap(), more);
    let child = mosquitto::spawn("mosquitto_sub", arguments).unwrap();
    until(|| broker.subscriptions() > before).await;
    child
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it does not come");
}

async fn output(child: Child) -> Output {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    timeout(PATIENCE, output).await.unwrap().unwrap().unwrap()
}

fn told(output: &Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(all).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reads_what_is_open_and_nothing_else_and_publishes_nothing() {
    let (broker, mut inbox) = broker().await;
    let address = broker.address().unwrap();
    let child = subscribe(&broker, &["-C", "1", "-W", "30", "-t", "open/#"]).await;
    let topic = Topic::new("open/Observations").unwrap();
    let publisher = broker.publisher();
    assert_eq!(
        publisher.publish(&topic, "1".into(), QoS::AtMostOnce, false),
        1
    );
    assert_eq!(told(&output(child).await), "1\n");

    for filter in ["stations/#", "#", "+/Observations"] {
        let more = ["-V", "mqttv5", "-W", "5", "-t", filter];
        let refused = run("mosquitto_sub", arguments(address, &more)).await;
        assert!(
            told(&refused).contains("denied"),
            "{filter}: {}",
            told(&refused)
        );
    }
    let more = ["-V", "mqttv5", "-q", "1", "-t", "open/a", "-m", "1"];
    let refused = run("mosquitto_pub", arguments(address, &more)).await;
    assert!(
        told(&refused).contains("Not authorized"),
        "{}",
        told(&refused)
    );
    assert_eq!(broker.counts().forbidden, 1);
    assert!(inbox.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_leave_places_to_others_and_no_session_behind() {
    let (broker, mut inbox) = broker_with(BrokerSettings {
        max_guests: 1,
        ..settings()
    })
    .await;
    let address = broker.address().unwrap();
    let more = ["-q", "1", "-c", "-i", "guest", "-t", "open/#"];
    let mut first = subscribe(&broker, &more).await;
    let second = run(
        "mosquitto_sub",
        arguments(address, &["-W", "5", "-t", "open/#"]),
    );
    let second = told(&second.await);
    assert!(second.contains("unavailable"), "{second}");
    assert_eq!(broker.counts().turned_away, 1);

    let sent =
        tokio::spawn(async move { publish(address, &["-t", "stations/1", "-m", "1"]).await });
    receive(&mut inbox).await;
    assert!(sent.await.unwrap().status.success());

    first.kill().unwrap();
    first.wait().unwrap();
    until(|| broker.subscriptions() == 0).await;
    assert!(!broker.publisher().is_wanted("open/a"));
    let mut again = subscribe(&broker, &more).await;
    again.kill().unwrap();
    again.wait().unwrap();
}

/// A guest with so many filters.
fn subscribe_to_many(broker: &Broker, number: usize) -> Child {
    let filters: Vec<String> = (0..number).map(|number| format!("open/{number}")).collect();
    let mut more = vec!["-V", "mqttv5"];
    for filter in &filters {
        more.extend(["-t", filter]);
    }
    let arguments = arguments(broker.address().unwrap(), &more);
    mosquitto::spawn("mosquitto_sub", arguments).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_have_few_subscriptions_each_and_together() {
    let (broker, _inbox) = broker_with(BrokerSettings {
        max_guest_subscriptions: 70,
        ..settings()
    })
    .await;
    let mut first = subscribe_to_many(&broker, 60);
    until(|| broker.subscriptions() > 0).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(broker.subscriptions(), 50);
    let mut second = subscribe_to_many(&broker, 30);
    until(|| broker.subscriptions() > 50).await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(broker.subscriptions(), 70);
    let state = broker.state();
    let now = state().unwrap();
    assert_eq!((now.connections, now.guests, now.subscriptions), (2, 2, 70));

    for child in [&mut first, &mut second] {
        let _ = child.kill();
        child.wait().unwrap();
    }
    until(|| broker.subscriptions() == 0).await;
    // What is free again is there for the next one.
    let mut third = subscribe_to_many(&broker, 30);
    until(|| broker.subscriptions() == 30).await;
    let _ = third.kill();
    third.wait().unwrap();
    broker.stop().await;
    until(|| state().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_the_receiver_reaches_no_subscriber_and_is_not_retained() {
    let (broker, mut inbox) = broker().await;
    let address = broker.address().unwrap();
    let more = [
        "-u", "writer", "-P", "secret", "-C", "1", "-W", "30", "-t", "inbox/#",
    ];
    let child = subscribe(&broker, &more).await;
    let sent = publish(address, &["-r", "-t", "inbox/Things", "-m", "{}"]).await;
    assert!(sent.status.success());
    let taken = receive(&mut inbox).await;
    assert_eq!(&*taken[0].topic, "inbox/Things");
    let topic = Topic::new("inbox/Things").unwrap();
    let publisher = broker.publisher();
    assert_eq!(
        publisher.publish(&topic, "ours".into(), QoS::AtMostOnce, false),
        1
    );
    assert_eq!(told(&output(child).await), "ours\n");
}
