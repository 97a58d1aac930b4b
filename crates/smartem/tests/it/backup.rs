//! Backups by command and by process: made while it is used, killed anywhere, restored, rehearsed.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smartem_simulate::influxd::Influxd;

use crate::support::{Place, Service, fingerprint, first_difference, text};

const CITY: [&str; 10] = [
    "--stations",
    "4",
    "--cadence",
    "60",
    "--since",
    "2026-03-01T00:00:00Z",
    "--until",
    "2026-03-03T00:00:00Z",
    "--now",
    "2026-03-04T00:00:00Z",
];

/// A store with hours and observations.
fn filled() -> Place {
    let place = Place::new();
    let remote = Service::whale(&place, &CITY);
    place.with_source(&remote.url);
    place.etl("harvester-whale");
    place.etl("refiner");
    place
}

fn said(output: &std::process::Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// Bytes that nothing compresses into the database, so that a backup takes a while.
fn make_large(place: &Place) {
    let store = rusqlite::Connection::open(place.data().join("smartem.sqlite")).unwrap();
    let mut random = StdRng::seed_from_u64(1);
    let transaction = store.unchecked_transaction().unwrap();
    for _ in 0..24 {
        let mut bytes = vec![0_u8; 1 << 20];
        random.fill(&mut bytes[..]);
        transaction
            .execute("INSERT INTO raw_payload (payload) VALUES (?1)", [bytes])
            .unwrap();
    }
    transaction.commit().unwrap();
}

/// Starts a command and kills it after a moment; whether it was still at work.
fn killed(place: &Place, args: &[&str], after: Duration) -> bool {
    let mut run = place
        .command(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    let at_work = run.try_wait().unwrap().is_none();
    run.kill().unwrap();
    run.wait().unwrap();
    at_work
}

#[test]
fn killed_anywhere_a_backup_and_a_restore_leave_the_stores_whole_and_the_next_run_is_fine() {
    let place = filled();
    make_large(&place);
    let expected = fingerprint(&place.data());
    let mut random = StdRng::seed_from_u64(7);
    let backup = ["store", "backup", "--to", "kept"];
    let begin = Instant::now();
    let first = place.run(&["store", "backup", "--to", "undisturbed"]);
    assert!(first.status.success(), "{}", said(&first));
    let usual = begin.elapsed();
    let mut hits = 0;
    for _ in 0..8 {
        let after = random.random_range(Duration::from_millis(5)..usual);
        hits += usize::from(killed(&place, &backup, after));
    }
    assert!(hits >= 2, "only {hits} were still at work");
    assert_eq!(
        first_difference(&expected, &fingerprint(&place.data())),
        None
    );
    let done = place.run(&backup);
    assert!(done.status.success(), "{}", said(&done));
    assert!(!place.data().join("backup-scratch").exists());

    // Into the folder of an older store, which must be as it was until all is in place.
    let old = Place::new();
    assert!(old.run(&["store", "migrate"]).status.success());
    let from = place.path().join("kept");
    let restore = [
        "store",
        "restore",
        "--from",
        from.to_str().unwrap(),
        "--replace",
    ];
    let begin = Instant::now();
    let target = Place::new();
    let done = target.run(&restore);
    assert!(done.status.success(), "{}", said(&done));
    let usual = begin.elapsed();
    let mut hits = 0;
    for _ in 0..8 {
        let after = random.random_range(Duration::from_millis(5)..usual);
        hits += usize::from(killed(&old, &restore, after));
        let database = old.data().join("smartem.sqlite");
        if database.exists() {
            // The old one or the new one, never something between.
            let checked = old.run(&["store", "check"]);
            assert!(checked.status.success(), "{}", said(&checked));
        }
    }
    assert!(hits >= 2, "only {hits} were still at work");
    let done = old.run(&restore);
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(first_difference(&expected, &fingerprint(&old.data())), None);
    assert!(!old.data().join("restore-scratch").exists());
    let aside = std::fs::read_dir(old.data()).unwrap();
    let aside = aside.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("before-restore-")
    });
    assert!(aside.count() >= 1);
}

