//! The shapes of the answers; what each field means is told to readers of the OpenAPI document.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use smartem_model::{
    Averaging, Closed, ColourClass, ColourScale, ColourStop, Flag, Hour, Indicator, Observation,
    Period, Position, PositionSource, Quality, Quarantine, StationId, Text, Unit, Vocabulary,
};
use smartem_store::{HourView, LastValue, StationView};
use utoipa::ToSchema;

use crate::ServeState;

/// What decides whether a value is stale.
#[derive(Clone, Copy)]
pub(super) struct Freshness {
    now: Timestamp,
    stale_after: SignedDuration,
}

impl Freshness {
    pub(super) fn new(state: &ServeState, now: Timestamp) -> Self {
        Self {
            now,
            stale_after: SignedDuration::try_from(state.stale_after).unwrap_or(SignedDuration::MAX),
        }
    }
}

/// All stations.
#[derive(Serialize, ToSchema)]
#[schema(as = Stations)]
pub(super) struct StationsBody<'a> {
    /// The time at which the values were judged stale or not.
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    /// After how many seconds a newest value counts as stale.
    stale_after_s: i64,
    /// By id.
    #[schema(value_type = Vec<StationBody>)]
    #[serde(serialize_with = "one_by_one")]
    stations: (&'a [StationView], Freshness),
}

impl<'a> StationsBody<'a> {
    pub(super) fn new(views: &'a [StationView], freshness: Freshness) -> Self {
        Self {
            time: freshness.now,
            stale_after_s: freshness.stale_after.as_secs(),
            stations: (views, freshness),
        }
    }
}

/// Makes the body of a station when it is written: those of thousands are never held at a time.
fn one_by_one<S: Serializer>(
    (views, freshness): &(&[StationView], Freshness),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(views.iter().map(|view| StationBody::new(view, *freshness)))
}

/// A station with its newest values.
#[derive(Serialize, ToSchema)]
#[schema(as = Station)]
struct StationBody<'a> {
    /// The id.
    id: &'a str,
    /// A name for readers; the id where there is none.
    name: &'a str,
    /// The network it belongs to.
    network: &'a str,
    /// The project whose station it is.
    #[schema(required)]
    project: Option<&'a str>,
    /// Its type, the name of a definition.
    station_type: &'a str,
    /// Where it is, as far as is known.
    #[schema(required)]
    location: Option<PositionBody>,
    /// The newest value of each series.
    last: Vec<LastBody<'a>>,
}

impl<'a> StationBody<'a> {
    fn new(view: &'a StationView, freshness: Freshness) -> Self {
        let last = view.last.iter();
        Self {
            id: view.id.as_str(),
            name: view.name.as_deref().unwrap_or(view.id.as_str()),
            network: &view.network,
            project: view.project.as_deref(),
            station_type: &view.station_type,
            location: view.location.map(PositionBody::from),
            last: last.map(|value| LastBody::new(value, freshness)).collect(),
        }
    }
}

/// A station with its newest values and the extent of its observations.
#[derive(Serialize, ToSchema)]
#[schema(as = StationDetail)]
pub(super) struct StationDetailBody<'a> {
    /// The id.
    id: &'a str,
    /// A name for readers; the id where there is none.
    name: &'a str,
    /// The network it belongs to.
    network: &'a str,
    /// The project whose station it is.
    #[schema(required)]
    project: Option<&'a str>,
    /// Its type, the name of a definition.
    station_type: &'a str,
    /// Where it is, as far as is known.
    #[schema(required)]
    location: Option<PositionBody>,
    /// The newest value of each series.
    last: Vec<LastBody<'a>>,
    /// Start of its first observation.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    first_time: Option<Timestamp>,
    /// End of its last observation.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    last_time: Option<Timestamp>,
    /// Seconds between samples, where it differs from others of its type.
    #[schema(required)]
    cadence_s: Option<f64>,
}

