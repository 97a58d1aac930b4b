//! All that is known of one station-hour, read as of one moment.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction};
use smartem_model::{Hour, StationId};

use super::Sqlite;
use super::convert::time;
use super::fault::Fault;
use super::{observations, work};
use crate::{HourView, ObservationQuery, StoreError};

/// How an hour was received.
const RECEIVED: &str = "SELECT t.text, r.received_at, r.dirty
    FROM station s
    JOIN raw_record r ON r.station_key = s.key
    JOIN term t ON t.key = r.source
    WHERE s.id = ?1 AND r.hour = ?2";

impl Sqlite {
    pub(crate) async fn hour_view(
        self: &Arc<Self>,
        station: StationId,
        hour: Hour,
    ) -> Result<Option<HourView>, StoreError> {
        self.read("reading a station-hour", move |transaction| {
            view(transaction, station, hour)
        })
        .await
    }
}

fn view(
    transaction: &Transaction<'_>,
    station: StationId,
    hour: Hour,
) -> Result<Option<HourView>, Fault> {
    let received: Option<(Arc<str>, i64, bool)> = transaction
        .prepare_cached(RECEIVED)?
        .query_row((station.as_str(), hour.index()), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((source, received_at, is_waiting)) = received else {
        return Ok(None);
    };
    let query = ObservationQuery::hour(station, hour);
    Ok(Some(HourView {
        source,
        received_at: time(received_at)?,
        is_waiting,
        refined: work::station_hour(transaction, &query.station, hour)?,
        observations: observations::page(transaction, &query)?.observations,
    }))
}
