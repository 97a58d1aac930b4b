//! The refiner: one raw record in, its observations out.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use smartem_model::raw::{RawRecord, RecordTime};
use smartem_model::{
    Example, Flag, Observation, Period, Position, PositionSource, Quality, Quarantine,
    QuarantineReason, RejectReason, Rejection,
};

use crate::definition::{Bounds, Definition, IndicatorDefinition, Input, Rule, Step};
use crate::gas::{self, ModelSet, Smoothing};
use crate::location;
use crate::noise::{self, outside};
use crate::prepare::{Prepared, Reading};
use crate::state::State;
use crate::tally::{Cause, Tally};

/// What is known of a station beside its record (R1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StationFacts {
    /// Its known position; serves when the record tells none.
    pub position: Option<Position>,
    /// Its known altitude in metres.
    pub altitude: Option<f64>,
    /// Expected seconds between two samples; coverage is only given where this is known.
    pub cadence_s: Option<f64>,
}

/// What the refiner makes of one raw record (R10.6).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refined {
    /// One for each indicator and sensor with an accepted sample.
    pub observations: Vec<Observation>,
    /// What was refused and why.
    pub rejected: Vec<Rejection>,
    /// For the station's next hour.
    pub state: Value,
    /// Set when the whole record was set aside; then there are no observations and rejections.
    pub quarantine: Option<Quarantine>,
    /// Where the record was measured, and who says so.
    #[serde(skip)]
    pub located: Option<Located>,
}

/// The location of a record and its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Located {
    /// Position with altitude.
    pub position: Position,
    /// The source of the horizontal position.
    pub source: PositionSource,
    /// Whether the altitude is the one known of the station, not one of the record.
    pub altitude_of_station: bool,
}

impl Refined {
    /// A record set aside; its state is returned as given (R2.5).
    pub fn quarantined(quarantine: Quarantine, state: &Value) -> Self {
        let state = if state.is_object() {
            state.clone()
        } else {
            Value::Object(<_>::default())
        };
        Self {
            observations: Vec::new(),
            rejected: Vec::new(),
            state,
            quarantine: Some(quarantine),
            located: None,
        }
    }
}

/// Coverage below this share of the hour is flagged (R10.5).
const LOW_COVERAGE: f64 = 0.75;

/// Refines one raw record of the station type that `definition` describes.
///
/// `state` is what the station's hour before handed on, or null; `indicators` names what to
/// report (`None`: all) and has no influence on values. Nothing is changed in place.
pub fn refine(
    record: &RawRecord,
    definition: &Definition,
    models: &ModelSet,
    state: &Value,
    station: &StationFacts,
    indicators: Option<&[String]>,
) -> Refined {
    let prepared = Prepared::new(record, definition);
    let readings: Vec<Vec<Reading>> = definition
        .keys
        .iter()
        .map(|key| prepared.readings(key))
        .collect();
    let has_smoothing = definition
        .network_inputs
        .iter()
        .any(|input| input.smoothing.is_some());
    let given = State::from_json(state, has_smoothing);
    let smoothing = Smoothing::new(definition, &prepared, &readings, &given);
    let (fix, sample_altitude) = location::from_samples(&prepared, &definition.location);
    let located = location::choose(fix, record.point, station.position);
    let own_altitude = sample_altitude.or(record.altitude);
    let altitude = own_altitude.or(station.altitude);
    let run = Run {
        record,
        definition,
        models,
        station,
        prepared: &prepared,
        readings: &readings,
        smoothing: &smoothing,
        located: located.map(|(position, source)| Located {
            position: Position {
                alt: altitude,
                ..position
            },
            source,
            altitude_of_station: own_altitude.is_none() && station.altitude.is_some(),
        }),
    };
    let mut observations = Vec::new();
    let mut rejected = prepared.rejected.clone();
    for indicator in &definition.indicators {
        let is_wanted = indicators.is_none_or(|names| names.iter().any(|n| **n == *indicator.name));
        if !is_wanted {
            continue;
        }
        for outcome in run.evaluate(indicator) {
            rejected.extend(run.rejections(indicator, &outcome));
            if outcome.tally.accepted > 0 {
                let Some(located) = run.located else {
                    let detail = "no sample has a position, nor has the record, and the station's is not known";
                    let quarantine = Quarantine::new(QuarantineReason::NoLocation, detail);
                    return Refined::quarantined(quarantine, state);
                };
                observations.push(run.observation(indicator, outcome, located));
            }
        }
    }
    let handed_on = match record.time {
        RecordTime::Hour(_) => &run.smoothing.state,
        // Looking at the same last value again must change nothing (R11.3).
        RecordTime::Snapshot(_) => &given,
    };
    Refined {
        observations,
        rejected,
        state: handed_on.to_json(),
        quarantine: None,
        located: run.located,
    }
}

