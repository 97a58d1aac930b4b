//! What comes in with all that takes time done, before any transaction begins: encoded, compressed, hashed.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use smartem_model::raw::{RawRecord, RecordTime, Union};
use smartem_model::{Hour, QuarantineReason, StationId};

use crate::codec;
use crate::{Intake, LastIntake, Quarantined, Stage, Standing, StoreError};

/// An [`Intake`].
pub(crate) struct Prepared {
    pub(crate) process: String,
    pub(crate) source: String,
    pub(crate) network: String,
    pub(crate) project: Option<String>,
    pub(crate) now: Timestamp,
    pub(crate) records: Vec<PreparedRecord>,
    pub(crate) quarantined: Vec<PreparedQuarantine>,
    pub(crate) understood: Vec<String>,
    /// Partition and position, as JSON.
    pub(crate) checkpoints: Vec<(String, String)>,
}

pub(crate) struct PreparedRecord {
    pub(crate) station: StationId,
    pub(crate) station_type: Box<str>,
    pub(crate) hour: Hour,
    pub(crate) place: String,
    pub(crate) content: Content,
    pub(crate) standing: Standing,
    /// Kept where it may have to be united with a stored one.
    record: Option<RawRecord>,
}

/// A record as it is stored.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) payload: Vec<u8>,
    pub(crate) hash: [u8; 32],
}

impl Content {
    pub(crate) fn new(record: &RawRecord, place: &str) -> Result<Self, StoreError> {
        let encoded = codec::encode(record).map_err(|source| StoreError::UnfitRecord {
            station: record.station.clone(),
            place: place.to_owned(),
            source,
        })?;
        Ok(Self::of(encoded))
    }

    fn of(encoded: codec::Encoded) -> Self {
        Self {
            hash: Sha256::digest(&encoded.body).into(),
            payload: encoded.payload,
        }
    }

    /// Whether a stored payload is of an older form, whose content hash says nothing, and holds the same.
    pub(crate) fn is_in_older_form(&self, stored: &[u8]) -> bool {
        // What cannot be read any more is not the same.
        let renewed = codec::renewed(stored).ok().flatten();
        renewed.is_some_and(|renewed| Self::of(renewed).hash == self.hash)
    }
}

impl Prepared {
    pub(crate) fn new(intake: Intake) -> Result<Self, StoreError> {
        let mut records = Vec::with_capacity(intake.records.len());
        for received in intake.records {
            let record = received.record;
            let RecordTime::Hour(hour) = record.time else {
                return Err(StoreError::NotAnHour {
                    station: record.station,
                    place: received.place,
                });
            };
            let standing = received.standing;
            records.push(PreparedRecord {
                hour,
                content: Content::new(&record, &received.place)?,
                station: record.station.clone(),
                station_type: record.station_type.clone(),
                place: received.place,
                standing,
                record: (standing != Standing::Whole).then_some(record),
            });
        }
        let checkpoints = intake.checkpoints.into_iter();
        Ok(Self {
            process: intake.process,
            source: intake.source,
            network: intake.network,
            project: intake.project,
            now: intake.now,
            records,
            quarantined: all_quarantined(intake.quarantined)?,
            understood: intake.understood,
            checkpoints: checkpoints
                .map(|(partition, position)| (partition, position.to_string()))
                .collect(),
        })
    }

    pub(crate) fn newcomer<'a>(&'a self, record: &'a PreparedRecord) -> Newcomer<'a> {
        Newcomer {
            station: &record.station,
            station_type: &record.station_type,
            hour: Some(record.hour),
            network: &self.network,
            project: self.project.as_deref(),
            now: self.now,
        }
    }
}

/// What the records of an intake say of their stations.
pub(crate) struct Newcomer<'a> {
    pub(crate) station: &'a StationId,
    pub(crate) station_type: &'a str,
    /// The hour of the record; `None` for a snapshot.
    pub(crate) hour: Option<Hour>,
    pub(crate) network: &'a str,
    pub(crate) project: Option<&'a str>,
    pub(crate) now: Timestamp,
}

/// What is to be done with a record of an hour that is stored already ([`Standing`]).
pub(crate) enum Meeting {
    /// Nothing: the stored one stays.
    Stays,
    /// It takes the place of the stored one.
    Replaces,
    /// Both are united, which is then of this standing.
    Unites(Union, Standing),
}

