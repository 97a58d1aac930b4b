//! What tells subscribers of MQTT of SensorThings: those of the own broker, or of another.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use smartem_collect::receive::mqtt::sta::{StaOutlet, StaRelay, StoreChanges, StoreMark};
use smartem_etl::Clock;
use smartem_http::{Metric, MetricSource};
use smartem_mqtt::{Broker, Remote, RemoteSettings};
use smartem_store::{Intake, Store};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

/// How often it is asked what has changed.
const EVERY: Duration = Duration::from_millis(250);
/// How often it is kept how far another broker has been told.
const KEPT_EVERY: Duration = Duration::from_secs(1);
/// How long another broker may take at the end to acknowledge what it was told.
const STOP: Duration = Duration::from_secs(5);
/// Who has the checkpoint of what another broker has been told, and the partition of it.
const PROCESS: &str = "mqtt";
const PARTITION: &str = "sta";

/// What runs until the end.
pub(super) struct Telling {
    tasks: Vec<JoinHandle<()>>,
    remote: Option<Remote>,
    stop: CancellationToken,
    /// Notified, it looks at once for what has changed.
    pub(super) waker: Arc<Notify>,
    /// Its numbers.
    pub(super) metrics: Option<MetricSource>,
}

impl Telling {
    /// Tells the subscribers of the own broker.
    pub(super) fn to_broker(changes: StoreChanges, broker: &Broker) -> Self {
        let outlet = StaOutlet::new(Arc::new(changes), broker.publisher()).every(EVERY);
        let (counts, waker) = (outlet.counts(), outlet.waker());
        let stop = CancellationToken::new();
        Self {
            tasks: vec![tokio::spawn(outlet.run(stop.clone()))],
            remote: None,
            stop,
            waker,
            metrics: Some(Arc::new(move || {
                vec![Metric::counter(
                    "smartem_mqtt_sta_published_total",
                    "Messages about entities of SensorThings published at the own broker of MQTT.",
                    counts().published as f64,
                )]
            })),
        }
    }

    /// Tells another broker, from where it was the last time; `source` is its address.
    pub(super) async fn to_remote(
        changes: StoreChanges,
        settings: RemoteSettings,
        source: &str,
        store: &Store,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let kept = store.checkpoints(PROCESS, source).await?.remove(PARTITION);
        let from = kept.clone().and_then(|mark| match serde_json::from_value(mark) {
            Ok(mark) => Some(mark),
            Err(error) => {
                warn!(%error, "it is not known how far the broker was told of SensorThings; it is told from now on");
                None
            }
        });
        let remote = Remote::start(settings).context("publishing with MQTT")?;
        let changes = Arc::new(changes.with_plain_topics_only());
        let relay = StaRelay::new(changes, remote.publisher(), from).every(EVERY);
        let waker = relay.waker();
        let keeper = Keeper {
            store: store.clone(),
            clock: clock.clone(),
            source: source.to_owned(),
            kept,
        };
        let stop = CancellationToken::new();
        Ok(Self {
            tasks: vec![
                tokio::spawn(keeper.run(relay.confirmed())),
                tokio::spawn(relay.run(stop.clone())),
            ],
            remote: Some(remote),
            stop,
            waker,
            metrics: None,
        })
    }

    /// Ends it; what another broker was not told comes at the next start.
    pub(super) async fn close(self) {
        self.stop.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                error!(%error, "telling of SensorThings ended early");
            }
        }
        if let Some(remote) = self.remote {
            remote.stop(STOP).await;
        }
    }
}

/// Keeps how far another broker has been told.
struct Keeper {
    store: Store,
    clock: Clock,
    source: String,
    kept: Option<Value>,
}

impl Keeper {
    /// Keeps it until the relay has ended, and then once more.
    async fn run(mut self, mut confirmed: watch::Receiver<Option<StoreMark>>) {
        let mut goes_on = true;
        while goes_on {
            goes_on = confirmed.changed().await.is_ok();
            let mark = confirmed.borrow_and_update().clone();
            self.keep(mark.as_ref()).await;
            if goes_on {
                tokio::time::sleep(KEPT_EVERY).await;
            }
        }
    }

    async fn keep(&mut self, mark: Option<&StoreMark>) {
        // It consists of numbers.
        let Some(Ok(mark)) = mark.map(serde_json::to_value) else {
            return;
        };
        // Keeping it changes the store, which must not be looked at again for that.
        if self.kept.as_ref() == Some(&mark) {
            return;
        }
        let intake = Intake {
            process: PROCESS.to_owned(),
            source: self.source.clone(),
            network: PROCESS.to_owned(),
            project: None,
            now: (self.clock)(),
            records: Vec::new(),
            quarantined: Vec::new(),
            understood: Vec::new(),
            checkpoints: vec![(PARTITION.to_owned(), mark.clone())],
        };
        match self.store.take_in(intake).await {
            Ok(_) => self.kept = Some(mark),
            // The next mark is kept in its place; until then something may be told twice.
            Err(error) => {
                warn!(%error, "it is not kept how far the broker was told of SensorThings");
            }
        }
    }
}
