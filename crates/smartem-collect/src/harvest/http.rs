//! A polite HTTP client: time-outs, retries with backoff and jitter, no more requests at a time
//! than agreed, and bodies that are whole or an error.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::sync::Semaphore;
use url::Url;

/// How a source is asked.
#[derive(Clone, Debug)]
pub struct Politeness {
    /// Requests under way at the same time, at least 1.
    pub parallel: usize,
    /// For one request, body included.
    pub timeout: Duration,
    /// Attempts for one request, at least 1.
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each further one, with jitter.
    pub backoff: Duration,
    /// Largest body accepted, in bytes.
    pub max_body: usize,
}

impl Default for Politeness {
    fn default() -> Self {
        Self {
            parallel: 4,
            timeout: Duration::from_secs(30),
            attempts: 3,
            backoff: Duration::from_millis(500),
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
    #[error("the server answered {0}")]
    Refused(StatusCode),
    /// The body is larger than agreed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
}

/// The client of one source.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    politeness: Politeness,
    places: Arc<Semaphore>,
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("making an HTTP client")]
pub struct ClientError(#[from] reqwest::Error);

/// A wait that a server asks for is honoured up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

impl Client {
    /// A client that sends these headers with every request.
    pub fn new(headers: HeaderMap, politeness: Politeness) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("smartem/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(politeness.timeout)
            .connect_timeout(politeness.timeout.min(Duration::from_secs(10)))
            .build()?;
        let places = Arc::new(Semaphore::new(politeness.parallel.max(1)));
        Ok(Self {
            http,
            politeness,
            places,
        })
    }

    /// Gets a body, trying again while that may help.
    ///
    /// A body that ends before the length or the framing the server announced is a failure of the
    /// transport and tried again. Without either, a body is whole when the connection closes (RFC
    /// 9112, section 6.3); whether it makes sense is for the caller to judge.
    pub async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let attempts = self.politeness.attempts.max(1);
        let mut attempt = 1;
        loop {
            match self.attempt(url).await {
                Ok(body) => return Ok(body),
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
        let doubled = self
            .politeness
            .backoff
            .saturating_mul(1 << (attempt - 1).min(10));
        doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    async fn attempt(&self, url: &Url) -> Result<Vec<u8>, Failure> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let answer = self
            .http
            .get(url.clone())
            .send()
            .await
            .map_err(|e| passing(&e))?;
        let status = answer.status();
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
        self.read_body(answer).await
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

enum Failure {
    Final(FetchError),
    Passing {
        problem: String,
        retry_after: Option<Duration>,
    },
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

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}
