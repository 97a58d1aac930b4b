//! Functions that make each point from those before it.

use std::collections::VecDeque;

use super::super::eval::Value;
use super::{Function, Point};

/// A running function over the points of a series, in the order of the query.
pub(crate) struct Transformation {
    function: Function,
    ascending: bool,
    /// Unit of a derivative, ns.
    unit: i64,
    previous: Option<Point>,
    sum: Value,
    recent: VecDeque<Value>,
}

impl Transformation {
    /// A new one; a derivative without a unit has that of the windows, or a second.
    pub(crate) fn new(function: &Function, interval: i64, ascending: bool) -> Self {
        let unit = match function {
            Function::Derivative {
                unit: Some(unit), ..
            } => *unit,
            _ if interval > 0 => interval,
            _ => 1_000_000_000,
        };
        Self {
            function: function.clone(),
            ascending,
            unit,
            previous: None,
            sum: Value::Null,
            recent: VecDeque::new(),
        }
    }

    /// What the next point makes, if anything; a point without value makes nothing.
    pub(crate) fn next(&mut self, point: &Point) -> Option<Point> {
        if point.value == Value::Null {
            return None;
        }
        match self.function {
            Function::Derivative { non_negative, .. } => {
                let before = self.advance(point)?;
                self.derivative(&before, point, non_negative)
            }
            Function::Difference { non_negative } => {
                let before = self.advance(point)?;
                let value = difference(&point.value, &before.value)?;
                let negative = value.as_float().is_some_and(|it| it < 0.0);
                (!negative || !non_negative).then(|| Point::new(point.time, value))
            }
            Function::Elapsed(unit) => {
                let before = self.previous.replace(point.clone())?;
                let elapsed = point.time.wrapping_sub(before.time);
                Some(Point::new(
                    point.time,
                    Value::Integer(elapsed.wrapping_div(unit.max(1))),
                ))
            }
            Function::CumulativeSum => {
                self.sum = match (&self.sum, &point.value) {
                    (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
                    (Value::Integer(a), Value::Integer(b)) => Value::Integer(a.wrapping_add(*b)),
                    (Value::Unsigned(a), Value::Unsigned(b)) => Value::Unsigned(a.wrapping_add(*b)),
                    _ => point.value.clone(),
                };
                Some(Point::new(point.time, self.sum.clone()))
            }
            Function::MovingAverage(length) => self.moving_average(point, length),
            _ => None,
        }
    }

    /// The point before, if this one is at another time; else it does not count.
    fn advance(&mut self, point: &Point) -> Option<Point> {
        if self
            .previous
            .as_ref()
            .is_some_and(|it| it.time == point.time)
        {
            return None;
        }
        self.previous.replace(point.clone())
    }

    fn derivative(&self, before: &Point, point: &Point, non_negative: bool) -> Option<Point> {
        let change = difference(&point.value, &before.value)?.as_float()?;
        let elapsed = point.time.wrapping_sub(before.time);
        let elapsed = if self.ascending {
            elapsed
        } else {
            elapsed.wrapping_neg()
        };
        if non_negative && change < 0.0 {
            return None;
        }
        let value = change / (elapsed as f64 / self.unit as f64);
        Some(Point::new(point.time, Value::Float(value)))
    }

    fn moving_average(&mut self, point: &Point, length: usize) -> Option<Point> {
        if self.recent.len() == length
            && let Some(oldest) = self.recent.pop_front()
        {
            self.sum = difference(&self.sum, &oldest)?;
        }
        self.recent.push_back(point.value.clone());
        self.sum = match (&self.sum, &point.value) {
            (Value::Integer(a), Value::Integer(b)) => Value::Integer(a.wrapping_add(*b)),
            (Value::Null, value) => value.clone(),
            (a, b) => Value::Float(a.as_float()? + b.as_float()?),
        };
        if self.recent.len() < length {
            return None;
        }
        let average = self.sum.as_float()? / length as f64;
        Some(Point::new(point.time, Value::Float(average)))
    }
}

fn difference(a: &Value, b: &Value) -> Option<Value> {
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => Some(Value::Integer(a.wrapping_sub(*b))),
        (Value::Unsigned(a), Value::Unsigned(b)) => Some(Value::Unsigned(a.wrapping_sub(*b))),
        (a, b) => Some(Value::Float(a.as_float()? - b.as_float()?)),
    }
}

/// The area under a series, by trapezia; where a window ends between two points, the line between
/// them is cut there.
pub(crate) struct Integral {
    unit: i64,
    ascending: bool,
    windowed: bool,
    /// Begin and end of the window, in the order of the query.
    window: (i64, i64),
    previous: Option<(i64, f64)>,
    sum: f64,
}

impl Integral {
    pub(crate) fn new(unit: i64, ascending: bool, windowed: bool) -> Self {
        Self {
            unit: unit.max(1),
            ascending,
            windowed,
            window: (0, 0),
            previous: None,
            sum: 0.0,
        }
    }

    /// Takes a point; gives the area of the window that it ends.
    pub(crate) fn next(
        &mut self,
        time: i64,
        value: f64,
        window_of: impl Fn(i64) -> (i64, i64),
    ) -> Option<Point> {
        let Some((before, old)) = self.previous else {
            self.previous = Some((time, value));
            if self.windowed {
                self.window = self.turned(window_of(time));
            }
            return None;
        };
        if before == time {
            self.previous = Some((time, value));
            return None;
        }
        let (mut before, mut old) = (before, old);
        let end = self.window.1;
        let left = if self.ascending {
            time >= end
        } else {
            time <= end
        };
        let mut done = None;
        if self.windowed && left {
            if before != end {
                let slope = (value - old) / (time.wrapping_sub(before)) as f64;
                let cut = slope * end.wrapping_sub(before) as f64 + old;
                self.add(before, old, end, cut);
                (before, old) = (end, cut);
            }
            done = Some(Point::new(self.window.0, Value::Float(self.sum)));
            self.window = self.turned(window_of(time));
            self.sum = 0.0;
        }
        self.add(before, old, time, value);
        self.previous = Some((time, value));
        done
    }

    fn turned(&self, (start, end): (i64, i64)) -> (i64, i64) {
        if self.ascending {
            (start, end)
        } else {
            (end, start)
        }
    }

    fn add(&mut self, from: i64, old: f64, to: i64, new: f64) {
        let elapsed = to.wrapping_sub(from) as f64 / self.unit as f64;
        self.sum += 0.5 * (new + old) * elapsed;
    }

    /// The area of the last window, if it has any.
    pub(crate) fn finish(self) -> Option<Point> {
        let (time, _) = self.previous?;
        (time != self.window.0).then(|| Point::new(self.window.0, Value::Float(self.sum)))
    }
}
