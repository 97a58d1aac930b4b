//! A message of QoS 1 is lost by nobody: what was acknowledged is durable, all else comes again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions};
use smartem_mqtt::{Broker, BrokerSettings, QoS};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{Inbox, PATIENCE, Users, broker_with, receive, settings};

const MESSAGES: u32 = 2_000;

/// Publishes numbers with QoS 1 until all are acknowledged, coming back whenever it is thrown out.
fn publisher(address: SocketAddr) -> mpsc::UnboundedReceiver<()> {
    let mut options = MqttOptions::new("publisher", ("127.0.0.1", address.port()));
    options
        .set_credentials("writer", "secret")
        .set_clean_session(false)
        .set_inflight(100);
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    let (acknowledged, acknowledgements) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0..MESSAGES {
            let payload = number.to_string();
            let options = PublishOptions::new(rumqttc::QoS::AtLeastOnce);
            let sent = client.publish("stations/1/number", payload, options).await;
            sent.unwrap();
        }
        std::future::pending::<()>().await;
    });
    tokio::spawn(async move {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::PubAck(_))) => {
                    if acknowledged.send(()).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    acknowledgements
}

fn number(payload: &[u8]) -> u32 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

/// Takes messages; every third batch is lost before it is durable.
async fn forgetful_receiver(inbox: &mut Inbox, durable: &mut BTreeSet<u32>, batches: usize) {
    for round in 0..batches {
        for message in receive(inbox).await {
            if round % 3 == 2 {
                continue;
            }
            durable.insert(number(&message.payload));
            message.receipt.unwrap().confirm();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_receiver_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let session_file = Some(folder.path().join("sessions"));
    let before = BrokerSettings {
        session_file: session_file.clone(),
        ..settings()
    };
    let (broker, mut inbox) = broker_with(before).await;
    let address = broker.address().unwrap();
    let mut acknowledgements = publisher(address);
    let mut durable = BTreeSet::new();

    forgetful_receiver(&mut inbox, &mut durable, 6).await;
    // Killed with messages in hand and on their way.
    drop(inbox);
    drop(broker);

    let settings = BrokerSettings {
        listen: Some(address),
        session_file,
        ..settings()
    };
    // The port is free when the old broker has noticed its end.
    let (sink, mut inbox) = mpsc::channel(64);
    let start = async {
        loop {
            let broker = Broker::start(settings.clone(), Arc::new(Users), sink.clone());
            match broker.await {
                Ok(broker) => break broker,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let broker = timeout(PATIENCE, start).await.expect("the port is taken");
    let mut count = 0;
    let all = async {
        while durable.len() < MESSAGES as usize {
            forgetful_receiver(&mut inbox, &mut durable, 1).await;
        }
    };
    timeout(PATIENCE, all)
        .await
        .expect("some messages never came");
    while count < MESSAGES {
        // Acknowledgements may come twice for one message, and none for another before its time.
        let more = timeout(PATIENCE, acknowledgements.recv()).await;
        more.expect("some messages were not acknowledged").unwrap();
        count += 1;
    }
    assert_eq!(durable, (0..MESSAGES).collect());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_keep_the_order_of_messages() {
    let (broker, mut inbox) = broker_with(settings()).await;
    let address = broker.address().unwrap();
    let mut options = MqttOptions::new("order", ("127.0.0.1", address.port()));
    options.set_credentials("writer", "secret").set_inflight(10);
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    for number in 0..10 {
        let qos = PublishOptions::new(rumqttc::QoS::AtLeastOnce);
        // One in the middle is forbidden, and known to be so at once.
        let topic = if number == 4 { "other" } else { "stations/1" };
        let sent = client.publish(topic, number.to_string(), qos).await;
        sent.unwrap();
    }
    let answers = tokio::spawn(async move {
        let mut ids = Vec::new();
        while ids.len() < 10 {
            if let Event::Incoming(Packet::PubAck(ack)) = events.poll().await.unwrap() {
                ids.push(ack.pkid);
            }
        }
        ids
    });
    let mut receipts = Vec::new();
    while receipts.len() < 9 {
        let batch = receive(&mut inbox).await;
        receipts.extend(batch.into_iter().filter_map(|message| message.receipt));
    }
    for receipt in receipts.into_iter().rev() {
        receipt.confirm();
    }
    let ids = timeout(PATIENCE, answers).await.unwrap().unwrap();
    assert_eq!(ids, (1..=10).collect::<Vec<u16>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_while_too_much_waits_and_stopping_waits_for_the_rest() {
    let settings = BrokerSettings {
        max_inflight: 5,
        ..settings()
    };
    let (broker, mut inbox) = broker_with(settings).await;
    let mut acknowledgements = publisher(broker.address().unwrap());
    let mut waiting = Vec::new();
    while waiting.len() < 5 {
        waiting.extend(receive(&mut inbox).await);
    }
    let none = timeout(Duration::from_millis(200), inbox.recv()).await;
    assert!(none.is_err(), "more than five wait");
    assert!(waiting.iter().all(|it| it.qos == QoS::AtLeastOnce));

    let stopping = tokio::spawn(broker.stop());
    assert!(acknowledgements.try_recv().is_err());
    for message in waiting {
        message.receipt.unwrap().confirm();
    }
    for _ in 0..5 {
        let more = timeout(PATIENCE, acknowledgements.recv()).await;
        more.expect("not acknowledged before the end").unwrap();
    }
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}
