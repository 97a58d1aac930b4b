//! SensorThings over MQTT: who may do what, how messages come to the service that creates entities, and how
//! changes come to subscribers. The services are played; broker, clients and store are real.

use std::net::SocketAddr;
use std::process::Child;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use smartem_collect::receive::mqtt::sta::{
    StaChanges, StaInbox, StaMessage, StaOutlet, StaRefused, StaRelay, StaUnavailable,
};
use smartem_collect::receive::mqtt::{
    Access, Doorkeeper, MqttConfig, MqttCounts, MqttReceiver, Topics,
};
use smartem_mqtt::{
    Authority as _, Broker, BrokerSettings, Login, LoginRefused, Refused, Remote, RemoteSettings,
    Subscription, SubscriptionSettings,
};
use smartem_simulate::mosquitto::{self, Mosquitto};
use smartem_store::QuarantineFilter;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::receive::Bench;

const PATIENCE: Duration = Duration::from_secs(30);

fn doorkeeper(bench: &Bench, access: Access) -> Doorkeeper {
    let points = bench.disk.points.clone();
    Doorkeeper::new(
        Arc::new(bench.authority()),
        points,
        Topics::new("smartem"),
        access,
    )
}

async fn login(
    doorkeeper: &Doorkeeper,
    user: Option<&str>,
    password: Option<&str>,
) -> Result<Arc<str>, LoginRefused> {
    let login = Login {
        client: "c",
        user,
        password: password.map(str::as_bytes),
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        encrypted: false,
    };
    doorkeeper.connect(login).await
}

const OPEN: Access = Access {
    open_reading: true,
    takes_sta: true,
};

#[tokio::test]
async fn who_shows_nothing_reads_sensorthings_and_nothing_else() {
    let bench = Bench::new().await;
    let doorkeeper = doorkeeper(&bench, OPEN);
    let guest = login(&doorkeeper, None, None).await.unwrap();
    assert_eq!(
        login(&doorkeeper, Some(""), Some("")).await,
        Ok(guest.clone())
    );
    assert!(doorkeeper.is_guest(&guest));
    assert_eq!(doorkeeper.principal(&guest), None);
    for filter in [
        "v1.1/#",
        "v1.0/Observations",
        "sta/v1.1/Datastreams(1)/Observations?$select=result",
        "v1.1/+/name",
    ] {
        assert!(doorkeeper.may_subscribe(&guest, filter), "{filter}");
    }
    for filter in ["#", "+/#", "sta/#", "smartem/#", "v2.0/#", "v1.1", "$SYS/#"] {
        assert!(!doorkeeper.may_subscribe(&guest, filter), "{filter}");
    }
    for topic in ["v1.1/Observations", "smartem/1/no2", "smartem/push", "a"] {
        assert!(!doorkeeper.may_publish(&guest, topic), "{topic}");
    }
}

#[tokio::test]
async fn what_is_shown_must_be_right_and_reading_may_be_closed() {
    let bench = Bench::new().await;
    let refused = Err(LoginRefused::BadCredentials);
    let open = doorkeeper(&bench, OPEN);
    assert_eq!(login(&open, Some("ada"), None).await, refused);
    assert_eq!(login(&open, None, Some("wrong")).await, refused);
    assert_eq!(login(&open, Some(""), Some("wrong")).await, refused);
    let closed = doorkeeper(
        &bench,
        Access {
            open_reading: false,
            ..OPEN
        },
    );
    assert_eq!(login(&closed, None, None).await, refused);
}

