//! Backups in a place: pieces that are there once, and a manifest for each backup.
//!
//! - `chunks/<2 digits>/<SHA-256>`: a piece of a file, compressed with zstd, named after its content
//! - `backups/<line>/<time>.json`: a manifest, written last
//! - `verified/<line>/<time>.json`: that a backup was read back and found whole
//! - `running/<time>`: that a backup is being made; pieces are not deleted meanwhile

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::manifest::{FileEntry, Manifest, id_of, time_of};
use crate::target::{Object, Target};
use crate::{BackupError, Keep};

/// After this a backup that says that it is being made was killed.
const RUNNING: SignedDuration = SignedDuration::from_hours(48);

/// Deletions between two looks at whether a backup has begun.
const PRUNE_STEP: usize = 200;

/// Where the backups of several things are kept.
#[derive(Clone)]
pub struct Repository {
    pub(crate) target: Target,
}

/// A backup that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backup {
    /// When it began.
    pub made_at: Timestamp,
    /// What it is called.
    pub id: String,
    /// Whether it was read back and found whole.
    pub verified: bool,
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Backups forgotten.
    pub backups: u64,
    /// Pieces deleted that no backup needs.
    pub chunks: u64,
    /// Backups beyond what is to be kept that stay because none after them was verified.
    pub unverified: u64,
    /// Another backup is being made, so that pieces stay until the next time.
    pub postponed: bool,
}

impl Repository {
    /// The backups in a place.
    pub fn new(target: Target) -> Self {
        Self { target }
    }

    /// The place as it was written.
    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// Writes a small object and deletes it again: whether backups can be written here.
    pub async fn try_writing(&self) -> Result<(), BackupError> {
        const NAME: &str = "try-writing";
        let bytes = bytes::Bytes::from_static(b"smartem doctor wrote this and deletes it again\n");
        self.target.replace(NAME, bytes).await?;
        self.target.delete(NAME).await
    }

    /// The backups of a line (such as `store`), the oldest first.
    pub async fn backups(&self, line: &str) -> Result<Vec<Backup>, BackupError> {
        let verified = self.target.list(&format!("verified/{line}")).await?;
        let verified: BTreeSet<String> = verified
            .iter()
            .filter_map(|object| id_in(object, "verified", line))
            .collect();
        let listed = self.target.list(&format!("backups/{line}")).await?;
        let mut backups: Vec<Backup> = listed
            .iter()
            .filter_map(|object| {
                let id = id_in(object, "backups", line)?;
                Some(Backup {
                    made_at: time_of(&id)?,
                    verified: verified.contains(&id),
                    id,
                })
            })
            .collect();
        backups.sort();
        Ok(backups)
    }

    /// The lines that have backups.
    pub async fn lines(&self) -> Result<Vec<String>, BackupError> {
        let listed = self.target.list("backups").await?;
        let lines: BTreeSet<String> = listed
            .iter()
            .filter_map(|object| {
                let (line, id) = object.name.strip_prefix("backups/")?.rsplit_once('/')?;
                time_of(id.strip_suffix(".json")?)?;
                Some(line.to_owned())
            })
            .collect();
        Ok(lines.into_iter().collect())
    }

    /// The newest backup of a line, or the newest that began at a time or before it.
    ///
    /// # Errors
    /// [`BackupError::NoBackup`] with those that there are.
    pub async fn pick(&self, line: &str, as_of: Option<Timestamp>) -> Result<Backup, BackupError> {
        let backups = self.backups(line).await?;
        let found = backups
            .iter()
            .rev()
            .find(|backup| as_of.is_none_or(|as_of| backup.made_at <= as_of));
        if let Some(backup) = found {
            return Ok(backup.clone());
        }
        let problem = if let (Some(first), Some(as_of)) = (backups.first(), as_of) {
            format!(
                "there is no backup of {line} as old as {as_of}; the first is of {}",
                first.made_at
            )
        } else {
            let others = match self.lines().await?.as_slice() {
                [] => "there are none of anything".to_owned(),
                others => format!("there are backups of {}", others.join(", ")),
            };
            format!("there is no backup of {line} here; {others}")
        };
        Err(BackupError::NoBackup {
            place: self.name().to_owned(),
            problem,
        })
    }

    /// The manifest of a backup.
    pub async fn manifest(&self, line: &str, id: &str) -> Result<Manifest, BackupError> {
        let name = format!("backups/{line}/{id}.json");
        match self.target.get(&name).await? {
            Some(bytes) => Manifest::from_bytes(&bytes, &name, self.name()),
            None => Err(BackupError::NoBackup {
                place: self.name().to_owned(),
                problem: format!("there is no backup {id} of {line}"),
            }),
        }
    }

