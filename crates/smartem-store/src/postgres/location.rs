//! The location track of a station as it is kept, brought up to date when hours change.

use deadpool_postgres::Transaction;
use futures::try_join;
use smartem_model::{Hour, Position, PositionSource, QuarantineReason};
use tokio_postgres::Row;

use super::convert::position;
use super::fault::Fault;
use super::sql::{At, params};
use crate::track::{Place, Tracker, differs, first_difference, location_at};
use crate::{RefinedHour, StationLocation, StoreError};

/// Hours with a position of their own; an altitude of the station is none of theirs.
const POSITIONED_FROM: &str = "SELECT hour, lon, lat, CASE WHEN NOT station_altitude THEN alt END
    FROM smartem_refined.station_hour
    WHERE station_key = $1 AND hour >= $2 AND location_source IN ('fix', 'point')
      AND NOT hour = ANY($3)
    ORDER BY hour LIMIT $4";

/// The last hour with a position of its own before an hour.
const POSITIONED_BEFORE: &str = "SELECT hour, lon, lat, CASE WHEN NOT station_altitude THEN alt END
    FROM smartem_refined.station_hour
    WHERE station_key = $1 AND hour < $2 AND location_source IN ('fix', 'point')
    ORDER BY hour DESC LIMIT 1";

/// The two newest locations that begin not after an hour.
const BEGUN: &str = "SELECT valid_from, lon, lat, alt FROM smartem.location
    WHERE station_key = $1 AND valid_from <= $2 ORDER BY valid_from DESC LIMIT 2";

const AFTER: &str = "SELECT valid_from, lon, lat, alt FROM smartem.location
    WHERE station_key = $1 AND valid_from > $2 ORDER BY valid_from";

/// The location that holds in an hour (or those after it) and all until another hour; without any, the
/// first of all.
const TRACK_BETWEEN: &str = "SELECT valid_from, lon, lat, alt FROM smartem.location
    WHERE station_key = $1 AND valid_from <= $3 AND valid_from >= coalesce(
       (SELECT max(valid_from) FROM smartem.location WHERE station_key = $1 AND valid_from <= $2),
       $2)
    ORDER BY valid_from";

const FIRST: &str = "SELECT valid_from, lon, lat, alt FROM smartem.location
    WHERE station_key = $1 ORDER BY valid_from LIMIT 1";

const NEWEST: &str = "SELECT valid_from, lon, lat, alt FROM smartem.location
    WHERE station_key = $1 ORDER BY valid_from DESC LIMIT 1";

const DECLARED: &str =
    "SELECT declared_lon, declared_lat, declared_alt FROM smartem.station WHERE key = $1";

const EXTENT: &str =
    "SELECT min(hour), max(hour) FROM smartem_raw.raw_record WHERE station_key = $1";

/// Hours that used what was known of the station, or would have; but those of this transaction.
const USERS: &str = "SELECT hour, lon, lat, alt, coalesce(location_source = 'station', true),
       station_altitude
    FROM smartem_refined.station_hour
    WHERE station_key = $1 AND hour >= $2 AND hour < $3 AND NOT hour = ANY($4) AND (
       location_source = 'station' OR station_altitude
       OR (location_source IS NOT NULL AND alt IS NULL)
       OR (location_source IS NULL
           AND (quarantine_reason IS NULL OR quarantine_reason = 'no_location')))";

const REMOVE: &str = "DELETE FROM smartem.location
    WHERE station_key = $1 AND valid_from = ANY($2)";

const ADD: &str = "INSERT INTO smartem.location (station_key, valid_from, lon, lat, alt)
    SELECT $1, * FROM unnest($2::timestamptz[], $3::float8[], $4::float8[], $5::float8[])";

/// What is being refined right now was given the old track.
const OUTDATE: &str = "UPDATE smartem_raw.raw_record SET revision = revision + 1
    WHERE station_key = $1 AND hour >= $2 AND hour < $3 AND dirty";

