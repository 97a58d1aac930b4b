//! `/metrics` of the real programs, and the page that lists what they export.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use smartem_simulate::mosquitto::Mosquitto;
use smartem_simulate::postgres::{Postgres, PostgresOptions};

use crate::support::{Place, Service, root, wait_until};

/// A day of two stations.
const CITY: [&str; 10] = [
    "--stations",
    "2",
    "--cadence",
    "120",
    "--since",
    "2026-03-01T00:00:00Z",
    "--until",
    "2026-03-01T06:00:00Z",
    "--now",
    "2026-03-01T08:00:00Z",
];

/// What holds in every test of the page: see its column `Only`.
const USUALLY: [&str; 5] = [
    "",
    "Linux",
    "Linux, where there is a limit",
    "Unix, and the folder is there",
    "MQTT",
];

/// A family as it is exported or told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Family {
    kind: String,
    /// Where it has samples.
    labels: Option<BTreeSet<String>>,
}

/// A row of the page.
struct Row {
    name: String,
    family: Family,
    from: BTreeSet<String>,
    only: String,
}

/// Words between commas, without the marks of code.
fn words(cell: &str) -> BTreeSet<String> {
    let words = cell.split(',').map(|it| it.trim().trim_matches('`'));
    let words = words.filter(|it| !it.is_empty());
    words.map(str::to_owned).collect()
}

/// The families of the page, and what processes count.
fn page() -> (Vec<Row>, BTreeSet<String>) {
    let text = std::fs::read_to_string(root().join("docs/reference/metrics.md")).unwrap();
    let (mut rows, mut counts) = (Vec::new(), BTreeSet::new());
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        match cells.as_slice() {
            [_, kind, labels, meaning, from, only] => {
                assert!(!meaning.is_empty(), "{line}");
                let family = Family {
                    kind: (*kind).to_owned(),
                    labels: Some(words(labels)),
                };
                let (from, only) = (words(from), (*only).to_owned());
                rows.push(Row {
                    name,
                    family,
                    from,
                    only,
                });
            }
            [_, _label, _meaning] => assert!(counts.insert(name), "twice: {line}"),
            _ => panic!("not as many cells as the others: {line}"),
        }
    }
    (rows, counts)
}

/// The families of an answer.
fn exported(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().filter(|line| !line.starts_with("# HELP ")) {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (of, kind) = typed.split_once(' ').unwrap();
            of.clone_into(&mut name);
            let kind = kind.to_owned();
            families.insert(of.to_owned(), Family { kind, labels: None });
            continue;
        }
        let labels = line.split_once('{').map_or("", |(_, rest)| rest);
        // No label of these tests has a quotation mark in its value.
        let labels = labels.split('"').step_by(2);
        let labels = labels.filter_map(|it| it.trim_start_matches(',').strip_suffix('='));
        let family = families.get_mut(&name).unwrap();
        let known = family.labels.get_or_insert_with(BTreeSet::new);
        known.extend(labels.map(str::to_owned));
    }
    families
}

/// The one sample of this name and these labels.
fn sample(text: &str, series: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}

fn metrics(service: &Service) -> String {
    let (status, text) = service.get("/metrics");
    assert_eq!(status, 200, "{text}");
    text
}

/// Compares an answer of a program with the page, both ways.
fn compare(program: &str, text: &str, also: &[&str]) {
    let (rows, counts) = page();
    let mut found = exported(text);
    let counted: Vec<String> = found.keys().filter_map(|name| count_of(name)).collect();
    for name in counted {
        let family = found.remove(&format!("smartem_etl_{name}_total")).unwrap();
        assert_eq!(family.kind, "counter");
        assert!(
            counts.contains(&name),
            "`{name}` is not among what processes count"
        );
    }
    for row in rows.iter().filter(|row| !row.name.contains('<')) {
        let here = row.from.contains(program);
        let holds = USUALLY.contains(&&*row.only) || also.contains(&&*row.only);
        let Some(family) = found.remove(&row.name) else {
            assert!(!(here && holds), "{program} does not export {}", row.name);
            continue;
        };
        assert!(
            here && holds,
            "{program} exports {}, and the page says otherwise",
            row.name
        );
        assert_eq!(family.kind, row.family.kind, "{}", row.name);
        if family.labels.is_some() {
            assert_eq!(family.labels, row.family.labels, "{}", row.name);
        }
    }
    let strangers: Vec<&String> = found.keys().collect();
    assert!(
        strangers.is_empty(),
        "{program} exports what the page lacks: {strangers:?}"
    );
}

