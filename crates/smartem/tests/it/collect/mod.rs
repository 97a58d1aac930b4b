//! The collector as stations and tools see it: the real binary, real connections.

mod clients;
mod disk;
mod kill;
mod mqtt;
mod whole;

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
        Self::of(place, place.command(&[command, "--listen", "127.0.0.1:0"]))
    }

    /// Starts a command that collects.
    pub(super) fn of(place: &Place, command: std::process::Command) -> Self {
        let service = Service::start(command);
        let token = std::fs::read_to_string(place.data().join("admin-token")).unwrap();
        Self {
            service,
            token: token.trim().to_owned(),
        }
    }

    pub(super) fn connect(&self) -> Connection {
        Connection::open(&self.service.url, &self.token)
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

/// A connection that is kept, as a station or a gateway keeps it.
pub(super) struct Connection {
    client: reqwest::Client,
    url: String,
    token: String,
    runtime: tokio::runtime::Runtime,
}

impl Connection {
    pub(super) fn open(url: &str, token: &str) -> Self {
        Self {
            client: reqwest::Client::new(),
            url: url.trim_end_matches('/').to_owned(),
            token: format!("Token {token}"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
        }
    }

    /// Sends a body; status and answer, or that the connection broke.
    pub(super) fn post(&self, path: &str, body: &str) -> reqwest::Result<(u16, String)> {
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .header("Authorization", &self.token)
            .body(body.to_owned());
        self.runtime.block_on(async {
            let answer = request.send().await?;
            Ok((answer.status().as_u16(), answer.text().await?))
        })
    }
}
