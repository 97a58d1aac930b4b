//! `smartem doctor` before what is well and what is not.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_simulate::influxd::{ADMIN, Influxd};
use smartem_simulate::mosquitto::{Mosquitto, MosquittoSettings};
use smartem_simulate::postgres::Postgres;

use crate::support::{Place, Service, text};

/// A report as JSON, with the exit status.
struct Report {
    status: i32,
    document: Value,
}

impl Report {
    fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        let said = text(&output.stdout);
        let document = serde_json::from_str(&said)
            .unwrap_or_else(|error| panic!("{error}: {said}{}", text(&output.stderr)));
        Self {
            status: output.status.code().unwrap(),
            document,
        }
    }

    /// The check of this name.
    fn check(&self, what: &str) -> &Value {
        let checks = self.document["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["what"] == what);
        found.unwrap_or_else(|| panic!("no `{what}` in {:#}", self.document))
    }

    /// Level, detail and remedy of a check.
    fn found(&self, what: &str) -> (&str, String) {
        let check = self.check(what);
        let told = format!("{}; {}", check["detail"], check["remedy"]);
        (check["level"].as_str().unwrap(), told)
    }

    fn is(&self, what: &str, level: &str, words: &str) {
        let (found, told) = self.found(what);
        assert!(
            found == level && told.contains(words),
            "{what}: {found} {told}"
        );
        assert_eq!(
            self.check(what)["remedy"].is_null(),
            level == "ok",
            "{told}"
        );
    }

    fn groups(&self) -> Vec<&str> {
        let checks = self.document["checks"].as_array().unwrap();
        let mut groups: Vec<&str> = checks
            .iter()
            .filter_map(|it| it["group"].as_str())
            .collect();
        groups.dedup();
        groups
    }
}

