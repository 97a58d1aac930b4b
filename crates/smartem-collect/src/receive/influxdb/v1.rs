//! The face of InfluxDB 1.x.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use smartem_http::auth::{Caller, Credentials};
use smartem_http::{Kind, Problem};
use smartem_points::line_protocol::Dialect;
use smartem_store::PointsError;

use super::Face;
use super::answer::{VERSION, answer, header_text, json_string, quoted};
use super::body::BodyError;
use super::intake::{Failure, Outcome, Query, Target, admit, precision, take_in};

const X_ERROR: HeaderName = HeaderName::from_static("x-influxdb-error");

/// The only retention policy that there is.
const AUTOGEN: &str = "autogen";

/// Takes lines in, as InfluxDB 1.x does.
#[utoipa::path(post, path = "/write", tag = "collector", params(
    ("db" = String, Query, description = "The database"),
    ("precision" = Option<String>, Query, description = "The unit of times: n, u, ms, s, m or h; n if not given"),
    ("u" = Option<String>, Query, description = "The name of the sender"),
    ("p" = Option<String>, Query, description = "Its token"),
), request_body(content = String, content_type = "text/plain", description = "Line protocol, also packed with gzip"),
responses(
    (status = 204, description = "All points are stored"),
    (status = 400, description = "Some lines could not be read or some points not be stored; the others are"),
    (status = 401, description = "The sender is not known"),
    (status = 403, description = "The sender may not write into the database"),
    (status = 404, description = "There is no such database"),
    (status = 413, description = "The body is too large"),
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
    let database = parameters.get("db").unwrap_or_default();
    if let Err(failure) = admit(&face, &caller, &database).await {
        let understood = Credentials::of(&headers, query.as_deref());
        let sent = understood.is_ok_and(|credentials| credentials.is_some());
        return failed(&failure, &database, sent);
    }
    if database.is_empty() {
        return refusal(StatusCode::BAD_REQUEST, "database is required");
    }
    let unit = parameters.get("precision");
    let Some(precision) = precision(unit.as_deref()) else {
        let unit = quoted(&unit.unwrap_or_default());
        let message = format!("invalid precision {unit} (use n, u, ms, s, m or h)");
        return refusal(StatusCode::BAD_REQUEST, &message);
    };
    let consistency = parameters.get("consistency").unwrap_or_default();
    let levels = ["", "any", "one", "quorum", "all"];
    if !levels.contains(&&*consistency.to_ascii_lowercase()) {
        return refusal(StatusCode::BAD_REQUEST, "invalid consistency level");
    }
    if let Some(policy) = parameters.get("rp").filter(|policy| policy != AUTOGEN) {
        let message = format!("retention policy not found: {policy}");
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, &message);
    }
    let target = Target {
        database: &database,
        precision,
        dialect: Dialect::V1,
    };
    match take_in(&face, &target, &headers, body).await {
        Ok(outcome) => taken_in(&outcome),
        Err(failure) => failed(&failure, &database, true),
    }
}

/// Whether the server is there; `verbose` asks for its version in the body.
#[utoipa::path(get, path = "/ping", tag = "collector", params(
    ("verbose" = Option<String>, Query, description = "Anything but `false` and `0`: the answer has a body"),
), responses(
    (status = 200, description = "The server is there", content_type = "application/json"),
    (status = 204, description = "The server is there"),
))]
pub(super) async fn ping(RawQuery(query): RawQuery) -> Response {
    let verbose = Query::new(query.as_deref()).get("verbose");
    if verbose.is_some_and(|value| !matches!(&*value, "false" | "0")) {
        let body = format!("{{\"version\":\"{VERSION}\"}}\n");
        return answer(StatusCode::OK, body);
    }
    answer(StatusCode::NO_CONTENT, Body::empty())
}

fn taken_in(outcome: &Outcome) -> Response {
    let message = match (&outcome.refused, &outcome.faulty) {
        (Some((reason, count)), _) => format!("partial write: {reason} dropped={count}"),
        (None, Some((faulty, _))) if outcome.points > 0 => {
            format!("partial write: {faulty} dropped=0")
        }
        (None, Some((faulty, _))) => faulty.clone(),
        (None, None) => return answer(StatusCode::NO_CONTENT, Body::empty()),
    };
    refusal(StatusCode::BAD_REQUEST, &message)
}

fn failed(failure: &Failure, database: &str, sent_credentials: bool) -> Response {
    match failure {
        Failure::Unknown(problem) => unknown(problem, sent_credentials),
        Failure::Forbidden { name } => {
            let (name, database) = (quoted(name), quoted(database));
            let message = format!("{name} user is not authorized to write to database {database}");
            refusal(StatusCode::FORBIDDEN, &message)
        }
        Failure::Body(error) => {
            let status = match error {
                BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::Encoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                _ => StatusCode::BAD_REQUEST,
            };
            refusal(status, &error.to_string())
        }
        Failure::Write(PointsError::NoDatabase { name }) => {
            let message = format!("database not found: {}", quoted(name));
            refusal(StatusCode::NOT_FOUND, &message)
        }
        Failure::Write(fault) => {
            let message = format!("{fault}; send the points again, with the same times");
            let problem = Problem::new(Kind::Unavailable, message.clone());
            let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, &message);
            problem.set_headers(response.headers_mut());
            response
        }
        Failure::Internal => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

fn unknown(problem: &Problem, sent_credentials: bool) -> Response {
    let status = problem.kind().status();
    let mut response = match (problem.kind(), sent_credentials) {
        // InfluxDB tells these two without its header.
        (Kind::Unauthorized, true) => error(status, "authorization failed"),
        (Kind::Unauthorized, false) => error(status, "unable to parse authentication credentials"),
        _ => refusal(status, problem.detail()),
    };
    problem.set_headers(response.headers_mut());
    response
}

pub(super) fn refusal(status: StatusCode, message: &str) -> Response {
    let mut response = error(status, message);
    if let Some(value) = header_text(message) {
        response.headers_mut().insert(X_ERROR, value);
    }
    response
}

fn error(status: StatusCode, message: &str) -> Response {
    answer(status, format!("{{\"error\":{}}}\n", json_string(message)))
}
