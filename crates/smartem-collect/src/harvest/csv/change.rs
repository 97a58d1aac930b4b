//! How the numbers of a column become those of the station type.

use smartem_etl::SettingsError;
use smartem_model::{UnitConversion, Vocabulary};

use super::config::ColumnSetting;
use super::units;
use crate::harvest::samples::shifted;

/// value = number · factor / divisor + offset; what is not given is not done, so that numbers stay
/// what they are to the last digit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Change {
    pub factor: Option<f64>,
    pub divide: Option<f64>,
    pub offset: Option<f64>,
    /// In place of the others.
    pub unit: Option<UnitConversion>,
}

impl Change {
    /// Powers of ten move the point of the text, all else is arithmetic.
    pub(super) fn apply(self, text: &str) -> Option<f64> {
        let factor = self.factor.map(|factor| (factor, places(factor)));
        let divide = self
            .divide
            .map(|divide| (divide, places(divide).map(|places| -places)));
        let moves = [factor, divide];
        let moved = moves.iter().flatten().filter_map(|(_, places)| *places);
        let mut number = shifted(text, moved.sum())?;
        if let Some((factor, None)) = factor {
            number *= factor;
        }
        if let Some((divide, None)) = divide {
            number /= divide;
        }
        if let Some(offset) = self.offset {
            number += offset;
        }
        if let Some(unit) = self.unit {
            number = unit.apply(number);
        }
        number.is_finite().then_some(number)
    }
}

/// The exponent of a power of ten.
fn places(number: f64) -> Option<i32> {
    (-9..=9).find(|places| shifted("1", *places).is_some_and(|power| (power - number).abs() <= 0.0))
}

/// The column of a key, and how its numbers change.
///
/// # Errors
/// When the change makes no sense.
pub(super) fn change_of(
    key: &str,
    setting: &ColumnSetting,
    vocabulary: Option<&Vocabulary>,
) -> Result<(String, Change), SettingsError> {
    let changed = match setting {
        ColumnSetting::Name(column) => return Ok((column.clone(), Change::default())),
        ColumnSetting::Changed(changed) => changed,
    };
    let given = Change {
        factor: changed.factor,
        divide: changed.divide,
        offset: changed.offset,
        unit: None,
    };
    let change = match &changed.unit {
        None => given,
        Some(_) if given != Change::default() => {
            return Err(SettingsError(format!(
                "`columns.{key}`: write either `unit` or `factor`, `divide` and `offset`"
            )));
        }
        Some(unit) => Change {
            unit: Some(units::conversion(key, unit, vocabulary)?),
            ..Change::default()
        },
    };
    if change.divide == Some(0.0) {
        return Err(SettingsError(format!("`columns.{key}`: `divide` is 0")));
    }
    Ok((changed.column.clone(), change))
}
