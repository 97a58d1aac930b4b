//! Known formats, and what a source says instead of them.

use smartem_etl::SettingsError;
use toml::Table;

use super::config::Mapping;

const PRESETS: &str = include_str!("presets.toml");

/// The settings that hold: those given, then those of the preset.
///
/// # Errors
/// When there is no such preset.
pub(in crate::harvest) fn complete(
    given: &Mapping,
    preset: Option<&str>,
) -> Result<Mapping, SettingsError> {
    let Some(name) = preset else {
        return Ok(given.clone());
    };
    let failed = |error: &dyn std::fmt::Display| SettingsError(error.to_string());
    let mut presets: Table = toml::from_str(PRESETS).map_err(|e| failed(&e))?;
    let Some(toml::Value::Table(mut settings)) = presets.remove(name) else {
        let names: Vec<&str> = presets.keys().map(String::as_str).collect();
        return Err(SettingsError(format!(
            "`preset`: there is no `{name}`; there are {}",
            names.join(", ")
        )));
    };
    let mut given = Table::try_from(given).map_err(|e| failed(&e))?;
    // Ways to name the station exclude each other, so one that is given takes the place of another.
    let ways = ["station", "station_column", "station_from_file"];
    if ways.iter().any(|way| given.contains_key(*way)) {
        for way in ways {
            settings.remove(way);
        }
    }
    if let Some(toml::Value::Table(columns)) = given.remove("columns")
        && let toml::Value::Table(known) = settings
            .entry("columns")
            .or_insert_with(|| Table::new().into())
    {
        known.extend(columns);
    }
    settings.extend(given);
    settings.try_into().map_err(|e: toml::de::Error| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::super::config::ColumnSetting;
    use super::*;

    #[test]
    fn every_preset_can_be_used() {
        let presets: Table = toml::from_str(PRESETS).unwrap();
        assert!(presets.len() >= 8);
        for name in presets.keys() {
            complete(&Mapping::default(), Some(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn what_is_given_comes_before_the_preset() {
        let given: Mapping =
            toml::from_str("station = \"x\"\ntime_zone = \"UTC\"\ncolumns.pm10 = \"pm10_kal\"")
                .unwrap();
        let mapping = complete(&given, Some("rivm-samenmeten")).unwrap();
        assert_eq!(mapping.station.as_deref(), Some("x"));
        assert_eq!(mapping.station_column, None);
        let columns = mapping.columns.unwrap();
        assert_eq!(columns["pm10"], ColumnSetting::Name("pm10_kal".to_owned()));
        assert_eq!(columns["pm2_5"], ColumnSetting::Name("pm25".to_owned()));
        let error = complete(&given, Some("rivm")).unwrap_err().to_string();
        assert!(error.contains("rivm-samenmeten"), "{error}");
    }
}