impl<'a> StationDetailBody<'a> {
    pub(super) fn new(view: &'a StationView, freshness: Freshness) -> Self {
        let station = StationBody::new(view, freshness);
        Self {
            id: station.id,
            name: station.name,
            network: station.network,
            project: station.project,
            station_type: station.station_type,
            location: station.location,
            last: station.last,
            first_time: view.first_time,
            last_time: view.last_time,
            cadence_s: view.cadence_s,
        }
    }
}

/// The newest value of a series.
#[derive(Serialize, ToSchema)]
#[schema(as = LastValue)]
struct LastBody<'a> {
    /// The name of the indicator.
    indicator: &'a str,
    /// The instrument.
    sensor: &'a str,
    /// English label of the indicator.
    label: &'a str,
    /// UCUM code of the unit of `value`.
    unit: &'a str,
    /// What the value is the average of; at its end the value was current.
    #[serde(rename = "phenomenonTime")]
    period: PeriodBody,
    /// Not rounded.
    value: f64,
    /// Remarks on the quality, sorted.
    #[schema(value_type = Vec<String>)]
    flags: &'a [Flag],
    /// Whether it is older than `stale_after_s`.
    stale: bool,
}

impl<'a> LastBody<'a> {
    fn new(last: &'a LastValue, freshness: Freshness) -> Self {
        Self {
            indicator: &last.indicator,
            sensor: &last.sensor,
            label: &last.label,
            unit: &last.unit,
            period: last.period.into(),
            value: last.value,
            flags: &last.flags,
            stale: freshness.now.duration_since(last.period.end) > freshness.stale_after,
        }
    }
}

/// A page of observations.
#[derive(Serialize, ToSchema)]
#[schema(as = Observations)]
pub(super) struct ObservationsBody<'a> {
    /// The station.
    station: &'a str,
    /// Ascending by start, indicator, sensor and unit.
    observations: Vec<ObservationBody<'a>>,
    /// Path and query of the following page; null on the last one.
    #[schema(required)]
    next: Option<String>,
}

impl<'a> ObservationsBody<'a> {
    pub(super) fn new(
        station: &'a StationId,
        observations: &'a [Observation],
        next: Option<String>,
    ) -> Self {
        Self {
            station: station.as_str(),
            observations: observations.iter().map(ObservationBody::from).collect(),
            next,
        }
    }
}

/// A refined value.
#[derive(Serialize, ToSchema)]
#[schema(as = Observation)]
struct ObservationBody<'a> {
    /// The station.
    station: &'a str,
    /// Its type, the name of a definition.
    station_type: &'a str,
    /// The name of the indicator.
    indicator: &'a str,
    /// English label of the indicator.
    label: &'a str,
    /// UCUM code of the unit of `value`, `min` and `max`.
    unit: &'a str,
    /// What the value is the average of.
    #[serde(rename = "phenomenonTime")]
    phenomenon_time: PeriodBody,
    /// Average over the accepted samples; energetic for sound levels.
    value: f64,
    /// Smallest accepted sample value.
    min: f64,
    /// Largest accepted sample value.
    max: f64,
    /// Mean of the primary raw input over the same samples, in `raw_unit`.
    #[schema(required)]
    raw: Option<f64>,
    /// UCUM code of the unit of `raw`.
    #[schema(required)]
    raw_unit: Option<&'a str>,
    /// Samples that made the value.
    accepted_count: u64,
    /// Samples that were refused.
    rejected_count: u64,
    /// How much the value can be trusted.
    quality: QualityBody<'a>,
    /// Where it was measured.
    location: PositionBody,
    /// The instrument.
    sensor: &'a str,
    /// The station-type definition that made the value, with its version.
    definition: &'a str,
    /// The calibration model; null where none was needed.
    #[schema(required)]
    model: Option<&'a str>,
    /// The raw record that it was made from.
    raw_record: RawRecordBody<'a>,
}

/// A raw record: what a station sent in an hour.
#[derive(Serialize, ToSchema)]
#[schema(as = RawRecord)]
struct RawRecordBody<'a> {
    /// The station.
    station: &'a str,
    /// Start of the hour.
    #[schema(value_type = String, format = DateTime)]
    hour: Timestamp,
    /// Path of what was made of it; with `/raw` behind it, of the record itself.
    href: String,
}

