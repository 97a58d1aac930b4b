//! Any service of OGC SensorThings 1.0 or 1.1, such as Samen Meten.

mod api;
mod config;
mod entities;
mod stations;

use std::collections::BTreeMap;
use std::ops::Range;

use async_trait::async_trait;
use reqwest::StatusCode;
use serde_json::{Map, Value};
use smartem_etl::{
    About, Batch, Input, InputError, Intent, Kind, Origin, Outcome, Run, SettingsError, Sink,
};
use smartem_model::{Hour, Position, Quarantine, QuarantineReason, UnitConversion, Vocabulary};
use tracing::warn;

use api::{Api, ApiError, is_descending};
pub use config::{SensorThingsConfig, Stamp};
use entities::{Datastream, Measured, measured};

use super::hours::{
    Reading, Readings, Series, SeriesError, SeriesSource, Station, Wanted, harvest, put_value,
    resolve_entries, snapshot,
};
use super::http::{Client, ClientError, FetchError, authorization, bearer};

/// What the reference says of this input.
const ABOUT: About = About {
    name: "sensorthings",
    summary: "Observations of Things, from any service of OGC SensorThings 1.0 or 1.1.",
    text: "Reads the Things that `filter` lets through, with their Datastreams; then the Observations \
        of each, in windows of `request_hours`, from the first one on. A Thing becomes the station \
        `<network>:<name of the Thing>` (its id where two have one name), each Datastream a stream of \
        it. Units are read, and values converted to the unit of the indicator; in a record \
        `source_value` and `source_unit` tell what the service gave where that differs. A Datastream \
        whose unit is not known is set aside, with its description, and the others go on. Results that \
        are no number, and times that are none, are left out and counted (`samples_skipped`), \
        Datastreams of other properties too (`series_skipped`).\n\n\
        Links to further pages are followed on the host of `url` only. What a service returns is sorted \
        and filtered here, so one that ignores `$filter` or `$orderby` is slow, not wrong.\n\n\
        All Datastreams of a Thing are read for the same hours before these are committed. While one of \
        them cannot be read, what the others have is united with what is stored, and the hours are read \
        again when it can. With the output `store.last` the newest Observation of each is read too.",
    checkpoint: "For each Datastream, by its id, the first hour that is not settled. An hour is settled \
        when it was read and lies more than `late` back. Where nothing was found before it, the position \
        also tells since when (`quiet`) and what the service took for the `newest` Observation: when \
        that changes, the silence is read once more.",
    example: r#"
[process.harvester-sensorthings]
input = "sensorthings"
output = ["store.raw", "store.last"]
schedule = "13-59/15 * * * *"
budget = "660s"

[[process.harvester-sensorthings.source]]
name = "samenmeten"
url = "https://api-samenmeten.rivm.nl/v1.0"
filter = "properties/codegemeente eq '268'"
since = "2026-01-01T00:00:00Z"
"#,
};

/// This kind of input.
pub fn kind() -> Kind<Box<dyn Input>> {
    Kind::new(ABOUT, |mut config: SensorThingsConfig, site| {
        if let Some(file) = &config.token_file {
            let token = bearer(&site.secret("token_file", file)?);
            config.token = Some(token.ok_or_else(|| {
                SettingsError(format!(
                    "`token_file`: {} holds characters that no header may",
                    site.path(file).display()
                ))
            })?);
        }
        if !site.catalogue.knows(&config.station_type) {
            return Err(SettingsError(format!(
                "`station_type`: there is no station type `{}`",
                config.station_type
            )));
        }
        let input = SensorThings::new(config, &site.vocabulary)
            .map_err(|error| SettingsError(error.to_string()))?;
        Ok(Box::new(input))
    })
}

/// Asked about at once where there is probably nothing.
const HOURS_OF_TEN_YEARS: i64 = 3653 * 24;

/// Newest values committed together.
const SNAPSHOT_BATCH: usize = 50;

/// A SensorThings service as an input.
pub struct SensorThings {
    origin: Origin,
    config: SensorThingsConfig,
    api: Api,
    /// The unit of each indicator.
    units: BTreeMap<String, String>,
}

