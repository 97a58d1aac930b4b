//! Killed under load, the collector has every acknowledged point exactly once.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Collector, Connection};
use crate::support::Place;

const WRITERS: usize = 4;
const START: i64 = 1_790_000_000;

/// What a writer sent: up to where it was acknowledged, and up to where it was sent.
#[derive(Clone, Copy, Default)]
struct Progress {
    acknowledged: i64,
    sent: i64,
}

#[test]
fn what_was_acknowledged_is_there_exactly_once_however_often_it_is_killed() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the length of the test is chosen from outside"
    )]
    let kills: u64 = std::env::var("COLLECT_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(6);
    let place = Place::new();
    place.write(
        "smartem.toml",
        "[collect]\ncommit_every = \"100ms\"\nmemory_mib = 1\n[collect.mqtt]\nenabled = false\n\
         [[collect.database]]\nname = \"load\"\nstation = \"tag:station\"\nstation_type = \"vanilla\"\n",
    );
    assert!(place.run(&["store", "migrate"]).status.success());
    let mut random = StdRng::seed_from_u64(7);
    let progress = Mutex::new([Progress::default(); WRITERS]);
    for _ in 0..kills {
        let collector = Collector::start(&place, "collect");
        check(&collector, &progress.lock().unwrap());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (progress, is_over, collector) = (&progress, &is_over, &collector);
                scope.spawn(move || write(writer, &collector.connect(), progress, is_over));
            }
            std::thread::sleep(Duration::from_millis(random.random_range(20..700)));
            // Killed while they write; only then they are told.
            collector.service.kill();
            is_over.store(true, Ordering::Relaxed);
        });
    }
    let collector = Collector::start(&place, "collect");
    let progress = progress.into_inner().unwrap();
    check(&collector, &progress);
    let written: i64 = progress.iter().map(|it| it.acknowledged).sum();
    assert!(written > 100, "too little was written to tell: {written}");
    assert_eq!(collector.service.terminate(), Some(0));
    let checked = place.run(&["store", "check"]);
    assert!(
        checked.status.success(),
        "{}",
        crate::support::text(&checked.stdout)
    );
    println!("killed {kills} times, {written} acknowledged points are there once");
}

/// Writes points whose value is their number, small batches and single ones in turn, until the
/// connection breaks.
fn write(
    writer: usize,
    connection: &Connection,
    progress: &Mutex<[Progress; WRITERS]>,
    is_over: &AtomicBool,
) {
    while !is_over.load(Ordering::Relaxed) {
        let first = progress.lock().unwrap()[writer].acknowledged + 1;
        let last = first + if first % 3 == 0 { 0 } else { 40 };
        let mut body = String::new();
        for number in first..=last {
            let time = START + number;
            let _ = writeln!(
                body,
                "air,station=w{writer} n={number}i,x={number}.5 {time}"
            );
        }
        {
            let mut progress = progress.lock().unwrap();
            progress[writer].sent = progress[writer].sent.max(last);
        }
        match connection.post("/write?db=load&precision=s", &body) {
            Ok((204, _)) => progress.lock().unwrap()[writer].acknowledged = last,
            Ok((status, answer)) => panic!("{status}: {answer}"),
            Err(_) => return,
        }
    }
}

/// Each writer's points are there from the first to at least the last that was acknowledged, once
/// each, and none that was never sent.
fn check(collector: &Collector, progress: &[Progress; WRITERS]) {
    for (writer, progress) in progress.iter().enumerate() {
        let query = format!("SELECT n, x FROM air WHERE station = 'w{writer}'");
        let answer = collector.query("load", &query);
        let rows = answer["results"][0]["series"][0]["values"].as_array();
        let rows = rows.map_or(&[][..], Vec::as_slice);
        for (row, number) in rows.iter().zip(1_i64..) {
            assert_eq!(row[0].as_i64(), Some((START + number) * 1_000_000_000));
            assert_eq!(row[1].as_i64(), Some(number));
            assert_eq!(row[2].as_f64(), Some(number as f64 + 0.5));
        }
        let count = i64::try_from(rows.len()).unwrap();
        assert!(
            count >= progress.acknowledged,
            "writer {writer}: {count} of {} acknowledged points are there",
            progress.acknowledged
        );
        assert!(
            count <= progress.sent,
            "writer {writer}: points that nobody sent"
        );
    }
}
