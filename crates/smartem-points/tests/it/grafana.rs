//! Requests as Grafana's data source for InfluxDB makes them, with what is shown for each.
//!
//! They are replayed from this list, not sent by a Grafana. Their forms are those of its query builder
//! for InfluxQL, of its template variables, its annotations and its check of a data source.

use serde_json::{Value, json};
use smartem_points::Precision;
use smartem_points::influxql::Format;

use crate::{data, server};

/// From 20:00 to 23:00, as `$timeFilter` writes it.
const RANGE: &str = "time >= 1585425600000ms and time <= 1585436400000ms";

/// The answer to a query, with times in milliseconds as Grafana asks for them.
fn ask(query: &str) -> Value {
    let memory = data::memory(&data::points());
    let now = data::BASE + 40 * 86_400_000_000_000;
    let text = server::answer(
        &memory,
        query,
        Format::Json,
        Some(Precision::Milliseconds),
        now,
    );
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["results"][0].get("error"), None, "{query}: {text}");
    answer
}

/// The cells of a column of the first series.
fn column(answer: &Value, place: usize) -> Vec<Value> {
    let rows = answer["results"][0]["series"][0]["values"]
        .as_array()
        .unwrap();
    rows.iter().map(|row| row[place].clone()).collect()
}

#[test]
fn a_data_source_is_checked() {
    assert_eq!(column(&ask("SHOW DATABASES"), 0), ["db"]);
    assert_eq!(
        column(&ask("show retention policies on \"db\""), 0),
        ["autogen"]
    );
    let first = ask("SHOW MEASUREMENTS LIMIT 1");
    assert_eq!(column(&first, 0), ["air"]);
    let tags = ask("SHOW TAG KEYS");
    assert_eq!(column(&tags, 0), ["area", "box"]);
}

#[test]
fn the_query_builder_finds_names() {
    let names = ask("SHOW MEASUREMENTS LIMIT 100");
    assert_eq!(
        column(&names, 0),
        ["air", "counter", "noise", "old", "strange name"]
    );
    let names = ask("SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?i)AI/ LIMIT 100");
    assert_eq!(column(&names, 0), ["air"]);
    let names = ask("SHOW MEASUREMENTS WHERE \"box\" = '1' LIMIT 100");
    assert_eq!(column(&names, 0), ["air", "noise"]);
    let fields = ask("SHOW FIELD KEYS FROM \"air\"");
    assert_eq!(column(&fields, 0), ["no2", "note", "ok", "pm"]);
    assert_eq!(
        column(&fields, 1),
        ["float", "string", "boolean", "integer"]
    );
    let tags = ask("SHOW TAG KEYS FROM \"noise\"");
    assert_eq!(column(&tags, 0), ["box", "place"]);
    let tags = ask("SHOW TAG KEYS FROM \"air\" WHERE \"box\" = '4'");
    assert_eq!(column(&tags, 0), ["box"]);
    let values = ask("SHOW TAG VALUES FROM \"air\" WITH KEY = \"box\" WHERE \"area\" = 'north'");
    assert_eq!(column(&values, 1), ["1", "2"]);
}

#[test]
fn template_variables_get_their_values() {
    let values = ask("SHOW TAG VALUES WITH KEY = \"area\"");
    assert_eq!(column(&values, 1), ["north", "south sea"]);
    let values = ask(
        "SHOW TAG VALUES ON \"db\" FROM \"air\" WITH KEY = \"box\" WHERE \"area\" =~ /^(north|south sea)$/",
    );
    assert_eq!(column(&values, 1), ["1", "2", "3"]);
    let values =
        ask("SHOW TAG VALUES FROM \"autogen\".\"air\" WITH KEY IN (\"box\", \"area\") LIMIT 3");
    assert_eq!(column(&values, 0), ["area", "area", "box"]);
    let values = ask("SELECT DISTINCT(\"note\") FROM \"air\"");
    assert_eq!(column(&values, 1).len(), 4);
}

