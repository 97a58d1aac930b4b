use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, StationId};
use smartem_sta::{Author, Operation, Outcome};

use crate::backend::{Backend, on};
use crate::postgres::{self, Postgres};
use crate::sqlite::{Sqlite, blocking, snapshot};
use crate::sta::{changes, check};
use crate::{
    Backlog, ChangeMark, ChangedHour, ChangedRecord, Changes, ChangesOf, CheckReport, Claimed,
    Columns, CommitRefined, CommitReport, CounterRow, Declared, Growing, HourView, ImportReport,
    ImportedHours, ImportedModel, Intake, IntakeReport, LastIntake, LastReport, Migration,
    NewToken, ObservationQuery, Page, PoolNumbers, PostgresSettings, ProcessLock, Progress,
    QuarantineEntry, QuarantineFilter, RefinedChange, RunId, RunResult, RunRow, Selection,
    ServerFacts, SnapshotFacts, StaChange, StaError, StationDeclaration, StationHour,
    StationLocation, StationView, StationWork, StoreError, TokenRow,
};

/// How a store is opened.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// Made and migrated where needed (`up`, `demo`).
    Create {
        /// Noted beside each migration.
        now: Timestamp,
    },
    /// Must be there in the version of this program.
    Existing,
}

/// A handle to the store; cheap to clone, to be shared by all tasks of a process.
///
/// Several processes may have the same store open. Writes of one process run one after the other;
/// reads run beside them and see whole transactions only.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
}

impl Store {
    /// Opens the store in the folder `dir`.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`] for [`Access::Existing`] without an up-to-date store,
    /// [`StoreError::NewerSchema`] when a newer program wrote it.
    pub async fn open(dir: &Path, access: Access) -> Result<Self, StoreError> {
        let dir = dir.to_owned();
        let opened = blocking("opening the store", move || Sqlite::open(&dir, access)).await?;
        Ok(Self {
            backend: Backend::Sqlite(Arc::new(opened)),
        })
    }

