//! What bodies are understood as, and what is said about the rest.

use serde_json::{Value, json};

use crate::{Draft, EntityType, Property, Reference, Related, ResultValue, TimeValue, Version};

use super::{BodyError, NO_BATCH};

fn draft(of: EntityType, value: &Value) -> Result<Draft, BodyError> {
    super::draft(of, Version::V1_1, value, NO_BATCH)
}

fn problems(of: EntityType, value: &Value) -> Vec<(String, String)> {
    let error = draft(of, value).expect_err("a body that is wrong");
    let told = error.problems.into_iter();
    told.map(|it| (it.pointer, it.message)).collect()
}

#[test]
fn a_deep_insert_becomes_a_tree_of_drafts() {
    let value = json!({
        "name": "Kitchen", "description": "A room", "properties": {"owner": "x"},
        "@iot.selfLink": "http://example.org/Things(1)", "Datastreams@iot.navigationLink": "x",
        "Locations": [{"@iot.id": 3}, {
            "name": "here", "description": "d", "encodingType": "application/vnd.geo+json",
            "location": {"type": "Point", "coordinates": [5.8, 51.8]}
        }],
        "Datastreams": [{
            "name": "t", "description": "d", "observationType": "any",
            "unitOfMeasurement": {"name": null, "symbol": "°C"},
            "Sensor": {"@iot.id": "4"}, "ObservedProperty@iot.bind": "ObservedProperties(5)",
            "Observations": [{"result": 5, "phenomenonTime": "2020-01-01T01:00:00+01:00"}]
        }]
    });
    let draft = draft(EntityType::Thing, &value).unwrap();
    assert_eq!(draft.fields.len(), 3);
    let related = |draft: &Draft, to| {
        let found = draft.related.iter().find(|(relation, _)| relation.to == to);
        found
            .map(|(_, members)| members.clone())
            .unwrap_or_default()
    };
    let locations = related(&draft, EntityType::Location);
    assert_eq!(locations[0], Related::Link(Reference::Id(3)));
    assert!(matches!(locations[1], Related::New(_)));
    let [Related::New(datastream)] = &related(&draft, EntityType::Datastream)[..] else {
        panic!("one datastream");
    };
    assert_eq!(
        related(datastream, EntityType::Sensor),
        [Related::Link(Reference::Id(4))]
    );
    assert_eq!(
        related(datastream, EntityType::ObservedProperty),
        [Related::Link(Reference::Id(5))]
    );
    let [Related::New(observation)] = &related(datastream, EntityType::Observation)[..] else {
        panic!("one observation");
    };
    assert_eq!(
        observation.fields[&Property::PhenomenonTime],
        "2020-01-01T00:00:00Z"
    );
}

#[test]
fn problems_are_told_together_with_their_places() {
    let value = json!({
        "Name": "x", "description": 5, "properties": [],
        "Locations": [{
            "name": "a\u{0}b", "description": "d", "encodingType": "application/geo+json",
            "location": {"type": "Point", "coordinates": [51.8, 105.8]}
        }],
        "Location": {"@iot.id": 1},
        "Datastreams": [{"@iot.id": "one"}]
    });
    let problems = problems(EntityType::Thing, &value);
    for (pointer, part) in [
        ("/Name", "write it `name`"),
        ("/name", "is missing"),
        ("/description", "must be a text, and is 5"),
        ("/properties", "must be an object, and is an array"),
        ("/Locations/0/name", "U+0000"),
        ("/Locations/0/location", "latitude 105.8"),
        ("/Location", "write it `Locations`"),
        ("/Datastreams/0/@iot.id", "\"one\" is no id"),
    ] {
        assert!(
            problems
                .iter()
                .any(|(at, message)| at == pointer && message.contains(part)),
            "{pointer} {part}: {problems:?}"
        );
    }
    assert_eq!(problems.len(), 8);
}

