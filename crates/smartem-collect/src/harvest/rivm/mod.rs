//! The 52North Timeseries REST API, as RIVM and other official networks serve it.

mod api;
mod config;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use smartem_etl::{
    About, Batch, Input, InputError, Intent, Kind, Origin, Outcome, Row, Run, SettingsError, Sink,
};
use smartem_model::{
    Hour, Position, Quarantine, QuarantineReason, StationId, UnitConversion, Vocabulary,
};
use tracing::warn;

use api::{Api, ApiError, Described, Measured};
pub use config::{Stamp, TimeseriesConfig};

use super::hours::{
    Reading, Readings, Series, SeriesError, SeriesSource, Station, Wanted, harvest, put_value,
    resolve_entries, station_of,
};
use super::http::{Client, ClientError};

/// Stations of this source are those of official networks.
const STATION_TYPE: &str = "reference";

/// Asked about at once where there is probably nothing: a longer time is refused by some servers.
const HOURS_OF_A_YEAR: i64 = 365 * 24;

/// What the reference says of this input.
const ABOUT: About = About {
    name: "timeseries",
    summary: "Series of official networks, from a Timeseries REST API of 52North, such as that of RIVM.",
    text: "Reads the series with these ids, or all that the source lists, in windows of \
        `request_hours`, from the first value of each on. The series of one site become one station of \
        type `reference`, `<network>:<site>`; each is a stream of its own. The unit of a series is read \
        and its values are converted to the unit of the indicator; in a record `source_value` and \
        `source_unit` tell what the source gave where that differs. A series whose unit is not known is \
        set aside, with its description, and the others go on. Values that are null or no number are \
        left out and counted (`samples_skipped`); series of other phenomena too (`series_skipped`).\n\n\
        All series of a station are read for the same hours before these are committed. While one of \
        them cannot be read, what the others have is united with what is stored, and the hours are read \
        again when it can.\n\n\
        For outputs outside the store there is a row for each value: `station_name`, \
        `phenomenon_name`, `station`, `indicator`, `label`, `unit`, `value`, `source_value`, \
        `source_unit`; its time is that of the source.",
    checkpoint: "For each series, by its id, the first hour that is not settled. An hour is settled \
        when it was read and lies more than `late` back. Where nothing was found before it, the position \
        also tells since when (`quiet`) and what the source took for the `newest` value: when that \
        changes, the silence is read once more.",
    example: r#"
[process.harvester-rivm]
input = "timeseries"
output = ["store.raw"]
schedule = "4-59/15 * * * *"
budget = "660s"

[[process.harvester-rivm.source]]
name = "rivm"
url = "http://inspire.rivm.nl/sos/eaq/api/v1/timeseries/"
series = ["301", "303", "307", "308", "309", "311", "377", "386", "388", "122", "121", "124"]
"#,
};

/// This kind of input.
pub fn kind() -> Kind<Box<dyn Input>> {
    Kind::new(ABOUT, |config: TimeseriesConfig, site| {
        let input = Timeseries::new(config, &site.vocabulary)
            .map_err(|error| SettingsError(error.to_string()))?;
        Ok(Box::new(input))
    })
}

/// A Timeseries REST API as an input.
pub struct Timeseries {
    origin: Origin,
    config: TimeseriesConfig,
    api: Api,
    /// The unit of each indicator.
    units: BTreeMap<String, String>,
}

/// A series as it is asked for.
#[derive(Clone)]
pub(crate) struct Ask {
    id: String,
    indicator: String,
    /// The unit of the values in records.
    unit: String,
    conversion: UnitConversion,
    described: Described,
    site: String,
}

