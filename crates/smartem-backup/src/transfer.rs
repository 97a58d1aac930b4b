//! Files into pieces and back.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::manifest::{FileEntry, Manifest, hex, id_of};
use crate::repository::{Repository, chunk_name, hash_of};
use crate::{BackupError, private};

/// Bytes of a piece. `SQLite` changes pages where they are, so pieces at fixed places stay the same
/// where nothing was written; smaller ones would be many objects, larger ones would be sent for less.
pub(crate) const CHUNK: usize = 1024 * 1024;

/// Pieces under way at the same time; so many, twice, are in memory.
const PARALLEL: usize = 4;

const LEVEL: i32 = 3;

/// How a long piece of work is watched and stopped.
#[derive(Clone)]
pub struct Watch {
    /// Set when the work is to end.
    pub stop: CancellationToken,
    /// Told what is done, in bytes, since the last call.
    pub done: Arc<dyn Fn(u64) + Send + Sync>,
    /// Told how many more bytes there are to do.
    pub more: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Watch {
    /// One that nobody looks at.
    pub fn quiet(stop: CancellationToken) -> Self {
        Self {
            stop,
            done: Arc::new(|_| {}),
            more: Arc::new(|_| {}),
        }
    }

    pub(crate) fn go_on(&self) -> Result<(), BackupError> {
        if self.stop.is_cancelled() {
            Err(BackupError::Stopped)
        } else {
            Ok(())
        }
    }
}

/// What was sent for a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of the files.
    pub bytes: u64,
    /// Pieces of the files.
    pub chunks: u64,
    /// Pieces that were not there yet.
    pub new_chunks: u64,
    /// Bytes of these as they were sent, compressed.
    pub new_bytes: u64,
}

/// A backup being made.
pub(crate) struct Session<'a> {
    repository: &'a Repository,
    line: &'a str,
    marker: String,
    /// Pieces that need not be sent, with their bytes as they lie there.
    known: Arc<HashMap<[u8; 32], u64>>,
    watch: &'a Watch,
    pub(crate) sent: Sent,
}

impl<'a> Session<'a> {
    pub(crate) async fn begin(
        repository: &'a Repository,
        line: &'a str,
        now: Timestamp,
        watch: &'a Watch,
    ) -> Result<Self, BackupError> {
        let marker = repository.begin(line, now).await?;
        Ok(Self {
            repository,
            line,
            marker,
            known: Arc::new(repository.whole_chunks().await?),
            watch,
            sent: Sent::default(),
        })
    }

    /// The object that says that the backup is being made.
    pub(crate) fn marker(&self) -> &str {
        &self.marker
    }

    /// Sends the first `bytes` of an open file as `path`.
    pub(crate) async fn send(
        &mut self,
        file: File,
        bytes: u64,
        path: &str,
        at: &Path,
    ) -> Result<FileEntry, BackupError> {
        (self.watch.more)(bytes);
        let (repository, known) = (self.repository.clone(), Arc::clone(&self.known));
        let mut whole = Sha256::new();
        let mut entry = FileEntry {
            path: path.to_owned(),
            bytes: 0,
            sha256: String::new(),
            chunks: Vec::new(),
            sizes: Vec::new(),
        };
        let mut sent = Sent::default();
        let read = read(file.take(bytes), at.to_owned(), self.watch.clone());
        let mut pieces = read
            .map_ok(move |chunk| put(repository.clone(), Arc::clone(&known), chunk))
            .try_buffered(PARALLEL);
        let mut fresh = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            whole.update(&piece.plain);
            let length = piece.plain.len() as u64;
            entry.bytes += length;
            sent.bytes += length;
            sent.chunks += 1;
            if piece.is_new {
                sent.new_chunks += 1;
                sent.new_bytes += piece.compressed;
                fresh.push((piece.hash, piece.compressed));
            }
            entry.chunks.push(hex(&piece.hash));
            entry.sizes.push(piece.compressed);
            (self.watch.done)(length);
        }
        drop(pieces);
        Arc::make_mut(&mut self.known).extend(fresh);
        self.sent.bytes += sent.bytes;
        self.sent.chunks += sent.chunks;
        self.sent.new_chunks += sent.new_chunks;
        self.sent.new_bytes += sent.new_bytes;
        entry.sha256 = hex(&whole.finalize());
        if entry.bytes != bytes {
            let problem = format!("it has {} bytes instead of {bytes}", entry.bytes);
            let source = std::io::Error::other(problem);
            return Err(BackupError::file("reading", at, source));
        }
        Ok(entry)
    }

    /// Writes the manifest; from then on the backup exists.
    ///
    /// # Errors
    /// When a piece is gone that was there, so that the backup must be made again.
    pub(crate) async fn finish(self, manifest: &Manifest) -> Result<String, BackupError> {
        self.watch.go_on()?;
        let id = id_of(manifest.made_at);
        let name = format!("backups/{}/{id}.json", self.line);
        let place = self.repository.name().to_owned();
        // Another program may have pruned before it could see the marker.
        let there = self.repository.chunks().await?;
        let pieces = manifest.files.iter().flat_map(FileEntry::pieces);
        for (chunk, size) in pieces {
            let lies = hash_of(chunk).and_then(|hash| there.get(&hash).copied());
            if lies.is_none() || lies != size {
                return Err(BackupError::Damaged {
                    object: chunk_name(chunk),
                    place,
                    problem: "it was deleted or changed while the backup was made".to_owned(),
                    remedy: "make the backup again",
                });
            }
        }
        let bytes = manifest.to_bytes().map_err(|error| {
            BackupError::Refused(format!("the manifest cannot be written: {error}"))
        })?;
        if !self.repository.target.create(&name, bytes.into()).await? {
            return Err(BackupError::Refused(format!(
                "{place} has a backup of {} of this very moment already; try again",
                self.line
            )));
        }
        self.repository.target.delete(&self.marker).await?;
        Ok(id)
    }
}

