//! The processes `backup` and `backup-verify`, declared like chains.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use smartem_backup::store::{MakeSettings, back_up, verify};
use smartem_backup::{BackupError, Keep, Repository, Target, Watch};
use smartem_etl::{
    About, ExitCode, Input, Kind, Outcome, Output, Process, ProcessError, Run, SettingsError,
};
use smartem_influxdb::InfluxError;

use crate::config::{self, Config, ProcessConfig};

/// The name of both parts.
pub(crate) const BACKUP: &str = "backup";

/// The counters whose last run is served as a time.
const MADE: &str = "backups_made";
const VERIFIED: &str = "backups_verified";

/// Where backups of the store go, and which are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct BackupSettings {
    /// A folder, `s3://bucket/prefix` or `azblob://container/prefix`. Keys come from the environment:
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`,
    /// `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY` and others of these families; with `_FILE`
    /// behind the name, from a file.
    pub to: String,
    /// Keep the last backup of so many days.
    #[serde(default = "daily")]
    pub keep_daily: u32,
    /// Keep the last backup of so many weeks.
    #[serde(default = "weekly")]
    pub keep_weekly: u32,
    /// Keep the last backup of so many months.
    #[serde(default = "monthly")]
    pub keep_monthly: u32,
    /// Folder for the copy of the database while it is sent, which is as large as that. Empty: the
    /// folder of the store.
    #[serde(default)]
    #[schemars(with = "String")]
    pub scratch: PathBuf,
}

fn daily() -> u32 {
    Keep::default().daily
}

fn weekly() -> u32 {
    Keep::default().weekly
}

fn monthly() -> u32 {
    Keep::default().monthly
}

/// Which backup is verified, and where.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct VerifySettings {
    /// The place of the backups. Empty: that of the process `backup`.
    pub from: String,
    /// Folder in which the backup is restored for a while. Empty: the folder of the store.
    #[schemars(with = "String")]
    pub scratch: PathBuf,
}

const OUTPUT: About = About {
    name: BACKUP,
    summary: "A backup of the store, made while everything runs.",
    text: "Only with `input = \"store\"`. Copies the log of points and then the database as it is at one moment, \
        cuts both into pieces and sends those that are not there yet; a manifest with counts, times and sums \
        comes last. Older backups are forgotten by the `keep_` settings, but only when a later one was \
        verified (process `backup-verify`). See docs/operations/backup-and-restore.md.",
    checkpoint: "None: a backup is whole or not there, and what was sent serves the next.",
    example: r#"
[process.backup]
input = "store"
output = ["backup"]
schedule = "17 2 * * *"
[process.backup.backup]
to = "/backup/smartem"
"#,
};

const INPUT: About = About {
    name: BACKUP,
    summary: "The newest backup of the store, to be verified.",
    text: "Only with `output = [\"verify\"]`.",
    checkpoint: "A note beside the backup that it was verified.",
    example: r#"
[process.backup-verify]
input = "backup"
output = ["verify"]
schedule = "37 3 * * 0"
[process.backup-verify.backup]
from = "s3://bucket/smartem"
"#,
};

/// The output as the registry of parts knows it.
pub(crate) fn output_kind() -> Kind<Box<dyn Output>> {
    Kind::new(OUTPUT, |_: BackupSettings, _| {
        Err(SettingsError(
            "`backup` backs up the store: it needs `input = \"store\"` and no filter or other output"
                .to_owned(),
        ))
    })
}

/// The input as the registry of parts knows it.
pub(crate) fn input_kind() -> Kind<Box<dyn Input>> {
    Kind::new(INPUT, |_: VerifySettings, _| {
        Err(SettingsError(
            "`backup` is verified: it needs `output = [\"verify\"]` and no filter".to_owned(),
        ))
    })
    .without_sources()
}

/// The process of this declaration, if it is one of the two.
pub(crate) fn process(
    config: &Config,
    name: &str,
    declared: &ProcessConfig,
) -> anyhow::Result<Option<Box<dyn Process>>> {
    let parts = (declared.input.as_str(), declared.output.as_slice());
    Ok(match parts {
        ("store", [output]) if output == BACKUP && declared.filter.is_empty() => {
            let settings = declared.settings_of(BACKUP)?;
            // Tells unknown settings with a guess.
            check(BACKUP, &settings, &output_kind().settings())?;
            Some(Box::new(Backup {
                name: name.to_owned(),
                settings: settings.try_into()?,
            }))
        }
        (BACKUP, [output]) if output == "verify" && declared.filter.is_empty() => {
            let settings = declared.settings_of(BACKUP)?;
            check(BACKUP, &settings, &input_kind().settings())?;
            let mut settings: VerifySettings = settings.try_into()?;
            if settings.from.is_empty() {
                settings.from = place(config).unwrap_or_default();
            }
            Some(Box::new(Verify {
                name: name.to_owned(),
                settings,
            }))
        }
        _ => None,
    })
}

/// Whether this process verifies backups of which nobody says where they are.
pub(crate) fn lacks_place(config: &Config, declared: &ProcessConfig) -> anyhow::Result<bool> {
    if declared.input != BACKUP {
        return Ok(false);
    }
    let settings: VerifySettings = declared.settings_of(BACKUP)?.try_into()?;
    let from = Some(settings.from).filter(|from| !from.is_empty());
    Ok(from
        .or_else(|| place(config))
        .is_none_or(|it| it.is_empty()))
}

