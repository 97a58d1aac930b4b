//! SensorThings over MQTT with nothing played: broker, clients, receiver, store and what tells of its changes.

use std::net::SocketAddr;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smartem_collect::receive::mqtt::sta::{
    StaChanges, StaInbox, StaMessage, StaOutlet, StaRelay, StoreChanges, StoreInbox,
};
use smartem_collect::receive::mqtt::{
    Access, Clock, Doorkeeper, MqttConfig, MqttCounts, MqttReceiver, Topics,
};
use smartem_model::{Flag, Hour, Observation, Position, Quality, StationId};
use smartem_mqtt::{Broker, BrokerSettings, Remote, RemoteSettings};
use smartem_simulate::mosquitto::{self, Mosquitto};
use smartem_sta::write::{self, Frame};
use smartem_sta::{
    Author, OnDuplicate, Operation, Query, ResourcePath, Version, WriteTarget, body,
};
use smartem_store::{
    ImportedHour, ImportedHours, ImportedStation, QuarantineFilter, ReadLimits, Store,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::receive::Bench;

const PATIENCE: Duration = Duration::from_secs(30);
const ROOT: &str = "https://air.example.org";

struct Platform {
    bench: Bench,
    broker: Broker,
    counts: Box<dyn Fn() -> MqttCounts>,
    published: Box<dyn Fn() -> u64>,
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    /// Name and secret of a token that may write everywhere, and of one of the project `air`.
    all: (&'static str, String),
    air: (&'static str, String),
}

impl Platform {
    async fn start() -> Self {
        let bench = Bench::new().await;
        let all = ("all", bench.token("all", "write", None).await);
        let air = ("air", bench.token("air", "write", Some("air")).await);
        let (store, clock, points) = (&bench.store, bench.clock(), bench.disk.points.clone());
        let access = Access {
            open_reading: true,
            takes_sta: true,
        };
        let topics = Topics::new("smartem");
        let doorkeeper =
            Doorkeeper::new(Arc::new(bench.authority()), points.clone(), topics, access);
        let doorkeeper = Arc::new(doorkeeper);
        let (sink, messages) = mpsc::channel(64);
        let settings = BrokerSettings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..BrokerSettings::default()
        };
        let broker = Broker::start(settings, doorkeeper.clone(), sink);
        let broker = broker.await.unwrap();
        let changes = StoreChanges::new(store.clone(), clock.clone(), Some(ROOT));
        let outlet = StaOutlet::new(Arc::new(changes), broker.publisher());
        let outlet = outlet.every(Duration::from_millis(50));
        let published = outlet.counts();
        let inbox = StoreInbox::new(store.clone(), clock.clone(), Some(outlet.waker()));
        let config = MqttConfig::default();
        let receiver = MqttReceiver::new(config, points, store.clone(), clock);
        let receiver = receiver.with_sta(Arc::new(inbox), Some(doorkeeper));
        let counts = receiver.counts();
        let stop = CancellationToken::new();
        Self {
            tasks: vec![
                tokio::spawn(receiver.run(messages, CancellationToken::new())),
                tokio::spawn(outlet.run(stop.clone())),
            ],
            bench,
            broker,
            counts: Box::new(counts),
            published: Box::new(move || published().published),
            stop,
            all,
            air,
        }
    }

    /// Publishes with QoS 1 and MQTT 5; what the client says of it. A guest where the user is none.
    async fn publish(
        &self,
        user: Option<&(&'static str, String)>,
        topic: &str,
        payload: &Value,
    ) -> String {
        self.publish_text(user, topic, &payload.to_string()).await
    }

    async fn publish_text(
        &self,
        user: Option<&(&'static str, String)>,
        topic: &str,
        payload: &str,
    ) -> String {
        let port = self.port();
        let mut all = vec![
            "-V", "mqttv5", "-p", &port, "-q", "1", "-t", topic, "-m", payload,
        ];
        if let Some((user, secret)) = user {
            all.extend(["-u", user, "-P", secret]);
        }
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let sent = tokio::task::spawn_blocking(move || mosquitto::run("mosquitto_pub", all));
        String::from_utf8(sent.await.unwrap().unwrap().stderr).unwrap()
    }

    fn port(&self) -> String {
        self.broker.address().unwrap().port().to_string()
    }

    /// A guest that ends after so many messages and has subscribed when this returns.
    async fn subscriber(&self, number: usize, filter: &str) -> Child {
        let port = self.port();
        let number = number.to_string();
        let all = [
            "-q", "1", "-p", &port, "-C", &number, "-W", "30", "-t", filter,
        ];
        let before = self.broker.subscriptions();
        let child = mosquitto::spawn("mosquitto_sub", all);
        let child = child.unwrap_or_else(|problem| panic!("{problem}"));
        until(|| self.broker.subscriptions() > before).await;
        child
    }

    /// Waits until what was written so far is behind those who subscribe from now on.
    async fn settle(&self) {
        sleep(Duration::from_millis(500)).await;
    }

    async fn get(&self, path: &str) -> Value {
        get(&self.bench.store, &self.bench.clock(), path).await
    }

    async fn write(&self, path: &str, value: Value) {
        write(&self.bench.store, &self.bench.clock(), path, value).await;
    }

    async fn stop(self) {
        self.stop.cancel();
        self.broker.stop().await;
        for task in self.tasks {
            timeout(PATIENCE, task).await.unwrap().unwrap();
        }
    }
}

/// What `GET` gives, with the links of the service.
async fn get(store: &Store, clock: &Clock, path: &str) -> Value {
    let version = Version::V1_1;
    let (path_text, options) = path.split_once('?').unwrap_or((path, ""));
    let path = ResourcePath::parse(path_text, version).unwrap();
    let query = Query::parse(options, path.entity_type(), version, path.is_single()).unwrap();
    let answer = store
        .sta_read(&path, &query, &ReadLimits::at(clock()))
        .await;
    let frame = Frame {
        version,
        root: &format!("{ROOT}/sta/v1.1"),
        path: &path,
        path_text,
        query: &query,
    };
    let body = write::answer(&answer.unwrap(), &frame).unwrap();
    serde_json::from_slice(&body.bytes).unwrap()
}

/// Creates an entity as `POST` does.
async fn write(store: &Store, clock: &Clock, path: &str, value: Value) {
    let path = ResourcePath::parse(path, Version::V1_1).unwrap();
    let draft = body::draft(path.entity_type(), Version::V1_1, &value, body::NO_BATCH).unwrap();
    let operation = Operation::Create {
        target: WriteTarget::Path(path),
        draft,
        on_duplicate: OnDuplicate::Keep,
    };
    let author = Author::default();
    store
        .sta_write(&author, vec![operation], clock())
        .await
        .unwrap();
}

/// A thing with two datastreams of one sensor and property.
fn thing(name: &str) -> Value {
    let stream = |name: &str| {
        json!({
            "name": name,
            "description": "of a test",
            "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
            "unitOfMeasurement": {"name": "degree Celsius", "symbol": "°C", "definition": "ucum:Cel"},
            "Sensor": {"name": "s", "description": "s", "encodingType": "text/plain", "metadata": "m"},
            "ObservedProperty": {"name": "p", "definition": "urn:test:p", "description": "p"},
        })
    };
    json!({
        "name": name,
        "description": "of a test",
        "Locations": [{
            "name": "here", "description": "here", "encodingType": "application/geo+json",
            "location": {"type": "Point", "coordinates": [5.8, 51.8]},
        }],
        "Datastreams": [stream("a"), stream("b")],
    })
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

async fn messages(child: Child) -> Vec<Value> {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = timeout(PATIENCE, output).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_to_a_set_is_there_for_everybody_and_told_to_subscribers() {
    let platform = Platform::start().await;
    let all = Some(&platform.all);
    assert_eq!(platform.publish(all, "v1.1/Things", &thing("t")).await, "");
    let told = platform.get("Datastreams?$select=id").await;
    let ids: Vec<i64> = told["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["@iot.id"].as_i64().unwrap())
        .collect();
    let (a, b) = (ids[0], ids[1]);

    let every = platform.subscriber(3, "v1.1/Observations").await;
    let of_a = platform
        .subscriber(1, &format!("sta/v1.0/Datastreams({a})/Observations"))
        .await;
    let nested = platform
        .subscriber(
            1,
            &format!("v1.1/Things(1)/Datastreams({b})/Observations?$select=result"),
        )
        .await;
    let high = platform
        .subscriber(1, "v1.1/Observations?$filter=result gt 30&$select=result&$expand=Datastream($select=name)")
        .await;
    let begin = Instant::now();
    for (topic, payload) in [
        (
            format!("v1.1/Datastreams({a})/Observations"),
            json!({"result": 21.5}),
        ),
        (
            "v1.1/Observations".to_owned(),
            json!({"result": 40, "Datastream": {"@iot.id": b}}),
        ),
        (
            format!("sta/v1.0/Datastreams({b})/Observations"),
            json!({"result": 3, "phenomenonTime": "2026-11-28T10:00:00Z"}),
        ),
    ] {
        assert_eq!(platform.publish(all, &topic, &payload).await, "", "{topic}");
    }
    let got = messages(every).await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    // Each is what GET gives.
    for told in &got {
        let id = told["@iot.id"].as_i64().unwrap();
        assert_eq!(*told, platform.get(&format!("Observations({id})")).await);
    }
    let results: Vec<&Value> = got.iter().map(|it| &it["result"]).collect();
    assert_eq!(results, [&json!(21.5), &json!(40), &json!(3)]);
    let got = messages(of_a).await;
    assert_eq!(got[0]["result"], json!(21.5));
    assert_eq!(
        got[0]["@iot.selfLink"],
        json!(format!("{ROOT}/sta/v1.0/Observations({})", (a << 32) | 1))
    );
    assert_eq!(messages(nested).await, [json!({"result": 40})]);
    assert_eq!(
        messages(high).await,
        [json!({"result": 40, "Datastream": {"name": "b"}})]
    );
    assert_eq!((platform.counts)().sta_created, 4);
    assert_eq!((platform.published)(), 6);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_is_told_when_it_is_another() {
    let platform = Platform::start().await;
    platform.write("Things", thing("t")).await;
    platform.settle().await;
    let name = platform.subscriber(2, "v1.1/Things(1)/name").await;
    let patch = async |name: &str, description: &str| {
        let value = json!({"name": name, "description": description});
        let (fields, related) = body::changes(
            smartem_sta::EntityType::Thing,
            Version::V1_1,
            &value,
            false,
            body::NO_BATCH,
        )
        .unwrap();
        let operation = Operation::Update {
            target: WriteTarget::Path(ResourcePath::entity(smartem_sta::EntityType::Thing, 1)),
            fields,
            related,
            replace: false,
        };
        let now = (platform.bench.clock())();
        let store = &platform.bench.store;
        store
            .sta_write(&Author::default(), vec![operation], now)
            .await
            .unwrap();
    };
    patch("u", "1").await;
    until(|| (platform.published)() == 1).await;
    // The same name, another description: that is told to who wants the thing.
    let whole = platform
        .subscriber(2, "v1.1/Things(1)?$select=name,description")
        .await;
    patch("u", "2").await;
    until(|| (platform.published)() == 2).await;
    patch("v", "2").await;
    assert_eq!(
        messages(name).await,
        [json!({"name": "u"}), json!({"name": "v"})]
    );
    assert_eq!(
        messages(whole).await,
        [
            json!({"name": "u", "description": "2"}),
            json!({"name": "v", "description": "2"})
        ]
    );
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refined_observations_are_told_as_others() {
    let platform = Platform::start().await;
    // The station and its datastream are there before anybody subscribes.
    import(&platform, 0).await;
    platform.settle().await;
    let told = platform.get("Datastreams").await;
    let stream = told["value"][0]["@iot.id"].as_i64().unwrap();
    let child = platform
        .subscriber(
            2,
            &format!("v1.1/Datastreams({stream})/Observations?$select=result,id"),
        )
        .await;
    import(&platform, 1).await;
    import(&platform, 2).await;
    let id = |n: i64| (stream << 32) | hour(n).index();
    let expected = [1, 2].map(|n| json!({"@iot.id": id(n), "result": n as f64 + 0.5}));
    assert_eq!(messages(child).await, expected);
    platform.stop().await;
}

fn hour(n: i64) -> Hour {
    Hour::from_index(498_000 + n).unwrap()
}

/// Brings an hour of a station.
async fn import(platform: &Platform, n: i64) {
    let id = StationId::new("s1").unwrap();
    let location = Position::horizontal(5.86, 51.84).unwrap();
    let observation = Observation {
        station: id.clone(),
        station_type: "jose".into(),
        indicator: "no2".into(),
        label: "NO2".into(),
        unit: "ug/m3".into(),
        phenomenon_time: hour(n).period(),
        value: n as f64 + 0.5,
        min: 0.5,
        max: 99.5,
        raw: None,
        raw_unit: None,
        accepted_count: 3,
        rejected_count: 0,
        quality: Quality {
            fraction: 1.0,
            coverage: None,
            flags: vec![Flag::Imported],
        },
        location,
        sensor: "no2-s".into(),
        definition: "jose/1".into(),
        model: None,
    };
    let import = ImportedHours {
        process: "import".into(),
        source: "test".into(),
        network: "josene".into(),
        now: (platform.bench.clock())(),
        move_m: smartem_store::DEFAULT_MOVE_M,
        stations: vec![ImportedStation {
            id,
            station_type: "jose".into(),
            hours: vec![ImportedHour {
                hour: hour(n),
                position: location,
                observations: vec![observation],
            }],
        }],
        quarantined: Vec::new(),
        partition: "p".into(),
        position: Arc::new(move |_| json!(n)),
    };
    let report = platform
        .bench
        .store
        .import_observations(import)
        .await
        .unwrap();
    assert_eq!(report.stations[0].written, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_gets_what_came_meanwhile() {
    let platform = Platform::start().await;
    platform.write("Things", thing("t")).await;
    let port = platform.port();
    let client = |more: &[&str]| {
        let (user, secret) = &platform.all;
        let session = [
            "-p", &port, "-u", user, "-P", secret, "-c", "-i", "keeper", "-q", "1", "-W", "30",
        ];
        let topic = ["-t", "v1.1/Datastreams(1)/Observations?$select=result"];
        let all = session
            .iter()
            .chain(&topic)
            .chain(more)
            .copied()
            .collect::<Vec<_>>();
        mosquitto::spawn("mosquitto_sub", &all).unwrap()
    };
    // It goes as soon as it has subscribed.
    let first = client(&["-E"]);
    assert_eq!(messages(first).await, Vec::<Value>::new());
    for n in 0..3 {
        platform
            .write("Datastreams(1)/Observations", json!({"result": n}))
            .await;
    }
    until(|| (platform.published)() == 3).await;
    let expected = [0, 1, 2].map(|n| json!({"result": n}));
    assert_eq!(messages(client(&["-C", "3"])).await, expected);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_creates_nothing_and_what_is_wrong_is_set_aside_with_its_reason() {
    let platform = Platform::start().await;
    platform.write("Things", thing("t")).await;
    let (all, air) = (Some(&platform.all), Some(&platform.air));
    let topic = "v1.1/Datastreams(1)/Observations";
    let told = platform.publish(None, topic, &json!({"result": 1})).await;
    assert!(told.contains("Not authorized"), "{told}");
    for (user, topic, payload, answer) in [
        (all, topic, "{\"result\": ", "Payload format invalid"),
        (all, topic, "{\"Result\": 1}", "Payload format invalid"),
        (
            all,
            "v1.1/Datastreams(4711)/Observations",
            "{\"result\": 1}",
            "Payload format invalid",
        ),
        (
            all,
            "v1.1/Things(1)/Sensors",
            "{}",
            "Payload format invalid",
        ),
        (
            air,
            "v1.1/Things(1)/Datastreams",
            "{}",
            "Payload format invalid",
        ),
    ] {
        let told = platform.publish_text(user, topic, payload).await;
        assert!(told.contains(answer), "{topic} {payload}: {told}");
    }
    // The next one is taken.
    assert_eq!(
        platform.publish(all, topic, &json!({"result": 2})).await,
        ""
    );
    let there = platform.get("Observations?$select=result").await;
    assert_eq!(there["value"], json!([{"result": 2}]));
    let filter = QuarantineFilter {
        open_only: true,
        limit: 100,
    };
    let set_aside = platform.bench.store.quarantine_list(filter).await.unwrap();
    let reason = |place: &str, words: &str| {
        let found = set_aside
            .iter()
            .find(|it| it.place == place && it.detail.contains(words));
        assert!(found.is_some(), "{place} {words}: {set_aside:?}");
    };
    reason(topic, "no JSON");
    reason("v1.1/Datastreams(4711)/Observations", "4711");
    reason("v1.1/Things(1)/Sensors", "Sensors");
    assert_eq!((platform.counts)().sta_refused, 5);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observation_that_is_sent_again_is_one() {
    let bench = Bench::new().await;
    let (store, clock) = (&bench.store, bench.clock());
    write(store, &clock, "Things", thing("t")).await;
    let inbox = StoreInbox::new(store.clone(), clock.clone(), None);
    let message = |again, payload: Value| StaMessage {
        user: None,
        project: None,
        version: "v1.1",
        path: "Datastreams(1)/Observations".into(),
        payload: payload.to_string().into(),
        again,
    };
    let timed = json!({"result": 1, "phenomenonTime": "2026-11-28T10:00:00Z"});
    let untimed = json!({"result": 2});
    let cases = [
        // Before any: the first one got lost.
        (true, &timed, 1),
        (true, &timed, 1),
        (false, &timed, 2),
        (false, &untimed, 3),
        // Which one it was cannot be known.
        (true, &untimed, 4),
    ];
    for (again, payload, expected) in cases {
        let answers = inbox
            .create(&[message(again, payload.clone())])
            .await
            .unwrap();
        assert_eq!(answers, [Ok(())]);
        let count = get(store, &clock, "Observations?$count=true").await;
        assert_eq!(count["@iot.count"], json!(expected), "{again} {payload}");
    }
}

#[tokio::test]
async fn a_page_of_many_observations_ends_within_a_change_and_goes_on_there() {
    let bench = Bench::new().await;
    let (store, clock) = (&bench.store, bench.clock());
    let changes = StoreChanges::new(store.clone(), clock.clone(), None);
    write(store, &clock, "Things", thing("t")).await;
    let (mut mark, none) = changes.changes_since(None).await.unwrap();
    assert!(none.is_empty());
    let inbox = StoreInbox::new(store.clone(), clock.clone(), None);
    let message = |n: usize| StaMessage {
        user: None,
        project: None,
        version: "v1.1",
        path: format!("Datastreams({})/Observations", n % 1234 / 1200 + 1).into(),
        payload: json!({"result": n}).to_string().into(),
        again: false,
    };
    let all: Vec<StaMessage> = (0..1234).map(message).collect();
    assert_eq!(inbox.create(&all).await.unwrap().len(), all.len());
    let filter = changes.filter("v1.1/Observations?$select=result").unwrap();
    let mut told = Vec::new();
    loop {
        // As it is kept.
        let kept = serde_json::to_value(&mark).unwrap();
        let (next, page) = changes
            .changes_since(serde_json::from_value(kept).unwrap())
            .await
            .unwrap();
        assert!(page.len() <= 500);
        if page.is_empty() {
            break;
        }
        for change in &page {
            // The feature of the observations is new as well.
            let Some(payload) = changes.render(&filter, change).await.unwrap() else {
                continue;
            };
            let value: Value = serde_json::from_slice(&payload).unwrap();
            told.push(value["result"].as_u64().unwrap());
        }
        mark = next;
    }
    assert_eq!(told, (0..1234).collect::<Vec<u64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_broker_is_told_everything_also_of_the_time_between() {
    let mosquitto = Mosquitto::start().unwrap_or_else(|problem| panic!("{problem}"));
    let port = mosquitto.address().port();
    let bench = Bench::new().await;
    let (store, clock) = (&bench.store, bench.clock());
    write(store, &clock, "Things", thing("t")).await;
    let text = port.to_string();
    let all = [
        "-q",
        "1",
        "-p",
        &text,
        "-C",
        "4",
        "-W",
        "30",
        "-t",
        "v1.1/Datastreams(1)/Observations",
    ];
    let child = mosquitto::spawn("mosquitto_sub", all).unwrap();
    sleep(Duration::from_millis(500)).await;

    let mut kept = None;
    let observe = async |n: i64| {
        write(
            store,
            &clock,
            "Datastreams(1)/Observations",
            json!({"result": n}),
        )
        .await;
    };
    for round in 0..2 {
        let changes = StoreChanges::new(store.clone(), clock.clone(), None);
        let changes = Arc::new(changes.with_plain_topics_only());
        let remote = Remote::start(RemoteSettings::new("127.0.0.1", port, "teller")).unwrap();
        let from = kept
            .take()
            .map(|mark| serde_json::from_value(mark).unwrap());
        let relay = StaRelay::new(changes, remote.publisher(), from);
        let relay = relay.every(Duration::from_millis(20));
        let mut confirmed = relay.confirmed();
        let stop = CancellationToken::new();
        let running = tokio::spawn(relay.run(stop.clone()));
        // Where it begins.
        timeout(PATIENCE, confirmed.changed())
            .await
            .unwrap()
            .unwrap();
        let before = serde_json::to_value(confirmed.borrow_and_update().clone()).unwrap();
        observe(round * 10).await;
        let is_told = async {
            loop {
                confirmed.changed().await.unwrap();
                let mark = serde_json::to_value(confirmed.borrow_and_update().clone()).unwrap();
                if mark != before {
                    return mark;
                }
            }
        };
        kept = Some(timeout(PATIENCE, is_told).await.unwrap());
        stop.cancel();
        running.await.unwrap();
        assert_eq!(remote.stop(PATIENCE).await, 0);
        // While nothing runs.
        observe(round * 10 + 1).await;
        if round == 1 {
            observe(99).await;
        }
    }
    // What came at last is told at the next start.
    let changes =
        Arc::new(StoreChanges::new(store.clone(), clock.clone(), None).with_plain_topics_only());
    let remote = Remote::start(RemoteSettings::new("127.0.0.1", port, "teller")).unwrap();
    let from = kept.map(|mark| serde_json::from_value(mark).unwrap());
    let stop = CancellationToken::new();
    let running = tokio::spawn(StaRelay::new(changes, remote.publisher(), from).run(stop.clone()));
    let got = messages(child).await;
    let mut results: Vec<i64> = got
        .iter()
        .map(|it| it["result"].as_i64().unwrap())
        .collect();
    results.dedup();
    assert_eq!(results, [0, 1, 10, 11]);
    assert_eq!(
        got[0]["@iot.selfLink"],
        json!(format!("/sta/v1.1/Observations({})", (1_i64 << 32) | 1))
    );
    stop.cancel();
    running.await.unwrap();
    remote.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_topic_takes_what_is_among_the_entities_of_its_path() {
    let bench = Bench::new().await;
    let (store, clock) = (&bench.store, bench.clock());
    let changes = StoreChanges::new(store.clone(), clock.clone(), None);
    let (mark, _) = changes.changes_since(None).await.unwrap();
    for name in ["t", "u"] {
        write(store, &clock, "Things", thing(name)).await;
    }
    let streams = get(store, &clock, "Datastreams?$select=id").await;
    let last = streams["value"][3]["@iot.id"].as_i64().unwrap();
    let path = format!("Datastreams({last})/Observations");
    write(store, &clock, &path, json!({"result": 7})).await;
    let (_, page) = changes.changes_since(Some(mark)).await.unwrap();

    let table = [
        ("v1.1/Things", 2),
        ("v1.1/Things(2)", 1),
        ("v1.1/Things(2)/name", 1),
        ("v1.1/Things(2)/name/$value", 1),
        ("v1.1/Things(3)", 0),
        ("v1.1/Things(1)/Datastreams", 2),
        ("v1.1/Things(1)/Datastreams(1)", 1),
        ("v1.1/Things(2)/Datastreams(1)", 0),
        ("v1.1/Things?$filter=name eq 'u'", 1),
        ("v1.1/Things(2)/Datastreams?$filter=name eq 'b'&$top=0", 1),
        ("v1.1/Datastreams(1)/Thing", 1),
        ("v1.1/Datastreams(1)/Observations", 0),
        ("v1.1/Datastreams(1)/Thing/Datastreams(2)/Observations", 0),
        ("v1.1/Observations", 1),
        ("v1.1/Observations?$filter=result gt 7", 0),
        ("v1.1/Observations?$filter=Datastream/Thing/name eq 'u'", 1),
        ("sta/v1.0/FeaturesOfInterest(1)/Observations", 1),
        ("v1.1/MultiDatastreams", 0),
        ("v1.1/Sensors", 4),
    ];
    for (topic, expected) in table {
        let filter = changes.filter(topic);
        let filter = filter.unwrap_or_else(|| panic!("{topic} is none"));
        let mut told = 0;
        for change in &page {
            let payload = changes.render(&filter, change).await.unwrap();
            told += usize::from(payload.is_some());
        }
        assert_eq!(told, expected, "{topic}");
    }
    for topic in [
        "v1.1/Nothing",
        "v1.1/Things(1)/$ref",
        "v1.1/Things/$count",
        "v1.1/Observations?$apply=aggregate(result with average as a)",
        "v1.1/Observations?resample=1h",
        "v1.1/Observations?$filter=result gt",
        "v1.1/Things(1)?$filter=name eq 't'",
        "v2.0/Things",
        "smartem/1/no2",
    ] {
        assert!(changes.filter(topic).is_none(), "{topic}");
    }

    // For those who subscribe with wildcards, and for other brokers.
    let plain = changes.with_plain_topics_only();
    let observation = (last << 32) | 1;
    let topics: Vec<String> = page.iter().flat_map(|it| plain.topics(it)).collect();
    for topic in [
        "v1.1/Observations".to_owned(),
        format!("v1.0/Observations({observation})"),
        format!("v1.1/Datastreams({last})/Observations"),
        "v1.0/Things(2)".to_owned(),
    ] {
        assert!(topics.contains(&topic), "{topic}");
    }
    assert!(topics.iter().all(|it| it.starts_with("v1.")));
}
