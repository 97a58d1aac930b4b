//! What changed, as it is told on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use smartem_sta::EntityType;

use super::error::Fault;
use super::sql::{Dialect, Param, Row, Sql};
use crate::ChangeMark;

/// How many changes are kept, so that who tells them on may be away for a while.
const KEPT: i64 = 100_000;
/// Who writes a change whose number this divides removes old ones.
const TRIMMED_EACH: i64 = 4096;
/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// A change of the SensorThings entities ([`crate::Store::sta_changes`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaChange {
    /// Its place in the order of changes.
    pub seq: i64,
    /// Of an entity of this type; a `MultiDatastream` is a [`EntityType::Datastream`].
    pub entity_type: EntityType,
    /// Its id; of observations, the id of their datastream.
    pub id: i64,
    /// What became of it.
    pub kind: ChangeKind,
    /// Of observations, the first and the last of their numbers within the datastream; `None`: all of it. The
    /// id of observation n is `id << 32 | n`.
    pub span: Option<(i64, i64)>,
    /// When.
    pub at: Timestamp,
}

/// An hour of a station that was refined anew ([`crate::Store::sta_refined`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefinedChange {
    /// Its place in the order of changes.
    pub mark: ChangeMark,
    /// The ids of its observations as they are now, in order.
    pub observations: Vec<i64>,
}

/// What became of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It was made.
    Created,
    /// It has other values.
    Updated,
    /// It is gone.
    Deleted,
}

/// The changes of one transaction, each entity told once.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    entities: BTreeMap<(i64, i64), ChangeKind>,
    observations: Vec<Observed>,
}

/// Contiguous observations: datastream, kind, first and last.
type Observed = (i64, ChangeKind, Option<(i64, i64)>);

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.entities.is_empty() && self.observations.is_empty()
    }

    /// Notes what became of an entity that is no observation.
    pub(crate) fn note(&mut self, entity_type: EntityType, id: i64, kind: ChangeKind) {
        let key = (number(entity_type), id);
        match (self.entities.get(&key), kind) {
            // What was made in this transaction is new to everybody else, whatever it became since.
            (Some(ChangeKind::Created), ChangeKind::Updated) => {}
            (Some(ChangeKind::Created), ChangeKind::Deleted) => {
                self.entities.remove(&key);
            }
            _ => {
                self.entities.insert(key, kind);
            }
        }
    }

    /// Notes what became of observations of a datastream; `None`: of all.
    pub(crate) fn note_observations(
        &mut self,
        datastream: i64,
        kind: ChangeKind,
        span: Option<(i64, i64)>,
    ) {
        if let (Some((last_stream, last_kind, Some((_, last)))), Some((first, end))) =
            (self.observations.last_mut(), span)
            && (*last_stream, *last_kind) == (datastream, kind)
            && *last + 1 == first
        {
            *last = end;
            return;
        }
        self.observations.push((datastream, kind, span));
    }

    /// Writes them, in the order of entities, then of observations; without `now` by the clock of the
    /// database. On a server, others that write wait from here on for the commit.
    pub(crate) async fn write(
        &self,
        sql: &mut dyn Sql,
        now: Option<Timestamp>,
    ) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let at = match now {
            Some(now) => now.as_microsecond(),
            None => clock(sql).await?,
        };
        let row = |(entity_type, id): (i64, i64), kind: ChangeKind, span: Option<(i64, i64)>| {
            vec![
                Param::int(entity_type),
                Param::int(id),
                Param::int(kind.number()),
                Param::Int(span.map(|it| it.0)),
                Param::Int(span.map(|it| it.1)),
                Param::Time(Some(at)),
            ]
        };
        let entities = self
            .entities
            .iter()
            .map(|(key, kind)| row(*key, *kind, None));
        let observation = number(EntityType::Observation);
        let observations = self.observations.iter();
        let observations =
            observations.map(|(stream, kind, span)| row((observation, *stream), *kind, *span));
        let rows: Vec<Vec<Param>> = entities.chain(observations).collect();
        if sql.dialect() == Dialect::Postgres {
            // Numbers of a sequence are given when they are asked for, not at the commit. Behind this lock they
            // are in the order of commits: whoever reads one misses none before it.
            sql.query(LOCK, &[]).await?;
        }
        let head = match sql.dialect() {
            Dialect::Sqlite => "INSERT INTO sta_change (entity_type, id, kind, from_n, to_n, at)",
            Dialect::Postgres => {
                "INSERT INTO smartem_sta.change (entity_type, id, kind, from_n, to_n, at)"
            }
        };
        let made = sql.insert(head, &rows, "RETURNING seq").await?;
        let mut trimmed = false;
        for row in made {
            trimmed |= row.int(0)? % TRIMMED_EACH == 0;
        }
        if trimmed {
            trim(sql).await?;
        }
        Ok(())
    }
}

