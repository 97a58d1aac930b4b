//! What is made, changed and removed, and who may.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use smartem_http::Problem;
use smartem_http::auth::{Authority, Credentials, Guard, GuardSettings, Principal, Right};
use smartem_serve::SensorThingsSettings;

use super::support::{Place, ROOT, thing};
use crate::support::World;

#[tokio::test]
async fn what_is_made_is_told_with_its_address() {
    let place = Place::empty().await;
    let body = json!({"name": "a", "description": "b", "properties": {"n": [1, null, 2.5]}});
    let made = place.write("POST", "Things", &body).await;
    assert_eq!(made.status, 201);
    let entity = made.json();
    let id = &entity["@iot.id"];
    assert_eq!(made.header("location"), format!("{ROOT}/Things({id})"));
    assert_eq!(entity["properties"], body["properties"]);
    assert_eq!(place.json(&format!("Things({id})")).await, entity);

    let json_of = [
        ("content-type", "application/json"),
        ("prefer", "return=minimal"),
    ];
    let quiet = place
        .send("POST", "Things", &json_of, body.to_string())
        .await;
    assert_eq!(quiet.status, 201);
    assert!(quiet.body.is_empty());
    assert!(quiet.header("location").starts_with(ROOT));
    assert_eq!(quiet.header("preference-applied"), "return=minimal");
}

#[tokio::test]
async fn an_observation_finds_the_feature_of_its_thing_and_goes_both_ways() {
    let place = Place::filled().await;
    let stream = place
        .only_id("Datastreams?$filter=name eq 'no2' and Thing/name eq 'north'")
        .await;
    let in_set = json!({"phenomenonTime": "2026-11-15T13:00:00Z", "result": 7});
    let first = place
        .create(&format!("Datastreams({stream})/Observations"), &in_set)
        .await;
    let by_link = json!({"result": "wet", "phenomenonTime": "2026-11-15T14:00:00Z",
        "Datastream": {"@iot.id": stream}, "unknown": 1});
    let second = place.create("Observations", &by_link).await;
    let features = [
        place
            .json(&format!("Observations({first})/FeatureOfInterest"))
            .await,
        place
            .json(&format!("Observations({second})/FeatureOfInterest"))
            .await,
    ];
    assert_eq!(features[0]["feature"]["coordinates"], json!([5.86, 51.85]));
    assert_eq!(features[0]["@iot.id"], features[1]["@iot.id"]);
    let observation = place.json(&format!("Observations({second})")).await;
    assert_eq!(observation["result"], "wet");
    assert!(observation["resultTime"].is_null());
}

#[tokio::test]
async fn an_entity_is_merged_patched_replaced_and_removed() {
    let place = Place::filled().await;
    let id = place.only_id("Things?$filter=name eq 'north'").await;
    let uri = format!("Things({id})");
    let merged = place
        .write("PATCH", &uri, &json!({"description": "new"}))
        .await;
    assert_eq!(merged.status, 200);
    assert_eq!(merged.json()["description"], "new");
    assert_eq!(merged.json()["name"], "north");

    let patch = json!([
        {"op": "test", "path": "/name", "value": "north"},
        {"op": "add", "path": "/properties/owner/age", "value": 36},
        {"op": "remove", "path": "/properties/floor"},
    ]);
    let of_patch = [("content-type", "application/json-patch+json")];
    let patched = place
        .send("PATCH", &uri, &of_patch, patch.to_string())
        .await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert_eq!(
        patched.json()["properties"],
        json!({"owner": {"name": "Ada", "age": 36}, "codegemeente": "0268"})
    );

    let put = json!({"name": "N", "description": "D"});
    let replaced = place.write("PUT", &uri, &put).await;
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    assert!(replaced.json().get("properties").is_none());

    let removed = place.send("DELETE", &uri, &[], "").await;
    assert_eq!(removed.status, 200);
    assert_eq!(place.get(&uri).await.status, 404);
    assert_eq!(
        place.values("Datastreams?$select=name", "/name").await,
        json!(["no2", "temperature"])
    );
}

