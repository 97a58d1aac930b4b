//! A database as one side of a copy.

mod cells;

use std::collections::BTreeSet;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use deadpool_postgres::{Client, Transaction};
use futures::TryStreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use self::cells::{bound, cells, read_as, types, written_as};
use super::convert::{At, to_count};
use super::fault::Fault;
use super::sql::{attempt, params};
use super::{Kind as Mode, Postgres};
use crate::StoreError;
use crate::copy::{Batch, Cell, Row, Side, TABLES, Table};
use crate::retention::Month;

const ACTION: &str = "copying the store";

/// Who waits behind a copy is not to wait for long, should the copy have to.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '10s'";

/// A database in a transaction.
pub(crate) struct PostgresSide<'a> {
    transaction: Transaction<'a>,
    place: &'a Path,
}

impl Postgres {
    /// Segments of the collector's log before this one are committed.
    pub(crate) async fn committed_segment(self: &Arc<Self>) -> Result<u64, StoreError> {
        attempt!(self, ACTION, Mode::Read, |transaction| {
            Ok(to_count(super::meta(&transaction, "points_segment").await?))
        })
    }

    /// A connection for a copy; the transaction is [`PostgresSide`]'s.
    pub(crate) async fn copy_client(&self) -> Result<Client, StoreError> {
        let client = self.client().await;
        client.map_err(|fault| fault.during(ACTION, &self.place))
    }

    /// The time of the newest step of the schema.
    pub(crate) async fn migrated_at(&self) -> Result<Timestamp, StoreError> {
        let read = async {
            let sql = "SELECT max(applied_at) FROM smartem.schema_version";
            let row = self.client().await?.query_typed_one(sql, params![]).await?;
            row.try_get::<_, At>(0)?.to_time()
        };
        read.await
            .map_err(|fault| fault.during(ACTION, &self.place))
    }
}

impl<'a> PostgresSide<'a> {
    /// The store as it is now, to be copied.
    pub(crate) async fn copied(
        client: &'a mut Client,
        place: &'a Path,
    ) -> Result<Self, StoreError> {
        Self::begin(Mode::Read, client, place).await
    }

    /// A new store, to be written.
    pub(crate) async fn new_store(
        client: &'a mut Client,
        place: &'a Path,
    ) -> Result<Self, StoreError> {
        Self::begin(Mode::Write, client, place).await
    }

    async fn begin(
        mode: Mode,
        client: &'a mut Client,
        place: &'a Path,
    ) -> Result<Self, StoreError> {
        let begun = mode.begin(client).await;
        let transaction = begun.map_err(|fault| fault.during(ACTION, place))?;
        Ok(Self { transaction, place })
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let committed = self.transaction.commit().await;
        committed.map_err(|error| Fault::from(error).during(ACTION, self.place))
    }

    fn told<T>(&self, done: Result<T, Fault>) -> Result<T, StoreError> {
        done.map_err(|fault| fault.during(ACTION, self.place))
    }

    async fn number(&self, sql: &str) -> Result<i64, Fault> {
        let row = self.transaction.query_typed_one(sql, params![]).await?;
        Ok(row.try_get(0)?)
    }

    /// Nobody may write meanwhile, and nothing may be there.
    async fn take_over(&self) -> Result<(), Fault> {
        let names: Vec<String> = TABLES.iter().map(name).collect();
        let begin = format!(
            "{LOCK_TIMEOUT}; SET LOCAL ROLE smartem_owner;
            LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
            names.join(", ")
        );
        self.transaction.batch_execute(&begin).await?;
        let (seeded, others): (Vec<&Table>, Vec<&Table>) =
            TABLES.iter().partition(|table| table.is_seeded);
        let there = others.iter().map(|table| {
            format!(
                "(SELECT '{}' WHERE EXISTS (SELECT FROM {}))",
                table.name,
                name(table)
            )
        });
        let there: Vec<String> = there.collect();
        let sql = format!("SELECT coalesce({})::text", there.join(", "));
        let row = self.transaction.query_typed_one(&sql, params![]).await?;
        if row.try_get::<_, Option<String>>(0)?.is_some() {
            return Err(Fault::Told(StoreError::NotEmpty {
                path: self.place.to_owned(),
                remedy: "name a database in which nothing was stored yet",
            }));
        }
        for table in seeded {
            let sql = format!("DELETE FROM {}{}", name(table), only(table));
            self.transaction.execute_typed(&sql, params![]).await?;
        }
        Ok(())
    }

    async fn read_rows(&self, table: &Table, to: &Sender<Vec<Row>>) -> Result<(), Fault> {
        let columns: Vec<String> = table.columns.iter().map(|it| read_as(*it)).collect();
        let sql = format!(
            "SELECT {} FROM {}{} ORDER BY {}",
            columns.join(", "),
            name(table),
            only(table),
            table.key
        );
        let none: [(&(dyn ToSql + Sync), Type); 0] = [];
        let rows = self.transaction.query_typed_raw(&sql, none).await?;
        let mut rows = pin!(rows);
        let mut batch = Batch::default();
        while let Some(row) = rows.try_next().await? {
            if let Some(full) = batch.add(cells(table, &row)?)
                && to.send(full).await.is_err()
            {
                return Ok(());
            }
        }
        // Who does not take them any more knows why.
        let _ = to.send(batch.take()).await;
        Ok(())
    }

