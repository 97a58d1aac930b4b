//! The location track of a station as it is kept, brought up to date when hours change.

use std::sync::Arc;

use rusqlite::{Row, Transaction, params};
use smartem_model::{Hour, Position, StationId};

use super::convert::{hour, position};
use super::fault::Fault;
use super::stations;
use super::{Sqlite, declare};
use crate::track::{Place, Tracker, differs, first_difference, location_at};
use crate::{StationLocation, StoreError};

/// Hours with a position of their own; an altitude of the station is none of theirs.
const POSITIONED_FROM: &str = "SELECT hour, lon, lat, CASE station_altitude WHEN 0 THEN alt END
    FROM station_hour INDEXED BY station_hour_positioned
    WHERE station_key = ?1 AND hour >= ?2 AND location_source IN ('fix', 'point')
    ORDER BY hour";

/// The location that holds in an hour (or those after it) and all until another hour.
const TRACK_BETWEEN: &str = "SELECT valid_from, lon, lat, alt FROM location
    WHERE station_key = ?1 AND valid_from <= ?3 AND valid_from >= coalesce(
       (SELECT max(valid_from) FROM location WHERE station_key = ?1 AND valid_from <= ?2),
       ?2)
    ORDER BY valid_from";

/// The last hour with a position of its own before an hour.
const POSITIONED_BEFORE: &str = "SELECT hour, lon, lat, CASE station_altitude WHEN 0 THEN alt END
    FROM station_hour INDEXED BY station_hour_positioned
    WHERE station_key = ?1 AND hour < ?2 AND location_source IN ('fix', 'point')
    ORDER BY hour DESC LIMIT 1";

/// Hours that used what was known of the station, or would have.
const LOCATION_USERS: &str = "SELECT hour, lon, lat, alt, coalesce(location_source = 'station', 1),
        station_altitude
    FROM station_hour
    WHERE station_key = ?1 AND hour >= ?2 AND hour < ?3 AND (
       location_source = 'station' OR station_altitude = 1
       OR (location_source IS NOT NULL AND alt IS NULL)
       OR (location_source IS NULL
           AND (quarantine_reason IS NULL OR quarantine_reason = 'no_location')))";

