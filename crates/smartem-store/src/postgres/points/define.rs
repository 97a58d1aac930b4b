//! What is defined: databases, measurements, fields, series.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Transaction;

use super::names::kept;
use crate::points::StationOf;
use crate::points::catalogue::{Definition, SeriesNo};
use crate::points::entry::type_number;
use crate::points::record::tags_json;
use crate::postgres::fault::Fault;
use crate::postgres::sql::params;

const DATABASES: &str = "INSERT INTO smartem_raw.point_database (number, name)
    SELECT * FROM unnest($1::int[], $2::text[]) ON CONFLICT DO NOTHING";

const MEASUREMENTS: &str = "INSERT INTO smartem_raw.point_measurement (number, database, name)
    SELECT * FROM unnest($1::int[], $2::int[], $3::text[]) ON CONFLICT DO NOTHING";

const FIELDS: &str = "INSERT INTO smartem_raw.point_field (measurement, number, name, type)
    SELECT * FROM unnest($1::int[], $2::int[], $3::text[], $4::smallint[]) ON CONFLICT DO NOTHING";

const SERIES: &str = "INSERT INTO smartem_raw.point_series
       (number, measurement, tags, station, station_type)
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[])
    ON CONFLICT DO NOTHING";

/// Those of one kind, column by column.
#[derive(Default)]
struct Columns {
    databases: (Vec<i32>, Vec<String>),
    measurements: (Vec<i32>, Vec<i32>, Vec<String>),
    fields: (Vec<i32>, Vec<i32>, Vec<String>, Vec<i16>),
    series: Series,
}

type Series = (
    Vec<i64>,
    Vec<i32>,
    Vec<String>,
    Vec<Option<String>>,
    Vec<Option<String>>,
);

/// Writes definitions; those that are there already stay as they are.
pub(super) async fn put(
    transaction: &Transaction<'_>,
    definitions: &[(u32, Definition)],
    stations: &BTreeMap<SeriesNo, Arc<StationOf>>,
) -> Result<(), Fault> {
    let mut columns = Columns::default();
    for (number, definition) in definitions {
        let station = stations.get(number).map(AsRef::as_ref);
        columns.add(*number, definition, station)?;
    }
    columns.put(transaction).await
}

impl Columns {
    fn add(
        &mut self,
        number: u32,
        definition: &Definition,
        station: Option<&StationOf>,
    ) -> Result<(), Fault> {
        match definition {
            Definition::Database { name } => {
                let (numbers, names) = &mut self.databases;
                numbers.push(column(number)?);
                names.push(kept(name).into_owned());
            }
            Definition::Measurement { database, name } => {
                let (numbers, databases, names) = &mut self.measurements;
                numbers.push(column(number)?);
                databases.push(column(*database)?);
                names.push(kept(name).into_owned());
            }
            Definition::Field {
                measurement,
                name,
                field_type,
            } => {
                let (measurements, numbers, names, types) = &mut self.fields;
                measurements.push(column(*measurement)?);
                numbers.push(column(number)?);
                names.push(kept(name).into_owned());
                types.push(type_number(*field_type).into());
            }
            Definition::Series { measurement, tags } => {
                let (numbers, measurements, all_tags, stations, types) = &mut self.series;
                numbers.push(number.into());
                measurements.push(column(*measurement)?);
                all_tags.push(tags_json(tags));
                stations.push(station.map(|it| it.station.as_str().to_owned()));
                types.push(station.map(|it| kept(&it.station_type).into_owned()));
            }
        }
        Ok(())
    }

    async fn put(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let (numbers, names) = &self.databases;
        if !numbers.is_empty() {
            let parameters = params![numbers => INT4_ARRAY, names => TEXT_ARRAY];
            transaction.execute_typed(DATABASES, parameters).await?;
        }
        let (numbers, databases, names) = &self.measurements;
        if !numbers.is_empty() {
            let parameters =
                params![numbers => INT4_ARRAY, databases => INT4_ARRAY, names => TEXT_ARRAY];
            transaction.execute_typed(MEASUREMENTS, parameters).await?;
        }
        let (measurements, numbers, names, types) = &self.fields;
        if !numbers.is_empty() {
            let parameters = params![measurements => INT4_ARRAY, numbers => INT4_ARRAY,
                names => TEXT_ARRAY, types => INT2_ARRAY];
            transaction.execute_typed(FIELDS, parameters).await?;
        }
        let (numbers, measurements, tags, stations, types) = &self.series;
        if !numbers.is_empty() {
            let parameters = params![numbers => INT8_ARRAY, measurements => INT4_ARRAY,
                tags => TEXT_ARRAY, stations => TEXT_ARRAY, types => TEXT_ARRAY];
            transaction.execute_typed(SERIES, parameters).await?;
        }
        Ok(())
    }
}

/// A number as a column has it: of 31 bits.
fn column(number: u32) -> Result<i32, Fault> {
    i32::try_from(number).map_err(|_| Fault::unknown("a number of points", &number))
}
