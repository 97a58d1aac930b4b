//! The document is true: everything in it is asked for, and everything asked for is in it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use smartem_http::{HttpMetrics, ServicePart};

use crate::support::{Answer, World};

pub(crate) async fn document(world: &World) -> Value {
    world.get("/openapi.json").await.json()
}

#[tokio::test]
async fn every_route_is_in_the_document_and_nothing_else() {
    let world = World::filled().await;
    let parts = smartem_serve::parts(world.state.clone(), &HttpMetrics::default(), Vec::new());
    let routes: BTreeSet<&str> = parts.iter().flat_map(ServicePart::paths).copied().collect();
    let document = document(&world).await;
    let described = document["paths"].as_object().unwrap();
    assert_eq!(routes, described.keys().map(String::as_str).collect());
    assert_eq!(document["openapi"], "3.1.0");
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let world = World::filled().await;
    let document = document(&world).await;
    let paths = document["paths"].as_object().unwrap();
    // Those of SensorThings answer without end; their own tests compare what they answer.
    let paths = paths
        .iter()
        .filter(|(path, _)| !path.contains("/v1.") && !path.contains("/v2."));
    for (path, item) in paths {
        let methods: Vec<&str> = item
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(methods, ["get"], "{path}");
        let operation = &item["get"];
        let path = path.replace("{hour}", "2026-11-15T10");
        let path = path.as_str();
        let known = path.replace("{id}", "1001");
        let unknown = path.replace("{id}", "nowhere");
        let mut seen = BTreeSet::new();
        let mut check = |answer: &Answer, asked: &str| {
            seen.insert(answer.status.as_str().to_owned());
            validate(&document, operation, answer, asked);
        };
        for uri in [
            &known,
            &unknown,
            &format!("{known}?nonsense=1"),
            &all_given(&known, operation),
        ] {
            check(&world.get(uri).await, uri);
        }
        check(
            &world.ask("GET", &known, &[("if-none-match", "*")]).await,
            &known,
        );
        if path == "/readyz" {
            let stopping = World::empty().await;
            stopping.state.readiness.stop();
            check(&stopping.get(path).await, path);
        }
        let described = operation["responses"].as_object().unwrap();
        assert_eq!(
            seen,
            described.keys().cloned().collect(),
            "statuses of {path}"
        );
    }
}

/// The URI with every optional parameter, each with a value that is good in the test store.
fn all_given(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array();
    let given = parameters
        .into_iter()
        .flatten()
        .filter(|it| it["in"] == "query");
    let pairs: Vec<String> = given
        .map(|parameter| match parameter["name"].as_str().unwrap() {
            "indicator" => "indicator=temperature".to_owned(),
            "limit" => "limit=1".to_owned(),
            "cursor" => "cursor=%5Bfalse%2C0%2C%22%22%2C%22%22%2C%22%22%5D".to_owned(),
            name => format!("{name}={}", parameter["example"].as_str().expect(name)),
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

pub(crate) fn validate(document: &Value, operation: &Value, answer: &Answer, asked: &str) {
    let status = answer.status.as_str();
    let response = &operation["responses"][status];
    assert!(
        response.is_object(),
        "{asked} answers {status}, which is not described"
    );
    let Some(content) = response["content"].as_object() else {
        assert!(
            answer.body.is_empty(),
            "{asked} has a body that is not described"
        );
        return;
    };
    let media_type = answer.header("content-type").split(';').next().unwrap();
    let schema = &content.get(media_type).expect(asked)["schema"];
    let body = if media_type.ends_with("json") {
        answer.json()
    } else {
        json!(answer.text())
    };

    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    close(&mut whole);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&whole)
        .unwrap();
    let faults: Vec<String> = validator
        .iter_errors(&body)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{asked}: {faults:#?}");
}

/// Forbids every field that is not described.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.insert("additionalProperties".into(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[tokio::test]
async fn the_check_would_see_a_missing_and_an_undescribed_field() {
    let world = World::filled().await;
    let document = document(&world).await;
    let mut schema = json!({"$ref": "#/components/schemas/Period"});
    schema["components"] = document["components"].clone();
    close(&mut schema);
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let start = "2026-11-15T00:00:00Z";
    assert!(validator.is_valid(&json!({"start": start, "end": start})));
    assert!(!validator.is_valid(&json!({"start": start})));
    assert!(!validator.is_valid(&json!({"start": start, "end": start, "more": 1})));
    assert!(!validator.is_valid(&json!({"start": start, "end": "yesterday"})));
}

#[tokio::test]
async fn the_document_is_asked_for_once() {
    let world = World::empty().await;
    let tag = world.get("/openapi.json").await.header("etag").to_owned();
    let again = world
        .ask("GET", "/openapi.json", &[("if-none-match", &tag)])
        .await;
    assert_eq!(again.status.as_u16(), 304);
}
