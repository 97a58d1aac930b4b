//! Reads the points of a group in order of time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::super::ast::DataType;
use super::super::eval::{Eval, Value};
use super::super::functions::Point;
use super::super::plan::{Level, Reference};
use super::groups::{Group, Member, Series, condition_eval};
use super::{Points, Run};
use crate::influxql::QueryError;
use crate::{Cells, Chunk, Order};

/// Where a value of a point comes from.
enum From {
    Column(usize, DataType),
    Same(Value),
}

/// What is wanted of the points of a series.
struct Wanted {
    fields: Vec<String>,
    driver: Option<From>,
    others: Vec<From>,
    /// The condition, and where its fields are among the columns.
    condition: Option<(Eval, Vec<usize>)>,
}

impl Run<'_> {
    /// The points of a group that have the driving field, or any of the others where none drives.
    pub(super) fn read<'a>(
        &'a self,
        level: &'a Level,
        group: &'a Group<'a>,
        driver: Option<&Reference>,
        others: &[Reference],
        range: (i64, i64),
    ) -> Result<Points<'a>, QueryError> {
        let mut inputs = Vec::with_capacity(group.members.len());
        for member in &group.members {
            match member {
                Member::Series(series) => {
                    if let Some(wanted) = wanted(series, driver, others) {
                        inputs.push(Box::new(SeriesPoints {
                            run: self,
                            series,
                            wanted,
                            range,
                            ascending: level.ascending,
                            chunk: Chunk::default(),
                            at: 0,
                            done: range.0 > range.1,
                        }) as Points<'a>);
                    }
                }
                Member::Group(inner, group) => {
                    inputs.extend(self.read_group(level, inner, group, driver, others, range)?);
                }
            }
        }
        if inputs.len() == 1
            && let Some(only) = inputs.pop()
        {
            return Ok(only);
        }
        Ok(Box::new(Merged {
            inputs,
            heads: Vec::new(),
            queue: BinaryHeap::new(),
            ascending: level.ascending,
            begun: false,
        }))
    }

    /// The rows of a group of a SELECT within, as points.
    fn read_group<'a>(
        &'a self,
        level: &'a Level,
        inner: &'a Level,
        group: &'a Group<'a>,
        driver: Option<&Reference>,
        others: &[Reference],
        range: (i64, i64),
    ) -> Result<Option<Points<'a>>, QueryError> {
        let find = |name: &str, data_type: DataType| {
            if let Some(column) = inner.column(name) {
                return Some(From::Column(column, data_type));
            }
            if !inner.dimensions.contains(name) {
                return None;
            }
            let place = inner.group_by.iter().position(|it| it == name)?;
            Some(From::Same(Value::String(group.tags[place].clone())))
        };
        let drives = match driver {
            None => None,
            Some(driver) => match find(&driver.name, driver.data_type) {
                None => return Ok(None),
                found => found,
            },
        };
        let others: Vec<From> = others
            .iter()
            .map(|it| find(&it.name, it.data_type).unwrap_or(From::Same(Value::Null)))
            .collect();
        let condition = level.condition.as_ref().map(|condition| {
            condition_eval(condition, &|name, _| match find(name, DataType::Unknown) {
                Some(From::Column(column, _)) => Eval::Slot(column),
                Some(From::Same(value)) => Eval::Constant(value),
                None => Eval::Constant(Value::Null),
            })
        });
        let start = inner.bounds.min.map_or(range.0, |it| it.max(range.0));
        let end = inner.bounds.max.map_or(range.1, |it| it.min(range.1));
        let rows = self.rows(inner, group, (start, end))?;
        Ok(Some(Box::new(rows.filter_map(move |row| {
            let (time, values) = match row {
                Ok(row) => row,
                Err(error) => return Some(Err(error)),
            };
            if condition.as_ref().is_some_and(|it| !it.holds(&values)) {
                return None;
            }
            let value = |from: &From| match from {
                From::Column(column, data_type) => values[*column].clone().cast(*data_type),
                From::Same(value) => value.clone(),
            };
            let driving = drives.as_ref().map_or(Value::Null, value);
            if drives.is_some() && driving == Value::Null {
                return None;
            }
            Some(Ok(Point {
                time,
                value: driving,
                others: others.iter().map(value).collect(),
            }))
        }))))
    }
}

/// What is to be read of a series; `None` when it has nothing that is wanted.
fn wanted(series: &Series, driver: Option<&Reference>, others: &[Reference]) -> Option<Wanted> {
    let mut fields: Vec<String> = Vec::new();
    let mut column = |name: &str| {
        fields.iter().position(|it| it == name).unwrap_or_else(|| {
            fields.push(name.to_owned());
            fields.len() - 1
        })
    };
    let mut find = |reference: &Reference| {
        if reference.data_type == DataType::Tag {
            let value = series.key.tag(&reference.name);
            return From::Same(value.map_or(Value::Null, Value::string));
        }
        match series.table.field(&reference.name) {
            Some(_) => From::Column(column(&reference.name), reference.data_type),
            None if reference.data_type == DataType::AnyField => From::Same(Value::Null),
            None => {
                let value = series.key.tag(&reference.name);
                From::Same(value.map_or(Value::Null, Value::string))
            }
        }
    };
    let driver = match driver.map(&mut find) {
        Some(From::Same(_)) => return None,
        driver => driver,
    };
    let others: Vec<From> = others.iter().map(&mut find).collect();
    let any = others.iter().any(|it| matches!(it, From::Column(..)));
    if driver.is_none() && !any {
        return None;
    }
    let condition = series.condition.clone().map(|condition| {
        let places = series
            .condition_fields
            .iter()
            .map(|it| column(it))
            .collect();
        (condition, places)
    });
    Some(Wanted {
        fields,
        driver,
        others,
        condition,
    })
}