#[test]
fn the_processes_rest_until_a_place_is_set_then_back_up_verify_and_tell_when() {
    let place = filled();
    assert!(
        place
            .etl("backup")
            .contains("rests until its output `backup` is configured")
    );
    place.etl("backup-verify");
    let config = std::fs::read_to_string(place.path().join("smartem.toml")).unwrap();
    place.write(
        "smartem.toml",
        format!("{config}[process.backup.backup]\nto = \"kept\"\n"),
    );
    assert!(place.run(&["config", "check"]).status.success());
    let made = place.etl("backup");
    assert!(made.contains("backups_made 1"), "{made}");
    let verified = place.etl("backup-verify");
    assert!(verified.contains("backups_verified 1"), "{verified}");
    let listed = text(
        &place
            .run(&["store", "restore", "--from", "kept", "--list"])
            .stdout,
    );
    assert!(listed.contains("yes"), "{listed}");
    let service = Service::start(place.command(&["serve", "--listen", "127.0.0.1:0"]));
    let (_, metrics) = service.get("/metrics");
    for name in [
        "smartem_backup_last_success_timestamp_seconds",
        "smartem_backup_verified_timestamp_seconds",
    ] {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(value > 1.7e9, "{line}");
    }
    // A damaged piece is data that no later run can pass.
    let piece = first_file(&place.path().join("kept/chunks"));
    std::fs::write(&piece, "damaged").unwrap();
    let run = place.run(&["etl", "run", "backup-verify"]);
    assert_eq!(run.status.code(), Some(65), "{}", said(&run));
    assert!(
        said(&run).contains(piece.file_name().unwrap().to_str().unwrap()),
        "{}",
        said(&run)
    );
    place.write(
        "smartem.toml",
        format!("{config}[process.backup.backup]\nto = \"ftp://x\"\n"),
    );
    let run = place.run(&["etl", "run", "backup"]);
    assert_eq!(run.status.code(), Some(78), "{}", said(&run));
}

#[test]
fn a_place_of_another_store_and_one_in_the_store_itself_are_refused() {
    let (one, other) = (Place::new(), Place::new());
    for place in [&one, &other] {
        assert!(place.run(&["store", "migrate"]).status.success());
    }
    let made = one.run(&["store", "backup", "--to", "kept"]);
    assert!(made.status.success(), "{}", said(&made));
    let kept = one.path().join("kept");
    let kept = kept.to_str().unwrap();
    let refused = other.run(&["store", "backup", "--to", kept, "--keep-daily", "0"]);
    assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
    assert!(
        said(&refused).contains("prefix of its own"),
        "{}",
        said(&refused)
    );
    let listed = text(
        &one.run(&["store", "restore", "--from", "kept", "--list"])
            .stdout,
    );
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 2, "{listed}");
    assert_eq!(rows[0].last(), Some(&"of"), "{listed}");
    let id = rows[1].last().unwrap();
    assert_eq!(id.len(), 16, "{listed}");
    assert!(said(&refused).contains(id), "{}", said(&refused));

    let within = one.data().join("backups");
    let within = within.to_str().unwrap();
    let refused = one.run(&["store", "backup", "--to", within]);
    assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
    assert!(
        said(&refused).contains("name a folder elsewhere"),
        "{}",
        said(&refused)
    );
    let config = format!("[process.backup.backup]\nto = \"{within}\"\n");
    one.write("smartem.toml", config);
    let refused = one.run(&["etl", "run", "backup"]);
    assert_eq!(refused.status.code(), Some(78), "{}", said(&refused));
    assert!(!one.data().join("backups").exists());
}

fn first_file(dir: &Path) -> std::path::PathBuf {
    let path = std::fs::read_dir(dir)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    if path.is_dir() {
        first_file(&path)
    } else {
        path
    }
}

