//! Wiring of the collector: points, the faces that receive them, MQTT, newest values.

mod sta;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use smartem_collect::receive::authority::StoreAuthority;
use smartem_collect::receive::influxdb::{self, InfluxdbSettings, PointCounts, QuerySettings};
use smartem_collect::receive::json::{self, PushConfig, PushReceiver};
use smartem_collect::receive::mqtt::sta::{StoreChanges, StoreInbox};
use smartem_collect::receive::mqtt::{self, Access, Doorkeeper, MqttReceiver, Topics};
use smartem_collect::receive::newest::NewestOfPoints;
use smartem_collect::receive::sensor_community::{
    self, SensorCommunityPush, SensorCommunityPushConfig,
};
use smartem_collect::receive::whale::{self, WhaleFaceConfig};
use smartem_collect::receive::{first_admin_token, overview};
use smartem_etl::Clock;
use smartem_http::auth::{Authority, Guard, GuardSettings};
use smartem_http::{Metric, MetricSource, ServicePart};
use smartem_mqtt::{Broker, BrokerState, Incoming, Subscription};
use smartem_store::{Points, PointsSettings, Store};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::sta::Telling;
use crate::config::ConfigError;
use crate::output;
use crate::platform::Platform;

/// Pieces of messages that wait between broker and receiver.
const INBOX: usize = 64;
/// How long messages that were taken may wait for the store at the end.
const GIVE_UP: Duration = Duration::from_secs(10);
const MIB: usize = 1024 * 1024;

/// A running collector.
pub(crate) struct Collector {
    points: Points,
    /// Its routes.
    pub(crate) parts: Vec<ServicePart>,
    /// Its numbers.
    pub(crate) metrics: Vec<MetricSource>,
    mqtt: Option<Mqtt>,
    newest: JoinHandle<()>,
    stop: CancellationToken,
}

/// How the points of this configuration are kept.
pub(crate) fn points_settings(
    platform: &Platform,
    clock: Clock,
) -> Result<PointsSettings, ConfigError> {
    let collect = &platform.config.collect;
    let knows = |name: &str| platform.catalogue.knows(name);
    let commit_every = Duration::try_from(collect.commit_every)
        .ok()
        .filter(|it| !it.is_zero());
    let commit_every = commit_every.ok_or_else(|| {
        ConfigError("`collect.commit_every` must be longer than nothing, such as \"5m\"".to_owned())
    })?;
    Ok(PointsSettings {
        memory: collect.memory_mib.max(1) * MIB,
        commit_every,
        ..PointsSettings::new(collect.databases(knows)?, clock)
    })
}

impl Collector {
    /// Starts it. A broker that cannot listen ends it with `needs_mqtt`; else that is only told.
    pub(crate) async fn start(
        platform: &Platform,
        store: &Store,
        clock: Clock,
        needs_mqtt: bool,
    ) -> anyhow::Result<Self> {
        let points = Points::open(store, points_settings(platform, clock.clone())?).await?;
        let made = first_admin_token(store, store.dir(), clock()).await?;
        if let Some(file) = made {
            tell_token(&file);
        }
        let authority = Arc::new(StoreAuthority::new(store.clone(), clock.clone()));
        let stop = CancellationToken::new();
        let counts = PointCounts::default();
        let mut parts = parts(platform, store, &points, authority.clone(), &clock, &counts);
        let mut metrics = vec![overview::metrics(points.clone()), of_databases(counts)];
        let mqtt = match start_mqtt(platform, store, &points, authority, &clock).await {
            Ok(mqtt) => mqtt,
            Err(error) if needs_mqtt => return Err(error),
            Err(error) => {
                warn!(error = %error, "no messages of MQTT are taken");
                output::line(format_args!("no messages of MQTT are taken: {error}"));
                None
            }
        };
        metrics.extend(mqtt.as_ref().map(Mqtt::metrics));
        metrics.extend(mqtt.as_ref().and_then(|it| it.telling.metrics.clone()));
        parts.extend(mqtt.as_ref().and_then(Mqtt::part));
        let newest = NewestOfPoints {
            points: points.clone(),
            store: store.clone(),
            catalogue: platform.catalogue.clone(),
            models: platform.models.clone(),
            clock,
        };
        Ok(Self {
            newest: tokio::spawn(newest.run(stop.clone())),
            points,
            parts,
            metrics,
            mqtt,
            stop,
        })
    }

    /// Where clients of SensorThings reach MQTT; see [`smartem_serve::SensorThingsSettings`].
    pub(crate) fn mqtt_endpoints(&self) -> Vec<String> {
        self.mqtt.as_ref().map_or_else(Vec::new, Mqtt::endpoints)
    }

