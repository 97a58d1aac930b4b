use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use smartem_collect::harvest::csv::{Csv, CsvConfig, Mapping};
use smartem_etl::{ExitCode, Outcome};
use smartem_model::{Hour, StationId};
use smartem_store::{Selection, Standing};
use tokio::net::TcpListener;

use crate::recorder::{Bench, shared, vocabulary};

const NOW: &str = "2026-11-22T12:30:00Z";
const SETTINGS: &str = "station_column = \"station\"\ntime_column = \"time\"\ncolumns.pm10 = \"pm10\"\ncolumns.temperature = \"t\"\nmissing = [\"NA\"]";

async fn bench() -> Bench {
    Bench::new("harvester-csv", NOW).await
}

fn config(path: &Path, settings: &str) -> CsvConfig {
    let mapping: Mapping = toml::from_str(settings).unwrap();
    let mut config = CsvConfig::new("test", mapping);
    config.path = Some(path.to_owned());
    config
}

fn csv(path: &Path, settings: &str) -> Csv {
    Csv::new(config(path, settings), Some(&vocabulary())).unwrap()
}

fn preset(path: &Path, preset: &str, settings: &str) -> Csv {
    let mut config = config(path, settings);
    config.preset = Some(preset.to_owned());
    Csv::new(config, Some(&vocabulary())).unwrap()
}

/// Five minutes by five minutes, in each all stations: as exports are often sorted.
fn interleaved(stations: u32, steps: u32) -> String {
    let mut text = "station,time,pm10,t\n".to_owned();
    for step in 0..steps {
        for station in 0..stations {
            let (day, hour, minute) = (1 + step / 288, step / 12 % 24, step % 12 * 5);
            let time = format!("2026-01-{day:02} {hour:02}:{minute:02}:00");
            writeln!(text, "s{station},{time},{step}.25,NA").unwrap();
        }
    }
    text
}

#[tokio::test]
async fn a_file_becomes_hours_with_exact_numbers() {
    let bench = bench().await;
    let file = bench.dir.path().join("a.csv");
    fs::write(
        &file,
        "\u{feff}station;time;pm10;t\r\nx;2026-01-01T00:00:00Z;12.30;NA\r\n\r\n\"x\";2026-01-01 00:59:59;;-0.5\r\nx;2026-01-01 01:00:00;NA;NA\r\ny;2026-01-01 01:00:00;7;1",
    )
    .unwrap();
    let report = bench.run(csv(&file, SETTINGS)).await;
    assert_eq!(report.outcome, Some(Outcome::Done), "{}", report.summary);
    let record = bench.record.lock().unwrap();
    assert_eq!(record.standings(), [Standing::Part]);
    assert_eq!(
        record.of("test:x"),
        [
            json!({"time": "2026-01-01T00:00:00Z", "pm10": 12.3}),
            json!({"time": "2026-01-01T00:59:59Z", "temperature": -0.5}),
        ]
    );
    assert_eq!(record.of("test:y").len(), 1);
    assert_eq!(record.hours.len(), 2);
    assert!(report.summary.contains("no_value 1"), "{}", report.summary);
}

#[tokio::test]
async fn a_bad_row_is_set_aside_alone_until_it_is_mended() {
    let bench = bench().await;
    let file = bench.dir.path().join("a.csv");
    let good = "station,time,pm10,t\na,2026-01-01 00:00:00,1,1\n";
    fs::write(
        &file,
        format!("{good}a,2026-01-01 00:10:00,2\na,2026-01-01 00:20:00,3,1,9\na,soon,4,1\na,2026-01-01 00:40:00,n/a,1\n,2026-01-01 00:50:00,6,1\na,2026-01-01 00:55:00,7,1\n"),
    )
    .unwrap();
    let report = bench.run(csv(&file, SETTINGS)).await;
    assert_eq!(report.exit_code, ExitCode::Ok);
    assert_eq!(bench.record.lock().unwrap().count(), 2);
    let open = bench.open_quarantine().await;
    let expected = [
        ("a.csv:3", "3 fields where the header names 4"),
        ("a.csv:4", "5 fields"),
        ("a.csv:5", "column `time`: `soon` is no time"),
        (
            "a.csv:6",
            "column `pm10`: `n/a` is no number; if it stands for no value, list it in `missing`",
        ),
        ("a.csv:7", "column `station` names no station"),
    ];
    assert_eq!(open.len(), expected.len(), "{open:?}");
    for ((place, detail), (line, words)) in open.iter().zip(expected) {
        assert_eq!(place, line);
        assert!(detail.contains(words), "{detail}");
    }
    // The same file with other settings is read again.
    let also_missing = SETTINGS.replace("[\"NA\"]", "[\"NA\", \"n/a\"]");
    bench.run(csv(&file, &also_missing)).await;
    let open = bench.open_quarantine().await;
    assert!(open.len() == 4 && open.iter().all(|(place, _)| place != "a.csv:6"));
    // A shorter file has no row 3 any more.
    fs::write(&file, good).unwrap();
    bench.run(csv(&file, &also_missing)).await;
    assert_eq!(bench.open_quarantine().await, []);
}

