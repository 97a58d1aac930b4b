//! What became of one station-hour, in words.

use std::fmt::Write as _;

use smartem_model::raw::{RawRecord, RecordTime};
use smartem_model::{Observation, PositionSource, Rejection};

use crate::definition::{Definition, IndicatorDefinition, Rule, Step};
use crate::refine::Refined;

/// A short explanation for people: which inputs, which rule rejected what, and which model and
/// version gave each value.
pub(crate) fn explain(record: &RawRecord, definition: &Definition, refined: &Refined) -> String {
    let mut out = head(record, definition);
    if let Some(quarantine) = &refined.quarantine {
        let _ = writeln!(
            out,
            "Set aside, nothing is published: {} ({}).",
            quarantine.reason, quarantine.detail
        );
        return out;
    }
    out.push_str(&place(refined));
    for rejection in refined.rejected.iter().filter(|r| r.indicator.is_none()) {
        let _ = writeln!(out, "Samples not used at all: {}.", reason(rejection));
    }
    for indicator in &definition.indicators {
        out.push_str(&of_indicator(indicator, definition, refined));
    }
    out
}

/// An explanation of a record that could not even be read.
pub(crate) fn explain_quarantined(refined: &Refined) -> String {
    let quarantine = refined.quarantine.as_ref();
    quarantine.map_or_else(String::new, |quarantine| {
        format!(
            "The record is set aside, nothing is published: {} ({}).\n",
            quarantine.reason, quarantine.detail
        )
    })
}

fn head(record: &RawRecord, definition: &Definition) -> String {
    let time = match &record.time {
        RecordTime::Hour(hour) => {
            let period = hour.period();
            format!("from {} up to {}", period.start, period.end)
        }
        RecordTime::Snapshot(_) => "the last values".to_owned(),
    };
    format!(
        "Station {}, type {}, {time}: {} samples, refined by {}.\n",
        record.station,
        definition.name,
        record.samples.len(),
        definition.id
    )
}

fn place(refined: &Refined) -> String {
    let Some(located) = refined.located else {
        return "Its position is not known.\n".to_owned();
    };
    let source = match located.source {
        PositionSource::Fix => "the newest fix among its samples",
        PositionSource::Point => "the record itself",
        PositionSource::Station => "what is known of the station",
    };
    let position = located.position;
    format!(
        "Measured at longitude {}, latitude {}, told by {source}.\n",
        position.lon, position.lat
    )
}

/// All that is to be said of one indicator; nothing where no sample says anything of it.
fn of_indicator(
    indicator: &IndicatorDefinition,
    definition: &Definition,
    refined: &Refined,
) -> String {
    let observations: Vec<&Observation> = refined
        .observations
        .iter()
        .filter(|observation| observation.indicator == indicator.name)
        .collect();
    let rejections: Vec<&Rejection> = refined
        .rejected
        .iter()
        .filter(|rejection| rejection.indicator.as_ref() == Some(&indicator.name))
        .collect();
    if observations.is_empty() && rejections.is_empty() {
        return String::new();
    }
    let mut out = String::from("\n");
    for observation in &observations {
        out.push_str(&of_observation(observation));
    }
    let rejected_only = rejections
        .iter()
        .filter(|rejection| {
            observations
                .iter()
                .all(|o| Some(&o.sensor) != rejection.sensor.as_ref())
        })
        .filter_map(|rejection| rejection.sensor.as_deref());
    let sensors: std::collections::BTreeSet<&str> = rejected_only.collect();
    for sensor in sensors {
        let _ = writeln!(
            out,
            "{} of {sensor}: no value, no sample was accepted.",
            indicator.name
        );
    }
    let _ = writeln!(out, "  from {}", origin(indicator, definition));
    for rejection in rejections {
        let sensor = rejection.sensor.as_deref().unwrap_or_default();
        let _ = writeln!(out, "  rejected of {sensor}: {}", reason(rejection));
    }
    out
}