/// A cell of a column.
pub(super) fn cell(cells: &Cells, row: usize) -> Value {
    fn of<T: Clone>(cells: &[Option<T>], row: usize, make: impl Fn(T) -> Value) -> Value {
        cells.get(row).cloned().flatten().map_or(Value::Null, make)
    }
    match cells {
        Cells::Floats(it) => of(it, row, Value::Float),
        Cells::Integers(it) => of(it, row, Value::Integer),
        Cells::Unsigned(it) => of(it, row, Value::Unsigned),
        Cells::Booleans(it) => of(it, row, Value::Boolean),
        Cells::Strings(it) => match it.get(row) {
            Some(Some(text)) => Value::string(text),
            _ => Value::Null,
        },
        Cells::Absent => Value::Null,
    }
}

/// The points of a series, a chunk at a time.
struct SeriesPoints<'a, 'r> {
    run: &'a Run<'r>,
    series: &'a Series,
    wanted: Wanted,
    /// What is still to be read.
    range: (i64, i64),
    ascending: bool,
    chunk: Chunk,
    at: usize,
    done: bool,
}

impl SeriesPoints<'_, '_> {
    /// Reads the next chunk; whether there is one.
    fn load(&mut self) -> Result<bool, QueryError> {
        if self.done {
            return Ok(false);
        }
        let fields: Vec<&str> = self.wanted.fields.iter().map(String::as_str).collect();
        let order = if self.ascending {
            Order::Ascending
        } else {
            Order::Descending
        };
        let mut found = None;
        self.run.source.scan(
            self.series.id,
            &fields,
            self.range.0..=self.range.1,
            order,
            &mut |chunk| {
                if chunk.times.is_empty() {
                    return ControlFlow::Continue(());
                }
                found = Some(chunk.clone());
                ControlFlow::Break(())
            },
        )?;
        let Some(chunk) = found else {
            self.done = true;
            return Ok(false);
        };
        self.run.count_points(chunk.times.len())?;
        let last = chunk.times.last().copied().unwrap_or_default();
        if self.ascending {
            self.done = last >= self.range.1;
            self.range.0 = last.saturating_add(1);
        } else {
            self.done = last <= self.range.0;
            self.range.1 = last.saturating_sub(1);
        }
        (self.chunk, self.at) = (chunk, 0);
        Ok(true)
    }

    fn point(&self, row: usize) -> Option<Point> {
        let column = |column: usize| cell(&self.chunk.columns[column], row);
        if let Some((condition, places)) = &self.wanted.condition {
            let values: Vec<Value> = places.iter().map(|it| column(*it)).collect();
            if !condition.holds(&values) {
                return None;
            }
        }
        let value = |from: &From| match from {
            From::Column(place, data_type) => column(*place).cast(*data_type),
            From::Same(value) => value.clone(),
        };
        let driving = self.wanted.driver.as_ref().map(value);
        if driving == Some(Value::Null) {
            return None;
        }
        let others: Vec<Value> = self.wanted.others.iter().map(value).collect();
        let mut fields = self.wanted.others.iter().zip(&others);
        let any =
            fields.any(|(from, value)| matches!(from, From::Column(..)) && *value != Value::Null);
        if driving.is_none() && !any {
            return None;
        }
        Some(Point {
            time: self.chunk.times[row],
            value: driving.unwrap_or(Value::Null),
            others,
        })
    }
}

impl Iterator for SeriesPoints<'_, '_> {
    type Item = Result<Point, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while self.at < self.chunk.times.len() {
                self.at += 1;
                if let Some(point) = self.point(self.at - 1) {
                    return Some(Ok(point));
                }
            }
            match self.load() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.done = true;
                    (self.chunk, self.at) = (Chunk::default(), 0);
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Several inputs, each in order of time, as one; of points of one time that of the first input first.
struct Merged<'a> {
    inputs: Vec<Points<'a>>,
    heads: Vec<Option<Point>>,
    queue: BinaryHeap<Reverse<(i128, usize)>>,
    ascending: bool,
    begun: bool,
}

impl Merged<'_> {
    fn pull(&mut self, input: usize) -> Result<(), QueryError> {
        self.heads[input] = self.inputs[input].next().transpose()?;
        if let Some(point) = &self.heads[input] {
            let time = i128::from(point.time);
            let place = if self.ascending { time } else { -time };
            self.queue.push(Reverse((place, input)));
        }
        Ok(())
    }
}

impl Iterator for Merged<'_> {
    type Item = Result<Point, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.begun {
            self.begun = true;
            self.heads.resize_with(self.inputs.len(), || None);
            for input in 0..self.inputs.len() {
                if let Err(error) = self.pull(input) {
                    self.queue.clear();
                    return Some(Err(error));
                }
            }
        }
        let Reverse((_, input)) = self.queue.pop()?;
        let point = self.heads[input].take()?;
        if let Err(error) = self.pull(input) {
            self.queue.clear();
            return Some(Err(error));
        }
        Some(Ok(point))
    }
}
