use std::time::{Duration, Instant};

use axum::Extension;
use axum::routing::get;
use smartem_http::auth::PeerAddress;
use smartem_http::{HttpMetrics, Limits, Readiness, ServicePart, assemble, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Server {
    address: std::net::SocketAddr,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn start() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let part = ServicePart::new("test")
        .route("/", get(async || "here"))
        .route("/peer", get(peer))
        .route("/slow", get(slow));
    let router = assemble(vec![part], Limits::default(), HttpMetrics::default());
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
