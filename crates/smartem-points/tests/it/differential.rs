//! Every query of the list, asked of a real InfluxDB 1.6.7 and of ours: the answers are equal.

use serde_json::Value;
use smartem_points::influxql::Format;
use smartem_simulate::influxd::Influxd;

use crate::{data, server};

/// One query a line; `#` begins a note.
const QUERIES: &str = include_str!("influxql/queries.txt");

/// What InfluxDB answered, a line for each query.
const ANSWERS: &str = include_str!("influxql/answers.txt");

/// A time after all the data, for queries that end now.
const NOW: i64 = data::BASE + 40 * 86_400_000_000_000;

pub(crate) fn queries() -> impl Iterator<Item = &'static str> {
    let lines = QUERIES.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn settled(query: &str, text: &str) -> Value {
    let mut value: Value = serde_json::from_str(text).unwrap_or_else(|error| {
        panic!("{query}: {error}: {text}");
    });
    server::settle(&mut value);
    value
}

fn influxd() -> Influxd {
    let influxd = Influxd::start().unwrap();
    influxd.execute("CREATE DATABASE db").unwrap();
    let written = influxd.write("db", &data::lines(&data::points())).unwrap();
    assert_eq!(written.status, 204, "{}", written.body);
    influxd
}

/// Compares our answers with others.
fn check<'a>(pairs: impl Iterator<Item = (&'a str, String)>) {
    let memory = data::memory(&data::points());
    let (mut different, mut asked) = (Vec::new(), 0);
    for (query, theirs) in pairs {
        asked += 1;
        let ours = server::answer(&memory, query, Format::Json, None, NOW);
        if !server::same(&settled(query, &theirs), &settled(query, &ours)) {
            let short = |text: &str| text.chars().take(700).collect::<String>();
            different.push(format!(
                "{query}\n  theirs {}\n  ours   {}",
                short(&theirs),
                short(&ours)
            ));
        }
    }
    assert!(asked > 0, "no query was asked");
    assert!(
        different.is_empty(),
        "{} of {asked} queries are answered differently:\n{}",
        different.len(),
        different.join("\n")
    );
}

/// Asks InfluxDB and us.
pub(crate) fn compare<'a>(queries: impl Iterator<Item = &'a str>) {
    let influxd = influxd();
    let url = influxd.url();
    check(queries.map(|query| (query, server::ask(&url, query, ""))));
}

#[test]
fn answers_equal_those_of_influxdb() {
    compare(queries());
}

#[test]
fn answers_equal_those_recorded_from_influxdb() {
    let answers: Vec<&str> = ANSWERS.lines().collect();
    assert_eq!(answers.len(), queries().count(), "record the answers anew");
    check(
        queries()
            .zip(answers)
            .map(|(query, answer)| (query, answer.to_owned())),
    );
}

/// Records the answers of InfluxDB, after the list of queries has changed.
#[test]
#[ignore = "writes tests/it/influxql/answers.txt"]
fn record_the_answers_of_influxdb() {
    let influxd = influxd();
    let answers: Vec<String> = queries()
        .map(|query| {
            server::ask(&influxd.url(), query, "")
                .trim()
                .replace('\n', " ")
        })
        .collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/influxql/answers.txt");
    std::fs::write(file, answers.join("\n") + "\n").unwrap();
}
