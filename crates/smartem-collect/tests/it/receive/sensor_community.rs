//! What the airRohr firmware pushes.

use axum::Router;
use axum::http::StatusCode;
use serde_json::json;
use smartem_collect::receive::sensor_community::{
    SensorCommunityPush, SensorCommunityPushConfig, part,
};
use smartem_model::{QuarantineReason, StationId};

use super::{Bench, NOW, post, router};

const SENSOR: &str = "esp8266-12345678";
const PATH: &str = "/v1/push-sensor-data/";

fn receiver(bench: &Bench, config: SensorCommunityPushConfig) -> Router {
    router(part(SensorCommunityPush {
        config,
        store: bench.store.clone(),
        databases: bench.disk.clone(),
        guard: bench.guard(),
        clock: bench.clock(),
    }))
}

fn open() -> SensorCommunityPushConfig {
    SensorCommunityPushConfig {
        allow_unauthenticated: true,
        ..SensorCommunityPushConfig::default()
    }
}

fn dust() -> String {
    json!({"software_version": "NRZ-2020-133", "sensordatavalues": [
        {"value_type": "P1", "value": "12.3"},
        {"value_type": "P2", "value": "4.50"},
    ]})
    .to_string()
}

#[tokio::test]
async fn a_registered_sensor_pushes_as_the_firmware_does() {
    let bench = Bench::new().await;
    bench.station("roof-1", "luftdaten", Some("nijmegen")).await;
    let mut config = open();
    config
        .sensors
        .insert(SENSOR.to_owned(), "roof-1".to_owned());
    let router = receiver(&bench, config);
    let air = json!({"software_version": "NRZ-2020-133", "sensordatavalues": [
        {"value_type": "temperature", "value": "21.50"},
        {"value_type": "pressure", "value": "96913.02"},
        {"value_type": "humidity", "value": "nan"},
    ]});
    for (pin, body, accepted, skipped) in [("1", dust(), 2, 0), ("11", air.to_string(), 2, 1)] {
        let headers = [
            ("X-Sensor", SENSOR),
            ("X-MAC-ID", "esp8266-AABBCCDDEEFF"),
            ("X-Pin", pin),
            ("Content-Type", "application/json"),
        ];
        let (status, answer) = post(&router, PATH, &headers, body).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        assert_eq!(answer, json!({"accepted": accepted, "skipped": skipped}));
    }
    let now = NOW.parse().unwrap();
    let fields = |fields: &[(&str, f64)]| {
        let fields = fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), *value));
        fields.collect()
    };
    assert_eq!(
        bench.points("sensor-community").await,
        [
            (
                format!("luftdaten,meta_id=BME280-{SENSOR},station=roof-1"),
                now,
                fields(&[("pressure", 969.1302), ("temperature", 21.5)])
            ),
            (
                format!("luftdaten,meta_id=SDS011-{SENSOR},station=roof-1"),
                now,
                fields(&[("pm10", 12.3), ("pm2_5", 4.5)])
            ),
        ]
    );
}

