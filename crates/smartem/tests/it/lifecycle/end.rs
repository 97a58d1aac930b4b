//! Signals: nothing that was begun is lost, and everything ends in time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{ask_on, connect, free_port, host};
use crate::collect::Collector;
use crate::support::{Place, Service, block_on, get, signal, text, wait_until};

/// What a client saw.
#[derive(Debug, Default)]
struct Seen {
    whole: u32,
    /// Answers that were not 200, and requests on accepted connections without an answer.
    faults: Vec<String>,
}

/// Asks again and again, on connections that are kept or on one for each request, until it is refused.
fn client(address: SocketAddr, keep: bool) -> Seen {
    let mut seen = Seen::default();
    'connections: loop {
        let Ok(mut stream) = connect(address) else {
            return seen;
        };
        loop {
            match ask_on(&mut stream, "/api/v1/indicators") {
                Ok(Some(answer)) if answer.status == 200 && !answer.body.is_empty() => {
                    seen.whole += 1;
                    if answer.is_last || !keep {
                        continue 'connections;
                    }
                }
                Ok(Some(answer)) => seen.faults.push(answer.head),
                Ok(None) => {
                    seen.faults.push("closed without an answer".to_owned());
                    continue 'connections;
                }
                Err(error) => {
                    seen.faults.push(error.to_string());
                    continue 'connections;
                }
            }
        }
    }
}

#[test]
fn under_load_every_request_on_an_accepted_connection_is_answered() {
    let place = Place::new();
    assert!(place.run(&["store", "migrate"]).status.success());
    let internal = format!("127.0.0.1:{}", free_port());
    let mut program = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    program.env("SMARTEM_SERVE__INTERNAL_LISTEN", &internal);
    let service = Service::start(program);
    let address = host(&service.url);
    // Open since before the stop, and idle.
    let mut idle = connect(address).unwrap();
    let answer = ask_on(&mut idle, "/readyz").unwrap().unwrap();
    assert_eq!((answer.status, answer.is_last), (200, false));
    let clients: Vec<_> = (0..16)
        .map(|number| std::thread::spawn(move || client(address, number % 2 == 0)))
        .collect();
    std::thread::sleep(Duration::from_secs(1));

    service.signal("TERM");
    let internally = |path: &str| get(&format!("http://{internal}{path}")).0;
    wait_until("it says that it is not ready", || {
        internally("/readyz") == 503
    });
    assert_eq!(internally("/healthz"), 200);
    let answer = ask_on(&mut idle, "/readyz").unwrap().unwrap();
    assert_eq!((answer.status, answer.is_last), (503, true));
    let mut whole = 0;
    for client in clients {
        let seen = client.join().unwrap();
        assert!(seen.faults.is_empty(), "{seen:?}");
        whole += seen.whole;
    }
    assert!(whole > 100, "{whole} requests are no load");
    assert_eq!(service.ended(Duration::from_secs(30)), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let place = Place::new();
    let up = Service::start(place.command(&["up", "--listen", "127.0.0.1:0"]));
    // Holds the end up for two seconds.
    let idle = connect(host(&up.url)).unwrap();
    up.signal("TERM");
    wait_until("it heard of it", || up.log().contains("stopping after"));
    up.signal("INT");
    let since = Instant::now();
    assert_eq!(up.ended(Duration::from_secs(10)), Some(130));
    assert!(since.elapsed() < Duration::from_millis(1500));
    drop(idle);
}

#[test]
fn a_run_that_is_told_to_stop_ends_with_its_checkpoint_and_the_next_one_goes_on() {
    const CITY: [&str; 10] = [
        "--stations",
        "4",
        "--cadence",
        "60",
        "--since",
        "2026-03-01T00:00:00Z",
        "--until",
        "2026-03-05T00:00:00Z",
        "--now",
        "2026-03-08T00:00:00Z",
    ];
    let (stopped, whole) = (Place::new(), Place::new());
    let remote = Service::whale(&whole, &CITY);
    for place in [&stopped, &whole] {
        place.with_source(&remote.url);
    }
    let mut statuses = Vec::new();
    for process in ["harvester-whale", "refiner"] {
        for after in [150, 400, 900] {
            let mut run = stopped
                .command(&["etl", "run", process])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(after));
            if run.try_wait().unwrap().is_none() {
                signal(&run, "TERM");
            }
            let status = run.wait().unwrap().code();
            assert!(
                matches!(status, Some(0 | 75)),
                "{process} after {after} ms: {status:?}"
            );
            statuses.push(status);
        }
        stopped.etl(process);
        whole.etl(process);
    }
    assert!(
        statuses.contains(&Some(75)),
        "no run was stopped in the middle"
    );
    assert_eq!(stopped.fingerprint(), whole.fingerprint());
}

