//! R9: one location for the whole record.

use smartem_model::raw::Samples;
use smartem_model::{Position, PositionSource};

use crate::definition::{CoordinateEncoding, LocationKeys};
use crate::noise::word;
use crate::prepare::Prepared;

/// The position of the newest fix among the samples, and the newest valid altitude, each by itself.
pub(crate) fn from_samples(
    prepared: &Prepared<'_>,
    keys: &LocationKeys,
) -> (Option<Position>, Option<f64>) {
    let longitudes = prepared.readings_of(&keys.longitude);
    let latitudes = prepared.readings_of(&keys.latitude);
    let mut newest: Option<(usize, Position)> = None;
    for (at, (lon, lat)) in longitudes.into_iter().zip(latitudes).enumerate() {
        let fix = fix(lon.number(), lat.number(), keys.encoding);
        if let Some(fix) = fix
            && newest.is_none_or(|(known, best)| {
                is_newer(prepared, at, known, || {
                    (fix.lon, fix.lat) >= (best.lon, best.lat)
                })
            })
        {
            newest = Some((at, fix));
        }
    }
    (
        newest.map(|(_, position)| position),
        altitude(prepared, keys),
    )
}

/// The position of one sample (R9.1, R9.2).
pub(crate) fn of_sample(samples: &Samples, row: usize, keys: &LocationKeys) -> Option<Position> {
    let number = |key: &str| samples.column(key)?.cell(row).number();
    fix(
        number(&keys.longitude)?,
        number(&keys.latitude)?,
        keys.encoding,
    )
}

/// A position from two coordinates as a sample writes them; NaN is none.
fn fix(lon: f64, lat: f64, encoding: CoordinateEncoding) -> Option<Position> {
    Position::horizontal(degrees(lon, encoding)?, degrees(lat, encoding)?)
}

/// Whether sample `at`, which stands behind `known` in the order of samples, supersedes it.
///
/// Only samples without time share their place in the order; among them `greater` decides.
fn is_newer(prepared: &Prepared<'_>, at: usize, known: usize, greater: impl Fn() -> bool) -> bool {
    let (new, old) = (prepared.samples[at], prepared.samples[known]);
    (new.time, new.stream) != (old.time, old.stream) || greater()
}

fn altitude(prepared: &Prepared<'_>, keys: &LocationKeys) -> Option<f64> {
    let mut newest: Option<(usize, f64)> = None;
    let readings = prepared.readings_of(keys.altitude.as_ref()?);
    for (at, reading) in readings.into_iter().enumerate() {
        let metres = reading.number();
        if Position::valid_altitude(metres).is_some()
            && newest.is_none_or(|(known, best)| is_newer(prepared, at, known, || metres >= best))
        {
            newest = Some((at, metres));
        }
    }
    newest.map(|(_, metres)| metres)
}

fn degrees(value: f64, encoding: CoordinateEncoding) -> Option<f64> {
    if value.is_nan() {
        return None;
    }
    match encoding {
        CoordinateEncoding::Degrees => Some(value),
        CoordinateEncoding::Josene => josene_degrees(word(value)?),
    }
}

/// Decodes a Josene coordinate (R9.2): sign nibble, whole degrees, millionths.
fn josene_degrees(word: u32) -> Option<f64> {
    let sign = match word >> 28 {
        0 => 1.0,
        8 => -1.0,
        _ => return None,
    };
    let whole = (word >> 20) & 0xFF;
    let millionths = word & 0xF_FFFF;
    let is_coordinate = millionths <= 999_999 && (whole, millionths) != (0, 0);
    is_coordinate.then(|| sign * (f64::from(whole) + f64::from(millionths) / 1e6))
}

/// Where the record was measured, best source first (R9.3).
pub(crate) fn choose(
    fix: Option<Position>,
    point: Option<Position>,
    station: Option<Position>,
) -> Option<(Position, PositionSource)> {
    fix.map(|position| (position, PositionSource::Fix))
        .or(point.map(|position| (position, PositionSource::Point)))
        .or(station.map(|position| (position, PositionSource::Station)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn josene_words_decode_as_the_vendor_says() {
        assert_eq!(josene_degrees(5_914_103), Some(5.671_223));
        assert_eq!(josene_degrees(53_949_937), Some(51.472_561));
        assert_eq!(josene_degrees(0x8000_0000 + 5_914_103), Some(-5.671_223));
    }

    #[test]
    fn patterns_that_are_no_coordinate_are_refused() {
        for word in [
            0,
            0x8000_0000,
            0x801F_FFFF,
            0xFFFF_FFFF,
            0x1000_0001,
            1_000_000,
        ] {
            assert_eq!(josene_degrees(word), None, "{word:#x}");
        }
    }
}
