//! What comes before `influxd restore` writes into the folders of a server that is stopped: it replaces
//! users, rights and databases, and asks nobody.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpStream, lookup_host};
use url::Url;

use super::files::{check, fetch, form_of};
use super::legacy::{fault_of_meta, fault_of_shard};
use super::{Form, MANIFEST, line};
use crate::transfer::Watch;
use crate::{BackupError, Repository, Space};

/// Folders of a server of InfluxDB 1.x.
const FOLDERS: [&str; 3] = ["meta", "data", "wal"];

/// Says in the folder of the server how far the last preparation came.
const MARKER: &str = "restore-offline.json";

/// Where files are fetched to before they are whole.
const FETCHING: &str = ".fetching";

/// A server that answers is asked once, one that does not so often.
const ASKED: u32 = 3;

const PATIENCE: Duration = Duration::from_secs(5);

/// Between two times: a server that starts again just now would be missed otherwise.
const PAUSE: Duration = Duration::from_secs(1);

/// How a restore into a stopped server is prepared.
#[derive(Clone, Debug)]
pub struct OfflineSettings {
    /// The folder with the files of `influxd backup`, in the legacy form.
    pub files: PathBuf,
    /// The folder of the server, with `meta`, `data` and `wal`.
    pub into: PathBuf,
    /// Where the server answers while it runs.
    pub url: Url,
    /// The database.
    pub database: String,
    /// Puts aside also what an earlier restore left.
    pub again: bool,
    /// The time; the folder of what is put aside is named after it.
    pub now: Timestamp,
}

/// What is there for the restore.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Files of the backup.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
    /// Whether they were compared with noted sums; otherwise only their shape was looked at.
    pub compared: bool,
    /// Why the server counts as stopped.
    pub silence: String,
    /// Where what was in the folder of the server is now; `None`: there was nothing.
    pub aside: Option<PathBuf>,
}

/// Makes sure that the files are whole, that the server is stopped and that there is room, and puts aside
/// what the server has. Killed anywhere, the next run finishes.
///
/// # Errors
/// [`BackupError::Damaged`], [`BackupError::NoBackup`] or [`BackupError::Refused`] before anything is
/// touched.
pub async fn prepare_offline(settings: &OfflineSettings) -> Result<Prepared, BackupError> {
    let OfflineSettings {
        files: folder,
        into,
        database,
        ..
    } = settings;
    let (files, bytes, compared) = check_files(folder, database).await?;
    let silence = silent(&settings.url).await?;
    if !into.is_dir() {
        return Err(BackupError::Refused(format!(
            "{} is no folder; name the one in which InfluxDB has `meta`, `data` and `wal`",
            into.display()
        )));
    }
    let whole = |path: &Path| {
        path.canonicalize()
            .map_err(|source| BackupError::file("finding the folder", path, source))
    };
    let (of_server, of_files) = (whole(into)?, whole(folder)?);
    if FOLDERS
        .iter()
        .any(|name| of_files.starts_with(of_server.join(name)))
    {
        return Err(BackupError::Refused(format!(
            "the files in {} lie in what would be put aside; move them elsewhere",
            folder.display()
        )));
    }
    let space =
        Space::of(into).map_err(|source| BackupError::file("asking about", into, source))?;
    if space.free / 2 < bytes {
        return Err(BackupError::Refused(format!(
            "{} has {} free bytes, and a restore may take twice the {bytes} bytes of the files; make room, \
             for example by deleting older `before-restore-...` there",
            into.display(),
            space.free
        )));
    }
    let (into, database) = (into.clone(), database.clone());
    let (now, again) = (settings.now, settings.again);
    let aside =
        tokio::task::spawn_blocking(move || put_aside(&into, &database, now, again)).await??;
    Ok(Prepared {
        files,
        bytes,
        compared,
        silence,
        aside,
    })
}

/// How many files there are, their size, and whether their sums were known.
async fn check_files(folder: &Path, database: &str) -> Result<(usize, u64, bool), BackupError> {
    let place = folder.display().to_string();
    let no_backup = |problem: String| BackupError::NoBackup {
        place: place.clone(),
        problem,
    };
    if !folder.is_dir() {
        return Err(no_backup(
            "there is no such folder; copy the files of the backup there first, or name where they are with \
             `--files`"
                .to_owned(),
        ));
    }
    let (form, databases) = form_of(folder)?;
    if form != Form::Legacy {
        return Err(no_backup(
            "the files are of the portable form, which only a running server restores; start it and leave \
             out `--offline`"
                .to_owned(),
        ));
    }
    if !databases.iter().any(|name| name == database) {
        return Err(no_backup(format!(
            "the files are not of the database `{database}`, but of: {}",
            databases.join(", ")
        )));
    }
    if folder.join(MANIFEST).exists() {
        let (manifest, contents) = check(folder).await?;
        if contents.database != database {
            return Err(no_backup(format!(
                "`{MANIFEST}` is of the database `{}`",
                contents.database
            )));
        }
        let bytes = manifest.files.iter().map(|file| file.bytes).sum();
        return Ok((manifest.files.len(), bytes, true));
    }
    let folder = folder.to_owned();
    let found = tokio::task::spawn_blocking(move || shapes(&folder)).await?;
    found.map(|(files, bytes)| (files, bytes, false))
}

