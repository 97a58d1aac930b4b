//! An InfluxDB is destroyed, and restored while it is stopped, by InfluxDB's own program after ours.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use smartem_simulate::influxd::Influxd;

use crate::support::{Place, text};

/// Points of two measurements in several shards, a user and a right.
fn fill(influxd: &Influxd) {
    influxd.execute("CREATE DATABASE air").unwrap();
    influxd
        .execute("CREATE USER reader WITH PASSWORD 'x'")
        .unwrap();
    influxd.execute("GRANT READ ON air TO reader").unwrap();
    let line = |n: i64| {
        let time = 1_700_000_000 + n * 600;
        format!("no2,station=s{} value={n}.5 {time}000000000\n", n % 5)
    };
    let lines: Vec<String> = (0..3000).map(line).collect();
    assert_eq!(influxd.write("air", &lines.concat()).unwrap().status, 204);
    assert_eq!(influxd.write("air", "single v=1 1\n").unwrap().status, 204);
}

/// What a user sees of it.
fn seen(influxd: &Influxd) -> Vec<String> {
    [
        "SELECT count(value), sum(value) FROM air.autogen.no2 GROUP BY station",
        "SELECT * FROM air.autogen.single",
        "SHOW USERS",
        "SHOW GRANTS FOR reader",
        "SHOW DATABASES",
    ]
    .map(|statement| influxd.execute(statement).unwrap())
    .into()
}

/// A stopped server with its files, and a backup in the legacy form, as the original platform made them.
struct Stopped {
    place: Place,
    into: PathBuf,
    files: PathBuf,
    url: String,
    seen: Vec<String>,
}

impl Stopped {
    fn new() -> Self {
        let place = Place::new();
        let (into, files) = (place.path().join("server"), place.path().join("files"));
        std::fs::create_dir(&into).unwrap();
        let influxd = Influxd::start_in(&into).unwrap();
        fill(&influxd);
        let made = Command::new("influxd")
            .args(["backup", "-host", &influxd.rpc().to_string()])
            .args(["-database", "air"])
            .arg(&files)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        Self {
            url: influxd.url(),
            seen: seen(&influxd),
            place,
            into,
            files,
        }
    }

    fn prepare_with(&self, confirm: &str, more: &[&str]) -> Output {
        let mut command =
            self.place
                .command(&["influx", "restore", "--offline", "--database", "air"]);
        command.arg("--files").arg(&self.files);
        command.arg("--into").arg(&self.into);
        command.args(["--url", &self.url, "--confirm", confirm]);
        command.args(more).output().unwrap()
    }

    /// The guard lets pass; the command that it names.
    fn prepare(&self, more: &[&str]) -> (String, String) {
        let output = self.prepare_with("air", more);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{said}{}", text(&output.stderr));
        let (_, next) = said.split_once("next: ").unwrap();
        (said.clone(), next.trim().to_owned())
    }

    /// The guard refuses: status and what it says.
    fn refused(&self, more: &[&str]) -> (i32, String) {
        let before = listing(&self.into);
        let output = self.prepare_with("air", more);
        assert_eq!(listing(&self.into), before, "it touched the server");
        (output.status.code().unwrap(), text(&output.stderr))
    }

    fn is_restored(&self) {
        let influxd = Influxd::start_in(&self.into).unwrap();
        assert_eq!(seen(&influxd), self.seen);
    }
}

/// Runs the command that the guard named.
fn restore(next: &str) {
    let done = Command::new("sh").args(["-c", next]).output().unwrap();
    assert!(done.status.success(), "{next}: {}", text(&done.stderr));
}

/// Names below a folder, two deep.
fn listing(dir: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let mut all = below(dir);
    all.extend(all.clone().iter().flat_map(|path| below(path)));
    all.sort();
    all
}

fn asides(dir: &Path) -> Vec<PathBuf> {
    let mut all = listing(dir);
    all.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("before-restore-")
    });
    all
}

#[test]
fn a_destroyed_server_is_restored_offline_from_files_of_the_original_platform() {
    let server = Stopped::new();
    std::fs::remove_dir_all(server.into.join("data")).unwrap();
    let (said, next) = server.prepare(&[]);
    assert!(said.contains("sums could not be compared"), "{said}");
    assert!(said.contains("is stopped"), "{said}");
    let aside = asides(&server.into);
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].join("meta/meta.db").is_file());
    assert!(aside[0].join("wal").is_dir() && !server.into.join("wal").exists());
    // Once more before anything was restored: the same.
    assert_eq!(server.prepare(&[]).1, next);
    assert_eq!(asides(&server.into), aside);
    restore(&next);
    // Once more after it: nothing is put aside unasked.
    let (code, told) = server.refused(&[]);
    assert!(code == 1 && told.contains("--again"), "{code} {told}");
    server.is_restored();
    // The server ran since: another restore is one of its own.
    let (_, next) = server.prepare(&[]);
    assert_eq!(asides(&server.into).len(), 2);
    restore(&next);
    server.prepare(&["--again"]);
    assert_eq!(asides(&server.into).len(), 3);
    restore(&next);
    server.is_restored();
}

