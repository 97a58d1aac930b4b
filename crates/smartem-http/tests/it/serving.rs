use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use axum::{Extension, Router};
use smartem_http::auth::PeerAddress;
use smartem_http::{
    Exchange, HttpMetrics, Limits, Readiness, Routers, ServicePart, assemble, serve,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

struct Server {
    address: std::net::SocketAddr,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn router() -> Router {
    let part = ServicePart::new("test")
        .route("/", get(async || "here"))
        .route("/peer", get(peer))
        .route("/slow", get(slow));
    assemble(vec![part], Limits::default(), HttpMetrics::default())
}

async fn start() -> Server {
    start_with(router()).await
}

async fn start_with(router: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let readiness = Readiness::default();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { drop(stopped.await) };
    let task = tokio::spawn(serve(listener, router, readiness.clone(), shutdown));
    Server {
        address,
        readiness,
        stop,
        task,
    }
}

async fn peer(Extension(PeerAddress(address)): Extension<PeerAddress>) -> String {
    address.to_string()
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(400)).await;
    "done"
}

/// Sends a request; the answer up to the end of the connection.
async fn ask(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn handlers_know_the_address_of_the_client() {
    let server = start().await;
    let answer = ask(server.address, "/peer").await.unwrap();
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn requests_that_were_begun_are_finished_and_no_more_are_taken() {
    let server = start().await;
    assert!(ask(server.address, "/").await.unwrap().ends_with("here"));
    let begun = tokio::spawn(ask(server.address, "/slow"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!server.readiness.is_stopping());

    server.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(server.readiness.is_stopping());
    assert!(
        ask(server.address, "/").await.is_err(),
        "nobody listens any more"
    );
    assert!(begun.await.unwrap().unwrap().ends_with("done"));
    server.task.await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_stop() {
    let server = start().await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let asked = Instant::now();
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_finishes_its_head_is_cut_off() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhos").await.unwrap();
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    let ended = tokio::time::timeout(Duration::from_secs(120), read).await;
    assert!(ended.is_ok(), "the connection is still open");
}

/// Sends a request and keeps the connection; the answer, whose body is known.
async fn ask_on(stream: &mut TcpStream, path: &str, body: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(body.as_bytes()) {
        let read = stream.read_buf(&mut answer).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn who_has_connected_but_was_not_accepted_is_answered() {
    const CLIENTS: usize = 100;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        // Connected by the system; nobody has accepted it.
        clients.push(TcpStream::connect(address).await.unwrap());
    }
    let stopped = serve(listener, router(), Readiness::default(), async {});
    let server = tokio::spawn(stopped);
    for client in &mut clients {
        let answer = ask_on(client, "/", "here").await.to_lowercase();
        assert!(answer.starts_with("http/1.1 200"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    server.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn nobody_who_connects_while_the_address_is_closed_is_reset() {
    for _ in 0..4 {
        let server = start().await;
        let address = server.address;
        let clients: Vec<JoinHandle<(u32, u32)>> = (0..16)
            .map(|_| {
                tokio::spawn(async move {
                    let (mut answered, mut cut) = (0, 0);
                    while let Ok(mut stream) = TcpStream::connect(address).await {
                        let request = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
                        let mut answer = String::new();
                        let whole = stream.write_all(request.as_bytes()).await.is_ok()
                            && stream.read_to_string(&mut answer).await.is_ok()
                            && answer.ends_with("here");
                        if whole {
                            answered += 1;
                        } else {
                            cut += 1;
                        }
                    }
                    (answered, cut)
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.stop.send(()).unwrap();
        server.task.await.unwrap();
        for client in clients {
            let (answered, cut) = client.await.unwrap();
            assert!(answered > 0);
            assert_eq!(cut, 0);
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_open_may_bring_one_more_request() {
    let server = start().await;
    let mut open = TcpStream::connect(server.address).await.unwrap();
    let before = ask_on(&mut open, "/", "here").await.to_lowercase();
    assert!(!before.contains("connection: close"), "{before}");
    server.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = ask_on(&mut open, "/", "here").await.to_lowercase();
    assert!(after.contains("connection: close"), "{after}");
    assert_eq!(
        open.read(&mut [0]).await.unwrap(),
        0,
        "it is closed in order"
    );
    server.task.await.unwrap();
}

#[tokio::test]
async fn a_router_can_be_exchanged_under_open_connections() {
    let part = ServicePart::new("before").route("/", get(async || "before"));
    let before = assemble(vec![part], Limits::default(), HttpMetrics::default());
    let exchange = Exchange::new(before);
    let server = start_with(exchange.router()).await;
    let mut open = TcpStream::connect(server.address).await.unwrap();
    ask_on(&mut open, "/", "before").await;
    exchange.put(router());
    ask_on(&mut open, "/", "here").await;
    let peer = ask_on(&mut open, "/peer", "127.0.0.1").await;
    assert!(peer.starts_with("HTTP/1.1 200"), "{peer}");
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
}

#[tokio::test]
async fn each_part_answers_at_its_address() {
    let part = |name, path| ServicePart::new(name).route(path, get(async || "here"));
    let parts = || {
        vec![
            part("public", "/public"),
            part("internal", "/internal").only_internal(),
            part("both", "/both").also_internal(),
        ]
    };
    let status = async |router: &Router, path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let apart = Routers::apart(parts(), Limits::default(), HttpMetrics::default());
    let internal = apart.internal.unwrap();
    for (path, public_status, internal_status) in [
        ("/public", 200, 404),
        ("/internal", 404, 200),
        ("/both", 200, 200),
        ("/nowhere", 404, 404),
    ] {
        assert_eq!(status(&apart.public, path).await, public_status, "{path}");
        assert_eq!(status(&internal, path).await, internal_status, "{path}");
    }
    let together = Routers::together(parts(), Limits::default(), HttpMetrics::default());
    assert!(together.internal.is_none());
    for path in ["/public", "/internal", "/both"] {
        assert_eq!(status(&together.public, path).await, 200, "{path}");
    }
}
