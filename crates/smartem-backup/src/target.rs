//! Where backups are kept: a folder, or an object storage.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, PutMode, PutOptions, PutPayload, RetryConfig};

use crate::{BackupError, private};

/// How a place is written.
const FORMS: &str = "write a folder, `s3://bucket/prefix` or `azblob://container/prefix`";

/// The environment variables that say how object storages are reached: `AWS_...` and `AZURE_...`, as
/// their own tools know them, and the same with `_FILE` for a file that holds the value.
#[derive(Clone, Default)]
pub struct Credentials(BTreeMap<String, String>);

impl Credentials {
    /// Those among the variables of an environment.
    pub fn among(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = |name: &str| name.starts_with("AWS_") || name.starts_with("AZURE_");
        Self(
            variables
                .into_iter()
                .filter(|(name, _)| ours(name))
                .collect(),
        )
    }

    /// Name in lower case and value of each, files read.
    fn settings(&self) -> Result<Vec<(String, String)>, BackupError> {
        // Files that the libraries read by themselves.
        const READ_BY_THEM: [&str; 4] = [
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AZURE_FEDERATED_TOKEN_FILE",
        ];
        let mut settings = Vec::new();
        for (name, value) in &self.0 {
            let file = name
                .strip_suffix("_FILE")
                .filter(|_| !READ_BY_THEM.contains(&name.as_str()));
            match file {
                None => settings.push((name.to_ascii_lowercase(), value.clone())),
                Some(name) => {
                    let text = std::fs::read_to_string(value).map_err(|source| {
                        BackupError::file("reading the secret", FilePath::new(value), source)
                    })?;
                    settings.push((name.to_ascii_lowercase(), text.trim().to_owned()));
                }
            }
        }
        Ok(settings)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// A place of backups.
#[derive(Clone)]
pub struct Target {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    name: String,
    folder: Option<PathBuf>,
}

/// An object that is there.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub modified: Timestamp,
}

impl Target {
    /// The place written as a folder, `s3://bucket/prefix` or `azblob://container/prefix`.
    ///
    /// A folder is made when `make` says so. Nothing is asked of an object storage yet.
    ///
    /// # Errors
    /// When it is no place, a folder is missing, or a secret cannot be read.
    pub fn open(text: &str, credentials: &Credentials, make: bool) -> Result<Self, BackupError> {
        let refused = |problem: String| BackupError::Place {
            text: without_secrets(text),
            problem,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Self::open_folder(FilePath::new(text), make);
        };
        let (container, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if scheme == "file" {
            return Self::open_folder(FilePath::new(rest), make);
        }
        if container.is_empty() || container.contains(['@', '?']) || prefix.contains('?') {
            return Err(refused(format!("{FORMS}; keys come from the environment")));
        }
        let prefix = Path::parse(prefix.trim_end_matches('/'))
            .map_err(|error| refused(format!("{error}; {FORMS}")))?;
        let retry = RetryConfig {
            max_retries: 6,
            retry_timeout: Duration::from_secs(60),
            ..RetryConfig::default()
        };
        let client = ClientOptions::new().with_timeout(Duration::from_secs(120));
        let settings = credentials.settings()?;
        let objects: Arc<dyn ObjectStore> = match scheme {
            "s3" => {
                let mut builder = AmazonS3Builder::new()
                    .with_client_options(client)
                    .with_retry(retry);
                for (name, value) in settings {
                    if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
                        builder = builder.with_config(key, value);
                    }
                }
                let built = builder.with_bucket_name(container).build();
                Arc::new(built.map_err(|error| refused(told(&error)))?)
            }
            "azblob" | "az" => {
                let mut builder = MicrosoftAzureBuilder::new()
                    .with_client_options(client)
                    .with_retry(retry);
                for (name, value) in settings {
                    if let Ok(key) = name.parse::<AzureConfigKey>() {
                        builder = builder.with_config(key, value);
                    }
                }
                let built = builder.with_container_name(container).build();
                Arc::new(built.map_err(|error| refused(told(&error)))?)
            }
            _ => return Err(refused(format!("`{scheme}` is not known; {FORMS}"))),
        };
        Ok(Self {
            objects,
            prefix,
            name: text.trim_end_matches('/').to_owned(),
            folder: None,
        })
    }