#[tokio::test]
async fn who_may_write_may_create_entities_in_any_set() {
    let bench = Bench::new().await;
    let own = bench.token("ada", "write", Some("air")).await;
    let all = bench.token("ben", "write", None).await;
    let takes = doorkeeper(&bench, OPEN);
    let takes_none = doorkeeper(
        &bench,
        Access {
            takes_sta: false,
            ..OPEN
        },
    );
    for (name, secret, project) in [("ada", own, Some("air")), ("ben", all, None)] {
        for doorkeeper in [&takes, &takes_none] {
            let user = login(doorkeeper, Some(name), Some(&secret)).await.unwrap();
            assert!(!doorkeeper.is_guest(&user));
            let principal = doorkeeper.principal(&user).unwrap();
            assert_eq!(principal.project.as_deref(), project);
            assert!(doorkeeper.may_subscribe(&user, "smartem/#"));
            // Nobody but the service itself says what became of an entity.
            assert!(!doorkeeper.may_publish(&user, "v1.1/Things(1)/name"));
            assert!(!doorkeeper.may_publish(&user, "v1.1/Observations?$select=result"));
        }
        for topic in [
            "v1.1/Observations",
            "sta/v1.0/Datastreams(1)/Observations",
            "smartem/sta/v1.1/Things",
        ] {
            assert!(takes.may_publish(name, topic), "{topic}");
            assert!(!takes_none.may_publish(name, topic), "{topic}");
            assert!(!takes.is_shared(topic), "{topic}");
        }
        assert!(takes.is_shared("smartem/1/no2"));
    }
}

/// Plays the service: takes what is an object, and knows projects.
#[derive(Default)]
struct Inbox {
    created: Mutex<Vec<StaMessage>>,
    /// So many attempts fail.
    unavailable: AtomicUsize,
    /// Held back while this is locked.
    held: tokio::sync::Mutex<()>,
}

#[async_trait]
impl StaInbox for Inbox {
    async fn create(
        &self,
        messages: &[StaMessage],
    ) -> Result<Vec<Result<(), StaRefused>>, StaUnavailable> {
        let _held = self.held.lock().await;
        let left = self.unavailable.load(Ordering::Relaxed);
        if left > 0 {
            self.unavailable.store(left - 1, Ordering::Relaxed);
            let problem = "the disk is full".to_owned();
            return Err(StaUnavailable { problem });
        }
        let mut answers = Vec::new();
        for message in messages {
            if !message.payload.starts_with(b"{") {
                let reason = "the payload is no JSON object".to_owned();
                let why = Refused::Payload;
                answers.push(Err(StaRefused { why, reason }));
            } else if message.project.is_some() && &*message.path == "Things" {
                let reason = "a token of a project creates no stations".to_owned();
                let why = Refused::NotAuthorized;
                answers.push(Err(StaRefused { why, reason }));
            } else {
                self.created.lock().unwrap().push(message.clone());
                answers.push(Ok(()));
            }
        }
        Ok(answers)
    }
}

impl Inbox {
    fn created(&self) -> Vec<(String, String)> {
        let created = self.created.lock().unwrap();
        let told = created.iter().map(|message| {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            (format!("{}/{}", message.version, message.path), payload)
        });
        told.collect()
    }
}

