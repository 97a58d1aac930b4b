//! A database that goes away, a password that changes, and what is restored from backups.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use smartem_deploy::pod::{Workload, http};

use crate::Told;
use crate::platform::{AREA, COLLECTORS, PATIENCE, Platform};

/// The database is away for 30 s.
pub(crate) fn database_stopped(platform: &mut Platform) -> Told {
    let serve = platform
        .pods
        .keys()
        .find(|name| name.starts_with("smartemission/serve"))
        .unwrap()
        .clone();
    assert!(platform.pods[&serve].ready());
    let job = platform.begin("etl-refiner", None);
    let database = platform.pods.remove(&format!("{AREA}/postgres-0")).unwrap();
    let stopped = database.stop().unwrap();
    assert!(!stopped.killed, "{}", stopped.tail(5));

    let begin = Instant::now();
    let mut unready = None;
    while begin.elapsed() < Duration::from_secs(30) {
        let pod = &platform.pods[&serve];
        if !pod.ready() && unready.is_none() {
            unready = Some(begin.elapsed());
        }
        assert!(
            pod.live(),
            "not alive {:.0} s after the database stopped: {}",
            begin.elapsed().as_secs_f64(),
            pod.logs()
        );
        thread::sleep(Duration::from_millis(500));
    }
    let unready = unready.unwrap_or_else(|| panic!("still ready without a database"));
    let during = platform.run("etl-refiner");
    let job = job.wait(PATIENCE).unwrap();
    for end in [&during, &job] {
        assert!(matches!(end.code, 0 | 75), "{}: {}", end.code, end.logs);
    }

    platform.up(Workload::StatefulSet, AREA, "postgres", "postgres-0");
    let back = platform.pods[&serve].wait_ready(PATIENCE).unwrap();
    platform
        .pod(COLLECTORS, "collect-0")
        .wait_ready(PATIENCE)
        .unwrap();
    platform.done("etl-refiner");
    format!(
        "not ready after {:.1} s, alive; ready {:.1} s after it was back; jobs ended with {} and {}",
        unready.as_secs_f64(),
        back.as_secs_f64(),
        job.code,
        during.code
    )
}

/// The password of serve changes; serve goes on without a restart.
pub(crate) fn secret_swapped(platform: &mut Platform) -> Told {
    let serve = platform
        .pods
        .keys()
        .find(|name| name.starts_with("smartemission/serve"))
        .unwrap()
        .clone();
    platform.sql("ALTER ROLE smartem_api PASSWORD 'another one'");
    platform
        .objects
        .put_secret(AREA, "postgres-api", "password", "another one");
    platform.put_user_list("another one");
    // A new pool has only new connections, which the old password does not open.
    platform.pods.remove(&format!("{AREA}/pgbouncer-a"));
    platform.up(Workload::Deployment, AREA, "pgbouncer", "pgbouncer-a");
    let begin = Instant::now();
    while platform.pods[&serve].ready() {
        assert!(
            begin.elapsed() < PATIENCE,
            "the old password still opens the database"
        );
        thread::sleep(Duration::from_millis(200));
    }
    assert!(platform.pods[&serve].live());

    platform.pods[&serve].refresh(&platform.objects).unwrap();
    let back = platform.pods[&serve].wait_ready(PATIENCE).unwrap();
    let address = platform.pods[&serve].address("http").unwrap();
    for _ in 0..20 {
        let answer = http::get(address, "/api/v1/stations").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    format!(
        "ready {:.1} s after its file was swapped, without a restart",
        back.as_secs_f64()
    )
}

/// Backed up by the job, destroyed, restored by the job.
pub(crate) fn store_restored(platform: &mut Platform) -> Told {
    platform.remote(6, "2026-10-31T00:00:00Z");
    platform.done("etl-harvester-whale");
    platform.done("etl-refiner");
    let before = platform.state();
    platform.done("etl-backup");

    // All that writes is stopped, as the runbook has it.
    platform.pods.retain(|name, _| {
        !name.starts_with("smartemission/serve") && !name.starts_with("collectors/collect")
    });
    platform.sql(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT nspname FROM pg_namespace WHERE nspname LIKE 'smartem%' LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name); END LOOP; END $$",
    );
    let restored = platform.done("store-restore");
    assert_eq!(platform.state(), before);
    platform.up(Workload::Deployment, AREA, "serve", "serve-a");
    platform.up(Workload::StatefulSet, COLLECTORS, "collect", "collect-0");
    platform.done("etl-refiner");
    assert_eq!(platform.state(), before);
    format!("{before}; restored in {:.1} s", restored.took.as_secs_f64())
}

