//! Calibration parameters of single stations, as data with source and validity (R8.2, D-020).

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use smartem_model::StationId;
use toml::Spanned;

use super::{Definition, DefinitionError, Fault, Rule, format};
use crate::hash::short_sha256;

/// The calibration parameters of one station.
#[derive(Clone, Debug)]
pub struct StationParameters {
    /// A name for readers.
    pub label: Option<Arc<str>>,
    /// In order of validity, which do not overlap.
    pub(crate) sets: Vec<ParameterSet>,
}

/// Parameters that hold for some time.
#[derive(Clone, Debug)]
pub(crate) struct ParameterSet {
    /// Included; `None`: since ever.
    valid_from: Option<Timestamp>,
    /// Excluded; `None`: for ever.
    valid_until: Option<Timestamp>,
    /// By name, as the definition's `calibrate` gives it.
    parameters: BTreeMap<Arc<str>, Parameters>,
}

/// The coefficients of one equation.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    /// How observations cite them.
    pub id: Arc<str>,
    pub a0: f64,
    /// Never 0.
    pub a1: f64,
    /// One for each term: a2, a3, ...
    pub terms: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ParametersFormat {
    station_type: Spanned<String>,
    station: Spanned<String>,
    label: Option<String>,
    set: Vec<Spanned<SetFormat>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFormat {
    source: Spanned<String>,
    valid_from: Option<Spanned<String>>,
    valid_until: Option<Spanned<String>>,
    parameters: BTreeMap<Spanned<String>, Spanned<Vec<f64>>>,
}

impl StationParameters {
    /// The parameters of this name that hold at `time`.
    pub(crate) fn at(&self, time: Timestamp, name: &str) -> Option<&Parameters> {
        let set = self.sets.iter().find(|set| set.holds_at(time))?;
        set.parameters.get(name)
    }

    /// The names of the parameters in any set, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.sets.iter().flat_map(|set| set.parameters.keys());
        let names: std::collections::BTreeSet<&str> = names.map(AsRef::as_ref).collect();
        names.into_iter()
    }
}

impl ParameterSet {
    fn holds_at(&self, time: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= time)
            && self.valid_until.is_none_or(|until| time < until)
    }
}

