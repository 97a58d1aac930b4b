//! Several programs at one store: names and stations are in the hands of one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

use smartem_store::{Claimed, Growing, Store};

use crate::servers::{On, World};
use crate::support::{commit, id, record, sample, take_in, work};

/// Two programs, and three stations with an hour to be refined.
async fn two() -> (World, Store) {
    let world = World::on(On::Postgres).await;
    let records = ["23", "24", "25"].map(|station| record(station, 0, &sample(1, 0.0)));
    take_in(&world.store, records.to_vec()).await;
    let other = world.another().await;
    (world, other)
}

async fn claim(store: &Store, limit: usize) -> Vec<String> {
    let claimed = store.claim_stations(limit, Growing::No).await.unwrap();
    claimed.stations.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_station_is_claimed_by_one() {
    let (world, other) = two().await;
    let one = &world.store;
    assert_eq!(claim(one, 2).await, ["23", "24"]);
    assert_eq!(claim(&other, 9).await, ["25"]);
    let nothing = Claimed {
        stations: Vec::new(),
        others: true,
    };
    for store in [one, &other] {
        let claimed = store.claim_stations(9, Growing::No).await.unwrap();
        assert_eq!(claimed, nothing, "what is left, others have in hand");
    }
    // Who does not have it cannot give it back.
    other.release_station(&id("23")).await.unwrap();
    assert!(claim(&other, 9).await.is_empty());
    one.release_station(&id("23")).await.unwrap();
    assert_eq!(claim(&other, 9).await, ["23"]);
    // When all is refined nobody has anything in hand.
    for station in ["23", "24", "25"] {
        commit(one, &work(one, station).await).await;
    }
    let claimed = one.claim_stations(9, Growing::No).await.unwrap();
    assert_eq!(claimed, Claimed::default());
}

#[tokio::test]
async fn many_claim_at_once_and_no_station_is_had_by_two() {
    let world = World::on(On::Postgres).await;
    let records = (0..40).map(|n| record(&format!("s{n:02}"), 0, &sample(1, 0.0)));
    take_in(&world.store, records.collect()).await;
    let mut claiming = Vec::new();
    for _ in 0..6 {
        let store = world.another().await;
        claiming.push(tokio::spawn(async move {
            let mut all = Vec::new();
            loop {
                let claimed = store.claim_stations(3, Growing::No).await.unwrap();
                // None, too, while others are about to take what is left.
                if claimed.stations.is_empty() {
                    return all;
                }
                all.extend(claimed.stations);
            }
        }));
    }
    let mut all = Vec::new();
    for claimed in claiming {
        all.extend(claimed.await.unwrap());
    }
    all.extend(
        world
            .store
            .claim_stations(40, Growing::No)
            .await
            .unwrap()
            .stations,
    );
    all.sort();
    let expected: Vec<_> = (0..40).map(|n| id(&format!("s{n:02}"))).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn the_claim_of_a_program_that_was_killed_ends() {
    let (world, other) = two().await;
    assert_eq!(claim(&world.store, 9).await.len(), 3);
    let until = "SELECT count(*) FROM smartem.claim WHERE until BETWEEN now() AND now() + '1 min'";
    assert_eq!(world.database().lines(until), ["3"]);
    // As if the time had passed.
    world
        .database()
        .lines("UPDATE smartem.claim SET until = now() - interval '1 ms'");
    assert_eq!(claim(&other, 2).await, ["23", "24"]);
    // What comes too late takes nothing from the new holder.
    world.store.release_station(&id("23")).await.unwrap();
    assert_eq!(claim(&world.store, 9).await, ["25"]);
}

/// A session that has a row locked until it is dropped.
struct Session(Child);

impl Session {
    fn that_ran(world: &World, sql: &str) -> Self {
        let mut psql = Command::new("psql")
            .args(["-XqAt", &world.database().settings().url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = psql.stdin.as_mut().unwrap();
        writeln!(input, "BEGIN; {sql}; SELECT 'ready';").unwrap();
        let mut lines = BufReader::new(psql.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        Self(psql)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_station_that_is_being_written_to_is_passed_over_without_waiting() {
    let (world, other) = two().await;
    let lock = "SELECT key FROM smartem.station WHERE id = '23' FOR NO KEY UPDATE";
    let session = Session::that_ran(&world, lock);
    assert_eq!(claim(&other, 9).await, ["24", "25"]);
    let claimed = other.claim_stations(9, Growing::No).await.unwrap();
    assert!(claimed.others, "there is something left to come back for");
    drop(session);
    // The server sees the end of the session a moment later.
    loop {
        match &claim(&other, 9).await[..] {
            [] => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            [station] => break assert_eq!(station, "23"),
            more => panic!("{more:?}"),
        }
    }
}

#[tokio::test]
async fn a_name_is_locked_by_one_until_it_is_released_or_its_holder_gone() {
    let (world, other) = two().await;
    let held = world.store.lock("refiner").await.unwrap().unwrap();
    assert!(other.lock("refiner").await.unwrap().is_none());
    let free = other.lock("last").await.unwrap();
    assert!(free.is_some());
    held.release().await;
    let held = other.lock("refiner").await.unwrap().unwrap();
    assert!(world.store.lock("refiner").await.unwrap().is_none());
    // As if its holder had been killed, and the time had passed.
    world
        .database()
        .lines("UPDATE smartem.lease SET until = now() - interval '1 ms' WHERE name = 'refiner'");
    let new = world.store.lock("refiner").await.unwrap().unwrap();
    held.release().await;
    assert!(
        other.lock("refiner").await.unwrap().is_none(),
        "who lost it cannot give it back for the new holder"
    );
    drop(new);
}