#[tokio::test]
async fn a_corrected_row_takes_the_place_of_the_one_before_where_a_row_is_an_hour() {
    let bench = bench().await;
    let file = bench.dir.path().join("a.csv");
    let header = "\"station_number\",\"date\",\"NO2\"\n";
    for value in ["4.7", "47.25"] {
        fs::write(
            &file,
            format!("{header}\"NL1\",2020-02-10 00:00:00,{value}\n"),
        )
        .unwrap();
        bench.run(preset(&file, "luchtmeetnet", "")).await;
    }
    let station = StationId::new("test:NL1").unwrap();
    let hour = Hour::new("2020-02-09".parse().unwrap(), 24).unwrap();
    let stored = bench
        .store
        .raw_record(&station, hour)
        .await
        .unwrap()
        .unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored.to_json()).unwrap();
    assert_eq!(
        stored["data"]["timeseries"],
        json!([{"time": "2020-02-09T23:00:00Z", "meta_id": "reference", "no2": 47.25}])
    );
}

#[tokio::test]
async fn of_many_bad_rows_the_further_ones_are_counted() {
    let bench = bench().await;
    let file = bench.dir.path().join("a.csv");
    let rows = "a,never,0,1\n".repeat(250);
    fs::write(&file, format!("station,time,pm10,t\n{rows}")).unwrap();
    bench.run(csv(&file, SETTINGS)).await;
    let open = bench.open_quarantine().await;
    assert_eq!(open.len(), 101);
    let rest = open
        .iter()
        .find(|(place, _)| place == "a.csv#rest")
        .unwrap();
    assert!(
        rest.1
            .starts_with("150 further bad rows; the first of them: line 102"),
        "{rest:?}"
    );
}

#[tokio::test]
async fn a_file_with_another_header_is_set_aside_and_the_others_are_read() {
    let bench = bench().await;
    let folder = bench.dir.path().join("in");
    fs::create_dir_all(folder.join("deep")).unwrap();
    fs::write(folder.join("a.csv"), "place,time,pm10\n1,2,3\n").unwrap();
    fs::write(
        folder.join("deep/b.CSV"),
        "station,time,pm10\na,2026-01-01 00:00:00,1\n",
    )
    .unwrap();
    fs::write(folder.join("empty.csv"), "").unwrap();
    fs::write(folder.join("header.csv"), "station,time,pm10\n").unwrap();
    fs::write(folder.join("notes.txt"), "no").unwrap();
    let report = bench.run(csv(&folder, SETTINGS)).await;
    assert!(
        report.summary.contains("files_read 4"),
        "{}",
        report.summary
    );
    assert_eq!(bench.record.lock().unwrap().count(), 1);
    let open = bench.open_quarantine().await;
    assert!(
        open.len() == 1 && open[0].1.contains("no column `station`"),
        "{open:?}"
    );
}

