//! The program itself, and the disk that its data are on.

use std::path::Path;

use jiff::Timestamp;

use super::seconds;
use super::text::Text;

/// What the system says; each is absent where it does not say it.
pub(super) struct Machine {
    resident_bytes: Option<f64>,
    cpu_seconds: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
    disk: Option<Disk>,
}

/// The file system of a folder.
struct Disk {
    size: f64,
    /// For a program that is not root.
    free: f64,
}

impl Machine {
    /// Blocks, shortly.
    pub(super) fn read(data: &Path) -> Self {
        Self {
            resident_bytes: resident_bytes(),
            #[cfg(target_os = "linux")]
            cpu_seconds: Some(cpu_seconds()),
            #[cfg(not(target_os = "linux"))]
            cpu_seconds: None,
            open_fds: open_fds(),
            max_fds: max_fds(),
            disk: disk(data),
        }
    }
}

pub(super) fn write(text: &mut Text, started: Timestamp, machine: Option<&Machine>) {
    text.gauge("process_start_time_seconds", "When the process started.")
        .sample(&[], seconds(started));
    let Some(machine) = machine else { return };
    if let Some(spent) = machine.cpu_seconds {
        text.counter(
            "process_cpu_seconds_total",
            "Processor time that the process used.",
        )
        .sample(&[], spent);
    }
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Memory the process occupies.",
            machine.resident_bytes,
        ),
        (
            "process_open_fds",
            "Files and connections that the process has open.",
            machine.open_fds,
        ),
        (
            "process_max_fds",
            "How many files and connections it may have open.",
            machine.max_fds,
        ),
    ] {
        if let Some(value) = value {
            text.gauge(name, help).sample(&[], value);
        }
    }
    if let Some(disk) = &machine.disk {
        let data = [("place", "data")];
        text.gauge("smartem_disk_size_bytes", "Size of a file system.")
            .sample(&data, disk.size);
        text.gauge(
            "smartem_disk_free_bytes",
            "What the program may still write on a file system.",
        )
        .sample(&data, disk.free);
    }
}

/// As Linux tells it; other systems have no such file.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn open_fds() -> Option<f64> {
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the folder that is just being read.
    Some(open.saturating_sub(1) as f64)
}

#[cfg(target_os = "linux")]
fn cpu_seconds() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9
}

#[cfg(target_os = "linux")]
fn max_fds() -> Option<f64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Nofile).current.map(|most| most as f64)
}

#[cfg(not(target_os = "linux"))]
fn max_fds() -> Option<f64> {
    None
}

#[cfg(unix)]
fn disk(folder: &Path) -> Option<Disk> {
    let told = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks as f64 * told.f_frsize as f64;
    Some(Disk {
        size: bytes(told.f_blocks),
        free: bytes(told.f_bavail),
    })
}

#[cfg(not(unix))]
fn disk(_folder: &Path) -> Option<Disk> {
    None
}
