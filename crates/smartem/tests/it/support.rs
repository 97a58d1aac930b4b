//! Starting and stopping the program, and looking at what it left.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use smartem_simulate::postgres::{Database, Postgres};
use smartem_store::{Access, ObservationQuery, PostgresSettings, QuarantineFilter, Store};
use tempfile::TempDir;

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder of a test with a configuration and a store.
pub(crate) struct Place {
    dir: TempDir,
    /// Where its store is, when that is not in the folder.
    database: Option<Database>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            database: None,
        }
    }

    /// With a store on PostgreSQL, in a database of its own.
    pub(crate) fn on_postgres() -> Self {
        let server = Postgres::shared().unwrap_or_else(|problem| panic!("{problem}"));
        Self::on(server)
    }

    /// With a store on this server.
    pub(crate) fn on(server: &Postgres) -> Self {
        Self {
            database: Some(server.create_database().unwrap()),
            ..Self::new()
        }
    }

    /// The address of its database.
    pub(crate) fn database_url(&self) -> String {
        self.database.as_ref().unwrap().url()
    }

    /// Its store.
    pub(crate) async fn store(&self) -> Store {
        match &self.database {
            None => Store::open(&self.data(), Access::Existing).await,
            Some(database) => {
                let settings = PostgresSettings::new(database.url());
                Store::connect(&self.data(), &settings, Access::Existing).await
            }
        }
        .unwrap()
    }

    /// All that its store holds; see [`fingerprint`].
    pub(crate) fn fingerprint(&self) -> String {
        block_on(async {
            let (processes, sources) = (["harvester-whale", "last"], ["test", "city"]);
            fingerprint_of_store(&self.store().await, &processes, &sources).await
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A configuration with this Whale source, and a store.
    pub(crate) fn with_source(&self, url: &str) {
        self.write(
            "smartem.toml",
            format!("[[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{url}\"\nattempts = 2\n"),
        );
        let made = self.run(&["store", "migrate"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smartem"));
        command
            .args(args)
            .arg("--data-dir")
            .arg(self.data())
            .current_dir(self.path());
        command.env_remove("RUST_LOG").stdin(Stdio::null());
        if let Some(database) = &self.database {
            command
                .env("SMARTEM_STORE__BACKEND", "postgres")
                .env("SMARTEM_STORE__POSTGRES__URL", database.url());
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a process once, when no other run has its work; it must exit with 0.
    ///
    /// On a server what a killed program had in hand is its own for some seconds.
    pub(crate) fn etl_when_free(&self, process: &str) -> String {
        let since = Instant::now();
        loop {
            let said = self.etl(process);
            if !said.contains("already_running") {
                return said;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "{said}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Runs a process once; it must exit with 0.
    pub(crate) fn etl(&self, process: &str) -> String {
        let output = self.run(&["etl", "run", process]);
        let (out, log) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{process}: {:?}\n{out}\n{log}",
            output.status
        );
        out
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A program that serves until it is dropped.
pub(crate) struct Service {
    child: Child,
    pub url: String,
    log: Arc<Mutex<String>>,
}

impl Service {
    /// Starts a command that prints the address it serves at.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = String::new();
        let url = loop {
            let Some(line) = lines.next() else {
                let mut log = String::new();
                child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut log)
                    .unwrap();
                panic!("it ended before it served: {said}\n{log}");
            };
            let line = line.unwrap();
            if let Some(at) = line.find("http://") {
                break line[at..].trim().to_owned();
            }
            said.push_str(&line);
        };
        // Drained, so that the program never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let told = log.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut log = told.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, url, log }
    }

    /// A simulator of Whale stations.
    pub(crate) fn whale(place: &Place, args: &[&str]) -> Self {
        let mut command = place.command(&["simulate", "whale", "--listen", "127.0.0.1:0"]);
        command.args(args);
        Self::start(command)
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        get(&format!("{}{path}", self.url.trim_end_matches('/')))
    }

    pub(crate) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Asks it to stop in order; gives back its exit status.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.ended(Duration::from_secs(30))
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits until it has ended by itself; gives back its exit status.
    pub(crate) fn ended(mut self, patience: Duration) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                since.elapsed() < patience,
                "it does not stop: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Service {
    /// Kills it at once, as a power cut would.
    pub(crate) fn kill(&self) {
        signal(&self.child, "KILL");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a program.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "waited too long until {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn block_on<R>(future: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn get(url: &str) -> (u16, String) {
    block_on(async {
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

/// All a store holds but the times at which it was written: two stores with equal content have
/// equal fingerprints.
pub(crate) fn fingerprint(data: &Path) -> String {
    fingerprint_of(data, &["harvester-whale", "last"], &["test", "city"])
}

/// The fingerprint with the checkpoints of these processes and sources.
pub(crate) fn fingerprint_of(data: &Path, processes: &[&str], sources: &[&str]) -> String {
    block_on(async {
        let store = Store::open(data, Access::Existing).await.unwrap();
        fingerprint_of_store(&store, processes, sources).await
    })
}

async fn fingerprint_of_store(store: &Store, processes: &[&str], sources: &[&str]) -> String {
    let report = store.check().await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let mut out = String::new();
    let backlog = store.backlog().await.unwrap();
    assert_eq!(backlog.dirty_hours, 0, "not everything is refined");
    writeln!(
        out,
        "{} records, {} observations",
        backlog.raw_records, backlog.observations
    )
    .unwrap();
    for view in store.stations().await.unwrap() {
        writeln!(out, "{view:?}").unwrap();
        writeln!(out, "{:?}", store.locations(&view.id).await.unwrap()).unwrap();
        let first = smartem_model::Hour::from_index(0).unwrap();
        let end = smartem_model::Hour::from_index(1_000_000).unwrap();
        for hour in store.stored_hours(&view.id, first, end).await.unwrap() {
            let record = store.raw_record(&view.id, hour).await.unwrap().unwrap();
            writeln!(out, "{hour}: {}", record.to_json()).unwrap();
            writeln!(
                out,
                "{:?}",
                store.station_hour(&view.id, hour).await.unwrap()
            )
            .unwrap();
        }
        let query = ObservationQuery::newest(view.id.clone(), 1_000_000);
        for observation in store.observations(query).await.unwrap().observations {
            writeln!(out, "{}", serde_json::to_string(&observation).unwrap()).unwrap();
        }
    }
    for source in sources {
        for process in processes {
            writeln!(
                out,
                "{:?}",
                store.checkpoints(process, source).await.unwrap()
            )
            .unwrap();
        }
    }
    let filter = QuarantineFilter {
        open_only: true,
        limit: 1000,
    };
    let mut open: Vec<String> = store
        .quarantine_list(filter)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| format!("{} {} {}", entry.place, entry.reason, entry.detail))
        .collect();
    open.sort();
    writeln!(out, "{open:?}").unwrap();
    out
}

/// The first difference of two fingerprints, short enough to read.
pub(crate) fn first_difference(a: &str, b: &str) -> Option<String> {
    let (mut left, mut right) = (a.lines(), b.lines());
    loop {
        match (left.next(), right.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => {
                let shorten = |line: Option<&str>| {
                    line.unwrap_or("(end)")
                        .chars()
                        .take(600)
                        .collect::<String>()
                };
                return Some(format!("{}\n  instead of\n{}", shorten(b), shorten(a)));
            }
        }
    }
}
