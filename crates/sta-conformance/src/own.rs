//! The data of a run: made at its beginning, named with its mark, and removed at its end.
//!
//! | Thing | Location | Datastreams |
//! |---|---|---|
//! | alpha | harbour, a point | numbers ([`NUMBERS`]), words ([`WORDS`]) |
//! | beta | field, a polygon | spans ([`SPANS`]) |
//! | gamma | road, a line | |
//!
//! Things are made by deep inserts, or piece by piece where the server does not take those. Where it refuses the first
//! because of who asks, all cases that need data are skipped. Where it fails in another way they fail, since a server
//! that cannot be written to must say so.

use serde_json::{Value, json};

use crate::bench::Scribe;
use crate::outcome::{Check, Stop};

/// Something that was made, or why it was not.
type Made<T> = Check<T>;

/// An entity of this run.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// What cases call it.
    pub(crate) label: String,
    /// Set and key, as in paths: `Things(1)`.
    pub(crate) path: String,
}

impl Own {
    /// The key as it stands in paths and filters: `1` or `'a'`.
    pub(crate) fn key(&self) -> &str {
        let inner = self.path.split_once('(').map_or("", |(_, rest)| rest);
        inner.strip_suffix(')').unwrap_or(inner)
    }

    /// The identifier as it stands in JSON.
    pub(crate) fn id(&self) -> Value {
        id_of(self.key())
    }

    /// A reference to it, for bodies.
    pub(crate) fn reference(&self) -> Value {
        json!({ "@iot.id": self.id() })
    }
}

/// The identifier that a key stands for.
pub(crate) fn id_of(key: &str) -> Value {
    if let Some(text) = key.strip_prefix('\'').and_then(|k| k.strip_suffix('\'')) {
        return Value::from(text.replace("''", "'"));
    }
    key.parse::<i64>().map_or_else(|_| key.into(), Value::from)
}

/// The key that an identifier has in paths.
pub(crate) fn key_of(id: &Value) -> String {
    match id {
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    }
}

/// Results of the Datastream *numbers*: label, `phenomenonTime`, `resultTime`.
pub(crate) const NUMBERS: [(&str, &str, Option<&str>); 8] = [
    ("-3.6", "2021-01-01T00:00:00Z", Some("2021-01-01T00:00:10Z")),
    ("0", "2021-01-15T06:30:00Z", Some("2021-01-15T06:30:10Z")),
    ("1", "2021-02-28T23:59:59Z", Some("2021-03-01T00:00:09Z")),
    (
        "2.4",
        "2021-06-30T12:15:30.250Z",
        Some("2021-06-30T12:15:40Z"),
    ),
    ("10", "2021-12-31T23:00:00Z", Some("2021-12-31T23:00:10Z")),
    ("20.7", "2022-01-01T00:00:00Z", Some("2022-01-01T00:00:10Z")),
    ("100", "2022-07-04T18:45:15Z", Some("2022-07-04T18:45:25Z")),
    ("7", "2022-12-25T08:00:00Z", None),
];

/// Results of the Datastream *words*, in the order of their times, an hour apart.
pub(crate) const WORDS: [&str; 8] = [
    "clear",
    "rain",
    "Rain",
    "it's wet",
    "snow & ice",
    "zon + wolken",
    "100% fog",
    "überfroren",
];

/// Observations of the Datastream *spans*: label and `phenomenonTime`.
pub(crate) const SPANS: [(&str, &str); 4] = [
    ("a", "2021-01-01T00:00:00Z/2021-01-02T00:00:00Z"),
    ("b", "2021-01-02T00:00:00Z/2021-01-03T00:00:00Z"),
    ("c", "2021-01-01T12:00:00Z/2021-01-02T12:00:00Z"),
    ("d", "2021-01-01T00:00:00Z/2021-01-04T00:00:00Z"),
];

