//! Bad input: each is told with its place, in the form of the standard, and nothing is a fault of the server.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use smartem_http::Limits;
use smartem_serve::SensorThingsSettings;

use super::support::Place;
use crate::support::{Answer, World};

/// An error has both forms, and they say the same.
fn check(answer: &Answer, status: u16, asked: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{asked}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json", "{asked}");
    let body = answer.json();
    assert_eq!(body["error"]["code"], status.to_string(), "{asked}");
    assert_eq!(body["code"], status, "{asked}");
    assert_eq!(body["type"], "error", "{asked}");
    assert_eq!(body["message"], body["error"]["message"], "{asked}");
    assert!(
        body["message"].as_str().is_some_and(|it| it.len() > 5),
        "{asked}"
    );
    body
}

#[tokio::test]
async fn bad_questions_are_told_with_option_and_place() {
    let place = Place::filled().await;
    for (uri, status, target, position) in [
        ("Nothing", 404, "path", Some(1)),
        ("Things(1", 404, "path", Some(7)),
        ("Things(x)", 404, "path", Some(8)),
        ("Things(999999)", 404, "", None),
        ("Things(9223372036854775807)", 404, "", None),
        ("Things(999999)/Datastreams", 404, "", None),
        ("Things/Datastreams", 404, "path", None),
        ("Things?$filter=name eq", 400, "$filter", None),
        ("Things?$filter=shoe eq 1", 400, "$filter", Some(1)),
        (
            "Things?$filter=name eq 'é' and foo(name)",
            400,
            "$filter",
            Some(17),
        ),
        ("Things?$top=x", 400, "$top", None),
        ("Things?$top=-1", 400, "$top", None),
        ("Things?$skip=a", 400, "$skip", None),
        ("Things?$count=maybe", 400, "$count", None),
        ("Things?$orderby=shoe", 400, "$orderby", None),
        ("Things?$select=shoe", 400, "$select", None),
        ("Things?$expand=Shoes", 400, "$expand", None),
        ("Things?$skiptoken=nonsense", 400, "", None),
        ("Things?$resultFormat=XML", 400, "$resultFormat", None),
        ("Things?$resultFormat=dataArray", 400, "$resultFormat", None),
        ("Things?$filter=%FF", 400, "$filter", None),
    ] {
        let answer = place.get(uri).await;
        let body = check(&answer, status, uri);
        if !target.is_empty() {
            assert_eq!(body["error"]["target"], target, "{uri}: {body}");
        }
        if let Some(position) = position {
            assert_eq!(
                body["error"]["details"][0],
                json!({"code": "position", "message": format!("character {position}")}),
                "{uri}: {body}"
            );
        }
    }
}

