//! Two places that measure, made through the service.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use smartem_serve::SensorThingsSettings;
use tower::ServiceExt;

use crate::support::{Answer, World};

pub(super) const ROOT: &str = "http://sta.example.org/sta/v1.1";

/// The service, and a store behind it.
pub(super) struct Place {
    pub(super) world: World,
    router: Router,
}

impl Place {
    /// Without any entity; everybody may write.
    pub(super) async fn empty() -> Self {
        Self::with(SensorThingsSettings {
            open_writing: true,
            ..SensorThingsSettings::default()
        })
        .await
    }

    pub(super) async fn with(settings: SensorThingsSettings) -> Self {
        Self::of(World::empty().await, settings)
    }

    pub(super) fn of(world: World, settings: SensorThingsSettings) -> Self {
        let mut state = world.state.clone();
        state.sensorthings = settings;
        Self {
            router: smartem_serve::router(state),
            world,
        }
    }

    /// With the things `north` and `south`: each has a location and the datastreams `no2` and `temperature` with
    /// three observations: 1, 2, 3 of the north and 4, 5, 6 of the south (temperatures ten times as much), at
    /// 10:00, 11:00 and 12:00 o'clock on 2026-11-15.
    pub(super) async fn filled() -> Self {
        let place = Self::empty().await;
        for (name, lon, lat, first) in [("north", 5.86, 51.85, 1), ("south", 5.87, 51.80, 4)] {
            place.create("Things", &thing(name, lon, lat, first)).await;
        }
        place
    }

    pub(super) async fn send(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let uri = if uri.starts_with('/') {
            encoded(uri)
        } else {
            encoded(&format!("/sta/v1.1/{uri}"))
        };
        let mut request = Request::builder().method(method).uri(uri);
        request = request.header("host", "sta.example.org");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(super) async fn get(&self, uri: &str) -> Answer {
        self.send("GET", uri, &[], Body::empty()).await
    }

    /// What is answered with 200, as JSON.
    pub(super) async fn json(&self, uri: &str) -> Value {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
        answer.json()
    }

    /// The values at a pointer within each entity of a set.
    pub(super) async fn values(&self, uri: &str, pointer: &str) -> Value {
        let body = self.json(uri).await;
        let entities = body["value"].as_array().unwrap().iter();
        let values = entities.map(|it| it.pointer(pointer).cloned().unwrap_or(Value::Null));
        values.collect()
    }

    pub(super) async fn write(&self, method: &str, uri: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.send(method, uri, &json, body.to_string()).await
    }

    /// Makes an entity; its id.
    pub(super) async fn create(&self, uri: &str, body: &Value) -> i64 {
        let answer = self.write("POST", uri, body).await;
        assert_eq!(answer.status, 201, "{uri}: {}", answer.text());
        let id = answer.json()["@iot.id"].as_i64().unwrap();
        assert!(
            answer.header("location").ends_with(&format!("({id})")),
            "{}",
            answer.header("location")
        );
        id
    }

    /// The id of the only entity of a set.
    pub(super) async fn only_id(&self, uri: &str) -> i64 {
        let ids = self.values(uri, "/@iot.id").await;
        let [id] = ids.as_array().unwrap().as_slice() else {
            panic!("{uri}: {ids}");
        };
        id.as_i64().unwrap()
    }
}

/// As clients encode it: blanks and quotes, not slashes, parentheses or what an option consists of.
fn encoded(uri: &str) -> String {
    let mut encoded = String::new();
    for byte in uri.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>`{}|^\\".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").unwrap();
        }
    }
    encoded
}

pub(super) const MEASUREMENT: &str =
    "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement";

pub(super) fn thing(name: &str, lon: f64, lat: f64, first: i32) -> Value {
    json!({
        "name": name,
        "description": format!("The box in the {name}"),
        "properties": {"owner": {"name": "Ada"}, "codegemeente": "0268", "floor": first},
        "Locations": [{
            "name": name,
            "description": "A street",
            "encodingType": "application/geo+json",
            "location": {"type": "Point", "coordinates": [lon, lat]},
        }],
        "Datastreams": [datastream("no2", first, 1), datastream("temperature", first, 10)],
    })
}

fn datastream(name: &str, first: i32, factor: i32) -> Value {
    let observation = |place: i32| {
        json!({
            "phenomenonTime": format!("2026-11-15T{}:00:00Z", 10 + place),
            "resultTime": format!("2026-11-15T{}:05:00Z", 10 + place),
            "result": (first + place) * factor,
            "parameters": {"place": place},
        })
    };
    json!({
        "name": name,
        "description": format!("{name} of a box"),
        "observationType": MEASUREMENT,
        "unitOfMeasurement": {"name": "unit", "symbol": "u", "definition": "https://ucum.org/#1"},
        "Sensor": {
            "name": format!("sensor of {name}"),
            "description": "A sensor",
            "encodingType": "application/pdf",
            "metadata": "https://example.org/sensor.pdf",
        },
        "ObservedProperty": {
            "name": name,
            "definition": format!("urn:example:{name}"),
            "description": "What is observed",
        },
        "Observations": [observation(0), observation(1), observation(2)],
    })
}
