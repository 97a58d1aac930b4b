use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use smartem_http::{HttpMetrics, Kind, Limits, Problem, ServicePart, assemble};
use tower::ServiceExt;

/// A service with every way to go wrong.
fn router(metrics: HttpMetrics) -> Router {
    let limits = Limits {
        requests: 1,
        time: Duration::from_millis(200),
    };
    let part = ServicePart::new("test")
        .body_limit(10)
        .route("/long", get(async || "long text ".repeat(100)))
        .route("/body", post(async |body: Bytes| body.len().to_string()))
        .route("/panic", get(panics))
        .route("/fault", get(async || fault()))
        .route(
            "/slow",
            get(async || tokio::time::sleep(Duration::from_secs(60)).await),
        )
        .route("/items/{id}", get(async || "item"));
    let probe = ServicePart::new("probe")
        .always_answers()
        .route("/probe", get(async || "ok"));
    assemble(vec![part, probe], limits, metrics)
}

async fn panics() -> &'static str {
    panic!("the secret of the server")
}

fn fault() -> Problem {
    let cause = std::io::Error::other("the secret of the server");
    Problem::internal(cause)
}

async fn ask(
    router: &Router,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (head.status, head.headers, body)
}

async fn get_problem(uri: &str) -> (StatusCode, HeaderMap, Value) {
    let router = router(HttpMetrics::default());
    let (status, headers, body) =
        ask(&router, "GET", uri, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(headers["content-type"], "application/problem+json");
    (
        status,
        headers,
        serde_json::from_slice(&gunzip(&body)).unwrap(),
    )
}

fn gunzip(body: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(body).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => body.to_vec(),
    }
}

#[tokio::test]
async fn a_fault_keeps_its_cause_to_itself() {
    for uri in ["/fault", "/panic"] {
        let (status, headers, problem) = get_problem(uri).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(
            problem,
            json!({"type": "urn:smartem:problem:internal", "title": "The server failed",
                "status": 500, "instance": headers["x-request-id"].to_str().unwrap(),
                "detail": "The cause is in the log of the server, under the request id in \
                    `instance`."})
        );
    }
}

#[tokio::test]
async fn a_problem_without_the_layers_is_a_problem_too() {
    let router: Router = Router::new().route("/", get(async || Problem::new(Kind::NotFound, "no")));
    let (status, headers, body) = ask(&router, "GET", "/", &[], "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(headers["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["detail"], "no");
    assert_eq!(problem.get("instance"), None);
}

#[tokio::test]
async fn what_is_not_there_or_not_that_way_is_a_problem() {
    let (status, _, problem) = get_problem("/nowhere").await;
    assert_eq!(
        (status.as_u16(), &problem["title"]),
        (404, &json!("There is nothing here"))
    );
    let router = router(HttpMetrics::default());
    let (status, headers, body) = ask(&router, "DELETE", "/long", &[], "").await;
    assert_eq!(
        (status.as_u16(), headers["allow"].to_str().unwrap()),
        (405, "GET,HEAD")
    );
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("`DELETE`"));
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let (status, headers, problem) = get_problem("/slow").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["retry-after"], "5");
    assert_eq!(
        problem["detail"],
        "The answer took longer than 0.2 s; ask for less at a time."
    );
}

