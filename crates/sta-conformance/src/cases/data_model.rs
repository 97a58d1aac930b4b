//! What entities are made of: control information, properties, relations, and values that come back as they went.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::cases::{Row, check, each};
use crate::client::{member, same};
use crate::model::{KINDS, Kind};
use crate::outcome::{Check, ensure, fault, skip};
use crate::own::{key_of, location, observed_property, sensor};

pub(crate) const CASES: &[Row] = &[
    Row::read_each(
        "control-information",
        "8.1",
        "Entities carry `@iot.id` and an absolute `@iot.selfLink`, and no two of a set have one identifier.",
        each!(control_information),
    ),
    Row::read_each(
        "self-link",
        "8.1",
        "The self-link of an entity leads to that entity.",
        each!(self_link),
    ),
    Row::read_each(
        "properties",
        "",
        "Entities show every mandatory property, with values of the right kind.",
        each!(properties),
    ),
    Row::read_each(
        "relations",
        "",
        "Entities carry a navigation link for each relation, and it leads to entities of the other end.",
        each!(relations),
    ),
    Row::write(
        "result-keeps-its-type",
        "8.2.7",
        "A result comes back with the type it was sent with: number, text, truth value, object, list.",
        check!(result_types),
    ),
    Row::write(
        "whole-number-stays-whole",
        "8.2.7",
        "A result that is a whole number comes back as the same number, however large.",
        check!(whole_numbers),
    ),
    Row::write(
        "observation-properties",
        "8.2.7",
        "resultTime, validTime, resultQuality and parameters of an Observation come back.",
        check!(observation_properties),
    ),
    Row::write(
        "interval-as-phenomenon-time",
        "8.2.7",
        "A phenomenonTime that is an interval comes back as the same interval.",
        check!(interval),
    ),
    Row::write(
        "offset-in-phenomenon-time",
        "8.2.7",
        "A phenomenonTime in another zone comes back as the same instant.",
        check!(offset),
    ),
    Row::write(
        "fractions-of-seconds",
        "8.2.7",
        "A phenomenonTime keeps its milliseconds.",
        check!(milliseconds),
    ),
    Row::write(
        "thing-properties-come-back",
        "8.2.1",
        "`properties` is any JSON object and comes back unchanged.",
        check!(thing_properties),
    ),
    Row::write(
        "properties-of-other-entities",
        "8.2",
        "Locations, Datastreams, Sensors, ObservedProperties and FeaturesOfInterest have `properties` as well.",
        check!(other_properties),
    )
    .since_1_1(),
    Row::write(
        "geometries",
        "8.2.2",
        "A location comes back as the GeoJSON it was sent as: points with height, lines, areas with holes, collections.",
        check!(geometries),
    ),
    Row::write(
        "location-as-a-feature",
        "8.2.2",
        "A location may be a GeoJSON Feature.",
        check!(feature_as_location),
    ),
    Row::write(
        "encoding-type-of-geojson",
        "8.2.2",
        "Locations may be encoded as `application/geo+json`.",
        check!(geojson),
    )
    .since_1_1(),
    Row::write(
        "unit-with-nulls",
        "8.2.4",
        "A unit of measurement without name, symbol or definition has nulls for them, and comes back so.",
        check!(unit_with_nulls),
    ),
    Row::write(
        "sensor-metadata",
        "8.2.5",
        "The metadata of a Sensor come back as they were sent.",
        check!(metadata),
    ),
    Row::write(
        "letters-beyond-ascii",
        "8.2.1",
        "Texts keep letters, quotes and line breaks of every kind.",
        check!(letters),
    ),
    Row::write(
        "datastream-times",
        "8.2.4",
        "Where a Datastream shows phenomenonTime and resultTime, they span those of its Observations.",
        check!(datastream_times),
    ),
    Row::write(
        "datastream-observed-area",
        "8.2.4",
        "Where a Datastream shows an observedArea, it is a geometry that contains the features of its Observations.",
        check!(observed_area),
    ),
    Row::write(
        "historical-location-of-a-thing",
        "8.2.3",
        "A HistoricalLocation leads to one Thing and to the Locations that it had.",
        check!(historical_location),
    ),
];

