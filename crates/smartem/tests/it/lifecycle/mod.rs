//! How programs begin, wait and end: the real binary under signals, with a database that comes and goes.

mod database;
mod end;
mod secrets;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{Place, Service, get, text};

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The address of a service without its scheme.
fn host(url: &str) -> SocketAddr {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    host.parse().unwrap()
}

/// An answer, and whether it was the last one on its connection.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
    is_last: bool,
}

/// Asks on an open connection. `Ok(None)`: the connection was closed before the answer began.
fn ask_on(stream: &mut TcpStream, path: &str) -> std::io::Result<Option<Answer>> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes())?;
    let mut read = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut part)?;
        if count == 0 && read.is_empty() {
            return Ok(None);
        }
        read.extend_from_slice(&part[..count]);
        let end = read.windows(4).position(|window| window == b"\r\n\r\n");
        let head = end.map(|end| text(&read[..end]).to_lowercase());
        if let Some((head, body)) = head.zip(end.map(|end| end + 4)) {
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
                .unwrap();
            if read.len() == body + length {
                return Ok(Some(Answer {
                    status: head[9..12].parse().unwrap(),
                    is_last: head.contains("connection: close"),
                    body: read[body..].to_vec(),
                    head,
                }));
            }
        }
        assert!(count > 0, "an answer was cut: {}", text(&read));
    }
}

#[test]
fn what_is_not_for_everybody_has_an_address_of_its_own() {
    for command in ["serve", "collect", "up"] {
        let place = Place::new();
        assert!(place.run(&["store", "migrate"]).status.success());
        let section = if command == "collect" {
            "COLLECT"
        } else {
            "SERVE"
        };
        let internal = format!("127.0.0.1:{}", free_port());
        let mut program = place.command(&[command, "--listen", "127.0.0.1:0"]);
        program
            .env(format!("SMARTEM_{section}__INTERNAL_LISTEN"), &internal)
            .env("SMARTEM_COLLECT__MQTT__ENABLED", "false");
        let service = Service::start(program);
        let internally = |path: &str| get(&format!("http://{internal}{path}"));
        assert_eq!(service.get("/metrics").0, 404, "{command}");
        let (status, metrics) = internally("/metrics");
        assert_eq!(status, 200, "{command}");
        assert!(metrics.contains("smartem_build_info"), "{metrics}");
        for path in ["/healthz", "/readyz"] {
            assert_eq!(service.get(path).0, 200, "{command} {path}");
            assert_eq!(internally(path).0, 200, "{command} {path}");
        }
        let document = service.json("/openapi.json");
        assert!(document["paths"].get("/readyz").is_some(), "{command}");
        assert!(document["paths"].get("/metrics").is_none(), "{command}");
        assert_eq!(internally("/api/v1/").0, 404, "{command}");

        // At all addresses of the machine: asked on the machine itself.
        let port = internal.rsplit_once(':').unwrap().1;
        let mut check = place.command(&["healthcheck"]);
        check.env("SMARTEM_SERVE__INTERNAL_LISTEN", format!("0.0.0.0:{port}"));
        let said = check.output().unwrap();
        assert_eq!(text(&said.stdout).trim(), "ready", "{}", text(&said.stderr));
        assert_eq!(service.terminate(), Some(0), "{command}");
        let said = check.output().unwrap();
        assert_eq!(said.status.code(), Some(1));
        assert!(text(&said.stderr).contains("/healthz failed"), "{said:?}");
    }
}

#[test]
fn an_internal_address_that_is_taken_is_told_with_its_setting() {
    let place = Place::new();
    assert!(place.run(&["store", "migrate"]).status.success());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut program = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    let address = taken.local_addr().unwrap().to_string();
    program.env("SMARTEM_SERVE__INTERNAL_LISTEN", &address);
    let said = program.output().unwrap();
    let told = text(&said.stderr);
    assert_eq!(said.status.code(), Some(1), "{told}");
    assert!(
        told.contains(&address) && told.contains("serve.internal_listen"),
        "{told}"
    );
}

#[test]
fn the_version_is_told() {
    let said = Place::new().run(&["--version"]);
    let told = text(&said.stdout);
    let version = concat!("smartem ", env!("CARGO_PKG_VERSION"));
    assert!(told.starts_with(version), "{told}");
}

/// A connection that waits no longer than a test would.
fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}
