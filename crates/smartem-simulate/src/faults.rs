//! A bad line in front of a server: a proxy that lets answers go wrong, by the roll of a seeded die.
//!
//! It stands between a harvester and the remote it reads. What it does to an answer, [`Fault`] lists. It
//! also counts how many requests were under way at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

use crate::chance::{Purpose, Stream};

/// What can become of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No answer before any client has given up.
    Timeout,
    /// The connection breaks in the middle of the body.
    Reset,
    /// 429, with `Retry-After: 0`.
    TooManyRequests,
    /// 500.
    ServerError,
    /// 503, with `Retry-After: 0`.
    Unavailable,
    /// A whole body that is only the beginning of the real one.
    Truncated,
    /// A whole body of another kind: the page of a proxy, with 200.
    OtherPage,
    /// JSON that is not what was asked for.
    OtherJson,
    /// The right body, declared as something else.
    ContentType,
    /// Lists in another order, with repeated entries.
    Scrambled,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Timeout,
        Self::Reset,
        Self::TooManyRequests,
        Self::ServerError,
        Self::Unavailable,
        Self::Truncated,
        Self::OtherPage,
        Self::OtherJson,
        Self::ContentType,
        Self::Scrambled,
    ];
}

/// The switch and the counters of a bad line.
#[derive(Debug)]
pub struct Line {
    upstream: String,
    client: reqwest::Client,
    chance: Stream,
    percent: u64,
    faults: Vec<Fault>,
    is_bad: AtomicBool,
    rolled: AtomicU64,
    injected: AtomicU64,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Line {
    /// A line to the server at `upstream` (scheme, host and port) on which so many per cent of the
    /// answers meet one of these faults.
    pub fn new(upstream: &str, seed: u64, percent: u64, faults: &[Fault]) -> Self {
        Self {
            upstream: upstream.trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
            chance: Stream::new(seed, 0, Purpose::Event),
            percent,
            faults: faults.to_vec(),
            is_bad: AtomicBool::new(true),
            rolled: AtomicU64::new(0),
            injected: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        }
    }

    /// Whether faults happen from now on.
    pub fn set_bad(&self, is_bad: bool) {
        self.is_bad.store(is_bad, Ordering::SeqCst);
    }

    /// How many faults happened.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::SeqCst)
    }

    /// The most requests that were under way at the same time.
    pub fn most_under_way(&self) -> usize {
        self.most_under_way.load(Ordering::SeqCst)
    }

    fn roll(&self) -> (Option<Fault>, u64) {
        let roll = self.rolled.fetch_add(1, Ordering::SeqCst);
        let luck = self.chance.bits(roll.cast_signed());
        let meets = self.is_bad.load(Ordering::SeqCst) && luck % 100 < self.percent;
        if !meets || self.faults.is_empty() {
            return (None, luck);
        }
        self.injected.fetch_add(1, Ordering::SeqCst);
        let which = (luck / 100) as usize % self.faults.len();
        (Some(self.faults[which]), luck)
    }
}

/// The proxy.
pub fn router(line: Arc<Line>) -> Router {
    Router::new().fallback(pass).with_state(line)
}

/// Counts a request while it is under way.
struct UnderWay<'a>(&'a Line);

impl<'a> UnderWay<'a> {
    fn new(line: &'a Line) -> Self {
        let now = line.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        line.most_under_way.fetch_max(now, Ordering::SeqCst);
        Self(line)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn pass(State(line): State<Arc<Line>>, request: Request) -> Response {
    let _under_way = UnderWay::new(&line);
    let (fault, luck) = line.roll();
    match fault {
        Some(Fault::Timeout) => tokio::time::sleep(Duration::from_secs(3600)).await,
        Some(Fault::TooManyRequests) => return come_back(StatusCode::TOO_MANY_REQUESTS),
        Some(Fault::ServerError) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Unavailable) => return come_back(StatusCode::SERVICE_UNAVAILABLE),
        _ => {}
    }
    match fetch(&line, request).await {
        Ok((status, headers, body)) if status == StatusCode::OK => {
            spoilt(fault, luck, status, headers, body)
        }
        Ok((status, headers, body)) => (status, headers, body).into_response(),
        Err(problem) => (StatusCode::BAD_GATEWAY, problem).into_response(),
    }
}

fn come_back(status: StatusCode) -> Response {
    (status, [(header::RETRY_AFTER, "0")]).into_response()
}

async fn fetch(line: &Line, request: Request) -> Result<(StatusCode, HeaderMap, Bytes), String> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|e| e.to_string())?;
    // The host stays the one that was asked, so that addresses in answers lead through this line.
    let answer = line
        .client
        .request(parts.method, format!("{}{path}", line.upstream))
        .headers(parts.headers)
        .body(body)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ] {
        headers.remove(name);
    }
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    Ok((status, headers, body))
}

fn spoilt(
    fault: Option<Fault>,
    luck: u64,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_json = serde_json::from_slice::<Value>(&body).is_ok();
    let cut = (luck / 1000) as usize % body.len().max(1);
    let body = match fault {
        Some(Fault::Reset) => return broken(status, headers, &body, cut),
        // Of a table nobody can see that its end is missing.
        Some(Fault::Truncated) if is_json => body.slice(..cut),
        Some(Fault::OtherPage) if is_json => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
            Bytes::from_static(b"<!doctype html><title>Please log in</title>")
        }
        Some(Fault::OtherJson) if is_json => Bytes::from_static(b"{\"message\":\"moved\"}"),
        Some(Fault::ContentType) => {
            let other = HeaderValue::from_static("application/octet-stream");
            headers.insert(header::CONTENT_TYPE, other);
            body
        }
        Some(Fault::Scrambled) => scrambled(&body, luck).unwrap_or(body),
        _ => body,
    };
    (status, headers, body).into_response()
}

/// An answer that announces its whole body and breaks off in it.
fn broken(status: StatusCode, mut headers: HeaderMap, body: &Bytes, cut: usize) -> Response {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let begun = body.slice(..cut);
    let pieces = futures::stream::iter([
        Ok(begun),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ]);
    (status, headers, Body::from_stream(pieces)).into_response()
}

/// The outermost list of a document turned round, its first entry twice.
fn scrambled(body: &[u8], luck: u64) -> Option<Bytes> {
    let mut document: Value = serde_json::from_slice(body).ok()?;
    let list = match &mut document {
        Value::Array(list) => list,
        Value::Object(members) => {
            let plain =
                |name: &str| ["devices", "days", "hours", "value", "values"].contains(&name);
            let (_, list) = members.iter_mut().find(|(name, _)| plain(name))?;
            list.as_array_mut()?
        }
        _ => return None,
    };
    let first = list.first()?.clone();
    list.push(first);
    let by = (luck / 10_000) as usize % list.len();
    list.rotate_left(by);
    list.reverse();
    Some(document.to_string().into())
}
