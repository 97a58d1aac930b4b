//! What holds for any body: made of the words of the model and of anything.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{Draft, EntityType, Property, Reference, Related, ResultValue, Version};

use super::{BodyError, NO_BATCH};

/// Any JSON, with the names of the model among those of members.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-200.0..200.0).prop_map(Value::from),
        "\\PC{0,6}".prop_map(Value::from),
        Just(json!("a\u{0}b")),
        Just(json!("2020-01-01T00:00:00+01:00")),
        Just(json!("2020-01-01/P1D")),
        Just(json!("application/geo+json")),
        Just(json!("Things(1)")),
        Just(json!({"@iot.id": 1})),
        Just(json!({"type": "Point", "coordinates": [5.8, 51.8]})),
        Just(json!({"type": "Polygon", "coordinates": [[[5, 51], [6, 51], [6, 52], [5, 51]]]})),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((member(), inner), 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn member() -> impl Strategy<Value = String> {
    let known = [
        "name",
        "Name",
        "description",
        "properties",
        "definition",
        "encodingType",
        "location",
        "feature",
        "metadata",
        "time",
        "result",
        "phenomenonTime",
        "resultTime",
        "validTime",
        "parameters",
        "resultQuality",
        "unitOfMeasurement",
        "unitOfMeasurements",
        "multiObservationDataTypes",
        "observationType",
        "observedArea",
        "Thing",
        "Things",
        "Locations",
        "Datastream",
        "Datastreams",
        "MultiDatastream",
        "Sensor",
        "ObservedProperty",
        "ObservedProperties",
        "Observations",
        "FeatureOfInterest",
        "Thing@iot.bind",
        "@iot.id",
        "@iot.selfLink",
        "id",
        "type",
        "coordinates",
    ];
    prop_oneof![
        8 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "[a-z~/\u{e9}]{0,4}",
    ]
}

/// Observations of which most are good.
fn observation() -> impl Strategy<Value = Map<String, Value>> {
    let time = prop_oneof![
        Just(json!("2020-01-01T00:00:00Z")),
        Just(json!("2020-01-01T00:00:00.123456789+02:00")),
        Just(json!("2020-01-01T00:00Z/2020-01-01T01:00Z")),
        Just(json!("20200101T000000Z")),
        Just(Value::Null),
        Just(json!("soon")),
        Just(json!(5)),
    ];
    let member = |strategy: BoxedStrategy<Value>| proptest::option::weighted(0.5, strategy);
    let link = prop_oneof![
        Just(json!({"@iot.id": 7})),
        Just(json!({"id": "7"})),
        Just(json!({"@iot.id": 7, "name": "x"})),
        Just(json!({"name": "x"})),
    ];
    (
        prop_oneof![
            any::<f64>()
                .prop_filter("JSON", |it| it.is_finite())
                .prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            anything(),
        ],
        member(time.clone().boxed()),
        member(time.clone().boxed()),
        member(time.boxed()),
        member(anything().boxed()),
        member(anything().boxed()),
        member(link.boxed()),
    )
        .prop_map(
            |(result, phenomenon, at, valid, quality, parameters, feature)| {
                let members = [
                    ("result", Some(result)),
                    ("phenomenonTime", phenomenon),
                    ("resultTime", at),
                    ("validTime", valid),
                    ("resultQuality", quality),
                    ("parameters", parameters),
                    ("FeatureOfInterest", feature),
                ];
                let members = members.into_iter();
                members
                    .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
                    .collect()
            },
        )
}

/// Problems lie in the document, or where something is missing.
fn check_error(error: &BodyError, body: &Value) -> Result<(), TestCaseError> {
    prop_assert!(!error.problems.is_empty());
    for problem in &error.problems {
        let around = problem
            .pointer
            .rsplit_once('/')
            .map_or("", |(around, _)| around);
        prop_assert!(body.pointer(around).is_some(), "{problem} in {body}");
    }
    Ok(())
}

fn check_draft(draft: &Draft) -> Result<(), TestCaseError> {
    for (property, value) in &draft.fields {
        prop_assert!(draft.entity_type.properties().contains(property));
        prop_assert!(!value.is_null() || *property == Property::Result);
        prop_assert!(!value.to_string().contains("\\u0000"));
    }
    for (relation, members) in &draft.related {
        prop_assert_eq!(relation.from, draft.entity_type);
        prop_assert!(!members.is_empty());
        for member in members {
            if let Related::New(draft) = member {
                prop_assert_eq!(draft.entity_type, relation.to);
                check_draft(draft)?;
            }
        }
    }
    Ok(())
}

/// The result that a draft has, as the short way gives it.
fn result(draft: &Draft) -> ResultValue {
    super::observation::result_of(draft.fields[&Property::Result].clone())
}

fn text(draft: &Draft, property: Property) -> Option<String> {
    draft
        .fields
        .get(&property)
        .map(|it| it.as_str().unwrap().to_owned())
}

proptest! {
    #[test]
    fn any_json_is_a_draft_or_refused_with_places(body in anything()) {
        for version in [Version::V1_0, Version::V1_1, Version::V2_0] {
            for of in EntityType::ALL {
                match super::draft(of, version, &body, NO_BATCH) {
                    Ok(draft) => check_draft(&draft)?,
                    Err(error) => check_error(&error, &body)?,
                }
                for replace in [false, true] {
                    if let Err(error) = super::changes(of, version, &body, replace, NO_BATCH) {
                        check_error(&error, &body)?;
                    }
                }
                let _ = super::reference(of, version, &body, NO_BATCH);
            }
        }
        let _ = super::data_array(body.to_string().as_bytes());
        let _ = super::data_array(json!([body]).to_string().as_bytes());
    }

    #[test]
    fn the_short_way_reads_what_the_long_way_reads(mut members in observation()) {
        members.insert("Datastream".to_owned(), json!({"@iot.id": 3}));
        let body = Value::Object(members);
        let draft = super::draft(EntityType::Observation, Version::V1_1, &body, NO_BATCH);
        if let Some(short) = super::observation(body.to_string().as_bytes(), None) {
            let draft = draft.map_err(|error| TestCaseError::fail(format!("{body}: {error}")))?;
            prop_assert_eq!(short.datastream, 3);
            prop_assert_eq!(&short.result, &result(&draft));
            prop_assert_eq!(
                short.phenomenon_time.map(|it| it.to_string()),
                text(&draft, Property::PhenomenonTime)
            );
            prop_assert_eq!(
                short.result_time.map(|it| it.to_string()),
                text(&draft, Property::ResultTime)
            );
            prop_assert_eq!(short.parameters.as_ref(), draft.fields.get(&Property::Parameters));
            prop_assert_eq!(
                short.result_quality.as_ref(),
                draft.fields.get(&Property::ResultQuality)
            );
            let feature = draft.related.iter().find(|(it, _)| it.to == EntityType::Feature);
            prop_assert_eq!(
                short.feature.map(|id| vec![Related::Link(Reference::Id(id))]),
                feature.map(|(_, members)| members.clone())
            );
        }
    }

    #[test]
    fn a_row_is_read_as_the_same_observation_alone(mut members in observation()) {
        let feature = members.remove("FeatureOfInterest");
        let mut names: Vec<String> = members.keys().cloned().collect();
        let mut cells: Vec<Value> = members.values().cloned().collect();
        if let Some(Value::Object(link)) = &feature {
            names.push("FeatureOfInterest/id".to_owned());
            cells.push(link.get("@iot.id").cloned().unwrap_or(Value::Null));
        }
        let body = json!({
            "Datastream": {"@iot.id": 3}, "components": names, "dataArray": [cells]
        });
        let rows = super::data_array(body.to_string().as_bytes()).unwrap();
        let alone = Value::Object(members);
        let draft = super::draft(EntityType::Observation, Version::V1_1, &alone, NO_BATCH);
        match (&rows[0], draft) {
            (Ok(row), Ok(draft)) => {
                prop_assert_eq!(&row.result, &result(&draft));
                prop_assert_eq!(
                    row.phenomenon_time.map(|it| it.to_string()),
                    text(&draft, Property::PhenomenonTime)
                );
            }
            (Err(problem), Err(error)) => {
                prop_assert!(body.pointer(&problem.pointer[2..]).is_some(), "{problem}");
                prop_assert!(error.problems.iter().any(|it| it.message == problem.message));
            }
            (row, draft) => {
                return Err(TestCaseError::fail(format!("{row:?} and {draft:?}")));
            }
        }
    }
}
