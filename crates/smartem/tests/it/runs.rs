//! What a run of a process shows and how it ends: on a terminal, in logs, by its exit status.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Place, Service, signal, text};

const CITY: [&str; 8] = [
    "--stations",
    "6",
    "--cadence",
    "60",
    "--since",
    "2026-03-01T00:00:00Z",
    "--now",
    "2026-03-03T00:00:00Z",
];

fn harvested(place: &Place) -> Service {
    let remote = Service::whale(place, &CITY);
    place.with_source(&remote.url);
    remote
}

#[test]
fn a_run_on_a_terminal_draws_a_bar_and_elsewhere_none() {
    let place = Place::new();
    let _remote = harvested(&place);
    let program = env!("CARGO_BIN_EXE_smartem");
    let data = place.data();
    let line = format!(
        "{program} etl run harvester-whale --data-dir {}",
        data.display()
    );
    // A pseudo-terminal, as `script` (util-linux) makes one.
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(place.path())
        .stdin(Stdio::null());
    let Ok(output) = command.output() else {
        println!("skipped: `script` is not installed");
        return;
    };
    let shown = text(&output.stdout);
    assert!(shown.contains("/6 "), "stations done of all: {shown:?}");
    assert!(shown.contains("harvester-whale: done"), "{shown:?}");
    let elsewhere = place.run(&["etl", "run", "refiner", "--replay"]);
    assert!(
        !text(&elsewhere.stderr).contains('\r'),
        "{:?}",
        text(&elsewhere.stderr)
    );
}

#[test]
fn logs_are_json_when_asked_for() {
    let place = Place::new();
    let _remote = harvested(&place);
    let output = place.run(&["etl", "run", "harvester-whale", "--log", "json"]);
    let log = text(&output.stderr);
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let end = lines
        .iter()
        .find(|line| line["message"] == "run ended")
        .unwrap();
    assert_eq!(end["process"], "harvester-whale");
    assert_eq!(end["outcome"], "done");
}

#[test]
fn the_exit_status_tells_what_would_help() {
    let place = Place::new();
    let with = |settings: &str| {
        let place = Place::new();
        place.write("smartem.toml", settings);
        assert!(place.run(&["store", "migrate"]).status.success());
        place
    };
    let source = |url: &str| {
        format!(
            "[[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{url}\"\nattempts = 1\n"
        )
    };
    let code = |place: &Place, args: &[&str]| place.run(args).status.code();
    let harvest = ["etl", "run", "harvester-whale"];
    // 78: no store yet, and no such setting.
    assert_eq!(code(&place, &harvest), Some(78));
    let wrong = with("[process.harvester-whale]\nbudgt = \"3s\"\n");
    assert_eq!(code(&wrong, &harvest), Some(78));
    let wrong = with(&format!(
        "{}tokenfile = \"x\"\n",
        source("http://127.0.0.1:9/")
    ));
    let output = wrong.run(&harvest);
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    assert!(
        said.contains("`tokenfile`") && said.contains("`token_file`"),
        "{said}"
    );
    // 64: no such process.
    let fine = with("");
    assert_eq!(code(&fine, &["etl", "run", "harvester-wale"]), Some(64));
    // 0: nothing to do, no source.
    assert_eq!(code(&fine, &harvest), Some(0));
    // 75: nothing could be reached.
    let unreachable = with(&source("http://127.0.0.1:9/sensors/v1"));
    assert_eq!(code(&unreachable, &harvest), Some(75));
    // 0: one of two sources was.
    let remote = Service::whale(&place, &CITY);
    let both = with(&format!(
        "{}{}",
        source("http://127.0.0.1:9/sensors/v1"),
        source(&remote.url).replace("\"test\"", "\"other\"")
    ));
    assert_eq!(code(&both, &harvest), Some(0));
    // 0: the budget is spent with work left.
    let hasty = with(&format!(
        "[process.harvester-whale]\nbudget = \"1ms\"\n{}",
        source(&remote.url)
    ));
    let output = hasty.run(&harvest);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("budget_spent"));
}

