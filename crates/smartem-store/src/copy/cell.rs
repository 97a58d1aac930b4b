//! Values on their way from one backend to another, in the form of neither.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    /// A number, or the number of an hour.
    Int(i64),
    Real(f64),
    /// A text, or JSON as a text.
    Text(String),
    /// JSON whose writing does not matter.
    Json(String),
    Bytes(Vec<u8>),
    Bool(bool),
    /// Microseconds since 1970.
    Time(i64),
    /// Nanoseconds since 1970.
    Nanos(i128),
    /// Longitude and latitude.
    Point(f64, f64),
}

pub(crate) type Row = Vec<Cell>;

impl Cell {
    /// Bytes that it takes, roughly.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 8,
        }
    }

    /// Appends what tells it from every other value.
    fn put(&self, out: &mut Vec<u8>) {
        let mut tagged = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Self::Null => tagged(0, &[]),
            Self::Int(number) => tagged(1, &number.to_le_bytes()),
            Self::Real(number) => tagged(2, &bits(*number)),
            Self::Text(text) => tagged(3, text.as_bytes()),
            Self::Json(text) => tagged(9, canonical(text).as_bytes()),
            Self::Bytes(bytes) => tagged(4, bytes),
            Self::Bool(value) => tagged(5, &[u8::from(*value)]),
            Self::Time(micros) => tagged(6, &micros.to_le_bytes()),
            Self::Nanos(nanos) => tagged(7, &nanos.to_le_bytes()),
            Self::Point(lon, lat) => {
                tagged(8, &bits(*lon));
                tagged(8, &bits(*lat));
            }
        }
    }
}

/// The same text for all JSON that means the same: PostgreSQL writes `1e2` as `100`.
fn canonical(json: &str) -> String {
    match serde_json::from_str(json) {
        Ok(value) => written(&value),
        // It cannot be compared but as it is.
        Err(_) => json.to_owned(),
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            // Zero has no sign there.
            Some(real) if number.is_f64() && real.fract() == 0.0 => {
                format!("{:.0}", if real == 0.0 { 0.0 } else { real })
            }
            _ => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(written).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let mut members: Vec<(&String, String)> = members
                .iter()
                .map(|(name, value)| (name, written(value)))
                .collect();
            members.sort();
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// SQLite keeps no sign of zero.
fn bits(number: f64) -> [u8; 8] {
    let number = if number == 0.0 { 0.0 } else { number };
    number.to_le_bytes()
}

/// How many rows there are, and a sum over all of them that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    sum: u128,
}

impl Sum {
    pub(crate) fn add(&mut self, row: &[Cell], buffer: &mut Vec<u8>) {
        buffer.clear();
        for cell in row {
            cell.put(buffer);
        }
        let hash = Sha256::digest(&*buffer);
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(first));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[Row]) -> Sum {
        let mut sum = Sum::default();
        for row in rows {
            sum.add(row, &mut Vec::new());
        }
        sum
    }

    #[test]
    fn json_that_means_the_same_is_the_same() {
        for (embedded, server) in [
            (r#"{"b":1,"a":[1.0,-0.0]}"#, r#"{"a": [1.0, 0.0], "b": 1}"#),
            ("1e16", "10000000000000000"),
            ("1e-7", "0.0000001"),
            (r#""\u00fc""#, r#""ü""#),
        ] {
            assert_eq!(canonical(embedded), canonical(server));
        }
        for (one, other) in [
            ("1", "2"),
            ("1", "\"1\""),
            ("[1,2]", "[2,1]"),
            ("null", "false"),
        ] {
            assert_ne!(canonical(one), canonical(other));
        }
    }

    #[test]
    fn a_sum_depends_on_every_value_and_not_on_the_order_of_rows() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let (a, b) = (vec![text("a"), Cell::Int(1)], vec![text("b"), Cell::Null]);
        assert_eq!(sum(&[a.clone(), b.clone()]), sum(&[b.clone(), a.clone()]));
        let other = vec![text("b"), Cell::Int(0)];
        assert_ne!(sum(&[a.clone(), b.clone()]), sum(&[a.clone(), other]));
        assert_ne!(sum(&[a.clone(), a.clone()]), sum(&[b.clone(), b]));
        // Where one value ends and the next begins counts too.
        assert_ne!(
            sum(&[vec![text("ab"), text("c")]]),
            sum(&[vec![text("a"), text("bc")]])
        );
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(
            sum(&[vec![Cell::Real(0.0)]]),
            sum(&[vec![Cell::Real(-0.0)]])
        );
    }
}
