//! A database of the original platform: stations, raw records, refined history, progress, models.
//!
//! Tables are read in the order of `gid`, some rows at a time; how far that got is committed together with
//! the rows, so that an import that was stopped or killed goes on there. What the platform has of its own
//! is never replaced: a raw record that it harvested, an hour that it refined, a checkpoint.

mod convert;
mod tally;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use smartem_etl::Clock;
use smartem_model::{Quarantine, StationId, Vocabulary};
use smartem_store::{
    IMPORT_NETWORK, ImportedHours, Intake, Quarantined, ReceivedRecord, Standing,
    StationDeclaration, StetlRaw, StetlRefined, StetlSource, StetlStation, Store, StoreError,
};
use tokio_util::sync::CancellationToken;

use convert::{Converter, Hours};
use tally::Position;
pub use tally::Tally;

/// The process under whose name it is kept how far an import got, and what was set aside.
pub const PROCESS: &str = "import-stetl";

/// The process that harvested Josene stations, in the original and here.
pub const WHALE: &str = "harvester-whale";

/// The station type of those.
const JOSE: &str = "jose";

/// Checkpoints.
const RAW: &str = "raw";
const REFINED: &str = "refined";

/// What an import says of its progress: a word, and rows since the last call.
pub type Told<'a> = &'a (dyn Fn(&'static str, u64) + Send + Sync);

/// An import.
pub struct Import<'a> {
    /// The original's database.
    pub source: &'a StetlSource,
    /// Where everything goes.
    pub store: &'a Store,
    /// The indicators that are known.
    pub vocabulary: &'a Vocabulary,
    /// The station types that are known.
    pub types: Vec<String>,
    /// How far in metres a station must be from its location to have moved.
    pub move_m: f64,
    /// Tells the time.
    pub clock: Clock,
    /// Reads everything anew; what is there stays as it is.
    pub again: bool,
    /// The source of [`WHALE`] that goes on where the original's harvester was.
    pub whale: Option<String>,
    /// Raw records committed together; each may have 200 kB.
    pub raw_rows: usize,
    /// Refined values committed together.
    pub refined_rows: usize,
    /// Is told how far it is.
    pub told: Told<'a>,
    /// Ends it before the next rows.
    pub stop: &'a CancellationToken,
}

/// What was imported, this time and before.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// Stations that were not known before, this time.
    pub stations_new: u64,
    /// Raw records.
    pub raw: Tally,
    /// Refined values.
    pub refined: Tally,
    /// Stations whose harvesting goes on where it was, this time.
    pub checkpoints: u64,
    /// Models, this time.
    pub models: u64,
    /// In what the rows read differ from those of the database; empty when in nothing.
    pub differences: Vec<String>,
    /// Whether it came to its end.
    pub is_whole: bool,
}

