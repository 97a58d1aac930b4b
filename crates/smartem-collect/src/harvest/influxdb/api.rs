//! Queries to InfluxDB 1.x and their answers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use smartem_etl::Run;
use smartem_model::{Hour, Period};
use url::Url;

use crate::harvest::http::{Client, FetchError};

/// One database of a server.
pub(super) struct Api {
    client: Client,
    /// Up to the query itself.
    address: Url,
}

/// An answer that could not be had.
#[derive(Debug)]
pub(super) enum ApiError {
    /// It did not arrive.
    Fetch(FetchError),
    /// It arrived and tells of a fault on the other side.
    Server(String),
    /// It arrived whole and is not what the server gives.
    NotUnderstood { detail: String, body: Vec<u8> },
}

/// A row of a measurement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Row {
    /// When.
    pub time: Timestamp,
    /// The value of the column `name` as JSON text; empty without one.
    pub name: String,
    /// All of it that is not null, as a JSON object.
    pub sample: String,
}

impl Api {
    /// # Errors
    /// When the address cannot be the base of another.
    pub(super) fn new(client: Client, url: &Url, database: &str) -> Result<Self, Url> {
        let mut address = url.clone();
        match address.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().push("query"),
            Err(()) => return Err(url.clone()),
        };
        address.set_fragment(None);
        address
            .query_pairs_mut()
            .clear()
            .append_pair("db", database)
            .append_pair("epoch", "ns");
        Ok(Self { client, address })
    }

    /// Requests under way at the same time.
    pub(super) fn parallel(&self) -> usize {
        self.client.parallel()
    }

    /// The names of all measurements.
    pub(super) async fn measurements(&self, run: &Run) -> Result<Vec<String>, ApiError> {
        let body = self.query(run, "SHOW MEASUREMENTS").await?;
        understood(body, |series| {
            let rows = series.into_iter().flat_map(|series| series.values);
            rows.map(|row| {
                let name = row.first().ok_or("a row without columns")?;
                serde_json::from_str(name.get()).map_err(|error| error.to_string())
            })
            .collect()
        })
    }

    /// How many values each hour of the range holds; hours without any are left out.
    pub(super) async fn counts(
        &self,
        run: &Run,
        measurement: &str,
        first: Hour,
        end: Hour,
    ) -> Result<BTreeMap<Hour, u64>, ApiError> {
        let statement = format!(
            "SELECT count(*) FROM {} WHERE time >= {} AND time < {} GROUP BY time(1h) fill(none)",
            identifier(measurement),
            first.period().start.as_nanosecond(),
            end.period().start.as_nanosecond(),
        );
        understood(self.query(run, &statement).await?, counts)
    }

    /// The time of the first row in a period.
    pub(super) async fn first_time(
        &self,
        run: &Run,
        measurement: &str,
        period: Period,
    ) -> Result<Option<Timestamp>, ApiError> {
        let statement = format!("{} ORDER BY time ASC LIMIT 1", rows_of(measurement, period));
        let rows = understood(self.query(run, &statement).await?, rows)?;
        Ok(rows.first().map(|row| row.time))
    }

    /// The body with all rows of a period.
    pub(super) async fn rows_body(
        &self,
        run: &Run,
        measurement: &str,
        period: Period,
    ) -> Result<Vec<u8>, ApiError> {
        self.query(run, &rows_of(measurement, period)).await
    }

    /// The body with the newest rows of a period.
    pub(super) async fn newest_body(
        &self,
        run: &Run,
        measurement: &str,
        period: Period,
        limit: u32,
    ) -> Result<Vec<u8>, ApiError> {
        let rows = rows_of(measurement, period);
        self.query(run, &format!("{rows} ORDER BY time DESC LIMIT {limit}"))
            .await
    }

    async fn query(&self, run: &Run, statement: &str) -> Result<Vec<u8>, ApiError> {
        let mut address = self.address.clone();
        address.query_pairs_mut().append_pair("q", statement);
        let answer = self.client.get(run, &address).await;
        answer.map_err(ApiError::Fetch)
    }
}

