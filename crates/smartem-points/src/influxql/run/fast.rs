//! The common functions straight over the columns of numbers, series by series: no point is made, no
//! series waits for another.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::eval::Value;
use super::super::functions::{Function, Point};
use super::super::plan::{Call, Level, Reference};
use super::Run;
use super::groups::{Group, Member, Series};
use super::window::Windows;
use crate::influxql::QueryError;
use crate::{Cells, Chunk, Order};

/// What the functions need of the values of a window.
#[derive(Clone, Copy)]
struct Tally<T> {
    count: u32,
    sum: T,
    min: (T, i64),
    max: (T, i64),
    first: (i64, T),
    last: (i64, T),
}

/// A number of a column.
trait Number: Copy + PartialOrd {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn float(self) -> f64;
    fn value(self) -> Value;
}

impl Number for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
    fn minus(self, other: Self) -> Self {
        self - other
    }
    fn float(self) -> f64 {
        self
    }
    fn value(self) -> Value {
        Value::Float(self)
    }
}

impl Number for i64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }
    fn float(self) -> f64 {
        self as f64
    }
    fn value(self) -> Value {
        Value::Integer(self)
    }
}

impl<T: Number> Tally<T> {
    fn one(time: i64, value: T) -> Self {
        Self {
            count: 1,
            sum: value,
            min: (value, time),
            max: (value, time),
            first: (time, value),
            last: (time, value),
        }
    }

    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = self.sum.plus(other.sum);
        let (min, max, first, last) = (other.min, other.max, other.first, other.last);
        if min.0 < self.min.0 || (min.0 == self.min.0 && min.1 < self.min.1) {
            self.min = min;
        }
        if max.0 > self.max.0 || (max.0 == self.max.0 && max.1 < self.max.1) {
            self.max = max;
        }
        if first.0 < self.first.0 || (first.0 == self.first.0 && first.1 > self.first.1) {
            self.first = first;
        }
        if last.0 > self.last.0 || (last.0 == self.last.0 && last.1 > self.last.1) {
            self.last = last;
        }
    }

    fn point(&self, function: &Function, start: i64) -> Point {
        let (time, value) = match function {
            Function::Count => (start, Value::Integer(i64::from(self.count))),
            Function::Sum => (start, self.sum.value()),
            Function::Mean => (
                start,
                Value::Float(self.sum.float() / f64::from(self.count)),
            ),
            Function::Spread => (start, self.max.0.minus(self.min.0).value()),
            Function::Min => (self.min.1, self.min.0.value()),
            Function::Max => (self.max.1, self.max.0.value()),
            Function::First => (self.first.0, self.first.1.value()),
            _ => (self.last.0, self.last.1.value()),
        };
        Point::new(time, value)
    }
}

enum Tallies {
    None,
    Floats(BTreeMap<i64, Tally<f64>>),
    Integers(BTreeMap<i64, Tally<i64>>),
}

