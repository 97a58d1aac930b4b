//! From a push to points: what of it may be kept, and what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smartem_http::auth::{Principal, Right};
use smartem_http::{Kind, Problem};
use smartem_model::{QuarantineReason, StationId};
use smartem_points::{FieldValue, PointBatch, SeriesKey};
use smartem_store::{Quarantined, Store, StoreError};
use utoipa::ToSchema;

use super::parse::{Fault, Push, Sample, SampleValue, StationSamples, below};
use crate::receive::PointSink;
use crate::receive::aside::Aside;
use crate::receive::sink::not_kept;
use crate::receive::stations::{Known, Stations};

/// Faults that an answer lists at most; all are counted.
const LISTED: usize = 100;
/// Clocks of stations may be ahead by so much.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Settings of receivers of push objects.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// Whether a station that is not known is made so by its first push.
    pub auto_register: bool,
    /// The type of such a station, where the push does not say it.
    pub station_type: String,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            auto_register: false,
            station_type: "vanilla".to_owned(),
        }
    }
}

/// Takes push objects, from whatever side they come.
pub struct PushReceiver {
    name: &'static str,
    config: PushConfig,
    /// Station types that are known.
    types: BTreeSet<String>,
    databases: Arc<dyn PointSink>,
    stations: Stations,
    aside: Aside,
}

/// What became of a push.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = PushReport)]
pub struct Report {
    /// Samples that are stored.
    pub accepted: u64,
    /// Samples that are not, and stations of which none is.
    pub refused: u64,
    /// What is wrong with these, the first hundred.
    pub faults: Vec<Refusal>,
}

/// Something in a push that was not stored.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PushFault)]
pub struct Refusal {
    /// Where it stands in the push.
    #[schema(example = "samples[3].no2")]
    pub place: String,
    /// The value that stands there, shortened.
    #[schema(example = "\"12.3\"")]
    pub value: String,
    /// What is wrong with it and what helps.
    #[schema(example = "a text; write numbers without quotation marks")]
    pub problem: String,
}

/// A fault with the reason for setting its text aside.
type Reasoned = (Fault, QuarantineReason);

impl PushReceiver {
    /// A receiver of this name, which is also that of its database and its quarantine source; the
    /// database must be there.
    pub fn new(
        name: &'static str,
        config: PushConfig,
        types: BTreeSet<String>,
        store: &Store,
        databases: Arc<dyn PointSink>,
    ) -> Self {
        Self {
            name,
            config,
            types,
            databases,
            stations: Stations::new(store.clone()),
            aside: Aside::new(store.clone(), name),
        }
    }

