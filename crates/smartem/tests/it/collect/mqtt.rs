//! The broker that comes along: who may read without a token, the way in over HTTP, and SensorThings, at another
//! broker too.

use std::net::TcpListener;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smartem_simulate::mosquitto::{self, Mosquitto};

use super::Collector;
use crate::support::{Place, wait_until};

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

/// A thing with one datastream.
const THING: &str = r#"{
    "name": "t", "description": "t",
    "Datastreams": [{
        "name": "d", "description": "d", "observationType": "OM_Measurement",
        "unitOfMeasurement": {"name": "degree Celsius", "symbol": "°C", "definition": "ucum:Cel"},
        "Sensor": {"name": "s", "description": "s", "encodingType": "text/plain", "metadata": "m"},
        "ObservedProperty": {"name": "p", "definition": "urn:test:p", "description": "p"}
    }],
    "Locations": [{
        "name": "here", "description": "here", "encodingType": "application/geo+json",
        "location": {"type": "Point", "coordinates": [5.8, 51.8]}
    }]
}"#;

/// Publishes with QoS 1: it has arrived when this returns.
fn publish(port: &str, topic: &str, payload: &str, more: &[&str]) {
    let all = [
        "-V", "mqttv5", "-q", "1", "-p", port, "-t", topic, "-m", payload,
    ];
    let sent = mosquitto::run("mosquitto_pub", all.iter().chain(more));
    let sent = sent.unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(String::from_utf8_lossy(&sent.stderr), "");
}

/// Begins to listen until there were so many messages.
fn listen(port: &str, topic: &str, number: &str) -> Child {
    let all = ["-q", "1", "-p", port, "-t", topic, "-C", number, "-W", "60"];
    mosquitto::spawn("mosquitto_sub", all).unwrap_or_else(|problem| panic!("{problem}"))
}

/// The results of the observations that were heard.
fn results(child: Child) -> Vec<Value> {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let result = |line: &str| serde_json::from_str::<Value>(line).unwrap()["result"].take();
    text.lines().map(result).collect()
}

fn post(collector: &Collector, path: &str, body: &str) {
    let (status, answer) = collector.connect().post(path, body).unwrap();
    assert_eq!(status, 201, "{answer}");
}

fn sensorthings_is_spoken(place: &Place) {
    const OBSERVATIONS: &str = "v1.1/Datastreams(1)/Observations";
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let config = format!("[collect.mqtt]\nlisten = \"127.0.0.1:{port}\"\n");
    place.write("smartem.toml", &config);
    place.run(&["store", "migrate"]);
    let collector = Collector::start(place, "up");
    let who = ["-u", "admin", "-P", &collector.token];
    publish(&port, "v1.1/Things", THING, &who);
    let things = collector.service.json("/sta/v1.1/Things?$select=name");
    assert_eq!(things["value"], json!([{"name": "t"}]));

    let child = listen(&port, &format!("{OBSERVATIONS}?$select=result"), "2");
    wait_until("somebody listens", || {
        let (_, metrics) = collector.service.get("/metrics");
        metrics.contains("\nsmartem_mqtt_subscriptions 1\n")
    });
    publish(&port, OBSERVATIONS, "{\"result\": 21.5}", &who);
    post(
        &collector,
        "/sta/v1.1/Datastreams(1)/Observations",
        "{\"result\": 22}",
    );
    assert_eq!(results(child), [json!(21.5), json!(22)]);
    let there = collector
        .service
        .json("/sta/v1.1/Observations?$select=result");
    assert_eq!(there["value"], json!([{"result": 21.5}, {"result": 22}]));

    let root = collector.service.json("/sta/v1.1");
    let settings = &root["serverSettings"];
    let classes = settings["conformance"].as_array().unwrap();
    let server = collector
        .service
        .url
        .trim_end_matches('/')
        .replace("http://", "ws://");
    for class in [
        "create-observations-via-mqtt/observations-creation",
        "receive-updates-via-mqtt/receive-updates",
    ] {
        let class = format!("http://www.opengis.net/spec/iot_sensing/1.1/req/{class}");
        assert!(classes.contains(&json!(class)), "{classes:?}");
        // The other listener is for this machine only.
        assert_eq!(
            settings[&class]["endpoints"],
            json!([format!("{server}/mqtt")])
        );
    }
    assert_eq!(collector.service.terminate(), Some(0));
}

#[test]
fn sensorthings_is_spoken_with_the_embedded_store() {
    sensorthings_is_spoken(&Place::new());
}

#[test]
fn sensorthings_is_spoken_with_postgresql() {
    sensorthings_is_spoken(&Place::on_postgres());
}

#[test]
fn another_broker_hears_of_sensorthings_also_of_what_came_while_nobody_told_it() {
    let broker = Mosquitto::start().unwrap_or_else(|problem| panic!("{problem}"));
    let port = broker.address().port().to_string();
    let place = Place::new();
    place.write(
        "smartem.toml",
        format!("[collect.mqtt]\nbroker = \"mqtt://127.0.0.1:{port}\"\n"),
    );
    place.run(&["store", "migrate"]);
    let collector = Collector::start(&place, "up");
    wait_until("it is connected", || {
        let (_, metrics) = collector.service.get("/metrics");
        metrics.contains("\nsmartem_mqtt_connected 1\n")
    });
    post(&collector, "/sta/v1.1/Things", THING);
    let child = listen(&port, "v1.1/Observations", "3");
    // Its client has no way to say when it has subscribed.
    std::thread::sleep(Duration::from_secs(1));
    post(
        &collector,
        "/sta/v1.1/Datastreams(1)/Observations",
        "{\"result\": 1}",
    );
    let created = "smartem/sta/v1.1/Datastreams(1)/Observations";
    publish(&port, created, "{\"result\": 2}", &[]);
    wait_until("it is created", || {
        let told = collector.service.json("/sta/v1.1/Observations?$count=true");
        told["@iot.count"] == json!(2)
    });
    assert_eq!(collector.service.terminate(), Some(0));

    // The services alone.
    let services = Collector::start(&place, "serve");
    post(
        &services,
        "/sta/v1.1/Datastreams(1)/Observations",
        "{\"result\": 3}",
    );
    assert_eq!(services.service.terminate(), Some(0));
    let again = Collector::start(&place, "up");
    assert_eq!(results(child), [json!(1), json!(2), json!(3)]);
    assert_eq!(again.service.terminate(), Some(0));
}