    fn open_folder(folder: &FilePath, make: bool) -> Result<Self, BackupError> {
        if make {
            private::create_dir(folder)?;
        } else if !folder.is_dir() {
            return Err(BackupError::Place {
                text: folder.display().to_string(),
                problem: format!("there is no such folder; {FORMS}"),
            });
        }
        let objects =
            LocalFileSystem::new_with_prefix(folder).map_err(|error| BackupError::Place {
                text: folder.display().to_string(),
                problem: told(&error),
            })?;
        Ok(Self {
            objects: Arc::new(objects),
            prefix: Path::default(),
            name: folder.display().to_string(),
            folder: Some(folder.to_owned()),
        })
    }

    /// Refuses a place that lies in a folder that it is to hold the backups of.
    ///
    /// # Errors
    /// [`BackupError::Place`] with the remedy. An object storage lies nowhere here.
    pub fn check_outside(text: &str, dir: &FilePath) -> Result<(), BackupError> {
        let place = match text.split_once("://") {
            None => text,
            Some(("file", rest)) => rest,
            Some(_) => return Ok(()),
        };
        if real(FilePath::new(place)).starts_with(real(dir)) {
            return Err(BackupError::Place {
                text: text.to_owned(),
                problem: format!(
                    "it lies in the folder of the store ({}), and would be lost with it; name a folder \
                     elsewhere, on another disk if there is one",
                    dir.display()
                ),
            });
        }
        Ok(())
    }

    /// The place as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self, name: &str) -> Path {
        name.split('/')
            .fold(self.prefix.clone(), |path, part| path.child(part))
    }

    fn failed(&self, action: &'static str, name: &str, error: &object_store::Error) -> BackupError {
        BackupError::Target {
            action,
            object: name.to_owned(),
            place: self.name.clone(),
            problem: told(error),
        }
    }

    /// Writes an object, whole or not at all; `false` when there is one already, which stays.
    pub(crate) async fn create(&self, name: &str, bytes: Bytes) -> Result<bool, BackupError> {
        self.put(name, bytes, PutMode::Create).await
    }

    /// Writes an object, whole or not at all, in the place of one that may be there.
    pub(crate) async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), BackupError> {
        self.put(name, bytes, PutMode::Overwrite).await.map(|_| ())
    }

    async fn put(&self, name: &str, bytes: Bytes, mode: PutMode) -> Result<bool, BackupError> {
        if let Some(folder) = &self.folder
            && let Some(parent) = folder.join(name).parent()
        {
            // The library would let everybody in.
            private::create_dir(parent)?;
        }
        let payload = PutPayload::from(bytes);
        let path = self.path(name);
        let put = self
            .objects
            .put_opts(&path, payload, PutOptions::from(mode));
        match put.await {
            Ok(_) => {
                self.sync(name).await?;
                Ok(true)
            }
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed("writing", name, &error)),
        }
    }

    /// Shuts a file of a folder for others and makes it outlive a power cut; an object storage has done so
    /// when it answers.
    async fn sync(&self, name: &str) -> Result<(), BackupError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let file = folder.join(name);
        tokio::task::spawn_blocking(move || {
            let synced = std::fs::File::open(&file).and_then(|it| {
                private::shut(&it)?;
                it.sync_all()
            });
            let parent = file.parent().unwrap_or(FilePath::new("."));
            synced
                .and_then(|()| std::fs::File::open(parent)?.sync_all())
                .map_err(|source| BackupError::file("syncing", &file, source))
        })
        .await?
    }

    /// An object; `None` when there is none.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Bytes>, BackupError> {
        let read = async { self.objects.get(&self.path(name)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("reading", name, &error)),
        }
    }

    /// The objects below a name, in no order.
    pub(crate) async fn list(&self, below: &str) -> Result<Vec<Object>, BackupError> {
        let prefix = self.path(below);
        let strip = self.prefix.as_ref().len() + usize::from(!self.prefix.as_ref().is_empty());
        let listed = self.objects.list(Some(&prefix)).map_ok(|meta| Object {
            name: meta
                .location
                .as_ref()
                .get(strip..)
                .unwrap_or_default()
                .to_owned(),
            size: meta.size,
            modified: Timestamp::from_millisecond(meta.last_modified.timestamp_millis())
                .unwrap_or(Timestamp::MIN),
        });
        let listed: Result<Vec<_>, _> = listed.try_collect().await;
        listed.map_err(|error| self.failed("listing", below, &error))
    }

    /// Deletes an object; none is fine.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), BackupError> {
        match self.objects.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("deleting", name, &error)),
        }
    }

    /// Deletes what writers that were killed left of files in a folder, older than `before`.
    pub(crate) async fn sweep(&self, before: Timestamp) -> Result<(), BackupError> {
        let Some(folder) = self.folder.clone() else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || sweep(&folder, before)).await?
    }
}

