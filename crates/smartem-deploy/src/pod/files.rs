//! `ConfigMaps` and Secrets as folders, laid out as a kubelet does: the values in a folder of their time, a link
//! `..data` to it that is swapped in one step, and a link for each key.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::PodError;

/// A value with its mode.
pub(super) type Files = BTreeMap<String, (String, u32)>;

/// Writes the files into `folder`, which need not exist. `group` reads them, as `fsGroup` does.
pub(super) fn write(folder: &Path, files: &Files, group: Option<u32>) -> Result<(), PodError> {
    let at = |path: &Path, result: std::io::Result<()>| {
        result.map_err(|source| PodError::File {
            path: path.to_owned(),
            source,
        })
    };
    at(folder, fs::create_dir_all(folder))?;
    at(
        folder,
        fs::set_permissions(folder, Permissions::from_mode(0o755)),
    )?;
    let link = folder.join("..data");
    let old = fs::read_link(&link).ok();
    let turn = old
        .as_ref()
        .and_then(|name| name.to_str()?.strip_prefix("..turn-")?.parse::<u32>().ok())
        .map_or(0, |turn| turn + 1);
    let name = format!("..turn-{turn}");
    let new = folder.join(&name);
    at(&new, fs::create_dir(&new))?;
    at(
        &new,
        fs::set_permissions(&new, Permissions::from_mode(0o755)),
    )?;
    for (key, (value, mode)) in files {
        let path = new.join(key);
        if let Some(parent) = path.parent() {
            at(parent, fs::create_dir_all(parent))?;
        }
        at(&path, fs::write(&path, value))?;
        let mode = if group.is_some() { mode | 0o440 } else { *mode };
        at(
            &path,
            fs::set_permissions(&path, Permissions::from_mode(mode)),
        )?;
        if group.is_some() {
            at(&path, chown(&path, None, group))?;
        }
    }
    let swap = folder.join("..data_tmp");
    at(&swap, symlink(&name, &swap))?;
    at(&link, fs::rename(&swap, &link))?;
    for key in files.keys() {
        let first = key.split('/').next().unwrap_or(key);
        let shown = folder.join(first);
        if fs::symlink_metadata(&shown).is_err() {
            at(&shown, symlink(format!("..data/{first}"), &shown))?;
        }
    }
    if let Some(old) = old {
        let old = folder.join(old);
        at(&old, fs::remove_dir_all(&old))?;
    }
    Ok(())
}
