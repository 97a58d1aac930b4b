//! The rendered overlay `generic`, run: its pods with podman, real servers, a simulated remote; killed, updated,
//! backed up and restored. `make e2e`; words on the command line choose scenarios by their names.
//!
//! The servers are Debian's versions of what deploy/images.toml names (scripts/e2e-images.sh); PostgreSQL is
//! the `StatefulSet` of the overlay `local`, standing for the server outside of the cluster.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]
#![expect(clippy::print_stdout, reason = "it tells how far it is")]

mod balancer;
mod jobs;
mod platform;
mod recovery;
mod updates;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use platform::Platform;

/// What a scenario tells of itself when it went well.
type Told = String;

/// One of them, by name.
type Scenario = (&'static str, fn(&mut Platform) -> Told);

/// In this order, since later ones use what earlier ones left.
const SCENARIOS: [Scenario; 14] = [
    ("first-start", platform::first_start),
    ("jobs-once", jobs::once),
    ("jobs-together", jobs::together),
    ("jobs-killed", jobs::killed),
    ("commands", platform::commands),
    ("rolling-serve", updates::rolling_serve),
    ("rolling-collect", updates::rolling_collect),
    ("sigterm", updates::sigterm),
    ("database-stopped", recovery::database_stopped),
    ("secret-swapped", recovery::secret_swapped),
    ("store-restored", recovery::store_restored),
    ("influxdb-restored", recovery::influxdb_restored),
    ("backlog-memory", jobs::backlog_memory),
    ("memory-at-rest", platform::memory_at_rest),
];

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    // `cargo test -- --test-threads=1` may come with a number as a word of its own.
    let wanted: Vec<String> = wanted
        .into_iter()
        .filter(|word| word.parse::<u32>().is_err())
        .collect();

    let mut platform = match Platform::start() {
        Ok(platform) => platform,
        Err(reason) => {
            println!("SKIPPED: all end-to-end tests: {reason}");
            return ExitCode::SUCCESS;
        }
    };
    let mut rows = Vec::new();
    let mut failed = false;
    for (name, scenario) in SCENARIOS {
        let needed = name == "first-start";
        if !needed && !wanted.is_empty() && !wanted.iter().any(|word| name.contains(word.as_str()))
        {
            continue;
        }
        println!("--- {name}");
        let begin = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| {
            if !needed {
                platform.mend();
            }
            scenario(&mut platform)
        }));
        let told = result.unwrap_or_else(|_| {
            failed = true;
            "FAILED".to_owned()
        });
        println!("    {told}");
        rows.push((name, begin.elapsed().as_secs_f64(), told));
        if failed && needed {
            break;
        }
    }
    println!("\n{:<18} {:>7}  result", "scenario", "s");
    for (name, seconds, told) in &rows {
        println!("{name:<18} {seconds:>7.1}  {told}");
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
