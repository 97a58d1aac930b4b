//! The command line of InfluxDB (Debian `influxdb-client`) against the collector.

use std::process::Command;

use super::Collector;
use crate::support::{Place, text};

/// Runs a statement with `influx`, as the user with the token of the first start.
fn influx(collector: &Collector, arguments: &[&str]) -> String {
    let url = url::Url::parse(&collector.service.url).unwrap();
    let port = url.port().unwrap().to_string();
    let ran = Command::new("influx")
        .args(["-host", "127.0.0.1", "-port", &port])
        .args(["-username", "admin", "-password", &collector.token])
        .args(arguments)
        .output();
    let ran = ran.unwrap_or_else(|error| {
        panic!("`influx` is needed ({error}): install Debian's influxdb-client")
    });
    let (out, err) = (text(&ran.stdout), text(&ran.stderr));
    assert!(ran.status.success(), "{arguments:?}: {out}{err}");
    out
}

#[test]
fn the_command_line_of_influxdb_makes_a_database_writes_and_asks() {
    let place = Place::new();
    place.write("smartem.toml", "[collect.mqtt]\nenabled = false\n");
    let up = Collector::start(&place, "up");
    influx(&up, &["-execute", "CREATE DATABASE air"]);
    let databases = influx(&up, &["-execute", "SHOW DATABASES", "-format", "csv"]);
    assert!(
        databases.lines().any(|line| line == "databases,air"),
        "{databases}"
    );
    let insert = "INSERT no2,box=a value=21.5,ok=true 1700000000000000000";
    influx(&up, &["-database", "air", "-execute", insert]);
    let rows = influx(
        &up,
        &[
            "-database",
            "air",
            "-format",
            "csv",
            "-execute",
            "SELECT * FROM no2",
        ],
    );
    assert!(
        rows.contains("no2,1700000000000000000,a,true,21.5"),
        "{rows}"
    );
    let means = influx(
        &up,
        &[
            "-database",
            "air",
            "-format",
            "json",
            "-precision",
            "rfc3339",
            "-execute",
            "SELECT mean(value) FROM no2 WHERE time >= '2023-11-14T22:00:00Z' AND time < \
             '2023-11-15' GROUP BY time(1h) fill(none)",
        ],
    );
    let means: serde_json::Value = serde_json::from_str(&means).unwrap();
    assert_eq!(
        means["results"][0]["series"][0]["values"],
        serde_json::json!([["2023-11-14T22:00:00Z", 21.5]])
    );
}