    async fn write_rows(&self, table: &Table, from: &mut Receiver<Vec<Row>>) -> Result<(), Fault> {
        let columns: Vec<String> = table.columns.iter().map(|it| written_as(*it)).collect();
        let sql = format!(
            "COPY {} ({}) FROM STDIN BINARY",
            name(table),
            columns.join(", ")
        );
        let types: Vec<Type> = table.columns.iter().flat_map(|it| types(it.kind)).collect();
        let mut months = BTreeSet::new();
        // The checks of keys wait in memory until a statement ends, so each batch is one.
        while let Some(batch) = from.recv().await {
            if batch.is_empty() {
                continue;
            }
            if table.embedded == "observation" {
                self.ensure_partitions(table, &batch, &mut months).await?;
            }
            let sink = self.transaction.copy_in::<_, Bytes>(&sql).await?;
            let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
            let mut values = Vec::with_capacity(types.len());
            for row in &batch {
                values.clear();
                for (column, cell) in table.columns.iter().zip(row) {
                    bound(*column, cell, &mut values)?;
                }
                writer.as_mut().write_raw(values.iter()).await?;
            }
            writer.finish().await?;
        }
        Ok(())
    }

    /// Makes the partitions that a batch of observations needs.
    async fn ensure_partitions(
        &self,
        table: &Table,
        batch: &[Row],
        known: &mut BTreeSet<Month>,
    ) -> Result<(), Fault> {
        let at = table.columns.iter().position(|it| it.name == "start_time");
        let Some(at) = at else { return Ok(()) };
        for row in batch {
            let Some(Cell::Time(micros)) = row.get(at) else {
                continue;
            };
            let time = At(*micros);
            let month = Month::at(time.to_time()?);
            if known.contains(&month) {
                continue;
            }
            let sql = "SELECT smartem_refined.ensure_month($1)";
            self.transaction
                .execute_typed(sql, params![time => TIMESTAMPTZ])
                .await?;
            known.insert(month);
        }
        Ok(())
    }

    async fn finish_totals(&self) -> Result<(), Fault> {
        const TOTALS: &str = "UPDATE smartem.station s SET raw_records = r.rows
            FROM (SELECT station_key, count(*) AS rows FROM smartem_raw.raw_record GROUP BY 1) r
            WHERE r.station_key = s.key";
        self.transaction.execute_typed(TOTALS, params![]).await?;
        // The entities of stations were copied too.
        let settled = "DELETE FROM smartem_sta.stale";
        self.transaction.execute_typed(settled, params![]).await?;
        // The planner is to know at once what is there.
        let names: Vec<String> = TABLES.iter().map(name).collect();
        let analyze = format!("ANALYZE {}", names.join(", "));
        Ok(self.transaction.batch_execute(&analyze).await?)
    }
}

impl Side for PostgresSide<'_> {
    const HAS_NUL: bool = false;

    fn place(&self) -> &Path {
        self.place
    }

    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}{}", name(table), only(table));
        let counted = self.number(&sql).await;
        self.told(counted.map(to_count))
    }

    async fn last_number(
        &mut self,
        table: &'static Table,
        column: &'static str,
    ) -> Result<i64, StoreError> {
        let (table, sequence) = (name(table), sequence(table, column));
        let sql = format!(
            "SELECT greatest((SELECT coalesce(max({column}), 0) FROM {table}),
                (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END
                    FROM {sequence}))::bigint"
        );
        let number = self.number(&sql).await;
        self.told(number)
    }

    async fn read(
        &mut self,
        table: &'static Table,
        to: Sender<Vec<Row>>,
    ) -> Result<(), StoreError> {
        let read = self.read_rows(table, &to).await;
        self.told(read)
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        let taken = self.take_over().await;
        self.told(taken)
    }

    async fn write(
        &mut self,
        table: &'static Table,
        mut from: Receiver<Vec<Row>>,
    ) -> Result<(), StoreError> {
        let written = self.write_rows(table, &mut from).await;
        self.told(written)
    }

    async fn count_on(
        &mut self,
        table: &'static Table,
        column: &'static str,
        after: i64,
    ) -> Result<(), StoreError> {
        if after == 0 {
            return Ok(());
        }
        let sql = format!("SELECT setval('{}', {after})", sequence(table, column));
        let set = self.number(&sql).await;
        self.told(set.map(|_| ()))
    }

    async fn total(&mut self) -> Result<(), StoreError> {
        let done = self.finish_totals().await;
        self.told(done)
    }
}

fn name(table: &Table) -> String {
    format!("{}.{}", table.schema, table.name)
}

/// What a column counts by; datastreams are numbered together with series.
fn sequence(table: &Table, column: &str) -> String {
    match table.embedded {
        "sta_datastream" => "smartem_refined.series_key_seq".to_owned(),
        _ => format!("{}_{column}_seq", name(table)),
    }
}

fn only(table: &Table) -> String {
    let only = table.only.map(|only| format!(" WHERE {only}"));
    only.unwrap_or_default()
}