fn rows_of(measurement: &str, period: Period) -> String {
    format!(
        "SELECT * FROM {} WHERE time >= {} AND time < {}",
        identifier(measurement),
        period.start.as_nanosecond(),
        period.end.as_nanosecond(),
    )
}

/// A name in a statement.
fn identifier(name: &str) -> String {
    let escaped = name
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// The rows that a body holds, in order of time, then name, then text.
pub(super) fn read_rows(body: Vec<u8>) -> Result<Vec<Row>, ApiError> {
    understood(body, rows)
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    results: Vec<Outcome<'a>>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow, default)]
    series: Vec<Series<'a>>,
    error: Option<String>,
    #[serde(default)]
    partial: bool,
}

#[derive(Deserialize)]
struct Series<'a> {
    columns: Vec<String>,
    #[serde(borrow, default)]
    values: Vec<Vec<&'a RawValue>>,
    /// Whether rows are missing.
    #[serde(default)]
    partial: bool,
}

/// Reads the series of an answer to one statement.
fn understood<T>(
    body: Vec<u8>,
    read: impl Fn(Vec<Series<'_>>) -> Result<T, String>,
) -> Result<T, ApiError> {
    let result = serde_json::from_slice::<Answer<'_>>(&body)
        .map_err(|error| Fault::Form(error.to_string()))
        .and_then(series)
        .and_then(|series| read(series).map_err(Fault::Form));
    result.map_err(|fault| match fault {
        Fault::Server(problem) => ApiError::Server(problem),
        Fault::Form(detail) => ApiError::NotUnderstood { detail, body },
    })
}

enum Fault {
    Server(String),
    Form(String),
}

fn series(answer: Answer<'_>) -> Result<Vec<Series<'_>>, Fault> {
    if let Some(error) = answer.error {
        return Err(Fault::Server(error));
    }
    let mut results = answer.results.into_iter();
    let outcome = results
        .next()
        .ok_or_else(|| Fault::Form("no list `results`, or an empty one".to_owned()))?;
    if let Some(error) = outcome.error {
        return Err(Fault::Server(error));
    }
    if outcome.partial || outcome.series.iter().any(|series| series.partial) {
        let problem = "the answer is cut at the server's `max-row-limit`, which is too small";
        return Err(Fault::Server(problem.to_owned()));
    }
    Ok(outcome.series)
}

fn rows(series: Vec<Series<'_>>) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for series in series {
        for values in series.values {
            rows.push(row(&series.columns, &values)?);
        }
    }
    rows.sort_unstable();
    // No two rows of a database are the same.
    rows.dedup();
    Ok(rows)
}

fn row(columns: &[String], values: &[&RawValue]) -> Result<Row, String> {
    let pairs = pairs(columns, values)?;
    let mut name = String::new();
    let time = time_of(&pairs)?;
    let mut sample = format!(r#"{{"time":"{time}""#);
    for (column, value) in pairs {
        if column == "time" || value == "null" {
            continue;
        }
        if column == "name" {
            value.clone_into(&mut name);
        }
        sample.push(',');
        sample.push_str(&serde_json::Value::from(column).to_string());
        sample.push(':');
        sample.push_str(value);
    }
    sample.push('}');
    Ok(Row { time, name, sample })
}

fn counts(series: Vec<Series<'_>>) -> Result<BTreeMap<Hour, u64>, String> {
    let mut counts = BTreeMap::new();
    for series in series {
        for values in &series.values {
            let pairs = pairs(&series.columns, values)?;
            let time = time_of(&pairs)?;
            let hour = Hour::containing(time).ok_or_else(|| format!("no hour of ours: {time}"))?;
            let mut count = 0;
            for (column, value) in pairs {
                if column != "time" && value != "null" {
                    count += value
                        .parse::<u64>()
                        .map_err(|_| format!("`{column}` holds {value}"))?;
                }
            }
            if count > 0 {
                counts.insert(hour, count);
            }
        }
    }
    Ok(counts)
}

fn pairs<'a>(
    columns: &'a [String],
    values: &'a [&RawValue],
) -> Result<Vec<(&'a str, &'a str)>, String> {
    if columns.len() != values.len() {
        return Err(format!(
            "{} columns and {} values in a row",
            columns.len(),
            values.len()
        ));
    }
    let columns = columns.iter().map(String::as_str);
    Ok(columns
        .zip(values.iter().map(|value| value.get()))
        .collect())
}

fn time_of(pairs: &[(&str, &str)]) -> Result<Timestamp, String> {
    let (_, time) = pairs
        .iter()
        .find(|(column, _)| *column == "time")
        .ok_or("no column `time`")?;
    let nanoseconds = time.parse::<i64>().ok();
    nanoseconds
        .and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds.into()).ok())
        .ok_or_else(|| format!("`time` holds {time}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Row>, ApiError> {
        read_rows(text.as_bytes().to_vec())
    }

    #[test]
    fn rows_become_samples_with_all_their_digits_in_order() {
        let text = r#"{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","a \"b\"","channel","name"],"values":[
            [1542275100000000000,0.30000000000000004,null,"NOB4"],
            [1542275099123456789,12345678901234567890,3,"NO2B43F"],
            [1542275100000000000,true,"x",null]]}]}]}"#;
        let rows = read(text).unwrap();
        let samples: Vec<&str> = rows.iter().map(|row| row.sample.as_str()).collect();
        assert_eq!(
            samples,
            [
                r#"{"time":"2018-11-15T09:44:59.123456789Z","a \"b\"":12345678901234567890,"channel":3,"name":"NO2B43F"}"#,
                r#"{"time":"2018-11-15T09:45:00Z","a \"b\"":true,"channel":"x"}"#,
                r#"{"time":"2018-11-15T09:45:00Z","a \"b\"":0.30000000000000004,"name":"NOB4"}"#,
            ]
        );
        assert_eq!(rows[0].name, "\"NO2B43F\"");
    }

    #[test]
    fn no_series_are_no_rows() {
        assert_eq!(read(r#"{"results":[{"statement_id":0}]}"#).unwrap(), []);
    }

    #[test]
    fn faults_of_the_server_are_told_from_answers_that_make_no_sense() {
        for (text, told) in [
            (
                r#"{"results":[{"error":"database not found: x"}]}"#,
                "database not found: x",
            ),
            (
                r#"{"error":"authorization failed"}"#,
                "authorization failed",
            ),
            (
                r#"{"results":[{"series":[{"columns":["time"],"values":[],"partial":true}]}]}"#,
                "the answer is cut at the server's `max-row-limit`, which is too small",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                matches!(&error, ApiError::Server(problem) if problem == told),
                "{error:?}"
            );
        }
        for (text, told) in [
            ("<html>", "expected value"),
            ("{}", "no list `results`"),
            (
                r#"{"results":[{"series":[{"columns":["time","a"],"values":[[1]]}]}]}"#,
                "2 columns and 1",
            ),
            (
                r#"{"results":[{"series":[{"columns":["a"],"values":[[1]]}]}]}"#,
                "no column `time`",
            ),
            (
                r#"{"results":[{"series":[{"columns":["time"],"values":[["2018-01-01T00:00:00Z"]]}]}]}"#,
                "`time` holds \"2018-01-01T00:00:00Z\"",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                matches!(&error, ApiError::NotUnderstood { detail, body } if detail.starts_with(told) && body == text.as_bytes()),
                "{error:?}"
            );
        }
    }

    #[test]
    fn values_of_an_hour_are_counted_over_all_columns() {
        let text = r#"{"results":[{"series":[{"columns":["time","count_a","count_b"],"values":[[0,3,null],[3600000000000,1,2],[7200000000000,0,0]]}]}]}"#;
        let found = understood(text.as_bytes().to_vec(), counts).unwrap();
        let found: Vec<(i64, u64)> = found.iter().map(|(hour, n)| (hour.index(), *n)).collect();
        assert_eq!(found, [(0, 3), (1, 3)]);
    }

    #[test]
    fn names_are_quoted_for_statements() {
        assert_eq!(identifier(r#"a "b"\c"#), r#""a \"b\"\\c""#);
    }
}
