//! MQTT over WebSocket (MQTT 3.1.1, section 6): how browsers, and those behind a proxy for HTTP, come to
//! the broker. A client that is in is like one over TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use bytes::{Buf as _, Bytes};
use futures::{SinkExt as _, StreamExt as _};
use smartem_http::auth::PeerAddress;
use smartem_http::{Kind, Problem, ServicePart};
use smartem_mqtt::Door;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The names of MQTT 3.1.1 and 5, and of 3.1, in the registry of subprotocols.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];
/// A message may hold a packet and the beginning of others, in bytes.
const BESIDE: usize = 64 * 1024;
/// So much is read at a time, in bytes.
const READ: usize = 8 * 1024;

/// The part of the server that lets clients in at `/mqtt`.
///
/// The request ends when the connection has become a WebSocket: it holds no place among requests and
/// among connections of HTTP, and no limit of time cuts it. The limits of the broker hold.
pub fn part(door: Door) -> ServicePart {
    ServicePart::new("mqtt").route("/mqtt", get(upgrade).with_state(door))
}

async fn upgrade(
    State(door): State<Door>,
    peer: Option<Extension<PeerAddress>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|_| not_mqtt())?.protocols(PROTOCOLS);
    if upgrade.selected_protocol().is_none() {
        return Err(not_mqtt());
    }
    let Some(place) = door.enter() else {
        let detail = "The broker takes no more connections now; try again later.";
        return Err(Problem::new(Kind::Overloaded, detail));
    };
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = peer.map_or(unknown, |Extension(PeerAddress(peer))| peer);
    let packet = usize::try_from(place.max_packet_bytes()).unwrap_or(usize::MAX);
    let most = packet.saturating_add(BESIDE);
    let upgrade = upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(READ)
        // What is written is whole already.
        .write_buffer_size(0);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let stream = ByteStream::new(socket);
        // Whether a proxy before us encrypts is not known here.
        place.serve(stream, SocketAddr::new(peer, 0), false).await;
    }))
}

fn not_mqtt() -> Problem {
    let detail = "Here clients of MQTT connect over WebSocket (HTTP/1.1, subprotocol `mqtt` or \
                  `mqttv3.1`).";
    Problem::new(Kind::InvalidParameter, detail)
}

/// The bytes in the binary frames of a WebSocket; where a frame ends means nothing (MQTT 3.1.1, 6).
struct ByteStream {
    socket: WebSocket,
    /// What was received and is not read yet.
    rest: Bytes,
}

impl ByteStream {
    fn new(socket: WebSocket) -> Self {
        Self {
            socket,
            rest: Bytes::new(),
        }
    }

    /// Waits until there is something to read; `false` at the end.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.rest.is_empty() {
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // They are answered below us.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    let problem = "text frames are not MQTT";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, problem)));
                }
                Some(Err(problem)) => return Poll::Ready(Err(io::Error::other(problem))),
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(false)),
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if ready!(this.poll_rest(cx))? {
            let length = this.rest.len().min(buffer.remaining());
            buffer.put_slice(&this.rest[..length]);
            this.rest.advance(length);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = &mut self.get_mut().socket;
        ready!(socket.poll_ready_unpin(cx)).map_err(io::Error::other)?;
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        socket.start_send_unpin(frame).map_err(io::Error::other)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &mut self.get_mut().socket;
        socket.poll_flush_unpin(cx).map_err(io::Error::other)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = &mut self.get_mut().socket;
        socket.poll_close_unpin(cx).map_err(io::Error::other)
    }
}
