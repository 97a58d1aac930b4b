//! Changes from the unit of a column to that of the indicator it becomes.

use smartem_etl::SettingsError;
use smartem_model::{UnitConversion, Vocabulary};

/// The conversion of a number in `unit` to the unit of the indicator `key`.
///
/// # Errors
/// When there is none; tells to write it in numbers.
pub(super) fn conversion(
    key: &str,
    unit: &str,
    vocabulary: Option<&Vocabulary>,
) -> Result<UnitConversion, SettingsError> {
    let indicator = vocabulary.and_then(|vocabulary| vocabulary.get(key));
    let converted = match indicator {
        Some(indicator) => UnitConversion::between(unit, &indicator.unit, key)
            .map_err(|problem| problem.to_string()),
        None => Err(format!(
            "`{key}` is no indicator, so nothing says in which unit it must be"
        )),
    };
    converted.map_err(|problem| {
        SettingsError(format!(
            "`columns.{key}.unit`: {problem}; write `factor`, `divide` or `offset`"
        ))
    })
}