async fn control_information(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let answer = bench.client.get(kind.set).await?.ok()?;
    let entities = answer.list()?;
    if entities.is_empty() {
        return Err(skip(format!("the service has no {}", kind.set)));
    }
    let mut seen = Vec::new();
    for entity in &entities {
        let id = member(entity, "@iot.id")?;
        answer.ensure(id.is_string() || id.is_number(), || {
            format!("no identifier: {id}")
        })?;
        answer.ensure(!seen.contains(id), || format!("{id} comes twice"))?;
        seen.push(id.clone());
        let link = member(entity, "@iot.selfLink")?;
        let absolute = link.as_str().is_some_and(|link| link.starts_with("http"));
        answer.ensure(absolute, || format!("no absolute address: {link}"))?;
    }
    Ok(())
}

async fn self_link(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    let entity = bench.read(&own.path).await?;
    let link = member(&entity, "@iot.selfLink")?
        .as_str()
        .unwrap_or_default();
    let answer = bench.client.get(link).await?.ok()?;
    let id = answer.member("@iot.id")?;
    answer.ensure(&id == member(&entity, "@iot.id")?, || {
        format!("the self-link of {} leads to another entity", own.path)
    })
}

async fn properties(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    let answer = bench.client.get(&own.path).await?.ok()?;
    let entity = answer.value()?;
    for (name, shape) in kind.properties {
        let value = entity
            .get(*name)
            .ok_or_else(|| answer.fault(format!("`{name}` is missing")))?;
        answer.ensure(shape.fits(value), || {
            format!("`{name}` is not of the kind {shape:?}: {value}")
        })?;
    }
    Ok(())
}

async fn relations(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    let answer = bench.client.get(&own.path).await?.ok()?;
    for relation in kind.relations() {
        let name = format!("{relation}@iot.navigationLink");
        let link = answer.member(&name)?;
        let link = link
            .as_str()
            .ok_or_else(|| answer.fault(format!("`{name}` is no text")))?;
        let behind = bench
            .client
            .get(&resolved(bench, &own.path, link))
            .await?
            .ok()?;
        if kind.to_many.contains(&relation) {
            behind.list()?;
        } else {
            behind.member("@iot.id")?;
        }
    }
    Ok(())
}

/// The address of a navigation link, which may be relative to the service.
pub(super) fn resolved(bench: &Bench<'_>, path: &str, link: &str) -> String {
    if link.starts_with("http") {
        link.to_owned()
    } else if link.starts_with('/') {
        let root = bench.client.root();
        let host = root.find("://").map_or(0, |at| at + 3);
        let end = root[host..].find('/').map_or(root.len(), |at| host + at);
        format!("{}{link}", &root[..end])
    } else if link.contains('(') || !path.contains('(') {
        link.trim_start_matches("../").to_owned()
    } else {
        format!("{path}/{link}")
    }
}

/// Posts an Observation with these members to *numbers*' like Datastream and reads it.
async fn observed(bench: &Bench<'_>, label: &str, members: &Value) -> Check<Value> {
    let station = bench.small_station(label).await?;
    let mut body = json!({
        "phenomenonTime": "2021-03-04T05:06:07Z",
        "result": 1,
        "Datastream": station.datastream.reference(),
        "FeatureOfInterest": bench.own.feature()?.reference(),
    });
    if let (Some(body), Some(members)) = (body.as_object_mut(), members.as_object()) {
        body.extend(members.clone());
    }
    let own = bench.scribe.post("Observations", &body).await?;
    bench.read(&own.path).await
}

async fn result_types(bench: &Bench<'_>) -> Check {
    let results = [
        json!(21.5),
        json!(-0.001),
        json!("text"),
        json!(true),
        json!({ "a": 1, "b": { "c": ["x", null] } }),
        json!([1, "two", 3.5]),
    ];
    let station = bench.small_station("result types").await?;
    for result in results {
        let own = bench.observe(&station.datastream, result.clone()).await?;
        same(
            "result",
            &result,
            member(&bench.read(&own.path).await?, "result")?,
        )?;
    }
    Ok(())
}

