//! Records, a refiner of a few lines, and what two stores must agree on.

use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_model::raw::{Cell, RawRecord};
use smartem_model::{
    Example, Flag, Hour, Observation, Position, PositionSource, Quality, Quarantine,
    QuarantineReason, RejectReason, Rejection, StationId,
};
use smartem_store::{
    Access, Columns, CommitRefined, CommitReport, DEFAULT_MOVE_M, Intake, IntakeReport,
    ObservationQuery, ReceivedRecord, RefinedHour, StationWork, Store, WorkHour,
};

pub(crate) async fn open(dir: &Path) -> Store {
    Store::open(dir, Access::Create { now: now() })
        .await
        .unwrap()
}

pub(crate) fn now() -> Timestamp {
    "2016-02-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn id(text: &str) -> StationId {
    StationId::new(text).unwrap()
}

/// The n-th hour of the tests.
pub(crate) fn hour(n: i64) -> Hour {
    Hour::from_index(403_510 + n).unwrap()
}

/// A record of one sample.
pub(crate) fn record(station: &str, n: i64, sample: &Value) -> RawRecord {
    typed_record("jose", station, n, sample)
}

pub(crate) fn typed_record(station_type: &str, station: &str, n: i64, sample: &Value) -> RawRecord {
    let hour = hour(n);
    let document = json!({"device_id": station, "device_type": station_type, "hour": hour.of_day(),
        "day": hour.day().to_string(), "data": {"timeseries": [sample]}});
    RawRecord::from_json(&document.to_string(), &|_| true).unwrap()
}

/// A sample with a value and a fix so many metres north of Nijmegen.
pub(crate) fn sample(value: i64, metres: f64) -> Value {
    json!({"a": value, "lat": 51.84 + metres / 111_195.0})
}

pub(crate) fn intake(records: Vec<RawRecord>) -> Intake {
    let received = records.into_iter().map(|record| ReceivedRecord {
        standing: smartem_store::Standing::Whole,
        place: format!("https://example.org/{}/{:?}", record.station, record.time),
        record,
    });
    Intake {
        process: "harvester-whale".into(),
        source: "intemo".into(),
        network: "josene".into(),
        project: Some("nijmegen".into()),
        now: now(),
        records: received.collect(),
        quarantined: Vec::new(),
        understood: Vec::new(),
        checkpoints: Vec::new(),
    }
}

pub(crate) async fn take_in(store: &Store, records: Vec<RawRecord>) -> IntakeReport {
    store.take_in(intake(records)).await.unwrap()
}

pub(crate) async fn work(store: &Store, station: &str) -> StationWork {
    store
        .work(&id(station), 100, Columns::All, smartem_store::Growing::No)
        .await
        .unwrap()
        .unwrap()
}

/// The hours of a station that would be refined next.
pub(crate) async fn waiting(store: &Store, station: &str) -> Vec<i64> {
    let work = store
        .work(&id(station), 100, Columns::All, smartem_store::Growing::No)
        .await
        .unwrap();
    let hours = work.into_iter().flat_map(|work| work.hours);
    hours.map(|it| it.hour.index() - hour(0).index()).collect()
}

/// Refines until there is nothing to do.
pub(crate) async fn refine_all(store: &Store) {
    for _ in 0..1000 {
        let stations = store
            .dirty_stations(100, smartem_store::Growing::No)
            .await
            .unwrap();
        if stations.is_empty() {
            return;
        }
        for station in stations {
            if let Some(work) = store
                .work(&station, 3, Columns::All, smartem_store::Growing::No)
                .await
                .unwrap()
            {
                commit(store, &work).await;
            }
        }
    }
    panic!("refining does not come to an end");
}

pub(crate) async fn commit(store: &Store, work: &StationWork) -> CommitReport {
    store.commit_refined(refine(work)).await.unwrap()
}

/// Refines in a way that shows every input: the value is the sum of all values so far, the state
/// that sum; an hour without own position or altitude has those of its station.
pub(crate) fn refine(work: &StationWork) -> CommitRefined {
    let mut sum: i64 = work
        .state
        .as_deref()
        .map_or(0, |state| state.parse().unwrap());
    let mut hours = Vec::new();
    for hour in &work.hours {
        let value = integer(hour, "a").unwrap_or(0);
        // The state forgets, so that an hour may hand on what it did before.
        sum = (sum + value) % 7;
        hours.push(refine_hour(work, hour, sum));
    }
    CommitRefined {
        process: "refiner".into(),
        now: now(),
        station: work.station.id.clone(),
        move_m: DEFAULT_MOVE_M,
        hours,
    }
}