#[test]
fn geojson_is_checked_where_the_encoding_says_so() {
    let location = |encoding: &str, location: Value| json!({"name": "n", "description": "d", "encodingType": encoding, "location": location});
    let geojson = "application/geo+json; charset=utf-8";
    for good in [
        json!({"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [5, 51, 10]}}),
        json!({"type": "Polygon", "coordinates": [[[5, 51], [6, 51], [6, 52], [5, 51]]]}),
        json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [5, 51]}]}),
    ] {
        draft(EntityType::Location, &location(geojson, good)).unwrap();
    }
    draft(
        EntityType::Location,
        &location("text/plain", json!("Nijmegen")),
    )
    .unwrap();
    for (bad, part) in [
        (json!("Nijmegen"), "no GeoJSON"),
        (json!({"type": "Point", "coordinates": [5]}), "no GeoJSON"),
        (
            json!({"type": "Point", "coordinates": [181, 0]}),
            "longitude 181",
        ),
        (
            json!({"type": "Polygon", "coordinates": [[[5, 51], [6, 51], [6, 52], [5, 52]]]}),
            "does not end",
        ),
        (
            json!({"type": "LineString", "coordinates": [[5, 51]]}),
            "needs 2",
        ),
        (json!({"type": "MultiPoint", "coordinates": []}), "needs 1"),
        (
            json!({"type": "FeatureCollection", "features": []}),
            "collection of features",
        ),
        (
            json!({"type": "Feature", "geometry": null, "properties": {}}),
            "no geometry",
        ),
    ] {
        let problems = problems(EntityType::Location, &location(geojson, bad.clone()));
        assert_eq!(problems[0].0, "/location");
        assert!(problems[0].1.contains(part), "{bad}: {problems:?}");
    }
}

#[test]
fn a_multi_datastream_has_as_many_of_each() {
    let unit = json!({"name": "n", "symbol": "s", "definition": "d"});
    let mut value = json!({
        "name": "n", "description": "d",
        "unitOfMeasurements": [unit, unit], "multiObservationDataTypes": ["a", "b"],
        "ObservedProperties": [{"@iot.id": 1}, {"@iot.id": 2}],
        "Observations": [{"result": [1, 2]}]
    });
    let made = draft(EntityType::MultiDatastream, &value).unwrap();
    assert!(made.fields.contains_key(&Property::ObservationType));
    value["Observations"][0]["result"] = json!([1]);
    let told = problems(EntityType::MultiDatastream, &value);
    assert_eq!(told[0].0, "/Observations/0/result");
    value["ObservedProperties"] = json!([{"@iot.id": 1}]);
    let told = problems(EntityType::MultiDatastream, &value);
    assert!(
        told[0]
            .1
            .contains("2 unitOfMeasurements, 2 multiObservationDataTypes, 1 ObservedProperties")
    );
    let told = problems(
        EntityType::Observation,
        &json!({"result": 1, "MultiDatastream": {"@iot.id": 1}}),
    );
    assert_eq!(told[0].0, "/result");
}

#[test]
fn a_multi_datastream_is_complex_and_its_observations_are_of_nothing_else() {
    let value = json!({
        "name": "n", "description": "d", "observationType": "OM_Measurement",
        "unitOfMeasurements": [{"name": "n", "symbol": "s", "definition": "d"}],
        "multiObservationDataTypes": ["a"], "ObservedProperties": [{"@iot.id": 1}],
    });
    let told = problems(EntityType::MultiDatastream, &value);
    assert_eq!(told[0].0, "/observationType");
    let both =
        json!({"result": [1], "Datastream": {"@iot.id": 1}, "MultiDatastream": {"@iot.id": 2}});
    let told = problems(EntityType::Observation, &both);
    assert_eq!(told[0].0, "/MultiDatastream");
}

#[test]
fn updates_name_entities_and_do_not_make_them() {
    let changes = |value: &Value, replace| {
        super::changes(EntityType::Thing, Version::V1_1, value, replace, NO_BATCH)
    };
    let (fields, related) = changes(
        &json!({"properties": null, "Locations": [{"@iot.id": 1}]}),
        false,
    )
    .unwrap();
    assert_eq!(fields[&Property::Properties], Value::Null);
    assert_eq!(related.len(), 1);
    let error = changes(&json!({"Datastreams": [{"name": "x"}]}), false).unwrap_err();
    assert_eq!(error.problems[0].pointer, "/Datastreams/0");
    let error = changes(&json!({"name": null}), false).unwrap_err();
    assert!(error.to_string().contains("cannot be null"));
    let error = changes(&json!({"name": "x"}), true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at /description: `description` is missing; a Thing needs it"
    );
}

#[test]
fn references_within_a_batch_are_resolved() {
    let earlier = |name: &str| (name == "thing").then_some(7);
    let value = json!({"@iot.id": "$thing"});
    let found = super::reference(EntityType::Thing, Version::V1_1, &value, &earlier);
    assert_eq!(found, Ok(Reference::Earlier(7)));
    let found = super::reference(EntityType::Thing, Version::V1_1, &value, NO_BATCH);
    assert!(found.unwrap_err().to_string().contains("earlier request"));
    for (body, good) in [
        (json!({"@id": "http://example.org/v1.1/Things(5)"}), true),
        (json!({"@iot.id": 5}), true),
        (json!({"@odata.id": "Things('5')"}), true),
        (json!({"@id": "Sensors(5)"}), false),
        (json!({}), false),
        (json!(5), false),
    ] {
        let found = super::reference(EntityType::Thing, Version::V1_1, &body, NO_BATCH);
        assert_eq!(found.is_ok(), good, "{body}: {found:?}");
        assert!(found.is_err() || found == Ok(Reference::Id(5)));
    }
}