/// A path without links and `..`, as far as it is there.
fn real(path: &FilePath) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path
        .ancestors()
        .find_map(|it| Some((it, it.canonicalize().ok()?)));
    match known {
        Some((there, real)) => real.join(path.strip_prefix(there).unwrap_or(FilePath::new(""))),
        None => path,
    }
}

/// The library writes to `<name>#<number>` first and renames that.
fn sweep(folder: &FilePath, before: Timestamp) -> Result<(), BackupError> {
    let failed = |source| BackupError::file("looking through the folder", folder, source);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        if kind.is_dir() {
            sweep(&path, before)?;
            continue;
        }
        let name = entry.file_name();
        let left = name
            .to_string_lossy()
            .rsplit_once('#')
            .is_some_and(|(_, number)| {
                !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            });
        let modified = entry.metadata().and_then(|it| it.modified()).ok();
        let modified = modified.and_then(|it| Timestamp::try_from(it).ok());
        if left && modified.is_some_and(|it| it < before) {
            // Another may have deleted it.
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}

/// What the library says with its causes, without signatures in addresses.
fn told(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.split(' ')
        .map(without_query)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A place as it may be shown: without user and password, and without a signature.
fn without_secrets(text: &str) -> String {
    let shown = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://...@{rest}"),
        _ => text.to_owned(),
    };
    without_query(&shown)
}

/// A word without what follows a `?` in it.
fn without_query(word: &str) -> String {
    match word.split_once('?') {
        Some((before, _)) if before.contains("://") => format!("{before}?..."),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_are_none_are_refused_with_the_forms() {
        let none = Credentials::default();
        for text in [
            "ftp://x/y",
            "s3://",
            "s3://key:secret@bucket",
            "azblob://c?sig=hush",
        ] {
            let error = Target::open(text, &none, false).err().unwrap().to_string();
            assert!(error.contains("s3://bucket/prefix"), "{error}");
            assert!(
                !error.contains("hush") && !error.contains("secret"),
                "{error}"
            );
        }
        let error = Target::open("/no/such/folder", &none, false).err().unwrap();
        assert!(error.to_string().contains("no such folder"), "{error}");
    }

    #[test]
    fn a_place_in_the_folder_of_the_store_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let check = |place: &str| Target::check_outside(place, &store);
        let within = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        for place in ["store", "store/backups/new", "store/../store/a"].map(within) {
            let error = check(&place).unwrap_err().to_string();
            assert!(error.contains("name a folder elsewhere"), "{error}");
            check(&format!("file://{place}")).unwrap_err();
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&store, dir.path().join("link")).unwrap();
            check(&within("link/a")).unwrap_err();
        }
        for place in ["stores", "other/store", "store/../other"].map(within) {
            check(&place).unwrap();
        }
        check("s3://store/backups").unwrap();
    }

    #[test]
    fn secrets_are_not_shown() {
        let all = [("AWS_SECRET_ACCESS_KEY", "hush"), ("HOME", "/h")];
        let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let shown = format!("{:?}", Credentials::among(all));
        assert_eq!(shown, "[\"AWS_SECRET_ACCESS_KEY\"]");
    }
}
