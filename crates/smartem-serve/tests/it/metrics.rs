use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use smartem_model::QuarantineReason;
use smartem_serve::Planned;
use smartem_store::{Intake, Quarantined, RunCount, RunResult};

use crate::support::{World, ask, at};

/// A world in which something of everything happened.
async fn busy() -> World {
    let world = World::filled().await;
    world.receive("3003", 2).await;
    let quarantined = Quarantined {
        station: None,
        place: "https://example.org/1".into(),
        reason: QuarantineReason::MalformedRecord,
        detail: "no object".into(),
        body: b"[]".to_vec(),
    };
    let intake = Intake {
        process: "harvester-whale".into(),
        source: "test".into(),
        network: "whale".into(),
        project: None,
        now: at("2026-11-15T13:00:00Z"),
        records: Vec::new(),
        quarantined: vec![quarantined],
        understood: Vec::new(),
        checkpoints: Vec::new(),
    };
    world.store.take_in(intake).await.unwrap();
    let run = world
        .store
        .start_run("refiner", at("2026-11-15T13:00:00Z"))
        .await
        .unwrap();
    let count = |name: &str, label: &str, add| RunCount {
        name: name.into(),
        label: label.into(),
        add,
    };
    let result = RunResult {
        outcome: "done".into(),
        exit_code: 0,
        summary: json!({}),
        counters: vec![
            count("records_read", "", 3),
            count("samples_rejected", "below_minimum", 7),
            count("samples-rejected", "below_minimum", 1),
            count("samples_rejected", "a \"quoted\\\n label", 1),
        ],
        now: at("2026-11-15T13:00:02.5Z"),
    };
    world.store.finish_run(run, result).await.unwrap();
    world
        .store
        .start_run("last", at("2026-11-15T13:01:00Z"))
        .await
        .unwrap();
    world.get("/api/v1/stations").await;
    world.get("/api/v1/stations/nowhere").await;
    world
}

#[tokio::test]
async fn the_numbers_are_those_of_the_store() {
    let world = busy().await;
    let answer = world.get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let samples = parse(answer.text());
    for (sample, value) in [
        (
            "smartem_build_info{version=\"0.1.0\",commit=\"unknown\"}",
            1.0,
        ),
        ("smartem_store_up", 1.0),
        ("smartem_stations", 3.0),
        ("smartem_observations", 6.0),
        ("smartem_raw_records", 5.0),
        ("smartem_raw_records_dirty", 2.0),
        (
            "smartem_quarantine_open{stage=\"harvest\",reason=\"malformed_record\"}",
            1.0,
        ),
        (
            "smartem_last_observation_timestamp_seconds{network=\"whale\"}",
            1_794_747_600.0,
        ),
        (
            "smartem_last_observation_timestamp_seconds{network=\"push\"}",
            1_794_748_200.0,
        ),
        (
            "smartem_etl_last_run_timestamp_seconds{process=\"refiner\"}",
            1_794_747_600.0,
        ),
        (
            "smartem_etl_last_run_duration_seconds{process=\"refiner\"}",
            2.5,
        ),
        ("smartem_etl_last_run_exit_code{process=\"refiner\"}", 0.0),
        (
            "smartem_etl_last_success_timestamp_seconds{process=\"refiner\"}",
            1_794_747_602.5,
        ),
        (
            "smartem_etl_records_read_total{process=\"refiner\",label=\"\"}",
            3.0,
        ),
        (
            "smartem_etl_samples_rejected_total{process=\"refiner\",label=\"below_minimum\"}",
            8.0,
        ),
        ("process_start_time_seconds", 1_794_748_230.0),
        (
            "smartem_http_requests_total{method=\"GET\",route=\"/api/v1/stations\",status=\"200\"}",
            1.0,
        ),
        (
            "smartem_http_requests_total{method=\"GET\",route=\"/api/v1/stations/{id}\",status=\"404\"}",
            1.0,
        ),
        (
            "smartem_http_request_duration_seconds_count{method=\"GET\",route=\"/api/v1/stations\"}",
            1.0,
        ),
    ] {
        assert_eq!(
            samples.get(sample),
            Some(&value),
            "{sample} in\n{}",
            answer.text()
        );
    }
    assert!(!samples.contains_key("smartem_etl_last_run_exit_code{process=\"last\"}"));
    assert!(!samples.contains_key("smartem_etl_last_success_timestamp_seconds{process=\"last\"}"));
    assert!(samples.contains_key("smartem_etl_last_run_timestamp_seconds{process=\"last\"}"));
}

