//! Pages of observations of a station, merged from its series.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use rusqlite::{Row, Rows, Transaction};
use smartem_model::{Observation, Period, Position, Quality, StationId};

use super::convert::{flags, micros, time, to_count};
use super::fault::Fault;
use super::{Sqlite, stations};
use crate::query::OrderKey;
use crate::{Cursor, ObservationQuery, Page, StoreError};

/// With the bounds of the start, and the time before which none may have ended.
const OF_SERIES: &str = "SELECT start_time, end_time, value, min, max, raw, raw_unit, accepted,
        rejected, coverage, flags, lon, lat, alt, definition, model
    FROM observation
    WHERE series_key = ?1 AND start_time >= ?2 AND start_time < ?3
        AND (end_time > ?4 OR start_time >= ?4)
    ORDER BY start_time";

impl Sqlite {
    pub(crate) async fn observations(
        self: &Arc<Self>,
        query: ObservationQuery,
    ) -> Result<Page, StoreError> {
        self.read("reading observations", move |transaction| {
            page(transaction, &query)
        })
        .await
    }
}

/// What all observations of a series have in common.
struct Series {
    key: i64,
    indicator: Arc<str>,
    sensor: Arc<str>,
    unit: Arc<str>,
    label: Arc<str>,
}

pub(super) fn page(transaction: &Transaction<'_>, query: &ObservationQuery) -> Result<Page, Fault> {
    let mut page = Page {
        observations: Vec::new(),
        next: None,
    };
    let Some((station_key, station)) = stations::row_of(transaction, &query.station)? else {
        return Ok(page);
    };
    let backward = query.is_backward();
    let series = series_of(transaction, station_key, query.indicator.as_deref())?;
    let mut reader = ObservationReader {
        station: station.id,
        station_type: station.station_type,
        terms: HashMap::new(),
        transaction,
    };
    // A page reads as many rows as it has, and one for each series: the newest (or oldest) row of
    // all series is always the next.
    let sql = if backward {
        format!("{OF_SERIES} DESC")
    } else {
        OF_SERIES.to_owned()
    };
    let mut statements: Vec<_> = series
        .iter()
        .map(|_| transaction.prepare(&sql))
        .collect::<Result<_, _>>()?;
    let mut streams: Vec<Rows<'_>> = Vec::with_capacity(series.len());
    for (statement, series) in statements.iter_mut().zip(&series) {
        let (start, end) = query.bounds(&series.indicator, &series.sensor, &series.unit);
        let from = query.from.map_or(i64::MIN, micros);
        streams.push(statement.query((series.key, start, end, from))?);
    }
    let mut heap = BinaryHeap::new();
    for at in 0..streams.len() {
        heap.extend(head(&mut streams, &series, at, backward, &mut reader)?);
    }
    let mut last_key = None;
    while let Some(Head {
        order,
        at,
        observation,
    }) = heap.pop()
    {
        if page.observations.len() == query.limit {
            page.next = last_key.map(|key| Cursor { backward, key });
            break;
        }
        page.observations.push(*observation);
        last_key = Some(order.key());
        heap.extend(head(&mut streams, &series, at, backward, &mut reader)?);
    }
    if backward {
        page.observations.reverse();
    }
    Ok(page)
}

fn series_of(
    transaction: &Transaction<'_>,
    station_key: i64,
    indicator: Option<&str>,
) -> Result<Vec<Series>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT key, indicator, sensor, unit, label FROM series
         WHERE station_key = ?1 AND (?2 IS NULL OR indicator = ?2)",
    )?;
    let rows = statement.query_map((station_key, indicator), |row| {
        Ok(Series {
            key: row.get(0)?,
            indicator: row.get(1)?,
            sensor: row.get(2)?,
            unit: row.get(3)?,
            label: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The next observation of one of the series.
struct Head {
    order: Order,
    at: usize,
    observation: Box<Observation>,
}

/// Such that the next in the direction of reading is the greatest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Forward(Reverse<OrderKey>),
    Backward(OrderKey),
}

impl Order {
    fn key(self) -> OrderKey {
        match self {
            Self::Forward(Reverse(key)) | Self::Backward(key) => key,
        }
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order.cmp(&other.order)
    }
}

fn head(
    streams: &mut [Rows<'_>],
    series: &[Series],
    at: usize,
    backward: bool,
    reader: &mut ObservationReader<'_>,
) -> Result<Option<Head>, Fault> {
    let series = &series[at];
    let Some(row) = streams[at].next()? else {
        return Ok(None);
    };
    let key = OrderKey {
        start: row.get(0)?,
        indicator: Arc::clone(&series.indicator),
        sensor: Arc::clone(&series.sensor),
        unit: Arc::clone(&series.unit),
    };
    let order = if backward {
        Order::Backward(key)
    } else {
        Order::Forward(Reverse(key))
    };
    let observation = Box::new(reader.observation(row, series)?);
    Ok(Some(Head {
        order,
        at,
        observation,
    }))
}

struct ObservationReader<'t> {
    station: StationId,
    station_type: Arc<str>,
    terms: HashMap<i64, Arc<str>>,
    transaction: &'t Transaction<'t>,
}

impl ObservationReader<'_> {
    fn observation(&mut self, row: &Row<'_>, series: &Series) -> Result<Observation, Fault> {
        let accepted_count = to_count(row.get(7)?);
        let rejected_count = to_count(row.get(8)?);
        let total = accepted_count.saturating_add(rejected_count);
        Ok(Observation {
            station: self.station.clone(),
            station_type: Arc::clone(&self.station_type),
            indicator: Arc::clone(&series.indicator),
            label: Arc::clone(&series.label),
            unit: Arc::clone(&series.unit),
            phenomenon_time: Period {
                start: time(row.get(0)?)?,
                end: time(row.get(1)?)?,
            },
            value: row.get(2)?,
            min: row.get(3)?,
            max: row.get(4)?,
            raw: row.get(5)?,
            raw_unit: self.optional_term(row.get(6)?)?,
            accepted_count,
            rejected_count,
            quality: Quality {
                // R10.4
                fraction: accepted_count as f64 / total as f64,
                coverage: row.get(9)?,
                flags: flags(row.get(10)?),
            },
            location: Position {
                lon: row.get(11)?,
                lat: row.get(12)?,
                alt: row.get(13)?,
            },
            sensor: Arc::clone(&series.sensor),
            definition: self.term(row.get(14)?)?,
            model: self.optional_term(row.get(15)?)?,
        })
    }

    fn optional_term(&mut self, key: Option<i64>) -> rusqlite::Result<Option<Arc<str>>> {
        key.map(|key| self.term(key)).transpose()
    }

    fn term(&mut self, key: i64) -> rusqlite::Result<Arc<str>> {
        if let Some(text) = self.terms.get(&key) {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = self
            .transaction
            .prepare_cached("SELECT text FROM term WHERE key = ?1")?
            .query_row([key], |row| row.get(0))?;
        self.terms.insert(key, Arc::clone(&text));
        Ok(text)
    }
}
