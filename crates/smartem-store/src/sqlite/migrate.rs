//! The schema and its versions.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::convert::micros;
use crate::Migration;

/// All steps, the first being version 1.
const STEPS: [(&str, &str); 8] = [
    ("first", include_str!("migrations/0001-first.sql")),
    (
        "declared-location",
        include_str!("migrations/0002-declared-location.sql"),
    ),
    ("chains", include_str!("migrations/0003-chains.sql")),
    ("points", include_str!("migrations/0004-points.sql")),
    ("tokens", include_str!("migrations/0005-tokens.sql")),
    ("identity", include_str!("migrations/0006-identity.sql")),
    (
        "imported-models",
        include_str!("migrations/0007-imported-models.sql"),
    ),
    ("sta", include_str!("migrations/0008-sta.sql")),
];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";

/// The version this program needs.
pub(crate) fn needed() -> u32 {
    steps().map(|(step, _)| step.version).max().unwrap_or(0)
}

/// The version of a database; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    let exists: Option<i64> = connection
        .query_row(
            "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    match exists {
        Some(_) => connection.query_row(
            "SELECT coalesce(max(version), 0) FROM schema_version",
            [],
            |row| row.get(0),
        ),
        None => Ok(0),
    }
}

/// Which store a database is; `None` for one of an older program.
pub(super) fn identity(connection: &Connection) -> rusqlite::Result<Option<String>> {
    const SINCE: u32 = 6;
    if version(connection)? < SINCE {
        return Ok(None);
    }
    connection
        .query_row("SELECT id FROM identity", [], |row| row.get(0))
        .optional()
}

/// The steps that come after a version.
pub(super) fn missing(version: u32) -> impl Iterator<Item = Migration> {
    let later = steps().map(|(step, _)| step);
    later.filter(move |step| step.version > version)
}

/// Takes the steps that are missing, each in a transaction of its own.
pub(super) fn migrate(
    connection: &mut Connection,
    now: Timestamp,
) -> rusqlite::Result<Vec<Migration>> {
    let mut taken = Vec::new();
    for (step, sql) in steps() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have taken the step while this one waited.
        if version(&transaction)? >= step.version {
            continue;
        }
        transaction.execute_batch(VERSIONS)?;
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT INTO schema_version (version, name, applied_at) VALUES (?1, ?2, ?3)",
            params![step.version, step.name, micros(now)],
        )?;
        transaction.commit()?;
        tracing::info!(
            version = step.version,
            name = step.name,
            "migrated the store"
        );
        taken.push(step);
    }
    Ok(taken)
}

fn steps() -> impl Iterator<Item = (Migration, &'static str)> {
    (1..)
        .zip(STEPS)
        .map(|(version, (name, sql))| (Migration { version, name }, sql))
}
