use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use smartem_model::Period;

use super::{Body, Frame, WriteError, answer, entity, number, timestamp};
use crate::{
    Answer, Cursor, Datastream, Entity, EntityType, Expand, Expanded, Expansion, Feature,
    LocationRecord, Observation, Page, Property, Provenance, Query, Record, ResourcePath,
    ResultFormat, ResultValue, SelectItem, Target, Thing, TimeValue, Version,
};

const ROOT: &str = "https://example.org/sta/v1.1";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn period(start: &str, end: &str) -> Period {
    Period {
        start: at(start),
        end: at(end),
    }
}

fn alone(id: i64, record: Record) -> Entity {
    Entity {
        id,
        record,
        expanded: Vec::new(),
    }
}

fn thing() -> Entity {
    alone(
        1,
        Record::Thing(Thing {
            name: "20010001".into(),
            description: "A \"box\"\nat the river".into(),
            properties: Some(json!({"owner": {"name": "Ada", "age": 36}, "tags": ["a", "b"]})),
        }),
    )
}

fn location() -> Entity {
    alone(
        2,
        Record::Location(LocationRecord {
            name: "20010001".into(),
            description: "By the bridge".into(),
            encoding_type: "application/geo+json".into(),
            location: json!({"type": "Point", "coordinates": [5.86, 51.84]}),
            properties: Some(json!({"floor": 3})),
        }),
    )
}

fn datastream() -> Entity {
    alone(
        3,
        Record::Datastream(Box::new(Datastream {
            name: "no2".into(),
            description: "NO2 at 20010001".into(),
            observation_type: format!("{TYPES}OM_Measurement"),
            unit_of_measurement: json!({"name": "microgram per cubic metre", "symbol": "µg/m³",
                "definition": "https://ucum.org/#ug/m3"}),
            multi_observation_data_types: None,
            observed_area: None,
            phenomenon_time: Some(period("2026-11-15T10:00:00Z", "2026-11-15T12:00:00Z")),
            result_time: None,
            properties: None,
        })),
    )
}

const TYPES: &str = "http://www.opengis.net/def/observationType/OGC-OM/2.0/";

fn observation(n: i64, result: ResultValue) -> Entity {
    alone(
        (3 << 32) | n,
        Record::Observation(Box::new(Observation {
            phenomenon_time: TimeValue::Interval(period(
                "2026-11-15T10:00:00Z",
                "2026-11-15T11:00:00Z",
            )),
            result_time: None,
            result,
            result_quality: None,
            valid_time: None,
            parameters: None,
            provenance: None,
            datastream: 3,
            is_multi: false,
        })),
    )
}

fn refined() -> Entity {
    let mut entity = observation(7, ResultValue::Number(12.5));
    if let Record::Observation(it) = &mut entity.record {
        it.result_time = Some(at("2026-11-15T11:00:00.25Z"));
        it.provenance = Some(Box::new(Provenance {
            min: 11.0,
            max: 13.5,
            raw: Some(285.125),
            raw_unit: Some("K".into()),
            accepted: 45,
            rejected: 15,
            coverage: Some(0.75),
            flags: vec!["low_coverage"],
            definition: "jose/1".into(),
            model: Some("no2/3".into()),
        }));
    }
    entity
}

struct Asked {
    version: Version,
    path: ResourcePath,
    text: &'static str,
    query: Query,
}

fn asked(path: ResourcePath, text: &'static str) -> Asked {
    Asked {
        version: Version::V1_1,
        path,
        text,
        query: Query::default(),
    }
}

fn set(of: EntityType) -> Asked {
    asked(ResourcePath::set(of), of.set_name(Version::V1_1))
}

impl Asked {
    fn write(&self, given: &Answer) -> Result<Body, WriteError> {
        let frame = Frame {
            version: self.version,
            root: ROOT,
            path: &self.path,
            path_text: self.text,
            query: &self.query,
        };
        answer(given, &frame)
    }

    fn body(&self, given: &Answer) -> String {
        String::from_utf8(self.write(given).unwrap().bytes).unwrap()
    }

    fn json(&self, given: &Answer) -> Value {
        serde_json::from_str(&self.body(given)).unwrap()
    }

    fn selecting(mut self, items: &[SelectItem]) -> Self {
        self.query.select = items.to_vec();
        self
    }

