//! The beginning of a connection: CONNECT, login, session.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use bytestring::ByteString;
use rmqtt_codec::types::Publish;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::authority::{Login, LoginRefused};
use super::hub::{Full, Hub, count};
use super::packet::{Codec, Connect, Welcome};
use super::session::{Session, SessionKey};

/// A connection whose client is known.
pub(super) struct Accepted {
    pub(super) codec: Codec,
    pub(super) input: BytesMut,
    pub(super) session: Arc<Session>,
    /// The number of the connection within its session.
    pub(super) number: u64,
    /// Cancelled when another connection takes the session over.
    pub(super) taken_over: CancellationToken,
    pub(super) keep_alive: Duration,
    /// How long the session outlives the connection.
    pub(super) keep: Duration,
    pub(super) will: Option<Publish>,
    /// So many messages of QoS 1 the client takes at once.
    pub(super) window: usize,
    /// The largest packet that the client takes, in bytes.
    pub(super) max_packet: usize,
    /// The place of a guest.
    pub(super) _guest: Option<OwnedSemaphorePermit>,
}

/// Reads CONNECT and answers it; `None` where there will be no connection.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    hub: &Hub,
    stream: &mut S,
    peer: SocketAddr,
    encrypted: bool,
) -> Option<Accepted> {
    let mut input = BytesMut::with_capacity(1024);
    let Some((mut codec, connect)) = read_connect(hub, stream, &mut input).await else {
        count(&hub.counters.faults, 1);
        return None;
    };
    let assigned = connect.client_id.is_empty();
    let client: Arc<str> = if assigned {
        format!("auto-{:016x}", rand::random::<u64>()).into()
    } else {
        (&*connect.client_id).into()
    };
    let login = Login {
        client: &client,
        user: connect.user.as_deref(),
        password: connect.password.as_deref(),
        peer,
        encrypted,
    };
    let mut output = BytesMut::new();
    let user = match hub.authority.connect(login).await {
        Ok(user) => user,
        Err(why) => {
            count(&hub.counters.logins_refused, 1);
            tracing::debug!(%peer, client = &*client, ?why, "login refused");
            codec.refuse_login(why, &mut output).ok()?;
            send(stream, &output).await?;
            return None;
        }
    };
    let is_guest = hub.authority.is_guest(&user);
    let key = SessionKey {
        user,
        client: client.clone(),
    };
    let Ok((guest, session, session_present)) = room(hub, is_guest, &key, connect.clean) else {
        count(&hub.counters.turned_away, 1);
        codec
            .refuse_login(LoginRefused::Unavailable, &mut output)
            .ok()?;
        send(stream, &output).await?;
        return None;
    };
    let mut limits = Limits::of(hub, &connect, codec.is_v5());
    if is_guest {
        limits.keep = Duration::ZERO;
    }
    if !limits.keep.is_zero()
        && let Err(problem) = hub.keep(&session).await
    {
        tracing::warn!(%problem, "an MQTT session cannot be noted; it will not outlive a restart");
    }
    let welcome = Welcome {
        session_present,
        assigned_id: assigned.then(|| ByteString::from(&*client)),
        keep_alive_s: limits.told_keep_alive_s,
        expiry_s: u32::try_from(limits.keep.as_secs()).unwrap_or(u32::MAX),
        receive_max: NonZeroU16::new(hub.settings.max_inflight).unwrap_or(NonZeroU16::MIN),
        max_packet: hub.settings.max_packet_bytes,
    };
    codec.welcome(welcome, &mut output).ok()?;
    send(stream, &output).await?;
    // Only now: a client that does not take its welcome takes nothing from another.
    let (number, taken_over) = session.attach();
    Some(Accepted {
        codec,
        input,
        session,
        number,
        taken_over,
        keep_alive: limits.keep_alive,
        keep: limits.keep,
        will: connect.will,
        window: usize::from(connect.receive_max.min(hub.settings.max_inflight.max(1))),
        max_packet: connect.max_packet.map_or(usize::MAX, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX)
        }),
        _guest: guest,
    })
}

type Room = (Option<OwnedSemaphorePermit>, Arc<Session>, bool);

/// The place of a guest, the session, and whether that was there before.
fn room(hub: &Hub, is_guest: bool, key: &SessionKey, clean: bool) -> Result<Room, Full> {
    let guest = if is_guest { Some(hub.guest()?) } else { None };
    let (session, session_present) = hub.session(key, clean)?;
    Ok((guest, session, session_present))
}

struct Limits {
    keep_alive: Duration,
    told_keep_alive_s: Option<u16>,
    keep: Duration,
}

impl Limits {
    /// MQTT 5 tells the client which keep-alive it must keep. A client of MQTT 3.1.1 keeps the one it
    /// asked for; where it asked for none, it is dead when it has been silent for the longest one.
    fn of(hub: &Hub, connect: &Connect, is_v5: bool) -> Self {
        let longest = hub.settings.max_keep_alive_s.max(1);
        let asked = connect.keep_alive_s;
        let told = (is_v5 && (asked == 0 || asked > longest)).then_some(longest);
        let holds = match (told, asked) {
            (Some(told), _) => told,
            (None, 0) => longest,
            (None, asked) => asked,
        };
        let longest_session = hub.settings.session_expiry;
        let keep = connect.expiry_s.map_or(longest_session, |seconds| {
            longest_session.min(Duration::from_secs(u64::from(seconds)))
        });
        Self {
            // One and a half times the keep-alive (MQTT 3.1.1, 3.1.2.10).
            keep_alive: Duration::from_secs(u64::from(holds)) * 3 / 2,
            told_keep_alive_s: told,
            keep,
        }
    }
}

async fn read_connect<S: AsyncRead + Unpin>(
    hub: &Hub,
    stream: &mut S,
    input: &mut BytesMut,
) -> Option<(Codec, Connect)> {
    let mut codec = loop {
        if let Some(codec) = Codec::detect(input, hub.settings.max_packet_bytes).ok()? {
            break codec;
        }
        read(stream, input).await?;
    };
    loop {
        if let Some(connect) = codec.connect(input).ok()? {
            return Some((codec, connect));
        }
        read(stream, input).await?;
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S, input: &mut BytesMut) -> Option<()> {
    let length = stream.read_buf(input).await.ok()?;
    (length > 0).then_some(())
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, output: &[u8]) -> Option<()> {
    stream.write_all(output).await.ok()?;
    stream.flush().await.ok()
}