    /// The manifest of a backup; `None` when it was forgotten meanwhile or cannot be read, which whoever
    /// needs that very backup is told.
    pub(crate) async fn readable(
        &self,
        line: &str,
        id: &str,
    ) -> Result<Option<Manifest>, BackupError> {
        match self.manifest(line, id).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(
                BackupError::NoBackup { .. }
                | BackupError::Damaged { .. }
                | BackupError::Newer { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Notes that a backup was read back and found whole.
    pub async fn mark_verified(
        &self,
        line: &str,
        id: &str,
        now: Timestamp,
    ) -> Result<(), BackupError> {
        let note = Bytes::from(format!("{{\"verified_at\":\"{now}\"}}\n"));
        self.target
            .replace(&format!("verified/{line}/{id}.json"), note)
            .await
    }

    /// Says that a backup is being made.
    pub(crate) async fn begin(&self, line: &str, now: Timestamp) -> Result<String, BackupError> {
        let id = id_of(now);
        let marker = format!("running/{id}-{}", line.replace('/', "-"));
        self.target
            .replace(&marker, Bytes::from_static(b"\n"))
            .await?;
        Ok(marker)
    }

    /// The pieces that lie there, with their bytes.
    pub(crate) async fn chunks(&self) -> Result<HashMap<[u8; 32], u64>, BackupError> {
        let listed = self.target.list("chunks").await?;
        let sized = |object: &Object| Some((hash_in(object)?, object.size));
        Ok(listed.iter().filter_map(sized).collect())
    }

    /// The pieces that need not be sent again: those that lie there and are as long as they must be.
    ///
    /// A piece that no manifest tells the bytes of may be of a backup that was killed: it is taken as it is
    /// unless it is empty.
    pub(crate) async fn whole_chunks(&self) -> Result<HashMap<[u8; 32], u64>, BackupError> {
        let mut there = self.chunks().await?;
        let mut backups = Vec::new();
        for line in self.lines().await? {
            for backup in self.backups(&line).await? {
                backups.push((backup, line.clone()));
            }
        }
        // Another version of the compression may make other bytes: the newest manifest is right.
        backups.sort();
        let mut noted = HashMap::new();
        for (backup, line) in backups {
            let manifest = self.readable(&line, &backup.id).await?;
            let files = manifest.iter().flat_map(|manifest| &manifest.files);
            for (chunk, size) in files.flat_map(FileEntry::pieces) {
                if let (Some(hash), Some(size)) = (hash_of(chunk), size) {
                    noted.insert(hash, size);
                }
            }
        }
        there.retain(|hash, size| *size > 0 && noted.get(hash).is_none_or(|noted| noted == size));
        Ok(there)
    }

    /// Forgets the backups of a line that need not be kept, and the pieces that none needs.
    ///
    /// A backup goes only when a later one was verified. Killed anywhere, what is left is whole.
    pub async fn prune(
        &self,
        line: &str,
        keep: Keep,
        now: Timestamp,
    ) -> Result<Pruned, BackupError> {
        let backups = self.backups(line).await?;
        let times: BTreeSet<Timestamp> = backups.iter().map(|backup| backup.made_at).collect();
        let kept = keep.of(&times);
        let verified = backups.iter().rev().find(|backup| backup.verified);
        let mut pruned = Pruned::default();
        for backup in backups.iter().filter(|it| !kept.contains(&it.made_at)) {
            if verified.is_none_or(|verified| backup.made_at >= verified.made_at) {
                pruned.unverified += 1;
                continue;
            }
            // The manifest first: without it there is no backup, whatever happens next.
            for kind in ["backups", "verified"] {
                self.target
                    .delete(&format!("{kind}/{line}/{}.json", backup.id))
                    .await?;
            }
            pruned.backups += 1;
        }
        self.prune_chunks(now, &mut pruned).await?;
        Ok(pruned)
    }

    async fn prune_chunks(&self, now: Timestamp, pruned: &mut Pruned) -> Result<(), BackupError> {
        if self.is_running(now).await? {
            pruned.postponed = true;
            return Ok(());
        }
        let listed = self.target.list("chunks").await?;
        let mut unneeded: BTreeMap<[u8; 32], String> = listed
            .into_iter()
            .filter_map(|object| Some((hash_in(&object)?, object.name)))
            .collect();
        for line in self.lines().await? {
            for backup in self.backups(&line).await? {
                // A manifest that cannot be read might need any of them.
                let manifest = self.manifest(&line, &backup.id).await?;
                for chunk in manifest.files.iter().flat_map(|file| &file.chunks) {
                    if let Some(hash) = hash_of(chunk) {
                        unneeded.remove(&hash);
                    }
                }
            }
        }
        let names: Vec<String> = unneeded.into_values().collect();
        for names in names.chunks(PRUNE_STEP) {
            if self.is_running(now).await? {
                pruned.postponed = true;
                return Ok(());
            }
            for name in names {
                self.target.delete(name).await?;
                pruned.chunks += 1;
            }
        }
        self.target
            .sweep(now.saturating_sub(RUNNING).unwrap_or(now))
            .await
    }

    /// Whether a backup is being made; forgets those that were killed long ago.
    async fn is_running(&self, now: Timestamp) -> Result<bool, BackupError> {
        let mut running = false;
        for marker in self.target.list("running").await? {
            if now.duration_since(marker.modified) > RUNNING {
                self.target.delete(&marker.name).await?;
            } else {
                running = true;
            }
        }
        Ok(running)
    }
}

fn id_in(object: &Object, kind: &str, line: &str) -> Option<String> {
    let name = object.name.strip_prefix(kind)?.strip_prefix('/')?;
    let id = name
        .strip_prefix(line)?
        .strip_prefix('/')?
        .strip_suffix(".json")?;
    time_of(id)?;
    Some(id.to_owned())
}

/// The name of the object of a piece.
pub(crate) fn chunk_name(hash: &str) -> String {
    format!("chunks/{}/{hash}", hash.get(..2).unwrap_or("xx"))
}

fn hash_in(object: &Object) -> Option<[u8; 32]> {
    hash_of(object.name.rsplit('/').next()?)
}

/// Reads 64 hexadecimal digits.
pub(crate) fn hash_of(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(hash)
}
