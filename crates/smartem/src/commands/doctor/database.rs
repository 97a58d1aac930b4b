//! The store: whether it is there, of the right version, and lets this program do its work.

use std::path::Path;
use std::time::Duration;

use smartem_store::{PostgresSettings, ServerFacts, Store, StoreError};

use super::clock::Clocks;
use super::{Findings, told};
use crate::config::Config;

/// Less than the configured patience: whoever asks waits.
const PATIENCE: Duration = Duration::from_secs(5);

/// The oldest server that the migrations are tried on.
const SERVER: u32 = 150_000;

/// A slower way to the database is felt in every transaction.
const SLOW: Duration = Duration::from_millis(500);

pub(super) async fn check(config: &Config, clocks: &mut Clocks) -> Findings {
    let mut findings = Findings::new("database");
    let dir = &config.store.data_dir;
    match config.postgres() {
        Err(error) => findings.fail("database", told(&error), "mend the setting"),
        Ok(None) => {
            if writable(&mut findings, dir, true) {
                embedded(&mut findings, dir).await;
            }
        }
        Ok(Some(settings)) => {
            writable(&mut findings, dir, false);
            server(&mut findings, settings, clocks).await;
        }
    }
    findings
}

/// The settings with less patience.
pub(super) fn impatient(settings: PostgresSettings) -> PostgresSettings {
    PostgresSettings {
        patience: settings.patience.min(PATIENCE),
        connections: 1,
        ..settings
    }
}

/// Whether the folder of what this machine keeps is there and can be written.
fn writable(findings: &mut Findings, dir: &Path, is_needed: bool) -> bool {
    let what = "data_dir";
    let shown = dir.display();
    if !dir.exists() {
        let (detail, remedy) = (
            format!("{shown} is not there"),
            "make it and give it to the user of smartem, or run `smartem store migrate`, which makes it",
        );
        if is_needed {
            findings.fail(what, detail, remedy);
        } else {
            // Only the collector keeps something beside a database.
            findings.ok(
                what,
                format!("{detail}; only the collector needs it, and makes it"),
            );
        }
        return false;
    }
    match tempfile::Builder::new()
        .prefix(".smartem-doctor-")
        .tempfile_in(dir)
    {
        Ok(_) => {
            findings.ok(what, format!("{shown} can be written"));
            true
        }
        Err(error) => {
            findings.fail(
                what,
                format!("{shown} cannot be written: {error}"),
                "give the folder to the user of smartem (uid 65532 in the image; `fsGroup` in Kubernetes)",
            );
            // It may still be read.
            true
        }
    }
}

async fn embedded(findings: &mut Findings, dir: &Path) {
    let file = dir.join("smartem.sqlite");
    if !file.exists() {
        findings.fail(
            "store",
            format!("there is none in {}", dir.display()),
            "run `smartem store migrate`",
        );
        return;
    }
    match Store::pending_dir(dir).await {
        Ok(missing) if missing.is_empty() => {
            let store = Store::open(dir, smartem_store::Access::Existing).await;
            let version = match store {
                Ok(store) => store.schema_version().await,
                Err(error) => Err(error),
            };
            match version {
                Ok(version) => findings.ok(
                    "store",
                    format!("{} has the schema version {version}", file.display()),
                ),
                Err(error) => store_failed(findings, "store", error),
            }
        }
        Ok(missing) => {
            let names: Vec<&str> = missing.iter().map(|step| step.name).collect();
            findings.fail(
                "store",
                format!("migrations are missing: {}", names.join(", ")),
                "run `smartem store migrate`",
            );
        }
        Err(error) => store_failed(findings, "store", error),
    }
}

/// Tells an error of the store; its own words often name the remedy already.
fn store_failed(findings: &mut Findings, what: &str, error: StoreError) {
    let remedy = match &error {
        StoreError::NewerSchema { .. } => "use the newer smartem that wrote it",
        StoreError::NotMigrated { .. } => "run `smartem store migrate`",
        StoreError::Corrupt { .. } => "restore a backup with `smartem store restore`",
        StoreError::Denied { .. } => {
            "check the user in `store.postgres.url` and the password in `store.postgres.password_file`"
        }
        StoreError::Unreachable { .. } => {
            "check host and port in `store.postgres.url`, whether the server runs, and network policies \
             between"
        }
        StoreError::Address { .. } => "mend `store.postgres.url`",
        _ => "read the message; `smartem store check` looks for damage",
    };
    findings.fail(what, told(&error.into()), remedy);
}

