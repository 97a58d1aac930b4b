//! Writing to a real InfluxDB.

use std::sync::Arc;

use serde_json::{Value, json};
use smartem_etl::{OutputError, Site};
use smartem_model::Vocabulary;
use smartem_publish::influxdb::Credentials;
use smartem_refine::Catalogue;
use smartem_simulate::influxd::{ADMIN, Influxd, InfluxdError};
use tempfile::TempDir;

use crate::support::{Bench, output, row};

/// A server with the database `test`, or word that there is none.
#[expect(clippy::print_stdout, reason = "a skipped test says so aloud")]
fn server(started: Result<Influxd, InfluxdError>) -> Option<Influxd> {
    match started {
        Ok(influxd) => {
            influxd.execute("CREATE DATABASE test").unwrap();
            Some(influxd)
        }
        Err(error @ InfluxdError::Missing) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The rows of a query, without column names.
fn rows(influxd: &Influxd, query: &str) -> Value {
    let answer: Value = serde_json::from_str(&influxd.execute(query).unwrap()).unwrap();
    answer["results"][0]["series"][0]["values"].clone()
}

#[tokio::test]
async fn what_is_written_is_what_is_read_and_writing_again_leaves_the_same() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    let bench = Bench::new(None).await;
    let out = output(
        &influxd.url(),
        &json!({"batch_points": 7, "gzip": true}),
        Credentials::None,
    );
    let values = [
        json!(31),
        json!(1e16),
        json!(1e-5),
        json!(-1.5e-300),
        json!(0.1 + 0.2),
        json!(300.0),
    ];
    let written: Vec<_> = (0..100)
        .map(|n| {
            row(
                "23",
                n * 10,
                values[usize::try_from(n).unwrap() % values.len()].clone(),
            )
        })
        .collect();
    for _ in 0..2 {
        assert_eq!(bench.write(&out, written.clone()).await.unwrap(), []);
    }
    assert_eq!(bench.counted(), "points_written 200");
    let found = rows(&influxd, "SELECT value FROM test..m");
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 100);
    for (found, row) in found.iter().zip(&written) {
        assert_eq!(
            i128::from(found[0].as_i64().unwrap()),
            row.time.as_nanosecond()
        );
        assert_eq!(found[1].as_f64(), row.attributes["value"].as_f64());
    }
}

#[tokio::test]
async fn d_056_odd_texts_arrive_as_they_are() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    let bench = Bench::new(None).await;
    let out = output(
        &influxd.url(),
        &json!({"measurement": "a b,c=d", "tags": {"t =,": "station"}, "fields": {"f =,": "value"}}),
        Credentials::None,
    );
    let texts = [
        "plain",
        "with blank",
        "a,b",
        "a=b",
        "\"quoted\"",
        "back\\slash",
        "a\\,b",
        "#x",
        "tab\there",
        "é ü 漢",
        "a\\ b",
    ];
    let values = ["", "end\\", "\\\\", "one\ntwo", "\\\n", "x=1, y=\"2\" 3"];
    let written: Vec<_> = texts
        .iter()
        .zip(0..)
        .map(|(text, n)| {
            row(
                text,
                n,
                json!(values[usize::try_from(n).unwrap() % values.len()]),
            )
        })
        .collect();
    assert_eq!(bench.write(&out, written).await.unwrap(), []);
    let found = rows(&influxd, "SELECT * FROM test..\"a b,c=d\"");
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), texts.len());
    for ((found, text), value) in found.iter().zip(texts).zip(values.iter().cycle()) {
        assert_eq!((&found[1], &found[2]), (&json!(value), &json!(text)));
    }
    // What no tag can hold is written in another way, and holds up nothing.
    let hard = ["end\\", "\\", "two\nlines", "\n"].iter().zip(0..);
    let hard = hard
        .map(|(text, n)| row(text, 1000 + n, json!("v")))
        .collect();
    assert_eq!(bench.write(&out, hard).await.unwrap(), []);
    let found = rows(
        &influxd,
        "SELECT * FROM test..\"a b,c=d\" WHERE time >= '2026-11-20T10:00:01Z'",
    );
    let found: Vec<&Value> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row[2])
        .collect();
    assert_eq!(found, ["end/", "/", "two\\nlines", "\\n"]);
}

#[tokio::test]
async fn d_046_points_that_are_refused_are_set_aside_and_all_others_written() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    let bench = Bench::new(None).await;
    let out = output(
        &influxd.url(),
        &json!({"batch_points": 500}),
        Credentials::None,
    );
    bench
        .write(&out, vec![row("23", 0, json!(1.5))])
        .await
        .unwrap();
    let bad = [3, 4, 77, 700];
    let written = (1..=1000)
        .map(|n| {
            row(
                "23",
                n,
                if bad.contains(&n) {
                    json!("text")
                } else {
                    json!(n)
                },
            )
        })
        .collect();
    let aside = bench.write(&out, written).await.unwrap();
    assert_eq!(aside.len(), 4);
    let (place, detail, body) = &aside[0];
    assert_eq!(place, "m#m,component=no2,station=23 1795168800003000000");
    assert_eq!(
        body,
        "m,component=no2,station=23 value=\"text\" 1795168800003000000\n"
    );
    assert!(detail.contains("field type conflict"), "{detail}");
    assert_eq!(bench.counted(), "points_refused 4, points_written 997");
    assert_eq!(
        rows(&influxd, "SELECT count(value) FROM test..m")[0][1],
        997
    );
    // All of a batch: one request tells.
    let written = (0..400).map(|n| row("24", n, json!("text"))).collect();
    assert_eq!(bench.write(&out, written).await.unwrap().len(), 400);
}