async fn whole_numbers(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("whole numbers").await?;
    for number in [0_i64, 10, -7, 9_007_199_254_740_993] {
        let own = bench.observe(&station.datastream, json!(number)).await?;
        let answer = bench.client.get(&own.path).await?.ok()?;
        let result = answer.member("result")?;
        answer.ensure(result == json!(number), || {
            format!("result: {number} was expected, not {result}")
        })?;
    }
    Ok(())
}

async fn observation_properties(bench: &Bench<'_>) -> Check {
    let sent = json!({
        "resultTime": "2021-03-04T06:00:00Z",
        "validTime": "2021-03-04T00:00:00Z/2021-03-05T00:00:00Z",
        "resultQuality": [{
            "nameOfMeasure": "completeness",
            "DQ_Result": { "code": "ok", "value": "100" },
        }],
        "parameters": { "height": 2.5, "method": "by hand" },
    });
    let got = observed(bench, "observation", &sent).await?;
    same_times(
        "resultTime",
        &sent["resultTime"],
        member(&got, "resultTime")?,
    )?;
    same_times("validTime", &sent["validTime"], member(&got, "validTime")?)?;
    for name in ["resultQuality", "parameters"] {
        same(name, &sent[name], member(&got, name)?)?;
    }
    Ok(())
}

async fn interval(bench: &Bench<'_>) -> Check {
    let sent = json!({ "phenomenonTime": "2021-03-04T05:00:00Z/2021-03-04T06:00:00Z" });
    let got = observed(bench, "interval", &sent).await?;
    same_times(
        "phenomenonTime",
        &sent["phenomenonTime"],
        member(&got, "phenomenonTime")?,
    )
}

async fn offset(bench: &Bench<'_>) -> Check {
    let sent = json!({ "phenomenonTime": "2021-03-04T05:06:07+02:00" });
    let got = observed(bench, "offset", &sent).await?;
    same_times(
        "phenomenonTime",
        &sent["phenomenonTime"],
        member(&got, "phenomenonTime")?,
    )
}

async fn milliseconds(bench: &Bench<'_>) -> Check {
    let sent = json!({ "phenomenonTime": "2021-03-04T05:06:07.089Z" });
    let got = observed(bench, "milliseconds", &sent).await?;
    same_times(
        "phenomenonTime",
        &sent["phenomenonTime"],
        member(&got, "phenomenonTime")?,
    )
}

/// Ends the case unless two texts are the same instant or the same interval.
pub(super) fn same_times(what: &str, sent: &Value, got: &Value) -> Check {
    let instants = |value: &Value| -> Option<Vec<jiff::Timestamp>> {
        let parts = value.as_str()?.split('/');
        parts.map(|part| part.parse().ok()).collect()
    };
    ensure(
        instants(sent).is_some() && instants(sent) == instants(got),
        || format!("{what}: {sent} was expected, not {got}"),
    )
}

async fn thing_properties(bench: &Bench<'_>) -> Check {
    let properties = json!({
        "text": "a",
        "number": 1.5,
        "truth": false,
        "nothing": null,
        "list": [1, { "deep": [] }],
        "a name with blanks": { "ünï": "ß" },
    });
    let body = json!({
        "name": bench.scribe.name("properties"),
        "description": "has properties",
        "properties": properties,
    });
    let own = bench.scribe.post("Things", &body).await?;
    same(
        "properties",
        &properties,
        member(&bench.read(&own.path).await?, "properties")?,
    )
}

