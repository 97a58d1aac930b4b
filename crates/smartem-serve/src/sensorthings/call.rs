//! One request to a face, as HTTP brings it or a batch.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode, header};
use bytes::Bytes;
use smartem_http::auth::{Caller, Right};
use smartem_sta::{Author, Version};

use super::fault::Fault;
use super::{SensorThingsSettings, Sta, batch, change, read, root};

/// A request.
pub(super) struct Call {
    pub(super) version: Version,
    /// The URL of the face, without a slash at its end.
    pub(super) root: Arc<str>,
    pub(super) method: Method,
    /// What follows the face, still percent-encoded, without slashes around it.
    pub(super) path: String,
    /// The query string, still percent-encoded.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) who: Who,
}

/// What is answered.
pub(super) type Reply = axum::http::Response<Bytes>;

/// Who sends a call.
#[derive(Clone)]
pub(super) enum Who {
    /// As far as the request says.
    Caller(Caller),
    /// Who may write was found out for the whole batch.
    Author(Author),
}

impl Who {
    pub(super) async fn author(&self, settings: &SensorThingsSettings) -> Result<Author, Fault> {
        let caller = match self {
            Self::Author(author) => return Ok(author.clone()),
            Self::Caller(caller) => caller,
        };
        let is_open = settings.open_writing && !caller.has_credentials();
        let guard = match &settings.guard {
            _ if is_open => return Ok(Author::default()),
            None if settings.open_writing => return Ok(Author::default()),
            Some(guard) => guard,
            None => {
                let message = "Nothing can be written here: no tokens are configured.";
                return Err(Fault::new(StatusCode::FORBIDDEN, message));
            }
        };
        let principal = guard.identify(caller).await?;
        principal.demand(Right::Write, principal.project.as_deref())?;
        Ok(Author {
            project: principal.project,
        })
    }
}

impl Call {
    /// The media type of the body, without parameters and in lower case; empty when there is none.
    pub(super) fn media_type(&self) -> String {
        let value = self.header(header::CONTENT_TYPE.as_str());
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().to_ascii_lowercase()
    }

    /// A header; empty when it is not there or no text.
    pub(super) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Whether the client wants no body in the answer (RFC 7240).
    pub(super) fn wants_nothing_back(&self) -> bool {
        let prefers = self.header("prefer").split([',', ';']);
        prefers.map(str::trim).any(|it| it == "return=minimal")
    }

    fn is_read(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}

/// Where batches go.
pub(super) const BATCH: &str = "$batch";

/// The methods of a face that only reads.
const READ: &str = "GET, HEAD";
const POST: &str = "POST";

/// Answers a call; an error is an answer as well.
pub(super) async fn answer(sta: &Sta, call: Call) -> Reply {
    let method = call.method.as_str();
    let answered = match call.path.as_str() {
        "" if call.is_read() => Ok(root::answer(sta, &call)),
        "" => Err(Fault::method(method, READ)),
        BATCH | change::CREATE_OBSERVATIONS if call.version.is_1() => match call.path.as_str() {
            _ if call.method != Method::POST => Err(Fault::method(method, POST)),
            BATCH => batch::answer(sta, &call).await,
            _ => change::answer(sta, &call).await,
        },
        _ if call.is_read() => read::answer(sta, &call).await,
        _ if !call.version.is_1() => Err(Fault::method(method, READ)),
        _ => change::answer(sta, &call).await,
    };
    answered.unwrap_or_else(Fault::reply)
}