async fn server(findings: &mut Findings, settings: PostgresSettings, clocks: &mut Clocks) {
    let place = settings.place().unwrap_or_else(|_| "database".to_owned());
    let now = crate::clock::system();
    let connections = settings.connections;
    let asked = impatient(settings);
    let facts = match Store::server_facts(&asked, &*now).await {
        Ok(facts) => facts,
        Err(error) => {
            store_failed(findings, "PostgreSQL", error);
            return;
        }
    };
    let connected = format!(
        "{place} reached in {} ms, {}",
        facts.connected_in.as_millis(),
        if facts.is_encrypted {
            "with TLS"
        } else {
            "without TLS"
        }
    );
    if facts.connected_in > SLOW {
        findings.warn(
            "PostgreSQL",
            connected,
            "bring program and database closer together",
        );
    } else {
        findings.ok("PostgreSQL", connected);
    }
    clocks.note(&format!("the database {place}"), facts.clock_ahead);
    judge_server(findings, &facts, connections);
    judge_schema(findings, &facts);
    judge_role(findings, &facts);
}

fn judge_server(findings: &mut Findings, facts: &ServerFacts, connections: usize) {
    if facts.version_number < SERVER {
        findings.fail(
            "server version",
            facts.version.clone(),
            "use PostgreSQL 15 or newer",
        );
    } else {
        findings.ok("server version", facts.version.clone());
    }
    match &facts.postgis {
        Some(version) => findings.ok("PostGIS", version.clone()),
        None => findings.fail(
            "PostGIS",
            "it is not in this database",
            "let an administrator run `CREATE EXTENSION postgis` there (on Azure allow it in azure.extensions \
             first)",
        ),
    }
    let (used, most) = (facts.connections_used, facts.connections_max);
    let detail = format!(
        "{used} of {most} in use; each program takes up to {connections} (`store.postgres.connections`)"
    );
    let wanted = u64::from(used) + connections as u64;
    if connections as u64 > u64::from(most) || used >= most {
        findings.fail(
            "connections",
            detail,
            "raise `max_connections` of the server, or lower `store.postgres.connections`",
        );
    } else if wanted > u64::from(most) {
        findings.warn(
            "connections",
            detail,
            "raise `max_connections` of the server, lower `store.postgres.connections`, or put PgBouncer \
             between",
        );
    } else {
        findings.ok("connections", detail);
    }
}

fn judge_schema(findings: &mut Findings, facts: &ServerFacts) {
    let (what, needed) = ("schema", facts.needed);
    let migrate = "run `smartem store migrate` as smartem_owner";
    match facts.schema {
        None => findings.fail(
            what,
            format!("the role {} may not look at it", facts.role),
            "connect as smartem_writer, smartem_api or smartem_owner",
        ),
        Some(0) => findings.fail(what, "there is no store in this database", migrate),
        Some(found) if found < needed => findings.fail(
            what,
            format!("version {found}, and {needed} is needed: migrations are pending"),
            migrate,
        ),
        Some(found) if found > needed => findings.warn(
            what,
            format!("version {found}, of a newer program; this one knows {needed}"),
            "use that smartem everywhere",
        ),
        Some(found) => findings.ok(what, format!("version {found}, nothing is pending")),
    }
}

/// A role need not do all: the services read only.
fn judge_role(findings: &mut Findings, facts: &ServerFacts) {
    if facts.schema.is_none_or(|version| version == 0) {
        return;
    }
    let what = format!("role {}", facts.role);
    let migrates = if facts.may_migrate {
        "may migrate"
    } else {
        "may not migrate"
    };
    match (facts.may_read, facts.may_write) {
        (true, true) => findings.ok(
            &what,
            format!("reads and writes, {migrates}: enough for serve, etl and collect"),
        ),
        (true, false) => findings.ok(
            &what,
            format!("reads only, {migrates}: enough for serve; etl and collect need smartem_writer"),
        ),
        (false, _) => findings.fail(
            &what,
            format!("may not read all tables, {migrates}"),
            "connect as smartem_writer or smartem_api, or run `smartem store migrate` as smartem_owner, which \
             gives them their rights",
        ),
    }
}
