//! The machine: room on disks, and what the system lets this program have.

use std::path::{Path, PathBuf};

use smartem_backup::Space;

use super::{Findings, Level};
use crate::config::Config;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Of fewer open files some work would be refused: connections, and pieces of the log.
const FILES: u64 = 1024;

pub(super) fn version() -> Findings {
    let mut findings = Findings::new("version");
    let commit = option_env!("SMARTEM_COMMIT").filter(|commit| !commit.is_empty());
    findings.ok(
        "smartem",
        format!(
            "version {}, commit {}",
            env!("CARGO_PKG_VERSION"),
            commit.unwrap_or("not told when it was built")
        ),
    );
    findings
}

pub(super) fn check(config: &Config) -> Findings {
    let mut findings = Findings::new("machine");
    for (name, dir) in places(config) {
        disk(&mut findings, &name, &dir);
    }
    match memory_limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")) {
        Some(bytes) => findings.ok("memory", format!("limited to {} MiB", bytes / MIB)),
        None => findings.ok("memory", "not limited by a cgroup"),
    }
    let limits = std::fs::read_to_string("/proc/self/limits");
    if let Some(files) = limits.ok().as_deref().and_then(open_files) {
        let detail = format!("up to {files}");
        if files < FILES {
            let remedy =
                format!("raise it to {FILES} or more (`ulimit -n`, or LimitNOFILE= of systemd)");
            findings.warn("open files", detail, remedy);
        } else {
            findings.ok("open files", detail);
        }
    }
    findings
}

/// Folders that fill, with their names.
fn places(config: &Config) -> Vec<(String, PathBuf)> {
    let mut places = vec![("data_dir".to_owned(), config.store.data_dir.clone())];
    for (name, process) in &config.process {
        let Ok(settings) = process.settings_of("backup") else {
            continue;
        };
        let setting = |key: &str| {
            let text = settings.get(key).and_then(toml::Value::as_str);
            text.filter(|text| !text.is_empty())
        };
        if let Some(to) = setting("to").filter(|to| !to.contains("://")) {
            places.push((format!("backups of {name}"), to.into()));
        }
        if let Some(scratch) = setting("scratch") {
            places.push((format!("scratch of {name}"), scratch.into()));
        }
    }
    places.push(("temporary files".to_owned(), std::env::temp_dir()));
    places
}

fn disk(findings: &mut Findings, name: &str, dir: &Path) {
    let what = format!("disk of {name}");
    // What is not there yet will be made below what is.
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = whole.ancestors().find(|it| it.exists());
    let space = there.map_or_else(|| Err(std::io::ErrorKind::NotFound.into()), Space::of);
    match space {
        Ok(space) => {
            let level = judge(space);
            let detail = format!(
                "{} MiB of {} MiB free in {}",
                space.free / MIB,
                space.size / MIB,
                dir.display()
            );
            let remedy = (level != Level::Ok)
                .then(|| "make room there, or give it a larger disk or claim".to_owned());
            findings.add(level, &what, detail, remedy);
        }
        Err(error) => findings.warn(
            &what,
            format!("{}: {error}", dir.display()),
            "look whether the folder can be reached",
        ),
    }
}

/// Less than a hundredth part says little of a small disk, and less than a GiB little of a large one: either
/// is told.
fn judge(space: Space) -> Level {
    let below =
        |percent: u64| u128::from(space.free) * 100 < u128::from(space.size) * u128::from(percent);
    if space.free < 100 * MIB || below(2) {
        Level::Fail
    } else if space.free < GIB || below(10) {
        Level::Warn
    } else {
        Level::Ok
    }
}

/// The least memory limit on the way to this program's cgroup, of either version.
fn memory_limit(cgroup: &Path, mount: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(cgroup).ok()?;
    let of_version_2 = text.lines().find_map(|line| line.strip_prefix("0::"));
    let of_version_1 = text.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers
            .split(',')
            .any(|it| it == "memory")
            .then_some(path)
    });
    let (root, path, file) = match of_version_1 {
        Some(path) => (mount.join("memory"), path, "memory.limit_in_bytes"),
        None => (mount.to_owned(), of_version_2?, "memory.max"),
    };
    let group = root.join(path.trim_start_matches('/'));
    // In a container the mount may show the group itself as its root.
    let places = group.ancestors().take_while(|it| it.starts_with(&root));
    places
        .filter_map(|dir| {
            let text = std::fs::read_to_string(dir.join(file)).ok()?;
            let bytes: u64 = text.trim().parse().ok()?;
            // Version 1 writes the greatest number of pages for "no limit".
            (bytes < 1 << 60).then_some(bytes)
        })
        .min()
}

/// The soft limit of open files in the text of `/proc/self/limits`.
fn open_files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" {
        return Some(u64::MAX);
    }
    soft.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_judged_by_part_and_by_size() {
        let level = |free, size| judge(Space { size, free });
        assert_eq!(level(50 * GIB, 100 * GIB), Level::Ok);
        assert_eq!(level(9 * GIB, 100 * GIB), Level::Warn);
        assert_eq!(level(GIB, 100 * GIB), Level::Fail);
        assert_eq!(level(GIB - 1, 2 * GIB), Level::Warn);
        assert_eq!(level(99 * MIB, 200 * MIB), Level::Fail);
    }

    #[test]
    fn the_least_limit_of_memory_on_the_way_counts_in_both_versions() {
        let dir = tempfile::TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let limit = || memory_limit(&dir.path().join("cgroup"), &dir.path().join("mount"));
        write("cgroup", "0::/pods/one\n");
        assert_eq!(limit(), None);
        write("mount/pods/memory.max", "1000\n");
        write("mount/pods/one/memory.max", "max\n");
        assert_eq!(limit(), Some(1000));
        write("mount/pods/one/memory.max", "500\n");
        assert_eq!(limit(), Some(500));
        write("cgroup", "5:cpu,memory:/one\n0::/\n");
        write(
            "mount/memory/memory.limit_in_bytes",
            "9223372036854771712\n",
        );
        write("mount/memory/one/memory.limit_in_bytes", "700\n");
        assert_eq!(limit(), Some(700));
    }

    #[test]
    fn the_soft_limit_of_open_files_is_found() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max open files            256                  524288               files\n";
        assert_eq!(open_files(text), Some(256));
        assert_eq!(open_files("nothing"), None);
    }
}
