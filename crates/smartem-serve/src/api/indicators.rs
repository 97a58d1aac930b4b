use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use smartem_http::{ETag, Params, Problem, ProblemBody};
use smartem_model::Vocabulary;

use super::Api;
use super::wire::{IndicatorsBody, UnitsBody};
use crate::answer::{JSON, text_hash};

/// The vocabulary never changes while the program runs, so its answers are made once.
pub(super) struct Body {
    bytes: Bytes,
    etag: ETag,
}

impl Body {
    pub(super) fn indicators(vocabulary: &Vocabulary, version: &str) -> Self {
        Self::of(&IndicatorsBody::from(vocabulary), version)
    }

    pub(super) fn units(vocabulary: &Vocabulary, version: &str) -> Self {
        Self::of(&UnitsBody::from(vocabulary), version)
    }

    fn of(document: &impl Serialize, version: &str) -> Self {
        // Texts and numbers always have a JSON form.
        let json = serde_json::to_vec(document).unwrap_or_default();
        Self {
            etag: ETag::new(&format!("{}-{version}", text_hash(&json))),
            bytes: json.into(),
        }
    }

    fn answer(&self, query: Option<&str>, headers: &HeaderMap) -> Result<Response, Problem> {
        Params::read(query, &[])?;
        if self.etag.is_known_to(headers) {
            return Ok(self.etag.not_modified());
        }
        let response = ([(header::CONTENT_TYPE, JSON)], self.bytes.clone()).into_response();
        Ok(self.etag.on(response))
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
    api.indicators.answer(query.as_deref(), &headers)
}

/// The units: how the codes of observations are written and called.
#[utoipa::path(get, path = "/api/v1/units", tag = "api", responses(
    (status = 200, body = UnitsBody),
    (status = 304, description = "The client has it"),
    (status = 400, body = ProblemBody, content_type = "application/problem+json"),
))]
pub(super) async fn units(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    api.units.answer(query.as_deref(), &headers)
}