    /// Ends it when nothing more is received: all points are committed, or else the exit status says
    /// that some are left in the log.
    pub(crate) async fn close(self) -> ExitCode {
        if let Some(mqtt) = self.mqtt {
            mqtt.close().await;
        }
        self.stop.cancel();
        if let Err(error) = self.newest.await {
            error!(%error, "the keeper of newest values ended early");
        }
        // What cannot be committed now is in the log, and is taken up at the next start.
        if let Err(error) = self.points.close().await {
            error!(%error, "points are left in the log; they are committed at the next start");
            return ExitCode::from(smartem_etl::ExitCode::TryAgain.code());
        }
        ExitCode::SUCCESS
    }
}

fn tell_token(file: &Path) {
    output::line(format_args!(
        "a token that may everything was made at this first start; it is in {}",
        file.display()
    ));
}

fn parts(
    platform: &Platform,
    store: &Store,
    points: &Points,
    authority: Arc<dyn Authority>,
    clock: &Clock,
    counts: &PointCounts,
) -> Vec<ServicePart> {
    let collect = &platform.config.collect;
    let guard = Guard::new(authority, GuardSettings::default());
    let body = collect.max_body_mib.max(1) * MIB;
    let settings = InfluxdbSettings {
        body_limit: body,
        unpacked_limit: body.saturating_mul(4),
        memory: body.saturating_mul(16),
    };
    let types = platform.catalogue.iter().map(|it| it.name.to_string());
    let push = PushConfig {
        auto_register: collect.auto_register,
        ..PushConfig::default()
    };
    let shared = Arc::new(points.clone());
    let receiver = PushReceiver::new(json::DATABASE, push, types.collect(), store, shared.clone());
    vec![
        influxdb::part(
            shared.clone(),
            guard.clone(),
            clock.clone(),
            settings,
            counts.clone(),
        ),
        influxdb::query_part(
            shared.clone(),
            guard.clone(),
            clock.clone(),
            QuerySettings::default(),
        ),
        json::part(receiver, guard.clone(), clock.clone()),
        sensor_community::part(SensorCommunityPush {
            config: SensorCommunityPushConfig {
                allow_unauthenticated: collect.allow_unauthenticated,
                auto_register: collect.auto_register,
                sensors: collect.sensor_community.sensors.clone(),
                station_type: collect.sensor_community.station_type.clone(),
            },
            store: store.clone(),
            databases: shared,
            guard,
            clock: clock.clone(),
        }),
        whale::part(store.clone(), WhaleFaceConfig::default(), clock.clone()),
        overview::part(points.clone()),
    ]
}

/// What came to each database.
fn of_databases(counts: PointCounts) -> MetricSource {
    Arc::new(move || {
        let all = counts.all();
        let family = |name, help, of: fn(&influxdb::DatabaseCounts) -> u64| Metric {
            name,
            help,
            is_counter: true,
            samples: all
                .iter()
                .map(|(database, counts)| (vec![("database", database.clone())], of(counts) as f64))
                .collect(),
        };
        vec![
            family(
                "smartem_line_protocol_points_total",
                "Points that came as line protocol and were written.",
                |it| it.written,
            ),
            family(
                "smartem_line_protocol_faulty_lines_total",
                "Lines that could not be read.",
                |it| it.faulty,
            ),
            family(
                "smartem_line_protocol_refused_points_total",
                "Points that came as line protocol and were refused.",
                |it| it.refused,
            ),
        ]
    })
}

/// What the own broker is busy with.
fn of_broker(state: &BrokerState) -> [Metric; 5] {
    [
        Metric::gauge(
            "smartem_mqtt_connections",
            "Connections to the own broker of MQTT.",
            state.connections as f64,
        ),
        Metric::gauge(
            "smartem_mqtt_guests",
            "Connections of clients without a token.",
            state.guests as f64,
        ),
        Metric::gauge(
            "smartem_mqtt_subscriptions",
            "Subscriptions at the own broker of MQTT.",
            state.subscriptions as f64,
        ),
        Metric::counter(
            "smartem_mqtt_turned_away_total",
            "Connections for which there was no place.",
            state.counts.turned_away as f64,
        ),
        Metric::counter(
            "smartem_mqtt_undelivered_total",
            "Messages that a subscriber did not get because it was too slow, or they were too large for it.",
            state.counts.undelivered as f64,
        ),
    ]
}

/// Messages on their way into points.
struct Mqtt {
    from: From,
    receiver: JoinHandle<()>,
    counts: Arc<dyn Fn() -> mqtt::MqttCounts + Send + Sync>,
    give_up: CancellationToken,
    telling: Telling,
}

enum From {
    Broker(Broker),
    /// Of the broker at this address.
    Subscription(Subscription, String),
}

