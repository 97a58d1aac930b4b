//! Transactions of the SensorThings entities.

use std::error::Error;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use deadpool_postgres::Transaction;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::pin_mut;
use jiff::Timestamp;
use smartem_sta::{Author, Operation, Outcome};
use tokio_postgres::Row as PostgresRow;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::fault::Fault as PostgresFault;
use super::sql::{At, tried};
use super::{Kind, Postgres};
use crate::sta::StaError;
use crate::sta::error::Fault;
use crate::sta::sql::{Cell, Dialect, Param, Row, Sql};
use crate::sta::write;

impl Postgres {
    /// Runs `work` in a transaction that reads: it sees one state of the store throughout.
    pub(crate) async fn sta_reading<T, W>(
        &self,
        action: &'static str,
        work: W,
    ) -> Result<T, StaError>
    where
        W: for<'s> Fn(&'s mut dyn Sql) -> BoxFuture<'s, Result<T, Fault>> + Sync,
    {
        self.sta_transaction(action, Kind::Read, work).await
    }

    /// Runs `work` in a transaction that writes, again when another stood in its way.
    pub(crate) async fn sta_writing<T, W>(
        &self,
        action: &'static str,
        work: W,
    ) -> Result<T, StaError>
    where
        W: for<'s> Fn(&'s mut dyn Sql) -> BoxFuture<'s, Result<T, Fault>> + Sync,
    {
        self.sta_transaction(action, Kind::Write, work).await
    }

    /// Carries out the changes of a caller in a transaction.
    pub(crate) async fn sta_write(
        &self,
        author: Author,
        operations: Vec<Operation>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>, StaError> {
        let (author, operations) = (Arc::new(author), Arc::new(operations));
        let writing = self.sta_writing("writing entities", move |sql| {
            let (author, operations) = (Arc::clone(&author), Arc::clone(&operations));
            async move {
                let outcomes = write::apply(sql, &author, &operations, now).await?;
                // Last: from here on others wait for the commit.
                sql.execute(NOTE_CHANGE, &[]).await?;
                Ok(outcomes)
            }
            .boxed()
        });
        writing.await
    }

    async fn sta_transaction<T, W>(
        &self,
        action: &'static str,
        kind: Kind,
        work: W,
    ) -> Result<T, StaError>
    where
        W: for<'s> Fn(&'s mut dyn Sql) -> BoxFuture<'s, Result<T, Fault>> + Sync,
    {
        let done = tried!(self, action, {
            let mut client = self.client().await?;
            let transaction = kind.begin(&mut client).await?;
            let mut sql = Server {
                transaction: &transaction,
            };
            let done = work(&mut sql).await;
            match done {
                Ok(done) => {
                    transaction.commit().await?;
                    Ok(Ok(done))
                }
                // A refusal is an answer; what was done before it is rolled back.
                Err(Fault::Sta(error)) => {
                    transaction.rollback().await?;
                    Ok(Err(error))
                }
                Err(Fault::Postgres(error)) if matches!(kind, Kind::Read) && is_of_data(&error) => {
                    transaction.rollback().await?;
                    Ok(Err(StaError::Invalid {
                        detail: format!("this cannot be computed: {}", message(&error)),
                        at: None,
                    }))
                }
                Err(fault) => Err(PostgresFault::from(fault)),
            }
        });
        done?
    }
}

const NOTE_CHANGE: &str = "UPDATE smartem.meta SET value = value + 1 WHERE key = 'change'";

/// Parameters of one statement; the protocol counts them with 16 bits.
const PARAMETERS: usize = 30_000;

/// Whether values do not go together with what is computed of them, as numbers that become too great (class 22;
/// PostgreSQL 15, appendix A) or geometries that cross themselves.
fn is_of_data(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| code.code().starts_with("22"))
        || error.as_db_error().is_some_and(|told| {
            told.message().contains("TopologyException") || told.message().contains("lwgeom")
        })
}

fn message(error: &tokio_postgres::Error) -> String {
    let told = error.as_db_error().map(|told| told.message().to_owned());
    told.unwrap_or_else(|| error.to_string())
}

/// A transaction as one of the SensorThings entities.
pub(super) struct Server<'t> {
    pub(super) transaction: &'t Transaction<'t>,
}

impl From<Fault> for PostgresFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Postgres(error) => Self::from(error),
            Fault::Unknown { what, value } => Self::Unknown { what, value },
            Fault::Sqlite(error) => Self::unknown("the backend", &error),
            Fault::Sta(error) => Self::unknown("what the store keeps itself", &error),
        }
    }
}

type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

/// JSON as text, which is not looked into on the way.
#[derive(Debug)]
struct JsonText(String);

/// What comes before the text of a `jsonb`: the version of its form.
const JSONB: u8 = 1;

impl ToSql for JsonText {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_u8(JSONB);
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::JSONB
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for JsonText {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let text = match raw {
            [JSONB, text @ ..] if *of == Type::JSONB => text,
            text => text,
        };
        Ok(Self(std::str::from_utf8(text)?.to_owned()))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::JSONB || *of == Type::JSON
    }
}

/// Parameters that have another form for the server.
enum Owned {
    Time(Option<At>),
    Json(Option<JsonText>),
    Other,
}

fn owned(params: &[Param]) -> Vec<Owned> {
    let convert = |param: &Param| match param {
        Param::Time(time) => Owned::Time(time.map(At)),
        Param::Json(text) => Owned::Json(text.clone().map(JsonText)),
        _ => Owned::Other,
    };
    params.iter().map(convert).collect()
}