const MARK: &str = "UPDATE smartem_raw.raw_record SET dirty = true, revision = revision + 1
    WHERE station_key = $1 AND hour = ANY($2) AND NOT dirty";

/// Hours read at a time while a track is followed.
const PAGE: i64 = 500;

/// A refined hour of this transaction, whose row is only written at its end.
pub(super) struct Positioned {
    hour: Hour,
    /// Where its own fixes say the station is.
    own: Option<Position>,
    /// What it used of the location of its station, when it did.
    used: Option<Used>,
}

/// What an hour used of the location of its station.
#[derive(Clone, Copy)]
struct Used {
    position: Option<Position>,
    /// It used the position, or had none at all.
    whole: bool,
    altitude: bool,
}

impl Positioned {
    pub(super) fn of(refined: &RefinedHour) -> Self {
        let of_station = refined.station_altitude;
        let own = match refined.position {
            Some((position, PositionSource::Fix | PositionSource::Point)) => Some(Position {
                alt: position.alt.filter(|_| !of_station),
                ..position
            }),
            _ => None,
        };
        let uses = match refined.position {
            Some((position, source)) => {
                source == PositionSource::Station || of_station || position.alt.is_none()
            }
            None => refined
                .quarantine
                .as_ref()
                .is_none_or(|it| it.reason == QuarantineReason::NoLocation),
        };
        let used = Used {
            position: refined.position.map(|(position, _)| position),
            whole: refined
                .position
                .is_none_or(|(_, source)| source == PositionSource::Station),
            altitude: of_station,
        };
        Self {
            hour: refined.hour,
            own,
            used: uses.then_some(used),
        }
    }
}

/// Brings the track up to date after the hours `first..=last` of a station changed, and marks the hours that
/// used another location than it now tells; returns how many. `own` are hours whose rows are not written
/// yet, in order of time; what is stored of them does not count.
///
/// Only the part of the track that can differ is followed: from the first changed hour until a later hour
/// is found where the new track is the stored one again. So the track is always that of all hours in order
/// of time, whatever the order they came in.
pub(super) async fn update(
    transaction: &Transaction<'_>,
    station_key: i32,
    (first, last): (Hour, Hour),
    own: &[Positioned],
    move_m: f64,
) -> Result<u64, Fault> {
    let declared = declared(transaction, station_key).await?;
    let opening = declared.map(|place| (place, place));
    let before = before(transaction, station_key, first, declared).await?;
    let before = before.or(opening);
    let mut tracker = match before {
        Some((current, previous)) => Tracker::resume(move_m, current, previous),
        None => Tracker::new(move_m),
    };
    // A declared location is not among those that are kept of fixes.
    let tracked = before.filter(|(current, _)| Some(*current) != declared);
    let after = tracked.map(|(current, _)| current.hour);
    let old = stored_after(transaction, station_key, after).await?;
    let mut begun = Vec::new();
    // The hour from which on the stored track holds again.
    let mut rejoined = None;
    let mut hours = PositionedHours::new(station_key, first, own);
    while let Some(next) = hours.next(transaction).await? {
        begun.extend(tracker.follow(next));
        if next.hour > last {
            let stored = match old.partition_point(|place| place.hour < next.hour) {
                0 => before.map(|(current, _)| current).or(old.first().copied()),
                count => Some(old[count - 1]),
            };
            if tracker.current() == stored {
                rejoined = Some(next.hour);
                break;
            }
        }
    }
    let replaced = match rejoined {
        Some(hour) => &old[..old.partition_point(|place| place.hour < hour)],
        None => &old[..],
    };
    if let Some(hour) = rejoined {
        begun.retain(|place| place.hour < hour);
    }
    if replaced == begun {
        return Ok(0);
    }
    replace(transaction, station_key, replaced, &begun).await?;
    // A first location also holds before it began, unless another was declared.
    let from = match before {
        Some(_) => first_difference(replaced, &begun),
        None => None,
    };
    mark(transaction, station_key, from, rejoined, own).await
}

