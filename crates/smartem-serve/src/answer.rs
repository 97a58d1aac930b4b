//! What the answers of several services are made with.

use std::hash::{DefaultHasher, Hasher};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use smartem_http::{Kind, Problem};
use smartem_store::StoreError;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body as a JSON answer.
pub(crate) fn json(body: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body).map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, JSON)], bytes).into_response())
}

/// A short name for a text, the same in every process of this version.
pub(crate) fn text_hash(text: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(text);
    format!("{:016x}", hasher.finish())
}

/// What a client is told of a store that cannot answer.
pub(crate) fn store_fault(error: StoreError) -> Problem {
    match error {
        StoreError::Locked { .. } | StoreError::Interrupted { .. } => {
            let detail = "The store is busy; try again in some seconds.";
            Problem::new(Kind::Unavailable, detail).because(error)
        }
        StoreError::Unreachable { .. } => {
            let detail = "The database cannot be reached now; try again in some seconds.";
            Problem::new(Kind::Unavailable, detail).because(error)
        }
        _ => Problem::internal(error),
    }
}