/// The place of backups that the process `backup` names.
pub(crate) fn place(config: &Config) -> Option<String> {
    settings(config).map(|settings| settings.to)
}

/// The settings of the process `backup`, where it has any.
pub(crate) fn settings(config: &Config) -> Option<BackupSettings> {
    let declared = config.process.get(BACKUP)?;
    let settings = declared.settings_of(BACKUP).ok()?;
    settings.try_into().ok()
}

/// Whether a part has all settings that it is given; tells the others.
pub(crate) fn check(
    part: &str,
    given: &toml::Table,
    known: &[smartem_etl::Setting],
) -> anyhow::Result<()> {
    let names = || known.iter().map(|setting| setting.name.as_str());
    match given
        .keys()
        .find(|name| names().all(|known| known != *name))
    {
        None => Ok(()),
        Some(name) => Err(config::ConfigError(format!(
            "`{part}` has no setting `{name}`; there are: {}",
            names().collect::<Vec<_>>().join(", ")
        ))
        .into()),
    }
}

struct Backup {
    name: String,
    settings: BackupSettings,
}

struct Verify {
    name: String,
    settings: VerifySettings,
}

#[async_trait]
impl Process for Backup {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, run: &Run) -> Result<Outcome, ProcessError> {
        let settings = &self.settings;
        let made = until_ended(run, async |watch| {
            Target::check_outside(&settings.to, run.store.dir())?;
            let target = Target::open(&settings.to, &config::storage_credentials(), true)?;
            let repository = Repository::new(target);
            let scratch = &settings.scratch;
            let how = MakeSettings {
                now: run.now(),
                program: env!("CARGO_PKG_VERSION").to_owned(),
                scratch: (!scratch.as_os_str().is_empty()).then(|| scratch.clone()),
            };
            let made = back_up(&run.store, &repository, &how, &watch).await?;
            run.counters.add(MADE, 1);
            run.counters.add("bytes_backed_up", made.sent.bytes);
            run.counters.add("bytes_sent", made.sent.new_bytes);
            let keep = Keep {
                daily: settings.keep_daily,
                weekly: settings.keep_weekly,
                monthly: settings.keep_monthly,
            };
            let pruned = repository
                .prune(smartem_backup::store::LINE, keep, run.now())
                .await?;
            run.counters.add("backups_pruned", pruned.backups);
            run.counters.add("backups_unverified", pruned.unverified);
            Ok(())
        });
        outcome(run, made.await)
    }
}

#[async_trait]
impl Process for Verify {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, run: &Run) -> Result<Outcome, ProcessError> {
        let settings = &self.settings;
        if settings.from.is_empty() {
            return Ok(Outcome::Done);
        }
        let verified = until_ended(run, async |watch| {
            let target = Target::open(&settings.from, &config::storage_credentials(), false)?;
            let repository = Repository::new(target);
            let scratch = if settings.scratch.as_os_str().is_empty() {
                run.store.dir()
            } else {
                &settings.scratch
            };
            let nothing = async |_| Ok(Vec::new());
            let found = verify(&repository, scratch, None, run.now(), &watch, nothing).await?;
            run.counters.add(VERIFIED, 1);
            run.counters.add("records_verified", found.records);
            let age = run.now().duration_since(found.backup.made_at).as_secs();
            run.counters
                .set("backup_age_s", u64::try_from(age).unwrap_or(0));
            Ok(())
        });
        outcome(run, verified.await)
    }
}

/// Lets work go on until the run is to end.
async fn until_ended<F>(run: &Run, work: F) -> Result<(), BackupError>
where
    F: AsyncFnOnce(Watch) -> Result<(), BackupError>,
{
    let stop = run.stop.child_token();
    let watch = Watch {
        stop: stop.clone(),
        done: Arc::new(|_| {}),
        more: Arc::new(|_| {}),
    };
    let mut work = std::pin::pin!(work(watch));
    tokio::select! {
        done = &mut work => return done,
        () = run.ended() => stop.cancel(),
    }
    work.await
}

fn outcome(run: &Run, result: Result<(), BackupError>) -> Result<Outcome, ProcessError> {
    match result {
        Ok(()) => Ok(Outcome::Done),
        Err(BackupError::Stopped) => Ok(run.should_end().unwrap_or(Outcome::Stopped)),
        Err(error) => Err(ProcessError::Failed {
            exit_code: kind_of(&error),
            problem: error.to_string(),
        }),
    }
}

/// What would help.
fn kind_of(error: &BackupError) -> ExitCode {
    match error {
        BackupError::Store(error) => error.into(),
        BackupError::Damaged { .. } | BackupError::Differs(_) | BackupError::Newer { .. } => {
            ExitCode::Data
        }
        BackupError::Place { .. } | BackupError::OtherStore { .. } => ExitCode::Configuration,
        _ => ExitCode::TryAgain,
    }
}

/// The exit status of a command.
pub(crate) fn exit_code(error: &BackupError) -> u8 {
    match error {
        BackupError::Refused(_) | BackupError::NoBackup { .. } | BackupError::Program { .. } => 1,
        BackupError::Influx(error) => influx_exit_code(error),
        error => kind_of(error).code(),
    }
}

/// The exit status when an InfluxDB did not do what was asked.
pub(crate) fn influx_exit_code(error: &InfluxError) -> u8 {
    if error.is_passing() {
        ExitCode::TryAgain.code()
    } else {
        1
    }
}
