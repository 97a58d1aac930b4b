//! openSenseMap: boxes of citizens with any sensors.

mod api;
mod config;
mod titles;

use std::collections::BTreeSet;
use std::ops::Range;

use async_trait::async_trait;
use serde_json::{Map, Value};
use smartem_etl::{
    About, Batch, Input, InputError, Intent, Kind, Origin, Outcome, Run, SettingsError, Sink,
};
use smartem_model::{Hour, Position, Quarantine, QuarantineReason, StationId, UnitConversion};
use tracing::warn;

use api::{Api, ApiError, Measured, SenseBox, Sensor};
pub use config::OpenSenseMapConfig;
use titles::Key;

use super::hours::{
    Reading, Readings, Series, SeriesError, SeriesSource, Station, Wanted, harvest, put_value,
    resolve_entries, snapshot,
};
use super::http::{Client, ClientError, FetchError};

/// Stations of this source are boxes.
const STATION_TYPE: &str = "sensebox";
/// The network where none is named.
const NETWORK: &str = "opensensemap";

/// What the reference says of this input.
const ABOUT: About = About {
    name: "opensensemap",
    summary: "Hours and newest values of boxes of openSenseMap.",
    text: "Reads the boxes that `boxes`, or `bbox`, `grouptag` and `exposure` choose; then the values of \
        each sensor in windows of `request_hours`, from the day on that the box was made. A box becomes \
        the station `<network>:<id of the box>` of type `sensebox`, each sensor a stream of it. Sensors \
        are called anything in any language; those whose title and unit are known stand under the key \
        that the station type reads, in its unit. Others keep their title as key and their unit, so that \
        nothing is lost, and are counted (`sensors_not_understood`). Values that are no number are left \
        out and counted (`samples_skipped`).\n\n\
        All sensors of a box are read for the same hours before these are committed. While one of them \
        cannot be read, what the others have is united with what is stored, and the hours are read again \
        when it can. With the output `store.last` the newest values come with the list of boxes, in one \
        request.\n\n\
        A large `bbox` without `since` asks for years of values of many boxes: give `since`.",
    checkpoint: "For each sensor, by the ids of box and sensor, the first hour that is not settled. An \
        hour is settled when it was read and lies more than `late` back. Where nothing was found before \
        it, the position also tells since when (`quiet`) and which `newest` value the API told: when \
        that changes, the silence is read once more.",
    example: r#"
[process.harvester-opensensemap]
input = "opensensemap"
output = ["store.raw", "store.last"]
schedule = "8-59/15 * * * *"
budget = "660s"

[[process.harvester-opensensemap.source]]
name = "opensensemap"
bbox = [5.75, 51.79, 5.93, 51.89]
since = "2026-01-01T00:00:00Z"
"#,
};

/// This kind of input.
pub fn kind() -> Kind<Box<dyn Input>> {
    Kind::new(ABOUT, |config: OpenSenseMapConfig, _| {
        let is_everything = config.boxes.is_empty() && config.bbox.is_none();
        if is_everything && config.grouptag.is_none() {
            return Err(SettingsError(
                "one of `boxes`, `bbox` and `grouptag` must tell which boxes to read".to_owned(),
            ));
        }
        let input = OpenSenseMap::new(config).map_err(|error| SettingsError(error.to_string()))?;
        Ok(Box::new(input))
    })
}

/// Asked about at once where there is probably nothing: the API once refused a longer time.
const HOURS_OF_A_MONTH: i64 = 31 * 24;

/// Newest values committed together.
const SNAPSHOT_BATCH: usize = 50;

/// The openSenseMap API as an input.
pub struct OpenSenseMap {
    origin: Origin,
    config: OpenSenseMapConfig,
    api: Api,
}

/// A sensor as it is asked for.
#[derive(Clone)]
pub(crate) struct Ask {
    of: String,
    sensor: Sensor,
    key: Key,
    position: Option<Position>,
}

