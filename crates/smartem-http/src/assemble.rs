use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, Method, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::routing::{MethodRouter, any};
use tokio::sync::Semaphore;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::{Any, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::{HttpMetrics, ProblemBody, ServicePart, layers, request_id};

/// What a server takes upon itself at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests at a time, not counting those of parts that always answer.
    pub requests: usize,
    /// How long an answer may take.
    pub time: Duration,
}

impl Default for Limits {
    /// 256 requests at a time of at most 30 s.
    fn default() -> Self {
        Self {
            requests: 256,
            time: Duration::from_secs(30),
        }
    }
}

/// What a server answers at each of its addresses.
#[derive(Clone)]
pub struct Routers {
    /// At the address that everybody knows.
    pub public: Router,
    /// At the internal address; `None` where there is none, and then the public one answers everything.
    pub internal: Option<Router>,
}

impl Routers {
    /// Sums the parts for one address.
    ///
    /// # Panics
    /// As [`assemble`].
    pub fn together(parts: Vec<ServicePart>, limits: Limits, metrics: HttpMetrics) -> Self {
        Self {
            public: assemble(parts, limits, metrics),
            internal: None,
        }
    }

    /// Sums the parts for a public and an internal address, each of them where it belongs.
    ///
    /// # Panics
    /// As [`assemble`].
    pub fn apart(parts: Vec<ServicePart>, limits: Limits, metrics: HttpMetrics) -> Self {
        let internal = parts.iter().filter(|part| part.is_internal()).cloned();
        let internal = internal.collect();
        let public = parts.into_iter().filter(ServicePart::is_public).collect();
        let not_found = any(layers::not_found_internally);
        let of_internal = sum(internal, limits, metrics.clone(), not_found);
        Self {
            public: assemble(public, limits, metrics),
            internal: Some(of_internal),
        }
    }
}

/// Sums the parts of services and lays the common layers around them.
///
/// # Panics
/// When two parts have the same route: a fault of the program that its first start shows.
pub fn assemble(parts: Vec<ServicePart>, limits: Limits, metrics: HttpMetrics) -> Router {
    sum(parts, limits, metrics, any(layers::not_found))
}

fn sum(
    parts: Vec<ServicePart>,
    limits: Limits,
    metrics: HttpMetrics,
    not_found: MethodRouter,
) -> Router {
    let places = Arc::new(Semaphore::new(limits.requests));
    let mut router = Router::new();
    let mut fallback = None;
    for part in parts {
        let mut own = part
            .router
            .layer(RequestBodyLimitLayer::new(part.body_limit));
        if !part.always_answers {
            own = own
                .layer(from_fn_with_state(limits.time, layers::limit_time))
                .layer(from_fn_with_state(places.clone(), layers::limit_requests));
        }
        if let Some(dialect) = part.dialect {
            own = own
                .layer(CatchPanicLayer::custom(layers::panicked))
                .layer(from_fn_with_state(dialect, layers::render_in_dialect));
        }
        router = router.merge(own);
        fallback = fallback.or(part.fallback);
    }
    router
        .fallback_service(fallback.unwrap_or(not_found))
        .method_not_allowed_fallback(layers::method_not_allowed)
        // From here on each layer lies around the ones before.
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn(layers::render_problems))
        // A higher level takes several times as long and saves little.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(open_to_all_origins())
        .layer(map_response(layers::add_security_headers))
        .layer(from_fn_with_state(metrics, layers::observe))
}

/// Everything served is open data, no request carries a cookie, and who writes sends a token along:
/// a page of another origin can do no more than any other client.
fn open_to_all_origins() -> CorsLayer {
    const ODATA_VERSION: HeaderName = HeaderName::from_static("odata-version");
    const EXPOSED: [HeaderName; 5] = [
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        ODATA_VERSION,
        request_id::HEADER,
    ];
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let headers = [
        header::ACCEPT,
        header::AUTHORIZATION,
        header::CONTENT_ENCODING,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        HeaderName::from_static("prefer"),
        ODATA_VERSION,
        HeaderName::from_static("odata-maxversion"),
        request_id::HEADER,
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods(methods)
        .allow_headers(headers)
        .expose_headers(EXPOSED)
        .max_age(Duration::from_secs(24 * 3600))
}

/// Sums the parts of the OpenAPI document.
pub fn openapi<'a>(info: Info, parts: impl IntoIterator<Item = &'a ServicePart>) -> OpenApi {
    let problem = ComponentsBuilder::new()
        .schema(ProblemBody::name(), ProblemBody::schema())
        .build();
    let mut sum = OpenApiBuilder::new()
        .info(info)
        .components(Some(problem))
        .build();
    for document in parts.into_iter().filter_map(|part| part.openapi.clone()) {
        sum.merge(document);
    }
    sum
}
