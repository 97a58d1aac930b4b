//! The collector as stations and tools see it: the real binary, real connections.

mod clients;
mod disk;
mod kill;
mod whole;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::{Place, Service};

/// A collector on an own store.
pub(super) struct Collector {
    pub(super) service: Service,
    pub(super) token: String,
}

impl Collector {
    /// Starts `smartem collect` or `smartem up`; the token of its first start is in its folder.
    pub(super) fn start(place: &Place, command: &str) -> Self {
        let service = Service::start(place.command(&[command, "--listen", "127.0.0.1:0"]));
        let token = std::fs::read_to_string(place.data().join("admin-token")).unwrap();
        Self {
            service,
            token: token.trim().to_owned(),
        }
    }

    pub(super) fn connect(&self) -> Connection {
        Connection::open(&self.service.url, &self.token).unwrap()
    }

    /// What `/query` answers, its times in nanoseconds.
    pub(super) fn query(&self, database: &str, query: &str) -> Value {
        let mut url = url::Url::parse(&self.service.url)
            .unwrap()
            .join("query")
            .unwrap();
        url.query_pairs_mut()
            .append_pair("db", database)
            .append_pair("epoch", "ns")
            .append_pair("q", query);
        let path = &url[url::Position::BeforePath..];
        self.service.json(path)
    }
}

/// A connection that is kept, as a station or an agent keeps it.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    token: String,
}

impl Connection {
    pub(super) fn open(url: &str, token: &str) -> std::io::Result<Self> {
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let stream = TcpStream::connect(host)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: host.to_owned(),
            token: token.to_owned(),
        })
    }

    /// Sends a body; status and answer, or that the connection broke.
    pub(super) fn post(&mut self, path: &str, body: &[u8]) -> std::io::Result<(u16, String)> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Token {}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            self.token,
            body.len()
        );
        let mut message = head.into_bytes();
        message.extend_from_slice(body);
        self.stream.get_mut().write_all(&message)?;
        let broken = || std::io::Error::other("the answer was cut short");
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.ok_or_else(broken)?;
        let mut length = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }
}