impl<'a> RawRecordBody<'a> {
    fn new(station: &'a StationId, time: Timestamp) -> Self {
        // An observation lies within an hour that exists.
        let hour = Hour::containing(time).map_or(time, |hour| hour.period().start);
        Self {
            station: station.as_str(),
            hour,
            href: hour_path(station, hour),
        }
    }
}

/// The path of a station-hour.
fn hour_path(station: &StationId, start: Timestamp) -> String {
    let encoded: String = form_urlencoded::byte_serialize(station.as_str().as_bytes()).collect();
    // A form writes a blank as plus, a path does not.
    format!(
        "/api/v1/stations/{}/hours/{start}",
        encoded.replace('+', "%20")
    )
}

impl<'a> From<&'a Observation> for ObservationBody<'a> {
    fn from(observation: &'a Observation) -> Self {
        Self {
            station: observation.station.as_str(),
            station_type: &observation.station_type,
            indicator: &observation.indicator,
            label: &observation.label,
            unit: &observation.unit,
            phenomenon_time: observation.phenomenon_time.into(),
            value: observation.value,
            min: observation.min,
            max: observation.max,
            raw: observation.raw,
            raw_unit: observation.raw_unit.as_deref(),
            accepted_count: observation.accepted_count,
            rejected_count: observation.rejected_count,
            quality: (&observation.quality).into(),
            location: observation.location.into(),
            sensor: &observation.sensor,
            definition: &observation.definition,
            model: observation.model.as_deref(),
            raw_record: RawRecordBody::new(&observation.station, observation.phenomenon_time.start),
        }
    }
}

/// What was made of a station-hour, and how.
#[derive(Serialize, ToSchema)]
#[schema(as = StationHour)]
pub(super) struct HourBody<'a> {
    /// The station.
    station: &'a str,
    /// The hour.
    #[serde(rename = "phenomenonTime")]
    period: PeriodBody,
    /// The source that brought the raw record.
    source: &'a str,
    /// When the raw record, as it is now, arrived.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    /// Path of the raw record.
    raw: String,
    /// Whether it is to be refined: for the first time when nothing else is told here, else again.
    waiting: bool,
    /// By indicator, sensor and unit.
    observations: Vec<ObservationBody<'a>>,
    /// Samples that were refused, for each indicator and instrument.
    rejections: Vec<RejectionsBody>,
    /// Where it was measured; null when that is not known.
    #[schema(required)]
    position: Option<PositionBody>,
    /// Who says so: `fix` a sample, `point` the record, `station` what is known of the station.
    #[schema(required, value_type = Option<String>)]
    position_source: Option<PositionSource>,
    /// Why nothing of it is published; null when it is.
    #[schema(required)]
    quarantine: Option<QuarantineBody<'a>>,
    /// The station-type definitions that made the values, each with its hash.
    definitions: BTreeSet<&'a str>,
    /// The calibration models that made the values, each with its hash.
    models: BTreeSet<&'a str>,
}

impl<'a> HourBody<'a> {
    pub(super) fn new(
        station: &'a StationId,
        hour: Hour,
        view: &'a HourView,
    ) -> Result<Self, serde_json::Error> {
        let start = hour.period().start;
        let (refined, observations) = (view.refined.as_ref(), &view.observations);
        let position = refined.and_then(|refined| refined.position);
        Ok(Self {
            station: station.as_str(),
            period: hour.period().into(),
            source: &view.source,
            received_at: view.received_at,
            raw: format!("{}/raw", hour_path(station, start)),
            waiting: view.is_waiting,
            rejections: match refined {
                Some(refined) => RejectionsBody::list(&refined.rejections, observations)?,
                None => Vec::new(),
            },
            position: position.map(|(position, _)| position.into()),
            position_source: position.map(|(_, source)| source),
            quarantine: refined.and_then(|it| it.quarantine.as_ref()).map(<_>::from),
            definitions: observations.iter().map(|it| &*it.definition).collect(),
            models: observations
                .iter()
                .filter_map(|it| it.model.as_deref())
                .collect(),
            observations: observations.iter().map(ObservationBody::from).collect(),
        })
    }
}