    fn in_format(mut self, format: ResultFormat) -> Self {
        self.query.result_format = format;
        self
    }

    fn in_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    fn expanding(mut self, from: EntityType, to: EntityType, query: Query) -> Self {
        let relation = from.relation_to(to).unwrap();
        self.query.expand.push(Expand { relation, query });
        self
    }
}

fn many(entities: Vec<Entity>) -> Answer {
    Answer::Many(Page {
        entities,
        count: None,
        next: None,
    })
}

fn one(entity: Entity) -> Answer {
    Answer::One(Some(Box::new(entity)))
}

fn property(property: Property, members: &[&str]) -> SelectItem {
    SelectItem::Property(
        property,
        members.iter().map(|it| (*it).to_owned()).collect(),
    )
}

#[test]
fn an_entity_has_its_members_in_the_order_of_the_standard() {
    let body = asked(ResourcePath::entity(EntityType::Thing, 1), "Things(1)").body(&one(thing()));
    let expected = concat!(
        r#"{"@iot.id":1,"@iot.selfLink":"https://example.org/sta/v1.1/Things(1)","#,
        r#""name":"20010001","description":"A \"box\"\nat the river","#,
        r#""properties":{"owner":{"age":36,"name":"Ada"},"tags":["a","b"]},"#,
        r#""Datastreams@iot.navigationLink":"https://example.org/sta/v1.1/Things(1)/Datastreams","#,
        r#""MultiDatastreams@iot.navigationLink":"https://example.org/sta/v1.1/Things(1)/MultiDatastreams","#,
        r#""Locations@iot.navigationLink":"https://example.org/sta/v1.1/Things(1)/Locations","#,
        r#""HistoricalLocations@iot.navigationLink":"https://example.org/sta/v1.1/Things(1)/HistoricalLocations"}"#,
    );
    assert_eq!(body, expected);
}

#[test]
fn a_page_has_its_number_and_the_link_that_goes_on() {
    let mut asked = set(EntityType::Thing);
    asked.query.source = vec![
        ("$top".into(), "1".into()),
        ("$skip".into(), "4".into()),
        ("$filter".into(), "name ne 'a+b & c'".into()),
    ];
    let page = Page {
        entities: vec![thing()],
        count: Some(9),
        next: Some(Cursor("1~x y".into())),
    };
    let body = asked.json(&Answer::Many(page));
    assert_eq!(body["@iot.count"], 9);
    assert_eq!(body["value"][0]["@iot.id"], 1);
    assert_eq!(
        body["@iot.nextLink"],
        format!("{ROOT}/Things?$top=1&$filter=name%20ne%20'a%2Bb%20%26%20c'&$skiptoken=1~x%20y")
    );
    let last = asked.json(&many(vec![thing()]));
    let keys: Vec<&String> = last.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["value"]);
}

#[test]
fn a_refined_observation_tells_its_quality_and_how_it_came_about() {
    let body = set(EntityType::Observation).json(&many(vec![refined()]));
    let id = (3_i64 << 32) | 7;
    let link = format!("{ROOT}/Observations({id})");
    assert_eq!(
        body["value"][0],
        json!({
            "@iot.id": id,
            "@iot.selfLink": link,
            "phenomenonTime": "2026-11-15T10:00:00Z/2026-11-15T11:00:00Z",
            "resultTime": "2026-11-15T11:00:00.25Z",
            "result": 12.5,
            "resultQuality": {"fraction": 0.75, "coverage": 0.75, "flags": ["low_coverage"]},
            "parameters": {"min": 11, "max": 13.5, "raw": 285.125, "rawUnit": "K",
                "acceptedCount": 45, "rejectedCount": 15, "definition": "jose/1", "model": "no2/3"},
            "Datastream@iot.navigationLink": format!("{link}/Datastream"),
            "FeatureOfInterest@iot.navigationLink": format!("{link}/FeatureOfInterest"),
        })
    );
}