#[test]
fn plain_observations_are_read_the_short_way() {
    let body = br#"{"phenomenonTime":"2020-01-01T00:00:00Z","resultTime":null,"result":5.5,
        "Datastream":{"@iot.id":1},"FeatureOfInterest":{"@iot.id":"2"}}"#;
    let read = super::observation(body, None).unwrap();
    assert_eq!((read.datastream, read.feature), (1, Some(2)));
    assert_eq!(read.result, ResultValue::Number(5.5));
    assert!(matches!(read.phenomenon_time, Some(TimeValue::Instant(_))));
    let big = super::observation(br#"{"result":9007199254740993}"#, Some(1)).unwrap();
    assert_eq!(
        big.result,
        ResultValue::Json(json!(9_007_199_254_740_993_i64))
    );
    for other in [
        &br#"{"result":5}"#[..],
        br#"{"Datastream":{"@iot.id":1}}"#,
        br#"{"result":5,"Datastream":{"@iot.id":1},"featureOfInterest":{}}"#,
        br#"{"result":"a\u0000b","Datastream":{"@iot.id":1}}"#,
        br#"{"result":5,"Datastream":{"@iot.id":1},"phenomenonTime":"soon"}"#,
        br#"{"result":5,"Datastream":{"@iot.id":1},"FeatureOfInterest":{"name":"x"}}"#,
    ] {
        assert_eq!(super::observation(other, None), None);
    }
    assert_eq!(
        super::observation(br#"{"result":5,"Datastream":{"@iot.id":1}}"#, Some(2)),
        None
    );
}

#[test]
fn rows_are_read_and_a_bad_one_is_an_error_of_its_own() {
    let body = json!([{
        "Datastream": {"@iot.id": 1},
        "components": ["phenomenonTime", "result", "FeatureOfInterest/id", "validTime"],
        "dataArray@iot.count": 6,
        "dataArray": [
            ["2020-01-01T00:00:00Z", 5, 2, null],
            ["2020-01-01T00:00:00Z/2020-01-01T01:00:00Z", "high", null, "2020-01-01/P1D"],
            ["soon", 5, 2, null],
            ["2020-01-01T00:00:00Z", 5],
            {"result": 5},
            ["2020-01-01T00:00:00Z", {"a": ["\u{0}"]}, 2, null],
        ]
    }, {
        "dataArray": [[[1, 2]], [1]],
        "components": ["result"],
        "MultiDatastream": {"@iot.id": 9}
    }]);
    let rows = super::data_array(body.to_string().as_bytes()).unwrap();
    let told: Vec<String> = rows
        .iter()
        .map(|row| match row {
            Ok(row) => format!("{} {:?}", row.datastream, row.feature),
            Err(problem) => problem.pointer.clone(),
        })
        .collect();
    assert_eq!(
        told,
        [
            "1 Some(2)",
            "1 None",
            "/0/dataArray/2/0",
            "/0/dataArray/3",
            "/0/dataArray/4",
            "/0/dataArray/5/1/a/0",
            "9 None",
            "/1/dataArray/1/0",
        ]
    );
    for (body, pointer) in [
        (json!([{"components": ["result"], "dataArray": []}]), "/0"),
        (
            json!([{"Datastream": {"@iot.id": 1}, "components": ["reslt"], "dataArray": []}]),
            "/0/components/0",
        ),
        (
            json!([{"Datastream": {"@iot.id": 1}, "components": ["phenomenonTime"], "dataArray": []}]),
            "/0/components",
        ),
        (
            json!([{"Datastream": {"@iot.id": 1}, "components": ["result"]}]),
            "/0/dataArray",
        ),
        (
            json!([{"Datastream": {"@iot.id": "x"}, "components": ["result"], "dataArray": []}]),
            "/0/Datastream/@iot.id",
        ),
    ] {
        let error = super::data_array(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.problems[0].pointer, pointer, "{error}");
    }
    assert!(super::data_array(b"[{").is_err());
    assert!(super::data_array(b"5").is_err());
}

#[test]
fn one_body_makes_a_thousand_entities_at_most() {
    let observation = json!({"result": 1});
    let with = |count: usize| {
        json!({
            "name": "n", "description": "d", "observationType": "o", "unitOfMeasurement": {},
            "Observations": vec![observation.clone(); count]
        })
    };
    assert!(draft(EntityType::Datastream, &with(999)).is_ok());
    let told = problems(EntityType::Datastream, &with(1_500));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.contains("1000 entities"));
}
