//! The configuration: whether it can be used, and whether the files that it names can be read.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Findings, told};
use crate::cli::Global;
use crate::config::Config;
use crate::platform::Platform;

/// Settings that name folders.
const FOLDERS: [&str; 2] = ["definitions_dir", "models_dir"];

pub(super) fn check(config: &Config, global: &Global) -> anyhow::Result<Findings> {
    let mut findings = Findings::new("configuration");
    let read = global.config.clone().or_else(|| {
        let usual = PathBuf::from("smartem.toml");
        usual.exists().then_some(usual)
    });
    findings.ok(
        "configuration",
        match read {
            Some(file) => format!("{} is read, no setting is unknown", file.display()),
            None => "there is no smartem.toml here; the built-in settings hold".to_owned(),
        },
    );
    let table: Table = toml::from_str(&Config::show(global)?)?;
    let mut named = Vec::new();
    walk("", &Value::Table(table), &mut named);
    let mut all_there = true;
    for (setting, path) in &named {
        // The collector takes its paths as they are; all others count from the file.
        let path = if setting.starts_with("collect.") {
            path.clone()
        } else {
            config.folder().join(path)
        };
        all_there &= look(&mut findings, setting, &path);
    }
    if !all_there {
        // Building the processes would only tell the same once more.
        return Ok(findings);
    }
    let mend = "mend the setting; `smartem config check` says the same until it is good";
    match Platform::new(config.clone()) {
        Err(error) => findings.fail("platform", told(&error), mend),
        Ok(platform) => {
            let mut good = 0;
            for (name, process) in &config.process {
                let built = platform
                    .process(name)
                    .map(drop)
                    .and_then(|()| platform.budget(name).map(drop))
                    .and_then(|()| Ok(process.schedule().map(drop)?));
                match built {
                    Ok(()) => good += 1,
                    Err(error) => findings.fail(&format!("process {name}"), told(&error), mend),
                }
            }
            findings.ok("processes", format!("{good} can be built"));
        }
    }
    Ok(findings)
}

/// Finds the settings that name a file or folder.
fn walk(place: &str, value: &Value, named: &mut Vec<(String, PathBuf)>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let place = if place.is_empty() {
                    key.clone()
                } else {
                    format!("{place}.{key}")
                };
                match value {
                    Value::String(path) if names_a_file(key) && !path.is_empty() => {
                        named.push((place, path.into()));
                    }
                    value => walk(&place, value, named),
                }
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                walk(&format!("{place}[{at}]"), value, named);
            }
        }
        _ => {}
    }
}

fn names_a_file(key: &str) -> bool {
    key.ends_with("_file") || FOLDERS.contains(&key)
}

/// Whether a file holds what others may not see.
fn is_secret(setting: &str) -> bool {
    ["password_file", "token_file", "key_file"]
        .iter()
        .any(|name| setting.ends_with(name))
}

/// Looks at what a setting names; whether it is there.
fn look(findings: &mut Findings, setting: &str, path: &Path) -> bool {
    let shown = path.display();
    if FOLDERS.iter().any(|name| setting.ends_with(name)) {
        return match std::fs::read_dir(path) {
            Ok(entries) => {
                findings.ok(setting, format!("{shown} has {} entries", entries.count()));
                true
            }
            Err(error) => {
                findings.fail(
                    setting,
                    format!("{shown}: {error}"),
                    "make the folder, or correct or empty the setting",
                );
                false
            }
        };
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let remedy = match error.kind() {
                ErrorKind::NotFound => {
                    "make the file, or mount the Secret that holds it, or correct the setting"
                }
                ErrorKind::PermissionDenied => {
                    "let the user of smartem read it (chown, or mode 0440 and its group)"
                }
                _ => "correct the setting",
            };
            findings.fail(setting, format!("{shown}: {error}"), remedy);
            return false;
        }
    };
    if bytes.trim_ascii().is_empty() {
        findings.fail(
            setting,
            format!("{shown} is empty"),
            "write its content into it",
        );
        return false;
    }
    let is_pem = setting.ends_with("ca_file")
        || setting.ends_with("certificate_file")
        || setting.ends_with("key_file");
    let begin = b"-----BEGIN ";
    if is_pem && !bytes.windows(begin.len()).any(|it| it == begin) {
        findings.fail(
            setting,
            format!("{shown} is no PEM file"),
            "convert it to PEM (text between `-----BEGIN` and `-----END`)",
        );
        return false;
    }
    if is_secret(setting) {
        judge_mode(findings, setting, path);
    } else {
        findings.ok(setting, format!("{shown} can be read"));
    }
    true
}

#[cfg(unix)]
fn judge_mode(findings: &mut Findings, setting: &str, path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let shown = path.display();
    let Ok(found) = std::fs::metadata(path) else {
        return;
    };
    let mode = found.permissions().mode() & 0o777;
    // Kubernetes keeps the files of a volume behind a link `..data`, and gives them to a group.
    let folder = path.parent().unwrap_or(Path::new(""));
    let in_volume = folder.join("..data").symlink_metadata().is_ok();
    let (others, group) = (mode & 0o007 != 0, mode & 0o070 != 0);
    if others || (group && !in_volume) {
        let remedy = if in_volume {
            "set `defaultMode: 0440` of the volume".to_owned()
        } else {
            format!("chmod 600 {shown}")
        };
        let who = if others { "everybody" } else { "its group" };
        let detail = format!("{shown} has the mode {mode:04o}: {who} on this machine may use it");
        findings.warn(setting, detail, remedy);
    } else {
        findings.ok(setting, format!("{shown} can be read, mode {mode:04o}"));
    }
}

#[cfg(not(unix))]
fn judge_mode(findings: &mut Findings, setting: &str, path: &Path) {
    findings.ok(setting, format!("{} can be read", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_wherever_they_are_named() {
        let table: Table = "
            [store.postgres]
            password_file = \"p\"
            ca_file = \"\"
            [refine]
            models_dir = \"m\"
            [[process.a.source]]
            name = \"no_file\"
            [[process.a.source]]
            token_file = \"t\"
        "
        .parse()
        .unwrap();
        let mut named = Vec::new();
        walk("", &Value::Table(table), &mut named);
        named.sort();
        let names: Vec<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "process.a.source[1].token_file",
                "refine.models_dir",
                "store.postgres.password_file"
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_for_a_group_is_told_except_in_a_volume_of_kubernetes() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        use super::super::Level;
        let dir = tempfile::TempDir::new().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "hush").unwrap();
        let level = |mode| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut findings = Findings::new("configuration");
            assert!(look(&mut findings, "password_file", &file));
            assert!(!format!("{:?}", findings.checks).contains("hush"));
            findings.checks[0].level
        };
        assert_eq!(level(0o600), Level::Ok);
        assert_eq!(level(0o440), Level::Warn);
        symlink(".", dir.path().join("..data")).unwrap();
        assert_eq!(level(0o440), Level::Ok);
        assert_eq!(level(0o444), Level::Warn);
    }
}
