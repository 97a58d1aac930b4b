use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use rust_embed::Embed;
use smartem_http::{HttpMetrics, Limits, assemble};
use tower::ServiceExt;

use super::part;

/// A viewer of three files.
#[derive(Embed)]
#[folder = "$CARGO_MANIFEST_DIR/src/view/fixture"]
struct Fixture;

/// A viewer that was not built.
#[derive(Embed)]
#[folder = "$CARGO_MANIFEST_DIR/src/view/not-there"]
#[allow_missing = true]
struct Missing;

fn built() -> Router {
    assemble(
        vec![part::<Fixture>()],
        Limits::default(),
        HttpMetrics::default(),
    )
}

async fn ask(
    router: Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (
        head.status,
        head.headers,
        String::from_utf8_lossy(&body).into_owned(),
    )
}

#[tokio::test]
async fn the_page_is_asked_for_again_and_hashed_assets_are_kept() {
    let (status, headers, body) = ask(built(), "GET", "/", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("fixture"));
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-cache");
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'self'")
    );

    let tag = headers["etag"].to_str().unwrap();
    let (status, _, body) = ask(built(), "GET", "/", &[("if-none-match", tag)]).await;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""));

    let (status, headers, _) = ask(built(), "GET", "/assets/index-abc123.js", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(
        headers["cache-control"],
        "public, max-age=31536000, immutable"
    );

    let (_, headers, _) = ask(built(), "GET", "/favicon.svg", &[]).await;
    assert_eq!(headers["content-type"], "image/svg+xml");
    assert_eq!(headers["cache-control"], "no-cache");

    let (status, _, body) = ask(built(), "HEAD", "/favicon.svg", &[]).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
}

#[tokio::test]
async fn files_are_not_written_to() {
    let (status, headers, _) = ask(built(), "POST", "/favicon.svg", &[]).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn an_unknown_path_is_a_page_for_people_and_a_problem_for_programs() {
    let html = [("accept", "text/html,*/*")];
    for path in [
        "/nowhere",
        "/assets/../../Cargo.toml",
        "/assets",
        "/..%2fmod.rs",
        "//mod.rs",
    ] {
        let (status, headers, body) = ask(built(), "GET", path, &html).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(headers["content-type"], "text/html; charset=utf-8");
        assert!(body.contains("nothing at this address"));
    }
    for (path, accept) in [
        ("/nowhere", "*/*"),
        ("/api/nowhere", "text/html"),
        ("/api", "text/html"),
    ] {
        let (status, headers, body) = ask(built(), "GET", path, &[("accept", accept)]).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(body.contains(path), "{body}");
    }
}

#[tokio::test]
async fn without_a_viewer_the_page_says_how_to_build_it() {
    let router = assemble(
        vec![part::<Missing>()],
        Limits::default(),
        HttpMetrics::default(),
    );
    let (status, headers, body) = ask(router.clone(), "GET", "/", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("make build") && body.contains("lang=\"nl\""));
    let tag = headers["etag"].to_str().unwrap();
    let (status, ..) = ask(router, "GET", "/", &[("if-none-match", tag)]).await;
    assert_eq!(status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn who_looks_for_a_viewer_of_the_original_finds_this_one() {
    for path in ["/heron", "/heron/", "/smartapp/index.html", "/waalkade/"] {
        let (status, headers, _) = ask(built(), "GET", path, &[]).await;
        assert_eq!(status, StatusCode::PERMANENT_REDIRECT, "{path}");
        assert_eq!(headers["location"], "/", "{path}");
    }
    let (status, _, _) = ask(built(), "GET", "/herons", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
