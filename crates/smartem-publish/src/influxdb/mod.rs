//! InfluxDB 1.x as an output: rows become points of one measurement.
//!
//! - [`Encoder`]: a row as a [`Point`], and so as a line of the line protocol; pure
//! - [`geohash`]: a position as a short text
//! - [`Influxdb`]: the output
//!
//! A point is known by its series (measurement and tags) and its time, so writing it again leaves
//! one point.

mod client;
mod config;
mod geohash;
mod line_protocol;
mod number;

use async_trait::async_trait;
use smartem_etl::{About, Batch, Counters, Kind, Output, OutputError, Row, Run, SettingsError};
use smartem_model::{Quarantine, QuarantineReason};

pub use crate::remote::Credentials;
use client::{Client, Refusal};
pub use config::InfluxdbSettings;
pub use geohash::geohash;
pub use line_protocol::{Encoder, LineSettings, NoPoint, Point, TimePrecision, united};

/// What the reference says of this output.
const ABOUT: About = About {
    name: "influxdb",
    summary: "Rows as points of a measurement, written to InfluxDB 1.x or what takes writes like it.",
    text: "Each row becomes a point: `tags` and `fields` say which attribute each tag and field holds. What is \
        absent or null is left out, and a row without any field is no point. Numbers are written as reals, \
        whole ones too, so that the type of a field does not depend on its first value.\n\n\
        The server's answer counts: 204 acknowledges (and 200 without words); any other answer does not; connection errors, 408, 429 and 5xx are tried \
        again with growing waits (`Retry-After` is honoured up to a minute). After `attempts` of them, and \
        when the server refuses the user, does not know the database or has reached a limit of its own \
        (401, 403, 404, \"limit exceeded\"), the batch waits for the next run, and the log says what to do.\n\n\
        When the server refuses some points of a request (400), such as those whose field has another type \
        than it had before, the request is halved until the refused points stand alone. They go to \
        quarantine (`refused_by_output`), each with its line and the server's words; all others are \
        written. After 200 halvings of one request what is still undecided goes to quarantine as a \
        whole. Points that are older than the retention policy keeps are only counted.\n\n\
        Counted: `points_written`, `points_merged` (rows of one request that fell on one series and time), \
        `points_without_field`, `points_beyond_time` (InfluxDB keeps 1677 to 2262), \
        `points_beyond_retention`, `points_refused`.",
    checkpoint: "None of its own: the input's checkpoint moves after the server has acknowledged. A batch that \
        is met again is written again, over the same points.",
    example: r#"
[process.extractor]
input = "store.raw"
filter = ["extract"]
output = ["influxdb"]
schedule = "7,27,47 * * * *"
budget = "280s"

[process.extractor.extract]
stations = ["12", "14", "45"]

[process.extractor.influxdb]
url = "http://localhost:8086"
database = "smartemission"
measurement = "joseextract"
tags = { station = "device_id", component = "name" }
fields = { value = "value" }
geohash_tag = true
geohash_field = true
"#,
};

/// This kind of output.
pub fn kind() -> Kind<Box<dyn Output>> {
    Kind::new(ABOUT, |settings: InfluxdbSettings, site| {
        let credentials = settings.credentials(site)?;
        Ok(Box::new(Influxdb::new(settings, credentials)?))
    })
}

/// Requests for one batch of points while looking for those that are refused.
const MOST_REQUESTS: usize = 200;

/// A measurement of an InfluxDB as an output.
pub struct Influxdb {
    encoder: Encoder,
    client: Client,
    batch_points: usize,
}

impl Influxdb {
    /// An output with these settings.
    ///
    /// # Errors
    /// When the settings ask for what cannot be written or sent.
    pub fn new(
        settings: InfluxdbSettings,
        credentials: Credentials,
    ) -> Result<Self, SettingsError> {
        let refused = |error: crate::remote::ClientError| SettingsError(error.to_string());
        Ok(Self {
            client: Client::new(&settings, credentials).map_err(refused)?,
            batch_points: settings.batch_points.max(1),
            encoder: Encoder::new(settings.line).map_err(SettingsError)?,
        })
    }

    fn points(&self, rows: &[Row], counters: &Counters) -> Vec<Point> {
        let mut points = Vec::with_capacity(rows.len());
        for row in rows {
            match self.encoder.point(row) {
                Ok(point) => points.push(point),
                Err(NoPoint::WithoutField) => counters.add("points_without_field", 1),
                Err(NoPoint::BeyondTime) => counters.add("points_beyond_time", 1),
            }
        }
        let (points, merged) = united(points);
        counters.add("points_merged", merged as u64);
        points
    }

    /// Writes points, halving the request while some of them are refused.
    async fn write_points(
        &self,
        run: &Run,
        points: &[Point],
        batch: &mut Batch,
    ) -> Result<(), OutputError> {
        let mut waiting = vec![points];
        let mut requests = 0;
        while let Some(part) = waiting.pop() {
            requests += 1;
            let Err(refusal) = self.client.write(run, lines(part)).await? else {
                run.counters.add("points_written", part.len() as u64);
                self.note_mended(part, batch);
                continue;
            };
            let dropped = refusal.dropped.unwrap_or_default();
            if refusal.is_too_old && dropped > 0 {
                let dropped = dropped.min(part.len());
                let written = part.len() - dropped;
                run.counters.add("points_written", written as u64);
                run.counters.add("points_beyond_retention", dropped as u64);
            } else if part.len() == 1 || dropped >= part.len() {
                for point in part {
                    self.set_aside(std::slice::from_ref(point), &refusal, run, batch);
                }
            } else if requests >= MOST_REQUESTS {
                self.set_aside(part, &refusal, run, batch);
            } else {
                let (first, second) = part.split_at(part.len() / 2);
                waiting.extend([second, first]);
            }
        }
        Ok(())
    }

    /// Points that were refused before and are written now need nobody any more.
    fn note_mended(&self, part: &[Point], batch: &mut Batch) {
        if batch.refused_before.is_empty() {
            return;
        }
        let places = part.iter().map(|point| self.place(point));
        let mended = places.filter(|place| batch.refused_before.contains(place));
        let mended: Vec<String> = mended.collect();
        batch.understood.extend(mended);
    }

    fn place(&self, point: &Point) -> String {
        format!("{}#{}", self.encoder.measurement(), point.identity())
    }

    /// Sets points aside in one entry: the one that is refused, or several of which some are.
    fn set_aside(&self, part: &[Point], refusal: &Refusal, run: &Run, batch: &mut Batch) {
        let Some(first) = part.first() else { return };
        run.counters.add("points_refused", part.len() as u64);
        let detail = match part.len() {
            1 => refusal.text.clone(),
            several => format!("some of {several} points: {}", refusal.text),
        };
        let place = self.place(first);
        batch.set_aside(
            Quarantine::new(QuarantineReason::RefusedByOutput, detail),
            &place,
            None,
            lines(part).into_bytes(),
        );
    }
}

fn lines(points: &[Point]) -> String {
    let mut text = String::new();
    for point in points {
        point.write_line(&mut text);
    }
    text
}

#[async_trait]
impl Output for Influxdb {
    async fn write(&self, run: &Run, batch: &mut Batch) -> Result<(), OutputError> {
        // Rows are many: only those of a request are points at a time.
        let rows = std::mem::take(&mut batch.rows);
        for part in rows.chunks(self.batch_points) {
            let points = self.points(part, &run.counters);
            if !points.is_empty() {
                self.write_points(run, &points, batch).await?;
            }
        }
        batch.rows = rows;
        Ok(())
    }
}
