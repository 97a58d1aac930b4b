//! A copy of everything from one store into another, whichever backends they are of.
//!
//! The source is read as it is at one moment. What is written is read back and compared with what was read
//! (rows and a sum of each table) before it becomes visible: a copy is there whole, or the target is as it
//! was. So a copy that was broken off is simply made again.

mod cell;
mod store;
mod tables;

use std::ops::ControlFlow;
use std::path::Path;

use futures::future::{join, join3};
use tokio::sync::mpsc::{Receiver, Sender, channel};

pub(crate) use cell::{Cell, Row};
pub(crate) use store::into_file;
pub(crate) use tables::{Column, Kind, TABLES, Table};

use crate::StoreError;
use crate::postgres::text;
use cell::Sum;

/// Batches between two that wait for each other.
const DEPTH: usize = 2;
/// A batch ends with so many rows or bytes.
const ROWS: usize = 4096;
const BYTES: usize = 4 << 20;

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows by table, in the order in which they were copied.
    pub tables: Vec<(&'static str, u64)>,
}

impl Copied {
    /// The rows of a table.
    pub fn rows(&self, table: &str) -> u64 {
        let found = self.tables.iter().find(|(name, _)| *name == table);
        found.map_or(0, |(_, rows)| *rows)
    }
}

/// A store as one side of a copy, in a transaction of its own.
pub(crate) trait Side: Send {
    /// Whether texts may hold the character of number 0.
    const HAS_NUL: bool;

    /// For messages.
    fn place(&self) -> &Path;

    fn count(
        &mut self,
        table: &'static Table,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The last number that a table gave to a row by counting on; 0: none.
    fn last_number(
        &mut self,
        table: &'static Table,
        column: &'static str,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// Gives all rows, in the order of their key; ends early when nobody takes them.
    fn read(
        &mut self,
        table: &'static Table,
        to: Sender<Vec<Row>>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes room for a copy in a new store.
    fn prepare(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes all rows that come.
    fn write(
        &mut self,
        table: &'static Table,
        from: Receiver<Vec<Row>>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets a table count on after this number.
    fn count_on(
        &mut self,
        table: &'static Table,
        column: &'static str,
        after: i64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes the totals that only this backend keeps.
    fn total(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Rows that are collected until they make a batch.
#[derive(Default)]
pub(crate) struct Batch {
    rows: Vec<Row>,
    bytes: usize,
}

impl Batch {
    /// Adds a row; gives the batch when it is full.
    pub(crate) fn add(&mut self, row: Row) -> Option<Vec<Row>> {
        self.bytes += row.iter().map(Cell::size).sum::<usize>();
        self.rows.push(row);
        (self.rows.len() >= ROWS || self.bytes >= BYTES).then(|| self.take())
    }

    pub(crate) fn take(&mut self) -> Vec<Row> {
        self.bytes = 0;
        std::mem::take(&mut self.rows)
    }
}

/// Tells how many rows of how many are done, and whether to go on.
struct Watch<'a, F> {
    told: &'a mut F,
    done: u64,
    of: u64,
}

impl<F: FnMut(u64, u64) -> ControlFlow<()>> Watch<'_, F> {
    fn advance(&mut self, rows: usize) -> ControlFlow<()> {
        self.done += rows as u64;
        (self.told)(self.done, self.of.max(self.done))
    }
}

/// Moves everything and compares; `None` when `told` broke off. The target's transaction is not ended.
///
/// `told` is given rows: each counts when it is written and when it is compared.
pub(crate) async fn transfer<S, T, F>(
    source: &mut S,
    target: &mut T,
    mut told: F,
) -> Result<Option<Copied>, StoreError>
where
    S: Side,
    T: Side,
    F: FnMut(u64, u64) -> ControlFlow<()> + Send,
{
    let mut rows = 0;
    for table in &TABLES {
        rows += source.count(table).await?;
    }
    let mut watch = Watch {
        told: &mut told,
        done: 0,
        of: 2 * rows,
    };
    target.prepare().await?;
    let mut sums = Vec::new();
    for table in &TABLES {
        let Some(sum) = move_table(source, target, table, &mut watch).await? else {
            return Ok(None);
        };
        sums.push(sum);
        if let Some(column) = table.counted {
            let last = source.last_number(table, column).await?;
            target.count_on(table, column, last).await?;
        }
    }
    target.total().await?;
    let mut problems = Vec::new();
    for (table, written) in TABLES.iter().zip(&sums) {
        let Some(found) = sum_table(target, table, &mut watch).await? else {
            return Ok(None);
        };
        problems.extend(difference(table, written, &found));
    }
    if !problems.is_empty() {
        return Err(StoreError::CopyDiffers {
            path: target.place().to_owned(),
            problems,
        });
    }
    let tables = TABLES.iter().zip(&sums);
    Ok(Some(Copied {
        tables: tables
            .map(|(table, sum)| (table.embedded, sum.rows))
            .collect(),
    }))
}

fn difference(table: &Table, written: &Sum, found: &Sum) -> Option<String> {
    let name = table.embedded;
    if written.rows != found.rows {
        return Some(format!(
            "table {name} has {} rows instead of {}",
            found.rows, written.rows
        ));
    }
    (written != found).then(|| format!("table {name} holds other values than were read"))
}

async fn move_table<S, T, F>(
    source: &mut S,
    target: &mut T,
    table: &'static Table,
    watch: &mut Watch<'_, F>,
) -> Result<Option<Sum>, StoreError>
where
    S: Side,
    T: Side,
    F: FnMut(u64, u64) -> ControlFlow<()> + Send,
{
    let (give, mut take) = channel::<Vec<Row>>(DEPTH);
    let (pass, passed) = channel(DEPTH);
    let through = async {
        let mut sum = Sum::default();
        let mut buffer = Vec::new();
        while let Some(mut batch) = take.recv().await {
            for row in &mut batch {
                if !T::HAS_NUL {
                    show_nul(table, row);
                }
                sum.add(row, &mut buffer);
            }
            let rows = batch.len();
            if pass.send(batch).await.is_err() || watch.advance(rows).is_break() {
                // Who broke off, or failed, is asked for it below.
                take.close();
                return None;
            }
        }
        drop(pass);
        Some(sum)
    };
    let (read, sum, written) = join3(
        source.read(table, give),
        through,
        target.write(table, passed),
    )
    .await;
    written?;
    read?;
    Ok(sum)
}

async fn sum_table<T, F>(
    target: &mut T,
    table: &'static Table,
    watch: &mut Watch<'_, F>,
) -> Result<Option<Sum>, StoreError>
where
    T: Side,
    F: FnMut(u64, u64) -> ControlFlow<()> + Send,
{
    let (give, mut take) = channel::<Vec<Row>>(DEPTH);
    let through = async {
        let mut sum = Sum::default();
        let mut buffer = Vec::new();
        while let Some(batch) = take.recv().await {
            for row in &batch {
                sum.add(row, &mut buffer);
            }
            if watch.advance(batch.len()).is_break() {
                take.close();
                return None;
            }
        }
        Some(sum)
    };
    let (read, sum) = join(target.read(table, give), through).await;
    read?;
    Ok(sum)
}

/// Texts as a database keeps them that has no character of number 0.
fn show_nul(table: &Table, row: &mut Row) {
    for (column, cell) in table.columns.iter().zip(row) {
        if let Cell::Text(of) = cell
            && column.kind != Kind::Name
            && of.contains('\0')
        {
            *of = text(of).into_owned();
        }
    }
}