#[tokio::test]
async fn too_many_requests_are_refused_and_probes_are_not() {
    let router = router(HttpMetrics::default());
    let (slow, while_busy) = futures::join!(ask(&router, "GET", "/slow", &[], ""), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let refused = ask(&router, "GET", "/long", &[], "").await;
        let probe = ask(&router, "GET", "/probe", &[], "").await;
        (refused, probe.0)
    });
    let (refused, probe) = while_busy;
    assert_eq!(slow.0, StatusCode::SERVICE_UNAVAILABLE);
    let problem: Value = serde_json::from_slice(&refused.2).unwrap();
    assert_eq!(problem["type"], "urn:smartem:problem:overloaded");
    assert_eq!(probe, StatusCode::OK);
    let (after, ..) = ask(&router, "GET", "/long", &[], "").await;
    assert_eq!(after, StatusCode::OK, "the place is free again");
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let router = router(HttpMetrics::default());
    let (status, _, body) = ask(&router, "POST", "/body", &[], "0123456789").await;
    assert_eq!((status.as_u16(), &*body), (200, &b"10"[..]));
    for headers in [&[][..], &[("content-length", "11")][..]] {
        let (status, headers, _) = ask(&router, "POST", "/body", headers, "0123456789a").await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_sane_request_id_is_kept_and_another_replaced() {
    let router = router(HttpMetrics::default());
    let long = "x".repeat(65);
    for (given, kept) in [
        ("0190-abc_D.7", true),
        ("", false),
        ("two words", false),
        ("<script>", false),
        (long.as_str(), false),
    ] {
        let (_, headers, _) = ask(&router, "GET", "/long", &[("x-request-id", given)], "").await;
        assert_eq!(headers["x-request-id"] == given, kept, "{given}");
        assert!(!headers["x-request-id"].is_empty());
    }
    let (_, one, _) = ask(&router, "GET", "/long", &[], "").await;
    let (_, two, _) = ask(&router, "GET", "/long", &[], "").await;
    assert_ne!(one["x-request-id"], two["x-request-id"]);
}

#[tokio::test]
async fn answers_are_compressed_and_guarded() {
    let router = router(HttpMetrics::default());
    let (_, headers, body) = ask(&router, "GET", "/long", &[("accept-encoding", "gzip")], "").await;
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(gunzip(&body).len(), 1000);
    assert!(body.len() < 200);
    assert_eq!(
        headers["content-security-policy"],
        "default-src 'self'; img-src 'self' data: https:; style-src 'self' 'unsafe-inline'; \
         frame-ancestors 'none'"
    );
    assert_eq!(
        headers["referrer-policy"],
        "strict-origin-when-cross-origin"
    );
    let (_, headers, body) = ask(&router, "HEAD", "/long", &[], "").await;
    assert_eq!(
        (headers["content-length"].to_str().unwrap(), body.len()),
        ("1000", 0)
    );
}

#[tokio::test]
async fn requests_are_counted_by_the_template_of_their_route() {
    let metrics = HttpMetrics::default();
    let router = router(metrics.clone());
    for uri in ["/items/1", "/items/2", "/nowhere", "/elsewhere"] {
        ask(&router, "GET", uri, &[], "").await;
    }
    ask(&router, "BREW", "/items/1", &[], "").await;
    let counts: Vec<_> = metrics
        .requests()
        .into_iter()
        .map(|row| (row.method, row.route.to_string(), row.status, row.count))
        .collect();
    assert_eq!(
        counts,
        [
            ("GET", "/items/{id}".to_owned(), 200, 2),
            ("GET", "unmatched".to_owned(), 404, 2),
            ("other", "/items/{id}".to_owned(), 405, 1),
        ]
    );
    let times = metrics.times();
    assert_eq!(times[0].count, 2);
    assert!(times[0].buckets.is_sorted() && times[0].buckets.last() == Some(&2));
}

#[tokio::test]
async fn a_part_with_a_dialect_says_everything_in_its_words() {
    let limits = Limits {
        requests: 1,
        time: Duration::from_millis(200),
    };
    let part = ServicePart::new("test")
        .body_limit(10)
        .dialect(|problem, id| {
            let id = id.map_or("none", |id| id.as_str());
            let text = format!("oh: {id}");
            (problem.kind().status(), text).into_response()
        })
        .route("/body", post(async |body: Bytes| body.len().to_string()))
        .route("/panic", get(panics))
        .route("/fault", get(async || fault()))
        .route(
            "/slow",
            get(async || tokio::time::sleep(Duration::from_secs(60)).await),
        )
        .route_below("/all/{*path}", "/all/{path}", get(async || "below"));
    assert!(part.paths().contains(&"/all/{path}"));
    let other = ServicePart::new("other").route("/other", get(async || fault()));
    let router = assemble(vec![part, other], limits, HttpMetrics::default());
    let id = [("x-request-id", "abc")];
    for (method, uri, status) in [
        ("GET", "/panic", 500),
        ("GET", "/fault", 500),
        ("GET", "/slow", 503),
        ("POST", "/body", 413),
    ] {
        let (answered, _, body) = ask(&router, method, uri, &id, "more than ten bytes").await;
        assert_eq!(answered, status, "{uri}");
        assert_eq!(&body[..], b"oh: abc", "{uri}");
    }
    let (_, _, below) = ask(&router, "GET", "/all/a/b(1)", &id, "").await;
    assert_eq!(&below[..], b"below");
    let (_, headers, _) = ask(&router, "GET", "/other", &id, "").await;
    assert_eq!(headers["content-type"], "application/problem+json");
}
