//! Line protocol as fast as a server takes it: the load of `bench/collect.sh`.
//!
//! `load_points URL stations MINUTES [CONNECTIONS]` sends 500 stations of the simulated city with 8
//! fields a minute in batches of 5,000 lines, `load_points URL series MINUTES` 10,000 series of one
//! field in batches of 10,000, and `load_points URL single SECONDS [CONNECTIONS]` single lines.
//! The bodies are made before the clock starts.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used
)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use smartem_simulate::city::{City, CityConfig};

/// Where the simulated time begins: 2026-01-05.
const START: i64 = 1_767_571_200;

struct Body {
    bytes: Vec<u8>,
    values: u64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, kind, amount, rest @ ..] = args.as_slice() else {
        panic!("usage: load_points URL stations|series|single AMOUNT [CONNECTIONS]")
    };
    let url = url.strip_prefix("http://").expect("an http:// address");
    let (host, path) = url
        .split_once('/')
        .map_or((url, "/".to_owned()), |(host, path)| {
            (host, format!("/{path}"))
        });
    let amount: i64 = amount.parse().unwrap();
    let connections: usize = rest.first().map_or(4, |it| it.parse().unwrap());
    match kind.as_str() {
        "stations" => send(host, &path, stations(amount), connections),
        "series" => send(host, &path, series(amount), connections),
        "single" => single(host, &path, amount.unsigned_abs(), connections),
        other => panic!("`{other}` is no kind of load"),
    }
}

/// 500 stations, 8 fields, as instruments round them.
fn stations(minutes: i64) -> Vec<Body> {
    let start = Timestamp::from_second(START).unwrap();
    let city = City::new(CityConfig {
        stations: 500,
        ..CityConfig::starting(start)
    });
    let city = city.unwrap();
    let mut bodies = Bodies::new(5_000);
    for minute in 0..minutes {
        let at = start + SignedDuration::from_mins(minute);
        for station in city.stations() {
            let truth = city.truth(station, at);
            let line = bodies.line(8);
            let _ = write!(line, "air,station=s{:05} ", station.id);
            let _ = write!(
                line,
                "temperature={:.1},humidity={:.1},pressure={:.1},no2={:.1},o3={:.1},co={:.0},pm10={:.1},noise={:.1}",
                truth.temperature,
                truth.relative_humidity,
                truth.pressure / 100.0,
                truth.no2,
                truth.o3,
                truth.co,
                truth.pm10,
                truth.noise_level(),
            );
            let _ = writeln!(line, " {}", START + minute * 60);
        }
    }
    bodies.finish()
}

/// 10,000 series of one field.
fn series(minutes: i64) -> Vec<Body> {
    let mut bodies = Bodies::new(10_000);
    let mut levels = vec![200_i64; 10_000];
    let mut chance = 88_172_645_463_325_252_u64;
    for minute in 0..minutes {
        for (series, level) in levels.iter_mut().enumerate() {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            *level = (*level + (chance >> 40).cast_signed() % 7 - 3).abs();
            let line = bodies.line(1);
            let (whole, tenth) = (*level / 10, *level % 10);
            let _ = writeln!(
                line,
                "air,station=t{series:05} pm10={whole}.{tenth} {}",
                START + minute * 60
            );
        }
    }
    bodies.finish()
}

struct Bodies {
    batch: usize,
    lines: usize,
    text: String,
    values: u64,
    all: Vec<Body>,
}

impl Bodies {
    fn new(batch: usize) -> Self {
        Self {
            batch,
            lines: 0,
            text: String::new(),
            values: 0,
            all: Vec::new(),
        }
    }

    fn line(&mut self, values: u64) -> &mut String {
        if self.lines == self.batch {
            self.cut();
        }
        self.lines += 1;
        self.values += values;
        &mut self.text
    }

    fn cut(&mut self) {
        let bytes = std::mem::take(&mut self.text).into_bytes();
        if !bytes.is_empty() {
            self.all.push(Body {
                bytes,
                values: std::mem::take(&mut self.values),
            });
        }
        self.lines = 0;
    }

    fn finish(mut self) -> Vec<Body> {
        self.cut();
        self.all
    }
}

/// A connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Connection {
    fn open(host: &str, path: &str) -> Self {
        let stream = TcpStream::connect(host).unwrap();
        stream.set_nodelay(true).unwrap();
        let token = std::env::var("TOKEN").map_or_else(
            |_| String::new(),
            |token| format!("Authorization: Token {token}\r\n"),
        );
        Self {
            stream: BufReader::new(stream),
            head: format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{token}"),
        }
    }

    fn post(&mut self, body: &[u8]) {
        let mut message =
            format!("{}Content-Length: {}\r\n\r\n", self.head, body.len()).into_bytes();
        message.extend_from_slice(body);
        self.stream.get_mut().write_all(&message).unwrap();
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).unwrap();
        assert!(
            status == 204,
            "{status}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}

fn send(host: &str, path: &str, bodies: Vec<Body>, connections: usize) {
    let values: u64 = bodies.iter().map(|body| body.values).sum();
    let bytes: usize = bodies.iter().map(|body| body.bytes.len()).sum();
    let bodies = Mutex::new(bodies.into_iter());
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::open(host, path);
                loop {
                    let next = bodies.lock().unwrap().next();
                    let Some(body) = next else { break };
                    connection.post(&body.bytes);
                }
            });
        }
    });
    let took = start.elapsed().as_secs_f64();
    println!(
        "acknowledged: {values} values, {:.0} MB, {took:.2} s, {:.3} M values/s",
        bytes as f64 / 1e6,
        values as f64 / took / 1e6
    );
}

/// Single lines for so many seconds.
fn single(host: &str, path: &str, seconds: u64, connections: usize) {
    let end = Instant::now() + Duration::from_secs(seconds);
    let sent = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..connections {
            let sent = &sent;
            scope.spawn(move || {
                let mut connection = Connection::open(host, path);
                let mut at = START;
                while Instant::now() < end {
                    at += 1;
                    let line = format!("air,station=u{number:03} pm10={}.5 {at}\n", at % 90);
                    connection.post(line.as_bytes());
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let sent = sent.into_inner();
    println!(
        "acknowledged: {sent} single lines in {seconds} s, {:.0} a second, {connections} connections",
        sent as f64 / seconds as f64
    );
}
