//! Secrets that change while a program runs, as a cluster exchanges them: files are links into a folder
//! that is a link itself, which is replaced whole.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::support::{Place, Service, wait_until};

/// A mounted secret with one file.
struct Mounted {
    folder: PathBuf,
    name: &'static str,
    version: u32,
}

impl Mounted {
    fn new(folder: &Path, name: &'static str, value: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
        let mut mounted = Self {
            folder: folder.to_owned(),
            name,
            version: 0,
        };
        mounted.exchange(value);
        mounted
    }

    fn exchange(&mut self, value: &str) {
        self.version += 1;
        let version = format!("..{}", self.version);
        let folder = self.folder.join(&version);
        std::fs::create_dir(&folder).unwrap();
        let file = std::fs::File::create(folder.join(self.name)).unwrap();
        (&file).write_all(value.as_bytes()).unwrap();
        // Times say nothing.
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        symlink(&version, self.folder.join("..data_tmp")).unwrap();
        std::fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
    }
}

/// A remote that has nothing and notes who asks.
fn remote() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            for line in lines.take_while(|line| !line.is_empty()) {
                if let Some(who) = line.to_lowercase().strip_prefix("authorization: ") {
                    notes.lock().unwrap().push(who.to_owned());
                }
            }
            let _ = stream.write_all(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    });
    (url, seen)
}

#[test]
fn the_token_of_a_harvester_is_read_again_for_each_run() {
    let place = Place::new();
    let (url, seen) = remote();
    let secret = place.path().join("secret");
    let mut token = Mounted::new(&secret, "token", "first-one\n");
    place.write(
        "smartem.toml",
        format!(
            "[collect.mqtt]\nenabled = false\n\
             [process.harvester-whale]\nschedule = \"* * * * * *\"\n\
             [[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{url}\"\nattempts = 1\n\
             token_file = \"secret/token\"\n"
        ),
    );
    let up = Service::start(place.command(&["up", "--listen", "127.0.0.1:0"]));
    let saw = |who: &str| seen.lock().unwrap().iter().any(|it| it == who);
    wait_until("the first token is sent", || saw("bearer first-one"));
    assert!(!saw("bearer second-one"));
    token.exchange("second-one\n");
    wait_until("the second token is sent", || saw("bearer second-one"));

    // A file that is away leaves what was there.
    std::fs::remove_file(secret.join("..data")).unwrap();
    wait_until("it is told", || {
        up.log().contains("cannot be used; going on")
    });
    seen.lock().unwrap().clear();
    wait_until("the second token is sent again", || {
        saw("bearer second-one")
    });
    assert_eq!(up.terminate(), Some(0));
}