/// What a process counted, where the family is one of those.
fn count_of(name: &str) -> Option<String> {
    let name = name.strip_prefix("smartem_etl_")?.strip_suffix("_total")?;
    Some(name.to_owned())
}

fn start(place: &Place, command: &str) -> Service {
    Service::start(place.command(&[command, "--listen", "127.0.0.1:0"]))
}

/// A configuration with this source and these tables, and a store.
fn configure(place: &Place, url: &str, tables: &str) {
    place.with_source(url);
    place.write(
        "smartem.toml",
        format!(
            "[[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{url}\"\n\
             {tables}"
        ),
    );
}

#[test]
fn what_serve_collect_and_up_export_is_on_the_page_and_nothing_else() {
    let place = Place::new();
    let remote = Service::whale(&place, &CITY);
    configure(
        &place,
        &remote.url,
        "[process.backup.backup]\nto = \"backup\"\n[collect.mqtt]\nlisten = \"127.0.0.1:0\"\n",
    );
    for process in ["harvester-whale", "refiner", "backup", "backup-verify"] {
        place.etl(process);
    }
    for program in ["serve", "collect", "up"] {
        let service = start(&place, program);
        let text = metrics(&service);
        compare(program, &text, &["once there was one", "own broker"]);
        let is = |series: &str, value: f64| {
            assert_eq!(sample(&text, series), Some(value), "{series} of {program}");
        };
        is("smartem_stations_by_network{network=\"test\"}", 2.0);
        is("smartem_stations_stale{network=\"test\"}", 2.0);
        let success = "smartem_etl_last_success_timestamp_seconds{process=\"refiner\"}";
        assert!(sample(&text, success).is_some(), "{text}");
        let lag = "smartem_etl_lag_seconds{process=\"harvester-whale\",source=\"test\"}";
        assert!(sample(&text, lag).is_some_and(|lag| lag > 0.0), "{text}");
        assert_eq!(service.terminate(), Some(0));
    }
}

#[test]
fn with_a_database_and_a_broker_of_others_more_is_told_and_less_when_they_are_gone() {
    let options = PostgresOptions::default();
    let mut server = Postgres::start_with(&options).unwrap_or_else(|problem| panic!("{problem}"));
    let mut broker = Mosquitto::start().unwrap_or_else(|problem| panic!("{problem}"));
    let place = Place::on(&server);
    let remote = Service::whale(&place, &CITY);
    let mqtt = format!("[collect.mqtt]\nbroker = \"mqtt://{}\"\n", broker.address());
    configure(&place, &remote.url, &mqtt);
    place.etl("harvester-whale");
    let up = start(&place, "up");
    let connected = || sample(&metrics(&up), "smartem_mqtt_connected");
    wait_until("the broker is connected", || connected() == Some(1.0));
    let text = metrics(&up);
    let also = ["PostgreSQL", "other broker"];
    compare("up", &text, &also);
    let pool = |name: &str| sample(&text, &format!("smartem_store_pool_{name}"));
    assert_eq!(pool("connections_max"), Some(8.0));
    let states = ["idle", "busy"].map(|it| format!("connections{{state=\"{it}\"}}"));
    let all: f64 = states.iter().map(|it| pool(it).unwrap()).sum();
    assert!((1.0..=8.0).contains(&all), "{text}");
    broker.stop().unwrap();
    wait_until("the broker is missed", || connected() == Some(0.0));
    // Who asks must not wait as long as the store waits for its database.
    server.kill().unwrap();
    let since = Instant::now();
    let text = metrics(&up);
    assert!(since.elapsed() < Duration::from_secs(9));
    assert_eq!(sample(&text, "smartem_store_up"), Some(0.0));
    assert!(sample(&text, "smartem_store_read_seconds").is_some_and(|it| it < 8.0));
    assert!(sample(&text, "smartem_points_log_bytes").is_some());
    assert_eq!(sample(&text, "smartem_observations"), None);
}

