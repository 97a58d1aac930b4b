//! `/query`: what was received, asked for in InfluxQL as InfluxDB 1.x answers it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use futures::StreamExt as _;
use smartem_etl::Clock;
use smartem_http::auth::{Caller, Guard, Right};
use smartem_http::{Kind, ServicePart};
use smartem_points::influxql::{
    self, Answer, Epoch, Format, Limits, Parameter, QueryError, Statement,
};
use smartem_points::{PointSource, Precision};
use tokio::sync::{Semaphore, mpsc};
use utoipa::OpenApi;

use super::answer::answer;
use super::intake::Query;
use super::v1::refusal;
use smartem_store::{Points, PointsError};

/// Databases that can be asked and made.
#[async_trait]
pub trait Queried: Send + Sync {
    /// What there is to read; reads may block.
    fn points(&self) -> &dyn PointSource;

    /// Makes a database, if it is not there.
    ///
    /// # Errors
    /// When it cannot be made now, or not of this name.
    async fn create_database(&self, name: &str) -> Result<(), PointsError>;
}

#[async_trait]
impl Queried for Points {
    fn points(&self) -> &dyn PointSource {
        self
    }

    async fn create_database(&self, name: &str) -> Result<(), PointsError> {
        Self::create_database(self, name).await.map(|_| ())
    }
}

/// How much the face takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuerySettings {
    /// What one query may read.
    pub limits: Limits,
    /// Rows of one statement in an answer that does not come in chunks; 0 is no limit.
    pub max_rows: usize,
    /// Queries at the same time; further ones wait.
    pub at_a_time: usize,
    /// So long a query may take.
    pub timeout: Duration,
    /// The largest body of a request, in bytes.
    pub body_limit: usize,
}

impl Default for QuerySettings {
    /// A million windows of a series, 8 queries at a time, 60 seconds each, bodies of 1 MiB.
    fn default() -> Self {
        Self {
            limits: Limits {
                max_buckets: 1_000_000,
                ..Limits::default()
            },
            max_rows: 0,
            at_a_time: 8,
            timeout: Duration::from_secs(60),
            body_limit: 1024 * 1024,
        }
    }
}

/// What the face needs.
struct Face {
    queried: Arc<dyn Queried>,
    guard: Guard,
    clock: Clock,
    settings: QuerySettings,
    places: Arc<Semaphore>,
}

#[derive(OpenApi)]
#[openapi(paths(query))]
struct Document;

/// The route of the face: reading is open, making a database needs the right `admin`.
pub fn query_part(
    queried: Arc<dyn Queried>,
    guard: Guard,
    clock: Clock,
    settings: QuerySettings,
) -> ServicePart {
    let face = Arc::new(Face {
        queried,
        guard,
        clock,
        settings,
        places: Arc::new(Semaphore::new(settings.at_a_time.max(1))),
    });
    ServicePart::new("influxdb-query")
        .body_limit(settings.body_limit)
        .openapi(Document::openapi())
        .route("/query", get(query).post(query).with_state(face))
}

/// The parameters of a request, from its address and its form.
struct Parameters<'a> {
    address: Query<'a>,
    form: Query<'a>,
}

impl Parameters<'_> {
    /// The value of a parameter; that of a form goes before, as in Go.
    fn get(&self, name: &str) -> Option<String> {
        let value = self.form.get(name).or_else(|| self.address.get(name));
        value.map(std::borrow::Cow::into_owned)
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).as_deref() == Some("true")
    }

    fn format(&self, headers: &HeaderMap) -> Format {
        let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
        let accept = accept.unwrap_or_default();
        if accept.contains("application/csv") || accept.contains("text/csv") {
            return Format::Csv;
        }
        if self.is_true("chunked") {
            let size = self.get("chunk_size").and_then(|it| it.parse().ok());
            return Format::Chunks(size.filter(|it| *it > 0).unwrap_or(10_000));
        }
        if self.is_true("pretty") {
            return Format::PrettyJson;
        }
        Format::Json
    }

    /// InfluxDB takes a unit it does not know for nanoseconds.
    fn epoch(&self) -> Epoch {
        let unit = self.get("epoch")?;
        Some(match unit.trim() {
            "u" | "µ" | "us" => Precision::Microseconds,
            "ms" => Precision::Milliseconds,
            "s" => Precision::Seconds,
            "m" => Precision::Minutes,
            "h" => Precision::Hours,
            _ => Precision::Nanoseconds,
        })
    }
}

