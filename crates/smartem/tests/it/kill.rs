//! Killed anywhere, the processes go on where the last commit was: nothing lost, nothing twice.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Place, Service, first_difference};

/// How often the program is killed.
const KILLS: usize = 10;

const CITY: [&str; 10] = [
    "--stations",
    "10",
    "--cadence",
    "60",
    "--since",
    "2026-03-01T00:00:00Z",
    "--until",
    "2026-03-05T12:00:00Z",
    "--now",
    "2026-03-06T00:00:00Z",
];

/// Runs everything to its end; the second harvest sees what refining found out.
fn finish(place: &Place) {
    for process in ["harvester-whale", "refiner", "harvester-whale", "refiner"] {
        place.etl_when_free(process);
    }
}

#[test]
fn a_program_killed_at_ten_random_points_leaves_the_same_store_as_an_undisturbed_one() {
    kill_and_compare(&Place::new, KILLS);
}

/// The undisturbed store is an embedded one, so both kinds of stores come to the same.
#[test]
fn on_postgresql_a_program_killed_at_random_points_leaves_the_same_store_as_an_undisturbed_one() {
    kill_and_compare(&Place::on_postgres, KILLS / 5);
}

#[expect(clippy::print_stdout, reason = "for who runs many seeds")]
fn kill_and_compare(place: &dyn Fn() -> Place, kills: usize) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the length of the test is chosen from outside"
    )]
    let seeds: u64 = std::env::var("KILL_TEST_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let undisturbed = Place::new();
    let remote = Service::whale(&undisturbed, &CITY);
    undisturbed.with_source(&remote.url);
    let durations = ["harvester-whale", "refiner"].map(|process| {
        let since = Instant::now();
        undisturbed.etl(process);
        (process, since.elapsed())
    });
    finish(&undisturbed);
    let expected = undisturbed.fingerprint();
    assert!(expected.lines().count() > 2000, "too little to compare");
    for seed in 0..seeds {
        let mut random = StdRng::seed_from_u64(seed);
        let (mut killed, mut stores) = (0, 0);
        while killed < kills {
            // A store whose work is done before all kills have hit is compared, and another begun.
            let place = place();
            place.with_source(&remote.url);
            killed += kill_often(&place, &durations, kills - killed, &mut random);
            finish(&place);
            let found = place.fingerprint();
            assert_eq!(first_difference(&expected, &found), None, "seed {seed}");
            stores += 1;
            assert!(
                stores < 10 * kills,
                "the program ends before it can be killed"
            );
        }
        println!("seed {seed}: killed {killed} times, {stores} stores are the same");
    }
}

/// Runs the processes in turn and kills each at a random moment; gives back how often that hit one
/// at work, at most `wanted` times.
fn kill_often(
    place: &Place,
    durations: &[(&str, Duration); 2],
    wanted: usize,
    random: &mut StdRng,
) -> usize {
    let (mut killed, mut missed) = (0, 0);
    for (process, usual) in durations.iter().cycle() {
        // Four misses in a row: nothing is left to be done.
        if killed == wanted || missed == 4 {
            break;
        }
        let mut run = place
            .command(&["etl", "run", process])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Short runs, so that there is work left for many.
        let longest = (*usual / 6).max(Duration::from_millis(30));
        std::thread::sleep(random.random_range(Duration::from_millis(5)..longest));
        if run.try_wait().unwrap().is_none() {
            run.kill().unwrap();
            killed += 1;
            missed = 0;
        } else {
            missed += 1;
        }
        run.wait().unwrap();
    }
    killed
}

#[test]
fn two_runs_at_once_process_everything_once() {
    let place = Place::new();
    let remote = Service::whale(&place, &CITY);
    place.with_source(&remote.url);
    let start = || {
        place
            .command(&["etl", "run", "harvester-whale"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (first, second) = (start(), start());
    let outputs = [
        first.wait_with_output().unwrap(),
        second.wait_with_output().unwrap(),
    ];
    let said: Vec<String> = outputs
        .iter()
        .map(|o| crate::support::text(&o.stdout))
        .collect();
    assert!(
        outputs.iter().all(|output| output.status.success()),
        "{said:?}"
    );
    assert_eq!(
        said.iter()
            .filter(|said| said.contains("already_running"))
            .count(),
        1,
        "{said:?}"
    );
}
