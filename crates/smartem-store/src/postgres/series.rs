//! Series, their observations and newest values.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::pin_mut;
use smartem_model::{Hour, Observation};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::convert::{ewkb, flag_bits, split};
use super::fault::Fault;
use super::sql::{At, params};
use super::terms::Terms;

const COPY: &str =
    "COPY smartem_refined.observation (series_key, start_time, end_time, value, min, max, raw,
       coverage, alt, point, raw_unit, accepted, rejected, definition, model, flags)
    FROM STDIN BINARY";

/// What PostGIS receives as a point is sent as bytes.
const COLUMNS: [Type; 16] = [
    Type::INT4,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::FLOAT8,
    Type::BYTEA,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT4,
    Type::INT2,
];

/// Removes the observations of some hours; how many of each series. Hours are names for the observations
/// that begin in them; the bounds keep the partitions apart that have none.
const CLEAR: &str = "WITH gone AS (
        DELETE FROM smartem_refined.observation o USING unnest($2::timestamptz[]) AS hour
        WHERE o.series_key = ANY($1) AND o.start_time >= hour
          AND o.start_time < hour + interval '1 hour'
          AND o.start_time >= $3 AND o.start_time < $4
        RETURNING o.series_key)
    SELECT series_key, count(*) FROM gone GROUP BY series_key";

const ADD_SERIES: &str =
    "INSERT INTO smartem_refined.series (station_key, indicator, sensor, unit, label)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[])
    RETURNING key, indicator, sensor, unit";

const RENAME: &str = "UPDATE smartem_refined.series s SET label = w.label
    FROM unnest($1::int[], $2::text[]) AS w (key, label) WHERE s.key = w.key";

/// Series that only grew at their end: no observation has to be read.
const GROW: &str = "UPDATE smartem_refined.series s SET observations = s.observations + w.more,
       first_time = least(s.first_time, w.first), last_time = w.last
    FROM unnest($1::int[], $2::bigint[], $3::timestamptz[], $4::timestamptz[])
       AS w (key, more, first, last)
    WHERE s.key = w.key";

/// Any other series: both ends are found by the key; the newest observation is given back.
const RENEW: &str = "UPDATE smartem_refined.series s SET observations = s.observations + w.more,
       first_time = (SELECT o.start_time FROM smartem_refined.observation o
           WHERE o.series_key = w.key ORDER BY o.start_time LIMIT 1),
       last_time = newest.end_time
    FROM unnest($1::int[], $2::bigint[]) AS w (key, more)
    LEFT JOIN LATERAL (SELECT o.start_time, o.end_time, o.value, o.flags
        FROM smartem_refined.observation o
        WHERE o.series_key = w.key ORDER BY o.start_time DESC LIMIT 1) newest ON true
    WHERE s.key = w.key
    RETURNING s.key, newest.start_time, newest.end_time, newest.value, newest.flags";

/// The newest observation is the newest value, unless a snapshot is newer.
const PUT_LAST: &str = "INSERT INTO smartem_rt.last_value AS l
       (series_key, start_time, start_ns, end_time, end_ns, value, flags, from_snapshot)
    SELECT w.key, w.start_time, 0, w.end_time, 0, w.value, w.flags, false
    FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::float8[], $5::smallint[])
       AS w (key, start_time, end_time, value, flags)
    ON CONFLICT (series_key) DO UPDATE SET start_time = excluded.start_time, start_ns = 0,
       end_time = excluded.end_time, end_ns = 0, value = excluded.value, flags = excluded.flags,
       from_snapshot = false
    WHERE NOT (l.from_snapshot AND (l.end_time, l.end_ns) > (excluded.end_time, 0))";

/// A snapshot is the newest value unless there is a newer one.
const PUT_SNAPSHOT: &str = "INSERT INTO smartem_rt.last_value AS l
       (series_key, start_time, start_ns, end_time, end_ns, value, flags, from_snapshot)
    SELECT w.*, true FROM unnest($1::int[], $2::timestamptz[], $3::smallint[], $4::timestamptz[],
       $5::smallint[], $6::float8[], $7::smallint[])
       AS w (key, start_time, start_ns, end_time, end_ns, value, flags)
    ON CONFLICT (series_key) DO UPDATE SET start_time = excluded.start_time,
       start_ns = excluded.start_ns, end_time = excluded.end_time, end_ns = excluded.end_ns,
       value = excluded.value, flags = excluded.flags, from_snapshot = true
    WHERE (l.end_time, l.end_ns) <= (excluded.end_time, excluded.end_ns)";

const NO_LAST: &str =
    "DELETE FROM smartem_rt.last_value WHERE series_key = ANY($1) AND NOT from_snapshot";

