use std::path::Path;

use smartem_backup::influx::{
    BackupSettings, Form, Influxd as Program, MANIFEST, RestoreSettings, back_up, check, compare,
    fetch, line, measure, rehearse, restore, send,
};
use smartem_backup::{BackupError, Manifest};
use smartem_influxdb::Server;
use smartem_simulate::influxd::Influxd;
use tempfile::TempDir;

use crate::support::{damage, files, repository, time, watch};

/// Three measurements: of several series and shards, of every type of fields, and of one point.
fn fill(influxd: &Influxd) {
    influxd.execute("CREATE DATABASE air").unwrap();
    let mut lines = String::new();
    for n in 0..2000_i64 {
        let time = 1_700_000_000 + n * 600;
        let line = format!(
            "no2,station=s{} value={}.5,ok={} {time}000000000\n",
            n % 5,
            n,
            n % 2 == 0
        );
        lines.push_str(&line);
    }
    lines.push_str("rivm,name=a\\ b count=3i,text=\"x, \\\"y\\\"\" 1700000000000000000\n");
    lines.push_str("single v=1 1\n");
    assert_eq!(influxd.write("air", &lines).unwrap().status, 204);
}

fn server(influxd: &Influxd) -> Server {
    Server::new(&influxd.url().parse().unwrap(), None).unwrap()
}

fn program(influxd: &Influxd) -> Program {
    Program {
        program: "influxd".into(),
        rpc: influxd.rpc().to_string(),
    }
}

async fn make(influxd: &Influxd, folder: &Path, form: Form) -> Manifest {
    let settings = BackupSettings {
        database: "air".to_owned(),
        folder: folder.to_owned(),
        influxd: Some((program(influxd), form)),
        now: time("2026-11-28T02:17:00Z"),
        program: "test".to_owned(),
    };
    back_up(Some(&server(influxd)), &settings, &watch())
        .await
        .unwrap()
}

fn restoring(influxd: &Influxd, folder: &Path, replace: bool) -> RestoreSettings {
    RestoreSettings {
        folder: folder.to_owned(),
        database: "air".to_owned(),
        replace,
        influxd: program(influxd),
    }
}

#[tokio::test]
async fn three_measurements_are_backed_up_destroyed_restored_and_verified_in_both_forms() {
    for form in [Form::Portable, Form::Legacy] {
        let influxd = Influxd::start().unwrap();
        fill(&influxd);
        let (server, dir, place) = (
            server(&influxd),
            TempDir::new().unwrap(),
            TempDir::new().unwrap(),
        );
        let before = measure(&server, "air", &watch()).await.unwrap();
        assert_eq!(before.len(), 3, "{before:?}");
        assert_eq!(before["autogen.no2"].points, 2000);
        let made = dir.path().join("made");
        let manifest = make(&influxd, &made, form).await;
        let repository = repository(place.path());
        send(&repository, &made, &manifest, &watch()).await.unwrap();
        influxd.execute("DROP DATABASE air").unwrap();
        // Another database has nothing to do with it.
        influxd.execute("CREATE DATABASE other").unwrap();

        let fetched = dir.path().join("fetched");
        let found = fetch(&repository, "air", None, &fetched, &watch())
            .await
            .unwrap();
        assert_eq!(found, manifest);
        let settings = restoring(&influxd, &fetched, false);
        let restored = restore(&server, &settings, &watch()).await.unwrap();
        assert!(restored.compared);
        assert_eq!(restored.found, before, "{form:?}");
        assert_eq!(measure(&server, "air", &watch()).await.unwrap(), before);
        let mut databases = server.databases().await.unwrap();
        databases.sort();
        assert_eq!(databases, ["air", "other"], "{form:?}");
        // What the names of the files are, is InfluxDB's.
        let names: Vec<String> = manifest
            .files
            .iter()
            .map(|file| file.path.clone())
            .collect();
        let wanted = match form {
            Form::Portable => ".s2.tar.gz",
            Form::Legacy => "air.autogen.00002.00",
        };
        assert!(names.iter().any(|name| name.ends_with(wanted)), "{names:?}");
    }
}

#[tokio::test]
async fn a_changed_or_missing_file_is_refused_before_anything_is_destroyed() {
    let influxd = Influxd::start().unwrap();
    fill(&influxd);
    let (server, dir) = (server(&influxd), TempDir::new().unwrap());
    let before = measure(&server, "air", &watch()).await.unwrap();
    for (form, name) in [(Form::Portable, "p"), (Form::Legacy, "l")] {
        let folder = dir.path().join(name);
        make(&influxd, &folder, form).await;
        for file in files(&folder) {
            let good = std::fs::read(&file).unwrap();
            for missing in [false, true] {
                if missing {
                    std::fs::remove_file(&file).unwrap();
                } else {
                    damage(&file);
                }
                let settings = restoring(&influxd, &folder, true);
                let error = restore(&server, &settings, &watch()).await.unwrap_err();
                let name = file.file_name().unwrap().to_str().unwrap();
                assert!(error.to_string().contains(name), "{form:?} {name}: {error}");
                assert!(
                    matches!(
                        error,
                        BackupError::Damaged { .. } | BackupError::NoBackup { .. }
                    ),
                    "{error}"
                );
                std::fs::write(&file, &good).unwrap();
            }
        }
        assert_eq!(measure(&server, "air", &watch()).await.unwrap(), before);
        assert_eq!(server.databases().await.unwrap(), ["air"]);
    }
}

