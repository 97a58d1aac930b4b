//! The services as a client sees them.

use crate::support::{Place, Service, wait_until};

#[test]
fn up_works_without_any_configuration_and_stops_in_order() {
    let place = Place::new();
    let up = Service::start(place.command(&["up", "--listen", "127.0.0.1:0"]));
    assert_eq!(up.get("/healthz").0, 200);
    assert_eq!(up.get("/readyz").0, 200);
    assert_eq!(up.get("/").0, 200);
    assert_eq!(
        up.json("/api/v1/stations")["stations"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    assert_eq!(
        up.json("/openapi.json")["openapi"]
            .as_str()
            .unwrap()
            .split('.')
            .next(),
        Some("3")
    );
    let (status, problem) = up.get("/api/v1/stations/nobody");
    assert!(status == 404 && problem.contains("nobody"), "{problem}");
    let host = up
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    assert!(
        place
            .run(&["healthcheck", "--listen", &host])
            .status
            .success()
    );
    assert_eq!(up.terminate(), Some(0));
    assert!(
        !place
            .run(&["healthcheck", "--listen", &host])
            .status
            .success()
    );
}

#[test]
fn the_demo_has_history_with_modelled_gases_newest_values_and_a_page() {
    let place = Place::new();
    let demo = Service::start(place.command(&[
        "demo",
        "--listen",
        "127.0.0.1:0",
        "--days",
        "1",
        "--stations",
        "4",
        "--cadence",
        "120",
    ]));
    wait_until("the history is refined", || {
        let (_, metrics) = demo.get("/metrics");
        let value = |name: &str| {
            metrics
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
                .unwrap_or(-1.0)
        };
        value("smartem_raw_records ") >= 60.0 && value("smartem_raw_records_dirty ") == 0.0
    });
    let stations = demo.json("/api/v1/stations");
    let stations = stations["stations"].as_array().unwrap();
    assert_eq!(stations.len(), 4);
    let current = stations
        .iter()
        .flat_map(|s| s["last"].as_array().unwrap())
        .filter(|l| l["stale"] == false);
    assert!(current.count() >= 4 * 5);
    let week = demo.json(&format!(
        "/api/v1/stations/{}/observations?indicator=temperature",
        stations[0]["id"].as_str().unwrap()
    ));
    assert!(
        week["observations"].as_array().unwrap().len() >= 12,
        "{week}"
    );
    for gas in ["co", "no2", "o3"] {
        let hours = demo.json(&format!(
            "/api/v1/stations/{}/observations?indicator={gas}",
            stations[0]["id"].as_str().unwrap()
        ));
        let hours = hours["observations"].as_array().unwrap();
        assert!(hours.len() >= 12, "{gas}: {} hours", hours.len());
        for hour in hours {
            let model = hour["model"].as_str().unwrap_or_default();
            assert!(model.contains(&format!("{gas} sha256:")), "{hour}");
        }
    }
    assert_eq!(demo.json("/api/v1/viewer")["demo"], true);
    assert_eq!(demo.terminate(), Some(0));
}

#[test]
fn a_taken_address_is_explained() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = place.run(&["up", "--listen", &address]);
    assert!(!output.status.success());
    assert!(crate::support::text(&output.stderr).contains("--listen"));
}
