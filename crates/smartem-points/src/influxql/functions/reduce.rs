//! Functions that make the points of a window into one or some.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use super::super::eval::Value;
use super::order::compare;
use super::{Function, Point};

/// Takes the points of a window, in order of time, and gives what they make. A point without a time
/// of its own gets that of the window.
pub(crate) trait Reducer {
    /// Takes a point; its value is there.
    fn add(&mut self, point: Point);
    /// What the points make: time, where it has one, value and others.
    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)>;
}

/// A reducer for a function; none for those that are no reduction.
pub(crate) fn reducer(function: &Function) -> Option<Box<dyn Reducer>> {
    Some(match function {
        Function::Count => Box::new(Count(0)),
        Function::CountDistinct => Box::new(CountDistinct::default()),
        Function::Sum => Box::new(Sum(Value::Null)),
        Function::Mean => Box::new(Mean::default()),
        Function::Spread => Box::new(Spread(None)),
        Function::Min | Function::Max | Function::First | Function::Last => Box::new(Pick {
            function: function.clone(),
            best: None,
        }),
        Function::Stddev => Box::new(Stddev(Vec::new())),
        Function::Median => Box::new(Median(Vec::new())),
        Function::Mode => Box::new(Mode(Vec::new())),
        Function::Percentile(percentile) => Box::new(Percentile(*percentile, Vec::new())),
        Function::Distinct => Box::new(Distinct::default()),
        Function::Top(count, _) => Box::new(Ranked(*count, Ordering::Greater, Vec::new())),
        Function::Bottom(count, _) => Box::new(Ranked(*count, Ordering::Less, Vec::new())),
        _ => return None,
    })
}

fn one(value: Value) -> Vec<(Option<i64>, Value, Vec<Value>)> {
    vec![(None, value, Vec::new())]
}

fn own(point: Point) -> (Option<i64>, Value, Vec<Value>) {
    (Some(point.time), point.value, point.others)
}

struct Count(i64);

impl Reducer for Count {
    fn add(&mut self, _: Point) {
        self.0 += 1;
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        one(Value::Integer(self.0))
    }
}

/// A value that can be looked up; floats by their value, so that -0 is 0.
pub(super) struct Key(pub(super) Value);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Value::Float(value) => (value + 0.0).to_bits().hash(state),
            Value::Integer(value) | Value::Time(value) => value.hash(state),
            Value::Unsigned(value) => value.hash(state),
            Value::Boolean(value) => value.hash(state),
            Value::String(text) => text.hash(state),
            Value::Null => {}
        }
    }
}

#[derive(Default)]
struct CountDistinct(HashSet<Key>);

impl Reducer for CountDistinct {
    fn add(&mut self, point: Point) {
        self.0.insert(Key(point.value));
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        let count = i64::try_from(self.0.len()).unwrap_or(i64::MAX);
        one(Value::Integer(count))
    }
}

/// Each value once, at the time it came first.
#[derive(Default)]
struct Distinct(HashMap<Key, i64>);

impl Reducer for Distinct {
    fn add(&mut self, point: Point) {
        self.0.entry(Key(point.value)).or_insert(point.time);
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        let mut all: Vec<(i64, Value)> = self
            .0
            .into_iter()
            .map(|(Key(it), time)| (time, it))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| compare(&a.1, &b.1)));
        let points = all.into_iter();
        points
            .map(|(time, value)| (Some(time), value, Vec::new()))
            .collect()
    }
}

fn plus(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
        (Value::Integer(a), Value::Integer(b)) => Value::Integer(a.wrapping_add(b)),
        (Value::Unsigned(a), Value::Unsigned(b)) => Value::Unsigned(a.wrapping_add(b)),
        (Value::Null, b) => b,
        (a, Value::Null) => a,
        (a, b) => match (a.as_float(), b.as_float()) {
            (Some(a), Some(b)) => Value::Float(a + b),
            _ => Value::Null,
        },
    }
}

struct Sum(Value);

impl Reducer for Sum {
    fn add(&mut self, point: Point) {
        self.0 = plus(std::mem::replace(&mut self.0, Value::Null), point.value);
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        one(self.0)
    }
}

#[derive(Default)]
struct Mean {
    sum: Option<Value>,
    count: u32,
}

impl Reducer for Mean {
    fn add(&mut self, point: Point) {
        self.count += 1;
        self.sum = Some(plus(self.sum.take().unwrap_or(Value::Null), point.value));
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        let sum = self
            .sum
            .as_ref()
            .and_then(Value::as_float)
            .unwrap_or_default();
        one(Value::Float(sum / f64::from(self.count)))
    }
}

struct Spread(Option<(Value, Value)>);

