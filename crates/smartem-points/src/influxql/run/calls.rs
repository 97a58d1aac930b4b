//! The points that a function makes of a group.

use std::collections::{HashMap, VecDeque};
use std::iter::Peekable;

use super::super::ast::DataType;
use super::super::eval::Value;
use super::super::functions::{Function, Integral, Point, Transformation, reducer};
use super::super::plan::{Argument, Call, Level, Reference};
use super::super::time::MIN_TIME;
use super::fill::Filled;
use super::groups::Group;
use super::window::Windows;
use super::{Points, Run, fills};
use crate::influxql::QueryError;

impl Run<'_> {
    /// What a function makes of the points of a group; `others` are further fields of a picked point.
    pub(super) fn call<'a>(
        &'a self,
        level: &'a Level,
        group: &'a Group<'a>,
        call: &'a Call,
        others: &[Reference],
        range: (i64, i64),
    ) -> Result<Points<'a>, QueryError> {
        if call.is_over_nothing() {
            return Ok(Box::new(std::iter::empty()));
        }
        if call.function.is_transformation() {
            return self.transformation(level, group, call, range);
        }
        let Argument::Field(field) = &*call.argument else {
            return Err(QueryError::Statement(format!(
                "expected field argument in {}()",
                call.name
            )));
        };
        if !call.function.takes(field.data_type) {
            let (name, data_type) = (&call.name, field.data_type);
            return Err(QueryError::Statement(format!(
                "unsupported {name} iterator type: *query.{data_type}InterruptIterator"
            )));
        }
        let windows = Windows::new(level, range);
        if let Function::Integral(unit) = call.function {
            let integral = Integral::new(unit, level.ascending, level.interval > 0);
            let areas = Integrated {
                input: self.read(level, group, Some(field), &[], range)?,
                integral: Some(integral),
                windows,
            };
            let whole =
                (level.interval == 0).then_some(if range.0 == MIN_TIME { 0 } else { range.0 });
            return Ok(Box::new(areas.map(move |area| {
                let mut area = area?;
                area.time = whole.unwrap_or(area.time);
                Ok(area)
            })));
        }
        let own_time = level.selector && level.interval == 0;
        let ranked = matches!(call.function, Function::Top(..) | Function::Bottom(..));
        let points: Points<'a> = match self.fast(level, group, call, field, others, range)? {
            Some(points) => Box::new(points.into_iter().map(Ok)),
            None => Box::new(Windowed {
                input: self
                    .read(level, group, Some(field), others, range)?
                    .peekable(),
                function: &call.function,
                keys: ranked_keys(&call.function, others),
                windows,
                ready: VecDeque::new(),
            }),
        };
        if ranked || own_time {
            return Ok(points);
        }
        let points: Points<'a> = Box::new(points.map(move |point| {
            let mut point = point?;
            let start = windows.of(point.time).0;
            point.time = if start == MIN_TIME { 0 } else { start };
            Ok(point)
        }));
        if !fills(level) || call.function == Function::Distinct {
            return Ok(points);
        }
        let limit = self.limits.max_buckets;
        Ok(Box::new(Filled::new(points, level, call, windows, limit)))
    }

    fn transformation<'a>(
        &'a self,
        level: &'a Level,
        group: &'a Group<'a>,
        call: &'a Call,
        range: (i64, i64),
    ) -> Result<Points<'a>, QueryError> {
        let (mut start, mut end) = range;
        // The first window is compared with the one before it.
        if call.function != Function::CumulativeSum && level.interval > 0 {
            if level.ascending {
                start = start.saturating_sub(level.interval).max(MIN_TIME);
            } else {
                end = end.saturating_add(level.interval);
            }
        }
        let input = match &*call.argument {
            Argument::Call(inner) => self.call(level, group, inner, &[], (start, end))?,
            Argument::Field(field) => {
                if !call.function.takes(field.data_type) {
                    let name = call
                        .name
                        .trim_start_matches("non_negative_")
                        .replace('_', " ");
                    let data_type = field.data_type;
                    return Err(QueryError::Statement(format!(
                        "unsupported {name} iterator type: *query.{data_type}InterruptIterator"
                    )));
                }
                self.read(level, group, Some(field), &[], (start, end))?
            }
        };
        let mut transformation =
            Transformation::new(&call.function, level.interval, level.ascending);
        Ok(Box::new(input.filter_map(move |point| match point {
            Ok(point) => transformation.next(&point).map(Ok),
            Err(error) => Some(Err(error)),
        })))
    }
}

