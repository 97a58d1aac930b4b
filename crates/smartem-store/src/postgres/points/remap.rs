//! Series given to other stations.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::{TryStreamExt as _, pin_mut};
use smartem_model::Hour;
use tokio_postgres::types::Type;

use super::commit::Marks;
use super::names::kept;
use super::record::series_number;
use crate::StoreError;
use crate::points::StationOf;
use crate::points::catalogue::SeriesNo;
use crate::points::record::{HoursByStation, StationHourKey, hours_of_block};
use crate::postgres::fault::Fault;
use crate::postgres::sql::{attempt, params};
use crate::postgres::{Kind, Postgres};

const BLOCKS: &str = "SELECT series, payload FROM smartem_raw.point_block WHERE series = ANY($1)";

const FORMER: &str = "SELECT number, station FROM smartem_raw.point_series
    WHERE number = ANY($1) AND station IS NOT NULL";

/// Stations in the order of keys, as everywhere: those that had series and those that get some.
const LOCK: &str = "SELECT key, id FROM smartem.station WHERE id = ANY($1) ORDER BY key
    FOR NO KEY UPDATE";

const UPDATE: &str = "UPDATE smartem_raw.point_series s
    SET station = w.station, station_type = w.station_type
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS w (number, station, station_type)
    WHERE s.number = w.number";

/// Series, and the station that each is of from now on.
type Series = [(SeriesNo, Option<StationOf>)];

impl Postgres {
    /// Gives series to other stations; the hours of all their points are to be refined.
    pub(crate) async fn remap_series(
        self: &Arc<Self>,
        series: Vec<(SeriesNo, Option<StationOf>)>,
        now: jiff::Timestamp,
    ) -> Result<(), StoreError> {
        const ACTION: &str = "giving series to stations";
        let mut stations = HoursByStation::new();
        for (_, station) in &series {
            let station = station.as_ref().map(StationHourKey::of);
            stations.extend(station.map(|it| (it, BTreeSet::new())));
        }
        self.ensure_sources(ACTION, &stations).await?;
        attempt!(self, ACTION, Kind::Write, |transaction| {
            remap(self, &transaction, &series, now).await
        })
    }
}

async fn remap(
    database: &Postgres,
    transaction: &Transaction<'_>,
    series: &Series,
    now: jiff::Timestamp,
) -> Result<(), Fault> {
    let numbers: Vec<i64> = series.iter().map(|(number, _)| (*number).into()).collect();
    let mut hours = hours_of(transaction, &numbers).await?;
    let former = former(transaction, &numbers).await?;
    let keys = lock(transaction, series, &former).await?;
    // The stations that had them have them no more.
    let mut left: BTreeSet<(i32, Hour)> = BTreeSet::new();
    for (number, station) in &former {
        if let Some(key) = keys.get(station) {
            let hours = hours.get(number).into_iter().flatten();
            left.extend(hours.map(|hour| (*key, *hour)));
        }
    }
    let mut got = HoursByStation::new();
    for (number, station) in series {
        let of_series = hours.remove(number).unwrap_or_default();
        if let Some(station) = station {
            let of_station = got.entry(StationHourKey::of(station)).or_default();
            of_station.extend(of_series);
        }
    }
    update(transaction, series).await?;
    let mut marks = Marks::of(database, transaction, &got, now).await?;
    marks.also(left);
    database.certain(transaction).await?;
    marks.put(transaction, now).await
}

/// The hours of the points of series.
async fn hours_of(
    transaction: &Transaction<'_>,
    series: &[i64],
) -> Result<HashMap<SeriesNo, BTreeSet<Hour>>, Fault> {
    let parameters = [(series, Type::INT8_ARRAY)];
    let rows = transaction.query_typed_raw(BLOCKS, parameters).await?;
    pin_mut!(rows);
    let mut hours: HashMap<SeriesNo, BTreeSet<Hour>> = HashMap::new();
    while let Some(row) = rows.try_next().await? {
        let number = series_number(row.try_get(0)?)?;
        let of_series = hours.entry(number).or_default();
        of_series.extend(hours_of_block(number, row.try_get(1)?)?);
    }
    Ok(hours)
}

/// The stations that series are of.
async fn former(
    transaction: &Transaction<'_>,
    series: &[i64],
) -> Result<BTreeMap<SeriesNo, String>, Fault> {
    let rows = transaction
        .query_typed(FORMER, params![series => INT8_ARRAY])
        .await?;
    rows.iter()
        .map(|row| Ok((series_number(row.try_get(0)?)?, row.try_get(1)?)))
        .collect()
}

/// The keys of the stations that are there, which are locked.
async fn lock(
    transaction: &Transaction<'_>,
    series: &Series,
    former: &BTreeMap<SeriesNo, String>,
) -> Result<HashMap<String, i32>, Fault> {
    let next = series.iter().filter_map(|(_, station)| station.as_ref());
    let next = next.map(|station| station.station.as_str());
    let ids: BTreeSet<&str> = former.values().map(String::as_str).chain(next).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let rows = transaction
        .query_typed(LOCK, params![ids => TEXT_ARRAY])
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(1)?, row.try_get(0)?)))
        .collect()
}

async fn update(transaction: &Transaction<'_>, series: &Series) -> Result<(), Fault> {
    let (mut numbers, mut stations, mut types) = (Vec::new(), Vec::new(), Vec::new());
    for (number, station) in series {
        numbers.push(i64::from(*number));
        stations.push(station.as_ref().map(|it| it.station.as_str()));
        types.push(station.as_ref().map(|it| kept(&it.station_type)));
    }
    let parameters = params![numbers => INT8_ARRAY, stations => TEXT_ARRAY, types => TEXT_ARRAY];
    transaction.execute_typed(UPDATE, parameters).await?;
    Ok(())
}
