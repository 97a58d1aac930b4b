//! The layers around every route, each a function from request to response.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::request_id::{self, RequestId};
use crate::{Dialect, HttpMetrics, Kind, Problem, Readiness, shorten};

/// Gives the request its id, counts it and writes its line in the log.
pub(crate) async fn observe(
    State(metrics): State<HttpMetrics>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(matched) => matched.as_str().to_owned(),
        None => "unmatched".to_owned(),
    };
    let path = request.uri().path();
    let span = info_span!("request", id = id.as_str(), %method, path = %shorten(path));
    request.extensions_mut().insert(id.clone());

    let mut response = next.run(request).instrument(span.clone()).await;

    let duration = began.elapsed();
    let status = response.status();
    metrics.record(&method, &route, status.as_u16(), duration);
    let milliseconds = duration.as_secs_f64() * 1000.0;
    span.in_scope(|| match status.as_u16() {
        500.. => warn!(status = status.as_u16(), milliseconds, "request failed"),
        400.. => info!(status = status.as_u16(), milliseconds, "request refused"),
        _ => debug!(status = status.as_u16(), milliseconds, "request answered"),
    });
    if let Some(value) = id.header_value() {
        response.headers_mut().insert(request_id::HEADER, value);
    }
    response
}

/// Writes problems with the request id, and their causes to the log.
pub(crate) async fn render_problems(request: Request, next: Next) -> Response {
    render(Problem::to_json, request, next).await
}

/// The same in the words of one part.
pub(crate) async fn render_in_dialect(
    State(dialect): State<Dialect>,
    request: Request,
    next: Next,
) -> Response {
    render(dialect, request, next).await
}

async fn render(dialect: Dialect, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        // The layer that limits bodies knows no problems; a part that does limits them itself.
        None if of_limit(&response) => body_too_large(),
        None => return response,
    };
    if let Some(cause) = problem.cause() {
        error!(cause, "request met a fault");
    }
    let mut rendered = dialect(&problem, id.as_ref());
    keep_header(response.headers(), &mut rendered, header::ALLOW);
    rendered.extensions_mut().insert(Told);
    rendered
}

/// On a response that tells of a problem in somebody's words.
#[derive(Clone)]
struct Told;

/// The fewest rights that the pages need: own files, map tiles from elsewhere, styles set by scripts.
const POLICY: &str = "default-src 'self'; img-src 'self' data: https:; \
    style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

pub(crate) async fn add_security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses a request at once when as many as may be are being answered.
pub(crate) async fn limit_requests(
    State(places): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_place) = places.try_acquire() else {
        let detail = "The server answers as many requests as it can; try again in some seconds.";
        return Problem::new(Kind::Overloaded, detail).into_response();
    };
    next.run(request).await
}

pub(crate) async fn limit_time(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    if let Ok(response) = tokio::time::timeout(limit, next.run(request)).await {
        return response;
    }
    let seconds = limit.as_secs_f64();
    let detail = format!("The answer took longer than {seconds} s; ask for less at a time.");
    Problem::new(Kind::TimedOut, detail).into_response()
}

pub(crate) async fn not_found(request: Request) -> Problem {
    let path = shorten(request.uri().path()).into_owned();
    let detail = format!("There is nothing at `{path}`; /api/v1/ lists what there is.");
    Problem::new(Kind::NotFound, detail)
}

pub(crate) async fn not_found_internally(request: Request) -> Problem {
    let path = shorten(request.uri().path()).into_owned();
    let detail = format!(
        "There is nothing at `{path}` on this address, which is for probes and monitoring; the public \
         address has the services."
    );
    Problem::new(Kind::NotFound, detail)
}

pub(crate) async fn method_not_allowed(request: Request) -> Problem {
    let method = shorten(request.method().as_str()).into_owned();
    let detail = format!("`{method}` is not answered here; the header `Allow` names what is.");
    Problem::new(Kind::MethodNotAllowed, detail)
}

#[derive(Debug)]
struct Panicked(String);

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the layer hands the panic over"
)]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "without a message".to_owned(),
    };
    Problem::internal(Panicked(text)).into_response()
}

/// Says that this is the last answer on a connection when the server is going down, so that clients
/// bring their next request elsewhere.
pub(crate) async fn close_when_stopping(
    State(readiness): State<Readiness>,
    request: Request,
    next: Next,
) -> Response {
    // Later versions say it in frames of their own.
    let has_header = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    // A connection that becomes something else is none of HTTP any more.
    let goes_on = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if has_header && !goes_on && readiness.is_stopping() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

fn of_limit(response: &Response) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let json = media_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let is_told = response.extensions().get::<Told>().is_some();
    response.status() == StatusCode::PAYLOAD_TOO_LARGE && !json && !is_told
}

fn body_too_large() -> Problem {
    let detail = "The body of the request is larger than is taken here; send it in smaller parts.";
    Problem::new(Kind::BodyTooLarge, detail)
}

fn keep_header(from: &HeaderMap, to: &mut Response, name: HeaderName) {
    if let Some(value) = from.get(&name) {
        to.headers_mut().insert(name, value.clone());
    }
}