#[test]
fn a_result_time_that_is_not_known_is_null_and_other_nulls_are_left_out() {
    let given = many(vec![observation(1, ResultValue::Number(10.0))]);
    let body = set(EntityType::Observation).body(&given);
    assert!(body.contains(r#""resultTime":null,"result":10,"#), "{body}");
    for left_out in ["resultQuality", "validTime", "parameters"] {
        assert!(!body.contains(left_out), "{left_out} in {body}");
    }
}

#[test]
fn only_what_is_selected_is_written() {
    let asked = set(EntityType::Thing).selecting(&[
        property(Property::Name, &[]),
        property(Property::Properties, &["owner", "age"]),
        property(Property::Properties, &["owner", "shoe"]),
        SelectItem::Relation(EntityType::Thing.relation_to(EntityType::Location).unwrap()),
    ]);
    assert_eq!(
        asked.json(&many(vec![thing()]))["value"][0],
        json!({
            "name": "20010001",
            "properties": {"owner": {"age": 36}},
            "Locations@iot.navigationLink": format!("{ROOT}/Things(1)/Locations"),
        })
    );
    let nothing = set(EntityType::Thing).selecting(&[property(Property::Properties, &["none"])]);
    assert_eq!(nothing.json(&many(vec![thing()]))["value"][0], json!({}));
}

#[test]
fn expanded_entities_are_in_the_place_of_their_link() {
    use EntityType as E;
    let select_id = Query {
        select: vec![property(Property::Id, &[])],
        source: vec![("$select".into(), "id".into()), ("$top".into(), "1".into())],
        ..Query::default()
    };
    let asked = set(E::Thing)
        .selecting(&[property(Property::Name, &[])])
        .expanding(E::Thing, E::Datastream, select_id.clone())
        .expanding(E::Thing, E::Location, select_id);
    let mut thing = thing();
    thing.expanded = vec![
        Expanded {
            relation: E::Thing.relation_to(E::Datastream).unwrap(),
            content: Expansion::Many(Page {
                entities: vec![datastream()],
                count: Some(2),
                next: Some(Cursor("3".into())),
            }),
        },
        Expanded {
            relation: E::Thing.relation_to(E::Location).unwrap(),
            content: Expansion::Many(Page::default()),
        },
    ];
    assert_eq!(
        asked.json(&many(vec![thing]))["value"][0],
        json!({
            "name": "20010001",
            "Datastreams": [{"@iot.id": 3}],
            "Datastreams@iot.count": 2,
            "Datastreams@iot.nextLink":
                format!("{ROOT}/Things(1)/Datastreams?$select=id&$top=1&$skiptoken=3"),
            "Locations": [],
        })
    );
}

#[test]
fn an_observation_names_the_kind_of_datastream_that_it_is_of() {
    let mut multi = observation(1, ResultValue::Json(json!([1, "two"])));
    if let Record::Observation(it) = &mut multi.record {
        it.is_multi = true;
    }
    let body = set(EntityType::Observation).json(&many(vec![multi.clone()]));
    let observation = &body["value"][0];
    assert!(observation["MultiDatastream@iot.navigationLink"].is_string());
    assert!(observation["Datastream@iot.navigationLink"].is_null());
    assert_eq!(observation["result"], json!([1, "two"]));

    let later = set(EntityType::Observation).in_version(Version::V2_0);
    let body = later.json(&many(vec![multi]));
    assert!(body["value"][0]["Datastream@navigationLink"].is_string());
}

#[test]
fn version_1_0_has_no_properties_but_those_of_things_and_its_own_name_of_geojson() {
    let of = |it: Entity, of| {
        let asked = set(of).in_version(Version::V1_0);
        asked.json(&many(vec![it]))["value"][0].clone()
    };
    let location = of(location(), EntityType::Location);
    assert_eq!(location["encodingType"], "application/vnd.geo+json");
    assert!(location.get("properties").is_none());
    let thing = of(thing(), EntityType::Thing);
    assert_eq!(thing["properties"]["tags"], json!(["a", "b"]));
}

#[test]
fn version_2_0_describes_results_and_has_times_as_objects() {
    let asked = set(EntityType::Datastream).in_version(Version::V2_0);
    assert_eq!(
        asked.json(&many(vec![datastream()]))["value"][0],
        json!({
            "id": 3,
            "@id": format!("{ROOT}/Datastreams(3)"),
            "name": "no2",
            "description": "NO2 at 20010001",
            "resultType": {"type": "Quantity", "uom": {"label": "microgram per cubic metre",
                "symbol": "µg/m³", "href": "https://ucum.org/#ug/m3"}},
            "phenomenonTime": {"start": "2026-11-15T10:00:00Z", "end": "2026-11-15T12:00:00Z"},
            "Thing@navigationLink": format!("{ROOT}/Datastreams(3)/Thing"),
            "Sensor@navigationLink": format!("{ROOT}/Datastreams(3)/Sensor"),
            "ObservedProperties@navigationLink":
                format!("{ROOT}/Datastreams(3)/ObservedProperties"),
            "Observations@navigationLink": format!("{ROOT}/Datastreams(3)/Observations"),
        })
    );
    let mut multi = datastream();
    if let Record::Datastream(it) = &mut multi.record {
        it.unit_of_measurement = json!([{"name": "degree", "symbol": "°"}, {}]);
        let types = ["OM_Measurement", "OM_TruthObservation"];
        let types = types.map(|it| format!("{TYPES}{it}"));
        it.multi_observation_data_types = Some(types.into());
    }
    assert_eq!(
        asked.json(&many(vec![multi]))["value"][0]["resultType"],
        json!({"type": "DataRecord", "fields": [
            {"type": "Quantity", "name": "field1", "uom": {"label": "degree", "symbol": "°"}},
            {"type": "Boolean", "name": "field2"},
        ]})
    );
}

#[test]
fn a_path_to_a_property_answers_it_alone() {
    use Property as P;
    let ask = |target: Target, entity: Entity| {
        let of = entity.record.entity_type();
        let path = ResourcePath {
            target,
            ..ResourcePath::entity(of, entity.id)
        };
        let body = asked(path, "").write(&one(entity))?;
        Ok((body.media_type, String::from_utf8(body.bytes).unwrap()))
    };
    let json = |text: &str| Ok((Body::JSON, text.to_owned()));
    let text = |text: &str| Ok((Body::TEXT, text.to_owned()));
    let of = |property, members: &[&str]| {
        Target::Property(
            property,
            members.iter().map(|it| (*it).to_owned()).collect(),
        )
    };
    let raw = |property, members: &[&str]| {
        Target::RawValue(
            property,
            members.iter().map(|it| (*it).to_owned()).collect(),
        )
    };
    assert_eq!(
        ask(of(P::Name, &[]), thing()),
        json(r#"{"name":"20010001"}"#)
    );
    assert_eq!(ask(of(P::Id, &[]), thing()), json(r#"{"@iot.id":1}"#));
    assert_eq!(
        ask(of(P::Properties, &["owner", "age"]), thing()),
        json(r#"{"age":36}"#)
    );
    assert_eq!(ask(raw(P::Name, &[]), thing()), text("20010001"));
    assert_eq!(ask(raw(P::Properties, &["tags", "1"]), thing()), text("b"));
    assert_eq!(
        ask(raw(P::Properties, &["tags"]), thing()),
        json(r#"["a","b"]"#)
    );
    assert_eq!(
        ask(raw(P::PhenomenonTime, &[]), refined()),
        text("2026-11-15T10:00:00Z/2026-11-15T11:00:00Z")
    );
    assert_eq!(ask(raw(P::Result, &[]), refined()), text("12.5"));
    assert_eq!(
        ask(raw(P::ResultQuality, &["fraction"]), refined()),
        text("0.75")
    );
    assert_eq!(
        ask(of(P::Properties, &["owner", "shoe"]), thing()),
        Err(WriteError::NoMember("properties/owner/shoe".into()))
    );
    let without = observation(1, ResultValue::Json(Value::Null));
    for property in [P::ResultTime, P::ValidTime, P::Result] {
        assert_eq!(
            ask(of(property, &[]), without.clone()),
            Err(WriteError::Null)
        );
        assert_eq!(
            ask(raw(property, &[]), without.clone()),
            Err(WriteError::Null)
        );
    }
}

#[test]
fn references_are_links_and_nothing_else() {
    let path = ResourcePath {
        target: Target::References,
        ..ResourcePath::set(EntityType::Thing)
    };
    let asked = asked(path, "Things/$ref");
    let link = format!("{ROOT}/Things(1)");
    assert_eq!(
        asked.json(&many(vec![thing()])),
        json!({"value": [{"@iot.selfLink": link}]})
    );
    assert_eq!(asked.json(&one(thing())), json!({"@iot.selfLink": link}));
}

#[test]
fn a_data_array_has_a_table_for_each_datastream() {
    let mut other = observation(1, ResultValue::Json(json!("wet")));
    if let Record::Observation(it) = &mut other.record {
        it.datastream = 4;
    }
    let asked = set(EntityType::Observation)
        .in_format(ResultFormat::DataArray)
        .selecting(&[property(Property::Id, &[]), property(Property::Result, &[])]);
    let given = many(vec![
        refined(),
        observation(8, ResultValue::Number(2.0)),
        other,
    ]);
    let first = 3_i64 << 32;
    assert_eq!(
        asked.json(&given)["value"],
        json!([
            {
                "Datastream@iot.navigationLink": format!("{ROOT}/Datastreams(3)"),
                "components": ["id", "result"],
                "dataArray@iot.count": 2,
                "dataArray": [[first + 7, 12.5], [first + 8, 2]],
            },
            {
                "Datastream@iot.navigationLink": format!("{ROOT}/Datastreams(4)"),
                "components": ["id", "result"],
                "dataArray@iot.count": 1,
                "dataArray": [[first + 1, "wet"]],
            },
        ])
    );
    let things = set(EntityType::Thing).in_format(ResultFormat::DataArray);
    assert!(matches!(
        things.write(&many(vec![thing()])),
        Err(WriteError::Form(_))
    ));
}

#[test]
fn csv_quotes_what_must_be_and_flattens_expanded_entities() {
    use EntityType as E;
    let asked = set(E::Observation)
        .in_format(ResultFormat::Csv)
        .selecting(&[
            property(Property::Result, &[]),
            property(Property::ResultTime, &[]),
        ])
        .expanding(
            E::Observation,
            E::Datastream,
            Query {
                select: vec![
                    property(Property::Description, &[]),
                    property(Property::UnitOfMeasurement, &["symbol"]),
                    property(Property::UnitOfMeasurement, &[]),
                ],
                ..Query::default()
            },
        );
    let mut with = observation(1, ResultValue::Json(json!("a, \"b\"")));
    let mut datastream = datastream();
    if let Record::Datastream(it) = &mut datastream.record {
        it.unit_of_measurement = json!({"symbol": "%"});
    }
    with.expanded = vec![Expanded {
        relation: E::Observation.relation_to(E::Datastream).unwrap(),
        content: Expansion::One(Some(Box::new(datastream))),
    }];
    let body = asked.write(&many(vec![with, refined()])).unwrap();
    assert_eq!(body.media_type, Body::CSV);
    assert_eq!(
        String::from_utf8(body.bytes).unwrap(),
        concat!(
            "resultTime,result,Datastream/description,Datastream/unitOfMeasurement\r\n",
            ",\"a, \"\"b\"\"\",NO2 at 20010001,\"{\"\"symbol\"\":\"\"%\"\"}\"\r\n",
            "2026-11-15T11:00:00.25Z,12.5,,\r\n",
        )
    );
}

#[test]
fn geojson_takes_the_geometry_from_what_is_expanded() {
    use EntityType as E;
    let asked = set(E::Thing).in_format(ResultFormat::GeoJson).expanding(
        E::Thing,
        E::Location,
        Query::default(),
    );
    let mut thing = thing();
    thing.expanded = vec![Expanded {
        relation: E::Thing.relation_to(E::Location).unwrap(),
        content: Expansion::Many(Page {
            entities: vec![location()],
            ..Page::default()
        }),
    }];
    let body = asked.write(&many(vec![thing])).unwrap();
    assert_eq!(body.media_type, Body::GEO_JSON);
    let body: Value = serde_json::from_slice(&body.bytes).unwrap();
    assert_eq!(
        body,
        json!({"type": "FeatureCollection", "features": [{
            "type": "Feature",
            "id": 1,
            "geometry": {"type": "Point", "coordinates": [5.86, 51.84]},
            "properties": {
                "id": 1,
                "name": "20010001",
                "description": "A \"box\"\nat the river",
                "properties/owner/name": "Ada",
                "properties/owner/age": 36,
                "properties/tags": ["a", "b"],
                "Locations/0/id": 2,
                "Locations/0/name": "20010001",
                "Locations/0/description": "By the bridge",
                "Locations/0/encodingType": "application/geo+json",
                "Locations/0/properties/floor": 3,
            },
        }]})
    );
}

#[test]
fn rows_of_sums_are_values_or_lines() {
    let rows = || {
        vec![
            json!({"name": "no2", "mean": 1.5}),
            json!({"name": "o3", "n": 2}),
        ]
    };
    let asked = set(EntityType::Observation);
    let given = Answer::Rows(rows(), Some(Cursor("2".into())));
    assert_eq!(
        asked.json(&given),
        json!({"value": rows(), "@iot.nextLink": format!("{ROOT}/Observations?$skiptoken=2")})
    );
    let csv = set(EntityType::Observation).in_format(ResultFormat::Csv);
    assert_eq!(csv.body(&given), "mean,name,n\r\n1.5,no2,\r\n,o3,2\r\n");
}

#[test]
fn what_is_not_there_is_an_error_and_a_number_is_text() {
    let asked = set(EntityType::Thing);
    assert_eq!(asked.write(&Answer::One(None)), Err(WriteError::NoEntity));
    assert_eq!(asked.body(&Answer::Count(12)), "12");
}

#[test]
fn numbers_are_written_as_people_write_them() {
    let text = |value| {
        let mut out = Vec::new();
        number(&mut out, value);
        String::from_utf8(out).unwrap()
    };
    for (value, expected) in [
        (10.0, "10"),
        (-50.0, "-50"),
        (-0.0, "-0"),
        (51.05, "51.05"),
        (0.1, "0.1"),
        (0.000_012_5, "0.0000125"),
        (0.000_001, "0.000001"),
        (1e-7, "1e-7"),
        (9_007_199_254_740_993.0, "9007199254740992"),
        (123_456_789_012_345_680.0, "123456789012345680"),
        (1e20, "100000000000000000000"),
        (1e21, "1e21"),
        (1.5e300, "1.5e300"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
    ] {
        assert_eq!(text(value), expected);
    }
}

proptest! {
    #[test]
    fn every_number_is_the_same_again(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let mut out = Vec::new();
        number(&mut out, value);
        let again: f64 = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(again.to_bits(), value.to_bits());
        let text = String::from_utf8(out).unwrap();
        prop_assert!(text.parse::<f64>().unwrap().to_bits() == value.to_bits());
        if (1e-6..1e21).contains(&value.abs()) {
            prop_assert!(!text.contains(['e', 'E']), "{}", text);
        }
        prop_assert!(!text.ends_with(".0"));
    }

    #[test]
    fn every_time_is_the_same_again(
        microseconds in Timestamp::MIN.as_microsecond()..=Timestamp::MAX.as_microsecond(),
    ) {
        let value = Timestamp::from_microsecond(microseconds).unwrap();
        let mut out = Vec::new();
        timestamp(&mut out, value);
        prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }

    #[test]
    fn whatever_an_entity_holds_its_json_gives_it_back(
        name in any::<String>(),
        key in any::<String>(),
        number in any::<f64>(),
        whole in any::<i64>(),
        root in "https?://[a-z]{1,9}(/[ -~]{0,9})?",
    ) {
        let feature = json!({&key: [number, whole, name.as_str(), null, {&name: number}]});
        let record = Record::Feature(Feature {
            name: name.clone(),
            description: key.clone(),
            encoding_type: name.clone(),
            feature: feature.clone(),
            properties: Some(json!({&key: whole})),
        });
        let written = entity(&alone(whole, record), Version::V1_1, &root, &Query::default());
        let value: Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(&value["@iot.id"], &json!(whole));
        prop_assert_eq!(&value["@iot.selfLink"], &json!(format!("{root}/FeaturesOfInterest({whole})")));
        prop_assert_eq!(&value["name"], &json!(name));
        prop_assert_eq!(&value["feature"], &feature);
        prop_assert_eq!(&value["properties"], &json!({&key: whole}));
        let mut observation = observation(1, ResultValue::Number(number));
        if let Record::Observation(it) = &mut observation.record {
            it.parameters = Some(feature.clone());
        }
        let written = entity(&observation, Version::V2_0, &root, &Query::default());
        let value: Value = serde_json::from_slice(&written).unwrap();
        prop_assert_eq!(value["result"].as_f64().map(f64::to_bits), Some(number.to_bits()));
        prop_assert_eq!(&value["parameters"], &feature);
    }
}