/// Reads the text format strictly; the samples by name and labels.
fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let (mut helped, mut family, mut kind) = (String::new(), String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(
                !help.is_empty() && families.insert(name.to_owned()),
                "{line}"
            );
            name.clone_into(&mut helped);
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, type_name) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "TYPE without HELP");
            assert!(["gauge", "counter", "histogram"].contains(&type_name));
            assert_eq!(name.ends_with("_total"), type_name == "counter", "{line}");
            // What promtool calls units that are no base units.
            let units = ["minutes", "hours", "days", "weeks", "milliseconds"];
            assert!(!name.split('_').any(|word| units.contains(&word)), "{line}");
            name.clone_into(&mut family);
            type_name.clone_into(&mut kind);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect(line)),
            None => (series, ""),
        };
        let suffix = name.strip_prefix(family.as_str()).expect(line);
        let suffixes: &[&str] = match kind.as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{line}"
        );
        check_labels(labels);
        let value: f64 = value.parse().expect(line);
        assert!(
            samples.insert(series.to_owned(), value).is_none(),
            "twice: {line}"
        );
    }
    samples
}

fn check_labels(mut rest: &str) {
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").expect(rest);
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = c == '"' && !escaped;
            assert!(!escaped || matches!(c, '"' | '\\' | 'n'), "{after}");
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &after[end.expect(after) + 1..];
        if let Some(more) = rest.strip_prefix(',') {
            rest = more;
        } else {
            assert_eq!(rest, "");
        }
    }
}

#[tokio::test]
async fn a_station_is_stale_when_its_newest_value_is_too_old() {
    let world = World::filled().await;
    // Never had a value, and never will.
    world.receive("3003", 1).await;
    // The newest value of 1001 ends at 13:00, that of the other at 13:10; two hours are allowed.
    for (now, stale) in [
        ("2026-11-15T13:10:30Z", ["1", "0"]),
        ("2026-11-15T15:00:00Z", ["1", "0"]),
        ("2026-11-15T15:01:00Z", ["2", "0"]),
        ("2026-11-15T15:10:00Z", ["2", "0"]),
        ("2026-11-15T15:11:00Z", ["2", "1"]),
    ] {
        world.set_clock(now);
        let samples = parse(world.get("/metrics").await.text());
        let of = |family: &str| {
            ["whale", "push"]
                .map(|it| samples[&format!("{family}{{network=\"{it}\"}}")].to_string())
        };
        assert_eq!(of("smartem_stations_stale"), stale, "{now}");
        assert_eq!(of("smartem_stations_by_network"), ["2", "1"], "{now}");
    }
}

#[tokio::test]
async fn stations_are_looked_at_once_a_minute() {
    let world = World::filled().await;
    let stations = async || {
        let samples = parse(world.get("/metrics").await.text());
        samples["smartem_stations_by_network{network=\"whale\"}"].to_string()
    };
    assert_eq!(stations().await, "1");
    world.receive("3003", 1).await;
    world.set_clock("2026-11-15T13:10:59Z");
    assert_eq!(stations().await, "1");
    world.set_clock("2026-11-15T13:11:00Z");
    assert_eq!(stations().await, "2");
}