#[tokio::test]
async fn links_are_made_and_removed_by_ref() {
    let place = Place::filled().await;
    let thing = place.only_id("Things?$filter=name eq 'north'").await;
    let location = place.only_id("Locations?$filter=name eq 'south'").await;
    let links = format!("Things({thing})/Locations/$ref");
    let named = json!({"@id": format!("{ROOT}/Locations({location})")});
    assert_eq!(place.write("POST", &links, &named).await.status, 204);
    let names = format!("Things({thing})/Locations?$select=name");
    let now = place.values(&names, "/name").await;
    assert_eq!(now, json!(["south"]), "that is where it is now");
    let unlink = format!("Things({thing})/Locations({location})/$ref");
    let unlinked = place.send("DELETE", &unlink, &[], "").await;
    assert_eq!(unlinked.status, 204, "{}", unlinked.text());
    assert_eq!(place.values(&names, "/name").await, json!([]));
    let unsaid = place.send("DELETE", &links, &[], "").await;
    assert_eq!(unsaid.status, 400, "{}", unsaid.text());

    let stream = place
        .only_id("Datastreams?$filter=name eq 'no2' and Thing/name eq 'north'")
        .await;
    let sensor = place
        .json("Datastreams?$filter=name eq 'temperature'&$expand=Sensor")
        .await;
    let sensor = &sensor["value"][0]["Sensor"];
    let put = json!({"@iot.id": sensor["@iot.id"]});
    let uri = format!("Datastreams({stream})/Sensor/$ref");
    assert_eq!(place.write("PUT", &uri, &put).await.status, 204);
    let now = place.json(&format!("Datastreams({stream})/Sensor")).await;
    assert_eq!(now["name"], "sensor of temperature");
}

#[tokio::test]
async fn entities_of_a_set_are_removed_by_a_filter() {
    let place = Place::filled().await;
    let none = place.send("DELETE", "Observations", &[], "").await;
    assert_eq!(none.status, 400);
    assert_eq!(none.json()["error"]["target"], "$filter");
    let some = place
        .send("DELETE", "Observations?$filter=result ge 10", &[], "")
        .await;
    assert_eq!(some.status, 200, "{}", some.text());
    assert_eq!(some.json(), json!({"@iot.count": 6}));
    assert_eq!(place.get("Observations/$count").await.text(), "6");
}

#[tokio::test]
async fn many_observations_are_made_at_once_and_each_row_is_answered() {
    let place = Place::filled().await;
    let stream = place
        .only_id("Datastreams?$filter=name eq 'no2' and Thing/name eq 'north'")
        .await;
    let rows = json!([
        {
            "Datastream": {"@iot.id": stream},
            "components": ["phenomenonTime", "result"],
            "dataArray@iot.count": 3,
            "dataArray": [
                ["2026-11-16T10:00:00Z", 10],
                ["no time", 11],
                ["2026-11-16T12:00:00Z", 12],
            ],
        },
        {
            "Datastream": {"@iot.id": 999_999},
            "components": ["phenomenonTime", "result"],
            "dataArray": [["2026-11-16T10:00:00Z", 10]],
        },
    ]);
    for (face, hour) in [("/sta/v1.1", 16), ("/sta/v1.0", 17)] {
        let rows = rows.to_string().replace("11-16", &format!("11-{hour}"));
        let json_of = [("content-type", "application/json")];
        let uri = format!("{face}/CreateObservations");
        let answer = place.send("POST", &uri, &json_of, rows).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let links = answer.json();
        let links: Vec<&str> = links
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect();
        assert_eq!((links.len(), links[1], links[3]), (4, "error", "error"));
        assert!(
            answer.header("warning").contains("row 2"),
            "{}",
            answer.header("warning")
        );
        let path = links[2].strip_prefix("http://sta.example.org").unwrap();
        assert_eq!(place.json(path).await["result"], 12);
    }
}

