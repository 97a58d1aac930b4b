//! A SensorThings service as an output: refined observations become its observations.
//!
//! Things, sensors, observed properties, datastreams and features are found by their names and made when the
//! first observation needs them. An observation is known by its datastream and the start of its phenomenon
//! time: one that is there is not made again, so writing the same again leaves the same.

mod client;
mod config;
mod entities;
mod observations;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};
use smartem_etl::{About, Batch, Kind, Output, OutputError, Row, Run, SettingsError};
use smartem_model::{Quarantine, QuarantineReason, StationId};
use tokio::sync::Mutex;

pub use crate::remote::Credentials;
use client::{Client, Id};
pub use config::{SensorThingsSettings, TimeForm};
use entities::{Known, Series};
use observations::{
    Listed, Made, Reach, Refused, Wanted, change, compare, make_each, make_list, remove, start_of,
};

/// What the reference says of this output.
const ABOUT: About = About {
    name: "sensorthings",
    summary: "Refined observations to a service of the OGC SensorThings API, version 1.0 or 1.1.",
    text: "Takes rows of `store.observations`. A station becomes a Thing of its id, with its location; an \
        indicator an ObservedProperty, an instrument a Sensor, the three and a unit a Datastream, and each \
        location of a station a FeatureOfInterest. They are looked up by name (of several the first is taken) \
        and made when the first observation needs them; a station that has moved gets its new Location.\n\n\
        An observation has the hour as `phenomenonTime`, the value as `result`, its quality as \
        `resultQuality`, and how it came about as `parameters`. It is known by its Datastream and the start of \
        its phenomenon time: one that is there with the same result is left alone, one with another result is \
        changed (PATCH), others are made. What begins after the newest one of its Datastream needs no looking. \
        Needed of the service are `$filter` by name and by `phenomenonTime`, `$expand` and paging.\n\n\
        Observations are sent as lists (`CreateObservations`) where the service takes them, else one by one. \
        Those of a list that it refuses are sent again alone, so that it says why; what it refuses then goes to \
        quarantine (`refused_by_output`) and holds up nothing else. Connection errors, 408, 429 and 5xx are tried \
        again with growing waits; after `attempts` of them, and when the service does not let us or refuses an \
        entity, the batch waits for the next run, and the log says what to do.\n\n\
        An hour of which a later refining leaves out an indicator keeps the observation at the service. Only one \
        publisher may write to a Datastream.\n\n\
        When an answer is lost, nothing is sent again before it was looked whether it is there now. A service that \
        makes something long after its client gave up can still have it twice for a while: observations that are \
        there twice are removed when their hours are looked at again. Another smartem (any service with the class \
        `urn:smartem:sta:upsert`) has nothing twice at all.\n\n\
        Counted: `entities_made`, `observations_written`, `observations_changed`, `observations_there` (with the \
        same result), `doubles_removed`, `observations_refused`, `rows_without_datastream` (of other inputs).",
    checkpoint: "None of its own: the input's checkpoint moves after the service has acknowledged. A batch that \
        is met again is compared with what is there.",
    example: r#"
[process.publisher-sensorthings]
input = "store.observations"
output = ["sensorthings"]
schedule = "4-59/10 * * * *"
budget = "280s"

[process.publisher-sensorthings.sensorthings]
url = "https://sta.example/v1.1"
# token_file = "/run/secrets/sta-token"
"#,
};

/// This kind of output.
pub fn kind() -> Kind<Box<dyn Output>> {
    Kind::new(ABOUT, |settings: SensorThingsSettings, site| {
        let credentials = settings.credentials(site)?;
        Ok(Box::new(SensorThings::new(&settings, credentials)?))
    })
}

/// A SensorThings service as an output.
pub struct SensorThings {
    client: Client,
    batch: usize,
    form: TimeForm,
    state: Mutex<State>,
}

/// What is known of the service. A batch is written at a time.
#[derive(Default)]
struct State {
    known: Known,
    /// Whether it takes no lists.
    takes_no_lists: bool,
}

impl SensorThings {
    /// An output with these settings.
    ///
    /// # Errors
    /// When the settings ask for what cannot be sent.
    pub fn new(
        settings: &SensorThingsSettings,
        credentials: Credentials,
    ) -> Result<Self, SettingsError> {
        let refused = |error: crate::remote::ClientError| SettingsError(error.to_string());
        Ok(Self {
            client: Client::new(settings, credentials).map_err(refused)?,
            batch: settings.batch_observations.max(1),
            form: settings.phenomenon_time,
            state: Mutex::default(),
        })
    }