/// Answers InfluxQL over what was received, as InfluxDB 1.x does.
#[utoipa::path(get, path = "/query", tag = "collector", params(
    ("q" = String, Query, description = "Statements of InfluxQL, with `;` between"),
    ("db" = Option<String>, Query, description = "The database of statements that name none"),
    ("epoch" = Option<String>, Query, description = "The unit of times: ns, u, ms, s, m or h; RFC 3339 if not given"),
    ("chunked" = Option<bool>, Query, description = "Whether the answer comes in chunks, each a JSON document"),
    ("chunk_size" = Option<u32>, Query, description = "Rows of a chunk; 10,000 if not given"),
    ("pretty" = Option<bool>, Query, description = "Whether the JSON is indented"),
    ("params" = Option<String>, Query, description = "A JSON object with the values of `$name` in the statements"),
), responses(
    (status = 200, description = "The results; one may be an error", content_type = "application/json"),
    (status = 400, description = "The statements cannot be read"),
))]
async fn query(
    State(face): State<Arc<Face>>,
    method: Method,
    caller: Caller,
    RawQuery(address): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok());
    let is_form = form.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded"));
    let text = if is_form {
        std::str::from_utf8(&body).ok()
    } else {
        None
    };
    let parameters = Parameters {
        address: Query::new(address.as_deref()),
        form: Query::new(text),
    };
    let format = parameters.format(&headers);
    let refuse = |message: &str| {
        let mut response = refusal(StatusCode::BAD_REQUEST, message);
        *response.body_mut() = Body::from(Answer::refusal(format, message));
        in_form(response, format)
    };
    let Some(text) = parameters.get("q") else {
        return refuse("missing required parameter \"q\"");
    };
    let values = parameters.get("params");
    let values = match values.as_deref().map_or(Ok(BTreeMap::new()), values_of) {
        Ok(values) => values,
        Err(problem) => return refuse(&format!("error parsing query parameters: {problem}")),
    };
    let statements = match influxql::parse_with(&text, &values) {
        Ok(statements) => statements,
        Err(error) => return refuse(&error.to_string()),
    };
    let asked = Asked {
        statements,
        database: parameters.get("db"),
        format,
        epoch: parameters.epoch(),
        may_change: method == Method::POST,
        caller,
    };
    in_form(answer(StatusCode::OK, stream(face, asked).await), format)
}

/// Says of what form the body is.
fn in_form(mut response: Response, format: Format) -> Response {
    if format == Format::Csv {
        let csv = HeaderValue::from_static("text/csv");
        response.headers_mut().insert(header::CONTENT_TYPE, csv);
    }
    response
}

/// The values of `params`.
fn values_of(text: &str) -> Result<BTreeMap<String, Parameter>, String> {
    use serde_json::Value;
    let object: serde_json::Map<String, Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let value = |name: &str, value: Value| match value {
        Value::String(text) => Ok(Parameter::String(text)),
        Value::Bool(value) => Ok(Parameter::Boolean(value)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Ok(Parameter::Integer(value)),
            (None, Some(value)) => Ok(Parameter::Number(value)),
            (None, None) => Err(format!("the number `{name}` is too great")),
        },
        Value::Object(object) => {
            let mut members = object.into_iter();
            match (members.next(), members.next()) {
                (Some((kind, Value::String(text))), None) => match kind.as_str() {
                    "string" => Ok(Parameter::String(text)),
                    "regex" => Ok(Parameter::Regex(text)),
                    "identifier" => Ok(Parameter::Identifier(text)),
                    "duration" => Ok(Parameter::Duration(text)),
                    other => Err(format!("unknown bind parameter type: {other}")),
                },
                _ => Err(format!(
                    "bind parameter object parameter value must have exactly one entry: {name}"
                )),
            }
        }
        _ => Err(format!(
            "unable to bind parameter `{name}`: a string, number, boolean or object is needed"
        )),
    };
    object
        .into_iter()
        .map(|(name, it)| Ok((name.clone(), value(&name, it)?)))
        .collect()
}

/// A request, understood.
struct Asked {
    statements: Vec<Statement>,
    database: Option<String>,
    format: Format,
    epoch: Epoch,
    may_change: bool,
    caller: Caller,
}

