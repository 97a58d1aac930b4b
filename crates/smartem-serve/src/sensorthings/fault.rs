//! Errors in the form of OData, with what FROST's clients look for beside it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use smartem_http::{Kind, Problem, RequestId};
use smartem_sta::SyntaxError;
use smartem_sta::write::{Body, WriteError};
use smartem_store::StaError;

use super::call::Reply;
use crate::answer::store_fault;

/// Why a call was not answered as it was asked.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    message: String,
    /// The option or header that it is about.
    target: Option<String>,
    /// Which character of it, from 1.
    position: Option<usize>,
    /// What is answered instead.
    allow: Option<&'static str>,
    /// With headers of its own and what the log must be told.
    problem: Option<Box<Problem>>,
}

impl Fault {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            target: None,
            position: None,
            allow: None,
            problem: None,
        }
    }

    /// 400.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// 405, with the methods that are answered.
    pub(super) fn method(method: &str, allow: &'static str) -> Self {
        let message = format!("{method} is not answered here; {allow} are.");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
        }
    }

    /// 413.
    pub(super) fn body_too_large(most: usize) -> Self {
        let mebibytes = most / (1024 * 1024);
        let message = format!(
            "the body is larger than the {mebibytes} MiB that are taken here; send it in smaller parts"
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// Says which option or header it is about.
    pub(super) fn about(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Says at which character of which option.
    pub(super) fn at(self, option: &str, character: usize) -> Self {
        Self {
            position: Some(character),
            ..self.about(option)
        }
    }

    /// A path that leads nowhere.
    pub(super) fn of_path(error: SyntaxError) -> Self {
        Self {
            position: error.at,
            target: Some("path".to_owned()),
            ..Self::not_found(error.message)
        }
    }

    /// What it says.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The error as a reply, which carries a problem along for the log.
    pub(super) fn reply(self) -> Reply {
        let body = body(
            self.status,
            &self.message,
            self.target.as_deref(),
            self.position,
            None,
        );
        let bytes = body.to_string().into_bytes();
        let mut reply = super::reply(self.status, Body::JSON, bytes);
        if let Some(allow) = self.allow {
            let allow = HeaderValue::from_static(allow);
            reply.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(problem) = self.problem {
            problem.set_headers(reply.headers_mut());
            reply.extensions_mut().insert(*problem);
        }
        reply
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Some(Box::new(problem.clone())),
            ..Self::new(problem.kind().status(), problem.detail())
        }
    }
}

/// Of a query.
impl From<SyntaxError> for Fault {
    fn from(error: SyntaxError) -> Self {
        Self {
            target: error.option,
            position: error.at,
            ..Self::invalid(error.message)
        }
    }
}

impl From<StaError> for Fault {
    fn from(error: StaError) -> Self {
        let message = error.to_string();
        match error {
            StaError::NotFound { .. } => Self::not_found(message),
            // The place is that within one of several options, which the error does not name.
            StaError::Invalid { .. } | StaError::TooMuch { .. } => Self::invalid(message),
            StaError::Conflict { .. } => Self::new(StatusCode::CONFLICT, message),
            StaError::Forbidden { .. } => Self::new(StatusCode::FORBIDDEN, message),
            StaError::Store(error) => store_fault(error).into(),
            other => Problem::internal(other).into(),
        }
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        let message = error.to_string();
        match error {
            WriteError::NoEntity | WriteError::NoMember(_) => Self::not_found(message),
            WriteError::Null => Self::new(StatusCode::NO_CONTENT, message),
            WriteError::Form(_) => Self::invalid(message).about("$resultFormat"),
            other => Problem::internal(other).into(),
        }
    }
}

/// The problem of a layer around the service, in its words.
pub(super) fn in_dialect(problem: &Problem, id: Option<&RequestId>) -> Response {
    let status = problem.kind().status();
    // Only of a fault of the server is there more in its log.
    let id = id.filter(|_| problem.kind() == Kind::Internal);
    let body = body(status, problem.detail(), None, None, id);
    let media_type = HeaderValue::from_static(Body::JSON);
    let media_type = [(header::CONTENT_TYPE, media_type)];
    let mut response = (status, media_type, body.to_string()).into_response();
    problem.set_headers(response.headers_mut());
    response
}

fn body(
    status: StatusCode,
    message: &str,
    target: Option<&str>,
    position: Option<usize>,
    id: Option<&RequestId>,
) -> Value {
    let code = status.as_str();
    let mut error = json!({"code": code, "message": message});
    if let Some(target) = target {
        error["target"] = target.into();
    }
    let mut details = Vec::new();
    if let Some(position) = position {
        details.push(json!({"code": "position", "message": format!("character {position}")}));
    }
    if let Some(id) = id {
        details.push(json!({"code": "request", "message": id.as_str()}));
    }
    if !details.is_empty() {
        error["details"] = details.into();
    }
    json!({"error": error, "code": status.as_u16(), "type": "error", "message": message})
}
