//! The token with which the first administrator comes in.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use smartem_http::auth::Right;
use smartem_store::{NewToken, Secret, Store, StoreError};

/// The file beside the store.
const FILE: &str = "admin-token";
/// The name of the token.
const NAME: &str = "admin";

/// Why the first token was not made.
#[derive(Debug, thiserror::Error)]
pub enum FirstTokenError {
    /// The store failed.
    #[error("making the first token")]
    Store(#[from] StoreError),
    /// Its file cannot be written.
    #[error("writing the first token to {}: make the folder writable", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Makes a token with all rights when the store never had one, and writes its secret to the file
/// `admin-token` in `dir`, for its owner only.
///
/// Gives the path of the file when it was written. The file may be deleted once the secret is kept
/// elsewhere; no second token is made then.
///
/// # Errors
/// [`FirstTokenError`]; there is no token then.
pub async fn first_admin_token(
    store: &Store,
    dir: &Path,
    now: Timestamp,
) -> Result<Option<PathBuf>, FirstTokenError> {
    // Two processes that start at the same time must not both write the file.
    let Some(_lock) = store.lock("first-token").await? else {
        return Ok(None);
    };
    if !store.tokens().await?.is_empty() {
        return Ok(None);
    }
    let secret = Secret::generate();
    let path = dir.join(FILE);
    write_for_owner(&path, secret.reveal()).map_err(|source| FirstTokenError::File {
        path: path.clone(),
        source,
    })?;
    let token = NewToken {
        name: NAME.to_owned(),
        hash: secret.hash(),
        rights: vec![Right::Admin.to_string()],
        project: None,
        now,
        expires_at: None,
    };
    store.add_token(token).await?;
    Ok(Some(path))
}

fn write_for_owner(path: &Path, secret: &str) -> io::Result<()> {
    // One of an earlier store may have other rights, which opening it would keep.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}