#[test]
fn a_panel_gets_its_series() {
    let answer = ask(&format!(
        "SELECT mean(\"no2\") FROM \"air\" WHERE {RANGE} GROUP BY time(1h) fill(null)"
    ));
    assert_eq!(
        column(&answer, 0),
        [
            1_585_425_600_000_i64,
            1_585_429_200_000,
            1_585_432_800_000,
            1_585_436_400_000
        ]
    );
    let series = &answer["results"][0]["series"][0];
    assert_eq!(series["columns"], json!(["time", "mean"]));
    assert_eq!(series.get("tags"), None);
}

#[test]
fn series_have_the_tags_that_alias_patterns_show() {
    let answer = ask(&format!(
        "SELECT mean(\"no2\") AS \"NO2\", max(\"pm\") FROM \"db\".\"autogen\".\"air\" \
         WHERE (\"area\" =~ /^(north)$/) AND {RANGE} GROUP BY time(10m), \"box\", \"area\" fill(none) ORDER BY time ASC"
    ));
    let series = answer["results"][0]["series"].as_array().unwrap();
    let tags: Vec<&Value> = series.iter().map(|it| &it["tags"]).collect();
    assert_eq!(
        tags,
        [
            &json!({ "area": "north", "box": "1" }),
            &json!({ "area": "north", "box": "2" })
        ]
    );
    assert_eq!(series[0]["columns"], json!(["time", "NO2", "max"]));
    assert_eq!(series[0]["name"], "air");
}

#[test]
fn several_variables_become_a_regular_expression() {
    for boxes in ["/^(1|3)$/", "/^(?:1|3)$/", "/^[13]$/"] {
        let answer = ask(&format!(
            "SELECT count(\"no2\") FROM \"air\" WHERE \"box\" =~ {boxes} AND {RANGE} GROUP BY \"box\""
        ));
        let series = answer["results"][0]["series"].as_array().unwrap();
        assert_eq!(series.len(), 2, "{boxes}");
    }
    let answer = ask(&format!(
        "SELECT last(\"no2\") FROM \"air\" WHERE \"box\" !~ /^1$/ AND \"box\" != '2' AND {RANGE} GROUP BY *"
    ));
    assert_eq!(answer["results"][0]["series"].as_array().unwrap().len(), 2);
}

#[test]
fn rates_and_sums_of_subqueries() {
    let answer = ask(&format!(
        "SELECT non_negative_derivative(max(\"total\"), 1h) FROM \"counter\" WHERE {RANGE} GROUP BY time(1h) fill(null)"
    ));
    assert_eq!(column(&answer, 1), [1.0, 3.0, 5.0]);
    let answer = ask(&format!(
        "SELECT sum(\"m\") FROM (SELECT mean(\"no2\") AS \"m\" FROM \"air\" WHERE {RANGE} GROUP BY time(1h), \"box\") \
         WHERE {RANGE} GROUP BY time(1h) fill(0)"
    ));
    assert_eq!(column(&answer, 0).len(), 4);
}

#[test]
fn an_empty_panel_is_no_error() {
    let answer = ask(
        "SELECT mean(\"no2\") FROM \"air\" WHERE time >= 1ms and time <= 2ms GROUP BY time(1s) fill(null)",
    );
    assert_eq!(answer, json!({ "results": [{ "statement_id": 0 }] }));
}

#[test]
fn annotations_and_logs_are_rows_of_text() {
    let answer = ask(&format!(
        "SELECT \"note\", \"box\" FROM \"air\" WHERE \"note\" =~ /(rain|sun)/ AND {RANGE} ORDER BY time DESC LIMIT 2"
    ));
    assert_eq!(column(&answer, 0).len(), 2);
    let newest = column(&answer, 1)[0].as_str().unwrap().to_owned();
    assert!(
        newest.contains("rain") || newest.contains("sun"),
        "{newest}"
    );
}

#[test]
fn panels_of_one_dashboard_come_in_one_request() {
    let answer = ask(&format!(
        "SELECT last(\"no2\") FROM \"air\" WHERE {RANGE};\nSELECT spread(\"laeq\") FROM \"noise\" WHERE {RANGE}"
    ));
    let results = answer["results"].as_array().unwrap();
    let ids: Vec<&Value> = results.iter().map(|it| &it["statement_id"]).collect();
    assert_eq!(ids, [0, 1]);
}
