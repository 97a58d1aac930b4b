//! Updates under load, and how processes end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use smartem_deploy::pod::{Pod, Workload, http};

use crate::Told;
use crate::balancer::{self, Endpoints};
use crate::platform::{AREA, COLLECTORS, PATIENCE, Platform};

/// Endpoints hear of a pod that ends, and balancers of endpoints, not at once.
const PROPAGATION: Duration = Duration::from_secs(1);

/// Two pods of serve are replaced, one after the other, with one more meanwhile.
pub(crate) fn rolling_serve(platform: &mut Platform) -> Told {
    platform.up(Workload::Deployment, AREA, "serve", "serve-b");
    let endpoints = Endpoints::default();
    let address = |pod: &Pod| pod.address("http").unwrap();
    for name in ["serve-a", "serve-b"] {
        endpoints.add(address(platform.pod(AREA, name)));
    }
    let balancer = balancer::listen(&endpoints);

    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let lost = Arc::new(Mutex::new(Vec::new()));
    let clients: Vec<_> = (0..4)
        .map(|turn| {
            let (over, answered, lost) =
                (Arc::clone(&over), Arc::clone(&answered), Arc::clone(&lost));
            thread::spawn(move || {
                let targets = ["/api/v1/stations", "/", "/api/v1/indicators", "/healthz"];
                let mut number = turn;
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    match http::get(balancer, targets[number % targets.len()]) {
                        Ok(answer) if answer.status == 200 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => lost
                            .lock()
                            .unwrap()
                            .push(format!("{}: {}", answer.status, answer.body)),
                        Err(error) => lost.lock().unwrap().push(error.to_string()),
                    }
                    thread::sleep(Duration::from_millis(10));
                }
            })
        })
        .collect();

    for (old, new) in [("serve-a", "serve-c"), ("serve-b", "serve-d")] {
        platform.up(Workload::Deployment, AREA, "serve", new);
        endpoints.add(address(platform.pod(AREA, new)));
        let pod = platform.pods.remove(&format!("{AREA}/{old}")).unwrap();
        let gone = address(&pod);
        let from = endpoints.clone();
        let forget = thread::spawn(move || {
            thread::sleep(PROPAGATION);
            from.remove(gone);
        });
        let end = pod.stop().unwrap();
        forget.join().unwrap();
        assert_eq!((end.code, end.killed), (0, false), "{old}: {}", end.tail(5));
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let lost = lost.lock().unwrap();
    let answered = answered.load(Ordering::Relaxed);
    assert!(
        lost.is_empty(),
        "{} of {answered} requests were lost, such as {:?}",
        lost.len(),
        lost.first()
    );
    assert!(answered > 100, "too few requests to tell: {answered}");
    format!("{answered} requests, none lost")
}

const WRITERS: usize = 3;
/// The time of the first point, seconds.
const BEGIN: u64 = 1_793_000_000;

/// The collector is replaced, once in order and once by a kill, while stations push.
pub(crate) fn rolling_collect(platform: &mut Platform) -> Told {
    let token = add_token(platform, "load");
    let address: Arc<Mutex<SocketAddr>> = Arc::new(Mutex::new(
        platform
            .pod(COLLECTORS, "collect-0")
            .address("http")
            .unwrap(),
    ));
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (address, over, token) = (Arc::clone(&address), Arc::clone(&over), token.clone());
            thread::spawn(move || push(writer, &address, &token, &over))
        })
        .collect();

    for kill in [false, true] {
        thread::sleep(Duration::from_secs(4));
        let pod = platform
            .pods
            .remove(&format!("{COLLECTORS}/collect-0"))
            .unwrap();
        if kill {
            pod.kill().unwrap();
        } else {
            let end = pod.stop().unwrap();
            assert_eq!((end.code, end.killed), (0, false), "{}", end.tail(5));
        }
        platform.up(Workload::StatefulSet, COLLECTORS, "collect", "collect-0");
        *address.lock().unwrap() = platform
            .pod(COLLECTORS, "collect-0")
            .address("http")
            .unwrap();
    }
    thread::sleep(Duration::from_secs(4));
    over.store(true, Ordering::Relaxed);
    let mut all = 0;
    let mut again = 0;
    for (writer, handle) in writers.into_iter().enumerate() {
        let progress = handle.join().unwrap();
        check(*address.lock().unwrap(), &token, writer, &progress);
        all += progress.acknowledged;
        again += progress.refused;
    }
    assert!(all > 500, "too few points to tell: {all}");
    assert!(again > 0, "no push met the updates");
    format!("{all} acknowledged points are there once; {again} pushes were sent again")
}

struct Progress {
    acknowledged: u64,
    sent: u64,
    refused: u64,
}

