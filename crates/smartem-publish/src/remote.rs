//! What all servers that we push to have in common: when a request is worth another attempt, and how an
//! answer is told.

use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use rand::Rng;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;
use smartem_etl::{SettingsError, Site};
use url::Url;

/// A wait that a server asks for is honoured up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Of what a server says so many characters are told.
const LONGEST_TEXT: usize = 600;

/// Who writes. Never shown.
#[derive(Clone)]
pub enum Credentials {
    /// A server that lets anybody write.
    None,
    /// User and password.
    Password(String, String),
    /// A token.
    Token(String),
}

/// How settings name who writes.
pub(crate) struct Named<'a> {
    pub(crate) username: Option<&'a str>,
    pub(crate) password_file: Option<&'a Path>,
    pub(crate) token_file: Option<&'a Path>,
}

impl Named<'_> {
    /// Reads what the files hold.
    ///
    /// # Errors
    /// When they do not go together, when a file cannot be read, or when a secret is in the address.
    pub(crate) fn credentials(&self, url: &Url, site: &Site) -> Result<Credentials, SettingsError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(SettingsError(
                "`url`: write the user to `username` and the password to a file that \
                 `password_file` names, not into the address"
                    .to_owned(),
            ));
        }
        match (self.username, self.password_file, self.token_file) {
            (None, None, None) => Ok(Credentials::None),
            (Some(user), Some(file), None) => {
                let password = site.secret("password_file", file)?;
                Ok(Credentials::Password(user.to_owned(), password))
            }
            (None, None, Some(file)) => Ok(Credentials::Token(site.secret("token_file", file)?)),
            _ => Err(SettingsError(
                "give `username` and `password_file`, or `token_file` alone, or none of them"
                    .to_owned(),
            )),
        }
    }
}

/// For one request, unless settings say otherwise.
pub(crate) fn timeout() -> SignedDuration {
    SignedDuration::from_secs(30)
}

/// So often a request is made, unless settings say otherwise.
pub(crate) fn attempts() -> u32 {
    5
}

/// The wait before the second attempt, unless settings say otherwise.
pub(crate) fn backoff() -> SignedDuration {
    SignedDuration::from_millis(500)
}

/// A client that speaks as us, and takes no redirect: a write that is led to another page is none.
///
/// `scheme` is the word before a token.
pub(crate) fn client(
    scheme: &str,
    credentials: Credentials,
    timeout: SignedDuration,
) -> Result<(reqwest::Client, Option<(String, String)>), ClientError> {
    let mut headers = HeaderMap::new();
    let mut user = None;
    match credentials {
        Credentials::None => {}
        Credentials::Password(name, password) => user = Some((name, password)),
        Credentials::Token(token) => {
            let value = HeaderValue::from_str(&format!("{scheme} {token}"));
            let mut value = value.map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    let timeout = duration(timeout);
    let http = reqwest::Client::builder()
        .user_agent(concat!("smartem/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .connect_timeout(timeout.min(Duration::from_secs(10)))
        .build()?;
    Ok((http, user))
}

/// A client that could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("making an HTTP client")]
    Http(#[from] reqwest::Error),
    #[error("`token_file` holds characters that no header may")]
    Token,
    #[error("`url`: {0} cannot be the base of an address")]
    Address(Url),
}

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
