//! Every query of the list, asked of a real InfluxDB 1.6.7 and of ours: the answers are equal.

use serde_json::Value;
use smartem_points::influxql::Format;
use smartem_simulate::influxd::Influxd;

use crate::{data, server};

/// One query a line; `#` begins a note.
pub const QUERIES: &str = include_str!("influxql/queries.txt");

/// A time after all the data, for queries that end now.
const NOW: i64 = data::BASE + 4 * 86_400_000_000_000;

pub fn queries() -> impl Iterator<Item = &'static str> {
    let lines = QUERIES.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[test]
fn answers_equal_those_of_influxdb() {
    let influxd = Influxd::start().unwrap();
    let points = data::points();
    influxd.execute("CREATE DATABASE db").unwrap();
    let written = influxd.write("db", &data::lines(&points)).unwrap();
    assert_eq!(written.status, 204, "{}", written.body);
    let memory = data::memory(&points);
    let (mut different, mut asked) = (Vec::new(), 0);
    for query in queries() {
        asked += 1;
        let theirs = server::ask(&influxd.url(), query, "");
        let ours = server::answer(&memory, query, Format::Json, None, NOW);
        let parse = |text: &str| {
            let mut value: Value = serde_json::from_str(text).unwrap_or_else(|error| {
                panic!("{query}: {error}: {text}");
            });
            server::settle(&mut value);
            value
        };
        if !server::same(&parse(&theirs), &parse(&ours)) {
            let short = |text: &str| text.chars().take(700).collect::<String>();
            different.push(format!(
                "{query}\n  theirs {}\n  ours   {}",
                short(&theirs),
                short(&ours)
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {asked} queries are answered differently:\n{}",
        different.len(),
        different.join("\n")
    );
}
