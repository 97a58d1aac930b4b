//! Everybody else who is configured, each asked once: sources, InfluxDB servers, an MQTT broker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use smartem_mqtt::ReachError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use toml::Table;
use url::Url;

use super::clock::{Clocks, ahead};
use super::{Findings, Level, told};
use crate::chains;
use crate::clock;
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(10);

/// Asked at the same time.
const PARALLEL: usize = 8;

/// What answers at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Something that is asked at this address and should know it.
    Page,
    /// Something whose addresses all lie below this one.
    Base,
    /// An InfluxDB 1.x with a database.
    Influxdb(String),
}

/// Somebody to ask.
#[derive(Clone, Debug)]
struct Remote {
    what: String,
    url: Url,
    kind: Kind,
    /// The settings, for credentials.
    settings: Table,
}

/// What became of it.
struct Answer {
    level: Level,
    what: String,
    detail: String,
    remedy: Option<String>,
    /// Whose clock said what.
    clock: Option<(String, jiff::SignedDuration)>,
}

pub(super) async fn check(config: &Config, clocks: &mut Clocks) -> Findings {
    let mut findings = Findings::new("remote");
    let client = reqwest::Client::builder()
        .user_agent(concat!("smartem/", env!("CARGO_PKG_VERSION")))
        .timeout(PATIENCE)
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            let remedy = "install certificates of authorities (Debian package `ca-certificates`)";
            findings.fail("HTTP", told(&error.into()), remedy);
            return findings;
        }
    };
    let permits = Arc::new(Semaphore::new(PARALLEL));
    let mut asked = JoinSet::new();
    for (at, remote) in remotes(config).into_iter().enumerate() {
        let (client, permits) = (client.clone(), Arc::clone(&permits));
        let folder = config.folder().to_owned();
        asked.spawn(async move {
            let _permit = permits.acquire().await;
            (at, ask(&client, &remote, &folder).await)
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    for (_, answer) in answers {
        findings.add(answer.level, &answer.what, answer.detail, answer.remedy);
        if let Some((whose, ahead)) = answer.clock {
            clocks.note(&whose, ahead);
        }
    }
    mqtt(&mut findings, config).await;
    findings
}

/// All sources and outputs with an address.
fn remotes(config: &Config) -> Vec<Remote> {
    let registry = chains::registry();
    let mut remotes = Vec::new();
    let mut add = |what: String, input: &str, settings: &Table, usual: Option<&Value>| {
        let text = settings.get("url").and_then(toml::Value::as_str);
        let text = text.or_else(|| usual.and_then(Value::as_str));
        // An address that is none was told with the configuration.
        let Some(mut url) = text.and_then(|text| text.parse::<Url>().ok()) else {
            return;
        };
        let database = settings.get("database").and_then(toml::Value::as_str);
        let kind = match (input, database) {
            ("influxdb", Some(database)) => Kind::Influxdb(database.to_owned()),
            ("whale", _) => {
                below(&mut url, "devices");
                Kind::Page
            }
            ("timeseries" | "sensorthings", _) => Kind::Page,
            _ => Kind::Base,
        };
        remotes.push(Remote {
            what,
            url,
            kind,
            settings: settings.clone(),
        });
    };
    for (name, process) in &config.process {
        if let Some(kind) = registry.inputs.get(process.input.as_str()) {
            let known = kind.settings();
            let usual = known.iter().find(|setting| setting.name == "url");
            let usual = usual.and_then(|setting| setting.default.as_ref());
            for source in &process.source {
                let source_name = source.get("name").and_then(toml::Value::as_str);
                let what = format!("{name}: source {}", source_name.unwrap_or("without a name"));
                add(what, &process.input, source, usual);
            }
        }
        for output in &process.output {
            if let Ok(settings) = process.settings_of(output) {
                add(format!("{name}: output {output}"), output, &settings, None);
            }
        }
    }
    remotes
}

fn below(url: &mut Url, segment: &str) {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(segment);
    }
}

/// An address without what may be secret.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // An address that can have no user has none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

/// The request with the credentials of the settings. Files that cannot be read were told before.
fn authorized(request: RequestBuilder, remote: &Remote, folder: &Path) -> RequestBuilder {
    let text = |key: &str| remote.settings.get(key).and_then(toml::Value::as_str);
    let secret = |key: &str| {
        let path = folder.join(text(key)?);
        let secret = std::fs::read_to_string(path).ok()?;
        Some(secret.trim().to_owned())
    };
    if let (Some(user), Some(password)) = (text("username"), secret("password_file")) {
        return request.basic_auth(user, Some(password));
    }
    match (secret("token_file"), &remote.kind) {
        (Some(token), Kind::Influxdb(_)) => {
            request.header(reqwest::header::AUTHORIZATION, format!("Token {token}"))
        }
        (Some(token), _) => request.bearer_auth(token),
        (None, _) => request,
    }
}

async fn ask(client: &reqwest::Client, remote: &Remote, folder: &Path) -> Answer {
    let now = clock::system();
    let place = shown(&remote.url);
    let answer = |level, detail: String, remedy: Option<&str>| Answer {
        level,
        what: remote.what.clone(),
        detail: format!("{place} {detail}"),
        remedy: remedy.map(str::to_owned),
        clock: None,
    };
    let mut url = remote.url.clone();
    if let Kind::Influxdb(_) = remote.kind {
        below(&mut url, "ping");
    }
    let before = now();
    let sent = authorized(client.get(url), remote, folder).send().await;
    let after = now();
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            let (detail, remedy) = unreached(&error);
            return answer(Level::Fail, detail, Some(remedy));
        }
    };
    let clock = clock_of(&remote.url, &response, before, after);
    let judged = match &remote.kind {
        Kind::Influxdb(database) if response.status().is_success() => {
            influxdb(client, remote, database, folder, &response).await
        }
        kind => judge(response.status(), kind),
    };
    let (level, detail, remedy) = judged;
    Answer {
        clock,
        ..answer(level, detail, remedy)
    }
}