/// The data of a run.
#[derive(Debug)]
pub(crate) struct Station {
    /// Things, by the labels alpha, beta, gamma.
    pub(crate) things: Made<Vec<Own>>,
    /// Locations, by the labels harbour, field, road.
    pub(crate) locations: Made<Vec<Own>>,
    /// Datastreams, by the labels numbers, words, spans.
    pub(crate) datastreams: Made<Vec<Own>>,
    /// The Sensor of *numbers* and *words*.
    pub(crate) sensor: Made<Own>,
    /// The ObservedProperty of *numbers*.
    pub(crate) property: Made<Own>,
    /// The FeatureOfInterest of all Observations.
    pub(crate) feature: Made<Own>,
    /// Observations of *numbers*, labelled with their results.
    pub(crate) numbers: Made<Vec<Own>>,
    /// Observations of *words*, labelled with their results.
    pub(crate) words: Made<Vec<Own>>,
    /// Observations of *spans*.
    pub(crate) spans: Made<Vec<Own>>,
}

impl Station {
    /// A run without data of its own, for this reason.
    pub(crate) fn none(why: &Stop) -> Self {
        let no = || Err(why.clone());
        Self {
            things: Err(why.clone()),
            locations: Err(why.clone()),
            datastreams: Err(why.clone()),
            sensor: no(),
            property: no(),
            feature: no(),
            numbers: Err(why.clone()),
            words: Err(why.clone()),
            spans: Err(why.clone()),
        }
    }

    /// Makes the data.
    pub(crate) async fn make(scribe: &Scribe<'_>) -> Self {
        let alpha = match alpha(scribe).await {
            Ok(alpha) => alpha,
            Err(why) => return Self::none(&why),
        };
        let mut station = Self::none(&Stop::Skip("not made".to_owned()));
        station.things = rest_of_things(scribe, alpha).await;
        station.find_parts(scribe).await;
        station.observe(scribe).await;
        station
    }

    /// One of the Things.
    pub(crate) fn thing(&self, label: &str) -> Check<&Own> {
        one(&self.things, label)
    }

    /// One of the Locations.
    pub(crate) fn location(&self, label: &str) -> Check<&Own> {
        one(&self.locations, label)
    }

    /// One of the Datastreams.
    pub(crate) fn datastream(&self, label: &str) -> Check<&Own> {
        one(&self.datastreams, label)
    }

    /// The observed property of *numbers*.
    pub(crate) fn property(&self) -> Check<&Own> {
        self.property.as_ref().map_err(unmade)
    }

    /// The sensor of *numbers*.
    pub(crate) fn sensor(&self) -> Check<&Own> {
        self.sensor.as_ref().map_err(unmade)
    }

    /// The feature of all Observations.
    pub(crate) fn feature(&self) -> Check<&Own> {
        self.feature.as_ref().map_err(unmade)
    }

    /// The Observation of *numbers* with a result.
    pub(crate) fn number(&self, label: &str) -> Check<&Own> {
        one(&self.numbers, label)
    }

    /// An entity of a set.
    pub(crate) fn any(&self, set: &str) -> Option<&Own> {
        match set {
            "Things" => self.thing("alpha").ok(),
            "Locations" => self.location("harbour").ok(),
            "Datastreams" => self.datastream("numbers").ok(),
            "Sensors" => self.sensor().ok(),
            "ObservedProperties" => self.property().ok(),
            "FeaturesOfInterest" => self.feature().ok(),
            "Observations" => self.number("-3.6").ok(),
            _ => None,
        }
    }

    /// Finds what the deep inserts made beside the Things.
    async fn find_parts(&mut self, scribe: &Scribe<'_>) {
        self.locations = match &self.things {
            Ok(things) => parts(scribe, things, "Locations").await,
            Err(why) => Err(why.clone()),
        };
        self.datastreams = match &self.things {
            Ok(things) => parts(scribe, things, "Datastreams").await,
            Err(why) => Err(why.clone()),
        };
        let numbers = self.datastream("numbers").cloned();
        (self.sensor, self.property) = match numbers {
            Ok(numbers) => (
                part(scribe, &numbers, "Sensor", "Sensors").await,
                part(scribe, &numbers, "ObservedProperty", "ObservedProperties").await,
            ),
            Err(why) => (Err(why.clone()), Err(why)),
        };
    }

