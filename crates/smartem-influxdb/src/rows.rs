//! The points of a measurement, read piece by piece.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::value::RawValue;
use smartem_points::{FieldType, FieldValue, PointBatch, SeriesKey};

use crate::server::{Answer, Series};
use crate::{InfluxError, Measurement, Server};

/// Rows in a piece.
const PIECE: &str = "5000";

/// Nanoseconds since 1970 of the first and the last time that InfluxDB has.
const TIMES: (i64, i64) = (i64::MIN + 2, i64::MAX - 1);

/// An answer being read: one line of JSON for each piece.
pub struct Rows<'a> {
    server: &'a Server,
    measurement: &'a Measurement,
    statement: String,
    answer: reqwest::Response,
    /// What arrived and is not read.
    buffer: Vec<u8>,
    /// How far it was searched for the end of a line.
    searched: usize,
    /// Whether the last piece said that there are more.
    more: bool,
}

impl Server {
    /// The points of a measurement in a range of time (nanoseconds since 1970, both ends included),
    /// series by series.
    pub async fn rows<'a>(
        &'a self,
        measurement: &'a Measurement,
        range: RangeInclusive<i64>,
    ) -> Result<Rows<'a>, InfluxError> {
        let statement = format!(
            "SELECT *::field FROM {} WHERE time >= {} AND time <= {} GROUP BY *",
            measurement.quoted(),
            (*range.start()).max(TIMES.0),
            (*range.end()).min(TIMES.1),
        );
        let pieces = [("chunked", "true"), ("chunk_size", PIECE)];
        let answer = self
            .send(&measurement.database, &statement, &pieces)
            .await?;
        Ok(Rows {
            server: self,
            measurement,
            statement,
            answer,
            buffer: Vec::new(),
            searched: 0,
            more: false,
        })
    }

    /// The time of the first point of a measurement at a time or after it.
    pub async fn first_time(
        &self,
        measurement: &Measurement,
        from: i64,
    ) -> Result<Option<i64>, InfluxError> {
        self.end_time(
            measurement,
            &format!("time >= {}", from.max(TIMES.0)),
            "ASC",
        )
        .await
    }

    /// The time of the last point of a measurement.
    pub async fn last_time(&self, measurement: &Measurement) -> Result<Option<i64>, InfluxError> {
        self.end_time(measurement, &format!("time <= {}", TIMES.1), "DESC")
            .await
    }

    async fn end_time(
        &self,
        measurement: &Measurement,
        condition: &str,
        order: &str,
    ) -> Result<Option<i64>, InfluxError> {
        let statement = format!(
            "SELECT *::field FROM {} WHERE {condition} ORDER BY time {order} LIMIT 1",
            measurement.quoted()
        );
        let body = self.ask(&measurement.database, &statement).await?;
        let answer: Answer<'_> = serde_json::from_slice(&body)
            .map_err(|error| self.not_understood(&error.to_string()))?;
        let mut series = answer.results.into_iter().flat_map(|it| it.series);
        let Some(row) = series
            .next()
            .and_then(|series| series.values.into_iter().next())
        else {
            return Ok(None);
        };
        let time = row.first().and_then(|time| time.get().parse().ok());
        time.map(Some)
            .ok_or_else(|| self.not_understood("a row without a time"))
    }
}

impl Rows<'_> {
    /// The next points; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<PointBatch>, InfluxError> {
        loop {
            let found = self.buffer[self.searched..]
                .iter()
                .position(|b| *b == b'\n');
            if let Some(end) = found.map(|at| self.searched + at) {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return self.piece(&line).map(Some);
            }
            self.searched = self.buffer.len();
            let arrived = self.answer.chunk().await;
            match arrived.map_err(|error| self.server.unreachable(&error))? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return self.end(),
            }
        }
    }

    fn end(&mut self) -> Result<Option<PointBatch>, InfluxError> {
        let line = std::mem::take(&mut self.buffer);
        self.searched = 0;
        if !line.trim_ascii().is_empty() {
            return self.piece(&line).map(Some);
        }
        if self.more {
            return Err(InfluxError::Unreachable {
                server: self.server.name(),
                problem: "the answer ends before its last piece".to_owned(),
            });
        }
        Ok(None)
    }

    fn piece(&mut self, line: &[u8]) -> Result<PointBatch, InfluxError> {
        let answer: Answer<'_> = serde_json::from_slice(line)
            .map_err(|error| self.server.not_understood(&error.to_string()))?;
        let errors = answer.results.iter().filter_map(|it| it.error.as_ref());
        if let Some(error) = answer.error.iter().chain(errors).next() {
            return Err(self.server.refused(&self.statement, error));
        }
        let mut batch = PointBatch::new();
        for outcome in answer.results {
            self.more = outcome.partial;
            for series in &outcome.series {
                add(&mut batch, self.measurement, series)
                    .map_err(|problem| self.server.not_understood(&problem))?;
            }
        }
        Ok(batch)
    }
}

fn add(batch: &mut PointBatch, of: &Measurement, series: &Series<'_>) -> Result<(), String> {
    let tags = series.tags.iter();
    let tags = tags.map(|(key, value)| (key.as_str(), value.as_str()));
    let place = batch.add_series(SeriesKey::new(&of.name, tags));
    let mut fields = Vec::with_capacity(series.columns.len());
    for column in series.columns.iter().skip(1) {
        let known = of.fields.iter().find(|(name, _)| name == column);
        let (name, field_type) =
            known.ok_or_else(|| format!("`{column}` is no field of {}", of.name))?;
        fields.push((batch.add_field(name), *field_type));
    }
    for row in &series.values {
        let [time, values @ ..] = row.as_slice() else {
            return Err("a row without a time".to_owned());
        };
        if values.len() != fields.len() {
            return Err(format!(
                "{} values for {} fields",
                values.len(),
                fields.len()
            ));
        }
        let time = time.get();
        let time: i64 = time.parse().map_err(|_| format!("`time` is {time}"))?;
        let mut any = false;
        for (value, (field, field_type)) in values.iter().zip(&fields) {
            if let Some(value) = read(value, *field_type)? {
                batch.push_field(*field, &value);
                any = true;
            }
        }
        if any {
            batch.end_point(place, time, 0);
        }
    }
    Ok(())
}

