//! Asks a real InfluxDB, and asks ours the same.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use smartem_points::influxql::{self, Answer, Format, Limits, Query};
use smartem_points::{MemoryPoints, Precision};

/// Percent-encoded, so that it can stand in a form.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

/// The body of InfluxDB's answer to a query of the database `db`; `more` are further parameters.
pub(crate) fn ask(url: &str, query: &str, more: &str) -> String {
    let address = url.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).unwrap();
    let body = format!("db=db&q={}{more}", encoded(query));
    write!(
        connection,
        "POST /query HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// The body of our answer.
pub(crate) fn answer(
    points: &MemoryPoints,
    query: &str,
    format: Format,
    epoch: Option<Precision>,
    now: i64,
) -> String {
    let statements = match influxql::parse(query) {
        Ok(statements) => statements,
        Err(error) => {
            return format!("{}\n", serde_json::json!({ "error": error.to_string() }));
        }
    };
    let limits = Limits::default();
    let cancel = AtomicBool::new(false);
    let asked = Query {
        source: points,
        database: Some("db"),
        now,
        limits: &limits,
        cancel: &cancel,
    };
    let mut answer = Answer::new(format, epoch, 0);
    for statement in &statements {
        answer.statement(statement, &asked).unwrap();
    }
    answer.end();
    answer.take()
}

/// Puts rows of one time into one order: InfluxDB promises none for different series of a group.
pub(crate) fn settle(answer: &mut Value) {
    let Some(results) = answer.get_mut("results").and_then(Value::as_array_mut) else {
        return;
    };
    for result in results {
        let series = result.get_mut("series").and_then(Value::as_array_mut);
        for series in series.into_iter().flatten() {
            let rows = series.get_mut("values").and_then(Value::as_array_mut);
            if let Some(rows) = rows {
                let time = |row: &Value| row.get(0).map(Value::to_string).unwrap_or_default();
                for run in rows.chunk_by_mut(|a, b| time(a) == time(b)) {
                    run.sort_by_key(Value::to_string);
                }
            }
        }
    }
}

/// Whether two answers are the same; floats that come from sums may differ by 1e-12 of their size,
/// because the order of adding up differs.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            if x == y {
                return true;
            }
            let (Some(x), Some(y)) = (x.as_f64(), y.as_f64()) else {
                return false;
            };
            (x - y).abs() <= 1e-12 * x.abs().max(y.abs()).max(1.0)
        }
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}
