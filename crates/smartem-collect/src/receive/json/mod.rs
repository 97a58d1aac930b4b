//! Samples pushed as JSON: `POST /api/v1/push`.
//!
//! [`parse`] reads the object, and [`PushReceiver`] takes it; both also serve other ways on which
//! the same object comes.

mod parse;
mod take;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use smartem_etl::Clock;
use smartem_http::auth::{Caller, Guard};
use smartem_http::{Kind, Link, Problem, ProblemBody, ServicePart};
use utoipa::{OpenApi, ToSchema};

pub use parse::{Fault, MOST_SAMPLES, Push, Sample, SampleValue, StationSamples, parse};
pub use take::{PushConfig, PushReceiver, Refusal, Report};

/// The name of the receiver, and the database of its points.
pub const DATABASE: &str = "push";
const PATH: &str = "/api/v1/push";
const BODY_LIMIT: usize = 4 * 1024 * 1024;

#[derive(OpenApi)]
#[openapi(
    paths(push),
    components(schemas(PushBody, SampleBody, Report, Refusal)),
    modifiers(&TokenScheme)
)]
struct Document;

/// Says how a token is sent.
struct TokenScheme;

impl utoipa::Modify for TokenScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token that `smartem token add` made"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// Samples of a station.
#[derive(Serialize, ToSchema)]
#[schema(as = Push)]
struct PushBody {
    /// The id of the station.
    #[schema(example = "roof-1")]
    station: String,
    /// The type of a new station; of a known one it must be the type that it has.
    #[schema(example = "vanilla")]
    station_type: Option<String>,
    /// At most 10000 in a push.
    samples: Vec<SampleBody>,
}

/// The values of one moment: numbers or truth values under the keys that the station type reads.
#[derive(Serialize, ToSchema)]
#[schema(as = Sample)]
struct SampleBody {
    /// RFC 3339; without it the time of arrival. At most one sample of an instrument may be without.
    #[schema(example = "2026-11-28T13:20:00Z", format = DateTime)]
    time: Option<String>,
    /// The instrument, where the station has several of a kind.
    #[schema(example = "SPS30-1")]
    meta_id: Option<String>,
    /// The values: a key has at most 64 bytes, a sample at most 200 keys.
    #[serde(flatten)]
    values: std::collections::BTreeMap<String, f64>,
}

struct Face {
    receiver: PushReceiver,
    guard: Guard,
    clock: Clock,
}

/// The part of the server that takes pushes.
pub fn part(receiver: PushReceiver, guard: Guard, clock: Clock) -> ServicePart {
    let face = Arc::new(Face {
        receiver,
        guard,
        clock,
    });
    ServicePart::new("push")
        .body_limit(BODY_LIMIT)
        .openapi(Document::openapi())
        .route(PATH, post(push).with_state(face))
        .link(Link {
            rel: "item",
            href: PATH,
            media_type: "application/json",
            title: "Samples of stations are pushed here (POST)",
        })
}

/// Stores samples of stations.
///
/// The body is an object, or a list of such. Samples that cannot be used are told one by one and set
/// aside; the others are stored, and durable when the answer comes. The same sample once more
/// changes nothing, as long as it has a time. Needs a token with the right `write` for the project
/// of each station; nothing is stored otherwise.
#[utoipa::path(post, path = "/api/v1/push", tag = "push",
    security(("token" = [])),
    request_body(content = PushBody, content_type = "application/json",
        description = "An object, or a list of such"),
    responses(
        (status = 200, description = "At least one sample is stored, or there was none",
            body = Report),
        (status = 400, description = "The body is no push",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, description = "No token, or one that is not valid",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, description = "The token may not write for one of the stations",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than 4 MiB",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Not a single sample could be stored", body = Report),
        (status = 429, description = "Too many requests, or too many wrong tokens",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Nothing can be stored now; send it again",
            body = ProblemBody, content_type = "application/problem+json"),
    ))]
async fn push(
    State(face): State<Arc<Face>>,
    caller: Caller,
    body: Bytes,
) -> Result<Response, Problem> {
    let principal = face.guard.identify(&caller).await?;
    let now = (face.clock)();
    let push = match parse(&body) {
        Ok(push) => push,
        Err(fault) => {
            let problem = Problem::new(
                Kind::InvalidBody,
                format!("The body is no push: {}.", fault.problem),
            );
            face.receiver.refuse(fault, now).await?;
            return Err(problem);
        }
    };
    let report = face.receiver.take(push, &principal, now).await?;
    let is_all_refused = report.accepted == 0 && report.refused > 0;
    let status = if is_all_refused {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    Ok((status, Json(report)).into_response())
}