/// Looks at files without a manifest: none may be empty, cut off or something else.
fn shapes(folder: &Path) -> Result<(usize, u64), BackupError> {
    let failed = |source| BackupError::file("looking through", folder, source);
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let parts: Vec<&str> = name.rsplitn(3, '.').collect();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let look = match *parts.as_slice() {
            [part, "meta"] if digits(part) => fault_of_meta,
            [part, shard, _] if digits(part) && digits(shard) => fault_of_shard,
            _ => continue,
        };
        let looked = || -> io::Result<(u64, Option<String>)> {
            let size = entry.metadata()?.len();
            let empty = (size == 0).then(|| "it is empty".to_owned());
            Ok((size, if empty.is_some() { empty } else { look(&path)? }))
        };
        let (size, fault) =
            looked().map_err(|source| BackupError::file("reading", &path, source))?;
        if let Some(problem) = fault {
            return Err(BackupError::Damaged {
                object: name.into_owned(),
                place: folder.display().to_string(),
                problem,
                remedy: "copy it again or take another backup; nothing was restored",
            });
        }
        files += 1;
        bytes += size;
    }
    Ok((files, bytes))
}

/// Why a server counts as stopped.
///
/// # Errors
/// When it answers, or when it cannot be told.
async fn silent(url: &Url) -> Result<String, BackupError> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(BackupError::Refused(format!(
            "`--url` is `{url}`; write for example http://influxdb:8086"
        )));
    };
    // An address of IPv6 stands in brackets in a URL.
    let host = host.trim_matches(['[', ']']);
    let mut silence = String::new();
    for asked in 0..ASKED {
        if asked > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        silence = ask(host, port).await?;
    }
    Ok(silence)
}

/// One attempt to connect: whoever accepts a connection is not stopped, whatever it would answer.
async fn ask(host: &str, port: u16) -> Result<String, BackupError> {
    let untold = |problem: String| {
        BackupError::Refused(format!(
            "whether the server at {host}:{port} is stopped cannot be told: {problem}; check `--url` and \
             that this machine may reach it"
        ))
    };
    let addresses: Vec<_> = match lookup_host((host, port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            let text = error.to_string();
            // The words of glibc and musl for name servers that do not answer.
            if text.contains("emporary failure") || text.contains("Try again") {
                return Err(untold(text));
            }
            // A headless Service without pods has no addresses.
            return Ok(format!("the name `{host}` has no address"));
        }
    };
    let mut silence = format!("the name `{host}` has no address");
    for address in addresses {
        silence = match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                return Err(BackupError::Refused(format!(
                    "a server answers at {host}:{port}, and an offline restore would exchange its files \
                     while it uses them; scale it to 0 first: kubectl -n smartemission scale statefulset \
                     influxdb --replicas=0"
                )));
            }
            Ok(Err(error)) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::TimedOut
                | io::ErrorKind::HostUnreachable => error.to_string(),
                _ => return Err(untold(error.to_string())),
            },
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
    }
    Ok(silence)
}

/// How far a preparation came.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    database: String,
    prepared_at: Timestamp,
    /// The name of the folder of what was put aside.
    aside: Option<String>,
    /// Whether all of it is there.
    done: bool,
}

/// Moves what the server has into a folder beside; where it is.
fn put_aside(
    into: &Path,
    database: &str,
    now: Timestamp,
    again: bool,
) -> Result<Option<PathBuf>, BackupError> {
    let there: Vec<&str> = FOLDERS
        .into_iter()
        .filter(|name| into.join(name).symlink_metadata().is_ok())
        .collect();
    let earlier = read_marker(into)?;
    let aside_of = |marker: &Marker| marker.aside.as_ref().map(|name| into.join(name));
    let mut marker = match earlier {
        Some(marker) if marker.done && there.is_empty() => return Ok(aside_of(&marker)),
        // `influxd restore` makes no `wal`; a server does when it starts. So without one the server has not
        // started since, and what is there is what was restored.
        Some(marker) if marker.done && !there.contains(&"wal") && !again => {
            return Err(BackupError::Refused(format!(
                "{} was prepared at {}, and has been restored since, perhaps not to the end; start the \
                 server, or put that aside too with `--again` and restore once more",
                into.display(),
                marker.prepared_at
            )));
        }
        // A preparation that was cut short goes on, unless the server made new folders since.
        Some(marker)
            if !marker.done
                && aside_of(&marker)
                    .is_some_and(|aside| there.iter().all(|name| !aside.join(name).exists())) =>
        {
            marker
        }
        _ => {
            let aside = if there.is_empty() {
                None
            } else {
                Some(new_folder(into, now)?)
            };
            Marker {
                database: database.to_owned(),
                prepared_at: now,
                aside,
                done: false,
            }
        }
    };
    let aside = aside_of(&marker);
    write_marker(into, &marker)?;
    if let Some(aside) = &aside {
        for name in there {
            let from = into.join(name);
            std::fs::rename(&from, aside.join(name))
                .map_err(|source| BackupError::file("putting aside", &from, source))?;
        }
        sync(aside)?;
        sync(into)?;
    }
    marker.done = true;
    write_marker(into, &marker)?;
    Ok(aside)
}