/// The pieces of a file, read as they are asked for.
fn read(
    file: std::io::Take<File>,
    at: PathBuf,
    watch: Watch,
) -> BoxStream<'static, Result<Vec<u8>, BackupError>> {
    stream::try_unfold((file, at, watch), |(mut file, at, watch)| async move {
        watch.go_on()?;
        let next = spawn_blocking(move || {
            let chunk = next_piece(&mut file);
            chunk.map(|chunk| (chunk, file))
        });
        let (chunk, file) = next
            .await?
            .map_err(|source| BackupError::file("reading", &at, source))?;
        Ok::<_, BackupError>((!chunk.is_empty()).then_some((chunk, (file, at, watch))))
    })
    .boxed()
}

/// The next piece of a file; empty at the end.
fn next_piece(file: &mut std::io::Take<File>) -> std::io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

struct Piece {
    hash: [u8; 32],
    plain: Vec<u8>,
    /// Bytes as it lies there.
    compressed: u64,
    /// Whether it was sent.
    is_new: bool,
}

async fn put(
    repository: Repository,
    known: Arc<HashMap<[u8; 32], u64>>,
    plain: Vec<u8>,
) -> Result<Piece, BackupError> {
    let (hash, plain) = spawn_blocking(move || {
        let hash: [u8; 32] = Sha256::digest(&plain).into();
        (hash, plain)
    })
    .await?;
    if let Some(compressed) = known.get(&hash) {
        return Ok(Piece {
            hash,
            plain,
            compressed: *compressed,
            is_new: false,
        });
    }
    let (compressed, plain) = spawn_blocking(move || {
        let compressed = zstd::bulk::compress(&plain, LEVEL);
        (compressed, plain)
    })
    .await?;
    let compressed = compressed.map_err(|source| {
        BackupError::file(
            "compressing a piece for",
            Path::new(repository.name()),
            source,
        )
    })?;
    let length = compressed.len() as u64;
    // Two files may have it, or another program may have sent it meanwhile: the content is the same.
    repository
        .target
        .replace(&chunk_name(&hex(&hash)), compressed.into())
        .await?;
    Ok(Piece {
        hash,
        plain,
        compressed: length,
        is_new: true,
    })
}

/// Who may read the files that are brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Their owner.
    Owner,
    /// Whom the system lets by default: InfluxDB's own program may run as another user.
    Usual,
}

fn new_file(path: &Path, readers: Readers) -> Result<File, BackupError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    if readers == Readers::Owner {
        private::create_dir(parent)?;
        return private::create_file(path);
    }
    std::fs::create_dir_all(parent)
        .map_err(|source| BackupError::file("making the folder", parent, source))?;
    File::create_new(path).map_err(|source| BackupError::file("writing", path, source))
}

/// Reads a file of a backup back, checks every piece and the whole, and writes it where `to` says.
///
/// # Errors
/// [`BackupError::Damaged`] names the object that is not what was written.
pub(crate) async fn fetch(
    repository: &Repository,
    entry: &FileEntry,
    to: Option<&Path>,
    readers: Readers,
    watch: &Watch,
) -> Result<(), BackupError> {
    (watch.more)(entry.bytes);
    let mut out = match to {
        None => None,
        Some(to) => Some(new_file(to, readers)?),
    };
    let mut whole = Sha256::new();
    let mut bytes = 0;
    let (from, path) = (repository.clone(), entry.path.clone());
    let pieces =
        stream::iter(entry.chunks.clone()).map(move |hash| get(from.clone(), path.clone(), hash));
    let mut pieces = pieces.buffered(PARALLEL);
    while let Some(piece) = pieces.try_next().await? {
        watch.go_on()?;
        whole.update(&piece);
        bytes += piece.len() as u64;
        (watch.done)(piece.len() as u64);
        if let (Some(mut file), Some(to)) = (out.take(), to) {
            let written = spawn_blocking(move || file.write_all(&piece).map(|()| file)).await?;
            out = Some(written.map_err(|source| BackupError::file("writing", to, source))?);
        }
    }
    if bytes != entry.bytes || hex(&whole.finalize()) != entry.sha256 {
        return Err(BackupError::Damaged {
            object: entry.path.clone(),
            place: repository.name().to_owned(),
            problem: "its pieces do not make the file that was backed up".to_owned(),
            remedy: "take another backup (`--as-of`)",
        });
    }
    if let (Some(file), Some(to)) = (out, to) {
        let synced = spawn_blocking(move || file.sync_all()).await?;
        synced.map_err(|source| BackupError::file("syncing", to, source))?;
    }
    Ok(())
}

async fn get(repository: Repository, path: String, hash: String) -> Result<Vec<u8>, BackupError> {
    let damaged = |problem: &str| BackupError::Damaged {
        object: chunk_name(&hash),
        place: repository.name().to_owned(),
        problem: format!("{problem} (a piece of {path})"),
        remedy: "delete it, so that the next backup sends it again, and restore another backup \
                 (`--as-of`) until then",
    };
    let expected = hash_of(&hash).ok_or_else(|| damaged("its name is no SHA-256"))?;
    let found = repository.target.get(&chunk_name(&hash)).await?;
    let compressed: Bytes = found.ok_or_else(|| damaged("it is missing"))?;
    let plain = spawn_blocking(move || {
        let plain = zstd::bulk::decompress(&compressed, CHUNK).ok()?;
        (Sha256::digest(&plain)[..] == expected).then_some(plain)
    });
    plain
        .await?
        .ok_or_else(|| damaged("its content is not what was written"))
}
