//! Whatever bytes come, the broker goes on.

use std::net::SocketAddr;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Inbox, PATIENCE, broker, publish, receive_texts};

/// A good CONNECT of `writer`, of MQTT 3.1.1 or 5.
fn connect(version: u8) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([version, 0xC2, 0, 10]);
    if version == 5 {
        body.push(0);
    }
    body.extend(b"\x00\x01c\x00\x06writer\x00\x06secret");
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

/// A packet of any kind whose length is right and whose content is anything.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..60);
    (any::<u8>(), body).prop_map(|(first, body)| {
        let mut packet = vec![first, u8::try_from(body.len()).unwrap()];
        packet.extend(body);
        packet
    })
}

/// Bytes of somebody who does not know MQTT, or knows it well and means harm.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let after_login = (
        prop::sample::select(vec![4_u8, 5]),
        prop::collection::vec(packet(), 1..6),
    );
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        packet(),
        after_login.prop_map(|(version, packets)| {
            let mut all = connect(version);
            all.extend(packets.concat());
            all
        }),
    ]
}

async fn send(to: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // The broker may close while we write.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the broker closes when the client has");
}

/// Confirms everything, and stops when asked to by the topic.
async fn confirm_all(mut inbox: Inbox) {
    while let Some(batch) = inbox.recv().await {
        for receipt in batch.into_iter().filter_map(|message| message.receipt) {
            receipt.confirm();
        }
    }
}

#[test]
fn random_bytes_do_not_stop_the_broker() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (broker, inbox) = runtime.block_on(broker());
    let to = broker.address().unwrap();
    runtime.spawn(confirm_all(inbox));
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: 1_500,
            failure_persistence: None,
            ..Config::default()
        },
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let result = runner.run(&bytes(), |bytes| {
        runtime.block_on(send(to, &bytes));
        Ok(())
    });
    result.unwrap();
    let counts = broker.counts();
    assert!(counts.faults > 100, "{counts:?}");
    assert!(counts.connections > 100, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_holds_up_nobody() {
    let (broker, mut inbox) = broker().await;
    let to = broker.address().unwrap();
    let _silent = TcpStream::connect(to).await.unwrap();
    let mut half = TcpStream::connect(to).await.unwrap();
    half.write_all(&connect(4)[..7]).await.unwrap();
    publish(to, &["-t", "stations/1", "-m", "1"]).await;
    assert_eq!(receive_texts(&mut inbox, 1).await[0].1, "1");
    let stopped = timeout(PATIENCE, broker.stop()).await;
    assert!(stopped.is_ok());
}
