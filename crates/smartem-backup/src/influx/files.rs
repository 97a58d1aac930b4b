//! The files of `influxd backup`, with a manifest beside them.

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::{Form, InfluxContents, MANIFEST, line};
use crate::manifest::{Contents, FORMAT, FileEntry, Manifest, hex};
use crate::transfer::{Readers, Sent, Session, Watch, fetch as fetch_file};
use crate::{BackupError, Repository};

const REMEDY: &str = "take another backup; nothing was restored";

/// Which form the files of a folder have, that none is missing as far as they tell themselves, and of
/// which databases they are.
pub(crate) fn form_of(folder: &Path) -> Result<(Form, Vec<String>), BackupError> {
    let names: Vec<String> = file_names(folder)?;
    let damaged = |object: &str, problem: String| BackupError::Damaged {
        object: object.to_owned(),
        place: folder.display().to_string(),
        problem,
        remedy: REMEDY,
    };
    let mut databases = Vec::new();
    let portable: Vec<&String> = names
        .iter()
        .filter(|name| name.ends_with(".manifest"))
        .collect();
    for manifest in &portable {
        let path = folder.join(manifest);
        let text =
            std::fs::read(&path).map_err(|source| BackupError::file("reading", &path, source))?;
        let read: Own = serde_json::from_slice(&text)
            .map_err(|error| damaged(manifest, format!("it is not InfluxDB's: {error}")))?;
        let meta = std::iter::once(read.meta.file_name);
        for name in meta.chain(read.files.iter().map(|file| file.file_name.clone())) {
            if !names.contains(&name) {
                return Err(damaged(&name, "it is missing".to_owned()));
            }
        }
        databases.extend(read.files.into_iter().map(|file| file.database));
    }
    if !portable.is_empty() {
        databases.sort();
        databases.dedup();
        return Ok((Form::Portable, databases));
    }
    let is_meta = |name: &String| numbers(name, "meta.").is_some();
    if !names.iter().any(is_meta) {
        return Err(BackupError::NoBackup {
            place: folder.display().to_string(),
            problem:
                "there are no files of `influxd backup`: neither `<time>.manifest` of the portable \
                      form nor `meta.NN` of the legacy one"
                    .to_owned(),
        });
    }
    for name in &names {
        // `<database>.<policy>.NNNNN.NN`
        let mut parts = name.rsplitn(4, '.');
        let (part, shard, _policy) = (parts.next(), parts.next(), parts.next());
        let digits = |text: Option<&str>| {
            text.is_some_and(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        };
        if digits(part)
            && digits(shard)
            && let Some(database) = parts.next()
        {
            databases.push(database.to_owned());
        }
    }
    databases.sort();
    databases.dedup();
    Ok((Form::Legacy, databases))
}

fn numbers(name: &str, before: &str) -> Option<u32> {
    name.strip_prefix(before)?.parse().ok()
}

/// The manifest that InfluxDB writes itself.
#[derive(Deserialize)]
struct Own {
    meta: OwnFile,
    #[serde(default)]
    files: Vec<OwnShard>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnFile {
    file_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnShard {
    database: String,
    file_name: String,
}

/// The names of the files of a folder but our manifest, sorted.
fn file_names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let failed = |source| BackupError::file("looking through", folder, source);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().map_err(failed)?.is_file() && !name.starts_with(MANIFEST) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Writes the manifest beside the files, last and whole.
pub async fn note(
    folder: &Path,
    contents: InfluxContents,
    now: Timestamp,
    program: &str,
) -> Result<Manifest, BackupError> {
    let mut files = Vec::new();
    for name in file_names(folder)? {
        files.push(entry(folder.join(&name), name).await?);
    }
    let manifest = Manifest {
        format: FORMAT,
        made_at: now,
        program: program.to_owned(),
        files,
        contents: Contents::Influxdb(contents),
    };
    write(folder, &manifest)?;
    Ok(manifest)
}

fn write(folder: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let path = folder.join(MANIFEST);
    let part = folder.join(format!("{MANIFEST}.part"));
    let written = || -> std::io::Result<()> {
        let bytes = manifest.to_bytes().map_err(std::io::Error::other)?;
        std::fs::write(&part, bytes)?;
        File::open(&part)?.sync_all()?;
        std::fs::rename(&part, &path)
    };
    written().map_err(|source| BackupError::file("writing", &path, source))
}

async fn entry(path: PathBuf, name: String) -> Result<FileEntry, BackupError> {
    spawn_blocking(move || {
        let hashed = || -> std::io::Result<(u64, String)> {
            let mut hash = Sha256::new();
            let bytes = std::io::copy(&mut File::open(&path)?, &mut hash)?;
            Ok((bytes, hex(&hash.finalize())))
        };
        let (bytes, sha256) =
            hashed().map_err(|source| BackupError::file("reading", &path, source))?;
        Ok(FileEntry {
            path: name,
            bytes,
            sha256,
            chunks: Vec::new(),
            sizes: Vec::new(),
        })
    })
    .await?
}

/// Compares the files of a folder with the manifest beside them.
///
/// # Errors
/// [`BackupError::Damaged`] names the file that is missing or changed.
pub async fn check(folder: &Path) -> Result<(Manifest, InfluxContents), BackupError> {
    let place = folder.display().to_string();
    let path = folder.join(MANIFEST);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BackupError::NoBackup {
                place,
                problem: format!(
                    "there is no `{MANIFEST}`, so the backup was not finished; where the files are \
                     known to be good, `smartem influx backup --files` makes one"
                ),
            });
        }
        Err(error) => return Err(BackupError::file("reading", &path, error)),
    };
    let manifest = Manifest::from_bytes(&bytes, MANIFEST, &place)?;
    let Contents::Influxdb(contents) = manifest.contents.clone() else {
        return Err(BackupError::NoBackup {
            place,
            problem: format!("`{MANIFEST}` is not of an InfluxDB"),
        });
    };
    for expected in &manifest.files {
        let damaged = |problem: String| BackupError::Damaged {
            object: expected.path.clone(),
            place: place.clone(),
            problem,
            remedy: REMEDY,
        };
        let file = folder.join(&expected.path);
        if !file.is_file() {
            return Err(damaged("it is missing".to_owned()));
        }
        let found = entry(file, expected.path.clone()).await?;
        if found.bytes != expected.bytes {
            return Err(damaged(format!(
                "it has {} bytes instead of {}",
                found.bytes, expected.bytes
            )));
        }
        if found.sha256 != expected.sha256 {
            return Err(damaged("its content is not what was backed up".to_owned()));
        }
    }
    form_of(folder)?;
    Ok((manifest, contents))
}

