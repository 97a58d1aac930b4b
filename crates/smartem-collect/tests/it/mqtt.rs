//! MQTT from mosquitto's clients through the embedded broker into the points of a store.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use smartem_collect::receive::mqtt::{DATABASE, MqttConfig, MqttReceiver};
use smartem_mqtt::{Authority, Broker, BrokerSettings, Login, LoginRefused};
use smartem_points::{Cells, Order, PointSource as _};
use smartem_simulate::mosquitto;
use smartem_store::{
    Access, DatabaseSettings, NameFrom, Points, PointsSettings, QuarantineFilter, StationMapping,
    Store, TypeFrom,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

/// Everybody may do everything.
struct Open;

#[async_trait]
impl Authority for Open {
    async fn connect(&self, _: Login<'_>) -> Result<Arc<str>, LoginRefused> {
        Ok("anybody".into())
    }

    fn may_publish(&self, _: &str, _: &str) -> bool {
        true
    }

    fn may_subscribe(&self, _: &str, _: &str) -> bool {
        true
    }
}

struct Platform {
    store: Store,
    points: Points,
    broker: Broker,
    receiver: JoinHandle<()>,
}

impl Platform {
    async fn start(dir: &Path, config: MqttConfig) -> Self {
        let store = Store::open(dir, Access::Create { now: now() })
            .await
            .unwrap();
        let database = |name: &str, mapping| DatabaseSettings {
            name: name.to_owned(),
            project: None,
            network: "mqtt".to_owned(),
            mapping,
        };
        let mapping = StationMapping {
            station: NameFrom::Tag("station".to_owned()),
            station_type: TypeFrom::Measurement,
            stations: BTreeMap::new(),
        };
        let databases = vec![database(DATABASE, Some(mapping)), database("air", None)];
        let settings = PointsSettings::new(databases, Arc::new(now));
        let points = Points::open(&store, settings).await.unwrap();
        let (sink, inbox) = mpsc::channel(64);
        let receiver = MqttReceiver::new(config, points.clone(), store.clone(), Arc::new(now));
        let receiver = tokio::spawn(receiver.run(inbox, CancellationToken::new()));
        let settings = BrokerSettings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..BrokerSettings::default()
        };
        let broker = Broker::start(settings, Arc::new(Open), sink).await.unwrap();
        Self {
            store,
            points,
            broker,
            receiver,
        }
    }

    /// Publishes with QoS 1: when this returns, the message has been taken.
    async fn publish(&self, topic: &str, payload: &str) -> String {
        let port = self.broker.address().unwrap().port().to_string();
        let arguments = [
            "-V", "mqttv5", "-p", &port, "-q", "1", "-t", topic, "-m", payload,
        ]
        .map(str::to_owned);
        let sent = tokio::task::spawn_blocking(move || mosquitto::run("mosquitto_pub", arguments))
            .await
            .unwrap()
            .unwrap_or_else(|problem| panic!("{problem}"));
        String::from_utf8(sent.stderr).unwrap()
    }

    /// The values of a field by time, over all series of a measurement.
    fn values(&self, database: &str, measurement: &str, field: &str) -> Vec<(i64, f64)> {
        let mut values = Vec::new();
        for series in self.points.series(database, measurement) {
            let mut take = |chunk: &smartem_points::Chunk| {
                if let Cells::Floats(cells) = &chunk.columns[0] {
                    let rows = chunk.times.iter().zip(cells);
                    values.extend(rows.filter_map(|(time, cell)| Some((*time, (*cell)?))));
                }
                ControlFlow::Continue(())
            };
            let all = i64::MIN..=i64::MAX;
            self.points
                .scan(series.id, &[field], all, Order::Ascending, &mut take)
                .unwrap();
        }
        values
    }

    async fn quarantine(&self) -> Vec<(String, String)> {
        let filter = QuarantineFilter {
            open_only: true,
            limit: 100,
        };
        let entries = self.store.quarantine_list(filter).await.unwrap();
        let mut places: Vec<_> = entries
            .into_iter()
            .map(|entry| (entry.place, entry.detail))
            .collect();
        places.sort();
        places
    }

    async fn stop(self) {
        self.broker.stop().await;
        timeout(PATIENCE, self.receiver).await.unwrap().unwrap();
        self.points.close().await.unwrap();
    }
}