/// Both ways: the portable one beside the database, and the offline one into a stopped server.
pub(crate) fn influxdb_restored(platform: &mut Platform) -> Told {
    let points = 500;
    let mut lines = String::new();
    for number in 1..=points {
        use std::fmt::Write as _;
        let _ = writeln!(
            lines,
            "rehearsal,station=s{} value={number}.25 {}",
            number % 7,
            1_793_000_000 + number * 60
        );
    }
    let script = "printf '%s' \"$1\" >/tmp/lines && { printf '# DML\\n# CONTEXT-DATABASE: smartemission\\n\\n'; cat /tmp/lines; } >/tmp/import && INFLUX_USERNAME=admin INFLUX_PASSWORD=\"$2\" exec influx -host 127.0.0.1 -import -path /tmp/import -precision s";
    platform
        .pod(AREA, "influxdb-0")
        .exec(&["/bin/sh", "-c", script, "sh", &lines, "admin's \\ \"pass\""])
        .unwrap();
    let question = "SELECT count(value), sum(value) FROM smartemission.autogen.rehearsal";
    let before = platform.influx(AREA, question);
    assert!(before.contains("500"), "{before}");

    platform.done("influxdb-backup");
    platform.done("influxdb-verify");
    assert!(
        !platform
            .influx(AREA, "SHOW DATABASES")
            .contains("_rehearsal")
    );

    // The legacy form, as the original kept it; then the server stops and the job restores.
    platform
        .pod(AREA, "influxdb-0")
        .exec(&[
            "influxd",
            "backup",
            "-database",
            "smartemission",
            "-host",
            "127.0.0.1:8088",
            "/backup/influxdb",
        ])
        .unwrap();
    platform.influx(AREA, "DROP DATABASE smartemission");
    let unconfirmed = try_restore(platform);
    assert_ne!(unconfirmed, 0, "restored without a confirmation");
    platform
        .objects
        .config_map(AREA, "influxdb-restore")
        .insert("confirm".to_owned(), "smartemission".to_owned());
    let serving = try_restore(platform);
    assert_ne!(serving, 0, "restored into a server that runs");
    let end = platform
        .pods
        .remove(&format!("{AREA}/influxdb-0"))
        .unwrap()
        .stop()
        .unwrap();
    assert!(!end.killed, "{}", end.tail(5));
    let restored = platform.done("influxdb-restore-offline");
    let folder = platform.node.claim(AREA, "influxdb-storage-influxdb-0");
    let aside = fs::read_dir(&folder).unwrap().flatten().any(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("before-restore-")
    });
    assert!(aside, "nothing was put aside in {}", folder.display());
    platform.up(Workload::StatefulSet, AREA, "influxdb", "influxdb-0");
    assert_eq!(platform.influx(AREA, question), before);
    format!(
        "{points} points by both ways; refused unconfirmed and while it ran; offline in {:.1} s",
        restored.took.as_secs_f64()
    )
}

/// The exit code of the offline restore, of whichever container it ended in.
fn try_restore(platform: &mut Platform) -> i32 {
    let launch = platform.job_launch("influxdb-restore-offline", None);
    match platform
        .node
        .job(&platform.objects, "influxdb-restore-offline", &launch)
    {
        Ok(end) => end.code,
        Err(smartem_deploy::pod::PodError::Init { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}