impl Timeseries {
    /// An input over this source.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new(config: TimeseriesConfig, vocabulary: &Vocabulary) -> Result<Self, ClientError> {
        let client = Client::new(reqwest::header::HeaderMap::new(), config.http.clone())?;
        let units = vocabulary.indicators().iter();
        let units = units.map(|indicator| (indicator.name.to_string(), indicator.unit.to_string()));
        Ok(Self {
            origin: config.names.origin(),
            api: Api::new(client, &config.url),
            units: units.collect(),
            config,
        })
    }

    /// What the source says of the series wanted, and the ids of those it could not be asked about.
    async fn described(
        &self,
        run: &Run,
        found: &mut Batch,
    ) -> Result<(Vec<Described>, Vec<String>), InputError> {
        let mut known = Vec::new();
        let mut missing = Vec::new();
        let ids: Vec<String> = if self.config.series.is_empty() {
            let (listed, strange) = match self.api.list(run).await {
                Ok(listed) => listed,
                Err(ApiError::NotUnderstood { detail, body }) => {
                    let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                    found.set_aside(fault, &Api::listing_place(), None, body);
                    return Ok((known, Vec::new()));
                }
                Err(ApiError::Fetch(error)) => return Err(error.at(Api::listing_place())),
            };
            found.understood.push(Api::listing_place());
            for entry in strange {
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, entry.detail);
                found.set_aside(fault, &entry.place, None, entry.text.into_bytes());
                missing.extend(entry.id);
            }
            let listed = listed.into_iter().filter(|series| self.is_wanted(series));
            // A listing need not tell where a series begins.
            let (whole, brief): (Vec<_>, Vec<_>) =
                listed.partition(|series| series.first.is_some() && series.newest.is_some());
            known = whole;
            brief.into_iter().map(|series| series.id).collect()
        } else {
            self.config.series.clone()
        };
        let answers = ids.iter().map(|id| self.api.describe(run, id));
        let answers = futures::future::join_all(answers).await;
        let mut last_failure = None;
        for (id, answer) in ids.iter().zip(answers) {
            let place = Api::series_place(id);
            match answer {
                Ok(series) => known.push(series),
                Err(ApiError::NotUnderstood { detail, body }) => {
                    let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                    found.set_aside(fault, &place, None, body);
                    missing.push(id.clone());
                }
                Err(ApiError::Fetch(error)) => {
                    let error = error.at(place);
                    if matches!(error, InputError::Interrupted) {
                        return Err(error);
                    }
                    warn!(source = %self.origin.source, %error, "series left for the next run");
                    run.counters.add("series_unreachable", 1);
                    last_failure = Some(error);
                    missing.push(id.clone());
                }
            }
        }
        match last_failure {
            Some(error) if known.is_empty() && found.is_empty() => Err(error),
            _ => Ok((known, missing)),
        }
    }

    fn is_wanted(&self, series: &Described) -> bool {
        let is_within = self.config.bbox.is_none_or(|[west, south, east, north]| {
            series.position.is_some_and(|at| {
                (west..=east).contains(&at.lon) && (south..=north).contains(&at.lat)
            })
        });
        let name = names::normalised(&series.phenomenon);
        let phenomena = &self.config.phenomena;
        is_within && (phenomena.is_empty() || phenomena.contains(&name))
    }

    fn indicator(&self, series: &Described) -> Option<String> {
        let own = self
            .config
            .components
            .get(&names::normalised(&series.phenomenon));
        own.cloned()
            .or_else(|| names::indicator_of(&series.phenomenon).map(str::to_owned))
    }

    /// The stations of these series.
    fn stations(
        &self,
        run: &Run,
        described: Vec<Described>,
        found: &mut Batch,
    ) -> Vec<Station<Ask>> {
        let mut stations = BTreeMap::<StationId, Vec<Series<Ask>>>::new();
        for series in described {
            let place = Api::series_place(&series.id);
            let Some(indicator) = self.indicator(&series) else {
                let phenomenon = names::normalised(&series.phenomenon);
                run.counters.add_labelled("series_skipped", &phenomenon, 1);
                found.understood.push(place);
                continue;
            };
            let site = names::site_of(&series.station);
            let Some(station) = StationId::new(&format!("{}:{site}", self.origin.network)) else {
                continue;
            };
            // A key of an own station type has no unit here: its values stay as they are.
            let unit = self.units.get(&indicator).unwrap_or(&series.unit);
            let conversion = if *unit == series.unit {
                Ok(UnitConversion::NONE)
            } else {
                UnitConversion::between(&series.unit, unit, &indicator)
            };
            match conversion {
                Ok(conversion) => {
                    found.understood.push(place);
                    let series = Series {
                        key: series.id.clone(),
                        first: series.first.and_then(|time| self.hour_of(time)),
                        newest: series.newest.and_then(|time| self.hour_of(time)),
                        ask: Ask {
                            id: series.id.clone(),
                            unit: unit.clone(),
                            indicator,
                            conversion,
                            described: series,
                            site,
                        },
                    };
                    stations.entry(station).or_default().push(series);
                }
                Err(problem) => {
                    let remedy = format!(
                        "series {} ({}): {problem}; its values cannot be given in `{unit}`",
                        series.id, series.label
                    );
                    let fault = Quarantine::new(QuarantineReason::MalformedRecord, remedy);
                    let body = json!({"id": series.id, "label": series.label, "uom": series.unit});
                    found.set_aside(fault, &place, Some(station), body.to_string().into_bytes());
                }
            }
        }
        let stations = stations.into_iter().map(|(id, mut series)| {
            series.sort_by(|a, b| a.key.cmp(&b.key));
            Station {
                id,
                type_name: STATION_TYPE.to_owned(),
                series,
            }
        });
        stations.collect()
    }

    /// Leaves out the series of which nothing tells where they begin: they would be asked for from
    /// 1970 on.
    fn refuse_endless(
        &self,
        run: &Run,
        station: &mut Station<Ask>,
        is_known: impl Fn(&Series<Ask>) -> bool,
        found: &mut Batch,
    ) {
        let begins = |series: &Series<Ask>| {
            series.first.is_some() || self.config.since.is_some() || is_known(series)
        };
        let (read, endless) = std::mem::take(&mut station.series)
            .into_iter()
            .partition::<Vec<_>, _>(|series| begins(series));
        station.series = read;
        for Series { ask, .. } in endless {
            let place = Api::series_place(&ask.id);
            let detail = format!(
                "series {} ({}) has no `firstValue`: set `since` to read it from there on",
                ask.id, ask.described.label
            );
            warn!(source = %self.origin.source, place, detail, "series not read");
            run.counters
                .add_labelled("series_skipped", "no_first_value", 1);
            found.understood.retain(|read| *read != place);
            let body = json!({"id": ask.id, "label": ask.described.label});
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            found.set_aside(
                fault,
                &place,
                Some(station.id.clone()),
                body.to_string().into_bytes(),
            );
        }
    }

    /// The hour that a value of this time belongs to.
    fn hour_of(&self, time: Timestamp) -> Option<Hour> {
        match self.config.stamp {
            Stamp::Start | Stamp::Instant => Hour::containing(time),
            Stamp::End => Hour::containing(time.checked_sub(SignedDuration::from_nanos(1)).ok()?),
        }
    }

    fn wanted(&self) -> Wanted {
        // The stamp of the last hour must not lie on the edge of a request.
        let edge = i64::from(self.config.stamp == Stamp::End);
        Wanted {
            grace: self.config.grace,
            late: self.config.late,
            since: self.config.since,
            window: (i64::from(self.config.request_hours) - edge).max(1),
            widest: HOURS_OF_A_YEAR,
        }
    }

    fn reading(
        &self,
        station: &StationId,
        ask: &Ask,
        time: Timestamp,
        value: f64,
    ) -> Option<Reading> {
        let converted = ask.conversion.apply(value);
        if !converted.is_finite() {
            return None;
        }
        Some(Reading {
            hour: self.hour_of(time)?,
            time,
            stream: stream(ask),
            sample: self.sample(ask, time, value, converted),
            row: Some(row(station, ask, time, value, converted)),
        })
    }

    /// A mean has no time of its own within its hour.
    fn sample(&self, ask: &Ask, time: Timestamp, value: f64, converted: f64) -> Map<String, Value> {
        let mut sample = Map::new();
        sample.insert("meta_id".to_owned(), stream(ask).into());
        let key = match self.config.stamp {
            Stamp::End => "stamp",
            Stamp::Start | Stamp::Instant => "time",
        };
        sample.insert(key.to_owned(), time.to_string().into());
        if let Some(Position { lon, lat, alt }) = ask.described.position {
            sample.insert("longitude".to_owned(), lon.into());
            sample.insert("latitude".to_owned(), lat.into());
            if let Some(alt) = alt {
                sample.insert("altitude".to_owned(), alt.into());
            }
        }
        let (value, source) = ((&*ask.indicator, converted), (value, &*ask.described.unit));
        put_value(&mut sample, value, &ask.conversion, source);
        sample
    }
}