/// Reads a file of parameters for a definition; gives back whose they are.
pub(super) fn read(
    text: &str,
    definition: &Definition,
) -> Result<(Arc<str>, StationParameters), DefinitionError> {
    let format: ParametersFormat = format::parse(text)?;
    let mut checker = Checker {
        text,
        definition,
        faults: Vec::new(),
    };
    let read = checker.station(format);
    let mut faults = checker.faults;
    if faults.is_empty() {
        return Ok(read);
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    Err(DefinitionError { faults })
}

/// The station type that a file of parameters is for, if it can be read at all.
pub(super) fn station_type(text: &str) -> Result<Spanned<String>, DefinitionError> {
    #[derive(Deserialize)]
    struct Head {
        station_type: Spanned<String>,
    }
    format::parse::<Head>(text).map(|head| head.station_type)
}

struct Checker<'a> {
    text: &'a str,
    definition: &'a Definition,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, at: usize, message: impl Into<String>) {
        self.faults.push(Fault::at(self.text, at, message));
    }

    fn station(&mut self, format: ParametersFormat) -> (Arc<str>, StationParameters) {
        let own_type = self.definition.name.as_ref();
        if format.station_type.get_ref() != own_type {
            self.fault(
                format.station_type.span().start,
                format!("these parameters are read for stations of type `{own_type}`"),
            );
        }
        let station = format.station.get_ref().as_str();
        if StationId::new(station).is_none() {
            self.fault(format.station.span().start, "`station` is no station id");
        }
        if format.set.is_empty() {
            self.fault(
                format.station.span().start,
                "there is no `[[set]]` of parameters",
            );
        }
        let mut sets: Vec<ParameterSet> = Vec::with_capacity(format.set.len());
        for spanned in &format.set {
            let set = self.set(spanned, station);
            // Times that could not be read say nothing of overlaps.
            if self.faults.is_empty() && sets.iter().any(|other| other.overlaps(&set)) {
                self.fault(
                    spanned.span().start,
                    "this set holds at the same time as one above: give each `valid_from` and `valid_until`",
                );
            }
            sets.push(set);
        }
        sets.sort_by_key(|set| set.valid_from);
        let label = format.label.map(Into::into);
        (station.into(), StationParameters { label, sets })
    }

    fn set(&mut self, spanned: &Spanned<SetFormat>, station: &str) -> ParameterSet {
        let format = spanned.get_ref();
        if format.source.get_ref().trim().is_empty() {
            self.fault(
                format.source.span().start,
                "`source` must say where the parameters come from",
            );
        }
        let valid_from = self.time(format.valid_from.as_ref());
        let valid_until = self.time(format.valid_until.as_ref());
        if let (Some(from), Some(until)) = (valid_from, valid_until)
            && from >= until
        {
            self.fault(
                spanned.span().start,
                "`valid_until` must be after `valid_from`",
            );
        }
        let mut parameters = BTreeMap::new();
        for (name, values) in &format.parameters {
            parameters.extend(self.parameters(station, name, values));
        }
        ParameterSet {
            valid_from,
            valid_until,
            parameters,
        }
    }

    fn time(&mut self, time: Option<&Spanned<String>>) -> Option<Timestamp> {
        let time = time?;
        let parsed = smartem_model::parse_timestamp(time.get_ref());
        if parsed.is_none() {
            self.fault(
                time.span().start,
                "a time must be in the form \"2018-09-17T12:00:00Z\"",
            );
        }
        parsed
    }

    fn parameters(
        &mut self,
        station: &str,
        name: &Spanned<String>,
        values: &Spanned<Vec<f64>>,
    ) -> Option<(Arc<str>, Parameters)> {
        let Some(terms) = terms_of(self.definition, name.get_ref()) else {
            let known: Vec<&str> = calibrations(self.definition)
                .map(|(name, _)| name)
                .collect();
            self.fault(
                name.span().start,
                format!(
                    "station type `{}` has no parameters `{}`; it has: {}",
                    self.definition.name,
                    name.get_ref(),
                    known.join(", ")
                ),
            );
            return None;
        };
        let at = values.span().start;
        let numbers = values.get_ref();
        let [a0, a1, rest @ ..] = numbers.as_slice() else {
            self.fault(at, "parameters are a list: a0, a1, then one for each term");
            return None;
        };
        if rest.len() != terms {
            let expected = terms + 2;
            let given = numbers.len();
            self.fault(
                at,
                format!(
                    "`{}` needs {expected} parameters, not {given}",
                    name.get_ref()
                ),
            );
            return None;
        }
        if numbers.iter().any(|number| !number.is_finite()) {
            self.fault(at, "every parameter must be finite");
            return None;
        }
        if *a1 == 0.0 {
            self.fault(at, "a1 divides, so it cannot be 0");
            return None;
        }
        let name = name.get_ref().as_str();
        let content = short_sha256(&format!("{name}{numbers:?}"), 6);
        let parameters = Parameters {
            id: format!("{name} {station} sha256:{content}").into(),
            a0: *a0,
            a1: *a1,
            terms: rest.to_vec(),
        };
        Some((name.into(), parameters))
    }
}

impl ParameterSet {
    fn overlaps(&self, other: &Self) -> bool {
        let begins_before_end = |a: &Self, b: &Self| match (a.valid_from, b.valid_until) {
            (Some(from), Some(until)) => from < until,
            _ => true,
        };
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

/// The names of the parameters that a definition uses, with their number of terms.
fn calibrations(definition: &Definition) -> impl Iterator<Item = (&str, usize)> {
    definition.indicators.iter().filter_map(|indicator| {
        let Rule::Direct { calibration, .. } = &indicator.rule else {
            return None;
        };
        let calibration = calibration.as_ref()?;
        Some((calibration.parameters.as_ref(), calibration.terms.len()))
    })
}

fn terms_of(definition: &Definition, name: &str) -> Option<usize> {
    calibrations(definition)
        .find(|(known, _)| *known == name)
        .map(|(_, terms)| terms)
}
