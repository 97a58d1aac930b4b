//! From Things and Datastreams to stations and series.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use smartem_etl::{Batch, InputError, Run, Sink};
use smartem_model::{Hour, Quarantine, QuarantineReason, StationId, UnitConversion, UnitProblem};
use tracing::warn;

use super::api::{Api, ApiError};
use super::entities::{self, Datastream, Thing, time_of};
use super::{Ask, SensorThings, is_gone};
use crate::harvest::hours::{Series, Station};
use crate::harvest::http::FetchError;

/// What a service tells of its Things.
pub(super) struct Listed {
    pub things: Vec<Thing>,
    /// Stations of which not everything is known.
    pub incomplete: BTreeSet<StationId>,
}

impl SensorThings {
    /// All Things wanted; what of them cannot be understood is set aside.
    pub(super) async fn listed(
        &self,
        run: &Run,
        with_newest: bool,
        found: &mut Batch,
    ) -> Result<Listed, InputError> {
        let mut listed = Listed {
            things: Vec::new(),
            incomplete: BTreeSet::new(),
        };
        if !self.config.things.is_empty() {
            listed.things = self.named_things(run, with_newest, found).await?;
        }
        for entity in self.all_things(run, with_newest, found).await? {
            match entities::thing(&entity) {
                Ok(thing) => listed.things.push(thing),
                Err(detail) => {
                    let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                    let place = format!("{}#{}", Api::things_place(), entity["@iot.id"]);
                    found.set_aside(fault, &place, None, entity.to_string().into_bytes());
                }
            }
        }
        // A page that changed while it was read may hold a Thing twice.
        listed.things.sort_by(|a, b| a.id.cmp(&b.id));
        listed.things.dedup_by(|a, b| a.id == b.id);
        for thing in &listed.things {
            let place = Api::thing_place(&thing.id);
            for (i, detail, text) in &thing.strange {
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                let body = text.clone().into_bytes();
                found.set_aside(fault, &format!("{place}#{i}"), None, body);
            }
            found.understood.push(place);
        }
        Ok(listed)
    }

    /// The entities that the filter lets through, where none are named.
    async fn all_things(
        &self,
        run: &Run,
        with_newest: bool,
        found: &mut Batch,
    ) -> Result<Vec<Value>, InputError> {
        if !self.config.things.is_empty() {
            return Ok(Vec::new());
        }
        let place = Api::things_place();
        let filter = self.config.filter.as_deref();
        match self.api.things(run, filter, with_newest).await {
            Ok(entities) => {
                found.understood.push(place);
                Ok(entities)
            }
            Err(ApiError::NotUnderstood { detail, body }) => {
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                found.set_aside(fault, &place, None, body);
                Ok(Vec::new())
            }
            Err(ApiError::Fetch(error)) => Err(error.at(place)),
        }
    }

    async fn named_things(
        &self,
        run: &Run,
        with_newest: bool,
        found: &mut Batch,
    ) -> Result<Vec<Thing>, InputError> {
        let ids: Vec<String> = self.config.things.iter().map(|id| in_address(id)).collect();
        let answers = ids.iter().map(|id| self.api.thing(run, id, with_newest));
        let answers = futures::future::join_all(answers).await;
        let mut things = Vec::new();
        let mut last_failure = None;
        for (id, answer) in ids.iter().zip(answers) {
            let place = Api::thing_place(id);
            match answer.and_then(|entity| understood(&entity)) {
                Ok(thing) => {
                    found.understood.push(place);
                    things.push(thing);
                }
                Err(ApiError::NotUnderstood { detail, body }) => {
                    let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                    found.set_aside(fault, &place, None, body);
                }
                Err(ApiError::Fetch(FetchError::Interrupted)) => {
                    return Err(InputError::Interrupted);
                }
                Err(ApiError::Fetch(error)) => {
                    let source = &self.origin.source;
                    warn!(source, place, %error, "Thing left for the next run");
                    run.counters.add("stations_unreachable", 1);
                    last_failure = (!is_gone(&error)).then(|| error.at(place)).or(last_failure);
                }
            }
        }
        match last_failure {
            Some(error) if things.is_empty() && found.is_empty() => Err(error),
            _ => Ok(things),
        }
    }

    /// The stations of these Things.
    pub(super) fn stations(
        &self,
        run: &Run,
        listed: &mut Listed,
        found: &mut Batch,
    ) -> Vec<Station<Ask>> {
        let things = std::mem::take(&mut listed.things);
        let mut named = BTreeMap::<String, usize>::new();
        for thing in &things {
            *named.entry(thing.name.clone()).or_default() += 1;
        }
        let mut stations = Vec::new();
        for thing in things {
            let is_unique = named.get(&thing.name) == Some(&1);
            let local = if is_unique {
                &thing.name
            } else {
                thing.id.trim_matches('\'')
            };
            let Some(id) = StationId::new(&format!("{}:{local}", self.origin.network)) else {
                continue;
            };
            if !thing.strange.is_empty() {
                listed.incomplete.insert(id.clone());
            }
            let mut series = Vec::new();
            for datastream in &thing.datastreams {
                series.extend(self.series(run, &thing, datastream, &id, found));
            }
            series.sort_by(|a, b| a.key.cmp(&b.key));
            stations.push(Station {
                id,
                type_name: self.config.station_type.clone(),
                series,
            });
        }
        stations
    }

