//! From the shape of a definition file to a usable definition; finds all faults at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use smartem_model::{Unit, Units, Vocabulary, check_unit_code, nearest};
use toml::Spanned;

use super::format::{
    CalibrateFormat, DefinitionFormat, GasState, IndicatorFormat, InputFormat, NetworkFormat,
    NoiseFormat, StepFormat, StreamFormat, UntimedSamples,
};
use super::{
    Bounds, Calibration, Definition, DefinitionError, Fault, IndicatorDefinition, Input,
    LocationKeys, NetworkInput, Octave, Rule, Step, StreamKey, Term,
};
use crate::laws;

pub(super) fn check(
    text: &str,
    format: DefinitionFormat,
    vocabulary: &Vocabulary,
) -> Result<Definition, DefinitionError> {
    let mut checker = Checker {
        text,
        vocabulary,
        units: Units::default(),
        faults: Vec::new(),
        keys: Vec::new(),
        indicator_names: format.indicator.keys().cloned().collect(),
        auxiliaries: Vec::new(),
    };
    let definition = checker.definition(format);
    let Checker {
        mut faults,
        keys,
        auxiliaries,
        units,
        ..
    } = checker;
    if faults.is_empty() {
        Ok(Definition {
            keys,
            units,
            auxiliaries,
            ..definition
        })
    } else {
        faults.sort_by_key(|fault| (fault.line, fault.column));
        Err(DefinitionError { faults })
    }
}

struct Checker<'a> {
    text: &'a str,
    vocabulary: &'a Vocabulary,
    /// Those that the definition declares itself.
    units: Units,
    faults: Vec<Fault>,
    keys: Vec<Arc<str>>,
    indicator_names: BTreeSet<String>,
    auxiliaries: Vec<Arc<str>>,
}

type Bound<'a> = Option<&'a Spanned<f64>>;

