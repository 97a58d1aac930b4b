//! Backups of the store and of an InfluxDB, and copying from one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use url::Url;

use super::time;

/// How many backups are kept.
#[derive(Args, Clone, Copy, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the options"
)]
pub(crate) struct KeepArgs {
    /// Keep the last backup of so many days [default: 7, or as configured]
    #[arg(long, value_name = "N")]
    pub keep_daily: Option<u32>,
    /// Keep the last backup of so many weeks [default: 4, or as configured]
    #[arg(long, value_name = "N")]
    pub keep_weekly: Option<u32>,
    /// Keep the last backup of so many months [default: 12, or as configured]
    #[arg(long, value_name = "N")]
    pub keep_monthly: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct StoreBackup {
    /// Folder, `s3://bucket/prefix` or `azblob://container/prefix` [default: that of process `backup`]
    #[arg(long, value_name = "PLACE")]
    pub to: Option<String>,
    #[command(flatten)]
    pub keep: KeepArgs,
    /// Read the backup back and check it; without it nothing older is forgotten until the process
    /// `backup-verify` has done so
    #[arg(long)]
    pub verify: bool,
    /// Folder for a copy of the database [default: the folder of the store]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct StoreRestore {
    /// Folder, `s3://bucket/prefix` or `azblob://container/prefix`
    #[arg(long, value_name = "PLACE")]
    pub from: String,
    /// Folder of the restored store [default: the configured one]
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// The newest backup that began then or before: RFC 3339, or a date (UTC) [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub as_of: Option<Timestamp>,
    /// Put aside what is in the folder
    #[arg(long)]
    pub replace: bool,
    /// Only list the backups
    #[arg(long, conflicts_with_all = ["to", "as_of", "replace", "check"])]
    pub list: bool,
    /// Only read the backup back and check it
    #[arg(long, conflicts_with = "replace")]
    pub check: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreImport {
    /// Measurements of a running InfluxDB 1.x, as points; goes on where it was stopped
    #[command(
        after_help = "Example: smartem store import influx --url http://collector.example:8086 --database airsenseur \\\n  \
        --username reader --password-file /run/secrets/airsenseur-password"
    )]
    Influx(ImportInflux),
    /// Everything of a database of the original platform (PostgreSQL); goes on where it was stopped
    #[command(
        after_help = "Exit status: 0 all was imported, 1 the counts differ, 75 the database was not reached or it was stopped.\n\
        Example: smartem store import stetl --from 'postgresql://reader@old.example/gis?sslmode=verify-full' \\\n  \
        --password-file /run/secrets/gis-password"
    )]
    Stetl(ImportStetl),
}

#[derive(Args, Debug)]
pub(crate) struct ImportStetl {
    /// Address of the database: the original's, or one into which a dump was loaded
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// File with the password
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// File with the certificates that the server's is signed by [default: those of the system]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Source of the process `harvester-whale` that goes on where the original was [default: its only one]
    #[arg(long, value_name = "NAME")]
    pub whale_source: Option<String>,
    /// Read everything anew; nothing is written twice
    #[arg(long)]
    pub again: bool,
    /// Only count
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ImportInflux {
    #[command(flatten)]
    pub server: InfluxServer,
    /// The database there
    #[arg(long)]
    pub database: String,
    /// Only these measurements [default: all]
    #[arg(long, value_name = "NAME")]
    pub measurement: Vec<String>,
    /// The retention policy to be copied [default: that into which points go]
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// The database here [default: the name it has there]
    #[arg(long, value_name = "NAME")]
    pub into: Option<String>,
    /// Only points from this time on: RFC 3339, or a date (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub since: Option<Timestamp>,
    /// Only points before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub until: Option<Timestamp>,
    /// Copy again what was copied before
    #[arg(long)]
    pub again: bool,
    /// Only read and count
    #[arg(long)]
    pub dry_run: bool,
}

/// A server of InfluxDB and who asks.
#[derive(Args, Debug)]
pub(crate) struct InfluxServer {
    /// Address of the server
    #[arg(long, value_name = "URL")]
    pub url: Option<Url>,
    /// User
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub username: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", requires = "username")]
    pub password_file: Option<PathBuf>,
}

/// InfluxDB's own program.
#[derive(Args, Debug)]
pub(crate) struct InfluxProgram {
    /// InfluxDB's own program
    #[arg(long, value_name = "FILE", default_value = "influxd")]
    pub influxd: PathBuf,
    /// Host and port at which the server takes backups [default: port 8088 of the host of --url]
    #[arg(long, value_name = "HOST:PORT")]
    pub rpc: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Influx {
    /// Backs a database up with `influxd backup`, and notes what is in it
    #[command(after_help = "Tested on InfluxDB 1.6.7.\n\
        Examples:\n  smartem influx backup --url http://127.0.0.1:8086 --database airsenseur --to /backup/influxdb\n  \
        smartem influx backup --url http://influxdb:8086 --database smartemission --files /backup/now --to s3://bucket/influxdb")]
    Backup(InfluxBackup),
    /// Restores a database: first beside, under a scratch name; only when that is right, in place
    #[command(
        after_help = "Tested on InfluxDB 1.6.7. Exit status: 0 restored, 1 refused, 65 the backup is damaged or differs, 75 not reached.\n\
        Examples:\n  smartem influx restore --url http://127.0.0.1:8086 --database airsenseur --from /backup/influxdb --replace\n  \
        smartem influx restore --database smartemission --from s3://bucket/influxdb --prepare /backup/now\n  \
        smartem influx restore --offline --files /backup/influxdb --into /var/lib/influxdb --url http://influxdb:8086 \\\n    \
        --database smartemission --confirm smartemission"
    )]
    Restore(InfluxRestore),
    /// Checks the files of a backup, and what they hold, on a server or against a restored database
    Verify(InfluxVerify),
}