/// A line to a server that can go dead: nothing is refused, and nothing comes.
struct Line {
    port: u16,
    dead: Arc<AtomicBool>,
}

impl Line {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let dead = Arc::new(AtomicBool::new(false));
        let is_dead = dead.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                pass(client, server, is_dead.clone());
                pass(back.0, back.1, is_dead.clone());
            }
        });
        Self { port, dead }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, dead: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let mut part = [0; 16 * 1024];
        while let Ok(count) = from.read(&mut part) {
            while dead.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
            if count == 0 || to.write_all(&part[..count]).is_err() {
                let _ = to.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    });
}

#[test]
fn what_does_not_end_is_left_after_forty_seconds_and_told() {
    let place = Place::on_postgres();
    assert!(place.run(&["store", "migrate"]).status.success());
    let url = place.database_url();
    let port: u16 = url::Url::parse(&url).unwrap().port().unwrap();
    let line = Line::to(port);
    let mut program = place.command(&["collect", "--listen", "127.0.0.1:0"]);
    program.env("SMARTEM_COLLECT__MQTT__ENABLED", "false").env(
        "SMARTEM_STORE__POSTGRES__URL",
        url.replace(&format!(":{port}/"), &format!(":{}/", line.port)),
    );
    let collector = Collector::of(&place, program);
    let points = "temperature,station=a value=1 1772323200000000000\n";
    let connection = collector.connect();
    let (status, told) = connection.post("/write?db=push", points).unwrap();
    assert_eq!(status, 204, "{told}");
    drop(connection);

    line.dead.store(true, Ordering::Relaxed);
    let service = collector.service;
    let since = Instant::now();
    service.signal("TERM");
    wait_until("it has ended", || {
        service.log().contains("did not end in time")
    });
    let log = service.log();
    assert!(log.contains("what stations pushed"), "{log}");
    assert_eq!(service.ended(Duration::from_secs(10)), Some(75));
    let took = since.elapsed().as_secs();
    assert!((38..45).contains(&took), "{took} s");

    // Acknowledged is on disk.
    line.dead.store(false, Ordering::Relaxed);
    let mut program = place.command(&["collect", "--listen", "127.0.0.1:0"]);
    program.env("SMARTEM_COLLECT__MQTT__ENABLED", "false");
    let collector = Collector::of(&place, program);
    let found = collector.query("push", "SELECT value FROM temperature");
    let values = &found["results"][0]["series"][0]["values"];
    assert_eq!(values.as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(collector.service.terminate(), Some(0));
}

/// Starts a program as the first process of a namespace, as in a container; `None` where that is not
/// allowed. Its own number outside.
fn as_first(command: &Command) -> Option<(std::process::Child, u32)> {
    let allowed = Command::new("unshare")
        .args(["--pid", "--fork", "true"])
        .stderr(Stdio::null())
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut first = Command::new("unshare");
    first
        .args(["--pid", "--fork"])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => first.env(name, value),
            None => first.env_remove(name),
        };
    }
    let mut child = first.spawn().unwrap();
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    let number = || {
        let children = std::fs::read_to_string(&path).unwrap_or_default();
        children.split_whitespace().next()?.parse().ok()
    };
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(10) {
        if let Some(number) = number() {
            return Some((child, number));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("it does not start");
}

fn terminate(number: u32) {
    let status = Command::new("kill")
        .args(["-TERM", &number.to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn the_first_process_of_a_container_hears_signals() {
    let place = Place::new();
    assert!(place.run(&["store", "migrate"]).status.success());
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let Some((child, number)) = as_first(&place.command(&["serve", "--listen", &address])) else {
        println!("SKIPPED: a namespace of processes may not be made here");
        return;
    };
    wait_until("it serves", || {
        block_on(async { reqwest::get(format!("http://{address}/readyz")).await }).is_ok()
    });
    terminate(number);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    // A command without an order in which it ends, which waits for a server that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut migrate = place.command(&["store", "migrate"]);
    migrate.env("SMARTEM_STORE__BACKEND", "postgres").env(
        "SMARTEM_STORE__POSTGRES__URL",
        format!("postgresql://u@{}/x", silent.local_addr().unwrap()),
    );
    let Some((child, number)) = as_first(&migrate) else {
        return;
    };
    let (_waiting, _) = silent.accept().unwrap();
    terminate(number);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", text(&output.stderr));

    // A run that waits for the same stops before it began.
    let mut run = place.command(&["etl", "run", "refiner"]);
    run.env("SMARTEM_STORE__BACKEND", "postgres").env(
        "SMARTEM_STORE__POSTGRES__URL",
        format!("postgresql://u@{}/x", silent.local_addr().unwrap()),
    );
    let Some((child, number)) = as_first(&run) else {
        return;
    };
    let (_waiting, _) = silent.accept().unwrap();
    terminate(number);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
}
