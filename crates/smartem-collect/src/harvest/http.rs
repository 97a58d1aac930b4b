//! A polite HTTP client: time-outs, retries with backoff and jitter, no more requests at a time and
//! in a second than agreed, conditional requests, and bodies that are whole or an error.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use reqwest::header::{
    AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RETRY_AFTER,
};
use reqwest::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smartem_etl::{InputError, Run};
use tokio::sync::Semaphore;
use url::Url;

/// How a source is asked; the settings that all sources over HTTP have.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Politeness {
    /// Requests under way at the same time, at least 1.
    pub parallel: usize,
    /// Requests in a second to one host, over all sources and processes of this program; 0: no limit.
    pub rate: f64,
    /// For one request, body included.
    #[schemars(with = "String")]
    pub timeout: SignedDuration,
    /// Attempts for one request, at least 1.
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each further one, with jitter.
    #[schemars(with = "String")]
    pub backoff: SignedDuration,
    /// Largest body accepted, in bytes.
    pub max_body: usize,
}

impl Default for Politeness {
    fn default() -> Self {
        Self {
            parallel: 4,
            rate: 0.0,
            timeout: SignedDuration::from_secs(30),
            attempts: 3,
            backoff: SignedDuration::from_millis(500),
            max_body: 64 * 1024 * 1024,
        }
    }
}

/// A request that had no success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No whole answer, or one that says to come back later, after all attempts.
    #[error("{problem} (after {attempts} attempts)")]
    Unreachable {
        /// The last problem.
        problem: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// An answer that a repetition would not change, such as 404.
    #[error("the server answered {0}{hint}", hint = hint(*.0))]
    Refused(StatusCode),
    /// The body is larger than agreed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The run is to end.
    #[error("the run ended before the answer")]
    Interrupted,
}

impl FetchError {
    /// The error of an input that cannot go on without the answer from `place`.
    pub fn at(self, place: impl Into<String>) -> InputError {
        match self {
            Self::Interrupted => InputError::Interrupted,
            error => InputError::Unreachable {
                place: place.into(),
                problem: error.to_string(),
            },
        }
    }
}

/// What a server said of the version of a document, to ask later whether there is a newer one
/// (RFC 9110, section 13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`.
    pub last_modified: Option<String>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| {
            let value: Option<&HeaderValue> = headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        Self {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
        }
    }

    fn headers(&self) -> HeaderMap {
        let pairs = [
            (IF_NONE_MATCH, &self.etag),
            (IF_MODIFIED_SINCE, &self.last_modified),
        ];
        let known = pairs.into_iter().filter_map(|(name, text)| {
            let value = HeaderValue::from_str(text.as_deref()?).ok()?;
            Some((name, value))
        });
        known.collect()
    }
}

/// A document and its version.
#[derive(Clone, Debug)]
pub struct Document {
    /// The whole body.
    pub body: Vec<u8>,
    /// To be given with the next request.
    pub validators: Validators,
}

/// The client of one source.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    politeness: Politeness,
    places: Arc<Semaphore>,
}

/// What a person can do about an answer.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; check the token, or user and password, that the source is asked with"
        }
        StatusCode::NOT_FOUND => "; check `url` and what is asked for",
        _ => "",
    }
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The library refused.
    #[error("making an HTTP client")]
    Http(#[from] reqwest::Error),
    /// A setting that makes no sense.
    #[error("`{setting}` is {value}; {remedy}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// As it was given.
        value: String,
        /// What it can be.
        remedy: &'static str,
    },
}

impl Politeness {
    fn check(&self) -> Result<(), ClientError> {
        let positive = "it must be more than nothing, such as `30s`";
        let tests = [
            (
                "parallel",
                self.parallel >= 1,
                self.parallel.to_string(),
                "at least 1",
            ),
            (
                "attempts",
                self.attempts >= 1,
                self.attempts.to_string(),
                "at least 1",
            ),
            (
                "max_body",
                self.max_body >= 1,
                self.max_body.to_string(),
                "at least 1",
            ),
            (
                "rate",
                self.rate.is_finite() && self.rate >= 0.0,
                self.rate.to_string(),
                "requests in a second, or 0 for no limit",
            ),
            (
                "timeout",
                self.timeout.is_positive(),
                format!("{:#}", self.timeout),
                positive,
            ),
            (
                "backoff",
                !self.backoff.is_negative(),
                format!("{:#}", self.backoff),
                positive,
            ),
        ];
        match tests.into_iter().find(|(_, holds, ..)| !holds) {
            None => Ok(()),
            Some((setting, _, value, remedy)) => Err(ClientError::Setting {
                setting,
                value,
                remedy,
            }),
        }
    }
}

