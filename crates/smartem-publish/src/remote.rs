//! What all servers that we push to have in common: when a request is worth another attempt, and how an
//! answer is told.

use std::time::Duration;

use jiff::SignedDuration;
use rand::Rng;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// A wait that a server asks for is honoured up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Of what a server says so many characters are told.
const LONGEST_TEXT: usize = 600;

/// Why a request did not do what it should.
pub(crate) enum Failure {
    /// Worth another attempt.
    Passing {
        /// What went wrong, in words.
        problem: String,
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// A person has to act.
    Final(String),
}

/// How often a request is made, and how long it is waited between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempts {
    most: u32,
    backoff: Duration,
}

impl Attempts {
    /// At least one attempt.
    pub(crate) fn new(most: u32, backoff: SignedDuration) -> Self {
        Self {
            most: most.max(1),
            backoff: duration(backoff),
        }
    }

    /// How long to wait after attempt `attempt`, counted from 1, before the next one.
    ///
    /// # Errors
    /// When there is to be none: what the attempt failed with, in words.
    pub(crate) fn again(self, attempt: u32, failure: Failure) -> Result<Duration, String> {
        match failure {
            Failure::Final(problem) => Err(problem),
            Failure::Passing { problem, .. } if attempt >= self.most => {
                Err(format!("{problem} (after {attempt} attempts)"))
            }
            Failure::Passing { retry_after, .. } => {
                Ok(retry_after.unwrap_or_else(|| self.wait(attempt)))
            }
        }
    }

    /// Half to the whole of the doubled wait, so that many writers do not come back at once.
    fn wait(self, attempt: u32) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << (attempt - 1).min(10));
        doubled.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// Whether an answer of this status may be another one the next time.
pub(crate) fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
    ) || status.is_server_error()
}

/// What an answer says: the `error` of version 1, the `message` of version 2, or its text.
pub(crate) fn told(body: &[u8]) -> String {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    let member = document.as_ref().and_then(|document| {
        let texts = ["error", "message"].map(|name| document.get(name));
        texts.into_iter().flatten().find_map(Value::as_str)
    });
    let text = member.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    let text = text.trim();
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.to_owned(),
        // The end of the text tells how many points were dropped.
        Some((cut, _)) => {
            let end = text.rfind(" dropped=").filter(|end| *end > cut);
            format!("{}...{}", &text[..cut], end.map_or("", |end| &text[end..]))
        }
    }
}

/// Connection refused, time-out, answer cut short: worth another attempt.
#[expect(
    clippy::needless_pass_by_value,
    reason = "reads as a function to map errors with"
)]
pub(crate) fn passing(error: reqwest::Error) -> Failure {
    let mut problem = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        problem = format!("{problem}: {cause}");
        source = cause.source();
    }
    Failure::Passing {
        problem,
        retry_after: None,
    }
}

/// The wait that a server asks for, when it says a number of seconds.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// A negative duration of the settings is none.
pub(crate) fn duration(signed: SignedDuration) -> Duration {
    Duration::try_from(signed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_found_in_each_of_its_forms() {
        assert_eq!(told(br#"{"error":"timeout"}"#), "timeout");
        assert_eq!(told(br#"{"code":"invalid","message":"no"}"#), "no");
        assert_eq!(told(b" bad gateway\n"), "bad gateway");
        let long = format!(
            r#"{{"error":"partial write: {} dropped=3"}}"#,
            "x".repeat(2000)
        );
        let told = told(long.as_bytes());
        assert!(
            told.len() < 700 && told.ends_with("x... dropped=3"),
            "{told}"
        );
    }
}
