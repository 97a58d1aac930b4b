//! Refining again: exactly what was chosen, bit for bit the same where nothing changed.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use smartem_store::{Access, Store};

use crate::support::{Place, Service, block_on, fingerprint, first_difference, root, text};

const CITY: [&str; 10] = [
    "--stations",
    "4",
    "--cadence",
    "60",
    "--since",
    "2026-03-01T00:00:00Z",
    "--until",
    "2026-03-02T12:00:00Z",
    "--now",
    "2026-03-03T00:00:00Z",
];

/// A refined store of a small city.
fn refined_city(args: &[&str]) -> Place {
    let place = Place::new();
    let remote = Service::whale(&place, args);
    place.with_source(&remote.url);
    place.etl("harvester-whale");
    place.etl("refiner");
    place
}

/// Josene stations with `from` in their definition written as `to`.
fn redefine(place: &Place, changes: &[(&str, &str)]) {
    let mut definition = std::fs::read_to_string(root().join("devices/jose.toml")).unwrap();
    for (from, to) in changes {
        assert!(definition.contains(from), "{from}");
        definition = definition.replacen(from, to, 1);
    }
    place.write("types/jose.toml", definition);
    let file = place.path().join("smartem.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    if !config.contains("definitions_dir") {
        place.write(
            "smartem.toml",
            format!("[refine]\ndefinitions_dir = \"types\"\n{config}"),
        );
    }
}

/// One degree warmer, and without particulates.
const CHANGES: [(&str, &str); 2] = [
    ("\"kelvin_to_celsius\"", "{ add = -272.15 }"),
    ("[indicator.pm10]\n", "[indicator.no]\n"),
];

fn replay(place: &Place, args: &[&str]) -> String {
    let output = place.run(&[&["etl", "run", "refiner", "--replay"], args].concat());
    let (out, log) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{log}");
    out
}

/// How many hours were marked; as many must have been refined.
fn replayed_hours(said: &str) -> u64 {
    let count = |name: &str| -> u64 {
        let after = said.split(name).nth(1).unwrap_or(said);
        let digits = after.trim_start().split(|c: char| !c.is_ascii_digit());
        digits.into_iter().next().unwrap().parse().unwrap()
    };
    assert_eq!(count("hours_marked"), count("records_refined"), "{said}");
    count("hours_marked")
}

fn dirty_hours(place: &Place) -> u64 {
    block_on(async {
        let store = Store::open(&place.data(), Access::Existing).await.unwrap();
        store.backlog().await.unwrap().dirty_hours
    })
}

#[test]
fn a_replay_without_a_change_gives_the_same_to_the_bit() {
    let place = refined_city(&CITY);
    let before = fingerprint(&place.data());
    assert!(before.lines().count() > 500, "too little to compare");
    let records: u64 = before.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(replayed_hours(&replay(&place, &[])), records);
    assert_eq!(first_difference(&before, &fingerprint(&place.data())), None);
    // From the middle the first hour takes the state that was kept of the hour before.
    let range = ["--from", "2026-03-01T07:30:00Z", "--to", "2026-03-02"];
    let some = replayed_hours(&replay(&place, &range));
    assert!((50..=68).contains(&some), "{some}");
    assert_eq!(first_difference(&before, &fingerprint(&place.data())), None);
    let said = replay(&place, &["--from", "2030-01-01"]);
    assert!(said.contains("hours_marked 0"), "{said}");
}

