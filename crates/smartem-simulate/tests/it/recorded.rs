//! Recordings, from a folder made here and from the real ones where they are at hand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use smartem_simulate::recorded::{Recorded, RecordedError};
use tempfile::TempDir;

use crate::helpers::{assert_missing, get, get_bytes, served};

const NOW: &str = "2026-11-15T13:20:00Z";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Recorded {
    Recorded::load(folder(files).path()).unwrap()
}

async fn body(api: &axum::Router, path: &str) -> String {
    String::from_utf8(get_bytes(api, path).await.1).unwrap()
}

#[tokio::test]
async fn hours_are_served_byte_for_byte_whatever_they_say() {
    let usual = "{ \"id\": \"23\",\"date\":\"2016-01-08\", \"hour\": 23, \"timeseries\": [ {\"x\": 1.50} ] }\n";
    let odd = r#"{"id":23,"date":"20160108","hour":"25","timeseries":"none","more":[1]}"#;
    let null = r#"{"id":9,"date":20160109,"hour":1,"timeseries":null}"#;
    let api = served(
        load(&[
            ("a/usual.json", usual),
            ("b/c/odd.JSON", odd),
            ("null.json", null),
        ]),
        NOW,
    );
    assert_eq!(
        body(&api, "/devices/23/timeseries/20160108/23").await,
        usual
    );
    assert_eq!(body(&api, "/devices/23/timeseries/20160108/25").await, odd);
    assert_eq!(body(&api, "/devices/9/timeseries/20160109/1").await, null);
    assert_eq!(
        get(&api, "/devices").await,
        json!({"devices": ["/sensors/v1/devices/9", "/sensors/v1/devices/23"]})
    );
    assert_eq!(
        get(&api, "/devices/23/timeseries").await,
        json!({"id": "23", "days": ["/sensors/v1/devices/23/timeseries/20160108"]})
    );
    assert_eq!(
        get(&api, "/devices/23/timeseries/20160108").await,
        json!({"id": "23", "date": "2016-01-08", "hours": [23, 25]})
    );
    for path in [
        "/devices/24",
        "/devices/23/timeseries/20160109",
        "/devices/23/timeseries/20160108/22",
    ] {
        assert_missing(&api, path).await;
    }
    assert_eq!(
        get(&api, "/devices/23").await["last"],
        "/sensors/v1/devices/23/last"
    );
}

#[tokio::test]
async fn a_file_that_is_not_json_is_served_where_its_path_gives_the_address() {
    let cut = r#"{"id":"5","date":"2026-01-01","hour":7,"timeseries":[{"id":5,"ti"#;
    let api = served(
        load(&[
            ("x/devices/5/timeseries/20260101/7.json", cut),
            ("broken.json", cut),
            // What the path says goes before what the file says.
            (
                "x/devices/5/timeseries/20260101/8.json",
                r#"{"id":6,"date":"2026-01-01","hour":9,"timeseries":[]}"#,
            ),
            ("x/devices/7/last.json", "{\"time\":"),
        ]),
        NOW,
    );
    assert_eq!(body(&api, "/devices/5/timeseries/20260101/7").await, cut);
    assert_eq!(
        get(&api, "/devices/5/timeseries/20260101").await["hours"],
        json!([7, 8])
    );
    assert_missing(&api, "/devices/6").await;
    assert_eq!(body(&api, "/devices/7/last").await, "{\"time\":");
}

