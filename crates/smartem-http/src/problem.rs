use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::RequestId;

/// The kinds of problems; the list is closed, and each has its status and title here only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A parameter has a value that cannot be used.
    InvalidParameter,
    /// A parameter that the resource does not have.
    UnknownParameter,
    /// The body of the request is not what is taken here.
    InvalidBody,
    /// Nobody is known by the credentials of the request, or it has none.
    Unauthorized,
    /// Who sends the request may not do this.
    Forbidden,
    /// There is no such resource, or it names something that is not there.
    NotFound,
    /// The resource does not answer this method.
    MethodNotAllowed,
    /// The body of the request is larger than is taken.
    BodyTooLarge,
    /// More requests than one client may send.
    TooManyRequests,
    /// More requests at a time than the server takes.
    Overloaded,
    /// The answer took too long.
    TimedOut,
    /// Something the answer needs is not there now.
    Unavailable,
    /// A fault of the server.
    Internal,
}

impl Kind {
    fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidParameter => (
                StatusCode::BAD_REQUEST,
                "urn:smartem:problem:invalid-parameter",
                "A parameter cannot be used",
            ),
            Self::UnknownParameter => (
                StatusCode::BAD_REQUEST,
                "urn:smartem:problem:unknown-parameter",
                "There is no such parameter",
            ),
            Self::InvalidBody => (
                StatusCode::BAD_REQUEST,
                "urn:smartem:problem:invalid-body",
                "The body cannot be used",
            ),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "urn:smartem:problem:unauthorized",
                "Credentials are needed",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "urn:smartem:problem:forbidden",
                "This is not allowed",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "urn:smartem:problem:not-found",
                "There is nothing here",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "urn:smartem:problem:method-not-allowed",
                "This method is not answered here",
            ),
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "urn:smartem:problem:body-too-large",
                "The body is too large",
            ),
            Self::TooManyRequests => (
                StatusCode::TOO_MANY_REQUESTS,
                "urn:smartem:problem:too-many-requests",
                "Too many requests from one client",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:smartem:problem:overloaded",
                "Too many requests at a time",
            ),
            Self::TimedOut => (
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:smartem:problem:timed-out",
                "The answer took too long",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "urn:smartem:problem:unavailable",
                "Not ready to answer",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "urn:smartem:problem:internal",
                "The server failed",
            ),
        }
    }

    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        self.facts().0
    }

    /// A URI that names the kind.
    pub fn uri(self) -> &'static str {
        self.facts().1
    }

    /// The kind in words.
    pub fn title(self) -> &'static str {
        self.facts().2
    }

    /// After how many seconds it is worth trying again, where nothing better is known.
    fn retry_after(self) -> Option<u64> {
        let passes = matches!(
            self,
            Self::Overloaded | Self::TimedOut | Self::Unavailable | Self::TooManyRequests
        );
        passes.then_some(5)
    }
}

/// How credentials may be sent (RFC 9110, 11.6.1).
const CHALLENGES: [&str; 2] = [
    "Bearer realm=\"smartem\"",
    "Basic realm=\"smartem\", charset=\"UTF-8\"",
];

/// What went wrong with a request.
///
/// The detail goes to the client and says the place, the value and the remedy; the cause goes to
/// the log only. A response made of it carries the problem along, so that the layers of
/// [`assemble`](crate::assemble) add the request id, and a service may write it in its own dialect.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    retry_after: Option<u64>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem that the client can do something about.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after: kind.retry_after(),
            cause: None,
        }
    }

    /// A fault of the server.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "The cause is in the log of the server, under the request id in `instance`.";
        Self::new(Kind::Internal, detail).because(cause)
    }

    /// Says when it is worth trying again, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let started = u64::from(wait.subsec_nanos() > 0);
        self.retry_after = Some(wait.as_secs().saturating_add(started).max(1));
        self
    }

    /// Adds what the log should say.
    #[must_use]
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// What kind of problem.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What exactly, safe to send.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The cause with its own causes, for the log.
    pub fn cause(&self) -> Option<String> {
        let cause = self.cause.as_ref()?;
        let mut text = cause.to_string();
        let mut deeper = cause.source();
        while let Some(error) = deeper {
            let _ = write!(text, ": {error}");
            deeper = error.source();
        }
        Some(text)
    }

    /// The headers that the kind of problem asks for, whatever the dialect: `Retry-After`,
    /// `WWW-Authenticate` and `Cache-Control`.
    pub fn set_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthorized {
            for challenge in CHALLENGES {
                let value = HeaderValue::from_static(challenge);
                headers.append(header::WWW_AUTHENTICATE, value);
            }
        }
    }

    /// The problem in the dialect of RFC 9457.
    pub fn to_json(&self, id: Option<&RequestId>) -> Response {
        let body = ProblemBody {
            kind: self.kind.uri(),
            title: self.kind.title(),
            status: self.kind.status().as_u16(),
            detail: &self.detail,
            instance: id.map(RequestId::as_str),
        };
        // A struct of texts and a number always has a JSON form.
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.kind.status();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        self.set_headers(headers);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.to_json(None);
        response.extensions_mut().insert(self);
        response
    }
}

/// What went wrong with a request, after RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    kind: &'a str,
    /// The kind in words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What exactly, with the remedy.
    detail: &'a str,
    /// The request id, to be quoted to whoever runs the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}
