//! A SensorThings service from outside: requests that are tried again while that may help.

use std::fmt;

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use smartem_etl::{OutputError, Run};
use tokio::sync::OnceCell;

use super::config::SensorThingsSettings;
use crate::remote::{
    Attempts, ClientError, Credentials, Failure, client, is_passing, passing, retry_after, told,
};

/// Pages of one listing; more of them are a server that leads in circles.
const MOST_PAGES: usize = 1000;

/// The conformance class of a service that finds what is there already by itself.
const UPSERT: &str = "urn:smartem:sta:upsert";

/// Asks and writes.
pub(super) struct Client {
    http: reqwest::Client,
    /// Without a slash at its end.
    root: String,
    user: Option<(String, String)>,
    attempts: Attempts,
    /// Whether the service declares [`UPSERT`], once that was asked.
    upserts: OnceCell<bool>,
}

/// An id: a number or a text, as the server has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Id(pub(super) Value);

/// As it stands in a path: `(5)`, `('5')`.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => write!(f, "('{}')", text.replace('\'', "''")),
            other => write!(f, "({other})"),
        }
    }
}

impl Id {
    /// The id of an entity.
    pub(super) fn of(entity: &Value) -> Option<Self> {
        let id = entity.get("@iot.id")?;
        (id.is_number() || id.is_string()).then(|| Self(id.clone()))
    }

    /// The id in the address of an entity, `.../Things(5)`.
    fn in_address(address: &str) -> Option<Self> {
        let inner = address.strip_suffix(')')?;
        // A text may hold brackets itself.
        let begin = inner.find("('").or_else(|| inner.rfind('('))?;
        let id = &inner[begin + 1..];
        let text = id
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''));
        match text {
            Some(text) => Some(Self(Value::from(text.replace("''", "'")))),
            None => id.parse::<i64>().ok().map(|number| Self(number.into())),
        }
    }
}

/// What a server says to a request.
pub(super) enum Answer {
    /// It did it.
    Done {
        /// The address of what was made.
        location: Option<String>,
        /// Null where there is none.
        body: Value,
    },
    /// It does not take this; the same again would not be taken either.
    Refused {
        /// How.
        status: StatusCode,
        /// Its words.
        text: String,
    },
}

/// What became of something new.
pub(super) enum Posted {
    /// The server says so.
    Answered(Answer),
    /// The answer was lost: it may be there.
    Unknown,
}

impl Client {
    pub(super) fn new(
        settings: &SensorThingsSettings,
        credentials: Credentials,
    ) -> Result<Self, ClientError> {
        let (http, user) = client("Bearer", credentials, settings.timeout)?;
        let url = &settings.url;
        let is_root = matches!(url.scheme(), "http" | "https") && url.query().is_none();
        if !is_root {
            return Err(ClientError::Address(url.clone()));
        }
        Ok(Self {
            http,
            root: url.as_str().trim_end_matches('/').to_owned(),
            user,
            attempts: Attempts::new(settings.attempts, settings.backoff),
            upserts: OnceCell::new(),
        })
    }

    /// Whether the same may be sent again to the service, which finds what is there.
    async fn upserts(&self, run: &Run) -> Result<bool, OutputError> {
        let asked = self.upserts.get_or_try_init(|| async {
            // Some services have nothing at their root without a slash; they declare nothing then.
            let Answer::Done { body, .. } = self.send(run, &Method::GET, &self.root, None).await?
            else {
                return Ok(false);
            };
            let classes = body["serverSettings"]["conformance"].as_array();
            Ok(classes.is_some_and(|classes| classes.iter().any(|it| it == UPSERT)))
        });
        asked.await.copied()
    }

