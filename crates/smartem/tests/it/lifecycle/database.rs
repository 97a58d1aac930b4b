//! A database that is away when a program starts, and goes away while it runs.

use std::time::{Duration, Instant};

use smartem_simulate::postgres::Postgres;

use super::{ask_on, connect, host};
use crate::collect::Collector;
use crate::support::{Place, Service, text, wait_until};

fn program(place: &Place, command: &str) -> std::process::Command {
    let mut program = place.command(&[command, "--listen", "127.0.0.1:0"]);
    program.env("SMARTEM_COLLECT__MQTT__ENABLED", "false");
    program
}

/// That it lives, is not ready, and sends everybody away for a while.
fn waits(service: &Service) {
    assert_eq!(service.get("/healthz"), (200, "ok".to_owned()));
    let mut connection = connect(host(&service.url)).unwrap();
    for path in ["/readyz", "/api/v1/stations", "/metrics", "/query?db=push"] {
        let answer = ask_on(&mut connection, path).unwrap().unwrap();
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        let told = text(&answer.body);
        assert!(told.contains("database is not reached yet"), "{told}");
    }
}

#[test]
fn programs_wait_for_a_database_that_is_away() {
    let mut server = Postgres::start().unwrap();
    let place = Place::on(&server);
    assert!(place.run(&["store", "migrate"]).status.success());
    let bare = Place::on(&server);
    server.stop().unwrap();

    let (serve, collect) = (
        Service::start(program(&place, "serve")),
        Service::start(program(&place, "collect")),
    );
    let unmigrated = Service::start(program(&bare, "serve"));
    for service in [&serve, &collect, &unmigrated] {
        waits(service);
    }
    let pushed = crate::collect::Connection::open(&collect.url, "none");
    let (status, _) = pushed.post("/write?db=push", "t value=1\n").unwrap();
    assert_eq!(status, 503);
    let host = host(&serve.url).to_string();
    let check = || place.run(&["healthcheck", "--listen", &host]);
    let said = check();
    assert_eq!(said.status.code(), Some(1));
    let told = text(&said.stderr);
    assert!(
        told.contains("/readyz failed") && told.contains("not reached yet"),
        "{told}"
    );
    // Told once, though it tries every second.
    std::thread::sleep(Duration::from_secs(3));
    let told = serve.log().matches("trying again every second").count();
    assert_eq!(told, 1, "{}", serve.log());

    server.start_again().unwrap();
    for service in [&serve, &collect] {
        wait_until("it is ready", || service.get("/readyz").0 == 200);
    }
    assert_eq!(serve.get("/api/v1/stations").0, 200);
    assert!(serve.log().contains("the database is reached"));
    assert!(check().status.success());
    let token = std::fs::read_to_string(place.data().join("admin-token")).unwrap();
    let collector = Collector {
        service: collect,
        token: token.trim().to_owned(),
    };
    let points = "temperature,station=a value=1 1772323200000000000\n";
    let (status, told) = collector.connect().post("/write?db=push", points).unwrap();
    assert_eq!(status, 204, "{told}");
    // What nobody can wait for ends a program also when it is found out later.
    assert_eq!(unmigrated.ended(Duration::from_secs(30)), Some(78));

    goes_away_and_comes_back(&mut server, &serve, &collector);
    assert_eq!(collector.service.terminate(), Some(0));
    assert_eq!(serve.terminate(), Some(0));
}

fn goes_away_and_comes_back(server: &mut Postgres, serve: &Service, collector: &Collector) {
    server.stop().unwrap();
    for service in [serve, &collector.service] {
        let asked = Instant::now();
        let (status, told) = service.get("/readyz");
        assert_eq!(status, 503, "{told}");
        assert!(asked.elapsed() < Duration::from_secs(4));
        assert_eq!(service.get("/healthz").0, 200);
    }
    server.start_again().unwrap();
    for service in [serve, &collector.service] {
        wait_until("it is ready again", || service.get("/readyz").0 == 200);
    }
    assert_eq!(serve.get("/api/v1/stations").0, 200);
    let found = collector.query("push", "SELECT value FROM temperature");
    let values = &found["results"][0]["series"][0]["values"];
    assert_eq!(values.as_array().map(Vec::len), Some(1), "{found}");
}

#[test]
fn a_stop_while_waiting_is_in_order() {
    let mut server = Postgres::start().unwrap();
    let place = Place::on(&server);
    server.stop().unwrap();
    for command in ["serve", "collect"] {
        let service = Service::start(program(&place, command));
        waits(&service);
        assert_eq!(service.terminate(), Some(0), "{command}");
    }
}