/// Indicator, sensor, unit.
type Identity = (Arc<str>, Arc<str>, Arc<str>);

struct Known {
    key: i32,
    label: Arc<str>,
    /// The end of its newest observation.
    last: Option<At>,
}

/// What happens to a series.
#[derive(Default)]
struct Touched {
    removed: i64,
    added: i64,
    first: Option<At>,
    newest: Option<Newest>,
}

#[derive(Clone, Copy)]
struct Newest {
    start: At,
    end: At,
    value: f64,
    flags: i16,
}

/// The series of one station, whose row is locked.
pub(super) struct StationSeries {
    station_key: i32,
    series: HashMap<Identity, Known>,
}

/// The texts for which observations need numbers.
pub(super) fn terms_of<'a>(
    observations: impl Iterator<Item = &'a Observation>,
) -> impl Iterator<Item = &'a str> {
    observations.flat_map(|it| {
        let optional = [it.raw_unit.as_deref(), it.model.as_deref()];
        [Some(&*it.definition)]
            .into_iter()
            .chain(optional)
            .flatten()
    })
}

impl StationSeries {
    pub(super) async fn load(
        transaction: &Transaction<'_>,
        station_key: i32,
    ) -> Result<Self, Fault> {
        let sql = "SELECT indicator, sensor, unit, key, label, last_time
            FROM smartem_refined.series WHERE station_key = $1";
        let rows = transaction
            .query_typed(sql, params![station_key => INT4])
            .await?;
        let mut series = HashMap::with_capacity(rows.len());
        for row in rows {
            let text =
                |at: usize| -> Result<Arc<str>, Fault> { Ok(row.try_get::<_, String>(at)?.into()) };
            let known = Known {
                key: row.try_get(3)?,
                label: text(4)?,
                last: row.try_get(5)?,
            };
            series.insert((text(0)?, text(1)?, text(2)?), known);
        }
        Ok(Self {
            station_key,
            series,
        })
    }

    /// Puts observations in place of all those of some hours, and brings counts, extents and newest values
    /// up to date. Those of hours that are not cleared must not be there yet.
    pub(super) async fn replace(
        &mut self,
        transaction: &Transaction<'_>,
        terms: &Terms,
        cleared: &[Hour],
        observations: &[&Observation],
    ) -> Result<(), Fault> {
        let mut touched: BTreeMap<i32, Touched> = BTreeMap::new();
        for (key, removed) in self.clear(transaction, cleared).await? {
            touched.entry(key).or_default().removed = removed;
        }
        self.ensure(transaction, observations).await?;
        let mut rows = Vec::with_capacity(observations.len());
        for observation in observations {
            let key = self.key(observation)?;
            touched.entry(key).or_default().add(observation);
            rows.push((key, *observation));
        }
        copy(transaction, terms, &mut rows).await?;
        self.finish(transaction, touched).await
    }

    /// Makes the values of a snapshot the newest ones, where they are.
    pub(super) async fn note_snapshot(
        &mut self,
        transaction: &Transaction<'_>,
        observations: &[Observation],
    ) -> Result<(), Fault> {
        let all: Vec<&Observation> = observations.iter().collect();
        self.ensure(transaction, &all).await?;
        // Of one series the last one that is not older than those before it.
        let mut newest: BTreeMap<i32, &Observation> = BTreeMap::new();
        for observation in all {
            let key = self.key(observation)?;
            let end = observation.phenomenon_time.end;
            let held = newest.get(&key).map(|held| held.phenomenon_time.end);
            if held.is_none_or(|held| held <= end) {
                newest.insert(key, observation);
            }
        }
        if newest.is_empty() {
            return Ok(());
        }
        let keys: Vec<i32> = newest.keys().copied().collect();
        let period = |pick: fn(&Observation) -> jiff::Timestamp| -> (Vec<At>, Vec<i16>) {
            newest.values().map(|it| split(pick(it))).unzip()
        };
        let (starts, start_ns) = period(|it| it.phenomenon_time.start);
        let (ends, end_ns) = period(|it| it.phenomenon_time.end);
        let values: Vec<f64> = newest.values().map(|it| it.value).collect();
        let flags: Vec<i16> = newest.values().map(|it| flags_of(it)).collect();
        transaction
            .execute_typed(
                PUT_SNAPSHOT,
                params![keys => INT4_ARRAY, starts => TIMESTAMPTZ_ARRAY, start_ns => INT2_ARRAY,
                    ends => TIMESTAMPTZ_ARRAY, end_ns => INT2_ARRAY, values => FLOAT8_ARRAY,
                    flags => INT2_ARRAY],
            )
            .await?;
        Ok(())
    }

