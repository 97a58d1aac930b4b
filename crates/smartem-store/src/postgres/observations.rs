//! Pages of observations of a station, merged from its series.
//!
//! What is wanted of a station is mostly the newest, or a few days among years, so a page is read in pieces
//! that are hardly larger than itself: of each series about as many observations as are its share of the
//! page, in a window of time that holds as many where they are hourly. Only where the series differ much in
//! density, or have long gaps, it takes more than one piece.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::try_join;
use smartem_model::{Observation, Period, Position, Quality, StationId};
use tokio_postgres::Row;

use super::convert::{flags, from_count, text, to_count};
use super::fault::Fault;
use super::sql::{At, attempt, params};
use super::terms::Texts;
use super::{Kind, Postgres, station_rows};
use crate::columns::micros;
use crate::query::{LONGEST, OrderKey};
use crate::{Cursor, ObservationQuery, Page, StationRow, StoreError};

/// Series with the extent of their observations; those without any are left out.
const SERIES: &str =
    "SELECT s.key, s.indicator, s.sensor, s.unit, s.label, s.first_time, s.last_time
    FROM smartem.station t JOIN smartem_refined.series s ON s.station_key = t.key
    WHERE t.id = $1 AND ($2::text IS NULL OR s.indicator = $2) AND s.first_time IS NOT NULL";

/// The bounds of each series are unknown when a statement is planned, and the server takes them for so narrow
/// that it would read all between them and sort it. Until the end of the transaction it goes along the key.
const ALONG_THE_KEY: &str = "SELECT set_config('enable_sort', 'off', true)";

/// What is read of an observation `o`.
macro_rules! columns {
    () => {
        "o.start_time, o.end_time, o.value, o.min, o.max, o.raw, o.raw_unit, o.accepted, o.rejected,
        o.coverage, o.flags, ST_X(o.point), ST_Y(o.point), o.alt, o.definition, o.model"
    };
}

pub(super) use columns;

/// Which of [`columns`] hold numbers of texts: the unit of what was measured, the definition, the model.
const TERM_COLUMNS: [usize; 3] = [6, 14, 15];

/// The first observations of each series between its bounds, with the place of the series. `$4` and `$5` are
/// bounds of all, so that the months beyond are not even planned for; before `$6` none may have ended.
macro_rules! of_each {
    ($direction:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", w.place - 1
            FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[])
                WITH ORDINALITY AS w (key, first, last, place)
            CROSS JOIN LATERAL (SELECT * FROM smartem_refined.observation
                WHERE series_key = w.key AND start_time >= w.first AND start_time < w.last
                    AND start_time >= $4 AND start_time < $5
                    AND (end_time > $6 OR start_time >= $6)
                ORDER BY start_time ",
            $direction,
            " LIMIT $7) o"
        )
    };
}

const FORWARD: &str = of_each!("ASC");
const BACKWARD: &str = of_each!("DESC");

/// Where [`FORWARD`] and [`BACKWARD`] have the place of the series.
const PLACE: usize = 16;

impl Postgres {
    pub(crate) async fn observations(
        self: &Arc<Self>,
        query: ObservationQuery,
    ) -> Result<Page, StoreError> {
        attempt!(self, "reading observations", Kind::Read, |transaction| {
            page(self, &transaction, &query).await
        })
    }
}

/// What all observations of a series have in common; in the order in which observations of one time are.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) indicator: Arc<str>,
    pub(super) sensor: Arc<str>,
    pub(super) unit: Arc<str>,
    pub(super) label: Arc<str>,
}

/// A series and between which starts, `[first, last)` in microseconds, observations of it are wanted.
struct Stream {
    key: i32,
    series: Series,
    first: i64,
    last: i64,
}

pub(super) async fn page(
    database: &Postgres,
    transaction: &Transaction<'_>,
    query: &ObservationQuery,
) -> Result<Page, Fault> {
    let mut page = Page {
        observations: Vec::new(),
        next: None,
    };
    let (station, streams, _) = try_join!(
        station_rows::row_of(transaction, &query.station),
        streams(transaction, query),
        async { Ok(transaction.query_typed(ALONG_THE_KEY, params![]).await?) },
    )?;
    let Some((_, station)) = station else {
        return Ok(page);
    };
    let backward = query.is_backward();
    let mut reader = Reader {
        database,
        transaction,
        backward,
        station,
        from: At(query.from.map_or(i64::MIN, micros)),
    };
    // One more tells whether there is another page.
    let wanted = query.limit.saturating_add(1);
    let mut found = reader.first_of(streams, wanted).await?;
    let has_more = found.len() > query.limit;
    found.truncate(query.limit);
    page.next = found.last().filter(|_| has_more).map(|(key, _)| Cursor {
        backward,
        key: key.clone(),
    });
    page.observations = found.into_iter().map(|(_, it)| it).collect();
    if backward {
        page.observations.reverse();
    }
    Ok(page)
}