#[tokio::test]
async fn points_older_than_the_server_keeps_any_are_counted() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    influxd
        .execute("CREATE RETENTION POLICY short ON test DURATION 1h REPLICATION 1")
        .unwrap();
    let bench = Bench::new(None).await;
    let out = output(
        &influxd.url(),
        &json!({"retention_policy": "short"}),
        Credentials::None,
    );
    let mut far = row("1", 0, json!(1));
    far.time = "2200-01-01T00:00:00Z".parse().unwrap();
    let mut old = row("1", 0, json!(1));
    old.time = "2001-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(bench.write(&out, vec![old, far]).await.unwrap(), []);
    assert_eq!(
        bench.counted(),
        "points_beyond_retention 1, points_written 1"
    );
}

#[tokio::test]
async fn what_a_person_must_mend_is_said_and_nothing_is_lost() {
    let Some(influxd) = server(Influxd::start_with_authentication()) else {
        return;
    };
    influxd
        .execute("CREATE USER reader WITH PASSWORD 'r'")
        .unwrap();
    influxd.execute("GRANT READ ON test TO reader").unwrap();
    let bench = Bench::new(None).await;
    let user =
        |name: &str, password: &str| Credentials::Password(name.to_owned(), password.to_owned());
    for (credentials, database, told) in [
        (Credentials::None, "test", "`username` and `password_file`"),
        (
            user("admin", "wrong-secret"),
            "test",
            "`username` and `password_file`",
        ),
        (
            user("reader", "r"),
            "test",
            "GRANT WRITE ON \"test\" TO \"reader\"",
        ),
        (user(ADMIN.0, ADMIN.1), "none", "CREATE DATABASE \"none\""),
    ] {
        let out = output(&influxd.url(), &json!({"database": database}), credentials);
        let error = bench
            .write(&out, vec![row("1", 0, json!(1))])
            .await
            .unwrap_err();
        assert!(matches!(error, OutputError::Unreachable { .. }));
        let error = error.to_string();
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("wrong-secret"), "{error}");
    }
    let out = output(&influxd.url(), &json!({}), user(ADMIN.0, ADMIN.1));
    bench
        .write(&out, vec![row("1", 0, json!(1))])
        .await
        .unwrap();
    assert_eq!(rows(&influxd, "SELECT count(value) FROM test..m")[0][1], 1);
    assert_eq!(bench.counted(), "points_written 1");
}

/// What a part is built with; relative paths count from the folder.
fn site(folder: &std::path::Path) -> Site {
    let vocabulary = Vocabulary::from_toml(
        include_str!("../../../../vocabulary/indicators.toml"),
        include_str!("../../../../vocabulary/units.toml"),
    );
    Site {
        process: "extractor".to_owned(),
        folder: folder.to_owned(),
        catalogue: Arc::new(Catalogue::default()),
        vocabulary: Arc::new(vocabulary.unwrap()),
    }
}

#[test]
fn the_examples_can_be_built_and_wrong_settings_are_explained() {
    let folder = TempDir::new().unwrap();
    let site = site(folder.path());
    let (output, filter) = (
        smartem_publish::influxdb::kind(),
        smartem_etl::extract::kind(),
    );
    let settings = |example: &str, part: &str| -> toml::Table {
        let example: toml::Table = example.parse().unwrap();
        example["process"]["extractor"][part]
            .as_table()
            .unwrap()
            .clone()
    };
    let good = settings(output.about.example, "influxdb");
    output.build(good.clone(), &site).unwrap();
    for example in [output.about.example, filter.about.example] {
        output.build(settings(example, "influxdb"), &site).unwrap();
        filter.build(settings(example, "extract"), &site).unwrap();
    }
    std::fs::write(folder.path().join("password"), "secret\n").unwrap();
    for (more, told) in [
        (r#"username = "u""#, "give `username` and `password_file`"),
        (r#"url = "http://u:secret@host""#, "`url`: write the user"),
        (r#"url = "mailto:a@b""#, "`url`: "),
        (r#"time_precision = "h""#, "unknown variant `h`"),
        (r#"measuremnt = "m""#, "did you mean `measurement`?"),
        (
            r#"username = "u"
            password_file = "nowhere""#,
            "`password_file`: the file",
        ),
    ] {
        let mut settings = good.clone();
        settings.extend(more.parse::<toml::Table>().unwrap());
        let refused = output.build(settings, &site).err().unwrap().to_string();
        assert!(refused.contains(told), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
    let mut settings = good;
    settings.extend(
        "username = \"u\"\npassword_file = \"password\""
            .parse::<toml::Table>()
            .unwrap(),
    );
    output.build(settings, &site).unwrap();
    let names: Vec<String> = output.settings().into_iter().map(|it| it.name).collect();
    for name in [
        "url",
        "measurement",
        "geohash_tag_precision",
        "batch_points",
    ] {
        assert!(names.iter().any(|it| it == name), "{names:?}");
    }
    for setting in output.settings() {
        assert!(!setting.text.is_empty(), "`{}` says nothing", setting.name);
    }
}
