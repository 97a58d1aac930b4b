//! What real clients ask first, as they write it.

use serde_json::json;

use super::support::Place;

#[tokio::test]
async fn qgis_counts_and_reads_locations_within_a_rectangle() {
    let place = Place::filled().await;
    let count = place
        .json(
            "Locations?$top=0&$count=true&$filter=location/type eq 'Point' or \
             location/geometry/type eq 'Point'",
        )
        .await;
    assert_eq!(count["@iot.count"], 2);
    let page = place
        .json(
            "Locations?$top=100&$count=false&$filter=(location/type eq 'Point' or \
             location/geometry/type eq 'Point') and geo.intersects(location, \
             geography'POLYGON((5.8 51.84, 5.9 51.84, 5.9 51.9, 5.8 51.9, 5.8 51.84))')",
        )
        .await;
    assert_eq!(page["value"].as_array().unwrap().len(), 1);
    assert_eq!(page["value"][0]["name"], "north");
    let expanded = place
        .json(
            "Locations?$top=100&$expand=Things($orderby=id;$top=100;$expand=Datastreams($orderby=id;\
             $top=100;$expand=ObservedProperty))&$orderby=id",
        )
        .await;
    let streams = &expanded["value"][0]["Things"][0]["Datastreams"];
    assert_eq!(streams.as_array().unwrap().len(), 2);
    assert!(streams[0]["ObservedProperty"]["name"].is_string());
    assert_eq!(
        place
            .values(
                "Datastreams?$filter=observedArea/type eq 'Point'&$top=0",
                "/name"
            )
            .await,
        json!([])
    );
}

#[tokio::test]
async fn helgoland_discovers_and_reads_first_and_last_values() {
    let place = Place::filled().await;
    for (set, number) in [
        ("Locations", 2),
        ("ObservedProperties", 4),
        ("Things", 2),
        ("Sensors", 4),
        ("Datastreams", 4),
    ] {
        let page = place.json(&format!("{set}?$count=true&$top=1")).await;
        assert_eq!(page["@iot.count"], number, "{set}");
        assert_eq!(page["value"].as_array().unwrap().len(), 1, "{set}");
    }
    let location = place.only_id("Locations?$filter=name eq 'north'").await;
    let uri = format!(
        "ObservedProperties?$orderby=name&$filter=Datastreams/Thing/Locations/id eq {location}"
    );
    assert_eq!(
        place.values(&uri, "/name").await,
        json!(["no2", "temperature"])
    );
    let slashes = format!(
        "Locations({location})?$expand=Things/Datastreams/Thing,Things/Locations,Things/Datastreams/Sensor"
    );
    let body = place.json(&slashes).await;
    let thing = &body["Things"][0];
    assert_eq!(thing["Locations"][0]["name"], "north");
    assert_eq!(thing["Datastreams"][0]["Thing"]["name"], "north");
    assert!(thing["Datastreams"][1]["Sensor"]["name"].is_string());
    let stream = place
        .only_id("Datastreams?$filter=name eq 'no2' and Thing/name eq 'north'")
        .await;
    for (order, result) in [("", 1), (" desc", 3)] {
        let uri = format!(
            "Datastreams({stream})?$expand=Thing,Thing/Locations,ObservedProperty,Sensor,\
             Observations($orderby=phenomenonTime{order};$top=1)"
        );
        let body = place.json(&uri).await;
        assert_eq!(body["Observations"][0]["result"], result);
        assert_eq!(body["Thing"]["Locations"][0]["name"], "north");
    }
    let uri = format!(
        "Datastreams({stream})/Observations?$orderby=phenomenonTime&$filter=phenomenonTime ge \
         2026-11-15T10:30:00.000Z and phenomenonTime le 2026-11-15T23:00:00.000Z&$top=200"
    );
    assert_eq!(place.values(&uri, "/result").await, json!([2, 3]));
}

#[tokio::test]
async fn samanapir_writes_without_blanks_and_times_in_quotes() {
    let place = Place::filled().await;
    for (uri, pointer, expected) in [
        (
            "/sta/v1.0/Things?$filter=(properties/codegemeente%20eq'0268')&$orderby=name",
            "/name",
            json!(["north", "south"]),
        ),
        (
            "/sta/v1.0/Observations?$filter=phenomenonTime+gt+'2026-11-15T11:30:00.000Z'+and+result+lt+10&$orderby=result",
            "/result",
            json!([3, 6]),
        ),
        (
            "/sta/v1.0/Things?$filter=substringof('nor',name)",
            "/name",
            json!(["north"]),
        ),
        (
            "/sta/v1.0/Things?$filter=substringof(name,'nor')",
            "/name",
            json!(["north"]),
        ),
        (
            "/gost/v1.0/Things?$filter=name%20eq%20'south'",
            "/name",
            json!(["south"]),
        ),
    ] {
        assert_eq!(place.values(uri, pointer).await, expected, "{uri}");
    }
}

#[tokio::test]
async fn masterportal_reads_the_latest_value_of_each_datastream() {
    let place = Place::filled().await;
    let body = place
        .json(
            "Things?$filter=Datastreams/ObservedProperty/name eq 'no2'&$expand=Locations,\
             Datastreams($expand=Observations($top=1;$orderby=phenomenonTime desc);$filter=name eq 'no2')\
             &$orderby=name",
        )
        .await;
    let latest =
        |thing: usize| &body["value"][thing]["Datastreams"][0]["Observations"][0]["result"];
    assert_eq!((latest(0), latest(1)), (&json!(3), &json!(6)));
    assert_eq!(body["value"][1]["Locations"][0]["name"], "south");
}

#[tokio::test]
async fn the_official_suite_writes_plus_for_blanks_and_reads_html_first() {
    let place = Place::filled().await;
    let headers = [(
        "accept",
        "text/html, image/gif, image/jpeg, *; q=0.2, */*; q=0.2",
    )];
    let answer = place
        .send(
            "GET",
            "/sta/v1.0/Things?$filter=description+eq+'The+box+in+the+north'",
            &headers,
            "",
        )
        .await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.json()["value"][0]["name"], "north");
    assert_eq!(
        place
            .values(
                "/sta/v1.0/Observations?$filter=result lt '2'&$orderby=id",
                "/result"
            )
            .await,
        json!([1, 10]),
        "a number compares with a text by its own text"
    );
}

#[tokio::test]
async fn frost_sta_client_takes_ids_from_locations_and_follows_links() {
    let place = Place::empty().await;
    let made = place
        .write(
            "POST",
            "Things",
            &json!({"name": "a", "description": "b", "properties": {}}),
        )
        .await;
    let location = made.header("location").to_owned();
    let (_, id) = location.rsplit_once('(').unwrap();
    let id: i64 = id.strip_suffix(')').unwrap().parse().unwrap();
    let put = json!({"@iot.id": id, "name": "c", "description": "b", "properties": {"x": 1}});
    let put = place.write("PUT", &format!("Things({id})"), &put).await;
    assert_eq!(put.status, 200, "{}", put.text());
    let patch = json!([{"op": "replace", "path": "/name", "value": "d"}]);
    let headers = [("content-type", "application/json-patch+json")];
    let patched = place
        .send(
            "PATCH",
            &format!("Things({id})"),
            &headers,
            patch.to_string(),
        )
        .await;
    assert_eq!(patched.json()["name"], "d");
    assert_eq!(patched.json()["properties"], json!({"x": 1}));
}