/// The series of a station, by indicator, sensor and unit.
async fn streams(
    transaction: &Transaction<'_>,
    query: &ObservationQuery,
) -> Result<Vec<Stream>, Fault> {
    let indicator = query.indicator.as_deref().map(text);
    let parameters = params![query.station.as_str() => TEXT, indicator => TEXT];
    let rows = transaction.query_typed(SERIES, parameters).await?;
    let mut streams = Vec::with_capacity(rows.len());
    for row in &rows {
        let text = |at: usize| -> Result<Arc<str>, Fault> {
            Ok(row.try_get::<_, &str>(at).map(Into::into)?)
        };
        let series = Series {
            indicator: text(1)?,
            sensor: text(2)?,
            unit: text(3)?,
            label: text(4)?,
        };
        let (first, last) = query.bounds(&series.indicator, &series.sensor, &series.unit);
        let (At(oldest), At(end)) = (row.try_get(5)?, row.try_get(6)?);
        streams.push(Stream {
            key: row.try_get(0)?,
            first: first.max(oldest),
            // None begins after the end of the newest.
            last: last.min(end.saturating_add(1)),
            series,
        });
    }
    streams.sort_unstable_by(|a, b| a.series.cmp(&b.series));
    Ok(streams)
}

/// An observation and its place in the order of all.
type Placed = (OrderKey, Observation);

struct Reader<'t> {
    database: &'t Postgres,
    transaction: &'t Transaction<'t>,
    backward: bool,
    station: StationRow,
    /// None may have ended before.
    from: At,
}

impl Reader<'_> {
    /// The first observations of all series together in the direction of reading: at least as many as are
    /// wanted, fewer only where there are no more.
    async fn first_of(
        &mut self,
        mut streams: Vec<Stream>,
        wanted: usize,
    ) -> Result<Vec<Placed>, Fault> {
        let mut found: Vec<Placed> = Vec::new();
        let mut active = usize::MAX;
        let (mut least, mut hours) = (0, 0_i64);
        loop {
            streams.retain(|stream| stream.first < stream.last);
            if streams.is_empty() || found.len() >= wanted {
                return Ok(found);
            }
            let each = share(wanted - found.len(), active.min(streams.len())).max(least);
            hours = hours.max(from_count(each as u64).saturating_mul(2));
            let window = self.window(&streams, hours.saturating_mul(LONGEST));
            let mut read = self.read(&streams, window, each).await?;
            let seen = read
                .iter()
                .filter(|of_series| !of_series.is_empty())
                .count();
            active = if seen == 0 { active } else { seen };
            if let Some(end) = self.cut(&mut read, each) {
                // A series may go on right after the last that was read of it.
                self.go_on(&mut streams, &end);
                least = each.saturating_mul(2);
            } else {
                self.leave(&mut streams, window);
                hours = hours.saturating_mul(16);
            }
            let from = found.len();
            found.extend(read.into_iter().flatten());
            found[from..].sort_unstable_by(|(a, _), (b, _)| self.compare(a, b));
        }
    }

    /// The next so many microseconds in the direction of reading.
    fn window(&self, streams: &[Stream], length: i64) -> (i64, i64) {
        let first = streams.iter().map(|stream| stream.first).min();
        let last = streams.iter().map(|stream| stream.last).max();
        let (first, last) = (first.unwrap_or(i64::MIN), last.unwrap_or(i64::MAX));
        if self.backward {
            (first.max(last.saturating_sub(length)), last)
        } else {
            (first, last.min(first.saturating_add(length)))
        }
    }

    /// Leaves what comes after the first last observation of the series of which there may be more; that is
    /// the place to go on after. `None` when there is all of all series.
    fn cut(&self, read: &mut [Vec<Placed>], each: usize) -> Option<OrderKey> {
        let full = read.iter().filter(|of_series| of_series.len() >= each);
        let ends = full.filter_map(|of_series| of_series.last());
        let end = ends
            .map(|(key, _)| key)
            .min_by(|a, b| self.compare(a, b))?
            .clone();
        for of_series in read {
            of_series.retain(|(key, _)| self.compare(key, &end).is_le());
        }
        Some(end)
    }

    /// In the direction of reading.
    fn compare(&self, a: &OrderKey, b: &OrderKey) -> std::cmp::Ordering {
        if self.backward { b.cmp(a) } else { a.cmp(b) }
    }

    fn go_on(&self, streams: &mut [Stream], after: &OrderKey) {
        let cursor = Cursor {
            backward: self.backward,
            key: after.clone(),
        };
        for stream in streams {
            let series = &stream.series;
            let (first, last) = cursor.bounds(&series.indicator, &series.sensor, &series.unit);
            stream.first = stream.first.max(first);
            stream.last = stream.last.min(last);
        }
    }

    fn leave(&self, streams: &mut [Stream], (first, last): (i64, i64)) {
        for stream in streams {
            if self.backward {
                stream.last = stream.last.min(first);
            } else {
                stream.first = stream.first.max(last);
            }
        }
    }

    /// The first so many observations of each series within a window, in the direction of reading.
    async fn read(
        &self,
        streams: &[Stream],
        (first, last): (i64, i64),
        each: usize,
    ) -> Result<Vec<Vec<Placed>>, Fault> {
        let keys: Vec<i32> = streams.iter().map(|stream| stream.key).collect();
        let firsts: Vec<At> = streams.iter().map(|stream| At(stream.first)).collect();
        let lasts: Vec<At> = streams.iter().map(|stream| At(stream.last)).collect();
        let parameters = params![keys => INT4_ARRAY, firsts => TIMESTAMPTZ_ARRAY,
            lasts => TIMESTAMPTZ_ARRAY, At(first) => TIMESTAMPTZ, At(last) => TIMESTAMPTZ,
            self.from => TIMESTAMPTZ, from_count(each as u64) => INT8];
        let sql = if self.backward { BACKWARD } else { FORWARD };
        let rows = self.transaction.query_typed(sql, parameters).await?;
        let terms = &self.database.terms;
        let texts = terms
            .texts(self.transaction, &rows, &term_columns(0))
            .await?;
        let mut read: Vec<Vec<Placed>> = streams.iter().map(|_| Vec::new()).collect();
        for row in &rows {
            let place: i64 = row.try_get(PLACE)?;
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            let (Some(stream), Some(of_series)) = (streams.get(place), read.get_mut(place)) else {
                return Err(Fault::unknown("the place of a series", &place));
            };
            let of = (&self.station.id, &self.station.station_type);
            let observation = observation(row, 0, of, &stream.series, &texts)?;
            let key = OrderKey {
                start: row.try_get::<_, At>(0)?.0,
                indicator: Arc::clone(&observation.indicator),
                sensor: Arc::clone(&observation.sensor),
                unit: Arc::clone(&observation.unit),
            };
            of_series.push((key, observation));
        }
        Ok(read)
    }
}

