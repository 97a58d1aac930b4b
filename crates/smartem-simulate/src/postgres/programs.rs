//! The programs of PostgreSQL, and the user who may run them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PostgresError, SUPERUSER};

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs of one version.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    /// Servers refuse to run as root: then they run as this user.
    user: Option<User>,
}

#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl Programs {
    pub(super) fn find() -> Result<Self, PostgresError> {
        let folder = in_path("initdb")
            .and_then(|program| Some(program.canonicalize().ok()?.parent()?.to_owned()))
            .or_else(newest)
            .ok_or_else(|| PostgresError::Missing {
                missing: "PostgreSQL (`initdb`, `postgres`)".to_owned(),
            })?;
        let user = if id(&["-u"])? == Some(0) {
            let missing = || PostgresError::Missing {
                missing: format!("a user `{SUPERUSER}`, for root may not run the server,"),
            };
            Some(User {
                uid: id(&["-u", SUPERUSER])?.ok_or_else(missing)?,
                gid: id(&["-g", SUPERUSER])?.ok_or_else(missing)?,
            })
        } else {
            None
        };
        Ok(Self { folder, user })
    }

    /// A program that comes with the server.
    pub(super) fn server(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program as the user of the server.
    pub(super) fn as_server(&self, program: &Path) -> Command {
        let Some(user) = &self.user else {
            return Command::new(program);
        };
        let mut command = Command::new("setpriv");
        command
            .arg(format!("--reuid={}", user.uid))
            .arg(format!("--regid={}", user.gid))
            .arg("--clear-groups")
            .arg(program)
            // That of root may not be looked into.
            .current_dir("/");
        command
    }

    /// Makes a file or folder that of the server's user, and for nobody else.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        // Whoever tests may run as somebody else than the server, and reaches the socket in the folder.
        let mode = if path.is_dir() { 0o755 } else { 0o600 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        match &self.user {
            Some(user) => chown(path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    }

    /// Writes a file for the server.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        std::fs::write(path, content)?;
        self.give(path)
    }
}

/// Where a program is that can be run by its name.
pub(super) fn in_path(program: &str) -> Option<PathBuf> {
    let output = Command::new("sh")
        .args(["-c", "command -v \"$1\"", "sh", program])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| path.trim_end().into())
}

fn newest() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN).ok()?.filter_map(Result::ok);
    let version = versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/initdb").exists())
        .max_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.parse::<u32>().unwrap_or_default()
        })?;
    Some(version.join("bin"))
}

/// A number of a user; `None` when there is no such user.
fn id(arguments: &[&str]) -> io::Result<Option<u32>> {
    let output = Command::new("id").args(arguments).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}
