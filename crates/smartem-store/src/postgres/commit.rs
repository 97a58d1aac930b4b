//! Refined hours given back to the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::try_join;
use smartem_model::{Hour, StationId};

use super::convert::{source_name, text};
use super::fault::Fault;
use super::location::{self, Positioned};
use super::series::{StationSeries, terms_of};
use super::sql::{At, attempt, params, tried};
use super::{Kind, Postgres, next_change, quarantine, station_rows};
use crate::prepared::PreparedQuarantine;
use crate::{CommitRefined, CommitReport, RefinedHour, Stage, StoreError};

/// What is stored of hours, and the stored hour after each; without a state one was never refined.
const STORED: &str = "SELECT r.hour, r.revision, h.state, h.quarantine_reason IS NOT NULL,
       (SELECT n.hour FROM smartem_raw.raw_record n
        WHERE n.station_key = r.station_key AND n.hour > r.hour ORDER BY n.hour LIMIT 1)
    FROM smartem_raw.raw_record r
    LEFT JOIN smartem_refined.station_hour h ON h.station_key = r.station_key AND h.hour = r.hour
    WHERE r.station_key = $1 AND r.hour = ANY($2)";

/// Whoever else refined the hours from the same input has to look again.
const SETTLE: &str = "UPDATE smartem_raw.raw_record SET dirty = false, revision = revision + 1
    WHERE station_key = $1 AND hour = ANY($2)";

const MARK: &str = "UPDATE smartem_raw.raw_record SET dirty = true, revision = revision + 1
    WHERE station_key = $1 AND hour = ANY($2)";

/// What hours gave, in place of what they gave before. The number of the change was just written by this
/// transaction.
const PUT_HOURS: &str = "INSERT INTO smartem_refined.station_hour (station_key, hour, state, rejections,
       quarantine_reason, quarantine_detail, lon, lat, alt, location_source, station_altitude, change)
    SELECT $1, w.hour, w.state, w.rejections::json, w.reason, w.detail, w.lon, w.lat, w.alt,
       w.location_source, w.station_altitude, (SELECT value FROM smartem.meta WHERE key = 'change')
    FROM unnest($2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[],
       $8::float8[], $9::float8[], $10::text[], $11::bool[])
       AS w (hour, state, rejections, reason, detail, lon, lat, alt, location_source,
           station_altitude)
    ON CONFLICT (station_key, hour) DO UPDATE SET state = excluded.state,
       rejections = excluded.rejections, quarantine_reason = excluded.quarantine_reason,
       quarantine_detail = excluded.quarantine_detail, lon = excluded.lon, lat = excluded.lat,
       alt = excluded.alt, location_source = excluded.location_source,
       station_altitude = excluded.station_altitude, change = excluded.change";

/// The source of quarantine entries of refining.
const SOURCE: &str = "store";

impl Postgres {
    pub(crate) async fn commit_refined(
        self: &Arc<Self>,
        commit: CommitRefined,
    ) -> Result<CommitReport, StoreError> {
        const ACTION: &str = "committing refined hours";
        commit.check()?;
        let observations = commit.hours.iter().flat_map(|hour| &hour.observations);
        let terms: BTreeSet<&str> = terms_of(observations).collect();
        let hours: Vec<Hour> = commit.hours.iter().map(|hour| hour.hour).collect();
        tried!(self, ACTION, {
            self.ensure_terms(&terms).await?;
            self.ensure_months(&hours).await
        })?;
        attempt!(self, ACTION, Kind::Write, |transaction| {
            store(self, &transaction, &commit).await
        })
    }
}

async fn store(
    database: &Postgres,
    transaction: &Transaction<'_>,
    commit: &CommitRefined,
) -> Result<CommitReport, Fault> {
    let mut report = CommitReport::default();
    let Some(station_key) = station_rows::lock(transaction, &commit.station).await? else {
        return Err(StoreError::UnknownStation {
            action: "committing refined hours",
            station: commit.station.clone(),
        }
        .into());
    };
    let (stored, mut series) = try_join!(
        stored(transaction, station_key, &commit.hours),
        StationSeries::load(transaction, station_key),
    )?;
    let plan = Plan::of(commit, &stored);
    report.stale = (commit.hours.len() - plan.committed.len()) as u64;
    report.committed = plan.committed.len() as u64;
    let (Some(first), Some(last)) = (plan.committed.first(), plan.committed.last()) else {
        return Ok(report);
    };
    let range = (first.hour, last.hour);
    let observations: Vec<_> = plan
        .committed
        .iter()
        .flat_map(|hour| &hour.observations)
        .collect();
    report.observations = observations.len() as u64;
    let hours: Vec<At> = plan.committed.iter().map(|it| At::hour(it.hour)).collect();
    let marked: Vec<At> = plan.marked.iter().map(|hour| At::hour(*hour)).collect();
    let settle = params![station_key => INT4, hours => TIMESTAMPTZ_ARRAY];
    let mark = params![station_key => INT4, marked => TIMESTAMPTZ_ARRAY];
    let (_, marked) = try_join!(
        transaction.execute_typed(SETTLE, settle),
        transaction.execute_typed(MARK, mark),
    )?;
    report.marked = marked;
    series
        .replace(transaction, &database.terms, &plan.cleared, &observations)
        .await?;
    settle_quarantine(transaction, commit, &plan, &stored, &mut report).await?;
    let own: Vec<Positioned> = plan.committed.iter().map(|it| Positioned::of(it)).collect();
    report.marked += location::update(transaction, station_key, range, &own, commit.move_m).await?;
    try_join!(
        next_change(transaction),
        put_hours(transaction, station_key, &plan.committed),
    )?;
    Ok(report)
}