fn clock_of(
    url: &Url,
    response: &Response,
    before: Timestamp,
    after: Timestamp,
) -> Option<(String, jiff::SignedDuration)> {
    let date = response.headers().get(reqwest::header::DATE)?;
    let ahead = ahead(date.to_str().ok()?, before, after)?;
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    Some((format!("{}{port}", url.host_str()?), ahead))
}

/// Why nothing answered, and what to do.
fn unreached(error: &reqwest::Error) -> (String, &'static str) {
    let mut words = Vec::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    let last = words.last().cloned().unwrap_or_default();
    let all = words.join(": ").to_lowercase();
    let has = |some: &[&str]| some.iter().any(|word| all.contains(word));
    if error.is_timeout() {
        (
            format!("does not answer within {} s", PATIENCE.as_secs()),
            "check that the server is up and that firewalls and network policies let through",
        )
    } else if has(&["certificate", "tls", "handshake", "invalidcontenttype"]) {
        (
            format!("TLS: {last}"),
            "check `https` and host of `url`, and let the server's operator renew its certificate",
        )
    } else if has(&["dns", "lookup", "resolve"]) {
        (
            format!("has no address: {last}"),
            "check the host in `url` and the name servers of this machine",
        )
    } else if has(&["refused"]) {
        (
            format!("refuses connections: {last}"),
            "check host and port in `url`, and whether the server runs",
        )
    } else {
        (
            format!("is not reached: {last}"),
            "check `url`, and the network between",
        )
    }
}

