use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use smartem_etl::{Batch, Clock, Output, OutputError, Row, Run};
use smartem_model::QuarantineReason;
use smartem_publish::influxdb::{Credentials, Influxdb, InfluxdbSettings};
use smartem_store::{Access, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What an output needs to run.
pub(crate) struct Bench {
    _dir: TempDir,
    pub run: Run,
}

impl Bench {
    pub(crate) async fn new(budget: Option<Duration>) -> Self {
        let dir = TempDir::new().unwrap();
        let now = "2026-11-22T12:30:00Z".parse().unwrap();
        let store = Store::open(dir.path(), Access::Create { now })
            .await
            .unwrap();
        let clock: Clock = Arc::new(move || now);
        let run = Run::new("extractor", store, clock, budget, CancellationToken::new());
        Self { _dir: dir, run }
    }

    /// Writes rows; what was set aside: place, detail and body.
    pub(crate) async fn write(
        &self,
        output: &dyn Output,
        rows: Vec<Row>,
    ) -> Result<Vec<(String, String, String)>, OutputError> {
        let mut batch = Batch {
            rows,
            ..Batch::default()
        };
        output.write(&self.run, &mut batch).await?;
        let aside = batch.quarantined.into_iter();
        Ok(aside
            .map(|bad| {
                assert_eq!(bad.reason, QuarantineReason::RefusedByOutput);
                (bad.place, bad.detail, String::from_utf8(bad.body).unwrap())
            })
            .collect())
    }

    pub(crate) fn counted(&self) -> String {
        self.run.counters.to_string()
    }
}

/// An output to this address; small waits.
pub(crate) fn output(url: &str, more: &Value, credentials: Credentials) -> Influxdb {
    let mut all = json!({
        "url": url, "database": "test", "measurement": "m",
        "tags": {"station": "station", "component": "name"}, "fields": {"value": "value"},
        "backoff": "5ms", "timeout": "5s", "attempts": 3,
    });
    all.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let settings: InfluxdbSettings = serde_json::from_value(all).unwrap();
    Influxdb::new(settings, credentials).unwrap()
}

/// A row of a station, so many milliseconds after the start of an hour.
pub(crate) fn row(station: &str, milliseconds: i64, value: Value) -> Row {
    let start: jiff::Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    Row {
        time: start + jiff::SignedDuration::from_millis(milliseconds),
        position: None,
        attributes: [
            ("station", json!(station)),
            ("name", json!("no2")),
            ("value", value),
        ]
        .into(),
    }
}