/// What is stored of an hour.
struct Stored {
    revision: i64,
    /// `None` before it was refined for the first time.
    state: Option<String>,
    is_quarantined: bool,
    next: Option<Hour>,
}

async fn stored(
    transaction: &Transaction<'_>,
    station_key: i32,
    hours: &[RefinedHour],
) -> Result<HashMap<Hour, Stored>, Fault> {
    let hours: Vec<At> = hours.iter().map(|refined| At::hour(refined.hour)).collect();
    let rows = transaction
        .query_typed(
            STORED,
            params![station_key => INT4, hours => TIMESTAMPTZ_ARRAY],
        )
        .await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in rows {
        let next: Option<At> = row.try_get(4)?;
        let of_hour = Stored {
            revision: row.try_get(1)?,
            state: row.try_get(2)?,
            is_quarantined: row.try_get(3)?,
            next: next.map(At::to_hour).transpose()?,
        };
        stored.insert(row.try_get::<_, At>(0)?.to_hour()?, of_hour);
    }
    Ok(stored)
}

/// Which hours are committed, and what that means for others.
struct Plan<'a> {
    committed: Vec<&'a RefinedHour>,
    /// Those of them that had observations before.
    cleared: Vec<Hour>,
    /// Stored hours that now take another state than before.
    marked: Vec<Hour>,
}

impl<'a> Plan<'a> {
    fn of(commit: &'a CommitRefined, stored: &HashMap<Hour, Stored>) -> Self {
        let mut plan = Self {
            committed: Vec::new(),
            cleared: Vec::new(),
            marked: Vec::new(),
        };
        // The stored hour after the last committed one, when that hands on another state than before.
        let mut follower: Option<Hour> = None;
        for refined in &commit.hours {
            let known = stored.get(&refined.hour);
            let Some(known) = known.filter(|known| known.revision == refined.revision) else {
                // The hours after it took their state from it: they are left as well.
                break;
            };
            plan.marked
                .extend(follower.take().filter(|next| *next != refined.hour));
            if known.state.is_some() {
                plan.cleared.push(refined.hour);
            }
            if known.state.as_deref() != Some(&refined.state) {
                follower = known.next;
            }
            plan.committed.push(refined);
        }
        plan.marked.extend(follower);
        plan
    }
}

pub(super) async fn put_hours(
    transaction: &Transaction<'_>,
    station_key: i32,
    hours: &[&RefinedHour],
) -> Result<(), Fault> {
    let times: Vec<At> = hours.iter().map(|it| At::hour(it.hour)).collect();
    let states: Vec<&str> = hours.iter().map(|it| it.state.as_str()).collect();
    let rejections = hours.iter().map(|it| {
        serde_json::to_string(&it.rejections)
            .map_err(|error| Fault::unknown("the list of rejections", &error))
    });
    let rejections: Vec<String> = rejections.collect::<Result<_, _>>()?;
    let quarantines = || hours.iter().map(|it| it.quarantine.as_ref());
    let reasons: Vec<Option<&str>> = quarantines()
        .map(|it| it.map(|it| it.reason.as_str()))
        .collect();
    let details: Vec<_> = quarantines()
        .map(|it| it.map(|it| text(&it.detail)))
        .collect();
    let positions = || {
        hours
            .iter()
            .map(|it| it.position.map(|(position, _)| position))
    };
    let lon: Vec<Option<f64>> = positions().map(|it| it.map(|it| it.lon)).collect();
    let lat: Vec<Option<f64>> = positions().map(|it| it.map(|it| it.lat)).collect();
    let alt: Vec<Option<f64>> = positions().map(|it| it.and_then(|it| it.alt)).collect();
    let sources: Vec<Option<&str>> = hours
        .iter()
        .map(|it| it.position.map(|(_, source)| source_name(source)))
        .collect();
    let altitudes: Vec<bool> = hours.iter().map(|it| it.station_altitude).collect();
    transaction
        .execute_typed(
            PUT_HOURS,
            params![station_key => INT4, times => TIMESTAMPTZ_ARRAY, states => TEXT_ARRAY,
                rejections => TEXT_ARRAY, reasons => TEXT_ARRAY, details => TEXT_ARRAY,
                lon => FLOAT8_ARRAY, lat => FLOAT8_ARRAY, alt => FLOAT8_ARRAY,
                sources => TEXT_ARRAY, altitudes => BOOL_ARRAY],
        )
        .await?;
    Ok(())
}

async fn settle_quarantine(
    transaction: &Transaction<'_>,
    commit: &CommitRefined,
    plan: &Plan<'_>,
    stored: &HashMap<Hour, Stored>,
    report: &mut CommitReport,
) -> Result<(), Fault> {
    let mut good = Vec::new();
    for refined in &plan.committed {
        let place = place(&commit.station, refined.hour);
        if let Some(quarantine) = &refined.quarantine {
            let entry = PreparedQuarantine {
                stage: Stage::Refine,
                station: Some(commit.station.clone()),
                place,
                reason: quarantine.reason,
                detail: quarantine.detail.clone(),
                body: None,
            };
            let (process, now) = (&commit.process, commit.now);
            let opened = quarantine::put(transaction, &entry, process, SOURCE, now).await?;
            report.quarantined_new += u64::from(opened);
        } else if stored
            .get(&refined.hour)
            .is_some_and(|stored| stored.is_quarantined)
        {
            good.push(place);
        }
    }
    if !good.is_empty() {
        let places: Vec<&str> = good.iter().map(String::as_str).collect();
        let (stage, process, now) = (Stage::Refine, &commit.process, commit.now);
        report.resolved =
            quarantine::resolve(transaction, stage, process, SOURCE, &places, now).await?;
    }
    Ok(())
}

fn place(station: &StationId, hour: Hour) -> String {
    format!("{station} {hour}")
}