impl Reducer for Spread {
    fn add(&mut self, point: Point) {
        let value = point.value;
        self.0 = Some(match self.0.take() {
            None => (value.clone(), value),
            Some((min, max)) => {
                if compare(&value, &min) == Ordering::Less {
                    (value, max)
                } else if compare(&value, &max) == Ordering::Greater {
                    (min, value)
                } else {
                    (min, max)
                }
            }
        });
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        one(match self.0 {
            Some((Value::Float(min), Value::Float(max))) => Value::Float(max - min),
            Some((Value::Integer(min), Value::Integer(max))) => {
                Value::Integer(max.wrapping_sub(min))
            }
            Some((Value::Unsigned(min), Value::Unsigned(max))) => Value::Unsigned(max - min),
            _ => Value::Null,
        })
    }
}

/// `min`, `max`, `first`, `last`
struct Pick {
    function: Function,
    best: Option<Point>,
}

impl Reducer for Pick {
    fn add(&mut self, point: Point) {
        let better = match &self.best {
            None => true,
            Some(best) => {
                let value = compare(&point.value, &best.value);
                let earlier = point.time < best.time;
                match self.function {
                    Function::Min => value.is_lt() || (value.is_eq() && earlier),
                    Function::Max => value.is_gt() || (value.is_eq() && earlier),
                    Function::First => earlier || (point.time == best.time && value.is_gt()),
                    _ => point.time > best.time || (point.time == best.time && value.is_gt()),
                }
            }
        };
        if better {
            self.best = Some(point);
        }
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        self.best.map(own).into_iter().collect()
    }
}

struct Stddev(Vec<f64>);

impl Reducer for Stddev {
    fn add(&mut self, point: Point) {
        self.0.extend(point.value.as_float());
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        if self.0.len() < 2 {
            return one(Value::Null);
        }
        let (mut mean, mut count) = (0.0, 0.0);
        for value in self.0.iter().filter(|it| !it.is_nan()) {
            count += 1.0;
            mean += (value - mean) / count;
        }
        let values = self.0.iter().filter(|it| !it.is_nan());
        let variance: f64 = values.map(|it| (it - mean) * (it - mean)).sum();
        one(Value::Float((variance / (count - 1.0)).sqrt()))
    }
}

struct Median(Vec<Point>);

impl Reducer for Median {
    fn add(&mut self, point: Point) {
        self.0.push(point);
    }

    fn finish(mut self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        self.0.sort_by(|a, b| compare(&a.value, &b.value));
        let values = &self.0;
        let at = |index: usize| values.get(index).and_then(|it| it.value.as_float());
        let half = values.len() / 2;
        let (Some(low), Some(high)) = (at(half.saturating_sub(1)), at(half)) else {
            return Vec::new();
        };
        one(Value::Float(if values.len() % 2 == 1 {
            high
        } else {
            low + (high - low) / 2.0
        }))
    }
}

struct Mode(Vec<Point>);

impl Reducer for Mode {
    fn add(&mut self, point: Point) {
        self.0.push(point);
    }

    /// The most frequent value; of some the one that is complete first.
    fn finish(mut self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        self.0.sort_by(|a, b| compare(&a.value, &b.value));
        let mut best: Option<(usize, i64, Value)> = None;
        for run in self.0.chunk_by(|a, b| a.value == b.value) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let better = best.as_ref().is_none_or(|(count, time, _)| {
                run.len() > *count || (run.len() == *count && *count > 1 && first.time <= *time)
            });
            if better {
                best = Some((run.len(), last.time, first.value.clone()));
            }
        }
        best.map(|(_, _, value)| (None, value, Vec::new()))
            .into_iter()
            .collect()
    }
}

struct Percentile(f64, Vec<Point>);

impl Reducer for Percentile {
    fn add(&mut self, point: Point) {
        self.1.push(point);
    }

    fn finish(mut self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        let length = self.1.len();
        let place =
            super::super::eval::float_to_integer((length as f64 * self.0 / 100.0 + 0.5).floor());
        let Some(place) = usize::try_from(place - 1).ok().filter(|it| *it < length) else {
            return Vec::new();
        };
        self.1.sort_by(|a, b| compare(&a.value, &b.value));
        vec![own(self.1.swap_remove(place))]
    }
}

/// The greatest or smallest; of equal ones the earlier.
struct Ranked(usize, Ordering, Vec<Point>);

impl Reducer for Ranked {
    fn add(&mut self, point: Point) {
        let Self(count, wanted, best) = self;
        let before = |a: &Point, b: &Point| {
            let order = compare(&a.value, &b.value);
            order == *wanted || (order.is_eq() && a.time < b.time)
        };
        let place = best.partition_point(|it| !before(&point, it));
        best.insert(place, point);
        best.truncate(*count);
    }

    fn finish(self: Box<Self>) -> Vec<(Option<i64>, Value, Vec<Value>)> {
        let mut best = self.2;
        best.sort_by_key(|it| it.time);
        best.into_iter().map(own).collect()
    }
}
