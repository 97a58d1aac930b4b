//! The documents of `smartem refine` (R1): a request in, the output of R10.6 out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;
use smartem_model::raw::RawRecord;
use smartem_model::{Position, Quarantine, QuarantineReason};

use crate::definition::{Catalogue, Definition};
use crate::explain;
use crate::gas::{Model, ModelError, ModelSet};
use crate::refine::{Refined, StationFacts, refine};

/// A request that cannot be answered at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The text is no JSON.
    #[error("the request is not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// A model is not usable.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model file could not be read.
    #[error("the model for `{gas}` cannot be read from `{path}`: {problem}")]
    ModelFile {
        /// The gas it was given for.
        gas: String,
        /// The path as the request gives it.
        path: String,
        /// What went wrong.
        problem: String,
    },
    /// A member of the request has the wrong type.
    #[error("`{member}` of the request must be {expected}")]
    Member {
        /// Which.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// What becomes of the record of a request.
#[derive(Debug)]
pub struct Answer {
    /// The output (R10.6).
    pub refined: Refined,
    /// The record and its definition, as far as it could be read.
    subject: Option<(RawRecord, Arc<Definition>)>,
}

impl Answer {
    /// The output in words: which inputs, which rule rejected what, and which model and version
    /// gave each value.
    pub fn explanation(&self) -> String {
        match &self.subject {
            Some((record, definition)) => explain::explain(record, definition, &self.refined),
            None => explain::explain_quarantined(&self.refined),
        }
    }
}

/// Answers a request, a raw record or a Whale hour given as JSON text.
///
/// `read_model` reads the model file that a request names by path.
pub fn answer(
    text: &str,
    catalogue: &Catalogue,
    read_model: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Answer, RequestError> {
    let whole: &RawValue = serde_json::from_str(text)?;
    let request = Request::of(text).filter(|request| request.0.contains_key("input"));
    let Some(request) = request else {
        let (models, facts) = (ModelSet::default(), StationFacts::default());
        return Ok(answer_record(
            whole.get(),
            catalogue,
            &models,
            &Value::Null,
            &facts,
            None,
        ));
    };
    let indicators = names(&request.value("indicators"))?;
    let models = models(request.0.get("models").copied(), catalogue, read_model)?;
    let facts = station_facts(&request.value("station"));
    let input = request.0.get("input").map_or("null", |input| input.get());
    let state = request.value("state");
    Ok(answer_record(
        input,
        catalogue,
        &models,
        &state,
        &facts,
        indicators.as_deref(),
    ))
}

/// The members of a request, not yet read.
struct Request<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Request<'a> {
    fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// A member as a value; null when absent.
    fn value(&self, member: &str) -> Value {
        self.0
            .get(member)
            .map_or(Value::Null, |json| lenient(json, MEMBER_DEPTH))
    }
}

/// Members of a request are no deeper than this; what lies below is not read.
const MEMBER_DEPTH: usize = 6;

/// Reads a value; what cannot be held, such as a number beyond f64, becomes null by itself.
fn lenient(json: &RawValue, depth: usize) -> Value {
    if let Ok(value) = serde_json::from_str(json.get()) {
        return value;
    }
    if depth == 0 {
        return Value::Null;
    }
    if let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json.get()) {
        let read = |(key, value): (String, &RawValue)| (key, lenient(value, depth - 1));
        return Value::Object(members.into_iter().map(read).collect());
    }
    match serde_json::from_str::<Vec<&RawValue>>(json.get()) {
        Ok(list) => list
            .into_iter()
            .map(|value| lenient(value, depth - 1))
            .collect(),
        Err(_) => Value::Null,
    }
}

fn answer_record(
    text: &str,
    catalogue: &Catalogue,
    models: &ModelSet,
    state: &Value,
    station: &StationFacts,
    indicators: Option<&[String]>,
) -> Answer {
    let set_aside = |quarantine: Quarantine| Answer {
        refined: Refined::quarantined(quarantine, state),
        subject: None,
    };
    let record = match RawRecord::from_json(text, &|station_type| catalogue.knows(station_type)) {
        Ok(record) => record,
        Err(quarantine) => return set_aside(quarantine),
    };
    let Some(definition) = catalogue.get(&record.station_type).cloned() else {
        let detail = format!("no definition for `{}`", record.station_type);
        return set_aside(Quarantine::new(QuarantineReason::UnknownDeviceType, detail));
    };
    let refined = refine(&record, &definition, models, state, station, indicators);
    Answer {
        refined,
        subject: Some((record, definition)),
    }
}

fn names(indicators: &Value) -> Result<Option<Vec<String>>, RequestError> {
    match indicators {
        Value::Null => Ok(None),
        Value::Array(list) => Ok(Some(
            list.iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        )),
        _ => Err(RequestError::Member {
            member: "indicators",
            expected: "a list of names",
        }),
    }
}

fn models(
    given: Option<&RawValue>,
    catalogue: &Catalogue,
    read_model: &dyn Fn(&str) -> Result<String, String>,
) -> Result<ModelSet, RequestError> {
    const EXPECTED: RequestError = RequestError::Member {
        member: "models",
        expected: "an object with a model document or a path for each gas",
    };
    let mut models = ModelSet::default();
    let Some(given) = given.filter(|given| given.get() != "null") else {
        return Ok(models);
    };
    let by_gas: BTreeMap<String, &RawValue> =
        serde_json::from_str(given.get()).map_err(|_| EXPECTED)?;
    for (gas, value) in by_gas {
        if value.get() == "null" {
            continue;
        }
        let document = match serde_json::from_str::<String>(value.get()) {
            Ok(path) => read_model(&path).map_err(|problem| RequestError::ModelFile {
                gas: gas.clone(),
                path,
                problem,
            })?,
            Err(_) => value.get().to_owned(),
        };
        let definition = catalogue
            .iter()
            .find(|definition| definition.calibrates(&gas));
        let Some(definition) = definition else {
            return Err(ModelError::Refused {
                problem: "no station type has a network for this gas".to_owned(),
                gas,
            }
            .into());
        };
        models.insert(Model::from_json(&document, &gas, definition)?);
    }
    Ok(models)
}

fn station_facts(station: &Value) -> StationFacts {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    let location = station.get("location");
    let coordinate = |name: &str| number(location.and_then(|location| location.get(name)));
    StationFacts {
        position: coordinate("lon")
            .zip(coordinate("lat"))
            .and_then(|(lon, lat)| Position::horizontal(lon, lat)),
        altitude: coordinate("alt").and_then(Position::valid_altitude),
        cadence_s: number(station.get("cadence_s")),
    }
}