/// Writes points whose value is their number; what was not acknowledged is sent again, as firmware does.
fn push(writer: usize, address: &Mutex<SocketAddr>, token: &str, over: &AtomicBool) -> Progress {
    let mut progress = Progress {
        acknowledged: 0,
        sent: 0,
        refused: 0,
    };
    let authorization = format!("Token {token}");
    while !over.load(Ordering::Relaxed) {
        let first = progress.acknowledged + 1;
        let last = first + if first.is_multiple_of(3) { 0 } else { 40 };
        let mut body = String::new();
        for number in first..=last {
            let _ = std::fmt::Write::write_fmt(
                &mut body,
                format_args!("air,station=w{writer} n={number}i {}\n", BEGIN + number),
            );
        }
        progress.sent = progress.sent.max(last);
        let to = *address.lock().unwrap();
        let headers = [("Authorization", authorization.as_str())];
        let patience = Duration::from_secs(5);
        match http::request(
            to,
            "POST",
            "/write?db=load&precision=s",
            &headers,
            &body,
            patience,
        ) {
            Ok(answer) if answer.status == 204 => progress.acknowledged = last,
            Ok(answer) if answer.status == 503 => {
                progress.refused += 1;
                thread::sleep(Duration::from_millis(100));
            }
            Ok(answer) => panic!("{}: {}", answer.status, answer.body),
            Err(_) => {
                progress.refused += 1;
                thread::sleep(Duration::from_millis(100));
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    progress
}

/// Points 1 to at least the last that was acknowledged are there, once each, and none that nobody sent.
fn check(address: SocketAddr, token: &str, writer: usize, progress: &Progress) {
    let query = format!(
        "/query?db=load&epoch=s&q=SELECT%20n%20FROM%20air%20WHERE%20station%20%3D%20%27w{writer}%27"
    );
    let authorization = format!("Token {token}");
    let headers = [("Authorization", authorization.as_str())];
    let answer = http::request(
        address,
        "GET",
        &query,
        &headers,
        "",
        Duration::from_secs(30),
    )
    .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let rows = answer["results"][0]["series"][0]["values"]
        .as_array()
        .unwrap();
    for (row, number) in rows.iter().zip(1_u64..) {
        assert_eq!(row[0].as_u64(), Some(BEGIN + number), "writer {writer}");
        assert_eq!(row[1].as_u64(), Some(number), "writer {writer}");
    }
    let count = rows.len() as u64;
    assert!(
        count >= progress.acknowledged && count <= progress.sent,
        "writer {writer}: {count} points of {} acknowledged and {} sent",
        progress.acknowledged,
        progress.sent
    );
}

/// By the same binary in a pod of the platform, as a person would.
fn add_token(platform: &mut Platform, name: &str) -> String {
    let words = ["token", "add", name, "--right", "write", "--json"];
    let end = platform
        .begin("etl-refiner", Some(&words))
        .wait(PATIENCE)
        .unwrap();
    assert_eq!(end.code, 0, "{}", end.logs);
    let shown = end
        .logs
        .split("\"secret\": \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    shown
        .unwrap_or_else(|| panic!("no secret in {}", end.logs))
        .to_owned()
}

/// What the contract says of SIGTERM: not ready at once, alive while what was accepted is finished, then 0; jobs
/// end with 0 or 75.
pub(crate) fn sigterm(platform: &mut Platform) -> Told {
    let token = add_token(platform, "slow");
    let pod = platform
        .pods
        .remove(&format!("{COLLECTORS}/collect-0"))
        .unwrap();
    let metrics = pod.address("metrics").unwrap();
    let line = format!("air,station=slow n=1i {BEGIN}\n");
    let mut slow = TcpStream::connect(pod.address("http").unwrap()).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(
        slow,
        "POST /write?db=load&precision=s HTTP/1.1\r\nHost: collect\r\nAuthorization: Token {token}\r\n\
            Connection: close\r\nContent-Length: {}\r\n\r\n{}",
        line.len(),
        &line[..10]
    )
    .unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(pod.ready() && pod.live());

    let begin = Instant::now();
    pod.signal("TERM").unwrap();
    let unready = loop {
        match http::get(metrics, "/readyz") {
            Ok(answer) if answer.status == 503 => break begin.elapsed(),
            Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.body),
            Err(error) => panic!("it ended with a request half way: {error}; {}", pod.logs()),
        }
        assert!(
            begin.elapsed() < Duration::from_secs(2),
            "ready 2 s after SIGTERM"
        );
    };
    thread::sleep(Duration::from_secs(2));
    assert!(
        pod.running(),
        "it ended with a push half way: {}",
        pod.logs()
    );
    assert_eq!(http::get(metrics, "/healthz").unwrap().status, 200);
    slow.write_all(&line.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    let end = pod.wait(Duration::from_secs(45)).unwrap();
    assert_eq!(end.code, 0, "{}", end.logs);
    platform.up(Workload::StatefulSet, COLLECTORS, "collect", "collect-0");

    platform.forget();
    platform.remote(20, "2026-10-30T00:00:00Z");
    let job = platform.begin("etl-harvester-whale", None);
    thread::sleep(Duration::from_millis(1500));
    assert!(
        job.running(),
        "the harvest had ended before the signal: {}",
        job.logs()
    );
    let stopped = job.stop().unwrap();
    assert!(
        matches!(stopped.code, 0 | 75) && !stopped.killed,
        "{}: {}",
        stopped.code,
        stopped.tail(5)
    );
    format!(
        "not ready after {} ms, a push that was half way was finished; ended {:.1} s later; a harvest ended with {} after {:.1} s",
        unready.as_millis(),
        end.took.as_secs_f64(),
        stopped.code,
        stopped.took.as_secs_f64()
    )
}
