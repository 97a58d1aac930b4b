use std::path::{Path, PathBuf};

use jiff::Timestamp;
use smartem_influxdb::Server;

use super::files::{form_of, note};
use super::{Form, InfluxContents, Influxd, measure};
use crate::BackupError;
use crate::manifest::Manifest;
use crate::transfer::Watch;

/// How a backup is made.
#[derive(Clone, Debug)]
pub struct BackupSettings {
    /// The database.
    pub database: String,
    /// The folder of the files.
    pub folder: PathBuf,
    /// Makes the files with this; `None`: they are there already.
    pub influxd: Option<(Influxd, Form)>,
    /// The time; also the name of the backup.
    pub now: Timestamp,
    /// The version of this program.
    pub program: String,
}

/// Makes the files of a database (or takes those that are there) and notes what is in them.
///
/// The database is read before and after: what is the same must be the same again once restored, and of
/// what came meanwhile it is known how much may be in the files. Without a server only the files are
/// noted.
pub async fn back_up(
    server: Option<&Server>,
    settings: &BackupSettings,
    watch: &Watch,
) -> Result<Manifest, BackupError> {
    let BackupSettings {
        database, folder, ..
    } = settings;
    let mut contents = InfluxContents {
        database: database.clone(),
        form: Form::Portable,
        server: None,
        before: None,
        after: None,
        grants: Vec::new(),
    };
    if let Some(server) = server {
        contents.server = Some(server.version().await?);
        let databases = server.databases().await?;
        if !databases.contains(database) {
            return Err(BackupError::Refused(format!(
                "InfluxDB at {} has no database `{database}`; it has {}",
                server.name(),
                databases.join(", ")
            )));
        }
        contents.grants = server.grants(database).await?;
    }
    if let Some((influxd, form)) = &settings.influxd {
        influxd.reach().await?;
        if let Some(server) = server {
            contents.before = Some(measure(server, database, watch).await?);
        }
        let made = std::fs::create_dir_all(folder);
        made.map_err(|source| BackupError::file("making the folder", folder, source))?;
        influxd.backup(database, *form, folder, watch).await?;
    }
    let (form, databases) = form_of(folder)?;
    // A database without points has no files of its own in the portable form.
    let may_be_empty = databases.is_empty() && form == Form::Portable;
    if !may_be_empty && !databases.contains(database) {
        return Err(no_files_of(database, &databases, folder));
    }
    contents.form = form;
    if let Some(server) = server {
        contents.after = Some(measure(server, database, watch).await?);
    }
    note(folder, contents, settings.now, &settings.program).await
}

fn no_files_of(database: &str, databases: &[String], folder: &Path) -> BackupError {
    BackupError::NoBackup {
        place: folder.display().to_string(),
        problem: format!(
            "the files are not of the database `{database}`, but of: {}",
            if databases.is_empty() {
                "none".to_owned()
            } else {
                databases.join(", ")
            }
        ),
    }
}
