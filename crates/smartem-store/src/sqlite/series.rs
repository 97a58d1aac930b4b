//! Series, their observations and newest values, and the texts that rows share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use smartem_model::{Hour, Observation, Period};

use super::convert::{flag_bits, from_count, micros, parsed_time, time};
use super::fault::Fault;

/// An observation of an hour that was cleared.
const ADD_OBSERVATION: &str =
    "INSERT INTO observation (series_key, start_time, end_time, value, min, max, raw,
       raw_unit, accepted, rejected, coverage, flags, lon, lat, alt, definition, model)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";

/// Count and extent of a series after its observations changed; both ends are found by the key.
pub(super) const UPDATE_SERIES: &str = "UPDATE series SET observations = observations + ?2,
       first_time = (SELECT min(start_time) FROM observation
           WHERE series_key = ?1),
       last_time = (SELECT end_time FROM observation
           WHERE series_key = ?1 ORDER BY start_time DESC LIMIT 1)
    WHERE key = ?1";

/// The newest value of a series.
const PUT_LAST: &str = "INSERT OR REPLACE INTO last_value
       (series_key, start_time, end_time, value, flags, from_snapshot)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Keys of texts, each looked up once in a transaction.
#[derive(Default)]
pub(super) struct Terms(HashMap<Box<str>, i64>);

impl Terms {
    /// The key of a text, which is made when it is unknown.
    pub(super) fn key(
        &mut self,
        transaction: &Transaction<'_>,
        text: &str,
    ) -> rusqlite::Result<i64> {
        if let Some(key) = self.0.get(text) {
            return Ok(*key);
        }
        let known = transaction
            .prepare_cached("SELECT key FROM term WHERE text = ?1")?
            .query_row([text], |row| row.get(0))
            .optional()?;
        let key = if let Some(key) = known {
            key
        } else {
            transaction.execute("INSERT INTO term (text) VALUES (?1)", [text])?;
            transaction.last_insert_rowid()
        };
        self.0.insert(text.into(), key);
        Ok(key)
    }

    fn optional(
        &mut self,
        transaction: &Transaction<'_>,
        text: Option<&Arc<str>>,
    ) -> rusqlite::Result<Option<i64>> {
        text.map(|text| self.key(transaction, text)).transpose()
    }
}

/// The series of one station while it is written to.
pub(super) struct SeriesWriter<'t> {
    transaction: &'t Transaction<'t>,
    station_key: i64,
    series: HashMap<Identity, Known>,
    /// How many observations more (or fewer) each touched series has; ordered, so that two stores
    /// that are told the same write the same.
    touched: BTreeMap<i64, i64>,
    terms: Terms,
}

/// Indicator, sensor, unit.
type Identity = (Arc<str>, Arc<str>, Arc<str>);

struct Known {
    key: i64,
    label: Arc<str>,
}

impl<'t> SeriesWriter<'t> {
    pub(super) fn new(
        transaction: &'t Transaction<'t>,
        station_key: i64,
    ) -> rusqlite::Result<Self> {
        let mut series = HashMap::new();
        let mut statement = transaction.prepare_cached(
            "SELECT indicator, sensor, unit, key, label FROM series WHERE station_key = ?1",
        )?;
        let mut rows = statement.query([station_key])?;
        while let Some(row) = rows.next()? {
            let known = Known {
                key: row.get(3)?,
                label: row.get(4)?,
            };
            series.insert((row.get(0)?, row.get(1)?, row.get(2)?), known);
        }
        Ok(Self {
            transaction,
            station_key,
            series,
            touched: BTreeMap::new(),
            terms: Terms::default(),
        })
    }

    /// Removes all observations of an hour.
    pub(super) fn clear(&mut self, hour: Hour) -> rusqlite::Result<()> {
        let period = hour.period();
        let mut statement = self.transaction.prepare_cached(
            "DELETE FROM observation
             WHERE series_key = ?1 AND start_time >= ?2 AND start_time < ?3",
        )?;
        for known in self.series.values() {
            let removed =
                statement.execute((known.key, micros(period.start), micros(period.end)))?;
            if removed > 0 {
                *self.touched.entry(known.key).or_default() -= from_count(removed as u64);
            }
        }
        Ok(())
    }

    /// Adds an observation of an hour that was cleared.
    pub(super) fn add(&mut self, observation: &Observation) -> rusqlite::Result<()> {
        let series_key = self.key(observation)?;
        let raw_unit = observation.raw_unit.as_ref();
        let raw_unit = self.terms.optional(self.transaction, raw_unit)?;
        let definition = self.terms.key(self.transaction, &observation.definition)?;
        let model = observation.model.as_ref();
        let model = self.terms.optional(self.transaction, model)?;
        let period = observation.phenomenon_time;
        self.transaction
            .prepare_cached(ADD_OBSERVATION)?
            .execute(params![
                series_key,
                micros(period.start),
                micros(period.end),
                observation.value,
                observation.min,
                observation.max,
                observation.raw,
                raw_unit,
                from_count(observation.accepted_count),
                from_count(observation.rejected_count),
                observation.quality.coverage,
                flag_bits(&observation.quality.flags),
                observation.location.lon,
                observation.location.lat,
                observation.location.alt,
                definition,
                model,
            ])?;
        *self.touched.entry(series_key).or_default() += 1;
        Ok(())
    }

