use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
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
    /// There is no such resource, or it names something that is not there.
    NotFound,
    /// The resource does not answer this method.
    MethodNotAllowed,
    /// The body of the request is larger than is taken.
    BodyTooLarge,
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

    /// After how many seconds it is worth trying again.
    fn retry_after(self) -> Option<HeaderValue> {
        matches!(self, Self::Overloaded | Self::TimedOut | Self::Unavailable)
            .then(|| HeaderValue::from_static("5"))
    }
}

/// What went wrong with a request.
///
/// The detail goes to the client and says the place, the value and the remedy; the cause goes to
/// the log only. A response made of it carries the problem along, so that the layers of
/// [`assemble`](crate::assemble) add the request id, and a service may write it in its own dialect.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: String,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem that the client can do something about.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            cause: None,
        }
    }

    /// A fault of the server.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        let detail = "The cause is in the log of the server, under the request id in `instance`.";
        Self::new(Kind::Internal, detail).because(cause)
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
    pub(crate) fn cause(&self) -> Option<String> {
        let cause = self.cause.as_ref()?;
        let mut text = cause.to_string();
        let mut deeper = cause.source();
        while let Some(error) = deeper {
            let _ = write!(text, ": {error}");
            deeper = error.source();
        }
        Some(text)
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
        let mut set = |name: HeaderName, value: HeaderValue| headers.insert(name, value);
        set(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.kind.retry_after() {
            set(header::RETRY_AFTER, seconds);
        }
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
