//! Averages of observations over spans of time (`resample`).
//!
//! A row is of one datastream and span: `{"datastream": 5, "phenomenonTime": "start/end", "average", "min",
//! "max", "count", "coverage"}`, in the order of datastreams and time. An observation is in the span that its
//! phenomenon time begins in; only results that are numbers count. Coverage is the share of the span that
//! observations cover: intervals by their length, instants by the hours that have one (none where the span is
//! shorter than an hour); at most 1.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smartem_model::{Averaging, Period};
use smartem_sta::{Answer, EntityType, Query, Resample, TimeValue};

use crate::sta::error::Fault;

use super::average::{Measure, Sum, no_average};
use super::compile::{Compiler, Value as Compiled};
use super::locate::Set;
use super::order::{decode, encode};
use super::scan::{From, Scan};
use super::{Reader, invalid};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// 1970-01-05, a Monday, in microseconds.
const MONDAY: i64 = 4 * DAY;

/// Where to go on: a datastream and the start of a span.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    /// Tells the span.
    resample: (bool, i64),
    stream: i64,
    start: i64,
}

/// A span that observations are added to.
struct Bucket {
    stream: i64,
    start: i64,
    end: i64,
    sum: Sum,
    /// Microseconds that intervals cover.
    covered: i64,
    /// Hours that have an instant.
    hours: i64,
    last_hour: Option<i64>,
}

impl Reader<'_> {
    /// The rows of a question.
    pub(super) async fn resample(
        &mut self,
        set: &Set,
        query: &Query,
        resample: Resample,
    ) -> Result<Answer, Fault> {
        check(set, query, resample)?;
        let Some(set) = self.narrowed(set, query).await? else {
            return Ok(Answer::Rows(Vec::new(), None));
        };
        let top = self.top(query, self.limits.top_default);
        let top = usize::try_from(top).unwrap_or(usize::MAX);
        let mut left_out = query.skip.unwrap_or(0);
        let from = place(query, resample)?;
        if from.is_some() {
            left_out = 0;
        }
        let mut scan = Scan {
            set: &set,
            filters: query.filter.iter().collect(),
            columns: &columns,
            from,
            scanned: 0,
        };
        let mut buckets: Vec<Bucket> = Vec::new();
        let mut open: Option<Bucket> = None;
        // One more tells whether there are others.
        let mut take = |stream: i64, row: &crate::sta::sql::Row| {
            let (start, end) = (row.int(0)?, row.optional_int(2)?);
            let Some(value) = row.optional_real(3)? else {
                return Ok(true);
            };
            let is_new = open
                .as_ref()
                .is_none_or(|it| it.stream != stream || start >= it.end);
            if is_new {
                if let Some(done) = open.take() {
                    if left_out > 0 {
                        left_out -= 1;
                    } else {
                        buckets.push(done);
                    }
                }
                if buckets.len() > top {
                    return Ok(false);
                }
                open = Some(Bucket::new(stream, start, resample)?);
            }
            if let Some(open) = &mut open {
                open.add(start, end, value);
            }
            Ok(true)
        };
        self.scan(&mut scan, &mut take).await?;
        if let Some(done) = open.filter(|_| left_out == 0) {
            buckets.push(done);
        }
        let next = buckets.get(top).map(|it| Place {
            resample: mark(resample),
            stream: it.stream,
            start: it.start,
        });
        buckets.truncate(top);
        self.admit(buckets.len())?;
        let rows = self.bucket_rows(&buckets).await?;
        Ok(Answer::Rows(
            rows,
            next.filter(|_| top > 0).map(|it| encode(&it)),
        ))
    }

    async fn bucket_rows(&mut self, buckets: &[Bucket]) -> Result<Vec<Value>, Fault> {
        let mut ids: Vec<i64> = buckets.iter().map(|it| it.stream).collect();
        ids.dedup();
        let measures = self.measures(&ids).await?;
        buckets
            .iter()
            .map(|it| it.row(measures.get(&it.stream)))
            .collect()
    }
}

fn check(set: &Set, query: &Query, resample: Resample) -> Result<(), Fault> {
    if set.entity_type != EntityType::Observation {
        return Err(invalid(
            "resample is for observations, as in Datastreams(1)/Observations?resample=1h",
            None,
        ));
    }
    if let Some(by) = query.order_by.first() {
        return Err(invalid(
            "rows of resample are in the order of datastreams and time; leave out $orderby",
            Some(by.expr.at.clone()),
        ));
    }
    let (Resample::Seconds(length) | Resample::Months(length)) = resample;
    if length <= 0 {
        return Err(invalid(
            "resample needs a span of time that is longer than nothing",
            None,
        ));
    }
    Ok(())
}

fn place(query: &Query, resample: Resample) -> Result<Option<From>, Fault> {
    let Some(after) = &query.after else {
        return Ok(None);
    };
    let place: Place = decode(after)?;
    if place.resample != mark(resample) || Timestamp::from_microsecond(place.start).is_err() {
        return Err(invalid(
            "this $skiptoken is of another resample; ask with the one it was given out for",
            None,
        ));
    }
    Ok(Some(From {
        stream: place.stream,
        start: place.start,
    }))
}