/// Hours with a position in order of time: those that are stored, and those that are about to be.
struct PositionedHours<'a> {
    station_key: i32,
    /// Hours that are not read from the database.
    left_out: Vec<At>,
    own: std::iter::Peekable<Box<dyn Iterator<Item = Place> + Send + 'a>>,
    stored: std::collections::VecDeque<Place>,
    /// From where on to read; `None` at the end.
    from: Option<Hour>,
}

impl<'a> PositionedHours<'a> {
    fn new(station_key: i32, first: Hour, own: &'a [Positioned]) -> Self {
        let places = own.iter().filter_map(|it| {
            let position = it.own?;
            Some(Place {
                hour: it.hour,
                position,
            })
        });
        let places: Box<dyn Iterator<Item = Place> + Send + 'a> = Box::new(places);
        Self {
            station_key,
            left_out: own.iter().map(|it| At::hour(it.hour)).collect(),
            own: places.peekable(),
            stored: std::collections::VecDeque::new(),
            from: Some(first),
        }
    }

    async fn next(&mut self, transaction: &Transaction<'_>) -> Result<Option<Place>, Fault> {
        if self.stored.is_empty()
            && let Some(from) = self.from.take()
        {
            let (key, from) = (self.station_key, At::hour(from));
            let rows = transaction
                .query_typed(
                    POSITIONED_FROM,
                    params![key => INT4, from => TIMESTAMPTZ,
                        self.left_out => TIMESTAMPTZ_ARRAY, PAGE => INT8],
                )
                .await?;
            let full = rows.len() as u64 == PAGE.unsigned_abs();
            self.stored = places(&rows)?.into();
            if full && let Some(last) = self.stored.back() {
                self.from = Hour::from_index(last.hour.index() + 1);
            }
        }
        let own_first = match (self.own.peek(), self.stored.front()) {
            (Some(own), Some(stored)) => own.hour < stored.hour,
            (own, _) => own.is_some(),
        };
        Ok(if own_first {
            self.own.next()
        } else {
            self.stored.pop_front()
        })
    }
}

