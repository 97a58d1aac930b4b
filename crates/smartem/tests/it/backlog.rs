//! A long backlog and a short budget: a run ends in time with what it did, and the next goes on.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::whale;

use crate::faults::stage::Served;
use crate::support::{Place, block_on, text};

/// Requests at a time that the settings allow.
const PARALLEL: usize = 5;

/// The most memory that a harvester may take, in KiB.
const MEMORY: u64 = 200 * 1024;

/// The budget of a run; `make soak` takes the 30 s of the requirement.
fn budget() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the length of the test is chosen from outside"
    )]
    let seconds = std::env::var("BACKLOG_BUDGET_S");
    seconds.ok().and_then(|n| n.parse().ok()).unwrap_or(4)
}

#[test]
fn with_a_thousand_stations_and_a_month_behind_a_run_ends_in_time_and_the_next_goes_on() {
    let now: Timestamp = "2026-03-31T00:00:00Z".parse().unwrap();
    let city = City::new(CityConfig {
        stations: 1000,
        cadence_s: 60,
        ..CityConfig::starting("2026-03-01T00:00:00Z".parse().unwrap())
    });
    let remote = Served::new(whale::router(
        Arc::new(city.unwrap()),
        Arc::new(move || now),
    ));
    let place = Place::new();
    place.write(
        "smartem.toml",
        format!(
            "[process.harvester-whale]\nbudget = \"{}s\"\n\
             [[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{}{}\"\nparallel = {PARALLEL}\n",
            budget(),
            remote.url,
            whale::PREFIX
        ),
    );
    assert!(place.run(&["store", "migrate"]).status.success());
    let mut stored = 0;
    for _ in 0..2 {
        let began = Instant::now();
        let time = now.to_string();
        let mut command = place.command(&["etl", "run", "harvester-whale", "--now", &time]);
        let mut run = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let memory = peak_memory(&mut run);
        let output = run.wait_with_output().unwrap();
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("budget_spent"), "{said}");
        // Half a minute of grace for a machine that does something else as well.
        assert!(began.elapsed() < Duration::from_secs(budget() + 30));
        assert!(memory < MEMORY, "{memory} KiB");
        let (before, after) = (stored, records(&place));
        assert!(after > before, "the run added to {before} records: {said}");
        // An hour that is stored is not asked for again.
        assert!(!said.contains("records_unchanged"), "{said}");
        stored = after;
        println!(
            "{said}; {memory} KiB at most, {:.1} s",
            began.elapsed().as_secs_f64()
        );
    }
    assert!(remote.line.most_under_way() <= PARALLEL);
    assert!(remote.line.most_under_way() > 1);
}

fn records(place: &Place) -> u64 {
    block_on(async {
        let access = smartem_store::Access::Existing;
        let store = smartem_store::Store::open(&place.data(), access)
            .await
            .unwrap();
        store.backlog().await.unwrap().raw_records
    })
}

/// Waits until a program ends; gives back the most memory it took, in KiB.
fn peak_memory(run: &mut Child) -> u64 {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", run.id()));
        let mut lines = status.as_deref().unwrap_or_default().lines();
        let high = lines.find_map(|line| {
            let kilobytes = line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?;
            kilobytes.trim().parse().ok()
        });
        peak = peak.max(high.unwrap_or_default());
        if run.try_wait().unwrap().is_some() {
            return peak;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
