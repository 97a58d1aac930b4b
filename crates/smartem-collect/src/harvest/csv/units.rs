//! Changes from the unit of a column to that of the indicator it becomes.

use smartem_etl::SettingsError;
use smartem_model::Vocabulary;

use super::layout::Change;

/// Litres that a mole of gas takes at the European reference state: 1000·R·T/P with
/// R = 8.314462618 J/(mol·K), T = 293.15 K, P = 101325 Pa (R12.1). The molar mass in g/mol over it is
/// the factor from ppb to ug/m3.
const LITRES_A_MOLE: f64 = 1000.0 * 8.314_462_618 * 293.15 / 101_325.0;

/// Molar masses in g/mol (R12.1).
const MOLAR_MASSES: [(&str, f64); 4] = [
    ("o3", 47.998),
    ("no2", 46.0055),
    ("no", 30.006),
    ("co", 28.010),
];

/// The change of a number in `unit` to the unit of the indicator `key`.
///
/// # Errors
/// When the change is not known; tells to write it in numbers.
pub(super) fn change(
    key: &str,
    unit: &str,
    vocabulary: Option<&Vocabulary>,
) -> Result<Change, SettingsError> {
    let target = vocabulary.and_then(|vocabulary| vocabulary.get(key));
    let target = target.map(|indicator| indicator.unit.to_string());
    let Some(target) = target else {
        return Err(SettingsError(format!(
            "`columns.{key}.unit`: `{key}` is no indicator, so nothing says in which unit it must be; \
             write `factor`, `divide` or `offset`"
        )));
    };
    known(key, unit, &target).ok_or_else(|| {
        SettingsError(format!(
            "`columns.{key}.unit`: no change from `{unit}` to `{target}` is known; write `factor`, \
             `divide` or `offset`"
        ))
    })
}

fn known(key: &str, unit: &str, target: &str) -> Option<Change> {
    let factor = |factor| Change {
        factor: Some(factor),
        ..Change::default()
    };
    let divide = |divide| Change {
        divide: Some(divide),
        ..Change::default()
    };
    let molar_mass = || {
        let mut masses = MOLAR_MASSES.iter();
        masses.find(|(gas, _)| *gas == key).map(|(_, mass)| *mass)
    };
    Some(match (unit, target) {
        _ if unit == target => Change::default(),
        ("mg/m3", "ug/m3") | ("g/m3", "mg/m3") => factor(1000.0),
        ("ng/m3", "ug/m3") => divide(1000.0),
        ("Pa", "hPa") => divide(100.0),
        ("kPa", "hPa") => factor(10.0),
        ("mbar", "hPa") => Change::default(),
        ("K", "Cel") => Change {
            offset: Some(-273.15),
            ..Change::default()
        },
        ("[ppb]", "ug/m3") => Change {
            factor: Some(molar_mass()?),
            divide: Some(LITRES_A_MOLE),
            offset: None,
        },
        ("[ppm]", "ug/m3") => Change {
            factor: Some(molar_mass()? * 1000.0),
            divide: Some(LITRES_A_MOLE),
            offset: None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_per_billion_at_the_european_reference_state() {
        let factor = |key| {
            let change = known(key, "[ppb]", "ug/m3").unwrap();
            change.factor.unwrap() / change.divide.unwrap()
        };
        for (key, expected) in [
            ("o3", 1.9953),
            ("no2", 1.9125),
            ("no", 1.2474),
            ("co", 1.1644),
        ] {
            assert!((factor(key) - expected).abs() < 5e-5, "{key}");
        }
        assert_eq!(known("pm10", "[ppb]", "ug/m3"), None);
    }
}
