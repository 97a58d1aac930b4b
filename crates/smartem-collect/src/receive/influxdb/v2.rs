//! The write face of InfluxDB 2.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use smartem_http::auth::Caller;
use smartem_http::{Kind, Problem};
use smartem_points::line_protocol::Dialect;
use smartem_store::PointsError;

use super::Face;
use super::answer::{answer, json_string, quoted};
use super::body::BodyError;
use super::intake::{Failure, Outcome, Query, Target, admit, precision, take_in};

const X_ERROR_CODE: HeaderName = HeaderName::from_static("x-platform-error-code");

/// Takes lines in, as InfluxDB 2 does; a bucket is a database.
#[utoipa::path(post, path = "/api/v2/write", tag = "collector", params(
    ("bucket" = String, Query, description = "The database, also as `database/autogen`"),
    ("org" = Option<String>, Query, description = "Not looked at"),
    ("precision" = Option<String>, Query, description = "The unit of times: ns, us, ms or s; ns if not given"),
), request_body(content = String, content_type = "text/plain", description = "Line protocol, also packed with gzip"),
responses(
    (status = 204, description = "All points are stored"),
    (status = 400, description = "Some lines could not be read; the others are stored"),
    (status = 401, description = "The sender is not known"),
    (status = 403, description = "The sender may not write into the bucket"),
    (status = 404, description = "There is no such bucket"),
    (status = 413, description = "The body is too large"),
    (status = 422, description = "Some points could not be stored; the others are"),
    (status = 503, description = "Nothing can be stored now"),
))]
pub(super) async fn write(
    State(face): State<Arc<Face>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let parameters = Query::new(query.as_deref());
    let bucket = parameters.get("bucket").unwrap_or_default();
    let database = bucket.strip_suffix("/autogen").unwrap_or(&bucket);
    if let Err(failure) = admit(&face, &caller, database).await {
        return failed(&failure, &bucket);
    }
    if database.is_empty() {
        return error(StatusCode::BAD_REQUEST, "invalid", "bucket is required");
    }
    let unit = parameters.get("precision");
    let Some(precision) = precision(unit.as_deref()) else {
        let message = "invalid precision; valid precision units are ns, us, ms, and s";
        return error(StatusCode::BAD_REQUEST, "invalid", message);
    };
    let target = Target {
        database,
        precision,
        dialect: Dialect::V2,
    };
    match take_in(&face, &target, &headers, body).await {
        Ok(outcome) => taken_in(&outcome),
        Err(failure) => failed(&failure, &bucket),
    }
}

fn taken_in(outcome: &Outcome) -> Response {
    match (&outcome.refused, &outcome.faulty) {
        (Some((reason, count)), _) => {
            let message = format!(
                "failure writing points to database: partial write: {reason} dropped={count}"
            );
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            error(status, "unprocessable entity", &message)
        }
        (None, Some((faulty, line))) => {
            let message = if outcome.points > 0 {
                format!("partial write: {faulty} dropped=0")
            } else {
                faulty.clone()
            };
            of_line(StatusCode::BAD_REQUEST, "invalid", &message, Some(*line))
        }
        (None, None) => answer(StatusCode::NO_CONTENT, Body::empty()),
    }
}

fn failed(failure: &Failure, bucket: &str) -> Response {
    match failure {
        Failure::Unknown(problem) => {
            let (code, message) = match problem.kind() {
                Kind::Unauthorized => ("unauthorized", "unauthorized access"),
                Kind::TooManyRequests => ("too many requests", problem.detail()),
                _ => ("unavailable", problem.detail()),
            };
            with_headers(error(problem.kind().status(), code, message), problem)
        }
        Failure::Forbidden { .. } => {
            let message = format!(
                "insufficient permissions to write to bucket {}",
                quoted(bucket)
            );
            error(StatusCode::FORBIDDEN, "forbidden", &message)
        }
        Failure::Body(fault) => {
            let (status, code) = match fault {
                BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "request too large"),
                BodyError::Encoding(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid"),
                _ => (StatusCode::BAD_REQUEST, "invalid"),
            };
            error(status, code, &fault.to_string())
        }
        Failure::Write(PointsError::NoDatabase { .. }) => {
            let message = format!("bucket {} not found", quoted(bucket));
            error(StatusCode::NOT_FOUND, "not found", &message)
        }
        Failure::Write(fault) => {
            let message = format!("{fault}; send the points again, with the same times");
            let problem = Problem::new(Kind::Unavailable, message.clone());
            let status = StatusCode::SERVICE_UNAVAILABLE;
            with_headers(error(status, "unavailable", &message), &problem)
        }
        Failure::Internal => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            error(status, "internal error", "internal error")
        }
    }
}

fn with_headers(mut response: Response, problem: &Problem) -> Response {
    problem.set_headers(response.headers_mut());
    response
}

fn error(status: StatusCode, code: &'static str, message: &str) -> Response {
    of_line(status, code, message, None)
}

fn of_line(status: StatusCode, code: &'static str, message: &str, line: Option<u32>) -> Response {
    let line = line.map_or_else(String::new, |line| format!(",\"line\":{line}"));
    let message = json_string(message);
    let body = format!("{{\"code\":\"{code}\",\"message\":{message}{line}}}");
    let mut response = answer(status, body);
    let code = HeaderValue::from_static(code);
    response.headers_mut().insert(X_ERROR_CODE, code);
    response
}