struct Run<'a> {
    record: &'a RawRecord,
    definition: &'a Definition,
    models: &'a ModelSet,
    station: &'a StationFacts,
    prepared: &'a Prepared<'a>,
    readings: &'a [Vec<Reading>],
    smoothing: &'a Smoothing,
    located: Option<Located>,
}

/// What one indicator got from one instrument.
struct Outcome {
    sensor: Arc<str>,
    tally: Tally,
    value: f64,
    min: f64,
    max: f64,
    raw: Option<(f64, Arc<str>)>,
    model: Option<Arc<str>>,
    /// The indicator whose result was out of bounds, for rejections.
    judged: Arc<str>,
}

impl Run<'_> {
    fn evaluate(&self, indicator: &IndicatorDefinition) -> Vec<Outcome> {
        match &indicator.rule {
            Rule::Direct {
                input,
                steps,
                result,
            } => self.direct(indicator, input, steps, *result),
            Rule::Noise { octaves, result } => {
                let tally = noise::tally(octaves, self.readings, *result);
                let value = noise::level(tally.mean(tally.sum));
                vec![Outcome {
                    sensor: self.sensor(indicator, 0),
                    value,
                    min: tally.min,
                    max: tally.max,
                    raw: None,
                    model: None,
                    judged: indicator.name.clone(),
                    tally,
                }]
            }
            Rule::NoiseClass { of } => {
                let of = self
                    .definition
                    .indicators
                    .iter()
                    .find(|candidate| candidate.name == *of);
                of.map(|of| self.evaluate(of))
                    .unwrap_or_default()
                    .into_iter()
                    .map(Outcome::class)
                    .collect()
            }
            Rule::Network {
                model,
                primary,
                result,
            } => {
                let model = self.models.get(model);
                let tally = gas::tally(
                    self.definition,
                    model,
                    *primary,
                    *result,
                    self.readings,
                    self.smoothing,
                );
                let unit = self.definition.network_inputs[*primary].input.unit.clone();
                let model = model.map(|model| model.id.clone());
                vec![self.averaged(indicator, 0, tally, unit, model)]
            }
        }
    }

    /// A converted input: one outcome for the sensor, or one for each stream.
    fn direct(
        &self,
        indicator: &IndicatorDefinition,
        input: &Input,
        steps: &[Step],
        result: Bounds,
    ) -> Vec<Outcome> {
        let instruments = if indicator.sensor.is_some() {
            1
        } else {
            self.prepared.streams.len()
        };
        let mut tallies = vec![Tally::default(); instruments];
        for (at, reading) in self.readings[input.slot].iter().enumerate() {
            let stream = if instruments == 1 {
                0
            } else {
                self.prepared.samples[at].stream
            };
            let tally = &mut tallies[stream];
            match judge(*reading, input, steps, result) {
                None => {}
                Some(Ok((value, raw))) => tally.accept(at, value, value, raw),
                Some(Err((reason, cause))) => tally.refuse(at, reason, cause),
            }
        }
        tallies
            .into_iter()
            .enumerate()
            .map(|(stream, tally)| {
                self.averaged(indicator, stream, tally, input.unit.clone(), None)
            })
            .collect()
    }

    fn averaged(
        &self,
        indicator: &IndicatorDefinition,
        stream: usize,
        tally: Tally,
        raw_unit: Arc<str>,
        model: Option<Arc<str>>,
    ) -> Outcome {
        Outcome {
            sensor: self.sensor(indicator, stream),
            value: tally.mean(tally.sum),
            min: tally.min,
            max: tally.max,
            raw: Some((tally.mean(tally.raw_sum), raw_unit)),
            model,
            judged: indicator.name.clone(),
            tally,
        }
    }

    fn sensor(&self, indicator: &IndicatorDefinition, stream: usize) -> Arc<str> {
        let stream = || {
            self.prepared
                .streams
                .get(stream)
                .map_or("", String::as_str)
                .into()
        };
        indicator.sensor.clone().unwrap_or_else(stream)
    }

    fn rejections(&self, indicator: &IndicatorDefinition, outcome: &Outcome) -> Vec<Rejection> {
        let example = |first: usize, cause: Cause| match cause {
            Cause::Reading(slot) => self
                .prepared
                .example(first, Some(&self.definition.keys[slot])),
            Cause::Result(value) => Example {
                input: Some(outcome.judged.to_string()),
                value: value.is_finite().then(|| value.to_string()),
                ..self.prepared.example(first, None)
            },
            Cause::Nothing => self.prepared.example(first, None),
        };
        outcome
            .tally
            .refusals
            .iter()
            .map(|refusal| Rejection {
                indicator: Some(indicator.name.clone()),
                sensor: Some(outcome.sensor.clone()),
                reason: refusal.reason,
                count: refusal.count,
                example: example(refusal.first, refusal.cause),
            })
            .collect()
    }

    fn observation(
        &self,
        indicator: &IndicatorDefinition,
        outcome: Outcome,
        located: Located,
    ) -> Observation {
        let (accepted, rejected) = (outcome.tally.accepted, outcome.tally.rejected());
        let (raw, raw_unit) = outcome.raw.unzip();
        Observation {
            station: self.record.station.clone(),
            station_type: self.definition.name.clone(),
            indicator: indicator.name.clone(),
            label: indicator.label.clone(),
            unit: indicator.unit.clone(),
            phenomenon_time: self.phenomenon_time(&outcome.tally),
            value: outcome.value,
            min: outcome.min,
            max: outcome.max,
            raw,
            raw_unit,
            accepted_count: accepted,
            rejected_count: rejected,
            quality: self.quality(indicator, outcome.value, accepted, rejected, located.source),
            location: located.position,
            sensor: outcome.sensor,
            definition: self.definition.id.clone(),
            model: outcome.model,
        }
    }

    /// The hour, or for a snapshot from the oldest to the newest accepted sample (R11.1).
    fn phenomenon_time(&self, tally: &Tally) -> Period {
        match (&self.record.time, tally.span) {
            (RecordTime::Hour(hour), _) => hour.period(),
            (RecordTime::Snapshot(_), span) => {
                let (first, last) = span.unwrap_or_default();
                let time = |at: usize| self.prepared.samples[at].time.unwrap_or_default();
                Period {
                    start: time(first),
                    end: time(last),
                }
            }
        }
    }

    fn quality(
        &self,
        indicator: &IndicatorDefinition,
        value: f64,
        accepted: u64,
        rejected: u64,
        source: PositionSource,
    ) -> Quality {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a record has far fewer than 2^53 samples"
        )]
        let (accepted, all) = (accepted as f64, (accepted + rejected) as f64);
        let coverage = self
            .station
            .cadence_s
            .filter(|cadence| *cadence > 0.0 && matches!(self.record.time, RecordTime::Hour(_)))
            .map(|cadence| (accepted * cadence / 3600.0).min(1.0));
        let flags = [
            (
                Flag::BelowDetection,
                indicator.detection_limit.is_some_and(|limit| value < limit),
            ),
            (
                Flag::LowCoverage,
                coverage.is_some_and(|coverage| coverage < LOW_COVERAGE),
            ),
            (Flag::StationLocation, source == PositionSource::Station),
        ];
        let flags = flags
            .into_iter()
            .filter(|(_, is_set)| *is_set)
            .map(|(flag, _)| flag)
            .collect();
        Quality {
            fraction: accepted / all,
            coverage,
            flags,
        }
    }
}

impl Outcome {
    /// The noise level as the class of its average and extremes (R6.5).
    fn class(self) -> Self {
        Self {
            value: noise::class(self.value),
            min: noise::class(self.min),
            max: noise::class(self.max),
            ..self
        }
    }
}

/// Judges a reading: `None` when it is absent, else the value with its raw reading, or a refusal.
fn judge(
    reading: Reading,
    input: &Input,
    steps: &[Step],
    result: Bounds,
) -> Option<Result<(f64, f64), (RejectReason, Cause)>> {
    let cause = Cause::Reading(input.slot);
    let raw = match reading {
        Reading::Absent => return None,
        Reading::Conflicting => return Some(Err((RejectReason::Conflicting, cause))),
        Reading::NotANumber => return Some(Err((RejectReason::NotANumber, cause))),
        Reading::Number(raw) => raw,
    };
    if let Some(reason) = outside(raw, input.bounds) {
        return Some(Err((reason, cause)));
    }
    let value = steps.iter().fold(raw, |value, step| step.apply(value));
    Some(match outside(value, result) {
        Some(reason) => Err((reason, Cause::Result(value))),
        None => Ok((value, raw)),
    })
}
