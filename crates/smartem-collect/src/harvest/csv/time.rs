//! Times as files write them.

use std::str::FromStr;

use chrono::{NaiveDate, TimeZone};
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::fmt::temporal::{Pieces, TimeZoneAnnotationKind};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use smartem_etl::SettingsError;

use super::check;
use super::clock::Instants;
use super::config::{Mapping, Stamp};

/// Reads the time of a row.
#[derive(Clone, Debug)]
pub(super) struct Times {
    formats: Vec<Format>,
    zone: Zone,
    /// From the stamp to the start of the interval.
    back: SignedDuration,
}

#[derive(Clone, Debug)]
enum Format {
    Usual,
    Epoch { per_second: i128 },
    Excel,
    Pattern(String),
}

#[derive(Clone, Copy, Debug)]
enum Zone {
    Fixed(Offset),
    Named(chrono_tz::Tz),
}

/// No clock is farther from UTC, in seconds.
const FARTHEST_OFFSET: i32 = 14 * 3600;

impl Times {
    pub(super) fn new(mapping: &Mapping) -> Result<Self, SettingsError> {
        let format = |text: &String| match text.as_str() {
            "epoch" => Ok(Format::Epoch { per_second: 1 }),
            "epoch_ms" => Ok(Format::Epoch { per_second: 1000 }),
            "excel" => Ok(Format::Excel),
            pattern => check::pattern(pattern).map(|()| Format::Pattern(pattern.to_owned())),
        };
        let formats = match &mapping.time_format {
            Some(formats) if formats.is_empty() => {
                return Err(SettingsError(
                    "`time_format`: [] reads no time; write one such as `%d-%m-%Y %H:%M`, or leave it out"
                        .to_owned(),
                ));
            }
            Some(formats) => formats.iter().map(format).collect::<Result<_, _>>()?,
            None => vec![Format::Usual],
        };
        let is_end = mapping.stamp == Some(Stamp::End);
        let back = match mapping.interval {
            Some(interval) if is_end && interval > SignedDuration::ZERO => interval,
            _ if is_end => {
                return Err(SettingsError(
                    "`interval`: with `stamp = \"end\"` write what was averaged over, such as \"1h\""
                        .to_owned(),
                ));
            }
            _ => SignedDuration::ZERO,
        };
        Ok(Self {
            formats,
            zone: mapping.time_zone.as_deref().unwrap_or("UTC").parse()?,
            back,
        })
    }

    /// Whether clocks are put back where the times are from.
    pub(super) fn may_come_twice(&self) -> bool {
        matches!(self.zone, Zone::Named(zone) if zone != chrono_tz::UTC)
    }