#[tokio::test]
async fn without_permission_or_registration_nothing_is_stored() {
    let bench = Bench::new().await;
    bench.station(SENSOR, "luftdaten", None).await;
    let headers = [("X-Sensor", SENSOR), ("X-Pin", "1")];
    let closed = receiver(&bench, SensorCommunityPushConfig::default());
    let (status, _) = post(&closed, PATH, &headers, dust()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(bench.quarantine().await.is_empty());

    let router = receiver(&bench, open());
    let other = [("X-Sensor", "esp8266-999"), ("X-Pin", "1")];
    for _ in 0..2 {
        let (status, answer) = post(&router, PATH, &other, dust()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    }
    let [entry] = &bench.quarantine().await[..] else {
        panic!("one entry");
    };
    assert_eq!(entry.reason, QuarantineReason::UnknownStation);
    assert_eq!(entry.place, "esp8266-999");
    assert_eq!(entry.body.as_deref(), Some(dust().as_bytes()));
    assert!(bench.points("sensor-community").await.is_empty());

    // The station whose id is that of the sensor is registered.
    let (status, _) = post(&router, PATH, &headers, dust()).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_token_is_asked_for_its_project_whatever_else_is_allowed() {
    let bench = Bench::new().await;
    bench.station(SENSOR, "luftdaten", Some("nijmegen")).await;
    let router = receiver(&bench, open());
    for (project, expected) in [
        (Some("nijmegen"), StatusCode::CREATED),
        (None, StatusCode::CREATED),
        (Some("arnhem"), StatusCode::FORBIDDEN),
    ] {
        let name = project.unwrap_or("all");
        let secret = bench.token(name, "write", project).await;
        // Known only after the tokens are read again, in a receiver of its own.
        let router = receiver(&bench, open());
        let bearer = format!("Bearer {secret}");
        let headers = [
            ("X-Sensor", SENSOR),
            ("X-Pin", "1"),
            ("Authorization", &bearer),
        ];
        let (status, answer) = post(&router, PATH, &headers, dust()).await;
        assert_eq!(status, expected, "{answer}");
    }
    let headers = [("X-Sensor", SENSOR), ("Authorization", "Bearer wrong")];
    let (status, _) = post(&router, PATH, &headers, dust()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_unknown_sensor_becomes_a_station_where_that_is_wanted() {
    let bench = Bench::new().await;
    let config = SensorCommunityPushConfig {
        auto_register: true,
        ..open()
    };
    let router = receiver(&bench, config);
    let headers = [("X-Sensor", SENSOR), ("X-Pin", "1")];
    let (status, _) = post(&router, PATH, &headers, dust()).await;
    assert_eq!(status, StatusCode::CREATED);
    let id = StationId::new(SENSOR).unwrap();
    let station = bench.store.station(&id).await.unwrap().unwrap();
    assert_eq!(&*station.station_type, "luftdaten");
    assert_eq!(&*station.network, "sensor-community");
    assert_eq!(bench.points("sensor-community").await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_and_set_aside() {
    let bench = Bench::new().await;
    bench.station(SENSOR, "luftdaten", None).await;
    let router = receiver(&bench, open());
    for (headers, body, expected, word) in [
        (vec![], dust(), 400, "`X-Sensor` is missing"),
        (vec![("X-Sensor", "a b")], dust(), 400, "`a b`"),
        (
            vec![("X-Sensor", SENSOR), ("X-Pin", "one")],
            dust(),
            400,
            "`one`",
        ),
        (vec![("X-Sensor", SENSOR)], "{".to_owned(), 400, "airRohr"),
        (
            vec![("X-Sensor", SENSOR)],
            "x".repeat(40_000),
            413,
            "smaller",
        ),
    ] {
        let (status, answer) = post(&router, PATH, &headers, body).await;
        assert_eq!(status.as_u16(), expected, "{answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(word), "{detail}");
    }
    let [entry] = &bench.quarantine().await[..] else {
        panic!("one entry");
    };
    assert_eq!(entry.reason, QuarantineReason::MalformedRecord);
    assert_eq!(entry.body.as_deref(), Some(&b"{"[..]));
    assert_eq!(entry.station, StationId::new(SENSOR));

    // A good push from the same sensor resolves it, also after a restart.
    for router in [router.clone(), receiver(&bench, open())] {
        let (status, _) = post(&router, PATH, &[("X-Sensor", SENSOR)], dust()).await;
        assert_eq!(status, StatusCode::CREATED);
        assert!(bench.quarantine().await.is_empty());
        let (status, _) = post(&router, PATH, &[("X-Sensor", SENSOR)], "[]").await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(bench.quarantine().await.len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_acknowledged() {
    let bench = Bench::new().await;
    bench.station(SENSOR, "luftdaten", None).await;
    let router = receiver(&bench, open());
    let headers = [("X-Sensor", SENSOR), ("X-Pin", "1")];
    bench.fill_disk(true);
    let (status, answer) = post(&router, PATH, &headers, dust()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.to_string().contains("disk"), "{answer}");
    bench.fill_disk(false);
    let (status, _) = post(&router, PATH, &headers, dust()).await;
    assert_eq!(status, StatusCode::CREATED);
}
