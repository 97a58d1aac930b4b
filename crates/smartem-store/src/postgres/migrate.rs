//! The schema and its versions.
//!
//! Steps go forwards only, and so that programs of the version before go on while the new ones come: first
//! a step that only adds (`expand`), then one that moves data (`migrate`), and when no older program is
//! left one that removes (`contract`). Each says from which version on a program can work with the result.

use std::path::Path;

use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::fault::Fault;
use super::sql::{attempt, params};
use super::sta::Server;
use super::{Kind, Postgres, PostgresSettings};
use crate::sta::keep::{self, Tell};
use crate::{Migration, StoreError};

/// What a step does to programs that run meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Expand,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Expand => "expand",
        }
    }
}

struct Step {
    version: u32,
    name: &'static str,
    phase: Phase,
    /// The least version that a program must know to work with the result.
    compatible_from: u32,
    sql: &'static str,
}

const STEPS: [Step; 4] = [
    Step {
        version: 1,
        name: "first",
        phase: Phase::Expand,
        compatible_from: 1,
        sql: include_str!("migrations/0001-first.sql"),
    },
    Step {
        version: 2,
        name: "views",
        phase: Phase::Expand,
        compatible_from: 1,
        sql: include_str!("migrations/0002-views.sql"),
    },
    Step {
        version: 3,
        name: "retention",
        phase: Phase::Expand,
        compatible_from: 1,
        sql: include_str!("migrations/0003-retention.sql"),
    },
    Step {
        version: 4,
        name: "sta",
        phase: Phase::Expand,
        compatible_from: 1,
        sql: include_str!("migrations/0004-sta.sql"),
    },
];

const ROLES_SQL: &str = include_str!("migrations/roles.sql");

/// Who does what; those that can log in have no password until an administrator gives them one.
pub(super) const ROLES: [&str; 5] = [
    "smartem_owner",
    "smartem_writer",
    "smartem_api",
    "smartem_reader",
    "smartem_backup",
];

/// One at a time migrates a database: the number is that of the lock.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7614200000000001)";

/// A step that waits for a lock would hold up all who come after it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '10s'";

/// The version that this program writes.
pub(crate) fn needed() -> u32 {
    STEPS.last().map_or(0, |step| step.version)
}

/// What is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schema {
    /// The newest step; 0: none.
    pub(super) version: u32,
    /// The least version that a program must know.
    compatible_from: u32,
}

pub(super) async fn schema(transaction: &Transaction<'_>) -> Result<Schema, Fault> {
    let there = "SELECT to_regclass('smartem.schema_version') IS NOT NULL";
    let row = transaction.query_typed_one(there, params![]).await?;
    if !row.try_get::<_, bool>(0)? {
        return Ok(Schema {
            version: 0,
            compatible_from: 0,
        });
    }
    let sql = "SELECT coalesce(max(version), 0), coalesce(max(compatible_from), 0)
        FROM smartem.schema_version";
    let row = transaction.query_typed_one(sql, params![]).await?;
    let number = |at: usize| -> Result<u32, Fault> {
        let number: i32 = row.try_get(at)?;
        u32::try_from(number).map_err(|_| Fault::unknown("the schema version", &number))
    };
    Ok(Schema {
        version: number(0)?,
        compatible_from: number(1)?,
    })
}

/// Whether this program can work with a schema: it has all that is needed, and nothing was removed.
pub(super) fn fits(schema: Schema, place: &Path) -> Result<(), StoreError> {
    let known = needed();
    if schema.version < known {
        return Err(StoreError::NotMigrated {
            path: place.to_owned(),
            found: schema.version,
            needed: known,
        });
    }
    not_too_new(schema, place)
}

fn not_too_new(schema: Schema, place: &Path) -> Result<(), StoreError> {
    let known = needed();
    if schema.compatible_from > known {
        return Err(StoreError::NewerSchema {
            path: place.to_owned(),
            found: schema.version,
            known,
        });
    }
    Ok(())
}

/// The steps that are missing; nothing is changed.
pub(crate) async fn pending(settings: &PostgresSettings) -> Result<Vec<Migration>, StoreError> {
    let database = Postgres::connect(Path::new(""), settings)?;
    let found = attempt!(database, "reading the schema version", Kind::Read, |it| {
        schema(&it).await
    })?;
    not_too_new(found, database.place())?;
    Ok(missing(found).map(Step::told).collect())
}