    /// Writes rows of one series, in order of time.
    async fn write_series(
        &self,
        state: &mut State,
        run: &Run,
        series: &Series,
        rows: &[&Row],
        batch: &mut Aside<'_>,
    ) -> Result<(), OutputError> {
        let client = &self.client;
        let label = rows.first().and_then(|row| text(row, "label"));
        let label = label.unwrap_or(&series.indicator);
        let place = state.known.place(client, run, series, label).await?;
        let mut reach = place.reach;
        for part in rows.chunks(self.batch) {
            let mut wanted = Vec::with_capacity(part.len());
            for row in part {
                let Some(start) = start_of(row) else { continue };
                let feature = state
                    .known
                    .feature(client, run, series, start, row.position)
                    .await?;
                wanted.extend(Wanted::of(row, feature, self.form));
            }
            let newest = wanted.last().map(|it| it.start);
            let written = self.write_part(state, run, &place.datastream, reach, wanted);
            let (refused, found) = written.await?;
            for refused in refused {
                batch.set_aside(client.root(), series, &refused, run);
            }
            reach = newest.map_or(found, |newest| found.with(newest));
            state.known.note(series, reach);
        }
        Ok(())
    }

    /// Brings some observations of a datastream to be there once each; those that are refused, and how far
    /// those that were there go.
    async fn write_part(
        &self,
        state: &mut State,
        run: &Run,
        datastream: &Id,
        mut reach: Reach,
        wanted: Vec<Wanted>,
    ) -> Result<(Vec<Refused>, Reach), OutputError> {
        let client = &self.client;
        for attempt in 1.. {
            let found = compare(client, run, datastream, reach, wanted.clone()).await?;
            remove(client, run, found.doubles).await?;
            let mut refused = change(client, run, found.changed).await?;
            match self
                .make(state, run, datastream, found.missing, attempt)
                .await?
            {
                Made::But(others) => {
                    refused.extend(others);
                    return Ok((refused, found.reach));
                }
                // What is there now has to be looked for.
                Made::Unknown => reach = Reach::Unknown,
            }
        }
        Ok((Vec::new(), reach))
    }

    async fn make(
        &self,
        state: &mut State,
        run: &Run,
        datastream: &Id,
        wanted: Vec<Wanted>,
        attempt: u32,
    ) -> Result<Made, OutputError> {
        let client = &self.client;
        let alone = if wanted.len() < 2 || state.takes_no_lists {
            wanted
        } else {
            match make_list(client, run, datastream, wanted, attempt).await? {
                Listed::Unknown => return Ok(Made::Unknown),
                Listed::Left(left) => left,
                Listed::NotTaken(all) => {
                    state.takes_no_lists = true;
                    all
                }
            }
        };
        make_each(client, run, datastream, alone, attempt).await
    }
}

/// Where refused observations are put.
struct Aside<'a>(&'a mut Batch);

impl Aside<'_> {
    fn set_aside(&mut self, root: &str, series: &Series, refused: &Refused, run: &Run) {
        run.counters.add("observations_refused", 1);
        let Series {
            station,
            indicator,
            sensor,
            ..
        } = series;
        let start = refused.wanted.start;
        let body = json!({
            "station": station.as_str(), "indicator": indicator, "sensor": sensor, "unit": series.unit,
            "start": start.to_string(), "end": refused.wanted.end.to_string(),
            "result": refused.wanted.result,
        });
        self.0.set_aside(
            Quarantine::new(QuarantineReason::RefusedByOutput, refused.text.clone()),
            &format!("{root}#{station}/{indicator}/{sensor}/{start}"),
            Some(station.clone()),
            body.to_string().into_bytes(),
        );
    }
}

fn text<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.attributes.get(name).and_then(Value::as_str)
}

/// The series of a row of refined observations.
fn series(row: &Row) -> Option<Series> {
    start_of(row)?;
    row.attributes.get("value").filter(|it| it.is_number())?;
    Some(Series {
        station: StationId::new(text(row, "station")?)?,
        indicator: text(row, "indicator")?.to_owned(),
        sensor: text(row, "sensor")?.to_owned(),
        unit: text(row, "unit")?.to_owned(),
    })
}

#[async_trait]
impl Output for SensorThings {
    async fn write(&self, run: &Run, batch: &mut Batch) -> Result<(), OutputError> {
        let mut state = self.state.lock().await;
        let rows = std::mem::take(&mut batch.rows);
        let mut by_series: BTreeMap<Series, Vec<&Row>> = BTreeMap::new();
        for row in &rows {
            match series(row) {
                Some(series) => by_series.entry(series).or_default().push(row),
                None => run.counters.add("rows_without_datastream", 1),
            }
        }
        for (series, mut rows) in by_series {
            rows.sort_by_key(|row| start_of(row));
            let mut aside = Aside(batch);
            self.write_series(&mut state, run, &series, &rows, &mut aside)
                .await?;
        }
        batch.rows = rows;
        Ok(())
    }
}