fn migrated(place: &Place) {
    let made = place.run(&["store", "migrate"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// A secret in a file that only its owner can read.
fn secret(place: &Place, name: &str, secret: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = place.write(name, secret);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A server that gives every request the same answer, to the end of the program; none where it has none.
fn answering(answer: Option<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            match &answer {
                None => silent.push(connection),
                Some(answer) => {
                    let _ = connection.read(&mut [0; 4096]);
                    let _ = connection.write_all(answer.as_bytes());
                }
            }
        }
    });
    url
}

fn answer(status: &str, ahead: SignedDuration) -> String {
    #[expect(clippy::disallowed_methods, reason = "as a server of today")]
    let now = Timestamp::now() + ahead;
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
    format!("HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

#[test]
fn a_healthy_embedded_store_has_nothing_that_fails() {
    let place = Place::new();
    migrated(&place);
    let backups = place.path().join("backups");
    let config = format!("[process.backup.backup]\nto = {:?}\n", backups.display());
    place.write("smartem.toml", config);
    assert!(place.run(&["store", "backup"]).status.success());
    let output = place.run(&["doctor"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}");
    for line in [
        "ok    store \u{2014} ",
        "ok    place of backup \u{2014} ",
        "all ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("FAIL  "), "{said}");
    let report = Report::of(place.command(&["doctor", "--json"]));
    assert_eq!((report.status, &report.document["ok"]), (0, &true.into()));
    let counts = &report.document["counts"];
    let all = ["ok", "warn", "fail"].map(|level| counts[level].as_u64().unwrap());
    let checks = report.document["checks"].as_array().unwrap().len() as u64;
    assert_eq!((all.iter().sum::<u64>(), all[2]), (checks, 0));
    report.is("newest of backup", "ok", "0 h old");
    report.is("newest verified of backup", "warn", "backup-verify");
    report.is("smartem", "ok", "version 0.1.0");
    // Nothing is left of the trials.
    let left = |dir: &std::path::Path| {
        let entries = std::fs::read_dir(dir).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("doctor") || name.contains("try-writing"))
            .count()
    };
    assert_eq!((left(&place.data()), left(&backups)), (0, 0));
}

#[test]
fn what_is_missing_or_open_to_others_is_told_and_no_secret_is() {
    let place = Place::new();
    let report = Report::of(place.command(&["doctor", "--json"]));
    assert_eq!(report.status, 1);
    report.is("data_dir", "fail", "smartem store migrate");
    std::fs::create_dir(place.data()).unwrap();
    let report = Report::of(place.command(&["doctor", "--json"]));
    report.is("store", "fail", "smartem store migrate");

    migrated(&place);
    secret(&place, "good", "hush-hush");
    place.write("open", "hush-hush");
    let source = |name: &str| {
        format!(
            "[[process.harvester-whale.source]]\nname = \"{name}\"\nurl = \"http://user:hush-hush@127.0.0.1:1\"\n\
             token_file = \"{name}\"\n"
        )
    };
    let sources = ["good", "open", "missing"].map(source).concat();
    place.write(
        "smartem.toml",
        format!("{sources}[refine]\nmodels_dir = \"nowhere\"\n"),
    );
    let mut command = place.command(&["doctor", "--json"]);
    let report = Report::of(place.command(&["doctor", "--json", "--offline"]));
    assert_eq!(report.status, 1);
    let setting = |at: usize| format!("process.harvester-whale.source[{at}].token_file");
    report.is(&setting(0), "ok", "0600");
    report.is(&setting(1), "warn", "chmod 600");
    report.is(&setting(2), "fail", "mount the Secret");
    report.is("refine.models_dir", "fail", "make the folder");
    assert!(
        !report.groups().contains(&"remote"),
        "{:?}",
        report.groups()
    );
    let output = command.output().unwrap();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(all.contains("refuses connections"), "{all}");
    assert!(!all.contains("hush-hush"), "{all}");

    place.write("smartem.toml", "[serve]\nlisten_on = 5\n");
    let output = place.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
}

#[test]
fn each_source_is_asked_once_and_its_clock_is_compared() {
    let place = Place::new();
    migrated(&place);
    let refusing = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let good = Service::whale(&place, &["--stations", "2"]);
    let late = answering(Some(answer("200 OK", SignedDuration::from_secs(-605))));
    let sources = [
        ("good", good.url.clone()),
        ("late", late.clone()),
        (
            "denying",
            answering(Some(answer("401 Unauthorized", SignedDuration::ZERO))),
        ),
        (
            "failing",
            answering(Some(answer(
                "503 Service Unavailable",
                SignedDuration::ZERO,
            ))),
        ),
        ("refusing", refusing),
        ("slow", answering(None)),
        ("plain", late.replace("http:", "https:")),
        ("nameless", "http://no-such-host.invalid".to_owned()),
    ];
    let source = |(name, url): &(&str, String)| {
        format!("[[process.harvester-whale.source]]\nname = \"{name}\"\nurl = \"{url}\"\n")
    };
    let config: Vec<String> = sources.iter().map(source).collect();
    place.write("smartem.toml", config.concat());
    let report = Report::of(place.command(&["doctor", "--json"]));
    assert_eq!(report.status, 1);
    let is = |name: &str, level: &str, words: &str| {
        report.is(&format!("harvester-whale: source {name}"), level, words);
    };
    is("good", "ok", "reached");
    is("late", "ok", "reached");
    is("denying", "fail", "unauthorised");
    is("failing", "warn", "503");
    is("refusing", "fail", "refuses connections");
    is("slow", "fail", "does not answer within 10 s");
    is("plain", "fail", "TLS");
    is("nameless", "fail", "name servers");
    let late = late.strip_prefix("http://").unwrap();
    report.is(&format!("clock of {late}"), "fail", "behind this machine's");
    let good = good
        .url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let good = good.split('/').next().unwrap();
    report.is(&format!("clock of {good}"), "ok", "0.0 s");
}

#[test]
fn influxdb_and_a_broker_are_asked_with_their_credentials() {
    let influxd = Influxd::start_with_authentication().unwrap();
    influxd.execute("CREATE DATABASE air").unwrap();
    let broker = Mosquitto::start_with(MosquittoSettings {
        user: Some(("collect", "hush-hush")),
        tls: None,
    });
    let broker = broker.unwrap();
    let place = Place::new();
    migrated(&place);
    let report = |database: &str, password: &str, mqtt: &str| {
        secret(&place, "influxdb-password", password);
        secret(&place, "mqtt-password", mqtt);
        let config = format!(
            "[process.publisher-influxdb.influxdb]\nurl = \"{}\"\ndatabase = \"{database}\"\n\
             username = \"{}\"\npassword_file = \"influxdb-password\"\n\
             [collect.mqtt]\nbroker = \"mqtt://{}\"\nusername = \"collect\"\npassword_file = \"mqtt-password\"\n",
            influxd.url(),
            ADMIN.0,
            broker.address(),
        );
        place.write("smartem.toml", config);
        Report::of(place.command(&["doctor", "--json"]))
    };
    let output = "publisher-influxdb: output influxdb";
    let good = report("air", ADMIN.1, "hush-hush");
    good.is(output, "ok", "with the database `air`");
    good.is("MQTT broker", "ok", "lets the user in");
    let wrong = report("air", "nobody's", "nobody's");
    wrong.is(output, "fail", "unauthorised");
    wrong.is("MQTT broker", "fail", "password file");
    assert_eq!(wrong.status, 1);
    let other = report("water", ADMIN.1, "hush-hush");
    other.is(output, "fail", "GRANT");
}

#[test]
fn a_postgresql_store_is_judged_by_what_its_role_may_do() {
    let server = Postgres::shared().unwrap_or_else(|problem| panic!("{problem}"));
    let database = server.create_database().unwrap();
    let place = Place::new();
    let at = |url: &str, args: &[&str]| {
        let mut command = place.command(args);
        command
            .env("SMARTEM_STORE__BACKEND", "postgres")
            .env("SMARTEM_STORE__POSTGRES__URL", url);
        command
    };
    let report = |url: &str| Report::of(at(url, &["doctor", "--json"]));
    let before = report(&database.url());
    assert_eq!(before.status, 1);
    before.is("schema", "fail", "there is no store in this database");
    before.is("PostGIS", "fail", "CREATE EXTENSION postgis");
    let made = at(&database.url(), &["store", "migrate"]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));

    let writer = report(&database.url_of("smartem_writer"));
    assert_eq!(writer.status, 0, "{:#}", writer.document);
    writer.is("PostgreSQL", "ok", "without TLS");
    writer.is("schema", "ok", "nothing is pending");
    writer.is(
        "role smartem_writer",
        "ok",
        "reads and writes, may not migrate",
    );
    writer.is("connections", "ok", "store.postgres.connections");
    let clocks = writer.document["checks"].as_array().unwrap();
    let clock = clocks
        .iter()
        .find(|check| check["group"] == "clock")
        .unwrap();
    assert_eq!(clock["level"], "ok");
    let api = report(&database.url_of("smartem_api"));
    assert_eq!(api.status, 0, "{:#}", api.document);
    api.is("role smartem_api", "ok", "reads only, may not migrate");
    let owner = report(&database.url_of("smartem_owner"));
    owner.is("role smartem_owner", "ok", "may migrate");

    let stranger = "CREATE ROLE stranger LOGIN";
    database.psql(stranger).unwrap();
    let stranger = report(&database.url_of("stranger"));
    stranger.is("schema", "fail", "may not look");
    let older = "DELETE FROM smartem.schema_version WHERE version = 4";
    database.psql(older).unwrap();
    let older = report(&database.url_of("smartem_writer"));
    older.is("schema", "fail", "version 3, and 4 is needed");
    let nowhere = report("postgresql://smartem_api@127.0.0.1:1/gis?sslmode=disable");
    assert_eq!(nowhere.status, 1);
    nowhere.is("PostgreSQL", "fail", "network policies");
}
