//! Reading for callers that block.
//!
//! They may be within a runtime, whose worker then waits: so the work is done by a runtime on a thread of its
//! own, with connections of its own.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::StoreError;
use crate::postgres::{Postgres, PostgresSettings};

/// Connections of readers that block.
const CONNECTIONS: usize = 2;
/// Who blocks is not to wait for long.
const PATIENCE: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(Arc<Postgres>) -> BoxFuture<'static, ()> + Send>;

/// The thread, which begins with the first reader and ends when this is dropped.
pub(in crate::postgres) struct Reader {
    settings: PostgresSettings,
    jobs: Mutex<Option<UnboundedSender<Job>>>,
}

impl Reader {
    pub(in crate::postgres) fn new(settings: &PostgresSettings) -> Self {
        let settings = PostgresSettings {
            connections: CONNECTIONS,
            patience: settings.patience.min(PATIENCE),
            ..settings.clone()
        };
        Self {
            settings,
            jobs: Mutex::new(None),
        }
    }

    /// Does work and blocks until it is done.
    pub(super) fn ask<T, F>(
        &self,
        action: &'static str,
        work: impl FnOnce(Arc<Postgres>) -> F + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (done, answer) = sync_channel(1);
        let job: Job = Box::new(move |database| {
            let work = work(database);
            // Who asked may be gone.
            async move { drop(done.send(work.await)) }.boxed()
        });
        let sent = self.jobs()?.send(job);
        let interrupted = StoreError::Interrupted { action };
        match sent.ok().and_then(|()| answer.recv().ok()) {
            Some(answer) => answer,
            None => Err(interrupted),
        }
    }

    fn jobs(&self) -> Result<UnboundedSender<Job>, StoreError> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(jobs) = &*jobs {
            return Ok(jobs.clone());
        }
        let begun = begin(&self.settings)?;
        Ok(jobs.insert(begun).clone())
    }
}

/// Begins the thread.
fn begin(settings: &PostgresSettings) -> Result<UnboundedSender<Job>, StoreError> {
    let database = Arc::new(Postgres::connect(Path::new(""), settings)?);
    let (jobs, waiting) = unbounded_channel();
    let (begun, answer) = sync_channel(1);
    let place = database.place().to_owned();
    let fault = |source| StoreError::Database {
        action: "starting a reader of points",
        path: place.clone(),
        source,
    };
    std::thread::Builder::new()
        .name("points-read".to_owned())
        .spawn(move || run(&database, waiting, &begun))
        .map_err(|error| fault(error.into()))?;
    match answer.recv() {
        Ok(Ok(())) => Ok(jobs),
        Ok(Err(error)) => Err(fault(error.into())),
        Err(error) => Err(fault(error.into())),
    }
}

/// Does the jobs, several at a time, until no more can come.
fn run(
    database: &Arc<Postgres>,
    mut waiting: UnboundedReceiver<Job>,
    begun: &SyncSender<std::io::Result<()>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            // Who began it waits for this.
            let _ = begun.send(Err(error));
            return;
        }
    };
    let _ = begun.send(Ok(()));
    runtime.block_on(async {
        while let Some(job) = waiting.recv().await {
            tokio::spawn(job(database.clone()));
        }
    });
}
