#![doc = include_str!("README.md")]

mod api;
mod config;
mod plan;

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use jiff::civil::Date;
use jiff::tz::Offset;
use reqwest::StatusCode;
use serde_json::{Value, json};
use smartem_etl::{
    About, Batch, Input, InputError, Intent, Kind, Origin, Outcome, Run, SettingsError, Sink,
};
use smartem_model::raw::{RawRecord, RecordTime};
use smartem_model::{Hour, Quarantine, QuarantineReason, StationId};
use tracing::warn;

use api::{Api, ApiError, Listing};
pub use config::WhaleConfig;
use plan::{Day, HourNumber};

use super::http::{Client, ClientError, FetchError, authorization, bearer};
use super::walk::{Visited, read_history, read_last};

/// Stations of this source are Josenes.
const STATION_TYPE: &str = "jose";

/// What the reference says of this input.
const ABOUT: About = About {
    name: "whale",
    summary: "Hours and newest values of Josene stations, from a Raw Sensor (\"Whale\") API.",
    text: "Reads the device list, then for each station the listed days and hours, a day at a time, the \
        stations furthest behind first. An hour is taken when it is listed and over. Hours of the last \
        hours are read again, since they may have grown, and hours that come late are taken when they \
        are listed. With the output `store.last` it also reads the newest sample of every station.\n\n\
        An hour that cannot be understood goes to quarantine and is asked for again with every run, \
        until it can.",
    checkpoint: "For each station the first day that is not settled. A day is settled when all its \
        hours were read and it lies more than `late_days` back.",
    example: r#"
[process.harvester-whale]
input = "whale"
output = ["store.raw", "store.last"]
schedule = "12,25,37,49 * * * *"
budget = "280s"

[[process.harvester-whale.source]]
name = "intemo"
url = "https://collector.example/sensors/v1"
skip = [2005002]
"#,
};

/// This kind of input.
pub fn kind() -> Kind<Box<dyn Input>> {
    Kind::new(ABOUT, |mut config: WhaleConfig, site| {
        if let Some(file) = &config.token_file {
            let token = bearer(&site.secret("token_file", file)?);
            config.token = Some(token.ok_or_else(|| {
                SettingsError(format!(
                    "`token_file`: {} holds characters that no header may",
                    site.path(file).display()
                ))
            })?);
        }
        let whale = Whale::new(config).map_err(|error| SettingsError(error.to_string()))?;
        Ok(Box::new(whale))
    })
}

/// A Raw Sensor ("Whale") API as an input.
pub struct Whale {
    origin: Origin,
    config: WhaleConfig,
    api: Api,
}

impl Whale {
    /// An input over this source.
    ///
    /// # Errors
    /// When the token cannot be sent in a header.
    pub fn new(config: WhaleConfig) -> Result<Self, ClientError> {
        let client = Client::new(authorization(config.token.clone()), config.http.clone())?;
        let origin = config.names.origin();
        Ok(Self {
            origin,
            api: Api::new(client, &config.url),
            config,
        })
    }

    /// Ids of all stations the source tells of, but those to skip.
    async fn stations(&self, run: &Run, found: &mut Batch) -> Result<Vec<StationId>, InputError> {
        match self.api.devices(run).await {
            Ok(listing) => {
                let ids = take_listing(listing, &Api::devices_place(), None, found);
                let skip = |id: &StationId| {
                    self.config
                        .skip
                        .iter()
                        .any(|s| s.to_string() == id.as_str())
                };
                Ok(ids.into_iter().filter(|id| !skip(id)).collect())
            }
            Err(ApiError::NotUnderstood { detail, body }) => {
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                found.set_aside(fault, &Api::devices_place(), None, body);
                Ok(Vec::new())
            }
            Err(ApiError::Fetch(error)) => Err(error.at(Api::devices_place())),
        }
    }

