//! Mosquitto's own clients at our broker.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Output};
use std::time::Duration;

use smartem_mqtt::{Broker, BrokerSettings, QoS, Refused, TlsFiles};
use smartem_simulate::mosquitto;
use tokio::time::{sleep, timeout};

use crate::support::{
    PATIENCE, arguments, broker, broker_with, certificate, publish, receive, receive_texts, run,
    settings,
};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Starts `mosquitto_sub`, which ends after so many messages, and waits until it has subscribed.
async fn subscriber(broker: &Broker, number: &str, filter: &str, more: &[&str]) -> Child {
    let before = broker.subscriptions();
    let mut all = vec!["-v", "-C", number, "-W", "30", "-t", filter];
    all.extend(more);
    let child = mosquitto::spawn("mosquitto_sub", arguments(address(broker), &all));
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

async fn finish(child: Child) -> Vec<String> {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output: Output = timeout(PATIENCE, output).await.unwrap().unwrap().unwrap();
    let lines = text(&output.stdout);
    let messages = lines.lines().filter(|line| line.starts_with("stations/"));
    messages.map(str::to_owned).collect()
}

fn address(broker: &Broker) -> SocketAddr {
    broker.address().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_qos_and_version_arrive() {
    let (broker, mut inbox) = broker().await;
    let to = address(&broker);
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for (qos, expected) in [
            ("0", QoS::AtMostOnce),
            ("1", QoS::AtLeastOnce),
            ("2", QoS::ExactlyOnce),
        ] {
            let more = [
                "-V",
                version,
                "-q",
                qos,
                "-t",
                "stations/1/no2",
                "-m",
                "21.5",
            ];
            let sent = tokio::spawn(async move { publish(to, &more).await });
            let [message] = <[_; 1]>::try_from(receive(&mut inbox).await).unwrap();
            assert_eq!((&*message.topic, message.qos), ("stations/1/no2", expected));
            assert_eq!(&message.payload[..], b"21.5");
            assert_eq!(message.user.as_deref(), Some("writer"));
            if let Some(receipt) = message.receipt {
                assert!(!sent.is_finished(), "the client must wait for us");
                receipt.confirm();
            }
            let sent = sent.await.unwrap();
            assert!(
                sent.status.success(),
                "{version} {qos}: {}",
                text(&sent.stderr)
            );
        }
    }
    assert_eq!(broker.counts().received, 9);
    assert_eq!(broker.counts().faults, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told() {
    let (broker, _inbox) = broker().await;
    let port = address(&broker).port().to_string();
    for (version, user, said) in [
        ("mqttv311", "writer", "bad user name or password"),
        ("mqttv311", "nobody", "not authorised"),
        ("mqttv5", "writer", "bad user name or password"),
    ] {
        let more = [
            "-p",
            &port,
            "-V",
            version,
            "-u",
            user,
            "-P",
            "wrong",
            "-t",
            "stations/1",
            "-m",
            "1",
        ];
        let output = run("mosquitto_pub", more.map(str::to_owned).to_vec()).await;
        assert!(!output.status.success());
        let told = text(&output.stderr);
        assert!(told.to_lowercase().contains(said), "{told}");
    }
    assert_eq!(broker.counts().logins_refused, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_topic_is_left_out_and_mqtt_5_is_told() {
    let (broker, mut inbox) = broker().await;
    let to = address(&broker);
    let forbidden = publish(to, &["-q", "1", "-t", "other/1", "-m", "1"]).await;
    // MQTT 3.1.1 has no word for it.
    assert!(forbidden.status.success(), "{}", text(&forbidden.stderr));
    let told = publish(to, &["-V", "mqttv5", "-q", "1", "-t", "$SYS/x", "-m", "1"]).await;
    assert!(
        text(&told.stderr).contains("Not authorized"),
        "{}",
        text(&told.stderr)
    );
    publish(to, &["-t", "stations/1", "-m", "allowed"]).await;
    let texts = receive_texts(&mut inbox, 1).await;
    assert_eq!(texts, [("stations/1".to_owned(), "allowed".to_owned())]);
    assert_eq!(broker.counts().forbidden, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_payload_is_answered_so_that_it_is_not_sent_for_ever() {
    let (broker, mut inbox) = broker().await;
    let to = address(&broker);
    for (version, told) in [("mqttv311", ""), ("mqttv5", "Payload format invalid")] {
        let more = ["-V", version, "-q", "1", "-t", "stations/1", "-m", "?"];
        let sent = tokio::spawn(async move { publish(to, &more).await });
        for message in receive(&mut inbox).await {
            message.receipt.unwrap().refuse(Refused::Payload);
        }
        let sent = timeout(PATIENCE, sent).await.unwrap().unwrap();
        assert!(text(&sent.stderr).contains(told), "{}", text(&sent.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_see_what_is_published() {
    let (broker, mut inbox) = broker().await;
    let to = address(&broker);
    let all = subscriber(&broker, "3", "stations/#", &["-q", "1"]).await;
    let level = subscriber(&broker, "1", "stations/+/o3", &["-V", "mqttv5"]).await;
    let one = subscriber(&broker, "1", "stations/2/no2", &[]).await;
    for (topic, value) in [("1/no2", "1"), ("1/o3", "2"), ("2/no2", "3")] {
        let topic = format!("stations/{topic}");
        let more = ["-q", "1", "-t", &topic, "-m", value];
        let (_, sent) = tokio::join!(receive_texts(&mut inbox, 1), publish(to, &more));
        assert!(sent.status.success());
    }
    let expected = ["stations/1/no2 1", "stations/1/o3 2", "stations/2/no2 3"];
    assert_eq!(finish(all).await, expected);
    assert_eq!(finish(level).await, expected[1..2]);
    assert_eq!(finish(one).await, expected[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_may_be_refused() {
    let (broker, _inbox) = broker().await;
    for filter in ["secret/#", "$share/g/stations/#"] {
        let more = ["-V", "mqttv5", "-d", "-W", "5", "-t", filter];
        let output = run("mosquitto_sub", arguments(address(&broker), &more)).await;
        let told = text(&output.stdout) + &text(&output.stderr);
        assert!(
            told.contains("All subscription requests were denied"),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_wait_for_subscribers() {
    let (broker, mut inbox) = broker().await;
    let to = address(&broker);
    for (topic, value) in [
        ("stations/1", "old"),
        ("stations/1", "new"),
        ("stations/2", "x"),
    ] {
        publish(to, &["-r", "-t", topic, "-m", value]).await;
    }
    // An empty one forgets.
    publish(to, &["-r", "-n", "-t", "stations/2"]).await;
    publish(to, &["-t", "stations/3", "-m", "not retained"]).await;
    receive_texts(&mut inbox, 5).await;
    publish(to, &["-r", "-t", "stations/4", "-m", "last"]).await;
    receive_texts(&mut inbox, 1).await;
    let more = ["-v", "-C", "2", "-W", "30", "-t", "stations/#"];
    let seen = run("mosquitto_sub", arguments(to, &more)).await;
    assert_eq!(text(&seen.stdout), "stations/1 new\nstations/4 last\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_messages_for_a_subscriber_that_is_away() {
    let (broker, mut inbox) = broker().await;
    let to = address(&broker);
    let session = ["-c", "-i", "reader", "-q", "1"];
    let first = subscriber(&broker, "1", "stations/#", &session).await;
    publish(to, &["-t", "stations/1", "-m", "here"]).await;
    assert_eq!(finish(first).await, ["stations/1 here"]);
    receive_texts(&mut inbox, 1).await;
    for value in ["a", "b"] {
        let more = ["-q", "1", "-t", "stations/1", "-m", value];
        tokio::join!(receive_texts(&mut inbox, 1), publish(to, &more));
    }
    let more = [
        "-v",
        "-C",
        "2",
        "-W",
        "30",
        "-t",
        "stations/#",
        "-c",
        "-i",
        "reader",
        "-q",
        "1",
    ];
    let output = run("mosquitto_sub", arguments(to, &more)).await;
    assert_eq!(text(&output.stdout), "stations/1 a\nstations/1 b\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_published_when_the_client_is_gone() {
    let (broker, mut inbox) = broker().await;
    let to = address(&broker);
    let will = [
        "--will-topic",
        "stations/1/status",
        "--will-payload",
        "gone",
    ];
    let mut client = subscriber(&broker, "9", "stations/9", &will).await;
    client.kill().unwrap();
    client.wait().unwrap();
    let texts = receive_texts(&mut inbox, 1).await;
    assert_eq!(texts, [("stations/1/status".to_owned(), "gone".to_owned())]);
    // A client that says goodbye has no will.
    let mut more = vec!["-t", "stations/1", "-m", "1"];
    more.extend(will);
    publish(to, &more).await;
    publish(to, &["-t", "stations/1", "-m", "2"]).await;
    let texts = receive_texts(&mut inbox, 2).await;
    let values: Vec<&str> = texts.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_needs_the_right_certificate_and_takes_a_renewed_one() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path());
    let settings = BrokerSettings {
        listen: None,
        listen_tls: Some((SocketAddr::from(([127, 0, 0, 1], 0)), files.clone())),
        ..settings()
    };
    let (broker, mut inbox) = broker_with(settings).await;
    let to = broker.tls_address().unwrap();
    let roots = files.certificate.display().to_string();
    let more = [
        "-h",
        "localhost",
        "--cafile",
        &roots,
        "-q",
        "1",
        "-t",
        "stations/1",
        "-m",
        "1",
    ];
    let (texts, sent) = tokio::join!(receive_texts(&mut inbox, 1), publish(to, &more));
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    assert_eq!(texts[0].1, "1");
    let plain = publish(to, &["-t", "stations/1", "-m", "1"]).await;
    assert!(!plain.status.success(), "without TLS nothing goes");

    // Seen after a second at the latest; the client only trusts the new one.
    certificate(folder.path());
    let renewed = [
        "-h",
        "localhost",
        "--cafile",
        &roots,
        "-t",
        "stations/1",
        "-m",
        "2",
    ];
    let begin = std::time::Instant::now();
    loop {
        let sent = publish(to, &renewed).await;
        if sent.status.success() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{}", text(&sent.stderr));
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(receive_texts(&mut inbox, 1).await[0].1, "2");
}

/// Files in a folder that is a link, exchanged whole as a cluster does it; their times say nothing.
fn exchange(folder: &Path, version: &str) -> TlsFiles {
    std::fs::create_dir(folder.join(version)).unwrap();
    let made = certificate(&folder.join(version));
    for file in [&made.certificate, &made.key] {
        let file = std::fs::File::options().write(true).open(file).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    std::os::unix::fs::symlink(version, folder.join("..new")).unwrap();
    std::fs::rename(folder.join("..new"), folder.join("..data")).unwrap();
    TlsFiles {
        certificate: folder.join("..data/certificate.pem"),
        key: folder.join("..data/key.pem"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_exchanged_by_a_link_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let files = exchange(folder.path(), "..1");
    let settings = BrokerSettings {
        listen: None,
        listen_tls: Some((SocketAddr::from(([127, 0, 0, 1], 0)), files.clone())),
        ..settings()
    };
    let (broker, mut inbox) = broker_with(settings).await;
    let to = broker.tls_address().unwrap();
    // Clients know the server by the certificate of now.
    let roots = files.certificate.display().to_string();
    let message = |value| {
        let known = ["-h", "localhost", "--cafile", &roots];
        let more = ["-t", "stations/1", "-m", value];
        known.into_iter().chain(more).collect::<Vec<_>>()
    };
    let sent = publish(to, &message("1")).await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    assert_eq!(receive_texts(&mut inbox, 1).await[0].1, "1");

    exchange(folder.path(), "..2");
    let begin = std::time::Instant::now();
    loop {
        let sent = publish(to, &message("2")).await;
        if sent.status.success() {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{}", text(&sent.stderr));
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(receive_texts(&mut inbox, 1).await[0].1, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_limit_to_packets_and_connections() {
    let settings = BrokerSettings {
        max_packet_bytes: 1_000,
        max_connections: 1,
        ..settings()
    };
    let (broker, mut inbox) = broker_with(settings).await;
    let to = address(&broker);
    let large = "x".repeat(2_000);
    publish(to, &["-t", "stations/1", "-m", &large]).await;
    let ended = async {
        while broker.connected() > 0 || broker.counts().connections == 0 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the connection ends");
    assert_eq!(broker.counts().faults, 1);
    let mut only = subscriber(&broker, "1", "stations/#", &[]).await;
    let second = publish(to, &["-t", "stations/1", "-m", "1"]).await;
    assert!(!second.status.success());
    assert_eq!(broker.counts().turned_away, 1);
    assert!(inbox.try_recv().is_err(), "nothing was received");
    only.kill().unwrap();
    only.wait().unwrap();
}
