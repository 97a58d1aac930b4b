//! The rows of a group.

use std::iter::Peekable;

use super::super::ast::DataType;
use super::super::eval::Value;
use super::super::plan::{Level, Reference};
use super::groups::Group;
use super::{Points, Run};
use crate::influxql::QueryError;

/// A row: its time and its columns.
pub(super) type Row = (i64, Vec<Value>);

pub(super) type Rows<'a> = Box<dyn Iterator<Item = Result<Row, QueryError>> + 'a>;

impl Run<'_> {
    /// The rows of a group, in order of time.
    pub(super) fn rows<'a>(
        &'a self,
        level: &'a Level,
        group: &'a Group<'a>,
        range: (i64, i64),
    ) -> Result<Rows<'a>, QueryError> {
        let mut streams = Vec::new();
        let known = |it: &Reference| it.data_type != DataType::Unknown;
        if level.calls.is_empty() && level.references.iter().any(known) {
            let points = self.read(level, group, None, &level.references, range)?;
            streams.push((None, limited(points, level).peekable()));
        }
        for (place, call) in level.calls.iter().enumerate() {
            // Of a function whose type nobody knows nothing comes, and nothing is filled in for it.
            if call.output == DataType::Unknown {
                continue;
            }
            let others: &[_] = if level.selector {
                &level.references
            } else {
                &[]
            };
            let points = self.call(level, group, call, others, range)?;
            streams.push((Some(place), limited(points, level).peekable()));
        }
        Ok(Box::new(Scanned {
            level,
            streams,
            places: vec![Value::Null; level.calls.len() + level.references.len()],
        }))
    }
}

/// As many as LIMIT and OFFSET want; they count for each function by itself.
fn limited<'a>(points: Points<'a>, level: &Level) -> Points<'a> {
    let points = points.skip(level.offset);
    if level.limit > 0 {
        Box::new(points.take(level.limit))
    } else {
        Box::new(points)
    }
}

/// Puts the points of one time into a row.
struct Scanned<'a> {
    level: &'a Level,
    /// Each with the place of its value, `None` where only other fields are read.
    streams: Vec<(Option<usize>, Peekable<Points<'a>>)>,
    places: Vec<Value>,
}

impl Scanned<'_> {
    /// The next time, if there is one.
    fn time(&mut self) -> Result<Option<i64>, QueryError> {
        let mut next: Option<i64> = None;
        for (_, stream) in &mut self.streams {
            let time = match stream.peek() {
                None => continue,
                Some(Ok(point)) => point.time,
                Some(Err(_)) => match stream.next() {
                    Some(Err(error)) => return Err(error),
                    _ => continue,
                },
            };
            next = Some(match next {
                None => time,
                Some(known) if self.level.ascending => known.min(time),
                Some(known) => known.max(time),
            });
        }
        Ok(next)
    }

    /// What stands where nothing came: what is filled in, or what the row before had.
    fn miss(level: &Level, place: &mut Value, data_type: DataType) {
        if let Some(value) = level.default_value(data_type) {
            *place = value;
        }
    }

    fn take(&mut self, time: i64) {
        let calls = self.level.calls.len();
        for (place, stream) in &mut self.streams {
            let point = stream.next_if(|it| it.as_ref().is_ok_and(|it| it.time == time));
            let point = point.and_then(Result::ok);
            let others = match (*place, point) {
                (Some(place), Some(point)) => {
                    self.places[place] = point.value;
                    point.others
                }
                (None, Some(point)) => point.others,
                (Some(place), None) => {
                    Self::miss(
                        self.level,
                        &mut self.places[place],
                        self.level.calls[place].output,
                    );
                    Vec::new()
                }
                (None, None) => Vec::new(),
            };
            if place.is_some() && !self.level.selector {
                continue;
            }
            let mut others = others.into_iter();
            for (place, reference) in self.places[calls..].iter_mut().zip(&self.level.references) {
                match others.next() {
                    None | Some(Value::Null) => Self::miss(self.level, place, reference.data_type),
                    Some(value) => *place = value,
                }
            }
        }
    }
}

impl Iterator for Scanned<'_> {
    type Item = Result<Row, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let time = match self.time() {
            Ok(time) => time?,
            Err(error) => return Some(Err(error)),
        };
        self.take(time);
        let columns =
            self.level
                .columns
                .iter()
                .map(|column| match column.value(&self.places, true) {
                    Value::Float(value) if value.is_nan() => Value::Null,
                    value => value,
                });
        Some(Ok((time, columns.collect())))
    }
}
