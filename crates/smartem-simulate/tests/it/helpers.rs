//! Short ways to times, cities and answers.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::whale::{World, router};
use tower::ServiceExt;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A city of 2026 with flaws, without an end.
pub(crate) fn city(stations: usize) -> City {
    let config = CityConfig::starting(at("2026-01-01T00:00:00Z"));
    City::new(CityConfig { stations, ..config }).unwrap()
}

pub(crate) fn served(world: impl World, now: &str) -> Router {
    let now = at(now);
    router(Arc::new(world), Arc::new(move || now))
}

/// Status and body of a GET below `/sensors/v1`.
pub(crate) async fn get_bytes(router: &Router, path: &str) -> (StatusCode, Vec<u8>) {
    send(router, Method::GET, &format!("/sensors/v1{path}")).await
}

pub(crate) async fn send(router: &Router, method: Method, uri: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::empty())
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, bytes.to_vec())
}

/// The JSON of an answer that must be 200.
pub(crate) async fn get(router: &Router, path: &str) -> Value {
    let (status, body) = get_bytes(router, path).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    serde_json::from_slice(&body).unwrap()
}

/// That an answer is 404 with a JSON error.
pub(crate) async fn assert_missing(router: &Router, path: &str) {
    let (status, body) = get_bytes(router, path).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    let error: Value = serde_json::from_slice(&body).unwrap();
    assert!(error["error"].is_string(), "{path}");
}