fn judge(status: StatusCode, kind: &Kind) -> (Level, String, Option<&'static str>) {
    let detail = format!("answers {status}");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => (
            Level::Fail,
            format!("unauthorised: {detail}"),
            Some(
                "check user, password or token of this source, and what its operator lets them read",
            ),
        ),
        status if status.is_success() || status.is_redirection() => {
            (Level::Ok, format!("reached: {detail}"), None)
        }
        StatusCode::TOO_MANY_REQUESTS => (
            Level::Warn,
            detail,
            Some("ask less often: set `rate` or `parallel` of the source lower"),
        ),
        status if status.is_server_error() => (
            Level::Warn,
            detail,
            Some("ask again later; if it stays, tell the server's operator"),
        ),
        // Nothing is said of the address itself, only of those below it.
        _ if *kind == Kind::Base => (Level::Ok, format!("reached: {detail}"), None),
        _ => (Level::Warn, detail, Some("check the path of `url`")),
    }
}

/// Whether the user may use the database of an InfluxDB that answered a ping.
async fn influxdb(
    client: &reqwest::Client,
    remote: &Remote,
    database: &str,
    folder: &Path,
    ping: &Response,
) -> (Level, String, Option<&'static str>) {
    let version = ping.headers().get("x-influxdb-version");
    let Some(version) = version.and_then(|version| version.to_str().ok()) else {
        return (
            Level::Warn,
            "answers, but not as an InfluxDB does".to_owned(),
            Some("check `url`: it must be the root of an InfluxDB 1.x"),
        );
    };
    let mut url = remote.url.clone();
    below(&mut url, "query");
    url.query_pairs_mut().append_pair("q", "SHOW DATABASES");
    let sent = authorized(client.get(url), remote, folder).send().await;
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            let (detail, remedy) = unreached(&error);
            return (Level::Fail, detail, Some(remedy));
        }
    };
    let status = response.status();
    if !status.is_success() {
        return judge(status, &remote.kind);
    }
    let body = response.bytes().await.unwrap_or_default();
    let listed: Value = serde_json::from_slice(&body).unwrap_or_default();
    let rows = listed.pointer("/results/0/series/0/values");
    let rows = rows
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if rows.iter().any(|row| row[0] == database) {
        let detail = format!("reached: InfluxDB {version} with the database `{database}`");
        (Level::Ok, detail, None)
    } else {
        (
            Level::Fail,
            format!("reached: InfluxDB {version}, but it shows this user no database `{database}`"),
            Some("make the database, or grant the user rights on it (GRANT READ, WRITE or ALL)"),
        )
    }
}

async fn mqtt(findings: &mut Findings, config: &Config) {
    let mqtt = &config.collect.mqtt;
    if !mqtt.enabled || mqtt.broker.is_empty() {
        return;
    }
    let what = "MQTT broker";
    let settings = match mqtt.subscription_settings() {
        Ok(settings) => settings,
        Err(error) => {
            findings.fail(what, error.to_string(), "mend `collect.mqtt.broker`");
            return;
        }
    };
    let place = format!("{}:{}", settings.host, settings.port);
    let reached = tokio::time::timeout(PATIENCE, smartem_mqtt::reach(&settings)).await;
    let (problem, remedy) = match reached {
        Ok(Ok(())) => {
            findings.ok(what, format!("{place} reached, and lets the user in"));
            return;
        }
        Err(_) => (
            format!("no answer within {} s", PATIENCE.as_secs()),
            "check that the broker is up and that firewalls and network policies let through",
        ),
        Ok(Err(error)) => {
            let remedy = match &error {
                ReachError::Denied(_) => {
                    "check `username` and `password_file` of `[collect.mqtt]` against the broker's password file"
                }
                ReachError::Tls(_) | ReachError::Files(_) => {
                    "check `ca_file` of `[collect.mqtt]`, and that the certificate has the broker's name"
                }
                ReachError::Password { .. } => {
                    "mount or make the file of `collect.mqtt.password_file`"
                }
                ReachError::NotMqtt(_) => "check scheme and port of `collect.mqtt.broker`",
                _ => "check host and port of `collect.mqtt.broker`, and whether the broker runs",
            };
            (error.to_string(), remedy)
        }
    };
    findings.fail(what, format!("{place}: {problem}"), remedy);
}