#[tokio::test]
async fn a_killed_read_goes_on_where_it_was_and_leaves_the_same() {
    let text = interleaved(100, 444);
    let whole = bench().await;
    let file = whole.dir.path().join("a.csv");
    fs::write(&file, &text).unwrap();
    whole.run(csv(&file, SETTINGS)).await;
    let expected = whole.record.lock().unwrap().hours.clone();
    assert_eq!(expected.len(), 3700);
    assert_eq!(whole.record.lock().unwrap().count(), 44_400);

    let cut = bench().await;
    let file = cut.dir.path().join("a.csv");
    fs::write(&file, &text).unwrap();
    let report = cut.run_until(csv(&file, SETTINGS), 3).await;
    assert_eq!(report.outcome, Some(Outcome::Stopped));
    let first = cut.record.lock().unwrap().order.len();
    let report = cut.run(csv(&file, SETTINGS)).await;
    assert_eq!(report.outcome, Some(Outcome::Done));
    {
        let record = cut.record.lock().unwrap();
        // A piece is 20000 samples: 200 steps, in the seventeenth hour of every station.
        assert_eq!(first, 1700);
        // The hour in which the first piece ends comes with both, and so at the next end.
        assert_eq!(record.order.len(), 1700 + 1800 + 400);
        assert!(record.hours == expected);
        // Station after station within a piece, however the file is sorted.
        let changes = record
            .order
            .windows(2)
            .filter(|pair| pair[0].0.0 != pair[1].0.0);
        assert!(changes.count() < 500);
    }
    cut.forget();
    cut.run(csv(&file, SETTINGS)).await;
    assert_eq!(cut.record.lock().unwrap().order.len(), 0);
}

#[tokio::test]
async fn a_replay_reads_again_what_it_is_asked_for() {
    let mut bench = bench().await;
    let file = bench.dir.path().join("a.csv");
    fs::write(&file, interleaved(2, 576)).unwrap();
    bench.run(csv(&file, SETTINGS)).await;
    bench.forget();
    bench.replay = Some(Selection {
        from: Hour::new("2026-01-02".parse().unwrap(), 1),
        ..Selection::default()
    });
    bench.run(csv(&file, SETTINGS)).await;
    assert_eq!(bench.record.lock().unwrap().order.len(), 48);
}