    /// Posts the feature and the Observations.
    async fn observe(&mut self, scribe: &Scribe<'_>) {
        let body = json!({
            "name": scribe.name("spot"),
            "description": "where all observations of the run are made",
            "encodingType": scribe.geojson(),
            "feature": { "type": "Point", "coordinates": [9, 50] },
        });
        self.feature = scribe.post("FeaturesOfInterest", &body).await;
        let feature = match &self.feature {
            Ok(feature) => feature.reference(),
            Err(why) => {
                self.numbers = Err(why.clone());
                self.words = Err(why.clone());
                self.spans = Err(why.clone());
                return;
            }
        };
        self.numbers = match self.datastream("numbers") {
            Ok(stream) => observations(scribe, stream, numbers(&feature)).await,
            Err(why) => Err(why),
        };
        self.words = match self.datastream("words") {
            Ok(stream) => observations(scribe, stream, words(&feature)).await,
            Err(why) => Err(why),
        };
        self.spans = match self.datastream("spans") {
            Ok(stream) => observations(scribe, stream, spans(&feature)).await,
            Err(why) => Err(why),
        };
    }
}

/// Why data of the run are missing, said so that it is not taken for the fault of a case.
pub(crate) fn unmade(why: &Stop) -> Stop {
    match why {
        Stop::Fault(fault) => {
            let mut fault = fault.clone();
            fault.what = format!("the data of the run could not be made: {}", fault.what);
            Stop::Fault(fault)
        }
        Stop::Skip(why) => Stop::Skip(why.clone()),
    }
}

/// The entity with a label.
fn one<'a>(made: &'a Made<Vec<Own>>, label: &str) -> Check<&'a Own> {
    match made {
        Ok(list) => list
            .iter()
            .find(|own| own.label == label)
            .ok_or_else(|| crate::outcome::fault(format!("the entity {label} was not found"))),
        Err(why) => Err(unmade(why)),
    }
}

/// A Datastream for a deep insert.
pub(crate) fn datastream(scribe: &Scribe<'_>, label: &str, sensor: &Value, of: &Value) -> Value {
    json!({
        "name": scribe.name(label),
        "description": format!("the datastream {label} of a conformance run"),
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Observation",
        "unitOfMeasurement": {
            "name": "degree Celsius",
            "symbol": "degC",
            "definition": "http://www.qudt.org/qudt/owl/1.0.0/unit/Instances.html#DegreeCelsius",
        },
        "Sensor": sensor,
        "ObservedProperty": of,
    })
}

/// A Sensor for a deep insert.
pub(crate) fn sensor(scribe: &Scribe<'_>, label: &str) -> Value {
    json!({
        "name": scribe.name(label),
        "description": format!("the sensor {label} of a conformance run"),
        "encodingType": "application/pdf",
        "metadata": "https://example.org/sensor.pdf",
    })
}

/// An ObservedProperty for a deep insert.
pub(crate) fn observed_property(scribe: &Scribe<'_>, label: &str) -> Value {
    json!({
        "name": scribe.name(label),
        "description": format!("the property {label} of a conformance run"),
        "definition": format!("https://example.org/property/{label}"),
    })
}

/// A Location for a deep insert.
pub(crate) fn location(scribe: &Scribe<'_>, label: &str, geometry: &Value) -> Value {
    json!({
        "name": scribe.name(label),
        "description": format!("the location {label} of a conformance run"),
        "encodingType": scribe.geojson(),
        "location": geometry,
    })
}

/// Thing *alpha* with everything that hangs on it.
async fn alpha(scribe: &Scribe<'_>) -> Check<Own> {
    let harbour = json!({ "type": "Point", "coordinates": [8, 52] });
    let mut words = datastream(
        scribe,
        "words",
        &sensor(scribe, "eye"),
        &observed_property(scribe, "weather"),
    );
    words["unitOfMeasurement"] = json!({ "name": "none", "symbol": "none", "definition": "none" });
    let body = json!({
        "name": scribe.name("alpha"),
        "description": "the first thing",
        "properties": { "level": 1, "nested": { "colour": "red" }, "words": ["one", "two"] },
        "Locations": [location(scribe, "harbour", &harbour)],
        "Datastreams": [
            datastream(
                scribe,
                "numbers",
                &sensor(scribe, "thermometer"),
                &observed_property(scribe, "temperature"),
            ),
            words,
        ],
    });
    let mut alpha = scribe.station(&body).await?;
    "alpha".clone_into(&mut alpha.label);
    Ok(alpha)
}