async fn other_properties(bench: &Bench<'_>) -> Check {
    let scribe = &bench.scribe;
    let properties = json!({ "owner": "somebody", "n": [1, 2] });
    let feature = json!({
        "name": scribe.name("with properties"),
        "description": "has properties",
        "encodingType": "application/geo+json",
        "feature": bench.spot(),
    });
    let bodies = [
        (
            "Locations",
            location(scribe, "with properties", &bench.spot()),
        ),
        ("Sensors", sensor(scribe, "with properties")),
        (
            "ObservedProperties",
            observed_property(scribe, "with-properties"),
        ),
        ("FeaturesOfInterest", feature),
    ];
    for (set, mut body) in bodies {
        body["properties"] = properties.clone();
        let own = scribe.post(set, &body).await?;
        let got = bench.read(&own.path).await?;
        same(
            &format!("properties of {set}"),
            &properties,
            member(&got, "properties")?,
        )?;
    }
    let station = bench.small_station("stream with properties").await?;
    let path = &station.datastream.path;
    let change = json!({ "properties": properties });
    bench
        .client
        .json(Method::PATCH, path, &change)
        .await?
        .expect(&[200, 204])?;
    let got = bench.read(path).await?;
    same(
        "properties of Datastreams",
        &properties,
        member(&got, "properties")?,
    )
}

async fn geometries(bench: &Bench<'_>) -> Check {
    let geometries = [
        json!({ "type": "Point", "coordinates": [5.25, 51.5, 12.5] }),
        json!({ "type": "LineString", "coordinates": [[5, 51], [5.5, 51.25]] }),
        json!({ "type": "Polygon", "coordinates": [
            [[5, 51], [6, 51], [6, 52], [5, 52], [5, 51]],
            [[5.25, 51.25], [5.25, 51.5], [5.5, 51.5], [5.5, 51.25], [5.25, 51.25]],
        ] }),
        json!({ "type": "MultiPoint", "coordinates": [[5, 51], [6, 52]] }),
        json!({ "type": "MultiPolygon", "coordinates": [
            [[[5, 51], [6, 51], [6, 52], [5, 51]]],
            [[[7, 51], [8, 51], [8, 52], [7, 51]]],
        ] }),
    ];
    round_trip(bench, "geometry", bench.scribe.geojson(), &geometries).await
}

async fn feature_as_location(bench: &Bench<'_>) -> Check {
    let feature = json!({
        "type": "Feature",
        "properties": { "floor": 3 },
        "geometry": { "type": "Point", "coordinates": [5.5, 51.5] },
    });
    round_trip(bench, "feature", bench.scribe.geojson(), &[feature]).await
}

async fn geojson(bench: &Bench<'_>) -> Check {
    let point = json!({ "type": "Point", "coordinates": [5.5, 51.5] });
    round_trip(bench, "geojson", "application/geo+json", &[point]).await
}

/// Posts Locations and compares what comes back.
async fn round_trip(bench: &Bench<'_>, label: &str, encoding: &str, sent: &[Value]) -> Check {
    for geometry in sent {
        let mut body = location(&bench.scribe, label, geometry);
        body["encodingType"] = json!(encoding);
        let own = bench.scribe.post("Locations", &body).await?;
        let got = bench.read(&own.path).await?;
        same(
            "encodingType",
            &body["encodingType"],
            member(&got, "encodingType")?,
        )?;
        same("location", geometry, member(&got, "location")?)?;
    }
    Ok(())
}

async fn unit_with_nulls(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("no unit").await?;
    let unit = json!({ "name": null, "symbol": null, "definition": null });
    let body = json!({
        "name": bench.scribe.name("no unit at all"),
        "description": "a truth value has no unit",
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_TruthObservation",
        "unitOfMeasurement": unit,
        "Thing": station.thing.reference(),
        "Sensor": bench.own.sensor()?.reference(),
        "ObservedProperty": bench.own.property()?.reference(),
    });
    let own = bench.scribe.post("Datastreams", &body).await?;
    let got = bench.read(&own.path).await?;
    same(
        "unitOfMeasurement",
        &unit,
        member(&got, "unitOfMeasurement")?,
    )
}

async fn metadata(bench: &Bench<'_>) -> Check {
    for (encoding, metadata) in [
        ("application/pdf", "https://example.org/a.pdf"),
        (
            "http://www.opengis.net/doc/IS/SensorML/2.0",
            "<sml:PhysicalSystem/>",
        ),
        ("text/html", "a \"quoted\" word & more"),
    ] {
        let mut body = sensor(&bench.scribe, "metadata");
        body["encodingType"] = json!(encoding);
        body["metadata"] = json!(metadata);
        let own = bench.scribe.post("Sensors", &body).await?;
        let got = bench.read(&own.path).await?;
        same(
            "encodingType",
            &body["encodingType"],
            member(&got, "encodingType")?,
        )?;
        same("metadata", &body["metadata"], member(&got, "metadata")?)?;
    }
    Ok(())
}

