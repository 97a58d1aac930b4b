//! A SensorThings server of somebody else, in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::root;

/// A running server; it ends when it is dropped, and with this program.
pub(crate) struct Django {
    process: Child,
    _folder: TempDir,
    root: String,
}

impl Django {
    /// A server with an empty database; `None`, said aloud, where it is not installed.
    #[expect(clippy::print_stdout, reason = "a skipped test says so aloud")]
    pub(crate) fn start() -> Option<Self> {
        let python = root().join("target/test-tools/sta/bin/python");
        if !python.exists() {
            println!("SKIPPED: no SensorThings server (scripts/sta-tools.sh installs it)");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut process = Command::new(python)
            .arg(root().join("fixtures/sensorthings-server/serve.py"))
            .arg(&address)
            .arg(folder.path().join("db.sqlite"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n", "the server did not start");
        Some(Self {
            process,
            _folder: folder,
            root: format!("http://{address}/v1.1"),
        })
    }

    /// The root of its service.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// All entities that a path lists.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut next = Some(format!("{}/{path}", self.root));
        let mut all = Vec::new();
        while let Some(address) = next {
            let answer = reqwest::get(&address).await.unwrap();
            assert!(
                answer.status().is_success(),
                "{address}: {}",
                answer.status()
            );
            let page: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            all.extend(page["value"].as_array().unwrap().iter().cloned());
            next = page["@iot.nextLink"].as_str().map(str::to_owned);
        }
        all
    }
}

impl Drop for Django {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