/// The samples of an hour that were refused for one indicator and instrument.
#[derive(Serialize, ToSchema)]
#[schema(as = Rejections)]
struct RejectionsBody {
    /// The name of the indicator; null for samples that served none.
    #[schema(required)]
    indicator: Option<String>,
    /// The instrument; null together with the indicator.
    #[schema(required)]
    sensor: Option<String>,
    /// Samples that were accepted; null together with the indicator.
    #[schema(required)]
    accepted_count: Option<u64>,
    /// Samples that were refused.
    rejected_count: u64,
    /// For each reason.
    reasons: Vec<RejectionBody>,
}

impl RejectionsBody {
    /// Groups the kept rejections of an hour, in their order.
    fn list(kept: &Value, observations: &[Observation]) -> Result<Vec<Self>, serde_json::Error> {
        let mut groups: Vec<Self> = Vec::new();
        for rejection in Vec::<KeptRejection>::deserialize(kept)? {
            let KeptRejection {
                indicator,
                sensor,
                reason,
            } = rejection;
            let at = groups
                .iter()
                .position(|it| it.indicator == indicator && it.sensor == sensor);
            let at = at.unwrap_or_else(|| {
                groups.push(Self::new(indicator, sensor, observations));
                groups.len() - 1
            });
            groups[at].rejected_count += reason.count;
            groups[at].reasons.push(reason);
        }
        Ok(groups)
    }

    fn new(
        indicator: Option<String>,
        sensor: Option<String>,
        observations: &[Observation],
    ) -> Self {
        let is_same = |it: &&Observation| {
            Some(&*it.indicator) == indicator.as_deref() && Some(&*it.sensor) == sensor.as_deref()
        };
        let made = observations.iter().find(is_same);
        Self {
            accepted_count: indicator
                .is_some()
                .then(|| made.map_or(0, |observation| observation.accepted_count)),
            indicator,
            sensor,
            rejected_count: 0,
            reasons: Vec::new(),
        }
    }
}

/// A rejection as the store keeps it.
#[derive(Deserialize)]
struct KeptRejection {
    indicator: Option<String>,
    sensor: Option<String>,
    #[serde(flatten)]
    reason: RejectionBody,
}

/// How many samples were refused for one reason.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Rejection)]
struct RejectionBody {
    /// One of a closed list: `below_minimum`, `missing_input`, ...
    reason: String,
    /// How many samples.
    count: u64,
    /// The first of them.
    example: ExampleBody,
}

/// A sample that was refused.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Example)]
struct ExampleBody {
    /// Its time as delivered.
    #[schema(required)]
    time: Option<String>,
    /// The input that failed, or the indicator when its result did.
    #[schema(required)]
    input: Option<String>,
    /// The value that failed, in the form it came in.
    #[schema(required)]
    value: Value,
}

/// Why nothing of a station-hour is published.
#[derive(Serialize, ToSchema)]
#[schema(as = Quarantine)]
struct QuarantineBody<'a> {
    /// One of a closed list: `no_location`, `unknown_device_type`, ...
    reason: &'a str,
    /// What exactly, in words.
    detail: &'a str,
}

impl<'a> From<&'a Quarantine> for QuarantineBody<'a> {
    fn from(quarantine: &'a Quarantine) -> Self {
        Self {
            reason: quarantine.reason.as_str(),
            detail: &quarantine.detail,
        }
    }
}

/// How much a value can be trusted.
#[derive(Serialize, ToSchema)]
#[schema(as = Quality)]
struct QualityBody<'a> {
    /// Share of the samples that were accepted, 0 to 1.
    fraction: f64,
    /// Share of the hour that samples cover, 0 to 1; null without a known cadence.
    #[schema(required)]
    coverage: Option<f64>,
    /// Remarks, sorted.
    #[schema(value_type = Vec<String>)]
    flags: &'a [Flag],
}

