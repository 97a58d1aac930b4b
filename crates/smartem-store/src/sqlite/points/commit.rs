//! Writing blocks, and marking the station-hours that they change.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Transaction, params};
use smartem_model::Hour;

use crate::StoreError;
use crate::points::catalogue::{Definition, SeriesNo};
use crate::points::entry::type_number;
use crate::points::record::{HoursByStation, StationHourKey, hours_of_block, tags_json};
use crate::points::{Block, Flush, StationOf};
use crate::prepared::Newcomer;
use crate::sqlite::convert::{from_count, micros};
use crate::sqlite::fault::Fault;
use crate::sqlite::series::Terms;
use crate::sqlite::stations;
use crate::sqlite::{Sqlite, add_to_meta, note_change, this_change};

const ADD_BLOCK: &str = "INSERT INTO point_block (series, day, first, last, rows, small, payload)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// An hour that has points and nothing else.
const ADD_HOUR: &str =
    "INSERT OR IGNORE INTO raw_record (station_key, hour, revision, dirty, source,
       received_at, content_hash, payload_key, standing, change, has_points)
    VALUES (?1, ?2, 1, 1, ?3, ?4, x'', NULL, 1, ?5, 1)";

/// An hour that has more points now.
const CHANGE_HOUR: &str = "UPDATE raw_record SET revision = revision + 1, dirty = 1,
       received_at = ?3, change = ?4, has_points = 1
    WHERE station_key = ?1 AND hour = ?2";

impl Sqlite {
    /// Commits points and the position of the log.
    pub(crate) async fn commit_points(&self, flush: Flush) -> Result<(), StoreError> {
        self.write("committing points", move |transaction| {
            for (number, definition) in &flush.definitions {
                let station = flush.stations.get(number).map(AsRef::as_ref);
                define(transaction, *number, definition, station)?;
            }
            put_blocks(transaction, &flush.blocks)?;
            mark_hours(transaction, &flush.hours, flush.now)?;
            transaction
                .prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'points_segment'")?
                .execute([from_count(flush.segment)])?;
            Ok(())
        })
        .await
    }

    /// Gives series to other stations; the hours of all their points are to be refined.
    pub(crate) async fn remap_series(
        &self,
        series: Vec<(SeriesNo, Option<StationOf>)>,
        now: jiff::Timestamp,
    ) -> Result<(), StoreError> {
        self.write("giving series to stations", move |transaction| {
            let mut hours = HoursByStation::new();
            for (number, station) in &series {
                let of_series = hours_of_series(transaction, *number)?;
                // The station that had them has them no more.
                mark_former(transaction, *number, &of_series, now)?;
                transaction
                    .prepare_cached(
                        "UPDATE point_series SET station = ?2, station_type = ?3 WHERE number = ?1",
                    )?
                    .execute(params![
                        number,
                        station.as_ref().map(|it| it.station.as_str()),
                        station.as_ref().map(|it| &*it.station_type),
                    ])?;
                if let Some(station) = station {
                    let of_station = hours.entry(StationHourKey::of(station)).or_default();
                    of_station.extend(of_series);
                }
            }
            mark_hours(transaction, &hours, now)
        })
        .await
    }
}

/// Marks the hours of a series with the station that it is of now.
fn mark_former(
    transaction: &Transaction<'_>,
    series: SeriesNo,
    hours: &BTreeSet<Hour>,
    now: jiff::Timestamp,
) -> Result<(), Fault> {
    let key: Option<i64> = transaction
        .prepare_cached(
            "SELECT t.key FROM point_series s JOIN station t ON t.id = s.station
             WHERE s.number = ?1",
        )?
        .query_row([series], |row| row.get(0))
        .optional()?;
    let Some(key) = key else {
        return Ok(());
    };
    let change = this_change(transaction)?;
    let mut mark = transaction.prepare_cached(CHANGE_HOUR)?;
    for hour in hours {
        mark.execute(params![key, hour.index(), micros(now), change])?;
    }
    note_change(transaction)?;
    Ok(())
}

fn hours_of_series(
    transaction: &Transaction<'_>,
    series: SeriesNo,
) -> Result<BTreeSet<Hour>, Fault> {
    let mut statement =
        transaction.prepare_cached("SELECT payload FROM point_block WHERE series = ?1")?;
    let mut rows = statement.query([series])?;
    let mut hours = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let payload = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        hours.extend(hours_of_block(series, payload)?);
    }
    Ok(hours)
}

fn define(
    transaction: &Transaction<'_>,
    number: u32,
    definition: &Definition,
    station: Option<&StationOf>,
) -> Result<(), Fault> {
    match definition {
        Definition::Database { name } => transaction
            .prepare_cached("INSERT OR IGNORE INTO point_database (number, name) VALUES (?1, ?2)")?
            .execute(params![number, name])?,
        Definition::Measurement { database, name } => transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO point_measurement (number, database, name)
                 VALUES (?1, ?2, ?3)",
            )?
            .execute(params![number, database, name])?,
        Definition::Field {
            measurement,
            name,
            field_type,
        } => transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO point_field (measurement, number, name, type)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![measurement, number, name, type_number(*field_type)])?,
        Definition::Series { measurement, tags } => transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO point_series
                        (number, measurement, tags, station, station_type)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                number,
                measurement,
                tags_json(tags),
                station.map(|it| it.station.as_str()),
                station.map(|it| &*it.station_type),
            ])?,
    };
    Ok(())
}

pub(super) fn put_blocks(transaction: &Transaction<'_>, blocks: &[Block]) -> rusqlite::Result<()> {
    let mut add = transaction.prepare_cached(ADD_BLOCK)?;
    for block in blocks {
        add.execute(params![
            block.series,
            block.day,
            block.first,
            block.last,
            from_count(block.rows as u64),
            block.small,
            block.payload,
        ])?;
    }
    Ok(())
}

/// Marks hours of stations to be refined, making station and hour known where they are not.
fn mark_hours(
    transaction: &Transaction<'_>,
    hours: &HoursByStation,
    now: jiff::Timestamp,
) -> Result<(), Fault> {
    if hours.is_empty() {
        return Ok(());
    }
    let mut terms = Terms::default();
    let change = this_change(transaction)?;
    let mut added = 0_i64;
    for (station, hours) in hours {
        let source = terms.key(transaction, &station.source)?;
        let newcomer = Newcomer {
            station: &station.station,
            station_type: &station.station_type,
            hour: hours.last().copied(),
            network: &station.network,
            project: station.project.as_deref(),
            now,
        };
        let key = stations::ensure(transaction, &newcomer)?;
        let mut add = transaction.prepare_cached(ADD_HOUR)?;
        let mut change_hour = transaction.prepare_cached(CHANGE_HOUR)?;
        for hour in hours {
            let hour = hour.index();
            if add.execute(params![key, hour, source, micros(now), change])? == 1 {
                added += 1;
            } else {
                change_hour.execute(params![key, hour, micros(now), change])?;
            }
        }
    }
    add_to_meta(transaction, "raw_records", added)?;
    note_change(transaction)?;
    Ok(())
}
