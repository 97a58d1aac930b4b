//! The write door of InfluxDB 1.x: one request, tried again while that may help.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::StatusCode;
use reqwest::header::CONTENT_ENCODING;
use smartem_etl::{OutputError, Run};
use url::Url;

use super::config::InfluxdbSettings;
use crate::remote::{
    Attempts, ClientError, Credentials, Failure, client, is_passing, passing, retry_after, told,
};

/// Writes to one database.
pub(super) struct Client {
    http: reqwest::Client,
    /// With database and retention policy.
    address: Url,
    /// The address as it is told.
    place: String,
    database: String,
    user: Option<(String, String)>,
    attempts: Attempts,
    gzip: bool,
}

/// Lines that the server does not take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What it says.
    pub text: String,
    /// How many points it left out, if it tells; the others are written.
    pub dropped: Option<usize>,
    /// Whether it would take all of them from another time: they are older than it keeps any.
    pub is_too_old: bool,
}

impl Client {
    pub(super) fn new(
        settings: &InfluxdbSettings,
        credentials: Credentials,
    ) -> Result<Self, ClientError> {
        let (http, user) = client("Token", credentials, settings.timeout)?;
        let address = write_address(settings)?;
        let mut place = address.clone();
        place.set_query(None);
        Ok(Self {
            http,
            address,
            place: place.into(),
            database: settings.database.clone(),
            user,
            attempts: Attempts::new(settings.attempts, settings.backoff),
            gzip: settings.gzip,
        })
    }

    /// Writes lines. `Ok(Err(_))`: they arrived, and not all of them are to the server's liking.
    ///
    /// # Errors
    /// When the server cannot be written to now, or the run ended first.
    pub(super) async fn write(
        &self,
        run: &Run,
        lines: String,
    ) -> Result<Result<(), Refusal>, OutputError> {
        tokio::select! {
            biased;
            () = run.ended() => Err(OutputError::Interrupted),
            answer = self.write_until_answered(lines) => {
                answer.map_err(|problem| OutputError::Unreachable {
                    place: self.place.clone(),
                    problem,
                })
            }
        }
    }

    async fn write_until_answered(&self, lines: String) -> Result<Result<(), Refusal>, String> {
        let body = bytes::Bytes::from(if self.gzip {
            compressed(&lines).map_err(|error| error.to_string())?
        } else {
            lines.into_bytes()
        });
        let mut attempt = 1;
        loop {
            match self.attempt(body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => tokio::time::sleep(self.attempts.again(attempt, failure)?).await,
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, body: bytes::Bytes) -> Result<Result<(), Refusal>, Failure> {
        let mut request = self.http.post(self.address.clone()).body(body);
        if let Some((name, password)) = &self.user {
            request = request.basic_auth(name, Some(password));
        }
        if self.gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let answer = request.send().await.map_err(passing)?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        let body = answer.bytes().await.map_err(passing)?;
        let text = told(&body);
        let problem = format!("the server answered {status}: {text}");
        match status {
            StatusCode::NO_CONTENT => Ok(Ok(())),
            // Some servers say 200 for 204; but one with words in it has not written everything.
            StatusCode::OK if body.trim_ascii().is_empty() => Ok(Ok(())),
            StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::PAYLOAD_TOO_LARGE => self.refusal(text).map(Err),
            status if is_passing(status) => Err(Failure::Passing {
                problem,
                retry_after,
            }),
            status => Err(Failure::Final(self.with_remedy(status, &problem))),
        }
    }

    /// What a refusal of lines says, unless it is one of the server's own limits.
    fn refusal(&self, text: String) -> Result<Refusal, Failure> {
        // Points over a limit are good points: they are to be written once the limit is mended.
        if text.contains("limit exceeded") {
            return Err(Failure::Final(format!(
                "the server answered: {text}; raise the limit in its configuration, or write fewer \
                 series to the database {}",
                self.database
            )));
        }
        let dropped = text
            .rsplit_once("dropped=")
            .and_then(|(_, count)| count.trim_end().parse().ok());
        Ok(Refusal {
            is_too_old: text.contains("points beyond retention policy"),
            dropped,
            text,
        })
    }

    fn with_remedy(&self, status: StatusCode, problem: &str) -> String {
        let database = &self.database;
        let remedy = match status {
            StatusCode::UNAUTHORIZED => {
                "give `username` and `password_file`, or `token_file`, of one who may write"
                    .to_owned()
            }
            StatusCode::FORBIDDEN => match &self.user {
                Some((name, _)) => {
                    format!("let the user write: GRANT WRITE ON \"{database}\" TO \"{name}\"")
                }
                None => format!("give `username` of one who may write to the database {database}"),
            },
            StatusCode::NOT_FOUND if problem.contains("not found:") => {
                format!("make the database (CREATE DATABASE \"{database}\") or mend `database`")
            }
            _ => "is `url` the base address of an InfluxDB?".to_owned(),
        };
        format!("{problem}; {remedy}. What was not written stays waiting")
    }
}

fn write_address(settings: &InfluxdbSettings) -> Result<Url, ClientError> {
    let refused = || ClientError::Address(settings.url.clone());
    let mut address = settings.url.clone();
    address
        .path_segments_mut()
        .map_err(|()| refused())?
        .pop_if_empty()
        .push("write");
    address.set_fragment(None);
    let mut query = address.query_pairs_mut();
    query.append_pair("db", &settings.database);
    if let Some(policy) = &settings.retention_policy {
        query.append_pair("rp", policy);
    }
    drop(query);
    Ok(address)
}

fn compressed(lines: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(lines.as_bytes())?;
    encoder.finish()
}
