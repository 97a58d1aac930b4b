//! The OpenAPI document tells of these paths what they answer.

use serde_json::{Value, json};

use super::support::Place;
use crate::openapi::{document, validate};
use crate::support::Answer;

fn operation<'d>(document: &'d Value, path: &str, method: &str) -> &'d Value {
    let operation = &document["paths"][path][method];
    assert!(operation.is_object(), "{method} {path} is not described");
    operation
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let place = Place::filled().await;
    let document = document(&place.world).await;
    let id = place.only_id("Things?$filter=name eq 'north'").await;
    let check = |answer: &Answer, path: &str, method: &str| {
        let operation = operation(&document, path, &method.to_lowercase());
        validate(&document, operation, answer, path);
    };
    for face in ["/sta/v1.1", "/sta/v1.0", "/gost/v1.0", "/sta/v2.0"] {
        check(&place.get(face).await, face, "get");
        let below = format!("{face}/{{path}}");
        for rest in [
            "Things",
            "Things?$filter=x",
            "Nothing",
            "Things/$count",
            "Things?$resultFormat=CSV",
            "Locations?$resultFormat=GeoJSON",
        ] {
            check(&place.get(&format!("{face}/{rest}")).await, &below, "get");
        }
    }
    let below = "/sta/v1.1/{path}";
    let thing = json!({"name": "a", "description": "b"});
    check(&place.write("POST", "Things", &thing).await, below, "post");
    check(
        &place.write("POST", "Things", &json!(1)).await,
        below,
        "post",
    );
    check(
        &place.write("POST", "Things(1)", &thing).await,
        below,
        "post",
    );
    let uri = format!("Things({id})");
    check(&place.write("PATCH", &uri, &thing).await, below, "patch");
    check(&place.write("PUT", &uri, &thing).await, below, "put");
    check(
        &place.send("DELETE", "Things", &[], "").await,
        below,
        "delete",
    );
    let stale = place
        .send("DELETE", &uri, &[("if-match", "\"0\"")], "")
        .await;
    assert_eq!(stale.status, 412);
    check(&stale, below, "delete");
    assert!(document["paths"]["/sta/v2.0/{path}"].get("post").is_none());
}