/// Sets a sign when the answer is no longer wanted.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The body of the answer, which comes while it is found.
async fn stream(face: Arc<Face>, asked: Asked) -> Body {
    let (pieces, taken) = mpsc::channel::<String>(4);
    let (cancel, late) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let place = Arc::clone(&face.places).acquire_owned().await.ok();
    let (signs, timeout) = (
        (Arc::clone(&cancel), Arc::clone(&late)),
        face.settings.timeout,
    );
    let timer = tokio::spawn(async move {
        tokio::time::sleep(timeout).await;
        signs.1.store(true, Ordering::Relaxed);
        signs.0.store(true, Ordering::Relaxed);
    });
    let sign = Arc::clone(&cancel);
    let work = tokio::task::spawn_blocking(move || {
        let _place = place;
        carry_out(&face, &asked, &sign, &late, pieces);
        timer.abort();
    });
    drop(work);
    let state = (taken, Cancel(cancel));
    let pieces = futures::stream::unfold(state, |(mut taken, cancel)| async move {
        let piece = taken.recv().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), (taken, cancel)))
    });
    // Layers around may ask once more after the end.
    Body::from_stream(pieces.fuse())
}

/// Carries the statements out, one after the other.
fn carry_out(
    face: &Face,
    asked: &Asked,
    cancel: &AtomicBool,
    late: &AtomicBool,
    pieces: mpsc::Sender<String>,
) {
    let now = i64::try_from((face.clock)().as_nanosecond()).unwrap_or(i64::MAX);
    let end = pieces.clone();
    let rows = face.settings.max_rows;
    let mut answer = Answer::new(asked.format, asked.epoch, rows)
        .handing_on(move |piece| pieces.blocking_send(piece).is_ok());
    for statement in &asked.statements {
        let query = influxql::Query {
            source: face.queried.points(),
            database: asked.database.as_deref(),
            now,
            limits: &face.settings.limits,
            cancel,
        };
        if statement.is_read() || matches!(statement, Statement::Select(_)) {
            match answer.statement(statement, &query) {
                Err(QueryError::Interrupted) if late.load(Ordering::Relaxed) => {
                    answer.other(Some("query-timeout limit exceeded"));
                }
                Err(_) => return,
                Ok(()) => {}
            }
        } else if answer.has_failed() {
            answer.other(None);
        } else {
            let result = tokio::runtime::Handle::current().block_on(change(face, asked, statement));
            answer.other(result.err().as_deref());
        }
    }
    answer.end();
    // Nobody waits any more if this fails.
    let _ = end.blocking_send(answer.take());
}

/// Does what a statement changes, as far as it is done here.
async fn change(face: &Face, asked: &Asked, statement: &Statement) -> Result<(), String> {
    let Statement::CreateDatabase { name, .. } = statement else {
        return Err(refused(statement).to_owned());
    };
    if face.queried.points().databases().contains(name) {
        return Ok(());
    }
    if !asked.may_change {
        return Err("a database is made by POST, not by GET".to_owned());
    }
    let admitted = face.guard.admit(&asked.caller, Right::Admin, None).await;
    admitted.map_err(|problem| match problem.kind() {
        Kind::TooManyRequests | Kind::Unavailable => problem.detail().to_owned(),
        _ => "a database is made with a token that has the right `admin` and no project: \
              `smartem token add NAME --right admin`"
            .to_owned(),
    })?;
    let made = face.queried.create_database(name).await;
    made.map_err(|error| error.to_string())
}

/// Why a statement is not carried out, and what to do instead.
fn refused(statement: &Statement) -> &'static str {
    match statement {
        Statement::CreateUser { .. }
        | Statement::DropUser(_)
        | Statement::SetPassword { .. }
        | Statement::Grant { .. }
        | Statement::Revoke { .. } => {
            "there are no users here but tokens: whoever runs the server makes one with \
             `smartem token add NAME --right write`, and its name and secret are user and password"
        }
        Statement::CreateRetentionPolicy { .. }
        | Statement::AlterRetentionPolicy { .. }
        | Statement::DropRetentionPolicy { .. } => {
            "there is one retention policy, `autogen`, which keeps everything"
        }
        Statement::DropDatabase(_)
        | Statement::DropMeasurement(_)
        | Statement::DropSeries { .. }
        | Statement::DropShard(_)
        | Statement::Delete { .. } => "what stations sent is kept; nothing is deleted by a query",
        _ => "this statement is not carried out here",
    }
}