/// The lock under which the whole store is told to have changed.
const LOCK: &str = "SELECT value FROM smartem.meta WHERE key = 'change' FOR NO KEY UPDATE";

async fn clock(sql: &mut dyn Sql) -> Result<i64, Fault> {
    let question = match sql.dialect() {
        Dialect::Sqlite => "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        Dialect::Postgres => "SELECT now()",
    };
    let rows = sql.query(question, &[]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Changes after one, in their order.
pub(crate) async fn after(
    sql: &mut dyn Sql,
    seq: i64,
    limit: i64,
) -> Result<Vec<StaChange>, Fault> {
    let table = sql.dialect().table("change");
    let (from, most) = (sql.dialect().place(1), sql.dialect().place(2));
    let question = format!(
        "SELECT seq, entity_type, id, kind, from_n, to_n, at FROM {table}
         WHERE seq > {from} ORDER BY seq LIMIT {most}"
    );
    let rows = sql
        .query(&question, &[Param::int(seq), Param::int(limit)])
        .await?;
    rows.iter().map(change).collect()
}

/// The number of the newest change; 0 where there is none.
pub(crate) async fn newest(sql: &mut dyn Sql) -> Result<i64, Fault> {
    let table = sql.dialect().table("change");
    let question = format!("SELECT COALESCE(max(seq), 0) FROM {table}");
    let rows = sql.query(&question, &[]).await?;
    rows.first().map_or(Ok(0), |row| row.int(0))
}

/// Station-hours that were refined after a mark, with the ids of their observations, in their order.
pub(crate) async fn refined(
    sql: &mut dyn Sql,
    after: ChangeMark,
    limit: i64,
) -> Result<Vec<RefinedChange>, Fault> {
    let dialect = sql.dialect();
    let table = |name| dialect.other_table("smartem_refined", name);
    let (hours, series, observations) =
        (table("station_hour"), table("series"), table("observation"));
    let (index, start, end, id, from) = match dialect {
        Dialect::Sqlite => (
            "h.hour".to_owned(),
            format!("h.hour * {HOUR}"),
            format!("(h.hour + 1) * {HOUR}"),
            format!("(o.series_key << 32) | (o.start_time / {HOUR})"),
            Param::int(after.hour),
        ),
        Dialect::Postgres => (
            "(extract(epoch FROM h.hour) / 3600)::bigint".to_owned(),
            "h.hour".to_owned(),
            "h.hour + interval '1 hour'".to_owned(),
            "(o.series_key::bigint << 32) | floor(extract(epoch FROM o.start_time) / 3600)::bigint"
                .to_owned(),
            Param::Time(Some(after.hour.saturating_mul(HOUR))),
        ),
    };
    let place = |number| dialect.place(number);
    let question = format!(
        "SELECT h.change, h.station_key, {index}, {id}
         FROM (SELECT change, station_key, hour FROM {hours}
               WHERE (change, station_key, hour) > ({}, {}, {})
               ORDER BY change, station_key, hour LIMIT {}) AS h
         LEFT JOIN {series} AS s ON s.station_key = h.station_key
         LEFT JOIN {observations} AS o
           ON o.series_key = s.key AND o.start_time >= {start} AND o.start_time < {end}
         ORDER BY 1, 2, 3, 4",
        place(1),
        place(2),
        place(3),
        place(4)
    );
    let params = [
        Param::int(after.change),
        Param::int(after.station_key),
        from,
        Param::int(limit),
    ];
    let mut found: Vec<RefinedChange> = Vec::new();
    for row in sql.query(&question, &params).await? {
        let mark = ChangeMark {
            change: row.int(0)?,
            station_key: row.int(1)?,
            hour: row.int(2)?,
        };
        if found.last().is_none_or(|last| last.mark != mark) {
            found.push(RefinedChange {
                mark,
                observations: Vec::new(),
            });
        }
        if let (Some(id), Some(last)) = (row.optional_int(3)?, found.last_mut()) {
            last.observations.push(id);
        }
    }
    Ok(found)
}

/// Removes all but the newest; how many.
async fn trim(sql: &mut dyn Sql) -> Result<u64, Fault> {
    let table = sql.dialect().table("change");
    let kept = sql.dialect().place(1);
    let statement =
        format!("DELETE FROM {table} WHERE seq <= (SELECT max(seq) FROM {table}) - {kept}");
    sql.execute(&statement, &[Param::int(KEPT)]).await
}

fn change(row: &Row) -> Result<StaChange, Fault> {
    let entity_type = row.int(1)?;
    let kind = row.int(3)?;
    Ok(StaChange {
        seq: row.int(0)?,
        entity_type: numbered(entity_type)
            .ok_or_else(|| Fault::unknown("the number of an entity type", &entity_type))?,
        id: row.int(2)?,
        kind: ChangeKind::of_number(kind)
            .ok_or_else(|| Fault::unknown("the kind of a change", &kind))?,
        span: row.optional_int(4)?.zip(row.optional_int(5)?),
        at: row.time(6)?,
    })
}

impl ChangeKind {
    fn number(self) -> i64 {
        match self {
            Self::Created => 0,
            Self::Updated => 1,
            Self::Deleted => 2,
        }
    }

    fn of_number(number: i64) -> Option<Self> {
        [Self::Created, Self::Updated, Self::Deleted]
            .into_iter()
            .find(|it| it.number() == number)
    }
}

/// The number that stands for a type in the table; both kinds of datastreams have one.
fn number(entity_type: EntityType) -> i64 {
    match entity_type {
        EntityType::Thing => 0,
        EntityType::Location => 1,
        EntityType::HistoricalLocation => 2,
        EntityType::Datastream | EntityType::MultiDatastream => 3,
        EntityType::Sensor => 5,
        EntityType::ObservedProperty => 6,
        EntityType::Observation => 7,
        EntityType::Feature => 8,
    }
}

fn numbered(number_of: i64) -> Option<EntityType> {
    EntityType::ALL
        .into_iter()
        .find(|it| number(*it) == number_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_and_removed_again_is_not_told() {
        let mut changes = Changes::default();
        changes.note(EntityType::Thing, 1, ChangeKind::Created);
        changes.note(EntityType::Thing, 1, ChangeKind::Updated);
        assert_eq!(changes.entities[&(0, 1)], ChangeKind::Created);
        changes.note(EntityType::Thing, 1, ChangeKind::Deleted);
        assert!(changes.is_empty());
    }

    #[test]
    fn observations_that_follow_each_other_are_told_together() {
        let mut changes = Changes::default();
        for n in [1, 2, 3, 5] {
            changes.note_observations(7, ChangeKind::Created, Some((n, n)));
        }
        changes.note_observations(8, ChangeKind::Created, Some((6, 6)));
        let spans: Vec<_> = changes.observations.iter().map(|it| (it.0, it.2)).collect();
        assert_eq!(
            spans,
            [(7, Some((1, 3))), (7, Some((5, 5))), (8, Some((6, 6)))]
        );
    }

    #[test]
    fn every_type_has_a_number() {
        for entity_type in EntityType::ALL {
            let expected = match entity_type {
                EntityType::MultiDatastream => EntityType::Datastream,
                other => other,
            };
            assert_eq!(numbered(number(entity_type)), Some(expected));
        }
    }
}
