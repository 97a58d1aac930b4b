//! Reading: what is committed and what is in memory, as one.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};

use jiff::Timestamp;
use smartem_model::StationId;
use smartem_model::raw::RawRecord;
use smartem_points::{
    Cells, Chunk, FieldType, Newest, Order, PointSource, SeriesId, SeriesInfo, SourceError,
};

use super::catalogue::{MeasurementNo, SeriesNo};
use super::engine::{Engine, State};
use super::flush::day_of;
use super::newest::newest_of;
use super::record::snapshot_of_points;
use super::rows::{FieldNo, Rows};
use super::{FreshSnapshot, Points};
use crate::StoreError;

impl PointSource for Points {
    fn databases(&self) -> Vec<String> {
        let state = self.engine.state();
        let databases = state.catalogue.databases().iter();
        let mut names: Vec<String> = databases.map(|it| it.name.to_string()).collect();
        names.sort_unstable();
        names
    }

    fn measurements(&self, database: &str) -> Vec<String> {
        let state = self.engine.state();
        let number = state.catalogue.database(database);
        let database = number.and_then(|it| state.catalogue.databases().get(it as usize));
        database.map_or_else(Vec::new, |database| {
            database
                .measurements
                .keys()
                .map(ToString::to_string)
                .collect()
        })
    }

    fn fields(&self, database: &str, measurement: &str) -> Vec<(String, FieldType)> {
        let state = self.engine.state();
        let Some((_, measurement)) = measurement_of(&state, database, measurement) else {
            return Vec::new();
        };
        let fields = measurement.fields.iter();
        let mut fields: Vec<_> = fields
            .map(|it| (it.name.to_string(), it.field_type))
            .collect();
        fields.sort_unstable();
        fields
    }

    fn series(&self, database: &str, measurement: &str) -> Vec<SeriesInfo> {
        let state = self.engine.state();
        let Some((_, measurement)) = measurement_of(&state, database, measurement) else {
            return Vec::new();
        };
        let series = measurement.series.iter().filter_map(|number| {
            Some(SeriesInfo {
                id: SeriesId(*number),
                key: state.catalogue.series(*number)?.key.clone(),
            })
        });
        let mut series: Vec<_> = series.collect();
        series.sort_by(|a, b| a.key.cmp(&b.key));
        series
    }

    fn scan(
        &self,
        series: SeriesId,
        fields: &[&str],
        range: RangeInclusive<i64>,
        order: Order,
        take: &mut dyn FnMut(&Chunk) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let mut numbers = Vec::new();
        let memory = {
            let state = self.engine.state();
            let Some(found) = state.catalogue.series(series.0) else {
                return Ok(());
            };
            for field in fields {
                numbers.push(state.catalogue.field_of(found.measurement, field));
            }
            in_memory(&state, series.0)
        };
        let known: Vec<FieldNo> = numbers.iter().flatten().copied().collect();
        if range.is_empty() || known.is_empty() {
            return Ok(());
        }
        let memory = memory.in_order().within(&range).of_fields(&known);
        let mut give = |rows: &Rows| take(&chunk(rows, &numbers, order));
        self.engine
            .scan(series.0, &known, &range, order, &memory, &mut give)
            .map_err(|error| SourceError(error.into()))
    }

    fn newest(&self, series: SeriesId, field: &str) -> Result<Option<Newest>, SourceError> {
        let number = {
            let state = self.engine.state();
            let found = state.catalogue.series(series.0);
            found.and_then(|it| state.catalogue.field_of(it.measurement, field))
        };
        let Some(number) = number else {
            return Ok(None);
        };
        let newest = self.engine.newest(series.0, number);
        newest.map_err(|error| SourceError(error.into()))
    }
}

fn measurement_of<'a>(
    state: &'a State,
    database: &str,
    measurement: &str,
) -> Option<(MeasurementNo, &'a super::catalogue::Measurement)> {
    let database = state.catalogue.database(database)?;
    let number = state.catalogue.measurement_of(database, measurement)?;
    Some((number, state.catalogue.measurement(number)?))
}

/// The rows of a series that are not committed, the older ones first.
fn in_memory(state: &State, series: SeriesNo) -> Rows {
    let frozen = state.frozen.as_ref().and_then(|it| it.buffer.rows(series));
    let mut rows = frozen.cloned().unwrap_or_default();
    if let Some(active) = state.active.rows(series) {
        if rows.is_empty() {
            rows = active.clone();
        } else {
            rows.append(active);
        }
    }
    rows
}

fn chunk(rows: &Rows, fields: &[Option<FieldNo>], order: Order) -> Chunk {
    let cells = |field: &Option<FieldNo>| {
        let column = field.and_then(|it| rows.column(it));
        column.map_or(Cells::Absent, |column| column.cells(rows.len()))
    };
    let mut chunk = Chunk {
        times: rows.times.clone(),
        columns: fields.iter().map(cells).collect(),
    };
    if order == Order::Descending {
        chunk.times.reverse();
        chunk.columns.iter_mut().for_each(reverse);
    }
    chunk
}

fn reverse(cells: &mut Cells) {
    match cells {
        Cells::Floats(cells) => cells.reverse(),
        Cells::Integers(cells) => cells.reverse(),
        Cells::Unsigned(cells) => cells.reverse(),
        Cells::Booleans(cells) => cells.reverse(),
        Cells::Strings(cells) => cells.reverse(),
        Cells::Absent => {}
    }
}

