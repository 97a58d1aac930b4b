//! A remote with a clock, a line to it, and a store that is filled from it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use smartem_simulate::faults::{self, Fault, Line};
use smartem_simulate::whale::Clock;

use super::sources::Source;
use crate::support::{Place, fingerprint_of, text};

/// After this, nothing grows any more.
const LATER: &str = "2026-12-31T00:00:00Z";

/// See the module.
pub(crate) struct Stage<'a> {
    source: &'a Source,
    place: Place,
    /// Seconds since 1970.
    time: Arc<AtomicI64>,
    pub(crate) line: Arc<Line>,
    _server: Servers,
}

/// Servers that go together.
struct Servers(#[expect(dead_code, reason = "held so that they serve")] Vec<Server>);

/// Serves until it is dropped.
struct Server(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.take();
    }
}

impl<'a> Stage<'a> {
    /// A stage on which so many per cent of the answers go wrong.
    pub(crate) fn new(source: &'a Source, seed: u64, percent: u64) -> Self {
        let time = Arc::new(AtomicI64::new(source.steps[0].as_second()));
        let of_remote = time.clone();
        let clock: Clock =
            Arc::new(move || Timestamp::from_second(of_remote.load(Ordering::SeqCst)).unwrap());
        let remote = (source.remote)(clock);
        let (line, url, server) = serve(remote, seed, percent);
        let place = Place::new();
        place.write("smartem.toml", (source.settings)(&url));
        let made = place.run(&["store", "migrate"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        Self {
            source,
            place,
            time,
            line,
            _server: server,
        }
    }

    /// Sets the clock of the remote.
    pub(crate) fn at(&self, time: Timestamp) {
        self.time.store(time.as_second(), Ordering::SeqCst);
    }

    fn command(&self, process: &str, now: Timestamp) -> Command {
        let now = now.to_string();
        self.place.command(&["etl", "run", process, "--now", &now])
    }

    /// A run that must end well, having done all there is.
    pub(crate) fn harvest(&self, now: Timestamp) {
        let output = self.command(self.source.process, now).output().unwrap();
        let (out, log) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{out}\n{log}");
        assert!(out.contains(": done"), "{out}\n{log}");
    }

    /// A run that may end anyhow, and is killed after so many milliseconds; whether it was.
    pub(crate) fn harvest_badly(&self, now: Timestamp, patience: Option<u64>) -> bool {
        let mut command = self.command(self.source.process, now);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().unwrap();
        let Some(patience) = patience else {
            let status = run.wait().unwrap();
            assert!(
                matches!(status.code(), Some(0 | 75)),
                "a bad line is nobody's fault: {status:?}"
            );
            return false;
        };
        std::thread::sleep(Duration::from_millis(patience));
        let is_at_work = run.try_wait().unwrap().is_none();
        run.kill().unwrap();
        run.wait().unwrap();
        is_at_work
    }

    /// Two runs at once; one of them finds the other at work, or both come one after the other.
    pub(crate) fn harvest_twice_at_once(&self, now: Timestamp) {
        let start = || {
            let mut command = self.command(self.source.process, now);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        };
        let runs = [start(), start()];
        for mut run in runs {
            assert!(run.wait().unwrap().success());
        }
    }

    pub(crate) fn refine(&self, now: Timestamp) {
        let output = self.command("refiner", now).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// All the store holds when everything is refined.
    pub(crate) fn settled(&self) -> String {
        self.refine(LATER.parse().unwrap());
        fingerprint_of(&self.place.data(), &[self.source.process], &["test"])
    }
}

/// A remote behind a line on which nothing goes wrong, for counting.
pub(crate) struct Served {
    pub(crate) line: Arc<Line>,
    pub(crate) url: String,
    _server: Servers,
}

impl Served {
    pub(crate) fn new(remote: axum::Router) -> Self {
        let (line, url, server) = serve(remote, 0, 0);
        Self {
            line,
            url,
            _server: server,
        }
    }

    /// A line to a server that runs already.
    pub(crate) fn to(upstream: &str, seed: u64, percent: u64, faults: &[Fault]) -> Self {
        let line = Arc::new(Line::new(upstream, seed, percent, faults));
        let (url, server) = serve_one(faults::router(line.clone()));
        Self {
            line,
            url,
            _server: Servers(vec![server]),
        }
    }
}

/// Serves a router; gives back its address.
fn serve_one(router: axum::Router) -> (String, Server) {
    let (told, address) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        crate::support::block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(format!("http://{}", listener.local_addr().unwrap()))
                .unwrap();
            tokio::select! {
                _ = axum::serve(listener, router).into_future() => {}
                _ = stopped => {}
            }
        });
    });
    (address.recv().unwrap(), Server(Some(stop)))
}

/// Serves a remote, with a line in front of it that may be bad; gives back the address of the line.
fn serve(remote: axum::Router, seed: u64, percent: u64) -> (Arc<Line>, String, Servers) {
    let (upstream, behind) = serve_one(remote);
    let line = Arc::new(Line::new(&upstream, seed, percent, &Fault::ALL));
    let (url, front) = serve_one(faults::router(line.clone()));
    (line, url, Servers(vec![front, behind]))
}