fn of_observation(observation: &Observation) -> String {
    let quality = &observation.quality;
    let mut out = format!(
        "{} of {}: {} {} ({} to {}), {} of {} samples accepted",
        observation.indicator,
        observation.sensor,
        observation.value,
        observation.unit,
        observation.min,
        observation.max,
        observation.accepted_count,
        observation.accepted_count + observation.rejected_count,
    );
    if let Some(coverage) = quality.coverage {
        let _ = write!(out, ", {:.0} % of the hour covered", 100.0 * coverage);
    }
    if let (Some(raw), Some(unit)) = (observation.raw, &observation.raw_unit) {
        let unit = if is_number(unit) { "" } else { unit };
        let _ = write!(out, ", raw mean {raw} {unit}");
        out.truncate(out.trim_end().len());
    }
    if let Some(model) = &observation.model {
        let _ = write!(out, ", calibrated by {model}");
    }
    for flag in &quality.flags {
        let _ = write!(out, ", flag {flag}");
    }
    out.push('\n');
    out
}

/// Whether a unit says no more than that there is a number.
fn is_number(unit: &str) -> bool {
    unit == "1"
}

/// `12 times above_maximum (first at 2016-01-08T22:00:06Z: s_humidity 102000)`
fn reason(rejection: &Rejection) -> String {
    let example = &rejection.example;
    let mut shown = Vec::new();
    if let Some(time) = &example.time {
        shown.push(format!("first at {time}"));
    }
    match (&example.input, &example.value) {
        (Some(input), Some(value)) => shown.push(format!("{input} {value}")),
        (Some(input), None) => shown.push(input.clone()),
        (None, Some(value)) => shown.push(value.clone()),
        (None, None) => {}
    }
    let shown = if shown.is_empty() {
        String::new()
    } else {
        format!(" ({})", shown.join(": "))
    };
    format!("{} times {}{shown}", rejection.count, rejection.reason)
}

/// Which inputs an indicator is made of, and how.
fn origin(indicator: &IndicatorDefinition, definition: &Definition) -> String {
    let key = |slot: usize| definition.keys[slot].as_ref();
    match &indicator.rule {
        Rule::Direct {
            input,
            steps,
            calibration,
            ..
        } => {
            let mut out = key(input.slot).to_owned();
            if !is_number(&input.unit) {
                let _ = write!(out, " in {}", input.unit);
            }
            for step in steps {
                let _ = write!(out, ", {}", step_in_words(step));
            }
            if let Some(calibration) = calibration {
                let parameters = &calibration.parameters;
                let _ = write!(
                    out,
                    ", calibrated by the station's parameters `{parameters}`"
                );
                let names = calibration.terms.iter();
                let names: std::collections::BTreeSet<&str> = names
                    .map(|term| definition.auxiliaries[term.auxiliary].as_ref())
                    .collect();
                if !names.is_empty() {
                    let names: Vec<&str> = names.into_iter().collect();
                    let _ = write!(out, " with {}", names.join(" and "));
                }
            }
            out
        }
        Rule::Noise { octaves, .. } => {
            let keys: Vec<&str> = octaves.iter().map(|octave| key(octave.slot)).collect();
            format!(
                "the third-octave bands in {}, averaged as energy",
                keys.join(", ")
            )
        }
        Rule::NoiseClass { of } => format!("the class of {of}"),
        Rule::Network { .. } => {
            let inputs = definition.network_inputs.iter();
            let names: Vec<String> = inputs
                .map(|input| {
                    let smoothed = if input.smoothing.is_some() {
                        " (smoothed)"
                    } else {
                        ""
                    };
                    format!("{}{smoothed}", key(input.input.slot))
                })
                .collect();
            format!("a network over {}", names.join(", "))
        }
    }
}

fn step_in_words(step: &Step) -> String {
    match step {
        Step::Add(c) if *c < 0.0 => format!("minus {}", -c),
        Step::Add(c) => format!("plus {c}"),
        Step::Multiply(c) => format!("times {c}"),
        Step::Divide(c) => format!("divided by {c}"),
        Step::Polynomial(c) => format!("polynomial of degree {}", c.len() - 1),
        Step::KelvinToCelsius => "from K to degrees Celsius".to_owned(),
        Step::FahrenheitToCelsius => "from degrees Fahrenheit to Celsius".to_owned(),
        Step::FrontEnd(_) => "from digits to nA by the sensor's front end".to_owned(),
    }
}
