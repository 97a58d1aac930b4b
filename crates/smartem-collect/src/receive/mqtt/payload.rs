use jiff::Timestamp;
use smartem_points::line_protocol::{Dialect, read, take_reserved};
use smartem_points::{FieldValue, PointBatch, Precision};

use super::PushedSample;
use crate::receive::json::{self, Push, SampleValue};

/// The number of a payload: decimal digits with sign, point and exponent, with blanks around.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn number(payload: &[u8]) -> Result<f64, String> {
    let text = std::str::from_utf8(payload)
        .map_err(|_| "the payload is no text; send a plain number such as 21.5".to_owned())?;
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => {
            let shown: String = text.chars().take(60).collect();
            Err(format!(
                "`{shown}` is no plain number; send one such as 21.5, with a point and without unit"
            ))
        }
    }
}

/// Reads line protocol as InfluxDB 1.x does; points without time get that of arrival (nanoseconds since
/// 1970). Gives what is wrong with the lines that it left out.
pub(super) fn lines(text: &[u8], now: i64, batch: &mut PointBatch) -> Vec<String> {
    let errors = read(text, Precision::Nanoseconds, now, Dialect::V1, batch);
    let mut problems: Vec<String> = errors
        .iter()
        .map(|error| format!("line {}: {}", error.line, error.reason))
        .collect();
    let reserved = take_reserved(batch);
    problems.extend(reserved.iter().map(ToString::to_string));
    problems
}

/// Reads the object of `POST /api/v1/push`; else what is wrong with it.
pub(super) fn push(text: &[u8]) -> Result<Vec<PushedSample>, String> {
    let pushed: Push = json::parse(text).map_err(|fault| fault.problem)?;
    if let Some(fault) = pushed.faults.first() {
        return Err(format!(
            "{} is `{}`: {}",
            fault.place, fault.value, fault.problem
        ));
    }
    let stations = pushed.stations.into_iter();
    Ok(stations
        .flat_map(|station| {
            let (id, kind) = (station.station, station.station_type);
            station.samples.into_iter().map(move |sample| PushedSample {
                station: id.as_str().to_owned(),
                station_type: kind.clone(),
                time: sample.time.and_then(nanoseconds),
                instrument: sample.meta_id,
                values: sample
                    .values
                    .into_iter()
                    .map(|(key, value)| (key, field(value)))
                    .collect(),
            })
        })
        .collect())
}

fn nanoseconds(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond()).ok()
}

fn field(value: SampleValue) -> FieldValue<'static> {
    match value {
        SampleValue::Number(value) => FieldValue::Float(value),
        SampleValue::Truth(value) => FieldValue::Boolean(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_numbers_are_numbers() {
        for (text, value) in [("21.5", 21.5), (" -3\n", -3.0), ("1e-3", 0.001), ("7", 7.0)] {
            assert_eq!(number(text.as_bytes()), Ok(value));
        }
        for text in ["", "NaN", "inf", "1e999", "21,5", "21.5 C", "0x10", "{}"] {
            assert!(number(text.as_bytes()).is_err(), "{text}");
        }
        assert!(number(b"\xff").is_err_and(|it| it.contains("no text")));
    }
}