/// The name of a new folder for what is put aside.
fn new_folder(into: &Path, now: Timestamp) -> Result<String, BackupError> {
    let name = format!("before-restore-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let mut number = 1;
    loop {
        let name = match number {
            1 => name.clone(),
            number => format!("{name}-{number}"),
        };
        let path = into.join(&name);
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(BackupError::file("making the folder", &path, source)),
        }
    }
}

fn read_marker(into: &Path) -> Result<Option<Marker>, BackupError> {
    let path = into.join(MARKER);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| BackupError::file("reading", &path, error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BackupError::file("reading", &path, source)),
    }
}

fn write_marker(into: &Path, marker: &Marker) -> Result<(), BackupError> {
    let path = into.join(MARKER);
    let part = into.join(format!("{MARKER}.part"));
    let written = || -> io::Result<()> {
        std::fs::write(&part, serde_json::to_vec_pretty(marker)?)?;
        File::open(&part)?.sync_all()?;
        std::fs::rename(&part, &path)
    };
    written().map_err(|source| BackupError::file("writing", &path, source))?;
    sync(into)
}

fn sync(folder: &Path) -> Result<(), BackupError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| BackupError::file("writing", folder, source))
}

/// Brings the files of a backup into a folder that is new or empty, or has them already. Killed anywhere,
/// the next run finishes.
pub async fn fetch_offline(
    repository: &Repository,
    database: &str,
    as_of: Option<Timestamp>,
    folder: &Path,
    watch: &Watch,
) -> Result<(), BackupError> {
    let line = line(database);
    let picked = repository.pick(&line, as_of).await?;
    let wanted = repository.manifest(&line, &picked.id).await?;
    let fetching = folder.join(FETCHING);
    let read = |manifest: &Path| -> Result<Option<Timestamp>, BackupError> {
        if !manifest.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(manifest)
            .map_err(|source| BackupError::file("reading", manifest, source))?;
        let place = folder.display().to_string();
        let manifest = crate::manifest::Manifest::from_bytes(&bytes, MANIFEST, &place)?;
        Ok(Some(manifest.made_at))
    };
    let other = |made_at: Timestamp| {
        Err(BackupError::Refused(format!(
            "{} has the backup of {made_at}, and that of {} is asked for; empty the folder, or name another",
            folder.display(),
            wanted.made_at
        )))
    };
    match (
        read(&folder.join(MANIFEST))?,
        read(&fetching.join(MANIFEST))?,
    ) {
        (Some(made_at), _) | (None, Some(made_at)) if made_at != wanted.made_at => {
            return other(made_at);
        }
        (Some(_), _) => return remove(&fetching),
        (None, Some(_)) => {}
        (None, None) => {
            // What a run that was killed left.
            remove(&fetching)?;
            let made = std::fs::create_dir_all(folder);
            made.map_err(|source| BackupError::file("making the folder", folder, source))?;
            let mut entries = std::fs::read_dir(folder)
                .map_err(|source| BackupError::file("looking through", folder, source))?;
            if entries.next().is_some() {
                return Err(BackupError::Refused(format!(
                    "{} is not empty; name an empty folder, or leave out `--from` to restore what is there",
                    folder.display()
                )));
            }
            fetch(repository, database, as_of, &fetching, watch).await?;
        }
    }
    let moved = || -> io::Result<()> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&fetching)? {
            names.push(entry?.file_name());
        }
        // The manifest last: with it the folder counts as whole.
        names.sort_by_key(|name| name == MANIFEST);
        for name in names {
            std::fs::rename(fetching.join(&name), folder.join(&name))?;
        }
        Ok(())
    };
    moved().map_err(|source| BackupError::file("moving files to", folder, source))?;
    remove(&fetching)
}

fn remove(folder: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::file("deleting", folder, error))
        }
        _ => Ok(()),
    }
}