    /// Completed hours of all stations, a day at a time, the stations furthest behind first.
    async fn read_history(
        &self,
        run: &Run,
        stations: &[StationId],
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        let store = sink.store();
        let checkpoints = store.checkpoints(&run.process, &self.origin.source).await?;
        let open = store.open_quarantine_places(&self.origin.source).await?;
        let wanted_again = wanted_by_station(open.keys());
        let mut visits: Vec<Visit> = stations
            .iter()
            .map(|station| Visit {
                station: station.clone(),
                // A replay begins at the beginning; its checkpoints come to the same in the end.
                settled: checkpoints
                    .get(station.as_str())
                    .filter(|_| run.replay.is_none())
                    .and_then(Day::from_checkpoint),
                days: None,
                again: wanted_again.get(station).cloned().unwrap_or_default(),
            })
            .collect();
        visits.sort_by(|a, b| (a.settled, &a.station).cmp(&(b.settled, &b.station)));
        read_history(self, run, visits, sink).await
    }

    async fn read_next_day(
        &self,
        run: &Run,
        visit: &mut Visit,
        found: &mut Batch,
    ) -> Result<(), InputError> {
        let settled = visit.settled;
        let mut days = if let Some(days) = visit.days.take() {
            days
        } else {
            // Quarantined hours of settled days; those of later days are asked for with their day.
            for (day, hour) in &visit.again {
                if settled.is_none_or(|settled| *day >= settled) {
                    continue;
                }
                match hour {
                    Some(hour) => self.fetch(run, &visit.station, *day, *hour, found).await?,
                    None => self.read_day(run, &visit.station, *day, found).await?,
                }
            }
            let mut days = self.list_days(run, &visit.station, found).await?;
            days.retain(|day| settled.is_none_or(|settled| *day >= settled));
            days
        };
        if let Some(day) = days.pop_front() {
            self.read_day(run, &visit.station, day, found).await?;
            let today = Offset::UTC.to_datetime(run.now()).date();
            let next = days.front().copied();
            if let Some(settled) = Day::settled(day, next, today, self.config.late_days) {
                found
                    .checkpoints
                    .push((visit.station.to_string(), settled.to_checkpoint()));
            }
        }
        visit.days = Some(days);
        Ok(())
    }

    async fn list_days(
        &self,
        run: &Run,
        station: &StationId,
        found: &mut Batch,
    ) -> Result<VecDeque<Day>, InputError> {
        let place = Api::days_place(station);
        let listed = match self.api.days(run, station).await {
            // A station without recorded hours has no listing.
            Err(ApiError::Fetch(FetchError::Refused(StatusCode::NOT_FOUND))) => {
                return Ok(VecDeque::new());
            }
            listed => listed,
        };
        Ok(understood(listed, &place, station, found)?.into())
    }

    /// Fetches the hours of a day that are complete and not stored, or may still have changed.
    async fn read_day(
        &self,
        run: &Run,
        station: &StationId,
        day: Day,
        found: &mut Batch,
    ) -> Result<(), InputError> {
        let place = Api::hours_place(station, day);
        let listed = match self.api.hours(run, station, day).await {
            // The day is listed, so its hours stay wanted.
            Err(ApiError::Fetch(error @ FetchError::Refused(StatusCode::NOT_FOUND))) => {
                let fault = Quarantine::new(
                    QuarantineReason::MalformedRecord,
                    format!("the day is listed, but {error}"),
                );
                found.set_aside(fault, &place, Some(station.clone()), Vec::new());
                return Ok(());
            }
            listed => understood(listed, &place, station, found)?,
        };
        let stored = match day.hours() {
            Some((first, end)) => run.store.stored_hours(station, first, end).await?,
            None => Vec::new(),
        };
        let now = run.now();
        for number in listed {
            // An hour that cannot be is fetched too: its body goes to quarantine, with the reason.
            if let Some(hour) = day.hour(number) {
                let end = hour.period().end;
                let is_complete = end + self.config.grace <= now;
                let may_have_changed =
                    now.duration_since(end) < self.config.recheck || run.replays(station, hour);
                if !is_complete || (stored.contains(&hour) && !may_have_changed) {
                    continue;
                }
            }
            self.fetch(run, station, day, number, found).await?;
        }
        Ok(())
    }