impl OpenSenseMap {
    /// An input over this source.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new(config: OpenSenseMapConfig) -> Result<Self, ClientError> {
        let client = Client::new(reqwest::header::HeaderMap::new(), config.http.clone())?;
        let network = config.names.network.clone();
        Ok(Self {
            origin: Origin {
                network: network.unwrap_or_else(|| NETWORK.to_owned()),
                ..config.names.origin()
            },
            api: Api::new(client, &config.url),
            config,
        })
    }

    /// The boxes wanted; what of them cannot be understood is set aside.
    async fn boxes(&self, run: &Run, found: &mut Batch) -> Result<Vec<SenseBox>, InputError> {
        let mut boxes = Vec::new();
        if !self.config.boxes.is_empty() {
            boxes = self.named(run, found).await?;
        }
        for entry in self.chosen(run, found).await? {
            match api::sense_box(&entry) {
                Ok(one) => boxes.push(one),
                Err(detail) => {
                    let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                    let place = format!("{}#{}", Api::boxes_place(), entry["_id"]);
                    found.set_aside(fault, &place, None, entry.to_string().into_bytes());
                }
            }
        }
        let named = !self.config.boxes.is_empty();
        boxes.retain(|one| named || self.config.exposure.contains(&one.exposure));
        boxes.sort_by(|a, b| a.id.cmp(&b.id));
        boxes.dedup_by(|a, b| a.id == b.id);
        for one in &boxes {
            let place = Api::box_place(&one.id);
            for (i, text) in &one.strange {
                let detail = format!("box {}: a sensor without `_id`", one.id);
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                let body = text.clone().into_bytes();
                found.set_aside(fault, &format!("{place}#{i}"), self.station_of(one), body);
            }
            found.understood.push(place);
        }
        Ok(boxes)
    }

    /// The entries that the settings choose beside those that are named.
    async fn chosen(&self, run: &Run, found: &mut Batch) -> Result<Vec<Value>, InputError> {
        if !self.config.boxes.is_empty() {
            return Ok(Vec::new());
        }
        let place = Api::boxes_place();
        match self.api.boxes(run, &self.config).await {
            Ok(entries) => {
                found.understood.push(place);
                Ok(entries)
            }
            Err(ApiError::NotUnderstood { detail, body }) => {
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                found.set_aside(fault, &place, None, body);
                Ok(Vec::new())
            }
            Err(ApiError::Fetch(error)) => Err(error.at(place)),
        }
    }

    async fn named(&self, run: &Run, found: &mut Batch) -> Result<Vec<SenseBox>, InputError> {
        let answers = self.config.boxes.iter().map(|id| self.api.one(run, id));
        let answers = futures::future::join_all(answers).await;
        let mut boxes = Vec::new();
        let mut last_failure = None;
        for (id, answer) in self.config.boxes.iter().zip(answers) {
            let place = Api::box_place(id);
            match answer.and_then(ApiError::understand(api::sense_box)) {
                Ok(one) => {
                    found.understood.push(place);
                    boxes.push(one);
                }
                Err(ApiError::NotUnderstood { detail, body }) => {
                    let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                    found.set_aside(fault, &place, None, body);
                }
                Err(ApiError::Fetch(FetchError::Interrupted)) => {
                    return Err(InputError::Interrupted);
                }
                Err(ApiError::Fetch(error)) => {
                    warn!(source = %self.origin.source, place, %error, "box left for the next run");
                    run.counters.add("stations_unreachable", 1);
                    last_failure = Some(error.at(place));
                }
            }
        }
        match last_failure {
            Some(error) if boxes.is_empty() && found.is_empty() => Err(error),
            _ => Ok(boxes),
        }
    }

    fn station_of(&self, one: &SenseBox) -> Option<StationId> {
        StationId::new(&format!("{}:{}", self.origin.network, one.id))
    }

    fn stations(&self, run: &Run, boxes: Vec<SenseBox>) -> Vec<Station<Ask>> {
        let mut strange = BTreeSet::new();
        let mut stations = Vec::new();
        for one in boxes {
            let Some(id) = self.station_of(&one) else {
                continue;
            };
            let mut series: Vec<Series<Ask>> = one
                .sensors
                .iter()
                .map(|sensor| {
                    let known = titles::key_of(&sensor.title, &sensor.unit);
                    if known.is_none() {
                        strange.insert(sensor.id.clone());
                    }
                    Series {
                        key: format!("{}/{}", one.id, sensor.id),
                        first: one.since.and_then(Hour::containing),
                        newest: newest(&one, sensor),
                        ask: Ask {
                            of: one.id.clone(),
                            sensor: sensor.clone(),
                            key: known.unwrap_or_else(|| own_key(sensor)),
                            position: one.position,
                        },
                    }
                })
                .collect();
            series.sort_by(|a, b| a.key.cmp(&b.key));
            stations.push(Station {
                id,
                type_name: STATION_TYPE.to_owned(),
                series,
            });
        }
        run.counters
            .add("sensors_not_understood", strange.len() as u64);
        stations
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            grace: self.config.grace,
            late: self.config.late,
            since: self.config.since,
            window: self.config.request_hours.max(1).into(),
            widest: HOURS_OF_A_MONTH,
        }
    }

    /// The newest values of all boxes.
    async fn read_last(
        &self,
        run: &Run,
        stations: &[Station<Ask>],
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        let mut found = Batch::default();
        for station in stations {
            if let Some(outcome) = run.should_end() {
                sink.take(found).await?;
                return Ok(outcome);
            }
            let last = |series: &Series<Ask>| reading(&series.ask, series.ask.sensor.last?);
            let readings = station.series.iter().filter_map(last).collect();
            snapshot(station, readings, &mut found);
            if found.snapshots.len() >= SNAPSHOT_BATCH {
                sink.take(std::mem::take(&mut found)).await?;
            }
        }
        sink.take(found).await?;
        Ok(Outcome::Done)
    }
}