    async fn clear(
        &self,
        transaction: &Transaction<'_>,
        hours: &[Hour],
    ) -> Result<Vec<(i32, i64)>, Fault> {
        let (Some(first), Some(last)) = (hours.iter().min(), hours.iter().max()) else {
            return Ok(Vec::new());
        };
        if self.series.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<i32> = self.series.values().map(|known| known.key).collect();
        let times: Vec<At> = hours.iter().map(|hour| At::hour(*hour)).collect();
        let (from, to) = (At::hour(*first), At::index(last.index() + 1));
        let rows = transaction
            .query_typed(
                CLEAR,
                params![keys => INT4_ARRAY, times => TIMESTAMPTZ_ARRAY, from => TIMESTAMPTZ,
                    to => TIMESTAMPTZ],
            )
            .await?;
        let gone = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        gone.collect()
    }

    fn key(&self, observation: &Observation) -> Result<i32, Fault> {
        let known = self.series.get(&identity(observation));
        known
            .map(|known| known.key)
            .ok_or_else(|| Fault::unknown("a series without a number", &observation.indicator))
    }

    /// Makes series that are unknown, and gives those with another label the new one.
    async fn ensure(
        &mut self,
        transaction: &Transaction<'_>,
        observations: &[&Observation],
    ) -> Result<(), Fault> {
        let mut missing: BTreeMap<Identity, Arc<str>> = BTreeMap::new();
        let mut renamed: BTreeMap<i32, Arc<str>> = BTreeMap::new();
        for observation in observations {
            let identity = identity(observation);
            match self.series.get_mut(&identity) {
                None => {
                    missing.insert(identity, Arc::clone(&observation.label));
                }
                Some(known) if known.label != observation.label => {
                    known.label = Arc::clone(&observation.label);
                    renamed.insert(known.key, Arc::clone(&observation.label));
                }
                Some(_) => {}
            }
        }
        if !renamed.is_empty() {
            let keys: Vec<i32> = renamed.keys().copied().collect();
            let labels: Vec<&str> = renamed.values().map(|label| &**label).collect();
            transaction
                .execute_typed(RENAME, params![keys => INT4_ARRAY, labels => TEXT_ARRAY])
                .await?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        let column = |pick: fn(&Identity) -> &Arc<str>| -> Vec<&str> {
            missing.keys().map(|identity| &**pick(identity)).collect()
        };
        let (indicators, sensors) = (column(|it| &it.0), column(|it| &it.1));
        let units = column(|it| &it.2);
        let labels: Vec<&str> = missing.values().map(|label| &**label).collect();
        let rows = transaction
            .query_typed(
                ADD_SERIES,
                params![self.station_key => INT4, indicators => TEXT_ARRAY, sensors => TEXT_ARRAY,
                    units => TEXT_ARRAY, labels => TEXT_ARRAY],
            )
            .await?;
        for row in rows {
            let text =
                |at: usize| -> Result<Arc<str>, Fault> { Ok(row.try_get::<_, String>(at)?.into()) };
            let identity = (text(1)?, text(2)?, text(3)?);
            let label = missing.get(&identity).cloned().unwrap_or_default();
            let known = Known {
                key: row.try_get(0)?,
                label,
                last: None,
            };
            self.series.insert(identity, known);
        }
        Ok(())
    }

    async fn finish(
        &mut self,
        transaction: &Transaction<'_>,
        touched: BTreeMap<i32, Touched>,
    ) -> Result<(), Fault> {
        let last: HashMap<i32, Option<At>> = self
            .series
            .values()
            .map(|known| (known.key, known.last))
            .collect();
        let (mut growing, mut others) = (Vec::new(), Vec::new());
        for (key, touched) in touched {
            let before = last.get(&key).copied().flatten();
            match touched.newest {
                Some(newest)
                    if touched.removed == 0 && before.is_none_or(|it| it <= newest.start) =>
                {
                    growing.push((key, touched, newest));
                }
                _ => others.push((key, touched.added - touched.removed)),
            }
        }
        let mut newest: Vec<(i32, Newest)> = growing
            .iter()
            .map(|(key, _, newest)| (*key, *newest))
            .collect();
        grow(transaction, &growing).await?;
        newest.extend(renew(transaction, &others).await?);
        put_last(transaction, &newest).await
    }
}

async fn grow(
    transaction: &Transaction<'_>,
    growing: &[(i32, Touched, Newest)],
) -> Result<(), Fault> {
    if growing.is_empty() {
        return Ok(());
    }
    let keys: Vec<i32> = growing.iter().map(|(key, ..)| *key).collect();
    let more: Vec<i64> = growing
        .iter()
        .map(|(_, touched, _)| touched.added)
        .collect();
    let first: Vec<Option<At>> = growing
        .iter()
        .map(|(_, touched, _)| touched.first)
        .collect();
    let last: Vec<At> = growing.iter().map(|(.., newest)| newest.end).collect();
    transaction
        .execute_typed(
            GROW,
            params![keys => INT4_ARRAY, more => INT8_ARRAY, first => TIMESTAMPTZ_ARRAY,
                last => TIMESTAMPTZ_ARRAY],
        )
        .await?;
    Ok(())
}

/// The newest observation of each series that has one left.
async fn renew(
    transaction: &Transaction<'_>,
    series: &[(i32, i64)],
) -> Result<Vec<(i32, Newest)>, Fault> {
    if series.is_empty() {
        return Ok(Vec::new());
    }
    let (keys, more): (Vec<i32>, Vec<i64>) = series.iter().copied().unzip();
    let rows = transaction
        .query_typed(RENEW, params![keys => INT4_ARRAY, more => INT8_ARRAY])
        .await?;
    let (mut found, mut without) = (Vec::new(), Vec::new());
    for row in rows {
        let key = row.try_get(0)?;
        let Some(start) = row.try_get(1)? else {
            without.push(key);
            continue;
        };
        let newest = Newest {
            start,
            end: row.try_get(2)?,
            value: row.try_get(3)?,
            flags: row.try_get(4)?,
        };
        found.push((key, newest));
    }
    if !without.is_empty() {
        let without: Vec<i32> = without;
        transaction
            .execute_typed(NO_LAST, params![without => INT4_ARRAY])
            .await?;
    }
    Ok(found)
}

async fn put_last(transaction: &Transaction<'_>, newest: &[(i32, Newest)]) -> Result<(), Fault> {
    if newest.is_empty() {
        return Ok(());
    }
    let keys: Vec<i32> = newest.iter().map(|(key, _)| *key).collect();
    let starts: Vec<At> = newest.iter().map(|(_, it)| it.start).collect();
    let ends: Vec<At> = newest.iter().map(|(_, it)| it.end).collect();
    let values: Vec<f64> = newest.iter().map(|(_, it)| it.value).collect();
    let flags: Vec<i16> = newest.iter().map(|(_, it)| it.flags).collect();
    transaction
        .execute_typed(
            PUT_LAST,
            params![keys => INT4_ARRAY, starts => TIMESTAMPTZ_ARRAY, ends => TIMESTAMPTZ_ARRAY,
                values => FLOAT8_ARRAY, flags => INT2_ARRAY],
        )
        .await?;
    Ok(())
}

impl Touched {
    fn add(&mut self, observation: &Observation) {
        let period = observation.phenomenon_time;
        let newest = Newest {
            start: At::time(period.start),
            end: At::time(period.end),
            value: observation.value,
            flags: flags_of(observation),
        };
        self.added += 1;
        self.first = Some(
            self.first
                .map_or(newest.start, |first| first.min(newest.start)),
        );
        if self.newest.is_none_or(|held| held.start <= newest.start) {
            self.newest = Some(newest);
        }
    }
}

fn identity(observation: &Observation) -> Identity {
    (
        Arc::clone(&observation.indicator),
        Arc::clone(&observation.sensor),
        Arc::clone(&observation.unit),
    )
}

fn flags_of(observation: &Observation) -> i16 {
    // Few bits are in use.
    i16::try_from(flag_bits(&observation.quality.flags)).unwrap_or_default()
}

/// Writes observations with the keys of their series.
async fn copy(
    transaction: &Transaction<'_>,
    terms: &Terms,
    rows: &mut [(i32, &Observation)],
) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    // In the order of the primary key.
    rows.sort_by_key(|(key, observation)| (*key, observation.phenomenon_time.start));
    let sink = transaction.copy_in(COPY).await?;
    let writer = BinaryCopyInWriter::new(sink, &COLUMNS);
    pin_mut!(writer);
    let count = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
    for (key, it) in rows {
        let raw_unit = it.raw_unit.as_deref().map(|unit| terms.key(unit));
        let model = it.model.as_deref().map(|model| terms.key(model));
        let point = ewkb(it.location.lon, it.location.lat);
        writer
            .as_mut()
            .write(&[
                &*key,
                &At::time(it.phenomenon_time.start),
                &At::time(it.phenomenon_time.end),
                &it.value,
                &it.min,
                &it.max,
                &it.raw,
                &it.quality.coverage,
                &it.location.alt,
                &&point[..],
                &raw_unit.transpose()?,
                &count(it.accepted_count),
                &count(it.rejected_count),
                &terms.key(&it.definition)?,
                &model.transpose()?,
                &flags_of(it),
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}