/// The instrument: `no2-303`. An id stays when a label is written anew.
fn stream(ask: &Ask) -> String {
    format!("{}-{}", ask.indicator, ask.id)
}

/// Why the values of a series from this time on are not there.
fn not_read(id: &str, start: Timestamp, error: ApiError) -> SeriesError {
    let place = Api::data_place(id);
    match error {
        ApiError::Fetch(error) => SeriesError::Fetch { place, error },
        ApiError::NotUnderstood { detail, body } => {
            let detail = format!("values from {start} on: {detail}");
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            SeriesError::NotUnderstood { place, fault, body }
        }
    }
}

fn row(station: &StationId, ask: &Ask, time: Timestamp, value: f64, converted: f64) -> Row {
    let phenomenon = names::normalised(&ask.described.phenomenon);
    Row {
        time,
        position: ask.described.position,
        attributes: BTreeMap::from([
            ("station_name", Value::from(ask.site.clone())),
            ("phenomenon_name", phenomenon.into()),
            ("station", station.as_str().into()),
            ("indicator", ask.indicator.clone().into()),
            ("label", names::normalised(&ask.described.label).into()),
            ("unit", ask.unit.clone().into()),
            ("value", converted.into()),
            ("source_value", value.into()),
            ("source_unit", ask.described.unit.clone().into()),
        ]),
    }
}

