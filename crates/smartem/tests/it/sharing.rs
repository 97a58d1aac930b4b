//! Several programs share the work of one PostgreSQL store: nothing lost, nothing twice, whoever is killed.

use std::process::{Child, Stdio};
use std::time::Duration;

use smartem_simulate::postgres::{Postgres, PostgresOptions};

use crate::support::{Place, Service, block_on, first_difference, text, wait_until};

const CITY: [&str; 10] = [
    "--stations",
    "12",
    "--cadence",
    "30",
    "--since",
    "2026-03-01T00:00:00Z",
    "--until",
    "2026-03-04T00:00:00Z",
    "--now",
    "2026-03-08T00:00:00Z",
];

/// What an undisturbed program with an embedded store comes to.
struct Undisturbed {
    fingerprint: String,
    /// Hours that it refined; some twice, when the location of their station became known.
    refined: u64,
    remote: Service,
}

fn undisturbed() -> Undisturbed {
    let place = Place::new();
    let remote = Service::whale(&place, &CITY);
    place.with_source(&remote.url);
    place.etl("harvester-whale");
    let refined = told(&place.etl("refiner"), "records_refined");
    Undisturbed {
        fingerprint: place.fingerprint(),
        refined,
        remote,
    }
}

/// A refiner with one thread for its work, its log in a pipe.
fn refiner(place: &Place) -> Child {
    place
        .command(&["etl", "run", "refiner"])
        .env("SMARTEM_REFINE__PARALLEL", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn refined(place: &Place) -> u64 {
    block_on(async {
        let backlog = place.store().await.backlog().await.unwrap();
        backlog.raw_records - backlog.dirty_hours
    })
}

/// How many hours a run says it refined.
fn told(said: &str, counter: &str) -> u64 {
    let Some(at) = said.find(counter) else {
        return 0;
    };
    let digits = said[at + counter.len()..].trim_start();
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap()
}

#[test]
fn three_refiners_share_one_backlog_and_refine_each_hour_once() {
    let alone = undisturbed();
    let place = Place::on_postgres();
    place.with_source(&alone.remote.url);
    place.etl("harvester-whale");
    let runs = [refiner(&place), refiner(&place), refiner(&place)];
    let mut by_run = Vec::new();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{said}{}", text(&output.stderr));
        assert_eq!(told(&said, "records_overtaken"), 0, "{said}");
        by_run.push(told(&said, "records_refined"));
    }
    let found = place.fingerprint();
    assert_eq!(first_difference(&alone.fingerprint, &found), None);
    assert_eq!(by_run.iter().sum::<u64>(), alone.refined, "{by_run:?}");
    assert!(by_run.iter().all(|refined| *refined > 0), "{by_run:?}");
}

#[test]
fn one_refiner_is_killed_and_the_database_restarts_and_nothing_is_lost_or_twice() {
    let alone = undisturbed();
    let options = PostgresOptions {
        durable: true,
        ..PostgresOptions::default()
    };
    let mut server = Postgres::start_with(&options).unwrap_or_else(|problem| panic!("{problem}"));
    let place = Place::on(&server);
    place.with_source(&alone.remote.url);
    place.etl("harvester-whale");
    let mut victim = refiner(&place);
    let others = [refiner(&place), refiner(&place)];
    wait_until("some hours are refined", || refined(&place) > 50);
    victim.kill().unwrap();
    victim.wait().unwrap();
    server.kill().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    server.start_again().unwrap();
    for run in others {
        let output = run.wait_with_output().unwrap();
        let said = text(&output.stdout);
        assert!(output.status.success(), "{said}{}", text(&output.stderr));
    }
    // The others waited for the end of what the killed one had in hand.
    assert_eq!(
        first_difference(&alone.fingerprint, &place.fingerprint()),
        None
    );
}

#[test]
fn two_harvesters_divide_the_sources() {
    let place = Place::on_postgres();
    let remote = Service::whale(&place, &CITY);
    // Half of the stations each.
    let source = |name: &str, skip: std::ops::RangeInclusive<u32>| {
        let skip: Vec<u32> = skip.collect();
        let url = &remote.url;
        format!(
            "[[process.harvester-whale.source]]\nname = \"{name}\"\nurl = \"{url}\"\nskip = {skip:?}\n"
        )
    };
    let sources = source("test", 1001..=1006) + &source("other", 1007..=1012);
    let alone = Place::new();
    for place in [&alone, &place] {
        place.with_source(&remote.url);
        place.write("smartem.toml", &sources);
    }
    let expected = told(&alone.etl("harvester-whale"), "records_read");
    let start = || {
        place
            .command(&["etl", "run", "harvester-whale"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (one, two) = (start(), start());
    let said: Vec<String> = [one, two]
        .map(|run| text(&run.wait_with_output().unwrap().stdout))
        .into();
    let read: u64 = said.iter().map(|said| told(said, "records_read")).sum();
    // Who comes to a source that the other has read finds nothing new.
    assert_eq!(read, expected, "{said:?}");
    let records = |place: &Place| {
        block_on(async {
            let store = place.store().await;
            store.backlog().await.unwrap().raw_records
        })
    };
    assert_eq!(records(&place), records(&alone), "{said:?}");
}