impl Checker<'_> {
    fn fault(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.faults.push(Fault::at(self.text, span.start, message));
    }

    fn definition(&mut self, format: DefinitionFormat) -> Definition {
        self.declare(format.unit);
        let name = self.name(&format.name);
        let version = self.word(&format.version, "version");
        if let Some(cadence) = &format.cadence_s
            && !(cadence.get_ref().is_finite() && *cadence.get_ref() > 0.0)
        {
            self.fault(
                cadence.span(),
                "`cadence_s` must be a number of seconds above 0",
            );
        }
        let stream = format.stream.map(|stream| self.stream(stream));
        let location = LocationKeys {
            longitude: self.word(&format.location.longitude, "longitude"),
            latitude: self.word(&format.location.latitude, "latitude"),
            encoding: format.location.encoding,
            altitude: format
                .location
                .altitude
                .map(|key| self.word(&key, "altitude")),
        };
        let smoothing_restart_s = format
            .network
            .as_ref()
            .map_or(0.0, |network| *network.smoothing_restart_s.get_ref());
        let network_inputs = format
            .network
            .map(|network| self.network(&network))
            .unwrap_or_default();
        if format.indicator.is_empty() {
            self.fault(
                format.name.span(),
                "the definition makes nothing: add a table `[indicator.<name>]`",
            );
        }
        let noise_names: Vec<String> = format
            .indicator
            .iter()
            .filter(|(_, indicator)| indicator.get_ref().noise.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        if let Some(auxiliary) = &format.auxiliary
            && *auxiliary.max_age_s.get_ref() < 0.0
        {
            self.fault(
                auxiliary.max_age_s.span(),
                "`max_age_s` must not be negative",
            );
        }
        let mut indicators = Vec::new();
        for (name, indicator) in &format.indicator {
            let context = Context {
                noise_names: &noise_names,
                network_inputs: &network_inputs,
                stream: stream.as_ref(),
                has_auxiliary: format.auxiliary.is_some(),
            };
            indicators.extend(self.indicator(name, indicator, &context));
        }
        let order = self.order(&format.indicator, &indicators);
        Definition {
            id: format!("{name}-{version}").into(),
            name,
            label: format.label,
            cadence_s: format.cadence_s.map(Spanned::into_inner),
            untimed_belong_to_hour: format.untimed_samples == UntimedSamples::WholeHour,
            stream,
            location,
            keys: Vec::new(),
            units: Units::default(),
            indicators,
            network_inputs,
            smoothing_restart_s,
            auxiliaries: Vec::new(),
            auxiliary_max_age_s: format
                .auxiliary
                .map_or(0.0, |auxiliary| auxiliary.max_age_s.into_inner()),
            order,
            parameters: <_>::default(),
        }
    }

    fn stream(&mut self, stream: StreamFormat) -> StreamKey {
        if stream.default.is_some() == stream.reading.is_some() {
            self.fault(
                stream.key.span(),
                "`[stream]` needs exactly one of `default` (the name where the key gives none) and `reading` (the key of the one reading of a sample)",
            );
        }
        StreamKey {
            key: self.word(&stream.key, "key"),
            default: stream.default.unwrap_or_default().into(),
            reading: stream.reading.map(|reading| self.word(&reading, "reading")),
        }
    }

    /// An order of evaluation: what others need comes first.
    fn order(
        &mut self,
        formats: &BTreeMap<String, Spanned<IndicatorFormat>>,
        indicators: &[IndicatorDefinition],
    ) -> Vec<usize> {
        let mut order: Vec<usize> = Vec::with_capacity(indicators.len());
        while order.len() < indicators.len() {
            let is_ready = |indicator: &IndicatorDefinition| {
                indicator.needs().all(|auxiliary| {
                    let name = &self.auxiliaries[auxiliary];
                    order.iter().any(|done| indicators[*done].name == *name)
                })
            };
            let next =
                (0..indicators.len()).find(|at| !order.contains(at) && is_ready(&indicators[*at]));
            let Some(next) = next else {
                break;
            };
            order.push(next);
        }
        if let Some(stuck) = (0..indicators.len()).find(|at| !order.contains(at)) {
            let name = indicators[stuck].name.as_ref();
            let span = formats.get(name).map_or(0..0, Spanned::span);
            self.fault(
                span,
                format!("indicator `{name}` needs itself, by way of its `calibrate` terms"),
            );
        }
        order
    }

    fn name(&mut self, name: &Spanned<String>) -> Arc<str> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
        if name.get_ref().is_empty() || !name.get_ref().chars().all(allowed) {
            self.fault(
                name.span(),
                "`name` must be lower-case letters, digits, `-` or `_`, as records give it in `device_type`",
            );
        }
        name.get_ref().as_str().into()
    }

    fn word(&mut self, word: &Spanned<String>, what: &str) -> Arc<str> {
        if word.get_ref().is_empty() {
            self.fault(word.span(), format!("`{what}` must not be empty"));
        }
        word.get_ref().as_str().into()
    }

    /// Takes the units that the definition declares itself.
    fn declare(&mut self, units: BTreeMap<String, Spanned<Unit>>) {
        for (code, unit) in units {
            if let Err(problem) = check_unit_code(&code) {
                self.fault(unit.span(), format!("unit `{code}`: {problem}"));
            }
            self.units.add(code.into(), unit.into_inner());
        }
    }

    fn unit(&mut self, unit: &Spanned<String>) -> Arc<str> {
        let code = unit.get_ref().as_str();
        let known = self.vocabulary.units();
        if known.get(code).is_none() && self.units.get(code).is_none() {
            let guess = known
                .suggest(code)
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            let message = match check_unit_code(code) {
                Err(problem) => format!("`unit` is `{code}`: {problem}{guess}"),
                Ok(()) => format!(
                    "unit `{code}` is not known{guess}; a new one needs its own table `[unit.\"{code}\"]` with `symbol` and `label = {{ en, nl }}`"
                ),
            };
            self.fault(unit.span(), message);
        }
        code.into()
    }

    fn bounds(&mut self, min: Bound<'_>, max: Bound<'_>) -> Bounds {
        for bound in [min, max].into_iter().flatten() {
            if !bound.get_ref().is_finite() {
                self.fault(
                    bound.span(),
                    "a bound must be a finite number; leave it out for none",
                );
            }
        }
        if let (Some(min), Some(max)) = (min, max)
            && min.get_ref() > max.get_ref()
        {
            self.fault(
                min.span(),
                format!(
                    "`min` {} is above `max` {}: swap them",
                    min.get_ref(),
                    max.get_ref()
                ),
            );
        }
        Bounds::new(min.map(|m| *m.get_ref()), max.map(|m| *m.get_ref()))
    }

    /// The position of a key in the definition's list of keys.
    fn slot(&mut self, key: &Spanned<String>) -> usize {
        let name = self.word(key, "key");
        if let Some(at) = self.keys.iter().position(|known| *known == name) {
            return at;
        }
        self.keys.push(name);
        self.keys.len() - 1
    }

    fn network(&mut self, network: &NetworkFormat) -> Vec<NetworkInput> {
        if *network.smoothing_restart_s.get_ref() < 0.0 {
            self.fault(
                network.smoothing_restart_s.span(),
                "`smoothing_restart_s` must not be negative",
            );
        }
        network
            .input
            .iter()
            .map(|input| {
                if let Some(weight) = &input.smoothing
                    && !(*weight.get_ref() > 0.0 && *weight.get_ref() <= 1.0)
                {
                    self.fault(
                        weight.span(),
                        "`smoothing` is a weight above 0 and at most 1",
                    );
                }
                NetworkInput {
                    input: Input {
                        slot: self.slot(&input.key),
                        unit: self.unit(&input.unit),
                        bounds: self.bounds(input.min.as_ref(), input.max.as_ref()),
                    },
                    smoothing: input.smoothing.as_ref().map(|weight| *weight.get_ref()),
                }
            })
            .collect()
    }

    fn indicator(
        &mut self,
        name: &str,
        spanned: &Spanned<IndicatorFormat>,
        context: &Context<'_>,
    ) -> Option<IndicatorDefinition> {
        let (span, format) = (spanned.span(), spanned.get_ref());
        let known = self.vocabulary.get(name);
        let label = format
            .label
            .as_ref()
            .or(known.map(|i| &i.label))
            .map(|label| label.en.clone());
        let given_unit = format.unit.as_ref().map(|unit| self.unit(unit));
        let unit = given_unit.or(known.map(|i| i.unit.clone()));
        let (Some(label), Some(unit)) = (label, unit) else {
            let known = self.vocabulary.indicators().iter().map(|i| i.name.as_ref());
            let near = nearest(name, known)
                .map(|known| format!(" (did you mean `{known}`?)"))
                .unwrap_or_default();
            self.fault(
                span,
                format!(
                    "indicator `{name}` is not in the vocabulary{near}; a new one needs its own `label = {{ en, nl }}` and `unit`"
                ),
            );
            return None;
        };
        let is_usual_unit = known.is_some_and(|i| i.unit == unit);
        let detection_limit = known
            .filter(|_| is_usual_unit)
            .and_then(|i| i.detection_limit);
        let is_direct = format.input.is_some();
        let has_stream = context.stream.is_some();
        let needs_sensor = !(is_direct && has_stream) && format.class_of.is_none();
        if format.sensor.is_none() && needs_sensor {
            self.fault(
                span.clone(),
                format!(
                    "indicator `{name}` needs `sensor`: only an `input` of a type with `[stream]` has a name of its own"
                ),
            );
        }
        let sensor = format
            .sensor
            .as_ref()
            .map(|sensor| self.word(sensor, "sensor"));
        let range = known
            .filter(|_| is_usual_unit)
            .map(|i| Bounds::new(i.min, i.max));
        let rule = self.rule(name, &span, format, &unit, range, context)?;
        Some(IndicatorDefinition {
            name: name.into(),
            label,
            unit,
            sensor,
            detection_limit,
            rule,
        })
    }

    fn rule(
        &mut self,
        name: &str,
        span: &Range<usize>,
        format: &IndicatorFormat,
        unit: &Arc<str>,
        range: Option<Bounds>,
        context: &Context<'_>,
    ) -> Option<Rule> {
        let given = [
            format.input.is_some(),
            format.noise.is_some(),
            format.class_of.is_some(),
            format.network.is_some(),
        ];
        if given.iter().filter(|is_given| **is_given).count() != 1 {
            self.fault(
                span.clone(),
                format!("indicator `{name}` needs exactly one of `input`, `noise`, `class_of` and `network`"),
            );
            return None;
        }
        let own = self.bounds(format.min.as_ref(), format.max.as_ref());
        let result = if own == Bounds::NONE {
            range.unwrap_or(Bounds::NONE)
        } else {
            own
        };
        if format.input.is_none()
            && let Some(step) = format.convert.first()
        {
            self.fault(step.span(), "`convert` goes with `input`: remove it");
        }
        if format.input.is_none()
            && let Some(calibrate) = &format.calibrate
        {
            self.fault(calibrate.span(), "`calibrate` goes with `input`: remove it");
        }
        if let Some(input) = &format.input {
            let is_calibrated = format.calibrate.is_some();
            let result = if own == Bounds::NONE && input.get_ref().has_bounds() && !is_calibrated {
                // One range for each quantity: bounds of the input are not tested again on the result (R5.2).
                Bounds::NONE
            } else {
                result
            };
            let calibration = format
                .calibrate
                .as_ref()
                .map(|calibrate| self.calibration(calibrate.get_ref(), context));
            return Some(Rule::Direct {
                input: self.input(input.get_ref(), unit),
                steps: self.steps(&format.convert),
                calibration,
                result,
            });
        }
        if let Some(noise) = &format.noise {
            return Some(Rule::Noise {
                octaves: self.octaves(noise),
                result,
            });
        }
        if let Some(of) = &format.class_of {
            let useless = format
                .min
                .as_ref()
                .or(format.max.as_ref())
                .map(Spanned::span);
            if let Some(span) = useless.or(format.sensor.as_ref().map(Spanned::span)) {
                let message = "a class has the sensor and the samples of its level: remove this";
                self.fault(span, message);
            }
            if !context.noise_names.contains(of.get_ref()) {
                self.fault(
                    of.span(),
                    format!(
                        "`class_of` names `{}`, which is no `noise` indicator of this file",
                        of.get_ref()
                    ),
                );
            }
            return Some(Rule::NoiseClass {
                of: of.get_ref().as_str().into(),
            });
        }
        let network = format.network.as_ref()?;
        let primary = context.network_inputs.iter().position(|candidate| {
            self.keys[candidate.input.slot].as_ref() == network.primary.get_ref()
        });
        let Some(primary) = primary else {
            self.fault(
                network.primary.span(),
                format!(
                    "`primary` names `{}`, which is no `[[network.input]]` of this file",
                    network.primary.get_ref()
                ),
            );
            return None;
        };
        Some(Rule::Network {
            model: self.word(&network.model, "model"),
            primary,
            result,
        })
    }

    fn input(&mut self, input: &InputFormat, result_unit: &Arc<str>) -> Input {
        Input {
            slot: self.slot(&input.key),
            unit: input
                .unit
                .as_ref()
                .map_or_else(|| result_unit.clone(), |unit| self.unit(unit)),
            bounds: self.bounds(input.min.as_ref(), input.max.as_ref()),
        }
    }

    fn calibration(&mut self, format: &CalibrateFormat, context: &Context<'_>) -> Calibration {
        if !context.has_auxiliary && !format.terms.get_ref().is_empty() {
            self.fault(
                format.terms.span(),
                "terms need `[auxiliary] max_age_s`: how long a value of another indicator may serve",
            );
        }
        let terms = format.terms.get_ref().iter();
        let terms = terms.map(|term| Term {
            auxiliary: self.auxiliary(&term.of),
            power: term.power.try_into().unwrap_or(i32::MAX),
        });
        Calibration {
            terms: terms.collect(),
            parameters: self.word(&format.parameters, "parameters"),
        }
    }

    /// The position of an indicator in the list of those that others need.
    fn auxiliary(&mut self, name: &Spanned<String>) -> usize {
        let known = |auxiliary: &Arc<str>| auxiliary.as_ref() == name.get_ref();
        if let Some(at) = self.auxiliaries.iter().position(known) {
            return at;
        }
        if !self.indicator_names.contains(name.get_ref()) {
            self.fault(
                name.span(),
                format!(
                    "`of` names `{}`, which is no indicator of this file",
                    name.get_ref()
                ),
            );
        }
        self.auxiliaries.push(name.get_ref().as_str().into());
        self.auxiliaries.len() - 1
    }

    fn steps(&mut self, steps: &[Spanned<StepFormat>]) -> Vec<Step> {
        let mut checked = Vec::with_capacity(steps.len());
        for step in steps {
            match Step::check(step.get_ref()) {
                Ok(step) => checked.push(step),
                Err(problem) => self.fault(step.span(), problem),
            }
        }
        checked
    }

    fn octaves(&mut self, noise: &NoiseFormat) -> Vec<Octave> {
        if noise.octaves.get_ref().is_empty() {
            self.fault(
                noise.octaves.span(),
                "`octaves` must name at least one input",
            );
        }
        noise
            .octaves
            .get_ref()
            .iter()
            .map(|octave| {
                let bands = octave.bands.get_ref();
                if bands.is_empty() || bands.iter().any(|band| *band > 2) {
                    self.fault(
                        octave.bands.span(),
                        "`bands` lists third-octave bands 0, 1 and 2",
                    );
                }
                Octave {
                    slot: self.slot(&octave.key),
                    bands: bands.clone(),
                }
            })
            .collect()
    }
}