/// A wait that a server asks for is honoured up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The header value of a bearer token; `None` when it holds what no header can.
pub fn bearer(token: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header value of a user with a password (RFC 7617).
pub fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = BASE64_STANDARD.encode(format!("{user}:{password}"));
    // Base64 has no character that a header may not hold.
    let value = HeaderValue::from_str(&format!("Basic {encoded}"));
    let mut value = value.unwrap_or_else(|_| HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// Headers that authorise with this value.
pub fn authorization(value: Option<HeaderValue>) -> HeaderMap {
    value
        .into_iter()
        .map(|value| (AUTHORIZATION, value))
        .collect()
}

impl Client {
    /// A client that sends these headers with every request.
    pub fn new(headers: HeaderMap, politeness: Politeness) -> Result<Self, ClientError> {
        politeness.check()?;
        let timeout = duration(politeness.timeout);
        let http = reqwest::Client::builder()
            .user_agent(concat!("smartem/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .build()?;
        let places = Arc::new(Semaphore::new(politeness.parallel.max(1)));
        Ok(Self {
            http,
            politeness,
            places,
        })
    }

    /// Requests under way at the same time.
    pub fn parallel(&self) -> usize {
        self.politeness.parallel.max(1)
    }

    /// Gets a body, trying again while that may help and the run goes on.
    ///
    /// A body that ends before the length or the framing the server announced is a failure of the
    /// transport and tried again. Without either, a body is whole when the connection closes (RFC
    /// 9112, section 6.3); whether it makes sense is for the caller to judge.
    pub async fn get(&self, run: &Run, url: &Url) -> Result<Vec<u8>, FetchError> {
        let request = Request::get(url);
        let document = self.send(run, &request).await?;
        Ok(document.map(|document| document.body).unwrap_or_default())
    }

    /// Gets a document unless it is still of the version that `known` tells of (then `None`).
    pub async fn get_if_changed(
        &self,
        run: &Run,
        url: &Url,
        known: &Validators,
    ) -> Result<Option<Document>, FetchError> {
        let request = Request {
            headers: known.headers(),
            ..Request::get(url)
        };
        self.send(run, &request).await
    }

    /// Sends a form, as a query that is too long for an address.
    pub async fn post_form(
        &self,
        run: &Run,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Result<Vec<u8>, FetchError> {
        let request = Request {
            method: Method::POST,
            form: Some(form),
            ..Request::get(url)
        };
        let document = self.send(run, &request).await?;
        Ok(document.map(|document| document.body).unwrap_or_default())
    }

    async fn send(&self, run: &Run, request: &Request<'_>) -> Result<Option<Document>, FetchError> {
        tokio::select! {
            biased;
            () = run.ended() => Err(FetchError::Interrupted),
            answer = self.send_until_answered(request) => answer,
        }
    }

    async fn send_until_answered(
        &self,
        request: &Request<'_>,
    ) -> Result<Option<Document>, FetchError> {
        let attempts = self.politeness.attempts.max(1);
        let mut attempt = 1;
        loop {
            match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { problem, .. }) if attempt >= attempts => {
                    return Err(FetchError::Unreachable { problem, attempts });
                }
                Err(Failure::Passing { retry_after, .. }) => {
                    tokio::time::sleep(retry_after.unwrap_or_else(|| self.backoff(attempt))).await;
                    attempt += 1;
                }
            }
        }
    }

    /// Half to the whole of the doubled wait, so that many clients do not come back at once.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = duration(self.politeness.backoff).saturating_mul(1 << (attempt - 1).min(10));
        doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    async fn attempt(&self, request: &Request<'_>) -> Result<Option<Document>, Failure> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        wait_for_turn(request.url, self.politeness.rate).await;
        let sent = self
            .http
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        let sent = match request.form {
            Some(form) => sent.form(form),
            None => sent,
        };
        let answer = sent.send().await.map_err(|e| passing(&e))?;
        let status = answer.status();
        if status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        if !status.is_success() {
            let come_back = status.is_server_error()
                || status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::REQUEST_TIMEOUT;
            if !come_back {
                return Err(Failure::Final(FetchError::Refused(status)));
            }
            return Err(Failure::Passing {
                problem: format!("the server answered {status}"),
                retry_after: retry_after(answer.headers()),
            });
        }
        let validators = Validators::of(answer.headers());
        let body = self.read_body(answer).await?;
        Ok(Some(Document { body, validators }))
    }

    async fn read_body(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, Failure> {
        let limit = self.politeness.max_body;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| passing(&e))? {
            if bytes.len() + chunk.len() > limit {
                return Err(Failure::Final(FetchError::TooLarge(limit)));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

struct Request<'a> {
    method: Method,
    url: &'a Url,
    headers: HeaderMap,
    form: Option<&'a [(&'a str, &'a str)]>,
}

impl<'a> Request<'a> {
    fn get(url: &'a Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            form: None,
        }
    }
}

enum Failure {
    Final(FetchError),
    Passing {
        problem: String,
        retry_after: Option<Duration>,
    },
}

/// A negative duration of the settings is none.
fn duration(signed: SignedDuration) -> Duration {
    Duration::try_from(signed).unwrap_or_default()
}

/// When the next request to a host may be sent, over all sources of this program.
static TURNS: OnceLock<Mutex<HashMap<String, Instant>>> = OnceLock::new();

async fn wait_for_turn(url: &Url, rate: f64) {
    let gap = Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default();
    if rate <= 0.0 || gap.is_zero() {
        return;
    }
    let host = format!("{}:{:?}", url.host_str().unwrap_or_default(), url.port());
    let turn = {
        let turns = TURNS.get_or_init(Mutex::default);
        let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let next = turns.entry(host).or_insert(now);
        let turn = (*next).max(now);
        *next = turn + gap;
        turn
    };
    tokio::time::sleep_until(turn.into()).await;
}

/// Connection refused, time-out, body cut short: worth another attempt.
fn passing(error: &reqwest::Error) -> Failure {
    let mut problem = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        problem = format!("{problem}: {cause}");
        source = cause.source();
    }
    Failure::Passing {
        problem,
        retry_after: None,
    }
}

/// A number of seconds, or a date that is compared with that of the answer (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let wait = if let Ok(seconds) = text.trim().parse() {
        Duration::from_secs(seconds)
    } else {
        let date = |text: &str| -> Option<Timestamp> {
            let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
            Some(zoned.timestamp())
        };
        let sent = date(headers.get(reqwest::header::DATE)?.to_str().ok()?)?;
        duration(date(text)?.duration_since(sent))
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}