/// Where a station is known to be, from the location that holds in `first` (or the first of all) until
/// `last`.
pub(super) async fn track(
    transaction: &Transaction<'_>,
    station_key: i32,
    first: Hour,
    last: Hour,
) -> Result<Vec<Place>, Fault> {
    let (first_at, last_at) = (At::hour(first), At::hour(last));
    let rows = transaction
        .query_typed(
            TRACK_BETWEEN,
            params![station_key => INT4, first_at => TIMESTAMPTZ, last_at => TIMESTAMPTZ],
        )
        .await?;
    let mut found = places(&rows)?;
    if found.first().is_none_or(|place| place.hour > first) {
        found.splice(0..0, declared(transaction, station_key).await?);
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let rows = transaction
        .query_typed(FIRST, params![station_key => INT4])
        .await?;
    places(&rows)
}

/// The location of a station just before an hour, and the last hour with a position before it.
async fn before(
    transaction: &Transaction<'_>,
    station_key: i32,
    first: Hour,
    declared: Option<Place>,
) -> Result<Option<(Place, Place)>, Fault> {
    let first = At::hour(first);
    let rows = transaction
        .query_typed(
            POSITIONED_BEFORE,
            params![station_key => INT4, first => TIMESTAMPTZ],
        )
        .await?;
    let Some(previous) = places(&rows)?.pop() else {
        return Ok(None);
    };
    // A location that begins with the previous hour itself is only known by an hour after it,
    // unless it is the first of all.
    let until = At::hour(previous.hour);
    let rows = transaction
        .query_typed(BEGUN, params![station_key => INT4, until => TIMESTAMPTZ])
        .await?;
    let current = match places(&rows)?[..] {
        [newest, before] if newest.hour == previous.hour => Some(before),
        [newest] if newest.hour == previous.hour => declared.or(Some(newest)),
        [newest, ..] => Some(newest),
        [] => declared,
    };
    Ok(current.map(|current| (current, previous)))
}

async fn stored_after(
    transaction: &Transaction<'_>,
    station_key: i32,
    after: Option<Hour>,
) -> Result<Vec<Place>, Fault> {
    let after = after.map_or(At(i64::MIN), At::hour);
    let rows = transaction
        .query_typed(AFTER, params![station_key => INT4, after => TIMESTAMPTZ])
        .await?;
    places(&rows)
}

async fn replace(
    transaction: &Transaction<'_>,
    station_key: i32,
    old: &[Place],
    new: &[Place],
) -> Result<(), Fault> {
    let gone: Vec<At> = old.iter().map(|place| At::hour(place.hour)).collect();
    let begun: Vec<At> = new.iter().map(|place| At::hour(place.hour)).collect();
    let lon: Vec<f64> = new.iter().map(|place| place.position.lon).collect();
    let lat: Vec<f64> = new.iter().map(|place| place.position.lat).collect();
    let alt: Vec<Option<f64>> = new.iter().map(|place| place.position.alt).collect();
    let remove = params![station_key => INT4, gone => TIMESTAMPTZ_ARRAY];
    let add = params![station_key => INT4, begun => TIMESTAMPTZ_ARRAY, lon => FLOAT8_ARRAY,
        lat => FLOAT8_ARRAY, alt => FLOAT8_ARRAY];
    try_join!(
        transaction.execute_typed(REMOVE, remove),
        transaction.execute_typed(ADD, add),
    )?;
    Ok(())
}

/// The location that was declared, as the opening of the track: before the first hour there can be.
///
/// So it is what is known of the station until its fixes say otherwise, by the rule of any location: two
/// consecutive hours, both far from it.
async fn declared(transaction: &Transaction<'_>, station_key: i32) -> Result<Option<Place>, Fault> {
    let position = declared_position(transaction, station_key).await?;
    let opening = Hour::from_index(0);
    Ok(opening
        .zip(position)
        .map(|(hour, position)| Place { hour, position }))
}

/// Where an operator says that a station is, from its first hour on.
pub(super) async fn declared_position(
    transaction: &Transaction<'_>,
    station_key: i32,
) -> Result<Option<Position>, Fault> {
    let row = transaction
        .query_typed_opt(DECLARED, params![station_key => INT4])
        .await?;
    match row {
        Some(row) => position(&row, 0),
        None => Ok(None),
    }
}

/// All locations of a station in order of time.
pub(super) async fn locations(
    transaction: &Transaction<'_>,
    station_key: i32,
) -> Result<Vec<StationLocation>, Fault> {
    let mut track = stored_after(transaction, station_key, None).await?;
    let declared = declared_since_first_hour(transaction, station_key, &track).await?;
    track.splice(0..0, declared);
    let locations = track.into_iter().map(|place| StationLocation {
        from: place.hour,
        position: place.position,
    });
    Ok(locations.collect())
}

/// The declared location as readers see it: from the station's first hour on, if it held at all.
async fn declared_since_first_hour(
    transaction: &Transaction<'_>,
    station_key: i32,
    track: &[Place],
) -> Result<Option<Place>, Fault> {
    let Some((first, _)) = extent(transaction, station_key).await? else {
        return Ok(None);
    };
    let held = track.first().is_none_or(|next| first < next.hour);
    let declared = declared(transaction, station_key).await?;
    Ok(declared.filter(|_| held).map(|place| Place {
        hour: first,
        ..place
    }))
}

/// The first and the last stored hour of a station.
async fn extent(
    transaction: &Transaction<'_>,
    station_key: i32,
) -> Result<Option<(Hour, Hour)>, Fault> {
    let row = transaction
        .query_typed_one(EXTENT, params![station_key => INT4])
        .await?;
    let (first, last): (Option<At>, Option<At>) = (row.try_get(0)?, row.try_get(1)?);
    first
        .zip(last)
        .map(|(first, last)| Ok((first.to_hour()?, last.to_hour()?)))
        .transpose()
}

/// The newest location of a station, else the one that was declared.
pub(super) async fn newest(
    transaction: &Transaction<'_>,
    station_key: i32,
) -> Result<Option<Position>, Fault> {
    let rows = transaction
        .query_typed(NEWEST, params![station_key => INT4])
        .await?;
    let known = match places(&rows)?.pop() {
        Some(place) => Some(place),
        None => declared(transaction, station_key).await?,
    };
    Ok(known.map(|place| place.position))
}

/// Follows the track anew after another location was declared, and marks the hours that used another
/// location than it now tells; returns how many.
pub(super) async fn redeclared(
    transaction: &Transaction<'_>,
    station_key: i32,
    move_m: f64,
) -> Result<u64, Fault> {
    let Some(hours) = extent(transaction, station_key).await? else {
        return Ok(0);
    };
    // With the last hour among the changed ones the track is followed to its end.
    let marked = update(transaction, station_key, hours, &[], move_m).await?;
    Ok(marked + mark(transaction, station_key, None, None, &[]).await?)
}

/// Marks the hours of `from..to` that used another location of the station than the track tells.
async fn mark(
    transaction: &Transaction<'_>,
    station_key: i32,
    from: Option<Hour>,
    to: Option<Hour>,
    own: &[Positioned],
) -> Result<u64, Fault> {
    let mut track = stored_after(transaction, station_key, None).await?;
    track.splice(0..0, declared(transaction, station_key).await?);
    let (start, end) = (
        from.map_or(At(i64::MIN), At::hour),
        to.map_or(At(i64::MAX), At::hour),
    );
    let left_out: Vec<At> = own.iter().map(|it| At::hour(it.hour)).collect();
    let users = params![station_key => INT4, start => TIMESTAMPTZ, end => TIMESTAMPTZ,
        left_out => TIMESTAMPTZ_ARRAY];
    let range = params![station_key => INT4, start => TIMESTAMPTZ, end => TIMESTAMPTZ];
    let (rows, _) = try_join!(
        transaction.query_typed(USERS, users),
        transaction.execute_typed(OUTDATE, range),
    )?;
    let mut outdated: Vec<At> = Vec::new();
    let mut judge = |hour: Hour, used: Used| {
        let known = location_at(&track, hour);
        if differs(used.position, known, used.whole, used.altitude) {
            outdated.push(At::hour(hour));
        }
    };
    for row in &rows {
        let used = Used {
            position: position(row, 1)?,
            whole: row.try_get(4)?,
            altitude: row.try_get(5)?,
        };
        judge(row.try_get::<_, At>(0)?.to_hour()?, used);
    }
    let within = |hour: Hour| from.is_none_or(|from| hour >= from) && to.is_none_or(|to| hour < to);
    for it in own.iter().filter(|it| within(it.hour)) {
        if let Some(used) = it.used {
            judge(it.hour, used);
        }
    }
    let marked = transaction
        .execute_typed(
            MARK,
            params![station_key => INT4, outdated => TIMESTAMPTZ_ARRAY],
        )
        .await?;
    Ok(marked)
}

fn places(rows: &[Row]) -> Result<Vec<Place>, Fault> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let hour = row.try_get::<_, At>(0)?.to_hour()?;
        found.extend(position(row, 1)?.map(|position| Place { hour, position }));
    }
    Ok(found)
}

impl super::Postgres {
    /// The locations of a station in order of time.
    pub(crate) async fn locations(
        self: &std::sync::Arc<Self>,
        station: smartem_model::StationId,
    ) -> Result<Vec<StationLocation>, StoreError> {
        use super::{Kind, station_rows};
        const ACTION: &str = "reading the locations of a station";
        super::sql::attempt!(self, ACTION, Kind::Read, |transaction| {
            match station_rows::key_of(&transaction, &station).await? {
                Some(key) => locations(&transaction, key).await,
                None => Ok(Vec::new()),
            }
        })
    }
}