/// Things *beta* and *gamma*, behind *alpha*.
async fn rest_of_things(scribe: &Scribe<'_>, alpha: Own) -> Made<Vec<Own>> {
    let ring = json!([[9, 50], [11, 50], [11, 51], [9, 51], [9, 50]]);
    let field = json!({ "type": "Polygon", "coordinates": [ring] });
    let beta = json!({
        "name": scribe.name("beta"),
        "description": "the second thing",
        "properties": { "level": 2, "nested": { "colour": "blue" } },
        "Locations": [location(scribe, "field", &field)],
        "Datastreams": [datastream(
            scribe,
            "spans",
            &sensor(scribe, "clock"),
            &observed_property(scribe, "duration"),
        )],
    });
    let road = json!({ "type": "LineString", "coordinates": [[8, 53], [10, 53]] });
    let gamma = json!({
        "name": scribe.name("gamma"),
        "description": "  padded  ",
        "properties": { "level": 3 },
        "Locations": [location(scribe, "road", &road)],
    });
    let mut things = vec![alpha];
    for (label, body) in [("beta", beta), ("gamma", gamma)] {
        let mut thing = scribe.station(&body).await?;
        label.clone_into(&mut thing.label);
        things.push(thing);
    }
    Ok(things)
}

/// What is behind a navigation of the Things, labelled with the end of its name.
async fn parts(scribe: &Scribe<'_>, things: &[Own], set: &str) -> Made<Vec<Own>> {
    let mut found = Vec::new();
    for thing in things {
        let answer = scribe.client.get(&format!("{}/{set}", thing.path)).await?;
        for entity in answer.ok()?.list()? {
            found.push(scribe.own(set, &entity)?);
        }
    }
    Ok(found)
}

/// What is behind a navigation to one.
async fn part(scribe: &Scribe<'_>, from: &Own, name: &str, set: &str) -> Made<Own> {
    let answer = scribe.client.get(&format!("{}/{name}", from.path)).await?;
    scribe.own(set, &answer.ok()?.value()?)
}

/// Posts Observations one by one to a Datastream.
async fn observations(
    scribe: &Scribe<'_>,
    stream: &Own,
    bodies: Vec<(&str, Value)>,
) -> Made<Vec<Own>> {
    let mut made = Vec::new();
    for (label, mut body) in bodies {
        body["Datastream"] = stream.reference();
        let mut own = scribe.post("Observations", &body).await?;
        label.clone_into(&mut own.label);
        made.push(own);
    }
    Ok(made)
}

/// The bodies of [`NUMBERS`].
fn numbers(feature: &Value) -> Vec<(&'static str, Value)> {
    let body =
        |(number, (label, time, result_time)): (usize, &(&'static str, &str, Option<&str>))| {
            let result: Value = serde_json::from_str(label).unwrap_or_default();
            let mut body = json!({
                "phenomenonTime": time,
                "result": result,
                "parameters": { "run": number },
                "FeatureOfInterest": feature,
            });
            if let Some(result_time) = result_time {
                body["resultTime"] = json!(result_time);
            }
            (*label, body)
        };
    NUMBERS.iter().enumerate().map(body).collect()
}

/// The bodies of [`WORDS`].
fn words(feature: &Value) -> Vec<(&'static str, Value)> {
    let body = |(hour, word): (usize, &&'static str)| {
        let time = format!("2021-05-01T{hour:02}:00:00Z");
        let body = json!({
            "phenomenonTime": time,
            "resultTime": time,
            "result": word,
            "FeatureOfInterest": feature,
        });
        (*word, body)
    };
    WORDS.iter().enumerate().map(body).collect()
}

/// The bodies of [`SPANS`].
fn spans(feature: &Value) -> Vec<(&'static str, Value)> {
    let body = |(label, time): &(&'static str, &str)| {
        let body = json!({
            "phenomenonTime": time,
            "resultTime": "2021-01-05T00:00:00Z",
            "result": 1,
            "FeatureOfInterest": feature,
        });
        (*label, body)
    };
    SPANS.iter().map(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_identifiers_are_two_faces_of_one() {
        for (key, id) in [
            ("12", json!(12)),
            ("'a''b'", json!("a'b")),
            ("'12'", json!("12")),
        ] {
            assert_eq!(id_of(key), id);
            assert_eq!(key_of(&id), key);
        }
    }

    #[test]
    fn labels_of_numbers_are_their_results() {
        for (label, body) in numbers(&json!({})) {
            assert_eq!(body["result"].to_string(), label);
        }
    }
}