fn refine_hour(work: &StationWork, hour: &WorkHour, sum: i64) -> RefinedHour {
    let lat = cell(hour, "lat").and_then(Cell::number);
    let own = lat.map(|lat| {
        (
            Position::horizontal(5.86, lat).unwrap(),
            PositionSource::Fix,
        )
    });
    let station = hour
        .station_location
        .map(|it| (it, PositionSource::Station));
    let mut position = own.or(station);
    let own_altitude = cell(hour, "alt").and_then(Cell::number);
    let known_altitude = hour.station_location.and_then(|it| it.alt);
    if let Some((position, _)) = &mut position {
        position.alt = own_altitude.or(known_altitude);
    }
    let mut observations = Vec::new();
    if let (Some((location, source)), Some(_)) = (position, integer(hour, "a")) {
        let flags = match source {
            PositionSource::Station => vec![Flag::StationLocation],
            _ => Vec::new(),
        };
        observations.push(observation(work, hour, "no2", sum, location, flags.clone()));
        if integer(hour, "b").is_some() {
            observations.push(observation(work, hour, "pm10", sum + 1, location, flags));
        }
    }
    let has_values = integer(hour, "a").is_some();
    RefinedHour {
        hour: hour.hour,
        revision: hour.revision,
        observations,
        rejections: vec![Rejection {
            indicator: Some("no2".into()),
            sensor: Some("no2-S27".into()),
            reason: RejectReason::BelowMinimum,
            count: 1,
            example: Example {
                time: None,
                input: Some("a".into()),
                value: Some("1".into()),
            },
        }],
        state: sum.to_string(),
        station_altitude: position.is_some() && own_altitude.is_none() && known_altitude.is_some(),
        quarantine: (position.is_none() && has_values)
            .then(|| Quarantine::new(QuarantineReason::NoLocation, "no position")),
        position,
    }
}

fn cell<'a>(hour: &'a WorkHour, name: &str) -> Option<Cell<'a>> {
    Some(hour.record.samples.column(name)?.cell(0))
}

fn integer(hour: &WorkHour, name: &str) -> Option<i64> {
    match cell(hour, name)? {
        Cell::Integer(value) => Some(value),
        _ => None,
    }
}

pub(crate) fn observation(
    work: &StationWork,
    hour: &WorkHour,
    indicator: &str,
    value: i64,
    location: Position,
    flags: Vec<Flag>,
) -> Observation {
    Observation {
        station: work.station.id.clone(),
        station_type: work.station.station_type.clone(),
        indicator: indicator.into(),
        label: indicator.to_uppercase().into(),
        unit: "ug/m3".into(),
        phenomenon_time: hour.hour.period(),
        value: value as f64,
        min: 0.5,
        max: 99.5,
        raw: Some(12.25),
        raw_unit: Some("Ohm".into()),
        accepted_count: 3,
        rejected_count: 1,
        quality: Quality {
            fraction: 0.75,
            coverage: Some(0.5),
            flags,
        },
        location,
        sensor: format!("{indicator}-S27").into(),
        definition: "jose/1".into(),
        model: None,
    }
}

/// All observations of a station.
pub(crate) async fn observations(store: &Store, station: &str) -> Vec<Observation> {
    let query = ObservationQuery::newest(id(station), 10_000);
    store.observations(query).await.unwrap().observations
}

/// The values of an indicator by hour.
pub(crate) async fn values(store: &Store, station: &str, indicator: &str) -> Vec<(i64, f64)> {
    let all = observations(store, station).await.into_iter();
    all.filter(|it| &*it.indicator == indicator)
        .map(|it| {
            let start = Hour::containing(it.phenomenon_time.start).unwrap();
            (start.index() - hour(0).index(), it.value)
        })
        .collect()
}

/// Everything that must not depend on the order in which records arrived, as text.
pub(crate) async fn fingerprint(store: &Store) -> String {
    let mut text = String::new();
    let backlog = store.backlog().await.unwrap();
    writeln!(text, "{backlog:#?}").unwrap();
    for view in store.stations().await.unwrap() {
        writeln!(text, "{view:#?}").unwrap();
        for location in store.locations(&view.id).await.unwrap() {
            writeln!(text, "{location:?}").unwrap();
        }
        for observation in observations(store, view.id.as_str()).await {
            writeln!(text, "{observation:?}").unwrap();
        }
        for stored in store
            .stored_hours(&view.id, hour(-1000), hour(1000))
            .await
            .unwrap()
        {
            let record = store.raw_record(&view.id, stored).await.unwrap();
            let refined = store.station_hour(&view.id, stored).await.unwrap();
            writeln!(text, "{stored} {refined:?}").unwrap();
            writeln!(text, "{}", record.unwrap().to_json()).unwrap();
        }
    }
    text
}
