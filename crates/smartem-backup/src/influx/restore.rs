//! Restoring beside, under a scratch name, and only then in place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use smartem_influxdb::Server;

use super::measure::settle;
use super::{InfluxContents, Influxd, Summary, check};
use crate::BackupError;
use crate::transfer::Watch;

/// How a database is restored.
#[derive(Clone, Debug)]
pub struct RestoreSettings {
    /// The folder with the files and their manifest.
    pub folder: PathBuf,
    /// The name under which the database is wanted.
    pub database: String,
    /// Drops a database of that name, once the backup stands restored and verified beside it.
    pub replace: bool,
    /// InfluxDB's own program.
    pub influxd: Influxd,
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What is in it, by `policy.measurement`.
    pub found: BTreeMap<String, Summary>,
    /// Rights that were given again.
    pub granted: Vec<(String, String)>,
    /// Rights that could not be, with the reason.
    pub not_granted: Vec<(String, String)>,
    /// Whether the manifest says what was in the database, so that more than the files was compared.
    pub compared: bool,
}

fn scratch_name(database: &str) -> String {
    format!("{database}_smartem_scratch")
}

/// Restores a database: checks the files, restores them under a scratch name, compares that with the
/// manifest, and only then drops what has the name and restores there, compares again and gives the rights
/// again. InfluxDB 1.x cannot rename a database, so the files are restored twice.
///
/// # Errors
/// [`BackupError::Damaged`], [`BackupError::Differs`] or [`BackupError::Refused`] before anything of the
/// database is touched. Killed after it is dropped, the next run restores it.
pub async fn restore(
    server: &Server,
    settings: &RestoreSettings,
    watch: &Watch,
) -> Result<Restored, BackupError> {
    let RestoreSettings {
        folder,
        database,
        influxd,
        ..
    } = settings;
    let (_, contents) = check(folder).await?;
    server.version().await?;
    influxd.reach().await?;
    let exists = server.databases().await?.contains(database);
    if exists && !settings.replace {
        return Err(BackupError::Refused(format!(
            "InfluxDB at {} has a database `{database}`; restore under another name with `--as`, or \
             replace it with `--replace`",
            server.name()
        )));
    }
    let scratch = scratch_name(database);
    let verified = restore_beside(server, settings, &contents, &scratch, watch).await?;
    let mut grants = contents.grants.clone();
    if exists {
        grants.extend(server.grants(database).await?);
        grants.sort();
        grants.dedup();
        watch.go_on()?;
        server.drop_database(database).await?;
    }
    // From here on the scratch database stays until everything is as it should be.
    influxd
        .restore(&contents.database, contents.form, database, folder, watch)
        .await
        .map_err(|error| stays(&error, &scratch))?;
    let expected = Some(&verified);
    let (found, wrong) = settle(server, database, expected, expected, watch).await?;
    if !wrong.is_empty() {
        return Err(stays(&BackupError::Differs(wrong), &scratch));
    }
    let (mut granted, mut not_granted) = (Vec::new(), Vec::new());
    for (user, right) in grants {
        match server.grant(database, &user, &right).await {
            Ok(()) => granted.push((user, right)),
            Err(error) => not_granted.push((format!("{right} to {user}"), error.to_string())),
        }
    }
    server.drop_database(&scratch).await?;
    Ok(Restored {
        found,
        granted,
        not_granted,
        compared: contents.after.is_some() || contents.before.is_some(),
    })
}

fn stays(error: &BackupError, scratch: &str) -> BackupError {
    BackupError::Refused(format!(
        "{error}; the verified copy stands in the database `{scratch}`, and running the restore again \
         goes on"
    ))
}

/// Restores under a scratch name and compares; what is in it. When it differs, it is dropped.
async fn restore_beside(
    server: &Server,
    settings: &RestoreSettings,
    contents: &InfluxContents,
    scratch: &str,
    watch: &Watch,
) -> Result<BTreeMap<String, Summary>, BackupError> {
    // What a run that was killed left.
    server.drop_database(scratch).await?;
    let tried = async {
        let (form, folder) = (contents.form, &settings.folder);
        settings
            .influxd
            .restore(&contents.database, form, scratch, folder, watch)
            .await?;
        let (before, after) = (contents.before.as_ref(), contents.after.as_ref());
        let (found, wrong) = settle(server, scratch, before, after, watch).await?;
        if wrong.is_empty() {
            Ok(found)
        } else {
            Err(BackupError::Differs(wrong))
        }
    };
    let tried = tried.await;
    if tried.is_err() {
        server.drop_database(scratch).await?;
    }
    tried
}

/// Restores under a scratch name, compares, and drops that again: nothing else is touched.
pub async fn rehearse(
    server: &Server,
    settings: &RestoreSettings,
    watch: &Watch,
) -> Result<BTreeMap<String, Summary>, BackupError> {
    let (_, contents) = check(&settings.folder).await?;
    server.version().await?;
    settings.influxd.reach().await?;
    let scratch = scratch_name(&settings.database);
    let found = restore_beside(server, settings, &contents, &scratch, watch).await?;
    server.drop_database(&scratch).await?;
    Ok(found)
}

/// Compares a database that is there, such as one that InfluxDB's own program restored, with a manifest.
pub async fn compare(
    server: &Server,
    folder: &std::path::Path,
    database: &str,
    watch: &Watch,
) -> Result<BTreeMap<String, Summary>, BackupError> {
    let (_, contents) = check(folder).await?;
    let (before, after) = (contents.before.as_ref(), contents.after.as_ref());
    let (found, wrong) = settle(server, database, before, after, watch).await?;
    if wrong.is_empty() {
        Ok(found)
    } else {
        Err(BackupError::Differs(wrong))
    }
}
