//! Services that listen from the start, whatever they wait for, until the program ends.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use smartem_http::{Exchange, Readiness, Routers};
use smartem_store::{Access, PostgresSettings, Store, StoreError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::output;
use crate::signals::Unfinished;

/// Pause between attempts to reach the database at the start.
const AGAIN: Duration = Duration::from_secs(1);
/// How long one attempt may take: packets that are dropped on the way are answered by nobody.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How often it is told that the database is not reached.
const TELL: Duration = Duration::from_secs(30);

/// The addresses of a program, taken.
pub(crate) struct Listeners {
    public: TcpListener,
    internal: Option<TcpListener>,
}

impl Listeners {
    /// Takes them; `section` of the configuration names them.
    pub(crate) async fn bind(
        section: &str,
        public: SocketAddr,
        internal: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let remedy = "choose one with --listen";
        let public = bind(public, remedy).await?;
        let internal = match internal {
            None => None,
            Some(address) => {
                let remedy = format!("choose another `{section}.internal_listen`");
                Some(bind(address, &remedy).await?)
            }
        };
        Ok(Self { public, internal })
    }

    pub(crate) fn has_internal(&self) -> bool {
        self.internal.is_some()
    }
}

async fn bind(address: SocketAddr, remedy: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}; another program may use it: {remedy}"))
}

/// Services that are answered, at first by what is served while waiting.
pub(crate) struct Services {
    readiness: Readiness,
    has_internal: bool,
    addresses: Vec<SocketAddr>,
    public: Exchange,
    serving: JoinHandle<()>,
    internal: Option<Internal>,
    stop: CancellationToken,
    part: Unfinished,
}

/// What answers at the internal address, also while the program ends.
struct Internal {
    exchange: Exchange,
    serving: JoinHandle<()>,
    end: CancellationToken,
}

impl Services {
    /// Answers from now on until `stop`: that the program lives and must be waited for.
    pub(crate) fn start(listeners: Listeners, stop: &CancellationToken) -> Self {
        let readiness = Readiness::default();
        let has_internal = listeners.has_internal();
        let waiting = smartem_serve::waiting_routers(readiness.clone(), has_internal);
        let public = Exchange::new(waiting.public);
        let listening = [Some(&listeners.public), listeners.internal.as_ref()];
        let addresses = listening
            .into_iter()
            .flatten()
            .filter_map(|it| it.local_addr().ok())
            .collect();
        let internal = listeners.internal.zip(waiting.internal);
        let internal = internal.map(|(listener, router)| {
            let (exchange, end) = (Exchange::new(router), CancellationToken::new());
            Internal {
                serving: spawn(listener, &exchange, &readiness, &end),
                exchange,
                end,
            }
        });
        Self {
            serving: spawn(listeners.public, &public, &readiness, stop),
            readiness,
            has_internal,
            addresses,
            public,
            internal,
            stop: stop.clone(),
            part: Unfinished::begin("requests"),
        }
    }

    /// Says where they are to be found.
    pub(crate) fn announce(&self, what: &str) {
        let mut addresses = self.addresses.iter();
        if let Some(address) = addresses.next() {
            output::line(format_args!("{what} is at http://{address}/"));
        }
        for address in addresses {
            output::line(format_args!(
                "health and metrics are at http://{address}/ (internal)"
            ));
        }
    }

    /// Whether they are going down; they are told so by it.
    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    pub(crate) fn has_internal(&self) -> bool {
        self.has_internal
    }

    /// From now on these answer.
    pub(crate) fn put(&self, routers: Routers) {
        self.public.put(routers.public);
        if let Some((internal, router)) = self.internal.as_ref().zip(routers.internal) {
            internal.exchange.put(router);
        }
    }

    /// Waits until `stop` was set and all requests of the public address are answered. The internal
    /// address goes on answering until [`Ending::end`].
    pub(crate) async fn stopped(self) -> Ending {
        if let Err(error) = self.serving.await {
            error!(%error, "the services ended early");
        }
        drop(self.part);
        Ending(self.internal)
    }

    /// Ends them because of a fault.
    pub(crate) async fn give_up(self) {
        self.stop.cancel();
        self.stopped().await.end().await;
    }
}

/// Services that have answered their last request, while the program puts the rest in order.
pub(crate) struct Ending(Option<Internal>);

impl Ending {
    /// Now the internal address is closed too.
    pub(crate) async fn end(self) {
        let Some(internal) = self.0 else { return };
        let _unfinished = Unfinished::begin("requests at the internal address");
        internal.end.cancel();
        if let Err(error) = internal.serving.await {
            error!(%error, "the internal services ended early");
        }
    }
}

fn spawn(
    listener: TcpListener,
    exchange: &Exchange,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let shutdown = stop.clone().cancelled_owned();
    let (router, readiness) = (exchange.router(), readiness.clone());
    tokio::spawn(smartem_http::serve(listener, router, readiness, shutdown))
}

/// Connects to the database, as long as that takes, and builds with it what needs it.
///
/// `tried` is called once, after the first attempt. `None`: `stop` was set before.
///
/// # Errors
/// What no later attempt would change: the store is not migrated, or the configuration is wrong.
pub(crate) async fn reach<Made>(
    config: &Config,
    database: &PostgresSettings,
    stop: &CancellationToken,
    mut tried: impl FnMut(),
    build: impl AsyncFn(Store) -> anyhow::Result<Made>,
) -> anyhow::Result<Option<Made>> {
    let mut told: Option<Instant> = None;
    loop {
        let attempt = async {
            let store = connect(config, database).await?;
            build(store).await
        };
        let result = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            result = attempt => result,
        };
        let error = match result {
            Ok(made) => {
                match told {
                    Some(_) => info!("the database is reached"),
                    None => tried(),
                }
                return Ok(Some(made));
            }
            Err(error) if !passes(&error) => return Err(error),
            Err(error) => format!("{error:#}"),
        };
        if told.is_none() {
            tried();
        }
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            told = Some(Instant::now());
            warn!(
                error,
                "the database is not reached; trying again every second"
            );
        } else {
            debug!(error, "the database is not reached");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = sleep(AGAIN) => {}
        }
    }
}

/// One attempt that does not try again by itself.
async fn connect(config: &Config, database: &PostgresSettings) -> anyhow::Result<Store> {
    let once = PostgresSettings {
        patience: Duration::ZERO,
        ..database.clone()
    };
    let dir = &config.store.data_dir;
    let attempt = timeout(ATTEMPT, Store::connect(dir, &once, Access::Existing));
    let opening = "opening the store in the database of `store.postgres.url`";
    let _once = attempt.await.context(opening)?.context(opening)?;
    let store = Store::connect(dir, database, Access::Existing);
    timeout(ATTEMPT, store)
        .await
        .context(opening)?
        .context(opening)
}

/// Whether a later attempt may go well with nobody doing anything here.
fn passes(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<tokio::time::error::Elapsed>()
            || matches!(
                cause.downcast_ref::<StoreError>(),
                Some(StoreError::Unreachable { .. })
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_by_itself_is_waited_for() {
        let of = |error: StoreError| anyhow::Error::new(error).context("opening the store");
        assert!(passes(&of(StoreError::Unreachable {
            action: "opening the store",
            path: "db.example".into(),
            source: "refused".into(),
        })));
        assert!(!passes(&of(StoreError::NotMigrated {
            path: "db.example".into(),
            found: 0,
            needed: 1,
        })));
        assert!(!passes(&of(StoreError::Denied {
            action: "opening the store",
            path: "db.example".into(),
            problem: "no such user".into(),
        })));
    }
}