    /// When the sample of a row stands; the error tells what is wrong with the text.
    pub(super) fn read(&self, text: &str) -> Result<Instants, String> {
        let mut problem = None;
        for format in &self.formats {
            match self.instant(format, text) {
                Ok(Some(instants)) => return self.start_of(instants),
                Ok(None) => {}
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.unwrap_or_else(|| {
            "is no time as `time_format` says; add the way it is written there".to_owned()
        }))
    }

    fn start_of(&self, instants: Instants) -> Result<Instants, String> {
        let start = |time: Timestamp| time.checked_sub(self.back).map_err(|e| e.to_string());
        Ok(Instants {
            first: start(instants.first)?,
            second: instants.second.map(start).transpose()?,
        })
    }

    /// `None` when the text is not of this format.
    fn instant(&self, format: &Format, text: &str) -> Result<Option<Instants>, String> {
        let local = match format {
            Format::Usual => {
                if let Ok(time) = text.parse::<Timestamp>() {
                    return Ok(Some(time.into()));
                }
                if let Some(zone) = zone_in_brackets(text)? {
                    let Ok(local) = text.parse() else {
                        return Ok(None);
                    };
                    return zone.instant(local).map(Some);
                }
                text.parse().ok()
            }
            Format::Epoch { per_second } => return Ok(epoch(text, *per_second).map(Instants::from)),
            Format::Excel => excel(text),
            Format::Pattern(pattern) => {
                let Ok(read) = BrokenDownTime::parse(pattern, text) else {
                    return Ok(None);
                };
                if read.offset().is_some() {
                    return Ok(read.to_timestamp().ok().map(Instants::from));
                }
                if let (Some(zone), Ok(local)) = (read.iana_time_zone(), read.to_datetime()) {
                    return named(zone)?.instant(local).map(Some);
                }
                read.to_datetime().ok()
            }
        };
        match local {
            Some(local) => self.zone.instant(local).map(Some),
            None => Ok(None),
        }
    }
}

impl From<Timestamp> for Instants {
    fn from(time: Timestamp) -> Self {
        Self {
            first: time,
            second: None,
        }
    }
}

/// The zone of a time as RFC 9557 writes it, with no offset before the brackets.
fn zone_in_brackets(text: &str) -> Result<Option<Zone>, String> {
    let Ok(pieces) = Pieces::parse(text) else {
        return Ok(None);
    };
    let zone = pieces.time_zone_annotation().map(|zone| match zone.kind() {
        TimeZoneAnnotationKind::Named(name) => named(name.as_str()),
        TimeZoneAnnotationKind::Offset(offset) => Ok(Zone::Fixed(*offset)),
        _ => Err("names a zone in a way that is not known".to_owned()),
    });
    zone.transpose()
}

fn named(name: &str) -> Result<Zone, String> {
    let zone = name.parse().map(Zone::Named);
    zone.map_err(|_| format!("names the zone `{name}`, which is not known"))
}

impl FromStr for Zone {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        if text.starts_with(['+', '-']) {
            let read = BrokenDownTime::parse("%:z", text);
            if let Some(offset) = read.ok().and_then(|read| read.offset()) {
                if offset.seconds().abs() > FARTHEST_OFFSET {
                    return Err(SettingsError(format!(
                        "`time_zone`: `{text}` is beyond 14 hours; write an offset from `-14:00` to `+14:00`, or an IANA name"
                    )));
                }
                return Ok(Self::Fixed(offset));
            }
        }
        text.parse().map(Self::Named).map_err(|_| {
            SettingsError(format!(
                "`time_zone`: `{text}` is no time zone; write an IANA name such as `Europe/Amsterdam`, or `+01:00`"
            ))
        })
    }
}

impl Zone {
    fn instant(self, local: DateTime) -> Result<Instants, String> {
        let zone = match self {
            Self::Fixed(offset) => {
                let time = offset.to_timestamp(local).map_err(|e| e.to_string())?;
                return Ok(time.into());
            }
            Self::Named(zone) => zone,
        };
        let civil = || {
            let date = NaiveDate::from_ymd_opt(
                local.year().into(),
                local.month().unsigned_abs().into(),
                local.day().unsigned_abs().into(),
            )?;
            date.and_hms_nano_opt(
                local.hour().unsigned_abs().into(),
                local.minute().unsigned_abs().into(),
                local.second().unsigned_abs().into(),
                local.subsec_nanosecond().unsigned_abs(),
            )
        };
        let zoned = civil().map(|civil| zone.from_local_datetime(&civil));
        let Some((first, second)) =
            zoned.and_then(|found| Some((found.earliest()?, found.latest()?)))
        else {
            return Err(format!(
                "does not exist in {zone}, where clocks were put forward; if these clocks are not, \
                 write `time_zone` as a fixed offset"
            ));
        };
        let instant = |zoned: &chrono::DateTime<chrono_tz::Tz>| {
            let nanosecond = i32::try_from(zoned.timestamp_subsec_nanos()).unwrap_or_default();
            Timestamp::new(zoned.timestamp(), nanosecond).map_err(|e| e.to_string())
        };
        let (first, second) = (instant(&first)?, instant(&second)?);
        Ok(Instants {
            first,
            second: Some(second).filter(|second| *second > first),
        })
    }
}

/// Seconds or milliseconds since 1970, digit by digit: no digit of a fraction is lost.
fn epoch(text: &str, per_second: i128) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_negative = whole.starts_with('-');
    let unit = 1_000_000_000 / per_second;
    let mut nanoseconds = whole.parse::<i128>().ok()?.checked_mul(unit)?;
    let mut scale = unit;
    for digit in fraction.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        scale /= 10;
        let part = i128::from(digit - b'0') * scale;
        nanoseconds += if is_negative { -part } else { part };
    }
    Timestamp::from_nanosecond(nanoseconds).ok()
}