struct Platform {
    bench: Bench,
    inbox: Arc<Inbox>,
    broker: Broker,
    receiver: JoinHandle<()>,
    counts: Box<dyn Fn() -> MqttCounts>,
    /// Name and secret of a token that may write everywhere, and of one of the project `air`.
    all: (&'static str, String),
    air: (&'static str, String),
}

impl Platform {
    async fn start() -> Self {
        let bench = Bench::new().await;
        let all = ("all", bench.token("all", "write", None).await);
        let air = ("air", bench.token("air", "write", Some("air")).await);
        let inbox = Arc::new(Inbox::default());
        let doorkeeper = Arc::new(doorkeeper(&bench, OPEN));
        let receiver = receiver(&bench).with_sta(inbox.clone(), Some(doorkeeper.clone()));
        let counts = Box::new(receiver.counts());
        let (sink, messages) = mpsc::channel(64);
        let receiver = tokio::spawn(receiver.run(messages, CancellationToken::new()));
        let settings = BrokerSettings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..BrokerSettings::default()
        };
        let broker = Broker::start(settings, doorkeeper, sink).await.unwrap();
        Self {
            bench,
            inbox,
            broker,
            receiver,
            counts,
            all,
            air,
        }
    }

    /// Publishes with QoS 1 and MQTT 5; what the client says of it.
    fn publish(
        &self,
        (user, secret): &(&'static str, String),
        topic: &str,
        payload: &str,
    ) -> JoinHandle<String> {
        let port = self.broker.address().unwrap().port().to_string();
        let arguments = [
            "-V", "mqttv5", "-p", &port, "-q", "1", "-t", topic, "-m", payload, "-u", user, "-P",
            secret,
        ]
        .map(str::to_owned);
        tokio::task::spawn_blocking(move || {
            let sent = mosquitto::run("mosquitto_pub", arguments).unwrap();
            String::from_utf8(sent.stderr).unwrap()
        })
    }

    async fn quarantine(&self) -> Vec<(String, String)> {
        quarantine(&self.bench).await
    }

    async fn stop(self) {
        self.broker.stop().await;
        timeout(PATIENCE, self.receiver).await.unwrap().unwrap();
    }
}

fn receiver(bench: &Bench) -> MqttReceiver {
    let clock = bench.clock();
    let config = MqttConfig {
        auto_register: true,
        project: Some("others".to_owned()),
        ..MqttConfig::default()
    };
    let points = bench.disk.points.clone();
    MqttReceiver::new(config, points, bench.store.clone(), clock)
}

async fn quarantine(bench: &Bench) -> Vec<(String, String)> {
    let filter = QuarantineFilter {
        open_only: true,
        limit: 100,
    };
    let entries = bench.store.quarantine_list(filter).await.unwrap();
    let mut places: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.place, entry.detail))
        .collect();
    places.sort();
    places
}

