//! A broker with two users, what it receives, and certificates.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use smartem_mqtt::{Authority, Broker, BrokerSettings, Incoming, Login, LoginRefused, TlsFiles};
use smartem_simulate::mosquitto;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What should happen at once may take so long on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// `writer` may write below `stations/` and to what only the receiver gets, below `inbox/`; `nobody` may
/// do nothing; who has no name is a guest and may read below `open/`; others are unknown.
pub(crate) struct Users;

#[async_trait]
impl Authority for Users {
    async fn connect(&self, login: Login<'_>) -> Result<Arc<str>, LoginRefused> {
        match (login.user, login.password) {
            (Some("writer"), Some(b"secret")) => Ok("writer".into()),
            (None, None) => Ok("".into()),
            (Some("nobody"), _) => Err(LoginRefused::NotAuthorized),
            _ => Err(LoginRefused::BadCredentials),
        }
    }

    fn may_publish(&self, user: &str, topic: &str) -> bool {
        user == "writer" && (topic.starts_with("stations/") || topic.starts_with("inbox/"))
    }

    fn may_subscribe(&self, user: &str, filter: &str) -> bool {
        match user {
            "writer" => !filter.starts_with("secret"),
            _ => filter.starts_with("open/"),
        }
    }

    fn is_guest(&self, user: &str) -> bool {
        user.is_empty()
    }

    fn is_shared(&self, topic: &str) -> bool {
        !topic.starts_with("inbox/")
    }
}

pub(crate) type Inbox = mpsc::Receiver<Vec<Incoming>>;

/// Settings with any free port of this machine.
pub(crate) fn settings() -> BrokerSettings {
    BrokerSettings {
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        ..BrokerSettings::default()
    }
}

pub(crate) async fn broker() -> (Broker, Inbox) {
    broker_with(settings()).await
}

pub(crate) async fn broker_with(settings: BrokerSettings) -> (Broker, Inbox) {
    let (sink, inbox) = mpsc::channel(64);
    let broker = Broker::start(settings, Arc::new(Users), sink).await;
    (broker.unwrap(), inbox)
}

/// The next messages, whatever became of them; fails when there are none for long.
pub(crate) async fn receive(inbox: &mut Inbox) -> Vec<Incoming> {
    let batch = timeout(PATIENCE, inbox.recv()).await;
    batch.expect("no message came").expect("the sender is gone")
}

/// So many messages as topic and payload, all confirmed.
pub(crate) async fn receive_texts(inbox: &mut Inbox, number: usize) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    while texts.len() < number {
        for message in receive(inbox).await {
            let payload = String::from_utf8(message.payload.to_vec()).unwrap();
            texts.push((message.topic.to_string(), payload));
            if let Some(receipt) = message.receipt {
                receipt.confirm();
            }
        }
    }
    texts
}

/// Arguments of mosquitto's clients for the user `writer`.
pub(crate) fn arguments(address: SocketAddr, more: &[&str]) -> Vec<String> {
    let port = address.port().to_string();
    let ours = [
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-u",
        "writer",
        "-P",
        "secret",
    ];
    ours.iter()
        .chain(more)
        .map(|argument| (*argument).to_owned())
        .collect()
}

/// Runs `mosquitto_pub` as `writer`.
pub(crate) async fn publish(address: SocketAddr, more: &[&str]) -> Output {
    run("mosquitto_pub", arguments(address, more)).await
}

/// Runs a program to its end without holding up the broker.
pub(crate) async fn run(program: &'static str, arguments: Vec<String>) -> Output {
    tokio::task::spawn_blocking(move || mosquitto::run(program, &arguments))
        .await
        .unwrap()
        .unwrap_or_else(|problem| panic!("{problem}"))
}

/// A certificate for this machine that vouches for itself, and its key.
pub(crate) fn certificate(folder: &Path) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}