#[async_trait]
impl SeriesSource for Timeseries {
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
        station: &Station<Ask>,
        series: &Series<Ask>,
        hours: Range<Hour>,
    ) -> Result<Readings, SeriesError> {
        let (id, start) = (&series.ask.id, hours.start.period().start);
        let asked = i64::from(self.config.request_hours).max(1);
        let values = self.api.values(run, id, start, asked).await;
        let (values, odd) = values.map_err(|error| not_read(id, start, error))?;
        let readings: Vec<Reading> = values
            .iter()
            .filter_map(|measured| {
                self.reading(&station.id, &series.ask, measured.time, measured.value?)
            })
            .collect();
        let skipped = values.len() - readings.len();
        run.counters
            .add_labelled("samples_skipped", "no_value", skipped as u64);
        let good = readings;
        Ok(Readings { good, odd })
    }

    async fn may_have(
        &self,
        run: &Run,
        series: &Series<Ask>,
        hours: Range<Hour>,
    ) -> Result<bool, SeriesError> {
        let (id, start) = (&series.ask.id, hours.start.period().start);
        // One more, for the stamp at the end of the last.
        let asked = hours.end.index() - hours.start.index() + 1;
        let values = self.api.values(run, id, start, asked).await;
        let (values, odd) = values.map_err(|error| not_read(id, start, error))?;
        let is_there = |measured: &Measured| {
            let hour = self.hour_of(measured.time);
            measured.value.is_some() && hour.is_none_or(|hour| hours.contains(&hour))
        };
        Ok(!odd.is_empty() || values.iter().any(is_there))
    }

    fn place(&self, series: &Series<Ask>) -> String {
        Api::data_place(&series.ask.id)
    }

    async fn is_there(&self, run: &Run) -> bool {
        let id = self.config.series.first().map_or("", String::as_str);
        let answer = self.api.describe(run, id).await;
        !matches!(
            answer,
            Err(ApiError::Fetch(
                super::http::FetchError::Unreachable { .. } | super::http::FetchError::Interrupted
            ))
        )
    }
}

#[async_trait]
impl Input for Timeseries {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        if !intent.wants_history() {
            return Ok(Outcome::Done);
        }
        let mut found = Batch::default();
        let (described, missing) = self.described(run, &mut found).await?;
        let mut stations = self.stations(run, described, &mut found);
        let checkpoints = sink
            .store()
            .checkpoints(&run.process, &self.origin.source)
            .await?;
        for station in &mut stations {
            let is_known = |series: &Series<Ask>| checkpoints.contains_key(&series.key);
            self.refuse_endless(run, station, is_known, &mut found);
        }
        resolve_entries(sink, &self.origin, &mut found).await?;
        sink.take(found).await?;
        let incomplete: BTreeSet<StationId> = missing
            .iter()
            .filter_map(|id| checkpoints.get(id).and_then(station_of))
            .collect();
        harvest(self, run, stations, &incomplete, &self.wanted(), sink).await
    }
}