impl Import<'_> {
    /// Imports what was not imported yet, and compares.
    ///
    /// # Errors
    /// Those of the store and of the source. What was committed before stays, and the next import goes on there.
    pub async fn run(&self) -> Result<Imported, StoreError> {
        let mut imported = Imported::default();
        let stations = self.source.stations().await?;
        for station in &stations {
            imported.stations_new += u64::from(self.declare(station).await?);
        }
        let (mut raw, mut refined) = self.positions().await?;
        imported.is_whole =
            self.import_raw(&mut raw).await? && self.import_refined(&mut refined).await?;
        (imported.raw, imported.refined) = (raw.total(), refined.total());
        if !imported.is_whole {
            return Ok(imported);
        }
        imported.checkpoints = self.import_progress(&stations).await?;
        let models = self.source.models().await?;
        imported.models = self.store.import_models(models, (self.clock)()).await?;
        let there = self.source.counts(raw.gid, refined.gid).await?;
        imported.differences = tally::differences(&raw, &refined, &there);
        Ok(imported)
    }

    async fn positions(&self) -> Result<(Position, Position), StoreError> {
        if self.again {
            return Ok(Default::default());
        }
        let kept = self
            .store
            .checkpoints(PROCESS, &self.source.place())
            .await?;
        let position = |of: &str| Position::from_checkpoint(kept.get(of));
        Ok((position(RAW), position(REFINED)))
    }

    /// Makes a station known that is not; whether it was.
    async fn declare(&self, station: &StetlStation) -> Result<bool, StoreError> {
        let Ok(id) = convert::station(station.device_id) else {
            return Ok(false);
        };
        let Some(device_type) = &station.device_type else {
            return Ok(false);
        };
        if self.store.station(&id).await?.is_some() {
            return Ok(false);
        }
        // A raw record tells the type, a value type and version.
        let is_type = self.types.iter().any(|known| known == device_type);
        let station_type = if is_type {
            device_type
        } else {
            convert::type_of(device_type)
        };
        let declaration = StationDeclaration {
            id,
            station_type: station_type.to_owned(),
            name: station.name.clone(),
            network: None,
            project: None,
            cadence_s: None,
            location: station.position,
            move_m: self.move_m,
            now: (self.clock)(),
        };
        Ok(self.store.declare_station(declaration).await?.is_new)
    }

    /// Whether it came to the end.
    async fn import_raw(&self, position: &mut Position) -> Result<bool, StoreError> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            let rows = self.source.raw_after(position.gid, self.raw_rows).await?;
            let Some(last) = rows.last() else {
                return Ok(true);
            };
            position.gid = last.gid;
            let intake = self.intake(rows, position);
            let count = intake.records.len() + intake.quarantined.len();
            self.store.take_in(intake).await?;
            (self.told)("raw records", count as u64);
        }
    }

    fn intake(&self, rows: Vec<StetlRaw>, position: &mut Position) -> Intake {
        let is_known = |name: &str| self.types.iter().any(|it| it == name);
        let (mut records, mut quarantined) = (Vec::new(), Vec::new());
        for row in rows {
            let tally = position.of(Some(row.device_id));
            tally.read += 1;
            let place = format!("smartem_raw.timeseries gid {}", row.gid);
            let text = convert::document(&row);
            let station = convert::station(row.device_id);
            let record = station
                .clone()
                .and_then(|_| convert::record(&text, &is_known));
            match record {
                Ok(record) => {
                    tally.written += 1;
                    // What the platform harvested itself is not replaced.
                    records.push(ReceivedRecord::new(record, place, Standing::Archive));
                }
                Err(quarantine) => {
                    tally.bad += 1;
                    let body = text.into_bytes();
                    quarantined.push(set_aside(quarantine, station.ok(), place, body));
                }
            }
        }
        Intake {
            process: PROCESS.to_owned(),
            source: self.source.place(),
            network: IMPORT_NETWORK.to_owned(),
            project: None,
            now: (self.clock)(),
            records,
            quarantined,
            understood: Vec::new(),
            checkpoints: vec![(RAW.to_owned(), position.to_checkpoint())],
        }
    }

    /// Whether it came to the end.
    async fn import_refined(&self, position: &mut Position) -> Result<bool, StoreError> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            let rows = self
                .source
                .refined_after(position.gid, self.refined_rows)
                .await?;
            let Some(last) = rows.last() else {
                return Ok(true);
            };
            let mut base = position.clone();
            base.gid = last.gid;
            let count = rows.len();
            let (hours, quarantined) = self.convert(&rows, &mut base);
            let stations = hours.into_stations();
            let ids: Vec<StationId> = stations.iter().map(|it| it.id.clone()).collect();
            let (of_store, ids_of_store) = (base.clone(), ids.clone());
            let import = ImportedHours {
                process: PROCESS.to_owned(),
                source: self.source.place(),
                network: IMPORT_NETWORK.to_owned(),
                now: (self.clock)(),
                move_m: self.move_m,
                stations,
                quarantined,
                partition: REFINED.to_owned(),
                position: Arc::new(move |report| {
                    of_store.after(&ids_of_store, report).to_checkpoint()
                }),
            };
            let report = self.store.import_observations(import).await?;
            *position = base.after(&ids, &report);
            (self.told)("refined values", count as u64);
        }
    }

    fn convert(&self, rows: &[StetlRefined], position: &mut Position) -> (Hours, Vec<Quarantined>) {
        let converter = Converter {
            vocabulary: self.vocabulary,
        };
        let (mut hours, mut quarantined) = (Hours::default(), Vec::new());
        for row in rows {
            let tally = position.of(row.device_id);
            tally.read += 1;
            match converter.observation(row) {
                Ok(converted) => hours.add(converted),
                Err(quarantine) => {
                    tally.bad += 1;
                    let station = row.device_id.and_then(|id| convert::station(id).ok());
                    let place = format!("smartem_refined.timeseries gid {}", row.gid);
                    let body = format!("{row:?}").into_bytes();
                    quarantined.push(set_aside(quarantine, station, place, body));
                }
            }
        }
        (hours, quarantined)
    }

    /// Has the harvester of Josene stations go on with the day of the newest hour that the original had;
    /// a station that it knows already stays where it is.
    async fn import_progress(&self, stations: &[StetlStation]) -> Result<u64, StoreError> {
        let Some(whale) = &self.whale else {
            return Ok(0);
        };
        let known = self.store.checkpoints(WHALE, whale).await?;
        let josene: BTreeSet<i64> = stations
            .iter()
            .filter(|station| {
                let of = station.device_type.as_deref().unwrap_or_default();
                of == JOSE || convert::type_of(of) == JOSE
            })
            .map(|station| station.device_id)
            .collect();
        let harvested = self.source.harvested().await?;
        let checkpoints: Vec<_> = harvested
            .iter()
            .filter(|it| josene.contains(&it.device_id))
            .filter_map(|it| {
                let station = convert::station(it.device_id).ok()?.to_string();
                let day = convert::day(it.day)?;
                Some((station, json!({ "settled": day.to_string() })))
            })
            .filter(|(station, _)| !known.contains_key(station))
            .collect();
        let count = checkpoints.len() as u64;
        if count > 0 {
            let intake = Intake {
                process: WHALE.to_owned(),
                source: whale.clone(),
                network: String::new(),
                project: None,
                now: (self.clock)(),
                records: Vec::new(),
                quarantined: Vec::new(),
                understood: Vec::new(),
                checkpoints,
            };
            self.store.take_in(intake).await?;
        }
        Ok(count)
    }
}

fn set_aside(
    quarantine: Quarantine,
    station: Option<StationId>,
    place: String,
    body: Vec<u8>,
) -> Quarantined {
    Quarantined {
        station,
        place,
        reason: quarantine.reason,
        detail: quarantine.detail,
        body,
    }
}
