//! Windows without points.

use std::iter::Peekable;

use super::super::ast::{DataType, Fill};
use super::super::eval::{Value, float_to_integer};
use super::super::functions::Point;
use super::super::plan::{Call, Level};
use super::super::time::MIN_TIME;
use super::window::Windows;
use super::{Points, QueryError};
use crate::influxql::functions::Function;

/// Points of windows, with something for each window that has none.
pub(super) struct Filled<'a> {
    input: Peekable<Points<'a>>,
    fill: Fill,
    output: DataType,
    windows: Windows,
    ascending: bool,
    /// The window that is next, ns; `None` before the first point.
    next: Option<i64>,
    /// Where filling ends, ns.
    end: i64,
    ahead: i64,
    previous: Option<Point>,
    buckets: u64,
    limit: u64,
}

impl<'a> Filled<'a> {
    pub(super) fn new(
        input: Points<'a>,
        level: &Level,
        call: &Call,
        windows: Windows,
        limit: u64,
    ) -> Self {
        let fill = match level.fill {
            Fill::Null if matches!(call.function, Function::Count | Function::CountDistinct) => {
                Fill::Integer(0)
            }
            ref fill => fill.clone(),
        };
        let (start, end) = windows.range;
        let end = windows.of(if level.ascending { end } else { start }).0;
        Self {
            input: input.peekable(),
            fill,
            output: call.output,
            windows,
            ascending: level.ascending,
            next: None,
            end,
            ahead: 0,
            previous: None,
            buckets: 0,
            limit,
        }
    }

    /// The first window, from the begin of the query, or from the first point if that has none.
    fn first(&self, point: &Point) -> i64 {
        let (start, end) = self.windows.range;
        let first = self.windows.of(if self.ascending { start } else { end }).0;
        if first <= MIN_TIME {
            self.windows.of(point.time).0
        } else {
            first
        }
    }

    fn value(&mut self, time: i64) -> Value {
        match self.fill {
            // InfluxDB has no number for these and takes what is nothing.
            Fill::Integer(_) | Fill::Number(_) if self.output == DataType::String => {
                Value::string("")
            }
            Fill::Integer(_) | Fill::Number(_) if self.output == DataType::Boolean => {
                Value::Boolean(false)
            }
            Fill::Integer(value) => Value::Integer(value).cast(self.output),
            Fill::Number(value) => Value::Float(value).cast(self.output),
            Fill::Previous => self
                .previous
                .as_ref()
                .map_or(Value::Null, |it| it.value.clone()),
            Fill::Linear => self.between(time).unwrap_or(Value::Null),
            Fill::Null | Fill::None => Value::Null,
        }
    }

    /// On the line between the point before and the one after.
    fn between(&mut self, time: i64) -> Option<Value> {
        let before = self.previous.as_ref()?;
        let Some(Ok(after)) = self.input.peek() else {
            return None;
        };
        let interval = self.windows.interval;
        let (x, x0, x1) = (
            time / interval,
            before.time / interval,
            after.time / interval,
        );
        let (y0, y1) = (before.value.as_float()?, after.value.as_float()?);
        let y = (y1 - y0) / x1.wrapping_sub(x0) as f64 * x.wrapping_sub(x0) as f64 + y0;
        Some(match before.value {
            Value::Float(_) => Value::Float(y),
            Value::Unsigned(_) => Value::Unsigned(float_to_integer(y).cast_unsigned()),
            _ => Value::Integer(float_to_integer(y)),
        })
    }

    /// Goes to the next window, past a change of the clocks.
    fn advance(&mut self, window: i64) {
        let step = if self.ascending {
            self.windows.interval
        } else {
            -self.windows.interval
        };
        let mut next = window.saturating_add(step);
        let ahead = self.windows.ahead(next.saturating_sub(1));
        if ahead != self.ahead {
            let change = self.ahead - ahead;
            if change.abs() < self.windows.interval {
                next = next.saturating_add(change);
            }
            self.ahead = ahead;
        }
        self.next = Some(next);
    }
}

impl Iterator for Filled<'_> {
    type Item = Result<Point, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let head = match self.input.peek() {
            Some(Err(_)) => return self.input.next(),
            Some(Ok(point)) => Some(point.clone()),
            None => None,
        };
        let window = match (self.next, &head) {
            (Some(window), _) => window,
            (None, None) => return None,
            (None, Some(point)) => {
                let first = self.first(point);
                self.ahead = self.windows.ahead(first);
                first
            }
        };
        self.buckets += 1;
        if self.limit > 0 && self.buckets > self.limit {
            let (buckets, limit) = (self.buckets, self.limit);
            return Some(Err(QueryError::Statement(format!(
                "max-select-buckets limit exceeded: ({buckets}/{limit})"
            ))));
        }
        let due = head.as_ref().is_some_and(|point| {
            if self.ascending {
                point.time <= window
            } else {
                point.time >= window
            }
        });
        if due {
            let point = self.input.next();
            self.previous = head;
            self.advance(window);
            return point;
        }
        let over = if self.ascending {
            window > self.end
        } else {
            window < self.end || self.end <= MIN_TIME
        };
        if head.is_none() && over {
            return None;
        }
        let value = self.value(window);
        self.advance(window);
        Some(Ok(Point::new(window, value)))
    }
}