impl PreparedRecord {
    pub(crate) fn meets(&self, stored: Standing) -> Meeting {
        use Standing::{Archive, Average, Part, Whole};
        match (self.standing, stored) {
            (Whole, _) | (Part, Archive | Average) => Meeting::Replaces,
            (Part, standing @ (Part | Whole)) => Meeting::Unites(Union::All, standing),
            (Archive, Archive) => Meeting::Unites(Union::All, Archive),
            (Average, Average) => Meeting::Unites(Union::NewestOfEach, Average),
            (Archive | Average, _) => Meeting::Stays,
        }
    }

    /// This record and a stored payload as one; `None` when that is what is stored.
    pub(crate) fn united(
        &self,
        stored: &[u8],
        union: Union,
    ) -> Result<Option<Content>, StoreError> {
        let damaged = |source| StoreError::DamagedRecord {
            station: self.station.clone(),
            time: self.hour.to_string(),
            source,
        };
        let before = codec::decode_record(stored).map_err(damaged)?;
        let Some(incoming) = &self.record else {
            return Ok(None);
        };
        // The number of samples has a limit: an hour that would pass it stays as it is.
        let Ok(united) = incoming.united(&before, union) else {
            return Ok(None);
        };
        let content = Content::new(&united, &self.place)?;
        let is_same = Content::new(&before, &self.place)?.hash == content.hash;
        Ok((!is_same).then_some(content))
    }
}

impl Standing {
    /// The number by which a standing is kept.
    pub(crate) fn number(self) -> i16 {
        match self {
            Self::Whole => 0,
            Self::Part => 1,
            Self::Archive => 2,
            Self::Average => 3,
        }
    }

    pub(crate) fn of_number(number: i64) -> Option<Self> {
        let all = [Self::Whole, Self::Part, Self::Archive, Self::Average];
        usize::try_from(number)
            .ok()
            .and_then(|number| all.get(number).copied())
    }
}

/// Newest values.
pub(crate) struct PreparedLast {
    pub(crate) intake: LastIntake,
    /// Of each item.
    pub(crate) contents: Vec<Content>,
    pub(crate) quarantined: Vec<PreparedQuarantine>,
}

impl PreparedLast {
    pub(crate) fn new(mut intake: LastIntake) -> Result<Self, StoreError> {
        let mut contents = Vec::with_capacity(intake.items.len());
        for item in &intake.items {
            let station = &item.record.station;
            let foreign = item.observations.iter().find(|o| o.station != *station);
            if let Some(foreign) = foreign {
                return Err(StoreError::ForeignObservation {
                    station: station.clone(),
                    time: item.time.to_string(),
                    indicator: foreign.indicator.to_string(),
                });
            }
            contents.push(Content::new(&item.record, &item.place)?);
        }
        let quarantined = all_quarantined(std::mem::take(&mut intake.quarantined))?;
        Ok(Self {
            intake,
            contents,
            quarantined,
        })
    }
}

/// Something to be set aside, its body compressed.
pub(crate) struct PreparedQuarantine {
    pub(crate) stage: Stage,
    pub(crate) station: Option<StationId>,
    pub(crate) place: String,
    pub(crate) reason: QuarantineReason,
    pub(crate) detail: String,
    /// The body and its length before compression.
    pub(crate) body: Option<(Vec<u8>, usize)>,
}

impl PreparedQuarantine {
    fn new(quarantined: Quarantined) -> Result<Self, StoreError> {
        let length = quarantined.body.len();
        let body = codec::compress(&quarantined.body).map_err(|source| StoreError::UnfitBody {
            place: quarantined.place.clone(),
            source,
        })?;
        Ok(Self {
            stage: Stage::Harvest,
            station: quarantined.station,
            place: quarantined.place,
            reason: quarantined.reason,
            detail: quarantined.detail,
            body: Some((body, length)),
        })
    }
}

pub(crate) fn all_quarantined(
    all: Vec<Quarantined>,
) -> Result<Vec<PreparedQuarantine>, StoreError> {
    all.into_iter().map(PreparedQuarantine::new).collect()
}