    async fn fetch(
        &self,
        run: &Run,
        station: &StationId,
        day: Day,
        number: HourNumber,
        found: &mut Batch,
    ) -> Result<(), InputError> {
        let place = Api::hour_place(station, day, number);
        let body = match self.api.hour(run, station, day, number).await {
            Ok(body) => body,
            // Listed but not there: kept in quarantine, so that it is seen and stays wanted.
            Err(error @ (FetchError::Refused(_) | FetchError::TooLarge(_))) => {
                let fault = Quarantine::new(
                    QuarantineReason::MalformedRecord,
                    format!("the hour is listed, but {error}"),
                );
                found.set_aside(fault, &place, Some(station.clone()), Vec::new());
                return Ok(());
            }
            Err(error) => return Err(error.at(place)),
        };
        let expected = day.hour(number);
        let task = tokio::task::spawn_blocking(move || (read_hour(&body), body));
        let (read, body) = task.await.map_err(|error| InputError::Unreachable {
            place: place.clone(),
            problem: error.to_string(),
        })?;
        let read = read.and_then(|record| is_of(record, station, expected));
        found.push_hour(read, &place, station, body);
        Ok(())
    }
}

/// The good entries of a listing; one that is not as described is set aside with the whole body, and
/// the others go on.
fn take_listing<T>(
    listing: Listing<T>,
    place: &str,
    station: Option<&StationId>,
    found: &mut Batch,
) -> Vec<T> {
    match listing.odd {
        None => found.understood.push(place.to_owned()),
        Some((detail, body)) => {
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            found.set_aside(fault, place, station.cloned(), body);
        }
    }
    listing.entries
}

/// The entries of a station's listing; none after it was set aside, which keeps it wanted.
fn understood<T>(
    listing: Result<Listing<T>, ApiError>,
    place: &str,
    station: &StationId,
    found: &mut Batch,
) -> Result<Vec<T>, InputError> {
    match listing {
        Ok(listing) => Ok(take_listing(listing, place, Some(station), found)),
        Err(ApiError::NotUnderstood { detail, body }) => {
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            found.set_aside(fault, place, Some(station.clone()), body);
            Ok(Vec::new())
        }
        Err(ApiError::Fetch(error)) => Err(error.at(place)),
    }
}

#[async_trait]
impl Visited for Whale {
    type Item = StationId;
    type Visit = Visit;

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn parallel(&self) -> usize {
        self.api.parallel()
    }

    async fn is_there(&self, run: &Run) -> bool {
        match self.api.devices(run).await {
            Err(ApiError::Fetch(error)) => {
                warn!(source = %self.origin.source, %error, "source no longer answers");
                false
            }
            Ok(_) | Err(ApiError::NotUnderstood { .. }) => true,
        }
    }

    async fn visit(
        &self,
        run: &Run,
        mut visit: Visit,
        sink: &Sink<'_>,
    ) -> Result<Option<Visit>, InputError> {
        let mut found = Batch::default();
        let read = self.read_next_day(run, &mut visit, &mut found).await;
        // What was read before a failure is kept; the checkpoint only comes with a whole day.
        sink.take(found).await?;
        read?;
        let is_finished = visit.days.as_ref().is_none_or(VecDeque::is_empty);
        Ok(if is_finished { None } else { Some(visit) })
    }