impl Engine {
    /// Rows of a series day by day, those in memory together with those of the blocks.
    ///
    /// `memory` was read before the blocks are: what is committed in between is in both, and is
    /// given once.
    fn scan(
        &self,
        series: SeriesNo,
        fields: &[FieldNo],
        range: &RangeInclusive<i64>,
        order: Order,
        memory: &Rows,
        give: &mut dyn FnMut(&Rows) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut by_day = days(memory);
        let mut give_day = |day: i64, stored: Rows| {
            let mut rows = stored;
            if let Some(newer) = by_day.remove(&day) {
                rows.append(&newer);
            }
            give_in_order(rows, give)
        };
        // Days in memory that come before the next stored one are given first.
        let mut pending: Vec<i64> = days_of(memory);
        if order == Order::Ascending {
            pending.reverse();
        }
        let comes_before = |a: i64, b: i64| match order {
            Order::Ascending => a < b,
            Order::Descending => a > b,
        };
        let mut ended = false;
        self.backend
            .scan_points(series, fields, range, order, &mut |day, stored| {
                while let Some(next) = pending.pop_if(|it| comes_before(*it, day)) {
                    if give_day(next, Rows::default()).is_break() {
                        ended = true;
                        return ControlFlow::Break(());
                    }
                }
                let flow = give_day(day, stored);
                ended = flow.is_break();
                flow
            })?;
        while !ended && let Some(next) = pending.pop() {
            ended = give_day(next, Rows::default()).is_break();
        }
        Ok(())
    }

    fn newest(&self, series: SeriesNo, field: FieldNo) -> Result<Option<Newest>, StoreError> {
        let later = |a: Option<Newest>, b: Option<Newest>| match (a, b) {
            // Of equal times that of `a`, which came later.
            (Some(a), Some(b)) => Some(if b.0 > a.0 { b } else { a }),
            (a, b) => a.or(b),
        };
        let of_memory = |state: &State| {
            let active = state
                .active
                .rows(series)
                .and_then(|it| newest_of(it, field));
            let frozen = state.frozen.as_ref().and_then(|it| it.buffer.rows(series));
            later(active, frozen.and_then(|it| newest_of(it, field)))
        };
        {
            let state = self.state();
            if state.newest.is_complete(series) {
                let committed = state.newest.get(series, field).cloned();
                return Ok(later(of_memory(&state), committed));
            }
        }
        let found = self.backend.newest_points(series)?;
        let mut state = self.state();
        state.newest.complete(series, found);
        let committed = state.newest.get(series, field).cloned();
        Ok(later(of_memory(&state), committed))
    }

    pub(super) fn fresh_snapshots(
        &self,
        since: Timestamp,
    ) -> Result<Vec<FreshSnapshot>, StoreError> {
        let since = i64::try_from(since.as_nanosecond()).unwrap_or(i64::MIN);
        let mut by_station: BTreeMap<StationId, Vec<SeriesNo>> = BTreeMap::new();
        {
            let mut state = self.state();
            let touched: Vec<SeriesNo> = state.touched.drain().collect();
            for series in touched {
                let frozen = state.frozen.as_ref().and_then(|it| it.buffer.rows(series));
                let in_memory = [state.active.rows(series), frozen].into_iter().flatten();
                let latest = in_memory.filter_map(Rows::latest).max();
                // What arrives late is told by the hour it belongs to.
                if latest.is_some_and(|time| time < since) {
                    continue;
                }
                let station = state
                    .catalogue
                    .series(series)
                    .and_then(|it| it.station.clone());
                if let Some(station) = station {
                    by_station
                        .entry(station.station.clone())
                        .or_default()
                        .push(series);
                }
            }
        }
        let mut snapshots = Vec::new();
        for series in by_station.into_values() {
            snapshots.extend(self.snapshot(&series, since)?);
        }
        Ok(snapshots)
    }

    /// The newest values of some series of one station.
    fn snapshot(
        &self,
        series: &[SeriesNo],
        since: i64,
    ) -> Result<Option<FreshSnapshot>, StoreError> {
        let mut parts = Vec::new();
        let mut station = None;
        for &number in series {
            let (key, names) = {
                let state = self.state();
                let Some(found) = state.catalogue.series(number) else {
                    continue;
                };
                station.clone_from(&found.station);
                let measurement = state.catalogue.measurement(found.measurement);
                let fields = measurement.map_or(&[][..], |it| &it.fields);
                let names: Vec<Box<str>> = fields.iter().map(|it| it.name.clone()).collect();
                (found.key.clone(), names)
            };
            let mut newest = Vec::new();
            for (field, name) in (0..).zip(names) {
                let found = self.newest(number, field)?;
                newest.extend(
                    found
                        .filter(|(time, _)| *time >= since)
                        .map(|it| (name, it)),
                );
            }
            parts.push((key, newest));
        }
        let Some(station) = station else {
            return Ok(None);
        };
        let record: Option<RawRecord> = snapshot_of_points(&station, &parts)?;
        Ok(record.map(|record| FreshSnapshot {
            record,
            network: station.network.to_string(),
            project: station.project.as_deref().map(ToOwned::to_owned),
            source: station.source.to_string(),
        }))
    }
}

/// Rows of one day in pieces that no reader finds too large.
fn give_in_order(rows: Rows, give: &mut dyn FnMut(&Rows) -> ControlFlow<()>) -> ControlFlow<()> {
    let rows = rows.in_order();
    if rows.is_empty() {
        return ControlFlow::Continue(());
    }
    give(&rows)
}

fn days_of(rows: &Rows) -> Vec<i64> {
    let mut days: Vec<i64> = rows.times.iter().map(|time| day_of(*time)).collect();
    days.dedup();
    days
}

/// Rows in order, day by day.
fn days(rows: &Rows) -> BTreeMap<i64, Rows> {
    let mut parts = BTreeMap::new();
    let mut start = 0;
    for day in days_of(rows) {
        let count = rows.times[start..].partition_point(|time| day_of(*time) == day);
        parts.insert(day, rows.cut(start, start + count));
        start += count;
    }
    parts
}