/// Brings the database to the version of this program; returns the steps that were missing.
///
/// Roles and the extension `postgis` are made where they are missing and the user may do that.
pub(crate) async fn apply(settings: &PostgresSettings) -> Result<Vec<Migration>, StoreError> {
    const ACTION: &str = "migrating the store";
    let database = Postgres::connect(Path::new(""), settings)?;
    attempt!(database, ACTION, Kind::Write, |transaction| {
        transaction.batch_execute(LOCK).await?;
        transaction.batch_execute(LOCK_TIMEOUT).await?;
        let found = schema(&transaction).await?;
        not_too_new(found, database.place())?;
        let steps: Vec<&Step> = missing(found).collect();
        if !steps.is_empty() {
            prepare(&transaction, database.place()).await?;
            transaction
                .batch_execute("SET LOCAL ROLE smartem_owner")
                .await?;
            for step in &steps {
                run(&transaction, step).await?;
            }
            transaction.batch_execute(ROLES_SQL).await?;
        }
        keep::align(
            &mut Server {
                transaction: &transaction,
            },
            Tell::No,
        )
        .await?;
        Ok(steps.into_iter().map(Step::told).collect())
    })
}

fn missing(found: Schema) -> impl Iterator<Item = &'static Step> {
    STEPS
        .iter()
        .filter(move |step| step.version > found.version)
}

impl Step {
    fn told(&self) -> Migration {
        Migration {
            version: self.version,
            name: self.name,
        }
    }
}

async fn run(transaction: &Transaction<'_>, step: &Step) -> Result<(), Fault> {
    transaction.batch_execute(step.sql).await?;
    let note = "INSERT INTO smartem.schema_version (version, name, phase, compatible_from)
        VALUES ($1, $2, $3, $4)";
    let (version, compatible_from) = (
        step.version.cast_signed(),
        step.compatible_from.cast_signed(),
    );
    transaction
        .execute_typed(
            note,
            params![version => INT4, step.name => TEXT, step.phase.as_str() => TEXT,
                compatible_from => INT4],
        )
        .await?;
    Ok(())
}

/// Makes what the schema stands on: the roles, and PostGIS.
async fn prepare(transaction: &Transaction<'_>, place: &Path) -> Result<(), Fault> {
    let is_owner = "SELECT current_user = 'smartem_owner'";
    let row = transaction.query_typed_one(is_owner, params![]).await?;
    let is_owner: bool = row.try_get(0)?;
    let there = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1)";
    let roles = ROLES.to_vec();
    let rows = transaction
        .query_typed(there, params![roles => TEXT_ARRAY])
        .await?;
    let there: Vec<String> = rows
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    for role in ROLES
        .iter()
        .filter(|role| !there.iter().any(|it| it == *role))
    {
        let remedy = "connect as a user that may make roles (CREATEROLE), or let an administrator run: \
            CREATE ROLE smartem_owner LOGIN; CREATE ROLE smartem_writer LOGIN; CREATE ROLE smartem_api LOGIN; \
            CREATE ROLE smartem_reader LOGIN; CREATE ROLE smartem_backup LOGIN";
        make(
            transaction,
            &unless_there(&format!("CREATE ROLE {role} LOGIN")),
            remedy,
            place,
        )
        .await?;
    }
    let sql = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'postgis')";
    let row = transaction.query_typed_one(sql, params![]).await?;
    if !row.try_get::<_, bool>(0)? {
        let remedy = "let an administrator run in this database: CREATE EXTENSION postgis \
            (Debian: package postgresql-15-postgis-3; on Azure allow it in azure.extensions first)";
        make(transaction, "CREATE EXTENSION postgis", remedy, place).await?;
    }
    if !is_owner {
        let remedy = "connect as smartem_owner, or as the owner of the database";
        let grant = "DO $$ BEGIN
            IF NOT pg_has_role(current_user, 'smartem_owner', 'MEMBER') THEN
                BEGIN
                    EXECUTE format('GRANT smartem_owner TO %I', current_user);
                EXCEPTION WHEN unique_violation THEN NULL;
                END;
            END IF;
            EXECUTE format('GRANT CREATE ON DATABASE %I TO smartem_owner', current_database());
        END $$";
        make(transaction, grant, remedy, place).await?;
    }
    Ok(())
}

/// Roles are of the whole server: who migrates another of its databases may make them at the same time.
fn unless_there(sql: &str) -> String {
    format!(
        "DO $$ BEGIN {sql}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
}

/// Runs a statement that needs more rights than others have.
async fn make(
    transaction: &Transaction<'_>,
    sql: &str,
    remedy: &str,
    place: &Path,
) -> Result<(), Fault> {
    let made = transaction.batch_execute(sql).await;
    made.map_err(|error| {
        let hinders = [
            SqlState::INSUFFICIENT_PRIVILEGE,
            SqlState::UNDEFINED_FILE,
            SqlState::FEATURE_NOT_SUPPORTED,
        ];
        let Some(told) = error.as_db_error().filter(|it| hinders.contains(it.code())) else {
            return Fault::Sql(error);
        };
        Fault::Told(StoreError::Unprepared {
            action: "migrating the store",
            path: place.to_owned(),
            problem: format!("{}: {remedy}", told.message()),
        })
    })
}
