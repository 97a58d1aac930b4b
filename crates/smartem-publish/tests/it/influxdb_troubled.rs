//! Servers that are busy, gone, or refuse.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use serde_json::json;
use smartem_etl::OutputError;
use smartem_publish::influxdb::Credentials;

use crate::support::{Bench, output, row};

/// Answers in order, the last one again and again; bodies and `Authorization` as they came.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    answers: VecDeque<(u16, String)>,
    retry_after: Option<&'static str>,
    bodies: Vec<String>,
    queries: Vec<String>,
    authorizations: Vec<Option<String>>,
    /// Lines with this text are refused, with all that stand beside them.
    bad: Option<&'static str>,
}

impl Server {
    async fn start(answers: &[(u16, &str)]) -> (Self, String) {
        let server = Self::default();
        server.0.lock().unwrap().answers = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/below/", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (server, url)
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }
}

async fn answer(State(server): State<Server>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut told = server.told();
    told.queries.push(head.uri.to_string());
    let authorization = head.headers.get(AUTHORIZATION);
    told.authorizations
        .push(authorization.map(|value| value.to_str().unwrap().to_owned()));
    let is_bad = told.bad.is_some_and(|bad| body.contains(bad));
    told.bodies.push(body);
    let (status, text) = if is_bad {
        (400, r#"{"error":"unable to parse"}"#.to_owned())
    } else if told.answers.len() > 1 {
        told.answers.pop_front().unwrap()
    } else {
        told.answers
            .front()
            .cloned()
            .unwrap_or((204, String::new()))
    };
    let mut response = Response::builder().status(status);
    if let Some(seconds) = told.retry_after {
        response = response.header(RETRY_AFTER, seconds);
    }
    response.body(Body::from(text)).unwrap()
}

#[tokio::test]
async fn a_busy_server_is_asked_again_and_gets_the_same_lines() {
    let (server, url) = Server::start(&[(503, "later"), (429, ""), (204, "")]).await;
    server.told().retry_after = Some("0");
    let bench = Bench::new(None).await;
    let out = output(&url, &json!({"retention_policy": "a b"}), Credentials::None);
    bench
        .write(&out, vec![row("1", 0, json!(1))])
        .await
        .unwrap();
    {
        let told = server.told();
        assert_eq!(
            told.bodies,
            ["m,component=no2,station=1 value=1 1795168800000000000\n"; 3]
        );
        assert_eq!(told.queries[0], "/below/write?db=test&rp=a+b");
        assert_eq!(bench.counted(), "points_written 1");
    }

    let (server, url) = Server::start(&[(500, r#"{"error":"timeout"}"#)]).await;
    let out = output(&url, &json!({}), Credentials::None);
    let error = bench
        .write(&out, vec![row("1", 0, json!(1))])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("timeout (after 3 attempts)"),
        "{error}"
    );
    assert_eq!(server.told().bodies.len(), 3);
}

#[tokio::test]
async fn d_077_who_writes_is_told_only_when_it_is_set() {
    let (server, url) = Server::start(&[(204, "")]).await;
    let bench = Bench::new(None).await;
    for credentials in [
        Credentials::None,
        Credentials::Password("me".to_owned(), "pw".to_owned()),
        Credentials::Token("abc".to_owned()),
    ] {
        let out = output(&url, &json!({}), credentials);
        bench
            .write(&out, vec![row("1", 0, json!(1))])
            .await
            .unwrap();
    }
    let expected = [
        None,
        Some("Basic bWU6cHc=".to_owned()),
        Some("Token abc".to_owned()),
    ];
    assert_eq!(server.told().authorizations, expected);
    // Nothing to write is no request.
    let out = output(&url, &json!({}), Credentials::None);
    bench.write(&out, Vec::new()).await.unwrap();
    bench
        .write(&out, vec![row("1", 0, json!(null))])
        .await
        .unwrap();
    assert_eq!(server.told().bodies.len(), 3);
    assert_eq!(bench.counted(), "points_without_field 1, points_written 3");
}

#[tokio::test]
async fn a_run_that_ends_does_not_wait_for_a_server_that_is_away() {
    let (_server, url) = Server::start(&[(503, "")]).await;
    let bench = Bench::new(Some(Duration::from_millis(100))).await;
    let out = output(&url, &json!({"backoff": "1h"}), Credentials::None);
    let begin = Instant::now();
    let error = bench
        .write(&out, vec![row("1", 0, json!(1))])
        .await
        .unwrap_err();
    assert!(matches!(error, OutputError::Interrupted), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    let out = output("http://127.0.0.1:9", &json!({}), Credentials::None);
    let bench = Bench::new(None).await;
    let error = bench
        .write(&out, vec![row("1", 0, json!(1))])
        .await
        .unwrap_err();
    assert!(matches!(error, OutputError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_refuses_whole_requests_still_gets_the_good_lines() {
    let (server, url) = Server::start(&[(204, "")]).await;
    server.told().bad = Some("station=bad");
    let bench = Bench::new(None).await;
    let out = output(&url, &json!({}), Credentials::None);
    let rows = (0..100)
        .map(|n| row(if n == 42 { "bad" } else { "ok" }, n, json!(n)))
        .collect();
    let aside = bench.write(&out, rows).await.unwrap();
    assert_eq!(aside.len(), 1);
    assert_eq!(bench.counted(), "points_refused 1, points_written 99");
    assert!(server.told().bodies.len() < 2 * 8);

    // Bad lines everywhere: the search ends, and nothing is lost.
    server.told().bodies.clear();
    let rows = (0..1000)
        .map(|n| row(if n % 2 == 0 { "bad" } else { "ok" }, n, json!(n)))
        .collect();
    let aside = bench.write(&out, rows).await.unwrap();
    assert!(
        server.told().bodies.len() < 450,
        "{}",
        server.told().bodies.len()
    );
    let kept: usize = aside
        .iter()
        .map(|(_, _, body)| body.matches("station=bad").count())
        .sum();
    assert_eq!(kept, 500);
    assert!(
        aside
            .iter()
            .any(|(_, detail, _)| detail.starts_with("some of "))
    );
}

#[tokio::test]
async fn a_limit_of_the_server_holds_good_points_back_and_loses_none() {
    let full =
        r#"{"error":"partial write: max-series-per-database limit exceeded: (1000000) dropped=1"}"#;
    let (_server, url) = Server::start(&[(400, full)]).await;
    let bench = Bench::new(None).await;
    let out = output(&url, &json!({}), Credentials::None);
    let error = bench
        .write(&out, vec![row("1", 0, json!(1))])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("raise the limit"), "{error}");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_made_smaller() {
    let (server, url) =
        Server::start(&[(413, r#"{"error":"Request Entity Too Large"}"#), (204, "")]).await;
    let bench = Bench::new(None).await;
    let out = output(&url, &json!({}), Credentials::None);
    let rows = (0..10).map(|n| row("1", n, json!(n))).collect();
    assert_eq!(bench.write(&out, rows).await.unwrap(), []);
    assert_eq!(server.told().bodies.len(), 3);
    assert_eq!(bench.counted(), "points_written 10");
}

#[tokio::test]
async fn a_page_or_an_error_with_200_and_a_redirect_are_no_acknowledgement() {
    for (status, body) in [
        (200, "<html>please log in</html>"),
        (200, r#"{"error":"partial write"}"#),
        (302, ""),
        (202, ""),
    ] {
        let (_server, url) = Server::start(&[(status, body)]).await;
        let bench = Bench::new(None).await;
        let out = output(&url, &json!({}), Credentials::None);
        let written = bench.write(&out, vec![row("a", 0, json!(1))]).await;
        assert!(
            matches!(written, Err(OutputError::Unreachable { .. })),
            "{status} {body}: {written:?}"
        );
    }
}
