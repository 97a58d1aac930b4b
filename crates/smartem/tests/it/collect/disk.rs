//! A full disk and a folder that cannot be written: told clearly, nothing is damaged, and it goes on by
//! itself.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Collector, Connection};
use crate::support::{Place, text, wait_until};

const CONFIG: &str = "[collect]\ncommit_every = \"200ms\"\n[collect.mqtt]\nenabled = false\n\
    [[collect.database]]\nname = \"load\"\n";

/// A small file system of its own at a folder, until it is dropped.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where this user may not mount.
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=700", "smartem-test"]);
        let mounted = mount.arg(at).output().ok()?;
        mounted.status.success().then_some(Self(at))
    }

    fn remount(&self, how: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(self.0);
        mount.output().is_ok_and(|it| it.status.success())
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn line(number: i64) -> String {
    format!("air,station=a n={number}i {}\n", 1_790_000_000 + number)
}

/// Writes until a write is refused; how many were taken, and what the refusal said.
fn write_until_refused(connection: &Connection, from: i64) -> (i64, String) {
    let since = Instant::now();
    let mut number = from;
    loop {
        number += 1;
        let answer = connection.post("/write?db=load&precision=s", &line(number));
        let (status, body) = answer.unwrap();
        if status != 204 {
            assert_eq!(status, 503, "{body}");
            return (number - 1, body);
        }
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "nothing was refused"
        );
    }
}

fn write_when_possible(collector: &Collector, number: i64) {
    let body = line(number);
    wait_until("it writes again", || {
        let answer = collector
            .connect()
            .post("/write?db=load&precision=s", &body);
        answer.is_ok_and(|(status, _)| status == 204)
    });
}

fn stored(collector: &Collector) -> i64 {
    let answer = collector.query("load", "SELECT count(n) FROM air");
    answer["results"][0]["series"][0]["values"][0][1]
        .as_i64()
        .unwrap_or(0)
}

#[test]
fn a_full_disk_and_a_read_only_one_are_told_and_got_over() {
    let place = Place::new();
    place.write("smartem.toml", CONFIG);
    let data = place.data();
    let Some(disk) = SmallDisk::mount(&data) else {
        println!("skipped: this user may not mount, so a full disk cannot be had");
        return;
    };
    assert!(place.run(&["store", "migrate"]).status.success());
    let collector = Collector::start(&place, "collect");
    write_when_possible(&collector, 1);

    let filler = data.join("filler");
    let fill = || {
        let mut fill = Command::new("dd");
        fill.args(["if=/dev/zero", "bs=4096"])
            .arg(format!("of={}", filler.display()));
        // It ends when the disk is full.
        fill.output().unwrap();
    };
    fill();
    let (taken, told) = write_until_refused(&collector.connect(), 1);
    assert!(told.contains("full") && told.contains("space"), "{told}");
    assert!(stored(&collector) >= taken);
    std::fs::remove_file(&filler).unwrap();
    write_when_possible(&collector, taken + 1);
    assert!(stored(&collector) > taken);

    let before = stored(&collector);
    assert_eq!(collector.service.terminate(), Some(0));

    assert!(disk.remount("ro"));
    let refused = place.run(&["collect", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(75));
    let told = text(&refused.stderr);
    assert!(
        told.contains("Read-only") || told.contains("not writable"),
        "{told}"
    );
    assert!(disk.remount("rw"));
    let checked = place.run(&["store", "check"]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
    let collector = Collector::start(&place, "collect");
    assert_eq!(stored(&collector), before);
}

/// The user `nobody`, where this one may be anybody: nothing is read-only for root.
const NOBODY: &str = "65534";

#[test]
fn a_folder_that_becomes_read_only_is_told_and_got_over() {
    let place = Place::new();
    place.write("smartem.toml", CONFIG);
    assert!(place.run(&["store", "migrate"]).status.success());
    let root = place.path().metadata().unwrap().uid() == 0;
    let mut collect = place.command(&["collect", "--listen", "127.0.0.1:0"]);
    if root {
        let given = Command::new("chown")
            .args(["-R", NOBODY])
            .arg(place.path())
            .status();
        assert!(given.unwrap().success());
        collect.uid(NOBODY.parse().unwrap());
    }
    let collector = Collector::of(&place, collect);
    write_when_possible(&collector, 1);
    let points = place.data().join("points");
    let mode = |mode| std::fs::set_permissions(&points, Permissions::from_mode(mode)).unwrap();
    // With the next commit the log goes on in a new file.
    mode(0o500);
    let (taken, told) = write_until_refused(&collector.connect(), 1);
    assert!(told.contains("not writable"), "{told}");
    mode(0o700);
    write_when_possible(&collector, taken + 1);
    assert!(stored(&collector) > taken);
    assert_eq!(collector.service.terminate(), Some(0));
    let checked = place.run(&["store", "check"]);
    assert!(checked.status.success(), "{}", text(&checked.stdout));
}
