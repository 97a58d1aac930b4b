//! How many messages of one value go through the embedded broker into the points of a store.
//!
//! ```text
//! cargo run --release -p smartem-collect --example mqtt_throughput -- [messages] [connections] [qos]
//! ```
//!
//! The load comes from this same program over loopback: 100 stations with 10 values each.
#![expect(clippy::print_stdout, reason = "the result is for a person")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use smartem_collect::receive::mqtt::{DATABASE, MqttConfig, MqttReceiver};
use smartem_mqtt::{Authority, Broker, BrokerSettings, Login, LoginRefused};
use smartem_store::{Access, DatabaseSettings, Points, PointsSettings, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Everybody;

#[async_trait]
impl Authority for Everybody {
    async fn connect(&self, _: Login<'_>) -> Result<Arc<str>, LoginRefused> {
        Ok("everybody".into())
    }

    fn may_publish(&self, _: &str, topic: &str) -> bool {
        topic.starts_with("smartem/")
    }

    fn may_subscribe(&self, _: &str, _: &str) -> bool {
        false
    }
}

fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    [&[first, length], body].concat()
}

/// Publishes so many numbers; with QoS 1 a thousand at a time wait for their answers.
async fn publish(to: SocketAddr, client: usize, messages: usize, qos: u8) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(to).await?;
    let mut connect = string("MQTT");
    connect.extend([4, 2, 0, 60]);
    connect.extend(string(&format!("load-{client}")));
    stream.write_all(&packet(0x10, &connect)).await?;
    let mut welcome = [0; 4];
    stream.read_exact(&mut welcome).await?;
    let mut sent = 0;
    while sent < messages {
        let number = 500.min(messages - sent);
        let mut bytes = Vec::with_capacity(number * 40);
        for index in sent..sent + number {
            let topic = format!("smartem/s{}/v{}", client * 20 + index % 20, index / 20 % 10);
            let mut body = string(&topic);
            if qos > 0 {
                let id = u16::try_from(index % 60_000 + 1).unwrap_or(1);
                body.extend(id.to_be_bytes());
            }
            body.extend(format!("{}.5", index % 50).as_bytes());
            bytes.extend(packet(0x30 | qos << 1, &body));
        }
        stream.write_all(&bytes).await?;
        if qos > 0 {
            let mut answers = vec![0; number * 4];
            stream.read_exact(&mut answers).await?;
        }
        sent += number;
    }
    stream.write_all(&[0xE0, 0]).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|it| it.parse::<usize>());
    let messages = arguments.next().transpose()?.unwrap_or(1_000_000);
    let connections = arguments.next().transpose()?.unwrap_or(5);
    let qos = u8::try_from(arguments.next().transpose()?.unwrap_or(0))?.min(1);

    let dir = tempfile::tempdir_in(".")?;
    let begin = Instant::now();
    let since: Timestamp = "2026-11-28T12:00:00Z".parse()?;
    let clock: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || since + begin.elapsed());
    let store = Store::open(dir.path(), Access::Create { now: since }).await?;
    let database = DatabaseSettings {
        name: DATABASE.to_owned(),
        project: None,
        network: "mqtt".to_owned(),
        mapping: None,
    };
    let points = Points::open(&store, PointsSettings::new(vec![database], clock.clone())).await?;
    let config = MqttConfig {
        auto_register: true,
        ..MqttConfig::default()
    };
    let receiver = MqttReceiver::new(config, points.clone(), store, clock);
    let counts = receiver.counts();
    let (sink, inbox) = mpsc::channel(64);
    let receiver = tokio::spawn(receiver.run(inbox, CancellationToken::new()));
    let settings = BrokerSettings {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..BrokerSettings::default()
    };
    let broker = Broker::start(settings, Arc::new(Everybody), sink).await?;
    let to = broker.address().ok_or("no address")?;

    // Stations are registered before the clock runs.
    for client in 0..connections {
        publish(to, client, 200, 1).await?;
    }
    let first = counts().points;
    let begin = Instant::now();
    let load: Vec<_> = (0..connections)
        .map(|client| tokio::spawn(publish(to, client, messages / connections, qos)))
        .collect();
    for load in load {
        load.await??;
    }
    let sent = begin.elapsed();
    let all = (messages / connections * connections) as u64;
    while counts().points - first < all {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let durable = begin.elapsed();
    println!(
        "{all} messages, {connections} connections, QoS {qos}: sent in {sent:.2?}, durable in \
         {durable:.2?}: {:.0} messages/s",
        all as f64 / durable.as_secs_f64()
    );
    broker.stop().await;
    receiver.await?;
    points.close().await?;
    Ok(())
}