struct Context<'a> {
    noise_names: &'a [String],
    network_inputs: &'a [NetworkInput],
    stream: Option<&'a StreamKey>,
    has_auxiliary: bool,
}

impl Step {
    /// The step as it is applied, or what is wrong with it.
    fn check(format: &StepFormat) -> Result<Self, String> {
        const NOT_FINITE: &str = "the number must be finite";
        let finite = |c: f64| {
            if c.is_finite() {
                Ok(c)
            } else {
                Err(NOT_FINITE)
            }
        };
        Ok(match format {
            StepFormat::Add(c) => Self::Add(finite(*c)?),
            StepFormat::Multiply(c) => Self::Multiply(finite(*c)?),
            StepFormat::Divide(0.0) => return Err("a value cannot be divided by 0".to_owned()),
            StepFormat::Divide(c) => Self::Divide(finite(*c)?),
            StepFormat::Polynomial(c) if c.is_empty() => {
                return Err(
                    "a polynomial needs at least one coefficient, the constant first".to_owned(),
                );
            }
            StepFormat::Polynomial(c) if c.iter().any(|c| !c.is_finite()) => {
                return Err("every coefficient must be finite".to_owned());
            }
            StepFormat::Polynomial(c) => Self::Polynomial(c.clone()),
            StepFormat::KelvinToCelsius => Self::KelvinToCelsius,
            StepFormat::FahrenheitToCelsius => Self::FahrenheitToCelsius,
            StepFormat::PpbToUgM3(state) => Self::Multiply(state.factor()?),
            StepFormat::FrontEnd(front_end) => {
                let positive = |x: f64| x.is_finite() && x > 0.0;
                let numbers = [
                    front_end.v_ref,
                    front_end.v_ref_ad,
                    front_end.gain,
                    front_end.r_load,
                ];
                if !numbers.into_iter().all(positive) {
                    return Err("voltages, `gain` and `r_load` must be above 0".to_owned());
                }
                Self::FrontEnd(*front_end)
            }
        })
    }
}

impl GasState {
    /// µg/m³ for each ppb.
    fn factor(&self) -> Result<f64, String> {
        let Some(mass) = laws::molar_mass(&self.gas) else {
            let known: Vec<&str> = laws::gases().collect();
            return Err(format!(
                "the molar mass of `{}` is not known; there are: {}. Use `multiply` with a factor of your own",
                self.gas,
                known.join(", ")
            ));
        };
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(self.temperature) || !positive(self.pressure) {
            return Err("`temperature` (K) and `pressure` (Pa) must be above 0".to_owned());
        }
        Ok(laws::ug_m3_per_ppb(mass, self.temperature, self.pressure))
    }
}

impl IndicatorDefinition {
    /// The auxiliaries that it needs, by position.
    fn needs(&self) -> impl Iterator<Item = usize> {
        let terms = match &self.rule {
            Rule::Direct { calibration, .. } => calibration.as_ref().map(|c| c.terms.as_slice()),
            _ => None,
        };
        terms.unwrap_or_default().iter().map(|term| term.auxiliary)
    }
}

impl InputFormat {
    fn has_bounds(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }
}