    async fn fetch_last(
        &self,
        run: &Run,
        station: &StationId,
        found: &mut Batch,
    ) -> Result<(), InputError> {
        let place = Api::last_place(station);
        let body = match self.api.last(run, station).await {
            Ok(body) => body,
            Err(FetchError::Refused(StatusCode::NOT_FOUND)) => return Ok(()),
            Err(error) => return Err(error.at(place)),
        };
        let read = text(&body)
            .and_then(|text| is_sample_of(text, station).map(|()| text))
            .and_then(|text| RawRecord::from_last_sample(text, station, STATION_TYPE));
        match read {
            Ok(record) => {
                found
                    .snapshots
                    .push(smartem_store::ReceivedRecord::whole(record, place));
            }
            Err(fault) => found.set_aside(fault, &place, Some(station.clone()), body),
        }
        Ok(())
    }
}

#[async_trait]
impl Input for Whale {
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
        let stations = self.stations(run, &mut found).await?;
        sink.take(found).await?;
        if intent.wants_history() {
            let outcome = self.read_history(run, &stations, sink).await?;
            if outcome != Outcome::Done || !intent.wants_last() {
                return Ok(outcome);
            }
        }
        read_last(self, run, stations, sink).await
    }
}

/// A station on its way through its days.
#[derive(Clone)]
pub struct Visit {
    station: StationId,
    /// All hours before this day are in the store.
    settled: Option<Day>,
    /// Days still to be read; `None` before they were listed.
    days: Option<VecDeque<Day>>,
    /// Hours, and days whose list of hours, are in quarantine; they stay wanted.
    again: Vec<(Day, Option<HourNumber>)>,
}

fn text(body: &[u8]) -> Result<&str, Quarantine> {
    std::str::from_utf8(body).map_err(|error| {
        Quarantine::new(
            QuarantineReason::MalformedRecord,
            format!("not UTF-8: {error}"),
        )
    })
}

/// Reads an hour as the API serves it; anything else that happens to be a record is none.
fn read_hour(body: &[u8]) -> Result<RawRecord, Quarantine> {
    RawRecord::from_json(text(body)?, &|name| name == STATION_TYPE)
}

/// Whether a newest sample is of the station that was asked for, where it says of which it is.
fn is_sample_of(text: &str, station: &StationId) -> Result<(), Quarantine> {
    let sample: Value = serde_json::from_str(text).unwrap_or_default();
    let id = match &sample["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return Ok(()),
    };
    if id == station.as_str() {
        return Ok(());
    }
    Err(Quarantine::new(
        QuarantineReason::MalformedRecord,
        format!("asked for station {station}, and got a sample of station {id}"),
    ))
}

/// Whether an hour is the one that was asked for.
fn is_of(
    record: RawRecord,
    station: &StationId,
    expected: Option<Hour>,
) -> Result<RawRecord, Quarantine> {
    let hour = match record.time {
        RecordTime::Hour(hour) => Some(hour),
        RecordTime::Snapshot(_) => None,
    };
    if record.station == *station && hour.is_some() && hour == expected {
        return Ok(record);
    }
    let shown = |hour: Option<Hour>| hour.map_or_else(|| "no hour".to_owned(), |h| h.to_string());
    Err(Quarantine::new(
        QuarantineReason::MalformedRecord,
        format!(
            "asked for station {station}, {}, and got station {}, {}",
            shown(expected),
            record.station,
            shown(hour)
        ),
    ))
}

impl Day {
    fn from_checkpoint(position: &Value) -> Option<Self> {
        position
            .get("settled")?
            .as_str()?
            .parse::<Date>()
            .ok()
            .map(Day)
    }

    fn to_checkpoint(self) -> Value {
        json!({ "settled": self.0.to_string() })
    }
}

/// The days and hours behind open quarantine places, by station; they stay wanted.
fn wanted_by_station<'a>(
    places: impl Iterator<Item = &'a String>,
) -> BTreeMap<StationId, Vec<(Day, Option<HourNumber>)>> {
    let mut wanted = BTreeMap::<StationId, Vec<_>>::new();
    for (station, day, hour) in places.filter_map(|place| Api::wanted_of_place(place)) {
        wanted.entry(station).or_default().push((day, hour));
    }
    wanted
}