fn typed<'a>(params: &'a [Param], owned: &'a [Owned]) -> Vec<Typed<'a>> {
    let convert = |(param, owned): (&'a Param, &'a Owned)| -> Typed<'a> {
        match (param, owned) {
            (_, Owned::Time(time)) => (time, Type::TIMESTAMPTZ),
            (_, Owned::Json(json)) => (json, Type::JSONB),
            (Param::Real(value), _) => (value, Type::FLOAT8),
            (Param::Text(text) | Param::Json(text), _) => (text, Type::TEXT),
            (Param::Bool(value), _) => (value, Type::BOOL),
            (Param::Ints(values), _) => (values, Type::INT8_ARRAY),
            (Param::Int(value) | Param::Time(value), _) => (value, Type::INT8),
        }
    };
    params.iter().zip(owned).map(convert).collect()
}

fn cells(row: &PostgresRow) -> Result<Row, Fault> {
    let cell = |at: usize, of: &Type| -> Result<Cell, Fault> {
        let int = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
        Ok(match *of {
            Type::INT8 => int(row.try_get(at)?),
            Type::INT4 => int(row.try_get::<_, Option<i32>>(at)?.map(i64::from)),
            Type::INT2 => int(row.try_get::<_, Option<i16>>(at)?.map(i64::from)),
            Type::BOOL => int(row.try_get::<_, Option<bool>>(at)?.map(i64::from)),
            Type::TIMESTAMPTZ => int(row.try_get::<_, Option<At>>(at)?.map(|at| at.0)),
            Type::FLOAT8 => row
                .try_get::<_, Option<f64>>(at)?
                .map_or(Cell::Null, Cell::Real),
            Type::JSONB | Type::JSON => row
                .try_get::<_, Option<JsonText>>(at)?
                .map_or(Cell::Null, |json| Cell::Text(json.0)),
            _ => row
                .try_get::<_, Option<String>>(at)?
                .map_or(Cell::Null, Cell::Text),
        })
    };
    let columns = row.columns().iter().enumerate();
    let cells = columns.map(|(at, column)| cell(at, column.type_()));
    Ok(Row(cells.collect::<Result<_, _>>()?))
}

impl Server<'_> {
    async fn rows(&self, sql: &str, params: &[Typed<'_>]) -> Result<Vec<Row>, Fault> {
        let rows = self.transaction.query_typed(sql, params).await?;
        rows.iter().map(cells).collect()
    }
}

impl Sql for Server<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        async move {
            let owned = owned(params);
            self.rows(sql, &typed(params, &owned)).await
        }
        .boxed()
    }

    fn query_each<'a>(
        &'a mut self,
        sql: &'a str,
        keys: &'a [i64],
        params: &'a [Param],
        most: u64,
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        async move {
            let place = Dialect::Postgres.place(params.len() + 1);
            let most = most.min(i64::MAX as u64);
            let each = sql.replace("{key}", "each_key.key");
            let sql = format!(
                "SELECT each_key.key, found.* FROM unnest({place}) AS each_key (key) \
                 CROSS JOIN LATERAL ({each}) AS found LIMIT {most}"
            );
            let owned = owned(params);
            let mut all = typed(params, &owned);
            all.push((&keys, Type::INT8_ARRAY));
            self.rows(&sql, &all).await
        }
        .boxed()
    }

    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
    ) -> BoxFuture<'a, Result<u64, Fault>> {
        async move {
            let owned = owned(params);
            let typed = typed(params, &owned);
            Ok(self.transaction.execute_typed(sql, &typed).await?)
        }
        .boxed()
    }

    fn insert<'a>(
        &'a mut self,
        head: &'a str,
        rows: &'a [Vec<Param>],
        tail: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        async move {
            let width = rows.first().map_or(1, Vec::len).max(1);
            let mut found = Vec::new();
            for rows in rows.chunks(PARAMETERS / width) {
                let places = |row: usize| {
                    let numbers = row * width + 1..=(row + 1) * width;
                    let places: Vec<String> = numbers.map(|it| format!("${it}")).collect();
                    format!("({})", places.join(", "))
                };
                let values: Vec<String> = (0..rows.len()).map(places).collect();
                let sql = format!("{head} VALUES {} {tail}", values.join(", "));
                let params: Vec<Param> = rows.iter().flatten().cloned().collect();
                let owned = owned(&params);
                found.extend(self.rows(&sql, &typed(&params, &owned)).await?);
            }
            Ok(found)
        }
        .boxed()
    }

    fn load<'a>(
        &'a mut self,
        table: &'a str,
        columns: &'a [&'a str],
        rows: &'a [Vec<Param>],
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            let Some(first) = rows.first() else {
                return Ok(());
            };
            let forms = owned(first);
            let types: Vec<Type> = typed(first, &forms).into_iter().map(|it| it.1).collect();
            let sql = format!("COPY {table} ({}) FROM STDIN BINARY", columns.join(", "));
            let sink = self.transaction.copy_in(sql.as_str()).await?;
            let writer = BinaryCopyInWriter::new(sink, &types);
            pin_mut!(writer);
            for row in rows {
                let forms = owned(row);
                let values: Vec<_> = typed(row, &forms).into_iter().map(|it| it.0).collect();
                writer.as_mut().write(&values).await?;
            }
            writer.finish().await?;
            Ok(())
        }
        .boxed()
    }
}