/// A Datastream as it is asked for.
#[derive(Clone)]
pub(crate) struct Ask {
    datastream: Datastream,
    key: String,
    stream: String,
    conversion: UnitConversion,
    position: Option<Position>,
}

impl SensorThings {
    /// An input over this source.
    ///
    /// # Errors
    /// When the token cannot be sent in a header.
    pub fn new(config: SensorThingsConfig, vocabulary: &Vocabulary) -> Result<Self, ClientError> {
        let client = Client::new(authorization(config.token.clone()), config.http.clone())?;
        let units = vocabulary.indicators().iter();
        let units = units.map(|indicator| (indicator.name.to_string(), indicator.unit.to_string()));
        Ok(Self {
            origin: config.names.origin(),
            api: Api::new(client, &config.url, config.page),
            units: units.collect(),
            config,
        })
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            grace: self.config.grace,
            late: self.config.late,
            since: self.config.since,
            window: self.config.request_hours.max(1).into(),
            widest: HOURS_OF_TEN_YEARS,
        }
    }

    /// Reads entities; what cannot be used is counted.
    fn read_all(&self, run: &Run, ask: &Ask, entities: &[Value], is_last: bool) -> Vec<Reading> {
        let mut readings = Vec::new();
        for entity in entities {
            let read = measured(entity, self.config.stamp).and_then(|measured| {
                let value = ask.conversion.apply(measured.value);
                let finite = value.is_finite().then_some(value);
                Ok((measured, finite.ok_or("not_a_number")?))
            });
            match read {
                Ok((measured, value)) => readings.push(reading(ask, measured, value, is_last)),
                Err(reason) => run.counters.add_labelled("samples_skipped", reason, 1),
            }
        }
        readings
    }

    /// The newest Observations of all Things.
    async fn read_last(&self, run: &Run, sink: &Sink<'_>) -> Result<Outcome, InputError> {
        let mut found = Batch::default();
        // A service that cannot expand so deep is asked for each Datastream.
        let (mut listed, is_expanded) = match self.listed(run, true, &mut found).await {
            Ok(listed) => (listed, true),
            Err(InputError::Interrupted) => return Err(InputError::Interrupted),
            Err(_) => (self.listed(run, false, &mut found).await?, false),
        };
        let stations = self.stations(run, &mut listed, &mut found);
        for station in &stations {
            if let Some(outcome) = run.should_end() {
                sink.take(found).await?;
                return Ok(outcome);
            }
            let mut readings = Vec::new();
            for series in &station.series {
                let ask = &series.ask;
                let newest = &ask.datastream.newest;
                let is_told = ask.datastream.tells_newest && is_descending(newest);
                // A service may know no order here, and then its first is any.
                let entities = if is_expanded && is_told {
                    newest.iter().take(1).cloned().collect()
                } else {
                    self.newest(run, ask).await?
                };
                readings.extend(self.read_all(run, ask, &entities, true));
            }
            snapshot(station, readings, &mut found);
            if found.snapshots.len() >= SNAPSHOT_BATCH {
                sink.take(std::mem::take(&mut found)).await?;
            }
        }
        sink.take(found).await?;
        Ok(Outcome::Done)
    }

    /// The newest Observation of a Datastream; none when it cannot be had.
    async fn newest(&self, run: &Run, ask: &Ask) -> Result<Vec<Value>, InputError> {
        match self.api.newest(run, &ask.datastream).await {
            Ok(newest) => Ok(newest.into_iter().collect()),
            Err(ApiError::Fetch(FetchError::Interrupted)) => Err(InputError::Interrupted),
            Err(error) => {
                let source = &self.origin.source;
                warn!(source, datastream = %ask.datastream.id, ?error, "last value not read");
                Ok(Vec::new())
            }
        }
    }
}

