use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use smartem_http::{ETag, Params, Problem, ProblemBody};
use smartem_model::Vocabulary;

use super::Api;
use super::wire::IndicatorsBody;
use crate::answer::{JSON, text_hash};

/// The vocabulary never changes while the program runs, so its answer is made once.
pub(super) struct Body {
    bytes: Bytes,
    etag: ETag,
}

impl Body {
    pub(super) fn new(vocabulary: &Vocabulary, version: &str) -> Self {
        // Texts and numbers always have a JSON form.
        let json = serde_json::to_vec(&IndicatorsBody::from(vocabulary)).unwrap_or_default();
        Self {
            etag: ETag::new(&format!("{}-{version}", text_hash(&json))),
            bytes: json.into(),
        }
    }
}

/// The indicators: what is measured, in which unit, and how it is shown.
#[utoipa::path(get, path = "/api/v1/indicators", tag = "api", responses(
    (status = 200, body = IndicatorsBody),
    (status = 304, description = "The client has it"),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Params::read(query.as_deref(), &[])?;
    let Body { bytes, etag } = &api.indicators;
    if etag.is_known_to(&headers) {
        return Ok(etag.not_modified());
    }
    let response = ([(header::CONTENT_TYPE, JSON)], bytes.clone()).into_response();
    Ok(etag.on(response))
}