/// The hour of the newest value of a sensor; where only that of the box is told, it is not later.
fn newest(one: &SenseBox, sensor: &Sensor) -> Option<Hour> {
    let last = sensor.last.map(|last| last.time);
    last.or(one.newest).and_then(Hour::containing)
}

/// A sensor that is not understood keeps its title; one that could be taken for another says its unit.
fn own_key(sensor: &Sensor) -> Key {
    let taken = ["meta_id", "time", "longitude", "latitude", "altitude", ""];
    let is_ours = titles::is_key(&sensor.title) || taken.contains(&sensor.title.as_str());
    let name = if is_ours {
        format!("{} [{}]", sensor.title, sensor.unit)
    } else {
        sensor.title.clone()
    };
    Key {
        name,
        conversion: UnitConversion::NONE,
    }
}

fn reading(ask: &Ask, measured: Measured) -> Option<Reading> {
    let value = measured.value?;
    let converted = ask.key.conversion.apply(value);
    if !converted.is_finite() {
        return None;
    }
    let model = match ask.sensor.model.as_str() {
        "" => "sensor",
        model => model,
    };
    let stream = format!("{model}-{}", ask.sensor.id);
    let mut sample = Map::new();
    sample.insert("meta_id".to_owned(), stream.clone().into());
    sample.insert("time".to_owned(), measured.time.to_string().into());
    if let Some(Position { lon, lat, alt }) = measured.position.or(ask.position) {
        sample.insert("longitude".to_owned(), lon.into());
        sample.insert("latitude".to_owned(), lat.into());
        if let Some(alt) = alt {
            sample.insert("altitude".to_owned(), alt.into());
        }
    }
    let (value, source) = ((&*ask.key.name, converted), (value, &*ask.sensor.unit));
    put_value(&mut sample, value, &ask.key.conversion, source);
    Some(Reading {
        hour: Hour::containing(measured.time)?,
        time: measured.time,
        stream,
        sample,
        row: None,
    })
}

/// Why the values of a sensor are not there.
fn not_read(place: String, hours: &Range<Hour>, error: ApiError) -> SeriesError {
    match error {
        ApiError::Fetch(error) => SeriesError::Fetch { place, error },
        ApiError::NotUnderstood { detail, body } => {
            let detail = format!("values from {} on: {detail}", hours.start.period().start);
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            SeriesError::NotUnderstood { place, fault, body }
        }
    }
}

#[async_trait]
impl SeriesSource for OpenSenseMap {
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
        let ask = &series.ask;
        let place = self.place(series);
        let edges = (hours.start, hours.end);
        match self.api.values(run, &ask.of, &ask.sensor.id, edges).await {
            Ok((values, odd)) => {
                let readings: Vec<Reading> = values
                    .iter()
                    .filter_map(|measured| reading(ask, *measured))
                    .collect();
                let skipped = values.len() - readings.len();
                run.counters
                    .add_labelled("samples_skipped", "not_a_number", skipped as u64);
                let good = readings;
                Ok(Readings { good, odd })
            }
            Err(error) => Err(not_read(place, &hours, error)),
        }
    }

    async fn may_have(
        &self,
        run: &Run,
        series: &Series<Ask>,
        hours: Range<Hour>,
    ) -> Result<bool, SeriesError> {
        let ask = &series.ask;
        let edges = (hours.start.period().start, hours.end.period().start);
        let some = self.api.some_values(run, &ask.of, &ask.sensor.id, edges);
        let some = some.await;
        let (values, odd) = some.map_err(|error| not_read(self.place(series), &hours, error))?;
        let is_there = |measured: &Measured| {
            let hour = Hour::containing(measured.time);
            hour.is_none_or(|hour| hours.contains(&hour))
        };
        Ok(!odd.is_empty() || values.iter().any(is_there))
    }

    fn place(&self, series: &Series<Ask>) -> String {
        Api::data_place(&series.ask.of, &series.ask.sensor.id)
    }

    async fn is_there(&self, run: &Run) -> bool {
        // No box has this id; whatever the answer is, it is one.
        match self.api.one(run, "000000000000000000000000").await {
            Err(ApiError::Fetch(error)) => matches!(error, FetchError::Refused(_)),
            Ok(_) | Err(ApiError::NotUnderstood { .. }) => true,
        }
    }
}

#[async_trait]
impl Input for OpenSenseMap {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        let mut found = Batch::default();
        let boxes = self.boxes(run, &mut found).await?;
        resolve_entries(sink, &self.origin, &mut found).await?;
        let incomplete = boxes.iter().filter(|one| !one.strange.is_empty());
        let incomplete: BTreeSet<StationId> =
            incomplete.filter_map(|one| self.station_of(one)).collect();
        let stations = self.stations(run, boxes);
        sink.take(found).await?;
        // Newest values came with the list, so they cost nothing now.
        if intent.wants_last() {
            let outcome = self.read_last(run, &stations, sink).await?;
            if outcome != Outcome::Done || !intent.wants_history() {
                return Ok(outcome);
            }
        }
        harvest(self, run, stations, &incomplete, &self.wanted(), sink).await
    }
}