impl Sqlite {
    pub(crate) async fn locations(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<Vec<StationLocation>, StoreError> {
        self.read("reading the locations of a station", move |transaction| {
            let Some(station_key) = stations::key_of(transaction, &station)? else {
                return Ok(Vec::new());
            };
            let mut track = stored_after(transaction, station_key, None)?;
            track.splice(
                0..0,
                declared_since_first_hour(transaction, station_key, &track)?,
            );
            let locations = track.into_iter().map(|place| StationLocation {
                from: place.hour,
                position: place.position,
            });
            Ok(locations.collect())
        })
        .await
    }
}

/// Brings the track up to date after the hours `first..=last` of a station changed, and marks the
/// hours that used another location than it now tells; returns how many.
///
/// Only the part of the track that can differ is followed: from the first changed hour until a
/// later hour is found where the new track is the stored one again. So the track is always that
/// of all hours in order of time, whatever the order they came in.
pub(super) fn update(
    transaction: &Transaction<'_>,
    station_key: i64,
    (first, last): (Hour, Hour),
    move_m: f64,
) -> Result<u64, Fault> {
    let declared = declared(transaction, station_key)?;
    let opening = declared.map(|place| (place, place));
    let before = before(transaction, station_key, first, declared)?.or(opening);
    let mut tracker = match before {
        Some((current, previous)) => Tracker::resume(move_m, current, previous),
        None => Tracker::new(move_m),
    };
    // A declared location is not among those that are kept of fixes.
    let tracked = before.filter(|(current, _)| Some(*current) != declared);
    let after = tracked.map(|(current, _)| current.hour);
    let old = stored_after(transaction, station_key, after)?;
    let mut begun = Vec::new();
    // The hour from which on the stored track holds again.
    let mut rejoined = None;
    let mut statement = transaction.prepare_cached(POSITIONED_FROM)?;
    let mut rows = statement.query((station_key, first.index()))?;
    while let Some(row) = rows.next()? {
        let Some(next) = place(row)? else { continue };
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
    replace(transaction, station_key, replaced, &begun)?;
    // A first location also holds before it began, unless another was declared.
    let from = match before {
        Some(_) => first_difference(replaced, &begun),
        None => None,
    };
    mark(transaction, station_key, from, rejoined)
}

/// Where a station is known to be, from the location that holds in `first` (or the first of all)
/// until `last`.
pub(super) fn track(
    transaction: &Transaction<'_>,
    station_key: i64,
    first: Hour,
    last: Hour,
) -> Result<Vec<Place>, Fault> {
    let mut statement = transaction.prepare_cached(TRACK_BETWEEN)?;
    let mut found = places(statement.query((station_key, first.index(), last.index()))?)?;
    if found.first().is_none_or(|place| place.hour > first) {
        found.splice(0..0, declared(transaction, station_key)?);
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let mut statement = transaction.prepare_cached(
        "SELECT valid_from, lon, lat, alt FROM location
         WHERE station_key = ?1 ORDER BY valid_from LIMIT 1",
    )?;
    places(statement.query([station_key])?)
}

/// The location of a station just before an hour, and the last hour with a position before it.
fn before(
    transaction: &Transaction<'_>,
    station_key: i64,
    first: Hour,
    declared: Option<Place>,
) -> Result<Option<(Place, Place)>, Fault> {
    let mut statement = transaction.prepare_cached(POSITIONED_BEFORE)?;
    let previous = places(statement.query((station_key, first.index()))?)?.pop();
    let Some(previous) = previous else {
        return Ok(None);
    };
    // A location that begins with the previous hour itself is only known by an hour after it,
    // unless it is the first of all.
    let mut statement = transaction.prepare_cached(
        "SELECT valid_from, lon, lat, alt FROM location
         WHERE station_key = ?1 AND valid_from <= ?2 ORDER BY valid_from DESC LIMIT 2",
    )?;
    let found = places(statement.query((station_key, previous.hour.index()))?)?;
    let current = match found[..] {
        [newest, before] if newest.hour == previous.hour => Some(before),
        [newest] if newest.hour == previous.hour => declared.or(Some(newest)),
        [newest, ..] => Some(newest),
        [] => declared,
    };
    Ok(current.map(|current| (current, previous)))
}

fn stored_after(
    transaction: &Transaction<'_>,
    station_key: i64,
    after: Option<Hour>,
) -> Result<Vec<Place>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT valid_from, lon, lat, alt FROM location
         WHERE station_key = ?1 AND valid_from > ?2 ORDER BY valid_from",
    )?;
    let after = after.map_or(i64::MIN, Hour::index);
    places(statement.query((station_key, after))?)
}

fn replace(
    transaction: &Transaction<'_>,
    station_key: i64,
    old: &[Place],
    new: &[Place],
) -> rusqlite::Result<()> {
    for place in old {
        transaction
            .prepare_cached("DELETE FROM location WHERE station_key = ?1 AND valid_from = ?2")?
            .execute((station_key, place.hour.index()))?;
    }
    for place in new {
        let Position { lon, lat, alt } = place.position;
        transaction
            .prepare_cached(
                "INSERT INTO location (station_key, valid_from, lon, lat, alt)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![station_key, place.hour.index(), lon, lat, alt])?;
    }
    Ok(())
}

/// The location that was declared, as the opening of the track: before the first hour there can be.
///
/// So it is what is known of the station until its fixes say otherwise, by the rule of any location:
/// two consecutive hours, both far from it. It is kept with the station and not in the track, since
/// the track is always made anew from the hours, and no hour says it.
fn declared(transaction: &Transaction<'_>, station_key: i64) -> Result<Option<Place>, Fault> {
    let position = declare::declared_position(transaction, station_key)?;
    let opening = Hour::from_index(0);
    Ok(opening
        .zip(position)
        .map(|(hour, position)| Place { hour, position }))
}

/// The declared location as readers see it: from the station's first hour on, if it held at all.
fn declared_since_first_hour(
    transaction: &Transaction<'_>,
    station_key: i64,
    track: &[Place],
) -> Result<Option<Place>, Fault> {
    let Some((first, _)) = extent(transaction, station_key)? else {
        return Ok(None);
    };
    let held = track.first().is_none_or(|next| first < next.hour);
    let declared = declared(transaction, station_key)?.filter(|_| held);
    Ok(declared.map(|place| Place {
        hour: first,
        ..place
    }))
}

/// The first and the last stored hour of a station.
fn extent(transaction: &Transaction<'_>, station_key: i64) -> Result<Option<(Hour, Hour)>, Fault> {
    let (first, last): (Option<i64>, Option<i64>) = transaction
        .prepare_cached("SELECT min(hour), max(hour) FROM raw_record WHERE station_key = ?1")?
        .query_row([station_key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    first
        .zip(last)
        .map(|(first, last)| Ok((hour(first)?, hour(last)?)))
        .transpose()
}

/// The newest location of a station, else the one that was declared.
pub(super) fn newest(
    transaction: &Transaction<'_>,
    station_key: i64,
) -> Result<Option<Position>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT valid_from, lon, lat, alt FROM location
         WHERE station_key = ?1 ORDER BY valid_from DESC LIMIT 1",
    )?;
    let tracked = places(statement.query([station_key])?)?.pop();
    let known = match tracked {
        Some(place) => Some(place),
        None => declared(transaction, station_key)?,
    };
    Ok(known.map(|place| place.position))
}

/// Follows the track anew after another location was declared, and marks the hours that used
/// another location than it now tells; returns how many.
pub(super) fn redeclared(
    transaction: &Transaction<'_>,
    station_key: i64,
    move_m: f64,
) -> Result<u64, Fault> {
    let Some(hours) = extent(transaction, station_key)? else {
        return Ok(0);
    };
    // With the last hour among the changed ones the track is followed to its end.
    let marked = update(transaction, station_key, hours, move_m)?;
    Ok(marked + mark(transaction, station_key, None, None)?)
}

/// Marks the hours of `from..to` that used another location of the station than the track tells.
fn mark(
    transaction: &Transaction<'_>,
    station_key: i64,
    from: Option<Hour>,
    to: Option<Hour>,
) -> Result<u64, Fault> {
    let from = from.map_or(i64::MIN, Hour::index);
    let to = to.map_or(i64::MAX, Hour::index);
    let mut track = stored_after(transaction, station_key, None)?;
    track.splice(0..0, declared(transaction, station_key)?);
    // What is being refined right now was given the old track.
    transaction
        .prepare_cached(
            "UPDATE raw_record SET revision = revision + 1
             WHERE station_key = ?1 AND hour >= ?2 AND hour < ?3 AND dirty = 1",
        )?
        .execute((station_key, from, to))?;
    let mut users = transaction.prepare_cached(LOCATION_USERS)?;
    let mut mark = transaction.prepare_cached(
        "UPDATE raw_record SET dirty = 1, revision = revision + 1
         WHERE station_key = ?1 AND hour = ?2 AND dirty = 0",
    )?;
    let mut marked = 0;
    let mut rows = users.query((station_key, from, to))?;
    while let Some(row) = rows.next()? {
        let used = position(row, 1)?;
        let (whole, altitude): (bool, bool) = (row.get(4)?, row.get(5)?);
        let at = hour(row.get(0)?)?;
        let known = location_at(&track, at);
        if differs(used, known, whole, altitude) {
            marked += mark.execute((station_key, at.index()))? as u64;
        }
    }
    Ok(marked)
}

fn places(mut rows: rusqlite::Rows<'_>) -> Result<Vec<Place>, Fault> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(place(row)?);
    }
    Ok(found)
}

fn place(row: &Row<'_>) -> Result<Option<Place>, Fault> {
    let hour = hour(row.get(0)?)?;
    Ok(position(row, 1)?.map(|position| Place { hour, position }))
}
