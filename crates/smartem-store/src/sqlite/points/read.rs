//! Reading what is defined, and rows of series.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use rusqlite::Transaction;
use smartem_model::StationId;
use smartem_points::{Newest, Order};

use crate::StoreError;
use crate::points::catalogue::{Definition, SeriesNo};
use crate::points::days::{DayByDay, Wanted};
use crate::points::entry::type_of;
use crate::points::record::{StoredPoints, Tags, tags_of};
use crate::points::rows::{FieldNo, Rows};
use crate::points::{KnownStation, NewestOfFields, day_of};
use crate::sqlite::convert::to_count;
use crate::sqlite::fault::Fault;
use crate::sqlite::{Sqlite, meta};

const ASCENDING: &str = "SELECT day, payload, key FROM point_block
    WHERE series = ?1 AND day >= ?2 AND day <= ?3 AND first <= ?5 AND last >= ?4
    ORDER BY day, key";

const DESCENDING: &str = "SELECT day, payload, key FROM point_block
    WHERE series = ?1 AND day >= ?2 AND day <= ?3 AND first <= ?5 AND last >= ?4
    ORDER BY day DESC, key";

impl Sqlite {
    pub(crate) async fn stored_points(self: &Arc<Self>) -> Result<StoredPoints, StoreError> {
        self.read("reading what series there are", stored).await
    }

    /// Gives the rows of a series day by day; those of a day in order.
    ///
    /// Blocks: it is called from where that is allowed.
    pub(crate) fn scan_points(
        &self,
        series: SeriesNo,
        fields: &[FieldNo],
        range: &RangeInclusive<i64>,
        order: Order,
        give: &mut dyn FnMut(i64, Rows) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let wanted = Wanted {
            series,
            fields,
            range,
        };
        let scanned = self.read_now(|transaction| scan(transaction, wanted, order, give));
        scanned.map_err(|fault| fault.during("reading points", &self.file))
    }

    /// What is known of a station. It blocks, shortly.
    pub(crate) fn known_station(
        &self,
        station: &StationId,
    ) -> Result<Option<KnownStation>, StoreError> {
        let found = self.read_now(|transaction| {
            let row = crate::sqlite::stations::row_of(transaction, station)?;
            Ok(row.map(|(_, row)| KnownStation {
                station_type: (&*row.station_type).into(),
                network: (&*row.network).into(),
                project: row.project.as_deref().map(Into::into),
            }))
        });
        found.map_err(|fault| fault.during("looking a station up", &self.file))
    }

    /// The newest value of every field of a series among its blocks.
    pub(crate) fn newest_points(
        &self,
        series: SeriesNo,
    ) -> Result<Vec<(FieldNo, Newest)>, StoreError> {
        let found = self.read_now(|transaction| newest(transaction, series));
        found.map_err(|fault| fault.during("looking for the newest points", &self.file))
    }
}

fn stored(transaction: &Transaction<'_>) -> Result<StoredPoints, Fault> {
    let mut definitions = Vec::new();
    each(
        transaction,
        "SELECT name FROM point_database ORDER BY number",
        |row| {
            definitions.push(Definition::Database { name: row.get(0)? });
            Ok(())
        },
    )?;
    let measurements = "SELECT database, name FROM point_measurement ORDER BY number";
    each(transaction, measurements, |row| {
        definitions.push(Definition::Measurement {
            database: row.get(0)?,
            name: row.get(1)?,
        });
        Ok(())
    })?;
    let fields = "SELECT measurement, name, type FROM point_field ORDER BY measurement, number";
    each(transaction, fields, |row| {
        let number: u8 = row.get(2)?;
        definitions.push(Definition::Field {
            measurement: row.get(0)?,
            name: row.get(1)?,
            field_type: type_of(number)
                .map_err(|_| Fault::unknown("the type of a field", &number))?,
        });
        Ok(())
    })?;
    let mut stations = BTreeMap::new();
    let series = "SELECT number, measurement, tags, station, station_type FROM point_series
        ORDER BY number";
    each(transaction, series, |row| {
        definitions.push(Definition::Series {
            measurement: row.get(1)?,
            tags: tags(&row.get::<_, String>(2)?)?,
        });
        let station: Option<String> = row.get(3)?;
        let station_type: Option<String> = row.get(4)?;
        if let Some(known) = station.zip(station_type) {
            stations.insert(row.get(0)?, known);
        }
        Ok(())
    })?;
    Ok(StoredPoints {
        segment: to_count(meta(transaction, "points_segment")?),
        log: None,
        known: Vec::new(),
        definitions,
        stations,
    })
}

fn each(
    transaction: &Transaction<'_>,
    sql: &str,
    mut take: impl FnMut(&rusqlite::Row<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

/// Pairs of key and value.
pub(super) fn tags(json: &str) -> Result<Tags, Fault> {
    tags_of(json).ok_or_else(|| Fault::unknown("the tags of a series", json))
}

fn scan(
    transaction: &Transaction<'_>,
    wanted: Wanted<'_>,
    order: Order,
    give: &mut dyn FnMut(i64, Rows) -> ControlFlow<()>,
) -> Result<(), Fault> {
    let range = wanted.range;
    let sql = match order {
        Order::Ascending => ASCENDING,
        Order::Descending => DESCENDING,
    };
    let mut statement = transaction.prepare_cached(sql)?;
    let mut blocks = statement.query((
        wanted.series,
        day_of(*range.start()),
        day_of(*range.end()),
        range.start(),
        range.end(),
    ))?;
    let mut days = DayByDay::new(wanted, give);
    while let Some(block) = blocks.next()? {
        let payload = block.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        if days.take(block.get(0)?, payload)?.is_break() {
            return Ok(());
        }
    }
    days.end();
    Ok(())
}

fn newest(
    transaction: &Transaction<'_>,
    series: SeriesNo,
) -> Result<Vec<(FieldNo, Newest)>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT number FROM point_field WHERE measurement =
            (SELECT measurement FROM point_series WHERE number = ?1)",
    )?;
    let fields = statement.query_map([series], |row| row.get(0))?;
    let fields: Vec<FieldNo> = fields.collect::<Result<_, _>>()?;
    let mut newest = NewestOfFields::new(fields.clone());
    let wanted = Wanted {
        series,
        fields: &fields,
        range: &(i64::MIN..=i64::MAX),
    };
    scan(transaction, wanted, Order::Descending, &mut |_, rows| {
        newest.take(&rows)
    })?;
    Ok(newest.found())
}