fn mark(resample: Resample) -> (bool, i64) {
    match resample {
        Resample::Seconds(length) => (false, length),
        Resample::Months(length) => (true, length),
    }
}

/// End and number of an observation.
fn columns(compiler: &mut Compiler) -> Result<Vec<String>, Fault> {
    let node = compiler.root();
    let dialect = compiler.dialect();
    let result = compiler.property(&node, smartem_sta::Property::Result);
    let Some(Compiled::Json(result)) = result else {
        return Err(invalid("results are numbers or other JSON", None));
    };
    Ok(vec!["e.end_time".to_owned(), result.number(dialect)])
}

impl Bucket {
    fn new(stream: i64, at: i64, resample: Resample) -> Result<Self, Fault> {
        let (start, end) = span(at, resample).ok_or_else(|| {
            invalid(
                "a span of resample is longer than the calendar; use a shorter one",
                None,
            )
        })?;
        Ok(Self {
            stream,
            start,
            end,
            sum: Sum::default(),
            covered: 0,
            hours: 0,
            last_hour: None,
        })
    }

    fn add(&mut self, start: i64, end: Option<i64>, value: f64) {
        self.sum.add(value);
        if let Some(end) = end {
            self.covered += end.min(self.end) - start;
            return;
        }
        let hour = start.div_euclid(HOUR);
        if self.last_hour != Some(hour) {
            self.hours += 1;
            self.last_hour = Some(hour);
        }
    }

    fn coverage(&self) -> Option<f64> {
        let length = self.end - self.start;
        if self.hours > 0 && length < HOUR {
            return None;
        }
        let covered = self.covered + self.hours * HOUR;
        Some((covered as f64 / length as f64).min(1.0))
    }

    fn row(&self, measure: Option<&Measure>) -> Result<Value, Fault> {
        let time = |at| Timestamp::from_microsecond(at).map_err(|_| Fault::unknown("a time", &at));
        let period = Period {
            start: time(self.start)?,
            end: time(self.end)?,
        };
        let averaging = measure.map_or(Averaging::Arithmetic, |it| it.averaging);
        if let (Averaging::Class, Some(measure)) = (averaging, measure) {
            return Err(no_average(measure));
        }
        Ok(json!({
            "datastream": self.stream,
            "phenomenonTime": TimeValue::Interval(period).to_string(),
            "average": self.sum.average(averaging),
            "min": self.sum.min,
            "max": self.sum.max,
            "count": self.sum.count,
            "coverage": self.coverage(),
        }))
    }
}

/// The span that a moment is in, both in microseconds. Whole weeks begin on Mondays.
fn span(at: i64, resample: Resample) -> Option<(i64, i64)> {
    match resample {
        Resample::Seconds(seconds) => {
            let length = seconds.checked_mul(1_000_000)?;
            let first = if length % (7 * DAY) == 0 { MONDAY } else { 0 };
            let start = at - (at - first).rem_euclid(length);
            let end = start.checked_add(length)?;
            Timestamp::from_microsecond(end).ok()?;
            Some((start, end))
        }
        Resample::Months(months) => {
            let time = Timestamp::from_microsecond(at).ok()?;
            let date = TimeZone::UTC.to_datetime(time).date();
            let month = (i64::from(date.year()) - 1970) * 12 + i64::from(date.month()) - 1;
            let start = month - month.rem_euclid(months);
            Some((
                month_start(start)?,
                month_start(start.checked_add(months)?)?,
            ))
        }
    }
}

/// When a month begins, counted from January 1970.
fn month_start(month: i64) -> Option<i64> {
    let year = i16::try_from(month.div_euclid(12).checked_add(1970)?).ok()?;
    let month = i8::try_from(month.rem_euclid(12) + 1).ok()?;
    let date = Date::new(year, month, 1).ok()?;
    let time = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(time.as_microsecond())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use smartem_sta::Resample;

    use super::span;

    fn of(at: &str, resample: Resample) -> (String, String) {
        let at: Timestamp = at.parse().unwrap();
        let (start, end) = span(at.as_microsecond(), resample).unwrap();
        let text = |it| Timestamp::from_microsecond(it).unwrap().to_string();
        (text(start), text(end))
    }

    #[test]
    fn spans_begin_at_whole_multiples() {
        let spans = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        assert_eq!(
            of("2024-03-07T13:59:59.5Z", Resample::Seconds(6 * 3600)),
            spans("2024-03-07T12:00:00Z", "2024-03-07T18:00:00Z")
        );
        // A Thursday, in the week of Monday the fourth.
        assert_eq!(
            of("2024-03-07T13:00:00Z", Resample::Seconds(7 * 86_400)),
            spans("2024-03-04T00:00:00Z", "2024-03-11T00:00:00Z")
        );
        assert_eq!(
            of("2024-03-07T13:00:00Z", Resample::Months(1)),
            spans("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z")
        );
        assert_eq!(
            of("2024-03-07T13:00:00Z", Resample::Months(12)),
            spans("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")
        );
        assert_eq!(
            of("1969-12-31T23:00:00Z", Resample::Seconds(86_400)),
            spans("1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z")
        );
    }
}
