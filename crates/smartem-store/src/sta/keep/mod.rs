//! The entities of stations: made and brought in line with stations, locations and series in the transaction
//! that changes those.
//!
//! Triggers note which stations changed (table `stale`); [`align`] reads what a station's entities are to be
//! ([`wanted`]), compares that with what they are, and writes the difference. Doing it twice is doing it once.
//!
//! | entity | of |
//! |---|---|
//! | Thing | the station |
//! | Location, Feature, HistoricalLocation | each location of its track |
//! | Datastream | each series; its id is the key of the series |
//! | Sensor, ObservedProperty | each instrument and indicator, shared by all stations |

mod shared;
mod station;
mod wanted;

use super::changes::Changes;
use super::error::Fault;
use super::sql::{Param, Sql};

/// Stations brought in line together.
const AT_ONCE: i64 = 100;

/// Whether the changes are told on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Yes,
    /// All entities of an older store are made at once.
    No,
}

/// Brings the entities of all stale stations in line; how many stations those were.
pub(crate) async fn align(sql: &mut dyn Sql, tell: Tell) -> Result<u64, Fault> {
    let stale = sql.dialect().table("stale");
    let question = format!("SELECT station_key FROM {stale} ORDER BY station_key LIMIT {AT_ONCE}");
    let place = sql.dialect().place(1);
    let settle = format!(
        "DELETE FROM {stale} WHERE station_key {}",
        sql.dialect().among(&place)
    );
    let mut aligned = 0;
    loop {
        let rows = sql.query(&question, &[]).await?;
        let keys: Vec<i64> = rows
            .iter()
            .map(|row| row.int(0))
            .collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Ok(aligned);
        }
        aligned += keys.len() as u64;
        let mut changes = Changes::default();
        let stations = wanted::stations(sql, &keys).await?;
        let shared = shared::ensure(sql, &stations, &mut changes).await?;
        station::align(sql, &stations, &shared, &mut changes).await?;
        sql.execute(&settle, &[Param::Ints(keys)]).await?;
        if tell == Tell::Yes {
            changes.write(sql, None).await?;
        }
    }
}