#[test]
fn a_database_of_influxdb_is_backed_up_destroyed_restored_and_verified_by_command() {
    let influxd = Influxd::start().unwrap();
    influxd.execute("CREATE DATABASE air").unwrap();
    for measurement in ["no2", "o3", "pm10"] {
        let lines: Vec<String> = (0..300)
            .map(|n| {
                format!(
                    "{measurement},station=s{} value={n}.25 {}000000000\n",
                    n % 3,
                    1_700_000_000 + n * 3600
                )
            })
            .collect();
        assert_eq!(influxd.write("air", &lines.concat()).unwrap().status, 204);
    }
    let place = Place::new();
    let (url, rpc) = (influxd.url(), influxd.rpc().to_string());
    let server = ["--url", &url, "--rpc", &rpc, "--database", "air"];
    let influx = |args: &[&str]| {
        let output = place.run(&[&["influx"], args, &server].concat());
        (output.status.code(), said(&output))
    };
    let (status, told) = influx(&["backup", "--to", "kept"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("autogen.pm10: 300 points"), "{told}");
    let (status, told) = influx(&["verify", "--from", "kept"]);
    assert_eq!(status, Some(0), "{told}");
    let (status, told) = influx(&["restore", "--from", "kept"]);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("--replace"), "{told}");
    influxd.execute("DROP DATABASE air").unwrap();
    let (status, told) = influx(&["restore", "--from", "kept"]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("it is what was backed up"), "{told}");
    let prepared = place.path().join("now");
    let prepared = prepared.to_str().unwrap();
    let (status, told) = influx(&["restore", "--from", "kept", "--prepare", prepared]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("influxd restore -portable -db air"), "{told}");
    let (status, told) = influx(&["verify", "--files", prepared, "--against", "air"]);
    assert_eq!(status, Some(0), "{told}");
    let piece = first_file(&place.path().join("kept/chunks"));
    std::fs::write(&piece, "damaged").unwrap();
    let (status, told) = influx(&["restore", "--from", "kept", "--replace"]);
    assert_eq!(status, Some(65), "{told}");
    assert!(influxd.execute("SHOW DATABASES").unwrap().contains("air"));
}

#[test]
fn measurements_of_an_influxdb_are_copied_once_with_their_types() {
    let influxd = Influxd::start().unwrap();
    influxd.execute("CREATE DATABASE air").unwrap();
    let mut lines = String::new();
    for n in 0..3000_i64 {
        let time = 1_600_000_000 + n * 3600;
        let line = format!(
            "no2,station=s{} value={n},count={n}i {time}000000000\n",
            n % 3
        );
        lines.push_str(&line);
    }
    lines.push_str("text,station=a\\ b note=\"x \\\"y\\\"\",on=true 1\n");
    assert_eq!(influxd.write("air", &lines).unwrap().status, 204);
    let place = Place::new();
    let url = influxd.url();
    let import = |more: &[&str]| {
        let args = [
            "store",
            "import",
            "influx",
            "--url",
            &url,
            "--database",
            "air",
        ];
        let output = place.run(&[&args, more].concat());
        assert!(output.status.success(), "{}", said(&output));
        text(&output.stdout)
    };
    let points = |told: &str| -> Vec<(String, u64)> {
        let rows = told.lines().skip(1).filter(|line| line.contains("whole"));
        rows.map(|row| {
            let mut words = row.split_whitespace();
            (
                words.next().unwrap().to_owned(),
                words.next().unwrap().parse().unwrap(),
            )
        })
        .collect()
    };
    let both = vec![("no2".to_owned(), 3000), ("text".to_owned(), 1)];
    assert_eq!(points(&import(&["--dry-run"])), both);
    assert!(!place.data().exists());
    assert_eq!(
        points(&import(&["--measurement", "no2", "--until", "2020-10-01"])).len(),
        1
    );
    let rest = points(&import(&[]));
    assert!(rest[0].1 > 0 && rest[0].1 < 3000, "{rest:?}");
    // The last window may have grown since; what was in it is there once.
    assert_eq!(points(&import(&["--again"])), both);
    let stored = rusqlite::Connection::open(place.data().join("smartem.sqlite")).unwrap();
    let fields: Vec<(String, i64)> = stored
        .prepare("SELECT name, type FROM point_field ORDER BY name")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let fields: Vec<(&str, i64)> = fields
        .iter()
        .map(|(name, of)| (name.as_str(), *of))
        .collect();
    assert_eq!(fields, [("count", 1), ("note", 4), ("on", 3), ("value", 0)]);
    let missing = place.run(&[
        "store",
        "import",
        "influx",
        "--url",
        &url,
        "--database",
        "air",
        "--measurement",
        "no3",
    ]);
    assert!(
        said(&missing).contains("it has: no2, text"),
        "{}",
        said(&missing)
    );
}