#[tokio::test]
async fn the_newest_last_answer_of_a_device_wins() {
    let newer = "{\n \"id\" : \"8\", \"time\": \"2016-02-04T12:11:03.3585417Z\", \"n\": 1e2 }";
    let several = format!(
        "{{\"id\":\"8\",\"time\":\"2016-02-03T00:00:00Z\"}}\n{newer}{{\"id\":9}} [1]\n{{\"no\":\"id\"}}"
    );
    let api = served(
        load(&[
            ("last-several.json", &several),
            ("z/last.json", r#"{"id":8,"time":"2016-01-01T00:00:00Z"}"#),
            ("last-cut.json", r#"{"id":"x y","time":null} {"id":"#),
        ]),
        NOW,
    );
    assert_eq!(body(&api, "/devices/8/last").await, newer);
    assert_eq!(body(&api, "/devices/9/last").await, "{\"id\":9}");
    assert_eq!(
        body(&api, "/devices/x%20y/last").await,
        r#"{"id":"x y","time":null}"#
    );
    assert_eq!(
        get(&api, "/devices/8/timeseries").await,
        json!({"id": "8", "days": []})
    );
    assert_eq!(
        get(&api, "/devices").await["devices"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn without_a_last_file_the_newest_sample_of_the_hours_is_last() {
    let hour = |date: &str, samples: &str| {
        format!("{{\"id\":\"4\",\"date\":\"{date}\",\"hour\":3,\"timeseries\":{samples}}}")
    };
    let api = served(
        load(&[
            (
                "1.json",
                &hour(
                    "2026-01-01",
                    r#"[{"id":4,"time":"2026-01-01T02:00:00Z","x":1}]"#,
                ),
            ),
            (
                "2.json",
                &hour(
                    "2026-01-02",
                    concat!(
                        r#"[{"_id":"b","id":4,"time":"2026-01-02T02:00:09.5Z","x":1.10},"#,
                        r#"{"_id":"a","id":4,"time":"2026-01-02T02:00:01Z","x":2},null,{"time":"noon"}]"#
                    ),
                ),
            ),
            ("3.json", &hour("2026-01-03", "{}")),
        ]),
        NOW,
    );
    assert_eq!(
        body(&api, "/devices/4/last").await,
        r#"{"id":"4","time":"2026-01-02T02:00:09.5Z","x":1.10}"#
    );
}

#[tokio::test]
async fn a_recorded_description_of_a_device_is_served_as_it_is() {
    let description = "{\"id\": \"4\", \"outputs\": [ ] }";
    let api = served(load(&[("device.json", description)]), NOW);
    assert_eq!(body(&api, "/devices/4").await, description);
    assert_missing(&api, "/devices/4/last").await;
}

#[test]
fn folders_that_cannot_be_served_are_named_with_the_remedy() {
    let absent = Recorded::load(Path::new("/nowhere/recordings")).unwrap_err();
    assert!(matches!(absent, RecordedError::Folder { .. }));
    assert!(
        absent.to_string().contains("/nowhere/recordings"),
        "{absent}"
    );

    let empty = folder(&[
        ("notes.txt", "x"),
        ("days.json", "[]"),
        (".hidden/1.json", "{}"),
    ]);
    let error = Recorded::load(empty.path()).unwrap_err().to_string();
    assert!(
        error.contains(&empty.path().display().to_string()),
        "{error}"
    );
    assert!(error.contains("timeseries"), "{error}");
}

#[test]
fn two_files_for_one_address_are_both_named() {
    let hour = r#"{"id":"4","date":"2026-01-01","hour":3,"timeseries":[]}"#;
    let twice = folder(&[
        ("a.json", hour),
        ("devices/4/timeseries/20260101/3.json", "{"),
    ]);
    let error = Recorded::load(twice.path()).unwrap_err().to_string();
    for part in [
        "a.json",
        "20260101/3.json",
        "/devices/4/timeseries/20260101/3",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn the_real_recordings_are_served() {
    let folder = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/samples/whale"
    ));
    if !folder.is_dir() {
        println!("skipped: the recordings are not at {}", folder.display());
        return;
    }
    let api = served(Recorded::load(&folder).unwrap(), NOW);
    assert_eq!(
        get(&api, "/devices").await["devices"]
            .as_array()
            .unwrap()
            .len(),
        16
    );
    let hour = fs::read_to_string(folder.join("timeseries-hour.json")).unwrap();
    assert_eq!(body(&api, "/devices/23/timeseries/20160108/23").await, hour);
    let device = fs::read_to_string(folder.join("device.json")).unwrap();
    assert_eq!(body(&api, "/devices/23").await, device);
    assert_eq!(
        get(&api, "/devices/23/last").await["time"],
        "2016-02-04T12:11:03.3585417Z"
    );
    assert_eq!(
        get(&api, "/devices/41/timeseries").await["days"],
        Value::Array(Vec::new())
    );
    assert!(
        get(&api, "/devices/41").await["outputs"]
            .as_array()
            .unwrap()
            .len()
            > 30
    );
}
