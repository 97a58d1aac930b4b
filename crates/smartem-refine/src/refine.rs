//! The refiner: one raw record in, its observations out.

use std::cell::OnceCell;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use smartem_model::raw::{RawRecord, RecordTime};
use smartem_model::{
    Example, Flag, Observation, Period, Position, PositionSource, Quality, Quarantine,
    QuarantineReason, RejectReason, Rejection,
};

use crate::auxiliary::Auxiliaries;
use crate::definition::{
    Bounds, Calibration, Definition, IndicatorDefinition, Input, Parameters, Rule, Step, Term,
};
use crate::gas::{self, ModelSet, NetworkSamples};
use crate::laws;
use crate::location;
use crate::noise::{self, outside};
use crate::prepare::{Prepared, Reading, Readings, Said};
use crate::state::{State, TimedValue};
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
    let readings = prepared.readings(definition);
    let given = State::from_json(state, definition);
    let mut handed_on = given.clone();
    let means = gas::running_means(definition, &prepared, &readings, &mut handed_on);
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
        network_samples: OnceCell::new(),
        means: &means,
        located: located.map(|(position, source)| Located {
            position: Position {
                alt: altitude,
                ..position
            },
            source,
            altitude_of_station: own_altitude.is_none() && station.altitude.is_some(),
        }),
    };
    let is_wanted = |indicator: &IndicatorDefinition| {
        indicators.is_none_or(|names| names.iter().any(|name| **name == *indicator.name))
    };
    let mut auxiliaries = Auxiliaries::new(definition, &given, &record.time);
    let mut outcomes: Vec<Vec<Outcome>> = Vec::new();
    outcomes.resize_with(definition.indicators.len(), Vec::new);
    for at in &definition.order {
        let indicator = &definition.indicators[*at];
        let is_auxiliary = definition.auxiliaries.contains(&indicator.name);
        if is_auxiliary || is_wanted(indicator) {
            outcomes[*at] = run.evaluate(indicator, &outcomes, &mut auxiliaries);
        }
    }
    auxiliaries.hand_on(definition, &mut handed_on);
    let mut observations = Vec::new();
    let mut rejected = prepared.rejected.clone();
    for (indicator, outcomes) in definition.indicators.iter().zip(outcomes) {
        if !is_wanted(indicator) {
            continue;
        }
        for outcome in outcomes {
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
    let state = match record.time {
        RecordTime::Hour(_) => &handed_on,
        // Looking at the same last value again must change nothing (R11.3).
        RecordTime::Snapshot(_) => &given,
    };
    Refined {
        observations,
        rejected,
        state: state.to_json(),
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
    readings: &'a Readings,
    /// The samples for the networks, taken apart when the first asks for them.
    network_samples: OnceCell<NetworkSamples>,
    /// Running means of the smoothed inputs.
    means: &'a [Option<Vec<f64>>],
    located: Option<Located>,
}

/// What one indicator got from one instrument.
#[derive(Clone)]
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
    /// What an indicator got; its accepted values go to the auxiliaries, where others need them.
    fn evaluate(
        &self,
        indicator: &IndicatorDefinition,
        evaluated: &[Vec<Outcome>],
        auxiliaries: &mut Auxiliaries,
    ) -> Vec<Outcome> {
        match &indicator.rule {
            Rule::Direct {
                input,
                steps,
                calibration,
                result,
            } => {
                let equation = calibration
                    .as_ref()
                    .map(|calibration| self.equation(calibration, auxiliaries));
                let judge = Judge {
                    input,
                    steps,
                    equation,
                    result: *result,
                };
                let mut accepted = Vec::new();
                let outcomes = self.direct(indicator, &judge, &mut accepted);
                auxiliaries.accept(self.definition, &indicator.name, &accepted);
                outcomes
            }
            Rule::Noise { octaves, result } => {
                let tally = noise::tally(octaves, self.readings, *result);
                let value = laws::level(tally.mean(tally.sum));
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
                let indicators = &self.definition.indicators;
                let Some(at) = indicators.iter().position(|level| level.name == *of) else {
                    return Vec::new();
                };
                let levels = match evaluated[at].as_slice() {
                    // Not asked for itself.
                    [] => self.evaluate(&indicators[at], evaluated, auxiliaries),
                    levels => levels.to_vec(),
                };
                levels.into_iter().map(Outcome::class).collect()
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
                    self.network_samples.get_or_init(|| {
                        NetworkSamples::new(self.definition, self.readings, self.means)
                    }),
                );
                let unit = self.definition.network_inputs[*primary].input.unit.clone();
                let model = model.map(|model| model.id.clone());
                vec![self.averaged(indicator, 0, tally, unit, model)]
            }
        }
    }

    /// The station's equation for a gas, with the auxiliaries as far as they are known.
    fn equation<'b>(
        &'b self,
        calibration: &'b Calibration,
        auxiliaries: &'b Auxiliaries,
    ) -> Equation<'b> {
        let station = self.definition.parameters.get(self.record.station.as_str());
        let holding = self.prepared.reference_time(&self.record.time);
        let parameters = station
            .zip(holding)
            .and_then(|(station, time)| station.at(time, &calibration.parameters));
        Equation {
            terms: &calibration.terms,
            parameters,
            auxiliaries,
        }
    }

    /// A converted input: one outcome for the sensor, or one for each stream.
    fn direct(
        &self,
        indicator: &IndicatorDefinition,
        judge: &Judge<'_>,
        accepted: &mut Vec<TimedValue>,
    ) -> Vec<Outcome> {
        let is_auxiliary = self.definition.auxiliaries.contains(&indicator.name);
        let instruments = if indicator.sensor.is_some() {
            1
        } else {
            self.prepared.streams.len()
        };
        let mut tallies = vec![Tally::default(); instruments];
        let readings = self.readings.of(judge.input.slot);
        for (at, (reading, sample)) in readings.iter().zip(&self.prepared.samples).enumerate() {
            if reading.is_absent() {
                continue;
            }
            let stream = if instruments == 1 { 0 } else { sample.stream };
            let tally = &mut tallies[stream];
            match judge.judge(*reading, sample.time) {
                Ok(value) => {
                    tally.accept(at, value, value, reading.number());
                    if is_auxiliary && let Some(time) = sample.time {
                        accepted.push(TimedValue { time, value });
                    }
                }
                Err((reason, cause)) => tally.refuse(at, reason, cause),
            }
        }
        let model = judge
            .equation
            .as_ref()
            .and_then(|equation| equation.parameters);
        let model = model.map(|parameters| parameters.id.clone());
        tallies
            .into_iter()
            .enumerate()
            .map(|(stream, tally)| {
                let unit = judge.input.unit.clone();
                self.averaged(indicator, stream, tally, unit, model.clone())
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

    /// Shows what a sample holds of a key; where a sample is one reading, the key names its stream.
    fn example_of_key(&self, sample: usize, key: &str) -> Example {
        let stream = self.definition.stream.as_ref();
        match stream.and_then(|stream| stream.reading.as_deref()) {
            None => self.prepared.example(sample, Some(key)),
            Some(reading) => Example {
                input: Some(key.to_owned()),
                ..self.prepared.example(sample, Some(reading))
            },
        }
    }

    fn rejections(&self, indicator: &IndicatorDefinition, outcome: &Outcome) -> Vec<Rejection> {
        let example = |first: usize, cause: Cause| match cause {
            Cause::Reading(slot) => self.example_of_key(first, &self.definition.keys[slot]),
            Cause::Result(value) => Example {
                input: Some(outcome.judged.to_string()),
                value: value.is_finite().then(|| value.to_string()),
                ..self.prepared.example(first, None)
            },
            Cause::Auxiliary(at) => Example {
                input: Some(self.definition.auxiliaries[at].to_string()),
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

/// How the readings of one input are judged and converted.
struct Judge<'a> {
    input: &'a Input,
    steps: &'a [Step],
    equation: Option<Equation<'a>>,
    result: Bounds,
}

type Refusal = (RejectReason, Cause);

impl Judge<'_> {
    /// The value of a reading that is not absent, or why there is none (R4.4).
    #[inline]
    fn judge(&self, reading: Reading, time: Option<Timestamp>) -> Result<f64, Refusal> {
        let raw = reading.number();
        let cause = Cause::Reading(self.input.slot);
        let bounds = self.input.bounds;
        if !(raw >= bounds.min && raw <= bounds.max) {
            let reason = match reading.said() {
                Said::Absent => RejectReason::MissingInput,
                Said::Conflicting => RejectReason::Conflicting,
                Said::NotANumber => RejectReason::NotANumber,
                Said::Number(_) if raw < bounds.min => RejectReason::BelowMinimum,
                Said::Number(_) => RejectReason::AboveMaximum,
            };
            return Err((reason, cause));
        }
        let mut value = self.steps.iter().fold(raw, |value, step| step.apply(value));
        if let Some(equation) = &self.equation {
            value = equation.solve(value, time)?;
        }
        match outside(value, self.result) {
            Some(reason) => Err((reason, Cause::Result(value))),
            None => Ok(value),
        }
    }
}

/// The equation of a linear sensor with the parameters of one station (R8.2).
struct Equation<'a> {
    terms: &'a [Term],
    /// `None`: the station has none that hold.
    parameters: Option<&'a Parameters>,
    auxiliaries: &'a Auxiliaries,
}

impl Equation<'_> {
    /// The concentration for a signal at a time.
    fn solve(&self, signal: f64, time: Option<Timestamp>) -> Result<f64, Refusal> {
        let Some(parameters) = self.parameters else {
            return Err((RejectReason::NoCalibration, Cause::Nothing));
        };
        let mut rest = signal - parameters.a0;
        for (term, coefficient) in self.terms.iter().zip(&parameters.terms) {
            let value = time.and_then(|time| self.auxiliaries.at(term.auxiliary, time));
            let Some(value) = value else {
                return Err((
                    RejectReason::MissingAuxiliary,
                    Cause::Auxiliary(term.auxiliary),
                ));
            };
            rest -= coefficient * value.powi(term.power);
        }
        Ok(rest / parameters.a1)
    }
}
