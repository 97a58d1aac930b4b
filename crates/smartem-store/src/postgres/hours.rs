//! All that is known of one station-hour, and what is stored of hours.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, Quarantine, StationId};

use super::convert::{position, reason, source};
use super::fault::Fault;
use super::points::raw_records;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres, observations};
use crate::{Columns, HourView, ObservationQuery, StationHour, StoreError};

/// How an hour was received.
const RECEIVED: &str = "SELECT t.text, r.received_at, r.dirty
    FROM smartem.station s
    JOIN smartem_raw.raw_record r ON r.station_key = s.key
    JOIN smartem.term t ON t.key = r.source
    WHERE s.id = $1 AND r.hour = $2";

/// What refining an hour gave.
const STATION_HOUR: &str = "SELECT h.state, h.rejections, h.quarantine_reason, h.quarantine_detail,
       h.lon, h.lat, h.alt, h.location_source
    FROM smartem.station s JOIN smartem_refined.station_hour h ON h.station_key = s.key
    WHERE s.id = $1 AND h.hour = $2";

const STORED: &str = "SELECT r.hour FROM smartem_raw.raw_record r
    JOIN smartem.station s ON s.key = r.station_key
    WHERE s.id = $1 AND r.hour >= $2 AND r.hour < $3 ORDER BY r.hour";

/// The content of one hour.
const PAYLOAD: &str = "SELECT p.payload, r.has_points FROM smartem.station s
    JOIN smartem_raw.raw_record r ON r.station_key = s.key
    LEFT JOIN smartem_raw.raw_payload p ON p.key = r.payload_key
    WHERE s.id = $1 AND r.hour = $2";

const CHECKPOINTS: &str =
    "SELECT partition, position FROM smartem.checkpoint WHERE process = $1 AND source = $2";

impl Postgres {
    pub(crate) async fn hour_view(
        self: &Arc<Self>,
        station: StationId,
        hour: Hour,
    ) -> Result<Option<HourView>, StoreError> {
        attempt!(self, "reading a station-hour", Kind::Read, |transaction| {
            view(self, &transaction, &station, hour).await
        })
    }

    pub(crate) async fn station_hour(
        self: &Arc<Self>,
        station: StationId,
        hour: Hour,
    ) -> Result<Option<StationHour>, StoreError> {
        attempt!(self, "reading a refined hour", Kind::Read, |transaction| {
            station_hour(&transaction, &station, hour).await
        })
    }

    pub(crate) async fn stored_hours(
        self: &Arc<Self>,
        station: StationId,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<Hour>, StoreError> {
        let (id, from, to) = (station.as_str(), At::hour(from), At::hour(to));
        attempt!(
            self,
            "looking for stored hours",
            Kind::Read,
            |transaction| {
                let parameters = params![id => TEXT, from => TIMESTAMPTZ, to => TIMESTAMPTZ];
                let rows = transaction.query_typed(STORED, parameters).await?;
                rows.iter()
                    .map(|row| row.try_get::<_, At>(0)?.to_hour())
                    .collect()
            }
        )
    }

    pub(crate) async fn raw_record(
        self: &Arc<Self>,
        station: StationId,
        hour: Hour,
    ) -> Result<Option<RawRecord>, StoreError> {
        attempt!(self, "reading a raw record", Kind::Read, |transaction| {
            let (id, at) = (station.as_str(), At::hour(hour));
            let row = transaction
                .query_typed_opt(PAYLOAD, params![id => TEXT, at => TIMESTAMPTZ])
                .await?;
            let Some(row) = row else { return Ok(None) };
            let hours = [(hour, row.try_get(0)?, row.try_get(1)?)];
            let records = raw_records(&transaction, &station, &hours, &Columns::All).await?;
            Ok(records.into_iter().next())
        })
    }

    pub(crate) async fn checkpoints(
        self: &Arc<Self>,
        process: String,
        source: String,
    ) -> Result<BTreeMap<String, Value>, StoreError> {
        attempt!(self, "reading checkpoints", Kind::Read, |transaction| {
            let rows = transaction
                .query_typed(CHECKPOINTS, params![process => TEXT, source => TEXT])
                .await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect()
        })
    }
}

async fn view(
    database: &Postgres,
    transaction: &Transaction<'_>,
    station: &StationId,
    hour: Hour,
) -> Result<Option<HourView>, Fault> {
    let (id, at) = (station.as_str(), At::hour(hour));
    let row = transaction
        .query_typed_opt(RECEIVED, params![id => TEXT, at => TIMESTAMPTZ])
        .await?;
    let Some(row) = row else { return Ok(None) };
    let query = ObservationQuery::hour(station.clone(), hour);
    let page = observations::page(database, transaction, &query).await?;
    Ok(Some(HourView {
        source: row.try_get::<_, &str>(0)?.into(),
        received_at: row.try_get::<_, At>(1)?.to_time()?,
        is_waiting: row.try_get(2)?,
        refined: station_hour(transaction, station, hour).await?,
        observations: page.observations,
    }))
}

async fn station_hour(
    transaction: &Transaction<'_>,
    station: &StationId,
    hour: Hour,
) -> Result<Option<StationHour>, Fault> {
    let (id, at) = (station.as_str(), At::hour(hour));
    let row = transaction
        .query_typed_opt(STATION_HOUR, params![id => TEXT, at => TIMESTAMPTZ])
        .await?;
    let Some(row) = row else { return Ok(None) };
    let quarantine = match row.try_get::<_, Option<&str>>(2)? {
        Some(name) => Some(Quarantine::new(
            reason(name)?,
            row.try_get::<_, Option<String>>(3)?.unwrap_or_default(),
        )),
        None => None,
    };
    let from: Option<&str> = row.try_get(7)?;
    let from = from.map(source).transpose()?;
    Ok(Some(StationHour {
        hour,
        state: row.try_get(0)?,
        rejections: row.try_get(1)?,
        quarantine,
        position: position(&row, 4)?.zip(from),
    }))
}