/// Days since 1899-12-30 as spreadsheets count them, to the millisecond: they hold no more.
fn excel(text: &str) -> Option<DateTime> {
    let days: f64 = text.parse().ok()?;
    if !(0.0..=2_958_466.0).contains(&days) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the limits above")]
    let milliseconds = (days * 86_400_000.0).round() as i64;
    DateTime::constant(1899, 12, 30, 0, 0, 0, 0)
        .checked_add(SignedDuration::from_millis(milliseconds))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &str, text: &str) -> Result<String, String> {
        let mapping: Mapping = toml::from_str(settings).unwrap();
        let time = Times::new(&mapping).unwrap().read(text)?;
        Ok(time.first.to_string())
    }

    #[test]
    fn the_usual_ways() {
        for text in [
            "2018-11-01T00:00:42",
            "2018-11-01 00:00:42",
            "2018-11-01T00:00:42Z",
            "2018-11-01T01:00:42+01:00",
        ] {
            assert_eq!(read("", text).unwrap(), "2018-11-01T00:00:42Z", "{text}");
        }
        assert!(read("", "01/11/2018").unwrap_err().contains("time_format"));
    }

    #[test]
    fn a_zone_that_a_time_names_itself_comes_first() {
        for (text, time) in [
            (
                "2026-11-01T10:50:00[Europe/Amsterdam]",
                "2026-11-01T09:50:00Z",
            ),
            (
                "2026-07-01 10:50:00[Europe/Amsterdam]",
                "2026-07-01T08:50:00Z",
            ),
            (
                "2026-11-01T10:50:00+02:00[Europe/Kyiv]",
                "2026-11-01T08:50:00Z",
            ),
            ("2026-11-01T10:50:00[+03:00]", "2026-11-01T07:50:00Z"),
        ] {
            assert_eq!(read("", text).unwrap(), time, "{text}");
        }
        let error = read("", "2026-11-01T10:50:00[Europe/Nowhere]").unwrap_err();
        assert!(error.contains("Europe/Nowhere"), "{error}");
        assert_eq!(
            read(
                "time_format = [\"%F %T %Q\"]",
                "2026-11-01 10:50:00 Europe/Amsterdam"
            )
            .unwrap(),
            "2026-11-01T09:50:00Z"
        );
    }

    #[test]
    fn days_and_hours_need_no_zeros_before_them() {
        let settings = "time_format = [\"%d/%m/%Y %H:%M:%S\"]\ntime_zone = \"+01:00\"";
        assert_eq!(
            read(settings, "1/4/2004 0:00:00").unwrap(),
            "2004-03-31T23:00:00Z"
        );
        assert_eq!(
            read(settings, "10/03/2004 18:00:00").unwrap(),
            "2004-03-10T17:00:00Z"
        );
        assert!(read(settings, "32/03/2004 18:00:00").is_err());
    }

    #[test]
    fn the_end_of_an_hour_belongs_to_that_hour() {
        let settings = "stamp = \"end\"\ninterval = \"1h\"";
        assert_eq!(
            read(settings, "2020-02-08 00:00:00").unwrap(),
            "2020-02-07T23:00:00Z"
        );
        let mapping: Mapping = toml::from_str("stamp = \"end\"").unwrap();
        assert!(Times::new(&mapping).is_err());
    }

    #[test]
    fn numbers_of_seconds_and_of_days() {
        assert_eq!(
            read("time_format = [\"epoch\"]", "1541030442.25").unwrap(),
            "2018-11-01T00:00:42.25Z"
        );
        assert_eq!(
            read("time_format = [\"epoch_ms\"]", "1541030442250").unwrap(),
            "2018-11-01T00:00:42.25Z"
        );
        assert_eq!(
            read("time_format = [\"excel\"]", "43405.5").unwrap(),
            "2018-11-01T12:00:00Z"
        );
    }

    #[test]
    fn local_times_that_come_twice_or_never() {
        let settings = "time_zone = \"Europe/Amsterdam\"";
        assert_eq!(
            read(settings, "2026-07-01 12:00:00").unwrap(),
            "2026-07-01T10:00:00Z"
        );
        assert_eq!(
            read(settings, "2026-10-25 02:30:00").unwrap(),
            "2026-10-25T00:30:00Z"
        );
        let error = read(settings, "2026-03-29 02:30:00").unwrap_err();
        assert!(error.contains("fixed offset"), "{error}");
        assert!("Europe/Nowhere".parse::<Zone>().is_err());
    }
}