impl<'a> From<&'a Quality> for QualityBody<'a> {
    fn from(quality: &'a Quality) -> Self {
        Self {
            fraction: quality.fraction,
            coverage: quality.coverage,
            flags: &quality.flags,
        }
    }
}

/// A half-open interval of time; an instant when both are equal.
#[derive(Serialize, ToSchema)]
#[schema(as = Period)]
struct PeriodBody {
    /// Included.
    #[schema(value_type = String, format = DateTime)]
    start: Timestamp,
    /// Excluded, unless the period is an instant.
    #[schema(value_type = String, format = DateTime)]
    end: Timestamp,
}

impl From<Period> for PeriodBody {
    fn from(Period { start, end }: Period) -> Self {
        Self { start, end }
    }
}

/// A position in WGS 84.
#[derive(Serialize, ToSchema)]
#[schema(as = Position)]
struct PositionBody {
    /// Degrees east.
    lon: f64,
    /// Degrees north.
    lat: f64,
    /// Metres; null when unknown.
    #[schema(required)]
    alt: Option<f64>,
}

impl From<Position> for PositionBody {
    fn from(Position { lon, lat, alt }: Position) -> Self {
        Self { lon, lat, alt }
    }
}

/// The indicators that are known.
#[derive(Serialize, ToSchema)]
#[schema(as = Indicators)]
pub(super) struct IndicatorsBody<'a> {
    /// In the order in which they are offered to a reader.
    indicators: Vec<IndicatorBody<'a>>,
}

impl<'a> From<&'a Vocabulary> for IndicatorsBody<'a> {
    fn from(vocabulary: &'a Vocabulary) -> Self {
        let indicators = vocabulary.indicators().iter();
        let body = |indicator: &'a Indicator| {
            // The vocabulary was refused if one of its units had no name.
            let unit = vocabulary.units().get(&indicator.unit)?;
            Some(IndicatorBody::new(indicator, unit))
        };
        Self {
            indicators: indicators.filter_map(body).collect(),
        }
    }
}

/// What is measured, in which unit, and how it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Indicator)]
struct IndicatorBody<'a> {
    /// The name.
    name: &'a str,
    /// Short label.
    label: TextBody<'a>,
    /// One plain sentence.
    description: TextBody<'a>,
    /// UCUM code of the usual unit, the one of the scale; a station may have another.
    unit: &'a str,
    /// What that unit is called.
    unit_label: TextBody<'a>,
    /// How the unit is written on a page.
    symbol: &'a str,
    /// Digits after the point on a page.
    decimals: u8,
    /// How an average over time or stations is made.
    average: AverageBody,
    /// Whether the map offers it.
    on_map: bool,
    /// From value to colour.
    scale: ScaleBody<'a>,
}

impl<'a> IndicatorBody<'a> {
    fn new(indicator: &'a Indicator, unit: &'a Unit) -> Self {
        Self {
            name: &indicator.name,
            label: (&indicator.label).into(),
            description: (&indicator.description).into(),
            unit: &indicator.unit,
            unit_label: (&unit.label).into(),
            symbol: &indicator.symbol,
            decimals: indicator.decimals,
            average: indicator.average.into(),
            on_map: indicator.on_map,
            scale: (&indicator.scale).into(),
        }
    }
}

/// The units in which values are given.
#[derive(Serialize, ToSchema)]
#[schema(as = Units)]
pub(super) struct UnitsBody<'a> {
    /// By code.
    units: Vec<UnitBody<'a>>,
}

impl<'a> From<&'a Vocabulary> for UnitsBody<'a> {
    fn from(vocabulary: &'a Vocabulary) -> Self {
        let body = |(code, unit): (&'a Arc<str>, &'a Unit)| UnitBody {
            code,
            symbol: &unit.symbol,
            label: (&unit.label).into(),
            quantity: &unit.quantity,
        };
        Self {
            units: vocabulary.units().iter().map(body).collect(),
        }
    }
}

