//! Many requests in one.

use serde_json::{Value, json};

use super::support::Place;

async fn json_batch(place: &Place, requests: Value) -> Vec<Value> {
    let body = json!({"requests": requests});
    let answer = place.write("POST", "$batch", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["responses"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_group_names_what_it_makes_and_happens_at_once() {
    let place = Place::filled().await;
    let like = place
        .json("Datastreams?$top=1&$expand=Sensor,ObservedProperty")
        .await;
    let like = &like["value"][0];
    let responses = json_batch(
        &place,
        json!([
            {"id": "t", "atomicityGroup": "g", "method": "post", "url": "Things",
                "body": {"name": "west", "description": "made in a batch"}},
            {"id": "l", "atomicityGroup": "g", "method": "post", "url": "$t/Locations",
                "body": {"name": "west", "description": "l", "encodingType": "application/geo+json",
                    "location": {"type": "Point", "coordinates": [5.0, 52.0]}}},
            {"id": "d", "atomicityGroup": "g", "method": "post", "url": "/sta/v1.1/Datastreams",
                "body": {"name": "no2", "description": "d",
                    "observationType": like["observationType"],
                    "unitOfMeasurement": like["unitOfMeasurement"],
                    "Thing": {"@iot.id": "$t"},
                    "Sensor": {"@iot.id": like["Sensor"]["@iot.id"]},
                    "ObservedProperty": {"@iot.id": like["ObservedProperty"]["@iot.id"]}}},
            {"id": "o", "method": "post", "url": "$d/Observations", "dependsOn": ["g"],
                "body": {"phenomenonTime": "2026-11-20T00:00:00Z", "result": 8}},
            {"id": "r", "method": "get", "dependsOn": ["o"],
                "url": "http://sta.example.org/sta/v1.1/Things?$filter=name eq 'west'&$expand=Datastreams($expand=Observations)"},
        ]),
    )
    .await;
    let statuses: Vec<i64> = responses
        .iter()
        .map(|it| it["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 201, 201, 201, 200], "{responses:#?}");
    let observation = &responses[4]["body"]["value"][0]["Datastreams"][0]["Observations"][0];
    assert_eq!(observation["result"], 8);
    assert_eq!(responses[0]["atomicityGroup"], "g");
    let location = responses[0]["headers"]["location"].as_str().unwrap();
    assert!(location.starts_with("http://sta.example.org/sta/v1.1/Things("));
}

#[tokio::test]
async fn a_group_that_fails_leaves_nothing_and_what_depends_on_it_is_not_tried() {
    let place = Place::empty().await;
    let body = json!({"name": "a", "description": "b"});
    let responses = json_batch(
        &place,
        json!([
            {"id": "1", "method": "post", "url": "Things", "atomicityGroup": "g", "body": body},
            {"id": "2", "method": "post", "url": "Things", "atomicityGroup": "g", "body": {"name": 5}},
            {"id": "3", "method": "post", "url": "Things", "dependsOn": ["2"], "body": body},
            {"id": "4", "method": "post", "url": "Things", "body": body},
        ]),
    )
    .await;
    let statuses: Vec<i64> = responses
        .iter()
        .map(|it| it["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [424, 400, 424, 201], "{responses:#?}");
    assert_eq!(place.get("Things/$count").await.text(), "1");
}

const MULTIPART: &str = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n\
    --c\r\nContent-Type: application/http\r\nContent-ID: 1\r\n\r\n\
    POST /sta/v1.1/Things HTTP/1.1\r\nContent-Type: application/json\r\n\r\n\
    {\"name\": \"a\", \"description\": \"b\"}\r\n\
    --c\r\nContent-Type: application/http\r\nContent-ID: 2\r\n\r\n\
    PATCH $1 HTTP/1.1\r\nContent-Type: application/json\r\n\r\n\
    {\"description\": \"DESCRIPTION\"}\r\n--c--\r\n\
    --b\r\nContent-Type: application/http\r\n\r\n\
    GET $1/description/$value HTTP/1.1\r\n\r\n\r\n--b\r\n\
    Content-Type: application/http\r\n\r\nGET Nothing HTTP/1.1\r\n\r\n\r\n--b--\r\n";

#[tokio::test]
async fn a_multipart_batch_is_answered_part_by_part() {
    let place = Place::empty().await;
    let headers = [("content-type", "multipart/mixed; boundary=b")];
    let answer = place.send("POST", "$batch", &headers, MULTIPART).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let media_type = answer.header("content-type");
    let boundary = media_type
        .strip_prefix("multipart/mixed; boundary=")
        .unwrap();
    let text = answer.text();
    assert!(text.starts_with(&format!("--{boundary}\r\n")));
    assert!(text.ends_with(&format!("--{boundary}--\r\n")));
    let statuses: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .collect();
    assert_eq!(
        statuses,
        ["201 Created", "200 OK", "200 OK", "404 Not Found"]
    );
    assert!(text.contains("Content-ID: 1\r\n"));
    assert!(text.contains("\r\n\r\nDESCRIPTION\r\n"), "{text}");
}

#[tokio::test]
async fn a_change_set_that_fails_is_answered_once_and_leaves_nothing() {
    let place = Place::empty().await;
    let broken = MULTIPART.replace("\"DESCRIPTION\"", "5");
    let headers = [("content-type", "multipart/mixed; boundary=b")];
    let answer = place.send("POST", "$batch", &headers, broken).await;
    let statuses: Vec<&str> = answer
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 "))
        .collect();
    assert_eq!(statuses[0], "400 Bad Request");
    assert_eq!(statuses.len(), 3, "{}", answer.text());
    assert_eq!(place.json("Things").await["value"], json!([]));
}

#[tokio::test]
async fn a_batch_that_cannot_be_read_says_why() {
    let place = Place::empty().await;
    for (media_type, body, status, told) in [
        ("text/plain", "x", 415, "multipart/mixed"),
        ("multipart/mixed", "x", 400, "boundary"),
        ("multipart/mixed; boundary=b", "--b\r\n", 400, "cut off"),
        ("application/json", "{}", 400, "requests"),
        (
            "application/json",
            r#"{"requests": [{"id": "1", "method": "post", "url": "$batch"}]}"#,
            200,
            "no further batch",
        ),
    ] {
        let headers = [("content-type", media_type)];
        let answer = place.send("POST", "$batch", &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{media_type} {body}");
        assert!(answer.text().contains(told), "{}", answer.text());
    }
    assert_eq!(place.get("$batch").await.status, 405);
}