#[tokio::test]
async fn what_is_planned_is_told_where_it_is_known() {
    let world = World::filled().await;
    let text = world.get("/metrics").await.text().to_owned();
    assert!(!text.contains("smartem_etl_schedule_interval_seconds"));
    assert!(!text.contains("smartem_etl_source"));
    let sources = [
        ("harvester-whale", vec!["intemo", "city"]),
        ("harvester-csv", vec![]),
    ];
    let sources = sources.map(|(process, sources)| {
        let sources = sources.into_iter().map(str::to_owned);
        (process.to_owned(), sources.collect())
    });
    let planned = Planned {
        schedules: [("refiner".to_owned(), Duration::from_secs(300))].into(),
        sources: sources.into(),
    };
    let mut state = world.state.clone();
    state.planned = Some(Arc::new(planned));
    let answer = ask(&smartem_serve::router(state), "GET", "/metrics", &[]).await;
    let samples = parse(answer.text());
    for (sample, value) in [
        (
            "smartem_etl_schedule_interval_seconds{process=\"refiner\"}",
            300.0,
        ),
        ("smartem_etl_sources{process=\"harvester-whale\"}", 2.0),
        ("smartem_etl_sources{process=\"harvester-csv\"}", 0.0),
        (
            "smartem_etl_source_info{process=\"harvester-whale\",source=\"intemo\"}",
            1.0,
        ),
        (
            "smartem_etl_source_info{process=\"harvester-whale\",source=\"city\"}",
            1.0,
        ),
    ] {
        assert_eq!(samples.get(sample), Some(&value), "{sample}");
    }
}

/// The one sample of a family without labels.
fn number(samples: &BTreeMap<String, f64>, name: &str) -> f64 {
    *samples.get(name).unwrap_or_else(|| panic!("no {name}"))
}

#[tokio::test]
async fn the_program_and_its_disk_are_told() {
    let world = World::filled().await;
    let told = async || parse(world.get("/metrics").await.text());
    let before = told().await;
    let size = number(&before, "smartem_disk_size_bytes{place=\"data\"}");
    let free = number(&before, "smartem_disk_free_bytes{place=\"data\"}");
    assert!(0.0 < free && free <= size, "{free} of {size}");
    assert!(number(&before, "process_resident_memory_bytes") > 1e6);
    assert!(number(&before, "smartem_store_read_seconds") > 0.0);
    let open = number(&before, "process_open_fds");
    assert!(open <= number(&before, "process_max_fds"));
    // Many more than other tests open and close meanwhile.
    let files: Vec<_> = (0..200)
        .map(|_| std::fs::File::open("/dev/null").unwrap())
        .collect();
    let spent = number(&before, "process_cpu_seconds_total");
    let since = std::time::Instant::now();
    while since.elapsed() < Duration::from_millis(50) {
        std::hint::spin_loop();
    }
    let after = told().await;
    assert!(number(&after, "process_open_fds") > open + 50.0);
    assert!(number(&after, "process_cpu_seconds_total") > spent + 0.01);
    drop(files);
    // An embedded store has no connections.
    assert!(!after.keys().any(|it| it.contains("store_pool")));
}

#[tokio::test]
async fn a_folder_that_is_not_there_has_no_disk() {
    let world = World::filled().await;
    std::fs::remove_dir_all(world.store.dir()).unwrap();
    let samples = parse(world.get("/metrics").await.text());
    assert!(!samples.keys().any(|it| it.contains("smartem_disk")));
    assert!(samples.contains_key("process_open_fds"));
}

#[tokio::test]
async fn buckets_grow_up_to_the_count() {
    let world = busy().await;
    let samples = parse(world.get("/metrics").await.text());
    let labels = "method=\"GET\",route=\"/api/v1/stations\"";
    let name = "smartem_http_request_duration_seconds";
    let bound = |le: &str| samples[&format!("{name}_bucket{{{labels},le=\"{le}\"}}")];
    let bounds = [
        "0.005", "0.025", "0.1", "0.25", "0.5", "1", "5", "30", "+Inf",
    ]
    .map(bound);
    assert!(bounds.is_sorted());
    assert_eq!(
        bounds.last(),
        Some(&samples[&format!("{name}_count{{{labels}}}")])
    );
}

#[tokio::test]
async fn promtool_has_no_objection() {
    let text = busy().await.get("/metrics").await.text().to_owned();
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