#[test]
fn only_processes_that_do_not_rest_have_a_schedule() {
    let place = Place::new();
    assert!(place.run(&["store", "migrate"]).status.success());
    let intervals = |text: &str| -> BTreeMap<String, u64> {
        let family = "smartem_etl_schedule_interval_seconds{process=\"";
        let lines = text.lines().filter_map(|line| line.strip_prefix(family));
        let pair = |line: &str| {
            let (process, pause) = line.split_once("\"} ").unwrap();
            (process.to_owned(), pause.parse().unwrap())
        };
        lines.map(pair).collect()
    };
    let expected = |pairs: &[(&str, u64)]| -> BTreeMap<String, u64> {
        let pairs = pairs.iter();
        pairs.map(|(name, it)| ((*name).to_owned(), *it)).collect()
    };
    let serve = start(&place, "serve");
    let text = metrics(&serve);
    let always = [("housekeeping", 86_400), ("refiner", 300)];
    assert_eq!(intervals(&text), expected(&always));
    let sources = |text: &str, process: &str| {
        sample(
            text,
            &format!("smartem_etl_sources{{process=\"{process}\"}}"),
        )
    };
    assert_eq!(sources(&text, "harvester-whale"), Some(0.0));
    assert_eq!(sources(&text, "refiner"), None);
    assert_eq!(serve.terminate(), Some(0));

    // A source that nobody can reach, an output, and a place of backups.
    place.write(
        "smartem.toml",
        "[[process.harvester-whale.source]]\nname = \"far\"\nurl = \"http://127.0.0.1:9/\"\n\
         [process.extractor.extract]\nstations = [\"12\"]\n\
         [process.extractor.influxdb]\nurl = \"http://influxdb.example:8086\"\ndatabase = \"raw\"\n\
         [process.refiner]\nschedule = \"\"\n\
         [process.backup.backup]\nto = \"/backup/smartem\"\n",
    );
    let serve = start(&place, "serve");
    let text = metrics(&serve);
    let now = [
        ("backup", 86_400),
        ("backup-verify", 7 * 86_400),
        ("extractor", 1_200),
        ("harvester-whale", 23 * 60),
        ("housekeeping", 86_400),
        ("last", 180),
    ];
    assert_eq!(intervals(&text), expected(&now));
    assert_eq!(sources(&text, "harvester-whale"), Some(1.0));
    assert_eq!(sources(&text, "harvester-csv"), Some(0.0));
    // It never brought anything, and is visible all the same.
    let labels = "{process=\"harvester-whale\",source=\"far\"}";
    let info = sample(&text, &format!("smartem_etl_source_info{labels}"));
    assert_eq!(info, Some(1.0));
    assert!(!text.contains(&format!("smartem_etl_lag_seconds{labels}")));

    // The list of processes says the same.
    let listed = place.run(&["etl", "list"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = |process: &str| {
        let mut lines = listed.lines();
        let name = format!("{process} ");
        lines.find(|line| line.starts_with(&name)).unwrap()
    };
    for (process, ends) in [
        ("last", "harvester-sensorthings"),
        ("harvester-whale", "far"),
        ("harvester-csv", "rests: no source yet"),
        ("backup-verify", "the store"),
        ("publisher-influxdb", "rests: `influxdb` is not configured"),
    ] {
        assert!(line(process).ends_with(ends), "{}", line(process));
    }
}

#[test]
fn what_processes_count_is_what_the_page_says() {
    let (_, counts) = page();
    let mut found = BTreeSet::new();
    let mut all = String::new();
    for room in ["etl", "collect", "publish"] {
        let folder = root().join(format!("crates/smartem-{room}/src"));
        counted(&folder, &mut found, &mut all);
    }
    counted(&root().join("crates/smartem/src"), &mut found, &mut all);
    assert!(found.len() > 30, "{found:?}");
    let missing: Vec<_> = found.difference(&counts).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    let counts = counts.into_iter();
    let gone: Vec<_> = counts
        .filter(|it| !all.contains(&format!("\"{it}\"")))
        .collect();
    assert!(gone.is_empty(), "nobody counts {gone:?}");
}

/// The names that are written where something is counted, and all text of a folder.
fn counted(folder: &Path, found: &mut BTreeSet<String>, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            counted(&path, found, all);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for call in [".add(", ".add_labelled(", ".set("] {
            for after in text.split(call).skip(1) {
                let quoted = after.trim_start().strip_prefix('"');
                let name = quoted.and_then(|it| it.split('"').next());
                // Others are added to sets, such as types of sensors.
                let name =
                    name.filter(|it| it.bytes().all(|b| b == b'_' || b.is_ascii_lowercase()));
                found.extend(name.map(str::to_owned));
            }
        }
        all.push_str(&text);
    }
}
