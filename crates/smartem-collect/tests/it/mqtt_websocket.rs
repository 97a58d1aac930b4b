//! MQTT over WebSocket at a real server: a client library, and bytes in frames of our own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::routing::get;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions};
use smartem_collect::receive::mqtt::websocket;
use smartem_http::{HttpMetrics, Limits, Readiness, ServicePart, assemble, serve};
use smartem_mqtt::{Authority, Broker, BrokerSettings, Incoming, Login, LoginRefused, QoS, Topic};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Users;

#[async_trait]
impl Authority for Users {
    async fn connect(&self, login: Login<'_>) -> Result<Arc<str>, LoginRefused> {
        match (login.user, login.password) {
            (Some("writer"), Some(b"secret")) if login.peer.ip().is_loopback() => {
                Ok("writer".into())
            }
            _ => Err(LoginRefused::BadCredentials),
        }
    }

    fn may_publish(&self, _: &str, topic: &str) -> bool {
        topic.starts_with("stations/")
    }

    fn may_subscribe(&self, _: &str, _: &str) -> bool {
        true
    }
}

struct Server {
    address: SocketAddr,
    broker: Broker,
    inbox: mpsc::Receiver<Vec<Incoming>>,
    stop: CancellationToken,
    http: JoinHandle<()>,
}

impl Server {
    async fn start(settings: BrokerSettings, limits: Limits) -> Self {
        let (sink, inbox) = mpsc::channel(64);
        let settings = BrokerSettings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            ..settings
        };
        let broker = Broker::start(settings, Arc::new(Users), sink)
            .await
            .unwrap();
        let other = ServicePart::new("other").route("/other", get(|| async { "here" }));
        let parts = vec![websocket::part(broker.door()), other];
        let router = assemble(parts, limits, HttpMetrics::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let http = tokio::spawn(serve(listener, router, Readiness::default(), stopped));
        Self {
            address,
            broker,
            inbox,
            stop,
            http,
        }
    }

    async fn usual() -> Self {
        Self::start(BrokerSettings::default(), Limits::default()).await
    }

    async fn socket(&self, protocol: &str) -> Result<Socket, tungstenite::Error> {
        let url = format!("ws://{}/mqtt", self.address);
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
        let connected = tokio_tungstenite::connect_async(request).await?;
        Ok(connected.0)
    }

    /// A connection that is logged in.
    async fn client(&self) -> Client {
        let mut client = Client {
            socket: self.socket("mqtt").await.unwrap(),
            received: Vec::new(),
        };
        client.send(&connect("raw")).await;
        assert_eq!(client.receive(4).await, CONNACK);
        client
    }

    async fn received(&mut self) -> Vec<Incoming> {
        timeout(PATIENCE, self.inbox.recv()).await.unwrap().unwrap()
    }

    async fn other(&self) -> reqwest::StatusCode {
        let url = format!("http://{}/other", self.address);
        reqwest::get(url).await.unwrap().status()
    }
}

/// Bytes of MQTT in frames.
struct Client {
    socket: Socket,
    received: Vec<u8>,
}

impl Client {
    async fn send(&mut self, bytes: &[u8]) {
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        self.socket.send(frame).await.unwrap();
    }

    async fn receive(&mut self, number: usize) -> Vec<u8> {
        while self.received.len() < number {
            let frame = timeout(PATIENCE, self.socket.next()).await.unwrap();
            if let Message::Binary(bytes) = frame.unwrap().unwrap() {
                self.received.extend(bytes);
            }
        }
        self.received.drain(..number).collect()
    }

    /// Waits for the end of the connection, however it comes.
    async fn end(&mut self) {
        let end = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(PATIENCE, end).await.unwrap();
    }
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u8::try_from(body.len()).unwrap();
    assert!(length < 128);
    [&[kind, length], &body[..]].concat()
}

/// CONNECT of MQTT 3.1.1 with user and password and a new session.
fn connect(client: &str) -> Vec<u8> {
    let (user, password) = (text("writer"), text("secret"));
    let head = [&text("MQTT")[..], &[4, 0xC2, 0, 60]].concat();
    packet(0x10, &[&head, &text(client), &user, &password])
}

