//! `smartem influx backup|restore|verify`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use smartem_backup::influx::{
    self, BackupSettings, Form, InfluxContents, Influxd, OfflineSettings, RestoreSettings, Summary,
};
use smartem_backup::{Contents, Manifest};
use smartem_influxdb::{Login, Server};
use tempfile::TempDir;
use url::Url;

use super::backup::{keep, mib, repository, tell_pruned, told, watch};
use super::load_config;
use crate::cli::{
    Global, Influx, InfluxBackup, InfluxOffline, InfluxProgram, InfluxRestore, InfluxServer,
    InfluxSource, InfluxVerify,
};
use crate::config::UsageError;
use crate::{clock, output};

pub(super) async fn run(args: &Influx, global: &Global) -> anyhow::Result<ExitCode> {
    match args {
        Influx::Backup(args) => back_up(args, global).await,
        Influx::Restore(args) => restore(args).await,
        Influx::Verify(args) => verify(args).await,
    }
}

async fn back_up(args: &InfluxBackup, global: &Global) -> anyhow::Result<ExitCode> {
    load_config(global)?;
    let server = args
        .server
        .url
        .as_ref()
        .map(|url| server(url, &args.server));
    let server = server.transpose()?;
    let repository = match &args.to {
        Some(to) => Some(repository(to, true)?),
        None => None,
    };
    let scratch = Scratch::new(args.files.as_deref(), args.scratch.as_deref())?;
    let influxd = match (&args.files, &args.server.url) {
        (Some(_), _) => None,
        (None, None) => return Err(usage("`--url` says which server is backed up")),
        (None, Some(url)) => {
            let form = if args.legacy {
                Form::Legacy
            } else {
                Form::Portable
            };
            Some((influxd(&args.program, Some(url))?, form))
        }
    };
    let settings = BackupSettings {
        database: args.database.clone(),
        folder: scratch.path.clone(),
        influxd,
        now: (clock::system())(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (watch, bar) = watch("backup")?;
    let made = influx::back_up(server.as_ref(), &settings, &watch).await;
    bar.finish();
    let manifest = made?;
    tell(&manifest);
    let Some(repository) = repository else {
        return Ok(ExitCode::SUCCESS);
    };
    let (watch, bar) = super::backup::watch("send")?;
    let sent = influx::send(&repository, &scratch.path, &manifest, &watch).await;
    bar.finish();
    let (id, sent) = sent?;
    output::line(format_args!("backup {id}: {}", told(sent)));
    let line = influx::line(&args.database);
    let now = (clock::system())();
    tell_pruned(&repository.prune(&line, keep(args.keep, None), now).await?);
    Ok(ExitCode::SUCCESS)
}

async fn restore(args: &InfluxRestore) -> anyhow::Result<ExitCode> {
    if args.offline.offline {
        return prepare_offline(args).await;
    }
    let files = files(
        &args.source,
        &args.database,
        args.as_of,
        args.prepare.as_deref(),
    )
    .await?;
    if let Some(folder) = &args.prepare {
        let (manifest, contents) = influx::check(folder).await?;
        tell(&manifest);
        let form = match contents.form {
            Form::Portable => "-portable",
            Form::Legacy => "-online",
        };
        output::line(format_args!(
            "the files in {} are whole; next: influxd restore {form} -db {} -newdb NAME {}",
            folder.display(),
            contents.database,
            folder.display()
        ));
        return Ok(ExitCode::SUCCESS);
    }
    let (server, influxd) = server_and_program(&args.server, &args.program)?;
    let settings = RestoreSettings {
        folder: files.path.clone(),
        database: args.restored_as.as_ref().unwrap_or(&args.database).clone(),
        replace: args.replace,
        influxd,
    };
    let (watch, bar) = watch("restore")?;
    let restored = influx::restore(&server, &settings, &watch).await;
    bar.finish();
    let restored = restored?;
    for (name, summary) in &restored.found {
        output::line(in_words(name, summary));
    }
    for (user, right) in &restored.granted {
        output::line(format_args!("granted {right} to {user}"));
    }
    for (right, problem) in &restored.not_granted {
        output::line(format_args!("not granted: {right}: {problem}"));
    }
    output::line(format_args!(
        "restored the database `{}`{}",
        settings.database,
        if restored.compared {
            "; it is what was backed up"
        } else {
            "; the files are those of the backup, what should be in them was not noted"
        }
    ));
    Ok(ExitCode::SUCCESS)
}

/// Everything that comes before InfluxDB's own program restores into the folders of a stopped server.
async fn prepare_offline(args: &InfluxRestore) -> anyhow::Result<ExitCode> {
    let InfluxOffline {
        into,
        confirm,
        again,
        ..
    } = &args.offline;
    let database = &args.database;
    if confirm.as_ref() != Some(database) {
        return Err(usage(&format!(
            "`--confirm` is `{}`, not `{database}`; an offline restore replaces every user, right and database \
             of the server, so the name of the database must be given twice",
            confirm.as_deref().unwrap_or_default()
        )));
    }
    let (Some(files), Some(into), Some(url)) = (&args.source.files, into, &args.server.url) else {
        return Err(usage("`--offline` needs `--files`, `--into` and `--url`"));
    };
    if let Some(from) = &args.source.from {
        let (watch, bar) = watch("fetch")?;
        let repository = repository(from, false)?;
        let fetched = influx::fetch_offline(&repository, database, args.as_of, files, &watch).await;
        bar.finish();
        fetched?;
    }
    let settings = OfflineSettings {
        files: files.clone(),
        into: into.clone(),
        url: url.clone(),
        database: database.clone(),
        again: *again,
        now: (clock::system())(),
    };
    let prepared = influx::prepare_offline(&settings).await?;
    output::line(format_args!(
        "{} files, {}, in {}: {}",
        prepared.files,
        mib(prepared.bytes),
        files.display(),
        if prepared.compared {
            "they are what was backed up"
        } else {
            "none is cut off; there is no `manifest.json`, so sums could not be compared"
        }
    ));
    output::line(format_args!(
        "the server at {url} is stopped: {}",
        prepared.silence
    ));
    match &prepared.aside {
        Some(aside) => output::line(format_args!(
            "what the server had is in {}; delete it when the restored server is as it should be",
            aside.display()
        )),
        None => output::line(format_args!("{} had nothing to put aside", into.display())),
    }
    let shown = |path: PathBuf| quoted(&path.display().to_string());
    output::line(format_args!(
        "next: influxd restore -metadir {} -datadir {} -database {} {}",
        shown(into.join("meta")),
        shown(into.join("data")),
        quoted(database),
        shown(files.clone())
    ));
    Ok(ExitCode::SUCCESS)
}

/// As a shell reads it as one word.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

async fn verify(args: &InfluxVerify) -> anyhow::Result<ExitCode> {
    let files = files(&args.source, &args.database, args.as_of, None).await?;
    let (manifest, contents) = influx::check(&files.path).await?;
    if args.server.url.is_none() {
        tell(&manifest);
        output::line("the files are whole; with `--url` what they hold is compared too");
        return Ok(ExitCode::SUCCESS);
    }
    let (watch, bar) = watch("verify")?;
    let found = if let Some(database) = &args.against {
        let url = args.server.url.as_ref().context("`--url` is missing")?;
        let server = server(url, &args.server)?;
        influx::compare(&server, &files.path, database, &watch).await
    } else {
        let (server, influxd) = server_and_program(&args.server, &args.program)?;
        let settings = RestoreSettings {
            folder: files.path.clone(),
            database: args.database.clone(),
            replace: false,
            influxd,
        };
        influx::rehearse(&server, &settings, &watch).await
    };
    bar.finish();
    for (name, summary) in &found? {
        output::line(in_words(name, summary));
    }
    if let Some(from) = &args.source.from {
        let now = (clock::system())();
        let line = influx::line(&contents.database);
        let repository = repository(from, false)?;
        let backup = repository.pick(&line, args.as_of).await?;
        repository.mark_verified(&line, &backup.id, now).await?;
    }
    output::line(format_args!(
        "the backup of {} holds what was backed up",
        manifest.made_at
    ));
    Ok(ExitCode::SUCCESS)
}

/// A folder of files, deleted afterwards unless somebody named it.
struct Scratch {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Scratch {
    /// `named` itself, or a new folder in `within`, or in that of the system for such.
    fn new(named: Option<&Path>, within: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(named) = named {
            return Ok(Self {
                path: named.to_owned(),
                _temporary: None,
            });
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix("smartem-influx-");
        let made = match within {
            Some(within) => builder.tempdir_in(within),
            None => builder.tempdir(),
        };
        let made = made.context("making a folder for the files of the backup")?;
        Ok(Self {
            path: made.path().to_owned(),
            _temporary: Some(made),
        })
    }
}

/// The files of a backup: those of a folder, or fetched into `into` or a temporary folder.
async fn files(
    source: &InfluxSource,
    database: &str,
    as_of: Option<jiff::Timestamp>,
    into: Option<&Path>,
) -> anyhow::Result<Scratch> {
    if source.from.is_some() && source.files.is_some() {
        return Err(usage(
            "give either `--from` or `--files`; both go together only with `--offline`",
        ));
    }
    let Some(from) = &source.from else {
        return Scratch::new(source.files.as_deref(), None);
    };
    let scratch = Scratch::new(into, None)?;
    let (watch, bar) = watch("fetch")?;
    let repository = repository(from, false)?;
    let fetched = influx::fetch(&repository, database, as_of, &scratch.path, &watch).await;
    bar.finish();
    fetched?;
    Ok(scratch)
}

fn server_and_program(
    asked: &InfluxServer,
    program: &InfluxProgram,
) -> anyhow::Result<(Server, Influxd)> {
    let url = asked
        .url
        .as_ref()
        .ok_or_else(|| usage("`--url` says on which server; without one there is `--prepare`"))?;
    Ok((server(url, asked)?, influxd(program, Some(url))?))
}

/// The server that is asked, with the password from its file.
pub(super) fn server(url: &Url, asked: &InfluxServer) -> anyhow::Result<Server> {
    let login = match (&asked.username, &asked.password_file) {
        (Some(user), Some(file)) => {
            let password = std::fs::read_to_string(file)
                .with_context(|| format!("reading the password in {}", file.display()))?;
            Some(Login {
                user: user.clone(),
                password: password.trim_end_matches(['\n', '\r']).to_owned(),
            })
        }
        _ => None,
    };
    Ok(Server::new(url, login)?)
}

fn influxd(program: &InfluxProgram, url: Option<&Url>) -> anyhow::Result<Influxd> {
    let rpc = match (&program.rpc, url.and_then(Url::host_str)) {
        (Some(rpc), _) if rpc.contains(':') => rpc.clone(),
        (Some(rpc), _) => return Err(usage(&format!("`--rpc` is `{rpc}`; write host:port"))),
        (None, Some(host)) => format!("{host}:8088"),
        (None, None) => return Err(usage("`--rpc` says where the server takes backups")),
    };
    Ok(Influxd {
        program: program.influxd.clone(),
        rpc,
    })
}

fn usage(problem: &str) -> anyhow::Error {
    UsageError(problem.to_owned()).into()
}

fn tell(manifest: &Manifest) {
    if let Contents::Influxdb(InfluxContents { before, after, .. }) = &manifest.contents {
        let noted = after.as_ref().or(before.as_ref());
        for (name, summary) in noted.into_iter().flatten() {
            output::line(in_words(name, summary));
        }
    }
    let bytes = manifest.files.iter().map(|file| file.bytes).sum();
    output::line(format_args!(
        "{} files, {}",
        manifest.files.len(),
        mib(bytes)
    ));
}

fn in_words(name: &str, summary: &Summary) -> String {
    let time = |time: Option<i64>| {
        let time = time.and_then(|time| jiff::Timestamp::from_nanosecond(time.into()).ok());
        time.map_or_else(|| "-".to_owned(), |time| time.to_string())
    };
    format!(
        "{name}: {} points from {} to {}, checksum {}",
        summary.points,
        time(summary.first),
        time(summary.last),
        summary.checksum
    )
}
