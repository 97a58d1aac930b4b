//! The broker that comes along: who may read without a token, and the way in over HTTP.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use smartem_simulate::mosquitto;

use super::Collector;
use crate::support::Place;

/// A collector with a broker on a free port.
fn start(place: &Place, more: &str) -> (Collector, String) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let config = format!("[collect.mqtt]\nlisten = \"127.0.0.1:{port}\"\n{more}");
    place.write("smartem.toml", &config);
    place.run(&["store", "migrate"]);
    (Collector::start(place, "collect"), port)
}

/// What a client without a token hears that subscribes for a moment.
fn subscribe(port: &str, filter: &str) -> String {
    let arguments = ["-V", "mqttv5", "-p", port, "-W", "1", "-t", filter];
    let output = mosquitto::run("mosquitto_sub", arguments);
    let output = output.unwrap_or_else(|problem| panic!("{problem}"));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn anybody_may_subscribe_to_sensorthings_unless_that_is_closed() {
    let place = Place::new();
    let (collector, port) = start(&place, "");
    assert!(!subscribe(&port, "v1.1/Observations").contains("denied"));
    assert!(subscribe(&port, "smartem/#").contains("denied"));
    drop(collector);

    let place = Place::new();
    let (_collector, port) = start(&place, "open_reading = false\n");
    let told = subscribe(&port, "v1.1/Observations");
    let told = told.to_lowercase();
    assert!(told.contains("bad user name or password"), "{told}");
}

#[test]
fn a_connection_of_http_becomes_one_of_mqtt() {
    let place = Place::new();
    let (collector, _) = start(&place, "");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let request = reqwest::Client::new()
        .get(format!(
            "{}/mqtt",
            collector.service.url.trim_end_matches('/')
        ))
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-protocol", "mqtt");
    let answer = runtime.block_on(request.send()).unwrap();
    assert_eq!(answer.status().as_u16(), 101);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "mqtt");

    // One that is open, and whose client says nothing, holds up no end.
    let socket = runtime.block_on(answer.upgrade()).unwrap();
    let begin = Instant::now();
    assert_eq!(collector.service.terminate(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10));
    drop(socket);
}