    /// Stores the good samples of a push, durably, and sets the others aside.
    ///
    /// # Errors
    /// [`Kind::Forbidden`] when the principal may not write for one of the stations, and
    /// [`Kind::Unavailable`]; nothing is stored then.
    pub async fn take(
        &self,
        push: Push,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Report, Problem> {
        let malformed = |fault| (fault, QuarantineReason::MalformedRecord);
        let mut faults: Vec<Reasoned> = push.faults.into_iter().map(malformed).collect();
        let stations = self
            .admit(push.stations, principal, now, &mut faults)
            .await?;
        let (batch, samples) = batch_of(stations, now, &mut faults);
        let mut report = Report::default();
        if !batch.is_empty() {
            let written = self.databases.write(self.name, batch);
            let written = written.await.map_err(not_kept)?;
            report.accepted = written.written;
            for refused in written.refused {
                let line = usize::try_from(refused.line).unwrap_or_default();
                let Some((station, sample)) = line.checked_sub(1).and_then(|at| samples.get(at))
                else {
                    continue;
                };
                let place = below(&sample.place, &refused.field);
                let problem = format!(
                    "a {} here, and a {} in all samples of `{}` before; send it as such",
                    refused.sent, refused.known, refused.measurement
                );
                let mut fault = Fault::new(place, &sample.text, problem);
                fault.station = Some(station.clone());
                faults.push(malformed(fault));
            }
        }
        report.refused = faults.len() as u64;
        let listed = faults.iter().take(LISTED).map(|(fault, _)| Refusal {
            place: fault.place.clone(),
            value: fault.value.clone(),
            problem: fault.problem.clone(),
        });
        report.faults = listed.collect();
        let bad: BTreeSet<&StationId> = faults
            .iter()
            .filter_map(|(fault, _)| fault.station.as_ref())
            .collect();
        let good: BTreeSet<&StationId> = samples.iter().map(|(station, _)| station).collect();
        for station in good.difference(&bad) {
            self.aside.understood(station.as_str(), now).await;
        }
        self.set_aside(faults, now).await?;
        Ok(report)
    }

    /// Sets a whole body aside that is no push.
    pub async fn refuse(&self, fault: Fault, now: Timestamp) -> Result<(), Problem> {
        let fault = (fault, QuarantineReason::MalformedRecord);
        self.set_aside(vec![fault], now).await
    }

    /// The stations for which the principal may write, each with what is known of it.
    async fn admit(
        &self,
        stations: Vec<StationSamples>,
        principal: &Principal,
        now: Timestamp,
        faults: &mut Vec<Reasoned>,
    ) -> Result<Vec<(StationSamples, Known)>, Problem> {
        let mut found = Vec::with_capacity(stations.len());
        for of in stations {
            let known = self.stations.find(&of.station).await.map_err(failed)?;
            let project = match &known {
                Some(known) => known.project.as_deref(),
                // A new station is one of the principal's project.
                None => principal.project.as_deref(),
            };
            principal.demand(Right::Write, project)?;
            found.push((of, known));
        }
        let mut admitted = Vec::with_capacity(found.len());
        for (of, known) in found {
            let checked = match known {
                Some(known) => check_type(&of, known),
                None => self.register(&of, principal, now).await?,
            };
            match checked {
                Ok(known) => admitted.push((of, known)),
                Err((problem, reason)) => {
                    let texts: Vec<&str> = of.samples.iter().map(|it| it.text.as_str()).collect();
                    let mut fault = Fault::new(
                        below(&of.place, "station"),
                        &format!("\"{}\"", of.station),
                        problem,
                    );
                    fault.text = texts.join(",");
                    fault.station = Some(of.station);
                    faults.push((fault, reason));
                }
            }
        }
        Ok(admitted)
    }

    /// Makes a station known, where that is wanted; else why not.
    async fn register(
        &self,
        of: &StationSamples,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<Result<Known, (String, QuarantineReason)>, Problem> {
        if !self.config.auto_register {
            let problem = "there is no station of this id; whoever runs the server makes it known \
                           with `smartem device import`";
            return Ok(Err((problem.to_owned(), QuarantineReason::UnknownStation)));
        }
        let station_type = of
            .station_type
            .as_ref()
            .unwrap_or(&self.config.station_type);
        if !self.types.contains(station_type) {
            let types: Vec<&str> = self.types.iter().map(String::as_str).collect();
            let problem = format!(
                "there is no station type `{station_type}`; known are `{}`",
                types.join("`, `")
            );
            return Ok(Err((problem, QuarantineReason::UnknownDeviceType)));
        }
        let known = Known {
            station_type: station_type.as_str().into(),
            project: principal.project.clone(),
        };
        let registered = self.stations.register(&of.station, known, self.name, now);
        Ok(Ok(registered.await.map_err(failed)?))
    }

    /// An entry for each station: its samples as a list, with the first fault.
    async fn set_aside(&self, faults: Vec<Reasoned>, now: Timestamp) -> Result<(), Problem> {
        let mut by_place = BTreeMap::<String, Vec<Reasoned>>::new();
        for (fault, reason) in faults {
            let station = fault.station.as_ref();
            let place = station.map_or("no station", StationId::as_str).to_owned();
            by_place.entry(place).or_default().push((fault, reason));
        }
        let entries = by_place.into_iter().filter_map(|(place, faults)| {
            let more = faults.len() - 1;
            let texts: Vec<&str> = faults.iter().map(|(it, _)| it.text.as_str()).collect();
            let body = format!("[{}]", texts.join(",")).into_bytes();
            let (first, reason) = faults.into_iter().next()?;
            let mut detail = format!("{}: {}", first.place, first.problem);
            if more > 0 {
                detail = format!("{detail}; and {more} more");
            }
            Some(Quarantined {
                station: first.station,
                place,
                reason,
                detail,
                body,
            })
        });
        self.aside
            .put(entries.collect(), now)
            .await
            .map_err(failed)?;
        Ok(())
    }
}

/// Refuses what says that a station is of another type than it is.
fn check_type(of: &StationSamples, known: Known) -> Result<Known, (String, QuarantineReason)> {
    match &of.station_type {
        Some(said) if *said != *known.station_type => {
            let problem = format!(
                "the station is of type `{}`, and the push says `{said}`; leave \
                 `station_type` out, or give the station an id of its own",
                known.station_type
            );
            Err((problem, QuarantineReason::UnknownDeviceType))
        }
        _ => Ok(known),
    }
}

/// The points of samples, each in a line that leads back to its sample.
fn batch_of(
    stations: Vec<(StationSamples, Known)>,
    now: Timestamp,
    faults: &mut Vec<Reasoned>,
) -> (PointBatch, Vec<(StationId, Sample)>) {
    let mut batch = PointBatch::new();
    let mut samples = Vec::new();
    let mut arrived = BTreeSet::new();
    for (of, known) in stations {
        for sample in of.samples {
            let untimed = (of.station.clone(), sample.meta_id.clone());
            let problem = match sample.time {
                None if !arrived.insert(untimed) => {
                    Some("no time, as one before; give all but one of a push a `time`")
                }
                Some(time) if time > now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX) => {
                    Some("more than a day ahead; set the clock of the station")
                }
                _ => None,
            };
            if let Some(problem) = problem {
                let place = below(&sample.place, "time");
                let value = sample
                    .time
                    .map_or_else(|| "nothing".to_owned(), |it| it.to_string());
                let mut fault = Fault::new(place, &value, problem);
                fault.station = Some(of.station.clone());
                fault.text = sample.text;
                faults.push((fault, QuarantineReason::MalformedRecord));
                continue;
            }
            let tags = [
                ("station", of.station.as_str()),
                ("meta_id", sample.meta_id.as_deref().unwrap_or_default()),
            ];
            let series = batch.add_series(SeriesKey::new(&known.station_type, tags));
            for (key, value) in &sample.values {
                let field = batch.add_field(key);
                let value = match value {
                    SampleValue::Number(number) => FieldValue::Float(*number),
                    SampleValue::Truth(truth) => FieldValue::Boolean(*truth),
                };
                batch.push_field(field, &value);
            }
            let time = sample.time.unwrap_or(now).as_nanosecond();
            samples.push((of.station.clone(), sample));
            let line = u32::try_from(samples.len()).unwrap_or(u32::MAX);
            batch.end_point(series, i64::try_from(time).unwrap_or(i64::MAX), line);
        }
    }
    (batch, samples)
}

fn failed(error: StoreError) -> Problem {
    let detail = "The push could not be kept; send it again.";
    Problem::new(Kind::Unavailable, detail).because(error)
}
