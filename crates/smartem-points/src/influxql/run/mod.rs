//! Runs a SELECT: groups of series, their points, functions over these, rows of the answer.

mod calls;
mod fast;
mod fill;
mod groups;
mod read;
mod rows;
mod window;

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ast::{Fill, Measurement, Select, Source};
use super::eval::Value;
use super::functions::Point;
use super::plan;
use super::schema::Schema;
use super::time::{MAX_TIME, MIN_TIME};
use super::{Header, Query, QueryError, Sink};
use crate::PointSource;
use window::Windows;

pub(crate) use groups::condition_eval;

/// Points one after another.
pub(crate) type Points<'a> = Box<dyn Iterator<Item = Result<Point, QueryError>> + 'a>;

/// The only retention policy.
const POLICY: &str = "autogen";

/// A query on its way.
pub(crate) struct Run<'a> {
    pub(crate) source: &'a dyn PointSource,
    pub(crate) schema: Schema<'a>,
    limits: super::Limits,
    cancel: &'a AtomicBool,
    points: Cell<u64>,
}

impl Run<'_> {
    /// Ends a query that nobody waits for.
    fn check_cancel(&self) -> Result<(), QueryError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(QueryError::Interrupted);
        }
        Ok(())
    }

    /// Counts points that were read.
    fn count_points(&self, points: usize) -> Result<(), QueryError> {
        self.check_cancel()?;
        let read = self.points.get() + points as u64;
        self.points.set(read);
        let limit = self.limits.max_points;
        if limit > 0 && read > limit {
            return Err(QueryError::Statement(format!(
                "max-select-point limit exceeed: ({read}/{limit})"
            )));
        }
        Ok(())
    }
}

/// Where a SELECT without a database reads, and whether there is what it names.
fn resolve(select: &mut Select, query: &Query<'_>) -> Result<(), String> {
    for source in &mut select.sources {
        match source {
            Source::Measurement(measurement) => resolve_measurement(measurement, query)?,
            Source::Subquery(inner) => resolve(inner, query)?,
        }
    }
    Ok(())
}

pub(crate) fn resolve_measurement(
    meant: &mut Measurement,
    query: &Query<'_>,
) -> Result<(), String> {
    if meant.database.is_none() {
        meant.database = query.database.map(str::to_owned);
    }
    let database = meant.database.as_deref().filter(|it| !it.is_empty());
    let Some(database) = database else {
        return Err("database name required".to_owned());
    };
    if !query.source.databases().iter().any(|it| it == database) {
        return Err(format!("database not found: {database}"));
    }
    match &meant.retention_policy {
        Some(policy) if policy != POLICY => Err(format!("retention policy not found: {policy}")),
        _ => Ok(()),
    }
}

/// Answers a SELECT.
pub(crate) fn select(
    select: &Select,
    query: &Query<'_>,
    sink: &mut dyn Sink,
) -> Result<(), QueryError> {
    if select.target.is_some() {
        return Err(QueryError::Statement(
            "SELECT ... INTO is not answered here: this database keeps what stations send"
                .to_owned(),
        ));
    }
    let mut select = select.clone();
    resolve(&mut select, query).map_err(QueryError::Statement)?;
    let mut checked = plan::check(&select, query.now).map_err(QueryError::Statement)?;
    let run = Run {
        source: query.source,
        schema: Schema::new(query.source),
        limits: *query.limits,
        cancel: query.cancel,
        points: Cell::new(0),
    };
    plan::expand(&mut checked, &run.schema).map_err(QueryError::Statement)?;
    let level =
        plan::build(checked, &std::collections::BTreeSet::new()).map_err(QueryError::Statement)?;
    let start = level.bounds.min.unwrap_or(MIN_TIME);
    // Windows end now, not at the end of time, where nothing else is said.
    let end = level.bounds.max.unwrap_or(if level.interval > 0 {
        query.now
    } else {
        MAX_TIME
    });
    check_buckets(&level, start, end, run.limits.max_buckets)?;
    run.emit(&level, (start, end), sink)
}

fn check_buckets(level: &plan::Level, start: i64, end: i64, limit: u64) -> Result<(), QueryError> {
    if limit == 0 || level.interval == 0 || start <= MIN_TIME || level.calls.is_empty() {
        return Ok(());
    }
    let windows = Windows::new(level, (start, end));
    let (first, last) = (windows.of(start).0, windows.of(end.saturating_sub(1)).0);
    let buckets = (i128::from(last) - i128::from(first) + i128::from(level.interval))
        / i128::from(level.interval);
    if buckets > i128::from(limit) {
        return Err(QueryError::Statement(format!(
            "max-select-buckets limit exceeded: ({buckets}/{limit})"
        )));
    }
    Ok(())
}

impl Run<'_> {
    fn emit(
        &self,
        level: &plan::Level,
        range: (i64, i64),
        sink: &mut dyn Sink,
    ) -> Result<(), QueryError> {
        let mut groups = self.groups(level)?;
        let series: usize = groups.iter().map(groups::Group::series).sum();
        let limit = self.limits.max_series;
        if limit > 0 && series > limit {
            return Err(QueryError::Statement(format!(
                "max-select-series limit exceeded: ({series}/{limit})"
            )));
        }
        if !level.ascending {
            groups.reverse();
        }
        let mut row = Vec::with_capacity(level.titles.len());
        for group in &groups {
            self.check_cancel()?;
            let mut begun = false;
            for (count, found) in self.rows(level, group, range)?.enumerate() {
                if count % 1024 == 1023 {
                    self.check_cancel()?;
                }
                let (time, values) = found?;
                if !begun {
                    begun = true;
                    let tags = level.group_by.iter().zip(&group.tags);
                    sink.series(&Header {
                        name: Some(group.name.to_string()),
                        tags: tags
                            .map(|(key, value)| (key.clone(), value.to_string()))
                            .collect(),
                        columns: level.titles.clone(),
                        zone: level.zone,
                    })?;
                }
                row.clear();
                row.push(Value::Time(time));
                row.extend(values);
                if sink.row(&row)? == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Whether windows without points are filled.
fn fills(level: &plan::Level) -> bool {
    level.interval > 0 && level.fill != Fill::None
}