#[tokio::test]
async fn what_is_there_already_is_updated_or_refused_on_demand() {
    let place = Place::empty().await;
    let first = place
        .create("Things", &thing("north", 5.86, 51.85, 1))
        .await;
    let again = json!({"name": "north", "description": "the same"});
    let updated = place
        .write("POST", "Things?onDuplicate=update", &again)
        .await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_eq!(updated.json()["@iot.id"], first);
    assert_eq!(updated.json()["description"], "the same");
    let refused = place
        .write("POST", "Things?onDuplicate=refuse", &again)
        .await;
    assert_eq!(refused.status, 409);
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("Things({first})")), "{message}");
    assert_eq!(place.get("Things/$count").await.text(), "1");
    let odd = place
        .write("POST", "Things?onDuplicate=maybe", &again)
        .await;
    assert_eq!(odd.status, 400);
    assert_eq!(odd.json()["error"]["target"], "onDuplicate");
}

#[tokio::test]
async fn a_change_of_what_has_changed_since_is_refused() {
    let place = Place::filled().await;
    let id = place.only_id("Things?$filter=name eq 'north'").await;
    let uri = format!("Things({id})");
    let tag = place.get(&uri).await.header("etag").to_owned();
    let body = json!({"description": "first"}).to_string();
    let patch = async |tag: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        place.send("PATCH", &uri, &headers, body.to_owned()).await
    };
    let first = patch(&tag, &body).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let second = patch(&tag, &json!({"description": "second"}).to_string()).await;
    assert_eq!(second.status, 412);
    let third = patch(
        first.header("etag"),
        &json!({"description": "third"}).to_string(),
    )
    .await;
    assert_eq!(third.status, 200);
    assert_eq!(patch("*", &body).await.status, 200);
}

struct Names;

#[async_trait]
impl Authority for Names {
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Principal>, Problem> {
        let principal = |rights: &[Right], project: Option<&str>| Principal {
            name: credentials.secret().into(),
            rights: rights.to_vec(),
            project: project.map(Into::into),
        };
        Ok(match credentials.secret() {
            "all" => Some(principal(&[Right::Write], None)),
            "air" => Some(principal(&[Right::Write], Some("air"))),
            "water" => Some(principal(&[Right::Write], Some("water"))),
            "nothing" => Some(principal(&[], None)),
            _ => None,
        })
    }
}

#[tokio::test]
async fn who_writes_needs_a_token_and_stays_within_its_project() {
    let guard = Guard::new(Arc::new(Names), GuardSettings::default());
    let place = Place::of(
        World::empty().await,
        SensorThingsSettings {
            guard: Some(guard),
            ..SensorThingsSettings::default()
        },
    );
    let send = async |method: &str, uri: &str, token: &str, body: &Value| {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        if !token.is_empty() {
            headers.push(("authorization", bearer.as_str()));
        }
        place.send(method, uri, &headers, body.to_string()).await
    };
    let body = json!({"name": "a", "description": "b"});
    let nobody = send("POST", "Things", "", &body).await;
    assert_eq!(nobody.status, 401);
    assert!(nobody.header("www-authenticate").starts_with("Bearer"));
    assert_eq!(nobody.json()["error"]["code"], "401");
    assert_eq!(send("POST", "Things", "wrong", &body).await.status, 401);
    assert_eq!(send("POST", "Things", "nothing", &body).await.status, 403);
    let made = send("POST", "Things", "air", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let uri = format!("Things({})", made.json()["@iot.id"]);
    assert_eq!(send("PATCH", &uri, "water", &body).await.status, 403);
    assert_eq!(send("DELETE", &uri, "water", &body).await.status, 403);
    assert_eq!(send("PATCH", &uri, "air", &body).await.status, 200);
    assert_eq!(send("PATCH", &uri, "all", &body).await.status, 200);
    assert_eq!(place.get(&uri).await.status, 200);
}

#[tokio::test]
async fn without_tokens_nothing_is_written() {
    let place = Place::with(SensorThingsSettings::default()).await;
    let body = json!({"name": "a", "description": "b"});
    let refused = place.write("POST", "Things", &body).await;
    assert_eq!(refused.status, 403);
    assert_eq!(place.json("Things").await["value"], json!([]));
}