async fn start_mqtt(
    platform: &Platform,
    store: &Store,
    points: &Points,
    authority: Arc<dyn Authority>,
    clock: &Clock,
) -> anyhow::Result<Option<Mqtt>> {
    let collect = &platform.config.collect;
    let config = &collect.mqtt;
    if !config.enabled {
        return Ok(None);
    }
    let topics = Topics::new(&config.prefix);
    let receiver = MqttReceiver::new(
        mqtt::MqttConfig {
            topics: topics.clone(),
            station_type: config.station_type.clone(),
            auto_register: collect.auto_register,
            project: config.project.clone(),
            ..mqtt::MqttConfig::default()
        },
        points.clone(),
        store.clone(),
        clock.clone(),
    );
    let counts = Arc::new(receiver.counts());
    let give_up = CancellationToken::new();
    let (sink, messages) = mpsc::channel::<Vec<Incoming>>(INBOX);
    let public_url = platform.config.serve.public_url.as_deref();
    let changes = StoreChanges::new(store.clone(), clock.clone(), public_url);
    let (from, telling, doorkeeper) = if config.broker.is_empty() {
        let settings = config.broker_settings(store.dir())?;
        let access = Access {
            open_reading: config.open_reading,
            takes_sta: true,
        };
        let doorkeeper = Arc::new(Doorkeeper::new(authority, points.clone(), topics, access));
        let broker = Broker::start(settings, doorkeeper.clone(), sink).await?;
        for address in broker.address().into_iter().chain(broker.tls_address()) {
            info!(%address, "the MQTT broker listens");
        }
        let telling = Telling::to_broker(changes, &broker);
        (From::Broker(broker), telling, Some(doorkeeper))
    } else {
        let settings = config.subscription_settings()?;
        let remote = config.remote_settings()?;
        let address = config.broker.clone();
        let telling = Telling::to_remote(changes, remote, &address, store, clock).await?;
        let subscription = Subscription::start(settings, sink).context("subscribing with MQTT")?;
        (From::Subscription(subscription, address), telling, None)
    };
    let waker = telling.waker.clone();
    let inbox = StoreInbox::new(store.clone(), clock.clone(), Some(waker));
    let receiver = receiver.with_sta(Arc::new(inbox), doorkeeper);
    Ok(Some(Mqtt {
        from,
        receiver: tokio::spawn(receiver.run(messages, give_up.clone())),
        counts,
        give_up,
        telling,
    }))
}

impl Mqtt {
    /// Where clients of the own broker come in over WebSocket.
    fn part(&self) -> Option<ServicePart> {
        match &self.from {
            From::Broker(broker) => Some(mqtt::websocket::part(broker.door())),
            From::Subscription(..) => None,
        }
    }

    fn metrics(&self) -> MetricSource {
        let counts = self.counts.clone();
        let (connection, broker) = match &self.from {
            From::Broker(broker) => (None, Some(broker.state())),
            From::Subscription(subscription, _) => (Some(subscription.connection()), None),
        };
        Arc::new(move || {
            let now = counts();
            let mut told = vec![
                Metric::counter(
                    "smartem_mqtt_points_total",
                    "Points that came as messages of MQTT and were written.",
                    now.points as f64,
                ),
                Metric::counter(
                    "smartem_mqtt_refused_total",
                    "Messages of MQTT that were quarantined.",
                    now.refused as f64,
                ),
                Metric::counter(
                    "smartem_mqtt_sta_created_total",
                    "Messages of MQTT of which entities of SensorThings were created.",
                    now.sta_created as f64,
                ),
                Metric::counter(
                    "smartem_mqtt_sta_refused_total",
                    "Messages of MQTT for SensorThings that were quarantined.",
                    now.sta_refused as f64,
                ),
            ];
            told.extend(connection.as_ref().map(|is_connected| {
                Metric::gauge(
                    "smartem_mqtt_connected",
                    "Whether it is connected and subscribed to the other broker.",
                    if is_connected() { 1.0 } else { 0.0 },
                )
            }));
            let broker = broker.as_ref().and_then(|state| state());
            told.extend(broker.iter().flat_map(of_broker));
            told
        })
    }

    fn endpoints(&self) -> Vec<String> {
        let broker = match &self.from {
            From::Broker(broker) => broker,
            From::Subscription(_, address) => return vec![address.clone()],
        };
        // What listens to this machine only, others do not reach.
        let listens = [("mqtt", broker.address()), ("mqtts", broker.tls_address())];
        let reached = listens.into_iter().filter_map(|(scheme, address)| {
            let address = address.filter(|it| !it.ip().is_loopback())?;
            Some(format!("{scheme}://{{host}}:{}", address.port()))
        });
        reached.chain(["{ws}/mqtt".to_owned()]).collect()
    }

    async fn close(self) {
        match self.from {
            From::Broker(broker) => {
                self.telling.close().await;
                broker.stop().await;
            }
            From::Subscription(subscription, _) => {
                subscription.stop().await;
                self.telling.close().await;
            }
        }
        let give_up = self.give_up.clone();
        let waited = tokio::time::timeout(GIVE_UP, self.receiver);
        if waited.await.is_err() {
            give_up.cancel();
        }
    }
}