    /// Notes the value of a snapshot as the newest, unless that is of a later time.
    pub(super) fn note_snapshot(&mut self, observation: &Observation) -> Result<(), Fault> {
        let series_key = self.key(observation)?;
        let newest = Newest {
            period: observation.phenomenon_time,
            value: observation.value,
            flags: flag_bits(&observation.quality.flags),
        };
        match self.stored_last(series_key)? {
            Some((end, _)) if end > newest.period.end => Ok(()),
            _ => Ok(self.put_last(series_key, &newest, true)?),
        }
    }

    /// Brings counts, extents and newest values up to date; returns by how much the number of
    /// observations grew.
    pub(super) fn finish(self) -> Result<i64, Fault> {
        let mut total = 0;
        for (&series_key, &more) in &self.touched {
            self.transaction
                .prepare_cached(UPDATE_SERIES)?
                .execute((series_key, more))?;
            self.update_last(series_key)?;
            total += more;
        }
        Ok(total)
    }

    /// The newest observation is the newest value, unless a snapshot is newer.
    fn update_last(&self, series_key: i64) -> Result<(), Fault> {
        let newest = self.newest(series_key)?;
        let end = newest.as_ref().map(|newest| newest.period.end);
        if let Some((snapshot_end, true)) = self.stored_last(series_key)?
            && end.is_none_or(|end| snapshot_end > end)
        {
            return Ok(());
        }
        match newest {
            Some(newest) => self.put_last(series_key, &newest, false)?,
            None => {
                self.transaction
                    .prepare_cached("DELETE FROM last_value WHERE series_key = ?1")?
                    .execute([series_key])?;
            }
        }
        Ok(())
    }

    fn newest(&self, series_key: i64) -> Result<Option<Newest>, Fault> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT start_time, end_time, value, flags FROM observation
             WHERE series_key = ?1 ORDER BY start_time DESC LIMIT 1",
        )?;
        let mut rows = statement.query([series_key])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Newest {
            period: Period {
                start: time(row.get(0)?)?,
                end: time(row.get(1)?)?,
            },
            value: row.get(2)?,
            flags: row.get(3)?,
        }))
    }

    /// The end of the newest value, and whether it is of a snapshot.
    fn stored_last(&self, series_key: i64) -> Result<Option<(Timestamp, bool)>, Fault> {
        let stored: Option<(String, bool)> = self
            .transaction
            .prepare_cached("SELECT end_time, from_snapshot FROM last_value WHERE series_key = ?1")?
            .query_row([series_key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        stored
            .map(|(end, from_snapshot)| Ok((parsed_time(&end)?, from_snapshot)))
            .transpose()
    }

    fn put_last(
        &self,
        series_key: i64,
        newest: &Newest,
        from_snapshot: bool,
    ) -> rusqlite::Result<()> {
        self.transaction.prepare_cached(PUT_LAST)?.execute(params![
            series_key,
            newest.period.start.to_string(),
            newest.period.end.to_string(),
            newest.value,
            newest.flags,
            from_snapshot,
        ])?;
        Ok(())
    }

    /// The key of the series of an observation, which is made when it is unknown: no datastream has it, not
    /// even one that is gone.
    fn key(&mut self, observation: &Observation) -> rusqlite::Result<i64> {
        let identity = (
            Arc::clone(&observation.indicator),
            Arc::clone(&observation.sensor),
            Arc::clone(&observation.unit),
        );
        let label = &observation.label;
        if let Some(known) = self.series.get_mut(&identity) {
            if known.label != *label {
                self.transaction.execute(
                    "UPDATE series SET label = ?2 WHERE key = ?1",
                    params![known.key, label],
                )?;
                known.label = Arc::clone(label);
            }
            return Ok(known.key);
        }
        self.transaction
            .prepare_cached(
                "INSERT INTO series (key, station_key, indicator, sensor, unit, label)
                 VALUES (1 + max(coalesce((SELECT max(key) FROM series), 0),
                     coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'sta_datastream'), 0)),
                     ?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                self.station_key,
                identity.0,
                identity.1,
                identity.2,
                label
            ])?;
        let key = self.transaction.last_insert_rowid();
        let label = Arc::clone(label);
        self.series.insert(identity, Known { key, label });
        Ok(key)
    }
}

/// A value that may be the newest of its series.
struct Newest {
    period: Period,
    value: f64,
    flags: i64,
}