/// The observations of a store, each with what identifies it.
fn observations(fingerprint: &str) -> Vec<Value> {
    let lines = fingerprint
        .lines()
        .filter(|line| line.starts_with("{\"station\""));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn another_definition_changes_exactly_the_hours_that_were_chosen() {
    let place = refined_city(&CITY);
    let before = fingerprint(&place.data());
    let stations: BTreeSet<String> = observations(&before)
        .iter()
        .map(|it| it["station"].as_str().unwrap().to_owned())
        .collect();
    let chosen: Vec<&str> = stations.iter().take(2).map(String::as_str).collect();
    redefine(&place, &CHANGES);
    let said = replay(
        &place,
        &[
            "--from",
            "2026-03-01T10:00:00Z",
            "--to",
            "2026-03-01T13:00:00Z",
            "--stations",
            &chosen.join(","),
        ],
    );
    let marked = replayed_hours(&said);
    let after = fingerprint(&place.data());
    let is_chosen = |it: &Value| {
        let start = it["phenomenonTime"]["start"].as_str().unwrap();
        chosen.contains(&it["station"].as_str().unwrap())
            && ("2026-03-01T10".."2026-03-01T13").contains(&start)
    };
    let split = |fingerprint: &str| -> (Vec<Value>, Vec<Value>) {
        observations(fingerprint).into_iter().partition(is_chosen)
    };
    let ((old, old_others), (new, others)) = (split(&before), split(&after));
    assert_eq!(others, old_others);
    let hours: BTreeSet<String> = old
        .iter()
        .map(|it| format!("{} {}", it["station"], it["phenomenonTime"]))
        .collect();
    assert!((4..=6).contains(&marked), "{marked}");
    assert_eq!(hours.len() as u64, marked);
    assert!(old.iter().any(|it| it["indicator"] == "pm10"));
    assert!(new.iter().all(|it| it["indicator"] != "pm10"));
    assert!(new.iter().any(|it| it["indicator"] == "no"));
    for it in &new {
        assert_ne!(it["definition"], old[0]["definition"], "{it}");
    }
    let temperatures = |list: &[Value]| -> Vec<f64> {
        let chosen = list.iter().filter(|it| it["indicator"] == "temperature");
        chosen.map(|it| it["value"].as_f64().unwrap()).collect()
    };
    let (cold, warm) = (temperatures(&old), temperatures(&new));
    assert_eq!((cold.len(), warm.len()), (hours.len(), hours.len()));
    for (cold, warm) in cold.iter().zip(&warm) {
        assert!((warm - cold - 1.0).abs() < 1e-9, "{cold} became {warm}");
    }
    // Back to the definition it was: the store is the one before, but for a series without values.
    std::fs::remove_file(place.path().join("types/jose.toml")).unwrap();
    replay(&place, &[]);
    let back = fingerprint(&place.data());
    assert_eq!(observations(&back), observations(&before));
}

/// An hour of a Josene station with these resistances, one a minute.
fn hour(number: i64, resistances: &[i64]) -> Value {
    let samples = resistances.iter().zip(5..).map(|(ohm, minute)| {
        json!({"_id": format!("{number}-{minute}"), "id": 7, "time": format!("2026-03-01T{:02}:{minute:02}:00Z", number - 1),
            "s_temperatureambient": 283_150, "s_coresistance": ohm, "s_longitude": 5_914_103, "s_latitude": 53_949_937})
    });
    json!({"id": "7", "date": "2026-03-01", "hour": number, "timeseries": samples.collect::<Vec<_>>()})
}

#[test]
fn hours_after_those_chosen_follow_only_as_far_as_the_state_handed_on_differs() {
    let place = Place::new();
    let two: [i64; 2] = [100_000, 200_000];
    // After six hours without a sample the running mean starts anew: there the state is the same.
    for (number, resistances) in [
        (1, &two[..]),
        (2, &two),
        (3, &two),
        (12, &two[..1]),
        (13, &two),
    ] {
        place.write(
            &format!("rec/{number}.json"),
            hour(number, resistances).to_string(),
        );
    }
    let folder = place.path().join("rec");
    let remote = Service::whale(&place, &["--from", folder.to_str().unwrap()]);
    place.with_source(&remote.url);
    place.etl("harvester-whale");
    place.etl("refiner");
    let before = fingerprint(&place.data());
    redefine(
        &place,
        &[(
            "key = \"s_coresistance\"\nunit = \"Ohm\"\nmin = 10000\nmax = 3000000\nsmoothing = 0.05",
            "key = \"s_coresistance\"\nunit = \"Ohm\"\nmin = 10000\nmax = 3000000\nsmoothing = 0.06",
        )],
    );
    let said = replay(
        &place,
        &[
            "--from",
            "2026-03-01T01:00:00Z",
            "--to",
            "2026-03-01T02:00:00Z",
        ],
    );
    assert!(
        said.contains("hours_marked 1") && said.contains("records_refined 3"),
        "{said}"
    );
    let after = fingerprint(&place.data());
    let changed: BTreeSet<i64> = observations(&before)
        .iter()
        .zip(&observations(&after))
        .filter(|(old, new)| old != new)
        .map(|(_, new)| {
            new["phenomenonTime"]["start"].as_str().unwrap()[11..13]
                .parse::<i64>()
                .unwrap()
                + 1
        })
        .collect();
    assert_eq!(changed, BTreeSet::from([2, 3, 12]));
}

#[test]
fn a_replay_that_was_killed_is_finished_by_the_next_run() {
    let undisturbed = refined_city(&CITY);
    redefine(&undisturbed, &CHANGES);
    replay(&undisturbed, &[]);
    let expected = fingerprint(&undisturbed.data());
    let mut finished = 0;
    for delay in [0, 10, 40, 100] {
        let place = refined_city(&CITY);
        redefine(&place, &CHANGES);
        let mut run = place
            .command(&["etl", "run", "refiner", "--replay"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while dirty_hours(&place) == 0 && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(delay));
        run.kill().unwrap();
        run.wait().unwrap();
        finished += usize::from(dirty_hours(&place) > 0);
        place.etl("refiner");
        let found = fingerprint(&place.data());
        assert_eq!(first_difference(&expected, &found), None, "{delay} ms");
    }
    assert!(finished > 0, "no run was killed with work left");
}

#[test]
fn what_cannot_be_replayed_is_wrong_usage() {
    let place = refined_city(&CITY);
    let before = fingerprint(&place.data());
    for (args, words) in [
        (
            &["etl", "run", "refiner", "--from", "2026-03-01"][..],
            "--replay",
        ),
        (&["etl", "run", "refiner", "--stations", "1"], "--replay"),
        (
            &["etl", "run", "refiner", "--replay", "--from", "yesterday"],
            "2026-11-15T00:00:00Z",
        ),
        (
            &[
                "etl",
                "run",
                "refiner",
                "--replay",
                "--from",
                "2026-03-02",
                "--to",
                "2026-03-01",
            ],
            "exchange them",
        ),
        (
            &["etl", "run", "refiner", "--replay", "--to", "0000-01-01"],
            "1970",
        ),
        (
            &[
                "etl",
                "run",
                "refiner",
                "--replay",
                "--stations",
                "no-such-station",
            ],
            "`no-such-station`",
        ),
    ] {
        let output = place.run(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
    assert_eq!(first_difference(&before, &fingerprint(&place.data())), None);
}
