//! The pods of `CronJobs`: once, together, killed, and with a large backlog.

use std::thread;
use std::time::Duration;

use smartem_deploy::pod::Workload;

use crate::Told;
use crate::platform::{AREA, Platform};

/// Two days of a few stations.
const STATIONS: u32 = 6;
const SINCE: &str = "2026-10-31T00:00:00Z";

/// Each that is on a schedule.
pub(crate) fn once(platform: &mut Platform) -> Told {
    platform.remote(STATIONS, SINCE);
    platform.done("etl-harvester-whale");
    platform.done("etl-refiner");
    let state = platform.state();
    assert!(
        !state.starts_with("0 records") && !state.contains(" 0 observations"),
        "{state}"
    );
    let mut names: Vec<String> = platform
        .objects
        .names(Workload::CronJob)
        .into_iter()
        .filter(|(namespace, name)| namespace == AREA && name.starts_with("etl-"))
        .map(|(_, name)| name)
        .collect();
    // It reads what the other has made.
    names.sort_by_key(|name| name == "etl-backup-verify");
    for name in &names {
        let end = platform.done(name);
        println!(
            "    {name:<32} {:>5.1} s {:>6.1} MiB",
            end.took.as_secs_f64(),
            mib(end.memory.resident)
        );
    }
    assert_eq!(
        platform.state(),
        state,
        "a second run changed what is stored"
    );
    format!("{} jobs; {state}", names.len())
}

/// Two harvesters and two refiners at the same time leave what one leaves.
pub(crate) fn together(platform: &mut Platform) -> Told {
    let alone = harvested_alone(platform, STATIONS);
    platform.forget();
    for job in ["etl-harvester-whale", "etl-refiner"] {
        let pods = [platform.begin(job, None), platform.begin(job, None)];
        for pod in pods {
            let end = pod.wait(Duration::from_secs(300)).unwrap();
            assert!(
                matches!(end.code, 0 | 75),
                "{job}: {} {}",
                end.code,
                end.logs
            );
        }
    }
    // What one left to the other.
    platform.done("etl-harvester-whale");
    platform.done("etl-refiner");
    assert_eq!(platform.state(), alone);
    alone
}

/// How long what was killed holds what it had, and a little.
const LEASE: Duration = Duration::from_secs(21);

/// Killed in the middle, and run again.
pub(crate) fn killed(platform: &mut Platform) -> Told {
    let alone = harvested_alone(platform, 2 * STATIONS);
    platform.forget();
    let mut kills = 0;
    for job in ["etl-harvester-whale", "etl-refiner"] {
        for pause in [30, 80, 150, 300] {
            let pod = platform.begin(job, None);
            thread::sleep(Duration::from_millis(pause));
            let was_at_work = pod.running();
            pod.kill().unwrap();
            if was_at_work {
                kills += 1;
                // Before that the next one would only find its lease held.
                thread::sleep(LEASE);
            }
        }
        // A claim of one that was killed is held until its lease is over.
        let mut code = platform.run(job).code;
        for _ in 0..24 {
            if code != 75 {
                break;
            }
            thread::sleep(Duration::from_secs(5));
            code = platform.run(job).code;
        }
        assert_eq!(code, 0, "{job}");
    }
    assert!(
        kills > 2,
        "all but {kills} runs had ended before they were killed"
    );
    let mut state = platform.state();
    for _ in 0..24 {
        if state == alone {
            break;
        }
        thread::sleep(Duration::from_secs(5));
        platform.run("etl-harvester-whale");
        platform.run("etl-refiner");
        state = platform.state();
    }
    assert_eq!(state, alone);
    format!("{kills} killed; {state}")
}

fn harvested_alone(platform: &mut Platform, stations: u32) -> String {
    platform.remote(stations, SINCE);
    platform.forget();
    platform.done("etl-harvester-whale");
    platform.done("etl-refiner");
    let state = platform.state();
    assert!(
        !state.starts_with("0 records") && !state.contains(" 0 observations"),
        "{state}"
    );
    state
}

/// Ten times as much as in the other scenarios, within the limit of the manifests.
pub(crate) fn backlog_memory(platform: &mut Platform) -> Told {
    platform.forget();
    platform.remote(STATIONS * 10, SINCE);
    let mut told = Vec::new();
    for job in ["etl-harvester-whale", "etl-refiner"] {
        let end = platform.run(job);
        assert_eq!(end.code, 0, "{job}: {}", end.tail(5));
        assert!(
            end.memory.resident < 256 << 20,
            "{job}: {:.1} MiB",
            mib(end.memory.resident)
        );
        told.push(format!(
            "{job} {:.0} MiB resident, {:.0} MiB charged, {:.0} s",
            mib(end.memory.resident),
            mib(end.memory.group),
            end.took.as_secs_f64()
        ));
    }
    let state = platform.state();
    told.push(
        state
            .rsplit_once(',')
            .map_or_else(String::new, |(counts, _)| counts.to_owned()),
    );
    told.join("; ")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
