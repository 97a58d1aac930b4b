//! What is not for everybody, and what is answered before the store is reached.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use smartem_http::Readiness;
use tower::ServiceExt as _;

use crate::support::World;

async fn ask(router: &Router, method: Method, path: &str) -> (u16, Option<String>, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let retry = answer.headers().get("retry-after").cloned();
    let retry = retry.map(|it| it.to_str().unwrap().to_owned());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        retry,
        serde_json::from_slice(&body).unwrap_or_default(),
    )
}

#[tokio::test]
async fn metrics_are_only_at_the_internal_address_where_there_is_one() {
    let mut world = World::empty().await;
    world.state.has_internal = true;
    let routers = smartem_serve::routers(world.state.clone(), Vec::new());
    let (public, internal) = (routers.public, routers.internal.unwrap());
    let status = async |router, path| ask(router, Method::GET, path).await.0;
    assert_eq!(status(&public, "/metrics").await, 404);
    assert_eq!(status(&internal, "/metrics").await, 200);
    assert_eq!(status(&public, "/api/v1/stations").await, 200);
    assert_eq!(status(&internal, "/api/v1/stations").await, 404);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&public, path).await, 200);
        assert_eq!(status(&internal, path).await, 200);
    }
    let (_, _, document) = ask(&public, Method::GET, "/openapi.json").await;
    assert!(document["paths"].get("/readyz").is_some());
    assert!(document["paths"].get("/metrics").is_none());
    let (_, _, landing) = ask(&public, Method::GET, "/api/v1/").await;
    let links = landing["links"].as_array().unwrap();
    assert!(links.iter().any(|link| link["href"] == "/readyz"));
    assert!(links.iter().all(|link| link["href"] != "/metrics"));
}

#[tokio::test]
async fn before_the_store_is_reached_the_program_lives_and_must_be_waited_for() {
    let readiness = Readiness::default();
    let routers = smartem_serve::waiting_routers(readiness.clone(), true);
    for router in [&routers.public, routers.internal.as_ref().unwrap()] {
        assert_eq!(ask(router, Method::GET, "/healthz").await.0, 200);
        for (method, path) in [
            (Method::GET, "/readyz"),
            (Method::GET, "/api/v1/stations"),
            (Method::GET, "/metrics"),
            (Method::POST, "/write?db=boxes"),
        ] {
            let (status, retry, problem) = ask(router, method, path).await;
            assert_eq!((status, retry.as_deref()), (503, Some("5")), "{path}");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("database is not reached yet"), "{detail}");
        }
    }
    readiness.stop();
    let (status, _, problem) = ask(&routers.public, Method::GET, "/readyz").await;
    assert_eq!(
        (status, &problem["detail"]),
        (503, &"The server is going down.".into())
    );
}
