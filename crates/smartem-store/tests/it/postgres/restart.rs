//! The server goes away in the middle of writing, and comes back: nothing is lost, nothing is there twice, and
//! who writes goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use serde_json::json;
use smartem_simulate::postgres::{Postgres, PostgresOptions};
use smartem_store::{Access, PostgresSettings, RunCount, RunResult, Store};

use crate::support::{hour, id, intake, now, record, refine_all, sample};

const WRITERS: usize = 3;

/// Takes in hour after hour with its checkpoint, and counts it, until told to end; how many.
async fn write(store: Store, station: String, stop: Arc<AtomicBool>, done: Arc<AtomicI64>) -> i64 {
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let run = store.start_run(&station, now()).await.unwrap();
        let mut batch = intake(vec![record(&station, n, &sample(n % 7, 0.0))]);
        batch.checkpoints = vec![(station.clone(), json!(n))];
        let report = store.take_in(batch).await.unwrap();
        // Where the answer was lost with the connection, it is there already.
        assert_eq!(report.new + report.unchanged, 1);
        let result = RunResult {
            outcome: "done".into(),
            exit_code: 0,
            summary: json!({}),
            counters: vec![RunCount {
                name: "hours".into(),
                label: String::new(),
                add: 1,
            }],
            now: now(),
        };
        store.finish_run(run, result).await.unwrap();
        n += 1;
        done.fetch_add(1, Ordering::Relaxed);
    }
    n
}

/// Waits until the writers have done so many hours more.
async fn further(done: &AtomicI64) {
    let before = done.load(Ordering::Relaxed);
    while done.load(Ordering::Relaxed) < before + 10 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_and_nothing_twice_when_the_server_restarts_and_is_killed() {
    let mut server = Postgres::start_with(&PostgresOptions {
        durable: true,
        ..PostgresOptions::default()
    })
    .unwrap();
    let name = {
        // Dropped by the server's end, not by itself.
        let database = std::mem::ManuallyDrop::new(server.create_database().unwrap());
        database.name().to_owned()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut settings = PostgresSettings::new(server.url(&name, "postgres"));
    settings.patience = std::time::Duration::from_secs(120);
    let access = Access::Create { now: now() };
    let store = Store::connect(dir.path(), &settings, access).await.unwrap();
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicI64::new(0)),
    );
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| write(store.clone(), n.to_string(), stop.clone(), done.clone()))
        .map(tokio::spawn)
        .collect();
    for round in 0..3 {
        further(&done).await;
        server = tokio::task::spawn_blocking(move || {
            if round == 1 {
                server.kill().unwrap();
            } else {
                server.stop().unwrap();
            }
            // Long enough that all writers meet a server that is away.
            std::thread::sleep(std::time::Duration::from_millis(300));
            server.start_again().unwrap();
            server
        })
        .await
        .unwrap();
        further(&done).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = Vec::new();
    for writer in writers {
        written.push(writer.await.unwrap());
    }
    refine_all(&store).await;
    let checkpoints = store
        .checkpoints("harvester-whale", "intemo")
        .await
        .unwrap();
    let counters = store.counters().await.unwrap();
    for (n, hours) in written.iter().enumerate() {
        let station = n.to_string();
        let stored = store
            .stored_hours(&id(&station), hour(0), hour(1 << 20))
            .await;
        let expected: Vec<_> = (0..*hours).map(hour).collect();
        assert_eq!(stored.unwrap(), expected);
        assert_eq!(checkpoints[&station], json!(hours - 1));
        let counted = counters.iter().find(|it| *it.process == *station).unwrap();
        assert_eq!(counted.value, u64::try_from(*hours).unwrap());
    }
    let backlog = store.backlog().await.unwrap();
    assert_eq!(
        backlog.raw_records,
        written.iter().sum::<i64>().unsigned_abs()
    );
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}