#[test]
fn nothing_is_touched_unless_all_is_right() {
    let server = Stopped::new();
    let shard = server.files.join("air.autogen.00002.00");
    for wrong in ["", "Air", "$(CONFIRM)"] {
        let before = listing(&server.into);
        let output = server.prepare_with(wrong, &[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{told}");
        assert!(told.contains("every user"), "{told}");
        assert_eq!(listing(&server.into), before);
    }
    let away = server.files.with_extension("away");
    std::fs::rename(&server.files, &away).unwrap();
    let (code, told) = server.refused(&[]);
    assert!(
        code == 1 && told.contains("no such folder"),
        "{code} {told}"
    );
    std::fs::rename(&away, &server.files).unwrap();
    let good = std::fs::read(&shard).unwrap();
    // Cut off, emptied, and not what InfluxDB writes.
    let damages: [&[u8]; 3] = [&good[..good.len() / 2], b"", &[7; 4096]];
    for damage in damages {
        std::fs::write(&shard, damage).unwrap();
        let (code, told) = server.refused(&[]);
        assert!(
            code == 65 && told.contains("air.autogen.00002.00"),
            "{told}"
        );
    }
    std::fs::write(&shard, &good).unwrap();
    let meta = std::fs::read(server.files.join("meta.00")).unwrap();
    std::fs::write(server.files.join("meta.00"), &meta[..meta.len() - 1]).unwrap();
    let (code, told) = server.refused(&[]);
    assert!(code == 65 && told.contains("meta.00"), "{code} {told}");
    std::fs::remove_file(server.files.join("meta.00")).unwrap();
    let (code, told) = server.refused(&[]);
    assert!(code == 1 && told.contains("meta.NN"), "{code} {told}");
    std::fs::write(server.files.join("meta.00"), &meta).unwrap();

    // With a manifest, a single bit.
    let noted = server.place.path().join("files");
    let mut command = server.place.command(&["influx", "backup"]);
    command.args(["--database", "air", "--files"]).arg(noted);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut damaged = good.clone();
    damaged[600] ^= 1;
    std::fs::write(&shard, &damaged).unwrap();
    let (code, told) = server.refused(&[]);
    assert!(
        code == 65 && told.contains("air.autogen.00002.00"),
        "{told}"
    );
    std::fs::write(&shard, &good).unwrap();

    // Whoever listens is not stopped, whatever it would answer.
    let address = server.url.strip_prefix("http://").unwrap();
    let listener = TcpListener::bind(address).unwrap();
    let (code, told) = server.refused(&[]);
    assert!(code == 1 && told.contains("--replicas=0"), "{code} {told}");
    drop(listener);
    let (said, next) = server.prepare(&[]);
    assert!(said.contains("they are what was backed up"), "{said}");
    restore(&next);
    server.is_restored();
}

#[test]
fn a_running_server_is_not_touched() {
    let mut server = Stopped::new();
    let influxd = Influxd::start_in(&server.into).unwrap();
    server.url = influxd.url();
    let (code, told) = server.refused(&[]);
    assert!(code == 1 && told.contains("--replicas=0"), "{code} {told}");
    assert_eq!(seen(&influxd), server.seen);
}

#[test]
fn files_are_fetched_first_and_whatever_was_cut_short_is_finished() {
    let mut server = Stopped::new();
    let backups = server.place.path().join("backups");
    let backup = |server: &Stopped| {
        let mut command = server.place.command(&["influx", "backup"]);
        command.args(["--database", "air", "--files"]);
        command.arg(&server.files).arg("--to").arg(&backups);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    backup(&server);
    server.files = server.place.path().join("fetched");
    let from = backups.to_str().unwrap().to_owned();
    let from = ["--from", from.as_str()];

    // Killed while it fetched, and while it moved what it had fetched.
    let fetching = server.files.join(".fetching");
    std::fs::create_dir_all(&fetching).unwrap();
    std::fs::write(fetching.join("meta.00"), "half").unwrap();
    server.prepare(&from);
    assert!(!fetching.exists());
    std::fs::create_dir(&fetching).unwrap();
    for name in ["manifest.json", "air.autogen.00001.00"] {
        std::fs::rename(server.files.join(name), fetching.join(name)).unwrap();
    }
    server.prepare(&from);
    assert!(!fetching.exists() && server.files.join("manifest.json").is_file());

    // Killed while it put aside: two folders are moved, one is not yet.
    let aside = asides(&server.into).pop().unwrap();
    let marker = server.into.join("restore-offline.json");
    let done = std::fs::read_to_string(&marker).unwrap();
    std::fs::write(&marker, done.replace("\"done\": true", "\"done\": false")).unwrap();
    std::fs::rename(aside.join("data"), server.into.join("data")).unwrap();
    let (_, next) = server.prepare(&from);
    assert_eq!(asides(&server.into), std::slice::from_ref(&aside));
    assert!(aside.join("data").is_dir() && !server.into.join("data").exists());
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), done);
    restore(&next);
    server.is_restored();

    // What is there is not overwritten by another backup.
    std::thread::sleep(std::time::Duration::from_secs(1));
    let first = std::mem::replace(&mut server.files, server.place.path().join("files"));
    backup(&server);
    server.files = first;
    let (code, told) = server.refused(&from);
    assert!(
        code == 1 && told.contains("empty the folder"),
        "{code} {told}"
    );
}