#[derive(Args, Debug)]
pub(crate) struct InfluxBackup {
    #[command(flatten)]
    pub server: InfluxServer,
    #[command(flatten)]
    pub program: InfluxProgram,
    /// The database
    #[arg(long)]
    pub database: String,
    /// The legacy form (`meta.NN`, `<database>.<policy>.NNNNN.NN`) instead of the portable one
    #[arg(long, conflicts_with = "files")]
    pub legacy: bool,
    /// Folder with files that `influxd backup` made; they stay, with a `manifest.json`
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// Folder for the files while they are made [default: a temporary one]
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    pub scratch: Option<PathBuf>,
    /// Folder, `s3://bucket/prefix` or `azblob://container/prefix`
    #[arg(long, value_name = "PLACE", required_unless_present = "files")]
    pub to: Option<String>,
    #[command(flatten)]
    pub keep: KeepArgs,
}

/// Where the files of a backup are.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct InfluxSource {
    /// Folder, `s3://bucket/prefix` or `azblob://container/prefix`
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
    /// Folder with the files and their `manifest.json`; together with `--from` only with `--offline`
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct InfluxRestore {
    #[command(flatten)]
    pub source: InfluxSource,
    #[command(flatten)]
    pub server: InfluxServer,
    #[command(flatten)]
    pub program: InfluxProgram,
    /// The database
    #[arg(long)]
    pub database: String,
    /// The newest backup that began then or before: RFC 3339, or a date (UTC) [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub as_of: Option<Timestamp>,
    /// Restore under this name
    #[arg(long = "as", value_name = "NAME")]
    pub restored_as: Option<String>,
    /// Drop the database of that name, once the backup stands verified beside it
    #[arg(long)]
    pub replace: bool,
    /// Only fetch the files into this folder and check them; `influxd restore` does the rest
    #[arg(long, value_name = "DIR", conflicts_with_all = ["replace", "restored_as", "files"])]
    pub prepare: Option<PathBuf>,
    #[command(flatten)]
    pub offline: InfluxOffline,
}

/// Restoring into the folders of a server that is stopped.
#[derive(Args, Debug)]
pub(crate) struct InfluxOffline {
    /// Into a stopped server: check files of the legacy form and put aside what the server has; then
    /// `influxd restore` can follow
    #[arg(long, requires_all = ["files", "into", "confirm", "url"],
          conflicts_with_all = ["replace", "restored_as", "prepare", "username"])]
    pub offline: bool,
    /// Folder of the server, with `meta`, `data` and `wal`
    #[arg(long, value_name = "DIR", requires = "offline")]
    pub into: Option<PathBuf>,
    /// The name of the database once more: all that the server has is replaced
    #[arg(long, value_name = "NAME", requires = "offline")]
    pub confirm: Option<String>,
    /// Put aside also what an earlier offline restore left
    #[arg(long, requires = "offline")]
    pub again: bool,
}

#[derive(Args, Debug)]
pub(crate) struct InfluxVerify {
    #[command(flatten)]
    pub source: InfluxSource,
    #[command(flatten)]
    pub server: InfluxServer,
    #[command(flatten)]
    pub program: InfluxProgram,
    /// The database
    #[arg(long)]
    pub database: String,
    /// The newest backup that began then or before [default: the newest]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub as_of: Option<Timestamp>,
    /// Compare this database of the server, instead of restoring under a scratch name
    #[arg(long, value_name = "NAME", requires = "url")]
    pub against: Option<String>,
}