/// A mean whose time does not lie in its hour belongs to the hour as a whole.
fn reading(ask: &Ask, measured: Measured, value: f64, is_last: bool) -> Reading {
    let mut sample = Map::new();
    sample.insert("meta_id".to_owned(), ask.stream.clone().into());
    let has_time = is_last || Hour::containing(measured.time) == Some(measured.hour);
    let key = if has_time { "time" } else { "stamp" };
    sample.insert(key.to_owned(), measured.time.to_string().into());
    if let Some(Position { lon, lat, alt }) = ask.position {
        sample.insert("longitude".to_owned(), lon.into());
        sample.insert("latitude".to_owned(), lat.into());
        if let Some(alt) = alt {
            sample.insert("altitude".to_owned(), alt.into());
        }
    }
    let source = (measured.value, &*ask.datastream.unit);
    put_value(&mut sample, (&*ask.key, value), &ask.conversion, source);
    Reading {
        hour: measured.hour,
        time: measured.time,
        stream: ask.stream.clone(),
        sample,
        row: None,
    }
}

/// Why the Observations of a Datastream are not there.
fn not_read(place: String, hours: &Range<Hour>, error: ApiError) -> SeriesError {
    match error {
        ApiError::Fetch(error) => SeriesError::Fetch { place, error },
        ApiError::NotUnderstood { detail, body } => {
            let start = hours.start.period().start;
            let detail = format!("Observations from {start} on: {detail}");
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            SeriesError::NotUnderstood { place, fault, body }
        }
    }
}

#[async_trait]
impl SeriesSource for SensorThings {
    type Ask = Ask;

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn parallel(&self) -> usize {
        self.api.parallel()
    }

    async fn readings(
        &self,
        run: &Run,
        _station: &Station<Ask>,
        series: &Series<Ask>,
        hours: Range<Hour>,
    ) -> Result<Readings, SeriesError> {
        let place = self.place(series);
        let datastream = &series.ask.datastream;
        let keep = |entity: &Value| {
            let read = measured(entity, self.config.stamp);
            read.map_or(true, |measured| hours.contains(&measured.hour))
        };
        let edges = (hours.start, hours.end);
        match self.api.observations(run, datastream, edges, &keep).await {
            // What of them cannot be used is counted.
            Ok(entities) => Ok(Readings {
                good: self.read_all(run, &series.ask, &entities, false),
                odd: Vec::new(),
            }),
            Err(error) => Err(not_read(place, &hours, error)),
        }
    }

    async fn may_have(
        &self,
        run: &Run,
        series: &Series<Ask>,
        hours: Range<Hour>,
    ) -> Result<bool, SeriesError> {
        let edges = (hours.start, hours.end);
        let some = self
            .api
            .some_observations(run, &series.ask.datastream, edges);
        let some = some.await;
        let (entities, is_all) =
            some.map_err(|error| not_read(self.place(series), &hours, error))?;
        let is_within = |entity: &Value| {
            let read = measured(entity, self.config.stamp);
            read.is_ok_and(|measured| hours.contains(&measured.hour))
        };
        Ok(!is_all || entities.iter().any(is_within))
    }

    fn place(&self, series: &Series<Ask>) -> String {
        Api::observations_place(&series.ask.datastream.id)
    }

    async fn is_there(&self, run: &Run) -> bool {
        match self.api.things(run, Some("false"), false).await {
            Err(ApiError::Fetch(error)) => matches!(error, FetchError::Refused(_)),
            Ok(_) | Err(ApiError::NotUnderstood { .. }) => true,
        }
    }
}

#[async_trait]
impl Input for SensorThings {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        if intent.wants_history() {
            let mut found = Batch::default();
            let mut listed = self.listed(run, false, &mut found).await?;
            let mut stations = self.stations(run, &mut listed, &mut found);
            let mut incomplete = listed.incomplete;
            resolve_entries(sink, &self.origin, &mut found).await?;
            self.find_firsts(run, &mut stations, &mut incomplete, &mut found, sink)
                .await?;
            sink.take(found).await?;
            let wanted = self.wanted();
            let outcome = harvest(self, run, stations, &incomplete, &wanted, sink).await?;
            if outcome != Outcome::Done || !intent.wants_last() {
                return Ok(outcome);
            }
        }
        self.read_last(run, sink).await
    }
}

/// Whether the answer is that there is no such thing.
fn is_gone(error: &FetchError) -> bool {
    matches!(
        error,
        FetchError::Refused(StatusCode::NOT_FOUND | StatusCode::GONE)
    )
}