    /// A Datastream as a series, unless it is none of ours or of a unit that is not known.
    fn series(
        &self,
        run: &Run,
        thing: &Thing,
        datastream: &Datastream,
        station: &StationId,
        found: &mut Batch,
    ) -> Option<Series<Ask>> {
        let Some(key) = self.key_of(datastream) else {
            let property = datastream.property.iter().find(|text| !text.is_empty());
            let property = property.map_or("", String::as_str);
            run.counters.add_labelled("series_skipped", property, 1);
            return None;
        };
        let place = format!("/Datastreams({})", datastream.id);
        match self.conversion(datastream, &key) {
            Ok(conversion) => {
                found.understood.push(place);
                let hour = |time| Hour::containing(time);
                let instrument = datastream.sensor.as_ref().unwrap_or(&datastream.name);
                Some(Series {
                    key: datastream.id.clone(),
                    // Of a mean stamped at its end the hour before.
                    first: datastream
                        .span
                        .and_then(|(first, _)| hour(first))
                        .map(before),
                    newest: datastream.span.and_then(|(_, newest)| hour(newest)),
                    ask: Ask {
                        stream: format!("{instrument}-{}", datastream.id.trim_matches('\'')),
                        datastream: datastream.clone(),
                        key,
                        conversion,
                        position: thing.position,
                    },
                })
            }
            Err(problem) => {
                let detail = format!(
                    "Datastream {} ({}): {problem}; its values cannot be given as `{key}`",
                    datastream.id, datastream.name
                );
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                let body = json!({
                    "@iot.id": datastream.id, "name": datastream.name, "symbol": datastream.unit,
                });
                let body = body.to_string().into_bytes();
                found.set_aside(fault, &place, Some(station.clone()), body);
                None
            }
        }
    }

    fn key_of(&self, datastream: &Datastream) -> Option<String> {
        let own = |property: &String| {
            let mut all = self.config.observed_properties.iter();
            all.find(|(name, _)| name.eq_ignore_ascii_case(property))
                .map(|(_, key)| key.clone())
        };
        let properties = || datastream.property.iter().filter(|text| !text.is_empty());
        properties().find_map(own).or_else(|| {
            properties()
                .find_map(|property| entities::indicator_of(property))
                .map(str::to_owned)
        })
    }

    /// To the unit of the indicator; the values of a key that is none stay as they are.
    fn conversion(
        &self,
        datastream: &Datastream,
        key: &str,
    ) -> Result<UnitConversion, UnitProblem> {
        match self.units.get(key) {
            Some(unit) => UnitConversion::between(&datastream.unit, unit, key),
            None => Ok(UnitConversion::NONE),
        }
    }

    /// Asks for the first Observation of Datastreams that do not tell where they begin, once.
    pub(super) async fn find_firsts(
        &self,
        run: &Run,
        stations: &mut [Station<Ask>],
        incomplete: &mut BTreeSet<StationId>,
        found: &mut Batch,
        sink: &Sink<'_>,
    ) -> Result<(), InputError> {
        let store = sink.store();
        let known = store.checkpoints(&run.process, &self.origin.source).await?;
        for station in stations.iter_mut() {
            let unknown = |series: &Series<Ask>| {
                series.first.is_none()
                    && (run.replay.is_some() || !known.contains_key(&series.key))
                    && self.config.since.is_none()
            };
            let asked = station.series.iter().filter(|series| unknown(series));
            let asked = asked.map(|series| async {
                let first = self.api.first(run, &series.ask.datastream).await;
                (series.key.clone(), first)
            });
            let answers = futures::future::join_all(asked).await;
            for (key, answer) in answers {
                let first = match answer {
                    Ok(first) => first.as_ref().and_then(first_hour),
                    Err(ApiError::Fetch(FetchError::Interrupted)) => {
                        return Err(InputError::Interrupted);
                    }
                    Err(ApiError::NotUnderstood { detail, body }) => {
                        let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                        let place = Api::observations_place(&key);
                        found.set_aside(fault, &place, Some(station.id.clone()), body);
                        incomplete.insert(station.id.clone());
                        None
                    }
                    Err(ApiError::Fetch(error)) => {
                        let source = &self.origin.source;
                        warn!(
                            source,
                            datastream = key,
                            %error,
                            "series left for the next run"
                        );
                        run.counters.add("series_unreachable", 1);
                        incomplete.insert(station.id.clone());
                        None
                    }
                };
                match first {
                    Some(first) => {
                        let mut all = station.series.iter_mut();
                        if let Some(series) = all.find(|series| series.key == key) {
                            series.first = Some(before(first));
                        }
                    }
                    // Nothing yet.
                    None => station.series.retain(|series| series.key != key),
                }
            }
        }
        Ok(())
    }
}

fn first_hour(entity: &Value) -> Option<Hour> {
    Hour::containing(time_of(entity)?)
}

fn understood(entity: &Value) -> Result<Thing, ApiError> {
    entities::thing(entity).map_err(|detail| ApiError::NotUnderstood {
        detail,
        body: entity.to_string().into_bytes(),
    })
}

fn before(hour: Hour) -> Hour {
    Hour::from_index(hour.index() - 1).unwrap_or(hour)
}

/// An id of the settings as it stands in an address.
fn in_address(id: &str) -> String {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_digit()) || id.starts_with('\'');
    if is_plain {
        id.to_owned()
    } else {
        format!("'{}'", id.replace('\'', "''"))
    }
}