#[tokio::test]
async fn compressed_files_and_archives_give_the_same() {
    let bench = bench().await;
    let folder = bench.dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    let text = interleaved(3, 360);
    let gzip = fs::File::create(folder.join("a.csv.gz")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap();
    let zip = fs::File::create(folder.join("b.zip")).unwrap();
    let mut zip = zip::ZipWriter::new(zip);
    let options = zip::write::SimpleFileOptions::default();
    for (name, text) in [
        (
            "x/one.csv",
            text.replace('s', "z").replace("ztation", "station"),
        ),
        (
            "two.csv",
            "station,time,pm10\nq,2026-01-01 00:00:00,bad\n".to_owned(),
        ),
    ] {
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let whole = fs::read(folder.join("a.csv.gz")).unwrap();
    fs::write(folder.join("cut.csv.gz"), &whole[..whole.len() - 20]).unwrap();
    bench.run(csv(&folder, SETTINGS)).await;
    {
        let record = bench.record.lock().unwrap();
        for station in ["test:s0", "test:s2", "test:z1"] {
            assert_eq!(record.of(station).len(), 360, "{station}");
        }
    }
    let open = bench.open_quarantine().await;
    let places: Vec<&str> = open.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["b.zip/two.csv:2", "cut.csv.gz"]);
    fs::write(folder.join("cut.csv.gz"), &whole).unwrap();
    bench.run(csv(&folder, SETTINGS)).await;
    assert_eq!(bench.open_quarantine().await.len(), 1);
}

#[tokio::test]
async fn an_address_is_read_again_only_when_it_has_changed() {
    let body = Arc::new(Mutex::new(
        "station,time,pm10\na,2026-01-01 00:00:00,1\n".to_owned(),
    ));
    let served = body.clone();
    let answer = move |headers: axum::http::HeaderMap| {
        let body = served.lock().unwrap().clone();
        async move {
            let etag = format!("\"{}\"", body.len());
            if headers
                .get(IF_NONE_MATCH)
                .is_some_and(|known| *known == *etag)
            {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            ([(ETAG, etag)], body).into_response()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/data.csv?key=secret",
        listener.local_addr().unwrap()
    );
    let gone = url.replace("data.csv", "gone.csv");
    let router = Router::new().route("/data.csv", get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let bench = bench().await;
    let source = || {
        let mut config = config(Path::new("none"), SETTINGS);
        config.path = None;
        config.urls = vec![gone.parse().unwrap(), url.parse().unwrap()];
        Csv::new(config, None).unwrap()
    };
    let report = bench.run(source()).await;
    assert_eq!(report.outcome, Some(Outcome::Done));
    assert!(
        report.summary.contains("files_unreachable 1"),
        "{}",
        report.summary
    );
    bench.run(source()).await;
    assert_eq!(bench.record.lock().unwrap().order.len(), 1);
    body.lock().unwrap().push_str("a,2026-01-01 02:00:00,2\n");
    bench.run(source()).await;
    assert_eq!(bench.record.lock().unwrap().order.len(), 3);
    let known = bench
        .store
        .checkpoints("harvester-csv", "test")
        .await
        .unwrap();
    assert!(!format!("{known:?}").contains("secret"));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_write() {
    let refused = |settings: &str| {
        let config = config(Path::new("x"), settings);
        Csv::new(config, Some(&vocabulary()))
            .err()
            .unwrap()
            .to_string()
    };
    for (settings, words) in [
        (
            "time_column = \"t\"\ncolumns.pm10 = \"x\"",
            "station_column",
        ),
        ("station = \"a\"\ncolumns.pm10 = \"x\"", "time_column"),
        ("station = \"a\"\ntime_column = \"t\"", "columns.pm10"),
        (
            "station = \"a\"\ntime_column = \"t\"\ncolumns.x = { column = \"x\", unit = \"m\" }",
            "factor",
        ),
        (
            "station = \"a\"\ntime_column = \"t\"\ncolumns.co = { column = \"x\", unit = \"m\" }",
            "`m` is not known",
        ),
    ] {
        assert!(
            refused(settings).contains(words),
            "{settings}: {}",
            refused(settings)
        );
    }
}

#[tokio::test]
async fn one_value_in_a_row_comes_to_the_key_that_it_names() {
    let bench = bench().await;
    let file = bench.dir.path().join("a.csv");
    fs::write(&file, "createdAt,box,phenomenon,value\n2026-01-01T00:00:00.5Z,b,PM10,3.5\n2026-01-01T00:00:00.5Z,b,Druck,101325\n2026-01-01T00:00:00.5Z,b,Licht,9\n").unwrap();
    let settings = "station_column = \"box\"\ntime_column = \"createdAt\"\nkey_column = \"phenomenon\"\nvalue_column = \"value\"\ncolumns.pm10 = \"PM10\"\ncolumns.pressure = { column = \"Druck\", unit = \"Pa\" }";
    bench.run(csv(&file, settings)).await;
    assert_eq!(
        bench.record.lock().unwrap().samples(),
        [
            json!({"time": "2026-01-01T00:00:00.5Z", "pm10": 3.5}),
            json!({"time": "2026-01-01T00:00:00.5Z", "pressure": 1013.25}),
        ]
    );
}

/// Samples, station-hours and set-aside rows of a recorded file or folder.
async fn counts(sample: &str, name: &str, settings: &str) -> Option<(Bench, [usize; 3])> {
    let path = shared(sample)?;
    let mut bench = bench().await;
    bench.takes.raw = false;
    bench.takes.last = false;
    let report = bench.run(preset(&path, name, settings)).await;
    assert_eq!(report.outcome, Some(Outcome::Done), "{}", report.summary);
    let counted = {
        let record = bench.record.lock().unwrap();
        [record.count(), record.hours.len(), 0]
    };
    let open = bench.open_quarantine().await.len();
    Some((bench, [counted[0], counted[1], open]))
}

#[tokio::test]
async fn recorded_days_of_the_sensor_community_archive() {
    let folder = "sensor-community-archive/2018-11-01";
    let Some((bench, counts)) = counts(folder, "sensor-community-archive", "").await else {
        return;
    };
    assert_eq!(counts, [2292, 96, 0]);
    let record = bench.record.lock().unwrap();
    assert_eq!(record.standings(), [Standing::Archive]);
    assert_eq!(
        record.of("49313121")[0],
        json!({
            "time": "2018-11-01T00:00:55Z", "meta_id": "SDS011-5331", "latitude": 57.138,
            "longitude": -2.077, "pm10": 2.17, "pm2_5": 1.5,
        })
    );
}

#[tokio::test]
async fn rows_of_the_firmware_have_more_fields_than_its_header_and_shift_nothing() {
    let folder = "sensor-community-archive/madavi";
    let Some((bench, counts)) = counts(folder, "madavi", "").await else {
        return;
    };
    // Of each file a hundred rows one by one and the number of the others.
    assert_eq!(counts, [0, 0, 202]);
    let open = bench.open_quarantine().await;
    assert!(
        open.iter()
            .any(|(_, detail)| detail.starts_with("22 fields where the header names 20"))
    );
}

#[tokio::test]
async fn recorded_hours_of_uci() {
    let Some((bench, counts)) = counts("uci-airquality", "uci-air-quality", "").await else {
        return;
    };
    // Of 6366 rows 31 hold nothing but -200.
    assert_eq!(counts, [6335, 6335, 0]);
    let record = bench.record.lock().unwrap();
    let first = &record.of("test:AirQualityUCI")[0];
    assert_eq!(first["time"], "2004-03-10T17:00:00Z");
    assert_eq!(record.standings(), [Standing::Whole]);
    // 2.6 mg/m3
    assert_eq!(first["co"], 2600.0);
    assert_eq!(first["no2"], 113.0);
    assert_eq!(first["PT08_S1_CO"], 1360.0);
}

#[tokio::test]
async fn recorded_hours_of_samen_meten_and_luchtmeetnet() {
    let sensors = "rivm-samenmeten-csv/Voorbeeld_sensoren.csv";
    let Some((bench, counted)) = counts(sensors, "rivm-samenmeten", "").await else {
        return;
    };
    assert_eq!(counted, [27_965, 27_965, 0]);
    {
        let record = bench.record.lock().unwrap();
        let first = &record.of("test:HLL_hl_device_001")[0];
        assert_eq!(first["time"], "2020-02-07T00:00:00Z");
        assert_eq!(first["pm10"], 24.54);
        assert_eq!(first["pm10_kal"], 23.765);
        assert_eq!(first.get("temperature"), None);
    }
    let reference = "rivm-samenmeten-csv/Voorbeeld_luchtmeetnet.csv";
    let (bench, counted) = counts(reference, "luchtmeetnet", "").await.unwrap();
    assert_eq!(counted, [6075, 6075, 0]);
    let record = bench.record.lock().unwrap();
    let hours = record.of("test:NL49701");
    let midnight = hours
        .iter()
        .find(|s| s["time"] == "2020-02-09T23:00:00Z")
        .unwrap();
    assert_eq!(midnight["no2"], 4.7);
}

#[tokio::test]
async fn recorded_hours_of_aberdeen_and_values_of_opensensemap() {
    let Some((bench, counted)) = counts("aberdeen-reference", "aberdeen", "").await else {
        return;
    };
    assert_eq!(counted, [21_824, 21_824, 0]);
    {
        let record = bench.record.lock().unwrap();
        let first = &record.of("test:aberdeen-errol-place")[0];
        assert_eq!(first["time"], "2017-10-01T00:00:00Z");
        assert_eq!(first["o3"], 19.0);
    }
    let settings = "columns.pm2_5 = \"value\"";
    let (bench, counted) = counts("opensensemap", "opensensemap", settings)
        .await
        .unwrap();
    assert_eq!((counted[0], counted[2]), (9452, 0));
    let record = bench.record.lock().unwrap();
    let first = &record.of("test:61056a6a95edc2001b2dd4ce")[0];
    assert_eq!(first["time"], "2023-02-27T06:00:00.302Z");
}

#[tokio::test]
async fn stations_whose_number_begins_as_a_year_are_kept_apart() {
    let bench = bench().await;
    let folder = bench.dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    for (name, value) in [
        ("data-esp8266-2654427-2018-05-11.csv", 1),
        ("data-esp8266-2999999-2018-05-11.csv.gz", 2),
        ("data-esp8266-2018-05-1.csv", 3),
    ] {
        let text = format!("Time;SDS_P1\n2018/05/11 00:00:00;{value}\n");
        fs::write(folder.join(name), text).unwrap();
    }
    bench.run(preset(&folder, "madavi", "")).await;
    {
        let record = bench.record.lock().unwrap();
        assert_eq!(record.of("test:data-esp8266-2654427")[0]["pm10"], 1.0);
        assert_eq!(record.of("test:data-esp8266-2999999")[0]["pm10"], 2.0);
        assert_eq!(record.count(), 2);
    }
    let open = bench.open_quarantine().await;
    assert_eq!(open.len(), 1);
    assert!(open[0].1.contains("station_from_file"), "{open:?}");
}

/// The night in which clocks are put back, second by second, for three stations row by row.
fn night() -> String {
    let mut text = "station,time,pm10,t\n".to_owned();
    let start: jiff::civil::DateTime = "2026-10-25T00:00:00".parse().unwrap();
    for second in 0..5 * 3600 {
        // From three o'clock on for the first time the clock shows an hour less.
        let shown = if second < 3 * 3600 {
            second
        } else {
            second - 3600
        };
        let time = start
            .checked_add(jiff::SignedDuration::from_secs(shown))
            .unwrap();
        for station in ["a", "b", "c"] {
            writeln!(text, "{station},{time},{second},NA").unwrap();
        }
    }
    text
}

#[tokio::test]
async fn the_hour_that_comes_twice_is_kept_twice_also_after_a_kill() {
    let settings = format!("{SETTINGS}\ntime_zone = \"Europe/Amsterdam\"");
    let whole = bench().await;
    let file = whole.dir.path().join("a.csv");
    fs::write(&file, night()).unwrap();
    whole.run(csv(&file, &settings)).await;
    let expected = whole.record.lock().unwrap().hours.clone();
    {
        let record = whole.record.lock().unwrap();
        let start: jiff::Timestamp = "2026-10-24T22:00:00Z".parse().unwrap();
        for station in ["test:a", "test:b", "test:c"] {
            let samples = record.of(station);
            assert_eq!(samples.len(), 5 * 3600);
            for (second, sample) in (0_u32..).zip(&samples) {
                let time = start + jiff::SignedDuration::from_secs(second.into());
                assert_eq!(sample["time"], time.to_string());
                assert_eq!(sample["pm10"], f64::from(second));
            }
        }
    }
    // A piece is 20000 rows: the third one begins in the second passage of that hour.
    let cut = bench().await;
    let file = cut.dir.path().join("a.csv");
    fs::write(&file, night()).unwrap();
    let report = cut.run_until(csv(&file, &settings), 3).await;
    assert_eq!(report.outcome, Some(Outcome::Stopped));
    let known = cut.store.checkpoints("harvester-csv", "test").await;
    assert_eq!(known.unwrap()["a.csv"]["position"]["rows"], 40_000);
    cut.run(csv(&file, &settings)).await;
    assert!(cut.record.lock().unwrap().hours == expected);
}

fn archive(path: &Path, members: &[(&str, &str)]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, text) in members {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

#[tokio::test]
async fn hidden_files_are_left_out_and_an_archive_without_files_says_so() {
    let bench = bench().await;
    let folder = bench.dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    let good = "station,time,pm10\na,2026-01-01 00:00:00,1\n";
    archive(
        &folder.join("a.zip"),
        &[
            ("x/a.csv", good),
            ("x/._a.csv", "no"),
            ("__MACOSX/x/a.csv", "no"),
            (".b.csv", "no"),
        ],
    );
    fs::write(folder.join("._a.csv"), "no").unwrap();
    archive(&folder.join("empty.zip"), &[]);
    archive(&folder.join("other.zip"), &[("a.txt", "no")]);
    bench.run(csv(&folder, SETTINGS)).await;
    assert_eq!(bench.record.lock().unwrap().count(), 1);
    let open = bench.open_quarantine().await;
    let places: Vec<&str> = open.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["empty.zip", "other.zip"]);
    assert!(open.iter().all(|(_, detail)| detail.contains("no `*.csv`")));
    archive(&folder.join("empty.zip"), &[("a.csv", good)]);
    bench.run(csv(&folder, SETTINGS)).await;
    assert_eq!(bench.open_quarantine().await.len(), 1);
}

#[tokio::test]
async fn what_was_set_aside_of_files_that_are_gone_is_settled() {
    let bench = bench().await;
    let folder = bench.dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    let bad = "station,time,pm10\na,soon,1\n";
    for name in ["a.csv", "a.csv.gz", "b.csv", "header.csv"] {
        fs::write(folder.join(name), bad).unwrap();
    }
    fs::write(folder.join("header.csv"), "no\n").unwrap();
    archive(&folder.join("z.zip"), &[("1.csv", bad), ("2.csv", bad)]);
    let open = || async {
        let open = bench.open_quarantine().await.into_iter();
        open.map(|(place, _)| place).collect::<Vec<_>>()
    };
    bench.run(csv(&folder, SETTINGS)).await;
    assert_eq!(
        open().await,
        [
            "a.csv.gz:2",
            "a.csv:2",
            "b.csv:2",
            "header.csv",
            "z.zip/1.csv:2",
            "z.zip/2.csv:2"
        ]
    );
    fs::remove_file(folder.join("a.csv")).unwrap();
    fs::remove_file(folder.join("header.csv")).unwrap();
    fs::rename(folder.join("b.csv"), bench.dir.path().join("b.csv")).unwrap();
    archive(&folder.join("z.zip"), &[("2.csv", bad)]);
    bench.run(csv(&folder, SETTINGS)).await;
    assert_eq!(open().await, ["a.csv.gz:2", "z.zip/2.csv:2"]);
    // The same file is back.
    fs::rename(bench.dir.path().join("b.csv"), folder.join("b.csv")).unwrap();
    bench.run(csv(&folder, SETTINGS)).await;
    assert_eq!(open().await, ["a.csv.gz:2", "b.csv:2", "z.zip/2.csv:2"]);
}

#[test]
fn a_setting_that_would_read_nothing_or_wrong_is_refused_by_name_value_and_remedy() {
    let usual = "time_column = \"t\"\ncolumns.pm10 = \"x\"";
    for (setting, words) in [
        ("time_format = []", "`time_format`: [] |%d-%m-%Y"),
        ("time_format = [\"bla\"]", "`time_format`: `bla`|%d-%m-%Y"),
        (
            "time_format = [\"epoch\", \"%Q-%d\"]",
            "`time_format`: `%Q-%d`|%d-%m-%Y",
        ),
        (
            "position = { lat = 90.5, lon = 0 }",
            "`position.lat`: 90.5|-90 to 90",
        ),
        (
            "position = { lat = 5.9, lon = -518 }",
            "`position.lon`: -518|-180 to 180",
        ),
        (
            "position = { lat = 5, lon = nan }",
            "`position.lon`: NaN|-180 to 180",
        ),
        (
            "position = { lat = 5, lon = 5, alt = inf }",
            "`position.alt`: inf|metres",
        ),
        ("time_zone = \"+14:01\"", "`time_zone`: `+14:01`|`+14:00`"),
        ("time_zone = \"-15:00\"", "`time_zone`: `-15:00`|`-14:00`"),
        ("columns.time = \"x\"", "`columns.time`|`time_column`"),
        (
            "columns.meta_id = \"x\"",
            "`columns.meta_id`|`meta_id_columns`",
        ),
        (
            "columns.longitude = \"x\"",
            "`columns.longitude`|`lon_column`",
        ),
        (
            "columns.latitude = \"x\"",
            "`columns.latitude`|`lat_column`",
        ),
        (
            "columns.altitude = \"x\"",
            "`columns.altitude`|`alt_column`",
        ),
        ("delimiter = '\"'", "`delimiter`: \"\\\"\"|`tab`"),
        ("delimiter = \"\\n\"", "`delimiter`: \"\\n\"|`tab`"),
        ("delimiter = \";;\"", "`delimiter`: \";;\"|`tab`"),
        ("station = \"a/b\"", "`station`: \"a/b\"|without"),
        ("station = \"a\\tb\"", "`station`: \"a\\tb\"|without"),
        ("station = \" \"", "`station`|write the id"),
        (
            "station_prefix = \"a/\"",
            "`station_prefix`: \"a/\"|without",
        ),
    ] {
        let whose = if setting.starts_with("station =") {
            ""
        } else {
            "station = \"a\""
        };
        let mapping: Mapping = toml::from_str(&format!("{whose}\n{setting}\n{usual}")).unwrap();
        let mut config = CsvConfig::new("test", mapping);
        config.path = Some("x".into());
        let refused = Csv::new(config, Some(&vocabulary())).err();
        let refused = refused
            .unwrap_or_else(|| panic!("{setting} is taken"))
            .to_string();
        for words in words.split('|') {
            assert!(refused.contains(words), "{setting}: {refused}");
        }
    }
}

#[tokio::test]
async fn numbers_that_stand_for_no_value_may_be_written_as_numbers() {
    let bench = bench().await;
    let file = bench.dir.path().join("a.csv");
    fs::write(&file, "station,time,pm10,t\na,2026-01-01 00:00:00,-200.0,NA\na,2026-01-01 00:01:00,-200,2\na,2026-01-01 00:02:00,-9.5,3\n").unwrap();
    let settings = SETTINGS.replace("[\"NA\"]", "[-200, \"NA\", -9.5]");
    bench.run(csv(&file, &settings)).await;
    assert_eq!(
        bench.record.lock().unwrap().of("test:a"),
        [
            json!({"time": "2026-01-01T00:01:00Z", "temperature": 2.0}),
            json!({"time": "2026-01-01T00:02:00Z", "temperature": 3.0}),
        ]
    );
}