fn open_to_all() -> MqttConfig {
    MqttConfig {
        auto_register: true,
        ..MqttConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payload_becomes_points() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::start(dir.path(), open_to_all()).await;
    let arrived = i64::try_from(now().as_nanosecond()).unwrap();
    assert_eq!(
        platform.publish("smartem/roof/temperature", "21.5").await,
        ""
    );
    assert_eq!(
        platform.publish("smartem/roof/temperature", "21.5").await,
        ""
    );
    assert_eq!(
        platform
            .publish("smartem/influx/air", "box no2=4\nbox o3=5")
            .await,
        ""
    );
    let object = r#"{"station": "b1", "station_type": "josene", "samples":
        [{"time": "1970-01-01T00:00:00.000000007Z", "meta_id": "S1", "no2": 3}]}"#;
    assert_eq!(platform.publish("smartem/push", object).await, "");

    // Two numbers of one instant are two points.
    let expected = [(arrived, 21.5), (arrived + 1, 21.5)];
    assert_eq!(
        platform.values(DATABASE, "vanilla", "temperature"),
        expected
    );
    assert_eq!(platform.values("air", "box", "no2"), [(arrived, 4.0)]);
    assert_eq!(platform.values("air", "box", "o3"), [(arrived, 5.0)]);
    assert_eq!(platform.values(DATABASE, "josene", "no2"), [(7, 3.0)]);
    let key = platform.points.series(DATABASE, "josene")[0].key.clone();
    assert_eq!(
        (key.tag("station"), key.tag("meta_id")),
        (Some("b1"), Some("S1"))
    );
    assert_eq!(platform.quarantine().await, []);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_set_aside_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::start(dir.path(), open_to_all()).await;
    let refused = "Payload format invalid";
    for (topic, payload) in [
        ("smartem/roof/temperature", "warm"),
        ("smartem/roof", "1"),
        ("smartem/influx/nowhere", "box no2=4"),
        ("smartem/influx/air", "box no2=4\nnonsense"),
        ("smartem/push", "{"),
    ] {
        let told = platform.publish(topic, payload).await;
        assert!(told.contains(refused), "{topic}: {told}");
    }
    assert_eq!(platform.publish("smartem/roof/temperature", "1").await, "");
    let places = platform.quarantine().await;
    let expected = [
        ("smartem/influx/air", "line 2: "),
        ("smartem/influx/nowhere", "there is no database `nowhere`"),
        ("smartem/push", "EOF"),
        ("smartem/roof", "the topic is none of"),
        ("smartem/roof/temperature", "`warm` is no plain number"),
    ];
    assert_eq!(places.len(), expected.len(), "{places:?}");
    for ((place, detail), (expected_place, expected_detail)) in places.iter().zip(expected) {
        assert_eq!(place, expected_place);
        assert!(detail.contains(expected_detail), "{detail}");
    }
    // The good line of the bad message is there.
    assert_eq!(platform.values("air", "box", "no2").len(), 1);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_stations_are_set_aside_unless_they_may_register() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::start(dir.path(), MqttConfig::default()).await;
    platform.publish("smartem/roof/temperature", "21.5").await;
    let places = platform.quarantine().await;
    assert!(
        places[0].1.contains("station `roof` is not known"),
        "{places:?}"
    );
    assert!(platform.points.measurements(DATABASE).is_empty());
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let platform = Platform::start(dir.path(), open_to_all()).await;
    for value in ["1", "2", "3"] {
        platform.publish("smartem/roof/temperature", value).await;
    }
    platform.stop().await;
    let platform = Platform::start(dir.path(), open_to_all()).await;
    let values = platform.values(DATABASE, "vanilla", "temperature");
    let values: Vec<f64> = values.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
    platform.stop().await;
}
