//! What an operator asks about the server.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::migrate::{needed, schema};
use super::sql::{attempt, params};
use super::{Kind, Postgres, PostgresSettings};
use crate::StoreError;

/// What a PostgreSQL server says of itself and of the role that asks.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an answer of its own"
)]
pub struct ServerFacts {
    /// Its version, as it is written.
    pub version: String,
    /// The same as a number: 150004.
    pub version_number: u32,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
    /// The version of PostGIS in this database; `None`: it is not there.
    pub postgis: Option<String>,
    /// Who asks.
    pub role: String,
    /// Whether the role may read everything of the store.
    pub may_read: bool,
    /// Whether it may write, as ETL processes and the collector do.
    pub may_write: bool,
    /// Whether it may change the schema.
    pub may_migrate: bool,
    /// The version of the schema; 0: there is no store. `None`: the role may not look.
    pub schema: Option<u32>,
    /// The version that this program needs.
    pub needed: u32,
    /// Connections that the server takes from those who are no superusers.
    pub connections_max: u32,
    /// Connections that it has now, whoever has them.
    pub connections_used: u32,
    /// How long it took to connect.
    pub connected_in: Duration,
    /// How much its clock is before (or, negative, behind) the one that was given.
    pub clock_ahead: SignedDuration,
}

const FACTS: &str = "SELECT current_setting('server_version'),
    current_setting('server_version_num')::int,
    coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false),
    (SELECT extversion FROM pg_extension WHERE extname = 'postgis'),
    current_user::text,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL)::int,
    (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = 'smartem'),
    (SELECT pg_has_role(nspowner, 'MEMBER') FROM pg_namespace WHERE nspname = 'smartem'),
    has_database_privilege(current_database(), 'CREATE')";

/// Over all tables but those that only a migration writes, and partitions, which are written through
/// their parent.
const RIGHTS: &str = "SELECT
    coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false),
    coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE')
        AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
        AND has_table_privilege(c.oid, 'DELETE')), false)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname ~ '^smartem(_|$)' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname NOT IN ('schema_version', 'identity')";

/// Asks the server; `now` is the clock that its own is compared with.
pub(crate) async fn facts(
    settings: &PostgresSettings,
    now: &(dyn Fn() -> Timestamp + Send + Sync),
) -> Result<ServerFacts, StoreError> {
    const ACTION: &str = "asking the server";
    let database = Postgres::connect(Path::new(""), settings)?;
    let begin = Instant::now();
    attempt!(database, ACTION, Kind::Read, |_transaction| Ok(()))?;
    let connected_in = begin.elapsed();
    let clock_ahead = attempt!(database, ACTION, Kind::Read, |transaction| {
        let before = now();
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let row = transaction.query_typed_one(sql, params![]).await?;
        let taken = now().duration_since(before);
        let micros: i64 = row.try_get(0)?;
        // Its answer was made, so far as one can tell, in the middle.
        let middle = before.as_microsecond() + i64::try_from(taken.as_micros() / 2).unwrap_or(0);
        Ok(SignedDuration::from_micros(micros - middle))
    })?;
    attempt!(database, ACTION, Kind::Read, |transaction| {
        let row = transaction.query_typed_one(FACTS, params![]).await?;
        let number = |at: usize| -> Result<u32, super::fault::Fault> {
            let number: i32 = row.try_get(at)?;
            Ok(u32::try_from(number).unwrap_or(0))
        };
        let may_look: Option<bool> = row.try_get(7)?;
        let owns: Option<bool> = row.try_get(8)?;
        let may_create: bool = row.try_get(9)?;
        let version = match may_look {
            // Where there is no schema, there is no store.
            None => Some(0),
            Some(true) => Some(schema(&transaction).await?.version),
            Some(false) => None,
        };
        let rights = transaction.query_typed_one(RIGHTS, params![]).await?;
        Ok(ServerFacts {
            version: row.try_get(0)?,
            version_number: number(1)?,
            is_encrypted: row.try_get(2)?,
            postgis: row.try_get(3)?,
            role: row.try_get(4)?,
            may_read: rights.try_get(0)?,
            may_write: rights.try_get(1)?,
            may_migrate: owns.unwrap_or(may_create),
            schema: version,
            needed: needed(),
            connections_max: number(5)?,
            connections_used: number(6)?,
            connected_in,
            clock_ahead,
        })
    })
}
