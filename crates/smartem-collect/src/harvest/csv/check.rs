//! Settings that make no sense are refused before a file is read.

use jiff::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use smartem_etl::SettingsError;

use super::config::{Mapping, Place};

/// Keys of a sample that have settings of their own.
const OWN_SETTING: [(&str, &str); 5] = [
    ("time", "time_column"),
    ("meta_id", "meta_id_columns"),
    ("longitude", "lon_column"),
    ("latitude", "lat_column"),
    ("altitude", "alt_column"),
];

fn refused<T>(problem: String) -> Result<T, SettingsError> {
    Err(SettingsError(problem))
}

/// Stations, place and keys.
///
/// # Errors
/// When one makes no sense; tells setting, value and what to write.
pub(super) fn check(mapping: &Mapping) -> Result<(), SettingsError> {
    for (setting, text) in [
        ("station", &mapping.station),
        ("station_prefix", &mapping.station_prefix),
    ] {
        let text = text.as_deref().unwrap_or_default();
        if text.chars().any(|c| c.is_control() || c == '/') {
            return refused(format!(
                "`{setting}`: {text:?} becomes part of addresses; write it without `/` and control characters"
            ));
        }
    }
    if mapping
        .station
        .as_deref()
        .is_some_and(|id| id.trim().is_empty())
    {
        return refused("`station`: \"\" is no id; write the id of the station".to_owned());
    }
    if let Some(place) = &mapping.position {
        check_place(place)?;
    }
    for (key, setting) in OWN_SETTING {
        let columns = mapping.columns.as_ref();
        if columns.is_some_and(|columns| columns.contains_key(key)) {
            return refused(format!(
                "`columns.{key}`: `{key}` is no value; write its column in `{setting}`"
            ));
        }
    }
    Ok(())
}

fn check_place(place: &Place) -> Result<(), SettingsError> {
    for (name, number, limit) in [("lat", place.lat, 90.0), ("lon", place.lon, 180.0)] {
        if !(-limit..=limit).contains(&number) {
            return refused(format!(
                "`position.{name}`: {number} is out of range; write degrees from -{limit} to {limit}"
            ));
        }
    }
    match place.alt {
        Some(alt) if !(-12_000.0..=100_000.0).contains(&alt) => refused(format!(
            "`position.alt`: {alt} is out of range; write metres above the sea"
        )),
        _ => Ok(()),
    }
}

/// The byte between fields; `None` when it is to be found out.
///
/// # Errors
/// When it is not a single character, or one that rows need for something else.
pub(super) fn delimiter(text: Option<&str>) -> Result<Option<u8>, SettingsError> {
    match text.map(str::as_bytes) {
        None | Some(b"auto") => Ok(None),
        Some(b"tab" | b"\t") => Ok(Some(b'\t')),
        Some([byte]) if !byte.is_ascii_control() && *byte != b'"' => Ok(Some(*byte)),
        Some(_) => refused(format!(
            "`delimiter`: {:?} cannot be; write a single character that is no quote, such as `;`, or `tab`",
            text.unwrap_or_default()
        )),
    }
}

/// Whether a pattern of `time_format` tells a date and a time of day: a time written with it must be
/// read again.
///
/// # Errors
/// When it does not, or holds what is not known.
pub(super) fn pattern(pattern: &str) -> Result<(), SettingsError> {
    // 2024-11-23T14:35:27Z: no part of it is what a part that is missing would be.
    let Ok(sample) = Timestamp::from_second(1_732_372_527) else {
        return Ok(());
    };
    let problem = match BrokenDownTime::from(sample).to_string(pattern) {
        Err(error) => error.to_string(),
        Ok(text) => match BrokenDownTime::parse(pattern, &text) {
            Err(error) => error.to_string(),
            Ok(read) => {
                let hour = sample.as_second() / 3600;
                let told = if read.offset().is_some() {
                    read.to_timestamp().ok()
                } else {
                    let zone = jiff::tz::Offset::UTC;
                    let local = read.to_datetime().ok();
                    local.and_then(|local| zone.to_timestamp(local).ok())
                };
                if told.is_some_and(|told| told.as_second() / 3600 == hour) {
                    return Ok(());
                }
                "it does not tell year, month, day and hour".to_owned()
            }
        },
    };
    refused(format!(
        "`time_format`: `{pattern}` cannot be read: {problem}; write it as `%d-%m-%Y %H:%M`, or `epoch`, \
         `epoch_ms` or `excel`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_tell_date_and_time() {
        for known in [
            "%d-%m-%Y %H:%M",
            "%Y/%m/%d %H:%M:%S",
            "%m/%d/%y %I:%M %p",
            "%Y%m%dT%H%M%S%.fZ",
            "%F %T%:z",
            "%d %b %Y %H",
            "%Y-%m-%d %H:%M %Q",
        ] {
            assert_eq!(pattern(known).map_err(|e| e.to_string()), Ok(()), "{known}");
        }
        for wrong in [
            "",
            "bla",
            "%s",
            "%Q-%d",
            "%Y-%m-%d",
            "%H:%M",
            "%Y-%m-%d %I:%M",
            "%Y-%m-%d %K",
            "%",
            "DD-MM-YYYY",
        ] {
            let error = pattern(wrong).unwrap_err().to_string();
            assert!(error.contains("%d-%m-%Y %H:%M"), "{error}");
        }
    }
}