fn read(value: &RawValue, field_type: FieldType) -> Result<Option<FieldValue<'_>>, String> {
    let text = value.get();
    if text == "null" {
        return Ok(None);
    }
    let odd = || format!("a field of type {field_type} holds {text}");
    Ok(Some(match field_type {
        FieldType::Float => FieldValue::Float(text.parse().map_err(|_| odd())?),
        FieldType::Integer => FieldValue::Integer(text.parse().map_err(|_| odd())?),
        FieldType::Unsigned => FieldValue::Unsigned(text.parse().map_err(|_| odd())?),
        FieldType::Boolean => FieldValue::Boolean(text.parse().map_err(|_| odd())?),
        FieldType::String => {
            FieldValue::String(serde_json::from_str::<Cow<'_, str>>(text).map_err(|_| odd())?)
        }
    }))
}

#[cfg(test)]
mod tests {
    use smartem_simulate::influxd::Influxd;

    use super::*;

    fn measurement(server: &[Measurement], name: &str) -> Measurement {
        server.iter().find(|it| it.name == name).unwrap().clone()
    }

    async fn lines(
        server: &Server,
        measurement: &Measurement,
        range: RangeInclusive<i64>,
    ) -> Vec<String> {
        let mut rows = server.rows(measurement, range).await.unwrap();
        let mut lines = Vec::new();
        while let Some(batch) = rows.next().await.unwrap() {
            for point in batch.points() {
                let key = &batch.series()[point.series.index()];
                let fields: Vec<String> = point
                    .fields()
                    .map(|(field, value)| format!("{}={value:?}", batch.fields()[field.index()]))
                    .collect();
                lines.push(format!(
                    "{:?} {} {}",
                    key.tags,
                    point.time,
                    fields.join(" ")
                ));
            }
        }
        lines.sort();
        lines
    }

    #[tokio::test]
    async fn points_come_with_their_types_from_every_retention_policy() {
        let influxd = Influxd::start().unwrap();
        influxd.execute("CREATE DATABASE d").unwrap();
        influxd
            .execute("CREATE RETENTION POLICY \"lo ng\" ON d DURATION INF REPLICATION 1")
            .unwrap();
        // A tag and a field of one name, escapes, whole floats, times before 1970.
        let text = "m,f=x,t=a\\ b f=1i,g=2,s=\"q\\\"\\\\ é\",b=true 1000000001\nm,t=c g=3.5 -5\n";
        assert_eq!(influxd.write("d", text).unwrap().status, 204);
        influxd
            .execute("SELECT * INTO d.\"lo ng\".n FROM d.autogen.m")
            .unwrap();
        let server = Server::new(&influxd.url().parse().unwrap(), None).unwrap();
        assert!(server.version().await.unwrap().starts_with("1."));
        assert_eq!(server.databases().await.unwrap(), ["d"]);
        let all = server.measurements("d").await.unwrap();
        let names: Vec<_> = all.iter().map(|it| (&*it.policy, &*it.name)).collect();
        assert_eq!(names, [("autogen", "m"), ("lo ng", "n")]);
        let m = measurement(&all, "m");
        assert_eq!(
            lines(&server, &m, i64::MIN..=i64::MAX).await,
            [
                r#"[("f", "x"), ("t", "a b")] 1000000001 b=Boolean(true) f=Integer(1) g=Float(2.0) s=String("q\"\\ é")"#,
                r#"[("t", "c")] -5 g=Float(3.5)"#,
            ]
        );
        assert_eq!(lines(&server, &m, 0..=1_000_000_000).await, [""; 0]);
        assert_eq!(server.first_time(&m, i64::MIN).await.unwrap(), Some(-5));
        assert_eq!(
            server.first_time(&m, -4).await.unwrap(),
            Some(1_000_000_001)
        );
        assert_eq!(server.last_time(&m).await.unwrap(), Some(1_000_000_001));
        assert_eq!(server.first_time(&m, 1_000_000_002).await.unwrap(), None);
        let error = server.measurements("none").await.unwrap_err();
        assert!(error.to_string().contains("database not found"), "{error}");
    }

    #[tokio::test]
    async fn many_pieces_are_read_whole() {
        let influxd = Influxd::start().unwrap();
        influxd.execute("CREATE DATABASE d").unwrap();
        let written: Vec<String> = (0..12_000)
            .map(|n| format!("m,t={} v={n}i {n}", n % 3))
            .collect();
        let text = written.join("\n");
        assert_eq!(influxd.write("d", &text).unwrap().status, 204);
        let server = Server::new(&influxd.url().parse().unwrap(), None).unwrap();
        let all = server.measurements("d").await.unwrap();
        assert_eq!(
            lines(&server, &all[0], i64::MIN..=i64::MAX).await.len(),
            12_000
        );
    }

    #[tokio::test]
    async fn who_may_not_ask_is_told_so() {
        let influxd = Influxd::start_with_authentication().unwrap();
        let server = Server::new(&influxd.url().parse().unwrap(), None).unwrap();
        let error = server.databases().await.unwrap_err();
        assert!(matches!(error, InfluxError::Denied { .. }), "{error}");
        assert!(error.to_string().contains("check user and password"));
    }
}