async fn letters(bench: &Bench<'_>) -> Check {
    let text = "Ünïcödé 漢字 🌡 \"quotes\" 'single' \\ / \n and a tab\t.";
    let body = json!({ "name": bench.scribe.name(text), "description": text });
    let own = bench.scribe.post("Things", &body).await?;
    let got = bench.read(&own.path).await?;
    same("name", &body["name"], member(&got, "name")?)?;
    same(
        "description",
        &body["description"],
        member(&got, "description")?,
    )
}

async fn datastream_times(bench: &Bench<'_>) -> Check {
    bench.number("7").await?;
    let stream = bench.own.datastream("numbers")?;
    let got = bench.read(&stream.path).await?;
    let mut shown = 0;
    for (name, span) in [
        (
            "phenomenonTime",
            "2021-01-01T00:00:00Z/2022-12-25T08:00:00Z",
        ),
        ("resultTime", "2021-01-01T00:00:10Z/2022-07-04T18:45:25Z"),
    ] {
        match got.get(name) {
            None | Some(Value::Null) => {}
            Some(time) => {
                shown += 1;
                same_times(name, &json!(span), time)?;
            }
        }
    }
    if shown == 0 {
        return Err(skip("the server shows neither; both are optional"));
    }
    Ok(())
}

async fn observed_area(bench: &Bench<'_>) -> Check {
    bench.number("7").await?;
    let stream = bench.own.datastream("numbers")?;
    let got = bench.read(&stream.path).await?;
    let area = match got.get("observedArea") {
        None | Some(Value::Null) => return Err(skip("the server shows none; it is optional")),
        Some(area) => area,
    };
    ensure(area.get("type").is_some(), || {
        format!("no geometry: {area}")
    })?;
    let mut numbers = Vec::new();
    coordinates(area, &mut numbers);
    let near = |wanted: f64| numbers.iter().any(|&number| (number - wanted).abs() < 0.1);
    ensure(near(9.0) && near(50.0), || {
        format!("the feature at 9 50 is not within {area}")
    })
}

/// All numbers in the coordinates of a geometry.
fn coordinates(value: &Value, into: &mut Vec<f64>) {
    match value {
        Value::Number(number) => into.extend(number.as_f64()),
        Value::Array(list) => list.iter().for_each(|part| coordinates(part, into)),
        Value::Object(object) => object.values().for_each(|part| coordinates(part, into)),
        _ => {}
    }
}

async fn historical_location(bench: &Bench<'_>) -> Check {
    let alpha = bench.own.thing("alpha")?;
    let path = format!("{}/HistoricalLocations", alpha.path);
    let answer = bench.client.get(&path).await?.ok()?;
    let list = answer.list()?;
    let first = list.first().ok_or_else(|| {
        answer.fault("a HistoricalLocation was expected, since the Thing was made with a Location")
    })?;
    let path = format!("HistoricalLocations({})", key_of(member(first, "@iot.id")?));
    let thing = bench.read(&format!("{path}/Thing")).await?;
    same("Thing", &alpha.id(), member(&thing, "@iot.id")?)?;
    let places = bench.list(&format!("{path}/Locations"), &[]).await?;
    let harbour = bench.own.location("harbour")?.id();
    let found = places
        .iter()
        .any(|place| place.get("@iot.id") == Some(&harbour));
    ensure(found, || {
        format!("{path}/Locations lacks the Location of the Thing")
    })
}

impl Bench<'_> {
    /// Ends the case unless an Observation of *numbers* was made.
    pub(super) async fn number(&self, label: &str) -> Check {
        self.there(&self.own.number(label)?.path).await
    }
}

/// The kind of a set.
pub(super) fn kind(set: &str) -> Check<&'static Kind> {
    KINDS
        .iter()
        .find(|kind| kind.set == set)
        .ok_or_else(|| fault(format!("no set {set}")))
}