async fn until(reached: impl Fn() -> bool) {
    let wait = async {
        while !reached() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_sets_of_entities_come_to_the_service_with_their_sender() {
    let platform = Platform::start().await;
    for topic in [
        "v1.1/Things",
        "sta/v1.0/Datastreams(1)/Observations",
        "smartem/sta/v1.1/Observations",
    ] {
        let told = platform.publish(&platform.all, topic, "{\"a\": 1}").await;
        assert_eq!(told.unwrap(), "", "{topic}");
    }
    platform
        .publish(&platform.air, "v1.1/Observations", "{}")
        .await
        .unwrap();
    let object = "{\"a\": 1}".to_owned();
    assert_eq!(
        platform.inbox.created(),
        [
            ("v1.1/Things".to_owned(), object.clone()),
            (
                "v1.0/Datastreams(1)/Observations".to_owned(),
                object.clone()
            ),
            ("v1.1/Observations".to_owned(), object),
            ("v1.1/Observations".to_owned(), "{}".to_owned()),
        ]
    );
    let created = platform.inbox.created.lock().unwrap().clone();
    let who = |message: &StaMessage| {
        let user = message.user.as_deref().map(str::to_owned);
        (user.unwrap(), message.project.as_deref().map(str::to_owned))
    };
    assert_eq!(who(&created[0]), ("all".to_owned(), None));
    let air = "air".to_owned();
    assert_eq!(who(&created[3]), (air.clone(), Some(air)));
    assert_eq!((platform.counts)().sta_created, 4);
    assert_eq!(platform.quarantine().await, []);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_is_set_aside_with_its_reason() {
    let platform = Platform::start().await;
    let told = platform
        .publish(&platform.all, "v1.1/Observations", "21.5")
        .await;
    assert!(told.unwrap().contains("Payload format invalid"));
    let told = platform.publish(&platform.air, "v1.1/Things", "{}").await;
    assert!(told.unwrap().contains("Not authorized"));
    // No set of entities: that is not even taken.
    let told = platform
        .publish(&platform.all, "v1.1/Things(1)", "{}")
        .await;
    assert!(told.unwrap().contains("Not authorized"));
    // Other messages go their way beside.
    let told = platform
        .publish(&platform.all, "smartem/roof/temperature", "21.5")
        .await;
    assert_eq!(told.unwrap(), "");

    let expected = [
        ("v1.1/Observations", "the payload is no JSON object"),
        ("v1.1/Things", "a token of a project creates no stations"),
    ];
    let expected = expected.map(|(place, detail)| (place.to_owned(), detail.to_owned()));
    assert_eq!(platform.quarantine().await, expected);
    assert_eq!(platform.inbox.created(), []);
    let counts = (platform.counts)();
    assert_eq!((counts.sta_created, counts.sta_refused), (0, 2));
    assert_eq!((counts.refused, counts.points), (0, 1));
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_answered_before_the_entity_is_durable() {
    let platform = Platform::start().await;
    let held = platform.inbox.held.lock().await;
    platform.inbox.unavailable.store(2, Ordering::Relaxed);
    let sent = platform.publish(&platform.all, "v1.1/Observations", "{}");
    until(|| platform.broker.counts().received == 1).await;
    sleep(Duration::from_millis(100)).await;
    assert!(!sent.is_finished());
    drop(held);
    // Two attempts fail, the third one succeeds.
    assert_eq!(timeout(PATIENCE, sent).await.unwrap().unwrap(), "");
    assert_eq!(platform.inbox.created().len(), 1);
    assert_eq!(platform.inbox.unavailable.load(Ordering::Relaxed), 0);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_another_broker_come_below_the_prefix_and_kept_ones_are_left_out() {
    let mosquitto = Mosquitto::start().unwrap_or_else(|problem| panic!("{problem}"));
    let port = mosquitto.address().port();
    let publish = async |topic: &str, payload: &str, more: &[&str]| {
        let port = port.to_string();
        let all = ["-p", &port, "-q", "1", "-t", topic, "-m", payload];
        let all: Vec<String> = all.iter().chain(more).map(|it| (*it).to_owned()).collect();
        let sent = tokio::task::spawn_blocking(|| mosquitto::run("mosquitto_pub", all));
        assert!(sent.await.unwrap().unwrap().status.success());
    };
    publish("smartem/sta/v1.1/Things", "{\"kept\": 1}", &["-r"]).await;
    let bench = Bench::new().await;
    let inbox = Arc::new(Inbox::default());
    let receiver = receiver(&bench).with_sta(inbox.clone(), None);
    let counts = receiver.counts();
    let (sink, messages) = mpsc::channel(64);
    let receiver = tokio::spawn(receiver.run(messages, CancellationToken::new()));
    let settings = SubscriptionSettings {
        topics: vec!["smartem/#".to_owned()],
        ..SubscriptionSettings::new("127.0.0.1", port, "smartem")
    };
    let subscription = Subscription::start(settings, sink).unwrap();
    until(|| counts().kept == 1).await;
    publish("smartem/sta/v1.1/Observations", "{}", &[]).await;
    publish("smartem/sta/v1.1/Things(1)", "{}", &[]).await;
    until(|| counts().refused == 1).await;
    let expected = [("v1.1/Observations".to_owned(), "{}".to_owned())];
    assert_eq!(inbox.created(), expected);
    let created = inbox.created.lock().unwrap()[0].clone();
    assert_eq!(
        (created.user, created.project.as_deref()),
        (None, Some("others"))
    );
    // Waits until all is answered.
    subscription.stop().await;
    timeout(PATIENCE, receiver).await.unwrap().unwrap();
    let places = quarantine(&bench).await;
    assert_eq!(places[0].0, "smartem/sta/v1.1/Things(1)");
    assert!(places[0].1.contains("no set of entities"), "{places:?}");
}

/// A thing that was changed, in the service that is played.
#[derive(Clone)]
struct Changed {
    id: u32,
    name: String,
}

/// Plays the service: its marks are numbers of changes.
struct Things {
    log: Mutex<Vec<Changed>>,
    rendered: AtomicUsize,
    asked: AtomicUsize,
    unavailable: AtomicUsize,
    /// The rendering of this number fails, counted from 0.
    fails_at: AtomicUsize,
}

impl Default for Things {
    fn default() -> Self {
        Self {
            log: Mutex::default(),
            rendered: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            unavailable: AtomicUsize::new(0),
            fails_at: AtomicUsize::new(usize::MAX),
        }
    }
}

#[async_trait]
impl StaChanges for Things {
    type Mark = usize;
    type Change = Changed;
    type Filter = (Option<u32>, &'static str);

    async fn changes_since(
        &self,
        mark: Option<usize>,
    ) -> Result<(usize, Vec<Changed>), StaUnavailable> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let left = self.unavailable.load(Ordering::Relaxed);
        if left > 0 {
            self.unavailable.store(left - 1, Ordering::Relaxed);
            let problem = "the database restarts".to_owned();
            return Err(StaUnavailable { problem });
        }
        let log = self.log.lock().unwrap();
        let from = mark.unwrap_or(log.len());
        // Pages are small, so that there are some.
        let page: Vec<Changed> = log[from..].iter().take(3).cloned().collect();
        Ok((from + page.len(), page))
    }

    fn filter(&self, topic: &str) -> Option<Self::Filter> {
        let path = topic.strip_prefix("v1.1/Things")?;
        let (id, rest) = match path.strip_prefix('(') {
            None => (None, path),
            Some(path) => {
                let (id, rest) = path.split_once(')')?;
                (Some(id.parse().ok()?), rest)
            }
        };
        let form = ["", "/name", "?$select=name"]
            .into_iter()
            .find(|it| *it == rest)?;
        Some((id, form))
    }

    async fn render(
        &self,
        (id, form): &Self::Filter,
        change: &Changed,
    ) -> Result<Option<Bytes>, StaUnavailable> {
        let count = self.rendered.fetch_add(1, Ordering::Relaxed);
        if count == self.fails_at.load(Ordering::Relaxed) {
            let problem = "the database restarts".to_owned();
            return Err(StaUnavailable { problem });
        }
        if id.is_some_and(|id| id != change.id) {
            return Ok(None);
        }
        let Changed { id, name } = change;
        let text = match *form {
            "" => format!("{{\"@iot.id\":{id},\"name\":\"{name}\"}}"),
            _ => format!("{{\"name\":\"{name}\"}}"),
        };
        Ok(Some(text.into()))
    }

    fn topics(&self, change: &Changed) -> Vec<String> {
        vec![
            "v1.1/Things".to_owned(),
            format!("v1.1/Things({})", change.id),
        ]
    }
}

impl Things {
    fn change(&self, id: u32, name: &str) {
        let name = name.to_owned();
        self.log.lock().unwrap().push(Changed { id, name });
    }
}

struct Outlet {
    things: Arc<Things>,
    broker: Broker,
    wake: Arc<Notify>,
    published: Box<dyn Fn() -> u64>,
    running: JoinHandle<()>,
    stop: CancellationToken,
    _bench: Bench,
    _messages: mpsc::Receiver<Vec<smartem_mqtt::Incoming>>,
}

impl Outlet {
    async fn start() -> Self {
        let bench = Bench::new().await;
        let doorkeeper = Arc::new(doorkeeper(&bench, OPEN));
        let (sink, messages) = mpsc::channel(64);
        let settings = BrokerSettings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..BrokerSettings::default()
        };
        let broker = Broker::start(settings, doorkeeper, sink).await.unwrap();
        let things = Arc::new(Things::default());
        things.change(1, "before");
        let outlet = StaOutlet::new(things.clone(), broker.publisher());
        let outlet = outlet.every(Duration::from_millis(20));
        let (wake, counts) = (outlet.waker(), outlet.counts());
        let stop = CancellationToken::new();
        let running = tokio::spawn(outlet.run(stop.clone()));
        until(|| things.asked.load(Ordering::Relaxed) > 0).await;
        Self {
            things,
            broker,
            wake,
            published: Box::new(move || counts().published),
            running,
            stop,
            _bench: bench,
            _messages: messages,
        }
    }

    /// A guest that ends after so many messages and has subscribed when this returns.
    async fn subscriber(&self, number: usize, filters: &[&str]) -> Child {
        let port = self.broker.address().unwrap().port().to_string();
        let number = number.to_string();
        let mut all = vec!["-v", "-q", "1", "-p", &port, "-C", &number, "-W", "30"];
        for filter in filters {
            all.extend(["-t", filter]);
        }
        let before = self.broker.subscriptions();
        let child = mosquitto::spawn("mosquitto_sub", &all);
        let child = child.unwrap_or_else(|problem| panic!("{problem}"));
        until(|| self.broker.subscriptions() >= before + filters.len()).await;
        child
    }
}

async fn lines(child: Child) -> Vec<String> {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = timeout(PATIENCE, output).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_get_what_their_topic_is_of() {
    let outlet = Outlet::start().await;
    let things = outlet.subscriber(3, &["v1.1/Things"]).await;
    let first = outlet.subscriber(2, &["v1.1/Things(1)"]).await;
    let name = outlet.subscriber(1, &["v1.1/Things(2)/name"]).await;
    let select = outlet.subscriber(3, &["v1.1/Things?$select=name"]).await;
    for (id, name) in [(1, "a"), (2, "b"), (1, "c")] {
        outlet.things.change(id, name);
    }
    let full = |id: u32, name: &str| format!("{{\"@iot.id\":{id},\"name\":\"{name}\"}}");
    let all = [full(1, "a"), full(2, "b"), full(1, "c")];
    let expected = all.clone().map(|it| format!("v1.1/Things {it}"));
    assert_eq!(lines(things).await, expected);
    let expected = [&all[0], &all[2]].map(|it| format!("v1.1/Things(1) {it}"));
    assert_eq!(lines(first).await, expected);
    assert_eq!(lines(name).await, ["v1.1/Things(2)/name {\"name\":\"b\"}"]);
    let expected =
        ["a", "b", "c"].map(|it| format!("v1.1/Things?$select=name {{\"name\":\"{it}\"}}"));
    assert_eq!(lines(select).await, expected);
    assert_eq!((outlet.published)(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_with_wildcards_get_each_plain_topic_once_whatever_others_want() {
    let outlet = Outlet::start().await;
    let all = outlet.subscriber(4, &["v1.1/#"]).await;
    let others = outlet
        .subscriber(
            6,
            &[
                "v1.1/Things",
                "v1.1/Things?$select=name",
                "v1.1/Things(1)/name",
            ],
        )
        .await;
    outlet.things.change(1, "a");
    outlet.things.change(1, "b");
    let of = |name: &str| format!("{{\"@iot.id\":1,\"name\":\"{name}\"}}");
    let mut expected = Vec::new();
    for name in ["a", "b"] {
        expected.push(format!("v1.1/Things {}", of(name)));
        expected.push(format!("v1.1/Things(1) {}", of(name)));
    }
    let mut got = lines(all).await;
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
    assert_eq!(lines(others).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_subscribed_misses_nothing() {
    let outlet = Outlet::start().await;
    for round in 0..30 {
        let child = outlet.subscriber(1, &["v1.1/Things(7)/name"]).await;
        outlet.things.change(7, &format!("r{round}"));
        if round % 2 == 0 {
            outlet.wake.notify_one();
        }
        let expected = format!("v1.1/Things(7)/name {{\"name\":\"r{round}\"}}");
        assert_eq!(lines(child).await, [expected]);
        until(|| outlet.broker.subscriptions() == 0).await;
        // So that nobody gets what came before it.
        let asked = outlet.things.asked.load(Ordering::Relaxed);
        until(|| outlet.things.asked.load(Ordering::Relaxed) > asked + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_rendered_that_nobody_listens_to() {
    let outlet = Outlet::start().await;
    outlet.things.change(1, "a");
    let asked = outlet.things.asked.load(Ordering::Relaxed);
    until(|| outlet.things.asked.load(Ordering::Relaxed) > asked + 2).await;
    // Nothing is ever published to this one.
    let useless = outlet.subscriber(1, &["v1.1/Sensors"]).await;
    outlet.things.change(1, "b");
    let asked = outlet.things.asked.load(Ordering::Relaxed);
    until(|| outlet.things.asked.load(Ordering::Relaxed) > asked + 2).await;
    assert_eq!(outlet.things.rendered.load(Ordering::Relaxed), 0);
    assert_eq!((outlet.published)(), 0);
    let mut useless = useless;
    useless.kill().unwrap();
    useless.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_for_a_while_loses_no_change() {
    let outlet = Outlet::start().await;
    let child = outlet.subscriber(5, &["v1.1/Things/name"]).await;
    outlet.things.unavailable.store(2, Ordering::Relaxed);
    outlet.things.fails_at.store(1, Ordering::Relaxed);
    for name in ["a", "b", "c", "d", "e"] {
        outlet.things.change(1, name);
    }
    let expected = ["a", "b", "c", "d", "e"];
    let expected = expected.map(|it| format!("v1.1/Things/name {{\"name\":\"{it}\"}}"));
    assert_eq!(lines(child).await, expected);
    outlet.stop.cancel();
    timeout(PATIENCE, outlet.running).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outlet_ends_with_its_broker() {
    let outlet = Outlet::start().await;
    outlet.broker.stop().await;
    timeout(PATIENCE, outlet.running).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_broker_gets_each_change_and_a_mark_is_confirmed_when_it_has_it() {
    let mut mosquitto = Mosquitto::start().unwrap_or_else(|problem| panic!("{problem}"));
    let port = mosquitto.address().port();
    let soon = (Duration::from_millis(20), Duration::from_millis(100));
    let (sink, mut inbox) = mpsc::channel(64);
    let subscription = Subscription::start(
        SubscriptionSettings {
            topics: vec!["v1.1/#".to_owned()],
            backoff: soon,
            ..SubscriptionSettings::new("127.0.0.1", port, "subscriber")
        },
        sink,
    )
    .unwrap();
    until(|| subscription.is_connected()).await;
    let remote = Remote::start(RemoteSettings {
        backoff: soon,
        ..RemoteSettings::new("127.0.0.1", port, "relay")
    })
    .unwrap();
    until(|| remote.is_connected()).await;
    let things = Arc::new(Things::default());
    things.change(1, "before");
    let start = |from| {
        let relay = StaRelay::new(things.clone(), remote.publisher(), from);
        let relay = relay.every(Duration::from_millis(20));
        let confirmed = relay.confirmed();
        let stop = CancellationToken::new();
        (tokio::spawn(relay.run(stop.clone())), confirmed, stop)
    };
    let (running, mut confirmed, stop) = start(None);
    let mut reached = async |mark: usize| {
        let wait = confirmed.wait_for(|it| *it == Some(mark));
        timeout(PATIENCE, wait).await.unwrap().unwrap();
    };
    reached(1).await;
    things.change(1, "a");
    reached(2).await;
    mosquitto.stop().unwrap();
    until(|| !remote.is_connected()).await;
    things.unavailable.store(1, Ordering::Relaxed);
    for name in ["b", "c", "d", "e"] {
        things.change(1, name);
    }
    until(|| remote.publisher().unacknowledged() > 0).await;
    stop.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap();

    // Nothing was confirmed, so the next one begins there.
    let (running, mut confirmed, stop) = start(Some(2));
    mosquitto.start_again().unwrap();
    let wait = confirmed.wait_for(|it| *it == Some(6));
    timeout(PATIENCE, wait).await.unwrap().unwrap();
    stop.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap();

    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "e") {
        for message in timeout(PATIENCE, inbox.recv()).await.unwrap().unwrap() {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            let (_, name) = payload.rsplit_once(":\"").unwrap();
            let name = name.trim_end_matches("\"}").to_owned();
            if &*message.topic == "v1.1/Things" && !names.contains(&name) {
                names.push(name);
            }
            message.receipt.unwrap().confirm();
        }
    }
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(remote.stop(PATIENCE).await, 0);
    subscription.stop().await;
}