    /// The address of the service, for messages.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The address of a path below the root, with query options.
    pub(super) fn address(&self, path: &str, options: &[(&str, String)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in options {
            query.append_pair(name, value);
        }
        // Blanks as %20: not every service takes `+` for one.
        let query = query.finish().replace('+', "%20").replace("%24", "$");
        let separator = if options.is_empty() { "" } else { "?" };
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{}{slash}{path}{separator}{query}", self.root)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// When it cannot be had, or the run ended first.
    pub(super) async fn get(&self, run: &Run, address: &str) -> Result<Value, OutputError> {
        match self.send(run, &Method::GET, address, None).await? {
            Answer::Done { body, .. } => Ok(body),
            Answer::Refused { status, text } => Err(self.unreachable(format!(
                "{address} was answered {status}: {text}; is `url` the root of a SensorThings service, with \
                 its version?"
            ))),
        }
    }

    /// Reads all entities of a listing, page by page.
    pub(super) async fn list(&self, run: &Run, address: String) -> Result<Vec<Value>, OutputError> {
        let (entities, is_whole) = self.first_pages(run, address, MOST_PAGES).await?;
        if is_whole {
            return Ok(entities);
        }
        Err(self.unreachable(format!("a listing has more than {MOST_PAGES} pages")))
    }

    /// Reads so many pages of a listing; whether that was all of it.
    pub(super) async fn first_pages(
        &self,
        run: &Run,
        address: String,
        most: usize,
    ) -> Result<(Vec<Value>, bool), OutputError> {
        let mut entities = Vec::new();
        let mut next = Some(address);
        for _ in 0..most {
            let Some(address) = next else {
                return Ok((entities, true));
            };
            let mut page = self.get(run, &address).await?;
            let Some(Value::Array(found)) = page.get_mut("value").map(Value::take) else {
                let problem = format!("{address} was answered without `value`");
                return Err(self.unreachable(problem));
            };
            entities.extend(found);
            next = page["@iot.nextLink"].as_str().map(str::to_owned);
        }
        Ok((entities, next.is_none()))
    }

    /// Makes an entity. Whether one was made is not known when the answer is lost, so the same is not sent
    /// again: the caller looks first whether it is there now.
    ///
    /// `attempt` counts from 1 how often it was tried.
    pub(super) async fn create(
        &self,
        run: &Run,
        path: &str,
        entity: &Value,
        attempt: u32,
    ) -> Result<Option<Id>, OutputError> {
        match self.post(run, path, entity, attempt).await? {
            Posted::Unknown => Ok(None),
            Posted::Answered(Answer::Done { location, body }) => {
                let id = location.as_deref().and_then(Id::in_address);
                let id = id.or_else(|| Id::of(&body)).ok_or_else(|| {
                    self.unreachable(format!("POST to {path} was answered without an id"))
                })?;
                run.counters.add("entities_made", 1);
                Ok(Some(id))
            }
            Posted::Answered(Answer::Refused { status, text }) => Err(self.unreachable(format!(
                "POST to {path} was answered {status}: {text}. What was not written stays waiting"
            ))),
        }
    }

    /// Sends something new, once. When it is not known what became of it, this returns after a wait.
    ///
    /// # Errors
    /// When attempt number `attempt` was the last, when the server does not let us, or the run ended.
    pub(super) async fn post(
        &self,
        run: &Run,
        path: &str,
        body: &Value,
        attempt: u32,
    ) -> Result<Posted, OutputError> {
        // A new location of a thing is another one, also where it has the name of the one before.
        let is_place = path.ends_with("/Locations");
        let options = if !is_place && self.upserts(run).await? {
            vec![("onDuplicate", "update".to_owned())]
        } else {
            Vec::new()
        };
        let address = self.address(path, &options);
        let body = Some(bytes::Bytes::from(body.to_string()));
        let sent = async {
            match self.attempt(&Method::POST, &address, body).await {
                Ok(answer) => Ok(Posted::Answered(answer)),
                Err(failure) => {
                    tokio::time::sleep(self.attempts.again(attempt, failure)?).await;
                    Ok(Posted::Unknown)
                }
            }
        };
        tokio::select! {
            biased;
            () = run.ended() => Err(OutputError::Interrupted),
            sent = sent => sent.map_err(|problem| self.unreachable(problem)),
        }
    }

    /// Makes a request that may be made twice, until it is answered.
    ///
    /// # Errors
    /// When it is not, when the server does not let us, or the run ended first.
    pub(super) async fn send(
        &self,
        run: &Run,
        method: &Method,
        address: &str,
        body: Option<&Value>,
    ) -> Result<Answer, OutputError> {
        let body = body.map(|body| bytes::Bytes::from(body.to_string()));
        tokio::select! {
            biased;
            () = run.ended() => Err(OutputError::Interrupted),
            answer = self.until_answered(method, address, body) => {
                answer.map_err(|problem| self.unreachable(problem))
            }
        }
    }

    async fn until_answered(
        &self,
        method: &Method,
        address: &str,
        body: Option<bytes::Bytes>,
    ) -> Result<Answer, String> {
        let mut attempt = 1;
        loop {
            match self.attempt(method, address, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => tokio::time::sleep(self.attempts.again(attempt, failure)?).await,
            }
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        address: &str,
        body: Option<bytes::Bytes>,
    ) -> Result<Answer, Failure> {
        let mut request = self.http.request(method.clone(), address);
        if let Some((name, password)) = &self.user {
            request = request.basic_auth(name, Some(password));
        }
        if let Some(body) = body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let answer = request.send().await.map_err(passing)?;
        let status = answer.status();
        let retry_after = retry_after(answer.headers());
        let location = answer.headers().get(LOCATION);
        let location = location.and_then(|it| it.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(passing)?;
        if status.is_success() {
            return done(location, &body);
        }
        let problem = format!("{method} {address} was answered {status}: {}", told(&body));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::Final(format!(
                "{problem}; give `username` and `password_file`, or `token_file`, of one who may write. What \
                 was not written stays waiting"
            ))),
            StatusCode::NOT_IMPLEMENTED => Ok(Answer::Refused {
                status,
                text: told(&body),
            }),
            status if is_passing(status) => Err(Failure::Passing {
                problem,
                retry_after,
            }),
            status => Ok(Answer::Refused {
                status,
                text: told(&body),
            }),
        }
    }

    pub(super) fn unreachable(&self, problem: String) -> OutputError {
        OutputError::Unreachable {
            place: self.root.clone(),
            problem,
        }
    }
}

/// A body that was cut short or is a page of somebody between is no answer of the service.
fn done(location: Option<String>, body: &[u8]) -> Result<Answer, Failure> {
    let body = match body.trim_ascii() {
        [] => Value::Null,
        text => serde_json::from_slice(text).map_err(|error| Failure::Passing {
            problem: format!("the answer is no JSON: {error}"),
            retry_after: None,
        })?,
    };
    Ok(Answer::Done { location, body })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_found_in_an_address_and_written_into_one() {
        for (address, id, written) in [
            ("http://a/v1.1/Things(5)", json!(5), "(5)"),
            ("Things('a(b)')", json!("a(b)"), "('a(b)')"),
            ("http://a/v1.1/Things('x-1')", json!("x-1"), "('x-1')"),
            ("http://a/v1.1/Things('it''s')", json!("it's"), "('it''s')"),
        ] {
            let found = Id::in_address(address).unwrap();
            assert_eq!(found, Id(id));
            assert_eq!(found.to_string(), written);
        }
        for address in ["", "http://a/v1.1/Things", "Things(x)", "Things()"] {
            assert_eq!(Id::in_address(address), None, "{address}");
        }
    }
}