/// Sends the files of a folder that was checked or just made; the name of the backup.
pub async fn send(
    repository: &Repository,
    folder: &Path,
    manifest: &Manifest,
    watch: &Watch,
) -> Result<(String, Sent), BackupError> {
    let Contents::Influxdb(contents) = &manifest.contents else {
        return Err(BackupError::Refused(
            "this is no backup of an InfluxDB".to_owned(),
        ));
    };
    let line = line(&contents.database);
    let mut session = Session::begin(repository, &line, manifest.made_at, watch).await?;
    let marker = session.marker().to_owned();
    let sent = async {
        let mut files = Vec::new();
        for expected in &manifest.files {
            let path = folder.join(&expected.path);
            let file =
                File::open(&path).map_err(|source| BackupError::file("opening", &path, source))?;
            let sent = session
                .send(file, expected.bytes, &expected.path, &path)
                .await?;
            if sent.sha256 != expected.sha256 {
                return Err(BackupError::Damaged {
                    object: expected.path.clone(),
                    place: folder.display().to_string(),
                    problem: "it changed while it was sent".to_owned(),
                    remedy: "make the backup again",
                });
            }
            files.push(sent);
        }
        let sent = session.sent;
        let whole = Manifest {
            files,
            ..manifest.clone()
        };
        Ok((session.finish(&whole).await?, sent))
    };
    let sent = sent.await;
    if sent.is_err() {
        let _ = repository.target.delete(&marker).await;
    }
    sent
}

/// Brings the files of a backup into a folder that is new or empty, with their manifest.
pub async fn fetch(
    repository: &Repository,
    database: &str,
    as_of: Option<Timestamp>,
    folder: &Path,
    watch: &Watch,
) -> Result<Manifest, BackupError> {
    let made = std::fs::create_dir_all(folder);
    made.map_err(|source| BackupError::file("making the folder", folder, source))?;
    if !file_names(folder)?.is_empty() || folder.join(MANIFEST).exists() {
        return Err(BackupError::Refused(format!(
            "{} is not empty; name an empty folder",
            folder.display()
        )));
    }
    let line = line(database);
    let backup = repository.pick(&line, as_of).await?;
    let mut manifest = repository.manifest(&line, &backup.id).await?;
    for file in &manifest.files {
        let to = folder.join(&file.path);
        fetch_file(repository, file, Some(&to), Readers::Usual, watch).await?;
    }
    for file in &mut manifest.files {
        file.chunks.clear();
        file.sizes.clear();
    }
    write(folder, &manifest)?;
    Ok(manifest)
}