/// How many are asked of each series: a little more than its part, as hours are missing here and there.
fn share(wanted: usize, series: usize) -> usize {
    let part = wanted.div_ceil(series.max(1));
    part.saturating_add(part / 8).saturating_add(2).min(wanted)
}

/// Which columns hold numbers of texts where [`columns`] begin at `at`.
pub(super) fn term_columns(at: usize) -> [usize; 3] {
    TERM_COLUMNS.map(|column| at + column)
}

/// An observation from [`columns`] that begin at `at`.
pub(super) fn observation(
    row: &Row,
    at: usize,
    (station, station_type): (&StationId, &Arc<str>),
    series: &Series,
    texts: &Texts,
) -> Result<Observation, Fault> {
    let count =
        |of: usize| -> Result<u64, Fault> { Ok(to_count(row.try_get::<_, i32>(at + of)?.into())) };
    let (accepted_count, rejected_count) = (count(7)?, count(8)?);
    let total = accepted_count.saturating_add(rejected_count);
    let [raw_unit, definition, model] = term_columns(at);
    let optional = |at: usize| -> Result<Option<Arc<str>>, Fault> {
        let key: Option<i32> = row.try_get(at)?;
        key.map(|key| texts.text(key)).transpose()
    };
    Ok(Observation {
        station: station.clone(),
        station_type: Arc::clone(station_type),
        indicator: Arc::clone(&series.indicator),
        label: Arc::clone(&series.label),
        unit: Arc::clone(&series.unit),
        phenomenon_time: Period {
            start: row.try_get::<_, At>(at)?.to_time()?,
            end: row.try_get::<_, At>(at + 1)?.to_time()?,
        },
        value: row.try_get(at + 2)?,
        min: row.try_get(at + 3)?,
        max: row.try_get(at + 4)?,
        raw: row.try_get(at + 5)?,
        raw_unit: optional(raw_unit)?,
        accepted_count,
        rejected_count,
        quality: Quality {
            // R10.4
            fraction: accepted_count as f64 / total as f64,
            coverage: row.try_get(at + 9)?,
            flags: flags(row.try_get::<_, i16>(at + 10)?.into()),
        },
        location: Position {
            lon: row.try_get(at + 11)?,
            lat: row.try_get(at + 12)?,
            alt: row.try_get(at + 13)?,
        },
        sensor: Arc::clone(&series.sensor),
        definition: texts.text(row.try_get(definition)?)?,
        model: optional(model)?,
    })
}
