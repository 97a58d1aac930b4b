//! What is asked, and what is answered.

use serde_json::json;

use super::support::{Place, ROOT};

/// Ids of a filled place: those of the north are asked for by name.
async fn north(place: &Place, uri: &str) -> i64 {
    let filter = if uri == "Things" {
        "name"
    } else {
        "Thing/name"
    };
    place
        .only_id(&format!("{uri}?$filter={filter} eq 'north'"))
        .await
}

#[tokio::test]
async fn paths_lead_along_relations_in_every_depth() {
    let place = Place::filled().await;
    let thing = north(&place, "Things").await;
    let stream = place
        .only_id(&format!(
            "Things({thing})/Datastreams?$filter=name eq 'no2'"
        ))
        .await;
    for (path, pointer, expected) in [
        (format!("Things({thing})"), "/name", json!("north")),
        (format!("Things({thing})/"), "/name", json!("north")),
        (
            format!("Things({thing})/Locations"),
            "/value/0/name",
            json!("north"),
        ),
        (
            format!("Things({thing})/HistoricalLocations?$expand=Thing,Locations"),
            "/value/0/Thing/name",
            json!("north"),
        ),
        (
            format!("Datastreams({stream})/Thing"),
            "/name",
            json!("north"),
        ),
        (
            format!("Datastreams({stream})/Thing/Locations"),
            "/value/0/location/coordinates",
            json!([5.86, 51.85]),
        ),
        (
            format!("Things({thing})/Datastreams({stream})/Sensor"),
            "/name",
            json!("sensor of no2"),
        ),
        (
            format!("Datastreams({stream})/Observations?$orderby=phenomenonTime desc&$top=1"),
            "/value/0/result",
            json!(3),
        ),
        (
            format!("Datastreams({stream})/unitOfMeasurement"),
            "",
            json!({"unitOfMeasurement": {"name": "unit", "symbol": "u",
                "definition": "https://ucum.org/#1"}}),
        ),
        (
            format!("Things({thing})/properties/owner/name"),
            "",
            json!({"name": "Ada"}),
        ),
    ] {
        let answer = place.json(&path).await;
        assert_eq!(answer.pointer(pointer), Some(&expected), "{path}");
    }
    for (path, text) in [
        (format!("Things({thing})/name/$value"), "north"),
        (
            format!("Things({thing})/properties/owner/name/$value"),
            "Ada",
        ),
        ("Things/$count".to_owned(), "2"),
        (format!("Datastreams({stream})/Observations/$count"), "3"),
        ("Observations/$count?$filter=result gt 9".to_owned(), "6"),
    ] {
        let answer = place.get(&path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, text),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    assert_eq!(
        place
            .json(&format!("Datastreams({stream})/Thing/$ref"))
            .await,
        json!({"@iot.selfLink": format!("{ROOT}/Things({thing})")})
    );
}

#[tokio::test]
async fn options_choose_order_and_count() {
    let place = Place::filled().await;
    for (uri, pointer, expected) in [
        (
            "Things?$orderby=name desc",
            "/name",
            json!(["south", "north"]),
        ),
        ("Things?$filter=name eq 'south'", "/name", json!(["south"])),
        (
            "Observations?$filter=result lt 4&$orderby=result desc",
            "/result",
            json!([3, 2, 1]),
        ),
        (
            "Observations?$filter=result gt 2 and result le 5&$orderby=result",
            "/result",
            json!([3, 4, 5]),
        ),
        (
            "Observations?$filter=Datastream/Thing/name eq 'south' and Datastream/name eq 'no2'",
            "/result",
            json!([4, 5, 6]),
        ),
        (
            "Observations?$filter=phenomenonTime ge 2026-11-15T12:00:00Z&$orderby=result",
            "/result",
            json!([3, 6, 30, 60]),
        ),
        (
            "Observations?$filter=hour(phenomenonTime) eq 11 and result lt 10&$orderby=result",
            "/result",
            json!([2, 5]),
        ),
        (
            "Observations?$filter=parameters/place eq 1 and result lt 10&$orderby=result",
            "/result",
            json!([2, 5]),
        ),
        (
            "Things?$filter=properties/floor eq 4",
            "/name",
            json!(["south"]),
        ),
        (
            "Things?$filter=Datastreams/any(d: d/name eq 'no2')&$orderby=name",
            "/name",
            json!(["north", "south"]),
        ),
        (
            "Things?$filter=name in ('north','west')",
            "/name",
            json!(["north"]),
        ),
        (
            "Things?$filter=startswith(tolower(name),'sou')",
            "/name",
            json!(["south"]),
        ),
        (
            "Locations?$filter=st_within(location,geography'POLYGON((5.8 51.84,5.9 51.84,5.9 51.9,5.8 51.9,5.8 51.84))')",
            "/name",
            json!(["north"]),
        ),
        ("Things?$orderby=name&$skip=1", "/name", json!(["south"])),
        (
            "Locations?$orderby=location desc",
            "/name",
            json!(["south", "north"]),
        ),
        (
            "Locations?$orderby=location&$skip=1",
            "/name",
            json!(["south"]),
        ),
        (
            "Things?$select=name&$orderby=name&$top=1",
            "/@iot.id",
            json!([null]),
        ),
        (
            "Observations?$orderby=Datastream/Thing/name desc,result desc&$top=2",
            "/result",
            json!([60, 50]),
        ),
    ] {
        assert_eq!(place.values(uri, pointer).await, expected, "{uri}");
    }
    let counted = place.json("Observations?$count=true&$top=0").await;
    assert_eq!(counted["@iot.count"], 12);
    assert_eq!(counted["value"], json!([]));
    let uncounted = place.json("Things?$count=false").await;
    assert!(uncounted.get("@iot.count").is_none());
}

#[tokio::test]
async fn pages_lead_to_each_other_and_the_last_one_to_none() {
    let place = Place::filled().await;
    let mut uri = "Observations?$top=5&$orderby=result desc&$filter=result ne 6".to_owned();
    let mut seen = Vec::new();
    for entities in [5, 5, 1] {
        let page = place.json(&uri).await;
        let values = page["value"].as_array().unwrap();
        assert_eq!(values.len(), entities, "{uri}");
        seen.extend(values.iter().map(|it| it["result"].as_i64().unwrap()));
        let next = page["@iot.nextLink"].as_str().unwrap_or_default();
        uri = next
            .strip_prefix("http://sta.example.org")
            .unwrap_or_default()
            .to_owned();
    }
    assert_eq!(uri, "");
    assert_eq!(seen, [60, 50, 40, 30, 20, 10, 5, 4, 3, 2, 1]);
    for exact in ["Things?$top=2", "Observations?$top=12"] {
        assert!(
            place.json(exact).await.get("@iot.nextLink").is_none(),
            "{exact}"
        );
    }
}

#[tokio::test]
async fn expanded_entities_have_options_of_their_own_and_links_that_go_on() {
    let place = Place::filled().await;
    let uri = "Things?$filter=name eq 'south'&$select=name&$expand=Datastreams($select=name;\
               $orderby=name desc;$expand=Observations($select=result;$top=2;$count=true;\
               $orderby=phenomenonTime desc)),Locations($select=location/type)";
    let body = place.json(uri).await;
    let thing = &body["value"][0];
    let temperature = &thing["Datastreams"][0];
    assert_eq!(thing["Locations"], json!([{"location": {"type": "Point"}}]));
    assert_eq!(temperature["name"], "temperature");
    assert_eq!(
        temperature["Observations"],
        json!([{"result": 60}, {"result": 50}])
    );
    assert_eq!(temperature["Observations@iot.count"], 3);
    let next = temperature["Observations@iot.nextLink"].as_str().unwrap();
    let next = next.strip_prefix("http://sta.example.org").unwrap();
    let rest = place.json(next).await;
    assert_eq!(rest["value"], json!([{"result": 40}]));

    let slashes = place
        .json("Things?$expand=Datastreams/Sensor,Datastreams/ObservedProperty&$orderby=name")
        .await;
    let first = &slashes["value"][0]["Datastreams"][0];
    assert!(first["Sensor"]["name"].is_string());
    assert!(first["ObservedProperty"]["definition"].is_string());
}

#[tokio::test]
async fn results_come_as_tables_and_features_too() {
    let place = Place::filled().await;
    let uri = "Observations?$filter=result lt 3&$orderby=result&$select=result,phenomenonTime";
    let rows = place.json(&format!("{uri}&$resultFormat=dataArray")).await;
    let group = &rows["value"][0];
    assert_eq!(group["components"], json!(["phenomenonTime", "result"]));
    assert_eq!(
        group["dataArray"],
        json!([["2026-11-15T10:00:00Z", 1], ["2026-11-15T11:00:00Z", 2]])
    );
    assert_eq!(group["dataArray@iot.count"], 2);

    let csv = place
        .get(&format!(
            "{uri}&$expand=Datastream($select=name)&$resultFormat=CSV"
        ))
        .await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(
        csv.text(),
        "phenomenonTime,result,Datastream/name\r\n\
         2026-11-15T10:00:00Z,1,no2\r\n2026-11-15T11:00:00Z,2,no2\r\n"
    );

    let features = place
        .get("Things?$filter=name eq 'north'&$expand=Locations&$resultFormat=GeoJSON")
        .await;
    assert_eq!(features.header("content-type"), "application/geo+json");
    let feature = &features.json()["features"][0];
    assert_eq!(feature["geometry"]["coordinates"], json!([5.86, 51.85]));
    assert_eq!(feature["properties"]["properties/owner/name"], "Ada");
}

#[tokio::test]
async fn sums_and_averages_are_made_where_the_data_are() {
    let place = Place::filled().await;
    let no2 = place
        .only_id("Datastreams?$filter=name eq 'no2' and Thing/name eq 'north'")
        .await;
    let rows = place
        .json(
            "Observations?$apply=groupby((Datastream/name),aggregate(result with average as mean,\
             $count as n))",
        )
        .await;
    let rows = rows["value"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let means: Vec<f64> = rows.iter().map(|it| it["mean"].as_f64().unwrap()).collect();
    assert!(means.contains(&3.5) && means.contains(&35.0), "{means:?}");
    let days = place
        .json(&format!("Datastreams({no2})/Observations?resample=1d"))
        .await;
    assert_eq!(days["value"].as_array().unwrap().len(), 1, "{days}");
}

#[tokio::test]
async fn other_versions_show_the_same_in_their_words() {
    let place = Place::filled().await;
    for face in ["/sta/v1.0", "/gost/v1.0"] {
        let location = place.json(&format!("{face}/Locations?$top=1")).await;
        let location = &location["value"][0];
        assert_eq!(location["encodingType"], "application/vnd.geo+json");
        let link = location["@iot.selfLink"].as_str().unwrap();
        assert!(link.starts_with(&format!("http://sta.example.org{face}/Locations(")));
    }
    let answer = place.get("/sta/v2.0/Datastreams?$count=true&$top=1").await;
    assert_eq!(answer.header("odata-version"), "4.01");
    let body = answer.json();
    assert_eq!(body["@count"], 4);
    let stream = &body["value"][0];
    assert_eq!(stream["resultType"]["type"], "Quantity");
    assert!(stream["id"].is_i64());
    assert!(body["@nextLink"].is_string());
    let next = body["@nextLink"].as_str().unwrap();
    let next = next.strip_prefix("http://sta.example.org").unwrap();
    assert_eq!(
        place.json(next).await["value"][0]["resultType"]["type"],
        "Quantity"
    );
    let properties = stream["ObservedProperties@navigationLink"]
        .as_str()
        .unwrap();
    let properties = properties.strip_prefix("http://sta.example.org").unwrap();
    assert_eq!(
        place.json(properties).await["value"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn an_answer_that_the_client_has_is_not_sent_again() {
    let place = Place::filled().await;
    let thing = north(&place, "Things").await;
    let entity = format!("Things({thing})");
    for uri in ["Things", &entity] {
        let first = place.get(uri).await;
        let tag = first.header("etag").to_owned();
        assert!(!tag.is_empty(), "{uri}");
        let known = [("if-none-match", tag.as_str())];
        let again = place.send("GET", uri, &known, "").await;
        assert_eq!(again.status, 304, "{uri}");
        assert!(again.body.is_empty());
    }
    let set = place.get("Things").await.header("etag").to_owned();
    let one = place.get(&entity).await.header("etag").to_owned();
    let other = place.only_id("Things?$filter=name eq 'south'").await;
    let changed = place
        .write(
            "PATCH",
            &format!("Things({other})"),
            &json!({"description": "moved"}),
        )
        .await;
    assert_eq!(changed.status, 200);
    let set_again = place
        .send("GET", "Things", &[("if-none-match", &set)], "")
        .await;
    assert_eq!(set_again.status, 200, "another thing has changed");
    let one_again = place
        .send("GET", &entity, &[("if-none-match", &one)], "")
        .await;
    assert_eq!(one_again.status, 304, "this one has not");
}

#[tokio::test]
async fn a_head_is_that_of_the_answer() {
    let place = Place::filled().await;
    let whole = place.get("Things").await;
    let head = place.send("HEAD", "Things", &[], "").await;
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-type"), "application/json");
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
}
