//! The data that queries are asked of: in a real InfluxDB and in memory.

use std::fmt::Write as _;

use smartem_points::{FieldValue, MemoryPoints, PointBatch, SeriesKey};

/// The evening before clocks change in Amsterdam: 2020-03-28T20:00:00Z.
pub(crate) const BASE: i64 = 1_585_425_600_000_000_000;
const MINUTE: i64 = 60_000_000_000;

/// A point: measurement, tags, time and fields.
pub(crate) struct Point {
    key: SeriesKey,
    time: i64,
    fields: Vec<(&'static str, FieldValue<'static>)>,
}

/// A sequence of numbers that is the same each time.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    pub(crate) fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        let place = self.below(list.len() as u64);
        &list[usize::try_from(place).unwrap()]
    }
}

fn float(numbers: &mut Numbers) -> f64 {
    let value = i32::try_from(numbers.below(100_000)).unwrap();
    f64::from(value) / 256.0 - 50.0
}

/// Floats, integers, booleans, texts; sparse fields, several tags, equal times and values, gaps.
pub(crate) fn points() -> Vec<Point> {
    let mut numbers = Numbers::new(7);
    let mut points = Vec::new();
    let boxes: [(&str, &[(&str, &str)]); 4] = [
        ("air", &[("box", "1"), ("area", "north")]),
        ("air", &[("box", "2"), ("area", "north")]),
        ("air", &[("box", "3"), ("area", "south sea")]),
        ("air", &[("box", "4")]),
    ];
    for (name, tags) in boxes {
        for minute in 0..600 {
            // A gap of an hour and a half, and some points lost.
            if (200..290).contains(&minute) || numbers.below(10) < 2 {
                continue;
            }
            let time =
                BASE + minute * MINUTE + i64::try_from(numbers.below(3)).unwrap() * 250_000_000;
            let mut fields = Vec::new();
            if numbers.below(10) < 9 {
                fields.push(("no2", FieldValue::Float(float(&mut numbers))));
            }
            if numbers.below(10) < 6 {
                let value = i64::try_from(numbers.below(40)).unwrap() - 10;
                fields.push(("pm", FieldValue::Integer(value)));
            }
            if numbers.below(10) < 2 {
                fields.push(("ok", FieldValue::Boolean(numbers.below(2) == 1)));
            }
            if numbers.below(20) < 1 || fields.is_empty() {
                let text = *numbers.of(&["rain", "wind & <sun>", "\"calm\"", "7"]);
                fields.push(("note", FieldValue::String(text.into())));
            }
            points.push(Point {
                key: SeriesKey::new(name, tags.iter().copied()),
                time,
                fields,
            });
        }
    }
    for minute in 0..300 {
        for place in ["a", "b"] {
            let value = i64::try_from(numbers.below(1000)).unwrap();
            let mut fields = vec![("laeq", FieldValue::Float(float(&mut numbers)))];
            if minute % 3 == 0 {
                fields.push(("no2", FieldValue::Integer(value)));
            }
            points.push(Point {
                key: SeriesKey::new("noise", [("place", place), ("box", "1")]),
                time: BASE + minute * 2 * MINUTE,
                fields,
            });
        }
    }
    // Counts up, but for a reset in the middle.
    for hour in 0..48 {
        points.push(Point {
            key: SeriesKey::new("counter", [("meter", "m,1 =x")]),
            time: BASE + hour * 60 * MINUTE,
            fields: vec![
                ("total", FieldValue::Integer((hour % 30) * (hour % 30))),
                (
                    "level",
                    FieldValue::Float(f64::from(i32::try_from(hour).unwrap()) * 1.5e-8),
                ),
                (
                    "huge",
                    FieldValue::Float(f64::from(i32::try_from(hour).unwrap()) * 1e21),
                ),
            ],
        });
    }
    points.push(Point {
        key: SeriesKey::new("strange name", [("a tag", "täg")]),
        time: BASE + 1,
        fields: vec![
            ("a field", FieldValue::Float(1.5)),
            ("select", FieldValue::Integer(i64::MAX)),
        ],
    });
    points.push(Point {
        key: SeriesKey::new("old", []),
        time: -MINUTE,
        fields: vec![("v", FieldValue::Float(-1.0))],
    });
    points.push(Point {
        key: SeriesKey::new("old", []),
        time: MINUTE,
        fields: vec![("v", FieldValue::Float(1.0))],
    });
    points
}

/// The points as lines.
pub(crate) fn lines(points: &[Point]) -> String {
    let escape = |text: &str| {
        text.replace(',', "\\,")
            .replace('=', "\\=")
            .replace(' ', "\\ ")
    };
    let mut lines = String::new();
    for point in points {
        lines.push_str(&escape(&point.key.measurement));
        for (key, value) in &point.key.tags {
            let _ = write!(lines, ",{}={}", escape(key), escape(value));
        }
        for (index, (name, value)) in point.fields.iter().enumerate() {
            let before = if index == 0 { ' ' } else { ',' };
            let _ = write!(lines, "{before}{}=", escape(name));
            let _ = match value {
                FieldValue::Float(value) => write!(lines, "{value:?}"),
                FieldValue::Integer(value) => write!(lines, "{value}i"),
                FieldValue::Unsigned(value) => write!(lines, "{value}u"),
                FieldValue::Boolean(value) => write!(lines, "{value}"),
                FieldValue::String(text) => write!(lines, "\"{}\"", text.replace('"', "\\\"")),
            };
        }
        let _ = writeln!(lines, " {}", point.time);
    }
    lines
}

/// The points in memory, in the database `db`.
pub(crate) fn memory(points: &[Point]) -> MemoryPoints {
    let mut batch = PointBatch::new();
    for point in points {
        batch.push(point.key.clone(), point.time, point.fields.iter().cloned());
    }
    let mut memory = MemoryPoints::new();
    memory.create_database("db");
    let refused = memory.write("db", &batch);
    assert_eq!(refused, Vec::<u32>::new());
    memory
}