/// A unit: its code, how it is written, and what it is called.
#[derive(Serialize, ToSchema)]
#[schema(as = Unit)]
struct UnitBody<'a> {
    /// UCUM code, as observations give it; case matters.
    code: &'a str,
    /// How it is written behind a number; empty where nothing is written.
    symbol: &'a str,
    /// What it is called.
    label: TextBody<'a>,
    /// What is measured in it, in English; empty where a station type does not tell.
    quantity: &'a str,
}

/// A text in the languages of the platform.
#[derive(Serialize, ToSchema)]
#[schema(as = Text)]
struct TextBody<'a> {
    /// English.
    en: &'a str,
    /// Dutch.
    nl: &'a str,
}

impl<'a> From<&'a Text> for TextBody<'a> {
    fn from(text: &'a Text) -> Self {
        Self {
            en: &text.en,
            nl: &text.nl,
        }
    }
}

/// How an average is made: as usual, as energy of sound, or as the class of such an average.
#[derive(Serialize, ToSchema)]
#[schema(as = Average)]
#[serde(rename_all = "snake_case")]
enum AverageBody {
    Arithmetic,
    Energetic,
    Class,
}

impl From<Averaging> for AverageBody {
    fn from(averaging: Averaging) -> Self {
        match averaging {
            Averaging::Arithmetic => Self::Arithmetic,
            Averaging::Energetic => Self::Energetic,
            Averaging::Class => Self::Class,
        }
    }
}

/// From value to colour.
#[derive(Serialize, ToSchema)]
#[schema(as = Scale)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ScaleBody<'a> {
    /// Linear between stops, clamped at the ends.
    Ramp {
        /// In increasing order of value.
        stops: Vec<StopBody<'a>>,
    },
    /// One colour for each class.
    Classes {
        /// Which end of a class belongs to it.
        closed: ClosedBody,
        /// Without gaps, the first open below, the last open above.
        classes: Vec<ClassBody<'a>>,
    },
}

impl<'a> From<&'a ColourScale> for ScaleBody<'a> {
    fn from(scale: &'a ColourScale) -> Self {
        match scale {
            ColourScale::Ramp { stops } => Self::Ramp {
                stops: stops.iter().map(StopBody::from).collect(),
            },
            ColourScale::Classes { closed, classes } => Self::Classes {
                closed: (*closed).into(),
                classes: classes.iter().map(ClassBody::from).collect(),
            },
        }
    }
}

/// A point of a ramp.
#[derive(Serialize, ToSchema)]
#[schema(as = Stop)]
struct StopBody<'a> {
    /// In the unit of the indicator.
    value: f64,
    /// `#rrggbb`
    colour: &'a str,
}

impl<'a> From<&'a ColourStop> for StopBody<'a> {
    fn from(stop: &'a ColourStop) -> Self {
        Self {
            value: stop.value,
            colour: &stop.colour,
        }
    }
}

/// The end of a class that belongs to it: lower is `from <= v < to`, upper `from < v <= to`.
#[derive(Serialize, ToSchema)]
#[schema(as = Closed)]
#[serde(rename_all = "snake_case")]
enum ClosedBody {
    Lower,
    Upper,
}

impl From<Closed> for ClosedBody {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Lower => Self::Lower,
            Closed::Upper => Self::Upper,
        }
    }
}

/// A class of values.
#[derive(Serialize, ToSchema)]
#[schema(as = Class)]
struct ClassBody<'a> {
    /// In the unit of the indicator; null: open below.
    #[schema(required)]
    from: Option<f64>,
    /// In the unit of the indicator; null: open above.
    #[schema(required)]
    to: Option<f64>,
    /// `#rrggbb`
    colour: &'a str,
    /// Colour of a text on it, `#rrggbb`.
    text: &'a str,
    /// What the class is called.
    label: TextBody<'a>,
}

impl<'a> From<&'a ColourClass> for ClassBody<'a> {
    fn from(class: &'a ColourClass) -> Self {
        Self {
            from: class.from,
            to: class.to,
            colour: &class.colour,
            text: &class.text,
            label: (&class.label).into(),
        }
    }
}