/// PUBLISH with QoS 1.
fn publish(id: u8, payload: &str) -> Vec<u8> {
    let topic = text("stations/1/no2");
    packet(0x32, &[&topic, &[0, id], payload.as_bytes()])
}

fn confirm_all(messages: Vec<Incoming>) -> Vec<String> {
    let confirmed = messages.into_iter().map(|message| {
        message.receipt.unwrap().confirm();
        String::from_utf8(message.payload.to_vec()).unwrap()
    });
    confirmed.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_library_publishes_and_subscribes() {
    let mut server = Server::usual().await;
    let url = format!("ws://{}/mqtt", server.address);
    let target = rumqttc::Broker::websocket(url).unwrap();
    let mut options = MqttOptions::new("library", target);
    options
        .set_credentials("writer", "secret")
        .set_max_packet_size(1_000_000, 1_000_000);
    let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
    let qos = rumqttc::QoS::AtLeastOnce;
    client.subscribe("v1.1/#", qos).await.unwrap();
    let options = PublishOptions::new(qos);
    client
        .publish("stations/1/no2", "21.5", options)
        .await
        .unwrap();
    let (told, mut heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(event) = events.poll().await {
            if let Event::Incoming(packet) = event {
                let _ = told.send(packet);
            }
        }
    });
    let mut hear = async || timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    let messages = server.received().await;
    assert_eq!(&*messages[0].topic, "stations/1/no2");
    assert_eq!(confirm_all(messages), ["21.5"]);
    let (mut subscribed, mut acknowledged) = (false, false);
    while !(subscribed && acknowledged) {
        match hear().await {
            Packet::SubAck(_) => subscribed = true,
            Packet::PubAck(_) => acknowledged = true,
            _ => {}
        }
    }
    let topic = Topic::new("v1.1/Observations?$select=result").unwrap();
    let large = Bytes::from(vec![b'x'; 300_000]);
    let publisher = server.broker.publisher();
    let taken = publisher.publish(&topic, large.clone(), QoS::AtLeastOnce, false);
    assert_eq!(taken, 1);
    let Packet::Publish(message) = hear().await else {
        panic!("a message was to come");
    };
    assert_eq!(message.topic, topic.as_bytes());
    assert!(message.payload == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_may_end_anywhere() {
    let mut server = Server::usual().await;
    let mut client = Client {
        socket: server.socket("mqttv3.1, mqtt").await.unwrap(),
        received: Vec::new(),
    };
    for byte in connect("raw") {
        client.send(&[byte]).await;
        client.send(&[]).await;
        let ping = Message::Ping(Bytes::from_static(b"here?"));
        client.socket.send(ping).await.unwrap();
    }
    assert_eq!(client.receive(4).await, CONNACK);
    // Two packets and the beginning of a third, then its rest and a PINGREQ.
    let all = [
        publish(1, "1"),
        publish(2, "2"),
        publish(3, "3"),
        vec![0xC0, 0],
    ]
    .concat();
    let (first, rest) = all.split_at(50);
    client.send(first).await;
    assert_eq!(confirm_all(server.received().await), ["1", "2"]);
    assert_eq!(client.receive(8).await, [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    client.send(rest).await;
    let third = server.received().await;
    assert_eq!(client.receive(2).await, [0xD0, 0]);
    assert_eq!(confirm_all(third), ["3"]);
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 3]);
    assert_eq!(server.broker.counts().faults, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_mqtt_is_refused() {
    let server = Server::usual().await;
    let Err(tungstenite::Error::Http(refused)) = server.socket("chat").await else {
        panic!("no other protocol is spoken here");
    };
    assert_eq!(refused.status().as_u16(), 400);
    let url = format!("http://{}/mqtt", server.address);
    let plain = reqwest::get(url).await.unwrap();
    assert_eq!(plain.status().as_u16(), 400);
    assert!(plain.text().await.unwrap().contains("WebSocket"));

    let mut client = server.client().await;
    client.socket.send(Message::text("hello")).await.unwrap();
    client.end().await;

    // A wrong password is told as over TCP.
    let mut client = Client {
        socket: server.socket("mqtt").await.unwrap(),
        received: Vec::new(),
    };
    let mut wrong = connect("raw");
    *wrong.last_mut().unwrap() = b'?';
    client.send(&wrong).await;
    assert_eq!(client.receive(4).await, [0x20, 2, 0, 4]);
    assert_eq!(server.broker.counts().logins_refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_is_too_large_ends_the_connection() {
    let settings = BrokerSettings {
        max_packet_bytes: 1_000,
        ..BrokerSettings::default()
    };
    let server = Server::start(settings, Limits::default()).await;
    let mut client = server.client().await;
    // PUBLISH that says it has 2,097,151 bytes.
    client.send(&[0x30, 0xFF, 0xFF, 0x7F]).await;
    client.end().await;
    let mut client = server.client().await;
    let frame = Message::Binary(vec![0xC0; 70_000].into());
    let _ = client.socket.send(frame).await;
    client.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_holds_no_place_of_a_request_and_no_time_cuts_it() {
    let limits = Limits {
        requests: 1,
        time: Duration::from_millis(100),
    };
    let server = Server::start(BrokerSettings::default(), limits).await;
    let mut first = server.client().await;
    let mut second = Client {
        socket: server.socket("mqtt").await.unwrap(),
        received: Vec::new(),
    };
    second.send(&connect("second")).await;
    assert_eq!(second.receive(4).await, CONNACK);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(server.other().await.as_u16(), 200);
    for client in [&mut first, &mut second] {
        client.send(&[0xC0, 0]).await;
        assert_eq!(client.receive(2).await, [0xD0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_websocket_count_among_all() {
    let settings = BrokerSettings {
        max_connections: 1,
        ..BrokerSettings::default()
    };
    let server = Server::start(settings, Limits::default()).await;
    let first = server.client().await;
    assert_eq!(server.broker.connected(), 1);
    let Err(tungstenite::Error::Http(refused)) = server.socket("mqtt").await else {
        panic!("there is no place");
    };
    assert_eq!(refused.status().as_u16(), 503);
    assert_eq!(server.broker.counts().turned_away, 1);
    drop(first);
    let free = async {
        while server.broker.connected() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, free).await.unwrap();
    server.client().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_was_taken_in() {
    let mut server = Server::usual().await;
    let mut client = server.client().await;
    client.send(&publish(1, "1")).await;
    let taken = server.received().await;
    // The server of HTTP does not wait for it, nor cut it.
    server.stop.cancel();
    timeout(Duration::from_secs(5), server.http)
        .await
        .unwrap()
        .unwrap();
    client.send(&[0xC0, 0]).await;
    assert_eq!(client.receive(2).await, [0xD0, 0]);

    let door = server.broker.door();
    let stopping = tokio::spawn(server.broker.stop());
    sleep(Duration::from_millis(100)).await;
    assert!(!stopping.is_finished(), "a message waits for its answer");
    assert!(door.enter().is_none());
    assert_eq!(confirm_all(taken), ["1"]);
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 1]);
    client.end().await;
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn random_frames_do_not_stop_the_broker() {
    let server = Server::usual().await;
    for round in 0..200 {
        let mut socket = server.socket("mqtt").await.unwrap();
        if round % 2 == 0 {
            let login = Message::Binary(connect("random").into());
            socket.send(login).await.unwrap();
        }
        for _ in 0..rand::random_range(1..8) {
            let length = rand::random_range(0..200);
            let bytes: Vec<u8> = (0..length).map(|_| rand::random()).collect();
            let frame = match rand::random_range(0..6) {
                0 => Message::Ping(bytes[..bytes.len().min(125)].to_vec().into()),
                1 => Message::text(String::from_utf8_lossy(&bytes).into_owned()),
                _ => Message::Binary(bytes.into()),
            };
            // It may have had enough.
            if socket.send(frame).await.is_err() {
                break;
            }
        }
    }
    let free = async {
        while server.broker.connected() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, free).await.unwrap();
    server.client().await;
}