/// Which of the other values make groups of their own in `top()` and `bottom()`.
fn ranked_keys(function: &Function, others: &[Reference]) -> Vec<usize> {
    let (Function::Top(_, names) | Function::Bottom(_, names)) = function else {
        return Vec::new();
    };
    let place = |name: &String| {
        let mut others = others.iter();
        others.position(|it| it.name == *name && it.data_type == DataType::Tag)
    };
    names.iter().filter_map(place).collect()
}

/// Reduces the points of each window.
struct Windowed<'a> {
    input: Peekable<Points<'a>>,
    function: &'a Function,
    keys: Vec<usize>,
    windows: Windows,
    ready: VecDeque<Point>,
}

impl Windowed<'_> {
    /// The points of the next window; `None` after the last.
    fn window(&mut self) -> Result<Option<(i64, Vec<Point>)>, QueryError> {
        let first = match self.input.peek() {
            None => return Ok(None),
            Some(Ok(point)) => point.time,
            Some(Err(_)) => match self.input.next() {
                Some(Err(error)) => return Err(error),
                _ => return Ok(None),
            },
        };
        let (start, end) = self.windows.of(first);
        let mut points = Vec::new();
        let Some(mut reducer) = reducer(self.function) else {
            return Ok(None);
        };
        let mut best: HashMap<Vec<String>, Point> = HashMap::new();
        let inside = |point: &Point| (start..end).contains(&point.time) || point.time == first;
        while let Some(next) = self.input.next_if(|it| it.as_ref().map_or(true, inside)) {
            let point = next?;
            if point.value == Value::Null {
                continue;
            }
            if !matches!(self.function, Function::Top(_, names) | Function::Bottom(_, names) if !names.is_empty())
            {
                reducer.add(point);
                continue;
            }
            let key = self
                .keys
                .iter()
                .map(|it| format!("{:?}", point.others.get(*it)))
                .collect();
            let known = best.remove(&key);
            best.insert(key, better(self.function, known, point));
        }
        for point in best.into_values() {
            reducer.add(point);
        }
        for (time, value, others) in reducer.finish() {
            let time = time.unwrap_or(start);
            points.push(Point {
                time,
                value,
                others,
            });
        }
        Ok(Some((start, points)))
    }
}

fn better(function: &Function, known: Option<Point>, new: Point) -> Point {
    let pick = match function {
        Function::Top(..) => Function::Max,
        _ => Function::Min,
    };
    let Some(mut picker) = reducer(&pick) else {
        return new;
    };
    let fallback = new.clone();
    if let Some(known) = known {
        picker.add(known);
    }
    picker.add(new);
    let picked = picker.finish().pop();
    picked.map_or(fallback, |(time, value, others)| Point {
        time: time.unwrap_or_default(),
        value,
        others,
    })
}

impl Iterator for Windowed<'_> {
    type Item = Result<Point, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(point) = self.ready.pop_front() {
                return Some(Ok(point));
            }
            match self.window() {
                Ok(Some((_, points))) => self.ready.extend(points),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The area under the points.
struct Integrated<'a> {
    input: Points<'a>,
    integral: Option<Integral>,
    windows: Windows,
}

impl Iterator for Integrated<'_> {
    type Item = Result<Point, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let integral = self.integral.as_mut()?;
        for point in self.input.by_ref() {
            let point = match point {
                Ok(point) => point,
                Err(error) => return Some(Err(error)),
            };
            let Some(value) = point.value.as_float() else {
                continue;
            };
            if let Some(done) = integral.next(point.time, value, |time| self.windows.of(time)) {
                return Some(Ok(done));
            }
        }
        self.integral.take()?.finish().map(Ok)
    }
}