#[test]
fn a_run_told_to_stop_ends_in_order_with_work_left() {
    let place = Place::new();
    let city = [
        "--stations",
        "60",
        "--since",
        "2026-02-01T00:00:00Z",
        "--now",
        "2026-03-03T00:00:00Z",
    ];
    let remote = Service::whale(&place, &city);
    place.with_source(&remote.url);
    let run = place
        .command(&["etl", "run", "harvester-whale"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    signal(&run, "TERM");
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("stopped"));
}

#[test]
fn a_store_of_a_newer_program_needs_a_person() {
    let place = Place::new();
    let _remote = harvested(&place);
    let file = place.data().join("smartem.sqlite");
    raise_version(&file);
    let output = place.run(&["etl", "run", "harvester-whale"]);
    assert_eq!(output.status.code(), Some(65), "{}", text(&output.stderr));
}

/// Raises the version of a store as a newer program would.
fn raise_version(file: &std::path::Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    let sql = "INSERT INTO schema_version (version, name, applied_at) VALUES (999, 'future', 0)";
    assert_eq!(connection.execute(sql, []).unwrap(), 1);
}

#[test]
fn status_tells_of_every_process_its_lag_backlog_quarantine_and_next_run() {
    let place = Place::new();
    let _remote = harvested(&place);
    place.etl("harvester-whale");
    let status = text(&place.run(&["etl", "status"]).stdout);
    let header = status.lines().next().unwrap();
    for column in [
        "process",
        "last run",
        "outcome",
        "lag",
        "backlog",
        "quarantined",
        "next run",
    ] {
        assert!(header.contains(column), "{header}");
    }
    let line = |name: &str| {
        let found = status.lines().find(|line| line.starts_with(name));
        found
            .unwrap_or_else(|| panic!("{name}: {status}"))
            .to_owned()
    };
    assert!(line("harvester-whale").contains("done"), "{status}");
    assert!(line("refiner").contains("never"), "{status}");
    assert!(line("refiner").contains(" hours"), "{status}");
    place.etl("refiner");
    let status = text(&place.run(&["etl", "status"]).stdout);
    let refiner = status
        .lines()
        .find(|line| line.starts_with("refiner"))
        .unwrap();
    assert!(
        refiner.contains("0s") && refiner.contains("0 hours"),
        "{status}"
    );
}

#[test]
fn a_configuration_that_cannot_hold_is_refused_with_the_remedy() {
    let place = Place::new();
    let source = |name: &str| {
        format!(
            "[[process.harvester-whale.source]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:9/\"\n"
        )
    };
    for (settings, words) in [
        (source("a") + &source("a"), "two sources are named `a`"),
        (source(""), "empty `name`"),
        (
            source("a") + "parallel = 0\n",
            "`parallel` is 0; at least 1",
        ),
        (source("a") + "timeout = \"0s\"\n", "`timeout`"),
        (
            "[process.last]\nsources_of = [\"last\"]\n".to_owned(),
            "has no sources",
        ),
        (
            "[process.last]\nsources_of = [\"nope\"]\n".to_owned(),
            "no process `nope`",
        ),
        (
            "[process.last]\nsources_of = []\n".to_owned(),
            "`sources_of` is empty",
        ),
        (
            "[process.refiner]\nbudget = \"0s\"\n".to_owned(),
            "`budget` is 0s",
        ),
        (
            "[process.refiner]\nschedule = \"61 * * * *\"\n".to_owned(),
            "`61 * * * *`",
        ),
        (
            "[process.refiner]\ntime_zone = \"Mars\"\n".to_owned(),
            "`Mars`",
        ),
        (
            "[process.x]\ninput = \"whle\"\noutput = [\"store.raw\"]\n".to_owned(),
            "`whale`",
        ),
        (
            "[process.x]\ninput = \"whale\"\noutput = [\"store\"]\n".to_owned(),
            "`store.raw`",
        ),
    ] {
        place.write("smartem.toml", &settings);
        let output = place.run(&["config", "check"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{settings}: {said}");
        assert!(said.contains(words), "{settings}: {said}");
    }
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    let place = Place::new();
    place.write(
        "smartem.toml",
        "[[process.harvester-whale.source]]\nname = \"a\"\nurl = \"http://me:geheim@127.0.0.1:9/\"\n",
    );
    let shown = text(&place.run(&["config", "show"]).stdout);
    assert!(
        shown.contains("me:hidden@") && !shown.contains("geheim"),
        "{shown}"
    );
}
