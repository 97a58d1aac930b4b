use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::InfluxError;

/// How long a server may be silent; a large query works for a while before its first row.
const SILENCE: Duration = Duration::from_secs(300);

/// User and password.
#[derive(Clone)]
pub struct Login {
    /// The name.
    pub user: String,
    /// Never shown.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A running InfluxDB 1.x.
#[derive(Clone, Debug)]
pub struct Server {
    http: reqwest::Client,
    base: Url,
    login: Option<Login>,
}

#[derive(Deserialize)]
pub(crate) struct Answer<'a> {
    #[serde(borrow, default)]
    pub results: Vec<Outcome<'a>>,
    pub error: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Outcome<'a> {
    #[serde(borrow, default)]
    pub series: Vec<Series<'a>>,
    pub error: Option<String>,
    /// More of the same statement follows.
    #[serde(default)]
    pub partial: bool,
}

#[derive(Deserialize)]
pub(crate) struct Series<'a> {
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    pub columns: Vec<String>,
    #[serde(borrow, default)]
    pub values: Vec<Vec<&'a RawValue>>,
}

impl Server {
    /// The server at this address; a user in the address is taken out of it.
    ///
    /// # Errors
    /// When the address cannot be one of a server, or no client can be made.
    pub fn new(url: &Url, login: Option<Login>) -> Result<Self, InfluxError> {
        let mut base = url.clone();
        let mut login = login;
        if login.is_none() && !url.username().is_empty() {
            login = Some(Login {
                user: url.username().to_owned(),
                password: url.password().unwrap_or_default().to_owned(),
            });
        }
        let cleaned = base.set_username("").and_then(|()| base.set_password(None));
        let refused = |problem: String| InfluxError::NotUnderstood {
            server: shown(url),
            problem,
        };
        if cleaned.is_err() || !["http", "https"].contains(&base.scheme()) {
            return Err(refused("it is no address of a server".to_owned()));
        }
        base.set_query(None);
        base.set_fragment(None);
        let http = reqwest::Client::builder()
            .user_agent(concat!("smartem/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        Ok(Self { http, base, login })
    }

    /// The address, without user and password.
    pub fn name(&self) -> String {
        shown(&self.base)
    }

    /// The address without user, password and path, of which InfluxDB's own program needs the host.
    pub fn host(&self) -> Option<&str> {
        self.base.host_str()
    }

    /// Asks whether it is there; its version.
    pub async fn version(&self) -> Result<String, InfluxError> {
        let request = self.http.get(self.address("ping"));
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let version = answer.headers().get("x-influxdb-version");
        let version = version.and_then(|version| version.to_str().ok());
        version
            .map(str::to_owned)
            .ok_or_else(|| self.not_understood("it does not tell a version"))
    }

    /// Runs a statement that changes something.
    pub async fn execute(&self, statement: &str) -> Result<(), InfluxError> {
        self.ask("", statement).await.map(|_| ())
    }

    /// The body of the answer to a statement, which is no error.
    pub(crate) async fn ask(
        &self,
        database: &str,
        statement: &str,
    ) -> Result<Vec<u8>, InfluxError> {
        let answer = self.send(database, statement, &[]).await?;
        let body = answer.bytes().await.map_err(|e| self.unreachable(&e))?;
        let parsed: Answer<'_> = serde_json::from_slice(&body)
            .map_err(|error| self.not_understood(&error.to_string()))?;
        let errors = parsed.results.iter().filter_map(|it| it.error.as_ref());
        match parsed.error.iter().chain(errors).next() {
            None => Ok(body.to_vec()),
            Some(error) => Err(self.refused(statement, error)),
        }
    }

    pub(crate) async fn send(
        &self,
        database: &str,
        statement: &str,
        further: &[(&str, &str)],
    ) -> Result<reqwest::Response, InfluxError> {
        let mut form = vec![("q", statement), ("db", database), ("epoch", "ns")];
        form.extend(further);
        let mut request = self.http.post(self.address("query")).form(&form);
        if let Some(login) = &self.login {
            request = request.basic_auth(&login.user, Some(&login.password));
        }
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        let told = serde_json::from_str::<Answer<'_>>(&body).ok();
        let problem = told.and_then(|told| told.error);
        let problem = problem.unwrap_or_else(|| format!("it answered {status}"));
        Err(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => InfluxError::Denied {
                server: self.name(),
                problem,
            },
            _ if status.is_server_error() => InfluxError::Unreachable {
                server: self.name(),
                problem,
            },
            _ => self.refused(statement, &problem),
        })
    }

    fn address(&self, place: &str) -> Url {
        let mut address = self.base.clone();
        if let Ok(mut path) = address.path_segments_mut() {
            path.pop_if_empty().push(place);
        }
        address
    }

    pub(crate) fn refused(&self, statement: &str, problem: &str) -> InfluxError {
        let server = self.name();
        let problem = problem.to_owned();
        if problem.contains("not authorized") || problem.contains("authorization failed") {
            return InfluxError::Denied { server, problem };
        }
        // While a restore lets it read its files again.
        let reading = ["shard is disabled", "engine is closed"];
        if reading.iter().any(|it| problem.contains(it)) {
            return InfluxError::Unreachable { server, problem };
        }
        InfluxError::Statement {
            server,
            statement: statement.to_owned(),
            problem,
        }
    }

    pub(crate) fn not_understood(&self, problem: &str) -> InfluxError {
        InfluxError::NotUnderstood {
            server: self.name(),
            problem: problem.to_owned(),
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> InfluxError {
        let mut problem = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            problem = format!("{problem}: {cause}");
            source = cause.source();
        }
        InfluxError::Unreachable {
            server: self.name(),
            problem,
        }
    }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// A name in a statement.
pub(crate) fn identifier(name: &str) -> String {
    let escaped = name
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let url: Url = "http://reader:hush@127.0.0.1:1/influx?p=hush"
            .parse()
            .unwrap();
        let server = Server::new(&url, None).unwrap();
        assert_eq!(server.name(), "http://127.0.0.1:1/influx");
        assert!(!format!("{server:?}").contains("hush"));
        assert_eq!(
            server.address("query").as_str(),
            "http://127.0.0.1:1/influx/query"
        );
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(identifier("a \"b\"\\c"), r#""a \"b\"\\c""#);
    }
}