#[tokio::test]
async fn a_database_is_replaced_only_when_said_and_its_grants_come_back() {
    let influxd = Influxd::start().unwrap();
    fill(&influxd);
    influxd
        .execute("CREATE USER reader WITH PASSWORD 'x'")
        .unwrap();
    influxd.execute("GRANT READ ON air TO reader").unwrap();
    let (server, dir) = (server(&influxd), TempDir::new().unwrap());
    let folder = dir.path().join("made");
    make(&influxd, &folder, Form::Portable).await;
    let before = measure(&server, "air", &watch()).await.unwrap();
    influxd.write("air", "late v=1 5\n").unwrap();
    let settings = restoring(&influxd, &folder, false);
    let error = restore(&server, &settings, &watch()).await.unwrap_err();
    assert!(error.to_string().contains("--replace"), "{error}");
    assert_eq!(measure(&server, "air", &watch()).await.unwrap().len(), 4);
    // What a restore that was killed left.
    influxd
        .execute("CREATE DATABASE air_smartem_scratch")
        .unwrap();
    influxd
        .write("air_smartem_scratch", "left v=1 5\n")
        .unwrap();
    let settings = restoring(&influxd, &folder, true);
    let restored = restore(&server, &settings, &watch()).await.unwrap();
    assert_eq!(restored.found, before);
    assert_eq!(restored.granted, [("reader".to_owned(), "READ".to_owned())]);
    assert_eq!(server.grants("air").await.unwrap(), restored.granted);
    assert_eq!(server.databases().await.unwrap(), ["air"]);
}

#[tokio::test]
async fn files_that_hold_something_else_than_noted_are_found_beside() {
    let influxd = Influxd::start().unwrap();
    fill(&influxd);
    let (server, dir) = (server(&influxd), TempDir::new().unwrap());
    let folder = dir.path().join("made");
    make(&influxd, &folder, Form::Portable).await;
    rehearse(&server, &restoring(&influxd, &folder, false), &watch())
        .await
        .unwrap();
    compare(&server, &folder, "air", &watch()).await.unwrap();
    // Files of a container of their own, noted when more was in the database than in them.
    std::fs::remove_file(folder.join(MANIFEST)).unwrap();
    influxd
        .write("air", "no2,station=s0 value=7 1700000000000000001\n")
        .unwrap();
    let settings = BackupSettings {
        database: "air".to_owned(),
        folder: folder.clone(),
        influxd: None,
        now: time("2026-11-28T02:18:00Z"),
        program: "test".to_owned(),
    };
    back_up(Some(&server), &settings, &watch()).await.unwrap();
    rehearse(&server, &restoring(&influxd, &folder, false), &watch())
        .await
        .unwrap();
    // Noted when less was in it: the files are not those of that state.
    std::fs::remove_file(folder.join(MANIFEST)).unwrap();
    influxd.execute("DROP DATABASE air").unwrap();
    influxd.execute("CREATE DATABASE air").unwrap();
    influxd.write("air", "single v=1 1\n").unwrap();
    back_up(Some(&server), &settings, &watch()).await.unwrap();
    let error = restore(&server, &restoring(&influxd, &folder, true), &watch())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("autogen.no2: 2000 points"),
        "{error}"
    );
    assert_eq!(measure(&server, "air", &watch()).await.unwrap().len(), 1);
    assert_eq!(server.databases().await.unwrap(), ["air"]);
}

#[tokio::test]
async fn wrong_calls_are_told_with_the_remedy() {
    let influxd = Influxd::start().unwrap();
    fill(&influxd);
    let (server, dir) = (server(&influxd), TempDir::new().unwrap());
    let settings = |database: &str, program: Program| BackupSettings {
        database: database.to_owned(),
        folder: dir.path().join("made"),
        influxd: Some((program, Form::Portable)),
        now: time("2026-11-28T02:17:00Z"),
        program: "test".to_owned(),
    };
    let right = program(&influxd);
    let cases = [
        (
            settings("water", right.clone()),
            "has no database `water`; it has air",
        ),
        (
            settings(
                "air",
                Program {
                    rpc: "127.0.0.1:1".to_owned(),
                    ..right.clone()
                },
            ),
            "check `--rpc`",
        ),
        (
            settings(
                "air",
                Program {
                    program: "no-influxd".into(),
                    ..right
                },
            ),
            "`--files`",
        ),
    ];
    for (settings, told) in cases {
        let error = back_up(Some(&server), &settings, &watch())
            .await
            .unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
    let error = check(dir.path()).await.unwrap_err();
    assert!(error.to_string().contains("manifest.json"), "{error}");
    assert_eq!(line("a b/Ü"), "influxdb/a=20b=2f=c3=9c");
}
