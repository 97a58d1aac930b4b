//! A guarded route behind all layers.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::routing::post;
use axum::{Extension, Router};
use serde_json::Value;
use smartem_http::auth::{
    Authority, Caller, Credentials, Guard, GuardSettings, PeerAddress, Principal, Right,
};
use smartem_http::{HttpMetrics, Limits, Problem, ServicePart, assemble};
use tower::ServiceExt;

struct Names;

#[async_trait]
impl Authority for Names {
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Principal>, Problem> {
        Ok((credentials.secret() == "good").then(|| Principal {
            name: credentials.name().unwrap_or("token").into(),
            rights: vec![Right::Write],
            project: Some("air".into()),
        }))
    }
}

fn router() -> Router {
    let guard = Guard::new(Arc::new(Names), GuardSettings::default());
    let write = async |Extension(guard): Extension<Guard>, caller: Caller| {
        let principal = guard.admit(&caller, Right::Write, Some("air")).await?;
        Ok::<_, Problem>(principal.name.to_string())
    };
    let part = ServicePart::new("test").route("/write", post(write).layer(Extension(guard)));
    let metrics = HttpMetrics::default();
    let peer = PeerAddress([192, 0, 2, 1].into());
    assemble(vec![part], Limits::default(), metrics).layer(Extension(peer))
}

async fn write(
    router: &Router,
    uri: &str,
    authorization: Option<&str>,
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::post(uri);
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    (head.status, head.headers, body)
}

#[tokio::test]
async fn without_credentials_the_answer_says_how_to_send_them() {
    let (status, headers, body) = write(&router(), "/write", None).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let challenges: Vec<_> = headers.get_all(header::WWW_AUTHENTICATE).iter().collect();
    assert_eq!(challenges.len(), 2, "{challenges:?}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["type"], "urn:smartem:problem:unauthorized");
    assert!(problem["instance"].is_string());
}

#[tokio::test]
async fn good_credentials_pass_in_every_form() {
    let router = router();
    for (uri, header, name) in [
        ("/write", Some("Bearer good"), "token"),
        ("/write", Some("Token good"), "token"),
        ("/write", Some("Token ada:good"), "ada"),
        ("/write?u=ada&p=good", None, "ada"),
    ] {
        let (status, _, body) = write(&router, uri, header).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, name), "{uri}");
    }
}

#[tokio::test]
async fn who_tries_too_often_is_told_when_to_come_back() {
    let router = router();
    for _ in 0..10 {
        let (status, ..) = write(&router, "/write", Some("Bearer bad")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let (status, headers, body) = write(&router, "/write", Some("Bearer bad")).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = headers[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    assert!(!body.contains("Bearer bad"), "{body}");
}

#[tokio::test]
async fn a_page_of_another_origin_may_send_a_token() {
    let request = Request::options("/write")
        .header(header::ORIGIN, "https://dashboard.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            "authorization,content-type",
        )
        .body(Body::empty())
        .unwrap();
    let response = router().oneshot(request).await.unwrap();
    let allowed = |name| response.headers()[name].to_str().unwrap().to_lowercase();
    assert!(allowed(header::ACCESS_CONTROL_ALLOW_METHODS).contains("post"));
    assert!(allowed(header::ACCESS_CONTROL_ALLOW_HEADERS).contains("authorization"));
}
