//! The OGC SensorThings API over the entities of the store: `/sta/v1.1`, `/sta/v1.0` (also at `/gost/v1.0`,
//! where the original platform had it) and, to read only and experimental, `/sta/v2.0`.
//!
//! - `face`: which version answers at which path, and the URL of its root
//! - `call`: one request, as HTTP brings it or a batch
//! - `read`, `change`: what is answered to GET, and to what changes something
//! - `batch`: many calls in one request, as `multipart/mixed` or JSON
//! - `root`: the document that a client begins with
//! - `fault`: errors in the words of the standard
//!
//! What a URL or body means is read by `smartem_sta`, and answers are written by it; the store knows the rest.

mod batch;
mod call;
mod change;
mod face;
mod fault;
mod openapi;
mod patch;
mod read;
mod root;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use smartem_http::auth::{Caller, Guard, PeerAddress};
use smartem_http::{Link, ServicePart};
use smartem_sta::{Author, Version};
use smartem_store::{ReadLimits, Store};

use call::{Call, Reply};
use face::Face;
use fault::Fault;

use crate::{Clock, ServeState};

/// What a body may hold: one entity with those that come with it.
const BODY_MAX: usize = 1024 * 1024;
/// What a body of many observations or requests may hold.
const LARGE_BODY_MAX: usize = 32 * 1024 * 1024;

/// The most entities of a page where the configuration says nothing.
const TOP_MAX: u64 = 10_000;

/// How the service behaves.
#[derive(Clone)]
pub struct SensorThingsSettings {
    /// Where the world reaches the server, without a slash at its end: `https://data.example.org`. `None`: as
    /// each request names it.
    pub public_url: Option<String>,
    /// Who may write; `None`: nobody, unless writing is open.
    pub guard: Option<Guard>,
    /// Whether everybody may write: for tests and closed networks.
    pub open_writing: bool,
    /// Whether the root lists the eight sets of version 1.0 only.
    pub core_only: bool,
    /// The most entities of a page.
    pub top_max: u64,
    /// Where the MQTT extension is reached: `mqtt://data.example.org:1883`. `{host}` in it stands for the host of
    /// the root of the service, and `{ws}` for the address of its server over WebSocket.
    pub mqtt: Vec<String>,
}

impl Default for SensorThingsSettings {
    /// Reading only, with pages of at most 10,000 entities.
    fn default() -> Self {
        Self {
            public_url: None,
            guard: None,
            open_writing: false,
            core_only: false,
            top_max: TOP_MAX,
            mqtt: Vec::new(),
        }
    }
}

/// The service.
struct Sta {
    store: Store,
    clock: Clock,
    settings: SensorThingsSettings,
    /// The version of the program, of which tags of answers are made.
    version: String,
}

impl Sta {
    /// How much an answer of a version may read.
    fn limits(&self, version: Version) -> ReadLimits {
        ReadLimits {
            top_max: self.settings.top_max,
            multi_apart: version.is_1(),
            ..ReadLimits::at((self.clock)())
        }
    }

    /// In whose name a call writes.
    ///
    /// # Errors
    /// 401 or 403 where it may not.
    async fn author(&self, call: &Call) -> Result<Author, Fault> {
        call.who.author(&self.settings).await
    }
}

pub(crate) fn part(state: &ServeState) -> ServicePart {
    let settings = state.sensorthings.clone();
    if settings.open_writing {
        tracing::warn!(
            "everybody may write through SensorThings: `serve.sensorthings.open_writing` is true"
        );
    }
    let sta = Arc::new(Sta {
        store: state.store.clone(),
        clock: state.clock.clone(),
        settings,
        version: state.viewer.version.clone(),
    });
    let link = |href, title| Link {
        rel: "item",
        href,
        media_type: "application/json",
        title,
    };
    let mut part = ServicePart::new("sensorthings")
        .openapi(openapi::document())
        .body_limit(LARGE_BODY_MAX)
        .dialect(fault::in_dialect)
        .link(link("/sta/v1.1", "OGC SensorThings API 1.1"))
        .link(link("/sta/v1.0", "OGC SensorThings API 1.0"))
        .link(link(
            "/sta/v2.0",
            "OGC SensorThings API 2.0, experimental, to read only",
        ));
    for face in &face::ALL {
        let state = (Arc::clone(&sta), face);
        let methods = || any(answer).with_state(state.clone());
        part = part
            .route(face.prefix, methods())
            .route(face.with_slash, methods())
            .route_below(face.below, face.described, methods());
    }
    part
}

/// Answers any request below a face.
async fn answer(
    State((sta, face)): State<(Arc<Sta>, &'static Face)>,
    caller: Caller,
    request: Request,
) -> Response {
    let is_head = request.method() == Method::HEAD;
    let reply = match receive(&sta, face, caller, request).await {
        Ok(call) => call::answer(&sta, call).await,
        Err(fault) => fault.reply(),
    };
    let (mut head, bytes) = reply.into_parts();
    if face.version == Version::V2_0 {
        let version = HeaderValue::from_static("4.01");
        head.headers.insert("odata-version", version);
    }
    if is_head {
        head.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

/// Takes a request in, with its body.
async fn receive(
    sta: &Sta,
    face: &'static Face,
    caller: Caller,
    request: Request,
) -> Result<Call, Fault> {
    let (parts, body) = request.into_parts();
    let peer = parts.extensions.get().map(|PeerAddress(peer)| *peer);
    let root = face.root(sta.settings.public_url.as_deref(), &parts.headers, peer);
    let path = face.rest(parts.uri.path()).to_owned();
    let most = if matches!(path.as_str(), call::BATCH | change::CREATE_OBSERVATIONS) {
        LARGE_BODY_MAX
    } else {
        BODY_MAX
    };
    let body: Bytes = match parts.method {
        Method::GET | Method::HEAD => Bytes::new(),
        _ => to_bytes(body, most)
            .await
            .map_err(|_| Fault::body_too_large(most))?,
    };
    Ok(Call {
        version: face.version,
        root,
        method: parts.method,
        path,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        who: call::Who::Caller(caller),
    })
}

/// A reply with a body of this type.
fn reply(status: axum::http::StatusCode, media_type: &'static str, bytes: Vec<u8>) -> Reply {
    let mut reply = Reply::new(bytes.into());
    *reply.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    reply.headers_mut().insert(header::CONTENT_TYPE, media_type);
    reply
}
