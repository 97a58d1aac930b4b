//! `/api/v1/` and `/openapi.json`: what there is, for people and for programs.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Serialize;
use smartem_http::{ETag, Link, Params, Problem, ProblemBody, ServicePart, openapi};
use utoipa::openapi::{InfoBuilder, License, OpenApi as Document};
use utoipa::{OpenApi, ToSchema};

use crate::answer::{JSON, json, text_hash};

/// Where to go from here.
#[derive(Serialize, ToSchema)]
#[schema(as = Landing)]
struct LandingBody<'a> {
    /// The name of the program.
    title: &'a str,
    /// Its version.
    version: &'a str,
    /// The resources.
    links: &'a [Link],
}

struct Landing {
    version: String,
    links: Vec<Link>,
    document: Bytes,
    etag: ETag,
}

#[derive(OpenApi)]
#[openapi(paths(landing, without_slash, document))]
struct Own;

/// Sums the links and documents of the `others` and its own.
pub(crate) fn part(version: String, others: &[&ServicePart]) -> ServicePart {
    let own = ServicePart::new("landing")
        .openapi(Own::openapi())
        .link(Link {
            rel: "service-desc",
            href: "/openapi.json",
            media_type: "application/json",
            title: "This API as an OpenAPI document",
        });
    let all = || others.iter().copied().chain([&own]);
    let text = sum(&version, all()).to_json().unwrap_or_default();
    let landing = Arc::new(Landing {
        links: all().flat_map(ServicePart::links).cloned().collect(),
        etag: ETag::new(&format!("{}-{version}", text_hash(text.as_bytes()))),
        document: text.into(),
        version,
    });
    own.route("/api/v1/", get(self::landing).with_state(landing.clone()))
        .route("/api/v1", get(without_slash))
        .route("/openapi.json", get(document).with_state(landing))
}

fn sum<'a>(version: &str, parts: impl Iterator<Item = &'a ServicePart>) -> Document {
    let info = InfoBuilder::new()
        .title("smartem")
        .version(version)
        .description(Some(
            "Refined values of air-quality, noise and weather stations. All times are RFC 3339 in \
             UTC; periods include their start and exclude their end; values are not rounded and \
             carry a UCUM unit. Unknown parameters are refused.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    openapi(info, parts)
}

/// Where to go from here: the resources of this server.
#[utoipa::path(get, path = "/api/v1/", tag = "api", responses(
    (status = 200, body = LandingBody),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
))]
async fn landing(
    State(landing): State<Arc<Landing>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::read(query.as_deref(), &[])?;
    json(&LandingBody {
        title: "smartem",
        version: &landing.version,
        links: &landing.links,
    })
}

/// The same resource with its slash.
#[utoipa::path(get, path = "/api/v1", tag = "api", responses(
    (status = 308, description = "To `/api/v1/`"),
))]
async fn without_slash() -> Redirect {
    Redirect::permanent("/api/v1/")
}

/// This API as an OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", tag = "api", responses(
    (status = 200, body = Object, content_type = "application/json"),
    (status = 304, description = "The client has it"),
))]
async fn document(State(landing): State<Arc<Landing>>, headers: HeaderMap) -> Response {
    if landing.etag.is_known_to(&headers) {
        return landing.etag.not_modified();
    }
    let body = landing.document.clone();
    let response = ([(header::CONTENT_TYPE, JSON)], body).into_response();
    landing.etag.on(response)
}
