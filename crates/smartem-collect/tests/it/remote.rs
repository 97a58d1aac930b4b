//! A remote whose answers a test sets, over a real connection.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use futures::stream;
use tokio::net::TcpListener;
use url::Url;

/// How one request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Json(String),
    Status(u16),
    /// 429 with `Retry-After: 0`.
    ComeBack,
    /// Announces the whole length, sends half and closes.
    CutShort(String),
}

#[derive(Default)]
struct Script {
    /// Answers to the next requests of a path; the last one stays.
    replies: HashMap<String, VecDeque<Reply>>,
    requests: Vec<String>,
    tokens: Vec<Option<String>>,
    under_way: usize,
    most_under_way: usize,
    delay: Duration,
}

/// A running remote.
#[derive(Clone)]
pub(crate) struct Remote {
    script: Arc<Mutex<Script>>,
    pub url: Url,
}

impl Remote {
    pub(crate) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/sensors/v1", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { script, url }
    }

    /// Sets the answers to the next requests of a path below `/sensors/v1`; the last one stays.
    pub(crate) fn set(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let path = format!("/sensors/v1{path}");
        self.script
            .lock()
            .unwrap()
            .replies
            .insert(path, replies.into_iter().collect());
    }

    pub(crate) fn json(&self, path: &str, body: &(impl ToString + ?Sized)) {
        self.set(path, [Reply::Json(body.to_string())]);
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.script.lock().unwrap().delay = delay;
    }

    /// How often a path was asked for.
    pub(crate) fn asked(&self, path: &str) -> usize {
        let path = format!("/sensors/v1{path}");
        self.script
            .lock()
            .unwrap()
            .requests
            .iter()
            .filter(|asked| **asked == path)
            .count()
    }

    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        self.script.lock().unwrap().tokens.clone()
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.script.lock().unwrap().most_under_way
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .map(|t| t.to_str().unwrap().to_owned());
    let (reply, delay) = {
        let mut script = script.lock().unwrap();
        script.requests.push(path.clone());
        script.tokens.push(token);
        script.under_way += 1;
        script.most_under_way = script.most_under_way.max(script.under_way);
        let replies = script.replies.get_mut(&path);
        let reply = replies.and_then(|replies| {
            if replies.len() > 1 {
                replies.pop_front()
            } else {
                replies.front().cloned()
            }
        });
        (reply.unwrap_or(Reply::Status(404)), script.delay)
    };
    tokio::time::sleep(delay).await;
    script.lock().unwrap().under_way -= 1;
    let response = Response::builder();
    match reply {
        Reply::Json(body) => response.body(Body::from(body)).unwrap(),
        Reply::Status(code) => response
            .status(StatusCode::from_u16(code).unwrap())
            .body(Body::empty())
            .unwrap(),
        Reply::ComeBack => response
            .status(429)
            .header(RETRY_AFTER, "0")
            .body(Body::empty())
            .unwrap(),
        Reply::CutShort(body) => {
            let half = Bytes::from(body[..body.len() / 2].to_owned());
            let broken = std::io::Error::other("the connection breaks here");
            let parts = stream::iter([Ok(half), Err(broken)]);
            response
                .header(CONTENT_LENGTH, body.len())
                .body(Body::from_stream(parts))
                .unwrap()
        }
    }
}