impl Run<'_> {
    /// The points of a function over a group, if it can be done this way.
    pub(super) fn fast<'a>(
        &'a self,
        level: &Level,
        group: &'a Group<'a>,
        call: &Call,
        field: &Reference,
        others: &[Reference],
        range: (i64, i64),
    ) -> Result<Option<Vec<Point>>, QueryError> {
        use super::super::ast::DataType;
        let simple = matches!(
            call.function,
            Function::Count
                | Function::Sum
                | Function::Mean
                | Function::Min
                | Function::Max
                | Function::First
                | Function::Last
                | Function::Spread
        );
        if !simple || !others.is_empty() {
            return Ok(None);
        }
        let mut members = Vec::with_capacity(group.members.len());
        for member in &group.members {
            match member {
                Member::Series(series) if series.condition.is_none() => members.push(series),
                _ => return Ok(None),
            }
        }
        let numbers = |series: &&Series| {
            let stored = series.table.field(&field.name);
            stored.is_none()
                || (stored == Some(field.data_type)
                    && matches!(field.data_type, DataType::Float | DataType::Integer))
        };
        if range.0 > range.1 {
            return Ok(Some(Vec::new()));
        }
        if call.function == Function::Last
            && level.interval == 0
            && let Some(point) = self.newest(&members, field, range)?
        {
            return Ok(Some(point));
        }
        if !members.iter().all(numbers) {
            return Ok(None);
        }
        let windows = Windows::new(level, range);
        let mut tallies = Tallies::None;
        for series in members {
            self.tally(series, &field.name, call, windows, &mut tallies)?;
        }
        let mut points: Vec<Point> = match tallies {
            Tallies::None => Vec::new(),
            Tallies::Floats(it) => it
                .iter()
                .map(|(start, it)| it.point(&call.function, *start))
                .collect(),
            Tallies::Integers(it) => it
                .iter()
                .map(|(start, it)| it.point(&call.function, *start))
                .collect(),
        };
        if !level.ascending {
            points.reverse();
        }
        Ok(Some(points))
    }

    /// The newest value of some series, if it is known without reading and in the range.
    fn newest(
        &self,
        members: &[&Series],
        field: &Reference,
        range: (i64, i64),
    ) -> Result<Option<Vec<Point>>, QueryError> {
        let mut best: Option<Tally<f64>> = None;
        let mut point = None;
        for series in members {
            match series.table.field(&field.name) {
                None => continue,
                Some(stored) if stored != field.data_type => return Ok(None),
                Some(_) => {}
            }
            let Some((time, value)) = self.source.newest(series.id, &field.name)? else {
                continue;
            };
            if time > range.1 {
                return Ok(None);
            }
            if time < range.0 {
                continue;
            }
            let value = stored(value);
            let Some(number) = value.as_float() else {
                if members.len() == 1 {
                    return Ok(Some(vec![Point::new(time, value)]));
                }
                return Ok(None);
            };
            let tally = Tally::one(time, number);
            if best.is_none_or(|it| (time, number) > it.last) {
                best = Some(tally);
                point = Some(Point::new(time, value));
            }
        }
        Ok(Some(point.into_iter().collect()))
    }

    fn tally(
        &self,
        series: &Series,
        field: &str,
        call: &Call,
        windows: Windows,
        tallies: &mut Tallies,
    ) -> Result<(), QueryError> {
        if series.table.field(field).is_none() {
            return Ok(());
        }
        let (start, end) = windows.range;
        let whole = windows.interval == 0;
        // The first or last of all needs one chunk only.
        let (order, once) = match call.function {
            Function::Last if whole => (Order::Descending, true),
            Function::First if whole => (Order::Ascending, true),
            _ => (Order::Ascending, false),
        };
        let mut problem = None;
        self.source
            .scan(series.id, &[field], start..=end, order, &mut |chunk| {
                if let Err(error) = self.count_points(chunk.times.len()) {
                    problem = Some(error);
                    return ControlFlow::Break(());
                }
                let any = add_chunk(chunk, windows, tallies);
                if once && any {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
        problem.map_or(Ok(()), Err)
    }
}

fn stored(value: crate::FieldValue<'static>) -> Value {
    use crate::FieldValue;
    match value {
        FieldValue::Float(value) => Value::Float(value),
        FieldValue::Integer(value) => Value::Integer(value),
        FieldValue::Unsigned(value) => Value::Unsigned(value),
        FieldValue::Boolean(value) => Value::Boolean(value),
        FieldValue::String(text) => Value::string(&text),
    }
}

/// Adds a chunk to the tallies; whether it had a value.
fn add_chunk(chunk: &Chunk, windows: Windows, tallies: &mut Tallies) -> bool {
    match chunk.columns.first() {
        Some(Cells::Floats(cells)) => {
            if matches!(tallies, Tallies::None) {
                *tallies = Tallies::Floats(BTreeMap::new());
            }
            match tallies {
                Tallies::Floats(map) => add_cells(&chunk.times, cells, windows, map),
                _ => false,
            }
        }
        Some(Cells::Integers(cells)) => {
            if matches!(tallies, Tallies::None) {
                *tallies = Tallies::Integers(BTreeMap::new());
            }
            match tallies {
                Tallies::Integers(map) => add_cells(&chunk.times, cells, windows, map),
                _ => false,
            }
        }
        _ => false,
    }
}

fn add_cells<T: Number>(
    times: &[i64],
    cells: &[Option<T>],
    windows: Windows,
    map: &mut BTreeMap<i64, Tally<T>>,
) -> bool {
    let mut any = false;
    let mut window = (0, 0);
    let mut current: Option<Tally<T>> = None;
    let mut keep = |start: i64, tally: Option<Tally<T>>| {
        let Some(tally) = tally else {
            return;
        };
        any = true;
        map.entry(start)
            .and_modify(|it| it.add(&tally))
            .or_insert(tally);
    };
    for (time, cell) in times.iter().zip(cells) {
        let Some(value) = cell else {
            continue;
        };
        if current.is_none() || *time < window.0 || *time >= window.1 {
            keep(window.0, current.take());
            window = windows.of(*time);
        }
        let one = Tally::one(*time, *value);
        match &mut current {
            Some(tally) => tally.add(&one),
            None => current = Some(one),
        }
    }
    keep(window.0, current.take());
    any
}