#[tokio::test]
async fn bad_bodies_are_told_and_leave_nothing() {
    let place = Place::empty().await;
    for (method, uri, body, status, told) in [
        ("POST", "Things", "", 400, "no body"),
        ("POST", "Things", "{", 400, "JSON"),
        ("POST", "Things", "[]", 400, ""),
        ("POST", "Things", r#"{"name": "a"}"#, 400, "description"),
        (
            "POST",
            "Things",
            r#"{"name": 1, "description": "b"}"#,
            400,
            "name",
        ),
        ("POST", "Nothing", "{}", 404, "Nothing"),
        ("POST", "Things(1)", "{}", 405, "POST"),
        ("PUT", "Things", "{}", 405, "PUT"),
        ("PATCH", "Things/$count", "{}", 405, "PATCH"),
        ("PATCH", "Things(1)", r#"{"name": "a"}"#, 404, "Things(1)"),
        ("DELETE", "Things(1)", "", 404, "Things(1)"),
        ("DELETE", "Things(1)/name", "", 405, "DELETE"),
        ("POST", "CreateObservations", "{}", 400, ""),
        ("PURGE", "Things", "", 405, "PURGE"),
    ] {
        let json_of = [("content-type", "application/json")];
        let answer = place.send(method, uri, &json_of, body).await;
        let asked = format!("{method} {uri} {body}");
        let error = check(&answer, status, &asked);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(told), "{asked}: {message}");
        if status == 405 {
            assert!(answer.header("allow").contains("GET"), "{asked}");
        }
    }
    for set in ["Things", "Locations", "Datastreams", "Observations"] {
        assert_eq!(place.json(set).await["value"], json!([]), "{set}");
    }
}

#[tokio::test]
async fn a_deep_insert_that_fails_anywhere_leaves_nothing() {
    let place = Place::empty().await;
    let mut thing = super::support::thing("north", 5.0, 52.0, 1);
    thing["Datastreams"][1]
        .as_object_mut()
        .unwrap()
        .remove("Sensor");
    let answer = place.write("POST", "Things", &thing).await;
    assert!(
        matches!(answer.status.as_u16(), 400 | 409),
        "{}",
        answer.text()
    );
    for set in [
        "Things",
        "Locations",
        "HistoricalLocations",
        "Datastreams",
        "Sensors",
        "ObservedProperties",
        "Observations",
        "FeaturesOfInterest",
    ] {
        assert_eq!(place.json(set).await["value"], json!([]), "{set}");
    }
}

#[tokio::test]
async fn the_later_version_only_reads() {
    let place = Place::empty().await;
    for (method, uri) in [
        ("POST", "/sta/v2.0/Things"),
        ("DELETE", "/sta/v2.0/Things(1)"),
        ("POST", "/sta/v2.0/$batch"),
        ("POST", "/sta/v2.0"),
        ("POST", "/sta/v1.1"),
    ] {
        let answer = place.send(method, uri, &[], "{}").await;
        check(&answer, 405, uri);
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
    check(
        &place.get("/sta/v2.0/MultiDatastreams").await,
        404,
        "of 1.1 only",
    );
}

#[tokio::test]
async fn limits_answer_in_the_same_form() {
    let place = Place::with(SensorThingsSettings {
        open_writing: true,
        top_max: 1,
        ..SensorThingsSettings::default()
    })
    .await;
    let large = json!({"name": "a", "description": "b".repeat(1024 * 1024)});
    check(&place.write("POST", "Things", &large).await, 413, "1 MiB");
    let huge = vec![b' '; 33 * 1024 * 1024];
    let length = huge.len().to_string();
    let headers = [("content-length", length.as_str())];
    let answer = place
        .send("POST", "CreateObservations", &headers, huge)
        .await;
    check(&answer, 413, "33 MiB");
    let small = json!({"name": "a", "description": "b"});
    for _ in 0..2 {
        place.create("Things", &small).await;
    }
    let page = place.json("Things?$top=100").await;
    assert_eq!(page["value"].as_array().unwrap().len(), 1);
    assert!(page["@iot.nextLink"].is_string());
    let deep = "Things?$expand=Datastreams/Thing/Datastreams/Thing/Datastreams/Thing/Datastreams";
    check(&place.get(deep).await, 400, deep);

    let mut world = World::empty().await;
    world.state.limits = Limits {
        requests: 0,
        time: Duration::from_secs(1),
    };
    let place = Place::of(world, SensorThingsSettings::default());
    let answer = place.get("Things").await;
    check(&answer, 503, "too many requests");
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn other_sites_may_ask_and_change() {
    let place = Place::empty().await;
    let preflight = [
        ("origin", "https://app.example.org"),
        ("access-control-request-method", "PATCH"),
        (
            "access-control-request-headers",
            "if-match, prefer, content-type",
        ),
    ];
    let answer = place.send("OPTIONS", "Things(1)", &preflight, "").await;
    assert_eq!(answer.status, 200);
    let methods = answer.header("access-control-allow-methods");
    for method in ["PUT", "PATCH", "DELETE"] {
        assert!(methods.contains(method), "{methods}");
    }
    let headers = answer.header("access-control-allow-headers");
    assert!(
        headers.contains("if-match") && headers.contains("prefer"),
        "{headers}"
    );
    let asked = [("origin", "https://app.example.org")];
    let answer = place.send("GET", "Things", &asked, "").await;
    let exposed = answer.header("access-control-expose-headers");
    assert!(
        exposed.contains("location") && exposed.contains("odata-version"),
        "{exposed}"
    );
}

#[test]
fn whatever_is_asked_the_answer_is_no_fault_of_the_server() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::filled());
    let word = prop::sample::select(vec![
        "Things",
        "Datastreams",
        "Observations",
        "Locations",
        "(1)",
        "(0)",
        "/",
        "?",
        "&",
        "$filter=",
        "$expand=",
        "$orderby=",
        "$select=",
        "$top=",
        "name",
        "result",
        " eq ",
        " and ",
        "'a'",
        "1",
        "-1",
        "(",
        ")",
        ",",
        ";",
        "phenomenonTime",
        "2026-11-15T00:00:00Z",
        "/$ref",
        "/$value",
        "$count",
        "geo.distance(",
        "location",
        "properties/x",
        "any(d:d/name eq 'a')",
        "null",
        "not ",
        "%00",
        "é",
        "resample=1d",
        "$apply=",
        "groupby((",
        "aggregate(",
        "$resultFormat=CSV",
        "resultTime",
    ]);
    let config = ProptestConfig::with_cases(512);
    let uris = prop::collection::vec(word, 1..10);
    proptest!(config, |(words in uris, face in prop::sample::select(vec!["/sta/v1.1/", "/sta/v2.0/"]))| {
        let uri = format!("{face}{}", words.concat());
        let answer = runtime.block_on(place.get(&uri));
        prop_assert!(answer.status.as_u16() < 500, "{} {}", uri, answer.text());
        if answer.status.is_client_error() {
            check(&answer, answer.status.as_u16(), &uri);
        }
    });
}