    /// Opens the store in a PostgreSQL database; `dir` is the folder for what this machine keeps beside it
    /// (the log of what stations push).
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Address`], [`StoreError::Unreachable`] or [`StoreError::Denied`]
    /// when there is no way to the database.
    pub async fn connect(
        dir: &Path,
        settings: &PostgresSettings,
        access: Access,
    ) -> Result<Self, StoreError> {
        let opened = Postgres::open(dir, settings, access).boxed().await?;
        Ok(Self {
            backend: Backend::Postgres(Arc::new(opened)),
        })
    }

    /// Brings a PostgreSQL database to the version of this program; returns the steps that were missing.
    ///
    /// Roles and the extension `postgis` are made where they are missing and the user may do that.
    ///
    /// # Errors
    /// [`StoreError::Unprepared`] with the remedy when something is missing that the user may not make.
    pub async fn migrate_postgres(
        settings: &PostgresSettings,
    ) -> Result<Vec<Migration>, StoreError> {
        postgres::apply(settings).boxed().await
    }

    /// The steps that a PostgreSQL database is missing; nothing is changed.
    pub async fn pending_postgres(
        settings: &PostgresSettings,
    ) -> Result<Vec<Migration>, StoreError> {
        postgres::pending(settings).boxed().await
    }

    /// What a PostgreSQL server says of itself and of the role that asks; `now` is the clock that its own is
    /// compared with.
    ///
    /// # Errors
    /// When there is no way to the database. It need not be a store.
    pub async fn server_facts(
        settings: &PostgresSettings,
        now: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Result<ServerFacts, StoreError> {
        postgres::facts(settings, now).boxed().await
    }

    /// Where it is, for messages: a folder, or the address of a database without user and password.
    pub fn place(&self) -> String {
        match &self.backend {
            Backend::Sqlite(it) => it.dir().display().to_string(),
            Backend::Postgres(it) => it.place().display().to_string(),
        }
    }

    /// Whether several programs on several machines may work on it at once, each hour being in the hands of
    /// one ([`Store::claim_stations`]).
    pub fn is_shared(&self) -> bool {
        matches!(self.backend, Backend::Postgres(_))
    }

    /// Brings the store in the folder `dir` to the version of this program, making it where there
    /// is none; returns the steps that were missing.
    pub async fn migrate_dir(dir: &Path, now: Timestamp) -> Result<Vec<Migration>, StoreError> {
        let dir = dir.to_owned();
        blocking("migrating the store", move || {
            Sqlite::migrate_dir(&dir, now)
        })
        .await
    }

    /// The steps that the store in the folder `dir` is missing, all of them where there is none; nothing is
    /// changed.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] when a newer program wrote it.
    pub async fn pending_dir(dir: &Path) -> Result<Vec<Migration>, StoreError> {
        let dir = dir.to_owned();
        blocking("reading the schema version", move || {
            Sqlite::pending_dir(&dir)
        })
        .await
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The folder of the store.
    pub fn dir(&self) -> &Path {
        self.backend.dir()
    }

    /// The version of the schema.
    pub async fn schema_version(&self) -> Result<u32, StoreError> {
        on!(self.backend, schema_version())
    }

    /// Which store this is: hexadecimal digits, made once; copies and restored backups keep them.
    pub async fn identity(&self) -> Result<Option<String>, StoreError> {
        on!(self.backend, identity())
    }
}

/// What comes in.
impl Store {
    /// Takes in records of hours; new and changed ones are to be refined.
    ///
    /// # Errors
    /// [`StoreError::NotAnHour`] for a snapshot among the records; nothing is taken in then.
    pub async fn take_in(&self, intake: Intake) -> Result<IntakeReport, StoreError> {
        on!(self.backend, take_in(intake))
    }

    /// Takes in newest values: they become the last values of their series where they are newer.
    pub async fn take_in_last(&self, intake: LastIntake) -> Result<LastReport, StoreError> {
        on!(self.backend, take_in_last(intake))
    }

    /// The newest snapshot of a station and its time.
    pub async fn last_sample(
        &self,
        station: &StationId,
    ) -> Result<Option<(Timestamp, RawRecord)>, StoreError> {
        on!(self.backend, last_sample(station.clone()))
    }

    /// How far a process got with a source: position by partition.
    pub async fn checkpoints(
        &self,
        process: &str,
        source: &str,
    ) -> Result<BTreeMap<String, Value>, StoreError> {
        on!(
            self.backend,
            checkpoints(process.to_owned(), source.to_owned())
        )
    }

    /// Which hours of `from..to` are stored, in order of time.
    pub async fn stored_hours(
        &self,
        station: &StationId,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<Hour>, StoreError> {
        on!(self.backend, stored_hours(station.clone(), from, to))
    }

    /// The places of a source that are in quarantine, with their station where it is known.
    pub async fn open_quarantine_places(
        &self,
        source: &str,
    ) -> Result<BTreeMap<String, Option<StationId>>, StoreError> {
        on!(self.backend, open_quarantine_places(source.to_owned()))
    }

    /// Says what the records of a station do not, and makes the station known where it is not.
    ///
    /// Another cadence marks all its hours to be refined again, another location those that relied
    /// on it.
    ///
    /// # Errors
    /// [`StoreError::OtherStationType`] when it has records of another type.
    pub async fn declare_station(
        &self,
        declaration: StationDeclaration,
    ) -> Result<Declared, StoreError> {
        on!(self.backend, declare_station(declaration))
    }

    /// Says what the records of a station do not: its name, and its cadence in seconds.
    ///
    /// `None` leaves what is there. With another cadence all hours are to be refined again.
    pub async fn describe_station(
        &self,
        station: &StationId,
        name: Option<String>,
        cadence_s: Option<f64>,
    ) -> Result<(), StoreError> {
        on!(
            self.backend,
            describe_station(station.clone(), name, cadence_s)
        )
    }
}

/// What was computed elsewhere.
impl Store {
    /// Takes in observations of another platform. An hour that this platform refined itself is left alone, and
    /// so is an observation that there is one of already; refining a raw record of the hour replaces all of
    /// them.
    ///
    /// # Errors
    /// [`StoreError::ForeignObservation`] for one that is not of its hour and station, or does not say that it
    /// is imported; nothing is taken in then.
    pub async fn import_observations(
        &self,
        import: ImportedHours,
    ) -> Result<ImportReport, StoreError> {
        on!(self.backend, import_observations(import))
    }

    /// Keeps models of another platform as they are; returns how many were not there.
    pub async fn import_models(
        &self,
        models: Vec<ImportedModel>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        on!(self.backend, import_models(models, now))
    }
}

/// Refining.
impl Store {
    /// Stations with hours to be refined, at most `limit`, in a fixed order.
    pub async fn dirty_stations(
        &self,
        limit: usize,
        growing: Growing,
    ) -> Result<Vec<StationId>, StoreError> {
        on!(self.backend, dirty_stations(limit, growing))
    }

    /// Takes stations with hours to be refined in hand, at most `limit`; no other program has them until
    /// they are released, or for long after this one was killed.
    ///
    /// Where a store is of one machine, the lock of the process keeps others away instead.
    pub async fn claim_stations(
        &self,
        limit: usize,
        growing: Growing,
    ) -> Result<Claimed, StoreError> {
        match &self.backend {
            Backend::Sqlite(it) => Ok(Claimed {
                stations: it.dirty_stations(limit, growing).await?,
                others: false,
            }),
            Backend::Postgres(it) => it.claim_stations(limit, growing).boxed().await,
        }
    }

    /// Gives a station of [`Store::claim_stations`] back.
    pub async fn release_station(&self, station: &StationId) -> Result<(), StoreError> {
        match &self.backend {
            Backend::Sqlite(_) => Ok(()),
            Backend::Postgres(it) => it.release_station(station.clone()).boxed().await,
        }
    }

    /// The first hours of a station that are to be refined, at most `max_hours` (at least one),
    /// their records with these columns.
    pub async fn work(
        &self,
        station: &StationId,
        max_hours: usize,
        columns: Columns,
        growing: Growing,
    ) -> Result<Option<StationWork>, StoreError> {
        on!(
            self.backend,
            work(station.clone(), max_hours, columns, growing)
        )
    }

    /// What refining a newest value of a station needs; nothing for an unknown one.
    pub async fn snapshot_facts(&self, station: &StationId) -> Result<SnapshotFacts, StoreError> {
        on!(self.backend, snapshot_facts(station.clone()))
    }

    /// Gives back refined hours.
    ///
    /// For each hour exactly its observations are replaced. The hour after the last is marked when
    /// it gets another state than before, and hours that used the station's location are when
    /// that changes: so refining until nothing is marked gives the same result whatever the order
    /// in which records arrived.
    pub async fn commit_refined(&self, commit: CommitRefined) -> Result<CommitReport, StoreError> {
        on!(self.backend, commit_refined(commit))
    }

    /// Marks stored hours to be refined again, for example with another definition; returns how
    /// many.
    ///
    /// The first of them takes the state that the hour before it handed on. The hours after the
    /// last are marked when it is committed, and only as far as the state handed on differs.
    ///
    /// # Errors
    /// [`StoreError::UnknownStation`] when one of the stations is not known; nothing is marked then.
    pub async fn refine_again(&self, selection: Selection) -> Result<u64, StoreError> {
        on!(self.backend, refine_again(selection))
    }

    /// What is kept of a refined hour beside its observations.
    pub async fn station_hour(
        &self,
        station: &StationId,
        hour: Hour,
    ) -> Result<Option<StationHour>, StoreError> {
        on!(self.backend, station_hour(station.clone(), hour))
    }
}

/// What chains over the store read.
impl Store {
    /// Raw records that are new or changed after a mark, of these stations and hours.
    pub async fn raw_changes(
        &self,
        after: ChangeMark,
        of: Selection,
        limit: usize,
    ) -> Result<Changes<ChangedRecord>, StoreError> {
        on!(self.backend, raw_changes(after, of, limit))
    }

    /// Station-hours whose observations were written after a mark, of these stations and hours.
    pub async fn observation_changes(
        &self,
        after: ChangeMark,
        of: Selection,
        limit: usize,
    ) -> Result<Changes<ChangedHour>, StoreError> {
        on!(self.backend, observation_changes(after, of, limit))
    }

    /// How many changes come after a mark.
    pub async fn changes_waiting(
        &self,
        of: ChangesOf,
        after: ChangeMark,
    ) -> Result<u64, StoreError> {
        on!(self.backend, changes_waiting(of, after))
    }
}

/// What services read.
impl Store {
    /// A number that grows with every write that a reader of stations, observations and raw
    /// records can see.
    pub async fn change(&self) -> Result<u64, StoreError> {
        on!(self.backend, change())
    }

    /// All stations, by id.
    pub async fn stations(&self) -> Result<Vec<StationView>, StoreError> {
        on!(self.backend, stations())
    }

    /// One station.
    pub async fn station(&self, station: &StationId) -> Result<Option<StationView>, StoreError> {
        on!(self.backend, station(station.clone()))
    }

    /// The locations of a station in order of time; none of an unknown one.
    pub async fn locations(&self, station: &StationId) -> Result<Vec<StationLocation>, StoreError> {
        on!(self.backend, locations(station.clone()))
    }

    /// Observations of a station; none of an unknown one.
    pub async fn observations(&self, query: ObservationQuery) -> Result<Page, StoreError> {
        on!(self.backend, observations(query))
    }

    /// All that is known of a station-hour but its raw record; `None` when none was received.
    pub async fn hour_view(
        &self,
        station: &StationId,
        hour: Hour,
    ) -> Result<Option<HourView>, StoreError> {
        on!(self.backend, hour_view(station.clone(), hour))
    }

    /// The record of an hour as it was received.
    pub async fn raw_record(
        &self,
        station: &StationId,
        hour: Hour,
    ) -> Result<Option<RawRecord>, StoreError> {
        on!(self.backend, raw_record(station.clone(), hour))
    }
}

/// What operators need.
impl Store {
    /// Takes a lock that one process at a time can have; `None` when another has it.
    ///
    /// It is released when it is dropped, also when the process is killed.
    pub async fn lock(&self, name: &str) -> Result<Option<ProcessLock>, StoreError> {
        match &self.backend {
            Backend::Sqlite(it) => {
                let (dir, name) = (it.dir().to_owned(), name.to_owned());
                blocking("locking a process", move || ProcessLock::take(&dir, &name)).await
            }
            Backend::Postgres(it) => {
                let lease = it.lease(name).boxed().await?;
                Ok(lease.map(ProcessLock::of_lease))
            }
        }
    }

    /// Notes that a process starts a run; only the newest runs of each process are kept.
    pub async fn start_run(&self, process: &str, now: Timestamp) -> Result<RunId, StoreError> {
        on!(self.backend, start_run(process.to_owned(), now))
    }

    /// Notes how a run ended and adds to the running totals of its process.
    pub async fn finish_run(&self, run: RunId, result: RunResult) -> Result<(), StoreError> {
        on!(self.backend, finish_run(run, result))
    }

    /// The newest run of each process, by name.
    pub async fn runs_latest(&self) -> Result<Vec<RunRow>, StoreError> {
        on!(self.backend, runs_latest())
    }

    /// The running totals, by process, name and label.
    pub async fn counters(&self) -> Result<Vec<CounterRow>, StoreError> {
        on!(self.backend, counters())
    }

    /// How much there is and how much is waiting.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        on!(self.backend, backlog())
    }

    /// How far the processes got; hours from `growing` on that came in parts do not wait yet.
    pub async fn progress(&self, growing: Growing) -> Result<Progress, StoreError> {
        on!(self.backend, progress(growing))
    }

    /// Quarantine entries without their bodies, the newest first.
    pub async fn quarantine_list(
        &self,
        filter: QuarantineFilter,
    ) -> Result<Vec<QuarantineEntry>, StoreError> {
        on!(self.backend, quarantine_list(filter))
    }

    /// A quarantine entry with its body.
    pub async fn quarantine_get(&self, id: i64) -> Result<Option<QuarantineEntry>, StoreError> {
        on!(self.backend, quarantine_get(id))
    }

    /// Forgets a quarantine entry; whether there was one.
    pub async fn quarantine_drop(&self, id: i64) -> Result<bool, StoreError> {
        on!(self.backend, quarantine_drop(id))
    }

    /// The end of the newest run of each process that counted something under `counter`.
    pub async fn last_runs_that_counted(
        &self,
        counter: &str,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        on!(self.backend, last_runs_that_counted(counter.to_owned()))
    }

    /// The end of the newest run of each process that ended with exit code 0, by name.
    pub async fn last_successes(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        on!(self.backend, last_successes())
    }

    /// The connections of this program to a database; `None` of an embedded store.
    pub fn pool(&self) -> Option<PoolNumbers> {
        match &self.backend {
            Backend::Sqlite(_) => None,
            Backend::Postgres(it) => Some(it.pool_numbers()),
        }
    }

    /// Copies the database into the new file `to`, as it is at one moment, while others write.
    ///
    /// `copied` is told how many bytes of how many are copied, and may break off; then the answer is
    /// `false` and the file is to be thrown away. Little of it is in memory. The copy is not synced to disk.
    ///
    /// The copy is a database of the embedded store, also of a store on PostgreSQL; how many bytes that will
    /// have is not known then, and guessed.
    pub async fn snapshot(
        &self,
        to: &Path,
        copied: impl FnMut(u64, u64) -> ControlFlow<()> + Send + 'static,
    ) -> Result<bool, StoreError> {
        match &self.backend {
            Backend::Sqlite(it) => it.snapshot(to.to_owned(), copied).await,
            Backend::Postgres(it) => crate::copy::into_file(it, to, copied).await,
        }
    }

    /// Whether some process has the embedded store in the folder `dir` open.
    pub async fn in_use(dir: &Path) -> Result<bool, StoreError> {
        let dir = dir.to_owned();
        blocking("looking who uses the store", move || snapshot::in_use(&dir)).await
    }

    /// The name of the database file in the folder of a store.
    pub const FILE_NAME: &str = crate::sqlite::FILE_NAME;

    /// The version of the schema that this program writes.
    pub fn schema_known() -> u32 {
        crate::sqlite::needed()
    }

    /// Reads everything and compares it with its sums.
    pub async fn check(&self) -> Result<CheckReport, StoreError> {
        let mut report = on!(self.backend, check())?;
        report.problems.extend(self.entity_problems().await?);
        let dir = self.dir().to_owned();
        let problems = blocking("checking the log of points", move || {
            Ok(crate::points::check_log(&dir))
        });
        report.problems.extend(problems.await?);
        Ok(report)
    }
}

impl Store {
    /// What is wrong with the SensorThings entities, in words.
    async fn entity_problems(&self) -> Result<Vec<String>, StoreError> {
        const ACTION: &str = "checking entities";
        let problems = match &self.backend {
            Backend::Sqlite(it) => {
                it.sta_reading(ACTION, |sql| check::problems(sql).boxed())
                    .await
            }
            Backend::Postgres(it) => {
                let checking = it.sta_reading(ACTION, |sql| check::problems(sql).boxed());
                checking.boxed().await
            }
        };
        problems.map_err(|error| match error {
            StaError::Store(error) => error,
            // Nobody asked for anything that could be refused.
            _ => StoreError::Interrupted { action: ACTION },
        })
    }
}

/// Who may write.
impl Store {
    /// Adds a token.
    ///
    /// # Errors
    /// [`StoreError::TokenExists`] when one that is not revoked has the name.
    pub async fn add_token(&self, token: NewToken) -> Result<(), StoreError> {
        on!(self.backend, add_token(token))
    }

    /// All tokens by name, also those that are revoked or have expired.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        on!(self.backend, tokens())
    }

    /// Ends the validity of a token; whether there was one of this name that was not revoked.
    pub async fn revoke_token(&self, name: &str, now: Timestamp) -> Result<bool, StoreError> {
        on!(self.backend, revoke_token(name.to_owned(), now))
    }

    /// Notes when tokens were used, by id.
    pub async fn note_token_use(&self, used: Vec<(i64, Timestamp)>) -> Result<(), StoreError> {
        on!(self.backend, note_token_use(used))
    }
}

/// What clients of OGC SensorThings write.
impl Store {
    /// Carries out changes of entities in the name of an author: all of them, or none where one is refused. `now`
    /// is the time of what has none of its own.
    ///
    /// Changes of many callers at once share one commit of the embedded store.
    ///
    /// # Errors
    /// [`StaError::NotFound`] for an entity of a path that is not there; [`StaError::Invalid`] for what makes no
    /// sense; [`StaError::Conflict`] for what does not go together with what is there, as changing what the
    /// pipeline keeps; [`StaError::Forbidden`] for what is of another project than the author.
    pub async fn sta_write(
        &self,
        author: &Author,
        operations: Vec<Operation>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, StaError> {
        on!(self.backend, sta_write(author.clone(), operations, now))
    }

    /// Changes of entities after one (0: from the first that is kept), at most `limit`, in their order.
    ///
    /// The newest 100,000 are kept, and those of refined observations are told by
    /// [`Store::observation_changes`].
    pub async fn sta_changes(&self, after: i64, limit: usize) -> Result<Vec<StaChange>, StaError> {
        const ACTION: &str = "reading changes of entities";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match &self.backend {
            Backend::Sqlite(it) => {
                it.sta_reading(ACTION, move |sql| changes::after(sql, after, limit).boxed())
                    .await
            }
            Backend::Postgres(it) => {
                let reading =
                    it.sta_reading(ACTION, move |sql| changes::after(sql, after, limit).boxed());
                reading.boxed().await
            }
        }
    }

    /// The number of the newest change of entities; 0 before the first.
    pub async fn sta_newest_change(&self) -> Result<i64, StaError> {
        const ACTION: &str = "reading the newest change of entities";
        match &self.backend {
            Backend::Sqlite(it) => {
                it.sta_reading(ACTION, move |sql| changes::newest(sql).boxed())
                    .await
            }
            Backend::Postgres(it) => {
                let reading = it.sta_reading(ACTION, move |sql| changes::newest(sql).boxed());
                reading.boxed().await
            }
        }
    }

    /// Hours of stations that were refined after a mark, at most `limit`, in their order, each with the ids of
    /// all its observations: which of them are other than before is not known.
    pub async fn sta_refined(
        &self,
        after: ChangeMark,
        limit: usize,
    ) -> Result<Vec<RefinedChange>, StaError> {
        const ACTION: &str = "reading refined hours of entities";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        match &self.backend {
            Backend::Sqlite(it) => {
                let reading = it.sta_reading(ACTION, move |sql| {
                    changes::refined(sql, after, limit).boxed()
                });
                reading.await
            }
            Backend::Postgres(it) => {
                let reading = it.sta_reading(ACTION, move |sql| {
                    changes::refined(sql, after, limit).boxed()
                });
                reading.boxed().await
            }
        }
    }
}
